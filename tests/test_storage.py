"""A search lives in a storage: whatever kind it is, all of it can be read back, and other tools can read it too."""

import base64
import importlib.util
import json
import os
import pickle
import re
import sqlite3
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

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
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import optuna_search
from optuna_search import OptunaSearchCV, named
from optuna_search.exceptions import ForeignTrialsWarning, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}

#: What scikit-learn says of fits and scores that failed.
of_failures = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning"),
]


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


def in_another_process(code, *arguments, **environment):
    """Run Python code in a process that finds the package and the tests; return what it prints."""
    places = [str(Path(optuna_search.__file__).parents[1]), str(Path(__file__).parent)]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


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
    assert clone(made).get_params(deep=False)["storage"] is not None
    assert len(optuna.load_study(study_name="s", storage=storage).trials) == 3


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
    with pytest.raises(StorageError, match=re.escape(f"storage={str(path)!r} cannot be opened")):
        search(storage=path).fit(X, Y)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"a text, and no database at all\n" * 100, os.urandom(5000)], ids=["text", "noise"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(content, tmp_path):
    path = tmp_path / "thesis.db"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=re.escape(f"storage={str(path)!r} cannot be opened: file is not a database")):
        search(storage=path).fit(X, Y)
    assert path.read_bytes() == content


def test_a_database_without_its_driver_says_what_to_install():
    with pytest.raises(StorageError, match=r"storage='nosuch://host/db' cannot be opened|needs a database driver"):
        search(storage="nosuch://host/db").fit(X, Y)


@pytest.mark.parametrize("given", [3, b"searches.db", ["searches.db"], object()], ids=["int", "bytes", "list", "object"])
def test_what_is_no_storage_is_refused_before_the_first_fit(given, tmp_path):
    counted = CountsFits(str(tmp_path / "fits"))
    expected = r"The 'storage' parameter of OptunaSearchCV must be .* Got " + re.escape(repr(given))
    with pytest.raises(ValueError, match=expected):
        search(estimator=counted, storage=given).fit(X, Y)
    assert not (tmp_path / "fits").exists()


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../../up", "/absolute", "CON", "it's \"quoted\"", "100%; DROP TABLE studies", "имя 名前 🎉", "n" * 300, " ", "a/b"],
)
@pytest.mark.parametrize("file", ["s.db", "s.journal"])
def test_any_text_is_a_name_for_a_study_and_never_a_path(name, file, tmp_path):
    (tmp_path / "in" / "here").mkdir(parents=True)
    storage = tmp_path / "in" / "here" / file
    for _ in range(2):
        fitted = search(storage=storage, study_name=name, n_trials=2).fit(X, Y)
    assert fitted.study_.study_name == name
    assert len(fitted.study_.trials) == 2
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
        assert len(text) < 25 * n_numbers + 150
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
OBJECTS = [StandardScaler(), MinMaxScaler((0, 2)), plus_one, len, np.array([1.0, 2.5]), np.arange(50), KnownScore, {3, 1}]
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
    @pytest.mark.parametrize("kind", KINDS)
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
    def test_without_the_space_plain_choices_come_back_as_they_are_and_objects_as_their_tokens(self, kind, tmp_path):
        fitted = fitted_kind(kind, tmp_path / "s.db")
        rebuilt = rebuilt_kind(kind, tmp_path / "s.db", with_space=False)
        assert_tokens_stand_for_objects(rebuilt.cv_results_, fitted.cv_results_)
        assert rebuilt.best_index_ == fitted.best_index_
        assert rebuilt.best_score_ == fitted.best_score_

    def test_the_objects_of_the_code_come_back(self, kept_in):
        fitted_kind("objects as choices", kept_in)
        rebuilt = rebuilt_kind("objects as choices", kept_in, with_space=True)
        for params in rebuilt.cv_results_["params"]:
            assert any(params["choice"] is choice for choice in OBJECTS)

    @pytest.mark.parametrize("file", ["s.db", "s.journal"])
    def test_results_come_back_in_another_process(self, file, tmp_path):
        fitted = {kind: fitted_kind(kind, tmp_path / file).cv_results_ for kind in KINDS}
        there = json.loads(
            in_another_process("import test_storage; test_storage.print_rebuilt()", tmp_path / file, PYTHONHASHSEED="7")
        )
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
    [("study_user_attributes", "study 's'"), ("trial_user_attributes", "a trial")],
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
    with pytest.raises(StorageError, match=r"The record of a trial is none of ours: "):
        OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE)


@pytest.mark.parametrize("lost", ["params", "test", "fit_time", "score_time"])
def test_a_record_that_lost_a_part_is_a_clear_error(lost, tmp_path):
    search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)

    def lose(text):
        return json.dumps({name: part for name, part in json.loads(text).items() if name != lost})

    spoil(tmp_path / "s.db", "trial_user_attributes", lose)
    with pytest.raises(StorageError, match=rf"The record of a trial cannot be read \(KeyError: '{lost}'\)"):
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
    with pytest.raises(StorageError, match=r"study_name='theirs' is a study that optuna_search did not make"):
        search(storage=url, study_name="theirs").fit(X, Y)
    assert optuna.load_study(study_name="theirs", storage=url).trials == []


class TestForeignTrials:
    BEST = {"x": 3.0}  # would win

    def spoiled(self, storage):
        """A study of ours with three trials that somebody else put in."""
        fitted = search(storage=storage, study_name="s").fit(X, Y)
        fitted.study_.add_trial(create_trial(params=self.BEST, distributions=SPACE, value=1e9))
        fitted.study_.enqueue_trial(self.BEST)
        trial = fitted.study_.ask(SPACE)
        assert trial.params == self.BEST  # what was enqueued is running now
        fitted.study_.enqueue_trial({"x": 2.0})
        return fitted

    def test_they_are_ignored_and_counted_in_a_warning(self, kept_in):
        before = self.spoiled(kept_in)
        with pytest.warns(ForeignTrialsWarning, match=r"^3 trial\(s\) of study 's' were added by something else") as said:
            fitted = search(storage=kept_in, study_name="s", n_trials=5).fit(X, Y)
        assert len(said) == 1
        assert fitted.n_trials_ == 5
        assert len(fitted.cv_results_["params"]) == 5
        assert set(fitted.cv_results_["trial_number"]) == {0, 1, 2, 6, 7}
        assert fitted.best_score_ < 100
        assert fitted.best_trial_.number in fitted.cv_results_["trial_number"]
        assert before.cv_results_["params"] == fitted.cv_results_["params"][:3]

    def test_they_stay_as_they_are(self, kept_in):
        before = self.spoiled(kept_in).study_.trials[3:]
        with pytest.warns(ForeignTrialsWarning):
            search(storage=kept_in, study_name="s", n_trials=4).fit(X, Y)
        after = OptunaSearchCV.from_study("s", kept_in, KnownScore()) if False else None
        assert after is None
        study = optuna.load_study(study_name="s", storage=open_by_optuna(kept_in))
        assert study.trials[3:6] == before

    def test_reading_a_study_warns_of_them_as_well(self, kept_in):
        self.spoiled(kept_in)
        with pytest.warns(ForeignTrialsWarning, match=r"^3 trial\(s\) of study 's' were added by something else"):
            rebuilt = OptunaSearchCV.from_study("s", kept_in, KnownScore(), SPACE)
        assert rebuilt.n_trials_ == 3
