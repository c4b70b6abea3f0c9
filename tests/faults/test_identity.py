"""A study goes on only with what it was measured on, and goes on with that whatever happens around it."""

import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.pruners import ThresholdPruner
from optuna.storages import InMemoryStorage
from optuna.trial import create_trial
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from optuna_search import OptunaSearchCV, named, studies
from optuna_search._record import SCHEMA
from optuna_search.exceptions import (
    ForeignTrialsWarning,
    SpaceError,
    StudyMismatchError,
    VersionWarning,
)

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
WEIGHTS = np.arange(12.0)
SPACE = {"x": FloatDistribution(0, 6)}


class Known(ClassifierMixin, BaseEstimator):
    """Scores ``peak - (x - 3)**2 - len(str(choice)) / 100``, and counts its fits in this process."""

    fits = 0

    def __init__(self, x=0.0, choice=None, peak=10.0):
        self.x = x
        self.choice = choice
        self.peak = peak

    def fit(self, X, y=None, sample_weight=None):
        Known.fits += 1
        if self.choice == "fails":
            raise ValueError("no model with that")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y=None, sample_weight=None):
        return self.peak - (self.x - 3) ** 2 - len(str(self.choice)) / 100


class Other(Known):
    """Another class of estimator, with the same scores."""


def search(space=SPACE, estimator=None, **how):
    how = {"n_trials": 3, "cv": 3, "sampler": "random", "random_state": 0, "study_name": "s"} | how
    return OptunaSearchCV(Known() if estimator is None else estimator, space, **how)


@pytest.fixture
def storage():
    return InMemoryStorage()


def assert_told_before_the_first_fit(act, *expected):
    """Assert that something is a mismatch, with a line for each thing that differs, and that nothing was fitted."""
    before = Known.fits
    with pytest.raises(StudyMismatchError) as raised:
        act()
    assert Known.fits == before
    for line in expected:
        assert any(one.startswith(line) for one in raised.value.differences), raised.value.differences
        assert f"\n  - {line}" in str(raised.value)
    return str(raised.value)


# --- other data, another model, other scores --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ((X + 1, Y), "X.values: the study has "),
        ((X[:9], Y[:9]), "X.shape: the study has [12, 2], given is [9, 2]"),
        ((X.astype("float32"), Y), "X.dtype: the study has float64, given is float32"),
        ((X, 1 - Y), "y.values: the study has "),
        ((X, np.array(["no", "yes"])[Y]), "y.dtype: the study has int64, given is "),
    ],
    ids=["X", "fewer samples", "another dtype", "y", "other labels"],
)
def test_other_data_are_told_with_what_they_were_and_what_they_are(data, line, storage):
    search(storage=storage).fit(X, Y)
    told = assert_told_before_the_first_fit(lambda: search(storage=storage, n_trials=9).fit(*data), line)
    assert "study_name='svc-{data}'" in told
    assert search(storage=storage, n_trials=4).fit(X, Y).n_trials_ == 4


def error(greater_is_better):
    return make_scorer(mean_absolute_error, greater_is_better=greater_is_better)


def halved(estimator, X, y):
    return estimator.score(X, y) / 2


#: A search, and its change, and the line in which it is told.
CHANGES = {
    "another estimator": ({}, {"estimator": Other()}, "estimator.class: the study has test_identity.Known, given is "),
    "a fixed parameter": ({}, {"estimator__peak": 9.0}, "estimator.peak: the study has 10.0, given is 9.0"),
    "cv": ({}, {"cv": KFold(4)}, "splits.folds: the study has 3, given is 4"),
    "folds of another kind": ({}, {"cv": KFold(3, shuffle=True, random_state=0)}, "splits.indices: "),
    "scoring": ({}, {"scoring": "accuracy"}, "scoring: the study has the estimator's own score, given is accuracy"),
    "scoring by a function": (
        {},
        {"scoring": halved},
        "scoring: the study has the estimator's own score, given is <fu",
    ),
    "the direction": (
        {"scoring": error(False)},
        {"scoring": error(True)},
        "scoring.sign: the study has -1, given ",
    ),
    "error_score": ({}, {"error_score": -1.0}, "error_score: the study has nan, given is -1.0"),
    "what is pursued": (
        {"scoring": {"one": "accuracy", "two": "f1"}, "refit": "one"},
        {"refit": "two"},
        "objective: the study has one, given is two",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_thing_that_differs_is_named_before_the_first_fit(what, storage):
    how, change, line = CHANGES[what]
    search(storage=storage, **how).fit(X, Y)
    other = search(storage=storage, n_trials=9, **how).set_params(**change)
    assert_told_before_the_first_fit(lambda: other.fit(X, Y), line)


@pytest.mark.parametrize("weights", [None, WEIGHTS[::-1]], ids=["none", "others"])
def test_other_weights_are_named_before_the_first_fit(weights, storage):
    search(storage=storage).fit(X, Y, sample_weight=WEIGHTS)
    given = {} if weights is None else {"sample_weight": weights}
    assert_told_before_the_first_fit(
        lambda: search(storage=storage, n_trials=9).fit(X, Y, **given), "metadata.fit.sample_weight"
    )


def test_all_that_differs_is_named_at_once(storage):
    search(storage=storage).fit(X, Y)
    other = search({"x": [1, 2]}, Other(peak=1), storage=storage, cv=4, scoring="accuracy", error_score=0, n_trials=9)
    parts = ["X", "y", "metadata", "splits", "scoring", "error_score", "estimator", "space"]
    assert_told_before_the_first_fit(lambda: other.fit(X + 1, 1 - Y, sample_weight=WEIGHTS), *parts)


# --- another space ----------------------------------------------------------------------------------------------------

WHOLE = {"x": FloatDistribution(0, 6), "choice": ["a", "bb", None]}
PARTS = {
    "a part of the range": {"x": FloatDistribution(1, 2), "choice": ["a", "bb", None]},
    "fewer choices": {"x": FloatDistribution(0, 6), "choice": ["bb"]},
    "a list of its numbers": {"x": [1.0, 2.0], "choice": ["a", "bb", None]},
    "one parameter less": {"x": FloatDistribution(0, 6)},
    "a wider range": {"x": FloatDistribution(-6, 60), "choice": ["a", "bb", None]},
    "a list of dicts": [{"x": FloatDistribution(0, 2)}, {"choice": ["bb"]}],
}


def is_in(params, space):
    """Whether parameters lie in a space."""
    if isinstance(space, list):
        return any(is_in(params, one) for one in space)

    def is_value(value, given):
        return given.low <= value <= given.high if isinstance(given, FloatDistribution) else value in given

    return params.keys() == space.keys() and all(is_value(params[name], space[name]) for name in space)


@pytest.mark.parametrize("what", PARTS)
def test_another_space_is_told_with_the_way_to_fork_and_the_best_lies_in_the_one_that_is_given(what, storage):
    whole = search(WHOLE, storage=storage, n_trials=8).fit(X, Y)
    told = assert_told_before_the_first_fit(
        lambda: search(PARTS[what], storage=storage, n_trials=9).fit(X, Y), "estimator" if "less" in what else "space"
    )
    if "less" not in what and "dicts" not in what:
        assert "fork the study: search.fork(new_space)" in told
    space = PARTS[what] if isinstance(PARTS[what], list) else [PARTS[what]]
    forked = whole.fork(space, study_name="fork", n_trials=2).fit(X, Y)
    assert all(is_in(params, space) for params in forked.cv_results_["params"])
    assert is_in(forked.best_params_, space)
    assert is_in(OptunaSearchCV.from_study("fork", storage, Known(), space).best_params_, space)


@pytest.mark.parametrize("what", ["a part of the range", "fewer choices", "one parameter less"])
def test_results_are_not_read_with_a_space_that_they_are_no_points_of(what, storage):
    search(WHOLE, storage=storage, n_trials=8).fit(X, Y)
    with pytest.raises(SpaceError, match=r"param_distributions is not the space of this study: trial \d+ with .*"):
        OptunaSearchCV.from_study("s", storage, Known(), PARTS[what])


# --- trials of others -------------------------------------------------------------------------------------------------


def by_hand(study):
    study.add_trial(create_trial(value=1e9, params={"x": 3.0}, distributions=SPACE))


def by_optuna(study):
    study.optimize(lambda trial: 1e9 + trial.suggest_float("x", 0, 6), n_trials=1)


def by_asking(study):
    study.tell(study.ask(SPACE), 1e9)


def in_the_queue(study):
    study.enqueue_trial({"x": 3.0})


def left_running(study):
    study.ask(SPACE)


def of_another_space(study):
    study.add_trial(create_trial(value=1e9, params={"y": "a"}, distributions={"y": CATEGORIES}))


CATEGORIES = optuna.distributions.CategoricalDistribution(["a", "b"])


@pytest.mark.parametrize("added", [by_hand, by_optuna, by_asking, in_the_queue, left_running, of_another_space])
def test_trials_of_others_are_counted_and_change_nothing(added, tmp_path):
    path = tmp_path / "s.journal"
    undisturbed = search(study_name=None, n_trials=3).fit(X, Y)
    fitted = search(storage=path).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        added(fitted.study_)
    with pytest.warns(ForeignTrialsWarning, match=r"^1 trial\(s\) of study 's' were added by something else"):
        again = search(storage=path).fit(X, Y)
    with pytest.warns(ForeignTrialsWarning, match=r"^1 trial\(s\) of study 's'"):
        read = OptunaSearchCV.from_study("s", path, Known(), SPACE)
    for one in (again, read):
        assert one.n_trials_ == 3
        assert one.best_params_ == undisturbed.best_params_ and one.best_score_ == undisturbed.best_score_
        assert one.best_trial_.number == undisturbed.best_trial_.number
        assert [leader.trial_number for leader in one.top_n_] == [leader.trial_number for leader in undisturbed.top_n_]
    (listed,) = studies.list_studies(path)
    assert (listed.n_trials, listed.best_score) == (3, undisturbed.best_score_)
    with pytest.warns(ForeignTrialsWarning):
        assert search(storage=path, n_trials=5).fit(X, Y).n_trials_ == 5


# --- clones, nested cross-validation, twice ---------------------------------------------------------------------------


def test_fitting_twice_is_one_study_of_so_many_trials(tmp_path):
    made = search(storage=tmp_path / "s.journal")
    first = made.fit(X, Y).cv_results_["mean_test_score"]
    for again in (made, clone(made), search(storage=tmp_path / "s.journal")):
        before = Known.fits
        np.testing.assert_array_equal(again.fit(X, Y).cv_results_["mean_test_score"], first)
        assert Known.fits == before + 1, "the best is fitted on all data, and nothing else"
    assert [study.n_trials for study in studies.list_studies(tmp_path / "s.journal")] == [3]


def test_a_clone_of_a_search_without_a_name_has_a_study_of_its_own(tmp_path):
    made = search(storage=tmp_path / "s.journal", study_name=None)
    for one in (made, made, clone(made)):
        one.fit(X, Y)
    assert [study.n_trials for study in studies.list_studies(tmp_path / "s.journal")] == [3, 3, 3]


@pytest.mark.parametrize("wrap", [lambda made: made, make_pipeline], ids=["alone", "in a pipeline"])
def test_outer_folds_never_share_a_trial(wrap, tmp_path):
    outer = StratifiedKFold(3)
    made = search(storage=tmp_path / "s.journal")
    with pytest.raises(StudyMismatchError, match=r"X\.(values|shape): "):
        cross_val_score(wrap(made), X, Y, cv=outer, error_score="raise")
    made.set_params(study_name="{data}")
    scores = cross_val_score(wrap(made), X, Y, cv=outer, error_score="raise")
    listed = {study.name: study.n_trials for study in studies.list_studies(tmp_path / "s.journal")}
    assert listed == dict.fromkeys(listed, 3) and len(listed) == 4
    before = Known.fits
    np.testing.assert_array_equal(cross_val_score(wrap(made), X, Y, cv=outer, error_score="raise"), scores)
    assert Known.fits == before + 3


# --- versions, and files of older ones --------------------------------------------------------------------------------

GOLDEN = Path(__file__).parent.parent / "golden"
ENDINGS = (".db", ".journal")


def doubled(value):
    return 2 * value


def of_function(trial):
    kind = trial.suggest_categorical("kind", ["low", "high"])
    return {"x": trial.suggest_float(f"{kind} x", 0.0, 3.0) + (3.0 if kind == "high" else 0.0), "choice": kind}


#: Name -> how the search is made.
SCRIPTS = {
    "ranges": {"space": {"x": FloatDistribution(0.01, 9.0, log=True), "peak": IntDistribution(5, 15, step=5)}},
    "objects": {
        "space": {"x": [1, 2.5, 4], "choice": [None, True, (1, 2), doubled, "text"]},
        "n_trials": None,
        "sampler": None,
    },
    "quantiles": {"space": {"x": norm(3.0, 1.0), "choice": named({"one": "1", "two": "22"})}},
    "dicts": {"space": [{"x": FloatDistribution(0, 6)}, {"choice": ["a", "bb"], "x": [3.0]}]},
    "function": {"space": of_function},
    "failures": {"space": {"choice": ["a", "fails"]}, "n_trials": None, "sampler": None},
    "metrics": {
        "space": {"x": FloatDistribution(0, 6)},
        "scoring": {"own": halved, "accuracy": "accuracy"},
        "refit": "own",
        "return_train_score": True,
    },
    # since schema 2
    "pruned": {"space": SPACE, "pruner": ThresholdPruner(lower=9.6), "n_trials": 6},
    "rungs": {"space": SPACE, "resource": "n_samples", "min_resources": 2, "pruner": ThresholdPruner(lower=9.6)},
    # since schema 3
    "racing": {"space": SPACE, "resource": "n_samples", "min_resources": 2},
    "goals": {"space": SPACE, "objectives": ["score", "fit_time"]},
}
SINCE = {"pruned": 2, "rungs": 2, "racing": 3, "goals": 3}

#: What the files hold: name -> trials, best score, best parameters.
KNOWN = {
    "ranges": (4, 8.242952408364456, {"peak": 10, "x": 4.310361626283197}),
    "objects": (15, 9.71, {"choice": None, "x": 2.5}),
    "quantiles": (4, 9.97474489249661, {"choice": "22", "x": 3.0724921202848408}),
    "dicts": (4, 9.99, {"choice": "a", "x": 3.0}),
    "function": (4, 9.95811644523035, {"x": 2.8909882815030876, "choice": "low"}),
    "failures": (2, 0.99, {"choice": "a"}),
    "metrics": (4, 4.943738997913208, {"x": 3.2692990979813814}),
    "pruned": (6, 9.887477995826416, {"x": 3.2692990979813814}),
    "rungs": (4, 9.887477995826416, {"x": 3.2692990979813814}),
    "racing": (4, 9.887477995826416, {"x": 3.2692990979813814}),
    "goals": (4, 9.887477995826416, {"x": 3.2692990979813814}),
}
#: How many trials of "ranges" came over into "fork", and how many did not.
CARRIED = (1, 3)


def script(name, path, **how):
    """The search that has made the study of this name."""
    return search(**{"storage": path, "study_name": name, "n_trials": 4} | SCRIPTS[name] | how)


def make_golden(folder):
    """Write the files anew, as the present version writes them, and print what they hold.

    A released file is never written again: a new schema gets new files beside the old ones. They are written on the
    oldest supported versions, so that no newer Optuna has to have made the tables, from the root of a checkout:

        PYTHONPATH=.:tests/faults python -c "import test_identity as t; t.make_golden(t.GOLDEN)"
    """
    warnings.simplefilter("ignore")
    for ending in ENDINGS:
        path, made = folder / f"schema-{SCHEMA}{ending}", folder / f"made{ending}"
        for name in SCRIPTS:
            fitted = script(name, made).fit(X, Y)
            print(f"    {name!r}: {(fitted.n_trials_, float(fitted.best_score_), fitted.best_params_)},")
        narrow = {"x": FloatDistribution(1.0, 4.0, log=True)}
        fork = script("ranges", made).fit(X, Y).fork(narrow, study_name="fork", n_trials=2).fit(X, Y)
        print(f"    fork: {len(fork.fork_report_.carried), len(fork.fork_report_.dropped)}")
        path.unlink(missing_ok=True)
        if ending == ".db":
            with closing(sqlite3.connect(made)) as db:
                db.execute("VACUUM INTO ?", (str(path),))
        else:
            shutil.copy(made, path)
        for left in folder.glob("made*"):
            left.unlink()


FILES = [f"schema-{schema}{ending}" for schema in range(1, SCHEMA + 1) for ending in ENDINGS]
HELD = [(name, file) for name in SCRIPTS for file in FILES if int(file[7]) >= SINCE.get(name, 1)]


@pytest.fixture
def golden(request, tmp_path):
    """A copy of a file that an earlier version of the records, or the present one, was written to."""
    return Path(shutil.copy(GOLDEN / request.param, tmp_path))


of_other_versions = pytest.mark.filterwarnings("ignore::optuna_search.exceptions.VersionWarning")
with_failures = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the t:UserWarning"),
]


def test_there_are_files_of_every_schema_and_they_are_small():
    assert {file.name for file in GOLDEN.iterdir()} == set(FILES)
    assert all(file.stat().st_size < 200_000 for file in GOLDEN.iterdir())


@pytest.mark.parametrize(("name", "golden"), HELD, indirect=["golden"])
@of_other_versions
class TestFilesOfEverySchema:
    pytestmark = with_failures

    def test_hold_what_they_held(self, name, golden):
        n_trials, score, params = KNOWN[name]
        how = {key: SCRIPTS[name][key] for key in ("scoring", "refit", "return_train_score") if key in SCRIPTS[name]}
        for space in (SCRIPTS[name]["space"], None):
            read = OptunaSearchCV.from_study(name, golden, Known(), space, **how)
            assert read.n_trials_ == n_trials
            assert read.best_score_ == pytest.approx(score, rel=1e-9)
            assert read.best_params_.keys() == params.keys()
            if space is not None:
                assert read.best_params_ == {key: pytest.approx(one) for key, one in params.items()}
            assert len(read.top_n_) == {"failures": 1, "pruned": 3, "rungs": 2, "racing": 3}.get(name, n_trials)
        listed = next(one for one in studies.list_studies(golden) if one.name == name)
        assert listed.best_score == (None if name == "goals" else pytest.approx(score))

    def test_are_continued_by_the_script_that_made_them(self, name, golden):
        n_trials, score, _ = KNOWN[name]
        total = None if SCRIPTS[name].get("n_trials", 4) is None else n_trials + 2
        before = Known.fits
        fitted = script(name, golden, n_trials=total).fit(X, Y)
        assert fitted.n_trials_ == (total or n_trials)
        # Of two further trials one of "pruned" ends after a fold, one of "rungs" goes on to the second rung, and in
        # "racing" the first fold goes ahead.
        further = {"pruned": 4, "rungs": 9, "racing": 5}.get(name, 6)
        assert Known.fits - before == (1 if total is None else further + 1)
        assert fitted.best_score_ >= score - 1e-9

    def test_are_forked_and_copied(self, name, golden, tmp_path):
        fork = script(name, golden, study_name="new fork", fork_of=name, n_trials=1, sampler="random")
        fork.fit(X, Y)
        assert len(fork.fork_report_.carried) == KNOWN[name][0]
        studies.copy_study(name, "copied", golden, new_storage=tmp_path / "new.journal")
        (copied,) = studies.list_studies(tmp_path / "new.journal")
        assert copied.n_trials == KNOWN[name][0]


@pytest.mark.parametrize("golden", FILES, indirect=True)
@of_other_versions
def test_a_fork_of_an_earlier_schema_knows_what_it_came_from(golden):
    read = OptunaSearchCV.from_study("fork", golden, Known())
    report = read.fork_report_
    assert report.parent == "ranges"
    assert (len(report.carried), len(report.dropped)) == CARRIED
    assert [one.forked_from for one in studies.list_studies(golden)][-1] == "ranges"


def test_versions_that_differ_are_told_and_do_not_block(storage, monkeypatch):
    search(storage=storage).fit(X, Y)
    monkeypatch.setattr("sklearn.__version__", "99.0")
    with pytest.warns(VersionWarning, match=r"scikit-learn: the study has \d.*, given is 99\.0\.$"):
        assert search(storage=storage, n_trials=4).fit(X, Y).n_trials_ == 4
