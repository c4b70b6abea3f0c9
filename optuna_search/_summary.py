"""What a study is and how far it is, in texts and tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna_search._drawing import number
from optuna_search._facts import STATES, Facts, Metric, TrialFacts
from optuna_search._leaderboard import Leaderboard

#: So many reasons of failures are listed.
MAX_REASONS = 20
#: What is said of a score that is without what it owes to luck.
CORRECTED = "corrected for the choice"

Table = tuple[list[str], list[list[str]]]


def in_numbers(facts: Facts, board: Leaderboard) -> dict[str, str]:
    """Return the few numbers that a reader looks for first."""
    here = [trial for trial in facts.trials if trial.origin is None]
    counted = [t for t in here if t.state in ("COMPLETE", "PRUNED", "FAIL")]
    return {
        **dict(one for goal in facts.goals for one in _best(facts, goal, board)),
        "trials": f"{len(counted):,}",
        "fits of a fold": f"{sum(trial.fits for trial in counted):,.1f}".removesuffix(".0"),
        "spent on fits and scores": duration(sum(trial.seconds for trial in here)),
        "from first to last": _span(here),
    }


def _best(facts: Facts, goal: Metric, board: Leaderboard) -> Iterator[tuple[str, str]]:
    best = goal.best([trial.mean(goal) for trial in facts.trials])
    first = next(trial for trial in facts.trials if trial.mean(goal) == best)
    unit = "" if goal.maximise else " s"
    yield f"best {goal.name}, in trial {first.number}", f"{with_error(first, goal)}{unit}"
    if goal.key == board.metric and math.isfinite(corrected := board.best_score_corrected):
        yield f"best {goal.name}, {CORRECTED}", number(corrected)


def marks_of(told: Mapping[str, str]) -> str:
    """Return what has to be known to read the first numbers."""
    marks = {
        "±": "± is one standard error of the mean over folds.",
        CORRECTED: f"The best of many owes something to luck; {CORRECTED}, its score is without what it is expected to "
        "owe.",
    }
    seen = " ".join([*told, *told.values()])
    return " ".join(meaning for mark, meaning in marks.items() if mark in seen)


def with_error(trial: TrialFacts, metric: Metric) -> str:
    """Return the mean of a trial with its standard error."""
    found = trial.by(metric)
    return number(found.mean) if math.isnan(found.error) else f"{number(found.mean)} ± {found.error:.2g}"


def _span(trials: Sequence[TrialFacts]) -> str:
    started = [trial.started for trial in trials if trial.started is not None]
    ended = [trial.ended for trial in trials if trial.ended is not None]
    return duration((max(ended) - min(started)).total_seconds()) if started and ended else ""


def duration(seconds: float) -> str:
    """Return a time in the units that people say it in.

    Examples
    --------
    >>> duration(0.25), duration(59.7), duration(150), duration(7500), duration(200_000)
    ('0.25 s', '1 min 0 s', '2 min 30 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 10:
        return f"{seconds:.2g} s"
    left = round(seconds)
    for size, unit, smaller, least in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if left >= size:
            return f"{left // size} {unit} {left % size // smaller} {least}"
    return f"{left} s"


# --- what was searched ------------------------------------------------------------------------------------------------


def described(facts: Facts, search: Any = None) -> dict[str, str]:
    """Return what was searched, and on what; with the search that was given, how as well."""
    made_with = facts.header["fingerprint"]
    states = [(word, facts.counts[state]) for state, word in STATES.items()]
    goals = ", ".join(f"{goal.name} ({'more' if goal.maximise else 'less'} is better)" for goal in facts.goals)
    return {
        "Estimator": facts.header["estimator"],
        "X": _data(made_with["X"]),
        "y": _data(made_with["y"]),
        **{f"also {name}": _data(part) for name, part in _mapping(made_with["metadata"]).items()},
        "Folds": _folds(facts),
        "Space": f"the function {_function(facts)}" if _function(facts) else "",
        "Scoring": flat(made_with["scoring"]),
        "Pursued": goals,
        "Score of a failed fit": made_with["error_score"],
        **({} if search is None else _how(search)),
        "Trials": ", ".join(f"{n:,} {state}" for state, n in states if n),
        "Forked from": _lineage(facts),
        "When": _dates(facts),
        "Versions": flat(facts.header.get("versions") or {}),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def flat(described: Any, between: str = ": ") -> str:
    """Return a description as one text; what is called as it is described is told once.

    Examples
    --------
    >>> flat({"f1": "f1", "mine": "make_scorer(f)"})
    'f1, mine: make_scorer(f)'
    """
    if not isinstance(described, Mapping):
        return str(described)
    parts = [(str(name), flat(part, between)) for name, part in described.items()]
    return ", ".join(name if name == part else f"{name}{between}{part}" for name, part in parts)


def _data(described: Any) -> str:
    """Return the shape and the type of data, without the hash of their values."""
    found = _mapping(described)
    if not found:
        return "" if described in (None, "None") else str(described)
    shape = found.get("shape")
    size = " × ".join(map(str, shape)) if isinstance(shape, list) else ""
    columns = _mapping(found.get("columns"))
    kinds = Counter(str(column).partition(" ")[0] for column in columns.values())
    types = (
        ", ".join(f"{n} {kind}" for kind, n in kinds.items()) if columns else found.get("dtype") or found.get("type")
    )
    return ", ".join(str(part) for part in (size, types) if part)


def _folds(facts: Facts) -> str:
    sizes = Counter(
        f"{train} to train on and {test} to test on" for train, test in facts.header.get("fold_sizes") or ()
    )
    told = "; ".join(f"{n} with {size}" for size, n in sizes.items())
    return f"{facts.n_folds}: {told}" if told else str(facts.n_folds)


def _how(search: Any) -> dict[str, str]:
    """Return how a search draws and ends its trials, as far as it says so itself."""
    budgets = [(name, getattr(search, name, None)) for name in ("n_trials", "n_fits", "timeout")]
    return {
        "Sampler": _name(search.sampler),
        "Pruner": _name(search.pruner),
        "Resource": "" if search.resource is None else str(search.resource),
        "Budget": ", ".join(f"{name}={value!r}" for name, value in budgets if value is not None),
    }


def _name(given: Any) -> str:
    return "by default" if given is None else given if isinstance(given, str) else type(given).__name__


def _lineage(facts: Facts) -> str:
    carried = sum(trial.origin is not None for trial in facts.trials)
    return "" if facts.forked_from is None else f"{facts.forked_from}, with {carried:,} of its trials"


def _dates(facts: Facts) -> str:
    here = [trial for trial in facts.trials if trial.origin is None]
    dates = sorted(date for trial in here for date in (trial.started, trial.ended) if date is not None)
    return f"{dates[0]:%Y-%m-%d %H:%M:%S} to {dates[-1]:%Y-%m-%d %H:%M:%S}" if dates else ""


# --- tables -----------------------------------------------------------------------------------------------------------


def space_table(facts: Facts) -> Table:
    """Return each parameter with what was searched, as far as it is known, and what was tried."""
    searched = _searched(facts)
    known = ["searched"] if searched else []
    names = dict.fromkeys(name for trial in facts.trials for name in trial.params)
    return ["parameter", *known, "tried", "in trials"], [
        [name, *(["; or ".join(searched.get(name, []))] if searched else []), *_tried(facts, name)] for name in names
    ]


def _searched(facts: Facts) -> dict[str, list[str]]:
    """Return what was written for each parameter, each way once; nothing of a function."""
    space = facts.header["fingerprint"]["space"]
    if _function(facts):
        return {}
    found: dict[str, list[str]] = {}
    for name, part in space.items():
        # A list of dicts has a part for each of them.
        for inner, what in part.items() if isinstance(part, Mapping) else [(name, part)]:
            ways = found.setdefault(str(inner), [])
            ways += [] if str(what) in ways else [str(what)]
    return found


def _function(facts: Facts) -> str:
    """Return the name of the function that a space is; an empty text for one of dicts."""
    space = facts.header["fingerprint"]["space"]
    searched = {name for trial in facts.trials for name in trial.params}
    is_function = space.keys() == {"function", "code"} and not {"function", "code"} & searched
    return str(space["function"]) if is_function else ""


def _tried(facts: Facts, name: str) -> tuple[str, str]:
    there = [trial for trial in facts.trials if name in trial.params]
    parameter = facts.parameter(name, there)
    choices = parameter.choices
    if parameter.is_number and len(choices) > 1:
        told = f"{number(choices[0])} to {number(choices[-1])}"  # type: ignore[arg-type]
    else:
        told = ", ".join(map(str, choices))
    return told, f"{len(there):,}"


def front_table(facts: Facts, n: int) -> Table:
    """Return the first trials of the Pareto front, the best by the first goal first."""
    front = sorted(facts.front(*facts.goals), key=lambda t: t.mean(facts.goals[0]), reverse=facts.goals[0].maximise)
    names = dict.fromkeys(name for trial in front for name in trial.params)
    return ["trial", *(goal.title for goal in facts.goals), *names], [
        [
            str(trial.number),
            *(with_error(trial, goal) for goal in facts.goals),
            *(_cell(trial.params.get(name, "")) for name in names),
        ]
        for trial in front[:n]
    ]


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def failure_table(facts: Facts) -> Table:
    """Return why trials failed, or did not come to their end, the commonest reason first."""
    counted = Counter(trial.failure for trial in facts.trials if trial.failure is not None)
    return ["trials", "reason"], [[f"{n:,}", reason] for reason, n in counted.most_common(MAX_REASONS)]
