"""A kept study gives its results without any data, and goes on once it gets them."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import optuna
import pytest
from estimators import CountsFits, FailsOn, KnownScore, high, low, two_scores
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from test_storage import (
    assert_same_results,
    everything_in,
    kept_in,  # noqa: F401 - a fixture
    record_of,
    search,
    written_out,
)

from optuna_search import OptunaSearchCV
from optuna_search.exceptions import (
    InvalidRequestError,
    NoResultError,
    OptunaSearchError,
    SpaceError,
    StorageError,
    StudyMismatchError,
)

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}

of_failures = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores are non-finite:UserWarning"
)


# --- what it gives ----------------------------------------------------------------------------------------------------


class TestResults:
    def test_everything_but_the_model_is_there(self, kept_in):  # noqa: F811
        fitted = search(storage=kept_in, study_name="s", n_trials=5).fit(X, Y)
        read = OptunaSearchCV.from_study("s", kept_in, KnownScore(), SPACE)
        assert isinstance(read, OptunaSearchCV)
        assert_same_results(read.cv_results_, fitted.cv_results_)
        for name in (
            "best_params_",
            "best_score_",
            "best_index_",
            "best_trial_",
            "n_splits_",
            "n_trials_",
            "multimetric_",
        ):
            assert getattr(read, name) == getattr(fitted, name), name
        assert read.top_n_ == fitted.top_n_
        assert read.top_n_[0].params == fitted.best_params_
        assert read.study_.trials == fitted.study_.trials
        assert not hasattr(read, "best_estimator_")

    def test_the_parameters_are_those_that_were_given(self, tmp_path):
        search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        model = KnownScore(peak=3.0)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", model, SPACE, cv=2, verbose=0, n_trials=9)
        assert read.estimator is model
        assert read.param_distributions is SPACE
        assert (read.study_name, read.storage, read.cv, read.n_trials) == ("s", tmp_path / "s.db", 2, 9)

    def test_the_space_may_be_given_by_its_other_name(self, tmp_path):
        grid = {"choice": [StandardScaler(), None]}
        search(grid, storage=tmp_path / "s.db", study_name="s", sampler=None, n_trials=None).fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), param_grid=grid)
        assert [params["choice"] for params in read.cv_results_["params"]] == grid["choice"]

    @pytest.mark.parametrize(
        "given",
        [
            lambda path: str(path),
            Path,
            lambda path: f"sqlite:///{path}",
            lambda path: RDBStorage(f"sqlite:///{path}"),
            lambda path: optuna.storages.get_storage(f"sqlite:///{path}"),
        ],
        ids=["str", "Path", "URL", "RDBStorage", "what Optuna makes of a URL"],
    )
    def test_the_storage_may_be_given_in_any_form(self, given, tmp_path):
        fitted = search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        read = OptunaSearchCV.from_study("s", given(tmp_path / "s.db"), KnownScore())
        assert_same_results(read.cv_results_, fitted.cv_results_)

    def test_a_journal_may_be_given_as_an_object(self, tmp_path):
        fitted = search(storage=tmp_path / "s.journal", study_name="s").fit(X, Y)
        opened = JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))
        assert_same_results(OptunaSearchCV.from_study("s", opened, KnownScore()).cv_results_, fitted.cv_results_)

    def test_the_best_parameters_can_be_given_to_the_model(self, tmp_path):
        pipe = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
        space = {"scale": [StandardScaler(), MinMaxScaler()], "clf__C": FloatDistribution(0.1, 10)}
        fitted = search(space, pipe, storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", pipe, space)
        model = clone(pipe).set_params(**read.best_params_).fit(X, Y)
        np.testing.assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))

    def test_reading_writes_nothing(self, tmp_path):
        made = search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        made.study_.ask()  # somebody else is at work
        before = everything_in(tmp_path / "s.db")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE)
        assert everything_in(tmp_path / "s.db") == before

    def test_the_data_are_not_needed_and_nothing_is_fitted(self, tmp_path):
        counted = CountsFits(str(tmp_path / "fits"))
        search(estimator=counted, storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        (tmp_path / "fits").unlink()
        OptunaSearchCV.from_study("s", tmp_path / "s.db", counted, SPACE)
        assert not (tmp_path / "fits").exists()

    def test_it_can_be_pickled_and_cloned(self, tmp_path):
        search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE)
        copied = pickle.loads(pickle.dumps(read))
        assert_same_results(copied.cv_results_, read.cv_results_)
        assert copied.study_.trials == read.study_.trials
        assert not hasattr(clone(read), "cv_results_")
        assert clone(read).study_name == "s"

    def test_there_is_no_model_to_predict_with_before_it_is_fitted(self, tmp_path):
        search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE)
        with pytest.raises((NotFittedError, AttributeError), match=r"best_estimator_|fit"):
            read.predict(X)


# --- what the storage knows by itself ---------------------------------------------------------------------------------


class TestFromTheStorageAlone:
    """Name, storage and estimator are enough: what was measured, and how, is kept with the study."""

    @pytest.mark.parametrize(
        ("scoring", "refit"),
        [({"high": high, "low": low}, "low"), (["accuracy", "f1"], "f1"), (two_scores, "not_wrong")],
        ids=["dict", "list", "function"],
    )
    def test_several_metrics(self, scoring, refit, tmp_path):
        fitted = search(storage=tmp_path / "s.db", study_name="s", scoring=scoring, refit=refit).fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore())
        assert_same_results(read.cv_results_, fitted.cv_results_)
        assert read.multimetric_
        assert read.best_index_ == fitted.best_index_
        assert read.best_params_ == fitted.best_params_
        assert read.best_score_ == fitted.best_score_
        assert read.top_n_.metric == refit
        assert read.top_n_ == fitted.top_n_
        assert read.top_n_(1, by=refit)[0].params == fitted.best_params_

    @of_failures
    def test_what_stands_for_a_failed_fit(self, tmp_path):
        how = {"storage": tmp_path / "s.db", "study_name": "s", "sampler": None, "n_trials": None}
        fitted = search({"x": [1, 2, 3]}, FailsOn(bad=(2,)), error_score=-99.5, **how).fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", FailsOn(bad=(2,)))
        assert fitted.cv_results_["mean_test_score"][1] == -99.5
        assert_same_results(read.cv_results_, fitted.cv_results_)

    def test_a_metric_by_its_name(self, tmp_path):
        how = {"storage": tmp_path / "s.db", "study_name": "s"}
        fitted = search({"C": FloatDistribution(0.1, 1)}, LogisticRegression(), scoring="f1", **how).fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", LogisticRegression())
        assert_same_results(read.cv_results_, fitted.cv_results_)
        assert read.best_score_ == fitted.best_score_

    def test_train_scores_where_they_are_asked_for(self, tmp_path):
        how = {"storage": tmp_path / "s.db", "study_name": "s"}
        fitted = search(return_train_score=True, **how).fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), return_train_score=True)
        assert_same_results(read.cv_results_, fitted.cv_results_)
        without = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore()).cv_results_
        assert list(without) == [key for key in fitted.cv_results_ if "train" not in key]

    @of_failures
    def test_a_study_of_failures_only_says_so(self, tmp_path):
        made = search({"x": [1, 2]}, FailsOn(bad=(1, 2)), sampler="grid", storage=tmp_path / "s.db", study_name="s")
        with pytest.raises(ValueError, match="All the 4 fits failed"):
            made.fit(X, Y)
        with pytest.raises(NoResultError, match=r"'s' has nothing to show: every fit of its 2 trials failed"):
            OptunaSearchCV.from_study("s", tmp_path / "s.db", FailsOn(bad=(1, 2)))

    def test_a_study_that_has_not_begun_says_so(self, tmp_path):
        made = search(storage=tmp_path / "s.db", study_name="s", estimator=Stops())
        with pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        with pytest.raises(NoResultError, match=r"'s' has nothing to show: not one of its trials is finished"):
            OptunaSearchCV.from_study("s", tmp_path / "s.db", Stops())


class Stops(KnownScore):
    """Is interrupted in its first fit."""

    def fit(self, X, y=None):
        raise KeyboardInterrupt


# --- without the space, and with one ----------------------------------------------------------------------------------


GRID = {"choice": [StandardScaler(), "a", None, 1.5]}


class TestSpace:
    @pytest.fixture
    def path(self, tmp_path):
        how = {"sampler": None, "n_trials": None, "storage": tmp_path / "s.db", "study_name": "s"}
        search(GRID, **how).fit(X, Y)
        return tmp_path / "s.db"

    def test_without_it_objects_are_their_tokens(self, path):
        read = OptunaSearchCV.from_study("s", path, KnownScore())
        assert [params["choice"] for params in read.cv_results_["params"]] == ["StandardScaler()", "a", None, 1.5]
        assert "StandardScaler()" in repr(read.top_n_)

    def test_without_it_a_fit_asks_for_it(self, path):
        read = OptunaSearchCV.from_study("s", path, KnownScore(), cv=2)
        with pytest.raises(SpaceError, match=r"^There is nothing to search: give param_distributions"):
            read.fit(X, Y)
        read.set_params(param_distributions=GRID).fit(X, Y)
        assert read.cv_results_["params"] == [{"choice": choice} for choice in GRID["choice"]]
        assert read.best_estimator_ is not None

    @pytest.mark.parametrize(
        "other",
        [
            {"choice": ["a", None, 1.5]},
            {"x": FloatDistribution(0, 1)},
            {},
            [{"x": [1]}, {"peak": [1.0]}],
            lambda trial: {"choice": trial.suggest_categorical("other", ["a"])},
        ],
        ids=["a choice less", "another parameter", "no parameter", "a list of dicts", "a function"],
    )
    def test_one_that_the_trials_are_no_points_of_is_a_clear_error(self, other, path):
        with pytest.raises(OptunaSearchError, match=r"study_name='s'|space|param_distributions") as raised:
            OptunaSearchCV.from_study("s", path, KnownScore(), other)
        assert not isinstance(raised.value, NoResultError)

    def test_one_that_is_none_is_a_clear_error(self, path):
        with pytest.raises(SpaceError, match=r"Parameter grid for parameter 'x' needs to be a list"):
            OptunaSearchCV.from_study("s", path, KnownScore(), {"x": 3})

    def test_two_are_a_clear_error(self, path):
        with pytest.raises(SpaceError, match=r"param_distributions and param_grid are two names for one thing"):
            OptunaSearchCV.from_study("s", path, KnownScore(), GRID, param_grid=GRID)


# --- going on ---------------------------------------------------------------------------------------------------------


class TestGoingOn:
    def test_fit_continues_the_study(self, kept_in, tmp_path):  # noqa: F811
        counted = CountsFits(str(tmp_path / "fits"))
        search(estimator=counted, storage=kept_in, study_name="s", n_trials=3).fit(X, Y)
        (tmp_path / "fits").unlink()
        read = OptunaSearchCV.from_study("s", kept_in, counted, SPACE, cv=2, n_trials=5, sampler="random")
        first = written_out({k: v for k, v in read.cv_results_.items() if "rank" not in k})
        assert read.fit(X, Y) is read
        assert read.n_trials_ == 5
        for key, column in written_out({k: v for k, v in read.cv_results_.items() if "rank" not in k}).items():
            assert column[:4] == first[key], key
        assert len((tmp_path / "fits").read_text().splitlines()) == 2 * 2 + 1
        assert read.predict(X).shape == (12,)

    def test_fit_with_other_data_is_refused_and_the_study_stays(self, tmp_path):
        search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE, cv=2)
        with pytest.raises(StudyMismatchError, match=r"X\.values: "):
            read.fit(X + 1, Y)
        again = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE, cv=2, n_trials=4)
        assert again.n_trials_ == 3
        assert again.fit(X, Y).n_trials_ == 4

    def test_fit_with_another_estimator_is_refused(self, tmp_path):
        search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(peak=11.0), SPACE, cv=2)
        with pytest.raises(StudyMismatchError, match=r"estimator\.peak: the study has 10\.0, given is 11\.0"):
            read.fit(X, Y)

    def test_a_study_that_was_named_after_its_data_is_found_by_its_real_name(self, tmp_path):
        fitted = search(storage=tmp_path / "s.db", study_name="svc-{data}").fit(X, Y)
        name = fitted.study_.study_name
        read = OptunaSearchCV.from_study(name, tmp_path / "s.db", KnownScore(), SPACE, cv=2, n_trials=4)
        assert read.fit(X, Y).n_trials_ == 4
        assert optuna.get_all_study_names(f"sqlite:///{tmp_path / 's.db'}") == [name]

    def test_a_study_without_a_name_of_ones_own_is_found_by_the_one_it_got(self, tmp_path):
        fitted = search(storage=tmp_path / "s.db").fit(X, Y)
        name = fitted.study_.study_name
        read = OptunaSearchCV.from_study(name, tmp_path / "s.db", KnownScore(), SPACE, cv=2, n_trials=4)
        assert read.fit(X, Y).n_trials_ == 4
        assert read.study_.study_name == name

    def test_a_metric_that_was_not_measured_cannot_be_refitted(self, tmp_path):
        how = {"storage": tmp_path / "s.db", "study_name": "s"}
        search(scoring={"high": high, "low": low}, refit="low", **how).fit(X, Y)
        with pytest.raises(InvalidRequestError, match=r"refit='middle' is not a metric of the study: high, low"):
            OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), refit="middle")
        assert OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), refit="high").best_index_ is not None

    def test_wrong_parameters_are_told_at_once(self, tmp_path):
        search(storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        with pytest.raises(InvalidRequestError, match=r"(?s)verbose.*n_trials"):
            OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE, n_trials=-1, verbose="loud")
        for name in (None, 5):
            with pytest.raises(InvalidRequestError, match="study_name"):
                OptunaSearchCV.from_study(name, tmp_path / "s.db", KnownScore())
        with pytest.raises(InvalidRequestError, match="storage"):
            OptunaSearchCV.from_study("s", 5, KnownScore())
        with pytest.raises(TypeError, match="nosuch"):
            OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), nosuch=1)


# --- what is not there ------------------------------------------------------------------------------------------------


class TestNotThere:
    def test_an_unknown_name_is_told_with_the_one_that_was_meant(self, kept_in):  # noqa: F811
        search(storage=kept_in, study_name="wine-quality").fit(X, Y)
        expected = r"^study_name='wine-qualty' is not in this storage\. Did you mean 'wine-quality'\?$"
        with pytest.raises(StorageError, match=expected):
            OptunaSearchCV.from_study("wine-qualty", kept_in, KnownScore())

    def test_an_unknown_name_is_told_with_those_that_there_are(self, tmp_path):
        for name in ("a", "b"):
            search(storage=tmp_path / "s.db", study_name=name).fit(X, Y)
        with pytest.raises(
            StorageError, match=r"^study_name='something' is not in this storage\. There are: 'a', 'b'\.$"
        ):
            OptunaSearchCV.from_study("something", tmp_path / "s.db", KnownScore())

    def test_a_storage_without_any_study_says_so(self):
        with pytest.raises(StorageError, match=r"^study_name='s' is not in this storage\. There are: none\.$"):
            OptunaSearchCV.from_study("s", InMemoryStorage(), KnownScore())

    @pytest.mark.parametrize("form", ["{}/s.db", "{}/s.journal", "sqlite:///{}/s.db"])
    def test_a_file_that_is_not_there_is_not_made_by_reading(self, form, tmp_path):
        given = form.format(tmp_path)
        with pytest.raises(StorageError, match=re.escape(f"storage={given!r}")):
            OptunaSearchCV.from_study("s", given, KnownScore())
        assert list(tmp_path.iterdir()) == []

    def test_memory_that_nobody_else_has_holds_no_study(self):
        with pytest.raises(StorageError, match=r"study_name='s' is not in this storage"):
            OptunaSearchCV.from_study("s", None, KnownScore())

    def test_a_search_that_is_going_on_can_be_read(self, tmp_path):
        seen = []

        def read(study, trial):
            found = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore(), SPACE)
            seen.append((found.n_trials_, found.best_score_))

        fitted = search(storage=tmp_path / "s.db", study_name="s", callbacks=read).fit(X, Y)
        assert [n for n, _ in seen] == [1, 2, 3]
        assert seen[-1][1] == fitted.best_score_
        assert [trial.state for trial in fitted.study_.trials] == [TrialState.COMPLETE] * 3


def test_every_kind_of_number_and_choice_is_what_it_was(tmp_path):
    space = {
        "x": IntDistribution(1, 9),
        "peak": FloatDistribution(0, 1, step=0.25),
        "choice": [1, 1.0, True, "1", None],
    }
    fitted = search(space, storage=tmp_path / "s.db", study_name="s", n_trials=20).fit(X, Y)
    read = OptunaSearchCV.from_study("s", tmp_path / "s.db", KnownScore())
    for ours, theirs in zip(read.cv_results_["params"], fitted.cv_results_["params"], strict=True):
        assert ours == theirs
        assert {name: type(value) for name, value in ours.items()} == {n: type(value) for n, value in theirs.items()}
    assert record_of(read.study_.user_attrs)[1] == record_of(fitted.study_.user_attrs)[1]
