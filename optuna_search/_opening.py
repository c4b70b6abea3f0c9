"""How a study is opened: a new one, one that goes on, one that must be there."""

from __future__ import annotations

import contextlib
import datetime
import time
import uuid
import warnings
from collections.abc import Mapping
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage

from optuna_search._compat import no_experimental_warnings, quiet_optuna
from optuna_search._damage import DAMAGE, readable
from optuna_search._database import study_names
from optuna_search._goals import directions
from optuna_search._header import Header, check_directions, check_same, goals_of, header_of
from optuna_search._hints import did_you_mean
from optuna_search._record import RECORD, is_alive
from optuna_search._store import Store
from optuna_search._trouble import persistently
from optuna_search.exceptions import ForeignTrialsWarning, StorageError

#: Making a study takes two writes; whoever finds it between them waits so long for the second.
FIRST_WORD_SECONDS = 1.0


def create_or_continue(storage: BaseStorage, study_name: str, header: Header) -> tuple[Store, bool]:
    """Open the study of this name; make it if there is none, and tell whether that was so.

    Raises
    ------
    StudyMismatchError
        If its scores were measured on something else.
    StorageError
        If it is none of ours.
    """
    with quiet_optuna():
        return persistently(storage, lambda: _create_or_continue(storage, study_name, header))


def _create_or_continue(storage: BaseStorage, study_name: str, header: Header) -> tuple[Store, bool]:
    record = header.encode()
    try:
        storage.create_new_study(directions(goals_of(record)), study_name)
        return _begun(storage, study_name, record), True
    except DuplicatedStudyError:
        with readable(f"study {study_name!r}"):  # of which there may be pieces without a name
            store = Store(storage, study_name)
    attrs, has_trials = _first_word(store)
    store = Store(storage, study_name)
    if attrs or has_trials:
        old = header_of(study_name, attrs, store.study.directions)
        check_same(study_name, old, header, is_measured=any(map(is_alive, store.trials())))
        store.kept()  # what cannot be read is told before anything is fitted
        return store, False
    check_directions(study_name, store.study.directions, record)
    # Whoever made it was killed before the first word.
    return _begun(storage, study_name, record), False


def _begun(storage: BaseStorage, study_name: str, record: Mapping[str, Any]) -> Store:
    """Write what a new study is into it; several goals also where Optuna's plots and dashboard look for names."""
    storage.set_study_user_attr(storage.get_study_id_from_name(study_name), RECORD, record)
    store = Store(storage, study_name)
    if len(goals := goals_of(record)) > 1:
        with no_experimental_warnings():
            store.study.set_metric_names([goal.name for goal in goals])
    return store


def _first_word(store: Store) -> tuple[Mapping[str, Any], bool]:
    """Return the attributes of a study, and whether it has trials; whoever makes it has a moment to write the first."""
    patience = time.monotonic() + FIRST_WORD_SECONDS
    while True:
        # In this order: a study of ours that has trials has had its first attribute before them.
        has_trials = bool(store.trials())
        attrs = store.storage.get_study_user_attrs(store.study_id)
        if attrs or has_trials or time.monotonic() > patience:
            return attrs, has_trials
        time.sleep(0.02)


def must_exist(storage: BaseStorage, study_name: str, parameter: str = "study_name") -> None:
    """Refuse the name of a study that is not there.

    Raises
    ------
    StorageError
        With the name that may have been meant.
    """
    names = study_names(storage)
    if study_name not in names:
        raise StorageError(f"{parameter}={study_name!r} is not in this storage. {did_you_mean(study_name, names)}")


def name_of(storage: BaseStorage, identity: str) -> str | None:
    """Return the name that a study of ours has now; None if it is not there."""
    for name in study_names(storage):
        with contextlib.suppress(*DAMAGE):  # of another study
            record = storage.get_study_user_attrs(storage.get_study_id_from_name(name)).get(RECORD)
            if isinstance(record, Mapping) and record.get("id") == identity:
                return name
    return None


def existing(storage: BaseStorage, study_name: str) -> Store | None:
    """Open a study of ours if it is there and has been begun."""
    if study_name not in study_names(storage):
        return None
    store = Store(storage, study_name)
    return store if RECORD in storage.get_study_user_attrs(store.study_id) else None


def open_existing(storage: BaseStorage, study_name: str, parameter: str = "study_name") -> Store:
    """Open a study that must be there.

    Raises
    ------
    StorageError
        If it is not, or is none of ours.
    """
    must_exist(storage, study_name, parameter)
    store = Store(storage, study_name)
    store.header()
    return store


def unique_name(estimator_name: str) -> str:
    """Return a readable name that no other fit has: estimator, date, and six random characters."""
    return f"{estimator_name}-{datetime.datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def warn_of_foreign_trials(store: Store) -> None:
    """Tell how many trials of the study are not taken into account."""
    if number := store.foreign():
        warnings.warn(
            f"{number} trial(s) of study {store.study.study_name!r} were added by something else than optuna_search "
            "and have no record; they are ignored. To have points tried, give them as initial_params.",
            ForeignTrialsWarning,
            stacklevel=2,
        )
