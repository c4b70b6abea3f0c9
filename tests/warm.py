"""Workers of joblib's that begin at once: forks of an interpreter that has imported scikit-learn, and nothing else.

An interpreter takes a second until it has imported scikit-learn, and tests of workers that die start many of them. So
there is one that waits: each worker is a fork of it, and becomes what loky would have started, with the descriptors,
the environment and the folder that loky gave it; this package and the tests it imports itself. It is a child of this
process like any other worker: the kernel gives an orphan to the nearest ancestor that asks for orphans.
"""

import contextlib
import ctypes
import fcntl
import gc
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import psutil
from joblib.externals.loky.backend import fork_exec as of_loky

#: What a program has, and the module that a worker runs.
LOKYS_OWN, WORKER = of_loky.fork_exec, "joblib.externals.loky.backend.popen_loky_posix"
#: The options of `prctl` by which a process gets a name, and asks for orphans.
PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36
#: The name of such a worker; its command line is that of the interpreter that it was forked from.
NAME = "a warm worker"
MAX_DESCRIPTORS = 64

# --- in the process that wants workers --------------------------------------------------------------------------------


class Warm:
    """Starts workers as loky's `fork_exec` does, but from an interpreter that waits for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None

    def __call__(self, command: Sequence[str], descriptors: Sequence[int], env: Mapping[str, str] | None = None) -> int:
        """Start a worker, and return its number."""
        if WORKER not in command:  # loky's tracker of resources, which some versions start in this way too
            return LOKYS_OWN(command, descriptors, env)
        kept = sorted({0, 1, 2, *map(int, descriptors)})
        request = pickle.dumps((list(command), kept, os.environ | (env or {}), os.getcwd()))
        with self._lock, _taking_in_orphans():
            connection = self._connected()
            socket.send_fds(connection, [len(request).to_bytes(4, "big")], kept)
            connection.sendall(request)
            return int.from_bytes(_exactly(connection, 4), "big")

    def _connected(self) -> socket.socket:
        if self._connection is None:
            self._connection, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                    env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
                )  # fmt: skip
        return self._connection

    def close(self) -> None:
        """End the interpreter that waits; its workers do not need it."""
        if self._connection is not None:
            self._connection.close()
            self._process.wait()


@contextlib.contextmanager
def _taking_in_orphans() -> Iterator[None]:
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(PR_SET_CHILD_SUBREAPER, 0)


def _prctl(option: int, value: int | bytes) -> None:
    assert ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0


def _exactly(connection: socket.socket, n: int) -> bytes:
    """Receive so many bytes."""
    parts = b""
    while len(parts) < n:
        part = connection.recv(n - len(parts))
        assert part, "the other end is gone"
        parts += part
    return parts


def is_worker(process: psutil.Process) -> bool:
    """Whether a process is a worker of joblib's, however it was started."""
    return process.name() == NAME or any("popen_loky" in part for part in process.cmdline())


@contextlib.contextmanager
def workers_begin(start: Callable[..., int]) -> Iterator[None]:
    """Have loky start its workers by something else."""
    usual, of_loky.fork_exec = of_loky.fork_exec, start
    try:
        yield
    finally:
        of_loky.fork_exec = usual


# --- in the interpreter that waits ------------------------------------------------------------------------------------


def _next_worker(connection: socket.socket) -> list[str]:
    """Wait for requests, and return in each fork the command that it is to follow."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is not for us
    while True:
        head, received, *_ = socket.recv_fds(connection, 4, MAX_DESCRIPTORS)
        if not head:
            sys.exit()
        command, kept, env, folder = pickle.loads(_exactly(connection, int.from_bytes(head, "big")))
        if not (pid := _forked_as_an_orphan()):
            connection.detach()
            _become(dict(zip(kept, received, strict=True)), env, folder)
            return command
        for descriptor in received:
            os.close(descriptor)
        connection.sendall(pid.to_bytes(4, "big"))


def _forked_as_an_orphan() -> int:
    """Fork as `os.fork` does, but so that the parent of the fork has ended already."""
    ours, theirs = os.pipe()
    if not (between := os.fork()):
        if pid := os.fork():
            os.write(theirs, pid.to_bytes(4, "big"))
            os._exit(0)
        return 0
    pid = int.from_bytes(os.read(ours, 4), "big")
    os.waitpid(between, 0)
    for descriptor in (ours, theirs):
        os.close(descriptor)
    return pid


def _become(descriptors: Mapping[int, int], env: Mapping[str, str], folder: str) -> None:
    """Take on what a process has from its parent; the descriptors come as those that they are to be to those there."""
    free = max([*descriptors, *descriptors.values()]) + 1
    out_of_the_way = {number: fcntl.fcntl(given, fcntl.F_DUPFD, free) for number, given in descriptors.items()}
    for number, given in out_of_the_way.items():
        os.dup2(given, number)
    for number in {*map(int, os.listdir("/proc/self/fd"))} - {*descriptors}:
        with contextlib.suppress(OSError):  # that of the folder that was listed
            os.close(number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    np.random.seed()  # not the numbers of all other workers
    _prctl(PR_SET_NAME, NAME.encode())


if __name__ == "__main__":
    import cloudpickle  # noqa: F401
    import numpy as np
    import sklearn.model_selection  # noqa: F401

    gc.freeze()  # what is there now no worker needs to look through, and so to copy
    command = _next_worker(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[1:] = command[command.index(WORKER) + 1 :]
    runpy.run_module(WORKER, run_name="__main__", alter_sys=True)
