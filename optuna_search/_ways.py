"""The ways in which the training of one estimator goes on: by what it is, from a state to an amount of a resource.

- ``n_estimators`` with ``warm_start``, and ``max_iter`` of HistGradientBoosting: the same object is fitted again with
  the whole amount. What comes of it is what one fit with that amount comes to.
- Any other ``max_iter`` with ``warm_start``: further iterations from where the coefficients are. A learning rate that
  falls, the moments of Adam and what lbfgs knows of the curvature start anew at each rung, and passes are shuffled in
  the same order again if ``random_state`` is a number: a fit in one go comes to something else, though close to it
  where it converges.
- LightGBM and XGBoost grow further trees on those there are: the same trees as in one go, unless they are drawn (from
  a part of the rows or the columns), as the draws begin anew at each rung.
- CatBoost goes on from its own snapshot, which holds its random numbers too: the same trees as in one go.
- ``partial_fit``: further passes.
- Everything else is fitted from the start, which is right and takes longer. So is what could not go on as a fit in one
  go would have: CatBoost without ``learning_rate`` (by default it depends on the number of trees) and where it gets 200
  trees or more for the first time; trees of the three libraries that are watched while they grow (by an ``eval_set`` or
  callbacks); LightGBM's dart, random forests of LightGBM and XGBoost, GradientBoosting with ``n_iter_no_change``,
  Bagging with ``oob_score``, and liblinear.

What has ended by itself, as it has converged or stopped early, is not trained any further.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optuna_search._boosters import TREES, last_step, library_of
from optuna_search._record import PARTIAL_FIT
from optuna_search._warned import recorded


@dataclass(frozen=True)
class Given:
    """What an estimator is fitted on."""

    X: Any
    y: Any
    params: Mapping[str, Any]


@dataclass(frozen=True)
class State:
    """How far the training of a fold has come. It is never changed: a rung that is asked for again finds it as it was.

    It can be pickled if the estimator can. The training data of the fold are in it only as far as the first steps of a
    Pipeline have changed them.
    """

    #: How much of the resource it has had.
    amount: int
    #: The fitted estimator.
    estimator: Any
    #: What the last step of a Pipeline is fitted on.
    given: Given | None = None
    #: Whether it has ended by itself, so that more of the resource would change nothing.
    stopped: bool = False
    #: CatBoost's own state.
    snapshot: bytes | None = None


@dataclass(frozen=True)
class Trained:
    """What came of the training of the last step."""

    model: Any
    stopped: bool = False
    snapshot: bytes | None = None


#: Trains an unfitted estimator on what it is given, by the name of its resource, to an amount, from a state or None.
Way = Callable[[Any, Given, str, int, State | None], Trained]


def way_of(model: Any, name: str, fit_params: Mapping[str, Any]) -> Way:
    """Return how the training of an estimator goes on."""
    library = library_of(model)
    if name == PARTIAL_FIT:
        return _passes
    if library is not None and name in TREES[library]:
        return from_scratch if _trees_start_anew(model, fit_params) else _BY_LIBRARY[library]
    return from_scratch if _starts_anew(model, name) else _warmly


def is_exact(way: Way, model: Any, name: str) -> bool:
    """Whether training that goes on in a way comes to just what one fit does, whatever the other parameters are."""
    return way in (from_scratch, _passes, _on_a_snapshot) or (way is _warmly and _counts_all(model, name))


def from_scratch(model: Any, given: Given, name: str, amount: int, before: State | None) -> Trained:
    model = fit(model.set_params(**{name: amount}), given)
    return Trained(model, _has_stopped(model, name, amount))


def _passes(model: Any, given: Given, name: str, amount: int, before: State | None) -> Trained:
    params = dict(given.params)
    if before is not None:
        model = copy.deepcopy(last_step(before.estimator))  # which `partial_fit` changes
    elif "classes" in inspect.signature(model.partial_fit).parameters:
        params.setdefault("classes", _classes(given.y))
    for _ in range(amount - (before.amount if before is not None else 0)):
        model.partial_fit(given.X, *_labels(given), **params)
        params.pop("classes", None)
    return Trained(model)


def _warmly(model: Any, given: Given, name: str, amount: int, before: State | None) -> Trained:
    warm_start, trains = model.get_params(deep=False)["warm_start"], amount
    if before is not None:
        # A fit with warm_start changes lists and random states in place. A copy takes a hundredth of the time of a fit.
        model = copy.deepcopy(last_step(before.estimator)).set_params(warm_start=True)
        trains = amount if _counts_all(model, name) else amount - before.amount
    with unsaid(UserWarning, "class_weight presets"):  # forests fear that the data are others than before
        fit(model.set_params(**{name: trains}), given)
    stopped = _has_stopped(model, name, trains)
    return Trained(model.set_params(**{name: amount, "warm_start": warm_start}), stopped)


def _on_a_model(argument: str) -> Way:
    """Return the way of a library whose `fit` takes the model that is to grow further by an argument."""

    def way(model: Any, given: Given, name: str, amount: int, before: State | None) -> Trained:
        if before is None:
            return Trained(fit(model.set_params(**{name: amount}), given))
        fit(model.set_params(**{name: amount - before.amount}), given, **{argument: last_step(before.estimator)})
        return Trained(model.set_params(**{name: amount}))

    return way


def _on_a_snapshot(model: Any, given: Given, name: str, amount: int, before: State | None) -> Trained:
    """Have CatBoost take up its own snapshot.

    Its `init_model` would begin its random numbers anew, and those make a difference without any subsampling too.
    """
    model.set_params(**{name: amount})
    if before is not None:
        # It refuses where another of its defaults depends on the number of trees: from 200 on, leaves are estimated in
        # more steps. Then all trees become others. An error that is about something else comes again.
        with contextlib.suppress(Exception):
            return _taken_up(model, given, before.snapshot)
    return _taken_up(model, given, None)


def _taken_up(model: Any, given: Given, snapshot: bytes | None) -> Trained:
    trains = copy.deepcopy(model)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "snapshot")
        if snapshot is not None:
            file.write_bytes(snapshot)
        trains.set_params(train_dir=folder, allow_writing_files=True)
        fit(trains, given, save_snapshot=True, snapshot_file=str(file))
        snapshot = file.read_bytes() if file.exists() else None
    # The parameters of a fitted model cannot be set. So the one that has those asked for takes over what was learned.
    own = trains.get_params()
    model.__setstate__({key: value for key, value in trains.__getstate__().items() if key not in own})
    return Trained(model, snapshot=snapshot)


def fit(model: Any, given: Given, **more: Any) -> Any:
    model.fit(given.X, *_labels(given), **{**given.params, **more})
    return model


_BY_LIBRARY: dict[str, Way] = {
    "lightgbm": _on_a_model("init_model"),
    "xgboost": _on_a_model("xgb_model"),
    "catboost": _on_a_snapshot,
}


def _labels(given: Given) -> tuple[Any, ...]:
    return () if given.y is None else (given.y,)


def _classes(y: Any) -> Any:
    """Return the classes as `partial_fit` takes them: those of each column, where there are several."""
    columns = np.asarray(y)
    return np.unique(columns) if columns.ndim == 1 else [np.unique(column) for column in columns.T]


# --- what is known of estimators --------------------------------------------------------------------------------------

_HISTOGRAMS = {"sklearn.HistGradientBoostingClassifier", "sklearn.HistGradientBoostingRegressor"}
_BAGGING = {"sklearn.BaggingClassifier", "sklearn.BaggingRegressor"}
_XGBOOST_FORESTS = {"xgboost.XGBRFClassifier", "xgboost.XGBRFRegressor"}


def _kinds(model: Any) -> set[str]:
    """Return package and name of the classes that an estimator is of."""
    return {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(model).__mro__}


def _counts_all(model: Any, name: str) -> bool:
    """Whether a parameter says how many there are to be in the end, and not how many more."""
    return name == "n_estimators" or bool(_kinds(model) & _HISTOGRAMS)


def _starts_anew(model: Any, name: str) -> bool:
    """Whether ``warm_start`` is not there, does nothing, is refused, or ends elsewhere than a fit in one go."""
    params = model.get_params(deep=False)
    return (
        "warm_start" not in params
        or name not in ("n_estimators", "max_iter")
        or params.get("solver") == "liblinear"
        or (bool(params.get("oob_score")) and bool(_kinds(model) & _BAGGING))
        # GradientBoosting does not keep the losses by which it stops.
        or (name == "n_estimators" and params.get("n_iter_no_change") is not None)
    )


def _trees_start_anew(model: Any, fit_params: Mapping[str, Any]) -> bool:
    """Whether further trees would not be those of a fit in one go, for another reason than random numbers."""
    params = model.get_params()
    # Whoever watches counts from the beginning; and LightGBM has one score to begin with, not two.
    given = [name for name, value in fit_params.items() if value is not None]
    watched = [name for name in given if name.startswith("eval_") or name == "init_score"]
    called = params.get("callbacks") is not None or fit_params.get("callbacks") is not None
    # LightGBM does not drop the trees that it goes on from, and refuses to add to a random forest.
    kind = {params.get(name) for name in ("boosting_type", "boosting", "boost", "booster")}
    sized = library_of(model) == "catboost" and params.get("learning_rate", params.get("eta")) is None
    forest = bool(_kinds(model) & _XGBOOST_FORESTS)  # has only one round, in which all trees grow
    return bool(watched) or called or sized or forest or not kind.isdisjoint({"dart", "rf", "random_forest"})


def _has_stopped(model: Any, name: str, trains: int) -> bool:
    """Whether an estimator has ended by itself, before it used what it was allowed."""
    if "warm_start" not in model.get_params(deep=False):  # only there it is known what the attributes mean
        return False
    if name == "n_estimators":
        return getattr(model, "n_estimators_", trains) < trains
    done = getattr(model, "n_iter_", None)
    if name != "max_iter" or done is None:
        return False
    return bool(np.max(done) < trains) or (bool(_kinds(model) & _HISTOGRAMS) and _ended_on_the_rung(model))


def _ended_on_the_rung(model: Any) -> bool:
    """Whether HistGradientBoosting stopped after exactly as many iterations as it was allowed: it does not say so."""
    if not model.do_early_stopping_:
        return False
    scores = model.validation_score_ if len(model.validation_score_) else model.train_score_
    recent, reference = scores[-model.n_iter_no_change :], scores[: -model.n_iter_no_change][-1:]
    return len(reference) > 0 and not np.any(recent > reference[0] + model.tol)


# --- warnings ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def unsaid(category: type[Warning], begins: str = "") -> Iterator[None]:
    """Keep warnings of a kind, and that begin in a way, to ourselves."""
    if threading.current_thread() is threading.main_thread():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=begins, category=category)
            yield
        return
    # Filters are for the whole process: in another thread they stay as they are, and what was heard is said again.
    with recorded() as seen:
        yield
    for one, n_times in seen.items():
        if not (issubclass(one.category, category) and one.text.startswith(begins)):
            for _ in range(n_times):
                warnings.warn_explicit(one.text, one.category, one.filename, one.lineno)
