"""Fits that raise and scores that are none: what fails, what is kept of it, and when a search gives up."""

import re
import threading
import warnings

import joblib
import numpy as np
import pytest
from estimators import FailsOn, KnownScore, ScoresOddly
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from sklearn.model_selection import GridSearchCV
from test_budget import GRID, LINE, Counted, X, Y, _tests_are_apart, failing, made, rng, search, settle  # noqa: F401

from optuna_search import OptunaSearchCV, one_standard_error
from optuna_search.exceptions import NoResultError

# --- hopeless searches ------------------------------------------------------------------------------------------------


class AlwaysFails(Counted):
    """Raises in every fit."""

    def fit(self, X, y=None):
        super().fit(X, y)
        raise ValueError(f"no fit is possible with x={self.x:.1f}")


class FailsAtFirst(Counted):
    """Raises in the first so many fits."""

    def __init__(self, x=0.0, first=8):
        self.x = x
        self.first = first

    def fit(self, X, y=None):
        Counted.fits.append(self.x)
        if len(Counted.fits) <= self.first:
            raise ValueError("not yet")
        return self

    def score(self, X, y=None):
        return -float(self.x)


@pytest.mark.parametrize("sampler", [None, "random", "tpe", "qmc"])
@pytest.mark.parametrize("error_score", [np.nan, 0.0])
def test_a_search_in_which_nothing_can_be_fitted_stops_after_five_trials(sampler, error_score):
    hopeless = made(LINE, AlwaysFails(), n_trials=40, sampler=sampler, error_score=error_score, cv=3)
    with pytest.raises(
        ValueError, match=r"(?s)All the 15 fits failed.*Traceback.*ValueError: no fit is possible"
    ) as error:
        hopeless.fit(X, Y)
    assert len(Counted.fits) == 15
    assert f"no fit is possible with x={Counted.fits[0]:.1f}" in str(error.value)


@pytest.mark.parametrize("refit", [True, one_standard_error], ids=repr)
def test_a_search_in_which_nothing_can_be_scored_stops_after_five_trials(refit):
    def broken(estimator, X, y):
        raise ValueError("no score is possible")

    where = {"study_name": "hopeless", "storage": InMemoryStorage()}
    hopeless = made(LINE, n_trials=40, scoring=broken, refit=refit, **where)
    with (
        pytest.warns(UserWarning, match="(?s)no score is possible.*10 times in this search"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-finite"),
        pytest.raises(
            NoResultError, match=r"first 5 trials has a score.*non-finite score: score=\[nan, nan\]"
        ) as error,
    ):
        hopeless.fit(X, Y)
    assert len(hopeless.cv_results_["params"]) == 5
    assert "give another study_name" in error.value.__notes__[0]


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_a_hopeless_search_stops_with_many_workers_too(n_jobs):
    hopeless = made(LINE, AlwaysFails(), n_trials=40, n_jobs=n_jobs)
    with joblib.parallel_config("threading"), pytest.raises(ValueError, match=r"(?s)All the .* fits failed.*Traceback"):
        hopeless.fit(X, Y)
    assert 10 <= len(Counted.fits) <= 10 + 4 * n_jobs


def test_a_grid_tries_everything_before_it_gives_up():
    with pytest.raises(ValueError, match="All the 16 fits failed"):
        search(GRID, AlwaysFails())
    assert len(Counted.fits) == 16


def test_a_grid_in_which_only_the_last_candidate_works_is_searched():
    with failing(18, 20):
        found = search({"x": list(range(10))}, FailsOn(bad=tuple(range(9))))
    assert found.best_params_ == {"x": 9}


@pytest.mark.parametrize("first", [8, 9])
def test_one_fold_that_could_be_fitted_is_hope(first):
    with failing(first, 14):
        found = search(LINE, FailsAtFirst(first=first), n_trials=7, sampler="random")
    assert found.n_trials_ == 7


def test_a_hopeless_study_is_not_tried_for_long_by_the_next_run():
    where = {"storage": InMemoryStorage(), "study_name": "hopeless"}
    for fits in (10, 12):
        with pytest.raises(ValueError, match=f"All the {fits} fits failed"):
            search(LINE, AlwaysFails(), n_trials=40, **where)
    assert len(Counted.fits) == 12


def test_the_commonest_failure_is_quoted_with_its_count():
    class FailsInTwoWays(Counted):
        def fit(self, X, y=None):
            super().fit(X, y)
            raise ValueError("rare") if len(Counted.fits) <= 2 else RuntimeError("common")

    with pytest.raises(ValueError, match="All the 10 fits failed") as error:
        search(LINE, FailsInTwoWays(), n_trials=40)
    assert re.search(r"(?s)8 fits failed with the following error:.*RuntimeError: common", str(error.value))
    assert re.search(r"(?s)2 fits failed with the following error:.*ValueError: rare", str(error.value))


def test_nothing_is_refitted_when_nothing_could_be_fitted():
    hopeless = made(LINE, AlwaysFails(), refit=True, n_trials=3)
    with pytest.raises(ValueError, match="All the 6 fits failed"):
        hopeless.fit(X, Y)
    assert not hasattr(hopeless, "best_estimator_") and not hasattr(hopeless, "best_params_")


# --- scores that are none ---------------------------------------------------------------------------------------------


class ScoresByFold(KnownScore):
    """Scores its list fold by fold, told apart by the first number of the test part."""

    def score(self, X, y=None):
        return self.x[int(X[0, 0])]


MARKED = np.column_stack([np.repeat([0.0, 1.0, 2.0], 4), np.arange(12.0)])
THREE = [(np.flatnonzero(MARKED[:, 0] != fold), np.flatnonzero(MARKED[:, 0] == fold)) for fold in range(3)]


def odd_scores(*choices, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made({"x": list(choices)}, ScoresByFold(), cv=THREE, **more).fit(MARKED, Y)


@pytest.mark.parametrize("fold", [0, 1, 2])
@pytest.mark.parametrize("odd", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize("sampler", [None, "tpe"])
def test_one_fold_that_is_no_score_makes_the_trial_fail(odd, fold, sampler):
    spoiled = [5.0, 5.0, 5.0]
    spoiled[fold] = odd
    found = odd_scores([1.0, 1.0, 1.0], spoiled, [2.0, 3.0, 4.0], n_trials=3, sampler=sampler)
    states = {
        repr(p["x"]): s for p, s in zip(found.cv_results_["params"], found.cv_results_["trial_state"], strict=True)
    }
    assert states == {repr([1.0, 1.0, 1.0]): "COMPLETE", repr(spoiled): "FAIL", repr([2.0, 3.0, 4.0]): "COMPLETE"}
    assert found.best_params_ == {"x": [2.0, 3.0, 4.0]} and found.best_score_ == 3.0
    trial = next(trial for trial in found.study_.trials if trial.state is TrialState.FAIL)
    assert trial.value is None
    assert trial.user_attrs["failure"].startswith("non-finite score: score=")
    row = found.cv_results_["params"].index({"x": spoiled})
    kept = [found.cv_results_[f"split{i}_test_score"][row] for i in range(3)]
    np.testing.assert_array_equal(kept, spoiled)
    assert found.cv_results_["rank_test_score"][row] == 3


def test_where_every_score_is_nan_the_first_row_is_taken_with_a_warning_as_in_grid_search():
    with pytest.warns(UserWarning, match="test scores are non-finite"):
        found = made({"x": [np.nan]}, ScoresOddly()).fit(X, Y)
    assert found.best_index_ == 0
    assert found.n_trials_ == 1


def test_a_search_in_which_every_score_is_infinite_says_so():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hopeless = made({"x": [np.inf]}, ScoresOddly())
        with pytest.raises(NoResultError, match="Not one of 1 trials has a score that can win: every mean of 'score'"):
            hopeless.fit(X, Y)
    assert not hasattr(hopeless, "best_estimator_")


def test_minus_infinity_is_a_score_and_the_worst():
    found = odd_scores([1.0, 1.0, 1.0], [2.0, 2.0, -np.inf], [0.0, 0.0, 0.0])
    assert list(found.cv_results_["trial_state"]) == ["COMPLETE"] * 3
    assert list(found.cv_results_["rank_test_score"]) == [1, 3, 2]
    assert found.study_.trials[1].value == -np.inf
    alone = odd_scores([-np.inf, 1.0, 1.0])
    assert alone.best_score_ == -np.inf


def test_scores_that_are_none_are_warned_of_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made({"x": [1.0, np.nan, np.inf, -np.inf]}, ScoresOddly()).fit(X, Y)
    assert len([w for w in caught if "non-finite" in str(w.message)]) == 1


def test_a_number_as_error_score_stands_for_failed_fits_only():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = search({"x": [1, 2]}, FailsOn(bad=(1,)), error_score=7.5)
        odd = search({"x": [1.0, np.nan]}, ScoresOddly(), error_score=7.5)
    assert list(found.cv_results_["mean_test_score"]) == [7.5, -2.0]
    assert found.best_params_ == {"x": 1}
    assert list(odd.cv_results_["trial_state"]) == ["COMPLETE", "FAIL"]


SCORES_OF_NO_NUMBER = {
    "None": None,
    "a text": "good",
    "a list": [1.0, 2.0],
    "an array": np.array([1.0, 2.0]),
    "a complex number": 1 + 2j,
    "a date": np.datetime64("2020-01-01"),
}


@pytest.mark.parametrize("error_score", [np.nan, 0.0, "raise"], ids=str)
@pytest.mark.parametrize("name", SCORES_OF_NO_NUMBER)
@pytest.mark.parametrize("sampler", [None, "tpe"])
def test_a_scorer_that_gives_no_number_is_named_at_the_first_trial(name, error_score, sampler):
    def speedometer(estimator, X, y=None):
        return SCORES_OF_NO_NUMBER[name]

    asked = made({"x": [1, 2, 3]}, scoring=speedometer, error_score=error_score, sampler=sampler)
    with pytest.raises((ValueError, TypeError), match=r"(?s)scor.*number.*speedometer|speedometer.*number") as error:
        asked.fit(X, Y)
    assert str(SCORES_OF_NO_NUMBER[name]) in str(error.value)
    assert len(Counted.fits) <= 2


# scikit-learn takes a text among several scores for the traceback of a scorer that failed.
@pytest.mark.parametrize("name", sorted(set(SCORES_OF_NO_NUMBER) - {"a text"}))
def test_a_scorer_that_gives_no_number_among_others_is_named(name):
    asked = made(
        {"x": [1, 2, 3]},
        scoring={"good": lambda estimator, X, y: 1.0, "odd": lambda estimator, X, y: SCORES_OF_NO_NUMBER[name]},
        refit="good",
    )
    with pytest.raises((ValueError, TypeError), match=r"(?s)scor.*number.*odd|odd.*number"):
        asked.fit(X, Y)
    assert len(Counted.fits) <= 2


def test_a_score_in_an_array_of_one_is_a_number_as_in_grid_search():
    scores = [
        cls(
            KnownScore(),
            {"x": [1, 2]},
            cv=2,
            refit=False,
            scoring=lambda estimator, X, y: np.array([float(estimator.x)]),
        )
        .fit(X, Y)
        .cv_results_["mean_test_score"]
        for cls in (GridSearchCV, OptunaSearchCV)
    ]
    np.testing.assert_array_equal(*scores)


def test_what_is_in_the_air_when_a_scorer_gives_no_number_is_given_up():
    storage = InMemoryStorage()
    with joblib.parallel_config("threading"), pytest.raises(ValueError, match="must return a number"):
        search(LINE, scoring=lambda estimator, X, y: "good", n_trials=8, n_jobs=2, storage=storage, study_name="text")
    trials = storage.get_all_trials(storage.get_study_id_from_name("text"))
    assert trials and {trial.state for trial in trials} == {TrialState.FAIL}
    assert not [trial for trial in trials if "optuna_search" in trial.user_attrs]


# --- failures are kept ------------------------------------------------------------------------------------------------


class SpoilsOneFold(Counted):
    """Raises in ``fit`` for even ``x`` when the first mark is in the training data."""

    def fit(self, X, y=None):
        super().fit(X, y)
        if self.x % 2 == 0 and 0.0 in X[:, 0]:
            raise RuntimeError(f"x={self.x}\non two lines")
        return self


def test_type_text_and_traceback_of_a_failure_are_kept_for_each_fold():
    search_ = made({"x": [1, 2]}, SpoilsOneFold(), cv=THREE)
    with failing(2, 6):
        search_.fit(MARKED, Y)
    complete, failed = search_.study_.trials
    assert complete.state is TrialState.COMPLETE and "failures" not in complete.user_attrs["optuna_search"]
    assert failed.state is TrialState.FAIL
    assert failed.user_attrs["failure"] == "RuntimeError: x=2"
    (failure,) = failed.user_attrs["optuna_search"]["failures"]
    assert failure["folds"] == [1, 2]
    assert failure["type"] == "RuntimeError"
    assert failure["message"] == "x=2\non two lines"
    assert failure["traceback"].startswith("Traceback") and 'raise RuntimeError(f"x=' in failure["traceback"]


def test_one_warning_tells_of_all_failed_fits():
    with failing(6, 12):
        search({"x": list(range(6))}, FailsOn(bad=(1, 3, 5)))


class Unusual(Exception):
    """An error that nobody else raises."""

    def __init__(self, x, why):
        super().__init__(x, why)
        self.x = x


class RaisesUnusually(Counted):
    def fit(self, X, y=None):
        super().fit(X, y)
        if self.x == 2:
            raise Unusual(self.x, "because")
        return self


@pytest.mark.parametrize("n_jobs", [None, 2, 4])
def test_raise_lets_the_error_itself_out(n_jobs):
    where = {"storage": InMemoryStorage(), "study_name": "raised"}
    with joblib.parallel_config("threading"), pytest.raises(Unusual) as error:
        search({"x": [0, 1, 2, 3]}, RaisesUnusually(), error_score="raise", n_jobs=n_jobs, **where)
    assert error.value.x == 2 and error.value.args == (2, "because")
    assert any(entry.name == "fit" and "test_failures" in str(entry.path) for entry in error.traceback)
    storage = where["storage"]
    trials = storage.get_all_trials(storage.get_study_id_from_name("raised"))
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert TrialState.RUNNING not in {trial.state for trial in trials}
    assert "Unusual: (2, 'because')" in [trial.user_attrs["failure"] for trial in failed]
    assert all(trial.params["x"] in ("0", "1", "3") for trial in trials if trial.state is TrialState.COMPLETE)


@pytest.mark.parametrize("n_jobs", [None, 2, 4])
@pytest.mark.parametrize("bad", [(7,), (6, 7), (0,)], ids=str)
def test_an_error_in_the_last_trials_is_never_swallowed(n_jobs, bad):
    before = set(threading.enumerate())
    with joblib.parallel_config("threading"):
        with pytest.raises(ValueError, match=rf"x=[{''.join(map(str, bad))}] is bad in fit"):
            search({"x": list(range(8))}, FailsOn(bad=bad), error_score="raise", n_jobs=n_jobs)
        settle(before)
        with failing(2 * len(bad), 16):
            found = search({"x": list(range(8))}, FailsOn(bad=bad), n_jobs=n_jobs)
    assert [params["x"] for params in found.cv_results_["params"]] == list(range(8))
    assert [state == "FAIL" for state in found.cv_results_["trial_state"]] == [x in bad for x in range(8)]


def test_a_failing_scorer_is_a_failed_trial_with_a_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = search({"x": [0, 1]}, FailsOn(bad=(1,), where="score"))
    assert list(found.cv_results_["trial_state"]) == ["COMPLETE", "FAIL"]
    assert found.study_.trials[1].user_attrs["failure"]
