"""Spaces of any kind, from Hypothesis, that can be made again and again: each time of new objects, or in other words.

A `Recipe` says what a space is. ``made()`` makes it as a user would; ``made(rng)`` makes an equal one, in another order
and spelling: choices in a list, a tuple or a distribution of Optuna's, numbers as Python's or NumPy's, ranges as
Optuna's or scipy's. ``key`` is what two recipes share exactly if their spaces are one space.
"""

import copy
import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.stats
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from test_spaces import FROZEN, LOOKALIKES, ranges
from test_tokens import ARRAYS, DIFFERENT, SUSPICIOUS, plain_data

from optuna_search import named

#: What is no data and can be told apart by whoever looks at it.
OBJECTS = [one for one in (*DIFFERENT, *ARRAYS) if type(one) not in (bool, int, str, list, tuple)]


def typed(value: Any) -> Hashable:
    """Return what two values share if they are equal in type and in every part; NumPy's numbers are Python's."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple | list):
        return type(value).__name__, tuple(map(typed, value))
    if isinstance(value, set | frozenset):
        return type(value).__name__, frozenset(map(typed, value))
    if isinstance(value, dict):
        return "dict", frozenset((typed(key), typed(item)) for key, item in value.items())
    return type(value).__name__, repr(value)


# --- choices ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """One choice."""

    value: Any = field(repr=False)
    #: What two choices share if they are one.
    key: Hashable

    def made(self, rng: random.Random | None = None) -> Any:
        """Make it anew, with a generator in one of the ways to write it."""
        value = copy.deepcopy(self.value)
        if rng is None or rng.random() < 0.5:
            return value
        match value:
            case bool():
                return np.bool_(value)
            case int() if type(value) is int and abs(value) < 2**31:
                return rng.choice([np.int64, np.int32])(value)
            case float():
                return np.float64(value)
            case str() if type(value) is str and not value.endswith("\0"):
                return np.str_(value)
        return value


CHOICES = st.one_of(
    (st.sampled_from([*LOOKALIKES, *SUSPICIOUS]) | plain_data).map(lambda value: Choice(value, typed(value))),
    st.integers(0, len(OBJECTS) - 1).map(
        lambda number: Choice(OBJECTS[number], ("object", number, repr(OBJECTS[number])))
    ),
)


# --- dimensions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dimension:
    """What one parameter may be."""

    #: Makes it, or with a generator something equal.
    made: Callable[[random.Random | None], Any] = field(repr=False)
    key: Hashable


def among(choices: Sequence[Choice]) -> Dimension:
    """Return some choices."""

    def made(rng: random.Random | None) -> Any:
        if rng is None:
            return [choice.made() for choice in choices]
        values = [choice.made(rng) for choice in rng.sample(choices, len(choices))]
        are_optunas = all(type(value) in (type(None), bool, int, float, str) for value in values)
        return rng.choice([list, tuple, *[CategoricalDistribution] * are_optunas])(values)

    return Dimension(made, ("among", frozenset(choice.key for choice in choices)))


def by_name(choices: Mapping[str, Choice]) -> Dimension:
    """Return choices with names of their own, by which alone they are known."""

    def made(rng: random.Random | None) -> Any:
        names = [*choices] if rng is None else rng.sample([*choices], len(choices))
        return named({name: choices[name].made(rng) for name in names})

    return Dimension(made, ("by name", frozenset(choices)))


def numbers(distribution: FloatDistribution | IntDistribution) -> Dimension:
    """Return a range of Optuna's."""

    def made(rng: random.Random | None) -> Any:
        return distribution if rng is None else rng.choice([distribution, *_of_scipy(distribution)])

    d = distribution
    return Dimension(made, ("numbers", type(d).__name__, d.low + 0, d.high + 0, d.log, d.step))


def _of_scipy(distribution: FloatDistribution | IntDistribution) -> list[Any]:
    """Return the distribution of scipy's that is this range, if there is one."""
    low, high = distribution.low, distribution.high
    match distribution:
        case IntDistribution(step=1, log=False):
            return [scipy.stats.randint(low, high + 1)]
        case FloatDistribution(step=None, log=False) if low < high == low + (high - low):
            return [scipy.stats.uniform(low, high - low)]
        case FloatDistribution(step=None, log=True) if low < high:
            return [scipy.stats.loguniform(low, high)]
    return []


def shape(name: str) -> Dimension:
    """Return a distribution of scipy's that is searched on its quantiles."""
    return Dimension(lambda _: copy.deepcopy(FROZEN[name]), ("shape", name))


DIMENSIONS = st.one_of(
    st.lists(CHOICES, min_size=1, max_size=4, unique_by=lambda choice: choice.key).map(among),
    CHOICES.map(lambda choice: among([choice])),
    st.dictionaries(st.text(min_size=1, max_size=5) | st.sampled_from(SUSPICIOUS), CHOICES, min_size=1, max_size=3).map(
        by_name
    ),
    ranges().map(numbers),
    st.sampled_from(sorted(FROZEN)).map(shape),
)


# --- spaces -----------------------------------------------------------------------------------------------------------

#: Names of parameters, some of which look like those that the library makes of others.
NAMES = ["x", "y", "model__C", "é 名", "x (1)", "quantile(x)"]


@dataclass(frozen=True)
class Recipe:
    """A space: a dict, or a list of dicts."""

    dicts: Sequence[Mapping[str, Dimension]]

    @property
    def key(self) -> Hashable:
        """What two recipes share if their spaces are one; a dict that is written twice has its rows twice."""
        return frozenset(Counter(frozenset((name, dim.key) for name, dim in one.items()) for one in self.dicts).items())

    def made(self, rng: random.Random | None = None) -> Any:
        """Make the space; with a generator, an equal one in other words."""

        def shuffled(things: Sequence[Any]) -> Sequence[Any]:
            return things if rng is None else rng.sample(things, len(things))

        dicts = [{name: one[name].made(rng) for name in shuffled([*one])} for one in shuffled(self.dicts)]
        return dicts[0] if len(dicts) == 1 else dicts


RECIPES = st.lists(st.dictionaries(st.sampled_from(NAMES), DIMENSIONS, max_size=3), min_size=1, max_size=3).map(Recipe)


@st.composite
def other_recipes(draw: Any, recipe: Recipe) -> Recipe:
    """Return a recipe that differs in one dimension; its space may be the same one after all."""
    dicts = [dict(one) for one in recipe.dicts]
    one = draw(st.sampled_from(dicts))
    name = draw(st.sampled_from([*one, *NAMES]))
    if name in one and draw(st.booleans()):
        del one[name]
    else:
        one[name] = draw(DIMENSIONS)
    return Recipe(dicts)
