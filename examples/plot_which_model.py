"""
Which model for the digits?
===========================

Nobody knows beforehand which model suits some data best. So the search is asked: a support vector machine, logistic
regression, or a decision tree, each with parameters of its own, in one study of 300 trials. It is kept in an SQLite
file; trials that lead nowhere end early; and two callbacks watch.
"""

# %%
# The data, and what a model does that nobody tuned
# -------------------------------------------------
# A third of the digits is put aside; no trial sees it.

import tempfile
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from optuna_search import OptunaSearchCV, callbacks, figures

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=0)
tree = DecisionTreeClassifier(random_state=0).fit(X, y)
print(f"An untuned tree: {tree.score(X_test, y_test):.3f}")

# %%
# The space
# ---------
# A function that asks for values and returns what the pipeline gets. What is asked for depends on what was answered
# before: a tree has no ``C``. Names need not be those of parameters, and the dict may hold what was not asked for.


def space(trial):
    match trial.suggest_categorical("kind", ["SVC", "logistic", "tree"]):
        case "SVC":
            return {
                "model": SVC(),
                "model__C": trial.suggest_float("SVC C", 1e-2, 1e3, log=True),
                "model__gamma": trial.suggest_float("SVC gamma", 1e-4, 1e1, log=True),
            }
        case "logistic":
            return {
                "model": LogisticRegression(max_iter=5000),
                "model__C": trial.suggest_float("logistic C", 1e-4, 1e2, log=True),
            }
        case _:
            return {
                "model": DecisionTreeClassifier(random_state=0),
                "model__max_depth": trial.suggest_int("tree depth", 2, 20),
                "model__min_samples_leaf": trial.suggest_int("tree leaf", 1, 20),
            }


# %%
# The search
# ----------
# ``pruner="racing"`` ends a trial after a fold or two, if it is unlikely to come out best. Callbacks are Optuna's:
# functions of the study and the trial that has just ended. The first one writes a line for each new best; the other one
# ends the search when 200 trials in a row were no better.


class Milestones:
    def __init__(self):
        self.best = 0.0

    def __call__(self, study, trial):
        if trial.state.name == "COMPLETE" and trial.value > self.best + 0.002:
            self.best = trial.value
            print(f"trial {trial.number:3d}: {trial.value:.4f} by {trial.params['kind']}")


folder = tempfile.TemporaryDirectory()
storage = Path(folder.name) / "digits.db"
pipe = Pipeline([("scale", MinMaxScaler()), ("model", SVC())])
search = OptunaSearchCV(
    pipe,
    space,
    n_trials=300,
    pruner="racing",
    storage=storage,
    study_name="which model",
    random_state=0,
    callbacks=[Milestones(), callbacks.NoImprovement(200)],
)
search.fit(X, y)
accuracy, best = search.score(X_test, y_test), search.best_params_["model"]
print(f"{search.n_trials_} trials, {best!r}: {accuracy:.3f} on digits that no trial has seen")
assert accuracy >= 0.98

# %%
# The leaderboard has the best trials, with the parameters that each of them had.

search.top_n_(5)

# %%
# What happened
# -------------
# Each point is a trial with one standard error up and down, and the line is the best so far. Those that were pruned
# have seen a part of the folds.

figures.history(search)

# %%
# One parameter after the other: most trials went to the support vector machine. The good ones have a ``gamma`` around
# 0.1, while ``C`` may be anything from 1 on.

figures.slices(search)

# %%
# Both together, for the trials that had them:

figures.contours(search, params=["SVC C", "SVC gamma"])

# %%
# And all of the best model's parameters side by side; a line is a trial.

figures.parallel_coordinates(search, params=["SVC C", "SVC gamma"])

# %%
# The same as a list of dicts
# ---------------------------
# Where the choice of the model is all that anything depends on, a list of dicts says the same without a function, and
# its names are those of the parameters. A trial draws one of the dicts, and then from that. ``n_fits`` is a budget in
# fits of a fold, and races by itself.

from optuna.distributions import FloatDistribution, IntDistribution

spaces = [
    {
        "model": [SVC()],
        "model__C": FloatDistribution(1e-2, 1e3, log=True),
        "model__gamma": FloatDistribution(1e-4, 1e1, log=True),
    },
    {"model": [LogisticRegression(max_iter=5000)], "model__C": FloatDistribution(1e-4, 1e2, log=True)},
    {
        "model": [DecisionTreeClassifier(random_state=0)],
        "model__max_depth": IntDistribution(2, 20),
        "model__min_samples_leaf": IntDistribution(1, 20),
    },
]
listed = OptunaSearchCV(pipe, spaces, n_fits=100, random_state=0).fit(X, y)
print(f"{listed.n_trials_} trials for 100 fits: {listed.score(X_test, y_test):.3f}")

# %%
# The study is kept
# -----------------
# With a file that stays, the same script finds its trials when it is run again, and fits only the best model. From a
# shell, ``optuna-search --storage digits.db top "which model"`` shows the leaderboard, and ``report`` writes these
# figures and more to one page.

from optuna_search import studies

print(studies.list_studies(storage))
folder.cleanup()
