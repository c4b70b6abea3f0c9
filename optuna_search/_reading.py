"""From a study to its results, with or without the search that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna_search._goals import Goal, named_by
from optuna_search._header import error_score_of, goals_of
from optuna_search._kept import Kept
from optuna_search._leaderboard import Leaderboard
from optuna_search._record import origin_text
from optuna_search._results import Row, cv_results, is_multimetric, metrics_of
from optuna_search._space import AnySpace
from optuna_search._store import Store


@dataclass(frozen=True)
class Setup:
    """How the trials of a study are scored, as far as results depend on it."""

    n_splits: int
    #: What stands for the score of a fit that failed.
    error_score: float
    #: What is pursued, as the record of the study has it.
    goals: tuple[Goal, ...]
    return_train_score: bool = False
    #: Samples in the training and the test part of each fold; none where they are not known.
    fold_sizes: Sequence[Sequence[int]] = ()

    def metric(self, kept: Sequence[Kept]) -> str:
        """Return the name that the first metric which is pursued has in the results."""
        metrics = metrics_of([k.record for k in kept])
        return next((goal.name for goal in self.named(kept) if not goal.is_time), metrics[0])

    def named(self, kept: Sequence[Kept]) -> tuple[Goal, ...]:
        """Return what is pursued by the names in the results."""
        return named_by(self.goals, metrics_of([k.record for k in kept]))


def setup_of(header: Mapping[str, Any], *, return_train_score: bool = False) -> Setup:
    """Return how the trials of a study are scored, from what is kept of the study itself."""
    n_splits = int(header["fingerprint"]["splits"]["folds"])
    sizes = header.get("fold_sizes", ())
    return Setup(n_splits, error_score_of(header), goals_of(header), return_train_score, sizes)


def labels_of(header: Mapping[str, Any], kept: Sequence[Kept]) -> dict[str, str]:
    """Return what people call each metric; a single one goes by "score" in the records, whatever it is."""
    records, scoring = [k.record for k in kept], header["fingerprint"]["scoring"]
    named = not is_multimetric(records) and isinstance(scoring, str) and scoring.isidentifier()
    return {key: scoring if named else key for key in metrics_of(records)}


def results_of(store: Store, kept: Sequence[Kept], space: AnySpace | None, setup: Setup) -> dict[str, Any]:
    """Return ``cv_results_``.

    Parameters
    ----------
    kept : sequence of Kept
        The trials that count, at least one.
    space : Space, FunctionSpace, or None
        What the objects among the parameters are looked up in; without it they are their tokens.
    """
    rows = [
        Row(k.trial.number, k.trial.state.name, store.params_of(k, space), k.record, origin_text(k.trial)) for k in kept
    ]
    return cv_results(rows, setup.n_splits, setup.error_score, setup.return_train_score, n_goals=len(setup.goals))


def texts_of(kept: Sequence[Kept]) -> list[Mapping[str, Any]]:
    """Return for each row of the results its parameters as the record has them, which is what tables show."""
    return [k.record.params for k in kept]


def leaderboard_of(store: Store) -> Leaderboard:
    """Return the leaderboard of a study from its storage alone; it is empty where nothing has a score."""
    kept = [k for k in store.kept() if any(fold.test for fold in k.record.run)]
    if not kept:
        return Leaderboard.empty()
    header = store.header()
    setup, labels = setup_of(header), labels_of(header, kept)
    results = results_of(store, kept, None, setup)
    metric, goals = setup.metric(kept), setup.named(kept)
    return Leaderboard(results, metric, texts_of(kept), goals, fold_sizes=setup.fold_sizes, labels=labels)
