"""What a search pursues: metrics, of which more is better, and times, of which less is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.study import StudyDirection

from optuna_search._compat import non_domination_rank

#: The goals that are no metric: seconds that a fold's fit, and its score, take.
TIMES = ("fit_time", "score_time")

#: The goals of a study as its record has them: the name of the one metric, or a list of metrics and times.
Objective = str | list[str]


@dataclass(frozen=True)
class Goal:
    """One thing that is pursued."""

    #: Of the metric, as in the results, or of the time.
    name: str
    is_time: bool = False

    @property
    def direction(self) -> StudyDirection:
        """Which way is better."""
        return StudyDirection.MINIMIZE if self.is_time else StudyDirection.MAXIMIZE


def goals_in(objective: Objective) -> tuple[Goal, ...]:
    """Return the goals that the record of a study names.

    Examples
    --------
    >>> [(goal.name, goal.is_time) for goal in goals_in(["roc_auc", "fit_time"])]
    [('roc_auc', False), ('fit_time', True)]
    """
    if isinstance(objective, str):  # which may be the name of any metric
        return (Goal(objective),)
    return tuple(Goal(name, name in TIMES) for name in objective)


def objective_of(goals: Sequence[Goal]) -> Objective:
    """Return goals as the record of a study names them."""
    return goals[0].name if is_one_metric(goals) else [goal.name for goal in goals]


def is_one_metric(goals: Sequence[Goal]) -> bool:
    """Whether nothing but one metric is pursued: what trials are pruned by."""
    return len(goals) == 1 and not goals[0].is_time


def named_by(goals: Sequence[Goal], metrics: Iterable[str]) -> tuple[Goal, ...]:
    """Return goals by the names that metrics have: one that only a score could tell is the first of them."""
    names = list(metrics)
    return tuple(Goal(names[0]) if names and not goal.is_time and goal.name not in names else goal for goal in goals)


def directions(goals: Sequence[Goal]) -> list[StudyDirection]:
    """Return which way is better, goal by goal."""
    return [goal.direction for goal in goals]


def fronts(values: np.ndarray, goals: Sequence[Goal]) -> np.ndarray:
    """Return how many fronts are before each of some trials: 0 for those on the Pareto front.

    On it is what no other one is better than by one goal, and as good as by all others.

    Parameters
    ----------
    values : array of shape (n_trials, n_goals)
        What they came to.

    Returns
    -------
    ranks : array of shape (n_trials,)

    Examples
    --------
    >>> fronts(np.array([[0.9, 3.0], [0.8, 1.0], [0.7, 2.0]]), goals_in(["roc_auc", "fit_time"])).tolist()
    [0, 0, 1]
    """
    losses = np.asarray(values, dtype=float) * [1.0 if goal.is_time else -1.0 for goal in goals]
    ranks: np.ndarray = non_domination_rank(losses)
    return ranks
