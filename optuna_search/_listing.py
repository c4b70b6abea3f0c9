"""The studies of a storage at a glance."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_search import _record
from optuna_search._damage import DAMAGE
from optuna_search._database import study_names
from optuna_search._lease import owners
from optuna_search._record import FORK, RECORD
from optuna_search._tables import NAME_WIDTH, html_table, pandas, printable, shortened, text_table
from optuna_search.exceptions import StorageError

#: The states of trials that are counted.
COUNTED = ("COMPLETE", "PRUNED", "FAIL", "RUNNING")
#: Texts get no longer than this in a terminal, and in HTML.
MAX_WIDTH, MAX_WIDTH_HTML = 40, 200


@dataclass(frozen=True)
class StudyEntry:
    """One study of a storage.

    Attributes
    ----------
    name : str
        Its name.
    state : str
        "running": somebody works on it who is not known to be dead; "empty": there is no trial; "idle": neither;
        "foreign": optuna_search did not make it; "unreadable": its record is damaged, or was written by a newer
        version.
    trials : dict of str to int
        How many trials are "COMPLETE", "PRUNED", "FAIL" and "RUNNING".
    n_trials : int
        How many trials count: they came to their end, and were not carried over from another study.
    given_up : int
        How many of those that are "FAIL" say nothing of the estimator: their process died or was stopped, or
        another one was faster.
    best_score : float or None
        The best value, which for a study of ours is the mean over the folds of the metric that is pursued.
    estimator : str or None
        What is searched.
    started, last_written : datetime.datetime or None
        When the first trial began, and the last one began or ended.
    forked_from : str or None
        The study that this one was forked from: by the name that it has now if it is in the same storage, else by
        the one that it had then.
    """

    name: str
    state: str
    trials: dict[str, int]
    n_trials: int = 0
    given_up: int = 0
    best_score: float | None = None
    estimator: str | None = None
    started: datetime.datetime | None = None
    last_written: datetime.datetime | None = None
    forked_from: str | None = None


class StudyList(Sequence[StudyEntry]):
    """The studies of a storage, in the order in which they were made.

    It is a sequence of `StudyEntry`; it shows itself as a table, in notebooks in HTML.

    Parameters
    ----------
    entries : sequence of StudyEntry
        What it holds.
    """

    def __init__(self, entries: Sequence[StudyEntry]) -> None:
        self._entries = tuple(entries)

    def __getitem__(self, index: Any) -> Any:
        found = self._entries[index]
        return StudyList(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StudyList) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]

    def _table(self, width: int) -> tuple[list[str], list[list[str]]]:
        header = ["name", "state", "trials", "best score", "estimator", "started", "last written", "forked from"]
        rows = [
            [
                _cell(e.name, max(width, NAME_WIDTH)),
                e.state,
                _standing(e),
                "" if e.best_score is None else f"{e.best_score:.4f}",
                _cell(e.estimator, width),
                _date(e.started),
                _date(e.last_written),
                _cell(e.forked_from, max(width, NAME_WIDTH)),
            ]
            for e in self._entries
        ]
        return header, rows

    def __repr__(self) -> str:
        return text_table(*self._table(MAX_WIDTH)) if self._entries else "no study in this storage"

    def _repr_html_(self) -> str:
        return html_table(*self._table(MAX_WIDTH_HTML))

    def to_frame(self) -> Any:
        """Return the list as a pandas data frame, one row a study.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns: dict[str, list[Any]] = {"name": [e.name for e in self], "state": [e.state for e in self]}
        columns |= {state: [e.trials[state] for e in self] for state in COUNTED}
        for name in ("n_trials", "given_up", "best_score", "estimator", "started", "last_written", "forked_from"):
            columns[name] = [getattr(e, name) for e in self]
        return pandas().DataFrame(columns)


def _standing(entry: StudyEntry) -> str:
    """Return the trials of a study, those that were given up apart from those that failed."""
    counted = {state.lower(): n for state, n in entry.trials.items()}
    counted |= {"fail": counted["fail"] - entry.given_up, "given up": entry.given_up}
    return ", ".join(f"{n} {what}" for what, n in counted.items() if n)


def _cell(text: str | None, width: int) -> str:
    return shortened(printable(text or ""), width)


def _date(moment: datetime.datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


# --- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Read:
    """An entry, and what lineage is told by."""

    entry: StudyEntry
    identity: str | None = None
    parent: str | None = None


def list_of(storage: BaseStorage) -> StudyList:
    """Return what there is in a storage; a study that cannot be read hides no other."""
    found = [read for name in study_names(storage) if (read := _read(storage, name)) is not None]
    names = {read.identity: read.entry.name for read in found if read.identity is not None}
    return StudyList(
        [replace(read.entry, forked_from=names[read.parent]) if read.parent in names else read.entry for read in found]
    )


def _read(storage: BaseStorage, name: str) -> _Read | None:
    """Return one study; None if somebody deleted it just now."""
    try:
        study_id = storage.get_study_id_from_name(name)
    except KeyError:
        return None
    try:
        trials = storage.get_all_trials(study_id, deepcopy=False)
        attrs = storage.get_study_user_attrs(study_id)
        at_work = owners(trials, attrs, storage.get_study_system_attrs(study_id))
        return _described(name, trials, attrs, storage.get_study_directions(study_id), is_running=bool(at_work))
    except DAMAGE:
        return _Read(StudyEntry(name, "unreadable", dict.fromkeys(COUNTED, 0)))


def _described(
    name: str,
    trials: Sequence[FrozenTrial],
    attrs: Mapping[str, Any],
    directions: Sequence[StudyDirection],
    *,
    is_running: bool,
) -> _Read:
    record, state = _header(attrs, name)
    counted = Counter(trial.state.name for trial in trials)
    fork = attrs[FORK] if isinstance(attrs.get(FORK), Mapping) else {}
    # What a fork took over is as old as its parent.
    here = [trial for trial in trials if _record.measured_here(trial)] or trials
    entry = StudyEntry(
        name,
        state or ("running" if is_running else "idle" if trials else "empty"),
        {one: counted[one] for one in COUNTED},
        sum(_record.counts(trial) and _record.measured_here(trial) for trial in trials),
        sum(t.state == TrialState.FAIL and not _record.counts(t) for t in trials) if record else 0,
        # What others have put into a study of ours was measured on nobody knows what.
        _best([trial for trial in trials if not record or _record.counts(trial)], directions),
        _text(record.get("estimator")),
        min((t.datetime_start for t in here if t.datetime_start), default=None),
        max((date for t in here for date in (t.datetime_start, t.datetime_complete) if date), default=None),
        _text(fork.get("study")),
    )
    return _Read(entry, _text(record.get("id")), _text(fork.get("id")))


def _header(attrs: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], str | None]:
    """Return the record of a study, and its state where that says all."""
    if RECORD not in attrs:
        return {}, "foreign"
    try:
        _record.check_schema(attrs[RECORD], f"study {name!r}")
    except StorageError:
        return {}, "unreadable"
    return attrs[RECORD], None


def _best(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> float | None:
    if len(directions) != 1:
        return None
    values = [t.values[0] for t in trials if t.state == TrialState.COMPLETE and t.values]
    # As everywhere, plus infinity is a fault where more is better, and minus infinity where less is.
    maximise = directions[0] != StudyDirection.MINIMIZE
    fault = math.inf if maximise else -math.inf
    sound = [float(value) for value in values if value != fault and not math.isnan(value)]
    return (max if maximise else min)(sound, default=None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
