"""Servers of a test's own, on loopback, which it may stop, restart and kill: PostgreSQL, and Optuna's gRPC proxy.

Each runs in a process of `processes`, so that nothing of it outlives the tests, whatever happens to those.
"""

import contextlib
import ctypes
import importlib.util
import multiprocessing
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, GrpcStorageProxy, get_storage, run_grpc_proxy_server
from processes import PATIENCE, Process
from proxy import LOOPBACK, free_port

#: Nothing of a cluster outlives its tests. But what was committed outlives the server, however that is stopped.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "fsync": "off",
    "full_page_writes": "off",
    "logging_collector": "off",
}
#: How a server is told to stop: it waits for its clients, sends them away, or drops everything at once.
STOPPING = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def missing(what: str) -> None:
    """Skip a test for want of something, or fail it where everything has to be there."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI must run the tests that need {what}")
    pytest.skip(f"needs {what}")


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def postgres_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")  # Debian and Ubuntu keep them out of the PATH
    newest = max(versions, key=lambda path: [int(part) for part in path.parts[4].split(".")], default=None)
    found = newest or shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _server_user() -> str | None:
    """Return whom PostgreSQL is to run as: it refuses root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"


class Cluster:
    """A PostgreSQL server of one's own: its files, its port and its password stay when it stops."""

    def __init__(self, folder: Path, programs: Path, password: str) -> None:
        self._data = folder
        self._programs = programs
        self._password = password
        self._running = contextlib.ExitStack()
        self._process: Process | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"postgresql+psycopg://postgres:{self._password}@{LOOPBACK}:{self.port}/postgres"

    @property
    def log(self) -> str:
        """What it has to say since it was started."""
        return "" if self._process is None else self._process.complaints

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None, "it runs already"
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *options]
        self._process = self._running.enter_context(Process(_become_server, command, _server_user()))
        _wait_for(self._answers, self._process, "PostgreSQL")

    def stop(self, mode: str = "fast") -> None:
        """Stop it in one of PostgreSQL's ways: "smart", "fast" or "immediate"."""
        if self._process is not None:
            if self._process.code is None:
                self._process.send(STOPPING[mode])
                self._process.wait()
            self._process = None
            self._running.close()

    def restart(self, mode: str = "fast") -> None:
        """Stop it, and start it again on the same port."""
        self.stop(mode)
        self.start()

    def terminate_backends(self) -> int:
        """End all sessions but the one that asks for it, and return how many there were."""
        with self._connected() as connection:
            others = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            return len(connection.execute(f"SELECT pg_terminate_backend(pid) {others}").fetchall())

    def _answers(self) -> bool:
        import psycopg

        try:
            self._connected().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connected(self) -> Any:
        import psycopg

        return psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=5, autocommit=True)


def _become_server(command: list[str], user: str | None) -> None:
    """Turn this process into a server, which ends when the one that forked this one does."""
    os.chdir("/")  # where we are may not be for the server's eyes
    os.closerange(3, 1 << 16)  # with what is open here, that one would wait for us
    if user is not None:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, int(signal.SIGQUIT))
    os.execv(command[0], command)


def _wait_for(answers: Callable[[], bool], process: Process, what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not answers():
        assert process.code is None, f"{what} has ended: {process.complaints}"
        assert time.monotonic() < until, f"{what} does not answer: {process.complaints}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def empty_cluster() -> Iterator[tuple[Path, Path, str]]:
    """The files of a new cluster, made once, with the programs that made them and the password of ``postgres``."""
    programs = postgres_programs()
    if programs is None or importlib.util.find_spec("psycopg") is None:
        missing("PostgreSQL's programs (initdb under /usr/lib/postgresql or in the PATH) and psycopg")
    user = _server_user()
    # The server's user may not reach a TMPDIR of ours.
    with tempfile.TemporaryDirectory(prefix="optuna-search-cluster-", dir="/tmp" if user else None) as name:
        folder, password = Path(name), secrets.token_hex(16)
        (folder / "password").write_text(password)
        if user is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        options = ["--username", "postgres", "--pwfile", "password", "--auth", "scram-sha-256"]
        options += ["--encoding", "UTF8", "--no-locale", "--no-sync", "--pgdata", "empty"]
        _as_server([str(programs / "initdb"), *options], folder)
        yield folder / "empty", programs, password


def _as_server(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, user=_server_user(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def cluster_like(empty_cluster: tuple[Path, Path, str]) -> Iterator[Cluster]:
    """A running server on a copy of the files of a new cluster."""
    empty, programs, password = empty_cluster
    copy = empty.parent / f"of-{secrets.token_hex(4)}"
    _as_server(["cp", "-Rp", str(empty), str(copy)], empty.parent)
    cluster = Cluster(copy, programs, password)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop("immediate")
        shutil.rmtree(copy)


@pytest.fixture(scope="session")
def quiet_postgres(empty_cluster: tuple[Path, Path, str]) -> Iterator[Cluster]:
    """A PostgreSQL server that nothing happens to, for tests of what happens before it."""
    with cluster_like(empty_cluster) as cluster:
        yield cluster


@pytest.fixture
def own_postgres(empty_cluster: tuple[Path, Path, str]) -> Iterator[Cluster]:
    """A PostgreSQL server that no other test uses; skips where PostgreSQL is not installed, fails in CI."""
    with cluster_like(empty_cluster) as cluster:
        yield cluster


# --- Optuna's gRPC proxy ----------------------------------------------------------------------------------------------


class GrpcServer:
    """Optuna's server that stands before a database, in a process of its own; its port stays when it stops."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._running = contextlib.ExitStack()
        self._process: Process | None = None
        self.port = free_port()

    def storage(self, port: int | None = None) -> GrpcStorageProxy:
        """Return a new client of it, or of what stands before it on another port."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return GrpcStorageProxy(host=LOOPBACK, port=self.port if port is None else port)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None, "it runs already"
        self._process = self._running.enter_context(Process(_serve, self._url, self.port))
        _wait_for(self._answers, self._process, "the gRPC server")

    def kill(self) -> None:
        """End it at once; what it was about to reply is lost."""
        self._process = None
        self._running.close()

    def restart(self) -> None:
        """Kill it, and start it again on the same port."""
        self.kill()
        self.start()

    def _answers(self) -> bool:
        with contextlib.closing(self.storage()) as client:
            try:
                client.wait_server_ready(timeout=1.0)
            except ConnectionError:
                return False
        return True


def _serve(url: str, port: int) -> None:
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", ExperimentalWarning)
    storage: BaseStorage = get_storage(url)
    run_grpc_proxy_server(storage, host=LOOPBACK, port=port)


def _end_with_the_tests() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


@contextlib.contextmanager
def grpc_server_before(url: str) -> Iterator[GrpcServer]:
    """A running gRPC server before a database."""
    server = GrpcServer(url)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def grpc_proxy(tmp_path: Path) -> Iterator[GrpcServer]:
    """Optuna's gRPC server before an SQLite file; skips where grpcio is not installed, fails in CI."""
    if importlib.util.find_spec("grpc") is None:
        missing("grpcio: pip install 'optuna-search[grpc]'")
    with grpc_server_before(f"sqlite:///{tmp_path}/behind.db") as server:
        yield server
