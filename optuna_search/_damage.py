"""What somebody else wrote into a storage, or a fault of a disk, told from what goes wrong in reading it.

A storage is not to be trusted: others write to it, too. What it gives is read as JSON, checked, and never run; what
does not hold together is one error with a clear word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from optuna_search._compat import is_of_storage
from optuna_search._tables import shortened
from optuna_search.exceptions import OptunaSearchError, StorageError

#: So it ends, in Optuna or here, when something is read that neither of the two wrote.
DAMAGE = (ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError, RecursionError)
#: A reason gets no longer than this in a message.
MAX_REASON = 200


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Say of what cannot be read that it is damaged.

    Raises
    ------
    StorageError
        For whatever Optuna or Python have to say of it.
    """
    try:
        yield
    except OptunaSearchError:
        raise
    except Exception as error:
        if not is_damage(error):
            raise
        raise damaged(what, error) from error


def is_damage(error: Exception) -> bool:
    """Whether an error says that something was read that should not be there, and not that a storage is away."""
    cause = innermost(error)
    # A database also says that rows belong to nothing, and that a text is none.
    of_rows = type(cause).__name__ == "IntegrityError" or str(cause).startswith("Could not decode")
    return of_rows or (isinstance(cause, DAMAGE) and not is_of_storage(cause))


def innermost(error: BaseException) -> BaseException:
    """Return what an error began with."""
    while (inner := error.__cause__ or getattr(error, "orig", None)) is not None and inner is not error:
        error = inner
    return error


def damaged(what: str, error: BaseException) -> StorageError:
    """Return the error about something that does not hold together."""
    cause = innermost(error)
    reason = shortened(str(cause).partition("\n")[0], MAX_REASON)
    return StorageError(
        f"{what} cannot be read: it is damaged, or was changed by something else than optuna_search "
        f"({type(cause).__name__}: {reason})."
    )
