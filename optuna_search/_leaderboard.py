"""The leaderboard: the trials of a search that have a score, best first."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import rankdata

from optuna_search._goals import TIMES, Goal, fronts
from optuna_search._hints import closest
from optuna_search._honest import bias_in
from optuna_search._tables import NAME_WIDTH, html_table, pandas, printable, shortened, text_table
from optuna_search._tokens import token
from optuna_search._uncertainty import corrected_t_test, fold_ratio, fold_scores, half_width, n_folds_of, standard_error
from optuna_search.exceptions import InvalidRequestError

#: Columns of a leaderboard get no wider than this in a terminal.
MAX_WIDTH = 40
#: The same in HTML, where a cell breaks its lines.
MAX_WIDTH_HTML = 200
#: The columns of a data frame beside metrics and parameters.
FRAME = (
    "rank", "trial_number", "std", "standard_error", "confidence_low", "confidence_high", "is_tied_with_best", "origin",
)  # fmt: skip
#: How sure to be: the level of intervals, and one minus that of tests.
LEVEL = 0.95
#: What stands beside an entry that cannot be told apart from the first, and what is said of it.
TIED = "~"
NOTE = f"{TIED}: cannot be told apart from the first by a corrected paired t-test (p > {1 - LEVEL:.2f}, each by itself)"


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
    standard_error : float
        The standard error of that mean (``ddof=1``), as if folds were independent; NaN with one fold.
    confidence_interval : tuple of float
        The two ends of its corrected resampled interval at 95 % [1]_, which allows for training parts that overlap.
        It is symmetric, and so may reach beyond what a metric can be. NaN with one fold.
    is_tied_with_best : bool or None
        Whether it cannot be told apart from the first of the board, which it was compared with fold by fold:
        p > 0.05 in the corrected resampled t-test [1]_. That is said of this pair alone: of twenty that are as good
        as the first, one is expected to be told apart all the same. None where no test is possible: with one fold,
        and for times.
    metrics : dict
        The mean over the folds of every metric, and of the times in seconds that are among the goals.
    origin : str or None
        Where it was measured, as in "svc #12", if that was in another study.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003), 239-281.
    """

    rank: int
    trial_number: int
    params: dict[str, Any]
    score: float
    std: float
    standard_error: float
    confidence_interval: tuple[float, float]
    is_tied_with_best: bool | None
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
    fold_sizes : sequence of (int, int)
        Samples in the training and the test part of each fold; none where they are not known, as in an equal k-fold.
    labels : dict or None
        What people call a metric that goes by another name in the results, as a single one does.
    """

    def __init__(
        self, results: Mapping[str, Any], metric: str, texts: Sequence[Mapping[str, Any]],
        goals: Sequence[Goal] = (), rows: Collection[int] | None = None, fold_sizes: Sequence[Sequence[int]] = (),
        labels: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._results = results
        self._texts = texts
        self._goals = goals
        self._rows = rows
        self._fold_sizes = fold_sizes
        self._labels = labels or {}
        self.metric = metric
        columns, column = _columns(results, goals), _sortable(results)[metric]
        means, stds, ranks = _by(results, column)
        origins = results.get("trial_origin", [None] * len(means))
        order = [
            i
            for i in np.argsort(ranks, kind="stable")
            if not np.isnan(means[i]) and means[i] != np.inf and (rows is None or i in rows)
        ]
        n_folds = n_folds_of(results)
        self._ratio = fold_ratio(fold_sizes, n_folds)
        errors, halves = standard_error(stds, n_folds), half_width(stds, n_folds, self._ratio, LEVEL)
        tied = _tied(results, column, order, self._ratio)
        self._leaders = [
            Leader(
                rank=int(ranks[i]),
                trial_number=int(results["trial_number"][i]),
                params=dict(results["params"][i]),
                score=float(means[i]),
                std=float(stds[i]),
                standard_error=float(errors[i]),
                confidence_interval=(float(means[i] - halves[i]), float(means[i] + halves[i])),
                is_tied_with_best=is_tied,
                metrics={name: float(results[f"mean_{key}"][i]) for name, key in columns.items()},
                origin=origins[i],
                texts=texts[i],
            )
            for i, is_tied in zip(order, tied, strict=True)
        ]
        self._first = next(iter(self._leaders), None)

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
            A metric, or ``"fit_time"`` or ``"score_time"``, of which less is better; None for what the board is sorted
            by. With one scorer ``"score"``, or the name of the scorer.

        Raises
        ------
        InvalidRequestError
            If there is no such metric, or `n` is not a positive whole number.
        """
        keys = {label: key for key, label in self._labels.items()} | {key: key for key in _sortable(self._results)}
        metric = self.metric if by is None else keys.get(str(by))
        if metric is None:
            hint = closest(str(by), keys)
            raise InvalidRequestError(
                f"by={by!r} is not a metric of this search; there are: {', '.join(keys)}. {hint}".rstrip()
            )
        if n is not None and (not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1):
            raise InvalidRequestError(f"n={n!r} must be a whole number from 1, or None for all entries.")
        first: Leaderboard = self._again(metric, self._rows)[:n]
        return first

    def pareto_front(self) -> Leaderboard:
        """Return the board of the trials that no other one is better than by one goal, and as good as by all others.

        Raises
        ------
        InvalidRequestError
            If there is one goal only.
        """
        if not self._leaders:
            return self
        if len(self._goals) < 2:
            raise InvalidRequestError(f"A Pareto front is of several goals, and here {self.metric!r} is the only one.")
        return self._again(self.metric, pareto_rows(self._results, self._goals))

    def _again(self, metric: str, rows: Collection[int] | None) -> Leaderboard:
        """Return the board of the same results with these rows, sorted by a metric."""
        return Leaderboard(self._results, metric, self._texts, self._goals, rows, self._fold_sizes, self._labels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = Leaderboard.__new__(Leaderboard)
            vars(part).update(vars(self) | {"_leaders": self._leaders[index]})
            return part
        return self._leaders[index]

    def __len__(self) -> int:
        return len(self._leaders)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaderboard) and self.metric == other.metric and self._identity == other._identity

    @property
    def _identity(self) -> list[tuple[Any, ...]]:
        """What tells boards apart; parameters go by their texts, for objects need not tell whether they are equal."""
        return [(e.rank, e.trial_number, e.score, e.texts, e.origin) for e in self._leaders]

    __hash__ = None  # type: ignore[assignment]

    def _columns(self) -> tuple[list[str], list[str]]:
        params = dict.fromkeys(name for leader in self._leaders for name in leader.params)
        metrics = [name for leader in self._leaders[:1] for name in leader.metrics if name != self.metric]
        return list(params), metrics

    @property
    def _marks(self) -> list[str]:
        """What stands beside each entry; nothing at all where no other than the first cannot be told apart."""
        marks = [TIED if e.is_tied_with_best and e is not self._first else "" for e in self._leaders]
        return marks if any(marks) else []

    @property
    def note(self) -> str:
        """What its table has to say of its marks; nothing if it has none."""
        return NOTE if self._marks else ""

    @property
    def best_score_corrected(self) -> float:
        """The best score of all without what it is expected to owe to luck; NaN with one fold, and for times."""
        column = _sortable(self._results)[self.metric]
        if self._first is None or not column.startswith("test_"):
            return np.nan
        return self._first.score - bias_in(self._results, self.metric, self._ratio)

    def _table(self, width: int) -> tuple[list[str], list[list[str]]]:
        """Return header and cells as texts of at most this width; a parameter that a trial does not have is empty."""
        params, metrics = self._columns()
        marks, forked = self._marks, any(e.origin for e in self._leaders)
        header = ["rank", "trial", self.metric, "std error", f"{100 * LEVEL:.0f} %", *([TIED] if marks else [])]
        header += [*metrics, *(["from"] if forked else []), *params]
        rows = [
            [str(e.rank), str(e.trial_number), f"{e.score:.4f}", _known(e.standard_error)]
            + [_plus_minus(e.confidence_interval), *marks[place : place + 1]]
            + [f"{e.metrics[name]:.4f}" for name in metrics]
            + ([shortened(e.origin or "", max(width, NAME_WIDTH))] if forked else [])
            + [_short(e.params[name], e.texts.get(name), width) if name in e.params else "" for name in params]
            for place, e in enumerate(self._leaders)
        ]
        return header, rows

    def __repr__(self) -> str:
        if not self._leaders:
            return "no trial has a score yet"
        header, rows = self._table(MAX_WIDTH)
        table = text_table(header, rows, numeric=5 + bool(self._marks) + len(self._columns()[1]))
        return f"{table}\n{self.note}".rstrip()

    def _repr_html_(self) -> str:
        return html_table(*self._table(MAX_WIDTH_HTML)) + (f"<p>{html.escape(self.note)}</p>" if self.note else "")

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
            _in_frame(self.metric): [e.score for e in self._leaders],
            "std": [e.std for e in self._leaders],
            "standard_error": [e.standard_error for e in self._leaders],
            "confidence_low": [e.confidence_interval[0] for e in self._leaders],
            "confidence_high": [e.confidence_interval[1] for e in self._leaders],
            "is_tied_with_best": [e.is_tied_with_best for e in self._leaders],
        }
        columns |= {_in_frame(name): [e.metrics[name] for e in self._leaders] for name in metrics}
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


def _sortable(results: Mapping[str, Any]) -> dict[str, str]:
    """Return everything that a board can be sorted by, with what its columns in the results end with."""
    return {time: time for time in TIMES if f"mean_{time}" in results} | _columns(results, ())


def _by(results: Mapping[str, Any], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means, standard deviations and ranks."""
    means, stds = results[f"mean_{column}"], results[f"std_{column}"]
    if f"rank_{column}" in results:
        return means, stds, results[f"rank_{column}"]
    complete = results["trial_state"] == "COMPLETE"
    means, ranks = np.where(complete, means, np.nan), np.full(len(means), complete.sum() + 1)
    ranks[complete] = rankdata(means[complete], method="min")
    return means, stds, ranks


def _tied(results: Mapping[str, Any], column: str, order: Sequence[int], ratio: float) -> list[bool | None]:
    """Return for each row in the order of the board whether it cannot be told apart from the first."""
    if not column.startswith("test_"):  # of times there is nothing by fold
        return [None] * len(order)
    folds = fold_scores(results, column)[order]
    with np.errstate(invalid="ignore"):  # minus infinity is a score
        _, p = corrected_t_test(folds[:1] - folds, ratio)
    return [None if np.isnan(one) else bool(one > 1 - LEVEL) for one in p]


def _in_frame(metric: str) -> str:
    """Return what the column of a metric is called in a data frame: as the metric, where nothing else is."""
    return f"mean_test_{metric}" if metric in FRAME or metric.startswith("param_") else metric


def _known(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.4f}"


def _plus_minus(interval: tuple[float, float]) -> str:
    low, high = interval
    return "" if np.isnan(high) else f"±{(high - low) / 2:.4f}"


def _short(value: Any, text: str | None, width: int) -> str:
    """Return a value as a cell shows it; objects go by the name that the record has for them."""
    if isinstance(value, str | float):
        text = value if isinstance(value, str) else f"{value:.6g}"
    else:
        text = token(value).text if text is None else str(text)
    return shortened(printable(text), width)
