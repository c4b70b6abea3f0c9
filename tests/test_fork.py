"""A fork begins with what its parent knows: every trial that is a point of the new space, and no other."""

import json
import pickle
import signal
import sqlite3
import warnings

import numpy as np
import optuna
import pytest
import scipy.stats
from estimators import FailsOn, KnownScore
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.trial import TrialState
from processes import Process, die_after
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from test_deaths import WRITES
from test_together import at_work, results_of, trials_of

from optuna_search import OptunaSearchCV, named, studies
from optuna_search._beyond import beyond
from optuna_search._store import Store
from optuna_search.exceptions import (
    InvalidRequestError,
    OptunaSearchWarning,
    SpaceError,
    StorageError,
    StudyMismatchError,
    VersionWarning,
)

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
GRID = {"x": [1, 2, 3, 4], "choice": ["a", "b"]}


def parent(space=None, estimator=None, **how):
    how = {"cv": 3, "random_state": 0, "refit": False} | how
    search = OptunaSearchCV(KnownScore() if estimator is None else estimator, GRID if space is None else space, **how)
    return search.fit(X, Y)


def forked(new_space, of=None, **params):
    return (parent() if of is None else of).fork(new_space, **({"n_trials": 1} | params)).fit(X, Y)


def carried_params(search):
    """The parameters of the trials that came over, as the search shows them."""
    origins = search.cv_results_.get("trial_origin", [])
    return [p for p, o in zip(search.cv_results_["params"], origins, strict=False) if o is not None]


def float_range(low, high, **how):
    return {"x": FloatDistribution(low, high, **how)}


# --- which trials come over -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "fits"),
    [
        (float_range(1, 4), float_range(0, 9), lambda x: True),
        (float_range(1, 4), float_range(2, 3), lambda x: 2 <= x <= 3),
        (float_range(1, 4), float_range(2, 8), lambda x: x >= 2),
        (float_range(1, 4), float_range(0.5, 8, log=True), lambda x: True),
        (float_range(1, 4, step=0.5), float_range(1, 4, step=1.0), lambda x: x == int(x)),
        ({"x": IntDistribution(1, 9)}, float_range(0, 5), lambda x: x <= 5),
        ({"x": IntDistribution(1, 9)}, {"x": IntDistribution(1, 9, step=2)}, lambda x: x % 2 == 1),
        ({"x": IntDistribution(1, 9)}, {"x": IntDistribution(2, 20, log=True)}, lambda x: x >= 2),
        ({"x": scipy.stats.norm(3, 1)}, float_range(3, 9), lambda x: x >= 3),
        ({"x": scipy.stats.beta(2, 3)}, {"x": scipy.stats.uniform(0.25, 1)}, lambda x: x >= 0.25),
        (float_range(1, 4), {"x": scipy.stats.norm(3, 1)}, lambda x: True),
        (float_range(1, 4), {"x": scipy.stats.expon(2)}, lambda x: x >= 2),
        ({"x": [1, 2.5, 4]}, float_range(2, 9), lambda x: x >= 2),
        ({"x": IntDistribution(1, 9)}, {"x": [3, 4, 5]}, lambda x: x in (3, 4, 5)),
    ],
    ids=[
        "widened", "narrowed", "shifted", "log", "coarser", "int to float", "a step", "int shifted and log",
        "scipy to a range", "scipy to another", "a range to scipy", "a range to a tail", "choices to a range",
        "a range to choices",
    ],
)  # fmt: skip
def test_a_number_comes_over_where_the_new_dimension_has_it(old, new, fits):
    before = parent(old, n_trials=8)
    after = forked(new, before, n_trials=2)
    expected = [params["x"] for params in before.cv_results_["params"] if fits(params["x"])]
    assert [params["x"] for params in carried_params(after)] == expected
    assert len(expected) > 0
    dropped = [params["x"] for params in before.cv_results_["params"] if not fits(params["x"])]
    assert [(one.parameter, one.value) for one in after.fork_report_.dropped] == [("x", value) for value in dropped]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (["a", "b"], ["a", "b", "c"], ["a", "b"]),
        (["a", "b", "c"], ["b"], ["b"]),
        (["a", "b"], ["b", "a"], ["a", "b"]),
        ([1, True, "1", None], [None, "1", 1.0], ["1", None]),
        ([StandardScaler(), "passthrough"], ["passthrough", MinMaxScaler(), StandardScaler()], None),
        ([StandardScaler(), StandardScaler(with_mean=False)], [StandardScaler(with_mean=False)], "one"),
        (named({"min": min, "max": max}), named({"max": max, "sum": sum}), [max]),
        ([min, max], CategoricalDistribution(["x"]), []),
        ([(1, 2), (3,)], [(3,), (4,)], [(3,)]),
    ],
    ids=["added", "removed", "reordered", "types", "objects", "objects removed", "names", "all others", "tuples"],
)
def test_a_choice_comes_over_where_the_new_choices_have_it(old, new, expected):
    before = parent({"choice": old})
    after = forked({"choice": new}, before, n_trials=None)
    got = [params["choice"] for params in carried_params(after)]
    if expected is None:
        assert [str(one) for one in got] == ["StandardScaler()", "passthrough"]
    elif expected == "one":
        assert [str(one) for one in got] == ["StandardScaler(with_mean=False)"]
    else:
        assert got == expected and list(map(type, got)) == list(map(type, expected))
    assert len(after.cv_results_["params"]) == len(new) if isinstance(new, list) else True, "the rest was searched"


def test_a_parameter_that_is_new_takes_the_value_that_the_estimator_had():
    before = parent({"x": [1, 2, 3]}, KnownScore(choice="b"))
    after = forked({"choice": ["a", "b"]}, before, n_trials=None)
    assert [p["choice"] for p in carried_params(after)] == ["b"] * 3
    assert [(one.trial_number, dict(one.params)) for one in after.fork_report_.filled] == [
        (number, {"choice": "b"}) for number in range(3)
    ]
    assert sorted(p["x"] for p in after.cv_results_["params"] if p["choice"] == "a") == [1, 2, 3]
    without = forked({"choice": ["a", "c"]}, before, n_trials=None)
    assert carried_params(without) == []
    assert {(one.parameter, one.value) for one in without.fork_report_.dropped} == {("choice", "b")}


def test_it_is_the_estimator_of_the_fit_and_not_what_became_of_it():
    model = KnownScore(choice="b")
    before = parent({"x": [1, 2, 3]}, model)
    model.set_params(**before.top_n_[0].params)  # what one does with the best parameters
    after = forked({"choice": ["a", "b"]}, before, n_trials=None)
    assert len(after.fork_report_.filled) == 3


def test_a_parameter_that_is_gone_must_have_the_value_that_the_estimator_has_now():
    before = parent()
    after = forked([{"x": [1, 2, 3, 4]}], before, estimator=KnownScore(choice="b"), n_trials=None)
    assert sorted(p["x"] for p in carried_params(after)) == [1, 2, 3, 4]
    assert {one.value for one in after.fork_report_.dropped} == {"a"}
    assert after.n_trials_ == 0, "nothing was left to do"
    other = forked([{"x": [1, 2, 3, 4]}], before, n_trials=None)  # its estimator has choice=None
    assert carried_params(other) == [] and other.n_trials_ == 4


def test_a_number_that_is_gone_may_be_whole_or_not():
    before = parent({"x": FloatDistribution(1, 3, step=1.0), "choice": ["a"]}, n_trials=3, sampler="grid")
    after = forked([{"choice": ["a", "b"]}], before, estimator=KnownScore(x=2), n_trials=None)
    assert len(after.fork_report_.carried) == 1


def test_a_pinned_parameter_keeps_the_trials_that_have_it():
    after = forked({"choice": ["b"]}, n_trials=None)
    assert [p["x"] for p in carried_params(after)] == [1, 2, 3, 4]
    assert after.n_trials_ == 0


def test_what_a_step_that_was_exchanged_had_is_what_counts():
    pipe = Pipeline([("scale", StandardScaler()), ("model", SVC(C=2.0))])
    space = {"model": [SVC(C=2.0), SVC(C=5.0), LogisticRegression(C=3.0)]}
    rng = np.random.RandomState(0)
    data, target = rng.normal(size=(40, 3)), np.arange(40) % 2
    before = OptunaSearchCV(pipe, space, cv=2, refit=False).fit(data, target)
    after = before.fork({"model__C": [2.0, 3.0, 5.0]}, n_trials=1).fit(data, target)
    came = [(type(p["model"]).__name__, p["model__C"]) for p in carried_params(after)]
    assert came == [("SVC", 2.0), ("SVC", 5.0), ("LogisticRegression", 3.0)]
    dropped = before.fork([{"model__C": [2.0, 5.0]}], n_trials=None).fit(data, target)
    assert [p["model__C"] for p in carried_params(dropped)] == [2.0, 5.0], "a nested parameter makes the same model"
    np.testing.assert_array_equal(dropped.cv_results_["mean_test_score"], before.cv_results_["mean_test_score"][:2])


CONDITIONAL = [{"x": [1, 2], "choice": ["a"]}, {"x": FloatDistribution(2, 5), "choice": ["b"]}]


def test_lists_of_dicts_come_over_into_the_dict_that_has_their_point():
    before = parent(CONDITIONAL, n_trials=12)
    after = forked({"x": FloatDistribution(1, 4)}, before, n_trials=2)
    expected = [p for p in before.cv_results_["params"] if p["x"] <= 4]
    assert carried_params(after) == expected
    assert {p["choice"] for p in expected} == {"a", "b"}
    alone = forked([{"x": FloatDistribution(1, 4), "choice": ["b", "c"]}], before, n_trials=2)
    assert carried_params(alone) == [p for p in expected if p["choice"] == "b"]


def test_a_point_that_one_dict_takes_in_part_comes_over_into_the_one_that_takes_it_whole():
    space = [{"x": FloatDistribution(0, 6)}, {"x": [3.0], "choice": ["a", "b"]}]
    before = parent(space, n_trials=12)
    after = forked(space, before, n_trials=2)
    assert carried_params(after) == list(before.cv_results_["params"])
    assert {p.get("choice") for p in carried_params(after)} == {None, "a", "b"}


def test_a_key_that_is_replaced_in_a_list_is_replaced_where_it_stands():
    before = parent([{"x": [1, 2]}, {"choice": ["a", "b"]}])
    assert before.fork({"x": [2, 3]}).param_distributions == [{"x": [2, 3]}, {"choice": ["a", "b"]}]
    assert before.fork({"peak": [5.0]}).param_distributions == [
        {"x": [1, 2], "peak": [5.0]},
        {"choice": ["a", "b"], "peak": [5.0]},
    ]


def old_function(trial):
    return {"x": trial.suggest_float("where", 1, 4), "choice": trial.suggest_categorical("choice", ["a", "b"])}


def new_function(trial):
    return {"x": trial.suggest_float("where", 2, 9), "choice": trial.suggest_categorical("choice", ["b", "c"])}


def shifting_function(trial):
    return {"x": trial.suggest_float("where", 1, 4) + 1, "choice": trial.suggest_categorical("choice", ["a", "b"])}


def test_a_function_is_asked_by_the_names_that_it_suggests():
    before = parent(old_function, n_trials=12)
    expected = [p for p in before.cv_results_["params"] if p["x"] >= 2 and p["choice"] == "b"]
    after = forked(new_function, before, n_trials=2)
    assert carried_params(after) == expected and expected
    assert carried_params(forked(shifting_function, before)) == [], "it makes other models of the same suggestions"


def test_a_function_and_a_dict_may_be_forked_into_each_other():
    before = parent(old_function, n_trials=12)
    after = forked([{"x": FloatDistribution(1, 4), "choice": ["a"]}], before, n_trials=2)
    assert carried_params(after) == [p for p in before.cv_results_["params"] if p["choice"] == "a"]

    def by_parameter(trial):
        return {"x": trial.suggest_int("x", 1, 3), "choice": trial.suggest_categorical("choice", ["a"])}

    back = forked(by_parameter, parent(), n_trials=1)
    assert [p["x"] for p in carried_params(back)] == [1, 2, 3]


def test_failed_trials_come_over_and_are_not_tried_again(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they fail on purpose
        before = parent({"x": [1, 2, 3]}, FailsOn(bad=(2,)))
        after = forked({"x": [1, 2, 3, 4]}, before, n_trials=None)
    assert list(after.cv_results_["trial_state"]) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert after.n_trials_ == 1
    assert after.study_.trials[1].user_attrs["failure"] == before.study_.trials[1].user_attrs["failure"]


models = st.fixed_dictionaries(
    {},
    optional={
        "x": st.sampled_from([[1, 2, 3], [2.0, 3], FloatDistribution(1, 3), IntDistribution(1, 4)]),
        "choice": st.sampled_from([[None], ["a", None], ["b", "a"]]),
        "peak": st.sampled_from([[10.0], [10.0, 5.0], FloatDistribution(5, 20, step=5)]),
    },
)


@settings(max_examples=40, deadline=None)
@given(models, models, st.sampled_from([1, 2.0]))
def test_whatever_comes_over_is_the_model_that_was_measured(old, new, x):
    before = parent(old, KnownScore(x=x), n_trials=5)
    search = before.fork([new], n_trials=1)
    if old.keys() and not old.keys() & new.keys():
        with pytest.raises(InvalidRequestError, match="shares no parameter"):
            search.fit(X, Y)
        return
    search.fit(X, Y)
    model = [clone(before.estimator).set_params(**p).get_params() for p in before.cv_results_["params"]]
    carried = search.fork_report_.carried
    for one, params in zip(carried, carried_params(search), strict=True):
        assert params.keys() == new.keys()
        assert clone(search.estimator).set_params(**params).get_params() == model[one.trial_number]
    if not search.fork_report_.retried and not search.fork_report_.reasons:
        assert len(carried) + len(search.fork_report_.dropped) == len(model)


# --- what comes with them ---------------------------------------------------------------------------------------------


def test_all_fold_scores_come_over_and_are_part_of_every_result():
    before = parent(scoring=["accuracy", "f1"], refit="f1", estimator=RandomForestClassifier(3, random_state=0),
                    space={"max_depth": [1, 2, 3]}, return_train_score=True)  # fmt: skip
    after = forked({"max_depth": [3, 2, 1]}, before, n_trials=None)
    for key, column in before.cv_results_.items():
        if key.startswith(("split", "mean", "std", "rank")):
            np.testing.assert_array_equal(after.cv_results_[key], column, err_msg=key)
    assert after.best_params_ == before.best_params_
    assert after.best_score_ == before.best_score_
    assert [one.score for one in after.top_n_] == [one.score for one in before.top_n_]
    assert after.best_trial_.value == before.best_trial_.value
    old, new = before.study_.trials, after.study_.trials
    assert [t.datetime_complete for t in new] == [t.datetime_complete for t in old]
    assert after.n_trials_ == 0 and after.best_estimator_.max_depth == before.best_params_["max_depth"]


def test_they_are_marked_with_where_they_came_from(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="svc")
    after = forked({"x": [1, 9], "choice": ["a"]}, before, study_name="wider", n_trials=None)
    assert list(after.cv_results_["trial_origin"]) == ["svc #0", None]
    assert {one.trial_number: one.origin for one in after.top_n_} == {0: "svc #0", 1: None}
    assert "svc #0" in repr(after.top_n_) and "svc #0" in after.top_n_._repr_html_()
    assert after.study_.trials[0].user_attrs["optuna_search:origin"]["trial"] == 0
    assert "trial_origin" not in before.cv_results_ and "from" not in repr(before.top_n_)
    kept = OptunaSearchCV.from_study("wider", tmp_path / "s.db", KnownScore())
    assert list(kept.cv_results_["trial_origin"]) == ["svc #0", None] and kept.n_trials_ == 1


def test_a_grid_is_whole_without_those_that_came_over(capsys):
    seen = []
    after = forked({"x": [1, 2, 3, 5]}, n_trials=None, verbose=1, callbacks=lambda study, trial: seen.append(trial))
    assert len(seen) == after.n_trials_ == 2 and len(after.cv_results_["params"]) == 8
    assert "2/2" in capsys.readouterr().err
    whole = forked({"x": [1, 2]}, n_trials=None, verbose=1)
    assert whole.n_trials_ == 0 and len(whole.cv_results_["params"]) == 4
    assert forked({"x": [1, 5]}, sampler="random", n_trials=4).n_trials_ == 2


def test_they_do_not_count_for_the_budget():
    before = parent()
    for budget, n in ({"n_trials": 3}, 3), ({"n_trials": None, "n_fits": 9, "sampler": "tpe"}, 3):
        after = forked({"x": FloatDistribution(1, 9)}, before, **budget)
        assert after.n_trials_ == n
        assert len(after.cv_results_["params"]) == 8 + n


def test_the_sampler_knows_them():
    class Looking(optuna.samplers.RandomSampler):
        seen = ()

        def sample_independent(self, study, trial, name, distribution):
            Looking.seen = [(t.params["x"], t.value) for t in study.get_trials(deepcopy=False)[:-1]]
            return super().sample_independent(study, trial, name, distribution)

    before = parent({"x": FloatDistribution(1, 4)}, n_trials=4)
    after = forked({"x": FloatDistribution(1, 9)}, before, sampler=Looking(seed=0), n_trials=4)
    known = [(t.params["x"], t.value) for t in after.study_.trials[:-1]]
    assert Looking.seen == known and known[:4] == [(t.params["x"], t.value) for t in before.study_.trials]


def test_a_known_candidate_is_not_fitted_again():
    after = forked({"x": [1, 2, 3, 4, 5]}, n_trials=10, sampler="random")
    assert after.n_trials_ == 2
    rows = [json.dumps(p, sort_keys=True) for p in after.cv_results_["params"]]
    assert len(set(rows)) == len(rows) == 10


def test_the_refitted_model_may_be_one_that_came_over():
    after = parent().fork({"x": [1, 3, 9]}, n_trials=None, refit=True).fit(X, Y)
    assert after.best_estimator_.x == 3


# --- other data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "change", "data"),
    [
        ("X", {}, (X + 1, Y)),
        ("y", {}, (X, 1 - Y)),
        ("splits", {"cv": 2}, (X, Y)),
        ("scoring", {"scoring": "accuracy"}, (X, Y)),
        ("error_score", {"error_score": 0.0}, (X, Y)),
        ("estimator", {"estimator": KnownScore(peak=3.0)}, (X, Y)),
    ],
)
def test_where_scores_mean_nothing_the_best_points_are_tried_first(what, change, data):
    before = parent(n_trials=None)
    after = before.fork({"x": [3, 4, 5, 6]}, n_trials=6, sampler="random", **change).fit(*data)
    best = [one.params for one in before.top_n_ if one.params["x"] >= 3]
    assert list(after.cv_results_["params"])[: len(best)] == best
    report = after.fork_report_
    assert (len(report.carried), len(report.filled), len(report.retried)) == (0, 0, len(best))
    assert [dict(one.params) for one in report.retried] == best
    assert after.n_trials_ == 6
    if what != "estimator":
        assert any(line.startswith(what) for line in report.reasons) and report.dropped == ()
    assert "trial_origin" not in after.cv_results_


def test_no_more_than_ten_points_are_tried_first_and_each_once(tmp_path):
    before = parent({"x": FloatDistribution(0, 6)}, n_trials=15)
    after = before.fork({}, n_trials=12, storage=tmp_path / "s.db", study_name="s").fit(X + 1, Y)
    best = [one.params["x"] for one in before.top_n_(10)]
    assert [p["x"] for p in after.cv_results_["params"]][:10] == best
    assert [one.params["x"] for one in after.fork_report_.retried] == best
    again = before.fork({}, n_trials=14, storage=tmp_path / "s.db", study_name="s").fit(X + 1, Y)
    assert len({p["x"] for p in again.cv_results_["params"]}) == 14
    assert again.fork_report_ == after.fork_report_


def test_each_outer_fold_of_a_nested_cross_validation_has_a_fork_of_its_own():
    storage = InMemoryStorage()
    before = parent({"x": FloatDistribution(0, 6)}, n_trials=5)
    fork = before.fork({}, storage=storage, study_name="{data}", n_trials=6, refit=True)
    cross_val_score(fork, X, Y, cv=3, error_score="raise")
    best = before.best_params_["x"]
    firsts = [optuna.load_study(study_name=name, storage=storage).trials[0].params["x"] for name in names_in(storage)]
    assert firsts == [best] * 3


def names_in(storage):
    return [study.study_name for study in storage.get_all_studies()]


# --- the report -------------------------------------------------------------------------------------------------------


def test_the_report_counts_lists_and_prints_as_a_short_table():
    report = forked({"x": [1, 2, 3, 10], "choice": ["b", "<c>"], "peak": [10.0]}, n_trials=1).fork_report_
    assert [one.trial_number for one in report.carried] == [4, 5, 6]
    assert dict(report.carried[0].params) == {"choice": "b", "peak": 10.0, "x": 1}
    assert [dict(one.params) for one in report.filled] == [{"peak": 10.0}] * 3
    assert {(one.parameter, one.value) for one in report.dropped} == {("choice", "a"), ("x", 4)}
    assert report.retried == ()
    lines = repr(report).splitlines()
    assert len(lines) == 7
    assert [line.split()[:2] for line in lines[2:]] == [
        ["carried", "3"], ["filled", "3"], ["dropped", "5"], ["retried", "0"], ["probed", "2"],
    ]  # fmt: skip
    assert "choice=a (4)" in lines[4] and "x=10" in lines[6]
    assert "<table>" in report._repr_html_() and "<c>" not in report._repr_html_()
    assert type(report).decode("p", json.loads(json.dumps(report.encode()))).encode() == report.encode()


@pytest.mark.parametrize(
    ("best", "old", "new", "expected"),
    [
        (9.5, (0, 10), (0, 50), [20, 30, 40]),
        (0.5, (0, 10), (-30, 10), [-7.5, -15, -22.5]),
        (9.5, (0, 10), (-30, 10), []),
        (9.5, (0, 10), (0, 10), []),
        (9.5, (0, 10), (0, 5), []),
    ],
    ids=["above", "below", "at the other end", "the same", "narrower"],
)
def test_beyond_the_end_that_the_best_value_is_nearer_to_there_are_points_to_try(best, old, new, expected):
    found = beyond({"x": best, "choice": "a"}, {"x": FloatDistribution(*new)}, {"x": FloatDistribution(*old)})
    assert [(point["x"], point["choice"]) for point in found] == [(value, "a") for value in expected]


def test_those_points_are_whole_stepped_and_logarithmic_as_the_new_range_is():
    def found(best, old, new):
        return [point["x"] for point in beyond({"x": best}, {"x": new}, {"x": old})]

    assert found(8, IntDistribution(1, 8), IntDistribution(1, 9)) == [8, 9]
    assert found(8, IntDistribution(1, 8), IntDistribution(0, 40, step=10)) == [20, 30]
    assert found(10.0, FloatDistribution(1, 10), FloatDistribution(1, 1e5, log=True)) == [1e2, 1e3, 1e4]
    assert found(0.0, FloatDistribution(0, 1), FloatDistribution(1e-3, 1, log=True)) == []
    assert found(1.0, FloatDistribution(0, 1), CategoricalDistribution(["a"])) == []
    assert found("a", CategoricalDistribution(["a", "b"]), CategoricalDistribution(["c", "a", "d"])) == ["c", "d"]
    assert found("a", None, CategoricalDistribution(["c", "a"])) == ["c"], "the estimator had what no trial searched"


def test_a_list_of_numbers_reached_from_the_least_to_the_largest(tmp_path):
    before = parent({"x": [0.5, 1, 2]}, n_trials=None)  # the best x is 3
    after = forked({"x": FloatDistribution(0.5, 10)}, before, n_trials=3)
    assert [dict(one.params) for one in after.fork_report_.probed] == [{"x": 4.0}, {"x": 6.0}, {"x": 8.0}]
    assert [params["x"] for params in own_params(after)] == [4.0, 6.0, 8.0]
    assert forked({"x": FloatDistribution(0.5, 2)}, before).fork_report_.probed == ()
    assert forked({"x": FloatDistribution(0.5, 10)}, parent({"x": [2]})).fork_report_.probed == (), "one is no range"


def own_params(search):
    """The parameters of the trials that did not come over."""
    rows = zip(search.cv_results_["params"], search.cv_results_["trial_origin"], strict=True)
    return [params for params, origin in rows if origin is None]


def test_where_the_parent_could_not_look_the_fork_looks_first(tmp_path):
    space = {"x": FloatDistribution(0, 2.5), "choice": ["a", StandardScaler()]}
    before = parent(space, n_trials=10, storage=tmp_path / "s.db")  # the best x is 3
    assert before.best_params_["x"] > 1.25
    wider = {"x": FloatDistribution(0, 10.5), "choice": ["a", StandardScaler(), MinMaxScaler()]}
    after = forked(wider, before, n_trials=5, study_name="w")
    assert [dict(one.params) for one in after.fork_report_.probed] == [
        {"choice": "MinMaxScaler()"}, {"x": 4.5}, {"x": 6.5}, {"x": 8.5},
    ]  # fmt: skip
    assert "choice=MinMaxScaler(); x=4.5, 6.5, 8.5" in repr(after.fork_report_)
    own = own_params(after)
    assert isinstance(own[0]["choice"], MinMaxScaler) and own[0]["x"] == before.best_params_["x"]
    assert [params["x"] for params in own[1:4]] == [4.5, 6.5, 8.5]
    assert {str(params["choice"]) for params in own[1:4]} == {str(before.best_params_["choice"])}
    again = forked(wider, before, n_trials=7, study_name="w")
    assert again.fork_report_ == after.fork_report_ and own_params(again)[:5] == own_params(after)


def test_where_all_is_tried_or_a_function_asks_for_more_there_is_nothing_to_look_for_first():
    assert forked({"x": [1, 2, 9]}, n_trials=None).fork_report_.probed == ()
    assert forked({"x": [1, 9, 2, 3]}, n_trials=2).fork_report_.probed[0].params == {"x": 9}
    assert forked({"x": [1, 2]}, n_trials=1).fork_report_.probed == ()
    assert len(forked({"choice": list("abcdefghijklmno")}, n_trials=1).fork_report_.probed) == 10, "of 13"

    def kinds(*names):
        def space(trial):
            if trial.suggest_categorical("kind", names) == "one":
                return {"x": trial.suggest_int("x", 1, 3)}
            return {"x": 2, "peak": trial.suggest_float("peak", 5, 10)}

        return space

    after = forked(kinds("one", "two"), parent(kinds("one"), n_trials=3), n_trials=4)
    assert len(after.fork_report_.carried) == 3 and after.fork_report_.probed == ()
    assert after.n_trials_ == 4


def test_only_a_fork_has_a_report():
    assert not hasattr(parent(), "fork_report_")


# --- where it is kept -------------------------------------------------------------------------------------------------


def test_a_fork_of_a_fork_knows_the_trials_of_both(tmp_path):
    first = parent({"x": [1, 2]}, storage=tmp_path / "s.db", study_name="first")
    second = forked({"x": [2, 3]}, first, study_name="second", n_trials=None)
    third = forked({"x": [1, 2, 3, 4]}, second, study_name="third", n_trials=None)
    assert list(third.cv_results_["trial_origin"]) == ["first #1", "second #1", None, None]
    entry = {one.name: one.forked_from for one in studies.list_studies(tmp_path / "s.db")}
    assert entry == {"first": None, "second": "first", "third": "second"}
    studies.rename_study("first", "renamed", tmp_path / "s.db")
    entry = {one.name: one.forked_from for one in studies.list_studies(tmp_path / "s.db")}
    assert entry == {"renamed": None, "second": "renamed", "third": "second"}


def test_a_fork_may_be_kept_elsewhere(storage, tmp_path):
    before = parent()
    first = before.fork({"x": [1, 2, 3, 5]}, storage=storage, study_name="f", n_trials=None).fit(X, Y)
    assert len(first.fork_report_.carried) == 6 and first.n_trials_ == 2
    there = first.fork({"x": [1, 5, 6]}, storage=tmp_path / "other.db", study_name="g", n_trials=None).fit(X, Y)
    assert len(there.fork_report_.carried) == 4 and there.n_trials_ == 2
    back = there.fork({"x": [1, 5, 6]}, storage=None, n_trials=None).fit(X, Y)
    assert len(back.fork_report_.carried) == 6 and back.n_trials_ == 0
    np.testing.assert_array_equal(back.cv_results_["mean_test_score"], there.cv_results_["mean_test_score"])


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_unfitted_fork_can_be_cloned_and_pickled(kind, tmp_path):
    before = parent(storage=None if kind == "memory" else tmp_path / "s.db", study_name="s")
    wider = before.fork({"x": [1, 2, 9]}, study_name="w", n_trials=None)
    for one in (clone(wider), pickle.loads(pickle.dumps(wider)), clone(pickle.loads(pickle.dumps(clone(wider))))):
        one.set_params(storage=None).fit(X, Y)
        assert len(one.fork_report_.carried) == 4 and one.n_trials_ == 2
    assert "fork_of" in wider.get_params() and "s" in repr(wider.fork_of)


def test_a_pickled_fork_holds_no_password(postgres_url, monkeypatch):
    password = postgres_url.partition("@")[0].rpartition(":")[2]
    before = parent(storage=postgres_url, study_name="s")
    wider = before.fork({"x": [1, 2, 9]}, study_name="w", n_trials=None)
    assert password.encode() not in pickle.dumps(wider) and password not in repr(wider.fork_of) + repr(wider)
    assert wider.fit(X, Y).n_trials_ == 2
    with pytest.raises(StorageError, match="has lost its password"):
        pickle.loads(pickle.dumps(wider)).fit(X, Y)


def test_a_fork_is_finished_by_running_it_again_and_does_not_need_its_parent_any_more(tmp_path):
    path = tmp_path / "s.db"
    before = parent(storage=path, study_name="s")
    first = forked({"x": [1, 2, 3, 10, 11]}, before, study_name="w", n_trials=2)
    studies.delete_study("s", path)
    again = forked({"x": [1, 2, 3, 10, 11]}, before, study_name="w", n_trials=4)
    assert (first.n_trials_, again.n_trials_) == (2, 4)
    assert again.fork_report_ == first.fork_report_
    assert list(again.cv_results_["trial_number"]) == list(range(6 + 4))


def test_trials_that_the_parent_gets_later_do_not_come_over_later(tmp_path):
    before = parent({"x": FloatDistribution(1, 4)}, n_trials=3, storage=tmp_path / "s.db", study_name="s")
    forked({}, before, study_name="w")
    before.set_params(n_trials=5).fit(X, Y)
    assert len(forked({}, before, study_name="w", n_trials=2).fork_report_.carried) == 3


def test_the_parent_never_changes(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="s")

    def everything():
        with sqlite3.connect(tmp_path / "s.db") as db:
            return list(db.iterdump())

    dump = everything()
    before.fork({"x": [1, 9]}, storage=tmp_path / "other.db", n_trials=None).fit(X, Y)
    assert everything() == dump
    forked({"x": [1, 9]}, before, study_name="w", n_trials=None)
    left = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}")
    assert left.trials == before.study_.trials and len(left.trials) == 8


#: A study, its record, its mark, six trials, the mark again.
N_WRITES = 10


def fork_until_killed(folder, n_writes):
    before = OptunaSearchCV.from_study("s", f"{folder}/s.db", KnownScore(), GRID, cv=3, refit=False)
    fork = before.fork({"x": [1, 2, 3, 9]}, study_name="w", n_trials=None, storage=f"{folder}/{n_writes}.journal")
    die_after(n_writes, [JournalStorage], WRITES)
    fork.fit(X, Y)


@pytest.mark.slow
def test_a_fork_that_is_killed_at_any_moment_is_finished_by_the_next_run(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="s")
    kept = before.study_.trials
    whole = forked({"x": [1, 2, 3, 9]}, before, study_name="whole", n_trials=None)
    for moment in range(N_WRITES + 1):
        with Process(fork_until_killed, tmp_path, moment) as process:
            assert process.wait() == -signal.SIGKILL, process.complaints
        again = before.fork(
            {"x": [1, 2, 3, 9]}, study_name="w", n_trials=None, storage=tmp_path / f"{moment}.journal"
        ).fit(X, Y)
        assert again.fork_report_ == whole.fork_report_
        for key in ("mean_test_score", "trial_origin", "trial_number"):
            np.testing.assert_array_equal(again.cv_results_[key], whole.cv_results_[key], err_msg=f"{key} {moment}")
    assert optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}").trials == kept


def fork_in(storage, n_trials):
    before = OptunaSearchCV.from_study("s", storage, KnownScore(), GRID, cv=3, refit=False)
    return before.fork({"x": [1, 2, 3, 9]}, study_name="w", n_trials=n_trials, cv=2)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["db", "journal"])
def test_several_that_fork_at_once_carry_each_trial_over_once(ending, tmp_path):
    storage = tmp_path / f"s.{ending}"
    made_of = {"n_trials": None, "space": {"x": [1.0, 2.0, 3.0, 4.0]}, "study_name": "s"}
    with at_work(tmp_path, storage, made_of, seconds=0.0) as process:
        results_of(process)
    wider = made_of | {"space": {"x": [1.0, 2.0, 3.0, 9.0]}, "study_name": "w", "fork_of": "s"}
    with at_work(tmp_path, storage, wider, 6, seconds=0.0) as processes:
        all_of_them = results_of(processes)
    assert len({json.dumps(one) for one in all_of_them}) == 1 and len(all_of_them) == 6
    done = [t for t in trials_of(storage, "w") if t.state == TrialState.COMPLETE]
    assert sorted(t.params["x"] for t in done) == ["1.0", "2.0", "3.0", "9.0"]
    assert sum("optuna_search:origin" in t.user_attrs for t in done) == 3


# --- by name, and from a kept study -----------------------------------------------------------------------------------


def test_a_fork_may_be_made_by_the_name_of_its_parent(tmp_path):
    parent({"choice": [StandardScaler(), "a", None], "x": [1, 2]}, storage=tmp_path / "s.db", study_name="s")
    space = {"choice": [None, "b", StandardScaler()], "x": IntDistribution(1, 3)}
    how = {"cv": 3, "refit": False, "storage": tmp_path / "s.db", "n_trials": 1}
    by_name = OptunaSearchCV(KnownScore(), space, fork_of="s", study_name="w", **how).fit(X, Y)
    assert [(str(p["choice"]), p["x"]) for p in carried_params(by_name)] == [
        ("StandardScaler()", 1), ("StandardScaler()", 2), ("None", 1), ("None", 2),
    ]  # fmt: skip
    assert isinstance(carried_params(by_name)[0]["choice"], StandardScaler)


def test_a_kept_study_can_be_forked_with_and_without_its_space(tmp_path):
    path = tmp_path / "s.db"
    parent(storage=path, study_name="s")
    with_space = OptunaSearchCV.from_study("s", path, KnownScore(), GRID, cv=3, refit=False)
    assert len(forked({"x": [1, 9]}, with_space, n_trials=None).fork_report_.carried) == 2
    without = OptunaSearchCV.from_study("s", path, KnownScore(), cv=3, refit=False)
    with pytest.raises(SpaceError, match="the space of the parent is not known here"):
        without.fork({"x": [1, 9]})
    whole = forked([{"x": [1, 9], "choice": ["a", "b"]}], without, n_trials=None)
    assert len(whole.fork_report_.carried) == 2


def test_initial_params_of_the_parent_were_tried():
    before = parent(initial_params=[{"x": 1}])
    assert before.fork({"x": [2, 3]}).initial_params is None
    assert parent(initial_params="default", space={"x": [0.0, 1]}).fork({}).initial_params == "default"
    assert before.fork({"x": [2, 3]}, initial_params=[{"x": 3}]).initial_params == [{"x": 3}]


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_a_fork_needs_a_parent():
    with pytest.raises(InvalidRequestError, match="no study to fork yet: call fit first"):
        OptunaSearchCV(KnownScore(), GRID).fork({})
    with pytest.raises(InvalidRequestError, match="param_grid: fork takes the space as new_space"):
        parent().fork({}, param_grid={})
    with pytest.raises(InvalidRequestError, match="n_trails: no parameter of OptunaSearchCV"):
        parent().fork({}, n_trails=3)
    with pytest.raises(SpaceError, match="the space of the parent is a function"):
        parent(old_function, n_trials=1).fork({"x": [1]})
    with pytest.raises(InvalidRequestError, match="fork_of=3 must be the name of a study"):
        OptunaSearchCV(KnownScore(), GRID, fork_of=3).fit(X, Y)


def unmade(storage, name="w"):
    return name not in names_in(optuna.storages.get_storage(f"sqlite:///{storage}"))


def test_a_parent_that_is_not_there_is_told_with_the_one_that_was_meant(tmp_path):
    path = tmp_path / "s.db"
    parent(storage=path, study_name="diabetes")
    how = {"storage": path, "study_name": "w"}
    with pytest.raises(StorageError, match=r"fork_of='diabtes' is not in this storage. Did you mean 'diabetes'\?"):
        OptunaSearchCV(KnownScore(), GRID, fork_of="diabtes", **how).fit(X, Y)
    gone = parent(storage=path, study_name="gone")
    studies.delete_study("gone", path)
    with pytest.raises(StorageError, match="fork_of='gone' is not in this storage"):
        forked({}, gone, study_name="w")
    assert unmade(path)


def test_a_study_of_something_else_is_no_parent(tmp_path):
    path = tmp_path / "s.db"
    optuna.create_study(study_name="theirs", storage=f"sqlite:///{path}")
    with pytest.raises(StorageError, match="'theirs' is a study that optuna_search did not make"):
        OptunaSearchCV(KnownScore(), GRID, fork_of="theirs", storage=path, study_name="w").fit(X, Y)
    (tmp_path / "text.db").write_text("no study at all")
    with pytest.raises(StorageError, match=r"text.db' is not an optuna_search study file"):
        OptunaSearchCV(KnownScore(), GRID, fork_of="s", storage=tmp_path / "text.db", study_name="w").fit(X, Y)
    assert (tmp_path / "text.db").read_text() == "no study at all"


def test_a_name_that_exists_is_refused_and_left_alone(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="s")
    other = parent({"x": [7]}, storage=tmp_path / "s.db", study_name="other")
    with pytest.raises(StudyMismatchError, match="study_name='other' exists already and is no fork"):
        forked({"x": [1, 9]}, before, study_name="other")
    with pytest.raises(StudyMismatchError, match="study_name='s' exists already and is the parent itself"):
        forked({"x": [1, 9]}, before, study_name="s")
    forked({"x": [1, 9]}, other, study_name="of other")
    with pytest.raises(StudyMismatchError, match="space"):
        forked({"x": [1, 8]}, other, study_name="of other")
    assert [len(one.study_.trials) for one in (before, other)] == [8, 1]


def test_a_space_that_shares_no_parameter_is_refused(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="s")
    with pytest.raises(InvalidRequestError, match=r"fork \(peak\) shares no parameter with its parent \(choice"):
        forked([{"peak": [1.0, 2.0]}], before, study_name="w")
    assert unmade(tmp_path / "s.db")


def scorer(sign):
    if sign > 0:

        def score(y, predicted):
            return float(np.mean(y == predicted))

    else:

        def score(y, predicted):
            return -float(np.mean(y == predicted))

    return make_scorer(score)


def test_other_code_under_the_same_name_is_refused(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="s", scoring=scorer(1))
    with pytest.raises(StudyMismatchError, match=r"measured with other code of scoring") as caught:
        forked({"x": [1, 9]}, before, study_name="w", scoring=scorer(-1))
    assert "Give changed code a name of its own" in str(caught.value)
    assert any("scoring" in line for line in caught.value.differences)
    assert unmade(tmp_path / "s.db")


class AnotherKind(KnownScore):
    """A model of another class."""


def test_another_kind_of_estimator_is_refused(tmp_path):
    parent(storage=tmp_path / "s.db", study_name="s")
    how = {"storage": tmp_path / "s.db", "study_name": "w", "cv": 3}
    with pytest.raises(StudyMismatchError, match="measured with another kind of estimator"):
        OptunaSearchCV(AnotherKind(), GRID, fork_of="s", **how).fit(X, Y)
    assert unmade(tmp_path / "s.db")


@pytest.mark.parametrize("name", ['it\'s "quoted"', "../../up", "/etc/passwd", "n" * 300, "\u202eright to left", "CON"])
def test_any_text_is_the_name_of_a_fork_and_never_a_path(name, tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    before = parent(storage=folder / "s.db", study_name=f"{name} old")
    after = forked({"x": [1, 9]}, before, study_name=name, n_trials=None)
    assert after.study_.study_name == name and len(after.fork_report_.carried) == 2
    assert {path.name for path in tmp_path.rglob("*")} <= {"inside", "s.db", "s.db-wal", "s.db-shm"}
    with pytest.raises(InvalidRequestError, match="the character NUL"):
        forked({"x": [1, 9]}, before, study_name="a\0b")


def test_other_versions_warn(monkeypatch, tmp_path):
    before = parent()
    monkeypatch.setattr("sklearn.__version__", "0.1")
    with pytest.warns(VersionWarning, match="scikit-learn"):
        forked({"x": [1, 9]}, before)


def test_other_folds_of_the_same_number_are_other_folds():
    before = parent(cv=KFold(3, shuffle=True, random_state=0))
    after = forked({"x": [3, 9]}, before, cv=KFold(3, shuffle=True, random_state=1))
    assert after.fork_report_.carried == () and after.fork_report_.retried


class Picky(BaseEstimator):
    """Takes no parameter but one."""

    def __init__(self, x=1):
        self.x = x

    def fit(self, X, y=None):
        return self

    def score(self, X, y=None):
        return float(self.x)


def test_a_parent_without_trials_gives_nothing():
    before = parent(storage=InMemoryStorage(), study_name="s", estimator=Picky(), space={"x": [1, 2]})
    study = before.storage
    empty = OptunaSearchCV(Picky(), {"x": [1, 2]}, storage=study, study_name="e", cv=3, refit=False, timeout=1e-9)
    with pytest.raises(ValueError, match="Not one trial was finished"):
        empty.fit(X, Y)
    after = OptunaSearchCV(Picky(), {"x": [2, 3]}, storage=study, fork_of="e", study_name="w", cv=3).fit(X, Y)
    assert after.n_trials_ == 2 and after.fork_report_.carried == ()


# --- models that look alike -------------------------------------------------------------------------------------------


def test_what_was_set_inside_of_a_step_is_not_forgotten_with_its_name():
    pipe = Pipeline([("model", SVC())])
    rng = np.random.RandomState(0)
    data, target = rng.normal(size=(40, 3)), np.arange(40) % 2
    space = {"model": [SVC()], "model__C": [0.001, 1.0, 100.0]}
    before = OptunaSearchCV(pipe, space, cv=2, refit=False).fit(data, target)
    after = before.fork([{"model": [SVC()]}], n_trials=None).fit(data, target)
    assert [one.trial_number for one in after.fork_report_.carried] == [1]
    assert [one.parameter for one in after.fork_report_.dropped] == ["model__C"] * 2


def test_a_whole_number_that_means_something_else_as_a_fraction_does_not_come_over():
    forest = RandomForestClassifier(2, random_state=0)
    before = parent({"max_features": IntDistribution(1, 2)}, forest, n_trials=2, sampler="grid")
    after = forked({"max_features": FloatDistribution(0.1, 1.0)}, before, sampler=None)
    assert [(one.parameter, one.value) for one in after.fork_report_.dropped] == [
        ("max_features", 1),
        ("max_features", 2),
    ]
    whole = parent({"n_estimators": IntDistribution(1, 2)}, forest, n_trials=2, sampler="grid")
    assert len(forked({"n_estimators": [1, 2, 3]}, whole, sampler=None).fork_report_.carried) == 2


def test_a_value_in_the_far_tail_of_a_distribution_does_not_come_over_as_another_one():
    after = forked({"x": scipy.stats.norm(0, 1)}, parent({"x": [0.5, 5.0, 9.5]}), n_trials=1)
    assert [p["x"] for p in carried_params(after)] == pytest.approx([0.5])
    gap = scipy.stats.rv_histogram((np.array([1, 0, 1]), np.array([0.0, 4.0, 8.0, 12.0])))()
    after = forked({"x": gap}, parent({"x": [1.0, 5.0, 8.5]}))
    assert [p["x"] for p in carried_params(after)] == pytest.approx([1, 8.5])


def test_a_choice_with_a_name_is_not_the_text_of_that_name(tmp_path):
    parent({"choice": named({"a": None, "b": 3})}, storage=tmp_path / "s.db", study_name="s")
    how = {"storage": tmp_path / "s.db", "fork_of": "s", "cv": 3, "refit": False}
    plain = OptunaSearchCV(KnownScore(), {"choice": ["a", "b"]}, study_name="p", **how).fit(X, Y)
    assert plain.fork_report_.carried == () and len(plain.fork_report_.dropped) == 2
    names = OptunaSearchCV(KnownScore(), {"choice": named({"b": 3, "c": 4})}, study_name="n", **how).fit(X, Y)
    assert [one.params for one in names.fork_report_.carried] == [{"choice": "b"}]


def choice_of(sign):
    if sign > 0:

        def weigh(x):
            return x

    else:

        def weigh(x):
            return -x

    return weigh


def test_a_function_whose_code_has_changed_is_another_choice():
    before = parent({"choice": [choice_of(1), "a"]})
    same = forked({"choice": [choice_of(1), "b"]}, before, n_trials=None)
    other = forked({"choice": [choice_of(-1), "b"]}, before, n_trials=None)
    assert (len(same.fork_report_.carried), len(other.fork_report_.carried)) == (1, 0)


def test_names_that_a_function_suggests_are_no_parameters():
    def exponent(trial):
        return {"x": 2.0 ** trial.suggest_int("peak", 0, 2)}

    before = parent(exponent, n_trials=3)
    after = forked([{"x": FloatDistribution(1, 4), "peak": FloatDistribution(5, 20)}], before)
    assert sorted(p["x"] for p in carried_params(after)) == [1, 2, 4]
    assert {p["peak"] for p in carried_params(after)} == {10.0}


def test_by_its_name_alone_a_parent_may_have_other_steps(tmp_path):
    data, target = np.random.RandomState(0).normal(size=(40, 3)), np.arange(40) % 2
    how = {"storage": tmp_path / "s.db", "cv": 2, "refit": False}
    OptunaSearchCV(Pipeline([("svc", SVC())]), {"svc__C": [1.0, 2.0]}, study_name="s", **how).fit(data, target)
    pipe = Pipeline([("model", SVC())])
    with pytest.raises(InvalidRequestError, match="shares no parameter"):
        OptunaSearchCV(pipe, {"model__C": [1.0]}, fork_of="s", study_name="w", **how).fit(data, target)
    space = {"svc__C": [1.0], "svc__gamma": ["auto", "scale"]}
    both = OptunaSearchCV(Pipeline([("svc", SVC())]), space, fork_of="s", study_name="b", **how).fit(data, target)
    assert len(both.fork_report_.carried) == 1


def test_random_cells_are_drawn_beside_those_that_came_over():
    before = parent({"x": [*range(10)], "choice": ["a", "b"]}, n_trials=10, sampler="random")
    after = forked({"choice": ["a", "b", "c"]}, before, n_trials=10, sampler="random")
    assert after.n_trials_ == 10 and len(after.cv_results_["params"]) == 20


def test_what_a_search_was_fitted_with_is_what_is_forked(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="s")
    parent({"x": [7]}, storage=tmp_path / "other.db", study_name="s")
    before.set_params(param_distributions={"peak": [1.0]}, storage=tmp_path / "other.db")
    assert len(forked({"x": [1, 9]}, before, study_name="w", n_trials=None).fork_report_.carried) == 2


def test_a_fork_that_is_interrupted_while_trials_come_over_goes_on_in_the_same_process(tmp_path, monkeypatch):
    before = parent()
    wider = before.fork({"x": [1, 2, 9]}, storage=tmp_path / "s.db", study_name="w", n_trials=None)
    add = Store.add
    calls = []

    def interrupted(store, trial):
        calls.append(trial)
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(store, trial)

    monkeypatch.setattr(Store, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wider.fit(X, Y)
    with pytest.raises(StudyMismatchError, match=r"is a fork of .* that was interrupted before every"):
        parent({"x": [1, 2, 9], "choice": ["a", "b"]}, storage=tmp_path / "s.db", study_name="w")
    wider.fit(X, Y)
    assert len(wider.fork_report_.carried) == 4 and wider.n_trials_ == 2
    assert len([o for o in wider.cv_results_["trial_origin"] if o]) == 4


def test_a_fork_of_a_fork_is_not_kept_in_its_parent(tmp_path):
    second = forked({"x": [1, 9]}, storage=tmp_path / "s.db", study_name="b", n_trials=None)
    with pytest.raises(StudyMismatchError, match="study_name='b' exists already and is the parent itself"):
        second.fork({}, study_name="b", n_trials=7).fit(X, Y)
    other = parent({"x": [1, 3], "choice": ["a"]}, storage=tmp_path / "s.db", study_name="a")
    with pytest.warns(OptunaSearchWarning, match=r"study_name='b' goes on with the 2 trials .* from 'a'\. For that"):
        again = forked([{"x": [1, 9], "choice": ["a", "b"]}], other, study_name="b", n_trials=None)
    assert again.fork_report_ == second.fork_report_


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "without a name"])
def test_a_script_that_makes_its_parent_again_goes_on_with_the_fork(kept, tmp_path):
    where = {"storage": tmp_path / "s.db"} if kept else {}
    how = {"storage": tmp_path / "w.db", "study_name": "w", "n_trials": None}
    first = forked({"x": [1, 9]}, parent(**where), **how)
    again = forked({"x": [1, 9]}, parent(**where), **how)
    assert again.fork_report_ == first.fork_report_ and len(again.study_.trials) == 4


def test_a_parent_is_known_by_what_it_is_whatever_its_name_is_now(tmp_path):
    before = parent(storage=tmp_path / "s.db", study_name="s")
    studies.rename_study("s", "t", tmp_path / "s.db")
    parent({"x": [7]}, storage=tmp_path / "s.db", study_name="s")
    after = forked({"x": [1, 9]}, before, study_name="w", n_trials=None)
    assert len(after.fork_report_.carried) == 2 and after.fork_report_.parent == "t"
    by_name = {"fork_of": "t", "storage": tmp_path / "s.db", "study_name": "w", "cv": 3, "refit": False}
    studies.delete_study("t", tmp_path / "s.db")
    kept = OptunaSearchCV(KnownScore(), {"x": [1, 9], "choice": ["a", "b"]}, **by_name).fit(X, Y)
    assert kept.fork_report_ == after.fork_report_


def test_a_step_that_becomes_a_parameter_is_the_one_in_which_was_searched():
    pipeline = Pipeline([("model", LogisticRegression(max_iter=300))])
    before = parent({"model__C": [0.1, 1.0]}, pipeline)
    after = forked({"model": [LogisticRegression(max_iter=300), SVC()]}, before, n_trials=None)
    assert [one.trial_number for one in after.fork_report_.carried] == [0, 1] and after.n_trials_ == 2
    alone = forked([{"model": [LogisticRegression(max_iter=300), SVC()]}], before, n_trials=None)
    assert [one.trial_number for one in alone.fork_report_.carried] == [1], "without C it is the default, 1"


def test_what_did_not_fit_is_told_of_the_dict_that_comes_nearest():
    def kinds(*C):
        linear = {"model": [LogisticRegression(max_iter=300)], "model__C": list(C)}
        return [{"model": [SVC()], "model__C": [1.0, 10.0]}, linear]

    before = parent(kinds(0.1, 1.0), Pipeline([("model", SVC())]))
    after = forked(kinds(0.1), before, n_trials=None)
    assert [(one.parameter, one.value) for one in after.fork_report_.dropped] == [("model__C", 1.0)]


def test_a_kept_fork_has_its_report(tmp_path):
    after = forked({"x": [1, 9]}, storage=tmp_path / "s.db", study_name="b", n_trials=None)
    kept = OptunaSearchCV.from_study("b", tmp_path / "s.db", KnownScore(), {"x": [1, 9], "choice": ["a", "b"]}, cv=3)
    assert kept.fork_report_ == after.fork_report_
    assert kept.fit(X, Y).fork_report_ == after.fork_report_


def test_another_class_of_estimator_is_refused_however_the_fork_is_made():
    told = r"(?s)another kind of estimator.*  - estimator: the study has estimators\.KnownScore, given is .*AnotherKind"
    with pytest.raises(StudyMismatchError, match=told):
        forked({"x": [1, 9]}, estimator=AnotherKind())


# --- what people see --------------------------------------------------------------------------------------------------

IRIS = load_iris(return_X_y=True)
SVCS = {"C": [0.1, 1.0, 10.0], "kernel": ["rbf", "linear"]}


def test_a_fork_whose_every_point_came_over_ends_well_without_a_fit():
    before = OptunaSearchCV(SVC(), SVCS, storage=InMemoryStorage(), study_name="svc").fit(*IRIS)
    pinned = before.fork({"kernel": ["rbf"]}, study_name="svc-rbf").fit(*IRIS)
    assert pinned.n_trials_ == 0
    assert len(pinned.top_n_) == len(pinned.fork_report_.carried) == 3
    assert pinned.best_params_ == {"C": 10.0, "kernel": "rbf"}
    assert pinned.score(*IRIS) > 0.9, "it is refitted"


def test_a_report_names_one_number_once_and_several_by_their_ends():
    before = OptunaSearchCV(SVC(), SVCS).fit(*IRIS)
    assert "C=0.1 (2)" in repr(before.fork({"C": [1.0, 10.0]}).fit(*IRIS).fork_report_)
    assert "C=0.1 to 1 (4)" in repr(before.fork({"C": [10.0]}).fit(*IRIS).fork_report_)


def test_the_name_of_a_study_can_be_read_from_every_table_that_shows_it(tmp_path):
    name = f"{HistGradientBoostingRegressor.__name__}-20261122-160153-fe5405"  # as a study gets one by itself
    how = {"storage": tmp_path / "s.db", "cv": 10}
    before = OptunaSearchCV(SVC(), SVCS, study_name=name, **how).fit(*IRIS)
    forked = before.fork({"C": [1.0, 10.0, 100.0]}, study_name="forked").fit(*IRIS)
    assert repr(studies.list_studies(tmp_path / "s.db")).count(name) == 2
    assert f"{name} #2 " in repr(forked.top_n_)
    found = studies.compare(before, forked)
    assert repr(found).count(name) == 2
    assert repr(found).count("+0.0000") == 10, "every fold has its difference"


def test_a_whole_number_that_is_gone_is_not_the_fraction_that_the_estimator_has():
    before = parent({"max_features": [1, 2], "n_estimators": [1]}, RandomForestClassifier(random_state=0))
    other = RandomForestClassifier(random_state=0, max_features=1.0)
    assert forked([{"n_estimators": [1, 2]}], before, estimator=other).fork_report_.carried == ()
    same = RandomForestClassifier(random_state=0, max_features=1)
    assert len(forked([{"n_estimators": [1, 2]}], before, estimator=same).fork_report_.carried) == 1
