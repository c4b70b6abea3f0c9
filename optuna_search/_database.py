"""What a relational database does at once where other storages take many steps."""

from __future__ import annotations

import weakref
from pathlib import Path

from optuna.storages import BaseStorage

from optuna_search._compat import journal_path, relational, renamed
from optuna_search._damage import readable
from optuna_search._record import RECORD, RETIRED
from optuna_search.exceptions import StorageError


def study_names(storage: BaseStorage) -> list[str]:
    """Return the names of all studies, in the order in which they were made.

    A database is asked for no more than that: an attribute of one study that cannot be read hides no other.
    """
    database = relational(storage)
    if database is None:
        with readable("the storage"):
            return [study.study_name for study in storage.get_all_studies() if isinstance(study.study_name, str)]
    import sqlalchemy  # only where there is a database: it takes a while

    with database.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT study_name FROM studies ORDER BY study_id"))
        return [str(name) for (name,) in rows]


#: The files of storages: one that fails later is not to be asked again.
_files: weakref.WeakKeyDictionary[BaseStorage, Path | None] = weakref.WeakKeyDictionary()


def file_of_storage(storage: BaseStorage) -> Path | None:
    """Return the file that a storage keeps everything in; None if it is no file, or a server knows."""
    if storage not in _files:
        _files[storage] = _find_file(storage)
    return _files[storage]


def _find_file(storage: BaseStorage) -> Path | None:
    if (journal := journal_path(storage)) is not None:
        return Path(journal)
    database = relational(storage)
    if database is None or database.engine.dialect.name != "sqlite":
        return None
    with database.engine.connect() as connection:
        for _, name, file in connection.exec_driver_sql("PRAGMA database_list"):
            if name == "main" and file:
                return Path(file)
    return None


def gives_ids_again(storage: BaseStorage) -> bool:
    """Whether the ids of what was deleted go to what is made next: SQLite does that, and no other storage."""
    database = relational(storage)
    return database is not None and database.engine.dialect.name == "sqlite"


def is_there(storage: BaseStorage, study_id: int, identity: str) -> bool:
    """Whether a study is the one with this identity, and is not about to be deleted.

    Where ids are given again, a study and its trials may have become others under those that a process knows. No other
    storage is asked.
    """
    database = relational(storage)
    if database is None or not gives_ids_again(storage):
        return True
    import sqlalchemy

    query = (
        "SELECT instr(value_json, :identity) FROM study_user_attributes WHERE study_id = :id AND key = :record"
        " AND NOT EXISTS (SELECT 1 FROM study_system_attributes"
        " WHERE study_id = :id AND key = :retired AND value_json = 'true')"
    )
    with database.engine.connect() as connection:
        given = {"identity": identity, "id": study_id, "record": RECORD, "retired": RETIRED}
        return bool(connection.execute(sqlalchemy.text(query), given).scalar())


def rename_in_place(storage: BaseStorage, study_id: int, new_name: str) -> bool:
    """Give a study another name in one transaction; False where the storage is no relational database.

    Raises
    ------
    StorageError
        If there is a study of the new name: that the database decides, whoever else is at it.
    """
    database = relational(storage)
    if database is None:
        return False
    import sqlalchemy

    rename = sqlalchemy.text("UPDATE studies SET study_name = :name WHERE study_id = :id")
    taken = False
    try:
        with database.engine.begin() as connection:
            found = connection.execute(rename, {"name": new_name, "id": study_id}).rowcount
    except sqlalchemy.exc.IntegrityError:
        taken = True
    if taken:
        raise already_there(new_name)
    if not found:
        raise StorageError("The study was deleted by another process a moment ago.")
    renamed(storage, study_id, new_name)
    return True


def already_there(name: str) -> StorageError:
    """Return the error about a name that is taken."""
    return StorageError(
        f"There is a study {name!r} already; nothing was changed. Choose another name, or delete it first."
    )
