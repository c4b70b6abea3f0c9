"""What every test stands on: the storages, and a guard over the global settings of Optuna and scikit-learn."""

import contextlib
import gc
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import optuna
import pytest
import read_once  # noqa: F401
import sklearn
import sqlalchemy
from joblib.externals.loky import get_reusable_executor
from warm import LOKYS_OWN, Warm, workers_begin

import optuna_search

POSTGRES = "OPTUNA_SEARCH_TEST_POSTGRES"


def pytest_configure() -> None:
    """Hear Ctrl-C, also where the tests run in the background of a script, and so would not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Say which package is tested, and on which versions of those it stands on."""
    names = ["scikit-learn", "optuna", "numpy", "scipy", "joblib", "pandas"]
    return [f"tested: {optuna_search.__file__}", "on: " + ", ".join(f"{name} {version(name)}" for name in names)]


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for `postgres_url` needs a server, and is marked so."""
    for item in items:
        if "postgres_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)


@pytest.fixture(autouse=True, scope="session")
def _workers_begin_at_once() -> Iterator[None]:
    """Workers of joblib's are forked from an interpreter that has imported scikit-learn, where the system is Linux."""
    if sys.platform != "linux":
        yield
        return
    with contextlib.closing(Warm()) as warm, workers_begin(warm):
        yield


@pytest.fixture
def workers_of_loky() -> Iterator[None]:
    """Workers of joblib's that are started as in a user's program: each imports everything itself."""
    with workers_begin(LOKYS_OWN):
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        yield
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


@pytest.fixture(autouse=True)
def _global_settings_stay() -> Iterator[None]:
    """No test, and so nothing that it calls, may leave a global setting changed."""
    level, config = optuna.logging.get_verbosity(), sklearn.get_config()
    yield
    left_level, left_config = optuna.logging.get_verbosity(), sklearn.get_config()
    optuna.logging.set_verbosity(level)  # so that only the guilty test fails
    sklearn.set_config(**config)
    assert left_level == level, "the level of Optuna's logger was left changed"
    assert left_config == config, "scikit-learn's configuration was left changed"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL database that lives as long as the test; skips without a server, fails in CI."""
    admin_url = os.environ.get(POSTGRES)
    if not admin_url:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"CI must run the tests that need PostgreSQL: {POSTGRES} is not set")
        pytest.skip(f"needs PostgreSQL: set {POSTGRES}=postgresql+psycopg://user:password@host/database")

    name = f"optuna_search_test_{uuid.uuid4().hex}"
    admin = sqlalchemy.create_engine(admin_url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with admin.connect() as connection:
        # From template0, which takes no connections: a copy waits for nobody.
        connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield admin.url.set(database=name).render_as_string(hide_password=False)
    gc.collect()  # connections that nobody closed: their driver remarks on them here, and not in a test of warnings
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')  # whoever is still connected


@pytest.fixture(params=["memory", "sqlite", "journal", pytest.param("postgres", marks=pytest.mark.server)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """What a user may pass as `storage`, each kind in turn: None, a path, a path to a journal, a URL."""
    match request.param:
        case "sqlite":
            return str(tmp_path / "s.db")
        case "journal":
            return str(tmp_path / "s.journal")
        case "postgres":
            url: str = request.getfixturevalue("postgres_url")
            return url
        case _:
            return None
