"""How far is the score of a search's winner from what the winner is worth, with a correction and without?

What it is worth is known where there is nothing to find: half of as many labels of two classes, drawn apart from the
data. Elsewhere the winner is refitted, and scored on thousands of fresh samples. All estimates are made from the same
scores of the same folds, at no further fit:

- the best mean, which is `best_score_`;
- the winner of the other folds scored on the one left out, averaged over folds;
- the winner of folds drawn with replacement scored on those that were not (Tsamardinos et al. 2018, with folds for
  samples);
- the best mean less the mean over folds of what the winner of one fold alone has there above the winner
  (Tibshirani & Tibshirani 2009);
- `best_score_corrected_`.

Candidates that were pruned have a part only in the last one. Bias is the mean of estimate minus worth; a share is that
of the bias of `best_score_` which is left. Searches of several models are pooled, and the shares of each are told too.

    python benchmarks/bench_honest.py [--quick] [--pairs 20] [--out benchmarks/results]

`--pairs` is the number of searches of each model in each of the scenarios, which are run on all processors.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import arguments, report
from joblib import Parallel, delayed
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.model_selection import KFold, RepeatedStratifiedKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from optuna_search import OptunaSearchCV
from optuna_search._honest import selection_bias
from optuna_search._uncertainty import fold_ratio, fold_scores

N_FEATURES, N_FRESH, N_BOOTSTRAPS = 10, 2000, 200
KERNEL = {"C": FloatDistribution(1e-2, 1e3, log=True), "gamma": FloatDistribution(1e-4, 10, log=True)}
NEIGHBOURS = {"n_neighbors": IntDistribution(1, 30), "weights": ["uniform", "distance"], "p": FloatDistribution(1, 4)}
TREE = {
    "max_depth": IntDistribution(1, 12),
    "min_samples_leaf": IntDistribution(1, 15),
    "max_features": FloatDistribution(0.1, 1),
}
CLASSIFIERS = {
    "SVC": (SVC(), KERNEL),
    "neighbours": (KNeighborsClassifier(), NEIGHBOURS),
    "tree": (DecisionTreeClassifier(random_state=0), TREE),
}
REGRESSORS = {
    "SVR": (SVR(), KERNEL),
    "neighbours": (KNeighborsRegressor(), NEIGHBOURS),
    "tree": (DecisionTreeRegressor(random_state=0), TREE),
}

# ---------------------------------------------------------------- the estimates


def complete(scores: np.ndarray) -> np.ndarray:
    return scores[~np.isnan(scores).any(axis=1)]


def best_mean(scores: np.ndarray, ratio: float) -> float:
    return float(complete(scores).mean(axis=1).max())


def winners(means: np.ndarray) -> np.ndarray:
    """Return who is the best, all of them where several are equal."""
    return means >= means.max() - 1e-12


def other_folds(scores: np.ndarray, ratio: float) -> float:
    """Score the winner of the other folds on each."""
    scores = complete(scores)
    folds = range(scores.shape[1])
    return float(np.mean([scores[winners(np.delete(scores, j, axis=1).mean(axis=1)), j].mean() for j in folds]))


def bootstrap(scores: np.ndarray, ratio: float) -> float:
    """Score the winner of folds drawn with replacement on those that were not drawn."""
    scores, rng = complete(scores), np.random.default_rng(0)
    n_folds = scores.shape[1]
    found = []
    for times in rng.multinomial(n_folds, np.full(n_folds, 1 / n_folds), N_BOOTSTRAPS):
        if (times == 0).any():
            found.append(scores[winners(scores @ times)][:, times == 0].mean())
    return float(np.mean(found))


def tibshirani(scores: np.ndarray, ratio: float) -> float:
    """Take away what the winners of single folds have above the winner there."""
    scores = complete(scores)
    means = scores.mean(axis=1)
    return float(means.max() - np.mean(scores.max(axis=0) - scores[winners(means)].mean(axis=0)))


def corrected(scores: np.ndarray, ratio: float) -> float:
    return best_mean(scores, ratio) - selection_bias(scores, ratio)


ESTIMATES: dict[str, Callable[[np.ndarray, float], float]] = {
    "best_score_": best_mean,
    "other folds": other_folds,
    "bootstrap over folds": bootstrap,
    "Tibshirani & Tibshirani": tibshirani,
    "best_score_corrected_": corrected,
}


def errors_of(scores: np.ndarray, ratio: float, worth: float) -> list[float]:
    return [estimate(scores, ratio) - worth for estimate in ESTIMATES.values()]


def summary(errors: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Return bias, share and root mean square of each estimate over the searches of all models, and its error."""
    pooled = np.concatenate([np.array(of_model) for of_model in errors.values()])
    n, naive = len(pooled), pooled[:, 0].mean()
    found: dict[str, Any] = {"searches": n}
    for place, name in enumerate(ESTIMATES):
        error = pooled[:, place]
        share = error.mean() / naive
        found[name] = {
            "bias": round(float(error.mean()), 4),
            "se": round(float(error.std(ddof=1) / n**0.5), 4),
            "share": round(float(share), 2),
            "se of share": round(float(np.std(error - share * pooled[:, 0], ddof=1) / n**0.5 / abs(naive)), 2),
            "rmse": round(float(np.mean(error**2) ** 0.5), 4),
        }
    if len(errors) > 1:
        means = {name: np.mean(of_model, axis=0) for name, of_model in errors.items()}
        found["share of best_score_corrected_ by model"] = {
            name: round(float(mean[-1] / mean[0]), 2) for name, mean in means.items()
        }
    return found


# ---------------------------------------------------------------- simulated scores


def simulated(n_candidates: int, n_folds: int, skill: float, shared: float, n: int) -> dict[str, Any]:
    """Return what the estimates are worth on normal scores whose noise has variance 1 in each fold.

    Parameters
    ----------
    skill : float
        The standard deviation of what candidates are worth.
    shared : float
        The variance of luck that is the same in all folds, as a part of n_test/n_train.
    """
    rng = np.random.default_rng([n_candidates, n_folds])
    ratio, errors = 1 / (n_folds - 1), []
    for _ in range(n):
        worth = rng.normal(0, skill, n_candidates) if skill else np.zeros(n_candidates)
        luck = rng.normal(0, (shared * ratio) ** 0.5, (n_candidates, 1))
        scores = worth[:, None] + luck + rng.normal(size=(n_candidates, n_folds)) + rng.normal(size=n_folds)
        errors.append(errors_of(scores, ratio, float(worth[scores.mean(axis=1).argmax()])))
    return summary({"simulated": errors})


# ---------------------------------------------------------------- real searches


@dataclass(frozen=True)
class Scenario:
    """What is searched, on what, and how."""

    models: Mapping[str, Any]
    #: How much there is to find; 0 for nothing.
    signal: float = 0.0
    sampler: str = "tpe"
    pruner: str | None = None
    n_trials: int = 60
    n_samples: int = 100
    n_folds: int = 5
    n_repeats: int = 1
    #: Further numbers of trials, of which the same searches are looked at.
    fewer: tuple[int, ...] = ()
    scoring: str | None = None

    @property
    def is_regression(self) -> bool:
        return "SVR" in self.models

    def folds(self, seed: int) -> Any:
        if self.n_repeats > 1:
            return RepeatedStratifiedKFold(n_splits=self.n_folds, n_repeats=self.n_repeats, random_state=seed)
        splitter = KFold if self.is_regression else StratifiedKFold
        return splitter(self.n_folds, shuffle=True, random_state=seed)


@dataclass(frozen=True)
class Data:
    X: np.ndarray
    y: np.ndarray
    X_fresh: np.ndarray
    y_fresh: np.ndarray


def data_of(scenario: Scenario, rng: np.random.Generator) -> Data:
    n = scenario.n_samples
    if scenario.is_regression and scenario.signal:
        noise, seed = 5 / scenario.signal, int(rng.integers(2**31))
        X, y = make_friedman1(n + N_FRESH, n_features=N_FEATURES, noise=noise, random_state=seed)
        return Data(X[:n], y[:n], X[n:], y[n:])
    X = rng.normal(size=(n + N_FRESH, N_FEATURES))
    if scenario.is_regression:
        y = rng.normal(size=len(X))
        return Data(X[:n], y[:n], X[n:], y[n:])
    weights = rng.normal(size=N_FEATURES) * (np.arange(N_FEATURES) < 4) * scenario.signal
    y = X @ weights + scenario.signal * X[:, 0] * X[:, 1] + rng.logistic(size=len(X)) > 0
    if not scenario.signal:
        y = rng.permutation(np.arange(len(X)) % 2)
    # As many of each class.
    sample = np.concatenate([np.flatnonzero(y == label)[: n // 2] for label in (0, 1)])
    fresh = np.setdiff1d(np.arange(len(X)), sample)
    sample = rng.permutation(sample)
    return Data(X[sample], y[sample].astype(int), X[fresh], y[fresh].astype(int))


def worth_of(scenario: Scenario, model: Any, data: Data, seed: int) -> float:
    """Return what a candidate is worth, fitted on all the data."""
    if not scenario.signal and not scenario.is_regression:
        return 0.5
    fitted = model.fit(data.X, data.y)
    if not scenario.signal:  # the target is noise of mean 0 and variance 1, whatever is predicted
        return float(-1 - np.mean(fitted.predict(data.X_fresh) ** 2)) + spread_of(scenario, data, seed)
    return float(fitted.score(data.X_fresh, data.y_fresh))


def spread_of(scenario: Scenario, data: Data, seed: int) -> float:
    """Return how much better the mean of the target predicts in these folds than it would be expected to.

    Errors are taken from there: how much the target of so few samples happens to vary is no error of an estimate.
    """
    parts = list(scenario.folds(seed).split(data.X, data.y))
    squares = [np.mean((data.y[test] - data.y[train].mean()) ** 2) for train, test in parts]
    return float(np.mean([1 + 1 / len(train) for train, _ in parts]) - np.mean(squares))


def searched(scenario: Scenario, name: str, seed: int) -> dict[int, list[float]]:
    """Return the errors of the estimates in one search, by the number of trials."""
    warnings.simplefilter("ignore")  # in a process of joblib's, of folds that lack a class and the like
    estimator, space = scenario.models[name]
    data = data_of(scenario, np.random.default_rng([seed, scenario.n_samples]))
    search = OptunaSearchCV(
        estimator, space, n_trials=scenario.n_trials, sampler=scenario.sampler, pruner=scenario.pruner,
        cv=scenario.folds(seed), scoring=scenario.scoring, refit=False, random_state=seed,
    ).fit(data.X, data.y)  # fmt: skip
    results = search.cv_results_
    all_scores = fold_scores(results, "test_score")
    ratio = fold_ratio([(len(train), len(test)) for train, test in scenario.folds(seed).split(data.X, data.y)], 0)
    assert abs(corrected(all_scores, ratio) - search.best_score_corrected_) < 1e-9
    errors = {}
    for n_trials in (*scenario.fewer, scenario.n_trials):
        scores = all_scores[:n_trials]
        best = int(np.nanargmax(np.where(np.isnan(scores).any(axis=1), np.nan, scores.mean(axis=1))))
        model = clone(estimator).set_params(**results["params"][best])
        errors[n_trials] = errors_of(scores, ratio, worth_of(scenario, model, data, seed))
    return errors


def real(scenario: Scenario, n: int) -> dict[int, dict[str, Any]]:
    """Return the summary of so many searches of each model, by the number of trials."""
    found = {
        name: Parallel(n_jobs=-1)(delayed(searched)(scenario, name, 1000 * place + seed) for seed in range(n))
        for place, name in enumerate(scenario.models)
    }
    return {
        n_trials: summary({name: [errors[n_trials] for errors in of_model] for name, of_model in found.items()})
        for n_trials in (*scenario.fewer, scenario.n_trials)
    }


def scenarios(quick: bool) -> dict[str, Scenario]:
    """Return what is searched."""
    two = {name: CLASSIFIERS[name] for name in ("SVC", "tree")}
    nothing = {
        f"no signal, {'racing, ' if pruner else ''}{sampler}": Scenario(
            CLASSIFIERS, sampler=sampler, pruner=pruner, n_trials=100, fewer=() if pruner else (10, 30)
        )
        for pruner in (None, "racing")
        for sampler in ("random", "tpe")
    }
    if quick:
        return {name: Scenario(two, sampler=s.sampler, pruner=s.pruner, n_trials=20) for name, s in nothing.items()}
    folds = {
        f"no signal, {what}, {sampler}": Scenario(two, sampler=sampler, **how)
        for what, how in {
            "3 folds": {"n_folds": 3},
            "10 folds": {"n_folds": 10},
            "5 folds three times": {"n_repeats": 3},
            "60 samples": {"n_samples": 60},
            "300 samples": {"n_samples": 300},
        }.items()
        for sampler in ("random", "tpe")
        if sampler == "tpe" or "samples" not in what
    }
    folds["no signal, many, tpe"] = Scenario({"tree": CLASSIFIERS["tree"]}, n_trials=300)
    regression = {
        f"no signal, regression, {sampler}": Scenario(REGRESSORS, sampler=sampler, scoring="neg_mean_squared_error")
        for sampler in ("random", "tpe")
    }
    signal = {
        f"{what} signal, {sampler}": Scenario(CLASSIFIERS, signal=signal, sampler=sampler)
        for what, signal in {"weak": 0.6, "strong": 1.5}.items()
        for sampler in ("random", "tpe")
    }
    signal |= {f"signal, regression, {sampler}": Scenario(REGRESSORS, 4.0, sampler) for sampler in ("random", "tpe")}
    return nothing | folds | regression | signal


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__, pairs=20)
    figures: dict[str, Any] = {}
    shapes = [(10, 5)] if options.quick else [(n, k) for n in (10, 100, 300) for k in (3, 5, 10)]
    for what, (skill, shared) in {
        "nothing to find": (0.0, 0.0),
        "nothing to find, luck shared by folds": (0.0, 1 / 3),
        "skill varies as scores of a fold do": (1.0, 0.0),
    }.items():
        for n_candidates, n_folds in shapes:
            name = f"simulated, {what}: {n_candidates} candidates, {n_folds} folds"
            figures[name] = simulated(n_candidates, n_folds, skill, shared, 10 * options.pairs)
    for name, scenario in scenarios(options.quick).items():
        for n_trials, found in real(scenario, options.pairs).items():
            figures[f"{name}: {n_trials} trials"] = found
    report("honest", options, figures)


if __name__ == "__main__":
    main()
