"""A pruner that compares candidates on the same folds."""

from __future__ import annotations

import heapq
import math

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

__all__ = ["RacingPruner"]

#: So many of the best complete trials tell how much folds differ for candidates that are good.
N_PEERS = 8


class RacingPruner(BasePruner):
    """Ends a trial that is unlikely to come out ahead of the best one, judged on the folds that both have run."""

    def __init__(self, *, z: float = 1.0, n_startup_trials: int = 1) -> None:
        self.z = z
        self.n_startup_trials = n_startup_trials

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should end."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < self.n_startup_trials or not trial.intermediate_values:
            return False
        best = [_scores(t) for t in heapq.nlargest(N_PEERS, complete, key=lambda t: t.value or -math.inf)]
        scores, n_folds = _scores(trial), best[0].size
        if scores.size >= n_folds:
            return False
        ahead = float(np.mean(scores - best[0][: scores.size]))
        seen = scores.size
        sd = _spread(best) * math.sqrt((n_folds - seen) / (n_folds * seen))
        return bool(ahead + self.z * sd < 0)


def _scores(trial: FrozenTrial) -> np.ndarray:
    return np.array([score for _, score in sorted(trial.intermediate_values.items())])


def _spread(best: list[np.ndarray]) -> float:
    if len(best) == 1:
        return float(np.std(best[0], ddof=1))
    spreads = [np.std(other - best[0], ddof=1) for other in best[1:]]
    return float(np.median(spreads))
