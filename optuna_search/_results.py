"""From the records of trials to ``cv_results_``. Pure functions."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from optuna_search._compat import format_results, warn_or_raise_about_fit_failures
from optuna_search._record import Fold, Record


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


def metrics_of(records: Sequence[Record]) -> list[str]:
    """Return the names of the metrics; a scorer that is a function tells them only with its first score."""
    names = (list(fold.test) for record in records for fold in record.run if fold.test)
    return next(names, ["score"])


def is_multimetric(records: Sequence[Record]) -> bool:
    """Whether the scorer gave a dict of metrics."""
    return any(fold.multimetric for record in records for fold in record.run)


def cv_results(
    rows: Sequence[Row], n_splits: int, error_score: float, return_train_score: bool, n_goals: int = 1
) -> dict[str, Any]:
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
    n_goals : int
        How many are pursued: with several, a trial that has failed by one is none that may win by another.
    """
    records = [row.record for row in rows]
    metrics, multimetric = metrics_of(records), is_multimetric(records)
    unfit = np.array([row.record.pruned or (n_goals > 1 and row.state == "FAIL") for row in rows])
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
    _blank(results, records, unfit)
    for metric in metrics:
        _rank(results, metric, unfit)
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


def _blank(results: dict[str, Any], records: Sequence[Record], unfit: np.ndarray) -> None:
    """Take out of the rows that may not win what they do not have: folds that were not run, and every mean."""
    for key in [key for key in results if re.match(r"(split\d+|mean|std)_(test|train)_", key)]:
        split = re.match(r"split(\d+)_", key)
        for row in np.flatnonzero(unfit).tolist():
            if split is None or records[row].folds[int(split[1])] is None:
                results[key][row] = math.nan


def _rank(results: dict[str, Any], metric: str, unfit: np.ndarray) -> None:
    """Put rows last that cannot win: those without a mean, and those with one of plus infinity, for that is a fault."""
    means, ranks = results[f"mean_test_{metric}"], results[f"rank_test_{metric}"]
    if (unfit | np.isposinf(means)).any():
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


def why_nothing_wins(results: Mapping[str, Any], metric: str, refit: Any, best: int, n_goals: int = 1) -> str | None:
    """Return what is wrong with the row that is the best; None if it may win."""
    states, means = results["trial_state"], results[f"mean_test_{metric}"]
    if n_goals > 1 and set(states) == {"FAIL"}:
        return f"Not one of {len(states)} trials has a score by each of the {n_goals} objectives."
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


def why_given_up(failures: Sequence[str | None]) -> str:
    """Return what is wrong with trials of which not one fold has a score."""
    (commonest, _), *_ = Counter(filter(None, failures)).most_common(1)
    return (
        f"Not one fold of the first {len(failures)} trials has a score, so the search was given up: {commonest}. What "
        "a scorer raised is in the warnings."
    )


def report_failed_fits(records: Sequence[Record], error_score: float | str) -> None:
    """Warn once of all fits that failed, in scikit-learn's words.

    Raises
    ------
    ValueError
        If every fit failed.
    """
    out = [{"fit_error": fold.failure.traceback if fold.failure else None} for record in records for fold in record.run]
    warn_or_raise_about_fit_failures(out, error_score)
