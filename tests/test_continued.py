"""Training that goes on from rung to rung ends where a fit in one go does, and learns nothing twice."""

import copy
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sklearn
from sklearn import cluster, ensemble, model_selection, multioutput, tree
from sklearn.base import is_regressor
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from sklearn.svm import SVC

from optuna_search._continued import refitted, trained
from optuna_search._countable import complaint, whole

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
X[:, 3] = rng.integers(0, 5, 120)
Y = (X[:, 0] + rng.normal(size=120) > 0).astype(int) + (X[:, 1] > 1)
LETTERS = np.array(list("abc"))[Y]
NUMBERS = X @ [1.0, 2.0, 0.0, -1.0] + rng.normal(size=120)
WEIGHTS = rng.uniform(0.1, 3.0, 120)
WEIGHTED = {"sample_weight": WEIGHTS}
RUNGS = (2, 5, 11)
SEED = {"random_state": 0}
FOREST = ensemble.RandomForestClassifier(**SEED)


def rung(estimator, resource, amount, state=None, y=Y, params=None, **more):
    """Estimator and state of one rung."""
    return trained(copy.deepcopy(estimator), X, y, params or {}, resource=resource, amount=amount, state=state, **more)


def climbed(estimator, resource, y=Y, params=None, rungs=RUNGS):
    """Estimator and state of each rung; the states are pickled in between."""
    found = [(None, None)]
    for amount in rungs:
        state = pickle.loads(pickle.dumps(found[-1][1]))
        found.append(rung(estimator, resource, amount, state, y, params, last=amount == rungs[-1]))
    return found[1:]


def in_one_go(estimator, resource, amount, y=Y, params=None):
    return refitted(copy.deepcopy(estimator), X, y, params or {}, resource=resource, amount=amount)


def assert_same(one, other, near=0.0):
    """They predict the same and have the same parameters."""
    output = "predict_proba" if hasattr(one, "predict_proba") else "predict"
    np.testing.assert_allclose(getattr(one, output)(X), getattr(other, output)(X), rtol=0, atol=near)
    assert str(one.get_params()) == str(other.get_params()) and type(one) is type(other)


def assert_each_is_as_in_one_go(estimator, resource, y=Y, params=None, goes_on=True, rungs=RUNGS):
    for amount, (fitted, state) in zip(rungs, climbed(estimator, resource, y, params, rungs), strict=True):
        assert_same(fitted, in_one_go(estimator, resource, amount, y, params))
        assert (state.amount == amount) if goes_on else (state is None)
    if goes_on:  # what was learned is still known where the labels become others
        fitted, _ = rung(estimator, resource, amount + 1, state, y[::-1], params)
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            assert_same(fitted, in_one_go(estimator, resource, amount + 1, y[::-1], params))


class CountsTrees(tree.DecisionTreeClassifier):
    """Counts the fits of all of its kind."""

    n_fits = 0

    def fit(self, *args, **params):
        CountsTrees.n_fits += 1
        return super().fit(*args, **params)


class CountsFits(StandardScaler):
    """Counts the fits of all of its kind; what it is fitted on it transforms in another way."""

    n_fits = 0

    def fit(self, X, y=None, sample_weight=None):
        CountsFits.n_fits += 1
        return super().fit(X, y, sample_weight)

    def fit_transform(self, X, y=None, **params):
        return self.fit(X, y, **params).transform(X) + np.asarray(y)[:, None] / 9


def deep(model):
    """A pipeline in a pipeline; what its transformers make of the training data they do not make of others."""
    is_new = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9)
    drawn = {"cv": model_selection.KFold(3, shuffle=True, **SEED)} if is_new else SEED
    encode = ColumnTransformer([("target", TargetEncoder(**drawn), [3])], remainder="passthrough")
    return Pipeline([("encode", encode), ("inner", Pipeline([("count", CountsFits()), ("model", model)]))])


ENSEMBLES = [
    FOREST,
    ensemble.RandomForestClassifier(class_weight="balanced", max_samples=0.5, **SEED),
    ensemble.RandomForestRegressor(max_features=2, **SEED),
    ensemble.ExtraTreesClassifier(warm_start=True, **SEED),
    ensemble.ExtraTreesRegressor(**SEED),
    ensemble.BaggingClassifier(max_features=0.5, **SEED),
    ensemble.GradientBoostingClassifier(**SEED),
    ensemble.GradientBoostingRegressor(subsample=0.5, max_features=2, **SEED),
    ensemble.HistGradientBoostingClassifier(min_samples_leaf=5, **SEED),
    ensemble.HistGradientBoostingRegressor(max_features=0.5, categorical_features=[3], **SEED),
]


def of(estimator):
    """Its resource and a fitting y."""
    resource = "n_estimators" if hasattr(estimator, "n_estimators") else "max_iter"
    return resource, NUMBERS if is_regressor(estimator) else Y


@pytest.mark.parametrize("estimator", ENSEMBLES, ids=repr)
def test_an_ensemble_that_goes_on_is_the_one_fitted_in_one_go(estimator):
    for params in {}, WEIGHTED:
        assert_each_is_as_in_one_go(estimator, *of(estimator), params)


def test_a_forest_knows_its_out_of_bag_score_and_bagging_that_cannot_starts_anew():
    for kind in (ensemble.RandomForestClassifier, ensemble.BaggingClassifier):
        fitted, _ = climbed(kind(oob_score=True, **SEED), "n_estimators", rungs=(30, 40))[-1]
        assert fitted.oob_score_ == in_one_go(kind(oob_score=True, **SEED), "n_estimators", 40).oob_score_


def test_boosting_that_stops_early_stops_where_a_fit_in_one_go_does():
    options = {"n_iter_no_change": 2, "learning_rate": 0.9, "validation_fraction": 0.3, **SEED}
    hist = ensemble.HistGradientBoostingRegressor(early_stopping=True, **options)
    for estimator in (ensemble.GradientBoostingRegressor(**options), hist):
        resource, y = of(estimator)
        one = in_one_go(estimator, resource, 60, y)
        n_grown = len(one.train_score_) - (estimator is hist)  # which has the score before the first tree too
        assert 1 < n_grown < 58
        for second in (n_grown, n_grown + 1):
            *_, (fitted, state) = climbed(estimator, resource, y, rungs=(n_grown - 1, second, 59, 60))
            assert_same(fitted, one)
            assert state.stopped


def test_a_state_is_not_changed_by_the_rung_that_goes_on_from_it():
    cases = [(estimator, *of(estimator)) for estimator in (*ENSEMBLES, SGDRegressor(**SEED))]
    for estimator, resource, y in (*cases, (SGDRegressor(**SEED), "partial_fit", NUMBERS)):
        first, state = rung(estimator, resource, 2, y=y, last=False)
        before = first.predict(X)
        one, two = (rung(estimator, resource, 5, state, y, last=False)[0] for _ in range(2))
        assert_same(one, two)
        assert np.array_equal(first.predict(X), before) and state.estimator is first


def test_a_rung_without_its_state_or_with_one_from_later_on_starts_anew():
    for estimator, resource in ((FOREST, "n_estimators"), (deep(FOREST), "inner__model__n_estimators")):
        _, later = rung(estimator, resource, 11)
        for state in (None, later):
            fitted, after = rung(estimator, resource, 5, state)
            assert_same(fitted, in_one_go(estimator, resource, 5))
            assert after.amount == 5
        assert rung(estimator, resource, 11, later) == (later.estimator, later)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_further_iterations_are_as_many_as_were_missing():
    for estimator in (SGDClassifier(tol=None, **SEED), MLPClassifier((3,), tol=0, n_iter_no_change=50, **SEED)):
        models = [model for model, _ in climbed(estimator, "max_iter")]
        assert [model.n_iter_ for model in models] == [2, 3, 6]
        assert [(model.max_iter, model.warm_start) for model in models] == [(amount, False) for amount in RUNGS]
    assert len(models[-1].loss_curve_) == RUNGS[-1] and models[-1].loss_ < models[0].loss_


def test_what_has_converged_gets_no_more_training_and_is_near_to_a_fit_in_one_go():
    for estimator in LogisticRegression(tol=1e-8), SGDRegressor(tol=1e-6, **SEED):
        _, y = of(estimator)
        _, (second, state), (last, after) = climbed(estimator, "max_iter", y, rungs=(3, 2000, 3000))
        assert state.stopped and after.amount == 2000 and (second.max_iter, last.max_iter) == (2000, 3000)
        assert np.array_equal(last.coef_, second.coef_)
        assert_same(last, in_one_go(estimator, "max_iter", 3000, y), near=0.1)


def test_iterations_that_have_not_converged_are_news_at_the_last_rung_only():
    _, state = rung(deep(MLPClassifier()), "inner__model__max_iter", 2, last=False)
    with pytest.warns(sklearn.exceptions.ConvergenceWarning, match="Maximum iterations"):
        rung(deep(MLPClassifier()), "inner__model__max_iter", 3, state)


def test_a_thread_does_not_touch_the_filters_and_says_what_else_there_is_to_say():
    def fit():
        before = warnings.filters
        rung(MLPClassifier((3,), batch_size=999, **SEED), "max_iter", 2, last=False)
        assert warnings.filters is before

    with ThreadPoolExecutor(1) as pool, pytest.warns(UserWarning, match="Got `batch_size`") as caught:
        pool.submit(fit).result()
    assert {one.category for one in caught} == {UserWarning}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_parameter_that_nothing_goes_on_with_is_fitted_from_the_start():
    regressor = TransformedTargetRegressor(ensemble.RandomForestRegressor(**SEED))
    names = {regressor: "regressor__n_estimators", LogisticRegression(solver="liblinear", **SEED): "max_iter"}
    pipeline = make_pipeline(ensemble.RandomTreesEmbedding(**SEED), SVC())
    for estimator, resource in {**names, pipeline: "randomtreesembedding__n_estimators"}.items():
        assert_each_is_as_in_one_go(estimator, resource, Y > 0, goes_on=False, rungs=(1, 2))


TREES = {"lightgbm": "n_estimators", "xgboost": "n_estimators", "catboost": "iterations"}
DRAWN = {"eta": 0.3, "subsample": 0.5, "bootstrap_type": "Bernoulli", "rsm": 0.5}


def boosted(library, kind="Classifier", **options):
    prefix, usual = {
        "lightgbm": ("LGBM", {"n_jobs": 1, "verbose": -1, "min_child_samples": 5}),
        "xgboost": ("XGB", {"n_jobs": 1}),
        "catboost": ("CatBoost", {"thread_count": 1, "verbose": 0, "allow_writing_files": False}),
    }[library]
    return getattr(pytest.importorskip(library), prefix + kind)(**SEED, **usual, **options)


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
@pytest.mark.parametrize(("library", "options"), [("lightgbm", {}), ("xgboost", {}), ("catboost", DRAWN)])
def test_boosting_of_other_libraries_that_goes_on_is_the_one_fitted_in_one_go(library, options, kind):
    y = NUMBERS if kind == "Regressor" else Y if library == "xgboost" else LETTERS
    estimator = boosted(library, kind, **options)
    assert_each_is_as_in_one_go(estimator, TREES[library], y, WEIGHTED)
    resource, params = f"inner__model__{TREES[library]}", {"inner__model__sample_weight": WEIGHTS}
    assert_each_is_as_in_one_go(deep(estimator), resource, Y, params)
    own = type("Own", (type(estimator),), {})(**estimator.get_params())
    _, state = rung(own, TREES[library], 2)
    assert_same(rung(own, TREES[library], 5, state)[0], in_one_go(own, TREES[library], 5))


@pytest.mark.parametrize(("library", "options"), [("lightgbm", {"subsample_freq": 1}), ("xgboost", {})])
def test_trees_that_are_drawn_come_near_to_those_of_a_fit_in_one_go(library, options):
    """The draws of LightGBM and XGBoost begin anew at each rung."""
    estimator = boosted(library, subsample=0.7, colsample_bytree=0.5, learning_rate=0.05, **options)
    (first, _), (fitted, _) = climbed(estimator, "n_estimators", rungs=(15, 60))
    one = in_one_go(estimator, "n_estimators", 60)
    away, was_away = (np.abs(model.predict_proba(X) - one.predict_proba(X)).mean() for model in (fitted, first))
    assert 0 < away < 0.05 < was_away


@pytest.mark.parametrize(
    ("library", "kind", "options", "params"),
    [
        ("lightgbm", "Classifier", {"boosting_type": "dart"}, {}),
        ("lightgbm", "Classifier", {"boosting": "rf", "subsample": 0.5, "subsample_freq": 1}, {}),
        ("lightgbm", "Classifier", {"early_stopping_round": 2}, {"eval_X": X, "eval_y": (Y + 1) % 3}),
        ("xgboost", "Classifier", {"early_stopping_rounds": 2}, {"eval_set": [(X, (Y + 1) % 3)]}),
        ("xgboost", "RFClassifier", {}, {}),  # has only one round
        ("catboost", "Classifier", {}, {}),  # its learning rate depends on the number of trees
    ],
)
def test_trees_that_would_become_others_are_grown_from_the_start(library, kind, options, params):
    assert_each_is_as_in_one_go(boosted(library, kind, **options), TREES[library], Y, params, goes_on=False)


def test_catboost_starts_anew_where_its_defaults_change_with_the_number_of_trees():
    assert_each_is_as_in_one_go(boosted("catboost", learning_rate=0.3), "iterations", rungs=(3, 200, 203))


@pytest.mark.parametrize("routing", [False, True])
def test_weights_reach_their_steps_at_every_rung_as_the_pipeline_sends_them(routing):
    resource = "inner__model__n_estimators"
    with sklearn.config_context(enable_metadata_routing=routing):
        pipeline, params = deep(FOREST), {f"inner__{step}__sample_weight": WEIGHTS for step in ("count", "model")}
        if routing:
            # scikit-learn 1.9 cannot fit a TargetEncoder in a Pipeline under routing.
            pipeline, params = copy.deepcopy(pipeline).set_params(encode="passthrough"), WEIGHTED
            for _, step in pipeline["inner"].steps:
                step.set_fit_request(sample_weight=True)
        assert_each_is_as_in_one_go(pipeline, resource, params=params)
        fitted, _ = climbed(pipeline, resource, params=params)[-1]
        assert fitted["inner"]["count"].n_samples_seen_ == pytest.approx(np.sum(WEIGHTS))
        assert not np.array_equal(fitted.predict_proba(X), in_one_go(pipeline, resource, 11).predict_proba(X))


def test_what_has_been_learned_is_not_learned_again(tmp_path):
    CountsTrees.n_fits = CountsFits.n_fits = 0
    climbed(ensemble.BaggingClassifier(CountsTrees(), **SEED), "n_estimators")
    assert CountsTrees.n_fits == RUNGS[-1]
    climbed(deep(ensemble.BaggingClassifier(CountsTrees(), **SEED)), "inner__model__n_estimators")
    assert CountsTrees.n_fits == 2 * RUNGS[-1] and CountsFits.n_fits == 1
    with_memory = Pipeline([("count", CountsFits()), ("model", FOREST)], memory=str(tmp_path))
    for _ in range(2):
        climbed(with_memory, "model__n_estimators")
    assert CountsFits.n_fits == 2


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_passes_go_on_with_the_classes_that_are_in_the_fold(weights):
    y, params = np.where(Y == 1, 0, Y), {} if weights is None else {"inner__model__sample_weight": weights}
    pipeline = deep(SGDClassifier(loss="log_loss", **SEED))
    by_hand = copy.deepcopy(pipeline)
    inside = by_hand["inner"][:-1].fit_transform(by_hand[:-1].fit_transform(X, y), y)
    CountsFits.n_fits, last = 0, 0
    for amount, (fitted, state) in zip(RUNGS, climbed(pipeline, "partial_fit", y, params), strict=True):
        for _ in range(amount - last):
            by_hand["inner"]["model"].partial_fit(inside, y, classes=[0, 2], sample_weight=weights)
        last = state.amount
        assert_same(fitted, by_hand)
        assert list(fitted.classes_) == [0, 2] and last == amount and CountsFits.n_fits == 1
    assert_same(in_one_go(pipeline, "partial_fit", RUNGS[-1], y, params), by_hand)


def test_passes_need_no_labels_and_know_several_of_them():
    clusters = cluster.MiniBatchKMeans(2, n_init=1, **SEED)
    assert climbed(clusters, "partial_fit", y=None)[-1][0].n_steps_ == RUNGS[-1]
    several = multioutput.MultiOutputClassifier(SGDClassifier())
    several, _ = rung(several, "partial_fit", 2, y=np.column_stack([Y, Y > 0]))
    assert [list(one.classes_) for one in several.estimators_] == [[0, 1, 2], [0, 1]]


SCALED = make_pipeline(StandardScaler(), SVC())
COMPLAINTS = [
    (SCALED, "partial_fit", "a method partial_fit, and SVC has none. Give 'n_samples' or an integer parameter"),
    (FOREST, "n_estimator", "is no parameter of RandomForestClassifier. .*Did you mean 'n_estimators'"),
    (SCALED, "svm__max_iter", "is no parameter of Pipeline. .*Did you mean 'svc__max_iter'"),
    (SVC(), "C", "resource='C' is no integer parameter: SVC has C=1.0. Give 'n_samples' or"),
    (SGDClassifier(), "shuffle", "SGDClassifier has shuffle=True. Give 'n_samples', 'partial_fit' or"),
    (SCALED, "svc", r"is no integer parameter: Pipeline has svc=SVC\(\)"),
    (FOREST, "max_depth", None),
    (deep(SGDClassifier()), "partial_fit", None),
    (deep(FOREST), "inner__model__n_estimators", None),
]


@pytest.mark.parametrize(("estimator", "resource", "words"), COMPLAINTS, ids=repr)
def test_a_resource_that_cannot_be_is_told_before_the_first_fit(estimator, resource, words):
    told = complaint(estimator, resource)
    assert (told is None) if words is None else re.search(words, told), told


@pytest.mark.parametrize(
    ("library", "options", "resource", "amount"),
    [
        ("lightgbm", {"num_trees": 30}, "num_trees", 30),
        ("lightgbm", {}, "num_boost_round", 100),
        ("xgboost", {}, "n_estimators", 100),
        ("catboost", {}, "iterations", 1000),
        ("catboost", {"num_trees": 20}, "num_trees", 20),
    ],
)
def test_the_libraries_have_their_trees_by_any_name(library, options, resource, amount):
    for model, step in ((boosted(library, **options), ""), (deep(boosted(library, **options)), "inner__model__")):
        assert complaint(model, step + resource) is None and whole(model, step + resource) == amount
        assert f"mean '{step}{TREES[library]}'" in complaint(model, step + TREES[library][:-2])


@pytest.mark.parametrize(("library", "other"), [("lightgbm", "num_trees"), ("catboost", "iterations")])
def test_two_names_for_the_trees_are_told(library, other):
    told = complaint(Pipeline([("trees", boosted(library, **{other: 30}))]), "trees__n_estimators")
    assert f"another name of {other!r}" in told and f"{other}=30 already. Give resource='trees__{other}'" in told


def test_what_an_estimator_has_by_itself():
    pipeline = deep(ensemble.RandomForestClassifier(n_estimators=np.int64(7)))
    resources = [*(f"inner__model__{name}" for name in ("n_estimators", "max_depth", "bootstrap")), "partial_fit"]
    assert [whole(pipeline, resource) for resource in resources] == [7, None, None, None]


def test_lightgbm_that_begins_with_a_score_begins_anew():
    lightgbm = pytest.importorskip("lightgbm")
    make = lambda: lightgbm.LGBMRegressor(min_child_samples=5, n_jobs=1, verbose=-1)  # noqa: E731
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    y, score = X[:, 0] + rng.normal(size=80), np.full(80, 5.0)
    state = None
    for amount in (3, 9):
        model, state = trained(make(), X, y, {"init_score": score}, resource="n_estimators", amount=amount, state=state)
    whole = make().set_params(n_estimators=9).fit(X, y, init_score=score)
    assert np.array_equal(model.predict(X), whole.predict(X))
