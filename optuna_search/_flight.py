"""A trial in the air: what it has come to, and what is still to be done for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from optuna_search._prune import Step
from optuna_search._record import Fold, Record
from optuna_search._space import Candidate


@dataclass
class Flight:
    """A trial in the air."""

    trial_id: int
    number: int
    candidate: Candidate
    #: What it has come to so far.
    record: Record
    #: The steps that are still to come.
    steps: deque[Step] = field(default_factory=deque)
    #: How much of the resource the step has that it is at.
    amount: int | None = None
    #: The folds of this step that wait for a worker, and all that are not back.
    waiting: deque[int] = field(default_factory=deque)
    missing: set[int] = field(default_factory=set)
    #: What each fold needs to go on where the last step ended.
    states: dict[int, Any] = field(default_factory=dict)
    #: What it shares with others whose first steps of a Pipeline are the same and are cached.
    prefix: str | None = None
    #: Trials of the same candidate, written twice in a grid, which take over its record.
    twins: list[Flight] = field(default_factory=list)

    def next_step(self) -> None:
        """Have the folds of the next step wait for workers."""
        step = self.steps.popleft()
        self.amount = step.amount
        self.waiting.extend(step.folds)
        self.missing.update(step.folds)

    def land(self, split: int, fold: Fold, state: Any) -> None:
        """Take in a fold; times of all steps add up."""
        folds = list(self.record.folds)
        if (earlier := folds[split]) is not None:
            fit_time, score_time = earlier.fit_time + fold.fit_time, earlier.score_time + fold.score_time
            fold = replace(fold, fit_time=fit_time, score_time=score_time)
        folds[split] = fold
        self.record = replace(self.record, folds=tuple(folds))
        self.states[split] = state
        self.missing.discard(split)
