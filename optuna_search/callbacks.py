"""What watches a search while it runs."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from typing import Any

import optuna

from optuna_search._compat import call_callbacks, storage_of
from optuna_search._record import Record
from optuna_search._tables import printable
from optuna_search._trouble import persistently
from optuna_search._verdict import Verdict

__all__: list[str] = []


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

    Parameters
    ----------
    verbose : int
        How much to show.
    name : str
        What is searched.
    total : int or None
        Trials the study is to have in the end, where that is known.
    """

    def __init__(self, verbose: int, name: str, total: int | None) -> None:
        self._verbose = int(verbose)
        self._name = name
        self._done = self._failed = self._pruned = 0
        self._best: float | None = None
        self._total = total
        self._has_begun = False
        self._bar: Any = None

    def begin(self) -> None:
        """Show what the study has already; what is taken in from now on is news."""
        self._has_begun = True
        if self._verbose == 1:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=self._total, initial=self._done, desc=self._state, unit=" trial", file=sys.stderr,
                dynamic_ncols=True, smoothing=0.1,
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
        if verdict.value is not None and not verdict.pruned and (self._best is None or verdict.value > self._best):
            self._best = verdict.value
        if self._bar is not None:
            self._bar.set_description_str(self._state, refresh=False)
            self._bar.update(counts)
        elif self._has_begun and self._verbose > 1:
            # What a model says of its failure may hold anything.
            print(printable(self._line(number, verdict, record)), file=sys.stderr)

    def _line(self, number: int, verdict: Verdict, record: Record) -> str:
        outcome = f"failed: {verdict.failure}" if verdict.value is None else f"score {verdict.value:.6g}"
        if verdict.pruned:
            n_folds = len(record.run)
            how_far = f"{n_folds} fold{'s' * (n_folds != 1)}"
            if record.climb and record.rungs and record.rungs[-1][0] < record.climb.whole:
                how_far = f"{record.rungs[-1][0]} of {record.climb.whole} {record.climb.name}"
            outcome = f"pruned after {how_far}, {outcome}"
        written = {name: f"{v:.6g}" if isinstance(v, float) else v for name, v in record.params.items()}
        tried = " with " + ", ".join(f"{name}={value}" for name, value in written.items()) if written else ""
        of = f"/{self._total}" if self._total is not None else ""
        best = "none yet" if self._best is None else f"{self._best:.6g}"
        seconds = sum(fold.fit_time + fold.score_time for fold in record.run)
        return f"trial {number}: {outcome}{tried} ({seconds:.2f} s, best {best}, {self._done}{of} done)"

    @property
    def _state(self) -> str:
        """What stands before the bar, where a narrow window does not cut it off."""
        parts = [f"best {self._best:.4f}"] if self._best is not None else []
        parts += [f"{self._pruned} pruned"] if self._pruned else []
        parts += [f"{self._failed} failed"] if self._failed else []
        return " ".join([self._name, ", ".join(parts)]).rstrip()

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
