"""Is anything lost, and does anything grow, when searches are killed for minutes?

2,000 short trials of one study in four processes. Two of them are killed (SIGKILL) at random moments and started
again until the study is done; the other two live from the beginning to the end, and are watched. In an SQLite file,
and in a PostgreSQL database of its own if there is a server: a URL, or the variable that the tests use as well.

    python benchmarks/faults/soak.py [--trials 2000] [--minutes 15] [--out benchmarks/results]
                                     [--only sqlite|postgresql] [--postgres URL] [--seed 0]

It fails unless the study has exactly so many finished trials, none that runs and every one that a process had called
finished, with its value; unless the memory of the two has grown by less than 20 % between the end of the first fifth
of the trials and the end; and if they have more files open at the end than they had then. Claims are renewed every
half second, not every half minute, so that the thread that does it is at work all the time, too. What the tests need
(`pip install 'optuna-search[dev]'`) is needed here too.
"""

import argparse
import contextlib
import gc
import math
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("benchmarks", "tests", "tests/faults")]

from common import report  # noqa: E402
from estimators import KnownScore  # noqa: E402
from killing import AtRandomMoments, Killing, complaints  # noqa: E402
from processes import Process  # noqa: E402

from optuna_search import OptunaSearchCV, _lease, studies  # noqa: E402

POSTGRES = "OPTUNA_SEARCH_TEST_POSTGRES"
N_PROCESSES, N_SPARED = 4, 2
#: The part of the trials after which a process has loaded and cached what it needs.
WARM = 0.2
#: How much more memory a process may need at the end than when it was warm.
GROWTH = 0.2
#: How often a search renews its claims.
RENEWAL_SECONDS = 0.5
#: Seconds between two looks at a process.
INTERVAL = 0.25
SPACE = {"x": FloatDistribution(0, 6), "choice": [None, "a", "b"]}


def made(storage: str, n_trials: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the search with its data, as each process makes it."""
    _lease.RENEWAL_SECONDS = RENEWAL_SECONDS
    X, y = np.arange(24.0).reshape(12, 2), np.arange(12) % 2
    search = OptunaSearchCV(
        KnownScore(), SPACE, n_trials=n_trials, storage=storage, study_name="soak", cv=2, refit=False
    )
    return search, X, y


# --- what the processes need ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """What a process needs at one time."""

    #: The part of the trials that is done.
    done: float
    megabytes: float
    files: int


@dataclass
class Watch:
    """Looks at processes while they run, where the system shows what they need."""

    notes: Path
    n_trials: int
    looks: dict[int, list[Look]] = field(default_factory=dict)
    _next: float = 0.0

    def __call__(self, processes: list[Process]) -> None:
        if time.monotonic() < self._next or not self.notes.exists():
            return
        done = self.notes.read_bytes().count(b"\n") / self.n_trials
        for process in processes:
            with contextlib.suppress(OSError):  # it has just ended, or there is no /proc
                self.looks.setdefault(process.pid, []).append(look_at(process.pid, done))
        self._next = time.monotonic() + INTERVAL

    def survivors(self) -> list[dict[str, float]]:
        """Return what those needed that were there early and late."""
        return [figures_of(looks) for looks in self.looks.values() if looks[0].done < WARM and looks[-1].done > 0.9]


def look_at(pid: int, done: float) -> Look:
    """Look at a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Look(done, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir(f"/proc/{pid}/fd")))


def figures_of(looks: list[Look]) -> dict[str, float]:
    """Compare what a process needed when it was warm with what it needed in the end.

    By medians: a file that is open for a moment, to note a trial or to look at a process, is none that stays.
    """
    warm = [look for look in looks if WARM <= look.done <= WARM + 0.1] or looks[:1]
    late = [look for look in looks if look.done >= 0.9]
    before, after = (statistics.median(look.megabytes for look in some) for some in (warm, late))
    return {
        "MB when warm": round(before, 1),
        "MB in the end": round(after, 1),
        "growth": round(after / before - 1, 3),
        "files when warm": statistics.median_low(look.files for look in warm),
        "files in the end": statistics.median_low(look.files for look in late),
    }


# --- one soak ---------------------------------------------------------------------------------------------------------


def soak(storage: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run it on one storage, and return its figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watch = Watch(folder / "acknowledged", options.trials)
        killing = Killing(
            made,
            (storage, options.trials),
            folder,
            n_trials=options.trials,
            n_processes=N_PROCESSES,
            n_spared=N_SPARED,
            kills=AtRandomMoments((0.5, 6.0)),
            n_kills=math.inf,
            seed=options.seed,
            patience=options.minutes * 60,
            watch=watch,
        )
        started = time.monotonic()
        killing.run()
        seconds = time.monotonic() - started
        trials = studies.load_study("soak", storage).get_trials(deepcopy=False)
        found = complaints(trials, killing.acknowledged, options.trials)
        return {
            "seconds": round(seconds, 1),
            "kills": killing.n_killed,
            "trials in the study": len(trials),
            "running": sum(not trial.state.is_finished() for trial in trials),
            "acknowledged": len(killing.acknowledged),
            "complaints": found,
            "processes that lived from beginning to end": watch.survivors(),
        }


def faults_of(figures: dict[str, Any]) -> list[str]:
    """Return what is not as it should be."""
    survivors = figures["processes that lived from beginning to end"]
    found = list(figures["complaints"])
    if not figures["kills"]:
        found.append("nobody was killed: it was over too soon")
    if len(survivors) < N_SPARED and Path("/proc/self/statm").exists():
        found.append(f"only {len(survivors)} processes were seen from beginning to end")
    for one in survivors:
        if one["growth"] >= GROWTH:
            found.append(f"memory has grown by {one['growth']:.0%}")
        if one["files in the end"] > one["files when warm"]:
            found.append(f"{one['files in the end']} files are open, and were {one['files when warm']}")
    return found


@contextlib.contextmanager
def database(server_url: str) -> Iterator[str]:
    """Yield the URL of a new database of a PostgreSQL server, and drop it in the end."""
    name = f"optuna_search_soak_{uuid.uuid4().hex}"
    server = sqlalchemy.create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with server.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        gc.collect()  # connections of our own
        with server.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def soaks(options: argparse.Namespace) -> dict[str, Any]:
    """Run it on every storage that was asked for, and return the figures of each."""
    figures = {}
    if options.only in (None, "sqlite"):
        # Not the system's temporary folder, which may be in memory and then forgives everything.
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
            figures["sqlite"] = soak(f"{name}/soak.db", options)
    if options.only == "postgresql" or (options.only is None and options.postgres):
        with database(options.postgres) as url:
            RDBStorage(url)  # its tables are made here once
            figures["postgresql"] = soak(url, options)
    return figures


def arguments() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000, help="finished trials of the study (default: 2000)")
    parser.add_argument("--minutes", type=float, default=15, help="how long one storage may take (default: 15)")
    parser.add_argument("--only", choices=["sqlite", "postgresql"], help="on this storage only")
    parser.add_argument("--postgres", metavar="URL", default=os.environ.get(POSTGRES), help=f"default: ${POSTGRES}")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which processes are killed")
    parser.add_argument("--out", type=Path, default=None, help="a folder for the result, as dated JSON")
    options = parser.parse_args()
    if options.only == "postgresql" and not options.postgres:
        parser.error(f"--only postgresql needs --postgres URL or {POSTGRES}")
    options.pairs, options.quick = 1, options.trials < 2000
    return options


def main() -> None:
    """Soak, report, and complain."""
    options = arguments()
    figures = soaks(options)
    report("soak", options, {"trials": options.trials, **figures})
    found = [f"{name}: {fault}" for name, one in figures.items() for fault in faults_of(one)]
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
