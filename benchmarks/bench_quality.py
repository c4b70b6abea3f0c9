"""What does a search find for its fits, and for its time, against the other searches that there are?

Each method searches each task with the same 300 fits of a fold, once for each seed. The scorer records them (see
`recording.py`), so that all are measured alike, whatever they say of themselves. `standings.py` makes of it:

1. Task by task: scores after all folds, cross-validated and held out, and regrets on the way.
2. Over all: mean ranks over task x seed after all folds, and after the time that random search takes, by wall and by
   processor time. Use the latter: it is measured in one process, and others on the machine disturb it little.
3. What random search's last score costs: folds and seconds until a method has it.
4. The wall time that our search takes to find the best score of a grid of 169 points, against walking through it.

Searches are kept in `--cache`, one JSON line each, and found there when it is run again, as long as task and budget are
the same; `--again` measures the chosen ones anew, and the later line counts. What failed is tried again. Libraries that
are not installed are skipped. One search runs at a time, in this process, which uses one thread.

    python benchmarks/bench_quality.py [--quick] [--cache quality.jsonl] [--methods NAME ...] [--tasks NAME ...]
        [--seeds 10] [--pairs 5] [--again] [--report-only] [--out benchmarks/results]
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grid_question
import joblib
import optuna
import standings
from common import report
from recording import BUDGET, Recorder, Spent, score_of
from rivals import OURS, RANDOM, RIVALS, Rival
from tasks import NAMES, Task, load

QUICK_BUDGET = 60
#: The budget of a first search that does not count: libraries load their parts when they are first used.
WARM_UP = 60
QUICK_TASKS = ("svc-digits", "three-models")

Line = dict[str, Any]
Key = tuple[str, str, int, str]
KEYS = ("task", "method", "seed", "mark")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run: does it work, not how good it is")
    parser.add_argument("--cache", type=Path, default=None, help="a file that keeps each search (default: none)")
    parser.add_argument("--methods", nargs="+", default=list(RIVALS), choices=list(RIVALS), metavar="NAME")
    parser.add_argument("--tasks", nargs="+", default=None, choices=[*NAMES, grid_question.NAME], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=10, help="how many searches of each kind (default: 10)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of the question about the grid (default: 5)")
    parser.add_argument("--again", action="store_true", help="measure anew what the cache has")
    parser.add_argument("--report-only", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=None, help="a folder for the result, as dated JSON")
    options = parser.parse_args()
    if options.quick:
        options.seeds = options.pairs = 1
    options.tasks = options.tasks or [*(QUICK_TASKS if options.quick else NAMES), grid_question.NAME]
    options.budget = QUICK_BUDGET if options.quick else BUDGET
    return options


class Cache:
    """What was measured, in a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lines: dict[Key, Line] = {}
        if path is not None and path.exists():
            for text in path.read_text().splitlines():
                with contextlib.suppress(ValueError):  # a line that was cut off is measured again
                    self._take(json.loads(text))

    def _take(self, line: Line) -> None:
        self._lines[line["task"], line["method"], line["seed"], line["mark"]] = line

    def __contains__(self, key: Key) -> bool:
        return "error" not in self._lines.get(key, {"error": "not measured"})

    def add(self, line: Line) -> None:
        self._take(line)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def lines(self, marks: dict[str, str]) -> list[Line]:
        """Return what was measured on the tasks as they are now."""
        return [line for line in self._lines.values() if marks.get(line["task"]) == line["mark"]]


def mark_of(task: Task, budget: int) -> str:
    """Return what changes when the task does: scores from before cannot be compared then."""
    data = joblib.hash([task.X, task.y, task.X_held, task.y_held, task.cv])
    told = re.sub(r" at 0x\w+", "", f"{task.estimator!r} {task.space!r} {task.scoring} {data} {budget}")
    return hashlib.sha256(told.encode()).hexdigest()[:12]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let nobody print, warn or show progress."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def measured(task: Task, rival: Rival, seed: int, budget: int) -> Line:
    """Return what a search found and spent, or why it failed."""
    recorder = Recorder(task, budget)
    try:
        with quiet():
            recorder.start()
            rival.search(task, seed, recorder)
    except Spent:
        pass
    except Exception as error:
        return failed(error)
    return summary(task, recorder)


def summary(task: Task, recorder: Recorder) -> Line:
    steps = recorder.steps()
    if not steps:
        return {"error": "no candidate was scored on all folds"}
    with quiet():
        held = score_of(recorder, task, steps[-1].candidate)
    last = recorder.entries[-1]
    return {
        "steps": [[round(one, 6) for one in (s.folds, s.wall, s.cpu)] + [s.score] for s in steps],
        "folds": sum(entry.share for entry in recorder.entries),
        "wall": last.wall,
        "cpu": last.cpu,
        "held": held,
        "candidates": len(recorder.models),
        "scores": [mean for mean, _, _ in recorder.means()],
    }


def search_all(options: argparse.Namespace, tasks: dict[str, Task], marks: dict[str, str], cache: Cache) -> None:
    """Measure what is not there yet, method by method."""
    for method in options.methods:
        rival = RIVALS[method]
        if not rival.is_installed():
            print(f"{method}: skipped, {rival.package} is not installed", flush=True)
            continue
        keys = [
            (name, method, seed, marks[name])
            for seed in range(options.seeds if rival.seeded else 1)
            for name, task in tasks.items()
            if rival.takes(task)
        ]
        missing = [key for key in keys if options.again or key not in cache]
        if missing:
            measured(tasks[missing[0][0]], rival, 0, WARM_UP)
        for key in missing:
            line = measured(tasks[key[0]], rival, key[2], options.budget)
            cache.add(dict(zip(KEYS, key, strict=True)) | line)
            tell(key, line)


def tell(key: Key, line: Line) -> None:
    said = line.get("error") or f"{line['steps'][-1][-1]:.5f} in {line['folds']:.0f} folds, {line['cpu']:.1f} s"
    print(time.strftime("%H:%M:%S"), *key[:3], said, sep="  ", flush=True)


def ask_grid(options: argparse.Namespace, question: Task, mark: str, cache: Cache) -> None:
    """Measure the pairs of the question about the grid that are not there yet."""
    for seed in range(options.pairs if OURS in options.methods else 0):
        key = (question.name, OURS, seed, mark)
        if options.again or key not in cache:
            line = asked(question, seed)
            cache.add(dict(zip(KEYS, key, strict=True)) | line)
            print(time.strftime("%H:%M:%S"), question.name, seed, line, flush=True)


def asked(question: Task, seed: int) -> Line:
    """Return the times of a pair, or why it failed."""
    try:
        with quiet():
            return {"pair": grid_question.pair(question, seed)}
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> Line:
    return {"error": f"{type(error).__name__}: {error}"[:300]}


def figures_of(lines: list[Line], budget: int) -> dict[str, Any]:
    """Return the figures, as far as there are any."""
    said: dict[str, Any] = {}
    runs = standings.of(lines)
    if runs:
        said |= standings.figures(runs, budget)
        print(standings.table(said, budget))
    else:
        print(f"nothing to compare with: {RANDOM} was not measured")
    pairs = [line["pair"] for line in lines if "pair" in line]
    if pairs:
        said["a grid of 169 points, digits"] = grid_question.figures(pairs)
    said["failed"] = failures(lines)
    return said


def failures(lines: list[Line]) -> dict[str, str]:
    """Return why a method failed on a task, and how many seeds did."""
    errors: dict[str, list[str]] = {}
    for line in lines:
        if "error" in line:
            errors.setdefault(f"{line['method']}, {line['task']}", []).append(line["error"])
    return {key: f"{len(found)} x {found[0]}" for key, found in errors.items()}


def use_one_thread() -> None:
    """Begin again with one thread for everything: threads that spin are processor time, too.

    Numerical libraries read these variables when they are loaded, and here they are.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    if any(os.environ.get(name) != "1" for name in names):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | dict.fromkeys(names, "1"))


def main() -> None:
    """Measure and report."""
    use_one_thread()
    options = arguments()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    cache = Cache(options.cache)
    tasks = {name: load(name) for name in options.tasks if name != grid_question.NAME}
    marks = {name: mark_of(task, options.budget) for name, task in tasks.items()}
    question = grid_question.task(options.quick) if grid_question.NAME in options.tasks else None
    if question is not None:
        marks[question.name] = mark_of(question, 0)
    if not options.report_only:
        search_all(options, tasks, marks, cache)
        if question is not None:
            ask_grid(options, question, marks[question.name], cache)
    report("quality", options, figures_of(cache.lines(marks), options.budget))


if __name__ == "__main__":
    main()
