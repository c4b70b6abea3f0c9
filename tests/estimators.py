"""Small estimators and scorers with known scores and known faults, importable in worker processes."""

import os
import time
import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin


class KnownScore(ClassifierMixin, BaseEstimator):
    """Scores ``peak - (x - 3)**2 - bonus[choice]`` on whatever data, a little less on smaller fold means."""

    def __init__(self, x=0.0, choice=None, peak=10.0):
        self.x = x
        self.choice = choice
        self.peak = peak

    def fit(self, X, y=None):
        self.classes_ = np.array([0, 1]) if y is None else np.unique(y)
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict(self, X):
        return np.full(np.shape(X)[0], self.classes_[0])

    def score(self, X, y=None):
        named = f"{type(self.choice).__name__}:{self.choice!r}"
        return self.peak - (self.x - 3.0) ** 2 - sum(map(ord, named)) / 1e4 + float(np.mean(np.asarray(X))) / 1e3


class FailsOn(KnownScore):
    """Raises ValueError in ``fit`` (or ``score``) when ``x`` is one of ``bad``."""

    def __init__(self, x=0.0, bad=(), where="fit"):
        self.x = x
        self.bad = bad
        self.where = where

    def _fail(self, where):
        if where == self.where and self.x in self.bad:
            raise ValueError(f"x={self.x} is bad in {where}")

    def fit(self, X, y=None):
        self._fail("fit")
        return super().fit(X, y)

    def score(self, X, y=None):
        self._fail("score")
        return -float(self.x)


class FailsOnSomeFolds(KnownScore):
    """Raises ValueError in ``fit`` when ``x`` is 1 and the training data contain the first sample's mark."""

    def fit(self, X, y=None):
        if self.x == 1 and np.max(X) >= 1000:
            raise ValueError("the marked sample is in the training data")
        return super().fit(X, y)


class ScoresOddly(KnownScore):
    """Scores exactly the number (NaN and the infinities too) that it is given as ``x``."""

    def score(self, X, y=None):
        return self.x


class Sleeps(KnownScore):
    """Sleeps ``seconds`` in ``fit``."""

    def __init__(self, x=0.0, seconds=0.0):
        self.x = x
        self.seconds = seconds

    def fit(self, X, y=None):
        time.sleep(self.seconds)
        return super().fit(X, y)

    def score(self, X, y=None):
        return -float(self.x)


class CountsFits(KnownScore):
    """Appends a line with ``x`` and the process id to the file ``path`` at each fit, from any process."""

    def __init__(self, path, x=0.0):
        self.path = path
        self.x = x

    def fit(self, X, y=None):
        line = f"{self.x!r} {os.getpid()}\n".encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
        return super().fit(X, y)

    def score(self, X, y=None):
        return -float(self.x)


class ChangesItsParams(KnownScore):
    """Adds one to its own ``x`` and appends to its own list ``seen`` in ``fit``, against all rules."""

    def __init__(self, x=0.0, seen=()):
        self.x = x
        self.seen = seen

    def fit(self, X, y=None):
        self.x += 1
        if isinstance(self.seen, list):
            self.seen.append(self.x)
        return super().fit(X, y)

    def score(self, X, y=None):
        return -float(self.x) - len(self.seen)


class WarnsInFit(KnownScore):
    """Emits one UserWarning naming ``x`` in each fit."""

    def fit(self, X, y=None):
        warnings.warn(f"fitted with x={self.x}", UserWarning, stacklevel=1)
        return super().fit(X, y)


class DrawsNumbers(KnownScore):
    """Scores a number drawn from its ``random_state``, so that a shared or advanced generator shows."""

    def __init__(self, x=0.0, random_state=None):
        self.x = x
        self.random_state = random_state

    def fit(self, X, y=None):
        self.drawn_ = self.random_state.uniform()
        return super().fit(X, y)

    def score(self, X, y=None):
        return self.x + self.drawn_


class SeesFrame(TransformerMixin, KnownScore):
    """Scores 1 when it was fitted on a table with column names and 0 otherwise; passes X through."""

    def fit(self, X, y=None):
        self.saw_frame_ = hasattr(X, "columns")
        return super().fit(X, y)

    def transform(self, X):
        return X

    def get_feature_names_out(self, input_features=None):
        return input_features

    def score(self, X, y=None):
        return float(self.saw_frame_ and hasattr(X, "columns")) - self.x


class NoScore(BaseEstimator):
    """Fits and predicts but has no ``score``."""

    def __init__(self, x=0.0):
        self.x = x

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))


def accuracy(estimator, X, y):
    """One number: the share of right predictions."""
    return float(np.mean(estimator.predict(X) == y))


def two_scores(estimator, X, y):
    """A dict of two numbers: the share of right and minus the share of wrong predictions."""
    right = np.mean(estimator.predict(X) == y)
    return {"right": right, "not_wrong": -(1 - right)}


def share_right(y_true, y_predicted):
    """One number, as a metric for ``make_scorer`` that knows no weights."""
    return float(np.mean(y_true == y_predicted))


def failing_score(estimator, X, y=None):
    """Raises for ``x`` above 1, else gives ``x``."""
    if estimator.x > 1:
        raise ValueError(f"no score for x={estimator.x}")
    return estimator.x


def text_score(estimator, X, y=None):
    """Gives a string, which is no score."""
    return "good"


def high(estimator, X, y=None):
    """The estimator's own score."""
    return estimator.score(X, y)


def low(estimator, X, y=None):
    """Minus ``x``: another order than the estimator's own score."""
    return -float(estimator.x)
