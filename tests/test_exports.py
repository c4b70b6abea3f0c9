"""A study goes out into a file, as a table or as itself, and comes back; a file that is none is never believed."""

import csv
import datetime
import io
import json
import math
import os
import re
import sqlite3

import numpy as np
import optuna
import pandas as pd
import pytest
from estimators import FailsOn, KnownScore, high, low
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sklearn.preprocessing import StandardScaler
from test_storage import (
    assert_same_results,
    everything_in,
    kept_in,  # noqa: F401 - a fixture
    search,
)
from test_studies import (
    DEAD,
    _impatient,  # noqa: F401 - a fixture
    attributes,
    names,
    of_failures,
    opened,
    path,  # noqa: F401 - a fixture
    rich,
    running,
    study_id,
    template,  # noqa: F401 - a fixture
    trials_as_text,
)

from optuna_search import OptunaSearchCV, _owner, _studyfile, studies
from optuna_search._record import FORK, ORIGIN, RECORD, SCHEMA
from optuna_search.exceptions import InvalidRequestError, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
TABLES = [".csv", ".json", ".parquet"]
FILES = [".study", ".journal", ".db"]


def table(file):
    """A table as its rows, in which a cell without a value is None."""
    if file.suffix == ".json":
        return json.loads(file.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not strict JSON"))
    if file.suffix == ".parquet":
        frame = pd.read_parquet(file)
        return [{k: None if pd.isna(v) else v for k, v in row.items()} for row in frame.to_dict("records")]

    def read(text):
        try:
            return float(text)
        except ValueError:
            return text or None

    return [{name: read(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(file.read_text()))]


@pytest.fixture(params=TABLES)
def ending(request):
    return request.param


# --- as a table -------------------------------------------------------------------------------------------------------


class TestTables:
    def test_the_scores_are_those_of_the_results(self, ending, kept_in, tmp_path):  # noqa: F811
        how = {"scoring": {"high": high, "low": low}, "refit": "low"}
        fitted = search(storage=kept_in, study_name="svc", **how).fit(X, Y)
        out = tmp_path / "out"
        out.mkdir()
        studies.export_study("svc", out / f"svc{ending}", kept_in)
        rows = table(out / f"svc{ending}")
        assert len(rows) == 3
        for i, row in enumerate(rows):
            assert (row["trial_number"], row["trial_state"]) == (i, "COMPLETE")
            for metric in ("high", "low"):
                for key in ("mean_test_", "std_test_", "split0_test_", "split1_test_", "rank_test_"):
                    assert row[key + metric] == pytest.approx(fitted.cv_results_[key + metric][i], rel=1e-15)
            assert row["param_x"] == fitted.cv_results_["param_x"][i]
            trial = fitted.study_.trials[i]
            assert row["duration"] == pytest.approx(trial.duration.total_seconds())
            for name, date in (("started", trial.datetime_start), ("ended", trial.datetime_complete)):
                assert pd.Timestamp(row[name]) == date
            assert row["failure"] is None and row["origin"] is None
        assert [file.name for file in out.iterdir()] == [f"svc{ending}"]

    def test_the_columns_have_their_order(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "svc.csv", path)
        first, *lines = (tmp_path / "svc.csv").read_text().splitlines()
        columns = first.split(",")
        assert columns[:5] == ["trial_number", "trial_state", "started", "ended", "duration"]
        assert columns[-3:] == ["param_x", "failure", "origin"]
        assert {"mean_test_score", "std_test_score", "split0_test_score", "mean_fit_time"} <= set(columns[5:-3])
        assert len(lines) == 3

    def test_choices_are_texts_and_numbers_are_numbers(self, ending, tmp_path):
        grid = [{"choice": ["a", 1, 2.5, True, None, "1", StandardScaler(), (1, 2)]}, {"x": [1, 2]}]
        fitted = search(grid, storage=tmp_path / "s.db", study_name="s", sampler=None, n_trials=None).fit(X, Y)
        studies.export_study("s", tmp_path / f"s{ending}", tmp_path / "s.db")
        rows = table(tmp_path / f"s{ending}")
        numbers = [1, 2.5] if ending != ".parquet" else ["1", "2.5"]
        found = ["a", *numbers, "True", "None", "'1'", "StandardScaler()", "(1, 2)", None, None]
        assert [row["param_choice"] for row in rows] == found
        assert [row["param_x"] for row in rows] == [None] * 8 + [1, 2]
        assert len(fitted.cv_results_["params"]) == 10

    @of_failures
    def test_a_failure_is_told_and_its_scores_are_empty(self, ending, tmp_path):
        how = {"storage": tmp_path / "s.db", "study_name": "s", "sampler": None, "n_trials": None}
        search({"x": [1, 2]}, FailsOn(bad=(1,)), **how).fit(X, Y)
        studies.export_study("s", tmp_path / f"s{ending}", tmp_path / "s.db")
        first, second = table(tmp_path / f"s{ending}")
        assert first["trial_state"] == "FAIL" and first["failure"] == "ValueError: x=1 is bad in fit"
        assert first["mean_test_score"] is None and first["split0_test_score"] is None
        assert first["param_x"] == 1
        assert second["failure"] is None and second["mean_test_score"] == -2

    def test_a_trial_without_an_end_has_a_row(self, ending, path, tmp_path):  # noqa: F811
        running(path, "svc", _owner.claim())
        running(path, "svc", DEAD)
        before = everything_in(path)
        studies.export_study("svc", tmp_path / f"s{ending}", path)
        rows = table(tmp_path / f"s{ending}")[3:]
        assert [(row["trial_state"], row["ended"], row["duration"]) for row in rows] == [("RUNNING", None, None)] * 2
        assert [row["param_x"] for row in rows] == [1.0, 1.0]
        assert everything_in(path) == before

    def test_a_trial_of_another_study_says_where_it_was_measured(self, ending, path, tmp_path):  # noqa: F811
        origin = {"study": "older", "trial": 7}
        trial_id = opened(path).create_new_trial(
            1, optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs={ORIGIN: origin})
        )
        opened(path).set_trial_state_values(trial_id, TrialState.FAIL)
        studies.export_study("svc", tmp_path / f"s{ending}", path)
        told = table(tmp_path / f"s{ending}")[3]["origin"]
        assert told == origin if ending == ".json" else json.loads(told) == origin

    def test_a_study_of_another_tool_is_a_table_too(self, ending, path, tmp_path):  # noqa: F811
        rich(path)
        studies.export_study("rich", tmp_path / f"s{ending}", path)
        rows = table(tmp_path / f"s{ending}")
        assert [row["trial_state"] for row in rows] == ["COMPLETE", "COMPLETE", "FAIL", "PRUNED", "WAITING"]
        assert rows[0]["value"] == 0.1
        assert rows[1]["value"] == (None if ending == ".json" else -math.inf)
        assert rows[0]["param_c"] == 0.1 and rows[0]["param_k"] == "None"

    def test_an_empty_study_is_an_empty_table(self, ending, tmp_path):
        memory = InMemoryStorage()
        memory.create_new_study([StudyDirection.MAXIMIZE], "s")
        studies.export_study("s", tmp_path / f"s{ending}", memory)
        assert table(tmp_path / f"s{ending}") == []

    def test_no_text_in_csv_is_a_formula(self, tmp_path):
        dangers = ['=HYPERLINK("http://x")', "+1+1", "-1+1", "@SUM(1)", "\tx", "\rx", "safe, with comma\nand line"]
        memory = InMemoryStorage()
        made = memory.create_new_study([StudyDirection.MAXIMIZE], "s")
        for danger in dangers:
            space = {"=evil": optuna.distributions.CategoricalDistribution([danger])}
            memory.create_new_trial(
                made,
                optuna.trial.create_trial(
                    value=-1.0, params={"=evil": danger}, distributions=space, user_attrs={"failure": danger}
                ),
            )
        studies.export_study("s", tmp_path / "s.csv", memory)
        with (tmp_path / "s.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row, danger in zip(rows, dangers, strict=True):
            expected = danger if danger.startswith("safe") else f"'{danger}"
            assert row["failure"] == row["param_=evil"] == expected
            assert row["value"] == "-1.0"

    def test_an_older_table_is_replaced_at_one_stroke(self, ending, path, tmp_path, monkeypatch):  # noqa: F811
        out = tmp_path / f"s{ending}"
        out.write_text("older")
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        expected = re.escape(f"{out} cannot be written: No space left on device.")
        with pytest.raises(StorageError, match=f"^{expected}$"):
            studies.export_study("svc", out, path)
        assert out.read_text() == "older"
        monkeypatch.undo()
        studies.export_study("svc", out, path)
        assert len(table(out)) == 3
        assert {file.name for file in tmp_path.iterdir()} <= {"s.db", "s.db-wal", "s.db-shm", out.name}

    @pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
    def test_parquet_says_what_it_needs(self, missing, path, tmp_path, monkeypatch):  # noqa: F811
        found = studies._exports.importlib.util.find_spec
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else found(name))
        expected = rf"^A \.parquet file needs {missing}, not installed here: pip install 'optuna-search\[parquet\]'\.$"
        with pytest.raises(ImportError, match=expected):
            studies.export_study("svc", tmp_path / "s.parquet", path)
        assert not (tmp_path / "s.parquet").exists()

    @pytest.mark.server
    def test_no_password_is_in_any_export(self, path, tmp_path, postgres_url):  # noqa: F811
        url = f"{postgres_url}?application_name=s3cr3t"
        studies.copy_study("svc", "svc", path, new_storage=url)
        for end in (*TABLES, *FILES):
            studies.export_study("svc", tmp_path / f"out{end}", url)
            content = (tmp_path / f"out{end}").read_bytes()
            assert b"s3cr3t" not in content and b"postgres" not in content


# --- as itself --------------------------------------------------------------------------------------------------------


class TestStudyFiles:
    @pytest.mark.parametrize("end", FILES)
    def test_it_comes_back_as_it_was(self, end, kept_in, tmp_path):  # noqa: F811
        fitted = search(storage=kept_in, study_name="svc").fit(X, Y)
        opened(kept_in).create_new_study([StudyDirection.MAXIMIZE], "another")
        out = tmp_path / "out"
        out.mkdir()
        studies.export_study("svc", out / f"svc{end}", kept_in)
        assert [file.name for file in out.iterdir()] == [f"svc{end}"]
        assert studies.import_study(out / f"svc{end}", tmp_path / "back.journal") == "svc"
        assert [file.name for file in out.iterdir()] == [f"svc{end}"]
        assert names(tmp_path / "back.journal") == ["svc"]
        assert trials_as_text(tmp_path / "back.journal", "svc") == trials_as_text(kept_in, "svc")
        assert attributes(tmp_path / "back.journal", "svc") == attributes(kept_in, "svc")
        read = OptunaSearchCV.from_study("svc", tmp_path / "back.journal", KnownScore())
        assert_same_results(read.cv_results_, fitted.cv_results_)
        assert search(storage=tmp_path / "back.journal", study_name="svc", n_trials=4).fit(X, Y).n_trials_ == 4

    @pytest.mark.parametrize("end", FILES)
    def test_it_is_a_storage_that_optuna_opens(self, end, path, tmp_path):  # noqa: F811
        rich(path)
        studies.export_study("rich", tmp_path / f"out{end}", path)
        assert names(tmp_path / f"out{end}") == ["rich"]
        assert trials_as_text(tmp_path / f"out{end}", "rich") == trials_as_text(path, "rich")

    @pytest.mark.parametrize("end", FILES)
    def test_importing_changes_nothing_in_the_file(self, end, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / f"out{end}", path)
        content = (tmp_path / f"out{end}").read_bytes()
        studies.import_study(tmp_path / f"out{end}", InMemoryStorage())
        assert (tmp_path / f"out{end}").read_bytes() == content

    @pytest.mark.parametrize("end", FILES)
    def test_a_file_that_exists_is_never_overwritten(self, end, path, tmp_path):  # noqa: F811
        out = tmp_path / f"out{end}"
        out.write_text("mine")
        expected = re.escape(f"{out} exists already, and a study file is never overwritten. Choose another path.")
        with pytest.raises(StorageError, match=f"^{expected}$"):
            studies.export_study("svc", out, path)
        assert out.read_text() == "mine"

    @pytest.mark.parametrize("end", FILES)
    def test_of_two_at_once_the_first_one_stays(self, end, path, tmp_path, monkeypatch):  # noqa: F811
        out = tmp_path / f"out{end}"
        monkeypatch.setattr(_studyfile, "_sync", lambda _: out.write_text("the first"))
        with pytest.raises(StorageError, match=r"exists already, and a study file is never overwritten"):
            studies.export_study("svc", out, path)
        assert out.read_text() == "the first"
        assert {file.name for file in tmp_path.iterdir()} <= {"s.db", "s.db-wal", "s.db-shm", out.name}

    def test_a_file_system_without_links_will_do(self, path, tmp_path, monkeypatch):  # noqa: F811
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links here")))
        studies.export_study("svc", tmp_path / "out.study", path)
        assert names(tmp_path / "out.study") == ["svc"]

    def test_an_export_that_fails_leaves_nothing(self, path, tmp_path, monkeypatch):  # noqa: F811
        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("optuna.storages.JournalStorage.create_new_trial", full)
        expected = re.escape(f"{tmp_path / 'out.study'} cannot be written: No space left on device.")
        with pytest.raises(StorageError, match=expected):
            studies.export_study("svc", tmp_path / "out.study", path)
        assert {file.name for file in tmp_path.iterdir()} <= {"s.db", "s.db-wal", "s.db-shm"}

    def test_a_trial_in_the_air_fails_in_it(self, path, tmp_path):  # noqa: F811
        running(path, "svc", _owner.claim())
        before = everything_in(path)
        studies.export_study("svc", tmp_path / "out.study", path)
        studies.import_study(tmp_path / "out.study", tmp_path / "back.journal")
        assert studies.load_study("svc", tmp_path / "back.journal").trials[3].state == TrialState.FAIL
        assert everything_in(path) == before

    def test_it_may_get_another_name(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "out.study", path)
        assert studies.import_study(tmp_path / "out.study", path, study_name="again") == "again"
        assert names(path) == ["svc", "again"]
        # The storage has that study already, so this one is another.
        (one, _), (two, _) = attributes(path, "svc"), attributes(path, "again")
        assert one[RECORD]["id"] != two[RECORD]["id"]

    def test_its_forks_know_it_where_it_goes(self, path, tmp_path):  # noqa: F811
        studies.copy_study("svc", "wider", path)
        identity = attributes(path, "svc")[0][RECORD]["id"]
        opened(path).set_study_user_attr(study_id(path, "wider"), FORK, {"study": "svc", "id": identity})
        for name in ("svc", "wider"):
            studies.export_study(name, tmp_path / f"{name}.study", path)
        there = tmp_path / "there.db"
        studies.import_study(tmp_path / "wider.study", there)
        assert studies.list_studies(there)[0].forked_from == "svc"
        studies.import_study(tmp_path / "svc.study", there, study_name="parent")
        assert studies.list_studies(there)[0].forked_from == "parent"

    def test_a_name_that_exists_is_refused(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "out.study", path)
        before = everything_in(path)
        search(storage=tmp_path / "other.db", study_name="svc", n_trials=1).fit(X, Y)
        for storage in (path, tmp_path / "other.db"):
            with pytest.raises(StorageError, match=r"^There is a study 'svc' already; nothing was changed\."):
                studies.import_study(tmp_path / "out.study", storage)
        assert everything_in(path) == before

    def test_an_import_that_was_killed_is_finished_by_the_same_call(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "out.study", path)
        target = opened(tmp_path / "back.journal")
        made = target.create_new_study([StudyDirection.MAXIMIZE], "svc")
        target.create_new_trial(made, opened(path).get_all_trials(1)[0])
        studies.import_study(tmp_path / "out.study", tmp_path / "back.journal")
        assert trials_as_text(tmp_path / "back.journal", "svc") == trials_as_text(path, "svc")

    def test_of_several_studies_one_has_to_be_named(self, path, tmp_path):  # noqa: F811
        studies.copy_study("svc", "other", path)
        expected = (
            rf"^{re.escape(str(path))} cannot be imported: there are 2 studies in it; say by study_name which: "
            r"'svc', 'other'\.$"
        )
        for name in (None, "third"):
            with pytest.raises(StorageError, match=expected):
                studies.import_study(path, tmp_path / "back.journal", study_name=name)
        assert not (tmp_path / "back.journal").exists()
        studies.import_study(path, tmp_path / "back.journal", study_name="other")
        assert names(tmp_path / "back.journal") == ["other"]


# --- what is no study file --------------------------------------------------------------------------------------------


def refused(file, reason):
    """An import must refuse a file, with its path and a reason, and write nothing."""
    target = file.with_name("target.db")
    expected = rf"^{re.escape(str(file))} cannot be imported: {reason}"
    with pytest.raises(StorageError, match=expected):
        studies.import_study(file, target)
    assert not target.exists()


class TestFilesThatAreNone:
    def test_a_journal_that_was_cut_off_anywhere(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "whole.study", path)
        content = (tmp_path / "whole.study").read_bytes()
        lines = [0, *(found.end() for found in re.finditer(rb"\n", content))]
        places = {place + more for place in lines[:-1] for more in (0, 1, 40)} | {len(content) - 1}
        for place in sorted(places):
            (tmp_path / "cut.study").write_bytes(content[:place])
            refused(
                tmp_path / "cut.study", r"(there is no study|the study 'svc' in it is cut off|line \d+ of it is cut)"
            )

    def test_a_database_that_was_cut_off_anywhere(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "whole.db", path)
        content = (tmp_path / "whole.db").read_bytes()
        for share in (0, 10, 1000, len(content) // 2, len(content) - 5000, len(content) - 1):
            (tmp_path / "cut.db").write_bytes(content[:share])
            refused(
                tmp_path / "cut.db", r"(file is not a database|it is damaged|database disk image is malf|it is a data)"
            )

    @pytest.mark.parametrize("end", FILES)
    @pytest.mark.parametrize("content", [b"", b"a text\n", b"[1, 2]\n", b"\0" * 99, bytes(range(256)) * 12], ids=repr)
    def test_a_file_of_something_else(self, content, end, tmp_path):
        (tmp_path / f"other{end}").write_bytes(content)
        refused(
            tmp_path / f"other{end}", r"(there is no study|line 1 of it is cut off|file is not a dat|it is a datab)"
        )

    def test_a_pickle_is_not_opened(self, tmp_path):
        import pickle

        class Opened:
            def __reduce__(self):
                return (tmp_path.joinpath("opened").touch, ())

        for end in FILES:
            (tmp_path / f"evil{end}").write_bytes(pickle.dumps(Opened()))
            refused(tmp_path / f"evil{end}", "")
        assert not (tmp_path / "opened").exists()

    def test_lines_of_another_program(self, tmp_path):
        (tmp_path / "log.journal").write_text('{"time": 1, "level": "info"}\n')
        refused(tmp_path / "log.journal", r"line 1 of it is cut off, or was never written by Optuna\.$")

    @pytest.mark.parametrize("line", ['{"op_code": 99, "worker_id": "x"}', '{"op_code": 4}', '{"op_code": 0}'])
    def test_lines_that_optuna_does_not_understand(self, line, tmp_path):
        (tmp_path / "odd.journal").write_text(line + "\n")
        refused(tmp_path / "odd.journal", "")

    def test_a_line_that_is_damaged_is_named(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "whole.study", path)
        lines = (tmp_path / "whole.study").read_bytes().splitlines(keepends=True)
        lines[2] = b"\0" * 20 + lines[2][20:]
        (tmp_path / "bad.study").write_bytes(b"".join(lines))
        refused(tmp_path / "bad.study", r"line 3 of it is cut off, or was never written by Optuna\.$")

    def test_the_database_of_another_program(self, tmp_path):
        with sqlite3.connect(tmp_path / "bank.db") as connection:
            connection.execute("CREATE TABLE accounts (id INTEGER)")
        connection.close()
        content = (tmp_path / "bank.db").read_bytes()
        refused(tmp_path / "bank.db", r"it is a database, and no study file\.$")
        assert (tmp_path / "bank.db").read_bytes() == content

    @pytest.mark.parametrize("end", [".study", ".db"])
    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (
                (f'"schema": {SCHEMA}', '"schema": 99'),
                r"The record of .* has schema 99; this version of optuna_search reads up",
            ),
            (
                ('"fit_time"', '"fit_tome"'),
                r"The record of trial \d+ cannot be read: it is damaged, or was changed by .* \(KeyError",
            ),
        ],
        ids=["newer", "damaged"],
    )
    def test_records_that_cannot_be_read(self, damage, reason, end, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / f"out{end}", path)
        old, new = damage
        if end == ".study":
            text = (tmp_path / "out.study").read_text()
            (tmp_path / "out.study").write_text(text.replace(old.replace(" ", ""), new.replace(" ", "")))
        else:
            with sqlite3.connect(tmp_path / "out.db") as file:
                for name in ("trial_user_attributes", "study_user_attributes"):
                    file.execute(f"UPDATE {name} SET value_json = replace(value_json, ?, ?)", damage)
            file.close()
        refused(tmp_path / f"out{end}", reason)

    def test_a_database_of_a_newer_schema(self, path, tmp_path):  # noqa: F811
        studies.export_study("svc", tmp_path / "out.db", path)
        with sqlite3.connect(tmp_path / "out.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
        connection.close()
        content = (tmp_path / "out.db").read_bytes()
        refused(tmp_path / "out.db", r"The runtime optuna version .* is no longer compatible|.*v99")
        assert (tmp_path / "out.db").read_bytes() == content

    def test_a_study_of_another_tool(self, path, tmp_path):  # noqa: F811
        rich(path)
        studies.export_study("rich", tmp_path / "rich.study", path)
        refused(
            tmp_path / "rich.study",
            r"the study 'rich' in it is cut off, or optuna_search did not make it; copy_study copies any\.$",
        )
        studies.copy_study("rich", "rich", tmp_path / "rich.study", new_storage=tmp_path / "back.journal")
        assert trials_as_text(tmp_path / "back.journal", "rich") == trials_as_text(path, "rich")

    def test_a_file_without_a_study(self, tmp_path):
        opened(tmp_path / "s.journal")
        opened(tmp_path / "s.db")
        for end in (".journal", ".db"):
            refused(tmp_path / f"s{end}", r"there is no study in it\.$")

    def test_a_file_that_is_not_there(self, tmp_path):
        (tmp_path / "folder.db").mkdir()
        for name in ("none.study", "none.db", "folder.db"):
            refused(tmp_path / name, r"there is no such file\.$")
        assert [file.name for file in tmp_path.iterdir()] == ["folder.db"]


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["svc", "svc.xlsx", "svc.csv.gz", ".csv", "svc.CSV", "svc\0.csv"])
def test_an_unknown_ending_is_refused(name, path, tmp_path):  # noqa: F811
    expected = r"must end in one of \.csv, \.json, \.parquet, \.journal, \.study, \.db\.$"
    with pytest.raises(InvalidRequestError, match=r"^path='.*" + expected):
        studies.export_study("svc", f"{tmp_path}/{name}", path)
    with pytest.raises(InvalidRequestError, match=r"must end in one of \.journal, \.study, \.db\.$"):
        studies.import_study(f"{tmp_path}/{name}", path)


@pytest.mark.parametrize("given", [None, 5, b"svc.csv", ["svc.csv"]], ids=repr)
def test_what_is_no_path_is_refused(given, path):  # noqa: F811
    for call in (lambda: studies.export_study("svc", given, path), lambda: studies.import_study(given, path)):
        with pytest.raises(InvalidRequestError, match=re.escape(f"path={given!r} must be a path.")):
            call()


@pytest.mark.parametrize("end", [".csv", ".study", ".db"])
def test_a_folder_that_is_not_there_is_not_made(end, path, tmp_path):  # noqa: F811
    out = tmp_path / "nowhere" / f"svc{end}"
    expected = re.escape(f"{out} cannot be written: there is no folder {out.parent}.")
    with pytest.raises(StorageError, match=expected):
        studies.export_study("svc", out, path)
    (tmp_path / f"folder{end}").mkdir()
    with pytest.raises(StorageError, match=r"cannot be written: it is a folder\.$"):
        studies.export_study("svc", tmp_path / f"folder{end}", path)
    assert not out.parent.exists() and list((tmp_path / f"folder{end}").iterdir()) == []


@pytest.mark.parametrize("end", [".csv", ".study", ".db"])
def test_a_path_may_have_any_character(end, path, tmp_path):  # noqa: F811
    folder = tmp_path / "100%25 {it}'s ü?#"
    folder.mkdir()
    out = folder / f"what? 50% {{x}} #1{end}"
    studies.export_study("svc", out, path)
    assert [file.name for file in folder.iterdir()] == [out.name]
    if end != ".csv":
        assert studies.import_study(out, InMemoryStorage()) == "svc"


@pytest.mark.parametrize("name", ["", "a\0b", 5])
def test_what_is_no_name_is_refused(name, path, tmp_path):  # noqa: F811
    studies.export_study("svc", tmp_path / "out.study", path)
    with pytest.raises(InvalidRequestError, match=r"^study_name="):
        studies.import_study(tmp_path / "out.study", path, study_name=name)


def test_dates_of_exports_are_iso(path, tmp_path):  # noqa: F811
    studies.export_study("svc", tmp_path / "s.json", path)
    for row in table(tmp_path / "s.json"):
        assert datetime.datetime.fromisoformat(row["started"]) <= datetime.datetime.fromisoformat(row["ended"])


SPACE = {"x": FloatDistribution(0, 6)}
