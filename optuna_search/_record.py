"""What is kept of a trial and of a study, as JSON in one attribute each.

Everything that ``cv_results_`` needs can be rebuilt from these records alone. `SCHEMA` is the version of
their form. To change the form: raise it by one, teach `decode` to read every older one, and add a file of
the older form to the tests. A newer record than this library knows is refused, never guessed at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_search.exceptions import StorageError

if TYPE_CHECKING:  # workers read this module, and start without Optuna
    from optuna.trial import FrozenTrial

SCHEMA = 1

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
#: What it is for what stands in the place of a trial in a study that was saved from a damaged file.
LOST = "lost: the line of the journal with its parameters was damaged"
#: The attribute of a trial that was measured in another study: where that was.
ORIGIN = "optuna_search:origin"
#: The attribute of a study that was forked from another one: which, and what came over.
FORK = "optuna_search:fork"
#: The part of that which says who fills the study.
WRITER = "writer"
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


@dataclass(frozen=True)
class Record:
    """What is kept of one trial."""

    #: Parameter -> JSON number or token.
    params: dict[str, Any]
    #: One entry a fold; None where it was not run.
    folds: tuple[Fold | None, ...]

    @property
    def run(self) -> list[Fold]:
        """The folds that were run."""
        return [fold for fold in self.folds if fold is not None]


def encode(record: Record, value: float | None, claim: str | None = None) -> dict[str, Any]:
    """Return the record as JSON, with the value of the trial: None if it failed; and the claim that it belongs to."""
    run = record.run
    encoded: dict[str, Any] = {
        "schema": SCHEMA,
        "params": record.params,
        "value": number(value),
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
    return encoded


def decode(encoded: Any) -> Record:
    """Return the record that was kept as JSON.

    Raises
    ------
    StorageError
        If it was written by a newer version of this library, or is no record at all.
    """
    check_schema(encoded, "a trial")
    try:
        n_folds = len(encoded["fit_time"])
        failures = {
            place: Failure(f["type"], f["message"], f["traceback"])
            for f in encoded.get("failures", [])
            for place in f["folds"]
        }
        test = _decode_scores(encoded["test"], n_folds)
        train = _decode_scores(encoded.get("train", {}), n_folds)
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
            )
            for i in range(n_folds)
        )
        return Record(dict(encoded["params"]), folds)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise StorageError(f"The record of a trial cannot be read ({type(error).__name__}: {error}).") from error


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts: it came to its end, and we ran it."""
    return trial.state.is_finished() and RECORD in trial.user_attrs


def is_alive(trial: FrozenTrial) -> bool:
    """Whether a trial is in the air or came to its end; one that was given up is neither."""
    return not trial.state.is_finished() or counts(trial)


def value_of(trial: FrozenTrial) -> float | None:
    """Return the value that the record of a trial has, where its end is not written yet; None if it failed."""
    return value_in(trial.user_attrs[RECORD])


def value_in(encoded: Any) -> float | None:
    """Return the value of the trial that a record belongs to."""
    check_schema(encoded, "a trial")
    value = encoded.get("value")
    return None if value is None else float(value)


def measured_here(trial: FrozenTrial) -> bool:
    """Whether a trial was measured in its own study, and so counts for the budget of that one."""
    return ORIGIN not in trial.user_attrs


def origin(study_name: str, identity: Any, number: int) -> dict[str, Any]:
    """Return what says where a carried trial was measured."""
    return {"study": study_name, "id": identity, "trial": number}


def origin_of(trial: FrozenTrial) -> tuple[Any, Any] | None:
    """Return what tells a carried trial from all others; None for one that was measured in its own study."""
    found = trial.user_attrs.get(ORIGIN)
    return (found.get("id") or found.get("study"), found.get("trial")) if isinstance(found, Mapping) else None


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
