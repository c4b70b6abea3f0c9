"""Training that goes on: a fold gets more and more of a resource, and what it has learned is not learned again.

A rung of a trial asks for an amount of a resource: of an integer parameter (``n_estimators``, ``clf__max_iter``), or of
passes over the training data (``partial_fit``). What `trained` returns is scored, and a `State` goes to the next rung
with it. `_ways` has how the training of an estimator goes on.

In a Pipeline only the last step goes on. The steps before it are fitted once, and what they made of the training data
is part of the state.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from optuna_search._boosters import last_step
from optuna_search._record import PARTIAL_FIT
from optuna_search._ways import Given, State, fit, from_scratch, is_exact, unsaid, way_of


def trained(
    estimator: Any,
    X: Any,
    y: Any,
    fit_params: Mapping[str, Any],
    *,
    resource: str,
    amount: int,
    state: State | None = None,
    last: bool = True,
    plainly: bool = False,
) -> tuple[Any, State | None]:
    """Return an estimator that has had an amount of a resource.

    Parameters
    ----------
    estimator : estimator
        Unfitted, with the parameters of the candidate. It belongs to this call, which may fit it or its steps.
    X, y : array-like
        The training part of a fold; it must be the same at all rungs.
    fit_params : mapping
        What its `fit` takes besides.
    resource : str
        An integer parameter, or ``"partial_fit"``; one of which `complaint` has nothing to say.
    amount : int
        The whole amount, not what is added.
    state : State or None
        What the rung before returned. Without it, or after more than `amount`, the training starts at the beginning.
    last : bool
        Whether no rung follows. At the others it is no news that iterations have not converged.
    plainly : bool
        Whether what comes of it is to be just what one fit comes to: where going on would come to something else, the
        last step is trained anew.

    Returns
    -------
    estimator, State or None
        A fitted estimator with the parameters of the candidate and the resource at `amount`, and what the next rung
        is to be given.
    """
    name = _own_name(estimator, resource)
    quiet = "iter" in resource.rpartition("__")[2] and not last
    if name is None:
        with unsaid(ConvergenceWarning) if quiet else contextlib.nullcontext():
            return refitted(estimator, X, y, fit_params, resource=resource, amount=amount), None
    if state is not None and amount < state.amount:
        state = None

    model = last_step(estimator)
    prepared, given = _prepared(estimator, X, y, fit_params, state)
    way = way_of(model, name, given.params)
    before = None if plainly and not is_exact(way, model, name) else state
    if before is not None and (before.stopped or amount == before.amount):
        return _shown(before, name, amount), before
    with unsaid(ConvergenceWarning) if quiet else contextlib.nullcontext():
        one = way(model, given, name, amount, before)
    fitted = _with_last(prepared, one.model)
    in_pipeline = isinstance(estimator, Pipeline)
    if way is from_scratch and not in_pipeline and not one.stopped:
        return fitted, None
    return fitted, State(amount, fitted, given if in_pipeline else None, one.stopped, one.snapshot)


def refitted(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any], *, resource: str, amount: int) -> Any:
    """Return an unfitted estimator after one plain fit with an amount of a resource."""
    if resource == PARTIAL_FIT:
        return trained(estimator, X, y, fit_params, resource=resource, amount=amount)[0]
    return fit(estimator.set_params(**{resource: amount}), Given(X, y, fit_params))


def goes_on_exactly(estimator: Any, resource: str) -> bool:
    """Whether training that goes on comes to just what one fit does, whatever the other parameters are."""
    name = _own_name(estimator, resource)
    model = last_step(estimator)
    return name is None or is_exact(way_of(model, name, {}), model, name)


# --- pipelines --------------------------------------------------------------------------------------------------------


class _Held(BaseEstimator):
    """Stands for the last step while the steps before it are fitted, and holds what that would have been fitted on.

    So it is scikit-learn that fits the transformers, routes what is passed to `fit`, and asks its memory.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: Any, y: Any = None, **params: Any) -> _Held:
        self.given_ = Given(X, y, params)
        return self

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.model)


def _prepared(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any], state: State | None) -> tuple[Any, Given]:
    """Return an estimator whose steps are fitted but for the last, and what that is to be fitted on."""
    if not isinstance(estimator, Pipeline):
        return estimator, Given(X, y, fit_params)
    if state is not None and state.given is not None:
        return state.estimator, state.given
    held = _Held(last_step(estimator))
    pipeline = _with_last(estimator, held)
    pipeline.fit(X, y, **fit_params)
    return pipeline, held.given_


def _with_last(estimator: Any, model: Any) -> Any:
    """Return a Pipeline with the same steps but for the last; instead of any other estimator that one itself."""
    if not isinstance(estimator, Pipeline):
        return model
    made = copy.copy(estimator)
    name, inner = estimator.steps[-1]
    made.steps = [*estimator.steps[:-1], (name, _with_last(inner, model))]
    return made


def _own_name(estimator: Any, resource: str) -> str | None:
    """Return what the last step calls a resource; None for one that belongs to a step before it."""
    while resource != PARTIAL_FIT and isinstance(estimator, Pipeline):
        last, estimator = estimator.steps[-1]
        step, _, resource = resource.partition("__")
        if step != last:
            return None
    return resource


def _shown(state: State, name: str, amount: int) -> Any:
    """Return the estimator of a state, with an amount that it did not need all of as its parameter."""
    if amount == state.amount:
        return state.estimator
    return _with_last(state.estimator, copy.copy(last_step(state.estimator)).set_params(**{name: amount}))
