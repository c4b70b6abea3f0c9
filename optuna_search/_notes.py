"""What workers note while they are at work, so that it is known afterwards what one that died was at."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

#: What a worker notes when it has done all the folds of a task.
DONE = -1


@dataclass(frozen=True)
class Note:
    """A file in which a worker notes who it is and which fold it begins; at last, that it is done with all of them."""

    path: str

    def __call__(self, split: int) -> None:
        """Write it, if there is room: it is a hint."""
        with contextlib.suppress(OSError), open(self.path, "w") as file:
            file.write(f"{os.getpid()} {split}")


@dataclass(frozen=True)
class Notes:
    """The notes of all workers of this machine, by the tickets of their tasks."""

    folder: str

    def of(self, ticket: int) -> Note:
        """Return the note of one task."""
        return Note(os.path.join(self.folder, f"task-{ticket}"))

    def read(self, ticket: int) -> tuple[int | None, int | None]:
        """Return the process and the fold that it has begun last, or `DONE`; None where it has begun none."""
        with contextlib.suppress(OSError, ValueError):
            pid, split = Path(self.of(ticket).path).read_text().split()
            return int(pid), int(split)
        return None, None
