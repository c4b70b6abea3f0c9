"""What the tests of invariants search, where, and what is true of it whatever happened.

``OPTUNA_SEARCH_TEST_EXAMPLES=20`` looks at twenty times as many examples, and at other ones each time.
"""

import functools
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from estimators import KnownScore
from hypothesis import HealthCheck, settings
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from sklearn.model_selection import GridSearchCV

from optuna_search import OptunaSearchCV
from optuna_search._record import ABANDONED, FAILURE, HANDED_BACK, RECORD
from optuna_search._storage import open_storage

#: How many times more examples than in a usual run, where each finds the same ones.
TIMES = int(os.environ.get("OPTUNA_SEARCH_TEST_EXAMPLES", "1"))

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
N_SPLITS = 2


def examples(n, **how):
    return settings(
        deadline=None, database=None, derandomize=TIMES == 1, max_examples=TIMES * n, print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], **how,
    )  # fmt: skip


def opener(kind, folder, _numbers=itertools.count()):  # noqa: B008 - each storage is another one
    """What opens a new storage of some kind again and again."""
    if kind == "memory":
        return functools.partial(lambda storage: storage, InMemoryStorage())
    return functools.partial(open_storage, str(folder / f"{next(_numbers)}.{kind}"))


# --- what is searched -------------------------------------------------------------------------------------------------


class Measured(KnownScore):
    """Raises in ``fit`` when ``x`` is 4."""

    def fit(self, X, y=None):
        if self.x == 4:
            raise ValueError("x=4 is bad")
        return super().fit(X, y)


@dataclass(frozen=True)
class Case:
    """A space, and how much there is in it."""

    space: Any
    samplers: Sequence[str | None]
    n_rows: float = math.inf
    n_candidates: float = math.inf


GRIDS = {
    "a grid": Case({"x": [0, 1, 2, 3, 4]}, [None, "tpe", "brute-force"], 5, 5),
    "a grid with a cell twice": Case({"x": [0, 1, 1, 2, 4], "choice": ["a"]}, [None], 5, 4),
}
SAMPLED = {
    "dicts": Case([{"x": [0, 1, 4]}, {"peak": IntDistribution(1, 3), "x": [3]}], ["grid", "tpe", "random"], 6, 6),
    "whole numbers": Case({"x": IntDistribution(0, 5), "choice": ["a", None]}, ["random", "tpe", "qmc", None], 12, 12),
    "numbers": Case({"x": FloatDistribution(0, 6)}, ["random", "tpe", "qmc"]),
}
CASES = GRIDS | SAMPLED


def made(case, storage, **how):
    how = {"cv": N_SPLITS, "random_state": 0, "refit": False, "study_name": storage and "s"} | how
    return OptunaSearchCV(Measured(), case.space, storage=storage, **how)


def rows_of(search):
    """What a search found, row by row: parameters and scores, not what time they took."""
    results = search.cv_results_
    scores = [f"split{split}_test_score" for split in range(N_SPLITS)]
    columns = [results[key].tolist() for key in (*scores, "mean_test_score", "std_test_score")]
    # A row that is NaN in one fold alone is rounded in another way.
    return [repr((sorted(params.items()), *row)) for params, *row in zip(results["params"], *columns, strict=True)]


def grid_of(space):
    """What scikit-learn finds in a grid."""
    return GridSearchCV(Measured(), space, cv=N_SPLITS, refit=False).fit(X, Y)


def measured_alone(rows_of_params):
    """What scikit-learn finds for these candidates, in a grid of each."""
    grids = [{name: [value] for name, value in params.items()} for params in [*rows_of_params, {"x": 0}]]
    return rows_of(grid_of(grids))[:-1]


def key_of(trial):
    return repr(sorted(trial.params.items()))


def check_trials(trials, world, was_disturbed):
    """Check what is true of the trials of every study: nothing is torn or lost, no fit was in vain without need."""
    assert [t.number for t in trials] == [*range(len(trials))]
    assert all(t.state.is_finished() for t in trials)
    assert max(Counter((fit.trial, fit.split) for fit in world.fits).values(), default=1) == 1, (
        "a fold was fitted twice"
    )
    fitted = {fit.trial: fit.process for fit in world.fits}
    keys = [key_of(t) for t in trials if RECORD in t.user_attrs and t.number in fitted]
    assert len(set(keys)) == len(keys), "a candidate was fitted twice"
    for t in trials:
        assert RECORD not in t.user_attrs or t.user_attrs.get(FAILURE) != ABANDONED, "its end was known"
        if RECORD not in t.user_attrs and t.number in fitted:
            assert t.user_attrs[FAILURE] != HANDED_BACK, "what is handed back was never fitted"
            assert fitted[t.number] in was_disturbed, f"trial {t.number} was fitted for nothing"
    for _, error in world.ends:
        if number := re.search(r"The result of trial (\d+) is in", str(error)):
            assert key_of(trials[int(number[1])]) in [key_of(t) for t in trials if RECORD in t.user_attrs]
