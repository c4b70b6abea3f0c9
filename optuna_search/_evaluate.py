"""One trial's folds, run in a worker: fit, score, time, catch. Knows nothing of Optuna or of storages."""

from __future__ import annotations

import json
import pickle
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cloudpickle
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from optuna_search._compat import fit_and_score
from optuna_search._record import N_SAMPLES, PARTIAL_FIT, Failure, Fold
from optuna_search._training import Resource, Training
from optuna_search._warned import Warned, recorded
from optuna_search.exceptions import WorkerError


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
    #: What trials get more and more of.
    resource: Resource | None = None

    @property
    def n_splits(self) -> int:
        """How many folds there are."""
        return len(self.splits)

    @property
    def amounts(self) -> tuple[int, ...] | None:
        """How much of the resource there is at each rung; None where there is none."""
        return None if self.resource is None else self.resource.amounts


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
    #: How much of a resource each fold is trained with; None for the whole, at once.
    amount: int | None = None
    #: What each fold was left with at a smaller amount, where training goes on from there.
    states: tuple[Any, ...] = ()

    @property
    def single_folds(self) -> list[Task]:
        """The same as one task for each fold."""
        nothing = (None,) * len(self.folds)
        return [
            replace(self, folds=(split,), contexts=(context,), states=(state,))
            for split, context, state in zip(self.folds, self.contexts or nothing, self.states or nothing, strict=True)
        ]


@dataclass(frozen=True)
class Outcome:
    """What came of a task."""

    #: One entry for each of its folds; None for one that did not begin, because the time was up.
    folds: list[Fold | None]
    #: What was warned of meanwhile, and how often.
    warned: Counter[Warned] = field(default_factory=Counter)
    #: What each fold is left with, where training may go on from there.
    states: Sequence[Any] = ()


def evaluate(
    evaluation: Evaluation,
    task: Task,
    until: float | None = None,
    *,
    begins: Callable[[int], None] | None = None,
    inside: bool = False,
) -> Outcome:
    """Fit and score the folds of a task, one after the other.

    Parameters
    ----------
    until : float or None
        Seconds since the epoch after which no fold begins any more.
    begins : callable or None
        Called with the number of each fold before it begins.
    inside : bool
        Whether this is the main thread of the search: an exit that is asked for there may be meant for it.

    Raises
    ------
    Exception
        What the estimator raised, if ``error_score="raise"``.
    """
    folds: list[Fold | None] = []
    states: list[Any] = []
    warned: Counter[Warned] = Counter()
    for one in task.single_folds:
        fold, state = None, None
        if until is None or time.time() < until:
            if begins is not None:
                begins(one.folds[0])
            with recorded() as seen:  # one by one: no count is to depend on how folds share tasks
                fold, state = _evaluate_fold(evaluation, one, exits=not inside)
            warned.update(seen)
        folds.append(fold)
        states.append(state)
    return Outcome(folds, warned, states)


def prefix_of(estimator: Any, params: Mapping[str, Any]) -> str | None:
    """Return what candidates share whose first steps in a Pipeline are the same; None where nothing is cached.

    Parameters
    ----------
    estimator : estimator
        What is searched.
    params : mapping
        The parameters of a candidate as the record keeps them.
    """
    if not isinstance(estimator, Pipeline) or estimator.memory is None:
        return None
    last = estimator.steps[-1][0]
    return json.dumps({name: value for name, value in sorted(params.items()) if name.partition("__")[0] != last})


def refit(estimator: Any, evaluation: Evaluation) -> Any:
    """Return an estimator that has the parameters of the winner after it was fitted on all data, as its trials were."""
    X, y, params, resource = evaluation.X, evaluation.y, evaluation.fit_params, evaluation.resource
    if resource is not None and resource.name == PARTIAL_FIT:
        from optuna_search._continued import refitted

        return refitted(estimator, X, y, params, resource=PARTIAL_FIT, amount=resource.whole)
    _ = estimator.fit(X, **params) if y is None else estimator.fit(X, y, **params)  # which may return anything
    return estimator


def lost(why: str, seconds: float = 0.0, traceback: str = "") -> Fold:
    """Return what is kept of a fold that did not come to its end, and not by an exception."""
    return Fold({}, {}, seconds, 0.0, Failure(why, "", traceback or why))


def died(exit_code: Any) -> str:
    """Say of a process how it came to its end: by an exit code, or by minus the number of a signal."""
    if isinstance(exit_code, int):
        how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
        return f"worker died ({how})"
    return "worker died"


def sendable(error: Exception) -> Exception:
    """Return an exception as another process can read it: itself, if it survives a pickle."""
    try:
        pickle.loads(cloudpickle.dumps(error))
        return error
    except Exception:
        return WorkerError("".join(traceback.format_exception(error)))


def _evaluate_fold(evaluation: Evaluation, task: Task, *, exits: bool) -> tuple[Fold, Any]:
    started = time.time()
    try:
        return _fit_and_score(evaluation, task)
    except SystemExit as error:
        if not exits or evaluation.error_score == "raise":
            raise
        # What asks its process to end is told as one that did; this process has other folds to fit.
        code = 0 if error.code is None else error.code if isinstance(error.code, int) else 1
        return lost(died(code), time.time() - started, traceback.format_exc()), None


def _fit_and_score(evaluation: Evaluation, task: Task) -> tuple[Fold, Any]:
    """Return what a fold came to, and what it is left with if it may go on."""
    split, *_ = task.folds
    train, test = evaluation.splits[split]
    estimator, training = clone(evaluation.estimator), None
    if evaluation.resource is not None and task.amount is not None:
        evaluation.resource.check(task.params)
        train = evaluation.resource.part(train, split, task.amount)
        if evaluation.resource.name != N_SAMPLES:
            training = Training(estimator, evaluation.resource, task.amount, *task.states)
    result = fit_and_score(
        estimator,
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
        callback_ctx=task.contexts[0],
    )
    failed = result["fit_error"] is not None
    fold = Fold(
        # A fit that failed has no scores: `error_score` takes their place when results are read.
        {} if failed else _by_metric(result["test_scores"], evaluation.scorer),
        {} if failed or not evaluation.return_train_score else _by_metric(result["train_scores"], evaluation.scorer),
        result["fit_time"],
        result["score_time"],
        failure_of(result["fit_error"]) if failed else None,
        isinstance(result["test_scores"], dict),
        None if failed else _best_iteration(estimator),
    )
    return fold, None if training is None or failed else training.state


def _best_iteration(estimator: Any) -> int | None:
    """Return the number of iterations that a model which stops early has found best; None for any other."""
    early = sys.modules.get("optuna_search._early")  # whose class it would be of
    return None if early is None else early.best_iteration_of(estimator)


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
