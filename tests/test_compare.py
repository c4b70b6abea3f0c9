"""Studies are compared where their scores can be: on the same data, the same folds and the same metric."""

import html
import math
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from estimators import FailsOn, KnownScore, ScoresOddly, high, low, share_right, two_scores
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage
from scipy import integrate, special
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import KFold, ShuffleSplit, cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from test_storage import kept_in, search  # noqa: F401 - a fixture

from optuna_search import OptunaSearchCV
from optuna_search._compare import Comparison, compare
from optuna_search._record import RECORD
from optuna_search._store import Store
from optuna_search._uncertainty import corrected_t_test
from optuna_search.exceptions import InvalidRequestError, NoResultError, StorageError, StudyMismatchError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2

of_failures = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning",
    "ignore:One or more of the test scores are non-finite:UserWarning",
    "ignore:Scoring failed:UserWarning",
)


class ByFold(BaseEstimator):
    """Scores what it is told for the fold; a fold is known by the smallest value of its test part."""

    def __init__(self, scores=(), x=0.0):
        self.scores = scores
        self.x = x

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        return self.scores[int(np.min(X)) * len(self.scores) // 24] + self.x


def scored(*scores, space=None, **how):
    """A fitted search in memory, whose best trial has these scores fold by fold."""
    how = {"cv": how.get("cv") or KFold(len(scores)), "study_name": "s" + "-".join(map(str, scores))} | how
    return OptunaSearchCV(ByFold(scores), space or {"x": [-1.0, 0.0, -2.0]}, **how).fit(X, Y)


# --- truths -----------------------------------------------------------------------------------------------------------


class TestTheTest:
    def test_t_is_what_a_hand_computes(self):
        # The differences 1, 2, 3 have mean 2 and variance 1; with 4 test samples for 8 training samples in each of
        # three folds the variance of the mean is 1/3 + 1/2 = 5/6.
        found = compare(scored(4.0, 6.0, 8.0), scored(3.0, 4.0, 5.0))
        (pair,) = found.pairs
        assert pair.differences == (1.0, 2.0, 3.0)
        assert pair.mean_difference == 2.0
        assert pair.t == pytest.approx(2 / math.sqrt(5 / 6), rel=1e-15)

    @pytest.mark.parametrize("k", [2, 3, 5, 10, 30])
    def test_p_is_the_area_under_the_density_of_t(self, k):
        folds = np.random.default_rng(k).normal(0.3, 1, k)
        t, p = corrected_t_test(folds, 0.25)
        assert t == pytest.approx(folds.mean() / math.sqrt((1 / k + 0.25) * folds.var(ddof=1)))
        df = k - 1
        norm = math.exp(special.gammaln((df + 1) / 2) - special.gammaln(df / 2)) / math.sqrt(df * math.pi)
        inside, _ = integrate.quad(lambda x: norm * (1 + x * x / df) ** (-(df + 1) / 2), -abs(t), abs(t))
        assert p == pytest.approx(1 - inside, abs=1e-8)

    def test_with_one_fold_for_each_sample_it_is_stricter_than_the_plain_test(self):
        folds = [0.1, 0.2, 0.15, 0.3]
        assert corrected_t_test(folds, 1 / 3)[1] > corrected_t_test(folds, 0.0)[1]

    def test_turned_around_only_the_sign_of_t_changes(self):
        folds = np.array([0.1, -0.2, 0.4])
        t, p = corrected_t_test(folds, 0.5)
        assert corrected_t_test(-folds, 0.5) == (-t, p)

    @pytest.mark.parametrize(
        ("differences", "expected"),
        [
            ([0.0, 0.0, 0.0], (0.0, 1.0)),
            ([0.1, 0.1, 0.1], (math.inf, 0.0)),
            ([-0.1, -0.1], (-math.inf, 0.0)),
            ([0.5], (math.nan, math.nan)),
            ([math.inf, 0.0], (math.nan, math.nan)),
        ],
        ids=["nothing differs", "all by the same", "all by the same, downwards", "one fold", "an infinity"],
    )
    def test_without_any_variance_it_knows_what_to_say(self, differences, expected):
        assert corrected_t_test(differences, 0.5) == pytest.approx(expected, nan_ok=True)

    def test_where_nothing_differs_it_finds_nothing_often_enough(self):
        rng = np.random.default_rng(0)
        small = [corrected_t_test(rng.normal(size=5), 0.0)[1] < 0.1 for _ in range(2000)]
        assert np.mean(small) == pytest.approx(0.1, abs=0.02)


class TestComparison:
    def test_two_studies_with_known_scores(self):
        worse, better = scored(3.0, 4.0, 5.0), scored(4.0, 6.0, 8.0)
        found = compare(worse, better)
        assert isinstance(found, Comparison)
        assert found.metric == "score"
        assert [entry.study for entry in found] == ["s4.0-6.0-8.0", "s3.0-4.0-5.0"]
        assert [entry.score for entry in found] == [6.0, 4.0]
        assert [entry.trial_number for entry in found] == [1, 1]
        assert [entry.n_trials for entry in found] == [3, 3]
        assert found[0].fold_scores == (4.0, 6.0, 8.0)
        assert found[0].standard_error == pytest.approx(2 / math.sqrt(3))
        assert found[0].estimator == "ByFold(scores=(4.0, 6.0, 8.0))"
        assert (found.pairs[0].one, found.pairs[0].other) == ("s4.0-6.0-8.0", "s3.0-4.0-5.0")

    def test_the_order_in_which_they_are_given_does_not_matter(self):
        one, other = scored(3.0, 4.0, 5.0), scored(4.0, 6.0, 8.0)
        assert compare(one, other) == compare(other, one)

    def test_three_studies_make_three_pairs(self):
        found = compare(scored(1.0, 2.0), scored(3.0, 5.0), scored(2.0, 3.0))
        assert [entry.score for entry in found] == [4.0, 2.5, 1.5]
        assert [pair.mean_difference for pair in found.pairs] == [1.5, 2.5, 1.0]

    def test_it_is_a_sequence(self):
        found = compare(scored(1.0, 2.0), scored(3.0, 5.0))
        assert len(found) == 2
        assert [*found] == [found[0], found[1]] == [*found[:2]]
        assert found[-1].score == 1.5

    def test_it_goes_through_a_pickle(self):
        found = compare(scored(1.0, 2.0), scored(3.0, 5.0))
        assert pickle.loads(pickle.dumps(found)) == found

    def test_names_and_searches_give_the_same(self, kept_in):  # noqa: F811
        how = {"storage": kept_in, "n_trials": None, "sampler": None, "cv": 3}
        one = search({"x": [1.0, 2.5]}, study_name="one", **how).fit(X, Y)
        other = search({"x": [3.5, 5.0]}, KnownScore(peak=9.0), study_name="other", **how).fit(X, Y)
        by_name = compare("one", "other", storage=kept_in)
        assert by_name == compare(one, other) == compare(one, "other", storage=kept_in)
        assert [entry.study for entry in by_name] == ["one", "other"]
        assert by_name[0].score == one.best_score_
        assert by_name[0].fold_scores == tuple(one.cv_results_[f"split{i}_test_score"][1] for i in range(3))

    def test_real_models_on_real_folds(self):
        rng = np.random.default_rng(0)
        data = rng.normal(size=(60, 3))
        target = (data[:, 0] + rng.normal(size=60) > 0).astype(int)
        cv = ShuffleSplit(5, test_size=12, random_state=0)
        trees = OptunaSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 3]}, cv=cv).fit(data, target)
        lines = OptunaSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=cv).fit(data, target)
        found = compare(trees, lines)
        folds = [cross_val_score(s.best_estimator_, data, target, cv=cv) for s in (lines, trees)]
        by_fold = folds[0] - folds[1]
        if by_fold.mean() < 0:
            by_fold = -by_fold
        np.testing.assert_allclose(found.pairs[0].differences, by_fold)
        assert found.pairs[0].t == pytest.approx(by_fold.mean() / math.sqrt((1 / 5 + 12 / 48) * by_fold.var(ddof=1)))

    def test_the_first_of_equals_is_the_best(self):
        found = compare(scored(1.0, 2.0, space={"x": [0.0, 0, False]}), scored(3.0, 5.0))
        assert found[1].trial_number == 0

    def test_equal_scores_everywhere_mean_that_nothing_differs(self):
        found = compare(scored(1.0, 2.0), scored(1.0, 2.0, study_name="again"))
        assert (found.pairs[0].t, found.pairs[0].p) == (0.0, 1.0)
        assert found.pairs[0].differences == (0.0, 0.0)

    def test_one_fold_is_compared_and_not_tested(self):
        split = [([0, 1, 2, 3], [4, 5])]
        found = compare(scored(1.0, cv=split), scored(2.0, cv=split))
        assert found.pairs[0].mean_difference == 1.0
        assert math.isnan(found.pairs[0].p) and math.isnan(found[0].standard_error)
        assert found.note == "One fold: no test is possible."

    @of_failures
    def test_failed_trials_are_no_bests(self):
        space = {"x": [1.0, 2.0, 3.0]}
        one = search(space, FailsOn(bad=(1.0,)), n_trials=None, sampler=None).fit(X, Y)
        other = search(space, FailsOn(bad=(2.0,)), n_trials=None, sampler=None).fit(X, Y)
        found = compare(one, other)
        assert [entry.score for entry in found] == [-1.0, -2.0]
        assert [entry.n_trials for entry in found] == [3, 3]

    @of_failures
    @pytest.mark.filterwarnings("ignore:invalid value encountered in subtract:RuntimeWarning")  # scikit-learn's own
    def test_what_is_no_score_never_wins_and_minus_infinity_is_the_worst(self):
        space = {"x": [math.inf, math.nan, 1.0]}
        one = search(space, ScoresOddly(), n_trials=None, sampler=None).fit(X, Y)
        other = search({"x": [-math.inf]}, ScoresOddly(peak=1.0), n_trials=None, sampler=None, refit=False).fit(X, Y)
        found = compare(one, other)
        assert [entry.score for entry in found] == [1.0, -math.inf]
        assert found.pairs[0].mean_difference == math.inf
        assert math.isnan(found.pairs[0].p)

    def test_the_sizes_of_the_folds_come_from_whichever_study_knows_them(self):
        cv = [([0, 1, 2, 3, 4, 5, 6, 7], [8, 9]), ([8, 9, 10, 11, 4, 5, 6, 7], [0, 1])]
        one, other = scored(1.0, 3.0, cv=cv), scored(2.0, 7.0, cv=cv)
        t = compare(one, other).pairs[0].t
        assert t == pytest.approx(2.5 / math.sqrt((1 / 2 + 2 / 8) * 4.5))
        forget_fold_sizes(one)
        assert compare(one, other).pairs[0].t == t
        forget_fold_sizes(other)
        found = compare(one, other)
        assert found.pairs[0].t == pytest.approx(2.5 / math.sqrt((1 / 2 + 1 / 1) * 4.5))
        assert "of an equal k-fold, as no study knows the sizes of its folds" in found.note


def forget_fold_sizes(fitted):
    """Make a study one of the time before the sizes of folds were kept."""
    store = Store(fitted.storage or fitted.study_._storage, fitted.study_.study_name)
    header = store.header()
    del header["fold_sizes"]
    store.study.set_user_attr(RECORD, header)


# --- how it is shown --------------------------------------------------------------------------------------------------


class TestShown:
    def test_it_shows_itself_as_two_tables_and_a_note(self):
        found = compare(scored(3.0, 4.0, 5.0), scored(4.0, 6.0, 8.0, study_name="better"))
        assert repr(found).splitlines() == [
            "study         estimator                       trial  score   std error  trials",
            "------------------------------------------------------------------------------",
            "better        ByFold(scores=(4.0, 6.0, 8.0))  1      6.0000  1.1547     3",
            "s3.0-4.0-5.0  ByFold(scores=(3.0, 4.0, 5.0))  1      4.0000  0.5774     3",
            "",
            "better  worse         difference  t     p     by fold",
            "---------------------------------------------------------------------",
            "better  s3.0-4.0-5.0  2.0000      2.19  0.16  +1.0000 +2.0000 +3.0000",
            "",
            "t and p: corrected resampled t-test (Nadeau & Bengio 2003) over 3 folds with 0.5 test samples per "
            "training sample.",
        ]

    def test_nothing_in_a_name_reaches_a_terminal_or_a_page_as_code(self):
        name = "\x1b[31m<script>alert('x')</script>"
        found = compare(scored(1.0, 2.0, study_name=name), scored(3.0, 5.0))
        assert "\x1b" not in repr(found)
        page = found._repr_html_()
        assert "<script>" not in page and html.escape("<script>") in page
        assert found.note.replace("&", "&amp;") in page

    def test_as_a_frame_it_has_a_row_for_each_study(self):
        found = compare(scored(3.0, 4.0, 5.0), scored(4.0, 6.0, 8.0))
        frame = found.to_frame()
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == [
            "study", "estimator", "trial_number", "score", "standard_error", "n_trials", "split0", "split1", "split2",
        ]  # fmt: skip
        assert frame[["split0", "split1", "split2"]].to_numpy().tolist() == [[4.0, 6.0, 8.0], [3.0, 4.0, 5.0]]
        assert [*frame["score"]] == [6.0, 4.0]

    def test_or_one_for_each_pair(self):
        frame = compare(scored(3.0, 4.0, 5.0), scored(4.0, 6.0, 8.0)).to_frame(pairs=True)
        assert list(frame.columns) == ["one", "other", "mean_difference", "t", "p", "split0", "split1", "split2"]
        assert frame["split2"].tolist() == [3.0]


# --- the metric -------------------------------------------------------------------------------------------------------

BOTH = {"high": high, "low": low}


def of(scoring=None, space=None, **how):
    """A fitted search in memory with some scoring."""
    how = {"n_trials": None, "sampler": None, "refit": False} | how
    return search(space or {"x": [1.0, 2.0, 5.0]}, scoring=scoring, **how).fit(X, Y)


class TestMetric:
    def test_one_that_several_metrics_share_with_one_is_taken(self):
        one, other = of("accuracy"), of(["accuracy", "f1"], {"x": [0.5]})
        found = compare(one, other)
        assert found.metric == "accuracy"
        assert found[0].score == one.cv_results_["mean_test_score"].max()

    def test_the_same_scorer_by_another_name_is_the_same_metric(self):
        assert compare(of({"a": high}, refit="a"), of({"b": high}, refit="b")).metric == "a"
        with pytest.raises(InvalidRequestError, match=r"These studies share no metric"):
            compare(of({"a": high}), of({"a": low}))

    def test_of_several_it_is_the_one_that_all_pursue(self):
        found = compare(of(BOTH, refit="low"), of(BOTH, {"x": [0.5]}, refit="low"))
        assert found.metric == "low"
        assert [entry.score for entry in found] == [-0.5, -1.0]

    def test_best_means_best_by_that_metric(self):
        one, other = of(BOTH, refit="low"), of(BOTH, {"x": [2.9]}, refit="low")
        assert [entry.trial_number for entry in compare(one, other, metric="low")] == [0, 0]
        found = compare(one, other, metric="high")
        assert {entry.study: entry.trial_number for entry in found}[one.study_.study_name] == 1
        assert found[1].score == one.cv_results_["mean_test_high"][1]

    def test_where_they_pursue_different_ones_it_has_to_be_said(self):
        one, other = of(BOTH, refit="low", study_name="a"), of(BOTH, refit="high", study_name="b")
        expected = (
            r"^These studies share several metrics \(high, low\); say which, with metric=\. "
            r"'a' has high \(.*\), low \(.*\)\. 'b' has high .*, low .*\.$"
        )
        with pytest.raises(InvalidRequestError, match=expected):
            compare(one, other)
        assert compare(one, other, metric="high").metric == "high"

    def test_a_metric_that_is_not_shared_is_refused_with_what_there_is(self):
        one, other = of("accuracy", study_name="a"), of(["accuracy", "f1"], study_name="b")
        expected = (
            r"^metric='acuracy' is no metric that these studies share\. Did you mean 'accuracy'\? "
            r"'a' has accuracy\. 'b' has accuracy, f1\.$"
        )
        with pytest.raises(InvalidRequestError, match=expected):
            compare(one, other, metric="acuracy")
        with pytest.raises(InvalidRequestError, match=r"metric='f1' is no metric .* There are: 'accuracy'\."):
            compare(one, other, metric="f1")

    def test_nothing_shared_is_said_with_what_there_is(self):
        one, other = of("accuracy", study_name="a"), of(study_name="b")
        expected = r"share no metric\. 'a' has accuracy\. 'b' has score \(the estimator's own score\)\.$"
        with pytest.raises(InvalidRequestError, match=expected):
            compare(one, other)
        with pytest.raises(InvalidRequestError, match=r"metric='accuracy' .* They share none\."):
            compare(one, other, metric="accuracy")

    def test_a_single_metric_may_be_called_score_or_by_its_name(self):
        one, other = of("accuracy"), of("accuracy", {"x": [0.5]})
        assert compare(one, other, metric="score") == compare(one, other, metric="accuracy") == compare(one, other)

    def test_a_scorer_is_known_by_what_it_was_made_of(self):
        assert compare(of(make_scorer(share_right)), of(make_scorer(share_right), {"x": [0.5]})).metric == "score"
        with pytest.raises(InvalidRequestError, match=r"share no metric\..* has score \(.*share_right.*\)"):
            compare(of(make_scorer(share_right)), of(make_scorer(share_right, greater_is_better=False)))

    def test_a_function_that_gives_several_metrics(self):
        one, other = of(two_scores, refit="right"), of(two_scores, {"x": [0.5]}, refit="right")
        assert compare(one, other).metric == "right"
        assert compare(one, other, metric="not_wrong").metric == "not_wrong"

    def test_models_of_different_kinds_are_compared_on_their_own_score(self):
        rng = np.random.default_rng(0)
        data, target = rng.normal(size=(30, 2)), rng.normal(size=30)
        one = OptunaSearchCV(Ridge(), {"alpha": FloatDistribution(0.1, 1)}, n_trials=2).fit(data, target)
        other = OptunaSearchCV(DecisionTreeRegressor(random_state=0), {"max_depth": [1]}).fit(data, target)
        assert {entry.score for entry in compare(one, other)} == {one.best_score_, other.best_score_}


# --- refusals ---------------------------------------------------------------------------------------------------------


class TestRefused:
    @pytest.mark.parametrize(
        ("data", "cv", "expected"),
        [
            ((X + 1, Y), 2, "X.values: 's1.0-2.0' has "),
            ((X[:10], Y[:10]), 2, "X.shape: 's1.0-2.0' has [12, 2], 'b' has [10, 2]"),
            ((X, 1 - Y), 2, "y.values: 's1.0-2.0' has "),
            ((X, Y), [([0, 1, 2], [3, 4]), ([3, 4], [0, 1])], "splits.indices: 's1.0-2.0' has "),
            ((X, Y), 3, "splits.folds: 's1.0-2.0' has 2, 'b' has 3"),
            ((pd.DataFrame(X, columns=["a", "b"]), Y), 2, "X.columns: 's1.0-2.0' has nothing, 'b' has {"),
        ],
        ids=["other values", "another shape", "another target", "other folds", "more folds", "another kind"],
    )
    def test_other_data_or_folds_are_told_line_by_line(self, data, cv, expected):
        one = scored(1.0, 2.0)
        other = OptunaSearchCV(KnownScore(), {"x": [1.0]}, cv=cv, study_name="b").fit(*data)
        message = "^These studies were measured on different data or folds, so their scores cannot be compared:\n  - "
        with pytest.raises(StudyMismatchError, match=message) as raised:
            compare(one, other)
        assert any(line.startswith(expected) for line in raised.value.differences), raised.value.differences
        assert "  - " + expected in str(raised.value)

    @pytest.mark.filterwarnings("ignore:The scoring LogisticRegression.score does not support sample_weight")
    def test_other_weights_are_other_data(self):
        weighted, plain = (
            OptunaSearchCV(LogisticRegression(), {"C": [1.0]}, study_name=name, cv=2) for name in ("a", "b")
        )
        with pytest.raises(StudyMismatchError, match=r"metadata\.fit\.sample_weight: 'a' has .*, 'b' has nothing"):
            compare(weighted.fit(X, Y, sample_weight=np.ones(12)), plain.fit(X, Y))

    def test_every_study_is_held_against_the_first(self):
        with pytest.raises(StudyMismatchError) as raised:
            compare(scored(1.0, 2.0, study_name="a"), scored(3.0, 4.0), scored(1.0, 2.0, 3.0, study_name="c"))
        assert [line.split(",")[0] for line in raised.value.differences] == [
            "splits.folds: 'a' has 2",
            raised.value.differences[1].split(",")[0],
        ]

    @pytest.mark.parametrize("n", [0, 1])
    def test_fewer_than_two(self, n):
        given = [scored(1.0, 2.0)][:n]
        with pytest.raises(InvalidRequestError, match=rf"^compare\(\) needs at least two studies; {n} given\.$"):
            compare(*given)

    def test_one_study_twice(self):
        one = scored(1.0, 2.0, study_name="a")
        with pytest.raises(InvalidRequestError, match=r"^study 'a' is given twice"):
            compare(one, one)

    def test_one_study_by_name_and_as_a_search(self, tmp_path):
        one = scored(1.0, 2.0, study_name="a", storage=tmp_path / "s.db")
        with pytest.raises(InvalidRequestError, match=r"^study 'a' is given twice"):
            compare(one, "a", storage=tmp_path / "s.db")

    def test_two_studies_of_one_name_are_two_studies(self):
        found = compare(scored(1.0, 2.0, study_name="a"), scored(3.0, 4.0, study_name="a"))
        assert [entry.score for entry in found] == [3.5, 1.5]

    def test_names_without_a_storage_and_whatever_else_all_at_once(self):
        with pytest.raises(InvalidRequestError) as raised:
            compare("a", search(), 3)
        assert raised.value.complaints == (
            "'a' is the name of a study: say where it is, with storage=.",
            "a search of KnownScore is not fitted: call fit() first, or give a study's name.",
            "3 is neither a fitted OptunaSearchCV, nor a study, nor the name of one.",
        )

    def test_a_mistyped_name(self):
        storage = InMemoryStorage()
        scored(1.0, 2.0, study_name="wine-quality", storage=storage)
        with pytest.raises(StorageError, match=re.escape("Did you mean 'wine-quality'?")):
            compare("wine-quality", "wine-qualty", storage=storage)

    def test_a_storage_that_is_not_there_is_not_made(self, tmp_path):
        with pytest.raises(StorageError, match=r"there is no file"):
            compare("a", "b", storage=tmp_path / "s.db")
        assert not [*tmp_path.iterdir()]

    @of_failures
    def test_a_study_without_any_score(self):
        storage = InMemoryStorage()
        failing = search({"x": [1]}, FailsOn(bad=(1,)), storage=storage, study_name="bad", n_trials=None, sampler=None)
        with pytest.raises(ValueError, match="All the 2 fits failed"):
            failing.fit(X, Y)
        one = search(study_name="good", storage=storage).fit(X, Y)
        with pytest.raises(
            NoResultError, match=r"^study_name='bad' has nothing to compare: no trial of it has a score"
        ):
            compare(one, "bad", storage=storage)

    @of_failures
    def test_a_study_without_any_score_in_every_fold(self):
        halves = scored(math.nan, 1.0, study_name="half", error_score=math.nan, refit=False)
        with pytest.raises(
            NoResultError, match=r"^study_name='half' .* no trial of it has a score by 'score' in every"
        ):
            compare(scored(1.0, 2.0), halves)
