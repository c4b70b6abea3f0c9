"""Log a search into MLflow: a run for the study, below it a run for each trial, and the best model.

The trials are kept in breast_cancer.db, and MLflow's store is another SQLite file, mlflow.db; models go to the folder
mlruns. Run it again: nothing is fitted or logged twice. Run it with more trials: the new ones are added.

    pip install mlflow
    python examples/mlflow_tracking.py          20 trials
    python examples/mlflow_tracking.py 40       the same study, continued to 40
    mlflow ui --backend-store-uri sqlite:///mlflow.db
"""

import sys

import mlflow
import numpy as np
from mlflow.entities import Metric, Param
from optuna.distributions import FloatDistribution
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV
from optuna_search.callbacks import params_of, scores_of

mlflow.set_tracking_uri("sqlite:///mlflow.db")
experiment_id = mlflow.set_experiment("breast cancer").experiment_id
client = mlflow.MlflowClient()

STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


def milliseconds(moment):
    """MLflow's way to write a date."""
    return round(1000 * moment.timestamp())


def run_of(study, trial="all", began=None, **tags):
    """Return the run of a study or of one of its trials; make it where there is none."""
    found = client.search_runs([experiment_id], f"tags.study = '{study.study_name}' and tags.trial = '{trial}'")
    if found:
        return found[0]
    name = study.study_name if trial == "all" else f"trial {trial}"
    tags = {"study": study.study_name, "trial": str(trial), **tags}
    return client.create_run(experiment_id, began, tags, name)


def log_trial(study, trial):
    """Log a trial, once: it is the callback."""
    parent = run_of(study).info.run_id
    began, ended = milliseconds(trial.datetime_start), milliseconds(trial.datetime_complete)
    run = run_of(study, trial.number, began, **{"mlflow.parentRunId": parent, "state": trial.state.name})
    if run.info.status != "RUNNING":
        return
    run_id = run.info.run_id
    metrics = []
    for name, scores in scores_of(trial).items():  # test_accuracy and the like, fit_time, score_time
        metrics += [Metric(name, float(score), ended, fold) for fold, score in enumerate(scores) if np.isfinite(score)]
        if np.isfinite(scores).all():
            means = {f"mean_{name}": scores.mean(), f"std_{name}": scores.std()}
            metrics += [Metric(key, float(value), ended, 0) for key, value in means.items()]
    params = [Param(name, str(value)) for name, value in params_of(trial).items()]
    client.log_batch(run_id, metrics, params)
    if "failure" in trial.user_attrs:
        client.set_tag(run_id, "failure", trial.user_attrs["failure"])
    client.set_terminated(run_id, STATUS[trial.state.name], ended)


def log_search(search):
    """Log the best model, and the trials of which a process that was killed has not told."""
    trials = search.study_.trials
    for number in search.cv_results_["trial_number"]:
        log_trial(search.study_, trials[number])
    run, best = run_of(search.study_), str(search.best_trial_.number)
    with mlflow.start_run(run.info.run_id):
        mlflow.log_metric("best_score", search.best_score_)
        if run.data.tags.get("best_trial") != best:
            mlflow.sklearn.log_model(search.best_estimator_, name="model", pip_requirements=["scikit-learn"])
            mlflow.set_tag("best_trial", best)


X, y = load_breast_cancer(return_X_y=True)
search = OptunaSearchCV(
    Pipeline([("scale", StandardScaler()), ("svc", SVC())]),
    {
        "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
        "svc__C": FloatDistribution(1e-2, 1e3, log=True),
        "svc__gamma": FloatDistribution(1e-6, 1e0, log=True),
    },
    n_trials=int(sys.argv[1]) if len(sys.argv) > 1 else 20,
    pruner="racing",
    scoring=["roc_auc", "accuracy"],
    refit="roc_auc",
    storage="breast_cancer.db",
    study_name="svc",
    random_state=0,
    callbacks=log_trial,
)
search.fit(X, y)
log_search(search)

print(search.top_n_(3))
print("\nEvery trial and the best model are in mlflow.db. To look at them:")
print("  mlflow ui --backend-store-uri sqlite:///mlflow.db")
