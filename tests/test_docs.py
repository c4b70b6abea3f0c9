"""What the page on reliability promises is shown by the tests that it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| \d", line)]
TESTS = sorted(set(re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", PAGE)))


def test_every_fault_has_its_row_and_every_row_its_test():
    numbers = [match for row in ROWS for match in re.findall(r"^\| (\d+)(?: to (\d+))? \|", row)]
    covered = [number for first, last in numbers for number in range(int(first), int(last or first) + 1)]
    assert covered == list(range(1, 56))
    assert all("`test_" in row for row in ROWS)


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_exists(file, name):
    text = (ROOT / "tests" / "faults" / file).read_text()
    assert f"def {name}(" in text if name else "def test_" in text
