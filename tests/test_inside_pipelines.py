"""A search is an estimator like any other: in pipelines, in meta-estimators, in other searches, in files."""

import copy
import datetime
import inspect
import pickle

import joblib
import numpy as np
import optuna
import pandas as pd
import pytest
import sklearn
from estimators import KnownScore, SeesFrame
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import check_is_fitted
from test_parity import assert_same_array, assert_same_search, same_value

from optuna_search import OptunaSearchCV

BOTH = (OptunaSearchCV, GridSearchCV)
X, Y = make_classification(60, 5, n_informative=3, n_redundant=0, n_classes=3, random_state=0)
BINARY = (Y > 0).astype(int)
Y_TWO = np.column_stack([BINARY, np.arange(60) % 2])
X_NUMBERS, Y_NUMBERS = make_regression(50, 4, noise=5.0, random_state=0)
FRAME = pd.DataFrame(X, columns=list("abcde"))
WEIGHTS = np.random.default_rng(0).uniform(0.1, 3.0, 60)
GROUPS = np.arange(60) % 6


def logistic(cls, **more):
    return cls(LogisticRegression(), {"C": [0.01, 1.0]}, cv=2, **more)


def tree(cls, **more):
    return cls(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 3]}, cv=2, **more)


def ridge(cls, **more):
    return cls(Ridge(), {"alpha": [0.1, 10.0]}, cv=2, **more)


def pca(cls, **more):
    return cls(PCA(random_state=0), {"n_components": [1, 3]}, cv=2, **more)


# --- within other estimators ------------------------------------------------------------------------------------------

AROUND = {
    "last step of a Pipeline": lambda cls: (make_pipeline(StandardScaler(), logistic(cls)), X, Y),
    "transformer within a Pipeline": lambda cls: (make_pipeline(pca(cls), GaussianNB()), X, Y),
    "transformer in a FeatureUnion": lambda cls: (
        make_pipeline(FeatureUnion([("pca", pca(cls)), ("best", SelectKBest(k=2))]), GaussianNB()),
        X,
        Y,
    ),
    "transformer in a ColumnTransformer": lambda cls: (
        make_pipeline(ColumnTransformer([("pca", pca(cls), [0, 1, 2])], remainder="passthrough"), GaussianNB()),
        X,
        Y,
    ),
    "BaggingClassifier": lambda cls: (BaggingClassifier(tree(cls), n_estimators=3, random_state=0), X, Y),
    "BaggingClassifier in two processes": lambda cls: (
        BaggingClassifier(tree(cls), n_estimators=3, n_jobs=2, random_state=0),
        X,
        Y,
    ),
    "StackingClassifier": lambda cls: (
        StackingClassifier([("a", tree(cls)), ("b", logistic(cls))], final_estimator=logistic(cls), cv=2),
        X,
        Y,
    ),
    "StackingClassifier in two processes": lambda cls: (
        StackingClassifier([("a", tree(cls)), ("b", logistic(cls))], final_estimator=GaussianNB(), cv=2, n_jobs=2),
        X,
        Y,
    ),
    "VotingClassifier": lambda cls: (VotingClassifier([("a", tree(cls)), ("b", logistic(cls))], voting="soft"), X, Y),
    "MultiOutputClassifier": lambda cls: (MultiOutputClassifier(tree(cls)), X, Y_TWO),
    "ClassifierChain": lambda cls: (ClassifierChain(tree(cls), random_state=0), X, Y_TWO),
    "OneVsRestClassifier": lambda cls: (OneVsRestClassifier(logistic(cls)), X, Y),
    "CalibratedClassifierCV": lambda cls: (CalibratedClassifierCV(logistic(cls), cv=2), X, Y),
    "TransformedTargetRegressor": lambda cls: (
        TransformedTargetRegressor(ridge(cls), transformer=StandardScaler()),
        X_NUMBERS,
        Y_NUMBERS,
    ),
    "RFE": lambda cls: (RFE(ridge(cls), importance_getter="best_estimator_.coef_"), X_NUMBERS, Y_NUMBERS),
    "SelectFromModel": lambda cls: (
        make_pipeline(SelectFromModel(logistic(cls), importance_getter="best_estimator_.coef_"), GaussianNB()),
        X,
        Y,
    ),
    "search of two processes in a Pipeline": lambda cls: (make_pipeline(StandardScaler(), tree(cls, n_jobs=2)), X, Y),
}


@pytest.mark.parametrize("name", AROUND)
def test_a_model_around_a_search_predicts_as_around_grid_search(name):
    models = []
    for cls in BOTH:
        model, data, target = AROUND[name](cls)
        models.append(model.fit(data, target))
    ours, theirs = models
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        assert hasattr(ours, method) == hasattr(theirs, method)
        if hasattr(theirs, method):
            assert_same_array(getattr(ours, method)(data), getattr(theirs, method)(data))
    if hasattr(theirs, "classes_"):
        assert_same_array(ours.classes_, theirs.classes_)
    assert ours.score(data, target) == theirs.score(data, target)


def test_a_search_at_the_end_of_a_pipeline_has_the_results_of_grid_search():
    ours, theirs = (make_pipeline(StandardScaler(), logistic(cls)).fit(X, Y) for cls in BOTH)
    assert_same_search(ours[-1], theirs[-1], StandardScaler().fit_transform(X), Y)
    assert_same_array(ours.classes_, theirs.classes_)
    assert ours.n_features_in_ == theirs.n_features_in_


def test_a_search_in_a_search_has_the_results_of_grid_search_in_grid_search():
    grid = {"estimator__fit_intercept": [True, False], "cv": [2, 3]}
    inner_ours, inner_theirs = (logistic(cls) for cls in BOTH)
    ours = OptunaSearchCV(inner_ours, grid, cv=3).fit(X, Y)
    theirs = GridSearchCV(inner_theirs, grid, cv=3).fit(X, Y)
    for key in theirs.cv_results_:
        if not key.endswith("_time") and key != "params":
            assert_same_array(ours.cv_results_[key], theirs.cv_results_[key])
    assert ours.best_params_ == theirs.best_params_
    assert_same_search(ours.best_estimator_, theirs.best_estimator_, X, Y)


def test_a_search_in_a_search_may_have_spaces_among_its_choices():
    spaces = [{"C": [0.01]}, {"C": [0.1, 1.0], "fit_intercept": [True, False]}]
    inner = OptunaSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2)
    search = OptunaSearchCV(inner, {"param_distributions": spaces}, cv=2).fit(X, Y)
    assert search.cv_results_["params"][1]["param_distributions"] is spaces[1]
    assert len(search.best_estimator_.cv_results_["params"]) in (1, 4)


@pytest.mark.parametrize("outer_jobs", [None, 2])
@pytest.mark.parametrize("inner_jobs", [None, 2])
def test_nested_cross_validation_scores_as_with_grid_search(outer_jobs, inner_jobs):
    ours, theirs = (
        cross_val_score(logistic(cls, n_jobs=inner_jobs), X, Y, cv=KFold(3), n_jobs=outer_jobs) for cls in BOTH
    )
    assert_same_array(ours, theirs)


def test_estimators_of_cross_validate_come_back_from_worker_processes_fitted():
    ours, theirs = (
        cross_validate(logistic(cls), X, Y, cv=KFold(3), n_jobs=2, return_estimator=True, scoring="accuracy")
        for cls in BOTH
    )
    for our, their in zip(ours["estimator"], theirs["estimator"], strict=True):
        assert_same_search(our, their, X, Y)


def test_cross_val_predict_and_learning_curve_work_on_a_search():
    for ours, theirs in zip(
        *(
            (
                cross_val_predict(logistic(cls), X, Y, cv=KFold(2), method="predict_proba"),
                *learning_curve(logistic(cls), X, Y, cv=KFold(2), train_sizes=[20, 30]),
            )
            for cls in BOTH
        ),
        strict=True,
    ):
        assert_same_array(ours, theirs)


# --- with a pipeline inside -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_steps_of_a_pipeline_are_choices(n_jobs):
    pipe = Pipeline([("scale", StandardScaler()), ("reduce", PCA(random_state=0)), ("clf", LogisticRegression())])
    grid = [
        {"scale": ["passthrough", StandardScaler(), MinMaxScaler()], "reduce": ["passthrough", PCA(2)]},
        {"scale": [None], "clf": [GaussianNB(), LogisticRegression(C=0.1)], "reduce__n_components": [1, 2]},
    ]
    ours, theirs = (cls(pipe, grid, cv=2, n_jobs=n_jobs).fit(X, Y) for cls in BOTH)
    assert_same_search(ours, theirs, X, Y)


def test_parts_of_a_column_transformer_are_choices():
    frame = FRAME.assign(kind=np.where(GROUPS > 2, "u", "v"))
    columns = ColumnTransformer([("num", StandardScaler(), list("abcde")), ("cat", OneHotEncoder(), ["kind"])])
    pipe = Pipeline([("columns", columns), ("clf", LogisticRegression())])
    grid = [
        {"columns__num": [StandardScaler(), "passthrough", PCA(2, random_state=0)], "columns__cat": ["drop"]},
        {"columns__cat__drop": [None, "first"], "clf__C": [0.1]},
        {"columns": [ColumnTransformer([("some", "passthrough", ["a", "c"])]), columns]},
    ]
    ours, theirs = (cls(pipe, grid, cv=2).fit(frame, Y) for cls in BOTH)
    assert_same_search(ours, theirs, frame, Y)


def test_a_pipeline_may_keep_its_steps_in_a_cache(tmp_path):
    searches = []
    for cls in BOTH:
        pipe = Pipeline([("reduce", PCA(2)), ("clf", LogisticRegression())], memory=str(tmp_path / cls.__name__))
        searches.append(cls(pipe, {"clf__C": [0.1, 1.0]}, cv=2).fit(X, Y))
    for key in ("split0_test_score", "split1_test_score", "rank_test_score"):
        assert_same_array(*(search.cv_results_[key] for search in searches))


def test_a_search_may_be_a_choice():
    pipe = Pipeline([("scale", StandardScaler()), ("clf", GaussianNB())])
    ours, theirs = (cls(pipe, {"clf": [GaussianNB(), logistic(cls), tree(cls)]}, cv=2).fit(X, Y) for cls in BOTH)
    assert_same_array(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert ours.best_index_ == theirs.best_index_


# --- tables and their names -------------------------------------------------------------------------------------------


def test_a_search_knows_the_names_of_the_columns_it_was_fitted_on():
    ours, theirs = (logistic(cls).fit(FRAME, Y) for cls in BOTH)
    assert_same_array(ours.feature_names_in_, theirs.feature_names_in_)
    assert not hasattr(logistic(OptunaSearchCV).fit(X, Y), "feature_names_in_")
    assert not hasattr(logistic(OptunaSearchCV, refit=False).fit(FRAME, Y), "feature_names_in_")


def test_names_of_a_first_fit_do_not_outlive_a_second_on_an_array():
    ours, theirs = (logistic(cls).fit(FRAME, Y).fit(X, Y) for cls in BOTH)
    assert hasattr(ours.best_estimator_, "feature_names_in_") == hasattr(theirs.best_estimator_, "feature_names_in_")
    assert_same_array(ours.predict(X), theirs.predict(X))


def test_other_columns_are_refused_at_predict():
    search = logistic(OptunaSearchCV).fit(FRAME, Y)
    with pytest.raises(ValueError, match="feature names should match"):
        search.predict(FRAME.rename(columns={"a": "z"}))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_pipeline_under_set_output_hands_a_table_to_the_search(library):
    pytest.importorskip(library)
    search = OptunaSearchCV(SeesFrame(), {"x": [0, 1]}, cv=2)
    theirs = GridSearchCV(SeesFrame(), {"x": [0, 1]}, cv=2)
    for model in (search, theirs):
        scaler = StandardScaler().set_output(transform=library)
        Pipeline([("scale", scaler), ("search", model)]).fit(FRAME, Y)
    assert_same_array(search.cv_results_["mean_test_score"], np.array([1.0, 0.0]))
    assert_same_array(search.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_set_output_of_a_pipeline_with_a_search_over_a_classifier_at_its_end():
    ours, theirs = (
        make_pipeline(StandardScaler(), logistic(cls)).set_output(transform="pandas").fit(FRAME, Y) for cls in BOTH
    )
    assert_same_array(ours[-1].feature_names_in_, theirs[-1].feature_names_in_)
    assert_same_array(ours[-1].feature_names_in_, np.array(list("abcde"), dtype=object))
    assert_same_array(ours.predict(FRAME), theirs.predict(FRAME))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_output_set_inside_the_search_comes_out_of_it(n_jobs):
    ours, theirs = (
        cls(
            make_pipeline(StandardScaler(), PCA(random_state=0)).set_output(transform="pandas"),
            {"pca__n_components": [1, 2]},
            cv=2,
            n_jobs=n_jobs,
        ).fit(FRAME)
        for cls in BOTH
    )
    assert list(ours.transform(FRAME).columns) == ["pca0", "pca1"]
    assert_same_array(ours.transform(FRAME), theirs.transform(FRAME))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_the_global_configuration_reaches_every_fold(n_jobs):
    search = OptunaSearchCV(make_pipeline(StandardScaler(), SeesFrame()), {"seesframe__x": [0, 1]}, cv=2, n_jobs=n_jobs)
    with sklearn.config_context(transform_output="pandas"):
        search.fit(X, Y)
    assert_same_array(search.cv_results_["mean_test_score"], np.array([1.0, 0.0]))


def test_the_global_configuration_holds_for_what_the_search_transforms():
    with sklearn.config_context(transform_output="pandas"):
        ours, theirs = (pca(cls).fit(FRAME).transform(FRAME) for cls in BOTH)
    assert isinstance(ours, pd.DataFrame)
    assert_same_array(ours, theirs)


# --- metadata ---------------------------------------------------------------------------------------------------------


def weighted(cls):
    scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
    model = LogisticRegression().set_fit_request(sample_weight=True)
    return cls(model, {"C": [0.01, 1.0]}, scoring=scorer, cv=GroupKFold(3))


def test_weights_and_groups_are_routed_through_a_pipeline_into_the_search():
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        ours, theirs = (
            make_pipeline(scaler, weighted(cls)).fit(X, Y, sample_weight=WEIGHTS, groups=GROUPS) for cls in BOTH
        )
        scaled = scaler.fit_transform(X, sample_weight=WEIGHTS)
        assert_same_search(ours[-1], theirs[-1], scaled, Y, {"sample_weight": WEIGHTS})
        assert ours.score(X, Y, sample_weight=WEIGHTS) == theirs.score(X, Y, sample_weight=WEIGHTS)


def test_weights_and_groups_are_routed_through_cross_validate_into_the_search():
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        params = {"sample_weight": WEIGHTS, "groups": GROUPS}
        ours, theirs = (
            cross_validate(weighted(cls), X, Y, scoring=scorer, cv=GroupKFold(2), params=params)["test_score"]
            for cls in BOTH
        )
    assert_same_array(ours, theirs)


def test_a_search_asks_for_the_metadata_that_grid_search_asks_for():
    with sklearn.config_context(enable_metadata_routing=True):
        for make in (logistic, weighted):
            ours, theirs = (make(cls).get_metadata_routing() for cls in BOTH)
            for method in ("fit", "score", "predict"):
                asked = [routing.consumes(method, ["sample_weight", "groups", "other"]) for routing in (ours, theirs)]
                assert asked[0] == asked[1]


def test_weights_reach_the_model_inside_through_names_of_steps_without_routing():
    ours, theirs = (
        make_pipeline(StandardScaler(), logistic(cls)).fit(X, Y, **{f"{cls.__name__.lower()}__sample_weight": WEIGHTS})
        for cls in BOTH
    )
    assert_same_array(ours.predict_proba(X), theirs.predict_proba(X))


# --- parameters -------------------------------------------------------------------------------------------------------


def test_every_argument_is_a_parameter_and_stays_the_object_that_was_given():
    names = [name for name in inspect.signature(OptunaSearchCV).parameters if name != "estimator"]
    given = {name: object() for name in names}
    search = OptunaSearchCV(LogisticRegression(), **given)
    params = search.get_params(deep=False)
    assert set(params) == {*names, "estimator"}
    assert all(params[name] is given[name] for name in names)


@pytest.mark.parametrize("fitted", [False, True], ids=["before fit", "after fit"])
def test_clone_copies_the_parameters_and_nothing_else(fitted):
    sampler = optuna.samplers.RandomSampler(seed=0)
    search = OptunaSearchCV(LogisticRegression(), {"C": [0.01, 1.0, 2.0]}, n_trials=2, sampler=sampler, cv=2)
    if fitted:
        search.fit(X, Y)
    copied = clone(search)
    assert not [name for name in vars(copied) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        check_is_fitted(copied)
    assert copied.estimator is not search.estimator
    assert same_value(copied.param_distributions, search.param_distributions)
    assert type(copied.sampler) is type(sampler)
    assert [copied.n_trials, copied.cv, copied.scoring] == [2, 2, None]
    assert_same_array(
        copied.fit(X, Y).cv_results_["mean_test_score"],
        clone(search).fit(X, Y).cv_results_["mean_test_score"],
    )


@pytest.mark.parametrize("fitted", [False, True], ids=["before fit", "after fit"])
def test_parameters_are_set_by_name_through_every_level(fitted):
    pipe = Pipeline([("scale", StandardScaler()), ("search", tree(OptunaSearchCV))])
    if fitted:
        pipe.fit(X, Y)
    pipe.set_params(search__param_distributions={"max_depth": [2]}, search__cv=3, search__estimator__min_samples_leaf=4)
    assert pipe.get_params()["search__estimator__min_samples_leaf"] == 4
    search = pipe.fit(X, Y).named_steps["search"]
    assert search.best_params_ == {"max_depth": 2}
    assert search.n_splits_ == 3
    assert search.best_estimator_.min_samples_leaf == 4


def test_an_unknown_parameter_is_refused_by_name():
    with pytest.raises(ValueError, match="Invalid parameter 'speed'"):
        logistic(OptunaSearchCV).set_params(speed=3)


# --- files ------------------------------------------------------------------------------------------------------------


def by_pickle(search, path):
    return pickle.loads(pickle.dumps(search))


def by_joblib(search, path):
    joblib.dump(search, path / "search.joblib")
    return joblib.load(path / "search.joblib")


def by_deepcopy(search, path):
    return copy.deepcopy(search)


def by_skops(search, path):
    skops = pytest.importorskip("skops.io")
    skops.dump(search, path / "search.skops")
    return skops.load(path / "search.skops", trusted=skops.get_untrusted_types(file=path / "search.skops"))


def skops_keeps_times():
    """Whether the installed skops can keep a ``datetime``; those of Optuna's trials have some."""
    try:
        import skops.io
    except ImportError:
        return True  # by_skops skips
    try:
        skops.io.loads(skops.io.dumps(datetime.datetime(2020, 1, 1)), trusted=["datetime.datetime"])
    except TypeError:
        return False
    return True


WAYS = [by_pickle, by_joblib, by_deepcopy, by_skops]
FITTED_WAYS = [
    *WAYS[:3],
    pytest.param(
        by_skops, marks=pytest.mark.skipif(not skops_keeps_times(), reason="this skops cannot keep a datetime")
    ),
]
PIPE = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
PIPE_GRID = {"scale": ["passthrough", StandardScaler(), MinMaxScaler()], "clf__C": [0.1, 1.0]}


def assert_answers_alike(copied, search):
    """Assert that a copy of a fitted search predicts and shows what the search does."""
    assert_same_array(copied.predict(X), search.predict(X))
    assert_same_array(copied.predict_proba(X), search.predict_proba(X))
    assert copied.score(X, Y) == search.score(X, Y)
    assert repr(copied.best_params_) == repr(search.best_params_)
    assert copied.best_score_ == search.best_score_
    assert copied.best_index_ == search.best_index_
    assert copied.n_trials_ == search.n_trials_
    assert set(copied.cv_results_) == set(search.cv_results_)
    for key, column in search.cv_results_.items():
        if key.startswith(("split", "mean_", "std_", "rank_", "trial_")):
            np.testing.assert_array_equal(copied.cv_results_[key], column)
    assert [repr(params) for params in copied.cv_results_["params"]] == [
        repr(params) for params in search.cv_results_["params"]
    ]
    assert repr(copied.top_n_) == repr(search.top_n_)
    assert copied.top_n_[0].score == search.best_score_


@pytest.mark.parametrize("way", FITTED_WAYS)
@pytest.mark.parametrize("sampler", [None, "tpe"])
def test_a_fitted_search_comes_back_from_a_file(way, sampler, tmp_path):
    n_trials = None if sampler is None else 4
    search = OptunaSearchCV(PIPE, PIPE_GRID, sampler=sampler, n_trials=n_trials, random_state=0, cv=2).fit(X, Y)
    assert_answers_alike(way(search, tmp_path), search)


@pytest.mark.parametrize("way", FITTED_WAYS)
@pytest.mark.parametrize("name", ["kept.db", "kept.journal"])
def test_a_fitted_search_answers_without_its_storage(way, name, tmp_path):
    storage = tmp_path / name
    search = OptunaSearchCV(PIPE, PIPE_GRID, storage=str(storage), study_name="kept", cv=2).fit(X, Y)
    copied = way(search, tmp_path)
    storage.unlink()
    copied = way(copied, tmp_path)  # once more, now that the storage is gone
    assert_answers_alike(copied, search)
    assert not storage.exists()


@pytest.mark.parametrize("way", WAYS)
def test_an_unfitted_search_comes_back_from_a_file_and_can_be_fitted(way, tmp_path):
    search = OptunaSearchCV(PIPE, PIPE_GRID, cv=2)
    copied = way(search, tmp_path).fit(X, Y)
    assert_same_array(copied.cv_results_["mean_test_score"], search.fit(X, Y).cv_results_["mean_test_score"])


def test_a_search_that_was_loaded_can_be_fitted_again(tmp_path):
    search = OptunaSearchCV(PIPE, PIPE_GRID, cv=2).fit(X, Y)
    copied = by_pickle(search, tmp_path).fit(X, Y)
    assert_same_array(copied.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])


@pytest.mark.parametrize("way", FITTED_WAYS)
def test_a_pipeline_that_ends_in_a_fitted_search_comes_back_from_a_file(way, tmp_path):
    pipe = make_pipeline(StandardScaler(), logistic(OptunaSearchCV)).fit(X, Y)
    assert_same_array(way(pipe, tmp_path).predict_proba(X), pipe.predict_proba(X))


def test_a_fitted_search_leaves_a_process_in_a_small_pickle():
    search = OptunaSearchCV(KnownScore(), {"x": [1, 2, 3]}, cv=2).fit(np.zeros((100_000, 2)), np.zeros(100_000))
    assert len(pickle.dumps(search)) < 100_000, "the data should not be in it"
