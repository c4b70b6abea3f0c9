"""What may be given in the place of a study: a fitted search, a study, or the name of one."""

from __future__ import annotations

from typing import Any

import optuna

from optuna_search._compat import storage_of
from optuna_search._opening import open_existing
from optuna_search._storage import in_plain_words, open_storage
from optuna_search._store import Store
from optuna_search._tables import shortened
from optuna_search.exceptions import InvalidRequestError

#: What is no study is told in so many characters.
MAX_SHOWN = 80


def store_given(given: Any, storage: Any) -> Store:
    """Open the study that somebody means.

    Parameters
    ----------
    given : OptunaSearchCV, optuna.Study, or str
        A fitted search, a study that optuna_search made, or the name of one in `storage`.
    storage : str, Path, optuna.storages.BaseStorage, or None
        Where a study is that is given by its name.

    Raises
    ------
    InvalidRequestError
        If it is none of them.
    StorageError
        If there is no such study, or it is none of ours.
    """
    if (complaint := complaint_about(given, storage)) is not None:
        raise InvalidRequestError(complaint)
    if isinstance(given, str):
        opened = open_storage(storage, to_read=True)
        with in_plain_words(storage):
            return open_existing(opened, given)
    if storage is not None:
        raise InvalidRequestError("storage is for a study that is given by its name; this one knows where it is.")
    study = given if isinstance(given, optuna.Study) else given.study_
    with in_plain_words(storage_of(study)):
        return open_existing(storage_of(study), study.study_name)


def complaint_about(given: Any, storage: Any) -> str | None:
    """Return why something stands for no study; None if it does."""
    shown = shortened(repr(given), MAX_SHOWN)
    if isinstance(given, str):
        return None if storage is not None else f"{shown} is the name of a study: say where it is, with storage=."
    if isinstance(given, optuna.Study) or hasattr(given, "study_"):
        return None
    if hasattr(given, "study_name") and hasattr(given, "fit"):
        return f"a search of {type(given.estimator).__name__} is not fitted: call fit() first, or give a study's name."
    return f"{shown} is neither a fitted OptunaSearchCV, nor a study, nor the name of one."
