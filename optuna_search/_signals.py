"""Ctrl-C and SIGTERM, where they must not come at a bad moment.

Outside of the main thread Python has no say in signals, and nothing here does anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class _Terminated(BaseException):
    """SIGTERM, as something that unwinds the stack; no ``except Exception`` takes it for a failure."""


@contextlib.contextmanager
def tidied_up_on_sigterm() -> Iterator[None]:
    """Let SIGTERM leave the block as an exception does, through every ``finally``; then the process ends by it.

    Where the program has a handler of its own, that one decides: if it raises, the block is left in the same
    way.
    """
    usual = signal.SIG_DFL
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) != usual:
        yield
        return
    process, asked = os.getpid(), []

    def leave(number: int, frame: FrameType | None) -> None:
        # A second one, while things are tidied up, ends the process at once.
        signal.signal(signal.SIGTERM, usual)
        if os.getpid() != process:  # a fork of ours has the handler too, and nothing to tidy up
            signal.raise_signal(signal.SIGTERM)
        asked.append(number)
        raise _Terminated

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)
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

    for number in (signal.SIGINT, signal.SIGTERM) if _in_main_thread() else ():
        # One without a handler in Python is ignored, or ends the process without asking.
        if callable(handler := signal.getsignal(number)):
            usual[number] = handler
            signal.signal(number, hold)
    try:
        yield
    finally:
        let_through()
        for caught, frame in held:
            usual[caught](caught, frame)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
