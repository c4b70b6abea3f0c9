"""A named study is continued by whoever measures the same, and refused to whoever measures anything else."""

import contextlib
import functools
import logging
import os
import re
import sys
import threading
import time
import tracemalloc
import warnings

import joblib
import numpy as np
import optuna
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import scipy.stats
import sklearn
from estimators import CountsFits, KnownScore, high, low, two_scores
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import CmaEsSampler, GridSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from processes import in_another_process
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from test_storage import (
    assert_same_results,
    everything_in,
    kept_in,  # noqa: F401 - a fixture
    record_of,
    search,
)

from optuna_search import OptunaSearchCV, named
from optuna_search._fingerprint import describe_data
from optuna_search.exceptions import NoResultError, StudyMismatchError, VersionWarning

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
GROUPS = np.arange(12) // 2
WEIGHTS = np.linspace(1, 2, 12)
SPACE = {"x": FloatDistribution(0, 6)}


def fits(path):
    """How many fits a file of `CountsFits` has counted."""
    return len(path.read_text().splitlines()) if path.exists() else 0


# --- how much ---------------------------------------------------------------------------------------------------------


class TestATotal:
    def test_a_study_is_continued_to_a_total(self, kept_in, tmp_path):  # noqa: F811
        made = search(estimator=CountsFits(str(tmp_path / "fits")), storage=kept_in, study_name="s", n_trials=4)
        first = made.fit(X, Y).cv_results_
        assert fits(tmp_path / "fits") == 4 * 2 + 1
        second = made.set_params(n_trials=7).fit(X, Y)
        assert fits(tmp_path / "fits") == (4 * 2 + 1) + (3 * 2 + 1)
        assert second.n_trials_ == len(second.cv_results_["params"]) == len(second.study_.trials) == 7
        assert_same_results({key: column[:4] for key, column in second.cv_results_.items() if "rank" not in key},
                            {key: column for key, column in first.items() if "rank" not in key})  # fmt: skip

    def test_once_more_runs_no_trial_and_refits(self, kept_in, tmp_path):  # noqa: F811
        how = {"storage": kept_in, "study_name": "s", "n_trials": 4}
        first = search(estimator=CountsFits(str(tmp_path / "fits")), **how).fit(X, Y)
        (tmp_path / "fits").unlink()
        again = search(estimator=CountsFits(str(tmp_path / "fits")), **how).fit(X, Y)
        assert (tmp_path / "fits").read_text().split()[0] == repr(first.best_params_["x"])
        assert fits(tmp_path / "fits") == 1
        assert_same_results(again.cv_results_, first.cv_results_)
        assert again.best_params_ == first.best_params_
        assert again.best_estimator_.x == first.best_estimator_.x

    def test_a_smaller_total_keeps_all_there_is(self):
        storage = InMemoryStorage()
        search(storage=storage, study_name="s", n_trials=5).fit(X, Y)
        assert search(storage=storage, study_name="s", n_trials=2).fit(X, Y).n_trials_ == 5

    def test_fitting_again_is_continuing_only_with_a_name(self):
        made = search(storage=InMemoryStorage(), study_name="s")
        assert made.fit(X, Y).fit(X, Y).n_trials_ == 3
        assert len(optuna.get_all_study_names(made.storage)) == 1
        made.set_params(study_name=None).fit(X, Y)
        assert len(optuna.get_all_study_names(made.storage)) == 2

    def test_failed_trials_count(self, tmp_path):
        storage = InMemoryStorage()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for n_trials in (3, 6):
                made = search({"x": [2, 3, 4, 5, 6, 7]}, n_trials=n_trials, storage=storage, study_name="s")
                fitted = made.set_params(estimator=FailsAbove(), sampler="grid").fit(X, Y)
                assert fitted.n_trials_ == n_trials
        assert list(fitted.cv_results_["trial_state"]) == ["COMPLETE"] * 3 + ["FAIL"] * 3

    def test_a_grid_is_finished_in_its_order(self, kept_in, tmp_path):  # noqa: F811
        grid = {"x": [3, 1, 2], "peak": [1.0, 5.0]}
        counted = CountsFits(str(tmp_path / "fits"))
        how = {"sampler": "grid", "storage": kept_in, "study_name": "s", "n_trials": None}
        grid = {"x": [3, 1, 2, 1, 5]}
        search(grid, counted, **how | {"n_trials": 2}).fit(X, Y)
        fitted = search(grid, counted, **how).fit(X, Y)
        assert [params["x"] for params in fitted.cv_results_["params"]] == grid["x"]
        assert fits(tmp_path / "fits") == 2 * 4 + 2  # a candidate that is written twice is fitted once

    def test_a_finite_space_ends_whatever_the_total(self):
        storage = InMemoryStorage()
        space = {"x": IntDistribution(0, 6)}
        for n_trials in (3, 50):
            fitted = search(space, storage=storage, study_name="s", n_trials=n_trials, sampler="tpe").fit(X, Y)
        assert sorted(params["x"] for params in fitted.cv_results_["params"]) == list(range(7))


class FailsAbove(KnownScore):
    """Cannot be fitted with an `x` above 4."""

    def fit(self, X, y=None):
        if self.x > 4:
            raise ValueError(f"x={self.x} is too much")
        return super().fit(X, y)


class TestOtherBudgets:
    def test_fits_are_a_total_as_well(self, kept_in, tmp_path):  # noqa: F811
        counted = CountsFits(str(tmp_path / "fits"))
        how = {"storage": kept_in, "study_name": "s", "n_trials": None, "refit": False}
        for n_fits, n_trials in ((6, 3), (6, 3), (9, 5), (4, 5)):  # a trial in the air is finished
            fitted = search(estimator=counted, n_fits=n_fits, **how).fit(X, Y)
            assert fitted.n_trials_ == n_trials
            assert fits(tmp_path / "fits") == n_trials * 2

    @pytest.mark.parametrize(("n_trials", "n_fits", "expected"), [(10, 6, 3), (2, 100, 2)])
    def test_the_first_budget_that_is_reached_ends_the_search(self, n_trials, n_fits, expected):
        assert search(n_trials=n_trials, n_fits=n_fits).fit(X, Y).n_trials_ == expected

    def test_a_timeout_ends_between_folds_and_the_study_goes_on_later(self, kept_in, monkeypatch):  # noqa: F811
        clock = Clock(monkeypatch)
        estimator = TakesTime()
        how = {"storage": kept_in, "study_name": "s", "n_trials": 6}
        clock.jump_at = 3 * 2 + 1  # in the first fold of the fourth trial
        first = search(estimator=estimator, timeout=1000, **how).fit(X, Y)
        assert first.n_trials_ == len(first.cv_results_["params"]) == 3
        *_, stopped = first.study_.trials
        assert stopped.state == TrialState.FAIL
        assert stopped.user_attrs["failure"] == "stopped before its last fold"
        assert first.best_params_ == first.study_.best_params
        second = search(estimator=estimator, timeout=1000, **how).fit(X, Y)
        assert second.n_trials_ == 6
        assert list(second.cv_results_["trial_number"]) == [0, 1, 2, 4, 5, 6]
        assert second.study_.trials[3] == stopped

    def test_a_timeout_before_the_first_trial_ends_is_a_clear_error(self, monkeypatch):
        Clock(monkeypatch).jump_at = 1
        with pytest.raises(NoResultError, match=r"Not one trial was finished before .*\(timeout=1000\); give it more"):
            search(estimator=TakesTime(), timeout=1000).fit(X, Y)

    def test_the_whole_time_is_meant_and_not_that_of_one_run(self, monkeypatch):
        clock = Clock(monkeypatch)
        storage = InMemoryStorage()
        for total in (2, 4):
            clock.jump_at = 2 * 2 + 1
            made = search(estimator=TakesTime(), storage=storage, study_name="s", n_trials=50, timeout=1000)
            assert made.fit(X, Y).n_trials_ == total


class Clock:
    """A clock that jumps ahead in a certain fit of `TakesTime`."""

    current = None

    def __init__(self, monkeypatch):
        self.jump_at, self.fits, self.ahead = 0, 0, 0.0
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + self.ahead)
        monkeypatch.setattr(Clock, "current", self)

    def fit(self):
        self.fits += 1
        if self.fits == self.jump_at:
            self.fits = self.jump_at = 0
            self.ahead += 10_000


class TakesTime(KnownScore):
    """Tells the clock of each fit."""

    def fit(self, X, y=None):
        Clock.current.fit()
        return super().fit(X, y)


# --- the draws of a continued search ----------------------------------------------------------------------------------


def seen(space, sampler, totals, **how):
    """The parameters of every trial of a study that is continued to each of the totals, in this order."""
    storage = InMemoryStorage()
    for n_trials in totals:
        made = search(space, storage=storage, study_name="s", n_trials=n_trials, sampler=sampler, **how)
        fitted = made.fit(X, Y)
    return fitted.cv_results_["params"]


TWO = {"x": FloatDistribution(0, 6), "peak": FloatDistribution(0, 6)}


class TestDraws:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: "random",
            lambda: "tpe",
            lambda: "qmc",
            lambda: "cmaes",
            lambda: "nsgaii",
            lambda: RandomSampler(seed=7),
            lambda: TPESampler(seed=7),
            lambda: QMCSampler(seed=7, scramble=True),
            lambda: QMCSampler(seed=7),
            lambda: CmaEsSampler(seed=7),
            lambda: NSGAIISampler(seed=7),
        ],
        ids=["random", "tpe", "qmc", "cmaes", "nsgaii",
             "RandomSampler", "TPESampler", "QMCSampler scrambled", "QMCSampler", "CmaEsSampler", "NSGAIISampler"],
    )  # fmt: skip
    @pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
    def test_a_continued_search_does_not_draw_the_numbers_of_its_first_part_again(self, make):
        storage, sampler, parts = InMemoryStorage(), make(), []
        for n_trials in (5, 10, 15):
            fitted = search(TWO, storage=storage, study_name="s", n_trials=n_trials, sampler=sampler).fit(X, Y)
            parts.append({item for trial in fitted.study_.trials[-5:] for item in trial.params.items()})
        assert len(parts[0]) > 5
        assert not parts[0] & parts[1]
        assert not parts[1] & parts[2]
        assert not parts[0] & parts[2]

    @pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "cmaes", "nsgaii"])
    def test_with_a_seed_two_continued_searches_are_the_same(self, sampler):
        assert seen(TWO, sampler, (4, 8)) == seen(TWO, sampler, (4, 8))

    def test_another_seed_draws_other_numbers(self):
        first, second = (seen(TWO, "random", (3, 6), random_state=seed) for seed in (1, 2))
        assert not {p["x"] for p in first} & {p["x"] for p in second}

    def test_a_given_sampler_is_never_changed(self):
        sampler = RandomSampler(seed=7)
        expected = RandomSampler(seed=7)._rng.rng.get_state()[1].tolist()
        seen(TWO, sampler, (4, 8))
        assert sampler._rng.rng.get_state()[1].tolist() == expected

    def test_lists_are_drawn_from_without_replacement_across_runs(self):
        grid = {"x": list(range(6)), "peak": list(range(5))}
        tried = seen(grid, "random", (7, 11, 20, 30))
        assert len(tried) == 30
        assert len({(p["x"], p["peak"]) for p in tried}) == 30

    @pytest.mark.parametrize("sampler", ["tpe", "random", "brute-force"])
    def test_no_candidate_is_tried_twice_in_a_study(self, sampler):
        space = {"x": IntDistribution(0, 4), "peak": IntDistribution(0, 3)}
        tried = seen(space, sampler, (6, 12, 20, 40))
        assert len(tried) == len({(p["x"], p["peak"]) for p in tried}) == 20

    def test_the_points_to_try_first_are_tried_first_also_by_the_next_run(self):
        first = [{"x": 1.5, "peak": 2.5}, {"x": 2.5, "peak": 3.5}, {"x": 3.5, "peak": 4.5}]
        tried = seen(TWO, "random", (1, 2, 5), initial_params=first)
        assert tried[:3] == first
        assert len(tried) == 5

    def test_the_sampler_learns_from_what_it_finds_there(self):
        asked = []

        class Learns(RandomSampler):
            def infer_relative_search_space(self, study, trial):
                asked.append([t.params for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE])
                return {}

        storage = InMemoryStorage()
        first = search(TWO, storage=storage, study_name="s", n_trials=4).fit(X, Y)
        search(TWO, storage=storage, study_name="s", n_trials=5, sampler=Learns()).fit(X, Y)
        assert asked == [first.cv_results_["params"]]


# --- no false alarm ---------------------------------------------------------------------------------------------------


class Counted(KnownScore):
    """Notes each fit in a file, takes weights, and has a parameter that no search changes."""

    def __init__(self, path, x=0.0, fixed=1, other=None):
        self.path = path
        self.x = x
        self.fixed = fixed
        self.other = other

    def fit(self, X, y=None, sample_weight=None):
        with open(self.path, "a") as file:
            file.write("a fit\n")
        return super().fit(X, y)

    def score(self, X, y=None, sample_weight=None):
        return -abs(self.x - 3.0)


class AlsoCounted(Counted):
    """The same by another name."""


class Base:
    """A study in an SQLite file, and how it was measured."""

    def __init__(self, folder):
        self.path = folder / "s.db"
        self.fits = folder / "fits"
        self.search = OptunaSearchCV(
            Counted(str(self.fits)),
            SPACE,
            n_trials=3,
            cv=GroupKFold(3),
            sampler="random",
            storage=self.path,
            study_name="s",
            random_state=0,
        )
        self.data = {"X": X, "y": Y, "groups": GROUPS, "sample_weight": WEIGHTS}
        self.first = self.fit()

    def fit(self, data=None, **changes):
        """Fit the search with some things changed."""
        made = clone(self.search)
        made.set_params(**changes)
        return made.fit(**{name: value for name, value in (self.data | (data or {})).items() if value is not None})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return Base(tmp_path_factory.mktemp("base"))


SPLITS = list(GroupKFold(3).split(X, Y, GROUPS))

#: What may differ between two runs of one study.
OUTSIDE = {
    "data in Fortran order": {"data": {"X": np.asfortranarray(X)}},
    "a view of larger data": {"data": {"X": np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]}},
    "a copy of everything": {
        "data": {"X": X.copy(), "y": Y.copy(), "groups": GROUPS.copy(), "sample_weight": WEIGHTS.copy()}
    },
    "y and groups as lists": {"data": {"y": Y.tolist(), "groups": GROUPS.tolist()}},
    "y as a series": {"data": {"y": pd.Series(Y, index=np.arange(12)[::-1])}},
    "the same splits as a list": {"cv": SPLITS},
    "the same splits from a generator": {"cv": iter(SPLITS)},
    "n_jobs": {"n_jobs": 2},
    "verbose": {"verbose": 2},
    "timeout": {"timeout": 1000},
    "n_trials": {"n_trials": 2},
    "n_fits": {"n_fits": 1, "n_trials": None},
    "a sampler by name": {"sampler": "tpe"},
    "a sampler of Optuna's": {"sampler": RandomSampler(seed=3)},
    "callbacks": {"callbacks": [lambda study, trial: None]},
    "refit": {"refit": False},
    "random_state": {"random_state": 7},
    "return_train_score": {"return_train_score": True},
    "pre_dispatch": {"pre_dispatch": "all"},
    "initial_params": {"initial_params": [{"x": 1.0}]},
    "the estimator's own value of what is searched": {"estimator__x": 5.0},
    "the space by its other name": {"param_distributions": None, "param_grid": SPACE},
    "a range of scipy": {"param_distributions": {"x": scipy.stats.uniform(0, 6)}},
    "a range written in another way": {"param_distributions": {"x": FloatDistribution(0.0, 6.0, log=False)}},
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_no_false_alarm_for(what, base):
    before = fits(base.fits)
    fitted = base.fit(**OUTSIDE[what])
    assert fits(base.fits) == before + (what != "refit")
    assert fitted.n_trials_ == 3
    assert fitted.cv_results_["params"] == base.first.cv_results_["params"]
    np.testing.assert_array_equal(fitted.cv_results_["mean_test_score"], base.first.cv_results_["mean_test_score"])


def test_train_scores_of_trials_without_them_are_missing(base):
    fitted = base.fit(return_train_score=True)
    assert np.isnan(fitted.cv_results_["mean_train_score"]).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"error_score": 0}, {"error_score": 0.0}),
        ({"error_score": np.nan}, {"error_score": float("nan")}),
        ({"scoring": ["accuracy", "f1"], "refit": "f1"}, {"scoring": ("f1", "accuracy"), "refit": "f1"}),
        (
            {"scoring": {"a": "accuracy", "f": "f1"}, "refit": "f"},
            {"scoring": {"f": "f1", "a": "accuracy"}, "refit": "f"},
        ),
        (
            {"estimator": KnownScore(choice=np.random.RandomState(3))},
            {"estimator": KnownScore(choice=np.random.RandomState(3))},
        ),
        ({"estimator": KnownScore(peak=np.float64(2))}, {"estimator": KnownScore(peak=2.0)}),
        ({"estimator": KnownScore(choice={"a", "b", "c"})}, {"estimator": KnownScore(choice={"c", "b", "a"})}),
    ],
    ids=["zero", "NaN", "metrics", "metrics by name", "a generator in one state", "a NumPy number", "a set"],
)
@pytest.mark.filterwarnings("ignore:F-score is ill-defined")
def test_no_false_alarm_for_the_same_in_other_words(one, other):
    storage = InMemoryStorage()
    for how in (one, other):
        assert search(storage=storage, study_name="s", **how).fit(X, Y).n_trials_ == 3


def double(x):
    return 2 * x


REORDERED = {
    "choices": ({"choice": [1, "a", None, 2.5]}, {"choice": ["a", 2.5, 1, None]}),
    "choices of another kind of sequence": ({"x": [1, 2, 3]}, {"x": (3, 1, 2)}),
    "a range of choices": ({"x": [0, 1, 2]}, {"x": range(3)}),
    "choices as a distribution": (
        {"choice": ["a", "b"]},
        {"choice": optuna.distributions.CategoricalDistribution(["b", "a"])},
    ),
    "objects": (
        {"choice": [StandardScaler(), MinMaxScaler(), double, (1, 2)]},
        {"choice": [(1, 2), double, MinMaxScaler(), StandardScaler()]},
    ),
    "names": ({"choice": named({"f": double, "g": len})}, {"choice": named({"g": len, "f": double})}),
    "parameters": ({"x": [1, 2], "choice": [1, 2]}, {"choice": [1, 2], "x": [1, 2]}),
    "dicts": ([{"x": [1, 2]}, {"choice": ["a"]}, {}], [{}, {"choice": ["a"]}, {"x": [2, 1]}]),
    "dicts of the same parameters": (
        [{"x": [1, 2]}, {"x": [3, 4]}, {"x": [5], "choice": ["a"]}],
        [{"x": [5], "choice": ["a"]}, {"x": [4, 3]}, {"x": [1, 2]}],
    ),
    "sets": ({"choice": [{"a", "b", "c"}, frozenset("xyz")]}, {"choice": [frozenset("zyx"), {"c", "b", "a"}]}),
}


@pytest.mark.parametrize("what", REORDERED)
def test_no_false_alarm_for_another_order_of(what):
    storage = InMemoryStorage()
    one, other = REORDERED[what]
    first = search(one, storage=storage, study_name="s", n_trials=2).fit(X, Y)
    again = search(other, storage=storage, study_name="s", n_trials=2).fit(X, Y)
    assert_same_results(again.cv_results_, first.cv_results_)
    whole = search(other, storage=storage, study_name="s", sampler="grid", n_trials=None).fit(X, Y)
    assert whole.n_trials_ == search(one, sampler="grid", n_trials=None).fit(X, Y).n_trials_
    assert len({str(params) for params in whole.cv_results_["params"]}) == whole.n_trials_


def test_no_false_alarm_for_choices_in_an_array():
    storage = InMemoryStorage()
    for choices in ([1, 2, 3], np.array([3, 1, 2]), [np.int64(2), np.int8(3), 1]):
        fitted = search({"x": choices}, storage=storage, study_name="s").fit(X, Y)
        assert sorted(params["x"] for params in fitted.cv_results_["params"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("given", "equal"),
    [
        (None, 5),
        (3, StratifiedKFold(3)),
        (StratifiedKFold(3, shuffle=True, random_state=1), StratifiedKFold(3, shuffle=True, random_state=1)),
    ],
    ids=["default", "number", "shuffled with a seed"],
)
def test_no_false_alarm_for_another_spelling_of_cv(given, equal):
    storage = InMemoryStorage()
    for cv in (given, equal):
        assert search(storage=storage, study_name="s", cv=cv).fit(X, Y).n_trials_ == 3


def frame(**changes):
    """A table with columns of many types."""
    columns = {
        "number": np.linspace(0, 1, 12),
        "whole": np.arange(12),
        "text": ["a", "b", None] * 4,
        "kind": pd.Categorical(["u", "v", "w"] * 4),
        "day": pd.date_range("2026-01-01", periods=12),
        "mixed": [1, "1", 1.0, None] * 3,
        "truth": [True, False] * 6,
    } | changes
    return pd.DataFrame(columns)


class IgnoresData(KnownScore):
    """Takes any data whatever."""

    def fit(self, X, y=None):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y=None):
        return -abs(self.x - 3.0)


TABLES = {
    "pandas": frame,
    "polars": lambda: pl.DataFrame({"a": np.arange(12.0), "b": ["x", "y", None] * 4}),
    "sparse": lambda: sp.csr_matrix(np.eye(12, 5)),
    "texts": lambda: ["one text", "and another"] * 6,
    "ragged lists": lambda: [[1], [1, 2], [1, 2, 3]] * 4,
    "objects": lambda: np.array([None, "a", 1.5, (1, 2)] * 3, dtype=object).reshape(12, 1),
    "dates": lambda: np.arange("2026-01-01", "2026-01-13", dtype="datetime64[D]").reshape(12, 1),
    "missing values": lambda: np.where(np.eye(12, 3), np.nan, 1.0),
    "a nullable column": lambda: pd.DataFrame({"a": pd.array([1, None, 3] * 4, dtype="Int64")}),
    "columns of one name": lambda: pd.DataFrame(np.arange(24).reshape(12, 2), columns=["a", "a"]),
    "more than a hundred columns": lambda: pd.DataFrame(np.arange(12 * 150).reshape(12, 150)),
}


@pytest.mark.parametrize("kind", TABLES)
def test_no_false_alarm_for_an_equal_copy_of(kind):
    storage = InMemoryStorage()
    for _ in range(2):
        search(estimator=IgnoresData(), storage=storage, study_name="s").fit(TABLES[kind](), Y)


def test_no_false_alarm_for_a_frame_that_was_put_together_in_another_way():
    storage = InMemoryStorage()
    first = frame()
    other = pd.concat([first.iloc[:5], first.iloc[5:]])
    other.insert(0, "late", 0)
    for table in (first, other.drop(columns="late"), first.set_axis(range(100, 112))):
        search(estimator=IgnoresData(), storage=storage, study_name="s").fit(table, Y)


@pytest.mark.parametrize("form", ["csc", "coo", "lil"])
def test_no_false_alarm_for_another_form_of_a_sparse_matrix(form):
    storage = InMemoryStorage()
    matrix = sp.random(12, 6, density=0.4, random_state=0, format="csr")
    unsorted = matrix.copy()
    unsorted.indices[: unsorted.indptr[1]] = unsorted.indices[: unsorted.indptr[1]][::-1]
    unsorted.data[: unsorted.indptr[1]] = unsorted.data[: unsorted.indptr[1]][::-1]
    unsorted.has_sorted_indices = False
    before = unsorted.indices.copy()
    for same in (matrix, unsorted, matrix.asformat("csr" if form == "coo" else form)):
        search(estimator=IgnoresData(), storage=storage, study_name="s").fit(same, Y)
    np.testing.assert_array_equal(unsorted.indices, before)  # the caller's matrix stays as it is


def shared_by_processes(path, n_trials):
    """Continue a study over everything whose description could depend on the process."""

    def by_trial(trial, also=frozenset("pqr")):
        return {"choice": trial.suggest_categorical("c", [{"x", "y", "z"}, len, double, StandardScaler()]), "x": 2.0}

    scoring = {"own": high, "made": make_scorer(accuracy_score), "lambda": lambda estimator, X, y: 1.0}
    estimator = Pipeline([("pass", FunctionTransformer(as_it_is)), ("clf", IgnoresData(peak=frozenset("hgfedcba")))])
    fitted = {}
    for name, space in (("function", by_trial), ("dict", {"clf__choice": [{"x", "y", "z"}, len, double, None]})):
        if name == "function":
            made = search(space, IgnoresData(peak=1.0), scoring=scoring, refit="own")
        else:
            made = search(space, estimator)
        made.set_params(storage=path, study_name=name, n_trials=n_trials)
        fitted[name] = made.fit(frame(), ["yes", "no"] * 6)
    return fitted


def as_it_is(X):
    return X


def test_no_false_alarm_in_another_process(tmp_path):
    first = shared_by_processes(tmp_path / "s.db", 2)
    code = "import sys, test_continue; test_continue.shared_by_processes(sys.argv[1], 4)"
    in_another_process(code, tmp_path / "s.db", PYTHONHASHSEED="1")
    after = shared_by_processes(tmp_path / "s.db", 4)
    for name, fitted in after.items():
        assert fitted.n_trials_ == 4
        assert str(fitted.cv_results_["params"][:2]) == str(first[name].cv_results_["params"])


# --- nothing is mixed -------------------------------------------------------------------------------------------------


def with_value(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed


def weighted(estimator, X, y, sample_weight=None):
    return -estimator.x


#: What a study was measured on: a change, and how the difference reads.
INSIDE = {
    "a value of X": (
        {"data": {"X": with_value(X, (3, 1), 7.5)}},
        [r"X\.values: the study has \w{16}, given is \w{16}"],
    ),
    "the smallest change of X": ({"data": {"X": with_value(X, (3, 1), np.nextafter(7, 8))}}, [r"X\.values: .*"]),
    "the order of the samples": ({"data": {"X": X[::-1]}}, [r"X\.values: .*"]),
    "dtype of X": (
        {"data": {"X": X.astype(np.float32)}},
        [r"X\.dtype: the study has float64, given is float32", r"X\.values: .*"],
    ),
    "shape of X": (
        {"data": {"X": X[:, :1]}},
        [r"X\.shape: the study has \[12, 2\], given is \[12, 1\]", r"X\.values: .*"],
    ),
    "a frame with the same values": (
        {"data": {"X": pd.DataFrame(X, columns=["a", "b"])}},
        [r"X\.dtype: the study has float64, given is nothing", r"X\.values: .*", r"X\.columns: .*", r"X\.order: .*"],
    ),
    "y": ({"data": {"y": 1 - Y}}, [r"y\.values: the study has \w{16}, given is \w{16}"]),
    "names of the classes": (
        {"data": {"y": np.array(["no", "yes"])[Y]}},
        [r"y\.dtype: the study has int64, given is .*", r"y\.values: .*"],
    ),
    "no y": ({"data": {"y": None}}, [r"y.*"]),
    "groups": ({"data": {"groups": GROUPS[::-1]}}, [r"metadata\.split\.groups\.values: .*"]),
    "sample_weight": (
        {"data": {"sample_weight": WEIGHTS[::-1]}},
        [r"metadata\.fit\.sample_weight\.values: the study has \w{16}, given is \w{16}"],
    ),
    "no sample_weight": (
        {"data": {"sample_weight": None}},
        [r"metadata\.fit\.sample_weight: the study has \{.*\}, given is nothing"],
    ),
    "number of folds": (
        {"cv": GroupKFold(2)},
        [r"splits\.folds: the study has 3, given is 2", r"splits\.indices: .*"],
    ),
    "the folds": ({"cv": SPLITS[::-1]}, [r"splits\.indices: the study has \w{16}, given is \w{16}"]),
    "scoring": ({"scoring": "accuracy"}, [r"scoring: the study has the estimator's own score, given is accuracy"]),
    "scoring by a function": (
        {"scoring": weighted},
        [r"scoring: the study has .*, given is <function test_continue\.weighted> #\w{8}"],
    ),
    "several metrics": (
        {"scoring": ["accuracy", "f1"], "refit": "f1"},
        [r"scoring: the study has .*, given is \{.*\}", r"objective: the study has score, given is f1"],
    ),
    "error_score": ({"error_score": 0}, [r"error_score: the study has nan, given is 0\.0"]),
    "error_score raises": ({"error_score": "raise"}, [r"error_score: the study has nan, given is raise"]),
    "a fixed parameter": ({"estimator__fixed": 2}, [r"estimator\.fixed: the study has 1, given is 2"]),
    "the type of a fixed parameter": (
        {"estimator__fixed": True},
        [r"estimator\.fixed: the study has 1, given is True"],
    ),
    "a fixed parameter that is a function": (
        {"estimator__other": double},
        [r"estimator\.other: the study has None, given is <function test_continue\.double> #\w{8}"],
    ),
    "a fixed parameter that is a large array": (
        {"estimator__other": np.arange(1000)},
        [r"estimator\.other: the study has None, given is array\(shape=\(1000,\), dtype=int64, #\w+\)"],
    ),
    "a range": (
        {"param_distributions": {"x": FloatDistribution(0, 7)}},
        [r"space\.x: the study has numbers from 0\.0 to 6\.0, given is numbers from 0\.0 to 7\.0"],
    ),
    "the scale of a range": (
        {"param_distributions": {"x": FloatDistribution(1e-9, 6, log=True)}},
        [r"space\.x: the study has .*, given is numbers from 1e-09 to 6\.0, log"],
    ),
    "whole numbers": (
        {"param_distributions": {"x": IntDistribution(0, 6)}},
        [r"space\.x: .* whole numbers from 0 to 6"],
    ),
    "choices": ({"param_distributions": {"x": [0, 6]}}, [r"space\.x: .*, given is one of \[0, 6\]"]),
    "one more parameter": (
        {"param_distributions": SPACE | {"other": [1, 2]}},
        # What is searched is no longer fixed.
        [
            r"estimator\.other: the study has None, given is nothing",
            r"space\.other: the study has nothing, given is one of \[1, 2\]",
        ],
    ),
    "a list of dicts": ({"param_distributions": [SPACE, {"x": [9]}]}, [r"space\.x: .*", r".*"]),
}


class TestMismatch:
    @pytest.mark.parametrize("what", INSIDE)
    def test_is_told_in_readable_lines(self, what, base):
        changes, expected = INSIDE[what]
        before, stored = fits(base.fits), everything_in(base.path)
        text = r"^study_name='s' was measured on something else, and scores are never mixed:\n  - "
        with pytest.raises(StudyMismatchError, match=text) as raised:
            base.fit(**changes)
        lines = raised.value.differences
        for line in expected:
            assert any(re.fullmatch(line, found) for found in lines), lines
        assert all(f"\n  - {line}\n" in str(raised.value) for line in lines)
        assert "Give another study_name" in str(raised.value)
        assert fits(base.fits) == before, "something was fitted"
        assert everything_in(base.path) == stored, "something was written"
        if what in ("a value of X", "y", "error_score", "a fixed parameter", "scoring", "a range"):
            assert len(lines) == len(expected), "there are differences where nothing differs"

    def test_of_the_class_of_the_estimator(self, base):
        other = AlsoCounted(str(base.fits))
        expected = r"estimator\.class: the study has test_continue\.Counted, given is test_continue\.AlsoCounted"
        with pytest.raises(StudyMismatchError, match=expected):
            base.fit(estimator=other)

    def test_is_advised_upon(self, base):
        with pytest.raises(StudyMismatchError, match=r"To go on in another space with what is known, fork the study"):
            base.fit(param_distributions={"x": FloatDistribution(0, 9)})
        with pytest.raises(StudyMismatchError, match=r"If the splitter shuffles, give it a random_state"):
            base.fit(cv=SPLITS[::-1])
        with pytest.raises(StudyMismatchError, match=r"A name with \{data\} in it, as in study_name='svc-\{data\}'"):
            base.fit(data={"X": X + 1})

    def test_names_everything_at_once(self, base):
        with pytest.raises(StudyMismatchError) as raised:
            base.fit(data={"X": X + 1, "y": 1 - Y}, scoring="accuracy", error_score=0, estimator__fixed=2)
        parts = {line.partition(":")[0].partition(".")[0] for line in raised.value.differences}
        assert parts == {"X", "y", "scoring", "error_score", "estimator"}

    def test_leaves_the_study_to_whoever_measures_the_same(self, base):
        with pytest.raises(StudyMismatchError):
            base.fit(error_score=0)
        assert base.fit().n_trials_ == 3


def mismatch(one, other, expected, *, X=X, y=Y):
    """Assert that the second search is refused the study of the first."""
    storage = InMemoryStorage()
    one.set_params(storage=storage, study_name="s").fit(X, y)
    with pytest.raises(StudyMismatchError, match=expected):
        other.set_params(storage=storage, study_name="s").fit(X, y)
    assert len(one.study_.trials) == one.n_trials_


PIPE = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
LOGISTIC = {"clf__C": FloatDistribution(0.1, 10)}


#: A change inside PIPE, and how the difference reads.
INSIDE_PIPE = {
    "of the last step": (clone(PIPE).set_params(clf__tol=0.5), r"clf__tol: the study has 0\.0001, given is 0\.5"),
    "of the first step": (
        clone(PIPE).set_params(scale__with_mean=False),
        r"scale__with_mean: the study has True, given is False",
    ),
    "a step": (
        clone(PIPE).set_params(scale=MinMaxScaler()),
        r"scale: the study has sklearn\.preprocessing\.StandardScaler, given is sklearn\.preprocessing\.MinMaxScaler",
    ),
    "a step left out": (
        clone(PIPE).set_params(scale="passthrough"),
        r"scale: the study has sklearn\.preprocessing\.StandardScaler, given is passthrough",
    ),
    "a step less": (Pipeline(PIPE.steps[1:]), r"steps: the study has \[scale, clf\], given is \[clf\]"),
    "the name of a step": (
        Pipeline([("norm", StandardScaler()), PIPE.steps[1]]),
        r"norm__with_mean: the study has nothing, given is True",
    ),
}


@pytest.mark.parametrize("what", INSIDE_PIPE)
def test_a_fixed_parameter_inside_a_pipeline_is_part_of_the_study(what):
    changed, expected = INSIDE_PIPE[what]
    mismatch(search(LOGISTIC, PIPE), search(LOGISTIC, changed), rf"estimator\.{expected}")


@pytest.mark.parametrize("other", [StandardScaler(with_mean=False), MinMaxScaler(), "passthrough"], ids=str)
def test_what_stands_in_a_searched_step_is_not(other):
    storage = InMemoryStorage()
    space = {"scale": [StandardScaler(), MinMaxScaler()], "clf__C": [1, 10]}
    for scaler in (StandardScaler(), other):
        model = clone(PIPE).set_params(scale=scaler, clf__C=7)
        fitted = search(space, model, storage=storage, study_name="s").fit(X, Y)
    assert fitted.n_trials_ == 3


def test_a_step_that_only_some_dicts_search_is_part_of_the_study():
    space = [{"scale": ["passthrough"], "clf__C": [1]}, {"clf__C": [1, 10]}]
    changed = clone(PIPE).set_params(scale__with_mean=False)
    expected = r"estimator\.scale__with_mean: the study has True, given is False"
    mismatch(search(space, PIPE), search(space, changed), expected)


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: Pipeline([("clf", one)])], ids=["bare", "in a Pipeline"])
def test_a_class_of_the_same_name_elsewhere_is_another_one(wrap):
    one, other = (type("Twin", (KnownScore,), {"__module__": module})() for module in ("one_place", "other_place"))
    models = [wrap(one), wrap(other)]
    space = {"x" if models[0] is one else "clf__x": FloatDistribution(0, 6)}
    expected = r"  - estimator.*: the study has .*one_place\.Twin.*, given is .*other_place\.Twin"
    mismatch(*(search(space, model) for model in models), expected)


class Refuses:
    def __getattr__(self, name):
        raise RuntimeError("outside of the application")

    def __repr__(self):
        raise RuntimeError("outside of the application")


def weighted(true, predicted, function=None, weight=1):
    return weight * float(np.mean(true == predicted))


class TestFunctions:
    """What a function of the user does is part of the study; how it is written is not."""

    @staticmethod
    def made(source, **names):
        """The function `f` of a source text, as if it stood in a file."""
        import linecache

        file = f"<made {len(linecache.cache)}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        namespace = {"__name__": "made", **names}
        exec(compile(source, file, "exec"), namespace)
        return namespace["f"]

    SCORER = "def f(estimator, X, y):\n    return 1 - estimator.x\n"

    @pytest.mark.parametrize(
        "same",
        [
            "def f(estimator, X, y):\n    # a comment\n    return (1 - estimator.x)\n",
            "def f(estimator,\n      X,\n      y):\n\n    return 1 - estimator.x\n",
        ],
        ids=["comment", "layout"],
    )
    def test_comments_and_layout_do_not_matter(self, same):
        storage = InMemoryStorage()
        for source in (self.SCORER, same):
            search(scoring=self.made(source), storage=storage, study_name="s").fit(X, Y)

    def test_the_code_of_a_scorer_matters(self):
        other = self.made("def f(estimator, X, y):\n    return 2 - estimator.x\n")
        mismatch(
            search(scoring=self.made(self.SCORER)),
            search(scoring=other),
            r"scoring: the study has <function made\.f> #",
        )

    def test_the_code_under_make_scorer_matters(self):
        sources = [f"def f(true, predicted):\n    return {n} * float((true == predicted).mean())\n" for n in (1, 2)]
        one, other = (search(scoring=make_scorer(self.made(source))) for source in sources)
        mismatch(one, other, r"scoring\.function: the study has <function made\.f> #\w{8}, given is ")

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda f: {"scoring": functools.partial(f)},
            lambda f: {"estimator": KnownScore(choice=functools.partial(f, 1))},
            lambda f: {"estimator": KnownScore(choice=[f])},
            lambda f: {"estimator": KnownScore(choice={"f": f})},
        ],
        ids=["a scorer in a partial", "a parameter in a partial", "in a list", "in a dict"],
    )
    def test_the_code_inside_of_something_else_matters(self, wrap):
        other = "def f(estimator, X, y):\n    return 2 - estimator.x\n"
        one, other = (search(**wrap(self.made(source))) for source in (self.SCORER, other))
        mismatch(one, other, r"  - (scoring|estimator\.choice): the study has .*, given is ")

    def test_the_options_of_make_scorer_matter(self):
        one, other = (search(scoring=make_scorer(accuracy_score, normalize=n)) for n in (True, False))
        mismatch(one, other, r"scoring\.options: the study has \{'normalize': True\}, given is \{'normalize': False\}")

    def test_functions_among_the_options_of_make_scorer_hide_nothing(self):
        ones = ({}, {"weight": 2}, {"greater_is_better": False}, {"function": min})
        for other, part in zip(ones[1:], ("options", "sign", "options"), strict=True):
            given = {"function": max} | other
            mismatch(
                search(scoring=make_scorer(weighted, function=max)),
                search(scoring=make_scorer(weighted, **given)),
                rf"  - scoring\.{part}: the study has ",
            )

    def test_a_function_that_calls_itself_is_no_endless_task(self):
        def below(n):
            return 0 if n < 1 else below(n - 1)

        def scorer(estimator, X, y):
            return below(3) - estimator.x - (0 if X is not None else later)

        assert search(scoring=scorer).fit(X, Y).n_trials_ == 3
        later = 1

    @pytest.mark.parametrize(
        ("before", "after", "matters"),
        [
            ({"LIMIT": 1}, {"LIMIT": 2}, True),
            ({"LIMIT": np.arange(100)}, {"LIMIT": np.arange(100) + 1}, True),
            ({"LIMIT": 1, "other": 1}, {"LIMIT": 1, "other": 2}, False),
            ({"LIMIT": 1, "np": np}, {"LIMIT": 1, "np": os}, False),
            ({"LIMIT": logging.getLogger("a")}, {"LIMIT": logging.getLogger("b")}, False),
            ({"LIMIT": ("macro", 1)}, {"LIMIT": ("macro", 2)}, True),
            ({"LIMIT": os.path.join("runs", "1")}, {"LIMIT": os.path.join("runs", "2")}, False),
            ({"LIMIT": [1]}, {"LIMIT": [1, 2]}, False),
            ({"COUNT": 1}, {"COUNT": 2}, False),
            ({"LIMIT": np.random.default_rng(0)}, {"LIMIT": np.random.default_rng(1)}, False),
            ({"LIMIT": Refuses()}, {"LIMIT": Refuses()}, False),
        ],
        ids=[
            "a number",
            "an array",
            "one that it does not read",
            "a module",
            "a logger",
            "a tuple",
            "a place",
            "a list of notes",
            "one that it counts with",
            "a generator",
            "an object that cannot be looked at",
        ],
    )
    def test_the_globals_that_it_reads_matter(self, before, after, matters):
        source = "def f(estimator, X, y):\n    global COUNT\n    np, LIMIT\n    COUNT += 1\n    return -estimator.x\n"
        storage = InMemoryStorage()
        how = {"storage": storage, "study_name": "s"}
        usual = {"np": 0, "LIMIT": 0, "COUNT": 0}
        search(scoring=self.made(source, **usual | before), **how).fit(X, Y)
        again = search(scoring=self.made(source, **usual | after), **how)
        with pytest.raises(StudyMismatchError, match="  - scoring: ") if matters else contextlib.nullcontext():
            again.fit(X, Y)

    def test_the_functions_that_it_calls_matter(self):
        source = "def f(estimator, X, y):\n    return [g(estimator) for _ in (1,)][0]\n"
        helpers = [self.made(f"def f(estimator):\n    return {n} - estimator.x\n") for n in (1, 2)]
        one, other = (search(scoring=self.made(source, g=helper)) for helper in helpers)
        mismatch(one, other, r"  - scoring: the study has <function made\.f> #")

    def test_what_wraps_it_matters(self):
        def times(factor):
            @functools.wraps(low)
            def scorer(estimator, X, y=None):
                return factor * low(estimator, X, y)

            return scorer

        mismatch(search(scoring=times(1)), search(scoring=times(2)), "  - scoring: the study has ")

    def test_the_code_of_a_scorer_that_is_an_object_matters(self):
        source = (
            "class Scorer:\n    def __call__(self, estimator, X, y):\n        return {n} - estimator.x\nf = Scorer()\n"
        )
        one, other = (search(scoring=self.made(source.format(n=n))) for n in (1, 2))
        mismatch(one, other, "  - scoring: the study has ")

    def test_what_a_scorer_closes_over_matters(self):
        def scorer_for(weight):
            def scorer(estimator, X, y):
                return -weight * estimator.x

            return scorer

        mismatch(search(scoring=scorer_for(1)), search(scoring=scorer_for(2)), r"scoring: the study has <function ")

    def test_the_code_of_a_space_matters(self):
        sources = [f"def f(trial):\n    return {{'x': trial.suggest_float('x', 0, {high})}}\n" for high in (1, 2)]
        one, other = (search(self.made(source)) for source in sources)
        mismatch(one, other, r"space\.code: the study has <function .*f> #\w{8}, given is <function .*f> #\w{8}")

    def test_the_code_of_a_function_inside_an_estimator_matters(self):
        sources = [f"def f(X):\n    return {n} * X\n" for n in (1, 2)]
        one, other = (
            search(LOGISTIC, Pipeline([("f", FunctionTransformer(self.made(source))), ("clf", LogisticRegression())]))
            for source in sources
        )
        mismatch(
            one, other, r"estimator\.f__func: the study has <function made\.f> #\w{8}, given is <function made\.f> #"
        )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"number": np.linspace(0, 1.1, 12)},
            [r"X\.columns\.number: the study has float64 \w{8}, given is float64 \w{8}"],
        ),
        (
            {"whole": np.arange(12, dtype=np.int32)},
            [r"X\.columns\.whole: the study has int64 \w{8}, given is int32 \w{8}"],
        ),
        ({"text": ["a", "b", "None"] * 4}, [r"X\.columns\.text: .*"]),
        ({"kind": pd.Categorical(["u", "w", "v"] * 4)}, [r"X\.columns\.kind: .*"]),
        ({"mixed": [1, 1, 1.0, None] * 3}, [r"X\.columns\.mixed: .*"]),
        ({"mixed": [True, "1", 1.0, None] * 3}, [r"X\.columns\.mixed: .*"]),
        ({"day": pd.date_range("2026-01-02", periods=12)}, [r"X\.columns\.day: .*"]),
    ],
    ids=["number", "dtype", "None is no text", "category", "a number for a text", "truth for a number", "day"],
)
def test_a_difference_names_its_column(changes, expected):
    storage = InMemoryStorage()
    made = search(estimator=IgnoresData(), storage=storage, study_name="s")
    made.fit(frame(), Y)
    with pytest.raises(StudyMismatchError) as raised:
        made.fit(frame(**changes), Y)
    assert len(raised.value.differences) == len(expected)
    for line, found in zip(expected, raised.value.differences, strict=True):
        assert re.fullmatch(line, found)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda table: table.rename(columns={"number": "amount"}),
            r"X\.columns\.amount: the study has nothing, given is float64 \w{8}",
        ),
        (lambda table: table[list(table)[::-1]], r"X\.order: the study has \w{8}, given is \w{8}"),
        (
            lambda table: table.drop(columns="number"),
            r"X\.columns\.number: the study has float64 \w{8}, given is nothing",
        ),
    ],
    ids=["another name", "another order", "one less"],
)
def test_names_and_order_of_columns_are_part_of_the_study(change, expected):
    storage = InMemoryStorage()
    made = search(estimator=IgnoresData(), storage=storage, study_name="s").fit(frame(), Y)
    with pytest.raises(StudyMismatchError, match=expected):
        made.fit(change(frame()), Y)


@pytest.mark.parametrize("kind", ["polars", "sparse", "texts", "ragged lists", "objects", "dates", "missing values"])
def test_a_change_is_seen_in(kind):
    def changed(data):
        if kind == "polars":
            return data.with_columns(pl.Series("b", ["x", "y", "None"] * 4))
        if isinstance(data, list):
            return [*data[:-1], data[0]]
        data = data.copy()
        data[5, 0] = data[7, 0] if kind == "dates" else 9
        return data

    storage = InMemoryStorage()
    made = search(estimator=IgnoresData(), storage=storage, study_name="s").fit(TABLES[kind](), Y)
    with pytest.raises(StudyMismatchError, match=r"  - X\."):
        made.fit(changed(TABLES[kind]().tolil() if kind == "sparse" else TABLES[kind]()), Y)


class Document:
    """Something that is no number and no text."""

    def __init__(self, value):
        self.value = value


def documents(values):
    out = np.empty(len(values), dtype=object)
    out[:] = [Document(value) for value in values]
    return out


def test_data_made_of_objects_are_told_apart():
    storage = InMemoryStorage()
    made = search(estimator=IgnoresData(), storage=storage, study_name="s").fit(documents(range(12)), Y)
    assert made.fit(documents(range(12)), Y).n_trials_ == 3
    with pytest.raises(StudyMismatchError, match=r"  - X\.values: "):
        made.fit(documents([*range(11), 12]), Y)


def test_outer_folds_of_objects_have_studies_of_their_own():
    storage = InMemoryStorage()
    made = search(estimator=IgnoresData(), storage=storage, study_name="{data}")
    cross_val_score(made, documents(range(12)), Y, cv=KFold(3), error_score="raise")
    assert [study.n_trials for study in optuna.get_all_study_summaries(storage)] == [3, 3, 3]


def test_a_table_among_the_fixed_parameters_is_known_in_full():
    frames = [pd.DataFrame({"a": np.arange(1000.0)}) for _ in range(3)]
    frames[2].loc[500, "a"] = -1
    storage = InMemoryStorage()
    for frame in frames[:2]:
        search(estimator=KnownScore(choice=frame), storage=storage, study_name="s").fit(X, Y)
    with pytest.raises(StudyMismatchError, match=r"  - estimator\.choice: "):
        search(estimator=KnownScore(choice=frames[2]), storage=storage, study_name="s").fit(X, Y)


@pytest.mark.parametrize("keys", [np.unique([1, 2]), [1, 2], [(1, 2), (2, 1)], ["1", 1]], ids=str)
def test_a_dict_among_the_fit_parameters_may_have_any_keys(keys):
    storage = InMemoryStorage()
    how = {"estimator": TakesAnything(), "storage": storage, "study_name": "s"}
    given = dict(zip(keys, [1.0, 2.0], strict=True))
    search(**how).fit(X, Y, classes=given)
    search(**how).fit(X, Y, classes=dict(reversed(given.items())))
    with pytest.raises(StudyMismatchError, match=r"  - metadata\.fit\.classes"):
        search(**how).fit(X, Y, classes={**given, keys[0]: 3.0})
    with pytest.raises(StudyMismatchError, match=r"  - metadata\.fit\.classes"):
        search(**how).fit(X, Y, classes={f"{key}!": value for key, value in given.items()})


class TakesAnything(KnownScore):
    def fit(self, X, y=None, classes=None):
        return super().fit(X, y)


def test_long_texts_are_not_made_into_a_table_as_wide_as_the_longest():
    texts = ["short"] * 5000 + ["long " * 40_000]
    tracemalloc.start()
    describe_data(texts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(
    "change",
    [
        {"memory": joblib.Memory(None)},
        {"clf__n_jobs": 2},
        {"clf__verbose": 1},
    ],
    ids=["memory", "n_jobs", "verbose"],
)
def test_no_false_alarm_for_parameters_without_an_effect(change):
    storage = InMemoryStorage()
    model = Pipeline([("scale", StandardScaler()), ("clf", RandomForestClassifier(2, random_state=0))])
    space = {"clf__max_depth": [1, 2, 3]}
    for one in (model, clone(model).set_params(**change)):
        assert search(space, one, storage=storage, study_name="s").fit(X, Y).n_trials_ == 3


def test_a_parameter_of_such_a_name_in_another_kind_of_estimator_matters():
    class Forgets(KNeighborsVerbose):
        def __init__(self, n_neighbors=5, memory=3):
            super().__init__(n_neighbors)
            self.memory = memory

    one, other = (search({"n_neighbors": [1, 2]}, Forgets(memory=m), n_trials=2) for m in (3, 4))
    mismatch(one, other, r"  - estimator\.memory: the study has 3, given is 4")


class KNeighborsVerbose(KNeighborsClassifier):
    def __init__(self, n_neighbors=5, n_jobs=None, verbose=0):
        super().__init__(n_neighbors, n_jobs=n_jobs)
        self.verbose = verbose


CACHE = {}


def squared(X):
    return CACHE.setdefault(X.tobytes(), X**2)


def test_no_false_alarm_for_a_transformer_with_a_cache():
    storage = InMemoryStorage()
    model = Pipeline([("square", FunctionTransformer(squared)), ("clf", LogisticRegression())])
    made = search(LOGISTIC, model, storage=storage, study_name="{data}")
    for _ in range(2):
        cross_val_score(made, X, Y, cv=KFold(3, shuffle=True, random_state=0), error_score="raise")
    assert [study.n_trials for study in optuna.get_all_study_summaries(storage)] == [3, 3, 3]


def test_no_false_alarm_for_the_metric_by_its_own_name():
    storage = InMemoryStorage()
    for objectives in (None, ["accuracy"], ["score"]):
        made = search(LOGISTIC, PIPE, scoring="accuracy", objectives=objectives, storage=storage, study_name="s")
        assert made.fit(X, Y).n_trials_ == 3


def test_no_false_alarm_for_folds_as_masks():
    storage = InMemoryStorage()
    folds = list(KFold(2).split(X))
    masks = [tuple(np.isin(np.arange(12), part) for part in fold) for fold in folds]
    for cv in (folds, masks):
        assert search(cv=cv, storage=storage, study_name="s").fit(X, Y).n_trials_ == 3


def test_a_text_that_reads_like_a_number_among_other_objects_is_not_that_number():
    storage = InMemoryStorage()
    made = search(estimator=IgnoresData(), storage=storage, study_name="s")
    made.fit(np.array([1, None] * 6, dtype=object), Y)
    with pytest.raises(StudyMismatchError, match=r"  - X\.values: "):
        made.fit(np.array(["int 1", None] * 6, dtype=object), Y)


def test_no_false_alarm_for_texts_in_another_container():
    storage = InMemoryStorage()
    texts = ["one", "two"] * 6
    for y in (texts, tuple(texts), np.array(texts), np.array(texts, dtype=object), pd.Series(texts)):
        assert search(storage=storage, study_name="s").fit(X, y).n_trials_ == 3


def test_no_false_alarm_for_zeros_that_a_sparse_matrix_stores():
    storage = InMemoryStorage()
    plain = sp.csr_matrix(np.eye(12))
    padded = sp.csr_matrix((np.array([*np.ones(12), 0.0]), ([*range(12), 0], [*range(12), 5])))
    for data in (plain, padded):
        assert search(estimator=IgnoresData(), storage=storage, study_name="s").fit(data, Y).n_trials_ == 3


def test_one_choice_that_reads_like_two_is_another_space():
    mismatch(
        search({"choice": ["a", "b"]}, n_trials=2), search({"choice": ["a, b"]}, n_trials=1), r"  - space\.choice: "
    )


def test_a_study_in_which_nothing_was_measured_may_be_deleted(kept_in):  # noqa: F811
    how = {"storage": kept_in, "study_name": "s"}
    with pytest.raises(ValueError, match="not found in the given grid"):
        search({"x": FloatDistribution(0, 1)}, sampler=GridSampler({"y": [1]}), **how).fit(X, Y)
    with pytest.raises(
        StudyMismatchError, match=r"(?s)  - space.*Or delete this one, .*studies\.delete_study\('s', storage\)"
    ):
        search(**how).fit(X, Y)
    search(study_name="t", storage=kept_in).fit(X, Y)
    with pytest.raises(StudyMismatchError, match=r"^(?s:(?!delete_study).)*$"):
        search({"x": [1]}, study_name="t", storage=kept_in).fit(X, Y)


class Late(RandomSampler):
    """Is long in drawing its first candidate."""

    def infer_relative_search_space(self, study, trial):
        if trial.number == 0:
            time.sleep(0.5)
        return super().infer_relative_search_space(study, trial)


def test_a_study_whose_maker_has_not_begun_yet_is_its_own():
    storage = InMemoryStorage()
    one = threading.Thread(target=search(sampler=Late(), storage=storage, study_name="s").fit, args=(X, Y))
    one.start()
    time.sleep(0.2)
    with pytest.raises(StudyMismatchError, match=r"  - X\.values: "):
        search(storage=storage, study_name="s").fit(X + 1, Y)
    one.join()
    assert len(optuna.load_study(study_name="s", storage=storage).trials) == 3


def test_two_that_start_at_once_do_not_mix(monkeypatch):
    """The one makes the study, the other finds it before the one has written what it measures."""
    storage = InMemoryStorage()
    write = InMemoryStorage.set_study_user_attr
    waiting = threading.Event()

    def slowly(self, *args):
        waiting.set()
        time.sleep(0.3)
        write(self, *args)

    monkeypatch.setattr(InMemoryStorage, "set_study_user_attr", slowly)
    one = threading.Thread(target=search(storage=storage, study_name="s").fit, args=(X, Y))
    one.start()
    waiting.wait()
    with pytest.raises(StudyMismatchError, match=r"  - error_score: "):
        search(storage=storage, study_name="s", error_score=0).fit(X, Y)
    one.join()


class Weighs:
    """A callable with something inside, which shows nothing of it."""

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, estimator, X, y=None):
        return -self.weight * estimator.x


@pytest.mark.parametrize(
    "how",
    [
        lambda weight: {"scoring": Weighs(weight)},
        lambda weight: {"scoring": {"a": Weighs(weight)}, "refit": "a"},
        lambda weight: {"estimator": KnownScore(choice=Weighs(weight))},
        lambda weight: {"estimator": KnownScore(choice=[Weighs(weight)])},
        lambda weight: {"scoring": functools.partial(weigh, weight=weight)},
    ],
    ids=["a scorer", "a scorer by name", "a fixed parameter", "in a fixed parameter", "a partial"],
)
def test_what_an_object_holds_is_part_of_the_study(how):
    storage = InMemoryStorage()
    for _ in range(2):
        assert search(storage=storage, study_name="s", **how(1)).fit(X, Y).n_trials_ == 3
    with pytest.raises(StudyMismatchError, match=r"  - (scoring|estimator\.choice).*: the study has .*, given is "):
        search(storage=storage, study_name="s", **how(2)).fit(X, Y)


class WeighsAndCounts(Weighs):
    """One that counts how often it was called."""

    calls = 0

    def __call__(self, estimator, X, y=None):
        self.calls += 1
        return super().__call__(estimator, X, y)


def weighs_and_notes():
    """A scorer that keeps a list."""
    notes = []

    def score(estimator, X, y=None):
        notes.append(estimator.x)
        return -estimator.x

    return score


def asks_and_notes():
    """A space that keeps a list."""
    notes = []

    def space(trial):
        notes.append(trial.suggest_float("x", 0, 6))
        return {"x": notes[-1]}

    return space


@pytest.mark.parametrize(
    "how",
    [
        {"scoring": WeighsAndCounts(1)},
        {"scoring": {"a": WeighsAndCounts(1), "b": weighs_and_notes()}, "refit": "a"},
        {"scoring": weighs_and_notes()},
        {"space": asks_and_notes()},
    ],
    ids=["a scorer", "several", "a function", "a space"],
)
def test_what_changes_while_it_is_used_is_no_setting(how):
    storage = InMemoryStorage()
    for n_trials in (3, 3, 4, 6):
        assert search(storage=storage, study_name="s", **how | {"n_trials": n_trials}).fit(X, Y).n_trials_ == n_trials


def test_what_changes_in_between_is_one():
    storage, scoring = InMemoryStorage(), WeighsAndCounts(1)
    made = search(storage=storage, study_name="s", scoring=scoring)
    for _ in range(2):
        made.fit(X, Y)
    scoring.weight = 2
    with pytest.raises(StudyMismatchError, match=r"  - scoring: the study has "):
        made.fit(X, Y)


def weigh(estimator, X, y=None, weight=1):
    return -weight * estimator.x


def test_weights_that_are_routed_are_part_of_the_study():
    storage = InMemoryStorage()
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        made = search({"C": FloatDistribution(0.1, 10)}, model, storage=storage, study_name="s")
        made.fit(X, Y, sample_weight=WEIGHTS)
        assert made.fit(X, Y, sample_weight=WEIGHTS.copy()).n_trials_ == 3
        with pytest.raises(StudyMismatchError) as raised:
            made.fit(X, Y, sample_weight=WEIGHTS[::-1])
        assert [line.partition(":")[0] for line in raised.value.differences] == [
            "metadata.fit.sample_weight.values",
            "metadata.score.sample_weight.values",
        ]
        with pytest.raises(
            StudyMismatchError, match=r"metadata\.fit\.sample_weight: the study has .*, given is nothing"
        ):
            made.fit(X, Y)


def test_where_a_sparse_value_stands_matters():
    storage = InMemoryStorage()
    made = search(estimator=IgnoresData(), storage=storage, study_name="s").fit(sp.csr_matrix(np.eye(12)), Y)
    with pytest.raises(StudyMismatchError, match=r"X\.values: "):
        made.fit(sp.csr_matrix(np.eye(12)[::-1]), Y)


def test_choices_by_name_are_not_the_plain_choices_of_that_name():
    one, other = (search({"choice": choices}, n_trials=2) for choices in ([1, 2], named({"1": double, "2": len})))
    mismatch(one, other, r"space\.choice: the study has one of \[1, 2\], given is ")


def test_the_metric_that_is_pursued_is_part_of_the_study():
    scoring = {"high": high, "low": low}
    one, other = (search(scoring=scoring, refit=metric) for metric in ("high", "low"))
    mismatch(one, other, r"objective: the study has high, given is low")


def test_the_metric_that_is_refitted_is_not_if_another_one_is_pursued():
    storage = InMemoryStorage()
    scoring = {"high": high, "low": low}
    for metric in ("high", "low"):
        made = search(scoring=scoring, refit=metric, objectives=["high"], storage=storage, study_name="s")
        assert made.fit(X, Y).n_trials_ == 3


def test_metrics_of_a_function_are_continued():
    storage = InMemoryStorage()
    for n_trials in (2, 4):
        made = search(scoring=two_scores, refit="right", storage=storage, study_name="s", n_trials=n_trials)
        assert made.fit(X, Y).n_trials_ == n_trials


def test_data_of_other_text_can_be_the_same_study_only_if_equal():
    storage = InMemoryStorage()
    model = Pipeline([("count", CountVectorizer()), ("clf", LogisticRegression())])
    texts = ["one two", "three four five"] * 6
    search(LOGISTIC, model, storage=storage, study_name="s").fit(texts, Y)
    search(LOGISTIC, model, storage=storage, study_name="s").fit(list(texts), Y)
    with pytest.raises(StudyMismatchError, match=r"X\."):
        search(LOGISTIC, model, storage=storage, study_name="s").fit([*texts[:-1], "three four six"], Y)


# --- names ------------------------------------------------------------------------------------------------------------


class TestNames:
    def test_without_a_name_each_fit_has_a_readable_name_of_its_own(self, kept_in):  # noqa: F811
        made = search(LOGISTIC, PIPE, storage=kept_in, n_trials=1)
        names = [made.fit(X, Y).study_.study_name for _ in range(3)]
        assert len(set(names)) == 3
        assert all(re.fullmatch(r"LogisticRegression-20\d{6}-\d{6}-\w+", name) for name in names)
        assert set(optuna.get_all_study_names(made.study_._storage)) == set(names)

    def test_data_in_a_name_stands_for_the_data(self):
        storage = InMemoryStorage()

        def name(X=X, y=Y, *, given="svc-{data}", estimator=None, n_trials=1, **params):
            made = search(estimator=estimator, storage=storage, study_name=given, n_trials=n_trials, cv=3)
            return made.fit(X, y, **params).study_.study_name

        first = name()
        assert re.fullmatch(r"svc-[0-9a-z]{8}", first)
        assert name(X.copy(), Y.copy(), n_trials=2) == first
        others = [name(X + 1), name(X, 1 - Y), name(X[:9], Y[:9]), name(X.astype("float32"))]
        weighted = Counted(os.devnull)
        others += [
            name(estimator=weighted, given="{data}", sample_weight=WEIGHTS),
            name(estimator=weighted, given="{data}", sample_weight=WEIGHTS[::-1]),
        ]
        assert len({first, *others}) == 7
        assert name(given="a {data} and {data}") == f"a {first[4:]} and {first[4:]}"

    def test_data_in_a_name_stands_for_nothing_else(self):
        made = search(storage=InMemoryStorage(), study_name="svc-{data}").fit(X, Y)
        with pytest.raises(StudyMismatchError, match=r"study_name='svc-\w{8}' was measured on something else"):
            made.set_params(error_score=0).fit(X, Y)

    def test_the_parameter_is_not_changed(self):
        made = search(storage=InMemoryStorage(), study_name="svc-{data}").fit(X, Y)
        assert made.study_name == "svc-{data}"


on_files_and_server = pytest.mark.parametrize(
    "storage",
    ["sqlite", "journal", pytest.param("postgres", marks=pytest.mark.server)],
    indirect=True,
)


class TestNestedCrossValidation:
    OUTER = KFold(3)

    @on_files_and_server
    def test_outer_folds_never_share_trials(self, storage):
        made = search(storage=storage)
        cross_val_score(made, X, Y, cv=self.OUTER, error_score="raise")
        studies = optuna.get_all_study_summaries(made.fit(X, Y).study_._storage)
        assert [study.n_trials for study in studies] == [3] * 4
        headers = [record_of(study.user_attrs)[1]["fingerprint"]["X"]["values"] for study in studies]
        assert len(set(headers)) == 4

    def test_one_name_for_all_is_refused(self, tmp_path):
        made = search(storage=tmp_path / "s.db", study_name="s")
        with pytest.raises(StudyMismatchError, match=r"A name with \{data\} in it"):
            cross_val_score(made, X, Y, cv=self.OUTER, error_score="raise")

    @on_files_and_server
    def test_with_data_in_the_name_a_second_run_runs_no_trial(self, storage, tmp_path):
        made = search(estimator=CountsFits(str(tmp_path / "fits")), storage=storage, study_name="{data}")
        first = cross_val_score(made, X, Y, cv=self.OUTER, error_score="raise")
        assert fits(tmp_path / "fits") == 3 * (3 * 2 + 1)
        (tmp_path / "fits").unlink()
        np.testing.assert_array_equal(cross_val_score(made, X, Y, cv=self.OUTER, error_score="raise"), first)
        assert fits(tmp_path / "fits") == 3


# --- versions ---------------------------------------------------------------------------------------------------------


class TestVersions:
    OWN = sys.modules[KnownScore.__module__]

    @pytest.mark.parametrize(
        ("module", "name"),
        [(sklearn, "scikit-learn"), (optuna, "optuna"), (OWN, OWN.__name__)],
        ids=["scikit-learn", "optuna", "the estimator's own package"],
    )
    def test_another_version_warns_and_goes_on(self, module, name, monkeypatch):
        storage = InMemoryStorage()
        monkeypatch.setattr(module, "__version__", "1.7.0", raising=False)
        search(storage=storage, study_name="s").fit(X, Y)
        monkeypatch.setattr(module, "__version__", "1.8.1")
        expected = (
            r"^Earlier trials of study_name='s' were measured with other versions, which may change scores a little: "
            rf"{name}: the study has 1\.7\.0, given is 1\.8\.1\.$"
        )
        with pytest.warns(VersionWarning, match=expected) as said:
            fitted = search(storage=storage, study_name="s", n_trials=5).fit(X, Y)
        assert [one.category for one in said] == [VersionWarning]
        assert fitted.n_trials_ == 5

    def test_another_version_of_python_warns(self, monkeypatch):
        storage = InMemoryStorage()
        monkeypatch.setattr("platform.python_version", lambda: "3.11.0")
        search(storage=storage, study_name="s").fit(X, Y)
        monkeypatch.undo()
        with pytest.warns(VersionWarning, match=r"python: the study has 3\.11\.0, given is 3\.\d+\.\d+"):
            search(storage=storage, study_name="s").fit(X, Y)

    def test_the_package_of_the_estimator_inside_a_pipeline_counts(self, monkeypatch):
        storage = InMemoryStorage()
        made = search(
            {"clf__x": [1, 2]}, Pipeline([("clf", KnownScore())]), storage=storage, study_name="s", n_trials=2
        )
        monkeypatch.setattr(self.OWN, "__version__", "1.7.0", raising=False)
        made.fit(X, Y)
        monkeypatch.setattr(self.OWN, "__version__", "1.8.1")
        with pytest.warns(VersionWarning, match=r"estimators: the study has 1\.7\.0, given is 1\.8\.1"):
            made.fit(X, Y)
