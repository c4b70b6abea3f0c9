"""Where tasks are sent and results come from: this process, or joblib's backend.

The engine sends as many tasks as `room` allows and then takes one result at a time. Everything it knows
stays in one thread: a backend's own threads do no more than put what came back into a queue.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import pickle
import queue
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cloudpickle

from optuna_search._compat import ParallelDoor, ahead, with_settings
from optuna_search._evaluate import Evaluation, Task, evaluate
from optuna_search._record import Fold

Result: TypeAlias = Callable[[], list[Fold | None]]

#: Tasks beyond one for each worker, so that none waits while the engine takes a result and sends the next.
LOOK_AHEAD = 2
#: Arrays from this size on are shared among processes; joblib draws the same line.
SHARED_BYTES = 1_000_000


class Workers(Protocol):
    """What the engine needs of whoever does the work."""

    n_workers: int

    @property
    def room(self) -> int:
        """How many more tasks may be sent now."""

    @property
    def busy(self) -> bool:
        """Whether some result is still to come."""

    def send(self, task: Task) -> None:
        """Send a task."""

    def take(self) -> tuple[Task, Result]:
        """Wait for the next result: the task, and a function that returns its folds or raises its error.

        None stands for a fold that did not begin, because the time was up.
        """


@dataclass
class Inline:
    """One worker: this thread, when its result is asked for."""

    evaluation: Evaluation
    n_workers: int = 1
    _tasks: deque[Task] = field(default_factory=deque)

    @property
    def room(self) -> int:
        """How many more tasks may be sent now."""
        return 1 - len(self._tasks)

    @property
    def busy(self) -> bool:
        """Whether some result is still to come."""
        return bool(self._tasks)

    def send(self, task: Task) -> None:
        """Keep a task until its result is asked for."""
        self._tasks.append(task)

    def take(self) -> tuple[Task, Result]:
        """Run the task."""
        task = self._tasks.popleft()
        return task, functools.partial(evaluate, self.evaluation, task)


class Backend:
    """The workers of joblib's configured backend.

    A task goes out by `ParallelDoor.submit`; the backend calls back in a thread of its own, which puts the
    task and its result into `_done`; `take` fetches them in the engine's thread. A backend may call back
    twice for one task (dask's failures), so a task counts once, when it leaves `_flying`.
    """

    def __init__(
        self, door: ParallelDoor, evaluation: Evaluation, pre_dispatch: int | str | None, until: float | None,
        folder: Path,
    ) -> None:  # fmt: skip
        self.n_workers = door.n_workers
        self._door = door
        self._room = min(ahead(pre_dispatch, door.n_workers), door.n_workers + LOOK_AHEAD)
        self._done: queue.SimpleQueue[tuple[int, Result]] = queue.SimpleQueue()
        self._flying: dict[int, Task] = {}
        self._until = until
        self._sent = 0
        if door.shares_memory:
            self._shared: Any = Here(evaluation)
        elif door.shares_files:
            self._shared = OnDisk.write(evaluation, folder)
        else:
            self._shared = Scattered(evaluation)
        self._call = with_settings(_work, in_threads=door.shares_memory)

    @property
    def room(self) -> int:
        """How many more tasks may be sent now."""
        return int(self._room) - len(self._flying)

    @property
    def busy(self) -> bool:
        """Whether some result is still to come."""
        return bool(self._flying)

    def send(self, task: Task) -> None:
        """Send a task to the backend."""
        ticket, self._sent = self._sent, self._sent + 1
        self._flying[ticket] = task
        self._door.submit(
            self._call, (self._shared, task, self._until), lambda result: self._done.put((ticket, result))
        )

    def take(self) -> tuple[Task, Result]:
        """Wait for the backend to call back."""
        while True:
            ticket, result = self._done.get()
            if ticket in self._flying:
                return self._flying.pop(ticket), result


def _work(shared: Any, task: Task, until: float | None) -> list[Fold | None]:
    return evaluate(shared.get(), task, until)


@dataclass(frozen=True)
class Here:
    """The evaluation, for threads of this process."""

    evaluation: Evaluation

    def get(self) -> Evaluation:
        """Return the evaluation."""
        return self.evaluation


class Scattered:
    """The evaluation, for workers elsewhere: it travels by pickle, and on dask once for each worker."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._pickled = cloudpickle.dumps(evaluation)
        self._evaluation: Evaluation | None = None

    def get(self) -> Evaluation:
        """Return the evaluation, unpacked once where it is."""
        if self._evaluation is None:
            self._evaluation = pickle.loads(self._pickled)
        return self._evaluation

    def __getstate__(self) -> dict[str, Any]:
        return {"_pickled": self._pickled, "_evaluation": None}

    def __sizeof__(self) -> int:
        # joblib's dask backend scatters what is large, once, instead of sending it along with every task.
        return object.__sizeof__(self) + max(len(self._pickled), 1 << 20)


@dataclass(frozen=True)
class OnDisk:
    """The evaluation, for processes of this machine: written once, mapped into memory by each of them.

    Large arrays of any kind (NumPy, pandas, sparse) are kept outside of the pickle, so that the processes
    share one copy of them in memory; they are read-only there, as joblib's own memory maps are.
    """

    path: str

    @classmethod
    def write(cls, evaluation: Evaluation, folder: Path) -> OnDisk:
        """Write the evaluation into a folder."""
        buffers: list[pickle.PickleBuffer] = []

        def stays_in_the_pickle(buffer: pickle.PickleBuffer) -> bool:
            if buffer.raw().nbytes < SHARED_BYTES:
                return True
            buffers.append(buffer)
            return False

        head = cloudpickle.dumps(evaluation, protocol=5, buffer_callback=stays_in_the_pickle)
        path = folder / "evaluation"
        sizes = []
        with path.open("wb") as file:
            for buffer in buffers:
                # Arrays begin at multiples of 64 bytes, as NumPy allocates them.
                file.write(b"\0" * (-file.tell() % 64))
                raw = buffer.raw()
                sizes.append((file.tell(), raw.nbytes))
                file.write(raw)
        (folder / "head").write_bytes(pickle.dumps((head, sizes)))
        return cls(str(path))

    def get(self) -> Evaluation:
        """Return the evaluation, read once by each process."""
        return _read(self.path)


@functools.lru_cache(maxsize=1)
def _read(path: str) -> Evaluation:
    head, sizes = pickle.loads((Path(path).parent / "head").read_bytes())
    buffers: list[Any] = [b""] * len(sizes)
    if os.path.getsize(path):
        with open(path, "rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        buffers = [whole[start : start + length] for start, length in sizes]
    return pickle.loads(head, buffers=buffers)


@contextlib.contextmanager
def open_workers(
    evaluation: Evaluation, n_jobs: int | None, pre_dispatch: int | str | None, deadline: float | None
) -> Iterator[Workers]:
    """Yield the workers of a search, and let them go at its end.

    Parameters
    ----------
    evaluation : Evaluation
        What they all need; it is shared once.
    n_jobs : int or None
        As in joblib.
    pre_dispatch : int or str or None
        How many tasks may be with the workers at once, as in joblib.
    deadline : float or None
        When no fold is to begin any more, by `time.monotonic`: what waits with a worker then is not worth its time.
    """
    door = ParallelDoor(n_jobs)
    if door.is_sequential:
        try:
            yield Inline(evaluation)
        finally:
            door.close(abort=False)
        return
    folder = Path(tempfile.mkdtemp(prefix="optuna-search-"))
    abort = True
    try:
        # Another process has another monotonic clock, and another machine too.
        until = None if deadline is None else time.time() + deadline - time.monotonic()
        workers = Backend(door, evaluation, pre_dispatch, until, folder)
        yield workers
        # Whatever is still with the workers now, nobody waits for.
        abort = workers.busy
    finally:
        door.close(abort)
        shutil.rmtree(folder, ignore_errors=True)
