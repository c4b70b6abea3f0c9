"""What all figures share: plotly if it is there, colours, axes, and texts that are nothing but texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
#: Names and choices get no longer than this on an axis.
MAX_LABEL = 28
#: Pixels between an axis and its title, and what the title of a figure takes above it.
STANDOFF, TITLE_HEIGHT = 8, 35
#: So many characters have room under a small figure.
MAX_LEVEL = 32
#: Numbers that are so few are all written on their axis.
MAX_MARKS = 5
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
LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
#: So many small figures stand side by side.
COLUMNS = 3
#: How high a row of them is, in pixels.
ROW_HEIGHT = 340


def figure(title: str, facts: Facts, **layout: Any) -> Any:
    """Return an empty figure."""
    return plotly_objects().Figure().update_layout(_look(title, facts) | layout)


def grid(
    title: str, facts: Facts, n_cells: int, *, gap: float = 0.3, **layout: Any
) -> tuple[Any, list[dict[str, int]]]:
    """Return an empty figure of several small ones, `gap` of a column apart, and the place of each."""
    plotly_objects()
    from plotly.subplots import make_subplots

    columns = min(n_cells, COLUMNS)
    rows = -(-n_cells // columns)
    gaps = {"horizontal_spacing": gap / columns, "vertical_spacing": 0.3 / rows} if n_cells > 1 else {}
    height = {"height": ROW_HEIGHT * rows + 80} if rows > 1 else {}
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


def labels(texts: Iterable[Any], width: int = MAX_LABEL, keep: Literal["start", "end"] = "start") -> dict[Any, str]:
    """Return a short label for each of some texts, no two the same.

    Examples
    --------
    >>> labels(["classifier__max_depth", "regressor__max_depth"], 12, keep="end")
    {'classifier__max_depth': '…__max_depth', 'regressor__max_depth': '…__max_de… 2'}
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
    return shortened(whole, width) if keep == "start" else f"…{whole[1 - width :]}"


def number(value: float) -> str:
    """Return a number in a few characters."""
    return f"{value:.4g}"


def shown(value: Value) -> str:
    """Return the value of a parameter as a text."""
    return number(value) if isinstance(value, float) else text(value, 80)


def told(trial: TrialFacts, metric: Metric, *, with_params: bool = True) -> str:
    """Return what is told of a trial where the pointer is."""
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
    params = list(trial.params.items()) if with_params else []
    lines += [f"{text(name, 60)} = {shown(value)}" for name, value in params[:MAX_TOLD]]
    return "<br>".join([*lines, *(["…"] if len(params) > MAX_TOLD else [])])


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


def axis_of(parameter: Parameter, width: int = MAX_LABEL, *, upright: bool = False) -> dict[str, Any]:
    """Return the axis of a parameter as plotly knows it."""
    title = {"text": labels([parameter.name], MAX_LABEL, keep="end")[parameter.name], "standoff": STANDOFF}
    if parameter.is_number:
        return {"title": title, "tickformat": "~g", "automargin": True, "ticks": "", **_scale(parameter)}
    names = labels(parameter.choices, width)
    # Set aslant by plotly itself, some would be left out.
    angle = {"tickangle": -35} if not upright and sum(map(len, names.values())) > MAX_LEVEL else {}
    return {
        "title": title,
        "type": "linear",
        "ticks": "",
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": list(names.values()),
        "range": [-0.6, len(names) - 0.4],
        "automargin": True,
        "zeroline": False,
        **angle,
    }


def _scale(parameter: Parameter) -> dict[str, Any]:
    """Return how an axis of numbers goes on, with no more marks than a small figure has room for."""
    kind = "log" if parameter.is_log else "linear"
    if len(parameter.choices) <= MAX_MARKS:
        return {"type": kind, "tickmode": "array", "tickvals": parameter.choices}
    if not parameter.is_log:
        return {"type": kind, "nticks": 7}
    decades = math.log10(float(parameter.choices[-1]) / float(parameter.choices[0]))
    return {"type": kind, **({"dtick": math.ceil(decades / 4.5)} if decades > 1.5 else {"nticks": 4})}


def score_axis(metric: Metric, ends: tuple[float, float]) -> dict[str, Any]:
    """Return the axis of a metric as plotly knows it."""
    return {
        "title": {
            "text": text(metric.name, MAX_LABEL) + ("" if metric.maximise else ", seconds"),
            "standoff": STANDOFF,
        },
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
