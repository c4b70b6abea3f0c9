"""What can be saved of a journal file that is damaged."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna_search._journal import AT, parsed
from optuna_search._record import CLAIM, FAILURE, LOST, RECORD
from optuna_search._storage import open_storage
from optuna_search.exceptions import StorageError

#: Optuna's numbers of what is done in a line: a study is made, a trial is made, a trial gets an attribute.
_STUDY, _TRIAL, _ATTRIBUTE = 0, 4, 8
#: The state of a trial that has failed, and the direction of our studies, in Optuna's numbers.
_FAIL, _MAXIMIZE = 3, 2
#: No line of a journal is shorter, in bytes: so no number of a trial or a study in a file of some size is larger.
_MIN_LINE = 40


@dataclass(frozen=True)
class Salvage:
    """What was saved of a journal.

    Attributes
    ----------
    lines : int
        Lines that were saved.
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
        If the old file is not there, or the new one is; or if what is left makes no study.
    """
    if not path.is_file():
        raise StorageError(f"path={str(path)!r}: there is no such file.")
    if new_path.exists():
        raise StorageError(f"new_path={str(new_path)!r} is there already; choose another one.")
    read = [_whole_part(line) for line in path.read_bytes().splitlines()]
    damaged = tuple(number for number, (_, whole) in enumerate(read, 1) if not whole)
    n_possible = path.stat().st_size // _MIN_LINE
    logs = _once(log for log, _ in read if log is not None and _is_possible(log, n_possible))
    saved = [*_in_their_places(logs)]
    file = new_path.open("xb")
    try:
        with file:
            for log in saved:
                line = json.dumps({**log, AT: file.tell()}, separators=(",", ":"))
                file.write(line.encode() + b"\n")
        open_storage(new_path, to_read=True)
    except BaseException:
        new_path.unlink()
        raise
    lost = sum(_at(log, "user_attrs", FAILURE) == LOST for log in saved)
    return Salvage(len(saved), damaged, lost)


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


def _is_possible(log: dict[str, Any], n_possible: int) -> bool:
    """Whether a line speaks of a study and a trial that may have been in the file."""
    numbers = (log[name] for name in ("study_id", "trial_id") if name in log)
    return all(isinstance(number, int) and 0 <= number < n_possible for number in numbers)


def _once(logs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out a line that is there a second time: it says where it begins, and there it is already."""
    found: dict[Any, dict[str, Any]] = {}
    for number, log in enumerate(logs):
        found.setdefault(json.dumps(log) if AT in log else number, log)
    return list(found.values())


def _in_their_places(logs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the lines, and one in the place of each trial whose first line is lost."""
    attrs = [log for log in logs if log["op_code"] == _ATTRIBUTE]
    claims = {log["trial_id"]: claim for log in attrs if isinstance(claim := _claim_in(log), str)}
    places = {claim: place for place, claim in claims.items()}
    n_studies = n_trials = study = 0
    for log in logs:
        kind, trial = log["op_code"], log.get("trial_id", -1)
        while n_studies <= log.get("study_id", -1):  # it was made before something is said of it
            yield _nameless_study(log, n_studies)
            n_studies += 1
        n_studies += kind == _STUDY
        place = trial + 1 if trial in claims else n_trials  # so many were made before this line
        if kind == _TRIAL:
            study = log["study_id"]
            free = next(number for number in itertools.count(n_trials) if number not in claims)
            place = places.get(str(_at(log, "user_attrs", CLAIM, "nonce")), free)
        for _ in range(n_trials, place):
            yield _lost_trial(log, study)
        n_trials = max(n_trials, place) + (kind == _TRIAL)
        if trial < n_trials:
            yield log


def _claim_in(log: dict[str, Any]) -> Any:
    """Return the claim that a line is about which gives a trial its record, or says that its owner still lives."""
    return _at(log, "user_attr", RECORD, "claim") or _at(log, "user_attr", CLAIM, "nonce")


def _at(value: Any, *names: str) -> Any:
    """Return what is under these names, one in the other; None where there is nothing."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _nameless_study(log: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the line that makes a study whose name is lost."""
    name = f"salvaged-{number}-{uuid.uuid4().hex[:8]}"
    return {"op_code": _STUDY, "worker_id": log["worker_id"], "study_name": name, "directions": [_MAXIMIZE]}


def _lost_trial(log: dict[str, Any], study: int) -> dict[str, Any]:
    """Return the line of a failed trial before another line."""
    kept = {"op_code": _TRIAL, "worker_id": log["worker_id"], "study_id": study, "datetime_start": None}
    empty: dict[str, Any] = {"distributions": {}, "params": {}, "system_attrs": {}, "intermediate_values": {}}
    return kept | empty | {"state": _FAIL, "value": None, "values": None, "user_attrs": {FAILURE: LOST}}
