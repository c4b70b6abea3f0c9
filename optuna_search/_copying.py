"""A study written a second time, so that one that is killed on the way is finished by the next try.

The trials are written first, in order, each at once and with all that it holds; then the attributes of the study,
and of these the record last. So a copy that is not finished is a piece of the original from its beginning on, and
is not taken for a study of ours; the next try finds it and goes on.
"""

from __future__ import annotations

import copy
import datetime
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_search._compat import quiet_optuna, storage_id, trial_number, uncached
from optuna_search._database import already_there, study_names
from optuna_search._lease import send_away
from optuna_search._record import ABANDONED, CLAIM, FAILURE, RECORD, WORKER, state_of, values_of
from optuna_search._references import Ids, translated
from optuna_search.exceptions import StorageError

#: A copy that somebody else is writing right now grows in so many seconds.
STANDSTILL_SECONDS = 1.0
#: Some databases keep whole seconds only.
SAME_MOMENT = datetime.timedelta(seconds=1)


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment, as its copy shall be."""

    study_id: int
    directions: Sequence[StudyDirection]
    trials: Sequence[FrozenTrial]
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]

    def with_new_identity(self) -> Snapshot:
        """Return it as a study of its own, which forks of the original do not refer to."""
        if not isinstance(self.user_attrs.get(RECORD), Mapping):
            return self
        record = dict(self.user_attrs[RECORD]) | {"id": uuid.uuid4().hex}
        return replace(self, user_attrs=dict(self.user_attrs) | {RECORD: record})


def snapshot(storage: BaseStorage, study_name: str) -> Snapshot:
    """Read a study; a trial in the air is given up in it, for a copy has no worker."""
    study_id = storage.get_study_id_from_name(study_name)
    trials = storage.get_all_trials(study_id, deepcopy=False)
    for trial in trials:
        _facts(trial)  # what no storage would take is told before anything is written
    return Snapshot(
        study_id,
        storage.get_study_directions(study_id),
        [_landed(trial) for trial in trials],
        # Some storages give what they hold themselves.
        dict(storage.get_study_user_attrs(study_id)),
        {key: one for key, one in storage.get_study_system_attrs(study_id).items() if not key.startswith(WORKER)},
    )


def _landed(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial as a copy has it: one that has its record and not yet its end gets that end."""
    if trial.state != TrialState.RUNNING:
        return trial
    landed = copy.copy(trial)
    # When it ended nobody knows; a date that another try would also give.
    landed.datetime_complete = trial.datetime_start
    if RECORD in trial.user_attrs:
        landed.state, landed.values = TrialState[state_of(trial.user_attrs[RECORD])], values_of(trial)
    else:
        attrs = {key: one for key, one in trial.user_attrs.items() if key != CLAIM}
        landed.state, landed.values, landed.user_attrs = TrialState.FAIL, None, attrs | {FAILURE: ABANDONED}
    return landed


@dataclass(frozen=True)
class Copied:
    """A copy that is whole."""

    storage: BaseStorage
    study_id: int
    #: Whether there was something of it already.
    was_begun: bool


# --- writing --------------------------------------------------------------------------------------------------------


def write(source: Snapshot, target: BaseStorage, name: str, *, again: bool = False) -> Copied:
    """Write a study under a name, or go on where an earlier try was killed.

    Parameters
    ----------
    again : bool
        Whether a copy that is whole already will do.

    Raises
    ------
    StorageError
        If there is another study of that name, or the copy is not what it should be.
    """
    with quiet_optuna():
        try:
            study_id, was_begun = target.create_new_study(source.directions, name), False
        except DuplicatedStudyError:
            study_id, was_begun = _go_on(source, target, name, again), True
        there = len(target.get_all_trials(study_id, deepcopy=False))
        for trial in source.trials[there:]:
            number = trial_number(target, target.create_new_trial(study_id, template_trial=trial))
            if number != trial.number:
                raise StorageError(f"Another process writes to the study {name!r}; the original is as it was.")
        _write_attributes(_expected(source, target, study_id), target, study_id)
        _verify(source, target, study_id, name)
    return Copied(target, study_id, was_begun)


def _go_on(source: Snapshot, target: BaseStorage, name: str, again: bool) -> int:
    """Return the id of what an earlier try has left."""
    study_id = target.get_study_id_from_name(name)
    before = snapshot(target, name)
    if not _is_beginning(before, source, target):
        raise already_there(name)
    if is_same(before, _expected(source, target, study_id)):
        if again:
            return study_id
        raise already_there(name)
    time.sleep(STANDSTILL_SECONDS)
    if not is_same(snapshot(target, name), before):
        raise StorageError(f"Another process writes to the study {name!r}; the original is as it was.")
    return study_id


def _write_attributes(expected: Snapshot, target: BaseStorage, study_id: int) -> None:
    known = target.get_study_system_attrs(study_id)
    for key, value in expected.system_attrs.items():
        if key not in known:
            target.set_study_system_attr(study_id, key, value)
    known = target.get_study_user_attrs(study_id)
    for key in sorted(expected.user_attrs, key=lambda key: key == RECORD):
        if key not in known:
            target.set_study_user_attr(study_id, key, expected.user_attrs[key])


def _expected(source: Snapshot, target: BaseStorage, study_id: int) -> Snapshot:
    """Return the study as it reads in the target, where it and its trials have other ids."""
    written = target.get_all_trials(study_id, deepcopy=False)
    pairs = zip(source.trials, written, strict=False)
    ids = Ids((source.study_id, study_id), {storage_id(old): storage_id(new) for old, new in pairs})
    return replace(source, study_id=study_id, system_attrs=translated(source.system_attrs, ids))


# --- after the copy -------------------------------------------------------------------------------------------------


def delete_original(original: Snapshot, source: BaseStorage, study_name: str, copied: Copied, *, force: bool) -> None:
    """Delete a study whose copy is whole.

    Parameters
    ----------
    force : bool
        Whether that somebody has written to the original meanwhile does not matter.

    Raises
    ------
    StorageError
        If somebody has, or the copy is the study itself.
    """
    # One that was there before may be the study itself, by another way to its storage.
    may_be_itself = copied.was_begun and copied.study_id == original.study_id
    if may_be_itself and _is_same_place(source, copied.storage):
        raise StorageError(f"{study_name!r} is in that storage already, under that name.")
    if not force and not is_same(snapshot(source, study_name), original):
        if not copied.was_begun:
            with quiet_optuna():
                copied.storage.delete_study(copied.study_id)
        raise StorageError(
            f"Another process wrote to the study {study_name!r} while it was copied; it is as it was. Try again when "
            "nobody works on it."
        )
    with quiet_optuna():
        send_away(source, original.study_id)
        source.delete_study(original.study_id)


def _is_same_place(source: BaseStorage, target: BaseStorage) -> bool:
    """Whether two storages are one: a study that is made in the one is then in the other."""
    if source is target:
        return True
    name = f"is this the same storage {uuid.uuid4().hex}"
    with quiet_optuna():
        probe = target.create_new_study([StudyDirection.MAXIMIZE], name)
        try:
            return name in study_names(source)
        finally:
            target.delete_study(probe)


# --- comparing ------------------------------------------------------------------------------------------------------


def _verify(source: Snapshot, target: BaseStorage, study_id: int, name: str) -> None:
    # What the storage really holds, and not what its cache was told a moment ago.
    if not is_same(snapshot(uncached(target), name), _expected(source, target, study_id)):
        raise StorageError(f"The copy {name!r} is not what it should be; the original is as it was.")


def _is_beginning(there: Snapshot, source: Snapshot, target: BaseStorage) -> bool:
    """Whether a study is what an earlier try to copy the source left behind, or the whole copy."""
    n_trials = len(there.trials)
    pairs = zip(there.trials, source.trials, strict=False)
    if there.directions != source.directions or n_trials > len(source.trials):
        return False
    if not all(_same_trial(one, other) for one, other in pairs):
        return False
    if n_trials < len(source.trials):
        return not there.user_attrs and not there.system_attrs
    expected = _expected(source, target, there.study_id)
    return _is_part(there.user_attrs, expected.user_attrs) and _is_part(there.system_attrs, expected.system_attrs)


def is_same(there: Snapshot, source: Snapshot) -> bool:
    """Whether two studies hold the same, whatever their names and ids."""
    return (
        there.directions == source.directions
        and len(there.trials) == len(source.trials)
        and all(map(_same_trial, there.trials, source.trials))
        and _as_text(there.user_attrs) == _as_text(source.user_attrs)
        and _as_text(there.system_attrs) == _as_text(source.system_attrs)
    )


def _is_part(some: Mapping[str, Any], every: Mapping[str, Any]) -> bool:
    return all(key in every and _as_text(value) == _as_text(every[key]) for key, value in some.items())


def _same_trial(one: FrozenTrial, other: FrozenTrial) -> bool:
    """Whether two trials hold the same, whatever their storages call them."""
    dates = [(one.datetime_start, other.datetime_start), (one.datetime_complete, other.datetime_complete)]
    return _facts(one) == _facts(other) and all(_same_moment(*pair) for pair in dates)


def _same_moment(one: datetime.datetime | None, other: datetime.datetime | None) -> bool:
    return one is other if one is None or other is None else abs(one - other) < SAME_MOMENT


def _facts(trial: FrozenTrial) -> str:
    """Return what a trial holds as a text; numbers as storages keep them, which make 1.0 of 1."""
    params = {name: float(d.to_internal_repr(trial.params[name])) for name, d in trial.distributions.items()}
    distributions = {name: distribution_to_json(d) for name, d in trial.distributions.items()}
    values = None if trial.values is None else [float(value) for value in trial.values]
    steps = {step: float(value) for step, value in trial.intermediate_values.items()}
    held = [trial.number, trial.state.name, values, params, distributions, steps, trial.user_attrs, trial.system_attrs]
    return _as_text(held)


def _as_text(held: Any) -> str:
    # Memory holds what no other storage would take; that a NaN is the same as a NaN only texts know.
    return json.dumps(held, sort_keys=True, default=repr)
