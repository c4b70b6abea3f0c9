"""Many models on one data set: four searches in one file, then what can be done with them.

LightGBM, a random forest, a support vector machine and a ridge regression learn the diabetes data. Each has a space
of its own and pursues a metric of its own; all of them record all metrics on the same folds, so that they can be
compared in the end. It takes less than a minute. Every run keeps its studies in a new folder, which it names at the
end.

    python examples/many_models.py
"""

import tempfile
from pathlib import Path

from optuna.distributions import FloatDistribution, IntDistribution
from optuna.importance import get_param_importances
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.svm import SVR

from optuna_search import OptunaSearchCV, studies

try:
    from lightgbm import LGBMRegressor
except (ImportError, OSError) as error:  # the latter where a library of the system is missing
    LGBMRegressor = None
    print(f"There is no LightGBM ({error}): pip install 'lightgbm>=4.7'")
    print("scikit-learn's own gradient boosting takes its place.\n")

folder = Path(tempfile.mkdtemp(prefix="many-models-"))
file = folder / "diabetes.db"
X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)


def scale(low, high):
    """A range that is searched by its logarithm."""
    return FloatDistribution(low, high, log=True)


# --- four models, each with a space and a metric of its own --------------------------------------------------------

if LGBMRegressor is not None:
    boosting = LGBMRegressor(n_estimators=60, n_jobs=1, random_state=0, verbose=-1)
    boosting_space = {
        "learning_rate": scale(0.02, 0.5),
        "num_leaves": IntDistribution(3, 31),
        "min_child_samples": IntDistribution(5, 60),
    }
    finer_space = {"learning_rate": scale(0.005, 0.1), "boosting_type": ["gbdt", "dart"]}
else:
    boosting = HistGradientBoostingRegressor(max_iter=60, early_stopping=False, random_state=0)
    boosting_space = {
        "learning_rate": scale(0.02, 0.5),
        "max_leaf_nodes": IntDistribution(3, 31),
        "min_samples_leaf": IntDistribution(5, 60),
    }
    finer_space = {"learning_rate": scale(0.005, 0.1), "loss": ["squared_error", "absolute_error"]}

models = {
    "boosting": boosting,
    "forest": RandomForestRegressor(n_estimators=50, random_state=0),
    "svr": Pipeline([("scale", StandardScaler()), ("svr", SVR())]),
    "ridge": Pipeline([("spline", SplineTransformer()), ("ridge", Ridge())]),
}
spaces = {
    "boosting": boosting_space,
    "forest": {"max_features": FloatDistribution(0.1, 1.0), "min_samples_leaf": IntDistribution(1, 30)},
    "svr": {"svr__C": scale(1e-1, 1e3), "svr__gamma": scale(1e-4, 1e0), "svr__kernel": ["rbf", "linear"]},
    "ridge": {"ridge__alpha": scale(1e-3, 1e3), "spline__n_knots": [2, 3, 5]},
}
metrics = {
    "R2": "r2",
    "-RMSE": "neg_root_mean_squared_error",
    "-MAE": "neg_mean_absolute_error",
    "-MedAE": "neg_median_absolute_error",
}
pursued = {"boosting": "-RMSE", "forest": "R2", "svr": "-MAE", "ridge": "-MedAE"}
same = {  # whatever the model
    "scoring": metrics,
    "cv": KFold(5, shuffle=True, random_state=0),
    "storage": file,
    "n_jobs": 2,
    "random_state": 0,
}

searches = {}
for name, model in models.items():
    search = OptunaSearchCV(model, spaces[name], n_trials=20, refit=pursued[name], **same)
    searches[name] = search.fit(X_train, y_train)
names = {name: search.study_.study_name for name, search in searches.items()}

print("Four studies in one file. Nobody gave them names, so they have some of their own:\n")
print(studies.list_studies(file))

# --- one is loaded and continued with another sampler --------------------------------------------------------------

svr = OptunaSearchCV.from_study(names["svr"], file, models["svr"], spaces["svr"], refit=pursued["svr"])
print(f"\nThe support vector machine comes from the file with its {svr.n_trials_} trials, ", end="")
svr.set_params(**same, n_trials=30, sampler="qmc").fit(X_train, y_train)
print(f"and goes on to {svr.n_trials_},\nthe last of them spread evenly (QMC). The best five:\n")
print(svr.top_n_(5))

study = studies.load_study(names["svr"], file, sampler="random")  # an ordinary optuna.Study, with any sampler
importances = get_param_importances(study)
print("\nOptuna says what mattered there: " + ", ".join(f"{name} {part:.2f}" for name, part in importances.items()))

# --- the best parameters go into a model ---------------------------------------------------------------------------

best = clone(models["forest"]).set_params(**searches["forest"].top_n_[0].params)
default = models["forest"].fit(X_train, y_train).score(X_test, y_test)
print(f"\nR² of the forest on {len(y_test)} patients that no trial has seen: ", end="")
print(f"{default:.3f} by default, {best.fit(X_train, y_train).score(X_test, y_test):.3f} with its best parameters")

# --- one is forked: a finer learning rate, and one more parameter --------------------------------------------------

finer = searches["boosting"].fork(finer_space, study_name="boosting-finer", n_trials=15)
finer.fit(X_train, y_train)
print("\nBoosting gets a finer learning rate and a new parameter. What fits into the new space comes over:\n")
print(finer.fork_report_)
print()
print(finer.top_n_(5))

# --- one gets another name, and a file of its own ------------------------------------------------------------------

studies.rename_study(names["ridge"], "ridge-2026", file, new_storage=folder / "ridge-2026.db")
ridge = OptunaSearchCV.from_study("ridge-2026", folder / "ridge-2026.db", models["ridge"], refit=pursued["ridge"])
print(f"\n{names['ridge']} is now ridge-2026, in ridge-2026.db. In diabetes.db there are:\n")
print(studies.list_studies(file))

# --- and all of them are compared ----------------------------------------------------------------------------------

print("\nThe best of each by R², on the same folds:\n")
print(studies.compare(names["forest"], finer, svr, ridge, storage=file, metric="R2"))
print(f"\nAll of it is in {folder}. From the shell:\n  optuna-search list --storage {file}")
