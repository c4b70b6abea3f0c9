"""SQLite files: how they are opened to be written, and read without leaving a trace."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optuna_search.exceptions import NetworkFileSystemWarning, StorageError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

#: Two of Optuna's tables, and columns that no other program's tables of these names have.
OPTUNAS = ("studies", "version_info")
OF_A_STUDY_FILE = {"study_id", "study_name", "version_info_id", "schema_version"}
#: The first table that Optuna makes is there alone for a moment.
BEGUN = ({"studies"}, {"study_id", "study_name"})
#: Seconds that a write waits for other processes to let go of a file. Optuna makes a trial in up to five attempts;
#: together they take as long as a storage is waited for.
BUSY_TIMEOUT = 12
#: Where Linux says what kind of file system is where.
MOUNTS = Path("/proc/self/mounts")
#: Kinds of those that are somewhere else; SQLite's log needs memory that all its users share.
_FAR_AWAY = ("nfs", "cifs", "smb", "afs", "ceph", "lustre", "beegfs", "gpfs", "glusterfs", "fuse.sshfs", "9p")


class ClosedConnection(sqlite3.Connection):
    """A connection that is closed when it goes."""

    def __del__(self) -> None:
        # Optuna's storage has no end at which to close it, and from Python 3.13 on an open one that goes is warned of.
        with contextlib.suppress(sqlite3.Error):
            self.close()


class DurableConnection(ClosedConnection):
    """A connection to an SQLite file that writes ahead.

    With a write-ahead log a commit costs a fiftieth of what it costs otherwise, and readers do not wait. A
    killed process loses nothing; a power cut may take the last commits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


def sqlite_url(path: Path) -> tuple[str, str | None]:
    """Return the URL of a file, and its path where that has characters that a URL gives a meaning of its own."""
    if set(str(path)) & set("?%"):
        return "sqlite://", str(path)
    return "sqlite:///" + str(path).replace("{", "{{").replace("}", "}}"), None  # Optuna formats its URLs


def network_file_system(path: Path) -> str | None:
    """Return the kind of the network file system that a file is on; None where it is on none, or nobody says."""
    with contextlib.suppress(OSError):
        mounts = [line.split()[1:3] for line in MOUNTS.read_text().splitlines() if len(line.split()) > 2]
        folders = {place.replace("\\040", " "): kind for place, kind in mounts}
        where = next((str(one) for one in (path.absolute(), *path.absolute().parents) if str(one) in folders), None)
        if where is not None and folders[where].startswith(_FAR_AWAY):
            return folders[where]
    return None


def connection_of(path: Path, shown: str) -> type[sqlite3.Connection]:
    """Return what a file is opened with to be written; on a network file system without a write-ahead log."""
    kind = network_file_system(path)
    if kind is None:
        return DurableConnection
    warnings.warn(
        f"storage={shown!r} is on a network file system ({kind}), where locks of SQLite cannot be relied on if several "
        "machines write. Give a path that ends in .journal, a file on a disk of this machine, or a database server.",
        NetworkFileSystemWarning,
        stacklevel=2,
    )
    return ClosedConnection


def file_of(url: str) -> Path | None:
    """Return the file that an SQLite URL names in the usual way; None where only its driver knows."""
    if not url.startswith("sqlite"):
        return None
    file = url.partition("///")[2].partition("?")[0]
    return None if file in ("", ":memory:") or file.startswith("file:") else Path(file)


def is_read_only(path: Path) -> bool:
    return not (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK))


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open an SQLite file, and change nothing that is in it."""
    mode = "rw"  # so that what SQLite puts beside a file is tidied up at the end
    if is_read_only(path):
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


def opened_to_read(path: Path) -> RDBStorage:
    """Return the storage of a file that cannot be written."""
    return opened_with(functools.partial(connect_to_read, path))


def check_database(path: Path, shown: str, to_read: bool) -> None:
    """Refuse an SQLite file that is no study file before anything is written to it."""
    if not path.is_file():
        return
    why = ""
    with contextlib.closing(connect_to_read(path)) as db:
        try:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            columns = {row[1] for table in OPTUNAS for row in db.execute(f"PRAGMA table_info({table})")}
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
            else f"If it was one, this may save what is left: sqlite3 {path.name} .recover | sqlite3 new.db."
        )
        raise StorageError(f"storage={shown!r} is not an optuna_search study file: {why}. {advice}")
    if not columns >= OF_A_STUDY_FILE and (tables, columns) != BEGUN and (tables or to_read):
        what = f"the database of something else (with the table {min(tables)!r})" if tables else "empty"
        raise StorageError(
            f"storage={shown!r} is not an optuna_search study file: it is {what}. Nothing was written to it."
        )
