"""A file beside the storage for the result that could not be written to it, until the next search takes it in."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage

from optuna_search._database import file_of_storage

#: The version of the form of such a file.
FORM = 1


def spill(storage: BaseStorage, study: str, search: str, number: int, end: Mapping[str, Any]) -> Path | None:
    """Write how a trial ended to a file of its own, and return that; None if there is no room for it anywhere.

    Parameters
    ----------
    study : str
        The identity of the study.
    search : str
        What tells the search from all others.
    number : int
        Of the trial.
    end : mapping
        What its end is, as JSON.
    """
    prefix = _beside(storage).name
    for folder in _folders(storage):
        path = folder / f"{prefix}.{study[:12]}-{search[:8]}-{number}.unsaved"
        try:
            path.write_text(json.dumps({"form": FORM, "study": study, "trial": number, **end}))
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            return path
    return None


def spilled(storage: BaseStorage, study: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield what earlier searches could not write to a study: the file, and what is in it."""
    if not study.isalnum():  # none of ours, and not to be part of a pattern
        return
    for folder in _folders(storage):
        for path in _sorted_glob(folder, f"*.{study[:12]}-*.unsaved"):
            with contextlib.suppress(OSError, ValueError, RecursionError):
                end = json.loads(path.read_text())
                if isinstance(end, dict) and (end.get("form"), end.get("study")) == (FORM, study):
                    yield path, end


def _sorted_glob(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder by their names; of one that everybody writes to, those of this user."""
    try:
        is_shared = folder.stat().st_mode & stat.S_ISVTX
        found = sorted(folder.glob(pattern))
        return [path for path in found if not is_shared or path.stat().st_uid == os.getuid()]
    except OSError:
        return []


def _folders(storage: BaseStorage) -> list[Path]:
    """Return where such a file may be: beside the storage, and where there is room for what is in passing."""
    return [_beside(storage).parent, Path(tempfile.gettempdir())]


def _beside(storage: BaseStorage) -> Path:
    """Return the file of a storage; for a server, one in the working directory."""
    return file_of_storage(storage) or Path("optuna-search").absolute()
