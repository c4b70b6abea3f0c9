"""The axes of figures: where they end, what is marked on them, and whether texts have room."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from optuna_search._drawing import (
    LONG_LABELS,
    LONG_TITLES,
    MAX_LABEL,
    SHORT,
    SHORT_TEXTS,
    Cells,
    labels,
    readable,
    text,
)
from optuna_search._facts import Metric, Parameter, Value

#: The titles of axes, and choices aslant, get no longer than this.
MAX_TITLE, ASLANT = 24, 22
#: Pixels between an axis and its title.
STANDOFF = 8
#: So many characters have room under a small figure, one beside the other.
MAX_LEVEL = 28
#: Aslant like this a label takes a line's height from its axis, and reaches no further than the axis beside it.
ANGLE = -60
#: Numbers that are so few are all written on their axis if there is room.
MAX_MARKS = 5
#: What is marked on an axis of logarithms, the first that there is room for: digits, and every how many decades.
DENSITIES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3), ((1,), 5), ((1,), 10)
)  # fmt: skip
#: What is worse than nine in ten scores by so many times their distance from the best is not on the axis.
MAX_REACH = 10.0
#: The share of an axis that is free at its ends; what is beyond stands within half of it.
PADDING = 0.05
#: The title of an axis is long from so many characters.
LONG_TITLE = 19


def window(values: Iterable[float], *, maximise: bool = True) -> tuple[float, float]:
    """Return the ends of an axis for some scores: all of them, but for what is so far off that it would hide the rest.

    Examples
    --------
    >>> low, high = window([0.97, 0.98, 0.96, 0.95, -1000.0])
    >>> -1 < low < 0.95 and high > 0.98
    True
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    if not finite.size:
        return 0.0, 1.0
    sign = 1.0 if maximise else -1.0
    scores = sign * finite
    best, usual = scores.max(), np.quantile(scores, 0.1, method="higher")
    reach = MAX_REACH * (best - usual)
    worst = max(scores.min(), usual - reach) if reach > 0 else scores.min()
    padding = PADDING * (best - worst) or abs(best) * PADDING or PADDING
    low, high = sorted((sign * (worst - padding), sign * (best + padding)))
    return float(low), float(high)


def within(values: Iterable[float], ends: tuple[float, float]) -> list[float | None]:
    """Return values as they can be drawn: those beyond the ends of an axis near its ends, and None for no number."""
    edge = (ends[1] - ends[0]) * PADDING / 2
    low, high = ends[0] + edge, ends[1] - edge
    return [None if math.isnan(value) else min(max(value, low), high) for value in values]


def place_of(parameter: Parameter) -> Mapping[Value, float]:
    """Return where on an axis each value of a parameter is: numbers where they are, choices one beside the other."""
    if parameter.is_number:
        return {value: float(value) for value in parameter.choices}
    return {value: float(place) for place, value in enumerate(parameter.choices)}


def share_of(parameter: Parameter, place: float) -> float:
    """Return how far along the axis of a parameter a place is, from 0 to 1."""
    ends = (parameter.choices[0], parameter.choices[-1]) if parameter.is_number else (0, len(parameter.choices) - 1)
    low, high = map(float, ends)
    low, high, place = (math.log(one) for one in (low, high, place)) if parameter.is_log else (low, high, place)
    return (place - low) / (high - low) if high > low else 0.5


def axis_of(parameter: Parameter, *, upright: bool = False) -> dict[str, Any]:
    """Return the axis of a parameter as plotly knows it."""
    title = {"text": labels([parameter.name], MAX_TITLE, keep="end")[parameter.name], "standoff": STANDOFF}
    shared = {"title": title, "automargin": True, "ticks": ""}
    if parameter.is_number:
        return {**shared, "tickformat": "~g", **_scale(parameter)}
    is_level = not upright and not _is_crowded(parameter)
    names = labels(parameter.choices, MAX_LABEL if is_level else SHORT if upright else ASLANT, keep="ends")
    return {
        **shared,
        "type": "linear",
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": list(names.values()),
        "range": [-0.6, len(names) - 0.4],
        "zeroline": False,
        "ticklabeloverflow": "allow",  # else plotly leaves out what it believes to have no room
        **({} if is_level or upright else {"tickangle": ANGLE}),
    }


def cells_of(across: Iterable[Parameter]) -> Cells:
    """Return how small figures with these parameters below them stand beside each other."""
    parameters = list(across)
    if any(not one.is_number and _is_crowded(one) for one in parameters):
        return LONG_LABELS
    return LONG_TITLES if any(len(one.name) >= LONG_TITLE for one in parameters) else SHORT_TEXTS


def _is_crowded(parameter: Parameter) -> bool:
    """Whether choices have no room one beside the other."""
    return sum(min(len(readable(choice)), MAX_LABEL) + 1 for choice in parameter.choices) > MAX_LEVEL


def _scale(parameter: Parameter) -> dict[str, Any]:
    """Return how an axis of numbers goes on, with no more marks than a small figure has room for."""
    kind = "log" if parameter.is_log else "linear"
    marks = next(filter(lambda marks: _have_room(marks, parameter), _candidates(parameter)), None)
    if marks is None:
        return {"type": kind, "nticks": 4 if parameter.is_log else 7}
    return {
        "type": kind,
        "tickmode": "array",
        "tickvals": marks,
        "ticktext": list(map(short_number, marks)),
        "tickangle": 0,
    }


def _candidates(parameter: Parameter) -> Iterator[list[float]]:
    """Yield what may be marked on an axis of numbers, the best first."""
    values = [float(value) for value in parameter.choices]
    if len(values) <= MAX_MARKS:
        yield values
    for digits, step in DENSITIES if parameter.is_log else ():
        decades = range(math.floor(math.log10(values[0])), math.ceil(math.log10(values[-1])) + 1)
        marks = [float(f"{digit}e{decade}") for decade in decades if decade % step == 0 for digit in digits]
        # The smallest power of ten may be none.
        places = {mark: share_of(parameter, mark) for mark in marks if mark > 0}
        if sum(0 <= place <= 1 for place in places.values()) > 1:  # a single one tells no distance
            yield [mark for mark, place in places.items() if -PADDING <= place <= 1 + PADDING]


def _have_room(marks: Sequence[float], parameter: Parameter) -> bool:
    """Whether the texts of marks have room one beside the other."""
    places = MAX_LEVEL * np.array([share_of(parameter, mark) for mark in marks])
    widths = np.array([len(short_number(mark)) for mark in marks])
    return bool(np.all(np.diff(places) > (widths[:-1] + widths[1:]) / 2 + 0.9))


def short_number(value: float) -> str:
    """Return the number of a mark in as few characters as there are.

    Examples
    --------
    >>> short_number(0.0001), short_number(0.02), short_number(128.0), short_number(2e6)
    ('1e-4', '0.02', '128', '2e6')
    """
    plain = f"{value:.6g}"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return plain
    digits, exponent = f"{value:.5e}".split("e")
    return min(plain, f"{float(digits):g}e{int(exponent)}", key=len)


def score_axis(metric: Metric, ends: tuple[float, float]) -> dict[str, Any]:
    """Return the axis of a metric as plotly knows it."""
    return {
        "title": {"text": text(metric.title, MAX_LABEL), "standoff": STANDOFF},
        "range": list(ends),
        "tickformat": "~g",
        "automargin": True,
        "zeroline": False,
    }
