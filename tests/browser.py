"""A real browser, without a window, that says what a page shows."""

import html
import os
import re
import shutil
import subprocess
from pathlib import Path

from needs import needed

NAMES = ("chromium", "chromium-browser", "google-chrome")


def shown_by(url: str, profile: Path) -> str:
    """Return the text of a page once its scripts have run, words apart by single spaces.

    Parameters
    ----------
    url : str
        Of the page.
    profile : Path
        A folder that the browser may fill.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    needed("Chromium", program is not None)
    assert program is not None
    options = ["--headless=new", "--disable-gpu", f"--user-data-dir={profile}"]
    if os.geteuid() == 0:  # Chromium refuses to shut root in
        options.append("--no-sandbox")
    # Its clock runs as fast as the page lets it, and stands still while something is on its way.
    done = subprocess.run(
        [program, *options, "--virtual-time-budget=10000", "--dump-dom", url],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    without_code = re.sub(r"<(style|script)\b.*?</\1>", " ", done.stdout, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", without_code)).split())
