"""Callbacks that stop a search, and what a callback can learn from a trial.

A callback is called with ``(study, frozen_trial)`` after each trial, in the process of the search; ``study.stop()`` in
one ends the search. `NoImprovement` and `TargetReached` are two such; `params_of` and `scores_of` are for your own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from optuna_search._history import history_of
from optuna_search._record import RECORD, Fold, Record, decode
from optuna_search._tokens import plain
from optuna_search.exceptions import InvalidRequestError

__all__ = ["NoImprovement", "TargetReached", "params_of", "scores_of"]


class StoppingRule:
    """A callback that stops a search as soon as something holds for its study.

    A search asks it before the first trial as well, so that one which was stopped runs no further trial when it is
    run again.
    """

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Stop if it holds.

        Parameters
        ----------
        study : optuna.Study
            That is searched.
        trial : optuna.trial.FrozenTrial
            The one that has just ended; what is asked is the study.
        """
        if self.is_met(study):
            study.stop()

    def is_met(self, study: optuna.Study) -> bool:
        """Return whether it holds.

        Parameters
        ----------
        study : optuna.Study
            With whatever trials it has.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class NoImprovement(StoppingRule):
    """Stops a search when this many trials have brought nothing better.

    What counts is what the study knows: trials of earlier runs and of other processes too, those that were pruned or
    have failed, and not those that were given up or handed back before their end. What a fork has taken over is to be
    improved upon, but is not counted. With several goals, something better is a trial that no other one equals or beats
    in all of them: a change of the Pareto front.

    Parameters
    ----------
    n_trials : int
        How many trials.

    Raises
    ------
    InvalidRequestError
        If that is no whole number from 1.

    Notes
    -----
    With one job the search ends with exactly so many trials after its best one. With several, folds that workers have
    when it stops are finished: a trial that is complete with them counts, the others are given up and do not.

    It works in a study of Optuna's own, too: ``study.optimize(..., callbacks=[NoImprovement(20)])``.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from optuna_search import OptunaSearchCV
    >>> from optuna_search.callbacks import NoImprovement
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": FloatDistribution(1e-2, 1e3, log=True)}
    >>> search = OptunaSearchCV(SVC(), space, n_trials=200, callbacks=NoImprovement(10), random_state=0).fit(X, y)
    >>> search.n_trials_ - 1 - search.best_trial_.number
    10
    """

    n_trials: int

    def __post_init__(self) -> None:
        n_trials: Any = self.n_trials
        if isinstance(n_trials, bool) or not isinstance(n_trials, Integral) or n_trials < 1:
            raise InvalidRequestError(f"n_trials={n_trials!r} must be a whole number from 1.")
        object.__setattr__(self, "n_trials", int(n_trials))

    def is_met(self, study: optuna.Study) -> bool:
        """Return whether the last `n_trials` trials of a study have brought nothing better.

        Parameters
        ----------
        study : optuna.Study
            With whatever trials it has.
        """
        return history_of(study).n_since >= self.n_trials


@dataclass(frozen=True)
class TargetReached(StoppingRule):
    """Stops a search when a trial has reached a score.

    What counts is the best complete trial of the study, whoever ran it and when: with the target reached by an earlier
    run, by another process, or in the study that this one was forked from, no further trial begins.

    Parameters
    ----------
    score : float or sequence of float
        The mean score over the folds, of the metric that is pursued, that is good enough: this or more, or this or less
        for what is minimised. With several goals one for each, in their order; one trial has to reach all of them.

    Raises
    ------
    InvalidRequestError
        If that is no number, or no sequence of some; and before the first trial, if the study has not so many goals.

    Notes
    -----
    With several jobs, what is in the air when a search stops ends as `NoImprovement` tells.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from optuna_search import OptunaSearchCV
    >>> from optuna_search.callbacks import TargetReached
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": FloatDistribution(1e-2, 1e3, log=True)}
    >>> search = OptunaSearchCV(SVC(), space, n_trials=200, callbacks=TargetReached(0.97), random_state=0).fit(X, y)
    >>> bool(search.best_score_ >= 0.97), search.best_trial_.number == search.n_trials_ - 1
    (True, True)
    """

    score: float | tuple[float, ...]

    def __post_init__(self) -> None:
        given: Any = self.score
        score = given.tolist() if isinstance(given, np.ndarray) else given
        is_one = not isinstance(score, Sequence) or isinstance(score, str | bytes)
        numbers = [score] if is_one else list(score)
        if not numbers or not all(_is_finite(number) for number in numbers):
            raise InvalidRequestError(f"score={score!r} must be a finite number, or a sequence of some.")
        object.__setattr__(self, "score", float(score) if is_one else tuple(map(float, numbers)))

    def is_met(self, study: optuna.Study) -> bool:
        """Return whether a trial of a study has reached the score.

        Parameters
        ----------
        study : optuna.Study
            With whatever trials it has.

        Raises
        ------
        InvalidRequestError
            If it has not as many goals as there are scores.
        """
        front = history_of(study).front
        target = self.score if isinstance(self.score, tuple) else (self.score,)
        if len(target) != len(front.signs):
            raise InvalidRequestError(
                f"score={self.score!r} must be one number for each goal of the search; there "
                + ("is one." if len(front.signs) == 1 else f"are {len(front.signs)}.")
            )
        return front.reaches(target)


def _is_finite(number: Any) -> bool:
    try:
        return not isinstance(number, bool) and isinstance(number, Real) and math.isfinite(number)
    except OverflowError:  # a whole number that is larger than any float
        return False


def is_over(callbacks: Sequence[Any], study: optuna.Study) -> bool:
    """Whether a rule among the callbacks of a search holds before its first trial."""
    return any(isinstance(callback, StoppingRule) and callback.is_met(study) for callback in callbacks)


# --- for callbacks of one's own ---------------------------------------------------------------------------------------


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that the estimator got in a trial.

    ``trial.params`` are what the sampler has drawn: the arm of a conditional space and the quantile of a distribution
    are among them. These are what ``cv_results_`` has, but for objects, for which their tokens stand.

    Parameters
    ----------
    trial : optuna.trial.FrozenTrial
        That has ended, of a study of ours.

    Returns
    -------
    params : dict of str to object
        Numbers, texts, None and the like are as they were; ``SVC(C=10)`` is the text "SVC(C=10)".

    Raises
    ------
    StorageError
        If the trial has no record: it is of another tool, or was given up before its end.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV
    >>> from optuna_search.callbacks import params_of
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> grid = {"max_depth": [2, None]}
    >>> search = OptunaSearchCV(DecisionTreeClassifier(), grid, callbacks=lambda study, trial: print(params_of(trial)))
    >>> _ = search.fit(X, y)
    {'max_depth': 2}
    {'max_depth': None}
    """
    params = _decoded(trial).params
    return {name: plain(value) if isinstance(value, str) else value for name, value in params.items()}


def scores_of(trial: FrozenTrial) -> dict[str, np.ndarray]:
    """Return the scores and times of a trial fold by fold, in the form of scikit-learn's ``cross_validate``.

    Parameters
    ----------
    trial : optuna.trial.FrozenTrial
        That has ended, of a study of ours.

    Returns
    -------
    scores : dict of str to ndarray of shape (n_folds,)
        "fit_time" and "score_time" in seconds, "test_score" or, with several metrics, "test_<metric>" for each, and
        ``"train_..."`` where training scores were asked for. A fold that was not run is NaN, and so are the scores of
        one that failed; where all of them failed there are none.

    Raises
    ------
    StorageError
        If the trial has no record: it is of another tool, or was given up before its end.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV
    >>> from optuna_search.callbacks import scores_of
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> scoring = ["accuracy", "f1_macro"]
    >>> search = OptunaSearchCV(SVC(), {"C": [1, 10]}, scoring=scoring, refit="accuracy").fit(X, y)
    >>> scores = scores_of(search.best_trial_)
    >>> list(scores)
    ['fit_time', 'score_time', 'test_accuracy', 'test_f1_macro']
    >>> bool(scores["test_accuracy"].mean() == search.best_score_)
    True
    """
    rows = [{} if fold is None else _row(fold) for fold in _decoded(trial).folds]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, math.nan) for row in rows]) for name in names}


def _row(fold: Fold) -> dict[str, float]:
    test = {f"test_{name}": score for name, score in fold.test.items()}
    train = {f"train_{name}": score for name, score in fold.train.items()}
    return {"fit_time": fold.fit_time, "score_time": fold.score_time, **test, **train}


def _decoded(trial: FrozenTrial) -> Record:
    return decode(trial.user_attrs.get(RECORD), f"trial {trial.number}")
