"""What there is to say of a study, from its records alone and before anything is drawn. Pure functions."""

from __future__ import annotations

import datetime
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from optuna_search._goals import TIMES, Goal, fronts
from optuna_search._hints import closest
from optuna_search._reading import labels_of, setup_of
from optuna_search._record import (
    ABANDONED,
    CLAIM,
    FAILURE,
    FORK,
    LOST,
    Fold,
    Record,
    counts,
    measured_here,
    origin_text,
)
from optuna_search._space import BRANCH
from optuna_search._store import Store
from optuna_search._tokens import plain
from optuna_search._uncertainty import standard_error
from optuna_search.exceptions import InvalidRequestError

#: The state of a trial that did not come to its end, and so says nothing of the estimator.
GIVEN_UP = "GIVEN UP"
#: The states of trials, in the order in which they are told, and what people call them.
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", GIVEN_UP: "given up", "RUNNING": "running"}
#: The names under which the parameter of a space may be stored: its quantile, that of one of several dicts.
_STORED = (re.compile(r"quantile\((.*)\)"), re.compile(r"(.*) \(\d+\)"), re.compile(r"(.*)'"))

Value = float | int | str
#: A part of the way of a trial: an amount of the resource (0, amount), or one fold more (1, folds).
Step = tuple[int, int]


@dataclass(frozen=True)
class Metric:
    """A metric, and which way it is better."""

    #: What the records call it.
    key: str
    #: What people call it.
    name: str
    maximise: bool = True

    @property
    def title(self) -> str:
        """Its name with its unit."""
        return self.name if self.maximise else f"{self.name}, seconds"

    def best(self, values: Sequence[float]) -> float:
        """Return the best of some values; NaN and what can only be a fault never is."""
        fault = math.inf if self.maximise else -math.inf
        sound = [value for value in values if not math.isnan(value) and value != fault]
        return (max if self.maximise else min)(sound, default=math.nan)


@dataclass(frozen=True)
class Scores:
    """What one trial came to by one metric."""

    #: By fold; NaN where there is none.
    folds: tuple[float, ...]
    #: The mean over all folds; NaN unless the trial is complete.
    mean: float
    #: The standard error of that (``ddof=1``); NaN with one fold.
    error: float
    #: The mean over the folds that were run, be they all or not.
    so_far: float


#: What there is of a trial that was not measured.
NOTHING = Scores((), math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class TrialFacts:
    """A trial as people think of it."""

    number: int
    #: One of `STATES`.
    state: str
    #: What was searched, by the names and with the values of the user's code; objects by their tokens.
    params: Mapping[str, Value] = field(default_factory=dict)
    #: By the key of the metric, seconds too.
    scores: Mapping[str, Scores] = field(default_factory=dict)
    #: How far it came, and the mean score there.
    steps: tuple[tuple[Step, float], ...] = ()
    #: How many fits of a fold it took, and the seconds of these and of their scores.
    fits: float = 0.0
    seconds: float = 0.0
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    failure: str | None = None
    #: Where it was measured, if that was in another study.
    origin: str | None = None

    def by(self, metric: Metric) -> Scores:
        """Return what it came to by a metric."""
        return self.scores.get(metric.key, NOTHING)

    def mean(self, metric: Metric) -> float:
        """Return the mean over all folds; NaN unless it is complete."""
        return self.by(metric).mean


@dataclass(frozen=True)
class Parameter:
    """What was searched under one name."""

    name: str
    #: The value in each trial that is asked about; None where a trial does not have it.
    values: tuple[Value | None, ...]
    #: Whether all of them are numbers.
    is_number: bool
    #: Whether they are spread evenly by their logarithms rather than by themselves.
    is_log: bool

    @property
    def is_whole(self) -> bool:
        """Whether all of them are whole numbers."""
        return all(isinstance(value, int) for value in self.values if value is not None)

    @cached_property
    def choices(self) -> list[Value]:
        """The values that there are, in order."""
        return sorted({value for value in self.values if value is not None}, key=_reading_order)


@dataclass(frozen=True)
class Facts:
    """What there is to say of a study."""

    name: str
    #: The record of the study itself.
    header: Mapping[str, Any]
    #: What was pursued; several make a Pareto front.
    goals: tuple[Metric, ...]
    #: Everything that was measured.
    metrics: tuple[Metric, ...]
    trials: tuple[TrialFacts, ...]
    #: Whether a parameter was searched by its logarithm, of those whose values are what was drawn from a range.
    logs: Mapping[str, bool] = field(default_factory=dict)
    #: The resource that trials got more and more of, if any.
    resource: str | None = None
    forked_from: str | None = None

    def metric(self, name: str | None = None) -> Metric:
        """Return a metric by its name; by default the one that was pursued, or the first of them.

        Raises
        ------
        InvalidRequestError
            If there is no such metric.
        """
        if name is None:
            return self.goals[0]
        for metric in (*self.goals, *self.metrics):
            if name in (metric.name, metric.key):
                return metric
        names = [metric.name for metric in self.metrics]
        hint = closest(str(name), names)
        raise InvalidRequestError(
            f"metric={name!r} is not a metric of this study; its metrics: {', '.join(names)}. {hint}".rstrip()
        )

    def scored(self, *metrics: Metric) -> list[TrialFacts]:
        """Return the complete trials that have a finite mean by each of some metrics."""
        return [t for t in self.trials if all(math.isfinite(t.mean(metric)) for metric in metrics)]

    def front(self, *metrics: Metric) -> list[TrialFacts]:
        """Return the trials that no other one is better than by one of some metrics and as good as by all others."""
        trials = self.scored(*metrics)
        values = np.array([[trial.mean(metric) for metric in metrics] for trial in trials]).reshape(-1, len(metrics))
        ranks = fronts(values, [Goal(metric.key, not metric.maximise) for metric in metrics])
        return [trial for trial, rank in zip(trials, ranks, strict=True) if rank == 0]

    @property
    def n_folds(self) -> int:
        """How many folds there are."""
        return int(self.header["fingerprint"]["splits"]["folds"])

    @property
    def counts(self) -> Counter[str]:
        """How many trials there are by state."""
        return Counter(trial.state for trial in self.trials)

    def parameter(self, name: str, trials: Sequence[TrialFacts]) -> Parameter:
        """Return what some trials have under a name."""
        values = tuple(trial.params.get(name) for trial in trials)
        there = [value for value in values if value is not None]
        numbers = [value for value in there if not isinstance(value, str)]
        is_number = len(numbers) == len(there)
        if not is_number:
            values = tuple(None if value is None else str(value) for value in values)
        is_positive = is_number and min(numbers, default=0) > 0
        # Of choices, of quantiles, and of what a function made of its draws, no range tells how they are spread.
        is_log = is_positive and (self.logs[name] if name in self.logs else _is_even_in_log(numbers))
        return Parameter(name, values, is_number, is_log)

    def parameters(self, trials: Sequence[TrialFacts]) -> list[Parameter]:
        """Return the parameters of some trials that have more than one value."""
        names = dict.fromkeys(name for trial in trials for name in trial.params)
        found = [self.parameter(name, trials) for name in names]
        return [one for one in found if len(set(one.values) - {None}) > 1]


# --- from the records -------------------------------------------------------------------------------------------------


def facts_of(store: Store) -> Facts:
    """Return what there is to say of an open study.

    Raises
    ------
    StorageError
        If it is none of ours, or damaged.
    """
    header, kept = store.header(), store.kept()
    records = {k.trial.number: k.record for k in kept}
    # A trial that was carried over twice counts once, and what others have put in does not.
    found = [t for _, t in sorted(store.known.items()) if t.number in records or (not counts(t) and _is_ours(t))]
    setup = setup_of(header)
    metrics = tuple(_metrics(labels_of(header, kept)))
    known = {metric.key: metric for metric in metrics}
    goals = tuple(known[goal.name] for goal in setup.named(kept))
    scores = _scores(found, records, metrics, setup.error_score)
    trials = [_trial(trial, records.get(trial.number), scores.get(trial.number, {}), goals[0]) for trial in found]
    mark = store.study.user_attrs.get(FORK)
    parent = mark.get("study") if isinstance(mark, Mapping) else None
    return Facts(
        store.study_name, header, goals, metrics, tuple(_without_told_branch(trials)),
        _logs(found, records),
        next((r.climb.name for r in records.values() if r.rungs and r.climb), None),
        None if parent is None else str(parent),
    )  # fmt: skip


def _is_ours(trial: FrozenTrial) -> bool:
    """Whether a trial without a record is one that we have begun."""
    return CLAIM in trial.user_attrs or trial.user_attrs.get(FAILURE) in (ABANDONED, LOST)


def _metrics(labels: Mapping[str, str]) -> Iterator[Metric]:
    """Yield everything that was measured."""
    yield from (Metric(key, label) for key, label in labels.items())
    yield from (Metric(key, key, maximise=False) for key in TIMES if key not in labels)


def _trial(trial: FrozenTrial, record: Record | None, scores: Mapping[str, Scores], pursued: Metric) -> TrialFacts:
    failure = trial.user_attrs.get(FAILURE)
    known = TrialFacts(
        trial.number,
        GIVEN_UP if trial.state.is_finished() else "RUNNING",
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        failure=None if failure is None else str(failure),
        origin=None if measured_here(trial) else origin_text(trial),
    )
    if record is None:
        return known
    return replace(
        known,
        state=trial.state.name,
        params={name: value for name, _, value in _params(trial, record)},
        scores=scores,
        steps=tuple(_steps(record, scores[pursued.key].folds)),
        fits=float(record.fits),
        seconds=sum(fold.fit_time + fold.score_time for fold in record.run),
    )


def _scores(
    trials: Sequence[FrozenTrial], records: Mapping[int, Record], metrics: Sequence[Metric], error_score: float
) -> dict[int, dict[str, Scores]]:
    """Return what each trial with a record came to, by its number."""
    there = [trial for trial in trials if trial.number in records]
    found: dict[int, dict[str, Scores]] = {trial.number: {} for trial in there}
    complete = np.array([trial.state.name == "COMPLETE" for trial in there])
    for metric in metrics if there else ():
        folds = np.array([_by_fold(records[trial.number], metric, error_score) for trial in there])
        run = ~np.isnan(folds)
        with np.errstate(invalid="ignore"):  # minus infinity is a score
            so_far = np.divide(np.where(run, folds, 0.0).sum(axis=1), run.sum(axis=1), where=run.any(axis=1),
                               out=np.full(len(there), math.nan))  # fmt: skip
            means = np.where(complete, folds.mean(axis=1), math.nan)
            errors = standard_error(folds.std(axis=1), folds.shape[1])
        rows = zip(folds.tolist(), means.tolist(), np.where(complete, errors, math.nan).tolist(), so_far.tolist(),
                   strict=True)  # fmt: skip
        for trial, (by_fold, *numbers) in zip(there, rows, strict=True):
            found[trial.number][metric.key] = Scores(tuple(by_fold), *numbers)
    return found


def _by_fold(record: Record, metric: Metric, error_score: float) -> list[float]:
    """Return what a record has of a metric, fold by fold."""

    def score(fold: Fold | None) -> float:
        if fold is None:
            return math.nan
        return float(fold.test.get(metric.key, error_score) if metric.maximise else getattr(fold, metric.key))

    return [score(fold) for fold in record.folds]


def _steps(record: Record, scores: Sequence[float]) -> Iterator[tuple[Step, float]]:
    """Yield what a trial went through, and its mean score there."""
    for amount, value in record.rungs:
        yield (0, amount), value
    # Where the first fold goes ahead, its end is the last rung, and the others follow; else all climb together.
    leads = record.climb is not None and record.climb.first_fold_leads
    if record.rungs and not leads:
        return
    for n_folds in range(2 if record.rungs else 1, len(scores) + 1):
        if math.isnan(mean := float(np.mean(scores[:n_folds]))):
            return
        yield (1, n_folds), mean


# --- what people call it ----------------------------------------------------------------------------------------------


def _params(trial: FrozenTrial, record: Record) -> Iterator[tuple[str, str, Value]]:
    """Yield the name of each parameter that was searched, the name that it has in the study, and its value."""
    taken: set[str] = set()
    for stored_name, stored in trial.params.items():
        name = _own_name(stored_name, record.params)
        if name in taken:  # a function may name its draws in ways that look like ours
            name = stored_name
        taken.add(name)
        recorded = record.params.get(name)
        # A number of the record is what the estimator got, also where something else was drawn: a quantile, a power.
        yield name, stored_name, _readable(recorded if _is_number(recorded) else stored)


def _own_name(stored_name: str, recorded: Mapping[str, Any]) -> str:
    """Return the name in the user's code of what has this one in the study."""
    name = stored_name
    while name not in recorded:
        found = next((match for one in _STORED if (match := one.fullmatch(name))), None)
        if found is None:
            return stored_name  # the parameter of a function has no other
        name = found[1]
    return name


def _readable(stored: Any) -> Value:
    value: Any = plain(stored) if isinstance(stored, str) else stored
    return value if _is_number(value) else str(stored)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _logs(trials: Sequence[FrozenTrial], records: Mapping[int, Record]) -> dict[str, bool]:
    """Return the parameters that were drawn from ranges, and not turned into something else: whether by logarithms.

    One that several dicts have may be both; then its values are spread over all that the logarithms spread.
    """
    found: dict[str, bool] = {}
    for trial in trials:
        for name, stored_name, value in _params(trial, records[trial.number]) if trial.number in records else ():
            distribution = trial.distributions[stored_name]
            if isinstance(distribution, FloatDistribution | IntDistribution) and value == trial.params[stored_name]:
                found[name] = found.get(name, False) or distribution.log
    return found


def _is_even_in_log(numbers: Sequence[float]) -> bool:
    """Whether the middle of positive numbers is nearer to that of their range by their logarithms than as it is."""

    def askew(values: np.ndarray) -> float:
        low, high = float(values.min()), float(values.max())
        return abs(float(np.median(values)) - (low + high) / 2) / (high - low) if high > low else 0.0

    values = np.unique(np.array(numbers, dtype=float))
    return values.size > 2 and askew(np.log(values)) < askew(values)


def _without_told_branch(trials: Sequence[TrialFacts]) -> Iterator[TrialFacts]:
    """Yield trials without the name of the dict that they drew from, where some parameter tells as much."""
    branched = [trial.params for trial in trials if BRANCH in trial.params]
    names = {name for params in branched for name in params} - {BRANCH}
    branches = {params[BRANCH] for params in branched}

    def tells(name: str) -> bool:
        pairs = {(params.get(name), params[BRANCH]) for params in branched}
        return len(pairs) == len(branches) == len({value for value, _ in pairs})

    is_told = any(map(tells, names))
    for trial in trials:
        yield replace(trial, params={n: v for n, v in trial.params.items() if n != BRANCH}) if is_told else trial


def _reading_order(value: Value) -> tuple[int, float, str]:
    """Sort numbers by size, and before words."""
    found = _readable(value)
    return (1, 0.0, found) if isinstance(found, str) else (0, float(found), str(value))
