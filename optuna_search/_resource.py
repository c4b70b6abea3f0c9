"""How much of a resource trials get, rung by rung: what was asked for, and what follows from it."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Set
from numbers import Integral
from typing import Any

import numpy as np
from optuna.pruners import NopPruner
from sklearn.base import clone, is_classifier

from optuna_search import _countable
from optuna_search._dimensions import Choices
from optuna_search._measure import Folds, indices
from optuna_search._prune import first_fold_leads
from optuna_search._record import N_SAMPLES, PARTIAL_FIT
from optuna_search._space import AnySpace, Space
from optuna_search._training import Resource
from optuna_search.exceptions import InvalidRequestError

#: How many rungs there are at most if nobody says how small the first one is: at a factor of 3 it is one 27th then.
MAX_RUNGS = 4
#: Passes over the data if nobody says how many: three times three times three.
PASSES = 27
#: Of the samples that are drawn for the first rungs. They are the same in every part of a search.
SEED = 0


def complaints(search: Any, wrong: Set[str]) -> Iterator[str]:
    """Yield what is wrong with a resource.

    Parameters
    ----------
    wrong : set of str
        The parameters of the search that are wrong on their own already.
    """
    name, least, most = search.resource, search.min_resources, search.max_resources
    whole: Any = int(most) if isinstance(most, Integral) else None
    if name is not None and not wrong & {"resource", "estimator"}:
        if (complaint := _complaint(name, search.estimator, search)) is not None:
            yield complaint
        else:
            whole = _given_whole(search)
    known = whole is not None and isinstance(least, Integral) and not wrong & {"min_resources", "max_resources"}
    if known and int(least) > whole:
        asked = f"max_resources={most!r}" if isinstance(most, Integral) else f"the {name} of the estimator, {whole}"
        yield f"min_resources={least!r} is more than {asked}."


def space_complaints(search: Any, space: AnySpace, names: Set[str], wrong: Set[str]) -> Iterator[str]:
    """Yield which candidates cannot get more and more of a resource.

    Parameters
    ----------
    names : set of str
        The parameters that candidates set.
    """
    name = search.resource
    if name is None or wrong & {"resource", "estimator"} or _complaint(name, search.estimator, search) is not None:
        return
    if name in names:
        yield f"resource={name!r} is in the space as well; leave it out there: max_resources says how much there is."
    for choice, estimator in _variants(search.estimator, space):
        if (complaint := _complaint(name, estimator, search)) is not None:
            yield f"with {choice}: {complaint}"


def _variants(estimator: Any, space: AnySpace) -> Iterator[tuple[str, Any]]:
    """Yield the estimator with each of the estimators that the space may put into it."""
    for branch in space.branches if isinstance(space, Space) else ():
        for name, dim in branch.dimensions.items():
            for value in dim.values if isinstance(dim, Choices) else ():
                if hasattr(value, "get_params") and not isinstance(value, type):
                    with contextlib.suppress(Exception):  # one that does not fit is complained of elsewhere
                        yield f"{name}={value!r}", clone(estimator).set_params(**{name: clone(value)})


def _complaint(name: str, estimator: Any, search: Any) -> str | None:
    """Return why a resource cannot be one, or None."""
    if name == N_SAMPLES:
        return None
    from optuna_search import _early  # which only a search with a resource needs

    if (complaint := _countable.complaint(estimator, name)) is not None:
        return complaint
    if _early.stops_early(estimator):
        return f"resource={name!r} and EarlyStopping both say how long a booster is trained; leave one of them out."
    if _given_whole(search) is None:
        return f"resource={name!r} has no number in the estimator; say what the whole is: max_resources=100."
    return None


def whole_estimator(search: Any) -> Any:
    """Return a copy of the estimator as the trials have it that get the whole of the resource."""
    estimator, whole = clone(search.estimator), search.max_resources
    if search.resource in (None, N_SAMPLES, PARTIAL_FIT) or not isinstance(whole, Integral):
        return estimator
    return estimator.set_params(**{search.resource: int(whole)})


def training_of(search: Any, space: AnySpace) -> str | None:
    """Return in words how the training of a trial differs from one `fit` on all samples; None if it does not."""
    if search.resource == PARTIAL_FIT:
        return f"{_given_whole(search)} passes of partial_fit"
    whole = None if search.resource is None else _given_whole(search)
    if whole is None:
        return None
    if search.resource == N_SAMPLES:
        return f"up to {whole} samples"
    amounts = rungs(search, whole, 1)
    in_one_go = isinstance(search.pruner, NopPruner) or _races(search) or len(amounts) == 1
    if in_one_go or _goes_on_exactly(search, space):
        return None
    return f"{search.resource} in steps to {', '.join(map(str, amounts))}"


def _races(search: Any) -> bool:
    """Whether trials race; then one fold of a trial goes from rung to rung, and ends as the others that do not."""
    return search.pruner in (None, "racing") or first_fold_leads(search.pruner)


def _goes_on_exactly(search: Any, space: AnySpace) -> bool:
    """Whether every candidate ends where one fit would; of a function nobody knows what it puts into a Pipeline."""
    from optuna_search._continued import goes_on_exactly

    known = isinstance(space, Space) or not hasattr(search.estimator, "steps")
    estimators = [search.estimator, *(estimator for _, estimator in _variants(search.estimator, space))]
    return known and all(goes_on_exactly(estimator, search.resource) for estimator in estimators)


def _given_whole(search: Any) -> int | None:
    """Return the whole of a resource as far as it is known without data."""
    if isinstance(search.max_resources, Integral):
        return int(search.max_resources)
    if search.resource in (N_SAMPLES, PARTIAL_FIT):
        return PASSES if search.resource == PARTIAL_FIT else None
    return _countable.whole(search.estimator, search.resource)


def resource_of(search: Any, y: Any, splits: Folds) -> Resource | None:
    """Return the resource of a search with its rungs; None if it has none.

    Raises
    ------
    InvalidRequestError
        If the folds have fewer samples than are asked for.
    """
    if search.resource is None:
        return None
    if search.resource != N_SAMPLES:
        whole = _given_whole(search)
        assert whole is not None
        return Resource(search.resource, rungs(search, whole, 1), ends_plainly=_races(search))
    parts = [indices(training) for training, _ in splits]
    most = max(part.size for part in parts)
    whole = most if isinstance(search.max_resources, str) else int(search.max_resources)
    for name in ("min_resources", "max_resources"):
        asked: Any = getattr(search, name)
        if isinstance(asked, Integral) and int(asked) > most:
            raise InvalidRequestError(f"{name}={asked!r} is more than the {most} samples that a fold trains on.")
    classes = np.asarray(y) if y is not None and is_classifier(search.estimator) and np.ndim(y) == 1 else None
    n_classes = 1 if classes is None else np.unique(classes).size
    smallest = max(2 * len(splits) * n_classes, _rows_to_stop_early(search.estimator, n_classes))
    orders = tuple(_order(part, None if classes is None else classes[part]) for part in parts)
    return Resource(N_SAMPLES, rungs(search, whole, min(smallest, whole)), orders)


def _rows_to_stop_early(estimator: Any, n_classes: int) -> int:
    """Return how many rows a model needs that takes a validation part with every class out of them."""
    from optuna_search import _early

    fraction = _early.validation_fraction_of(estimator)
    return 1 if fraction is None else math.ceil(n_classes / fraction)


def rungs(search: Any, whole: int, smallest: int) -> tuple[int, ...]:
    """Return the amounts of the rungs: the whole, the part of it that `factor` says, and so on, down to the smallest.

    Parameters
    ----------
    whole : int
        The last of them.
    smallest : int
        Less than this makes no sense.
    """
    least = search.min_resources
    n_rungs = MAX_RUNGS if least == "auto" else whole
    least = smallest if isinstance(least, str) else least
    amounts = [whole]
    for power in itertools.count(1):
        amount = int(whole / search.factor**power)
        if amount < least or len(amounts) == n_rungs:
            return tuple(amounts)
        if amount < amounts[0]:  # a factor near 1 changes nothing in small numbers
            amounts.insert(0, amount)
    raise AssertionError("every amount gets smaller than any bound")


def _order(part: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Return the samples of a training part in random order, every beginning of which has each class in proportion."""
    rng = np.random.default_rng(SEED)
    if classes is None:
        return rng.permutation(part)
    at = np.empty(part.size)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        at[rng.permutation(members)] = (np.arange(members.size) + rng.uniform()) / members.size
    return part[np.argsort(at, kind="stable")]
