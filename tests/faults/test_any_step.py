"""At every single step of a search something happens: it ends, it sleeps, its storage fails."""

import itertools
import math

import pytest
from faulty import READS, WRITES, Fault, locked
from invariants import N_SPLITS, SAMPLED, X, Y, check_trials, made, measured_alone, opener, rows_of
from optuna.pruners import ThresholdPruner
from simulating import World

from optuna_search._record import RECORD
from optuna_search.exceptions import StorageError

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("times", [1, math.inf])
@pytest.mark.parametrize("kind", ["raise", "raise after"])
def test_a_storage_that_fails_changes_nothing_whichever_call_it_is_and_is_a_clear_error_if_it_goes_on(
    kind, times, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    case, how = SAMPLED["whole numbers"], {"sampler": "tpe", "n_trials": 6}
    undisturbed = rows_of(made(case, None, **how).fit(X, Y))
    for at in itertools.count(1):
        fault = Fault(at=at, kind=kind, times=times, calls=(*READS, *WRITES), error=locked)
        with World(opener("memory", tmp_path)) as world:
            process = world.process().begin(lambda storage: made(case, storage, **how).fit(X, Y))
            process.storage.plan(fault)
            world.finish()
            if not process.storage.met():
                break
            if times == math.inf:
                assert isinstance(process.error, StorageError), at
                process = world.process().begin(lambda storage: made(case, storage, **how).fit(X, Y))
                world.finish()
        assert process.error is None, at
        rows = rows_of(process.result)
        assert rows == undisturbed if times == 1 else len(rows) == len(undisturbed)
    assert at > 30, "there are so many calls"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("what", "host"), [("kill", "here"), ("kill", "there"), ("Ctrl-C", "here"), ("suspend", "there")]
)
def test_a_search_that_ends_or_sleeps_at_any_step_is_finished_by_another_one(what, host):
    searched, how = SAMPLED["whole numbers"], {"sampler": "random", "n_trials": 3}
    for n in itertools.count():
        with World(opener("memory", None)) as world:
            one, other = (
                process.begin(lambda storage: made(searched, storage, **how).fit(X, Y))
                for process in (world.process("here"), world.process(host))
            )
            one.go_on(n)
            if not one.is_at_work:
                break
            match what:
                case "kill":
                    one.kill()
                case "Ctrl-C":
                    one.press_ctrl_c()
                    one.go_on_until("end")
                case "suspend":
                    one.is_suspended = True
            other.go_on_until("end")
            world.finish()
            trials = other.storage.get_all_trials(0)
            check_trials(trials, world, {one})
            assert sum(RECORD in t.user_attrs for t in trials) == 3, n
            rows = rows_of(other.result)
            assert rows == measured_alone(other.result.cv_results_["params"])
            assert what != "suspend" or rows == rows_of(one.result)
            assert len(world.fits) <= N_SPLITS * (3 + 1)
    assert n > 15, "there are so many steps"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", ["kill", "suspend"])
def test_a_pruned_trial_ends_as_pruned_at_whichever_step_its_search_ends_or_sleeps(what):
    how = {"sampler": "random", "n_trials": 4, "pruner": ThresholdPruner(lower=8.0)}
    searched = SAMPLED["whole numbers"]
    pruned = set()
    for n in itertools.count():
        with World(opener("memory", None)) as world:
            one, other = (
                world.process(host).begin(lambda storage: made(searched, storage, **how).fit(X, Y))
                for host in ("here", "there")
            )
            one.go_on(n)
            if not one.is_at_work:
                break
            if what == "kill":
                one.kill()
            else:
                one.is_suspended = True
            other.go_on_until("end")
            world.finish()
            trials = other.storage.get_all_trials(0)
            check_trials(trials, world, {one})
            kept = [t for t in trials if RECORD in t.user_attrs]
            assert len(kept) == 4, n
            for trial in kept:
                n_folds = sum(score is not None for score in trial.user_attrs[RECORD]["test"].get("score", ()))
                expected = {1: "FAIL", 0: "COMPLETE" if trial.params["x"] in (2, 3) else "PRUNED"}
                assert trial.state.name == expected[trial.params["x"] == 4], n
                assert n_folds == {"FAIL": 0, "COMPLETE": N_SPLITS, "PRUNED": 1}[trial.state.name]
            pruned.update(t.params["x"] for t in kept if t.state.name == "PRUNED")
            assert other.result.cv_results_["trial_state"].tolist() == [t.state.name for t in kept]
    assert n > 15 and pruned
