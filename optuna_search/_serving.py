"""A storage for processes that cannot reach it themselves: Optuna's storage proxy, on this machine by default."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
import warnings
from collections.abc import Iterator
from typing import Any

from optuna_search._compat import no_experimental_warnings
from optuna_search._storage import open_storage
from optuna_search.exceptions import ExposedStorageWarning, InvalidRequestError, StorageError

#: Where Optuna's own proxy listens.
PORT = 13000


def serve(storage: Any, *, host: str = "127.0.0.1", port: int = PORT, expose: bool = False) -> None:
    """Let other processes work on a storage through ``storage="grpc://host:port"``, until this one is stopped.

    Many processes then share a few connections to one database. Whoever reaches the port may read, change and delete
    every study: there is neither authentication nor encryption. So it listens on this machine only.

    Parameters
    ----------
    storage : str, Path, or optuna.storages.BaseStorage
        What is served.
    host : str, default="127.0.0.1"
        The address to listen on.
    port : int, default=13000
        The port; Optuna's own default.
    expose : bool, default=False
        Whether `host` may be one that other machines reach.

    Raises
    ------
    InvalidRequestError
        If other machines would reach it, and nobody said that they may; if the address is none.
    StorageError
        If the storage cannot be opened, or somebody else listens there.
    ImportError
        If grpcio is not installed (``pip install 'optuna-search[grpc]'``).

    Warns
    -----
    ExposedStorageWarning
        If other machines reach it.

    Examples
    --------
    It listens until somebody ends it, and so stands in a script of its own:

    >>> from optuna_search import studies
    >>> if __name__ == "a script of its own":
    ...     studies.serve("searches.db", port=13001)  # and elsewhere: storage="grpc://localhost:13001"
    """
    if complaints := list(_complaints(port, expose)):
        raise InvalidRequestError(complaints)
    if not _is_loopback(host):
        if not expose:
            raise InvalidRequestError(
                f"host={host!r} can be reached from other machines, and a storage proxy has no authentication. "
                "Listen on 127.0.0.1 and use a tunnel, or say expose=True (--expose) if the network is yours alone."
            )
        warnings.warn(
            f"The storage is served on {host}:{port} with no authentication: whoever reaches it may change and delete "
            "every study.",
            ExposedStorageWarning,
            stacklevel=2,
        )
    require_grpc()
    from optuna.storages import run_grpc_proxy_server

    opened = open_storage(storage)
    try:
        with no_experimental_warnings():
            run_grpc_proxy_server(opened, host=in_a_url(host), port=port)
    except RuntimeError as error:
        if "bind" not in str(error):
            raise
        raise StorageError(f"Nothing can listen on {in_a_url(host)}:{port}: choose another port.") from None


def require_grpc() -> None:
    """Refuse to serve without what it takes.

    Raises
    ------
    ImportError
        With the extra that has it.
    """
    if importlib.util.find_spec("grpc") is None:
        raise ImportError("A storage proxy needs grpcio, which is not installed: pip install 'optuna-search[grpc]'.")


def in_a_url(host: str) -> str:
    """Return an address as it is written before a port."""
    return f"[{host}]" if ":" in host else host


def _complaints(port: Any, expose: Any) -> Iterator[str]:
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        yield f"port={port!r} must be a whole number from 1 to 65535."
    if not isinstance(expose, bool):  # nobody who writes expose="no" means yes
        yield f"expose={expose!r} must be True or False."


def _is_loopback(host: Any) -> bool:
    """Whether an address is one that only this machine reaches."""
    try:
        found = {one[4][0] for one in socket.getaddrinfo(host, None)}
    except (OSError, TypeError, UnicodeError):
        raise InvalidRequestError(f"host={host!r} is no address of this machine.") from None
    return all(ipaddress.ip_address(str(one)).is_loopback for one in found)
