"""Callbacks that come with the library: rules that stop a search, and what a callback reads in a trial."""

import copy
import pickle
import time
import warnings

import joblib
import numpy as np
import optuna
import pytest
import scipy.stats
import sqlalchemy
from estimators import FailsOn, FailsOnSomeFolds, KnownScore, Sleeps, high, low
from optuna.pruners import ThresholdPruner
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import optuna_search
from optuna_search import OptunaSearchCV
from optuna_search._history import History, history_of
from optuna_search.callbacks import NoImprovement, TargetReached, params_of, scores_of
from optuna_search.exceptions import InvalidRequestError, StorageError

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2
ONE_FOLD = [(np.arange(6), np.arange(6, 12))]


def search(xs, estimator=None, **more):
    """A finished search over some values of x, in their order; the best one is 3."""
    settings = {"cv": 2, "refit": False, "random_state": 0, **more}
    return OptunaSearchCV(estimator or KnownScore(), {"x": xs}, **settings).fit(X, Y)


def named():
    """Where a study of one name is kept."""
    return {"storage": InMemoryStorage(), "study_name": "s"}


# --- no improvement ---------------------------------------------------------------------------------------------------


def test_a_search_ends_when_so_many_trials_have_brought_nothing_better():
    found = search([0, 1, 7, 2, 9, 8, -4, 5, 3], callbacks=NoImprovement(3))
    assert found.n_trials_ == 7
    assert found.best_params_ == {"x": 2}


def test_an_equal_score_is_no_improvement():
    assert search([2, 4, 2, 4, 3], callbacks=NoImprovement(3)).n_trials_ == 4


def test_what_the_study_knew_before_this_run_counts():
    where = named()
    xs = [2, 0, -1, -2, -3, -4]
    search(xs, callbacks=lambda study, trial: study.stop() if trial.number == 2 else None, **where)
    assert search(xs, callbacks=NoImprovement(3), **where).n_trials_ == 4


@pytest.mark.parametrize("rule", [NoImprovement(2), TargetReached(9.5)])
def test_a_search_that_a_rule_has_stopped_runs_no_trial_when_it_is_run_again(rule):
    where = named()
    first = search([1, 3, 5, 0, 2], callbacks=rule, **where)
    again = search([1, 3, 5, 0, 2], callbacks=[NoImprovement(99), rule], refit=True, **where)
    assert first.n_trials_ == again.n_trials_ < 5
    assert again.best_estimator_.x == 3
    assert search([1, 3, 5, 0, 2], **where).n_trials_ == 5


def test_trials_that_failed_count():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = search([1, 5, 6, 7, 0], FailsOn(bad=(5, 7)), callbacks=NoImprovement(3))
    assert list(found.cv_results_["trial_state"]) == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]


def test_trials_that_were_pruned_count_and_improve_nothing():
    # The scores are 6, 1, 9.9 and 10; what lies below 5 after the first fold goes no further.
    found = search([1, 0, -2, -1, 3], pruner=ThresholdPruner(lower=5.0), callbacks=NoImprovement(3))
    assert list(found.cv_results_["trial_state"]) == ["COMPLETE", *["PRUNED"] * 3]


def test_trials_of_others_and_those_that_were_given_up_count_for_nothing():
    found = search([3, 1, 2])
    study = found.study_
    assert NoImprovement(2).is_met(study) and not NoImprovement(3).is_met(study)
    study.add_trial(create_trial(value=1000.0))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"optuna_search:claim": {}, "failure": "abandoned"}))
    assert not NoImprovement(3).is_met(study) and not TargetReached(11).is_met(study)


def test_what_a_fork_took_over_is_to_be_improved_upon_and_not_counted():
    parent = search([3, 0, 1, 2])
    forked = parent.fork({"x": [0, 1, 2, 3, 4, 5, 6, 7]}, callbacks=NoImprovement(2)).fit(X, Y)
    assert len(forked.fork_report_.carried) == 4
    assert forked.n_trials_ == 2
    assert forked.best_params_ == {"x": 3}


def test_trials_that_another_process_ran_meanwhile_count():
    where = named()
    xs = [3, 0, 1, 2, 4, 5]

    def helped(study, trial):
        if trial.number == 0:
            search(xs, n_trials=4, **where)

    assert search(xs, callbacks=[helped, NoImprovement(3)], **where).n_trials_ == 4


def test_what_is_with_a_worker_when_a_search_stops_is_finished_and_counts():
    slow = Sleeps(seconds=0.2)
    space = [{"x": [0], "seconds": [0.0]}, {"x": [1, 2, 3], "seconds": [0.2]}]
    with joblib.parallel_config("threading"):
        found = OptunaSearchCV(
            slow, space, cv=ONE_FOLD, n_jobs=2, pre_dispatch="n_jobs", refit=False, callbacks=TargetReached(-0.5)
        ).fit(X, Y)
    assert found.n_trials_ == 2
    assert {trial.state for trial in found.study_.trials} == {TrialState.COMPLETE}


# --- a target ---------------------------------------------------------------------------------------------------------


def test_a_search_ends_with_the_trial_that_reaches_the_target():
    found = search([0, 1, 2, 3, 4], callbacks=TargetReached(8.5))
    assert found.best_params_ == {"x": 2}
    assert found.n_trials_ == 3


def test_the_very_score_is_good_enough():
    best = search([0, 2]).best_score_
    assert search([0, 2, 3], callbacks=TargetReached(best)).n_trials_ == 2


def test_a_target_that_the_parent_of_a_fork_has_reached_needs_no_trial():
    forked = search([1, 3]).fork({"x": [1, 2, 3, 4]}, callbacks=TargetReached(9.5)).fit(X, Y)
    assert forked.n_trials_ == 0
    assert forked.best_params_ == {"x": 3}


def test_a_pruned_trial_reaches_nothing():
    found = search([0, 1, 2], pruner=ThresholdPruner(lower=8.0), callbacks=TargetReached(5.0))
    assert list(found.cv_results_["trial_state"]) == ["PRUNED", "PRUNED", "COMPLETE"]


@pytest.mark.parametrize("score", [(0.5, 0.5), [0.5, 0.5, 0.5]])
def test_a_target_with_another_number_of_goals_is_refused_before_the_first_fit(score):
    made = OptunaSearchCV(KnownScore(), {"x": [1, 2]}, cv=2, callbacks=TargetReached(score))
    with pytest.raises(InvalidRequestError, match=r"^score=\(0.5, .* one number for each goal .*; there is one\."):
        made.fit(X, Y)
    assert made.study_.trials == []


# --- studies of Optuna's own, and several goals -----------------------------------------------------------------------


def told(*values, directions):
    """A study of Optuna's own with these values."""
    study = optuna.create_study(directions=directions)
    for value in values:
        study.add_trial(create_trial(values=value))
    return study


def test_both_stop_a_study_of_optunas_own_that_is_minimised():
    values = [3.0, 1.0, 2.0, 1.0, 4.0, 0.0]
    for rule, n_trials in ((NoImprovement(3), 5), (TargetReached(1.0), 2)):
        study = optuna.create_study()
        study.optimize(lambda trial: values[trial.number], n_trials=6, callbacks=[rule])
        assert len(study.trials) == n_trials


def test_with_several_goals_it_is_the_front_that_has_to_change():
    study = told((1.0, 1.0), (0.0, 0.0), directions=["maximize", "minimize"])
    assert not NoImprovement(1).is_met(study), "(0, 0) is not as good, but less"
    study.add_trial(create_trial(values=(0.5, 2.0)))
    assert NoImprovement(1).is_met(study)
    study.add_trial(create_trial(values=(1.0, 1.0)))
    assert NoImprovement(2).is_met(study) and not NoImprovement(3).is_met(study)
    study.add_trial(create_trial(values=(1.5, 4.0)))
    assert not NoImprovement(1).is_met(study)


def test_with_several_goals_one_trial_has_to_reach_the_target_in_all_of_them():
    study = told((0.9, 5.0), (0.5, 1.0), directions=["maximize", "minimize"])
    assert not TargetReached((0.9, 1.0)).is_met(study)
    study.add_trial(create_trial(values=(0.95, 0.5)))
    assert TargetReached([0.9, 1.0]).is_met(study)
    with pytest.raises(InvalidRequestError, match=r"score=0.9 must be one number for each goal .*; there are 2\."):
        TargetReached(0.9).is_met(study)


def test_a_search_with_several_goals_is_stopped_by_all_of_them():
    two = {"scoring": {"high": high, "low": low}, "objectives": ["high", "low"]}
    # By x: -4 is low and bad, 3 is the best; what lies between is at the front, what lies beyond is not.
    assert search([3, 5, 6, 7, 2], callbacks=NoImprovement(2), **two).n_trials_ == 3
    assert search([3, -4, 2, 0, 1], callbacks=NoImprovement(2), **two).n_trials_ == 5
    assert search([3, -4, 2, 0, 1], callbacks=TargetReached((8.5, -2.5)), **two).n_trials_ == 3
    with pytest.raises(InvalidRequestError, match=r"^score=8.5 must be .* goal of the search; there are 2\.$"):
        search([3, -4], callbacks=TargetReached(8.5), **two)
    fast = search([3, 1, 0], callbacks=TargetReached(1e6), objectives=["fit_time"])
    assert fast.n_trials_ == 1, "a time is minimised"


@pytest.mark.parametrize("n_goals", [1, 2, 3])
def test_the_front_is_that_of_optuna_and_has_changed_when_optuna_says_so(n_goals):
    drawn = np.random.default_rng(n_goals).integers(0, 6, size=(60, n_goals)).astype(float).tolist()
    directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE][:n_goals]
    study, n_since, before = optuna.create_study(directions=directions), 0, set()
    for values in drawn:
        study.add_trial(create_trial(values=values))
        front = {tuple(trial.values) for trial in study.best_trials}
        front = {max(front)} if n_goals == 1 else front
        n_since = 0 if front != before else n_since + 1
        before = front
        history = history_of(study)
        assert {tuple(np.multiply(history.front.signs, losses)) for losses in history.front.losses} == front
        assert history.n_since == n_since


def test_a_trial_that_took_long_is_judged_by_what_ended_after_it():
    history = History([StudyDirection.MAXIMIZE], is_ours=False)
    running = create_trial(state=TrialState.RUNNING)
    others = [create_trial(value=0.5) for _ in range(9)]
    history.take_in([running, *others])
    assert history.n_since == 8
    history.take_in([create_trial(value=0.9), *others])
    assert history.n_since == 0


def test_an_older_list_of_trials_takes_nothing_back():
    history, running = History([StudyDirection.MAXIMIZE], is_ours=False), create_trial(state=TrialState.RUNNING)
    ended = [create_trial(value=2.0), create_trial(value=1.0)]
    history.take_in([*ended, running])
    history.take_in(ended[:1])
    assert (history.n_since, len(history.front)) == (1, 1)
    history.take_in([*ended, create_trial(value=2.0)])
    assert (history.n_since, len(history.front)) == (2, 2)


# --- what they cost, and what they are --------------------------------------------------------------------------------


def test_a_rule_reads_no_trial_twice(tmp_path):
    statements, counts = [], []
    rule = NoImprovement(100)

    def watch(study, trial):
        before = len(statements)
        rule(study, trial)
        counts.append(len(statements) - before)

    def note(connection, cursor, statement, *_):
        statements.append(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        search(list(range(8)), storage=str(tmp_path / "s.db"), callbacks=watch)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)
    assert len(counts) == 8
    assert set(counts[1:]) == {counts[1]} and counts[1] < 10


def test_a_rule_costs_little_in_a_study_of_5000_trials():
    study = optuna.create_study()
    study.add_trials([create_trial(value=1.0)] * 5000)
    rule = NoImprovement(5000)
    assert not rule.is_met(study)
    began = time.perf_counter()
    for _ in range(100):
        rule.is_met(study)
    assert time.perf_counter() - began < 1.0  # 100 readings of all trials take more than 100 seconds


@pytest.mark.parametrize(
    "rule", [NoImprovement(20), TargetReached(0.95), TargetReached((0.9, 2.0))], ids=["improve", "target", "targets"]
)
def test_a_rule_is_a_value(rule):
    search([3, 1], callbacks=NoImprovement(20))
    for other in (pickle.loads(pickle.dumps(rule)), copy.deepcopy(rule), clone(rule, safe=False), eval(repr(rule))):
        assert other == rule and hash(other) == hash(rule) and repr(other) == repr(rule)
    made = OptunaSearchCV(KnownScore(), {"x": [1]}, callbacks=[rule])
    assert clone(made).callbacks == [rule]
    assert pickle.loads(pickle.dumps(made)).callbacks == [rule]
    with pytest.raises(AttributeError):
        rule.n_trials = rule.score = 3


def test_its_repr_is_how_it_is_made():
    assert repr(NoImprovement(np.int64(20))) == "NoImprovement(n_trials=20)"
    assert repr(TargetReached(np.float64(0.5))) == "TargetReached(score=0.5)"
    assert repr(TargetReached([1, 0.5])) == repr(TargetReached(np.array([1, 0.5]))) == "TargetReached(score=(1.0, 0.5))"
    assert TargetReached(np.array(0.5)) == TargetReached(0.5)


@pytest.mark.parametrize("n_trials", [0, -1, 2.0, "3", None, True, np.True_, float("nan")])
def test_no_improvement_in_no_number_of_trials_is_refused(n_trials):
    with pytest.raises(InvalidRequestError, match=r"^n_trials=.* must be a whole number from 1\.$"):
        NoImprovement(n_trials)


@pytest.mark.parametrize(
    "score",
    ["0.9", b"ab", None, True, np.True_, float("nan"), float("inf"), (), [], (0.5, None), {0.5: 1}, 1j, 10**400],
)
def test_a_target_that_is_no_number_is_refused(score):
    with pytest.raises(InvalidRequestError, match=r"^score=.* must be a finite number, or a sequence of some\.$"):
        TargetReached(score)


def test_they_are_found_by_a_look_at_the_package():
    assert optuna_search.callbacks.NoImprovement is NoImprovement
    assert set(optuna_search.callbacks.__all__) == {"NoImprovement", "TargetReached", "params_of", "scores_of"}


# --- what a trial says ------------------------------------------------------------------------------------------------


def assert_as_in_the_results(found):
    """Compare what each trial says with its row of the results."""
    results = found.cv_results_
    for row, trial in enumerate(found.study_.trials):
        scores = scores_of(trial)
        for name, values in scores.items():
            if not name.endswith("_time"):
                kept = [results[f"split{i}_{name}"][row] for i in range(found.n_splits_)]
                np.testing.assert_array_equal(values, kept)
        for name in ("fit_time", "score_time"):
            if trial.state is not TrialState.PRUNED:
                assert np.mean(scores[name]) == results[f"mean_{name}"][row]


def test_a_trial_has_the_scores_of_the_results():
    found = OptunaSearchCV(
        LogisticRegression(), {"C": scipy.stats.gamma(2), "solver": ["lbfgs", "newton-cg"]}, n_trials=4, cv=3,
        scoring=["accuracy", "roc_auc"], refit="accuracy", return_train_score=True, random_state=0,
    ).fit(X, Y)  # fmt: skip
    assert_as_in_the_results(found)
    assert {"test_accuracy", "train_roc_auc"} < scores_of(found.best_trial_).keys()
    assert params_of(found.best_trial_) == found.best_params_
    assert "quantile(C)" in found.best_trial_.params


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores are non-finite"
)
def test_folds_that_failed_or_were_not_run_have_no_score():
    marked = X.copy()
    marked[0] = 1000.0
    failed = OptunaSearchCV(FailsOnSomeFolds(), {"x": [0, 1]}, cv=2, refit=False).fit(marked, Y)
    assert_as_in_the_results(failed)
    assert sum(np.isnan(scores_of(failed.study_.trials[1])["test_score"])) == 1
    pruned = search([0, 3], cv=3, pruner=ThresholdPruner(lower=5.0))
    assert_as_in_the_results(pruned)
    first = scores_of(pruned.study_.trials[0])
    assert [list(np.isnan(values)) for values in first.values()] == [[False, True, True]] * 3
    nothing = OptunaSearchCV(FailsOn(bad=(1,)), {"x": [1, 2]}, cv=2, refit=False).fit(X, Y)
    assert list(scores_of(nothing.study_.trials[0])) == ["fit_time", "score_time"]


def test_a_trial_says_what_its_estimator_got():
    seen = []
    grid = [{"choice": [None, "a", (1, 2), SVC(C=10), len], "x": [1.5]}]
    found = OptunaSearchCV(KnownScore(), grid, cv=2, refit=False, callbacks=lambda s, t: seen.append(params_of(t)))
    found.fit(X, Y)
    assert [params["choice"] for params in seen] == [None, "a", (1, 2), "SVC(C=10)", "<function builtins.len>"]
    assert {params["x"] for params in seen} == {1.5}


@pytest.mark.parametrize("read", [params_of, scores_of])
def test_a_trial_of_another_tool_has_nothing_to_say(read):
    with pytest.raises(StorageError, match="The record of trial -1 is none of ours"):
        read(create_trial(value=1.0))
