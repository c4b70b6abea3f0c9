"""Searches are killed again and again, and what they have acknowledged must be there in the end.

    killing = Killing(made, (storage,), tmp_path, n_trials=40, n_processes=4, n_kills=6, seed=1)
    killing.run()
    killing.check(study)

``made(storage)`` gives ``(search, X, y)`` in each process. A trial is acknowledged when a callback of its search was
told of it, which is after its end was written: the callback appends a line to a file that no search knows of. Whoever
is killed is started again, until all have come to their end.
"""

import json
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
from faulty import WRITES
from optuna.storages import GrpcStorageProxy, JournalStorage, _CachedStorage
from optuna.trial import FrozenTrial, TrialState
from processes import Process, die_after

from optuna_search._record import ORIGIN, RECORD

#: Seconds between two looks at the processes.
GLANCE = 0.005
#: The storages that other processes can see, as a search calls them.
SHARED = (_CachedStorage, JournalStorage, GrpcStorageProxy)


# --- what was acknowledged --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Acknowledged:
    """A trial that a search has called finished."""

    number: int
    state: str
    params: dict[str, Any]
    value: float | None

    @classmethod
    def of(cls, trial: FrozenTrial) -> "Acknowledged":
        """Return what is to be remembered of a trial."""
        value = trial.value if trial.state == TrialState.COMPLETE else None
        return cls(trial.number, trial.state.name, json.loads(json.dumps(trial.params)), value)


@dataclass(frozen=True)
class Acknowledge:
    """A callback that appends each trial to a file: one write, which a kill leaves whole or undone."""

    path: str

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, (json.dumps(asdict(Acknowledged.of(trial))) + "\n").encode())
        finally:
            os.close(descriptor)


def acknowledged_in(path: Path) -> list[Acknowledged]:
    """Return what was appended to such a file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Acknowledged(**json.loads(line)) for line in lines]


def complaints(trials: Sequence[FrozenTrial], acknowledged: Iterable[Acknowledged], n_trials: int) -> list[str]:
    """Return what is wrong with the trials of a study that is done: nothing, if nothing was lost."""
    acknowledged = list(acknowledged)
    numbers = [one.number for one in acknowledged]
    by_number = {trial.number: trial for trial in trials}
    finished = [t for t in trials if t.state.is_finished() and RECORD in t.user_attrs and ORIGIN not in t.user_attrs]
    running = [trial.number for trial in trials if not trial.state.is_finished()]
    found = []
    if len(finished) != n_trials:
        found.append(f"{len(finished)} finished trials instead of {n_trials}")
    if running:
        found.append(f"still running: {running}")
    if [trial.number for trial in trials] != list(range(len(trials))):
        found.append(f"numbers with gaps or twice: {[trial.number for trial in trials]}")
    if len(set(numbers)) < len(numbers):
        found.append(f"acknowledged twice: {sorted({n for n in numbers if numbers.count(n) > 1})}")
    for one in acknowledged:
        kept = by_number.get(one.number)
        if kept is None or Acknowledged.of(kept) != one or kept not in finished:
            found.append(f"acknowledged, and lost or changed: {one}, now {kept}")
    return found


# --- who is killed when -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AtRandomMoments:
    """A process is killed so many seconds after its start."""

    seconds: tuple[float, float] = (0.3, 1.5)

    def draw(self, rng: random.Random) -> tuple[float, tuple[Any, ...] | None]:
        """Draw the seconds that a process has, and how it is to kill itself."""
        return rng.uniform(*self.seconds), None


@dataclass(frozen=True)
class AtWrites:
    """A process is killed right after so many writes to a storage of its own; right before the first one for 0."""

    numbers: tuple[int, int] = (0, 20)
    storages: Sequence[type] = SHARED
    calls: Sequence[str] = WRITES

    def draw(self, rng: random.Random) -> tuple[float, tuple[Any, ...] | None]:
        """Draw the seconds that a process has, and how it is to kill itself."""
        return math.inf, (rng.randint(*self.numbers), self.storages, self.calls)


@dataclass
class _Place:
    """A place for a process, which is taken again when that one was killed."""

    is_spared: bool
    process: Process
    #: Whether it is to be killed, by us at some time or by itself.
    is_doomed: bool
    until: float
    ends: ExitStack


@dataclass
class Killing:
    """Processes that run one search, some of which are killed."""

    #: Importable; makes a search with its data: ``(search, X, y)``.
    made: Callable[..., tuple[Any, Any, Any]]
    arguments: tuple[Any, ...]
    #: Where the file of the acknowledged trials is.
    folder: Path
    n_trials: int
    n_processes: int = 1
    #: How many of them are never killed.
    n_spared: int = 0
    kills: AtRandomMoments | AtWrites = field(default_factory=AtRandomMoments)
    #: How often somebody is killed at most; nobody is any more when one has come to its end.
    n_kills: float = 5
    seed: int = 0
    #: Seconds that all of it may take.
    patience: float = 90
    #: Called now and then with the processes that live.
    watch: Callable[[list[Process]], None] = lambda processes: None
    n_killed: int = field(default=0, init=False)

    def run(self) -> "Killing":
        """Run and kill until all have come to their end."""
        self._rng, self._doomed, self._is_over = random.Random(self.seed), 0, False
        until = time.monotonic() + self.patience
        with ExitStack() as everything:
            places = [everything.enter_context(ExitStack()) for _ in range(self.n_processes)]
            at_work = [self._start(ends, number < self.n_spared) for number, ends in enumerate(places)]
            while at_work:
                assert time.monotonic() < until, f"not done in {self.patience} s: {at_work[0].process.complaints}"
                at_work = [next_one for place in at_work if (next_one := self._look_at(place))]
                self.watch([place.process for place in at_work if place.process.code is None])
                time.sleep(GLANCE)
        return self

    def check(self, study: optuna.Study) -> None:
        """Complain unless the study has exactly what was asked for, and all that was acknowledged."""
        found = complaints(study.get_trials(deepcopy=False), self.acknowledged, self.n_trials)
        assert not found, "\n".join(found)

    @property
    def acknowledged(self) -> list[Acknowledged]:
        """The trials that were called finished so far."""
        return acknowledged_in(self._notes)

    @property
    def _notes(self) -> Path:
        return self.folder / "acknowledged"

    def _start(self, ends: ExitStack, is_spared: bool) -> _Place:
        is_doomed = not is_spared and not self._is_over and self._doomed < self.n_kills
        self._doomed += is_doomed
        seconds, deadly = self.kills.draw(self._rng) if is_doomed else (math.inf, None)
        process = ends.enter_context(Process(_search, self.made, self.arguments, str(self._notes), deadly))
        return _Place(is_spared, process, is_doomed, time.monotonic() + seconds, ends)

    def _look_at(self, place: _Place) -> _Place | None:
        """Kill who is due, and start again who was killed; None for one that has come to its end."""
        if place.process.code is None and time.monotonic() > place.until and not self._is_over:
            place.process.send(signal.SIGKILL)
            place.process.wait()
        code = place.process.code
        if code is None:
            return place
        was_killed = place.is_doomed and code == -signal.SIGKILL
        assert code == 0 or was_killed, f"ended with {code}: {place.process.complaints}"
        if code == 0:
            self._is_over = True
            return None
        self.n_killed += 1
        place.ends.close()
        return self._start(place.ends, place.is_spared)


def _search(made: Callable[..., tuple[Any, Any, Any]], arguments: tuple[Any, ...], notes: str, deadly: Any) -> None:
    """Run a search whose trials are acknowledged, in a process of its own."""
    if deadly is not None:
        die_after(*deadly)
    search, X, y = made(*arguments)
    given = search.callbacks
    callbacks = [] if given is None else [given] if callable(given) else [*given]
    search.set_params(callbacks=[Acknowledge(notes), *callbacks]).fit(X, y)
