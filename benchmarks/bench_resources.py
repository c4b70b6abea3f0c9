"""What does it save to have a booster grow in rungs?

LightGBM in a Pipeline, searched without a pruner, with pruning over rungs of its trees, and over folds; the same
sampler and seed. The time (CPU of the process, one job) until the score is reached that the first search has in the
end, against the time which that took in all; with few rows and trees, and with more.

    python benchmarks/bench_resources.py [--quick] [--pairs 5] [--out benchmarks/results]
"""

import time
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from common import arguments, report
from lightgbm import LGBMClassifier
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.datasets import make_classification
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from optuna_search import OptunaSearchCV

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
    options = arguments(__doc__, pairs=5)
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    sizes = {"tiny": Size(300, 20, 5)} if options.quick else {"small": SMALL, "large": LARGE}
    report("resources", options, {name: over_a_resource(range(options.pairs), size) for name, size in sizes.items()})


if __name__ == "__main__":
    main()
