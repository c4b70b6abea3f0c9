"""Hyper-parameter search for scikit-learn in persistent Optuna studies."""

from __future__ import annotations

from optuna_search import exceptions
from optuna_search._dimensions import named
from optuna_search._search import OptunaSearchCV

__version__ = "0.1.0.dev0"

__all__ = ["OptunaSearchCV", "__version__", "exceptions", "named"]
