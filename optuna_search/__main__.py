"""The command ``optuna-search``: parse, do, print."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optuna_search._arguments import VARIABLE, UsageError, parser
from optuna_search._json import strict
from optuna_search._tables import printable_lines

if TYPE_CHECKING:
    from optuna_search._commands import Answer


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says, and return the exit code.

    Parameters
    ----------
    argv : sequence of str, default=None
        The words after the name of the program; None for those that it was started with.

    Returns
    -------
    code : int
        0 done, 1 failed, 2 not understood, 130 after Ctrl-C, 143 after SIGTERM, 141 if nobody reads any more.

    Examples
    --------
    >>> main(["list", "--storage", "nowhere.db"])
    1
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given == ["_worker"]:
        from optuna_search._job import work

        return work()
    try:
        try:
            return _answered(given)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # As after `| head`; the interpreter would try to write the rest once more, and complain.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _answered(given: Sequence[str]) -> int:
    as_json = "--json" in given
    try:
        args = parser().parse_args(given)
        from optuna_search._commands import COMMANDS

        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            answer = COMMANDS[args.command](args)
        _print(answer, as_json)
        return answer.code
    except BrokenPipeError:
        raise
    except UsageError as error:
        _complain(str(error), as_json, given=given)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # so it comes out of a class that is being imported
            return 130
        from optuna_search._job import UserCodeError, fault_of

        fault = fault_of(error)
        _complain(fault.message, as_json, fault.traceback if isinstance(error, UserCodeError) else "", given)
        return 1


def _print(answer: Answer, as_json: bool) -> None:
    text = json.dumps(strict(answer.data), indent=2, allow_nan=False) if as_json else answer.text
    if text:
        print(printable_lines(text))
    if answer.remark is not None:
        print(printable_lines(answer.remark), file=sys.stderr)
    if answer.complaint is not None:
        _complain(answer.complaint, as_json)


def _complain(message: str, as_json: bool, traceback: str = "", given: Sequence[str] = ()) -> None:
    """Write an error in the form that was asked for, without a password of any URL on the command line."""
    for url in (word for word in (*given, os.environ.get(VARIABLE, "")) if "://" in word):
        from optuna_search._url import redact  # it brings all of scikit-learn with it

        message, traceback = redact(message, url), redact(traceback, url)
    if as_json:
        text = json.dumps({"error": message} | ({"traceback": traceback} if traceback else {}))
    else:
        text = f"{traceback}optuna-search: {message}"
    print(printable_lines(text), file=sys.stderr)


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    print(printable_lines(f"optuna-search: warning: {message}"), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
