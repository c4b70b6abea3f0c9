"""What refers to a trial by the id that its storage gave it, which is another one in a copy.

optuna-dashboard keeps the notes of trials, and older versions of it their artifacts, in attributes of the study
whose names hold the id (``dashboard:7:note_str:0``), and its notes link to artifacts by ids
(``/artifacts/1/7/<artifact>``). Optuna's genetic samplers keep the ids of parents. Everything else goes by numbers
or by names of its own: notes of the study, artifacts of `optuna.artifacts`, preferences, figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: The name of an attribute that holds the id of a trial.
_NAMED = re.compile(r"(?P<head>dashboard:|dashboard:artifacts:|preference:skip_trial:)(?P<id>\d+)(?P<tail>:.*|)")
#: The name of an attribute whose value is a list of ids.
_LISTED = re.compile(r"\w+:parent:\d+")
#: A part of a note, of a study or a trial: optuna-dashboard cuts them into pieces.
_NOTE = re.compile(r"(?P<note>dashboard:(?:\d+:)?note_str:)(?P<part>\d+)")
_NOTE_LENGTH = 2045
_LINK = re.compile(r"/artifacts/(?P<study>\d+)/(?:(?P<trial>\d+)/)?(?P<artifact>[0-9a-fA-F]{8}-[0-9a-fA-F-]{27})")


@dataclass(frozen=True)
class Ids:
    """What a study and its trials are known by in one storage and in another."""

    study: tuple[int, int]
    trials: Mapping[int, int]


def translated(attrs: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """Return the system attributes of a study as they read in its copy."""
    named = {_name(key, ids): _value(key, value, ids) for key, value in attrs.items()}
    return _relinked({key: value for key, value in named.items() if key is not None}, ids)


def _name(key: str, ids: Ids) -> str | None:
    """Return the name in the copy; None for what refers to no trial of the study and would to one of the copy."""
    found = _NAMED.fullmatch(key)
    if found is None:
        return key
    old = int(found["id"])
    if old in ids.trials:
        return f"{found['head']}{ids.trials[old]}{found['tail']}"
    return None if old in ids.trials.values() else key


def _value(key: str, value: Any, ids: Ids) -> Any:
    if _LISTED.fullmatch(key) and isinstance(value, Sequence) and not isinstance(value, str):
        return [ids.trials.get(one, one) if isinstance(one, int) else one for one in value]
    return value


def _relinked(attrs: dict[str, Any], ids: Ids) -> dict[str, Any]:
    """Return the attributes with the links in notes leading to the copy's artifacts."""
    notes: dict[str, dict[int, str]] = {}
    for key, value in attrs.items():
        if (found := _NOTE.fullmatch(key)) and isinstance(value, str):
            notes.setdefault(found["note"], {})[int(found["part"])] = value
    for note, parts in notes.items():
        body = "".join(parts[part] for part in sorted(parts))
        linked = _LINK.sub(lambda link: _link(link, ids), body)
        if linked != body:
            attrs = {key: value for key, value in attrs.items() if not key.startswith(note)}
            pieces = range(0, len(linked), _NOTE_LENGTH)
            attrs |= {f"{note}{i}": linked[start : start + _NOTE_LENGTH] for i, start in enumerate(pieces)}
    return attrs


def _link(link: re.Match[str], ids: Ids) -> str:
    old, new = ids.study
    trial = link["trial"]
    if int(link["study"]) != old or (trial is not None and int(trial) not in ids.trials):
        return link.group()
    part = "" if trial is None else f"{ids.trials[int(trial)]}/"
    return f"/artifacts/{new}/{part}{link['artifact']}"
