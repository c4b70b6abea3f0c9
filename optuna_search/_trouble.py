"""What goes wrong with a storage: some of it passes, and is waited for; some does not, and is said at once."""

from __future__ import annotations

import errno
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from optuna.storages import BaseStorage

from optuna_search._compat import is_of_storage, reconnect
from optuna_search._signals import is_held
from optuna_search._storage import place_of, reason_of
from optuna_search.exceptions import StorageError

T = TypeVar("T")

#: Seconds that a storage which is locked, or gone for a while, is waited for.
PATIENCE_SECONDS = 60.0
#: Seconds between two attempts, at first and at most.
PAUSE_SECONDS = (0.05, 3.0)
#: How often it is looked for a signal meanwhile.
GLANCE_SECONDS = 0.5

#: What does not pass, in the words and numbers of those who say it, and in ours.
_LASTING: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "no space left on the device": (
        ("disk is full", "no space left", "disk quota exceeded", "could not extend file"),
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    ),
    "it cannot be written": (
        ("readonly", "read-only", "permission denied"),
        (errno.EROFS, errno.EACCES, errno.EPERM),
    ),
    "it is not there any more": (
        ("no such table", "unable to open database file", "does not exist"),
        (errno.ENOENT, errno.ENOTDIR),
    ),
    "it is damaged": (("malformed", "not a database"), ()),
    "it refuses to be opened": (("authentication failed", "access denied", "pg_hba.conf"), ()),
}


def persistently(
    storage: BaseStorage,
    call: Callable[[], T],
    found: Callable[[], T | None] = lambda: None,
    patience: float | None = None,
) -> T:
    """Call a storage until it has answered, within `PATIENCE_SECONDS`, or until somebody asks for the end by a signal.

    Parameters
    ----------
    storage : BaseStorage
        The one that is called.
    call : callable
        What may be done twice.
    found : callable
        Asked before each further attempt: what the last one did after all, where only its answer was lost.
    patience : float or None
        Other seconds.

    Raises
    ------
    StorageError
        If the time is over, or what is wrong does not pass.
    """

    def again() -> T:
        result = found()
        return call() if result is None else result

    outer = sys.exception()  # what is being handled meanwhile says nothing of the storage
    patience = PATIENCE_SECONDS if patience is None else patience
    began, pause, attempt = time.monotonic(), PAUSE_SECONDS[0], call
    while True:
        try:
            return attempt()
        except Exception as error:
            if not is_of_storage(error):
                raise
            trouble, what = error, _lasting(error, outer)
            waited = time.monotonic() - began
            if what is None and (is_held() or waited + pause > patience):
                what = f"{_passing(error, outer)}, waited {waited:.0f} s"
        if what is not None:  # raised out here: what a driver says may quote a password, and is not to come along
            raise StorageError(f"{place_of(storage)}: {what} ({reason_of(trouble, storage)}).")
        _sleep(pause * (0.5 + random.random() / 2))
        pause = min(2 * pause, PAUSE_SECONDS[1])
        reconnect(storage)
        attempt = again


def _sleep(seconds: float) -> None:
    """Sleep, but no longer than until a signal comes, also where it is held back."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not is_held():
        time.sleep(min(left, GLANCE_SECONDS))


def _chain(error: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, or while handling, but for one and what that came from."""
    seen: set[int] = {id(outer)}
    rest: list[Any] = [error]
    while rest:
        one = rest.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            rest += [one.__cause__, one.__context__, getattr(one, "orig", None)]


def _lasting(error: BaseException, outer: BaseException | None) -> str | None:
    """Return what is wrong if it does not pass."""
    said, numbers = _said(error, outer), {one.errno for one in _chain(error, outer) if isinstance(one, OSError)}
    for what, (words, codes) in _LASTING.items():
        if numbers.intersection(codes) or any(word in said for word in words):
            return what
    return None


def _passing(error: BaseException, outer: BaseException | None) -> str:
    return "locked by another process" if "is locked" in _said(error, outer) else "it does not answer"


def _said(error: BaseException, outer: BaseException | None) -> str:
    """Return what all of them say, but for what they quote: a statement with its parameters, or the row of a table."""
    first_hand = (one for one in _chain(error, outer) if not isinstance(getattr(one, "orig", None), BaseException))
    return " ".join(str(one).partition("\nDETAIL:")[0].lower() for one in first_hand)
