"""Estimators that misbehave on purpose, each in its own way, importable in worker processes.

Each does so in ``fit`` (or in ``score``, where that is said) when its ``x`` is one of ``bad``, or whatever its
``x`` is when ``bad`` is None; it scores ``known_score(x)`` otherwise. With ``once``, the path of a file that is not
there yet, it misbehaves a single time, whichever process it is in, and behaves from then on.

Nothing here lasts longer than `FOR_EVER`, so that a process that no test ends does so by itself one day.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
from estimators import KnownScore

#: Seconds that no test waits, and after which what was left behind by a test is over all the same.
FOR_EVER = 600
#: Turns of a loop in C that take about as long.
TURNS_FOR_EVER = 200_000_000 * FOR_EVER


def known_score(x):
    """What every estimator here scores on whatever data as long as it behaves; the best ``x`` is 3."""
    return 10.0 - (x - 3.0) ** 2


def first_time(path):
    """Whether nobody has asked this of a path before, in whatever process."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Misbehaves(KnownScore):
    """What they have in common; what each of them does is its ``misbehave``."""

    def __init__(self, x=0.0, bad=(), once=None):
        self.x = x
        self.bad = bad
        self.once = once

    @property
    def is_time(self):
        chosen = self.bad is None or self.x in self.bad
        return chosen and (self.once is None or first_time(self.once))

    def fit(self, X, y=None):
        super().fit(X, y)
        if self.is_time:
            self.misbehave(X, y)
        return self

    def misbehave(self, X, y):
        raise NotImplementedError

    def score(self, X, y=None):
        return known_score(self.x)


# --- those that do not come to an end ---------------------------------------------------------------------------------


class SleepsForEver(Misbehaves):
    """Sleeps; a signal handler in Python gets its turn."""

    def misbehave(self, X, y):
        time.sleep(FOR_EVER)


class HoldsTheInterpreter(Misbehaves):
    """Loops in C: no other thread, no signal handler in Python and no Ctrl-C gets a turn, only SIGKILL does.

    Powers of huge numbers and regular expressions that backtrack look for signals now and then; this loop does not.
    Not to be run in the process of the tests.
    """

    def misbehave(self, X, y):
        any(itertools.repeat(False, TURNS_FOR_EVER))


class WaitsForALock(Misbehaves):
    """Waits for a lock that nobody will release."""

    def misbehave(self, X, y):
        lock = threading.Lock()
        lock.acquire()
        lock.acquire(timeout=FOR_EVER)


class WaitsForAChild(Misbehaves):
    """Waits for a process of its own that sleeps, and appends the number of that one to the file ``pids``."""

    def __init__(self, x=0.0, bad=(), once=None, pids=None):
        self.x = x
        self.bad = bad
        self.once = once
        self.pids = pids

    def misbehave(self, X, y):
        child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({FOR_EVER})"])
        with open(self.pids, "a") as file:
            file.write(f"{child.pid}\n")
        child.wait()


# --- those that end their process -------------------------------------------------------------------------------------


class Segfaults(Misbehaves):
    """Reads where nothing is."""

    def misbehave(self, X, y):
        ctypes.string_at(0)


class Exits(Misbehaves):
    """Ends its process without a goodbye."""

    def __init__(self, x=0.0, bad=(), once=None, code=3):
        self.x = x
        self.bad = bad
        self.once = once
        self.code = code

    def misbehave(self, X, y):
        os._exit(self.code)


class AsksToExit(Exits):
    """Raises SystemExit."""

    def misbehave(self, X, y):
        sys.exit(self.code)


class KillsItself(Misbehaves):
    """Is killed, as the system does when memory runs out."""

    def misbehave(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


# --- those that raise -------------------------------------------------------------------------------------------------


class Raises(Misbehaves):
    """Raises ValueError."""

    def misbehave(self, X, y):
        raise ValueError(f"x={self.x} is bad")


class RunsOutOfMemory(Misbehaves):
    """Raises MemoryError."""

    def misbehave(self, X, y):
        raise MemoryError(f"x={self.x} needs too much")


class Interrupts(Misbehaves):
    """Raises KeyboardInterrupt, as if it had been asked for."""

    def misbehave(self, X, y):
        raise KeyboardInterrupt


class StaysAtHomeError(Exception):
    """An exception that cannot be pickled."""

    def __reduce__(self):
        raise TypeError("this exception cannot be pickled")


class DoesNotArriveError(Exception):
    """An exception that is pickled without complaint, and cannot be unpickled.

    One with an ``__init__`` of two arguments is the usual case, and none here once tblib, which comes with dask, has
    made all exceptions travel.
    """

    def __reduce__(self):
        return _cannot_be_made_again, (str(self),)


def _cannot_be_made_again(text):
    raise TypeError(f"{text}: this exception cannot be made again")


class RaisesUnpicklable(Misbehaves):
    """Raises what cannot be sent to another process or, with ``pickles``, what can be sent and not received."""

    def __init__(self, x=0.0, bad=(), once=None, pickles=False):
        self.x = x
        self.bad = bad
        self.once = once
        self.pickles = pickles

    def misbehave(self, X, y):
        raise (DoesNotArriveError if self.pickles else StaysAtHomeError)(f"x={self.x} is bad")


# --- those that go on, and leave something behind ---------------------------------------------------------------------


class HoldsALock(KnownScore):
    """Cannot be pickled from its beginning, whatever its ``x``; it can be cloned."""

    def __init__(self, x=0.0):
        self.x = x
        self._lock = threading.Lock()

    def score(self, X, y=None):
        return known_score(self.x)


class TakesALock(Misbehaves):
    """Can be pickled until it was fitted."""

    def misbehave(self, X, y):
        self.lock_ = threading.Lock()


class Floods(Misbehaves):
    """Writes so many lines, to Python's streams and past them, and warns as often with one text and with others."""

    def __init__(self, x=0.0, bad=(), once=None, lines=50):
        self.x = x
        self.bad = bad
        self.once = once
        self.lines = lines

    def misbehave(self, X, y):
        for number in range(self.lines):
            print(f"printed {number} of x={self.x}")
            print(f"complained {number} of x={self.x}", file=sys.stderr)
            os.write(1, b"written to the descriptor of standard output\n")
            os.write(2, b"written to the descriptor of standard error\n")
            warnings.warn("always the same warning", UserWarning, stacklevel=1)
            warnings.warn(f"warning {number} of x={self.x}", RuntimeWarning, stacklevel=1)


class Meddles(Misbehaves):
    """Changes what it is given, its own parameters and NumPy's global generator, after a look at all of them.

    Its score is the sum of what is known of ``x`` and of the means of what it was fitted and is scored on, so that
    data, parameters or numbers that another fit has left changed show in it.
    """

    def __init__(self, x=0.0, bad=(), once=None, seen=()):
        self.x = x
        self.bad = bad
        self.once = once
        self.seen = seen

    def fit(self, X, y=None):
        self.mean_ = float(np.mean(X)) + (0.0 if y is None else float(np.mean(y)))
        self.x_, self.n_seen_ = self.x, len(self.seen)
        return super().fit(X, y)

    def misbehave(self, X, y):
        for array in (X, y):
            if array is not None and array.flags.writeable:
                array[...] = 0
        np.random.seed(0)
        if isinstance(self.seen, list):
            self.seen.append(self.x)
        with contextlib.suppress(TypeError):  # a tuple of bad values stays as it is
            self.bad[0] = None
        self.x += 100

    def score(self, X, y=None):
        return known_score(self.x_) - self.n_seen_ + (self.mean_ + float(np.mean(X))) / 1e3


class DrawsFromTheGlobalGenerator(KnownScore):
    """Scores a number from NumPy's global generator on top, which others can seed."""

    def __init__(self, x=0.0):
        self.x = x

    def score(self, X, y=None):
        return known_score(self.x) + np.random.random()


class ScoresNonsense(Misbehaves):
    """Its ``score`` gives what is no number: None, a text, an array, a dict, a complex number."""

    def __init__(self, x=0.0, bad=(), once=None, nonsense=None):
        self.x = x
        self.bad = bad
        self.once = once
        self.nonsense = nonsense

    def fit(self, X, y=None):
        return KnownScore.fit(self, X, y)

    def score(self, X, y=None):
        return self.nonsense if self.is_time else known_score(self.x)
