"""All checks of `check_estimator` on a search over each kind of estimator.

Where one fails, scikit-learn's own search over the same estimator has to fail it too, with the same error. So there is
no table of expected failures.
"""

import warnings
from unittest import SkipTest

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KernelDensity, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, OneClassSVM
from sklearn.utils import get_tags
from sklearn.utils._test_common.instance_generator import INIT_PARAMS
from sklearn.utils.estimator_checks import estimator_checks_generator

from optuna_search import OptunaSearchCV


def mean_of_transformed(estimator, X, y=None):
    """Score what has no score of its own."""
    return np.mean(estimator.transform(X))


def mean_of_samples(estimator, X, y=None):
    """Score an outlier detector."""
    return np.mean(estimator.score_samples(X))


class OverTransformer:
    # scikit-learn's searches have the method `transform`, but neither the tags of a transformer nor `fit_transform`,
    # without which scikit-learn has no checks for it. With them there are checks, for ours and for theirs.

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags = get_tags(self.estimator).transformer_tags
        return tags

    def fit_transform(self, X, y=None):
        return self.fit(X, y).transform(X)


class OptunaSearchCVOverTransformer(OverTransformer, OptunaSearchCV):
    pass


class GridSearchCVOverTransformer(OverTransformer, GridSearchCV):
    pass


class RandomizedSearchCVOverTransformer(OverTransformer, RandomizedSearchCV):
    pass


# Name -> the estimator, a grid, and further parameters of the search.
KINDS = {
    "classifier": (LogisticRegression(), {"C": [0.1, 1.0]}, {}),
    "classifier with decision_function": (SVC(), {"C": [0.1, 1.0]}, {}),
    "classifier and transformer": (LinearDiscriminantAnalysis(), {"tol": [1e-4, 1e-3]}, {}),
    "regressor": (Ridge(), {"alpha": [0.1, 1.0]}, {}),
    "regressor of several outputs": (KNeighborsRegressor(), {"weights": ["uniform", "distance"]}, {}),
    "transformer": (PCA(n_components=1), {"whiten": [False, True]}, {}),
    "transformer without score": (StandardScaler(), {"with_std": [False, True]}, {"scoring": mean_of_transformed}),
    "supervised transformer": (SelectKBest(k=1), {"k": [1, "all"]}, {"scoring": mean_of_transformed}),
    "clusterer": (KMeans(n_clusters=2, random_state=0), {"n_init": [1, 2]}, {}),
    "density": (KernelDensity(), {"bandwidth": [0.5, 1.0]}, {}),
    "outlier detector": (OneClassSVM(), {"nu": [0.2, 0.5]}, {"scoring": mean_of_samples}),
    "pipeline that classifies": (
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]},
        {},
    ),
    "pipeline with a step to choose": (
        make_pipeline(StandardScaler(), Ridge()),
        {"standardscaler": [StandardScaler(), MinMaxScaler()]},
        {},
    ),
    "pipeline that transforms": (
        make_pipeline(StandardScaler(), PCA(n_components=1)),
        {"pca__whiten": [False, True]},
        {},
    ),
}

# Name -> distributions. How candidates are drawn is no matter of the kind: these are enough.
DRAWN = {
    "classifier": {"C": stats.loguniform(0.1, 10)},
    "regressor of several outputs": {"n_neighbors": stats.randint(1, 4)},
    "transformer": {"tol": stats.uniform(0, 1)},
    "clusterer": {"tol": stats.uniform(0, 1e-3)},
    "pipeline with a step to choose": {
        "standardscaler": [StandardScaler(), MinMaxScaler()],
        "ridge__alpha": stats.loguniform(0.1, 10),
    },
}


def searches():
    """Yield what is searched, our search and the one of scikit-learn that it has to equal."""
    for kind, (estimator, grid, parameters) in KINDS.items():
        ours, theirs, theirs_drawn = _classes(hasattr(estimator, "transform"))
        common = {"estimator": estimator, "cv": 2, "error_score": "raise", **parameters}
        yield kind, ours(param_grid=grid, **common), theirs(param_grid=grid, **common)
        if kind in DRAWN:
            drawn = {"param_distributions": DRAWN[kind], "random_state": 0, **common}
            yield f"{kind}, drawn", ours(n_trials=2, **drawn), theirs_drawn(n_iter=2, **drawn)
    for number, parameters in enumerate(INIT_PARAMS[GridSearchCV]):
        yield f"scikit-learn's {number}", OptunaSearchCV(**parameters), GridSearchCV(**parameters)


def _classes(over_transformer):
    if over_transformer:
        return OptunaSearchCVOverTransformer, GridSearchCVOverTransformer, RandomizedSearchCVOverTransformer
    return OptunaSearchCV, GridSearchCV, RandomizedSearchCV


def checks_of(search):
    """Return the checks that scikit-learn has for this search, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        return {_name_of(check): check for _, check in estimator_checks_generator(search)}


def _name_of(check):
    options = ", ".join(f"{name}={value}" for name, value in check.keywords.items())
    return f"{check.func.__name__}({options})" if options else check.func.__name__


SEARCHES = {kind: (ours, theirs) for kind, ours, theirs in searches()}
CHECKS = {kind: checks_of(ours) for kind, (ours, _) in SEARCHES.items()}


def _one(kind, name):
    # Half of so many checks are enough on the oldest versions: there, only the grids are searched.
    return pytest.param(kind, name, marks=pytest.mark.slow if kind.endswith("drawn") else ())


@pytest.mark.parametrize(("kind", "name"), [_one(kind, name) for kind, checks in CHECKS.items() for name in checks])
def test_a_check_fails_only_where_it_fails_on_theirs(kind, name):
    ours, theirs = SEARCHES[kind]
    error = _error_of(ours, CHECKS[kind], name)
    if error is None:
        return
    of_theirs = None if isinstance(error, SkipTest) else _error_of(theirs, checks_of(theirs), name)
    if of_theirs is None or _told_of(ours, error) != _told_of(theirs, of_theirs):
        raise error
    # Not while the error is handled: pytest would show all lines that it came through, and read their files for that.
    pytest.xfail(f"{type(theirs).__name__} fails it too: {error!r}")


def _error_of(search, checks, name):
    try:
        checks[name](search)
    except Exception as error:
        return error
    return None


def _told_of(search, error):
    return type(error), str(error).replace(type(search).__name__, "the search")


@pytest.mark.parametrize("kind", SEARCHES)
def test_every_check_that_they_get_is_one_of_ours(kind):
    # The tags of a search decide which checks there are: wrong ones could make it pass by having fewer.
    _, theirs = SEARCHES[kind]
    assert checks_of(theirs).keys() <= CHECKS[kind].keys()
