"""What a guess comes to that ignores the data: whoever is worse has nothing to lose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sklearn.base import is_classifier, is_regressor

from optuna_search._evaluate import Evaluation, Task, evaluate
from optuna_search._record import Fold
from optuna_search.exceptions import InvalidRequestError


def chance(evaluation: Evaluation, metric_of: Callable[[Fold], str]) -> float:
    """Return the mean score over the folds of a guess that ignores the data: the frequencies, or the mean of y.

    Raises
    ------
    InvalidRequestError
        If there is no such guess, or it has no score.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    estimator = evaluation.estimator
    guess = DummyClassifier() if is_classifier(estimator) else DummyRegressor() if is_regressor(estimator) else None
    scores: list[float] = []
    if guess is not None:
        made = replace(evaluation, estimator=guess, fit_params={}, error_score=math.nan, caller=None, resource=None)
        outcome = evaluate(made, Task(0, {}, tuple(range(made.n_splits)), (0, 1)))
        scores = [fold.test[metric_of(fold)] for fold in outcome.folds if fold is not None and fold.test]
    if len(scores) < evaluation.n_splits or not all(map(math.isfinite, scores)):
        raise InvalidRequestError(
            "pruner='threshold' ends what is worse than a guess that ignores the data, and here no such guess has a "
            "score. Give optuna.pruners.ThresholdPruner(lower=...)."
        )
    return float(np.mean(scores))
