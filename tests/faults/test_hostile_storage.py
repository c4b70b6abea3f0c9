"""A storage that somebody else has written to: what is read there is never run, and works or is a clear error."""

import base64
import contextlib
import io
import json
import pickle
import random
import re
import shutil
import socket
import sqlite3
import sys
import warnings
from pathlib import Path

import numpy as np
import optuna
import pytest
from estimators import KnownScore
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from sklearn.exceptions import FitFailedWarning

from optuna_search import OptunaSearchCV, _owner, studies
from optuna_search.__main__ import main
from optuna_search._record import CLAIM, FORK, RECORD, WORKER
from optuna_search._tokens import plain
from optuna_search.exceptions import (
    ExposedStorageWarning,
    InvalidRequestError,
    OptunaSearchError,
    SpaceError,
    StorageError,
    StudyMismatchError,
    VersionWarning,
)

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
CHOICES = ["a", None, (1, 2)]
SPACE = {"x": FloatDistribution(0, 6), "choice": CHOICES}
WIDER = SPACE | {"x": FloatDistribution(0, 12)}

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning"),
]


class Fails(KnownScore):
    """Fails where `x` is large, and counts its fits in this process."""

    fits = 0

    def fit(self, X, y=None):
        Fails.fits += 1
        if self.x > 5:
            raise ValueError(f"x={self.x} is too large")
        return super().fit(X, y)


def search(storage, name="svc", space=SPACE, **how):
    how = {"n_trials": 6, "cv": 3, "sampler": "random", "random_state": 1} | how
    return OptunaSearchCV(Fails(), space, storage=storage, study_name=name, **how)


# --- two studies, one of them a fork, with a trial and a search that somebody dead has left behind --------------------


def made(path):
    """The path of a new storage with the studies 'svc' and 'wider', closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = search(path).fit(X, Y)
        fitted.fork({"x": WIDER["x"]}, study_name="wider", n_trials=3).fit(X, Y)
        leave_behind(path)
    return path


def leave_behind(path):
    storage = opened(path)
    dead = {"host": _owner._host(), "pid": 2**22 + 1, "started": "1", "search": "x" * 32, "renewed": 0}
    for name in ("svc", "wider"):
        study_id = storage.get_study_id_from_name(name)
        old = next(trial for trial in storage.get_all_trials(study_id) if trial.state == TrialState.COMPLETE)
        left = create_trial(
            state=TrialState.RUNNING,
            params=old.params | {"x": 1.5},
            distributions=old.distributions,
            user_attrs={CLAIM: dead},
        )
        storage.create_new_trial(study_id, template_trial=left)
        storage.set_study_system_attr(study_id, f"{WORKER}{dead['search']}", dead | {"seen": 1.0})


def opened(path):
    if path.suffix == ".db":
        return RDBStorage(f"sqlite:///{path}")
    return JournalStorage(JournalFileBackend(str(path)))


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    return made(tmp_path_factory.mktemp("journal") / "s.journal")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = made(tmp_path_factory.mktemp("database") / "s.db")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(autouse=True)
def _nobody_is_waited_for(monkeypatch):
    monkeypatch.setattr("optuna_search._lease.LEASE_SECONDS", 0.0)
    monkeypatch.setattr("optuna_search._opening.FIRST_WORD_SECONDS", 0.01)
    monkeypatch.setattr("optuna_search._fork.FIRST_WORD_SECONDS", 0.01)
    monkeypatch.setattr("optuna_search._fork.SETTLE_SECONDS", 0.01)
    monkeypatch.setattr("optuna_search._copying.STANDSTILL_SECONDS", 0.01)


# --- what a hostile user writes ---------------------------------------------------------------------------------------


def plant():
    Path("planted").touch()


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return plant, ()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to be in, which stays free of what any payload here would leave behind."""
    (tmp_path / "hostile_module.py").write_text("from pathlib import Path\nPath('planted').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    assert not (tmp_path / "planted").exists(), "something that stands in a storage was run"
    assert "hostile_module" not in sys.modules, "something that stands in a storage was imported"


class Raw(str):
    """A text that goes into JSON as it is."""


PICKLE = pickle.dumps(Payload())
STEERING = "\x1b[31mred\x1b]0;title\x07\x9b\u202e\r"
VALUES = {
    "null": None,
    "true": True,
    "zero": 0,
    "a negative number": -1,
    "a fraction": 0.5,
    "a huge number": 10**400,
    "infinity": float("inf"),
    "no number": float("nan"),
    "an empty text": "",
    "a word": "other",
    "a text that steers a terminal": STEERING,
    "HTML": "<script>alert(1)</script>",
    "code": "__import__('pathlib').Path('planted').touch()",
    "the name of a module": "hostile_module",
    "the name of something in a module": "hostile_module.Path",
    "a class": "<class hostile_module.Path>",
    "a call": "hostile_module.Path('planted').touch()",
    "a variable": "${PATH}",
    "a pickle": PICKLE.hex(),
    "a pickle in base 64": base64.b64encode(PICKLE).decode(),
    "a pickle as characters": PICKLE.decode("latin-1"),
    "a number with many digits": "0x" + "f" * 20_000,
    "half a character": "\ud800",
    "NUL": "a\0b",
    "an empty list": [],
    "a list of anything": [[1, [2]], None, {"a": "b"}],
    "an empty dict": {},
    "a dict": {"schema": 1, "C": {"a": [1]}},
    "a deep list": Raw("[" * 50_000 + "]" * 50_000),
    "a deep dict": Raw('{"a":' * 900 + "1" + "}" * 900),
    "a megabyte": "x" * 1_000_000,
}


def as_json(value):
    """A value as JSON, with what is raw in it as it is."""
    raw = []

    def mark(part):
        if isinstance(part, Raw):
            raw.append(part)
            return f"@{len(raw) - 1}@"
        if isinstance(part, dict):
            return {name: mark(one) for name, one in part.items()}
        return [mark(one) for one in part] if isinstance(part, list) else part

    return re.sub(r'"@(\d+)@"', lambda found: raw[int(found[1])], json.dumps(mark(value)))


def paths(value, path=()):
    """The place of everything inside of a JSON value, of lists only what is first."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, part in parts:
        yield from paths(part, (*path, name))


def changed(value, path, new):
    """A copy of a JSON value that is another one in one place, or has lost it."""
    value = json.loads(json.dumps(value))
    if not path:
        return new
    inner = value
    for name in path[:-1]:
        inner = inner[name]
    if new is LOST:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return value


LOST = object()


# --- what a user may do with it ---------------------------------------------------------------------------------------


def show(path, *words):
    """Run a command, which must say what is wrong in words of ours, and steer no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["--storage", str(path), *words])
    assert_harmless(out.getvalue(), longest=10**7 if "--json" in words else 50_000)
    assert_harmless(err.getvalue())
    if code:
        assert not re.search(r"optuna-search: \w+(Error|Exception)\b", err.getvalue()), err.getvalue()
        assert_clear(err.getvalue())


def go_on(path):
    """Go on with both studies in all that is known of them, and see that nothing else came in."""
    before = len(opened_trials(path, "svc"))
    assert_in_space(search(path, n_trials=before + 1, verbose=2).fit(X, Y), 6)
    assert_in_space(search(path, "wider", WIDER, fork_of="svc", n_trials=before).fit(X, Y), 12)


def opened_trials(path, name):
    with contextlib.suppress(Exception):
        return studies.load_study(name, path).get_trials(deepcopy=False)
    return []


def assert_in_space(fitted, high):
    assert fitted.n_splits_ == 3
    for params in fitted.cv_results_["params"]:
        assert params.keys() == {"x", "choice"}
        assert type(params["x"]) is float and 0 <= params["x"] <= high
        assert params["choice"] in CHOICES


def read(path):
    repr(OptunaSearchCV.from_study("wider", path, Fails(), WIDER).top_n_)
    board = OptunaSearchCV.from_study("svc", path, Fails()).top_n_
    assert_harmless(repr(board), longest=50_000)
    assert "<script>" not in board._repr_html_()


def look(path):
    for words in (["list"], ["list", "--json"], ["show", "svc"], ["show", "wider", "--json"], ["top", "wider"]):
        show(path, *words)
    show(path, "compare", "svc", "wider")


def export(path):
    for name, file in (("svc", "o.csv"), ("wider", "o.json"), ("wider", "o.study")):
        studies.export_study(name, path.parent / file, path)


def move(path):
    studies.copy_study("svc", "copied", path)
    studies.rename_study("wider", "renamed", path)
    studies.delete_study("svc", path)


ACTS = {
    "read": read,
    "look": look,
    "export": export,
    "import": lambda path: studies.import_study(path, path.parent / "imported.journal", study_name="svc"),
    "fork": lambda path: assert_in_space(search(path, "forked", WIDER, fork_of="svc", n_trials=1).fit(X, Y), 12),
    "go on": go_on,
    "move": move,
}

#: What Python says of its own doings, and means nothing to whoever reads it.
UNCLEAR = re.compile(
    r"NoneType|no attribute|subscriptable|unhashable|indices must|iterable|not supported between|recursion|"
    r"codec can't|Expecting|Extra data|could not convert|invalid literal|positional argument"
)


def assert_harmless(text, longest=5_000):
    steering = re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert not steering, f"{steering} in {text[:300]!r}"
    assert len(text) <= longest, f"{len(text)} characters: {text[:300]!r}"


def assert_clear(text):
    """Assert that a text is one of ours, in which Python's words stand only as the reason why something is damaged."""
    assert "cannot be read: it is damaged" in text or not UNCLEAR.search(text), text


def assert_it_works_or_says_what_is_wrong(act, path, edit):
    said = io.StringIO()
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stderr(said):
        warnings.simplefilter("always")
        try:
            ACTS[act](path)
        except OptunaSearchError as error:
            assert_harmless(str(error))
            assert_clear(str(error))
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{act} raised {type(error).__name__}: {str(error)[:200]!r} after {edit}") from error
    assert_harmless(said.getvalue(), longest=100_000)
    for one in warned:
        assert_harmless(str(one.message), longest=100_000)


# --- journals ---------------------------------------------------------------------------------------------------------


def lines_of(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: part for name, part in line.items() if name != "at"} for line in lines]  # which tells an edit


def places_of(lines):
    """Every kind of place in the lines of a journal, once, and with the number of its line."""
    found = {}
    for number, line in enumerate(lines):
        for path in paths(line):
            shape = tuple("worker" if WORKER in str(name) else name for name in path)
            found.setdefault((line["op_code"], line.get("study_id"), line.get("state"), shape), (number, path))
    return list(found.values())


def edited(journal, folder, rng, n_edits):
    """A copy of a journal with some places edited, and what was done."""
    lines, edits = lines_of(journal), []
    for number, path in rng.sample(places_of(lines), n_edits):
        what = rng.choice([*VALUES, "lost"])
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier edit took that place away
            lines[number] = changed(lines[number], path, VALUES.get(what, LOST) if path else {})
            edits.append(f"line {number}, {'.'.join(map(str, path))}: {what}")
    hostile = folder / "s.journal"
    hostile.write_text("".join(f"{as_json(line)}\n" for line in lines))
    return hostile, edits


@pytest.mark.parametrize("seed", range(50))
def test_a_journal_that_was_edited_works_or_says_what_is_wrong(seed, journal, place):
    rng = random.Random(seed)
    hostile, edits = edited(journal, place, rng, n_edits=1 + 2 * (seed % 5 == 0))
    for act in rng.sample(list(ACTS), 4):
        assert_it_works_or_says_what_is_wrong(act, hostile, edits)


@pytest.mark.parametrize(
    "lines",
    [
        [{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": 5}],
        [{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": None, "params": {"x": 1.0}}],
        [{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": None, "state": 77}],
        [{"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 1, "values": "hostile_module"}],
        [{"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {}}],
        [{"op_code": 3, "worker_id": "w", "study_id": 0, "system_attr": 5}],
        [{"op_code": 0, "worker_id": "w", "study_name": {"a": 1}, "directions": [2]}],
        [{"op_code": 0, "worker_id": "w", "study_name": None, "directions": "up"}],
        [
            {
                "op_code": 5,
                "worker_id": "w",
                "trial_id": 6,
                "param_name": "x",
                "param_value_internal": 1,
                "distribution": "",
            }
        ],
        [{"op_code": 1, "worker_id": "w", "study_id": 0}],
        [{"op_code": 8, "worker_id": "w", "trial_id": {}, "user_attr": {RECORD: {}}}],
        [Raw("[" * 50_000)],
    ],
    ids=lambda lines: str(lines)[:60],
)
def test_a_journal_with_further_lines_works_or_says_what_is_wrong(lines, journal, place):
    hostile = place / "s.journal"
    hostile.write_text(journal.read_text() + "".join(f"{as_json(line)}\n" for line in lines))
    for act in ("read", "look", "import", "go on"):
        assert_it_works_or_says_what_is_wrong(act, hostile, lines)


# --- databases --------------------------------------------------------------------------------------------------------

SET_RANGE = "UPDATE trial_params SET distribution_json = ? WHERE trial_id = 1 AND param_name = 'x'"
SET_CHOICES = "UPDATE trial_params SET distribution_json = ? WHERE trial_id = 1 AND param_name = 'choice'"
SET_VALUE = "UPDATE trial_params SET param_value = ? WHERE trial_id = 1"
SET_NAME = "UPDATE trial_params SET param_name = ? WHERE trial_id = 1 AND param_name = 'x'"
SET_SCORE = "UPDATE trial_values SET value = ? WHERE trial_id = 1"
ELSEWHERE = '{"name": "FloatDistribution", "attributes": {"low": 100, "high": 200, "step": null, "log": false}}'
OTHER_CHOICES = '{"name": "CategoricalDistribution", "attributes": {"choices": ["hostile_module", [1], {"a": 1}]}}'
A_CLASS = '{"name": "hostile_module.Path", "attributes": {"low": 0, "high": 6}}'
STATEMENTS = {
    "another range": (SET_RANGE, ELSEWHERE),
    "other choices": (SET_CHOICES, OTHER_CHOICES),
    "a class for a distribution": (SET_RANGE, A_CLASS),
    "a value outside": (SET_VALUE, 1e300),
    "a negative choice": (SET_VALUE, -1),
    "a value that is a text": (SET_VALUE, "hostile_module"),
    "another parameter": ("INSERT INTO trial_params VALUES (NULL, 1, 'peak', 1e9, ?)", ELSEWHERE),
    "another name of a parameter": (SET_NAME, STEERING),
    "no parameters": ("DELETE FROM trial_params",),
    "another score": (SET_SCORE, 1e300),
    "a score that is a text": (SET_SCORE, "x" * 1_000_000),
    "two scores": ("INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (1, 1, 5.0, 'FINITE')",),
    "no scores": ("DELETE FROM trial_values",),
    "another kind of score": ("UPDATE trial_values SET value_type = ?", STEERING),
    "one number for two": ("UPDATE trials SET number = 1 WHERE number = 2",),
    "a number that is missing": ("UPDATE trials SET number = 99 WHERE number = 0",),
    "a negative number": ("UPDATE trials SET number = -1 WHERE number = 3",),
    "a state that there is not": ("UPDATE trials SET state = ? WHERE number = 0", "hostile_module"),
    "trials that failed and did not": ("UPDATE trials SET state = 'COMPLETE'",),
    "trials that did not fail and did": ("UPDATE trials SET state = 'FAIL'",),
    "trials that never ended": ("UPDATE trials SET state = 'RUNNING'",),
    "a day that there is not": ("UPDATE trials SET datetime_complete = '2026-02-31'",),
    "the year 1": ("UPDATE trials SET datetime_complete = '0001-01-01 00:00:00'",),
    "trials of nobody": ("UPDATE trials SET study_id = 77",),
    "no trials": ("DELETE FROM trials",),
    "the other direction": ("UPDATE study_directions SET direction = 'MINIMIZE'",),
    "no direction": ("DELETE FROM study_directions",),
    "a direction that there is not": ("UPDATE study_directions SET direction = ?", "x" * 1_000_000),
    "a name that is no text": ("UPDATE studies SET study_name = x'ff80' WHERE study_id = 2",),
    "no studies": ("DELETE FROM studies",),
    "text that is none": ("UPDATE trial_user_attributes SET value_json = CAST(x'ff80' AS TEXT)",),
    "a name of an attribute that is none": (
        "UPDATE trial_user_attributes SET key = CAST(x'ff80' AS TEXT) WHERE trial_user_attribute_id = 2",
    ),
    "a pickle for a record": ("UPDATE trial_user_attributes SET value_json = ?", PICKLE),
    "a pickle for the record of a study": ("UPDATE study_user_attributes SET value_json = ?", PICKLE),
    "a pickle for a search at work": ("UPDATE study_system_attributes SET value_json = ?", PICKLE),
    "no JSON": ("UPDATE study_user_attributes SET value_json = '{'",),
    "records of other trials": (
        "UPDATE trial_user_attributes SET value_json ="
        " (SELECT value_json FROM trial_user_attributes WHERE trial_id = 2)",
    ),
    "the record of the other study": (
        "UPDATE study_user_attributes SET value_json = (SELECT max(value_json) FROM study_user_attributes WHERE"
        f" study_id = 2 AND key = '{RECORD}') WHERE key = '{RECORD}'",
    ),
    "a version that there is not": ("UPDATE version_info SET schema_version = 99",),
    "no version": ("DELETE FROM alembic_version",),
    "a trigger": ("CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM trial_values; END",),
}  # fmt: skip


def edit(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for statement, *values in statements:
            db.execute(statement, values)


@pytest.mark.parametrize("kind", STATEMENTS)
def test_a_database_that_was_edited_works_or_says_what_is_wrong(kind, database, place):
    hostile = place / "s.db"
    shutil.copy(database, hostile)
    edit(hostile, STATEMENTS[kind])
    for act in ("go on", "read") if list(STATEMENTS).index(kind) % 2 else ("look", "import", "fork"):
        assert_it_works_or_says_what_is_wrong(act, hostile, kind)


SAMPLERS = ["tpe", "random", "qmc", "cmaes", "nsgaii", "nsgaiii", "brute-force"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_reads_what_stands_in_the_storage(sampler, database, place):
    hostile, space = place / "s.db", SPACE
    shutil.copy(database, hostile)
    if sampler in ("cmaes", "brute-force"):  # the one takes no choices, the other no ranges
        edit(hostile, ("DELETE FROM studies",), ("DELETE FROM trials",), ("DELETE FROM trial_params",))
        hostile, space = made_of(place / "of.db", sampler), SPACES[sampler]
    text = json.dumps(PICKLE.hex())
    for key in ("cma:optimizer:0", "cma:optimizer", "cma:0", "cma:generation:0", "cma:n_restarts", "nsga:parents"):
        edit(
            hostile,
            ("INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, ?, ?)", key, text),
            (
                "INSERT INTO trial_system_attributes (trial_id, key, value_json) SELECT trial_id, ?, ? FROM trials",
                key,
                text,
            ),
        )
    going_on = search(hostile, space=space, sampler=sampler, n_trials=9)
    assert going_on.fit(X, Y).n_trials_ == (7 if sampler == "brute-force" else 9)
    copied = place / "copied.db"
    studies.copy_study("svc", "svc", hostile, new_storage=copied)
    assert search(copied, space=space, sampler=sampler, n_trials=12).fit(X, Y).n_trials_ >= 7


SPACES = {
    "cmaes": {"x": FloatDistribution(0, 6), "peak": FloatDistribution(0, 6)},
    "brute-force": {"x": [0, 1, 2, 3, 4, 5, 6]},
}


def made_of(path, sampler):
    search(path, space=SPACES[sampler], sampler=sampler, n_trials=5).fit(X, Y)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.mark.parametrize("sampler", ["cmaes", optuna.samplers.CmaEsSampler()], ids=["name", "object"])
def test_a_sampler_that_unpickles_what_it_finds_in_a_study_is_not_let_at_one(sampler, journal):
    with pytest.raises(
        InvalidRequestError, match=r"^sampler=.* unpickles what it finds in a study, .*keeps all of that"
    ):
        studies.load_study("svc", journal, sampler=sampler)


# --- never on a wrong basis -------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(journal, place):
    """What makes a copy of the journal in which something was changed in the lines of a kind and a study."""

    def make(op_code, study_id, change, at_most=1000):
        lines, changed_lines = lines_of(journal), 0
        for line in lines:
            if (line["op_code"], line.get("study_id")) == (op_code, study_id) and changed_lines < at_most:
                changed_lines += change(line) is not False
        assert changed_lines
        path = place / "s.journal"
        path.write_text("".join(f"{as_json(line)}\n" for line in lines))
        return path

    return make


def in_record(**changes):
    """What changes the record of a trial."""

    def change(line):
        if RECORD not in line["user_attr"]:
            return False
        record = line["user_attr"][RECORD]
        for name, new in changes.items():
            record[name] = new(record[name])
        return True

    return change


def assert_refused_before_the_first_fit(path, error, expected, **how):
    before, fits = path.read_bytes(), Fails.fits
    with pytest.raises(error, match=expected):
        search(path, n_trials=9, **how).fit(X, Y)
    assert Fails.fits == fits
    assert path.read_bytes().startswith(before)


@pytest.mark.parametrize(
    "params",
    [
        lambda old: old | {"peak": 1e9},
        lambda old: old | {"choice": "'hostile_module'"},
        lambda old: old | {"choice": "a"} if old["choice"] != "a" else old | {"choice": "None"},
        lambda old: old | {"x": 1e9},
        lambda old: {"x": old["x"]},
        lambda old: {},
    ],
    ids=["one more", "a text", "another choice", "another number", "one less", "none"],
)
def test_parameters_that_only_a_record_has_never_reach_the_estimator(params, hostile):
    path = hostile(8, None, in_record(params=params), at_most=1)
    assert_refused_before_the_first_fit(path, SpaceError, r"trial 0 with .* is no point of it\.$")
    with pytest.raises(SpaceError, match=r"trial 0 with .* is no point of it\.$"):
        OptunaSearchCV.from_study("svc", path, Fails(), SPACE)


def of_function(trial):
    return {"x": trial.suggest_float("x", 0, 6), "choice": None, "peak": np.random.default_rng().random()}


def test_parameters_that_only_a_record_has_do_not_come_from_a_function_either(place):
    path = place / "s.journal"
    fitted = search(path, space=of_function, n_trials=2).fit(X, Y)
    again = OptunaSearchCV.from_study("svc", path, Fails(), of_function)
    assert again.best_params_ == fitted.best_params_, "numbers are those that were measured"
    for new in ("hostile_module", "[1]", "hostile_module.Path('.')"):
        lines = lines_of(path)
        next(line for line in lines if line["op_code"] == 8)["user_attr"][RECORD]["params"]["choice"] = new
        edited_one = place / "edited.journal"
        edited_one.write_text("".join(f"{as_json(line)}\n" for line in lines))
        # What is no number is always what the code gives.
        again = OptunaSearchCV.from_study("svc", edited_one, Fails(), of_function)
        assert [params["choice"] for params in again.cv_results_["params"]] == [None, None]


def test_a_function_that_gives_another_text_each_time_can_be_continued(place):
    def space(trial):
        return {"x": trial.suggest_float("x", 0, 6), "choice": f"folder {np.random.default_rng().random()}"}

    search(place / "s.db", space=space, n_trials=2).fit(X, Y)
    again = search(place / "s.db", space=space, n_trials=3).fit(X, Y)
    assert again.n_trials_ == 3
    assert all(params["choice"].startswith("folder ") for params in again.cv_results_["params"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            in_record(fit_time=lambda _: [0.1], score_time=lambda _: [0.1], test=lambda _: {"score": [1.0]}),
            "folds or me",
        ),
        (in_record(test=lambda old: {"other": old["score"]}), "folds or metrics are not the study's"),
        (in_record(values=lambda _: [1e300]), r"it came to \[.*\], its record has \[1e\+300\]"),
        (in_record(values=lambda _: ["1e999"]), r"its record has \[inf\]"),
        (in_record(values=lambda _: None), "its record has None"),
        (in_record(values=lambda old: [*old, 1.0]), r"it came to \[.*\], its record has \[.*, 1.0\]"),
        (in_record(schema=lambda _: -1), "is none of ours"),
        (in_record(params=lambda _: [["peak", 1.0]]), "cannot be read: it is damaged"),
    ],
    ids=[
        "fewer folds",
        "another metric",
        "another value",
        "infinity",
        "no value",
        "a goal more",
        "a negative schema",
        "a list",
    ],
)
def test_a_record_that_is_not_one_of_the_study_is_told_before_the_first_fit(change, expected, hostile):
    path = hostile(8, None, change, at_most=1)
    assert_refused_before_the_first_fit(path, (StorageError, SpaceError), expected)


@pytest.mark.parametrize(
    ("part", "new"),
    [
        ("X", {"shape": [1], "dtype": "float64", "values": "0"}),
        ("splits", {"folds": 3, "indices": "0"}),
        ("scoring", "accuracy"),
        ("estimator", {"class": "hostile_module.Path"}),
        ("error_score", "__import__('pathlib').Path('planted').touch()"),
        ("objective", STEERING),
    ],
)
def test_a_study_that_says_that_it_was_measured_on_something_else_is_refused(part, new, hostile):
    def change(line):
        if RECORD not in line["user_attr"]:
            return False
        line["user_attr"][RECORD]["fingerprint"][part] = new
        return True

    expected = rf"was measured on something else|\(TypeError|\(ValueError|{part}"
    path = hostile(2, 0, change)
    assert_refused_before_the_first_fit(path, (StudyMismatchError, StorageError), expected)


def test_a_study_that_goes_the_other_way_is_refused(hostile):
    path = hostile(0, None, lambda line: line.update(directions=[1]))
    expected = r"^study_name='svc' is a study that goes another way \(minimize instead of maximize\); scores are max"
    assert_refused_before_the_first_fit(path, StorageError, expected)
    with pytest.raises(StorageError, match=expected):
        OptunaSearchCV.from_study("svc", path, Fails(), SPACE)
    with pytest.raises(StorageError, match=expected.removeprefix("^")):
        studies.import_study(path, path.with_name("new.db"), study_name="svc")


@pytest.mark.parametrize(
    "point",
    [
        {"x": 1e9, "choice": "a"},
        {"x": 1.0, "choice": "hostile_module"},
        {"x": "1", "choice": "a"},
        {"x": [1], "choice": "a"},
    ],
    ids=str,
)
def test_a_point_to_be_tried_first_that_is_none_of_the_space_is_refused(point, hostile):
    def change(line):
        if "report" not in line["user_attr"].get(FORK, {}):
            return False
        line["user_attr"][FORK]["report"]["probed"] = [[point, point]]
        return True

    path = hostile(2, 1, change)
    expected = r"was to be tried first, and is no point of the space: "
    assert_refused_before_the_first_fit(path, SpaceError, expected, name="wider", space=WIDER, fork_of="svc")


@pytest.mark.parametrize("pid", [10**30, 2**31, -1, 0, True, "1", None, [1]], ids=str)
def test_a_claim_of_no_process_is_nobodys(pid, hostile):
    path = hostile(4, 0, lambda line: line["user_attrs"][CLAIM].update(pid=pid))
    assert search(path, n_trials=7).fit(X, Y).n_trials_ == 7
    assert studies.list_studies(path)[0].state in ("idle", "running")


# --- what a file brings along -----------------------------------------------------------------------------------------

NO_NAMES = ["", "a\0b", "n" * 600, "\ud800"]
ODD_NAMES = ["../x", "<place>/x", "CON", " ", "a/b", "x.db", "{data}", STEERING, "n" * 512, "'; DROP TABLE studies; --"]


@pytest.mark.parametrize("name", [*NO_NAMES, *ODD_NAMES], ids=lambda name: ascii(name)[:30])
def test_the_name_in_a_file_is_a_name_in_the_storage_or_a_clear_error(name, journal, place):
    name = name.replace("<place>", str(place))
    lines = lines_of(journal)
    lines[0]["study_name"] = name
    file = place / "theirs.study"
    file.write_text("".join(f"{as_json(line)}\n" for line in lines if line.get("study_name") != "wider"))
    target = place / "mine.db"
    before = {path.name for path in place.iterdir()}
    if name in NO_NAMES:
        with pytest.raises(StorageError, match=r"its name=.* Give another one, as study_name\.$"):
            studies.import_study(file, target)
        assert studies.import_study(file, target, study_name="mine") == "mine"
    else:
        assert studies.import_study(file, target) == name
        out = place / "out.csv"
        studies.export_study(name, out, target)
        out.unlink()
    assert {path.name for path in place.iterdir()} - before <= {"mine.db", "mine.db-wal", "mine.db-shm"}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
        "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM studies; END",
    ],
    ids=["view", "trigger"],
)
def test_a_file_that_would_run_something_is_not_imported(statement, database, place):
    file = place / "theirs.db"
    shutil.copy(database, file)
    edit(file, (statement,))
    with pytest.raises(
        StorageError, match=r"theirs\.db cannot be imported: it has a (view|trigger), which no study file"
    ):
        studies.import_study(file, place / "mine.db", study_name="svc")
    assert not (place / "mine.db").exists()


def test_a_table_that_is_a_view_is_no_study_file(database, place):
    file = place / "theirs.db"
    shutil.copy(database, file)
    edit(file, ("ALTER TABLE trials RENAME TO t",), ("CREATE VIEW trials AS SELECT * FROM t, t AS u, t AS v",))
    with pytest.raises(StorageError, match=r"theirs\.db cannot be imported: it is a database, and no study file\.$"):
        studies.import_study(file, place / "mine.db", study_name="svc")


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"form": 1}', "{}", PICKLE.decode("latin-1"), "END"],
    ids=["deep", "another form", "nothing", "a pickle", "a record that is none"],
)
def test_a_result_in_a_file_beside_the_storage_is_looked_at_before_it_is_taken_in(content, journal, place):
    path = place / "s.journal"
    shutil.copy(journal, path)
    identity = lines_of(journal)[1]["user_attr"][RECORD]["id"]
    end = {
        "form": 1,
        "study": identity,
        "trial": 6,
        "attrs": {RECORD: {"schema": 1, "params": {"x": "evil"}, "value": 1e9}},
    }
    beside = place / f"s.journal.{identity[:12]}-0-0.unsaved"
    beside.write_text(json.dumps(end) if content == "END" else content)
    if content == "END":
        with pytest.raises(StorageError, match=r"^The record of .*\.unsaved cannot be read: it is damaged"):
            search(path, n_trials=7).fit(X, Y)
        beside.unlink()
    assert search(path, n_trials=7).fit(X, Y).n_trials_ == 7


# --- texts ------------------------------------------------------------------------------------------------------------

texts = st.text() | st.sampled_from([value for value in VALUES.values() if isinstance(value, str) and len(value) < 999])


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(texts)
@example("hostile_module.Path('planted')")
@example("__import__('hostile_module')")
@example("(lambda: 1)()")
@example("[x for x in (1,)]")
@example("9**9**9**9")
@example("-" * 900 + "1")
@example("'a' 'b'")
@example("f'{1}'")
def test_the_text_of_a_choice_becomes_plain_data_or_stays_a_text(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, of a text that is odd as a literal
        value = plain(text)
    assert is_plain(value)
    assert len(repr(value)) < 10_000


def is_plain(value):
    if isinstance(value, dict):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(is_plain, value))
    return value is None or value is ... or type(value) in (bool, int, float, complex, str, bytes)


def test_errors_and_warnings_of_ours_steer_no_terminal():
    text = f"one {STEERING}\ntwo"
    for kind in (OptunaSearchError, InvalidRequestError, SpaceError, StorageError, StudyMismatchError, VersionWarning):
        shown = str(kind(text))
        assert_harmless(shown)
        assert shown.splitlines()[-1] == "two"
        assert str(pickle.loads(pickle.dumps(kind(text)))) == shown


def test_a_traceback_from_a_storage_steers_no_terminal(hostile):
    def change(line):
        record = line["user_attr"].get(RECORD, {})
        if "failures" not in record:
            return False
        record["failures"][0] |= {"type": STEERING, "message": STEERING, "traceback": f"first\n\tsecond {STEERING}\n"}
        return True

    path = hostile(8, None, change)
    with pytest.warns(FitFailedWarning) as said:
        search(path, "wider", WIDER, n_trials=2).fit(X, Y)
    texts_said = [str(one.message) for one in said if one.category is FitFailedWarning]
    assert "first\n\tsecond ?[31mred" in texts_said[0]
    assert_harmless(texts_said[0].replace("\t", " "))


# --- a storage that is served -----------------------------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch):
    """What was asked of Optuna's server, which is not started."""
    asked = []
    monkeypatch.setattr("optuna.storages.run_grpc_proxy_server", lambda storage, **how: asked.append(how))
    return asked


def test_a_storage_is_served_to_this_machine_only(journal, served, capsys):
    studies.serve(journal)
    for host in ("localhost", "::1", "127.0.0.2"):
        studies.serve(journal, host=host)
    assert main(["--storage", str(journal), "serve"]) == 0
    assert [how["host"] for how in served] == ["127.0.0.1", "localhost", "[::1]", "127.0.0.2", "127.0.0.1"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.filterwarnings("default::optuna_search.exceptions.ExposedStorageWarning")
def test_other_machines_reach_a_storage_only_where_somebody_said_so_and_is_warned(host, journal, served, capsys):
    with pytest.raises(InvalidRequestError, match=r"can be reached from other machines.*no authentication.*expose"):
        studies.serve(journal, host=host)
    assert main(["--storage", str(journal), "serve", "--host", host]) == 1
    assert "no authentication" in capsys.readouterr().err
    assert served == []
    with pytest.warns(ExposedStorageWarning, match="no authentication"):
        studies.serve(journal, host=host, expose=True)
    assert main(["--storage", str(journal), "serve", "--host", host, "--expose"]) == 0
    assert "no authentication" in capsys.readouterr().err
    assert [how["host"] for how in served] == [{"::": "[::]"}.get(host, host)] * 2


def test_nothing_is_served_without_grpcio(journal, served, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ImportError, match=r"needs grpcio.*pip install 'optuna-search\[grpc\]'"):
        studies.serve(journal)
    assert main(["--storage", str(journal), "serve"]) == 1
    said = capsys.readouterr().err
    assert "optuna-search[grpc]" in said and "Serving" not in said
    assert served == []


def test_a_port_that_somebody_else_has_is_told(journal):
    pytest.importorskip("grpc")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StorageError, match=rf"^Nothing can listen on 127\.0\.0\.1:{port}: choose another port"):
            studies.serve(journal, port=port)
