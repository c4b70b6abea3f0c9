"""What an estimator can get more and more of, how much that is in the whole, and why something else cannot be it."""

from __future__ import annotations

import inspect
from numbers import Integral
from typing import Any

import numpy as np

from optuna_search._boosters import DEFAULT_TREES, TREES, last_step, library_of
from optuna_search._hints import did_you_mean
from optuna_search._record import PARTIAL_FIT
from optuna_search._tables import shortened

#: What is shown of a value that is no number.
MAX_SHOWN = 80


def complaint(estimator: Any, resource: str) -> str | None:
    """Say why a resource cannot be used with an estimator; None if it can."""
    last = last_step(estimator)
    if resource == PARTIAL_FIT:
        fits = hasattr(last, PARTIAL_FIT)
        wrong = None if fits else f"needs an estimator with a method partial_fit, and {type(last).__name__} has none"
    else:
        wrong = _no_integer(estimator, resource)
    if wrong is None:
        return _clash(estimator, resource)
    others = "'n_samples', 'partial_fit'" if hasattr(last, PARTIAL_FIT) else "'n_samples'"
    hint = did_you_mean(resource, _integers(estimator))
    return f"resource={resource!r} {wrong}. Give {others} or an integer parameter. {hint}"


def whole(estimator: Any, resource: str) -> int | None:
    """Return how much of an integer parameter an estimator has by itself; None where that is no number."""
    owner, name = _owner(estimator, resource)
    params, trees = _params(owner), _names_of_trees(owner)
    names = [name]
    if name in trees:
        names += reversed(trees)  # the usual one last: the others are only there if they were given
    value: Any = next((params[one] for one in names if params.get(one) is not None), None)
    if value is None and name in trees:
        value = DEFAULT_TREES[library_of(owner) or ""]
    return int(value) if _is_integer(value) and value >= 1 else None


def _no_integer(estimator: Any, resource: str) -> str | None:
    """Say what a resource is instead of an integer parameter; None if it is one, or may be."""
    (owner, name), params = _owner(estimator, resource), estimator.get_params(deep=True)
    value: Any = params.get(resource)
    if value is not None and not _is_integer(value):
        is_now = f"{name}={shortened(repr(value), MAX_SHOWN)}"
        return f"is no integer parameter: {type(owner).__name__} has {is_now}"
    trees = _names_of_trees(owner)
    # The libraries tell of some parameters only where they were given.
    others = {*trees, *inspect.signature(type(owner).__init__).parameters} if trees else set()
    return None if resource in params or name in others else f"is no parameter of {type(estimator).__name__}"


def _clash(estimator: Any, resource: str) -> str | None:
    """Complain of two names for one number of trees: the other one would be used, or both refused."""
    owner, name = _owner(estimator, resource)
    trees, params = _names_of_trees(owner), _params(owner)
    if name not in trees:
        return None
    usual = inspect.signature(type(owner).__init__).parameters
    for other in trees:
        value = params.get(other)
        if other == name or value is None or (other in usual and usual[other].default == value):
            continue
        better = resource.removesuffix(name) + other
        return (
            f"resource={resource!r} is another name of {other!r}, and {type(owner).__name__} has {other}={value!r} "
            f"already. Give resource={better!r}, or leave {other} out of the estimator."
        )
    return None


def _owner(estimator: Any, resource: str) -> tuple[Any, str]:
    """Return who has a parameter, and what it is called there."""
    step, _, name = resource.rpartition("__")
    return (estimator.get_params(deep=True).get(step) if step else estimator), name


def _names_of_trees(owner: Any) -> tuple[str, ...]:
    """Return what the number of trees of a booster may be called; nothing for any other model."""
    library = library_of(owner)
    return () if library is None else TREES[library]


def _params(owner: Any) -> dict[str, Any]:
    return owner.get_params(deep=False) if hasattr(owner, "get_params") else {}


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _integers(estimator: Any) -> list[str]:
    """Return the integer parameters of an estimator and of all inside of it."""
    names = []
    for path, value in {"": estimator, **estimator.get_params(deep=True)}.items():
        if trees := _names_of_trees(value):  # the number may not be there by default
            names.append(f"{path}__{trees[0]}".removeprefix("__"))
        elif _is_integer(value):
            names.append(path)
    return list(dict.fromkeys(names))
