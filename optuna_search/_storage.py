"""From what the user writes as ``storage`` to an Optuna storage."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend

from optuna_search._compat import backend_url
from optuna_search._url import SecretURL, expand, mask, redact
from optuna_search.exceptions import InvalidRequestError, OptunaSearchError, StorageError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

#: Endings of the names of Optuna's journal files; a study file is one that holds a single study.
JOURNALS = (".journal", ".study")
#: Seconds that a write waits for other processes to let go of an SQLite file.
BUSY_TIMEOUT = 60
#: How often opening is tried while others make the same tables.
ATTEMPTS = 10
#: Seconds until a server that does not answer counts as unreachable.
CONNECT_TIMEOUT = 8


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
        return get_storage(given)
    if not isinstance(given, str | os.PathLike):
        raise InvalidRequestError(f"storage={given!r} must be a path, a URL, an Optuna storage, or None.")
    text = given.connect() if isinstance(given, SecretURL) else os.fspath(given)
    shown, url = mask(text), text
    try:
        if "://" in text or text.startswith("${"):
            url = expand(text)
            if url.startswith("postgres://"):
                raise StorageError(
                    f"storage={shown!r} cannot be opened: a PostgreSQL URL begins with postgresql+psycopg://."
                )
            file = _file_of(url)
            if to_read:
                _must_exist(file, shown)
            if file is not None:
                _check_database(file, shown, to_read)
                if to_read and _is_read_only(file):
                    return get_storage(opened_with(functools.partial(connect_to_read, file)))
            return _open_url(url)
        path = Path(text).expanduser().absolute()
        if to_read:
            _must_exist(path, shown)
        if not path.parent.is_dir():
            raise StorageError(f"storage={shown!r}: there is no folder {path.parent}.")
        if path.is_dir():
            raise StorageError(f"storage={shown!r} is a folder; name a file in it, as in {path.name}/searches.db.")
        if path.suffix in JOURNALS:
            return JournalStorage(JournalFileBackend(str(path)))
        _check_database(path, shown, to_read)
        if to_read and _is_read_only(path):
            return get_storage(opened_with(functools.partial(connect_to_read, path)))
        return _open_url(*_sqlite_url(path))
    except StorageError:
        raise
    except ImportError as error:
        raise StorageError(
            f"storage={shown!r} needs a database driver that is not installed ({error}). "
            "For PostgreSQL: pip install 'optuna-search[postgres]' and a URL that begins with postgresql+psycopg://."
        ) from error
    except Exception as error:
        reason = redact(_reason(error), url)
    # Raised out here, so that the driver's own error, which may quote the URL, does not come along as its context.
    raise StorageError(f"storage={shown!r} cannot be opened: {reason}")


def _must_exist(path: Path | None, shown: str) -> None:
    if path is not None and not path.exists():
        raise StorageError(f"storage={shown!r}: there is no file {path}.")


def _file_of(url: str) -> Path | None:
    """Return the file that an SQLite URL names in the usual way; None where only its driver knows."""
    if not url.startswith("sqlite"):
        return None
    file = url.partition("///")[2].partition("?")[0]
    return None if file in ("", ":memory:") or file.startswith("file:") else Path(file)


def _is_read_only(path: Path) -> bool:
    return not (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK))


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open an SQLite file, and change nothing that is in it."""
    mode = "rw"  # so that what SQLite puts beside a file is tidied up at the end
    if _is_read_only(path):
        # Where nobody has put anything beside the file, and nobody can, nobody is writing it.
        may_change = os.access(path.absolute().parent, os.W_OK) or Path(f"{path}-wal").exists()
        mode = "ro" if may_change else "ro&immutable=1"
    file = f"file:{quote(str(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(file, uri=True, check_same_thread=False, timeout=BUSY_TIMEOUT)
    connection.execute("PRAGMA query_only=ON")
    return connection


def opened_with(connect: Callable[[], sqlite3.Connection]) -> RDBStorage:
    """Return an SQLite storage that makes its connections so, and none of which stays open."""
    import sqlalchemy
    from optuna.storages import RDBStorage

    return RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": sqlalchemy.NullPool})


def _check_database(path: Path, shown: str, to_read: bool) -> None:
    """Refuse an SQLite file that is no study file before anything is written to it."""
    if not path.is_file():
        return
    why = ""
    with contextlib.closing(connect_to_read(path)) as db:
        try:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.OperationalError:
            return  # locked, for instance: whoever opens it has more patience, or a better word
        except sqlite3.DatabaseError as error:
            why = str(error)
    if why:
        with path.open("rb") as file:
            is_journal = file.read(1) == b"{"
        advice = (
            "It looks like a journal, whose name ends in .journal."
            if is_journal
            else f"It is no study file; if it was one, this may save what is left: sqlite3 {path.name} .recover."
        )
        raise StorageError(f"storage={shown!r} cannot be opened: {why}. {advice}")
    if "studies" not in tables and (tables or to_read):
        what = f"the database of something else (with the table {min(tables)!r})" if tables else "empty"
        raise StorageError(
            f"storage={shown!r} cannot be opened: it is {what}, and no study file. Nothing was written to it."
        )


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
        raise StorageError(f"{shown}{redact(_reason(error), url)}") from None


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


def _sqlite_url(path: Path) -> tuple[str, str | None]:
    """Return the URL of a file, and its path where that has characters that a URL gives a meaning of its own."""
    if set(str(path)) & set("?%"):
        return "sqlite://", str(path)
    return "sqlite:///" + str(path).replace("{", "{{").replace("}", "}}"), None  # Optuna formats its URLs


def _open_url(url: str, path: str | None = None) -> BaseStorage:
    import sqlalchemy
    from optuna.storages import RDBStorage

    backend = url.partition("://")[0].partition("+")[0]
    connect: dict[str, Any] = {}
    if backend == "sqlite":
        connect = {"timeout": BUSY_TIMEOUT, "factory": DurableConnection}
    elif backend in ("postgresql", "mysql", "mariadb"):
        connect = {"connect_timeout": CONNECT_TIMEOUT}
    options: dict[str, Any] = {"connect_args": connect, "pool_pre_ping": backend != "sqlite"}
    if path is not None:
        connection = functools.partial(sqlite3.connect, path, check_same_thread=False, **connect)
        options = {"creator": connection, "poolclass": sqlalchemy.pool.QueuePool}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return get_storage(RDBStorage(url, engine_kwargs=options))
        except Exception as error:
            # Several processes may make the tables of one empty database together: all but one find them there.
            if attempt == ATTEMPTS or not _is_race(error):
                raise
            time.sleep(0.1 * attempt * random.random())
    raise AssertionError("not reached")


def _is_race(error: Exception) -> bool:
    return any(word in str(error) for word in ("already exists", "is locked", "UNIQUE", "duplicate key"))


def without_password(storage: BaseStorage) -> Any:
    """Return a storage object as a pickle may hold it: if it knows a password, its URL without that."""
    url, options = backend_url(storage)
    hides = isinstance(url, str) and (mask(url) != url or "passw" in str(options).lower())
    return SecretURL(str(url), secret=False) if hides else storage


class DurableConnection(sqlite3.Connection):
    """A connection to an SQLite file that writes ahead.

    With a write-ahead log a commit costs a fiftieth of what it costs otherwise, and readers do not wait. A
    killed process loses nothing; a power cut may take the last commits. Not for network file systems.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")

    def __del__(self) -> None:
        # Optuna's storage has no end at which to close it, and from Python 3.13 on an open one that goes is warned of.
        with contextlib.suppress(sqlite3.Error):
            self.close()


def _reason(error: BaseException) -> str:
    """Return the innermost cause in one line."""
    while (inner := error.__cause__ or getattr(error, "orig", None)) is not None and inner is not error:
        error = inner
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
