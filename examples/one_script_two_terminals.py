"""One script, two terminals: a search that several processes work on, and that survives any of them.

Start it in one terminal, and while it runs start it in another: the second process helps the first. Kill one of them
in any way (Ctrl-C, kill -9, closing its terminal): the other one finishes the study. Kill both and start one again: it
goes on where they were. Once there are all the trials, starting it fits nothing but the best model.

    python examples/one_script_two_terminals.py          60 trials
    python examples/one_script_two_terminals.py 90       the same study, continued to 90

Several processes from one terminal:

    optuna-search run examples/one_script_two_terminals.py:make --workers 2
"""

import os
import sys

from optuna.distributions import FloatDistribution
from sklearn.datasets import load_digits
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV

me = f"[{os.getpid()}]"
mine = []


def tell(study, trial):
    """Say what this process has done."""
    mine.append(trial.number)
    print(f"{me} trial {trial.number}: accuracy {trial.value:.4f}", flush=True)


def make(n_trials=60):
    """Return the search and its data: what every process works on."""
    X, y = load_digits(return_X_y=True)
    model = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
    space = {
        "svc__C": FloatDistribution(1e-2, 1e3, log=True),
        "svc__gamma": FloatDistribution(1e-5, 1e0, log=True),
    }
    search = OptunaSearchCV(
        model, space, n_trials=n_trials, cv=3, storage="two_terminals.db", study_name="digits", callbacks=tell
    )
    return search, X, y


if __name__ == "__main__":
    search, X, y = make(*map(int, sys.argv[1:2]))
    print(f"{me} at work on the study 'digits' in two_terminals.db, until it has {search.n_trials} trials", flush=True)
    search.fit(X, y)
    print(f"{me} the study has its {search.n_trials_} trials; {len(mine)} of them were run here, just now")
    print(search.top_n_(3))
