"""What a user can read is executed: the code of the README. The pages of the documentation are in test_guides.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import optuna_search

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


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
