"""From what the user writes as ``storage`` to an Optuna storage."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend

from optuna_search._url import SecretURL, expand, mask
from optuna_search.exceptions import StorageError

#: Seconds that a write waits for other processes to let go of an SQLite file.
BUSY_TIMEOUT = 60
#: Seconds until a server that does not answer counts as unreachable.
CONNECT_TIMEOUT = 8


def open_storage(given: Any, *, to_read: bool = False) -> BaseStorage:
    """Return the Optuna storage that a user's value stands for.

    Parameters
    ----------
    given : None, str, Path, or optuna.storages.BaseStorage
        None is memory; a path is an SQLite file, or a journal file if it ends in ``.journal``; anything with
        ``://`` is the URL of a database.
    to_read : bool
        Whether something is expected there already, so that a file must not be made.

    Raises
    ------
    StorageError
        If it cannot be opened.
    """
    if given is None:
        return InMemoryStorage()
    if isinstance(given, BaseStorage):
        return get_storage(given)
    text = given.connect() if isinstance(given, SecretURL) else os.fspath(given)
    shown = mask(text)
    try:
        if "://" in text or text.startswith("${"):
            return _open_url(expand(text))
        path = Path(text).expanduser().absolute()
        if to_read and not path.exists():
            raise StorageError(f"storage={shown!r}: there is no file {path}.")
        if not path.parent.is_dir():
            raise StorageError(f"storage={shown!r}: there is no folder {path.parent}.")
        if path.suffix == ".journal":
            return JournalStorage(JournalFileBackend(str(path)))
        return _open_url(f"sqlite:///{path}")
    except StorageError:
        raise
    except ImportError as error:
        raise StorageError(
            f"storage={shown!r} needs a database driver that is not installed ({error}). "
            "For PostgreSQL: pip install 'optuna-search[postgres]' and a URL that begins with postgresql+psycopg://."
        ) from error
    except Exception as error:
        raise StorageError(f"storage={shown!r} cannot be opened: {_reason(error)}") from None


def _open_url(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage

    backend = url.partition("://")[0].partition("+")[0]
    connect: dict[str, Any] = {}
    if backend == "sqlite":
        connect = {"timeout": BUSY_TIMEOUT, "factory": DurableConnection}
    elif backend in ("postgresql", "mysql", "mariadb"):
        connect = {"connect_timeout": CONNECT_TIMEOUT}
    return get_storage(RDBStorage(url, engine_kwargs={"connect_args": connect, "pool_pre_ping": backend != "sqlite"}))


class DurableConnection(sqlite3.Connection):
    """A connection to an SQLite file that writes ahead.

    With a write-ahead log a commit costs a fiftieth of what it costs otherwise, and readers do not wait. A
    killed process loses nothing; a power cut may take the last commits. Not for network file systems.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def _reason(error: BaseException) -> str:
    """Return the innermost cause in one line, without what might hold a password."""
    while (inner := error.__cause__ or getattr(error, "orig", None)) is not None and inner is not error:
        error = inner
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return mask(lines[0]) if lines else type(error).__name__
