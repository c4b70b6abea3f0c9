"""What a user can read is executed: the README's code, and the example that it runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import optuna_search

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def run(args: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, as a user would."""
    env = os.environ | {"PYTHONPATH": str(Path(optuna_search.__file__).parent.parent)}  # the package that is tested
    return subprocess.run([sys.executable, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=250)


@pytest.mark.parametrize("code", BLOCKS, ids=[f"block {i}" for i in range(len(BLOCKS))])
def test_the_code_of_the_readme_runs_without_a_warning(code: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(code)
    done = run(["-W", "error", "script.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_first_example_of_the_readme_has_twelve_lines() -> None:
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 12


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
