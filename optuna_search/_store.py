"""A study as the keeper of records: open it, claim the next trial, write it, read everything back.

How a trial flows through it: `Store.claim` writes a running trial with all its parameters and its owner in
one transaction, and its number is the ticket; `Store.finish` writes the record in one and the state in
another. Between the two the trial is in the air. Whoever dies in between leaves a running trial whose owner
is dead: whoever works on the study next marks it as abandoned, and it counts for nothing.

No sampler works on this study. What it keeps for itself stays in the memory of its driver, so nothing in a
storage is ever unpickled, and a draw does not read the whole history again.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from optuna_search import _owner, _record
from optuna_search._compat import quiet_optuna, storage_id, trial_number
from optuna_search._database import file_of_storage, is_there, study_names
from optuna_search._fingerprint import differences
from optuna_search._hints import did_you_mean
from optuna_search._record import (
    ABANDONED,
    CLAIM,
    FAILURE,
    LOST,
    RECORD,
    RETIRED,
    SCHEMA,
    WORKER,
    Record,
    is_alive,
)
from optuna_search._space import AnySpace, Candidate
from optuna_search._spill import spill, spilled
from optuna_search._tokens import plain, token
from optuna_search._trouble import persistently
from optuna_search.exceptions import ForeignTrialsWarning, SpaceError, StorageError, StudyMismatchError, VersionWarning

T = TypeVar("T")

#: What the failure of a trial begins with whose fit has asked its process to end.
EXITED = "SystemExit"
#: Making a study takes two writes; whoever finds it between them waits so long for the second.
FIRST_WORD_SECONDS = 1.0


@dataclass(frozen=True)
class Header:
    """What is kept of a study: what its scores were measured on."""

    fingerprint: Mapping[str, Any]
    versions: Mapping[str, str]
    estimator: str
    #: Samples in the training and the test part of each fold: a test of differences needs their ratio.
    fold_sizes: Sequence[tuple[int, int]] = ()
    #: What a study is known by whatever its name: forks refer to it.
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    def encode(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "schema": SCHEMA,
            "id": self.identity,
            "estimator": self.estimator,
            "fold_sizes": [list(sizes) for sizes in self.fold_sizes],
            "fingerprint": dict(self.fingerprint),
            "versions": dict(self.versions),
        }


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
    """
    why: Exception | None = None
    try:
        candidate = space.candidate(trial.params)
        if candidate.point.keys() == trial.params.keys():
            return candidate
    except (KeyError, ValueError) as error:
        why = error
    raise SpaceError(
        f"param_distributions is not the space of this study: trial {trial.number} with {trial.params} is no point "
        "of it."
    ) from why


class Store:
    """An open study of ours."""

    def __init__(self, storage: BaseStorage, study_name: str) -> None:
        self.storage = storage
        self.study = optuna.Study(study_name=study_name, storage=storage)
        self.study_id = storage.get_study_id_from_name(study_name)
        self.study_name = study_name
        self._header = record = storage.get_study_user_attrs(self.study_id).get(RECORD)
        #: What the study is known by, whatever its name and its id in the storage; None for one of another tool.
        self.study_identity = record.get("id") if isinstance(record, Mapping) else None
        #: What tells this use of the study from all others, of this process too.
        self.search_id = uuid.uuid4().hex
        self._is_at_work = False
        #: Whether the folds of our trials are fitted in this process.
        self.fits_inside = True
        #: The claims of our trials in the air, by the id of the trial in the storage.
        self.claims: dict[int, dict[str, Any]] = {}
        #: What each trial of ours tries, by its number.
        self.ours: dict[int, Candidate] = {}
        self._numbers: dict[int, int] = {}
        #: What is known of the study without asking: the trials at the last look, and those that we have ended since.
        self._seen: Sequence[FrozenTrial] = ()
        self._ended: dict[int, FrozenTrial] = {}
        self._file = None if isinstance(storage, InMemoryStorage) else persistently(storage, self._find_file)
        #: Whether the storage has failed for good: it is not waited for a second time.
        self._is_lost = False

    # --- the study ---

    def arrive(self) -> None:
        """Write that a search is at work on the study, also between two trials; from now on it must stay there."""
        if self.storage.get_study_system_attrs(self.study_id).get(RETIRED):  # by a deletion that was killed
            self.storage.set_study_system_attr(self.study_id, RETIRED, False)
        self._is_at_work = True
        self._persist(self.stay)

    def stay(self) -> None:
        """Write that it still is; the date is for other hosts."""
        self._write_worker(_owner.claim(self.search_id) | {"seen": time.time()})

    def depart(self) -> None:
        """Write that it is not any more."""
        self._write_worker(None)

    def _write_worker(self, claim: Mapping[str, Any] | None) -> None:
        with self._unless_it_is_gone():
            self.storage.set_study_system_attr(self.study_id, f"{WORKER}{self.search_id}", claim)

    @contextlib.contextmanager
    def _unless_it_is_gone(self) -> Iterator[None]:
        """Make sure that what is read or written is this study, and not what has its id after it was deleted.

        Raises
        ------
        StorageError
            If somebody has deleted it.
        """
        self._check_file()
        if not self._is_there():
            raise self._gone()
        try:
            yield
            self._check_file()
        except KeyError as error:  # so a storage says that it knows no such study or trial
            raise self._gone() from error
        except ValueError as error:  # so it says that a trial is no point of the study that has the id now
            if self._is_there():
                raise
            raise self._gone() from error

    def _is_there(self) -> bool:
        known = self.study_identity if self._is_at_work else None
        return known is None or is_there(self.storage, self.study_id, known)

    def _find_file(self) -> tuple[Path, tuple[int, int]] | None:
        """Return the file of the storage, and what tells it from another one of its name."""
        file = file_of_storage(self.storage)
        return None if file is None else (file, _identity(file))

    def _check_file(self) -> None:
        """Make sure that the file of the storage is the one that was opened: SQLite would write on into a deleted one.

        Raises
        ------
        StorageError
            If it was deleted or replaced.
        """
        if self._file is None:
            return
        path, identity = self._file
        try:
            what = None if _identity(path) == identity else "replaced by another one"
        except FileNotFoundError:
            what = "deleted"
        if what:
            raise StorageError(f"storage={str(path)!r}: the file was {what} while this search was at work on it.")

    def _persist(self, call: Callable[[], T], found: Callable[[], T | None] = lambda: None) -> T:
        """Call the storage until it has answered; one that has failed for good is called only once more."""
        if isinstance(self.storage, InMemoryStorage):
            return call()
        try:
            return persistently(self.storage, call, found, 0 if self._is_lost else None)
        except StorageError:
            self._is_lost = True
            raise

    @staticmethod
    def _gone() -> StorageError:
        return StorageError("The study was deleted while this search was at work on it; nothing more is written.")

    # --- one trial ---

    def claim(self, candidate: Candidate) -> tuple[int, int]:
        """Write a running trial, and return its id and its number."""
        nonce = uuid.uuid4().hex[:12]
        claim = _owner.claim(self.search_id) | {"inside": self.fits_inside, "nonce": nonce}
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(candidate.point),
            distributions=candidate.distributions,
            user_attrs={CLAIM: claim},
        )
        trial_id, number = self._persist(lambda: self._create(template), lambda: self._created(claim))
        if not self._is_there():  # it was deleted while the write waited for its turn
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
            raise self._gone()
        self.claims[trial_id] = claim
        self.ours[number], self._numbers[trial_id] = candidate, number
        return trial_id, number

    def _create(self, template: FrozenTrial) -> tuple[int, int]:
        with self._unless_it_is_gone():
            trial_id = self.storage.create_new_trial(self.study_id, template_trial=template)
            return trial_id, trial_number(self.storage, trial_id)

    def _created(self, claim: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return the trial of a claim that was written, though nobody was told."""
        found = (t for t in self._read() if t.user_attrs.get(CLAIM) == claim and not t.state.is_finished())
        return next(((storage_id(trial), trial.number) for trial in found), None)

    def is_double(self, trial: FrozenTrial) -> bool:
        """Whether a running trial was written by us without our knowing: an answer was lost, and we wrote again."""
        claim = trial.user_attrs.get(CLAIM)
        return isinstance(claim, Mapping) and claim.get("search") == self.search_id and trial.number not in self.ours

    def add(self, trial: FrozenTrial) -> None:
        """Write a trial that is finished already."""

        def found() -> int | None:
            same = (t for t in self._read() if t.user_attrs == trial.user_attrs and t.params == trial.params)
            return next(map(storage_id, same), None)

        self._persist(lambda: self.storage.create_new_trial(self.study_id, template_trial=trial), found)

    def renew(self, trial_id: int, times: int) -> None:
        """Write that the owner of a trial in the air still lives, for the so-and-so-many-th time."""
        claim = self.claims[trial_id] | {"renewed": times}
        with self._unless_it_is_gone():
            self.storage.set_trial_user_attr(trial_id, CLAIM, claim)

    def finish(self, trial_id: int, record: Record, value: float | None, failure: str | None) -> bool:
        """Write the record and the end of a trial: complete with its value, or failed with its reason.

        Returns
        -------
        taken : bool
            False if somebody took its owner for dead and gave it up meanwhile.
        """
        encoded = _record.encode(record, value, self.claims[trial_id].get("nonce"))
        attrs = {RECORD: encoded} if failure is None else {FAILURE: failure, RECORD: encoded}
        if not isinstance(self.storage, InMemoryStorage):
            self._remember(self._numbers[trial_id], value, attrs)
        try:
            taken = self._persist(lambda: self._write_end(trial_id, value, attrs))
        except StorageError as error:
            raise self._spilled(self._numbers[trial_id], attrs, error) from None
        del self.claims[trial_id]  # only now: a claim is renewed until its trial has ended
        return taken

    def _write_end(self, trial_id: int, value: float | None, attrs: Mapping[str, Any]) -> bool:
        with self._unless_it_is_gone():
            try:
                # The record is the last before the state: whoever finds it on the trial of a dead owner knows all.
                for name, attr in attrs.items():
                    self.storage.set_trial_user_attr(trial_id, name, attr)
                self._end(trial_id, value)
            except UpdateFinishedTrialError:
                # Somebody may have given it the very end that it was about to get; or we did, and were not told.
                return _record.counts(self.storage.get_trial(trial_id))
        return True

    def _end(self, trial_id: int, value: float | None) -> None:
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        self.storage.set_trial_state_values(trial_id, state, None if value is None else [value])

    def params_of(self, kept: Kept, space: AnySpace | None) -> dict[str, Any]:
        """Return what the estimator got; without a space, objects are their tokens.

        The record has the last word on numbers, texts and the like: a function may give others each time that it
        is called. An object is the one that the space gives today.
        """
        if kept.trial.number in self.ours:
            return self.ours[kept.trial.number].params
        given = None if space is None else candidate_of(kept.trial, space)

        def value(name: str, recorded: Any) -> Any:
            data = plain(recorded) if isinstance(recorded, str) else recorded
            is_object = isinstance(recorded, str) and token(data).text != recorded
            if given is not None and name in given.params and (is_object or given.kept[name] == recorded):
                return given.params[name]
            return data

        return {name: value(name, recorded) for name, recorded in kept.record.params.items()}

    def release(self, trial_id: int, reason: str) -> None:
        """Give up a trial that did not come to its end: it has no record and does not count."""
        self.claims.pop(trial_id, None)

        def write() -> None:
            with self._unless_it_is_gone():
                self.storage.set_trial_user_attr(trial_id, FAILURE, reason)
                self.storage.set_trial_state_values(trial_id, TrialState.FAIL)

        # Two drivers may find the same dead owner; the second one has nothing left to do, nor has the last one of a
        # study that is gone.
        with contextlib.suppress(UpdateFinishedTrialError, StorageError):
            self._persist(write)

    def give_up(self, trial: FrozenTrial) -> None:
        """Give up the running trial of somebody who is gone.

        One that had its record already, and not yet its end, gets the end that it was about to get.
        """
        if RECORD not in trial.user_attrs:
            self.release(storage_id(trial), ABANDONED)
            return
        with contextlib.suppress(UpdateFinishedTrialError):
            self._persist(lambda: self._end(storage_id(trial), _record.value_of(trial)))

    # --- all trials ---

    def trials(self) -> list[FrozenTrial]:
        """Return every trial of the study, whatever its state and whoever made it."""
        self._seen = self._persist(self._read)
        return list(self._seen)

    def _read(self) -> list[FrozenTrial]:
        with self._unless_it_is_gone():
            return self.storage.get_all_trials(self.study_id, deepcopy=False)

    def kept(self) -> list[Kept]:
        """Return every finished trial that counts, in trial order."""
        return kept_of(self.trials())

    def what_is_kept(self) -> str:
        """Return in one sentence what there is when a search did not come to its end."""
        finished = f"{len(self.kept())} finished trials are kept in the study {self.study.study_name!r}"
        if isinstance(self.storage, InMemoryStorage):
            return f"{finished} of this search, which has the results so far (top_n_, cv_results_, best_params_)."
        return f"{finished}; run the same search with this study_name again to go on."

    def foreign(self) -> int:
        """Return how many trials were put into the study by something else than this library."""
        # One that was in the air when its study was copied was given up in the copy, and has no claim there.
        ours = {RECORD, CLAIM}
        known = (ABANDONED, LOST)
        return sum(not ours & t.user_attrs.keys() and t.user_attrs.get(FAILURE) not in known for t in self.trials())

    def header(self) -> dict[str, Any]:
        """Return what is kept of the study itself."""
        attrs = self._persist(lambda: self.storage.get_study_user_attrs(self.study_id))
        return header_of(self.study.study_name, attrs)

    # --- when the storage has failed ---

    def _remember(self, number: int, value: float | None, attrs: Mapping[str, Any]) -> None:
        """Note how a trial of ours ended, whether or not it can be written."""
        candidate = self.ours[number]
        trial = create_trial(
            state=TrialState.FAIL if value is None else TrialState.COMPLETE,
            value=value,
            params=dict(candidate.point),
            distributions=candidate.distributions,
            user_attrs=dict(attrs),
        )
        trial.number = number
        self._ended[number] = trial

    def _spilled(self, number: int, attrs: Mapping[str, Any], error: StorageError) -> StorageError:
        """Write a result that the storage does not take to a file of its own; return the error that says where."""
        path = spill(self.storage, str(self.study_identity), self.search_id, number, {"attrs": dict(attrs)})
        if path is None:
            return error
        return StorageError(
            f"{error} The result of trial {number} is in {str(path)!r}; the next search of this study that can read "
            "it there takes it in."
        )

    def take_in_spilled(self) -> None:
        """Write what an earlier search of this study could not write."""
        if self.study_identity is None or isinstance(self.storage, InMemoryStorage):
            return
        for path, end in spilled(self.storage, str(self.study_identity)):
            trials, number, attrs = self.trials(), end.get("trial"), end.get("attrs")
            if not isinstance(number, int) or not 0 <= number < len(trials) or not isinstance(attrs, Mapping):
                continue
            self._take_in(trials, trials[number], dict(attrs))
            with contextlib.suppress(OSError):
                path.unlink()

    def _take_in(self, trials: Sequence[FrozenTrial], trial: FrozenTrial, attrs: dict[str, Any]) -> None:
        """Give a trial the end that its search could not write; one that was given up gets it as a new trial."""
        value = _record.value_in(attrs.get(RECORD))
        if trial.state == TrialState.RUNNING:
            if _owner.is_dead(trial.user_attrs.get(CLAIM)):
                self._persist(lambda: self._write_end(storage_id(trial), value, attrs))
        elif not any(_record.counts(other) and other.params == trial.params for other in trials):
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
            self.add(
                create_trial(
                    state=state, value=value, params=trial.params, distributions=trial.distributions, user_attrs=attrs
                )
            )

    def rescued(self) -> Store:
        """Return a study in memory with everything that is known of this one, for when its storage is not there."""
        memory = InMemoryStorage()
        name, header = self.study_name, self._header
        memory.set_study_user_attr(memory.create_new_study([StudyDirection.MAXIMIZE], name), RECORD, header)
        known = {trial.number: trial for trial in self._seen} | self._ended
        store = Store(memory, name)
        for number in range(max(known, default=-1) + 1):
            store.add(known.get(number) or create_trial(state=TrialState.FAIL, user_attrs={FAILURE: ABANDONED}))
        store.ours = dict(self.ours)
        return store


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from another one of the same name."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


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
            place = _record.origin_of(trial) or trial.number
            found.setdefault(place, Kept(trial, _record.decode(trial.user_attrs[RECORD])))
    return list(found.values())


def header_of(study_name: str, user_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a study from its attributes.

    Raises
    ------
    StorageError
        If the study is none of ours, or was written by a newer version.
    """
    if RECORD not in user_attrs:
        raise StorageError(
            f"study_name={study_name!r} is a study that optuna_search did not make, so nothing is known of what its "
            "values were measured on. Choose another study_name."
        )
    _record.check_schema(user_attrs[RECORD], f"study {study_name!r}")
    return dict(user_attrs[RECORD])


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
    try:
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], study_name)
        storage.set_study_user_attr(study_id, RECORD, header.encode())
        return Store(storage, study_name), True
    except DuplicatedStudyError:
        store = Store(storage, study_name)
    attrs = _first_word(store)
    store = Store(storage, study_name)
    if attrs or store.trials():
        check_same(study_name, header_of(study_name, attrs), header, is_measured=any(map(is_alive, store.trials())))
        return store, False
    if store.study.directions != [StudyDirection.MAXIMIZE]:
        raise StorageError(
            f"study_name={study_name!r} is an empty study that goes another way "
            f"({', '.join(d.name.lower() for d in store.study.directions)}); scores are maximised. "
            "Choose another study_name."
        )
    # Whoever made it was killed before the first word.
    storage.set_study_user_attr(store.study_id, RECORD, header.encode())
    return Store(storage, study_name), False


def _first_word(store: Store) -> Mapping[str, Any]:
    """Return the attributes of a study; whoever is about to make it has a moment to write the first of them."""
    patience = time.monotonic() + FIRST_WORD_SECONDS
    while True:
        attrs = store.storage.get_study_user_attrs(store.study_id)
        if attrs or store.trials() or time.monotonic() > patience:
            return attrs
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


def check_same(study_name: str, old: Mapping[str, Any], new: Header, *, is_measured: bool = True) -> None:
    """Refuse to mix scores that were measured on different things; warn of other versions.

    Parameters
    ----------
    is_measured : bool
        Whether the study has any trial that came to its end or is on its way.

    Raises
    ------
    StudyMismatchError
        With every difference.
    """
    found = list(differences(old["fingerprint"], new.fingerprint))
    if found:
        lines = "\n".join(f"  - {line}" for line in found)
        deletion = f"studies.delete_study({study_name!r}, storage)"
        raise StudyMismatchError(
            f"study_name={study_name!r} was measured on something else, and scores are never mixed:\n{lines}\n"
            + _advice(found)
            + ("" if is_measured else f" Or delete this one, which holds no score: {deletion}."),
            found,
        )
    warn_of_versions(study_name, old, new)


def warn_of_versions(study_name: str, old: Mapping[str, Any], new: Header) -> None:
    """Tell where the trials of a study were measured with other versions than those of today."""
    changed = list(differences(old.get("versions", {}), dict(new.versions)))
    if changed:
        warnings.warn(
            f"Earlier trials of study_name={study_name!r} were measured with other versions, which may change "
            f"scores a little: {'; '.join(changed)}.",
            VersionWarning,
            stacklevel=2,
        )


def _advice(found: list[str]) -> str:
    parts = {line.partition(":")[0].partition(".")[0] for line in found}
    advice = "Give another study_name to start a new study."
    if parts == {"splits"}:
        return f"{advice} If the splitter shuffles, give it a random_state, so that every run makes the same folds."
    if parts == {"space"}:
        return f"{advice} To go on in another space with what is known, fork the study: search.fork(new_space)."
    if parts & {"X", "y", "metadata"}:
        return (
            f"{advice} A name with {{data}} in it, as in study_name='svc-{{data}}', names a study for each data set. "
            "If the data are split at random before, give that a random_state, so that every run has the same."
        )
    return advice


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
