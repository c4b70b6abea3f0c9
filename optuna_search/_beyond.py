"""Where a fork looks first: in that part of a dimension which its parent could not reach.

A range is made wider, or a choice added, most often because the best value sits at an end or is missing. A sampler
that knows the old part by many trials and the new one by none leaves the old one step by step; a few points spread
over the new part tell it at once whether there is something to be found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

#: So many points in the new part of a range.
N_POINTS = 3

_Range = FloatDistribution | IntDistribution


def beyond(
    best: Mapping[str, Any],
    new: Mapping[str, BaseDistribution],
    old: Mapping[str, BaseDistribution],
    tried: Sequence[Mapping[str, Any]] = (),
) -> Iterator[dict[str, Any]]:
    """Yield the parent's best point with one value after the other that the parent could not try.

    Of a range that is the part beyond the end that the best value is nearer to; of choices, those that are new. Of a
    parameter that is new as well, these are all but the value that the parent's estimator had.

    Parameters
    ----------
    best : mapping
        The best point, as Optuna stores it.
    new, old : mapping of str to BaseDistribution
        The distributions of the fork and of the parent.
    tried : sequence of mapping
        The points that came over: what was a list of numbers reached from the least of them to the largest.

    Examples
    --------
    >>> wide, narrow = FloatDistribution(1, 1e7, log=True), FloatDistribution(1, 1e3, log=True)
    >>> [round(point["C"]) for point in beyond({"C": 900.0}, {"C": wide}, {"C": narrow})]
    [10000, 100000, 1000000]
    """
    for name, dist in new.items():
        was = old.get(name)
        values: Iterator[Any] = iter(())
        if isinstance(dist, _Range) and isinstance(was, _Range):
            values = _spread(best[name], dist, was.low, was.high)
        elif isinstance(dist, _Range) and isinstance(was, CategoricalDistribution):
            numbers = [point[name] for point in (*tried, best)]
            values = _spread(best[name], dist, min(numbers), max(numbers))
        elif isinstance(dist, CategoricalDistribution) and (was is None or isinstance(was, CategoricalDistribution)):
            known = [best[name]] if was is None else was.choices
            values = (choice for choice in dist.choices if choice not in known)
        for value in dict.fromkeys(values):
            yield {**best, name: value}


def _spread(at: float, new: _Range, old_low: float, old_high: float) -> Iterator[float | int]:
    """Yield values between an end of the old range and that of the new one, at equal distances."""
    if old_low == old_high or (new.log and old_low <= 0):
        return
    scale, back = (math.log, math.exp) if new.log else (float, float)
    low, high, place = scale(old_low), scale(old_high), scale(at)
    end, far = (high, scale(new.high)) if place > (low + high) / 2 else (low, scale(new.low))
    if low <= far <= high:
        return
    for i in range(1, N_POINTS + 1):
        yield _rounded(back(end + (far - end) * i / (N_POINTS + 1)), new)


def _rounded(value: float, dist: _Range) -> float | int:
    """Return the nearest value that a distribution has and that is short to read."""
    value = float(f"{value:.6g}")
    value = min(max(value, dist.low), dist.high)
    if dist.step:
        value = dist.low + round((value - dist.low) / dist.step) * dist.step
    return round(value) if isinstance(dist, IntDistribution) else value
