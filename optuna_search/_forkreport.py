"""What came over into a fork: counts, lists, and a short table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna_search._damage import readable
from optuna_search._tables import html_table, shortened, text_table

#: No cell of the table gets wider.
MAX_WIDTH = 80


@dataclass(frozen=True)
class Carried:
    """A trial of the parent that is a point of the new space."""

    #: In the parent.
    trial_number: int
    #: In the fork: numbers and texts as they are, other objects as their tokens.
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Filled:
    """A carried trial with parameters that the parent did not search."""

    #: In the parent.
    trial_number: int
    #: Those parameters, with what the parent's estimator had.
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Dropped:
    """A trial of the parent that is no point of the new space."""

    #: In the parent.
    trial_number: int
    #: The first parameter that does not fit.
    parameter: str
    #: Its value; an object is its token.
    value: Any


@dataclass(frozen=True)
class Retried:
    """One of the parent's best points, to be tried first."""

    #: In the parent.
    trial_number: int
    params: Mapping[str, Any]
    #: What Optuna stores of it.
    point: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Probed:
    """A value that the parent could not try, to be tried first with all others of its best trial."""

    #: That value, by its parameter.
    params: Mapping[str, Any]
    #: What Optuna stores of it.
    point: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class ForkReport:
    """What came over from a parent; it prints as a table.

    Attributes
    ----------
    parent : str
        The name that the parent had.
    carried, filled, dropped, retried : tuple
        Trials that came over with their scores; those of them that were given a value for a parameter that is
        new; trials that are no points of the new space, each with the parameter and the value that did not
        fit; and points that are tried first, because scores of the parent mean nothing here. Each entry has
        its `trial_number` in the parent.
    probed : tuple
        Points that are tried first because a range is wider now, or a choice new: the parent's best, with values
        that the parent could not try.
    reasons : tuple of str
        Why scores of the parent mean nothing here, if so: a line for each difference.
    """

    parent: str
    carried: tuple[Carried, ...] = ()
    filled: tuple[Filled, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    retried: tuple[Retried, ...] = ()
    probed: tuple[Probed, ...] = ()
    reasons: tuple[str, ...] = ()

    def encode(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "carried": [[one.trial_number, one.params] for one in self.carried],
            "filled": [[one.trial_number, one.params] for one in self.filled],
            "dropped": [[one.trial_number, one.parameter, one.value] for one in self.dropped],
            "retried": [[one.trial_number, one.params, one.point] for one in self.retried],
            "probed": [[one.params, one.point] for one in self.probed],
            "reasons": list(self.reasons),
        }

    @classmethod
    def decode(cls, parent: Any, encoded: Any) -> ForkReport:
        """Return the report that was kept as JSON.

        Raises
        ------
        StorageError
            If it is none.
        """
        with readable("The report of the fork"):
            return cls(
                _of(str, parent),
                tuple(Carried(_of(int, n), _of(Mapping, params)) for n, params in encoded["carried"]),
                tuple(Filled(_of(int, n), _of(Mapping, params)) for n, params in encoded["filled"]),
                tuple(Dropped(_of(int, n), _of(str, name), value) for n, name, value in encoded["dropped"]),
                tuple(
                    Retried(_of(int, n), _of(Mapping, params), _of(Mapping, point))
                    for n, params, point in encoded["retried"]
                ),
                tuple(Probed(_of(Mapping, params), _of(Mapping, point)) for params, point in encoded["probed"]),
                tuple(_of(str, reason) for reason in encoded["reasons"]),
            )

    @property
    def first(self) -> list[Mapping[str, Any]]:
        """The points that are tried first, as Optuna stores them."""
        return [one.point for one in self.retried] + [one.point for one in self.probed]

    def _table(self) -> tuple[list[str], list[list[str]]]:
        filled = Counter(name for one in self.filled for name in one.params)
        rows: list[tuple[str, int, str]] = [
            ("carried", len(self.carried), "with their scores"),
            ("filled", len(self.filled), _counts(filled)),
            ("dropped", len(self.dropped), _misfits(self.dropped)),
            ("retried", len(self.retried), "; ".join(self.reasons)),
        ]
        if self.probed:
            rows.append(("probed", len(self.probed), _values(self.probed)))
        header = [f"from {shortened(self.parent, MAX_WIDTH)}", "trials", ""]
        return header, [[what, str(n), shortened(why, MAX_WIDTH) if n else ""] for what, n, why in rows]

    def __repr__(self) -> str:
        return text_table(*self._table())

    def _repr_html_(self) -> str:
        return html_table(*self._table())


def _of(kind: type, value: Any) -> Any:
    """Return a value of a kind, and nothing else."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.80} is no {kind.__name__}")
    return value


def _misfits(dropped: Sequence[Dropped]) -> str:
    """Return what did not fit: choices one by one, numbers from the least to the largest."""
    numbers: dict[str, list[float]] = {}
    for one in dropped:
        if type(one.value) in (int, float):
            numbers.setdefault(one.parameter, []).append(one.value)
    parts = [
        f"{name}={min(found):.4g}"
        + (f" to {max(found):.4g}" if max(found) > min(found) else "")
        + (f" ({len(found)})" if len(found) > 1 else "")
        for name, found in numbers.items()
    ]
    others = Counter(f"{one.parameter}={one.value}" for one in dropped if type(one.value) not in (int, float))
    return ", ".join([*parts, *filter(None, [_counts(others)])])


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} ({n})" if n > 1 else name for name, n in counter.most_common(5))


def _values(probed: Sequence[Probed]) -> str:
    found: dict[str, list[str]] = {}
    for name, value in (item for one in probed for item in one.params.items()):
        found.setdefault(name, []).append(f"{value:.4g}" if isinstance(value, float) else str(value))
    return "; ".join(f"{name}={', '.join(values)}" for name, values in found.items())
