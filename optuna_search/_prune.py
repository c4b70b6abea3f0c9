"""What trials go through step by step, which of them are ended early, and what those are taken to be worth.

A step is a fold, or an amount of a resource in all folds or in the first; without a pruner a trial is one step. After
a step the pruner is shown how far the trial has come. It sees a study of its own in memory, which shadows the one that
is kept and has nothing but these steps, whoever runs the trials: so nothing is written for it, and a search that is
continued knows what its pruner knew.
"""

from __future__ import annotations

import bisect
import copy
import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna import pruners
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from optuna_search._compat import no_experimental_warnings, quiet_optuna
from optuna_search._verdict import Verdict
from optuna_search.pruners import MAX_PEERS, RacingPruner

#: The race begins its shadow study anew when it has so many trials; more than it asks are of no use to it.
MAX_HISTORY = 400
#: The name of the shadow study: Hyperband draws the bracket of a trial from it.
_NAME = "optuna_search"


@dataclass(frozen=True)
class Step:
    """What a trial does at once."""

    #: The folds that are fitted.
    folds: tuple[int, ...]
    #: How much of the resource they get; None for all there is.
    amount: int | None = None


@dataclass(frozen=True)
class Rungs:
    """What a pruner needs to know to be made by its name."""

    #: The smallest and the largest step.
    first: int
    last: int
    #: How many times more each step is than the one before.
    factor: float
    #: The score of a guess that ignores the data; None where nothing is known of it.
    chance: float | None = None

    @property
    def reduction(self) -> int:
        """The factor as Optuna takes it."""
        return max(2, round(self.factor))


_MAKERS: Mapping[str, Callable[[Rungs], BasePruner]] = {
    "racing": lambda _: RacingPruner(),
    "median": lambda _: pruners.MedianPruner(),
    "percentile": lambda _: pruners.PercentilePruner(25.0),
    "wilcoxon": lambda _: WilcoxonPruner(),
    "successive-halving": lambda rungs: pruners.SuccessiveHalvingPruner(rungs.first, rungs.reduction),
    "hyperband": lambda rungs: pruners.HyperbandPruner(rungs.first, rungs.last, rungs.reduction),
    "threshold": lambda rungs: pruners.ThresholdPruner(lower=rungs.chance),
    # The median's, which has to say so after two steps in a row.
    "patient": lambda _: pruners.PatientPruner(pruners.MedianPruner(), patience=1),
}

#: Every name.
NAMES = tuple(_MAKERS)


def make(pruner: BasePruner | str | None, rungs: Rungs) -> BasePruner:
    """Return a pruner, made by its name, or a copy of the one given, so that that never changes."""
    if pruner is None:
        return NopPruner()
    with no_experimental_warnings():
        return _MAKERS[pruner](rungs) if isinstance(pruner, str) else copy.deepcopy(pruner)


def steps_of(n_splits: int, pruner: BasePruner, amounts: Sequence[int] | None) -> tuple[Step, ...]:
    """Return what a trial goes through."""
    folds = tuple(range(n_splits))
    if isinstance(pruner, NopPruner):
        return (Step(folds, None if amounts is None else amounts[-1]),)
    if amounts is None:
        return tuple(Step((fold,)) for fold in folds)
    if first_fold_leads(pruner):
        return (*(Step((0,), amount) for amount in amounts), *(Step((fold,), amounts[-1]) for fold in folds[1:]))
    return tuple(Step(folds, amount) for amount in amounts)


def first_fold_leads(pruner: BasePruner) -> bool:
    """Whether the first fold goes ahead from rung to rung, and the others get the whole of the resource at once.

    The race knows by how much folds differ, and so may end a trial by one of them. To train all to the next rung would
    cost as much as to train the others to the end, and most often tells less.
    """
    return isinstance(pruner, RacingPruner)


def sees_folds(pruner: Any) -> bool:
    """Whether a pruner compares the scores of single folds; any other is shown the mean of all so far."""
    return isinstance(pruner, WilcoxonPruner)


class Pruning:
    """A pruner of Optuna's, at work in a study of its own.

    Parameters
    ----------
    pruner : BasePruner
        Which decides.

    Examples
    --------
    >>> pruning = Pruning(pruners.ThresholdPruner(lower=0.5))
    >>> pruning.is_hopeless(0, [(1, 0.9)]), pruning.is_hopeless(1, [(1, 0.1)])
    (False, True)
    """

    def __init__(self, pruner: BasePruner) -> None:
        self.sees_folds = sees_folds(pruner)
        self._pruner = pruner
        self._study = None if isinstance(pruner, NopPruner) else self._new_study()
        #: Whether it keeps nothing of its own: the race looks at the best trials each time, and at nothing else.
        self._forgets = isinstance(pruner, RacingPruner)
        #: The trials in the air, and how many steps of each the pruner was shown.
        self._trials: dict[int, tuple[Trial, int]] = {}
        #: How much better than in their end complete trials were at each step, in order of size.
        self._ahead: dict[int, list[float]] = {}

    def _new_study(self) -> optuna.Study:
        with quiet_optuna():
            return optuna.create_study(
                direction="maximize", pruner=self._pruner, sampler=RandomSampler(), study_name=_NAME
            )

    def is_hopeless(self, number: int, steps: Sequence[tuple[int, float]]) -> bool:
        """Whether the trial of this number, which has come so far, should end."""
        if self._study is None:
            return False
        with quiet_optuna():
            return self._show(self._study, number, steps)

    def _show(self, study: optuna.Study, number: int, steps: Sequence[tuple[int, float]], *, asks: bool = True) -> bool:
        """Show the pruner the steps that it has not seen, one by one, for it may take note of each when it is asked."""
        trial, n_shown = self._trials.get(number) or (study.ask(), 0)
        hopeless = False
        for step, score in steps[n_shown:]:
            trial.report(score, step)
            hopeless = asks and trial.should_prune()
        self._trials[number] = trial, len(steps)
        return hopeless

    def ended(self, number: int, steps: Sequence[tuple[int, float]], verdict: Verdict) -> None:
        """Take in the end of a trial, whoever ran it."""
        if verdict.value is not None and not verdict.pruned:
            self._note(steps, verdict.value)
        if self._study is None:
            return
        with quiet_optuna():
            if verdict.value is not None:  # what failed has nothing to show
                self._show(self._study, number, steps, asks=not self._forgets)
            self._tell(self._study, number, verdict)
            if self._forgets:
                self._forget(self._study)

    def _tell(self, study: optuna.Study, number: int, verdict: Verdict) -> None:
        """Have the shadow of a trial end."""
        trial = self._trials.pop(number)[0] if number in self._trials else study.ask()
        if verdict.pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            state = TrialState.FAIL if verdict.value is None else TrialState.COMPLETE
            study.tell(trial, verdict.value, state=state)

    def _forget(self, study: optuna.Study) -> None:
        """Begin the shadow study anew, if it has many trials, with those that the race asks: the best."""
        trials = study.get_trials(deepcopy=False)
        if len(trials) <= MAX_HISTORY:
            return
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        self._study = self._new_study()
        for trial in heapq.nlargest(2 * MAX_PEERS, complete, key=lambda trial: trial.values[0]):
            self._study.add_trial(trial)
        for number, (shadow, n_shown) in self._trials.items():
            again = self._study.ask()
            for step, score in trials[shadow.number].intermediate_values.items():
                again.report(score, step)
            self._trials[number] = again, n_shown

    def given_up(self, number: int) -> None:
        """Take in that a trial in the air did not come to its end."""
        if self._study is not None and number in self._trials:
            with quiet_optuna():
                self._study.tell(self._trials.pop(number)[0], state=TrialState.FAIL)

    def _note(self, steps: Sequence[tuple[int, float]], value: float) -> None:
        """Note how far from its end a complete trial was at each of its steps."""
        seen = 0.0
        for place, (step, score) in enumerate(steps, start=1):
            seen += score
            score = seen / place if self.sees_folds else score
            if math.isfinite(score - value):
                bisect.insort(self._ahead.setdefault(step, []), score - value)

    def worth(self, steps: Sequence[tuple[int, float]], verdict: Verdict) -> float | None:
        """Return what the score of a trial would have come to, as far as its steps tell.

        A fold may be easier than others, and a model gets better with more of a resource. So what a pruned trial had
        come to is corrected by what complete trials came to from there, in the middle.
        """
        if not verdict.pruned or verdict.value is None or not steps:
            return verdict.value
        ahead = self._ahead.get(steps[-1][0])
        return verdict.value - ahead[len(ahead) // 2] if ahead else verdict.value
