"""What the recorded searches say: scores, regrets, ranks, and what a score costs.

A cell is a task with a seed. All searches of a cell are compared with each other; `RANDOM` sets the scale: the regret
of its median candidate is 1, the processor time that it takes is what everybody gets for "equal time", and its last
score is the one that others are to reach.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rivals import OURS, RANDOM, RIVALS
from scipy.stats import rankdata, wilcoxon

Cell = tuple[str, int]


@dataclass(frozen=True)
class Run:
    """One search, as it was recorded."""

    #: Folds, wall and processor seconds until each new best score, and that score.
    steps: list[tuple[float, float, float, float]]
    folds: float
    wall: float
    cpu: float
    #: The score of the best candidate on the data that no search has seen.
    held: float
    #: The scores of all candidates, where they are needed.
    scores: list[float]

    def best(self, *, folds: float = math.inf, wall: float = math.inf, cpu: float = math.inf) -> float:
        """Return the best score that it had within some limits."""
        within = [step[3] for step in self.steps if step[0] <= folds and step[1] <= wall and step[2] <= cpu]
        return within[-1] if within else -math.inf

    def until(self, score: float) -> tuple[float, float]:
        """Return the folds and the processor seconds until it had a score; infinity if it never had it."""
        return next(((step[0], step[2]) for step in self.steps if step[3] >= score), (math.inf, math.inf))


@dataclass(frozen=True)
class Scale:
    """What regret 0 and 1 are on a task."""

    best: float
    median: float

    def regret(self, score: float) -> float:
        return (self.best - score) / (self.best - self.median)


#: The runs of each cell, by method.
Runs = dict[Cell, dict[str, Run]]


def of(lines: Iterable[dict[str, Any]]) -> Runs:
    """Return the runs among the lines of a cache, those that do not depend on a seed in all cells of their task."""
    found: dict[tuple[str, str, int], Run] = {}
    for line in lines:
        if line.get("steps"):
            steps = [tuple(step) for step in line["steps"]]
            run = Run(steps, line["folds"], line["wall"], line["cpu"], line["held"], line.get("scores", []))
            found[line["task"], line["method"], line["seed"]] = run
    runs: Runs = {(task, seed): {} for task, method, seed in found if method == RANDOM}
    for task, seed in runs:
        for method, rival in RIVALS.items():
            key = (task, method, seed if rival.seeded else 0)
            if key in found:
                runs[task, seed][method] = found[key]
    return runs


def tasks_of(runs: Runs) -> list[str]:
    return list(dict.fromkeys(task for task, _ in runs))


def methods_of(runs: Runs) -> list[str]:
    return [method for method in RIVALS if any(method in cell for cell in runs.values())]


def scale_of(runs: Runs, task: str) -> Scale:
    cells = [cell for (name, _), cell in runs.items() if name == task]
    best = max(run.best() for cell in cells for run in cell.values())
    return Scale(best, statistics.median(score for cell in cells for score in cell[RANDOM].scores))


def rounded(number: float, digits: int = 4) -> float | None:
    """Return a figure for people; None for what never came."""
    return round(number, digits) if math.isfinite(number) else None


def mean(numbers: Iterable[float]) -> float:
    numbers = list(numbers)
    return statistics.fmean(numbers) if numbers else math.nan


# ---------------------------------------------------------------- task by task


def of_task(runs: Runs, task: str, budget: int) -> dict[str, Any]:
    """Return the table of one task."""
    scale = scale_of(runs, task)
    rows = {}
    for method in methods_of(runs):
        found = [cell[method] for (name, _), cell in runs.items() if name == task and method in cell]
        if found:
            rows[method] = {
                "score": rounded(mean(run.best() for run in found)),
                "held-out score": rounded(mean(run.held for run in found)),
                **{f"regret at {n} folds": rounded(regret(found, scale, n), 3) for n in marks(budget)},
                "cpu seconds": rounded(mean(run.cpu for run in found), 2),
                "seeds": len(found),
            }
    return {"best known": rounded(scale.best, 6), "median random candidate": rounded(scale.median, 6), "methods": rows}


def marks(budget: int) -> tuple[int, int, int]:
    """Return after how many folds regrets are told."""
    return budget // 4, budget // 2, budget


def regret(found: list[Run], scale: Scale, folds: float) -> float:
    return mean(scale.regret(run.best(folds=folds)) for run in found)


# ---------------------------------------------------------------- over all tasks

Limit = Callable[[dict[str, Run], Run], float]


def final(cell: dict[str, Run], run: Run) -> float:
    return run.best()


def at_equal_cpu(cell: dict[str, Run], run: Run) -> float:
    return run.best(cpu=cell[RANDOM].cpu)


def at_equal_wall(cell: dict[str, Run], run: Run) -> float:
    return run.best(wall=cell[RANDOM].wall)


def held_out(cell: dict[str, Run], run: Run) -> float:
    return run.held


def ranks(runs: Runs, score: Limit) -> dict[str, dict[Cell, float]]:
    """Return the rank of each method in each cell, 1 for the best, as if all methods were in all cells."""
    most = len(methods_of(runs))
    table: dict[str, dict[Cell, float]] = defaultdict(dict)
    for key, cell in runs.items():
        places = rankdata([-score(cell, run) for run in cell.values()])
        for method, place in zip(cell, places, strict=True):
            # Where methods are left out, the last place is still the last.
            table[method][key] = 1 + (place - 1) * (most - 1) / max(len(cell) - 1, 1)
    return table


def costs(runs: Runs, method: str) -> dict[str, Any]:
    """Return what random search's last score costs a method, as a median over the cells."""
    cells = [cell for cell in runs.values() if method in cell]
    own = [cell[method].until(cell[RANDOM].best()) for cell in cells]
    first = [cell[RANDOM].until(cell[RANDOM].best()) for cell in cells]
    return {
        "folds until random search's score": rounded(statistics.median(folds for folds, _ in own), 1),
        "folds, by random search's": median_ratio([o[0] for o in own], [cell[RANDOM].folds for cell in cells]),
        "cpu seconds, by random search's": median_ratio([o[1] for o in own], [cell[RANDOM].cpu for cell in cells]),
        "folds, by when random search first had it": median_ratio([o[0] for o in own], [f[0] for f in first]),
        "cpu seconds, by when random search first had it": median_ratio([o[1] for o in own], [f[1] for f in first]),
        "had it": f"{sum(math.isfinite(folds) for folds, _ in own)} of {len(cells)}",
    }


def median_ratio(ours: list[float], theirs: list[float]) -> float | None:
    return rounded(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3)


def versus(runs: Runs, one: str, other: str, score: Limit) -> dict[str, Any]:
    """Return how one method does against another where both were run."""
    both = {key: cell for key, cell in runs.items() if one in cell and other in cell}
    pairs = [(score(cell, cell[one]), score(cell, cell[other])) for cell in both.values()]
    table = ranks(runs, score)
    gaps = {key: table[one][key] - table[other][key] for key in both}
    by_task = [mean(gap for (task, _), gap in gaps.items() if task == name) for name in tasks_of(both)]
    score_gaps = [a - b if a != b else 0.0 for a, b in pairs]
    return {
        "won, equal, lost": signs(score_gaps),
        "tasks won, equal, lost by mean rank": signs([-gap for gap in by_task]),
        "p": p_of(list(gaps.values())),
        "p over tasks": p_of(by_task),
    }


def signs(gaps: list[float]) -> list[int]:
    """Return how many are above, at and below zero."""
    return [sum(gap > 0 for gap in gaps), sum(gap == 0 for gap in gaps), sum(gap < 0 for gap in gaps)]


def p_of(gaps: list[float]) -> float | None:
    """Return the two-sided p of Wilcoxon's signed-rank test, in three digits."""
    if not np.any(gaps):
        return None
    return float(f"{wilcoxon(gaps).pvalue:.3g}")


def overall(runs: Runs, budget: int) -> dict[str, Any]:
    """Return the table over all tasks, the best mean rank first."""
    by = {"folds": final, "cpu": at_equal_cpu, "wall": at_equal_wall, "held": held_out}
    tables = {name: ranks(runs, score) for name, score in by.items()}
    scales = {task: scale_of(runs, task) for task in tasks_of(runs)}

    def row(method: str) -> dict[str, Any]:
        cells = {key: cell[method] for key, cell in runs.items() if method in cell}
        regrets = {
            n: mean(scales[task].regret(run.best(folds=n)) for (task, _), run in cells.items()) for n in marks(budget)
        }
        return {
            "tasks, searches": [len({task for task, _ in cells}), len(cells)],
            f"mean rank at {budget} folds": rounded(mean(tables["folds"][method].values()), 2),
            "mean rank at equal cpu time": rounded(mean(tables["cpu"][method].values()), 2),
            "mean rank at equal wall time": rounded(mean(tables["wall"][method].values()), 2),
            "mean rank held out": rounded(mean(tables["held"][method].values()), 2),
            **{f"regret at {n} folds": rounded(value, 3) for n, value in regrets.items()},
            "cpu seconds": rounded(mean(run.cpu for run in cells.values()), 2),
            **costs(runs, method),
        }

    order = sorted(methods_of(runs), key=lambda method: mean(tables["folds"][method].values()))
    return {method: row(method) for method in order}


def curves(runs: Runs, budget: int) -> dict[str, Any]:
    """Return the mean regret on the way, by folds and by processor time; 1 where there is no score yet, or a worse one.

    The unit of time is what random search takes in the same cell.
    """
    scales = {task: scale_of(runs, task) for task in tasks_of(runs)}
    folds = [budget * n // 20 for n in range(1, 21)]
    times = [n / 10 for n in range(1, 31)]

    def curve(method: str, best: Callable[[Run, float, dict[str, Run]], float], at: list[Any]) -> list[float]:
        cells = [(scales[task], cell) for (task, _), cell in runs.items() if method in cell]
        return [
            round(mean(min(scale.regret(best(cell[method], x, cell)), 1.0) for scale, cell in cells), 4) for x in at
        ]

    by_folds = {name: curve(name, lambda run, n, _: run.best(folds=n), folds) for name in methods_of(runs)}
    by_time = {
        name: curve(name, lambda run, x, cell: run.best(cpu=x * cell[RANDOM].cpu), times) for name in methods_of(runs)
    }
    return {"folds": folds, "regret by folds": by_folds, "cpu time": times, "regret by cpu time": by_time}


def figures(runs: Runs, budget: int) -> dict[str, Any]:
    """Return all that is to be said of the runs."""
    table = overall(runs, budget)
    one = OURS if OURS in table else RANDOM
    others = [method for method in table if method != one]
    second = next((method for method in others if not method.startswith(OURS)), None)
    return {
        "all tasks": table,
        f"{one} against the others, at {budget} folds": {name: versus(runs, one, name, final) for name in others},
        f"{one} against the others, at equal cpu time": {
            name: versus(runs, one, name, at_equal_cpu) for name in others
        },
        f"{one} against the others, held out": {name: versus(runs, one, name, held_out) for name in others},
        "the best of the others": second,
        "curves": curves(runs, budget),
        "tasks": {task: of_task(runs, task, budget) for task in tasks_of(runs)},
    }


def table(figures: dict[str, Any], budget: int) -> str:
    """Return the main table as text."""
    names = [f"mean rank at {budget} folds", "mean rank at equal cpu time", "mean rank held out"]
    names += [f"regret at {n} folds" for n in marks(budget)]
    names += ["folds until random search's score", "cpu seconds, by random search's", "cpu seconds"]
    lines = [f"{'':28}" + " | ".join(names)]
    for method, row in figures["all tasks"].items():
        cells = ("never" if row[name] is None else f"{row[name]:g}" for name in names)
        lines.append(
            f"{method:28}" + " | ".join(f"{cell:>{len(name)}}" for cell, name in zip(cells, names, strict=True))
        )
    return "\n".join(lines)
