"""A storage that fails on purpose: at the k-th call it is late, raises, or raises although the call took effect.

    storage = FaultyStorage(InMemoryStorage(), Fault(at=3, kind="raise after", calls=("set_trial_state_values",)))

It stands before any storage of Optuna's; a database behind it keeps its cache, as it has in a search. By default the
library sees that there is a database (`_compat.relational` finds it by the attribute ``_backend``) and treats it like
any other, so that what it asks in SQL of its own goes past the faults: which studies there are, and whether one in an
SQLite file was deleted. With ``relational=False`` the database is hidden, and everything comes through here. A storage
in memory is to the library one that other processes can see, and so has leases.
"""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, get_storage

#: The calls by which anything is written, and those that only read. What needs no storage is in neither.
WRITES = tuple(name for name in dir(BaseStorage) if name.startswith(("create_", "delete_", "set_")))
READS = tuple(name for name in dir(BaseStorage) if name.startswith("get_"))
KINDS = ("raise", "raise after", "delay", "do")


# --- what is raised ---------------------------------------------------------------------------------------------------


def _as_optuna_says_it(driver_error: Exception) -> Exception:
    """An error of a database driver as it comes out of Optuna: as a guess, with the truth among its causes."""
    database_error = sqlalchemy.exc.OperationalError("UPDATE trials SET state=?", {}, driver_error)
    database_error.__cause__ = driver_error
    error = StorageInternalError(
        "An exception is raised during the commit. This typically happens due to invalid data in the commit, "
        "e.g. exceeding max length. "
    )
    error.__cause__ = database_error
    return error


def connection_lost() -> Exception:
    """The server went away, as PostgreSQL's driver says it."""
    import psycopg

    return _as_optuna_says_it(psycopg.OperationalError("consuming input failed: server closed the connection"))


def locked() -> Exception:
    """Another process has an SQLite file, and kept it for longer than was waited."""
    return _as_optuna_says_it(sqlite3.OperationalError("database is locked"))


def disk_full() -> Exception:
    """There is no room for an SQLite file to grow."""
    return _as_optuna_says_it(sqlite3.OperationalError("database or disk is full"))


def no_space() -> Exception:
    """There is no room for a journal to grow."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def unavailable() -> Exception:
    """Nobody answers for a gRPC server."""
    import grpc

    class Unavailable(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNAVAILABLE

        def details(self) -> str:
            return "failed to connect to all addresses"

    return Unavailable()


# --- what goes wrong, and when ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which calls."""

    #: The first call that it meets: its number among `calls`, from 1 on, since the fault was planned.
    at: int = 1
    #: "raise": the call does not reach the storage. "raise after": it takes effect, and its reply is lost.
    #: "delay": it takes `seconds` longer. "do": `action` is called right before it.
    kind: str = "raise"
    #: What is raised: an exception, or what makes one each time.
    error: BaseException | Callable[[], BaseException] = connection_lost
    #: Which calls count, and may be met.
    calls: Sequence[str] = WRITES
    #: How many calls in a row it meets; `math.inf` is all from then on.
    times: float = 1
    seconds: float = 0.0
    action: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        assert self.kind in KINDS, f"kind={self.kind!r} is none of {KINDS}"
        assert not isinstance(self.calls, str), "calls is a sequence of names"
        assert {*self.calls} <= {*WRITES, *READS}, f"calls={self.calls!r} are not all calls of a storage"
        assert self.kind != "do" or self.action is not None, "kind='do' needs an action"

    def meets(self, number: int) -> bool:
        """Whether it meets the call of this number."""
        return self.at <= number < self.at + self.times

    def made(self) -> BaseException:
        """Make the error."""
        return self.error if isinstance(self.error, BaseException) else self.error()


@dataclass(frozen=True)
class Call:
    """A call that has ended."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    #: What it met.
    faults: tuple[Fault, ...]
    #: Whether the storage has done what it was asked for.
    took_effect: bool


# --- the storage ------------------------------------------------------------------------------------------------------


def _through(name: str) -> Callable[..., Any]:
    def call(self: "FaultyStorage", *args: Any, **kwargs: Any) -> Any:
        return self._pass_on(name, args, kwargs)

    call.__name__ = name
    return call


_Through = type("_Through", (BaseStorage,), {name: _through(name) for name in (*WRITES, *READS)})


class FaultyStorage(_Through):
    """Stands before a storage, with faults. What it was asked is in `calls`, in the order in which the calls ended."""

    def __init__(self, inner: BaseStorage, *faults: Fault, relational: bool = True) -> None:
        self._inner = get_storage(inner)
        self._shows_database = relational
        self._lock = threading.Lock()
        self.calls: list[Call] = []
        self.plan(*faults)

    def plan(self, *faults: Fault) -> None:
        """Plan these faults in place of all others, and count the calls anew; `calls` stays."""
        with self._lock:
            self._counts = [(fault, [0]) for fault in faults]

    def met(self, name: str | None = None) -> list[Call]:
        """Return the calls (of a name) that met a fault: a test of a fault that never came would show nothing."""
        return [call for call in self.calls if call.faults and name in (None, call.name)]

    def names(self, among: Sequence[str] = WRITES) -> list[str]:
        """Return the names of the calls so far that are among some."""
        return [call.name for call in self.calls if call.name in among]

    def _pass_on(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        faults, took_effect = self._due(name), False
        try:
            for fault in faults:
                _before(fault)
            result = getattr(self._inner, name)(*args, **kwargs)
            took_effect = True
            for fault in faults:
                _after(fault)
            return result
        finally:
            self.calls.append(Call(name, args, kwargs, faults, took_effect))

    def _due(self, name: str) -> tuple[Fault, ...]:
        """Count a call, and return what it meets."""
        with self._lock:
            concerned = [(fault, count) for fault, count in self._counts if name in fault.calls]
            for _, count in concerned:
                count[0] += 1
            return tuple(fault for fault, count in concerned if fault.meets(count[0]))

    def check_trial_is_updatable(self, *args: Any) -> None:
        self._inner.check_trial_is_updatable(*args)

    def remove_session(self) -> None:
        self._inner.remove_session()

    def __getattr__(self, name: str) -> Any:
        """Return what only the inner storage has; the database behind that is private, and may be hidden."""
        if name in ("_inner", "_shows_database") or (name.startswith("_") and not self._shows_database):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __deepcopy__(self, _: Any) -> "FaultyStorage":
        """Return itself: the clone of a search works on the same storage, and is heard too."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())


def _before(fault: Fault) -> None:
    if fault.kind == "raise":
        raise fault.made()
    if fault.kind == "delay":
        time.sleep(fault.seconds)
    if fault.kind == "do" and fault.action is not None:
        fault.action()


def _after(fault: Fault) -> None:
    if fault.kind == "raise after":
        raise fault.made()
