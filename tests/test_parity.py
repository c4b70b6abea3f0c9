"""On a grid, a search is GridSearchCV: same results, same best model, same methods, same errors and warnings."""

import os
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from estimators import (
    ChangesItsParams,
    CountsFits,
    DrawsNumbers,
    FailsOn,
    FailsOnSomeFolds,
    KnownScore,
    NoScore,
    ScoresOddly,
    WarnsInFit,
    accuracy,
    failing_score,
    share_right,
    text_score,
    two_scores,
)
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import (
    make_blobs,
    make_classification,
    make_multilabel_classification,
    make_regression,
)
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import make_scorer, mean_absolute_error, mean_squared_error
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeaveOneGroupOut, LeaveOneOut, ShuffleSplit
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.fixes import parse_version

from optuna_search import OptunaSearchCV

TIMES = ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time")
DELEGATED_METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
)
DELEGATED = (
    *DELEGATED_METHODS,
    "inverse_transform",
    "score",
    "classes_",
    "n_features_in_",
    "feature_names_in_",
    "best_estimator_",
    "best_score_",
    "best_params_",
    "best_index_",
    "cv_results_",
    "scorer_",
    "n_splits_",
    "multimetric_",
    "refit_time_",
    "fit_predict",
    "fit_transform",
    "get_feature_names_out",
    "partial_fit",
    "coef_",
    "labels_",
    "_estimator_type",
)


# --- what "equal" means -----------------------------------------------------------------------------------------------


def same_value(ours, theirs):
    """Whether two parameter values are the same object or equal values of one type."""
    if ours is theirs:
        return True
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, np.ndarray):
        return ours.dtype == theirs.dtype and ours.shape == theirs.shape and bool(np.all(ours == theirs))
    if isinstance(ours, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same_value, ours, theirs))
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same_value(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, (float, np.floating)) and np.isnan(ours):
        return bool(np.isnan(theirs))
    return bool(ours == theirs)


def assert_same_table(ours, theirs):
    """Assert that ``cv_results_`` of a search is GridSearchCV's, but for times and for the two keys that are ours."""
    assert set(ours) == set(theirs) | {"trial_number", "trial_state"}
    assert len(ours["params"]) == len(theirs["params"])
    assert isinstance(ours["params"], list)
    for row, (our_params, their_params) in enumerate(zip(ours["params"], theirs["params"], strict=True)):
        assert same_value(our_params, their_params), f"params of row {row}: {our_params} is not {their_params}"
    for key in theirs:
        if key == "params":
            continue
        our, their = ours[key], theirs[key]
        assert type(our) is type(their), key
        assert our.dtype == their.dtype, key
        assert our.shape == their.shape, key
        if key in TIMES:
            assert np.all(np.isfinite(our)) and np.all(our >= 0), key
        elif key.startswith("param_"):
            np.testing.assert_array_equal(np.ma.getmaskarray(our), np.ma.getmaskarray(their), err_msg=key)
            for row in np.flatnonzero(~np.ma.getmaskarray(their)):
                assert same_value(our.data[row], their.data[row]), f"{key} of row {row}"
        else:
            assert np.array_equal(our, their, equal_nan=True), f"{key}: {our} is not {their}"


def assert_trials_make_sense(results):
    """Assert that the two keys that are ours agree with the rows they stand in."""
    numbers = np.asarray(results["trial_number"])
    assert len(numbers) == len(results["params"])
    assert np.issubdtype(numbers.dtype, np.integer)
    assert np.all(np.diff(numbers) >= 0)
    # A trial is complete by the metric that is pursued, so a missing score of another one does not make it fail.
    folds = {}
    for key, value in results.items():
        if found := re.match(r"split\d+_test_(.*)", key):
            folds.setdefault(found[1], []).append(np.isnan(value))
    missing = np.column_stack([np.any(metric, axis=0) for metric in folds.values()])
    for state, row in zip(results["trial_state"], missing, strict=True):
        assert state in (["FAIL"] if row.all() else ["COMPLETE", "FAIL"] if row.any() else ["COMPLETE"])


def assert_same_array(ours, theirs):
    """Assert that two outputs of a model (dense, sparse, a table, a list of arrays) are equal to the last bit."""
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        for our, their in zip(ours, theirs, strict=True):
            assert_same_array(our, their)
    elif sp.issparse(ours):
        assert_same_array(ours.toarray(), theirs.toarray())
    elif isinstance(ours, pd.DataFrame):
        pd.testing.assert_frame_equal(ours, theirs)
    else:
        np.testing.assert_array_equal(ours, theirs)


def assert_same_scorer(ours, theirs):
    """Assert that two scorers, or dicts of scorers, are of one kind and print alike."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for name in ours:
            assert_same_scorer(ours[name], theirs[name])
    else:
        assert repr(ours) == repr(theirs) or ours == theirs


def shown(model):
    """How a model prints, without addresses."""
    return re.sub(r"0x[0-9A-Fa-f]+", "0x", repr(model))


def assert_same_search(ours, theirs, X, y=None, score_params=None):
    """Assert that a fitted search is the fitted GridSearchCV in everything that a caller can ask of it."""
    assert_same_table(ours.cv_results_, theirs.cv_results_)
    assert_trials_make_sense(ours.cv_results_)
    assert {name: hasattr(ours, name) for name in DELEGATED} == {name: hasattr(theirs, name) for name in DELEGATED}
    assert {name for name in vars(theirs) if name.endswith("_")} <= {name for name in dir(ours) if hasattr(ours, name)}
    assert ours.n_splits_ == theirs.n_splits_
    assert ours.multimetric_ == theirs.multimetric_
    assert_same_scorer(ours.scorer_, theirs.scorer_)
    if hasattr(theirs, "best_index_"):
        assert ours.best_index_ == theirs.best_index_
        assert same_value(ours.best_params_, theirs.best_params_)
    if hasattr(theirs, "best_score_"):
        assert same_value(float(ours.best_score_), float(theirs.best_score_))
    assert get_tags(ours) == get_tags(theirs)
    if not hasattr(theirs, "best_estimator_"):
        return

    assert isinstance(ours.refit_time_, float) and ours.refit_time_ >= 0
    assert type(ours.best_estimator_) is type(theirs.best_estimator_)
    assert shown(ours.best_estimator_) == shown(theirs.best_estimator_)
    for name in ("classes_", "n_features_in_", "feature_names_in_"):
        if hasattr(theirs, name):
            assert_same_array(getattr(ours, name), getattr(theirs, name))
    with np.errstate(divide="ignore"):  # the logarithm of a tree's zeros
        for name in DELEGATED_METHODS:
            if hasattr(theirs, name):
                assert_same_array(getattr(ours, name)(X), getattr(theirs, name)(X))
    if hasattr(theirs, "inverse_transform"):
        turned = theirs.transform(X)
        assert_same_array(ours.inverse_transform(turned), theirs.inverse_transform(turned))
    if theirs.scorer_ is not None and not callable(theirs.refit):
        score_params = score_params or {}
        assert same_value(float(ours.score(X, y, **score_params)), float(theirs.score(X, y, **score_params)))


def told(message):
    """What a warning or an error says, without what may differ: class names, the call, lines of code, scalar types."""
    text = re.sub(r"\b(OptunaSearchCV|GridSearchCV)\b", "SearchCV", str(message))
    text = re.sub(r"fitting SearchCV\(.*\) with", "fitting SearchCV with", text, flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("  "))


def fit_recorded(search, X, y, fit_params):
    """Fit a search and return it with what it warned: pairs of category and text, in order."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "Creating an ndarray from ragged")  # before NumPy 1.24
        warnings.filterwarnings("ignore", "cv: .* test on samples that they were trained on")  # ours alone
        search.fit(X, y, **fit_params)
    return search, [(warning.category, told(warning.message)) for warning in caught]


def written_out(told_once):
    """Return warnings that are told once, with how often they came, as often as they came."""
    for kind, text in told_once:
        once, _, times = text.removesuffix(" times in this search)").rpartition(" (")
        yield from [(kind, once)] * int(times) if text.endswith("times in this search)") else [(kind, text)]


# --- the combinations -------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """What both searches are given; a callable ``cv`` is called once for each of them."""

    estimator: Any
    grid: Any
    X: Any
    y: Any = None
    search: dict = field(default_factory=dict)
    fit: dict = field(default_factory=dict)
    score: dict = field(default_factory=dict)

    def make(self, cls, **changed):
        arguments = {"cv": 3, **self.search, **changed}
        if callable(arguments["cv"]):
            arguments["cv"] = arguments["cv"]()
        return cls(self.estimator, self.grid, **arguments)


X_CLASSES, Y_CLASSES = make_classification(60, 5, n_informative=3, n_redundant=0, n_classes=3, random_state=0)
X_NUMBERS, Y_NUMBERS = make_regression(50, 4, noise=5.0, random_state=0)
X_BLOBS, _ = make_blobs(60, 3, random_state=0)
BINARY = (Y_CLASSES > 0).astype(int)
TEXTS = [
    f"{'good' if flag else 'bad'} {'fine' if flag else 'poor'} text number {i % 7}" for i, flag in enumerate(BINARY)
]
WEIGHTS = np.random.default_rng(0).uniform(0.1, 3.0, 60)
GROUPS = np.arange(60) % 6
TREE = DecisionTreeClassifier(max_depth=2, random_state=0)


def classifier():
    return Case(
        LogisticRegression(), {"C": np.logspace(-2, 1, 4), "fit_intercept": [True, False]}, X_CLASSES, Y_CLASSES
    )


def classifier_with_train_scores():
    return Case(TREE, {"max_depth": range(1, 4)}, X_CLASSES, Y_CLASSES, {"return_train_score": True})


def classifier_with_text_labels():
    labels = np.array(["red", "green", "blue"])[Y_CLASSES]
    return Case(SVC(), {"C": (0.1, 1.0), "kernel": ["linear", "rbf"]}, X_CLASSES, labels)


def classifier_on_lists():
    return Case(KNeighborsClassifier(), {"n_neighbors": [1, 3, 5]}, X_CLASSES.tolist(), Y_CLASSES.tolist())


def regressor():
    return Case(Ridge(), {"alpha": [0.1, 1.0, 10.0], "fit_intercept": [False, True]}, X_NUMBERS, Y_NUMBERS, {"cv": 4})


def regressor_with_negative_scores():
    grid = {"n_neighbors": [1, 2, 4], "weights": ["uniform", "distance"]}
    search = {"scoring": "neg_root_mean_squared_error", "cv": KFold(3, shuffle=True, random_state=1)}
    return Case(KNeighborsRegressor(), grid, X_NUMBERS, Y_NUMBERS, search)


def transformer_at_the_end_of_a_pipeline():
    pipe = Pipeline([("scale", StandardScaler()), ("pca", PCA(random_state=0))])
    return Case(pipe, {"pca__n_components": [1, 2, 3], "scale__with_std": [True, False]}, X_CLASSES)


def clusterer_without_y():
    return Case(KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3, 4]}, X_BLOBS)


def density_without_y():
    return Case(KernelDensity(), {"bandwidth": [0.5, 1.0, 2.0]}, X_BLOBS)


def mixture_without_y():
    return Case(GaussianMixture(random_state=0), {"n_components": [1, 2]}, X_BLOBS)


def outlier_detector_with_y_for_scoring_only():
    y = np.where(np.arange(60) % 9 == 0, -1, 1)
    grid = {"contamination": [0.1, 0.2]}
    return Case(IsolationForest(n_estimators=5, random_state=0), grid, X_BLOBS, y, {"scoring": "accuracy"})


def scorers_as_a_list():
    search = {"scoring": ["accuracy", "f1_macro", "neg_log_loss"], "refit": "f1_macro", "return_train_score": True}
    return Case(LogisticRegression(), {"C": [0.01, 0.1, 1.0]}, X_CLASSES, Y_CLASSES, search)


def scorers_as_a_tuple_without_refit():
    search = {"scoring": ("accuracy", "f1_macro"), "refit": False}
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, search)


def scorers_as_a_dict():
    mse = make_scorer(mean_squared_error, greater_is_better=False)
    search = {"scoring": {"mse": mse, "r": "r2", "mae": "neg_mean_absolute_error"}, "refit": "r"}
    return Case(Ridge(), {"alpha": [0.1, 10.0]}, X_NUMBERS, Y_NUMBERS, search)


def scorers_as_a_dict_of_one():
    search = {"scoring": {"only": "accuracy"}, "refit": "only"}
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, search)


def scorers_as_a_callable_that_returns_a_dict():
    search = {"scoring": two_scores, "refit": "not_wrong", "return_train_score": True}
    return Case(TREE, {"max_depth": [1, 2, 3]}, X_CLASSES, Y_CLASSES, search)


def scorers_as_a_callable_that_returns_a_dict_without_refit():
    return Case(TREE, {"max_depth": [1, 2, 3]}, X_CLASSES, Y_CLASSES, {"scoring": two_scores, "refit": False})


def scorer_as_a_callable_that_returns_a_number():
    return Case(TREE, {"max_depth": [1, 2, 3]}, X_CLASSES, Y_CLASSES, {"scoring": accuracy})


def scorer_of_probabilities():
    search = {"scoring": "roc_auc_ovr"}
    return Case(LogisticRegression(), {"C": [0.01, 1.0]}, X_CLASSES, Y_CLASSES, search)


def refit_false():
    return Case(SVC(), {"C": [0.1, 1.0]}, X_CLASSES, Y_CLASSES, {"refit": False})


def refit_a_callable():
    search = {"refit": lambda results: int(np.argmin(results["mean_test_score"]))}
    return Case(LogisticRegression(), {"C": [0.01, 0.1, 1.0]}, X_CLASSES, Y_CLASSES, search)


def refit_a_callable_over_several_scorers():
    search = {"scoring": ["accuracy", "f1_macro"], "refit": lambda results: results["rank_test_f1_macro"].argmax()}
    return Case(LogisticRegression(), {"C": [0.01, 0.1, 1.0]}, X_CLASSES, Y_CLASSES, search)


def list_of_dicts():
    grid = [{"kernel": ["rbf"], "gamma": [0.01, 0.1], "C": [1.0]}, {"kernel": ["poly"], "degree": [2, 3]}, {"C": [5]}]
    return Case(SVC(), grid, X_CLASSES, Y_CLASSES)


def empty_grid():
    return Case(TREE, {}, X_CLASSES, Y_CLASSES)


def list_of_dicts_with_an_empty_one():
    return Case(TREE, [{"max_depth": [1, 2]}, {}], X_CLASSES, Y_CLASSES)


def one_candidate():
    return Case(TREE, {"max_depth": [2]}, X_CLASSES, Y_CLASSES)


def duplicates_in_the_grid():
    return Case(TREE, {"max_depth": [1, 2, 1, 1], "criterion": ["gini"]}, X_CLASSES, Y_CLASSES)


def duplicates_across_dicts():
    return Case(TREE, [{"max_depth": [1, 2]}, {"max_depth": [2, 3]}], X_CLASSES, Y_CLASSES)


def ties():
    return Case(ScoresOddly(), {"x": [1.0, 3.0, 2.0, 3.0], "peak": [0.0, 1.0]}, X_CLASSES, Y_CLASSES)


def failing_candidate_with_nan():
    return Case(FailsOn(bad=(1,)), {"x": [2, 1, 0]}, X_CLASSES, Y_CLASSES, {"return_train_score": True})


def failing_candidate_with_a_number():
    search = {"error_score": -7.5, "return_train_score": True}
    return Case(FailsOn(bad=(1,)), {"x": [2, 1, 0]}, X_CLASSES, Y_CLASSES, search)


def failing_candidate_with_the_best_number():
    return Case(FailsOn(bad=(2,)), {"x": [3, 1, 2]}, X_CLASSES, Y_CLASSES, {"error_score": 100, "refit": False})


def failing_candidate_with_several_scorers():
    search = {"scoring": ["accuracy", "f1_macro"], "refit": "accuracy", "return_train_score": True}
    return Case(FailsOn(bad=(1,)), {"x": [2, 1, 0]}, X_CLASSES, Y_CLASSES, search)


def failing_candidate_with_a_callable_that_returns_a_dict():
    search = {"scoring": two_scores, "refit": "right", "return_train_score": True}
    return Case(FailsOn(bad=(0, 1)), {"x": [0, 2, 1]}, X_CLASSES, Y_CLASSES, search)


def candidates_failing_for_different_reasons():
    return Case(FailsOn(bad=(1, 2)), {"x": [3, 1, 2, 0]}, X_CLASSES, Y_CLASSES)


def many_candidates_failing_first():
    return Case(FailsOn(bad=tuple(range(14))), {"x": list(range(16))}, X_CLASSES, Y_CLASSES, {"cv": 2})


def candidate_failing_on_some_folds():
    X = X_CLASSES.copy()
    X[0, 0] = 1000.0
    return Case(FailsOnSomeFolds(), {"x": [0, 1, 2]}, X, Y_CLASSES, {"cv": KFold(3)})


def failing_scorer_with_nan():
    return Case(KnownScore(), {"x": [0, 2, 1]}, X_CLASSES, Y_CLASSES, {"scoring": failing_score})


def failing_scorer_with_a_number():
    search = {"scoring": failing_score, "error_score": -3.0, "return_train_score": True}
    return Case(KnownScore(), {"x": [0, 2, 1]}, X_CLASSES, Y_CLASSES, search)


def one_failing_scorer_of_two():
    search = {"scoring": {"fails": failing_score, "works": accuracy}, "refit": "works", "return_train_score": True}
    return Case(KnownScore(), {"x": [0, 2, 1]}, X_CLASSES, Y_CLASSES, search)


def first_of_two_scorers_always_failing_without_refit():
    search = {"scoring": {"fails": failing_score, "works": accuracy}, "refit": False}
    return Case(KnownScore(), {"x": [2, 3]}, X_CLASSES, Y_CLASSES, search)


def nan_scores_without_an_error():
    return Case(ScoresOddly(), {"x": [1.0, np.nan, 2.0]}, X_CLASSES, Y_CLASSES, {"return_train_score": True})


def minus_infinity_as_a_score():
    return Case(ScoresOddly(), {"x": [1.0, -np.inf, 2.0]}, X_CLASSES, Y_CLASSES)


def groups():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": GroupKFold(3)}, {"groups": GROUPS})


def groups_left_out_one_by_one():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": LeaveOneGroupOut()}, {"groups": GROUPS})


def groups_routed():
    search = {"cv": GroupKFold(3).set_split_request(groups="cluster")}
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, search, {"cluster": GROUPS})


def sample_weight_unrouted():
    fit = {"sample_weight": WEIGHTS}
    return Case(LogisticRegression(), {"C": [0.01, 1.0]}, X_CLASSES, Y_CLASSES, {"scoring": "accuracy"}, fit)


def sample_weight_unrouted_as_a_list():
    return Case(LogisticRegression(), {"C": [0.01, 1.0]}, X_CLASSES, Y_CLASSES, {}, {"sample_weight": list(WEIGHTS)})


def sample_weight_unrouted_with_scorers_that_know_none():
    search = {"scoring": {"knows": "accuracy", "knows none": make_scorer(share_right)}, "refit": "knows"}
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, search, {"sample_weight": WEIGHTS})


def sample_weight_unrouted_with_a_callable_that_knows_none():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"scoring": accuracy}, {"sample_weight": WEIGHTS})


def sample_weight_unrouted_into_a_pipeline():
    pipe = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    return Case(pipe, {"clf__C": [0.01, 1.0]}, X_CLASSES, Y_CLASSES, {}, {"clf__sample_weight": WEIGHTS})


def sample_weight_routed_to_fit_and_score():
    scorer = make_scorer(mean_absolute_error, greater_is_better=False).set_score_request(sample_weight=True)
    case = Case(Ridge().set_fit_request(sample_weight=True), {"alpha": [0.1, 10.0]}, X_NUMBERS, Y_NUMBERS)
    case.search = {"scoring": scorer}
    case.fit = case.score = {"sample_weight": WEIGHTS[:50]}
    return case


def sample_weight_routed_under_another_name():
    scorers = {
        "weighted": make_scorer(mean_absolute_error).set_score_request(sample_weight="w"),
        "plain": make_scorer(mean_squared_error).set_score_request(sample_weight=False),
    }
    case = Case(Ridge().set_fit_request(sample_weight="w"), {"alpha": [0.1, 10.0]}, X_NUMBERS, Y_NUMBERS)
    case.search = {"scoring": scorers, "refit": False}
    case.fit = {"w": WEIGHTS[:50]}
    return case


def sparse_matrix():
    return Case(LogisticRegression(), {"C": [0.01, 1.0]}, sp.csr_matrix(np.abs(X_CLASSES).round()), Y_CLASSES)


def sparse_array():
    return Case(KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3]}, sp.csr_array(X_BLOBS.round()))


def sparse_input_to_a_transformer_in_a_pipeline():
    pipe = make_pipeline(TfidfTransformer(), LogisticRegression())
    grid = {"tfidftransformer__use_idf": [True, False]}
    return Case(pipe, grid, sp.coo_matrix(np.abs(X_CLASSES).round()).tocsc(), BINARY)


def text():
    pipe = Pipeline([("count", CountVectorizer()), ("clf", LogisticRegression())])
    return Case(pipe, {"count__ngram_range": [(1, 1), (1, 2)], "clf__C": [0.1, 1.0]}, TEXTS, BINARY)


def pandas_input():
    X = pd.DataFrame(X_CLASSES, columns=list("abcde"), index=np.arange(60) * 3 + 7)
    X["kind"] = pd.Categorical(np.where(GROUPS > 2, "u", "v"))
    columns = ColumnTransformer([("num", StandardScaler(), list("abcde")), ("cat", OneHotEncoder(), ["kind"])])
    pipe = Pipeline([("columns", columns), ("clf", LogisticRegression())])
    grid = {"columns__num__with_mean": [True, False], "clf__C": [0.1, 1.0]}
    return Case(pipe, grid, X, pd.Series(Y_CLASSES, index=X.index, name="target"))


def pandas_output():
    X = pd.DataFrame(X_BLOBS, columns=["a", "b", "c"])
    pca = PCA(random_state=0).set_output(transform="pandas")
    return Case(pca, {"n_components": [1, 2]}, X)


def polars_input():
    pl = pytest.importorskip("polars")
    X = pl.DataFrame({name: X_CLASSES[:, i] for i, name in enumerate("abcde")})
    pipe = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    return Case(pipe, {"clf__C": [0.1, 1.0]}, X, pl.Series("y", Y_CLASSES))


def one_shot_generator_of_folds():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": lambda: KFold(4).split(X_CLASSES)})


def list_of_folds():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": lambda: list(KFold(4).split(X_CLASSES))})


def splitter_with_its_own_generator():
    search = {"cv": lambda: ShuffleSplit(3, random_state=np.random.RandomState(3))}
    return Case(TREE, {"max_depth": [1, 2, 3]}, X_CLASSES, Y_CLASSES, search)


def default_folds():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": None})


def precomputed_kernel():
    return Case(SVC(kernel="precomputed"), {"C": [0.1, 1.0, 10.0]}, rbf_kernel(X_CLASSES, gamma=0.1), Y_CLASSES)


def precomputed_distances_in_a_pipeline():
    pipe = Pipeline([("neighbors", KNeighborsClassifier(metric="precomputed"))])
    grid = {"neighbors__n_neighbors": [1, 3]}
    return Case(pipe, grid, euclidean_distances(X_CLASSES), Y_CLASSES)


def several_numbers_to_predict():
    Y = np.column_stack([Y_NUMBERS, -2 * Y_NUMBERS + X_NUMBERS[:, 0]])
    return Case(KNeighborsRegressor(), {"n_neighbors": [1, 3]}, X_NUMBERS, Y)


def several_labels_per_sample():
    X, Y = make_multilabel_classification(60, 5, n_classes=3, random_state=0)
    search = {"scoring": ["accuracy", "f1_macro"], "refit": "f1_macro", "cv": KFold(3)}
    return Case(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 3]}, X, Y, search)


def several_classes_to_predict():
    Y = np.column_stack([Y_CLASSES, GROUPS % 2])
    grid = {"estimator__max_depth": [1, 2]}
    return Case(MultiOutputClassifier(TREE), grid, X_CLASSES, Y, {"cv": KFold(3)})


def pandas_target_with_several_columns():
    Y = pd.DataFrame({"a": Y_NUMBERS, "b": -Y_NUMBERS})
    return Case(LinearRegression(), {"fit_intercept": [True, False]}, pd.DataFrame(X_NUMBERS).add_prefix("x"), Y)


def estimators_among_the_choices():
    pipe = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    grid = [
        {"scale": ["passthrough", StandardScaler(), MinMaxScaler()], "clf__C": [0.1, 1.0]},
        {"clf": [GaussianNB(), DecisionTreeClassifier(random_state=0)], "scale": [None]},
        {"clf": [DecisionTreeClassifier(random_state=0)], "clf__max_depth": [1, 3]},
    ]
    return Case(pipe, grid, X_CLASSES, Y_CLASSES)


def choices_of_mixed_types():
    return Case(KnownScore(), {"choice": [None, True, 1, 1.0, "1", False, 0, "None"]}, X_CLASSES, Y_CLASSES)


def choices_that_are_equal_numbers():
    return Case(KnownScore(), {"choice": [True, 1, 1.0], "x": [1, 1.0]}, X_CLASSES, Y_CLASSES)


def choices_that_are_containers():
    grid = {"choice": [(1, 2), [1], [2, 3], {"a": 1}, np.array([1, 2]), (), float("nan"), frozenset({3})]}
    return Case(KnownScore(), grid, X_CLASSES, Y_CLASSES)


def choices_that_are_tuples_of_one_length():
    return Case(KnownScore(), {"choice": [(1, 2), (3, 4)], "x": [1, 2]}, X_CLASSES, Y_CLASSES)


def choices_that_are_functions():
    pipe = make_pipeline(FunctionTransformer(), LogisticRegression())
    return Case(pipe, {"functiontransformer__func": [None, np.tanh, np.abs]}, X_CLASSES, Y_CLASSES)


def choices_that_are_lambdas():
    pipe = make_pipeline(FunctionTransformer(), LogisticRegression())
    grid = {"functiontransformer__func": [lambda X: X, lambda X: X**2]}
    return Case(pipe, grid, X_CLASSES, Y_CLASSES)


def choices_in_an_array_of_integers():
    return Case(TREE, {"max_depth": np.arange(1, 4)}, X_CLASSES, Y_CLASSES)


def choices_in_an_array_of_strings():
    return Case(TREE, {"criterion": np.array(["gini", "entropy"])}, X_CLASSES, Y_CLASSES)


def estimator_that_changes_its_params():
    return Case(ChangesItsParams(seen=[]), {"x": [2, 1, 3]}, X_CLASSES, Y_CLASSES)


def choices_that_the_estimator_changes():
    return Case(ChangesItsParams(), {"seen": [[5], [1]], "x": [2, 1]}, X_CLASSES, Y_CLASSES)


def estimator_with_its_own_generator():
    return Case(DrawsNumbers(random_state=np.random.RandomState(5)), {"x": [0.0, 0.1]}, X_CLASSES, Y_CLASSES)


def estimator_that_warns():
    return Case(WarnsInFit(), {"x": [0, 1]}, X_CLASSES, Y_CLASSES)


def score_as_an_integer(estimator, X, y):
    return int(np.sum(estimator.predict(X) == y))


def score_as_a_numpy_number(estimator, X, y):
    return np.float32(np.mean(estimator.predict(X) == y))


def scores_as_numpy_numbers(estimator, X, y):
    return {"n": np.int64(np.sum(estimator.predict(X) == y)), "share": np.float32(np.mean(estimator.predict(X) == y))}


def scores_that_are_integers():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"scoring": score_as_an_integer})


def scores_that_are_single_precision():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"scoring": score_as_a_numpy_number})


def scores_that_are_numpy_numbers_in_a_dict():
    search = {"scoring": scores_as_numpy_numbers, "refit": "n", "return_train_score": True}
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, search)


def first_candidate_of_a_callable_that_returns_a_dict_failing():
    search = {"scoring": two_scores, "refit": "right", "error_score": 0.25}
    return Case(FailsOn(bad=(0,)), {"x": [0, 1]}, X_CLASSES, Y_CLASSES, search)


def more_than_two_dimensions():
    grid = {"x": [1, 2]}
    return Case(KnownScore(), grid, X_CLASSES.reshape(60, 5, 1), Y_CLASSES, {"scoring": accuracy})


def missing_values_in_the_data():
    X = X_CLASSES.copy()
    X[::7, 0] = np.nan
    pipe = make_pipeline(SimpleImputer(), LogisticRegression())
    return Case(pipe, {"simpleimputer__strategy": ["mean", "median"]}, X, Y_CLASSES)


def data_in_column_order_and_single_precision():
    return Case(TREE, {"max_depth": [1, 2]}, np.asfortranarray(X_CLASSES, dtype=np.float32), Y_CLASSES)


def target_in_a_column():
    return Case(Ridge(), {"alpha": [0.1, 1.0]}, X_NUMBERS, Y_NUMBERS[:, None])


def weights_and_groups_in_tables():
    fit = {"groups": pd.Series(GROUPS).astype(str), "sample_weight": pd.Series(WEIGHTS, index=np.arange(60)[::-1])}
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": GroupKFold(3)}, fit)


def weights_that_are_none():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {}, {"sample_weight": None, "groups": None})


def fit_parameters_that_are_no_arrays():
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {}, {"check_input": True})


def one_sample_left_out():
    search = {"cv": LeaveOneOut(), "scoring": "neg_mean_absolute_error"}
    return Case(Ridge(), {"alpha": [0.1, 1.0]}, X_NUMBERS[:9], Y_NUMBERS[:9], search)


def folds_as_masks():
    folds = [(k != GROUPS, k == GROUPS) for k in range(3)]
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": folds})


def folds_that_overlap():
    folds = [(np.arange(40), np.arange(30, 60)), (np.arange(20, 60), np.arange(40))]
    return Case(TREE, {"max_depth": [1, 2]}, X_CLASSES, Y_CLASSES, {"cv": folds})


def all_tasks_sent_at_once():
    return Case(TREE, {"max_depth": [1, 2, 3]}, X_CLASSES, Y_CLASSES, {"pre_dispatch": "all"})


def one_task_sent_at_a_time():
    return Case(TREE, {"max_depth": [1, 2, 3]}, X_CLASSES, Y_CLASSES, {"pre_dispatch": 1})


def parameters_that_have_to_be_set_in_order():
    pipe = Pipeline([("clf", LogisticRegression())])
    grid = {"clf__max_depth": [1, 2], "clf": [DecisionTreeClassifier(random_state=0)]}
    return Case(pipe, grid, X_CLASSES, Y_CLASSES)


def the_best_of_many_equal_rows():
    return Case(KnownScore(), {"peak": [1.0, 1, True], "x": [3, 3.0]}, X_CLASSES, Y_CLASSES)


CASES = [
    classifier,
    classifier_with_train_scores,
    classifier_with_text_labels,
    classifier_on_lists,
    regressor,
    regressor_with_negative_scores,
    transformer_at_the_end_of_a_pipeline,
    clusterer_without_y,
    density_without_y,
    mixture_without_y,
    outlier_detector_with_y_for_scoring_only,
    scorers_as_a_list,
    scorers_as_a_tuple_without_refit,
    scorers_as_a_dict,
    scorers_as_a_dict_of_one,
    scorers_as_a_callable_that_returns_a_dict,
    scorers_as_a_callable_that_returns_a_dict_without_refit,
    scorer_as_a_callable_that_returns_a_number,
    scorer_of_probabilities,
    refit_false,
    refit_a_callable,
    refit_a_callable_over_several_scorers,
    list_of_dicts,
    empty_grid,
    list_of_dicts_with_an_empty_one,
    one_candidate,
    duplicates_in_the_grid,
    duplicates_across_dicts,
    ties,
    failing_candidate_with_nan,
    failing_candidate_with_a_number,
    failing_candidate_with_the_best_number,
    failing_candidate_with_several_scorers,
    failing_candidate_with_a_callable_that_returns_a_dict,
    candidates_failing_for_different_reasons,
    many_candidates_failing_first,
    candidate_failing_on_some_folds,
    failing_scorer_with_nan,
    failing_scorer_with_a_number,
    one_failing_scorer_of_two,
    first_of_two_scorers_always_failing_without_refit,
    nan_scores_without_an_error,
    minus_infinity_as_a_score,
    groups,
    groups_left_out_one_by_one,
    groups_routed,
    sample_weight_unrouted,
    sample_weight_unrouted_as_a_list,
    sample_weight_unrouted_with_scorers_that_know_none,
    sample_weight_unrouted_with_a_callable_that_knows_none,
    sample_weight_unrouted_into_a_pipeline,
    sample_weight_routed_to_fit_and_score,
    sample_weight_routed_under_another_name,
    sparse_matrix,
    sparse_array,
    sparse_input_to_a_transformer_in_a_pipeline,
    text,
    pandas_input,
    pandas_output,
    polars_input,
    one_shot_generator_of_folds,
    list_of_folds,
    splitter_with_its_own_generator,
    default_folds,
    precomputed_kernel,
    precomputed_distances_in_a_pipeline,
    several_numbers_to_predict,
    several_labels_per_sample,
    several_classes_to_predict,
    pandas_target_with_several_columns,
    estimators_among_the_choices,
    choices_of_mixed_types,
    choices_that_are_equal_numbers,
    choices_that_are_containers,
    choices_that_are_tuples_of_one_length,
    choices_that_are_functions,
    choices_that_are_lambdas,
    choices_in_an_array_of_integers,
    choices_in_an_array_of_strings,
    estimator_that_changes_its_params,
    choices_that_the_estimator_changes,
    estimator_with_its_own_generator,
    estimator_that_warns,
    scores_that_are_integers,
    scores_that_are_single_precision,
    scores_that_are_numpy_numbers_in_a_dict,
    first_candidate_of_a_callable_that_returns_a_dict_failing,
    more_than_two_dimensions,
    missing_values_in_the_data,
    data_in_column_order_and_single_precision,
    target_in_a_column,
    weights_and_groups_in_tables,
    weights_that_are_none,
    fit_parameters_that_are_no_arrays,
    one_sample_left_out,
    folds_as_masks,
    folds_that_overlap,
    all_tasks_sent_at_once,
    one_task_sent_at_a_time,
    parameters_that_have_to_be_set_in_order,
    the_best_of_many_equal_rows,
]


# GridSearchCV itself cannot send a generator to worker processes since scikit-learn 1.9.
ALONE = [one_shot_generator_of_folds]
ROUTED_CASES = [
    groups_routed,
    sample_weight_routed_to_fit_and_score,
    sample_weight_routed_under_another_name,
]


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_a_grid_gives_the_results_and_the_warnings_of_grid_search(build, n_jobs):
    with sklearn.config_context(enable_metadata_routing=build in ROUTED_CASES):
        case = build()
        their_jobs = None if build in ALONE else n_jobs
        theirs, their_warnings = fit_recorded(case.make(GridSearchCV, n_jobs=their_jobs), case.X, case.y, case.fit)
        if their_jobs is not None:  # what its worker processes warn of, it does not tell
            _, their_warnings = fit_recorded(case.make(GridSearchCV), case.X, case.y, case.fit)
        ours, our_warnings = fit_recorded(case.make(OptunaSearchCV, n_jobs=n_jobs), case.X, case.y, case.fit)
        assert_same_search(ours, theirs, case.X, case.y, case.score)
    ours, theirs = sorted(written_out(our_warnings), key=str), sorted(their_warnings, key=str)
    if n_jobs is not None and parse_version(sklearn.__version__) < parse_version("1.7"):
        # Filters do not travel to other processes there, and one text is heard once in each fold.
        ours, theirs = [*dict.fromkeys(ours)], [*dict.fromkeys(theirs)]
    assert ours == theirs


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_an_unfitted_search_has_the_methods_and_tags_of_grid_search(build):
    with sklearn.config_context(enable_metadata_routing=build in ROUTED_CASES):
        case = build()
        ours, theirs = case.make(OptunaSearchCV), case.make(GridSearchCV)
        assert {name: hasattr(ours, name) for name in DELEGATED} == {name: hasattr(theirs, name) for name in DELEGATED}
        assert get_tags(ours) == get_tags(theirs)


@pytest.mark.parametrize("build", [classifier, list_of_dicts, estimators_among_the_choices], ids=lambda b: b.__name__)
def test_the_parameter_may_be_called_param_grid(build):
    case = build()
    theirs = GridSearchCV(estimator=case.estimator, param_grid=case.grid, cv=3).fit(case.X, case.y)
    ours = OptunaSearchCV(estimator=case.estimator, param_grid=case.grid, cv=3).fit(case.X, case.y)
    assert_same_search(ours, theirs, case.X, case.y)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_second_fit_forgets_the_first(n_jobs):
    case, other = classifier(), refit_false()
    ours, theirs = case.make(OptunaSearchCV, n_jobs=n_jobs), case.make(GridSearchCV, n_jobs=n_jobs)
    for search in (ours, theirs):
        search.fit(other.X[::-1][:, :3], (other.y > 0)[::-1])
        search.fit(case.X, case.y)
    assert_same_search(ours, theirs, case.X, case.y)


def test_a_grid_named_as_the_sampler_is_the_same_search():
    case = list_of_dicts()
    theirs = case.make(GridSearchCV).fit(case.X, case.y)
    assert_same_search(case.make(OptunaSearchCV, sampler="grid").fit(case.X, case.y), theirs, case.X, case.y)


def test_results_of_one_and_of_two_processes_are_equal():
    case = estimators_among_the_choices()
    alone, together = (case.make(OptunaSearchCV, n_jobs=n_jobs).fit(case.X, case.y) for n_jobs in (None, 2))
    extra = {"trial_number", "trial_state"}
    assert_same_table(together.cv_results_, {k: v for k, v in alone.cv_results_.items() if k not in extra})


def test_a_callback_refit_sees_the_table_that_grid_search_shows():
    seen = []

    def first(results):
        seen.append({key: value for key, value in results.items() if key not in ("trial_number", "trial_state")})
        return 0

    case = list_of_dicts()
    for cls in (OptunaSearchCV, GridSearchCV):
        case.make(cls, refit=first).fit(case.X, case.y)
    ours, theirs = seen
    numbered = {"trial_number": np.arange(5), "trial_state": ["COMPLETE"] * 5}
    assert_same_table({**ours, **numbered}, theirs)


@pytest.mark.parametrize("backend", ["sequential", "threading"])
@pytest.mark.parametrize(
    "build", [classifier, candidates_failing_for_different_reasons, scorers_as_a_dict], ids=lambda build: build.__name__
)
def test_a_backend_of_joblib_changes_no_result(build, backend):
    case = build()
    theirs, their_warnings = fit_recorded(case.make(GridSearchCV), case.X, case.y, case.fit)
    with joblib.parallel_config(backend, n_jobs=2):
        ours, our_warnings = fit_recorded(case.make(OptunaSearchCV), case.X, case.y, case.fit)
    assert_same_search(ours, theirs, case.X, case.y)
    assert sorted(our_warnings, key=str) == sorted(their_warnings, key=str)


# --- what the caller owns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_estimators_among_the_choices_stay_as_the_caller_made_them(n_jobs):
    case = estimators_among_the_choices()
    owned = [case.estimator, *case.estimator.named_steps.values()]
    owned += [value for part in case.grid for values in part.values() for value in values if hasattr(value, "fit")]
    before = [dict(vars(value)) for value in owned]
    search = case.make(OptunaSearchCV, n_jobs=n_jobs).fit(case.X, case.y)
    assert [vars(value) for value in owned] == before
    used = [search.best_estimator_, *search.best_estimator_.named_steps.values()]
    assert not {id(value) for value in used if hasattr(value, "fit")} & {id(value) for value in owned}


def test_params_of_the_results_are_the_callers_objects():
    case = estimators_among_the_choices()
    search = case.make(OptunaSearchCV).fit(case.X, case.y)
    choices = [value for part in case.grid for values in part.values() for value in values]
    for params in search.cv_results_["params"]:
        assert all(any(value is choice for choice in choices) for value in params.values() if hasattr(value, "fit"))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_choices_that_an_estimator_changes_in_fit_stay_as_they_were(n_jobs):
    case = choices_that_the_estimator_changes()
    case.make(OptunaSearchCV, n_jobs=n_jobs).fit(case.X, case.y)
    assert case.grid == {"seen": [[5], [1]], "x": [2, 1]}


@pytest.mark.parametrize("build", [classifier, list_of_dicts, scorers_as_a_dict, groups], ids=lambda b: b.__name__)
def test_fit_changes_no_parameter(build):
    case = build()
    search = case.make(OptunaSearchCV)
    before = search.get_params(deep=False)
    search.fit(case.X, case.y, **case.fit)
    after = search.get_params(deep=False)
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)
    assert repr(clone(search)) == repr(search)


def test_each_candidate_of_a_grid_is_fitted_once_per_fold_and_the_best_once_more(tmp_path):
    log = tmp_path / "fits"
    grid = {"x": [3, 1, 2]}
    OptunaSearchCV(CountsFits(str(log)), grid, cv=4).fit(X_CLASSES, Y_CLASSES)
    fitted = [line.split()[0] for line in log.read_text().splitlines()]
    assert fitted == ["3"] * 4 + ["1"] * 4 + ["2"] * 4 + ["1"]


def test_a_duplicate_in_a_grid_is_not_fitted_again(tmp_path):
    log = tmp_path / "fits"
    search = OptunaSearchCV(CountsFits(str(log)), {"x": [3, 1, 3, 3]}, cv=2, refit=False).fit(X_CLASSES, Y_CLASSES)
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["3", "3", "1", "1"]
    assert [params["x"] for params in search.cv_results_["params"]] == [3, 1, 3, 3]


def test_two_jobs_fit_in_worker_processes(tmp_path):
    log = tmp_path / "fits"
    grid = {"x": list(range(6))}
    OptunaSearchCV(CountsFits(str(log)), grid, cv=2, refit=False, n_jobs=2).fit(X_CLASSES, Y_CLASSES)
    fitted = [line.split() for line in log.read_text().splitlines()]
    assert sorted(x for x, _ in fitted) == sorted([str(x) for x in grid["x"]] * 2)
    assert str(os.getpid()) not in {process for _, process in fitted}


class CountedFolds(KFold):
    """KFold that counts how often it is asked to split."""

    asked = 0

    def split(self, X, y=None, groups=None):
        self.asked += 1
        return super().split(X, y, groups)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("sampler", [None, "random"])
def test_the_folds_are_drawn_once(n_jobs, sampler):
    folds = CountedFolds(3, shuffle=True, random_state=np.random.RandomState(0))
    OptunaSearchCV(TREE, {"max_depth": [1, 2, 3]}, cv=folds, n_jobs=n_jobs, sampler=sampler).fit(X_CLASSES, Y_CLASSES)
    assert folds.asked == 1


# --- warnings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_failed_fits_are_told_in_one_warning_and_bad_scores_in_one_per_kind(n_jobs):
    case = candidates_failing_for_different_reasons()
    search = case.make(OptunaSearchCV, n_jobs=n_jobs, return_train_score=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(case.X, case.y)
    failed = [str(w.message) for w in caught if w.category is FitFailedWarning]
    odd = [str(w.message) for w in caught if w.category is not FitFailedWarning]
    assert len(failed) == 1
    assert "6 fits failed out of a total of 12" in failed[0]
    assert failed[0].count("3 fits failed with the following error") == 2
    assert "x=1 is bad in fit" in failed[0] and "x=2 is bad in fit" in failed[0]
    assert sorted(re.findall("One or more of the (test|train) scores are non-finite", "\n".join(odd))) == [
        "test",
        "train",
    ]
    assert len(odd) == 2


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("build", [classifier, clusterer_without_y, list_of_dicts, choices_of_mixed_types])
def test_a_search_that_works_warns_of_nothing(build, n_jobs):
    case = build()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        case.make(OptunaSearchCV, n_jobs=n_jobs).fit(case.X, case.y)


# --- errors -----------------------------------------------------------------------------------------------------------


def on(estimator, grid, X=X_CLASSES, y=Y_CLASSES, fit=None, **search):
    return Case(estimator, grid, X, y, search, fit or {})


def empty_folds():
    return iter(())


class MiscountedFolds(KFold):
    """KFold that announces one fold more than it gives."""

    def get_n_splits(self, X=None, y=None, groups=None):
        return self.n_splits + 1


def public_base(kind):
    """The first of the classes of an exception that a caller can name: Python's own, or scikit-learn's public ones."""
    return next(base for base in kind.__mro__ if base.__module__ in ("builtins", "sklearn.exceptions"))


TREE_GRID = {"max_depth": [1, 2]}
ROUTED_ERRORS = ["unknown_metadata", "metadata_nobody_asked_for"]
ERRORS = {
    "failing_fit_to_be_raised": (
        lambda: on(FailsOn(bad=(1,)), {"x": [0, 1]}, error_score="raise"),
        "x=1 is bad in fit",
    ),
    "failing_score_to_be_raised": (
        lambda: on(FailsOn(bad=(1,), where="score"), {"x": [0, 1]}, error_score="raise"),
        "x=1 is bad in score",
    ),
    "failing_scorer_to_be_raised": (
        lambda: on(KnownScore(), {"x": [0, 2]}, error_score="raise", scoring=failing_score),
        "no score for x=2",
    ),
    "every_fit_failing": (lambda: on(FailsOn(bad=(0, 1)), {"x": [0, 1]}), "(?s)fits failed.*x=0 is bad in fit"),
    "failing_refit": (
        lambda: on(FailsOn(bad=(1,)), {"x": [0, 1]}, error_score=5, refit=lambda results: 1),
        "x=1 is bad in fit",
    ),
    "several_scorers_without_a_refit_metric": (
        lambda: on(TREE, TREE_GRID, scoring=["accuracy", "f1_macro"]),
        "(?s)refit.*True",
    ),
    "refit_of_an_unknown_metric": (
        lambda: on(TREE, TREE_GRID, scoring=["accuracy", "f1_macro"], refit="speed"),
        "(?s)refit.*'speed'",
    ),
    "refit_of_an_unknown_metric_of_a_callable": (
        lambda: on(TREE, TREE_GRID, scoring=two_scores, refit="speed"),
        "(?s)refit.*'speed'",
    ),
    "dict_from_a_callable_without_a_refit_metric": (lambda: on(TREE, TREE_GRID, scoring=two_scores), "(?s)refit.*True"),
    "refit_callable_out_of_range": (
        lambda: on(TREE, TREE_GRID, refit=lambda results: 2),
        "best_index_ index out of range",
    ),
    "refit_callable_below_zero": (
        lambda: on(TREE, TREE_GRID, refit=lambda results: -1),
        "best_index_ index out of range",
    ),
    "refit_callable_giving_text": (
        lambda: on(TREE, TREE_GRID, refit=lambda results: "a"),
        "best_index_ returned is not an int",
    ),
    "refit_of_another_type": (lambda: on(TREE, TREE_GRID, refit=3), "refit"),
    "error_score_of_another_type": (lambda: on(TREE, TREE_GRID, error_score="ignore"), "(?s)error_score.*ignore"),
    "n_jobs_of_another_type": (lambda: on(TREE, TREE_GRID, n_jobs="two"), "(?s)n_jobs.*two"),
    "verbose_of_another_type": (lambda: on(TREE, TREE_GRID, verbose="much"), "(?s)verbose.*much"),
    "folds_of_another_type": (lambda: on(TREE, TREE_GRID, cv="three"), "(?s)cv.*three"),
    "no_folds": (lambda: on(TREE, TREE_GRID, cv=empty_folds), "(?i)no fits were performed|cv"),
    "splitter_that_miscounts": (lambda: on(TREE, TREE_GRID, cv=MiscountedFolds(3)), "(?s)inconsistent.*4.*3"),
    "unknown_scorer": (lambda: on(TREE, TREE_GRID, scoring="speed"), "(?s)scoring.*speed"),
    "unknown_scorers": (lambda: on(TREE, TREE_GRID, scoring=["accuracy", "speed"], refit="accuracy"), "speed"),
    "scorer_giving_text": (lambda: on(TREE, TREE_GRID, scoring=text_score), "(?s)scor.*good"),
    "estimator_without_score": (lambda: on(NoScore(), {"x": [0, 1]}), "(?s)scor.*NoScore"),
    "estimator_without_fit": (lambda: on("tree", TREE_GRID), "(?s)estimator.*'tree'"),
    "unknown_parameter": (lambda: on(TREE, {"depth": [1, 2]}), "depth"),
    "unknown_parameter_of_a_step": (
        lambda: on(Pipeline([("clf", LogisticRegression())]), {"clf__D": [1, 2]}),
        r"(?s)(Invalid parameter|parameter).*\bD\b|clf__D",
    ),
    "choices_that_are_none_at_all": (lambda: on(TREE, {"max_depth": []}), "max_depth"),
    "no_dict_of_choices": (lambda: on(TREE, []), r"No fits were performed|param_distributions=\[\]"),
    "one_value_for_choices": (
        lambda: on(TREE, {"max_depth": 3}),
        "'max_depth' needs to be a list or a numpy array.* 3 ",
    ),
    "text_for_choices": (lambda: on(TREE, {"criterion": "gini"}), "'criterion' needs to be a list or a numpy array"),
    "a_set_for_choices": (lambda: on(TREE, {"max_depth": {1}}), "'max_depth' needs to be a list or a numpy array"),
    "a_matrix_for_choices": (lambda: on(TREE, {"max_depth": np.ones((2, 2))}), "'max_depth' should be one-dimensional"),
    "no_scorer_in_a_list": (lambda: on(TREE, TREE_GRID, scoring=[], refit=False), "Empty list was given"),
    "one_scorer_twice": (
        lambda: on(TREE, TREE_GRID, scoring=["accuracy", "accuracy"], refit="accuracy"),
        "Duplicate elements were found",
    ),
    "no_data": (lambda: on(TREE, TREE_GRID, X=None), "Expected sequence or array-like"),
    "another_number_of_labels": (lambda: on(TREE, TREE_GRID, y=Y_CLASSES[:-1]), "(?s)inconsistent numbers.*60.*59"),
    "another_number_of_groups": (lambda: on(TREE, TREE_GRID, cv=GroupKFold(3), fit={"groups": GROUPS[:-1]}), "59"),
    "folds_by_group_without_groups": (
        lambda: on(TREE, TREE_GRID, cv=GroupKFold(3)),
        "'groups' parameter should not be None",
    ),
    "more_folds_than_samples": (lambda: on(TREE, TREE_GRID, cv=KFold(61)), "n_splits=61"),
    "unknown_fit_parameter": (lambda: on(TREE, TREE_GRID, fit={"speed": 3}), "speed"),
    "unknown_metadata": (lambda: on(TREE, TREE_GRID, fit={"speed": 3}), "speed"),
    "metadata_nobody_asked_for": (
        lambda: on(TREE, TREE_GRID, fit={"sample_weight": WEIGHTS}),
        "sample_weight",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_grid_search_refuses_is_refused_with_the_same_words(name):
    build, said = ERRORS[name]
    raised = []
    for cls in (GridSearchCV, OptunaSearchCV):
        case = build()
        routed = sklearn.config_context(enable_metadata_routing=name in ROUTED_ERRORS)
        with routed, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(Exception, match=said) as error:
                case.make(cls).fit(case.X, case.y, **case.fit)
        raised.append(error.value)
    theirs, ours = raised
    assert isinstance(ours, public_base(type(theirs)))


@pytest.mark.parametrize("name", ["failing_fit_to_be_raised", "failing_scorer_to_be_raised", "every_fit_failing"])
def test_what_fails_in_a_worker_process_is_raised_to_the_caller(name):
    build, said = ERRORS[name]
    case = build()
    with pytest.raises(ValueError, match=said):
        case.make(OptunaSearchCV, n_jobs=2).fit(case.X, case.y)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "score", "transform"])
@pytest.mark.parametrize("state", ["unfitted", "fitted without refit"])
def test_a_search_without_a_best_model_refuses_to_answer_as_grid_search_does(method, state):
    raised = []
    for cls in (GridSearchCV, OptunaSearchCV):
        search = cls(LogisticRegression(), {"C": [0.1, 1.0]}, refit=state == "unfitted", cv=2)
        if state != "unfitted":
            search.fit(X_CLASSES, Y_CLASSES)
        with pytest.raises((AttributeError, NotFittedError)) as error:
            getattr(search, method)(X_CLASSES)
        raised.append(error.value)
    theirs, ours = raised
    assert type(ours) is type(theirs)
    assert told(ours) == told(theirs)


def test_a_search_without_refit_still_knows_its_best_row():
    ours, theirs = (
        cls(LogisticRegression(), {"C": [0.01, 1.0]}, refit=False, cv=2).fit(X_CLASSES, Y_CLASSES)
        for cls in (OptunaSearchCV, GridSearchCV)
    )
    assert (ours.best_index_, ours.best_params_, ours.best_score_) == (
        theirs.best_index_,
        theirs.best_params_,
        theirs.best_score_,
    )
    assert not hasattr(ours, "best_estimator_") and not hasattr(ours, "refit_time_")


# --- what a person sees -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [False, True], ids=["test scores", "train scores too"])
@pytest.mark.parametrize("scoring", [None, ["accuracy", "f1_macro"]], ids=["one scorer", "two scorers"])
def test_verbose_3_prints_the_scores_of_each_fold_as_grid_search_does(capsys, train, scoring):
    printed = []
    for cls in (GridSearchCV, OptunaSearchCV):
        search = cls(TREE, TREE_GRID, scoring=scoring, refit=False, verbose=3, cv=3, return_train_score=train)
        search.fit(X_CLASSES, Y_CLASSES)
        printed.append(capsys.readouterr().out)
    theirs, ours = (re.findall(r"\b\w+=(?:\(train=[\d.]+, test=[\d.]+\)|[\d.]+)", text) for text in printed)
    assert [word for word in theirs if "." in word]
    assert sorted(word for word in ours if "." in word) == sorted(word for word in theirs if "." in word)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("sampler", [None, "random", "tpe"])
def test_verbose_0_prints_and_logs_nothing(capfd, caplog, n_jobs, sampler):
    with caplog.at_level("DEBUG"):
        OptunaSearchCV(TREE, TREE_GRID, sampler=sampler, n_jobs=n_jobs, cv=2, random_state=0).fit(X_CLASSES, Y_CLASSES)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith(("optuna", "optuna_search"))]


def test_html_shows_the_estimator_before_and_the_best_estimator_after_fit():
    search = OptunaSearchCV(make_pipeline(StandardScaler(), TREE), {"decisiontreeclassifier__max_depth": [1, 3]}, cv=2)
    html = estimator_html_repr(search)
    assert "OptunaSearchCV" in html and "estimator: Pipeline" in html and "best_estimator_" not in html
    html = estimator_html_repr(search.fit(X_CLASSES, Y_CLASSES))
    assert "best_estimator_: Pipeline" in html and "StandardScaler" in html


def test_repr_names_the_class_and_only_what_was_changed():
    search = OptunaSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, n_jobs=2)
    text = repr(search)
    assert text.startswith("OptunaSearchCV(") and "n_jobs=2" in text and "storage" not in text
