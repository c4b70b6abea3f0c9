"""The recipe for MLflow: the example logs a real search into a real store, once, and the model comes back."""

import json
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from needs import needed
from test_readme import ROOT, run

pytestmark = pytest.mark.slow
SCRIPT = ROOT / "examples" / "mlflow_tracking.py"

#: Runs the example twice, with a run lost in between; then its callback watches a search with a fit that fails.
DRIVER = """
import json, os, runpy, sys, warnings
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow, numpy as np

script = sys.argv[1]
sys.argv = [script, "8"]
first = runpy.run_path(script, run_name="__main__")
client, experiment = first["client"], [first["experiment_id"]]
lost = first["run_of"](first["search"].study_, 3).info.run_id
client.delete_run(lost)
again = runpy.run_path(script, run_name="__main__")
search, X = again["search"], again["X"]

warnings.simplefilter("ignore")
broken = again["OptunaSearchCV"](again["SVC"](), {"kernel": ["rbf", "none"]}, cv=2, callbacks=again["log_trial"])
broken.fit(X, again["y"])

def told(run):
    history = {name: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))
               for name in run.data.metrics if not name.startswith(("mean_", "std_"))}
    return {"status": run.info.status, "start": run.info.start_time, "end": run.info.end_time,
            "id": run.info.run_id, "tags": run.data.tags, "params": run.data.params, "metrics": run.data.metrics,
            "folds": history}

runs = [told(run) for run in client.search_runs(experiment)]
(parent,) = (run for run in runs if run["tags"]["trial"] == "all" and run["tags"]["study"] == "svc")
model = mlflow.sklearn.load_model(f"runs:/{parent['id']}/model")
n_models = len(client.search_logged_models(experiment))
results = {key: np.ma.filled(values, np.nan).tolist() if values.dtype != object else list(map(str, values))
           for key, values in search.cv_results_.items() if key != "params"}
params = [again["params_of"](trial) for trial in search.study_.trials]
print(json.dumps({"runs": runs, "parent": parent, "results": results, "params": params, "n_models": n_models,
                  "same": bool((model.predict(X) == search.predict(X)).all()),
                  "best": [search.best_score_, search.best_trial_.number]}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the store says after all of it."""
    needed("MLflow (pip install mlflow-skinny)", find_spec("mlflow") is not None)
    done = run(["-c", DRIVER, str(SCRIPT)], tmp_path_factory.mktemp("mlflow"))
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def trials_of(told: dict[str, Any], parent: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs below another one, in the order of their trials."""
    children = [run for run in told["runs"] if run["tags"].get("mlflow.parentRunId") == parent["id"]]
    return sorted(children, key=lambda run: int(run["tags"]["trial"]))


def test_there_is_one_run_for_the_study_and_below_it_one_for_each_trial(told: dict[str, Any]) -> None:
    trials = trials_of(told, told["parent"])
    assert [int(run["tags"]["trial"]) for run in trials] == told["results"]["trial_number"]
    assert {run["tags"]["study"] for run in trials} == {"svc"}
    assert told["parent"]["status"] == "FINISHED"
    states = told["results"]["trial_state"]
    assert {"COMPLETE", "PRUNED"} == set(states)
    assert [run["tags"]["state"] for run in trials] == states
    assert [run["status"] for run in trials] == [{"COMPLETE": "FINISHED", "PRUNED": "KILLED"}[one] for one in states]


def test_a_run_has_all_parameters_and_all_metrics_of_its_trial(told: dict[str, Any]) -> None:
    results = told["results"]
    for row, logged in enumerate(trials_of(told, told["parent"])):
        assert logged["params"] == {name: str(value) for name, value in told["params"][row].items()}
        is_whole = results["trial_state"][row] == "COMPLETE"
        for metric in ("test_roc_auc", "test_accuracy"):
            folds = [[i, results[f"split{i}_{metric}"][row]] for i in range(5)]
            assert logged["folds"][metric] == [fold for fold in folds if np.isfinite(fold[1])]
        for metric in ("test_roc_auc", "test_accuracy", "fit_time", "score_time"):
            for part in (f"mean_{metric}", f"std_{metric}"):
                assert (part in logged["metrics"]) == is_whole
                assert not is_whole or logged["metrics"][part] == pytest.approx(results[part][row], rel=1e-12)
        assert 0 <= logged["end"] - logged["start"] < 60_000


def test_the_best_model_is_logged_once_and_predicts_what_the_search_predicts(told: dict[str, Any]) -> None:
    score, number = told["best"]
    assert told["same"]
    assert told["n_models"] == 1
    assert told["parent"]["metrics"]["best_score"] == score
    assert told["parent"]["tags"]["best_trial"] == str(number)


def test_a_trial_that_failed_is_marked_and_says_why(told: dict[str, Any]) -> None:
    (parent,) = (run for run in told["runs"] if run["tags"]["trial"] == "all" and run != told["parent"])
    good, bad = trials_of(told, parent)
    assert (good["status"], good["tags"]["state"]) == ("FINISHED", "COMPLETE")
    assert (bad["status"], bad["tags"]["state"]) == ("FAILED", "FAIL")
    assert bad["tags"]["failure"].startswith("InvalidParameterError: The 'kernel' parameter of SVC")
    assert bad["params"] == {"kernel": "none"}
    assert "mean_test_score" not in bad["metrics"] and "mean_test_score" in good["metrics"]
