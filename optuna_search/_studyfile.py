"""A study in a file of its own, to keep or to send: made in one go, and looked at closely before it is believed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from optuna_search._sqlite import connect_to_read, opened_with
from optuna_search._storage import JOURNALS, in_plain_words
from optuna_search.exceptions import StorageError

#: Endings of the names of study files.
ENDINGS = (*JOURNALS, ".db")


@contextlib.contextmanager
def new_file(path: Path, *, replace: bool) -> Iterator[Path]:
    """Give the path of a new file beside, which takes its place when it is whole.

    Parameters
    ----------
    replace : bool
        Whether it takes the place of a file that is there.

    Raises
    ------
    StorageError
        If there is one, no folder, no space, or no permission.
    """
    _check_place(path, replace)
    beside = path.parent / f".optuna_search-{uuid.uuid4().hex[:12]}{path.suffix}"
    told = ""
    try:
        yield beside
        _sync(beside)
        _put(beside, path, replace)
    except OSError as error:
        told = f"{path} cannot be written: {error.strerror or error}."
    finally:
        for left in path.parent.glob(f"{beside.name}*"):
            left.unlink(missing_ok=True)
    if told:
        raise StorageError(told)


def _check_place(path: Path, replace: bool) -> None:
    if not path.parent.is_dir():
        raise StorageError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.is_dir():
        raise StorageError(f"{path} cannot be written: it is a folder.")
    if not replace and os.path.lexists(path):
        raise _exists(path)


def _exists(path: Path) -> StorageError:
    return StorageError(f"{path} exists already, and a study file is never overwritten. Choose another path.")


def _put(beside: Path, path: Path, replace: bool) -> None:
    if replace:
        os.replace(beside, path)
        return
    try:
        # Of two that come at the same time only one is first; a file system without links cannot tell.
        os.link(beside, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        os.rename(beside, path)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


# --- as a storage ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened_to_write(path: Path) -> Iterator[BaseStorage]:
    """Open a new study file, which is closed and a single file afterwards."""
    if path.suffix in JOURNALS:
        yield JournalStorage(JournalFileBackend(str(path)))
        return

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, check_same_thread=False)
        # It counts only when it is whole, and is written through once then.
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    with _closing(connect) as storage:
        yield storage


@contextlib.contextmanager
def opened_to_read(path: Path) -> Iterator[BaseStorage]:
    """Open a study file, and change nothing in it.

    Raises
    ------
    StorageError
        With the path, for whatever is wrong with it.
    """
    told = ""
    try:
        with in_plain_words(None), _reading(path) as storage:
            yield storage
    except StorageError as error:
        told = str(error)
    if told:
        raise StorageError(f"{path} cannot be imported: {told}")


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BaseStorage]:
    if not path.is_file():
        raise StorageError("there is no such file.")
    if path.suffix in JOURNALS:
        _check_journal(path)
        yield JournalStorage(JournalFileBackend(str(path)))
        return
    _check_tables(path)
    with _closing(functools.partial(connect_to_read, path)) as storage:
        yield storage


@contextlib.contextmanager
def _closing(connect: Callable[[], sqlite3.Connection]) -> Iterator[BaseStorage]:
    storage = opened_with(connect)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _check_tables(path: Path) -> None:
    with contextlib.closing(connect_to_read(path)) as db:
        damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        page_size = db.execute("PRAGMA page_size").fetchone()[0]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        others = [kind for (kind,) in db.execute("SELECT type FROM sqlite_master WHERE type IN ('view', 'trigger')")]
    if damage != "ok":
        raise StorageError(f"it is damaged ({' '.join(damage.split())}).")
    if path.stat().st_size % page_size:  # SQLite takes what is missing of the last page for zeros
        raise StorageError("it is damaged (the end is missing).")
    if not {"studies", "trials"} <= tables:
        raise StorageError("it is a database, and no study file.")
    if others:  # which Optuna never makes, and which run something when they are read or written
        raise StorageError(f"it has a {others[0]}, which no study file has.")


def _check_journal(path: Path) -> None:
    """Read every line: Optuna would leave out a last one that is torn."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                is_sound = line.endswith(b"\n") and "op_code" in json.loads(line)
            except (ValueError, TypeError):
                is_sound = False
            if not is_sound:
                raise StorageError(f"line {number} of it is cut off, or was never written by Optuna.")
