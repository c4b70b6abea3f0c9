"""Every page of the documentation runs from its beginning to its end, and prints what it says.

A page is one story: its Python blocks share their names, its console blocks are a shell in the same folder, and what
stands in a text block after either is what it prints.
"""

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from test_readme import ROOT, environment

from optuna_search import studies
from optuna_search.__main__ import main
from optuna_search._arguments import COMMANDS, VARIABLE

DOCS = ROOT / "docs"
PAGES = {page.name: page.read_text() for page in sorted(DOCS.glob("*.md"))}
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```(?:\n+```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
#: What a fence may be opened with: code that runs, what it prints, and what Sphinx reads.
LANGUAGES = {"python", "console", "text", "{toctree}", "{eval-rst}", "{include}", "{literalinclude}", "{raw}"}
#: Blocks that cannot run here, by page and first line, and why.
NOT_RUN: dict[tuple[str, str], str] = {}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if BLOCK.search(text)])
def test_a_page_runs_from_its_beginning_to_its_end_and_prints_what_it_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # for the workers of `run`
    monkeypatch.delenv(VARIABLE, raising=False)
    names: dict[str, Any] = {"__name__": "page"}
    for kind, code, printed in BLOCK.findall(PAGES[page]):
        if (page, code.partition("\n")[0]) in NOT_RUN:
            continue
        if kind == "python":
            exec(compile(code, f"docs/{page}", "exec"), names)
            assert_printed(code, printed, capsys.readouterr().out)
            continue
        for command, _, expected in (step.partition("\n") for step in re.split(r"^\$ ", code, flags=re.M)[1:]):
            do(command, expected, monkeypatch)
            assert_printed(command, expected, capsys.readouterr().out)


def do(command: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what a command of a page does: ours, or one of two that any shell has."""
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
            pytest.fail(f"a page must not use {program}")


def damage(path: str) -> None:
    """Make a journal with a study, and a line in it that says nothing."""
    studies.copy_study("svc", "svc", "searches.db", new_storage=path)
    lines = Path(path).read_bytes().splitlines(keepends=True)
    Path(path).write_bytes(b"".join([*lines[:3], b"nothing that was said\n", *lines[3:]]))


def assert_printed(code: str, expected: str, printed: str) -> None:
    """Compare what a page shows with what is there; three dots stand for anything, and how much space is open."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, printed, flags), f"{code}\nprints\n{printed}"


def test_the_pages_show_every_command() -> None:
    shown = re.findall(r"^\$ optuna-search (?:--json )?(\w+)", "\n".join(PAGES.values()), re.MULTILINE)
    assert set(shown) == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_no_code_of_a_page_is_passed_over(page: str) -> None:
    fences = re.findall(r"^(?:```|:::)(\S*)", PAGES[page], re.MULTILINE)
    assert set(fences[::2]) <= LANGUAGES and set(fences[1::2]) <= {""}, "the tests know none other"


def test_what_is_not_run_is_there_and_has_a_reason() -> None:
    for (page, first), reason in NOT_RUN.items():
        assert any(code.startswith(f"{first}\n") for _, code, _ in BLOCK.findall(PAGES[page])) and reason


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", *(f"docs/{page}" for page in PAGES)])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]*)\)", text):
        file, _, anchor = target.partition("#")
        place = ROOT / page if not file else (ROOT / page).parent / file
        assert place.exists(), target
        headings = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [slug(heading) for heading in headings], target


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST have it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
