"""Pruning over a resource: each rung goes on where the last one ended, and only the whole of it can win."""

import inspect
import os
import signal
from typing import ClassVar

import joblib
import numpy as np
import pytest
import sklearn
from estimators import KnownScore
from optuna.distributions import FloatDistribution
from optuna.pruners import NopPruner, ThresholdPruner
from optuna.storages import InMemoryStorage
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from optuna_search import EarlyStopping, OptunaSearchCV
from optuna_search._request import check
from optuna_search._resource import resource_of, rungs
from optuna_search.exceptions import InvalidRequestError, SpaceError, StudyMismatchError

X, Y = load_iris(return_X_y=True)
CV = StratifiedKFold(3, shuffle=True, random_state=0)
HALVING = {"pruner": "successive-halving"}
SVCS = {"C": [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0], "gamma": [1e-3, 0.1, 10.0]}


def search(estimator, space, **params):
    return OptunaSearchCV(estimator, space, **{"cv": CV, "random_state": 0, **params})


def n_folds_of(found):
    """How many folds of each row were run."""
    return np.sum([np.isfinite(found.cv_results_[f"split{split}_test_score"]) for split in range(3)], axis=0)


def assert_complete_rows_are_those_of_grid_search(found, estimator, space, metric="score", rtol=0.0, **fit):
    """What has had the whole of a resource has the scores that it has without one; there is some, and one wins."""
    full = GridSearchCV(estimator, space, cv=CV).fit(X, Y, **fit).cv_results_
    complete = found.cv_results_["trial_state"] == "COMPLETE"
    assert complete.any() and not complete.all()
    assert found.cv_results_["params"] == full["params"]
    for split in range(3):
        key = f"split{split}_test_{metric}"
        np.testing.assert_allclose(found.cv_results_[key][complete], full[key][complete], rtol=rtol)
    assert np.isnan(found.cv_results_["mean_test_score"][~complete]).all()
    assert complete[found.best_index_]
    assert found.cv_results_["n_resources"][found.best_index_] == found.cv_results_["n_resources"].max()


# --- the rungs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whole", "smallest", "how", "expected"),
    [
        (100, 1, {}, (3, 11, 33, 100)),
        (100, 20, {}, (33, 100)),
        (100, 1, {"min_resources": "exhaust"}, (1, 3, 11, 33, 100)),
        (100, 20, {"min_resources": 10}, (11, 33, 100)),
        (27, 1, {"factor": 2}, (3, 6, 13, 27)),
        (10, 1, {"factor": 1.5, "min_resources": 1}, (1, 2, 4, 6, 10)),
        (1, 1, {}, (1,)),
    ],
)
def test_the_whole_is_divided_by_the_factor_down_to_the_smallest(whole, smallest, how, expected):
    assert rungs(search(SVC(), SVCS, **how), whole, smallest) == expected


def test_samples_of_the_first_rungs_have_every_class_and_are_among_those_of_the_next():
    made = search(SVC(), SVCS, resource="n_samples", factor=2)
    resource = resource_of(made, Y, list(CV.split(X, Y)))
    assert resource.amounts == (25, 50, 100)
    for split, (train, _) in enumerate(CV.split(X, Y)):
        parts = [set(resource.part(train, split, amount).tolist()) for amount in resource.amounts]
        assert parts[0] < parts[1] < parts[2] == set(train.tolist())
        for part, amount in zip(parts, resource.amounts, strict=True):
            assert len(part) == amount
            counted = np.bincount(Y[list(part)])
            assert counted.max() - counted.min() <= 1


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_more_and_more_samples(n_jobs):
    with joblib.parallel_config("threading"):
        found = search(SVC(), SVCS, resource="n_samples", n_jobs=n_jobs, **HALVING).fit(X, Y)
    assert_complete_rows_are_those_of_grid_search(found, SVC(), SVCS)
    assert set(found.cv_results_["n_resources"]) <= {33, 100}


def test_weights_and_groups_go_with_their_samples():
    weights = np.where(Y == 0, 10.0, 0.1)
    found = search(SVC(), SVCS, resource="n_samples").fit(X, Y, sample_weight=weights)
    assert_complete_rows_are_those_of_grid_search(found, SVC(), SVCS, sample_weight=weights)


def test_regression_has_no_classes():
    found = OptunaSearchCV(
        SGDClassifier(), {"alpha": [1.0]}, resource="n_samples", cv=3, max_resources=30, min_resources=5
    )
    resource = resource_of(found, None, [(np.arange(40), np.arange(40, 60))])
    assert resource.amounts == (10, 30) and len(set(resource.orders[0])) == 40


def test_fewer_samples_than_there_are_is_another_study():
    where = {"storage": InMemoryStorage(), "study_name": "svc"}
    search(SVC(), SVCS, resource="n_samples", **where).fit(X, Y)
    again = search(SVC(), SVCS, **where).fit(X, Y)  # what is complete has seen all samples: the study goes on
    assert again.n_trials_ == 18
    with pytest.raises(StudyMismatchError, match=r"\(training\): the study has nothing, given is up to 60 s"):
        search(SVC(), SVCS, resource="n_samples", max_resources=60, **where).fit(X, Y)


# --- an integer parameter ---------------------------------------------------------------------------------------------

FORESTS = {"max_depth": [1, 2, 5], "max_features": [1, 4]}


def test_a_forest_grows():
    forest = RandomForestClassifier(n_estimators=27, random_state=0)
    found = search(forest, FORESTS, resource="n_estimators", **HALVING).fit(X, Y)
    assert_complete_rows_are_those_of_grid_search(found, forest, FORESTS)
    assert len(found.best_estimator_.estimators_) == 27 and found.best_estimator_.warm_start is False
    assert set(found.cv_results_["n_resources"]) <= {1, 3, 9, 27}


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_it_grows_in_workers(backend):
    forest = RandomForestClassifier(n_estimators=9, random_state=0)
    with joblib.parallel_config(backend):
        found = search(forest, FORESTS, resource="n_estimators", n_jobs=2, **HALVING).fit(X, Y)
    assert_complete_rows_are_those_of_grid_search(found, forest, FORESTS)


def test_the_last_step_of_a_pipeline_goes_on_and_the_others_are_fitted_once():
    CountsFits.fitted = 0
    boosting = HistGradientBoostingClassifier(max_iter=9, max_leaf_nodes=4, random_state=0)
    model = Pipeline([("scale", CountsFits()), ("clf", boosting)])
    space = {"clf__learning_rate": [1e-3, 0.1, 0.3, 1.0]}
    found = search(model, space, resource="clf__max_iter", refit=False, **HALVING).fit(X, Y)
    assert CountsFits.fitted == 3 * 4
    found.best_estimator_ = None
    assert_complete_rows_are_those_of_grid_search(found, model, space)


class CountsFits(StandardScaler):
    fitted = 0

    def fit(self, X, y=None, sample_weight=None):
        CountsFits.fitted += 1
        return super().fit(X, y, sample_weight)


def lightgbm():
    made = pytest.importorskip("lightgbm").LGBMClassifier
    return made(n_estimators=9, min_child_samples=5, n_jobs=1, verbose=-1)


def xgboost():
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=9, n_jobs=1)


def catboost():
    made = pytest.importorskip("catboost").CatBoostClassifier
    return made(iterations=9, learning_rate=0.3, thread_count=1, verbose=False, allow_writing_files=False)


#: What grows, the resource, a parameter with some values for it, and whether it ends where one fit does.
GROWING = {
    "forest": (lambda: RandomForestClassifier(9, random_state=0), "n_estimators", ("max_depth", [1, 2, 4]), True),
    "boosting": (
        lambda: GradientBoostingClassifier(n_estimators=9, random_state=0), "n_estimators",
        ("learning_rate", [1e-3, 0.1, 0.5]), True,
    ),
    "histograms": (
        lambda: HistGradientBoostingClassifier(max_iter=9, random_state=0), "max_iter",
        ("learning_rate", [1e-3, 0.1, 0.5]), True,
    ),
    "SGD": (lambda: SGDClassifier(max_iter=9, random_state=0), "max_iter", ("alpha", [1e-4, 1e-2, 10.0]), False),
    "MLP": (
        lambda: MLPClassifier((4,), max_iter=9, random_state=0), "max_iter", ("learning_rate_init", [1e-5, 1e-2, 0.1]),
        False,
    ),
    "lightgbm": (lightgbm, "n_estimators", ("learning_rate", [1e-3, 0.1, 0.5]), True),
    "xgboost": (xgboost, "n_estimators", ("learning_rate", [1e-3, 0.1, 0.5]), True),
    "catboost": (catboost, "iterations", ("depth", [1, 2, 4]), True),
}  # fmt: skip


@pytest.mark.parametrize("in_pipeline", [False, True], ids=["bare", "in a Pipeline"])
@pytest.mark.parametrize("weighted", [None, "passed", "routed"])
@pytest.mark.parametrize("name", GROWING)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # nine iterations are few
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_all_that_grows_grows_bare_and_in_a_pipeline_with_weights_and_without(name, weighted, in_pipeline):
    make, resource, (parameter, values), exact = GROWING[name]
    with sklearn.config_context(enable_metadata_routing=weighted == "routed"):
        model, step, weights = make(), "", {}
        if weighted is not None:
            if "sample_weight" not in inspect.signature(model.fit).parameters:
                pytest.skip("it takes no weight")
            weights = {"sample_weight": np.where(Y == 0, 3.0, 0.5)}
        if weighted == "routed":
            if not hasattr(model, "set_fit_request"):
                pytest.skip("it cannot ask for a weight")
            model.set_fit_request(sample_weight=True)
        if in_pipeline:
            scale = StandardScaler()
            if weighted == "routed":
                scale.set_fit_request(sample_weight=False)
            elif weighted:
                weights = {"clf__sample_weight": weights["sample_weight"]}
            model, step = Pipeline([("scale", scale), ("clf", model)]), "clf__"
        scorer = make_scorer(accuracy_score)
        if weighted == "routed":
            scorer.set_score_request(sample_weight=False)
        how = {"cv": CV, "scoring": scorer}
        space = {step + parameter: values}
        found = OptunaSearchCV(model, space, resource=step + resource, **HALVING, **how).fit(X, Y, **weights)
        whole = GridSearchCV(model, space, refit=False, **how).fit(X, Y, **weights).cv_results_
    states = found.cv_results_["trial_state"]
    assert "COMPLETE" in states and not np.any(states == "FAIL")
    assert found.cv_results_["n_resources"][found.best_index_] == 9
    if exact:
        for row in np.flatnonzero(states == "COMPLETE"):
            assert found.cv_results_["mean_test_score"][row] == pytest.approx(whole["mean_test_score"][row], abs=1e-12)
    assert found.score(X, Y) > (0.6 if exact else 0.3)


#: What makes further trees others than those of one fit.
DRAWN = {"subsample": 0.5, "colsample_bytree": 0.5, "random_state": 0}


@pytest.mark.parametrize("in_pipeline", [False, True], ids=["bare", "in a Pipeline"])
@pytest.mark.parametrize("name", ["SGD", "MLP", "lightgbm", "xgboost"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # nine iterations are few
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_trial_that_raced_has_the_scores_of_plain_fits_and_its_study_goes_on_without_a_resource(name, in_pipeline):
    make, resource, (parameter, values), _ = GROWING[name]
    model, step = make(), ""
    if name in ("lightgbm", "xgboost"):
        model.set_params(**DRAWN, **{"subsample_freq": 1} if name == "lightgbm" else {})
    if in_pipeline:
        model, step = Pipeline([("scale", StandardScaler()), ("clf", model)]), "clf__"
    space, where = {step + parameter: values}, {"storage": InMemoryStorage(), "study_name": "raced"}
    found = search(model, space, resource=step + resource, **where).fit(X, Y).cv_results_
    whole = GridSearchCV(model, space, cv=CV, refit=False).fit(X, Y).cv_results_
    complete = found["trial_state"] == "COMPLETE"
    assert complete.any() and found["n_resources"].max() == 9
    for split in range(3):
        key = f"split{split}_test_score"
        assert found[key][complete].tolist() == whole[key][complete].tolist()
    assert search(model, space, **where).fit(X, Y).n_trials_ == 3


def test_max_resources_says_the_whole_and_belongs_to_the_identity_of_the_study():
    where = {"storage": InMemoryStorage(), "study_name": "forest"}
    forest = RandomForestClassifier(random_state=0)
    found = search(forest, FORESTS, resource="n_estimators", max_resources=9, **where).fit(X, Y)
    assert found.best_estimator_.n_estimators == 9 and found.cv_results_["n_resources"].max() == 9
    assert forest.n_estimators == found.estimator.n_estimators == 100
    with pytest.raises(StudyMismatchError, match=r"n_estimators: the study has 9, given is 100"):
        search(forest, FORESTS, **where).fit(X, Y)
    small = RandomForestClassifier(9, random_state=0)
    assert search(small, FORESTS, **where).fit(X, Y).n_trials_ == 6


@pytest.mark.parametrize(("model", "exact"), [(RandomForestClassifier(), True), (SGDClassifier(), False)], ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # nine iterations are few
def test_what_ends_elsewhere_than_one_fit_is_another_study_with_other_rungs(model, exact):
    where = {"storage": InMemoryStorage(), "study_name": "s", "resource": "max_iter", "pruner": "median"}
    where |= {"resource": "n_estimators"} if exact else {}
    space = {"max_features": [1, 2]} if exact else {"alpha": [1e-4, 1e-2]}
    search(model, space, max_resources=9, **where).fit(X, Y)
    other = search(model, space, max_resources=9, min_resources=9, **where)
    if exact:
        assert other.fit(X, Y).n_trials_ == 2
        return
    with pytest.raises(StudyMismatchError, match=r"the study has max_iter in steps to 1, 3, 9, given is nothing"):
        other.fit(X, Y)


def test_a_fork_of_it_takes_its_trials_along():
    forest = RandomForestClassifier(random_state=0)
    found = search(forest, FORESTS, resource="n_estimators", max_resources=9).fit(X, Y)
    fork = found.fork({"max_depth": [1, 2, 5, 7]}).fit(X, Y)
    assert len(fork.fork_report_.carried) == 6 and fork.n_trials_ == 2
    assert fork.cv_results_["n_resources"][:6].tolist() == found.cv_results_["n_resources"].tolist()


# --- passes -----------------------------------------------------------------------------------------------------------


def test_passes_over_the_data_add_up():
    model = Pipeline([("scale", StandardScaler()), ("clf", SGDClassifier(random_state=0))])
    space = {"clf__alpha": [1e-6, 1e-4, 1e-2, 1.0, 100.0]}
    found = search(model, space, resource="partial_fit", max_resources=9).fit(X, Y)
    for (train, test), split in zip(CV.split(X, Y), range(3), strict=True):
        scale = StandardScaler().fit(X[train])
        clf = SGDClassifier(random_state=0, alpha=found.best_params_["clf__alpha"])
        for _ in range(9):
            clf.partial_fit(scale.transform(X[train]), Y[train], classes=np.unique(Y))
        score = clf.score(scale.transform(X[test]), Y[test])
        assert score == found.cv_results_[f"split{split}_test_score"][found.best_index_]
    assert found.best_estimator_["clf"].t_ == 9 * len(X) + 1  # and so it was refitted


def test_a_study_of_passes_is_another_one_than_one_of_fits():
    where = {"storage": InMemoryStorage(), "study_name": "sgd"}
    space = {"alpha": [1e-4, 1e-2]}
    search(SGDClassifier(random_state=0), space, resource="partial_fit", max_resources=3, **where).fit(X, Y)
    with pytest.raises(StudyMismatchError, match=r"\(training\): the study has 3 passes of partial_fit, given is noth"):
        search(SGDClassifier(random_state=0), space, **where).fit(X, Y)


# --- budgets and storages ---------------------------------------------------------------------------------------------


def test_a_part_of_the_resource_is_that_part_of_a_fit():
    space = {"C": FloatDistribution(1e-3, 1e3, log=True)}
    found = search(SVC(), space, resource="n_samples", n_fits=30, sampler="random").fit(X, Y)
    amounts = found.cv_results_["n_resources"]
    # Each rung is a fit of its own, and the other folds get the whole at once.
    spent = (amounts + 33 * (amounts == 100)).sum() / 100 + (n_folds_of(found) - 1).sum()
    assert 30 <= spent < 34 and set(amounts) == {33, 100}


def test_where_all_folds_go_from_rung_to_rung_all_of_them_count():
    how = {"resource": "n_samples", "pruner": "successive-halving", "n_fits": 30, "sampler": "random"}
    amounts = search(SVC(), {"C": FloatDistribution(1e-3, 1e3, log=True)}, **how).fit(X, Y).cv_results_["n_resources"]
    assert 30 <= 3 * (amounts + 33 * (amounts == 100)).sum() / 100 < 34 and set(amounts) == {33, 100}


@pytest.mark.parametrize("pruner", ["racing", "successive-halving"])
def test_training_that_goes_on_counts_once(pruner):
    space = {"max_features": FloatDistribution(0.1, 1.0)}
    forest = RandomForestClassifier(9, random_state=0)
    how = {"resource": "n_estimators", "n_fits": 20, "sampler": "random", "pruner": pruner}
    found = search(forest, space, **how).fit(X, Y)
    climbed = 1 if pruner == "racing" else 3
    wholes = n_folds_of(found) - climbed
    assert 20 <= climbed * found.cv_results_["n_resources"].sum() / 9 + wholes.sum() < 23


class Grows(KnownScore):
    """Has the number of its trees for a score, and notes how it was fitted."""

    fits: ClassVar[list] = []

    def __init__(self, n_estimators=9, x=0.0):
        self.n_estimators = n_estimators
        self.x = x

    def fit(self, X, y):
        Grows.fits.append((self.x, self.n_estimators))
        return super().fit(X, y)

    def score(self, X, y):
        return self.x + self.n_estimators / 100


def test_where_trials_race_the_first_fold_goes_ahead_and_the_others_get_the_whole():
    Grows.fits.clear()
    found = search(Grows(), {"x": [3.0, 3.5, 4.0, 1.0]}, resource="n_estimators").fit(X, Y)
    whole = [1, 3, 9, 9, 9]
    assert Grows.fits[:-1] == [(x, n) for x in (3.0, 3.5, 4.0) for n in whole] + [(1.0, 1)]
    assert found.cv_results_["n_resources"].tolist() == [9, 9, 9, 1]
    assert n_folds_of(found).tolist() == [3, 3, 3, 1]
    assert found.cv_results_["split0_test_score"].tolist() == pytest.approx([3.09, 3.59, 4.09, 1.01])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, "pruned after 1 of 9 n_estimators, score 1.01"),
        ({"min_resources": 9}, "pruned after 1 fold, score 1.09"),
        ({"pruner": ThresholdPruner(lower=2)}, "pruned after 1 of 9 n_estimators, score 1.01"),
    ],
    ids=["at a rung", "with the whole in one fold", "at a rung of all folds"],
)
def test_a_line_says_how_far_a_pruned_trial_has_come(how, said, capsys):
    search(Grows(), {"x": [3.0, 3.5, 4.0, 1.0]}, resource="n_estimators", refit=False, verbose=2, **how).fit(X, Y)
    assert f"trial 3: {said} with x=1.0 (" in capsys.readouterr().err


def test_it_is_continued_and_read_back(storage):
    how = {"resource": "n_samples", "factor": 2, "sampler": "random", "storage": storage, "study_name": "svc"}
    space = {"C": FloatDistribution(1e-3, 1e3, log=True)}
    first = search(SVC(), space, n_trials=5, **how).fit(X, Y)
    found = search(SVC(), space, n_trials=10, **how).fit(X, Y)
    if storage is None:
        return
    assert found.cv_results_["n_resources"][:5].tolist() == first.cv_results_["n_resources"].tolist()
    read = OptunaSearchCV.from_study("svc", storage, SVC(), space)
    assert read.cv_results_["n_resources"].tolist() == found.cv_results_["n_resources"].tolist()
    assert read.best_score_ == found.best_score_


def test_without_a_pruner_all_get_the_whole():
    found = search(SVC(), SVCS, resource="n_samples", pruner=NopPruner()).fit(X, Y)
    assert set(found.cv_results_["trial_state"]) == {"COMPLETE"} and set(found.cv_results_["n_resources"]) == {100}


class DiesOnce(ClassifierMixin, BaseEstimator):
    """Ends its process at its third pass, once; then it scores how many passes it has seen."""

    def __init__(self, marker, x=0.0):
        self.marker, self.x = marker, x

    def partial_fit(self, X, y, classes=None):
        self.passes_ = getattr(self, "passes_", 0) + 1
        self.classes_ = np.unique(y)
        if self.passes_ == 3 and not os.path.exists(self.marker):
            open(self.marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return self

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        return float(self.passes_)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_rung_that_is_sent_again_goes_on_from_the_same_state(tmp_path):
    model = DiesOnce(str(tmp_path / "died"))
    found = search(model, {"x": [1.0, 2.0, 3.0]}, resource="partial_fit", max_resources=9, n_jobs=2, refit=False)
    with pytest.warns(Warning, match="fits failed"):
        results = found.fit(X, Y).cv_results_
    assert (tmp_path / "died").exists()
    for state, amount, scores in zip(
        results["trial_state"],
        results["n_resources"],
        np.transpose([results[f"split{i}_test_score"] for i in range(3)]),
        strict=True,
    ):
        assert state == "FAIL" or set(scores) == {float(amount)}


# --- what candidates put into a Pipeline ------------------------------------------------------------------------------

FOREST = Pipeline([("clf", RandomForestClassifier(9, random_state=0))])


def test_the_winner_gets_the_whole_whatever_a_step_that_it_brings_has():
    space = {"clf": [ExtraTreesClassifier(n_estimators=5, random_state=0)], "clf__max_depth": [1, 3]}
    found = search(FOREST, space, resource="clf__n_estimators", max_resources=12).fit(X, Y)
    assert found.cv_results_["n_resources"].max() == len(found.best_estimator_["clf"].estimators_) == 12


def test_a_step_that_does_not_have_the_resource_is_told_of_before_the_first_fit():
    with pytest.raises(
        InvalidRequestError, match=r"with clf=KNeighborsClassifier\(\): resource='clf__n_estimators' is"
    ):
        search(FOREST, {"clf": [FOREST["clf"], KNeighborsClassifier()]}, resource="clf__n_estimators").fit(X, Y)


def test_a_function_that_sets_the_resource_is_refused():
    def space(trial):
        return {"max_depth": 2} if trial.suggest_int("i", 0, 9) != 5 else {"n_estimators": 3}

    with pytest.raises(SpaceError, match="resource='n_estimators' is set by param_distributions as well"):
        search(RandomForestClassifier(), space, resource="n_estimators", n_trials=40, sampler="random").fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_step_that_ends_elsewhere_than_one_fit_makes_another_study():
    boosting = HistGradientBoostingClassifier(max_iter=9, random_state=0)
    model = Pipeline([("clf", boosting)])
    where = {"storage": InMemoryStorage(), "study_name": "s", "resource": "clf__max_iter"}
    space = {"clf": [boosting, SGDClassifier(max_iter=9, random_state=0)]}
    search(model, space, **where, **HALVING).fit(X, Y)
    with pytest.raises(StudyMismatchError, match=r"the study has clf__max_iter in steps to 1, 3, 9, given is nothing"):
        search(model, space, **where, pruner=NopPruner()).fit(X, Y)


def test_early_stopping_has_rows_enough_at_the_first_rung():
    model = EarlyStopping(HistGradientBoostingClassifier(max_iter=20, random_state=0), rounds=3)
    found = search(model, {"estimator__learning_rate": [0.01, 0.1, 1.0]}, resource="n_samples", **HALVING).fit(X, Y)
    assert set(found.cv_results_["trial_state"]) <= {"COMPLETE", "PRUNED"}


def test_a_study_that_goes_on_with_another_resource_does_not_mix_amounts():
    forest = RandomForestClassifier(9, random_state=0)
    where = {"storage": InMemoryStorage(), "study_name": "forest", "sampler": "grid", **HALVING}
    search(forest, FORESTS, n_trials=3, resource="n_estimators", **where).fit(X, Y)
    found = search(forest, FORESTS, n_trials=6, resource="n_samples", **where).fit(X, Y)
    amounts = dict(zip(found.cv_results_["trial_number"], found.cv_results_["n_resources"], strict=True))
    assert max(amounts[number] for number in range(3)) == 9 and {amounts[number] for number in (3, 4, 5)} <= {33, 100}
    assert found.cv_results_["trial_state"][found.best_index_] == "COMPLETE"


@pytest.mark.filterwarnings("ignore:The estimator RandomForestClassifier does not support callbacks")
@pytest.mark.skipif(not hasattr(OptunaSearchCV, "set_callbacks"), reason="scikit-learn 1.9 brought callbacks")
def test_callbacks_of_scikit_learn_hear_of_every_rung(capsys):
    from sklearn.callback import ProgressBar

    made = search(RandomForestClassifier(9, random_state=0), FORESTS, resource="n_estimators", **HALVING)
    assert made.set_callbacks(ProgressBar()).fit(X, Y).n_trials_ == 6


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "how", "words"),
    [
        (
            SVC(),
            {"resource": "speed"},
            "resource='speed' is no parameter of SVC. Give 'n_samples' or an integer parameter.",
        ),
        (SVC(), {"resource": "kernel"}, "resource='kernel' is no integer parameter: SVC has kernel='rbf'."),
        (SVC(), {"resource": "partial_fit"}, "needs an estimator with a method partial_fit, and SVC has none."),
        (
            SVC(),
            {"resource": "n_samples", "pruner": "wilcoxon"},
            "pruner='wilcoxon' compares folds, and with resource=",
        ),
        (SVC(), {"resource": "n_samples", "max_resources": 101}, "max_resources=101 is more than the 100 samples that"),
        (SVC(), {"resource": "n_samples", "min_resources": 101}, "min_resources=101 is more than the 100 samples that"),
        (
            RandomForestClassifier(),
            {"resource": "n_estimators", "min_resources": 101},
            "min_resources=101 is more than the n_estimators of the estimator, 100.",
        ),
        (SVC(), {"resource": "max_iter"}, "resource='max_iter' has no number in the estimator; say what the whole is"),
        (LogisticRegression(), {"resource": "verbose"}, "resource='verbose' has no number in the estimator; say what"),
        (
            RandomForestClassifier(),
            {"resource": "max_depth"},
            "resource='max_depth' has no number in the estimator",
        ),
        (
            KNeighborsClassifier(),
            {"resource": "n_neighbors"},
            "resource='n_neighbors' is in the space as well; leave it out there: max_resources says how much there is.",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_a_resource_is_refused_before_the_first_fit(estimator, how, words):
    space = {"n_neighbors": [1, 2]} if isinstance(estimator, KNeighborsClassifier) else {}
    with pytest.raises(InvalidRequestError) as raised:
        search(estimator, space, **how).fit(X, Y)
    assert words in str(raised.value)


def test_a_resource_of_a_step_is_checked_there():
    model = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    assert check(search(model, {"clf__C": [1.0]}, resource="clf__max_iter")) is not None
    with pytest.raises(InvalidRequestError, match="resource='clf__n_estimators' is no parameter of"):
        search(model, {"clf__C": [1.0]}, resource="clf__n_estimators").fit(X, Y)


def test_a_pipeline_without_steps_has_no_resource():
    with pytest.raises(
        InvalidRequestError, match="needs an estimator with a method partial_fit, and Pipeline has none"
    ):
        search(Pipeline([]), {}, resource="partial_fit").fit(X, Y)
