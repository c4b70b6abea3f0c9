"""
Leaving GridSearchCV
====================

A call of ``GridSearchCV``, and three small changes to it: the name of the class, a space instead of a grid, and a place
where trials are kept. After each, the time it took and the score it came to, measured as this page was made.
"""

# %%
# Where we come from
# ------------------
# A support vector machine on the digits, by a grid of 36 candidates in five folds.

import tempfile
import time
from pathlib import Path

from optuna.distributions import FloatDistribution
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=1 / 3, stratify=y, random_state=0)
grid = {"C": [0.01, 0.1, 1, 10, 100, 1000], "gamma": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]}


def timed(search):
    started = time.perf_counter()
    search.fit(X, y)
    seconds, held_out = time.perf_counter() - started, search.score(X_test, y_test)
    print(f"{seconds:5.1f} s, best mean score {search.best_score_:.4f}, held out {held_out:.4f}")
    return search


old = timed(GridSearchCV(SVC(), grid))

# %%
# First change: the name
# ----------------------
# The same candidates in the same order, the same scores to the last bit, and the same time but for a few milliseconds a
# candidate. Nothing else has to be learned for that: whatever reads ``cv_results_`` goes on reading it.

new = timed(OptunaSearchCV(SVC(), grid))
same = new.cv_results_["mean_test_score"] == old.cv_results_["mean_test_score"]
print(f"the same mean scores: {same.all()}, best parameters: {new.best_params_ == old.best_params_}")

# %%
# Second change: a space and a budget
# -----------------------------------
# Ranges instead of values, and a budget of 60 fits instead of 180. A sampler learns where good candidates are, and most
# are seen on a fold or two only: twice as many of them as 60 fits would give five folds each.

space = {
    "C": FloatDistribution(1e-2, 1e3, log=True),
    "gamma": FloatDistribution(1e-6, 1e-1, log=True),
}
wide = timed(OptunaSearchCV(SVC(), space, n_fits=60, random_state=0))
print(f"{wide.n_trials_} candidates; {wide.best_params_}")

# %%
# Third change: a place
# ---------------------
# With a file and a name every finished trial is kept. Here is the search, and then the same once more, as after a crash
# or the next morning: it finds what it has, fits the best model, and is done.

folder = tempfile.TemporaryDirectory()
kept = {"storage": Path(folder.name) / "searches.db", "study_name": "digits"}
first = timed(OptunaSearchCV(SVC(), space, n_fits=60, random_state=0, **kept))
again = timed(OptunaSearchCV(SVC(), space, n_fits=60, random_state=0, **kept))
print(f"the same best parameters: {again.best_params_ == first.best_params_}")

# %%
# It goes on with a larger budget, and nothing is fitted twice.

more = timed(OptunaSearchCV(SVC(), space, n_fits=90, random_state=0, **kept))
more.top_n_(3)

# %%
# The file was for this page only.

folder.cleanup()
