"""The loop of a search: hear, propose, claim, send folds out, collect, prune or judge, finish, wait, stop.

How a trial flows through it. A free worker first gets a waiting fold of a trial that is in the air, the
oldest first; only when there is none, a new candidate is proposed and claimed, so that few trials are
undecided at a time and the sampler learns early. A trial goes step by step: all folds at once where nothing is
pruned, one fold after the other or one amount of a resource after the other where something is. A result comes
back in this thread; the last fold of a step asks the pruner, and that of the last step makes the record of the
trial, its verdict, and one word each to the study, the sampler and whoever watches. At the end, however it
comes, what is still in the air is released.

Other processes may work on the same study, and are known by their trials alone. Before each draw the engine
takes in what they have written since; alone, it reads nothing, and learns from the number of its next trial
that it is not alone any more. A claim is a ticket: if enough trials, or one of the same candidate,
have a smaller number, somebody was faster, and the trial is handed back before anything is fitted. When
nothing is left to begin, the engine waits for the others' trials in the air, so that all end with the same
results, and takes over what a process leaves behind that dies.

One thread owns the study and the sampler. Workers know neither.
"""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from optuna_search._damage import readable
from optuna_search._evaluate import Outcome, Task, lost
from optuna_search._flight import Flight
from optuna_search._goals import Goal, is_one_metric
from optuna_search._kept import EXITED, Kept, candidate_of, kept_of, took_its_process_along
from optuna_search._others import Others
from optuna_search._propose import Proposals
from optuna_search._prune import Pruning, Step
from optuna_search._record import FAILURE, HANDED_BACK, Climb, Fold, Record, counts, is_alive, measured_here
from optuna_search._request import Budget
from optuna_search._roster import Roster
from optuna_search._signals import came_by_signal, undisturbed
from optuna_search._space import AnySpace, Candidate
from optuna_search._store import Store
from optuna_search._verdict import Verdict, curve, judge
from optuna_search._warned import Warned
from optuna_search._workers import Workers
from optuna_search.exceptions import LateResultWarning, SpaceError

#: Seconds that a task should take: folds that are much faster travel together, or sending them costs more than they do.
TASK_SECONDS = 0.1
#: A search gives up when this many trials have ended and not one fold of theirs could be fitted and scored.
HOPELESS = 5
#: How long to wait before looking for news of other processes again, at first and at most.
POLL_SECONDS = (0.02, 1.0)
#: What one is failed with that was in the air when its search ended.
STOPPED = "stopped before its last fold"
#: A candidate that has taken so many processes along is not tried again.
MAX_LOSSES = 2


@dataclass
class Engine:
    """One search.

    Parameters
    ----------
    store : Store
        Where trials are kept.
    space : Space or FunctionSpace
        What the trials of other processes are points of.
    proposals : Proposals
        Where candidates come from.
    pruning : Pruning
        What ends a trial before its last step.
    steps : sequence of Step
        What a trial goes through.
    climb : Climb or None
        How trials get more and more of a resource.
    n_splits : int
        Folds of a trial.
    budget : Budget
        When to stop.
    goals_of : callable
        What is pursued, by the names that a fold with scores has for it, and it may raise; given None, as far as it is
        known before the first score.
    error_score : float
        What stands for the score of a failed fit.
    fold_context : callable
        Given the number of a fold fit, scikit-learn's callback context for it.
    watch : callable
        Called after each trial with its number, its id, its verdict and its record; returns whether to stop.
    heard : callable
        Called after each trial of another process with its number, its verdict, its record and whether it counts.
    prefix_of : callable
        Given the parameters of a candidate, what it shares with others whose first steps are the same and are cached.
    """

    store: Store
    space: AnySpace
    proposals: Proposals
    pruning: Pruning
    steps: Sequence[Step]
    climb: Climb | None
    n_splits: int
    budget: Budget
    goals_of: Callable[[Fold | None], Sequence[Goal]]
    error_score: float
    fold_context: Callable[[int], Any]
    watch: Callable[[int, int, Verdict, Record], bool]
    heard: Callable[..., None]
    prefix_of: Callable[[Mapping[str, Any]], str | None] = lambda params: None

    def __post_init__(self) -> None:
        self._others = Others(self.store)
        self._roster = Roster()
        self._flights: dict[int, Flight] = {}
        self._in_the_air: dict[str, Flight] = {}
        #: Trials whose candidate another process has in the air: they take over its record.
        self._guests: dict[str, list[Flight]] = {}
        self._known: dict[str, Record] = {}
        #: The prefixes and folds of which somebody fits the first steps right now, and those whose are in the cache.
        self._warming: set[tuple[str, int]] = set()
        self._warm: set[tuple[str, int]] = set()
        #: How many processes have died while they fitted a candidate themselves.
        self._losses: Counter[str | None] = Counter()
        #: What was warned of in the fits, and how often.
        self.warned: Counter[Warned] = Counter()
        self._counted = self._sent = 0
        self._hopeless = True
        #: Whether nothing could be fitted and scored, and so the search was ended.
        self.gave_up = False
        self._stopped = self._exhausted = False
        self._seconds: deque[float] = deque(maxlen=50)

    # --- the loop ---

    def run(self, workers: Workers) -> None:
        """Search until the budget is used up, nothing is left to propose, or somebody stops it."""
        self.store.fits_inside = workers.inside
        pause = POLL_SECONDS[0]
        try:
            while True:
                while workers.room > 0 and (task := self._next_task(workers)) is not None:
                    workers.send(task)
                if workers.busy:
                    if (landed := workers.take()) is None:
                        break
                    self._land(*landed)
                elif self._stopped or self._out_of_time():
                    break
                elif self.hear():
                    pause = POLL_SECONDS[0]
                elif self._is_worth_waiting():
                    time.sleep(pause)
                    pause = min(1.5 * pause, POLL_SECONDS[1])
                else:
                    break
        except BaseException as error:
            if not isinstance(error, Exception):
                self.store.hurry()
            raise
        finally:
            self._release()

    # --- what others do ---

    def _is_worth_waiting(self) -> bool:
        """Whether others have trials in the air that belong to the budget, or are what trials of ours wait for."""
        within = any(not self._is_used_up(*self._roster.before(number)) for number in self._others.running)
        return within or bool(self._guests)

    def hear(self) -> bool:
        """Take in what was written to the study since the last time, and return whether there was anything."""
        news = self._others.news()
        for trial in news:
            if not is_alive(trial):
                if took_its_process_along(trial):
                    self._losses[self._key_of(trial)] += 1
                self._lost(trial.number)
                continue
            kept = kept_of([trial])[0] if trial.state.is_finished() else None
            worth = None if kept is None else self._worth(kept.record, self._verdict(kept))
            key = self._roster.key(trial.number)
            if key is not None:
                self.proposals.finished(trial.number, worth)
            elif (key := self._key_of(trial)) is None:
                continue
            else:
                self._roster.enter(trial.number, key, self.n_splits, counts=measured_here(trial))
                self.proposals.observe(trial, key, worth)
            if kept is not None:
                self._learn(kept, key)
        return bool(news)

    def _key_of(self, trial: FrozenTrial) -> str | None:
        """Return the candidate of a trial; None for one without an end of its own that is no point of the space.

        Whoever began that is about to notice that this is not the study that had its id before.
        """
        try:
            return candidate_of(trial, self.space).key
        except SpaceError:
            if counts(trial):
                raise
            return None

    def _learn(self, kept: Kept, key: str) -> None:
        """Take in the end of a trial of another process."""
        trial, record, verdict = kept.trial, kept.record, self._verdict(kept)
        self._count(trial.number, key, record, counts=measured_here(trial))
        self.pruning.ended(trial.number, self._curve(record), verdict)
        self.heard(trial.number, verdict, record, counts=measured_here(trial))
        for guest in self._guests.pop(key, []):
            self._finish(guest, record)

    def _verdict(self, kept: Kept) -> Verdict:
        trial, n_goals = kept.trial, len(self.goals_of(None))
        values = None if trial.values is None else tuple(trial.values)
        with readable(f"Trial {trial.number}"):
            if values is not None and len(values) != n_goals:
                raise ValueError(f"it came to {len(values)} numbers, and the study has {n_goals} goals")
        return Verdict(values, trial.user_attrs.get(FAILURE), kept.record.pruned)

    def _lost(self, number: int) -> None:
        """Take in that a trial was given up: its place is free again, and so is its candidate."""
        key = self._roster.leave(number)
        self.proposals.given_up(number)
        self.pruning.given_up(number)
        self._exhausted = False
        if key in self._guests and self._guests[key][0].number == min(self._roster.holders(key)):
            first, *others = self._guests.pop(key)
            self._begin(first)
            first.twins.extend(others)

    def _count(self, number: int, key: str, record: Record, *, counts: bool = True) -> None:
        """Take in a finished trial, whoever ran it."""
        fits = record.fits if counts and key not in self._known else 0
        self._known.setdefault(key, record)
        self._roster.enter(number, key, fits, counts=counts)
        self._counted += counts
        self._hopeless = self._hopeless and not any(map(self._is_scored, record.run))

    def _next_task(self, workers: Workers) -> Task | None:
        if self._stopped or self._out_of_time():
            return None
        flight = self._waiting()
        while flight is None and self._n_held() < workers.n_workers:
            taken = self._take_off()
            # To take off is to hear the news, by which a trial that has waited for another one may have begun.
            flight = self._waiting()
            if taken is None:
                break
        return None if flight is None else self._task(flight, workers)

    def _n_held(self) -> int:
        """Return how many trials wait only for what others fit for them; a few do, for other candidates may not."""
        return sum(bool(flight.waiting) and not self._ready(flight) for flight in self._flights.values())

    def _waiting(self) -> Flight | None:
        """Return the oldest trial in the air with a fold that waits for a worker."""
        return next((flight for flight in self._flights.values() if self._ready(flight)), None)

    def _ready(self, flight: Flight) -> Sequence[int]:
        """Return the waiting folds that may go out.

        Where the first steps of a Pipeline are cached, a fold waits while they are fitted for it by another trial: it
        would fit the very same once more.
        """
        if flight.prefix is None:
            return flight.waiting
        return [split for split in flight.waiting if (flight.prefix, split) not in self._warming]

    def _task(self, flight: Flight, workers: Workers) -> Task:
        folds = tuple(itertools.islice(self._ready(flight), self._bundle(workers)))
        for split in folds:
            flight.waiting.remove(split)
            if flight.prefix is not None and (flight.prefix, split) not in self._warm:
                self._warming.add((flight.prefix, split))
        contexts = tuple(self.fold_context(self._sent + i) for i in range(len(folds)))
        self._sent += len(folds)
        n_candidates = self.budget.n_trials or len(self._roster)
        place = self._counted + list(self._flights).index(flight.number)
        states = tuple(flight.states.pop(split, None) for split in folds)
        return Task(
            flight.number, flight.candidate.params, folds, (place, n_candidates), contexts, flight.amount, states
        )  # fmt: skip

    def _bundle(self, workers: Workers) -> int:
        """Return how many folds go into one task: enough to be worth sending, and few towards the end."""
        if workers.n_workers == 1 or not self._seconds:
            return 1
        worth = round(TASK_SECONDS / max(float(np.median(self._seconds)), 1e-6))
        left = sum(len(flight.waiting) for flight in self._flights.values())
        if self.budget.n_trials is not None:
            left += max(0, self.budget.n_trials - len(self._roster)) * self.n_splits
            worth = min(worth, left // (2 * workers.n_workers))
        return max(1, worth)

    # --- the beginning of a trial ---

    def _take_off(self) -> Flight | None:
        """Claim the next candidate that needs a fit."""
        while not (self._stopped or self._out_of_time()):
            if self._others.were_met:
                self.hear()
            if self._exhausted or self._is_used_up(len(self._roster), self._roster.fits):
                break
            candidate = self.proposals.propose()
            if candidate is None:
                self._exhausted = True
                break
            flight = self._claim(candidate)
            if flight is not None and self._must_be_fitted(flight):
                return flight
        return None

    def _must_be_fitted(self, flight: Flight) -> bool:
        """Whether a new trial has folds to fit; if not, it takes over the record of another one."""
        key = flight.candidate.key
        if twin := self._in_the_air.get(key):
            twin.twins.append(flight)
            self._roster.enter(flight.number, key, fits=0)
        elif known := self._known.get(key):
            self._finish(flight, known)
        elif self._losses[key] >= MAX_LOSSES:
            why = f"{self._losses[key]} processes have died while they fitted this candidate; it is not tried again"
            self._finish(flight, replace(flight.record, folds=(lost(why),) * self.n_splits))
        elif flight.number != min(self._roster.holders(key)):  # of one candidate the first ticket is fitted
            self._guests.setdefault(key, []).append(flight)
            self._roster.enter(flight.number, key, fits=0)
        else:
            self._begin(flight)
            return True
        return False

    def _begin(self, flight: Flight) -> None:
        self._roster.enter(flight.number, flight.candidate.key, self.n_splits)
        flight.steps.extend(self.steps)
        flight.next_step()
        self._in_the_air[flight.candidate.key] = flight

    def _claim(self, candidate: Candidate) -> Flight | None:
        """Claim a trial; None if somebody was faster."""
        known = set(self._roster.holders(candidate.key))
        with undisturbed():  # what is claimed is in the air, and so will be released
            trial_id, number = self.store.claim(candidate)
            nothing = Record(dict(candidate.kept), (None,) * self.n_splits, climb=self.climb)
            flight = Flight(trial_id, number, candidate, nothing, prefix=self.prefix_of(candidate.kept))
            self._flights[number] = flight
        self.proposals.claimed(candidate, number)
        self._roster.enter(number, candidate.key, self.n_splits)
        if number == self._others.n_seen:  # nobody came in between
            self._others.n_seen += 1
            return flight
        self.hear()
        if any(other < number for other in self._roster.holders(candidate.key) - known):
            self._hand_back(flight)
            self.proposals.diverge()
        elif self._is_used_up(*self._roster.before(number)):
            self._hand_back(flight)
        else:
            return flight
        return None

    def _hand_back(self, flight: Flight) -> None:
        with undisturbed():
            self.store.release(flight.trial_id, HANDED_BACK)
            del self._flights[flight.number]
        self._roster.leave(flight.number)
        self.proposals.given_up(flight.number)

    def _is_used_up(self, n_trials: int, n_fits: int | Fraction) -> bool:
        """Whether so many trials, or fits, are all that there shall be."""
        budget = self.budget
        if budget.n_trials is not None and n_trials >= budget.n_trials:
            return True
        return budget.n_fits is not None and n_fits >= budget.n_fits

    def _out_of_time(self) -> bool:
        return self.budget.deadline is not None and time.monotonic() >= self.budget.deadline

    # --- the end of a trial ---

    def _land(self, task: Task, result: Callable[[], Outcome]) -> None:
        flight = self._flights[task.trial]
        try:
            outcome = result()
        except (Exception, SystemExit) as error:
            # `error_score="raise"`, or a scorer that cannot be used: the caller gets it, the study a note.
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            if isinstance(error, SystemExit):
                why = STOPPED if came_by_signal(error) else f"{EXITED}: {error}"
            with undisturbed():
                self.store.release(flight.trial_id, why)
                del self._flights[task.trial]
            raise
        self.warned.update(outcome.warned)
        if flight.prefix is not None:
            shared = {(flight.prefix, split) for split in task.folds}
            self._warming -= shared
            self._warm |= shared
        states = outcome.states or (None,) * len(task.folds)
        for split, fold, state in zip(task.folds, outcome.folds, states, strict=True):
            if fold is None:  # by the worker's clock the time is up
                self._stopped = True
            else:
                flight.land(split, fold, state)
                self._seconds.append(fold.fit_time + fold.score_time)
        if not flight.missing and self._is_at_its_end(flight):
            del self._in_the_air[flight.candidate.key]
            for one in (flight, *flight.twins):
                self._finish(one, flight.record)

    def _is_at_its_end(self, flight: Flight) -> bool:
        """Whether a trial that has made a step makes no other one; if it does, that one begins."""
        verdict = self._judge(flight.record)
        rungs = flight.record.rungs
        if flight.amount is not None and (not rungs or flight.amount > rungs[-1][0]):
            score = math.nan if verdict.value is None else verdict.value
            flight.record = replace(flight.record, rungs=(*rungs, (flight.amount, score)))
        # What has failed in one fold has failed, whatever the others would say.
        if not flight.steps or verdict.value is None:
            return True
        if self.pruning.is_hopeless(flight.number, self._curve(flight.record)):
            flight.record = replace(flight.record, pruned=True)
            return True
        flight.next_step()
        return False

    def _finish(self, flight: Flight, record: Record) -> None:
        record = replace(record, params=dict(flight.candidate.kept))
        verdict = self._judge(record)
        with undisturbed():
            taken = self.store.finish(flight.trial_id, record, verdict)
            del self._flights[flight.number]
        if not taken:
            self._come_back(flight, record)
            return
        self._count(flight.number, flight.candidate.key, record)
        self.pruning.ended(flight.number, self._curve(record), verdict)
        self.proposals.finished(flight.number, self._worth(record, verdict))
        self.gave_up = self.budget.give_up and self._hopeless and self._counted >= HOPELESS
        self._stopped = self.watch(flight.number, flight.trial_id, verdict, record) or self.gave_up or self._stopped

    def _come_back(self, flight: Flight, record: Record) -> None:
        """Give in the result of a trial that somebody took for lost: once, if it is still wanted."""
        self._lost(flight.number)
        self.hear()
        wanted = not self._is_used_up(len(self._roster), self._roster.fits)
        if wanted and not self._roster.holders(flight.candidate.key):
            again = self._claim(flight.candidate)
            if again is not None:
                self._finish(again, record)
                return
        warnings.warn(
            f"Trial {flight.number} ended after another process had given it up, because its owner had not been heard "
            "of for minutes; its result is not needed any more.",
            LateResultWarning,
            stacklevel=2,
        )

    def _judge(self, record: Record) -> Verdict:
        return judge(record, self._goals(record), self.error_score)

    def _is_scored(self, fold: Fold) -> bool:
        """Whether a fold could be fitted, and has a score by every goal."""
        return not fold.failure and self._judge(Record({}, (fold,))).values is not None

    def _goals(self, record: Record) -> Sequence[Goal]:
        return self.goals_of(next((fold for fold in record.run if fold.test), None))

    def _curve(self, record: Record) -> Sequence[tuple[int, float]]:
        """Return what a pruner is shown of a trial: after each of its steps a score; several goals are not compared."""
        goals = self._goals(record)
        if not is_one_metric(goals):
            return ()
        return curve(record, goals[0].name, self.error_score, self.climb, each_fold=self.pruning.sees_folds)

    def _worth(self, record: Record, verdict: Verdict) -> Sequence[float] | None:
        """Return what the sampler is told of a trial: of one that was pruned what its score would have come to."""
        if not verdict.pruned or len(self._goals(record)) > 1:  # those were pruned when there was one goal
            return verdict.values
        worth = self.pruning.worth(self._curve(record), verdict)
        return None if worth is None else (worth,)

    def _release(self) -> None:
        """Give up what is in the air: the search was stopped, or something was raised."""
        with undisturbed():
            for flight in list(self._flights.values()):
                self.store.release(flight.trial_id, STOPPED)
            self._flights.clear()
