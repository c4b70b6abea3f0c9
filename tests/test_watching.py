"""Watching a search: silence, a bar or lines; callbacks in the main thread; nothing global is touched."""

import contextlib
import io
import logging
import os
import re
import threading
import warnings
from pathlib import Path

import joblib
import numpy as np
import optuna
import pytest
from estimators import FailsOn, KnownScore
from handmade import folds
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.pruners import ThresholdPruner
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, TrialState
from processes import in_another_process
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from optuna_search import OptunaSearchCV
from optuna_search._goals import goals_in
from optuna_search._progress import Progress
from optuna_search._record import Climb, Record
from optuna_search._verdict import Verdict

GUIDE = (Path(__file__).parents[1] / "docs" / "watching.md").read_text()

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 2)), np.arange(12) % 2

MIXED = {"x": FloatDistribution(-5.0, 5.0), "choice": ["a", "b", None], "peak": IntDistribution(1, 9)}
ENDING = {"x": IntDistribution(0, 2), "choice": ["a", "b"]}


def search(space=MIXED, estimator=None, **more):
    """A finished search, without a refit."""
    settings = {"cv": 2, "refit": False, "random_state": 0, "n_trials": 6, **more}
    return OptunaSearchCV(estimator or KnownScore(), space, **settings).fit(X, Y)


# --- silence ----------------------------------------------------------------------------------------------------------

SAMPLERS = [None, "tpe", "random", "qmc", "cmaes", "nsgaii", "nsgaiii", "grid", "brute-force"]


@pytest.fixture
def logged(caplog):
    """All that Optuna and we log, down to the last detail."""
    names = ("optuna", "optuna_search")
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.DEBUG)
    for name in names:
        logging.getLogger(name).addHandler(caplog.handler)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "optuna_search"):
        yield lambda: [r.getMessage() for r in caplog.records if r.name.startswith(names)]
    for name in names:
        logging.getLogger(name).removeHandler(caplog.handler)
    optuna.logging.set_verbosity(level)


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_verbose_0_prints_and_logs_nothing(capfd, logged, sampler, n_jobs):
    with joblib.parallel_config("threading"):
        search(ENDING if sampler in ("grid", "brute-force") else MIXED, sampler=sampler, n_jobs=n_jobs)
        search(lambda trial: {"x": trial.suggest_int("x", 0, 3)}, sampler="tpe", n_jobs=n_jobs, n_trials=20)
    assert capfd.readouterr() == ("", "")
    assert logged() == []


@pytest.mark.parametrize("file", ["s.db", "s.journal"])
def test_verbose_0_prints_and_logs_nothing_with_a_storage(capfd, logged, tmp_path, file):
    where = {"storage": str(tmp_path / file), "study_name": "silent"}
    for n_trials in (2, 3):
        search(n_trials=n_trials, **where)
    assert capfd.readouterr() == ("", "")
    assert logged() == []


class Talks(RandomSampler):
    """Logs a line as a module of Optuna's does that is imported only now."""

    def before_trial(self, study, trial):
        logging.getLogger(f"optuna.imported_for.{trial.number}").warning("hello")


def test_a_logger_that_is_new_is_silent_as_well(monkeypatch):
    (handler,) = (one for one in logging.getLogger("optuna").handlers if type(one) is logging.StreamHandler)
    monkeypatch.setattr(handler, "stream", io.StringIO())
    search(sampler=Talks(seed=0))
    assert handler.stream.getvalue() == ""
    optuna.create_study(sampler=Talks(seed=0)).ask()
    assert "hello" in handler.stream.getvalue()


@pytest.mark.parametrize("verbose", [1, 2, 3])
def test_optuna_logs_nothing_at_any_verbosity(logged, verbose):
    search(verbose=verbose)
    assert logged() == []


def test_a_fresh_process_and_its_workers_print_and_log_nothing(tmp_path):
    # Loggers that a sampler brings along are not there yet in a fresh process.
    code = """
import os; os.dup2(1, 2)  # what goes to standard error counts as well
import logging, sys, warnings
import numpy as np
import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from sklearn.linear_model import LogisticRegression
from optuna_search import OptunaSearchCV

warnings.simplefilter("always")
logging.basicConfig(level=logging.DEBUG, format="%(name)s %(message)s")
optuna.logging.enable_propagation()
for name in ("sqlalchemy", "alembic", "asyncio", "matplotlib"):
    logging.getLogger(name).setLevel(logging.WARNING)
X, y = np.random.default_rng(0).normal(size=(12, 2)), np.arange(12) % 2
space = {"C": FloatDistribution(0.1, 1.0), "fit_intercept": [True, False], "max_iter": IntDistribution(200, 210)}
place, *samplers = sys.argv[1:]
OptunaSearchCV(LogisticRegression(), space, n_trials=3, cv=2, n_jobs=2, storage=place).fit(X, y)
for sampler in samplers:
    given = {"max_iter": IntDistribution(200, 205)} if sampler in ("grid", "brute-force") else space
    OptunaSearchCV(LogisticRegression(), given, sampler=sampler, n_trials=5, cv=2).fit(X, y)
"""
    names = [name for name in SAMPLERS if name]
    assert in_another_process(code, tmp_path / "s.db", *names) == ""


def test_a_notebook_without_widgets_is_no_reason_to_warn():
    # What tqdm looks at to know where it is, and what it does not find.
    code = """
import os, sys, types, warnings
os.dup2(1, 2)
warnings.simplefilter("always")
names = ("IPython", "ipykernel", "ipykernel.zmqshell")
sys.modules |= {name: types.ModuleType(name) for name in names} | {"ipywidgets": None}
sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
from optuna_search import OptunaSearchCV
import tqdm.auto
print(tqdm.auto.notebook_tqdm.__module__)
"""
    assert in_another_process(code) == "tqdm.std\n", "a bar of text"


def test_the_users_own_study_still_logs_while_a_search_runs(logged):
    def watch(study, trial):
        other = optuna.create_study()
        other.optimize(lambda trial: 1.0, n_trials=1)

    search(n_trials=2, callbacks=watch)
    assert len([text for text in logged() if "finished with value" in text]) == 2


# --- the bar ----------------------------------------------------------------------------------------------------------


def shown(capfd):
    """The states of the bar, in order."""
    out, err = capfd.readouterr()
    assert out == ""
    return [state for state in re.split(r"[\r\n]+", err) if state.strip()]


def test_verbose_1_shows_one_bar_on_stderr(capfd):
    found = search(verbose=1)
    states = shown(capfd)
    assert " 0/6 " in states[0] and " 6/6 " in states[-1]
    assert all(state.startswith("KnownScore") for state in states)
    assert f"best {found.best_score_:.4f}" in states[-1]
    assert "failed" not in states[-1]


def test_verbose_true_is_verbose_1(capfd):
    search(verbose=True)
    assert " 6/6 " in shown(capfd)[-1]


def test_the_bar_starts_where_the_study_stands(capfd):
    where = {"storage": InMemoryStorage(), "study_name": "bar"}
    first = search(n_trials=3, **where)
    search(n_trials=5, verbose=1, **where)
    states = shown(capfd)
    assert " 3/5 " in states[0] and " 5/5 " in states[-1]
    assert next(state for state in states if "best" in state).count(f"best {first.best_score_:.4f}") == 1
    assert not [state for state in states if re.search(r" [0-2]/5 ", state)]


def test_the_bar_of_a_finished_study_is_full(capfd):
    where = {"storage": InMemoryStorage(), "study_name": "bar"}
    search(n_trials=3, **where)
    search(n_trials=3, verbose=1, **where)
    states = shown(capfd)
    assert all(" 3/3 " in state for state in states) and states


def test_the_bar_counts_failed_trials(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search({"x": [1, 2, 3, 4]}, FailsOn(bad=(1, 3)), verbose=1)
    last = shown(capfd)[-1]
    assert " 4/4 " in last and "best -2.0000" in last and "2 failed" in last


def test_the_bar_of_a_search_without_a_number_of_trials_counts(capfd):
    search(n_trials=None, timeout=600, sampler="tpe", verbose=1, callbacks=stop_after(2))
    last = shown(capfd)[-1]
    assert re.search(r": 3 trials \[00:0\d of 10:00\]$", last)


def test_the_bar_of_a_budget_in_fits_counts_fits_and_says_how_many_trials_they_are(capfd):
    found = search(n_trials=None, n_fits=7, sampler="random", verbose=1)
    states = shown(capfd)
    assert " 0/7 fits " in states[0] and " 7/7 fits " in states[-1]
    assert found.n_trials_ == 4, "the last one is finished"
    assert f"best {found.best_score_:.4f}, 4 trials |" in states[-1]


def test_the_bar_counts_trials_where_their_number_is_known_as_well(capfd):
    search(n_trials=2, n_fits=40, verbose=1)
    assert " 2/2 trials " in shown(capfd)[-1]


def test_the_bar_of_a_budget_in_fits_counts_none_for_a_candidate_that_was_known(capfd):
    progress = Progress(1, "m", goals_in("score"), None, n_fits=6)
    progress.begin()
    for number, (x, counts) in enumerate([(1, True), (1, True), (2, False), (2, True), (3, True)]):
        progress.update(number, Verdict((1.0,)), Record({"x": x}, folds(1.0, 1.0)), counts=counts)
    progress.close()
    assert " 4/6 fits " in shown(capfd)[-1], "those of 1 and of 3"


def test_the_bar_of_a_budget_in_fits_starts_where_the_study_stands(capfd):
    where = {"storage": InMemoryStorage(), "study_name": "bar"}
    search(ENDING, sampler="random", n_trials=None, n_fits=4, **where)
    # No candidate is left after the sixth: the search ends with twelve fits.
    found = search(ENDING, sampler="random", n_trials=None, n_fits=16, verbose=1, **where)
    states = shown(capfd)
    assert " 4/16 fits " in states[0] and "2 trials" in states[0]
    assert " 12/12 fits " in states[-1] and f"{found.n_trials_} trials" in states[-1]


def test_the_bar_counts_what_another_process_does_meanwhile(capfd):
    where = {"storage": InMemoryStorage(), "study_name": "bar"}

    def helped(study, trial):
        if trial.number == 0:
            search(n_trials=4, **where)

    found = search(n_trials=6, verbose=1, callbacks=helped, **where)
    last = shown(capfd)[-1]
    assert " 6/6 " in last and f"best {found.best_score_:.4f}" in last


def test_the_bar_of_a_fork_counts_its_own_trials_and_knows_the_best_that_came_over(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parent = search({"x": [1, 2, 3]}, FailsOn(bad=(3,)), pruner=ThresholdPruner(lower=-1.5))
        parent.fork({"x": [1, 2, 3, 4]}, verbose=1, pruner=None).fit(X, Y)
    states = shown(capfd)
    assert list(parent.cv_results_["trial_state"]) == ["COMPLETE", "PRUNED", "FAIL"]
    assert states[0].startswith("FailsOn best -1.0000 |") and " 0/1 " in states[0]
    assert states[-1].startswith("FailsOn best -1.0000 |") and " 1/1 " in states[-1]


def test_the_bar_of_a_fork_with_a_budget_in_fits_counts_its_own_fits(capfd):
    parent = search(n_trials=3)
    parent.fork({}, n_trials=None, n_fits=4, sampler="random", verbose=1).fit(X, Y)
    states = shown(capfd)
    assert " 0/4 fits " in states[0] and "0 trials" in states[0]
    assert " 4/4 fits " in states[-1] and "2 trials" in states[-1]


def test_the_bar_counts_what_was_pruned(capfd):
    search({"x": [3, 0, -5]}, pruner=ThresholdPruner(lower=0.0), verbose=1)
    assert ", 1 pruned |" in shown(capfd)[-1]


def test_the_bar_of_a_search_that_was_stopped_ends_where_it_is(capfd):
    search(n_trials=30, verbose=1, callbacks=stop_after(3))
    states = shown(capfd)
    assert " 4/4 " in states[-1] and all(" 4/4 " in state or "/30 " in state for state in states)


def test_the_bar_leaves_room_for_the_time_that_is_left(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = type("AModelWithAVeryLongName", (KnownScore,), {"__module__": __name__})
    search(estimator=long(), n_trials=None, n_fits=12, verbose=1)
    for state in shown(capfd):
        assert state.startswith("AModelWithAVeryLo…") and re.search(r"/12 fits \[\d\d:\d\d<.*\]$", state)


def test_the_bar_knows_the_size_of_a_grid_and_counts_duplicates(capfd):
    search({"x": [1, 2, 1], "choice": ["a", "b"]}, n_trials=None, verbose=1)
    states = shown(capfd)
    assert " 0/6 " in states[0] and " 6/6 " in states[-1]


def test_the_bar_is_named_after_the_last_step(capfd):
    pipe = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())])
    search({"model__C": [0.1, 1.0]}, pipe, verbose=1)
    assert shown(capfd)[-1].startswith("LogisticRegression")


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_the_bar_counts_what_many_workers_finish(capfd, n_jobs):
    with joblib.parallel_config("threading"):
        search(verbose=1, n_jobs=n_jobs)
    assert " 6/6 " in shown(capfd)[-1]


def test_the_bar_is_left_tidy_when_something_is_raised(capfd):
    with pytest.raises(ValueError, match="x=3 is bad in fit"):
        search({"x": [1, 2, 3, 4]}, FailsOn(bad=(3,)), error_score="raise", verbose=1)
    err = capfd.readouterr().err
    assert err.endswith("\n") and " 2/4 " in err.strip("\n").split("\r")[-1]


def test_the_bar_goes_to_the_stderr_of_the_moment():
    with contextlib.redirect_stderr(io.StringIO()) as caught:
        search(verbose=1)
    assert " 6/6 " in caught.getvalue()


# --- lines ------------------------------------------------------------------------------------------------------------


def test_verbose_2_prints_a_line_for_each_trial_on_stderr(capfd):
    found = search(verbose=2)
    lines = shown(capfd)
    scores = found.cv_results_["mean_test_score"]
    assert len(lines) == 6
    for number, (line, score) in enumerate(zip(lines, scores, strict=True)):
        assert re.match(rf"trial {number}\b", line)
        assert f"{score:.6g}" in line
        assert f"best {max(scores[: number + 1]):.6g}" in line
        assert f"{number + 1}/6" in line


def test_a_line_says_why_a_trial_failed(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search({"x": [1, 2]}, FailsOn(bad=(1,)), verbose=2)
    first, second = shown(capfd)
    assert "failed: ValueError: x=1 is bad in fit" in first and "best none" in first
    assert "score -2" in second and "best -2" in second
    assert "with x=1 " in first and "with x=2 " in second


def test_a_line_says_how_far_a_pruned_trial_came_and_that_it_is_not_the_best(capfd):
    search({"x": [0, 3]}, pruner=ThresholdPruner(upper=5.0), verbose=2)
    first, second = shown(capfd)
    best = re.match(r"trial 0: score (\S+) ", first)[1]
    assert second.startswith("trial 1: pruned after 1 fold, score ") and f"best {best}, 2/2 done" in second


def test_a_line_counts_steps_adds_up_seconds_and_steers_no_terminal(capfd):
    climb, run = Climb("n_samples", 9, first_fold_leads=True), folds(0.5, 0.5, None)
    progress = Progress(2, "m", goals_in("score"), 3)
    progress.begin()
    for number, amount in enumerate((3, 9)):
        progress.update(number, Verdict((0.5,), None, True), Record({"C": 1 / 3}, run, True, ((amount, 0.5),), climb))
    progress.update(2, Verdict(None, "\x1b[31m"), Record({}, run))
    assert shown(capfd) == [
        "trial 0: pruned after 3 of 9 n_samples, score 0.5 with C=0.333333 (1.22 s, best none yet, 1/3 done)",
        "trial 1: pruned after 2 folds, score 0.5 with C=0.333333 (1.22 s, best none yet, 2/3 done)",
        "trial 2: failed: ?[31m (1.22 s, best none yet, 3/3 done)",
    ]


def test_lines_go_on_counting_where_the_study_stands(capfd):
    where = {"storage": InMemoryStorage(), "study_name": "lines"}
    search(n_trials=3, **where)
    search(n_trials=5, verbose=2, **where)
    lines = shown(capfd)
    assert [line.split(":")[0] for line in lines] == ["trial 3", "trial 4"]
    assert "4/5" in lines[0] and "5/5" in lines[1]


# --- what the guide shows of it ---------------------------------------------------------------------------------------


def shape(line):
    """A line with zeros for its numbers, and a bar that is as long as any other."""
    return re.sub(r"\|[█▏▎▍▌▋▊▉ ]+\|", "||", re.sub(r"\d+", "0", line))


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        ("SVC best", {"n_fits": 60, "verbose": 1}),
        ("trial 0:", {"verbose": 2}),
    ],
)
def test_the_guide_shows_what_is_printed(first, asked, capfd):
    (told,) = re.findall(rf"^{first}.*$", GUIDE, re.MULTILINE)
    space = {"C": FloatDistribution(1e-3, 1e3, log=True)} if "n_fits" in asked else {"C": [0.01], "kernel": ["rbf"]}
    OptunaSearchCV(SVC(), space, random_state=0, **asked).fit(*load_iris(return_X_y=True))
    assert shape(told) in {shape(state) for state in shown(capfd)}


# --- callbacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 3])
@pytest.mark.parametrize("sampler", [None, "random", "qmc"])
def test_a_callback_is_called_once_after_each_trial_in_the_main_thread(n_jobs, sampler):
    calls = []

    def watch(study, trial):
        known = study.trials[trial.number]
        calls.append((study, trial, os.getpid(), threading.current_thread(), known))

    with joblib.parallel_config("threading"):
        found = search(sampler=sampler, n_jobs=n_jobs, callbacks=watch)
    assert sorted(trial.number for _, trial, *_ in calls) == list(range(6))
    for study, trial, process, thread, known in calls:
        assert study is found.study_
        assert isinstance(trial, FrozenTrial) and trial == known
        assert trial.state is TrialState.COMPLETE
        assert trial.value == found.cv_results_["mean_test_score"][trial.number]
        assert trial.datetime_complete is not None
        assert (process, thread) == (os.getpid(), threading.main_thread())


def test_callbacks_see_failed_trials_and_duplicates():
    states = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search({"x": [1, 2, 2]}, FailsOn(bad=(1,)), callbacks=lambda study, trial: states.append(trial.state.name))
    assert states == ["FAIL", "COMPLETE", "COMPLETE"]


def test_callbacks_are_not_called_for_trials_of_earlier_runs():
    where = {"storage": InMemoryStorage(), "study_name": "watched"}
    numbers = []
    search(n_trials=3, **where)
    search(n_trials=5, callbacks=lambda study, trial: numbers.append(trial.number), **where)
    assert numbers == [3, 4]


@pytest.mark.parametrize("kind", [list, tuple])
def test_several_callbacks_are_called_in_their_order(kind):
    order = []
    watches = kind(lambda study, trial, name=name: order.append((trial.number, name)) for name in "ab")
    search(n_trials=2, callbacks=watches)
    assert order == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_a_callback_may_use_the_study():
    best = []
    found = search(callbacks=lambda study, trial: best.append((study.best_value, study.best_trial.number)))
    assert best[-1] == (found.best_score_, found.best_trial_.number)
    assert [value for value, _ in best] == list(np.maximum.accumulate(found.cv_results_["mean_test_score"]))


def test_what_a_callback_does_to_its_trial_does_not_reach_the_study():
    def spoil(study, trial):
        trial.user_attrs.clear()
        trial.params.clear()
        trial.value = 1000.0

    plain, spoiled = search(), search(callbacks=spoil)
    assert spoiled.cv_results_["params"] == plain.cv_results_["params"]
    assert spoiled.best_score_ == plain.best_score_
    assert all(trial.params and "optuna_search" in trial.user_attrs for trial in spoiled.study_.trials)


def test_a_callback_may_write_attributes_of_the_study():
    found = search(callbacks=lambda study, trial: study.set_user_attr("seen", trial.number))
    assert found.study_.user_attrs["seen"] == 5
    assert found.n_trials_ == 6


# --- stopping ---------------------------------------------------------------------------------------------------------


def stop_after(number):
    def watch(study, trial):
        if trial.number >= number:
            study.stop()

    return watch


@pytest.mark.parametrize("sampler", [None, "random", "tpe"])
def test_a_callback_stops_the_search(sampler):
    found = search(n_trials=30, sampler=sampler, callbacks=stop_after(3))
    assert found.n_trials_ == 4
    assert found.best_score_ == max(found.cv_results_["mean_test_score"])


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_a_callback_stops_many_workers(n_jobs):
    with joblib.parallel_config("threading"):
        found = search(n_trials=60, n_jobs=n_jobs, callbacks=stop_after(3))
    assert 4 <= found.n_trials_ <= 4 + n_jobs + 2
    assert TrialState.RUNNING not in {trial.state for trial in found.study_.trials}


def test_the_best_is_refitted_after_a_callback_stopped_the_search():
    found = search(n_trials=30, callbacks=stop_after(1), refit=True)
    assert found.best_estimator_.x == found.best_params_["x"]


def test_all_callbacks_of_a_trial_are_called_when_one_stops_the_search():
    called = []
    search(n_trials=30, callbacks=[stop_after(1), lambda study, trial: called.append(trial.number)])
    assert called == [0, 1]


def test_a_search_that_was_stopped_goes_on_in_the_next_run():
    where = {"storage": InMemoryStorage(), "study_name": "stopped"}
    assert search(n_trials=6, callbacks=stop_after(1), **where).n_trials_ == 2
    assert search(n_trials=6, **where).n_trials_ == 6


def test_the_same_search_may_be_stopped_twice():
    made = OptunaSearchCV(KnownScore(), MIXED, n_trials=20, cv=2, callbacks=stop_after(2), refit=False)
    assert made.fit(X, Y).n_trials_ == made.fit(X, Y).n_trials_ == clone(made).fit(X, Y).n_trials_ == 3


def test_a_callback_of_optuna_stops_the_search():
    assert search(n_trials=30, callbacks=[MaxTrialsCallback(4, states=(TrialState.COMPLETE,))]).n_trials_ == 4


def test_a_study_cannot_be_stopped_when_no_search_runs():
    found = search(callbacks=stop_after(3))
    with pytest.raises(RuntimeError, match="supposed to be invoked inside an objective function or a callback"):
        found.study_.stop()


# --- callbacks that raise ---------------------------------------------------------------------------------------------


class Refusal(Exception):
    """An error that nobody else raises."""


@pytest.mark.parametrize("n_jobs", [None, 3])
def test_what_a_callback_raises_comes_out_once_and_leaves_the_study_whole(n_jobs):
    where = {"storage": InMemoryStorage(), "study_name": "raised"}
    seen = []

    def watch(study, trial):
        seen.append(trial.number)
        if len(seen) == 3:
            raise Refusal("enough")

    with joblib.parallel_config("threading"), pytest.raises(Refusal, match="enough"):
        search(n_trials=8, callbacks=[watch], n_jobs=n_jobs, **where)
    assert len(seen) == 3
    storage = where["storage"]
    trials = storage.get_all_trials(storage.get_study_id_from_name("raised"))
    assert sorted(trial.number for trial in trials if trial.state is TrialState.COMPLETE) == sorted(seen)
    assert TrialState.RUNNING not in {trial.state for trial in trials}

    found = search(n_trials=8, **where)
    assert found.n_trials_ == 8
    assert set(seen) <= set(found.cv_results_["trial_number"])


def test_a_search_works_after_a_callback_raised():
    def watch(study, trial):
        raise Refusal("at once")

    made = OptunaSearchCV(KnownScore(), MIXED, n_trials=3, cv=2, callbacks=watch, refit=False)
    with pytest.raises(Refusal, match="at once"):
        made.fit(X, Y)
    assert made.set_params(callbacks=None).fit(X, Y).n_trials_ == 3


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, r"^3 finished trials are kept in the study '\w+-[\w-]+' of this search, which has the results so far \("),
        (
            {"study_name": "s"},
            r"^3 finished trials are kept in the study 's'; run the same search with this study_name",
        ),
    ],
    ids=["memory", "a file"],
)
def test_an_interrupt_says_what_is_kept(where, said, tmp_path):
    def interrupt(study, trial):
        if trial.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        search(callbacks=interrupt, storage=str(tmp_path / "s.db") if where else None, **where)
    assert re.search(said, raised.value.__notes__[0])


@pytest.mark.parametrize("error", [KeyboardInterrupt, Refusal])
def test_what_a_callback_raises_leaves_all_that_is_known(error):
    def watch(study, trial):
        if trial.number == 2:
            raise error("enough")

    made = OptunaSearchCV(KnownScore(), MIXED, n_trials=8, cv=2, callbacks=watch)
    with pytest.raises(error, match="enough"):
        made.fit(X, Y)
    assert made.n_trials_ == len(made.cv_results_["params"]) == 3
    assert made.best_score_ == max(made.cv_results_["mean_test_score"])
    assert made.best_params_ == made.top_n_[0].params
    assert not hasattr(made, "best_estimator_")
    assert TrialState.RUNNING not in {trial.state for trial in made.study_.trials}


# --- nothing global is touched ----------------------------------------------------------------------------------------


def settings_of_loggers():
    """Level, handlers, filters and flags of every logger."""
    loggers = [logging.root, *(logging.getLogger(name) for name in sorted(logging.root.manager.loggerDict))]
    return {
        logger.name: (logger.level, list(logger.handlers), list(logger.filters), logger.propagate, logger.disabled)
        for logger in loggers
    }


@pytest.mark.parametrize("verbose", [0, 1, 2, 3])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_no_logger_and_no_warning_filter_is_changed(verbose, n_jobs):
    with joblib.parallel_config("threading"):
        search(n_trials=2, n_jobs=n_jobs)  # whatever is imported on the way is there now
        loggers, filters, show = settings_of_loggers(), list(warnings.filters), warnings.showwarning
        for sampler in SAMPLERS:
            space = ENDING if sampler in ("grid", "brute-force") else MIXED
            search(space, n_trials=4, n_jobs=n_jobs, verbose=verbose, sampler=sampler)
    after = settings_of_loggers()
    assert {name: after[name] for name in loggers} == loggers
    assert list(warnings.filters) == filters
    assert warnings.showwarning is show


def test_no_logger_is_changed_when_something_is_raised():
    loggers, filters = settings_of_loggers(), list(warnings.filters)
    with pytest.raises(ValueError, match="x=3 is bad in fit"):
        search({"x": IntDistribution(3, 3)}, FailsOn(bad=(3,)), error_score="raise", verbose=1)
    with pytest.raises(Refusal):
        search(callbacks=lambda study, trial: (_ for _ in ()).throw(Refusal))
    after = settings_of_loggers()
    assert {name: after[name] for name in loggers} == loggers
    assert list(warnings.filters) == filters


def test_threads_that_overlap_leave_the_warning_filters_as_they_were():
    both, first_ended = threading.Barrier(2, timeout=30), threading.Event()

    class Overlaps(KnownScore):
        def fit(self, X, y=None):
            both.wait()
            if self.x == 1:  # ends when the other one has been collected
                assert first_ended.wait(30)
            return super().fit(X, y)

    fold = [(np.arange(6), np.arange(6, 12))]
    filters, show = list(warnings.filters), warnings.showwarning
    with joblib.parallel_config("threading"):
        search({"x": [0, 1]}, Overlaps(), cv=fold, n_jobs=2, callbacks=lambda study, trial: first_ended.set())
    assert list(warnings.filters) == filters
    assert warnings.showwarning is show


def test_the_verbosity_that_the_user_chose_stays():
    level = optuna.logging.get_verbosity()
    try:
        for chosen in (optuna.logging.DEBUG, optuna.logging.ERROR):
            optuna.logging.set_verbosity(chosen)
            search(n_trials=2, verbose=1)
            assert optuna.logging.get_verbosity() == chosen
    finally:
        optuna.logging.set_verbosity(level)
