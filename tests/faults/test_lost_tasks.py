"""Tasks that are lost with a worker, in any order that a pool may have: each comes back, the guilty one fails."""

import signal
from pathlib import Path

import pytest

from optuna_search._evaluate import Outcome, Task
from optuna_search._notes import DONE
from optuna_search._workers import Backend, Limits

GOOD = Outcome(["good"])


class TerminatedWorkerError(Exception):
    """What loky says."""


class Door:
    """A pool of two processes whose tasks end when the test says so."""

    n_workers = 2
    shares_memory = False
    shares_files = True
    tells_deaths = True

    def __init__(self):
        self.is_broken = False
        #: How to call back, for each task that was taken.
        self.taken = []
        self.n_renewed = 0

    def submit(self, function, args, done):
        if self.is_broken:
            raise TerminatedWorkerError
        self.taken.append(done)

    def ended(self):
        return {}

    def renew(self):
        self.is_broken = False
        self.n_renewed += 1


@pytest.fixture
def door():
    return Door()


@pytest.fixture
def workers(door, tmp_path):
    return Backend(door, print, None, raises=False, pre_dispatch="all", limits=Limits(), folder=tmp_path)


def task(trial):
    return Task(trial, {}, (0,), (0, 1))


def lost():
    raise TerminatedWorkerError


def begun(tmp_path, ticket, pid, fold=0):
    """Note that a worker is at a task, as workers do."""
    Path(tmp_path, f"task-{ticket}").write_text(f"{pid} {fold}")


def taken(workers):
    """What comes back next: the trial, and why it failed."""
    came, result = workers.take()
    (fold,) = result().folds
    return came.trial, None if fold == "good" else fold.failure.type


def test_one_that_finds_the_pool_broken_is_sent_again_though_all_others_are_done(door, workers):
    """A worker has died that had nothing to do, and so nobody else tells of it."""
    workers.send(task(0))
    workers.send(task(1))
    for done in door.taken[:2]:
        done(lambda: GOOD, {})
    door.is_broken = True
    workers.send(task(2))
    assert [taken(workers), taken(workers)] == [(0, None), (1, None)]
    assert workers.busy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "send", lambda task, send=workers.send: (send(task), door.taken[-1](lambda: GOOD, {})))
        assert taken(workers) == (2, None)
    assert door.n_renewed == 1 and not workers.busy and workers.room > 0


def test_one_that_was_sent_alone_and_is_guilty_leaves_room_for_others(door, workers, tmp_path):
    workers.send(task(0))
    door.taken[0](lost, {999: -signal.SIGKILL})  # a worker that had noted nothing
    with pytest.MonkeyPatch.context() as patch:

        def send_to_death(task, send=workers.send):
            send(task)
            begun(tmp_path, 1, 77)
            door.taken[1](lost, {77: -signal.SIGSEGV})

        patch.setattr(workers, "send", send_to_death)
        assert taken(workers) == (0, "worker died (signal 11)")
    assert workers.room > 0 and not workers.busy


@pytest.mark.parametrize("noted", [0, DONE], ids=["at work", "done"])
def test_one_whose_worker_did_not_die_by_itself_is_innocent(noted, door, workers, tmp_path):
    """The pool ends all workers when one of them dies, of another search's task for instance."""
    workers.send(task(0))
    begun(tmp_path, 0, 77, noted)
    door.taken[0](lost, {88: -signal.SIGKILL})
    answers = [lost, lost, lambda: GOOD]
    with pytest.MonkeyPatch.context() as patch:

        def send(task, send=workers.send):
            send(task)
            begun(tmp_path, len(door.taken) - 1, 77, noted)
            door.taken[-1](answers.pop(0), {88: -signal.SIGKILL})

        patch.setattr(workers, "send", send)
        assert taken(workers) == (0, None)
    assert not answers


def test_a_note_that_cannot_be_written_is_no_loss(workers, tmp_path):
    note = workers._notes.of(3)
    Path(note.path).mkdir()
    note(0)
    assert workers._notes.read(3) == (None, None)
