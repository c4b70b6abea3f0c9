"""How sure a mean over folds is: its standard error, its interval, and whether two means differ."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats


def fold_ratio(sizes: Sequence[Sequence[int]] | None, n_folds: int) -> float:
    """Return how many samples are tested on for each that is trained on; without sizes, in an equal k-fold.

    Examples
    --------
    >>> fold_ratio([(120, 30), (120, 30)], 2), fold_ratio(None, 5)
    (0.25, 0.25)
    """
    if not sizes:
        return 1 / max(n_folds - 1, 1)
    train, test = np.sum(sizes, axis=0)
    return float(test / train)


def n_folds_of(results: Mapping[str, Any]) -> int:
    """Return how many folds the scores in ``cv_results_`` are of."""
    return len({found[1] for key in results if (found := re.match(r"split(\d+)_test_", key))})


def fold_scores(results: Mapping[str, Any], column: str) -> np.ndarray:
    """Return the scores of every row of ``cv_results_`` fold by fold.

    Parameters
    ----------
    results : dict
        ``cv_results_``, of any search.
    column : str
        What the keys of the metric end with, such as "test_score".

    Returns
    -------
    scores : array of shape (n_rows, n_folds)
    """
    n_folds, n_rows = n_folds_of(results), len(results[f"mean_{column}"])
    scores = np.array([results[f"split{i}_{column}"] for i in range(n_folds)], dtype=float)
    return scores.reshape(n_folds, n_rows).T


def standard_error(stds: Any, n_folds: int) -> Any:
    """Return standard errors of means over folds (``ddof=1``), from standard deviations as ``cv_results_`` has them.

    Those have ``ddof=0``. NaN with one fold.

    Examples
    --------
    >>> round(float(standard_error(np.std([1, 2, 3]), 3)), 4)  # the root of 1 / 3
    0.5774
    """
    return np.asarray(stds) / (math.sqrt(n_folds - 1) if n_folds > 1 else math.nan)


def half_width(stds: Any, n_folds: int, ratio: float, level: float = 0.95) -> Any:
    """Return by how much an interval reaches to either side of a mean over folds (Nadeau & Bengio 2003).

    The training parts of folds overlap, so their scores are no independent draws. The corrected resampled interval
    takes the variance of the mean for ``1/k + n_test/n_train`` times that of the scores, not for ``1/k`` times.

    Parameters
    ----------
    stds : array-like
        Standard deviations of the scores, as ``cv_results_`` has them (``ddof=0``).
    n_folds : int
        How many scores each is of. With one there is no interval: NaN.
    ratio : float
        Samples in the test part of a fold for each in its training part.
    level : float
        How often intervals of independent experiments would hold the true value, if scores were normal.
    """
    if n_folds < 2:
        return np.full(np.shape(stds), math.nan)
    widening = math.sqrt(1 + n_folds * ratio)
    return float(stats.t.ppf((1 + level) / 2, n_folds - 1)) * widening * standard_error(stds, n_folds)


def corrected_t_test(differences: Any, ratio: float) -> tuple[Any, Any]:
    """Return t and the two-sided p value of the corrected resampled t-test (Nadeau & Bengio 2003).

    Parameters
    ----------
    differences : array-like of shape (..., n_folds)
        Of the scores of each fold.
    ratio : float
        Samples in the test part of a fold for each in its training part.

    Returns
    -------
    t, p : float or array of shape (...)
        Both NaN with fewer than two folds; ``0, 1`` if nothing differs; infinity and 0 if all folds differ by the same.

    Examples
    --------
    >>> t, p = corrected_t_test([0.1, 0.2, 0.3], ratio=0.5)
    >>> round(float(t), 4), round(float(p), 4)
    (2.1909, 0.1598)
    """
    folds = np.asarray(differences, dtype=float)
    n_folds = folds.shape[-1]
    if n_folds < 2:
        unknown = np.full(folds.shape[:-1], math.nan)[()]
        return unknown, unknown
    with np.errstate(invalid="ignore", divide="ignore"):  # minus infinity is a score
        means = folds.mean(axis=-1)
        t = means / np.sqrt((1 / n_folds + ratio) * folds.var(axis=-1, ddof=1))
    # Where all are equal the variance would be 0, or what rounding makes of it.
    equal = (folds == folds[..., :1]).all(axis=-1)
    t = np.where(equal, np.where(means == 0, 0.0, np.copysign(math.inf, means)), t)
    t = np.where(np.isfinite(folds).all(axis=-1), t, math.nan)[()]
    return t, 2 * stats.t.sf(np.abs(t), n_folds - 1)
