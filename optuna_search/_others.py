"""What other processes do in a study, and what was there before this one came."""

from __future__ import annotations

from optuna.trial import FrozenTrial

from optuna_search import _owner
from optuna_search._compat import storage_id
from optuna_search._lease import Patience
from optuna_search._record import CLAIM, ORIGIN, RECORD
from optuna_search._store import Store


class Others:
    """The trials of a study but for our own, as they come and go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._patience: dict[int, Patience] = {}
        #: The numbers of the trials that other processes have in the air.
        self.running: set[int] = set()
        self._has_looked = False
        #: Whether somebody works, or has worked, on the study while we do.
        self.were_met = False
        #: How many trials of the study are known: the number that the next one would get.
        self.n_seen = 0

    def news(self) -> list[FrozenTrial]:
        """Return the trials that began or ended since the last call; what the dead left behind is given up."""
        trials = self._store.trials()
        running = [t for t in self._fresh(trials) if _is_in_the_air(t)]
        self._patience = {t.number: self._patience.get(t.number, Patience()) for t in running}
        gone = [t for t in running if self._patience[t.number].is_over(t.user_attrs[CLAIM])]
        doubles = [t for t in running if self._store.is_double(t)]
        for trial in gone:
            self._store.give_up(trial)
        for trial in doubles:
            self._store.fail(storage_id(trial), "claimed twice, because an answer of the storage was lost")
        if gone or doubles:
            trials = self._store.trials()
        fresh = [t for t in self._fresh(trials) if t.number not in self.running or not _is_in_the_air(t)]
        self.running = {t.number for t in self._fresh(trials) if _is_in_the_air(t)}
        self.n_seen = len(trials)
        # What was finished before the first look says nothing of who is there now.
        self.were_met = self.were_met or bool(self.running) or (self._has_looked and bool(fresh))
        self._has_looked = True
        return fresh

    def _fresh(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials of which something is to be expected: the new ones, and those that were running."""
        known = [trials[number] for number in sorted(self.running)]
        new = [t for t in trials[self.n_seen :] if t.number not in self._store.ours and _is_one_of_us(t)]
        return known + new


def _is_one_of_us(trial: FrozenTrial) -> bool:
    """Whether a trial was made by this library; one that is running needs an owner as well."""
    ours = not trial.user_attrs.keys().isdisjoint({CLAIM, RECORD, ORIGIN})
    return _is_in_the_air(trial) or (trial.state.is_finished() and ours)


def _is_in_the_air(trial: FrozenTrial) -> bool:
    return not trial.state.is_finished() and _owner.is_claim(trial.user_attrs.get(CLAIM))
