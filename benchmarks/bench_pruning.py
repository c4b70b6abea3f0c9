"""What does pruning over folds save, and what does it cost?

On each task and seed 60 random candidates are scored on five folds. Then each pruner searches them in their order, fits
being looked up: how many of the 300 fits it saves, and how much lower the best score is that it finds, in units of what
lies between the best of the 60 and the median one. The p value is that of Wilcoxon's signed-rank test over all pairs.

    python benchmarks/bench_pruning.py [--quick] [--pairs 10] [--out benchmarks/results]
"""

from typing import Any, ClassVar

import numpy as np
from common import arguments, report
from scipy.stats import wilcoxon
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import KFold
from tasks import NAMES, load

from optuna_search import OptunaSearchCV

PRUNERS = ("racing", "median", "percentile", "wilcoxon", "successive-halving", "hyperband", "patient")
N_CANDIDATES = 60


class Lookup(ClassifierMixin, BaseEstimator):
    """Has the scores of a candidate that was scored before; the folds are known by the rows they test on."""

    scores: ClassVar[np.ndarray]

    def __init__(self, candidate=0):
        self.candidate = candidate

    def fit(self, X, y):
        """Learn nothing."""
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        """Predict one class."""
        return np.full(len(X), self.classes_[0])

    def score(self, X, y):
        """Return the score of this candidate on this fold."""
        return float(self.scores[self.candidate, int(X[0, 0])])


def scored(task: Any, seed: int, n_candidates: int) -> np.ndarray:
    """Return the scores of random candidates, as an array (candidate, fold)."""
    results = OptunaSearchCV(
        task.estimator, task.space, n_trials=n_candidates, sampler="random", cv=task.cv, scoring=task.scoring,
        refit=False, random_state=seed,
    ).fit(task.X, task.y).cv_results_  # fmt: skip
    return np.transpose([results[f"split{split}_test_score"] for split in range(len(task.cv))])


def pruned(scores: np.ndarray, pruner: str) -> tuple[float, float]:
    """Return the share of the fits that a pruner saves, and the best score that is found with it."""
    Lookup.scores = scores
    n_candidates, n_splits = scores.shape
    X, y = np.repeat(np.arange(float(n_splits)), 2)[:, None], np.arange(2 * n_splits) % 2
    search = OptunaSearchCV(
        Lookup(), {"candidate": list(range(n_candidates))}, pruner=pruner, cv=KFold(n_splits), refit=False
    ).fit(X, y)
    n_run = sum(np.isfinite(search.cv_results_[f"split{split}_test_score"]).sum() for split in range(n_splits))
    return 1 - n_run / scores.size, float(search.best_score_)


def over_folds(names: tuple[str, ...], seeds: range, n_candidates: int) -> dict[str, Any]:
    """Return for each pruner what it saved and what it lost."""
    pairs: dict[str, list[tuple[str, float, float]]] = {pruner: [] for pruner in PRUNERS}
    for name in names:
        task = load(name)
        for seed in seeds:
            scores = scored(task, seed, n_candidates)
            means = scores.mean(axis=1)
            for pruner in PRUNERS:
                saved, best = pruned(scores, pruner)
                loss = (means.max() - best) / max(means.max() - np.median(means), 1e-12)
                pairs[pruner].append((name, saved, loss))
    return {pruner: summary(found, names) for pruner, found in pairs.items()}


def summary(pairs: list[tuple[str, float, float]], names: tuple[str, ...]) -> dict[str, float]:
    """Return the figures of one pruner."""
    saved, losses = np.array([pair[1] for pair in pairs]), np.array([pair[2] for pair in pairs])
    by_task = [np.mean([saved for name, saved, _ in pairs if name == task]) for task in names]
    return {
        "fits saved, mean": round(float(saved.mean()), 3),
        "fits saved, least of the tasks": round(float(min(by_task)), 3),
        "searches with another best": round(float(np.mean(losses > 1e-12)), 3),
        "loss, mean": round(float(losses.mean()), 4),
        "loss, largest": round(float(losses.max()), 3),
        "p": float(f"{wilcoxon(losses).pvalue:.2g}") if np.any(np.abs(losses) > 1e-12) else 1.0,
    }


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__, pairs=10)
    names, n_candidates = (NAMES[:2], 20) if options.quick else (NAMES, N_CANDIDATES)
    report("pruning", options, over_folds(names, range(options.pairs), n_candidates))


if __name__ == "__main__":
    main()
