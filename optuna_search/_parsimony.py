"""Who wins where the best is not much better than what is cheaper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optuna_search._hints import did_you_mean
from optuna_search._uncertainty import fold_scores, n_folds_of, standard_error
from optuna_search.exceptions import InvalidRequestError, NoResultError


@dataclass(frozen=True, repr=False)
class OneStandardError:
    """Choose the cheapest to fit among the candidates within one standard error of the best.

    It is given as ``refit=one_standard_error`` to `OptunaSearchCV`, ``GridSearchCV`` or ``RandomizedSearchCV``. The
    standard error is that of the best candidate's mean score over the folds (``ddof=1``); what is cheapest,
    ``mean_fit_time`` says. That is the rule of Breiman et al. [1]_, who took the smallest tree instead: a difference
    smaller than the error of the best is no reason to pay for it. Candidates without a score in every fold, those that
    were pruned or failed, are never chosen. With one fold there is no standard error, and only what is as good as the
    best comes into question.

    With several metrics, ``one_standard_error.by("roc_auc")`` says by which. A search does not know from a function
    what to pursue: give `OptunaSearchCV` ``objectives=["roc_auc"]`` as well, where that is not the first metric.

    Parameters
    ----------
    metric : str, default=None
        The metric; None for the only one there is.

    Notes
    -----
    Times of a few milliseconds are mostly noise, and those that were measured beside other fits (`n_jobs`), on another
    machine, or before a cache was filled, tell of that too. As with any function that is given as `refit`, there is
    no ``best_score_`` then: ``top_n_`` has every score.

    References
    ----------
    .. [1] L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone, "Classification and Regression Trees",
       Wadsworth (1984), section 3.4.3.

    Examples
    --------
    >>> from optuna_search import one_standard_error
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.model_selection import GridSearchCV
    >>> X, y = load_wine(return_X_y=True)
    >>> forest = RandomForestClassifier(random_state=0)
    >>> search = GridSearchCV(forest, {"n_estimators": [1, 20, 100]}, refit=one_standard_error).fit(X, y)
    >>> search.best_params_
    {'n_estimators': 20}
    """

    metric: str | None = None

    def by(self, metric: str) -> OneStandardError:
        """Return the same rule by one of several metrics.

        Examples
        --------
        >>> one_standard_error.by("roc_auc")
        one_standard_error.by('roc_auc')
        """
        return OneStandardError(metric)

    def __call__(self, cv_results: Mapping[str, Any]) -> int:
        """Return the row of ``cv_results_`` that is chosen.

        Raises
        ------
        InvalidRequestError
            If it is not said by which of several metrics, or there is no such metric.
        NoResultError
            If no row has a score in every fold.
        """
        names = [key.removeprefix("mean_test_") for key in cv_results if key.startswith("mean_test_")]
        column = f"test_{self.metric_in(names)}"
        scores, all_means = fold_scores(cv_results, column), np.asarray(cv_results[f"mean_{column}"])
        # One that was pruned with a part of a resource has scores, and no mean.
        rows = np.flatnonzero(np.isfinite(scores).all(axis=1) & np.isfinite(all_means))
        if not len(rows):
            raise NoResultError(
                f"{self!r} has nothing to choose from: no row of cv_results_ has a score in every fold."
            )
        means = all_means[rows]
        best = int(np.argmax(means))
        error = standard_error(np.std(scores[rows[best]]), n_folds_of(cv_results))
        close = means >= means[best] - np.nan_to_num(error)
        # Of equally cheap ones the better.
        return int(rows[close][np.lexsort((-means[close], np.asarray(cv_results["mean_fit_time"])[rows][close]))[0]])

    def metric_in(self, names: Sequence[str]) -> str:
        """Return the metric to go by, of those that there are.

        Raises
        ------
        InvalidRequestError
            If it is not said which of several, or there is no such metric.
        """
        if self.metric is None and len(names) != 1:
            raise InvalidRequestError(
                f"refit={self!r} does not say by which of {len(names)} metrics ({', '.join(names)}): give "
                f"refit=one_standard_error.by({names[0]!r}), for example."
            )
        metric = names[0] if self.metric is None else self.metric
        if metric not in names:
            raise InvalidRequestError(f"refit={self!r}: there is no such metric. {did_you_mean(str(metric), names)}")
        return metric

    def __repr__(self) -> str:
        return "one_standard_error" if self.metric is None else f"one_standard_error.by({self.metric!r})"


#: The rule by the only metric there is.
one_standard_error = OneStandardError()
