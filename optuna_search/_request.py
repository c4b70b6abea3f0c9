"""What was asked of a search: every complaint first, then the decisions that follow from it."""

from __future__ import annotations

import functools
import itertools
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import CmaEsSampler
from sklearn.base import clone

from optuna_search import _measure, _parameters, _prune, _resource, _samplers
from optuna_search._chance import chance
from optuna_search._compat import check_scoring
from optuna_search._evaluate import Evaluation
from optuna_search._fingerprint import in_use
from optuna_search._fork import Parent
from optuna_search._goals import TIMES, is_one_metric
from optuna_search._hints import did_you_mean
from optuna_search._parsimony import OneStandardError
from optuna_search._propose import Enumeration, Proposals, Sampling, random_order
from optuna_search._space import WHAT_A_SPACE_IS, AnySpace, FunctionSpace, Space, parse, tell_apart
from optuna_search._workers import Limits
from optuna_search.exceptions import InvalidRequestError, SpaceError

#: How many trials a search runs when nothing says how many and it is not a grid.
DEFAULT_N_TRIALS = 50

#: When the time of a search is up, folds at work have this share of it left, and so many seconds at least.
GRACE = (0.1, 3.0)


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
    """
    by_name = dict(_parameters.complaints(search))
    wrong = by_name.keys()
    complaints = [
        *by_name.values(),
        *_scoring_complaints(search, wrong),
        *_objectives_complaints(search, wrong),
        *_refit_complaints(search, wrong),
        *_fork_complaints(search, wrong),
        *_resource.complaints(search, wrong),
        *_pruner_complaints(search, wrong),
        *_goals_complaints(search, wrong),
    ]
    try:
        space = read_space(search)
        examples = _examples(search, space, wrong)
    except SpaceError as error:
        if not complaints:
            raise
        raise InvalidRequestError([*complaints, *error.complaints]) from error.__cause__
    complaints += _space_complaints(search, space, examples, wrong)
    if complaints:
        raise InvalidRequestError(list(dict.fromkeys(complaints)))
    return space


# Each of these leaves out what is wrong on its own already, and what needs that.


def _scoring_complaints(search: Any, wrong: Set[str]) -> Iterator[str]:
    """Yield scikit-learn's complaint about the scoring, with the name of what it is about."""
    if wrong & {"scoring", "refit", "estimator"}:
        return
    try:
        check_scoring(search)
    except (ValueError, TypeError) as error:
        said = str(error)
        yield said if "refit" in said else f"scoring={search.scoring!r}: {said}"


def _objectives_complaints(search: Any, wrong: Set[str]) -> Iterator[str]:
    """Yield which objectives nothing measures."""
    if wrong & {"objectives", "scoring"} or not search.objectives or not (metrics := _metrics(search.scoring)):
        return
    unknown = [name for name in search.objectives if (name in TIMES) == (name in metrics)]
    for name in unknown:
        yield _measure.objective_complaint(search.objectives, name, metrics)
    goals = _measure.goals_of(search)
    if not unknown and len(set(goals)) < len(goals):
        yield f"objectives={search.objectives!r} names {search.scoring!r} twice: it is 'score' as well."


def _refit_complaints(search: Any, wrong: Set[str]) -> Iterator[str]:
    """Yield that there is no such metric to choose the best by; of several metrics scikit-learn says so.

    With one metric, and without objectives, any text means True, as in GridSearchCV.
    """
    if wrong & {"refit", "scoring"} or not (metrics := _metrics(search.scoring)):
        return
    is_single = search.scoring is None or isinstance(search.scoring, str)
    if isinstance(search.refit, OneStandardError):
        try:
            search.refit.metric_in(metrics[:1] if is_single else metrics)
        except InvalidRequestError as error:
            yield from error.complaints
    elif is_single and search.objectives and isinstance(search.refit, str) and search.refit not in metrics:
        yield f"refit={search.refit!r} is not a metric of scoring. {did_you_mean(search.refit, metrics)}"


def _fork_complaints(search: Any, wrong: Set[str]) -> Iterator[str]:
    """Yield that a name leads nowhere."""
    if isinstance(search.fork_of, str) and search.storage is None and "fork_of" not in wrong:
        yield f"fork_of={search.fork_of!r} is the name of a study in storage, and storage=None has none."


def _goals_complaints(search: Any, wrong: Set[str]) -> Iterator[str]:
    """Yield what cannot pursue several goals, or a time."""
    if wrong & {"objectives", "scoring"} or not search.objectives or is_one_metric(_measure.goals_of(search)):
        return
    objectives = f"objectives={search.objectives!r}"
    if "pruner" not in wrong and search.pruner is not None and not isinstance(search.pruner, NopPruner):
        yield f"pruner={search.pruner!r} compares trials by one metric; with {objectives} leave it out."
    if "resource" not in wrong and search.resource is not None and search.pruner is None:
        yield f"resource={search.resource!r} is for pruning, which goes by one metric; with {objectives} leave it out."
    of_one_goal = search.sampler == "cmaes" or isinstance(search.sampler, CmaEsSampler)
    if "sampler" not in wrong and of_one_goal and len(search.objectives) > 1:
        others = ", ".join(repr(name) for name in _samplers.NAMES if name != "cmaes")
        yield f"sampler={search.sampler!r} pursues one goal; for {objectives} there are {others}."


def _pruner_complaints(search: Any, wrong: Set[str]) -> Iterator[str]:
    """Yield that a pruner has nothing to compare."""
    is_of_folds = search.pruner == "wilcoxon" if isinstance(search.pruner, str) else _prune.sees_folds(search.pruner)
    if search.resource is not None and is_of_folds and not wrong & {"pruner", "resource"}:
        yield (
            f"pruner={search.pruner!r} compares folds, and with resource={search.resource!r} a step is all folds with "
            "a part of it; leave pruner, or give 'racing', 'successive-halving' or 'hyperband'."
        )


def _metrics(scoring: Any) -> list[str]:
    """Return the names that the metrics of a search go by, as far as they are known."""
    if isinstance(scoring, list | tuple | dict):
        return [str(name) for name in scoring]
    return [] if callable(scoring) else ["score", *([scoring] if scoring else [])]


def _examples(search: Any, space: AnySpace, wrong: Set[str]) -> list[dict[str, Any]]:
    """Return the parameters of some candidates, to see whether the estimator takes them."""
    if isinstance(space, Space):
        return space.examples()
    scoring, estimator = (None if name in wrong else getattr(search, name) for name in ("scoring", "estimator"))
    with in_use(scoring, estimator, space):  # a function that keeps count is called once more than there are trials
        return space.examples()


def _space_complaints(
    search: Any, space: AnySpace, examples: Sequence[Mapping[str, Any]], wrong: Set[str]
) -> Iterator[str]:
    """Yield what is wrong with the space beside the other parameters."""
    if search.storage is not None:
        yield from (tell_apart(name, tokens) for name, tokens in space.ambiguous().items())
    if "sampler" not in wrong:
        endless = space.size is None and (isinstance(space, Space) or search.sampler == "grid")
        if endless and search.sampler in ("grid", "brute-force"):
            yield f"sampler={search.sampler!r} needs a space with an end: choices, whole numbers, ranges with a step."
    yield from _resource.space_complaints(search, space, {name for params in examples for name in params}, wrong)
    if "estimator" in wrong:
        return
    for params in examples:
        yield from _misfit(search, params)
    if "initial_params" in wrong:
        return
    try:
        initial_points(search, space)
    except InvalidRequestError as error:
        yield from error.complaints


def _misfit(search: Any, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the complaint about parameters that the estimator does not take, or that no fit could have a copy of.

    Some estimators take more than `get_params` lists, so the question is put to `set_params`.
    """
    name, names = _name_of_space(search), ", ".join(map(repr, params))
    try:
        copied = clone(dict(params), safe=False)
    except Exception as error:
        yield f"{name} with {names} holds a choice that cannot be copied for a fit: {error}"
        return
    try:
        candidate = clone(search.estimator).set_params(**copied) if params else search.estimator
    except (ValueError, AttributeError) as error:
        if "Invalid parameter" in str(error) or "set_params" in str(error):
            yield f"{name} with {names} does not fit the estimator: {error}"
    except Exception:
        return  # an estimator with a set_params of its own kind says what it has to say when it is fitted
    else:
        yield from _stopping_complaints(candidate)


def _stopping_complaints(candidate: Any) -> Iterator[str]:
    """Yield what cannot be stopped early; whoever has an EarlyStopping has imported it."""
    if "optuna_search._early" in sys.modules:
        from optuna_search import _early

        yield from _early.complaints(candidate)


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
        raise SpaceError(f"There is nothing to search: give param_distributions, {WHAT_A_SPACE_IS}.")
    return parse(grid if given is None else given, name=_name_of_space(search), strict=search.storage is not None)


def _name_of_space(search: Any) -> str:
    return "param_distributions" if search.param_grid is None else "param_grid"


def callbacks_of(search: Any) -> list[Any]:
    """Return the callbacks as a list, however they were given."""
    return _parameters.as_list(search.callbacks)


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
        except Exception as error:  # of the function that is the space
            said = f"{type(error).__name__}: {error}"
            complaints.append(f"initial_params: {dict(wanted)!r} is no point that the space can be asked for: {said}")
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
    size = space.size or 0
    whole = (search.n_trials is None or search.n_trials >= size) and (
        search.n_fits is None or search.n_fits >= size * search.n_splits_
    )
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


def pruner_of(search: Any, space: AnySpace, evaluation: Evaluation) -> BasePruner:
    """Return what decides which trials end early.

    Where nothing is asked for, trials race if they get more and more of a resource, or if it is fits that are to be
    spent.
    """
    pruner, resource, goals = search.pruner, evaluation.resource, _measure.goals_of(search)
    is_by_default = search.sampler is None and order_of(search, space) is None and is_one_metric(goals)
    if pruner is None and (resource is not None or (is_by_default and search.n_fits is not None)):
        pruner = "racing"
    first, last = (1, evaluation.n_splits) if resource is None else (resource.amounts[0], resource.whole)
    guess = chance(evaluation, lambda fold: _measure.goals_of(search, fold)[0].name) if pruner == "threshold" else None
    return _prune.make(pruner, _prune.Rungs(first, last, search.factor, guess))


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
    goals = _measure.goals_of(search)
    forgets = len(goals) == 1 and _samplers.forgets(search.sampler)  # of several goals any trial may be on the front
    proposals = Sampling(space, sampler, seed, goals, forgets=forgets)
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
