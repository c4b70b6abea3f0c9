"""The small ends of forks: one that has nothing left to try, and how its report reads."""

from optuna.storages import InMemoryStorage
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV

X, y = load_iris(return_X_y=True)
GRID = {"C": [0.1, 1.0, 10.0], "kernel": ["rbf", "linear"]}


def test_a_fork_whose_every_point_came_over_ends_well_without_a_fit() -> None:
    parent = OptunaSearchCV(SVC(), GRID, storage=InMemoryStorage(), study_name="svc").fit(X, y)
    pinned = parent.fork({"kernel": ["rbf"]}, study_name="svc-rbf").fit(X, y)
    assert pinned.n_trials_ == 0
    assert len(pinned.top_n_) == len(pinned.fork_report_.carried) == 3
    assert pinned.best_params_ == {"C": 10.0, "kernel": "rbf"}
    assert pinned.score(X, y) > 0.9, "it is refitted"


def test_a_report_names_one_number_once_and_several_by_their_ends() -> None:
    parent = OptunaSearchCV(SVC(), GRID).fit(X, y)
    assert "C=0.1 (2)" in repr(parent.fork({"C": [1.0, 10.0]}).fit(X, y).fork_report_)
    assert "C=0.1 to 1 (4)" in repr(parent.fork({"C": [10.0]}).fit(X, y).fork_report_)
