"""What was asked of a search: every complaint first, then the decisions that follow from it."""

from __future__ import annotations

import functools
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from optuna.storages import BaseStorage
from sklearn.base import clone

from optuna_search import _samplers
from optuna_search._compat import SEARCH_CONSTRAINTS, Interval, ahead, check_scoring, constraint_complaint
from optuna_search._dimensions import example
from optuna_search._fork import Parent
from optuna_search._names import name_complaint
from optuna_search._propose import Enumeration, Proposals, Sampling, random_order
from optuna_search._space import AnySpace, FunctionSpace, Space, parse, tell_apart
from optuna_search._workers import Limits
from optuna_search.exceptions import InvalidRequestError, SpaceError

#: How many trials a search runs when nothing says how many and it is not a grid.
DEFAULT_N_TRIALS = 50

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

#: Parameters of the contract whose work is not done yet, with the values that ask for nothing.
_LATER = {
    "pruner": None,
    "resource": None,
    "min_resources": "auto",
    "max_resources": "auto",
    "factor": 3,
}


#: When the time of a search is up, folds at work have this share of it left, and so many seconds at least.
GRACE = (0.1, 3.0)
#: Goals that are no metric.
_TIMES = ("fit_time", "score_time")


@dataclass(frozen=True)
class Budget:
    """When a search ends; the first limit that is reached ends it."""

    #: Finished trials of the study.
    n_trials: int | None = None
    #: Folds run in the study.
    n_fits: int | None = None
    #: The moment, by `time.monotonic`.
    deadline: float | None = None
    #: Whether to stop early if nothing can be fitted; an exhaustive search tries everything first.
    give_up: bool = True


# --- complaints -----------------------------------------------------------------------------------------------------


def check(search: Any) -> AnySpace:
    """Refuse a search that cannot be run as it was asked for, before anything is fitted; return its space.

    Raises
    ------
    InvalidRequestError
        With every complaint there is.
    NotImplementedError
        If something is asked for that this version cannot do.
    """
    by_name = dict(parameter_complaints(search))
    complaints, space = list(by_name.values()), None
    try:
        space = read_space(search)
        complaints += _space_complaints(search, space, by_name)
    except SpaceError as error:
        if not complaints:
            raise
        complaints += error.complaints
    if complaints:
        raise InvalidRequestError([*complaints, *_scoring_complaints(search, by_name)])
    _refuse_what_comes_later(search)
    assert space is not None
    return space


def parameter_complaints(search: Any) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter that cannot be used, and why."""
    for name in CONSTRAINTS:  # a subclass may have further parameters
        value = getattr(search, name)
        complaint = constraint_complaint({name: CONSTRAINTS[name]}, name, value, type(search).__name__)
        if complaint is None and name in _FURTHER:
            complaint = _FURTHER[name](value)
        if complaint is not None:
            yield name, complaint


def _no_bool(name: str) -> Callable[[Any], str | None]:
    """Return a check that a number is not a bool, which Python takes for one."""
    return lambda value: (
        f"{name}={value!r} must be a number, not a bool." if isinstance(value, bool | np.bool_) else None
    )


def _check_estimator(value: Any) -> str | None:
    return f"estimator={value!r} must be an instance, not a class." if isinstance(value, type) else None


def _check_n_jobs(value: Any) -> str | None:
    if isinstance(value, bool | np.bool_) or value == 0:
        return f"n_jobs={value!r} has no meaning; it must be a whole number other than 0, or None."
    return None


def _check_pre_dispatch(value: Any) -> str | None:
    try:
        ahead(value, 2)
    except Exception:
        return f"pre_dispatch={value!r} must be a whole number, 'all', or an expression of n_jobs such as '2*n_jobs'."
    return None


def _check_callbacks(value: Any) -> str | None:
    odd = [one for one in _as_list(value) if not callable(one)]
    return f"callbacks={value!r} must hold callables (study, frozen_trial); {odd[0]!r} is none." if odd else None


def _check_objectives(value: Any) -> str | None:
    if value is None or (value and all(isinstance(name, str) for name in value)):
        return None
    return f"objectives={value!r} must be names of metrics, at least one."


def _check_fork_of(value: Any) -> str | None:
    if value is None or isinstance(value, Parent) or (isinstance(value, str) and value):
        return None
    return f"fork_of={value!r} must be the name of a study in the same storage, or what search.fork(...) puts there."


#: What scikit-learn's constraints cannot say.
_FURTHER: dict[str, Callable[[Any], str | None]] = {
    **{name: _no_bool(name) for name in ("n_trials", "n_fits", "timeout", "fit_timeout", "factor", "error_score")},
    **{name: _no_bool(name) for name in ("min_resources", "max_resources", "random_state")},
    "estimator": _check_estimator,
    "n_jobs": _check_n_jobs,
    "pre_dispatch": _check_pre_dispatch,
    "sampler": _samplers.check,
    "callbacks": _check_callbacks,
    "objectives": _check_objectives,
    "study_name": lambda value: None if value is None else name_complaint("study_name", value),
    "fork_of": _check_fork_of,
}


def _space_complaints(search: Any, space: AnySpace, already: Container[str]) -> Iterator[str]:
    """Yield what is wrong with the space beside the other parameters, but for those that are wrong already."""
    if search.storage is not None:
        yield from (tell_apart(name, tokens) for name, tokens in space.ambiguous().items())
    endless = space.size is None and (isinstance(space, Space) or search.sampler == "grid")
    if endless and search.sampler in ("grid", "brute-force"):
        yield f"sampler={search.sampler!r} needs a space with an end: choices, whole numbers, ranges with a step."
    if "objectives" not in already and "scoring" not in already and search.objectives:
        metrics = _metrics(search.scoring)
        if metrics and search.objectives[0] not in (*metrics, *_TIMES):
            yield f"objectives={search.objectives!r} is not a metric of scoring; there are {', '.join(metrics)}."
    if "estimator" in already:
        return
    if isinstance(space, Space):
        yield from _unknown_parameters(search, space)
    if "initial_params" in already:
        return
    try:
        initial_points(search, space)
    except InvalidRequestError as error:
        yield from error.complaints


def _scoring_complaints(search: Any, already: Container[str]) -> Iterator[str]:
    """Yield scikit-learn's complaint about the scoring, beside others; on its own it comes from scikit-learn."""
    if {"scoring", "refit", "estimator"} & set(already):  # type: ignore[call-overload]
        return
    try:
        check_scoring(search)
    except (ValueError, TypeError) as error:
        yield str(error)


def _metrics(scoring: Any) -> list[str]:
    """Return the names that the metrics of a search go by, as far as they are known."""
    if isinstance(scoring, list | tuple | dict):
        return [str(name) for name in scoring]
    return [] if callable(scoring) else ["score", *([scoring] if scoring else [])]


def _unknown_parameters(search: Any, space: Space) -> Iterator[str]:
    """Yield a complaint for each dict with a parameter that the estimator does not take.

    Some estimators take more than `get_params` lists, so the question is put to `set_params`.
    """
    for branch in space.branches:
        params = {name: dim.value(example(dim)) for name, dim in branch.dimensions.items()}
        if not params:
            continue
        try:
            clone(search.estimator).set_params(**clone(params, safe=False))
        except (ValueError, AttributeError) as error:
            if "Invalid parameter" in str(error) or "set_params" in str(error):
                name = "param_distributions" if search.param_grid is None else "param_grid"
                yield f"{name} with {', '.join(branch.dimensions)} does not fit the estimator: {error}"
        except Exception:
            continue  # an estimator with a set_params of its own kind says what it has to say when it is fitted


def _refuse_what_comes_later(search: Any) -> None:
    given = [name for name, default in _LATER.items() if _differs(getattr(search, name), default)]
    if given:
        raise NotImplementedError(
            f"{', '.join(given)} cannot be used in this version of optuna_search; leave the default."
        )
    if search.objectives is not None and len(search.objectives) != 1:
        raise NotImplementedError(
            f"objectives={search.objectives!r}: this version of optuna_search pursues one goal; give one metric."
        )
    if search.objectives and search.objectives[0] in _TIMES:
        raise NotImplementedError(f"objectives={search.objectives!r}: this version of optuna_search pursues metrics.")


def _differs(value: Any, default: Any) -> bool:
    return value is not default and not (np.ndim(value) == 0 and bool(value == default))


# --- decisions ------------------------------------------------------------------------------------------------------


def read_space(search: Any) -> AnySpace:
    """Return the space of a search, whichever of its two names it came by.

    Raises
    ------
    SpaceError
        If there is none, or two, or one that cannot be used.
    """
    given, grid = search.param_distributions, search.param_grid
    if given is not None and grid is not None:
        raise SpaceError("param_distributions and param_grid are two names for one thing; give one of them.")
    if given is None and grid is None:
        raise SpaceError(
            "There is nothing to search: give param_distributions, a dict of parameter -> distribution or list of "
            "choices, a list of such dicts, or a function of a trial that returns parameters."
        )
    return parse(grid if given is None else given, strict=search.storage is not None)


def callbacks_of(search: Any) -> list[Any]:
    """Return the callbacks as a list, however they were given."""
    return _as_list(search.callbacks)


def _as_list(given: Any) -> list[Any]:
    return [] if given is None else list(given) if isinstance(given, list | tuple) else [given]


def initial_points(search: Any, space: AnySpace) -> list[dict[str, Any]]:
    """Return the points to try first, as Optuna stores them.

    Raises
    ------
    InvalidRequestError
        If one of them is not in the space.
    """
    given = search.initial_params
    if given is None:
        return []
    if given == "default":
        own = search.estimator.get_params(deep=True)
        point = space.encode({name: value for name, value in own.items() if _is_named(space, name)}, strict=False)
        return [point] if point else []
    if isinstance(given, str):
        raise InvalidRequestError(f"initial_params={given!r} must be a list of dicts, 'default', or None.")
    stored, complaints = [], []
    for wanted in given:
        if not isinstance(wanted, Mapping):
            complaints.append(f"initial_params: {wanted!r} must be a dict of parameter -> value.")
            continue
        try:
            stored.append(space.encode(wanted))
        except ValueError as error:
            complaints.append(f"initial_params: {dict(wanted)!r} is not a point of the space: {error}.")
    if complaints:
        raise InvalidRequestError(complaints)
    return stored


def parent_of(search: Any) -> Parent | None:
    """Return the study that a search is forked from; None if it begins with nothing."""
    given = search.fork_of
    return Parent(given, search.storage) if isinstance(given, str) else given


def _is_named(space: AnySpace, name: str) -> bool:
    return isinstance(space, FunctionSpace) or any(name in branch.dimensions for branch in space.branches)


def order_of(search: Any, space: AnySpace) -> str | None:
    """Return how the cells of a space are gone through, "grid" or "random"; None where a sampler decides."""
    if search.sampler == "grid":
        return "grid"
    countable = space.size is not None and space.size <= sys.maxsize
    if search.sampler == "brute-force" and countable:
        return "random"
    if not space.is_grid:
        return None
    if search.sampler == "random" and countable:
        return "random"
    whole = search.n_trials is None or search.n_trials >= (space.size or 0)
    return "grid" if search.sampler is None and whole else None


def budget_of(search: Any, space: AnySpace, started: float, n_known: int = 0) -> Budget:
    """Return when the search ends.

    Parameters
    ----------
    started : float
        When `fit` began, by `time.monotonic`.
    n_known : int
        How many points of the space came over from another study: a grid is searched whole without them.
    """
    order = order_of(search, space)
    n_trials = search.n_trials
    open_end = search.n_fits is not None or search.timeout is not None
    if n_trials is None and order != "grid" and not open_end:
        n_trials = DEFAULT_N_TRIALS
    if order is not None:
        assert space.size is not None
        left = space.size - n_known
        n_trials = left if n_trials is None else min(n_trials, left)
    deadline = None if search.timeout is None else started + search.timeout
    return Budget(n_trials, search.n_fits, deadline, give_up=order != "grid")


def limits_of(search: Any, budget: Budget) -> Limits:
    """Return when folds end that do not end by themselves."""
    if budget.deadline is None:
        return Limits(search.fit_timeout)
    share, at_least = GRACE
    return Limits(search.fit_timeout, budget.deadline, budget.deadline + max(share * search.timeout, at_least))


def proposals_of(
    search: Any, space: AnySpace, n_trials: int | None, n_earlier: int, first: Sequence[Mapping[str, Any]]
) -> Proposals:
    """Return the source of candidates.

    Parameters
    ----------
    n_trials : int or None
        How many trials the study shall have, those that were carried over included, if that is known.
    n_earlier : int
        How many trials the study has already: each part of a search draws numbers of its own.
    first : sequence of mapping
        Points to try first, as Optuna stores them.
    """
    order = order_of(search, space)
    if order is not None:
        assert isinstance(space, Space)
        cells = range(space.size or 0) if order == "grid" else _random_cells(search, space, n_trials)
        ahead = [cell for point in first if (cell := space.index(point)) is not None]
        in_order = functools.partial(_ahead, ahead, cells)
        return Enumeration(space, in_order, distinct=search.sampler == "brute-force")
    seed = _samplers.seed_for(_samplers.seed_of(search.random_state), n_earlier)
    conditional = isinstance(space, FunctionSpace) or len(space.branches) > 1
    sampler = _samplers.make(search.sampler, seed, conditional=conditional, continued=n_earlier > 0)
    proposals = Sampling(space, sampler, seed)
    proposals.try_first(first)
    return proposals


def _random_cells(search: Any, space: Space, n_trials: int | None) -> Sequence[int]:
    """Return as many cells as there shall be trials, in random order."""
    assert space.size is not None
    if search.sampler == "random" and search.n_trials is not None and search.n_trials > space.size:
        warnings.warn(
            f"The total space of parameters {space.size} is smaller than n_trials={search.n_trials}. Running "
            f"{space.size} trials. For an exhaustive search, leave out sampler and n_trials.",
            UserWarning,
            stacklevel=2,
        )
    wanted = space.size if n_trials is None else n_trials
    return random_order(space.size, wanted, search.random_state, shuffled=search.sampler == "brute-force")


def _ahead(first: Iterable[int], cells: Iterable[int]) -> Iterable[int]:
    """Return the cells, some of them before all others."""
    ahead = dict.fromkeys(first)
    return itertools.chain(ahead, (cell for cell in cells if int(cell) not in ahead))
