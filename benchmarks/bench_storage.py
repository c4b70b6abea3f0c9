"""What does it cost to keep a trial in an SQLite file?

1. Time per trial beyond its fits: three parameters, TPE, five folds, in one folder, against
   `optuna_integration.OptunaSearchCV` (pip install optuna-integration). It is the time that forty further
   trials take, so that opening a file and making its tables does not count for either.
2. Write transactions per finished trial, for other numbers of parameters, folds and metrics.

    python benchmarks/bench_storage.py [--quick] [--pairs 9] [--out benchmarks/results]

What a write transaction costs depends on how long the disk takes to sync, which is measured as well. On a
machine whose disk is virtual and syncs in no time, a disk that takes 4 ms is had by

    strace -f --seccomp-bpf -o /dev/null -e trace=fsync,fdatasync \
        -e inject=fsync,fdatasync:delay_exit=4000 python benchmarks/bench_storage.py
"""

import contextlib
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from common import arguments, paired, ratio, report
from optuna.distributions import FloatDistribution
from sklearn.base import BaseEstimator, RegressorMixin

from optuna_search import OptunaSearchCV

METRICS = ["r2", "neg_mean_squared_error", "neg_mean_absolute_error"]


class Instant(RegressorMixin, BaseEstimator):
    """An estimator that costs nothing to fit, with as many parameters as a benchmark needs."""

    def __init__(self, a=1.0, b=1.0, c=1.0, d=1.0, e=1.0, f=1.0, g=1.0, h=1.0, i=1.0, j=1.0):
        for name, value in list(locals().items()):
            if name != "self":
                setattr(self, name, value)

    def fit(self, X, y):
        """Fit nothing."""
        self.is_fitted_ = True
        return self

    def predict(self, X):
        """Predict a plane that depends on a parameter."""
        return X[:, 0] * self.a


def space(n_parameters: int) -> dict[str, Any]:
    """Return a space of so many ranges."""
    return {name: FloatDistribution(1e-3, 1e3, log=True) for name in "abcdefghij"[:n_parameters]}


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return a hundred rows."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(100, 5)), rng.normal(size=100)


def per_trial(make: Callable[[Path, int], Any], folder: Path, n_trials: int) -> float:
    """Return the seconds that each of so many further trials costs."""
    few, many = (overhead(make(folder, n)) for n in (10, 10 + n_trials))
    return (many - few) / n_trials


def overhead(search: Any, n_splits: int = 5) -> float:
    """Return the seconds of a search without those of its fits and scores."""
    started = time.perf_counter()
    search.fit(*data())
    seconds = time.perf_counter() - started
    results = mean_times(search)
    return seconds - n_splits * float(np.sum(results["fit_time"]) + np.sum(results["score_time"]))


def mean_times(search: Any) -> dict[str, np.ndarray]:
    """Return the mean fit and score times of a search's trials, from either library."""
    if hasattr(search, "cv_results_"):
        return {name: search.cv_results_[f"mean_{name}"] for name in ("fit_time", "score_time")}
    attrs = [trial.user_attrs for trial in search.study_.trials]
    return {name: np.array([a[f"mean_{name}"] for a in attrs]) for name in ("fit_time", "score_time")}


def ours(folder: Path, n_trials: int) -> Any:
    """Return a search of `optuna_search`."""
    path = tempfile.mktemp(dir=folder, suffix=".db")
    return OptunaSearchCV(Instant(), space(3), n_trials=n_trials, storage=path, random_state=0, refit=False, cv=5)


def theirs(folder: Path, n_trials: int) -> Any:
    """Return one of `optuna_integration`, as its documentation has it: a study on an SQLite file."""
    from optuna_integration import OptunaSearchCV as Theirs

    path = tempfile.mktemp(dir=folder, suffix=".db")
    study = optuna.create_study(
        direction="maximize", storage=f"sqlite:///{path}", sampler=optuna.samplers.TPESampler(seed=0)
    )
    return Theirs(Instant(), space(3), n_trials=n_trials, study=study, refit=False, cv=5, random_state=0)


def fsync_time(folder: Path) -> float:
    """Return the median seconds that a sync of a small write takes."""
    seconds = []
    with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """Count the transactions that wrote something, on any database that SQLAlchemy speaks with."""
    count, wrote = [0], [False]

    def on_statement(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        wrote[0] = wrote[0] or statement.split()[0] in ("INSERT", "UPDATE", "DELETE")

    def on_commit(_: Any) -> None:
        count[0] += wrote[0]
        wrote[0] = False

    engine = sqlalchemy.engine.Engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", on_statement)
    sqlalchemy.event.listen(engine, "commit", on_commit)
    yield count
    sqlalchemy.event.remove(engine, "before_cursor_execute", on_statement)
    sqlalchemy.event.remove(engine, "commit", on_commit)


def transactions(folder: Path, n_parameters: int, n_folds: int, scoring: Any) -> float:
    """Return how many more write transactions 20 more trials cost, each."""
    counts = []
    for n_trials in (5, 25):
        path = tempfile.mktemp(dir=folder, suffix=".db")
        search = OptunaSearchCV(
            Instant(), space(n_parameters), n_trials=n_trials, storage=path, scoring=scoring, refit=False, cv=n_folds
        )
        with counted() as count:
            search.fit(*data())
        counts.append(count[0])
    return (counts[1] - counts[0]) / 20


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    warnings.simplefilter("ignore", FutureWarning)  # the rival uses what Optuna has deprecated
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the rival logs a line for each trial
    n_trials = 5 if options.quick else 40
    # Not the system's temporary folder, which may be in memory and then forgives everything.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        synced = fsync_time(folder)
        a, b = paired(
            options.pairs, lambda: per_trial(ours, folder, n_trials), lambda: per_trial(theirs, folder, n_trials)
        )
        written = {
            f"{p} parameters, {f} folds, {len(s) if s else 1} metrics": transactions(folder, p, f, s)
            for p, f, s in [(1, 2, None), (3, 5, None), (10, 10, METRICS)]
        }
    report(
        "storage",
        options,
        {
            "time per trial beyond fits, optuna_integration / ours": ratio(b, a),
            "ms per trial beyond fits": {
                "ours": round(1e3 * statistics.median(a), 2),
                "optuna_integration": round(1e3 * statistics.median(b), 2),
            },
            "ms for this disk to sync": round(1e3 * synced, 2),
            "write transactions per finished trial": written,
        },
    )


if __name__ == "__main__":
    main()
