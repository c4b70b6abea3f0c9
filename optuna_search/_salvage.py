"""What can be saved of a journal file that is damaged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna_search._journal import AT, parsed
from optuna_search._record import CLAIM, FAILURE, LOST, RECORD
from optuna_search.exceptions import StorageError

#: Optuna's numbers of what is done in a line: a study is made, a trial is made, a trial gets an attribute.
_STUDY, _TRIAL, _ATTRIBUTE = 0, 4, 8
#: The state of a trial that has failed, in Optuna's numbers.
_FAIL = 3


@dataclass(frozen=True)
class Salvage:
    """What was saved of a journal.

    Attributes
    ----------
    lines : int
        Lines that could be read.
    damaged : tuple of int
        The numbers of those that could not.
    trials_lost : int
        Trials of which it is known that they were there, and not what they tried.
    """

    lines: int
    damaged: tuple[int, ...]
    trials_lost: int


def salvage(path: Path, new_path: Path) -> Salvage:
    """Write the lines of a damaged journal that can be read into a new one.

    A line that is lost may be the first one of a trial, and the trials after it would be taken for others. So the
    record of a trial says which claim it belongs to: by that a place is kept for what is missing.

    Raises
    ------
    StorageError
        If the old file is not there, or the new one is.
    """
    if not path.is_file():
        raise StorageError(f"path={str(path)!r}: there is no such file.")
    if new_path.exists():
        raise StorageError(f"new_path={str(new_path)!r} is there already; choose another one.")
    read = [_whole_part(line) for line in path.read_bytes().splitlines()]
    damaged = tuple(number for number, (_, whole) in enumerate(read, 1) if not whole)
    logs = _once(log for log, _ in read if log is not None)
    lost = 0
    with new_path.open("xb") as file:
        for log in _in_their_places(logs):
            lost += _at(log, "user_attrs", FAILURE) == LOST
            line = json.dumps({**log, AT: file.tell()}, separators=(",", ":"))
            file.write(line.encode() + b"\n")
    return Salvage(len(logs), damaged, lost)


def _whole_part(line: bytes) -> tuple[dict[str, Any] | None, bool]:
    """Return what a line says, or the one that was written behind half of it; and whether that is the whole line."""
    text = line
    while text:
        try:
            return parsed(text), text is line
        except ValueError:
            begin = text.find(b'{"op_code"', 1)
            text = text[begin:] if begin > 0 else b""
    return None, False


def _once(logs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out a line that is there a second time: where it begins, no other one did."""
    found: dict[Any, dict[str, Any]] = {}
    for number, log in enumerate(logs):
        found.setdefault(log.get(AT, f"line {number}"), log)
    return list(found.values())


def _in_their_places(logs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the lines, and one in the place of each trial whose first line is lost."""
    claims = {i: _at(log, "user_attr", RECORD, "claim") for i, log in enumerate(logs) if log["op_code"] == _ATTRIBUTE}
    places = {claim: logs[i]["trial_id"] for i, claim in claims.items() if isinstance(claim, str)}
    n_trials = 0
    for log in logs:
        if log["op_code"] == _TRIAL:
            place = places.get(str(_at(log, "user_attrs", CLAIM, "nonce")), n_trials)
            for _ in range(n_trials, place):
                yield _placeholder(log)
            n_trials = max(n_trials, place) + 1
        elif log.get("trial_id", -1) >= n_trials:
            continue
        yield log


def _at(value: Any, *names: str) -> Any:
    """Return what is under these names, one in the other; None where there is nothing."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _placeholder(log: dict[str, Any]) -> dict[str, Any]:
    """Return the line of a failed trial beside another one."""
    kept = {name: log[name] for name in ("op_code", "worker_id", "study_id", "datetime_start")}
    empty: dict[str, Any] = {"distributions": {}, "params": {}, "system_attrs": {}, "intermediate_values": {}}
    return kept | empty | {"state": _FAIL, "value": None, "values": None, "user_attrs": {FAILURE: LOST}}
