"""Hyper-parameter search for scikit-learn in persistent Optuna studies."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna_search import callbacks, exceptions, figures, pruners, studies
    from optuna_search._dimensions import named
    from optuna_search._early import EarlyStopping
    from optuna_search._parsimony import one_standard_error
    from optuna_search._report import report
    from optuna_search._search import OptunaSearchCV

__version__ = "0.1.0.dev0"

__all__ = [
    "EarlyStopping",
    "OptunaSearchCV",
    "__version__",
    "callbacks",
    "exceptions",
    "figures",
    "named",
    "one_standard_error",
    "pruners",
    "report",
    "studies",
]

_HOMES = {
    "EarlyStopping": "_early",
    "OptunaSearchCV": "_search",
    "named": "_dimensions",
    "one_standard_error": "_parsimony",
    "report": "_report",
}


# In a notebook without ipywidgets a bar is text, and tqdm complains of that where it is first imported: by Optuna.
if "ipykernel" in sys.modules:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tqdm.auto  # noqa: F401


def __getattr__(name: str) -> Any:
    # Imported when asked for: a worker process imports this package to fit and score, and starts half a
    # second earlier without Optuna.
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
