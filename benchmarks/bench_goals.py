"""Which of Optuna's samplers is the best default for several goals?

On each task and seed each sampler searches for a good score and a short fit, ``objectives=["score", "fit_time"]``. The
figure is the share of the volume that its Pareto front leaves free after a quarter of the trials, half of them, and
all: 0 is the front of everything that any search here has found on the task, 1 is the median random candidate in both
goals (scores as they are, times as logarithms). The p value compares with the default at the end, over all tasks and
seeds (Wilcoxon, paired).

    python benchmarks/bench_goals.py [--quick] [--pairs 3] [--out benchmarks/results]

The pairs are seeds. The Gaussian process needs the extra ``gp``, and is left out without it.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from common import arguments, report
from optuna._hypervolume import compute_hypervolume
from optuna.samplers import NSGAIISampler, TPESampler
from scipy.stats import wilcoxon
from tasks import load

from optuna_search import OptunaSearchCV
from optuna_search._samplers import missing_package

N_TRIALS = 120
N_FOLDS = 2
NAMES = ("tree", "nystroem", "mlp", "svr", "forest", "hist-boosting", "boosting")
SAMPLERS: dict[str, Callable[[int], Any]] = {
    "the default": lambda seed: None,
    "TPE, one parameter at a time": lambda seed: TPESampler(seed=seed),
    "NSGA-II": lambda seed: "nsgaii",
    "NSGA-II, a population of 20": lambda seed: NSGAIISampler(seed=seed, population_size=20),
    "NSGA-III": lambda seed: "nsgaiii",
    "Gaussian process": lambda seed: "gp",
    "quasi-random": lambda seed: "qmc",
    "random": lambda seed: "random",
}
#: A point by trial: minus the score, and the logarithm of the seconds.
Losses = np.ndarray


def searched(task: Any, sampler: Any, seed: int, n_trials: int) -> tuple[Losses, float]:
    """Return what each trial came to, and the CPU seconds of the search."""
    started = time.process_time()
    search = OptunaSearchCV(
        task.estimator, task.space, n_trials=n_trials, objectives=["score", "fit_time"], sampler=sampler,
        scoring=task.scoring, cv=task.cv[:N_FOLDS], refit=False, random_state=seed,
    ).fit(task.X, task.y)  # fmt: skip
    results, seconds = search.cv_results_, time.process_time() - started
    losses = np.column_stack([-results["mean_test_score"], np.log10(results["mean_fit_time"])])
    return np.where(np.isfinite(losses), losses, np.inf), seconds


def marks(n_trials: int) -> tuple[int, int, int]:
    return n_trials // 4, n_trials // 2, n_trials


def free(losses: Losses, best: np.ndarray, middle: np.ndarray, whole: float) -> float:
    """Return the share of the volume up to the front of all that the front of these trials leaves free."""
    scaled = np.clip((losses - best) / (middle - best), 0.0, 1.0)
    return 1.0 - compute_hypervolume(scaled, np.ones(2)) / whole


def measured(names: tuple[str, ...], samplers: list[str], seeds: range, n_trials: int) -> dict[str, Any]:
    """Return for each sampler the share that is left free as an array (task, seed, mark), and its CPU seconds."""
    shares = {sampler: np.empty((len(names), len(seeds), 3)) for sampler in samplers}
    seconds: dict[str, list[float]] = {sampler: [] for sampler in samplers}
    for place, name in enumerate(names):
        task, found = load(name), {}
        for seed in seeds:
            for sampler in samplers:
                found[sampler, seed], took = searched(task, SAMPLERS[sampler](seed), seed, n_trials)
                seconds[sampler].append(took)
        every = np.concatenate(list(found.values()))
        middle = np.median(np.concatenate([found["random", seed] for seed in seeds]), axis=0)
        best = np.minimum(every[np.isfinite(every).all(axis=1)].min(axis=0), middle - 1e-12)
        whole = 1.0 - free(every, best, middle, 1.0)
        for (sampler, seed), losses in found.items():
            shares[sampler][place, seed] = [free(losses[:n], best, middle, whole) for n in marks(n_trials)]
        print(name, {s: one[place, :, -1].mean().round(3).tolist() for s, one in shares.items()}, flush=True)
    return {"shares": shares, "seconds": seconds}


def summary(shares: np.ndarray, default: np.ndarray, seconds: list[float], n_trials: int) -> dict[str, Any]:
    """Return the figures of one sampler."""
    by_task, differences = shares.mean(axis=1), (shares - default)[:, :, -1].ravel()
    at = [str(n) for n in marks(n_trials)]
    return {
        "left free, median over tasks": dict(zip(at, np.median(by_task, axis=0).round(3).tolist(), strict=True)),
        "left free, mean over tasks": dict(zip(at, by_task.mean(axis=0).round(3).tolist(), strict=True)),
        "p against the default": float(f"{wilcoxon(differences).pvalue:.2g}") if differences.any() else None,
        "CPU seconds a search": round(float(np.median(seconds)), 2),
    }


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__, pairs=3)
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = [name for name in SAMPLERS if name != "Gaussian process" or missing_package("gp") is None]
    names, n_trials = (NAMES[:2], 20) if options.quick else (NAMES, N_TRIALS)
    found = measured(names, samplers, range(options.pairs), n_trials)
    default = found["shares"]["the default"]
    figures = {s: summary(found["shares"][s], default, found["seconds"][s], n_trials) for s in samplers}
    report("goals", options, {f"{n_trials} trials of {N_FOLDS} folds": figures})


if __name__ == "__main__":
    main()
