"""The errors and warnings of this library.

::

    OptunaSearchError
    ├── InvalidRequestError (ValueError, TypeError)    a parameter or an input that cannot be used
    │   └── SpaceError                                 the same, about the space that is to be searched
    ├── StudyMismatchError (ValueError)                the study was measured on something else
    ├── NoResultError (ValueError)                     the search ended without one finished trial
    ├── WorkerError (RuntimeError)                     a fit did not come back
    └── StorageError (RuntimeError)                    the storage cannot be opened, read or written

    OptunaSearchWarning (UserWarning)
    ├── VersionWarning                                 other versions measured the earlier trials
    ├── ForeignTrialsWarning                           trials in the study that we did not make
    ├── LateResultWarning                              a result came after its trial had been given up
    ├── NetworkFileSystemWarning                       an SQLite file where its locks cannot be relied on
    ├── ExposedStorageWarning                          a storage proxy can be reached from other machines
    └── TornJournalWarning                             half a line at the end of a journal file was put aside
"""

from __future__ import annotations

from collections.abc import Sequence

from optuna_search._compat import InvalidParameterError
from optuna_search._tables import printable_lines

__all__ = [
    "ExposedStorageWarning",
    "ForeignTrialsWarning",
    "InvalidRequestError",
    "LateResultWarning",
    "NetworkFileSystemWarning",
    "NoResultError",
    "OptunaSearchError",
    "OptunaSearchWarning",
    "SpaceError",
    "StorageError",
    "StudyMismatchError",
    "TornJournalWarning",
    "VersionWarning",
    "WorkerError",
]


class OptunaSearchError(Exception):
    """Base class of every error that this library raises on its own account.

    Whatever a message quotes, what somebody wrote into a storage for instance, it does not steer a terminal.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable_lines(message))


class InvalidRequestError(OptunaSearchError, InvalidParameterError):
    """Something that was asked for cannot be used.

    It is what scikit-learn raises for a parameter that cannot be used, and so a ``ValueError`` and a
    ``TypeError``: code written for scikit-learn's search classes keeps working.

    Parameters
    ----------
    complaints : sequence of str
        Every complaint there is, one sentence each. They are raised together, so that nobody has to
        mend a call one message at a time.

    Attributes
    ----------
    complaints : tuple of str
        The single complaints.
    """

    def __init__(self, complaints: Sequence[str] | str) -> None:
        self.complaints = (complaints,) if isinstance(complaints, str) else tuple(complaints)
        if len(self.complaints) == 1:
            text = self.complaints[0]
        else:
            lines = "\n".join(f"  {number}. {complaint}" for number, complaint in enumerate(self.complaints, 1))
            text = f"{len(self.complaints)} things cannot be used as given:\n{lines}"
        super().__init__(text)

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.complaints,)


class SpaceError(InvalidRequestError):
    """The space to be searched cannot be used as given."""


class StudyMismatchError(OptunaSearchError, ValueError):
    """A study of this name exists, and its scores were measured on something else.

    Attributes
    ----------
    differences : tuple of str
        One line for each thing that differs: what the study has, what was given.
    """

    def __init__(self, message: str, differences: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)

    def __reduce__(self) -> tuple[type, tuple[str, tuple[str, ...]]]:
        return type(self), (str(self), self.differences)


class NoResultError(OptunaSearchError, ValueError):
    """The search ended without a single finished trial."""


class WorkerError(OptunaSearchError, RuntimeError):
    """A fit did not come back: its process died, or it took longer than `fit_timeout`.

    With ``error_score="raise"``, for which it also stands in the place of an exception that cannot be pickled;
    otherwise the fold has failed, and the search goes on. Whatever `error_score` is, it says that no process to fit in
    began within two minutes.
    """


class StorageError(OptunaSearchError, RuntimeError):
    """The storage cannot be opened, read or written.

    A storage that is away is waited for, a minute at most. Raised in the middle of a search, which then has its results
    (``cv_results_``, ``top_n_``, ``best_params_``, ``study_`` in memory); what could not be written is in a file that
    the next search takes in, and the message names it.
    """


class OptunaSearchWarning(UserWarning):
    """Base class of every warning that this library gives on its own account; none steers a terminal."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable_lines(message))


class VersionWarning(OptunaSearchWarning):
    """Earlier trials of a study were measured with other versions of a package."""


class ForeignTrialsWarning(OptunaSearchWarning):
    """A study holds trials that this library did not make; they are ignored."""


class LateResultWarning(OptunaSearchWarning):
    """A trial ended after another process had taken its owner for dead, and its result was no longer needed."""


class TornJournalWarning(OptunaSearchWarning):
    """Half a line stood at the end of a journal file and was put aside: somebody was stopped while writing it."""


class ExposedStorageWarning(OptunaSearchWarning):
    """A storage proxy, which knows no authentication, can be reached from other machines."""


class NetworkFileSystemWarning(OptunaSearchWarning):
    """An SQLite file is on a network file system, where its locks cannot be relied on."""
