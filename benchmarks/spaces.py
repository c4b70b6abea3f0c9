"""One space in the dialect of each library.

The tasks tell their spaces in Optuna's distributions and in lists of choices. Those that are searched by hand, and the
libraries which cannot have objects as choices, get numbers for choices, and `decoded` makes parameters of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import loguniform, randint, uniform

Branch = Mapping[str, Any]
Space = Branch | list[dict[str, Any]]

#: The name of the parameter that says which dict of a list is drawn.
WHICH = "branch"
#: Libraries that know only lists of numbers get so many of a range.
FINE = 100


def branches(space: Space) -> list[Branch]:
    """Return the dicts of a conditional space; a plain one is its only dict."""
    return list(space) if isinstance(space, list) else [space]


def whole(dimension: Any) -> Any:
    """Return a range of whole numbers where it was told as floats with a step of one, which few libraries know."""
    if isinstance(dimension, FloatDistribution) and dimension.step is not None:
        assert dimension.step == 1 and dimension.low == int(dimension.low)
        return IntDistribution(int(dimension.low), int(dimension.high))
    return dimension


def is_range(dimension: Any) -> bool:
    return isinstance(dimension, FloatDistribution | IntDistribution)


def translated(space: Space, translate: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """Return the dicts of a space with each of their dimensions in another dialect."""
    return [{name: translate(whole(dim)) for name, dim in branch.items()} for branch in branches(space)]


def single(dicts: list[dict[str, Any]]) -> Any:
    """Return a list of dicts as scikit-learn takes it: one alone without the list."""
    return dicts[0] if len(dicts) == 1 else dicts


# ---------------------------------------------------------------- scikit-learn


class LogIntegers:
    """Whole numbers whose logarithm is uniform, which scipy does not have."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self._logs = uniform(math.log(low - 0.5), math.log(high + 0.5) - math.log(low - 0.5))

    def rvs(self, size: Any = None, random_state: Any = None) -> int:
        assert size is None
        drawn = round(math.exp(self._logs.rvs(random_state=random_state)))
        return min(max(drawn, self.low), self.high)


def scipy_dimension(dimension: Any) -> Any:
    if not is_range(dimension):
        return dimension
    if isinstance(dimension, IntDistribution):
        integers = LogIntegers if dimension.log else lambda low, high: randint(low, high + 1)
        return integers(dimension.low, dimension.high)
    low, high = dimension.low, dimension.high
    return loguniform(low, high) if dimension.log else uniform(low, high - low)


def evenly(dimension: Any, n: int) -> list[Any]:
    """Return `n` values of a dimension, the ends among them; of choices the first ones."""
    if not is_range(dimension):
        return list(dimension)[:n]
    low, high, fractions = dimension.low, dimension.high, np.linspace(0, 1, n) if n > 1 else np.array([0.5])
    values = low * (high / low) ** fractions if dimension.log else low + (high - low) * fractions
    if isinstance(dimension, IntDistribution):
        return sorted({round(value) for value in values})
    return [float(value) for value in values]


def size_of(dimension: Any) -> float:
    if not is_range(dimension):
        return len(dimension)
    return dimension.high - dimension.low + 1 if isinstance(dimension, IntDistribution) else math.inf


def grid(branch: Branch, most: int) -> dict[str, list[Any]]:
    """Return a grid of at most so many points: all choices, and of ranges as many values each as there is room for."""
    dims = {name: whole(dim) for name, dim in branch.items()}
    counts = {name: 1 if is_range(dim) else len(dim) for name, dim in dims.items()}
    assert math.prod(counts.values()) <= most
    grown = True
    while grown:
        grown = False
        for name, dim in dims.items():
            more = counts | {name: counts[name] + 1}
            if is_range(dim) and counts[name] < size_of(dim) and math.prod(more.values()) <= most:
                counts, grown = more, True
    return {name: evenly(dim, counts[name]) for name, dim in dims.items()}


# ---------------------------------------------------------------- libraries that draw for us


def optuna_dimension(dimension: Any) -> Any:
    return dimension if is_range(dimension) else CategoricalDistribution(dimension)


def skopt_dimension(dimension: Any) -> Any:
    from skopt.space import Categorical, Integer, Real

    if not is_range(dimension):
        return Categorical(dimension)
    kind = Integer if isinstance(dimension, IntDistribution) else Real
    return kind(dimension.low, dimension.high, prior="log-uniform" if dimension.log else "uniform")


def genetic_dimension(dimension: Any) -> Any:
    from sklearn_genetic.space import Categorical, Continuous, Integer

    if not is_range(dimension):
        return Categorical(list(dimension))
    if isinstance(dimension, IntDistribution):
        return Integer(dimension.low, dimension.high)  # it has no logarithmic whole numbers
    return Continuous(dimension.low, dimension.high, distribution="log-uniform" if dimension.log else "uniform")


def flaml_dimension(dimension: Any) -> Any:
    from flaml import tune

    if not is_range(dimension):
        return tune.choice(list(range(len(dimension))))
    if isinstance(dimension, IntDistribution):
        return (tune.lograndint if dimension.log else tune.randint)(dimension.low, dimension.high + 1)
    return (tune.loguniform if dimension.log else tune.uniform)(dimension.low, dimension.high)


def hyperopt_dimension(label: str, dimension: Any) -> Any:
    from hyperopt import hp

    if not is_range(dimension):
        return hp.choice(label, list(range(len(dimension))))
    low, high = dimension.low, dimension.high
    if isinstance(dimension, IntDistribution):
        if not dimension.log:
            return hp.uniformint(label, low, high)
        return hp.qloguniform(label, math.log(low - 0.5), math.log(high + 0.5), 1)
    return hp.loguniform(label, math.log(low), math.log(high)) if dimension.log else hp.uniform(label, low, high)


def listed(dimension: Any) -> list[Any]:
    """Return a dimension as a list of numbers: places of choices, the values of a range, finely."""
    if not is_range(dimension):
        return list(range(len(dimension)))
    return evenly(dimension, int(min(FINE, size_of(dimension))))


# ---------------------------------------------------------------- searches by hand


def suggested(trial: Any, space: Space) -> dict[str, Any]:
    """Return the parameters that a trial of Optuna's draws, in its define-by-run style."""
    dicts = branches(space)
    which = trial.suggest_categorical(WHICH, range(len(dicts))) if len(dicts) > 1 else 0
    params = {}
    for name, dim in dicts[which].items():
        label = f"{which} {name}"
        if isinstance(dim, FloatDistribution):
            params[name] = trial.suggest_float(label, dim.low, dim.high, log=dim.log, step=dim.step)
        elif isinstance(dim, IntDistribution):
            params[name] = trial.suggest_int(label, dim.low, dim.high, log=dim.log)
        else:
            params[name] = dim[trial.suggest_categorical(label, range(len(dim)))] if len(dim) > 1 else dim[0]
    return params


def decoded(branch: Branch, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that numbers stand for."""
    return {name: value_of(whole(dim), numbers[name]) for name, dim in branch.items()}


def value_of(dimension: Any, number: Any) -> Any:
    if not is_range(dimension):
        return dimension[int(number)]
    if isinstance(dimension, IntDistribution):
        return min(max(round(number), dimension.low), dimension.high)
    return float(number)
