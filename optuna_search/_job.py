"""What a worker process of the command line gets to do: load the user's function, fit the search it returns.

The order comes as JSON on standard input, where nobody sees a password in it, and what went wrong goes to a
file: standard output and standard error belong to the user's own code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from optuna_search._hints import did_you_mean
from optuna_search._search import OptunaSearchCV
from optuna_search.exceptions import InvalidRequestError, OptunaSearchError

_PACKAGE = str(Path(__file__).parent) + os.sep


@dataclass(frozen=True)
class Job:
    """What one worker is to do."""

    #: FILE_OR_MODULE:FUNCTION.
    target: str
    study_name: str
    #: The file that gets what went wrong.
    report: str
    #: Where the study is kept, if not where the search says.
    storage: str | None = None


@dataclass(frozen=True)
class Fault:
    """An error as a person gets to see it."""

    type: str
    message: str
    #: From the first line of the user's code on; empty where that is of no help.
    traceback: str = ""


class UserCodeError(Exception):
    """The user's own code raised something."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


# --- the user's function ----------------------------------------------------------------------------------------------


def load(target: str) -> tuple[OptunaSearchCV, Any, Any]:
    """Call the user's function, and return the search, X and y.

    Parameters
    ----------
    target : str
        ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``. A file is imported as the module of its name, with its
        folder on the path, so that worker processes of joblib find it as well.

    Raises
    ------
    InvalidRequestError
        If there is no such function, or it does not return a search and data.
    UserCodeError
        If the user's code raises something.
    """
    place, colon, name = target.rpartition(":")
    if not (colon and place and name):
        raise InvalidRequestError(f"{target!r} must be FILE_OR_MODULE:FUNCTION, as in search.py:make.")
    with _told_as(f"importing {place}"):
        module = _file(place) if place.endswith(".py") else _module(place)
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise InvalidRequestError(f"{place} has no function {name!r}. {did_you_mean(name, known)}")
    with _told_as(target):
        made = function()
    return _checked(made, target)


def _checked(made: Any, target: str) -> tuple[OptunaSearchCV, Any, Any]:
    parts = made if isinstance(made, tuple) else (made,)
    if len(parts) not in (2, 3) or not isinstance(parts[0], OptunaSearchCV):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise InvalidRequestError(f"{target} must return (search, X, y) with an OptunaSearchCV; it returned ({kinds}).")
    search, X, *y = parts
    return search, X, y[0] if y else None


def _file(path: str) -> ModuleType:
    file = Path(path).absolute()
    if not file.is_file():
        raise InvalidRequestError(f"there is no file {path}.")
    sys.path.insert(0, str(file.parent))
    module = importlib.import_module(file.stem)
    found = getattr(module, "__file__", None)
    if found is None or not os.path.samefile(found, file):
        raise InvalidRequestError(f"{path} has the name of another module ({found or file.stem}); rename the file.")
    return module


def _module(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that the user's own module misses is another matter.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise InvalidRequestError(f"there is no module {error.name!r}, and a file ends in .py.") from error
        raise


@contextlib.contextmanager
def _told_as(what: str) -> Iterator[None]:
    """Tell what the user's code raises from what we have to say."""
    try:
        yield
    except OptunaSearchError:
        raise
    except (Exception, SystemExit) as error:
        fault = fault_of(error)
        raise UserCodeError(Fault(fault.type, f"{what} raised {fault.type}: {error}", fault.traceback)) from error


def fault_of(error: BaseException) -> Fault:
    """Return an error as a person gets to see it."""
    if isinstance(error, UserCodeError):
        return error.fault
    message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    if not isinstance(error, OptunaSearchError):
        message = f"{type(error).__name__}: {message}"
    within = _past_ours(error.__traceback__)
    told = within is None or isinstance(error, OptunaSearchError) or "Traceback (most recent call last)" in message
    lines = [] if told else traceback.format_exception(type(error), error, within)
    return Fault(type(error).__name__, message, "".join(lines))


def _past_ours(frames: TracebackType | None) -> TracebackType | None:
    """Return what comes after the last frame of this library, or of the machinery of imports."""
    rest = frames
    while frames is not None:
        name = frames.tb_frame.f_code.co_filename
        frames = frames.tb_next
        if name.startswith((_PACKAGE, "<frozen importlib")) or name == importlib.__file__:
            rest = frames
    return rest


# --- the worker -------------------------------------------------------------------------------------------------------


def work() -> int:
    """Do the job that comes on standard input, and return the exit code."""
    job = Job(**json.load(sys.stdin))
    try:
        search, X, y = load(job.target)
        prepared(search, job).fit(X, y)
    except KeyboardInterrupt:
        return 130
    except (Exception, SystemExit) as error:
        Path(job.report).write_text(json.dumps(asdict(fault_of(error))))
        return 1
    return 0


def prepared(search: OptunaSearchCV, job: Job) -> OptunaSearchCV:
    """Return the search as a worker fits it: in the one study, in silence, and without a model in the end."""
    changes: dict[str, Any] = {"study_name": job.study_name, "refit": False, "verbose": 0}
    if job.storage is not None:
        changes["storage"] = job.storage
    if isinstance(search.refit, str) and not search.objectives and _has_several_metrics(search.scoring):
        changes["objectives"] = [search.refit]  # it says which metric is pursued, too
    return search.set_params(**changes)


def _has_several_metrics(scoring: Any) -> bool:
    return isinstance(scoring, Mapping | list | tuple | set) or callable(scoring)
