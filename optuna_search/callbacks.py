"""What watches a search while it runs."""

from __future__ import annotations

import sys
from typing import Any

from optuna_search._results import Verdict

__all__: list[str] = []


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
    done, failed, best
        Where the study stands: finished trials, failed ones among them, and the best score.
    """

    def __init__(self, verbose: int, name: str, total: int | None, done: int, failed: int, best: float | None) -> None:
        self._verbose = int(verbose)
        self._done, self._failed, self._best = done, failed, best
        self._total = total
        self._bar: Any = None
        if self._verbose == 1:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=total, initial=done, desc=name, unit="trial", file=sys.stderr, dynamic_ncols=True, smoothing=0.1
            )
            self._show()
            self._bar.refresh()

    def update(self, number: int, verdict: Verdict, seconds: float) -> None:
        """Take in that a trial has ended."""
        self._done += 1
        self._failed += verdict.value is None
        if verdict.value is not None and (self._best is None or verdict.value > self._best):
            self._best = verdict.value
        if self._bar is not None:
            self._show()
            self._bar.update()
        elif self._verbose > 1:
            outcome = f"failed: {verdict.failure}" if verdict.value is None else f"score {verdict.value:.6g}"
            of = f"/{self._total}" if self._total is not None else ""
            best = "none yet" if self._best is None else f"{self._best:.6g}"
            print(f"trial {number}: {outcome} in {seconds:.2f} s (best {best}, {self._done}{of} done)", file=sys.stderr)

    def _show(self) -> None:
        parts = [f"best {self._best:.4f}"] if self._best is not None else []
        parts += [f"{self._failed} failed"] if self._failed else []
        self._bar.set_postfix_str(", ".join(parts), refresh=False)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
