"""Values as JSON has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def strict(value: Any) -> Any:
    """Return a value as strict JSON has it: null for what is no finite number, dates and objects as texts.

    Examples
    --------
    >>> strict({"score": float("nan"), "folds": (1.0, 2)})
    {'score': None, 'folds': [1.0, 2]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): strict(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [strict(part) for part in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
