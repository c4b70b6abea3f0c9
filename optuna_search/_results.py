"""From the records of trials to results: verdicts, ``cv_results_``, the leaderboard. Pure functions."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import rankdata

from optuna_search._compat import format_results, warn_or_raise_about_fit_failures
from optuna_search._hints import closest
from optuna_search._record import Climb, Fold, Record
from optuna_search._tables import NAME_WIDTH, html_table, pandas, printable, shortened, text_table
from optuna_search._tokens import token
from optuna_search.exceptions import InvalidRequestError

#: Columns of a leaderboard get no wider than this in a terminal.
MAX_WIDTH = 40
#: The same in HTML, where a cell breaks its lines.
MAX_WIDTH_HTML = 200


@dataclass(frozen=True)
class Row:
    """One trial of the results."""

    number: int
    #: "COMPLETE", "PRUNED" or "FAIL".
    state: str
    #: What the estimator got.
    params: dict[str, Any]
    record: Record
    #: Where a trial that was carried over was measured.
    origin: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What a finished trial came to."""

    #: The mean score over the folds that were run; None if the trial failed.
    value: float | None
    #: Why it failed.
    failure: str | None = None
    #: Whether it was ended before its last fold, or with a part of the resource.
    pruned: bool = False


def judge(record: Record, metric: str, error_score: float) -> Verdict:
    """Return what a trial comes to by the folds that it has run.

    Parameters
    ----------
    record : Record
        With some fold run.
    metric : str
        The metric that is pursued.
    error_score : float
        What stands for the score of a fit that failed.
    """
    scores = [fold.test.get(metric, error_score) for fold in record.run]
    if not any(math.isnan(score) or score == math.inf for score in scores):
        return Verdict(float(np.mean(scores)), pruned=record.pruned)
    failures = [fold.failure.line for fold in record.run if fold.failure is not None]
    return Verdict(None, failures[0] if failures else f"non-finite score: {metric}={scores}")


def curve(
    record: Record, metric: str, error_score: float, climb: Climb | None = None, *, each_fold: bool = False
) -> list[tuple[int, float]]:
    """Return what a trial came to step by step, for those who decide whether it goes on.

    Parameters
    ----------
    record : Record
        Of a trial that has begun.
    metric : str
        The metric that is pursued.
    error_score : float
        What stands for the score of a fit that failed.
    climb : Climb or None
        How trials get more and more of a resource, where steps are amounts of one; else they are folds.
    each_fold : bool
        Whether the score after a fold is that of the fold; else it is the mean up to there.

    Returns
    -------
    steps : list of (int, float)
        How much it had seen, in folds or in units of the resource, and its score then.

    Examples
    --------
    >>> folds = [Fold({"score": score}, {}, 0.1, 0.1) for score in (1.0, 0.0)]
    >>> curve(Record({}, (*folds, None)), "score", 0.0)
    [(1, 1.0), (2, 0.5)]
    """
    scores = [fold.test.get(metric, error_score) for fold in record.run]
    means = [(seen, total / seen) for seen, total in enumerate(itertools.accumulate(scores), start=1)]
    if climb is not None and record.rungs and record.climb == climb:
        # The folds after one that leads are as many wholes more.
        further = means[1:] if climb.first_fold_leads else []
        return [*record.rungs, *((seen * climb.whole, mean) for seen, mean in further)]
    # A study that is continued in another way has trials whose steps were of another kind: of these the end counts.
    if climb is not None:
        n_wholes = len(record.folds) if climb.first_fold_leads else 1
        return [(n_wholes * climb.whole, float(np.mean(scores)))] * record.is_whole
    if record.rungs and record.pruned:
        return []
    return list(enumerate(scores, start=1)) if each_fold else means


def metrics_of(records: Sequence[Record]) -> list[str]:
    """Return the names of the metrics; a scorer that is a function tells them only with its first score."""
    names = (list(fold.test) for record in records for fold in record.run if fold.test)
    return next(names, ["score"])


def is_multimetric(records: Sequence[Record]) -> bool:
    """Whether the scorer gave a dict of metrics."""
    return any(fold.multimetric for record in records for fold in record.run)


def cv_results(rows: Sequence[Row], n_splits: int, error_score: float, return_train_score: bool) -> dict[str, Any]:
    """Return ``cv_results_``: GridSearchCV's keys, one row a trial, and two keys of our own.

    Parameters
    ----------
    rows : sequence of Row
        In trial order.
    n_splits : int
        How many folds there are.
    error_score : float
        What stands for the score of a fit that failed.
    return_train_score : bool
        Whether there are keys for the scores on the training parts.
    """
    records = [row.record for row in rows]
    metrics, multimetric = metrics_of(records), is_multimetric(records)
    pruned = np.array([row.record.pruned for row in rows])
    # scikit-learn warns of scores that are not there. Those of pruned trials are meant to be missing: where no others
    # are, it does not hear of them.
    has_failed = any(_has_no_score(record, metrics, error_score) for record in records if not record.pruned)
    blank = math.nan if has_failed else 0.0
    out = [
        _as_scikit_learn(
            fold, metrics, multimetric, blank if record.pruned else math.nan, error_score, return_train_score
        )
        for record in records
        for fold in record.folds
    ]
    # Trials of an earlier run may have been scored without their training parts: that is no fault to warn of.
    unscored = return_train_score and any(fold.test and not fold.train for record in records for fold in record.run)
    with warnings.catch_warnings() if unscored else contextlib.nullcontext():
        if unscored:
            warnings.filterwarnings("ignore", "One or more of the train scores are non-finite")
        results = format_results([row.params for row in rows], n_splits, out, return_train_score)
    _blank(results, records)
    for metric in metrics:
        _rank(results, metric, pruned)
    results["trial_number"] = np.array([row.number for row in rows], dtype=np.int64)
    results["trial_state"] = np.array([row.state for row in rows], dtype=object)
    if any(row.origin for row in rows):
        results["trial_origin"] = np.array([row.origin for row in rows], dtype=object)
    if any(record.rungs for record in records):
        whole = max(record.climb.whole for record in records if record.rungs and record.climb)
        results["n_resources"] = np.array([_resources(record, whole) for record in records], dtype=np.int64)
    if any(fold.best_iteration is not None for record in records for fold in record.run):
        results |= _best_iterations(records, n_splits)
    return results


def _as_scikit_learn(
    fold: Fold | None,
    metrics: Sequence[str],
    multimetric: bool,
    missing: float,
    error_score: float,
    with_train: bool,
) -> dict[str, Any]:
    """Return the result of one fold in the form in which scikit-learn's own searches pass it on."""
    if fold is None:
        fold = Fold(dict.fromkeys(metrics, missing), dict.fromkeys(metrics, missing), math.nan, math.nan)
    test = {name: fold.test.get(name, error_score) for name in metrics}
    result: dict[str, Any] = {
        "fit_time": fold.fit_time,
        "score_time": fold.score_time,
        "test_scores": test if multimetric else test[metrics[0]],
    }
    if with_train:
        missing = error_score if fold.failure else math.nan
        train = {name: fold.train.get(name, missing) for name in metrics}
        result["train_scores"] = train if multimetric else train[metrics[0]]
    return result


def _has_no_score(record: Record, metrics: Sequence[str], error_score: float) -> bool:
    """Whether some fold of a trial has none."""
    scores = [fold.test.get(name, error_score) if fold else math.nan for fold in record.folds for name in metrics]
    return not all(map(math.isfinite, scores))


def _blank(results: dict[str, Any], records: Sequence[Record]) -> None:
    """Take out of the rows of pruned trials what they do not have: folds that were not run, and every mean."""
    pruned = [place for place, record in enumerate(records) if record.pruned]
    for key in [key for key in results if re.match(r"(split\d+|mean|std)_(test|train)_", key)]:
        split = re.match(r"split(\d+)_", key)
        for row in pruned:
            if split is None or records[row].folds[int(split[1])] is None:
                results[key][row] = math.nan


def _rank(results: dict[str, Any], metric: str, pruned: np.ndarray) -> None:
    """Put rows last that cannot win: pruned ones, and those with a mean of plus infinity, for that is a fault."""
    means, ranks = results[f"mean_test_{metric}"], results[f"rank_test_{metric}"]
    if (pruned | np.isposinf(means)).any():
        sound = np.isfinite(means) | np.isneginf(means)
        ranks[sound] = rankdata(-means[sound], method="min")
        ranks[~sound] = sound.sum() + 1


def _resources(record: Record, whole: int) -> int:
    """Return how much of the resource the scores of a trial are of; 0 for one that was pruned over folds."""
    return record.rungs[-1][0] if record.rungs else whole * record.is_whole


def best_iteration(record: Record) -> int | None:
    """Return the number of iterations that a model which stops early is fitted with on all data; None for any other."""
    found = [fold.best_iteration for fold in record.run if fold.best_iteration is not None]
    return round(float(np.median(found))) if found else None


def _best_iterations(records: Sequence[Record], n_splits: int) -> dict[str, np.ndarray]:
    """Return the columns of what models that stop early found best."""
    found = np.array(
        [[math.nan if f is None or f.best_iteration is None else f.best_iteration for f in r.folds] for r in records]
    )
    return {f"split{i}_best_iteration": found[:, i] for i in range(n_splits)} | {
        "median_best_iteration": np.median(found, axis=1)
    }


def why_nothing_wins(results: Mapping[str, Any], metric: str, refit: Any, best: int) -> str | None:
    """Return what is wrong with the row that is the best; None if it may win."""
    states, means = results["trial_state"], results[f"mean_test_{metric}"]
    n_pruned = int(np.sum(states == "PRUNED"))
    if n_pruned and "COMPLETE" not in states:
        others = "" if n_pruned == len(states) else ", and the others failed"
        return (
            f"Not one of {len(states)} trials was completed: pruner has ended {n_pruned} of them{others}. Give one "
            "that is milder."
        )
    if states[best] == "PRUNED":
        return (
            f"refit={refit!r} chose row {best} of cv_results_, which was pruned and has no mean; only complete trials "
            "may win (numpy.nanargmax leaves the others out)."
        )
    # Plus infinity is a fault; where every score is NaN the first row is taken, as in GridSearchCV.
    if np.isposinf(means).any() and not np.any(~np.isnan(means) & ~np.isposinf(means)):
        return f"Not one of {len(means)} trials has a score that can win: every mean of {metric!r} is NaN or infinite."
    return None


def report_failed_fits(records: Sequence[Record], error_score: float | str) -> None:
    """Warn once of all fits that failed, in scikit-learn's words.

    Raises
    ------
    ValueError
        If every fit failed.
    """
    out = [{"fit_error": fold.failure.traceback if fold.failure else None} for record in records for fold in record.run]
    warn_or_raise_about_fit_failures(out, error_score)


# --- the leaderboard ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leader:
    """One entry of a leaderboard.

    Attributes
    ----------
    rank : int
        1 is the best; equal scores share a rank.
    trial_number : int
        The trial's number in the study.
    params : dict
        What to give to ``estimator.set_params``.
    score : float
        The mean over the folds of the metric that the board is sorted by.
    std : float
        Its standard deviation over the folds, as in ``cv_results_``.
    metrics : dict
        The mean over the folds of every metric.
    origin : str or None
        Where it was measured, as in "svc #12", if that was in another study.
    """

    rank: int
    trial_number: int
    params: dict[str, Any]
    score: float
    std: float
    metrics: dict[str, float]
    origin: str | None = None
    #: The parameters as the record has them, objects by their names: what the tables show.
    texts: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Leaderboard(Sequence[Leader]):
    """The trials of a search that have a score, best first.

    It is a sequence: ``board[0]`` is the best, ``board[:3]`` the first three. Called, it gives the first few
    by any metric: ``board(5, by="roc_auc")``. It shows itself as a table, in notebooks in HTML.

    Parameters
    ----------
    results : dict
        ``cv_results_``.
    metric : str
        What to sort by.
    texts : sequence of dict
        For each row of the results, its parameters as the record has them.
    """

    def __init__(self, results: Mapping[str, Any], metric: str, texts: Sequence[Mapping[str, Any]]) -> None:
        self._results = results
        self._texts = texts
        self.metric = metric
        names = _metrics(results)
        means = results[f"mean_test_{metric}"]
        ranks = results[f"rank_test_{metric}"]
        origins = results.get("trial_origin", [None] * len(means))
        order = [i for i in np.argsort(ranks, kind="stable") if not np.isnan(means[i]) and means[i] != np.inf]
        self._leaders = [
            Leader(
                int(ranks[i]),
                int(results["trial_number"][i]),
                dict(results["params"][i]),
                float(means[i]),
                float(results[f"std_test_{metric}"][i]),
                {name: float(results[f"mean_test_{name}"][i]) for name in names},
                origins[i],
                texts[i],
            )
            for i in order
        ]

    @classmethod
    def empty(cls) -> Leaderboard:
        """Return the board of a study in which nothing has a score yet."""
        no_rows: dict[str, Any] = {"params": [], "trial_number": []}
        return cls(no_rows | {f"{key}_test_score": np.array([]) for key in ("mean", "std", "rank")}, "score", [])

    def __call__(self, n: int | None = None, *, by: str | None = None) -> Leaderboard:
        """Return the first `n` entries, sorted by the metric `by`.

        Parameters
        ----------
        n : int or None
            How many; None for all.
        by : str or None
            A metric; None for the one the board is sorted by.

        Raises
        ------
        InvalidRequestError
            If there is no such metric, or `n` is not a positive whole number.
        """
        metric = self.metric if by is None else by
        if f"mean_test_{metric}" not in self._results:
            names = _metrics(self._results)
            hint = closest(str(by), names)
            raise InvalidRequestError(
                f"by={by!r} is not a metric of this search; its metrics: {', '.join(names)}. {hint}".rstrip()
            )
        if n is not None and (not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1):
            raise InvalidRequestError(f"n={n!r} must be a whole number from 1, or None for all entries.")
        board: Leaderboard = Leaderboard(self._results, metric, self._texts)[:n]
        return board

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = Leaderboard.__new__(Leaderboard)
            vars(part).update(vars(self) | {"_leaders": self._leaders[index]})
            return part
        return self._leaders[index]

    def __len__(self) -> int:
        return len(self._leaders)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaderboard) and self._leaders == other._leaders

    __hash__ = None  # type: ignore[assignment]

    def _columns(self) -> tuple[list[str], list[str]]:
        params = dict.fromkeys(name for leader in self._leaders for name in leader.params)
        metrics = [name for leader in self._leaders[:1] for name in leader.metrics if name != self.metric]
        return list(params), metrics

    def _table(self, width: int) -> tuple[list[str], list[list[str]]]:
        """Return header and cells as texts of at most this width; a parameter that a trial does not have is empty."""
        params, metrics = self._columns()
        forked = any(e.origin for e in self._leaders)
        header = ["rank", "trial", self.metric, "std", *metrics, *(["from"] if forked else []), *params]
        rows = [
            [str(e.rank), str(e.trial_number), f"{e.score:.4f}", f"{e.std:.4f}"]
            + [f"{e.metrics[name]:.4f}" for name in metrics]
            + ([shortened(e.origin or "", max(width, NAME_WIDTH))] if forked else [])
            + [_short(e.params[name], e.texts.get(name), width) if name in e.params else "" for name in params]
            for e in self._leaders
        ]
        return header, rows

    def __repr__(self) -> str:
        if not self._leaders:
            return "no trial has a score yet"
        header, rows = self._table(MAX_WIDTH)
        return text_table(header, rows, numeric=4 + len(self._columns()[1]))

    def _repr_html_(self) -> str:
        return html_table(*self._table(MAX_WIDTH_HTML))

    def to_frame(self) -> Any:
        """Return the board as a pandas data frame, one row an entry, parameters as objects.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pd = pandas()
        params, metrics = self._columns()
        columns: dict[str, list[Any]] = {
            "rank": [e.rank for e in self._leaders],
            "trial_number": [e.trial_number for e in self._leaders],
            self.metric: [e.score for e in self._leaders],
            "std": [e.std for e in self._leaders],
        }
        columns |= {name: [e.metrics[name] for e in self._leaders] for name in metrics}
        if any(e.origin for e in self._leaders):
            columns["origin"] = [e.origin for e in self._leaders]
        objects = {f"param_{name}": [e.params.get(name) for e in self._leaders] for name in params}
        return pd.DataFrame(columns).join(pd.DataFrame(objects, dtype=object))


def _metrics(results: Mapping[str, Any]) -> list[str]:
    return [key.removeprefix("mean_test_") for key in results if key.startswith("mean_test_")]


def _short(value: Any, text: str | None, width: int) -> str:
    """Return a value as a cell shows it; objects go by the name that the record has for them."""
    if isinstance(value, str | float):
        text = value if isinstance(value, str) else f"{value:.6g}"
    else:
        text = token(value).text if text is None else str(text)
    return shortened(printable(text), width)
