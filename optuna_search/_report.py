"""The report of a study: one HTML page with what was searched, what came of it, and figures."""

from __future__ import annotations

import datetime
import itertools
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna_search import _parameterfigures as of_parameters
from optuna_search import _summary
from optuna_search import _trialfigures as of_trials
from optuna_search._drawing import plotly_objects, scored
from optuna_search._facts import Facts, facts_of
from optuna_search._given import store_given
from optuna_search._importance import importances_of
from optuna_search._leaderboard import MAX_WIDTH_HTML, Leaderboard
from optuna_search._page import Section, escaped, facts_list, page, table
from optuna_search._reading import leaderboard_of
from optuna_search._storage import in_plain_words
from optuna_search._store import Store
from optuna_search._studyfile import new_file
from optuna_search.exceptions import InvalidRequestError, NoResultError

#: Tables are as long as this.
MAX_ROWS = 20
#: What a report may be called.
ENDINGS = (".html", ".htm")
#: Pixels that an axis of parallel coordinates takes at least.
AXIS_WIDTH = 118


def report(search_or_study: Any, path: str | os.PathLike[str], *, storage: Any = None) -> Path:
    """Write a report of a study: one HTML page that opens without a network.

    It tells what was searched (data, folds, scoring, space), and shows the leaderboard and the figures of
    `optuna_search.figures`: history, importances, slices and contours of the most important parameters, parallel
    coordinates, timeline, how far trials came if some were pruned, and the Pareto front if there are several goals.

    The page holds plotly.js, 4 to 5 MB. Tables have 20 rows; slices and contours are of the parameters that account for
    most of the differences between trials (see `figures.importances`), and of more than 1,000 trials they show the best
    500 and an even part of the others. A browser runs nothing in it but its own two scripts, whatever names and values
    the study has, and the password of a storage is not in it.

    Parameters
    ----------
    search_or_study : OptunaSearchCV, optuna.Study, or str
        A fitted search, its study, or the name of a study in `storage`.
    path : str or Path
        The file, which ends in ``.html``. An older one is replaced at one stroke.
    storage : str, Path, or optuna.storages.BaseStorage, default=None
        Where a study is that is given by its name.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    InvalidRequestError
        If an argument cannot be used.
    StorageError
        If there is no such study, it is none of ours, or the file cannot be written.
    NoResultError
        If no trial has a score in every fold.
    ImportError
        If plotly is not installed: ``pip install 'optuna-search[plots]'``.

    Examples
    --------
    >>> import tempfile
    >>> from optuna_search import OptunaSearchCV, report
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> search = OptunaSearchCV(SVC(), {"C": [0.1, 1, 10], "kernel": ["rbf", "linear"]}).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = report(search, f"{folder}/svc.html")
    ...     written.name, written.read_text(encoding="utf-8")[:15]
    ('svc.html', '<!DOCTYPE html>')
    """
    if (complaint := _path_complaint(path)) is not None:
        raise InvalidRequestError(complaint)
    plotly_objects()
    store = store_given(search_or_study, storage)
    place = Path(path).expanduser()
    with new_file(place, replace=True) as beside:
        beside.touch()  # what cannot be written is refused before any work
        with in_plain_words(store.storage):
            facts, board = facts_of(store), _board(store)
        search = search_or_study if hasattr(search_or_study, "study_") else None
        text = _page(facts, board, search)
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
    return place


def _board(store: Store) -> Leaderboard:
    """Return the leaderboard, without a word about scores that are not there, or not finite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        return leaderboard_of(store)


def _path_complaint(path: Any) -> str | None:
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        return f"path={path!r} must be a path."
    if Path(path).suffix.lower() not in ENDINGS or "\0" in str(path):
        return f"path={str(path)!r} must end in .html."
    return None


def _page(facts: Facts, board: Leaderboard, search: Any) -> str:
    scored(facts, *facts.goals)
    told = _summary.in_numbers(facts, board)
    marks = _summary.marks_of(told)
    lead = facts_list(told, "numbers") + (f'<p class="note">{escaped(marks)}</p>' if marks else "")
    today = datetime.datetime.now()
    foot = escaped(f"Written {today:%Y-%m-%d %H:%M} by optuna_search.")
    return page(facts.name, lead, list(_sections(facts, board, search)), foot)


# --- its sections -----------------------------------------------------------------------------------------------------


def _sections(facts: Facts, board: Leaderboard, search: Any) -> Iterator[Section]:
    yield Section("What was searched", "", body=_what(facts, search))
    leading = board[:MAX_ROWS]
    has_times = any(not goal.maximise for goal in facts.goals)
    caption = " ".join([_of_the_first(len(board)), *(["Times are in seconds."] if has_times else []), leading.note])
    yield Section("Leaderboard", caption.rstrip(), body=table(*leading._table(MAX_WIDTH_HTML), one_line=True))
    if len(facts.goals) > 1:
        yield _front(facts)
    yield Section(
        "History",
        "The mean score of each trial, with a line of one standard error up and down, and the best so far. Trials that "
        "were pruned stand at the mean of the folds that they saw, and failed ones at the bottom. What is so far off "
        "that it would hide the rest stands at the end of the axis.",
        [of_trials.history(facts, facts.goals[0], "standard error")],
    )
    yield from _of_parameters(facts)
    if facts.counts["PRUNED"]:
        yield Section(
            "How far trials came",
            "Scores step by step; below, how many trials ended at each step.",
            [of_trials.pruned_folds(facts)],
        )
    yield from _if_there("Timeline", "When each trial ran, and how it ended.", lambda: [of_trials.timeline(facts)])
    failures = _summary.failure_table(facts)
    if failures[1]:
        yield Section("Failures", "Why trials failed, or were given up.", body=table(*failures))


def _what(facts: Facts, search: Any) -> str:
    made_with = facts.header["fingerprint"]["estimator"]
    fixed = [[str(name), str(value)] for name, value in made_with.items()]
    return (
        facts_list(_summary.described(facts, search), "facts")
        + table(*_summary.space_table(facts))
        + f"<details><summary>The estimator and its fixed parameters</summary>{table(['', 'value'], fixed)}</details>"
    )


def _of_the_first(n: int) -> str:
    return f"The first {MAX_ROWS} of {n:,} trials with a score." if n > MAX_ROWS else "All trials with a score."


def _front(facts: Facts) -> Section:
    front = facts.front(*facts.goals)
    rows = f"the first {MAX_ROWS} of {len(front):,}" if len(front) > MAX_ROWS else f"all {len(front):,}"
    return Section(
        "Pareto front",
        "The trials that no other one is better than by one goal and as good as by all others, with their standard "
        f"errors: {rows}.",
        [of_trials.pareto_front(facts, facts.goals, [pair]) for pair in itertools.combinations(facts.goals, 2)],
        table(*_summary.front_table(facts, MAX_ROWS), one_line=True),
    )


def _of_parameters(facts: Facts) -> Iterator[Section]:
    """Yield what parameters do; only the first goal has figures for each of them."""
    goal = facts.goals[0]
    shares = {one: importances_of(facts, one) for one in facts.goals}
    names = of_parameters.by_importance(facts, goal, shares[goal])
    if not names:
        return
    if shares[goal]:
        yield Section(
            "Importances",
            f"How much of the differences between {len(facts.scored(goal)):,} complete trials each parameter accounts "
            "for: the mean decrease of impurity in a random forest.",
            [of_parameters.importances(facts, shares)],
        )
    sliced = names[: of_parameters.N_SLICES]
    yield Section(
        "Slices",
        f"{_best_of(sliced, names)}: the scores by one parameter after the other. The star is the best trial, crosses "
        "are pruned ones.",
        [_bare(of_parameters.slices(facts, goal, [name])) for name in sliced],
    )
    lined = names[: of_parameters.N_LINES]
    pairs = of_parameters.pairs_of(facts, goal, lined)[: of_parameters.N_PAIRS]
    if pairs:
        yield Section(
            "Contours",
            "The mean score of the trials around each place, for pairs of important parameters. Where there is no "
            "colour no trial is near.",
            [of_parameters.contours(facts, goal, [pair]) for pair in pairs],
        )
    yield Section(
        "Parallel coordinates",
        f"{_best_of(lined, names)}: each line is a trial, the brighter the better. It passes below the axis of a "
        "parameter that it does not have.",
        [of_parameters.parallel_coordinates(facts, goal, lined)],
        least_width=AXIS_WIDTH * (len(lined) + 1),
    )


def _best_of(shown: Sequence[str], names: Sequence[str]) -> str:
    return (
        f"The {len(shown)} most important of {len(names)} parameters" if len(shown) < len(names) else "All parameters"
    )


def _bare(figure: Any) -> Any:
    """Return a figure without a legend: a caption says it for all that stand beside each other."""
    return figure.update_layout(showlegend=False)


def _if_there(heading: str, caption: str, draw: Callable[[], Sequence[Any]]) -> Iterator[Section]:
    """Yield a section if there is anything to draw."""
    try:
        yield Section(heading, caption, draw())
    except NoResultError:
        return
