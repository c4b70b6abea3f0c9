"""A booster stops early on a part of its training data, and the fold that scores it stays unseen."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_classifier, is_regressor
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from optuna_search import EarlyStopping, OptunaSearchCV
from optuna_search._early import best_iteration_of, fixed
from optuna_search.exceptions import InvalidRequestError

MOST, ROUNDS = 60, 5
X, Y = make_classification(300, 6, n_informative=3, flip_y=0.2, random_state=0)
X_MANY, Y_MANY = make_classification(300, 6, n_informative=4, n_classes=3, flip_y=0.2, random_state=0)
X_NUMBERS, Y_NUMBERS = make_regression(300, 6, noise=50.0, random_state=0)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 3.0, 300)
#: The first column tells the rows apart, and is dropped by `Recorder`.
NUMBERED, NUMBERED_MANY = (np.column_stack([np.arange(300), data]) for data in (X, X_MANY))
PREFIXES = {"lightgbm": "LGBM", "xgboost": "XGB", "catboost": "CatBoost"}


class Recorder(TransformerMixin, BaseEstimator):
    """Drops the first column, and notes which rows it was fitted on and which it has transformed."""

    def fit(self, X, y=None):
        self.fitted_on_, self.passed_ = X[:, 0].astype(int), []
        return self

    def transform(self, X):
        self.passed_.append(X[:, 0].astype(int))
        return X[:, 1:]


@pytest.fixture(params=PREFIXES)
def library(request, tmp_path, monkeypatch):
    pytest.importorskip(request.param)
    monkeypatch.chdir(tmp_path)  # where CatBoost writes its files
    return request.param


def make(library, kind="Classifier", **more):
    settings = {"n_estimators": MOST, "learning_rate": 0.3, "thread_count" if library == "catboost" else "n_jobs": 1}
    return getattr(pytest.importorskip(library), PREFIXES[library] + kind)(**settings | more)


def stopping(booster, **more):
    return EarlyStopping(booster, **{"rounds": ROUNDS} | more)


def recorded(booster, **more):
    inner = Pipeline([("scale", StandardScaler()), ("booster", booster)])
    return stopping(Pipeline([("rows", Recorder()), ("inner", inner)]), **more)


def parts(model):
    """The rows of the fitting and of the validation part."""
    return model.estimator_["rows"].passed_[:2]


def curve(booster):
    """The scores of the validation part, one for each iteration."""
    by_part = booster.evals_result() if hasattr(booster, "evals_result") else booster.evals_result_
    return next(iter(by_part[next(name for name in by_part if name.startswith("valid"))].values()))


def test_the_fold_that_scores_is_never_seen_and_the_validation_part_by_no_transformer(library):
    kept = {"return_estimator": True, "return_indices": True, "error_score": "raise"}
    folds = cross_validate(recorded(make(library)), NUMBERED, Y, cv=3, **kept)
    for model, train, test in zip(folds["estimator"], *folds["indices"].values(), strict=True):
        fitting, validation = parts(model)
        assert np.array_equal(np.sort([*fitting, *validation]), train) and len(validation) == 20
        assert np.array_equal(model.estimator_["rows"].fitted_on_, fitting)
        assert model.estimator_["inner"]["scale"].mean_ == pytest.approx(X[fitting].mean(axis=0))
        assert np.array_equal(model.estimator_["rows"].passed_[2], test)


def test_the_validation_part_has_the_share_that_was_asked_for_of_every_class(library):
    model = recorded(make(library), validation_fraction=0.2)
    _, validation = parts(model.fit(NUMBERED_MANY, Y_MANY))
    assert np.array_equal(np.bincount(Y_MANY[validation]), np.round(np.bincount(Y_MANY) * 0.2))
    assert np.array_equal(parts(clone(model).fit(NUMBERED_MANY, Y_MANY))[1], validation)
    assert not np.array_equal(parts(model.set_params(random_state=1).fit(NUMBERED_MANY, Y_MANY))[1], validation)


def test_a_class_with_one_row_has_it_in_the_fitting_part(library):
    y = Y.copy()
    y[[7, 8, 9]] = [2, 3, 3]
    fitting, validation = parts(recorded(make(library)).fit(NUMBERED, y))
    assert 7 in fitting and {*y[validation]} == {0, 1, 3} and {*y[fitting]} == {0, 1, 2, 3}
    with pytest.raises(InvalidRequestError, match="3 samples, none of a class of two"):
        stopping(make(library)).fit(X[:3], [0, 1, 2])


DATA = {"two": (X, Y), "three": (X_MANY, Y_MANY), "words": (X, np.where(Y, "yes", "no")), "odd": (X, Y * 2 - 1)}


@pytest.mark.parametrize("kind", [*DATA, "Regressor"])
def test_the_best_iteration_is_where_the_recorded_curve_is_lowest(library, kind):
    data, y = DATA.get(kind, (X_NUMBERS, Y_NUMBERS))
    if library == "xgboost" and kind in DATA:  # it takes 0, 1, 2, ... only
        y = np.unique(y, return_inverse=True)[1]
    model = stopping(make(library, "Classifier" if kind in DATA else kind)).fit(data, y)
    scores = curve(model.estimator_)
    assert model.best_iteration_ == np.argmin(scores) + 1 == best_iteration_of(model) < MOST
    assert len(scores) == model.best_iteration_ + ROUNDS


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_predictions_are_those_of_so_many_iterations_on_the_fitting_part(library, kind):
    y, method = (Y, "predict_proba") if kind == "Classifier" else (Y_NUMBERS, "predict")
    model = recorded(make(library, kind)).fit(NUMBERED, y)
    fitting, _ = parts(model)
    alone = make_pipeline(StandardScaler(), make(library, kind, n_estimators=model.best_iteration_))
    alone.fit(X[fitting], y[fitting])
    assert np.allclose(getattr(model, method)(NUMBERED), getattr(alone, method)(X), rtol=1e-5)


@pytest.mark.parametrize("routed", [False, True])
def test_a_weight_counts_in_the_validation_part(library, routed):
    booster, name = make(library), "inner__booster__sample_weight"
    if routed and library == "catboost":
        pytest.skip("CatBoost's boosters cannot ask for a weight")
    with config_context(enable_metadata_routing=routed):
        if routed:
            booster, name = booster.set_fit_request(sample_weight="mass"), "mass"
        model = recorded(booster).fit(NUMBERED, Y, **{name: WEIGHTS})
    _, validation = parts(model)
    loss = log_loss(Y[validation], model.predict_proba(NUMBERED[validation]), sample_weight=WEIGHTS[validation])
    assert min(curve(model.estimator_["inner"]["booster"])) == pytest.approx(loss, rel=1e-5)


def test_a_fixed_number_of_iterations_is_trained_on_all_rows(library):
    model = recorded(make(library))
    refitted = fixed(make_pipeline("passthrough", model), 7).fit(NUMBERED, Y)
    alone = make_pipeline(StandardScaler(), make(library, n_estimators=7)).fit(X, Y)
    assert np.allclose(refitted.predict_proba(NUMBERED), alone.predict_proba(X))
    assert len(refitted[-1].estimator_["rows"].passed_[0]) == 300 and model.n_iterations is None
    assert best_iteration_of(refitted) == 7


@pytest.mark.filterwarnings("ignore:Found `num")
@pytest.mark.parametrize(
    ("library", "name"), [("lightgbm", "num_boost_round"), ("catboost", "iterations")], indirect=["library"]
)
def test_the_number_is_set_by_the_name_that_the_booster_was_given(library, name):
    booster = type(make(library))(learning_rate=0.3, **{name: MOST})
    expected = clone(booster).set_params(**{name: 7}, verbose=0).fit(X, Y)
    assert np.allclose(fixed(stopping(booster), 7).fit(X, Y).predict_proba(X), expected.predict_proba(X))


HISTOGRAM = {"max_iter": MOST, "learning_rate": 0.3, "early_stopping": True, "random_state": 0}
NINE = {"max_iter": 9, "early_stopping": False}
GRADIENT = GradientBoostingClassifier(n_estimators=MOST, learning_rate=0.3, n_iter_no_change=2, random_state=0)
OWN = [
    (HistGradientBoostingClassifier(**HISTOGRAM), X_MANY, Y_MANY, "n_iter_", NINE),
    (HistGradientBoostingRegressor(**HISTOGRAM), X_NUMBERS, Y_NUMBERS, "n_iter_", NINE),
    (GRADIENT, X, Y, "n_estimators_", {"n_estimators": 9, "n_iter_no_change": None}),
]


@pytest.mark.parametrize(("booster", "X", "y", "found", "nine"), OWN, ids=lambda given: type(given).__name__)
def test_those_of_scikit_learn_stop_as_they_do_themselves(booster, X, y, found, nine):
    model = stopping(booster, validation_fraction=0.2).fit(X, y)
    alone = clone(booster).set_params(n_iter_no_change=ROUNDS, validation_fraction=0.2).fit(X, y)
    assert model.best_iteration_ == getattr(alone, found) < MOST
    assert np.array_equal(model.predict(X), alone.predict(X))
    refitted, alone = fixed(model, 9).fit(X, y), clone(booster).set_params(**nine).fit(X, y)
    assert np.array_equal(refitted.predict(X), alone.predict(X))


@pytest.mark.parametrize("which", ["scikit-learn", *PREFIXES])
def test_a_search_of_either_kind_gives_the_same_with_and_without_weights(which):
    model = stopping(Pipeline([("booster", GRADIENT if which == "scikit-learn" else make(which))]))
    grid = {"estimator__booster__learning_rate": [0.1, 0.3]}
    for params in ({}, {"booster__sample_weight": WEIGHTS}):
        both = [search(model, grid, cv=2).fit(X, Y, **params) for search in (GridSearchCV, OptunaSearchCV)]
        assert np.array_equal(*(search.cv_results_["mean_test_score"] for search in both))
        assert all(best_iteration_of(search.best_estimator_) < MOST and len(search.classes_) == 2 for search in both)


def test_it_is_an_estimator_like_any_other():
    model, regressor = stopping(make_pipeline(StandardScaler(), GRADIENT)), stopping(OWN[1][0])
    name = "estimator__gradientboostingclassifier__learning_rate"
    assert (clone(model).set_params(**{name: 0.1}).get_params()[name], model.get_params()[name]) == (0.1, 0.3)
    assert is_classifier(model) and is_regressor(regressor) and not hasattr(regressor, "predict_proba")
    with pytest.raises(NotFittedError):
        model.predict(X)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    assert not hasattr(model, "classes_") and model.fit(frame, Y).n_features_in_ == 6
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.score(frame, Y) == np.mean(model.predict(frame) == Y) > 0.8
    assert np.allclose(np.exp(model.predict_log_proba(frame)), model.predict_proba(frame))
    assert np.array_equal(model.decision_function(frame) > 0, model.predict(frame))


def test_a_pickled_one_predicts_the_same_and_a_frame_keeps_its_names(library):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = stopping(make(library)).fit(frame, Y)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(frame), model.predict_proba(frame))
    assert list(getattr(model.estimator_, "feature_names_" + "in_" * (library != "catboost"))) == [*"abcdef"]


def test_nothing_is_printed_or_written(library, capfd):
    fixed(stopping(make(library)).fit(X, Y), 5).fit(X, Y)
    assert capfd.readouterr() == ("", "") and not os.listdir()


def test_no_booster_is_imported_before_one_is_fitted():
    code = "import sys, optuna_search._early; print({'lightgbm', 'xgboost', 'catboost'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_what_cannot_be_stopped_is_refused_with_what_can_be():
    with pytest.raises(InvalidRequestError) as caught:
        stopping(make_pipeline(LogisticRegression()), rounds=0, validation_fraction=1.0).fit(X, Y)
    first, second, third = caught.value.complaints
    assert "rounds" in first and "validation_fraction" in second and third.startswith("LogisticRegression is nothing")
    assert best_iteration_of(LogisticRegression()) is None and fixed(LogisticRegression(), 5).get_params()["C"] == 1.0


def test_a_search_refuses_it_before_the_first_fit_and_once():
    model = make_pipeline(StandardScaler(), EarlyStopping(LogisticRegression(), rounds=0))
    spaces = [{"earlystopping__estimator__C": [c]} for c in (0.1, 1.0)]
    with pytest.raises(InvalidRequestError) as caught:
        OptunaSearchCV(model, spaces, cv=2).fit(X, Y)
    first, second = caught.value.complaints
    assert "rounds" in first and second.startswith("LogisticRegression is nothing that EarlyStopping can stop")


def test_what_candidates_bring_is_not_missed_in_the_estimator():
    model = EarlyStopping(make("catboost", learning_rate=None), rounds=3)
    found = OptunaSearchCV(model, {"estimator__learning_rate": [0.1, 0.3]}, cv=2).fit(X, Y)
    assert (found.cv_results_["split0_best_iteration"] >= 1).all()


@pytest.mark.parametrize(
    ("library", "settings", "message"),
    [
        ("lightgbm", {"early_stopping_round": 3}, "early_stopping_round=3 of LGBMClassifier: leave it to `rounds`"),
        ("lightgbm", {"boosting": "dart"}, "boosting='dart' of LGBMClassifier: it cannot go back to its best"),
        ("xgboost", {"booster": "gblinear"}, "booster='gblinear' of XGBClassifier: it cannot go back to its best"),
        ("catboost", {"learning_rate": None}, "CatBoostClassifier without learning_rate chooses one by the number"),
    ],
)
def test_what_would_stop_twice_or_make_the_best_iteration_mean_nothing_is_refused(library, settings, message):
    with pytest.raises(InvalidRequestError, match=message):
        stopping(make(library, **settings)).fit(X, Y)
    with pytest.raises(InvalidRequestError, match="eval_set of `fit`: EarlyStopping gives it to the booster"):
        stopping(make(library)).fit(X, Y, eval_set=[(X, Y)])


# --- in a search ------------------------------------------------------------------------------------------------------

RATES = {"estimator__learning_rate": [0.02, 0.3, 1.0]}


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_search_keeps_the_best_iteration_of_each_fold_and_refits_with_their_median(in_pipeline):
    model, space = stopping(GradientBoostingClassifier(n_estimators=200, random_state=0)), RATES
    if in_pipeline:
        model = Pipeline([("scale", StandardScaler()), ("clf", model)])
        space = {f"clf__{name}": values for name, values in RATES.items()}
    found = OptunaSearchCV(model, space, cv=3).fit(X, Y)
    results = found.cv_results_
    columns = np.transpose([results[f"split{i}_best_iteration"] for i in range(3)])
    again = cross_validate(clone(model).set_params(**found.best_params_), X, Y, cv=3, return_estimator=True)
    assert columns[found.best_index_].tolist() == [best_iteration_of(one) for one in again["estimator"]]
    assert results["median_best_iteration"].tolist() == np.median(columns, axis=1).tolist()
    n_iterations = round(results["median_best_iteration"][found.best_index_])
    fitted = found.best_estimator_["clf"] if in_pipeline else found.best_estimator_
    assert fitted.n_iterations == fitted.estimator_.n_estimators_ == n_iterations < 200


def test_a_continued_search_refits_with_what_the_study_has(storage):
    if storage is None:
        return
    model = stopping(GradientBoostingClassifier(n_estimators=200, random_state=0))
    made, again = (OptunaSearchCV(model, RATES, cv=3, storage=storage, study_name="s").fit(X, Y) for _ in range(2))
    assert again.best_estimator_.n_iterations == made.best_estimator_.n_iterations
    for key in ("split0_best_iteration", "median_best_iteration"):
        assert again.cv_results_[key].tolist() == made.cv_results_[key].tolist()


@pytest.mark.parametrize("resource", ["estimator__n_estimators", "n_samples"])
def test_only_one_says_how_long_a_booster_is_trained(resource):
    model = stopping(GradientBoostingClassifier(n_estimators=50, random_state=0))
    search = OptunaSearchCV(model, RATES, cv=3, resource=resource)
    if resource == "n_samples":
        assert search.fit(X, Y).best_estimator_.n_iterations >= 1
        return
    with pytest.raises(
        InvalidRequestError, match=r"^resource='estimator__n_estimators' and EarlyStopping both say how"
    ):
        search.fit(X, Y)
