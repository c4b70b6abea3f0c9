"""What is known of boosters of other libraries, none of which is imported here, and where in a Pipeline one stands."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

_LIGHTGBM = (
    "num_iterations num_iteration n_iter num_tree num_trees num_round num_rounds nrounds num_boost_round max_iter"
)
#: What the number of trees may be called, by the package of a booster; the usual name comes first.
TREES = {
    "lightgbm": ("n_estimators", *_LIGHTGBM.split(), "max_iter"),
    "xgboost": ("n_estimators",),
    "catboost": ("iterations", "n_estimators", "num_boost_round", "num_trees"),
}
#: How many there are by default.
DEFAULT_TREES = {"lightgbm": 100, "xgboost": 100, "catboost": 1000}


def packages_of(model: Any) -> list[str]:
    """Return the packages of the class of a model and of its parents, the nearest first.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> packages_of(SVC())[0]
    'sklearn'
    """
    return [cls.__module__.partition(".")[0] for cls in type(model).__mro__]


def library_of(model: Any) -> str | None:
    """Return the library of boosted trees that a model belongs to; None for any other model."""
    return next((package for package in packages_of(model) if package in TREES), None)


def chain(estimator: Any) -> list[Any]:
    """Return the pipelines inside of each other, from the outermost on, and what stands at the end of all."""
    found = [estimator]
    while isinstance(found[-1], Pipeline) and found[-1].steps:
        found.append(found[-1].steps[-1][1])
    return found


def last_step(estimator: Any) -> Any:
    """Return the last step of a Pipeline, also of one inside of another; any other estimator itself."""
    return chain(estimator)[-1]
