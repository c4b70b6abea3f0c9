"""How much of a resource trials get, rung by rung: what was asked for, and what follows from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Set
from numbers import Integral
from typing import Any

import numpy as np
from optuna.pruners import NopPruner
from sklearn.base import clone, is_classifier

from optuna_search._measure import Folds, indices
from optuna_search._record import N_SAMPLES, PARTIAL_FIT
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
        if (complaint := _complaint(search)) is not None:
            yield complaint
        else:
            whole = _given_whole(search)
    known = whole is not None and isinstance(least, Integral) and not wrong & {"min_resources", "max_resources"}
    if known and int(least) > whole:
        asked = f"max_resources={most!r}" if isinstance(most, Integral) else f"the {name} of the estimator, {whole}"
        yield f"min_resources={least!r} is more than {asked}."


def space_complaints(search: Any, names: Set[str], wrong: Set[str]) -> Iterator[str]:
    """Yield that candidates, which set the parameters of these names, say themselves how much they get."""
    name = search.resource
    if not wrong & {"resource", "estimator"} and name in names and _complaint(search) is None:
        yield f"resource={name!r} is in the space as well; leave it out there: max_resources says how much there is."


def _complaint(search: Any) -> str | None:
    """Return why a resource cannot be one, or None."""
    name = search.resource
    if name == N_SAMPLES:
        return None
    from optuna_search import _continued, _early  # which only a search with a resource needs

    if (complaint := _continued.complaint(search.estimator, name)) is not None:
        return complaint
    if _early.stops_early(search.estimator):
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


def training_of(search: Any) -> str | None:
    """Return in words how the training of a trial differs from one `fit` on all samples; None if it does not."""
    if search.resource == PARTIAL_FIT:
        return f"{_given_whole(search)} passes of partial_fit"
    whole = None if search.resource is None else _given_whole(search)
    if whole is None:
        return None
    if search.resource == N_SAMPLES:
        return f"up to {whole} samples"
    from optuna_search._continued import goes_on_exactly

    amounts = rungs(search, whole, 1)
    if isinstance(search.pruner, NopPruner) or len(amounts) == 1 or goes_on_exactly(search.estimator, search.resource):
        return None
    return f"{search.resource} in steps to {', '.join(map(str, amounts))}"


def _given_whole(search: Any) -> int | None:
    """Return the whole of a resource as far as it is known without data."""
    if isinstance(search.max_resources, Integral):
        return int(search.max_resources)
    if search.resource in (N_SAMPLES, PARTIAL_FIT):
        return PASSES if search.resource == PARTIAL_FIT else None
    from optuna_search._continued import whole

    return whole(search.estimator, search.resource)


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
        return Resource(search.resource, rungs(search, whole, 1))
    parts = [indices(training) for training, _ in splits]
    most = max(part.size for part in parts)
    whole = most if isinstance(search.max_resources, str) else int(search.max_resources)
    for name in ("min_resources", "max_resources"):
        asked: Any = getattr(search, name)
        if isinstance(asked, Integral) and int(asked) > most:
            raise InvalidRequestError(f"{name}={asked!r} is more than the {most} samples that a fold trains on.")
    classes = np.asarray(y) if y is not None and is_classifier(search.estimator) and np.ndim(y) == 1 else None
    smallest = 2 * len(splits) * (1 if classes is None else np.unique(classes).size)
    orders = tuple(_order(part, None if classes is None else classes[part]) for part in parts)
    return Resource(N_SAMPLES, rungs(search, whole, min(smallest, whole)), orders)


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
