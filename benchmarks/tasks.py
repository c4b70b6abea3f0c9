"""The tasks that searches are compared on: small models, small data, spaces as people write them.

What is compared is how few fits a search needs, so a fit only has to be quick: a few hundred rows and few trees, at
most some tens of milliseconds a fold. Everything is fixed: the rows, the folds, and the seeds of the estimators. The
score of a candidate on a fold is always the same, and may be kept.

What is searched on is a part of each data set. The rest is held out, to see whether what scores better is better. No
point of these spaces warns when it is fitted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.base import is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_classification, make_friedman1
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

SCALERS = [StandardScaler(), MinMaxScaler(), RobustScaler(), "passthrough"]


@dataclass(frozen=True)
class Task:
    """A model, its space and its data."""

    name: str
    estimator: Any
    #: What OptunaSearchCV takes: a dict, or a list of dicts where some parameters occur only beside others.
    space: dict[str, Any] | list[dict[str, Any]]
    X: np.ndarray
    y: np.ndarray
    #: The part that no search sees.
    X_held: np.ndarray
    y_held: np.ndarray
    scoring: str
    #: Five folds, as pairs of row numbers: for training, for scoring.
    cv: list[tuple[np.ndarray, np.ndarray]]


def log(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


def cancer() -> tuple[np.ndarray, np.ndarray]:
    return load_breast_cancer(return_X_y=True)


def digits() -> tuple[np.ndarray, np.ndarray]:
    return load_digits(return_X_y=True)


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    return load_diabetes(return_X_y=True)


def friedman() -> tuple[np.ndarray, np.ndarray]:
    return make_friedman1(n_samples=2000, n_features=10, noise=1.0, random_state=0)


def classes(n_classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return blobs that overlap, in columns of very different scales."""
    X, y = make_classification(
        n_samples=2400,
        n_features=16,
        n_informative=7,
        n_classes=n_classes,
        n_clusters_per_class=2,
        class_sep=0.9,
        flip_y=0.05,
        random_state=seed,
    )
    return X * np.logspace(-1, 1, X.shape[1]), y


@dataclass(frozen=True)
class Recipe:
    """All that makes a task; nothing is computed before it is needed."""

    estimator: Any
    space: dict[str, Any] | list[dict[str, Any]]
    data: Callable[[], tuple[np.ndarray, np.ndarray]]
    rows: int
    scoring: str


def three_models() -> list[dict[str, Any]]:
    return [
        {"model": [SVC()], "model__C": log(1e-2, 1e3), "model__gamma": log(1e-5, 1e1)},
        {
            "model": [KNeighborsClassifier()],
            "model__n_neighbors": IntDistribution(1, 40),
            "model__weights": ["uniform", "distance"],
            "model__p": FloatDistribution(1, 4),
        },
        {
            "model": [DecisionTreeClassifier(random_state=0)],
            "model__max_depth": IntDistribution(1, 15),
            "model__min_samples_leaf": IntDistribution(1, 40, log=True),
            "model__criterion": ["gini", "entropy"],
        },
    ]


def kernels() -> list[dict[str, Any]]:
    """Return one dict for each kernel: only a polynomial has a degree."""
    return [
        {"model__kernel": ["rbf", "laplacian"], "model__alpha": log(1e-4, 1e2), "model__gamma": log(1e-4, 1e1)},
        {
            "model__kernel": ["polynomial"],
            "model__alpha": log(1e-4, 1e2),
            "model__gamma": log(1e-3, 1),
            "model__degree": IntDistribution(1, 5),
            "model__coef0": FloatDistribution(0, 3),
        },
    ]


def scaled(model: Any) -> Pipeline:
    return Pipeline([("scaler", StandardScaler()), ("model", model)])


RECIPES: dict[str, Recipe] = {
    "svc-digits": Recipe(SVC(), {"C": log(1e-2, 1e3), "gamma": log(1e-6, 1e-1)}, digits, 250, "accuracy"),
    "svc-cancer": Recipe(
        scaled(SVC()), {"model__C": log(1e-3, 1e3), "model__gamma": log(1e-6, 1e1)}, cancer, 250, "roc_auc"
    ),
    "hist-boosting": Recipe(
        HistGradientBoostingClassifier(max_iter=12, early_stopping=False, max_bins=32, random_state=0),
        {
            "learning_rate": log(1e-2, 1),
            "max_leaf_nodes": IntDistribution(2, 31, log=True),
            "min_samples_leaf": IntDistribution(2, 80, log=True),
            "l2_regularization": log(1e-4, 1e2),
            "max_features": FloatDistribution(0.1, 1),
        },
        partial(classes, 2, 0),
        300,
        "neg_log_loss",
    ),
    "forest": Recipe(
        RandomForestClassifier(n_estimators=10, random_state=0),
        {
            "max_features": FloatDistribution(0.05, 1),
            "max_depth": IntDistribution(1, 15),
            "min_samples_leaf": IntDistribution(1, 40, log=True),
            "criterion": ["gini", "entropy"],
            "bootstrap": [True, False],
            "class_weight": [None, "balanced"],
        },
        partial(classes, 3, 1),
        300,
        "accuracy",
    ),
    "logistic-pipeline": Recipe(
        Pipeline(
            [("scaler", StandardScaler()), ("pca", PCA()), ("model", LogisticRegression(solver="newton-cholesky"))]
        ),
        {
            "scaler": SCALERS,
            "pca__n_components": IntDistribution(1, 25),
            "pca__whiten": [False, True],
            "model__C": log(1e-4, 1e2),
            "model__class_weight": [None, "balanced"],
        },
        cancer,
        200,
        "neg_log_loss",
    ),
    "mlp": Recipe(
        scaled(MLPRegressor(batch_size=100, max_iter=1000, tol=0.3, n_iter_no_change=2, random_state=0)),
        {
            "model__hidden_layer_sizes": IntDistribution(2, 48, log=True),
            "model__learning_rate_init": log(3e-3, 3e-1),
            "model__alpha": log(1e-5, 1e2),
            "model__activation": ["relu", "tanh", "logistic"],
            "model__beta_1": FloatDistribution(0, 0.95),
        },
        friedman,
        200,
        "r2",
    ),
    "neighbours": Recipe(
        Pipeline([("scaler", StandardScaler()), ("model", KNeighborsClassifier())]),
        {
            "scaler": SCALERS,
            "model__n_neighbors": IntDistribution(1, 60),
            "model__weights": ["uniform", "distance"],
            "model__metric": ["euclidean", "manhattan", "chebyshev", "cosine"],
        },
        partial(classes, 2, 2),
        300,
        "roc_auc",
    ),
    "elastic-net": Recipe(
        Pipeline(
            [
                ("features", PolynomialFeatures(include_bias=False)),
                ("scaler", StandardScaler()),
                ("model", ElasticNet(max_iter=20_000, tol=1e-3)),
            ]
        ),
        {
            "features__degree": [1, 2],
            "features__interaction_only": [False, True],
            "scaler": [StandardScaler(), MinMaxScaler(), RobustScaler()],
            "model__alpha": log(1e-2, 1e2),
            "model__l1_ratio": FloatDistribution(0.05, 1),
        },
        diabetes,
        220,
        "r2",
    ),
    "svr": Recipe(
        scaled(SVR()),
        {"model__C": log(1e-2, 1e2), "model__gamma": log(1e-4, 1e1), "model__epsilon": log(1e-3, 3)},
        friedman,
        200,
        "r2",
    ),
    "kernel-ridge": Recipe(scaled(KernelRidge()), kernels(), friedman, 220, "neg_root_mean_squared_error"),
    "lightgbm": Recipe(
        LGBMClassifier(n_estimators=20, subsample_freq=1, n_jobs=1, verbose=-1, random_state=0),
        {
            "learning_rate": log(1e-2, 1),
            "num_leaves": IntDistribution(2, 63, log=True),
            "min_child_samples": IntDistribution(2, 80, log=True),
            "reg_lambda": log(1e-4, 1e2),
            "reg_alpha": log(1e-4, 1e1),
            "min_split_gain": log(1e-4, 1),
            "subsample": FloatDistribution(0.3, 1),
            "colsample_bytree": FloatDistribution(0.2, 1),
        },
        partial(classes, 2, 3),
        300,
        "neg_log_loss",
    ),
    "boosting": Recipe(
        GradientBoostingRegressor(random_state=0),
        {
            "n_estimators": IntDistribution(5, 60, log=True),
            "learning_rate": log(1e-2, 1),
            "max_depth": IntDistribution(1, 6),
            "min_samples_leaf": IntDistribution(1, 40, log=True),
            "max_features": FloatDistribution(0.1, 1),
            "subsample": FloatDistribution(0.3, 1),
        },
        diabetes,
        220,
        "r2",
    ),
    "three-models": Recipe(scaled(SVC()), three_models(), partial(classes, 3, 4), 300, "accuracy"),
    "tree": Recipe(
        DecisionTreeClassifier(random_state=0),
        {
            "max_depth": IntDistribution(1, 20),
            "min_samples_leaf": IntDistribution(1, 60, log=True),
            "ccp_alpha": log(1e-5, 1e-1),
            "max_features": FloatDistribution(0.1, 1),
            "criterion": ["gini", "entropy"],
        },
        partial(classes, 2, 5),
        400,
        "roc_auc",
    ),
    "nystroem": Recipe(
        Pipeline(
            [
                ("scaler", StandardScaler()),
                ("features", Nystroem(kernel="poly", random_state=0)),
                ("model", Ridge()),
            ]
        ),
        {
            "features__gamma": log(1e-4, 1),
            "features__coef0": log(1e-2, 1e1),
            "features__degree": FloatDistribution(1, 4, step=1),
            "features__n_components": IntDistribution(4, 100, log=True),
            "model__alpha": log(1e-4, 1e3),
        },
        friedman,
        220,
        "neg_root_mean_squared_error",
    ),
}

NAMES: tuple[str, ...] = tuple(RECIPES)


def load(name: str) -> Task:
    """Return a task by its name."""
    recipe = RECIPES[name]
    X, y = recipe.data()
    by_class = is_classifier(recipe.estimator)
    X, X_held, y, y_held = train_test_split(
        X, y, train_size=recipe.rows, stratify=y if by_class else None, random_state=0
    )
    folds = (StratifiedKFold if by_class else KFold)(5, shuffle=True, random_state=0)
    return Task(name, recipe.estimator, recipe.space, X, y, X_held, y_held, recipe.scoring, list(folds.split(X, y)))
