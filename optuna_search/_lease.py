"""How long a claim on a trial holds.

A process of this host is asked whether it lives. Of another host's nothing can be asked: its driver renews
the claims of its trials, and a claim that has not changed for `LEASE_SECONDS` has no owner any more; of a process of
this host that lives, for `FORGOTTEN_SECONDS`. That time is measured by whoever waits, on a clock that nobody sets: no
two clocks are compared where a trial is at stake.
A search also says of itself that it is at work, with a date. That keeps others from renaming or deleting its study,
and no more.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from optuna_search import _owner
from optuna_search._database import gives_ids_again
from optuna_search._record import CLAIM, FORK, RETIRED, WORKER, WRITER
from optuna_search._signals import undisturbed
from optuna_search._store import Store

#: A claim is renewed as often as this.
RENEWAL_SECONDS = 30.0
#: One that was not renewed for so long has run out.
LEASE_SECONDS = 115.0
#: A search of which nothing was seen for so long is over: clocks of hosts may differ by minutes, and a fit may keep
#: all threads of its process from running.
FORGOTTEN_SECONDS = 900.0
#: Longer than a write waits for its turn when the storage is not idle.
LAST_WRITE_SECONDS = 0.5


class Patience:
    """Waits for the owner of one claim, as long as there is hope."""

    def __init__(self) -> None:
        self._state: Any = None
        self._since = 0.0

    def is_over(self, claim: Any, state: Any = None) -> bool:
        """Whether the owner of a claim is gone, by all that is known.

        Parameters
        ----------
        claim : object
            The claim.
        state : object
            What changes while its owner is at work, if that is not the claim itself.
        """
        if not _owner.is_claim(claim) or _owner.is_dead(claim):
            return True
        if _owner.is_ours(claim):  # its search is at work
            return False
        state = claim if state is None else state
        if state != self._state:
            self._state, self._since = state, time.monotonic()
        # A process of this host lives on when its search has failed, and may not have been able to say so.
        patience = FORGOTTEN_SECONDS if _owner.is_here(claim) else LEASE_SECONDS
        return time.monotonic() - self._since > patience


def owners(trials: Iterable[FrozenTrial], study_attrs: Mapping[str, Any], system_attrs: Mapping[str, Any]) -> list[str]:
    """Return who is at work on a study and not known to be dead, in words: to search, on a trial, to fill a fork."""
    claims = {name: one for name, one in system_attrs.items() if name.startswith(WORKER) and _is_fresh(one)}
    claims |= {f"trial {t.number}": t.user_attrs.get(CLAIM) for t in trials if t.state == TrialState.RUNNING}
    mark = study_attrs.get(FORK)
    if isinstance(mark, Mapping) and WRITER in mark:
        claims["fork"] = mark[WRITER]
    return list(dict.fromkeys(_in_words(what, claim) for what, claim in claims.items() if not _owner.is_dead(claim)))


def _is_fresh(claim: Any) -> bool:
    """Whether a search that said that it is at work may still be, wherever it is."""
    if not _owner.is_claim(claim):
        return False
    seen = claim.get("seen")
    return _owner.is_here(claim) or (isinstance(seen, float) and time.time() - seen < FORGOTTEN_SECONDS)


def send_away(storage: BaseStorage, study_id: int) -> None:
    """Have whoever works on a study stop before it is deleted, where what is written meanwhile might outlive it."""
    if not gives_ids_again(storage):
        return
    trials = storage.get_all_trials(study_id, deepcopy=False)
    if owners(trials, storage.get_study_user_attrs(study_id), storage.get_study_system_attrs(study_id)):
        storage.set_study_system_attr(study_id, RETIRED, True)
        time.sleep(LAST_WRITE_SECONDS)


def _in_words(what: str, claim: Any) -> str:
    if not _owner.is_claim(claim):
        return f"somebody unknown ({what})"
    return f"process {claim['pid']} on host {str(claim.get('host')).partition(' ')[0]}"


def release_the_dead(store: Store) -> None:
    """Give up the trials whose owners are known to be dead."""
    for trial in store.trials():
        if trial.state == TrialState.RUNNING and _owner.is_dead(trial.user_attrs.get(CLAIM)):
            store.give_up(trial)


@contextlib.contextmanager
def renewed(store: Store) -> Iterator[None]:
    """Hold the claims of a search, and renew them in a thread of its own: a fit may take hours."""
    with _owner.at_work(store.search_id):
        if isinstance(store.storage, InMemoryStorage):  # which no other process can see
            yield
            return
        with undisturbed():
            store.arrive()
        try:
            with _renewing(store):
                yield
        finally:
            with undisturbed(), contextlib.suppress(Exception):  # the storage, or the study, may be away
                store.depart()


@contextlib.contextmanager
def _renewing(store: Store) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=_renew, args=(store, over), name="optuna-search-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _renew(store: Store, over: threading.Event) -> None:
    before: set[int] = set()
    times = itertools.count(1)
    while not over.wait(RENEWAL_SECONDS):
        flying, time_now = set(store.claims), next(times)
        with contextlib.suppress(Exception):  # the storage is away: there is a next time
            store.stay()
        # What was claimed just now needs no renewal: most trials end before they ever do.
        for trial_id in before & flying:
            with contextlib.suppress(Exception):  # it has ended meanwhile, or the same
                store.renew(trial_id, time_now)
        before = flying
