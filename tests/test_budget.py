"""How long a search is: trials, fits or seconds, or a whole grid."""

import contextlib
import threading
import time
import types
import warnings

import joblib
import numpy as np
import pytest
from estimators import FailsOn, KnownScore
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import ParameterGrid

from optuna_search import OptunaSearchCV, _engine
from optuna_search.exceptions import NoResultError

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2

LINE = {"x": FloatDistribution(-5.0, 5.0)}
GRID = {"x": [3, 1, 2, 0], "choice": ["a", None]}


class Counted(KnownScore):
    """Notes what it is fitted with."""

    fits = []  # noqa: RUF012 - shared by the clones on purpose

    def fit(self, X, y=None):
        Counted.fits.append(self.x)
        return super().fit(X, y)


@pytest.fixture(autouse=True)
def _tests_are_apart():
    """No fit is counted from the test before, and no thread of an aborted search runs into the next one."""
    Counted.fits.clear()
    before = set(threading.enumerate())
    yield
    settle(before)


def settle(before):
    """Wait for the threads that were not there before."""
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


@contextlib.contextmanager
def failing(n_failed, n_fits):
    """All that is warned of, once, is that so many of so many fits failed and what that means for the scores."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [str(warning.message) for warning in caught if warning.category is FitFailedWarning]
    others = [str(warning.message) for warning in caught if warning.category is not FitFailedWarning]
    assert len(texts) == 1 and f"\n{n_failed} fits failed out of a total of {n_fits}.\n" in texts[0]
    assert len(others) <= 1 and all("One or more of the test scores are non-finite" in text for text in others)


def made(space, estimator=None, **more):
    """A search without a refit."""
    settings = {"cv": 2, "refit": False, "random_state": 0, **more}
    return OptunaSearchCV(Counted() if estimator is None else estimator, space, **settings)


def search(space, estimator=None, **more):
    """A finished search without a refit."""
    return made(space, estimator, **more).fit(X, Y)


@pytest.fixture
def clock(monkeypatch):
    """The engine's clock, which moves by one second at each fit of `Ticks` and never by itself."""
    now = types.SimpleNamespace(seconds=time.monotonic())
    monkeypatch.setattr(Ticks, "clock", now)
    monkeypatch.setattr(_engine, "time", types.SimpleNamespace(monotonic=lambda: now.seconds))
    return now


class Ticks(Counted):
    """Takes a second of the engine's clock to fit."""

    clock = None

    def fit(self, X, y=None):
        Ticks.clock.seconds += 1.0
        return super().fit(X, y)


# --- trials -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, "random", "tpe", "qmc"])
@pytest.mark.parametrize("n_trials", [1, 2, 7])
def test_n_trials_are_run(sampler, n_trials):
    found = search(LINE, n_trials=n_trials, sampler=sampler)
    assert found.n_trials_ == len(found.cv_results_["params"]) == n_trials
    assert len(Counted.fits) == 2 * n_trials
    assert [trial.state for trial in found.study_.trials] == [TrialState.COMPLETE] * n_trials


def test_n_trials_is_the_total_of_the_study():
    where = {"storage": InMemoryStorage(), "study_name": "total"}
    assert search(LINE, n_trials=3, **where).n_trials_ == 3
    assert search(LINE, n_trials=5, **where).n_trials_ == 5
    assert len(Counted.fits) == 10
    for fewer in (5, 4, 1):
        assert search(LINE, n_trials=fewer, **where).n_trials_ == 5
    assert len(Counted.fits) == 10


def test_failed_trials_count():
    with failing(4, 8):
        found = search({"x": [1, 2, 3, 4, 5, 6]}, FailsOn(bad=(1, 3)), n_trials=4, sampler="grid")
    assert list(found.cv_results_["trial_state"]) == ["FAIL", "COMPLETE", "FAIL", "COMPLETE"]
    assert found.n_trials_ == 4


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 5])
def test_n_trials_are_kept_to_by_many_workers(n_jobs):
    with joblib.parallel_config("threading"):
        found = search(LINE, n_trials=7, n_jobs=n_jobs)
    assert found.n_trials_ == 7 and len(Counted.fits) == 14


@pytest.mark.parametrize("space", [LINE, {"x": list(range(100))}, lambda trial: {"x": trial.suggest_float("a", 0, 1)}])
def test_without_any_budget_there_are_fifty_trials(space):
    found = search(space, sampler="random", cv=[(np.arange(6), np.arange(6, 12))])
    assert found.n_trials_ == 50


def test_without_any_budget_a_grid_is_searched_whole():
    found = search({"x": list(range(60))})
    assert found.n_trials_ == 60
    found = search(GRID)
    assert found.cv_results_["params"] == list(ParameterGrid(GRID))


@pytest.mark.parametrize("n_trials", [8, 9, 1000])
def test_a_grid_with_enough_trials_is_searched_whole_in_order(n_trials):
    found = search(GRID, n_trials=n_trials)
    assert found.cv_results_["params"] == list(ParameterGrid(GRID))
    assert len(Counted.fits) == 16


def test_a_grid_that_ran_in_part_is_completed():
    where = {"storage": InMemoryStorage(), "study_name": "grid"}
    first = search(GRID, n_trials=3, **where)
    found = search(GRID, **where)
    assert found.cv_results_["params"][:3] == first.cv_results_["params"]
    assert sorted(map(repr, found.cv_results_["params"])) == sorted(map(repr, ParameterGrid(GRID)))
    assert len(Counted.fits) == 16


# --- fits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_fits", "n_trials"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (9, 3)])
def test_n_fits_ends_a_search_and_the_trial_in_the_air_is_finished(n_fits, n_trials):
    found = search(LINE, n_fits=n_fits, cv=3, sampler="tpe")
    assert found.n_trials_ == n_trials
    assert len(Counted.fits) == 3 * n_trials


def test_n_fits_is_the_total_of_the_study():
    where = {"storage": InMemoryStorage(), "study_name": "fits", "sampler": "tpe"}
    assert search(LINE, n_fits=4, **where).n_trials_ == 2
    assert search(LINE, n_fits=9, **where).n_trials_ == 5
    assert search(LINE, n_fits=10, **where).n_trials_ == 5
    assert len(Counted.fits) == 10


def test_n_fits_may_be_more_than_fifty_trials():
    assert search(LINE, n_fits=120, sampler="random").n_trials_ == 60


def test_n_fits_cuts_a_grid():
    found = search(GRID, n_fits=6, sampler="grid")
    assert found.cv_results_["params"] == list(ParameterGrid(GRID))[:3]


def test_a_grid_for_which_the_fits_suffice_is_searched_whole():
    cells = {"x": list(range(9))}
    whole = search(cells, n_fits=18)
    assert whole.cv_results_["params"] == list(ParameterGrid(cells))
    assert set(whole.cv_results_["trial_state"]) == {"COMPLETE"}


def test_a_grid_for_which_they_do_not_is_raced_through_until_it_is_known():
    cells = {"x": list(range(9))}
    raced = search(cells, n_fits=17, random_state=0)
    assert sorted(params["x"] for params in raced.cv_results_["params"]) == cells["x"]
    assert list(raced.cv_results_["trial_state"]).count("PRUNED") >= 3 and len(Counted.fits) < 17
    assert raced.best_params_ == search(cells).best_params_


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_n_fits_is_kept_to_by_many_workers(n_jobs):
    with joblib.parallel_config("threading"):
        found = search(LINE, n_fits=10, n_jobs=n_jobs, sampler="tpe")
    assert found.n_trials_ == 5 and len(Counted.fits) == 10


def test_duplicates_in_a_grid_cost_no_fits():
    found = search({"x": [1, 1, 1, 2, 3]}, n_fits=4, sampler="grid")
    assert [params["x"] for params in found.cv_results_["params"]] == [1, 1, 1, 2]


# --- seconds ----------------------------------------------------------------------------------------------------------


def test_a_timeout_stops_between_folds_and_keeps_what_is_finished(clock):
    found = search(LINE, Ticks(), timeout=8.5, cv=2)
    # Nine folds began in time: four trials were finished, the fifth was left after its first fold.
    assert len(Counted.fits) == 9
    assert found.n_trials_ == 4
    assert list(found.cv_results_["trial_state"]) == ["COMPLETE"] * 4
    assert found.best_score_ == max(found.cv_results_["mean_test_score"])
    assert [trial.state for trial in found.study_.trials] == [TrialState.COMPLETE] * 4 + [TrialState.FAIL]
    left = found.study_.trials[-1]
    assert left.user_attrs["failure"]
    assert "optuna_search" not in left.user_attrs


def test_a_timeout_leaves_no_trial_running_with_many_workers(clock):
    with joblib.parallel_config("threading"):
        found = search(LINE, Ticks(), timeout=8.5, n_jobs=3)
    states = [trial.state for trial in found.study_.trials]
    assert TrialState.RUNNING not in states
    assert states.count(TrialState.COMPLETE) == found.n_trials_ >= 3
    assert len(Counted.fits) <= 20


def test_the_best_so_far_is_refitted_after_a_timeout(clock):
    found = search(LINE, Ticks(), timeout=4.5, refit=True)
    assert found.best_estimator_.x == found.best_params_["x"]
    found.predict(X)


def test_trials_that_a_timeout_left_do_not_count_and_are_run_again(clock):
    where = {"storage": InMemoryStorage(), "study_name": "left"}
    space = {"x": [1, 2, 3, 4]}
    clock.seconds = time.monotonic()
    first = search(space, Ticks(), timeout=4.5, **where)
    assert [params["x"] for params in first.cv_results_["params"]] == [1, 2]
    clock.seconds = time.monotonic()
    found = search(space, Ticks(), **where)
    assert [params["x"] for params in found.cv_results_["params"]] == [1, 2, 3, 4]
    assert found.n_trials_ == 4
    assert Counted.fits == [1, 1, 2, 2, 3, 3, 3, 4, 4]
    assert list(found.cv_results_["trial_number"]) == [0, 1, 3, 4]


def test_a_timeout_before_the_first_trial_is_finished_says_so(clock):
    with pytest.raises(NoResultError, match=r"Not one trial was finished.*timeout=0\.5.*more time"):
        search(LINE, Ticks(), timeout=0.5)
    assert len(Counted.fits) == 1


def test_with_a_timeout_there_is_no_other_end(clock):
    found = search(LINE, Ticks(), timeout=119.5, sampler="random", cv=2)
    assert found.n_trials_ == 60


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_no_fold_begins_after_the_deadline_whoever_waits_for_it(n_jobs):
    begun = []

    class Slow(Counted):
        def fit(self, X, y=None):
            begun.append(time.monotonic())
            time.sleep(0.3)
            return super().fit(X, y)

    started = time.monotonic()
    with joblib.parallel_config("threading"):
        found = search(LINE, Slow(), timeout=0.8, cv=2, n_jobs=n_jobs, pre_dispatch="all")
    assert found.n_trials_ >= 1
    assert max(begun) - started < 0.8 + 0.05
    assert TrialState.RUNNING not in {trial.state for trial in found.study_.trials}


def test_a_real_clock_ends_a_search():
    class Sleeps(Counted):
        def fit(self, X, y=None):
            time.sleep(0.05)
            return super().fit(X, y)

    found = search(LINE, Sleeps(), timeout=1.0, sampler="random")
    assert 1 <= found.n_trials_ <= 11  # no more than twenty fits begin within a second


# --- several budgets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_trials", "n_fits", "timeout", "finished"),
    [
        (3, 100, 100.0, 3),
        (100, 7, 100.0, 4),
        (100, 100, 5.5, 3),
        (3, 6, None, 3),
        (4, None, 5.5, 3),
        (None, 5, 100.0, 3),
        (None, 100, 7.5, 4),
    ],
)
def test_the_first_budget_that_is_reached_ends_the_search(clock, n_trials, n_fits, timeout, finished):
    found = search(LINE, Ticks(), n_trials=n_trials, n_fits=n_fits, timeout=timeout, sampler="tpe")
    expected = finished if timeout != 5.5 else 3
    assert found.n_trials_ == expected


def test_the_end_of_a_space_is_an_end_too(clock):
    found = search(GRID, Ticks(), n_trials=100, n_fits=1000, timeout=1000.0)
    assert found.n_trials_ == 8
    found = search({"x": IntDistribution(1, 5)}, Ticks(), n_fits=1000)
    assert found.n_trials_ == 5
