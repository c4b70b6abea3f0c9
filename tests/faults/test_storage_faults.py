"""Storages that are locked, away, full, read-only, deleted, damaged, slow: nothing that was finished is lost."""

import contextlib
import functools
import json
import logging
import math
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from estimators import CountsFits, KnownScore
from faulty import WRITES, Fault, FaultyStorage, connection_lost, disk_full, locked, no_space, unavailable
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from processes import Process, wait_until
from proxy import CuttingProxy, free_port
from sqlalchemy.exc import OperationalError

from optuna_search import OptunaSearchCV, _salvage, _sqlite, _storage, _trouble, studies
from optuna_search.__main__ import main
from optuna_search._record import HANDED_BACK
from optuna_search._store import Store
from optuna_search.exceptions import StorageError, TornJournalWarning

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}


def search(storage, estimator=None, **how):
    how = {"n_trials": 6, "cv": 2, "sampler": "random", "random_state": 0, "refit": False, "study_name": "s"} | how
    return OptunaSearchCV(KnownScore() if estimator is None else estimator, SPACE, storage=storage, **how)


def undisturbed():
    """What a search comes to in which nothing goes wrong."""
    return results_of(search(None, study_name=None).fit(X, Y))


def results_of(fitted):
    return [(params["x"], score) for params, score in zip(*columns_of(fitted), strict=True)]


def columns_of(fitted):
    return fitted.cv_results_["params"], fitted.cv_results_["mean_test_score"]


def states(storage):
    return [trial.state.name for trial in studies.load_study("s", storage).trials]


@pytest.fixture(params=["db", "journal"])
def path(request, tmp_path):
    return tmp_path / f"s.{request.param}"


@pytest.fixture
def impatient(monkeypatch):
    """A storage is waited for a second and a half, and not a minute."""
    monkeypatch.setattr(_trouble, "PATIENCE_SECONDS", 1.5)
    monkeypatch.setattr(_storage, "BUSY_TIMEOUT", 0.2)


# --- calls that fail in passing ---------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "journal"])
def inner(request, tmp_path):
    if request.param == "sqlite":
        return RDBStorage(f"sqlite:///{tmp_path}/s.db")
    return JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))


@contextlib.contextmanager
def ctrl_c_in(*seconds):
    """Press Ctrl-C in so many seconds, each."""
    timers = [threading.Timer(one, os.kill, (os.getpid(), signal.SIGINT)) for one in seconds]
    for timer in timers:
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.join()


class TestCtrlC:
    """While a storage is waited for, which may take a minute."""

    @pytest.mark.parametrize("calls", [WRITES, ("create_new_trial",)], ids=["an end", "a claim"])
    def test_ends_the_search_within_seconds_and_nothing_is_lost(self, calls, inner, disturb):
        storage = FaultyStorage(inner)
        disturb[8] = lambda: storage.plan(Fault(calls=(*calls, "get_all_trials"), error=locked, times=math.inf))
        made = search(storage, Disturbs())
        started = time.monotonic()
        with ctrl_c_in(2.5), pytest.raises(KeyboardInterrupt) as raised:
            made.fit(X, Y)
        assert time.monotonic() - started < 9
        assert "4 finished trials are kept in the study 's'" in raised.value.__notes__[0]
        assert made.n_trials_ == 4
        again = search(inner, Disturbs()).fit(X, Y)
        assert {*results_of(made)} <= {*results_of(again)}
        assert again.n_trials_ == 6 and Disturbs.fits == 12

    def test_a_second_time_does_not_wait_for_a_call_that_does_not_come_back(self, inner, disturb):
        storage = FaultyStorage(inner)
        disturb[7] = lambda: storage.plan(Fault(kind="delay", seconds=60, times=math.inf))
        made = search(storage, Disturbs())
        started = time.monotonic()
        with ctrl_c_in(2, 4), pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        assert time.monotonic() - started < 9
        assert made.n_trials_ >= 3


class TestACallThatFailsOnce:
    @pytest.mark.parametrize("kind", ["raise", "raise after"])
    @pytest.mark.parametrize("at", range(1, 23))
    def test_is_made_again_and_nothing_is_lost_or_there_twice(self, kind, at, inner):
        storage = FaultyStorage(inner, Fault(at=at, kind=kind))
        fitted = search(storage).fit(X, Y)
        assert storage.met() or at > len(storage.names(WRITES)) - 1
        assert results_of(fitted) == undisturbed()
        assert [trial.state for trial in fitted.study_.trials] == [TrialState.COMPLETE] * 6

    @pytest.mark.parametrize("error", [connection_lost, locked, unavailable, OSError], ids=lambda error: error.__name__)
    def test_may_fail_in_any_of_the_usual_ways(self, error, inner):
        if error is unavailable:
            pytest.importorskip("grpc")
        storage = FaultyStorage(inner, Fault(at=5, error=error, times=3))
        assert results_of(search(storage).fit(X, Y)) == undisturbed()

    def test_may_quote_what_would_not_pass(self, inner):
        """The text of SQLAlchemy's errors has the parameters of the statement, and so the message of a failed fit."""
        cause = sqlite3.OperationalError("database is locked")
        error = OperationalError("UPDATE", {"failure": "no such table: the column does not exist"}, cause)
        storage = FaultyStorage(inner, Fault(at=5, error=error, times=3))
        assert results_of(search(storage).fit(X, Y)) == undisturbed()

    def test_may_be_a_look(self, inner):
        storage = FaultyStorage(inner, Fault(at=3, calls=("get_all_trials",), times=2))
        assert results_of(search(storage).fit(X, Y)) == undisturbed()

    def test_may_be_one_that_carries_trials_over(self, inner):
        parent = search(inner).fit(X, Y)
        for kind in ("raise", "raise after"):
            storage = FaultyStorage(InMemoryStorage(), Fault(at=3, kind=kind, calls=("create_new_trial",)))
            child = parent.fork(SPACE, study_name="t", n_trials=1, storage=storage).fit(X, Y)
            assert storage.met()
            assert len(child.fork_report_.carried) == 6 and len(child.study_.trials) == 7

    def test_passes_though_a_fit_has_failed_with_what_would_not(self, inner):
        """What is raised while a fit's own error is on its way has that as its context."""
        storage = FaultyStorage(inner)
        made = search(storage, RaisesNoSpace(), error_score="raise")
        RaisesNoSpace.before = lambda: storage.plan(Fault(error=locked, times=2))
        with pytest.raises(OSError, match="No space left"):
            made.fit(X, Y)
        assert states(inner) == ["FAIL"]

    def test_is_said_where_it_is_no_fault_of_the_storage(self, inner):
        """An error in a program is not waited for."""
        storage = FaultyStorage(inner, Fault(at=5, error=ZeroDivisionError("a mistake"), times=math.inf))
        started = time.monotonic()
        with pytest.raises(ZeroDivisionError, match="a mistake"):
            search(storage).fit(X, Y)
        assert time.monotonic() - started < 20


@pytest.mark.usefixtures("impatient")
class TestAStorageThatStaysAway:
    @pytest.fixture
    def left(self, inner):
        """A search whose storage went away for good when its fourth trial had been measured."""
        finish = ("set_trial_user_attr", "set_trial_state_values")
        storage = FaultyStorage(inner, Fault(at=7, calls=finish, times=math.inf))
        left = search(storage)
        with pytest.raises(StorageError) as raised:
            left.fit(X, Y)
        left.said = raised.value
        return left

    def test_is_an_error_that_says_how_long_it_was_waited_for(self, left):
        assert re.search(r"^storage='.*': it does not answer, waited [12] s \(", str(left.said))

    def test_leaves_everything_that_was_measured_on_the_search(self, left):
        assert results_of(left) == undisturbed()[:4]
        assert left.best_score_ == max(score for _, score in undisturbed()[:4])
        assert len(left.top_n_) == left.n_trials_ == len(left.study_.trials) == 4
        assert "has the results so far" in left.said.__notes__[0]

    def test_leaves_results_that_can_be_copied_elsewhere(self, left, tmp_path):
        studies.copy_study("s", "saved", left.study_._storage, new_storage=tmp_path / "other.db")
        assert len(studies.load_study("saved", tmp_path / "other.db").trials) == 4

    def test_leaves_the_result_that_was_not_taken_in_a_file_for_the_next_search(self, left, inner, tmp_path):
        (unsaved,) = tmp_path.glob("*.unsaved")
        assert repr(str(unsaved)) in str(left.said)
        again = search(inner, CountsFits(str(tmp_path / "fits")))
        with pytest.raises(ValueError, match="estimator"):  # another one, and so another study
            again.fit(X, Y)
        again = search(inner).fit(X, Y)
        assert {*results_of(left)} <= {*results_of(again)}
        assert again.n_trials_ == 6
        assert not unsaved.exists()

    def test_that_is_back_when_the_search_tidies_up_gets_it_then(self, inner, monkeypatch):
        monkeypatch.setattr(_trouble, "PATIENCE_SECONDS", 0)
        for calls in ("set_trial_user_attr", "set_trial_state_values"):
            storage = FaultyStorage(inner, Fault(at=4, calls=(calls,)))
            with pytest.raises(StorageError):
                search(storage, study_name=calls).fit(X, Y)
            trials = studies.load_study(calls, inner).trials
            assert [(trial.params["x"], trial.value) for trial in trials] == undisturbed()[:4]
            assert search(inner, study_name=calls).fit(X, Y).n_trials_ == 6

    def test_is_taken_from_the_file_once_by_searches_that_begin_at_the_same_moment(self, left, inner, monkeypatch):
        """The trial was given up meanwhile, and so the result gets a new one."""
        (lost,) = (t for t in inner.get_all_trials(inner.get_study_id_from_name("s")) if not t.state.is_finished())
        inner.set_trial_state_values(lost._trial_id, TrialState.FAIL)
        claim, other = Store.claim, search(inner, n_trials=4)

        def claims(store, candidate):
            monkeypatch.setattr(Store, "claim", claim)
            other.fit(X, Y)  # the moment between a look and a claim
            return claim(store, candidate)

        monkeypatch.setattr(Store, "claim", claims)
        assert results_of(search(inner, n_trials=4).fit(X, Y)) == results_of(other)
        trials = inner.get_all_trials(inner.get_study_id_from_name("s"))
        assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 + ["FAIL", "COMPLETE", "FAIL"]
        assert trials[5].user_attrs["failure"] == HANDED_BACK
        assert (trials[4].params["x"], trials[4].value) == results_of(left)[3]

    def test_does_not_make_its_end_longer_with_every_trial_in_the_air(self, inner):
        storage = FaultyStorage(inner, Fault(at=12, times=math.inf))
        started = time.monotonic()
        with pytest.raises(StorageError):
            search(storage, n_jobs=4, pre_dispatch="all").fit(X, Y)
        assert time.monotonic() - started < 30


# --- SQLite: locks ----------------------------------------------------------------------------------------------------


def _lock(path, seconds, note):
    """Hold the lock of an SQLite file for so long."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    Path(note).touch()
    time.sleep(seconds)
    db.execute("ROLLBACK")


class OnlyX(KnownScore):
    """Scores the known parabola of x, on whatever data."""

    def __init__(self, x=0.0):
        self.x = x

    def score(self, X, y=None):
        return 10.0 - (self.x - 3.0) ** 2


class RaisesNoSpace(OnlyX):
    """Finds no room, as one that writes models to a disk; something is done right before."""

    before = None

    def fit(self, X, y=None):
        RaisesNoSpace.before()
        raise no_space()


class Locks(OnlyX):
    """Has somebody lock a file while its third candidate is fitted, before it is told how that ended."""

    def __init__(self, x=0.0, path=None, seconds=0.0):
        self.x = x
        self.path = path
        self.seconds = seconds

    def fit(self, X, y=None):
        note = Path(f"{self.path}.fits")
        with note.open("a") as file:
            file.write(".")
        if note.stat().st_size == 6:
            holder = threading.Thread(target=_lock, args=(self.path, self.seconds, f"{self.path}.locked"))
            holder.start()
            wait_until(Path(f"{self.path}.locked").exists, "the lock")
        return super().fit(X, y)


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_a_locked_file_is_waited_for(seconds, tmp_path):
    path = tmp_path / "s.db"
    started = time.monotonic()
    fitted = search(path, Locks(path=str(path), seconds=seconds)).fit(X, Y)
    assert time.monotonic() - started > seconds
    assert [x for x, _ in results_of(fitted)] == [x for x, _ in undisturbed()]
    assert states(path) == ["COMPLETE"] * 6


@pytest.mark.usefixtures("impatient")
def test_a_file_that_stays_locked_is_an_error_and_its_result_is_taken_in_later(tmp_path):
    path = tmp_path / "s.db"
    left = search(path, Locks(path=str(path), seconds=8))
    with pytest.raises(StorageError, match=r"s.db': locked by another process, waited \d s \(database is locked\)"):
        left.fit(X, Y)
    assert left.n_trials_ == 3
    wait_until(lambda: _is_free(path), "the end of the lock")
    again = search(path, Locks(path=str(path), seconds=8)).fit(X, Y)
    assert again.n_trials_ == 6 and [name for name in states(path) if name == "RUNNING"] == []
    assert Path(f"{path}.fits").stat().st_size == 12  # nothing was fitted twice


def _is_free(path):
    try:
        with sqlite3.connect(path, timeout=0, isolation_level=None) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    return True


# --- servers ----------------------------------------------------------------------------------------------------------


class Disturbs(OnlyX):
    """Calls something while its n-th fold is fitted; the tests put that here, in this process."""

    fits = 0
    when: ClassVar = {}

    def fit(self, X, y=None):
        Disturbs.fits += 1
        if action := Disturbs.when.get(Disturbs.fits):
            action()
        return super().fit(X, y)


@pytest.fixture
def disturb(monkeypatch):
    """Say at which fits something is to happen."""
    monkeypatch.setattr(Disturbs, "fits", 0)
    when = {}
    monkeypatch.setattr(Disturbs, "when", when)
    return when


def undisturbed_scores():
    return [x for x, _ in undisturbed()]


class TestPostgreSQL:
    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    def test_a_restart_is_survived(self, own_postgres, disturb, mode):
        disturb.update({2: lambda: own_postgres.restart(mode), 7: lambda: own_postgres.restart(mode)})
        fitted = search(own_postgres.url, Disturbs()).fit(X, Y)
        assert [x for x, _ in results_of(fitted)] == undisturbed_scores()
        assert states(own_postgres.url) == ["COMPLETE"] * 6

    def test_sessions_that_are_ended_are_made_again(self, own_postgres, disturb):
        disturb.update(dict.fromkeys(range(1, 12), own_postgres.terminate_backends))
        fitted = search(own_postgres.url, Disturbs()).fit(X, Y)
        assert [x for x, _ in results_of(fitted)] == undisturbed_scores()
        assert states(own_postgres.url) == ["COMPLETE"] * 6

    def test_that_is_gone_without_a_word_is_noticed_by_the_connection(self, quiet_postgres):
        """A network that is cut says nothing; only what its two ends ask each other tells."""
        url = f"{quiet_postgres.url}?keepalives_count=7"
        with search(url).fit(X, Y).study_._storage._backend.engine.connect() as connection:
            asked = connection.connection.dbapi_connection.info.get_parameters()
        assert asked.items() >= {"tcp_user_timeout": "30000", "keepalives_idle": "15", "keepalives_count": "7"}.items()

    @pytest.mark.slow
    def test_an_outage_of_ten_seconds_is_waited_for(self, own_postgres, disturb):
        with CuttingProxy.before(own_postgres.url) as proxy:
            disturb[5] = lambda: proxy.away_for(10)
            url = proxy.url(own_postgres.url)
            started = time.monotonic()
            fitted = search(url, Disturbs()).fit(X, Y)
        assert time.monotonic() - started > 10
        assert [x for x, _ in results_of(fitted)] == undisturbed_scores()
        assert states(own_postgres.url) == ["COMPLETE"] * 6

    @pytest.mark.parametrize("n", range(1, 23))
    def test_a_commit_whose_reply_is_lost_counts_once(self, quiet_postgres, n):
        with CuttingProxy.before(quiet_postgres.url) as proxy:
            url = proxy.url(quiet_postgres.url)
            search(url, study_name="other").fit(X, Y)  # the tables are there
            proxy.drop_replies_after_commit(n)
            fitted = search(url, study_name=f"reply {n}").fit(X, Y)
            assert proxy.dropped == 1 or n > 20
            trials = fitted.study_.trials
        assert results_of(fitted) == undisturbed()
        assert [trial.state for trial in trials].count(TrialState.COMPLETE) == 6
        assert [trial.state for trial in trials].count(TrialState.FAIL) == len(trials) - 6 <= 1

    @pytest.mark.usefixtures("impatient")
    def test_a_server_that_stays_away_leaves_the_results_on_the_search(
        self, own_postgres, disturb, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        with CuttingProxy.before(own_postgres.url) as proxy:
            disturb[6] = lambda: (proxy.refuse(), proxy.cut())
            left = search(proxy.url(own_postgres.url), Disturbs())
            with pytest.raises(StorageError, match=r"storage='postgresql\+psycopg://postgres:\*\*\*@") as raised:
                left.fit(X, Y)
        assert own_postgres.url.split(":")[2].partition("@")[0] not in str(raised.value)
        assert left.n_trials_ == 3
        assert len(list(tmp_path.glob("*.unsaved"))) == 1
        with CuttingProxy.before(own_postgres.url) as proxy:
            again = search(own_postgres.url, Disturbs()).fit(X, Y)
        assert again.n_trials_ == 6 and Disturbs.fits == 12
        assert list(tmp_path.glob("*.unsaved")) == []

    def test_one_that_is_not_there_at_the_beginning_is_an_error_within_ten_seconds(self):
        started = time.monotonic()
        url = f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/db"
        with pytest.raises(StorageError, match=r"cannot be opened: .*Connection refused") as raised:
            search(url).fit(X, Y)
        assert time.monotonic() - started < 10
        assert "secret" not in str(raised.value)


class TestStorageProxy:
    def test_a_restart_is_survived(self, grpc_proxy, disturb):
        disturb.update({3: grpc_proxy.restart, 8: grpc_proxy.restart})
        fitted = search(f"grpc://127.0.0.1:{grpc_proxy.port}", Disturbs()).fit(X, Y)
        assert [x for x, _ in results_of(fitted)] == undisturbed_scores()
        assert [trial.state for trial in fitted.study_.trials] == [TrialState.COMPLETE] * 6

    @pytest.mark.parametrize("given", ["url", "object"])
    def test_one_that_is_not_there_is_an_error_within_ten_seconds_that_names_it(self, given, grpc_proxy):
        port = free_port()
        storage = f"grpc://127.0.0.1:{port}" if given == "url" else grpc_proxy.storage(port)
        started = time.monotonic()
        with pytest.raises(StorageError, match=rf"No storage proxy answers at 127.0.0.1:{port}\."):
            search(storage).fit(X, Y)
        assert time.monotonic() - started < 10


# --- room -------------------------------------------------------------------------------------------------------------


class TestAFullDisk:
    @pytest.mark.parametrize(("error", "kind"), [(disk_full, "db"), (no_space, "journal")])
    def test_is_an_error_at_once_and_a_rerun_goes_on(self, error, kind, tmp_path):
        path = tmp_path / f"s.{kind}"
        inner = RDBStorage(f"sqlite:///{path}") if kind == "db" else JournalStorage(JournalFileBackend(str(path)))
        storage = FaultyStorage(inner, Fault(at=9, error=error, times=math.inf))
        left = search(storage)
        started = time.monotonic()
        with pytest.raises(StorageError, match=r"no space left on the device"):
            left.fit(X, Y)
        assert time.monotonic() - started < 20
        assert left.n_trials_ >= 2
        again = search(inner).fit(X, Y)
        assert again.n_trials_ == 6 and {*results_of(left)} <= {*results_of(again)}

    def test_of_an_sqlite_file_is_an_error_at_once_and_a_rerun_goes_on(self, tmp_path, monkeypatch):
        """SQLite itself says so, of a file that may not have more pages than it has."""
        path = tmp_path / "s.db"
        search(path, n_trials=2).fit(X, Y)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            n_pages = db.execute("PRAGMA page_count").fetchone()[0]
        with monkeypatch.context() as small:
            small.setattr(_sqlite.DurableConnection, "__init__", _of_pages(n_pages))
            left = search(path, n_trials=200)
            with pytest.raises(StorageError, match=r"no space left on the device \(database or disk is full\)"):
                left.fit(X, Y)
        again = search(path, n_trials=left.n_trials_ + 2).fit(X, Y)
        assert {*results_of(left)} <= {*results_of(again)}
        assert "RUNNING" not in states(path)

    def test_of_a_journal_is_an_error_at_once_and_a_rerun_goes_on(self, tmp_path):
        path = tmp_path / "s.journal"
        search(path, n_trials=2).fit(X, Y)
        with Process(_with_little_room, str(path), path.stat().st_size + 9000) as process:
            said = process.output()
        assert "no space left on the device" in said and "results so far" in said
        again = search(path, n_trials=40).fit(X, Y)
        assert again.n_trials_ == 40
        assert "RUNNING" not in states(path)

    def test_of_a_small_device_is_an_error_at_once_and_a_rerun_goes_on(self, path, small_device):
        path = small_device / path.name
        left = search(path, n_trials=3000)
        with pytest.raises(StorageError, match=r"no space left on the device"):
            left.fit(X, Y)
        assert left.n_trials_ > 3 and left.best_score_ > 9
        (small_device / "ballast").unlink()
        again = search(path, n_trials=left.n_trials_ + 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TornJournalWarning)
            again.fit(X, Y)
        assert again.n_trials_ == left.n_trials_ + 2
        assert {*results_of(left)} <= {*results_of(again)}


def _of_pages(n_pages):
    made = _sqlite.DurableConnection.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        self.execute(f"PRAGMA max_page_count={n_pages}")

    return init


def _with_little_room(path, size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    left = search(path, n_trials=40)
    try:
        left.fit(X, Y)
    except StorageError as error:
        print(error, *error.__notes__, left.n_trials_)


@pytest.fixture
def small_device(tmp_path):
    """A device with little room, half of which is taken by a file; only root may make one."""
    folder = tmp_path / "device"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a device")
    (folder / "ballast").write_bytes(bytes(600_000))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# --- files that go, or change -----------------------------------------------------------------------------------------


class TestAFileThatIsNotTheOneAnyMore:
    @pytest.mark.parametrize("how", ["deleted", "replaced"])
    def test_is_noticed_at_the_next_write_and_nothing_new_is_made(self, how, path, disturb):
        def act():
            if how == "deleted":
                os.unlink(path)
            else:
                path.write_bytes(b"something else\n")
                os.replace(shutil.copy(path, f"{path}.new"), path)

        disturb[7] = act
        left = search(path, Disturbs())
        with pytest.raises(StorageError, match=rf"s\.{path.suffix[1:]}.*{how}.* while this search was at work on it"):
            left.fit(X, Y)
        assert Disturbs.fits == 8
        assert left.n_trials_ == 4 and [x for x, _ in results_of(left)] == undisturbed_scores()[:4]
        if how == "deleted":
            assert not path.exists()
        else:
            assert path.read_bytes() == b"something else\n"

    def test_leaves_its_results_in_memory_to_be_exported(self, path, disturb, tmp_path):
        disturb[7] = path.unlink
        left = search(path, Disturbs())
        with pytest.raises(StorageError):
            left.fit(X, Y)
        studies.export_study("s", tmp_path / "saved.study", left.study_._storage)
        assert studies.import_study(tmp_path / "saved.study", path) == "s"
        assert search(path, Disturbs()).fit(X, Y).n_trials_ == 6


class TestReadOnly:
    @pytest.fixture
    def kept(self, path, tmp_path):
        search(path).fit(X, Y)
        for file in tmp_path.iterdir():
            file.chmod(0o444)
        tmp_path.chmod(0o555)
        yield path
        tmp_path.chmod(0o755)

    def test_it_cannot_be_searched_in_and_says_so_within_a_second(self, kept):
        with Process(_as_nobody, _searches, str(kept)) as process:
            said = process.output()
        assert re.search(r"storage='.*s\..*'.*(it cannot be written|readonly|cannot be opened)", said), said
        assert float(said.split()[-1]) < 1

    def test_it_can_be_read(self, kept):
        with Process(_as_nobody, _reads, str(kept)) as process:
            assert process.output().split() == ["6", "s"]


def _as_nobody(function, path):
    """Call a function as somebody whom permissions stop."""
    RDBStorage("sqlite://")  # what has to be imported may be where that one cannot read
    _open_the_way_to(Path(path).parent)
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    function(path)


def _open_the_way_to(folder):
    """Let everybody pass through the folders above one."""
    for above in [folder.parent, *folder.parent.parents]:
        if above.stat().st_uid == os.getuid() and not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)


def _searches(path):
    started = time.monotonic()
    try:
        search(path, n_trials=8).fit(X, Y)
    except StorageError as error:
        print(error, time.monotonic() - started)


def _reads(path):
    found = OptunaSearchCV.from_study("s", path, KnownScore(), SPACE)
    print(found.n_trials_, *(entry.name for entry in studies.list_studies(path)))


class TestAFileThatIsNoStudyFile:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"SQLite format 3\0" + b"\xff" * 4096, "not an optuna_search study file"),
            (b"no database at all", "not an optuna_search study file"),
        ],
    )
    def test_is_refused_with_its_path_and_advice_and_left_alone(self, content, said, tmp_path):
        path = tmp_path / "s.db"
        path.write_bytes(content)
        with pytest.raises(StorageError, match=rf"s\.db.*{said}.*\.recover"):
            search(path).fit(X, Y)
        assert path.read_bytes() == content
        assert [file.name for file in tmp_path.iterdir()] == ["s.db"]

    def test_but_the_database_of_something_else_is_refused(self, tmp_path):
        path = tmp_path / "s.db"
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE customers (name TEXT)")
        before = path.read_bytes()
        with pytest.raises(StorageError, match=r"s\.db.*not an optuna_search study file.*'customers'.*Nothing was wri"):
            search(path).fit(X, Y)
        assert path.read_bytes() == before

    def test_because_it_is_damaged_is_refused(self, tmp_path):
        path = tmp_path / "s.db"
        search(path, n_trials=60).fit(X, Y)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(path.read_bytes())
        content[8192:] = b"\xff" * len(content[8192:])
        path.write_bytes(bytes(content))
        for file in (f"{path}-wal", f"{path}-shm"):
            Path(file).unlink(missing_ok=True)
        with pytest.raises(StorageError, match=r"s\.db.*(damaged|malformed)"):
            search(path, n_trials=60).fit(X, Y)


class TestTablesOfAnotherVersion:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "s.db"
        search(path).fit(X, Y)
        return path

    def test_that_are_older_are_not_touched_and_our_command_is_named(self, path, capsys):
        _set_version(path, "v3.0.0.d")
        with pytest.raises(StorageError, match=r"s\.db.*optuna-search upgrade --storage") as raised:
            search(path).fit(X, Y)
        assert "optuna storage upgrade" not in str(raised.value)
        assert _version(path) == "v3.0.0.d"
        assert main(["upgrade", "--storage", str(path)]) == 0
        assert "up to date" in capsys.readouterr().out
        assert search(path).fit(X, Y).n_trials_ == 6

    def test_are_brought_up_to_date_whatever_the_name_of_their_file(self, tmp_path):
        odd = tmp_path / "a%b?c#d{e}.db"
        search(odd).fit(X, Y)
        _set_version(odd, "v3.0.0.d")
        studies.upgrade(odd)
        assert _version(odd) == _version_of_today(tmp_path)
        assert search(odd).fit(X, Y).n_trials_ == 6

    def test_are_brought_up_to_date_without_a_word_to_the_programs_loggers(self, path):
        _set_version(path, "v3.0.0.d")
        with Process(_upgrades_and_logs, str(path)) as process:
            assert process.output().split() == ["True", "0"]
            assert process.complaints == ""

    def test_that_are_newer_are_refused(self, path):
        _set_version(path, "v99.0.0")
        with pytest.raises(StorageError, match=r"s\.db"):
            search(path).fit(X, Y)
        assert _version(path) == "v99.0.0"


def _upgrades_and_logs(path):
    logging.getLogger().handlers.clear()
    studies.upgrade(path)
    logger = logging.getLogger(__name__)
    logger.info("not to be seen")
    print(not logger.disabled, len(logging.getLogger().handlers))


def _version_of_today(folder):
    search(folder / "new.db").fit(X, Y)
    return _version(folder / "new.db")


def _version(path):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def _set_version(path, version):
    with sqlite3.connect(path) as db:
        db.execute("UPDATE alembic_version SET version_num = ?", (version,))


# --- journals ---------------------------------------------------------------------------------------------------------


class TestATornJournal:
    def test_is_mended_again_and_again_and_keeps_every_whole_line(self, tmp_path):
        path = tmp_path / "s.journal"
        search(path, n_trials=1).fit(X, Y)
        for turn in range(2, 6):
            before = path.read_bytes()
            with path.open("ab") as file:
                file.write(b'{"op_code":8,"worker_id":"torn ' + b"x" * turn * 3000)
            with pytest.warns(
                TornJournalWarning, match=rf"Its {31 + turn * 3000} bytes were moved to .*s.journal.torn"
            ):
                fitted = search(path, n_trials=turn).fit(X, Y)
            assert fitted.n_trials_ == turn
            assert path.read_bytes().startswith(before)
        assert Path(f"{path}.torn").read_bytes().count(b"torn") == 4

    def test_is_mended_when_it_happens_at_work(self, tmp_path, disturb):
        path = tmp_path / "s.journal"

        def tear():
            with path.open("ab") as file:
                file.write(b'{"op_co')

        disturb[5] = tear
        with pytest.warns(TornJournalWarning, match="Its 7 bytes"):
            fitted = search(path, Disturbs()).fit(X, Y)
        assert [x for x, _ in results_of(fitted)] == undisturbed_scores()

    def test_can_be_read_without_being_changed_by_who_may_not_write(self, tmp_path):
        path = tmp_path / "s.journal"
        search(path).fit(X, Y)
        with path.open("ab") as file:
            file.write(b'{"op_co')
        path.chmod(0o444)
        tmp_path.chmod(0o555)
        try:
            with Process(_as_nobody, _reads, str(path)) as process:
                assert process.output().split() == ["6", "s"]
        finally:
            tmp_path.chmod(0o755)
        assert path.read_bytes().endswith(b'{"op_co')

    def test_a_write_that_finds_no_room_leaves_no_torn_line(self, tmp_path):
        path = tmp_path / "s.journal"
        search(path, n_trials=2).fit(X, Y)
        with Process(_with_little_room, str(path), path.stat().st_size + 777) as process:
            process.output()
        assert path.read_bytes().endswith(b"}\n")


DAMAGES = {
    "garbage": lambda lines, at: [*lines[:at], b"garbage\n", *lines[at:]],
    "a line overwritten": lambda lines, at: [*lines[:at], b"\0" * (len(lines[at]) - 1) + b"\n", *lines[at + 1 :]],
    "half a line": lambda lines, at: [*lines[:at], lines[at][: len(lines[at]) // 2], *lines[at + 1 :]],
    "a line lost": lambda lines, at: [*lines[:at], *lines[at + 1 :]],
    "a line twice": lambda lines, at: [*lines[:at], lines[at], *lines[at:]],
    "something else in JSON": lambda lines, at: [*lines[:at], b'{"a": 1}\n', *lines[at + 1 :]],
    "nothing that can be done": lambda lines, at: [
        *lines[:at],
        b'{"op_code":6,"worker_id":"w"}\n',
        *lines[at + 1 :],
    ],
}


def _raises(error):
    def call(*args, **how):
        raise error

    return call


class TestADamagedJournal:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "s.journal"
        search(path, n_trials=5).fit(X, Y)
        return path

    @pytest.mark.parametrize("which", range(5))
    def test_tells_of_a_trial_whose_first_line_is_lost_whichever_it_is(self, which, path, tmp_path):
        lines = path.read_bytes().splitlines(keepends=True)
        first_lines = [i for i, line in enumerate(lines) if b'"op_code":4' in line]
        path.write_bytes(b"".join([*lines[: first_lines[which]], *lines[first_lines[which] + 1 :]]))
        found = studies.salvage(path, tmp_path / "saved.journal")
        assert found.trials_lost == 1 and found.lines == len(lines)
        trials = studies.load_study("s", tmp_path / "saved.journal").trials
        assert [trial.state.name for trial in trials] == ["FAIL" if i == which else "COMPLETE" for i in range(5)]

    def test_that_cannot_be_saved_leaves_no_new_file(self, path, tmp_path, monkeypatch):
        with pytest.raises(StorageError, match="No such file"):
            studies.salvage(path, tmp_path / "no folder" / "saved.journal")
        with monkeypatch.context() as patch:
            patch.setattr(_salvage, "open_storage", _raises(no_space()))
            with pytest.raises(StorageError, match="No space left"):
                studies.salvage(path, tmp_path / "saved.journal")
        assert studies.salvage(path, tmp_path / "saved.journal").trials_lost == 0

    @pytest.mark.parametrize("at", [3, 8, 12, 17])
    @pytest.mark.parametrize("how", DAMAGES)
    def test_is_an_error_with_the_line_and_what_is_whole_can_be_saved(self, how, at, path, tmp_path):
        lines = path.read_bytes().splitlines(keepends=True)
        whole = {(t.params["x"], t.value) for t in studies.load_study("s", path).trials}
        path.write_bytes(b"".join(DAMAGES[how](lines, at)))
        damaged = path.read_bytes()
        number = at + 2 if how == "a line twice" else at + 1
        with pytest.raises(StorageError, match=rf"s\.journal' is damaged in line {number}: .*studies\.salvage\("):
            search(path, n_trials=5).fit(X, Y)
        assert path.read_bytes() == damaged
        saved = tmp_path / "saved.journal"
        found = studies.salvage(path, saved)
        assert found.lines >= len(lines) - 2
        kept = {
            (trial.params["x"], trial.value)
            for trial in studies.load_study("s", saved).trials
            if trial.state == TrialState.COMPLETE
        }
        assert kept <= whole and len(kept) >= 4  # a line is of one trial
        # And the search goes on with what was saved.
        again = search(saved, n_trials=6).fit(X, Y)
        assert again.n_trials_ == 6
        assert kept <= {(x, score) for x, score in results_of(again)}

    def test_keeps_a_place_for_a_trial_whose_first_line_is_lost_beside_one_that_was_stopped(self, disturb, tmp_path):
        """The stopped one has no record that would tell its place, and is not to get the score of the lost one."""
        path = tmp_path / "stopped.journal"
        disturb[11] = functools.partial(signal.raise_signal, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            search(path, Disturbs()).fit(X, Y)
        lines = path.read_bytes().splitlines(keepends=True)
        first_lines = [i for i, line in enumerate(lines) if b'"op_code":4' in line]
        path.write_bytes(b"".join([*lines[: first_lines[4]], b"\n", *lines[first_lines[4] + 1 :]]))
        assert studies.salvage(path, tmp_path / "saved.journal").trials_lost == 1
        saved = studies.load_study("s", tmp_path / "saved.journal").trials
        assert [trial.state.name for trial in saved] == ["COMPLETE"] * 4 + ["FAIL"] * 2
        assert saved[4].params == {} and saved[5].params
        again = search(tmp_path / "saved.journal", Disturbs()).fit(X, Y)
        assert again.n_trials_ == 6 and set(results_of(again)) >= {(t.params["x"], t.value) for t in saved[:4]}

    def test_gives_a_study_whose_first_line_is_lost_a_name_of_its_own(self, path, tmp_path):
        search(path, n_trials=3, study_name="other").fit(X, Y)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"garbage\n" + b"".join(lines[1:]))
        saved = tmp_path / "saved.journal"
        studies.salvage(path, saved)
        nameless, other = sorted(found.name for found in studies.list_studies(saved))[::-1]
        assert nameless.startswith("salvaged-0-") and other == "other"
        assert len(studies.load_study("other", saved).trials) == 3
        studies.rename_study(nameless, "s", saved)
        assert results_of(search(saved).fit(X, Y))[:5] == undisturbed()[:5]

    def test_is_none_where_a_writer_stood_still_while_others_went_on(self, path):
        """Its lock was taken from it, and its line comes later than it says."""
        late = json.loads(path.read_bytes().splitlines()[-1])
        late |= {"op_code": 3, "study_id": 0, "system_attr": {"late": True}, "worker_id": "late"}
        with path.open("ab") as file:
            file.write(json.dumps(late, separators=(",", ":")).encode() + b"\n")
        assert results_of(search(path).fit(X, Y))[:5] == undisturbed()[:5]
        assert studies.salvage(path, path.with_name("saved.journal")).damaged == ()
        assert states(path.with_name("saved.journal")) == ["COMPLETE"] * 6

    def test_that_has_become_shorter_is_an_error(self, path, disturb):
        path.unlink()

        def shorten():
            content = path.read_bytes().splitlines(keepends=True)
            with path.open("rb+") as file:
                file.truncate(sum(map(len, content[:-2])))

        disturb[5] = shorten
        with pytest.raises(StorageError, match="the file is shorter than it was"):
            search(path, Disturbs()).fit(X, Y)

    def test_is_saved_from_a_shell(self, path, tmp_path, capsys):
        with path.open("ab") as file:
            file.write(b"garbage\n")
        assert main(["salvage", str(path), str(tmp_path / "saved.journal")]) == 0
        assert "damaged: line" in capsys.readouterr().out
        assert main(["salvage", str(path), str(tmp_path / "saved.journal")]) == 1
        assert "is there already" in capsys.readouterr().err


@pytest.mark.slow
class TestAStaleLock:
    def test_is_taken_over_within_a_minute_at_little_cost(self, tmp_path):
        path = tmp_path / "s.journal"
        search(path, n_trials=2).fit(X, Y)
        os.symlink(path, f"{path}.lock")
        os.utime(path, (time.time() - 100, time.time() - 100))
        started, used = time.monotonic(), time.process_time()
        fitted = search(path, n_trials=3).fit(X, Y)
        seconds = time.monotonic() - started
        assert fitted.n_trials_ == 3
        assert 20 < seconds < 60
        assert time.process_time() - used < 0.05 * seconds + 0.5

    def test_in_a_folder_that_was_given_relatively_is_too(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "sub").mkdir()
        fitted = search("sub/s.journal", n_trials=2).fit(X, Y)
        monkeypatch.chdir("/")
        assert fitted.study_.trials[0].value is not None
        assert (tmp_path / "sub" / "s.journal").exists()


# --- far away ---------------------------------------------------------------------------------------------------------


def test_a_slow_storage_costs_a_few_calls_a_trial_whatever_the_folds(tmp_path):
    counted = {}
    for folds in (2, 6):
        storage = FaultyStorage(RDBStorage(f"sqlite:///{tmp_path}/{folds}.db"))
        search(storage, cv=folds, n_trials=20).fit(X, Y)
        counted[folds] = len(storage.names(WRITES))
    assert counted[2] == counted[6] <= 20 * 3 + 6


class TestNetworkFileSystems:
    MOUNTS = "rootfs / ext4 rw 0 0\nserver:/home {folder} nfs4 rw 0 0\n//server/share /mnt cifs rw 0 0\n"

    @pytest.fixture
    def on_nfs(self, tmp_path, monkeypatch):
        mounts = tmp_path / "mounts"
        mounts.write_text(self.MOUNTS.format(folder=tmp_path))
        monkeypatch.setattr(_sqlite, "MOUNTS", mounts)
        return tmp_path

    def test_sqlite_is_warned_of_there_and_works_without_its_log(self, on_nfs):
        with pytest.warns(UserWarning, match=r"s\.db' is on a network file system \(nfs4\).*\.journal"):
            fitted = search(on_nfs / "s.db").fit(X, Y)
        assert fitted.n_trials_ == 6
        with sqlite3.connect(on_nfs / "s.db") as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)

    def test_a_journal_is_not_warned_of(self, on_nfs):
        assert search(on_nfs / "s.journal").fit(X, Y).n_trials_ == 6

    def test_a_file_elsewhere_is_not_warned_of(self, monkeypatch, tmp_path):
        mounts = tmp_path / "mounts"
        mounts.write_text(self.MOUNTS.format(folder="/somewhere/else"))
        monkeypatch.setattr(_sqlite, "MOUNTS", mounts)
        assert search(tmp_path / "s.db").fit(X, Y).n_trials_ == 6
