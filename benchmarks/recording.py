"""What a search spends and finds, fold by fold, whatever its interface: the scorer writes it down.

Every search of scikit-learn models scores them, so the scorer sees all that is fitted, in the order it happens, and
when. A search cannot flatter itself: what counts is the mean over the five whole folds of each candidate, as soon as
the last of them is scored.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import get_scorer
from spaces import branches
from tasks import Task

#: What each search may spend, in fits of a fold, if nobody says.
BUDGET = 300
#: So many folds more and a search is ended that cannot count them. What it finds beyond the budget is not counted.
GRACE = 5


class Spent(BaseException):
    """The budget is spent. Searches take exceptions for failed fits and go on, so it is none."""


@dataclass(frozen=True)
class Step:
    """The best score so far is a new one."""

    #: Folds fitted until then, where one on a part of the data counts as that part.
    folds: float
    #: Seconds since the search began: of the clock, and of the processor.
    wall: float
    cpu: float
    score: float
    candidate: int


@dataclass(frozen=True)
class Entry:
    """A fold was scored."""

    candidate: int
    fold: int
    score: float
    #: How much of the data was used.
    share: float
    wall: float
    cpu: float


class Recorder:
    """A scorer that keeps what it scored."""

    def __init__(self, task: Task, budget: int = BUDGET) -> None:
        self.budget = budget
        self.entries: list[Entry] = []
        self.models: list[Any] = []
        self._spent = 0.0
        self._scorer = get_scorer(task.scoring)
        self._names = sorted({name for branch in branches(task.space) for name in branch})
        self._numbers: dict[str, int] = {}
        self._fold_of_row = rows_of_folds(task)
        self._sizes = [len(test) for _, test in task.cv]
        self.start()

    @property
    def candidates(self) -> int:
        """Return how many candidates the budget is enough for."""
        return self.budget // len(self._sizes)

    def start(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        if self._spent >= self.budget + GRACE:
            raise Spent
        score = float(self._scorer(estimator, X, y))
        fold, *others = {self._fold_of_row[row.tobytes()] for row in X} - {None}
        if others:  # a score on what was trained on
            return score
        share = len(X) / self._sizes[fold]
        self._spent += share
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        self.entries.append(Entry(self._number(estimator), fold, score, share, wall, cpu))
        return score

    def __deepcopy__(self, memo: dict[int, Any]) -> "Recorder":
        return self  # a search that copies its scorer still writes here

    def _number(self, estimator: Any) -> int:
        """Return the number of a candidate, which is known by the values of its parameters."""
        params = estimator.get_params()
        # The parameters of nested estimators that are not searched are the same in all candidates of a branch.
        key = repr([plain(params.get(name)) for name in self._names])
        if key not in self._numbers:
            self._numbers[key] = len(self.models)
            self.models.append(clone(estimator))
        return self._numbers[key]

    def means(self) -> Iterator[tuple[float, Entry, float]]:
        """Return the mean of each candidate when it is known, with the last of its folds, and the folds until then."""
        folds: dict[int, dict[int, float]] = {}
        spent = 0.0
        for entry in self.entries:
            spent += entry.share
            if entry.share < 1:
                continue
            scores = folds.setdefault(entry.candidate, {})
            new = entry.fold not in scores
            scores[entry.fold] = entry.score
            if new and len(scores) == len(self._sizes):
                # In the order of folds, and without the last bits: equal scores are to be equal.
                yield round(float(np.mean([scores[fold] for fold in sorted(scores)])), 12), entry, spent

    def steps(self) -> list[Step]:
        """Return when the best score changed, within the budget."""
        steps: list[Step] = []
        for mean, entry, spent in self.means():
            if spent <= self.budget + 1e-6 and (not steps or mean > steps[-1].score):
                steps.append(Step(spent, entry.wall, entry.cpu, mean, entry.candidate))
        return steps


def plain(value: Any) -> Any:
    """Return a number as Python's own: 1 and np.int64(1) are one candidate."""
    return value.item() if isinstance(value, np.generic) else value


def rows_of_folds(task: Task) -> dict[bytes, int | None]:
    """Return the fold in which each row is tested; None for one that is in several of them."""
    folds: dict[bytes, int | None] = {}
    for fold, (_, test) in enumerate(task.cv):
        for row in task.X[test]:
            folds[row.tobytes()] = fold if folds.get(row.tobytes(), fold) == fold else None
    return folds


def score_of(recorder: Recorder, task: Task, candidate: int) -> float:
    """Return what a candidate is worth on the data that no search has seen."""
    model = clone(recorder.models[candidate]).fit(task.X, task.y)
    return float(get_scorer(task.scoring)(model, task.X_held, task.y_held))
