"""Imports go down the floors of the house only, and private names of other libraries come through one door."""

import ast
import re
from pathlib import Path

import pytest

import optuna_search

PACKAGE = Path(optuna_search.__file__).parent
FLOORS = [
    ["_boosters", "_compat", "_tables"],
    ["exceptions"],
    ["_tokens", "_url", "_owner", "_signals", "_damage", "_references", "_roster", "_warned", "_callables", "_notes"],
    ["_hints", "_names", "_json", "_beyond", "_stops", "_front", "_goals", "_uncertainty", "pruners"],
    ["_dimensions", "_record", "_fingerprint", "_samplers", "_forkreport", "_early", "_parsimony", "_honest"],
    ["_database", "_sqlite", "_journal", "_countable", "_ways"],
    ["_space", "_storage", "_continued", "_results", "_verdict", "_leaderboard"],
    ["_training", "_header", "_kept", "_salvage", "_serving", "_spill", "_trouble", "_upgrading"],
    ["_evaluate"],
    ["_chance", "_isolation", "_sharing"],
    ["_guard"],
    ["_store", "_propose", "_workers", "_transfer", "_prune", "_progress", "_history"],
    ["_flight", "_lease", "_opening", "_rescue", "callbacks"],
    ["_others", "_fork", "_measure", "_reading", "_copying", "_listing", "_studyfile", "_given"],
    ["_parameters", "_resource"],
    ["_request"],
    ["_engine", "_exports", "_compare"],
    ["_facts"],
    ["_drawing", "_importance"],
    ["_axes"],
    ["_trialfigures", "_parameterfigures", "_summary", "_page"],
    ["figures", "_report"],
    ["studies"],
    ["_search"],
    ["_job"],
    ["_run", "_arguments"],
    ["_commands"],
    ["__init__", "__main__"],
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FOREIGN = ("sklearn", "optuna", "joblib", "scipy")


def imports(module: str) -> list[tuple[str, str]]:
    """Return (module, name) of everything that a module of the package imports, inside functions too."""
    found = []
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return found


def test_every_module_has_its_floor() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(FLOOR)


@pytest.mark.parametrize("module", FLOOR)
def test_imports_go_down_only(module: str) -> None:
    for source, name in imports(module):
        if source.partition(".")[0] != "optuna_search":
            continue
        target = name if source == "optuna_search" else source.partition(".")[2]
        assert FLOOR[target] < FLOOR[module] or module == "__init__", f"{module} imports {target}"


OWN = {
    name
    for path in PACKAGE.glob("*.py")
    for name in re.findall(r"(?:def|class|self\.|made\.|^    |^) ?(_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("module", sorted(set(FLOOR) - {"_compat"}))
def test_private_attributes_of_other_libraries_are_reached_through_it_too(module: str) -> None:
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            # What a class inherits is its own.
            assert node.attr in OWN or ast.unparse(node.value) in ("self", "cls"), ast.unparse(node)


@pytest.mark.parametrize("module", sorted(set(FLOOR) - {"_compat"}))
def test_private_names_of_other_libraries_come_through_one_door(module: str) -> None:
    for source, name in imports(module):
        if source.partition(".")[0] in FOREIGN:
            assert not any(part.startswith("_") for part in f"{source}.{name}".split(".") if part), (source, name)
