"""A study as a table for other programs: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from optuna_search._json import strict
from optuna_search._kept import Kept
from optuna_search._reading import results_of, setup_of
from optuna_search._record import FAILURE, ORIGIN, RECORD
from optuna_search._store import Store
from optuna_search._tables import pandas
from optuna_search._tokens import plain

#: A spreadsheet takes a cell that begins so for something to run, some after blanks; the last four are those of
#: East Asian keyboards.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: These begin another cell in some of them.
BLANKS = ("\t", "\r", "\n")

Row = dict[str, Any]


# --- the table ------------------------------------------------------------------------------------------------------


def rows_of(store: Store) -> list[Row]:
    """Return one row for each trial of a study, all with the same columns in the same order.

    Scores have the names and values that they have in ``cv_results_``; parameters are numbers, or texts.
    """
    trials = store.trials()
    is_ours = RECORD in store.study.user_attrs
    kept = store.kept() if is_ours else []
    scores = _scores(store, kept) if kept else {}
    params = {k.trial.number: k.record.params for k in kept}
    names = {name for one in params.values() for name in one}

    def parts(trial: FrozenTrial) -> tuple[Row, Row, Row, Row]:
        # What a trial without a record tries is known by the names that Optuna stores, some of them our own.
        stored = {name: one for name, one in trial.params.items() if not is_ours or name in names}
        measured = scores.get(trial.number, {}) if is_ours else _values(trial)
        return _dates(trial), measured, _params(params.get(trial.number, stored)), _notes(trial)

    table = [parts(trial) for trial in trials]
    columns = [dict.fromkeys(name for row in table for name in row[part]) for part in range(4)]
    return [{name: row[part].get(name) for part, names in enumerate(columns) for name in names} for row in table]


def _dates(trial: FrozenTrial) -> Row:
    return {
        "trial_number": trial.number,
        "trial_state": trial.state.name,
        "started": trial.datetime_start,
        "ended": trial.datetime_complete,
        "duration": trial.duration.total_seconds() if trial.duration is not None else None,
    }


def _scores(store: Store, kept: Sequence[Kept]) -> dict[int, Row]:
    with warnings.catch_warnings():
        # What has no score is an empty cell here, and nothing to warn of.
        warnings.simplefilter("ignore", UserWarning)
        results = results_of(store, kept, None, setup_of(store.header()))
    columns = [key for key in results if "_test_" in key or key.endswith("_time")]
    return {
        int(number): {key: results[key][i].item() for key in columns}
        for i, number in enumerate(results["trial_number"])
    }


def _values(trial: FrozenTrial) -> Row:
    """Return what a trial of another tool came to."""
    values = trial.values or []
    return {"value" if len(values) == 1 else f"value_{i}": value for i, value in enumerate(values)}


def _params(params: Mapping[str, Any]) -> Row:
    return {f"param_{name}": _number_or_text(one) for name, one in params.items()}


def _number_or_text(recorded: Any) -> Any:
    value = plain(recorded) if isinstance(recorded, str) else recorded
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(recorded)


def _notes(trial: FrozenTrial) -> Row:
    failure = trial.user_attrs.get(FAILURE)
    return {"failure": None if failure is None else str(failure), "origin": trial.user_attrs.get(ORIGIN)}


# --- its forms ------------------------------------------------------------------------------------------------------


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the table as CSV, in which no text is a formula."""
    with path.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
        lines = csv.writer(file)
        if rows:
            lines.writerow([_cell(name) for name in rows[0]])
        lines.writerows([_cell(one) for one in row.values()] for row in rows)


def _cell(value: Any) -> Any:
    value = _flat(value)
    if isinstance(value, str) and (value.startswith(BLANKS) or value.lstrip().startswith(FORMULA)):
        return f"'{value}"
    return None if isinstance(value, float) and math.isnan(value) else value


def _flat(value: Any) -> Any:
    """Return what a cell of a table can hold."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return value if value is None or isinstance(value, int | float | str) else value.isoformat()


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write the table as a JSON list of objects."""
    with path.open("x", encoding="utf-8") as file:
        json.dump(strict(rows), file, allow_nan=False, indent=1)
        file.write("\n")


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """Write the table as Parquet; a column with both numbers and texts is one of texts."""
    frame = pandas().DataFrame({name: _column([row[name] for row in rows]) for name in (rows[0] if rows else ())})
    frame.to_parquet(path, engine="pyarrow", index=False)


def _column(values: Sequence[Any]) -> list[Any]:
    flat = [_flat(one) if isinstance(one, Mapping | list | tuple) else one for one in values]
    if not any(isinstance(one, str) for one in flat):
        return flat
    return [None if one is None else str(one) for one in flat]


def need_parquet() -> None:
    """Make sure that Parquet can be written.

    Raises
    ------
    ImportError
        If a package that it takes is not installed.
    """
    missing = [name for name in ("pandas", "pyarrow") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"A .parquet file needs {' and '.join(missing)}, not installed here: pip install 'optuna-search[parquet]'."
        )


WRITERS = {".csv": write_csv, ".json": write_json, ".parquet": write_parquet}
