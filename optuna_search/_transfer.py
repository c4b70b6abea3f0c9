"""Which trials of a parent are points of a new space, and which points those are.

A trial stands for a model: the parent's estimator with the trial's parameters. It is a point of the new
space if some point there makes the same model of the new estimator. So a parameter that is new takes the
value that the model really had, and one that is gone must have the value that the new estimator has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial
from sklearn.base import clone

from optuna_search._compat import tells_whole_numbers_apart
from optuna_search._dimensions import Choices, Dimension, Stored
from optuna_search._fingerprint import describe_estimator
from optuna_search._record import Record
from optuna_search._space import BRANCH, AnySpace, Branch, Candidate, FunctionSpace, Space
from optuna_search._tokens import Token, code_token, plain, token
from optuna_search.exceptions import InvalidRequestError, SpaceError


class Misfit(Exception):
    """A parameter whose value is not what the new space, or the new estimator, has."""

    def __init__(self, parameter: str, value: Any) -> None:
        super().__init__(parameter, value)
        self.parameter = parameter
        #: As a record keeps it: a JSON number or a token.
        self.value = value if type(value) in (int, float) else token(value).text


@dataclass(frozen=True)
class Model:
    """What a trial of the parent was."""

    #: What the parent's estimator got: objects, or the tokens of those that nobody knows any more.
    params: Mapping[str, Any]
    #: What the parent's sampler was asked for, by name.
    suggested: Mapping[str, Any]
    record: Record


def model_of(trial: FrozenTrial, record: Record, params: Mapping[str, Any] | None, named: set[str]) -> Model:
    """Return what a trial was.

    Parameters
    ----------
    params : mapping or None
        What the estimator got; None where the parent's space is not known, and so no object of it.
    named : set of str
        The parameters whose choices have names of their own, which say nothing of what they are.
    """
    known = params
    if known is None:
        known = {n: Token(kept) if n in named else _from_token(kept) for n, kept in record.params.items()}
    return Model(known, {name: _from_token(stored) for name, stored in trial.params.items()}, record)


def _from_token(kept: Any) -> Any:
    """Return the value that a token stands for, if that says it all; else the token, as one."""
    if not isinstance(kept, str):
        return kept
    value = plain(kept)
    return value if token(value).text == kept else Token(kept)


@dataclass(frozen=True)
class Transfer:
    """The way from a parent's trials into a new space.

    Parameters
    ----------
    old_estimator, new_estimator : estimator
        What the parent searched, and what the fork does.
    new_space : Space or FunctionSpace
        The fork's.
    suggests : bool
        Whether the parent's space was a function, whose names are not those of parameters.
    named : set of str
        The parameters whose choices had names of their own in the parent.
    """

    old_estimator: Any
    new_estimator: Any
    new_space: AnySpace
    suggests: bool
    named: set[str]

    def carried(self, model: Model) -> Candidate:
        """Return the point that makes the same model.

        Raises
        ------
        Misfit
            If there is none.
        """

        def same(candidate: Candidate) -> Candidate:
            if self.new_estimator is not self.old_estimator or candidate.params.keys() != model.params.keys():
                self._check_same(model, candidate)
            return candidate

        return self._first(model, same)

    def nearest(self, model: Model) -> Candidate:
        """Return the point with the values of a model, whatever else the estimators have.

        Raises
        ------
        Misfit
            If a value is not in the new space.
        """
        return self._first(model, lambda candidate: candidate)

    def _first(self, model: Model, check: Callable[[Candidate], Candidate]) -> Candidate:
        """Return the first point with the values of a model that passes a check, of several dicts in their order."""
        if isinstance(self.new_space, FunctionSpace):
            return check(self._called(self.new_space, model))
        misfits = []
        for branch in self.new_space.branches:
            try:
                return check(self._into(self.new_space, branch, model))
            except Misfit as error:
                # Where a step is another one, all that is searched inside of it is, too.
                misfits.append((sum(_is_in(name, [error.parameter]) for name in branch.dimensions), error))
        raise min(misfits, key=lambda misfit: misfit[0])[1]

    def filled(self, model: Model, candidate: Candidate) -> dict[str, Any]:
        """Return the parameters, as a record keeps them, that the parent did not search."""
        return {name: value for name, value in candidate.kept.items() if name not in model.params}

    # --- one value ---

    def _into(self, space: Space, branch: Branch, model: Model) -> Candidate:
        point: dict[str, Stored] = {BRANCH: branch.label}
        values = self._values(model, by_parameter=True)
        for name, dim in branch.dimensions.items():
            point[dim.stored_name(branch.names[name])] = self._stored(name, dim, values, model)
        return space.candidate(point)

    def _called(self, space: FunctionSpace, model: Model) -> Candidate:
        values = self._values(model, by_parameter=not self.suggests)
        candidate = space.draw(lambda name, dim: self._stored(name, dim, values, model))
        for name, value in candidate.kept.items():
            if name in model.record.params and not _is_equal(value, model.record.params[name]):
                raise Misfit(name, model.params[name])
        return candidate

    def _values(self, model: Model, *, by_parameter: bool) -> Callable[[str], Any]:
        """Return what looks up the value of a name: among what was tried, then in the estimator."""
        given = dict(model.params) if by_parameter else {**model.params, **model.suggested}

        def value(name: str) -> Any:
            if name in given:
                return given[name]
            # A step in which something was searched is meant as it was before that was set.
            is_step = any(_is_in(one, [name]) for one in given)
            estimator = self.old_estimator if is_step else self._old(model)
            return estimator.get_params(deep=True)[name]

        return value

    def _stored(self, name: str, dim: Dimension, values: Callable[[str], Any], model: Model) -> Stored:
        try:
            value = values(name)
        except KeyError:
            raise Misfit(name, "nothing") from None
        text = value.text if isinstance(value, Token) else model.record.params.get(name)
        by_name = isinstance(dim, Choices) and dim.by_name
        if isinstance(value, Token) or (by_name and name in self.named):
            # An object that nobody knows any more is known by its token, and a choice with a name by that.
            if not isinstance(dim, Choices) or by_name != (name in self.named) or text not in dim.tokens:
                raise Misfit(name, text)
            return str(text)
        try:
            stored = dim.stored(value)
        except ValueError:
            raise Misfit(name, value) from None
        if not self._is_kept(name, value, dim.value(stored)):
            raise Misfit(name, value)
        return stored

    def _is_kept(self, name: str, old: Any, new: Any) -> bool:
        """Whether a value is, for the estimator, still what it was when it was stored and read again."""
        if isinstance(old, float) and isinstance(new, float):
            return old == new or math.isclose(old, new, rel_tol=1e-6)  # a quantile is not exact, and ends in the tails
        if type(old) is int and type(new) is float:
            return self._may_be_whole_or_not(name)
        return token(old).exact or code_token(old) == code_token(new)

    def _may_be_whole_or_not(self, name: str) -> bool:
        return not tells_whole_numbers_apart(self.new_estimator, name)

    # --- the whole model ---

    def _old(self, model: Model) -> Any:
        params = {name: self._object(name, value) for name, value in model.params.items()}
        try:
            return clone(self.old_estimator).set_params(**clone(params, safe=False))
        except (ValueError, AttributeError):  # by its name alone, this is not the estimator that the parent searched
            name, value = next(iter(model.record.params.items()))
            raise Misfit(name, value) from None

    def _object(self, name: str, value: Any) -> Any:
        """Return the object that a token stands for: one of the new choices, or what the new estimator has."""
        if not isinstance(value, Token):
            return value
        for one in [*self._choices(name), self.new_estimator.get_params(deep=True).get(name)]:
            if token(one).text == value.text:
                return one
        raise Misfit(name, value.text)

    def _choices(self, name: str) -> Iterator[Any]:
        for branch in self.new_space.branches if isinstance(self.new_space, Space) else ():
            dim = branch.dimensions.get(name)
            if isinstance(dim, Choices):
                yield from dim.values

    def _check_same(self, model: Model, candidate: Candidate) -> None:
        new = clone(self.new_estimator).set_params(**clone(candidate.params, safe=False))
        was, has = describe_estimator(self._old(model)), describe_estimator(new)
        shared = model.params.keys() & candidate.params.keys()
        changed = model.params.keys() ^ candidate.params.keys()
        for name in [*was, *(name for name in has if name not in was)]:
            # What is inside of a step that both have is the same, unless one of them sets it on its own.
            inside = name in shared or (_is_in(name, shared) and not _is_in(name, changed))
            same = _is_equal(was.get(name), has.get(name)) and (
                was.get(name) == has.get(name) or self._may_be_whole_or_not(name)
            )
            if not inside and not same:
                value = model.record.params.get(name, was.get(name))
                raise Misfit(name, plain(value) if isinstance(value, str) else value)


def _is_in(name: str, steps: Iterable[str]) -> bool:
    """Whether a parameter is one of these, or of the estimator that is one of these."""
    return any(name == step or name.startswith(f"{step}__") for step in steps)


def _is_equal(one: Any, other: Any) -> bool:
    """Whether two values, as records keep them, are the same; a number is, whether whole or not."""
    if one == other:
        return True
    numbers = [plain(value) if isinstance(value, str) else value for value in (one, other)]
    return all(type(number) in (int, float) for number in numbers) and bool(numbers[0] == numbers[1])


def kept_params(model: Model, candidate: Candidate) -> dict[str, Any]:
    """Return the parameters of a carried trial as its record keeps them: numbers are those that were measured."""
    measured = model.record.params
    return {
        name: measured[name] if type(measured.get(name)) is type(value) is float else value
        for name, value in candidate.kept.items()
    }


# --- the space of a fork --------------------------------------------------------------------------------------------


def replaced(old: Any, new: Any) -> Any:
    """Return the space of a fork as a user would write it.

    Parameters
    ----------
    old : dict, list of dict, callable, or None
        The parent's; None if it is not known.
    new : dict, list of dict, or callable
        The keys of a dict replace those of the parent's space; anything else replaces it as a whole.

    Raises
    ------
    SpaceError
        If it cannot be put together.

    Examples
    --------
    >>> replaced({"C": [1, 10], "kernel": ["rbf"]}, {"C": [10, 100]})
    {'C': [10, 100], 'kernel': ['rbf']}
    """
    if not isinstance(new, Mapping):
        return new
    if isinstance(old, Mapping):
        return {**old, **new}
    if old is None or callable(old):
        why = "is not known here" if old is None else "is a function"
        raise SpaceError(
            f"new_space={new!r} replaces single parameters, and the space of the parent {why}. Give the whole space: "
            f"a list of dicts (one, in a list, is enough) or a function."
        )
    somewhere = {name for one in old for name in one}
    return [
        {**one, **{name: value for name, value in new.items() if name in one or name not in somewhere}} for one in old
    ]


def check_shared(space: AnySpace, models: list[Model]) -> None:
    """Refuse a space that has nothing to do with the parent's.

    Raises
    ------
    InvalidRequestError
        If no parameter of a trial of the parent is one of the space.
    """
    known = {name for model in models for name in (*model.params, *model.suggested)} - {BRANCH}
    if not known or not isinstance(space, Space):
        return
    names = {name for branch in space.branches for name in branch.dimensions}
    # A parameter of a step and the step have to do with each other.
    if not any(
        f"{one}__".startswith(f"{other}__") or f"{other}__".startswith(f"{one}__") for one in names for other in known
    ):
        raise InvalidRequestError(
            f"The space of this fork ({', '.join(sorted(names)) or 'empty'}) shares no parameter with its parent "
            f"({', '.join(sorted(known))}), so nothing can come over. Start a new search instead."
        )
