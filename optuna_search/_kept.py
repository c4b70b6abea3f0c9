"""What a trial of ours says when it is read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from optuna_search import _record
from optuna_search._record import ABANDONED, CLAIM, FAILURE, RECORD, Record
from optuna_search._space import AnySpace, Candidate, is_as_recorded
from optuna_search._tables import shortened
from optuna_search.exceptions import SpaceError

#: What the failure of a trial begins with whose fit has asked its process to end.
EXITED = "SystemExit"
#: Parameters get no longer than this in a message.
MAX_PARAMS = 500


@dataclass(frozen=True)
class Kept:
    """A finished trial that counts, read back."""

    trial: FrozenTrial
    record: Record


def candidate_of(trial: FrozenTrial, space: AnySpace) -> Candidate:
    """Return what a trial tries.

    Raises
    ------
    SpaceError
        If it is no point of the space.
    StorageError
        If its end is not that of its record.
    """
    why: Exception | None = None
    if _record.counts(trial):
        _record.check_end(trial)
    try:
        candidate = space.candidate(trial.params)
        recorded = _record.params_of(trial)
        is_one = candidate.distributions == trial.distributions
        if is_one and (recorded is None or is_as_recorded(candidate, recorded, space)):
            return candidate
    except (KeyError, ValueError, OverflowError) as error:
        why = error
    raise SpaceError(
        f"param_distributions is not the space of this study: trial {trial.number} with "
        f"{shortened(str(trial.params), MAX_PARAMS)} is no point of it."
    ) from why


def finished(
    number: int, values: Sequence[float] | None, params: Mapping[str, Any], distributions: Mapping[str, Any], attrs: Any
) -> FrozenTrial:
    """Return a trial as it is read back when it has ended, as its record says."""
    trial = create_trial(
        state=TrialState[_record.state_of(attrs[RECORD])],
        values=values,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs=dict(attrs),
    )
    trial.number = number
    return trial


def took_its_process_along(trial: FrozenTrial) -> bool:
    """Whether a trial was given up because its process, which fitted it itself, died or exited."""
    failure, claim = trial.user_attrs.get(FAILURE), trial.user_attrs.get(CLAIM)
    was_inside = isinstance(claim, Mapping) and claim.get("inside") is not False
    return was_inside and (failure == ABANDONED or str(failure).startswith(EXITED))


def kept_of(trials: Iterable[FrozenTrial]) -> list[Kept]:
    """Return those of some trials that are finished and count; one that was carried over twice does once."""
    found: dict[Any, Kept] = {}
    for trial in trials:
        if _record.counts(trial):
            _record.check_end(trial)
            place = _record.origin_of(trial) or trial.number
            found.setdefault(place, Kept(trial, _record.decode(trial.user_attrs[RECORD], f"trial {trial.number}")))
    return list(found.values())
