"""What does pruning save, and what does it cost?

1. Over folds: on each task and seed 60 random candidates are scored on five folds. Then each pruner searches them in
   their order, fits being looked up: how many of the 300 fits it saves, and how much lower the best score is that it
   finds, in units of what lies between the best of the 60 and the median one. The p value is that of Wilcoxon's
   signed-rank test over all pairs.
2. Over a resource: LightGBM in a Pipeline, searched without a pruner, and with pruning over rungs of its trees or over
   folds, the same sampler and seed. The time (CPU of the process, one job) until the score is reached that the first
   search has in the end, against the time which that took in all; with few rows and trees, and with more.

    python benchmarks/bench_pruning.py [--quick] [--pairs 10] [--out benchmarks/results]
"""

import functools
import time
import warnings
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from common import arguments, report
from lightgbm import LGBMClassifier
from optuna.distributions import FloatDistribution, IntDistribution
from scipy.stats import wilcoxon
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from tasks import NAMES, load

from optuna_search import OptunaSearchCV

PRUNERS = ("racing", "median", "percentile", "wilcoxon", "successive-halving", "hyperband", "patient")
N_CANDIDATES = 60


# --- over folds -------------------------------------------------------------------------------------------------------


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


# --- over a resource --------------------------------------------------------------------------------------------------


#: What a search has that prunes.
WAYS: dict[str, dict[str, Any]] = {
    "racing over trees": {"resource": "clf__n_estimators"},
    "successive halving over trees": {"resource": "clf__n_estimators", "pruner": "successive-halving"},
    "racing over folds": {"pruner": "racing"},
}
#: A search that prunes may try more candidates in its time, as any of its users would have it do; this many times more.
FURTHER = 4


@dataclass(frozen=True)
class Size:
    """How much there is to fit."""

    n_rows: int
    n_trees: int
    n_trials: int


SMALL, LARGE = Size(1000, 200, 30), Size(3000, 500, 30)
#: The searches over a resource take minutes each; no more seeds than these have one.
MAX_SEEDS = 5


def boosting(n_trees: int) -> tuple[Pipeline, dict[str, Any]]:
    """Return a Pipeline of LightGBM, and its space."""
    clf = LGBMClassifier(n_estimators=n_trees, subsample_freq=1, random_state=0, n_jobs=1, verbose=-1)
    space = {
        "clf__learning_rate": FloatDistribution(0.02, 0.3, log=True),
        "clf__num_leaves": IntDistribution(4, 128, log=True),
        "clf__min_child_samples": IntDistribution(5, 100, log=True),
        "clf__reg_lambda": FloatDistribution(1e-3, 100, log=True),
        "clf__colsample_bytree": FloatDistribution(0.3, 1.0),
    }
    return Pipeline([("scale", StandardScaler()), ("clf", clf)]), space


def searched(size: Size, seed: int, target: float, **how: Any) -> tuple[float, float]:
    """Return the CPU seconds of a search that ends at a score, or after its trials, and its best score."""
    X, y = make_classification(size.n_rows, 20, n_informative=10, flip_y=0.1, class_sep=0.7, random_state=seed)
    model, space = boosting(size.n_trees)

    def stop(study: Any, trial: Any) -> None:
        if trial.state.name == "COMPLETE" and trial.value >= target:
            study.stop()

    search = OptunaSearchCV(
        model, space, sampler="tpe", cv=5, scoring="roc_auc", refit=False, callbacks=stop, random_state=seed, **how
    )
    started = time.process_time()
    best = float(search.fit(X, y).best_score_)
    return time.process_time() - started, best


def over_a_resource(seeds: range, size: Size) -> dict[str, Any]:
    """Return the time to the score of the search that prunes nothing, against the time which that took."""
    ratios: dict[str, list[float]] = {way: [] for way in WAYS}
    whole_times = []
    for seed in seeds:
        whole, target = searched(size, seed, np.inf, n_trials=size.n_trials)
        whole_times.append(whole)
        for way, how in WAYS.items():
            seconds, best = searched(size, seed, target, n_trials=FURTHER * size.n_trials, **how)
            ratios[way].append(seconds / whole if best >= target else np.inf)
        print(seed, round(whole, 1), {way: round(found[-1], 2) for way, found in ratios.items()}, flush=True)
    return {
        "size": asdict(size),
        "time to the score, pruned / whole search": {
            way: {"median": rounded([float(np.median(found))])[0], "all": rounded(found)}
            for way, found in ratios.items()
        },
        "CPU seconds of the whole search": rounded(whole_times),
    }


def rounded(values: list[float]) -> list[float | None]:
    return [round(float(value), 3) if np.isfinite(value) else None for value in values]


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__, pairs=10)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    names, n_candidates = (NAMES[:2], 20) if options.quick else (NAMES, N_CANDIDATES)
    folds = functools.partial(over_folds, names, range(options.pairs), n_candidates)
    sizes = [Size(300, 20, 5)] if options.quick else [SMALL, LARGE]
    over_trees = [over_a_resource(range(min(options.pairs, MAX_SEEDS)), size) for size in sizes]
    figures = {"over folds": folds(), "over n_estimators": over_trees}
    report("pruning", options, figures)


if __name__ == "__main__":
    main()
