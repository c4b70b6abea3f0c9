"""What pages say of tests, of other classes and of modules is so; the code on them runs in test_guides.py."""

import ast
import re
from inspect import signature
from pathlib import Path

import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, RandomizedSearchCV

import optuna_search
from optuna_search import OptunaSearchCV

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


# --- pages that speak of other code say what it is ------------------------------------------------------------------

MIGRATION = (ROOT / "docs" / "migration.md").read_text()
TABLES = re.findall(r"^\| ([\w.]+) \| OptunaSearchCV \|\n\| --- \| --- \|\n((?:\|.*\n)+)", MIGRATION, re.MULTILINE)
CELLS = {peer: [tuple(re.findall(r"(?<=\| ).*?(?= \|)", row)) for row in rows.splitlines()] for peer, rows in TABLES}
SEARCHES = (GridSearchCV, RandomizedSearchCV, HalvingRandomSearchCV)
PEERS = {peer.__name__: signature(peer).parameters for peer in SEARCHES}
OURS = signature(OptunaSearchCV).parameters


@pytest.mark.parametrize("peer", PEERS)
def test_a_table_for_those_who_come_from_scikit_learn_has_each_parameter_in_its_order(peer):
    assert [re.match(r"`(\w+)`", theirs)[1] for theirs, _ in CELLS[peer]] == list(PEERS[peer])


@pytest.mark.parametrize("peer", PEERS)
def test_a_default_that_is_told_is_the_one_there_is(peer):
    told = [re.fullmatch(r"`(\w+)` \(`?(.*?)`?\)", theirs) for theirs, _ in CELLS[peer]]
    for name, default in (match.groups() for match in told if match):
        assert PEERS[peer][name].default == ast.literal_eval(default), name


@pytest.mark.parametrize("peer", CELLS)
def test_what_a_parameter_becomes_is_a_parameter_here(peer):
    becomes = [match[1] for _, here in CELLS[peer] if (match := re.match(r"`(\w+)[`=]", here))]
    assert len(becomes) > 9 and set(becomes) <= set(OURS)


def test_the_modules_that_are_told_of_are_there():
    named = set(re.findall(r"`(\w+)\.py`", (ROOT / "docs" / "how_it_works.md").read_text()))
    assert len(named) > 10 and named <= {path.stem for path in Path(optuna_search.__file__).parent.glob("*.py")}
