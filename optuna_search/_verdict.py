"""What a trial comes to by its folds: in the end, and step by step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optuna_search._goals import Goal
from optuna_search._record import Climb, Record


@dataclass(frozen=True)
class Verdict:
    """What a finished trial came to."""

    #: For each goal the mean over the folds that were run; None if the trial failed.
    values: tuple[float, ...] | None
    #: Why it failed.
    failure: str | None = None
    #: Whether it was ended before its last fold, or with a part of the resource.
    pruned: bool = False

    @property
    def value(self) -> float | None:
        """What it came to by the first goal; where trials are pruned, there is no other one."""
        return None if self.values is None else self.values[0]


def judge(record: Record, goals: Sequence[Goal], error_score: float) -> Verdict:
    """Return what a trial comes to by the folds that it has run.

    Parameters
    ----------
    record : Record
        With some fold run.
    goals : sequence of Goal
        What is pursued.
    error_score : float
        What stands for the score of a fit that failed.
    """
    by_goal = [_by_fold(record, goal, error_score) for goal in goals]
    for goal, numbers in zip(goals, by_goal, strict=True):
        if any(math.isnan(number) or number == math.inf for number in numbers):
            failures = [fold.failure.line for fold in record.run if fold.failure is not None]
            return Verdict(None, failures[0] if failures else f"non-finite score: {goal.name}={numbers}")
    return Verdict(tuple(float(np.mean(numbers)) for numbers in by_goal), pruned=record.pruned)


def _by_fold(record: Record, goal: Goal, error_score: float) -> list[float]:
    """Return what each fold that was run came to by one goal."""
    if goal.is_time:
        return [getattr(fold, goal.name) for fold in record.run]
    return [fold.test.get(goal.name, error_score) for fold in record.run]


def curve(
    record: Record, metric: str, error_score: float, climb: Climb | None = None, *, each_fold: bool = False
) -> list[tuple[int, float]]:
    """Return what a trial came to step by step, for those who decide whether it goes on.

    Parameters
    ----------
    record : Record
        Of a trial that has begun.
    metric : str
        The metric that is pursued.
    error_score : float
        What stands for the score of a fit that failed.
    climb : Climb or None
        How trials get more and more of a resource, where steps are amounts of one; else they are folds.
    each_fold : bool
        Whether the score after a fold is that of the fold; else it is the mean up to there.

    Returns
    -------
    steps : list of (int, float)
        How much it had seen, in folds or in units of the resource, and its score then.

    Examples
    --------
    >>> from optuna_search._record import Fold
    >>> folds = [Fold({"score": score}, {}, 0.1, 0.1) for score in (1.0, 0.0)]
    >>> curve(Record({}, (*folds, None)), "score", 0.0)
    [(1, 1.0), (2, 0.5)]
    """
    scores = [fold.test.get(metric, error_score) for fold in record.run]
    means = [(seen, total / seen) for seen, total in enumerate(itertools.accumulate(scores), start=1)]
    if climb is not None and record.rungs and record.climb == climb:
        # The folds after one that leads are as many wholes more.
        further = means[1:] if climb.first_fold_leads else []
        return [*record.rungs, *((seen * climb.whole, mean) for seen, mean in further)]
    # A study that is continued in another way has trials whose steps were of another kind: of these the end counts.
    if climb is not None:
        n_wholes = len(record.folds) if climb.first_fold_leads else 1
        return [(n_wholes * climb.whole, float(np.mean(scores)))] * record.is_whole
    if record.rungs and record.pruned:
        return []
    return list(enumerate(scores, start=1)) if each_fold else means
