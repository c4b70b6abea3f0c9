"""What a score is worth: the best one corrected, errors on the leaderboard, and the one-standard-error rule."""

import json
import math
import pickle
import warnings

import joblib
import numpy as np
import pytest
from estimators import KnownScore, high, low
from scipy.stats import norm, t
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit

from optuna_search import OptunaSearchCV, one_standard_error
from optuna_search.__main__ import main
from optuna_search._honest import NOISE, _drawn, _of_chosen, bias_in, selection_bias
from optuna_search._leaderboard import Leaderboard
from optuna_search._uncertainty import corrected_t_test, fold_ratio, half_width
from optuna_search.exceptions import InvalidRequestError, NoResultError

X, Y = np.arange(24.0).reshape(12, 2), np.arange(12) % 2
rng = np.random.default_rng(0)
LUCK = rng.normal(size=(40, 5))


class ByFold(BaseEstimator):
    """Scores what it is told for the fold, of three; a fold is known by the smallest value of its test part."""

    def __init__(self, scores=(0.0, 0.0, 0.0), seconds=0.0):
        self.scores = scores
        self.seconds = seconds

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        return self.scores[int(np.min(X)) // 8]


def by_fold(*scores, **params):
    """A search of candidates with these scores in three folds of four samples."""
    return OptunaSearchCV(ByFold(), {"scores": list(scores)}, **{"cv": KFold(3), "refit": False} | params)


def known(**params):
    return OptunaSearchCV(KnownScore(), {"x": [1.0, 2.0, 3.5]}, **{"cv": KFold(3)} | params)


# --- the bias of the best ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.1, 0.3, 1.0])
def test_the_bias_of_the_better_of_two_is_what_a_pencil_computes(gap):
    scores = np.array([[0.9, 0.5, 0.7, 0.7, 0.7], [0.6, 0.7, 0.8, 0.65, 0.75]])
    scores[1] += scores[0].mean() - scores[1].mean() - gap
    variance = np.var(scores[0] - scores[1], ddof=1)
    # What of their difference folds do not explain may be luck up to n_test/n_train = 0.25, and less from there on.
    excess = max(0.0, gap**2 / variance - 1 / 5)
    luck = max(0.0, min(excess, 0.25, (0.75 - excess) / 2))
    # The worse one is chosen where noise of this variance makes up for the gap, and has as much less on the other copy.
    sd = math.sqrt(variance * (1 / 5 + luck))
    z = gap / sd / math.sqrt(NOISE)
    expected = gap * norm.sf(z) + sd / math.sqrt(NOISE) * norm.pdf(z)
    assert selection_bias(scores, 0.25) == pytest.approx(expected, abs=0.06 * sd)


def test_where_all_candidates_are_equal_there_is_no_bias():
    assert selection_bias(np.tile([0.9, 0.7, 0.8], (7, 1)), 0.5) == 0
    assert selection_bias(np.array([[0.9, 0.7, 0.8]]), 0.5) == 0


def test_what_folds_have_in_common_for_all_candidates_is_no_bias():
    scores = np.array([0.9, 0.7, 0.8]) + np.linspace(0, 0.1, 7)[:, None]
    assert selection_bias(scores, 0.5) == pytest.approx(0, abs=1e-12)
    assert selection_bias(LUCK + np.arange(5.0), 0.25) == pytest.approx(selection_bias(LUCK, 0.25), rel=0.05)


def test_the_order_of_candidates_and_folds_is_of_no_account():
    scores = LUCK.copy()
    scores[10:, 3:] = math.nan
    for one in (LUCK, scores):
        bias = selection_bias(one, 0.25)
        assert bias > 0
        for _ in range(3):
            shuffled = one[rng.permutation(40)][:, rng.permutation(5)]
            assert selection_bias(shuffled, 0.25) == pytest.approx(bias, rel=1e-12)


def test_noise_that_is_the_same_for_all_candidates_is_in_no_draw():
    scores = np.array([0.9, 0.7, 0.8]) + np.linspace(-0.1, 0, 7)[:, None]
    assert _of_chosen(scores, 0.5, np.random.default_rng(0)) == pytest.approx(0.8, abs=1e-12)


def test_scores_may_be_large_and_the_same_in_all_folds():
    scores = np.full((8, 2), 24288.0)
    scores[6:, 1] += 3
    assert 0 <= selection_bias(scores, 1.0) < 3


def test_a_candidate_that_is_there_twice_is_one():
    assert selection_bias(np.vstack([LUCK, LUCK]), 0.25) == pytest.approx(selection_bias(LUCK, 0.25), rel=0.02)


def test_more_candidates_and_more_noise_have_more_bias():
    few, many = selection_bias(LUCK[:5], 0.25), selection_bias(LUCK, 0.25)
    assert 0 < few < many
    assert selection_bias(2 * LUCK, 0.25) == pytest.approx(2 * many)
    apart = LUCK + np.linspace(0, 2, 40)[:, None]
    assert selection_bias(apart, 1.0) > selection_bias(apart, 0.1), "training parts that overlap more"


def test_a_clear_winner_has_no_bias():
    assert selection_bias(np.vstack([LUCK, LUCK[0] + 100]), 0.25) == pytest.approx(0, abs=1e-9)


def test_candidates_that_have_failed_in_some_fold_are_no_rivals():
    alone = selection_bias(LUCK, 0.25)
    wild = np.vstack([LUCK, np.where(np.arange(5) == 2, -1e6, LUCK)])
    assert selection_bias(wild, 0.25) == pytest.approx(alone, rel=0.2)
    assert selection_bias(np.vstack([LUCK, np.full(5, -np.inf)]), 0.25) == alone


@pytest.mark.parametrize(
    "scores",
    [[[0.9], [0.8]], [[0.9, math.nan], [0.8, math.nan]], [[math.nan] * 3] * 2, np.empty((0, 3)), [[-math.inf] * 3]],
    ids=["one fold", "none complete", "no scores", "no candidates", "minus infinity"],
)
def test_where_luck_cannot_be_told_from_skill_the_bias_is_not_known(scores):
    assert math.isnan(selection_bias(np.array(scores), 0.5))


def left(made, pruned=None):
    """What shares of the bias of the best mean are left, where nothing is to be found and all scores are luck."""
    naive, corrected = [], []
    for scores in made:
        shown = scores if pruned is None else pruned(scores)
        best = np.nanmax(np.where(np.isnan(shown).any(axis=1), np.nan, shown.mean(axis=1)))
        naive.append(best)
        corrected.append(best - selection_bias(shown, 1 / (scores.shape[1] - 1)))
    return np.mean(corrected) / np.mean(naive)


@pytest.mark.parametrize("n_folds", [3, 5, 10])
def test_on_data_without_signal_a_quarter_of_the_bias_is_left_at_most(n_folds):
    ratio, noise = 1 / (n_folds - 1), np.random.default_rng(n_folds)
    # Luck that folds share is a part of what Nadeau and Bengio allow for.
    made = [
        noise.normal(size=(60, n_folds)) + noise.normal(0, math.sqrt(0.2 * ratio), size=(60, 1)) for _ in range(150)
    ]
    assert abs(left(made)) < 0.25


def raced(scores):
    """Scores of which nine of ten, the worse ones in the first fold, have gone no further."""
    return np.where((scores[:, :1] < np.quantile(scores[:, 0], 0.9)) & [False, *[True] * 4], math.nan, scores)


def test_candidates_that_were_pruned_take_their_part():
    noise = np.random.default_rng(1)
    made = noise.normal(size=(150, 60, 5)) + noise.normal(0, math.sqrt(0.05), size=(150, 60, 1))
    assert abs(left(made, raced)) < 0.25
    without = [shown[~np.isnan(shown).any(axis=1)] for shown in map(raced, made)]
    assert left(without) > 0.25, "as if the luck of the first fold were skill"


def test_missing_folds_are_drawn_from_the_line_through_the_others_and_vary_as_they_do():
    before, others = np.array([0.0, 1.0, 2.0, 3.0]), np.array([10.0, -1.0])
    drawn = _drawn(before, 1 + 2 * before, others, np.random.default_rng(0))
    assert drawn == pytest.approx([21, -1])
    # One below and one above the line at each end; two of four are as good as used up by the line.
    before, then = np.array([0.0, 0.0, 1.0, 1.0]), np.array([-1.0, 1.0, 1.0, 3.0])
    drawn = _drawn(before, then, np.full(50, 5.0), np.random.default_rng(0))
    assert sorted(set(drawn.round(9))) == pytest.approx([10 - math.sqrt(4 / 2), 10 + math.sqrt(4 / 2)])


def test_a_candidate_that_was_pruned_though_it_went_well_makes_no_bias_below_zero():
    on_a_line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [10.0, math.nan]])
    assert selection_bias(on_a_line, 0.5) == 0


# --- the corrected score of a search ----------------------------------------------------------------------------------

CLOSE = ((0.9, 0.5, 0.7), (0.5, 0.8, 0.8), (0.1, 0.2, 0.15))


def test_a_search_has_its_best_score_without_its_bias():
    search = by_fold(*CLOSE).fit(X, Y)
    bias = selection_bias(np.array(CLOSE), 0.5)
    assert 0 < bias < 0.3
    assert search.best_score_corrected_ == search.best_score_ - bias
    assert pickle.loads(pickle.dumps(search)).best_score_corrected_ == search.best_score_corrected_


def test_the_bias_is_that_of_the_metric_which_chooses():
    scoring = {"mine": first_only, "plain": high}
    searches = {refit: by_fold(*CLOSE, scoring=scoring, refit=refit).fit(X, Y) for refit in ("mine", "plain")}
    assert searches["mine"].best_score_corrected_ == searches["mine"].best_score_
    assert searches["plain"].best_score_corrected_ < searches["plain"].best_score_


def first_only(estimator, X, y=None):
    """By how much the first fold is the estimator's best, the same in every fold."""
    return estimator.scores[0]


def test_the_sizes_of_the_folds_are_reckoned_with():
    few, many = (
        OptunaSearchCV(
            Noisy(), {"seed": [0, 1, 2, 3]}, cv=ShuffleSplit(4, test_size=size, random_state=0), refit=False
        ).fit(X, Y)
        for size in (2, 6)
    )
    for search, ratio in ((few, 2 / 10), (many, 1.0)):
        assert search.best_score_ - search.best_score_corrected_ == bias_in(search.cv_results_, "score", ratio) > 0


class Noisy(KnownScore):
    """Scores a number of its own on each test part."""

    def __init__(self, seed=0):
        self.seed = seed

    def score(self, X, y=None):
        return np.random.default_rng([self.seed, int(np.sum(X))]).normal()


def test_a_kept_study_has_the_same_corrected_score(tmp_path):
    how = {"cv": ShuffleSplit(4, test_size=3, random_state=0), "storage": tmp_path / "s.journal", "study_name": "s"}
    fitted = OptunaSearchCV(Noisy(), {"seed": [0, 1, 2, 3]}, **how).fit(X, Y)
    read = OptunaSearchCV.from_study("s", tmp_path / "s.journal", Noisy())
    assert read.best_score_corrected_ == fitted.best_score_corrected_ < fitted.best_score_
    assert read.top_n_ == fitted.top_n_


def test_a_board_and_the_command_have_it(tmp_path, capsys):
    path = str(tmp_path / "s.db")
    fitted = OptunaSearchCV(Noisy(), {"seed": list(range(8))}, cv=4, storage=path, study_name="s").fit(X, Y)
    assert fitted.top_n_.best_score_corrected == fitted.best_score_corrected_ < fitted.best_score_
    assert math.isnan(fitted.top_n_(by="fit_time").best_score_corrected)
    assert main(["--json", "show", "s", "--storage", path]) == 0
    assert json.loads(capsys.readouterr().out)["best_score_corrected"] == fitted.best_score_corrected_


def test_it_is_there_wherever_the_best_score_is():
    several = {"scoring": {"high": high, "low": low}}
    for params in ({}, {"refit": False}, several | {"refit": "low"}):
        assert known(**params).fit(X, Y).best_score_corrected_ <= 10
    for params in ({"refit": one_standard_error}, several | {"refit": False}):
        search = known(**params).fit(X, Y)
        assert not hasattr(search, "best_score_") and not hasattr(search, "best_score_corrected_")


def test_with_one_fold_it_is_not_known():
    search = known(cv=ShuffleSplit(1, random_state=0)).fit(X, Y)
    assert math.isnan(search.best_score_corrected_)
    assert math.isnan(search.top_n_[0].standard_error) and search.top_n_[1].is_tied_with_best is None
    assert "nan" not in repr(search.top_n_)


def test_failed_trials_have_no_part_in_it():
    space = {"seed": [0, 1, 2, 3], "bad": [(), (1,)]}
    search = OptunaSearchCV(NoisyFailing(), space, cv=4, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    sound = OptunaSearchCV(NoisyFailing(), {"seed": [0, 1, 2, 3]}, cv=4, refit=False).fit(X, Y)
    assert (search.cv_results_["trial_state"] == "FAIL").sum() == 4
    assert search.best_score_corrected_ == sound.best_score_corrected_


class NoisyFailing(Noisy):
    """The same, which fails in one fold if it is told to."""

    def __init__(self, seed=0, bad=()):
        self.seed = seed
        self.bad = bad

    def fit(self, X, y=None):
        if self.bad and 0 not in X:
            raise ValueError("the first sample is missing")
        return super().fit(X, y)


@pytest.mark.parametrize("state", ["FAIL", "COMPLETE"])
def test_what_counts_is_the_metric_that_chooses_and_not_the_state_of_a_trial(state):
    results = {f"split{i}_test_a": LUCK[:, i] for i in range(5)} | {"mean_test_a": LUCK.mean(axis=1)}
    states = np.full(40, "COMPLETE", dtype=object)
    states[30:] = state  # by another metric, which is pursued
    assert bias_in(results | {"trial_state": states}, "a", 0.25) == selection_bias(LUCK, 0.25)
    without = {name: np.where(np.arange(40) < 30, column, np.nan) for name, column in results.items()}
    assert bias_in(without | {"trial_state": states}, "a", 0.25) == selection_bias(LUCK[:30], 0.25)


def test_scores_with_a_part_of_a_resource_are_those_of_other_models():
    results = {f"split{i}_test_score": LUCK[:, i] for i in range(5)}
    results |= {"mean_test_score": LUCK.mean(axis=1), "trial_state": np.full(40, "COMPLETE", dtype=object)}
    of_ten = bias_in({name: column[:10] for name, column in results.items()}, "score", 0.25)
    amounts = np.where(np.arange(40) < 10, 27, 9)
    assert bias_in(results | {"n_resources": amounts}, "score", 0.25) == of_ten
    assert bias_in(results, "score", 0.25) > of_ten


# --- errors on the leaderboard ----------------------------------------------------------------------------------------


def test_errors_and_intervals_are_what_a_pencil_computes():
    board = by_fold((1.0, 2.0, 3.0), (0.0, 0.0, 0.0)).fit(X, Y).top_n_
    # The variance is 1, and with four test samples for eight training samples that of the mean 1/3 + 1/2.
    assert board[0].standard_error == pytest.approx(math.sqrt(1 / 3))
    reach = t.ppf(0.975, 2) * math.sqrt(1 / 3 + 1 / 2)
    assert board[0].confidence_interval == pytest.approx((2 - reach, 2 + reach))
    assert board[1].standard_error == 0 and board[1].confidence_interval == (0.0, 0.0)


def test_samples_of_all_folds_make_the_ratio_and_an_equal_k_fold_where_they_are_not_known():
    assert fold_ratio([(10, 2), (8, 4)], 2) == 6 / 18
    assert fold_ratio((), 5) == 1 / 4


@pytest.mark.parametrize("n_folds", [2, 5, 10])
def test_an_interval_holds_what_the_test_of_a_difference_from_it_finds_no_fault_with(n_folds):
    scores = rng.normal(size=n_folds)
    reach = half_width(scores.std(), n_folds, 0.25)
    for value, p in ((scores.mean() - reach, 0.05), (scores.mean() + reach, 0.05)):
        assert corrected_t_test(scores - value, 0.25)[1] == pytest.approx(p)


def test_what_cannot_be_told_apart_from_the_best_is_marked_pair_by_pair():
    best, near, far = (0.9, 0.5, 0.7), (0.5, 0.8, 0.79), (0.39, 0.01, 0.2)
    search = by_fold(far, best, near, scoring={"plain": high, "steady": steady}, refit="plain").fit(X, Y)
    board = search.top_n_
    assert [entry.params["scores"] for entry in board] == [best, near, far]
    for entry in board:
        p = corrected_t_test(np.subtract(best, entry.params["scores"]), 0.5)[1]
        assert entry.is_tied_with_best == (p > 0.05)
    assert [entry.is_tied_with_best for entry in board] == [True, True, False]
    assert [entry.is_tied_with_best for entry in board[1:]] == [True, False], "a part is compared with the same first"
    assert [entry.rank for entry in board(by="steady")] == [1, 1, 3]
    assert [entry.is_tied_with_best for entry in board(by="steady")] == [True, True, False]


def steady(estimator, X, y=None):
    """The lowest score that the estimator has in any fold, in all of them."""
    return min(estimator.scores)


def test_the_table_tells_what_a_mark_means_only_where_there_is_one():
    board = by_fold(*CLOSE).fit(X, Y).top_n_
    lines = repr(board).splitlines()
    assert lines[0].split()[:7] == ["rank", "trial", "score", "std", "error", "95", "%"]
    assert ["~" in line for line in lines] == [True, False, False, True, False, True]
    assert "p > 0.05" in lines[-1] and "<p>~: cannot be told apart" in board._repr_html_()
    for part in (board[:1], board[2:]):
        assert "~" not in repr(part) and "~" not in part._repr_html_()


def test_the_frame_and_the_command_have_the_same_numbers(tmp_path, capsys):
    path = str(tmp_path / "s.journal")
    board = by_fold(*CLOSE, storage=path, study_name="s").fit(X, Y).top_n_
    assert main(["--json", "--storage", path, "top", "s"]) == 0
    rows = json.loads(capsys.readouterr().out)
    frame = board.to_frame()
    for entry, row, (_, line) in zip(board, rows, frame.iterrows(), strict=True):
        assert row["standard_error"] == line["standard_error"] == entry.standard_error
        assert tuple(row["confidence_interval"]) == entry.confidence_interval
        assert (line["confidence_low"], line["confidence_high"]) == entry.confidence_interval
        assert row["is_tied_with_best"] == line["is_tied_with_best"] == entry.is_tied_with_best
        assert row["std"] == line["std"] == entry.std
    assert main(["--storage", path, "show", "s"]) == 0
    best = board[0]
    assert f"{best.score:.4f} ± {best.standard_error:.4f} (standard error)" in capsys.readouterr().out


def test_times_have_errors_and_no_test():
    search = known(objectives=["score", "fit_time"]).fit(X, Y)
    board = search.top_n_(by="fit_time")
    results = search.cv_results_
    row = int(np.flatnonzero(results["trial_number"] == board[0].trial_number)[0])
    assert board[0].standard_error == pytest.approx(results["std_fit_time"][row] / math.sqrt(2))
    assert {entry.is_tied_with_best for entry in board} == {None}


def test_minus_infinity_has_no_error():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        board = by_fold((1.0, 2.0, 1.5), (-math.inf,) * 3).fit(X, Y).top_n_
    assert math.isnan(board[1].standard_error) and board[1].is_tied_with_best is None


def test_a_board_of_nothing_is_pickled():
    assert pickle.loads(pickle.dumps(Leaderboard.empty())) == Leaderboard.empty()


def test_a_board_of_nothing_is_empty():
    assert len(Leaderboard.empty()) == 0 and repr(Leaderboard.empty()) == "no trial has a score yet"


# --- the cheapest within one standard error ---------------------------------------------------------------------------


def results(*rows, metric="score"):
    """What a search would have found: fold scores and a fit time for each candidate."""
    scores = np.array([row[0] for row in rows], dtype=float)
    found = {f"split{i}_test_{metric}": scores[:, i] for i in range(scores.shape[1])}
    return found | {f"mean_test_{metric}": scores.mean(axis=1), "mean_fit_time": np.array([row[1] for row in rows])}


def test_the_cheapest_within_one_standard_error_is_chosen():
    # The best has mean 0.8 and a standard error of 0.1 / sqrt(3) = 0.0577.
    best = ((0.7, 0.8, 0.9), 5.0)
    assert one_standard_error(results(best, ((0.743, 0.743, 0.743), 1.0), ((0.9, 0.6, 0.9), 3.0))) == 1
    assert one_standard_error(results(best, ((0.742, 0.742, 0.742), 1.0), ((0.9, 0.6, 0.9), 3.0))) == 2
    assert one_standard_error(results(best, ((0.742, 0.742, 0.742), 1.0))) == 0


def test_of_equally_cheap_candidates_the_better_is_chosen():
    assert one_standard_error(results(((0.7, 0.8, 0.9), 1.0), ((0.75, 0.8, 0.76), 1.0))) == 0


def test_candidates_without_a_score_in_every_fold_are_never_chosen():
    missing = ((math.nan, 0.9, 0.9), 0.0)
    assert one_standard_error(results(missing, ((0.7, 0.8, 0.9), 5.0), ((-math.inf,) * 3, 0.0))) == 1
    # One that stands before the others shifts nothing: neither whose error it is, nor whose time.
    assert one_standard_error(results(missing, ((0.7, 0.8, 0.9), 5.0), ((0.75, 0.8, 0.76), 1.0))) == 2
    with pytest.raises(NoResultError, match="no row of cv_results_ has a score in every fold"):
        one_standard_error(results(missing, missing))


def test_with_one_fold_only_the_best_comes_into_question():
    assert one_standard_error(results(((0.9,), 5.0), ((0.8999,), 1.0), ((0.9,), 4.0))) == 2


def test_with_several_metrics_it_has_to_be_said_by_which():
    found = results(((0.7, 0.8, 0.9), 5.0), ((0.1, 0.1, 0.1), 1.0), metric="auc")
    found |= results(((0.1, 0.1, 0.1), 5.0), ((0.7, 0.8, 0.9), 1.0), metric="f1")
    assert one_standard_error.by("auc")(found) == 0 and one_standard_error.by("f1")(found) == 1
    with pytest.raises(InvalidRequestError, match=r"of 2 metrics \(auc, f1\).*one_standard_error\.by\('auc'\)"):
        one_standard_error(found)
    with pytest.raises(InvalidRequestError, match=r"by\('auk'\).*Did you mean 'auc'\?"):
        one_standard_error.by("auk")(found)


@pytest.mark.parametrize("metrics", ["one", "several"])
def test_it_chooses_in_a_grid_search_as_here(metrics):
    several = metrics == "several"
    rule = one_standard_error.by("low") if several else one_standard_error
    how = {"cv": 3, "refit": rule, "scoring": {"high": high, "low": low} if several else low}
    grid = {"n_estimators": [3, 1, 2]}
    for cls in (GridSearchCV, OptunaSearchCV):
        search = cls(Trees(), grid, **how).fit(X, Y)
        assert search.best_index_ == rule(search.cv_results_)
        assert search.best_params_ == {"n_estimators": 1} and search.best_estimator_.n_estimators == 1


class Trees(RandomForestClassifier):
    """A forest in which fewer trees are worth more."""

    @property
    def x(self):
        return self.n_estimators


def test_a_pruned_candidate_is_not_chosen():
    search = OptunaSearchCV(KnownScore(), {"x": [3.0, 2.9, 0.0]}, cv=3, pruner="racing", refit=one_standard_error).fit(
        X, Y
    )
    assert "PRUNED" in search.cv_results_["trial_state"]
    assert search.cv_results_["trial_state"][search.best_index_] == "COMPLETE"


def test_a_candidate_that_was_pruned_with_a_part_of_a_resource_is_not_chosen():
    forest = RandomForestClassifier(max_features=1, random_state=0)
    search = OptunaSearchCV(
        forest, {"max_depth": [1, 2, 5], "min_samples_leaf": [1, 20]}, resource="n_estimators", max_resources=9, cv=3,
        pruner="successive-halving", refit=one_standard_error,
    ).fit(*load_iris(return_X_y=True))  # fmt: skip
    results = search.cv_results_
    assert (results["trial_state"] == "PRUNED").any() and np.isfinite(results["split2_test_score"]).all()
    assert results["trial_state"][search.best_index_] == "COMPLETE"


@pytest.mark.parametrize("rule", [one_standard_error, one_standard_error.by("low")], ids=repr)
def test_it_is_cloned_and_pickled(rule):
    search = clone(known(refit=rule, scoring={"low": low}, n_jobs=2))
    assert search.refit == rule and pickle.loads(pickle.dumps(rule)) == rule
    with joblib.parallel_config("threading"):
        assert search.fit(X, Y).best_index_ == rule(search.cv_results_)
    assert pickle.loads(pickle.dumps(search)).refit == rule
    assert f"refit={rule!r}" in repr(search)


def test_it_is_no_part_of_what_a_study_was_measured_on(tmp_path):
    how = {"storage": tmp_path / "s.journal", "study_name": "s"}
    known(**how).fit(X, Y)
    again = known(**how, refit=one_standard_error).fit(X, Y)
    assert again.n_trials_ == 3 and len(again.study_.trials) == 3
