"""Figures whose axes are parameters: which matter, and where in them the good scores are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from optuna_search._axes import axis_of, cells_of, place_of, score_axis, share_of, short_number, window, within
from optuna_search._drawing import (
    COLORS,
    MAX_LABEL,
    SCALE,
    SHORT,
    broken,
    figure,
    grid,
    labels,
    plotly_objects,
    scored,
    text,
    thinned,
    told,
)
from optuna_search._facts import Facts, Metric, Parameter, TrialFacts
from optuna_search._hints import did_you_mean
from optuna_search._importance import MIN_TRIALS, importances_of
from optuna_search.exceptions import InvalidRequestError, NoResultError

#: So many parameters are drawn where nobody says which, the most important ones.
N_BARS, N_SLICES, N_LINES = 20, 9, 8
#: The colours of bars, one metric beside the other.
BARS = (COLORS["COMPLETE"], COLORS["best"], COLORS["RUNNING"])
#: So many pairs of them have a contour.
N_PAIRS = 3
#: A contour is drawn for two parameters that so many trials have both of.
MIN_TOGETHER = 4
#: The points of a contour from one end to the other, and how far a trial tells of its surroundings, as a share of that.
N_POINTS, REACH = 50, 0.08
#: Further than so many times that from all trials there is nothing to tell.
FAR = 2.0
#: So many trials are drawn as points of a slice or a contour.
MAX_POINTS = 1000
#: So many trials are drawn as lines, in so many colours.
MAX_LINES, N_COLORS = 400, 10


# --- which parameters -------------------------------------------------------------------------------------------------


def ranked(facts: Facts, metric: Metric, names: Sequence[str] | None, n: int) -> list[str]:
    """Return the parameters that are asked for, or the most important ones.

    Raises
    ------
    InvalidRequestError
        If one of those that are asked for was not searched.
    NoResultError
        If there is none that has more than one value.
    """
    there = [one.name for one in facts.parameters(scored(facts, metric))]
    if names is not None:
        for name in names:
            if name not in there:
                hint = did_you_mean(str(name), there)
                raise InvalidRequestError(f"params={name!r}: no parameter with several values is called so. {hint}")
        return list(dict.fromkeys(names))
    if not there:
        raise NoResultError(f"study_name={facts.name!r} has nothing to draw: no parameter has more than one value.")
    return by_importance(facts, metric, importances_of(facts, metric))[:n]


def by_importance(facts: Facts, metric: Metric, shares: Mapping[str, float]) -> list[str]:
    """Return the parameters that have more than one value, the most important ones first."""
    there = [one.name for one in facts.parameters(facts.scored(metric))]
    return list(dict.fromkeys([*shares, *there]))


def pairs_of(facts: Facts, metric: Metric, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of parameters that some trials have both of."""
    trials = facts.scored(metric)

    def are_together(one: str, other: str) -> bool:
        points = {(t.params[one], t.params[other]) for t in trials if one in t.params and other in t.params}
        return len(points) >= MIN_TOGETHER and all(len(set(values)) > 1 for values in zip(*points, strict=True))

    return [pair for pair in itertools.combinations(names, 2) if are_together(*pair)]


# --- importances ------------------------------------------------------------------------------------------------------


def importances(facts: Facts, shares: Mapping[Metric, Mapping[str, float]]) -> Any:
    """Return how much of the differences between trials each parameter accounts for, by each of some metrics."""
    plotly_objects()
    metrics = list(shares)
    names = list(shares[metrics[0]])[:N_BARS]
    if not names:
        raise NoResultError(
            f"study_name={facts.name!r} is too small to tell what matters: it takes {MIN_TRIALS} complete trials that "
            "differ."
        )
    colors = zip(metrics, itertools.cycle(BARS), strict=False)
    bars = [_bars(shares[metric], names, metric, color) for metric, color in colors]
    short = labels(names, MAX_LABEL, keep="end")
    return figure(
        "Importances",
        facts,
        xaxis={
            "title": {"text": "share of the differences"},
            "tickformat": ".0%",
            "rangemode": "tozero",
            "automargin": True,
        },
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": [short[name] for name in names],
            "range": [len(names) - 0.4, -0.6],
            "automargin": True,
        },
        showlegend=len(metrics) > 1,
        height=160 + 26 * len(names) * len(metrics) ** 0.5,
    ).add_traces(bars)


def _bars(shares: Mapping[str, float], names: Sequence[str], metric: Metric, color: str) -> Any:
    """Return the shares of parameters by one metric."""
    found = [shares.get(name, 0.0) for name in names]
    return plotly_objects().Bar(
        name=text(metric.name, MAX_LABEL),
        x=found,
        y=list(range(len(names))),
        orientation="h",
        marker={"color": color},
        text=[f"{share:.0%}" if share >= 0.01 else f"{text('<')}1%" for share in found],
        textposition="outside",
        cliponaxis=False,
        hovertemplate=[f"{text(name, 80)}: %{{x:.1%}}<extra></extra>" for name in names],
    )


# --- slices -----------------------------------------------------------------------------------------------------------


def slices(facts: Facts, metric: Metric, names: Sequence[str]) -> Any:
    """Return the scores by one parameter after the other."""
    complete = thinned(scored(facts, metric), metric, MAX_POINTS)
    pruned = thinned([t for t in facts.trials if t.state == "PRUNED"], metric, MAX_POINTS // 2)
    ends = window([trial.mean(metric) for trial in complete], maximise=metric.maximise)
    best = metric.best([trial.mean(metric) for trial in complete])
    groups = {
        "pruned": (pruned, COLORS["PRUNED"], "x-thin-open", 6),
        "complete": (complete, COLORS["COMPLETE"], "circle", 6),
        "the best": ([t for t in complete if t.mean(metric) == best][:1], COLORS["best"], "star", 13),
    }
    everywhere = [trial for trials, *_ in groups.values() for trial in trials]
    parameters = [facts.parameter(name, everywhere) for name in names]
    drawn, places = grid("Slices", facts, len(names), cells_of(parameters))
    for parameter, place in zip(parameters, places, strict=True):
        name, at = parameter.name, place_of(parameter)
        drawn.update_xaxes(axis_of(parameter), **place)
        drawn.update_yaxes(score_axis(metric, ends), **place)
        for what, (trials, color, symbol, size) in groups.items():
            there = [trial for trial in trials if name in trial.params]
            if there:
                drawn.add_scatter(
                    name=what,
                    x=[_spread_out(at[_as(parameter, t)], t, parameter) for t in there],
                    y=within([trial.by(metric).so_far for trial in there], ends),
                    mode="markers",
                    marker={"color": color, "symbol": symbol, "size": size, "line": {"color": color, "width": 1}},
                    opacity=1.0 if what == "the best" else min(max(150 / len(there), 0.4), 0.8),
                    text=[told(t, metric, params=[name]) for t in there],
                    hovertemplate="%{text}<extra></extra>",
                    showlegend=place == places[0],
                    legendgroup=what,
                    **place,
                )
    return drawn


def _as(parameter: Parameter, trial: TrialFacts) -> Any:
    """Return the value of a trial as its parameter has it: a number among words is one of them."""
    value = trial.params[parameter.name]
    return value if parameter.is_number else str(value)


def _spread_out(place: float, trial: TrialFacts, parameter: Parameter) -> float:
    """Return where a trial stands: those of one choice stand side by side, always in the same way."""
    golden = (math.sqrt(5) - 1) / 2
    return place if parameter.is_number else place + (trial.number * golden % 1 - 0.5) * 0.5


# --- contours ---------------------------------------------------------------------------------------------------------


def contours(facts: Facts, metric: Metric, pairs: Sequence[tuple[str, str]]) -> Any:
    """Return the scores by two parameters at a time."""
    if not pairs:
        raise NoResultError(
            f"study_name={facts.name!r} has no contour to draw: no two of the parameters are together in "
            f"{MIN_TOGETHER} different trials."
        )
    trials = scored(facts, metric)
    ends = window([trial.mean(metric) for trial in trials], maximise=metric.maximise)
    having = [[trial for trial in trials if {*pair} <= trial.params.keys()] for pair in pairs]
    axes = [[facts.parameter(name, there) for name in pair] for pair, there in zip(pairs, having, strict=True)]
    drawn, places = grid("Contours", facts, len(pairs), cells_of(across for across, _ in axes), gap=0.55)
    drawn.update_layout(coloraxis=_colors(metric, ends))
    for (across, up), there, place in zip(axes, having, places, strict=True):
        drawn.update_xaxes(axis_of(across), **place)
        drawn.update_yaxes(axis_of(up, upright=True), **place)
        for trace in _contour(there, across, up, metric, ends):
            drawn.add_trace(trace, **place)
    return drawn


def _colors(metric: Metric, ends: tuple[float, float]) -> dict[str, Any]:
    """Return the colours of scores, with a bar that says which is which."""
    title = {"text": text(metric.name, MAX_LABEL), "side": "right"}
    return {
        "colorscale": SCALE,
        "reversescale": not metric.maximise,
        "cmin": ends[0],
        "cmax": ends[1],
        # One that lies above the figure takes the titles of its axes along.
        "colorbar": {"title": title, "tickformat": "~g", "nticks": 5, "thickness": 10, "x": 1.01, "xpad": 4},
    }


def _contour(
    trials: Sequence[TrialFacts], across: Parameter, up: Parameter, metric: Metric, ends: tuple[float, float]
) -> Iterator[Any]:
    """Yield the surface of two parameters, and the trials that it is made from."""
    go = plotly_objects()
    scores = np.clip([trial.mean(metric) for trial in trials], *ends)
    (x, near_x), (y, near_y) = (_nearness(one) for one in (across, up))
    weights = near_y[:, None, :] * near_x[None, :, :]
    total = weights.sum(axis=2)
    # How near the nearest trial is says whether there is anything to tell.
    is_known = weights.max(axis=2) > math.exp(-0.5 * FAR**2)
    surface = np.where(is_known, weights @ scores / np.maximum(total, 1e-300), np.nan)
    z = [[None if math.isnan(value) else float(value) for value in row] for row in surface]
    shape = {"x": x, "y": y, "z": z, "coloraxis": "coloraxis", "hovertemplate": "about %{z:.4g}<extra></extra>"}
    if across.is_number and up.is_number:
        yield go.Contour(
            **shape, contours={"coloring": "heatmap"}, line={"width": 0.5, "color": "rgba(128,128,128,0.5)"}
        )
    else:
        yield go.Heatmap(**shape)
    at_x, at_y = place_of(across), place_of(up)
    trials = thinned(trials, metric, MAX_POINTS)
    yield go.Scatter(
        x=[_spread_out(at_x[_as(across, t)], t, across) for t in trials],
        y=[_spread_out(at_y[_as(up, t)], t, up) for t in trials],
        mode="markers",
        marker={"size": 5 if len(trials) < 300 else 3, "color": "#202020", "line": {"color": "#e0e0e0", "width": 0.7}},
        opacity=min(max(150 / len(trials), 0.25), 0.9),
        text=[told(t, metric, params=(across.name, up.name)) for t in trials],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _nearness(parameter: Parameter) -> tuple[list[float], np.ndarray]:
    """Return the places of an axis that a surface has, and how near each trial is to each of them, from 0 to 1."""
    at = place_of(parameter)
    places = np.array([at[value] for value in parameter.values if value is not None])
    if not parameter.is_number:
        cells = np.arange(len(at), dtype=float)
        return cells.tolist(), (cells[:, None] == places[None, :]).astype(float)
    places = np.log(places) if parameter.is_log else places
    width = REACH * np.ptp(places)
    cells = np.linspace(places.min() - width, places.max() + width, N_POINTS)
    nearness = np.exp(-0.5 * ((cells[:, None] - places[None, :]) / width) ** 2)
    return (np.exp(cells) if parameter.is_log else cells).tolist(), nearness


# --- parallel coordinates ---------------------------------------------------------------------------------------------


def parallel_coordinates(facts: Facts, metric: Metric, names: Sequence[str]) -> Any:
    """Return each trial as a line through its score and its parameters."""
    trials = thinned(scored(facts, metric), metric, MAX_LINES)
    ends = window([trial.mean(metric) for trial in trials], maximise=metric.maximise)
    score = Parameter(metric.name, tuple(min(max(t.mean(metric), ends[0]), ends[1]) for t in trials), True, False)
    axes = [score, *(facts.parameter(name, trials) for name in names)]
    heights = [_heights(one) for one in axes]
    names_of = labels([one.name for one in axes], SHORT, keep="end")
    drawn = figure(
        "Parallel coordinates",
        facts,
        xaxis={
            "tickmode": "array",
            "tickvals": list(range(len(axes))),
            "ticktext": [names_of[one.name] for one in axes],
            "range": [-0.45, len(axes) - 0.25],  # the first title, and what is written beside the last axis
            "ticklabeloverflow": "allow",
            "showgrid": False,
            "zeroline": False,
            "side": "top",
            "tickangle": 0,
            "tickfont": {"size": 11},
            "fixedrange": True,
        },
        yaxis={"range": [-0.15, 1.06], "visible": False, "fixedrange": True},
        showlegend=False,
        shapes=[
            {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "line": {"color": "#888888", "width": 1}}
            for place in range(len(axes))
        ],
        annotations=[
            {"x": place, "y": height, "text": tick, "showarrow": False, "xanchor": "left", "xshift": 4}
            | {"font": {"size": 10}}
            for place, one in enumerate(axes)
            for height, tick in _ticks(one).items()
        ],
    )
    for bundle in _bundles(trials, heights, metric):
        drawn.add_scatter(**bundle)
    return drawn


#: So many choices are named along an axis; of more an even part.
MAX_NAMED = 24
#: Where the lines of trials pass that do not have a parameter.
ABSENT = -0.1


def _heights(parameter: Parameter) -> list[float]:
    """Return how high on its axis each trial is, from 0 to 1."""
    heights = {value: share_of(parameter, at) for value, at in place_of(parameter).items()}
    return [ABSENT if value is None else heights[value] for value in parameter.values]


def _ticks(parameter: Parameter) -> Mapping[float, str]:
    """Return what is written along an axis."""
    absent = {ABSENT: "absent"} if None in parameter.values else {}
    if not parameter.is_number:
        names, places = labels(parameter.choices, SHORT, keep="ends"), place_of(parameter)
        named = np.linspace(0, len(places) - 1, min(len(places), MAX_NAMED)).round().astype(int)
        values = [parameter.choices[i] for i in named]
        return absent | {share_of(parameter, places[value]): names[value] for value in values}
    low, high = (float(parameter.choices[end]) for end in (0, -1))
    middle = math.sqrt(low * high) if parameter.is_log else (low + high) / 2
    if parameter.is_whole:
        return absent | {share_of(parameter, at): short_number(at) for at in (low, round(middle), high)}
    return absent | {share_of(parameter, at): short_number(float(f"{at:.3g}")) for at in (low, middle, high)}


def _bundles(
    trials: Sequence[TrialFacts], heights: Sequence[Sequence[float]], metric: Metric
) -> Iterator[dict[str, Any]]:
    """Yield trials of about the same rank as one trace of lines each, from the worst to the best."""
    from plotly.colors import sample_colorscale

    n_colors = min(N_COLORS, len(trials))
    for color, members in enumerate(np.array_split(np.arange(len(trials)), n_colors)):
        share = (color + 1) / n_colors
        yield {
            "x": broken(range(len(heights)) for _ in members),
            "y": broken([column[i] for column in heights] for i in members),
            "text": broken([told(trials[i], metric, params=())] * len(heights) for i in members),
            "mode": "lines",
            "line": {"color": sample_colorscale(SCALE, [0.95 * share])[0], "width": 1 + share},
            "opacity": 0.15 + 0.75 * share**2,
            "hovertemplate": "%{text}<extra></extra>",
        }
