"""When does it pay to cache the first steps of a Pipeline?

A random search of 40 candidates over the last step's parameter and a setting of the first step, with and without
``Pipeline(memory=...)``, in turn. The first step is costly (a selection of features by mutual information) or cheap (a
scaler), and has one, four, or ever new settings. The figure is the time without the cache over the time with it.

    python benchmarks/bench_memory.py [--quick] [--pairs 9] [--out benchmarks/results]
"""

import tempfile
import time
from functools import partial
from typing import Any

from common import arguments, paired, ratio, report
from joblib import Memory
from optuna.distributions import FloatDistribution
from sklearn.datasets import load_breast_cancer
from sklearn.feature_selection import SelectPercentile, mutual_info_classif
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV

C = {"clf__C": FloatDistribution(1e-2, 1e2, log=True)}
SELECTION = SelectPercentile(partial(mutual_info_classif, random_state=0))
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "costly, one setting": (SELECTION, {}),
    "costly, four settings": (SELECTION, {"first__percentile": [20, 40, 60, 80]}),
    "costly, ever new settings": (SELECTION, {"first__percentile": FloatDistribution(10, 90)}),
    "cheap, one setting": (StandardScaler(), {}),
    "cheap, two settings": (StandardScaler(), {"first__with_mean": [True, False]}),
}


def seconds(first: Any, space: dict[str, Any], n_trials: int, *, cached: bool) -> float:
    """Return how long a search takes; its cache begins empty."""
    X, y = load_breast_cancer(return_X_y=True)
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(folder, verbose=0) if cached else None
        model = Pipeline([("first", first), ("clf", SVC())], memory=memory)
        search = OptunaSearchCV(
            model, {**C, **space}, n_trials=n_trials, sampler="random", cv=5, refit=False, random_state=0
        )
        started = time.perf_counter()
        search.fit(X, y)
        return time.perf_counter() - started


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__)
    n_trials = 4 if options.quick else 40
    figures = {}
    for name, (first, space) in CASES.items():
        one = partial(seconds, first, space, n_trials)
        without, with_cache = paired(options.pairs, partial(one, cached=False), partial(one, cached=True))
        figures[f"{name}: time without / with a cache"] = ratio(without, with_cache)
    report("memory", options, figures)


if __name__ == "__main__":
    main()
