"""What a finished search says is true: a row is what cross-validation gives, the best is the best, the order holds."""

import collections.abc
import functools
import pickle
import re
import warnings

import numpy as np
import optuna
import pandas as pd
import pytest
import scipy.stats
from estimators import CountsFits, FailsOn, FailsOnSomeFolds, KnownScore, ScoresOddly, high, low
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from test_parity import assert_trials_make_sense, same_value

from optuna_search import OptunaSearchCV, named

X, Y = make_classification(60, 5, n_informative=3, n_redundant=0, n_classes=3, random_state=0)
FOLDS = KFold(3, shuffle=True, random_state=0)
PIPE = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
SCALERS = ["passthrough", StandardScaler(), MinMaxScaler()]
TREE = DecisionTreeClassifier(random_state=0)


def by_trial(trial):
    """A space of Optuna's define-by-run style, with a value that was not suggested."""
    kind = trial.suggest_categorical("kind", ["bayes", "logistic"])
    if kind == "bayes":
        return {"clf": GaussianNB(var_smoothing=trial.suggest_float("smoothing", 1e-9, 1e-1, log=True))}
    return {"clf__C": trial.suggest_float("C", 1e-3, 1e2, log=True), "scale": "passthrough"}


SPACES = {
    "Optuna's distributions": (PIPE, {"clf__C": FloatDistribution(1e-3, 1e2, log=True), "scale": SCALERS}),
    "scipy's distributions": (PIPE, {"clf__C": scipy.stats.loguniform(1e-3, 1e2), "clf__max_iter": [100, 200]}),
    "integers": (TREE, {"max_depth": IntDistribution(1, 6), "min_samples_leaf": scipy.stats.randint(1, 9)}),
    "distributions searched on their quantiles": (PIPE, {"clf__C": scipy.stats.gamma(2.0, scale=0.5)}),
    "a list of dicts": (
        PIPE,
        [{"clf": [GaussianNB(), TREE], "scale": SCALERS}, {"clf__C": FloatDistribution(1e-3, 1e2, log=True)}],
    ),
    "a callable": (PIPE, by_trial),
}
SEARCHES = [(space, sampler, None) for space in SPACES for sampler in ("random", "tpe")]
SEARCHES += [("a list of dicts", "tpe", 2), ("a callable", "random", 2)]


@functools.cache
def searched(space, sampler, n_jobs):
    """A finished search of twelve trials, fitted once and looked at by many tests."""
    estimator, distributions = SPACES[space]
    return OptunaSearchCV(
        estimator,
        distributions,
        n_trials=12,
        sampler=sampler,
        n_jobs=n_jobs,
        cv=FOLDS,
        scoring=["accuracy", "f1_macro"],
        refit="f1_macro",
        return_train_score=True,
        random_state=0,
    ).fit(X, Y)


def of(*values):
    return pytest.mark.parametrize(("space", "sampler", "n_jobs"), values)


# --- rows are trials --------------------------------------------------------------------------------------------------


@of(*SEARCHES)
def test_rows_are_the_trials_of_the_study_in_their_order(space, sampler, n_jobs):
    search = searched(space, sampler, n_jobs)
    results = search.cv_results_
    assert_trials_make_sense(results)
    assert len(results["params"]) == search.n_trials_ == 12
    assert np.all(np.diff(results["trial_number"]) > 0)
    assert all(isinstance(state, str) for state in results["trial_state"])
    assert isinstance(search.study_, optuna.Study)
    trials = {trial.number: trial for trial in search.study_.trials}
    for row, number in enumerate(results["trial_number"]):
        assert trials[number].state.name == results["trial_state"][row]
        assert trials[number].value == pytest.approx(results["mean_test_f1_macro"][row], rel=1e-12)


@of(*SEARCHES)
def test_every_row_has_the_scores_that_cross_validation_gives(space, sampler, n_jobs):
    search = searched(space, sampler, n_jobs)
    results = search.cv_results_
    for row, params in enumerate(results["params"]):
        model = clone(search.estimator).set_params(**clone(params, safe=False))
        truth = cross_validate(model, X, Y, cv=FOLDS, scoring=["accuracy", "f1_macro"], return_train_score=True)
        for kind in ("test_accuracy", "test_f1_macro", "train_accuracy", "train_f1_macro"):
            ours = [results[f"split{fold}_{kind}"][row] for fold in range(3)]
            np.testing.assert_array_equal(ours, truth[kind])


@of(*SEARCHES)
def test_means_deviations_and_ranks_follow_from_the_folds(space, sampler, n_jobs):
    results = searched(space, sampler, n_jobs).cv_results_
    for metric in ("accuracy", "f1_macro"):
        folds = np.column_stack([results[f"split{fold}_test_{metric}"] for fold in range(3)])
        means = results[f"mean_test_{metric}"]
        np.testing.assert_allclose(means, folds.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(results[f"std_test_{metric}"], folds.std(axis=1), rtol=1e-9, atol=1e-15)
        np.testing.assert_array_equal(results[f"rank_test_{metric}"], [1 + np.sum(means > mean) for mean in means])


@of(*SEARCHES)
def test_the_best_is_the_first_of_the_best_rows(space, sampler, n_jobs):
    search = searched(space, sampler, n_jobs)
    results = search.cv_results_
    best = int(np.argmax(results["mean_test_f1_macro"]))
    assert search.best_index_ == best
    assert search.best_score_ == results["mean_test_f1_macro"][best]
    assert search.best_params_ is results["params"][best] or same_value(search.best_params_, results["params"][best])
    assert search.best_trial_.number == results["trial_number"][best]
    assert search.study_.direction is optuna.study.StudyDirection.MAXIMIZE
    assert search.study_.best_value == pytest.approx(search.best_score_, rel=1e-12)
    model = clone(search.estimator).set_params(**clone(search.best_params_, safe=False)).fit(X, Y)
    np.testing.assert_array_equal(search.predict(X), model.predict(X))


@of(*SEARCHES)
def test_columns_of_parameters_hold_what_the_rows_hold_and_mask_what_they_do_not(space, sampler, n_jobs):
    results = searched(space, sampler, n_jobs).cv_results_
    names = {name for params in results["params"] for name in params}
    assert {key for key in results if key.startswith("param_")} == {f"param_{name}" for name in names}
    for name in names:
        column = results[f"param_{name}"]
        assert isinstance(column, np.ma.MaskedArray)
        for row, params in enumerate(results["params"]):
            assert bool(np.ma.getmaskarray(column)[row]) == (name not in params)
            if name in params:
                assert column[row] is params[name] or column[row] == params[name]


@of(*SEARCHES)
def test_results_make_a_table(space, sampler, n_jobs):
    results = searched(space, sampler, n_jobs).cv_results_
    frame = pd.DataFrame(results)
    assert len(frame) == 12
    assert set(frame.columns) == set(results)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_rows_stay_in_the_range_and_the_type_that_was_asked_for(sampler):
    trees = searched("integers", sampler, None).cv_results_
    assert all(type(params["max_depth"]) is int and 1 <= params["max_depth"] <= 6 for params in trees["params"])
    assert all(1 <= params["min_samples_leaf"] <= 8 for params in trees["params"])
    for space in ("Optuna's distributions", "scipy's distributions"):
        params = searched(space, sampler, None).cv_results_["params"]
        assert all(isinstance(p["clf__C"], float) and 1e-3 <= p["clf__C"] <= 1e2 for p in params)
    params = searched("distributions searched on their quantiles", sampler, None).cv_results_["params"]
    assert all(p["clf__C"] > 0 for p in params)
    assert len({p["clf__C"] for p in params}) == 12


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_list_of_dicts_draws_one_dict_per_trial(sampler):
    for params in searched("a list of dicts", sampler, None).cv_results_["params"]:
        assert set(params) in ({"clf", "scale"}, {"clf__C"})


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_callable_space_gives_the_rows_that_it_returned(sampler):
    for params in searched("a callable", sampler, None).cv_results_["params"]:
        assert set(params) in ({"clf"}, {"clf__C", "scale"})
        assert params.get("scale", "passthrough") == "passthrough"
        assert isinstance(params.get("clf", GaussianNB()), GaussianNB)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_choices_come_back_as_the_objects_that_were_given(sampler):
    for params in searched("Optuna's distributions", sampler, None).cv_results_["params"]:
        assert any(params["scale"] is scaler for scaler in SCALERS)


# --- draws ------------------------------------------------------------------------------------------------------------


def rows(search):
    """What was drawn and what it scored, comparable by ``==``."""
    results = search.cv_results_
    return [(repr(params), score) for params, score in zip(results["params"], results["mean_test_score"], strict=True)]


def known(space, **search):
    """A finished search over the estimator whose scores are a known function of its parameters."""
    return OptunaSearchCV(KnownScore(), space, **{"cv": 2, **search}).fit(X, Y)


LINE = {"x": FloatDistribution(-5.0, 5.0), "choice": ["a", "b"]}


@pytest.mark.parametrize("sampler", [None, "random", "tpe", "qmc", "nsgaii"])
def test_one_random_state_gives_the_same_trials_again_and_another_gives_others(sampler):
    first, again, other = (
        rows(known(LINE, sampler=sampler, n_trials=12, random_state=seed, refit=False)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", [optuna.samplers.RandomSampler, optuna.samplers.TPESampler])
def test_a_given_sampler_is_not_changed(kind):
    sampler = kind(seed=3)
    search = OptunaSearchCV(KnownScore(), LINE, sampler=sampler, n_trials=5, cv=2)
    before = pickle.dumps(sampler)
    first = rows(search.fit(X, Y))
    assert search.sampler is sampler
    assert pickle.dumps(sampler) == before
    assert rows(search.fit(X, Y)) == first


def test_random_draws_from_lists_do_not_repeat():
    search = known({"x": list(range(6)), "choice": ["a", "b", "c"]}, sampler="random", n_trials=15, random_state=0)
    assert len({repr(params) for params in search.cv_results_["params"]}) == 15


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsgaii", "grid", "brute-force"])
def test_a_finite_space_ends_at_its_distinct_candidates(sampler):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = known({"x": [1, 2, 3], "choice": ["a", "b"]}, sampler=sampler, n_trials=50, random_state=0)
    drawn = [(params["x"], params["choice"]) for params in search.cv_results_["params"]]
    assert len(drawn) == 6
    assert set(drawn) == {(x, choice) for x in (1, 2, 3) for choice in "ab"}
    assert all(issubclass(warning.category, UserWarning) for warning in caught)
    assert not [w for w in caught if w.category.__module__.startswith("optuna.")]


def test_random_search_over_less_than_asked_for_says_so():
    with pytest.warns(UserWarning, match=r"\b6\b"):
        search = known({"x": [1, 2, 3], "choice": ["a", "b"]}, sampler="random", n_trials=50, random_state=0)
    assert len(search.cv_results_["params"]) == 6


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_no_candidate_is_fitted_twice(tmp_path, sampler, n_jobs):
    log = tmp_path / "fits"
    space = {"x": IntDistribution(0, 7)}
    OptunaSearchCV(
        CountsFits(str(log)), space, sampler=sampler, n_trials=8, n_jobs=n_jobs, cv=2, refit=False, random_state=0
    ).fit(X, Y)
    fitted = [line.split()[0] for line in log.read_text().splitlines()]
    assert sorted(fitted) == sorted([str(x) for x in range(8)] * 2)


@pytest.mark.parametrize("sampler", [None, "random"])
def test_what_has_no_part_in_a_model_makes_no_other_candidate_of_it(sampler, tmp_path):
    """Of two kinds of models each has a parameter that says nothing to the other one."""

    def space(trial):
        kind = trial.suggest_categorical("kind", ["a", "b"])
        of_a, of_b = trial.suggest_int("of a", 0, 2), trial.suggest_int("of b", 3, 5)
        return {"x": of_a if kind == "a" else of_b}

    log = tmp_path / "fits"
    how = {"sampler": sampler, "cv": 2, "refit": False, "storage": tmp_path / "s.db", "study_name": "s"}
    for _ in range(2):
        found = OptunaSearchCV(CountsFits(str(log)), space, n_trials=30, **how).fit(X, Y)
        assert len(found.cv_results_["params"]) == found.n_trials_ == 6
    fitted = [line.split()[0] for line in log.read_text().splitlines()]
    assert sorted(fitted) == sorted([str(x) for x in range(6)] * 2)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_n_trials_below_the_size_of_a_grid_is_kept_to(n_jobs):
    search = known({"x": list(range(10))}, n_trials=4, n_jobs=n_jobs, random_state=0)
    assert len(search.cv_results_["params"]) == search.n_trials_ == 4
    assert len({params["x"] for params in search.cv_results_["params"]}) == 4


def test_without_any_budget_a_space_that_is_no_grid_gets_fifty_trials():
    assert known(LINE, random_state=0, refit=False).n_trials_ == 50


def test_points_to_try_first_are_the_first_rows():
    search = known(LINE, initial_params=[{"x": 3.0, "choice": "b"}, {"x": -1.5}], n_trials=4, random_state=0)
    first, second = search.cv_results_["params"][:2]
    assert first == {"x": 3.0, "choice": "b"}
    assert second["x"] == -1.5 and second["choice"] in ("a", "b")


def test_more_trials_find_the_known_best():
    search = known({"x": FloatDistribution(-5.0, 5.0)}, sampler="tpe", n_trials=40, random_state=0)
    assert abs(search.best_params_["x"] - 3.0) < 0.5


def test_a_categorical_distribution_of_optuna_is_a_sequence_of_choices():
    search = known({"choice": CategoricalDistribution([None, True, 1.5, "1"])})
    assert [params["choice"] for params in search.cv_results_["params"]] == [None, True, 1.5, "1"]


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_failed_trial_has_a_row_of_nan_the_last_rank_and_a_reason(sampler, n_jobs):
    search = OptunaSearchCV(
        FailsOn(bad=(1, 3)), {"x": [0, 1, 2, 3, 4]}, sampler=sampler, n_trials=5, cv=2, n_jobs=n_jobs, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    results = search.cv_results_
    assert_trials_make_sense(results)
    failed = np.array([params["x"] in (1, 3) for params in results["params"]])
    assert failed.sum() == 2
    np.testing.assert_array_equal(np.array(results["trial_state"]) == "FAIL", failed)
    for key in ("split0_test_score", "split1_test_score", "mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(np.isnan(results[key]), failed)
    assert list(results["rank_test_score"][failed]) == [4, 4]
    assert sorted(results["rank_test_score"][~failed]) == [1, 2, 3]
    assert search.best_params_ == {"x": 0}
    assert search.n_trials_ == 5
    for trial in search.study_.trials:
        bad = trial.state is optuna.trial.TrialState.FAIL
        assert trial.user_attrs.get("failure", "").startswith("ValueError: x=" if bad else "")
        assert ("failure" in trial.user_attrs) == bad


@pytest.mark.parametrize("sampler", [None, "random", "tpe"])
def test_a_number_as_error_score_is_a_score(sampler):
    search = OptunaSearchCV(
        FailsOn(bad=(1,)), {"x": [0, 1, 2]}, sampler=sampler, n_trials=3, cv=2, error_score=-0.5, random_state=0
    )
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 6"):
        search.fit(X, Y)
    assert list(search.cv_results_["trial_state"]) == ["COMPLETE"] * 3
    results = search.cv_results_
    scores = {params["x"]: score for params, score in zip(results["params"], results["mean_test_score"], strict=True)}
    assert scores == {0: 0.0, 1: -0.5, 2: -2.0}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_trial_that_failed_on_some_folds_keeps_the_scores_of_the_others(n_jobs):
    marked = X.copy()
    marked[0, 0] = 1000.0  # in the first test fold, and so in the training data of the others
    search = OptunaSearchCV(FailsOnSomeFolds(), {"x": [0, 1]}, cv=KFold(3), n_jobs=n_jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(marked, Y)
    results = search.cv_results_
    assert list(results["trial_state"]) == ["COMPLETE", "FAIL"]
    assert np.isfinite(results["split0_test_score"][1])
    assert np.isnan([results[key][1] for key in ("split1_test_score", "split2_test_score", "mean_test_score")]).all()


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_score_that_is_nan_or_plus_infinity_never_wins(sampler, odd):
    search = OptunaSearchCV(
        ScoresOddly(), {"x": [1.0, odd, 2.0]}, sampler=sampler, n_trials=3, cv=2, random_state=0, refit=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    assert search.best_params_ == {"x": 2.0}
    assert search.best_score_ == 2.0
    assert search.top_n_[0].score == 2.0


def test_a_search_in_which_no_score_may_win_says_so():
    search = OptunaSearchCV(ScoresOddly(), {"x": [np.inf]}, sampler="random", n_trials=1, cv=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((ValueError, RuntimeError), match="NaN or infinite"):
            search.fit(X, Y)
    assert not hasattr(search, "best_estimator_")


def test_minus_infinity_is_the_worst_score():
    search = OptunaSearchCV(ScoresOddly(), {"x": [1.0, -np.inf, 2.0]}, sampler="tpe", n_trials=3, cv=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    results = search.cv_results_
    ranks = {params["x"]: rank for params, rank in zip(results["params"], results["rank_test_score"], strict=True)}
    assert ranks == {2.0: 1, 1.0: 2, -np.inf: 3}


def test_plus_infinity_in_a_fold_is_a_failure_and_comes_after_minus_infinity():
    def odd_in_the_last_fold(model, part, y=None):
        return model.x if part[-1, 0] == X[-1, 0] else 0.0

    space = {"x": [1.0, np.inf, -np.inf, 2.0]}
    search = OptunaSearchCV(KnownScore(), space, scoring=odd_in_the_last_fold, cv=KFold(2), refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    assert list(search.cv_results_["trial_state"]) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert list(search.cv_results_["rank_test_score"]) == [2, 4, 3, 1]
    assert [leader.trial_number for leader in search.top_n_] == [3, 0, 2]


# --- the leaderboard --------------------------------------------------------------------------------------------------


@functools.cache
def ranked():
    """A finished search with two metrics of different orders and no ties."""
    scoring = {"high": high, "low": low}
    space = {"x": FloatDistribution(0.0, 5.0), "choice": ["<b>first</b>", "second"]}
    return OptunaSearchCV(
        KnownScore(), space, scoring=scoring, refit="high", n_trials=6, sampler="random", cv=3, random_state=0
    ).fit(X, Y)


def test_the_leaderboard_is_a_sequence_of_the_rows_best_first():
    search = ranked()
    board, results = search.top_n_, search.cv_results_
    assert isinstance(board, collections.abc.Sequence)
    assert len(board) == 6
    order = np.argsort(-results["mean_test_high"])
    assert [entry.trial_number for entry in board] == list(results["trial_number"][order])
    assert [entry.rank for entry in board] == [1, 2, 3, 4, 5, 6]
    for entry, row in zip(board, order, strict=True):
        assert same_value(entry.params, results["params"][row])
        assert entry.score == results["mean_test_high"][row]
        assert entry.std == pytest.approx(results["std_test_high"][row])
        assert entry.metrics["high"] == results["mean_test_high"][row]
        assert entry.metrics["low"] == results["mean_test_low"][row]
    assert board[0].params == search.best_params_
    assert board[0].score == search.best_score_
    assert board[0].trial_number == search.best_trial_.number


def test_the_leaderboard_is_indexed_and_sliced_like_a_list():
    board = ranked().top_n_
    entries = list(board)
    assert board[-1].trial_number == entries[5].trial_number
    assert [entry.trial_number for entry in board[1:4]] == [entry.trial_number for entry in entries[1:4]]
    assert [entry.trial_number for entry in board[::-1]] == [entry.trial_number for entry in entries[::-1]]
    assert len(board[:2]) == 2 and len(board[6:]) == 0
    assert board[2:3][0].rank == 3
    with pytest.raises(IndexError):
        board[6]


def test_the_leaderboard_is_called_for_its_first_rows():
    board = ranked().top_n_
    assert [entry.rank for entry in board(3)] == [1, 2, 3]
    assert [entry.rank for entry in board(n=2)] == [1, 2]
    assert len(board(100)) == 6
    assert board(3)[0].params == board[0].params


def test_the_leaderboard_is_called_for_another_metric():
    search = ranked()
    by_low = search.top_n_(3, by="low")
    order = np.argsort(-search.cv_results_["mean_test_low"])[:3]
    assert [entry.trial_number for entry in by_low] == list(search.cv_results_["trial_number"][order])
    assert [entry.score for entry in by_low] == list(search.cv_results_["mean_test_low"][order])
    assert [entry.rank for entry in by_low] == [1, 2, 3]
    assert by_low[0].metrics["high"] == search.cv_results_["mean_test_high"][order[0]]
    assert [entry.trial_number for entry in search.top_n_(3, by="high")] == [
        entry.trial_number for entry in search.top_n_(3)
    ]


def test_the_leaderboard_refuses_a_metric_that_was_not_measured():
    with pytest.raises(ValueError, match=r"(?s)speed.*high.*low"):
        ranked().top_n_(3, by="speed")


def test_the_leaderboard_shows_itself_as_a_text_table():
    board = ranked().top_n_
    text = repr(board)
    assert str(board) == text
    lines = text.splitlines()
    assert len(lines) >= 7, "a line of titles and one for each row"
    header = lines[0].lower()
    assert "rank" in header and "x" in header and "choice" in header and "low" in header
    for entry, line in zip(board, lines[-6:], strict=True):
        numbers = [float(word) for word in line.split() if re.fullmatch(r"-?[\d.]+", word)]
        assert entry.rank in numbers and entry.trial_number in numbers and entry.params["choice"] in line
        for value in (entry.score, entry.metrics["low"], entry.params["x"]):
            assert np.isclose(numbers, value, atol=1e-3).any()


def test_the_leaderboard_shows_itself_as_html_and_escapes_what_it_shows():
    html = ranked().top_n_._repr_html_()
    assert "<table" in html and "</table>" in html
    assert html.count("<tr") >= 7
    assert "<b>first" not in html
    assert "&lt;b&gt;first" in html


def test_the_leaderboard_shows_objects_by_the_names_that_they_were_given(tmp_path):
    choices = named({"alone": lambda x: x, "squared": lambda x: x**2})
    made = OptunaSearchCV(
        KnownScore(), {"choice": choices, "x": [0.5]}, cv=2, storage=tmp_path / "s.db", study_name="s"
    )
    board = made.fit(X, Y).top_n_
    for shown in (
        repr(board),
        board._repr_html_(),
        repr(board(1, by="score")) + repr(board[1:]),
        repr(OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore()).top_n_),
    ):
        assert "alone" in shown and "squared" in shown and "lambda" not in shown
    assert "0.5" in repr(board)


def test_parameters_in_the_data_frame_are_the_objects_themselves():
    made = OptunaSearchCV(KnownScore(), [{"x": [1, 2]}, {"choice": [None, "a"]}], cv=2).fit(X, Y)
    frame = made.top_n_.to_frame()
    by_row = [{n: v for n, v in (("x", row.param_x), ("choice", row.param_choice)) if v is not None}
              for row in frame.itertuples()]  # fmt: skip
    assert by_row == [{n: v for n, v in leader.params.items() if v is not None} for leader in made.top_n_]
    assert {type(value) for value in frame["param_x"]} == {int, type(None)}


def test_a_metric_may_be_called_as_a_column_of_the_data_frame():
    scoring = {"std": high, "rank": low, "high": high}
    search = OptunaSearchCV(KnownScore(), {"x": [1.0, 2.0]}, cv=2, scoring=scoring, refit="std").fit(X, Y)
    frame = search.top_n_.to_frame()
    assert list(frame["rank"]) == [1, 2]
    for name in ("std", "rank"):
        assert list(frame[f"mean_test_{name}"]) == sorted(
            search.cv_results_[f"mean_test_{name}"], reverse=name == "std"
        )
    assert list(frame["high"]) == list(frame["mean_test_std"])


def test_a_board_equals_itself_whatever_its_candidates_can_be_compared_with():
    grid = {"choice": [np.arange(2), np.arange(3)]}
    search = OptunaSearchCV(KnownScore(), grid, cv=[(np.arange(4), np.arange(4, 8))]).fit(X, Y)
    assert search.top_n_ == search.top_n_ and search.top_n_ != search.top_n_(1)


def test_the_leaderboard_becomes_a_data_frame():
    search = ranked()
    frame = search.top_n_(4).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 4
    shown = frame.reset_index()
    assert list(shown["rank"]) == [1, 2, 3, 4]
    assert list(shown["trial_number"]) == [entry.trial_number for entry in search.top_n_(4)]
    assert list(shown["high"]) == [entry.score for entry in search.top_n_(4)]
    assert list(shown["low"]) == [entry.metrics["low"] for entry in search.top_n_(4)]


def test_the_leaderboard_of_one_metric_names_it_score():
    search = known({"x": [1, 2, 3]})
    assert [entry.params["x"] for entry in search.top_n_] == [3, 2, 1]
    assert search.top_n_[0].metrics["score"] == search.top_n_[0].score == search.best_score_


def test_the_leaderboard_keeps_failed_trials_from_the_top():
    search = OptunaSearchCV(FailsOn(bad=(0, 1)), {"x": [0, 1, 2, 3]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    assert [entry.params["x"] for entry in search.top_n_][:2] == [2, 3]
    assert search.top_n_(1)[0].score == -2.0


def test_params_of_a_row_go_into_the_pipeline_and_score_as_it_says():
    search = searched("Optuna's distributions", "tpe", None)
    for entry in search.top_n_[2], search.top_n_(5, by="accuracy")[1]:
        pipe = clone(PIPE).set_params(**entry.params)
        for metric in ("accuracy", "f1_macro"):
            scores = cross_val_score(pipe, X, Y, cv=FOLDS, scoring=metric)
            assert entry.metrics[metric] == pytest.approx(scores.mean(), rel=1e-12)


def test_a_leaderboard_without_refit_and_with_two_metrics_pursues_the_first():
    search = OptunaSearchCV(KnownScore(), {"x": [1, 2, 3]}, scoring={"low": low, "high": high}, refit=False, cv=2)
    search.fit(X, Y)
    assert [entry.params["x"] for entry in search.top_n_] == [1, 2, 3]
    assert [entry.params["x"] for entry in search.top_n_(by="high")] == [3, 2, 1]
