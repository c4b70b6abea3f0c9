"""What may be written as a space is searched as it is written: every choice, every shape, every candidate once."""

import copy
import functools
import itertools
import math
import pickle
import warnings

import joblib
import numpy as np
import optuna
import pytest
import scipy.sparse
import scipy.stats
from estimators import KnownScore
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV, named
from optuna_search._space import parse
from optuna_search._tokens import token
from optuna_search.exceptions import InvalidRequestError, SpaceError, StudyMismatchError

quick = settings(deadline=None, database=None, max_examples=50)

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2


class Counted(KnownScore):
    """Notes what it is fitted with."""

    fits = []  # noqa: RUF012 - shared by the clones on purpose

    def fit(self, X, y=None):
        Counted.fits.append((self.x, self.choice))
        return super().fit(X, y)

    def score(self, X, y=None):
        return 0.0 if self.choice is not None else -float(self.x)


class Calls(KnownScore):
    """Scores what the function that it is given makes of 3."""

    def score(self, X, y=None):
        return float(self.choice(3.0))


@pytest.fixture(autouse=True)
def _nothing_was_fitted_yet():
    Counted.fits.clear()


@pytest.fixture
def where():
    """Where a study is kept and found again."""
    return {"storage": InMemoryStorage(), "study_name": "kept"}


def search(space, estimator=None, **more):
    """A finished search, without a refit."""
    made = OptunaSearchCV(estimator or KnownScore(), space, **{"cv": 2, "refit": False, "random_state": 0, **more})
    return made.fit(X, Y)


def drawn(found, name="x"):
    """The values of one parameter, row by row."""
    return [params[name] for params in found.cv_results_["params"]]


def draws(space, n, seed=0):
    """Candidates from the space itself, each parameter uniform on what Optuna stores of it."""
    numbers = np.random.default_rng(seed)

    def pick(name, dim):
        match dim.distribution:
            case FloatDistribution(low=low, high=high):
                return float(numbers.uniform(low, high))
            case IntDistribution(low=low, high=high):
                return int(numbers.integers(low, high, endpoint=True))
            case CategoricalDistribution(choices=choices):
                return choices[numbers.integers(len(choices))]

    parsed = parse(space)
    return [parsed.draw(pick).params for _ in range(n)]


# --- choices ----------------------------------------------------------------------------------------------------------

LOOKALIKES = [True, 1, 1.0, "1", "True", "1.0", "'1'", None, "None", math.nan, "nan", math.inf, "inf", -0.0, 0.0, 0, ""]


@pytest.mark.parametrize("sampler", [None, "tpe", "random"])
@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "in a storage"])
def test_values_that_look_alike_are_choices_of_their_own(tmp_path, kept, sampler):
    storage = str(tmp_path / "s.db") if kept else None
    found = search({"choice": LOOKALIKES}, sampler=sampler, n_trials=len(LOOKALIKES), storage=storage)
    seen = sorted(map(repr, drawn(found, "choice")))
    assert seen == sorted(map(repr, LOOKALIKES))
    assert all(any(value is choice for choice in LOOKALIKES) for value in drawn(found, "choice"))


def a_function(x):
    return x + 1


def another_function(x):
    return x * x


def objects():
    """Choices of every kind, made anew at each call."""
    return [
        None,
        math.nan,
        "None",
        "nan",
        "one of [a, b]",
        (1, 2),
        [1, 2],
        (1, "2"),
        {"a": 1},
        {"a": 1.0},
        {1, 2},
        b"raw",
        np.int64(7),
        np.float32(0.5),
        np.array([1.0, 2.0]),
        np.array([[1.0, 2.0]]),
        np.arange(100),
        np.arange(100).reshape(4, 25),
        a_function,
        another_function,
        np.sqrt,
        len,
        StandardScaler,
        functools.partial(a_function, 1),
        functools.partial(a_function, x=1),
        StandardScaler(),
        StandardScaler(with_mean=False),
        MinMaxScaler(),
        Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(C=0.1))]),
        Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(C=0.2))]),
        FunctionTransformer(a_function),
    ]


@pytest.mark.parametrize("file", [None, "s.db", "s.journal"])
def test_any_object_is_a_choice(tmp_path, file):
    choices = objects()
    found = search({"choice": choices}, storage=file and str(tmp_path / file))
    assert all(value is choice for value, choice in zip(drawn(found, "choice"), choices, strict=True))
    column = found.cv_results_["param_choice"]
    assert all(value is choice for value, choice in zip(column, choices, strict=True))


@pytest.mark.parametrize(
    "choices",
    [
        [(1, 2), (3, 4)],
        [(1,), (1, 2)],
        [[1], [2]],
        [[], [[]]],
        [np.arange(2), np.arange(2) + 1],
        [np.array([1.0]), np.array([[2.0]])],
        ["a", ("a",)],
        [{"a": 1}, {"b": 2}],
    ],
    ids=repr,
)
def test_sequences_are_choices_whatever_their_lengths(choices):
    found = search({"choice": choices}, Counted())
    column = found.cv_results_["param_choice"]
    assert column.shape == (2,) and column.dtype == object
    assert all(value is choice for value, choice in zip(column, choices, strict=True))
    assert all(value is choice for value, choice in zip(drawn(found, "choice"), choices, strict=True))


def test_objects_come_back_as_those_of_the_code_when_a_study_is_continued(where):
    first = objects()
    before = search({"choice": first}, Counted(), **where)
    assert len(Counted.fits) == 2 * len(first)

    Counted.fits.clear()
    choices = objects()
    after = search({"choice": list(reversed(choices))}, Counted(), **where)
    assert Counted.fits == []
    assert after.n_trials_ == len(choices)
    assert [type(value) for value in drawn(after, "choice")] == [type(value) for value in drawn(before, "choice")]
    assert all(value is choice for value, choice in zip(drawn(after, "choice"), choices, strict=True))


def test_estimators_among_the_choices_stay_unfitted_and_unchanged():
    scalers = [StandardScaler(), MinMaxScaler(), "passthrough"]
    before = pickle.dumps(scalers)
    pipe = Pipeline([("scale", "passthrough"), ("model", LogisticRegression())])
    found = search({"scale": scalers, "model__C": FloatDistribution(0.1, 1.0)}, pipe, n_trials=6, refit=True)
    assert pickle.dumps(scalers) == before
    assert all(any(value is scaler for scaler in scalers) for value in drawn(found, "scale"))
    assert found.best_params_["scale"] is found.cv_results_["params"][found.best_index_]["scale"]


def test_the_order_of_choices_may_change_between_runs(where):
    where |= {"sampler": "tpe"}
    first = search({"x": [1, 2, 3, 4], "choice": ["a", "b", None]}, Counted(), n_trials=7, **where)
    known = drawn(first)
    found = search({"choice": [None, "b", "a"], "x": [4, 2, 1, 3]}, Counted(), n_trials=50, **where)
    assert drawn(found)[:7] == known
    assert found.n_trials_ == 12
    assert len(Counted.fits) == 24 and len(set(Counted.fits)) == 12


@pytest.mark.parametrize("more", [{"x": [1, 2, 5]}, {"x": [1, 2]}, {"x": [1, 2, "3"]}, {"x": [1, 2, 3.0]}], ids=str)
def test_other_choices_are_another_space(where, more):
    search({"x": [1, 2, 3]}, **where)
    with pytest.raises(StudyMismatchError, match=r"(?s)study_name='kept'.*space\.x: .*one of \[1, 2, 3\]"):
        search(more, **where)


# --- choices that no token can tell apart -----------------------------------------------------------------------------


class Opaque:
    """Says nothing about itself."""


class Terse:
    """Says the same of all its objects, and does something else in each."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x

    def times(self, x):
        return self.factor * x

    def __repr__(self):
        return "Terse"


def functions_of_one_name():
    """Functions as a loop or a second run of a notebook cell makes them."""
    made = []
    for factor in (1, 2):
        scope = {}
        exec(f"def scale(x):\n    return {factor} * x\n", {"__name__": "notebook"}, scope)
        made.append(scope["scale"])
    return made


def multiply_by(factor):
    def function(x):
        return factor * x

    return function


def classes_of_one_name():
    return [type("Model", (KnownScore,), {"factor": factor}) for factor in (1, 2)]


ALIKE = {
    "lambdas": lambda: [lambda x: x, lambda x: 2 * x],
    "inner functions": lambda: [multiply_by(1), multiply_by(2)],
    "methods of built-in objects": lambda: [[1].count, [2].count],
    "functions of one name": functions_of_one_name,
    "classes of one name": classes_of_one_name,
    "objects without a repr": lambda: [Opaque(), Opaque()],
    "objects with one repr": lambda: [Terse(1), Terse(2)],
    "methods of two objects": lambda: [Terse(1).times, Terse(2).times],
    "sparse matrices": lambda: [scipy.sparse.eye(3, format="csr"), 2 * scipy.sparse.eye(3, format="csr")],
    "partials": lambda: [functools.partial(lambda x: x), functools.partial(lambda x: 2 * x)],
    "lists": lambda: [[lambda x: x], [lambda x: 2 * x]],
    "dicts": lambda: [{"f": Opaque()}, {"f": Opaque()}],
    "transformers": lambda: [FunctionTransformer(lambda x: x), FunctionTransformer(lambda x: 2 * x)],
}


@pytest.mark.parametrize("sampler", [None, "random", "tpe"])
@pytest.mark.parametrize("name", ALIKE)
def test_choices_that_no_token_can_tell_apart_are_all_tried_in_memory(name, sampler):
    choices = ALIKE[name]()
    found = search({"choice": choices}, sampler=sampler, n_trials=2)
    assert len(drawn(found, "choice")) == 2
    assert all(any(value is choice for value in drawn(found, "choice")) for choice in choices)


@pytest.mark.parametrize("name", ALIKE)
def test_choices_that_no_token_can_tell_apart_are_refused_with_a_storage(name):
    with pytest.raises(InvalidRequestError, match=r"'choice' cannot be told apart.*choice=optuna_search\.named\("):
        search({"choice": ALIKE[name]()}, Counted(), storage=InMemoryStorage())
    assert Counted.fits == []


@pytest.mark.parametrize("sampler", [None, "random", "tpe"])
def test_two_lambdas_are_scored_each_for_itself(sampler):
    functions = [lambda x: x, lambda x: 2 * x, lambda x: -x]
    found = search({"choice": functions}, Calls(), sampler=sampler, n_trials=3)
    scores = {
        id(f): score for f, score in zip(drawn(found, "choice"), found.cv_results_["mean_test_score"], strict=True)
    }
    assert scores == {id(f): f(3.0) for f in functions}
    assert found.best_params_["choice"] is functions[1]


@pytest.mark.parametrize("make", [lambda f: f, FunctionTransformer, Terse], ids=["functions", "estimators", "objects"])
def test_choices_that_look_alike_in_two_dicts_are_candidates_of_their_own(make):
    one, other = make(lambda x: x), make(lambda x: 2 * x)
    found = search([{"choice": [one]}, {"choice": [other]}], Counted())
    assert len(Counted.fits) == 4
    assert drawn(found, "choice")[0] is one and drawn(found, "choice")[1] is other


def test_two_lambdas_in_two_dicts_are_scored_each_for_itself():
    found = search([{"choice": [lambda x: x]}, {"choice": [lambda x: 2 * x]}], Calls())
    assert list(found.cv_results_["mean_test_score"]) == [3.0, 6.0]


def test_choices_that_look_alike_in_two_dicts_are_refused_with_a_storage():
    space = [{"choice": [lambda x: x]}, {"choice": [lambda x: 2 * x]}]
    with pytest.raises(InvalidRequestError, match=r"'choice' cannot be told apart.*optuna_search\.named\("):
        search(space, Calls(), storage=InMemoryStorage())


def test_one_object_written_twice_is_one_choice():
    function = lambda x: x  # noqa: E731
    found = search({"choice": [function, function]}, Calls(), storage=InMemoryStorage())
    assert list(found.cv_results_["mean_test_score"]) == [3.0, 3.0]


# --- named ------------------------------------------------------------------------------------------------------------


def test_named_choices_are_kept_by_their_names(where):
    functions = named({"same": lambda x: x, "double": lambda x: 2 * x})
    found = search({"choice": functions}, Calls(), **where)
    assert [trial.params["choice"] for trial in found.study_.trials] == ["same", "double"]
    assert list(found.cv_results_["mean_test_score"]) == [3.0, 6.0]
    assert drawn(found, "choice") == list(functions)

    again = named({"double": lambda x: 2 * x, "same": lambda x: x})
    found = search({"choice": again}, Calls(), **where)
    assert found.n_trials_ == 2
    assert drawn(found, "choice") == [again[1], again[0]]


def test_named_choices_work_in_the_searches_of_scikit_learn():
    choices = named({"same": lambda x: x, "double": lambda x: 2 * x, "minus": lambda x: -x})
    theirs = GridSearchCV(Calls(), {"choice": choices, "x": [1, 2]}, cv=2).fit(X, Y)
    ours = OptunaSearchCV(Calls(), {"choice": choices, "x": [1, 2]}, cv=2).fit(X, Y)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert ours.best_params_ == theirs.best_params_
    drawn_by_them = RandomizedSearchCV(Calls(), {"choice": choices}, n_iter=2, cv=2, random_state=0).fit(X, Y)
    assert all(params["choice"] in list(choices) for params in drawn_by_them.cv_results_["params"])


def test_named_choices_are_a_sequence():
    choices = named({"a": 1, "b": [2], "c": None})
    assert list(choices) == [1, [2], None] and len(choices) == 3
    assert choices[0] == 1 and choices[-1] is None and choices[:2] == [1, [2]]
    assert choices.names == ("a", "b", "c")
    assert repr(choices) == "named({'a': 1, 'b': [2], 'c': None})"
    assert list(pickle.loads(pickle.dumps(choices))) == list(copy.deepcopy(choices)) == list(choices)


def test_a_clone_keeps_named_choices():
    space = {"choice": named({"same": a_function, "square": another_function})}
    found = clone(OptunaSearchCV(Calls(), space, cv=2, refit=False)).fit(X, Y)
    assert list(found.cv_results_["mean_test_score"]) == [4.0, 9.0]


@pytest.mark.parametrize("value", [0.1, 1000, (1, 2), "word"], ids=repr)
def test_a_point_to_try_first_may_hold_the_value_of_a_named_choice(value):
    space = {"choice": named({"this": value, "that": None})}
    found = search(space, initial_params=[{"choice": copy.deepcopy(pickle.loads(pickle.dumps(value)))}], n_trials=1)
    assert drawn(found, "choice") == [value]


def test_a_name_is_not_taken_for_a_value():
    space = {"choice": named({"1000": 5.0, "five": 1000})}
    found = search(space, initial_params=[{"choice": int("1000")}], n_trials=1)
    assert drawn(found, "choice") == [1000]


# --- scipy's distributions that are Optuna's --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frozen", "distribution"),
    [
        (scipy.stats.uniform(), FloatDistribution(0.0, 1.0)),
        (scipy.stats.uniform(2, 3), FloatDistribution(2.0, 5.0)),
        (scipy.stats.uniform(loc=-1, scale=0.5), FloatDistribution(-1.0, -0.5)),
        (scipy.stats.loguniform(1e-3, 1e2), FloatDistribution(1e-3, 1e2, log=True)),
        (scipy.stats.reciprocal(0.5, 8), FloatDistribution(0.5, 8.0, log=True)),
        (scipy.stats.loguniform(1, 10, scale=3), FloatDistribution(3.0, 30.0, log=True)),
        (scipy.stats.loguniform(1, 10, 0, 3), FloatDistribution(3.0, 30.0, log=True)),
        (scipy.stats.randint(1, 9), IntDistribution(1, 8)),
        (scipy.stats.randint(low=0, high=2), IntDistribution(0, 1)),
        (scipy.stats.randint(1, 9, loc=10), IntDistribution(11, 18)),
    ],
    ids=lambda value: f"{value.dist.name}{value.args}{value.kwds}" if hasattr(value, "dist") else "",
)
def test_scipys_ranges_become_the_same_ranges_of_optuna(frozen, distribution):
    found = search({"x": frozen}, n_trials=3, sampler="random")
    assert all(trial.distributions == {"x": distribution} for trial in found.study_.trials)
    low, high = frozen.support()
    assert all(low <= x <= high for x in drawn(found))
    assert {type(x) for x in drawn(found)} == {int if isinstance(distribution, IntDistribution) else float}


def test_a_loguniform_that_was_moved_is_not_taken_for_a_log_range():
    found = search({"x": scipy.stats.loguniform(1, 10, loc=5)}, n_trials=3)
    assert set(found.study_.trials[0].params) == {"quantile(x)"}
    assert all(6 <= x <= 15 for x in drawn(found))


# --- other distributions are searched on their quantiles --------------------------------------------------------------

HISTOGRAM = scipy.stats.rv_histogram(np.histogram([1.0, 1.5, 2.0, 2.0, 2.2, 2.5, 7.0, 8.0], bins=5))

CONTINUOUS = {
    "norm": scipy.stats.norm(3, 2),
    "expon": scipy.stats.expon(scale=0.5),
    "gamma": scipy.stats.gamma(2.0, scale=0.5),
    "beta": scipy.stats.beta(2, 5, loc=1, scale=4),
    "truncnorm": scipy.stats.truncnorm(-1, 2, loc=5, scale=3),
    "lognorm": scipy.stats.lognorm(1.0),
    "t": scipy.stats.t(3),
    "a moved loguniform": scipy.stats.loguniform(1, 10, loc=5),
    "rv_histogram": HISTOGRAM(),
}
DISCRETE = {
    "bernoulli": scipy.stats.bernoulli(0.3),
    "binom": scipy.stats.binom(6, 0.4),
    "a moved binom": scipy.stats.binom(6, 0.4, loc=10),
    "poisson": scipy.stats.poisson(3.0),
    "geom": scipy.stats.geom(0.3),
    "skellam": scipy.stats.skellam(2.0, 3.0),
    "hypergeom": scipy.stats.hypergeom(20, 7, 12),
}
FROZEN = CONTINUOUS | DISCRETE


@pytest.mark.parametrize("name", CONTINUOUS)
def test_random_draws_have_the_shape_of_a_continuous_distribution(name):
    frozen = CONTINUOUS[name]
    values = [params["x"] for params in draws({"x": frozen}, 2000)]
    assert {type(value) for value in values} == {float}
    assert scipy.stats.kstest(values, frozen.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_random_draws_have_the_shape_of_a_discrete_distribution(name):
    frozen = DISCRETE[name]
    values = np.array([params["x"] for params in draws({"x": frozen}, 4000)])
    assert values.dtype.kind == "i"
    assert all(type(params["x"]) is int for params in draws({"x": frozen}, 10))
    expected = {k: 4000 * frozen.pmf(k) for k in range(-30, 60)}
    common = [k for k in expected if expected[k] >= 5]
    observed = np.array([np.sum(values == k) for k in common])
    rest = 4000 - observed.sum()
    rest_expected = 4000 - sum(expected[k] for k in common)
    counts = np.append(observed, rest) if rest_expected > 1e-6 else observed
    hopes = (
        np.append([expected[k] for k in common], rest_expected)
        if rest_expected > 1e-6
        else [expected[k] for k in common]
    )
    assert scipy.stats.chisquare(counts, np.array(hopes) * counts.sum() / np.sum(hopes)).pvalue > 1e-3


@quick
@given(st.sampled_from(sorted(FROZEN)), st.sampled_from([0.0, 1.0]) | st.floats(1e-6, 1 - 1e-6))
def test_a_value_leads_to_a_quantile_and_back(name, part):
    dim = parse({"x": FROZEN[name]}).branches[0].dimensions["x"]
    low, high = dim.distribution.low, dim.distribution.high
    value = dim.value(low + part * (high - low))
    assert math.isfinite(value) and FROZEN[name].support()[0] <= value <= FROZEN[name].support()[1]
    stored = dim.stored(value)
    assert low <= stored <= high
    assert dim.value(stored) == (value if name in DISCRETE else pytest.approx(value, rel=1e-6, abs=1e-6))


@pytest.mark.parametrize("name", FROZEN)
def test_the_study_holds_the_quantile_and_everything_shown_the_value(name):
    frozen = FROZEN[name]
    found = search({"x": frozen}, n_trials=2, sampler="random")
    values = drawn(found)
    for trial, value in zip(found.study_.trials, values, strict=True):
        assert set(trial.params) == {"quantile(x)"}
        assert isinstance(trial.distributions["quantile(x)"], FloatDistribution)
        assert 0 <= trial.params["quantile(x)"] <= 1
        assert trial.user_attrs["optuna_search"]["params"] == {"x": value}
        if name in CONTINUOUS:
            assert trial.params["quantile(x)"] == pytest.approx(frozen.cdf(value), rel=1e-6)
        else:
            assert frozen.cdf(value - 1) <= trial.params["quantile(x)"] <= frozen.cdf(value) + 1e-12
    assert list(found.cv_results_["param_x"]) == values
    assert found.best_params_["x"] in values
    assert {leader.params["x"] for leader in found.top_n_} == set(values)


@pytest.mark.parametrize("name", sorted(DISCRETE))
@pytest.mark.parametrize("sampler", [None, "random", "qmc"])
def test_a_discrete_distribution_is_searched_without_repeats(name, sampler):
    found = search({"x": DISCRETE[name]}, Counted(), n_trials=25, sampler=sampler)
    values = drawn(found)
    assert len(set(values)) == len(values) and len(Counted.fits) == 2 * len(values)
    low, high = DISCRETE[name].support()
    if math.isfinite(high - low):
        assert sorted(values) == list(range(int(low), int(high) + 1))
    else:  # as many as lie within the quantiles that are searched
        first = low if math.isfinite(low) else DISCRETE[name].ppf(1e-6)
        assert len(values) == min(25, DISCRETE[name].ppf(1 - 1e-6) - first + 1)


@pytest.mark.parametrize(
    "frozen",
    [
        scipy.stats.binom(1000, 0.5),
        scipy.stats.binom(10000, 0.01),
        scipy.stats.hypergeom(5000, 50, 800),
        scipy.stats.poisson(3, loc=1),
        scipy.stats.geom(0.5),
    ],
    ids=lambda frozen: frozen.dist.name,
)
@pytest.mark.parametrize("sampler", [None, "grid", "brute-force"])
def test_the_far_tails_of_a_discrete_distribution_are_no_hindrance(frozen, sampler):
    values = drawn(search({"x": frozen}, n_trials=12, sampler=sampler))
    assert len(set(values)) == len(values) == 12
    assert all(frozen.pmf(value) > 0 for value in values)


@pytest.mark.parametrize(
    "frozen",
    [scipy.stats.zipf(2), scipy.stats.zipf(3), scipy.stats.yulesimon(3), scipy.stats.nbinom(0.1, 0.0001)],
    ids=lambda frozen: f"{frozen.dist.name}{frozen.args}",
)
def test_a_heavy_tail_is_counted_up_to_some_point_if_at_all(frozen):
    size = parse({"x": frozen}).size
    assert size is None or size <= 1000
    assert len(drawn(search({"x": frozen}, n_trials=3, sampler="random"))) == 3


def test_a_distribution_of_one_value_is_one_candidate():
    values = drawn(search({"x": scipy.stats.bernoulli(1.0)}, n_trials=5))
    assert values in ([1], [1, 0])  # older versions of scipy have a 0 at the very first quantile


def test_an_object_that_a_callable_makes_anew_is_the_one_of_today(where):
    """What cannot be had back from its name is made again, so that it can be fitted."""
    numbers = itertools.count()

    def space(trial):
        return {"choice": SVC(C=1 + next(numbers)), "x": trial.suggest_float("x", 0, 1)}

    first = search(space, n_trials=3, **where)
    again = search(space, n_trials=3, refit=True, **where)
    assert [p["x"] for p in again.cv_results_["params"]] == [p["x"] for p in first.cv_results_["params"]]
    assert isinstance(again.best_estimator_.choice, SVC)


def test_a_value_that_a_distribution_never_takes_is_no_point_to_try_first():
    for frozen, value in ((scipy.stats.expon(), -1.0), (scipy.stats.binom(4, 0.5), 5), (scipy.stats.poisson(1), 0.5)):
        with pytest.raises(
            SpaceError.__base__, match=rf"{value!r} is never drawn from quantiles of {frozen.dist.name}\("
        ):
            search({"x": frozen}, initial_params=[{"x": value}], n_trials=1)


@pytest.mark.parametrize("name", sorted(set(FROZEN) - {"rv_histogram"}))
def test_a_value_of_a_distribution_may_be_tried_first(name):
    value = FROZEN[name].ppf(0.5)
    value = int(value) if name in DISCRETE else float(value)
    found = search({"x": FROZEN[name]}, initial_params=[{"x": value}], n_trials=1)
    assert drawn(found)[0] == pytest.approx(value, rel=1e-9)


def test_a_distribution_on_its_quantiles_is_continued(where):
    where |= {"sampler": "random"}
    first = search({"x": scipy.stats.gamma(2.0)}, Counted(), n_trials=3, **where)
    Counted.fits.clear()
    found = search({"x": scipy.stats.gamma(2.0)}, Counted(), n_trials=5, **where)
    assert drawn(found)[:3] == drawn(first)
    assert [x for x, _ in Counted.fits[::2]] == drawn(found)[3:]


@pytest.mark.parametrize(
    "other",
    [scipy.stats.gamma(3.0), scipy.stats.gamma(2.0, scale=2), scipy.stats.expon(), FloatDistribution(0.0, 1.0)],
    ids=["shape", "scale", "kind", "range"],
)
def test_another_distribution_is_another_space(where, other):
    where |= {"n_trials": 1}
    search({"x": scipy.stats.gamma(2.0)}, **where)
    with pytest.raises(StudyMismatchError, match=r"(?s)study_name='kept'.*space\.x: .*quantiles of gamma\(2\.0\)"):
        search({"x": other}, **where)


def test_another_histogram_is_another_space(where):
    where |= {"n_trials": 1}
    search({"x": HISTOGRAM()}, **where)
    other = scipy.stats.rv_histogram(np.histogram([100.0, 101.0, 105.0], bins=3))
    with pytest.raises(StudyMismatchError, match=r"study_name='kept'"):
        search({"x": other()}, **where)


# --- Optuna's own distributions ---------------------------------------------------------------------------------------


@st.composite
def ranges(draw):
    """Ranges of Optuna's with every combination of step and log."""
    low = draw(st.integers(-50, 50))
    width = draw(st.integers(0, 60))
    match draw(st.sampled_from(["int", "int step", "int log", "float", "float step", "float log"])):
        case "int":
            return IntDistribution(low, low + width)
        case "int step":
            step = draw(st.integers(1, 7))
            return IntDistribution(low, low + step * (width // step), step=step)
        case "int log":
            return IntDistribution(abs(low) + 1, abs(low) + 1 + width, log=True)
        case "float":
            return FloatDistribution(low / 8, (low + width) / 8)
        case "float step":
            return FloatDistribution(low / 8, (low + width) / 8, step=0.125)
    return FloatDistribution(10.0 ** (low / 10), 10.0 ** ((low + width) / 10), log=True)


@quick
@given(ranges(), st.sampled_from(["random", "tpe", "qmc"]))
def test_every_value_lies_in_its_range_on_a_step_and_has_its_type(distribution, sampler):
    found = search({"x": distribution}, sampler=sampler, n_trials=3)
    for x in drawn(found):
        assert type(x) is (int if isinstance(distribution, IntDistribution) else float)
        assert distribution.low <= x <= distribution.high
        if distribution.step is not None:
            steps = (x - distribution.low) / distribution.step
            assert steps == pytest.approx(round(steps), abs=1e-8)
    assert found.study_.trials[0].distributions["x"] == distribution
    assert len(set(drawn(found))) == len(drawn(found))


def test_a_log_range_is_drawn_evenly_over_its_decades():
    found = search({"x": FloatDistribution(1e-4, 1e4, log=True)}, sampler="random", n_trials=200)
    assert scipy.stats.kstest(np.log10(drawn(found)), scipy.stats.uniform(-4, 8).cdf).pvalue > 1e-3


# --- a list of dicts --------------------------------------------------------------------------------------------------

BRANCHES = [
    {"choice": ["a", "b"], "x": FloatDistribution(0.0, 1.0)},
    {"peak": IntDistribution(1, 5), "x": FloatDistribution(10.0, 20.0)},
    {"choice": ["c"]},
]


@pytest.mark.parametrize("sampler", [None, "random", "tpe", "qmc", "cmaes", "nsgaii"])
def test_a_trial_draws_one_dict_and_only_its_parameters(sampler):
    found = search(BRANCHES, sampler=sampler, n_trials=25)
    kinds = {("choice", "x"): 0, ("peak", "x"): 0, ("choice",): 0}
    for row, params in enumerate(found.cv_results_["params"]):
        kinds[tuple(sorted(params))] += 1
        if "peak" in params:
            assert 10 <= params["x"] <= 20 and params["peak"] in range(1, 6)
        elif "x" in params:
            assert 0 <= params["x"] <= 1 and params["choice"] in ("a", "b")
        else:
            assert params == {"choice": "c"}
        for name in ("choice", "x", "peak"):
            column = found.cv_results_[f"param_{name}"]
            assert np.ma.getmaskarray(column)[row] == (name not in params)
            assert name not in params or column[row] == params[name]
    assert all(kinds.values())
    assert kinds["choice",] == 1  # there is one candidate in that dict


def test_a_parameter_of_two_shapes_has_two_names_in_the_study():
    found = search(BRANCHES, sampler="random", n_trials=15)
    names = {name for trial in found.study_.trials for name in trial.params}
    assert {"x", "x (1)"} & names and len([name for name in names if name.startswith("x")]) == 2
    for name in names:
        assert len({repr(t.distributions[name]) for t in found.study_.trials if name in t.distributions}) == 1


@pytest.mark.parametrize(
    "space",
    [
        [{"x": [1]}, {"x": [2], "x (1)": [True]}],
        [{"x": [1]}, {"x": [2]}, {"x (1)": [3], "x (2)": [4]}],
        {"x": scipy.stats.norm(), "quantile(x)": [1, 2]},
    ],
    ids=["beside a shape", "instead of a shape", "beside a quantile"],
)
def test_a_name_that_reads_like_one_in_the_study_is_a_parameter_of_its_own(space, where):
    class Takes(KnownScore):
        def get_params(self, deep=True):
            return vars(self) | {}

        def set_params(self, **params):
            vars(self).update(params)
            return self

        def score(self, X, y=None):
            return 0.0

    found, again = (search(space, Takes(), sampler="tpe", n_trials=3, **where) for _ in range(2))
    assert again.cv_results_["params"] == found.cv_results_["params"]
    dicts = space if isinstance(space, list) else [space]
    assert {frozenset(params) for params in found.cv_results_["params"]} == {frozenset(one) for one in dicts}


def test_the_order_of_dicts_may_change_between_runs(where):
    where |= {"sampler": "random"}
    first = search(BRANCHES, n_trials=8, **where)
    found = search(list(reversed(BRANCHES)), n_trials=12, **where)
    assert found.cv_results_["params"][:8] == first.cv_results_["params"]
    assert found.n_trials_ == 12


def test_a_candidate_that_lies_in_two_dicts_is_fitted_once():
    space = [{"x": [1, 2, 3]}, {"x": [3, 4]}]
    found = search(space, Counted(), sampler="tpe", n_trials=50)
    assert sorted(drawn(found)) == [1, 2, 3, 4]
    assert sorted(x for x, _ in Counted.fits) == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    "other",
    [IntDistribution(2, 4), scipy.stats.randint(2, 5), scipy.stats.binom(4, 0.5)],
    ids=["IntDistribution", "randint", "binom"],
)
@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_a_candidate_that_lies_in_two_dicts_of_different_kinds_is_fitted_once(other, sampler):
    search([{"x": [1, 2, 3]}, {"x": other}], Counted(), sampler=sampler, n_trials=50)
    fitted = [x for x, _ in Counted.fits]
    assert all(fitted.count(x) == 2 for x in fitted)


def test_a_list_of_grids_is_a_grid():
    space = [{"x": [2, 1], "choice": ["b", "a"]}, {"x": [3]}, {}]
    found = search(space)
    assert found.cv_results_["params"] == list(ParameterGrid(space))


# --- no parameter -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [{}, [{}]], ids=str)
@pytest.mark.parametrize("sampler", [None, "random", "tpe", "qmc", "grid", "brute-force"])
def test_the_empty_space_is_the_estimator_as_it_is(space, sampler):
    found = search(space, KnownScore(x=2.0), sampler=sampler, refit=True)
    assert found.cv_results_["params"] == [{}]
    assert found.best_params_ == {}
    assert found.best_estimator_.x == 2.0


def test_the_empty_dict_is_one_candidate_among_others():
    found = search([{}, {"x": IntDistribution(1, 2)}], Counted(x=7), sampler="tpe", n_trials=50)
    assert sorted(map(str, found.cv_results_["params"])) == ["{'x': 1}", "{'x': 2}", "{}"]
    assert sorted(x for x, _ in Counted.fits) == [1, 1, 2, 2, 7, 7]


# --- duplicates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_duplicates_in_a_grid_keep_their_rows_with_the_same_scores(n_jobs):
    space = {"x": [1, 2, 1], "choice": ["a", "a"]}
    with joblib.parallel_config("threading"):
        found = search(space, n_jobs=n_jobs)
    assert found.cv_results_["params"] == list(ParameterGrid(space))
    scores = found.cv_results_["mean_test_score"]
    by_x = [[score for x, score in zip(drawn(found), scores, strict=True) if x == value] for value in (1, 2)]
    assert [len(set(values)) for values in by_x] == [1, 1]


def test_duplicates_are_fitted_once():
    search({"x": [1, 2, 1], "choice": ["a", "a"]}, Counted())
    assert sorted(Counted.fits) == [(1, "a"), (1, "a"), (2, "a"), (2, "a")]


def test_duplicates_are_fitted_once_also_in_the_next_run(where):
    search({"x": [1, 2, 1, 1]}, Counted(), n_trials=2, sampler="grid", **where)
    found = search({"x": [1, 2, 1, 1]}, Counted(), **where)
    assert drawn(found) == [1, 2, 1, 1]
    assert [x for x, _ in Counted.fits] == [1, 1, 2, 2]


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "brute-force"])
def test_a_sampler_does_not_see_duplicates(sampler):
    found = search({"x": [1, 2, 1, 1.0]}, Counted(), n_trials=50, sampler=sampler)
    assert sorted(map(repr, drawn(found))) == ["1", "1.0", "2"]


# --- finite spaces ----------------------------------------------------------------------------------------------------


def conditional(trial):
    kind = trial.suggest_categorical("kind", ["a", "b"])
    if kind == "a":
        return {"choice": kind, "x": trial.suggest_int("x", 1, 3)}
    return {"choice": kind, "x": 10 * trial.suggest_float("tenth", 0.25, 1.0, step=0.25)}


def many_points_and_few_candidates(trial):
    return {"x": trial.suggest_int("a", 0, 40) // 40}


def few_candidates_on_a_range(trial):
    return {"x": round(trial.suggest_float("a", 0.0, 1.0))}


FINITE = {
    "choices": ({"x": [1, 2, 3], "choice": ["a", None]}, 6),
    "whole numbers": ({"x": IntDistribution(0, 6)}, 7),
    "whole numbers with a step": ({"x": IntDistribution(0, 12, step=3)}, 5),
    "whole numbers on a log scale": ({"x": IntDistribution(1, 6, log=True)}, 6),
    "numbers with a step": ({"x": FloatDistribution(0.0, 1.0, step=0.1)}, 11),
    "one number": ({"x": FloatDistribution(2.0, 2.0)}, 1),
    "a discrete distribution": ({"x": scipy.stats.binom(4, 0.1)}, 5),
    "a mixture": ({"x": IntDistribution(1, 2), "peak": scipy.stats.bernoulli(0.2), "choice": ["a", "b"]}, 8),
    "dicts": ([{"x": IntDistribution(1, 3)}, {"x": [5.0], "choice": ["a", "b"]}], 5),
    "a callable": (conditional, 7),
    "a callable of many points": (many_points_and_few_candidates, 2),
    "a callable on a range": (few_candidates_on_a_range, 2),
}
SAMPLERS = [None, "tpe", "random", "qmc", "cmaes", "nsgaii", "nsgaiii", "brute-force", "grid"]
# A grid has cells, and brute force tries every point: neither is there for every callable.
IMPOSSIBLE = [("a callable", "grid"), ("a callable of many points", "grid"), ("a callable on a range", "grid")]
IMPOSSIBLE += [("a callable on a range", "brute-force")]


@pytest.mark.parametrize(
    ("name", "sampler"), [(n, s) for n in FINITE for s in SAMPLERS if (n, s) not in IMPOSSIBLE], ids=str
)
def test_a_finite_space_ends_at_its_distinct_candidates_and_none_is_fitted_twice(name, sampler):
    space, size = FINITE[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The total space of parameters", UserWarning)
        found = search(space, Counted(), sampler=sampler, n_trials=60)
    keys = {
        tuple((key, round(value, 6) if isinstance(value, float) else value) for key, value in sorted(params.items()))
        for params in found.cv_results_["params"]
    }
    assert len(keys) == len(found.cv_results_["params"]) == found.n_trials_ == size
    assert len(Counted.fits) == 2 * size
    assert not [trial for trial in found.study_.trials if not trial.state.is_finished()]


@pytest.mark.parametrize("sampler", ["tpe", "brute-force"])
@pytest.mark.parametrize("name", ["numbers with a step", "a mixture", "dicts", "a callable"])
def test_a_finite_space_is_finished_by_the_next_run(where, name, sampler):
    space, size = FINITE[name]
    where |= {"sampler": sampler}
    search(space, Counted(), n_trials=3, **where)
    found = search(space, Counted(), n_trials=60, **where)
    assert found.n_trials_ == size
    assert len(Counted.fits) == 2 * size
    search(space, Counted(), n_trials=60, **where)
    assert len(Counted.fits) == 2 * size


@pytest.mark.parametrize("name", ["numbers with a step", "a mixture", "dicts", "a callable"])
def test_two_workers_do_not_fit_a_candidate_twice_either(name):
    space, size = FINITE[name]
    with joblib.parallel_config("threading"):
        found = search(space, Counted(), n_trials=60, sampler="tpe", n_jobs=2)
    assert found.n_trials_ == size
    assert len(Counted.fits) == 2 * size


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "grid"])
def test_a_point_on_a_step_is_one_candidate_however_it_was_rounded(sampler):
    space = {"x": FloatDistribution(0.0, 1.0, step=0.1)}
    points = [{"x": tenth / 10} for tenth in range(11)]  # 0.3, where 3 * 0.1 is 0.30000000000000004
    found = search(space, Counted(), sampler=sampler, initial_params=points, n_trials=60)
    assert found.n_trials_ == 11
    assert [round(x, 9) for x in drawn(found)] == [point["x"] for point in points]
    assert len(Counted.fits) == 22


@pytest.mark.parametrize("sampler", ["random", "grid", None])
def test_a_space_of_more_cells_than_numbers_is_searched(sampler):
    class Wide(KnownScore):
        def __init__(self, x=0.0, **more):
            super().__init__(x=x)
            self.more = more

        def get_params(self, deep=True):
            return {"x": self.x, **self.more}

        def set_params(self, **params):
            self.x = params.pop("x", self.x)
            self.more = self.more | params
            return self

    found = search({f"p{i}": list(range(10)) for i in range(20)}, Wide(), n_trials=4, sampler=sampler)
    assert len({tuple(params.values()) for params in found.cv_results_["params"]}) == 4


def test_the_own_values_are_those_of_a_dict_whose_fixed_values_they_are():
    both = {"choice": ["a", "b"], "x": FloatDistribution(0, 6)}
    space = [{"peak": [1.0], **both, "extra": [None]}, {"peak": [7.0], "x": FloatDistribution(0, 6)}]

    class Extra(KnownScore):
        def __init__(self, x=2.5, peak=7.0, choice="a", extra=None):
            super().__init__(x=x, peak=peak, choice=choice)
            self.extra = extra

    found = search(space, Extra(), n_trials=1, initial_params="default")
    assert found.best_params_ == {"peak": 7.0, "x": 2.5}
    none_fits = search([space[0]], Extra(), n_trials=1, initial_params="default", sampler="random")
    assert none_fits.best_params_["x"] != 2.5


def test_a_large_space_of_many_cells_is_not_listed():
    space = {f"x{i}": list(range(10)) for i in range(30)}

    class Wide(KnownScore):
        def set_params(self, **params):
            return self

    found = search(space, Wide(), n_trials=3, sampler="tpe")
    assert found.n_trials_ == 3


# --- a callable -------------------------------------------------------------------------------------------------------


def test_a_callable_may_be_conditional_and_give_values_that_were_not_suggested():
    def space(trial):
        if trial.suggest_categorical("kind", ["low", "high"]) == "low":
            return {"x": trial.suggest_float("low", 0.0, 1.0), "choice": "fixed"}
        return {"x": trial.suggest_int("high", 10, 20), "peak": 3.5}

    found = search(space, n_trials=20, sampler="random")
    for trial, params in zip(found.study_.trials, found.cv_results_["params"], strict=True):
        low = trial.params["kind"] == "low"
        assert set(trial.params) == {"kind", "low" if low else "high"}
        assert params == (
            {"x": trial.params["low"], "choice": "fixed"} if low else {"x": trial.params["high"], "peak": 3.5}
        )
    masks = np.ma.getmaskarray(found.cv_results_["param_peak"])
    np.testing.assert_array_equal(masks, ["peak" not in params for params in found.cv_results_["params"]])
    assert any(masks) and not all(masks)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_callable_may_give_something_else_each_time(where, n_jobs):
    """What was fitted is what is shown, and what is fitted in the end."""
    numbers = itertools.count()

    def space(trial):
        return {"x": trial.suggest_int("x", 0, 50), "peak": next(numbers), "choice": SVC(C=1 + next(numbers))}

    with joblib.parallel_config("threading", n_jobs=n_jobs):
        found = search(space, n_trials=5, refit=True, **where)
    for trial, params in zip(found.study_.trials, found.cv_results_["params"], strict=True):
        recorded = trial.user_attrs["optuna_search"]["params"]
        assert (params["x"], params["peak"]) == (recorded["x"], recorded["peak"])
        assert token(params["choice"]).text == recorded["choice"]
    assert found.best_estimator_.get_params(deep=False) == found.best_params_ | {"choice": found.best_estimator_.choice}
    kept = OptunaSearchCV.from_study("kept", where["storage"], KnownScore(), space)
    assert [p["peak"] for p in kept.cv_results_["params"]] == [p["peak"] for p in found.cv_results_["params"]]
    assert kept.best_params_["peak"] == found.best_params_["peak"]


def test_choices_of_a_callable_may_be_objects(where):
    scalers = [StandardScaler(), StandardScaler(with_mean=False), None, a_function, {"a": 1}]

    def space(trial):
        return {"choice": trial.suggest_categorical("scaler", scalers)}

    found = search(space, Counted(), n_trials=50, **where)
    assert len(drawn(found, "choice")) == 5
    assert all(any(value is one for one in scalers) for value in drawn(found, "choice"))
    assert {trial.params["scaler"] for trial in found.study_.trials} == {token(one).text for one in scalers}
    again = search(space, Counted(), n_trials=50, **where)
    assert [id(value) for value in drawn(again, "choice")] == [id(value) for value in drawn(found, "choice")]
    assert len(Counted.fits) == 10


def test_a_callable_may_make_a_new_object_in_each_call():
    def space(trial):
        return {"choice": StandardScaler(with_mean=trial.suggest_categorical("mean", [True, False]))}

    found = search(space, Counted(), n_trials=50)
    assert sorted(map(repr, drawn(found, "choice"))) == ["StandardScaler()", "StandardScaler(with_mean=False)"]
    assert len(Counted.fits) == 4


@pytest.mark.parametrize("sampler", [None, "random", "tpe"])
def test_a_callable_may_choose_among_lambdas_in_memory(sampler):
    functions = [lambda x: x, lambda x: 2 * x]

    def space(trial):
        return {"choice": trial.suggest_categorical("function", functions)}

    found = search(space, Calls(), n_trials=10, sampler=sampler)
    assert sorted(found.cv_results_["mean_test_score"]) == [3.0, 6.0]
    assert found.best_params_["choice"] is functions[1]


def test_a_callable_that_chooses_among_lambdas_is_refused_with_a_storage():
    def space(trial):
        return {"choice": trial.suggest_categorical("function", [lambda x: x, lambda x: 2 * x])}

    with pytest.raises(SpaceError, match=r"'function' cannot be told apart.*optuna_search\.named\("):
        search(space, Counted(), n_trials=3, storage=InMemoryStorage())
    assert Counted.fits == []


def test_a_callable_may_choose_among_named_lambdas():
    def space(trial):
        functions = named({"same": lambda x: x, "double": lambda x: 2 * x})
        return {"choice": trial.suggest_categorical("function", functions)}

    found = search(space, Calls(), n_trials=10, storage=InMemoryStorage())
    assert sorted(found.cv_results_["mean_test_score"]) == [3.0, 6.0]
    assert {trial.params["function"] for trial in found.study_.trials} == {"same", "double"}


def test_a_name_that_is_asked_for_twice_is_one_parameter():
    def space(trial):
        first = (
            trial.suggest_float("x", 0.0, 1.0),
            trial.suggest_int("n", 1, 9),
            trial.suggest_categorical("c", ["a", "b"]),
        )
        again = (
            trial.suggest_float("x", 0.0, 1.0),
            trial.suggest_int("n", 1, 9),
            trial.suggest_categorical("c", ["a", "b"]),
        )
        assert first == again
        return {"x": first[0], "peak": first[1], "choice": first[2]}

    assert search(space, n_trials=5).n_trials_ == 5


def choices_that_change(trial):
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return {"choice": trial.suggest_categorical("c", [1, 2] if kind == "a" else [3, 4])}


def choices_that_change_in_one_trial(trial):
    return {"x": trial.suggest_categorical("c", [1, 2]), "choice": trial.suggest_categorical("c", [3, 4])}


def a_kind_that_changes(trial):
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return {"x": trial.suggest_float("c", 0.0, 1.0) if kind == "a" else trial.suggest_int("c", 0, 5)}


def a_kind_that_changes_in_one_trial(trial):
    return {"x": trial.suggest_float("c", 0.0, 1.0), "choice": trial.suggest_categorical("c", ["a", "b"])}


@pytest.mark.parametrize(
    "space",
    [choices_that_change, choices_that_change_in_one_trial, a_kind_that_changes, a_kind_that_changes_in_one_trial],
    ids=lambda space: space.__name__,
)
def test_a_name_with_changing_choices_or_kinds_is_refused(space):
    with pytest.raises(SpaceError, match=r"param_distributions.*a name of its own"):
        search(space, n_trials=20, sampler="random")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, r"returned None \(of type NoneType\)"),
        ([("x", 1)], r"returned \[\('x', 1\)\] \(of type list\)"),
        ("x", r"returned 'x' \(of type str\)"),
        ({1: 2}, r"returned \{1: 2\} \(of type dict\)"),
        (3.0, r"returned 3\.0 \(of type float\)"),
    ],
    ids=repr,
)
def test_a_callable_must_return_parameters_by_name(value, said):
    def space(trial):
        trial.suggest_int("a", 1, 2)
        return value

    with pytest.raises(SpaceError, match=f"space must return a dict of parameter -> value, and it {said}"):
        search(space, Counted(), n_trials=3)
    assert Counted.fits == []


@pytest.mark.parametrize("name", ["report", "should_prune", "number", "set_user_attr", "suggest_loguniform"])
def test_a_callable_may_only_suggest(name):
    def space(trial):
        getattr(trial, name)(1.0, 1)
        return {}

    with pytest.raises(SpaceError, match=rf"no trial\.{name}: only suggest_float, suggest_int and suggest_categorical"):
        search(space, Counted(), n_trials=3)
    assert Counted.fits == []


@pytest.mark.parametrize("sampler", ["random", "tpe", "brute-force", "qmc"])
@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, RuntimeError])
def test_what_a_callable_raises_comes_out(error, sampler):
    def space(trial):
        if trial.suggest_int("a", 0, 3) == 2:
            raise error("from the space of the user")
        return {"x": trial.suggest_int("a", 0, 3)}

    with pytest.raises(error, match="from the space of the user"):
        search(space, n_trials=20, sampler=sampler)


def test_an_unknown_parameter_from_a_callable_is_named():
    def space(trial):
        return {"speed": trial.suggest_int("a", 0, 3)}

    with pytest.raises(ValueError, match="'speed'"):
        search(space, n_trials=3)


def test_a_callable_may_be_any_callable():
    class Space:
        def __init__(self, high):
            self.high = high

        def __call__(self, trial):
            return {"x": trial.suggest_int("x", 1, self.high)}

    for space in (Space(3), functools.partial(lambda trial, high: {"x": trial.suggest_int("x", 1, high)}, high=3)):
        assert sorted(drawn(search(space, n_trials=10))) == [1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("float", {"a": 1.0, "b": 0.25}), ("int", {"a": 1, "b": 5}), ("choices", {"a": "p", "b": "r"})],
    ids=["float", "int", "choices"],
)
def test_a_callable_asks_as_in_optuna(kind, values):
    def suggest(trial):
        match kind:
            case "float":
                return trial.suggest_float("a", 1, 8, log=True), trial.suggest_float("b", 0, 1, step=0.25)
            case "int":
                return trial.suggest_int("a", 1, 8, log=True), trial.suggest_int("b", 0, 10, step=5)
        return trial.suggest_categorical("a", ["p", "q"]), trial.suggest_categorical("b", ["r"])

    def space(trial):
        return dict(zip(("x", "choice"), suggest(trial), strict=True))

    found = search(space, Counted(), n_trials=2, sampler="random")
    trial = optuna.trial.FixedTrial(values)
    suggest(trial)
    theirs, ours = trial, found.study_.trials[0]
    assert ours.distributions == theirs.distributions
    assert all(type(ours.params[name]) is type(theirs.params[name]) for name in "ab")


# --- the order of a grid ----------------------------------------------------------------------------------------------


@quick
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["x", "choice", "peak"]),
            st.lists(st.sampled_from([1, 2, 3.0, "a", None, (1, 2)]), min_size=1, max_size=3),
            max_size=3,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_cells_are_those_of_a_parameter_grid_in_its_order(space):
    parsed = parse(space)
    cells = list(ParameterGrid(space))
    assert parsed.is_grid and parsed.size == len(cells)
    for index, params in enumerate(cells):
        candidate = parsed.cell(index)
        assert [(name, repr(value)) for name, value in candidate.params.items()] == [
            (name, repr(value)) for name, value in params.items()
        ]
    points = [parsed.cell(index).point for index in range(len(cells))]
    for point in points:
        assert points[parsed.index(point)] == point == points[points.index(point)]
        assert parsed.index(point) == points.index(point)
        assert parsed.index(dict(list(point.items())[:1])) <= parsed.index(point)
    assert parsed.index({"nosuch": "a"}) is None
    keys = [parsed.cell(index).key for index in range(len(cells))]
    for (i, one), (j, other) in itertools.combinations(enumerate(cells), 2):
        assert (keys[i] == keys[j]) == (repr(sorted(one.items())) == repr(sorted(other.items())))
