"""Several goals: what is pursued, the Pareto front, who wins, and what is refused."""

import itertools
import pickle
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.pruners import ThresholdPruner
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from optuna_search import OptunaSearchCV, one_standard_error, studies
from optuna_search.__main__ import main
from optuna_search._fork import _best_first
from optuna_search._goals import fronts, goals_in, named_by, objective_of
from optuna_search._kept import Kept
from optuna_search._propose import _worth_knowing
from optuna_search.exceptions import InvalidRequestError, NoResultError, StudyMismatchError

X, Y = load_iris(return_X_y=True)
SPACE = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}


class TwoScores(ClassifierMixin, BaseEstimator):
    """Is worth `x` by the one metric and ``1 - x - y`` by the other; ``y = 0`` makes the Pareto front."""

    def __init__(self, x=0.0, y=0.0, seconds=0.0):
        self.x = x
        self.y = y
        self.seconds = seconds

    def fit(self, X, y=None):
        self.classes_ = np.unique(y)
        time.sleep(self.seconds)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y=None):
        return self.x


def one(estimator, X, y=None):
    return estimator.x


def other(estimator, X, y=None):
    return 1.0 - estimator.x - estimator.y


def both(estimator, X, y=None):
    return {"one": one(estimator, X), "other": other(estimator, X)}


def not_for_all(estimator, X, y=None):
    return np.nan if estimator.x > 0.5 else 1.0


METRICS = {"one": one, "other": other}


def search(space=SPACE, **how):
    how = {
        "n_trials": 12, "cv": 2, "scoring": METRICS, "refit": "one", "objectives": ["one", "other"], "random_state": 0,
    } | how  # fmt: skip
    return OptunaSearchCV(TwoScores(), space, **how)


def by_hand(rows):
    """The rows that none is better than in one respect, and as good in all others."""

    def dominates(a, b):
        return all(p >= q for p, q in zip(a, b, strict=True)) and a != b

    return [i for i, row in enumerate(rows) if not any(dominates(other, row) for other in rows)]


# --- the front --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, "tpe", "random", "qmc", "nsgaii", "nsgaiii"])
def test_the_front_is_what_no_other_trial_dominates(sampler):
    fitted = search(sampler=sampler).fit(X, Y)
    rows = [(r["one"], r["other"]) for r in (leader.metrics for leader in fitted.top_n_)]
    expected = sorted(fitted.top_n_[i].trial_number for i in by_hand(rows))
    assert sorted(leader.trial_number for leader in fitted.pareto_front_) == expected
    assert sorted(trial.number for trial in fitted.study_.best_trials) == expected


def test_a_sampler_of_several_goals_gets_to_the_front():
    """Where `y` is 0; what is drawn at random is 0.5 in the middle."""
    fitted = search(sampler="nsgaii", n_trials=200).fit(X, Y)
    late = [params["y"] for params in fitted.cv_results_["params"][-50:]]
    assert np.median(late) < 0.25


def test_what_it_knew_when_it_goes_on_has_offspring():
    """Trials that a genetic search was not asked for itself are of its generations, too."""
    storage = InMemoryStorage()
    for n_trials in (110, 220):
        fitted = search(sampler="nsgaii", n_trials=n_trials, storage=storage, study_name="in parts").fit(X, Y)
    late = [params["y"] for params in fitted.cv_results_["params"][-50:]]
    assert np.median(late) < 0.25


def test_times_are_less_the_better_they_are():
    fitted = search({"seconds": [0.0, 0.02], "x": [0.0, 0.5]}, objectives=["one", "fit_time"]).fit(X, Y)
    assert fitted.study_.directions == [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    front = fitted.pareto_front_
    assert {leader.params["seconds"] for leader in front} == {0.0}
    np.testing.assert_allclose(
        [leader.metrics["fit_time"] for leader in front],
        [fitted.cv_results_["mean_fit_time"][leader.trial_number] for leader in front],
    )
    quickest = fitted.top_n_(by="fit_time")
    assert quickest.metric == "fit_time"
    assert [leader.score for leader in quickest] == sorted(fitted.cv_results_["mean_fit_time"])
    assert [leader.rank for leader in quickest] == [1, 2, 3, 4]
    assert fitted.pareto_front_(by="fit_time")[0] in quickest[:2]


def test_one_time_may_be_all_that_is_pursued():
    fitted = search({"seconds": [0.0, 0.03], "x": [0.0, 0.5]}, objectives=["fit_time"], scoring=None, refit=True)
    fitted.fit(X, Y)
    assert fitted.study_.direction == optuna.study.StudyDirection.MINIMIZE
    assert fitted.study_.best_trial.params["seconds"] == "0.0"
    assert fitted.best_params_["x"] == 0.5  # refit goes by the score


def test_of_a_long_search_for_one_time_the_sampler_keeps_the_quickest():
    trials = [create_trial(state=TrialState.COMPLETE, values=[float(n % 300)]) for n in range(500)]
    for number, trial in enumerate(trials):
        trial.number = number
    kept = [trial.values[0] for trial in _worth_knowing(trials, goals_in(["fit_time"]))]
    assert sorted(kept)[:50] == [float(n // 2) for n in range(50)]


def test_of_what_else_a_sampler_knew_it_keeps_an_even_part():
    trials = [create_trial(state=TrialState.COMPLETE, values=[float(n)]) for n in range(500)]
    for number, trial in enumerate(trials):
        trial.number = number
    kept = [trial.number for trial in _worth_knowing(trials, goals_in("score"))]
    assert len(kept) == 250 and kept[-50:] == list(range(450, 500))
    assert kept[0] == 0 and np.max(np.diff(kept)) == 3, "200 of 450, none of them far from the next one"


def test_a_grid_of_several_goals_is_the_grid_of_grid_search():
    grid = {"x": [0.1, 0.4, 0.2], "y": [0.0, 0.3]}
    ours = search(grid, n_trials=None).fit(X, Y)
    theirs = GridSearchCV(TwoScores(), grid, scoring=METRICS, refit="one", cv=2).fit(X, Y)
    for key in (key for key in theirs.cv_results_ if "time" not in key and key != "params"):
        np.testing.assert_array_equal(ours.cv_results_[key], theirs.cv_results_[key], key)
    assert ours.best_params_ == theirs.best_params_
    assert {leader.params["y"] for leader in ours.pareto_front_} == {0.0}


def test_there_is_a_front_only_with_several_goals():
    fitted = search(objectives=None, n_trials=2)
    assert not hasattr(fitted, "pareto_front_")
    fitted.fit(X, Y)
    with pytest.raises(AttributeError, match=r"pareto_front_ is there with several objectives; see top_n_ for 'one'"):
        _ = fitted.pareto_front_


def test_a_trial_without_a_score_by_every_goal_has_failed_and_is_not_on_the_front():
    fitted = search(scoring={"one": one, "some": not_for_all}, objectives=["some", "one"], n_trials=10)
    with pytest.warns(UserWarning, match="One or more of the test scores are non-finite"):
        fitted.fit(X, Y)
    results = fitted.cv_results_
    assert ((results["trial_state"] == "FAIL") == (results["param_x"].astype(float) > 0.5)).all()
    assert all(leader.params["x"] <= 0.5 for leader in fitted.pareto_front_)
    # By the other metric it is the best, and still it is not on the board and does not win.
    assert max(results["split0_test_one"]) > 0.5 >= fitted.best_params_["x"]
    assert all(leader.params["x"] <= 0.5 for leader in fitted.top_n_(by="one"))
    assert fitted.top_n_(by="one")[0].rank == 1
    failed = next(trial for trial in fitted.study_.trials if trial.params["x"] > 0.5)
    assert failed.user_attrs["failure"].startswith("non-finite score: some=[nan")


def test_where_no_trial_has_a_score_by_every_goal_nothing_wins():
    nowhere = {"x": [0.7, 0.8]}
    fitted = search(nowhere, scoring={"one": one, "some": not_for_all}, objectives=["some", "one"])
    with (
        pytest.warns(UserWarning, match="One or more of the test scores are non-finite"),
        pytest.raises(NoResultError, match="Not one of 2 trials has a score by each of the 2 objectives"),
    ):
        fitted.fit(X, Y)
    assert not fitted.top_n_ and not fitted.pareto_front_


def test_a_board_is_sorted_by_the_name_of_the_one_scorer_and_by_times():
    fitted = OptunaSearchCV(TwoScores(), {"x": [0.1, 0.4, 0.2]}, scoring="accuracy", cv=2).fit(X, Y)
    assert fitted.top_n_(by="accuracy") == fitted.top_n_(by="score") == fitted.top_n_
    quickest = fitted.top_n_(by="fit_time")
    assert [one.score for one in quickest] == sorted(fitted.cv_results_["mean_fit_time"])
    assert set(quickest[0].metrics) == {"score"} and "fit_time" in repr(quickest)
    with pytest.raises(InvalidRequestError, match="there are: accuracy, fit_time, score_time, score"):
        fitted.top_n_(by="f1")


def test_what_was_pruned_or_has_failed_is_on_no_board_however_quick_it_was():
    pruner = ThresholdPruner(lower=0.2)
    fitted = OptunaSearchCV(TwoScores(), {"x": [0.1, 0.4, np.nan, 0.3]}, cv=2, pruner=pruner)
    with pytest.warns(UserWarning, match="One or more of the test scores are non-finite"):
        fitted.fit(X, Y)
    assert list(fitted.cv_results_["trial_state"]) == ["PRUNED", "COMPLETE", "FAIL", "COMPLETE"]
    for by in ("fit_time", "score_time"):
        quickest = fitted.top_n_(by=by)
        assert [leader.rank for leader in quickest] == [1, 2]
        assert {leader.trial_number for leader in quickest} == {1, 3}


def test_fronts_come_one_after_the_other():
    values = np.array([[3, 1], [2, 2], [1, 3], [2, 1], [1, 2], [1, 1], [3, 1]])
    assert fronts(values, goals_in(["a", "b"])).tolist() == [0, 0, 0, 1, 1, 2, 0]
    assert fronts(values[:3] * [1, -1], goals_in(["a", "fit_time"])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("objective", ["score", "fit_time", ["fit_time"], ["a", "score_time"], ["a", "b"]], ids=str)
def test_goals_survive_the_record_of_a_study(objective):
    goals = goals_in(objective)
    assert objective_of(goals) == objective
    assert [goal.is_time for goal in goals] == [isinstance(objective, list) and "time" in g.name for g in goals]
    assert named_by(goals_in("the first metric"), ["b", "a"])[0].name == "b"


# --- the winner -------------------------------------------------------------------------------------------------------


def cheapest(results):
    return int(np.argmin(results["mean_fit_time"]))


def test_refit_names_a_metric_or_picks_a_row():
    named = search(refit="other").fit(X, Y)
    assert named.best_index_ == np.argmax(named.cv_results_["mean_test_other"])
    assert named.top_n_.metric == named.pareto_front_.metric == "other"
    picked = search(refit=cheapest).fit(X, Y)
    assert picked.best_index_ == cheapest(picked.cv_results_)
    assert picked.best_estimator_.get_params() == TwoScores(**picked.best_params_).get_params()
    none = search(refit=False).fit(X, Y)
    assert not hasattr(none, "best_index_") and len(none.pareto_front_) > 0


def test_one_scorer_that_gives_several_metrics_is_pursued_by_their_names():
    fitted = search(scoring=both, refit="other").fit(X, Y)
    assert sorted(leader.trial_number for leader in fitted.pareto_front_) == sorted(
        trial.number for trial in fitted.study_.best_trials
    )
    assert fitted.best_index_ == np.argmax(fitted.cv_results_["mean_test_other"])


# --- a study of several goals -----------------------------------------------------------------------------------------


def test_a_study_of_several_goals_goes_on_and_is_read_back(storage):
    first = search(storage=storage, study_name="two", n_trials=6).fit(X, Y)
    if storage is None:
        storage = first.study_._storage
    more = search(storage=storage, study_name="two", n_trials=9).fit(X, Y)
    assert more.n_trials_ == 9
    np.testing.assert_array_equal(more.cv_results_["mean_test_one"][:6], first.cv_results_["mean_test_one"])
    read = OptunaSearchCV.from_study("two", storage, TwoScores(), SPACE, refit="one")
    assert read.pareto_front_ == more.pareto_front_
    assert read.best_params_ == more.best_params_
    with pytest.raises(StudyMismatchError, match=r'objective: the study has \["one", "other"\], given is other'):
        search(storage=storage, study_name="two", objectives=["other"]).fit(X, Y)


def test_tools_of_optuna_name_the_goals(storage):
    fitted = search(objectives=["one", "fit_time"], storage=storage, study_name="named").fit(X, Y)
    assert fitted.study_.metric_names == ["one", "fit_time"]
    axes = optuna.visualization.plot_pareto_front(fitted.study_).layout
    assert (axes.xaxis.title.text, axes.yaxis.title.text) == ("one", "fit_time")


def test_a_study_of_several_goals_is_copied_exported_and_compared(tmp_path, capsys):
    path = str(tmp_path / "s.db")
    fitted = search(storage=path, study_name="two", n_trials=4).fit(X, Y)
    studies.copy_study("two", "three", path, new_storage=str(tmp_path / "s.journal"))
    copied = studies.load_study("three", str(tmp_path / "s.journal"))
    assert [trial.values for trial in copied.trials] == [trial.values for trial in fitted.study_.trials]
    studies.export_study("two", str(tmp_path / "two.study"), path)
    studies.import_study(str(tmp_path / "two.study"), str(tmp_path / "other.db"))
    assert studies.load_study("two", str(tmp_path / "other.db")).directions == fitted.study_.directions
    studies.export_study("two", str(tmp_path / "two.csv"), path)
    capsys.readouterr()
    assert main(["--storage", path, "top", "two", "-n", "9", "--front"]) == 0
    assert capsys.readouterr().out == f"{fitted.pareto_front_}\n"
    assert main(["--storage", path, "top", "two"]) == 0
    assert main(["--storage", path, "show", "two"]) == 0
    assert "objective  " in (said := capsys.readouterr().out) and "['one', 'other']" in said
    assert studies.list_studies(path)[0].best_score is None


def test_a_fitted_search_keeps_its_front_in_a_pickle_and_loses_it_in_a_clone():
    fitted = search(n_trials=5).fit(X, Y)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.pareto_front_ == fitted.pareto_front_
    assert not hasattr(clone(fitted), "pareto_front_")


def test_workers_and_processes_change_nothing_of_the_front():
    fitted = search(n_jobs=2, n_trials=8).fit(X, Y)
    assert sorted(leader.trial_number for leader in fitted.pareto_front_) == sorted(
        trial.number for trial in fitted.study_.best_trials
    )


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.permutations([None, ["one", "other"], ["other", "fit_time"]], 2)), ids=str
)
def test_a_fork_that_pursues_something_else_carries_every_score(before, after):
    parent = search(objectives=before, n_trials=5).fit(X, Y)
    child = parent.fork({}, objectives=after, n_trials=2).fit(X, Y)
    assert len(child.fork_report_.carried) == 5
    asked = after or ["one"]
    for old, new in zip(parent.study_.trials, child.study_.trials[:5], strict=True):
        row = {"one": new.params["x"], "other": 1 - new.params["x"] - new.params["y"]}
        row["fit_time"] = parent.cv_results_["mean_fit_time"][old.number]
        assert new.values == pytest.approx([row[name] for name in asked])


def test_what_failed_by_one_goal_may_be_carried_into_a_search_for_another():
    parent = search(scoring={"one": one, "some": not_for_all}, objectives=["some"], n_trials=6)
    with pytest.warns(UserWarning, match="One or more of the test scores are non-finite"):
        parent.fit(X, Y)
    child = parent.fork({}, objectives=["one"], n_trials=1)
    with pytest.warns(UserWarning, match="One or more of the test scores are non-finite"):
        child.fit(X, Y)
    assert set(parent.cv_results_["trial_state"]) == {"COMPLETE", "FAIL"}
    assert {trial.state.name for trial in child.study_.trials} == {"COMPLETE"}
    assert not any("failure" in trial.user_attrs for trial in child.study_.trials)


def test_other_data_have_the_front_of_the_parent_tried_first():
    parent = search(n_trials=12).fit(X, Y)
    child = parent.fork({}, n_trials=len(parent.pareto_front_)).fit(X[:100], Y[:100])
    assert {point.trial_number for point in child.fork_report_.retried} >= {
        leader.trial_number for leader in parent.pareto_front_
    }


def test_trials_of_one_front_are_told_by_the_first_goal_be_it_a_time_or_a_score():
    def in_order(objectives, *rows):
        trials = [create_trial(state=TrialState.COMPLETE, values=values) for values in rows]
        kept = [Kept(trial, None) for trial in [create_trial(state=TrialState.FAIL), *trials]]
        return _best_first(kept, goals_in(objectives))

    # The one that has failed is the first, the last one is dominated.
    assert in_order(["fit_time", "a"], [3, 3], [1, 1], [2, 2], [2, 1]) == [2, 3, 1, 4]
    assert in_order(["a", "fit_time"], [3, 3], [1, 1], [2, 2], [1, 2]) == [1, 3, 2, 4]


# --- watching it ------------------------------------------------------------------------------------------------------


def test_the_bar_counts_equals_on_the_front(capfd):
    fitted = search({"x": [0.1, 0.1, 0.2], "y": [0.0, 0.0, 0.5]}, n_trials=None, verbose=1).fit(X, Y)
    assert (
        len(fitted.pareto_front_) == len(fitted.study_.best_trials) > len({one.score for one in fitted.pareto_front_})
    )
    assert f"front of {len(fitted.pareto_front_)}" in capfd.readouterr().err.splitlines()[-1]


def test_the_bar_shows_how_many_trials_are_on_the_front(capfd):
    fitted = search(n_trials=6, verbose=1).fit(X, Y)
    last = capfd.readouterr().err.splitlines()[-1].rpartition("\r")[2]
    assert f"TwoScores front of {len(fitted.pareto_front_)} " in last
    assert "6/6" in last


def test_a_line_tells_each_goal_and_the_least_time_is_the_best(capfd):
    search({"x": [0.25], "y": [0.5]}, n_trials=1, verbose=2).fit(X, Y)
    assert capfd.readouterr().err.startswith("trial 0: one 0.25, other 0.25 with x=0.25, y=0.5 (")
    fitted = search({"seconds": [0.03, 0.0]}, objectives=["fit_time"], n_trials=None, verbose=2).fit(X, Y)
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("trial 1: fit_time 0.")
    assert f"best {fitted.cv_results_['mean_fit_time'].min():.6g}, 2/2 done" in last


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"pruner": "median"}, r"pruner='median' compares trials by one metric; with objectives=\['one', 'other'\]"),
        ({"pruner": "racing", "objectives": ["fit_time"]}, r"pruner='racing' compares trials by one metric"),
        ({"resource": "n_samples"}, r"resource='n_samples' is for pruning, which goes by one metric"),
        ({"sampler": optuna.samplers.CmaEsSampler()}, r"pursues one goal; for objectives=\['one', 'other'\] there are"),
        ({"objectives": ["one", "speed"]}, r"'speed' is not a metric of scoring; there are one, other, fit_time"),
        ({"objectives": ["one", "one"]}, r"names 'one' twice"),
        (
            {"scoring": one, "objectives": ["two", "fit_time"], "refit": True},
            r"'two' is not a metric.* there are score,",
        ),
        ({"scoring": "f1", "objectives": ["f1", "score"]}, r"names 'f1' twice: it is 'score' as well"),
        ({"scoring": "f1", "objectives": ["f1", "fit_time"], "refit": "fit_time"}, r"refit='fit_time' is not a metric"),
        (
            {"scoring": None, "objectives": ["f1", "fit_time"]},
            r"'f1' is not a metric .* Name others in scoring as well",
        ),
        ({"refit": one_standard_error}, r"does not say by which of 2 metrics \(one, other\)"),
        ({"refit": one_standard_error.by("ohter")}, r"there is no such metric. Did you mean 'other'"),
        ({"scoring": "f1", "objectives": None, "refit": one_standard_error.by("f1")}, r"There are: 'score'"),
        (
            {"scoring": {"one": one, "fit_time": other}, "objectives": ["one", "fit_time"]},
            r"'fit_time' is a time, and a metric of scoring as well; give the metric another name",
        ),
    ],
    ids=range(14),
)
def test_what_cannot_be_pursued_is_refused_before_the_first_fit(how, said):
    made = search(**how)
    with pytest.raises(InvalidRequestError, match=said):
        made.fit(X, Y)
    assert not getattr(made, "n_trials_", 0)


def test_a_metric_that_is_called_like_a_time_is_a_metric_where_it_is_pursued_by_refit():
    scoring = {"fit_time": one, "other": other}
    fitted = search(scoring=scoring, refit="fit_time", objectives=None, n_trials=3).fit(X, Y)
    assert fitted.study_.directions == [optuna.study.StudyDirection.MAXIMIZE]
    assert fitted.best_score_ == max(fitted.cv_results_["param_x"])


def test_a_budget_of_fits_does_not_race_where_there_are_several_goals():
    fitted = search(n_trials=None, n_fits=10).fit(X, Y)
    assert fitted.n_trials_ == 5
    assert set(fitted.cv_results_["trial_state"]) == {"COMPLETE"}
