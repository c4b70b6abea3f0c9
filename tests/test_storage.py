"""A search lives in a storage: whatever kind it is, all of it can be read back, and other tools can read it too."""

import base64
import json
import os
import pickle
import re
import sqlite3
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import optuna
import pytest
import scipy.stats
import sqlalchemy
from estimators import CountsFits, FailsOn, FailsOnSomeFolds, KnownScore, ScoresOddly, high, low, two_scores
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from processes import in_another_process
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from optuna_search import OptunaSearchCV, named
from optuna_search._record import WORKER
from optuna_search.exceptions import ForeignTrialsWarning, InvalidRequestError, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}


# --- what many tests use ----------------------------------------------------------------------------------------------


def search(space=SPACE, estimator=None, **how):
    """A small search, not yet fitted."""
    how = {"n_trials": 3, "cv": 2, "sampler": "random", "random_state": 0} | how
    return OptunaSearchCV(KnownScore() if estimator is None else estimator, space, **how)


def in_full(value):
    """A value as text, to the last bit."""
    if isinstance(value, float | np.floating):
        return f"{type(value).__name__} {float(value).hex()}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{in_full(name)}: {in_full(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}[{', '.join(map(in_full, value))}]"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}[{', '.join(sorted(map(in_full, value)))}]"
    if isinstance(value, np.ndarray):
        return f"array[{value.dtype} {value.tolist()}]"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", f"{type(value).__name__} {value!r}")


def written_out(results):
    """``cv_results_`` as text by key: types, masks, and every value to the last bit."""
    out = {}
    for key, column in results.items():
        masked = np.ma.getmaskarray(column) if isinstance(column, np.ma.MaskedArray) else [False] * len(column)
        values = column.data if isinstance(column, np.ma.MaskedArray) else column
        kind = f"{type(column).__name__} {getattr(column, 'dtype', '')}"
        out[key] = [kind, *("masked" if m else in_full(v) for m, v in zip(masked, values, strict=True))]
    return out


def assert_same_results(ours, theirs):
    """Assert that two ``cv_results_`` are equal in every key, type, mask and bit."""
    ours, theirs = written_out(ours), written_out(theirs)
    assert list(ours) == list(theirs)
    for key in theirs:
        assert ours[key] == theirs[key], key


def record_of(attributes):
    """The name of our attribute among those of a trial or a study, and the record in it."""
    ((name, record),) = ((n, v) for n, v in attributes.items() if isinstance(v, dict) and "schema" in v)
    return name, record


def everything_in(path):
    """All tables of an SQLite file with all their rows."""
    with sqlite3.connect(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {table: connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid').fetchall() for table in tables}
    connection.close()
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """An SQLite file for many tests: a new one costs a third of a second each time."""
    return tmp_path_factory.mktemp("shared") / "s.db"


@pytest.fixture
def kept_in(storage):
    """What a user may pass as `storage` to several searches, each kind in turn; memory is an object here."""
    return InMemoryStorage() if storage is None else storage


# --- what a storage may be --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path], ids=["str", "Path"])
def test_a_path_is_an_sqlite_file_that_optuna_opens(kind, tmp_path):
    fitted = search(storage=kind(tmp_path / "searches.db"), study_name="s").fit(X, Y)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'searches.db'}")
    assert [t.values for t in study.trials] == [t.values for t in fitted.study_.trials]
    assert len(study.trials) == 3


@pytest.mark.parametrize("kind", [str, Path], ids=["str", "Path"])
def test_a_path_that_ends_in_journal_is_a_journal_file_that_optuna_opens(kind, tmp_path):
    search(storage=kind(tmp_path / "searches.journal"), study_name="s").fit(X, Y)
    opened = JournalStorage(JournalFileBackend(str(tmp_path / "searches.journal")))
    assert len(optuna.load_study(study_name="s", storage=opened).trials) == 3


def test_a_url_is_a_database_that_optuna_opens(tmp_path):
    url = f"sqlite:///{tmp_path / 'searches.db'}"
    search(storage=url, study_name="s").fit(X, Y)
    assert len(optuna.load_study(study_name="s", storage=url).trials) == 3


def test_a_server_is_a_storage(postgres_url):
    search(storage=postgres_url, study_name="s").fit(X, Y)
    assert len(optuna.load_study(study_name="s", storage=postgres_url).trials) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda path: InMemoryStorage(),
        lambda path: RDBStorage(f"sqlite:///{path / 's.db'}"),
        lambda path: JournalStorage(JournalFileBackend(str(path / "s.journal"))),
    ],
    ids=["InMemoryStorage", "RDBStorage", "JournalStorage"],
)
def test_an_optuna_storage_object_is_used_as_it_is(make, tmp_path):
    storage = make(tmp_path)
    made = search(storage=storage, study_name="s")
    made.fit(X, Y)
    assert made.storage is storage
    assert len(optuna.load_study(study_name="s", storage=storage).trials) == 3
    assert clone(made).storage is storage
    assert clone(Pipeline([("search", made)]))["search"].storage is storage


def test_a_storage_object_holds_the_studies_of_a_nested_cross_validation():
    storage = InMemoryStorage()
    model = Pipeline([("search", search(storage=storage))])
    cross_val_score(model, X, Y, cv=3, error_score="raise")
    assert [study.n_trials for study in optuna.get_all_study_summaries(storage)] == [3, 3, 3]


def test_without_a_storage_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted = search().fit(X, Y)
    assert isinstance(fitted.study_._storage, InMemoryStorage)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["searches.db", "searches.journal"])
def test_a_relative_path_stays_the_same_file_when_the_directory_changes_later(name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    fitted = search(storage=name, study_name="s").fit(X, Y)
    monkeypatch.chdir(tmp_path / "elsewhere")
    fitted.study_.set_user_attr("note", "written from elsewhere")
    assert len(fitted.study_.get_trials()) == 3
    monkeypatch.chdir(tmp_path / "here")
    assert OptunaSearchCV.from_study("s", name, KnownScore()).study_.user_attrs["note"] == "written from elsewhere"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["searches.db", "searches.journal"])
def test_a_directory_that_is_not_there_is_a_clear_error(name, tmp_path):
    path = tmp_path / "nowhere" / name
    expected = re.escape(f"storage={str(path)!r}: there is no folder {path.parent}.")
    with pytest.raises(StorageError, match=expected):
        search(storage=path).fit(X, Y)
    with pytest.raises(StorageError, match=re.escape(f"storage={str(path)!r}: there is no file {path}.")):
        OptunaSearchCV.from_study("s", path, KnownScore())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"a text, and no database at all\n" * 100, os.urandom(5000)], ids=["text", "noise"]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(content, tmp_path):
    path = tmp_path / "thesis.db"
    path.write_bytes(content)
    said = f"storage={str(path)!r} is not an optuna_search study file: file is not a database"
    with pytest.raises(StorageError, match=re.escape(said)):
        search(storage=path).fit(X, Y)
    assert path.read_bytes() == content


ODD_PATHS = [
    "two words",
    "100%25",
    "50% done",
    "what?",
    "a#b",
    "{data}",
    "{}",
    "it's",
    "ü名",
    "a@b:c",
    "a&b=c",
    "$HOME",
    "-x",
]


@pytest.mark.parametrize("ending", ["db", "journal"])
@pytest.mark.parametrize("name", ODD_PATHS)
def test_a_path_may_have_any_character(name, ending, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    path = folder / f"{name}.{ending}"
    fitted = search(storage=path, study_name="s", n_trials=1).fit(X, Y)
    assert {file.name.removesuffix("-wal").removesuffix("-shm") for file in folder.iterdir()} == {path.name}
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert_same_results(OptunaSearchCV.from_study("s", path, KnownScore()).cv_results_, fitted.cv_results_)


@pytest.mark.parametrize("given", ["", ".", "here.db", "here.journal"])
def test_a_folder_is_no_storage(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("here.db", "here.journal"):
        (tmp_path / name).mkdir()
    with pytest.raises((StorageError, InvalidRequestError), match=rf"storage={given!r}"):
        search(storage=given).fit(X, Y)
    assert {path.name for path in tmp_path.rglob("*")} == {"here.db", "here.journal"}


def test_a_database_without_its_driver_says_what_to_install():
    with pytest.raises(StorageError, match=r"storage='nosuch://host/db' cannot be opened|needs a database driver"):
        search(storage="nosuch://host/db").fit(X, Y)


@pytest.mark.parametrize(
    "given", [3, b"searches.db", ["searches.db"], object()], ids=["int", "bytes", "list", "object"]
)
def test_what_is_no_storage_is_refused_before_the_first_fit(given, tmp_path):
    counted = CountsFits(str(tmp_path / "fits"))
    expected = r"The 'storage' parameter of OptunaSearchCV must be .* Got " + re.escape(repr(given))
    with pytest.raises(ValueError, match=expected):
        search(estimator=counted, storage=given).fit(X, Y)
    assert not (tmp_path / "fits").exists()


# --- names ------------------------------------------------------------------------------------------------------------


NAMES = [
    "../../up",
    "/absolute",
    "CON",
    'it\'s "quoted"',
    "100%; DROP TABLE studies",
    "имя 名前 🎉",
    "n" * 300,
    " ",
    "a/b",
]


@pytest.mark.parametrize("file", ["s.db", "s.journal"])
def test_any_text_is_a_name_for_a_study_and_never_a_path(file, tmp_path):
    (tmp_path / "in" / "here").mkdir(parents=True)
    storage = tmp_path / "in" / "here" / file
    for name in NAMES * 2:
        fitted = search(storage=storage, study_name=name, n_trials=1).fit(X, Y)
        assert fitted.study_.study_name == name
        assert len(fitted.study_.trials) == 1
    there = {path.name for path in tmp_path.rglob("*")} - {"in", "here"}
    assert there <= {file, f"{file}-wal", f"{file}-shm"}


# --- what is kept of a trial ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scoring", "n_metrics"),
    [(None, 1), ({f"metric {i}": high for i in range(3)}, 3)],
    ids=["one metric", "three metrics"],
)
@pytest.mark.parametrize("folds", [2, 6])
def test_a_trial_is_kept_as_one_compact_json_record(folds, scoring, n_metrics):
    space = {f"clf__{name}": FloatDistribution(0, 6) for name in ("x", "peak")}
    pipe = Pipeline([("clf", KnownScore())])
    fitted = search(space, pipe, cv=folds, scoring=scoring, refit=False).fit(X, Y)
    for trial in fitted.study_.trials:
        _, record = record_of(trial.user_attrs)
        text = json.dumps(record, allow_nan=False)
        assert json.loads(text) == record
        assert isinstance(record["schema"], int)
        # Seventeen digits and a little for each number, and each name once.
        n_numbers = folds * (n_metrics + 2) + 2
        assert len(text) < 25 * n_numbers + 175
        assert len(json.dumps(trial.user_attrs)) < len(text) + 300


def test_the_failure_of_all_folds_is_kept_once():
    made = search({"x": [1.0, 2.0]}, FailsOn(bad=(1.0,)), cv=6, sampler=None, n_trials=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = made.fit(X, Y)
    failed, fine = fitted.study_.trials
    assert failed.user_attrs["failure"] == "ValueError: x=1.0 is bad in fit"
    assert "failure" not in fine.user_attrs
    assert json.dumps(record_of(failed.user_attrs)[1]).count("is bad in fit") == 2  # its message and its traceback


# --- everything comes back from the storage ---------------------------------------------------------------------------


class Anything(BaseEstimator):
    """Takes any object as `choice`, scores numbers that depend on folds and on `x`, and passes X through."""

    def __init__(self, x=0.0, choice=None, other=None):
        self.x = x
        self.choice = choice
        self.other = other

    def fit(self, X, y=None):
        self.mean_ = np.mean(X)
        return self

    def score(self, X, y=None):
        return float(np.sin(self.x + 1) * np.mean(X) / 3 - self.mean_ / 7)


def plus_one(x):
    return x + 1


def by_trial(trial):
    """A space with conditions, an object, and a value that was not suggested."""
    kind = trial.suggest_categorical("kind", ["plain", None, StandardScaler()])
    params = {"choice": kind, "other": ("never", "suggested")}
    if kind == "plain":
        params["x"] = trial.suggest_float("x", 0, 1)
    return params


PLAIN = [None, True, 1, 1.0, "1", "None", "nan", "", "it's", "two words", (1, 2), [1, "a"], {"a": (1, None)}]
OBJECTS = [
    StandardScaler(),
    MinMaxScaler((0, 2)),
    plus_one,
    len,
    np.array([1.0, 2.5]),
    np.arange(50),
    KnownScore,
    {3, 1},
]
FEW = FloatDistribution(0, 6)

#: What is searched, and how: every kind of result that there is.
KINDS = {
    "numbers": (Anything(), {"x": FEW, "choice": IntDistribution(1, 9)}, {}),
    "plain choices": (Anything(), {"choice": PLAIN}, {"sampler": None, "n_trials": None}),
    "NaN among the choices": (Anything(), {"choice": [float("nan"), float("inf"), 2]}, {"sampler": None}),
    "objects as choices": (Anything(), {"choice": OBJECTS, "x": FEW}, {"n_trials": 12}),
    "choices with names": (Anything(), {"choice": named({"f": lambda: 1, "g": lambda: 2}), "x": FEW}, {}),
    "steps of a pipeline": (
        Pipeline([("scale", StandardScaler()), ("clf", Anything())]),
        {"scale": ["passthrough", StandardScaler(), MinMaxScaler()], "clf__x": FEW},
        {},
    ),
    "failed fits": (FailsOn(bad=(1, 3)), {"x": [0, 1, 2, 3]}, {"sampler": None}),
    "failed folds": (FailsOnSomeFolds(), {"x": [0, 1, 2]}, {"sampler": None}),
    "failed fits with a score": (FailsOn(bad=(1, 3)), {"x": [0, 1, 2, 3]}, {"sampler": None, "error_score": -7.5}),
    "odd scores": (
        ScoresOddly(),
        {"x": [1.0, float("nan"), float("-inf"), float("inf"), -0.0, 5e-324]},
        {"sampler": None, "n_trials": None, "return_train_score": True},
    ),
    "metrics and train scores": (
        KnownScore(),
        SPACE,
        {"scoring": {"high": high, "low": low}, "refit": "low", "return_train_score": True},
    ),
    "metrics of a function": (KnownScore(), SPACE, {"scoring": two_scores, "refit": "right"}),
    "quantiles": (
        Anything(),
        {"x": scipy.stats.gamma(2.0), "choice": scipy.stats.poisson(4), "other": scipy.stats.norm(0, 3)},
        {},
    ),
    "a list of dicts": (
        Anything(),
        [{"x": FEW}, {"x": [1, 2], "choice": ["a", None]}, {"other": scipy.stats.expon(), "choice": OBJECTS[:2]}],
        {"n_trials": 9},
    ),
    "a function": (Anything(), by_trial, {"n_trials": 8}),
    "one candidate": (KnownScore(), {}, {"sampler": None, "n_trials": None}),
}


#: Each kind on files; what is special to a server are its types for numbers and texts.
EVERYWHERE = [pytest.param(kind, place) for kind in KINDS for place in ("sqlite", "journal")]
EVERYWHERE += [
    pytest.param(kind, "postgres", marks=pytest.mark.server)
    for kind in ("odd scores", "objects as choices", "plain choices", "quantiles")
]
EVERYWHERE += [pytest.param("a list of dicts", "memory")]


def fitted_kind(kind, storage):
    """A search of one of the kinds, fitted in a study that is named after it."""
    estimator, space, how = KINDS[kind]
    how = {"n_trials": 5, "sampler": "random", "random_state": 0, "cv": 3} | how
    return OptunaSearchCV(estimator, space, storage=storage, study_name=kind, **how).fit(X + (X == 23) * 1000, Y)


def rebuilt_kind(kind, storage, *, with_space):
    """The same search, from its study alone."""
    estimator, space, how = KINDS[kind]
    how = {name: value for name, value in how.items() if name not in ("sampler", "n_trials")}
    return OptunaSearchCV.from_study(kind, storage, estimator, space if with_space else None, **how)


def assert_tokens_stand_for_objects(ours, theirs):
    """Assert that two tables are equal but for objects, in place of which `ours` has texts."""
    assert list(ours) == list(theirs)
    assert len(ours["params"]) == len(theirs["params"])
    for our, their in zip(ours["params"], theirs["params"], strict=True):
        assert list(our) == list(their)
        for name, value in their.items():
            if in_full(value) in map(in_full, [*PLAIN, "a", "never"]) or isinstance(value, int | float | str):
                assert in_full(our[name]) == in_full(value)
            elif value != ("never", "suggested"):
                assert isinstance(our[name], str) or our[name] == value
    ours, theirs = written_out(ours), written_out(theirs)
    for key in theirs:
        if key.startswith("param_"):
            assert [v == "masked" for v in ours[key]] == [v == "masked" for v in theirs[key]], key
        elif key != "params":
            assert ours[key] == theirs[key], key


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the .* scores are non-finite:UserWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract:RuntimeWarning")
class TestRebuilt:
    @pytest.mark.parametrize(("kind", "storage"), EVERYWHERE, indirect=["storage"])
    def test_results_come_back_from_the_storage_to_the_last_bit(self, kind, kept_in):
        fitted = fitted_kind(kind, kept_in)
        rebuilt = rebuilt_kind(kind, kept_in, with_space=True)
        assert_same_results(rebuilt.cv_results_, fitted.cv_results_)
        assert rebuilt.best_index_ == fitted.best_index_
        assert rebuilt.best_score_ == fitted.best_score_
        assert in_full(rebuilt.best_params_) == in_full(fitted.best_params_)
        assert rebuilt.n_splits_ == fitted.n_splits_
        assert rebuilt.n_trials_ == fitted.n_trials_
        assert rebuilt.multimetric_ == fitted.multimetric_
        assert repr(rebuilt.top_n_) == repr(fitted.top_n_)

    @pytest.mark.parametrize("kind", KINDS)
    def test_without_the_space_plain_choices_come_back_as_they_are_and_objects_as_their_tokens(self, kind, shared):
        fitted = fitted_kind(kind, shared)
        rebuilt = rebuilt_kind(kind, shared, with_space=False)
        assert_tokens_stand_for_objects(rebuilt.cv_results_, fitted.cv_results_)
        assert rebuilt.best_index_ == fitted.best_index_
        assert rebuilt.best_score_ == fitted.best_score_

    def test_the_objects_of_the_code_come_back(self, shared):
        fitted_kind("objects as choices", shared)
        rebuilt = rebuilt_kind("objects as choices", shared, with_space=True)
        for params in rebuilt.cv_results_["params"]:
            assert any(params["choice"] is choice for choice in OBJECTS)

    def test_results_come_back_in_another_process(self, shared):
        fitted = {kind: fitted_kind(kind, shared).cv_results_ for kind in KINDS}
        code = "import test_storage; test_storage.print_rebuilt()"
        there = json.loads(in_another_process(code, shared, PYTHONHASHSEED="7"))
        for kind, results in fitted.items():
            with_space, without = there[kind]
            assert with_space == written_out(results), kind
            same = {key: column for key, column in written_out(results).items() if not key.startswith("param")}
            assert {key: column for key, column in without.items() if not key.startswith("param")} == same, kind


def print_rebuilt():
    """Print every kind of results of the storage that is named on the command line, with the space and without."""
    warnings.simplefilter("ignore")
    kinds = {}
    for kind in KINDS:
        both = [rebuilt_kind(kind, sys.argv[1], with_space=with_space) for with_space in (True, False)]
        kinds[kind] = [written_out(one.cv_results_) for one in both]
    print(json.dumps(kinds))


@pytest.mark.parametrize("length", [50, 400])
def test_a_long_plain_choice_comes_back_as_it_is_without_the_space(length, tmp_path):
    choices = ["a" * length, ("b" * length, 1), "c"]
    fitted = search({"choice": choices}, Anything(), storage=tmp_path / "s.db", study_name="s", sampler=None).fit(X, Y)
    rebuilt = OptunaSearchCV.from_study("s", tmp_path / "s.db", Anything())
    assert rebuilt.cv_results_["params"] == fitted.cv_results_["params"] == [{"choice": one} for one in choices]


def test_a_name_stays_a_name_without_the_space(tmp_path):
    space = {"choice": named({"1": plus_one, "None": len, "fast": max})}
    search(space, Anything(), storage=tmp_path / "s.db", study_name="s", sampler=None).fit(X, Y)
    rebuilt = OptunaSearchCV.from_study("s", tmp_path / "s.db", Anything())
    assert [params["choice"] for params in rebuilt.cv_results_["params"]] == ["1", "None", "fast"]


def test_the_best_trial_is_the_studys_own(kept_in):
    fitted = search(storage=kept_in, n_trials=6).fit(X, Y)
    assert fitted.best_trial_ == fitted.study_.best_trial
    assert fitted.study_.best_value == fitted.best_score_
    assert fitted.study_.best_params == fitted.best_params_


# --- what is not ours -------------------------------------------------------------------------------------------------


def spoil(path, where, change):
    """Change the record of a study or of its trials in an SQLite file."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"SELECT rowid, value_json FROM {where}").fetchall()
        records = [(number, text) for number, text in rows if '"schema"' in text]
        assert records
        for number, text in records:
            connection.execute(f"UPDATE {where} SET value_json = ? WHERE rowid = ?", (change(text), number))
    connection.close()


def newer(text):
    record = json.loads(text)
    return json.dumps(record | {"schema": record["schema"] + 1})


@pytest.mark.parametrize(
    ("where", "what"),
    [("study_user_attributes", "study 's'"), ("trial_user_attributes", "trial 0")],
    ids=["study", "trial"],
)
def test_a_record_of_a_newer_version_is_refused_and_left_alone(where, what, tmp_path):
    path = tmp_path / "s.db"
    search(storage=path, study_name="s").fit(X, Y)
    spoil(path, where, newer)
    before = everything_in(path)
    expected = rf"The record of {what} has schema \d+; this version of optuna_search reads up to \d+\. Install the"
    counted = CountsFits(str(tmp_path / "fits"))
    with pytest.raises(StorageError, match=expected):
        search(storage=path, study_name="s", n_trials=5).fit(X, Y)
    with pytest.raises(StorageError, match=expected):
        OptunaSearchCV.from_study("s", path, counted, SPACE)
    assert everything_in(path) == before


@pytest.mark.parametrize("record", ['{"schema": 0}', '{"schema": "1"}', '{"schema": true}', '[{"schema": 1}]', "null"])
def test_a_record_that_is_none_is_a_clear_error(record, tmp_path):
    search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
    spoil(tmp_path / "s.db", "trial_user_attributes", lambda text: record)
    with pytest.raises(StorageError, match=r"The record of trial 0 is none of ours: "):
        OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE)


@pytest.mark.parametrize("lost", ["params", "test", "fit_time", "score_time"])
def test_a_record_that_lost_a_part_is_a_clear_error(lost, tmp_path):
    search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)

    def lose(text):
        return json.dumps({name: part for name, part in json.loads(text).items() if name != lost})

    spoil(tmp_path / "s.db", "trial_user_attributes", lose)
    with pytest.raises(
        StorageError, match=rf"The record of trial 0 cannot be read: it is damaged, or was .* \(KeyError: '{lost}'\)"
    ):
        OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE)


@pytest.mark.parametrize(
    "make",
    [
        lambda study: study.add_trial(create_trial(value=1.0)),
        lambda study: study.enqueue_trial({"x": 1.0}),
        lambda study: study.set_user_attr("owner", "somebody else"),
    ],
    ids=["a trial", "an enqueued trial", "an attribute"],
)
def test_a_study_that_we_did_not_make_is_refused_and_left_alone(make, tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"
    make(optuna.create_study(study_name="theirs", storage=url, direction="maximize"))
    before = everything_in(tmp_path / "s.db")
    expected = r"study_name='theirs' is a study that optuna_search did not make.*Choose another study_name\."
    with pytest.raises(StorageError, match=expected):
        search(estimator=CountsFits(str(tmp_path / "fits")), storage=url, study_name="theirs").fit(X, Y)
    with pytest.raises(StorageError, match=expected):
        OptunaSearchCV.from_study("theirs", url, KnownScore())
    assert everything_in(tmp_path / "s.db") == before
    assert not (tmp_path / "fits").exists()


def test_an_empty_study_of_that_name_is_adopted(tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"
    optuna.create_study(study_name="s", storage=url, direction="maximize")
    fitted = search(storage=url, study_name="s").fit(X, Y)
    assert fitted.n_trials_ == 3
    assert fitted.study_.best_trial.number == fitted.best_trial_.number
    rebuilt = OptunaSearchCV.from_study("s", url, KnownScore(), SPACE)
    assert_same_results(rebuilt.cv_results_, fitted.cv_results_)


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "maximize"]], ids=["minimised", "two goals"])
def test_an_empty_study_that_goes_another_way_is_refused(directions, tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"
    optuna.create_study(study_name="theirs", storage=url, directions=directions)
    with pytest.raises(StorageError, match=r"study_name='theirs' is a study that goes another way \(m"):
        search(storage=url, study_name="theirs").fit(X, Y)
    assert optuna.load_study(study_name="theirs", storage=url).trials == []


BEST = {"x": 3.0}  # would win


class TestForeignTrials:
    def spoiled(self, storage):
        """A study of ours with three trials that somebody else put in."""
        fitted = search(storage=storage, study_name="s").fit(X, Y)
        fitted.study_.add_trial(create_trial(params=BEST, distributions=SPACE, value=1e9))
        fitted.study_.enqueue_trial(BEST)
        trial = fitted.study_.ask(SPACE)
        assert trial.params == BEST  # what was enqueued is running now
        fitted.study_.enqueue_trial({"x": 2.0})
        return fitted

    def test_they_are_ignored_and_counted_in_a_warning(self, kept_in):
        before = self.spoiled(kept_in)
        with pytest.warns(
            ForeignTrialsWarning, match=r"^3 trial\(s\) of study 's' were added by something else"
        ) as said:
            fitted = search(storage=kept_in, study_name="s", n_trials=5).fit(X, Y)
        assert [one.category for one in said].count(ForeignTrialsWarning) == 1
        assert fitted.n_trials_ == 5
        assert len(fitted.cv_results_["params"]) == 5
        assert set(fitted.cv_results_["trial_number"]) == {0, 1, 2, 6, 7}
        assert fitted.best_score_ < 100
        assert fitted.best_trial_.number in fitted.cv_results_["trial_number"]
        assert before.cv_results_["params"] == fitted.cv_results_["params"][:3]

    def test_they_stay_as_they_are(self, tmp_path):
        theirs = self.spoiled(tmp_path / "s.db").study_.trials[3:]
        with pytest.warns(ForeignTrialsWarning):
            fitted = search(storage=tmp_path / "s.db", study_name="s", n_trials=4).fit(X, Y)
        assert fitted.study_.trials[3:6] == theirs
        assert [trial.state for trial in theirs] == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING]

    def test_reading_a_study_warns_of_them_as_well(self):
        kept_in = InMemoryStorage()
        self.spoiled(kept_in)
        with pytest.warns(ForeignTrialsWarning, match=r"^3 trial\(s\) of study 's' were added by something else"):
            rebuilt = OptunaSearchCV.from_study("s", kept_in, KnownScore(), SPACE)
        assert rebuilt.n_trials_ == 3


# --- how often it is written ------------------------------------------------------------------------------------------


@pytest.fixture
def writes():
    """Counts the transactions that wrote something, of every engine of SQLAlchemy's."""
    counted, dirty = Counter(), set()

    def note(connection, cursor, statement, *_):
        if statement.split(maxsplit=1)[0].upper() in ("INSERT", "UPDATE", "DELETE", "REPLACE"):
            dirty.add(id(connection))

    def end(connection):
        counted["transactions"] += id(connection) in dirty
        dirty.discard(id(connection))

    events = (("before_cursor_execute", note), ("commit", end))
    for name, listener in events:
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, name, listener)
    yield counted
    for name, listener in events:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, name, listener)


class ManyParams(BaseEstimator):
    """Twelve parameters of which the score is the sum; fails where the first is above `fails_above`."""

    def __init__(self, a=0.0, b=0.0, c=0.0, d=0.0, e=0.0, f=0.0, g=0.0, h=0.0, i=0.0, j=0.0, k=0.0, l=0.0, top=9.0):  # noqa: E741
        for name, value in locals().items():
            if name != "self":
                setattr(self, name, value)

    def fit(self, X, y=None):
        if self.a > self.top:
            raise ValueError("too high")
        return self

    def score(self, X, y=None):
        return sum(value for name, value in self.get_params().items() if name != "top")


@pytest.mark.parametrize("n_metrics", [1, 3])
@pytest.mark.parametrize("folds", [2, 10])
@pytest.mark.parametrize("n_params", [1, 12])
def test_a_finished_trial_costs_at_most_four_writes(n_params, folds, n_metrics, writes, shared):
    space = {name: FloatDistribution(0, 1) for name in "abcdefghijkl"[:n_params]}
    scoring = {f"metric {i}": high for i in range(n_metrics)} if n_metrics > 1 else None
    made = search(space, ManyParams(), cv=folds, scoring=scoring, refit=False, storage=shared)
    counted = {}
    for n_trials in (2, 10):  # what opening costs is in both
        writes.clear()
        clone(made).set_params(n_trials=n_trials).fit(np.arange(40.0).reshape(20, 2), np.arange(20) % 2)
        counted[n_trials] = writes["transactions"]
    assert 8 <= counted[10] - counted[2] <= 4 * 8


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc", "nsgaii"])
def test_so_it_does_whatever_the_sampler_and_however_it_ends(sampler, writes, shared):
    space = {name: FloatDistribution(0, 1) for name in "abc"}
    made = search(space, ManyParams(top=0.5), sampler=sampler, storage=shared)
    counted = {}
    for n_trials in (4, 14):
        writes.clear()
        fitted = clone(made).set_params(n_trials=n_trials).fit(X, Y)
        counted[n_trials] = writes["transactions"]
    assert set(fitted.cv_results_["trial_state"]) == {"COMPLETE", "FAIL"}
    assert 10 <= counted[14] - counted[4] <= 4 * 10


# --- nothing of a sampler's, nothing pickled --------------------------------------------------------------------------

SAMPLERS = ["tpe", "random", "qmc", "cmaes", "nsgaii", "nsgaiii", "brute-force"]
#: How a pickle begins when it is written in hexadecimal digits or in base64.
PICKLED = re.compile(r"(?<![0-9a-zA-Z.])800[2-5][0-9a-f]{16}|(?<![0-9a-zA-Z+/])gA[I-X][0-9a-zA-Z+/=]{12}")


def test_the_marks_of_a_pickle_are_known():
    for protocol in range(2, 6):
        pickled = pickle.dumps(StandardScaler(), protocol)
        assert PICKLED.search(f'"{pickled.hex()}"')
        assert PICKLED.search(f'"{base64.b64encode(pickled).decode()}"')


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_nothing_of_a_sampler_and_nothing_pickled_is_in_the_storage(sampler, tmp_path):
    space = {"x": IntDistribution(0, 50), "peak": IntDistribution(0, 50)}
    space |= {"choice": [StandardScaler(), plus_one, None]} if sampler != "cmaes" else {}
    search(space, n_trials=12, sampler=sampler, storage=tmp_path / "s.db").fit(X, Y)
    tables = everything_in(tmp_path / "s.db")
    ((*_, key, ended),) = tables["study_system_attributes"]
    assert tables["trial_system_attributes"] == [] and key.startswith(WORKER) and ended == "null"
    assert len(tables["trials"]) == 12
    values = [value for rows in tables.values() for row in rows for value in row]
    assert {type(value) for value in values} <= {str, int, float, type(None)}
    assert not [value for value in values if PICKLED.search(str(value))]
    for file in tmp_path.iterdir():
        assert not re.search(rb"\x80[\x04\x05]\x95...\0{5}|cloudpickle", file.read_bytes(), re.DOTALL)


def plant(path):
    Path(path).write_text("unpickled")


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return plant, (self.path,)


@pytest.mark.parametrize("sampler", ["cmaes", "tpe", "qmc"])
def test_nothing_that_stands_in_the_storage_is_unpickled(sampler, tmp_path):
    storage = RDBStorage(f"sqlite:///{tmp_path / 's.db'}")
    space = {"x": FloatDistribution(0, 6), "peak": FloatDistribution(0, 6)}
    made = search(space, sampler=sampler, storage=storage, study_name="s")
    study = made.fit(X, Y).study_
    payload = pickle.dumps(Payload(str(tmp_path / "planted")))
    for key in ("cma", "cma:optimizer", "cma:0", "cma:optimizer:0", "cma:n_restarts", "qmc"):
        hostile = {key: payload.hex(), f"{key}:0": payload.hex()}
        study.add_trial(
            create_trial(value=1.0, params={"x": 1.0, "peak": 1.0}, distributions=space, system_attrs=hostile)
        )
        storage.set_study_system_attr(storage.get_study_id_from_name("s"), key, payload.hex())
    with pytest.warns(ForeignTrialsWarning, match=r"^6 trial"):
        made.set_params(n_trials=8).fit(X, Y)
    assert not (tmp_path / "planted").exists()


# --- other tools ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["steps of a pipeline", "quantiles", "a list of dicts", "a function", "failed fits"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
class TestOtherTools:
    def test_optuna_reads_the_study(self, kind, shared):
        fitted = fitted_kind(kind, shared)
        study = fitted.study_
        frame = study.trials_dataframe()
        assert list(frame["number"]) == list(fitted.cv_results_["trial_number"])
        assert list(frame["state"]) == list(fitted.cv_results_["trial_state"])
        means = fitted.cv_results_["mean_test_score"]
        assert frame["value"].to_numpy(float).tobytes() == np.where(np.isfinite(means), means, np.nan).tobytes()
        assert study.best_trial.number == fitted.best_trial_.number
        assert study.best_trials == [study.best_trial]
        assert study.directions == [optuna.study.StudyDirection.MAXIMIZE]
        names = [name for trial in study.trials for name in trial.params]
        assert set(names) == {name for trial in study.trials for name in trial.distributions}
        summaries = {one.study_name: one.n_trials for one in optuna.get_all_study_summaries(study._storage)}
        assert summaries[kind] == len(study.trials)

    @pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
    def test_optuna_weighs_and_draws_it(self, kind):
        pytest.importorskip("plotly")
        from optuna import visualization

        study = fitted_kind(kind, None).study_
        for evaluator in (
            optuna.importance.FanovaImportanceEvaluator(seed=0),
            optuna.importance.PedAnovaImportanceEvaluator(),
        ):
            importances = optuna.importance.get_param_importances(study, evaluator=evaluator)
            assert all(0 <= importance <= 1 for importance in importances.values())
        plots = ["optimization_history", "slice", "parallel_coordinate", "timeline", "edf", "param_importances"]
        # These compare every parameter with every other one, and warn of those that never occur together.
        plots += ["contour", "rank"] if kind in ("steps of a pipeline", "quantiles") else []
        for plot in plots:
            assert getattr(visualization, f"plot_{plot}")(study).data, plot

    def test_optuna_copies_it_and_goes_on_with_it(self, kind, shared):
        fitted = fitted_kind(kind, shared)
        other = InMemoryStorage()
        optuna.copy_study(from_study_name=kind, from_storage=fitted.study_._storage, to_storage=other)
        copied = OptunaSearchCV.from_study(kind, other, *KINDS[kind][:2])
        assert_same_results(copied.cv_results_, fitted.cv_results_)
        trial = copied.study_.ask()
        copied.study_.tell(trial, 1.0)
        assert copied.study_.trials[-1].state == TrialState.COMPLETE


# --- a fitted search without its storage ------------------------------------------------------------------------------


def test_a_fitted_pickle_answers_without_its_storage(kept_in, tmp_path):
    fitted = search({"C": FloatDistribution(0.1, 10)}, LogisticRegression(), storage=kept_in).fit(X, Y)
    pickled = pickle.dumps(fitted)
    for file in tmp_path.iterdir():
        file.unlink()
    copied = pickle.loads(pickled)
    np.testing.assert_array_equal(copied.predict(X), fitted.predict(X))
    assert_same_results(copied.cv_results_, fitted.cv_results_)
    assert copied.best_params_ == fitted.best_params_
    assert repr(copied.top_n_) == repr(fitted.top_n_)
    assert copied.best_trial_ == fitted.best_trial_
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_finds_its_study_again(storage, monkeypatch):
    if storage is not None and "://" in storage:
        password = sqlalchemy.make_url(storage).password
        monkeypatch.setenv("THE_PASSWORD", password)
        storage = storage.replace(password, "${THE_PASSWORD}")
    fitted = search(storage=storage).fit(X, Y)
    copied = pickle.loads(pickle.dumps(fitted))
    assert copied.study_.trials == fitted.study_.trials


# --- many at once -----------------------------------------------------------------------------------------------------


def fit_when_all_are_here(folder, attempt, storage, n):
    """Fit a search in a storage that is not there yet, at the moment in which `n` processes are about to."""
    (folder / f"{attempt}-{os.getpid()}").touch()
    until = time.monotonic() + 60
    while len(list(folder.glob(f"{attempt}-*"))) < n and time.monotonic() < until:
        pass
    return search(storage=storage, n_trials=1).fit(X, Y).study_.study_name


def empty_storages(kind, folder, url):
    """Storages without any table or study, one after the other."""
    for attempt in range(8):
        if kind == "postgres":
            engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
            with engine.begin() as connection:
                connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                connection.exec_driver_sql("CREATE SCHEMA public")
            yield url, url
        elif kind == "sqlite":
            yield folder / f"{attempt}.db", f"sqlite:///{folder}/{attempt}.db"
        else:
            path = str(folder / f"{attempt}.journal")
            yield path, JournalStorage(JournalFileBackend(path))


@pytest.mark.parametrize("kind", ["sqlite", "journal", pytest.param("postgres", marks=pytest.mark.server)])
def test_processes_may_make_a_storage_together(kind, tmp_path, request):
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else None
    (tmp_path / "here").mkdir()
    with joblib.Parallel(n_jobs=2) as parallel:
        for attempt, (given, opened) in enumerate(empty_storages(kind, tmp_path, url)):
            task = joblib.delayed(fit_when_all_are_here)(tmp_path / "here", attempt, given, 2)
            names = parallel([task, task])
            assert sorted(names) == sorted(optuna.get_all_study_names(opened))
            assert len(set(names)) == 2
