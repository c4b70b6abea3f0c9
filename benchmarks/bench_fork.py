"""How many trials does a fork save, where a search looked in too narrow a range?

A parent searches N trials, one of its ranges ending before the optimum. Then the range is widened, twice: by a fresh
search of N trials over the wider space, and by a fork of the parent over the same space, which begins with all that
the parent found. The fork runs until it has at least the fresh search's best score, at most N trials; that is counted
without the parent's trials. Each pair has a seed of its own, 0, 1, 2, ..., and TPE, the default, draws everywhere.

1. Additional trials of the fork against the N that the fresh search ran. A fork that never reached the score counts
   as more than any other, so it can move the median only to the worse.
2. The same against the number of the trial in which the fresh search first had its best score, which is the least it
   could have run if somebody had told it when to stop.
3. Trials until nearly all of what the fresh search gained over the parent (19 twentieths) is gained, of the fork
   against the fresh search. The best of N noisy scores is a high target: a valley is flat, and its last digit a matter
   of luck.
4. What a second fresh search, that of the next seed, needs for the same score. What a fork needs less than that is what
   its parent is worth; where many candidates share the best score it is nothing.

    python benchmarks/bench_fork.py [--quick] [--pairs 10] [--out benchmarks/results]
"""

import math
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import arguments, report
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from optuna_search import OptunaSearchCV

#: So much of what the fresh search gained over the parent is nearly all of it.
MOST = 0.95


@dataclass(frozen=True)
class Case:
    """A model, its data, and a range that is too narrow."""

    estimator: Any
    #: The parameters whose ranges are the same in both spaces.
    shared: dict[str, Any]
    #: The parameter that is widened, its narrow and its wide range.
    widened: str
    narrow: FloatDistribution
    wide: FloatDistribution
    X: np.ndarray
    y: np.ndarray
    cv: Any


def log(low: float, high: float) -> FloatDistribution:
    """Return a range whose logarithm is searched."""
    return FloatDistribution(low, high, log=True)


def cases() -> dict[str, Case]:
    """Return models that differ in kind, on data that scikit-learn ships."""
    X, y = load_diabetes(return_X_y=True)
    images, digits = load_digits(return_X_y=True)
    cells, tumours = load_breast_cancer(return_X_y=True)
    on_diabetes = {"X": X, "y": y, "cv": KFold(5, shuffle=True, random_state=0)}
    on_tumours = {"X": cells, "y": tumours, "cv": StratifiedKFold(5, shuffle=True, random_state=0)}
    on_digits = {"X": images[:600], "y": digits[:600], "cv": StratifiedKFold(3, shuffle=True, random_state=0)}
    return {
        "SVC, digits, C": Case(
            SVC(), {"gamma": log(1e-6, 1e0)}, "C", log(1e-3, 1e-1), log(1e-3, 1e3), **on_digits
        ),
        "SVR, diabetes, C": Case(
            make_pipeline(StandardScaler(), SVR()),
            {"svr__gamma": log(1e-5, 1e1), "svr__epsilon": log(0.1, 100)},
            "svr__C", log(1e-2, 1e0), log(1e-2, 1e4), **on_diabetes,
        ),
        "gradient boosting, diabetes, learning rate": Case(
            GradientBoostingRegressor(n_estimators=40, random_state=0),
            {"max_depth": IntDistribution(1, 6), "subsample": FloatDistribution(0.3, 1.0),
             "min_samples_leaf": IntDistribution(1, 50)},
            "learning_rate", log(0.3, 1.0), log(0.01, 1.0), **on_diabetes,
        ),
        "elastic net, diabetes, alpha": Case(
            make_pipeline(StandardScaler(), ElasticNet(max_iter=10_000)),
            {"elasticnet__l1_ratio": FloatDistribution(0, 1)},
            "elasticnet__alpha", log(1e1, 1e3), log(1e-3, 1e3), **on_diabetes,
        ),
        "kernel ridge, diabetes, alpha": Case(
            make_pipeline(StandardScaler(), KernelRidge(kernel="rbf")), {"kernelridge__gamma": log(1e-5, 1e1)},
            "kernelridge__alpha", log(1e0, 1e3), log(1e-6, 1e3), **on_diabetes,
        ),
        "logistic regression, breast cancer, C": Case(
            make_pipeline(StandardScaler(), LogisticRegression(solver="liblinear")),
            {"logisticregression__intercept_scaling": log(1e-2, 1e2)},
            "logisticregression__C", log(1e-5, 1e-3), log(1e-5, 1e5), **on_tumours,
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """What one seed came to."""

    #: Additional trials until the fork had at least the fresh search's best score; infinite if it never had.
    fork: float
    #: Trials until the fresh search had it, at most N.
    fresh: float
    #: The fresh search's scores, trial by trial.
    fresh_scores: np.ndarray
    #: Trials until most of the gain was there, of the fork and of the fresh search.
    gain: tuple[float, float]
    #: Whether the fresh search's best value of the widened parameter lies outside the parent's range.
    outside: bool
    #: Best scores: the parent's, the fresh search's, the fork's after its last trial.
    scores: tuple[float, float, float]


def pair(case: Case, seed: int, n_trials: int) -> Pair:
    """Search the narrow space, the wide one afresh, and the wide one as a fork."""
    how = {"n_trials": n_trials, "cv": case.cv, "random_state": seed, "refit": True}
    narrow, wide = ({**case.shared, case.widened: range_} for range_ in (case.narrow, case.wide))
    parent = OptunaSearchCV(case.estimator, narrow, **how).fit(case.X, case.y)
    fresh = OptunaSearchCV(case.estimator, wide, **how).fit(case.X, case.y)
    target = fresh.best_score_

    def stop_there(study, trial):
        if trial.value is not None and trial.value >= target:
            study.stop()

    fork = parent.fork({case.widened: case.wide}, callbacks=stop_there).fit(case.X, case.y)
    assert len(fork.fork_report_.carried) == n_trials
    reached = fork.best_score_ >= target
    needed = 0 if parent.best_score_ >= target else fork.n_trials_
    best = fresh.best_params_[case.widened]
    scores, of_fork = fresh.cv_results_["mean_test_score"], fork.cv_results_["mean_test_score"][n_trials:]
    most = parent.best_score_ + MOST * (target - parent.best_score_)
    return Pair(
        needed if reached else math.inf,
        trials_until(target, scores),
        scores,
        (trials_until(most, of_fork) if needed else 0, trials_until(most, scores)),
        not case.narrow.low <= best <= case.narrow.high,
        (parent.best_score_, target, fork.best_score_),
    )


def trials_until(target: float, scores: np.ndarray) -> float:
    """Return how many trials it took to have at least a score; infinity if none has it."""
    reached = np.flatnonzero(scores >= target)
    return int(reached[0]) + 1 if reached.size else math.inf


def second_fresh(pairs: list[Pair]) -> list[float]:
    """Return how many trials the fresh search of the next seed needs for the best score of each."""
    return [
        trials_until(one.scores[1], other.fresh_scores)
        for one, other in zip(pairs, [*pairs[1:], pairs[0]], strict=True)
    ]


def median(numbers: list[float]) -> float | None:
    """Return the median; None if it is that of forks which never had the score."""
    middle = statistics.median(numbers)
    return round(middle, 3) if math.isfinite(middle) else None


def figures_of(pairs: list[Pair], seconds: list[float], n_trials: int) -> dict[str, Any]:
    """Return what is to be said of the pairs of one model, or of all."""
    return {
        "additional trials, fork / fresh": median([one.fork / n_trials for one in pairs]),
        "the same, if the fresh search had stopped at its best": median([one.fork / one.fresh for one in pairs]),
        "until most of the gain is there, fork / fresh": median(
            [fork / fresh for fork, fresh in (p.gain for p in pairs)]
        ),
        "trials, second fresh / fresh": median([one / n_trials for one in seconds]),
        "pairs": len(pairs),
        "forks that had the score": sum(math.isfinite(one.fork) for one in pairs),
        "second fresh searches that had it": sum(map(math.isfinite, seconds)),
    }


def described(pairs: list[Pair], n_trials: int) -> dict[str, Any]:
    """Return the figures of one model, and what they come from."""
    return figures_of(pairs, second_fresh(pairs), n_trials) | {
        "trials of each fork": [one.fork if math.isfinite(one.fork) else None for one in pairs],
        "trial of each fresh search's best": [one.fresh for one in pairs],
        "fresh bests outside the parent's range": sum(one.outside for one in pairs),
        "median best scores, parent, fresh, fork": [
            round(statistics.median(one.scores[i] for one in pairs), 4) for i in range(3)
        ],
    }


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__, pairs=10)
    n_trials = 10 if options.quick else 50
    found = {name: [pair(case, seed, n_trials) for seed in range(options.pairs)] for name, case in cases().items()}
    everything = [one for pairs in found.values() for one in pairs]
    seconds = [number for pairs in found.values() for number in second_fresh(pairs)]
    report(
        "fork",
        options,
        {
            "N": n_trials,
            "all models": figures_of(everything, seconds, n_trials),
            **{name: described(pairs, n_trials) for name, pairs in found.items()},
        },
    )


if __name__ == "__main__":
    main()
