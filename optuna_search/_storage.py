"""From what the user writes as ``storage`` to an Optuna storage."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, get_storage

from optuna_search._compat import backend_url, no_experimental_warnings, proxy_address
from optuna_search._damage import damaged, innermost, is_damage
from optuna_search._database import file_of_storage
from optuna_search._journal import StudyJournal
from optuna_search._sqlite import (
    BUSY_TIMEOUT,
    DurableConnection,
    check_database,
    connection_of,
    file_of,
    is_read_only,
    opened_to_read,
    sqlite_url,
)
from optuna_search._tables import shortened
from optuna_search._url import SecretURL, expand, mask, redact
from optuna_search.exceptions import InvalidRequestError, OptunaSearchError, StorageError

#: Endings of the names of Optuna's journal files; a study file is one that holds a single study.
JOURNALS = (".journal", ".study")
#: How often opening is tried while others make the same tables.
ATTEMPTS = 10
#: What a driver has to say gets no longer than this in a message.
MAX_REASON = 1000
#: Seconds until a server that does not answer counts as unreachable.
CONNECT_TIMEOUT = 8
#: What libpq is told, so that a connection whose other end is gone without a word ends after half a minute.
KEEPALIVES = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}


def open_storage(given: Any, *, to_read: bool = False) -> BaseStorage:
    """Return the Optuna storage that a user's value stands for.

    Parameters
    ----------
    given : None, str, Path, or optuna.storages.BaseStorage
        None is memory; a path is an SQLite file, or a journal file if it ends in ``.journal`` or ``.study``;
        anything with ``://`` is the URL of a database.
    to_read : bool
        Whether something is expected there already, so that a file must not be made.

    Raises
    ------
    StorageError
        If it cannot be opened.
    InvalidRequestError
        If it is nothing that could be.
    """
    if given is None:
        return InMemoryStorage()
    if isinstance(given, BaseStorage):
        _check_proxy(given)
        return get_storage(given)
    if not isinstance(given, str | os.PathLike):
        raise InvalidRequestError(f"storage={given!r} must be a path, a URL, an Optuna storage, or None.")
    text = given.connect() if isinstance(given, SecretURL) else os.fspath(given)
    shown, url = mask(text), text
    try:
        if "://" in text or text.startswith("${"):
            url = expand(text)
            return _of_url(url, shown, to_read)
        return _of_path(Path(text).expanduser().absolute(), shown, to_read)
    except StorageError:
        raise
    except ImportError as error:
        advice = (
            "for a storage proxy: pip install 'optuna-search[grpc]'"
            if "grpc" in url[:4]
            else (
                "For PostgreSQL: pip install 'optuna-search[postgres]' and a URL that begins with postgresql+psycopg://"
            )
        )
        raise StorageError(
            f"storage={shown!r} needs a database driver that is not installed ({error}). {advice}."
        ) from error
    except Exception as error:
        reason = redact(_told(error), url)
        if "storage upgrade" in reason:
            reason = (
                f"{reason.partition(' Please')[0]} Make a copy of it, and then bring it up to date: "
                f"optuna-search upgrade --storage {shown}, or studies.upgrade(storage)"
            )
    # Raised out here, so that the driver's own error, which may quote the URL, does not come along as its context.
    raise StorageError(f"storage={shown!r} cannot be opened: {reason}")


def _of_url(url: str, shown: str, to_read: bool) -> BaseStorage:
    if url.startswith("postgres://"):
        raise StorageError(f"storage={shown!r} cannot be opened: a PostgreSQL URL begins with postgresql+psycopg://.")
    if url.startswith("grpc://"):
        return _open_proxy(url, shown)
    import sqlalchemy

    try:
        sqlalchemy.make_url(url)
    except Exception as error:
        reason = redact(_reason(error), url)
    else:
        reason = ""
    if reason:  # raised out here: the error quotes the URL
        raise StorageError(f"storage={shown!r} is no URL: {reason}.")
    path = file_of(url)
    if path is None:
        return _open_url(url)
    return _of_file(path, shown, to_read, url)


def _of_path(path: Path, shown: str, to_read: bool) -> BaseStorage:
    if to_read:
        must_be_there(path, shown)
    if not path.parent.is_dir():
        raise StorageError(f"storage={shown!r}: there is no folder {path.parent}.")
    if path.is_dir():
        raise StorageError(f"storage={shown!r} is a folder; name a file in it, as in {path.name}/searches.db.")
    if path.suffix in JOURNALS:
        return JournalStorage(StudyJournal(str(path)))
    return _of_file(path, shown, to_read, *sqlite_url(path))


def _of_file(path: Path, shown: str, to_read: bool, url: str, odd_path: str | None = None) -> BaseStorage:
    """Return the storage of an SQLite file; `odd_path` is its path where no URL can hold it."""
    if to_read:
        must_be_there(path, shown)
    check_database(path, shown, to_read)
    if to_read and is_read_only(path):
        return get_storage(opened_to_read(path))
    return _open_url(url, odd_path, connection_of(path, shown))


def must_be_there(path: Path | None, shown: str) -> None:
    """Refuse the path of a file that is not there.

    Raises
    ------
    StorageError
        With the path.
    """
    if path is not None and not path.exists():
        raise StorageError(f"storage={shown!r}: there is no file {path}.")


@contextlib.contextmanager
def in_plain_words(given: Any) -> Iterator[None]:
    """Say what goes wrong with an open storage in one line, and without its password.

    Raises
    ------
    StorageError
        For whatever Optuna, SQLAlchemy or a driver raises inside.
    """
    try:
        yield
    except (OptunaSearchError, ImportError):
        raise
    except Exception as error:
        shown, url = _shown_and_url(given)
        # What a driver says may quote the URL, and is not to be shown as the cause.
        raise StorageError(f"{shown}{redact(_told(error), url)}") from None


def place_of(storage: BaseStorage) -> str:
    """Return how a message names an open storage, without a password."""
    if (file := file_of_storage(storage)) is not None:
        return f"storage={str(file)!r}"
    if (address := proxy_address(storage)) is not None:
        return f"the storage proxy at {address}"
    return f"storage={mask(str(backend_url(storage)[0]))!r}" if backend_url(storage)[0] else "the storage"


def reason_of(error: BaseException, storage: BaseStorage) -> str:
    """Return in one line, and without the password of a storage, what is wrong with it."""
    return redact(_reason(error), str(backend_url(storage)[0]))


def _shown_and_url(given: Any) -> tuple[str, str]:
    """Return how a message names a storage, and the URL whose password it must not hold."""
    if given is None:
        return "", ""
    if isinstance(given, BaseStorage):
        return "", str(backend_url(given)[0])
    text = given.connect() if isinstance(given, SecretURL) else os.fspath(given)
    url = text
    with contextlib.suppress(StorageError):
        url = expand(text)
    return f"storage={mask(text)!r}: ", url


def engine_options(
    url: str, path: str | None = None, sqlite: type[sqlite3.Connection] = DurableConnection
) -> dict[str, Any]:
    """Return how SQLAlchemy is to connect.

    Parameters
    ----------
    path : str or None
        Of an SQLite file, where no URL can hold it.
    sqlite : type
        What a file is opened with.
    """
    import sqlalchemy

    backend, _, driver = url.partition("://")[0].partition("+")
    connect: dict[str, Any] = {}
    if backend == "sqlite":
        connect = {"timeout": BUSY_TIMEOUT, "factory": sqlite}
    elif driver in ("", "psycopg", "psycopg2", "pymysql", "mysqldb"):  # the others have other names for it
        connect = {"connect_timeout": CONNECT_TIMEOUT} | (KEEPALIVES if backend == "postgresql" else {})
        connect = {name: value for name, value in connect.items() if name not in sqlalchemy.make_url(url).query}
    if path is None:
        return {"connect_args": connect, "pool_pre_ping": backend != "sqlite"}
    connection = functools.partial(sqlite3.connect, path, check_same_thread=False, **connect)
    return {"creator": connection, "poolclass": sqlalchemy.pool.QueuePool}


def _open_url(url: str, path: str | None = None, sqlite: type[sqlite3.Connection] = DurableConnection) -> BaseStorage:
    from optuna.storages import RDBStorage

    options = engine_options(url, path, sqlite)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return get_storage(RDBStorage(url, engine_kwargs=options))
        except Exception as error:
            # Several processes may make the tables of one empty database together: all but one find them there.
            if attempt == ATTEMPTS or not _is_race(error):
                raise
            time.sleep(0.1 * attempt * random.random())
    raise AssertionError("not reached")


def _open_proxy(url: str, shown: str) -> BaseStorage:
    """Return the storage behind a proxy of Optuna's, ``grpc://host:port``."""
    from optuna.storages import GrpcStorageProxy

    found, port = urlsplit(url), None
    with contextlib.suppress(ValueError):
        port = found.port or 13000
    if port is None:
        raise StorageError(f"storage={shown!r} is no URL: its port is no number.")
    with no_experimental_warnings():
        proxy = GrpcStorageProxy(host=found.hostname or "localhost", port=port)
    _check_proxy(proxy)
    return proxy


def _check_proxy(storage: BaseStorage) -> None:
    """Refuse a storage proxy that does not answer: calls to it would have no end.

    Raises
    ------
    StorageError
        With its address.
    """
    if (address := proxy_address(storage)) is None:
        return
    try:
        storage.wait_server_ready(CONNECT_TIMEOUT)  # type: ignore[attr-defined]
    except ConnectionError:
        raise StorageError(
            f"No storage proxy answers at {address}. Start it there, with optuna-search serve for instance."
        ) from None


def _is_race(error: Exception) -> bool:
    return any(word in str(error) for word in ("already exists", "is locked", "UNIQUE", "duplicate key"))


def without_password(storage: BaseStorage) -> Any:
    """Return a storage object as a pickle may hold it: if it knows a password, its URL without that."""
    url, options = backend_url(storage)
    hides = isinstance(url, str) and (mask(url) != url or "passw" in str(options).lower())
    return SecretURL(str(url), secret=False) if hides else storage


def _told(error: Exception) -> str:
    """Return in one line what went wrong."""
    return str(damaged("what is kept there", error)) if is_damage(error) else _reason(error)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in one line."""
    cause = innermost(error)
    details = getattr(cause, "details", None)  # what a storage proxy says, in the midst of a text of many lines
    said = details() if callable(details) else str(cause)
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return shortened(lines[0], MAX_REASON) if lines else type(cause).__name__
