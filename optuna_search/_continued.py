"""Training that goes on: a fold gets more and more of a resource, and what it has learned is not learned again.

A rung of a trial asks for an amount of a resource: of an integer parameter (``n_estimators``, ``clf__max_iter``), or of
passes over the training data (``partial_fit``). What `trained` returns is scored, and a `State` goes to the next rung
with it. How the training goes on depends on the estimator:

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

In a Pipeline only the last step goes on. The steps before it are fitted once, and what they made of the training data
is part of the state.
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
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from optuna_search._boosters import TREES, last_step, packages_of
from optuna_search._hints import did_you_mean
from optuna_search._record import PARTIAL_FIT
from optuna_search._tables import shortened
from optuna_search._warned import recorded

#: What is shown of a value that is no number.
MAX_SHOWN = 80


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
class _Trained:
    """What came of the training of the last step."""

    model: Any
    stopped: bool = False
    snapshot: bytes | None = None


#: Trains an unfitted estimator on what it is given, by the name of its resource, to an amount, from a state or None.
_Way = Callable[[Any, Given, str, int, State | None], _Trained]


def trained(
    estimator: Any,
    X: Any,
    y: Any,
    fit_params: Mapping[str, Any],
    *,
    resource: str,
    amount: int,
    state: State | None = None,
    last: bool = True,
) -> tuple[Any, State | None]:
    """Return an estimator that has had an amount of a resource.

    Parameters
    ----------
    estimator : estimator
        Unfitted, with the parameters of the candidate. It belongs to this call, which may fit it or its steps.
    X, y : array-like
        The training part of a fold; it must be the same at all rungs.
    fit_params : mapping
        What its `fit` takes besides.
    resource : str
        An integer parameter, or ``"partial_fit"``; one of which `complaint` has nothing to say.
    amount : int
        The whole amount, not what is added.
    state : State or None
        What the rung before returned. Without it, or after more than `amount`, the training starts at the beginning.
    last : bool
        Whether no rung follows. At the others it is no news that iterations have not converged.

    Returns
    -------
    estimator, State or None
        A fitted estimator with the parameters of the candidate and the resource at `amount`, and what the next rung
        is to be given.
    """
    name = _own_name(estimator, resource)
    quiet = "iter" in resource.rpartition("__")[2] and not last
    if name is None:
        with _unsaid(ConvergenceWarning) if quiet else contextlib.nullcontext():
            return refitted(estimator, X, y, fit_params, resource=resource, amount=amount), None
    if state is not None and amount < state.amount:
        state = None
    if state is not None and (state.stopped or amount == state.amount):
        return _shown(state, name, amount), state

    model = last_step(estimator)
    prepared, given = _prepared(estimator, X, y, fit_params, state)
    way = _way(model, name, given.params)
    with _unsaid(ConvergenceWarning) if quiet else contextlib.nullcontext():
        one = way(model, given, name, amount, state)
    fitted = _with_last(prepared, one.model)
    in_pipeline = isinstance(estimator, Pipeline)
    if way is _from_scratch and not in_pipeline and not one.stopped:
        return fitted, None
    return fitted, State(amount, fitted, given if in_pipeline else None, one.stopped, one.snapshot)


def refitted(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any], *, resource: str, amount: int) -> Any:
    """Return an unfitted estimator after one plain fit with an amount of a resource."""
    if resource == PARTIAL_FIT:
        return trained(estimator, X, y, fit_params, resource=resource, amount=amount)[0]
    return _fit(estimator.set_params(**{resource: amount}), Given(X, y, fit_params))


def goes_on_exactly(estimator: Any, resource: str) -> bool:
    """Whether training that goes on comes to just what one fit does, whatever the other parameters are."""
    name = _own_name(estimator, resource)
    if name is None or name == PARTIAL_FIT:
        return True
    model = last_step(estimator)
    way = _way(model, name, {})
    return way in (_from_scratch, _on_a_snapshot) or (way is _warmly and _counts_all(model, name))


# --- what can be a resource -------------------------------------------------------------------------------------------


def complaint(estimator: Any, resource: str) -> str | None:
    """Say why a resource cannot be used with an estimator; None if it can."""
    last = last_step(estimator)
    if resource == PARTIAL_FIT:
        fits = hasattr(last, PARTIAL_FIT)
        wrong = None if fits else f"needs an estimator with a method partial_fit, and {type(last).__name__} has none"
    else:
        wrong = _no_integer(estimator, resource)
    if wrong is None:
        return _clash(estimator, resource)
    others = "'n_samples', 'partial_fit'" if hasattr(last, PARTIAL_FIT) else "'n_samples'"
    hint = did_you_mean(resource, _integers(estimator))
    return f"resource={resource!r} {wrong}. Give {others} or an integer parameter. {hint}"


def whole(estimator: Any, resource: str) -> int | None:
    """Return how much of an integer parameter an estimator has by itself; None where that is no number."""
    owner, name = _owner(estimator, resource)
    params, library = _params(owner), _library(owner)
    names = [name]
    if library is not None and name in library.names:
        names += reversed(library.names)  # the usual one last: the others are only there if they were given
    value: Any = next((params[one] for one in names if params.get(one) is not None), None)
    if value is None and library is not None and name in library.names:
        value = library.default
    return int(value) if _is_integer(value) and value >= 1 else None


def _no_integer(estimator: Any, resource: str) -> str | None:
    """Say what a resource is instead of an integer parameter; None if it is one, or may be."""
    (owner, name), params = _owner(estimator, resource), estimator.get_params(deep=True)
    value: Any = params.get(resource)
    if value is not None and not _is_integer(value):
        is_now = f"{name}={shortened(repr(value), MAX_SHOWN)}"
        return f"is no integer parameter: {type(owner).__name__} has {is_now}"
    library = _library(owner)
    # The libraries tell of some parameters only where they were given.
    others = set() if library is None else {*library.names, *inspect.signature(type(owner).__init__).parameters}
    return None if resource in params or name in others else f"is no parameter of {type(estimator).__name__}"


def _clash(estimator: Any, resource: str) -> str | None:
    """Complain of two names for one number of trees: the other one would be used, or both refused."""
    owner, name = _owner(estimator, resource)
    library, params = _library(owner), _params(owner)
    if library is None or name not in library.names:
        return None
    usual = inspect.signature(type(owner).__init__).parameters
    for other in library.names:
        value = params.get(other)
        if other == name or value is None or (other in usual and usual[other].default == value):
            continue
        better = resource.removesuffix(name) + other
        return (
            f"resource={resource!r} is another name of {other!r}, and {type(owner).__name__} has {other}={value!r} "
            f"already. Give resource={better!r}, or leave {other} out of the estimator."
        )
    return None


def _owner(estimator: Any, resource: str) -> tuple[Any, str]:
    """Return who has a parameter, and what it is called there."""
    step, _, name = resource.rpartition("__")
    return (estimator.get_params(deep=True).get(step) if step else estimator), name


def _params(owner: Any) -> dict[str, Any]:
    return owner.get_params(deep=False) if hasattr(owner, "get_params") else {}


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _integers(estimator: Any) -> list[str]:
    """Return the integer parameters of an estimator and of all inside of it."""
    names = []
    for path, value in {"": estimator, **estimator.get_params(deep=True)}.items():
        library = _library(value)
        if library is not None:  # whose number of trees may not be there by default
            names.append(f"{path}__{library.names[0]}".removeprefix("__"))
        elif _is_integer(value):
            names.append(path)
    return list(dict.fromkeys(names))


# --- pipelines --------------------------------------------------------------------------------------------------------


class _Held(BaseEstimator):
    """Stands for the last step while the steps before it are fitted, and holds what that would have been fitted on.

    So it is scikit-learn that fits the transformers, routes what is passed to `fit`, and asks its memory.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: Any, y: Any = None, **params: Any) -> _Held:
        self.given_ = Given(X, y, params)
        return self

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.model)


def _prepared(estimator: Any, X: Any, y: Any, fit_params: Mapping[str, Any], state: State | None) -> tuple[Any, Given]:
    """Return an estimator whose steps are fitted but for the last, and what that is to be fitted on."""
    if not isinstance(estimator, Pipeline):
        return estimator, Given(X, y, fit_params)
    if state is not None and state.given is not None:
        return state.estimator, state.given
    held = _Held(last_step(estimator))
    pipeline = _with_last(estimator, held)
    pipeline.fit(X, y, **fit_params)
    return pipeline, held.given_


def _with_last(estimator: Any, model: Any) -> Any:
    """Return a Pipeline with the same steps but for the last; instead of any other estimator that one itself."""
    if not isinstance(estimator, Pipeline):
        return model
    made = copy.copy(estimator)
    name, inner = estimator.steps[-1]
    made.steps = [*estimator.steps[:-1], (name, _with_last(inner, model))]
    return made


def _own_name(estimator: Any, resource: str) -> str | None:
    """Return what the last step calls a resource; None for one that belongs to a step before it."""
    while resource != PARTIAL_FIT and isinstance(estimator, Pipeline):
        last, estimator = estimator.steps[-1]
        step, _, resource = resource.partition("__")
        if step != last:
            return None
    return resource


def _shown(state: State, name: str, amount: int) -> Any:
    """Return the estimator of a state, with an amount that it did not need all of as its parameter."""
    if amount == state.amount:
        return state.estimator
    return _with_last(state.estimator, copy.copy(last_step(state.estimator)).set_params(**{name: amount}))


# --- the ways ---------------------------------------------------------------------------------------------------------


def _way(model: Any, name: str, fit_params: Mapping[str, Any]) -> _Way:
    """Return how the training of an estimator goes on."""
    library = _library(model)
    if name == PARTIAL_FIT:
        return _passes
    if library is not None and name in library.names:
        return _from_scratch if _trees_start_anew(model, fit_params) else library.way
    return _from_scratch if _starts_anew(model, name) else _warmly


def _from_scratch(model: Any, given: Given, name: str, amount: int, before: State | None) -> _Trained:
    model = _fit(model.set_params(**{name: amount}), given)
    return _Trained(model, _has_stopped(model, name, amount))


def _passes(model: Any, given: Given, name: str, amount: int, before: State | None) -> _Trained:
    params = dict(given.params)
    if before is not None:
        model = copy.deepcopy(last_step(before.estimator))  # which `partial_fit` changes
    elif "classes" in inspect.signature(model.partial_fit).parameters:
        params.setdefault("classes", _classes(given.y))
    for _ in range(amount - (before.amount if before is not None else 0)):
        model.partial_fit(given.X, *_labels(given), **params)
        params.pop("classes", None)
    return _Trained(model)


def _warmly(model: Any, given: Given, name: str, amount: int, before: State | None) -> _Trained:
    warm_start, trains = model.get_params(deep=False)["warm_start"], amount
    if before is not None:
        # A fit with warm_start changes lists and random states in place. A copy takes a hundredth of the time of a fit.
        model = copy.deepcopy(last_step(before.estimator)).set_params(warm_start=True)
        trains = amount if _counts_all(model, name) else amount - before.amount
    with _unsaid(UserWarning, "class_weight presets"):  # forests fear that the data are others than before
        _fit(model.set_params(**{name: trains}), given)
    stopped = _has_stopped(model, name, trains)
    return _Trained(model.set_params(**{name: amount, "warm_start": warm_start}), stopped)


def _on_a_model(argument: str) -> _Way:
    """Return the way of a library whose `fit` takes the model that is to grow further by an argument."""

    def way(model: Any, given: Given, name: str, amount: int, before: State | None) -> _Trained:
        if before is None:
            return _Trained(_fit(model.set_params(**{name: amount}), given))
        _fit(model.set_params(**{name: amount - before.amount}), given, **{argument: last_step(before.estimator)})
        return _Trained(model.set_params(**{name: amount}))

    return way


def _on_a_snapshot(model: Any, given: Given, name: str, amount: int, before: State | None) -> _Trained:
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


def _taken_up(model: Any, given: Given, snapshot: bytes | None) -> _Trained:
    trains = copy.deepcopy(model)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "snapshot")
        if snapshot is not None:
            file.write_bytes(snapshot)
        trains.set_params(train_dir=folder, allow_writing_files=True)
        _fit(trains, given, save_snapshot=True, snapshot_file=str(file))
        snapshot = file.read_bytes() if file.exists() else None
    # The parameters of a fitted model cannot be set. So the one that has those asked for takes over what was learned.
    own = trains.get_params()
    model.__setstate__({key: value for key, value in trains.__getstate__().items() if key not in own})
    return _Trained(model, snapshot=snapshot)


def _fit(model: Any, given: Given, **more: Any) -> Any:
    model.fit(given.X, *_labels(given), **{**given.params, **more})
    return model


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


@dataclass(frozen=True)
class _Library:
    """A library of boosted trees. It is not imported here: an estimator of it brings it along."""

    #: What the number of trees may be called, the usual name first.
    names: tuple[str, ...]
    #: How many there are by default.
    default: int
    way: _Way


_LIBRARIES = {
    "lightgbm": _Library(TREES["lightgbm"], 100, _on_a_model("init_model")),
    "xgboost": _Library(TREES["xgboost"], 100, _on_a_model("xgb_model")),
    "catboost": _Library(TREES["catboost"], 1000, _on_a_snapshot),
}


def _library(model: Any) -> _Library | None:
    return next((_LIBRARIES[package] for package in packages_of(model) if package in _LIBRARIES), None)


def _kinds(model: Any) -> set[str]:
    """Return package and name of the classes that an estimator is of."""
    return {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(model).__mro__}


def _counts_all(model: Any, name: str) -> bool:
    """Whether a parameter says how many there are to be in the end, and not how many more."""
    return name == "n_estimators" or bool(_kinds(model) & _HISTOGRAMS)


def _starts_anew(model: Any, name: str) -> bool:
    """Whether ``warm_start`` is not there, does nothing, is refused, or ends elsewhere than a fit in one go."""
    params = _params(model)
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
    sized = _library(model) is _LIBRARIES["catboost"] and params.get("learning_rate", params.get("eta")) is None
    forest = bool(_kinds(model) & _XGBOOST_FORESTS)  # has only one round, in which all trees grow
    return bool(watched) or called or sized or forest or not kind.isdisjoint({"dart", "rf", "random_forest"})


def _has_stopped(model: Any, name: str, trains: int) -> bool:
    """Whether an estimator has ended by itself, before it used what it was allowed."""
    if "warm_start" not in _params(model):  # only there it is known what the attributes mean
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
def _unsaid(category: type[Warning], begins: str = "") -> Iterator[None]:
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
