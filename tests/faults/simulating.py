"""Searches in simulated processes on simulated hosts, one step of one of them at a time, by a clock of their own.

    with World(lambda: storage) as world:
        one, other = world.process("here"), world.process("there")
        one.begin(lambda storage: search(storage).fit(X, Y))
        one.go_on(7)  # until it pauses for the seventh time
        one.kill()
        other.begin(lambda storage: search(storage).fit(X, Y))
        world.finish()

A process pauses before each call that writes to its storage or reads the trials, before each fold, and where it would
sleep. In between nobody else does anything. So whatever order the calls of several processes come to a storage in, a
test can have it, again and again, and thousands of steps take seconds. The search is the real one; simulated are the
workers, who fit a fold when its result is asked for, the clock, and what tells one process from another.
"""

import contextlib
import functools
import math
import random
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from faulty import WRITES, FaultyStorage
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.storages import BaseStorage

from optuna_search import _engine, _lease, _opening, _owner, _search, _store, _trouble
from optuna_search._evaluate import Evaluation, Outcome, Task, evaluate

#: Before these calls a process pauses.
STEPS = (*WRITES, "get_all_trials")
#: Seconds that a step may take in earnest.
PATIENCE = 60
#: A search that pauses so often does not come to its end.
MAX_PAUSES = 3_000


class Killed(BaseException):
    """What ends a simulated process at once: nothing that it does from then on reaches the storage."""


@dataclass(frozen=True)
class Fit:
    """A fold that was fitted."""

    process: "Process"
    trial: int
    split: int


class Repeatable(np.random.RandomState):
    """Takes its seeds from a generator where it would take them from the system."""

    def __init__(self, seeds: random.Random) -> None:
        self._seeds = seeds
        super().__init__(seeds.getrandbits(32))

    def seed(self, seed: int | None = None) -> None:
        super().seed(self._seeds.getrandbits(32) if seed is None else seed)


class World:
    """Some hosts with processes that share a storage, and a clock.

    Parameters
    ----------
    opened : callable
        Returns the storage as one more process opens it.
    """

    def __init__(self, opened: Callable[[], BaseStorage]) -> None:
        self.opened = opened
        self.now = 1e6
        self.processes: list[Process] = []
        self.fits: list[Fit] = []
        #: How each search ended: with an error, or None.
        self.ends: list[tuple[Process, BaseException | None]] = []
        #: Whose turn it is; between two steps it is nobody's.
        self.current: Process | None = None
        #: Whether whoever does something does it without a pause.
        self.hurries = False
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> "World":
        clock = types.SimpleNamespace(monotonic=lambda: self.now, time=lambda: 1.7e9 + self.now, sleep=self._sleep)
        for module in (_engine, _lease, _opening, _search, _store, _trouble):
            self._patch.setattr(module, "time", clock)
        for module in (_engine, _lease):
            self._patch.setattr(module, "undisturbed", self._undisturbed)
        self._patch.setattr(_trouble, "random", numbers := random.Random(0))  # the same steps each time
        # A sampler that draws what another process draws is seeded anew from the system.
        self._patch.setattr(LazyRandomState, "_set_rng", lambda lazy: setattr(lazy, "_rng", Repeatable(numbers)))
        self._patch.setattr(_lease, "_renewing", self._renewing)
        self._patch.setattr(_search, "open_workers", self._open_workers)
        self._patch.setattr(_owner, "os", types.SimpleNamespace(getpid=lambda: self._process.pid))
        self._patch.setattr(_owner, "_host", lambda: self._process.host)
        self._patch.setattr(_owner, "_exists", self._exists)
        self._patch.setattr(_owner, "_started", lambda pid: f"at {pid}" if self._exists(pid) else None)
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self.processes:
            process.kill()
        self._patch.undo()

    def process(self, host: str = "here", *, stays: bool = False, **workers: Any) -> "Process":
        """Start a process; `workers` says what workers its searches have."""
        self.processes.append(Process(self, len(self.processes) + 1, host, stays, **workers))
        return self.processes[-1]

    @property
    def at_work(self) -> "list[Process]":
        """The processes in which a search is at work."""
        return [process for process in self.processes if process.is_at_work]

    def pass_time(self, seconds: float) -> None:
        """Let time pass: whoever is not suspended renews its claims meanwhile."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + _lease.RENEWAL_SECONDS)
            for process in self.at_work:
                process.renew()

    def finish(self) -> None:
        """Let all of them go on in turn until each has come to its end."""
        for process in self.at_work:
            process.is_suspended = False
        while running := self.at_work:
            for process in running:
                process.go_on()

    @contextlib.contextmanager
    def as_process(self, process: "Process") -> Iterator[None]:
        """Do something as a process, without a pause."""
        before = self.current, self.hurries
        self.current, self.hurries = process, True
        try:
            yield
        finally:
            self.current, self.hurries = before

    # --- what takes the place of the real things ---

    @property
    def _process(self) -> "Process":
        assert self.current is not None, "nobody's turn"
        return self.current

    def _exists(self, pid: int) -> bool:
        return any(process.pid == pid and process.is_alive for process in self.processes)

    def _sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self._process.pause("sleep")
        self.pass_time(max(0.0, until - self.now))

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        process = self._process
        process.holds += 1
        try:
            yield
        finally:
            process.holds -= 1
            process.hear_ctrl_c()

    @contextlib.contextmanager
    def _renewing(self, store: Any) -> Iterator[None]:
        process = self._process
        process.store, process.renewed_at = store, self.now
        try:
            yield
        finally:
            process.store = None

    @contextlib.contextmanager
    def _open_workers(self, evaluation: Evaluation, *_: Any) -> "Iterator[Workers]":
        yield Workers(self._process, evaluation, **self._process.workers)


class Process:
    """A process that runs one search, in a thread that waits whenever it is not its turn.

    One that `stays` lives on when its search has come to an end, and may begin with another one.
    """

    def __init__(self, world: World, pid: int, host: str, stays: bool = False, **workers: Any) -> None:
        self.world, self.pid, self.host, self.stays, self.workers = world, pid, host, stays, workers
        self.is_alive = True
        self.is_suspended = self.is_at_work = False
        #: How deep it is in what no signal may tear apart, and whether Ctrl-C was pressed and not heard yet.
        self.holds, self._has_ctrl_c = 0, False
        #: The study that its search has claims on, and when it renewed them.
        self.store: Any = None
        self.renewed_at = 0.0
        #: What its last search came to: what it returned, or what it raised.
        self.result: Any = None
        self.error: BaseException | None = None
        #: What it is about to do.
        self.next_step = ""
        self._turn, self._pause = threading.Semaphore(0), threading.Semaphore(0)
        self._n_pauses = 0

    def __repr__(self) -> str:
        return f"<process {self.pid} {self.host}, about to {self.next_step}>"

    def begin(self, work: Callable[[BaseStorage], Any]) -> "Process":
        """Have it begin with a search: something that is given the storage."""
        assert self.is_alive and not self.is_at_work
        self.is_at_work, self.next_step, self.result, self.error = True, "begin", None, None
        self._has_ctrl_c, self.holds, self._n_pauses = False, 0, 0
        #: Its connection to the storage.
        self.storage = Connection(self)
        work = functools.partial(work, self.storage)
        threading.Thread(target=self._run, args=(work,), name=f"simulated-{self.pid}", daemon=True).start()
        return self

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self._wait_for_its_turn()
            self.result = work()
        except BaseException as error:
            self.error = error
        finally:
            self.world.ends.append((self, self.error))
            self.is_at_work, self.next_step = False, "end"
            self.is_alive = self.is_alive and self.stays
            self._pause.release()

    def _wait_for_its_turn(self) -> None:
        self._turn.acquire()
        if not self.is_alive:
            raise Killed

    def go_on(self, n: int = 1) -> None:
        """Let it go on until it has paused so often, or has come to its end."""
        for _ in range(n):
            if self.is_at_work:
                self.world.current = self
                self._turn.release()
                assert self._pause.acquire(timeout=PATIENCE), f"{self} does not come to its next pause"
                self.world.current = None

    def go_on_until(self, step: str) -> None:
        """Let it go on until it is about to do something: to call the storage, to "fit", to "sleep"."""
        self.go_on()
        while self.is_at_work and self.next_step != step:
            self.go_on()

    def pause(self, step: str) -> None:
        """Wait for its turn; called by what it runs."""
        if self.world.current is not self or self.world.hurries:  # the test itself looks into the storage
            return
        if not self.is_alive:
            raise Killed
        self._n_pauses += 1
        if self._n_pauses > MAX_PAUSES:
            raise RuntimeError(f"{self} does not come to its end")
        self.next_step = step
        self._pause.release()
        self._wait_for_its_turn()
        self.hear_ctrl_c()

    def hear_ctrl_c(self) -> None:
        """Hear a Ctrl-C, unless it is held back."""
        if self._has_ctrl_c and not self.holds and not self.world.hurries:
            self._has_ctrl_c = False
            raise KeyboardInterrupt

    def press_ctrl_c(self) -> None:
        """Interrupt its search, which hears of it as soon as it may."""
        self._has_ctrl_c = True

    def kill(self) -> None:
        """End it as SIGKILL does; also one that has nothing to do any more."""
        self.is_alive = False
        while self.is_at_work:
            self.go_on()

    def renew(self) -> None:
        """Do what the thread does that renews claims."""
        is_due = self.world.now - self.renewed_at >= _lease.RENEWAL_SECONDS
        if self.store is None or self.is_suspended or not is_due:
            return
        self.renewed_at = self.world.now
        with self.world.as_process(self):
            with contextlib.suppress(Exception):
                self.store.stay()
            for trial_id in [*self.store.claims]:
                with contextlib.suppress(Exception):
                    self.store.renew(trial_id, int(self.world.now))


class Connection(FaultyStorage):
    """The storage as one process has it opened, with faults of its own."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.world.opened())
        self._process = process

    def _pass_on(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name in STEPS or not self._process.is_alive:
            self._process.pause(name)
        return super()._pass_on(name, args, kwargs)


class Workers:
    """Workers who fit a fold when its result is asked for, in an order that a seed decides."""

    def __init__(
        self, process: Process, evaluation: Evaluation, *, n_workers: int = 1, ahead: int = 0, seed: int = 0,
        inside: bool = False,
    ) -> None:  # fmt: skip
        self.n_workers, self.inside = n_workers, inside
        self._process, self._evaluation = process, evaluation
        self._limit, self._random = n_workers + ahead, random.Random(seed)
        self._out: list[Task] = []

    @property
    def room(self) -> int:
        return self._limit - len(self._out)

    @property
    def busy(self) -> bool:
        return bool(self._out)

    def send(self, task: Task) -> None:
        self._out.append(task)

    def take(self) -> tuple[Task, Callable[[], Outcome]]:
        self._process.pause("fit")
        task = self._out.pop(self._random.randrange(min(len(self._out), self.n_workers)))
        self._process.world.fits.extend(Fit(self._process, task.trial, split) for split in task.folds)
        return task, functools.partial(evaluate, self._evaluation, task, math.inf, inside=True)
