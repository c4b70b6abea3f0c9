"""Kept studies are listed, loaded, copied, renamed, moved and deleted, and nothing of them is ever lost."""

import copy
import datetime
import functools
import json
import os
import re
import shutil
import signal
import sqlite3
import threading

import numpy as np
import optuna
import pytest
from estimators import FailsOn, KnownScore
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from processes import Process, die_after
from test_storage import (
    assert_same_results,
    everything_in,
    kept_in,  # noqa: F401 - a fixture
    search,
)

from optuna_search import OptunaSearchCV, _copying, _names, _owner, studies
from optuna_search._compat import uncached
from optuna_search._record import CLAIM, FAILURE, FORK, ORIGIN, RECORD, RETIRED, WORKER
from optuna_search._storage import open_storage
from optuna_search.exceptions import InvalidRequestError, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}

of_failures = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores are non-finite:UserWarning"
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Copies that stand still are gone on with at once."""
    monkeypatch.setattr(_copying, "STANDSTILL_SECONDS", 0.05)
    yield
    opened.cache_clear()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An SQLite file with one study of three trials, to be copied: a search costs more than a copy."""
    path = tmp_path_factory.mktemp("template") / "s.db"
    search(storage=path, study_name="svc").fit(X, Y)
    return path


@pytest.fixture
def path(template, tmp_path):
    """A file with the study "svc" of three trials."""
    with sqlite3.connect(template) as source, sqlite3.connect(tmp_path / "s.db") as target:
        source.backup(target)
    source.close()
    target.close()
    return tmp_path / "s.db"


@functools.cache
def opened(given):
    """The storage itself, past Optuna's cache; opened once in a test, which takes longer than all that is read."""
    return uncached(open_storage(given))


def study_id(given, name):
    return opened(given).get_study_id_from_name(name)


def running(given, name, claim):
    """Put a trial that is in the air into a study, and return its number."""
    storage = opened(given)
    template = optuna.trial.create_trial(
        state=TrialState.RUNNING,
        params={"x": 1.0},
        distributions=SPACE,
        user_attrs={} if claim is None else {CLAIM: claim},
    )
    return storage.get_trial(storage.create_new_trial(study_id(given, name), template)).number


DEAD = _owner.claim() | {"started": "0", "pid": 2**22 + 1}


def trials_as_text(given, name):
    """Everything that the trials of a study hold but the ids."""
    storage = opened(given)
    found = []
    for trial in storage.get_all_trials(storage.get_study_id_from_name(name)):
        held = {key: value for key, value in vars(trial).items() if key != "_trial_id"}
        found.append(json.dumps(held, sort_keys=True, default=repr))
    return found


def attributes(given, name):
    """The attributes of a study, without the notes of who was at work on it."""
    storage = opened(given)
    system = storage.get_study_system_attrs(study_id(given, name)).items()
    return storage.get_study_user_attrs(study_id(given, name)), {k: v for k, v in system if not k.startswith(WORKER)}


def names(given):
    return [study.name for study in studies.list_studies(opened(given))]


def other(kind, tmp_path, request):
    """Another storage, that is not there yet."""
    if kind == "memory":
        return InMemoryStorage()
    if kind == "postgres":
        return request.getfixturevalue("postgres_url")
    return tmp_path / f"other.{'db' if kind == 'sqlite' else kind}"


@pytest.fixture
def with_svc(kept_in, template):  # noqa: F811
    """Each kind of storage in turn, with the study "svc" of three trials."""
    studies.copy_study("svc", "svc", template, new_storage=kept_in)
    return kept_in


def rich(given, name="rich"):
    """A study with all that a trial can hold."""
    storage = opened(given)
    made = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    start = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
    distributions = {
        "c": FloatDistribution(1e-3, 1e3, log=True),
        "n": IntDistribution(1, 9, step=2),
        "k": CategoricalDistribution(["rbf", None, True, 1.5]),
    }
    for number, (state, value) in enumerate(
        [
            (TrialState.COMPLETE, 0.1),
            (TrialState.COMPLETE, -np.inf),
            (TrialState.FAIL, None),
            (TrialState.PRUNED, None),
            (TrialState.WAITING, None),
        ]
    ):
        trial = FrozenTrial(
            number, state, value, start + datetime.timedelta(minutes=number),
            start + datetime.timedelta(minutes=number, seconds=1) if state.is_finished() else None,
            {"c": 0.1 + number, "n": 3, "k": [None, True, 1.5, "rbf", None][number]}, distributions,
            {"user": [number, "ü", None]}, {"system": {"a": number}}, {0: 0.5, 7: np.nan, 9: -np.inf}, -1,
        )  # fmt: skip
        storage.create_new_trial(made, trial)
    storage.set_study_user_attr(made, "mine", {"a": [1, 2.5, "ü", None]})
    storage.set_study_system_attr(made, "study:metric_names", ["score"])
    return made


# --- listing ----------------------------------------------------------------------------------------------------------


class TestListing:
    def test_it_says_what_there_is(self, kept_in):  # noqa: F811
        before = datetime.datetime.now()
        fitted = search(storage=kept_in, study_name="svc").fit(X, Y)
        (entry,) = studies.list_studies(kept_in)
        assert entry.name == "svc"
        assert entry.state == "idle"
        assert entry.trials == {"COMPLETE": 3, "PRUNED": 0, "FAIL": 0, "RUNNING": 0}
        assert entry.n_trials == 3
        assert entry.best_score == fitted.best_score_
        assert entry.estimator == "KnownScore()"
        assert before <= entry.started <= entry.last_written <= datetime.datetime.now()
        assert entry.forked_from is None

    @of_failures
    def test_failed_trials_count_and_have_no_score(self, tmp_path):
        how = {"storage": tmp_path / "s.db", "study_name": "s", "sampler": None, "n_trials": None}
        search({"x": [1, 2, 3]}, FailsOn(bad=(1,)), **how).fit(X, Y)
        (entry,) = studies.list_studies(tmp_path / "s.db")
        assert entry.trials == {"COMPLETE": 2, "PRUNED": 0, "FAIL": 1, "RUNNING": 0}
        assert entry.n_trials == 3
        assert entry.best_score == -2.0

    @pytest.mark.parametrize(
        ("claim", "state"),
        [(_owner.claim(), "running"), (None, "running"), ({"host": "elsewhere", "pid": 1}, "running"), (DEAD, "idle")],
        ids=["this process", "nobody", "another host", "a dead process"],
    )
    def test_a_study_is_running_unless_the_owner_is_known_to_be_dead(self, claim, state, path):
        running(path, "svc", claim)
        (entry,) = studies.list_studies(path)
        assert entry.state == state
        assert entry.trials["RUNNING"] == 1
        assert entry.n_trials == 3

    def test_studies_of_other_tools_are_listed(self, path):
        study = optuna.create_study(study_name="theirs", storage=opened(path), direction="minimize")
        study.add_trial(optuna.trial.create_trial(value=2.0))
        study.add_trial(optuna.trial.create_trial(value=1.0))
        several = optuna.create_study(study_name="front", storage=opened(path), directions=["minimize", "maximize"])
        several.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))
        before = everything_in(path)
        found = studies.list_studies(path)
        assert [(e.name, e.state, e.best_score, e.trials["COMPLETE"]) for e in found[1:]] == [
            ("theirs", "foreign", 1.0, 2),
            ("front", "foreign", None, 1),
        ]
        assert everything_in(path) == before

    def test_one_without_a_trial_is_empty(self, path):
        storage = opened(path)
        made = storage.create_new_study([StudyDirection.MAXIMIZE], "new")
        storage.set_study_user_attr(made, RECORD, attributes(path, "svc")[0][RECORD])
        entry = studies.list_studies(path)[1]
        assert (entry.state, entry.started, entry.last_written, entry.best_score) == ("empty", None, None, None)

    @pytest.mark.parametrize("value", [None, 5, [], {"schema": 99}, {"schema": "x"}, {}], ids=str)
    def test_a_damaged_record_hides_no_other_study(self, value, path):
        storage = opened(path)
        made = storage.create_new_study([StudyDirection.MAXIMIZE], "damaged")
        storage.set_study_user_attr(made, RECORD, value)
        assert [(e.name, e.state) for e in studies.list_studies(path)] == [("svc", "idle"), ("damaged", "unreadable")]

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE study_user_attributes SET value_json = '{' WHERE study_id = 2",
            "UPDATE trial_params SET distribution_json = 'x' WHERE trial_id = 4",
            "UPDATE trials SET state = 'NONE' WHERE trial_id = 4",
            "UPDATE trials SET datetime_start = 'yesterday' WHERE trial_id = 4",
        ],
    )
    def test_a_row_that_cannot_be_read_hides_no_other_study(self, damage, path):
        studies.copy_study("svc", "damaged", path)
        with sqlite3.connect(path) as connection:
            connection.execute(damage)
        connection.close()
        assert [(e.name, e.state) for e in studies.list_studies(path)] == [("svc", "idle"), ("damaged", "unreadable")]
        assert studies.load_study("svc", path).best_value is not None

    def test_an_empty_storage_has_no_study(self, tmp_path):
        assert list(studies.list_studies(InMemoryStorage())) == []
        assert list(studies.list_studies(None)) == []
        opened(tmp_path / "s.db")
        assert repr(studies.list_studies(tmp_path / "s.db")) == "no study in this storage"

    def test_it_shows_itself_as_a_table(self, path):
        text = repr(studies.list_studies(path))
        header, line, row = text.splitlines()
        assert re.split(r"  +", header) == [
            "name", "state", "trials", "best score", "estimator", "started", "last written", "forked from"
        ]  # fmt: skip
        assert set(line) == {"-"}
        assert re.match(r"svc   idle   3 complete  \d+\.\d{4} +KnownScore\(\)  \d{4}-\d\d-\d\d \d\d:\d\d", row)

    def test_no_name_is_html_or_steers_a_terminal(self, path):
        name = "<script>alert(1)</script>\x1b[31m"
        studies.copy_study("svc", name, path)
        found = studies.list_studies(path)
        assert "<script>" not in found._repr_html_() and "&lt;script&gt;" in found._repr_html_()
        assert "\x1b" not in repr(found) + found._repr_html_()
        assert found[1].name == name

    def test_it_is_a_sequence_and_a_data_frame(self, path):
        studies.copy_study("svc", "copy", path)
        found = studies.list_studies(path)
        assert len(found) == 2 and [e.name for e in found[1:]] == ["copy"]
        assert isinstance(found[1:], studies.StudyList)
        assert found == studies.list_studies(path) != found[1:]
        frame = found.to_frame()
        assert list(frame["name"]) == ["svc", "copy"]
        assert list(frame["COMPLETE"]) == [3, 3]
        assert list(frame["best_score"]) == [found[0].best_score] * 2

    def test_it_reads_each_study_once(self, path, monkeypatch):
        for i in range(4):
            studies.copy_study("svc", f"copy {i}", path)
        calls = []
        read = RDBStorage._get_trials
        monkeypatch.setattr(RDBStorage, "_get_trials", lambda self, *a, **k: calls.append(a) or read(self, *a, **k))
        assert len(studies.list_studies(path)) == 5
        assert len(calls) == 5

    def test_the_parent_of_a_fork_goes_by_the_name_that_it_has_now(self, path, tmp_path):
        studies.copy_study("svc", "wider", path)
        identity = attributes(path, "svc")[0][RECORD]["id"]
        opened(path).set_study_user_attr(study_id(path, "wider"), FORK, {"study": "svc", "id": identity})
        assert studies.list_studies(path)[1].forked_from == "svc"
        studies.rename_study("svc", "svc-2026", path)
        assert studies.list_studies(path)[1].forked_from == "svc-2026"
        assert "svc-2026" in repr(studies.list_studies(path)[1:])
        studies.rename_study("svc-2026", "svc-2026", path, new_storage=tmp_path / "new.db")
        assert studies.list_studies(path)[0].forked_from == "svc"
        studies.rename_study("wider", "wide", path, new_storage=tmp_path / "new.db")
        assert [e.forked_from for e in studies.list_studies(tmp_path / "new.db")] == [None, "svc-2026"]

    @pytest.mark.parametrize("value", [None, 3, "svc", {"study": 3, "id": []}, {}], ids=str)
    def test_a_damaged_lineage_is_none(self, value, path):
        opened(path).set_study_user_attr(study_id(path, "svc"), FORK, value)
        assert studies.list_studies(path)[0].forked_from is None

    def test_carried_trials_do_not_count(self, path):
        storage = opened(path)
        trial = copy.deepcopy(storage.get_all_trials(1)[0])
        trial.user_attrs = trial.user_attrs | {ORIGIN: {"study": "older"}}
        storage.create_new_trial(1, trial)
        (entry,) = studies.list_studies(path)
        assert (entry.trials["COMPLETE"], entry.n_trials) == (4, 3)


# --- loading ----------------------------------------------------------------------------------------------------------


class TestLoading:
    def test_it_is_the_study_itself(self, kept_in):  # noqa: F811
        fitted = search(storage=kept_in, study_name="svc").fit(X, Y)
        study = studies.load_study("svc", kept_in)
        assert type(study) is optuna.Study
        assert study.trials == fitted.study_.trials
        study.set_user_attr("note", "mine")
        assert studies.load_study("svc", kept_in).user_attrs["note"] == "mine"

    def test_with_another_sampler_and_pruner(self, path):
        sampler, pruner = optuna.samplers.RandomSampler(), optuna.pruners.NopPruner()
        study = studies.load_study("svc", path, sampler=sampler, pruner=pruner)
        assert study.sampler is sampler and study.pruner is pruner
        assert isinstance(studies.load_study("svc", path, sampler="qmc").sampler, optuna.samplers.QMCSampler)
        assert isinstance(studies.load_study("svc", path, sampler="tpe").sampler, optuna.samplers.TPESampler)

    def test_studies_of_other_tools_are_loaded_as_well(self, path):
        rich(path)
        assert len(studies.load_study("rich", path).trials) == 5

    @pytest.mark.parametrize(
        ("how", "expected"),
        [
            ({"sampler": "best"}, r"^sampler='best' must be one of 'tpe', .* an Optuna sampler, or None\.$"),
            ({"sampler": optuna.samplers.TPESampler}, r"Give an instance, not the class\.$"),
            ({"sampler": "grid"}, r"^sampler='grid' is an order of trials in a search, and no sampler of Optuna's\.$"),
            ({"pruner": "median"}, r"^pruner='median' must be an Optuna pruner, or None\.$"),
            ({"pruner": optuna.pruners.NopPruner}, r"must be an Optuna pruner, or None\. Give an instance, not"),
        ],
    )
    def test_what_is_no_sampler_or_pruner_is_refused(self, how, expected, path):
        with pytest.raises(InvalidRequestError, match=expected):
            studies.load_study("svc", path, **how)


# --- copying ----------------------------------------------------------------------------------------------------------


KINDS = ["memory", "sqlite", "journal", pytest.param("postgres", marks=pytest.mark.server)]
WAYS = [
    ("sqlite", "sqlite"),
    ("sqlite", "journal"),
    ("journal", "sqlite"),
    ("journal", "memory"),
    pytest.param("memory", "postgres", marks=pytest.mark.server),
]


class TestCopying:
    def test_a_copy_holds_the_same_and_the_original_is_as_it_was(self, with_svc):
        rich(with_svc)
        before = [[*trials_as_text(with_svc, name), attributes(with_svc, name)] for name in ("svc", "rich")]
        studies.copy_study("svc", "svc copy", with_svc)
        studies.copy_study("rich", "rich copy", with_svc)
        after = [[*trials_as_text(with_svc, name), attributes(with_svc, name)] for name in ("svc", "rich")]
        assert after == before
        assert names(with_svc) == ["svc", "rich", "svc copy", "rich copy"]
        assert trials_as_text(with_svc, "svc copy") == trials_as_text(with_svc, "svc")
        assert trials_as_text(with_svc, "rich copy") == trials_as_text(with_svc, "rich")
        assert attributes(with_svc, "rich copy") == attributes(with_svc, "rich")

    @pytest.mark.parametrize(("origin", "to"), WAYS)
    def test_it_may_go_to_another_storage(self, origin, to, path, tmp_path, request):
        rich(path)
        source = path
        if origin != "sqlite":
            source = InMemoryStorage() if origin == "memory" else tmp_path / "source.journal"
            for name in ("svc", "rich"):
                studies.copy_study(name, name, path, new_storage=source)
        target = other(to, tmp_path, request)
        for name in ("svc", "rich"):
            studies.copy_study(name, name, source, new_storage=target)
            assert trials_as_text(target, name) == trials_as_text(path, name)
        assert attributes(target, "rich") == attributes(path, "rich")

    def test_it_is_a_study_of_its_own(self, path):
        studies.copy_study("svc", "copy", path)
        (old, _), (new, _) = attributes(path, "svc"), attributes(path, "copy")
        assert old[RECORD].pop("id") != new[RECORD].pop("id")
        assert old == new

    def test_a_search_goes_on_from_it(self, path, tmp_path):
        studies.copy_study("svc", "copy", path, new_storage=tmp_path / "copy.journal")
        fitted = search(storage=tmp_path / "copy.journal", study_name="copy", n_trials=5).fit(X, Y)
        assert fitted.n_trials_ == 5
        assert trials_as_text(tmp_path / "copy.journal", "copy")[:3] == trials_as_text(path, "svc")
        assert len(trials_as_text(path, "svc")) == 3

    def test_its_results_are_the_same(self, path):
        studies.copy_study("svc", "copy", path)
        ours, theirs = (OptunaSearchCV.from_study(name, path, KnownScore()) for name in ("svc", "copy"))
        assert_same_results(ours.cv_results_, theirs.cv_results_)

    @pytest.mark.parametrize("claim", [_owner.claim(), DEAD, None], ids=["alive", "dead", "nobody's"])
    def test_a_trial_in_the_air_fails_in_the_copy_which_has_no_worker(self, claim, path):
        number = running(path, "svc", claim)
        before = everything_in(path)
        studies.copy_study("svc", "copy", path, new_storage=path.with_name("copy.db"))
        landed = studies.load_study("copy", path.with_name("copy.db")).trials[number]
        assert landed.state == TrialState.FAIL
        assert landed.user_attrs == {FAILURE: "abandoned"}
        assert landed.params == {"x": 1.0}
        assert everything_in(path) == before
        # Opening it warns of nothing: such a trial is none that another tool put there.
        assert search(storage=path.with_name("copy.db"), study_name="copy").fit(X, Y).n_trials_ == 3

    def test_a_trial_that_has_its_record_and_not_yet_its_end_gets_that_end(self, path):
        storage = opened(path)
        trial = copy.deepcopy(storage.get_all_trials(1)[0])
        value, trial.state, trial.datetime_complete, trial.values = trial.value, TrialState.RUNNING, None, None
        storage.create_new_trial(1, trial)
        studies.copy_study("svc", "copy", path)
        landed = studies.load_study("copy", path).trials[3]
        assert (landed.state, landed.value) == (TrialState.COMPLETE, value)

    def test_a_name_that_exists_is_refused_and_nothing_is_changed(self, with_svc):
        opened(with_svc).create_new_study([StudyDirection.MINIMIZE], "taken")
        studies.copy_study("svc", "copied", with_svc)
        before = [trials_as_text(with_svc, name) for name in names(with_svc)]
        for name in ("taken", "copied"):
            expected = rf"^There is a study '{name}' already; nothing was changed\. Choose another name, or delete it"
            with pytest.raises(StorageError, match=expected):
                studies.copy_study("svc", name, with_svc)
            with pytest.raises(StorageError, match=expected):
                studies.rename_study("svc", name, with_svc)
        assert [trials_as_text(with_svc, name) for name in names(with_svc)] == before

    def test_a_study_of_another_tool_is_copied_once(self, path):
        rich(path)
        studies.copy_study("rich", "copy", path)
        with pytest.raises(StorageError, match="There is a study 'copy' already"):
            studies.copy_study("rich", "copy", path)
        with pytest.raises(StorageError, match="There is a study 'rich' already"):
            studies.copy_study("rich", "rich", path, new_storage=f"sqlite:///{path}")

    def test_one_that_somebody_else_is_writing_right_now_is_left_alone(self, path, tmp_path, monkeypatch):
        target = opened(tmp_path / "new.journal")
        made = target.create_new_study([StudyDirection.MAXIMIZE], "copy")
        first, second = opened(path).get_all_trials(1)[:2]
        target.create_new_trial(made, first)
        monkeypatch.setattr(_copying.time, "sleep", lambda _: target.create_new_trial(made, second))
        with pytest.raises(StorageError, match=r"^Another process writes to the study 'copy'; the original is as it"):
            studies.copy_study("svc", "copy", path, new_storage=tmp_path / "new.journal")
        assert len(target.get_all_trials(made)) == 2

    def test_one_that_somebody_else_begins_to_write_is_not_mixed(self, path, tmp_path, monkeypatch):
        target = JournalStorage(JournalFileBackend(str(tmp_path / "new.journal")))
        create = JournalStorage.create_new_trial

        def twice(self, *args, **kwargs):
            create(self, *args, **kwargs)
            return create(self, *args, **kwargs)

        monkeypatch.setattr(JournalStorage, "create_new_trial", twice)
        with pytest.raises(StorageError, match=r"^Another process writes to the study 'copy'; the original is as it"):
            studies.copy_study("svc", "copy", path, new_storage=target)

    def test_a_copy_that_lost_something_on_the_way_is_told(self, path, tmp_path, monkeypatch):
        monkeypatch.setattr(JournalStorage, "set_study_system_attr", lambda *_: None)
        opened(path).set_study_system_attr(1, "note", "x")
        with pytest.raises(StorageError, match=r"^The copy 'copy' is not what it should be; the original is as it was"):
            studies.rename_study("svc", "copy", path, new_storage=tmp_path / "new.journal")
        assert names(path) == ["svc"]

    def test_a_long_study_is_copied(self, tmp_path):
        storage = InMemoryStorage()
        made = storage.create_new_study([StudyDirection.MAXIMIZE], "long")
        for i in range(300):
            storage.create_new_trial(made, optuna.trial.create_trial(value=i, user_attrs={"a": i}))
        studies.copy_study("long", "long", storage, new_storage=tmp_path / "new.journal")
        assert len(studies.load_study("long", tmp_path / "new.journal").trials) == 300


# --- renaming and moving ----------------------------------------------------------------------------------------------


class TestRenaming:
    def test_everything_is_kept(self, with_svc):
        rich(with_svc)
        for name in ("svc", "rich"):
            trials, attrs = trials_as_text(with_svc, name), attributes(with_svc, name)
            studies.rename_study(name, f"{name}-2026", with_svc, force=name == "rich")
            assert trials_as_text(with_svc, f"{name}-2026") == trials
            assert attributes(with_svc, f"{name}-2026") == attrs
        assert sorted(names(with_svc)) == ["rich-2026", "svc-2026"]
        fitted = search(storage=with_svc, study_name="svc-2026", n_trials=4).fit(X, Y)
        assert fitted.n_trials_ == 4

    def test_in_a_database_it_is_one_step(self, path):
        before = everything_in(path)
        studies.rename_study("svc", "new", path)
        after = everything_in(path)
        assert after.pop("studies") == [(1, "new")]
        assert before.pop("studies") == [(1, "svc")]
        assert after == before

    def test_a_storage_that_is_open_knows_the_new_name(self, path):
        storage = optuna.storages.get_storage(f"sqlite:///{path}")
        assert optuna.load_study(study_name="svc", storage=storage).study_name == "svc"
        storage.get_study_name_from_id(1)
        studies.rename_study("svc", "new", storage)
        assert storage.get_study_name_from_id(1) == "new"
        assert names(storage) == ["new"]

    def test_of_two_at_once_one_gets_the_name(self, path):
        studies.copy_study("svc", "other", path)
        start, told = threading.Barrier(2), []

        def rename(name):
            start.wait()
            try:
                studies.rename_study(name, "new", path)
            except StorageError as error:
                told.append(str(error))

        threads = [threading.Thread(target=rename, args=(name,)) for name in ("svc", "other")]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(told) == 1 and "There is a study 'new' already" in told[0]
        assert "new" in names(path) and len(names(path)) == 2

    @pytest.mark.parametrize(("kind", "to"), WAYS)
    def test_it_moves_to_another_storage(self, kind, to, path, tmp_path, request):
        rich(path)
        source = path
        if kind != "sqlite":
            source = InMemoryStorage() if kind == "memory" else tmp_path / "source.journal"
            studies.rename_study("svc", "svc", path, new_storage=source)
            studies.copy_study("rich", "rich", path, new_storage=source)
        target = other(to, tmp_path, request)
        trials, attrs = trials_as_text(source, "svc"), attributes(source, "svc")
        studies.rename_study("svc", "svc-2026", storage=source, new_storage=target)
        assert names(source) == ["rich"] and names(target) == ["svc-2026"]
        assert trials_as_text(target, "svc-2026") == trials
        assert attributes(target, "svc-2026") == attrs

    def test_the_last_study_of_a_file_leaves_the_file(self, path, tmp_path):
        studies.rename_study("svc", "svc-2026", storage=str(path), new_storage=str(tmp_path / "svc-2026.db"))
        assert names(path) == []
        assert path.exists()

    @pytest.mark.parametrize("to", [lambda path: f"sqlite:///{path}", str], ids=["URL", "path"])
    def test_to_where_it_is_already_it_is_not_lost(self, to, path):
        before = everything_in(path)
        with pytest.raises(StorageError, match=r"^'svc' is in that storage already, under that name\.$"):
            studies.rename_study("svc", "svc", path, new_storage=to(path))
        after = everything_in(path)
        assert {k: v for k, v in after.items() if k != "sqlite_sequence"} == before
        studies.rename_study("svc", "new", path, new_storage=to(path))
        assert names(path) == ["new"] and len(trials_as_text(path, "new")) == 3

    def test_the_same_call_finishes_what_was_begun(self, path, tmp_path):
        target = opened(tmp_path / "new.journal")
        made = target.create_new_study([StudyDirection.MAXIMIZE], "new")
        target.create_new_trial(made, opened(path).get_all_trials(1)[0])
        trials = trials_as_text(path, "svc")
        studies.rename_study("svc", "new", path, new_storage=tmp_path / "new.journal")
        assert names(path) == [] and trials_as_text(tmp_path / "new.journal", "new") == trials

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda s, made: s.create_new_trial(made, optuna.trial.create_trial(value=1.0)),
            lambda s, made: s.set_study_user_attr(made, "mine", 1),
            lambda s, made: s.set_study_system_attr(made, "mine", 1),
        ],
        ids=["another trial", "an attribute", "a system attribute"],
    )
    def test_what_is_no_beginning_of_it_is_never_touched(self, spoil, path, tmp_path):
        target = opened(tmp_path / "new.db")
        made = target.create_new_study([StudyDirection.MAXIMIZE], "new")
        spoil(target, made)
        before = everything_in(tmp_path / "new.db")
        with pytest.raises(StorageError, match=r"^There is a study 'new' already; nothing was changed"):
            studies.rename_study("svc", "new", path, new_storage=tmp_path / "new.db")
        assert everything_in(tmp_path / "new.db") == before
        assert names(path) == ["svc"]

    def test_a_study_that_goes_the_other_way_is_no_beginning_of_it(self, path, tmp_path):
        opened(tmp_path / "new.db").create_new_study([StudyDirection.MINIMIZE], "new")
        with pytest.raises(StorageError, match=r"^There is a study 'new' already; nothing was changed"):
            studies.rename_study("svc", "new", path, new_storage=tmp_path / "new.db")

    def test_what_somebody_writes_meanwhile_is_not_lost(self, path, tmp_path, monkeypatch):
        write = _copying.write

        def and_somebody_else(*args, **kwargs):
            made = write(*args, **kwargs)
            opened(path).set_study_user_attr(1, "note", "of the last moment")
            return made

        monkeypatch.setattr(_copying, "write", and_somebody_else)
        with pytest.raises(StorageError, match=r"^Another process wrote to the study 'svc' while it was copied; it is"):
            studies.rename_study("svc", "new", path, new_storage=tmp_path / "new.db")
        assert attributes(path, "svc")[0]["note"] == "of the last moment"
        assert names(tmp_path / "new.db") == [], "a copy that lacks something stands in nobody's way"


#: The calls by which a study is moved.
MOVES = (
    "create_new_study",
    "create_new_trial",
    "_create_new_trial",
    "set_study_user_attr",
    "set_study_system_attr",
    "delete_study",
)


def move_until_killed(old, new, n_writes):
    die_after(n_writes, [RDBStorage, JournalStorage], MOVES)
    studies.rename_study("svc", "new", old, new_storage=new)


def is_whole(path, name):
    storage = open_storage(path)  # once: that takes longer than all the rest
    if name not in [study.name for study in studies.list_studies(storage) if study.state != "foreign"]:
        return False
    study = studies.load_study(name, storage)
    return [t.number for t in study.trials] == [0, 1, 2] and study.user_attrs["note"] == "mine"


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_a_move_that_is_killed_after_any_write_leaves_a_whole_study_and_the_next_call_finishes_it(
    ending, path, tmp_path
):
    opened(path).set_study_user_attr(1, "note", "mine")
    opened(path).set_study_system_attr(1, "dashboard:note_ver", 1)
    opened(tmp_path / f"empty.{ending}")
    for file in tmp_path.glob("*.db"):
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    told = []
    for n_writes in range(10):
        old, new = tmp_path / f"old{n_writes}.db", tmp_path / f"new{n_writes}.{ending}"
        shutil.copy(path, old)
        shutil.copy(tmp_path / f"empty.{ending}", new)
        with Process(move_until_killed, old, new, n_writes) as process:
            killed = process.wait() == -signal.SIGKILL
        there = [is_whole(old, "svc"), is_whole(new, "new")]
        if there[0]:
            studies.rename_study("svc", "new", old, new_storage=new)
        told.append((killed, there, [is_whole(old, "svc"), is_whole(new, "new")]))
    # The study, its trials, its attributes, and the end of the original.
    assert [killed for killed, _, _ in told] == [True] * (1 + 1 + 3 + 3 + 1) + [False]
    assert [there for _, there, _ in told] == [[True, False]] * 7 + [[True, True]] + [[False, True]] * 2
    assert all(after == [False, True] for _, _, after in told)


# --- deleting ---------------------------------------------------------------------------------------------------------


class TestDeleting:
    def test_it_is_gone_and_the_others_are_as_they_were(self, with_svc):
        studies.copy_study("svc", "copy", with_svc)
        trials = trials_as_text(with_svc, "copy")
        studies.delete_study("svc", with_svc)
        assert names(with_svc) == ["copy"] and trials_as_text(with_svc, "copy") == trials
        with pytest.raises(StorageError, match=r"^study_name='svc' is not in this storage\. There are: 'copy'\.$"):
            studies.delete_study("svc", with_svc)

    @pytest.mark.parametrize(
        "change", [studies.delete_study, lambda *a, **k: studies.rename_study("svc", "n", *a[1:], **k)]
    )
    def test_a_study_that_somebody_works_on_goes_only_by_force(self, change, path):
        running(path, "svc", _owner.claim())
        expected = (
            rf"^study_name='svc' is being worked on by process {os.getpid()} on host {re.escape(os.uname().nodename)}"
            r"\. Wait until the search has ended, or stop it; with force it is done all the same"
        )
        with pytest.raises(StorageError, match=expected):
            change("svc", path)
        assert names(path) == ["svc"]
        change("svc", path, force=True)
        assert "svc" not in names(path)

    def test_a_trial_of_nobody_known_is_told_too(self, path):
        number = running(path, "svc", None)
        with pytest.raises(StorageError, match=rf"worked on by somebody unknown \(trial {number}\)\."):
            studies.delete_study("svc", path)

    def test_whoever_fills_a_fork_works_on_it(self, path):
        opened(path).set_study_user_attr(1, FORK, {"study": "parent", "id": "0", "writer": _owner.claim()})
        assert [study.state for study in studies.list_studies(path)] == ["running"]
        with pytest.raises(StorageError, match=rf"being worked on by process {os.getpid()} on host"):
            studies.delete_study("svc", path)
        opened(path).set_study_user_attr(1, FORK, {"study": "parent", "id": "0", "writer": DEAD})
        assert [study.state for study in studies.list_studies(path)] == ["idle"]
        studies.delete_study("svc", path)

    def test_a_deletion_that_was_killed_leaves_a_study_that_can_be_used_and_deleted(self, path):
        opened(path).set_study_system_attr(1, RETIRED, True)
        assert [study.state for study in studies.list_studies(path)] == ["idle"]
        assert OptunaSearchCV.from_study("svc", path, KnownScore(), SPACE).n_trials_ == 3
        assert search(storage=path, study_name="svc", n_trials=5).fit(X, Y).n_trials_ == 5
        opened(path).set_study_system_attr(1, RETIRED, True)
        studies.delete_study("svc", path)
        assert names(path) == []

    def test_trials_of_the_dead_do_not_stand_in_the_way(self, path):
        running(path, "svc", DEAD)
        studies.rename_study("svc", "new", path)
        trial = studies.load_study("new", path).trials[3]
        assert (trial.state, trial.user_attrs[FAILURE]) == (TrialState.FAIL, "abandoned")
        running(path, "new", DEAD)
        studies.delete_study("new", path)
        assert names(path) == []

    def test_one_of_a_newer_version_goes_only_by_force(self, path):
        opened(path).set_study_user_attr(1, RECORD, {"schema": 99})
        running(path, "svc", DEAD)
        before = everything_in(path)
        with pytest.raises(StorageError, match=r"^The record of study 'svc' has schema 99; this version of optuna_sea"):
            studies.rename_study("svc", "new", path)
        assert everything_in(path) == before
        studies.delete_study("svc", path, force=True)
        assert names(path) == []

    def test_a_study_of_another_tool_goes_only_by_force(self, path):
        rich(path)
        for change in (
            lambda **how: studies.delete_study("rich", path, **how),
            lambda **how: studies.rename_study("rich", "new", path, **how),
        ):
            with pytest.raises(
                StorageError,
                match=r"^study_name='rich' is a study that optuna_search did not make.* with force it",
            ):
                change()
            assert "rich" in names(path)
        studies.delete_study("rich", path, force=True)
        assert names(path) == ["svc"]


# --- notes and artifacts ----------------------------------------------------------------------------------------------


def notes_of(given, name):
    """What optuna-dashboard shows: the note of the study, those of its trials by number, and artifacts likewise."""
    storage = opened(given)
    attrs = storage.get_study_system_attrs(study_id(given, name))

    def body(head):
        parts = {k: v for k, v in attrs.items() if k.startswith(f"{head}note_str:")}
        return attrs.get(f"{head}note_ver"), "".join(parts[f"{head}note_str:{i}"] for i in range(len(parts)))

    trials = storage.get_all_trials(study_id(given, name))
    artifacts = {
        t.number: [json.loads(v) for k, v in attrs.items() if k.startswith(f"dashboard:artifacts:{t._trial_id}:")]
        for t in trials
    }
    skipped = [t.number for t in trials if f"preference:skip_trial:{t._trial_id}" in attrs]
    return body("dashboard:"), {t.number: body(f"dashboard:{t._trial_id}:") for t in trials}, artifacts, skipped


class TestNotesAndArtifacts:
    @pytest.fixture
    def noted(self, path, tmp_path):
        """The study with all that optuna-dashboard and optuna.artifacts keep, written as they write it."""
        storage = opened(path)
        studies.copy_study("svc", "noted", path)  # not the first one: its ids are no numbers
        made = study_id(path, "noted")
        study = studies.load_study("noted", path)
        (tmp_path / "artifacts").mkdir()
        store = FileSystemArtifactStore(tmp_path / "artifacts")
        (tmp_path / "plot.png").write_bytes(b"png")
        first, second = study.trials[0], study.trials[2]
        of_study = upload_artifact(artifact_store=store, file_path=str(tmp_path / "plot.png"), study_or_trial=study)
        of_trial = upload_artifact(
            artifact_store=store, file_path=str(tmp_path / "plot.png"), study_or_trial=first, storage=storage
        ) if not first.state.is_finished() else of_study  # fmt: skip
        link = f"![](/artifacts/{made}/{first._trial_id}/{of_trial}) ![](/artifacts/{made}/{of_study})"
        long = "x" * 2040 + link
        for key, value in {
            "dashboard:note_ver": 3,
            "dashboard:note_str:0": long[:2045],
            "dashboard:note_str:1": long[2045:],
            f"dashboard:{first._trial_id}:note_ver": 1,
            f"dashboard:{first._trial_id}:note_str:0": "a note on the first",
            f"dashboard:{second._trial_id}:note_ver": 2,
            f"dashboard:{second._trial_id}:note_str:0": "a note on the third",
            f"dashboard:artifacts:{second._trial_id}:{of_study}": json.dumps({"artifact_id": of_study}),
            f"preference:skip_trial:{second._trial_id}": True,
            "NSGAIISampler:parent:1": [first._trial_id, second._trial_id],
            "dashboard:plot_data:mine:0": "{}",
        }.items():
            storage.set_study_system_attr(made, key, value)
        return path, long, link

    @pytest.mark.parametrize("to", ["sqlite", "journal", "memory", "the same"])
    def test_they_go_with_their_trials(self, noted, to, tmp_path, request):
        path, _, link = noted
        before = notes_of(path, "noted")
        artifacts = get_all_artifact_meta(studies.load_study("noted", path))
        target = path if to == "the same" else other(to, tmp_path, request)
        if to in ("journal", "memory"):
            search(storage=target, study_name="first").fit(X, Y)  # so that ids differ here, too
        studies.copy_study("noted", "copy", path, new_storage=target)
        after = notes_of(target, "copy")
        assert after[1:] == before[1:]
        assert after[1][2] == (2, "a note on the third")
        assert get_all_artifact_meta(studies.load_study("copy", target)) == artifacts
        study = studies.load_study("copy", target)
        attrs = attributes(target, "copy")[1]
        assert attrs["NSGAIISampler:parent:1"] == [study.trials[0]._trial_id, study.trials[2]._trial_id]
        assert attrs["dashboard:plot_data:mine:0"] == "{}"
        ids = [study_id(target, "copy"), study.trials[0]._trial_id]
        expected = re.sub(r"/artifacts/\d+/\d+/", "/artifacts/{}/{}/".format(*ids), link)
        expected = re.sub(r"/artifacts/\d+/([0-9a-f]+-)", rf"/artifacts/{ids[0]}/\1", expected)
        assert after[0] == (3, "x" * 2040 + expected)

    def test_in_a_database_a_new_name_changes_none_of_them(self, noted):
        path, long, _ = noted
        before = notes_of(path, "noted")
        studies.rename_study("noted", "new", path)
        assert notes_of(path, "new") == before
        assert before[0] == (3, long)

    def test_the_artifacts_of_a_trial_are_found_in_its_copy(self, path, tmp_path):
        (tmp_path / "artifacts").mkdir()
        (tmp_path / "model.bin").write_bytes(b"weights")
        store = FileSystemArtifactStore(tmp_path / "artifacts")
        study = optuna.create_study(study_name="theirs", storage=opened(path))

        def objective(trial):
            upload_artifact(artifact_store=store, file_path=str(tmp_path / "model.bin"), study_or_trial=trial)
            return 1.0

        study.optimize(objective, n_trials=2)
        studies.copy_study("theirs", "copy", path, new_storage=tmp_path / "copy.journal")
        storage = opened(tmp_path / "copy.journal")
        for ours, theirs in zip(studies.load_study("copy", storage).trials, study.trials, strict=True):
            found = get_all_artifact_meta(ours, storage=storage)
            assert found == get_all_artifact_meta(theirs, storage=opened(path))
            with store.open_reader(found[0].artifact_id) as file:
                assert file.read() == b"weights"

    def test_a_note_on_a_trial_of_another_study_gets_to_no_trial_of_the_copy(self, path, tmp_path):
        storage = opened(path)
        for stale in (9, 77):
            storage.set_study_system_attr(1, f"dashboard:{stale}:note_ver", 1)
        target = InMemoryStorage()
        for _ in range(8):
            target.create_new_trial(target.create_new_study([StudyDirection.MAXIMIZE]))
        studies.copy_study("svc", "copy", path, new_storage=target)
        attrs = attributes(target, "copy")[1]
        assert [t._trial_id for t in studies.load_study("copy", target).trials] == [8, 9, 10]
        assert attrs == {"dashboard:77:note_ver": 1}


# --- names and storages that are none ---------------------------------------------------------------------------------


NAMES = [
    "../../up",
    "/absolute",
    "CON",
    'it\'s "quoted"',
    "100%; DROP TABLE studies; --",
    "مرحبا ‮ имя 名前 🎉",
    "n" * 300,
    " ",
    "a/b",
    "{data}",
    ":name",
]


@pytest.mark.parametrize("kind", KINDS)
def test_any_text_is_a_name_and_never_a_path(kind, path, tmp_path, request):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    target = other(kind, folder, request)
    studies.copy_study("svc", "svc", path, new_storage=target)
    target = opened(target)
    old = "svc"
    for name in NAMES:
        studies.rename_study(old, name, target)
        studies.copy_study(name, f"{name} copy", target)
        assert sorted(names(target)) == sorted([name, f"{name} copy"])
        studies.delete_study(f"{name} copy", target)
        old = name
    assert names(target) == [old] and len(trials_as_text(target, old)) == 3
    there = {place.name for place in folder.rglob("*")}
    assert there <= {f"other.{end}{more}" for end in ("db", "journal") for more in ("", "-wal", "-shm")}
    assert {place.name for place in tmp_path.iterdir()} <= {"in", "s.db", "s.db-wal", "s.db-shm"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", r"='' is no name for a study: it must not be empty or hold the character NUL\.$"),
        ("a\0b", r"='a\\x00b' is no name for a study: it must not be empty or hold the character NUL\.$"),
        ("\ud800", r"='\\ud800' is no name for a study: half of a character in it cannot be stored\.$"),
        (None, r"=None must be a str, the name of a study\.$"),
        (5, r"=5 must be a str, the name of a study\.$"),
        (["svc"], r"=\['svc'\] must be a str, the name of a study\.$"),
    ],
    ids=["empty", "NUL", "half a character", "None", "int", "list"],
)
def test_what_is_no_name_is_refused(name, expected, path, tmp_path):
    before = everything_in(path)
    for call in (
        lambda: studies.load_study(name, path),
        lambda: studies.delete_study(name, path),
        lambda: studies.export_study(name, tmp_path / "x.csv", path),
        lambda: studies.copy_study(name, "new", path),
        lambda: studies.rename_study(name, "new", path),
    ):
        with pytest.raises(InvalidRequestError, match=f"^study_name{expected}"):
            call()
    for change in (studies.copy_study, studies.rename_study):
        with pytest.raises(InvalidRequestError, match=f"^new_name{expected}"):
            change("svc", name, path)
        with pytest.raises(InvalidRequestError, match=r"(?s)study_name=.*new_name="):
            change(name, name, path)
    assert everything_in(path) == before


def test_a_new_name_is_another_one(path):
    for change in (studies.copy_study, studies.rename_study):
        with pytest.raises(InvalidRequestError, match=r"^new_name='svc' is the name that the study has already\.$"):
            change("svc", "svc", path)


def test_an_unknown_name_is_told_with_the_one_that_was_meant(path, tmp_path):
    new = tmp_path / "new.db"
    for call in (
        lambda: studies.load_study("svd", path),
        lambda: studies.delete_study("svd", path),
        lambda: studies.export_study("svd", tmp_path / "x.csv", path),
        lambda: studies.copy_study("svd", "new", path, new_storage=new),
        lambda: studies.rename_study("svd", "new", path, new_storage=new),
    ):
        with pytest.raises(StorageError, match=r"^study_name='svd' is not in this storage\. Did you mean 'svc'\?$"):
            call()
    assert not new.exists() and not (tmp_path / "x.csv").exists()


class TestStoragesThatAreNone:
    def test_a_file_that_is_not_there_is_not_made(self, tmp_path):
        for name in ("s.db", "s.journal", "s.study"):
            given = str(tmp_path / name)
            with pytest.raises(StorageError, match=re.escape(f"storage={given!r}: there is no file {given}.")):
                studies.list_studies(given)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("given", [5, b"s.db", ["s.db"], object()], ids=["int", "bytes", "list", "object"])
    def test_what_is_no_storage_is_refused(self, given):
        expected = re.escape(f"storage={given!r} must be a path, a URL, an Optuna storage, or None.")
        with pytest.raises(InvalidRequestError, match=expected):
            studies.list_studies(given)

    @pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
    def test_the_database_of_another_program_is_left_alone(self, form, tmp_path):
        path = tmp_path / "bank.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE accounts (id INTEGER)")
        connection.close()
        before = path.read_bytes()
        given = form.format(path)
        expected = re.escape(
            f"storage={given!r} is not an optuna_search study file: it is the database of something else (with the "
            "table 'accounts'). Nothing was written to it."
        )
        with pytest.raises(StorageError, match=expected):
            studies.list_studies(given)
        with pytest.raises(StorageError, match=expected):
            search(storage=given).fit(X, Y)
        with pytest.raises(StorageError, match=expected):
            studies.delete_study("s", given)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_a_file_in_which_somebody_is_making_the_first_table_is_one(self, tmp_path):
        path = tmp_path / "s.db"
        with sqlite3.connect(path) as connection:  # as Optuna makes it
            connection.execute("CREATE TABLE studies (study_id INTEGER NOT NULL PRIMARY KEY, study_name VARCHAR(512))")
        connection.close()
        assert search(storage=path, study_name="s").fit(X, Y).n_trials_ == 3
        assert names(path) == ["s"]

    def test_an_empty_file_is_no_study_file_to_read(self, tmp_path):
        (tmp_path / "s.db").touch()
        with pytest.raises(StorageError, match=r"is not an optuna_search study file: it is empty\. Nothing was"):
            studies.list_studies(tmp_path / "s.db")
        assert (tmp_path / "s.db").read_bytes() == b""
        search(storage=tmp_path / "s.db", study_name="s", n_trials=1).fit(X, Y)
        assert names(tmp_path / "s.db") == ["s"]

    def test_what_is_no_database_says_what_may_save_it(self, path, tmp_path):
        (tmp_path / "thesis.db").write_bytes(b"no database" * 500)
        with pytest.raises(
            StorageError,
            match=r"is not an optuna_search study file: file is not a database\. If it was one, this may save what "
            r"is left: sqlite3 thesis\.db \.recover \| sqlite3 new\.db\.$",
        ):
            studies.list_studies(tmp_path / "thesis.db")

    def test_a_journal_by_a_wrong_name_is_told(self, path, tmp_path):
        studies.export_study("svc", tmp_path / "s.study", path)
        (tmp_path / "s.study").rename(tmp_path / "j.db")
        with pytest.raises(StorageError, match=r"It looks like a journal, whose name ends in \.journal\.$"):
            studies.list_studies(tmp_path / "j.db")

    @pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
    def test_a_file_that_cannot_be_written_is_read(self, form, path, tmp_path, monkeypatch):
        given = form.format(path)
        before = path.read_bytes()
        monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
        assert [entry.name for entry in studies.list_studies(given)] == ["svc"]
        assert studies.load_study("svc", given).best_value is not None
        studies.export_study("svc", tmp_path / "out.csv", given)
        studies.copy_study("svc", "copy", given, new_storage=tmp_path / "copy.journal")
        for change in (studies.delete_study, lambda *a: studies.rename_study("svc", "new", a[1])):
            with pytest.raises(StorageError, match=r"^storage='.*': attempt to write a readonly database$"):
                change("svc", given)
        assert path.read_bytes() == before
        assert {file.name for file in tmp_path.iterdir()} == {"s.db", "out.csv", "copy.journal"}

    def test_passwords_are_in_no_message(self):
        for given in ("postgresql+psycopg://me:s3cr3t@127.0.0.1:1/x", "nosuch://me:s3cr3t@h/x"):
            with pytest.raises(StorageError) as raised:
                studies.list_studies(given)
            assert "s3cr3t" not in str(raised.value) and raised.value.__context__ is None

    @pytest.mark.server
    def test_a_server_that_fails_later_tells_no_password(self, path, postgres_url, monkeypatch):
        monkeypatch.setenv("PG_URL_PASSWORD", postgres_url.partition("postgres:")[2].partition("@")[0])
        for given in (postgres_url, re.sub(r"postgres:[^@]+@", "postgres:${PG_URL_PASSWORD}@", postgres_url)):
            name = "n" * 600  # more than a column of PostgreSQL takes
            monkeypatch.setattr(_names, "MAX_LENGTH", 1000)  # or it would not get so far
            with pytest.raises(StorageError, match=r"^storage='postgresql\+psycopg://postgres:(\*\*\*|\$)") as raised:
                studies.copy_study("svc", name, path, new_storage=given)
            assert "too long" in str(raised.value)
            assert raised.value.__suppress_context__ and raised.value.__cause__ is None
        assert names(postgres_url) == []


def test_a_name_that_is_too_long_for_a_database_is_refused_everywhere(tmp_path):
    search(storage=tmp_path / "s.db", study_name="svc").fit(X, Y)
    with pytest.raises(InvalidRequestError, match="has 513 characters; a database keeps up to 512"):
        studies.copy_study("svc", "n" * 513, tmp_path / "s.db")
    studies.copy_study("svc", "n" * 512, tmp_path / "s.db")
    assert "n" * 512 in names(tmp_path / "s.db")
