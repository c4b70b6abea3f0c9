"""One parameter of a space: what the user may write for it, and what Optuna can store of it.

Each dimension translates between three forms of a value:

- the *value* that the estimator gets: any Python object;
- the *stored* value that Optuna samples and keeps: a number, or the token of a choice;
- the *kept* value of the record: a JSON number, or a token.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from optuna_search._tokens import digest, token

Stored: TypeAlias = "float | int | str"
#: The choices of one parameter by their texts, wherever in the space they stand.
Seen: TypeAlias = dict[str, list[Any]]

#: Types of which NumPy has relatives that count as the same.
_PLAIN = (numbers.Number, str, np.generic)

#: Quantiles of a distribution without bounds end here: its tails beyond have no finite value to try.
TAIL = 1e-6
#: Optuna keeps every number as a float, which holds whole numbers up to here.
LARGEST_WHOLE = 2**53
#: A stepped range or a discrete distribution with more values than this counts as infinite.
MAX_OPTIONS = 1_000_000
#: The same for a discrete distribution without bounds, of which everything between its far tails is counted.
MAX_ENDLESS = 1_000
#: Steps of quantiles that are smaller than this belong to no value any more: floats near 1 are that far apart.
SMALLEST_STEP = 1e-15


class named(Sequence[Any]):
    """Choices with names of their own.

    A storage keeps a readable token for each choice. Some objects have none that tells them apart, two
    lambdas for instance; a name does. It also works as a list of choices in scikit-learn's searches.

    Parameters
    ----------
    choices : mapping of str to object
        The name of each choice and the object it stands for.

    Raises
    ------
    SpaceError
        At ``fit``, if there is no choice in it.

    Examples
    --------
    >>> from optuna_search import named
    >>> list(named({"identity": None, "square": pow}).names)
    ['identity', 'square']
    """

    def __init__(self, choices: Mapping[str, Any]) -> None:
        self.choices = dict(choices)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order given."""
        return tuple(str(name) for name in self.choices)

    def __getitem__(self, index: Any) -> Any:
        return list(self.choices.values())[index]

    def __len__(self) -> int:
        return len(self.choices)

    def __repr__(self) -> str:
        return f"named({self.choices!r})"


@dataclass(frozen=True)
class Range:
    """The numbers of an Optuna range."""

    distribution: FloatDistribution | IntDistribution

    def stored_name(self, name: str) -> str:
        """Return the name under which Optuna stores the parameter."""
        return name

    def checked(self, stored: Any) -> Stored:
        """Return what a storage gave; ``ValueError`` if it lies outside."""
        self.stored(stored)
        return stored

    def value(self, stored: Stored) -> Any:
        """Return what the estimator gets."""
        return stored

    def kept(self, stored: Stored) -> Any:
        """Return what the record keeps."""
        return stored

    def stored(self, value: Any) -> Stored:
        """Return what Optuna stores for a value; ``ValueError`` if it lies outside."""
        whole = isinstance(self.distribution, IntDistribution)
        number = _number(value, numbers.Integral if whole else numbers.Real)
        number = int(number) if whole else float(number)
        low, high, step = self.distribution.low, self.distribution.high, self.distribution.step
        steps = (number - low) / step if step else 0.0
        if not low <= number <= high or abs(steps - round(steps)) > 1e-8:
            raise ValueError(f"{value!r} lies outside of {self.describe()}")
        if not step:
            return number
        # A stepped range is made of its own floats: 0.3 is not the third of its tenths, 3 * 0.1 is.
        return high if round(steps) == round((high - low) / step) else low + round(steps) * step

    def options(self) -> Sequence[Stored] | None:
        """Return every stored value, in order, or None where there is no end of them."""
        low, high, step = self.distribution.low, self.distribution.high, self.distribution.step
        if isinstance(self.distribution, IntDistribution):
            return range(int(low), int(high) + 1, int(step or 1))
        if low == high:
            return [low]
        if step is None or (count := round((high - low) / step) + 1) > MAX_OPTIONS:
            return None
        return [float(low + step * i) for i in range(count - 1)] + [high]

    def describe(self) -> str:
        """Return the range as a person would write it."""
        d = self.distribution
        whole = isinstance(d, IntDistribution)
        step = f", step {d.step}" if d.step not in (None, 1 if whole else None) else ""
        kind = "whole numbers" if whole else "numbers"
        return f"{kind} from {d.low} to {d.high}{', log' if d.log else ''}{step}"


@dataclass(frozen=True)
class Choices:
    """A sequence of choices, each known to the storage by its token."""

    values: tuple[Any, ...]
    tokens: tuple[str, ...]
    #: Tokens that stand for more than one choice; they are told apart by a number, in memory only.
    ambiguous: tuple[str, ...] = ()
    #: Whether the tokens are names that the user gave.
    by_name: bool = False

    @classmethod
    def of(cls, choices: Sequence[Any] | np.ndarray, seen: Seen | None = None) -> Choices:
        """Give every choice its token.

        Parameters
        ----------
        choices : sequence
            What the user wrote.
        seen : dict of str to list of object, default=None
            The choices of the same parameter elsewhere in the space by their texts: what looks like one of
            them and is another is told from it as well.
        """
        seen = {} if seen is None else seen
        by_name = isinstance(choices, named)
        names = [token(one).text for one in (choices.names if isinstance(choices, named) else choices)]
        texts, ambiguous = [], []
        for text, value in zip(names, choices, strict=True):
            twins = seen.setdefault(text, [])
            place = next((i for i, other in enumerate(twins) if is_same(value, other)), len(twins))
            if place == len(twins):
                twins.append(value)
            if place:
                ambiguous.append(text)
            texts.append(f"{text} #{place + 1}" if place else text)
        return cls(tuple(choices), tuple(texts), tuple(dict.fromkeys(ambiguous)), by_name)

    @cached_property
    def distribution(self) -> BaseDistribution:
        """The choices in an order of their own: the order in the code may change between runs."""
        return CategoricalDistribution(sorted(set(self.tokens), key=_reading_order))

    @cached_property
    def _objects(self) -> dict[str, Any]:
        return dict(zip(reversed(self.tokens), reversed(self.values), strict=True))

    def stored_name(self, name: str) -> str:
        """Return the name under which Optuna stores the parameter."""
        return name

    def checked(self, stored: Any) -> Stored:
        """Return what a storage gave; ``ValueError`` if it is the token of none of the choices."""
        if not isinstance(stored, str) or stored not in self._objects:
            raise ValueError(f"{stored!r} is none of the choices {self.describe()}")
        return stored

    def value(self, stored: Stored) -> Any:
        """Return what the estimator gets."""
        return self._objects[str(stored)]

    def kept(self, stored: Stored) -> Any:
        """Return what the record keeps."""
        return stored

    def stored(self, value: Any) -> Stored:
        """Return what Optuna stores for a value; ``ValueError`` if it is none of the choices."""
        for known, text in zip(self.values, self.tokens, strict=True):
            if is_same(known, value):
                return text
        # A copy of an object that says nothing of being equal is known by its text, if no other choice has it.
        text = token(value).text
        if not self.by_name and text in self._objects and text not in self.ambiguous:
            return text
        raise ValueError(f"{value!r} is none of the choices {self.describe()}")

    def options(self) -> Sequence[Stored]:
        """Return every stored value in the order of the code, duplicates included."""
        return self.tokens

    def describe(self) -> str:
        """Return the choices in an order that does not depend on the code's."""
        texts = ", ".join(repr(t) if ", " in t else t for t in sorted(set(self.tokens), key=_reading_order))
        return f"one of {'the names ' if self.by_name else ''}[{texts}]"


@dataclass(frozen=True)
class Quantiles:
    """A frozen scipy distribution, searched on its quantiles so that its shape is the prior."""

    frozen: Any

    @property
    def discrete(self) -> bool:
        """Whether the distribution is one of whole numbers."""
        return hasattr(self.frozen, "pmf")

    @cached_property
    def distribution(self) -> BaseDistribution:
        """The quantiles that have a finite value."""
        low, high = (float(q) for q in self.frozen.ppf([0.0, 1.0]))
        return FloatDistribution(0.0 if math.isfinite(low) else TAIL, 1.0 if math.isfinite(high) else 1.0 - TAIL)

    def stored_name(self, name: str) -> str:
        """Return the name under which Optuna stores the quantile."""
        return f"quantile({name})"

    def checked(self, stored: Any) -> Stored:
        """Return what a storage gave; ``ValueError`` if it is no quantile."""
        bounds = self.distribution
        assert isinstance(bounds, FloatDistribution)
        if not bounds.low <= _number(stored, numbers.Real) <= bounds.high:
            raise ValueError(f"{stored!r} is no quantile from {bounds.low} to {bounds.high}")
        return stored

    def value(self, stored: Stored) -> Any:
        """Return what the estimator gets: the value at this quantile."""
        # The quantile 0 of a discrete distribution is one below its first value.
        quantile = max(float(stored), np.finfo(float).tiny) if self.discrete else stored
        number = self.frozen.ppf(quantile)
        return int(number) if self.discrete else float(number)

    def kept(self, stored: Stored) -> Any:
        """Return what the record keeps: the value, for quantiles mean nothing to a reader."""
        return self.value(stored)

    def stored(self, value: Any) -> Stored:
        """Return the quantile of a value; ``ValueError`` if the distribution never takes it."""
        value = _number(value, numbers.Real)
        if self.discrete:
            quantile = float(self._middles(np.array([float(value)]))[0])
            if not float(value).is_integer() or math.isnan(quantile):
                raise ValueError(f"{value!r} is never drawn from {self.describe()}")
            return quantile
        low, high = self.frozen.support()
        if not low <= value <= high:
            raise ValueError(f"{value!r} is never drawn from {self.describe()}")
        bounds = self.distribution
        assert isinstance(bounds, FloatDistribution)
        return min(max(float(self.frozen.cdf(value)), bounds.low), bounds.high)

    def options(self) -> Sequence[Stored] | None:
        """Return the quantile of every value of a discrete distribution that can be drawn."""
        if not self.discrete or (values := self._values()) is None:
            return None
        quantiles = self._middles(values)
        return [float(quantile) for quantile in quantiles[~np.isnan(quantiles)]] or None

    def _values(self) -> np.ndarray | None:
        """Return the whole numbers among which all are that can be drawn; None where they are too many."""
        low, high = self.frozen.support()
        if math.isfinite(low) and math.isfinite(high):
            return np.arange(int(low), int(high) + 1) if high - low <= MAX_OPTIONS else None
        first = int(low) if math.isfinite(low) else int(self.frozen.median()) - MAX_ENDLESS // 2
        last = first + MAX_ENDLESS
        # Two values of the distribution function tell whether the tails lie within; a search for its quantiles may
        # take for ever where a tail is heavy.
        within = self.frozen.cdf(first - 1) <= TAIL and self.frozen.cdf(last) >= 1 - TAIL
        return np.arange(first, last + 1) if within else None

    def _middles(self, values: np.ndarray) -> np.ndarray:
        """Return the middle of each value's step of quantiles, so that no rounding moves it to a neighbour.

        NaN stands for a value that no quantile leads to: it is never drawn, or so far out in a tail that the
        steps there are too small for a float.
        """
        bounds = self.distribution
        assert isinstance(bounds, FloatDistribution)
        with np.errstate(all="ignore"):  # far out in the tails some functions of scipy have trouble with zeros
            below, upto = self.frozen.cdf(values - 1), self.frozen.cdf(values)
            low, high = np.maximum(below, bounds.low), np.minimum(upto, bounds.high)
            return np.where(high - low > SMALLEST_STEP, (low + high) / 2, np.nan)

    def describe(self) -> str:
        """Return the distribution as it is written in code."""
        name = self.frozen.dist.name
        if type(self.frozen.dist) is not type(getattr(sys.modules.get("scipy.stats"), str(name), None)):
            # Not one that scipy has by name, but made by the user: its values say what it is.
            shape = [f"{value:.6g}" for value in self.frozen.ppf(np.linspace(0.01, 0.99, 99))]
            return f"quantiles of {type(self.frozen.dist).__qualname__} #{digest(' '.join(shape), 8)}"
        return f"quantiles of {_written(self.frozen)}"


Dimension: TypeAlias = "Range | Choices | Quantiles"


def dimension(name: str, given: Any, seen: Seen | None = None) -> Dimension:
    """Return the dimension that a user's value stands for.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    given : object
        An Optuna distribution, a frozen scipy distribution, or a sequence of choices.
    seen : dict of str to list of object, default=None
        The choices of this parameter elsewhere in the space.

    Raises
    ------
    ValueError
        If it is none of them, with scikit-learn's words where scikit-learn has the same complaint.
    """
    if isinstance(given, CategoricalDistribution):
        given = given.choices
    if isinstance(given, FloatDistribution | IntDistribution):
        return _of_range(name, given)
    if isinstance(given, np.ndarray) and given.ndim != 1:
        raise ValueError(
            f"Parameter array for {name!r} should be one-dimensional, got: {given!r} with shape {given.shape}"
        )
    if isinstance(given, np.ndarray | Sequence) and not isinstance(given, str | bytes | bytearray | memoryview):
        if len(given) == 0:
            raise ValueError(f"Parameter grid for parameter {name!r} need to be a non-empty sequence, got: {given!r}")
        if isinstance(given, named) and not all(isinstance(n, str) for n in given.choices):
            raise ValueError(f"The choices of {name!r} are named by texts, got {given!r}.")
        return Choices.of(given, seen)
    if hasattr(given, "ppf") and hasattr(given, "support") and hasattr(given, "dist"):
        return _from_scipy(name, given)
    if isinstance(given, type) and issubclass(given, BaseDistribution):
        raise ValueError(f"Give {name!r} an instance of {given.__name__}, not the class: {given.__name__}(low, high).")
    if hasattr(given, "ppf") and hasattr(given, "freeze"):
        raise ValueError(
            f"Give {name!r} a distribution with its parameters: {given.name}(...) instead of {given.name}."
        )
    raise ValueError(
        f"Parameter grid for parameter {name!r} needs to be a list or a numpy array, but got {given!r} "
        f"(of type {type(given).__name__}) instead. Single values need to be wrapped in a list with one element. "
        "A distribution of optuna.distributions and a frozen scipy.stats distribution are accepted as well."
    )


def _of_range(name: str, given: FloatDistribution | IntDistribution) -> Range:
    """Return the dimension of a range, which anyone may have changed since Optuna looked at its bounds."""
    try:
        _check_bounds(name, given, given.low, given.high)
        if given.step is not None and not math.isfinite(given.step):
            raise ValueError(f"the step is {given.step}")
        return Range(_current(given))
    except (ValueError, TypeError) as error:
        said = str(error)
        raise ValueError(said if repr(name) in said else f"The range of {name!r}, {given!r}: {said}") from error


def _current(distribution: FloatDistribution | IntDistribution) -> FloatDistribution | IntDistribution:
    """Return a distribution as one of the two classes that Optuna has today, without its old relatives."""
    low, high, log, step = distribution.low, distribution.high, distribution.log, distribution.step
    if isinstance(distribution, IntDistribution):
        return IntDistribution(int(low), int(high), log=log, step=1 if step is None else int(step))
    return FloatDistribution(low + 0.0, high + 0.0, log=log, step=step)  # -0.0, which is no other number, gets 0.0


def _check_bounds(name: str, given: Any, low: float, high: float, *, finite: bool = True) -> None:
    """Refuse bounds that nothing can be drawn between."""
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"The distribution of {name!r} has no values: {given} makes no sense with these parameters.")
    if low > high:
        raise ValueError(f"The distribution of {name!r} has no values: {given!r} lies between {low} and {high}.")
    if finite and not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"The range of {name!r} must be finite, got {given!r}, from {low} to {high}.")
    if finite and not math.isfinite(float(high) - float(low)):
        raise ValueError(f"The range of {name!r} is wider than any float, from {low} to {high}.")
    if isinstance(given, IntDistribution):
        _check_whole(name, low, high)


def _check_whole(name: str, low: float, high: float) -> None:
    if max(abs(low), abs(high)) > LARGEST_WHOLE:
        raise ValueError(f"Whole numbers of {name!r} must be within +-2**53, got {low} to {high}.")
    if low != int(low) or high != int(high):
        raise ValueError(f"The bounds of {name!r} must be whole numbers, got {low} to {high}.")


def _from_scipy(name: str, frozen: Any) -> Dimension:
    """Return the Optuna range of a uniform distribution, the quantiles of any other."""
    low, high = _support(name, frozen)
    if frozen.dist.name in ("uniform", "loguniform", "reciprocal", "randint"):
        _check_bounds(name, _written(frozen), low, high)
    match frozen.dist.name:
        case "uniform":
            return Range(FloatDistribution(low, high))
        case "loguniform" | "reciprocal" if _location(frozen) == 0:
            return Range(FloatDistribution(low, high, log=True))
        case "randint":
            _check_whole(name, low, high)
            return Range(IntDistribution(int(low), int(high)))
    return Quantiles(frozen)


def _support(name: str, frozen: Any) -> tuple[float, float]:
    """Return the bounds of a scipy distribution, if it makes sense."""
    try:
        with np.errstate(all="ignore"):  # what comes of impossible parameters is what is checked here
            low, high = frozen.support()
    except Exception as error:
        raise ValueError(f"The distribution of {name!r}, {_written(frozen)}, makes no sense: {error}") from error
    if np.ndim(low) or np.ndim(high):
        raise ValueError(f"The distribution of {name!r} must be one of single numbers, got {_written(frozen)}.")
    _check_bounds(name, _written(frozen), low, high, finite=False)
    return float(low), float(high)


def _written(frozen: Any) -> str:
    """Return a frozen scipy distribution as it is written in code."""
    args = [_in_code(arg) for arg in frozen.args]
    args += [f"{name}={_in_code(value)}" for name, value in sorted(frozen.kwds.items())]
    return f"{frozen.dist.name}({', '.join(args)})"


def _in_code(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _location(frozen: Any) -> float:
    """Return how far a loguniform distribution was moved: one that was is log-uniform no more."""
    return float(frozen.args[2] if len(frozen.args) > 2 else frozen.kwds.get("loc", 0))


def example(dim: Dimension, place: float = 0.0) -> Stored:
    """Return some stored value of a dimension, to see what a space leads to.

    Parameters
    ----------
    place : float
        Where to take it, from 0, the first, to 1, the last.
    """
    if isinstance(dim, Quantiles):
        return 0.25 + place / 2
    if options := dim.options():
        return options[int(place * (len(options) - 1))]
    bounds = dim.distribution
    assert isinstance(bounds, FloatDistribution | IntDistribution)
    return bounds.low + place * (bounds.high - bounds.low)


def _number(value: Any, kind: type) -> Any:
    """Return a value that is a number; a bool is none."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, kind):
        raise ValueError(f"{value!r} is not a {'whole ' if kind is numbers.Integral else ''}number")
    number: Any = value
    try:
        float(number)
    except OverflowError:
        raise ValueError(f"{value!r} is larger than any float") from None
    return number


def is_same(one: Any, other: Any) -> bool:
    """Whether two choices are one choice, written twice."""
    if one is other:
        return True
    a, b = token(one), token(other)
    if a.text != b.text:
        return False
    if a.exact and b.exact:
        return isinstance(one, _PLAIN) or type(one) is type(other)
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # an object with an equality of its own kind
        return False


def _reading_order(text: Any) -> tuple[int, float, str]:
    """Sort numbers by size and before words."""
    try:
        return (0, float(text), text) if not math.isnan(float(text)) else (1, 0.0, text)
    except ValueError:
        return (1, 0.0, text)
