"""Figures whose points are trials: how the search went on, when it did, how far they came, what they trade off."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence, Set
from typing import Any

from optuna_search._axes import PADDING, score_axis, window, within
from optuna_search._drawing import (
    COLORS,
    LONG_TITLES,
    broken,
    figure,
    grid,
    number,
    plotly_objects,
    scored,
    text,
    thinned,
    told,
)
from optuna_search._facts import STATES, Facts, Metric, Step, TrialFacts
from optuna_search.exceptions import InvalidRequestError, NoResultError

#: What the spread of a trial's folds can be.
SPREADS = ("standard error", "folds")
#: So many complete trials, and so many pruned ones, are drawn step by step.
MAX_WAYS = 300


# --- history ----------------------------------------------------------------------------------------------------------


def history(facts: Facts, metric: Metric, spread: str) -> Any:
    """Return how scores went on from trial to trial."""
    go = plotly_objects()
    complete = scored(facts, metric)
    ends = _window(complete, metric, spread)
    drawn = figure(
        "History", facts, xaxis={"title": {"text": "trial"}, "automargin": True}, yaxis=score_axis(metric, ends)
    )
    drawn.add_scatter(**_spread(complete, metric, spread, ends))
    pruned = [trial for trial in facts.trials if trial.state == "PRUNED"]
    here = [trial for trial in complete if trial.origin is None]
    carried = [trial for trial in complete if trial.origin is not None]
    for name, trials, color, symbol in (
        ("pruned", pruned, COLORS["PRUNED"], "x-thin-open"),
        ("carried over", carried, COLORS["COMPLETE"], "diamond-open"),
        ("complete", here, COLORS["COMPLETE"], "circle"),
    ):
        if trials:
            drawn.add_trace(go.Scatter(name=name, **_points(trials, metric, ends, color, symbol)))
    drawn.add_scatter(**_best_so_far(facts, metric, ends))
    failed = [trial for trial in facts.trials if trial.state == "FAIL"]
    if failed:
        drawn.add_scatter(
            name="failed",
            x=[trial.number for trial in failed],
            y=[ends[0]] * len(failed),
            mode="markers",
            marker={"color": COLORS["FAIL"], "symbol": "triangle-up", "size": 8},
            text=[f"trial {t.number}<br>{text(t.failure or 'failed', 80)}" for t in failed],
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )
    return drawn


def _window(trials: Sequence[TrialFacts], metric: Metric, spread: str) -> tuple[float, float]:
    """Return the ends of an axis that the spreads of trials fit on."""
    lows, highs = zip(*(_ends(trial, metric, spread) for trial in trials), strict=True)
    low, high = window(lows, maximise=metric.maximise)[0], window(highs, maximise=metric.maximise)[1]
    padding = (high - low) * PADDING  # one spread that is much wider than others pushes no mean aside
    return low - padding, high + padding


def _ends(trial: TrialFacts, metric: Metric, spread: str) -> tuple[float, float]:
    """Return the ends of the spread of a trial."""
    if spread == "folds":
        return min(trial.by(metric).folds), max(trial.by(metric).folds)
    mean, error = trial.mean(metric), trial.by(metric).error
    return (mean, mean) if math.isnan(error) else (mean - error, mean + error)


def _spread(trials: Sequence[TrialFacts], metric: Metric, spread: str, ends: tuple[float, float]) -> dict[str, Any]:
    return {
        "name": "± standard error" if spread == "standard error" else "lowest to highest fold",
        "x": broken([trial.number] * 2 for trial in trials),
        "y": broken(within(_ends(trial, metric, spread), ends) for trial in trials),
        "mode": "lines",
        "line": {"color": COLORS["COMPLETE"], "width": 1},
        "opacity": 0.45,
        "hoverinfo": "skip",
    }


def _points(
    trials: Sequence[TrialFacts], metric: Metric, ends: tuple[float, float], color: str, symbol: str
) -> dict[str, Any]:
    """Return trials as points at their scores."""
    few = len(trials) < 300
    return {
        "x": [trial.number for trial in trials],
        "y": within([trial.by(metric).so_far for trial in trials], ends),
        "mode": "markers",
        "marker": {"color": color, "symbol": symbol, "size": 7 if few else 4, "line": {"color": color, "width": 1}},
        "opacity": 1.0 if few else 0.6,
        "text": [told(trial, metric) for trial in trials],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _best_so_far(facts: Facts, metric: Metric, ends: tuple[float, float]) -> dict[str, Any]:
    trials = facts.scored(metric)
    better = max if metric.maximise else min
    bests = list(itertools.accumulate((trial.mean(metric) for trial in trials), better))
    numbers = [trial.number for trial in trials]
    return {
        "name": "best so far",
        "x": [*numbers, facts.trials[-1].number],
        "y": within([*bests, bests[-1]], ends),
        "mode": "lines",
        "line": {"color": COLORS["best"], "width": 2, "shape": "hv"},
        "hovertemplate": "best up to trial %{x}: %{y:.4g}<extra></extra>",
    }


# --- timeline ---------------------------------------------------------------------------------------------------------


def timeline(facts: Facts) -> Any:
    """Return when each trial of the study itself ran."""
    trials = [trial for trial in facts.trials if trial.started is not None and trial.origin is None]
    if not trials:
        raise NoResultError(f"study_name={facts.name!r} has nothing to show: no trial was run in it.")
    last = max(date for trial in trials for date in (trial.started, trial.ended) if date is not None)
    drawn = figure(
        "Timeline",
        facts,
        xaxis={"title": {"text": "time"}, "type": "date", "automargin": True},
        yaxis={"title": {"text": "trial"}, "automargin": True, "zeroline": False, "autorange": "reversed"},
    )
    for state, word in STATES.items():
        there = [trial for trial in trials if trial.state == state]
        if there:
            drawn.add_scatter(name=word, **_bars(there, last, len(trials)))
    return drawn


def _bars(trials: Sequence[TrialFacts], last: Any, n_trials: int) -> dict[str, Any]:
    """Return the times of trials as lines; a mark where each begins is seen however short it was."""
    color = COLORS[trials[0].state]
    ends = [trial.ended or last for trial in trials]
    texts = [_when(trial, end) for trial, end in zip(trials, ends, strict=True)]
    width = min(max(240 / n_trials, 1.5), 12)
    return {
        "x": broken((trial.started, end) for trial, end in zip(trials, ends, strict=True)),
        "y": broken([trial.number] * 2 for trial in trials),
        "mode": "lines+markers",
        "line": {"color": color, "width": width},
        "marker": {"color": color, "size": max(width, 3), "symbol": "square"},
        "text": broken([one] * 2 for one in texts),
        "hovertemplate": "%{text}<extra></extra>",
    }


def _when(trial: TrialFacts, end: Any) -> str:
    seconds = (end - trial.started).total_seconds()
    why = "" if trial.failure is None else f"<br>{text(trial.failure, 80)}"
    return f"trial {trial.number}, {STATES[trial.state]}<br>{number(seconds)} s from {trial.started:%H:%M:%S}{why}"


# --- how far they came ------------------------------------------------------------------------------------------------


def pruned_folds(facts: Facts) -> Any:
    """Return the scores of trials step by step, and how many ended after each step."""
    metric = facts.metric()
    trials = [trial for trial in facts.trials if trial.steps and trial.state in ("COMPLETE", "PRUNED")]
    steps = sorted({step for trial in trials for step, _ in trial.steps})
    if not steps:
        scored(facts, metric)  # says so
    place = {step: i for i, step in enumerate(steps)}
    ends = window([score for trial in trials for _, score in trial.steps], maximise=metric.maximise)
    ticks = {"tickmode": "array", "tickvals": list(place.values()), "ticktext": [_step(facts, step) for step in steps]}
    drawn = figure(
        "How far trials came",
        facts,
        xaxis={**ticks, "title": {"text": _steps_title(facts, steps)}, "anchor": "y2", "automargin": True},
        yaxis=score_axis(metric, ends) | {"domain": [0.32, 1.0]},
        yaxis2={"title": {"text": "ended here"}, "domain": [0.0, 0.24], "automargin": True, "rangemode": "tozero"},
        barmode="stack",
    )
    best = metric.best([trial.mean(metric) for trial in trials])
    groups = {
        "complete": [t for t in trials if t.state == "COMPLETE"],
        "pruned": [t for t in trials if t.state == "PRUNED"],
        "the best": [t for t in trials if t.mean(metric) == best][:1],
    }
    there = {name: group for name, group in groups.items() if group}
    for name, group in there.items():
        drawn.add_scatter(**_ways(thinned(group, metric, MAX_WAYS), place, metric, ends, name))
    for name in sorted(there.keys() & {"complete", "pruned"}):
        drawn.add_bar(**_ends_here(groups[name], place, name))
    return drawn


def _ends_here(trials: Sequence[TrialFacts], place: dict[Step, int], name: str) -> dict[str, Any]:
    """Return how many trials came to each step and no further."""
    ended = [place[trial.steps[-1][0]] for trial in trials]
    return {
        "name": name,
        "x": list(place.values()),
        "y": [ended.count(i) for i in place.values()],
        "yaxis": "y2",
        "marker": {"color": COLORS[name.upper()]},
        "hovertemplate": f"%{{y}} {name}<extra></extra>",
    }


def _ways(
    trials: Sequence[TrialFacts], place: dict[Step, int], metric: Metric, ends: tuple[float, float], name: str
) -> dict[str, Any]:
    """Return the scores of trials over their steps as lines."""
    color = COLORS["best" if name == "the best" else name.upper()]
    opacity = 1.0 if name == "the best" else min(max(20 / len(trials), 0.2), 0.6)
    return {
        "name": name,
        "showlegend": name == "the best",  # the bars say the others
        "x": broken([place[step] for step, _ in trial.steps] for trial in trials),
        "y": broken(within([score for _, score in trial.steps], ends) for trial in trials),
        "text": broken([f"trial {trial.number}"] * len(trial.steps) for trial in trials),
        "mode": "lines+markers",
        "line": {"color": color, "width": 2.5 if name == "the best" else 1},
        "marker": {"color": color, "size": 5 if len(trials) < 300 else 3},
        "opacity": opacity,
        "hovertemplate": "%{text}: %{y:.4g}<extra></extra>",
    }


def _step(facts: Facts, step: Step) -> str:
    kind, amount = step
    if facts.resource is None or kind == 0:
        return str(amount)
    return f"fold {amount}"


def _steps_title(facts: Facts, steps: Sequence[Step]) -> str:
    if facts.resource is None:
        return "folds that were scored"
    of_first = " in the first fold, then the others" if any(kind == 1 for kind, _ in steps) else ""
    return f"{text(facts.resource, 40)}{of_first}"


# --- what they trade off ----------------------------------------------------------------------------------------------


def pareto_front(facts: Facts, metrics: Sequence[Metric], pairs: Sequence[tuple[Metric, Metric]] | None = None) -> Any:
    """Return trials by two goals, and for more goals by every two of them, or by some pairs."""
    if len(metrics) < 2:
        names = ", ".join(metric.name for metric in facts.metrics)
        raise InvalidRequestError(
            f"study_name={facts.name!r} has one goal, {metrics[0].name!r}, and a front takes two: say which, with "
            f"metrics=. There are {names}."
        )
    trials = scored(facts, *metrics)
    best = {trial.number for trial in facts.front(*metrics)}
    pairs = list(itertools.combinations(metrics, 2)) if pairs is None else pairs
    drawn, places = grid("Pareto front", facts, len(pairs), LONG_TITLES)
    for (across, up), place in zip(pairs, places, strict=True):
        drawn.update_xaxes(_axis(trials, across), **place)
        drawn.update_yaxes(_axis(trials, up), **place)
        for trace in _front(trials, best, across, up):
            shows = trace.pop("showlegend", True) and place == places[0]
            # Seen from two sides only, the front of more goals is no line.
            drawn.add_scatter(**trace, **place, showlegend=shows)
    if len(metrics) == 2:
        drawn.update_traces(mode="lines+markers", line={"dash": "dot"}, selector={"name": "Pareto front"})
    return drawn


def _axis(trials: Sequence[TrialFacts], metric: Metric) -> dict[str, Any]:
    axis = score_axis(metric, _window(trials, metric, SPREADS[0]))
    better = "more" if metric.maximise else "less"
    return axis | {"title": axis["title"] | {"text": f"{axis['title']['text']} ({better} is better)"}}


def _front(trials: Sequence[TrialFacts], front: Set[int], across: Metric, up: Metric) -> Iterator[dict[str, Any]]:
    """Yield the points that others dominate, the errors of the best, and the best."""
    best = sorted((trial for trial in trials if trial.number in front), key=lambda t: t.mean(across))
    others = [trial for trial in trials if trial.number not in front]
    yield {"name": "dominated", "opacity": 0.55, **_by_two(others, across, up, COLORS["COMPLETE"], 6)}
    for ends in (lambda t: (_ends(t, across, SPREADS[0]), [t.mean(up)] * 2),
                 lambda t: ([t.mean(across)] * 2, _ends(t, up, SPREADS[0]))):  # fmt: skip
        x, y = zip(*map(ends, best), strict=True)
        yield {"name": "± standard error", "x": broken(x), "y": broken(y), "mode": "lines", "opacity": 0.5,
               "line": {"color": COLORS["best"], "width": 1}, "hoverinfo": "skip", "showlegend": False}  # fmt: skip
    yield {"name": "Pareto front", **_by_two(best, across, up, COLORS["best"], 9)}


def _by_two(trials: Sequence[TrialFacts], across: Metric, up: Metric, color: str, size: int) -> dict[str, Any]:
    return {
        "x": [trial.mean(across) for trial in trials],
        "y": [trial.mean(up) for trial in trials],
        "mode": "markers",
        "marker": {"color": color, "size": size},
        "text": [f"{told(t, across, params=())}<br>{told(t, up).partition('<br>')[2]}" for t in trials],
        "hovertemplate": "%{text}<extra></extra>",
    }
