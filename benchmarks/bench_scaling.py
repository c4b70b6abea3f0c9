"""How well are two workers used when some trials take ten times as long as others?

60 trials of five folds; a fold takes 10 ms, in every fifth trial 100 ms. Two processes. The figure is the wall
time against the ideal, the sum of all fit and score times over two. Started workers are warm.

    python benchmarks/bench_scaling.py [--quick] [--pairs 9] [--out benchmarks/results]
"""

import time

import numpy as np
from common import arguments, ratio, report
from optuna.distributions import IntDistribution
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV

from optuna_search import OptunaSearchCV


class Sleeper(ClassifierMixin, BaseEstimator):
    """An estimator that takes as long as it is told, without using a processor."""

    def __init__(self, candidate=0, seconds=0.01):
        self.candidate = candidate
        self.seconds = seconds

    def fit(self, X, y):
        """Sleep."""
        self.classes_ = np.unique(y)
        time.sleep(self.seconds * (10 if self.candidate % 5 == 0 else 1))
        return self

    def predict(self, X):
        """Predict one class."""
        return np.full(len(X), self.classes_[0])


def wall_and_ideal(search) -> tuple[float, float]:
    """Return the wall time of a search, and the sum of its fit and score times over two."""
    X, y = np.zeros((100, 5)), np.arange(100) % 2
    started = time.perf_counter()
    search.fit(X, y)
    wall = time.perf_counter() - started
    results = search.cv_results_
    return wall, float(np.sum(results["mean_fit_time"] + results["mean_score_time"])) * 5 / 2


def searches(n_trials: int) -> dict[str, object]:
    """Return the contenders."""
    grid = {"candidate": list(range(n_trials))}
    space = {"candidate": IntDistribution(0, n_trials - 1)}
    common = {"cv": 5, "n_jobs": 2, "refit": False}
    return {
        "ours, grid": OptunaSearchCV(Sleeper(), grid, **common),
        "ours, TPE": OptunaSearchCV(Sleeper(), space, n_trials=n_trials, sampler="tpe", random_state=0, **common),
        "GridSearchCV": GridSearchCV(Sleeper(), grid, **common),
    }


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__)
    contenders = searches(10 if options.quick else 60)
    for search in contenders.values():
        search.fit(np.zeros((100, 5)), np.arange(100) % 2)  # the first one starts the workers
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(options.pairs):
        for name, search in contenders.items():
            measured[name].append(wall_and_ideal(search))
    figures = {
        f"wall / ideal, {name}": ratio([w for w, _ in pairs], [i for _, i in pairs]) for name, pairs in measured.items()
    }
    report("scaling", options, figures)


if __name__ == "__main__":
    main()
