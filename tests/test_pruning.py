"""Pruning over folds: who is asked when, what is kept of a trial that ends early, and that it never wins."""

import collections
import json
import math
from fractions import Fraction

import joblib
import numpy as np
import optuna
import pytest
from estimators import FailsOn, KnownScore
from optuna.distributions import FloatDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, ThresholdPruner, WilcoxonPruner
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV
from optuna_search._prune import NAMES, Pruning, steps_of
from optuna_search._record import Climb, Fold, Record, decode, encode
from optuna_search._verdict import Verdict, curve
from optuna_search.exceptions import InvalidRequestError, NoResultError, StorageError
from optuna_search.pruners import RacingPruner

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(40, 2)), np.arange(40) % 2
GRID = {"x": [2.0, 3.0, 5.0, 3.5, 0.0, 2.9]}
LINE = {"x": FloatDistribution(0, 6)}
CANCER = load_breast_cancer(return_X_y=True)
SVCS = {"C": FloatDistribution(1e-2, 1e3, log=True), "gamma": FloatDistribution(1e-7, 1e-2, log=True)}


def search(space=GRID, estimator=None, **params):
    params = {"cv": 4, "random_state": 0, **params}
    return OptunaSearchCV(estimator or KnownScore(), space, **params)


class PrunesBelow(BasePruner):
    """Prunes what has come to less than a score after some steps, and notes what it was asked."""

    def __init__(self, score, after=1, asked=None):
        self.score, self.after, self.asked = score, after, asked

    def prune(self, study, trial):
        if self.asked is not None:
            self.asked.append((trial.number, trial.last_step, trial.intermediate_values[trial.last_step]))
        return trial.last_step >= self.after and trial.intermediate_values[trial.last_step] < self.score

    def __deepcopy__(self, memo):
        return type(self)(self.score, self.after, self.asked)  # the notes are shared


def run_of(results, n_splits=4):
    """How many folds of each row were run."""
    return np.sum([np.isfinite(results[f"split{i}_test_score"]) for i in range(n_splits)], axis=0)


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_pruned_trial_keeps_the_folds_that_it_ran_and_never_wins():
    found = search(pruner=PrunesBelow(8.0, after=2)).fit(X, Y)
    results, full = found.cv_results_, GridSearchCV(KnownScore(), GRID, cv=4).fit(X, Y).cv_results_
    pruned = np.array([x in (5.0, 0.0) for x in GRID["x"]])
    assert results["trial_state"].tolist() == ["PRUNED" if one else "COMPLETE" for one in pruned]
    assert run_of(results).tolist() == [2 if one else 4 for one in pruned]
    for split in range(4):
        key = f"split{split}_test_score"
        ran = ~pruned | (split < 2)
        assert np.array_equal(results[key][ran], full[key][ran]) and np.isnan(results[key][~ran]).all()
        assert np.isnan(results[f"split{split}_test_score"][~ran]).all()
    assert np.isnan(results["mean_test_score"][pruned]).all() and np.isnan(results["std_test_score"][pruned]).all()
    assert np.array_equal(results["mean_test_score"][~pruned], full["mean_test_score"][~pruned])
    assert results["rank_test_score"].tolist() == [4, 1, 5, 3, 5, 2]
    assert found.best_params_ == {"x": 3.0} and found.best_score_ == full["mean_test_score"].max()
    assert {leader.params["x"] for leader in found.top_n_} == {2.0, 3.0, 3.5, 2.9}
    assert found.n_trials_ == 6


def test_the_study_has_pruned_trials_with_the_mean_of_what_they_ran():
    found = search(pruner=PrunesBelow(8.0, after=2)).fit(X, Y)
    pruned = [trial for trial in found.study_.trials if trial.state == TrialState.PRUNED]
    assert [trial.params["x"] for trial in pruned] == ["5.0", "0.0"]
    for trial in pruned:
        scores = [found.cv_results_[f"split{i}_test_score"][trial.number] for i in range(2)]
        assert trial.value == pytest.approx(np.mean(scores))
    assert found.study_.best_trial.number == found.best_trial_.number == 1


def test_train_scores_of_a_pruned_row_are_those_of_its_folds():
    results = search(pruner=PrunesBelow(8.0), return_train_score=True).fit(X, Y).cv_results_
    row = GRID["x"].index(5.0)
    assert np.isfinite(results["split0_train_score"][row]) and np.isnan(results["split1_train_score"][row])
    assert np.isnan(results["mean_train_score"][row]) and np.isfinite(results["mean_train_score"][0])


def test_several_metrics_are_pruned_by_the_one_that_is_pursued():
    asked = []
    how = {"scoring": {"a": KnownScore.score, "b": lambda model, X, y: -model.x}, "refit": "b"}
    found = search(pruner=PrunesBelow(-4.0, asked=asked), **how).fit(X, Y)
    assert found.best_params_ == {"x": 0.0}
    assert [value for number, step, value in asked if step == 1] == [-x for x in GRID["x"]]
    assert np.isnan(found.cv_results_["mean_test_a"][2]) and np.isfinite(found.cv_results_["split0_test_a"][2])


def test_duplicates_in_a_grid_are_pruned_together():
    found = search({"x": [3.0, 5.0, 5.0]}, pruner=PrunesBelow(8.0)).fit(X, Y)
    assert found.cv_results_["trial_state"].tolist() == ["COMPLETE", "PRUNED", "PRUNED"]
    assert run_of(found.cv_results_).tolist() == [4, 1, 1]


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_fold_that_fails_ends_its_trial():
    with pytest.warns(Warning, match="1 fits failed out of a total of"):
        found = search({"x": [3.0, 1.0, 2.0]}, FailsOn(bad=(1.0,)), pruner=PrunesBelow(-math.inf)).fit(X, Y)
    assert found.cv_results_["trial_state"].tolist() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert run_of(found.cv_results_).tolist() == [4, 0, 4]
    assert found.study_.trials[1].user_attrs["failure"] == "ValueError: x=1.0 is bad in fit"


def test_a_failed_fold_with_a_score_of_its_own_goes_on():
    made = search({"x": [3.0, 1.0]}, FailsOn(bad=(1.0,)), pruner=PrunesBelow(-math.inf), error_score=-9.0)
    with pytest.warns(Warning, match="fits failed out of a total of"):
        found = made.fit(X, Y)
    assert found.cv_results_["mean_test_score"][1] == -9.0


@pytest.mark.parametrize("refit", [True, False])
def test_a_search_in_which_everything_was_pruned_has_no_result(refit):
    with pytest.raises(NoResultError, match=r"^Not one of 6 trials was completed: pruner has ended 6 of them\. "):
        search(pruner=PrunesBelow(100.0), refit=refit).fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_what_failed_does_not_win_where_everything_else_was_pruned():
    made = search({"x": [1.0, 2.0, 3.0]}, FailsOn(bad=(1.0,)), pruner=PrunesBelow(100.0))
    with pytest.raises(NoResultError, match=r"of 3 trials was completed: pruner has ended 2 of them, and the others"):
        made.fit(X, Y)


def test_a_refit_function_may_not_choose_a_pruned_row():
    with pytest.raises(NoResultError, match=r"chose row 2 of cv_results_, which was pruned and has no mean; only"):
        search(pruner=PrunesBelow(8.0), refit=lambda results: 2).fit(X, Y)


# --- who is asked, and when -------------------------------------------------------------------------------------------


def test_the_pruner_sees_the_running_mean_after_each_fold_but_the_last():
    asked = []
    found = search({"x": [3.0, 1.0]}, pruner=PrunesBelow(-math.inf, asked=asked)).fit(X, Y)
    scores = [[found.cv_results_[f"split{i}_test_score"][row] for i in range(4)] for row in range(2)]
    expected = [(row, k, np.mean(scores[row][:k])) for row in range(2) for k in (1, 2, 3)]
    # The last step is shown as well: pruners learn from it how complete trials went.
    seen = [one for one in asked if one[1] < 4]
    assert seen == [(row, k, pytest.approx(mean)) for row, k, mean in expected]


def test_wilcoxon_sees_the_score_of_each_fold():
    seen = []

    class Watched(WilcoxonPruner):
        def prune(self, study, trial):
            seen.append(trial.intermediate_values[trial.last_step])
            return False

    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        pruner = Watched()
    found = search({"x": [3.0]}, pruner=pruner).fit(X, Y)
    assert seen == [found.cv_results_[f"split{i}_test_score"][0] for i in range(4)]


def test_the_pruner_that_is_given_never_changes():
    pruner = MedianPruner(n_startup_trials=2)
    before = dict(vars(pruner))
    one = search(LINE, pruner=pruner, n_trials=20).fit(X, Y)
    assert vars(pruner) == before and one.pruner is pruner


def test_what_a_pruner_raises_comes_out_and_leaves_what_is_finished():
    class Breaks(BasePruner):
        def prune(self, study, trial):
            if trial.number == 2:
                raise ZeroDivisionError("no steps")
            return False

    made = search(pruner=Breaks())
    with pytest.raises(ZeroDivisionError, match=r"^no steps$"):
        made.fit(X, Y)
    assert made.n_trials_ == 2 and made.best_params_ == {"x": 3.0}
    assert TrialState.RUNNING not in {trial.state for trial in made.study_.trials}


@pytest.mark.filterwarnings("ignore:.*normal approximation")  # SciPy 1.9 says so of few folds
@pytest.mark.parametrize("name", NAMES)
def test_every_pruner_goes_by_its_name(name):
    how = {"n_trials": 25, "cv": KFold(5, shuffle=True, random_state=0)}
    found = search(SVCS, SVC(), pruner=name, **how).fit(*CANCER)
    states = collections.Counter(found.cv_results_["trial_state"])
    assert states["COMPLETE"] >= 1 and sum(states.values()) == 25
    assert states["PRUNED"] >= 1
    assert np.isfinite([found.cv_results_[f"split{i}_test_score"][found.best_index_] for i in range(5)]).all()


def test_the_threshold_is_what_a_guess_comes_to():
    found = search(SVCS, SVC(), pruner="threshold", n_trials=20, scoring="balanced_accuracy").fit(*CANCER)
    first = found.cv_results_["split0_test_score"]
    pruned = found.cv_results_["trial_state"] == "PRUNED"
    assert pruned.any() is not None and (first[pruned & (run_of(found.cv_results_) == 1)] < 0.5).all()
    assert (first[~pruned] >= 0.5).all()


def test_where_no_guess_has_a_score_the_threshold_is_asked_for():
    with pytest.raises(
        InvalidRequestError, match=r"^pruner='threshold' ends what is worse than a guess .*lower=\.\.\."
    ):
        OptunaSearchCV(KMeans(n_init=1), {"n_clusters": [2, 3]}, pruner="threshold").fit(X)


def test_a_number_of_fits_is_spent_on_further_candidates():
    raced = search(SVCS, SVC(), n_fits=100).fit(*CANCER)
    n_run = run_of(raced.cv_results_).sum()
    assert 100 <= n_run < 104
    assert raced.n_trials_ > 35  # 25 without pruning
    whole = search(SVCS, SVC(), n_fits=100, pruner=NopPruner()).fit(*CANCER)
    assert whole.n_trials_ == 25 and set(whole.cv_results_["trial_state"]) == {"COMPLETE"}


def test_nothing_is_pruned_that_nobody_asked_for():
    for how in ({"n_trials": 15}, {"n_fits": 60, "sampler": "random"}):
        assert set(search(LINE, **how).fit(X, Y).cv_results_["trial_state"]) == {"COMPLETE"}
    assert set(search(n_fits=12).fit(X, Y).cv_results_["trial_state"]) == {"COMPLETE"}  # a grid, row for row


# --- what is measured is the same wherever it runs --------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_prune_what_one_would(backend):
    how = {"pruner": ThresholdPruner(lower=8.0)}
    one = search(**how).fit(X, Y).cv_results_
    with joblib.parallel_config(backend):
        many = search(n_jobs=2, **how).fit(X, Y).cv_results_
    for key in (key for key in one if "time" not in key):
        assert np.array_equal(one[key], many[key], equal_nan=key.startswith(("split", "mean", "std"))), key


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_continued_search_has_what_one_has_that_was_not_stopped(storage, timeout):
    how = {"storage": storage, "pruner": "racing", "study_name": "raced", "sampler": "qmc"}
    first = search(SVCS, SVC(), n_trials=8, **how).fit(*CANCER)
    found = search(SVCS, SVC(), n_trials=20, timeout=timeout, **how).fit(*CANCER)
    assert found.n_trials_ == 20 or storage is None
    if storage is None:
        return
    assert np.array_equal(found.cv_results_["trial_state"][:8], first.cv_results_["trial_state"])
    again = OptunaSearchCV.from_study("raced", storage, SVC(), SVCS)
    for key, column in found.cv_results_.items():
        if key.startswith(("split", "mean", "rank", "trial")):
            equal_nan = column.dtype.kind == "f"
            assert np.array_equal(again.cv_results_[key], column, equal_nan=equal_nan), key
    assert {"COMPLETE", "PRUNED"} == set(found.cv_results_["trial_state"])


def test_a_continued_race_knows_how_the_others_went_on():
    how = {"storage": InMemoryStorage(), "study_name": "race", "pruner": "racing", "sampler": "grid"}
    grid = {"x": [3.0, 2.9, 0.0]}
    assert set(search(grid, n_trials=2, **how).fit(X, Y).cv_results_["trial_state"]) == {"COMPLETE"}
    found = search(grid, n_trials=3, **how).fit(X, Y)
    assert found.cv_results_["trial_state"].tolist() == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert run_of(found.cv_results_).tolist() == [4, 4, 1]


def test_a_fork_takes_pruned_trials_along():
    before = search(pruner=PrunesBelow(8.0)).fit(X, Y)
    after = before.fork({"x": [5.0, 3.0, 1.0]}, pruner=None).fit(X, Y)
    states = dict(zip([p["x"] for p in after.cv_results_["params"]], after.cv_results_["trial_state"], strict=True))
    assert states == {5.0: "PRUNED", 3.0: "COMPLETE", 1.0: "COMPLETE"}
    assert after.n_trials_ == 1


def test_a_race_is_the_same_race_when_its_history_is_cut(monkeypatch):
    how = {"n_trials": 60, "sampler": "random", "cv": 3, "pruner": "racing"}
    monkeypatch.setattr("optuna_search.pruners.MAX_PEERS", 6)
    monkeypatch.setattr("optuna_search._prune.MAX_PEERS", 6)
    whole = search(SVCS, SVC(), **how).fit(*CANCER).cv_results_
    monkeypatch.setattr("optuna_search._prune.MAX_HISTORY", 20)
    cut = search(SVCS, SVC(), **how).fit(*CANCER).cv_results_
    assert cut["trial_state"].tolist() == whole["trial_state"].tolist()
    assert set(cut["trial_state"]) == {"COMPLETE", "PRUNED"}


# --- what the sampler is told -----------------------------------------------------------------------------------------


def complete(*scores):
    means = [(k, float(np.mean(scores[:k]))) for k in range(1, len(scores) + 1)]
    return means, Verdict((float(np.mean(scores)),))


def test_a_pruned_trial_is_worth_its_score_less_how_easy_its_folds_are():
    pruning = Pruning(NopPruner())
    for number, score in enumerate((0.5, 0.6, 0.9)):  # the first fold is easier by 0.2 than the mean of all, for all
        pruning.ended(number, *complete(score + 0.2, score - 0.1, score - 0.1))
    assert pruning.worth([(1, 0.7)], Verdict((0.7,), pruned=True)) == pytest.approx(0.5)
    assert pruning.worth([(1, 0.7)], Verdict((0.7,))) == 0.7
    assert pruning.worth([(1, 0.7)], Verdict(None, "failed")) is None


def test_without_a_complete_trial_it_is_worth_what_it_has():
    assert Pruning(NopPruner()).worth([(1, 0.7)], Verdict((0.7,), pruned=True)) == 0.7


def test_steps_are_folds_where_something_is_pruned_and_all_at_once_where_not():
    assert [step.folds for step in steps_of(3, NopPruner(), None)] == [(0, 1, 2)]
    assert [step.folds for step in steps_of(3, MedianPruner(), None)] == [(0,), (1,), (2,)]
    assert [(step.folds, step.amount) for step in steps_of(2, MedianPruner(), (3, 9))] == [((0, 1), 3), ((0, 1), 9)]
    assert [(step.folds, step.amount) for step in steps_of(2, NopPruner(), (3, 9))] == [((0, 1), 9)]


# --- the race ---------------------------------------------------------------------------------------------------------


def test_a_race_finds_what_no_race_finds_and_saves_fits():
    how = {"n_trials": 40, "sampler": "random", "cv": KFold(5, shuffle=True, random_state=0)}
    whole = search(SVCS, SVC(), **how).fit(*CANCER)
    raced = search(SVCS, SVC(), pruner="racing", **how).fit(*CANCER)
    assert raced.cv_results_["params"] == whole.cv_results_["params"]
    assert raced.best_params_ == whole.best_params_ and raced.best_score_ == whole.best_score_
    assert run_of(raced.cv_results_, 5).sum() < 0.6 * 200


def race(direction, *trials):
    """A study of Optuna's in which trials report the mean after each of their folds."""
    sign = 1 if direction == "maximize" else -1
    study = optuna.create_study(direction=direction, pruner=RacingPruner())
    for scores in trials:
        trial = study.ask()
        for seen in range(1, len(scores) + 1):
            trial.report(sign * float(np.mean(scores[:seen])), seen)
            if seen < len(scores) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, sign * float(np.mean(scores)))
    return [(trial.state.name, trial.last_step) for trial in study.trials]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_racing_works_in_a_study_of_optuna(direction):
    good, better = (0.8, 0.7, 0.9, 0.8), (0.81, 0.72, 0.91, 0.81)
    ended = race(direction, good, better, (0.5, 0.4, 0.5, 0.4), (0.82, 0.72, 0.9, 0.83))
    assert ended == [("COMPLETE", 4), ("COMPLETE", 4), ("PRUNED", 1), ("COMPLETE", 4)]


def test_where_folds_tell_little_nothing_is_ended():
    """Two candidates that are good on other folds: the first fold of a third one says nothing."""
    ended = race("maximize", (0.9, 0.5, 0.9, 0.5), (0.5, 0.9, 0.5, 0.9), (0.6, 0.8, 0.8, 0.8))
    assert ended == [("COMPLETE", 4)] * 3


def test_how_easy_a_fold_is_for_all_does_not_matter():
    """The first fold is hard for everybody, and the third candidate is the best of it."""
    ended = race("maximize", (0.3, 0.9, 0.9, 0.9), (0.31, 0.9, 0.91, 0.9), (0.4, 0.95, 0.95, 0.95))
    assert ended[2] == ("COMPLETE", 4)


@pytest.mark.parametrize("confidence", [0.4, 1, 1.5, -1])
def test_a_confidence_is_between_a_half_and_one(confidence):
    with pytest.raises(
        ValueError, match=rf"^confidence={confidence} must be a number from 0\.5 to 1, and less than 1\."
    ):
        RacingPruner(confidence=confidence)


@pytest.mark.parametrize("score", [-math.inf, math.nan])
def test_scores_that_are_no_numbers_are_no_measure(score):
    study = optuna.create_study(direction="maximize", pruner=RacingPruner())
    for _ in range(3):
        study.add_trial(optuna.create_trial(value=score if score == -math.inf else 1.0, intermediate_values={1: score}))
    trial = study.ask()
    trial.report(0.0, 1)
    assert not trial.should_prune()


def test_a_linear_model_that_was_pruned_is_not_fitted_again():
    fitted = []

    class Counted(LogisticRegression):
        def fit(self, X, y):
            fitted.append(self.C)
            return super().fit(X, y)

    storage = InMemoryStorage()
    how = {"storage": storage, "study_name": "once", "pruner": PrunesBelow(2.0), "cv": 3, "refit": False}
    with pytest.raises(NoResultError):
        search({"C": [0.1, 1.0]}, Counted(), **how).fit(X, Y)
    assert len(fitted) == 2
    with pytest.raises(NoResultError):
        search({"C": [0.1, 1.0]}, Counted(), **how | {"pruner": None}).fit(X, Y)
    assert len(fitted) == 2


def led(n_folds, *rungs):
    """A trial of three folds, the first of which went from rung to rung of nine."""
    folds = [Fold({"score": 0.5 + fold / 10}, {}, 0.1, 0.1) for fold in range(n_folds)]
    return Record({}, (*folds, *[None] * (3 - n_folds)), n_folds < 3, rungs, Climb("trees", 9, first_fold_leads=True))


def test_the_steps_of_a_trial_whose_first_fold_leads_are_rungs_and_then_folds():
    records = led(1, (1, 0.3)), led(1, (1, 0.3), (3, 0.4), (9, 0.5)), led(3, (1, 0.3), (3, 0.4), (9, 0.5))
    shown = [curve(record, "score", 0.0, record.climb) for record in records]
    assert shown[0] == [(1, 0.3)] and shown[1] == [(1, 0.3), (3, 0.4), (9, 0.5)]
    assert shown[2] == [*shown[1], (18, 0.55), (27, pytest.approx(0.6))]
    assert [record.fits for record in records] == [Fraction(1, 9), 1, 3]
    assert all(decode(json.loads(json.dumps(encode(record, [0.5])))) == record for record in records)


def test_of_a_trial_whose_folds_went_together_the_end_counts_where_the_first_leads():
    folds = tuple(Fold({"score": score}, {}, 0.1, 0.1) for score in (0.5, 0.7))
    together = Record({}, folds, False, ((3, 0.5), (9, 0.6)), Climb("trees", 9))
    assert curve(together, "score", 0.0, together.climb) == [(3, 0.5), (9, 0.6)]
    assert curve(together, "score", 0.0, Climb("trees", 9, first_fold_leads=True)) == [(18, 0.6)]
    assert curve(led(3, (1, 0.3), (9, 0.5)), "score", 0.0, Climb("trees", 9)) == [(9, pytest.approx(0.6))]


@pytest.mark.parametrize(
    "changed",
    [
        {"rungs": [[3, 0.5]]},
        {"rungs": [[0, 0.5]], "resource": ["n_samples", 9]},
        {"rungs": [[3, 0.5]], "resource": ["n_samples", 0]},
        {"rungs": [[3, 0.5]], "resource": ["n_samples", None]},
        {"rungs": 5, "resource": ["n_samples", 9]},
        {"best_iteration": [True]},
    ],
    ids=str,
)
def test_a_record_of_a_part_of_nothing_is_damaged(changed):
    encoded = encode(Record({}, (Fold({"score": 0.5}, {}, 0.1, 0.1),), pruned=True), [0.5])
    assert decode(encoded).pruned
    with pytest.raises(StorageError, match="cannot be read: it is damaged"):
        decode(encoded | changed)
