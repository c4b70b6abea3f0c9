"""The loop of a search: propose, claim, send folds out, collect, judge, finish, stop.

How a trial flows through it. A free worker first gets a waiting fold of a trial that is in the air, the
oldest first; only when there is none, a new candidate is proposed and claimed, so that few trials are
undecided at a time and the sampler learns early. A result comes back in this thread; the last fold of a
trial makes its record, its verdict, and one word each to the study, the sampler and whoever watches. At the
end, however it comes, what is still in the air is released.

One thread owns the study and the sampler. Workers know neither.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optuna_search._evaluate import Task
from optuna_search._propose import Proposals
from optuna_search._record import Fold, Record
from optuna_search._request import Budget
from optuna_search._results import Verdict, judge
from optuna_search._signals import undisturbed
from optuna_search._space import Candidate
from optuna_search._store import Store
from optuna_search._workers import Workers

#: Seconds that a task should take: folds that are much faster travel together, or sending them costs more than they do.
TASK_SECONDS = 0.05
#: A search gives up when this many trials have ended and not one fold of theirs could be fitted.
HOPELESS = 5


@dataclass
class Flight:
    """A trial in the air."""

    trial_id: int
    number: int
    candidate: Candidate
    waiting: deque[int]
    folds: list[Fold | None]
    #: Trials of the same candidate, written twice in a grid, which take over its record.
    twins: list[Flight] = field(default_factory=list)

    @property
    def landed(self) -> bool:
        """Whether every fold is there."""
        return all(fold is not None for fold in self.folds)

    @property
    def record(self) -> Record:
        """What is kept of it."""
        return Record(dict(self.candidate.kept), tuple(self.folds))


@dataclass
class Engine:
    """One search.

    Parameters
    ----------
    store : Store
        Where trials are kept.
    proposals : Proposals
        Where candidates come from.
    n_splits : int
        Folds of a trial.
    budget : Budget
        When to stop.
    metric_of : callable
        Given a fold with scores, the name of the metric that is pursued; it may raise.
    error_score : float
        What stands for the score of a failed fit.
    fold_context : callable
        Given the number of a fold fit, scikit-learn's callback context for it.
    watch : callable
        Called after each trial with its number, its id, its verdict and its record; returns whether to stop.
    """

    store: Store
    proposals: Proposals
    n_splits: int
    budget: Budget
    metric_of: Callable[[Fold], str]
    error_score: float
    fold_context: Callable[[int], Any]
    watch: Callable[[int, int, Verdict, Record], bool]

    def __post_init__(self) -> None:
        self._flights: dict[int, Flight] = {}
        self._in_the_air: dict[str, Flight] = {}
        self._known: dict[str, Record] = {}
        self._counted = self._fits = self._sent = 0
        self._hopeless = True
        self._stopped = self._exhausted = False
        self._seconds: deque[float] = deque(maxlen=50)

    # --- what is there already ---

    def take_in(self, records: dict[str, Record], n_trials: int) -> None:
        """Take in the finished trials of the study.

        Parameters
        ----------
        records : dict of str to Record
            By the key of their candidate.
        n_trials : int
            How many trials count.
        """
        self._known.update(records)
        self._counted = n_trials
        self._fits = sum(len(record.run) for record in records.values())
        self._hopeless = all(fold.failure for record in records.values() for fold in record.run)

    # --- the loop ---

    def run(self, workers: Workers) -> None:
        """Search until the budget is used up, nothing is left to propose, or somebody stops it."""
        try:
            while True:
                while workers.room > 0 and (task := self._next_task(workers)) is not None:
                    workers.send(task)
                if not workers.busy:
                    break
                task, result = workers.take()
                self._land(task, result)
        finally:
            self._release()

    def _next_task(self, workers: Workers) -> Task | None:
        if self._stopped or self._out_of_time():
            return None
        flight = next((f for f in self._flights.values() if f.waiting), None) or self._take_off()
        return None if flight is None else self._task(flight, workers)

    def _task(self, flight: Flight, workers: Workers) -> Task:
        size = self._bundle(workers)
        folds = tuple(flight.waiting.popleft() for _ in range(min(size, len(flight.waiting))))
        contexts = tuple(self.fold_context(self._sent + i) for i in range(len(folds)))
        self._sent += len(folds)
        n_candidates = self.budget.n_trials or self._counted + len(self._flights)
        place = self._counted + list(self._flights).index(flight.number)
        return Task(flight.number, flight.candidate.params, folds, (place, n_candidates), contexts)

    def _bundle(self, workers: Workers) -> int:
        """Return how many folds go into one task: enough to be worth sending, and few towards the end."""
        if workers.n_workers == 1 or not self._seconds:
            return 1
        worth = round(TASK_SECONDS / max(float(np.median(self._seconds)), 1e-6))
        left = sum(len(flight.waiting) for flight in self._flights.values())
        if self.budget.n_trials is not None:
            left += max(0, self.budget.n_trials - self._counted - len(self._flights)) * self.n_splits
            worth = min(worth, left // (2 * workers.n_workers))
        return max(1, worth)

    # --- the beginning of a trial ---

    def _take_off(self) -> Flight | None:
        """Claim the next candidate that needs a fit."""
        while not self._used_up():
            candidate = self.proposals.propose()
            if candidate is None:
                self._exhausted = True
                break
            flight = self._claim(candidate)
            if twin := self._in_the_air.get(candidate.key):
                twin.twins.append(flight)
            elif known := self._known.get(candidate.key):
                flight.folds = list(known.folds)
                self._finish(flight)
            else:
                flight.waiting.extend(range(self.n_splits))
                self._in_the_air[candidate.key] = flight
                return flight
        return None

    def _claim(self, candidate: Candidate) -> Flight:
        with undisturbed():  # what is claimed is in the air, and so will be released
            trial_id, number = self.store.claim(candidate)
            flight = Flight(trial_id, number, candidate, deque(), [None] * self.n_splits)
            self._flights[number] = flight
        self.proposals.claimed(candidate, number)
        return flight

    def _used_up(self) -> bool:
        """Whether no new trial may begin."""
        budget = self.budget
        if self._stopped or self._exhausted:
            return True
        if budget.n_trials is not None and self._counted + len(self._flights) >= budget.n_trials:
            return True
        in_the_air = len(self._in_the_air) * self.n_splits
        return budget.n_fits is not None and self._fits + in_the_air >= budget.n_fits

    def _out_of_time(self) -> bool:
        return self.budget.deadline is not None and time.monotonic() >= self.budget.deadline

    # --- the end of a trial ---

    def _land(self, task: Task, result: Callable[[], list[Fold | None]]) -> None:
        flight = self._flights[task.trial]
        try:
            folds = result()
        except Exception as error:
            # `error_score="raise"`, or a scorer that cannot be used: the caller gets it, the study a note.
            with undisturbed():
                self.store.release(flight.trial_id, f"{type(error).__name__}: {error}".splitlines()[0])
                del self._flights[task.trial]
            raise
        for split, fold in zip(task.folds, folds, strict=True):
            if fold is None:  # by the worker's clock the time is up
                self._stopped = True
            else:
                flight.folds[split] = fold
                self._seconds.append(fold.fit_time + fold.score_time)
        if flight.landed:
            del self._in_the_air[flight.candidate.key]
            self._known[flight.candidate.key] = flight.record
            self._fits += self.n_splits
            for one in (flight, *flight.twins):
                one.folds = flight.folds
                self._finish(one)

    def _finish(self, flight: Flight) -> None:
        record = flight.record
        verdict = self._judge(record)
        with undisturbed():
            self.store.finish(flight.trial_id, record, verdict.value, verdict.failure)
            del self._flights[flight.number]
        self._counted += 1
        self.proposals.finished(flight.number, verdict.value)
        self._hopeless = self._hopeless and all(fold.failure for fold in record.run)
        hopeless = self.budget.give_up and self._hopeless and self._counted >= HOPELESS
        self._stopped = self.watch(flight.number, flight.trial_id, verdict, record) or hopeless or self._stopped

    def _judge(self, record: Record) -> Verdict:
        scored = next((fold for fold in record.run if fold.test), None)
        return judge(record, self.metric_of(scored) if scored else "score", self.error_score)

    def _release(self) -> None:
        """Give up what is in the air: the search was stopped, or something was raised."""
        with undisturbed():
            for flight in list(self._flights.values()):
                self.store.release(flight.trial_id, "stopped before its last fold")
            self._flights.clear()
