"""Processes that tests start, watch and kill.

An interpreter takes seconds until it has imported everything. So there is one that has, and it is forked for
each of them: a process begins as fresh as that one, which has never done anything.
"""

import atexit
import contextlib
import functools
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

import optuna_search

#: What is waited for in tests comes within a second or two; a machine that has other things to do gets longer.
PATIENCE = 90
TESTS = Path(__file__).parent
#: What an interpreter needs to find this package and its tests.
PLACES = os.pathsep.join(map(str, [Path(optuna_search.__file__).parents[1], TESTS, TESTS / "faults"]))
#: What is imported only once; drivers of databases come with the first connection otherwise.
IMPORTED = ["test_fork", "test_studies", "test_together", "read_once", "psycopg"]


def wait_until(happened, what):
    """Wait until something has happened, within bounds."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, f"waited for {what} in vain"
        time.sleep(0.01)


@functools.cache
def _forks():
    """The way to get a process that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PLACES)
        forkserver.ensure_running()
    return context


class Process:
    """A process in a session of its own that calls a function; within ``with``, nothing of it is left in the end."""

    def __init__(self, function, *arguments, **environment):
        self._folder = tempfile.TemporaryDirectory()
        told = [f"{self._folder.name}/{name}" for name in ("out", "err")]
        self._told = [Path(path) for path in told]
        for path in self._told:
            path.touch()
        self._process = _forks().Process(target=_become, args=(told, environment, function, arguments))
        self._process.start()
        self.pid = self._process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()
        self._folder.cleanup()

    def send(self, number):
        """Send it a signal."""
        os.kill(self.pid, number)

    @property
    def code(self):
        """Its exit code, or minus the number of the signal that ended it; None while it lives."""
        return self._process.exitcode

    def wait(self):
        """Wait for its end, and return its exit code."""
        self._process.join(PATIENCE)
        assert self.code is not None, "it should have come to its end"
        return self.code

    def output(self):
        """Wait for a good end, and return what it printed."""
        assert self.wait() == 0, self.complaints
        return self._told[0].read_text()

    @property
    def complaints(self):
        """What it has written to standard error."""
        return self._told[1].read_text()


def _become(told, environment, function, arguments):
    os.setsid()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
    for path, descriptor in zip(told, (1, 2), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), descriptor)
    try:
        function(*arguments)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


def die_after(n_writes, storages, calls):
    """Let this process be killed right after so many writes to a storage, or right before the first one."""
    written = itertools.count(1)

    def deadly(write):
        def call(*args, **kwargs):
            if not n_writes:
                os.kill(os.getpid(), signal.SIGKILL)
            made = write(*args, **kwargs)
            if next(written) == n_writes:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return call

    for storage in storages:
        for name in {*calls} & {*vars(storage)}:
            setattr(storage, name, deadly(getattr(storage, name)))


def in_another_process(code, *arguments, **environment):
    """Run Python code in an interpreter of its own that finds the package and the tests; return what it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": PLACES} | environment,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
