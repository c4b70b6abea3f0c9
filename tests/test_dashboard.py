"""optuna-dashboard opens the storage of a search as it is, and a real browser shows what is in it."""

import contextlib
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import shown_by
from needs import needed
from optuna.pruners import ThresholdPruner
from processes import wait_until
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV

pytestmark = pytest.mark.slow
PROGRAM = Path(sys.executable).with_name("optuna-dashboard")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of it is kept."""
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def search(folder: Path) -> OptunaSearchCV:
    """A search over objects, with two metrics, and with trials that were pruned."""
    model = Pipeline([("root", FunctionTransformer()), ("scale", StandardScaler()), ("model", SVC())])
    grid = {"model": [SVC(C=10), LogisticRegression(C=1e-6)], "root__func": [np.sqrt, None], "scale": [None]}
    X, y = load_iris(return_X_y=True)
    return OptunaSearchCV(
        model, grid, cv=3, scoring=["accuracy", "f1_macro"], refit="accuracy", pruner=ThresholdPruner(lower=0.9),
        storage=folder / "searches.db", study_name="which iris",
    ).fit(X, y)  # fmt: skip


@pytest.fixture(scope="module")
def dashboard(folder: Path, search: OptunaSearchCV) -> Iterator[str]:
    """The address of a dashboard that serves the storage."""
    needed("optuna-dashboard", PROGRAM.exists())
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [PROGRAM, "sqlite:///searches.db", "--port", str(port), "--server", "wsgiref"],
            cwd=folder, stdout=output, stderr=output,
        )  # fmt: skip

    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/meta", timeout=10):
            return True
        return False

    try:
        wait_until(answers, "the dashboard")
        yield f"http://127.0.0.1:{port}/dashboard"
    finally:
        server.kill()
        server.wait()


def test_a_browser_shows_the_study_and_its_best_trial(dashboard: str, search: OptunaSearchCV, folder: Path) -> None:
    text = shown_by(f"{dashboard}/studies/1", folder / "profile")
    assert "which iris (id=1)" in text
    best = search.best_trial_
    assert f"Best Trial (number={best.number}) {best.value} Params = [model: SVC(C=10), root__func: " in text
    assert "Hyperparameter Importance" in text


def test_a_browser_shows_several_goals_by_their_names(dashboard: str, search: OptunaSearchCV, folder: Path) -> None:
    goals = {"objectives": ["f1_macro", "fit_time"], "pruner": None, "study_name": "two goals"}
    search.fork({}, **goals).fit(*load_iris(return_X_y=True))
    text = shown_by(f"{dashboard}/studies/2", folder / "profile")
    assert "two goals (id=2)" in text
    assert "Pareto Front Objective X: f1_macro \u200b Objective Y: fit_time" in text


def test_a_browser_shows_each_trial_with_its_state_its_score_and_readable_parameters(
    dashboard: str, search: OptunaSearchCV, folder: Path
) -> None:
    text = shown_by(f"{dashboard}/studies/1/trials?numbers=0,1,2,3", folder / "profile")
    assert "which iris (id=1)" in text and "4 Trials" in text
    expected = [
        ("Complete", "model SVC(C=10) root__func <function numpy.sqrt> scale None"),
        ("Complete", "model SVC(C=10) root__func None scale None"),
        ("Pruned", "model LogisticRegression(C=1e-06) root__func <function numpy.sqrt> scale None"),
        ("Pruned", "model LogisticRegression(C=1e-06) root__func None scale None"),
    ]
    for trial, (state, parameters) in zip(search.study_.trials, expected, strict=True):
        _, _, told = text.partition(f"Trial {trial.number} (trial_id=")
        told, _, _ = told.partition("Started At")
        assert f") {state} " in told
        assert told.endswith(f" Note Value {trial.value} Intermediate Values Parameter {parameters} ")
