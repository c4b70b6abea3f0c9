"""How candidates are measured: on which folds, and by which metric."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import assert_all_finite

from optuna_search._boosters import last_step
from optuna_search._compat import INCONSISTENT_SPLITS, check_refit, num_samples
from optuna_search._goals import TIMES, Goal, goals_in, named_by
from optuna_search._hints import closest
from optuna_search._record import Fold
from optuna_search._tables import shortened
from optuna_search.exceptions import InvalidRequestError, OptunaSearchWarning

Folds = Sequence[tuple[Any, Any]]

#: What stands for a metric whose name only a score tells.
FIRST_METRIC = "the first metric"
#: What is shown of a part of a fold that cannot be used.
MAX_SHOWN = 80


# --- folds ------------------------------------------------------------------------------------------------------------


def split(search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> Folds:
    """Return the indices of every fold; the splitter is asked once, however many trials there are.

    Raises
    ------
    ValueError
        If there are no folds, or not as many as the splitter said.
    InvalidRequestError
        If one of them is no pair.
    """
    cv = check_cv(_frozen(search.cv), y, classifier=is_classifier(search.estimator))
    n_splits = cv.get_n_splits(X, y, **params)
    splits = _pairs(search.cv, cv.split(X, y, **params))
    if len(splits) != n_splits:
        raise ValueError(INCONSISTENT_SPLITS.format(n_splits, len(splits)))
    if not splits:
        raise ValueError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
    return splits


def _frozen(cv: Any) -> Any:
    """Return folds that were given one by one as a list; anything else as it is."""
    return cv if cv is None or isinstance(cv, Integral) or hasattr(cv, "split") else _pairs(cv, cv)


def _pairs(cv: Any, folds: Any) -> list[tuple[Any, Any]]:
    """Return folds as a list of pairs."""
    if not isinstance(folds, Iterable) or (isinstance(folds, np.ndarray) and folds.ndim == 0):
        raise InvalidRequestError(f"cv={cv!r} must give pairs of indices (training, test), and gives {folds!r}.")
    found, complaints = [], []
    for fold, pair in enumerate(folds):
        try:
            training, test = pair
        except (TypeError, ValueError):
            complaints.append(f"cv: fold {fold} is {_shown(pair)}, and must be a pair of indices (training, test).")
        else:
            found.append((training, test))
    if complaints:
        raise InvalidRequestError(complaints)
    return found


def _shown(value: Any) -> str:
    return shortened(" ".join(repr(value).split()), MAX_SHOWN)


# --- what can be known before the first fit ---------------------------------------------------------------------------


def check(search: Any, X: Any, y: Any, params: Mapping[str, Any], splits: Folds) -> None:
    """Refuse folds and data that cannot come to a score, whatever the candidate; warn of folds that overlap.

    Raises
    ------
    InvalidRequestError
        With every complaint there is.
    """
    n_samples = num_samples(X)
    of_folds = [
        complaint
        for fold, parts in enumerate(splits)
        for name, part in zip(("training", "test"), parts, strict=True)
        if (complaint := _part_complaint(f"cv: the {name} part of fold {fold}", part, n_samples, name == "training"))
    ]
    complaints = [*of_folds, *_weights_complaints(params, n_samples)]
    if not of_folds:
        complaints += _target_complaints(search, y, splits)
    if complaints:
        raise InvalidRequestError(complaints)
    _warn_of_overlaps(splits, n_samples)


def _part_complaint(what: str, given: Any, n_samples: int, is_training: bool) -> str | None:
    """Return why a part of a fold cannot be used, or None."""
    try:
        part = np.asarray(given)
    except ValueError:  # lists in it, of several lengths
        return f"{what} must be indices of samples or a mask, got {_shown(given)}."
    if part.size == 0:
        # Some splitters make an empty test part where groups run out; it has no score, and no list means it.
        return f"{what} is empty." if is_training or part.dtype.kind not in "iu" else None
    if part.ndim != 1 or part.dtype.kind not in "iub":
        return f"{what} must be indices of samples or a mask, got {_shown(given)}."
    if part.dtype == bool:
        if part.size != n_samples:
            return f"{what} is a mask of {part.size} samples; there are {n_samples} samples."
        return None if part.any() else f"{what} is empty."
    if part.min() < -n_samples or part.max() >= n_samples:
        return f"{what} has indices from {part.min()} to {part.max()}; there are {n_samples} samples."
    return None


def _warn_of_overlaps(splits: Folds, n_samples: int) -> None:
    """Warn of folds that test on what was trained on."""
    overlapping = []
    for fold, (training, test) in enumerate(splits):
        trained_on = np.zeros(n_samples, dtype=bool)
        trained_on[indices(training)] = True
        if trained_on[indices(test)].any():
            overlapping.append(str(fold))
    if overlapping:
        warnings.warn(
            f"cv: fold(s) {', '.join(overlapping)} test on samples that they were trained on, so scores are too good.",
            OptunaSearchWarning,
            stacklevel=2,
        )


def _weights_complaints(params: Mapping[str, Any], n_samples: int) -> Iterator[str]:
    """Yield, in scikit-learn's words, which weights are not one for each sample: every fit would fail of them."""
    for name, weights in params.items():
        if name.rpartition("__")[2] == "sample_weight" and np.ndim(weights) and num_samples(weights) != n_samples:
            yield f"{name}.shape == {np.shape(weights)}, expected {(n_samples,)}!"


def _target_complaints(search: Any, y: Any, splits: Folds) -> Iterator[str]:
    """Yield, in scikit-learn's words, that a target is no number where its own scorers, which take only those, need it.

    Whether an estimator can be fitted without some of the targets is for itself to say.
    """
    targets = np.asarray(y)
    if targets.dtype.kind not in "fO" or targets.ndim == 0 or not _is_scored_by_scikit_learn(search):
        return
    tested = np.zeros(len(targets), dtype=bool)
    for _, test in splits:
        tested[indices(test)] = True
    try:
        assert_all_finite(targets[tested], input_name="y")
    except ValueError as error:
        yield str(error)
    except TypeError:  # objects that cannot be compared
        return


def _is_scored_by_scikit_learn(search: Any) -> bool:
    given = search.scoring
    if given is None:
        score = getattr(type(last_step(search.estimator)), "score", None)
        return score in (ClassifierMixin.score, RegressorMixin.score)
    metrics = given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else [given]
    return all(isinstance(one, str) for one in metrics)


def fold_sizes(splits: Sequence[tuple[Any, Any]]) -> list[tuple[int, int]]:
    """Return how many samples the training and the test part of each fold have."""
    return [(indices(train).size, indices(test).size) for train, test in splits]


def indices(part: Any) -> np.ndarray:
    """Return the samples of a part of a fold by their numbers, however they were given."""
    array = np.asarray(part)
    return np.flatnonzero(array) if array.dtype == bool else array.astype(np.int64)


def goals_of(search: Any, fold: Fold | None = None) -> tuple[Goal, ...]:
    """Return what is pursued: by the names that a fold with scores has for it, or as far as it is known before.

    Raises
    ------
    ValueError
        If what a scorer gives, which is known only with the first score, does not go with `refit` or `objectives`.
    """
    goals = _asked_for(search)
    if fold is None:
        return goals
    if callable(search.scoring):
        if fold.multimetric:
            check_refit(search, fold.test)
        for name in search.objectives or ():
            if (name in TIMES) == (name in fold.test):
                raise InvalidRequestError(objective_complaint(search.objectives, name, list(fold.test)))
    return named_by(goals, fold.test)


def _asked_for(search: Any) -> tuple[Goal, ...]:
    single = search.scoring is None or isinstance(search.scoring, str)
    if search.objectives:
        given = goals_in(list(search.objectives))
        return tuple(Goal("score") if single and not goal.is_time else goal for goal in given)
    if single:
        return (Goal("score"),)
    if isinstance(search.refit, str):
        return (Goal(search.refit),)
    return (Goal(FIRST_METRIC if callable(search.scoring) else str(next(iter(search.scoring)))),)


def objective_complaint(objectives: Sequence[str], name: str, metrics: Sequence[str]) -> str:
    """Return what is wrong with one of the objectives, given the metrics that there are."""
    which = f"objectives={objectives!r}" if len(objectives) == 1 else f"objectives={objectives!r}: {name!r}"
    if name in TIMES:
        return f"{which} is a time, and a metric of scoring as well; give the metric another name."
    names = [*metrics, *TIMES]
    hint = closest(name, names) or ("Name others in scoring as well." if metrics == ["score"] else "")
    return f"{which} is not a metric of scoring; there are {', '.join(names)}. {hint}".rstrip()
