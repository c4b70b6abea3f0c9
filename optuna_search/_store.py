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
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from optuna_search import _owner, _record
from optuna_search._compat import storage_id, trial_number
from optuna_search._damage import damaged, readable
from optuna_search._guard import Guard
from optuna_search._header import header_of
from optuna_search._kept import Kept, candidate_of, finished, kept_of
from optuna_search._record import ABANDONED, CLAIM, FAILURE, LOST, RECORD, RETIRED, WORKER, Record
from optuna_search._signals import is_held
from optuna_search._space import AnySpace, Candidate
from optuna_search._spill import spill
from optuna_search._storage import place_of
from optuna_search._tokens import plain
from optuna_search._trouble import persistently
from optuna_search._verdict import Verdict
from optuna_search.exceptions import StorageError

T = TypeVar("T")

#: Seconds that a storage is waited for when somebody has asked for the end.
HURRY_SECONDS = 2.0


class Store:
    """An open study of ours."""

    def __init__(self, storage: BaseStorage, study_name: str) -> None:
        self.storage = storage
        self.study_id = storage.get_study_id_from_name(study_name)
        self.study_name = study_name
        with readable(f"study {study_name!r}"):
            self.study = optuna.Study(study_name=study_name, storage=storage)
            #: What is kept of the study itself, as it is in the storage.
            self.study_record = record = storage.get_study_user_attrs(self.study_id).get(RECORD)
        #: What the study is known by, whatever its name and its id in the storage; None for one of another tool.
        self.study_identity = _record.identity_in(record)
        #: What tells this use of the study from all others, of this process too.
        self.search_id = uuid.uuid4().hex
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
        self._guard = Guard(storage, self.study_id, study_name, self.study_identity)
        #: Seconds that the storage is waited for, if they are others than usual.
        self._patience: float | None = None
        #: Whether it is not called any more: it does not even fail.
        self._is_left = False

    # --- the study ---

    def arrive(self) -> None:
        """Write that a search is at work on the study, also between two trials; from now on it must stay there."""

        def call_back() -> None:
            with self._guard.unless_it_is_gone():
                if self.storage.get_study_system_attrs(self.study_id).get(RETIRED):  # by a deletion that was killed
                    self.storage.set_study_system_attr(self.study_id, RETIRED, False)

        self._persist(call_back)
        self._guard.is_on = True
        self._persist(self.stay)

    def stay(self) -> None:
        """Write that it still is; the date is for other hosts."""
        self._write_worker(_owner.claim(self.search_id) | {"seen": time.time()})

    def depart(self) -> None:
        """Write that it is not any more."""
        if not self._is_left:
            self._write_worker(None)

    def _write_worker(self, claim: Mapping[str, Any] | None) -> None:
        with self._guard.unless_it_is_gone():
            self.storage.set_study_system_attr(self.study_id, f"{WORKER}{self.search_id}", claim)

    def _persist(self, call: Callable[[], T], found: Callable[[], T | None] = lambda: None) -> T:
        """Call the storage until it has answered; one that has failed for good is not waited for a second time."""
        if isinstance(self.storage, InMemoryStorage):
            return call()
        if self._is_left:
            raise StorageError(f"{place_of(self.storage)}: it does not answer, and is not asked any more.")
        try:
            return persistently(self.storage, call, found, self._patience)
        except StorageError:
            self._patience = 0
            raise
        except BaseException:  # a second Ctrl-C, where the first one waits for the end of a call
            self._is_left = is_held()
            raise

    def hurry(self) -> None:
        """Wait for the storage for a moment only from now on: somebody has asked for the end."""
        self._patience = HURRY_SECONDS if self._patience is None else self._patience

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
        if not self._persist(lambda: self._guard.is_there):  # it was deleted while the write waited for its turn
            self._persist(lambda: self.storage.set_trial_state_values(trial_id, TrialState.FAIL))
            raise self._guard.gone()
        self.claims[trial_id] = claim
        self.ours[number], self._numbers[trial_id] = candidate, number
        return trial_id, number

    def _create(self, template: FrozenTrial) -> tuple[int, int]:
        with self._guard.unless_it_is_gone():
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

        def write() -> int:
            with self._guard.unless_it_is_gone():
                return self.storage.create_new_trial(self.study_id, template_trial=trial)

        self._persist(write, found)

    def renew(self, trial_id: int, times: int) -> None:
        """Write that the owner of a trial in the air still lives, for the so-and-so-many-th time."""
        claim = self.claims[trial_id] | {"renewed": times}
        with self._guard.unless_it_is_gone():
            self.storage.set_trial_user_attr(trial_id, CLAIM, claim)

    def finish(self, trial_id: int, record: Record, verdict: Verdict) -> bool:
        """Write the record and the end of a trial: complete or pruned with its values, or failed with its reason.

        Returns
        -------
        taken : bool
            False if somebody took its owner for dead and gave it up meanwhile.
        """
        encoded = _record.encode(record, verdict.values, self.claims[trial_id].get("nonce"))
        attrs = {RECORD: encoded} if verdict.failure is None else {FAILURE: verdict.failure, RECORD: encoded}
        if not isinstance(self.storage, InMemoryStorage):
            self._remember(self._numbers[trial_id], verdict.values, attrs)
        try:
            taken = self.end(trial_id, verdict.values, attrs)
        except StorageError as error:
            raise self._spilled(self._numbers[trial_id], attrs, error) from None
        del self.claims[trial_id]  # only now: a claim is renewed until its trial has ended
        return taken

    def end(self, trial_id: int, values: Sequence[float] | None, attrs: Mapping[str, Any]) -> bool:
        """Write what is kept of the end of a trial; return False if somebody has ended it in another way."""
        return self._persist(lambda: self._write_end(trial_id, values, attrs))

    def _write_end(self, trial_id: int, values: Sequence[float] | None, attrs: Mapping[str, Any]) -> bool:
        with self._guard.unless_it_is_gone():
            try:
                # The record is the last before the state: whoever finds it on the trial of a dead owner knows all.
                for name, attr in attrs.items():
                    self.storage.set_trial_user_attr(trial_id, name, attr)
                self._end(trial_id, values, attrs)
            except UpdateFinishedTrialError:
                # Somebody may have given it the very end that it was about to get; or we did, and were not told.
                return _record.counts(self.storage.get_trial(trial_id))
        return True

    def _end(self, trial_id: int, values: Sequence[float] | None, attrs: Mapping[str, Any]) -> None:
        state = TrialState[_record.state_of(attrs[RECORD])]
        self.storage.set_trial_state_values(trial_id, state, values)

    def params_of(self, kept: Kept, space: AnySpace | None) -> dict[str, Any]:
        """Return what the estimator got; without a space, objects are their tokens.

        The record has the last word on numbers: a function may give others each time that it is called. Everything
        else is what the space gives today.
        """
        if kept.trial.number in self.ours:
            return self.ours[kept.trial.number].params
        given = None if space is None else candidate_of(kept.trial, space)

        def value(name: str, recorded: Any) -> Any:
            data = plain(recorded) if isinstance(recorded, str) else recorded
            if given is None or (type(data) in (int, float) and given.kept[name] != recorded):
                return data
            return given.params[name]

        return {name: value(name, recorded) for name, recorded in kept.record.params.items()}

    def release(self, trial_id: int, reason: str) -> None:
        """Give up a trial of ours that did not come to its end: it has no record and does not count.

        One that did, and whose end the storage would not take, is offered it a last time.
        """
        self.claims.pop(trial_id, None)
        ended = self._ended.get(self._numbers[trial_id])
        # Whatever the reason is, it comes before what a storage, or a study that is gone, has to say.
        with contextlib.suppress(StorageError):
            if ended is None:
                self.fail(trial_id, reason)
            else:
                self.end(trial_id, ended.values, ended.user_attrs)

    def fail(self, trial_id: int, reason: str) -> None:
        """Write that a trial did not come to its end."""

        def write() -> None:
            with self._guard.unless_it_is_gone():
                self.storage.set_trial_user_attr(trial_id, FAILURE, reason)
                self.storage.set_trial_state_values(trial_id, TrialState.FAIL)

        # Two drivers may find the same dead owner; the second one has nothing left to do.
        with contextlib.suppress(UpdateFinishedTrialError):
            self._persist(write)

    def give_up(self, trial: FrozenTrial) -> None:
        """Give up the running trial of somebody who is gone.

        One that had its record already, and not yet its end, gets the end that it was about to get.
        """
        if RECORD not in trial.user_attrs:
            self.fail(storage_id(trial), ABANDONED)
            return
        with contextlib.suppress(UpdateFinishedTrialError):
            self._persist(lambda: self._end(storage_id(trial), _record.values_of(trial), trial.user_attrs))

    # --- all trials ---

    def trials(self) -> list[FrozenTrial]:
        """Return every trial of the study, whatever its state and whoever made it."""
        self._seen = self._persist(self._read)
        return list(self._seen)

    def _read(self) -> list[FrozenTrial]:
        with self._guard.unless_it_is_gone():
            trials = self.storage.get_all_trials(self.study_id, deepcopy=False)
        for number, trial in enumerate(trials):
            if trial.number != number or not isinstance(trial.user_attrs, dict):
                odd = ValueError(f"something else is in the place of trial {number}")
                raise damaged(f"study {self.study_name!r}", odd)
        return trials

    def kept(self) -> list[Kept]:
        """Return every finished trial that counts, in trial order."""
        kept = kept_of(self.trials())
        _record.check_alike({k.trial.number: k.record for k in kept}, self.header())
        return kept

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

        def read() -> Mapping[str, Any]:
            with self._guard.unless_it_is_gone():
                return self.storage.get_study_user_attrs(self.study_id)

        return header_of(self.study_name, self._persist(read), self._persist(lambda: self.study.directions))

    # --- when the storage has failed ---

    def _remember(self, number: int, values: Sequence[float] | None, attrs: Mapping[str, Any]) -> None:
        """Note how a trial of ours ended, whether or not it can be written."""
        candidate = self.ours[number]
        self._ended[number] = finished(number, values, candidate.point, candidate.distributions, attrs)

    def _spilled(self, number: int, attrs: Mapping[str, Any], error: StorageError) -> StorageError:
        """Write a result that the storage does not take to a file of its own; return the error that says where."""
        path = spill(self.storage, str(self.study_identity), self.search_id, number, {"attrs": dict(attrs)})
        if path is None:
            return error
        return StorageError(
            f"{error} The result of trial {number} is in {str(path)!r}; the next search of this study that can read "
            "it there takes it in."
        )

    @property
    def known(self) -> dict[int, FrozenTrial]:
        """What is known of the trials without asking: those of the last look, and those of ours that ended since."""
        return {trial.number: trial for trial in self._seen} | self._ended
