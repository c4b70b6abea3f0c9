"""Processes come and go: a killed one leaves nothing that misleads, and who does the work does not matter."""

import contextlib
import itertools
import json
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
import warnings
from collections import Counter
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
import optuna
import pytest
import sqlalchemy
import threadpoolctl
from estimators import FailsOn, KnownScore, high, low
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.trial import TrialState, create_trial
from processes import PATIENCE, Process, die_after, in_another_process, wait_until
from sklearn.base import BaseEstimator
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score
from test_storage import search

from optuna_search import OptunaSearchCV, _lease, _owner
from optuna_search._record import RECORD
from optuna_search._store import Store
from optuna_search.exceptions import OptunaSearchError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}
GRID = {"x": [0, 1, 2, 3], "peak": [1.0, 5.0]}


# --- a driver that is stopped in the middle ---------------------------------------------------------------------------


class Gated(KnownScore):
    """Counts its fits in a folder, and waits in a fit as long as there is a gate in that folder."""

    def __init__(self, folder, x=0.0):
        self.folder = folder
        self.x = x

    def fit(self, X, y=None):
        folder = Path(self.folder)
        (folder / f"fit-{uuid.uuid4().hex}").touch()
        if (folder / "gate").exists():
            (folder / f"waiting-{uuid.uuid4().hex}").touch()
            wait_until(lambda: not (folder / "gate").exists(), "the gate to open")
        return super().fit(X, y)

    def score(self, X, y=None):
        return -abs(self.x - 3.0) + float(np.mean(X)) / 100


def gated_search(folder, storage, n_jobs, **how):
    """A search whose fits wait once four trials are finished, and that notes what it has finished."""
    noted = Path(folder) / "acknowledged"

    def acknowledge(study, trial):
        with noted.open("a") as file:
            file.write(json.dumps([study.study_name, trial.number, trial.value]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if len(noted.read_text().splitlines()) == 4:
            (Path(folder) / "gate").touch()

    how = {"study_name": "s", "n_trials": 10, "cv": 2, "sampler": "random", "random_state": 0} | how
    return OptunaSearchCV(Gated(str(folder)), SPACE, n_jobs=n_jobs, storage=storage, callbacks=acknowledge, **how)


def run_gated(folder, storage, n_jobs):
    """Run such a search; when it is interrupted, print what is known all the same."""
    made = gated_search(folder, storage, n_jobs)
    try:
        made.fit(X, Y)
    except KeyboardInterrupt:
        known = {
            "interrupted": True,
            "rows": len(made.cv_results_["params"]),
            "best_params": made.best_params_,
            "best_score": made.best_score_,
            "states": [trial.state.name for trial in made.study_.trials],
            "refitted": hasattr(made, "best_estimator_"),
        }
        print(json.dumps(known))


def run_nested(folder, storage, n_jobs):
    """Cross-validate such a search, with a study for each outer fold."""
    made = gated_search(folder, storage, n_jobs, study_name="{data}", n_trials=3)
    cross_val_score(made, X, Y, cv=3, error_score="raise")


def wait_at_the_gate(process, folder, n):
    """Wait until so many fits of a driver wait at the gate."""

    def there():
        assert process.code is None, process.complaints
        return len(list(folder.glob("waiting-*"))) >= n

    wait_until(there, f"{n} fits at the gate")


def fits_in(folder):
    return len(list(folder.glob("fit-*")))


def trials_of(storage, study_name="s"):
    """The trials of a study, as a fresh look into its storage shows them."""
    opened = OptunaSearchCV.from_study(study_name, storage, Gated("")).study_
    return opened.get_trials(deepcopy=False)


class TestKilled:
    @pytest.mark.parametrize(
        ("storage", "n_jobs"),
        [
            ("sqlite", 1),
            ("journal", 1),
            pytest.param("postgres", 1, marks=pytest.mark.server),
            pytest.param("sqlite", 2, marks=pytest.mark.slow),
        ],
        indirect=["storage"],
    )
    def test_a_killed_search_is_finished_by_the_next_run(self, storage, n_jobs, tmp_path):
        folder = tmp_path / "folder"
        folder.mkdir()
        with Process(run_gated, folder, storage, n_jobs) as process:
            wait_at_the_gate(process, folder, n_jobs)
            process.send(signal.SIGKILL)
            process.wait()
            before = trials_of(storage)
            # With two workers it may die between the record of a trial and its end: that one gets its end.
            known = [trial for trial in before if RECORD in trial.user_attrs]
            in_the_air = {trial.number for trial in before} - {trial.number for trial in known}
            finished = [trial for trial in known if trial.state == TrialState.COMPLETE]
            assert len(in_the_air) >= 1
            (folder / "gate").unlink()
        for left in folder.glob("fit-*"):
            left.unlink()

        acknowledged = [json.loads(line) for line in (folder / "acknowledged").read_text().splitlines()]
        assert len(acknowledged) >= 4
        fitted = gated_search(folder, storage, 1).set_params(callbacks=None).fit(X, Y)
        after = trials_of(storage)
        assert Counter(trial.state for trial in after) == {
            TrialState.COMPLETE: 10,
            TrialState.FAIL: len(in_the_air),
        }
        for _, number, value in acknowledged:
            assert (after[number].state, after[number].value) == (TrialState.COMPLETE, value)
        assert [after[trial.number] for trial in finished] == finished
        assert {trial.number for trial in after if trial.state == TrialState.FAIL} == in_the_air
        assert {after[number].user_attrs["failure"] for number in in_the_air} == {"abandoned"}
        assert fitted.n_trials_ == 10
        assert not in_the_air & set(fitted.cv_results_["trial_number"])
        assert {len(column) for column in fitted.cv_results_.values()} == {10}
        assert fits_in(folder) == (10 - len(known)) * 2 + 1

    def test_a_killed_nested_cross_validation_is_finished_with_no_completed_trial_run_twice(self, tmp_path):
        storage = tmp_path / "s.db"
        with Process(run_nested, tmp_path, storage, 1) as process:
            wait_at_the_gate(process, tmp_path, 1)
            process.send(signal.SIGKILL)
            process.wait()
            (tmp_path / "gate").unlink()
        for left in tmp_path.glob("fit-*"):
            left.unlink()
        names = optuna.get_all_study_names(f"sqlite:///{storage}")
        assert len(names) == 2  # the gate closes in the second trial of the second outer fold
        before = {name: [t for t in trials_of(storage, name) if t.state == TrialState.COMPLETE] for name in names}
        assert [len(trials) for trials in before.values()] == [3, 1]

        run_nested(tmp_path, storage, 1)
        names = optuna.get_all_study_names(f"sqlite:///{storage}")
        assert len(names) == 3
        for name in names:
            states = Counter(trial.state for trial in trials_of(storage, name))
            assert states == {TrialState.COMPLETE: 3} | ({TrialState.FAIL: 1} if name == list(before)[1] else {})
            for trial in before.get(name, []):
                assert trials_of(storage, name)[trial.number] == trial
        assert fits_in(tmp_path) == (9 - 4) * 2 + 3

    def test_a_living_owner_keeps_its_trials(self, tmp_path):
        storage = tmp_path / "s.db"
        with Process(run_gated, tmp_path, storage, 1) as process:
            wait_at_the_gate(process, tmp_path, 1)
            helper = gated_search(tmp_path, storage, 1, n_trials=2).set_params(refit=False, callbacks=None, timeout=1)
            fitted = helper.fit(X, Y)
            assert process.code is None
            assert [trial.state for trial in fitted.study_.trials].count(TrialState.RUNNING) == 1
            (tmp_path / "gate").unlink()
            assert process.wait() == 0
        states = Counter(trial.state for trial in trials_of(storage))
        assert states == {TrialState.COMPLETE: 10}


def claimed(**changes):
    """What marks a trial as one that this process runs, with some things changed."""
    fitted = search(n_trials=1).fit(X, Y)
    ((name, claim),) = (
        (n, v) for n, v in fitted.study_.trials[0].user_attrs.items() if isinstance(v, dict) and "pid" in v
    )
    return {name: claim | changes}


def dead_pid():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pid": dead_pid}, TrialState.FAIL),
        ({"started": "17"}, TrialState.FAIL),
        ({"search": None}, TrialState.RUNNING),
        ({}, TrialState.FAIL),
        ({"host": "elsewhere"}, TrialState.FAIL),
        ({"pid": "text"}, TrialState.RUNNING),
        ({"pid": -1}, TrialState.RUNNING),
        ({"pid": None, "host": None}, TrialState.RUNNING),
    ],
    ids=[
        "dead",
        "its number belongs to another now",
        "alive",
        "a search that is over",
        "elsewhere",
        "no number",
        "minus one",
        "nothing",
    ],
)
def test_only_the_trials_of_the_dead_are_given_up(changes, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(_lease, "LEASE_SECONDS", 0.5)  # what another machine does not renew for so long has run out
    changes = {name: value() if callable(value) else value for name, value in changes.items()}
    made = search(storage=tmp_path / "s.db", study_name="s", n_trials=2)
    study = made.fit(X, Y).study_
    claim = claimed(**changes)
    study.add_trial(create_trial(state=TrialState.RUNNING, params={"x": 1.0}, distributions=SPACE, user_attrs=claim))
    fitted = made.set_params(n_trials=4, timeout=2 if "search" in changes else None).fit(X, Y)
    left = fitted.study_.trials[2]
    assert left.state == expected
    assert left.user_attrs.get("failure") == ("abandoned" if expected == TrialState.FAIL else None)
    # A trial that somebody has in the air is one of the four.
    assert list(fitted.cv_results_["trial_number"]) == ([0, 1, 3] if "search" in changes else [0, 1, 3, 4])


def test_an_owner_of_whom_the_system_tells_nothing_is_alive(monkeypatch):
    mine = _owner.claim()
    monkeypatch.setattr(Path, "read_text", lambda path: (_ for _ in ()).throw(PermissionError(str(path))))
    assert not _owner.is_dead(mine)
    assert _owner.is_dead(mine | {"pid": dead_pid()})


#: The calls by which anything is written.
WRITES = (
    "create_new_study",
    "set_study_user_attr",
    "create_new_trial",
    "set_trial_user_attr",
    "set_trial_state_values",
)
#: All of a search with one good and one failing trial.
N_WRITES = 2 + 3 + 4


def failing_search(folder, n_writes):
    space = {"x": [1, 2]}
    return search(space, FailsOn(bad=(2,)), storage=f"{folder}/{n_writes}.journal", study_name="s", sampler="grid")


def run_until_killed(folder, n_writes):
    warnings.simplefilter("ignore")
    die_after(n_writes, [JournalStorage], WRITES)
    failing_search(folder, n_writes).fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
def test_whenever_a_search_is_killed_the_next_run_makes_the_same_of_it(tmp_path):
    for moment in range(N_WRITES + 2):
        with Process(run_until_killed, tmp_path, moment) as process:
            assert process.wait() == (-signal.SIGKILL if moment <= N_WRITES else 0), process.complaints
        fitted = failing_search(tmp_path, moment).fit(X, Y)
        assert fitted.cv_results_["params"] == [{"x": 1}, {"x": 2}], moment
        assert list(fitted.cv_results_["trial_state"]) == ["COMPLETE", "FAIL"], moment
        assert fitted.best_params_ == {"x": 1}, moment
        counted = set(fitted.cv_results_["trial_number"])
        trials = fitted.study_.trials
        assert TrialState.RUNNING not in {trial.state for trial in trials}, moment
        rest = [trial for trial in trials if trial.number not in counted]
        assert [(t.state, t.user_attrs["failure"]) for t in rest] == [(TrialState.FAIL, "abandoned")] * len(rest), (
            moment
        )
        failures = [trials[number].user_attrs.get("failure") for number in sorted(counted)]
        assert failures == [None, "ValueError: x=2 is bad in fit"], moment


class Swallows(KnownScore):
    """Is told to end in a fit, and does not listen."""

    def fit(self, X, y=None):
        try:  # noqa: SIM105
            signal.raise_signal(signal.SIGTERM)
        except:  # noqa: E722
            pass
        return super().fit(X, y)


def run_swallowing(folder):
    """Run a search whose estimator swallows whatever comes."""
    made = search(estimator=Swallows(), n_trials=1, storage=f"{folder}/s.db", study_name="s", cv=[([0, 1], [2, 3])])
    made.fit(X, Y)
    print("not reached")


class Pools(KnownScore):
    """Has processes of its own in a fit, and terminates them."""

    def fit(self, X, y=None):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(abs, [-1, 2]) == [1, 2]
            # A handler in Python would come too late for one that waits for a lock, as those of a pool do.
            assert pool.map(signal.getsignal, [signal.SIGTERM]) == [signal.SIG_DFL]
        return super().fit(X, y)


class Adds(KnownScore):
    """Changes what it was given, as it may."""

    def fit(self, X, y=None, prior=None):
        prior += 1
        return super().fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_fit_may_change_a_small_array_that_it_was_given(n_jobs):
    made = search(estimator=Adds(), n_jobs=n_jobs, error_score="raise", refit=False)
    assert made.fit(X, Y, prior=np.zeros(3)).n_trials_ == 3


TERMINATES_A_FORK = """
import os, signal
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))  # what is registered first runs first
from optuna_search._signals import tidied_up_on_sigterm
with tidied_up_on_sigterm():
    if not (pid := os.fork()):
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class TestInterrupted:
    @pytest.mark.parametrize("whom", ["the driver", "the whole group"])
    @pytest.mark.slow
    def test_ctrl_c_reaches_the_caller_after_everything_known_is_there(self, whom, tmp_path):
        storage = tmp_path / "s.db"
        with Process(run_gated, tmp_path, storage, 2) as process:
            wait_at_the_gate(process, tmp_path, 2)
            if whom == "the driver":
                process.send(signal.SIGINT)
            else:  # as a terminal does
                os.killpg(process.pid, signal.SIGINT)
            out = process.output()  # the gate is still there: nobody waits for it
            wait_until(lambda: not alive(process.pid), "the workers to end")
        known = json.loads(out)
        assert known["interrupted"]
        assert not known["refitted"]
        assert known["rows"] == known["states"].count("COMPLETE") >= 4
        assert "RUNNING" not in known["states"]
        complete = [trial for trial in trials_of(storage) if trial.state == TrialState.COMPLETE]
        best = max(complete, key=lambda trial: trial.value)
        assert (known["best_params"], known["best_score"]) == (best.params, best.value)

    @pytest.mark.parametrize("n_jobs", [None, 1])
    def test_in_one_process(self, n_jobs, ctrl_c, tmp_path):
        ctrl_c(2 * 3 + 2)
        made = search(estimator=Interrupts(), n_trials=6, storage=tmp_path / "s.db", study_name="s", n_jobs=n_jobs)
        with pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        assert made.n_trials_ == len(made.cv_results_["params"]) == len(made.top_n_) == 3
        assert made.best_params_ == made.study_.best_params
        assert made.best_score_ == made.study_.best_value
        assert made.best_trial_ == made.study_.best_trial
        assert made.multimetric_ is False
        assert made.n_splits_ == 2
        assert made.scorer_ is not None
        assert not hasattr(made, "best_estimator_")
        *_, stopped = made.study_.trials
        assert (stopped.state, stopped.user_attrs["failure"]) == (TrialState.FAIL, "stopped before its last fold")
        ctrl_c(0)
        again = search(estimator=Interrupts(), n_trials=6, storage=tmp_path / "s.db", study_name="s").fit(X, Y)
        assert again.n_trials_ == 6
        assert list(again.cv_results_["trial_number"]) == [0, 1, 2, 4, 5, 6]

    @pytest.mark.parametrize("event", ["before_cursor_execute", "after_cursor_execute", "commit"])
    def test_at_any_moment_of_a_write(self, event, tmp_path):
        begun = search(n_trials=1, storage=tmp_path / "begun.db", study_name="s").fit(X, Y)
        for moment in itertools.count():
            path = tmp_path / f"{moment}.db"
            with contextlib.closing(sqlite3.connect(begun.storage)) as connection:
                connection.execute("VACUUM INTO ?", (str(path),))
            left = iter(range(moment, -1, -1))

            def interrupt(*_, left=left):
                if next(left, None) == 0:
                    signal.raise_signal(signal.SIGINT)

            made = search(n_trials=2, storage=path, study_name="s", refit=False)
            sqlalchemy.event.listen(sqlalchemy.engine.Engine, event, interrupt)
            try:
                made.fit(X, Y)
                break
            except KeyboardInterrupt:
                with contextlib.closing(sqlite3.connect(path)) as connection:
                    states = Counter(state for (state,) in connection.execute("SELECT state FROM trials"))
                assert set(states) <= {"COMPLETE", "FAIL"}, moment
                assert states["COMPLETE"] >= 1, moment
            finally:
                sqlalchemy.event.remove(sqlalchemy.engine.Engine, event, interrupt)
        assert made.n_trials_ == 2
        assert moment >= 3  # as many as there are writes

    def test_a_second_time_while_a_write_is_waited_for(self, monkeypatch):
        def never_ends(self, *args):
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
            raise AssertionError("not interrupted")

        monkeypatch.setattr(Store, "claim", never_ends)
        with pytest.raises(KeyboardInterrupt):
            search().fit(X, Y)

    def test_before_the_first_trial_has_ended(self, ctrl_c):
        ctrl_c(1)
        made = search(estimator=Interrupts())
        with pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        assert made.n_trials_ == 0
        assert [trial.state for trial in made.study_.trials] == [TrialState.FAIL]
        assert not hasattr(made, "cv_results_")

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
    @pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
    @pytest.mark.parametrize(
        "how",
        [{}, {"scoring": {"high": high, "low": low}, "refit": "low"}, {"refit": lambda results: 1 / 0}],
        ids=["one metric", "two metrics", "a refit that has no answer"],
    )
    def test_when_every_trial_so_far_has_failed(self, how, ctrl_c):
        ctrl_c(2 * 2 + 1)
        made = search(estimator=Interrupts(fails=True), n_trials=6, **how)
        with pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        assert list(made.cv_results_["trial_state"]) == ["FAIL", "FAIL"]
        assert made.n_trials_ == 2

    def test_with_threads(self, ctrl_c):
        ctrl_c(2 * 3 + 2)
        made = search(estimator=Interrupts(), n_trials=20)
        with joblib.parallel_config("threading", n_jobs=2), pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        states = Counter(trial.state for trial in made.study_.trials)
        assert made.n_trials_ == len(made.cv_results_["params"]) == states[TrialState.COMPLETE] >= 1
        assert not states[TrialState.RUNNING]
        assert made.best_params_ == made.study_.best_params

    def test_in_the_refit(self, ctrl_c):
        ctrl_c(2 * 3 + 1)
        made = search(estimator=Interrupts())
        with pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        assert made.n_trials_ == len(made.cv_results_["params"]) == 3
        assert made.best_params_ == made.study_.best_params
        assert not hasattr(made, "best_estimator_")
        assert [trial.state for trial in made.study_.trials] == [TrialState.COMPLETE] * 3

    def test_in_a_callback(self):
        def interrupt(study, trial):
            if trial.number == 1:
                signal.raise_signal(signal.SIGINT)

        made = search(n_trials=6, callbacks=[interrupt])
        with pytest.raises(KeyboardInterrupt):
            made.fit(X, Y)
        assert made.n_trials_ == len(made.cv_results_["params"]) == 2
        assert [trial.state for trial in made.study_.trials] == [TrialState.COMPLETE] * 2

    @pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_sigterm_gives_up_what_is_in_the_air_and_ends_the_process(self, n_jobs, tmp_path):
        storage = tmp_path / "s.db"
        with Process(run_gated, tmp_path, storage, n_jobs) as process:
            wait_at_the_gate(process, tmp_path, n_jobs)
            process.send(signal.SIGTERM)
            assert process.wait() == -signal.SIGTERM
            wait_until(lambda: not alive(process.pid), "the workers to end")
        states = Counter(trial.state for trial in trials_of(storage))
        assert set(states) == {TrialState.COMPLETE, TrialState.FAIL}
        assert states[TrialState.COMPLETE] >= 4
        reasons = {t.user_attrs["failure"] for t in trials_of(storage) if t.state == TrialState.FAIL}
        assert reasons == {"stopped before its last fold"}

    def test_sigterm_that_an_estimator_swallows_comes_in_the_end(self, tmp_path):
        with Process(run_swallowing, tmp_path) as process:
            assert process.wait() == -signal.SIGTERM, process.complaints
        states = Counter(trial.state for trial in trials_of(tmp_path / "s.db"))
        assert TrialState.RUNNING not in states

    def test_sigterm_that_comes_to_a_fork_as_it_is_born_ends_it(self):
        """A pool of processes is terminated by it, maybe at once, and its handler there would not be ours."""
        done = subprocess.run([sys.executable, "-c", TERMINATES_A_FORK], capture_output=True, text=True, check=True)
        assert (done.stdout.split(), done.stderr) == ([str(-signal.SIGTERM)], "")

    def test_ctrl_c_comes_through_where_the_storage_is_gone(self, monkeypatch):
        def interrupt(study, trial):
            monkeypatch.setattr(InMemoryStorage, "get_all_trials", lambda *args, **how: 1 / 0)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search(callbacks=interrupt).fit(X, Y)

    def test_sigterm_is_left_to_a_handler_of_the_program(self):
        called = []

        def terminate(study, trial):
            if trial.number == 1:
                signal.raise_signal(signal.SIGTERM)

        usual = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
        try:
            made = search(n_trials=4, callbacks=[terminate]).fit(X, Y)
        finally:
            signal.signal(signal.SIGTERM, usual)
        assert called == [signal.SIGTERM]
        assert made.n_trials_ == 4

    def test_sigterm_means_nothing_of_ours_to_the_pool_of_an_estimator(self, capfd):
        search(estimator=Pools(), n_trials=2, error_score="raise").fit(X, Y)
        assert capfd.readouterr() == ("", "")

    def test_the_handlers_of_signals_are_left_as_they_were(self, tmp_path):
        def handlers():
            return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

        during = []
        before = handlers()
        search(storage=tmp_path / "s.db", callbacks=[lambda study, trial: during.append(handlers())]).fit(X, Y)
        assert handlers() == before
        assert all(sigint == before[0] and sigterm != before[1] for sigint, sigterm in during)

    def test_an_exit_in_a_fit_leaves_no_trial_running(self, tmp_path):
        made = search(estimator=Exits(), storage=tmp_path / "s.db", study_name="s")
        with pytest.raises(SystemExit, match=r"^3$"):
            made.fit(X, Y)
        study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}")
        assert [trial.state for trial in study.trials] == [TrialState.FAIL]

    def test_an_error_in_a_callback_leaves_the_study_intact(self, tmp_path):
        def fail(study, trial):
            if trial.number == 1:
                raise ZeroDivisionError("in a callback")

        made = search(n_trials=6, callbacks=[fail], storage=tmp_path / "s.db", study_name="s")
        with pytest.raises(ZeroDivisionError, match=r"^in a callback$"):
            made.fit(X, Y)
        assert [trial.state for trial in trials_of(tmp_path / "s.db")] == [TrialState.COMPLETE] * 2
        assert made.set_params(callbacks=None).fit(X, Y).n_trials_ == 6


class Interrupts(KnownScore):
    """Sends Ctrl-C to this process in one of its fits, all instances counted together."""

    fits = 0
    at = 0

    def __init__(self, fails=False, x=0.0):
        self.fails = fails
        self.x = x

    def fit(self, X, y=None):
        Interrupts.fits += 1
        if Interrupts.fits == Interrupts.at:
            signal.raise_signal(signal.SIGINT)
        if self.fails:
            raise ValueError("always")
        return super().fit(X, y)

    def score(self, X, y=None):
        return -abs(self.x - 3.0)


class Exits(KnownScore):
    """Ends the interpreter, or so it thinks."""

    def fit(self, X, y=None):
        sys.exit(3)


@pytest.fixture
def ctrl_c(monkeypatch):
    """Says in which fit of `Interrupts` Ctrl-C comes."""

    def comes_in(fit):
        monkeypatch.setattr(Interrupts, "at", fit)
        monkeypatch.setattr(Interrupts, "fits", 0)

    return comes_in


def alive(group):
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# --- an error in a fit ------------------------------------------------------------------------------------------------


class TestRaise:
    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_the_error_of_a_fit_reaches_the_caller_and_the_study_is_intact(self, n_jobs, tmp_path):
        space = {"x": [0.0, 1.0, 2.0, 3.0, 4.0]}
        how = {"sampler": None, "n_trials": None, "storage": tmp_path / "s.db", "study_name": "s", "n_jobs": n_jobs}
        made = search(space, FailsOn(bad=(3.0,)), error_score="raise", **how)
        with pytest.raises(ValueError, match=r"^x=3\.0 is bad in fit$"):
            made.fit(X, Y)
        trials = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}").trials
        states = Counter(trial.state for trial in trials)
        assert not states[TrialState.RUNNING]
        (failed,) = (t for t in trials if t.params["x"] == "3.0" and t.state == TrialState.FAIL)
        assert failed.user_attrs["failure"] == "ValueError: x=3.0 is bad in fit"
        if n_jobs is None:
            assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3 + [TrialState.FAIL]

    def test_what_was_finished_is_kept_for_the_next_run(self, tmp_path):
        how = {
            "sampler": None,
            "n_trials": None,
            "storage": tmp_path / "s.db",
            "study_name": "s",
            "error_score": "raise",
        }
        made = search({"x": [0, 1, 2]}, FailsOnce(str(tmp_path / "fails"), 2), **how)
        (tmp_path / "fails").touch()
        with pytest.raises(ValueError, match=r"^not now$"):
            made.fit(X, Y)
        (tmp_path / "fails").unlink()
        assert made.fit(X, Y).n_trials_ == 3
        assert list(made.cv_results_["trial_number"]) == [0, 1, 3]


class FailsOnce(KnownScore):
    """Fails for one `x` as long as there is a file."""

    def __init__(self, path, bad, x=0):
        self.path = path
        self.bad = bad
        self.x = x

    def fit(self, X, y=None):
        if self.x == self.bad and Path(self.path).exists():
            raise ValueError("not now")
        return super().fit(X, y)

    def score(self, X, y=None):
        return -float(self.x)


# --- whoever does the work --------------------------------------------------------------------------------------------


def without_times(results):
    """What must be equal between two runs of one search."""
    assert not [key for key, column in results.items() if len(column) != len(results["params"])]
    return {
        key: np.ma.getdata(column).tolist() for key, column in results.items() if "_time" not in key and key != "params"
    } | {"params": str(results["params"])}


def grid_search(estimator=None, grid=GRID, **how):
    how = {"cv": 3, "scoring": {"high": high, "low": low}, "refit": "high", "return_train_score": True} | how
    return OptunaSearchCV(KnownScore() if estimator is None else estimator, grid, **how)


class TestBackends:
    @pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
    @pytest.mark.filterwarnings("ignore:.*use of fork\\(\\) may lead to deadlocks:DeprecationWarning")
    def test_every_backend_gives_the_same_results(self, backend):
        expected = grid_search().fit(X, Y)
        with joblib.parallel_config(backend, n_jobs=2):
            found = grid_search().fit(X, Y)
        assert without_times(found.cv_results_) == without_times(expected.cv_results_)
        assert found.best_params_ == expected.best_params_
        assert found.best_index_ == expected.best_index_

    @pytest.mark.parametrize("n_jobs", [2, -1])
    @pytest.mark.parametrize("pre_dispatch", ["2*n_jobs", "n_jobs", 1, "all"])
    def test_any_n_jobs_and_pre_dispatch_give_the_same_results(self, n_jobs, pre_dispatch):
        expected = grid_search().fit(X, Y)
        with joblib.parallel_config("threading"):
            found = grid_search(n_jobs=n_jobs, pre_dispatch=pre_dispatch).fit(X, Y)
        assert without_times(found.cv_results_) == without_times(expected.cv_results_)

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
    def test_dask_gives_the_same_results(self):
        distributed = pytest.importorskip("distributed")
        expected = grid_search().fit(X, Y)
        how = {"processes": True, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
        with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
            found = grid_search().fit(X, Y)
            counted = CountsPickles.of(X)
            grid_search().fit(counted, Y)
            with pytest.raises(ValueError, match=r"^x=2 is bad in fit$"):
                grid_search(FailsOn(bad=(2,)), {"x": [0, 1, 2]}, error_score="raise", scoring=None).fit(X, Y)
            workers = search(estimator=WhereItRuns(), n_trials=8, refit=False).fit(X, Y).cv_results_["mean_test_score"]
        assert without_times(found.cv_results_) == without_times(expected.cv_results_)
        assert found.best_params_ == expected.best_params_
        assert counted.pickles() == 1
        assert os.getpid() not in workers

    def test_draws_do_not_depend_on_the_backend_for_random_search(self):
        """Random draws do not depend on scores, so not on the order in which these come back either."""
        one = search(n_trials=8).fit(X, Y).cv_results_
        with joblib.parallel_config("threading", n_jobs=2):
            two = search(n_trials=8).fit(X, Y).cv_results_
        assert without_times(one) == without_times(two)


class WhereItRuns(KnownScore):
    """Scores the number of the process that it is scored in."""

    def score(self, X, y=None):
        return os.getpid()


class CountsPickles(np.ndarray):
    """An array that counts how often it is pickled in this process."""

    counts: ClassVar = Counter()

    @classmethod
    def of(cls, array):
        made = array.view(cls)
        made.key = uuid.uuid4().hex
        return made

    def pickles(self):
        return self.counts[self.key]

    def __reduce_ex__(self, protocol):
        if hasattr(self, "key"):  # a part of it has none
            self.counts[self.key] += 1
        return np.asarray(self).__reduce_ex__(protocol)


class TestWorkers:
    def test_the_data_are_pickled_once_however_many_tasks_there_are(self):
        counted = CountsPickles.of(X)
        grid_search(n_jobs=2).fit(counted, Y)
        assert counted.pickles() == 1

    def test_the_data_are_not_pickled_for_threads(self):
        counted = CountsPickles.of(X)
        with joblib.parallel_config("threading", n_jobs=2):
            grid_search().fit(counted, Y)
        assert counted.pickles() == 0

    def test_the_data_are_the_same_in_a_worker_process(self):
        import pandas as pd
        import scipy.sparse as sp

        frame = pd.DataFrame({"a": np.arange(12.0), "b": ["x", None, "z"] * 4, "c": pd.Categorical(["u", "v"] * 6)})
        for data in (X, np.asfortranarray(X), frame, sp.csr_array(X), X.astype("float32"), X.tolist()):
            found = grid_search(Sees(), {"x": [0]}, n_jobs=2, scoring=None, refit=False, cv=3).fit(data, Y)
            expected = grid_search(Sees(), {"x": [0]}, n_jobs=1, scoring=None, refit=False, cv=3).fit(data, Y)
            assert without_times(found.cv_results_) == without_times(expected.cv_results_)

    def test_a_class_that_no_worker_can_import_works(self):
        class Local(KnownScore):
            def score(self, X, y=None):
                return offset - float(self.x)

        offset = 7.0
        fitted = search({"x": [1, 2], "choice": [Local, lambda: 1]}, Local(), n_trials=4, n_jobs=2).fit(X, Y)
        assert sorted(fitted.cv_results_["mean_test_score"]) == [5.0, 5.0, 6.0, 6.0]

    @pytest.mark.slow
    def test_a_class_of_the_script_itself_works(self):
        assert json.loads(in_another_process(SCRIPT)) == [0.0, 2.0, 4.0, 0.0, 0.5, 1.0]

    def test_nothing_but_the_evaluation_goes_to_the_workers(self, tmp_path):
        lock = threading.Lock()

        def callback(study, trial):
            with lock:
                numbers.append((trial.number, os.getpid(), threading.current_thread() is threading.main_thread()))

        numbers = []
        storage = RDBStorage(f"sqlite:///{tmp_path / 's.db'}")
        sampler = optuna.samplers.RandomSampler(seed=0)
        sampler.lock = None
        search(storage=storage, sampler=sampler, callbacks=[callback], n_jobs=2, n_trials=4).fit(X, Y)
        assert sorted(numbers) == [(n, os.getpid(), True) for n in range(4)]

    @pytest.mark.usefixtures("workers_of_loky")  # a library asks for its threads when it is loaded
    def test_inner_threads_share_the_cores(self, tmp_path):
        if joblib.cpu_count() < 2:
            pytest.skip("needs two cores")
        search(estimator=CountsThreads(str(tmp_path)), n_jobs=2, n_trials=4, refit=False).fit(X, Y)
        limits = [json.loads(file.read_text()) for file in tmp_path.iterdir()]
        assert limits and all(limits)
        assert max(max(one) for one in limits) <= max(1, joblib.cpu_count() // 2)

    def test_no_worker_waits_for_a_straggler(self, tmp_path):
        """One fold ends only when seven other trials have; a search that works in rounds would never get there."""
        how = {"cv": KFold(2), "n_jobs": 2, "error_score": "raise", "refit": False}
        grid = {"x": list(range(8))}
        fitted = OptunaSearchCV(Straggles(str(tmp_path)), grid, **how).fit(X, Y)
        assert fitted.n_trials_ == 8

    def test_a_search_stops_when_a_callback_says_so(self):
        def stop(study, trial):
            if len([t for t in study.trials if t.state == TrialState.COMPLETE]) >= 3:
                study.stop()

        fitted = search(n_trials=50, callbacks=stop, n_jobs=2).fit(X, Y)
        assert 3 <= fitted.n_trials_ < 50
        assert TrialState.RUNNING not in {trial.state for trial in fitted.study_.trials}

    def test_a_worker_is_quiet_and_keeps_the_filters_of_the_caller(self, capfd):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            search(n_trials=4, n_jobs=2).fit(X, Y)
        assert capfd.readouterr() == ("", "")

    def test_no_folder_is_left_behind(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        search(n_trials=2, n_jobs=2).fit(X, Y)
        with pytest.raises(ValueError, match=r"is bad in fit"):
            search({"x": [1]}, FailsOn(bad=(1,)), error_score="raise", n_jobs=2, sampler=None, n_trials=None).fit(X, Y)
        assert [path.name for path in tmp_path.iterdir() if "joblib" not in path.name] == []


SCRIPT = """
import json
import numpy as np
from optuna_search import OptunaSearchCV
from sklearn.base import BaseEstimator

class Mine(BaseEstimator):
    def __init__(self, x=0.0, choice=None):
        self.x = x
        self.choice = choice
    def fit(self, X, y=None):
        return self
    def score(self, X, y=None):
        return self.choice(self.x)

def double(x):
    return 2 * x

def half(x):
    return x / 2

search = OptunaSearchCV(Mine(), {"choice": [double, half], "x": [0, 1, 2]}, cv=2, n_jobs=2)
search.fit(np.arange(24.0).reshape(12, 2), np.arange(12) % 2)
print(json.dumps(search.cv_results_["mean_test_score"].tolist()))
"""


class Sees(KnownScore):
    """Scores a hash of the data that it is fitted on and scored on."""

    def fit(self, X, y=None):
        self.seen_ = [self.about(X), type(X).__name__]
        return self

    @staticmethod
    def about(X):
        return (
            X.to_json()
            if hasattr(X, "to_json")
            else pickle.dumps(X.toarray() if hasattr(X, "toarray") else list(map(list, X)))
        )

    def score(self, X, y=None):
        return int(joblib.hash([self.seen_, self.about(X), type(X).__name__]), 16) % 2**50


class CountsThreads(KnownScore):
    """Notes how many threads the libraries below it would use."""

    def __init__(self, folder, x=0.0):
        self.folder = folder
        self.x = x

    def fit(self, X, y=None):
        LogisticRegression().fit(X, y)  # loads what there is to load
        limits = [library["num_threads"] for library in threadpoolctl.threadpool_info()]
        (Path(self.folder) / uuid.uuid4().hex).write_text(json.dumps(limits))
        return super().fit(X, y)

    def score(self, X, y=None):
        return -float(self.x)


class Straggles(KnownScore):
    """The first candidate waits on one of its folds until seven others have been scored on both of theirs."""

    def __init__(self, folder, x=0):
        self.folder = folder
        self.x = x

    def fit(self, X, y=None):
        if self.x == 0 and np.min(X) > 0:
            wait_until(lambda: len(list(Path(self.folder).iterdir())) >= 14, "the others")
        return super().fit(X, y)

    def score(self, X, y=None):
        if self.x > 0:
            (Path(self.folder) / uuid.uuid4().hex).touch()
        return -float(self.x)


# --- searches inside of others ----------------------------------------------------------------------------------------


class TestNested:
    def inner(self, **how):
        return OptunaSearchCV(KnownScore(), {"x": [1, 2, 3]}, cv=2, **how)

    @pytest.mark.parametrize("inner_jobs", [None, 2])
    def test_a_search_in_a_search(self, inner_jobs):
        grid = {"estimator__peak": [1.0, 5.0, 9.0]}
        one = OptunaSearchCV(self.inner(), grid, cv=2).fit(X, Y)
        two = OptunaSearchCV(self.inner(n_jobs=inner_jobs), grid, cv=2, n_jobs=2).fit(X, Y)
        assert without_times(one.cv_results_) == without_times(two.cv_results_)
        assert two.best_estimator_.best_params_ == {"x": 3}

    @pytest.mark.parametrize("backend", ["loky", "threading"])
    def test_a_search_in_a_cross_validation(self, backend, tmp_path):
        how = {"cv": 4, "error_score": "raise"}
        expected = cross_val_score(self.inner(), X, Y, **how)
        inner = self.inner(storage=tmp_path / "s.db", study_name="{data}")
        self.inner(storage=tmp_path / "s.db", study_name="s").fit(X, Y)  # makes the file
        with joblib.parallel_config(backend):
            found = cross_val_score(inner, X, Y, n_jobs=2, **how)
        np.testing.assert_array_equal(found, expected)
        studies = optuna.get_all_study_summaries(f"sqlite:///{tmp_path / 's.db'}")
        assert [study.n_trials for study in studies] == [3] * 5

    def test_a_search_in_a_stack(self):
        model = OptunaSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
        one, two = (
            StackingClassifier([("a", model), ("b", model)], LogisticRegression(), cv=2, n_jobs=n_jobs).fit(X, Y)
            for n_jobs in (None, 2)
        )
        np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))

    def test_searches_in_threads_do_not_disturb_each_other(self, tmp_path):
        """Each silences Optuna for its own thread only, and each has its own study."""
        optuna_level = optuna.logging.get_verbosity()
        done, errors = [], []

        def work(number):
            try:
                made = search(storage=tmp_path / "s.db", study_name=f"{number}", random_state=number, n_trials=5)
                done.append(made.fit(X, Y).n_trials_)
            except Exception as error:
                errors.append(error)

        search(storage=tmp_path / "s.db", study_name="first").fit(X, Y)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert not errors
        assert done == [5] * 4
        assert optuna.logging.get_verbosity() == optuna_level


class Unpicklable(BaseEstimator):
    """Cannot be sent to another process."""

    def __init__(self, x=0.0):
        self.x = x

    def __reduce__(self):
        raise TypeError("cannot be sent")

    def __sklearn_clone__(self):
        return type(self)(self.x)

    def fit(self, X, y=None):
        return self

    def score(self, X, y=None):
        return -float(self.x)


def test_what_cannot_be_sent_to_a_worker_leaves_no_trial_behind(tmp_path):
    made = search(estimator=Unpicklable(), n_jobs=2, storage=tmp_path / "s.db", study_name="s")
    with pytest.raises((OptunaSearchError, TypeError, pickle.PicklingError), match="cannot be sent"):
        made.fit(X, Y)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}")
    assert TrialState.RUNNING not in {trial.state for trial in study.trials}
    assert made.set_params(n_jobs=1).fit(X, Y).n_trials_ == 3
