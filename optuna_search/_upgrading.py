"""The tables of a database that an older version of Optuna has made, brought up to date."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna_search._sqlite import check_database, connection_of, file_of, sqlite_url
from optuna_search._storage import engine_options, in_plain_words, must_be_there
from optuna_search._url import SecretURL, expand, mask
from optuna_search.exceptions import InvalidRequestError


def upgrade(storage: Any) -> None:
    """Bring the tables of a database up to date that an older version of Optuna has made.

    It is never done by itself: make a copy of the database first.

    Parameters
    ----------
    storage : str or Path
        A path or a URL.

    Raises
    ------
    StorageError
        If it cannot be opened or changed.
    InvalidRequestError
        If it is no path and no URL.

    Examples
    --------
    >>> import shutil, tempfile
    >>> import optuna
    >>> from optuna_search import studies
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = optuna.create_study(storage=f"sqlite:///{folder}/searches.db", study_name="svc")
    ...     _ = shutil.copy(f"{folder}/searches.db", f"{folder}/copy.db")
    ...     studies.upgrade(f"{folder}/searches.db")  # nothing is to be done: this version of Optuna has made it
    ...     optuna.get_all_study_names(f"sqlite:///{folder}/searches.db")
    ['svc']
    """
    if not isinstance(storage, str | os.PathLike):
        raise InvalidRequestError(f"storage={storage!r} must be a path or a URL.")
    text = storage.connect() if isinstance(storage, SecretURL) else os.fspath(storage)
    shown = mask(text)
    with in_plain_words(storage):
        url = expand(text) if "://" in text or text.startswith("${") else None
        path = Path(text).expanduser().absolute() if url is None else file_of(url)
        if path is None:
            _upgrade(str(url), engine_options(str(url)))
            return
        must_be_there(path, shown)
        check_database(path, shown, to_read=True)
        with _with_a_plain_name(path) as plain:
            url, _ = sqlite_url(plain)
            _upgrade(url, engine_options(url, sqlite=connection_of(path, shown)))


def _upgrade(url: str, options: dict[str, Any]) -> None:
    from optuna.storages import RDBStorage

    storage = RDBStorage(url, engine_kwargs=options, skip_compatibility_check=True)
    try:
        with _loggers_left_alone():
            storage.upgrade()
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextlib.contextmanager
def _with_a_plain_name(path: Path) -> Iterator[Path]:
    """Yield a path to a file that a URL can hold; who upgrades it knows URLs only."""
    if sqlite_url(path)[1] is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="optuna-search-") as folder:
        plain = Path(folder, "plain.db")
        plain.symlink_to(path)
        yield plain


@contextlib.contextmanager
def _loggers_left_alone() -> Iterator[None]:
    """Keep Optuna's migrations from setting up the logging of a program that has not done so itself."""
    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addHandler(nothing)
    try:
        yield
    finally:
        root.removeHandler(nothing)
