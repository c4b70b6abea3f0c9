"""What somebody meant who mistyped a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from optuna_search._tables import shortened

#: Up to this many names are listed where none is close.
MAX_LISTED = 10
#: No name gets longer than this.
MAX_WIDTH = 200


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """Return the question that helps on, or else the list, as a sentence.

    Parameters
    ----------
    given : str
        A name that is not known.
    names : iterable of str
        Those that are.

    Examples
    --------
    >>> did_you_mean("accuracie", ["accuracy", "f1"])
    "Did you mean 'accuracy'?"
    >>> did_you_mean("recall", ["accuracy", "f1"])
    "There are: 'accuracy', 'f1'."
    """
    known = list(names)
    listed = ", ".join(repr(shortened(name, MAX_WIDTH)) for name in known[:MAX_LISTED]) or "none"
    return closest(given, known) or f"There are: {listed}{', …' if len(known) > MAX_LISTED else '.'}"


def closest(given: str, names: Iterable[str]) -> str:
    """Return the question whether the name that is closest was meant; nothing where none is close."""
    close = difflib.get_close_matches(given, list(names), n=1)
    return f"Did you mean {shortened(close[0], MAX_WIDTH)!r}?" if close else ""
