"""What all figures share: plotly if it is there, colours, axes, and texts that are nothing but texts."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from optuna_search._facts import Facts, Metric, Parameter, TrialFacts, Value
from optuna_search._tables import printable, shortened
from optuna_search._url import mask
from optuna_search.exceptions import NoResultError

#: Colours that can be told apart in light and in dark, by those who see colours in another way as well.
COLORS = {
    "COMPLETE": "#4a90d9",
    "PRUNED": "#9c8f7a",
    "FAIL": "#d1495b",
    "GIVEN UP": "#a78bba",
    "RUNNING": "#3fa37a",
    "best": "#e8871e",
}
#: From the worst to the best score.
SCALE = "Viridis"
#: Names and choices get no longer than this on an axis; titles of axes, choices aslant, and what stands beside an axis.
MAX_LABEL, MAX_TITLE, ASLANT, SHORT = 28, 24, 22, 15
#: Pixels between an axis and its title, and what the title of a figure takes above it.
STANDOFF, TITLE_HEIGHT = 8, 35
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
#: So many parameters of a trial are told where the pointer is.
MAX_TOLD = 8
#: What is worse than nine in ten scores by so many times their distance from the best is not on the axis.
MAX_REACH = 10.0
#: The share of an axis that is free at its ends; what is beyond stands within half of it.
PADDING = 0.05


def plotly_objects() -> Any:
    """Return the module of plotly that figures are made of.

    Raises
    ------
    ImportError
        If plotly is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise ImportError("Figures need plotly, which is not installed: pip install 'optuna-search[plots]'.") from error
    return graph_objects


#: Above the figure, where it takes nothing from its width.
LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}
#: The title of an axis is long from so many characters.
LONG_TITLE = 19


@dataclass(frozen=True)
class Cells:
    """How small figures stand beside each other, so that their texts have room in 500 pixels."""

    #: So many side by side.
    columns: int
    #: How high a row of them is, and how much of that the texts below them take, in pixels.
    height: int = 340
    below: int = 100


SHORT_TEXTS, LONG_TITLES, LONG_LABELS = Cells(3), Cells(2), Cells(2, height=430, below=180)


def figure(title: str, facts: Facts, **layout: Any) -> Any:
    """Return an empty figure."""
    return plotly_objects().Figure().update_layout(_look(title, facts) | layout)


def grid(
    title: str, facts: Facts, n_cells: int, cells: Cells, *, gap: float = 0.3, **layout: Any
) -> tuple[Any, list[dict[str, int]]]:
    """Return an empty figure of several small ones, `gap` of a column apart, and the place of each."""
    plotly_objects()
    from plotly.subplots import make_subplots

    columns = min(n_cells, cells.columns)
    rows = -(-n_cells // columns)
    below = cells.below / cells.height
    gaps = {"horizontal_spacing": gap / columns, "vertical_spacing": below / rows} if n_cells > 1 else {}
    height = {"height": cells.height * rows + 80} if rows > 1 else {}
    drawn = make_subplots(rows, columns, **gaps).update_layout(_look(title, facts) | height | layout)
    return drawn, [{"row": place // columns + 1, "col": place % columns + 1} for place in range(n_cells)]


def _look(title: str, facts: Facts) -> dict[str, Any]:
    heading = {"text": f"{title} · {text(facts.name, 60)}"}
    margin = {"l": 10, "r": 20, "t": 45 + TITLE_HEIGHT, "b": 10}  # an axis takes what its texts need
    return {"title": heading, "margin": margin, "hovermode": "closest", "legend": LEGEND}


def thinned(trials: Sequence[TrialFacts], metric: Metric, most: int) -> list[TrialFacts]:
    """Return trials from the worst to the best; of too many, the best, and an even part of the others."""
    ordered = sorted(trials, key=lambda trial: trial.by(metric).so_far, reverse=not metric.maximise)
    if len(ordered) <= most:
        return ordered
    others, best = ordered[: -most // 2], ordered[-most // 2 :]
    kept = np.linspace(0, len(others) - 1, most - len(best)).round().astype(int)
    return [*(others[i] for i in kept), *best]


# --- texts ------------------------------------------------------------------------------------------------------------


def text(anything: Any, width: int | None = None) -> str:
    """Return a text that plotly shows as it is: it takes some for markup, entities, templates, or formulas.

    Examples
    --------
    >>> "<b>" in text("<b>100%{x}</b>")
    False
    """
    plain = readable(anything)
    plain = plain if width is None else shortened(plain, width)
    # A character without width makes a tag none; a formula is between two dollar signs, here of another kind.
    for mark in ("<", "&", "%"):
        plain = plain.replace(mark, f"{mark}\u200b")
    return plain.replace("$", "\uff04")


def readable(anything: Any) -> str:
    """Return a text that steers no terminal, and holds no password of a URL."""
    plain = printable(str(anything))
    return mask(plain) if "://" in plain else plain


def labels(
    texts: Iterable[Any], width: int = MAX_LABEL, keep: Literal["start", "end", "ends"] = "start"
) -> dict[Any, str]:
    """Return a short label for each of some texts, no two the same.

    Examples
    --------
    >>> labels(["classifier__max_depth", "regressor__max_depth"], 12, keep="end")
    {'classifier__max_depth': '…__max_depth', 'regressor__max_depth': '…__max_de… 2'}
    >>> labels(["SVC(kernel='poly', degree=2)", "SVC(kernel='poly', degree=3)"], 12, keep="ends").values()
    dict_values(['SVC(ker…e=2)', 'SVC(ker…e=3)'])
    """
    found: dict[Any, str] = {}
    for one in dict.fromkeys(texts):
        whole, number = readable(one), 1
        short = whole if len(whole) <= width else _cut(whole, width, keep)
        while text(label := short if number == 1 else f"{shortened(short, width - 2)} {number}") in found.values():
            number += 1
        found[one] = text(label)
    return found


def _cut(whole: str, width: int, keep: str) -> str:
    n_last = {"start": 0, "ends": width // 3, "end": width - 1}[keep]
    return f"{whole[: width - 1 - n_last]}…{whole[len(whole) - n_last :]}"


def number(value: float) -> str:
    """Return a number in a few characters."""
    return f"{value:.4g}"


def shown(value: Value) -> str:
    """Return the value of a parameter as a text."""
    return number(value) if isinstance(value, float) else text(value, 80)


def told(trial: TrialFacts, metric: Metric, *, params: Collection[str] | None = None) -> str:
    """Return what is told of a trial where the pointer is, with some of its parameters, or the first of all."""
    found = trial.by(metric)
    spread = "" if math.isnan(found.error) else f" ± {found.error:.2g}"
    lines = [f"trial {trial.number}", f"{text(metric.name, MAX_LABEL)} {number(found.so_far)}{spread}"]
    if trial.state == "PRUNED":
        n_run = sum(not math.isnan(score) for score in found.folds)
        lines.append(f"pruned after {n_run} fold{'s' * (n_run != 1)}")
    if trial.failure is not None:
        lines.append(text(trial.failure, 80))
    if trial.origin is not None:
        lines.append(f"from {text(trial.origin, 60)}")
    asked = [(name, value) for name, value in trial.params.items() if params is None or name in params]
    lines += [f"{text(name, 60)} = {shown(value)}" for name, value in asked[:MAX_TOLD]]
    return "<br>".join([*lines, *(["…"] if len(asked) > MAX_TOLD else [])])


# --- axes -------------------------------------------------------------------------------------------------------------


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
    places = place_of(parameter).values()
    low, high = min(places), max(places)
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
    return {"type": kind, "tickmode": "array", "tickvals": marks, "ticktext": list(map(short_number, marks))}


def _candidates(parameter: Parameter) -> Iterator[list[float]]:
    """Yield what may be marked on an axis of numbers, the best first."""
    values = [float(value) for value in parameter.choices]
    if len(values) <= MAX_MARKS:
        yield values
    for digits, step in DENSITIES if parameter.is_log else ():
        decades = range(math.floor(math.log10(values[0])), math.ceil(math.log10(values[-1])) + 1)
        marks = [float(f"{digit}e{decade}") for decade in decades if decade % step == 0 for digit in digits]
        places = {
            mark: share_of(parameter, mark) for mark in marks if mark > 0
        }  # the smallest power of ten may be none
        if sum(0 <= place <= 1 for place in places.values()) > 1:  # a single one tells no distance
            yield [mark for mark, place in places.items() if -PADDING <= place <= 1 + PADDING]


def _have_room(marks: Sequence[float], parameter: Parameter) -> bool:
    """Whether the texts of marks have room one beside the other."""
    places = MAX_LEVEL * np.array([share_of(parameter, mark) for mark in marks])
    widths = np.array([len(short_number(mark)) for mark in marks])
    return bool(np.all(np.diff(places) > (widths[:-1] + widths[1:]) / 2 + 0.8))


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


# --- what there is to draw --------------------------------------------------------------------------------------------


def scored(facts: Facts, *metrics: Metric) -> list[TrialFacts]:
    """Return the complete trials with finite means by some metrics.

    Raises
    ------
    NoResultError
        If there are none.
    """
    found = facts.scored(*metrics)
    if not found:
        names = " and ".join(repr(metric.name) for metric in metrics)
        raise NoResultError(
            f"study_name={facts.name!r} has nothing to show: no trial of it has a score by {names} in every fold."
        )
    return found


def broken(lines: Iterable[Sequence[Any]]) -> list[Any]:
    """Return the points of several lines as those of one with gaps, which a browser draws much faster.

    Examples
    --------
    >>> broken([[1, 2], [3, 4]])
    [1, 2, None, 3, 4, None]
    """
    return [point for line in lines for point in (*line, None)]
