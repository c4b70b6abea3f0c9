"""What does it cost to choose candidates, and does a worker wait for it?

1. CPU of the whole process for each trial at the end of a study of 5,000 trials against that at its 200th, results
   included; three parameters, folds that cost nothing, one job, the default sampler.
2. Two worker processes and folds of 20 ms, in a study of 1,000 trials: the share of the workers' time in which they fit
   nothing, over the last 100 trials. All folds at once, and racing, where most candidates take a fold or two.

    python benchmarks/bench_thinking.py [--quick] [--pairs 3] [--out benchmarks/results]
"""

import statistics
import time
from typing import Any

import numpy as np
from common import arguments, report
from optuna.distributions import FloatDistribution
from sklearn.base import BaseEstimator, ClassifierMixin

from optuna_search import OptunaSearchCV

X, Y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 2
SPACE = {name: FloatDistribution(0, 1) for name in "abc"}
#: Trials whose time is one figure.
WINDOW = 60


class Valley(ClassifierMixin, BaseEstimator):
    """An estimator with a best point, that takes as long as it is told without using a processor."""

    def __init__(self, a=0.5, b=0.5, c=0.5, seconds=0.0):
        self.a, self.b, self.c, self.seconds = a, b, c, seconds

    def fit(self, X, y):
        """Sleep."""
        self.classes_ = np.unique(y)
        if self.seconds:
            time.sleep(self.seconds)
        return self

    def predict(self, X):
        """Predict one class."""
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        """Return how near the best point is, and a little of the data."""
        return -((self.a - 0.3) ** 2) - (self.b - 0.4) ** 2 - (self.c - 0.6) ** 2 + 0.01 * float(X[:, 0].mean())


def growth(n_trials: int, **how: Any) -> dict[str, float]:
    """Return the milliseconds of CPU for a trial at the 200th and at the end, and their ratio with the results."""
    marks: list[float] = []
    search = OptunaSearchCV(
        Valley(), SPACE, n_trials=n_trials, random_state=0, refit=False,
        callbacks=lambda study, trial: marks.append(time.process_time()), **how,
    )  # fmt: skip
    search.fit(X, Y)
    results = time.process_time() - marks[-1]
    each = np.diff(marks)
    early, late = (statistics.median(each[end - WINDOW : end].tolist()) for end in (200, len(each)))
    late += results / n_trials
    return {"ms at the 200th": 1e3 * early, "ms at the end": 1e3 * late, "ratio": late / early}


def idle_share(n_trials: int, **how: Any) -> float:
    """Return the share of the time of two workers in which they fitted nothing, in the last tenth of a study."""
    ends: list[float] = []
    busy: list[float] = []

    def note(study: Any, trial: Any) -> None:
        ends.append(time.perf_counter())
        record = trial.user_attrs["optuna_search"]
        busy.append(sum(seconds or 0 for seconds in (*record["fit_time"], *record["score_time"])))

    OptunaSearchCV(
        Valley(seconds=0.02), SPACE, n_trials=n_trials, random_state=0, refit=False, n_jobs=2, callbacks=note, **how
    ).fit(X, Y)
    first = n_trials * 9 // 10
    return 1 - sum(busy[first + 1 :]) / (2 * (ends[-1] - ends[first]))


def rounded(found: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(found), 3), "min": round(min(found), 3), "max": round(max(found), 3)}


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__, pairs=3)
    n_long, n_short = (300, 60) if options.quick else (5000, 1000)
    figures: dict[str, Any] = {}
    for name, how in {"all folds": {}, "racing": {"pruner": "racing"}}.items():
        grown = [growth(n_long, **how) for _ in range(options.pairs)]
        for key in grown[0]:
            figures[f"{name}, CPU a trial, {key}"] = rounded([one[key] for one in grown])
        figures[f"{name}, idle share of two workers"] = rounded(
            [idle_share(n_short, **how) for _ in range(options.pairs)]
        )
    report("thinking", options, figures)


if __name__ == "__main__":
    main()
