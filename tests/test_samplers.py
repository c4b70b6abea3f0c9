"""Samplers: every name works, what is given stays as it was, seeds make searches equal, what is known is told."""

import copy
import importlib.util
import pickle
import re
import warnings

import numpy as np
import optuna
import pytest
import scipy.stats
from estimators import KnownScore
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import (
    BruteForceSampler,
    CmaEsSampler,
    GridSampler,
    NSGAIIISampler,
    NSGAIISampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from optuna_search import OptunaSearchCV
from optuna_search.exceptions import InvalidRequestError, SpaceError

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2

MIXED = {"x": FloatDistribution(-5.0, 5.0), "choice": ["a", "b", None], "peak": IntDistribution(1, 9)}
LINE = {"x": FloatDistribution(-5.0, 5.0), "peak": FloatDistribution(0.0, 1.0)}


def conditional(trial):
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return {"x": trial.suggest_float("x", -5.0, 5.0)}
    return {"peak": trial.suggest_int("peak", 1, 9), "choice": trial.suggest_categorical("choice", ["p", (1, 2)])}


SPACES = {
    "a dict": MIXED,
    "numbers": LINE,
    "dicts": [{"x": FloatDistribution(-5.0, 5.0)}, {"choice": ["a", "b"], "x": scipy.stats.norm(3, 1)}],
    "a callable": conditional,
}
# "grid" and "brute-force" go through spaces that have an end. What "gp" needs is large, so it is tried where it is.
GP = ["gp"] if importlib.util.find_spec("torch") else []
NAMES = ["tpe", "random", "qmc", "cmaes", "nsgaii", "nsgaiii", *GP]
ENDING = {"x": IntDistribution(0, 4), "choice": ["a", "b"]}


class Counted(KnownScore):
    """Notes what it is fitted with."""

    fits = []  # noqa: RUF012 - shared by the clones on purpose

    def fit(self, X, y=None):
        Counted.fits.append(self.x)
        return super().fit(X, y)


SEEN = []


class Spy(RandomSampler):
    """Notes what the study holds when it is asked, and what it is told."""

    def sample_relative(self, study, trial, search_space):
        known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
        SEEN.append(("asked", [(one.params, one.value, one.state.name) for one in known]))
        return super().sample_relative(study, trial, search_space)

    def after_trial(self, study, trial, state, values):
        SEEN.append(("told", trial.params, values and values[0], state.name))
        super().after_trial(study, trial, state, values)


def told():
    return [entry[1:] for entry in SEEN if entry[0] == "told"]


def shown(value):
    """The same text in every process, for the names of tests."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


@pytest.fixture(autouse=True)
def _nothing_happened_yet():
    Counted.fits.clear()
    SEEN.clear()


def search(space, sampler=None, estimator=None, **more):
    """A finished search, without a refit."""
    settings = {"cv": 2, "refit": False, "random_state": 0, "n_trials": 8, **more}
    return OptunaSearchCV(estimator or KnownScore(), space, sampler=sampler, **settings).fit(X, Y)


def rows(found):
    """What was drawn and what it scored, comparable by ``==``."""
    return [
        (repr(params), score)
        for params, score in zip(found.cv_results_["params"], found.cv_results_["mean_test_score"], strict=True)
    ]


# --- by name ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *NAMES])
@pytest.mark.parametrize("space", SPACES)
def test_every_name_searches_every_space(space, name):
    found = search(SPACES[space], name)
    assert found.n_trials_ == 8
    assert found.best_score_ == max(found.cv_results_["mean_test_score"])
    assert len(set(rows(found))) == 8


@pytest.mark.parametrize("name", [None, *NAMES, "grid", "brute-force"])
def test_every_name_searches_a_space_with_an_end(name):
    found = search(ENDING, name, n_trials=6)
    assert found.n_trials_ == 6
    assert len(set(rows(found))) == 6


@pytest.mark.parametrize("name", [None, *NAMES, "brute-force"])
def test_one_random_state_gives_one_search_and_another_gives_another(name):
    space = ENDING if name == "brute-force" else MIXED
    first, again, other = (rows(search(space, name, random_state=seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("space", ["dicts", "a callable"])
@pytest.mark.parametrize("name", [None, *NAMES])
def test_one_random_state_gives_one_search_in_conditional_spaces(space, name):
    assert rows(search(SPACES[space], name, random_state=3)) == rows(search(SPACES[space], name, random_state=3))


@pytest.mark.parametrize("name", [None, "random", "qmc"])
def test_a_search_without_a_random_state_differs_each_time(name):
    assert rows(search(MIXED, name, random_state=None)) != rows(search(MIXED, name, random_state=None))


def test_a_random_state_may_be_a_generator_of_numpy():
    first, again = (rows(search(MIXED, "random", random_state=np.random.RandomState(5))) for _ in range(2))
    assert first == again


def test_draws_do_not_depend_on_the_global_generator_nor_change_it():
    np.random.seed(1)
    first = rows(search(MIXED, "tpe"))
    np.random.seed(2)
    before = np.random.get_state()[1].copy()
    assert rows(search(MIXED, "tpe")) == first
    np.testing.assert_array_equal(np.random.get_state()[1], before)


class Reseeds(KnownScore):
    """Sets the global generators, against all manners."""

    def fit(self, X, y=None):
        import random

        np.random.seed(0)
        random.seed(0)
        return super().fit(X, y)


@pytest.mark.parametrize("name", [None, *NAMES])
def test_an_estimator_that_seeds_the_global_generator_does_not_change_the_draws(name):
    assert rows(search(MIXED, name, Reseeds())) == rows(search(MIXED, name, KnownScore()))
    draws = rows(search(MIXED, name, Reseeds(), random_state=None))
    assert len(set(draws)) == 8


@pytest.mark.parametrize(("name", "package"), [("gp", "torch"), ("cmaes", "cmaes")])
def test_a_sampler_whose_package_is_missing_says_what_to_install(monkeypatch, name, package):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *args: None if name == package else there(name, *args)
    )
    with pytest.raises(
        InvalidRequestError,
        match=rf"sampler='{name}' needs {package}, which is not installed: pip install 'optuna-search\[{name}\]'",
    ):
        search(MIXED, name, Counted())
    assert Counted.fits == []


def test_the_sampler_gp_is_known_where_its_package_is_there(monkeypatch):
    made = []

    class Stand(RandomSampler):
        def __init__(self, *, seed=None, deterministic_objective=False, **_):
            made.append((seed, deterministic_objective))
            super().__init__(seed=seed)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: object())
    monkeypatch.setattr(optuna.samplers, "GPSampler", Stand)
    assert search(MIXED, "gp").n_trials_ == 8
    # Scores from cross-validation are noisy.
    assert made == [(0, False)]


@pytest.mark.parametrize(
    "sampler", ["TPE", "bayes", "", "gps", 3, True, RandomSampler, ["tpe"], lambda: None], ids=shown
)
def test_anything_else_is_refused_with_the_list_of_names(sampler):
    with pytest.raises(InvalidRequestError, match=r"(?s)sampler=.* must be one of 'tpe', 'random'.*'grid'") as error:
        search(MIXED, sampler, Counted())
    assert repr(sampler) in str(error.value)
    assert Counted.fits == []


def test_the_class_of_a_sampler_is_refused_with_a_hint():
    with pytest.raises(InvalidRequestError, match="Give an instance, not the class"):
        search(MIXED, TPESampler)


@pytest.mark.parametrize("name", ["grid", "brute-force"])
@pytest.mark.parametrize("space", ["numbers", "a dict", "dicts"])
def test_a_space_without_an_end_cannot_be_gone_through(space, name):
    with pytest.raises(InvalidRequestError, match=f"sampler='{name}' needs a space with an end"):
        search(SPACES[space], name, Counted())
    assert Counted.fits == []


# --- Optuna's samplers ------------------------------------------------------------------------------------------------


def given():
    """Samplers of Optuna's and the spaces that they can search."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return {
            "TPESampler": (TPESampler(seed=1, n_startup_trials=3), MIXED),
            "RandomSampler": (RandomSampler(seed=1), MIXED),
            "QMCSampler": (QMCSampler(seed=1, scramble=True), LINE),
            "CmaEsSampler": (CmaEsSampler(seed=1), LINE),
            "NSGAIISampler": (NSGAIISampler(seed=1, population_size=4), MIXED),
            "NSGAIIISampler": (NSGAIIISampler(seed=1, population_size=4), MIXED),
            "GridSampler": (GridSampler({"x": [1, 2, 4], "choice": ["a", "b"]}, seed=1), ENDING),
            "BruteForceSampler": (BruteForceSampler(seed=1), ENDING),
            "PartialFixedSampler": (PartialFixedSampler({"peak": 3}, RandomSampler(seed=1)), MIXED),
        }


@pytest.mark.parametrize("name", given())
def test_a_given_sampler_is_never_changed(name):
    sampler, space = given()[name]
    made = OptunaSearchCV(KnownScore(), space, sampler=sampler, n_trials=8, cv=2, refit=False)
    before = pickle.dumps(sampler)
    first = rows(made.fit(X, Y))
    assert made.sampler is sampler
    assert pickle.dumps(sampler) == before
    assert rows(made.fit(X, Y)) == first
    assert rows(clone(made).fit(X, Y)) == first


@pytest.mark.parametrize("name", given())
def test_a_given_sampler_draws_what_it_draws_in_optuna(name):
    sampler, space = given()[name]
    found = search(space, sampler, n_trials=5)

    def objective(trial):
        point = {}
        for parameter in sorted(space):
            match space[parameter]:
                case FloatDistribution(low=low, high=high):
                    point[parameter] = trial.suggest_float(parameter, low, high)
                case IntDistribution(low=low, high=high):
                    point[parameter] = trial.suggest_int(parameter, low, high)
                case choices:
                    point[parameter] = trial.suggest_categorical(parameter, sorted(map(str, choices)))
        scored = clone(KnownScore()).set_params(**{k: None if v == "None" else v for k, v in point.items()})
        return float(np.mean([scored.fit(X).score(part) for part in (X[:6], X[6:])]))

    optuna.logging.disable_default_handler()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(direction="maximize", sampler=copy.deepcopy(sampler))
        study.optimize(objective, n_trials=5)
    finally:
        optuna.logging.enable_default_handler()
    assert found.study_.trials[0].params == study.trials[0].params
    if name in ("RandomSampler", "GridSampler", "BruteForceSampler", "PartialFixedSampler", "QMCSampler"):
        assert [trial.params for trial in found.study_.trials] == [trial.params for trial in study.trials]


def test_the_grid_of_a_grid_sampler_is_searched_and_no_more():
    sampler = GridSampler({"x": [1, 2, 4], "choice": ["a", "b"]}, seed=0)
    found = search(ENDING, sampler, n_trials=50)
    assert sorted((params["x"], params["choice"]) for params in found.cv_results_["params"]) == [
        (x, choice) for x in (1, 2, 4) for choice in ("a", "b")
    ]


def test_the_grid_of_a_grid_sampler_is_searched_and_no_more_by_the_next_run_either():
    where = {"storage": InMemoryStorage(), "study_name": "grid"}
    space = {"x": IntDistribution(0, 40)}
    for n_trials in (8, 20):
        found = search(space, GridSampler({"x": list(range(10, 18))}, seed=0), n_trials=n_trials, **where)
    assert sorted(params["x"] for params in found.cv_results_["params"]) == list(range(10, 18))


@pytest.mark.parametrize("choices", [[1, 2], [0.5, 1.5], [True, False], [None, "a"]], ids=str)
@pytest.mark.parametrize("kind", ["GridSampler", "PartialFixedSampler"])
def test_a_sampler_that_holds_values_instead_of_tokens_is_told_how_to_write_them(kind, choices):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = (
            GridSampler({"choice": choices, "x": [1, 3]}, seed=0)
            if kind == "GridSampler"
            else PartialFixedSampler({"choice": choices[0]}, RandomSampler(seed=0))
        )
    with pytest.raises(SpaceError, match=r"none of the choices.*write '1' for 1, 'None' for None"):
        search({"choice": choices, "x": IntDistribution(0, 4)}, sampler, n_trials=4)


def test_a_fixed_parameter_stays_fixed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = PartialFixedSampler({"peak": 3, "choice": "b"}, TPESampler(seed=0))
    found = search(MIXED, sampler, n_trials=12)
    assert {(params["peak"], params["choice"]) for params in found.cv_results_["params"]} == {(3, "b")}


# --- random search over lists -----------------------------------------------------------------------------------------

LISTS = {
    "a grid": {"x": [1, 2, 3, 4], "choice": ["a", "b", None], "peak": range(1, 4)},
    "arrays": {"x": np.linspace(0, 1, 7), "peak": (1, 2, 3)},
    "a list of grids": [{"x": [1, 2, 3]}, {"x": [3, 4], "choice": ["a", "b", "c"]}, {}],
    "duplicates": {"x": [1, 1, 2, 3, 3], "choice": ["a", "b"]},
}


@pytest.mark.parametrize("seed", [0, 1, 42])
@pytest.mark.parametrize("space", LISTS)
def test_random_draws_from_lists_are_those_of_randomized_search(space, seed):
    theirs = RandomizedSearchCV(KnownScore(), LISTS[space], n_iter=6, cv=2, random_state=seed, refit=False).fit(X, Y)
    ours = search(LISTS[space], "random", n_trials=6, random_state=seed)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])


def test_random_draws_from_lists_with_a_generator_are_those_of_randomized_search():
    space = LISTS["a grid"]
    theirs, ours = (
        cls(KnownScore(), space, cv=2, refit=False, random_state=np.random.RandomState(3), **more).fit(X, Y)
        for cls, more in ((RandomizedSearchCV, {"n_iter": 6}), (OptunaSearchCV, {"n_trials": 6, "sampler": "random"}))
    )
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]


@pytest.mark.parametrize("space", LISTS)
def test_random_draws_from_lists_are_capped_by_the_grid_with_a_warning(space):
    size = len(ParameterGrid(LISTS[space]))
    with pytest.warns(
        UserWarning, match=rf"The total space of parameters {size} is smaller than n_trials=100\. Running {size} trials"
    ) as caught:
        found = search(LISTS[space], "random", n_trials=100)
    assert len(caught) == 1
    assert found.n_trials_ == size
    assert sorted(map(repr, found.cv_results_["params"])) == sorted(map(repr, ParameterGrid(LISTS[space])))


def test_a_random_search_over_lists_is_continued_without_repeats():
    where = {"storage": InMemoryStorage(), "study_name": "lists"}
    space = {"x": list(range(20)), "choice": ["a", "b"]}
    first = search(space, "random", Counted(), n_trials=10, **where)
    found = search(space, "random", Counted(), n_trials=25, **where)
    assert found.cv_results_["params"][:10] == first.cv_results_["params"]
    assert found.n_trials_ == len(set(map(repr, found.cv_results_["params"]))) == 25
    assert len(Counted.fits) == 50


def test_a_list_beside_a_range_is_drawn_independently():
    found = search({"x": [1, 2], "peak": FloatDistribution(0.0, 1.0)}, "random", n_trials=10)
    assert found.n_trials_ == 10
    assert {params["x"] for params in found.cv_results_["params"]} == {1, 2}


# --- a grid in order --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_trials", [1, 4, 11, 12, 13, 100])
def test_the_sampler_grid_takes_the_first_cells_in_order(n_trials):
    space = {"x": [3, 1, 2], "choice": ["b", "a"], "peak": [1, 2]}
    found = search(space, "grid", n_trials=n_trials)
    assert found.cv_results_["params"] == list(ParameterGrid(space))[:n_trials]


def test_the_sampler_grid_goes_through_ranges_in_order():
    found = search(
        {"x": IntDistribution(0, 4, step=2), "peak": FloatDistribution(0, 1, step=0.5)}, "grid", n_trials=None
    )
    assert [(params["peak"], params["x"]) for params in found.cv_results_["params"]] == [
        (peak, x) for peak in (0.0, 0.5, 1.0) for x in (0, 2, 4)
    ]


def test_a_grid_is_continued_where_it_ended():
    where = {"storage": InMemoryStorage(), "study_name": "grid"}
    space = {"x": [3, 1, 2], "choice": ["b", "a"]}
    search(space, "grid", Counted(), n_trials=2, **where)
    found = search(space, None, Counted(), n_trials=None, **where)
    assert found.cv_results_["params"] == list(ParameterGrid(space))
    assert len(Counted.fits) == 12


@pytest.mark.parametrize("name", ["tpe", "qmc", "brute-force", "nsgaii"])
def test_another_sampler_than_grid_switches_enumeration_off(name):
    space = {"x": list(range(10)), "choice": ["a", "b"]}
    found = search(space, name, n_trials=None)
    assert found.n_trials_ == 20
    assert found.cv_results_["params"] != list(ParameterGrid(space))


def test_a_grid_with_fewer_trials_is_sampled():
    space = {"x": list(range(30))}
    found = search(space, n_trials=10)
    drawn = [params["x"] for params in found.cv_results_["params"]]
    assert len(set(drawn)) == 10 and drawn != list(range(10))


# --- points to try first ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *NAMES])
def test_points_to_try_first_come_first(name):
    points = [{"x": 3.0, "choice": None, "peak": 2}, {"x": -1.5}, {"choice": "b", "peak": 9}]
    found = search(MIXED, name, initial_params=points)
    for point, params in zip(points, found.cv_results_["params"], strict=False):
        assert set(params) == set(MIXED)
        assert point.items() <= params.items()
    assert found.n_trials_ == 8


@pytest.mark.parametrize("name", [None, "random", "grid", "tpe"])
def test_points_of_a_grid_to_try_first_come_first_and_once(name):
    space = {"x": [1, 2, 3], "choice": ["a", "b"]}
    points = [{"x": 3, "choice": "b"}, {"x": 2}, {"x": 3, "choice": "b"}]
    found = search(space, name, Counted(), initial_params=points, n_trials=6)
    params = found.cv_results_["params"]
    assert params[0] == {"x": 3, "choice": "b"}
    assert params[1]["x"] == 2
    assert sorted(map(repr, params)) == sorted(map(repr, ParameterGrid(space)))
    assert len(Counted.fits) == 12


def test_a_point_to_try_first_chooses_its_dict():
    space = [{"x": FloatDistribution(0.0, 1.0)}, {"choice": ["a", "b"], "x": FloatDistribution(5.0, 9.0)}]
    points = [{"x": 7.5}, {"choice": "b"}, {"x": 0.25}, {"choice": "a", "x": 6.0}]
    found = search(space, "random", initial_params=points)
    first, second, third, fourth = found.cv_results_["params"][:4]
    assert first["x"] == 7.5 and first["choice"] in ("a", "b")
    assert second["choice"] == "b" and 5 <= second["x"] <= 9
    assert third == {"x": 0.25}
    assert fourth == {"choice": "a", "x": 6.0}


def test_a_point_to_try_first_names_what_a_callable_asks_for():
    points = [{"kind": "b", "peak": 7, "choice": (1, 2)}, {"kind": "a"}, {"kind": "a", "x": 1.25}]
    found = search(conditional, "tpe", initial_params=points)
    first, second, third = found.cv_results_["params"][:3]
    assert first == {"peak": 7, "choice": (1, 2)}
    assert set(second) == {"x"}
    assert third == {"x": 1.25}


@pytest.mark.parametrize("space", [{"x": IntDistribution(0, 9)}, lambda trial: {"x": trial.suggest_int("x", 0, 9)}])
def test_a_point_that_is_written_many_times_is_tried_once(space):
    points = [{"x": 1}] * 8 + [{"x": 5}]
    found = search(space, "tpe", Counted(), initial_params=points, n_trials=20)
    drawn = [params["x"] for params in found.cv_results_["params"]]
    assert drawn[:2] == [1, 5]
    assert sorted(drawn) == list(range(10))
    assert len(Counted.fits) == 20


def test_an_empty_point_leaves_everything_to_the_sampler():
    assert search(MIXED, initial_params=[{}, {"x": 1.0}]).cv_results_["params"][1]["x"] == 1.0


def test_more_points_than_trials_are_cut():
    found = search(MIXED, initial_params=[{"x": float(x)} for x in range(5)], n_trials=3)
    assert [params["x"] for params in found.cv_results_["params"]] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("name", [None, "tpe", "random", "cmaes"])
def test_default_tries_the_estimators_own_values_first(name):
    space = {"x": FloatDistribution(-5.0, 5.0), "choice": ["a", None], "peak": IntDistribution(1, 9)}
    found = search(space, name, KnownScore(x=2.5, choice=None, peak=4), initial_params="default")
    assert found.cv_results_["params"][0] == {"x": 2.5, "choice": None, "peak": 4}


def test_default_leaves_out_what_lies_outside_of_the_space():
    space = {"x": FloatDistribution(-5.0, 5.0), "choice": ["a", "b"], "peak": FloatDistribution(0.0, 1.0)}
    found = search(space, "tpe", KnownScore(x=2.5, choice=None, peak=10), initial_params="default")
    assert found.cv_results_["params"][0]["x"] == 2.5


def test_default_reaches_into_a_pipeline_and_its_steps():
    scaler = StandardScaler()
    pipe = Pipeline([("scale", scaler), ("model", LogisticRegression(C=0.3))])
    space = {"scale": ["passthrough", scaler], "model__C": FloatDistribution(0.1, 1.0)}
    found = search(space, None, pipe, initial_params="default", n_trials=2)
    assert found.cv_results_["params"][0] == {"scale": scaler, "model__C": 0.3}


def test_default_in_a_grid_and_in_a_space_of_other_names():
    found = search({"x": [0, 1, 2, 2.5]}, None, KnownScore(x=2.5), initial_params="default", n_trials=None)
    assert [params["x"] for params in found.cv_results_["params"]] == [2.5, 0, 1, 2]
    found = search(conditional, "random", KnownScore(x=2.5), initial_params="default")
    assert found.n_trials_ == 8


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_points_to_try_first_are_not_tried_again_by_the_next_run(name):
    where = {"storage": InMemoryStorage(), "study_name": "first", "initial_params": [{"x": 3.0}]}
    search(MIXED, name, n_trials=3, **where)
    found = search(MIXED, name, n_trials=6, **where)
    assert [params["x"] == 3.0 for params in found.cv_results_["params"]] == [True] + [False] * 5


# --- what a sampler is told -------------------------------------------------------------------------------------------


def test_a_sampler_is_told_the_score_of_every_trial():
    found = search({"x": IntDistribution(-1000, 1000)}, Spy(seed=0), n_trials=6)
    scores = found.cv_results_["mean_test_score"]
    assert told() == [
        (params, score, "COMPLETE") for params, score in zip(found.cv_results_["params"], scores, strict=True)
    ]


def test_a_sampler_that_proposes_a_known_candidate_is_told_its_score():
    found = search({"x": IntDistribution(0, 2)}, Spy(seed=0), Counted(), n_trials=3)
    scores = {
        params["x"]: score
        for params, score in zip(found.cv_results_["params"], found.cv_results_["mean_test_score"], strict=True)
    }
    assert len(told()) > 3 and len(Counted.fits) == 6
    assert all(value == scores[params["x"]] and state == "COMPLETE" for params, value, state in told())


def test_a_sampler_that_repeats_itself_is_not_asked_for_ever():
    class Stubborn(Spy):
        def sample_independent(self, study, trial, param_name, param_distribution):
            return 3

    found = search({"x": IntDistribution(0, 9)}, Stubborn(seed=0), Counted(), n_trials=6)
    assert found.n_trials_ == len({params["x"] for params in found.cv_results_["params"]}) == 6
    assert len(Counted.fits) == 12
    assert len([entry for entry in SEEN if entry[0] == "asked"]) < 60


def test_a_sampler_is_told_of_failed_trials():
    class Fails(KnownScore):
        def fit(self, X, y=None):
            if self.x < 0:
                raise ValueError("below zero")
            return super().fit(X, y)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = search({"x": IntDistribution(-1000, 1000)}, Spy(seed=1), Fails(), n_trials=12)
    states = dict(zip([p["x"] for p in found.cv_results_["params"]], found.cv_results_["trial_state"], strict=True))
    assert set(states.values()) == {"COMPLETE", "FAIL"}
    assert {params["x"]: state for params, _, state in told()} == states


def test_a_sampler_sees_earlier_trials_when_a_study_is_continued():
    where = {"storage": InMemoryStorage(), "study_name": "seen"}
    space = {"x": IntDistribution(-1000, 1000), "choice": ["a", None]}
    first = search(space, Spy(seed=0), n_trials=4, **where)
    SEEN.clear()
    found = search(space, Spy(seed=0), n_trials=6, **where)
    asked = [entry[1] for entry in SEEN if entry[0] == "asked"]
    stored = [(trial.params, trial.value, "COMPLETE") for trial in first.study_.trials]
    assert asked[0] == stored[:4]
    assert asked[-1][:5] == [(trial.params, trial.value, "COMPLETE") for trial in found.study_.trials[:5]]


@pytest.mark.parametrize("name", [None, *NAMES, "given"])
def test_a_continued_search_does_not_repeat_the_draws_of_its_first_part(name):
    where = {"storage": InMemoryStorage(), "study_name": "continued"}
    sampler = RandomSampler(seed=0) if name == "given" else name
    search(LINE, sampler, Counted(), n_trials=5, **where)
    found = search(LINE, sampler, Counted(), n_trials=10, **where)
    drawn = [params["x"] for params in found.cv_results_["params"]]
    assert len(set(drawn)) == 10
    assert len(Counted.fits) == 20


def test_a_continued_search_learns_from_its_first_part():
    where = {"storage": InMemoryStorage(), "study_name": "learning"}
    space = {"x": FloatDistribution(-50.0, 50.0)}
    search(space, "random", n_trials=60, **where)
    found = search(space, "tpe", n_trials=70, **where)
    drawn = np.array([params["x"] for params in found.cv_results_["params"]])
    # Drawn blindly, the second part would lie 25 from the best on average, as the first does.
    assert np.median(np.abs(drawn[60:] - 3.0)) < np.median(np.abs(drawn[:60] - 3.0)) / 2


@pytest.mark.parametrize("name", [None, "tpe", "qmc", "cmaes", "nsgaii"])
def test_what_a_sampler_notes_for_itself_stays_out_of_the_study(name):
    storage = InMemoryStorage()
    search(LINE, name, n_trials=12, storage=storage)
    (study,) = storage.get_all_studies()
    assert storage.get_study_system_attrs(study._study_id) == {}
    for trial in storage.get_all_trials(study._study_id):
        assert storage.get_trial_system_attrs(trial._trial_id) == {}
