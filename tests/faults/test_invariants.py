"""Whatever happens to searches, in whatever order, what was promised holds."""

import math
from collections import Counter

import pytest
from faulty import READS, WRITES, Fault, locked
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from invariants import (
    CASES,
    GRIDS,
    N_SPLITS,
    SAMPLED,
    X,
    Y,
    check_trials,
    examples,
    grid_of,
    key_of,
    made,
    measured_alone,
    opener,
    rows_of,
)
from optuna.pruners import NopPruner
from simulating import Killed, World

from optuna_search._record import CLAIM, FAILURE, RECORD
from optuna_search.exceptions import StorageError

pytestmark = pytest.mark.slow

# --- several searches -------------------------------------------------------------------------------------------------

SOMEBODY, HOSTS = st.integers(0, 2), st.sampled_from(["here", "there", "elsewhere"])
WORKERS = {"n_workers": st.integers(1, 3), "ahead": st.integers(0, 2), "seed": st.integers(0, 3)}
FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["raise", "raise after"]),
    at=st.integers(1, 12),
    times=st.sampled_from([1, 3, math.inf]),
    calls=st.sampled_from([WRITES, READS]),
    error=st.just(locked),
)


class Searches(RuleBasedStateMachine):
    """Several searches of one study, to which things happen."""

    def __init__(self, opened):
        super().__init__()
        self.world = World(opened).__enter__()
        self.budget = self.n_kills = 0
        self.acknowledged = []
        #: How much each search that came to its end was asked for, and what it found.
        self.finished = []
        self.interrupted, self.failing, self.others = set(), set(), set()

    @initialize(
        name=st.sampled_from(sorted(CASES)),
        budget=st.integers(1, 5),
        by_fits=st.sampled_from([None, 0, 1]),
        hosts=st.lists(HOSTS, min_size=1, max_size=2),
    )
    def a_study_is_begun(self, name, budget, by_fits, hosts):
        #: Whether fits are counted in place of trials, and how many the last trial has too many.
        self.case, self.budget, self.by_fits = CASES[name], budget, by_fits
        for host in hosts:
            self.begin(self.world.process(host))

    # --- what happens ---

    @precondition(lambda self: len(self.world.at_work) < 3)
    @rule(
        more=st.integers(0, 3),
        sampler=st.integers(0, 3),
        host=HOSTS,
        workers=st.fixed_dictionaries(WORKERS | {"inside": st.booleans(), "stays": st.booleans()}),
        again=st.booleans(),
    )
    def a_search_begins(self, more, sampler, host, workers, again):
        self.budget += more
        idle = [p for p in self.world.processes if again and p.is_alive and not p.is_at_work]
        self.begin(idle[0] if idle else self.world.process(host, **workers), sampler)

    def begin(self, process, sampler=0):
        budget = self.budget
        how = {"n_trials": budget}
        if self.by_fits is not None:  # of trials that race a budget of fits has more, or fewer
            how = {"n_fits": N_SPLITS * budget - self.by_fits, "pruner": NopPruner()}
        how["sampler"] = self.case.samplers[sampler % len(self.case.samplers)]

        def acknowledge(study, trial):
            self.acknowledged.append((trial.number, trial.state, trial.values, trial.params))

        def work(storage):
            search = made(self.case, storage, callbacks=acknowledge, **how)
            try:
                self.finished.append((budget, rows_of(search.fit(X, Y))))
                self.found = search
            except ValueError as error:  # it has fitted nothing but x=4
                if "fits failed" not in str(error):
                    raise

        process.begin(work)

    def one(self, which):
        return self.world.at_work[which % len(self.world.at_work)]

    @precondition(lambda self: self.world.at_work)
    @rule(which=SOMEBODY, n=st.integers(1, 8))
    def one_goes_on(self, which, n):
        if not self.one(which).is_suspended:
            self.one(which).go_on(n)

    @precondition(lambda self: self.world.at_work)
    @rule(which=SOMEBODY)
    def one_is_killed(self, which):
        self.n_kills += 1
        self.others.add(self.one(which))
        self.one(which).kill()

    @precondition(lambda self: self.world.at_work)
    @rule(which=SOMEBODY)
    def one_is_interrupted(self, which):
        self.interrupted.add(self.one(which))
        self.one(which).press_ctrl_c()

    @precondition(lambda self: self.world.at_work)
    @rule(which=SOMEBODY)
    def one_is_suspended(self, which):
        self.others.add(self.one(which))
        self.one(which).is_suspended = True

    @precondition(lambda self: any(process.is_suspended for process in self.world.at_work))
    @rule()
    def the_suspended_go_on(self):
        for process in self.world.at_work:
            process.is_suspended = False

    @precondition(lambda self: self.world.at_work)
    @rule(seconds=st.sampled_from([1, 40, 130]))
    def time_passes(self, seconds):
        self.world.pass_time(seconds)

    @precondition(lambda self: self.world.at_work)
    @rule(which=SOMEBODY, fault=FAULTS)
    def a_storage_fails(self, which, fault):
        self.failing.add(self.one(which))
        self.one(which).storage.plan(fault)

    # --- what is true in the end ---

    def teardown(self):
        try:
            if self.budget:
                self.world.finish()
                for process in self.world.processes:
                    process.kill()
                self.begin(self.world.process("here"))
                self.world.finish()
                n_fits = len(self.world.fits)
                self.begin(last := self.world.process("there"))
                self.world.finish()
                assert len(self.world.fits) == n_fits, "what was finished was fitted again"
                self.check(last.storage.get_all_trials(last.storage.get_study_id_from_name("s")))
        finally:
            self.world.__exit__()

    def check(self, trials):
        for process, error in self.world.ends:
            fates = [(Killed, self.others), (KeyboardInterrupt, self.interrupted), (StorageError, self.failing)]
            expected = tuple(fate for fate, concerned in fates if process in concerned)
            if error is not None and not isinstance(error, expected):
                raise error
        check_trials(trials, self.world, self.interrupted | self.failing | self.others)
        for number, *end in self.acknowledged:
            assert [trials[number].state, trials[number].values, trials[number].params] == end
        counted = [t for t in trials if RECORD in t.user_attrs]
        # What a search could not write comes as a trial without a claim, whether or not it is needed any more.
        late = [t for t in counted if CLAIM not in t.user_attrs]
        if self.by_fits is not None:
            n, wanted = len({key_of(t) for t in counted}), min(self.budget, self.case.n_candidates)
        else:
            n, wanted = len(counted), min(self.budget, self.case.n_rows)
        assert wanted <= n <= wanted + len(late)
        self.check_rows(counted, has_more=bool(late))

    def check_rows(self, counted, *, has_more):
        lost = [t for t in counted if "processes have died" in t.user_attrs.get(FAILURE, "")]
        assert self.n_kills >= 2 * len({key_of(t) for t in lost})
        if not self.finished:
            return
        final = self.finished[-1][1]
        for budget, rows in self.finished:
            assert len(rows) >= min(budget, self.case.n_candidates)
            assert rows == final or has_more or budget < self.budget
            assert not Counter(rows) - Counter(final)
        assert len(final) == len(counted)
        if not lost:
            assert final == measured_alone(self.found.cv_results_["params"])


@pytest.mark.filterwarnings("ignore")  # of fits that fail, of what comes late
@pytest.mark.parametrize(("kind", "n"), [("memory", 120), ("db", 5), ("journal", 5)])
def test_searches_of_one_study_keep_what_was_promised_whatever_happens_to_them(kind, n, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_state_machine_as_test(lambda: Searches(opener(kind, tmp_path)), settings=examples(n, stateful_step_count=30))


# --- one search -------------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["kill", "kill, and go on elsewhere", "Ctrl-C", "wait"]) | FAULTS),
    max_size=5,
)


class Story:
    """One search, to which things happen, and which is begun again until it comes to its end.

    With a driver dies what it fits, but not by the fault of a candidate: its workers are processes of their own.
    """

    def __init__(self, opened, events, workers, case, **how):
        #: How many trials there were when it was begun for the second time.
        self.n_undisturbed = math.inf
        self.host = "here"
        with World(opened) as self.world:
            self.begin = lambda: self.world.process(self.host, **workers).begin(
                lambda storage: made(case, storage, **how).fit(X, Y)
            )
            process = self.begin()
            for n, what in events:
                process.go_on(n)
                self.happen(process, what)
                if not process.is_at_work:
                    process = self.begin_again()
            self.world.finish()
            if process.error is not None:
                process = self.begin_again()
                self.world.finish()
            if process.error is not None:
                raise process.error
            self.search, self.trials = process.result, self.trials_now()
            self.rows = rows_of(self.search)
            self.disturbed = {one for one in self.world.processes if one.error is not None}

    def trials_now(self):
        storage = self.world.processes[-1].storage
        storage.plan()
        try:
            return storage.get_all_trials(storage.get_study_id_from_name("s"))
        except KeyError:  # it has not come so far
            return []

    def begin_again(self):
        self.n_undisturbed = min(self.n_undisturbed, len(self.trials_now()))
        return self.begin()

    def happen(self, process, what):
        match what:
            case "kill":
                process.kill()
            case "kill, and go on elsewhere":
                process.kill()
                self.host = "there" if self.host == "here" else "here"
            case "Ctrl-C":
                process.press_ctrl_c()
                self.world.finish()
            case "wait":
                self.world.pass_time(130)
            case Fault():
                process.storage.plan(what)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("kind", "n"), [("memory", 50), ("db", 5), ("journal", 5)])
def test_a_grid_that_is_disturbed_is_that_of_an_undisturbed_run(kind, n, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    undisturbed = grid_of(GRIDS[name].space)

    @examples(n)
    @given(EVENTS, st.fixed_dictionaries(WORKERS))
    def check(events, workers):
        story = Story(opener(kind, tmp_path), events, workers, GRIDS[name])
        check_trials(story.trials, story.world, story.disturbed)
        assert sorted(story.rows) == sorted(rows_of(undisturbed))
        # What one worker was at comes first again, unless nobody knows whether the worker of another host lives.
        if workers["n_workers"] + workers["ahead"] == 1 and story.host == "here":
            assert story.rows == rows_of(undisturbed)
        assert story.search.best_params_ == undisturbed.best_params_

    check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "n"), [("memory", 60), ("db", 5), ("journal", 5)])
def test_a_sampled_search_that_is_disturbed_is_repeatable_and_begins_as_an_undisturbed_one(
    kind, n, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    @examples(n)
    @given(EVENTS, st.sampled_from(sorted(SAMPLED)), st.integers(0, 3), st.integers(3, 8))
    def check(events, name, sampler, n_trials):
        case = SAMPLED[name]
        how = {"sampler": case.samplers[sampler % len(case.samplers)], "n_trials": n_trials}
        story, again = (Story(opener(kind, tmp_path), events, {}, case, **how) for _ in range(2))
        check_trials(story.trials, story.world, story.disturbed)
        assert story.rows == again.rows
        assert len(story.rows) == min(n_trials, case.n_rows)
        assert story.rows == measured_alone(story.search.cv_results_["params"])
        undisturbed = rows_of(made(case, None, **how).fit(X, Y))
        for number, row in zip(story.search.cv_results_["trial_number"], story.rows, strict=True):
            if number < story.n_undisturbed:
                assert row == undisturbed[number]

    check()
