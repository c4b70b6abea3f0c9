"""What may be written on the command line. Nothing here loads anything large, so that ``--help`` is there at once."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from optuna_search._hints import closest

#: The environment variable that says where studies are kept.
VARIABLE = "OPTUNA_SEARCH_STORAGE"
_DESCRIPTION = f"""\
What can be done with kept studies, and one search in several processes.

Where studies are kept is said by --storage, else by the environment variable
{VARIABLE}: a path (SQLite), a path ending in .journal, or a URL
such as postgresql+psycopg://me:${{PGPASSWORD}}@host/database, in which
variables are read from the environment when connecting."""
_CODES = """\
Results go to standard output, everything else to standard error. With --json
standard output is strict JSON, with null for what is no finite number, and an
error is {"error": "..."} in the last line of standard error.

exit codes: 0 done, 1 failed, 2 not understood, 130 Ctrl-C, 143 SIGTERM"""


class UsageError(Exception):
    """What was written cannot be understood, or is not enough."""


@dataclass(frozen=True)
class _Command:
    """A command."""

    help: str
    #: What follows ``optuna-search`` in an example.
    example: str
    #: Name -> what argparse needs to know of it.
    arguments: Mapping[str, Mapping[str, Any]]


def whole_number(text: str) -> int:
    """Return a whole number from 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


_NAME: dict[str, Mapping[str, Any]] = {"name": {"metavar": "NAME", "help": "the name of a study"}}
_NEW: dict[str, Mapping[str, Any]] = {
    "new": {"metavar": "NEW", "help": "the new name"},
    "--new-storage": {"metavar": "URL", "help": "another storage to put it in"},
}
_FORCE: dict[str, Mapping[str, Any]] = {
    "--force": {"action": "store_true", "help": "also if somebody works on it, or optuna-search did not make it"}
}

COMMANDS: dict[str, _Command] = {
    "list": _Command("the studies of a storage", "list --storage searches.db", {}),
    "show": _Command("what a study was measured on, and how far it is", "show svc --storage searches.db", _NAME),
    "top": _Command(
        "the best trials of a study",
        "top svc -n 3 --by roc_auc --storage searches.db",
        _NAME
        | {
            "-n": {"type": whole_number, "default": 5, "help": "how many (5)"},
            "--by": {"metavar": "METRIC", "help": "sort by this metric or time, not by what was pursued"},
            "--front": {"action": "store_true", "help": "only the Pareto front, of several goals"},
        },
    ),
    "rename": _Command(
        "give a study another name, or move it to another storage",
        "rename svc svc-2026 --new-storage archive.db --storage searches.db",
        _NAME | _NEW | _FORCE,
    ),
    "copy": _Command("copy a study", "copy svc svc-backup --storage searches.db", _NAME | _NEW),
    "delete": _Command(
        "delete a study for good",
        "delete svc --yes --storage searches.db",
        _NAME | {"--yes": {"action": "store_true", "help": "do not ask"}} | _FORCE,
    ),
    "export": _Command(
        "write a study to a file, in the form that its ending says",
        "export svc svc.csv --storage searches.db",
        _NAME | {"path": {"metavar": "PATH", "help": ".csv, .json, .parquet, or .study, .journal, .db to import"}},
    ),
    "report": _Command(
        "write a report of a study: one HTML page with tables and figures",
        "report svc svc.html --storage searches.db",
        _NAME | {"path": {"metavar": "PATH", "help": "the page, a file ending in .html"}},
    ),
    "import": _Command(
        "take in a study from a file",
        "import svc.study --name svc-2026 --storage searches.db",
        {
            "path": {"metavar": "PATH", "help": "a .study, .journal or .db file"},
            "--name": {"metavar": "NEW", "help": "its name here, if it is to have another"},
        },
    ),
    "compare": _Command(
        "studies side by side, and whether their bests differ",
        "compare svc forest --metric accuracy --storage searches.db",
        {
            "names": {"nargs": "+", "metavar": "NAME", "help": "the names of two studies or more"},
            "--metric": {"help": "what to compare, where they share several"},
        },
    ),
    "salvage": _Command(
        "save what can be read of a damaged journal file",
        "salvage searches.journal saved.journal",
        {
            "path": {"metavar": "PATH", "help": "the damaged file, which is not changed"},
            "new": {"metavar": "NEW", "help": "a new file, ending in .journal"},
        },
    ),
    "upgrade": _Command(
        "bring a database of an older version of Optuna up to date; copy it first",
        "upgrade --storage searches.db",
        {},
    ),
    "serve": _Command(
        "let other processes work on a storage through grpc://host:port",
        "serve --port 13000 --storage searches.db",
        {
            "--host": {"default": "127.0.0.1", "help": "where to listen (127.0.0.1)"},
            "--port": {"type": whole_number, "default": 13000, "help": "the port (13000)"},
            "--expose": {
                "action": "store_true",
                "help": "let other machines reach it, without authentication",
            },
        },
    ),
    "run": _Command(
        "one search in several processes",
        "run search.py:make --workers 4 --storage searches.db",
        {
            "target": {
                "metavar": "FILE_OR_MODULE:FUNCTION",
                "help": "a function that returns (search, X, y), in a file ending in .py or in a module",
            },
            "--workers": {"type": whole_number, "required": True, "metavar": "N", "help": "how many processes"},
        },
    ),
}


class _Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that leaves it to others how an error is shown, and knows what was meant."""

    def error(self, message: str) -> NoReturn:
        mistyped = re.search(r"invalid choice: '(.*?)'", message)
        hint = closest(mistyped[1], COMMANDS) if mistyped else ""
        message = message.partition(" (choose from")[0] if hint else message
        raise UsageError(f"{message}. {hint or f'See {self.prog} --help.'}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Examples
    --------
    >>> args = parser().parse_args(["--json", "top", "svc", "-n", "3", "--storage", "searches.db"])
    >>> args.command, args.name, args.n, args.storage, args.json
    ('top', 'svc', 3, 'searches.db', True)
    """
    how: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    made = _Parser("optuna-search", description=_DESCRIPTION, epilog=_CODES, **how)
    _add_everywhere(made, storage=None, json=False)
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        epilog = f"example:\n  optuna-search {command.example}"
        one = commands.add_parser(name, help=command.help, description=command.help, epilog=epilog, **how)
        _add_everywhere(one, storage=argparse.SUPPRESS, json=argparse.SUPPRESS)
        for argument, options in command.arguments.items():
            one.add_argument(argument, **options)
    return made


def _add_everywhere(one: argparse.ArgumentParser, storage: Any, json: Any) -> None:
    """Add what may stand before the command and after it; after it, nothing may undo what stands before."""
    one.add_argument("--storage", metavar="URL", default=storage, help=f"where studies are kept (else {VARIABLE})")
    one.add_argument("--json", action="store_true", default=json, help="for programs")
