"""The machinery for faults does what it says; a test that uses it may rely on that."""

import contextlib
import math
import pickle
import time

import numpy as np
import optuna
import pytest
from estimators import KnownScore
from faulty import READS, WRITES, Fault, FaultyStorage, connection_lost, locked
from optuna.distributions import FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sklearn.base import clone

from optuna_search import OptunaSearchCV
from optuna_search._compat import relational

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
SPACE = {"x": FloatDistribution(0, 6)}
MAXIMIZE = [StudyDirection.MAXIMIZE]


def search(storage, **how):
    how = {"n_trials": 4, "cv": 2, "sampler": "random", "random_state": 0, "refit": False, "study_name": "s"} | how
    return OptunaSearchCV(KnownScore(), SPACE, storage=storage, **how)


# --- a storage that fails ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite", "journal"])
def inner(request, tmp_path):
    match request.param:
        case "sqlite":
            return RDBStorage(f"sqlite:///{tmp_path}/s.db")
        case "journal":
            return JournalStorage(JournalFileBackend(str(tmp_path / "s.journal")))
    return InMemoryStorage()


class TestAFaultyStorage:
    def test_passes_everything_on_and_records_it(self, inner):
        storage = FaultyStorage(inner)
        assert isinstance(storage, BaseStorage)
        fitted = search(storage).fit(X, Y)
        assert fitted.n_trials_ == 4
        assert not storage.met()
        assert storage.names(("set_trial_state_values",)) == ["set_trial_state_values"] * 4
        assert {*storage.names()} <= {*WRITES} and {*storage.names(READS)} <= {*READS}
        assert all(call.took_effect for call in storage.calls)

    def test_raises_at_the_chosen_call_alone_and_that_one_does_not_take_effect(self, inner):
        storage = FaultyStorage(inner, Fault(at=2, calls=("create_new_trial", "set_trial_user_attr")))
        study_id = storage.create_new_study(MAXIMIZE, "s")
        trial_id = storage.create_new_trial(study_id)
        with pytest.raises(StorageInternalError, match="An exception is raised during the commit"):
            storage.set_trial_user_attr(trial_id, "key", 1)
        assert storage.get_trial(trial_id).user_attrs == {}
        storage.set_trial_user_attr(trial_id, "key", 2)
        assert storage.get_trial(trial_id).user_attrs == {"key": 2}
        (call,) = storage.met()
        assert (call.name, call.took_effect) == ("set_trial_user_attr", False)

    def test_raises_after_the_call_has_taken_effect(self, inner):
        lost = Fault(kind="raise after", calls=("set_trial_state_values",), error=locked)
        storage = FaultyStorage(inner, lost)
        trial_id = storage.create_new_trial(storage.create_new_study(MAXIMIZE, "s"))
        with pytest.raises(StorageInternalError) as raised:
            storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
        assert "database is locked" in str(raised.value.__cause__)
        assert storage.get_trial(trial_id).state == TrialState.COMPLETE
        assert [call.took_effect for call in storage.met("set_trial_state_values")] == [True]

    def test_is_late(self, inner):
        storage = FaultyStorage(inner, Fault(kind="delay", seconds=0.2, calls=("get_all_studies",)))
        started = time.monotonic()
        assert storage.get_all_studies() == []
        assert time.monotonic() - started >= 0.2

    def test_has_something_done_in_the_moment_before_a_call(self, inner):
        seen = []
        storage = FaultyStorage(inner, Fault(kind="do", action=lambda: seen.append(storage.get_all_studies())))
        storage.create_new_study(MAXIMIZE, "s")
        assert seen == [[]]

    def test_fails_several_times_in_a_row_or_from_then_on(self, inner):
        error = KeyError("gone")
        storage = FaultyStorage(inner, Fault(times=2, error=error), Fault(at=4, times=math.inf, error=OSError))
        for _ in range(2):
            with pytest.raises(KeyError, match="gone"):
                storage.create_new_study(MAXIMIZE, "s")
        storage.create_new_study(MAXIMIZE, "s")
        for name in "tuv":
            with pytest.raises(OSError):  # noqa: PT011
                storage.create_new_study(MAXIMIZE, name)
        storage.plan()
        storage.create_new_study(MAXIMIZE, "t")
        assert [study.study_name for study in storage.get_all_studies()] == ["s", "t"]
        assert len(storage.met()) == 5

    def test_is_the_same_one_in_a_clone_and_goes_on_counting_in_a_pickle(self, inner):
        storage = FaultyStorage(inner, Fault(at=2, calls=("get_all_studies",)))
        assert clone(search(storage)).storage is storage
        storage.get_all_studies()
        with pytest.raises(StorageInternalError):
            pickle.loads(pickle.dumps(storage)).get_all_studies()

    def test_fails_where_a_search_writes(self, inner):
        storage = FaultyStorage(inner, Fault(at=3, calls=("create_new_trial",), error=OSError("away")))
        with contextlib.suppress(Exception):  # what the search makes of it is not tested here
            search(storage).fit(X, Y)
        assert len(storage.met("create_new_trial")) == 1


@pytest.mark.parametrize("shown", [True, False])
def test_the_database_behind_a_faulty_storage_is_seen_unless_it_is_hidden(shown, tmp_path):
    database = RDBStorage(f"sqlite:///{tmp_path}/s.db")
    storage = FaultyStorage(database, relational=shown)
    assert relational(storage) is (database if shown else None)
    assert search(storage).fit(X, Y).n_trials_ == 4
    assert optuna.load_study(study_name="s", storage=storage).best_trial.value is not None


def test_a_fault_that_could_never_come_is_refused():
    with pytest.raises(AssertionError, match="are not all calls of a storage"):
        Fault(calls=("set_trial_states",))
    with pytest.raises(AssertionError, match="is none of"):
        Fault(kind="raises")
    assert "closed the connection" in str(connection_lost().__cause__.orig)
