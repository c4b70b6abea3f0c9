"""The engine: which fold goes out next, what a straggler holds up, what is left when something is raised."""

import os
import threading
import time
import types
from collections import Counter
from typing import ClassVar

import joblib
import numpy as np
import pytest
from estimators import ChangesItsParams, DrawsNumbers, KnownScore
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.pruners import NopPruner
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from optuna_search import OptunaSearchCV, _engine
from optuna_search._engine import Engine
from optuna_search._evaluate import Outcome
from optuna_search._goals import Goal
from optuna_search._header import Header
from optuna_search._opening import create_or_continue
from optuna_search._propose import Enumeration
from optuna_search._prune import Pruning, steps_of
from optuna_search._record import Failure, Fold
from optuna_search._request import Budget
from optuna_search._space import parse

quick = settings(deadline=None, database=None, max_examples=60)

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2


# --- an engine by hand ------------------------------------------------------------------------------------------------


class Simulated:
    """Workers of a world of its own: they take tasks first come, first served, and time passes when one ends."""

    inside = True

    def __init__(self, n_workers, seconds=lambda trial, fold: 1.0, ahead=2, result=None):
        self.n_workers = n_workers
        self.now = 0.0
        self.sent = []
        self.landed = []
        self._limit = n_workers + ahead
        self._seconds = seconds
        self._result = result or self._score
        self._free = [0.0] * n_workers
        self._out = []

    @property
    def room(self):
        return self._limit - len(self._out)

    @property
    def busy(self):
        return bool(self._out)

    def send(self, task):
        assert self.room > 0
        self.sent.append(task)
        worker = min(range(self.n_workers), key=lambda i: self._free[i])
        begin = max(self.now, self._free[worker])
        self._free[worker] = begin + sum(self._seconds(task.trial, fold) for fold in task.folds)
        self._out.append((self._free[worker], len(self.sent), task))

    def take(self):
        ended = min(self._out, key=lambda out: out[:2])
        self._out.remove(ended)
        self.now, _, task = ended
        self.landed.append(task)
        return task, lambda: Outcome([self._result(task, fold) for fold in task.folds])

    def _score(self, task, fold):
        return Fold({"score": float(task.params.get("x", 0))}, {}, self._seconds(task.trial, fold), 0.0)


class Search:
    """An engine over a grid, with all that it needs and all that it did."""

    def __init__(self, cells, n_splits=3, pruner=NopPruner(), amounts=None, **budget):  # noqa: B008
        space = parse({"x": cells})
        self.n_splits = n_splits
        self.contexts = []
        self.watched = []
        self.heard = []
        self.stop_after = None
        self.storage = InMemoryStorage()
        self.store, _ = create_or_continue(self.storage, "by hand", Header({"objective": "score"}, {}, ""))
        budget = {"n_trials": len(cells), "give_up": False, **budget}
        self.engine = Engine(
            self.store,
            space,
            Enumeration(space, lambda: range(len(cells))),
            Pruning(pruner),
            steps_of(n_splits, pruner, amounts),
            None,
            n_splits,
            Budget(**budget),
            lambda fold: (Goal("score"),),
            np.nan,
            lambda number: self.contexts.append(number) or f"context {number}",
            self._watch,
            lambda number, verdict, record, counts: self.heard.append(number),
        )

    def _watch(self, number, trial_id, verdict, record):
        self.watched.append(number)
        return self.stop_after is not None and len(self.watched) >= self.stop_after

    def run(self, workers):
        self.engine.run(workers)
        return workers

    @property
    def trials(self):
        return self.storage.get_all_trials(self.store.study_id)

    def states(self):
        return [trial.state for trial in self.trials]


def folds(tasks):
    return [(task.trial, fold) for task in tasks for fold in task.folds]


DONE, FAIL, RUNNING = TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING


# --- which fold goes out next -----------------------------------------------------------------------------------------


def test_waiting_folds_of_trials_in_the_air_go_out_before_a_new_trial_begins():
    search = Search([1, 2, 3], n_splits=3)
    begun = []

    class Watched(Simulated):
        def send(self, task):
            super().send(task)
            begun.append(len(search.trials))

    workers = search.run(Watched(2, ahead=0))
    assert folds(workers.sent) == [(trial, fold) for trial in range(3) for fold in range(3)]
    # A trial is claimed when its first fold goes out, and not before.
    assert begun == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert search.states() == [DONE] * 3


def test_a_trial_that_waits_goes_before_a_newer_one():
    # The first fold of the first trial takes long, and three workers are free.
    search = Search([1, 2, 3, 4], n_splits=2)
    workers = search.run(Simulated(3, lambda trial, fold: 10.0 if (trial, fold) == (0, 0) else 1.0, ahead=0))
    assert folds(workers.sent) == [(trial, fold) for trial in range(4) for fold in range(2)]
    assert search.watched == [1, 2, 3, 0]


def test_one_worker_gets_one_fold_at_a_time_in_order():
    search = Search([1, 2], n_splits=4)
    workers = search.run(Simulated(1, lambda trial, fold: 1e-6, ahead=0))
    assert [task.folds for task in workers.sent] == [(0,), (1,), (2,), (3,)] * 2
    assert search.watched == [0, 1]


def test_a_trial_is_judged_when_its_last_fold_is_there_in_whatever_order_they_come():
    search = Search([5], n_splits=3)
    workers = Simulated(3, lambda trial, fold: 3.0 - fold, ahead=0)
    search.run(workers)
    assert folds(workers.landed) == [(0, 2), (0, 1), (0, 0)]
    (trial,) = search.trials
    assert trial.value == 5.0
    assert trial.user_attrs["optuna_search"]["fit_time"] == [3.0, 2.0, 1.0]


plans = st.integers(1, 4).flatmap(
    lambda n_workers: st.tuples(
        st.just(n_workers),
        st.integers(0, 3),
        st.integers(1, 4),
        st.lists(st.integers(1, 50), min_size=1, max_size=12),
        st.sampled_from([1e-4, 0.01, 1.0]),
    )
)


@quick
@given(plans)
def test_every_fold_of_every_trial_is_run_once(plan):
    n_workers, ahead, n_splits, seconds, scale = plan
    cells = list(range(len(seconds)))
    search = Search(cells, n_splits)
    workers = search.run(
        Simulated(n_workers, lambda trial, fold: scale * seconds[(3 * trial + fold) % len(cells)], ahead)
    )
    assert Counter(folds(workers.sent)) == Counter((trial, fold) for trial in cells for fold in range(n_splits))
    assert sorted(search.watched) == cells
    assert search.states() == [DONE] * len(cells)
    assert [trial.value for trial in search.trials] == [float(x) for x in cells]
    # Each fold has a callback context of its own, numbered in the order in which they went out.
    assert search.contexts == list(range(len(cells) * n_splits))
    assert [context for task in workers.sent for context in task.contexts] == [f"context {i}" for i in search.contexts]


@quick
@given(plans)
def test_no_worker_is_idle_while_there_is_something_to_do(plan):
    n_workers, ahead, n_splits, seconds, _ = plan
    cells = list(range(len(seconds)))

    def takes(trial, fold):
        return float(seconds[(3 * trial + fold) % len(cells)])

    workers = Search(cells, n_splits).run(Simulated(n_workers, takes, ahead))
    work = [takes(trial, fold) for trial in cells for fold in range(n_splits)]
    # What a list of tasks may take at most when nobody waits (Graham 1969).
    assert workers.now <= (sum(work) - max(work)) / n_workers + max(work) + 1e-9


def test_a_straggler_does_not_hold_up_the_others():
    search = Search(list(range(20)), n_splits=2)
    workers = search.run(Simulated(2, lambda trial, fold: 100.0 if (trial, fold) == (3, 1) else 1.0))
    assert search.watched[-1] == 3
    assert workers.now < 100.0 + 6.0
    assert search.states() == [DONE] * 20


# --- bundles ----------------------------------------------------------------------------------------------------------


def test_folds_that_are_fast_travel_together_and_slow_ones_alone():
    fast = Search(list(range(40)), n_splits=10).run(Simulated(2, lambda trial, fold: 1e-4))
    slow = Search(list(range(40)), n_splits=10).run(Simulated(2, lambda trial, fold: 1.0))
    assert {len(task.folds) for task in slow.sent} == {1}
    assert len(fast.sent) < len(slow.sent) / 4
    # Nobody knows yet how long the first ones take; towards the end they get small again, so that all finish together.
    assert len(fast.sent[0].folds) == 1
    assert max(len(task.folds) for task in fast.sent) == 10
    assert len(fast.sent[-1].folds) <= 2


def test_a_bundle_is_of_one_trial_and_in_order():
    workers = Search(list(range(30)), n_splits=7).run(Simulated(3, lambda trial, fold: 1e-4))
    assert folds(workers.sent) == [(trial, fold) for trial in range(30) for fold in range(7)]


def test_a_bundle_takes_no_longer_than_it_is_worth():
    workers = Search(list(range(30)), n_splits=50).run(Simulated(2, lambda trial, fold: 0.01))
    assert max(len(task.folds) for task in workers.sent) <= 10


# --- duplicates -------------------------------------------------------------------------------------------------------


def test_duplicates_wait_for_the_first_and_take_over_its_record():
    search = Search([7, 7, 7, 8], n_splits=2)
    workers = search.run(Simulated(4))
    assert Counter(folds(workers.sent)) == Counter([(0, 0), (0, 1), (3, 0), (3, 1)])
    assert [trial.value for trial in search.trials] == [7.0, 7.0, 7.0, 8.0]
    records = [trial.user_attrs["optuna_search"] | {"claim": None} for trial in search.trials]
    assert records[0] == records[1] == records[2] != records[3]
    assert sorted(search.watched) == [0, 1, 2, 3]


def test_a_duplicate_of_a_finished_trial_costs_nothing():
    search = Search([7, 8, 7], n_splits=2)
    workers = search.run(Simulated(1, ahead=0))
    assert folds(workers.sent) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [trial.value for trial in search.trials] == [7.0, 8.0, 7.0]


def test_duplicates_of_a_trial_that_is_given_up_are_given_up_too():
    search = Search([7, 7, 8], n_splits=2)
    with pytest.raises(ZeroDivisionError):
        search.run(Simulated(1, ahead=3, result=lambda task, fold: 1 / 0))
    assert set(search.states()) == {FAIL}


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_what_was_sent_is_waited_for_and_what_was_not_is_given_up_when_somebody_stops_the_search(n_workers):
    search = Search(list(range(20)), n_splits=3)
    search.stop_after = 2
    workers = search.run(Simulated(n_workers, ahead=0))
    assert not workers.busy
    assert len(workers.landed) == len(workers.sent)
    complete = [trial for trial in search.trials if trial.state is DONE]
    assert len(complete) == len(search.watched) >= 2
    assert RUNNING not in search.states()
    assert len(search.trials) <= 2 + n_workers
    for trial in search.trials:
        assert ("optuna_search" in trial.user_attrs) == (trial.state is DONE)
        assert ("failure" in trial.user_attrs) == (trial.state is FAIL)


def test_nothing_begins_after_the_deadline(monkeypatch):
    workers = Simulated(2, ahead=0)
    monkeypatch.setattr(_engine, "time", types.SimpleNamespace(monotonic=lambda: workers.now))
    search = Search(list(range(20)), n_splits=3, deadline=4.0)
    search.run(workers)
    # Two workers, four seconds: eight folds, the last two of which begin before the deadline.
    assert folds(workers.sent) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert len(workers.landed) == 8
    assert search.states() == [DONE, DONE, FAIL]
    assert search.watched == [0, 1]


def test_a_fold_that_began_in_time_is_waited_for_and_counts(monkeypatch):
    workers = Simulated(2, lambda trial, fold: 10.0, ahead=0)
    monkeypatch.setattr(_engine, "time", types.SimpleNamespace(monotonic=lambda: workers.now))
    search = Search(list(range(20)), n_splits=2, deadline=5.0)
    search.run(workers)
    assert search.states() == [DONE]
    assert workers.now == 10.0


@pytest.mark.parametrize(("n_workers", "finished"), [(1, 3), (2, 3), (4, 3)])
def test_a_budget_of_fits_counts_what_is_in_the_air(n_workers, finished):
    search = Search(list(range(20)), n_splits=3, n_fits=7)
    workers = search.run(Simulated(n_workers))
    assert len(folds(workers.sent)) == 9
    assert search.states() == [DONE] * finished


def test_no_more_trials_are_in_the_air_than_the_budget_leaves():
    search = Search(list(range(20)), n_splits=1, n_trials=3)
    workers = search.run(Simulated(8))
    assert len(workers.sent) == 3
    assert search.states() == [DONE] * 3


@pytest.mark.parametrize("error", [ValueError("broken"), RuntimeError("on\ntwo lines"), KeyboardInterrupt("stop")])
@pytest.mark.parametrize("at", [0, 4, 9])
def test_an_error_goes_on_to_the_caller_and_leaves_nothing_in_the_air(error, at):
    count = []

    def result(task, fold):
        count.append(task.trial)
        if len(count) > at:
            raise error
        return Fold({"score": 1.0}, {}, 1.0, 0.0)

    search = Search(list(range(20)), n_splits=3)
    with pytest.raises(type(error)) as raised:
        search.run(Simulated(3, result=result))
    assert raised.value is error
    assert RUNNING not in search.states()
    assert all("failure" in trial.user_attrs for trial in search.trials if trial.state is FAIL)
    assert search.states().count(DONE) == len(search.watched) == at // 3
    if isinstance(error, Exception):
        reason = search.trials[count[-1]].user_attrs["failure"]
        assert reason == f"{type(error).__name__}: {error}".splitlines()[0]
    assert not [t for t in search.trials if t.state is FAIL and "optuna_search" in t.user_attrs]


def test_an_error_of_who_waits_for_results_leaves_nothing_in_the_air():
    class Gone(Simulated):
        def take(self):
            if len(self.landed) == 4:
                raise ConnectionError("the workers are gone")
            return super().take()

    search = Search(list(range(20)), n_splits=3)
    with pytest.raises(ConnectionError, match="the workers are gone"):
        search.run(Gone(3))
    assert search.states().count(DONE) == 1
    assert RUNNING not in search.states()


def test_an_error_of_who_watches_leaves_the_trial_finished():
    search = Search(list(range(20)), n_splits=3)
    search.engine.watch = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        search.run(Simulated(3))
    states = search.states()
    assert states[0] is DONE and RUNNING not in states and states.count(DONE) == 1


def test_a_hopeless_search_ends_after_five_trials():
    failure = Failure("ValueError", "no", "Traceback")
    for give_up, n_trials in ((True, 5), (False, 20)):
        search = Search(list(range(20)), n_splits=2, give_up=give_up)
        search.run(Simulated(1, ahead=0, result=lambda task, fold: Fold({}, {}, 1.0, 0.0, failure)))
        assert search.states() == [FAIL] * n_trials
        assert all(trial.user_attrs["failure"] == "ValueError: no" for trial in search.trials)


# --- workers that are there -------------------------------------------------------------------------------------------


def search_with(space, estimator=None, **more):
    """A finished search, without a refit."""
    made = OptunaSearchCV(estimator or KnownScore(), space, **{"cv": 3, "refit": False, "random_state": 0, **more})
    return made.fit(X, Y)


SCORES = [f"split{fold}_test_score" for fold in range(3)] + ["mean_test_score", "std_test_score", "rank_test_score"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("Thread-") and "worker" in thread.name:
            thread.join(5)


@pytest.mark.parametrize(("backend", "n_jobs"), [("threading", 2), ("threading", 3), ("loky", 2)])
def test_many_workers_give_the_rows_of_one_in_the_order_of_the_grid(backend, n_jobs):
    space = [{"x": [5, 1, 3], "choice": ["b", "a", None]}, {"peak": [1, 2], "x": [1]}]
    one = search_with(space)
    with joblib.parallel_config(backend):
        many = search_with(space, n_jobs=n_jobs)
    assert many.cv_results_["params"] == one.cv_results_["params"] == list(ParameterGrid(space))
    assert list(many.cv_results_["trial_number"]) == list(range(11))
    for key in SCORES:
        np.testing.assert_array_equal(many.cv_results_[key], one.cv_results_[key])
    theirs = GridSearchCV(KnownScore(), space, cv=3, refit=False).fit(X, Y)
    for key in SCORES:
        np.testing.assert_array_equal(many.cv_results_[key], theirs.cv_results_[key])


def test_many_workers_score_what_a_sampler_draws_as_one_does():
    with joblib.parallel_config("threading"):
        found = search_with({"x": FloatDistribution(-5.0, 5.0), "choice": ["a", "b"]}, n_trials=12, n_jobs=3)
    assert found.n_trials_ == 12
    for row, params in enumerate(found.cv_results_["params"]):
        alone = search_with({name: [value] for name, value in params.items()})
        for key in SCORES[:3]:
            assert found.cv_results_[key][row] == alone.cv_results_[key][0]


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_all_others_are_finished_while_a_straggler_runs(tmp_path, backend):
    flag = tmp_path / "finished"
    ended, where = [], []

    def wait_for_the_others(estimator, X, y):
        end = time.monotonic() + 60
        while estimator.x == 0 and not flag.exists():
            if time.monotonic() > end:
                raise TimeoutError("the others waited for the straggler")
            time.sleep(0.01)
        return -float(estimator.x)

    def watch(study, trial):
        ended.append(trial.number)
        where.append((os.getpid(), threading.current_thread()))
        if len(ended) == 9:
            flag.touch()

    # One fold, so that the straggler holds one of the two workers.
    fold = [(np.arange(6), np.arange(6, 12))]
    with joblib.parallel_config(backend):
        found = search_with(
            {"x": list(range(10))}, scoring=wait_for_the_others, cv=fold, n_jobs=2, callbacks=watch, error_score="raise"
        )
    assert sorted(ended[:9]) == list(range(1, 10)) and ended[9] == 0
    assert set(where) == {(os.getpid(), threading.main_thread())}
    assert list(found.cv_results_["trial_state"]) == ["COMPLETE"] * 10
    assert list(found.cv_results_["mean_test_score"]) == [-float(x) for x in range(10)]


# --- estimators against all rules -------------------------------------------------------------------------------------


class Vandal(KnownScore):
    """Changes its data, its own parameters and what it was given, and scores what it finds."""

    def fit(self, X, y=None):
        self.found_ = float(np.sum(X)) + float(np.sum(y)) + self.x + sum(self.choice)
        X *= 0
        y *= 0
        self.x += 1
        self.choice.append(100)
        return self

    def score(self, X, y=None):
        score = self.found_ + float(np.sum(X)) + self.x
        X *= 0
        return score


AGAINST_ALL_RULES = {
    "data and parameters": (Vandal(choice=[]), {"x": [1, 2, 3], "choice": [[1], [2, 3]]}),
    "parameters": (ChangesItsParams(seen=[]), {"x": [1, 2, 3], "seen": [[], [5]]}),
    "a generator": (DrawsNumbers(random_state=np.random.RandomState(0)), {"x": [1, 2, 3]}),
    "generators among the choices": (
        DrawsNumbers(),
        {"x": [1, 2], "random_state": [np.random.RandomState(0), np.random.RandomState(1)]},
    ),
}


WORKERS = [(None, "threading"), (3, "threading"), (2, "loky")]


@pytest.mark.parametrize(("n_jobs", "backend"), WORKERS)
@pytest.mark.parametrize("name", AGAINST_ALL_RULES)
def test_an_estimator_that_changes_things_scores_as_if_it_were_alone(name, n_jobs, backend):
    estimator, space = AGAINST_ALL_RULES[name]
    before = repr(estimator.get_params()), repr(space)
    with joblib.parallel_config(backend):
        together = search_with(space, estimator, n_jobs=n_jobs)
    assert (repr(estimator.get_params()), repr(space)) == before
    for row, params in enumerate(ParameterGrid(space)):
        alone = search_with({key: [value] for key, value in params.items()}, estimator)
        for key in SCORES[:3]:
            assert together.cv_results_[key][row] == alone.cv_results_[key][0]
    np.testing.assert_array_equal(X, np.random.default_rng(0).normal(size=(12, 2)))
    np.testing.assert_array_equal(Y, np.arange(12) % 2)


# --- what candidates share --------------------------------------------------------------------------------------------


class SlowScaler(StandardScaler):
    """Notes each of its fits, which take a while."""

    fits: ClassVar[list] = []

    def fit(self, X, y=None, sample_weight=None):
        SlowScaler.fits.append((self.with_mean, len(X)))
        time.sleep(0.02)
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("pruner", [None, "median"])
def test_first_steps_that_are_cached_are_fitted_once_by_however_many_workers(tmp_path, pruner):
    model = Pipeline([("scale", SlowScaler()), ("clf", KnownScore())], memory=joblib.Memory(tmp_path, verbose=0))
    model.fit(X, Y)  # joblib before 1.6 may read what it notes at its first call while another thread writes it
    SlowScaler.fits.clear()
    space = {"clf__x": [1.0, 2.0, 3.0, 4.0, 5.0], "scale__with_mean": [True, False]}
    with joblib.parallel_config("threading"):
        found = OptunaSearchCV(model, space, cv=2, n_jobs=4, refit=False, pruner=pruner).fit(X, Y)
    assert found.n_trials_ == 10
    assert len(SlowScaler.fits) == 2 * 2


def test_few_trials_begin_while_first_steps_are_fitted_that_they_need(tmp_path):
    model = Pipeline([("scale", SlowScaler()), ("clf", KnownScore())], memory=joblib.Memory(tmp_path, verbose=0))
    model.fit(X, Y)
    begun = []
    search = OptunaSearchCV(
        model, {"clf__x": FloatDistribution(0, 6)}, cv=2, n_jobs=2, n_trials=20, refit=False, pruner="median",
        callbacks=lambda study, trial: begun.append(len(study.trials)),
    )  # fmt: skip
    with joblib.parallel_config("threading"):
        search.fit(X, Y)
    assert len(begun) == 20 and begun[0] <= 6


def test_without_a_cache_no_fold_waits_for_another():
    search = Search([1, 2, 3], n_splits=1)
    workers = search.run(Simulated(3, ahead=0))
    assert workers.now == 1.0
