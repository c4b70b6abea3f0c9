"""What a user can read is executed: the code of the README, and the guide with its commands."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import optuna_search
from optuna_search import studies
from optuna_search.__main__ import main
from optuna_search._arguments import COMMANDS, VARIABLE

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
GUIDES = ("studies.md", "fewer_fits.md", "several_goals.md", "watching.md", "plots.md")
GUIDE = (ROOT / "docs" / "studies.md").read_text()


def environment() -> dict[str, str]:
    """Return an environment in which the package that is tested is found."""
    return os.environ | {"PYTHONPATH": str(Path(optuna_search.__file__).parent.parent)}


def run(args: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, as a user would."""
    return subprocess.run(
        [sys.executable, *args], cwd=folder, env=environment(), capture_output=True, text=True, timeout=250
    )


@pytest.mark.parametrize("code", BLOCKS, ids=[f"block {i}" for i in range(len(BLOCKS))])
def test_the_code_of_the_readme_runs_without_a_warning(code: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(code)
    done = run(["-W", "error", "script.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_first_example_of_the_readme_has_twelve_lines() -> None:
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs_from_its_beginning_to_its_end_and_prints_what_it_says(
    guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # for the workers of `run`
    monkeypatch.delenv(VARIABLE, raising=False)
    names: dict[str, Any] = {"__name__": "guide"}
    text = (ROOT / "docs" / guide).read_text()
    parts = re.findall(r"```(python|console)\n(.*?)```(?:\n```text\n(.*?)```)?", text, re.DOTALL)
    for kind, code, printed in parts:
        if kind == "python":
            exec(compile(code, f"docs/{guide}", "exec"), names)
            assert_printed(code, printed, capsys.readouterr().out)
            continue
        for command, _, expected in (step.partition("\n") for step in re.split(r"^\$ ", code, flags=re.M)[1:]):
            do(command, expected, monkeypatch)
            assert_printed(command, expected, capsys.readouterr().out)


def do(command: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what a command of the guide does: ours, or one of two that any shell has."""
    program, *args = shlex.split(command)
    match program:
        case "optuna-search":
            # The one command that goes on until somebody ends it.
            monkeypatch.setattr("optuna.storages.run_grpc_proxy_server", lambda storage, **_: None)
            if args[0] == "salvage":
                damage(args[1])
            assert main(args) == 0, command
        case "export":
            monkeypatch.setenv(*args[0].split("="))
        case "cat":
            Path(args[0]).write_text(expected)
            print(expected)
        case _:
            pytest.fail(f"the guide must not use {program}")


def damage(path: str) -> None:
    """Make a journal with a study, and a line in it that says nothing."""
    studies.copy_study("svc", "svc", "searches.db", new_storage=path)
    lines = Path(path).read_bytes().splitlines(keepends=True)
    Path(path).write_bytes(b"".join([*lines[:3], b"nothing that was said\n", *lines[3:]]))


def assert_printed(code: str, expected: str, printed: str) -> None:
    """Compare what the guide shows with what is there; three dots stand for anything, and how much space is open."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, printed, flags), f"{code}\nprints\n{printed}"


def test_the_guide_shows_every_command() -> None:
    shown = re.findall(r"^\$ optuna-search (?:--json )?(\w+)", GUIDE, re.MULTILINE)
    assert set(shown) == set(COMMANDS)


@pytest.mark.parametrize(
    "path", ["README.md", "docs/studies.md", "docs/reliability.md", "docs/several_goals.md", "docs/watching.md"]
)
def test_links_lead_somewhere(path: str) -> None:
    text = (ROOT / path).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]*)\)", text):
        file, _, anchor = target.partition("#")
        place = ROOT / path if not file else (ROOT / path).parent / file
        assert place.exists(), target
        headings = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], target
