"""The searches that are compared, each as its documentation shows it, with sixty candidates or what they cost.

One function a rival: it searches a task with a seed and a scorer that records. What a library cannot do at all, such as
conditional spaces, is said in `RIVALS`, and that rival is left out of those tasks; what it fails at it fails at.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import optuna
import spaces
from recording import Recorder
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, RandomizedSearchCV, cross_val_score
from tasks import Task

#: sklearn-optuna draws what Optuna's own study draws from the same seed. Others tell more.
OTHER_DRAWS = 1000


@dataclass(frozen=True)
class Rival:
    """A way to search."""

    search: Callable[[Task, int, Recorder], Any]
    #: The package that it needs.
    package: str = "sklearn"
    #: Whether it takes spaces in which some parameters occur only beside others.
    conditional: bool = True
    #: Whether its draws depend on a seed; if not, it runs once.
    seeded: bool = True

    def is_installed(self) -> bool:
        return find_spec(self.package) is not None

    def takes(self, task: Task) -> bool:
        return self.conditional or not isinstance(task.space, list)


def how(task: Task, scorer: Recorder) -> dict[str, Any]:
    """Return what all searches with scikit-learn's interface are told."""
    return {"cv": task.cv, "scoring": scorer, "refit": False}


# ---------------------------------------------------------------- ours


def ours(task: Task, seed: int, scorer: Recorder) -> None:
    ours_with(task, seed, scorer, n_fits=scorer.budget)


def ours_by_trials(task: Task, seed: int, scorer: Recorder) -> None:
    ours_with(task, seed, scorer, n_trials=scorer.candidates)


def ours_with(task: Task, seed: int, scorer: Recorder, **budget: int) -> None:
    """Search with all our defaults."""
    from optuna_search import OptunaSearchCV

    told = {"cv": task.cv, "scoring": scorer, "random_state": seed}
    OptunaSearchCV(task.estimator, task.space, **told, **budget).fit(task.X, task.y)


# ---------------------------------------------------------------- scikit-learn


def by_grid(task: Task, seed: int, scorer: Recorder) -> None:
    dicts = spaces.branches(task.space)
    grids = [spaces.grid(branch, scorer.candidates // len(dicts)) for branch in dicts]
    GridSearchCV(task.estimator, grids, **how(task, scorer)).fit(task.X, task.y)


def by_chance(task: Task, seed: int, scorer: Recorder) -> None:
    space = spaces.single(spaces.translated(task.space, spaces.scipy_dimension))
    search = RandomizedSearchCV(task.estimator, space, n_iter=scorer.candidates, random_state=seed, **how(task, scorer))
    search.fit(task.X, task.y)


def by_halving(task: Task, seed: int, scorer: Recorder) -> None:
    """Three rounds on a ninth, a third and all of the rows, each a third of the budget but for the last candidate.

    Nine times a ninth is a few rows less than all, so the scores of the last round are not quite those of the others:
    the candidate that it chooses is scored again.
    """
    space = spaces.single(spaces.translated(task.space, spaces.scipy_dimension))
    search = HalvingRandomSearchCV(
        task.estimator,
        space,
        n_candidates=9 * (scorer.candidates // 3 - 1),
        min_resources=len(task.X) // 9,
        factor=3,
        return_train_score=False,
        random_state=seed,
        **how(task, scorer) | {"refit": lambda results: best_of_last_round(results)},
    )
    search.fit(task.X, task.y)
    cross_validated(task, scorer, search.best_params_)


def best_of_last_round(results: dict[str, Any]) -> int:
    """Return the candidate with the best score among those that were fitted on the most data."""
    scores = np.where(results["iter"] == np.max(results["iter"]), results["mean_test_score"], -np.inf)
    return int(np.nanargmax(scores))


# ---------------------------------------------------------------- Optuna


def cross_validated(task: Task, scorer: Recorder, params: dict[str, Any]) -> float:
    """Return the mean score of a candidate, as one writes it by hand."""
    model = clone(task.estimator).set_params(**{name: clone(value, safe=False) for name, value in params.items()})
    return float(cross_val_score(model, task.X, task.y, cv=task.cv, scoring=scorer).mean())


def by_study(task: Task, scorer: Recorder, sampler: optuna.samplers.BaseSampler) -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(
        lambda trial: cross_validated(task, scorer, spaces.suggested(trial, task.space)), n_trials=scorer.candidates
    )


def by_tpe(task: Task, seed: int, scorer: Recorder) -> None:
    by_study(task, scorer, optuna.samplers.TPESampler(seed=seed))


def by_gp(task: Task, seed: int, scorer: Recorder) -> None:
    by_study(task, scorer, optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False))


def by_optuna_integration(task: Task, seed: int, scorer: Recorder) -> None:
    from optuna_integration import OptunaSearchCV as Search

    space = {name: spaces.optuna_dimension(dim) for name, dim in task.space.items()}
    search = Search(task.estimator, space, n_trials=scorer.candidates, random_state=seed, **how(task, scorer))
    search.fit(task.X, task.y)


def by_sklearn_optuna(task: Task, seed: int, scorer: Recorder) -> None:
    from sklearn_optuna import OptunaSearchCV as Search
    from sklearn_optuna import Sampler

    space = {name: spaces.optuna_dimension(dim) for name, dim in task.space.items()}
    sampler = Sampler(sampler=optuna.samplers.TPESampler, seed=OTHER_DRAWS + seed)
    search = Search(task.estimator, space, n_trials=scorer.candidates, sampler=sampler, **how(task, scorer))
    search.fit(task.X, task.y)


# ---------------------------------------------------------------- others


def by_skopt(task: Task, seed: int, scorer: Recorder) -> None:
    from skopt import BayesSearchCV

    dicts = spaces.translated(task.space, spaces.skopt_dimension)
    # It searches the dicts of a list one after the other, so many candidates each.
    space = [(one, scorer.candidates // len(dicts)) for one in dicts]
    search = BayesSearchCV(task.estimator, space, n_iter=scorer.candidates, random_state=seed, **how(task, scorer))
    search.fit(task.X, task.y)


def by_genes(task: Task, seed: int, scorer: Recorder) -> None:
    """The scorer ends it: it counts generations, not fits."""
    from sklearn_genetic import GASearchCV

    (space,) = spaces.translated(task.space, spaces.genetic_dimension)
    search = GASearchCV(
        task.estimator, param_grid=space, population_size=10, generations=100, verbose=False, **how(task, scorer)
    )
    seed_globally(seed)  # it draws from the global generators
    search.fit(task.X, task.y)


def by_hyperopt(task: Task, seed: int, scorer: Recorder) -> None:
    import hyperopt

    dicts = spaces.branches(task.space)
    space = hyperopt.hp.choice(
        spaces.WHICH,
        [
            {"of": number}
            | {name: spaces.hyperopt_dimension(f"{number} {name}", spaces.whole(dim)) for name, dim in branch.items()}
            for number, branch in enumerate(dicts)
        ],
    )

    def loss(drawn: dict[str, Any]) -> float:
        return -cross_validated(task, scorer, spaces.decoded(dicts[drawn["of"]], drawn))

    hyperopt.fmin(
        loss,
        space,
        algo=hyperopt.tpe.suggest,
        max_evals=scorer.candidates,
        rstate=np.random.default_rng(seed),
        show_progressbar=False,
    )


def by_flaml(search_alg: str) -> Callable[[Task, int, Recorder], None]:
    """Return a search of FLAML's, by the name of its algorithm."""

    def search(task: Task, seed: int, scorer: Recorder) -> None:
        import flaml

        dicts = spaces.branches(task.space)
        dialect = spaces.translated(task.space, spaces.flaml_dimension)
        nested = [{"of": number, **one} for number, one in enumerate(dialect)]
        config = {spaces.WHICH: flaml.tune.choice(nested)} if len(dicts) > 1 else nested[0]

        def evaluated(drawn: dict[str, Any]) -> dict[str, float]:
            drawn = drawn.get(spaces.WHICH, drawn)
            return {"score": cross_validated(task, scorer, spaces.decoded(dicts[drawn["of"]], drawn))}

        algorithm = getattr(flaml, search_alg)(
            metric="score", mode="max", space=config, seed=seed, num_samples=scorer.candidates
        )
        seed_globally(seed)
        flaml.tune.run(
            evaluated, search_alg=algorithm, num_samples=scorer.candidates, metric="score", mode="max", verbose=0
        )

    return search


def by_hyperactive(optimizer: str) -> Callable[[Task, int, Recorder], None]:
    """Return a search of Hyperactive's, by the name of its optimizer. It knows only lists of numbers.

    It counts candidates that it comes back to, whose scores it remembers: it is asked for more, and the scorer ends it.
    """

    def search(task: Task, seed: int, scorer: Recorder) -> None:
        import hyperactive.opt
        from hyperactive.experiment.func import FunctionExperiment

        def evaluated(drawn: dict[str, Any]) -> float:
            return cross_validated(task, scorer, spaces.decoded(task.space, drawn))

        (space,) = spaces.translated(task.space, spaces.listed)
        seed_globally(seed)
        getattr(hyperactive.opt, optimizer)(
            search_space=space,
            n_iter=5 * scorer.candidates,
            random_state=seed,
            experiment=FunctionExperiment(evaluated),
        ).solve()

    return search


def seed_globally(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)


RANDOM = "RandomizedSearchCV"
OURS = "optuna_search"

#: From the cheapest to the dearest, so that an interrupted run has most of them.
RIVALS: dict[str, Rival] = {
    OURS: Rival(ours, "optuna_search"),
    "optuna_search by trials": Rival(ours_by_trials, "optuna_search"),
    RANDOM: Rival(by_chance),
    "HalvingRandomSearchCV": Rival(by_halving),
    "GridSearchCV": Rival(by_grid, seeded=False),
    "Optuna TPE": Rival(by_tpe),
    "optuna_integration": Rival(by_optuna_integration, "optuna_integration", conditional=False),
    "sklearn-optuna": Rival(by_sklearn_optuna, "sklearn_optuna", conditional=False),
    "hyperopt TPE": Rival(by_hyperopt, "hyperopt"),
    "FLAML CFO": Rival(by_flaml("CFO"), "flaml"),
    "FLAML BlendSearch": Rival(by_flaml("BlendSearch"), "flaml"),
    "sklearn-genetic-opt": Rival(by_genes, "sklearn_genetic", conditional=False),
    "Hyperactive": Rival(by_hyperactive("HillClimbing"), "hyperactive", conditional=False),
    "Optuna GP": Rival(by_gp, "torch"),
    "BayesSearchCV": Rival(by_skopt, "skopt"),
    "Hyperactive Bayes": Rival(by_hyperactive("BayesianOptimizer"), "hyperactive", conditional=False),
}
