"""The best of some trials, taken in one by one: the Pareto front, which for one goal is the best one."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.study import StudyDirection

#: What a trial came to in each goal, its sign such that less is better.
Losses = tuple[float, ...]


class Front:
    """What no other trial is better than.

    Parameters
    ----------
    directions : sequence of StudyDirection
        Of each goal.

    Examples
    --------
    >>> front = Front([StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
    >>> [front.takes(values) for values in [(0.8, 3.0), (0.7, 4.0), (0.9, 5.0), (0.9, 5.0)]], len(front)
    ([True, False, True, False], 3)
    """

    def __init__(self, directions: Sequence[StudyDirection]) -> None:
        #: What each goal is multiplied by, so that less is better.
        self.signs = tuple(-1.0 if one == StudyDirection.MAXIMIZE else 1.0 for one in directions)
        #: What there is on it, and how often.
        self.losses: dict[Losses, int] = {}

    def __len__(self) -> int:
        """Return how many trials are on it."""
        return sum(self.losses.values())

    def takes(self, values: Sequence[float]) -> bool:
        """Take a trial in if it belongs there, and return whether it is better than what was known."""
        losses = self._losses(values)
        if any(_reach(known, losses) for known in self.losses):
            if losses in self.losses:
                self.losses[losses] += 1
            return False
        self.losses = {known: n for known, n in self.losses.items() if not _reach(losses, known)} | {losses: 1}
        return True

    def reaches(self, target: Sequence[float]) -> bool:
        """Whether one trial is at least as good as a target in each goal."""
        return any(_reach(known, self._losses(target)) for known in self.losses)

    def _losses(self, values: Sequence[float]) -> Losses:
        return tuple(sign * value for sign, value in zip(self.signs, values, strict=True))


def _reach(losses: Losses, wanted: Losses) -> bool:
    return all(loss <= limit for loss, limit in zip(losses, wanted, strict=True))
