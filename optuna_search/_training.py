"""What a fold is trained with at a rung: a part of its samples, or as much of something else as the rung says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np

from optuna_search._record import N_SAMPLES, PARTIAL_FIT
from optuna_search.exceptions import SpaceError


@dataclass(frozen=True)
class Resource:
    """A resource of which trials get more and more."""

    #: "n_samples", "partial_fit", or an integer parameter.
    name: str
    #: How much of it at each rung; the last is the whole.
    amounts: tuple[int, ...]
    #: For samples: those of the training part of each fold, in the order in which they come in.
    orders: tuple[np.ndarray, ...] = ()
    #: Whether a model with the whole of it is to be just what one fit comes to, also where training has gone on.
    ends_plainly: bool = False

    @property
    def whole(self) -> int:
        """The whole of it."""
        return self.amounts[-1]

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse a candidate that says itself how much it gets.

        Raises
        ------
        SpaceError
            With the name of the resource.
        """
        if self.name in params:
            raise SpaceError(
                f"resource={self.name!r} is set by param_distributions as well; leave it out there: max_resources says "
                "how much there is."
            )

    def whole_of(self, estimator: Any) -> Any:
        """Return an estimator with the whole of the resource, whatever a step that was put into it has."""
        if self.name in (N_SAMPLES, PARTIAL_FIT):
            return estimator
        return estimator.set_params(**{self.name: self.whole})

    def part(self, training: Any, split: int, amount: int) -> Any:
        """Return those samples of the training part of a fold that an amount stands for, in their old order."""
        if not self.orders or amount >= self.orders[split].size:
            return training
        return np.sort(self.orders[split][:amount])


class Training:
    """Takes the place of the `fit` of one estimator, once: it goes on where the rung before has ended.

    scikit-learn's own fit-and-score then does at a rung all that it does for any fold: parameters, routing, errors,
    times, scores.
    """

    def __init__(self, estimator: Any, resource: Resource, amount: int, state: Any) -> None:
        self._estimator, self._resource, self._amount = estimator, resource, amount
        #: What the rung was left with, and then what the next one needs.
        self.state = unpacked(state)
        estimator.fit = self

    def __call__(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Train the estimator, and have its own `fit` back."""
        from optuna_search._continued import trained  # few searches need it, and a worker is to start quickly

        del self._estimator.fit
        last = self._amount == self._resource.whole
        rung: dict[str, Any] = {"resource": self._resource.name, "amount": self._amount, "last": last}
        rung["plainly"] = last and self._resource.ends_plainly
        fitted, state = trained(self._estimator, X, y, params, state=self.state, **rung)
        self.state = None if last else state
        # What goes on is the estimator of the rung before, or a copy; what is scored is the one that was given.
        vars(self._estimator).update(vars(fitted))
        return self._estimator


def packed(state: Any) -> bytes | None:
    """Return a state as it travels, so that who passes it on does not unpack it; None if it cannot."""
    if state is None:
        return None
    try:
        packed: bytes = cloudpickle.dumps(state)
    except Exception:  # whatever a fitted model may hold; the next rung begins anew without it
        return None
    return packed


def unpacked(state: Any) -> Any:
    """Return what was packed, and anything else as it is."""
    return cloudpickle.loads(state) if isinstance(state, bytes) else state
