"""Find the parameters of a support vector machine for handwritten digits, and keep every trial in a file.

Run it: it searches, with a progress bar, and stores each trial in digits.db. Run it again: it finds them
there and finishes at once. Stop it half-way with Ctrl-C or kill it: run again, it goes on where it was.

    python examples/digits.py          a study of 40 trials
    python examples/digits.py 80       the same study, continued to 80
"""

import os
import sys

from optuna.distributions import FloatDistribution
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV

n_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 40
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)

model = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
space = {
    "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
    "svc__C": FloatDistribution(1e-2, 1e3, log=True),
    "svc__gamma": FloatDistribution(1e-5, 1e1, log=True),
}
search = OptunaSearchCV(
    model, space, n_trials=n_trials, storage="digits.db", study_name="digits-svc", n_jobs=2, random_state=0, verbose=1
)
search.fit(X_train, y_train)

print(f"\nThe best of {search.n_trials_} trials, by accuracy over {search.n_splits_} folds:\n")
print(search.top_n_(5))

default, best = model.fit(X_train, y_train).score(X_test, y_test), search.score(X_test, y_test)
print(f"\nAccuracy on {len(y_test)} digits that no trial has seen:")
print(f"  {default:.4f}  the model with its default parameters")
print(f"  {best:.4f}  the best one found")

print("\nEvery trial is in digits.db, study 'digits-svc'. To go on searching there:")
print(f"  {os.path.relpath(sys.executable)} {sys.argv[0]} {2 * n_trials}")
