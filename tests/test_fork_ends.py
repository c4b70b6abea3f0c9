"""Small ends of forks: one with nothing left to try, how a report reads, names of studies in tables."""

from pathlib import Path

from optuna.storages import InMemoryStorage
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV, studies

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


def test_the_name_of_a_study_can_be_read_from_every_table_that_shows_it(tmp_path: Path) -> None:
    name = f"{HistGradientBoostingRegressor.__name__}-20261122-160153-fe5405"  # as a study gets one by itself
    how = {"storage": tmp_path / "s.db", "cv": 10}
    parent = OptunaSearchCV(SVC(), GRID, study_name=name, **how).fit(X, y)
    forked = parent.fork({"C": [1.0, 10.0, 100.0]}, study_name="forked").fit(X, y)
    assert repr(studies.list_studies(tmp_path / "s.db")).count(name) == 2
    assert f"{name} #2 " in repr(forked.top_n_)
    found = studies.compare(parent, forked)
    assert repr(found).count(name) == 2
    assert repr(found).count("+0.0000") == 10, "every fold has its difference"
