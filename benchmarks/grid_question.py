"""How long does a search take to find the best point of a grid that GridSearchCV walks through?

The grid is a support vector machine's on the digits, 13 values of C times 13 of gamma. A pair is one grid search and
two of ours, one over the points of the grid and one over the ranges that it spans, each ended when it has a candidate
with the grid's best score.
"""

from typing import Any

import numpy as np
from common import ratio
from optuna.distributions import FloatDistribution
from recording import Recorder
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC
from tasks import Task

#: The name of the question beside those of the tasks.
NAME = "digits-grid"
WAYS = ("grid", "ours on the grid", "ours on the ranges")
NO_LIMIT = 10**6


def task(quick: bool) -> Task:
    """Return the model, its grid, and all the digits; nothing is held out."""
    X, y = load_digits(return_X_y=True)
    size = 4 if quick else 13
    if quick:
        X, y = X[:300], y[:300]
    grid = {"C": np.logspace(-2, 10, size).tolist(), "gamma": np.logspace(-9, 3, size).tolist()}
    return Task(NAME, SVC(), grid, X, y, X, y, "accuracy", list(StratifiedKFold(5).split(X, y)))


def pair(question: Task, seed: int) -> dict[str, Any]:
    """Return the wall and processor seconds of each way, None for those that did not find the score."""
    walked = Recorder(question, NO_LIMIT)
    GridSearchCV(question.estimator, question.space, cv=question.cv, scoring=walked, refit=False).fit(
        question.X, question.y
    )
    target = walked.steps()[-1].score
    ranges = {name: FloatDistribution(min(of), max(of), log=True) for name, of in question.space.items()}
    size = int(np.prod([len(of) for of in question.space.values()]))
    return {
        # A walk through a grid ends at its end: only then it is known which point is the best.
        "grid": [walked.entries[-1].wall, walked.entries[-1].cpu, len(walked.entries)],
        # With as many trials as there are points ours would walk through them in order, too.
        "ours on the grid": found(question, question.space, target, seed, size - 1),
        "ours on the ranges": found(question, ranges, target, seed, size),
    }


def found(question: Task, space: dict[str, Any], target: float, seed: int, n_trials: int) -> list[float] | None:
    """Return the seconds and folds until our search had a score."""
    from optuna_search import OptunaSearchCV

    recorder = Recorder(question, NO_LIMIT)

    def stop_there(study: Any, trial: Any) -> None:
        steps = recorder.steps()
        if steps and steps[-1].score >= target:
            study.stop()

    search = OptunaSearchCV(
        question.estimator, space, n_trials=n_trials, cv=question.cv, scoring=recorder, random_state=seed, refit=False,
        callbacks=stop_there,
    )  # fmt: skip
    recorder.start()
    search.fit(question.X, question.y)
    last = recorder.steps()[-1]
    return [last.wall, last.cpu, last.folds] if last.score >= target else None


def figures(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of the paired ratios; a search that did not find the score counts as the slowest."""
    said: dict[str, Any] = {"pairs": len(pairs)}
    for way in WAYS[1:]:
        both = [(one[way], one["grid"]) for one in pairs if one[way] is not None]
        said[way] = {"found": len(both)}
        for place, name in enumerate(("wall time", "cpu time", "folds")):
            if both:
                said[way][f"{name} against the grid's"] = ratio(
                    [a[place] for a, _ in both], [b[place] for _, b in both]
                )
    return said
