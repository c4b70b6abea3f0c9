"""A journal file that keeps its whole lines, whatever happens to a writer.

Optuna's journal is a file of JSON lines, each of which says what was done. A writer that dies, or a disk that is
full, can leave half a line; the next one would be written right behind it, and no process could read the file any
more. This one cuts such a tail back, under Optuna's own lock and with a copy beside the file, before it writes;
takes back what it could not write whole; and tells damage with its line. Each line that it writes says at which
byte it begins, in a key that Optuna passes over: so lines that are missing are noticed.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock

from optuna_search.exceptions import StorageError, TornJournalWarning

#: The key of a line that says where it begins, in bytes.
AT = "at"
#: What a line of each kind must have, by Optuna's numbers of what is done in it: the names of further keys.
NEEDED: dict[int, tuple[str, ...]] = {
    0: ("study_name", "directions"),
    1: ("study_id",),
    2: ("study_id", "user_attr"),
    3: ("study_id", "system_attr"),
    4: ("study_id", "datetime_start"),
    5: ("trial_id", "param_name", "param_value_internal", "distribution"),
    6: ("trial_id", "state", "values"),
    7: ("trial_id", "step", "intermediate_value"),
    8: ("trial_id", "user_attr"),
    9: ("trial_id", "system_attr"),
    10: (),
}


class StudyJournal(BaseJournalBackend):
    """The lines of a journal file.

    Parameters
    ----------
    path : str
        An absolute path; the file is made if it is not there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = JournalFileSymlinkLock(path)
        #: Where each line that is known begins, and the next one will.
        self._begins = [0]
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o666))
        with open(path, "rb") as file:
            torn = not _ends_well(file.fileno(), _size(file.fileno()))
            if torn and os.pread(file.fileno(), 1, 0) not in (b"{", b"\0"):
                raise self._damaged(1, "it is no line of a journal")  # perhaps the file of another program
        if torn and os.access(path, os.W_OK):
            with self._alone() as descriptor:
                self._mend(descriptor)

    # --- reading ---

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the lines from one on, but for a last one that is not whole.

        Raises
        ------
        StorageError
            If a line is damaged, or lines are missing.
        """
        with open(self.path, "rb") as file:
            end = _size(file.fileno())
            if end < self._begins[-1]:
                raise self._damaged(len(self._begins), "the file is shorter than it was")
            number = min(log_number_from, len(self._begins) - 1)
            file.seek(self._begins[number])
            for line in file:
                begin = self._begins[number]
                if not line.endswith(b"\n") or begin + len(line) > end:  # torn, or still being written
                    return
                try:
                    log = parsed(line)
                except ValueError as error:
                    raise self._damaged(number + 1, str(error)) from None
                if log.get(AT, begin) != begin and not self._is_late(file, line, log[AT], begin):
                    raise self._damaged(number + 1, "lines before it are missing, or there are too many")
                number += 1
                if number == len(self._begins):
                    self._begins.append(begin + len(line))
                if number > log_number_from:
                    yield log

    def _is_late(self, file: BinaryIO, line: bytes, at: Any, begin: int) -> bool:
        """Whether a line comes from a writer who stood still under the lock, while others went on in its place."""
        if at not in self._begins or at > begin:
            return False
        other = os.pread(file.fileno(), len(line), at)
        return other != line

    def _damaged(self, number: int, why: str) -> StorageError:
        return StorageError(
            f"storage={self.path!r} is damaged in line {number}: {why}. Nothing was written to it. What can be read "
            f"of it is saved by optuna_search.studies.salvage({self.path!r}, 'saved.journal'), or from a shell by "
            f"optuna-search salvage {self.path} saved.journal."
        )

    # --- writing ---

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines, all of them or none."""
        with self._alone() as descriptor:
            begin = self._mend(descriptor)
            text = b""
            for log in logs:
                line = json.dumps({**log, AT: begin + len(text)}, separators=(",", ":"))
                text += line.encode() + b"\n"
            written = 0
            try:
                while written < len(text):
                    written += os.write(descriptor, text[written:])
                os.fsync(descriptor)
            except BaseException:
                if _size(descriptor) <= begin + len(text):  # else others have gone on, and what they wrote stays
                    os.ftruncate(descriptor, begin)
                raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        """Open the file for writing while no other process does."""
        self._lock.acquire()
        try:
            # It must be there: a file that somebody has deleted is not to come back empty.
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        finally:
            with contextlib.suppress(RuntimeError):  # this process stood still for so long that it was taken away
                self._lock.release()

    def _mend(self, descriptor: int) -> int:
        """Cut half a line back that a writer left who died, keep a copy of it, and return the size of the file."""
        size = _size(descriptor)
        if _ends_well(descriptor, size):
            return size
        block, start, cut = 4096, size, -1
        while cut < 0 < start:
            start = max(0, size - block)
            end = os.pread(descriptor, size - start, start)
            cut = end.rfind(b"\n")
            block *= 2
        whole, tail = start + cut + 1, end[cut + 1 :]
        with open(f"{self.path}.torn", "ab") as file:
            file.write(tail + b"\n")
        os.ftruncate(descriptor, whole)
        warnings.warn(
            f"The last line of {self.path} was torn: whoever wrote it was stopped in the middle. Its {len(tail)} bytes "
            f"were moved to {self.path}.torn; every whole line is kept.",
            TornJournalWarning,
            stacklevel=2,
        )
        return whole


def parsed(line: bytes) -> dict[str, Any]:
    """Return what a line of a journal says.

    Raises
    ------
    ValueError
        If it says nothing that could be done.
    """
    try:
        log = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    kind = log.get("op_code") if isinstance(log, Mapping) else None
    if not isinstance(kind, int) or kind not in NEEDED or not isinstance(log.get("worker_id"), str):
        raise ValueError("it is no line of a journal")
    missing = [name for name in NEEDED[kind] if name not in log]
    if missing:
        raise ValueError(f"it has no {missing[0]!r}")
    return dict(log)


def _size(descriptor: int) -> int:
    return os.fstat(descriptor).st_size


def _ends_well(descriptor: int, size: int) -> bool:
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
