"""What the trials of a study have come to up to now, taken in one by one as they end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_search._compat import storage_of
from optuna_search._front import Front
from optuna_search._record import RECORD, counts, measured_here
from optuna_search._trouble import persistently


class History:
    """What the trials of a study have come to.

    Those that were there at first come in the order of their numbers, all others as they end: in a study that many work
    on, what came before a trial began says nothing of it, and what came before it ended says little.

    Parameters
    ----------
    directions : sequence of StudyDirection
        Of each goal.
    is_ours : bool
        Whether trials without a record do not count; in a study that Optuna itself has run no trial has one.
    """

    def __init__(self, directions: Sequence[StudyDirection], *, is_ours: bool) -> None:
        #: The best of them.
        self.front = Front(directions)
        #: How many trials of this study have ended since the front changed.
        self.n_since = 0
        self._is_ours = is_ours
        self._n_seen = 0
        self._running: set[int] = set()
        self._lock = threading.Lock()

    def take_in(self, trials: Sequence[FrozenTrial]) -> None:
        """Take in the trials that have ended since the last time.

        Parameters
        ----------
        trials : sequence of FrozenTrial
            All trials of the study, in the order of their numbers; fewer than at another time, where threads overlap.
        """
        with self._lock:  # Optuna calls callbacks in threads
            open_ones = self._running | set(range(self._n_seen, len(trials)))
            ended = sorted(n for n in open_ones if n < len(trials) and trials[n].state.is_finished())
            self._running = open_ones.difference(ended)
            self._n_seen = max(self._n_seen, len(trials))
            for number in ended:
                self._add(trials[number])

    def _add(self, trial: FrozenTrial) -> None:
        if self._is_ours and not counts(trial):
            return
        if trial.state == TrialState.COMPLETE and self.front.takes(trial.values):
            self.n_since = 0
        elif measured_here(trial):
            self.n_since += 1


#: What is known of the studies in use, so that no trial is read twice.
_HISTORIES: weakref.WeakKeyDictionary[optuna.Study, History] = weakref.WeakKeyDictionary()


def history_of(study: optuna.Study) -> History:
    """Return what the trials of a study have come to up to now; only the first call looks at all of them."""
    storage = storage_of(study)
    history = _HISTORIES.get(study)
    if history is None:
        directions = persistently(storage, lambda: study.directions)
        is_ours = RECORD in persistently(storage, lambda: study.user_attrs)
        history = _HISTORIES.setdefault(study, History(directions, is_ours=is_ours))
    history.take_in(persistently(storage, lambda: study.get_trials(deepcopy=False)))
    return history
