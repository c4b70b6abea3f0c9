"""What may be given in the place of a study: a fitted search, a study, or the name of one."""

from __future__ import annotations

from typing import Any

import optuna

from optuna_search._compat import storage_of
from optuna_search._facts import Facts, facts_of
from optuna_search._opening import open_existing
from optuna_search._storage import in_plain_words, open_storage
from optuna_search._store import Store
from optuna_search._tables import shortened
from optuna_search.exceptions import InvalidRequestError


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
    if (complaint := _complaint(given, storage)) is not None:
        raise InvalidRequestError(complaint)
    if isinstance(given, str):
        opened = open_storage(storage, to_read=True)
        with in_plain_words(storage):
            return open_existing(opened, given)
    study = given if isinstance(given, optuna.Study) else given.study_
    with in_plain_words(storage_of(study)):
        return open_existing(storage_of(study), study.study_name)


def facts_given(given: Any, storage: Any) -> Facts:
    """Return what there is to say of the study that somebody means; as `store_given`."""
    store = store_given(given, storage)
    with in_plain_words(store.storage):
        return facts_of(store)


def _complaint(given: Any, storage: Any) -> str | None:
    shown = shortened(repr(given), 80)
    if isinstance(given, str):
        return None if storage is not None else f"{shown} is the name of a study: say where it is, with storage=."
    if not isinstance(given, optuna.Study) and not hasattr(given, "study_"):
        if hasattr(given, "study_name") and hasattr(given, "fit"):
            return f"a search of {type(given.estimator).__name__} is not fitted: call fit() first."
        return f"{shown} is neither a fitted OptunaSearchCV, nor a study, nor the name of one."
    return None if storage is None else "storage is for a study that is given by its name; this one knows where it is."
