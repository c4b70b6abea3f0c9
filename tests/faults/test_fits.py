"""Estimators that hang, crash, raise, flood or meddle: the trial has failed, says why, and the search goes on."""

import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import joblib
import misbehaving
import numpy as np
import psutil
import pytest
import sklearn
from estimators import KnownScore, Sleeps
from misbehaving import (
    AsksToExit,
    DrawsFromTheGlobalGenerator,
    Exits,
    Floods,
    HoldsALock,
    HoldsTheInterpreter,
    KillsItself,
    Meddles,
    Raises,
    RaisesUnpicklable,
    RunsOutOfMemory,
    Segfaults,
    SleepsForEver,
    WaitsForAChild,
    WaitsForALock,
    known_score,
)
from optuna.trial import TrialState
from processes import Process, wait_until
from sklearn.exceptions import FitFailedWarning
from sklearn.utils.fixes import parse_version
from warm import is_worker

from optuna_search import OptunaSearchCV
from optuna_search.exceptions import InvalidRequestError, NoResultError, WorkerError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
#: The values of x; 2 is the bad one.
VALUES = [0, 1, 2, 3, 4]
#: Where one fold shows it: whatever ends or hangs does so in each.
ONE_FOLD = [(np.arange(6), np.arange(6, 12))]


@contextlib.contextmanager
def failures_expected():
    """What is said of failed fits and of scores that are not there is as it should be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        yield


def search(estimator, values=VALUES, **how):
    how = {"cv": 2, "refit": False} | how
    made = OptunaSearchCV(estimator, {"x": values}, **how)
    with failures_expected():
        return made.fit(X, Y)


def told(fitted):
    """For each trial its x, and its score or why it failed."""
    return {
        params["x"]: trial.user_attrs.get("failure", trial.value)
        for params, trial in zip(fitted.cv_results_["params"], fitted.study_.trials, strict=True)
    }


def all_but(bad, why):
    return {x: why if x == bad else known_score(x) for x in VALUES}


# --- workers that die -------------------------------------------------------------------------------------------------

slow = pytest.mark.slow
DEATHS = {
    "kill": (KillsItself(bad=(2,)), "worker died (signal 9)"),
    "segfault": (Segfaults(bad=(2,)), "worker died (signal 11)"),
    "exit": (Exits(bad=(2,)), "worker died (exit code 3)"),
    "good exit": (Exits(bad=(2,), code=0), "worker died (exit code 0)"),
    "asks to exit": (AsksToExit(bad=(2,)), "worker died (exit code 3)"),
}


class TestAWorkerThatDies:
    @pytest.mark.parametrize("how", ["kill", *(pytest.param(how, marks=slow) for how in DEATHS if how != "kill")])
    def test_costs_its_own_trial_and_no_other(self, how):
        estimator, why = DEATHS[how]
        assert told(search(estimator, n_jobs=2, cv=2 if how == "kill" else ONE_FOLD)) == all_but(2, why)

    @pytest.mark.parametrize("storage", ["s.db", "s.journal"])
    @slow
    def test_is_kept_as_a_failed_trial_that_is_not_tried_again(self, storage, tmp_path):
        how = {"n_jobs": 2, "cv": ONE_FOLD, "storage": tmp_path / storage, "study_name": "s"}
        search(KillsItself(bad=(2,)), **how)
        again = search(KillsItself(bad=(2,)), **how)
        assert told(again) == all_but(2, "worker died (signal 9)")
        assert len(again.study_.trials) == again.n_trials_ == 5

    @slow
    def test_costs_one_fold_where_a_number_stands_for_it(self):
        fitted = search(KillsItself(bad=(2,)), error_score=-100.0, n_jobs=2)
        assert fitted.cv_results_["mean_test_score"][2] == -100.0
        assert all(trial.state == TrialState.COMPLETE for trial in fitted.study_.trials)

    def test_once_costs_one_fold(self, tmp_path):
        estimator = KillsItself(bad=(2,), once=str(tmp_path / "was here"))
        fitted = search(estimator, error_score=-100.0, n_jobs=2)
        scores = [fitted.cv_results_[f"split{fold}_test_score"][2] for fold in range(2)]
        assert sorted(scores) == [-100.0, known_score(2)]

    def test_takes_folds_along_that_travelled_with_its_own_and_those_are_fitted_again(self, tmp_path):
        """Fast folds are sent several at a time."""
        values = list(range(60))
        fitted = search(KillsItself(bad=(50,)), values, n_jobs=2)
        assert told(fitted) == {x: "worker died (signal 9)" if x == 50 else known_score(x) for x in values}

    def test_is_an_error_where_errors_are_to_be_raised(self):
        with pytest.raises(WorkerError, match=r"^worker died \(signal 9\)$"):
            search(KillsItself(bad=(2,)), error_score="raise", n_jobs=2)

    @slow
    def test_with_every_fit_ends_the_search_with_the_reason(self):
        with pytest.raises(ValueError, match=r"(?s)All the 4 fits failed.*worker died"):
            search(KillsItself(bad=None), [0, 1], cv=2, n_jobs=2)

    @pytest.mark.parametrize("how", ["kill", "asks to exit"])
    def test_of_multiprocessing_is_noticed_too(self, how):
        with joblib.parallel_config(backend="multiprocessing"):
            fitted = search(DEATHS[how][0], n_jobs=2)
        assert str(told(fitted)[2]).startswith("worker died")
        assert told(fitted) | {2: None} == all_but(2, None)

    def test_while_it_has_nothing_to_do_costs_nothing(self):
        search(KnownScore(), n_jobs=2)
        killed = _kill_the_idle_workers()
        assert killed
        assert told(search(Raises(), n_jobs=2)) == {x: known_score(x) for x in VALUES}

    @slow
    def test_that_somebody_else_kills_costs_one_trial(self, tmp_path):
        """Its number comes by the file that the fit writes; the kill comes from outside."""
        with Process(_kill_who_writes, str(tmp_path / "pid")) as killer:
            fitted = search(WritesItsNumber(bad=(2,), path=str(tmp_path / "pid")), n_jobs=2)
            assert killer.wait() == 0
        assert told(fitted) == all_but(2, "worker died (signal 9)")

    @slow
    def test_of_what_it_is_sent_costs_the_trials_that_send_it(self):
        """Nothing is known then of who was at what, and whoever is done with its folds is not to blame."""
        space = {"x": [0, 1], "y": [None, KillsItsReader()]}
        with failures_expected():
            fitted = OptunaSearchCV(TakesAnything(), space, cv=2, refit=False, n_jobs=2).fit(X, Y)
        whole = [params["y"] is None for params in fitted.cv_results_["params"]]
        why = [trial.user_attrs.get("failure") for trial in fitted.study_.trials]
        assert why == [None if is_whole else "worker died (signal 9)" for is_whole in whole]

    @slow
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores")
    def test_costs_nothing_in_another_search_of_this_process(self):
        """Both have the same workers of loky's."""
        quiet, loud = (
            OptunaSearchCV(estimator, {"x": VALUES}, cv=2, refit=False, n_jobs=2)
            for estimator in (Sleeps(seconds=0.2), KillsItself(bad=(2,)))
        )
        thread = threading.Thread(target=quiet.fit, args=(X, Y))
        thread.start()
        assert told(loud.fit(X, Y)) == all_but(2, "worker died (signal 9)")
        thread.join()
        assert [trial.user_attrs.get("failure") for trial in quiet.study_.trials] == [None] * 5


class KillsItsReader:
    """Ends the process that reads its pickle, and so every worker that it is sent to."""

    def __init__(self, home=None):
        self.home = os.getpid() if home is None else home

    def __reduce__(self):
        return _read_by, (self.home,)

    def __repr__(self):
        return "KillsItsReader()"

    def __eq__(self, other):
        return type(other) is type(self)

    def __hash__(self):
        return 0


def _read_by(home):
    if os.getpid() != home:
        os.kill(os.getpid(), signal.SIGKILL)
    return KillsItsReader(home)


class TakesAnything(KnownScore):
    """Has one more parameter, of any kind."""

    def __init__(self, x=0.0, y=None):
        self.x = x
        self.y = y

    def score(self, X, y=None):
        return float(self.x)


class WritesItsNumber(misbehaving.Misbehaves):
    """Writes the number of its process to a file, once, and waits to be killed."""

    def __init__(self, x=0.0, bad=(), once=None, path=None):
        self.x = x
        self.bad = bad
        self.once = once
        self.path = path

    def misbehave(self, X, y):
        if misbehaving.first_time(self.path + ".first"):
            Path(self.path + ".new").write_text(str(os.getpid()))
            os.rename(self.path + ".new", self.path)
            time.sleep(misbehaving.FOR_EVER)


def _kill_who_writes(path):
    wait_until(lambda: os.path.exists(path), "the number of a process")
    os.kill(int(Path(path).read_text()), signal.SIGKILL)


def _kill_the_idle_workers():
    """Kill joblib's workers, which wait for the next search, and wait until they are gone."""
    workers = [one for one in psutil.Process().children() if is_worker(one)]
    for worker in workers:
        worker.kill()
    time.sleep(0.5)
    return workers


@slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_on_dask_a_fit_that_hangs_or_kills_costs_its_own_trial_too():
    """The workers are those of a cluster, and each has a helper of its own."""
    distributed = pytest.importorskip("distributed")
    how = {"processes": True, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        for estimator, limit, why in [
            (SleepsForEver(bad=(2,)), 1, "timeout after 1 s"),
            (KillsItself(bad=(2,)), 30, "worker died (signal 9)"),
        ]:
            assert told(search(estimator, cv=ONE_FOLD, fit_timeout=limit)) == all_but(2, why)


def _kill_the_next_helpers(n, known):
    """Kill so many processes that this one starts beside those that are known, each as soon as it is there."""
    mine, killed = psutil.Process(), set()
    while len(killed) < n:
        for child in mine.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.pid not in known | killed and is_worker(child):
                    child.kill()
                    killed.add(child.pid)


@slow
@pytest.mark.usefixtures("workers_of_loky")  # which begin for a second
@pytest.mark.parametrize("n_killed", [2, 3])
def test_a_helper_that_is_killed_while_it_begins_is_started_again_a_few_times(n_killed):
    known = {child.pid for child in psutil.Process().children()}
    killer = threading.Thread(target=_kill_the_next_helpers, args=(n_killed, known), daemon=True)
    killer.start()
    expected = {x: known_score(x) for x in VALUES}
    if n_killed == 3:
        expected[0] = "worker died (signal 9) while it began"
    assert told(search(Raises(), fit_timeout=30)) == expected
    killer.join(10)
    assert not killer.is_alive()


# --- in this process --------------------------------------------------------------------------------------------------


def _in_one_process(estimator, path, values):
    with failures_expected():
        fitted = OptunaSearchCV(estimator, {"x": values}, cv=2, refit=False, storage=path, study_name="s").fit(X, Y)
    print(told_of_all(fitted.study_.trials))


def told_of_all(trials):
    return [trial.user_attrs.get("failure", trial.value) for trial in trials]


@pytest.mark.parametrize("ending", ["db", "journal"])
@pytest.mark.parametrize(
    ("estimator", "code"),
    [
        (Segfaults(bad=(1,)), -signal.SIGSEGV),
        (KillsItself(bad=(1,)), -signal.SIGKILL),
        (Exits(bad=(1,)), 3),
        (AsksToExit(bad=(1,)), 3),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_candidate_that_takes_its_process_along_is_tried_twice_and_has_failed_then(estimator, code, ending, tmp_path):
    path = str(tmp_path / f"s.{ending}")
    for _ in range(2):
        with Process(_in_one_process, estimator, path, [0, 1, 2]) as process:
            assert process.wait() == code
    with Process(_in_one_process, estimator, path, [0, 1, 2]) as process:
        results = process.output()
    why = "2 processes have died while they fitted this candidate; it is not tried again"
    assert why in results and results.count(why) == 1
    with Process(_in_one_process, estimator, path, [0, 1, 2]) as process:
        assert process.output() == results
    assert str(known_score(0)) in results and str(known_score(2)) in results


def test_a_candidate_whose_process_is_killed_once_is_tried_again(tmp_path):
    estimator, path = KillsItself(bad=(1,), once=str(tmp_path / "was here")), str(tmp_path / "s.db")
    with Process(_in_one_process, estimator, path, [0, 1, 2]) as process:
        assert process.wait() == -signal.SIGKILL
    with Process(_in_one_process, estimator, path, [0, 1, 2]) as process:
        assert process.output().strip() == str([known_score(0), "abandoned", known_score(1), known_score(2)])


def test_an_exit_that_a_signal_asks_for_is_not_the_candidates_fault(tmp_path):
    path, note = str(tmp_path / "s.db"), str(tmp_path / "note")
    for turn in range(3):
        with Process(_exits_on_sigterm, path, f"{note}{turn}") as process:
            wait_until(lambda turn=turn: os.path.exists(f"{note}{turn}"), "the fit to begin")
            process.send(signal.SIGTERM)
            assert process.wait() == 7
    fitted = OptunaSearchCV(Notes(), {"x": [0], "path": [None]}, cv=2, refit=False, storage=path, study_name="other")
    assert fitted.fit(X, Y).n_trials_ == 1
    trials = _trials(path)
    assert told_of_all(trials) == ["stopped before its last fold"] * 3


class Notes(KnownScore):
    """Writes a file when its fit begins, and sleeps."""

    def __init__(self, x=0.0, path=None):
        self.x = x
        self.path = path

    def fit(self, X, y=None):
        if self.path is not None:
            Path(os.environ["NOTE"]).touch()
            time.sleep(60)
        return super().fit(X, y)

    def score(self, X, y=None):
        return known_score(self.x)


def _exits_on_sigterm(path, note):
    os.environ["NOTE"] = note
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    OptunaSearchCV(Notes(), {"x": [0], "path": ["a"]}, cv=2, storage=path, study_name="s").fit(X, Y)


def _trials(path):
    from optuna_search import studies

    return studies.load_study("s", path).trials


# --- fits that do not come to an end ----------------------------------------------------------------------------------

HANGS = [SleepsForEver, HoldsTheInterpreter, WaitsForALock]
BACKENDS = {"in this process": (None, None), "processes": (2, None), "threads": (2, "threading")}


@contextlib.contextmanager
def backend(name):
    n_jobs, kind = BACKENDS[name]
    with joblib.parallel_config(backend=kind) if kind else contextlib.nullcontext():
        yield n_jobs


class TestFitTimeout:
    @slow
    @pytest.mark.parametrize("where", BACKENDS)
    @pytest.mark.parametrize("hangs", HANGS, ids=lambda cls: cls.__name__)
    def test_ends_a_fold_whatever_it_is_at(self, hangs, where):
        with backend(where) as n_jobs:
            fitted = search(hangs(bad=(2,)), cv=ONE_FOLD, n_jobs=n_jobs, fit_timeout=1)
        assert told(fitted) == all_but(2, "timeout after 1 s")
        # Within the limit and three seconds.
        assert 0.9 < fitted.cv_results_["mean_fit_time"][2] < 4

    def test_ends_the_processes_that_a_fit_waits_for(self, tmp_path):
        pids = tmp_path / "pids"
        fitted = search(WaitsForAChild(bad=(2,), pids=str(pids)), cv=ONE_FOLD, fit_timeout=1.5)
        assert told(fitted)[2] == "timeout after 1.5 s"
        for pid in pids.read_text().split():
            wait_until(lambda pid=pid: not _lives(int(pid)), "the end of what a fit has started")

    def test_does_not_touch_fits_that_are_quicker(self):
        plain, limited = (search(KnownScore(), fit_timeout=limit) for limit in (None, 30))
        assert list(plain.cv_results_["mean_test_score"]) == list(limited.cv_results_["mean_test_score"])
        assert told(limited) == told(plain)

    @pytest.mark.parametrize("where", BACKENDS)
    def test_makes_a_fit_that_kills_its_process_cost_one_trial_in_any_backend(self, where):
        with backend(where) as n_jobs:
            assert told(search(KillsItself(bad=(2,)), n_jobs=n_jobs, fit_timeout=20)) == all_but(
                2, "worker died (signal 9)"
            )

    def test_fails_a_trial_that_counts_and_is_not_tried_again(self, tmp_path):
        how = {"cv": ONE_FOLD, "storage": tmp_path / "s.db", "study_name": "s"}
        search(SleepsForEver(bad=(2,)), fit_timeout=1, **how)
        started = time.monotonic()
        assert told(search(SleepsForEver(bad=(2,)), fit_timeout=1, **how)) == all_but(2, "timeout after 1 s")
        assert time.monotonic() - started < 60

    def test_is_an_error_where_errors_are_to_be_raised(self):
        with pytest.raises(WorkerError, match=r"^timeout after 1 s$"):
            search(SleepsForEver(bad=(2,)), error_score="raise", fit_timeout=1)

    def test_lets_errors_of_a_fit_through(self):
        with pytest.raises(ValueError, match="x=2 is bad"):
            search(Raises(bad=(2,)), error_score="raise", fit_timeout=30)
        assert told(search(Raises(bad=(2,)), fit_timeout=30)) == all_but(2, "ValueError: x=2 is bad")

    def test_needs_an_estimator_that_can_be_sent(self):
        with pytest.raises(InvalidRequestError, match=r"cannot be pickled \(TypeError: cannot pickle '_thread.lock'"):
            search(HoldsALock(), fit_timeout=30)

    def test_leaves_no_process_behind(self):
        before = _children()
        search(SleepsForEver(bad=(2,)), fit_timeout=1, cv=ONE_FOLD)
        wait_until(lambda: _children() <= before, "the end of the helpers")

    @pytest.mark.parametrize("ctrl_c", [signal.SIGINT, signal.SIGTERM])
    def test_does_not_stand_in_the_way_of_signals(self, ctrl_c, tmp_path):
        path = str(tmp_path / "s.db")
        with Process(_hangs_with_a_helper, path, str(tmp_path / "pids")) as process:
            wait_until(lambda: os.path.exists(tmp_path / "pids"), "the fit to begin")
            process.send(ctrl_c)
            assert process.wait() in (1, -ctrl_c, 128 + ctrl_c)
        assert told_of_all(_trials(path)) == ["stopped before its last fold"]
        for pid in (tmp_path / "pids").read_text().split():
            wait_until(lambda pid=pid: not _lives(int(pid)), "the end of what a fit has started")

    @pytest.mark.skipif(sys.platform != "linux", reason="only there does the system end a child with its parent")
    def test_leaves_no_helper_behind_when_its_search_is_killed(self, tmp_path):
        with Process(_busy_with_a_helper, str(tmp_path / "pid")) as process:
            wait_until(lambda: os.path.exists(tmp_path / "pid"), "the fit to begin")
            process.send(signal.SIGKILL)
            process.wait()
            helper = int((tmp_path / "pid").read_text())
            wait_until(lambda: not _lives(helper), "the end of the helper")


def _hangs_with_a_helper(path, pids):
    estimator = WaitsForAChild(bad=None, pids=pids)
    OptunaSearchCV(estimator, {"x": [0]}, cv=2, storage=path, study_name="s", fit_timeout=60).fit(X, Y)


def _busy_with_a_helper(path):
    OptunaSearchCV(SaysItsNumber(bad=None, path=path), {"x": [0]}, cv=2, fit_timeout=60).fit(X, Y)


class SaysItsNumber(HoldsTheInterpreter):
    """Writes the number of its process to a file before it loops."""

    def __init__(self, x=0.0, bad=(), once=None, path=None):
        self.x = x
        self.bad = bad
        self.once = once
        self.path = path

    def misbehave(self, X, y):
        Path(self.path + ".new").write_text(str(os.getpid()))
        os.rename(self.path + ".new", self.path)
        super().misbehave(X, y)


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _children():
    """Return the processes of joblib that are there, but for the one that keeps its accounts."""
    return {child.pid for child in psutil.Process().children() if _lives(child.pid) and is_worker(child)}


@slow
class TestTimeout:
    @pytest.mark.parametrize("how", [{"n_jobs": 2}, {"fit_timeout": 500}, {"n_jobs": 2, "fit_timeout": 500}], ids=str)
    def test_bounds_a_search_whose_fold_hangs(self, how):
        search(KnownScore(), n_jobs=2)  # the workers are there
        started = time.monotonic()
        fitted = search(SleepsForEver(bad=(4,)), cv=2, timeout=6, **how)
        # Six seconds, the three of grace, and what it takes to end workers on a busy machine.
        assert time.monotonic() - started < 20
        *finished, last = told_of_all(fitted.study_.trials)
        assert finished[0] == known_score(0) and last == "stopped before its last fold"

    def test_lets_a_fold_that_is_at_work_come_to_its_end(self):
        search(KnownScore(), n_jobs=2)  # the workers are there
        fitted = search(Sleeps(seconds=2.5), [0], cv=2, timeout=1, n_jobs=2)
        assert fitted.n_trials_ == 1

    def test_says_so_where_nothing_was_finished(self):
        with pytest.raises(NoResultError, match=r"timeout=1"):
            search(SleepsForEver(bad=None), [0], timeout=1, fit_timeout=60)


# --- errors, memory, floods, meddling ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_fit_that_runs_out_of_memory_is_a_failed_trial(n_jobs):
    assert told(search(RunsOutOfMemory(bad=(2,)), n_jobs=n_jobs)) == all_but(2, "MemoryError: x=2 needs too much")


@pytest.mark.parametrize("pickles", [False, True])
@pytest.mark.parametrize("how", [{"n_jobs": 2}, {"fit_timeout": 30}], ids=str)
class TestAnErrorThatCannotBePickled:
    def test_is_a_failed_trial_like_any_other(self, pickles, how):
        fitted = search(RaisesUnpicklable(bad=(2,), pickles=pickles), **how)
        assert told(fitted) | {2: None} == all_but(2, None)
        assert told(fitted)[2].partition(":")[0] == ("DoesNotArriveError" if pickles else "StaysAtHomeError")

    def test_is_told_where_errors_are_to_be_raised(self, pickles, how):
        with pytest.raises(WorkerError, match=r"(?s)Traceback.*Error: x=2 is bad"):
            search(RaisesUnpicklable(bad=(2,), pickles=pickles), error_score="raise", **how)


def test_an_estimator_that_cannot_be_pickled_is_refused_before_the_first_trial(tmp_path):
    with pytest.raises(InvalidRequestError, match=r"estimator.*cannot be sent to worker processes.*n_jobs=1"):
        search(HoldsALock(), n_jobs=2, storage=tmp_path / "s.db", study_name="s")
    assert _trials(tmp_path / "s.db") == []
    assert search(HoldsALock(), storage=tmp_path / "s.db", study_name="s").n_trials_ == 5


class TestAFlood:
    @pytest.mark.parametrize(
        "how", [{}, {"n_jobs": 2}, {"n_jobs": 2, "backend": "threading"}, {"fit_timeout": 30}], ids=str
    )
    def test_of_warnings_is_a_few_lines_with_counts(self, how):
        backend = {"backend": "loky", **how}.pop("backend")
        given = {name: value for name, value in how.items() if name != "backend"}
        with joblib.parallel_config(backend), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search(Floods(bad=None, lines=20), **given)
        texts = [str(one.message) for one in caught]
        # Filters travel to other processes since scikit-learn 1.7; without them, one of a kind is heard in each fit.
        travels = parse_version(sklearn.__version__) >= parse_version("1.7")
        n_heard = 200 if travels or how in ({}, {"n_jobs": 2, "backend": "threading"}) else 10
        assert texts[0] == f"always the same warning ({n_heard} times in this search)"
        assert len(texts) <= 7 and texts[-1].endswith(" times in this search)")
        assert "and others like it" in texts[-1]

    def test_of_100_trials_is_less_than_20_kilobytes(self, tmp_path):
        with Process(_floods, str(tmp_path / "unused")) as process:
            printed = process.output()
            complaints = process.complaints
        assert len(complaints) < 20_000
        assert complaints.count("always the same warning") <= 2  # the warning, and the line of code it is from
        assert printed == ""

    def test_is_counted_apart_in_each_of_two_threads(self):
        shows = warnings.showwarning
        searches = [
            OptunaSearchCV(Floods(bad=None, lines=lines), {"x": [0, lines]}, cv=2, refit=False, callbacks=_waits)
            for lines in (3, 5)
        ]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            threads = [threading.Thread(target=one.fit, args=(X, Y)) for one in searches]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert warnings.showwarning is shows
        texts = {str(one.message) for one in caught}
        assert texts >= {f"always the same warning ({4 * lines} times in this search)" for lines in (3, 5)}

    def test_warnings_that_are_ignored_are_ignored(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search(Floods(bad=None, lines=2), n_jobs=2)

    def test_warnings_that_are_errors_are_failures(self):
        with pytest.raises(ValueError, match=r"(?s)All the 4 fits failed.*always the same warning"):
            search(Floods(bad=None, lines=1), [0, 1])


class WarnsOften(misbehaving.Misbehaves):
    """Warns a hundred times in each fit, half of them with another text each."""

    def misbehave(self, X, y):
        for number in range(50):
            warnings.warn("always the same warning", UserWarning, stacklevel=1)
            warnings.warn(f"warning {number} of x={self.x}", RuntimeWarning, stacklevel=1)


def _waits(*_):
    time.sleep(0.05)  # so that two searches go on side by side


def _floods(_):
    warnings.simplefilter("default")
    OptunaSearchCV(WarnsOften(bad=None), {"x": list(range(100))}, cv=3, refit=False).fit(X, Y)


class TestAnEstimatorThatMeddles:
    @pytest.mark.parametrize("how", [{}, {"n_jobs": 2}, {"fit_timeout": 30}], ids=str)
    def test_scores_what_it_scores_alone(self, how):
        alone = [search(Meddles(bad=[0, 1, 2], seen=[]), [x]).cv_results_["mean_test_score"][0] for x in (0, 1, 2)]
        together = search(Meddles(bad=[0, 1, 2], seen=[]), [0, 1, 2], **how)
        assert list(together.cv_results_["mean_test_score"]) == alone

    @pytest.mark.parametrize("sampler", ["tpe", "random"])
    def test_does_not_change_what_is_tried(self, sampler):
        from optuna.distributions import FloatDistribution

        tried = []
        for estimator in (Meddles(bad=None, seen=[]), KnownScore()):
            made = OptunaSearchCV(
                estimator,
                {"x": FloatDistribution(0, 6)},
                n_trials=6,
                sampler=sampler,
                random_state=0,
                cv=2,
                refit=False,
            )
            tried.append([params["x"] for params in made.fit(X, Y).cv_results_["params"]])
        first, second = tried
        assert first[0] == second[0]
        if sampler == "random":
            assert first == second

    def test_leaves_the_callers_data_as_they_are(self):
        data, target = X.copy(), Y.copy()
        with failures_expected():
            OptunaSearchCV(Meddles(bad=None), {"x": [0, 1]}, cv=2, refit=False).fit(data, target)
        assert np.array_equal(data, X) and np.array_equal(target, Y)

    def test_that_draws_from_the_global_generator_is_not_seeded_by_us(self):
        scores = [search(DrawsFromTheGlobalGenerator(), [0]).cv_results_["mean_test_score"][0] for _ in range(2)]
        assert scores[0] != scores[1]


# --- the refit --------------------------------------------------------------------------------------------------------


class FailsOnAllData(KnownScore):
    """Raises when it is fitted on as many samples as there are, unless a file says that it may not any more."""

    def __init__(self, x=0.0, path=None):
        self.x = x
        self.path = path

    def fit(self, X, y=None):
        if len(X) == 12 and not os.path.exists(self.path):
            raise ZeroDivisionError("too much")
        with open(self.path + ".fits", "a") as file:
            file.write(".")
        return super().fit(X, y)

    def score(self, X, y=None):
        return known_score(self.x)


class TestARefitThatFails:
    @pytest.mark.parametrize("storage", ["s.db", "s.journal"])
    def test_keeps_everything_else_and_fitting_again_only_refits(self, storage, tmp_path):
        path = tmp_path / "may"
        how = {"cv": 2, "storage": tmp_path / storage, "study_name": "s"}
        made = OptunaSearchCV(FailsOnAllData(path=str(path)), {"x": VALUES}, **how)
        with pytest.raises(ZeroDivisionError, match=r"(?s)too much.*The search finished, the refit failed"):
            made.fit(X, Y)
        assert made.best_params_ == {"x": 3} and made.best_score_ == 10.0 and made.best_index_ == 3
        assert len(made.cv_results_["params"]) == len(made.top_n_) == 5
        assert not hasattr(made, "best_estimator_")
        path.touch()
        again = OptunaSearchCV(FailsOnAllData(path=str(path)), {"x": VALUES}, **how).fit(X, Y)
        assert again.best_estimator_.x == 3
        assert Path(f"{path}.fits").stat().st_size == 10 + 1
