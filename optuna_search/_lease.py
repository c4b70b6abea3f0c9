"""How long a claim on a trial holds.

A process of this host is asked whether it lives. Of another host's nothing can be asked: its driver renews
the claims of its trials, and a claim that has not changed for `LEASE_SECONDS` has no owner any more. That
time is measured by whoever waits, on a clock that nobody sets: no two clocks are ever compared.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from optuna_search import _owner
from optuna_search._record import CLAIM
from optuna_search._store import Store

#: A claim is renewed as often as this.
RENEWAL_SECONDS = 30.0
#: One that was not renewed for so long has run out.
LEASE_SECONDS = 115.0


class Leases:
    """The claims of other processes, as far as they were watched."""

    def __init__(self) -> None:
        self._unchanged: dict[int, tuple[Any, float]] = {}

    def has_run_out(self, trial: FrozenTrial) -> bool:
        """Whether the owner of a running trial is gone, by all that is known."""
        claim = trial.user_attrs.get(CLAIM)
        if _owner.is_here(claim):
            return _owner.is_dead(claim)
        seen, since = self._unchanged.get(trial.number, (None, 0.0))
        if claim != seen:
            self._unchanged[trial.number] = claim, time.monotonic()
            return False
        return time.monotonic() - since > LEASE_SECONDS


@contextlib.contextmanager
def renewed(store: Store) -> Iterator[None]:
    """Renew the claims of the trials in the air, in a thread of its own: a fit may take hours."""
    if isinstance(store.storage, InMemoryStorage):  # which no other process can see
        yield
        return
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
        flying, time_now = set(store.in_the_air), next(times)
        # What was claimed just now needs no renewal: most trials end before they ever do.
        for trial_id in before & flying:
            with contextlib.suppress(Exception):  # it has ended meanwhile, or the storage is away: there is a next time
                store.renew(trial_id, time_now)
        before = flying
