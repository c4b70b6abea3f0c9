"""Boosters that stop early inside of a fold, on a part of its training data, and the number of iterations they found.

How a fit without a fixed number goes: the rows are split in two; a stand-in takes the place of the booster at the end
of its pipelines; they are fitted on the first part, and so hand the stand-in the transformed rows together with what
scikit-learn routes to the booster; it sends the second part through the transformers, which are fitted by then, and
fits the booster on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import check_consistent_length, check_random_state, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, get_routing_for_object, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from optuna_search._boosters import chain, last_step
from optuna_search._compat import Interval, check_method_params, constraint_complaint, num_samples
from optuna_search._stops import Kind, Part, kind_of
from optuna_search.exceptions import InvalidRequestError

_COUNT = Interval(Integral, 1, None, closed="left")
_CONSTRAINTS: dict[str, Any] = {
    "rounds": [_COUNT],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iterations": [_COUNT, None],
    "random_state": ["random_state"],
}
_DELEGATED = ("fit", "predict", "predict_proba", "predict_log_proba", "decision_function", "score")
#: Parameters of a booster's `fit` for what is decided here.
_TAKEN = {"early_stopping_rounds", "eval_X", "eval_set", "eval_y", "use_best_model"}


# --- the public face ------------------------------------------------------------------------------------------------


def _delegated(name: str) -> Callable[[Any], Any]:
    def has(stopping: EarlyStopping) -> bool:
        getattr(getattr(stopping, "estimator_", stopping.estimator), name)  # scikit-learn shows this AttributeError
        return True

    return available_if(has)


class EarlyStopping(MetaEstimatorMixin, BaseEstimator):
    """A booster that stops when it gets no better on a validation part of its training data.

    In a cross-validated search each fold's booster gets a validation part of the fold's own training rows. The rows
    that score the fold are never seen. The transformers of a Pipeline are fitted without the validation part, and it
    passes through them to the booster. The booster's own number of iterations (``n_estimators``, ``iterations``,
    ``max_iter``) is the most it may do, so make that large.

    Parameters
    ----------
    estimator : estimator
        A classifier or regressor of LightGBM, XGBoost or CatBoost, or scikit-learn's ``HistGradientBoosting…`` or
        ``GradientBoosting…``, by itself or as the last step of a Pipeline. It is cloned, never changed.
    rounds : int, default=50
        Stop after so many iterations without a better score on the validation part. The default is patient enough
        for small learning rates, with which scores improve slowly and unevenly; with a large one fewer will do.
    validation_fraction : float, default=0.1
        Share of the training rows, between 0 and 1, in the validation part. The default is scikit-learn's. For a
        classifier it is the share of each class, rounded, and at least one row of it. A class with a single row
        has it in the fitting part, as the booster has to know all classes.
    n_iterations : int or None, default=None
        Train exactly so many iterations, on all rows: nothing is held out. None finds the number by early stopping.
    random_state : int, RandomState instance or None, default=0
        Draws the validation part. With an integer all candidates of a search are stopped on the same rows, and so
        are compared fairly; hence the default.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone of `estimator`.
    best_iteration_ : int
        How many iterations the predictions use, counted from 1. It is the best on the validation part; `n_iterations`
        if that was given. scikit-learn's boosters keep the last rounds too, and there it counts those as well.
    classes_ : ndarray of shape (n_classes,)
        The labels, of a classifier.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if `estimator_` keeps them.

    Notes
    -----
    Which metric is watched is up to the booster: the first that LightGBM evaluates, the last of XGBoost's
    ``eval_metric``, the ``eval_metric`` of CatBoost. LightGBM and CatBoost print nothing, and CatBoost writes no files,
    unless a parameter of theirs asks for it.

    scikit-learn's boosters take their validation part themselves, by their own ``random_state``, when the
    transformers have been fitted on all training rows.

    The validation part is drawn at random. Where rows are ordered in time, or belong together in groups, it resembles
    the fitting part more than new data do, and the booster stops late. The score of the fold stays honest.

    With metadata routing enabled, the booster has to request ``sample_weight``, which CatBoost's cannot. Parameters
    of the transformers' ``transform`` are not sent there with the validation part.

    CatBoost chooses a learning rate by the number of iterations where none is given, so it has to have one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import GradientBoostingClassifier
    >>> from optuna_search import EarlyStopping
    >>> X, y = load_iris(return_X_y=True)
    >>> booster = GradientBoostingClassifier(n_estimators=1000, random_state=0)
    >>> model = EarlyStopping(booster, rounds=5).fit(X, y)
    >>> 5 < model.best_iteration_ < 100
    True
    >>> model.set_params(n_iterations=model.best_iteration_).fit(X, y).estimator_.n_estimators_ == model.best_iteration_
    True
    """

    def __init__(
        self,
        estimator: Any,
        *,
        rounds: int = 50,
        validation_fraction: float = 0.1,
        n_iterations: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.estimator = estimator
        self.rounds = rounds
        self.validation_fraction = validation_fraction
        self.n_iterations = n_iterations
        self.random_state = random_state

    def fit(self, X: Any, y: Any, **params: Any) -> EarlyStopping:
        """Fit the transformers and the booster, which stops early unless `n_iterations` is given.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, in any form that the estimator takes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target.
        **params : dict of str to object
            For the ``fit`` of `estimator`, as it names them: ``sample_weight``, or ``booster__sample_weight`` in a
            Pipeline. What has one entry for each row is split with the rows; weights, and starting scores
            (``init_score``, ``base_margin``, ``baseline``), count in the validation part as well.

        Returns
        -------
        EarlyStopping
            Itself.

        Raises
        ------
        InvalidRequestError
            If a parameter cannot be used, or no booster is found, or it cannot be stopped as it is set.
        """
        estimator = clone(self.estimator)
        booster = last_step(estimator)
        kind = kind_of(booster)
        if complaints := _complaints(self, booster, kind):
            raise InvalidRequestError(complaints)
        assert kind is not None
        booster.set_params(**_settings(self, booster, kind))

        params = self._routed("fit", params)
        if kind.fit is None or self.n_iterations is not None:
            estimator.fit(X, y, **params)
        else:
            self._fit_on_two_parts(estimator, kind, X, y, params)
        self.best_iteration_ = int(kind.used(booster) if self.n_iterations is None else self.n_iterations)
        self.estimator_ = estimator
        return self

    def _fit_on_two_parts(self, estimator: Any, kind: Kind, X: Any, y: Any, params: dict[str, Any]) -> None:
        check_consistent_length(X, y)
        *pipelines, booster = chain(estimator)
        held_out = _validation_rows(y, self.validation_fraction, is_classifier(booster), self.random_state)
        fitting, validation = (_part(X, y, params, np.flatnonzero(which)) for which in (~held_out, held_out))
        stand_in = _StandIn(booster, kind, self.rounds, pipelines, fitting, validation)
        if pipelines:
            name = pipelines[-1].steps[-1][0]
            pipelines[-1].steps[-1] = (name, stand_in)
            estimator.fit(fitting.X, fitting.y, **fitting.params)
            pipelines[-1].steps[-1] = (name, booster)
        else:
            stand_in.fit(fitting.X, fitting.y, **fitting.params)

    def _routed(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return what a method of the estimator gets of the parameters."""
        if not get_config()["enable_metadata_routing"]:
            return params
        routed = process_routing(self, method, **params).estimator[method]
        return dict(routed)

    def _call(self, method: str, *args: Any, **params: Any) -> Any:
        check_is_fitted(self)
        return getattr(self.estimator_, method)(*args, **self._routed(method, params))

    @_delegated("predict")
    def predict(self, X: Any, **params: Any) -> Any:
        """Predict with the best number of iterations.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.
        **params : dict of str to object
            For the method of `estimator_`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The labels or the numbers.
        """
        return self._call("predict", X, **params)

    @_delegated("predict_proba")
    def predict_proba(self, X: Any, **params: Any) -> Any:
        """Predict probabilities, of shape (n_samples, n_classes), with the best number of iterations."""
        return self._call("predict_proba", X, **params)

    @_delegated("predict_log_proba")
    def predict_log_proba(self, X: Any, **params: Any) -> Any:
        """Predict natural logarithms of probabilities, of shape (n_samples, n_classes)."""
        return self._call("predict_log_proba", X, **params)

    @_delegated("decision_function")
    def decision_function(self, X: Any, **params: Any) -> Any:
        """Return the raw scores, of shape (n_samples,) or (n_samples, n_classes)."""
        return self._call("decision_function", X, **params)

    @_delegated("score")
    def score(self, X: Any, y: Any, **params: Any) -> Any:
        """Return the score of `estimator_`: accuracy of a classifier, R² of a regressor."""
        return self._call("score", X, y, **params)

    @property
    def classes_(self) -> Any:
        """The labels."""
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """Number of features seen in ``fit``."""
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> Any:
        """Names of the features seen in ``fit``."""
        return self.estimator_.feature_names_in_

    def get_metadata_routing(self) -> MetadataRouter:
        """Return which parameters of a method go where.

        Returns
        -------
        MetadataRouter
            All of them go to `estimator`.
        """
        mapping = MethodMapping()
        for method in _DELEGATED:
            mapping.add(caller=method, callee=method)
        return MetadataRouter(owner=type(self).__name__).add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.estimator)


def best_iteration_of(fitted: Any) -> int | None:
    """Return the number of iterations that early stopping found.

    Parameters
    ----------
    fitted : estimator
        A fitted estimator: an EarlyStopping, or a Pipeline that ends in one.

    Returns
    -------
    int or None
        Its ``best_iteration_``; None where there is no EarlyStopping, or it is not fitted.
    """
    return getattr(_stopping_in(fitted), "best_iteration_", None)


def fixed(estimator: Any, n_iterations: int) -> Any:
    """Return an unfitted clone that trains a fixed number of iterations on all data.

    For the refit of a search this is the median of the folds' best iterations, rounded. It is not scaled up, though a
    refit has more rows than a fold's fitting part had, ``1 / ((1 - validation_fraction) * (1 - 1 / n_splits))`` times
    as many: by how much the best number grows with the rows depends on the data, and a guess would not be measured.

    Parameters
    ----------
    estimator : estimator
        An EarlyStopping, or a Pipeline that ends in one. Of any other a mere clone is returned.
    n_iterations : int
        How many.

    Returns
    -------
    estimator
        The clone.
    """
    made = clone(estimator)
    if (stopping := _stopping_in(made)) is not None:
        stopping.set_params(n_iterations=n_iterations)
    return made


def stops_early(estimator: Any) -> bool:
    """Whether an estimator is an EarlyStopping, or a Pipeline that ends in one."""
    return _stopping_in(estimator) is not None


def complaints(estimator: Any) -> list[str]:
    """Return what is wrong with an EarlyStopping, or a Pipeline that ends in one; nothing of any other estimator."""
    stopping = _stopping_in(estimator)
    if stopping is None:
        return []
    booster = last_step(stopping.estimator)
    return _complaints(stopping, booster, kind_of(booster))


def validation_fraction_of(estimator: Any) -> float | None:
    """Return the share of its rows by which an estimator stops early; None where it does not."""
    stopping = _stopping_in(estimator)
    return None if stopping is None else float(stopping.validation_fraction)


def _stopping_in(estimator: Any) -> EarlyStopping | None:
    last = last_step(estimator)
    return last if isinstance(last, EarlyStopping) else None


# --- before a fit ---------------------------------------------------------------------------------------------------


def _complaints(stopping: EarlyStopping, booster: Any, kind: Kind | None) -> list[str]:
    """Return everything for which a booster cannot be stopped as it is asked for."""
    found = [
        complaint
        for name in _CONSTRAINTS
        if (complaint := constraint_complaint(_CONSTRAINTS, name, getattr(stopping, name), type(stopping).__name__))
    ]
    if kind is None:
        found.append(
            f"{type(booster).__name__} is nothing that EarlyStopping can stop. It takes a classifier or regressor of "
            "LightGBM, XGBoost or CatBoost, or scikit-learn's HistGradientBoosting or GradientBoosting, by itself or "
            "as the last step of a Pipeline."
        )
    else:
        found += _booster_complaints(booster, kind, stops=stopping.n_iterations is None)
    return found


def _booster_complaints(booster: Any, kind: Kind, *, stops: bool) -> Iterator[str]:
    given = {name: value for name, value in booster.get_params().items() if value is not None}
    named = type(booster).__name__
    for name in sorted(given.keys() & set(kind.own)):
        yield f"{name}={given[name]!r} of {named}: leave it to `rounds` of EarlyStopping."
    for name in sorted(given.keys() & kind.refused.keys()) if stops else ():
        if given[name] in kind.refused[name]:
            yield f"{name}={given[name]!r} of {named}: it cannot go back to its best iteration."
    if stops and kind.needed and not given.keys() & set(kind.needed):
        name = kind.needed[0]
        yield (
            f"{named} without {name} chooses one by the number of iterations, and the best iteration would mean "
            f"nothing in a refit: give it one, for instance {name}=0.03."
        )


def _settings(stopping: EarlyStopping, booster: Any, kind: Kind) -> dict[str, Any]:
    """Return the parameters that the booster is fitted with beside its own."""
    given = booster.get_params()
    settings = {names[0]: value for names, value in kind.quiet if not given.keys() & set(names)}
    if stopping.n_iterations is None:
        return settings | kind.stopping(stopping.rounds, stopping.validation_fraction)
    names = [name for name in kind.iterations if name in given] or kind.iterations[:1]
    return settings | dict(kind.fixed) | dict.fromkeys(names, int(stopping.n_iterations))


def _validation_rows(y: Any, fraction: float, classify: bool, random_state: Any) -> np.ndarray:
    """Return which rows are held out, as booleans."""
    random = check_random_state(random_state)
    chosen = np.zeros(num_samples(y), dtype=bool)
    if classify and type_of_target(y) in ("binary", "multiclass"):
        of = np.unique(np.asarray(y), return_inverse=True)[1].ravel()
    else:
        of = np.zeros(len(chosen), dtype=int)
    for stratum in range(of.max(initial=-1) + 1):
        rows = random.permutation(np.flatnonzero(of == stratum))
        chosen[rows[: min(max(round(fraction * len(rows)), 1), len(rows) - 1)]] = True
    if not chosen.any():
        raise InvalidRequestError(f"{len(chosen)} samples, none of a class of two, leave nothing to validate on.")
    return chosen


def _part(X: Any, y: Any, params: dict[str, Any], rows: np.ndarray) -> Part:
    return Part(**check_method_params(X, {"X": X, "y": y}, rows), params=check_method_params(X, params, rows))


# --- the fit --------------------------------------------------------------------------------------------------------


@dataclass(eq=False)  # not frozen: a Pipeline of scikit-learn 1.9 notes on its steps who listens
class _StandIn:
    """Takes the place of the booster while its pipelines are fitted."""

    booster: Any
    kind: Kind
    rounds: int
    #: That the booster stands at the end of, the outermost first.
    pipelines: list[Any]
    fitting: Part
    validation: Part

    def fit(self, X: Any, y: Any, **params: Any) -> _StandIn:
        """Fit the booster on the transformed fitting part."""
        if taken := sorted(_TAKEN & params.keys()):
            raise InvalidRequestError([f"{name} of `fit`: EarlyStopping gives it to the booster." for name in taken])
        validation = self._transformed, self.validation.y, self._of_validation(params)
        assert self.kind.fit is not None
        self.kind.fit(self.booster, Part(X, y, params), Part(*validation), self.rounds)
        return self

    def get_metadata_routing(self) -> Any:
        """Ask for what the booster asks for."""
        return get_routing_for_object(self.booster)

    @property
    def _transformed(self) -> Any:
        """The validation part, as a prediction would see it."""
        X = self.validation.X
        for pipeline in self.pipelines:
            if len(pipeline) > 1:
                X = pipeline[:-1].transform(X)
        return X

    def _of_validation(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the booster would get of the validation part."""
        # Only the pipelines know by which name a parameter came; but what they hand on is the object itself.
        came = [(given, self.validation.params[name]) for name, given in self.fitting.params.items()]
        return {name: other for name, value in params.items() for given, other in came if given is value}
