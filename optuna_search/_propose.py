"""Which candidate comes next: an order of cells, or a sampler that learns.

Both know every candidate that the study has, finished or in the air, whoever runs it, and propose none of them
again.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import NopPruner
from optuna.samplers import BaseGASampler, BaseSampler, BruteForceSampler, GridSampler, QMCSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from optuna_search._compat import call_callbacks, no_experimental_warnings, quiet_optuna
from optuna_search._dimensions import Dimension, Stored, example
from optuna_search._goals import Goal, directions, fronts
from optuna_search._space import AnySpace, Candidate, Pick, Space
from optuna_search._tables import shortened
from optuna_search.exceptions import SpaceError

#: A sampler that reads all trials at each draw is given so many of them at most, and so many when it gets others.
MAX_HISTORY, KEPT_HISTORY = 400, 250
#: The best ones are among them in any case: more than TPE models the good candidates by.
KEPT_BEST = 50
#: How often a sampler may propose what is known before an unseen candidate is looked for instead.
MAX_REPEATS = 5
#: A point gets no longer than this in a message.
MAX_POINT = 200
#: What a trial came to, goal by goal; None if it failed.
Values = Sequence[float] | None
#: Up to this many cells are shuffled in memory.
MAX_POOL = 1_000_000
#: The same for a sampler that has a grid of its own.
MAX_GRID = 100_000
#: How many random draws are made to find an unseen candidate in a space without end.
MAX_DRAWS = 100


class Proposals(Protocol):
    """A source of candidates."""

    def propose(self) -> Candidate | None:
        """Return the next candidate, or None if there is none left."""

    def claimed(self, candidate: Candidate, number: int) -> None:
        """Take in that a candidate became the trial of this number and is in the air."""

    def observe(self, trial: FrozenTrial, key: str, values: Values) -> None:
        """Take in a trial that we did not propose, finished or in the air, what candidate it tries, and its scores."""

    def finished(self, number: int, values: Values) -> None:
        """Take in how a trial in the air ended; None stands for a failure."""

    def given_up(self, number: int) -> None:
        """Take in that a trial in the air did not come to its end: its candidate may be proposed again."""

    def diverge(self) -> None:
        """Draw other numbers from now on: another process draws the same ones, and is faster."""


class Enumeration:
    """The cells of a finite space in a given order.

    A cell that is written twice in a grid is proposed twice, as ``ParameterGrid`` has it, unless the cells
    are to be distinct; what the study has already is not. Where a trial was given up, its cell comes again
    when all others have had their turn.
    """

    def __init__(self, space: Space, order: Callable[[], Iterable[int]], *, distinct: bool = False) -> None:
        self._space = space
        self._order = order
        self._distinct = distinct
        self._has: dict[int, str] = {}  # what the trials of the study try, by their numbers
        self._begin()

    def _begin(self) -> None:
        """Go through the cells from the first one on."""
        self._cells: Iterator[Candidate] = (self._space.cell(int(index)) for index in self._order())
        #: The trials that the cells which are still to come have already.
        self._seen = Counter(self._has.values())
        self._again = False

    def propose(self) -> Candidate | None:
        """Return the next cell that the study does not have."""
        for candidate in self._cells:
            if self._seen[candidate.key] == 0:
                self._seen[candidate.key] += self._distinct
                return candidate
            self._seen[candidate.key] -= not self._distinct
        if not self._again:
            return None
        self._begin()
        return self.propose()

    def claimed(self, candidate: Candidate, number: int) -> None:
        """Note what the study has."""
        self._has[number] = candidate.key

    def observe(self, trial: FrozenTrial, key: str, values: Values) -> None:
        """Leave out what the study has already."""
        self._has[trial.number] = key
        self._seen[key] += 1

    def finished(self, number: int, values: Values) -> None:
        """Do nothing: the order does not depend on scores."""

    def given_up(self, number: int) -> None:
        """Come back to the cell of this trial in the end."""
        if self._has.pop(number, None) is not None:
            self._again = True

    def diverge(self) -> None:
        """Do nothing: the next cell is another one."""


def random_order(size: int, n: int, random_state: Any, *, shuffled: bool = False) -> Sequence[int]:
    """Return `n` of `size` cells in random order, none twice: as ``RandomizedSearchCV`` does with this seed."""
    # Of all cells, scikit-learn's quickest way returns all in their order: the same set, which may be what is wanted.
    method = "pool" if shuffled and size <= MAX_POOL else "auto"
    return sample_without_replacement(size, min(n, size), method=method, random_state=check_random_state(random_state))


class Sampling:
    """A sampler of Optuna's, at work in a study of its own.

    That study lives in memory and shadows the one that is kept: the sampler draws there, learns there, and
    leaves its notes there, so that a draw costs no storage access and nothing of a sampler's own is stored.
    A candidate that is known already is told its score there, and the sampler is asked again.

    Parameters
    ----------
    space : Space or FunctionSpace
        What is drawn from.
    sampler : BaseSampler
        What draws.
    seed : int or None
        For what is drawn where the sampler knows nothing new.
    goals : sequence of Goal
        What is pursued.
    forgets : bool
        Whether the sampler does as well with the best trials and a part of the others as with all of them, which take
        it longer at each draw.
    """

    def __init__(
        self, space: AnySpace, sampler: BaseSampler, seed: int | None, goals: Sequence[Goal], *,
        forgets: bool = False,
    ) -> None:  # fmt: skip
        self._space = space
        self._goals = goals
        self._sampler = sampler
        self._study = self._new_study()
        self._forgets = forgets
        # Another seed than the sampler's: a random sampler's own numbers would all be known already.
        self._random = RandomSampler(seed=None if seed is None else (seed + 1) % 2**32)
        self._known: dict[str, Values] = {}  # candidate -> its scores; None while in the air or failed
        self._holders: Counter[str] = Counter()  # candidate -> how many trials try it
        # trial in the air -> its number in the shadow study, candidate, point
        self._flying: dict[int, tuple[int, str, Mapping[str, Stored]]] = {}
        self._observed: dict[int, Mapping[str, Stored]] = {}
        self._to_skip = 0
        self._first: deque[Mapping[str, Stored]] = deque()
        self._visited: set[frozenset[tuple[str, Stored]]] = set()
        self._drawn: tuple[Trial, Candidate] | None = None
        self._ended = False
        self._next_cell = 0
        # A grid sampler goes through what is known, in an order of its own, and says when it has come to the end.
        self._patience = MAX_GRID if isinstance(sampler, GridSampler) else MAX_REPEATS

    def _new_study(self) -> optuna.Study:
        with quiet_optuna():
            return optuna.create_study(directions=directions(self._goals), sampler=self._sampler, pruner=NopPruner())

    def try_first(self, points: Iterable[Mapping[str, Stored]]) -> None:
        """Have points tried first, but for those that were tried; what they leave open is drawn by the sampler."""
        self._first.extend(points)

    def _check(self, point: Mapping[str, Any]) -> None:
        """Refuse a point that is none of the space: the report of a fork, which has some, comes from a storage."""

        def pick(name: str, dim: Dimension) -> Stored:
            return dim.checked(point[name]) if name in point else example(dim)

        try:
            self._space.draw(pick)
        except ValueError as error:
            told, why = shortened(str(dict(point)), MAX_POINT), shortened(str(error), MAX_POINT)
            raise SpaceError(f"{told} was to be tried first, and is no point of the space: {why}.") from error

    def _was_tried(self, point: Mapping[str, Stored]) -> bool:
        return any(point.items() <= other.items() for other in self._observed.values())

    def _skip(self) -> None:
        """Pass over the points that others took, with a sampler that counts its points in its own study.

        A quasi-random sequence is such a one: it goes on where the study is, and not where this process is.
        """
        skipped, self._to_skip = self._to_skip, 0
        if not isinstance(self._sampler, QMCSampler) or not skipped:
            return
        trial = create_trial(state=TrialState.RUNNING)
        space = self._sampler.infer_relative_search_space(self._study, trial)
        for _ in range(skipped):
            self._sampler.sample_relative(self._study, trial, space)

    def propose(self) -> Candidate | None:
        """Return a candidate that is not known, or None if there is none left."""
        if self._drawn is None and not self._ended:
            with quiet_optuna():
                self._drawn = self._draw()
        return self._drawn[1] if self._drawn else None

    def _draw(self) -> tuple[Trial, Candidate] | None:
        if self._forgets:
            self._forget()
        self._skip()
        while self._first:
            point = self._first.popleft()
            if self._was_tried(point):
                continue
            self._check(point)
            self._study.enqueue_trial(dict(point))
            drawn = self._ask(self._sampler)
            if self._is_new(drawn):
                return drawn
        for _ in range(self._patience):
            drawn = self._ask(self._sampler)
            if self._is_new(drawn):
                return drawn
            if self._ended:
                return None
        return self._unseen()

    def _forget(self) -> None:
        """Begin the shadow study anew with a part of its trials, if it has too many."""
        trials = self._study.get_trials(deepcopy=False)
        if len(trials) <= MAX_HISTORY:
            return
        self._study = self._new_study()
        for trial in _worth_knowing(trials, self._goals):
            self._study.add_trial(trial)
        for number, (shadow, key, point) in self._flying.items():
            again = self._add(TrialState.RUNNING, None, point, trials[shadow].distributions)
            self._flying[number] = again, key, point

    def _unseen(self) -> tuple[Trial, Candidate] | None:
        """Return a candidate that is not known, whatever the sampler would say; None if there is none left."""
        if isinstance(self._space, Space):
            if self._space.size is not None:
                return self._unseen_cell(self._space)
        elif self._has_an_end():
            with contextlib.suppress(ValueError):  # on a path that nothing took before, there is a range without steps
                return self._brute_force()
        for _ in range(MAX_DRAWS):
            drawn = self._ask(self._random)
            if self._is_new(drawn):
                return drawn
        return None

    def _is_new(self, drawn: tuple[Trial, Candidate]) -> bool:
        """Whether a draw is not known; the sampler is told the score of one that is."""
        trial, candidate = drawn
        if candidate.key not in self._known:
            return True
        self._tell(trial, self._known[candidate.key])
        return False

    def _ask(self, sampler: BaseSampler) -> tuple[Trial, Candidate]:
        self._study.sampler = sampler
        trial = self._study.ask()
        try:
            candidate = self._space.draw(_suggest(trial))
            self._visited.add(frozenset(candidate.point.items()))
            return trial, candidate
        except ValueError as error:
            self._study.sampler = self._sampler
            self._tell(trial, None)
            if (complaint := _in_our_words(str(error))) is None or sampler is not self._sampler:
                raise
            raise SpaceError(complaint) from error
        finally:
            self._study.sampler = self._sampler

    def _has_an_end(self) -> bool:
        """Whether every parameter that the callable has asked for so far is one of finitely many values."""
        return all(
            isinstance(dist, CategoricalDistribution) or dist.single() or getattr(dist, "step", None) is not None
            for trial in self._study.get_trials(deepcopy=False)
            for dist in trial.distributions.values()
        )

    def _brute_force(self) -> tuple[Trial, Candidate] | None:
        """Return an unseen candidate of a finite callable space, or None if every point was visited."""
        with no_experimental_warnings():
            sampler = BruteForceSampler(seed=0)
        while True:
            before = len(self._visited)
            drawn = self._ask(sampler)
            if self._is_new(drawn):
                return drawn
            if len(self._visited) == before:  # it goes round in what is known
                return None

    def _unseen_cell(self, space: Space) -> tuple[Trial, Candidate] | None:
        assert space.size is not None
        for index in range(self._next_cell, space.size):
            candidate = space.cell(index)
            self._next_cell = index + (candidate.key in self._known)
            if candidate.key not in self._known:
                self._study.enqueue_trial(candidate.point)
                return self._ask(self._sampler)
        self._ended = True
        return None

    def _tell(self, trial: Trial | int, values: Values) -> None:
        state = TrialState.FAIL if values is None else TrialState.COMPLETE

        def tell() -> None:
            self._study.tell(trial, values, state=state)

        # Some samplers end a search when they have tried everything.
        self._ended = call_callbacks(self._study, tell) or self._ended

    def claimed(self, candidate: Candidate, number: int) -> None:
        """Note that a candidate, most often the one that was drawn last, is in the air."""
        if self._drawn is not None and self._drawn[1] is candidate:
            shadow, self._drawn = self._drawn[0].number, None
        else:
            shadow = self._add(TrialState.RUNNING, None, candidate.point, candidate.distributions)
        self._enter(number, candidate.key, shadow, candidate.point)

    def _add(
        self, state: TrialState, values: Values, point: Mapping[str, Stored], distributions: Mapping[str, Any]
    ) -> int:
        """Add a trial to the shadow study that was not drawn there, and return its number."""
        shadow = len(self._study.get_trials(deepcopy=False))
        breeder = self._sampler if isinstance(self._sampler, BaseGASampler) else None
        if breeder is None or state == TrialState.FAIL:
            self._study.add_trial(_trial(state, values, point, distributions))
            return shadow
        # Only what is of a generation has offspring, and a trial joins one before it ends.
        self._study.add_trial(_trial(TrialState.RUNNING, None, point, distributions))
        breeder.get_trial_generation(self._study, self._study.get_trials(deepcopy=False)[shadow])
        if state == TrialState.COMPLETE:
            self._tell(shadow, values)
        return shadow

    def _enter(self, number: int, key: str, shadow: int, point: Mapping[str, Stored]) -> None:
        """Note that a trial, and what stands for it in the shadow study, is in the air."""
        self._flying[number] = (shadow, key, point)
        self._holders[key] += 1
        self._known.setdefault(key, None)

    def observe(self, trial: FrozenTrial, key: str, values: Values) -> None:
        """Have the sampler know of a trial that it did not draw, and learn from one that is finished."""
        state = trial.state if values is None else TrialState.COMPLETE
        with quiet_optuna():
            shadow = self._add(state, values, trial.params, trial.distributions)
        self._enter(trial.number, key, shadow, trial.params)
        self._observed[trial.number] = trial.params
        self._to_skip += 1
        if trial.state.is_finished():
            del self._flying[trial.number]
            self._known[key] = values

    def finished(self, number: int, values: Values) -> None:
        """Tell the sampler how a trial ended."""
        shadow, key, _ = self._flying.pop(number)
        self._known[key] = values
        with quiet_optuna():
            self._tell(shadow, values)

    def given_up(self, number: int) -> None:
        """Tell the sampler that a trial came to nothing, and have its candidate tried next.

        A sampler that goes through all there is would take it for visited. Optuna's GridSampler does so even then:
        it cannot be given points.
        """
        if number not in self._flying:
            return
        shadow, key, point = self._flying.pop(number)
        self._observed.pop(number, None)
        self._holders[key] -= 1
        with quiet_optuna():
            self._tell(shadow, None)
        if not self._holders[key]:
            del self._known[key]
            if not isinstance(self._sampler, GridSampler):
                self._first.append(point)
            self._next_cell, self._ended = 0, False

    def diverge(self) -> None:
        """Seed the sampler anew, from the system."""
        self._sampler.reseed_rng()
        self._random.reseed_rng()


def _trial(
    state: TrialState, values: Values, point: Mapping[str, Stored], distributions: Mapping[str, Any]
) -> FrozenTrial:
    return create_trial(state=state, values=values, params=dict(point), distributions=dict(distributions))


def _worth_knowing(trials: Sequence[FrozenTrial], goals: Sequence[Goal]) -> list[FrozenTrial]:
    """Return the best of some trials and an even part of the other complete ones, in their order."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    ranks = fronts(np.array([trial.values for trial in complete]), goals)
    best = {complete[place].number for place in np.argsort(ranks, kind="stable")[:KEPT_BEST]}
    others = [trial for trial in complete if trial.number not in best]
    n_others = min(len(others), KEPT_HISTORY - len(best))
    kept = best | {others[place * len(others) // n_others].number for place in range(n_others)}
    return [trial for trial in complete if trial.number in kept]


def _in_our_words(complaint: str) -> str | None:
    """Return what Optuna complained about a callable space, as its author can understand it."""
    if "dynamic value space" in complaint or "different distribution kind" in complaint:
        return (
            "param_distributions asks for one name with different choices in different trials. "
            "Give each set of choices a name of its own."
        )
    if "must be given for BruteForceSampler" in complaint:
        return "sampler='brute-force' needs a space with an end: choices, whole numbers, ranges with a step."
    if re.match(r"'.*' not in \(", complaint):
        return (
            f"The sampler holds a value that is none of the choices ({complaint}). Optuna knows choices by their "
            "tokens, which are texts: write '1' for 1, 'None' for None, 'SVC()' for SVC()."
        )
    return None


def _suggest(trial: Trial) -> Pick:
    """Return the pick that asks a trial of Optuna's."""

    def pick(name: str, dim: Dimension) -> Stored:
        match dim.distribution:
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_float(name, low, high, step=step, log=log)
            case IntDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_int(name, low, high, step=step, log=log)
            case CategoricalDistribution(choices=choices):
                return str(trial.suggest_categorical(name, choices))
        raise AssertionError(f"unknown distribution {dim.distribution!r}")

    return pick
