"""What estimators warn of: told once for each search, with a count, however many folds said it."""

from __future__ import annotations

import contextlib
import threading
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


class _Listeners(threading.local):
    """Who counts the warnings of a thread, the innermost last."""

    def __init__(self) -> None:
        self.seen: list[Counter[Warned]] = []


_listeners = _Listeners()
_lock = threading.Lock()
#: How many listen, in all threads; and what shows a warning to which none of them listens.
_n_listeners = 0
_show = warnings.showwarning


@contextlib.contextmanager
def recorded() -> Iterator[Counter[Warned]]:
    """Count what this thread warns of inside instead of showing it; what a filter ignores or raises, it still does."""
    seen: Counter[Warned] = Counter()
    _begin_to_listen()
    _listeners.seen.append(seen)
    try:
        # What was said once is heard again: inside of this a filter does not remember. It is for the whole process.
        is_main = threading.current_thread() is threading.main_thread()
        with warnings.catch_warnings() if is_main else contextlib.nullcontext():
            yield seen
    finally:
        _listeners.seen.pop()
        _stop_listening()


def _begin_to_listen() -> None:
    global _n_listeners, _show
    with _lock:
        if not _n_listeners and warnings.showwarning is not _hear:
            _show, warnings.showwarning = warnings.showwarning, _hear
        _n_listeners += 1


def _stop_listening() -> None:
    global _n_listeners
    with _lock:
        _n_listeners -= 1
        if not _n_listeners and warnings.showwarning is _hear:
            warnings.showwarning = _show


def _hear(message: Any, category: type[Warning], filename: str, lineno: int, *to: Any, **kwargs: Any) -> None:
    """Take the place of `warnings.showwarning`."""
    if _listeners.seen:
        _listeners.seen[-1][Warned(category, str(message), filename, lineno)] += 1
    else:
        _show(message, category, filename, lineno, *to, **kwargs)


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
