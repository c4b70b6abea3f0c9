"""Fits in a process of their own, which is ended when a fit takes too long, whatever it is at.

A thread cannot be stopped, nor can a loop in C. So with `fit_timeout` every worker, wherever joblib put it,
hands its folds to a helper process and waits; when the time is up the helper is killed, with every process that
the fit has started, and the next fold gets a new one. A helper that dies by itself costs one fold as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from optuna_search._compat import apart
from optuna_search._evaluate import Outcome, Task, died, lost, sendable
from optuna_search._record import Fold
from optuna_search._warned import Warned
from optuna_search.exceptions import WorkerError

#: Seconds until a helper must have imported what it needs.
START_SECONDS = 120
#: One that dies meanwhile is started again; so many in a row are not met by chance.
MAX_STARTS = 3
#: A helper that has had nothing to do for so many seconds ends: nobody may be left who could tell it to.
IDLE_SECONDS = 60
#: How often a helper is asked whether it lives: a process that its fit has left behind may hide its end.
LOOK_SECONDS = 0.2


class _Died(Exception):
    """A helper is gone; the argument is its exit code."""


class _TimeIsUp(Exception):
    """A helper has not answered."""


class _Helper:
    """A process that evaluates one task at a time."""

    def __init__(self, work: bytes, environment: dict[str, str]) -> None:
        self._process, self._connection = apart(_serve, (work,), environment)
        self._last = time.monotonic()
        try:
            self._answer(START_SECONDS)
        except _TimeIsUp:
            self.kill()
            raise WorkerError(f"A process to fit in did not begin within {START_SECONDS} s.") from None
        except BaseException:
            self.kill()
            raise

    def run(self, task: bytes, seconds: float) -> Outcome:
        """Evaluate a task, and raise what it raised."""
        try:
            self._connection.send_bytes(task)
        except OSError:
            raise _Died(self._exit_code()) from None
        outcome: Outcome = self._answer(seconds)
        self._last = time.monotonic()
        return outcome

    def _answer(self, seconds: float) -> Any:
        until = time.monotonic() + seconds
        while not self._connection.poll(max(0.0, min(LOOK_SECONDS, until - time.monotonic()))):
            if self._process.exitcode is not None:
                raise _Died(self._process.exitcode)
            if time.monotonic() >= until:
                raise _TimeIsUp
        try:
            failed, answer = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise _Died(self._exit_code()) from None
        if failed:
            raise answer
        return answer

    def _exit_code(self) -> int | None:
        self._process.join(1)
        code: int | None = self._process.exitcode
        return code

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.exitcode is not None

    @property
    def is_fresh(self) -> bool:
        """Whether it lives, and is not about to end because it had nothing to do."""
        return not self.has_ended and time.monotonic() - self._last < IDLE_SECONDS / 2

    def kill(self) -> None:
        """End the process, and those that it has started."""
        kill(self._process)
        self._process.join()
        self._connection.close()


@dataclass
class _Helpers:
    """The helpers of one search in this process."""

    idle: list[_Helper] = field(default_factory=list)
    busy: list[_Helper] = field(default_factory=list)
    is_closed: bool = False


#: By the search that they work for.
_helpers: dict[str, _Helpers] = {}


@dataclass(frozen=True)
class Isolated:
    """How folds are evaluated in helpers; it may travel to workers elsewhere."""

    #: A function of a task, pickled.
    work: bytes
    #: Seconds for a fold.
    limit: float
    #: Seconds since the epoch when the whole search ends, whatever is at work.
    cutoff: float | None
    #: Whether what does not come back is raised; else the fold has failed.
    raises: bool
    #: What tells its search from all others.
    search: str
    #: Of the helpers.
    environment: dict[str, str]

    def __sizeof__(self) -> int:
        # joblib's dask backend scatters what is large, once, instead of sending it along with every task.
        return object.__sizeof__(self) + max(len(self.work), 1 << 20)

    def evaluate(self, task: Task, until: float | None = None) -> Outcome:
        """Evaluate the folds of a task, one after the other; None stands for what there was no time for."""
        folds: list[Fold | None] = []
        states: list[Any] = []
        warned: Counter[Warned] = Counter()
        for one in task.single_folds:
            is_late = until is not None and time.time() >= until
            outcome = Outcome([None]) if is_late else self._evaluate(one)
            folds += outcome.folds
            states += outcome.states or [None]
            warned.update(outcome.warned)
        return Outcome(folds, warned, states)

    def _evaluate(self, task: Task) -> Outcome:
        _sweep()
        helpers = _helpers.setdefault(self.search, _Helpers())
        try:
            helper = self._helper(helpers)
        except _Died as death:
            return self._lost(f"{died(*death.args)} while it began", 0.0)
        left = self.limit if self.cutoff is None else min(self.limit, self.cutoff - time.time())
        started = time.time()
        good = False
        try:
            outcome = helper.run(cloudpickle.dumps(task), left)
            good = True
        except _TimeIsUp:
            if left < self.limit:
                return Outcome([None])
            return self._lost(f"timeout after {self.limit:g} s", time.time() - started)
        except _Died as death:
            return self._lost(died(*death.args), time.time() - started)
        finally:
            helpers.busy.remove(helper)
            if good:
                helpers.idle.append(helper)
            else:
                helper.kill()
        return outcome

    def _helper(self, helpers: _Helpers) -> _Helper:
        """Take a helper that has nothing to do, or a new one."""
        helper = None
        with contextlib.suppress(IndexError):  # other threads take from them, too
            while not (helper := helpers.idle.pop()).is_fresh:
                helper.kill()
                helper = None
        helper = helper or self._begun()
        helpers.busy.append(helper)
        if helpers.is_closed:  # while it began
            helper.kill()
        return helper

    def _begun(self) -> _Helper:
        for _ in range(MAX_STARTS - 1):
            with contextlib.suppress(_Died):
                return _Helper(self.work, self.environment)
        return _Helper(self.work, self.environment)

    def _lost(self, why: str, seconds: float) -> Outcome:
        if self.raises:
            raise WorkerError(why)
        return Outcome([lost(why, seconds)])

    def close(self) -> None:
        """End the helpers of this process."""
        helpers = _helpers.pop(self.search, _Helpers())
        helpers.is_closed = True
        for helper in helpers.idle:
            helper.kill()
        for helper in [*helpers.busy]:  # whoever waits for it does the rest
            kill(helper._process)


def _sweep() -> None:
    """Take leave of what has ended by itself: nobody tells a worker of dask that a search is over."""
    for helpers in [*_helpers.values()]:
        for helper in [h for h in helpers.idle if h.has_ended]:
            with contextlib.suppress(ValueError):  # another thread has done it
                helpers.idle.remove(helper)
                helper.kill()


def kill(process: Any) -> None:
    """End a helper's process, and those that it has started."""
    if not hasattr(os, "killpg"):  # Windows has no groups of processes
        process.terminate()
        return
    for end in (os.killpg, os.kill):  # it may not have made its group yet
        with contextlib.suppress(ProcessLookupError):
            end(process.pid, signal.SIGKILL)


def _serve(connection: Any, pickled: bytes) -> None:
    """Evaluate what comes through a pipe; the life of a helper."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is for the search; and what a fit starts is found by this
    _end_with_the_parent()
    answer: tuple[bool, Any] = (False, None)
    try:
        work = pickle.loads(pickled)
    except Exception as error:
        answer = True, sendable(error)
    while True:
        connection.send_bytes(cloudpickle.dumps(answer))
        try:
            if not connection.poll(IDLE_SECONDS):
                return
            answer = False, work(pickle.loads(connection.recv_bytes()))
        except EOFError:
            return
        except Exception as error:
            answer = True, sendable(error)


def _end_with_the_parent() -> None:
    """Have the system end this process when its parent is killed; elsewhere it ends after its fit."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
