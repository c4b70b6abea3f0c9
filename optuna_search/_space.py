"""The space that is searched: what the user may write, and the candidates in it.

A space is drawn from through a `Pick`: a function that is given the name and the dimension of one
parameter and answers with a stored value. A sampler's trial is one such function, a cell of a grid and a
point written by the user are others, so all of them make their candidates in the same way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from optuna_search._callables import takes
from optuna_search._dimensions import Choices, Dimension, Seen, Stored, dimension, example, is_same
from optuna_search._names import name_complaint
from optuna_search._tokens import code_token, plain, token
from optuna_search.exceptions import SpaceError

Pick: TypeAlias = Callable[[str, Dimension], Stored]

#: What the user may write.
WHAT_A_SPACE_IS = (
    "a dict of parameter -> distribution or list of choices, a list of such dicts, or a function of a trial that "
    "returns parameters"
)
#: Where in the ranges and choices that a function asks for it is tried out.
PLACES = (0.5, 0.25, 0.75)
#: The parameter of the study that says which dict of a list a trial drew from. No estimator has one of this name.
BRANCH = "(space)"


@dataclass(frozen=True)
class Candidate:
    """One point of a space."""

    #: What the estimator gets: parameter -> object.
    params: dict[str, Any]
    #: The same as the record keeps it: parameter -> JSON number or token.
    kept: dict[str, Any]
    #: What Optuna stores: name in the study -> number or token.
    point: dict[str, Stored]
    #: The distribution of each of these names.
    distributions: dict[str, BaseDistribution]
    #: What two candidates share if they are the same candidate.
    key: str


@dataclass
class _Recorder:
    """Passes a pick on and notes what was picked."""

    pick: Pick
    point: dict[str, Stored] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)

    def __call__(self, name: str, dim: Dimension) -> Stored:
        stored_name = dim.stored_name(name)
        if self.distributions.get(stored_name, dim.distribution) != dim.distribution:
            raise SpaceError(
                f"param_distributions asks for {name!r} twice in one trial, as {self.distributions[stored_name]} and "
                f"as {dim.distribution}; give each a name of its own."
            )
        if stored_name not in self.point:
            self.point[stored_name] = self.pick(stored_name, dim)
            self.distributions[stored_name] = dim.distribution
        return self.point[stored_name]


@dataclass(frozen=True)
class Branch:
    """The parameters that are drawn together: one dict of the user."""

    dimensions: dict[str, Dimension]
    #: The name in the study of each parameter, which differs from its own where two dicts share the name
    #: and not the dimension: Optuna has one dimension for a name.
    names: dict[str, str]
    label: str = ""

    @cached_property
    def options(self) -> list[Sequence[Stored]] | None:
        """All stored values of each parameter, or None if one of them has no end."""
        found = [dim.options() for dim in self.dimensions.values()]
        return None if any(values is None for values in found) else found  # type: ignore[return-value]

    @cached_property
    def size(self) -> int | None:
        """How many cells there are, duplicates included."""
        return None if self.options is None else math.prod(map(len, self.options))

    def cell(self, index: int) -> dict[str, Stored]:
        """Return what Optuna stores of the cell with this index: the last parameter varies fastest."""
        assert self.options is not None
        point = {}
        for (name, dim), options in reversed(list(zip(self.dimensions.items(), self.options, strict=True))):
            index, place = divmod(index, len(options))
            point[dim.stored_name(self.names[name])] = options[place]
        return point

    def agrees(self, point: Mapping[str, Any]) -> bool:
        """Whether the values of a point are those that are fixed here."""
        return all(
            is_same(dim.values[0], point[name])
            for name, dim in self.dimensions.items()
            if name in point and isinstance(dim, Choices) and len(dim.values) == 1
        )

    def index(self, point: Mapping[str, Stored]) -> int | None:
        """Return the index of the first cell with these values; None if there is none."""
        assert self.options is not None
        index, left = 0, dict(point)
        for (name, dim), options in zip(self.dimensions.items(), self.options, strict=True):
            value = left.pop(dim.stored_name(self.names[name]), options[0])
            if value not in options:
                return None
            index = index * len(options) + options.index(value)
        return None if left else index


@dataclass(frozen=True)
class Space:
    """A dict of dimensions, or several of which each trial draws one."""

    branches: tuple[Branch, ...]

    @cached_property
    def _branch_choice(self) -> Choices:
        labels = tuple(branch.label for branch in self.branches)
        return Choices(labels, labels)

    @property
    def is_grid(self) -> bool:
        """Whether it is made of choices alone."""
        return all(isinstance(dim, Choices) for branch in self.branches for dim in branch.dimensions.values())

    @cached_property
    def size(self) -> int | None:
        """How many cells there are, duplicates included; None if there is no end of them."""
        sizes = [branch.size for branch in self.branches]
        return None if any(size is None for size in sizes) else sum(sizes)  # type: ignore[arg-type]

    def draw(self, pick: Pick) -> Candidate:
        """Return the candidate that a pick leads to."""
        recorder = _Recorder(pick)
        branch = self.branches[0]
        if len(self.branches) > 1:
            label = self._branch_choice.value(recorder(BRANCH, self._branch_choice))
            branch = next(branch for branch in self.branches if branch.label == label)
        params, kept = {}, {}
        for name, dim in branch.dimensions.items():
            stored = recorder(branch.names[name], dim)
            params[name], kept[name] = dim.value(stored), dim.kept(stored)
        return Candidate(params, kept, recorder.point, recorder.distributions, _key(kept))

    def cell(self, index: int) -> Candidate:
        """Return the candidate with this index, in the order of ``ParameterGrid``."""
        for branch in self.branches:
            assert branch.size is not None
            if index < branch.size:
                break
            index -= branch.size
        return self.candidate({BRANCH: branch.label} | branch.cell(index))

    def index(self, point: Mapping[str, Stored]) -> int | None:
        """Return the index of the first cell that a complete or partial point is; None if it is none."""
        before, values = 0, {name: value for name, value in point.items() if name != BRANCH}
        for branch in self.branches:
            assert branch.size is not None
            if point.get(BRANCH, branch.label) == branch.label and (index := branch.index(values)) is not None:
                return before + index
            before += branch.size
        return None

    def candidate(self, point: Mapping[str, Stored]) -> Candidate:
        """Return the candidate that Optuna stored.

        Raises
        ------
        KeyError, ValueError
            If it is not a point of this space.
        """
        return self.draw(lambda name, dim: dim.checked(point[name]))

    def encode(self, point: Mapping[str, Any], *, strict: bool = True) -> dict[str, Stored]:
        """Return what Optuna stores for a complete or partial point.

        Parameters
        ----------
        point : mapping of str to object
            Parameter -> value.
        strict : bool
            Whether every value must lie in the space. If not, those that do not are left out.

        Raises
        ------
        ValueError
            If ``strict`` and some name or value belongs to no one dict of the space.
        """
        attempts = [(*_encode(branch, point), branch) for branch in self.branches]
        stored, problems, branch = max(attempts, key=lambda attempt: (attempt[2].agrees(point), len(attempt[0])))
        if not strict and not branch.agrees(point):
            return {}
        if problems and strict:
            raise ValueError("; ".join(problems))
        if stored and len(self.branches) > 1:
            stored[BRANCH] = self._branch_choice.stored(branch.label)
        return stored

    def examples(self) -> list[dict[str, Any]]:
        """Return the parameters of one candidate of each dict, to see whether an estimator takes them."""
        return [{name: dim.value(example(dim)) for name, dim in one.dimensions.items()} for one in self.branches]

    def pinned(self) -> set[str]:
        """Return the parameters that every candidate sets."""
        return set.intersection(*(set(branch.dimensions) for branch in self.branches))

    def ambiguous(self) -> dict[str, tuple[str, ...]]:
        """Return the parameters with choices that no token can tell apart, and those tokens."""
        return {
            name: dim.ambiguous
            for branch in self.branches
            for name, dim in branch.dimensions.items()
            if isinstance(dim, Choices) and dim.ambiguous
        }

    def describe(self) -> Any:
        """Return what makes it this space and no other, as JSON: the order of dicts and choices does not."""
        described = [
            {name: dim.describe() for name, dim in branch.dimensions.items()}
            for branch in sorted(self.branches, key=lambda branch: branch.label)
        ]
        return (
            described[0]
            if len(described) == 1
            else dict(zip(sorted(b.label for b in self.branches), described, strict=True))
        )


@dataclass(frozen=True)
class FunctionSpace:
    """A space in Optuna's define-by-run style: a function of a trial that returns parameters."""

    function: Callable[[Any], Mapping[str, Any]]
    #: Whether choices that no token can tell apart are refused, as a storage needs it.
    strict: bool = False

    is_grid = False
    size = None

    def draw(self, pick: Pick) -> Candidate:
        """Return the candidate that a pick leads to."""
        recorder = _Recorder(pick)
        params = self.function(SpaceTrial(recorder, self.strict))
        if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
            raise SpaceError(
                f"param_distributions={self.name} must return a dict of parameter -> value, "
                f"and it returned {params!r} (of type {type(params).__name__})."
            )
        tokens = {name: token(value) for name, value in params.items()}
        kept = {
            name: value if type(value) in (int, float) and math.isfinite(value) else tokens[name].text
            for name, value in params.items()
        }
        exact = all(made.exact for made in tokens.values())
        return Candidate(
            dict(params), kept, recorder.point, recorder.distributions, _key(kept if exact else kept | recorder.point)
        )

    def candidate(self, point: Mapping[str, Stored]) -> Candidate:
        """Return the candidate that Optuna stored, by calling the function with the choices that were made then.

        Raises
        ------
        KeyError, ValueError
            If the function asks for something else today.
        """
        return self.draw(lambda name, dim: dim.checked(point[name]))

    def encode(self, point: Mapping[str, Any], *, strict: bool = True) -> dict[str, Stored]:
        """Return what Optuna stores for the points of the names that the function asks for.

        Raises
        ------
        ValueError
            If ``strict`` and a value is not what the function accepts, or a name is never asked for.
        """
        stored: dict[str, Stored] = {}
        problems = []
        asked = set()

        def pick(name: str, dim: Dimension) -> Stored:
            asked.add(name)
            if name in point:
                try:
                    stored[name] = dim.stored(point[name])
                    return stored[name]
                except ValueError as error:
                    problems.append(f"{name}: {error}")
            return example(dim, PLACES[0])

        self.draw(pick)
        problems += [f"{name!r} is not asked for by {self.name}" for name in point if name not in asked]
        if problems and strict:
            raise ValueError("; ".join(problems))
        return stored

    def examples(self) -> list[dict[str, Any]]:
        """Return the parameters of one candidate, by calling the function, to see whether an estimator takes them.

        A function may have its reasons to fail at some points. One that fails at each of a few never worked.

        Raises
        ------
        SpaceError
            If it fails.
        """
        errors: list[Exception] = []
        for place in PLACES:
            try:
                return [self._at(place).params]
            except Exception as error:
                errors.append(error)
        first = errors[0]
        if isinstance(first, SpaceError):
            raise first
        raise SpaceError(f"param_distributions={self.name} raised {type(first).__name__}: {first}") from first

    def _at(self, place: float) -> Candidate:
        return self.draw(lambda _, dim: example(dim, place))

    def pinned(self) -> set[str]:
        """Return the parameters that every candidate sets: nobody knows before it is called."""
        return set()

    def ambiguous(self) -> dict[str, tuple[str, ...]]:
        """Return nothing: choices are seen when they are asked for, and refused then."""
        return {}

    @property
    def name(self) -> str:
        """What people call it."""
        return getattr(self.function, "__qualname__", None) or token(self.function).text

    def describe(self) -> Any:
        """Return the name of the function and a hash of its code, whatever its comments and layout."""
        return {"function": self.name, "code": code_token(self.function)}


AnySpace: TypeAlias = "Space | FunctionSpace"


def is_as_recorded(candidate: Candidate, recorded: Mapping[str, Any], space: AnySpace) -> bool:
    """Whether a record has the parameters of its candidate: it may not bring in others, or values that no code gives.

    A number may be a little off, as a quantile is. What a function gives may be another each time; a number is the
    record's then, everything else that of the code.
    """

    def is_same_value(new: Any, old: Any) -> bool:
        values = [plain(one) if isinstance(one, str) else one for one in (new, old)]
        is_number = [type(value) in (int, float) for value in values]
        if isinstance(space, FunctionSpace):
            return is_number[0] == is_number[1]
        return bool(new == old) or (all(is_number) and math.isclose(*values, rel_tol=1e-6, abs_tol=1e-9))

    kept = candidate.kept
    return recorded.keys() == kept.keys() and all(
        kept[name] == one or is_same_value(kept[name], one) for name, one in recorded.items()
    )


class SpaceTrial:
    """What a define-by-run space is called with: the ``suggest_*`` methods of an Optuna trial.

    Choices may be any objects; Optuna gets their tokens, the function gets the objects.
    """

    def __init__(self, pick: Pick, strict: bool = False) -> None:
        self._pick = pick
        self._strict = strict

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Suggest a number; as ``optuna.Trial.suggest_float``."""
        dim = _range(name, FloatDistribution, low, high, step, log)
        return float(dim.value(self._pick(name, dim)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Suggest a whole number; as ``optuna.Trial.suggest_int``."""
        dim = _range(name, IntDistribution, low, high, step, log)
        return int(dim.value(self._pick(name, dim)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Suggest one of the choices, which may be any objects."""
        _check_name(name)
        try:
            dim = dimension(name, choices)
        except ValueError as error:
            raise SpaceError(str(error)) from error
        if not isinstance(dim, Choices):
            raise SpaceError(f"trial.suggest_categorical({name!r}, {choices!r}) needs a sequence of choices.")
        if self._strict and dim.ambiguous:
            raise SpaceError(tell_apart(name, dim.ambiguous))
        return dim.value(self._pick(name, dim))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"A space has no trial.{name}: only suggest_float, suggest_int and suggest_categorical can be used in it."
        )


def _range(name: Any, kind: type, low: Any, high: Any, step: Any, log: bool) -> Dimension:
    """Return the range that a function asks for.

    Raises
    ------
    SpaceError
        If there is none between these bounds.
    """
    _check_name(name)
    try:
        if kind is IntDistribution and (low != int(low) or high != int(high)):
            raise ValueError("the bounds must be whole numbers")
        return dimension(name, kind(low, high, step=step, log=log))
    except (ValueError, TypeError, OverflowError) as error:
        asked = f"from {low!r} to {high!r}, step={step!r}, log={log!r}"
        raise SpaceError(f"param_distributions asks for {name!r} {asked}: {error}") from error


def _check_name(name: Any) -> None:
    if (complaint := name_complaint("name", name, "parameter")) is not None:
        raise SpaceError(f"param_distributions asks for a parameter, and {complaint}")


def tell_apart(name: str, tokens: Sequence[str]) -> str:
    """Return the complaint about choices with one token."""
    return (
        f"The choices of {name!r} cannot be told apart by name: more than one reads {', '.join(tokens)}. "
        f"Name them: {name}=optuna_search.named({{'first': ..., 'second': ...}})."
    )


def parse(given: Any, *, name: str = "param_distributions", strict: bool = False) -> AnySpace:
    """Return the space that the user wrote.

    Parameters
    ----------
    given : dict, list of dict, or callable
        As in ``OptunaSearchCV(param_distributions=...)``.
    name : str
        What the user knows it by.
    strict : bool
        Whether a callable may not ask for choices that no token can tell apart.

    Raises
    ------
    SpaceError
        With every complaint there is.
    """
    if callable(given) and not isinstance(given, Mapping):
        space = FunctionSpace(given, strict)
        if not takes(given, 1):
            raise SpaceError(f"{name}={space.name} must take one argument, a trial.")
        return space
    if not isinstance(given, Mapping | Sequence) or isinstance(given, str | bytes):
        raise SpaceError(
            f"Parameter grid is not a dict or a list, got: {given!r} of type {type(given).__name__}. {name} must be "
            f"{WHAT_A_SPACE_IS}."
        )
    dicts = [given] if isinstance(given, Mapping) else list(given)
    if not dicts:
        raise SpaceError(f"{name}={given!r} has no dict in it; {{}} is the estimator as it is.")
    complaints: list[str] = []
    seen: dict[str, Seen] = {}
    parsed = [dict(_dimensions(one, name, seen, complaints)) for one in dicts]
    if complaints:
        raise SpaceError(complaints)
    return Space(tuple(_branches(parsed)))


def _dimensions(
    given: Any, whole: str, seen: dict[str, Seen], complaints: list[str]
) -> Iterator[tuple[str, Dimension]]:
    """Yield the parameters of one dict by name: ``ParameterGrid`` goes through them in this order too."""
    if not isinstance(given, Mapping):
        complaints.append(f"Parameter grid is not a dict ({given!r}); {whole} may be a list of dicts.")
        return
    for name in sorted(given, key=str):
        if not isinstance(name, str):
            kind = type(name).__name__
            complaints.append(f"{whole}: a parameter has a name, a str; got {name!r} (of type {kind}).")
            continue
        try:
            yield name, dimension(name, given[name], seen.setdefault(name, {}))
        except ValueError as error:
            complaints.append(str(error))


def _branches(dicts: Sequence[dict[str, Dimension]]) -> Iterator[Branch]:
    """Yield the branches, with names in the study and labels that do not depend on the order of the dicts."""
    shapes: dict[str, list[str]] = {}
    for described in sorted((name, dim.describe()) for one in dicts for name, dim in one.items()):
        known = shapes.setdefault(described[0], [])
        if described[1] not in known:
            known.append(described[1])
    labels = [_label(one) for one in dicts]
    for place, one in enumerate(dicts):
        twins = sorted(
            (json.dumps({name: dim.describe() for name, dim in other.items()}), i)
            for i, other in enumerate(dicts)
            if labels[i] == labels[place]
        )
        number = [i for _, i in twins].index(place)
        names = {}
        for name, dim in one.items():
            shape = shapes[name].index(dim.describe())
            names[name] = name if len(shapes[name]) == 1 else f"{name} ({shape + 1})"
            while (stored := dim.stored_name(names[name])) != name and stored in shapes:  # another parameter's own name
                names[name] += "'"
        yield Branch(one, names, f"{labels[place]} ({number + 1})" if len(twins) > 1 else labels[place])


def _label(one: Mapping[str, Dimension]) -> str:
    """Name a dict by what is fixed in it, which is how one tells the dicts of a list apart."""
    fixed = [f"{n}={d.tokens[0]}" for n, d in one.items() if isinstance(d, Choices) and len(d.tokens) == 1]
    return ", ".join(fixed or one) or "as it is"


def _encode(branch: Branch, point: Mapping[str, Any]) -> tuple[dict[str, Stored], list[str]]:
    stored, problems = {}, []
    for name, value in point.items():
        if name not in branch.dimensions:
            problems.append(f"{name!r} is not a parameter of the space ({', '.join(branch.dimensions) or 'empty'})")
            continue
        dim = branch.dimensions[name]
        try:
            stored[dim.stored_name(branch.names[name])] = dim.stored(value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return stored, problems


def _key(kept: Mapping[str, Any]) -> str:
    """Return what stands for a candidate: a number is the same whether it came from a range or a list."""
    return json.dumps({name: v if isinstance(v, str) else token(v).text for name, v in kept.items()}, sort_keys=True)
