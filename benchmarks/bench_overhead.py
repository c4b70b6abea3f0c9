"""What does a search cost beyond its fits?

1. A grid of trivial candidates, five folds, n_jobs=1, in memory: seconds against GridSearchCV's.
2. Importing optuna_search, beyond importing scikit-learn's searches and Optuna.

    python benchmarks/bench_overhead.py [--quick] [--pairs 9] [--out benchmarks/results]
"""

import subprocess
import sys
import time

import numpy as np
from common import arguments, paired, ratio, report
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV

from optuna_search import OptunaSearchCV


def grid_search(kind: type, n_candidates: int) -> float:
    """Return the seconds of an exhaustive search over candidates that cost nothing to fit."""
    X, y = np.zeros((100, 5)), np.arange(100) % 2
    search = kind(DummyClassifier(), {"random_state": list(range(n_candidates))}, cv=5)
    started = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - started


IMPORTING = """
import time, sklearn.model_selection, optuna
started = time.process_time()
from optuna_search import OptunaSearchCV
print(time.process_time() - started)
"""


def importing() -> float:
    """Return the seconds of CPU that a fresh interpreter spends on our import after the two others."""
    return float(subprocess.run([sys.executable, "-c", IMPORTING], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__)
    n = 20 if options.quick else 200
    ours, theirs = paired(options.pairs, lambda: grid_search(OptunaSearchCV, n), lambda: grid_search(GridSearchCV, n))
    imports = sorted(importing() for _ in range(options.pairs))
    report(
        "overhead",
        options,
        {
            "grid, ours / GridSearchCV": ratio(ours, theirs),
            "grid, ms per candidate": {
                "ours": round(1e3 * sorted(ours)[len(ours) // 2] / n, 2),
                "GridSearchCV": round(1e3 * sorted(theirs)[len(theirs) // 2] / n, 2),
            },
            "import beyond scikit-learn and Optuna, ms of CPU": round(1e3 * imports[len(imports) // 2], 1),
        },
    )


if __name__ == "__main__":
    main()
