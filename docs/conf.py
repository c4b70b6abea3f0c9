"""The documentation site. Build it with: python -m sphinx -W --keep-going -n -b html docs docs/_build/html"""

import re
from pathlib import Path

import plotly.io
import plotly.offline
from plotly.io.base_renderers import MimetypeRenderer

import optuna_search

HERE = Path(__file__).parent

project = "optuna_search"
author = "The optuna_search developers"
project_copyright = f"2026, {author}"
version = release = optuna_search.__version__

templates_path = ["_templates"]
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
root_doc = "index"
nitpicky = True

# --- pages in Markdown ----------------------------------------------------------------------------------------------

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

# --- the reference, from docstrings ---------------------------------------------------------------------------------

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings have them, in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
python_maximum_signature_line_length = 100
# A single backtick in a docstring is a name: a link where there is a page for it, else code.
default_role = "py:obj"

# --- the gallery: every examples/plot_*.py is run, and shown with what it prints and draws --------------------------

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!plot_)",  # the other examples are scripts for a terminal
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_scrapers": (),
    "reset_modules": (),
    "default_thumb_file": str(HERE / "_static" / "logo-light.svg"),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}


class Figure(MimetypeRenderer):
    """Plotly's figures without plotly.js, which a page loads once and from here. They have room on a narrow screen."""

    def to_mimebundle(self, fig_dict):
        title = fig_dict["layout"]["title"]
        title |= {"y": 0.98, "yref": "container", "yanchor": "top"}  # above two lines of legend
        html = plotly.io.to_html(
            fig_dict,
            include_plotlyjs=False,
            include_mathjax=False,
            full_html=False,
            default_height=450,
            config={"responsive": True, "displayModeBar": False},
        )
        return {"text/html": html}


plotly.io.renderers["page"] = Figure()
plotly.io.renderers.default = "page"

# --- how it looks ---------------------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "optuna_search"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_sidebars = {
    page: [] for page in ("quickstart", "migration", "how_it_works", "faq", "changelog")
}
html_copy_source = False
html_theme_options = {
    "logo": {
        "text": "optuna_search",
        "image_light": "_static/logo-light.svg",
        "image_dark": "_static/logo-dark.svg",
    },
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


# --- what the settings do not say -----------------------------------------------------------------------------------


def without_a_page(app, env, node, contnode):
    """Show a name of another package, or of a parameter, as code; names of ours must lead somewhere."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or target.partition(".")[0] == "optuna_search":
        return None
    # In a module of ours one says OptunaSearchCV for short.
    find, name = env.domains.python_domain.resolve_xref, f"optuna_search.{target}"
    return find(env, node["refdoc"], app.builder, "obj", name, node, contnode) or contnode


def in_one_sentence(app, what, name, obj, options, lines):
    """Of what is inherited from scikit-learn tell the first sentence: the rest is in its own documentation."""
    if (getattr(obj, "__module__", None) or "").partition(".")[0] == "sklearn" and "" in lines:
        del lines[lines.index("") :]


def without_glossary(app, what, name, obj, options, lines):
    """Write the terms of scikit-learn's glossary, which is not here, as words."""
    lines[:] = [re.sub(r":term:`(?:[^`<]*<)?([^`>]*)>?`", r"\1", line) for line in lines]


def with_pages(app, what, name, obj, options, lines):
    """Make the name of a page's file a link to the page."""
    lines[:] = [re.sub(r"`docs/(\w+)\.md`", r":doc:`/\1`", line) for line in lines]


def with_plotly(app, pagename, templatename, context, doctree):
    """Load plotly.js on pages with figures. They are drawn before there are sidebars, and then again."""
    if "plotly-graph-div" in context.get("body", ""):
        app.add_js_file("plotly.js", priority=100)
        again = "addEventListener('load', () => dispatchEvent(new Event('resize')))"
        app.add_js_file(None, body=again)


def write_plotly(app, exception):
    """Copy plotly.js from its package: a page needs no network."""
    static = Path(app.outdir) / "_static"
    if exception is None and static.is_dir():
        (static / "plotly.js").write_text(plotly.offline.get_plotlyjs())


def setup(app):
    app.connect("missing-reference", without_a_page)
    app.connect("autodoc-process-docstring", in_one_sentence, priority=100)  # before numpydoc
    app.connect("autodoc-process-docstring", without_glossary, priority=900)  # after it
    app.connect("autodoc-process-docstring", with_pages)
    app.connect("html-page-context", with_plotly)
    app.connect("build-finished", write_plotly)
