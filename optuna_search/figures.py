"""Figures of a study: each function returns one plotly figure, to be shown, changed, or written to a file.

Each takes a fitted `OptunaSearchCV`, the `optuna.Study` of one, or a study's name with the `storage` it is in.
Parameters go by the names and the values of your code: an object by its token, what was searched on its quantiles by
its real value. A score stands at the end of the axis if it is worse than nine in ten, and further from these than ten
times their distance from the best. They need plotly: ``pip install 'optuna-search[plots]'``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from optuna_search import _parameterfigures, _trialfigures
from optuna_search._facts import Facts, facts_of
from optuna_search._given import store_given
from optuna_search._importance import importances_of
from optuna_search._storage import in_plain_words
from optuna_search.exceptions import InvalidRequestError

__all__ = [
    "contours",
    "history",
    "importances",
    "parallel_coordinates",
    "pareto_front",
    "pruned_folds",
    "slices",
    "timeline",
]


def __dir__() -> list[str]:
    return __all__


# --- trials -----------------------------------------------------------------------------------------------------------


def history(
    search_or_study: Any, *, storage: Any = None, metric: str | None = None, spread: str = "standard error"
) -> Any:
    """Show how scores went on from trial to trial, with the spread over the folds and the best so far.

    A trial that was pruned stands apart, at the mean of the folds that it saw; one that failed stands at the bottom.

    Parameters
    ----------
    search_or_study : OptunaSearchCV, optuna.Study, or str
        A fitted search, its study, or the name of a study in `storage`.
    storage : str, Path, or optuna.storages.BaseStorage, default=None
        Where a study is that is given by its name.
    metric : str, default=None
        A metric, or ``"fit_time"`` or ``"score_time"``; None for the one that was pursued, the first of several.
    spread : {"standard error", "folds"}, default="standard error"
        The line through a trial: one standard error of the mean up and down, or from the lowest to the highest fold.

    Returns
    -------
    figure : plotly.graph_objects.Figure

    Raises
    ------
    InvalidRequestError
        If an argument cannot be used.
    NoResultError
        If no trial has a score in every fold.
    StorageError
        If there is no such study, or it is none of ours.
    ImportError
        If plotly is not installed.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> search = OptunaSearchCV(SVC(), {"C": [0.01, 0.1, 1, 10]}).fit(X, y)
    >>> [trace.name for trace in figures.history(search).data]
    ['± standard error', 'complete', 'best so far']
    """
    if spread not in _trialfigures.SPREADS:
        raise InvalidRequestError(f"spread={spread!r} must be one of {', '.join(map(repr, _trialfigures.SPREADS))}.")
    facts = _facts(search_or_study, storage)
    return _trialfigures.history(facts, facts.metric(metric), spread)


def timeline(search_or_study: Any, *, storage: Any = None) -> Any:
    """Show when each trial ran, and how it ended; trials that were measured in another study are left out.

    Parameters
    ----------
    search_or_study, storage
        As in `history`.

    Returns
    -------
    figure : plotly.graph_objects.Figure

    Raises
    ------
    InvalidRequestError, StorageError, ImportError
        As in `history`.
    NoResultError
        If no trial ran.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> search = OptunaSearchCV(SVC(), {"C": [0.01, 0.1, 1, 10]}).fit(X, y)
    >>> [trace.name for trace in figures.timeline(search).data]
    ['complete']
    """
    return _trialfigures.timeline(_facts(search_or_study, storage))


def pruned_folds(search_or_study: Any, *, storage: Any = None) -> Any:
    """Show how far each trial came: its score after each fold, or with each amount of the resource.

    Below it is how many trials ended at each step.

    Parameters
    ----------
    search_or_study, storage
        As in `history`.

    Returns
    -------
    figure : plotly.graph_objects.Figure

    Raises
    ------
    InvalidRequestError, NoResultError, StorageError, ImportError
        As in `history`.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": FloatDistribution(1e-4, 1e2, log=True)}
    >>> search = OptunaSearchCV(SVC(), space, n_trials=20, pruner="median", random_state=0).fit(X, y)
    >>> [trace.name for trace in figures.pruned_folds(search).data[:3]]
    ['complete', 'pruned', 'the best']
    """
    return _trialfigures.pruned_folds(_facts(search_or_study, storage))


def pareto_front(search_or_study: Any, *, storage: Any = None, metrics: Sequence[str] | None = None) -> Any:
    """Show what one goal costs another; three goals and more by every two of them.

    Parameters
    ----------
    search_or_study, storage
        As in `history`.
    metrics : sequence of str, default=None
        Two or more metrics, ``"fit_time"`` and ``"score_time"`` among them; None for the goals that were pursued. Where
        others are given, the front is that of the trials there are, which were chosen for something else.

    Returns
    -------
    figure : plotly.graph_objects.Figure

    Raises
    ------
    InvalidRequestError, NoResultError, StorageError, ImportError
        As in `history`.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> search = OptunaSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3]}).fit(X, y)
    >>> figures.pareto_front(search, metrics=["score", "fit_time"]).layout.xaxis.title.text
    'score (more is better)'
    """
    facts = _facts(search_or_study, storage)
    if metrics is None:
        return _trialfigures.pareto_front(facts, facts.goals)
    names = _listed(metrics)
    found = dict.fromkeys(map(facts.metric, names))
    if len(found) < 2 or len(found) < len(names):
        raise InvalidRequestError(f"metrics={metrics!r} must be two or more names of metrics, each of another one.")
    return _trialfigures.pareto_front(facts, list(found))


# --- parameters -------------------------------------------------------------------------------------------------------


def importances(search_or_study: Any, *, storage: Any = None, metric: str | None = None) -> Any:
    """Show how much of the differences between trials each parameter accounts for.

    It is the mean decrease of impurity in a random forest of 64 trees that predicts the mean scores of complete trials,
    of 2,000 of them at most. That is what Optuna's `MeanDecreaseImpurityImportanceEvaluator` does; parameters that some
    trials do not have are valued as well: there they get the value of some other trial, which tells nothing. With few
    trials the shares are rough.

    Parameters
    ----------
    search_or_study, storage
        As in `history`.
    metric : str, default=None
        A metric, or ``"fit_time"`` or ``"score_time"``; None for what was pursued, several goals one beside the other.

    Returns
    -------
    figure : plotly.graph_objects.Figure
        Of the 20 most important ones.

    Raises
    ------
    InvalidRequestError, StorageError, ImportError
        As in `history`.
    NoResultError
        If there are fewer than four complete trials, or they do not differ.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> grid = {"C": [0.01, 0.1, 1, 10], "shrinking": [True, False]}
    >>> figures.importances(OptunaSearchCV(SVC(), grid).fit(X, y)).layout.yaxis.ticktext
    ('C', 'shrinking')
    """
    facts = _facts(search_or_study, storage)
    metrics = facts.goals if metric is None else (facts.metric(metric),)
    return _parameterfigures.importances(facts, {one: importances_of(facts, one) for one in metrics})


def slices(
    search_or_study: Any, *, storage: Any = None, metric: str | None = None, params: Sequence[str] | None = None
) -> Any:
    """Show the scores by one parameter after the other.

    Trials of one choice stand side by side. Of more than 1,000 trials the best 500 are drawn, and an even part of the
    others.

    Parameters
    ----------
    search_or_study, storage
        As in `history`.
    metric : str, default=None
        A metric, or ``"fit_time"`` or ``"score_time"``; None for the one that was pursued, the first of several.
    params : sequence of str, default=None
        Which; None for the nine most important ones.

    Returns
    -------
    figure : plotly.graph_objects.Figure

    Raises
    ------
    InvalidRequestError, StorageError, ImportError
        As in `history`.
    NoResultError
        If no trial has a score in every fold, or no parameter has several values.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> search = OptunaSearchCV(SVC(), {"C": [0.01, 0.1, 1, 10], "kernel": ["rbf", "linear"]}).fit(X, y)
    >>> figures.slices(search, params=["kernel"]).layout.xaxis.ticktext
    ('linear', 'rbf')
    """
    facts = _facts(search_or_study, storage)
    found = facts.metric(metric)
    names = _parameterfigures.ranked(facts, found, _names(params), _parameterfigures.N_SLICES)
    return _parameterfigures.slices(facts, found, names)


def contours(
    search_or_study: Any, *, storage: Any = None, metric: str | None = None, params: Sequence[str] | None = None
) -> Any:
    """Show the scores by two parameters at a time.

    The colour of a place is the mean score of the trials around it, near ones counting for more (a Gaussian kernel as
    wide as 8 % of each axis; between choices nothing is smoothed). Where there is no trial near, there is no colour.

    Parameters
    ----------
    search_or_study, storage
        As in `history`.
    metric : str, default=None
        A metric, or ``"fit_time"`` or ``"score_time"``; None for the one that was pursued, the first of several.
    params : sequence of str, default=None
        Two or more, of which every two have a contour; None for the three pairs of the most important ones. Two that
        fewer than four different trials have both of have none.

    Returns
    -------
    figure : plotly.graph_objects.Figure

    Raises
    ------
    InvalidRequestError, StorageError, ImportError
        As in `history`.
    NoResultError
        If no trial has a score in every fold, or no two parameters have a contour.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> search = OptunaSearchCV(SVC(), {"C": [0.01, 0.1, 1, 10], "gamma": [0.01, 0.1, 1]}).fit(X, y)
    >>> drawn = figures.contours(search, params=["C", "gamma"])
    >>> drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text
    ('C', 'gamma')
    """
    facts = _facts(search_or_study, storage)
    found = facts.metric(metric)
    names = _parameterfigures.ranked(facts, found, _names(params), _parameterfigures.N_LINES)
    pairs = _parameterfigures.pairs_of(facts, found, names)
    return _parameterfigures.contours(facts, found, pairs if params is not None else pairs[: _parameterfigures.N_PAIRS])


def parallel_coordinates(
    search_or_study: Any, *, storage: Any = None, metric: str | None = None, params: Sequence[str] | None = None
) -> Any:
    """Show each trial as a line through its score and its parameters; the better it is, the brighter.

    Where a trial does not have a parameter, its line passes below the axis. Of more than 400 trials the best 200 are
    drawn, and an even part of the others.

    Parameters
    ----------
    search_or_study, storage
        As in `history`.
    metric : str, default=None
        A metric, or ``"fit_time"`` or ``"score_time"``; None for the one that was pursued, the first of several.
    params : sequence of str, default=None
        Which, from left to right; None for the eight most important ones.

    Returns
    -------
    figure : plotly.graph_objects.Figure

    Raises
    ------
    InvalidRequestError, StorageError, ImportError
        As in `history`.
    NoResultError
        If no trial has a score in every fold, or no parameter has several values.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, figures
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> search = OptunaSearchCV(SVC(), {"C": [0.01, 0.1, 1, 10], "kernel": ["rbf", "linear"]}).fit(X, y)
    >>> figures.parallel_coordinates(search, params=["kernel", "C"]).layout.xaxis.ticktext
    ('score', 'kernel', 'C')
    """
    facts = _facts(search_or_study, storage)
    found = facts.metric(metric)
    names = _parameterfigures.ranked(facts, found, _names(params), _parameterfigures.N_LINES)
    return _parameterfigures.parallel_coordinates(facts, found, names)


def _facts(search_or_study: Any, storage: Any) -> Facts:
    store = store_given(search_or_study, storage)
    with in_plain_words(store.storage):
        return facts_of(store)


def _names(params: Any) -> list[str] | None:
    if params is None:
        return None
    if not (names := _listed(params)):
        raise InvalidRequestError(f"params={params!r} must be a list of names of parameters, or None.")
    return names


def _listed(given: Any) -> list[Any]:
    """Return what was given as a list; nothing for one text, and for what is no list."""
    return [] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
