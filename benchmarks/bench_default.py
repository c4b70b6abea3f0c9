"""Which of Optuna's parts make the best default?

On each task and seed, searches of 300 fits of a fold that differ in one thing from the default, which is the
tree-structured Parzen estimator over all parameters jointly, racing: another sampler, no racing, another start, more
workers. Then a few of them with 1000 fits, as many as 200 candidates take that see all five folds. The figure is the
regret after a quarter of the budget, half of it, and all: 0 is the best score that any search here has found on the
task, 1 that of the median random candidate. The p value compares with the default at the end, over all tasks and seeds
(Wilcoxon, paired).

    python benchmarks/bench_default.py [--quick] [--pairs 5] [--out benchmarks/results]

The pairs are seeds. CMA-ES and the Gaussian process need the extras ``cmaes`` and ``gp``.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import optuna
from common import arguments, report
from optuna.pruners import NopPruner
from optuna.samplers import QMCSampler, TPESampler
from optuna.trial import TrialState
from scipy.stats import wilcoxon
from tasks import NAMES, load

from optuna_search import OptunaSearchCV
from optuna_search.pruners import RacingPruner

FITS, MORE_FITS = 300, 1000
#: The searches of many fits take long; no more seeds than this have them.
MAX_SEEDS = 1
#: How many points of a sequence that fills the space evenly a search may begin with.
N_FIRST = 10
#: Name -> what a search has beside its budget and its seed; a sampler is made anew for each seed.
POLICIES: dict[str, Callable[[int], dict[str, Any]]] = {
    "the default": lambda seed: {},
    "without racing": lambda seed: {"pruner": NopPruner()},
    "racing sooner (confidence 0.9)": lambda seed: {"pruner": RacingPruner(confidence=0.9)},
    "median pruner": lambda seed: {"pruner": "median"},
    "TPE, one parameter at a time": lambda seed: parzen(seed, multivariate=False),
    "TPE, 20 random trials first": lambda seed: parzen(seed, n_startup_trials=20),
    "TPE, 64 candidates a draw": lambda seed: parzen(seed, n_ei_candidates=64),
    "the estimator's own values first": lambda seed: {"initial_params": "default"},
    "TPE, quasi-random points first": lambda seed: {"sampler": EvenlyFirst(seed), "pruner": "racing"},
    "Gaussian process": lambda seed: {"sampler": "gp", "pruner": "racing"},
    "quasi-random": lambda seed: {"sampler": "qmc", "pruner": "racing"},
    "random": lambda seed: {"sampler": "random", "pruner": "racing"},
    "random without racing": lambda seed: {"sampler": "random", "pruner": NopPruner()},
    "CMA-ES": lambda seed: {"sampler": "cmaes", "pruner": "racing"},
    "four workers": lambda seed: {"n_jobs": 4},
}  # fmt: skip


#: Those that are searched with more fits.
LONG = ("the default", "without racing", "CMA-ES", "random without racing")


class EvenlyFirst(TPESampler):
    """The tree-structured Parzen estimator after points that fill the space evenly, instead of random ones."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, multivariate=True, n_startup_trials=N_FIRST)
        self._even = QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)

    def _is_early(self, study: Any) -> bool:
        return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))) < N_FIRST

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Return what is drawn together."""
        who = self._even if self._is_early(study) else super()
        return who.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        """Draw it."""
        who = self._even if self._is_early(study) else super()
        return who.sample_relative(study, trial, search_space)


def parzen(seed: int, **how: Any) -> dict[str, Any]:
    return {"sampler": TPESampler(seed=seed, **{"multivariate": True, **how}), "pruner": "racing"}


def budgets(n_fits: int) -> tuple[int, ...]:
    return n_fits // 4, n_fits // 2, n_fits


def searched(task: Any, how: dict[str, Any], seed: int, n_fits: int) -> tuple[list[float], list[float], float]:
    """Return the best score after each budget, the scores of all complete candidates, and the CPU seconds."""
    started = time.process_time()
    search = OptunaSearchCV(
        task.estimator,
        task.space,
        n_fits=n_fits,
        cv=task.cv,
        scoring=task.scoring,
        refit=False,
        random_state=seed,
        **how,
    )
    with joblib.parallel_config("threading"):
        results = search.fit(task.X, task.y).cv_results_
    seconds = time.process_time() - started
    n_splits = len(task.cv)
    spent = np.cumsum(sum(np.isfinite(results[f"split{split}_test_score"]) for split in range(n_splits)))
    means = np.where(np.isnan(results["mean_test_score"]), -np.inf, results["mean_test_score"])
    best = np.maximum.accumulate(means)
    at = [best[spent <= budget + n_splits - 1] for budget in budgets(n_fits)]  # the trial in the air is finished
    return [float(one[-1]) if one.size else -np.inf for one in at], means[np.isfinite(means)].tolist(), seconds


def measured(names: tuple[str, ...], policies: list[str], seeds: range, n_fits: int) -> dict[str, Any]:
    """Return for each policy its regrets as an array (task, seed, budget), and its CPU seconds."""
    scores = {policy: np.empty((len(names), len(seeds), 3)) for policy in policies}
    seconds: dict[str, list[float]] = {policy: [] for policy in policies}
    for place, name in enumerate(names):
        task, middle = load(name), []
        for row, seed in enumerate(seeds):
            for policy in policies:
                at, means, took = searched(task, POLICIES[policy](seed), seed, n_fits)
                scores[policy][place, row] = at
                seconds[policy].append(took)
                middle += means if policy == "random without racing" else []
        top = max(one[place].max() for one in scores.values())
        for one in scores.values():
            one[place] = np.minimum((top - one[place]) / max(top - np.median(middle), 1e-12), 1.0)
        print(name, {policy: round(float(one[place, :, -1].mean()), 3) for policy, one in scores.items()}, flush=True)
    return {"regrets": scores, "seconds": seconds}


def summary(regrets: np.ndarray, default: np.ndarray, seconds: list[float], n_fits: int) -> dict[str, Any]:
    """Return the figures of one policy."""
    by_task = regrets.mean(axis=1)
    differences = (regrets - default)[:, :, -1].ravel()
    at = [str(budget) for budget in budgets(n_fits)]
    return {
        "regret, median over tasks": dict(zip(at, np.median(by_task, axis=0).round(3).tolist(), strict=True)),
        "regret, mean over tasks": dict(zip(at, by_task.mean(axis=0).round(3).tolist(), strict=True)),
        "p against the default": float(f"{wilcoxon(differences).pvalue:.2g}") if differences.any() else None,
        "CPU seconds a search": round(float(np.median(seconds)), 2),
    }


def compared(names: tuple[str, ...], policies: list[str], seeds: range, n_fits: int) -> dict[str, Any]:
    """Return the figures of all policies."""
    found = measured(names, policies, seeds, n_fits)
    regrets, default = found["regrets"], found["regrets"]["the default"]
    return {policy: summary(regrets[policy], default, found["seconds"][policy], n_fits) for policy in policies}


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__, pairs=5)
    warnings.filterwarnings("ignore", category=UserWarning)  # CMA-ES warns of choices, which it leaves to chance
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names, few, many = (NAMES[:2], 75, 100) if options.quick else (NAMES, FITS, MORE_FITS)
    figures = {
        f"{few} fits": compared(names, list(POLICIES), range(options.pairs), few),
        f"{many} fits": compared(names, list(LONG), range(min(options.pairs, MAX_SEEDS)), many),
    }
    report("default", options, figures)


if __name__ == "__main__":
    main()
