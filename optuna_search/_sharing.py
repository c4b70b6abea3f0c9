"""How workers get what they all need: the evaluation, shared once, and not sent along with every task."""

from __future__ import annotations

import functools
import mmap
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle

from optuna_search._compat import ParallelDoor
from optuna_search._evaluate import Evaluation
from optuna_search.exceptions import InvalidRequestError

#: Arrays from this size on are shared among processes; joblib draws the same line.
SHARED_BYTES = 1_000_000


@dataclass(frozen=True)
class Here:
    """The evaluation, for threads of this process."""

    evaluation: Evaluation

    def get(self) -> Evaluation:
        """Return the evaluation."""
        return self.evaluation


class Scattered:
    """The evaluation, for workers elsewhere: it travels by pickle, and on dask once for each worker."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._pickled = pickled(evaluation)
        self._evaluation: Evaluation | None = None

    def get(self) -> Evaluation:
        """Return the evaluation, unpacked once where it is."""
        if self._evaluation is None:
            self._evaluation = pickle.loads(self._pickled)
        return self._evaluation

    def __getstate__(self) -> dict[str, Any]:
        return {"_pickled": self._pickled, "_evaluation": None}

    def __sizeof__(self) -> int:
        # joblib's dask backend scatters what is large, once, instead of sending it along with every task.
        return object.__sizeof__(self) + max(len(self._pickled), 1 << 20)


@dataclass(frozen=True)
class OnDisk:
    """The evaluation, for processes of this machine: written once, mapped into memory by each of them.

    Large arrays of any kind (NumPy, pandas, sparse) are kept outside of the pickle, so that the processes
    share one copy of them in memory; they are read-only there, as joblib's own memory maps are.
    """

    path: str

    @classmethod
    def write(cls, evaluation: Evaluation, folder: Path) -> OnDisk:
        """Write the evaluation into a folder."""
        buffers: list[pickle.PickleBuffer] = []

        def stays_in_the_pickle(buffer: pickle.PickleBuffer) -> bool:
            if buffer.raw().nbytes < SHARED_BYTES:
                return True
            buffers.append(buffer)
            return False

        head = pickled(evaluation, protocol=5, buffer_callback=stays_in_the_pickle)
        path = folder / "evaluation"
        sizes = []
        with path.open("wb") as file:
            for buffer in buffers:
                # Arrays begin at multiples of 64 bytes, as NumPy allocates them.
                file.write(b"\0" * (-file.tell() % 64))
                raw = buffer.raw()
                sizes.append((file.tell(), raw.nbytes))
                file.write(raw)
        (folder / "head").write_bytes(pickle.dumps((head, sizes)))
        return cls(str(path))

    def get(self) -> Evaluation:
        """Return the evaluation, read once by each process."""
        return _read(self.path)


@functools.lru_cache(maxsize=1)
def _read(path: str) -> Evaluation:
    head, sizes = pickle.loads((Path(path).parent / "head").read_bytes())
    buffers: list[Any] = [b""] * len(sizes)
    if os.path.getsize(path):
        with open(path, "rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        buffers = [whole[start : start + length] for start, length in sizes]
    return pickle.loads(head, buffers=buffers)


def shared_with(evaluation: Evaluation, door: ParallelDoor, folder: Path, *, apart: bool) -> Any:
    """Return what every worker needs, in the form in which it gets there.

    Parameters
    ----------
    apart : bool
        Whether workers of this process hand it on to helpers.

    Raises
    ------
    InvalidRequestError
        If it must be pickled and cannot be.
    """
    if door.shares_files or (apart and (door.shares_memory or door.is_sequential)):
        return OnDisk.write(evaluation, folder)
    return Here(evaluation) if door.shares_memory else Scattered(evaluation)


def pickled(something: Any, **how: Any) -> bytes:
    """Return something as other processes read it.

    Raises
    ------
    InvalidRequestError
        If it cannot be pickled.
    """
    try:
        return cloudpickle.dumps(something, **how)
    except Exception as error:
        raise InvalidRequestError(
            "The estimator, the data or the scorer cannot be sent to worker processes, because something in it cannot "
            f"be pickled ({type(error).__name__}: {error}). Use n_jobs=1 without fit_timeout, or joblib's threads: "
            "with joblib.parallel_config(backend='threading')."
        ) from error
