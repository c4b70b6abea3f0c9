"""One trial's folds, run in a worker: fit, score, time, catch. Knows nothing of Optuna or of storages."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone

from optuna_search._compat import fit_and_score
from optuna_search._record import Failure, Fold


@dataclass(frozen=True)
class Evaluation:
    """How every candidate of a search is measured."""

    estimator: Any
    X: Any
    y: Any
    #: Indices of the training and of the test part of each fold.
    splits: Sequence[tuple[Any, Any]]
    scorer: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    error_score: float | str
    return_train_score: bool
    verbose: int
    #: The search itself, for scikit-learn's callbacks.
    caller: Any = None

    @property
    def n_splits(self) -> int:
        """How many folds there are."""
        return len(self.splits)


@dataclass(frozen=True)
class Task:
    """Some folds of one trial, for one worker."""

    trial: int
    params: Mapping[str, Any]
    folds: tuple[int, ...]
    #: Place of the candidate and number of candidates, for the lines that scikit-learn prints.
    progress: tuple[int, int]
    #: scikit-learn's callback context of each fold, where somebody listens.
    contexts: tuple[Any, ...] = ()


def evaluate(evaluation: Evaluation, task: Task, until: float | None = None) -> list[Fold | None]:
    """Fit and score the folds of a task, one after the other.

    Parameters
    ----------
    until : float or None
        Seconds since the epoch after which no fold begins any more; None stands in the place of one that did not.

    Raises
    ------
    Exception
        What the estimator raised, if ``error_score="raise"``.
    """
    return [
        _evaluate_fold(evaluation, task, split, context) if until is None or time.time() < until else None
        for split, context in zip(task.folds, task.contexts or [None] * len(task.folds), strict=True)
    ]


def _evaluate_fold(evaluation: Evaluation, task: Task, split: int, context: Any) -> Fold:
    train, test = evaluation.splits[split]
    result = fit_and_score(
        clone(evaluation.estimator),
        evaluation.X,
        evaluation.y,
        scorer=evaluation.scorer,
        train=train,
        test=test,
        # At 2 the search prints a line for each trial; the lines for each fold begin at 3.
        verbose=evaluation.verbose if evaluation.verbose > 2 else 0,
        parameters=task.params,
        fit_params=evaluation.fit_params,
        score_params=evaluation.score_params,
        return_train_score=evaluation.return_train_score,
        split_progress=(split, evaluation.n_splits),
        candidate_progress=task.progress,
        error_score=evaluation.error_score,
        caller=evaluation.caller,
        callback_ctx=context,
    )
    failed = result["fit_error"] is not None
    return Fold(
        # A fit that failed has no scores: `error_score` takes their place when results are read.
        {} if failed else _by_metric(result["test_scores"], evaluation.scorer),
        {} if failed or not evaluation.return_train_score else _by_metric(result["train_scores"], evaluation.scorer),
        result["fit_time"],
        result["score_time"],
        failure_of(result["fit_error"]) if failed else None,
        isinstance(result["test_scores"], dict),
    )


def _by_metric(scores: Any, scorer: Any) -> dict[str, float]:
    for name, score in (scores if isinstance(scores, dict) else {scorer: scores}).items():
        if isinstance(score, complex):  # which scikit-learn lets pass for a number
            raise ValueError(f"scoring must return a number, got {score} ({type(score)}) instead. (scorer={name})")
    by_metric = scores if isinstance(scores, dict) else {"score": scores}
    return {name: float(score) for name, score in by_metric.items()}


def failure_of(traceback: str) -> Failure:
    """Read type and message of an exception from its formatted traceback."""
    # What follows the last frame: a line that is not indented opens it, and a message may go on for lines.
    ends = list(re.finditer(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$", traceback, re.MULTILINE))
    if not ends:
        return Failure("Exception", "", traceback)
    frames = [found.end() for found in re.finditer(r"^  File .*$", traceback, re.MULTILINE)]
    last = next((end for end in ends if not frames or end.start() > frames[-1]), ends[-1])
    message = traceback[last.start("message") :].strip() if last["message"] is not None else ""
    return Failure(last["type"].rpartition(".")[2], message, traceback)
