"""What scikit-learn's callbacks are told and show during our search: what they are told by GridSearchCV."""

import re
from collections import Counter

import numpy as np
import pytest
from optuna.pruners import ThresholdPruner
from optuna.storages import InMemoryStorage
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from optuna_search import OptunaSearchCV
from optuna_search.callbacks import scores_of

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")
recorders = pytest.importorskip("sklearn.callback.tests._utils")

X, y = load_iris(return_X_y=True)

SEARCHED = {
    "without callbacks of its own": (GaussianNB(), {"var_smoothing": [1e-9, 1e-8, 1e-7]}),
    "with callbacks": (LogisticRegression(max_iter=5), {"C": [0.1, 1.0, 10.0]}),
    "pipeline": (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=5)),
        {"logisticregression__C": [0.1, 1.0]},
    ),
}
over_each = pytest.mark.parametrize(("estimator", "grid"), SEARCHED.values(), ids=SEARCHED)


def fitted_under(make_callback, search_class, estimator, grid, **parameters):
    """Fit a search, and return the callback that watched it."""
    watching = make_callback()
    search_class(clone(estimator), grid, cv=3, **parameters).set_callbacks(watching).fit(X, y)
    return watching


def without_class_name(text):
    """The two searches differ in their names, and in nothing else that a callback sees."""
    return re.sub("GridSearchCV|OptunaSearchCV", "SearchCV", text) if isinstance(text, str) else text


def calls_to(recorder):
    """Return what a recording callback was called with, call by call."""
    return [
        (
            call["name"],
            without_class_name(type(call["estimator"]).__name__),
            tuple(_facts_about(context) for context in _path_to(call["context"])),
            tuple(_facts_of_data(call.get("kwargs", {}))),
        )
        for call in recorder.record
    ]


def _path_to(context):
    return [] if context is None else [*_path_to(context.parent), context]


def _facts_about(context):
    return (
        without_class_name(context.estimator_name),
        context.task_name,
        context.task_id,
        context.max_subtasks,
        context.sequential_subtasks,
        without_class_name(context.source_estimator_name),
        context.source_task_name,
    )


def _facts_of_data(data):
    for name in ("X", "y"):
        yield name, np.shape(data.get(name))
    yield "metadata", sorted(data.get("metadata") or {})
    yield "fitted_estimator", type(data.get("fitted_estimator")).__name__


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@over_each
@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("recorder", ["RecordingCallback", "RecordingAutoPropagatedCallback"])
def test_callbacks_are_called_as_by_grid_search(estimator, grid, refit, recorder):
    make = getattr(recorders, recorder)
    ours = fitted_under(make, OptunaSearchCV, estimator, grid, refit=refit)
    theirs = fitted_under(make, GridSearchCV, estimator, grid, refit=refit)
    assert calls_to(ours) == calls_to(theirs)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@over_each
def test_callbacks_are_called_in_worker_processes_as_by_grid_search(estimator, grid):
    make = recorders.RecordingAutoPropagatedCallback
    ours = fitted_under(make, OptunaSearchCV, estimator, grid, n_jobs=2)
    theirs = fitted_under(make, GridSearchCV, estimator, grid, n_jobs=2)
    # Which of two processes is first is left to chance.
    assert _counted(calls_to(ours)) == _counted(calls_to(theirs))


def _counted(calls):
    return Counter(map(repr, calls))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["with callbacks", "pipeline"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_scoring_monitor_logs_what_it_logs_for_grid_search(kind, n_jobs):
    ours = log_under(OptunaSearchCV, *SEARCHED[kind], n_jobs=n_jobs)
    theirs = log_under(GridSearchCV, *SEARCHED[kind], n_jobs=n_jobs)
    assert len(ours) > 9  # a row for each fold and more: its iterations
    assert ours == theirs


def log_under(search_class, estimator, grid, **parameters):
    """Fit a search, and return what a monitor of the innermost estimator has logged."""
    monitor, estimator = callback.ScoringMonitor(scoring="accuracy"), clone(estimator)
    (estimator[-1] if hasattr(estimator, "steps") else estimator).set_callbacks(monitor)
    search_class(estimator, grid, cv=3, **parameters).fit(X, y)
    log = monitor.get_logs(include_lineage=True)
    return [{key: without_class_name(value) for key, value in row.items()} for row in log.data]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@over_each
@pytest.mark.parametrize("depth", [0, 1, None])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_progress_bar_shows_what_it_shows_for_grid_search(estimator, grid, depth, n_jobs, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")  # else a longer name breaks the line elsewhere
    shown = []
    for search_class in (OptunaSearchCV, GridSearchCV):
        fitted_under(
            lambda: callback.ProgressBar(max_propagation_depth=depth), search_class, estimator, grid, n_jobs=n_jobs
        )
        shown.append(_bars(capsys.readouterr().out))
    assert "SearchCV - fit" in shown[0][0]
    # Two processes make their bars in an order that is left to chance.
    assert shown[0] == shown[1] if n_jobs is None else sorted(shown[0]) == sorted(shown[1])


def _bars(output):
    # The name of each bar and its percentage; neither the bar itself, which is as long as there is room, nor the time.
    bars = re.findall(r"^( *\S.*?) +[━╸╺]+ +(\d+%)", without_class_name(output), flags=re.MULTILINE)
    return [f"{name.rstrip()} {percentage}" for name, percentage in bars]


def heard(search):
    """Fit a search; return of how many folds a callback has heard, and how many the search said there would be."""
    recorder = recorders.RecordingCallback()
    search.set_callbacks(recorder).fit(X, y)
    begun = [call["context"] for call in recorder.record if call["name"] == "on_fit_task_begin"]
    folds = [context for context in begun if context.task_name == "candidate-split-evaluation"]
    (whole,) = (context for context in begun if context.task_name == "search")
    return len(folds), whole.max_subtasks


def n_folds(search):
    """How many folds the trials of a study have run."""
    return sum(np.isfinite(scores_of(trial)["fit_time"]).sum() for trial in search.study_.trials)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_callbacks_hear_of_no_fold_that_is_pruned(n_jobs):
    grid = {"var_smoothing": [1e-9, 1e2, 1e-8, 1e3]}
    search = OptunaSearchCV(GaussianNB(), grid, cv=3, n_jobs=n_jobs, pruner=ThresholdPruner(lower=0.85))
    assert heard(search) == (n_folds(search), 12) == (8, 12)


def test_callbacks_hear_of_what_is_left_of_a_study_that_is_continued():
    kept = {"storage": InMemoryStorage(), "study_name": "s"}
    search = OptunaSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-8, 1e-7]}, cv=3, **kept)
    assert heard(search.set_params(callbacks=lambda study, trial: study.stop())) == (3, 9)
    assert heard(search.set_params(callbacks=None)) == (6, 6)
    assert heard(search) == (0, None), "how many they are is not known: that there are none is not shown"


def logistic_regression():
    """One that converges at once, and that callbacks hear of."""
    return LogisticRegression(max_iter=10, tol=0.1)


def test_a_progress_bar_of_a_finished_study_ends_well(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "200")
    kept = {"storage": InMemoryStorage(), "study_name": "s"}
    for n_folds in (2, 0):
        search = OptunaSearchCV(logistic_regression(), {"C": [1.0]}, cv=2, **kept)
        search.set_callbacks(callback.ProgressBar()).fit(X, y)
        bars = _bars(capsys.readouterr().out)
        assert len([bar for bar in bars if "candidate-split-evaluation" in bar]) == n_folds
        assert all(bar.endswith(" 100%") for bar in bars) and any("search #0" in bar for bar in bars)


def test_a_scoring_monitor_logs_the_folds_that_were_run():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    estimator = logistic_regression().set_callbacks(monitor)
    search = OptunaSearchCV(estimator, {"C": [1.0, 1e-6]}, cv=3, pruner=ThresholdPruner(lower=0.5)).fit(X, y)
    log = monitor.get_logs(include_lineage=True).data
    folds = [row for row in log if row["parent_task_id_path"] == (0, 0)]
    assert {row["estimator_name"] for row in folds} == {"LogisticRegression"}
    assert len(folds) == n_folds(search) == 4
