"""Whether a study is still where it was, while a search is at work on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from optuna.storages import BaseStorage, InMemoryStorage

from optuna_search._damage import damaged, is_damage
from optuna_search._database import file_of_storage, is_there
from optuna_search._trouble import persistently
from optuna_search.exceptions import StorageError


class Guard:
    """Looks whether what is read or written is one study, and not what has its place now.

    Parameters
    ----------
    storage : BaseStorage
        Where it is kept.
    study_id : int
        What it has in the storage.
    study_name : str
        What messages call it.
    identity : str or None
        What it is known by, whatever its name and its id in the storage; None for one of another tool.
    """

    def __init__(self, storage: BaseStorage, study_id: int, study_name: str, identity: str | None) -> None:
        self._storage = storage
        self._study_id = study_id
        self._study_name = study_name
        self._identity = identity
        self._file = None if isinstance(storage, InMemoryStorage) else persistently(storage, self._find_file)
        #: Whether a search has come to work on it: from then on it must stay there.
        self.is_on = False

    @contextlib.contextmanager
    def unless_it_is_gone(self) -> Iterator[None]:
        """Make sure that what is read or written is this study, and not what has its id after it was deleted.

        Raises
        ------
        StorageError
            If somebody has deleted it, or something in it cannot be read.
        """
        self._check_file()
        if not self.is_there:
            raise self.gone()
        try:
            yield
            self._check_file()
        # A storage says KeyError where it knows no such study or trial, and ValueError where a trial is no point of
        # the study that has the id now.
        except Exception as error:
            if not is_damage(error):
                raise
            is_kept = self.is_there and self._is_known()
            raise (damaged(f"study {self._study_name!r}", error) if is_kept else self.gone()) from error

    @property
    def is_there(self) -> bool:
        """Whether it is."""
        known = self._identity if self.is_on else None
        return known is None or is_there(self._storage, self._study_id, known)

    def _is_known(self) -> bool:
        """Whether the storage has a study of this id, whatever is in it."""
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            try:
                self._storage.get_study_user_attrs(self._study_id)
            except KeyError:
                return False
        return True

    def _find_file(self) -> tuple[Path, tuple[int, int]] | None:
        """Return the file of the storage, and what tells it from another one of its name."""
        file = file_of_storage(self._storage)
        return None if file is None else (file, _identity(file))

    def _check_file(self) -> None:
        """Make sure that the file of the storage is the one that was opened: SQLite would write on into a deleted one.

        Raises
        ------
        StorageError
            If it was deleted or replaced.
        """
        if self._file is None:
            return
        path, identity = self._file
        try:
            what = None if _identity(path) == identity else "replaced by another one"
        except FileNotFoundError:
            what = "deleted"
        if what:
            raise StorageError(f"storage={str(path)!r}: the file was {what} while this search was at work on it.")

    @staticmethod
    def gone() -> StorageError:
        """Return the error about a study that was deleted."""
        return StorageError("The study was deleted while this search was at work on it; nothing more is written.")


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from another one of the same name."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
