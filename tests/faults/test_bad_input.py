"""Whatever is wrong with a call is said at once, by name and value, before anything is fitted or written.

One table holds every bad call. What some estimators can work with and others cannot, one class for instance, is for
the estimator to refuse, and comes out in its own words as from scikit-learn's searches.
"""

import contextlib
import datetime
import hashlib
import inspect
import re
import shlex
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from estimators import KnownScore
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from sklearn.base import BaseEstimator
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeavePOut, PredefinedSplit, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV, named, studies
from optuna_search.__main__ import main
from optuna_search._arguments import COMMANDS, VARIABLE
from optuna_search.exceptions import (
    InvalidRequestError,
    SpaceError,
    StorageError,
    StudyMismatchError,
)

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2
#: What is fitted, in whatever way, leaves its name here.
FITTED = []
#: Errors that only a programmer understands.
RAW = (KeyError, IndexError, AttributeError, UnboundLocalError, AssertionError)


class Counted(KnownScore):
    """Notes that it is fitted."""

    def fit(self, X, y=None):
        FITTED.append("Counted")
        return super().fit(X, y)


class CountedModel(LogisticRegression):
    """Notes that it is fitted."""

    def fit(self, X, y=None, sample_weight=None):
        FITTED.append("CountedModel")
        return super().fit(X, y, sample_weight)


class CountedRegressor(Ridge):
    """Notes that it is fitted."""

    def fit(self, X, y=None, sample_weight=None):
        FITTED.append("CountedRegressor")
        return super().fit(X, y, sample_weight)


@pytest.fixture(autouse=True)
def _nothing_was_fitted_yet():
    FITTED.clear()


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A bad call."""

    #: The parameter, or the function, that it is about.
    about: str
    name: str
    #: Given what there is, and so a folder of its own, does it.
    do: Callable[[Any], Any]
    #: What its error says, among other things.
    said: tuple[str, ...]
    error: type[Exception] = InvalidRequestError


TABLE: list[Call] = []


def text(value):
    """What a message shows of a value."""
    try:
        return repr(value)
    except RuntimeError:  # of an estimator that has no parameters to show
        return object.__repr__(value)


def shown(value):
    """The same short text in every process, for the names of tests."""
    kind = "NumPy's " if isinstance(value, np.generic) else ""  # whose repr was once that of any number
    return kind + re.sub(r"\s+", " ", re.sub(r" at 0x[0-9a-fA-F]+", "", text(value)))[:60]


def fitting(X=X, y=Y, fit_params=None, **params):
    """A search with parameters that are made of what there is, if they are functions of `there`, and its fit."""

    def do(there):
        given = {"estimator": Counted(), "cv": 2, "storage": there.own / "s.db", **params}
        if "param_grid" not in given:
            given.setdefault("param_distributions", {"x": [1, 2]})
        made = {name: value(there) if isinstance(value, InPlace) else value for name, value in given.items()}
        return OptunaSearchCV(**made).fit(X, y, **(fit_params or {}))

    return do


class InPlace:
    """A value that is made of what there is."""

    def __init__(self, make):
        self.make = make

    def __call__(self, there):
        return self.make(there)


def refuse(about, *said, error=InvalidRequestError, name=None, **params):
    """Enter a search that cannot be fitted."""
    given = params.get(about, "")
    TABLE.append(Call(about, f"{about} {name or shown(given)}", fitting(**params), said, error))


def refuse_call(about, do, *said, error=InvalidRequestError):
    """Enter another call."""
    TABLE.append(Call(about, f"{about} {len(TABLE)}", do, said, error))


# --- parameters -------------------------------------------------------------------------------------------------------


class OnlyFits:
    """Has nothing but ``fit``."""

    def fit(self, X, y=None):
        FITTED.append("OnlyFits")
        return self


class Changed(Counted):
    """Changes what it was given, so that it cannot be cloned."""

    def __init__(self, x=0.0):
        self.x = [x]


class Nameless(BaseEstimator):
    """Has parameters without names."""

    def __init__(self, *values):
        self.values = values

    def fit(self, X, y=None):
        FITTED.append("Nameless")
        return self


class PathOfBytes:
    """A path that is no text."""

    def __fspath__(self):
        return b"s.db"


HUGE = 10**400
COUNTS = [True, 0, -1, 1.5, 2.0, "3", [3], {}, np.nan, np.inf, np.float64(2), np.bool_(True), np.array([3]), HUGE]
SECONDS = [True, 0, -0.5, "3", [3], np.nan, np.inf, HUGE, np.timedelta64(3, "s"), datetime.timedelta(seconds=3)]

VALUES = [
    ("estimator", [None, "svc", 3, {}, KnownScore, Pipeline, Counted().fit, OnlyFits(), Changed(), Nameless(1)]),
    ("estimator", [Counted(choice=threading.Lock())]),
    ("param_distributions", [3, "x", b"x", np.array([1]), iter([1]), scipy.stats.norm(), object(), np.nan]),
    ("param_grid", [3, "x", b"x", [], (), scipy.stats.norm(), True, 1j]),
    ("n_trials", COUNTS),
    ("n_fits", COUNTS),
    ("timeout", SECONDS),
    ("fit_timeout", SECONDS),
    ("sampler", ["", "bayes", 3, True, [], TPESampler, np.array([1, 2]), ["tpe"], MedianPruner()]),
    ("pruner", ["", "best", 3, True, [], MedianPruner, np.array([1, 2]), RandomSampler()]),
    ("resource", [3, True, ["n_samples"], "", "speed", np.array(["x"])]),
    ("min_resources", [True, 0, -1, 1.5, [1], "", "exhausted", None]),
    ("max_resources", [True, 0, -1, 1.5, [1], "", "exhaust", None]),
    ("factor", [True, 1, 0.5, -3, "3", [3], np.nan, None, HUGE]),
    ("initial_params", ["", "defaults", {"x": 1}, 3, True, np.array([1]), (value for value in [{"x": 1}])]),
    ("objectives", [[], (), "accuracy", 3, {"score": 1}, [3], [None], [["score"]], ["speed"], ["score", "speed"]]),
    ("objectives", [["score", "score"]]),
    ("storage", [3, True, "", " ", b"s.db", ["s.db"], InMemoryStorage, object(), PathOfBytes()]),
    ("study_name", ["", "a\0b", "\ud800", 3, True, b"name", ["name"], "n" * 513, "{data}" + "n" * 506]),
    ("fork_of", ["", "a\0b", 3, False, b"name", ["name"], KnownScore(), ("parent", "s.db")]),
    ("scoring", ["accurate", 3, True, [], (), {}, [3], [None], ["accuracy", "accuracy"], {"a": 3}, {"a": "accurate"}]),
    ("scoring", [dict, lambda: 1.0, {"a": lambda: 1.0}]),
    ("n_jobs", [True, 0, 1.5, "2", [2], np.nan, 2**70, -(2**70)]),
    ("refit", [3, 1.5, None, ["x"], np.nan, dict, lambda: 0]),
    ("cv", [0, 1, -2, 1.5, True, "five", b"five", KFold, object(), np.nan, np.array(3)]),
    ("verbose", [-1, 1.5, "loud", None, np.nan]),
    ("pre_dispatch", [0, -1, True, 1.5, None, [2], "", "many", "2*", "print(1)", np.nan]),
    ("error_score", ["ignore", None, True, [0], np.array([0.0]), HUGE]),
    ("return_train_score", ["yes", None, 3, 0.0]),
    ("random_state", [True, -1, 1.5, "seed", [1], 2**32, np.nan, np.random.default_rng(0)]),
    ("callbacks", [3, True, "print", {"a": print}, [3], [print, "print"], dict, lambda: None, [lambda study: None]]),
]

for _name, _values in VALUES:
    for _value in _values:
        _more = {"refit": False} if _name == "scoring" else {}
        _more |= {"param_distributions": None} if _name == "param_grid" else {}
        _error = SpaceError if _name.startswith("param_") else InvalidRequestError
        refuse(_name, _name, text(_value), error=_error, **{_name: _value}, **_more)

# --- spaces -----------------------------------------------------------------------------------------------------------


def changed(distribution, **attributes):
    """An Optuna distribution that somebody has changed since it was made."""
    for name, value in attributes.items():
        setattr(distribution, name, value)
    return distribution


class Unsupported:
    """Looks like a distribution, and has no values."""

    dist = SimpleNamespace(name="odd")
    args = (1,)
    kwds = {}  # noqa: RUF012

    def ppf(self, quantile):
        return quantile

    def support(self):
        raise RuntimeError("no support")


#: One parameter of a space, and what is said of it beside its name.
DIMENSIONS = {
    "a number": (1, "needs to be a list", "got 1 "),
    "None": (None, "needs to be a list", "got None "),
    "a text": ("rbf", "needs to be a list", "got 'rbf' "),
    "bytes": (b"rbf", "needs to be a list", "got b'rbf' "),
    "an array of bytes": (bytearray(b"rbf"), "needs to be a list", "got bytearray(b'rbf') "),
    "a set": ({1}, "needs to be a list", "got {1} "),
    "a dict": ({"a": 1}, "needs to be a list", "got {'a': 1} "),
    "a generator": ((value for value in (1, 2)), "needs to be a list", "generator"),
    "a series": (pd.Series([1, 2]), "needs to be a list", "Series"),
    "an estimator": (SVC(), "needs to be a list", "got SVC() "),
    "a function": (len, "needs to be a list", "<built-in function len>"),
    "no choices": ([], "non-empty sequence, got: []"),
    "no choices in a tuple": ((), "non-empty sequence, got: ()"),
    "no choices in an array": (np.array([]), "non-empty sequence, got: array("),
    "no choices in a range": (range(0), "non-empty sequence, got: range(0, 0)"),
    "no named choices": (named({}), "non-empty sequence, got: named({})"),
    "choices named by numbers": (named({1: "a"}), "named by texts, got named({1: 'a'})"),
    "no choices any more": (changed(CategoricalDistribution([1]), choices=()), "non-empty sequence, got: ()"),
    "an array of two dimensions": (np.zeros((1, 2)), "one-dimensional, got: array([[0., 0.]])"),
    "an array of none": (np.array(3), "one-dimensional, got: array(3)"),
    "no upper bound": (FloatDistribution(0, np.inf), "must be finite", "from 0.0 to inf"),
    "no lower bound": (FloatDistribution(-np.inf, 0), "must be finite", "from -inf to 0.0"),
    "an upper bound NaN": (FloatDistribution(0, np.nan), "has no values", "high=nan"),
    "a lower bound NaN": (FloatDistribution(np.nan, 1), "has no values", "low=nan"),
    "a range too wide": (FloatDistribution(-1.7e308, 1.7e308), "wider than any float", "1.7e+308"),
    "a bound that is a text": (changed(FloatDistribution(0, 1), low="a"), "low=a"),
    "a bound that is None": (changed(IntDistribution(0, 1), high=None), "high=None"),
    "bounds the wrong way round": (changed(FloatDistribution(0, 1), low=3), "has no values", "between 3 and 1.0"),
    "a logarithm of zero": (changed(FloatDistribution(1, 2, log=True), low=0.0), "log=True", "low=0"),
    "a logarithm with steps": (changed(FloatDistribution(1, 2, log=True), step=0.1), "step=0.1", "not supported"),
    "a step of zero": (changed(FloatDistribution(0, 1, step=0.5), step=0), "step=0"),
    "a negative step": (changed(IntDistribution(0, 10, step=2), step=-2), "step=-2"),
    "a step NaN": (changed(FloatDistribution(0, 1, step=0.5), step=np.nan), "the step is nan"),
    "a whole step of zero": (changed(IntDistribution(0, 10, step=2), step=0), "step=0"),
    "a fractional bound": (changed(IntDistribution(0, 3), low=0.5), "must be whole numbers, got 0.5 to 3"),
    "a whole number too large": (IntDistribution(0, 2**70), "within +-2**53", str(2**70)),
    "a whole number too small": (IntDistribution(-(2**70), 0), "within +-2**53", str(-(2**70))),
    "a randint too large": (scipy.stats.randint(0, 2**62), "within +-2**53"),
    "the class of a range": (FloatDistribution, "an instance of FloatDistribution, not the class"),
    "a distribution that is not frozen": (scipy.stats.norm, "with its parameters: norm(...)"),
    "a distribution of arrays": (scipy.stats.norm(loc=[0, 1]), "single numbers, got norm(loc=[0, 1])"),
    "a distribution of vectors": (scipy.stats.multivariate_normal([0, 0]), "needs to be a list"),
    "a distribution of texts": (scipy.stats.norm("a", 1), "norm('a', 1), makes no sense"),
    "a distribution without support": (Unsupported(), "odd(1), makes no sense: no support"),
    "a uniform of negative width": (scipy.stats.uniform(0, -1), "has no values: uniform(0, -1)"),
    "a uniform without an end": (scipy.stats.uniform(0, np.inf), "uniform(0, inf)"),
    "a normal NaN": (scipy.stats.norm(np.nan, 1), "has no values: norm(nan, 1)"),
    "a loguniform from zero": (scipy.stats.loguniform(0, 1), "loguniform(0, 1)"),
    "a randint of nothing": (scipy.stats.randint(5, 5), "randint(5, 5)"),
    "a poisson of less than nothing": (scipy.stats.poisson(-1), "poisson(-1)"),
}  # fmt: skip

for _name, (_dimension, *_said) in DIMENSIONS.items():
    _space = {"x": _dimension}
    refuse("param_distributions", "'x'", *_said, error=SpaceError, name=_name, param_distributions=_space, n_trials=3)

PIPE = Pipeline([("scale", StandardScaler()), ("model", CountedModel())])

SPACES = {
    "of nothing": (None, "There is nothing to search"),
    "of no dict": ([], "param_distributions=[] has no dict in it"),
    "of numbers": ([1, 2], "not a dict (1)", "not a dict (2)"),
    "of pairs": ([("x", [1])], "not a dict (('x', [1]))"),
    "of a dict and a number": ([{"x": [1]}, 3], "not a dict (3)"),
    "of a dict and None": ([{"x": [1]}, None], "not a dict (None)"),
    "of a function in a list": ([len], "not a dict (<built-in function len>)"),
    "with a number for a name": ({3: [1]}, "has a name, a str; got 3 (of type int)"),
    "with None for a name": ({None: [1]}, "got None (of type NoneType)"),
    "with a pair for a name": ({("x", "y"): [1]}, "got ('x', 'y') (of type tuple)"),
    "with bytes for a name": ({b"x": [1]}, "got b'x' (of type bytes)"),
    "with NaN for a name": ({np.nan: [1]}, "got nan (of type float)"),
    "with an unknown name": ({"speed": [1]}, "with 'speed' does not fit", "Invalid parameter 'speed'"),
    "with no name": ({"": [1]}, "with '' does not fit"),
    "with a name and a space": ({"x ": [1]}, "with 'x ' does not fit"),
    "with a name of our own": ({"(space)": [1]}, "with '(space)' does not fit"),
    "with a name like a quantile": ({"quantile(x)": [1]}, "with 'quantile(x)' does not fit"),
    "with a name inside of a number": ({"x__y": [1]}, "with 'x__y' does not fit"),
    "with an unknown name in one dict": ([{"x": [1]}, {"speed": [1]}], "with 'speed' does not fit"),
    "with a choice that cannot be copied": ({"choice": [threading.Lock()]}, "'choice'", "cannot be copied"),
}

for _name, (_space, *_said) in SPACES.items():
    refuse("param_distributions", *_said, name=_name, param_distributions=_space)
    if _space is not None:
        _theirs = [words.replace("param_distributions", "param_grid") for words in _said]
        refuse("param_grid", *_theirs, name=_name, param_grid=_space)

for _name in ("C", "model__speed", "step__C", "scale__model__C", "model__C__deep", "memory__x"):
    refuse("param_distributions", repr(_name), "does not fit", estimator=PIPE, param_distributions={_name: [1.0]})

refuse("param_grid", "two names for one thing", param_grid={"x": [1]}, param_distributions={"x": [1]})
refuse("param_grid", "two names for one thing", param_grid={}, param_distributions={})

# --- spaces that are functions ----------------------------------------------------------------------------------------


def asking(ask, returned=None):
    """A space that asks for something."""

    def space(trial):
        found = ask(trial)
        return {"x": found} if returned is None else returned

    return space


def failing(trial):
    return {"x": {}["speed"]}


def failing_at_a_place(trial):
    return {"x": [1, 2][trial.suggest_int("x", 5, 9)]}


def failing_without_words(trial):
    raise AssertionError


def yielding(trial):
    yield {"x": 1}


FUNCTIONS = {
    "without an argument": (lambda: {"x": 1}, "must take one argument, a trial"),
    "with two arguments": (lambda trial, more: {}, "must take one argument, a trial"),
    "a class": (dict, "param_distributions=dict raised TypeError"),
    "that raises a KeyError": (failing, "failing raised KeyError: 'speed'"),
    "that raises an IndexError": (failing_at_a_place, "raised IndexError: list index out of range"),
    "that fails an assertion": (failing_without_words, "failing_without_words raised AssertionError"),
    "that knows trials": (asking(lambda trial: trial.number), "no trial.number: only suggest_float"),
    "that wants to report": (asking(lambda trial: trial.report(1.0, 1)), "no trial.report: only suggest_float"),
    "that returns None": (asking(lambda trial: 1, ()), "returned () (of type tuple)"),
    "that returns a list": (asking(lambda trial: 1, [1]), "returned [1] (of type list)"),
    "that returns a text": (asking(lambda trial: 1, "x"), "returned 'x' (of type str)"),
    "that returns numbers by number": (asking(lambda trial: 1, {3: 1}), "returned {3: 1} (of type dict)"),
    "that yields": (yielding, "of type generator"),
    "that returns an unknown name": (asking(lambda trial: 1, {"speed": 1}), "with 'speed' does not fit"),
    "that asks for one thing in two ways": (
        asking(lambda trial: (trial.suggest_int("x", 0, 3), trial.suggest_float("x", 0, 3))),
        "asks for 'x' twice in one trial",
    ),
    "that asks for other choices": (
        asking(lambda trial: [trial.suggest_categorical("x", choices) for choices in ([1, 2], [1, 2, 3])]),
        "asks for 'x' twice in one trial",
    ),
    "bounds the wrong way round": (asking(lambda trial: trial.suggest_float("x", 3, 0)), "'x' from 3 to 0"),
    "a bound NaN": (asking(lambda trial: trial.suggest_float("x", np.nan, 1)), "'x' from nan to 1"),
    "no upper bound": (asking(lambda trial: trial.suggest_float("x", 0, np.inf)), "'x' from 0 to inf"),
    "a bound that is a text": (asking(lambda trial: trial.suggest_float("x", "0", 1)), "'x' from '0' to 1"),
    "a bound that is None": (asking(lambda trial: trial.suggest_int("x", None, 1)), "'x' from None to 1"),
    "a logarithm of zero": (asking(lambda trial: trial.suggest_float("x", 0, 1, log=True)), "log=True", "low=0"),
    "a step of zero": (asking(lambda trial: trial.suggest_int("x", 0, 9, step=0)), "step=0"),
    "a logarithm with steps": (
        asking(lambda trial: trial.suggest_float("x", 1, 2, step=0.1, log=True)),
        "step=0.1, log=True",
    ),
    "a fractional bound": (asking(lambda trial: trial.suggest_int("x", 0.5, 9)), "'x' from 0.5 to 9", "whole"),
    "a whole number too large": (asking(lambda trial: trial.suggest_int("x", 0, 2**70)), "within +-2**53"),
    "no choices": (asking(lambda trial: trial.suggest_categorical("x", [])), "'x'", "non-empty sequence, got: []"),
    "choices that are none": (asking(lambda trial: trial.suggest_categorical("x", None)), "'x'", "got None"),
    "a text of choices": (asking(lambda trial: trial.suggest_categorical("x", "abc")), "'x'", "got 'abc'"),
    "a range of choices": (
        asking(lambda trial: trial.suggest_categorical("x", FloatDistribution(0, 1))),
        "suggest_categorical('x', FloatDistribution(",
    ),
    "a name that is a number": (asking(lambda trial: trial.suggest_int(3, 0, 1)), "name=3 must be a str"),
    "a name that is empty": (asking(lambda trial: trial.suggest_int("", 0, 1)), "name='' is no name"),
    "a name with NUL": (asking(lambda trial: trial.suggest_int("a\0b", 0, 1)), r"name='a\x00b' is no name"),
    "a name of half a character": (asking(lambda trial: trial.suggest_int("\ud800", 0, 1)), r"name='\ud800'"),
    "a name too long": (asking(lambda trial: trial.suggest_categorical("n" * 513, [1])), "has 513 characters"),
    "lambdas in a storage": (
        asking(lambda trial: trial.suggest_categorical("x", [lambda: 1, lambda: 2])),
        "'x' cannot be told apart by name",
    ),
}

for _name, (_space, *_said) in FUNCTIONS.items():
    refuse("param_distributions", *_said, name=f"function {_name}", param_distributions=_space, n_trials=3)

# --- choices that a storage cannot tell apart -------------------------------------------------------------------------


class Thing:
    """Says nothing about itself."""


CHOICES_ALIKE = {
    "lambdas": [lambda: 1, lambda: 2],
    "objects": [object(), object()],
    "things": [Thing(), Thing(), Thing()],
    "functions of a loop": [asking(len), asking(max)],
    "estimators with lambdas": [SVC(kernel=lambda a, b: 1), SVC(kernel=lambda a, b: 2)],
    "lists of lambdas": [[lambda: 1], [lambda: 2]],
}

for _name, _choices in CHOICES_ALIKE.items():
    _said = ("The choices of 'choice' cannot be told apart by name", "choice=optuna_search.named(")
    refuse("param_distributions", *_said, name=_name, param_distributions={"choice": _choices})
    _journal = InPlace(lambda there: there.own / "s.journal")
    _said = ("The choices of 'choice' cannot be told apart by name",)
    refuse("storage", *_said, name=f"a journal for {_name}", storage=_journal, param_distributions={"choice": _choices})
    _said = ("cannot be told apart by name",)
    _dicts = [{"choice": [choice], "x": [place]} for place, choice in enumerate(_choices)]
    refuse("param_distributions", *_said, name=f"{_name} in two dicts", param_distributions=_dicts)

# --- points to try first ----------------------------------------------------------------------------------------------

SOME = {"x": FloatDistribution(0.0, 1.0), "peak": IntDistribution(0, 10, step=5), "choice": ["a", 1, None]}

POINTS = {
    "an unknown name": ({"speed": 1}, "'speed' is not a parameter of the space"),
    "a name that is a number": ({3: 1}, "3 is not a parameter of the space"),
    "a number too large": ({"x": 2.0}, "x: 2.0 lies outside of numbers from 0.0 to 1.0"),
    "a number too small": ({"x": -1e-9}, "x: -1e-09 lies outside"),
    "a number beyond floats": ({"x": HUGE}, "x: 1000", "is larger than any float"),
    "a text": ({"x": "0.5"}, "x: '0.5' is not a number"),
    "a bool": ({"x": True}, "x: True is not a number"),
    "None": ({"x": None}, "x: None is not a number"),
    "NaN": ({"x": np.nan}, "x: nan lies outside"),
    "NA": ({"x": pd.NA}, "x: <NA> is not a number"),
    "a complex number": ({"x": 1j}, "x: 1j is not a number"),
    "a list": ({"x": [0.5]}, "x: [0.5] is not a number"),
    "an array": ({"x": np.array([0.5])}, "x: array([0.5]) is not a number"),
    "beside the steps": ({"peak": 3}, "peak: 3 lies outside of whole numbers from 0 to 10, step 5"),
    "a fraction": ({"peak": 5.5}, "peak: 5.5 is not a whole number"),
    "a whole number beyond floats": ({"peak": HUGE}, "is larger than any float"),
    "another choice": ({"choice": "b"}, "choice: 'b' is none of the choices one of [1, None, a]"),
    "a choice of another type": ({"choice": 1.0}, "choice: 1.0 is none of the choices"),
    "two of it": ({"x": 2.0, "choice": "b"}, "x: 2.0 lies outside", "choice: 'b' is none of the choices"),
}

for _name, (_point, *_said) in POINTS.items():
    _params = {"param_distributions": SOME, "initial_params": [{"x": 0.5}, _point], "n_trials": 3}
    refuse("initial_params", "initial_params: {", *_said, name=_name, **_params)

for _one in (3, None, "x", [("x", 1)], {"x"}):
    refuse("initial_params", f"{_one!r} must be a dict", name=f"holds {shown(_one)}", initial_params=[{"x": 1}, _one])

for _frozen, _value in (
    (scipy.stats.expon(), -1.0), (scipy.stats.binom(4, 0.5), 5), (scipy.stats.poisson(1), 0.5),
    (scipy.stats.poisson(1), np.nan), (scipy.stats.poisson(1), np.inf), (scipy.stats.norm(), np.nan),
):  # fmt: skip
    _params = {"param_distributions": {"x": _frozen}, "initial_params": [{"x": _value}], "n_trials": 3}
    _said = (f"x: {_value!r} is never drawn from quantiles of {_frozen.dist.name}(",)
    refuse("initial_params", *_said, name=f"{_value} of {_frozen.dist.name}", **_params)

_asking = asking(lambda trial: 1 / trial.suggest_int("number", 0, 3))
for _point, _text in (
    ({"x": 1}, "'x' is not asked for by asking"),
    ({"number": 9}, "number: 9 lies outside of whole numbers from 0 to 3."),
    ({"number": 0}, "ZeroDivisionError: division by zero"),
):
    refuse("initial_params", _text, repr(_point), param_distributions=_asking, initial_params=[_point], n_trials=3)

# --- what does not go together ----------------------------------------------------------------------------------------

ENDLESS = {"x": FloatDistribution(0, 1)}
needs_an_end = "needs a space with an end: choices, whole numbers, ranges with a step"
for _sampler in ("grid", "brute-force"):
    refuse("sampler", f"sampler={_sampler!r} {needs_an_end}", sampler=_sampler, param_distributions=ENDLESS)
_function = asking(lambda trial: trial.suggest_int("x", 0, 1))
refuse("sampler", f"sampler='grid' {needs_an_end}", sampler="grid", param_distributions=_function, name="of a function")
refuse("sampler", "sampler=array([1, 2]) must be", sampler=np.array([1, 2]), param_distributions=ENDLESS, name="array")

METRICS = ["accuracy", "f1"]
MODEL = {"estimator": CountedModel(), "param_distributions": {"C": [1.0, 2.0]}}
for _refit in (True, "speed", "score"):
    _said = ("For multi-metric scoring, the parameter refit must be set to a scorer key", f"{_refit!r}"[:4])
    refuse("refit", *_said[:1], scoring=METRICS, refit=_refit, **MODEL)
refuse("refit", "parameter refit must be set", scoring={"a": "accuracy"}, refit="accuracy", **MODEL, name="by scorer")
for _objectives, _scoring in ((["speed"], METRICS), (["f1", "speed"], METRICS), (["f1"], "accuracy")):
    _said = (f"objectives={_objectives!r}", "is not a metric of scoring; there are")
    _name = f"{_objectives} of {_scoring}"
    refuse("objectives", *_said, name=_name, objectives=_objectives, scoring=_scoring, refit=False, **MODEL)
refuse("scoring", "scoring=None: ", "'score' method", estimator=StandardScaler(), param_distributions={"copy": [True]})
refuse("min_resources", "min_resources=9 is more than max_resources=3", min_resources=9, max_resources=3)
refuse("fork_of", "fork_of='svc'", "storage=None", fork_of="svc", storage=None)

# --- where it is kept -------------------------------------------------------------------------------------------------

STORAGES = {
    "a folder": (InPlace(lambda there: there.kept), "is a folder"),
    "a folder that is not there": (InPlace(lambda there: there.own / "no" / "s.db"), "there is no folder"),
    "a journal in no folder": (InPlace(lambda there: there.own / "no" / "s.journal"), "there is no folder"),
    "a file in a file": (InPlace(lambda there: there.kept / "text.db" / "s.db"), "there is no folder"),
    "a text": (InPlace(lambda there: there.kept / "text.db"), "text.db' is not an optuna_search study file"),
    "a text that is no journal": (
        InPlace(lambda there: there.kept / "text.journal"),
        "text.journal' is damaged in line 1",
    ),
    "the database of somebody else": (
        InPlace(lambda there: there.kept / "bank.db"),
        "bank.db' is not an optuna_search study file",
    ),
    "a path with NUL": ("a\0b.db", r"storage='a\x00b.db' cannot be opened"),
    "a path of half a character": ("\ud800.db", r"storage='\ud800.db' cannot be opened"),
    "a path too long": ("x" * 5000, "storage='xxx", "cannot be opened"),
    "a user that is not there": ("~nobody-of-that-name/s.db", "storage='~nobody-of-that-name/s.db' cannot be opened"),
    "a URL of nothing": ("://", "storage='://' is no URL"),
    "a URL of something else": ("https://localhost/x", "storage='https://localhost/x' cannot be opened"),
    "a URL of no file": ("sqlite:///no/such/folder/s.db", "storage='sqlite:///no/such/folder/s.db' cannot be opened"),
    "a URL with a bad port": (
        "postgresql+psycopg://me:pw@localhost:port/x",
        "me:***@localhost:port/x' is no URL",
        "'port'",
    ),
    "a proxy with a bad port": (
        "grpc://localhost:port",
        "storage='grpc://localhost:port' is no URL: its port is no number",
    ),
    "a server that is not there": ("postgresql+psycopg://me:pw@127.0.0.1:1/x", "storage='postgresql+psycopg://me:***@"),
    "a variable that is not set": ("${NO_SUCH_VARIABLE}", "environment variable NO_SUCH_VARIABLE, which is not set"),
    "a password that is not set": ("postgresql://me:${NO_SUCH}@h/x", "environment variable NO_SUCH, which is not set"),
}

for _name, (_storage, *_said) in STORAGES.items():
    refuse("storage", "storage=", *_said, error=StorageError, name=_name, storage=_storage, study_name="svc")

KEPT = InPlace(lambda there: there.path)
refuse("fork_of", "fork_of='svm' is not in this storage", "'svc'", error=StorageError, fork_of="svm", storage=KEPT)
for _params in (
    {"cv": 3}, {"error_score": 0.0}, {"scoring": "accuracy"}, {"param_distributions": {"x": [1, 2, 3]}},
    {"estimator": Counted(peak=3.0)}, {"X": X + 1}, {"y": 1 - Y},
):  # fmt: skip
    _said = ("study_name='svc' was measured on something else",)
    _name = f"of other {', '.join(_params)}"
    refuse("study_name", *_said, error=StudyMismatchError, name=_name, storage=KEPT, study_name="svc", **_params)
refuse("fork_of", "exists already and is", error=StudyMismatchError, fork_of="two", storage=KEPT, study_name="svc")

# --- folds ------------------------------------------------------------------------------------------------------------

HALVES = (np.arange(6), np.arange(6, 12))


class Splitter(KFold):
    """Splits in whatever way it is told."""

    def __init__(self, folds, n_splits=1):
        self.folds = folds
        self.n_splits = n_splits

    def split(self, X, y=None, groups=None):
        return self.folds


FOLDS = {
    "of None": ([None], "fold 0 is None, and must be a pair"),
    "of numbers": (range(2), "fold 0 is 0, and must be a pair", "fold 1 is 1"),
    "of three parts": ([(*HALVES, 1)], "fold 0 is (array(", "must be a pair"),
    "of one part": ([HALVES[:1]], "fold 0 is (array(", "must be a pair"),
    "by name": ({"first": HALVES}, "fold 0 is 'first', and must be a pair"),
    "of texts": ([("a", "b")], "the training part of fold 0", "got 'a'", "got 'b'"),
    "of fractions": ([(HALVES[0] + 0.5, HALVES[1])], "the training part of fold 0 must be indices", "got array([0.5,"),
    "of floats": ([(HALVES[0], HALVES[1] * 1.0)], "the test part of fold 0 must be indices", "got array([ 6."),
    "of NaN": ([(HALVES[0], [np.nan])], "the test part of fold 0 must be indices of samples or a mask, got [nan]"),
    "of Nones": ([(None, HALVES[1])], "the training part of fold 0 must be indices of samples or a mask, got None"),
    "of slices": ([(slice(6), slice(6, 12))], "got slice(None, 6, None)", "got slice(6, 12, None)"),
    "of single numbers": ([(3, 4)], "got 3", "got 4"),
    "of tables": ([(HALVES[0].reshape(2, 3), HALVES[1])], "got array([[0, 1, 2], [3, 4, 5]])"),
    "of lists of several lengths": ([([[1], [2, 3]], HALVES[1])], "got [[1], [2, 3]]"),
    "of objects": ([(HALVES[0].astype(object), HALVES[1])], "the training part of fold 0 must be indices"),
    "of numbers too large": ([([2**70], HALVES[1])], f"got [{2**70}]"),
    "out of range": ([(HALVES[0], np.arange(6, 13))], "test part of fold 0 has indices from 6 to 12", "12 samples"),
    "out of range below": ([(HALVES[0], [-13])], "test part of fold 0 has indices from -13 to -13"),
    "out of range in training": ([HALVES, (np.arange(13), [0])], "training part of fold 1 has indices from 0 to 12"),
    "with a short mask": ([(np.ones(5, bool), HALVES[1])], "a mask of 5 samples; there are 12 samples"),
    "with a long mask": ([(HALVES[0], np.ones(50, bool))], "a mask of 50 samples; there are 12 samples"),
    "with an empty mask": ([(np.zeros(12, bool), HALVES[1])], "the training part of fold 0 is empty"),
    "without training": ([([], HALVES[1])], "the training part of fold 0 is empty"),
    "without a test": ([(HALVES[0], [])], "the test part of fold 0 is empty"),
    "of a splitter that gives None": (Splitter(None), "must give pairs of indices", "gives None"),
    "of a splitter that gives numbers": (Splitter([1]), "fold 0 is 1, and must be a pair"),
    "of a splitter beyond the data": (Splitter([(HALVES[0], [12])]), "test part of fold 0 has indices from 12 to 12"),
}

for _name, (_cv, *_said) in FOLDS.items():
    refuse("cv", "cv", *_said, name=f"folds {_name}", cv=_cv)
    if isinstance(_cv, list):
        refuse("cv", "cv", *_said, name=f"folds {_name}, once only", cv=InPlace(lambda _, cv=_cv: iter(cv)))

# --- data -------------------------------------------------------------------------------------------------------------

NAN_TARGET = np.where(np.arange(12) == 3, np.nan, Y)
INFINITE_TARGET = np.where(np.arange(12) == 3, np.inf, Y)
REGRESSION = {"estimator": CountedRegressor(), "param_distributions": {"alpha": [1.0, 2.0]}}
IN_A_PIPE = {"estimator": Pipeline([("scale", StandardScaler()), ("model", CountedRegressor())])}
IN_A_PIPE |= {"param_distributions": {"model__alpha": [1.0, 2.0]}}

for _name, _target, _said in (
    ("NaN", NAN_TARGET, "Input y contains NaN."),
    ("infinite", INFINITE_TARGET, "Input y contains infinity or a value too large for dtype('float64')."),
    ("an object NaN", NAN_TARGET.astype(object), "contains NaN"),
):
    refuse("y", _said, name=_name, y=_target, **REGRESSION)
    refuse("y", _said, name=f"{_name} in a pipeline", y=_target, **IN_A_PIPE)
    refuse("y", _said, name=f"{_name} and a metric", y=_target, scoring="r2", **REGRESSION)
    _scoring = {"a": "r2", "b": "neg_mean_absolute_error"}
    refuse("y", _said, name=f"{_name} and two metrics", y=_target, scoring=_scoring, refit="a", **REGRESSION)

for _weights in (np.ones(5), np.ones(13), np.ones((13, 1)), list(range(11)), pd.Series(np.ones(3)), []):
    _said = f"sample_weight.shape == {np.shape(_weights)}, expected (12,)!"
    refuse("sample_weight", _said, name=str(np.shape(_weights)), fit_params={"sample_weight": _weights}, **MODEL)
_said = "model__sample_weight.shape == (5,), expected (12,)!"
refuse("sample_weight", _said, name="of a step", fit_params={"model__sample_weight": np.ones(5)}, **IN_A_PIPE)

#: Where scikit-learn's search refuses, before any fit, in the same words.
AS_IN_GRID_SEARCH = {
    "y too short": ({"y": Y[:-1]}, "inconsistent numbers of samples: [12, 11]"),
    "X too short": ({"X": X[:-1]}, "inconsistent numbers of samples: [11, 12]"),
    "y of one number": ({"y": 3}, "got scalar"),
    "X of one number": ({"X": np.array(3.0)}, "got scalar"),
    "X None": ({"X": None}, "got <class 'NoneType'>"),
    "X a text": ({"X": "abc"}, "[3, 12]"),
    "no data": ({"X": X[:0], "y": Y[:0]}, "0 sample(s)"),
    "empty lists": ({"X": [], "y": []}, "0 sample(s)"),
    "y NaN for a classifier": ({"y": NAN_TARGET}, "Input y contains NaN."),
    "y infinite for a classifier": ({"y": INFINITE_TARGET}, "Input y contains infinity"),
    "y of lists": ({"y": [[1], [1, 2]] * 6}, "multi-label"),
    "more folds than samples": ({"cv": 13}, "n_splits=13"),
    "more folds than samples of a splitter": ({"cv": KFold(13)}, "n_splits=13"),
    "more folds than samples of a class": ({"cv": 7}, "n_splits=7"),
    "as many left out as there are": ({"cv": LeavePOut(12)}, "p=12"),
    "more steps in time than samples": ({"cv": TimeSeriesSplit(12)}, "13"),
    "no folds": ({"cv": []}, "Was the CV iterator empty?"),
    "no folds of an iterator": ({"cv": iter([])}, "Was the CV iterator empty?"),
    "no folds of a splitter": ({"cv": PredefinedSplit(-np.ones(12))}, "Was the CV iterator empty?"),
    "other folds than were promised": ({"cv": Splitter([HALVES], n_splits=5)}, "Expected 5 splits, got 1"),
    "no groups": ({"cv": GroupKFold(2)}, "The 'groups' parameter should not be None."),
    "groups None": ({"cv": GroupKFold(2), "groups": None}, "The 'groups' parameter should not be None."),
    "groups too short": ({"cv": GroupKFold(2), "groups": np.arange(5)}, "[12, 12, 5]"),
    "groups too long": ({"cv": GroupKFold(2), "groups": np.arange(50)}, "[12, 12, 50]"),
    "groups NaN": ({"cv": GroupKFold(2), "groups": np.full(12, np.nan)}, "NaN"),
    "groups a text": ({"cv": GroupKFold(2), "groups": "abc"}, "[12, 12, 3]"),
    "one group": ({"cv": GroupKFold(2), "groups": np.zeros(12)}, "number of groups: 1"),
}

for _name, (_params, *_said) in AS_IN_GRID_SEARCH.items():
    _fit_params = {"fit_params": {"groups": _params["groups"]}} if "groups" in _params else {}
    _about = "groups" if "groups" in _name else "cv" if "cv" in _params else "X and y"
    _given = {name: value for name, value in _params.items() if name != "groups"}
    refuse(_about, *_said, error=(ValueError, TypeError), name=f"{_name}, as in scikit-learn", **_given, **_fit_params)

# --- kept studies -----------------------------------------------------------------------------------------------------

NAMES = ["", "a\0b", "\ud800", 3, None, True, b"svc", ["svc"], np.array(["svc"]), "n" * 513]
NO_STORAGES = [3, True, b"s.db", ["s.db"], InMemoryStorage, np.array([1])]


def of_a_name(function, parameter, *, values=NAMES, **others):
    """Enter calls of a function of studies with each of some values for one of its parameters."""
    for value in values:
        given = {"study_name": "svc", **others, parameter: value}
        title = f"{function.__name__} {parameter}={shown(value)}"

        def do(there, given=given):
            made = {name: one(there) if isinstance(one, InPlace) else one for name, one in given.items()}
            return function(**{"storage": there.path, **made})

        TABLE.append(Call(function.__name__, title, do, (f"{parameter}={value!r}",)))


OUT = InPlace(lambda there: there.own / "out.csv")
IN = InPlace(lambda there: there.kept / "svc.study")
CALLS = {
    studies.load_study: {},
    studies.delete_study: {},
    studies.copy_study: {"new_name": "new"},
    studies.rename_study: {"new_name": "new"},
    studies.export_study: {"path": OUT},
    studies.import_study: {"path": IN},
}
for _function, _others in CALLS.items():
    _names = [name for name in NAMES if name is not None] if _function is studies.import_study else NAMES
    of_a_name(_function, "study_name", values=_names, **_others)
    of_a_name(_function, "storage", values=NO_STORAGES, **_others)
for _function in (studies.copy_study, studies.rename_study):
    of_a_name(_function, "new_name", values=[*NAMES, "svc"])
    of_a_name(_function, "new_storage", values=NO_STORAGES, new_name="new")
for _function in (studies.delete_study, studies.rename_study):
    _others = CALLS[_function]
    of_a_name(_function, "force", values=["no", 0, 1, None, [], np.array([1, 2])], **_others)
of_a_name(studies.load_study, "sampler", values=["", "grid", "best", 3, TPESampler, np.array([1, 2]), pd.DataFrame()])
of_a_name(studies.load_study, "pruner", values=["median", 3, MedianPruner, np.array([1, 2])])
for _function, _ending in ((studies.export_study, ".csv"), (studies.import_study, ".study")):
    of_a_name(_function, "path", values=["", "svc", "svc.txt", "svc.CSV", f"a\0b{_ending}", 3, None, b"svc.csv", ["a"]])


def of_kept(about, do, *said, error=StorageError):
    """Enter a call with studies that are there, or are not."""
    refuse_call(about, do, *said, error=error)


of_kept("list_studies", lambda there: studies.list_studies(3), "storage=3", error=InvalidRequestError)
of_kept("list_studies", lambda there: studies.list_studies(there.own / "no.db"), "there is no file")
of_kept("list_studies", lambda there: studies.list_studies(there.kept), "is a folder")
of_kept("list_studies", lambda there: studies.list_studies(there.kept / "text.db"), "not an optuna_search study file")
for _function, _others in CALLS.items():
    if _function is not studies.import_study:
        of_kept(
            _function.__name__,
            lambda there, function=_function, others=_others: function(
                study_name="svm", storage=there.path, **({"path": there.own / "o.csv"} if "path" in others else others)
            ),
            "study_name='svm' is not in this storage", "'svc'",
        )  # fmt: skip
of_kept("copy_study", lambda there: studies.copy_study("svc", "two", there.path), "There is a study 'two' already")
of_kept("rename_study", lambda there: studies.rename_study("svc", "two", there.path), "There is a study 'two' already")
of_kept(
    "copy_study",
    lambda there: studies.copy_study("svc", "new", there.path, new_storage=there.own / "no" / "s.db"),
    "there is no folder",
)
of_kept(
    "export_study",
    lambda there: studies.export_study("svc", there.own / "no" / "out.csv", there.path),
    "out.csv cannot be written: there is no folder",
)
of_kept("export_study", lambda there: studies.export_study("svc", there.kept / "svc.study", there.path), "svc.study")
of_kept("import_study", lambda there: studies.import_study(there.own / "no.study", there.path), "there is no such file")
of_kept("import_study", lambda there: studies.import_study(there.kept / "text.study", there.path), "text.study cannot")
of_kept(
    "copy_study",
    lambda there: studies.copy_study("", 3, there.path, new_storage=4),
    "3 things", "study_name=''", "new_name=3", "new_storage=4",
    error=InvalidRequestError,
)  # fmt: skip
of_kept(
    "rename_study",
    lambda there: studies.rename_study("", 3, 4, new_storage=5, force=6),
    "5 things", "study_name=''", "new_name=3", "storage=4", "new_storage=5", "force=6",
    error=InvalidRequestError,
)  # fmt: skip
of_kept(
    "load_study",
    lambda there: studies.load_study("", 3, sampler="best", pruner="best"),
    "4 things", "study_name=''", "storage=3", "sampler='best'", "pruner='best'",
    error=InvalidRequestError,
)  # fmt: skip

for _given, _said in (
    ((), "at least two studies; 0 given"),
    (("svc",), "at least two studies; 1 given"),
    (("svc", 3), "3 is neither a fitted OptunaSearchCV, nor a study, nor the name of one"),
    (("svc", Counted()), "neither a fitted OptunaSearchCV"),
    (("svc", OptunaSearchCV(Counted(), {"x": [1]})), "a search of Counted is not fitted"),
    (("svc", "svc"), "study 'svc' is given twice"),
    (("svc", "svm"), "study_name='svm' is not in this storage"),
):
    of_kept(
        "compare",
        lambda there, given=_given: studies.compare(*given, storage=there.path),
        _said,
        error=StorageError if "svm" in _given else InvalidRequestError,
    )
for _metric in ("speed", "", 3, True, ["score"], np.array([1, 2]), pd.DataFrame()):
    of_kept(
        "compare",
        lambda there, metric=_metric: studies.compare("svc", "two", storage=there.path, metric=metric),
        f"metric={_metric!r}",
        error=InvalidRequestError,
    )
for _storage, _said in ((None, "say where it is, with storage="), (3, "storage=3")):
    of_kept(
        "compare", lambda _, storage=_storage: studies.compare("svc", "two", storage=storage), _said,
        error=InvalidRequestError,
    )  # fmt: skip

for _path in ("", "s.db", "s.txt", 3, None, b"s.journal", "a\0b.journal"):
    of_kept(
        "salvage",
        lambda there, path=_path: studies.salvage(path, there.own / "new.journal"),
        f"path={_path!r}",
        error=InvalidRequestError,
    )
    of_kept(
        "salvage",
        lambda there, path=_path: studies.salvage(there.own / "s.journal", path),
        f"new_path={_path!r}",
        error=InvalidRequestError,
    )
of_kept("salvage", lambda there: studies.salvage(there.own / "s.journal", there.own / "new.journal"), "no such file")
for _storage in (3, None, True, b"s.db", InMemoryStorage()):
    of_kept(
        "upgrade", lambda _, storage=_storage: studies.upgrade(storage), f"storage={_storage!r}",
        error=InvalidRequestError,
    )  # fmt: skip
of_kept("upgrade", lambda there: studies.upgrade(there.own / "no.db"), "there is no file")
of_kept("upgrade", lambda there: studies.upgrade(there.kept / "text.db"), "text.db")
of_kept("upgrade", lambda there: studies.upgrade(there.kept / "bank.db"), "bank.db")
for _served, _said in (
    ({"port": 0}, "port=0 must be a whole number from 1 to 65535"),
    ({"port": 65536}, "port=65536 must be"),
    ({"port": True}, "port=True must be"),
    ({"port": "13000"}, "port='13000' must be"),
    ({"expose": "no"}, "expose='no' must be True or False"),
    ({"expose": 1, "port": -1}, "2 things cannot be used"),
    ({"host": ""}, "host=''"),
    ({"host": None}, "host=None"),
    ({"host": 3}, "host=3 is no address"),
    ({"host": "a\0b"}, "host='a\\x00b' is no address"),
    ({"host": "0.0.0.0"}, "host='0.0.0.0' can be reached from other machines"),
    ({"storage": 3}, "storage=3 must be a path"),
):
    of_kept(
        "serve", lambda there, served=_served: studies.serve(**{"storage": there.path, **served}), _said,
        error=InvalidRequestError,
    )  # fmt: skip

# --- searches of kept studies -----------------------------------------------------------------------------------------


def of_from_study(*said, error=InvalidRequestError, **params):
    given = {"study_name": "svc", "storage": KEPT, "estimator": Counted(), **params}

    def do(there):
        return OptunaSearchCV.from_study(**{n: v(there) if isinstance(v, InPlace) else v for n, v in given.items()})

    TABLE.append(Call("from_study", f"from_study {shown(params)}", do, said, error))


for _name in NAMES:
    of_from_study("study_name", "None" if _name is None else repr(_name), study_name=_name)
for _storage in NO_STORAGES:
    of_from_study("storage", repr(_storage), storage=_storage)
for _estimator in (None, "svc", KnownScore, OnlyFits()):
    of_from_study("estimator", repr(_estimator), estimator=_estimator)
for _space, _said in (
    (3, "param_distributions must be"),
    ("x", "got: 'x' of type str"),
    ([], "param_distributions=[] has no dict in it"),
    ({"x": 1}, "'x' needs to be a list"),
    ({3: [1]}, "param_distributions: a parameter has a name"),
    (lambda: {"x": 1}, "must take one argument, a trial"),
):
    of_from_study(_said, error=SpaceError, param_distributions=_space)
of_from_study("study_name='svm' is not in this storage", error=StorageError, study_name="svm")
of_from_study("refit='speed'", error=InvalidRequestError, study_name="both", refit="speed")
of_from_study("n_trials", "cv", "2 things", n_trials=0, cv=1)


def of_fork(*said, error=InvalidRequestError, new_space=None, **params):
    given = {"x": [1, 3]} if new_space is None else new_space

    def do(there):
        return there.found.fork(given, **{"study_name": "new", **params}).fit(X, Y)

    TABLE.append(Call("fork", f"fork {shown(given)} {shown(params)}", do, said, error))


for _space in (3, "x", [], [3], {"x": 1}, {3: [1]}, {"x": []}, np.array([1])):
    of_fork(error=SpaceError, new_space=_space)
for _name in (name for name in NAMES if name is not None):
    of_fork("study_name", repr(_name), study_name=_name)
of_fork("speed: no parameter of OptunaSearchCV", speed=1)
of_fork("param_grid: fork takes the space as new_space", param_grid={})
of_fork("fork_of: fork takes the space as new_space", fork_of="two")
of_fork("with 'speed', 'x' does not fit", new_space={"speed": [1]})
of_fork("n_trials", n_trials=0)
of_fork("(peak) shares no parameter with its parent (x)", new_space=[{"peak": [1]}])
of_fork("study_name='two' exists already and is", error=StudyMismatchError, study_name="two")
refuse_call("fork", lambda there: OptunaSearchCV(Counted(), {"x": [1]}).fork({"x": [1]}), "has no study to fork yet")

for _n in (0, -1, True, 1.5, np.nan, "3", [1], {}, np.array([1])):
    refuse_call("top_n_", lambda there, n=_n: there.found.top_n_(n), f"n={_n!r} must be a whole number from 1")
for _by in ("speed", "", 3, True, ["score"], np.array([1, 2])):
    refuse_call("top_n_", lambda there, by=_by: there.found.top_n_(by=by), f"by={_by!r} is not a metric", "score")

# --- the command line -------------------------------------------------------------------------------------------------

LINES = {
    "": "the following arguments are required: COMMAND",
    "lis": "invalid choice: 'lis'. Did you mean 'list'?",
    "--nonsense": "required: COMMAND",
    "list --nonsense": "unrecognized arguments: --nonsense",
    "list more": "unrecognized arguments: more",
    "list --storage": "argument --storage: expected one argument",
    "list --storage ''": "Give --storage",
    "list --storage {own}/no.db": "there is no file",
    "list --storage {kept}": "is a folder",
    "list --storage {kept}/text.db": "not an optuna_search study file",
    "list --storage https://me:pw@localhost/x": "storage='https://me:***@localhost/x' cannot be opened",
    "list --json --storage {own}/no.db": '{"error": "storage=',
    "show": "required: NAME",
    "show ''": "study_name='' is not in this storage",
    "show svm": "study_name='svm' is not in this storage",
    "top": "required: NAME",
    "top svm": "study_name='svm' is not in this storage",
    "top svc -n 0": "argument -n: '0' is no whole number from 1",
    "top svc -n -1": "argument -n: '-1' is no whole number from 1",
    "top svc -n 1.5": "argument -n: '1.5' is no whole number from 1",
    "top svc -n many": "argument -n: 'many' is no whole number from 1",
    "top svc -n ''": "argument -n: '' is no whole number from 1",
    "top svc --by speed": "by='speed' is not a metric",
    "top svc --by ''": "by='' is not a metric",
    "rename svc": "required: NEW",
    "rename svc svc": "new_name='svc' is the name that the study has already",
    "rename svc two": "There is a study 'two' already",
    "rename svc ''": "new_name='' is no name",
    "rename svm new": "study_name='svm' is not in this storage",
    "rename svc new --new-storage {own}/no/s.db": "there is no folder",
    "copy svc": "required: NEW",
    "copy svc two": "There is a study 'two' already",
    "copy svm new": "study_name='svm' is not in this storage",
    "copy svc new --new-storage {kept}": "is a folder",
    "delete": "required: NAME",
    "delete svm --yes": "study_name='svm' is not in this storage",
    "delete '' --yes": "study_name='' is no name",
    "export svc": "required: PATH",
    "export svc {own}/svc.txt": "svc.txt' must end in one of .csv",
    "export svc {own}/no/svc.csv": "cannot be written: there is no folder",
    "export svm {own}/svc.csv": "study_name='svm' is not in this storage",
    "report svc": "required: PATH",
    "report svc {own}/svc.txt": "svc.txt' must end in .html",
    "report svc {own}/no/svc.html": "cannot be written: there is no folder",
    "report svm {own}/svc.html": "study_name='svm' is not in this storage",
    "import": "required: PATH",
    "import {own}/no.study": "there is no such file",
    "import {kept}/text.study": "text.study cannot be imported",
    "import {kept}/text.db": "text.db cannot be imported",
    "import svc.csv": "path='svc.csv' must end in one of",
    "import {kept}/svc.study --name ''": "study_name='' is no name",
    "salvage {own}/s.journal": "required: NEW",
    "salvage {own}/s.journal new.db": "new_path='new.db' must end in one of",
    "salvage {own}/s.journal new.journal": "there is no such file",
    "upgrade --storage {own}/no.db": "there is no file",
    "upgrade --storage {kept}/text.db": "text.db",
    "serve --port 0": "argument --port: '0' is no whole number from 1",
    "serve --port 70000": "port=70000 must be a whole number from 1 to 65535",
    "serve --host 0.0.0.0": "can be reached from other machines",
    "compare": "required: NAME",
    "compare svc": "at least two studies; 1 given",
    "compare svc svc": "study 'svc' is given twice",
    "compare svc svm": "study_name='svm' is not in this storage",
    "compare svc two --metric speed": "metric='speed' is no metric that these studies share",
    "run": "required: FILE_OR_MODULE:FUNCTION, --workers",
    "run {kept}/searches.py:make": "required: --workers",
    "run {kept}/searches.py:make --workers 0": "argument --workers: '0' is no whole number from 1",
    "run {kept}/searches.py:make --workers two": "argument --workers: 'two' is no whole number from 1",
    "run {kept}/searches.py --workers 2": "must be FILE_OR_MODULE:FUNCTION",
    "run :make --workers 2": "must be FILE_OR_MODULE:FUNCTION",
    "run {own}/no.py:make --workers 2": "there is no file",
    "run no_such_module:make --workers 2": "there is no module 'no_such_module'",
    "run {kept}/searches.py:nothing --workers 2": "has no function 'nothing'",
    "run {kept}/searches.py:number --workers 2": "must return (search, X, y) with an OptunaSearchCV; it returned (int)",
    "run {kept}/searches.py:other --workers 2": "it returned (GridSearchCV, int, int)",
    "run {kept}/searches.py:bad --workers 2": "2 things cannot be used as given",
}


class Exit(Exception):
    """How a command ended: what `main` does not raise."""


def running(line):
    """A command, as the call that raises what it says."""

    def do(there):
        said = line.format(own=there.own, kept=there.kept)
        where = [] if "--storage" in said.split() or "COMMAND" in LINES[line] else ["--storage", str(there.path)]
        code = main([*shlex.split(said), *where])
        output, complaint = there.capsys.readouterr()
        assert (code, output) in [(1, ""), (2, "")]
        assert "Traceback" not in complaint
        raise Exit(complaint)

    return do


for _line, _words in LINES.items():
    TABLE.append(Call("command line", f"command {_line}", running(_line), (_words,), Exit))

# --- all of them ------------------------------------------------------------------------------------------------------

SEARCHES = """
def number():
    return 1

def other():
    from sklearn.model_selection import GridSearchCV
    return GridSearchCV(None, {}), 1, 2

def bad():
    from optuna_search import OptunaSearchCV
    from sklearn.svm import SVC
    return OptunaSearchCV(SVC(), {"speed": [1]}, n_trials=0), [[1], [2]] * 6, [0, 1] * 6
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with kept studies, and with files that are none."""
    folder = tmp_path_factory.mktemp("kept")
    path = folder / "s.db"
    found = OptunaSearchCV(Counted(), {"x": [1, 2]}, cv=2, storage=path, study_name="svc").fit(X, Y)
    OptunaSearchCV(Counted(), {"x": [2, 3]}, cv=2, storage=path, study_name="two").fit(X, Y)
    scoring = {"a": "accuracy", "b": "f1"}
    OptunaSearchCV(Counted(), {"x": [1]}, cv=2, storage=path, study_name="both", scoring=scoring, refit=False).fit(X, Y)
    studies.export_study("svc", folder / "svc.study", path)
    for name in ("text.db", "text.study", "text.journal"):
        (folder / name).write_text("This is no database. " * 100)
    (folder / "searches.py").write_text(SEARCHES)
    with contextlib.closing(sqlite3.connect(folder / "bank.db")) as bank:
        bank.execute("CREATE TABLE accounts (id INTEGER)")
    return SimpleNamespace(kept=folder, path=path, found=found)


def content(folder):
    """What is in the files of a folder, but for those that a database makes of its own accord."""
    own = (".db", ".journal", ".study", ".py")
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix in own]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # NumPy's, of a target NaN
@pytest.mark.parametrize("call", [pytest.param(call, id=call.name) for call in TABLE])
def test_a_bad_call_is_refused_before_anything_is_fitted_or_written(call, kept, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    before = content(kept.kept)
    with pytest.raises(call.error) as raised:
        call.do(SimpleNamespace(**vars(kept), own=tmp_path, capsys=capsys))
    assert not isinstance(raised.value, RAW)
    for words in call.said:
        assert words in str(raised.value)
    assert FITTED == []
    assert list(tmp_path.iterdir()) == []
    assert content(kept.kept) == before


@pytest.mark.parametrize(
    ("params", "name"), [({}, "Counted"), (MODEL, "CountedModel"), (REGRESSION, "CountedRegressor")]
)
def test_a_good_call_is_seen_to_fit(params, name, tmp_path):
    fitting(**params)(SimpleNamespace(own=tmp_path))
    assert [name] * 5 == FITTED
    assert (tmp_path / "s.db").exists()


def test_the_table_knows_every_parameter_every_function_and_every_command():
    about = {call.about for call in TABLE}
    assert len({call.name for call in TABLE}) == len(TABLE) >= 150
    assert about >= set(inspect.signature(OptunaSearchCV).parameters)
    assert about >= {name for name in studies.__all__ if name.islower()} | {"from_study", "fork", "top_n_"}
    assert {line.split()[0] for line in LINES if line} >= COMMANDS.keys()


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("name", AS_IN_GRID_SEARCH)
def test_data_are_refused_in_the_words_of_grid_search(name):
    params, *_ = AS_IN_GRID_SEARCH[name]
    groups = {"groups": params["groups"]} if "groups" in params else {}
    search = {"estimator": CountedModel(), "param_grid": {"C": [1.0, 2.0]}, "cv": params.get("cv", 2)}
    ended = []
    for kind in (GridSearchCV, OptunaSearchCV):
        FITTED.clear()  # older versions of scikit-learn have fitted by then
        with pytest.raises((ValueError, TypeError)) as raised:
            kind(**search).fit(params.get("X", X), params.get("y", Y), **groups)
        ended.append((type(raised.value), str(raised.value)))
    theirs, ours = ended
    assert ours == theirs
    assert FITTED == []


# --- all complaints at once -------------------------------------------------------------------------------------------


def test_all_complaints_of_a_search_come_in_one_error(tmp_path):
    search = OptunaSearchCV(
        Counted(), [{"x": "abc", "peak": []}, 3, {"choice": FloatDistribution(0, np.inf), 5: [1]}],
        n_trials=0, n_fits=True, timeout=-1, fit_timeout="3", sampler="best", pruner="best", resource="speed",
        min_resources=1.5, max_resources="all", factor=1, initial_params=3, objectives=[], storage=3, study_name="",
        fork_of=3, scoring="accurate", n_jobs=0, refit=3, cv=1, verbose=-1, pre_dispatch=0, error_score="ignore",
        return_train_score=3, random_state=-1, callbacks=[3],
    )  # fmt: skip
    with pytest.raises(InvalidRequestError) as raised:
        search.fit(X, Y)
    parameters = set(inspect.signature(OptunaSearchCV).parameters) - {"estimator", "param_distributions", "param_grid"}
    of_the_space = ("parameter 'x'", "parameter 'peak'", "not a dict (3)", "'choice' must be finite", "got 5")
    assert str(raised.value).startswith(f"{len(parameters) + len(of_the_space)} things cannot be used as given:\n  1. ")
    for words in (*parameters, *of_the_space):
        assert [words in complaint for complaint in raised.value.complaints].count(True) >= 1
    assert len(raised.value.complaints) == len(parameters) + len(of_the_space)
    assert FITTED == []


def test_complaints_about_what_does_not_go_together_come_in_the_same_error():
    search = OptunaSearchCV(
        CountedModel(), {"C": FloatDistribution(0.1, 1), "speed": [1]}, sampler="grid", scoring=METRICS, refit="f2",
        objectives=["speed"], initial_params=[{"C": 2.0}, 3], min_resources=9, max_resources=3, resource="speed",
        fork_of="svc", n_trials=0,
    )  # fmt: skip
    with pytest.raises(InvalidRequestError) as raised:
        search.fit(X, Y)
    said = ("n_trials", "refit", "objectives=['speed']", "fork_of='svc'", "resource='speed'", "min_resources=9")
    said += ("sampler='grid'", "'C', 'speed' does not fit", "{'C': 2.0}", "3 must be a dict")
    assert len(raised.value.complaints) == len(said)
    for words, complaint in zip(said, raised.value.complaints, strict=True):
        assert words in complaint


def test_all_complaints_about_folds_and_weights_come_in_one_error():
    search = OptunaSearchCV(**MODEL, cv=[([], [13]), (["a"], np.ones(3, bool))])
    with pytest.raises(InvalidRequestError) as raised:
        search.fit(X, Y, sample_weight=np.ones(5))
    for words in ("training part of fold 0", "test part of fold 0", "training part of fold 1", "test part of fold 1"):
        assert words in str(raised.value)
    assert "sample_weight.shape" in str(raised.value)
    assert len(raised.value.complaints) == 5
    assert FITTED == []


# --- what only an estimator can know ----------------------------------------------------------------------------------

ESTIMATORS_WORDS = {
    "one class": {"y": np.zeros(12)},
    "one class that is a text": {"y": np.array(["a"] * 12)},
    "X of one dimension": {"X": np.arange(12.0)},
    "X of three dimensions": {"X": np.zeros((12, 2, 2))},
    "X of texts": {"X": np.array([["a", "b"]] * 12)},
    "no features": {"X": np.zeros((12, 0))},
    "no y": {"y": None},
    "y of fractions": {"y": np.linspace(0, 1, 12)},
    "weights that are texts": {"sample_weight": ["a"] * 12},
}


@pytest.mark.parametrize("name", ESTIMATORS_WORDS)
def test_data_that_only_an_estimator_can_refuse_end_with_its_words(name):
    data = {"X": X, "y": Y, **ESTIMATORS_WORDS[name]}
    ended = []
    for kind in (GridSearchCV, OptunaSearchCV):
        with pytest.raises(ValueError, match="All the 4 fits failed") as raised:
            kind(CountedModel(), param_grid={"C": [1.0, 2.0]}, cv=KFold(2)).fit(**data)
        ended.append([line for line in str(raised.value).splitlines() if "line " not in line])
    theirs, ours = ended
    assert ours == theirs


def test_a_training_part_of_one_class_fails_as_in_grid_search():
    y = np.r_[np.zeros(8), np.ones(4)].astype(int)
    found = []
    for kind in (GridSearchCV, OptunaSearchCV):
        search = kind(CountedModel(), param_grid={"C": [1.0, 2.0]}, cv=KFold(3), error_score=-1.0)
        with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 6"):
            found.append(search.fit(X, y).cv_results_)
    np.testing.assert_array_equal(found[0]["split2_test_score"], found[1]["split2_test_score"])
    np.testing.assert_array_equal(found[1]["split2_test_score"], [-1.0, -1.0])


# --- choices of all kinds ---------------------------------------------------------------------------------------------


def one_way(value):
    return value


def another_way(value):
    return -value


SENSIBLE_CHOICES = {
    "estimators": [SVC(), SVC(C=2.0), StandardScaler(), LogisticRegression()],
    "functions": [one_way, another_way, len, np.log],
    "arrays": [np.arange(3), np.arange(3.0), np.zeros((2, 2)), np.arange(1000)],
    "dicts": [{"a": 1}, {"a": 2}, {"a": 1, "b": [1]}, {}],
    "numbers of NumPy": [np.float32(0.5), np.int64(3), np.bool_(True), np.str_("a")],
    "nothing": [None, np.nan, "None", "nan", np.inf, 0, False, ""],
    "containers": [(1, 2), [1, 2], {1, 2}, frozenset({1}), (), [[]], range(3)],
    "classes": [SVC, LogisticRegression, int],
    "named lambdas": named({"one": lambda: 1, "two": lambda: 2}),
}


@pytest.mark.parametrize("ending", ["db", "journal"])
@pytest.mark.parametrize("name", SENSIBLE_CHOICES)
def test_choices_of_any_kind_work_with_a_storage_and_in_any_order(name, ending, tmp_path):
    choices = SENSIBLE_CHOICES[name]
    turned = named(dict(reversed(choices.choices.items()))) if isinstance(choices, named) else [*choices][::-1]

    def search(choices):
        searched = OptunaSearchCV(
            TakesAnything(), {"choice": choices}, cv=2, refit=False, storage=tmp_path / f"s.{ending}", study_name="s"
        )
        return searched.fit(X, Y)

    found = search(choices)
    assert [repr(params["choice"]) for params in found.cv_results_["params"]] == [repr(choice) for choice in choices]
    assert len(FITTED) == 2 * len(choices)
    again = search(turned)
    assert len(FITTED) == 2 * len(choices)
    assert repr(again.best_params_) == repr(found.best_params_)


class TakesAnything(Counted):
    """Scores by what it is given, and the other way round than it reads."""

    def score(self, X, y=None):
        return -float(sum(map(ord, re.sub(r" at 0x[0-9a-f]+", "", repr(self.choice)))))


# --- callbacks that raise ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("ending", ["db", "journal"])
def test_a_callback_that_raises_is_heard_once_and_costs_no_finished_trial(n_jobs, ending, tmp_path):
    told = []

    def complain(study, trial):
        told.append(trial.number)
        if len(told) == 3:
            raise RuntimeError(f"no more after trial {trial.number}")

    def search(**params):
        where = {"storage": tmp_path / f"s.{ending}", "study_name": "s"}
        return OptunaSearchCV(Counted(), {"x": list(range(8))}, cv=2, n_jobs=n_jobs, refit=False, **where, **params)

    with joblib.parallel_config("threading"):
        with pytest.raises(RuntimeError, match="no more after trial") as raised:
            search(callbacks=complain).fit(X, Y)
        assert raised.value.__cause__ is None and len(told) == 3
        study = studies.load_study("s", tmp_path / f"s.{ending}")
        kept = {trial.number: trial.value for trial in study.trials if trial.state == TrialState.COMPLETE}
        assert kept.keys() >= set(told)
        assert all(trial.state.is_finished() for trial in study.trials)

        n_before = len(FITTED)
        found = search().fit(X, Y)
    assert found.n_trials_ == 8 and sorted(params["x"] for params in found.cv_results_["params"]) == list(range(8))
    assert len(FITTED) - n_before == 2 * (8 - len(kept))
    assert kept.items() <= {trial.number: trial.value for trial in found.study_.trials}.items()


def test_a_callback_that_raises_in_a_search_of_processes_is_heard_once(tmp_path):
    told = []

    def complain(study, trial):
        told.append(trial.number)
        raise KeyError("from the callback")

    search = OptunaSearchCV(
        KnownScore(), {"x": list(range(6))}, cv=2, n_jobs=2, callbacks=[complain], storage=tmp_path / "s.db"
    )
    with pytest.raises(KeyError, match="from the callback"):
        search.fit(X, Y)
    assert len(told) == 1
    (study,) = studies.list_studies(tmp_path / "s.db")
    trials = studies.load_study(study.name, tmp_path / "s.db").trials
    assert all(trial.state.is_finished() for trial in trials)
    assert trials[told[0]].state == TrialState.COMPLETE
