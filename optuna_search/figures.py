"""Figures of a study, each an ordinary plotly figure."""

from __future__ import annotations

from optuna_search._facts import facts_of
from optuna_search._given import store_given


def _facts(g, s):
    return facts_of(store_given(g, s))
