"""What all figures share: plotly if it is there, colours, and texts that are nothing but texts."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from optuna_search._facts import Facts, Metric, TrialFacts, Value
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
#: Names get no longer than this beside a figure, and what stands beside an axis.
MAX_LABEL, SHORT = 28, 15
#: Pixels that the title of a figure takes above it.
TITLE_HEIGHT = 35
#: A legend above the figure, where it takes nothing from its width.
LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}
#: So many parameters of a trial are told where the pointer is.
MAX_TOLD = 8


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
