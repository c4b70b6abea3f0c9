"""The examples do what they say."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_readme import ROOT, environment, run

from optuna_search import studies

pytestmark = pytest.mark.slow
PATIENCE = 120.0
MANY_MODELS = str(ROOT / "examples" / "many_models.py")
TWO_TERMINALS = str(ROOT / "examples" / "one_script_two_terminals.py")
FATES = ("carried", "filled", "dropped")
WITHOUT_LIGHTGBM = "import runpy, sys; sys.modules['lightgbm'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


def test_the_digits_example_searches_then_finds_its_trials_and_then_continues(tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "digits.py")
    first, second, third = (run([script, n], tmp_path) for n in ("6", "6", "9"))
    for done in (first, second, third):
        assert done.returncode == 0, done.stderr
        default, best = map(float, re.findall(r"^  ([01]\.\d{4})  the", done.stdout, re.MULTILINE))
        assert best >= default, "searching is worth it on data that no trial has seen"
    assert "6/6" in first.stderr, "the progress bar is on stderr"
    assert first.stdout == second.stdout, "the second run finds the trials of the first"
    assert "The best of 6 trials" in first.stdout
    assert "The best of 9 trials" in third.stdout


@pytest.mark.parametrize(
    "args", [[MANY_MODELS], ["-c", WITHOUT_LIGHTGBM, MANY_MODELS]], ids=["with lightgbm", "without it"]
)
def test_many_models_tells_its_story_without_a_warning_and_leaves_no_file_here(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    done = run(["-W", "error", *args], here)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(here.iterdir()) == []
    assert "with its 20 trials, and goes on to 30" in done.stdout
    carried, filled, dropped = (int(re.search(rf"^{w} +(\d+)", done.stdout, re.M)[1]) for w in FATES)
    assert carried == filled and carried > 0 and dropped > 0 and carried + dropped == 20
    folder = Path(re.search(r"^All of it is in (.+)\. From", done.stdout, re.MULTILINE)[1])
    assert {path.name for path in folder.glob("*.db")} == {"diabetes.db", "ridge-2026.db"}
    entries = {entry.name: entry for entry in studies.list_studies(folder / "diabetes.db")}
    assert len(entries) == 4
    assert entries["boosting-finer"].n_trials == 15
    assert entries["boosting-finer"].forked_from in entries
    (moved,) = studies.list_studies(folder / "ridge-2026.db")
    assert (moved.name, moved.n_trials) == ("ridge-2026", 20)


@contextlib.contextmanager
def terminal(folder: Path, n_trials: int, name: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the script as in a terminal of its own; yield the process, and the file with what it says."""
    output = folder / f"{name}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", TWO_TERMINALS, str(n_trials)],
            cwd=folder, env=environment(), stdout=file, stderr=file,
        )  # fmt: skip
    try:
        yield process, output
    finally:
        process.kill()
        process.wait(PATIENCE)


def trials_in(output: Path) -> list[int]:
    """Return the numbers of the trials that a process says it has run."""
    return [int(number) for number in re.findall(r"trial (\d+): accuracy [01]\.\d{4}$", output.read_text(), re.M)]


def test_one_script_in_two_terminals_survives_that_one_is_killed_and_is_continued_by_two_workers_from_one(
    tmp_path: Path,
) -> None:
    deadline = time.monotonic() + PATIENCE
    with terminal(tmp_path, 30, "victim") as (victim, its), terminal(tmp_path, 30, "survivor") as (survivor, other):
        while min(len(trials_in(its)), len(trials_in(other))) < 3:
            assert time.monotonic() < deadline, "both should be at work"
            assert victim.poll() is survivor.poll() is None, its.read_text() + other.read_text()
            time.sleep(0.02)
        victim.kill()
        assert victim.wait(PATIENCE) == -9, "it was killed before it was done"
        assert survivor.wait(PATIENCE) == 0, other.read_text()
    assert "the study has its 30 trials" in other.read_text()
    by_both = trials_in(its) + trials_in(other)
    assert len(set(by_both)) == len(by_both), "no trial was run twice"

    again = run(["-W", "error", TWO_TERMINALS, "30"], tmp_path)
    assert again.returncode == 0, again.stderr
    assert "the study has its 30 trials; 0 of them were run here, just now" in again.stdout
    (study,) = studies.list_studies(tmp_path / "two_terminals.db")
    assert study.state == "idle"
    assert study.n_trials == study.trials["COMPLETE"] == 30
    assert study.trials["RUNNING"] == 0

    done = run(["-m", "optuna_search", "run", f"{TWO_TERMINALS}:make", "--workers", "2"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("digits: 60 trials\nrank ")
    assert len(set(re.findall(r"^\[(\d+)\] trial", done.stderr, re.MULTILINE))) == 2, "both have a share"
