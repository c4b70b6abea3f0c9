"""What cannot be done is refused before the first fit, all at once, with the name, the value and what is accepted."""

import re
import warnings

import joblib
import numpy as np
import optuna
import pytest
import scipy.stats
from estimators import KnownScore
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from optuna_search import OptunaSearchCV, named
from optuna_search.exceptions import InvalidRequestError, SpaceError

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2


class Counted(KnownScore):
    """Notes that it is fitted."""

    fits = []  # noqa: RUF012 - shared by the clones on purpose

    def fit(self, X, y=None):
        Counted.fits.append(self.x)
        return super().fit(X, y)


class CountedModel(LogisticRegression):
    """Notes that it is fitted."""

    def fit(self, X, y=None, sample_weight=None):
        Counted.fits.append(self.C)
        return super().fit(X, y, sample_weight)


PIPE = Pipeline([("scale", StandardScaler()), ("model", CountedModel())])


def shown(value):
    """The same text in every process, for the names of tests."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


@pytest.fixture(autouse=True)
def _nothing_was_fitted_yet():
    Counted.fits.clear()


def refused(error=InvalidRequestError, match=None, **params):
    """The complaint about a search: made without one, it comes at ``fit`` and before anything is fitted."""
    search = OptunaSearchCV(**{"estimator": Counted(), "param_distributions": {"x": [1, 2]}, "cv": 2, **params})
    for made in (search, clone(search)):  # to be cloned is not to be checked
        with pytest.raises(error, match=match) as raised:
            made.fit(X, Y)
        assert Counted.fits == []
        assert not hasattr(made, "cv_results_")
    return raised.value


def test_the_errors_are_those_that_scikit_learn_raises():
    assert issubclass(SpaceError, InvalidRequestError)
    assert issubclass(InvalidRequestError, ValueError) and issubclass(InvalidRequestError, TypeError)


# --- parameters -------------------------------------------------------------------------------------------------------

COUNTS = [True, False, 0, -1, 1.5, 2.0, "3", [3], np.nan]
SECONDS = [True, False, 0, -1, -0.5, "3", [3], np.nan]

WRONG = {
    "estimator": [3, "svc", None, KnownScore],
    "n_trials": COUNTS,
    "n_fits": COUNTS,
    "timeout": SECONDS,
    "fit_timeout": SECONDS,
    "sampler": ["bayes", 3, True, optuna.samplers.TPESampler],
    "pruner": ["best", 3, True, optuna.pruners.MedianPruner],
    "resource": [3, True, ["n_samples"], "speed"],
    "min_resources": [True, 0, -1, 1.5, [1]],
    "max_resources": [True, 0, -1, 1.5, [1]],
    "factor": [True, 1, 0.5, -3, "3", [3]],
    "initial_params": [{"x": 1}, "defaults", 3, True, [3], ["x"], [("x", 1)]],
    "objectives": ["accuracy", 3, True, {"accuracy": 1}],
    "storage": [3, True, ["s.db"], b"s.db"],
    "study_name": ["", "a\0b", 3, True, b"name", ["name"], "n" * 513],
    "fork_of": ["", ("parent", "s.db"), False, 3, KnownScore()],
    "scoring": ["accurate", 3, True],
    "n_jobs": [True, False, 0, 1.5, "2", [2]],
    "refit": [3, 1.5, ["x"], None],
    "cv": [1, 0, -2, 1.5, "five", True],
    "verbose": [-1, 1.5, "loud", None],
    "pre_dispatch": [1.5, [2], None],
    "error_score": ["ignore", [0], None, True],
    "return_train_score": ["yes", None, 3],
    "random_state": [-1, 1.5, "seed", [1], True, np.random.default_rng(0)],
    "callbacks": [3, "print", [3], [print, "print"], {"a": print}, True],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=shown
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name, value):
    raised = refused((ValueError, TypeError), **{name: value})
    text = str(raised)
    assert name in text
    if name not in ("scoring", "cv", "initial_params", "callbacks"):
        assert isinstance(raised, InvalidRequestError)
        assert repr(value) in text or isinstance(value, np.random.Generator)
        assert len(raised.complaints) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("scoring", "cv", "initial_params", "callbacks") for value in WRONG[name]],
    ids=shown,
)
def test_a_value_that_cannot_be_used_is_complained_of_once(name, value):
    raised = refused(**{name: value})
    assert name in str(raised)
    assert len(raised.complaints) == 1


def test_every_parameter_has_a_wrong_value_in_this_table():
    spaces = {"param_distributions", "param_grid"}
    assert set(WRONG) | spaces == set(OptunaSearchCV(Counted()).get_params(deep=False))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_trials", np.int64(3)),
        ("n_fits", np.int64(3)),
        ("timeout", 100),
        ("timeout", np.float64(100.0)),
        ("random_state", np.int64(3)),
        ("random_state", np.random.RandomState(0)),
        ("error_score", -1),
        ("error_score", -np.inf),
        ("error_score", np.float32(0.5)),
        ("verbose", False),
        ("n_jobs", -1),
        ("callbacks", ()),
        ("callbacks", []),
        ("initial_params", []),
        ("initial_params", ({"x": 1},)),
        ("objectives", None),
        ("study_name", "a name / with: everything \N{SNOWMAN} " * 5),
    ],
    ids=shown,
)
def test_a_value_that_can_be_used_is_not_refused(name, value):
    with joblib.parallel_config("threading"):
        OptunaSearchCV(Counted(), {"x": [1, 2]}, cv=2, refit=False, **{name: value}).fit(X, Y)


def test_the_message_says_what_was_given_what_is_accepted_and_what_to_do():
    assert "an int in the range [1, inf) or None. Got 0 instead" in str(refused(n_trials=0))
    assert str(refused(n_jobs=0)) == "n_jobs=0 has no meaning; it must be a whole number other than 0, or None."
    assert str(refused(timeout=True)) == "timeout=True must be a number, not a bool."
    assert "callables (study, frozen_trial)" in str(refused(callbacks=[3]))
    assert "'tpe', 'random'" in str(refused(sampler="best"))
    assert "give one of them" in str(refused(param_grid={"x": [1]}))


@pytest.mark.parametrize("name", ["n_trials", "sampler", "study_name", "initial_params", "storage", "callbacks"])
def test_nothing_is_checked_before_fit(name):
    for value in WRONG[name]:
        search = OptunaSearchCV(Counted(), {"x": [1, 2]}, **{name: value})
        assert repr(clone(search).get_params(deep=False)[name]) == repr(value)
        repr(search)
        search.set_params(**{name: value})


# --- all complaints at once -------------------------------------------------------------------------------------------


def test_all_complaints_about_parameters_come_at_once():
    raised = refused(n_trials=0, timeout=-1, n_jobs=0, sampler="best", study_name="", callbacks=[3])
    assert len(raised.complaints) == 6
    assert str(raised).startswith("6 things cannot be used as given:\n  1. ")
    for name in ("n_trials", "timeout", "n_jobs=0", "sampler='best'", "study_name=''", "callbacks="):
        assert name in str(raised)


def test_all_complaints_about_a_space_come_at_once():
    space = [{"x": "abc", "peak": []}, 3, {"choice": np.zeros((2, 2)), 5: [1]}]
    raised = refused(SpaceError, param_distributions=space)
    assert len(raised.complaints) == 5
    for words in ("'x'", "'peak'", "not a dict (3)", "'choice'", "got 5"):
        assert words in str(raised)


def test_complaints_about_parameters_and_about_the_form_of_the_space_come_at_once():
    raised = refused(param_distributions={"x": "abc"}, n_trials=0)
    assert len(raised.complaints) == 2
    assert "n_trials" in str(raised) and "'x'" in str(raised)


def test_complaints_about_parameters_and_about_names_in_the_space_come_at_once():
    raised = refused(param_distributions={"speed": [1]}, n_trials=0)
    assert len(raised.complaints) == 2
    assert "n_trials" in str(raised) and "'speed'" in str(raised)


def test_complaints_about_parameters_and_about_points_to_try_first_come_at_once():
    raised = refused(initial_params=[{"x": 9}], timeout=0)
    assert len(raised.complaints) == 2
    assert "timeout" in str(raised) and "{'x': 9}" in str(raised)


def test_complaints_about_the_fit_of_a_space_come_at_once():
    raised = refused(
        param_distributions=[{"speed": [1]}, {"x": [1], "colour": FloatDistribution(0, 1)}],
        initial_params=[{"x": 9}, 3],
        sampler="grid",
    )
    assert len(raised.complaints) == 5
    for words in ("'speed'", "'colour'", "{'x': 9}", "3 must be a dict", "sampler='grid' needs a space with an end"):
        assert words in str(raised)


# --- spaces -----------------------------------------------------------------------------------------------------------


def space_of_generator():
    return (value for value in (1, 2))


BAD_SPACES = {
    "nothing": (None, "There is nothing to search"),
    "a number": (3, "not a dict or a list, got: 3 of type int"),
    "a text": ("x", "not a dict or a list, got: 'x' of type str"),
    "a set": ({"x"}, "not a dict or a list"),
    "a generator": (space_of_generator(), "not a dict or a list"),
    "a frozen distribution": (scipy.stats.norm(), "not a dict or a list"),
    "an empty list": ([], "has no dict in it"),
    "a list of numbers": ([1, 2], r"not a dict \(1\)"),
    "a list of pairs": ([("x", [1])], "not a dict"),
    "a list with a callable": ([lambda trial: {}], "not a dict"),
    "a name that is no text": ({3: [1]}, "got 3 "),
    "a name that is None": ({None: [1]}, "got None "),
    "a single number": ({"x": 1}, "'x' needs to be a list or a numpy array, but got 1"),
    "a single None": ({"x": None}, "'x' needs to be a list.*got None"),
    "a text as choices": ({"x": "rbf"}, "'x' needs to be a list.*got 'rbf'"),
    "bytes as choices": ({"x": b"rbf"}, "'x' needs to be a list.*got b'rbf'"),
    "a set of choices": ({"x": {1}}, r"'x' needs to be a list.*got \{1\}"),
    "a dict as choices": ({"x": {"a": 1}}, "'x' needs to be a list"),
    "a generator of choices": ({"x": space_of_generator()}, "'x' needs to be a list"),
    "an estimator as choices": ({"x": LogisticRegression()}, "'x' needs to be a list"),
    "a distribution that is not frozen": ({"x": scipy.stats.norm}, r"Give 'x' .* with its parameters: norm\(\.\.\.\)"),
    "the class of a distribution": ({"x": FloatDistribution}, "Give 'x' an instance of FloatDistribution, not"),
    "a distribution of arrays": ({"x": scipy.stats.norm(loc=[0, 1])}, "'x' must be one of single numbers"),
    "a distribution that is none": ({"x": scipy.stats.loguniform(10, 1)}, r"'x' has no values: loguniform\(10, 1\)"),
    "a distribution of vectors": ({"x": scipy.stats.multivariate_normal([0, 0])}, "'x' needs to be a list"),
    "no choices": ({"x": []}, r"'x' need to be a non-empty sequence, got: \[\]"),
    "no choices in a tuple": ({"x": ()}, "'x' need to be a non-empty sequence"),
    "no choices in an array": ({"x": np.array([])}, "'x' need to be a non-empty sequence"),
    "no choices in a range": ({"x": range(0)}, "'x' need to be a non-empty sequence"),
    "no named choices": ({"x": named({})}, "'x' need to be a non-empty sequence"),
    "an array of two dimensions": ({"x": np.zeros((2, 2))}, r"'x' should be one-dimensional.*shape \(2, 2\)"),
    "an array without dimensions": ({"x": np.array(3)}, "'x' should be one-dimensional"),
    "an upper bound that is infinite": ({"x": FloatDistribution(0, np.inf)}, "'x'.*inf"),
    "a lower bound that is infinite": ({"x": FloatDistribution(-np.inf, 0)}, "'x'.*inf"),
    "an upper bound that is no number": ({"x": FloatDistribution(0, np.nan)}, "'x'.*nan"),
    "a lower bound that is no number": ({"x": FloatDistribution(np.nan, 1)}, "'x'.*nan"),
    "a whole number that is too large": ({"x": IntDistribution(0, 2**70)}, f"'x'.*{2**70}"),
    "a whole number that is too small": ({"x": IntDistribution(-(2**70), 0)}, f"'x'.*-{2**70}"),
    "a uniform of negative width": ({"x": scipy.stats.uniform(0, -1)}, "'x'.*uniform"),
    "a uniform without an end": ({"x": scipy.stats.uniform(0, np.inf)}, "'x'.*uniform"),
    "a uniform that is no number": ({"x": scipy.stats.uniform(np.nan, 1)}, "'x'.*uniform"),
    "a normal of negative width": ({"x": scipy.stats.norm(0, -1)}, "'x'.*norm"),
    "a normal that is no number": ({"x": scipy.stats.norm(np.nan, 1)}, "'x'.*norm"),
    "an empty randint": ({"x": scipy.stats.randint(5, 5)}, "'x'.*randint"),
    "a randint the wrong way round": ({"x": scipy.stats.randint(5, 2)}, "'x'.*randint"),
    "a loguniform from zero": ({"x": scipy.stats.loguniform(0, 1)}, "'x'.*loguniform"),
    "a binom of no probability": ({"x": scipy.stats.binom(4, 1.5)}, "'x'.*binom"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SPACES)
def test_a_space_that_cannot_be_read_is_refused(name):
    space, said = BAD_SPACES[name]
    # A generator cannot be copied, and so a search with one cannot be cloned.
    search = OptunaSearchCV(Counted(), space, n_trials=3, cv=2)
    with pytest.raises(SpaceError, match=f"(?s){said}"):
        search.fit(X, Y)
    assert Counted.fits == []


@pytest.mark.parametrize("name", ["a single number", "no choices", "a text as choices", "an array of two dimensions"])
def test_a_space_is_refused_in_the_words_of_grid_search(name):
    space, _ = BAD_SPACES[name]
    with pytest.raises((ValueError, TypeError)) as theirs:
        GridSearchCV(Counted(), space, cv=2).fit(X, Y)
    ours = refused(SpaceError, param_distributions=space)
    assert isinstance(ours, type(theirs.value))
    assert str(ours).startswith(str(theirs.value)[:60])


@pytest.mark.parametrize(
    ("estimator", "space", "name"),
    [
        (Counted(), {"speed": [1]}, "speed"),
        (Counted(), {"": [1]}, ""),
        (Counted(), {"x ": [1]}, "x "),
        (Counted(), {"X": [1]}, "X"),
        (Counted(), {"x": [1], "speed": FloatDistribution(0, 1)}, "speed"),
        (Counted(), {"speed": IntDistribution(1, 2)}, "speed"),
        (Counted(), {"speed": scipy.stats.norm()}, "speed"),
        (Counted(), {"speed": scipy.stats.poisson(1)}, "speed"),
        (Counted(), [{"x": [1]}, {"speed": [1]}], "speed"),
        (PIPE, {"C": [1.0]}, "C"),
        (PIPE, {"model__speed": [1.0]}, "speed"),
        (PIPE, {"step__C": [1.0]}, "step"),
        (PIPE, {"model__C": [1.0], "scale__speed": [1.0]}, "speed"),
        (PIPE, {"model": [CountedModel()], "model__speed": [1.0]}, "speed"),
        (Pipeline([("pipe", PIPE)]), {"pipe__model__speed": [1.0]}, "speed"),
        (PIPE, {"(space)": [1.0]}, "(space)"),
    ],
    ids=lambda value: shown(value) if isinstance(value, dict | list) else "",
)
def test_a_name_that_the_estimator_does_not_have_is_refused(estimator, space, name):
    raised = refused(match="Invalid parameter", estimator=estimator, param_distributions=space, n_trials=3)
    assert repr(name) in str(raised)
    assert "param_distributions" in str(raised)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [(Counted(), "x__y"), (PIPE, "model__C__deep"), (PIPE, "scale__with_mean__x"), (PIPE, "memory__x")],
    ids=["bare", "nested", "of a step", "of None"],
)
def test_a_name_inside_of_something_that_is_no_estimator_is_refused(estimator, name):
    raised = refused(estimator=estimator, param_distributions={name: [1]})
    assert name in str(raised)


def test_a_step_that_a_choice_puts_in_may_have_parameters_of_its_own():
    space = {"scale": [StandardScaler()], "scale__with_mean": [True, False], "model__C": FloatDistribution(0.1, 1.0)}
    assert OptunaSearchCV(PIPE, space, n_trials=2, cv=2).fit(X, Y).n_trials_ == 2


@pytest.mark.parametrize("name", ["param_distributions", "param_grid"])
def test_either_name_of_the_space_does(name):
    assert OptunaSearchCV(Counted(), **{name: {"x": [1, 2]}}, cv=2).fit(X, Y).n_trials_ == 2


def test_both_names_of_the_space_or_none_are_refused():
    assert "two names for one thing" in str(refused(SpaceError, param_grid={"x": [1, 2]}))
    assert "nothing to search" in str(refused(SpaceError, param_distributions=None))
    assert "two names for one thing" in str(refused(SpaceError, param_distributions={}, param_grid={}))


# --- points to try first ----------------------------------------------------------------------------------------------

LINE = {
    "x": FloatDistribution(0.0, 1.0),
    "peak": IntDistribution(0, 10, step=5),
    "choice": ["a", 1, None],
}


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"speed": 1}, "'speed' is not a parameter of the space"),
        ({"x": 2.0}, "x: 2.0 lies outside of numbers from 0.0 to 1.0"),
        ({"x": -1e-9}, "x: -1e-09 lies outside"),
        ({"x": "0.5"}, "x: '0.5' is not a number"),
        ({"x": True}, "x: True is not a number"),
        ({"x": None}, "x: None is not a number"),
        ({"x": np.nan}, "x: nan lies outside"),
        ({"x": 1j}, "x: 1j is not a number"),
        ({"peak": 3}, "peak: 3 lies outside of whole numbers from 0 to 10, step 5"),
        ({"peak": 15}, "peak: 15 lies outside"),
        ({"peak": 5.5}, "peak: 5.5 is not a whole number"),
        ({"peak": False}, "peak: False is not a whole number"),
        ({"choice": "b"}, "choice: 'b' is none of the choices one of [1, None, a]"),
        ({"choice": 1.0}, "choice: 1.0 is none of the choices"),
        ({"choice": True}, "choice: True is none of the choices"),
        ({"choice": "1"}, "choice: '1' is none of the choices"),
        ({"x": 0.5, "speed": 1}, "'speed' is not a parameter of the space"),
        ({3: 0.5}, "3 is not a parameter of the space"),
    ],
    ids=shown,
)
def test_a_point_that_is_not_in_the_space_is_refused(point, said):
    raised = refused(match=re.escape(said), param_distributions=LINE, initial_params=[{"x": 0.5}, point], n_trials=3)
    assert f"initial_params: {point!r} is not a point of the space" in str(raised)
    assert len(raised.complaints) == 1


def test_a_point_that_mixes_two_dicts_is_refused():
    space = [{"x": [1, 2]}, {"choice": ["a"], "peak": [1, 2]}]
    raised = refused(param_distributions=space, initial_params=[{"x": 1, "peak": 2}])
    assert "{'x': 1, 'peak': 2} is not a point of the space" in str(raised)


def test_a_point_that_a_callable_does_not_ask_for_is_refused():
    def space(trial):
        return {"x": trial.suggest_int("number", 1, 3)}

    raised = refused(param_distributions=space, initial_params=[{"x": 1}, {"number": 9}])
    assert "'x' is not asked for by" in str(raised)
    assert "number: 9 lies outside of whole numbers from 1 to 3" in str(raised)


def test_the_values_that_ask_for_nothing_are_accepted():
    defaults = {"pruner": None, "resource": None, "min_resources": "auto", "max_resources": "auto", "factor": 3.0}
    search = OptunaSearchCV(Counted(), {"x": [1, 2]}, cv=2, objectives=["score"], fork_of=None, **defaults)
    assert search.fit(X, Y).n_trials_ == 2


# --- what the sampler pursues -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", [None, "accuracy", ["accuracy", "f1"], {"accuracy": "accuracy"}], ids=str)
def test_an_objective_that_is_not_measured_is_refused(scoring):
    raised = refused(
        match=r"objectives=\['speed'\] is not a metric of scoring", objectives=["speed"], scoring=scoring, refit=False
    )
    assert "accuracy" in str(raised) or scoring is None


@pytest.mark.parametrize("objectives", [[], [3], [None], [["accuracy"]]], ids=shown)
def test_an_objective_that_is_no_name_of_a_metric_is_refused(objectives):
    raised = refused((InvalidRequestError, NotImplementedError), objectives=objectives, scoring="accuracy")
    assert f"objectives={objectives!r}" in str(raised)


def test_an_objective_that_a_function_does_not_measure_is_refused_when_it_is_known():
    search = OptunaSearchCV(
        KnownScore(),
        {"x": [1, 2]},
        objectives=["speed"],
        scoring=lambda estimator, X, y: {"one": 1.0, "two": 2.0},
        refit="one",
        cv=2,
    )
    with pytest.raises(InvalidRequestError, match=r"objectives=\['speed'\] is not a metric.*one, two"):
        search.fit(X, Y)


# --- data and folds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        {"Y": Y[:-1]},
        {"X": X[:0], "Y": Y[:0]},
        {"cv": 13},
        {"cv": KFold(13)},
        {"cv": GroupKFold(2)},
        {"cv": GroupKFold(2), "fit": {"groups": np.arange(5)}},
        {"cv": []},
        {"cv": iter([])},
        {"fit": {"sample_weight": np.ones(5)}, "estimator": CountedModel(), "param_grid": {"C": [1.0]}},
    ],
    ids=[
        "y too short",
        "no data",
        "too many folds",
        "too many folds of a splitter",
        "no groups",
        "groups too short",
        "no folds",
        "no folds of an iterator",
        "weights too short",
    ],
)
def test_data_and_folds_that_do_not_fit_are_refused_as_in_grid_search(case):
    case = {"X": X, "Y": Y, "cv": 2, "fit": {}, "estimator": Counted(), "param_grid": {"x": [1, 2]}, **case}
    messages = []
    for cls in (GridSearchCV, OptunaSearchCV):
        Counted.fits.clear()
        search = cls(case["estimator"], param_grid=case["param_grid"], cv=case["cv"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match=r"\w") as raised:
                search.fit(case["X"], case["Y"], **case["fit"])
        messages.append(str(raised.value))
    theirs, ours = messages
    if not isinstance(case["cv"], list) and "sample_weight" not in case["fit"]:
        assert ours == theirs
    if "sample_weight" not in case["fit"]:
        assert Counted.fits == []


@pytest.mark.parametrize("scoring", [[], ["accuracy", 3], ["accuracy", "accuracy"], {}, {1: "accuracy"}], ids=shown)
def test_scorers_that_cannot_be_used_are_refused_as_in_grid_search(scoring):
    with pytest.raises(ValueError, match=r"\w") as theirs:
        GridSearchCV(Counted(), {"x": [1, 2]}, scoring=scoring, refit=False).fit(X, Y)
    refused(ValueError, re.escape(str(theirs.value)), scoring=scoring, refit=False)


def test_folds_of_an_iterator_are_used_once_for_all():
    folds = list(KFold(3).split(X))
    once = OptunaSearchCV(KnownScore(), {"x": [1, 2]}, cv=iter(folds)).fit(X, Y)
    kept = OptunaSearchCV(KnownScore(), {"x": [1, 2]}, cv=folds).fit(X, Y)
    np.testing.assert_array_equal(once.cv_results_["mean_test_score"], kept.cv_results_["mean_test_score"])


@pytest.mark.parametrize(
    "folds",
    [
        [(np.arange(6), np.arange(6, 13))],
        [(np.arange(6, 13), np.arange(6))],
        [(np.arange(6), np.arange(6, 12)), (np.arange(6), np.array([-13]))],
    ],
    ids=["tests", "trains", "negative"],
)
def test_folds_that_point_outside_of_the_data_are_refused(folds):
    raised = refused(ValueError, "cv", cv=folds)
    assert "12" in str(raised)


@pytest.mark.parametrize("folds", [[(np.arange(6), [])], [([], np.arange(6))]], ids=["test", "train"])
def test_folds_with_an_empty_part_are_refused(folds):
    assert "empty" in str(refused(ValueError, "cv", cv=folds))


def test_folds_that_test_on_what_they_were_trained_on_are_warned_of():
    folds = [(np.arange(8), np.arange(6, 12)), (np.arange(4, 12), np.arange(4))]
    with pytest.warns(UserWarning, match="cv"):
        OptunaSearchCV(Counted(), {"x": [1, 2]}, cv=folds).fit(X, Y)
