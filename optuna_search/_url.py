"""Storage URLs, whose passwords nobody is to see.

A password may be written out or, better, left to an environment variable: ``postgresql://me:${PGPASSWORD}@host/db``.
"""

from __future__ import annotations

import os
import re
from typing import Any

from optuna_search.exceptions import StorageError

# Up to the last @: a password that should have been quoted, and was not, must not be seen either.
_USERINFO = re.compile(r"(?P<head>[a-zA-Z][\w+.\-]*://[^:@/\s]*:)(?P<password>.*)(?=@)")
_QUERY_SECRET = re.compile(r"(?P<head>[?&](?:password|passwd|pwd|sslpassword)=)(?P<password>[^&#\s]*)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_VARIABLES = re.compile(r"(\$\{\w+\})+")
_MASK = "***"


class SecretURL(str):
    """A storage URL that reads with its password masked, however it is shown, stored or pickled.

    Only `connect` knows the password, and only in the process in which it was written. A pickle leaves it
    out: a copy that has been through one cannot connect, and says so.
    """

    _url: str | None

    def __new__(cls, url: str, secret: bool = True) -> SecretURL:
        made = super().__new__(cls, mask(url))
        made._url = url if secret else None
        return made

    def __deepcopy__(self, memo: Any) -> SecretURL:
        return self

    def __copy__(self) -> SecretURL:
        return self

    def __reduce__(self) -> tuple[type, tuple[str, bool]]:
        return type(self), (str(self), False)

    def connect(self) -> str:
        """Return the URL with its password.

        Raises
        ------
        StorageError
            If the password was left out of a pickle.
        """
        if self._url is None:
            raise StorageError(
                f"storage={str(self)!r} has lost its password, which is left out of pickles and so of what is sent "
                "to worker processes. Write it as an environment variable, for instance "
                "storage='postgresql+psycopg://user:${PGPASSWORD}@host/database'; it is read when connecting."
            )
        return self._url


def protect(storage: Any) -> Any:
    """Return a storage URL with its password hidden; anything else as it is."""
    if isinstance(storage, str) and not isinstance(storage, SecretURL) and mask(storage) != storage:
        return SecretURL(storage)
    return storage


class Protected:
    """A `storage` parameter: whatever password is in it is hidden from the moment it is given."""

    def __get__(self, search: Any, owner: type | None = None) -> Any:
        return self if search is None else vars(search).get("storage")

    def __set__(self, search: Any, value: Any) -> None:
        vars(search)["storage"] = protect(value)


def mask(text: str) -> str:
    """Return a text in which every password of a URL is masked; variables stay.

    Examples
    --------
    >>> mask("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    >>> mask("postgresql://me:${PGPASSWORD}@host/db")
    'postgresql://me:${PGPASSWORD}@host/db'
    """

    def hide(found: re.Match[str]) -> str:
        password = found["password"]
        return found.group() if not password or _VARIABLES.fullmatch(password) else found["head"] + _MASK

    return _QUERY_SECRET.sub(hide, _USERINFO.sub(hide, text))


def redact(text: str, url: str) -> str:
    """Return a text, an error's for instance, without the password of a URL and without any piece of it.

    A password that was not quoted as a URL needs it may be torn apart by whoever reads the URL.
    """
    found_ones = [found["password"] for pattern in (_USERINFO, _QUERY_SECRET) for found in pattern.finditer(url)]
    passwords = [password for password in found_ones if not _VARIABLES.fullmatch(password)]
    pieces = {piece for password in passwords for piece in (password, *re.split(r"[^\w.\-]+", password))}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) > 2:
            text = text.replace(piece, _MASK)
    return mask(text)


def expand(url: str) -> str:
    """Return the URL to connect with: every ``${VAR}`` replaced by the environment variable.

    A variable in a user's name or a password may hold any characters; it is quoted as a URL needs it.

    Raises
    ------
    StorageError
        If a variable is not set.
    """
    from urllib.parse import quote

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in os.environ:
            raise StorageError(f"storage={mask(url)!r} asks for the environment variable {name}, which is not set.")
        return os.environ[name]

    def quoted(found: re.Match[str]) -> str:
        return _VARIABLE.sub(lambda variable: quote(value(variable), safe=""), found.group())

    return _VARIABLE.sub(value, _USERINFO.sub(quoted, url))
