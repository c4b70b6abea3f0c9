"""What estimators warn of: told once for each search, with a count, however many folds said it."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Warnings of one line of code may differ in a number; so many of them are told, and the others counted.
MAX_TEXTS = 5


@dataclass(frozen=True)
class Warned:
    """One distinct warning."""

    category: type[Warning]
    text: str
    filename: str
    lineno: int


@contextlib.contextmanager
def recorded() -> Iterator[Counter[Warned]]:
    """Count what is warned of inside instead of showing it; what a filter ignores or raises, it does here as well.

    Filters belong to the whole process: not for several threads at a time.
    """
    seen: Counter[Warned] = Counter()

    def count(message: Any, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
        seen[Warned(category, str(message), filename, lineno)] += 1

    with warnings.catch_warnings():
        warnings.showwarning = count
        yield seen


def tell(seen: Mapping[Warned, int]) -> None:
    """Warn of everything that was recorded, once each, and say how often it came."""
    by_place: defaultdict[tuple[Any, ...], list[Warned]] = defaultdict(list)
    for one in seen:
        by_place[one.category, one.filename, one.lineno].append(one)
    for (category, filename, lineno), alike in by_place.items():
        for one in alike[:MAX_TEXTS]:
            _warn(category, f"{one.text.rstrip()}{_times(seen[one])}", filename, lineno)
        if others := alike[MAX_TEXTS:]:
            n_times = sum(seen[one] for one in others)
            _warn(category, f"{others[0].text} (and others like it, {n_times} times in this search)", filename, lineno)


def _times(n: int) -> str:
    return "" if n == 1 else f" ({n} times in this search)"


def _warn(category: type[Warning], text: str, filename: str, lineno: int) -> None:
    try:
        message = category(text)
    except TypeError:  # one that is made of something else than a text
        message = UserWarning(f"{category.__name__}: {text}")
    warnings.warn_explicit(message, None, filename, lineno)
