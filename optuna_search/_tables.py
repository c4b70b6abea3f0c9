"""Tables for people: in a terminal, and in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: int = 0) -> str:
    """Return a table as text.

    Parameters
    ----------
    header : sequence of str
        The names of the columns.
    rows : sequence of sequence of str
        The cells.
    numeric : int
        So many columns from the left are set to the right, as numbers are.

    Examples
    --------
    >>> print(text_table(["rank", "C"], [["1", "0.1"], ["2", "10"]], numeric=1))
    rank  C
    ---------
       1  0.1
       2  10
    """
    table = [[printable(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if i < numeric else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Return a table as HTML, in which no cell means anything but its text.

    Parameters
    ----------
    header : sequence of str
        The names of the columns.
    rows : sequence of sequence of str
        The cells.
    width : int or None
        Where a page cuts cells after so many characters: longer ones have their text for the pointer as well, and the
        names of parameters may be broken.
    """

    def cell(plain: str, tag: str) -> str:
        text = html.escape(printable(plain))
        for_pointer = f' title="{text}"' if tag == "td" and width is not None and len(plain) > width else ""
        broken = text if width is None or tag == "td" else text.replace("__", "__<wbr>")
        return f"<{tag}{for_pointer}>{broken}</{tag}>"

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(cell(one, tag) for one in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>"


def printable(text: str) -> str:
    """Return a text without characters that would steer a terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def printable_text(text: str) -> str:
    r"""Return a text without characters that would steer a terminal, its lines and tabs as they are.

    Examples
    --------
    >>> printable_text("one\tline\n\x1b[31mred\n")
    'one\tline\n?[31mred\n'
    """
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def printable_lines(text: str) -> str:
    r"""Return a text of several lines without characters that would steer a terminal.

    Examples
    --------
    >>> printable_lines("one\tline\n\x1b[31mred")
    'one     line\n?[31mred'
    """
    return "\n".join(printable(line.expandtabs()) for line in text.splitlines())


#: The name of a study gets as wide as this in a terminal: whoever reads one is going to type it.
NAME_WIDTH = 80


def shortened(text: str, width: int) -> str:
    """Return a text of at most this many characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def pandas() -> Any:
    """Return the module that data frames come from.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_frame() needs pandas: pip install pandas.") from error
    return pd
