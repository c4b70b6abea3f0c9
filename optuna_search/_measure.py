"""How candidates are measured: on which folds, and by which metric."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv

from optuna_search._compat import INCONSISTENT_SPLITS, check_refit, num_samples
from optuna_search._record import Fold
from optuna_search.exceptions import InvalidRequestError, OptunaSearchWarning


def split(search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Return the indices of every fold; the splitter is asked once, however many trials there are.

    Raises
    ------
    ValueError
        If there are no folds, or not as many as the splitter said.
    InvalidRequestError
        If one of them cannot be run.
    """
    cv = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
    n_splits = cv.get_n_splits(X, y, **params)
    splits = list(cv.split(X, y, **params))
    if len(splits) != n_splits:
        raise ValueError(INCONSISTENT_SPLITS.format(n_splits, len(splits)))
    if not splits:
        raise ValueError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
    _check(splits, num_samples(X))
    return splits


def _check(splits: Sequence[tuple[Any, Any]], n_samples: int) -> None:
    """Refuse folds that cannot be run, and warn of those that test on what was trained on.

    Raises
    ------
    InvalidRequestError
        If a part of a fold is empty, or points outside of the data.
    """
    complaints, overlapping = [], []
    for fold, parts in enumerate(splits):
        marks = []
        for name, given in zip(("training", "test"), parts, strict=True):
            part = _indices(given)
            if part.size == 0:
                # Some splitters make an empty test part where groups run out; it has no score, and no list means it.
                if name == "training" or np.asarray(given).dtype.kind not in "iu":
                    complaints.append(f"cv: the {name} part of fold {fold} is empty.")
            elif part.min() < -n_samples or part.max() >= n_samples:
                complaints.append(
                    f"cv: the {name} part of fold {fold} has indices from {part.min()} to {part.max()}; "
                    f"there are {n_samples} samples."
                )
            else:
                mark = np.zeros(n_samples, dtype=bool)
                mark[part] = True
                marks.append(mark)
        if len(marks) == 2 and (marks[0] & marks[1]).any():
            overlapping.append(str(fold))
    if complaints:
        raise InvalidRequestError(complaints)
    if overlapping:
        warnings.warn(
            f"cv: fold(s) {', '.join(overlapping)} test on samples that they were trained on, so scores are too good.",
            OptunaSearchWarning,
            stacklevel=2,
        )


def fold_sizes(splits: Sequence[tuple[Any, Any]]) -> list[tuple[int, int]]:
    """Return how many samples the training and the test part of each fold have."""
    return [(_indices(train).size, _indices(test).size) for train, test in splits]


def _indices(part: Any) -> np.ndarray:
    array = np.asarray(part)
    return np.flatnonzero(array) if array.dtype == bool else array.astype(np.int64)


def objective_of(search: Any) -> str | None:
    """Return the metric that is pursued, as far as it is known before the first score."""
    if search.scoring is None or isinstance(search.scoring, str):
        return "score"
    if search.objectives:
        return str(search.objectives[0])
    if isinstance(search.refit, str):
        return search.refit
    return None if callable(search.scoring) else str(next(iter(search.scoring)))


def metric_of(search: Any, fold: Fold) -> str:
    """Return the metric that is pursued, from a fold with scores.

    Raises
    ------
    ValueError
        If what a scorer gives, which is known only now, does not go with `refit` or `objectives`.
    """
    if not fold.multimetric:
        return "score"
    if callable(search.scoring):
        check_refit(search, fold.test)
    metric = objective_of(search) or next(iter(fold.test))
    if metric not in fold.test:
        raise InvalidRequestError(
            f"objectives={search.objectives!r} is not a metric of scoring; there are {', '.join(fold.test)}."
        )
    return metric
