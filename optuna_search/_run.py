"""One search in several processes, watched from one place.

Each worker is a Python of its own that fits the same study in the same storage; the storage is all that they
share. So a worker that is killed stops nobody, and if this process is killed the workers finish the study.
Here they are started, looked after, and ended: they hear signals only from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState
from sklearn.utils import indexable

from optuna_search import _request
from optuna_search._fingerprint import data_digest, describe_data, short_name
from optuna_search._job import Fault, Job, load
from optuna_search._lease import release_the_dead
from optuna_search._opening import unique_name
from optuna_search._record import counts, measured_here
from optuna_search._storage import open_storage
from optuna_search._store import Store
from optuna_search._tables import printable, printable_lines
from optuna_search._url import mask
from optuna_search.exceptions import InvalidRequestError

#: Seconds between two looks at the study.
POLL = 0.25
#: Seconds between two lines where there is no terminal for a bar.
LINE_SECONDS = 5.0
#: Seconds that workers get to end after a signal.
GRACE = 10.0
#: Signals that end a run, as far as the system has them.
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass(frozen=True)
class Plan:
    """What is run."""

    target: str
    study_name: str
    #: Whether the user's code chose that name.
    named: bool
    #: Where the study is kept, if not where the search says.
    override: str | None
    storage: BaseStorage
    #: Trials the study shall have in the end, where that is known.
    n_trials: int | None


@dataclass(frozen=True)
class Standing:
    """How far the study is."""

    done: int = 0
    failed: int = 0
    best: float | None = None
    pruned: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    plan: Plan
    standing: Standing
    #: 0; 1 if the study is not finished or something was raised; 128 and the signal after a signal.
    code: int
    faults: Sequence[Fault] = ()


def run(target: str, n_workers: int, *, storage: str | None = None, default_storage: str | None = None) -> Outcome:
    """Run a search in several processes, and return how it ended.

    Parameters
    ----------
    target : str
        ``FILE_OR_MODULE:FUNCTION``; the function returns ``(search, X, y)``.
    n_workers : int
        How many processes.
    storage : str or None
        Where the study is kept, whatever the search says.
    default_storage : str or None
        The same if the search says nothing.

    Raises
    ------
    InvalidRequestError, StorageError
        Before any process is started.
    UserCodeError
        If the user's function raises something.
    """
    plan = plan_of(target, storage, default_storage)
    with tempfile.TemporaryDirectory(prefix="optuna-search-") as folder, _signals_noted() as asked:
        workers: list[Worker] = []
        view = View(plan, n_workers, standing_of(plan).done)
        try:
            while len(workers) < n_workers and not asked:
                workers.append(Worker.start(plan, len(workers), Path(folder)))
            _watch(plan, workers, view, asked)
        finally:
            _end(workers, asked[0] if asked else signal.SIGTERM)
            _release_what_they_left(plan)
            standing = standing_of(plan)
            view.close(standing)
        return _outcome(plan, standing, workers, asked)


def _outcome(plan: Plan, standing: Standing, workers: Sequence[Worker], asked: Sequence[int]) -> Outcome:
    faults = [fault for worker in workers if (fault := worker.fault)]
    if asked:
        return Outcome(plan, standing, 128 + asked[0])
    # One that came to its end by itself found that nothing was left to do.
    reached = plan.n_trials is not None and standing.done >= plan.n_trials
    finished = reached or any(worker.code == 0 for worker in workers)
    return Outcome(plan, standing, 0 if finished and not faults else 1, faults)


# --- before -----------------------------------------------------------------------------------------------------------


def plan_of(target: str, storage: str | None, default_storage: str | None) -> Plan:
    """Call the user's function here first, so that what is wrong is said once and before anything is started."""
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for the result
        search, X, y = load(target)
    override = default_storage if storage is None and search.storage is None else storage
    if override is not None:
        search.set_params(storage=override)
    space = _request.check(search)
    opened = open_storage(search.storage)
    if isinstance(opened, InMemoryStorage) or str(search.storage) in ("sqlite://", "sqlite:///:memory:"):
        raise InvalidRequestError(
            f"{target}: storage={search.storage!r} is memory, which processes cannot share; give the search a storage, "
            "or the command --storage."
        )
    n_trials = _request.budget_of(search, space, started=0.0).n_trials
    named = bool(search.study_name)
    return Plan(target, study_name_of(search, X, y), named, override, opened, n_trials)


def study_name_of(search: Any, X: Any, y: Any) -> str:
    """Return the name of the study that every worker is to open."""
    name: str = search.study_name or unique_name(short_name(search.estimator))
    if "{data}" in name:
        X, y = indexable(X, y)
        name = name.replace("{data}", data_digest({"X": describe_data(X), "y": describe_data(y), "metadata": {}}))
    return name


# --- the workers ------------------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """A worker process."""

    number: int
    process: subprocess.Popen[bytes]
    output: Path
    report: Path
    #: What of its output has been read: how far, and which lines how often.
    position: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    #: Whether its end has been told.
    told: bool = False

    @classmethod
    def start(cls, plan: Plan, index: int, folder: Path) -> Worker:
        """Start one; its output goes to a file, which is there also when nobody reads it any more."""
        output, report = folder / f"output-{index}", folder / f"report-{index}"
        job = Job(plan.target, plan.study_name, str(report), plan.override)
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "optuna_search", "_worker"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C in a terminal is for us, and we pass it on: once is enough
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(json.dumps(asdict(job)).encode())
        return cls(index + 1, process, output, report)

    @property
    def code(self) -> int | None:
        """Its exit code; None while it lives."""
        return self.process.poll()

    @property
    def fault(self) -> Fault | None:
        """What it raised."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return Fault(**json.loads(self.report.read_text()))
        return None

    def new_lines(self) -> list[str]:
        """Return the whole lines that it has written since the last time."""
        with self.output.open("rb") as file:
            file.seek(self.position)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1] if self.code is None else written
        self.position += len(whole)
        return whole.decode(errors="replace").splitlines()

    def send(self, number: int) -> None:
        """Send a signal, if it still lives."""
        if self.code is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it with all its own workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _end(workers: Sequence[Worker], number: int) -> None:
    """End those that still live: they get a signal and some time, and then no more time."""
    living = [worker for worker in workers if worker.code is None]
    for worker in living:
        worker.send(number)
    until = time.monotonic() + GRACE
    try:
        for worker in living:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, until - time.monotonic()))
    finally:  # also when a second Ctrl-C comes
        for worker in living:
            if worker.code is None:
                worker.kill()
                worker.process.wait()


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Note the first signal that ends a run; a second one has its usual effect."""
    asked: list[int] = []
    # What it was started not to hear, by nohup or in the background of a script, it does not hear.
    usual = {number: handler for number in ENDING if (handler := signal.getsignal(number)) != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        restore()

    for number in usual:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        restore()


# --- watching ---------------------------------------------------------------------------------------------------------


def _watch(plan: Plan, workers: Sequence[Worker], view: View, asked: Sequence[int]) -> None:
    """Show how the study fills until every worker has ended, or a signal comes."""
    told: set[str] = set()
    standing = Standing()
    while not asked:
        living = sum(worker.code is None for worker in workers)
        with contextlib.suppress(Exception):  # a storage that is away comes back: the workers wait for it, too
            standing = standing_of(plan)
        for worker in workers:
            view.relay(worker)
            if worker.code is not None and not worker.told:
                worker.told = True
                view.say(_obituary(worker, told))
        view.show(standing, living)
        if not living:
            return
        time.sleep(POLL)


def _obituary(worker: Worker, told: set[str]) -> str:
    """Return what there is to say of the end of a worker: the same error is told once."""
    fault, code = worker.fault, worker.code
    if fault is not None:
        is_new = fault.type not in told
        told.add(fault.type)
        return f"worker {worker.number}: {fault.traceback}{fault.message}" if is_new else ""
    if code is not None and code < 0:
        return f"worker {worker.number} died (signal {-code})."
    return f"worker {worker.number} ended with exit code {code}." if code else ""


def open_store(plan: Plan) -> Store | None:
    """Return the study; None as long as no worker has made it."""
    try:
        return Store(plan.storage, plan.study_name)
    except KeyError:
        return None


def standing_of(plan: Plan) -> Standing:
    """Return how far the study is."""
    store = open_store(plan)
    found = [] if store is None else store.trials()
    trials = [trial for trial in found if counts(trial) and measured_here(trial)]
    states = Counter(trial.state for trial in trials)
    values = [trial.values[0] for trial in trials if trial.state == TrialState.COMPLETE and trial.values]
    best = max(values, default=None) if store is not None and len(store.study.directions) == 1 else None
    return Standing(len(trials), states[TrialState.FAIL], best, states[TrialState.PRUNED])


def _release_what_they_left(plan: Plan) -> None:
    """Give up the trials of workers that were killed: they have no time for it themselves."""
    with contextlib.suppress(Exception):  # whoever opens the study next does the same
        if store := open_store(plan):
            release_the_dead(store)


class View:
    """What a person sees of a run on standard error: one bar in a terminal, a line now and then elsewhere."""

    def __init__(self, plan: Plan, n_workers: int, done: int = 0) -> None:
        from tqdm import tqdm

        self._plan = plan
        self._living = n_workers
        self._shown: Counter[str] = Counter()
        self._last = ""
        self._next_line = 0.0
        self._bar: Any = None
        if sys.stderr.isatty():
            name = printable(plan.study_name)
            self._bar = tqdm(total=plan.n_trials, initial=done, desc=name, unit=" trial", dynamic_ncols=True)

    def say(self, text: str) -> None:
        """Write some lines, above the bar if there is one."""
        if not text:
            return
        safe = printable_lines(mask(text))  # a storage may be quoted in it
        if self._bar is None:
            print(safe, file=sys.stderr, flush=True)
        else:
            self._bar.write(safe, file=sys.stderr)

    def relay(self, worker: Worker) -> None:
        """Pass on what a worker writes; what several write alike, a warning for instance, once."""
        for line in worker.new_lines():
            worker.lines[line] += 1
            if worker.lines[line] > self._shown[line]:
                self._shown[line] += 1
                self.say(line)

    def show(self, standing: Standing, living: int) -> None:
        """Show how far the study is."""
        self._living = living
        if self._bar is not None:
            self._bar.n = standing.done
            self._bar.set_postfix_str(self._details(standing))
        elif standing.done and time.monotonic() >= self._next_line:
            self._line(standing)

    def close(self, standing: Standing) -> None:
        """Leave it as it stands."""
        self._living = 0
        if self._bar is not None:
            self._bar.n = standing.done
            self._bar.set_postfix_str(self._details(standing))
            self._bar.close()
        else:
            self._line(standing)

    def _line(self, standing: Standing) -> None:
        of = "" if self._plan.n_trials is None else f"/{self._plan.n_trials}"
        line = f"{standing.done}{of} trials, {self._details(standing)}"
        self._next_line = time.monotonic() + LINE_SECONDS
        if line != self._last:
            self._last = line
            self.say(line)

    def _details(self, standing: Standing) -> str:
        parts = [] if standing.best is None else [f"best {standing.best:.4f}"]
        parts += [f"{standing.pruned} pruned"] if standing.pruned else []
        parts += [f"{standing.failed} failed"] if standing.failed else []
        parts += [f"{self._living} worker{'s' * (self._living != 1)}"] if self._living else []
        return ", ".join(parts) or "no score yet"
