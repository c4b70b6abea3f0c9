"""Several processes, one study: they share its budget exactly, learn from each other, and all end with the same."""

import contextlib
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import pytest
import sqlalchemy
from estimators import KnownScore
from faulty import Fault, locked
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import TrialState, create_trial
from processes import PATIENCE, Process, wait_until
from simulating import World
from test_deaths import gated_search, run_gated

from optuna_search import OptunaSearchCV, _engine, _lease, _owner, studies
from optuna_search._record import HANDED_BACK, encode
from optuna_search._roster import Roster
from optuna_search._store import Store
from optuna_search.exceptions import LateResultWarning, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6), "peak": [5.0, 10.0]}
GRID = {"x": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "peak": [5.0, 10.0]}


class Counted(KnownScore):
    """Leaves a file for each fit, and takes a moment for it; where and how long is no parameter of the study."""

    def __init__(self, x=0.0, peak=10.0):
        self.x = x
        self.peak = peak

    def fit(self, X, y=None):
        (Path(os.environ["FOLDER_OF_FITS"]) / f"fit-{uuid.uuid4().hex}").touch()
        time.sleep(float(os.environ["SECONDS_OF_FITS"]))
        return super().fit(X, y)

    def score(self, X, y=None):
        return self.peak - (self.x - 3.0) ** 2 + float(np.mean(X)) / 1e3


def made(storage, space=None, **how):
    how = {"study_name": "s", "n_trials": 24, "cv": 2, "random_state": 0, "refit": False} | how
    return OptunaSearchCV(Counted(), SPACE if space is None else space, storage=storage, **how)


def fits_in(folder):
    return len(list(Path(folder).glob("fit-*")))


def run(storage, how, n):
    """Fit a search in so many processes at once, and print what each of them came to."""
    warnings.simplefilter("error")
    for _ in range(n - 1):
        if not os.fork():
            break
    print(what_comes_of(made(storage, **how)) + "\n", end="", flush=True)
    with contextlib.suppress(ChildProcessError):
        while True:
            assert os.wait()[1] == 0


def what_comes_of(search):
    fitted = search.fit(X, Y)
    rows = {key: np.asarray(column, dtype=float).tolist() for key, column in fitted.cv_results_.items() if "_t" in key}
    params = [{name: repr(value) for name, value in row.items()} for row in fitted.cv_results_["params"]]
    return json.dumps([fitted.best_score_, fitted.best_index_.item(), fitted.n_trials_, params, rows])


def at_work(folder, storage, how, n=1, seconds=0.02):
    """A process, or several that one forks before it opens anything, that run a search."""
    return Process(run, storage, how, n, FOLDER_OF_FITS=str(folder), SECONDS_OF_FITS=str(seconds))


def results_of(process):
    return [json.loads(line) for line in process.output().splitlines()]


def trials_of(storage, study_name="s"):
    opened = OptunaSearchCV.from_study(study_name, storage, Counted()).study_
    return opened.get_trials(deepcopy=False)


@pytest.fixture(params=["sqlite", "journal", pytest.param("postgres", marks=pytest.mark.server)])
def shared(request, tmp_path):
    """A storage that several processes can open."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return tmp_path / ("s.db" if request.param == "sqlite" else "s.journal")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"space": GRID, "n_trials": None},
        {"space": GRID, "sampler": "random", "n_trials": 8},
        {"n_fits": 31, "sampler": "tpe"},
    ],
    ids=["sampled", "grid", "random cells", "fits"],
)
def test_eight_that_start_at_once_run_exactly_what_was_asked_for(shared, how, tmp_path):
    if how.get("n_fits"):
        how = how | {"n_trials": None}
    with at_work(tmp_path, shared, how, 8) as processes:
        all_of_them = results_of(processes)
    assert len(all_of_them) == 8
    wanted = 16 if "n_fits" in how else how.get("n_trials", 24) or 12
    trials = trials_of(shared)
    states = Counter(trial.state for trial in trials)
    assert states[TrialState.COMPLETE] == wanted
    assert states[TrialState.RUNNING] == 0
    assert fits_in(tmp_path) == 2 * wanted, "what is handed back was never fitted"
    assert [trial.number for trial in trials] == list(range(len(trials)))
    handed_back = [t.user_attrs["failure"] for t in trials if t.state == TrialState.FAIL]
    assert set(handed_back) <= {HANDED_BACK}
    assert all(one == all_of_them[0] for one in all_of_them), "all end with the same results"
    params = [json.dumps(row, sort_keys=True) for row in all_of_them[0][3]]
    assert len(set(params)) == len(params) == wanted, "no candidate was fitted twice"


@pytest.mark.slow
def test_a_second_one_helps_and_both_share_the_work(tmp_path):
    storage, how = tmp_path / "s.db", {"n_trials": 300}
    with at_work(tmp_path, storage, how) as first:
        wait_until(lambda: fits_in(tmp_path) >= 4, "the first one to begin")
        with at_work(tmp_path, storage, how) as second:
            assert results_of(first) == results_of(second)
    owners = Counter(t.user_attrs["optuna_search:claim"]["pid"] for t in trials_of(storage))
    assert set(owners) == {first.pid, second.pid}


@pytest.mark.slow
def test_what_a_killed_one_leaves_behind_is_taken_over(shared, tmp_path):
    (tmp_path / "victim").mkdir()
    with (
        at_work(tmp_path / "victim", shared, {"n_trials": 20}, seconds=1.0) as victim,
        at_work(tmp_path, shared, {"n_trials": 20}) as survivor,
    ):
        wait_until(lambda: fits_in(tmp_path / "victim") and fits_in(tmp_path), "both to be at it")
        victim.send(signal.SIGKILL)
        ((_, _, n_trials, *_),) = results_of(survivor)
    assert n_trials == 20
    states = Counter(trial.state for trial in trials_of(shared))
    assert states[TrialState.COMPLETE] == 20 and states[TrialState.RUNNING] == 0
    assert "abandoned" in [trial.user_attrs.get("failure") for trial in trials_of(shared)]


@pytest.mark.slow
def test_a_grid_that_a_killed_one_left_open_is_whole_in_the_end(tmp_path):
    storage, how = tmp_path / "s.db", {"space": GRID, "n_trials": None}
    (tmp_path / "victim").mkdir()
    with at_work(tmp_path / "victim", storage, how, seconds=60.0) as victim:
        wait_until(lambda: fits_in(tmp_path / "victim"), "one cell to be in the air")
        with at_work(tmp_path, storage, how) as survivor:
            wait_until(lambda: fits_in(tmp_path) == 22, "all others to be done")
            victim.send(signal.SIGKILL)
            (result,) = results_of(survivor)
    assert sorted(json.dumps(row, sort_keys=True) for row in result[3]) == sorted(
        json.dumps({"peak": repr(peak), "x": repr(x)}) for peak, x in itertools.product(GRID["peak"], GRID["x"])
    )


def begin_often(storages):
    """Let eight processes begin at once, for each storage in turn, and print what each of them came to."""
    for storage in storages:
        children = []
        for _ in range(8):
            if child := os.fork():
                children.append(child)
                continue
            code = 1
            try:
                run(storage, {"n_trials": 1}, 1)
                code = 0
            finally:
                os._exit(code)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
        if str(storage).startswith("postgresql"):
            _empty(storage)


def _empty(url):
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        (n_studies,) = connection.exec_driver_sql("SELECT count(*) FROM studies").one()
        assert n_studies == 1
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")


@pytest.mark.slow
@pytest.mark.parametrize("repetition", range(4))
def test_eight_may_make_a_study_in_an_empty_storage_together(shared, repetition, tmp_path):
    n_turns = 5  # in each of the four repetitions: twenty
    is_file = isinstance(shared, Path)
    storages = [shared.with_stem(f"s{turn}") if is_file else shared for turn in range(n_turns)]
    environment = {"FOLDER_OF_FITS": str(tmp_path), "SECONDS_OF_FITS": "0"}
    with Process(begin_often, storages, **environment) as processes:
        results = results_of(processes)
    for turn in range(n_turns):
        assert len({json.dumps(one) for one in results[8 * turn : 8 * turn + 8]}) == 1
    assert len(results) == 8 * n_turns and fits_in(tmp_path) == 2 * n_turns
    assert all(len(studies.list_studies(storage)) == 1 for storage in storages if is_file)


# --- in one process, where every step can be seen ---------------------------------------------------------------------


def in_threads(n, storage, **how):
    searches = [made(storage, **how).set_params(estimator=KnownScore()) for _ in range(n)]
    errors = []

    def fit(one):
        try:
            one.fit(X, Y)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=fit, args=(one,)) for one in searches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors
    return searches


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_threads_share_a_study_as_processes_do(kind, tmp_path):
    storage = InMemoryStorage() if kind == "memory" else str(tmp_path / "s.db")
    searches = in_threads(4, storage, n_trials=20)
    assert [one.n_trials_ for one in searches] == [20] * 4
    assert len({tuple(one.cv_results_["mean_test_score"]) for one in searches}) == 1


@pytest.mark.parametrize("sampler", [None, "qmc", "random", "cmaes", "nsgaii", "brute-force"])
def test_every_sampler_shares_a_study(sampler):
    space = GRID if sampler == "brute-force" else {"x": FloatDistribution(0, 6), "peak": FloatDistribution(5, 10)}
    wanted = 12 if sampler == "brute-force" else 20
    searches = in_threads(3, InMemoryStorage(), n_trials=wanted, space=space, sampler=sampler)
    for one in searches:
        assert one.n_trials_ == wanted
        assert len({json.dumps(p, sort_keys=True) for p in one.cv_results_["params"]}) == wanted


def test_a_cell_that_stands_twice_in_a_grid_is_fitted_once_by_whoever_has_it():
    grid = {"x": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]}
    searches = in_threads(3, InMemoryStorage(), n_trials=None, space=grid)
    for one in searches:
        assert sorted(one.cv_results_["param_x"].tolist()) == grid["x"]


class Clockwork(KnownScore):
    """Does something at its first fit."""

    action = None

    def fit(self, X, y=None):
        action, Clockwork.action = Clockwork.action, None
        if action is not None:
            action()
        return super().fit(X, y)


def of_another_host(study):
    """A running trial of a machine that this one knows nothing of."""
    claim = {"optuna_search:claim": _owner.claim() | {"host": "elsewhere"}}
    study.add_trial(create_trial(state=TrialState.RUNNING, params={"x": 2.5}, distributions=X_ONLY, user_attrs=claim))
    return len(study.get_trials(deepcopy=False)) - 1


X_ONLY = {"x": FloatDistribution(0, 6)}


def alone(storage, **how):
    return made(storage, X_ONLY, **how).set_params(estimator=Clockwork())


def test_a_claim_that_is_renewed_holds_and_one_that_is_not_runs_out(monkeypatch, tmp_path):
    monkeypatch.setattr(_lease, "LEASE_SECONDS", 1.0)
    search = alone(str(tmp_path / "s.db"), n_trials=2).fit(X, Y)
    study = search.study_
    number = of_another_host(study)
    trial_id = study.trials[number]._trial_id
    storage = study._storage
    ended, renewals = [], []

    def renew():
        for times in range(1, 7):
            time.sleep(0.4)
            claim = study.trials[number].user_attrs["optuna_search:claim"]
            storage.set_trial_user_attr(trial_id, "optuna_search:claim", claim | {"renewed": times})
            renewals.append(time.monotonic())

    thread = threading.Thread(target=renew)
    thread.start()
    search.set_params(n_trials=3).fit(X, Y)
    ended.append(time.monotonic())
    thread.join()
    assert ended[0] - renewals[-1] > 0.9, "as long as it was renewed it was waited for"
    assert study.trials[number].state == TrialState.FAIL
    assert study.trials[number].user_attrs["failure"] == "abandoned"
    assert search.n_trials_ == 3


def test_the_claims_of_a_long_fit_are_renewed(monkeypatch, tmp_path):
    monkeypatch.setattr(_lease, "RENEWAL_SECONDS", 0.1)
    Clockwork.action = lambda: time.sleep(1)
    search = alone(str(tmp_path / "s.db"), n_trials=2).fit(X, Y)
    renewed = [trial.user_attrs["optuna_search:claim"]["renewed"] for trial in search.study_.trials]
    assert renewed[0] >= 3
    assert not [thread for thread in threading.enumerate() if thread.name == "optuna-search-lease"]


def give_up_number_zero(storage, then=lambda study: None):
    """What another process does that takes the owner of the first trial for dead."""

    def action():
        study = optuna.load_study(study_name="s", storage=storage)
        trial_id = study.get_trials(deepcopy=False)[0]._trial_id
        study._storage.set_trial_user_attr(trial_id, "failure", "abandoned")
        study._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        then(study)

    return action


def test_the_late_result_of_a_trial_that_was_taken_for_lost_is_taken_once():
    storage = InMemoryStorage()
    Clockwork.action = give_up_number_zero(storage)
    search = alone(storage, n_trials=3).fit(X, Y)
    assert search.n_trials_ == 3
    assert list(search.cv_results_["trial_number"]) == [1, 2, 3]
    assert search.study_.trials[0].params == search.study_.trials[1].params, "it was not fitted again"


def test_a_late_result_that_is_not_needed_any_more_is_dropped_with_a_warning():
    storage = InMemoryStorage()

    def done_by_somebody_else(study):
        in_between = alone(storage, n_trials=1).set_params(sampler="random", random_state=7)
        in_between.fit(X, Y)

    Clockwork.action = give_up_number_zero(storage, done_by_somebody_else)
    with pytest.warns(LateResultWarning, match="Trial 0 ended after another process had given it up"):
        search = alone(storage, n_trials=1).fit(X, Y)
    assert search.n_trials_ == 1
    assert list(search.cv_results_["trial_number"]) == [1]


def test_the_sampler_knows_what_others_found_and_have_in_the_air(monkeypatch):
    storage = InMemoryStorage()
    search = alone(storage, n_trials=5, sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=1))
    seen = []

    class Looking(type(search.sampler)):
        def sample_relative(self, study, trial, space):
            seen.append([(t.state, t.params) for t in study.get_trials(deepcopy=False)])
            return super().sample_relative(study, trial, space)

    def help_out():
        # It would wait for the trial in which it is called.
        alone(storage, n_trials=2, sampler="random", random_state=3, timeout=0.5).fit(X, Y)
        of_another_host(search_study())

    def search_study():
        return optuna.load_study(study_name="s", storage=storage)

    monkeypatch.setattr(_lease, "LEASE_SECONDS", 0.3)
    Clockwork.action = help_out
    search.set_params(sampler=Looking(seed=1, n_startup_trials=1)).fit(X, Y)
    stored = search.study_.get_trials(deepcopy=False)
    others = [stored[1].params, stored[2].params]
    assert [(TrialState.COMPLETE, others[0]), (TrialState.RUNNING, others[1])] == [
        one
        for one in seen[2]
        if one[1] in others  # the number of its second trial has told that somebody is there
    ]


def test_a_driver_waits_for_what_others_have_in_the_air_and_counts_it(monkeypatch):
    storage = InMemoryStorage()
    search = alone(storage, n_trials=2).fit(X, Y)
    study = search.study_
    number = of_another_host(study)

    def finish():
        time.sleep(0.5)
        record = study.trials[0].user_attrs["optuna_search"] | {"params": {"x": 2.5}, "values": [1.0]}
        study._storage.set_trial_user_attr(study.trials[number]._trial_id, "optuna_search", record)
        study.tell(number, 1.0)

    thread = threading.Thread(target=finish)
    thread.start()
    search.set_params(n_trials=3).fit(X, Y)
    thread.join()
    assert list(search.cv_results_["trial_number"]) == [0, 1, number]


def test_what_others_have_in_the_air_is_not_waited_for_when_the_time_is_up():
    storage = InMemoryStorage()
    search = alone(storage, n_trials=2).fit(X, Y)
    number = of_another_host(search.study_)
    before = time.monotonic()
    search.set_params(n_trials=3, timeout=0.5).fit(X, Y)
    assert time.monotonic() - before < 30
    assert search.study_.trials[number].state == TrialState.RUNNING
    assert search.n_trials_ == 2


def test_the_bar_counts_what_others_do(capfd):
    storage = InMemoryStorage()
    Clockwork.action = lambda: alone(storage, n_trials=3, sampler="random", random_state=3, timeout=0.5).fit(X, Y)
    alone(storage, n_trials=4, verbose=2).fit(X, Y)
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["trial 0", "trial 1", "trial 2", "trial 3"]
    assert "4/4 done" in lines[-1]


def test_a_lone_search_reads_and_hands_back_nothing(monkeypatch, tmp_path):
    handed = []
    monkeypatch.setattr(_engine.Engine, "_hand_back", lambda *args: handed.append(args))
    alone(str(tmp_path / "s.db"), n_trials=10).fit(X, Y)
    assert handed == []


def test_a_roster_counts_what_is_alive():
    roster = Roster()
    roster.enter(0, "a", 5)
    roster.enter(1, "b", 5, counts=False)
    roster.enter(2, "a", 0)
    assert (len(roster), roster.fits) == (2, 10)
    roster.enter(0, "a", 3)  # it has ended early
    assert (len(roster), roster.fits) == (2, 8)
    assert roster.before(2) == (1, 8)
    assert roster.leave(0) == "a" and roster.leave(0) is None
    assert roster.holders("a") == {2} and roster.holders("c") == set()
    assert (len(roster), roster.fits, roster.key(1), roster.key(0)) == (1, 5, "b", None)


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_nothing_that_is_waited_for(tmp_path):
    storage = tmp_path / "s.db"
    with Process(run_gated, tmp_path, storage, 1) as process:
        wait_until(lambda: len(list(tmp_path.glob("waiting-*"))) >= 1, "a fit at the gate")
        process.send(signal.SIGKILL)
        process.wait()
    before = time.monotonic()
    (tmp_path / "gate").unlink()
    fitted = gated_search(tmp_path, storage, 1).set_params(refit=False, callbacks=None).fit(X, Y)
    assert fitted.n_trials_ == 10
    assert time.monotonic() - before < 30


def test_what_the_dead_had_in_the_air_does_not_mislead_the_sampler():
    storage = InMemoryStorage()
    study = alone(storage, n_trials=1).fit(X, Y).study_
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    claim = {"optuna_search:claim": _owner.claim() | {"pid": process.pid}}
    for i in range(8):
        near = {"x": 3 + i / 100}
        study.add_trial(create_trial(state=TrialState.RUNNING, params=near, distributions=X_ONLY, user_attrs=claim))
    seen = []

    class Looking(optuna.samplers.TPESampler):
        def sample_relative(self, study, trial, space):
            seen.append([t.params["x"] for t in study.get_trials(deepcopy=False) if t.params])
            return super().sample_relative(study, trial, space)

    fitted = alone(storage, n_trials=5, sampler=Looking(seed=0, n_startup_trials=1)).fit(X, Y)
    assert fitted.n_trials_ == 5
    assert [t.state for t in study.trials[1:9]] == [TrialState.FAIL] * 8
    tried = [trial.params["x"] for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert seen == [tried[: n + 1] for n in range(4)], "the points of the dead are nothing to learn from"


class Gated(KnownScore):
    """Waits for a gate and stops the search, in a thread of this name."""

    gate = threading.Event()

    def fit(self, X, y=None):
        if threading.current_thread().name == "stops":
            Gated.gate.wait(PATIENCE)
            raise RuntimeError("this one stops")
        return super().fit(X, y)


@pytest.mark.parametrize("kind", ["BruteForceSampler", "grid", "random"])
@pytest.mark.filterwarnings("ignore:BruteForceSampler is experimental")
def test_a_cell_that_a_search_leaves_behind_is_tried_by_another_one(kind):
    storage, results, stopped = InMemoryStorage(), [], []
    sampler = optuna.samplers.BruteForceSampler() if kind == "BruteForceSampler" else kind
    Gated.gate.clear()

    def run():
        how = {"sampler": sampler, "n_trials": 4, "cv": 2, "refit": False, "error_score": "raise"}
        try:
            results.append(
                OptunaSearchCV(Gated(), {"x": [0, 1, 2, 3]}, storage=storage, study_name="s", **how).fit(X, Y)
            )
        except RuntimeError as error:
            stopped.append(error)

    threads = [threading.Thread(target=run, name=name) for name in ("stops", "goes on")]
    threads[0].start()
    wait_until(lambda: storage.get_all_studies() and storage.get_all_trials(0), "the first claim")
    threads[1].start()
    wait_until(lambda: sum(t.state == TrialState.COMPLETE for t in storage.get_all_trials(0)) == 3, "all others")
    Gated.gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(stopped) == 1
    assert sorted(p["x"] for p in results[0].cv_results_["params"]) == [0, 1, 2, 3]


def test_a_budget_that_is_used_up_does_not_wait_for_what_goes_beyond_it():
    storage = InMemoryStorage()
    study = alone(storage, n_trials=5).fit(X, Y).study_
    of_another_host(study)
    before = time.monotonic()
    assert alone(storage, n_trials=5).fit(X, Y).n_trials_ == 5
    assert time.monotonic() - before < 30


def test_a_trial_that_could_not_be_given_up_does_not_block_the_next_fit_of_this_process(monkeypatch):
    storage = InMemoryStorage()

    def away(*args):
        raise OSError("the storage is away")

    Clockwork.action = away
    with monkeypatch.context() as patched:
        patched.setattr("optuna_search._store.Store.release", away)
        with pytest.raises(OSError, match="the storage is away"):
            alone(storage, n_trials=3, error_score="raise").fit(X, Y)
    study = optuna.load_study(study_name="s", storage=storage)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING]
    fitted = alone(storage, n_trials=3, error_score="raise").fit(X, Y)
    assert list(fitted.cv_results_["trial_number"]) == [1, 2, 3]
    assert study.trials[0].user_attrs["failure"] == "abandoned"


def failed(process, step, *, interrupt):
    """Have a search fail, whose process lives on, because its storage is away from a step on, and came back later."""
    process.begin(lambda storage: made_for(storage).fit(X, Y)).go_on_until(step)
    process.storage.plan(Fault(times=math.inf, error=locked))
    if interrupt:
        process.press_ctrl_c()
    while process.is_at_work:
        process.go_on()
    process.storage.plan()
    return process.error


def made_for(storage):
    return OptunaSearchCV(
        KnownScore(), SPACE, storage=storage, study_name="s", n_trials=3, cv=2, random_state=0, refit=False
    )


@pytest.mark.parametrize("host", ["here", "there"])
def test_what_a_failed_search_could_not_write_is_taken_in_while_its_process_lives_on(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = InMemoryStorage()
    with World(lambda: storage) as world:
        error = failed(world.process("here", stays=True), "set_trial_user_attr", interrupt=False)
        assert isinstance(error, StorageError) and "The result of trial 0 is in" in str(error)
        other = world.process(host).begin(lambda storage: made_for(storage).fit(X, Y))
        world.finish()
        assert list(other.result.cv_results_["trial_number"]) == [0, 1, 2]
        assert len(world.fits) == 2 * 3, "nothing was fitted again"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("host", "seconds"), [("here", _lease.FORGOTTEN_SECONDS), ("there", _lease.LEASE_SECONDS)])
def test_a_trial_that_a_failed_search_could_not_give_up_is_not_waited_for_as_long_as_its_process_lives(host, seconds):
    storage = InMemoryStorage()
    with World(lambda: storage) as world:
        error = failed(world.process("here", stays=True), "fit", interrupt=True)
        assert isinstance(error, KeyboardInterrupt)
        assert [trial.state for trial in storage.get_all_trials(0)] == [TrialState.RUNNING]
        other, before = world.process(host).begin(lambda storage: made_for(storage).fit(X, Y)), world.now
        world.finish()
        assert list(other.result.cv_results_["trial_number"]) == [1, 2, 3]
        assert seconds < world.now - before < seconds + 10


def test_a_trial_that_somebody_else_has_brought_to_its_end_is_not_written_again():
    storage = InMemoryStorage()
    search = alone(storage, n_trials=3)
    finish = Store.finish

    def end_it(self, trial_id, record, verdict):
        storage.set_trial_user_attr(trial_id, "optuna_search", encode(record, verdict.values))
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, verdict.values)
        return finish(self, trial_id, record, verdict)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "finish", end_it)
        search.fit(X, Y)
    assert list(search.cv_results_["trial_number"]) == [0, 1, 2]


# --- a study that is taken away ---------------------------------------------------------------------------------------


def delete_by_force(name, path):
    studies.delete_study(name, path, force=True)


def delete_by_optuna(name, path):
    optuna.delete_study(study_name=name, storage=studies.load_study(name, path)._storage)


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_between_two_trials_a_study_is_worked_on_too(ending, tmp_path):
    path, seen = tmp_path / f"s.{ending}", []

    def look(study, trial):
        seen.extend(one.state for one in studies.list_studies(path))
        for change in (studies.delete_study, lambda *given: studies.rename_study("s", "t", *given[1:])):
            with pytest.raises(StorageError, match=rf"'s' is being worked on by process {os.getpid()} on host"):
                change("s", path)

    made(path, n_trials=2, callbacks=look).set_params(estimator=KnownScore()).fit(X, Y)
    assert seen == ["running", "running"]
    assert [one.state for one in studies.list_studies(path)] == ["idle"]
    studies.copy_study("s", "t", path)
    studies.delete_study("s", path)
    assert [one.name for one in studies.list_studies(path)] == ["t"]


def test_a_search_of_another_host_is_at_work_as_long_as_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(_lease, "RENEWAL_SECONDS", 0.02)
    path, said = tmp_path / "s.db", []

    def workers():
        study = studies.load_study("s", path)
        return [one for name, one in study._storage.get_study_system_attrs(study._study_id).items() if "worker" in name]

    def look(study, trial):
        said.append(workers()[0]["seen"])
        wait_until(lambda: workers()[0]["seen"] > said[-1], "the search to say again that it is at work")

    made(path, n_trials=2, callbacks=look).set_params(estimator=KnownScore()).fit(X, Y)
    assert workers() == [None]

    def state(ago):
        claim = _owner.claim("theirs") | {"host": "elsewhere", "seen": time.time() - ago}
        studies.load_study("s", path)._storage.set_study_system_attr(1, "optuna_search:worker:theirs", claim)
        return studies.list_studies(path)[0].state

    assert (state(60.0), state(1000.0)) == ("running", "idle")
    studies.delete_study("s", path)


@pytest.mark.parametrize("delete", [delete_by_force, delete_by_optuna])
@pytest.mark.parametrize("when", ["in a fit", "between trials"])
@pytest.mark.parametrize("ending", ["db", "journal"])
def test_a_study_that_is_deleted_meanwhile_is_told_and_no_other_one_gets_its_trials(ending, when, delete, tmp_path):
    path = tmp_path / f"s.{ending}"

    def take_away(*_):
        if "other" not in [one.name for one in studies.list_studies(path)]:
            delete("s", path)
            other = made(path, {"x": [9.0, 8.0]}, study_name="other", n_trials=None, cv=3)
            other.set_params(estimator=KnownScore()).fit(X[:6], Y[:6])

    Clockwork.action = take_away if when == "in a fit" else None
    search = made(path, callbacks=take_away if when != "in a fit" else None).set_params(estimator=Clockwork())
    with pytest.raises(StorageError, match=r"^The study was deleted while this search was at work on it; nothing more"):
        search.fit(X, Y)
    assert [one.name for one in studies.list_studies(path)] == ["other"]
    trials = studies.load_study("other", path).trials
    assert [(t.number, t.state, float(t.params["x"])) for t in trials] == [
        (0, TrialState.COMPLETE, 9.0), (1, TrialState.COMPLETE, 8.0),
    ]  # fmt: skip


@pytest.mark.parametrize("space", [{"x": FloatDistribution(7, 9)}, {"x": [8.0, 9.0]}], ids=["alike", "another kind"])
def test_a_claim_that_waits_while_its_study_is_deleted_is_none_in_the_one_that_has_its_id(space, monkeypatch, tmp_path):
    path, write, begun = tmp_path / "s.db", RDBStorage._create_new_trial, []
    other = made(path, space, study_name="other", n_trials=2).set_params(estimator=KnownScore())

    def late(storage, *args, **kwargs):
        if not begun:
            begun.append(True)
            delete_by_optuna("s", path)
            other.fit(X, Y)
        return write(storage, *args, **kwargs)

    monkeypatch.setattr(RDBStorage, "_create_new_trial", late)
    with pytest.raises(StorageError, match=r"^The study was deleted while this search"):
        made(path).set_params(estimator=KnownScore()).fit(X, Y)
    states = Counter(trial.state for trial in studies.load_study("other", path).trials)
    assert states[TrialState.COMPLETE] == 2 and states[TrialState.RUNNING] == 0
    assert other.fit(X, Y).n_trials_ == 2


def test_a_trial_in_the_air_that_is_no_point_of_the_space_is_nobodys_business():
    storage = InMemoryStorage()
    study = alone(storage, n_trials=2).fit(X, Y).study_
    odd = {"y": FloatDistribution(0, 1)}
    claim = {"optuna_search:claim": _owner.claim() | {"host": "elsewhere"}}
    study.add_trial(create_trial(state=TrialState.RUNNING, params={"y": 0.5}, distributions=odd, user_attrs=claim))
    fitted = alone(storage, n_trials=4, timeout=5).fit(X, Y)
    assert list(fitted.cv_results_["trial_number"]) == [0, 1, 3, 4], "it neither counts nor is waited for"


@pytest.mark.slow
def test_a_study_may_be_deleted_by_force_while_another_process_is_busy_with_it(tmp_path):
    path = tmp_path / "s.db"
    with at_work(tmp_path, path, {"n_trials": 1000}, seconds=0.0) as process:
        wait_until(lambda: fits_in(tmp_path) > 100, "the other one to be busy")
        studies.delete_study("s", path, force=True)
        made(path, {"x": [9.0]}, study_name="other", n_trials=None).set_params(estimator=KnownScore()).fit(X, Y)
        assert process.wait() == 1
        assert "StorageError: The study was deleted while this search was at work on it" in process.complaints
    assert len(studies.load_study("other", path).trials) == 1
