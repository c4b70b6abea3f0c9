"""Figures show what was measured, by the names and with the values that people wrote."""

import json
import math
import re
import sys
import warnings

import numpy as np
import optuna
import pytest
from estimators import FailsOn, KnownScore, high, low
from handmade import folds, large, measured, study, trial
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from scipy.stats import expon, geom
from sklearn.preprocessing import StandardScaler
from test_several_goals import search as search_by_goals
from test_storage import search

from optuna_search import OptunaSearchCV, figures, named
from optuna_search._axes import window
from optuna_search._drawing import labels, text, thinned
from optuna_search._facts import Metric, Parameter, facts_of
from optuna_search._given import store_given
from optuna_search._importance import _columns, importances_of
from optuna_search._record import ABANDONED, CLAIM, FAILURE, Climb, Fold, Record
from optuna_search.exceptions import InvalidRequestError, NoResultError, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
ALL = [getattr(figures, name) for name in figures.__all__]

of_failures = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores are non-finite:UserWarning"
)


def space(trial):
    """The good ones of the first kind are at 3, those of the other kind are never good."""
    kind = trial.suggest_categorical("kind", ["near", "far"])
    if kind == "near":
        return {"x": trial.suggest_float("place", 0, 6), "choice": "here"}
    return {"x": 3 + trial.suggest_float("how far", 10, 100, log=True)}


def facts(given, storage=None):
    return facts_of(store_given(given, storage))


def trace(figure, name):
    """The one trace of a figure that is called so."""
    (found,) = [one for one in figure.data if one.name == name]
    return found


def points(found):
    """The points of a trace, with those of broken lines together."""
    pairs = list(zip(found.x, found.y, strict=True))
    lines = [[]]
    for pair in pairs:
        if pair[0] is None or pair[1] is None:
            lines.append([])
        else:
            lines[-1].append(pair)
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def plain():
    """Five trials by two metrics in three folds."""
    grid = {"x": [1.0, 2.5, 5.0, 3.0, 4.0]}
    how = {"scoring": {"high": high, "low": low}, "refit": "high", "cv": 3, "n_trials": None, "sampler": None}
    return search(grid, **how).fit(X, Y)


@pytest.fixture(scope="module")
def conditional():
    """A define-by-run space with pruning."""
    pruner = optuna.pruners.ThresholdPruner(lower=-2000.0)
    return search(space, n_trials=40, pruner=pruner, cv=3, sampler="random").fit(X, Y)


# --- the facts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [5, "x", [], {}], ids=repr)
def test_what_names_nothing_is_refused(plain, wrong):
    for draw in (figures.slices, figures.contours, figures.parallel_coordinates):
        with pytest.raises(InvalidRequestError, match=r"must be a list of names of parameters"):
            draw(plain, params=wrong)
    for metrics in (wrong, ["high"], ["high", "high"], ["high", "low", "low"]):
        with pytest.raises(InvalidRequestError, match=r"must be two or more names of metrics, each of another one"):
            figures.pareto_front(plain, metrics=metrics)


class TestFacts:
    def test_they_are_the_numbers_of_the_results(self, plain):
        results, found = plain.cv_results_, facts(plain)
        assert [metric.name for metric in found.metrics] == ["high", "low", "fit_time", "score_time"]
        for metric in found.metrics:
            key = metric.key if metric.key.endswith("_time") else f"test_{metric.key}"
            assert [t.mean(metric) for t in found.trials] == pytest.approx(results[f"mean_{key}"], rel=1e-14)
            errors = results[f"std_{key}"] / math.sqrt(2)  # of three folds, with ddof=1
            assert [t.by(metric).error for t in found.trials] == pytest.approx(errors, rel=1e-9)
        for i, one in enumerate(found.trials):
            assert one.by(found.metric("low")).folds == tuple(results[f"split{k}_test_low"][i] for k in range(3))
            assert one.params == results["params"][i]
            assert (one.number, one.state) == (i, "COMPLETE")

    @of_failures
    def test_a_trial_that_failed_has_its_reason_and_no_mean(self):
        found = facts(search({"x": [1.0, 2.0]}, FailsOn(bad=(1.0,)), n_trials=None, sampler=None).fit(X, Y))
        failed, good = found.trials
        assert (failed.state, failed.failure) == ("FAIL", "ValueError: x=1.0 is bad in fit")
        assert math.isnan(failed.mean(found.metric())) and good.mean(found.metric()) == -2.0
        assert found.scored(found.metric()) == [good]

    @of_failures
    def test_a_number_that_stands_for_a_failure_is_a_score(self):
        how = {"n_trials": None, "sampler": None, "error_score": -7.0, "cv": 3}
        fitted = search({"x": [1.0, 2.0]}, FailsOn(bad=(1.0,)), **how).fit(X, Y)
        found = facts(fitted)
        assert [t.mean(found.metric()) for t in found.trials] == [-7.0, -2.0]

    def test_a_pruned_trial_has_come_so_far(self, conditional):
        found, results = facts(conditional), conditional.cv_results_
        metric = found.metric()
        pruned = [t for t in found.trials if t.state == "PRUNED"]
        assert pruned and len(pruned) == np.sum(results["trial_state"] == "PRUNED")
        for one in pruned:
            scores = [results[f"split{k}_test_score"][one.number] for k in range(3)]
            run = [score for score in scores if not math.isnan(score)]
            assert math.isnan(one.mean(metric)) and math.isnan(one.by(metric).error)
            assert one.by(metric).so_far == pytest.approx(np.mean(run))
            assert one.steps == tuple(((1, k), pytest.approx(np.mean(run[:k]))) for k in range(1, len(run) + 1))

    def test_a_single_scorer_goes_by_its_name(self):
        fitted = search({"x": [1.0, 2.0]}, scoring="accuracy", n_trials=None, sampler=None).fit(X, Y)
        found = facts(fitted)
        assert found.metric().name == "accuracy"
        assert found.metric("score") is found.metric("accuracy") is found.metric()

    def test_a_metric_may_be_called_like_a_time(self):
        how = {"scoring": {"fit_time": high, "low": low}, "refit": "fit_time", "error_score": -5.0, "cv": 3}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = search({"x": [1.0, 2.0]}, FailsOn(bad=(1.0,)), n_trials=None, sampler=None, **how).fit(X, Y)
        found = facts(fitted)
        assert [t.mean(found.metric()) for t in found.trials] == list(fitted.cv_results_["mean_test_fit_time"])
        assert found.trials[0].mean(found.metric()) == -5.0
        assert all(0 < t.seconds < 60 for t in found.trials)

    def test_draws_that_a_function_names_as_the_library_does_are_kept_apart(self):
        def odd(trial):
            return {"x": trial.suggest_float("x (1)", 0, 1), "choice": trial.suggest_categorical("x'", ["a", "b"])}

        fitted = search(odd, n_trials=4, sampler="random").fit(X, Y)
        for one, drawn in zip(facts(fitted).trials, fitted.study_.trials, strict=True):
            assert set(one.params.values()) == set(drawn.params.values())

    def test_the_best_is_no_fault(self):
        values = [1.0, math.inf, math.nan, -math.inf, 2.0]
        assert Metric("a", "a").best(values) == 2.0 and Metric("a", "a", maximise=False).best(values) == 1.0
        assert Metric("a", "a").best([math.nan, -math.inf]) == -math.inf
        assert math.isnan(Metric("a", "a").best([math.nan, math.inf]))

    def test_a_trial_is_scored_by_several_metrics_where_it_is_by_each(self):
        rows = [([1.0] * 3, [2.0] * 3), ([1.0] * 3, [-math.inf] * 3)]
        trials = [trial(i, {"x": i}, Record({"x": i}, folds(a=a, b=b)), [1.0]) for i, (a, b) in enumerate(rows)]
        found = facts(study(trials, objective="a", scoring={"a": "a", "b": "b"}))
        assert [t.number for t in found.scored(found.metric("a"))] == [0, 1]
        assert [t.number for t in found.scored(found.metric("a"), found.metric("b"))] == [0]

    def test_a_metric_that_is_called_like_a_time_is_there_once(self):
        how = {"scoring": {"fit_time": high}, "refit": "fit_time", "n_trials": None, "sampler": None}
        found = facts(search({"x": [1.0, 2.0]}, **how).fit(X, Y))
        assert [(metric.name, metric.maximise) for metric in found.metrics] == [
            ("fit_time", True), ("score_time", False),
        ]  # fmt: skip

    def test_what_a_trial_does_not_have_is_no_value(self):
        found = facts(measured([({"kind": "a", "x": 1}, 0.0), ({"kind": "b"}, 1.0), ({}, 2.0)]))
        assert found.parameter("kind", found.trials).choices == ["a", "b"]
        assert [one.name for one in found.parameters(found.trials)] == ["kind"]

    def test_another_metric_is_an_error_that_lists_them(self, plain):
        with pytest.raises(InvalidRequestError, match=r"^metric='hihg' is not.*: high, low.*Did you mean 'high'\?$"):
            figures.history(plain, metric="hihg")


class TestNames:
    def test_quantiles_go_by_the_parameter_and_its_value(self):
        fitted = search({"x": expon(scale=2.0), "peak": geom(0.2)}, n_trials=6).fit(X, Y)
        assert "quantile(x)" in fitted.study_.trials[0].params
        found = facts(fitted)
        assert [t.params for t in found.trials] == [dict(p) for p in fitted.cv_results_["params"]]
        assert figures.slices(fitted, params=["x"]).layout.xaxis.title.text == "x"

    def test_objects_are_their_tokens_and_numbers_numbers(self):
        grid = {"choice": [StandardScaler(), None, "a", 1, 2.5, True, (1, 2)]}
        found = facts(search(grid, n_trials=None, sampler=None).fit(X, Y))
        values = [t.params["choice"] for t in found.trials]
        assert values == ["StandardScaler()", "None", "a", 1, 2.5, "True", "(1, 2)"]
        parameter = found.parameter("choice", found.trials)
        assert not parameter.is_number and parameter.choices[:2] == ["1", "2.5"]

    def test_names_of_choices_are_shown(self):
        fitted = search({"choice": named({"fast": abs, "slow": max})}, n_trials=None, sampler=None).fit(X, Y)
        assert figures.slices(fitted).layout.xaxis.ticktext == ("fast", "slow")

    def test_dicts_that_differ_in_a_choice_need_no_other_name(self):
        dicts = [{"choice": ["a"], "x": FloatDistribution(0, 6)}, {"choice": ["b"], "x": [1.0, 2.0]}]
        fitted = search(dicts, n_trials=8).fit(X, Y)
        assert "(space)" in fitted.study_.trials[0].params
        assert [t.params for t in facts(fitted).trials] == [dict(p) for p in fitted.cv_results_["params"]]

    def test_dicts_that_nothing_else_tells_apart_keep_their_name(self):
        dicts = [{"x": FloatDistribution(0, 6)}, {"x": FloatDistribution(0, 6), "peak": FloatDistribution(9, 11)}]
        fitted = search(dicts, n_trials=8).fit(X, Y)
        assert {t.params["(space)"] for t in facts(fitted).trials} == {"x", "peak, x"}

    @pytest.mark.parametrize("choices", [["a"], ["a", "b"]])
    def test_a_choice_that_several_dicts_have_does_not_tell_them_apart(self, choices):
        one = {"choice": choices, "x": FloatDistribution(0, 6)}
        fitted = search([one, one | {"peak": FloatDistribution(9, 11)}], n_trials=12).fit(X, Y)
        assert len({t.params["(space)"] for t in facts(fitted).trials}) == 2

    def test_a_function_has_the_names_that_it_asks_for(self, conditional):
        found = facts(conditional)
        near = [t.params for t in found.trials if t.params["kind"] == "near"]
        assert near and all(params.keys() == {"kind", "place"} for params in near)
        assert found.logs == {"how far": True, "place": False}

    def test_what_a_function_makes_of_a_number_under_its_name_is_shown(self):
        fitted = search(lambda t: {"x": 2.0 ** t.suggest_int("x", 1, 5, log=True)}, n_trials=5).fit(X, Y)
        found = facts(fitted)
        values = [t.params["x"] for t in found.trials]
        assert values == [float(p["x"]) for p in fitted.cv_results_["params"]] and max(values) > 4
        assert not found.logs, "the logarithms were those of another number"

    @pytest.mark.parametrize(
        ("values", "is_log"),
        [
            ([0.1, 1, 10, 99], True),
            ([16, 32, 64, 128], True),
            ([1, 2, 3, 4], False),
            ([-1, 0, 900], False),
            ([0, 1, 10, 99], False),
            ([1], False),
        ],
    )
    def test_numbers_from_a_list_have_the_scale_that_spreads_them(self, values, is_log):
        found = facts(search({"x": values}, n_trials=None, sampler=None).fit(X, Y))
        assert found.parameter("x", found.trials).is_log is is_log

    @pytest.mark.parametrize("values", [(0.4, 0.42, 0.45, 0.5, 1.0), (0.4, 0.8, 0.9, 0.95, 1.0)])
    @pytest.mark.parametrize("log", [True, False])
    def test_numbers_from_a_range_have_the_scale_of_the_range(self, values, log):
        drawn = {"x": FloatDistribution(0.4, 1.0, log=log), "n": IntDistribution(1, 900, log=log)}
        rows = [{"x": value, "n": round(900 * value)} for value in values]
        made = study([trial(i, row, Record(row, folds(1.0, 2.0, 3.0)), [2.0], distributions=drawn)
                      for i, row in enumerate(rows)])  # fmt: skip
        found = facts(made)
        assert [found.parameter(name, found.trials).is_log for name in ("x", "n")] == [log, log]

    def test_a_number_that_one_of_several_dicts_draws_by_logarithms_has_their_scale(self):
        dicts = [{"x": FloatDistribution(0.1, 6), "choice": ["a"]},
                 {"x": FloatDistribution(0.1, 6, log=True), "choice": ["b"]}]  # fmt: skip
        assert facts(search(dicts, n_trials=8).fit(X, Y)).logs == {"x": True}


class TestWhoseTrials:
    def test_carried_trials_say_where_they_were_measured(self, plain):
        forked = plain.fork({"x": [1.0, 2.5, 6.0]}).fit(X, Y)
        found = facts(forked)
        assert [bool(t.origin) for t in found.trials] == [True, True, False]
        drawn = figures.history(forked)
        assert trace(drawn, "carried over").x == (0, 1) and trace(drawn, "complete").x == (2,)
        assert {y for line in points(figures.timeline(forked).data[0]) for _, y in line} == {2}

    def test_others_and_the_dead_count_for_nothing(self):
        memory = InMemoryStorage()
        fitted = search({"x": FloatDistribution(0, 6)}, storage=memory, study_name="s").fit(X, Y)
        values = {"x": 3.0}
        foreign = optuna.trial.create_trial(value=99.0, params=values, distributions={"x": FloatDistribution(0, 6)})
        fitted.study_.add_trial(foreign)
        for state, attrs in ((TrialState.FAIL, {FAILURE: ABANDONED, CLAIM: {}}), (TrialState.RUNNING, {CLAIM: {}})):
            fitted.study_.add_trial(optuna.trial.create_trial(state=state, user_attrs=attrs))
        found = facts(fitted.study_)
        assert [t.state for t in found.trials] == ["COMPLETE"] * 3 + ["GIVEN UP", "RUNNING"]
        assert trace(figures.history(fitted), "best so far").y[-1] < 11
        assert [one.name for one in figures.timeline(fitted).data] == ["complete", "given up", "running"]


# --- each figure ------------------------------------------------------------------------------------------------------


class TestHistory:
    def test_it_has_means_errors_and_the_best_so_far(self, plain):
        results, drawn = plain.cv_results_, figures.history(plain)
        means = results["mean_test_high"]
        assert trace(drawn, "complete").x == tuple(results["trial_number"])
        assert trace(drawn, "complete").y == pytest.approx(means)
        errors = results["std_test_high"] / math.sqrt(2)
        ends = [[y for _, y in line] for line in points(trace(drawn, "± standard error"))]
        assert np.array(ends) == pytest.approx(np.array([means - errors, means + errors]).T)
        assert trace(drawn, "best so far").y == pytest.approx([*np.maximum.accumulate(means), means.max()])
        assert drawn.layout.yaxis.title.text == "high"

    def test_the_spread_may_be_that_of_the_folds(self, plain):
        drawn = figures.history(plain, metric="low", spread="folds")
        splits = [plain.cv_results_[f"split{k}_test_low"] for k in range(3)]
        ends = [[y for _, y in line] for line in points(trace(drawn, "lowest to highest fold"))]
        assert np.array(ends) == pytest.approx(np.array([np.min(splits, axis=0), np.max(splits, axis=0)]).T)

    def test_of_times_less_is_better(self, plain):
        best = trace(figures.history(plain, metric="fit_time"), "best so far").y
        assert list(best) == sorted(best, reverse=True)
        assert best[-1] == pytest.approx(plain.cv_results_["mean_fit_time"].min())

    def test_a_spread_that_is_much_wider_than_others_pushes_no_mean_aside(self):
        rows = [(0.0, 0.9, 9.0), (0.9, 1.0, 1.1), (1.9, 2.0, 2.1)]
        trials = [trial(i, {"x": i}, Record({"x": i}, folds(*row)), [np.mean(row)]) for i, row in enumerate(rows)]
        shown = trace(figures.history(study(trials), spread="folds"), "complete").y
        assert shown == pytest.approx([np.mean(row) for row in rows])
        for at, row in enumerate(rows):  # nor is any end of a spread
            line = points(trace(figures.history(study(trials), spread="folds"), "lowest to highest fold"))[at]
            assert [y for _, y in line] == pytest.approx([row[0], row[-1]])

    def test_one_fold_has_no_spread(self):
        made = study([trial(i, {"x": i}, Record({"x": i}, folds(float(i))), [float(i)]) for i in range(3)], n_folds=1)
        ends = [{y for _, y in line} for line in points(trace(figures.history(made), "± standard error"))]
        assert [len(line) for line in ends] == [1, 1, 1]

    @of_failures
    def test_pruned_and_failed_trials_stand_apart(self):
        how = {"n_trials": None, "sampler": None, "cv": 3, "pruner": optuna.pruners.ThresholdPruner(lower=-4.0)}
        fitted = search({"x": [1.0, 2.0, 5.0, 3.0]}, FailsOn(bad=(1.0,)), **how).fit(X, Y)
        drawn = figures.history(fitted)
        assert (trace(drawn, "pruned").x, trace(drawn, "pruned").y) == ((2,), (pytest.approx(-3.0, abs=2.0),))
        assert trace(drawn, "failed").x == (0,)
        assert trace(drawn, "failed").text == ("trial 0<br>ValueError: x=1.0 is bad in fit",)
        assert trace(drawn, "complete").x == (1, 3)

    def test_what_is_far_off_hides_nothing(self):
        scores = [0.9, 0.92, 0.91, 0.93, -1e6]
        made = measured([({"x": i}, score) for i, score in enumerate(scores)])
        drawn = figures.history(made)
        bottom, top = drawn.layout.yaxis.range
        assert 0 < bottom < 0.9 and 0.93 < top < 1
        assert bottom < trace(drawn, "complete").y[4] < 0.9  # and yet it is there
        assert "-1e+06" in trace(drawn, "complete").text[4]

    def test_minus_infinity_is_a_score_that_cannot_be_drawn(self):
        scores = [-math.inf, 1.0, 2.0]
        made = measured([({"x": i}, score) for i, score in enumerate(scores)])
        assert trace(figures.history(made), "complete").x == (1, 2)


class TestTimeline:
    def test_every_trial_has_its_time(self, conditional):
        drawn = figures.timeline(conditional)
        shown = {line[0][1]: (line[0][0], line[1][0]) for one in drawn.data for line in points(one)}
        trials = conditional.study_.get_trials(deepcopy=False)
        assert shown == {t.number: (t.datetime_start, t.datetime_complete) for t in trials}
        assert {one.name for one in drawn.data} == {"complete", "pruned"}


class TestPrunedFolds:
    def test_lines_are_running_means_and_bars_count_the_ends(self, conditional):
        drawn, results = figures.pruned_folds(conditional), conditional.cv_results_
        splits = np.array([results[f"split{k}_test_score"] for k in range(3)]).T
        n_run = np.sum(~np.isnan(splits), axis=1)
        bars = {one.name: one.y for one in drawn.data if one.type == "bar"}
        pruned = results["trial_state"] == "PRUNED"
        assert bars["complete"] == (0, 0, np.sum(~pruned))
        assert bars["pruned"] == tuple(np.sum(n_run[pruned] == k) for k in (1, 2, 3))
        (best,) = points(next(one for one in drawn.data if one.name == "the best"))
        row = splits[conditional.best_index_]
        assert [y for _, y in best] == pytest.approx([np.mean(row[:k]) for k in (1, 2, 3)])
        assert drawn.layout.xaxis.ticktext == ("1", "2", "3")

    @pytest.mark.parametrize("leads", [True, False])
    def test_steps_may_be_amounts_of_a_resource(self, leads):
        climb = Climb("n_estimators", 9, first_fold_leads=leads)
        rungs = ((1, 0.5), (3, 0.6), (9, 0.7))
        whole = Record({"x": 1.0}, folds(0.7, 0.8, 0.9), rungs=rungs, climb=climb)
        part = Record({"x": 2.0}, folds(0.4, *([None] * 2 if leads else [0.4, 0.4])), True, ((1, 0.4),), climb)
        drawn = figures.pruned_folds(study([trial(0, whole.params, whole, [0.8]), trial(1, part.params, part, [0.4])]))
        steps = ("1", "3", "9", "fold 2", "fold 3") if leads else ("1", "3", "9")
        assert drawn.layout.xaxis.ticktext == steps
        assert drawn.layout.xaxis.title.text == "n_estimators" + " in the first fold, then the others" * leads
        (way,) = points(drawn.data[0])
        assert [y for _, y in way] == pytest.approx([0.5, 0.6, 0.7, 0.75, 0.8][: len(steps)])


@pytest.fixture(scope="module")
def by_goals():
    """Two goals, whose front is known."""
    return search_by_goals(n_trials=20).fit(X, Y)


class TestParetoFront:
    def test_it_is_that_of_the_study(self, by_goals):
        drawn = figures.pareto_front(by_goals)
        best = sorted(t.values for t in by_goals.study_.best_trials)
        shown = trace(drawn, "Pareto front")
        assert sorted(map(list, zip(shown.x, shown.y, strict=True))) == pytest.approx(np.array(best))
        assert len(trace(drawn, "dominated").x) == 20 - len(best)
        assert drawn.layout.xaxis.title.text == "one (more is better)"

    def test_more_goals_are_seen_by_every_two(self, by_goals):
        drawn = figures.pareto_front(by_goals, metrics=["one", "fit_time", "other"])
        titles = [(drawn.layout[f"xaxis{i}"].title.text, drawn.layout[f"yaxis{i}"].title.text) for i in ("", 2, 3)]
        assert [(x.split()[0].strip(","), y.split()[0].strip(",")) for x, y in titles] == [
            ("one", "fit_time"), ("one", "other"), ("fit_time", "other"),
        ]  # fmt: skip
        assert titles[2][0] == "fit_time, seconds (less is better)"
        fronts = [one for one in drawn.data if one.name == "Pareto front"]
        assert len({len(one.x) for one in fronts}) == 1 and all(one.mode == "markers" for one in fronts)
        assert sum(bool(one.showlegend) for one in drawn.data) == 2
        # Two side by side: the titles of three have no room in 500 pixels.
        assert [drawn.layout[f"xaxis{i}"].domain[0] for i in ("", 3)] == [0.0, 0.0]

    def test_equal_trials_are_both_on_it(self):
        rows = [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.5)]
        trials = [trial(i, {"x": i}, Record({"x": i}, folds(a=[a] * 3, b=[b] * 3)), [a, b])
                  for i, (a, b) in enumerate(rows)]  # fmt: skip
        made = study(trials, objective=["a", "b"], scoring={"a": "a", "b": "b"})
        assert len(trace(figures.pareto_front(made), "Pareto front").x) == 3

    def test_of_times_less_is_better(self):
        rows = [(1.0, 1.0), (2.0, 2.0), (1.0, 2.0)]
        records = [Record({"x": i}, (Fold({"a": a}, {}, seconds, 0.0),) * 3) for i, (a, seconds) in enumerate(rows)]
        trials = [trial(i, one.params, one, row) for i, (one, row) in enumerate(zip(records, rows, strict=True))]
        found = facts(study(trials, objective=["a", "fit_time"], scoring={"a": "a"}))
        assert [one.number for one in found.front(*found.goals)] == [0, 1]

    def test_one_goal_makes_none(self, plain):
        with pytest.raises(InvalidRequestError, match=r"has one goal, 'high'.*metrics=\. There are high, low"):
            figures.pareto_front(plain)
        with pytest.raises(InvalidRequestError, match=r"^metrics='high' must be two or more"):
            figures.pareto_front(plain, metrics="high")

    @pytest.mark.parametrize("choices", [[10.0**n for n in range(34, 44)], [10**n for n in range(30, 66, 4)]])
    def test_numbers_may_be_larger_than_a_forest_can_hold(self, choices):
        found = facts(search({"x": [1.0, 2.0], "choice": choices}, n_trials=None, sampler="grid").fit(X, Y))
        shares = importances_of(found, found.metric())
        assert shares["x"] > 0.99 and set(shares) == {"x", "choice"}

    def test_every_goal_has_importances(self, by_goals):
        assert [one.name for one in figures.importances(by_goals).data] == ["one", "other"]
        assert [one.name for one in figures.importances(by_goals, metric="other").data] == ["other"]


class TestImportances:
    def test_they_are_shares_and_the_largest_is_first(self, conditional):
        drawn = figures.importances(conditional)
        (bars,) = drawn.data
        assert sum(bars.x) == pytest.approx(1.0) and list(bars.x) == sorted(bars.x, reverse=True)
        assert set(drawn.layout.yaxis.ticktext) == {"kind", "place", "how far"}

    def test_what_others_depend_on_has_the_credit(self):
        draws = np.random.default_rng(0).uniform(size=60).tolist()
        rows = [({"kind": kind, f"of {kind}": draw}, (kind == "a") + 0.1 * draw)
                for kind, draw in zip("ab" * 30, draws, strict=True)]  # fmt: skip
        found = facts(measured(rows))
        shares = importances_of(found, found.metric())
        assert next(iter(shares)) == "kind" and shares["kind"] > 0.8

    def test_the_one_that_matters_is_found_among_many(self):
        found = facts(large(300))
        shares = importances_of(found, found.metric())
        assert list(shares)[:2] == ["p0", "kind"] and shares["p0"] > 0.9

    def test_what_is_missing_gets_a_value_of_others_always_the_same_one(self):
        for values in ((1.0, 2.0), ("a", "b")):
            parameter = Parameter("x", values + (None,) * 40, isinstance(values[0], float), False)
            there, filled = np.split(_columns(parameter), [2])
            assert {tuple(row) for row in filled} == {tuple(row) for row in there}, "and not all the same one"
            np.testing.assert_array_equal(_columns(parameter)[2:], filled)

    def test_few_trials_say_nothing(self):
        made = measured([({"x": i}, i) for i in range(3)])
        with pytest.raises(NoResultError, match=r"^study_name='made' is too small to tell what matters: it takes 4"):
            figures.importances(made)


class TestSlices:
    def test_points_are_the_trials(self, plain):
        drawn = figures.slices(plain)
        shown = dict(zip(trace(drawn, "complete").x, trace(drawn, "complete").y, strict=True))
        assert shown == pytest.approx(
            {p["x"]: m for p, m in zip(plain.cv_results_["params"], plain.cv_results_["mean_test_high"], strict=True)}
        )
        assert trace(drawn, "the best").x == (plain.best_params_["x"],)

    def test_a_trial_without_the_parameter_is_not_there(self, conditional):
        drawn = figures.slices(conditional, params=["how far", "kind"])
        kinds = [t.params["kind"] for t in conditional.study_.trials if t.state == TrialState.COMPLETE]
        first, second = ([t for t in drawn.data if t.name == "complete" and t.xaxis == axis] for axis in ("x", "x2"))
        assert len(first[0].x) == kinds.count("far") and len(second[0].x) == len(kinds)
        assert drawn.layout.xaxis.type == "log" and drawn.layout.xaxis2.ticktext == ("far", "near")
        assert all(abs(x - round(x)) <= 0.25 for x in second[0].x)  # choices side by side, none with another
        assert len(set(second[0].x)) == len(kinds), "no trial hides another one"

    def test_the_most_important_are_drawn(self):
        drawn = figures.slices(large(200))
        titles = [drawn.layout[axis].title.text for axis in drawn.layout if axis.startswith("xaxis")]
        assert len(titles) == 9 and "p0" in titles

    @pytest.mark.parametrize(
        ("params", "complaint"),
        [(["y"], r"^params='y': no parameter with several values is called so\."), ("x", r"^params='x' must be a list"),
         ([], r"^params=\[\] must be a list")],
    )  # fmt: skip
    @pytest.mark.parametrize("draw", [figures.slices, figures.contours, figures.parallel_coordinates])
    def test_other_parameters_are_refused(self, plain, draw, params, complaint):
        with pytest.raises(InvalidRequestError, match=complaint):
            draw(plain, params=params)


class TestContours:
    def test_the_surface_is_near_what_was_measured(self):
        grid = np.linspace(0, 1, 11)
        points = [(float(a), float(b)) for a in grid for b in grid]
        made = measured([({"a": a, "b": b}, a + 2 * b) for a, b in points])
        surface = figures.contours(made, params=["a", "b"]).data[0]
        assert surface.type == "contour"
        x, y, z = np.array(surface.x), np.array(surface.y), np.array(surface.z, dtype=float)
        inner = (x[None, :] > 0.2) & (x[None, :] < 0.8) & (y[:, None] > 0.2) & (y[:, None] < 0.8)
        assert z[inner] == pytest.approx((x[None, :] + 2 * y[:, None])[inner], abs=0.01)

    def test_where_no_trial_is_near_there_is_no_colour(self):
        corners = [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (1.0, 1.0)]
        made = measured([({"a": a, "b": b}, a) for a, b in corners])
        z = figures.contours(made).data[0].z
        assert z[25][25] is None and z[3][3] is not None and z[-4][-4] is not None

    def test_nothing_is_smoothed_between_choices(self):
        rows = [("a", 1.0, 0.0), ("a", 2.0, 0.0), ("b", 1.0, 1.0), ("b", 2.0, 1.0)]
        made = measured([({"kind": kind, "x": x}, score) for kind, x, score in rows])
        surface = figures.contours(made, params=["x", "kind"]).data[0]
        assert surface.type == "heatmap"
        found = [{z for z in row if z is not None} for row in surface.z]
        assert [[round(min(row), 9), round(max(row), 9)] for row in found] == [[0.0, 0.0], [1.0, 1.0]]

    def test_parameters_that_are_never_together_have_none(self, conditional):
        with pytest.raises(NoResultError, match=r"no contour to draw: no two of the parameters are together in 4"):
            figures.contours(conditional, params=["place", "how far"])
        assert facts(conditional).counts["COMPLETE"] > 8  # `kind` and `place` are, but only for one kind
        with pytest.raises(NoResultError, match="no contour to draw"):
            figures.contours(conditional)


class TestParallelCoordinates:
    def test_a_line_goes_through_the_values_and_below_what_is_absent(self, conditional):
        drawn = figures.parallel_coordinates(conditional, params=["kind", "place", "how far"])
        assert drawn.layout.xaxis.ticktext == ("score", "kind", "place", "how far")
        lines = [[y for _, y in line] for one in drawn.data for line in points(one)]
        complete = [t for t in conditional.study_.trials if t.state == TrialState.COMPLETE]
        assert len(lines) == len(complete)
        lowest, highest = (f([t.params["place"] for t in complete if "place" in t.params]) for f in (min, max))
        expected = sorted((t.params["place"] - lowest) / (highest - lowest) for t in complete if "place" in t.params)
        assert sorted(line[2] for line in lines if line[1] == 1.0) == pytest.approx(expected)  # near is above far
        assert {line[2] for line in lines if line[1] == 0.0} == {line[3] for line in lines if line[1] == 1.0} == {-0.1}
        assert "absent" in [note.text for note in drawn.layout.annotations]

    def test_of_many_choices_an_even_part_is_named(self):
        drawn = figures.parallel_coordinates(measured([({"word": f"w{i:03}"}, i) for i in range(200)]))
        named = [note.text for note in drawn.layout.annotations if note.text.startswith("w")]
        assert len(named) == 24 and {"w000", "w199"} <= set(named)

    def test_a_parameter_may_be_called_like_the_metric(self):
        made = measured([({"score": i}, i) for i in range(3)], scoring="the estimator's own score")
        assert figures.parallel_coordinates(made).layout.xaxis.ticktext == ("score", "score")

    def test_of_many_trials_the_best_are_all_there(self):
        made = large(900)
        drawn = figures.parallel_coordinates(made, params=["p0"])
        shown = {int(one.split("<br>")[0].split()[1]) for t in drawn.data for one in t.text if one}
        best = sorted((t for t in made.trials if t.state == TrialState.COMPLETE), key=lambda t: -t.value)
        assert len(shown) == 400 and {t.number for t in best[:200]} <= shown


@pytest.mark.parametrize(
    ("maximise", "shown"),
    [(True, [0, 4, 8, 12, 16, 17, 18, 19, 20, 21]), (False, [21, 17, 13, 9, 5, 4, 3, 2, 1, 0])],
)
def test_of_many_trials_the_best_half_is_drawn_and_an_even_part_of_the_others(maximise, shown):
    found, metric = facts(measured([({"x": i}, i) for i in range(22)])), Metric("score", "score", maximise)
    assert [one.mean(metric) for one in thinned(found.trials, metric, 10)] == shown


# --- all of them ------------------------------------------------------------------------------------------------------


def texts_in(value):
    """Every text in a figure."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts_in(part)


EVIL = '<img src=x onerror="alert(1)"><a href="javascript:alert(1)">x</a><b>&lt;i&gt; $x$ %{x} \x1b[31m postgresql://me:hunter2@host/db'


@pytest.mark.parametrize("draw", ALL, ids=figures.__all__)
class TestEvery:
    def arguments(self, draw):
        return {"metrics": ["score", "fit_time"]} if draw is figures.pareto_front else {}

    def test_it_takes_a_search_a_study_and_a_name(self, draw, tmp_path):
        path, grid = tmp_path / "s.journal", {"x": [1.0, 2.0, 4.0], "choice": ["a", "b"]}
        fitted = search(grid, storage=path, study_name="s", n_trials=None, sampler=None).fit(X, Y)
        how = self.arguments(draw)
        drawn = [draw(fitted, **how), draw(fitted.study_, **how), draw("s", storage=path, **how)]
        assert drawn[0] == drawn[1] == drawn[2]
        assert "s" in drawn[0].layout.title.text

    def test_hostile_names_are_texts(self, draw):
        def evil_space(trial):
            trial.suggest_categorical(f"{EVIL} kind", [EVIL, "</b>", f"{EVIL}2"])
            return {"x": trial.suggest_float(f"{EVIL} x", 0, 6)}

        fitted = search(evil_space, n_trials=12, study_name=EVIL, storage=InMemoryStorage()).fit(X, Y)
        drawn = json.loads(draw(fitted, **self.arguments(draw)).to_json())
        drawn["layout"].pop("template")
        found = [one.replace("<br>", "").replace("<extra></extra>", "") for one in texts_in(drawn)]
        assert any("\u200b" in one for one in found)
        for one in found:
            # The only templates are ours: of places, numbers and texts.
            one = re.sub(r"%\{(x|y|z|text)(:[.\d~%gdf]+)?\}", "", one)
            assert not re.search(r"<(?!\u200b)|&(?!\u200b)|%(?!\u200b)(?=\{)|\$|\x1b|hunter2", one), one

    def test_without_plotly_it_says_what_to_install(self, draw, monkeypatch):
        points = [(x, peak) for x in (1.0, 2.0) for peak in (5.0, 6.0)]
        made = measured([({"x": x, "peak": peak}, x + peak) for x, peak in points])
        for module in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "plotly", None)
        with pytest.raises(ImportError, match=r"pip install 'optuna-search\[plots\]'"):
            draw(made, **self.arguments(draw))

    def test_a_study_without_a_score_has_nothing_to_show(self, draw):
        with pytest.raises(NoResultError, match=r"^study_name='made' has nothing to|is too small"):
            draw(study([]), **self.arguments(draw))

    def test_other_things_are_refused(self, draw):
        how = self.arguments(draw)
        with pytest.raises(InvalidRequestError, match=r"^'s' is the name of a study: say where it is, with"):
            draw("s", **how)
        with pytest.raises(InvalidRequestError, match=r"^a search of KnownScore is not fitted: call fit\(\) first, or"):
            draw(OptunaSearchCV(KnownScore(), {"x": [1]}), **how)
        with pytest.raises(InvalidRequestError, match=r"^7 is neither a fitted OptunaSearchCV, nor a study"):
            draw(7, **how)
        with pytest.raises(InvalidRequestError, match=r"^storage is for a study that is given by its name"):
            draw(study([]), storage=InMemoryStorage(), **how)
        with pytest.raises(StorageError, match=r"^study_name='s' is not in this storage\."):
            draw("s", storage=InMemoryStorage(), **how)
        with pytest.raises(StorageError, match="is a study that optuna_search did not make"):
            draw(optuna.create_study(), **how)


def test_the_spread_is_one_of_two(plain):
    with pytest.raises(InvalidRequestError, match=r"^spread='std' must be one of 'standard error', 'folds'\.$"):
        figures.history(plain, spread="std")


def test_labels_are_short_and_all_different():
    long = [f"preprocessing__columns__{i}__a_very_long_name" for i in range(3)]
    short = labels(long, 20, keep="end")
    assert len(set(short.values())) == 3 and all(len(one) <= 22 for one in short.values())
    assert labels(["a", "b"]) == {"a": "a", "b": "b"}
    assert text("a", 1) == "a"


CLASSIFIERS = ["LogisticRegression(max_iter=500)", "RandomForestClassifier(n_estimators=10, random_state=0)",
               "SVC(probability=False)"]  # fmt: skip
SCALERS = ["MinMaxScaler()", "QuantileTransformer(n_quantiles=50, output_distribution='normal', random_state=0)",
           "RobustScaler(quantile_range=(10.0, 90.0))", "StandardScaler()", "passthrough"]  # fmt: skip


class TestTexts:
    """Texts of axes have room from 500 pixels on."""

    @pytest.mark.parametrize("choices", [CLASSIFIERS, SCALERS])
    @pytest.mark.parametrize("draw", [figures.slices, figures.contours])
    def test_every_long_choice_is_on_its_axis(self, draw, choices):
        rows = [({"step": choice, "x": x}, x) for choice in choices for x in (1.0, 2.0, 3.0)]
        drawn = draw(measured(rows), params=["step", "x"])
        axis = drawn.layout.xaxis
        assert axis.tickvals == tuple(range(len(choices))) and len(set(axis.ticktext)) == len(choices)
        for choice, label in zip(sorted(choices), axis.ticktext, strict=True):
            start, _, end = label.partition("…")
            assert len(label) <= 22 and choice.startswith(start) and choice.endswith(end)
        # Steep, so that none reaches beyond the figure, nor into another; else plotly leaves them out.
        assert (axis.tickangle, axis.ticklabeloverflow, axis.automargin) == (-60, "allow", True)
        told = "".join(one for found in drawn.data for one in found.text or ())
        assert all(f"step = {choice[:60]}" in told for choice in choices)

    def test_short_choices_are_level(self):
        made = measured([({"kind": kind, "x": i}, i) for i, kind in enumerate(["poly", "rbf", "linear", "sigmoid"])])
        axis = figures.slices(made, params=["kind"]).layout.xaxis
        assert axis.ticktext == ("linear", "poly", "rbf", "sigmoid") and axis.tickangle is None

    @pytest.mark.parametrize(
        ("names", "columns"), [(["a", "b", "c"], 3), (["classifier__max_depth", "b", "c"], 2), (["kind", "b", "c"], 2)]
    )
    def test_fewer_small_figures_stand_side_by_side_where_texts_are_long(self, names, columns):
        rows = [({name: CLASSIFIERS[i % 3] if name == "kind" else i for name in names}, i) for i in range(5)]
        drawn = figures.slices(measured(rows), params=names)
        lefts = {drawn.layout[axis].domain[0] for axis in drawn.layout if axis.startswith("xaxis")}
        assert len(lefts) == columns

    def test_few_values_are_marked_only_if_there_is_room(self):
        drawn = {"C": FloatDistribution(1e-2, 1e2, log=True), "kernel": CategoricalDistribution(["poly", "rbf"])}
        rows = [{"C": C, "kernel": ["poly", "rbf"][i % 2]}
                for i, C in enumerate([0.01456, 0.0174141, 0.284999, 23.7136, 59.4105])]  # fmt: skip
        made = study([trial(i, row, Record(row, folds(1.0, 2.0, 3.0 + i)), [2.0 + i / 3], distributions=drawn)
                      for i, row in enumerate(rows)])  # fmt: skip
        for draw in (figures.slices, figures.contours):
            assert draw(made, params=["C", "kernel"]).layout.xaxis.ticktext == ("0.01", "0.1", "1", "10")
        listed = measured([({"x": x}, x) for x in (1, 2, 5, 10)])
        assert figures.slices(listed).layout.xaxis.tickvals == (1, 2, 5, 10)

    @pytest.mark.parametrize(
        ("low", "high", "marks"),
        [
            (0.01, 0.5, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]),
            (1, 32, ["1", "2", "5", "10", "20"]),
            (1.2e-6, 0.08, ["1e-6", "1e-5", "1e-4", "0.001", "0.01", "0.1"]),
            (1e-9, 1e9, ["1e-5", "1", "1e5"]),
        ],
    )
    def test_logarithms_have_marks_from_which_they_can_be_read(self, low, high, marks):
        values = np.geomspace(low, high, 9).tolist()
        drawn = {"x": FloatDistribution(low, high, log=True)}
        made = study([trial(i, {"x": x}, Record({"x": x}, folds(1.0, 2.0, 3.0 + i)), [2.0 + i / 3], distributions=drawn)
                      for i, x in enumerate(values)])  # fmt: skip
        axis = figures.slices(made).layout.xaxis
        assert axis.type == "log" and list(axis.ticktext) == marks
        assert [float(one) for one in axis.ticktext] == list(axis.tickvals)

    @pytest.mark.parametrize("ends", [(0.4, 0.7), (5e-324, 1e-300), (1e300, 1e308)])
    def test_other_logarithms_are_marked_by_plotly_or_sparsely(self, ends):
        drawn = {"x": FloatDistribution(*ends, log=True)}
        values = np.exp(np.linspace(*np.log(ends), 9)).clip(*ends).tolist()
        made = study([trial(i, {"x": x}, Record({"x": x}, folds(1.0, 2.0, 3.0 + i)), [2.0 + i / 3], distributions=drawn)
                      for i, x in enumerate(values)])  # fmt: skip
        axis = figures.slices(made, params=["x"]).layout.xaxis
        assert axis.nticks == 4 or len(axis.tickvals) > 1

    def test_whole_numbers_have_whole_marks_beside_parallel_coordinates(self):
        made = measured(
            [({"depth": depth, "leaves": 10 * depth + 5, "x": depth / 2}, depth) for depth in (1, 3, 6, 10)]
        )
        notes = [
            note.text for note in figures.parallel_coordinates(made, params=["depth", "leaves", "x"]).layout.annotations
        ]
        assert notes[3:] == ["1", "6", "10", "15", "60", "105", "0.5", "2.75", "5"]

    def test_the_outer_parallel_coordinates_have_room_for_their_titles(self, conditional):
        axis = figures.parallel_coordinates(conditional).layout.xaxis
        assert axis.ticklabeloverflow == "allow"
        assert axis.range[0] < -0.4 and axis.range[1] > len(axis.tickvals) - 0.5


@pytest.mark.parametrize("maximise", [True, False])
def test_an_axis_holds_all_scores_that_are_not_far_off(maximise):
    sign = 1 if maximise else -1
    values = [sign * v for v in (0.1, 0.5, 0.9, 0.95)]
    bottom, top = window(values, maximise=maximise)
    assert bottom < min(values) and max(values) < top
    assert window([], maximise=maximise) == (0.0, 1.0)
    assert window([1.0, 1.0])[0] < 1.0 < window([1.0, 1.0])[1]


def test_a_record_of_nonsense_is_text_or_nothing():
    odd = {"a": 10**400, "b": ["list"], "c": float("inf"), "d": True}
    stored = {"a": "x", "b": "y", "c": "z", "d": "w"}
    made = study([trial(0, stored, Record(odd, folds(1.0, 2.0, 3.0)), [2.0])])
    found = facts(made)
    assert found.trials[0].params == stored
