"""Draw what `bench_quality.py` has measured: regret against fits and against time, as docs/figures/quality.svg.

    python benchmarks/plot_quality.py [benchmarks/results/quality-2026-11-30.json]

It needs matplotlib.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rivals import OURS

HERE = Path(__file__).parent
TARGET = HERE.parent / "docs" / "figures" / "quality.svg"
#: Lines of others that are told apart; the rest is thin and grey.
COLOURS = {
    OURS: "#d62728",
    "Optuna TPE": "#1f77b4",
    "optuna_integration": "#17becf",
    "Optuna GP": "#9467bd",
    "BayesSearchCV": "#8c564b",
    "FLAML BlendSearch": "#2ca02c",
    "RandomizedSearchCV": "#111111",
}


def draw(axes: Axes, at: list[float], curves: dict[str, list[float]], label: str) -> None:
    """Draw one panel."""
    for method, regrets in curves.items():
        known = method in COLOURS
        style: dict[str, Any] = {"color": COLOURS.get(method, "#c8c8c8"), "linewidth": 1.5 if known else 0.8}
        style |= {"linewidth": 2.6, "zorder": 3} if method == OURS else {}
        axes.plot(at, regrets, label=method if known else None, **style)
    axes.set_xlabel(label)
    axes.set_yscale("log")
    axes.set_yticks([0.05, 0.1, 0.2, 0.5, 1], labels=["0.05", "0.1", "0.2", "0.5", "1"])
    axes.set_yticks([], minor=True)
    axes.set_ylim(0.045, 1.05)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    """Read a result and draw it."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else max((HERE / "results").glob("quality-*.json"))
    curves = json.loads(path.read_text())["figures"]["curves"]
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "quality", "font.size": 10})
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    by_folds, by_time = figure.subplots(1, 2, sharey=True)
    draw(by_folds, curves["folds"], curves["regret by folds"], "fits of a fold")
    draw(by_time, curves["cpu time"], curves["regret by cpu time"], "CPU time, in that of 60 random candidates")
    by_folds.set_ylabel("regret, mean over tasks and seeds")
    by_time.legend(frameon=False, fontsize=9)
    TARGET.parent.mkdir(exist_ok=True)
    figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
