"""The leaderboard: the trials of a search that have a score, best first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import rankdata

from optuna_search._goals import Goal, fronts
from optuna_search._hints import closest
from optuna_search._tables import NAME_WIDTH, html_table, pandas, printable, shortened, text_table
from optuna_search._tokens import token
from optuna_search.exceptions import InvalidRequestError

#: Columns of a leaderboard get no wider than this in a terminal.
MAX_WIDTH = 40
#: The same in HTML, where a cell breaks its lines.
MAX_WIDTH_HTML = 200


@dataclass(frozen=True)
class Leader:
    """One entry of a leaderboard.

    Attributes
    ----------
    rank : int
        1 is the best; equal scores share a rank.
    trial_number : int
        The trial's number in the study.
    params : dict
        What to give to ``estimator.set_params``.
    score : float
        The mean over the folds of the metric that the board is sorted by.
    std : float
        Its standard deviation over the folds, as in ``cv_results_``.
    metrics : dict
        The mean over the folds of every metric, and of the times in seconds that are among the goals.
    origin : str or None
        Where it was measured, as in "svc #12", if that was in another study.
    """

    rank: int
    trial_number: int
    params: dict[str, Any]
    score: float
    std: float
    metrics: dict[str, float]
    origin: str | None = None
    #: The parameters as the record has them, objects by their names: what the tables show.
    texts: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Leaderboard(Sequence[Leader]):
    """The trials of a search that have a score, best first.

    It is a sequence: ``board[0]`` is the best, ``board[:3]`` the first three. Called, it gives the first few
    by any metric: ``board(5, by="roc_auc")``. It shows itself as a table, in notebooks in HTML.

    Parameters
    ----------
    results : dict
        ``cv_results_``.
    metric : str
        What to sort by.
    texts : sequence of dict
        For each row of the results, its parameters as the record has them.
    goals : sequence of Goal
        What is pursued, by the names in the results.
    rows : collection of int or None
        The rows of the results that are on the board; None for all with a score.
    """

    def __init__(
        self, results: Mapping[str, Any], metric: str, texts: Sequence[Mapping[str, Any]],
        goals: Sequence[Goal] = (), rows: Collection[int] | None = None,
    ) -> None:  # fmt: skip
        self._results = results
        self._texts = texts
        self._goals = goals
        self._rows = rows
        self.metric = metric
        columns = _columns(results, goals)
        means, stds, ranks = _by(results, columns[metric])
        origins = results.get("trial_origin", [None] * len(means))
        order = [i for i in np.argsort(ranks, kind="stable") if not np.isnan(means[i]) and means[i] != np.inf]
        self._leaders = [
            Leader(
                int(ranks[i]),
                int(results["trial_number"][i]),
                dict(results["params"][i]),
                float(means[i]),
                float(stds[i]),
                {name: float(results[f"mean_{column}"][i]) for name, column in columns.items()},
                origins[i],
                texts[i],
            )
            for i in order
            if rows is None or i in rows
        ]

    @classmethod
    def empty(cls) -> Leaderboard:
        """Return the board of a study in which nothing has a score yet."""
        no_rows: dict[str, Any] = {"params": [], "trial_number": []}
        return cls(no_rows | {f"{key}_test_score": np.array([]) for key in ("mean", "std", "rank")}, "score", [])

    def __call__(self, n: int | None = None, *, by: str | None = None) -> Leaderboard:
        """Return the first `n` entries, sorted by the metric or time `by`.

        Parameters
        ----------
        n : int or None
            How many; None for all.
        by : str or None
            A metric, or a time that is among the goals, of which less is better; None for what the board is sorted by.

        Raises
        ------
        InvalidRequestError
            If there is no such metric, or `n` is not a positive whole number.
        """
        metric = self.metric if by is None else by
        names = list(_columns(self._results, self._goals))
        if metric not in names:
            hint = closest(str(by), names)
            raise InvalidRequestError(
                f"by={by!r} is not a metric of this search; its metrics: {', '.join(names)}. {hint}".rstrip()
            )
        if n is not None and (not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1):
            raise InvalidRequestError(f"n={n!r} must be a whole number from 1, or None for all entries.")
        board: Leaderboard = Leaderboard(self._results, metric, self._texts, self._goals, self._rows)[:n]
        return board

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = Leaderboard.__new__(Leaderboard)
            vars(part).update(vars(self) | {"_leaders": self._leaders[index]})
            return part
        return self._leaders[index]

    def __len__(self) -> int:
        return len(self._leaders)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaderboard) and self._leaders == other._leaders

    __hash__ = None  # type: ignore[assignment]

    def _columns(self) -> tuple[list[str], list[str]]:
        params = dict.fromkeys(name for leader in self._leaders for name in leader.params)
        metrics = [name for leader in self._leaders[:1] for name in leader.metrics if name != self.metric]
        return list(params), metrics

    def _table(self, width: int) -> tuple[list[str], list[list[str]]]:
        """Return header and cells as texts of at most this width; a parameter that a trial does not have is empty."""
        params, metrics = self._columns()
        forked = any(e.origin for e in self._leaders)
        header = ["rank", "trial", self.metric, "std", *metrics, *(["from"] if forked else []), *params]
        rows = [
            [str(e.rank), str(e.trial_number), f"{e.score:.4f}", f"{e.std:.4f}"]
            + [f"{e.metrics[name]:.4f}" for name in metrics]
            + ([shortened(e.origin or "", max(width, NAME_WIDTH))] if forked else [])
            + [_short(e.params[name], e.texts.get(name), width) if name in e.params else "" for name in params]
            for e in self._leaders
        ]
        return header, rows

    def __repr__(self) -> str:
        if not self._leaders:
            return "no trial has a score yet"
        header, rows = self._table(MAX_WIDTH)
        return text_table(header, rows, numeric=4 + len(self._columns()[1]))

    def _repr_html_(self) -> str:
        return html_table(*self._table(MAX_WIDTH_HTML))

    def to_frame(self) -> Any:
        """Return the board as a pandas data frame, one row an entry, parameters as objects.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pd = pandas()
        params, metrics = self._columns()
        columns: dict[str, list[Any]] = {
            "rank": [e.rank for e in self._leaders],
            "trial_number": [e.trial_number for e in self._leaders],
            self.metric: [e.score for e in self._leaders],
            "std": [e.std for e in self._leaders],
        }
        columns |= {name: [e.metrics[name] for e in self._leaders] for name in metrics}
        if any(e.origin for e in self._leaders):
            columns["origin"] = [e.origin for e in self._leaders]
        objects = {f"param_{name}": [e.params.get(name) for e in self._leaders] for name in params}
        return pd.DataFrame(columns).join(pd.DataFrame(objects, dtype=object))


def pareto_rows(results: Mapping[str, Any], goals: Sequence[Goal]) -> set[int]:
    """Return the rows that are on the Pareto front: none is better by one goal, and as good by all others."""
    columns = _columns(results, goals)
    values = np.array([results[f"mean_{columns[goal.name]}"] for goal in goals]).T
    rows = np.flatnonzero(results["trial_state"] == "COMPLETE")
    return set(rows[fronts(values[rows], goals) == 0].tolist())


def _columns(results: Mapping[str, Any], goals: Sequence[Goal]) -> dict[str, str]:
    """Return every metric, and every time that is pursued, with what its columns in the results end with."""
    tests = [key.removeprefix("mean_") for key in results if key.startswith("mean_test_")]
    return {goal.name: goal.name for goal in goals if goal.is_time} | {t.removeprefix("test_"): t for t in tests}


def _by(results: Mapping[str, Any], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means, standard deviations and ranks."""
    means, stds = results[f"mean_{column}"], results[f"std_{column}"]
    if f"rank_{column}" in results:
        return means, stds, results[f"rank_{column}"]
    complete = results["trial_state"] == "COMPLETE"
    means, ranks = np.where(complete, means, np.nan), np.full(len(means), complete.sum() + 1)
    ranks[complete] = rankdata(means[complete], method="min")
    return means, stds, ranks


def _short(value: Any, text: str | None, width: int) -> str:
    """Return a value as a cell shows it; objects go by the name that the record has for them."""
    if isinstance(value, str | float):
        text = value if isinstance(value, str) else f"{value:.6g}"
    else:
        text = token(value).text if text is None else str(text)
    return shortened(printable(text), width)
