"""What a study can be called, and a parameter in it."""

from __future__ import annotations

from typing import Any

#: Databases keep so many characters.
MAX_LENGTH = 512


def name_complaint(parameter: str, name: Any, of: str = "study") -> str | None:
    """Return the complaint about what was given as the name of a study, or of something else, or None.

    Examples
    --------
    >>> name_complaint("study_name", "")
    "study_name='' is no name for a study: it must not be empty or hold the character NUL."
    """
    if not isinstance(name, str):
        return f"{parameter}={name!r} must be a str, the name of a {of}."
    if not name or "\0" in name:
        return f"{parameter}={name!r} is no name for a {of}: it must not be empty or hold the character NUL."
    if len(name) > MAX_LENGTH:
        return f"{parameter}={name!r} has {len(name)} characters; a database keeps up to {MAX_LENGTH}."
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"{parameter}={name!r} is no name for a {of}: half of a character in it cannot be stored."
    return None
