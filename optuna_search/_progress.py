"""How far a search is, as its user sees it; and the user's callbacks, called after each trial."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import optuna

from optuna_search._compat import call_callbacks, storage_of
from optuna_search._front import Front
from optuna_search._goals import Goal, directions
from optuna_search._record import Record
from optuna_search._tables import printable, shortened
from optuna_search._trouble import persistently
from optuna_search._verdict import Verdict

#: The name before a bar gets no longer than this: the time left is to be seen in a window of 80 columns.
MAX_NAME = 18
#: What there is of a bar where its end is known, and where it is not.
BAR, COUNT = "{desc} |{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}]", "{desc}: {n_fmt} {unit} [{elapsed}%s]"


def watching(
    progress: Progress,
    callbacks: Sequence[Callable[[optuna.Study, optuna.trial.FrozenTrial], Any]],
    study: optuna.Study,
) -> Callable[[int, int, Verdict, Record], bool]:
    """Return what is called after each trial: it shows it, passes it on, and says whether to stop.

    Parameters
    ----------
    progress : Progress
        What shows it.
    callbacks : sequence of callable
        Called with the study and a copy of the trial.
    study : optuna.Study
        That is kept.
    """
    storage = storage_of(study)

    def watch(number: int, trial_id: int, verdict: Verdict, record: Record) -> bool:
        progress.update(number, verdict, record)
        if not callbacks:
            return False
        trial = copy.deepcopy(persistently(storage, lambda: storage.get_trial(trial_id)))

        def call() -> None:
            for callback in callbacks:
                callback(study, trial)

        return call_callbacks(study, call)

    return watch


class Progress:
    """Shows how far a search is: nothing at 0, one bar at 1, a line for each trial from 2 on.

    The bar counts trials. Where their number is not known, but that of the fits of a fold is, it counts these.

    Parameters
    ----------
    verbose : int
        How much to show.
    name : str
        What is searched.
    goals : sequence of Goal
        What is pursued.
    n_trials : int or None
        Trials the study is to have in the end, where that is known.
    n_fits : int or None
        The same in fits.
    timeout : float or None
        Seconds for all of it.
    """

    def __init__(
        self, verbose: int, name: str, goals: Sequence[Goal], n_trials: int | None, n_fits: int | None = None,
        timeout: float | None = None,
    ) -> None:  # fmt: skip
        self._verbose = int(verbose)
        self._name = shortened(name, MAX_NAME)
        self._done = self._failed = self._pruned = 0
        self._goals = goals
        self._front = Front(directions(goals))
        self._n_trials = n_trials
        self._counts_fits = n_trials is None and n_fits is not None
        self._total = n_fits if self._counts_fits else n_trials
        self._timeout = timeout
        self._fits: int | Fraction = 0
        self._fitted: set[str] = set()
        self._has_begun = False
        self._bar: Any = None

    def begin(self) -> None:
        """Show what the study has already; what is taken in from now on is news."""
        self._has_begun = True
        if self._verbose == 1:
            from tqdm.auto import tqdm

            of = "" if self._timeout is None else f" of {tqdm.format_interval(self._timeout)}"
            self._bar = tqdm(
                total=self._total, initial=self._position, desc=self._state, file=sys.stderr, dynamic_ncols=True,
                unit="fits" if self._counts_fits else "trials", bar_format=COUNT % of if self._total is None else BAR,
                miniters=1, smoothing=0.1,
            )  # fmt: skip

    def update(self, number: int, verdict: Verdict, record: Record, *, counts: bool = True) -> None:
        """Take in that a trial has ended.

        Parameters
        ----------
        number : int
            Of the trial.
        verdict : Verdict
            What it came to.
        record : Record
            What is kept of it.
        counts : bool
            Whether it counts for the total.
        """
        self._done += counts
        self._failed += counts and verdict.value is None
        self._pruned += counts and verdict.pruned
        if verdict.values is not None and not verdict.pruned:
            self._front.takes(verdict.values)
        if self._counts_fits:
            self._count_fits(record, counts)
        if self._bar is not None:
            self._bar.set_description_str(self._state, refresh=False)
            self._bar.update(self._position - self._bar.n)
        elif self._has_begun and self._verbose > 1:
            # What a model says of its failure may hold anything.
            print(printable(self._line(number, verdict, record)), file=sys.stderr)

    def _count_fits(self, record: Record, counts: bool) -> None:
        """Add the fits of a trial; one of a candidate that was known took none."""
        candidate = json.dumps(record.params, sort_keys=True)
        if counts and candidate not in self._fitted:
            self._fits += record.fits
        self._fitted.add(candidate)

    @property
    def _position(self) -> int:
        """Where the bar stands; the last trial may take some fits more than there were to be."""
        return min(int(self._fits), self._total or 0) if self._counts_fits else self._done

    def _line(self, number: int, verdict: Verdict, record: Record) -> str:
        outcome = f"failed: {verdict.failure}" if verdict.values is None else self._scores(verdict.values)
        if verdict.pruned:
            n_folds = len(record.run)
            how_far = f"{n_folds} fold{'s' * (n_folds != 1)}"
            if record.climb and record.rungs and record.rungs[-1][0] < record.climb.whole:
                how_far = f"{record.rungs[-1][0]} of {record.climb.whole} {record.climb.name}"
            outcome = f"pruned after {how_far}, {outcome}"
        written = {name: f"{v:.6g}" if isinstance(v, float) else v for name, v in record.params.items()}
        tried = " with " + ", ".join(f"{name}={value}" for name, value in written.items()) if written else ""
        of = f"/{self._n_trials}" if self._n_trials is not None else ""
        best = self._best(".6g") or "best none yet"
        seconds = sum(fold.fit_time + fold.score_time for fold in record.run)
        return f"trial {number}: {outcome}{tried} ({seconds:.2f} s, {best}, {self._done}{of} done)"

    @property
    def _state(self) -> str:
        """What stands before the bar, where a narrow window does not cut it off."""
        parts = [best] if (best := self._best(".4f")) else []
        parts += [f"{self._done} trials"] if self._counts_fits else []
        parts += [f"{self._pruned} pruned"] if self._pruned else []
        parts += [f"{self._failed} failed"] if self._failed else []
        return " ".join([self._name, ", ".join(parts)]).rstrip()

    def _scores(self, values: Sequence[float]) -> str:
        if len(values) == 1 and not self._goals[0].is_time:
            return f"score {values[0]:.6g}"
        return ", ".join(f"{goal.name} {value:.6g}" for goal, value in zip(self._goals, values, strict=True))

    def _best(self, form: str) -> str:
        """Return the best so far, if there is one; of several goals, how many trials no other one is better than."""
        if not self._front.losses:
            return ""
        if len(self._goals) > 1:
            return f"front of {len(self._front)}"
        ((loss,),) = self._front.losses
        return f"best {self._front.signs[0] * loss:{form}}"

    def complete(self) -> None:
        """Show that the search has come to its end, also where that is before what was to be the last trial."""
        if self._bar is not None and self._total is not None:
            self._bar.total = self._bar.n

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
