"""The command optuna-search: it does what the library does, says it in one line, and leaves no process behind."""

import contextlib
import io
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from estimators import FailsOn, KnownScore, ScoresOddly, high, low
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from processes import PATIENCE, PLACES, wait_until
from test_compare import of_failures
from test_storage import search

from optuna_search import OptunaSearchCV, _run
from optuna_search.__main__ import main, strict
from optuna_search._arguments import COMMANDS, parser
from optuna_search._commands import COMMANDS as DONE
from optuna_search._commands import _ending
from optuna_search._job import Fault, Job, fault_of, prepared
from optuna_search._record import CLAIM
from optuna_search._run import Outcome, Plan, Standing, View, _signals_noted, plan_of, study_name_of
from optuna_search._storage import open_storage

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    """No storage by default, a folder of its own, and no module or path left behind."""
    monkeypatch.delenv("OPTUNA_SEARCH_STORAGE", raising=False)
    monkeypatch.setenv("PYTHONPATH", PLACES)
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a command that is killed tidies nothing up
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = set(sys.modules)
    yield
    for name in {
        n for n in set(sys.modules) - modules if str(tmp_path) in str(getattr(sys.modules[n], "__file__", ""))
    }:
        del sys.modules[name]


@pytest.fixture
def kept(tmp_path):
    """A journal with three studies: a good one, another one, and one by several metrics."""
    path = str(tmp_path / "s.journal")
    how = {"storage": path, "n_trials": None, "sampler": None, "refit": False}
    search({"x": [1.0, 2.5, 5.0]}, study_name="svc", **how).fit(X, Y)
    search({"x": [4.0]}, KnownScore(peak=9.0), study_name="forest", **how).fit(X, Y)
    several = {"scoring": {"high": high, "low": low}} | how | {"refit": "low"}
    search({"x": [1.0, 2.5]}, study_name="several", **several).fit(X, Y)
    return path


def says(capsys, *words):
    """Run the command in this process; return its exit code, what it prints, and what it complains of."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def told(capsys, *words):
    """What the command answers to a program."""
    code, out, err = says(capsys, "--json", *words)
    assert (code, err) == (0, "")
    return json.loads(out, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def console(*words, **how):
    """A process of the command, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "optuna_search", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


# --- what may be written ----------------------------------------------------------------------------------------------


class TestWritten:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_help_with_an_example_that_can_be_given(self, command, capsys):
        with pytest.raises(SystemExit, match=r"^0$"):
            main([command, "--help"])
        (example,) = re.findall(r"^  (optuna-search .*)$", capsys.readouterr().out, re.MULTILINE)
        args = parser().parse_args(shlex.split(example)[1:])
        assert args.command == command
        assert args.storage == (None if command == "salvage" else "searches.db")  # which takes two files

    def test_every_command_that_can_be_written_is_done(self):
        assert set(COMMANDS) == set(DONE)

    def test_the_help_lists_them(self, capsys):
        with pytest.raises(SystemExit, match=r"^0$"):
            main(["--help"])
        out = capsys.readouterr().out
        assert all(re.search(rf"^    {name} ", out, re.MULTILINE) for name in COMMANDS)
        assert "OPTUNA_SEARCH_STORAGE" in out

    @pytest.mark.parametrize("words", ["--storage s.db --json list", "list --storage s.db --json"])
    def test_storage_and_json_stand_before_the_command_or_after_it(self, words):
        args = parser().parse_args(words.split())
        assert (args.command, args.storage, args.json) == ("list", "s.db", True)

    def test_without_either_there_is_neither(self):
        args = parser().parse_args(["list"])
        assert (args.storage, args.json) == (None, False)

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("lsit", "argument COMMAND: invalid choice: 'lsit'. Did you mean 'list'?"),
            ("xyzzy", "argument COMMAND: invalid choice: 'xyzzy' (choose from "),
            ("", "the following arguments are required: COMMAND. See optuna-search --help."),
            ("show", "the following arguments are required: NAME. See optuna-search show --help."),
            ("list --jsn", "unrecognized arguments: --jsn. See optuna-search --help."),
            ("top svc -n 0", "argument -n: '0' is no whole number from 1. See optuna-search top --help."),
            ("run a.py:f --workers -1", "argument --workers: '-1' is no whole number from 1"),
            ("run a.py:f --workers two", "argument --workers: 'two' is no whole number from 1"),
            ("run a.py:f", "the following arguments are required: --workers"),
        ],
    )
    def test_what_is_not_understood_is_said_in_one_line(self, words, expected, capsys):
        code, out, err = says(capsys, *words.split())
        assert (code, out) == (2, "")
        assert err.startswith(f"optuna-search: {expected}")
        assert err.count("\n") == 1

    def test_and_to_programs_in_json(self, capsys):
        code, out, err = says(capsys, "lsit", "--json")
        assert (code, out) == (2, "")
        assert json.loads(err) == {"error": "argument COMMAND: invalid choice: 'lsit'. Did you mean 'list'?"}

    @pytest.mark.parametrize("command", ["list", "show svc", "top svc", "delete svc --yes", "compare a b"])
    def test_without_any_storage_it_asks_for_one(self, command, capsys):
        code, out, err = says(capsys, *command.split())
        assert (code, out) == (2, "")
        assert err == (
            "optuna-search: where are the studies? Give --storage, or set the environment variable "
            "OPTUNA_SEARCH_STORAGE.\n"
        )

    def test_the_environment_says_where_and_the_command_line_says_it_louder(self, kept, monkeypatch, capsys):
        monkeypatch.setenv("OPTUNA_SEARCH_STORAGE", kept)
        assert len(told(capsys, "list")) == 3
        code, _, err = says(capsys, "list", "--storage", "nowhere.db")
        assert code == 1
        assert "nowhere.db" in err

    def test_the_script_of_the_project_is_this_command(self):
        project = Path(__file__).parent.parent / "pyproject.toml"
        module, _, name = tomllib.loads(project.read_text())["project"]["scripts"]["optuna-search"].partition(":")
        assert getattr(import_module(module), name) is main


# --- looking ----------------------------------------------------------------------------------------------------------


class TestLooking:
    def test_list_is_a_table_for_people(self, kept, capsys):
        code, out, err = says(capsys, "list", "--storage", kept)
        assert (code, err) == (0, "")
        header, _, *rows = out.splitlines()
        assert header.split()[:2] == ["name", "state"]
        assert [row.split()[0] for row in rows] == ["svc", "forest", "several"]
        assert "3 complete" in rows[0]

    def test_and_a_list_for_programs(self, kept, capsys):
        entries = told(capsys, "list", "--storage", kept)
        assert [entry["name"] for entry in entries] == ["svc", "forest", "several"]
        assert entries[0]["trials"]["COMPLETE"] == 3
        assert entries[0]["best_score"] == pytest.approx(9.5, abs=0.2)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+", entries[0]["started"])

    def test_top_is_the_leaderboard(self, kept, capsys):
        expected = OptunaSearchCV.from_study("svc", kept, KnownScore()).top_n_
        assert says(capsys, "top", "svc", "--storage", kept) == (0, f"{expected!r}\n", "")
        leaders = told(capsys, "top", "svc", "-n", 2, "--storage", kept)
        assert [(leader["rank"], leader["trial_number"], leader["params"]) for leader in leaders] == [
            (1, 1, {"x": 2.5}),
            (2, 0, {"x": 1.0}),
        ]
        assert leaders[0]["score"] == expected[0].score

    def test_by_any_metric(self, kept, capsys):
        assert [leader["trial_number"] for leader in told(capsys, "top", "several", "--storage", kept)] == [0, 1]
        by_high = told(capsys, "top", "several", "--by", "high", "--storage", kept)
        assert [leader["trial_number"] for leader in by_high] == [1, 0]

    def test_a_front_of_one_goal(self, kept, capsys):
        code, _, err = says(capsys, "top", "several", "--front", "--storage", kept)
        assert (code, err) == (
            1, "optuna-search: A Pareto front is of several goals, and here 'low' is the only one.\n"
        )  # fmt: skip

    def test_a_mistyped_metric(self, kept, capsys):
        code, _, err = says(capsys, "top", "several", "--by", "hihg", "--storage", kept)
        assert code == 1
        assert err == (
            "optuna-search: by='hihg' is not a metric of this search; there are: high, low, fit_time, score_time. "
            "Did you mean 'high'?\n"
        )

    @of_failures
    def test_show_says_what_a_study_is(self, tmp_path, capsys):
        path = tmp_path / "s.journal"
        how = {"storage": path, "study_name": "svc", "n_trials": None, "sampler": None, "scoring": None}
        search({"x": [1.0, 2.0]}, FailsOn(bad=(2.0,)), **how).fit(X, Y)
        code, out, err = says(capsys, "show", "svc", "--storage", path)
        assert (code, err) == (0, "")
        facts = dict(re.findall(r"^(\S.*?)  +(.*)$", out, re.MULTILINE))
        assert facts["study"] == "svc (idle)"
        assert facts["estimator"] == "FailsOn(bad=(2.0,))"
        assert facts["X"].startswith("shape [12, 2], dtype float64")
        assert facts["folds"] == "2 (train + test: 2 × 6 + 6)"
        assert facts["scoring"] == "the estimator's own score"
        assert facts["trials"] == "1 complete, 1 fail"
        assert facts["failures"] == "1 × ValueError: x=2.0 is bad in fit"
        assert facts["best"] == "score -1.0000 ± 0.0000 (standard error) in trial 0 with x=1.0"
        assert facts["corrected"] == "-1.0000, without what the best of many is expected to owe to luck"
        assert "forked from" not in facts
        assert f"scikit-learn {sys.modules['sklearn'].__version__}" in facts["versions"]

        OptunaSearchCV.from_study("svc", path, FailsOn(bad=(2.0,)), {"x": [1.0, 2.0]}, cv=2).fork(
            {"x": [1.0, 3.0]}, study_name="forked", refit=False
        ).fit(X, Y)
        _, out, _ = says(capsys, "show", "forked", "--storage", path)
        assert "forked from  svc, with 1 of the trials\n" in out
        assert told(capsys, "show", "forked", "--storage", path)["carried_over"] == 1

        data = told(capsys, "show", "svc", "--storage", path)
        assert data["failures"] == [{"reason": "ValueError: x=2.0 is bad in fit", "trials": 1}]
        assert data["best"]["params"] == {"x": 1.0}
        assert data["measured_on"]["X"]["shape"] == [12, 2]
        assert data["fold_sizes"] == [[6, 6], [6, 6]]

    def test_trials_that_were_given_up_are_no_failures(self, tmp_path, capsys):
        path = tmp_path / "s.journal"
        fitted = search(storage=path, study_name="s").fit(X, Y)
        left = create_trial(state=TrialState.FAIL, user_attrs={CLAIM: {}, "failure": "abandoned"})
        fitted.study_.add_trials([left, left])
        data = told(capsys, "show", "s", "--storage", path)
        assert (data["failures"], data["given_up"]) == ([], [{"reason": "abandoned", "trials": 2}])
        out = says(capsys, "show", "s", "--storage", path)[1]
        assert re.search(r"^given up +2 × abandoned$", out, re.MULTILINE)
        assert "\nfailures" not in out

    @of_failures
    def test_many_reasons_of_failures_are_not_all_listed(self, tmp_path, capsys):
        space = {"x": [float(i) for i in range(9)]}
        how = {"storage": tmp_path / "s.journal", "study_name": "s", "n_trials": None, "sampler": None}
        search(space, FailsOn(bad=tuple(map(float, range(1, 9)))), **how).fit(X, Y)
        _, out, _ = says(capsys, "show", "s", "--storage", tmp_path / "s.journal")
        assert out.count("1 × ValueError") == 5
        assert "and 3 reasons more" in out

    @of_failures
    def test_a_study_without_any_score_can_be_shown(self, tmp_path, capsys):
        path = tmp_path / "s.journal"
        failing = search({"x": [1]}, FailsOn(bad=(1,)), storage=path, study_name="s", sampler=None, n_trials=None)
        with pytest.raises(ValueError, match="All the 2 fits failed"):
            failing.fit(X, Y)
        assert "no trial has a score yet" in says(capsys, "show", "s", "--storage", path)[1]
        assert says(capsys, "top", "s", "--storage", path)[1] == "no trial has a score yet\n"
        assert told(capsys, "show", "s", "--storage", path)["best"] is None
        assert told(capsys, "top", "s", "--storage", path) == []

    def test_compare_is_the_comparison(self, kept, capsys):
        code, out, _ = says(capsys, "compare", "svc", "forest", "--storage", kept)
        assert code == 0
        assert "Nadeau & Bengio" in out
        data = told(capsys, "compare", "svc", "forest", "--storage", kept)
        assert [entry["study"] for entry in data["entries"]] == ["svc", "forest"]
        assert data["pairs"][0]["mean_difference"] == pytest.approx(
            data["entries"][0]["score"] - data["entries"][1]["score"]
        )

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("svc", r"compare\(\) needs at least two studies; 1 given\."),
            ("svc svc", r"study 'svc' is given twice"),
            ("svc forst", r"Did you mean 'forest'\?"),
            ("svc several", r"share no metric"),
        ],
    )
    def test_what_cannot_be_compared(self, words, expected, kept, capsys):
        code, out, err = says(capsys, "compare", *words.split(), "--storage", kept)
        assert (code, out) == (1, "")
        assert re.search(expected, err)

    @of_failures
    @pytest.mark.filterwarnings("ignore:invalid value encountered in subtract:RuntimeWarning")  # scikit-learn's own
    def test_what_is_no_finite_number_is_null_to_a_program(self, tmp_path, capsys):
        how = {"storage": tmp_path / "s.journal", "study_name": "s", "n_trials": None, "sampler": None, "refit": False}
        search({"x": [-math.inf]}, ScoresOddly(), **how).fit(X, Y)
        (leader,) = told(capsys, "top", "s", "--storage", tmp_path / "s.journal")
        assert (leader["score"], leader["std"]) == (None, None)

    def test_json_holds_texts_where_it_has_no_form(self):
        assert strict({1: (float("inf"), b"x", True)}) == {"1": [None, "b'x'", True]}


# --- changing ---------------------------------------------------------------------------------------------------------


class TestChanging:
    def test_rename(self, kept, capsys):
        assert says(capsys, "rename", "svc", "svc-2026", "--storage", kept) == (0, "'svc' is now 'svc-2026'\n", "")
        assert "svc" not in [entry["name"] for entry in told(capsys, "list", "--storage", kept)]

    def test_rename_into_another_storage_moves_it(self, kept, tmp_path, capsys):
        there = tmp_path / "archive.journal"
        assert told(capsys, "rename", "svc", "svc", "--new-storage", there, "--storage", kept) == {"study": "svc"}
        assert [entry["name"] for entry in told(capsys, "list", "--storage", there)] == ["svc"]
        assert [entry["name"] for entry in told(capsys, "list", "--storage", kept)] == ["forest", "several"]

    def test_copy(self, kept, tmp_path, capsys):
        assert says(capsys, "copy", "svc", "again", "--storage", kept)[:2] == (0, "'again' is a copy of 'svc'\n")
        there = tmp_path / "other.journal"
        assert told(capsys, "copy", "svc", "svc", "--new-storage", there, "--storage", kept) == {"study": "svc"}
        boards = [
            told(capsys, "top", name, "--storage", place)
            for name, place in [("svc", kept), ("again", kept), ("svc", there)]
        ]
        assert boards[0] == boards[1] == boards[2]

    def test_export_and_import(self, kept, tmp_path, capsys):
        file, there = tmp_path / "svc.study", tmp_path / "there.journal"
        assert says(capsys, "export", "svc", file, "--storage", kept) == (0, f"'svc' is in {file}\n", "")
        assert told(capsys, "import", file, "--name", "mine", "--storage", there) == {"study": "mine"}
        assert told(capsys, "top", "mine", "--storage", there) == told(capsys, "top", "svc", "--storage", kept)

    def test_report(self, kept, tmp_path, capsys):
        file = tmp_path / "svc.html"
        done = says(capsys, "report", "svc", file, "--storage", kept)
        assert done == (0, f"the report of 'svc' is in {file}\n", "")
        assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        assert told(capsys, "report", "svc", file, "--storage", kept) == {"study": "svc", "path": str(file)}

    def test_a_report_where_plotly_is_not_installed(self, kept, capsys, monkeypatch):
        for module in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "plotly", None)
        code, out, err = says(capsys, "report", "svc", "svc.html", "--storage", kept)
        assert (code, out) == (1, "")
        assert re.fullmatch(r"optuna-search: .*Figures need plotly.*pip install 'optuna-search\[plots\]'\.\n", err)

    def test_an_ending_without_a_form(self, kept, capsys):
        code, _, err = says(capsys, "export", "svc", "svc.xyz", "--storage", kept)
        assert code == 1
        assert err.startswith("optuna-search: path='svc.xyz' must end in one of ")

    def test_delete_with_yes(self, kept, capsys):
        assert told(capsys, "delete", "svc", "--yes", "--storage", kept) == {"deleted": "svc"}
        assert len(told(capsys, "list", "--storage", kept)) == 2

    def test_without_a_terminal_it_deletes_nothing_that_it_was_not_sure_of(self, kept, monkeypatch, capsys):
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        code, out, err = says(capsys, "delete", "svc", "--storage", kept)
        assert (code, out) == (2, "")
        assert err.endswith("there is no terminal to ask on: give --yes.\n")
        assert len(told(capsys, "list", "--storage", kept)) == 3

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("\n", 1), ("n\n", 1), ("", 1)])
    def test_on_a_terminal_it_asks(self, answer, code, kept, monkeypatch, capsys):
        terminal = io.StringIO(answer)
        terminal.isatty = lambda: True
        monkeypatch.setattr(sys, "stdin", terminal)
        ended, _, err = says(capsys, "delete", "svc", "--storage", kept)
        assert ended == code
        assert err.startswith("Delete 'svc' with its 3 trials for good? [y/N] ")
        assert ("'svc' was not deleted." in err) == bool(code)
        assert len(told(capsys, "list", "--storage", kept)) == 2 + code

    def test_ctrl_c_at_the_question_deletes_nothing(self, kept, monkeypatch, capsys):
        terminal = io.StringIO()
        terminal.isatty = lambda: True
        terminal.readline = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
        monkeypatch.setattr(sys, "stdin", terminal)
        assert says(capsys, "delete", "svc", "--storage", kept)[0] == 130
        assert len(told(capsys, "list", "--storage", kept)) == 3

    def test_ctrl_c_may_come_while_a_class_is_being_made(self, capsys, monkeypatch):
        def wrapped(args):
            raise RuntimeError("Error calling __set_name__ on a field") from KeyboardInterrupt()

        monkeypatch.setitem(DONE, "list", wrapped)
        assert says(capsys, "list", "--storage", "s.db") == (130, "", "")


# --- odd names, and storages that are none ----------------------------------------------------------------------------

ODD = {
    "quotes": """a'b"c`d""",
    "slashes": "../../etc/passwd",
    "backslashes": r"C:\CON",
    "300 characters": "x" * 300,
    "right to left": "\u202eevil שלום",
    "an escape": "\x1b[31mred\x07\nline",
    "SQL": "x'; DROP TABLE studies; --",
    "spaces": "  two  ",
    "a dash": "-n",
}


class TestOddities:
    @pytest.mark.parametrize("name", ODD.values(), ids=ODD)
    def test_a_name_is_a_name(self, name, tmp_path, capsys):
        path = tmp_path / "s.journal"
        search({"x": [1.0]}, storage=path, study_name="s", sampler=None, n_trials=None).fit(X, Y)
        before = {file.name for file in tmp_path.iterdir()}
        assert says(capsys, "rename", "--storage", path, "--", "s", name)[0] == 0
        assert [entry["name"] for entry in told(capsys, "list", "--storage", path)] == [name]
        for command in ("show", "top"):
            code, out, err = says(capsys, command, "--storage", path, "--", name)
            assert (code, err) == (0, "")
            assert all(char.isprintable() or char == "\n" for char in out)
        out = says(capsys, "list", "--storage", path)[1]
        assert all(char.isprintable() or char == "\n" for char in out)
        assert len(out.splitlines()) == 3
        assert says(capsys, "delete", "--yes", "--storage", path, "--", name)[0] == 0
        assert told(capsys, "list", "--storage", path) == []
        assert {file.name for file in tmp_path.iterdir()} == before

    def test_a_mistyped_name(self, kept, capsys):
        for command in ("show", "top", "delete --yes", "export", "report", "rename", "copy"):
            verb, *options = command.split()
            more = {"export": ["f.csv"], "report": ["f.html"], "rename": ["new"], "copy": ["new"]}.get(verb, [])
            code, out, err = says(capsys, verb, "forst", *more, *options, "--storage", kept)
            assert (code, out) == (1, "")
            assert "Did you mean 'forest'?" in err
            assert err.count("\n") == 1

    def test_nothing_of_an_error_steers_a_terminal(self, kept, capsys):
        _, _, err = says(capsys, "show", "\x1b]0;title\x07", "--storage", kept)
        assert all(char.isprintable() for char in err.rstrip("\n"))

    @pytest.mark.parametrize("name", ["notes.txt", "empty.db"])
    def test_a_file_that_is_no_study_file_is_refused_and_left_as_it_is(self, name, tmp_path, capsys):
        file = tmp_path / name
        file.write_text("" if name == "empty.db" else "these are notes\n")
        code, out, err = says(capsys, "list", "--storage", file)
        assert (code, out) == (1, "")
        assert err.startswith("optuna-search: ") and "Traceback" not in err
        assert err.count("\n") == 1
        assert file.read_text() == ("" if name == "empty.db" else "these are notes\n")

    def test_a_storage_that_is_not_there_is_not_made(self, tmp_path, capsys):
        code, _, err = says(capsys, "list", "--storage", "nowhere.db")
        assert code == 1
        assert err.startswith("optuna-search: storage='nowhere.db': there is no file")
        assert list(tmp_path.iterdir()) == []

    def test_a_study_of_somebody_else(self, tmp_path, capsys):
        open_storage(tmp_path / "s.journal").create_new_study([StudyDirection.MINIMIZE], "theirs")
        code, _, err = says(capsys, "show", "theirs", "--storage", tmp_path / "s.journal")
        assert code == 1
        assert "is a study that optuna_search did not make" in err
        assert told(capsys, "list", "--storage", tmp_path / "s.journal")[0]["state"] == "foreign"

    @pytest.mark.parametrize(
        "words",
        [
            "list --storage {}",
            "--storge {} list",
            "{}",
            "rename a b --storage {}",
            "run nowhere.py:f --workers 1 --storage {}",
        ],
    )
    @pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
    def test_a_password_is_never_shown(self, words, as_json, capsys):
        url = "postgresql+psycopg://me:geheim@127.0.0.1:1/db"
        code, out, err = says(capsys, *words.format(url).split(), *["--json"] * as_json)
        assert code in (1, 2)
        assert err
        assert "geheim" not in out + err

    def test_nor_one_from_the_environment(self, monkeypatch, capsys):
        monkeypatch.setenv("OPTUNA_SEARCH_STORAGE", "postgresql+psycopg://me:geheim@127.0.0.1:1/db")
        code, out, err = says(capsys, "list")
        assert code == 1
        assert "me:***@127.0.0.1" in err and "geheim" not in out + err

    def test_a_warning_is_one_line(self, kept, monkeypatch, capsys):
        def warned(args):
            import warnings

            warnings.simplefilter("always")
            warnings.warn("take\x1bcare", UserWarning, stacklevel=1)
            raise KeyError("what we did not think of")

        monkeypatch.setitem(DONE, "list", warned)
        code, _, err = says(capsys, "list")
        assert code == 1
        assert err == ("optuna-search: warning: take?care\noptuna-search: KeyError: 'what we did not think of'\n")


class TestConsole:
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_who_stops_reading_is_no_error(self, unbuffered):
        with console("--help", env=os.environ | {"PYTHONUNBUFFERED": unbuffered}) as process:
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait() == (0 if unbuffered else 141)  # argparse keeps it to itself

    def test_nor_is_it_in_the_middle_of_a_table(self, kept, monkeypatch, capsys):
        class Closed(io.StringIO):
            def write(self, text):
                raise BrokenPipeError

        monkeypatch.setattr(sys, "stdout", Closed())
        assert says(capsys, "list", "--storage", kept)[::2] == (141, "")

    def test_help_does_not_wait_for_anything_large(self):
        code = (
            "import sys, optuna_search.__main__ as m; m.main(['lsit']); print({'optuna', 'sklearn'} & {*sys.modules})"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "set()\n"


# --- run: before anything is started ----------------------------------------------------------------------------------

SCRIPT = """
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from estimators import CountsFits, KnownScore
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage

from optuna_search import OptunaSearchCV

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
IN_A_WORKER = "_worker" in sys.argv


class Slow(KnownScore):
    # Takes its time, and waits until a second worker is there, too.
    def fit(self, X, y=None):
        Path(f"at-work-{os.getpid()}").touch()
        for _ in range(600):
            if len([*Path().glob("at-work-*")]) > 1:
                break
            time.sleep(0.1)
        time.sleep(0.05)
        return super().fit(X, y)


class Breaks(KnownScore):
    def fit(self, X, y=None):
        raise ZeroDivisionError("the user's own fault")


def a_search(estimator=None, **how):
    how = {"n_trials": 20, "cv": 2, "study_name": "s", "sampler": "random", "random_state": 0} | how
    return OptunaSearchCV(estimator or KnownScore(), {"x": FloatDistribution(0, 6)}, **how)


class Here(KnownScore):
    pass


class Deaf(KnownScore):
    def fit(self, X, y=None):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass


def deaf():
    return a_search(Deaf()), X, Y


def make():
    print("made")
    return a_search(CountsFits("fits"), verbose=2), X, Y


def endless():
    return a_search(Slow(), n_trials=100_000), X, Y


def elsewhere():
    return a_search(n_trials=100_000, storage="own.journal"), X, Y


def slow():
    return a_search(Slow(), n_trials=24), X, Y


def parallel():
    if IN_A_WORKER:
        warnings.warn("be careful", UserWarning, stacklevel=1)
    return a_search(Here(), n_trials=2, study_name=None, n_jobs=2), X, Y


def breaks():
    return a_search(Breaks(), error_score="raise"), X, Y


def differs():
    return a_search(), X + np.random.default_rng().normal(size=X.shape), Y


def without_y():
    return a_search(), X


def in_memory():
    return a_search(storage=InMemoryStorage()), X, Y


def in_a_database_in_memory():
    return a_search(storage="sqlite://"), X, Y


def unusable():
    return a_search(n_trials=-1, cv="x"), X, Y


def raises():
    return {}["missing"]


def leaves():
    sys.exit("no data today")


def nothing():
    return None


def two_things():
    return X, Y


not_a_function = 3
"""


@pytest.fixture
def script(tmp_path):
    """A file with functions to run; its name is that of no other test's."""
    file = tmp_path / f"run_{abs(hash(str(tmp_path)))}.py"
    file.write_text(SCRIPT)
    return file


class TestRefusedToRun:
    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            ("nothing", r"must return \(search, X, y\) with an OptunaSearchCV; it returned \(NoneType\)\."),
            ("two_things", r"it returned \(ndarray, ndarray\)"),
            ("mak", r"has no function 'mak'\. Did you mean 'make'\?"),
            ("not_a_function", r"has no function 'not_a_function'"),
            ("unusable", r"2 things cannot be used as given:\n  1\. .*cv.*\n  2\. .*n_trials"),
            ("leaves", r"leaves raised SystemExit: no data today"),
        ],
    )
    def test_what_the_function_gives_is_checked_once_and_first(self, function, expected, script, capsys):
        code, out, err = says(capsys, "run", f"{script}:{function}", "--workers", 2, "--storage", "s.db")
        assert (code, out) == (1, "")
        assert re.search(expected, err), err

    @pytest.mark.parametrize("function", ["endless", "in_memory", "in_a_database_in_memory"])
    def test_a_search_without_a_storage_is_told_what_is_missing(self, function, script, capsys):
        code, _, err = says(capsys, "run", f"{script}:{function}", "--workers", 2)
        assert code == 1
        assert err.startswith(f"optuna-search: {script}:{function}: storage=")
        assert err.endswith(
            " is memory, which processes cannot share; give the search a storage, or the command --storage.\n"
        )

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("nowhere.py:f", "there is no file nowhere.py."),
            ("no_such_module:f", "there is no module 'no_such_module', and a file ends in .py."),
            ("os.no_such:f", "there is no module 'os.no_such', and a file ends in .py."),
            ("search.py", "'search.py' must be FILE_OR_MODULE:FUNCTION, as in search.py:make."),
            (":f", "':f' must be FILE_OR_MODULE:FUNCTION, as in search.py:make."),
        ],
    )
    def test_what_is_not_there_is_said_so(self, target, expected, capsys):
        assert says(capsys, "run", target, "--workers", 1, "--storage", "s.db") == (
            1,
            "",
            f"optuna-search: {expected}\n",
        )

    def test_an_error_of_the_users_comes_with_their_own_lines_and_none_of_ours(self, script, capsys):
        code, out, err = says(capsys, "run", f"{script}:raises", "--workers", 2, "--storage", "s.db")
        assert (code, out) == (1, "")
        assert 'return {}["missing"]' in err
        assert err.endswith("raised KeyError: 'missing'\n")
        assert "optuna_search" not in err.replace("optuna-search", "")
        code, _, err = says(capsys, "run", f"{script}:raises", "--workers", 2, "--storage", "s.db", "--json")
        assert json.loads(err).keys() == {"error", "traceback"}

    def test_an_error_at_the_import_as_well(self, tmp_path, capsys):
        (tmp_path / "broken_one.py").write_text("import no_such_thing\n")
        code, _, err = says(capsys, "run", "broken_one.py:f", "--workers", 1, "--storage", "s.db")
        assert code == 1
        assert "importing broken_one.py raised ModuleNotFoundError: No module named 'no_such_thing'" in err
        assert "frozen importlib" not in err

    def test_a_file_with_the_name_of_another_module(self, tmp_path, capsys):
        (tmp_path / "json.py").write_text("def f(): ...\n")
        code, _, err = says(capsys, "run", "json.py:f", "--workers", 1, "--storage", "s.db")
        assert code == 1
        assert re.search(r"json\.py has the name of another module \(.*json.__init__\.py\); rename the file", err)


class TestPrepared:
    def test_a_worker_pursues_what_refit_names_and_fits_no_model(self, tmp_path):
        how = {"scoring": {"high": high, "low": low}, "refit": "low", "storage": tmp_path / "s.db", "n_trials": 2}
        fitted = prepared(search({"x": [1.0, 2.5]}, **how), Job("f:f", "s", "")).fit(X, Y)
        assert not hasattr(fitted, "best_estimator_")
        assert (fitted.refit, fitted.objectives, fitted.verbose) == (False, ["low"], 0)
        # To the search as it was this is its own study.
        again = search({"x": [1.0, 2.5]}, study_name="s", **how).fit(X, Y)
        assert again.best_params_ == {"x": 1.0}
        assert [trial.value for trial in again.study_.trials] == [trial.value for trial in fitted.study_.trials]

    @pytest.mark.parametrize(
        ("how", "objectives"),
        [
            ({"refit": "accuracy"}, None),
            ({"refit": "accuracy", "scoring": "accuracy"}, None),
            ({"refit": "b", "scoring": ["a", "b"], "objectives": ["a"]}, ["a"]),
            ({"refit": False, "scoring": ["a", "b"]}, None),
        ],
    )
    def test_only_where_there_is_a_choice(self, how, objectives):
        assert prepared(search(**how), Job("f:f", "s", "")).objectives == objectives

    def test_the_storage_of_the_command_line_is_taken(self):
        assert prepared(search(storage="a.db"), Job("f:f", "s", "", "b.db")).storage == "b.db"
        assert prepared(search(storage="a.db"), Job("f:f", "s", "")).storage == "a.db"

    @pytest.mark.parametrize(
        ("function", "given", "default", "expected"),
        [
            ("endless", "given.journal", "default.journal", "given.journal"),
            ("endless", None, "default.journal", "default.journal"),
            ("elsewhere", None, "default.journal", None),
            ("elsewhere", "given.journal", None, "given.journal"),
        ],
    )
    def test_a_search_with_a_storage_keeps_it_against_all_but_the_command_line(
        self, function, given, default, expected, script
    ):
        made = plan_of(f"{script}:{function}", given, default)
        assert made.override == expected
        assert (made.study_name, made.named, made.n_trials) == ("s", True, 100_000)
        assert Path(expected or "own.journal").is_file()

    def test_a_name_with_data_in_it_is_the_one_that_a_fit_would_take(self):
        made = search(study_name="svc-{data}", n_trials=1)
        assert study_name_of(made, X, Y) == made.fit(X, Y).study_.study_name
        assert study_name_of(made, X.tolist(), Y) == made.fit(X.tolist(), Y).study_.study_name

    def test_without_a_name_all_get_the_same_new_one(self):
        one, other = (study_name_of(search(), X, Y) for _ in range(2))
        assert re.fullmatch(r"KnownScore-\d{8}-\d{6}-\w{6}", one)
        assert one != other

    def test_an_error_with_a_traceback_in_it_gets_no_second_one(self):
        with pytest.raises(ValueError, match="Expecting property name") as raised:
            json.loads("{")
        assert fault_of(raised.value).traceback.startswith("Traceback (most recent call last)")
        raised.value.args = ("Traceback (most recent call last): ...",)
        assert fault_of(raised.value).traceback == ""


class Terminal(io.StringIO):
    """Standard error as a terminal has it."""

    def isatty(self):
        return True


def plan(n_trials=10):
    return Plan("f:f", "svc", True, None, InMemoryStorage(), n_trials)


class TestView:
    def test_on_a_terminal_it_is_one_bar(self, monkeypatch):
        monkeypatch.setattr(sys, "stderr", Terminal())
        view = View(plan(), 2, done=2)
        view.show(Standing(4, 1, 0.5), 2)
        view.say("worker 2 died (signal 9).")
        view.close(Standing(10, 1, 0.75))
        shown = sys.stderr.getvalue()
        assert "worker 2 died (signal 9).\n" in shown
        last = shown.splitlines()[-1]
        assert "svc:  20%" in shown, "it begins where the study is"
        assert "svc: 100%" in last and "10/10" in last and "best 0.7500, 1 failed" in last

    def test_elsewhere_it_is_a_line_now_and_then(self, monkeypatch, capsys):
        view = View(plan(), 2)
        view.show(Standing(), 2)
        view.show(Standing(1, 0, 0.5), 2)
        view.show(Standing(2, 0, 0.5), 2)  # too soon
        view.close(Standing(3, 3))
        assert capsys.readouterr().err.splitlines() == ["1/10 trials, best 0.5000, 2 workers", "3/10 trials, 3 failed"]

    def test_nothing_that_is_said_steers_the_terminal_or_tells_a_password(self, capsys):
        View(plan(), 1).say("worker 1: \x1b[2J\nno postgresql://me:geheim@host/db")
        assert capsys.readouterr().err == "worker 1: ?[2J\nno postgresql://me:***@host/db\n"

    def test_without_an_end_in_sight_it_counts(self, capsys):
        View(plan(None), 1).close(Standing(3))
        assert capsys.readouterr().err == "3 trials, no score yet\n"


ZERO = Fault("ZeroDivisionError", "ZeroDivisionError: by zero", "Traceback ...\n")


class TestTold:
    @pytest.mark.parametrize(
        ("code", "fault", "told", "expected"),
        [
            (0, None, set(), ""),
            (3, None, set(), "worker 1 ended with exit code 3."),
            (-9, None, set(), "worker 1 died (signal 9)."),
            (1, ZERO, set(), "worker 1: Traceback ...\nZeroDivisionError: by zero"),
            (1, ZERO, {"ZeroDivisionError"}, ""),
        ],
    )
    def test_how_a_worker_ended(self, code, fault, told, expected):
        assert _run._obituary(SimpleNamespace(number=1, code=code, fault=fault), told) == expected

    @pytest.mark.parametrize(
        ("n_trials", "done", "codes", "faults", "asked", "expected"),
        [
            (10, 10, [0, 0], [], [], 0),
            (10, 10, [-9, -9], [], [], 0),
            (10, 8, [0, -9], [], [], 0),  # a callback stopped it, or the time was up
            (None, 8, [0, -9], [], [], 0),
            (10, 9, [-9, 3], [], [], 1),
            (None, 9, [-9, 3], [], [], 1),
            (10, 10, [0, 1], [ZERO], [], 1),
            (10, 10, [0, 1], [ZERO], [signal.SIGINT], 130),
            (10, 3, [-15, -15], [], [signal.SIGTERM], 143),
        ],
    )
    def test_how_a_run_ended(self, n_trials, done, codes, faults, asked, expected):
        told = [*faults, *[None] * len(codes)][: len(codes)]
        workers = [SimpleNamespace(code=code, fault=fault) for code, fault in zip(codes, told, strict=True)]
        assert _run._outcome(plan(n_trials), Standing(done), workers, asked).code == expected

    @pytest.mark.parametrize(
        ("code", "faults", "named", "expected"),
        [
            (0, [], True, (None, None)),
            (1, [], True, ("the workers ended before the study was finished: {}; run the same again to go on.", None)),
            (1, [ZERO], True, ("1 of the workers failed. {}; run the same again to go on.", None)),
            (130, [], False, (None, "stopped: {}; give the search study_name='svc' to go on.")),
        ],
    )
    def test_and_how_to_go_on(self, code, faults, named, expected):
        found = _ending(Outcome(replace(plan(), named=named), Standing(3), code, faults))
        kept = "3 finished trials are kept in the study 'svc'"
        assert found == tuple(one and one.format(kept) for one in expected)


# --- run: for real ----------------------------------------------------------------------------------------------------


def trials_in(path, name="s"):
    """The trials of a study as the storage has them; none as long as there is no study."""
    with contextlib.suppress(KeyError):
        storage = open_storage(path)
        return storage.get_all_trials(storage.get_study_id_from_name(name))
    return []


def states_in(path, name="s"):
    return Counter(trial.state for trial in trials_in(path, name))


def owners_in(path):
    """The processes that run trials, or did."""
    return {trial.user_attrs[CLAIM]["pid"] for trial in trials_in(path) if CLAIM in trial.user_attrs}


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(path, owners=2, finished=3):
    """Wait until so many processes have claimed trials of a study, and so many trials are finished."""
    storage = []

    def at_work():
        time.sleep(0.1)  # the workers need the processor more than we do
        with contextlib.suppress(KeyError):
            if not storage and Path(path).exists():
                storage.append(open_storage(path))
            trials = [t for one in storage for t in one.get_all_trials(one.get_study_id_from_name("s"), deepcopy=False)]
            at_it = {trial.user_attrs[CLAIM]["pid"] for trial in trials if CLAIM in trial.user_attrs}
            return len(at_it) >= owners and sum(t.state == TrialState.COMPLETE for t in trials) >= finished
        return False

    wait_until(at_work, f"{owners} workers at work")


@contextlib.contextmanager
def meanwhile(act, path, **how):
    """Do something in another thread as soon as the workers of a run are at work."""

    def wait_and_act():
        wait_for(path, **how)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    yield
    thread.join()


class TestRun:
    def test_two_workers_fill_one_study_and_say_so(self, script, tmp_path, capsys):
        code, out, err = says(capsys, "run", f"{script}:make", "--workers", 2, "--storage", "s.journal", "--json")
        assert code == 0, err
        data = json.loads(out)
        assert (data["study"], data["n_trials"], data["failed"], data["errors"]) == ("s", 20, 0, [])
        assert len(data["top"]) == 5
        trials = trials_in("s.journal")
        states = Counter(trial.state for trial in trials)
        assert (states[TrialState.COMPLETE], states[TrialState.RUNNING]) == (20, 0)
        assert data["top"][0]["score"] == max(trial.value for trial in trials if trial.value is not None)
        assert len(Path("fits").read_text().splitlines()) == 20 * 2, "every fold once, and no last fit"
        lines = err.splitlines()
        assert lines.count("made") == 2, "here, and in the workers together once"
        assert lines[-1].startswith("20/20 trials, best ")
        assert not [line for line in lines if line.startswith("trial ")], "no worker shows progress of its own"
        assert not any(is_there(pid) for pid in owners_in("s.journal"))

    @pytest.mark.slow
    def test_models_of_the_file_are_found_by_joblibs_workers_too(self, script, capsys):
        code, out, err = says(capsys, "run", f"{script}:parallel", "--workers", 1, "--storage", "s.journal")
        assert code == 0, err
        assert re.match(r"Here-\d{8}-\d{6}-\w{6}: 2 trials\nrank  trial", out)
        assert err.count("UserWarning: be careful") == 1

    def test_one_that_is_killed_stops_nobody(
        self, script, capsys
    ):  # in a journal it might hold the lock, for half a minute
        def kill_one():
            os.kill(max(owners_in("s.db")), signal.SIGKILL)

        with meanwhile(kill_one, "s.db"):
            code, _, err = says(capsys, "run", f"{script}:slow", "--workers", 2, "--storage", "s.db")
        assert code == 0, err
        assert len(re.findall(r"^worker [12] died \(signal 9\)\.$", err, re.MULTILINE)) == 1
        states = states_in("s.db")
        assert states[TrialState.COMPLETE] == 24
        assert states[TrialState.RUNNING] == 0

    def test_what_all_workers_raise_is_shown_once_with_the_lines_that_raised_it(self, script, capsys):
        code, _, err = says(capsys, "run", f"{script}:breaks", "--workers", 2, "--storage", "s.journal")
        assert code == 1
        assert err.count("Traceback (most recent call last)") == 1
        assert err.count('raise ZeroDivisionError("the user\'s own fault")') == 1
        assert "2 of the workers failed. 0 finished trials are kept in the study 's'" in err
        assert states_in("s.journal")[TrialState.RUNNING] == 0

    @pytest.mark.slow
    def test_one_that_measures_something_else_is_told_and_the_rest_is_done(self, script, capsys):
        code, out, err = says(capsys, "run", f"{script}:differs", "--workers", 2, "--storage", "s.journal")
        assert code == 1
        assert err.count("was measured on something else") == 1
        assert "Traceback" not in err
        assert "1 of the workers failed. 20 finished trials" in err
        assert out.startswith("s: 20 trials\n")

    def test_whoever_is_not_to_hear_of_a_hangup_does_not(self):
        usual = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests were started with
        try:
            with _signals_noted() as asked:
                signal.raise_signal(signal.SIGHUP)
                assert asked == [signal.SIGHUP]
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            with _signals_noted() as asked:
                signal.raise_signal(signal.SIGHUP)
            assert asked == []
        finally:
            signal.signal(signal.SIGHUP, usual)

    def test_sigterm_to_the_command_alone_ends_all_in_order(self, script, capsys):
        with meanwhile(lambda: os.kill(os.getpid(), signal.SIGTERM), "s.journal"):
            code, _, err = says(capsys, "run", f"{script}:endless", "--workers", 2, "--storage", "s.journal")
        assert code == 143, err
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        states = states_in("s.journal")
        assert states[TrialState.RUNNING] == 0
        assert not any(is_there(pid) for pid in owners_in("s.journal"))
        assert (
            f"stopped: {states[TrialState.COMPLETE]} finished trials are kept in the study 's'; run the same again"
            in err
        )
        assert "Traceback" not in err

    @pytest.mark.slow
    def test_one_that_does_not_listen_is_ended_and_leaves_no_trial_behind(self, script, capsys, monkeypatch):
        monkeypatch.setattr(_run, "GRACE", 0.5)
        with meanwhile(lambda: signal.raise_signal(signal.SIGINT), "s.db", owners=1, finished=0):
            code, _, err = says(capsys, "run", f"{script}:deaf", "--workers", 1, "--storage", "s.db")
        assert code == 130, err
        (trial,) = trials_in("s.db")
        assert (trial.state, trial.user_attrs["failure"]) == (TrialState.FAIL, "abandoned")
        assert not is_there(trial.user_attrs[CLAIM]["pid"])

    @pytest.mark.slow
    def test_ctrl_c_ends_all_in_order(self, script):
        with console(
            "run", f"{script}:endless", "--workers", 2, "--storage", "s.journal", start_new_session=True
        ) as run:
            try:
                wait_for("s.journal")
                started = time.monotonic()
                os.killpg(run.pid, signal.SIGINT)  # as a terminal does
                _, err = run.communicate(timeout=PATIENCE)
                assert time.monotonic() - started < 10
            finally:
                run.kill()
        assert run.returncode == 130, err
        assert "Traceback" not in err
        assert "stopped: " in err
        assert states_in("s.journal")[TrialState.RUNNING] == 0
        assert not any(is_there(pid) for pid in owners_in("s.journal"))

    @pytest.mark.slow
    def test_workers_whose_parent_is_killed_finish_and_end(self, script):
        with console("run", f"{script}:slow", "--workers", 2, "--storage", "s.db") as run:
            wait_for("s.db")
            run.kill()
        workers = owners_in("s.db")
        wait_until(lambda: not any(map(is_there, workers)), "the workers to end")
        states = states_in("s.db")
        assert (states[TrialState.COMPLETE], states[TrialState.RUNNING]) == (24, 0)
