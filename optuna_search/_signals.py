"""Ctrl-C and SIGTERM, where they must not come at a bad moment.

Outside of the main thread Python has no say in signals, and nothing here does anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

#: Whether SIGTERM has a handler of ours.
_is_watched = False
#: What each block holds back that must not be disturbed, the innermost last.
_held: list[list[tuple[int, FrameType | None]]] = []
#: The signals that a thread held back when it began to fork.
_masks = threading.local()


class _Terminated(BaseException):
    """SIGTERM, as something that unwinds the stack; no ``except Exception`` takes it for a failure."""


@contextlib.contextmanager
def tidied_up_on_sigterm() -> Iterator[None]:
    """Let SIGTERM leave the block as an exception does, through every ``finally``; then the process ends by it.

    Where the program has a handler of its own, that one decides: if it raises, the block is left in the same
    way.
    """
    global _is_watched
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    asked: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        # A second one, while things are tidied up, ends the process at once.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asked.append(number)
        raise _Terminated

    _is_watched = True
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _is_watched = False
        if asked:  # also where some code has swallowed the exception
            signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold signals back until the block is done; a second one is not held back.

    A write to a database that an exception tears apart keeps its locks for as long as the exception lives,
    and nobody gets in to tidy up. A write is short; one that waits for a lock is what the second signal is for.
    """
    usual: dict[int, Callable[[int, FrameType | None], Any]] = {}
    held: list[tuple[int, FrameType | None]] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append((number, frame))
        let_through()

    def let_through() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    _held.append(held)
    for number in (signal.SIGINT, signal.SIGTERM) if _in_main_thread() else ():
        # One without a handler in Python is ignored, or ends the process without asking.
        if callable(handler := signal.getsignal(number)):
            usual[number] = handler
            signal.signal(number, hold)
    try:
        yield
    finally:
        _held.remove(held)
        let_through()
        for caught, frame in held:
            usual[caught](caught, frame)


def is_held() -> bool:
    """Whether a signal waits for the end of a block: whoever waits for something else in there had better stop."""
    return any(_held)


def came_by_signal(error: BaseException) -> bool:
    """Whether an exception was raised by the program's own handler of a signal."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    return not handlers.isdisjoint(frames)


def _hold_sigterm() -> None:
    """Hold SIGTERM back while this process forks: in the fork it must not find a handler of ours."""
    if _is_watched:
        _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_sigterm_through() -> None:
    before = _masks.__dict__.pop("before", None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_forks_alone() -> None:
    """Let SIGTERM end a fork of this process as it ends any other.

    There is nothing to tidy up there, and a handler in Python comes too late for one that is about to wait for a
    lock: whoever terminates a pool of processes would wait for it forever.
    """
    global _is_watched
    if _is_watched:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _is_watched = False
    _let_sigterm_through()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(before=_hold_sigterm, after_in_parent=_let_sigterm_through, after_in_child=_leave_forks_alone)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
