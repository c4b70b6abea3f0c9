"""Where tasks are sent and results come from: this process, or joblib's backend.

The engine sends as many tasks as `room` allows and then takes one result at a time. Everything it knows
stays in one thread: a backend's own threads do no more than put what came back into a queue.

A worker process that dies takes joblib's whole pool with it. Each worker notes which fold it begins, and loky
tells how its workers ended before it ends the others: so the fold that was at work in the dead one has failed,
and everything else that was in the air is sent again, to a new pool.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import queue
import shutil
import tempfile
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from optuna_search._compat import ParallelDoor, ahead, is_death, is_lost_along, with_settings
from optuna_search._evaluate import Evaluation, Outcome, Task, died, evaluate, lost, sendable
from optuna_search._isolation import Isolated
from optuna_search._notes import DONE, Note, Notes
from optuna_search._owner import is_alive, is_alone
from optuna_search._sharing import Here, pickled, shared_with
from optuna_search._training import packed
from optuna_search.exceptions import WorkerError

Result: TypeAlias = Callable[[], Outcome]

#: Tasks beyond one for each worker, so that none waits while the engine takes a result and sends the next.
LOOK_AHEAD = 2
#: How often a task is sent again that was lost because of what happened to others.
MAX_BREAKS = 3
#: How often pools that say nothing of it are looked at for workers that have died.
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """When a fold ends that does not end by itself."""

    #: Seconds for one fold.
    fit_timeout: float | None = None
    #: The moment when no fold begins any more, by `time.monotonic`.
    deadline: float | None = None
    #: The moment when nothing is waited for any more, by `time.monotonic`.
    cutoff: float | None = None


class Workers(Protocol):
    """What the engine needs of whoever does the work."""

    n_workers: int
    #: Whether folds are fitted in this process, which then may die of one.
    inside: bool

    @property
    def room(self) -> int:
        """How many more tasks may be sent now."""

    @property
    def busy(self) -> bool:
        """Whether some result is still to come."""

    def send(self, task: Task) -> None:
        """Send a task."""

    def take(self) -> tuple[Task, Result] | None:
        """Wait for the next result: the task, and a function that returns what came of it or raises its error.

        None says that the time for waiting is over.
        """


@dataclass
class Inline:
    """One worker: this thread, when its result is asked for."""

    #: Evaluates a task.
    work: Callable[[Task], Outcome]
    inside: bool = True
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
        return task, functools.partial(self.work, task)


class Backend:
    """The workers of joblib's configured backend.

    A task goes out by `ParallelDoor.submit`; the backend calls back in a thread of its own, which puts the
    task and its result into `_done`; `take` fetches them in the engine's thread. A backend may call back
    twice for one task (dask's failures), so a task counts once, when it leaves `_flying`.
    """

    def __init__(
        self, door: ParallelDoor, work: Callable[..., Outcome], shared: Any, *, raises: bool,
        pre_dispatch: int | str | None, limits: Limits, folder: Path,
    ) -> None:  # fmt: skip
        self.n_workers = door.n_workers
        self.inside = door.shares_memory and not isinstance(shared, Isolated)
        self._door = door
        self._room = min(ahead(pre_dispatch, door.n_workers), door.n_workers + LOOK_AHEAD)
        self._done: queue.SimpleQueue[tuple[int, Result, Mapping[int, int]]] = queue.SimpleQueue()
        self._flying: dict[int, Task] = {}
        self._ready: deque[tuple[Task, Result]] = deque()
        self._cutoff = limits.cutoff
        self._until = _by_the_clock(limits.deadline)
        self._sent = 0
        self._shared = shared
        self._call = with_settings(work, in_threads=door.shares_memory)
        self._raises = raises
        self._notes = Notes(str(folder)) if door.shares_files else None
        #: What was lost with a worker while nobody knows by whose fault, and the one of them that is at work, alone.
        self._suspects: deque[Task] = deque()
        self._alone: Task | None = None
        self._breaks: Counter[tuple[int, tuple[int, ...]]] = Counter()

    @property
    def room(self) -> int:
        """How many more tasks may be sent now."""
        return 0 if self._suspects or self._alone else int(self._room) - len(self._flying)

    @property
    def busy(self) -> bool:
        """Whether some result is still to come."""
        return bool(self._flying or self._ready or self._suspects)

    def send(self, task: Task) -> None:
        """Send a task to the backend."""
        ticket, self._sent = self._sent, self._sent + 1
        self._flying[ticket] = task
        args = (self._shared, task, self._until, self._notes and self._notes.of(ticket))
        done = functools.partial(self._called_back, ticket)
        try:
            self._door.submit(self._call, args, done)
        except Exception as error:
            if not is_death(error):
                raise
            if len(self._flying) == 1:  # a worker has died that had nothing to do
                self._door.renew()
                self._door.submit(self._call, args, done)
            else:  # the others may be done already, or about to come back as lost: this one comes after them
                self._called_back(ticket, functools.partial(_raise, error), self._door.ended())

    def _called_back(self, ticket: int, result: Result, ended: Mapping[int, int]) -> None:
        self._done.put((ticket, result, ended))

    def take(self) -> tuple[Task, Result] | None:
        """Wait for the backend to call back."""
        while not self._ready:
            if self._suspects and not self._flying:
                self._alone = self._suspects.popleft()
                self.send(self._alone)
            try:
                ticket, result, ended = self._done.get(timeout=self._patience())
            except queue.Empty:
                if self._cutoff is not None and time.monotonic() >= self._cutoff:
                    return None
                self._look_for_the_dead()
                continue
            if (task := self._flying.pop(ticket, None)) is not None:  # not called back twice, nor sent again since
                self._come_back(ticket, task, result, ended)
        return self._ready.popleft()

    def _come_back(self, ticket: int, task: Task, result: Result, ended: Mapping[int, int]) -> None:
        was_alone = self._was_alone(task)
        try:
            outcome = result()
        except BaseException as error:
            if is_death(error):
                self._bury({ticket: task}, ended, is_guilty=was_alone and not is_lost_along(error))
                return
            self._ready.append((task, functools.partial(_raise, error)))
        else:
            self._ready.append((task, functools.partial(_same, outcome)))

    def _was_alone(self, task: Task) -> bool:
        """Whether a task that comes back was sent alone; others may be sent again then."""
        was_alone = task is self._alone
        if was_alone:
            self._alone = None
        return was_alone

    def _patience(self) -> float | None:
        waits = [] if self._door.tells_deaths else [LOOK_SECONDS]
        if self._cutoff is not None:
            waits.append(max(0.0, min(self._cutoff - time.monotonic(), threading.TIMEOUT_MAX)))
        return min(waits, default=None)

    # --- when a worker has died ---

    def _bury(self, lost_ones: dict[int, Task], ended: Mapping[int, int], is_guilty: bool) -> None:
        """Tell what the workers were at that have died, and see to everything that was lost with them.

        Parameters
        ----------
        lost_ones : dict of int to Task
            The task that came back as lost.
        ended : mapping of int to int
            The exit codes of the workers of this machine that ended by themselves.
        is_guilty : bool
            Whether that task was the only one at work, so that a worker which died, died of it.
        """
        begun: dict[int, tuple[int | None, int | None]] = {}
        if self._notes is None:
            # Somewhere else, where whoever has the workers takes care of the others. What all tasks need may have been
            # on that worker: another object is sent once more.
            self._shared = copy.copy(self._shared)
        else:
            lost_ones, self._flying = self._flying | lost_ones, {}
            self._door.renew()
            begun = {ticket: self._notes.read(ticket) for ticket in lost_ones}
        # The result of an earlier task of the same worker may have been lost on its way.
        last_of = {pid: ticket for ticket, (pid, at) in sorted(begun.items()) if pid in ended and at != DONE}
        for ticket, task in lost_ones.items():
            pid, at = begun.get(ticket, (None, None))
            if pid is not None and last_of.get(pid) == ticket:
                self._fail(task, at, ended[pid])
            elif last_of:
                self.send(task)
            else:
                # Its worker is none of those that died; or it had none yet, and another search has the same pool.
                is_innocent = bool(ended) if pid is not None else not is_alone()
                self._suspect(task, is_guilty and not is_innocent, next(iter(ended.values()), None))

    def _suspect(self, task: Task, is_guilty: bool, exit_code: int | None) -> None:
        """Have a task sent again that was lost with a worker: alone, so that it shows whether it is its fault."""
        self._breaks[task.trial, task.folds] += 1
        if is_guilty or self._breaks[task.trial, task.folds] > MAX_BREAKS:
            self._fail(task, task.folds[0], exit_code)
        else:
            self._suspects.extend(task.single_folds)

    def _fail(self, task: Task, split: int | None, exit_code: int | None) -> None:
        """Have one fold of a task failed, because its worker died; the others are sent again."""
        for one in task.single_folds:
            if one.folds != (split,):
                self.send(one)
            elif self._raises:
                self._ready.append((one, functools.partial(_raise, WorkerError(died(exit_code)))))
            else:
                self._ready.append((one, functools.partial(Outcome, [lost(died(exit_code))])))

    def _look_for_the_dead(self) -> None:
        """Find the tasks whose workers are gone where nobody tells."""
        for ticket, task in [*self._flying.items()] if self._notes else []:
            pid, split = self._notes.read(ticket) if self._notes else (None, None)
            if pid is not None and split is not None and not is_alive(pid):
                del self._flying[ticket]
                self._was_alone(task)
                self._fail(task, split, None)


def _work(shared: Any, task: Task, until: float | None, note: Note | None) -> Outcome:
    """Evaluate a task in a worker."""
    try:
        outcome = evaluate(shared.get(), task, until, begins=note)
        if note is not None:
            note(DONE)
        if isinstance(shared, Here):
            return outcome
        return replace(outcome, states=[packed(state) for state in outcome.states])
    except Exception as error:
        if isinstance(shared, Here):
            raise
        raise sendable(error) from None


def _work_apart(isolated: Isolated, task: Task, until: float | None, note: Note | None) -> Outcome:
    """Have a helper process of this worker evaluate a task."""
    return isolated.evaluate(task, until)


def _raise(error: BaseException) -> Outcome:
    raise error


def _same(outcome: Outcome) -> Outcome:
    return outcome


def _by_the_clock(moment: float | None) -> float | None:
    """Return a moment of `time.monotonic` in seconds since the epoch: other processes have other monotonic clocks."""
    return None if moment is None else time.time() + moment - time.monotonic()


@contextlib.contextmanager
def open_workers(
    evaluation: Evaluation, n_jobs: int | None, pre_dispatch: int | str | None, limits: Limits
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
    limits : Limits
        When a fold, and when all of them are to end.

    Raises
    ------
    InvalidRequestError
        If workers are other processes, and something cannot be sent there.
    """
    door = ParallelDoor(n_jobs)
    if door.is_sequential and limits.fit_timeout is None:
        try:
            yield Inline(functools.partial(evaluate, evaluation, inside=True))
        finally:
            door.close(abort=False)
        return
    raises = evaluation.error_score == "raise"
    folder = Path(tempfile.mkdtemp(prefix="optuna-search-"))
    isolated, abort = None, True
    try:
        shared = shared_with(evaluation, door, folder, apart=limits.fit_timeout is not None)
        work: Callable[..., Outcome] = _work
        if limits.fit_timeout is not None:
            call = functools.partial(with_settings(_work, in_threads=False), shared, until=None, note=None)
            environment, cutoff = door.environment, _by_the_clock(limits.cutoff)
            isolated = Isolated(
                pickled(call), limits.fit_timeout, cutoff, raises, uuid.uuid4().hex, environment
            )  # fmt: skip
            work, shared = _work_apart, isolated
            if door.shares_files:  # a thread of this process for each helper does what a process of its own would
                door.close(abort=False)
                door = ParallelDoor(door.n_workers, "threading")
        if door.is_sequential:
            assert isolated is not None
            yield Inline(isolated.evaluate, inside=False)
            return
        workers = Backend(
            door, work, shared, raises=raises, pre_dispatch=pre_dispatch, limits=limits, folder=folder
        )  # fmt: skip
        yield workers
        # Whatever is still with the workers now, nobody waits for.
        abort = workers.busy
    finally:
        if isolated is not None:
            isolated.close()
        door.close(abort)
        shutil.rmtree(folder, ignore_errors=True)
