"""How the boosters of each library are stopped on a validation part, none of which is imported before it is needed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import is_classifier, is_regressor

from optuna_search._boosters import TREES, packages_of


@dataclass(frozen=True)
class Part:
    """Some rows of the training data."""

    X: Any
    y: Any
    #: Parameters of `fit`; those with one entry for each row have the entries of these rows.
    params: dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """How the boosters of one library are stopped."""

    #: Names of the number of iterations; the first is set where none is.
    iterations: tuple[str, ...]
    #: How many iterations the predictions of a fitted one use.
    used: Callable[[Any], int]
    #: Fits one on a part, and stops it on another; None for those that take their validation part themselves.
    fit: Callable[[Any, Part, Part, int], Any] | None = None
    #: Parameters that make it stop, from `rounds` and `validation_fraction`.
    stopping: Callable[[int, float], dict[str, Any]] = lambda rounds, fraction: {}
    #: Parameters that keep it from stopping.
    fixed: Mapping[str, Any] = field(default_factory=dict)
    #: Parameters that would stop it a second time.
    own: tuple[str, ...] = ()
    #: Values of parameters with which it cannot go back to its best iteration.
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Names of a parameter without which the best iteration means nothing.
    needed: tuple[str, ...] = ()
    #: Names of a parameter, and the value of it that is set where none is, so that nothing is printed.
    quiet: tuple[tuple[tuple[str, ...], Any], ...] = ()


def kind_of(booster: Any) -> Kind | None:
    """Return how a booster is stopped, by where its class or a parent of it was made: no booster is imported."""
    if not (hasattr(booster, "fit") and (is_classifier(booster) or is_regressor(booster))):
        return None
    for cls, package in zip(type(booster).__mro__, packages_of(booster), strict=True):
        if (kind := _KINDS.get(cls.__name__ if package == "sklearn" else package)) is not None:
            return kind
    return None


def _fit_lightgbm(booster: Any, fitting: Part, validation: Part, rounds: int) -> None:
    from lightgbm import early_stopping

    stop = early_stopping(rounds, first_metric_only=True, verbose=False)
    params = {**fitting.params, "callbacks": [*(fitting.params.get("callbacks") or ()), stop]}
    names = {"sample_weight": "eval_sample_weight", "init_score": "eval_init_score"}
    with warnings.catch_warnings():
        # LightGBM 4.7 would have `eval_y`, but forgets to encode the labels in it: its issue 7400.
        warnings.filterwarnings("ignore", "The argument 'eval_set' is deprecated")
        booster.fit(
            fitting.X, fitting.y, eval_set=[(validation.X, validation.y)], **params, **_listed(validation, names)
        )


def _fit_xgboost(booster: Any, fitting: Part, validation: Part, rounds: int) -> None:
    params = {"verbose": False, **fitting.params}
    names = {"sample_weight": "sample_weight_eval_set", "base_margin": "base_margin_eval_set"}
    booster.fit(fitting.X, fitting.y, eval_set=[(validation.X, validation.y)], **params, **_listed(validation, names))


def _fit_catboost(booster: Any, fitting: Part, validation: Part, rounds: int) -> None:
    from catboost import Pool

    columns = ("cat_features", "text_features", "embedding_features")
    given = booster.get_params() | fitting.params
    pool = Pool(
        validation.X,
        validation.y,
        weight=validation.params.get("sample_weight"),
        baseline=validation.params.get("baseline"),
        **{name: given.get(name) for name in columns},
    )
    booster.fit(
        fitting.X, fitting.y, eval_set=pool, early_stopping_rounds=rounds, use_best_model=True, **fitting.params
    )


def _listed(validation: Part, names: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return parameters of the validation part by the names that they have there."""
    given = {name: validation.params[name] for name in names if validation.params.get(name) is not None}
    return {names[name]: [value] for name, value in given.items()}


_HISTOGRAM = Kind(
    ("max_iter",),
    lambda booster: booster.n_iter_,
    stopping=lambda rounds, fraction: {
        "early_stopping": True,
        "n_iter_no_change": rounds,
        "validation_fraction": fraction,
    },
    fixed={"early_stopping": False},
)
_GRADIENT = Kind(
    ("n_estimators",),
    lambda booster: booster.n_estimators_,
    stopping=lambda rounds, fraction: {"n_iter_no_change": rounds, "validation_fraction": fraction},
    fixed={"n_iter_no_change": None},
)
#: By the package of their class; scikit-learn's by the name of their class.
_KINDS = {
    "lightgbm": Kind(
        TREES["lightgbm"],
        lambda booster: booster.best_iteration_,
        _fit_lightgbm,
        own=("early_stopping", "early_stopping_round", "early_stopping_rounds", "n_iter_no_change"),
        refused=dict.fromkeys(("boosting_type", "boosting", "boost"), ("dart",)),
        quiet=((("verbose", "verbosity"), -1),),
    ),
    "xgboost": Kind(
        TREES["xgboost"],
        lambda booster: booster.best_iteration + 1,
        _fit_xgboost,
        stopping=lambda rounds, fraction: {"early_stopping_rounds": rounds},
        own=("early_stopping_rounds",),
        refused={"booster": ("dart", "gblinear")},
    ),
    "catboost": Kind(
        TREES["catboost"],
        lambda booster: booster.tree_count_,
        _fit_catboost,
        own=("early_stopping_rounds", "eval_fraction", "od_pval", "od_type", "od_wait", "use_best_model"),
        needed=("learning_rate", "eta"),
        quiet=((("verbose", "logging_level", "silent", "verbose_eval"), False), (("allow_writing_files",), False)),
    ),
    "HistGradientBoostingClassifier": _HISTOGRAM,
    "HistGradientBoostingRegressor": _HISTOGRAM,
    "GradientBoostingClassifier": _GRADIENT,
    "GradientBoostingRegressor": _GRADIENT,
}  # fmt: skip
