"""The machinery for faults does what it says; a test that uses it may rely on that."""

import contextlib
import math
import os
import pickle
import signal
import socket
import socketserver
import sys
import threading
import time

import misbehaving
import numpy as np
import optuna
import psutil
import pytest
import sqlalchemy
from estimators import KnownScore, Sleeps
from faulty import READS, WRITES, Fault, FaultyStorage, connection_lost, locked
from joblib.externals import loky
from killing import Acknowledge, Acknowledged, AtRandomMoments, AtWrites, Killing, complaints
from optuna.distributions import FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from processes import Process, wait_until
from proxy import CuttingProxy, free_port
from servers import missing
from simulating import Killed, World
from sklearn.base import clone
from warm import is_worker

from optuna_search import OptunaSearchCV, _lease, studies
from optuna_search._compat import relational
from optuna_search._record import CLAIM, RECORD

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}
MAXIMIZE = [StudyDirection.MAXIMIZE]


def search(storage, **how):
    how = {"n_trials": 4, "cv": 2, "sampler": "random", "random_state": 0, "refit": False, "study_name": "s"} | how
    return OptunaSearchCV(KnownScore(), SPACE, storage=storage, **how)


# --- a storage that fails ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite", "journal"])
def inner(request, tmp_path):
    match request.param:
        case "sqlite":
            return RDBStorage(f"sqlite:///{tmp_path}/s.db")
        case "journal":
            return JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))
    return InMemoryStorage()


class TestAFaultyStorage:
    def test_passes_everything_on_and_records_it(self, inner):
        storage = FaultyStorage(inner)
        assert isinstance(storage, BaseStorage)
        fitted = search(storage).fit(X, Y)
        assert fitted.n_trials_ == 4
        assert not storage.met()
        assert storage.names(("set_trial_state_values",)) == ["set_trial_state_values"] * 4
        assert {*storage.names()} <= {*WRITES} and {*storage.names(READS)} <= {*READS}
        assert all(call.took_effect for call in storage.calls)

    def test_raises_at_the_chosen_call_alone_and_that_one_does_not_take_effect(self, inner):
        storage = FaultyStorage(inner, Fault(at=2, calls=("create_new_trial", "set_trial_user_attr")))
        study_id = storage.create_new_study(MAXIMIZE, "s")
        trial_id = storage.create_new_trial(study_id)
        with pytest.raises(StorageInternalError, match="An exception is raised during the commit"):
            storage.set_trial_user_attr(trial_id, "key", 1)
        assert storage.get_trial(trial_id).user_attrs == {}
        storage.set_trial_user_attr(trial_id, "key", 2)
        assert storage.get_trial(trial_id).user_attrs == {"key": 2}
        (call,) = storage.met()
        assert (call.name, call.took_effect) == ("set_trial_user_attr", False)

    def test_raises_after_the_call_has_taken_effect(self, inner):
        lost = Fault(kind="raise after", calls=("set_trial_state_values",), error=locked)
        storage = FaultyStorage(inner, lost)
        trial_id = storage.create_new_trial(storage.create_new_study(MAXIMIZE, "s"))
        with pytest.raises(StorageInternalError) as raised:
            storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
        assert "database is locked" in str(raised.value.__cause__)
        assert storage.get_trial(trial_id).state == TrialState.COMPLETE
        assert [call.took_effect for call in storage.met("set_trial_state_values")] == [True]

    def test_is_late(self, inner):
        storage = FaultyStorage(inner, Fault(kind="delay", seconds=0.2, calls=("get_all_studies",)))
        started = time.monotonic()
        assert storage.get_all_studies() == []
        assert time.monotonic() - started >= 0.2

    def test_has_something_done_in_the_moment_before_a_call(self, inner):
        seen = []
        storage = FaultyStorage(inner, Fault(kind="do", action=lambda: seen.append(storage.get_all_studies())))
        storage.create_new_study(MAXIMIZE, "s")
        assert seen == [[]]

    def test_fails_several_times_in_a_row_or_from_then_on(self, inner):
        error = KeyError("gone")
        storage = FaultyStorage(inner, Fault(times=2, error=error), Fault(at=4, times=math.inf, error=OSError))
        for _ in range(2):
            with pytest.raises(KeyError, match="gone"):
                storage.create_new_study(MAXIMIZE, "s")
        storage.create_new_study(MAXIMIZE, "s")
        for name in "tuv":
            with pytest.raises(OSError):  # noqa: PT011
                storage.create_new_study(MAXIMIZE, name)
        storage.plan()
        storage.create_new_study(MAXIMIZE, "t")
        assert [study.study_name for study in storage.get_all_studies()] == ["s", "t"]
        assert len(storage.met()) == 5

    def test_is_the_same_one_in_a_clone_and_goes_on_counting_in_a_pickle(self, inner):
        storage = FaultyStorage(inner, Fault(at=2, calls=("get_all_studies",)))
        assert clone(search(storage)).storage is storage
        storage.get_all_studies()
        with pytest.raises(StorageInternalError):
            pickle.loads(pickle.dumps(storage)).get_all_studies()

    def test_fails_where_a_search_writes(self, inner):
        storage = FaultyStorage(inner, Fault(at=3, calls=("create_new_trial",), error=OSError("away")))
        with contextlib.suppress(Exception):  # what the search makes of it is not tested here
            search(storage).fit(X, Y)
        assert len(storage.met("create_new_trial")) == 1


@pytest.mark.parametrize("shown", [True, False])
def test_the_database_behind_a_faulty_storage_is_seen_unless_it_is_hidden(shown, tmp_path):
    database = RDBStorage(f"sqlite:///{tmp_path}/s.db")
    storage = FaultyStorage(database, relational=shown)
    assert relational(storage) is (database if shown else None)
    assert search(storage).fit(X, Y).n_trials_ == 4
    assert optuna.load_study(study_name="s", storage=storage).best_trial.value is not None


def test_a_fault_that_could_never_come_is_refused():
    with pytest.raises(AssertionError, match="are not all calls of a storage"):
        Fault(calls=("set_trial_states",))
    with pytest.raises(AssertionError, match="is none of"):
        Fault(kind="raises")
    assert "closed the connection" in str(connection_lost().__cause__.orig)


# --- simulated processes ----------------------------------------------------------------------------------------------


@pytest.fixture
def world(inner):
    with World(lambda: inner) as world:
        yield world


class TestASimulatedProcess:
    def test_leaves_a_running_claim_where_it_is_killed(self, world):
        process = world.process().begin(lambda storage: search(storage).fit(X, Y))
        process.go_on_until("fit")
        process.kill()
        assert isinstance(process.error, Killed) and not process.is_at_work
        trials = process.storage.get_all_trials(process.storage.get_study_id_from_name("s"))
        assert [trial.state for trial in trials] == [TrialState.RUNNING]
        assert trials[0].user_attrs[CLAIM]["pid"] == process.pid
        assert not world.fits

    def test_writes_nothing_from_then_on(self, world):
        process = world.process().begin(lambda storage: search(storage).fit(X, Y))
        process.go_on_until("set_trial_state_values")
        before = list(process.storage.calls)
        process.kill()
        assert process.storage.calls == before

    def test_does_one_step_at_a_time(self, world):
        one, other = (world.process().begin(lambda storage: search(storage).fit(X, Y)) for _ in range(2))
        for process in (one, other):
            process.go_on_until("create_new_trial")
        other.go_on()
        assert "create_new_trial" in other.storage.names() and "create_new_trial" not in one.storage.names()
        world.finish()
        assert one.result.n_trials_ == other.result.n_trials_ == 4
        assert {fit.process for fit in world.fits} == {one, other}
        assert len(world.fits) == 2 * 4

    @pytest.mark.parametrize(("host", "seconds"), [("here", 0), ("there", _lease.LEASE_SECONDS)])
    def test_that_was_killed_is_dead_at_once_to_its_own_host_alone(self, world, host, seconds):
        process = world.process("here").begin(lambda storage: search(storage).fit(X, Y))
        process.go_on_until("fit")
        process.kill()
        before = world.now
        other = world.process(host).begin(lambda storage: search(storage).fit(X, Y))
        world.finish()
        assert other.result.n_trials_ == 4
        assert seconds <= world.now - before <= seconds + 5

    def test_hears_ctrl_c_when_it_may(self, world):
        process = world.process().begin(lambda storage: search(storage).fit(X, Y))
        process.go_on_until("create_new_trial")
        process.press_ctrl_c()
        world.finish()
        assert isinstance(process.error, KeyboardInterrupt)
        (trial,) = process.storage.get_all_trials(process.storage.get_study_id_from_name("s"))
        assert trial.state == TrialState.FAIL, "it was claimed, and then given up"

    def test_renews_its_claims_unless_it_is_suspended(self, world):
        process = world.process().begin(lambda storage: search(storage).fit(X, Y))
        process.go_on_until("fit")

        def renewed():
            (trial,) = process.storage.get_all_trials(process.storage.get_study_id_from_name("s"))
            return trial.user_attrs[CLAIM]["renewed"]

        before = renewed()
        process.is_suspended = True
        world.pass_time(100)
        assert renewed() == before
        process.is_suspended = False
        world.pass_time(100)
        assert renewed() > before

    def test_that_stays_has_one_search_after_the_other(self, world):
        process = world.process(stays=True)
        for n_trials in (2, 4):
            process.begin(lambda storage: search(storage, n_trials=n_trials).fit(X, Y))  # noqa: B023 - done at once
            world.finish()
            assert process.result.n_trials_ == n_trials
        assert process.is_alive and [end for _, end in world.ends] == [None, None]


# --- a proxy ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets."""

    class Echo(socketserver.BaseRequestHandler):
        def handle(self):
            while data := self.request.recv(1024):
                self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.server_address[1]
        server.shutdown()


def connected(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def says(connection, text):
    connection.sendall(text)
    return connection.recv(1024)


def answers(proxy):
    try:
        connected(proxy).close()
    except ConnectionRefusedError:
        return False
    return True


def is_cut(connection):
    """Whether it was closed at the other side; what was sent and not read by then shows as a reset."""
    try:
        return connection.recv(1024) == b""
    except ConnectionResetError:
        return True


class TestAProxy:
    def test_passes_on_what_comes_until_it_cuts_and_takes_new_connections_then(self, echo):
        with CuttingProxy(echo) as proxy:
            with connected(proxy) as one, connected(proxy) as other:
                assert (says(one, b"one"), says(other, b"other")) == (b"one", b"other")
                proxy.cut()
                assert is_cut(one) and is_cut(other)
            with connected(proxy) as again:
                assert says(again, b"again") == b"again"

    def test_refuses_new_connections_only_until_it_accepts_on_the_same_port(self, echo):
        with CuttingProxy(echo) as proxy, connected(proxy) as old:
            assert says(old, b"first") == b"first"
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                connected(proxy)
            assert says(old, b"still") == b"still"
            proxy.accept()
            with connected(proxy) as new:
                assert says(new, b"new") == b"new"

    def test_is_away_for_a_while(self, echo):
        with CuttingProxy(echo) as proxy, connected(proxy) as old:
            assert says(old, b"first") == b"first"
            with proxy.outage():
                assert is_cut(old)
                with pytest.raises(ConnectionRefusedError):
                    connected(proxy)
            connected(proxy).close()
            proxy.away_for(0.5)
            with pytest.raises(ConnectionRefusedError):
                connected(proxy)
            wait_until(lambda: answers(proxy), "the end of the outage")

    def test_lets_nothing_pass_while_it_stalls_and_everything_later(self, echo):
        with CuttingProxy(echo) as proxy, connected(proxy) as connection:
            proxy.stall()
            connection.sendall(b"late")
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1024)
            proxy.resume()
            connection.settimeout(5)
            assert connection.recv(1024) == b"late"

    def test_can_be_cut_and_left_while_it_stalls(self, echo):
        with CuttingProxy(echo) as proxy, connected(proxy) as connection:
            proxy.stall()
            connection.sendall(b"never")
            proxy.cut()
            assert is_cut(connection)

    def test_before_nobody_takes_a_connection_and_closes_it(self):
        with CuttingProxy(free_port()) as proxy, connected(proxy) as connection:
            assert is_cut(connection)


# --- a PostgreSQL server ----------------------------------------------------------------------------------------------


@pytest.fixture
def database(own_postgres):
    """Such a server behind a proxy: both, and an engine that connects through the latter."""
    with CuttingProxy.before(own_postgres.url) as proxy:
        engine = sqlalchemy.create_engine(proxy.url(own_postgres.url), pool_pre_ping=True)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE numbers (number INTEGER)")
        yield own_postgres, proxy, engine
        engine.dispose()


def write(engine, number):
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO numbers VALUES (:number)"), {"number": number})


def written(engine):
    with engine.connect() as connection:
        return [number for (number,) in connection.execute(sqlalchemy.text("SELECT number FROM numbers ORDER BY 1"))]


class TestAServerOfOnesOwn:
    def test_keeps_what_was_committed_however_it_is_restarted(self, database):
        server, _, engine = database
        for number, mode in enumerate(["fast", "immediate"]):
            write(engine, number)
            server.restart(mode)
            assert written(engine) == [*range(number + 1)]
        server.stop()
        with pytest.raises(sqlalchemy.exc.OperationalError):
            written(engine)
        server.start()
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
            assert server.terminate_backends() == 1
            with pytest.raises(sqlalchemy.exc.OperationalError, match="terminating connection"):
                connection.exec_driver_sql("SELECT 1")
        assert written(engine) == [0, 1]

    def test_loses_the_reply_to_the_chosen_commit_behind_its_proxy(self, database):
        _, proxy, engine = database
        assert (proxy.commits, proxy.dropped) == (1, 0)  # of the table
        proxy.drop_replies_after_commit(7)  # psycopg prepares a statement that it has sent five times
        for number in range(6):
            write(engine, number)
            assert written(engine) == [*range(number + 1)]
        with pytest.raises(sqlalchemy.exc.OperationalError, match="server closed the connection"):
            write(engine, 6)
        assert written(engine) == [*range(7)]
        write(engine, 7)
        assert written(engine) == [*range(8)]
        assert (proxy.commits, proxy.dropped) == (9, 1)


def test_what_is_missing_skips_a_test_and_fails_it_where_everything_has_to_be_there(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs a server"):
        missing("a server")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI must run the tests that need a server"):
        missing("a server")


# --- Optuna's gRPC server ---------------------------------------------------------------------------------------------


def names_in(storage):
    """The names of the studies; None while nobody answers."""
    with contextlib.suppress(Exception):
        return [study.study_name for study in storage.get_all_studies()]


def test_a_grpc_server_is_killed_and_comes_back_on_its_port_with_what_it_was_told(grpc_proxy):
    with CuttingProxy(grpc_proxy.port) as proxy, contextlib.closing(grpc_proxy.storage(proxy.port)) as storage:
        storage.create_new_study(MAXIMIZE, "s")
        proxy.cut()
        wait_until(lambda: names_in(storage) == ["s"], "a new connection")
        grpc_proxy.kill()
        with pytest.raises(Exception, match="UNAVAILABLE"):
            storage.get_all_studies()
        grpc_proxy.start()
        with contextlib.closing(grpc_proxy.storage()) as again:
            assert names_in(again) == ["s"]


# --- the kill harness -------------------------------------------------------------------------------------------------


def made(storage, seconds=0.03):
    """A search with its data, for processes that are killed."""
    return search(storage, n_trials=20).set_params(estimator=Sleeps(seconds=seconds), random_state=None), X, Y


def study_in(storage):
    return studies.load_study("s", storage)


class TestTheKillHarness:
    @pytest.mark.parametrize("kills", [AtRandomMoments((0.5, 1.0)), AtWrites((0, 15))], ids=["moments", "writes"])
    def test_kills_starts_again_and_finds_nothing_lost(self, kills, tmp_path):
        # Whoever is killed while it has the lock of a journal keeps it for half a minute.
        storage = tmp_path / ("s.journal" if isinstance(kills, AtWrites) else "s.db")
        killing = Killing(made, (storage,), tmp_path, n_trials=20, n_processes=2, kills=kills, n_kills=3, seed=1)
        assert killing.run().n_killed >= 1
        assert 15 <= len(killing.acknowledged) <= 20
        killing.check(study_in(storage))

    def test_notices_everything_that_could_be_wrong(self, tmp_path):
        good = [finished(number, x=number / 10) for number in range(3)]
        acknowledged = [Acknowledged.of(trial) for trial in good]
        assert complaints(good, acknowledged, 3) == []
        (lost,) = complaints([*good[:2], finished(2, x=0.9)], acknowledged, 3)
        assert "lost or changed: Acknowledged(number=2" in lost
        assert "3 finished trials instead of 4" in complaints(good, acknowledged, 4)
        assert "2 finished trials instead of 3" in complaints(good[:2], acknowledged, 3)
        assert "acknowledged twice: [1]" in complaints(good, [*acknowledged, acknowledged[1]], 3)
        assert any("numbers with gaps" in one for one in complaints([good[0], good[2]], [], 2))
        assert "still running: [3]" in complaints([*good, finished(3, state=TrialState.RUNNING)], acknowledged, 3)
        abandoned = finished(2, state=TrialState.FAIL, record=False)
        assert any("lost or changed" in one for one in complaints([*good[:2], abandoned], acknowledged, 2))

    def test_finds_an_acknowledged_trial_that_the_study_has_lost(self, tmp_path):
        storage = InMemoryStorage()
        fitted = search(storage, callbacks=Acknowledge(str(tmp_path / "acknowledged"))).fit(X, Y)
        killing = Killing(made, (), tmp_path, n_trials=4)
        killing.check(fitted.study_)
        with pytest.raises(AssertionError, match="acknowledged, and lost or changed"):
            killing.check(search(InMemoryStorage(), random_state=1).fit(X, Y).study_)

    def test_does_not_take_an_error_for_a_kill(self, tmp_path):
        with pytest.raises(AssertionError, match=r"ended with 1: (?s:.*)there is no folder"):
            Killing(made, ("/not/there/s.db",), tmp_path, n_trials=4, n_kills=0).run()


def finished(number, x=0.0, state=TrialState.COMPLETE, record=True):
    """A trial as a storage gives it back."""
    value = 1.0 if state == TrialState.COMPLETE else None
    attrs = {RECORD: {}} if record else {}
    trial = create_trial(state=state, value=value, params={"x": x}, distributions=SPACE, user_attrs=attrs)
    trial.number = number
    return trial


# --- workers that begin at once ---------------------------------------------------------------------------------------

ABOUT_ITSELF = """[__import__("os").getppid(), __import__("os").getcwd(), __import__("os").environ.get("GIVEN"),
__import__("os").environ.get("SET"), "optuna" in __import__("sys").modules, __import__("numpy").random.random()]"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are started as usual")
def test_a_warm_worker_is_a_child_that_has_what_loky_gives_it_and_nothing_of_another_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SET", "by us")
    drawn = set()
    for code in (3, 0):
        with loky.ProcessPoolExecutor(1, env={"GIVEN": f"to {code}"}) as executor:
            *told, number = executor.submit(eval, ABOUT_ITSELF).result()
            drawn.add(number)
            assert told == [os.getpid(), str(tmp_path), f"to {code}", "by us", False]
            (worker,) = executor._processes.values()
            assert is_worker(psutil.Process(worker.pid))
            with pytest.raises(loky.process_executor.TerminatedWorkerError):
                executor.submit(os._exit, code).result()
            assert worker.exitcode == code
    assert len(drawn) == 2


# --- estimators that misbehave ----------------------------------------------------------------------------------------


def fit_a_bad_one(kind, folder):
    """Fit one that misbehaves, and leave a file when it is about to."""
    params = {"pids": str(folder / "pids")} if kind == "WaitsForAChild" else {}
    bad = getattr(misbehaving, kind)(x=1.0, bad=(1.0,), **params)
    (folder / "begun").touch()
    bad.fit(X, Y)


GOOD_UNLESS_BAD = sorted(
    name
    for name, one in vars(misbehaving).items()
    if isinstance(one, type) and issubclass(one, misbehaving.Misbehaves) and one is not misbehaving.Misbehaves
)


@pytest.mark.parametrize("kind", GOOD_UNLESS_BAD)
def test_they_can_be_cloned_and_pickled_and_behave_where_they_are_not_bad(kind):
    made = clone(getattr(misbehaving, kind)(bad=(1.0,))).set_params(x=2.0)
    fitted = pickle.loads(pickle.dumps(made)).fit(X, Y)
    from_data = (X.mean() + Y.mean() + X.mean()) / 1e3 if kind == "Meddles" else 0.0
    assert fitted.score(X, Y) == pytest.approx(misbehaving.known_score(2.0) + from_data, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("Segfaults", -signal.SIGSEGV), ("Exits", 3), ("AsksToExit", 3), ("KillsItself", -signal.SIGKILL)],
)
def test_some_end_their_process(kind, code, tmp_path):
    with Process(fit_a_bad_one, kind, tmp_path) as process:
        assert process.wait() == code


@pytest.mark.parametrize("kind", ["SleepsForEver", "WaitsForALock", "WaitsForAChild", "HoldsTheInterpreter"])
def test_some_go_on_for_ever_and_one_does_not_even_hear_ctrl_c(kind, tmp_path):
    with Process(fit_a_bad_one, kind, tmp_path) as process:
        wait_until((tmp_path / "begun").exists, "it to begin")
        if kind == "WaitsForAChild":
            wait_until((tmp_path / "pids").exists, "its child to begin")
        time.sleep(0.2)
        assert process.code is None
        process.send(signal.SIGINT)
        if kind == "HoldsTheInterpreter":
            time.sleep(0.2)
            assert process.code is None
        else:
            assert process.wait() == 1
            assert "KeyboardInterrupt" in process.complaints


@pytest.mark.parametrize(
    ("kind", "error"),
    [("Raises", ValueError), ("RunsOutOfMemory", MemoryError), ("Interrupts", KeyboardInterrupt)],
)
def test_some_raise_and_do_so_once_if_that_is_asked_for(kind, error, tmp_path):
    for how in ({"bad": (1.0,)}, {"bad": None}, {"bad": None, "once": str(tmp_path / "once")}):
        with pytest.raises(error):
            getattr(misbehaving, kind)(x=1.0, **how).fit(X, Y)
    assert getattr(misbehaving, kind)(x=1.0, **how).fit(X, Y).score(X) == misbehaving.known_score(1.0)


def test_some_exceptions_and_estimators_do_not_travel():
    for pickles, complaint in ((False, "cannot be pickled"), (True, "cannot be made again")):
        with pytest.raises(Exception, match="bad") as raised:
            misbehaving.RaisesUnpicklable(bad=None, pickles=pickles).fit(X, Y)
        with pytest.raises(TypeError, match=complaint):
            pickle.loads(pickle.dumps(raised.value))
    pickle.dumps(misbehaving.TakesALock(bad=None))
    for unpicklable in (misbehaving.TakesALock(bad=None).fit(X, Y), clone(misbehaving.HoldsALock())):
        with pytest.raises(TypeError, match="lock"):
            pickle.dumps(unpicklable)


def test_one_floods_whatever_there_is(capfd):
    with pytest.warns() as warned:
        misbehaving.Floods(bad=None, lines=7).fit(X, Y)
    assert len({str(warning.message) for warning in warned}) == 8 and len(warned) == 14
    assert [len(text.splitlines()) for text in capfd.readouterr()] == [14, 14]


def test_one_meddles_with_all_that_it_is_given():
    X_, Y_, bad, seen = X.copy(), Y.copy(), [1.0], []
    before = np.random.get_state()
    try:
        meddler = misbehaving.Meddles(x=1.0, bad=bad, seen=seen).fit(X_, Y_)
        drawn = np.random.random()
        assert drawn == np.random.RandomState(0).random()
    finally:
        np.random.set_state(before)
    assert not X_.any() and not Y_.any()
    assert (bad, seen, meddler.x) == ([None], [1.0], 101.0)
    assert meddler.score(X) == pytest.approx(misbehaving.known_score(1.0) + (2 * X.mean() + Y.mean()) / 1e3)


def test_one_scores_nonsense():
    nonsense = misbehaving.ScoresNonsense(x=1.0, bad=(1.0,), nonsense="good")
    assert nonsense.fit(X, Y).score(X) == "good"
