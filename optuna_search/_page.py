"""One HTML page that needs nothing else: no network, and no other file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from optuna_search._drawing import TITLE_HEIGHT, readable
from optuna_search._json import strict
from optuna_search._tables import html_table, printable_text
from optuna_search._url import mask

#: A cell of this many characters is seen whole where a row is one line: `.lines td` in the style says where it is cut.
MAX_CELL = 36


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    heading: str
    #: What is to be seen in it, and how it is read.
    caption: str
    #: Figures of plotly's; several small ones stand side by side where there is room.
    figures: Sequence[Any] = ()
    #: HTML that is shown above the figures.
    body: str = ""
    #: Pixels that a figure takes at least, so that it is scrolled where there are fewer.
    least_width: int = 0

    @property
    def anchor(self) -> str:
        """What a link to it ends in."""
        return "-".join(self.heading.lower().split())


def escaped(anything: Any) -> str:
    """Return a text that means nothing but itself in HTML, and holds no password of a URL.

    Examples
    --------
    >>> escaped("<b> postgresql://me:secret@host/db")
    '&lt;b&gt; postgresql://me:***@host/db'
    """
    return html.escape(mask(printable_text(str(anything))), quote=True)


def page(title: str, lead: str, sections: Sequence[Section], foot: str) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
        A text.
    lead, foot : str
        HTML at the top and at the bottom.
    sections : sequence of Section
        What is in between.
    """
    from plotly.offline import get_plotlyjs

    style, glue, plotly_js = _asset("_page.css"), _asset("_page.js"), get_plotlyjs()
    drawn = {f"figure-{i}-{j}": one for i, section in enumerate(sections) for j, one in enumerate(section.figures)}
    links = "".join(f'<li><a href="#{one.anchor}">{escaped(one.heading)}</a></li>' for one in sections)
    body = "".join(_section(section, i) for i, section in enumerate(sections))
    # Whatever stands in the page, a browser runs these two scripts only, and loads nothing.
    policy = (
        f"default-src 'none'; script-src {_hash(plotly_js)} {_hash(glue)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{escaped(title)}</h1>
{lead}
<nav aria-label="Sections"><ul>{links}</ul></nav>
<noscript><p>The figures are drawn by the page itself, which needs JavaScript.</p></noscript>
</header>
<main>
{body}</main>
<footer>{foot}</footer>
<script type="application/json" id="figures">{in_a_script(drawn)}</script>
<script>{plotly_js}</script>
<script>{glue}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return resources.files("optuna_search").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _section(section: Section, place: int) -> str:
    plots = "".join(
        f'<div class="wide"><div class="plot" id="figure-{place}-{i}" role="img" '
        f'aria-label="{escaped(section.heading)}" style="{_size(section, figure)}"></div></div>'
        for i, figure in enumerate(section.figures)
    )
    caption = f"<figcaption>{escaped(section.caption)}</figcaption>" if section.caption else ""
    single = " single" if len(section.figures) == 1 else ""
    figures = f'<div class="plots{single}">{plots}</div>' if section.figures else ""
    return (
        f'<section aria-labelledby="{section.anchor}"><h2 id="{section.anchor}">{escaped(section.heading)}</h2>'
        f"<figure>{caption}{section.body}{figures}</figure></section>\n"
    )


def _size(section: Section, figure: Any) -> str:
    height = int(figure.layout.height or 400)
    return f"height:{height}px" + (f";min-width:{section.least_width}px" if section.least_width else "")


def in_a_script(figures: Mapping[str, Any]) -> str:
    r"""Return figures as JSON in which nothing ends the script that it stands in.

    Examples
    --------
    >>> in_a_script({})
    '{}'
    """
    data = {name: _without_look(one.to_plotly_json()) for name, one in figures.items()}
    found = json.dumps(_rounded(strict(data)), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        found = found.replace(char, f"\\u{ord(char):04x}")
    return found


def _rounded(value: Any) -> Any:
    """Return a value of JSON with six digits of every number, which is more than a screen shows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def _without_look(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a figure as the page draws it: the page has headings, and colours for light and dark, of its own."""
    layout = {name: part for name, part in drawn["layout"].items() if name not in ("template", "title")}
    margin = layout["margin"] | {"t": layout["margin"]["t"] - TITLE_HEIGHT}
    return {"data": list(drawn["data"]), "layout": layout | {"margin": margin}}


def facts_list(facts: Mapping[str, str], kind: str) -> str:
    """Return a list of facts as HTML; those that are nothing are left out."""
    rows = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(fact)}</dd></div>"
        if kind == "numbers"
        else f"<dt>{escaped(name)}</dt><dd>{escaped(fact)}</dd>"
        for name, fact in facts.items()
        if fact
    )
    return f'<dl class="{kind}">{rows}</dl>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, one_line: bool = False) -> str:
    """Return a table as HTML, which is scrolled by itself where it is too wide; rows may be kept on one line each."""
    found = html_table(*_readable(header, rows), width=MAX_CELL if one_line else None)
    kind = "wide lines" if one_line else "wide"
    return f'<div class="{kind}" role="region" aria-label="Table" tabindex="0">{found}</div>'


def _readable(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    return [readable(cell) for cell in header], [[readable(cell) for cell in row] for row in rows]
