"""Who runs a trial, and whether they still live.

A claim on a trial names its owner: host, process and the time at which that process started. A process of
the same host that is gone, or whose number now belongs to one that started at another time, is dead. What
another host's process does can only be told from whether it renews its claim.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

#: The searches of this process that are at work.
_at_work: set[str] = set()


def claim(search: str | None = None) -> dict[str, Any]:
    """Return what marks a trial as ours.

    Parameters
    ----------
    search : str or None
        Which search of this process it belongs to.
    """
    pid = os.getpid()
    return {"host": _host(), "pid": pid, "started": _started(pid), "search": search, "renewed": 0}


@contextlib.contextmanager
def at_work(search: str) -> Iterator[None]:
    """Say that a search of this process is at work: what it leaves behind has no owner any more."""
    _at_work.add(search)
    try:
        yield
    finally:
        _at_work.discard(search)


def is_alone() -> bool:
    """Whether no more than one search of this process is at work."""
    return len(_at_work) <= 1


def is_claim(other: Any) -> bool:
    """Whether something that a storage gave back reads as a claim; if not, it belongs to nobody."""
    return isinstance(other, Mapping) and type(other.get("pid")) is int and other["pid"] > 0


def is_here(other: Any) -> bool:
    """Whether the owner of a claim is, or was, a process of this host."""
    return is_claim(other) and other.get("host") == _host()


def is_ours(other: Any) -> bool:
    """Whether the owner of a claim is, or was, this process; it knows which of its searches are at work."""
    pid = os.getpid()
    return is_here(other) and other["pid"] == pid and other.get("started") == _started(pid)


def is_dead(other: Any) -> bool:
    """Whether the owner of a claim is known to be gone; of another host's processes nothing is known.

    Parameters
    ----------
    other : object
        A claim as a storage gave it back. What does not read as one belongs to nobody.
    """
    if not is_here(other):
        return False
    if is_ours(other) and isinstance(other.get("search"), str):
        return other["search"] not in _at_work
    started = _started(other["pid"])
    return not _exists(other["pid"]) or (started is not None and started != other.get("started"))


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number, and not only what its parent has not noticed yet."""
    return _exists(pid) and _started(pid) != ""


@cache
def _host() -> str:
    # Two containers may share a name, and not their processes: the boot and the process namespace tell.
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process has a number as large as that
        return False
    except OSError:  # there, and not ours
        return True
    return True


def _started(pid: int) -> str | None:
    """Return when a process started, in ticks since boot: None where the system does not tell, nothing for a zombie."""
    try:
        # The second field is the name in brackets, which may hold anything; the start is the 22nd.
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie has ended and waits for its parent to notice.
    return "" if stat[0] == "Z" else stat[19]
