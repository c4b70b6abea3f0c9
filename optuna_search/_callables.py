"""What the user gives to be called."""

from __future__ import annotations

import inspect
from typing import Any


def takes(function: Any, n_arguments: int) -> bool:
    """Whether a function can be called with so many arguments, as far as it tells.

    Examples
    --------
    >>> takes(pow, 2), takes(print, 2), takes(lambda study: None, 2)
    (True, True, False)
    """
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # some that are written in C have none
        return True
    try:
        signature.bind(*[None] * n_arguments)
    except TypeError:
        return False
    return True
