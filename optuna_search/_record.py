"""What is kept of a trial and of a study, as JSON in one attribute each.

Everything that ``cv_results_`` needs can be rebuilt from these records alone. `SCHEMA` is the version of
their form. To change the form: raise it by one, teach `decode` to read every older one, and add a file of
the older form to the tests. A newer record than this library knows is refused, never guessed at.
Schema 2 brought trials that were pruned, parts of a resource, and the best iteration of a fold; schema 3 several
goals, and with them several values of a trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from optuna_search._damage import DAMAGE, damaged, readable
from optuna_search._tables import printable_text, shortened
from optuna_search._tokens import plain
from optuna_search.exceptions import StorageError

if TYPE_CHECKING:  # workers read this module, and start without Optuna
    from optuna.trial import FrozenTrial

SCHEMA = 3

#: The attribute of a trial and of a study that holds its record.
RECORD = "optuna_search"
#: The attribute of a trial that says who runs it.
CLAIM = "optuna_search:claim"
#: What the system attribute of a study begins with that says who is at work on it; the rest is the search.
WORKER = "optuna_search:worker:"
#: The one that is true while the study is about to be deleted.
RETIRED = f"{WORKER}none"
#: The attribute of a trial that says in one line why it failed.
FAILURE = "failure"
#: What that is for a trial that was given up because its owner is dead.
ABANDONED = "abandoned"
#: What it is for one that another process was working on already.
HANDED_BACK = "handed back: another process was faster"
#: What it is for what stands in the place of a trial in a study that was saved from a damaged file.
LOST = "lost: the line of the journal with its parameters was damaged"
#: The attribute of a trial that was measured in another study: where that was.
ORIGIN = "optuna_search:origin"
#: The attribute of a study that was forked from another one: which, and what came over.
FORK = "optuna_search:fork"
#: The part of that which says who fills the study.
WRITER = "writer"
#: The resources that are no parameter of the estimator: samples of the training part, and passes over it.
N_SAMPLES, PARTIAL_FIT = "n_samples", "partial_fit"
#: What a study was measured on.
PARTS = ("X", "y", "metadata", "splits", "scoring", "error_score", "objective", "estimator", "space")
#: The kinds of what else is relied upon in the record of a study.
_FORM: dict[tuple[str, ...], Any] = {
    ("id",): str | None,
    ("estimator",): str,
    ("versions",): Mapping | None,
    ("fingerprint",): Mapping,
    ("fingerprint", "splits"): Mapping,
    ("fingerprint", "splits", "folds"): int,
    ("fingerprint", "error_score"): str,
    ("fingerprint", "objective"): str | list,
    ("fingerprint", "estimator"): Mapping,
    ("fingerprint", "estimator", "class"): str,
    ("fingerprint", "space"): Mapping,
}
#: No record of ours has as many dicts and lists inside of each other.
MAX_DEPTH = 12
#: Values that should not be there get no longer than this in a message.
MAX_VALUES = 80
#: Tracebacks are cut to their last characters: the end of one says what happened.
MAX_TRACEBACK = 10_000


@dataclass(frozen=True)
class Failure:
    """Why the fit of one fold failed."""

    type: str
    message: str
    traceback: str

    @property
    def line(self) -> str:
        """The failure in one line."""
        return f"{self.type}: {self.message}".splitlines()[0] if self.message else self.type


@dataclass(frozen=True)
class Fold:
    """What one fold of one trial came to."""

    #: Scores on the test part by metric; empty if the fit failed.
    test: dict[str, float]
    #: Scores on the training part, where they were asked for.
    train: dict[str, float]
    #: Seconds.
    fit_time: float
    #: Seconds.
    score_time: float
    failure: Failure | None = None
    #: Whether the scorer gave a dict of metrics.
    multimetric: bool = False
    #: How many iterations a model that stops early found best; None for any other.
    best_iteration: int | None = None


@dataclass(frozen=True)
class Climb:
    """How trials get more and more of a resource."""

    #: What it is.
    name: str
    #: All there is of it.
    whole: int
    #: Whether the first fold goes ahead from rung to rung, and the others get the whole at once; else all go together.
    first_fold_leads: bool = False


@dataclass(frozen=True)
class Record:
    """What is kept of one trial."""

    #: Parameter -> JSON number or token.
    params: dict[str, Any]
    #: One entry a fold; None where it was not run.
    folds: tuple[Fold | None, ...]
    #: Whether the trial was ended before its last fold, or with a part of the resource.
    pruned: bool = False
    #: Where trials get more and more of a resource: each amount that this one had, and the mean score with it.
    rungs: tuple[tuple[int, float], ...] = ()
    #: How they get it.
    climb: Climb | None = None

    @property
    def run(self) -> list[Fold]:
        """The folds that were run."""
        return [fold for fold in self.folds if fold is not None]

    @property
    def fits(self) -> int | Fraction:
        """How many fits of a fold it took; one with a part of the resource is that part of a fit."""
        if self.climb is None or not self.rungs:
            return len(self.run)
        # With more samples each rung is a fit of its own; anything else goes on, if it can, where the last one ended.
        spent = sum(amount for amount, _ in self.rungs) if self.climb.name == N_SAMPLES else self.rungs[-1][0]
        n_climbed = 1 if self.climb.first_fold_leads else len(self.run)
        # As fractions they add up to the same budget in whatever order processes come to know of them.
        return n_climbed * Fraction(spent, self.climb.whole) + len(self.run) - n_climbed

    @property
    def is_whole(self) -> bool:
        """Whether every fold was run, with the whole of the resource."""
        return None not in self.folds and not self.pruned


def encode(record: Record, values: Sequence[float] | None, claim: str | None = None) -> dict[str, Any]:
    """Return the record as JSON, with what the trial came to by each goal, None if it failed, and its claim."""
    run = record.run
    encoded: dict[str, Any] = {
        "schema": SCHEMA,
        "params": record.params,
        "values": None if values is None else [number(value) for value in values],
        "test": _encode_scores([fold.test if fold else None for fold in record.folds]),
        "fit_time": [fold and fold.fit_time for fold in record.folds],
        "score_time": [fold and fold.score_time for fold in record.folds],
    }
    if claim is not None:
        encoded["claim"] = claim
    if any(fold.train for fold in run):
        encoded["train"] = _encode_scores([fold.train if fold else None for fold in record.folds])
    if any(fold.multimetric for fold in run):
        encoded["multimetric"] = True
    if any(fold.failure for fold in run):
        encoded["failures"] = _encode_failures(record.folds)
    if record.pruned:
        encoded["pruned"] = True
    if record.rungs and record.climb is not None:
        encoded["rungs"] = [[amount, number(value)] for amount, value in record.rungs]
        encoded["resource"] = [record.climb.name, record.climb.whole]
        if record.climb.first_fold_leads:
            encoded["first_fold_leads"] = True
    if any(fold.best_iteration is not None for fold in run):
        encoded["best_iteration"] = [fold and fold.best_iteration for fold in record.folds]
    return encoded


def decode(encoded: Any, what: str = "a trial") -> Record:
    """Return the record that was kept as JSON.

    Parameters
    ----------
    what : str
        Whose record it is.

    Raises
    ------
    StorageError
        If it was written by a newer version of this library, or is no record at all.
    """
    check_schema(encoded, what)
    try:
        params, n_folds = {**encoded["params"]}, len(encoded["fit_time"])
        # Texts of errors are shown in warnings, which pass on whatever steers a terminal.
        failures = {
            place: Failure(*(printable_text(f[part]) for part in ("type", "message", "traceback")))
            for f in encoded.get("failures", [])
            for place in f["folds"]
        }
        test = _decode_scores(encoded["test"], n_folds)
        train = _decode_scores(encoded.get("train", {}), n_folds)
        best_iterations = encoded.get("best_iteration") or [None] * n_folds
        folds = tuple(
            None
            if encoded["fit_time"][i] is None
            else Fold(
                test[i],
                train[i],
                float(encoded["fit_time"][i]),
                float(encoded["score_time"][i]),
                failures.get(i),
                bool(encoded.get("multimetric", False)),
                None if best_iterations[i] is None else _count(best_iterations[i]),
            )
            for i in range(n_folds)
        )
        rungs = tuple((_count(amount), float(value)) for amount, value in encoded.get("rungs", ()))
        climb = _climb(encoded.get("resource"), encoded.get("first_fold_leads"))
        if rungs and climb is None:
            raise ValueError("its rungs are of nothing")
        return Record(params, folds, bool(encoded.get("pruned", False)), rungs, climb)
    except DAMAGE as error:
        raise damaged(f"The record of {what}", error) from error


def _count(value: Any) -> int:
    """Return a whole number from 1; ``ValueError`` if it is none."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{value!r} is no count")
    return value


def _climb(encoded: Any, first_fold_leads: Any) -> Climb | None:
    """Return how a trial got more and more of a resource, by its name and the whole of it; None if it did not."""
    if encoded is None:
        return None
    name, whole = encoded
    return Climb(printable_text(name), _count(whole), first_fold_leads is True)


def state_of(encoded: Any) -> str:
    """Return the name of the state that a trial with this record ends in."""
    if isinstance(encoded, Mapping) and encoded.get("pruned") is True:
        return "PRUNED"
    return "FAIL" if values_in(encoded) is None else "COMPLETE"


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts: it came to its end, and we ran it."""
    return trial.state.is_finished() and RECORD in trial.user_attrs


def check_study(encoded: Any, what: str) -> None:
    """Refuse the record of a study that does not say what it was measured on.

    Raises
    ------
    StorageError
        With the part that is missing or of a wrong kind.
    """
    check_schema(encoded, what)
    for path, kind in _FORM.items():
        found: Any = encoded
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(found, kind) or isinstance(found, bool):
            raise damaged(f"The record of {what}", TypeError(f"{'.'.join(path)} is {found!r:.80}"))
    if missing := set(PARTS) - encoded["fingerprint"].keys():
        raise damaged(f"The record of {what}", KeyError(min(missing)))
    if not _is_within(encoded, MAX_DEPTH):
        raise damaged(f"The record of {what}", RecursionError("there is always one more thing inside"))
    with readable(f"The record of {what}"):
        "".join(encoded["fingerprint"]["objective"])  # names
        error_score = plain(encoded["fingerprint"]["error_score"])
        math.isnan(0.0 if error_score == "raise" else error_score)
        for train, test in encoded.get("fold_sizes", ()):
            range(train, test)  # whole numbers


def _is_within(value: Any, depth: int) -> bool:
    """Whether no more than so many dicts and lists are inside of each other."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return not parts or (depth > 0 and all(_is_within(part, depth - 1) for part in parts))


def check_end(trial: FrozenTrial) -> None:
    """Refuse a trial that ended with other values than its record has.

    Raises
    ------
    StorageError
        With its number.
    """
    recorded = values_of(trial)
    with readable(f"Trial {trial.number}"):
        values = None if trial.values is None else list(trial.values)  # a proxy has a list of its own kind
        if values != recorded:
            raise ValueError(f"it came to {shortened(str(values), MAX_VALUES)}, its record has {recorded}")
        if trial.state.name != (state := state_of(trial.user_attrs[RECORD])):
            raise ValueError(f"it is {trial.state.name}, its record is that of a trial which is {state}")


def check_alike(records: Mapping[int, Record], header: Mapping[str, Any]) -> None:
    """Refuse records, by the numbers of their trials, that are not all of one study.

    Raises
    ------
    StorageError
        With the first trial that has other folds or metrics.
    """
    n_folds = header["fingerprint"]["splits"]["folds"]
    metrics: set[str] | None = None
    for number, record in records.items():
        scored = next((set(fold.test) for fold in record.run if fold.test), metrics)
        metrics = scored if metrics is None else metrics
        if len(record.folds) != n_folds or any(fold.test and set(fold.test) != metrics for fold in record.run):
            raise damaged(f"The record of trial {number}", ValueError("its folds or metrics are not the study's"))


def is_alive(trial: FrozenTrial) -> bool:
    """Whether a trial is in the air or came to its end; one that was given up is neither."""
    return not trial.state.is_finished() or counts(trial)


def values_of(trial: FrozenTrial) -> list[float] | None:
    """Return what a trial came to by its record, where its end is not written yet; None if it failed."""
    return values_in(trial.user_attrs[RECORD], f"trial {trial.number}")


def values_in(encoded: Any, what: str = "a trial") -> list[float] | None:
    """Return what the trial came to that a record belongs to."""
    check_schema(encoded, what)
    with readable(f"The record of {what}"):
        if encoded["schema"] < 3:  # there was one goal
            return None if encoded["value"] is None else [float(encoded["value"])]
        return None if encoded["values"] is None else [float(value) for value in encoded["values"]]


def params_of(trial: FrozenTrial) -> Mapping[str, Any] | None:
    """Return the parameters that the record of a trial has; None for one that has none, or none that can be read."""
    record = trial.user_attrs.get(RECORD)
    params = record.get("params") if isinstance(record, Mapping) else None
    return params if isinstance(params, Mapping) else None


def measured_here(trial: FrozenTrial) -> bool:
    """Whether a trial was measured in its own study, and so counts for the budget of that one."""
    return ORIGIN not in trial.user_attrs


def origin(study_name: str, identity: Any, number: int) -> dict[str, Any]:
    """Return what says where a carried trial was measured."""
    return {"study": study_name, "id": identity, "trial": number}


def origin_of(trial: FrozenTrial) -> tuple[Any, Any] | None:
    """Return what tells a carried trial from all others; None for one that was measured in its own study."""
    found = trial.user_attrs.get(ORIGIN)
    if not isinstance(found, Mapping):
        return None
    with readable(f"The origin of trial {trial.number}"):
        place = found.get("id") or found.get("study"), found.get("trial")
        hash(place)
        return place


def origin_text(trial: FrozenTrial) -> str | None:
    """Return in a few characters where a carried trial was measured."""
    found = trial.user_attrs.get(ORIGIN)
    return f"{found.get('study')} #{found.get('trial')}" if isinstance(found, Mapping) else None


def identity_in(study_record: Any) -> str | None:
    """Return what a study is known by whatever its name; None for one of another tool, or of the first version."""
    identity = study_record.get("id") if isinstance(study_record, Mapping) else None
    return identity if isinstance(identity, str) else None


def check_schema(encoded: Any, what: str) -> None:
    """Refuse a record that this version cannot know.

    Raises
    ------
    StorageError
        If it was written by a newer version of this library, or is no record at all.
    """
    schema = encoded.get("schema") if isinstance(encoded, Mapping) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise StorageError(f"The record of {what} is none of ours: {str(encoded)[:80]!r}.")
    if schema > SCHEMA:
        raise StorageError(
            f"The record of {what} has schema {schema}; this version of optuna_search reads up to {SCHEMA}. "
            "Install the version that wrote it, or a newer one."
        )


def _encode_scores(folds: Sequence[dict[str, float] | None]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for scores in folds if scores for name in scores)
    return {name: [number(scores.get(name)) if scores else None for scores in folds] for name in names}


def _decode_scores(encoded: Mapping[str, Sequence[Any]], n_folds: int) -> list[dict[str, float]]:
    return [
        {name: float(scores[i]) for name, scores in encoded.items() if scores[i] is not None} for i in range(n_folds)
    ]


def number(value: float | None) -> float | str | None:
    """Return a number that JSON has no form for as a word; ``float`` reads it back."""
    return value if value is None or math.isfinite(value) else str(float(value))


def _encode_failures(folds: Sequence[Fold | None]) -> list[dict[str, Any]]:
    """Write each failure once with the folds it happened in: most often it is the same in all of them."""
    places: dict[Failure, list[int]] = {}
    for place, fold in enumerate(folds):
        if fold is not None and fold.failure is not None:
            places.setdefault(fold.failure, []).append(place)
    return [
        {"folds": where, "type": f.type, "message": f.message, "traceback": f.traceback[-MAX_TRACEBACK:]}
        for f, where in places.items()
    ]
