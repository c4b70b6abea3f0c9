"""What each parameter of a search may be, and what is said of a value that it cannot."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from sklearn.base import clone, is_classifier

from optuna_search import _prune, _samplers
from optuna_search._callables import takes
from optuna_search._compat import SEARCH_CONSTRAINTS, Interval, ahead, constraint_complaint
from optuna_search._fork import Parent
from optuna_search._names import MAX_LENGTH, name_complaint

_COUNT = Interval(Integral, 1, None, closed="left")
_SECONDS = Interval(Real, 0, None, closed="neither")

CONSTRAINTS: dict[str, Any] = {
    **SEARCH_CONSTRAINTS,
    "param_distributions": "no_validation",  # the space has complaints of its own
    "param_grid": "no_validation",
    "n_trials": [_COUNT, None],
    "n_fits": [_COUNT, None],
    "timeout": [_SECONDS, None],
    "fit_timeout": [_SECONDS, None],
    "sampler": "no_validation",
    "pruner": "no_validation",
    "resource": [str, None],
    "min_resources": [_COUNT, str],
    "max_resources": [_COUNT, str],
    "factor": [Interval(Real, 1, None, closed="neither")],
    "initial_params": [list, tuple, str, None],
    "objectives": [list, tuple, None],
    "storage": [str, os.PathLike, BaseStorage, None],
    "study_name": [str, None],
    "fork_of": "no_validation",
    "random_state": ["random_state"],
    "callbacks": [list, tuple, callable, None],
}

#: joblib counts workers in a C int.
_MOST_JOBS = np.iinfo(np.int32).max
#: What ``{data}`` in the name of a study becomes is so long.
_DATA = "x" * 8


def complaints(search: Any) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter that cannot be used, and why."""
    for name in CONSTRAINTS:  # a subclass may have further parameters
        value = getattr(search, name)
        try:
            complaint = constraint_complaint({name: CONSTRAINTS[name]}, name, value, type(search).__name__)
            if complaint is None and name in _FURTHER:
                complaint = _FURTHER[name](value)
        except TypeError as error:  # some of NumPy's numbers, dates among them, cannot be compared with others
            complaint = f"{name}={value!r} cannot be used: {error}"
        if complaint is not None:
            yield name, complaint


def as_list(given: Any) -> list[Any]:
    """Return callbacks as a list, however they were given."""
    return [] if given is None else list(given) if isinstance(given, list | tuple) else [given]


# --- one by one -------------------------------------------------------------------------------------------------------


def _number(name: str) -> Callable[[Any], str | None]:
    """Return a check that a number is one: Python takes a bool for one, and floats do not go on for ever."""

    def check(value: Any) -> str | None:
        if isinstance(value, bool | np.bool_):
            return f"{name}={value!r} must be a number, not a bool."
        if isinstance(value, Integral) and abs(int(value)) > sys.float_info.max:
            return f"{name}={value!r} is larger than any float."
        return None

    return check


def _no_class(name: str, further: Callable[[Any], str | None] | None = None) -> Callable[[Any], str | None]:
    """Return a check that something is no class where an instance is meant."""

    def check(value: Any) -> str | None:
        if isinstance(value, type):
            return f"{name}={value!r} must be an instance, not a class."
        return None if further is None else further(value)

    return check


def _one_of(name: str, words: Sequence[str], otherwise: str) -> Callable[[Any], str | None]:
    """Return a check that a text is one of a few words."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str) or value in words:
            return _number(name)(value)
        return f"{name}={value!r} must be {', '.join(map(repr, words))}, or {otherwise}."

    return check


def _estimator(value: Any) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever fits it hears of it
            is_classifier(clone(value))
    except Exception as error:
        return f"estimator={_shown(value)} cannot be searched: {error}"
    return None


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # the repr of an estimator asks for its parameters, and breaks with them
        return object.__repr__(value)


def _scoring(value: Any) -> str | None:
    for one in value.values() if isinstance(value, dict) else [value]:
        if isinstance(one, type):
            return f"scoring={value!r} must be made of instances; {one!r} is a class."
        if callable(one) and not (takes(one, 3) or takes(one, 2)):  # without y a scorer is called with two
            return f"scoring={value!r}: {one!r} must take three arguments, (estimator, X, y)."
    return None


def _refit(value: Any) -> str | None:
    if not callable(value) or (takes(value, 1) and not isinstance(value, type)):
        return None
    return f"refit={value!r} must be a function of one argument, cv_results_, that returns the number of a row."


def _cv(value: Any) -> str | None:
    if hasattr(value, "split") and not hasattr(value, "get_n_splits"):  # bytes have a split as well
        return f"cv={value!r} must be a whole number from 2, a splitter, or pairs of indices (training, test)."
    return None


def _n_jobs(value: Any) -> str | None:
    if value is not None and (isinstance(value, bool | np.bool_) or value == 0 or abs(value) > _MOST_JOBS):
        return f"n_jobs={value!r} has no meaning; it must be a whole number other than 0, or None."
    return None


def _pre_dispatch(value: Any) -> str | None:
    try:
        useless = isinstance(value, bool | np.bool_) or (not isinstance(value, str) and value < 1)
        ahead(value, 2)
    except Exception:
        useless = True
    if not useless:
        return None
    return f"pre_dispatch={value!r} must be a whole number from 1, 'all', or an expression of n_jobs like '2*n_jobs'."


def _callbacks(value: Any) -> str | None:
    for one in as_list(value):
        if not callable(one) or isinstance(one, type):
            return f"callbacks={value!r} must hold callables (study, frozen_trial); {one!r} is none."
        if not takes(one, 2):
            return f"callbacks={value!r}: {one!r} must take two arguments, (study, frozen_trial)."
    return None


def _pruner(value: Any) -> str | None:
    if value is None or isinstance(value, BasePruner) or (isinstance(value, str) and value in _prune.NAMES):
        return None
    hint = " Give an instance, not the class." if isinstance(value, type) else ""
    return f"pruner={value!r} must be one of {', '.join(map(repr, _prune.NAMES))}, an Optuna pruner, or None.{hint}"


def _objectives(value: Any) -> str | None:
    if value is None:
        return None
    if not value or not all(isinstance(name, str) for name in value):
        return f"objectives={value!r} must be names of metrics, at least one."
    twice = [name for place, name in enumerate(value) if name in value[:place]]
    return f"objectives={value!r} names {twice[0]!r} twice." if twice else None


def _storage(value: Any) -> str | None:
    if isinstance(value, str) and not value.strip():
        return f"storage={value!r} is empty; give a path, a URL, an Optuna storage, or None."
    if isinstance(value, os.PathLike) and not isinstance(os.fspath(value), str):
        return f"storage={value!r} must be a path of text, not of bytes."
    return None


def _study_name(value: Any) -> str | None:
    if value is None:
        return None
    longer = len(value) <= MAX_LENGTH < len(value.replace("{data}", _DATA))
    too_long = (
        f"study_name={value!r} gets too long with the data's {len(_DATA)} characters; up to {MAX_LENGTH} are kept."
    )
    return name_complaint("study_name", value) or (too_long if longer else None)


def _fork_of(value: Any) -> str | None:
    if value is None or isinstance(value, Parent):
        return None
    if isinstance(value, str) and value:
        return name_complaint("fork_of", value)
    return f"fork_of={value!r} must be the name of a study in the same storage, or what search.fork(...) puts there."


#: What scikit-learn's constraints cannot say.
_FURTHER: dict[str, Callable[[Any], str | None]] = {
    **{name: _number(name) for name in ("n_trials", "n_fits", "timeout", "fit_timeout", "factor", "error_score")},
    "estimator": _no_class("estimator", _estimator),
    "scoring": _scoring,
    "refit": _refit,
    "cv": _no_class("cv", _cv),
    "n_jobs": _n_jobs,
    "pre_dispatch": _pre_dispatch,
    "random_state": _number("random_state"),
    "sampler": _samplers.check,
    "pruner": _pruner,
    "min_resources": _one_of("min_resources", ("auto", "exhaust", "smallest"), "a whole number from 1"),
    "max_resources": _one_of("max_resources", ("auto",), "a whole number from 1"),
    "callbacks": _callbacks,
    "objectives": _objectives,
    "storage": _storage,
    "study_name": _study_name,
    "fork_of": _fork_of,
}
