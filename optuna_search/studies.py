"""What can be done with kept studies: list, load, copy, rename or move, delete, export, import, compare.

And with the storages they are kept in: save what can be read of a damaged journal, bring the tables of a database up
to date, let others work through a storage proxy.

Wherever a `storage` is asked for, it is what `OptunaSearchCV` takes: a path, a URL, an Optuna storage. A study's
name is a name in its storage and never a path.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import CmaEsSampler
from optuna.storages import BaseStorage

from optuna_search import _copying, _exports, _salvage, _samplers, _studyfile
from optuna_search._compare import Comparison, compare
from optuna_search._compat import quiet_optuna
from optuna_search._damage import readable
from optuna_search._database import rename_in_place, study_names
from optuna_search._header import header_of
from optuna_search._kept import kept_of
from optuna_search._lease import owners, release_the_dead, send_away
from optuna_search._listing import StudyEntry, StudyList, list_of
from optuna_search._names import name_complaint
from optuna_search._opening import must_exist, name_of
from optuna_search._record import RECORD, check_alike
from optuna_search._salvage import Salvage
from optuna_search._serving import serve
from optuna_search._storage import JOURNALS, in_plain_words, open_storage
from optuna_search._store import Store
from optuna_search._tables import shortened
from optuna_search._upgrading import upgrade
from optuna_search.exceptions import InvalidRequestError, StorageError

__all__ = [
    "Comparison",
    "Salvage",
    "StudyEntry",
    "StudyList",
    "compare",
    "copy_study",
    "delete_study",
    "export_study",
    "import_study",
    "list_studies",
    "load_study",
    "rename_study",
    "salvage",
    "serve",
    "upgrade",
]


def __dir__() -> list[str]:
    return __all__


#: Names are told in so many characters, and so many of them.
MAX_NAME, MAX_LISTED = 200, 20
#: Whoever is at work on a study is told in so many characters.
MAX_OWNERS = 200


# --- looking --------------------------------------------------------------------------------------------------------


def list_studies(storage: Any) -> StudyList:
    """List the studies of a storage, also those that optuna_search did not make.

    Parameters
    ----------
    storage : str, Path, or optuna.storages.BaseStorage
        Where they are kept.

    Returns
    -------
    studies : StudyList
        A sequence of `StudyEntry` in the order in which the studies were made. It shows itself as a table.

    Raises
    ------
    StorageError
        If the storage cannot be opened, or is no storage of studies.

    Examples
    --------
    >>> import tempfile
    >>> from optuna_search import OptunaSearchCV, studies
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/searches.db"
    ...     _ = OptunaSearchCV(SVC(), {"C": [1, 10]}, storage=path, study_name="svc").fit(X, y)
    ...     found = studies.list_studies(path)
    >>> [(study.name, study.state, study.n_trials, study.estimator) for study in found]
    [('svc', 'idle', 2, 'SVC()')]
    """
    _refuse([_storage_complaint("storage", storage)])
    opened = open_storage(storage, to_read=True)
    with in_plain_words(storage):
        return list_of(opened)


def load_study(study_name: str, storage: Any, *, sampler: Any = None, pruner: BasePruner | None = None) -> optuna.Study:
    """Return a study as Optuna knows it, on which all its tools work.

    Parameters
    ----------
    study_name : str
        The name of the study; it may be one that optuna_search did not make.
    storage : str, Path, or optuna.storages.BaseStorage
        Where it is kept.
    sampler : str or optuna.samplers.BaseSampler, default=None
        What the study samples with if it is optimised by hand: an Optuna sampler, or the name of one as in
        `OptunaSearchCV`; None for Optuna's own choice. Not CMA-ES: Optuna's sampler unpickles what it finds in the
        study, so whoever can write to the storage could have anything run.
    pruner : optuna.pruners.BasePruner, default=None
        The same for pruning.

    Returns
    -------
    study : optuna.Study
        The study itself, not a copy.

    Raises
    ------
    InvalidRequestError
        If an argument cannot be used.
    StorageError
        If the storage cannot be opened, or there is no such study.

    Examples
    --------
    >>> import optuna
    >>> from optuna_search import studies
    >>> memory = optuna.storages.InMemoryStorage()
    >>> _ = memory.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "svc")
    >>> studies.load_study("svc", memory, sampler="random").sampler
    <optuna.samplers._random.RandomSampler object at ...>
    """
    complaints = [
        name_complaint("study_name", study_name),
        _storage_complaint("storage", storage),
        _samplers.check(sampler),
        _pruner_complaint(pruner),
    ]
    if (isinstance(sampler, str) and sampler == "cmaes") or isinstance(sampler, CmaEsSampler):
        complaints.append(
            f"sampler={sampler!r} unpickles what it finds in a study, and so would run whatever somebody put there; "
            "OptunaSearchCV(sampler='cmaes') keeps all of that in memory."
        )
    if isinstance(sampler, str) and sampler == "grid":
        complaints.append("sampler='grid' is an order of trials in a search, and no sampler of Optuna's.")
    _refuse(complaints)
    opened = _open(study_name, storage)
    with in_plain_words(storage), quiet_optuna():
        if isinstance(sampler, str):
            sampler = _samplers.make(sampler, None, conditional=False, continued=False)
        return optuna.load_study(study_name=study_name, storage=opened, sampler=sampler, pruner=pruner)


# --- changing -------------------------------------------------------------------------------------------------------


def copy_study(study_name: str, new_name: str, storage: Any, *, new_storage: Any = None) -> None:
    """Copy a study under a new name, in its storage or to another one.

    Everything comes along: numbers, dates and attributes of the trials, notes and artifacts that optuna-dashboard
    shows with the study (the files of artifacts stay where they are). The copy is a study of its own: no fork of
    the original is one of the copy. A trial that is in the air fails in the copy, which has no worker. A call that
    was killed is finished by the same call.

    Parameters
    ----------
    study_name : str
        What to copy; it may be a study that optuna_search did not make.
    new_name : str
        The name of the copy.
    storage : str, Path, or optuna.storages.BaseStorage
        Where the study is kept.
    new_storage : str, Path, or optuna.storages.BaseStorage, default=None
        Where the copy goes, a new file for instance; None: to the same storage.

    Raises
    ------
    InvalidRequestError
        If a name cannot be used.
    StorageError
        If there is no such study, there is one of the new name, or a storage cannot be opened.

    Examples
    --------
    >>> import optuna
    >>> from optuna_search import studies
    >>> memory = optuna.storages.InMemoryStorage()
    >>> _ = memory.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "svc")
    >>> studies.copy_study("svc", "svc-before-the-change", memory)
    >>> [study.name for study in studies.list_studies(memory)]
    ['svc', 'svc-before-the-change']
    """
    _refuse(_moving_complaints(study_name, new_name, storage, new_storage))
    source = _open(study_name, storage)
    with in_plain_words(storage):
        original = _copying.snapshot(source, study_name).with_new_identity()
    target = source if new_storage is None else open_storage(new_storage)
    with in_plain_words(storage if new_storage is None else new_storage):
        _copying.write(original, target, new_name)


def rename_study(study_name: str, new_name: str, storage: Any, *, new_storage: Any = None, force: bool = False) -> None:
    """Give a study another name, or move it to another storage.

    It stays the study that it is: numbers, dates and attributes of its trials are kept, so are notes and artifacts
    of optuna-dashboard, and forks of it are forks of it under its new name.

    In a relational database that is one step. Elsewhere, and with `new_storage`, the study is copied, the copy is
    compared with the original, and only then is the original deleted: whenever the call is killed, at least one of
    the two is whole, and the same call again finishes the work. A file is never deleted, even if its last study
    moves away.

    Parameters
    ----------
    study_name : str
        The name that it has.
    new_name : str
        The name that it gets; with `new_storage` it may be the same.
    storage : str, Path, or optuna.storages.BaseStorage
        Where it is kept.
    new_storage : str, Path, or optuna.storages.BaseStorage, default=None
        Where it goes, a new file for instance; None: it stays where it is.
    force : bool, default=False
        Also if some process works on it, or optuna_search did not make it. Where it is copied, what that process
        is at is lost.

    Raises
    ------
    InvalidRequestError
        If a name cannot be used.
    StorageError
        If there is no such study, there is one of the new name, some process works on it, or a storage cannot be
        opened.

    Examples
    --------
    >>> import tempfile
    >>> from optuna_search import OptunaSearchCV, studies
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     old, new = f"{folder}/searches.db", f"{folder}/svc-2026.db"
    ...     _ = OptunaSearchCV(SVC(), {"C": [1, 10]}, storage=old, study_name="svc").fit(X, y)
    ...     studies.rename_study("svc", "svc-2026", storage=old, new_storage=new)
    ...     [study.name for study in studies.list_studies(new)]
    ['svc-2026']
    """
    _refuse([*_moving_complaints(study_name, new_name, storage, new_storage), _force_complaint(force)])
    source = _open_to_change(study_name, storage, force)
    with in_plain_words(storage):
        if new_storage is None and rename_in_place(source, source.get_study_id_from_name(study_name), new_name):
            return
        original = _copying.snapshot(source, study_name)
    target = source if new_storage is None else open_storage(new_storage)
    with in_plain_words(storage if new_storage is None else new_storage):
        copied = _copying.write(original, target, new_name, again=True)
    with in_plain_words(storage):
        _copying.delete_original(original, source, study_name, copied, force=force)


def delete_study(study_name: str, storage: Any, *, force: bool = False) -> None:
    """Delete a study with all its trials, for good.

    Parameters
    ----------
    study_name : str
        What to delete.
    storage : str, Path, or optuna.storages.BaseStorage
        Where it is kept. A journal file does not get smaller, and keeps the lines of what was deleted.
    force : bool, default=False
        Also if some process works on it, or optuna_search did not make it.

    Raises
    ------
    InvalidRequestError
        If the name cannot be used.
    StorageError
        If there is no such study, some process works on it, or the storage cannot be opened.

    Examples
    --------
    >>> import optuna
    >>> from optuna_search import studies
    >>> memory = optuna.storages.InMemoryStorage()
    >>> _ = memory.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "not one of ours")
    >>> studies.delete_study("not one of ours", memory, force=True)
    >>> studies.list_studies(memory)
    no study in this storage
    """
    complaints = [name_complaint("study_name", study_name), _storage_complaint("storage", storage)]
    _refuse([*complaints, _force_complaint(force)])
    source = _open_to_change(study_name, storage, force=force)
    with in_plain_words(storage), quiet_optuna():
        study_id = source.get_study_id_from_name(study_name)
        send_away(source, study_id)
        source.delete_study(study_id)


# --- out and in -----------------------------------------------------------------------------------------------------


def export_study(study_name: str, path: str | os.PathLike[str], storage: Any) -> None:
    """Write a study to a file; the ending says in which form.

    ``.csv``, ``.json`` and ``.parquet`` are tables for other programs, one row a trial: number, state, dates,
    duration in seconds, mean and standard deviation and the single splits of every metric under their names in
    ``cv_results_``, parameters (``param_C``) as numbers or as texts, why a trial failed, and where it was measured
    if it came from another study. JSON is strict, with null for what is no finite number. In CSV a text that a
    spreadsheet would run has a ``'`` before it. They replace an older export at one stroke.

    ``.study``, ``.journal`` and ``.db`` hold the study itself, for `import_study` and for every tool of Optuna's:
    the first two are Optuna's journal, the last is SQLite. They never overwrite a file. A trial that is in the air
    fails in them.

    Parameters
    ----------
    study_name : str
        What to export; it may be a study that optuna_search did not make.
    path : str or Path
        The file.
    storage : str, Path, or optuna.storages.BaseStorage
        Where the study is kept; nothing is written to it.

    Raises
    ------
    InvalidRequestError
        If there is no form of this ending, or the name cannot be used.
    StorageError
        If there is no such study, the storage cannot be opened, or the file cannot be written.
    ImportError
        If ``.parquet`` is asked for, and pandas or pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from optuna_search import OptunaSearchCV, studies
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/searches.db"
    ...     _ = OptunaSearchCV(SVC(), {"C": [1, 10]}, storage=path, study_name="svc").fit(X, y)
    ...     studies.export_study("svc", f"{folder}/svc.csv", path)
    ...     Path(folder, "svc.csv").read_text()[:24]
    'trial_number,trial_state'
    """
    endings = (*_exports.WRITERS, *_studyfile.ENDINGS)
    complaints = [_path_complaint(path, endings), name_complaint("study_name", study_name)]
    _refuse([*complaints, _storage_complaint("storage", storage)])
    place = Path(path).expanduser()
    if place.suffix == ".parquet":
        _exports.need_parquet()
    source = _open(study_name, storage)
    if place.suffix in _exports.WRITERS:
        with in_plain_words(storage):
            rows = _exports.rows_of(Store(source, study_name))
        with _studyfile.new_file(place, replace=True) as beside:
            _exports.WRITERS[place.suffix](rows, beside)
        return
    with in_plain_words(storage):
        original = _copying.snapshot(source, study_name)
    with (
        _studyfile.new_file(place, replace=False) as beside,
        _studyfile.opened_to_write(beside) as target,
        readable(f"study {study_name!r}"),
    ):
        _copying.write(original, target, study_name)


def import_study(path: str | os.PathLike[str], storage: Any, *, study_name: str | None = None) -> str:
    """Copy the study of a file that `export_study` wrote into a storage.

    It stays the study that it was, so that its forks know it; only where the storage has that study already, it
    becomes one of its own. A call that was killed is finished by the same call.

    Parameters
    ----------
    path : str or Path
        A ``.study``, ``.journal`` or ``.db`` file. It is only read, and nothing in it is ever unpickled or run.
    storage : str, Path, or optuna.storages.BaseStorage
        Where the study goes; a file is made if there is none.
    study_name : str, default=None
        The name that it gets; None for its own. Of a file with several studies, the one to import.

    Returns
    -------
    study_name : str
        The name of the study in the storage.

    Raises
    ------
    InvalidRequestError
        If the path has another ending, or the name cannot be used.
    StorageError
        If the file is no study file, cut off, damaged or of a newer version, or holds several studies or one that
        optuna_search did not make; if there is a study of that name, or the storage cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> from optuna_search import OptunaSearchCV, studies
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     here, there = f"{folder}/here.db", f"{folder}/there.db"
    ...     _ = OptunaSearchCV(SVC(), {"C": [1, 10]}, storage=here, study_name="svc").fit(X, y)
    ...     studies.export_study("svc", f"{folder}/svc.study", here)
    ...     studies.import_study(f"{folder}/svc.study", there, study_name="svc-of-bob")
    'svc-of-bob'
    """
    complaints = [_path_complaint(path, _studyfile.ENDINGS), _storage_complaint("storage", storage)]
    _refuse([*complaints, None if study_name is None else name_complaint("study_name", study_name)])
    place = Path(path).expanduser()
    with _studyfile.opened_to_read(place) as file:
        own_name = _the_one(study_names(file), study_name)
        original = _copying.snapshot(file, own_name)
        if RECORD not in original.user_attrs:
            raise StorageError(
                f"the study {own_name!r} in it is cut off, or optuna_search did not make it; copy_study copies any."
            )
        header = header_of(own_name, original.user_attrs, original.directions)
        check_alike({kept.trial.number: kept.record for kept in kept_of(original.trials)}, header)
        if study_name is None and (complaint := name_complaint("its name", own_name)):
            raise StorageError(f"{complaint} Give another one, as study_name.")
    name = own_name if study_name is None else study_name
    target = open_storage(storage)
    with in_plain_words(storage):
        _copying.write(_distinct(original, target, name), target, name)
    return name


def _the_one(names: list[str], wanted: str | None) -> str:
    if len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    if not names:
        raise StorageError("there is no study in it.")
    listed = ", ".join(repr(shortened(name, MAX_NAME)) for name in names[:MAX_LISTED])
    more = ", …" if len(names) > MAX_LISTED else ""
    raise StorageError(f"there are {len(names)} studies in it; say by study_name which: {listed}{more}.")


def _distinct(original: _copying.Snapshot, target: BaseStorage, name: str) -> _copying.Snapshot:
    """Return a study with another identity if the storage has one of its identity under another name."""
    there = name_of(target, original.user_attrs[RECORD].get("id"))
    return original if there in (None, name) else original.with_new_identity()


# --- mending ----------------------------------------------------------------------------------------------------------


def salvage(path: Any, new_path: Any) -> Salvage:
    """Save what can be read of a journal file that is damaged.

    Every trial whose lines are whole comes over with its results; a place is kept for those of which it is known that
    they were there. The old file is not changed.

    Parameters
    ----------
    path : str or Path
        The damaged file.
    new_path : str or Path
        A new file; its name ends in ``.journal``, or in ``.study``.

    Returns
    -------
    salvage : Salvage
        ``lines`` that were saved, the numbers of those that are ``damaged``, and how many ``trials_lost``.

    Raises
    ------
    InvalidRequestError
        If a path is none.
    StorageError
        If the old file is not there, or the new one is or cannot be written; or if what is left makes no study.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from optuna_search import OptunaSearchCV, studies
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     damaged, saved = Path(folder, "searches.journal"), Path(folder, "saved.journal")
    ...     search = OptunaSearchCV(SVC(), {"C": [1, 10]}, storage=damaged, study_name="svc").fit(X, y)
    ...     lines = damaged.read_bytes().splitlines(keepends=True)
    ...     _ = damaged.write_bytes(b"".join([*lines[:-1], b"no line at all", lines[-1]]))
    ...     print(studies.salvage(damaged, saved))
    ...     print([entry.name for entry in studies.list_studies(saved)])
    Salvage(lines=..., damaged=(...,), trials_lost=0)
    ['svc']
    """
    _refuse([_path_complaint(path, JOURNALS), _path_complaint(new_path, JOURNALS, "new_path")])
    new = Path(new_path).expanduser()
    with in_plain_words(new_path):
        return _salvage.salvage(Path(path).expanduser(), new)


# --- what was asked -------------------------------------------------------------------------------------------------


def _refuse(complaints: Iterable[str | None]) -> None:
    found = [complaint for complaint in complaints if complaint is not None]
    if found:
        raise InvalidRequestError(found)


def _pruner_complaint(pruner: Any) -> str | None:
    if pruner is None or isinstance(pruner, BasePruner):
        return None
    hint = " Give an instance, not the class." if isinstance(pruner, type) else ""
    return f"pruner={pruner!r} must be an Optuna pruner, or None.{hint}"


def _storage_complaint(parameter: str, storage: Any) -> str | None:
    if storage is None or isinstance(storage, str | os.PathLike | BaseStorage):
        return None
    return f"{parameter}={storage!r} must be a path, a URL, an Optuna storage, or None."


def _force_complaint(force: Any) -> str | None:
    return None if isinstance(force, bool) else f"force={force!r} must be True or False."


def _moving_complaints(study_name: Any, new_name: Any, storage: Any, new_storage: Any) -> list[str | None]:
    complaints = [name_complaint("study_name", study_name), name_complaint("new_name", new_name)]
    if new_storage is None and not any(complaints) and study_name == new_name:
        complaints.append(f"new_name={new_name!r} is the name that the study has already.")
    return [*complaints, _storage_complaint("storage", storage), _storage_complaint("new_storage", new_storage)]


def _path_complaint(path: Any, endings: tuple[str, ...], parameter: str = "path") -> str | None:
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        return f"{parameter}={path!r} must be a path."
    if Path(path).suffix not in endings or "\0" in str(path):
        return f"{parameter}={str(path)!r} must end in one of {', '.join(endings)}."
    return None


def _open(study_name: str, storage: Any) -> BaseStorage:
    """Open the storage of a study that must be there."""
    opened = open_storage(storage, to_read=True)
    with in_plain_words(storage):
        must_exist(opened, study_name)
    return opened


def _open_to_change(study_name: str, storage: Any, force: bool) -> BaseStorage:
    """Open the storage of a study that is about to go, or to get another name, if nobody works on it."""
    opened = open_storage(storage, to_read=True)
    with in_plain_words(storage):
        must_exist(opened, study_name)
        store = Store(opened, study_name)
        if not force:
            _check_ours(study_name, store)
        release_the_dead(store)
        if not force:
            _check_idle(study_name, store)
    return opened


def _check_ours(study_name: str, store: Store) -> None:
    if RECORD not in store.study.user_attrs:
        raise StorageError(
            f"study_name={study_name!r} is a study that optuna_search did not make, or did not finish to copy; with "
            "force it is done all the same."
        )
    store.header()


def _check_idle(study_name: str, store: Store) -> None:
    system_attrs = store.storage.get_study_system_attrs(store.study_id)
    if at_work := owners(store.trials(), store.study.user_attrs, system_attrs):
        by_whom = shortened(", ".join(at_work), MAX_OWNERS)
        raise StorageError(
            f"study_name={study_name!r} is being worked on by {by_whom}. Wait until the search has ended, "
            "or stop it; with force it is done all the same, and what is being fitted now may be lost."
        )
