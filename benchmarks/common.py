"""What every benchmark shares: pairs, medians, and a dated result with the machine it was measured on.

Machines are noisy. Each benchmark runs its rivals in turn, A B A B ..., and compares pair by pair; a figure is
the median of the ratios of one run. Absolute times depend on the machine and are there to be read, not quoted.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("optuna", "scikit-learn", "joblib", "numpy")


def arguments(doc: str | None, pairs: int = 9) -> argparse.Namespace:
    """Read the options that every benchmark has; `pairs` is how many it runs if nobody says."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run: does it work, not how fast it is")
    parser.add_argument("--pairs", type=int, default=pairs, help=f"how many times each rival runs (default: {pairs})")
    parser.add_argument("--out", type=Path, default=None, help="a folder for the result, as dated JSON")
    options = parser.parse_args()
    if options.quick:
        options.pairs = 2
    return options


def paired(pairs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Run two rivals in turn, after one run of each that does not count, and return their figures."""
    ours(), theirs()
    measured = [(ours(), theirs()) for _ in range(pairs)]
    return [a for a, _ in measured], [b for _, b in measured]


def ratio(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Return the median ratio of pairs and its range."""
    ratios = [x / y for x, y in zip(a, b, strict=True)]
    return {
        "median": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
    }


def report(name: str, options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Print the figures, and write them where they are to be kept."""
    result = {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {package: version(package) for package in PACKAGES},
        "quick": options.quick,
        "pairs": options.pairs,
        "figures": figures,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{name}-{result['date']}.json").write_text(text + "\n")
