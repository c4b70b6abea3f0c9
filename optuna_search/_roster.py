"""The trials of a study that are alive, whoever runs them: what a budget is counted by."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Place:
    """The place of one trial in the roster."""

    #: The candidate that it tries.
    key: str
    #: Fits of a fold that it takes from the budget; a fit with a part of a resource is that part of one.
    fits: int | Fraction
    #: Whether it counts: one that was measured in another study does not.
    counts: bool


class Roster:
    """The trials that are finished or in the air, by their numbers.

    The number of a trial is a ticket: whoever finds enough trials before their own has come too late. So
    processes that know nothing of each other but their trials share a budget exactly.

    Examples
    --------
    >>> roster = Roster()
    >>> for number, key in enumerate("aba"):
    ...     roster.enter(number, key, fits=5)
    >>> len(roster), roster.fits, sorted(roster.holders("a"))
    (3, 15, [0, 2])
    >>> roster.before(2)
    (2, 10)
    """

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._holders: dict[str, set[int]] = {}
        self._n_trials = 0
        self.fits: int | Fraction = 0

    def __len__(self) -> int:
        return self._n_trials

    def key(self, number: int) -> str | None:
        """Return the candidate of a trial; None if it is not there."""
        place = self._places.get(number)
        return None if place is None else place.key

    def enter(self, number: int, key: str, fits: int | Fraction, *, counts: bool = True) -> None:
        """Take in a trial, or what has become of it."""
        self.leave(number)
        self._places[number] = Place(key, fits, counts)
        self._holders.setdefault(key, set()).add(number)
        self._n_trials += counts
        self.fits += fits

    def leave(self, number: int) -> str | None:
        """Take out a trial that was given up, and return its candidate; None if it was not there."""
        place = self._places.pop(number, None)
        if place is None:
            return None
        self._holders[place.key].discard(number)
        self._n_trials -= place.counts
        self.fits -= place.fits
        return place.key

    def holders(self, key: str) -> set[int]:
        """Return the numbers of the trials of a candidate."""
        return self._holders.get(key, set())

    def before(self, number: int) -> tuple[int, int | Fraction]:
        """Return how many trials with a smaller number there are, and how many fits they take."""
        earlier = [place for other, place in self._places.items() if other < number]
        return sum(place.counts for place in earlier), sum(place.fits for place in earlier)
