"""What becomes of a search whose storage has failed: what is known stays, and what was not written comes later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from optuna_search import _owner, _record
from optuna_search._compat import quiet_optuna, storage_id
from optuna_search._damage import damaged, readable
from optuna_search._kept import candidate_of, finished
from optuna_search._record import ABANDONED, CLAIM, FAILURE, HANDED_BACK, RECORD
from optuna_search._space import AnySpace, Candidate
from optuna_search._spill import spilled
from optuna_search._store import Store
from optuna_search._trouble import persistently
from optuna_search.exceptions import SpaceError, StorageError


def reachable(store: Store) -> Store:
    """Return a study, or what is known of it where its storage does not answer at once."""
    store.hurry()
    try:
        store.trials()
    except StorageError:
        return rescued(store)
    return store


def rescued(store: Store) -> Store:
    """Return a study in memory with everything that is known of one whose storage is not there."""
    memory = InMemoryStorage()
    with quiet_optuna():
        study_id = memory.create_new_study(store.study.directions, store.study_name)
    memory.set_study_user_attr(study_id, RECORD, store.study_record)
    found, known = Store(memory, store.study_name), store.known
    for number in range(max(known, default=-1) + 1):
        found.add(known.get(number) or create_trial(state=TrialState.FAIL, user_attrs={FAILURE: ABANDONED}))
    found.ours = dict(store.ours)
    return found


def take_in_spilled(store: Store, space: AnySpace) -> None:
    """Write to a study what an earlier search could not write to it.

    Raises
    ------
    StorageError
        If what is in a file is no end of a trial of this study.
    """
    if store.study_identity is None or isinstance(store.storage, InMemoryStorage):
        return
    for path, end in spilled(store.storage, store.study_identity):
        trials, what = store.trials(), f"The record of {path}"
        with readable(what):
            ended = _ended_in(end, trials, path)
        _record.check_alike({ended.number: _record.decode(ended.user_attrs[RECORD], str(path))}, store.header())
        try:
            candidate = candidate_of(ended, space)
        except SpaceError as error:
            raise damaged(what, error) from None
        taker = persistently(store.storage, lambda: Store(store.storage, store.study_name))
        if _take_in(taker, trials, ended, candidate):
            with contextlib.suppress(OSError):
                path.unlink()


def _ended_in(end: Mapping[str, Any], trials: Sequence[FrozenTrial], path: Path) -> FrozenTrial:
    """Return a trial as it would be with the end that is in a file."""
    attrs = {name: end["attrs"][name] for name in (FAILURE, RECORD) if name in end["attrs"]}
    values = _record.values_in(attrs.get(RECORD), str(path))
    trial = {trial.number: trial for trial in trials}[end["trial"]]
    return finished(trial.number, values, trial.params, trial.distributions, attrs)


def _take_in(store: Store, trials: Sequence[FrozenTrial], ended: FrozenTrial, candidate: Candidate) -> bool:
    """Write a trial with its end, unless it is there already; return whether its file is of no use any more."""
    trial = trials[ended.number]
    claim = trial.user_attrs.get(CLAIM)
    if trial.state == TrialState.RUNNING:
        # Its own search says so, though it may seem to be at it still: it could not write that it has given up.
        is_its_own = isinstance(claim, Mapping) and claim.get("nonce") == ended.user_attrs[RECORD].get("claim")
        return (is_its_own or _owner.is_dead(claim)) and store.end(storage_id(trial), ended.values, ended.user_attrs)
    rivals = [other for other in trials if _record.is_alive(other) and other.params == ended.params]
    if rivals:
        return any(map(_record.counts, rivals))
    # It was given up meanwhile. Others may take it in at the same moment: the first number is the one that counts.
    store.fits_inside = False
    trial_id, number = store.claim(candidate)
    first = min(t.number for t in store.trials() if _record.is_alive(t) and t.params == ended.params)
    if first < number:
        store.release(trial_id, HANDED_BACK)
        return False
    return store.end(trial_id, ended.values, ended.user_attrs)


@contextlib.contextmanager
def refit_told_apart() -> Iterator[None]:
    """Say of whatever ends a refit that the search itself is done."""
    try:
        yield
    except BaseException as error:
        error.add_note(
            "The search finished, the refit failed: cv_results_, best_params_, best_score_ and top_n_ are there. With "
            "storage and study_name, fitting again only refits."
        )
        raise
