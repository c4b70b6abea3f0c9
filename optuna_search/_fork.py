"""A fork: a study that begins with what another one knows.

Its way into a new study: the parent is opened and compared; each of its trials is a point of the new space,
or not. Only then the study is made, with a mark that names its parent, and the trials are written one by one
with the place where they were measured. The mark is completed last. Whoever finds it incomplete, and its
writer gone, goes on after the last trial that came over; the parent is only ever read.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from sklearn.base import clone

from optuna_search import _owner, _record
from optuna_search._beyond import beyond
from optuna_search._fingerprint import TRAINING, changed_code, describe_estimator, differences
from optuna_search._forkreport import Carried, Dropped, Filled, ForkReport, Probed, Retried
from optuna_search._goals import Goal, fronts, named_by
from optuna_search._header import Header, check_same, error_score_of, goals_of, warn_of_versions
from optuna_search._kept import Kept, finished
from optuna_search._lease import Patience
from optuna_search._opening import FIRST_WORD_SECONDS, create_or_continue, existing, name_of, open_existing
from optuna_search._record import FAILURE, FORK, ORIGIN, RECORD, WRITER
from optuna_search._space import AnySpace, Candidate, parse
from optuna_search._storage import open_storage, without_password
from optuna_search._store import Store
from optuna_search._tokens import plain
from optuna_search._transfer import Misfit, Model, Transfer, check_shared, kept_params, model_of, replaced
from optuna_search._trouble import persistently
from optuna_search._verdict import judge
from optuna_search.exceptions import InvalidRequestError, OptunaSearchError, OptunaSearchWarning, StudyMismatchError

#: No more points than so many are tried first.
FIRST = 10
#: What scores depend on beside the estimator and the space.
MEASURED = ("X", "y", "metadata", "splits", "scoring", "error_score")
#: How long to wait before looking again whether another process has carried everything over.
POLL_SECONDS = 0.05
#: Longer than two processes need to notice that both have taken over from a third one.
SETTLE_SECONDS = 0.3


@dataclass(frozen=True)
class Parent:
    """The study that a search is forked from, and what is known of it that no storage keeps.

    `OptunaSearchCV.fork` makes it. It is the same for all clones of a search.

    Attributes
    ----------
    study_name : str
        Its name.
    storage : object
        Where it is kept, as in `OptunaSearchCV`.
    estimator : estimator or None
        What it searched; None if that is the estimator of the fork.
    param_distributions : object
        Its space as it was written; None if that is not known.
    identity : str or None
        What it is known by whatever its name; None if that is not known.
    """

    study_name: str
    storage: Any = field(repr=False)
    estimator: Any = field(default=None, repr=False)
    param_distributions: Any = field(default=None, repr=False)
    identity: str | None = field(default=None, repr=False)

    def __deepcopy__(self, memo: Any) -> Parent:
        return self  # nothing in it ever changes, and a study in memory is one study

    def __getstate__(self) -> dict[str, Any]:
        storage = self.storage
        return vars(self) | {"storage": without_password(storage) if isinstance(storage, BaseStorage) else storage}


@dataclass(frozen=True)
class Plan:
    """What comes over from a parent."""

    report: ForkReport
    carried: Sequence[tuple[Kept, Model, Candidate]]
    #: The parent's mark, by which forks know it.
    mark: Mapping[str, Any]


def forked(search: Any, parent: Parent, new_space: Any, study_name: str | None, params: Mapping[str, Any]) -> Any:
    """Return an unfitted search like another one that goes on from its study in another space.

    Raises
    ------
    InvalidRequestError
        If it has no such parameters.
    SpaceError
        If `new_space` does not say what the whole space is.
    """
    if odd := {"param_distributions", "param_grid", "fork_of"} & params.keys():
        raise InvalidRequestError(f"{', '.join(sorted(odd))}: fork takes the space as new_space.")
    if unknown := params.keys() - search.get_params(deep=False).keys():
        raise InvalidRequestError(f"{', '.join(sorted(unknown))}: no parameter of {type(search).__name__}.")
    space = replaced(parent.param_distributions, new_space)
    made = clone(search)
    made.set_params(param_distributions=space, param_grid=None, study_name=study_name, fork_of=parent)
    if not isinstance(search.initial_params, str):
        made.set_params(initial_params=None)
    return made.set_params(**params)


# --- before there is a study ----------------------------------------------------------------------------------------


def plan_of(parent: Parent, header: Header, estimator: Any, space: AnySpace, *, probes: bool) -> Plan:
    """Return what will come over, without a change to anything.

    Parameters
    ----------
    header : Header
        Of the fork.
    estimator, space
        Of the fork.
    probes : bool
        Whether to look first where the parent could not; whoever goes through all cells gets there anyway.

    Raises
    ------
    StorageError
        If there is no such parent, or it is none of ours.
    StudyMismatchError
        If it was measured with other code of the same name, or another kind of estimator.
    InvalidRequestError
        If the spaces have no parameter in common.
    """
    store = _opened(parent)
    old = store.header()
    old_estimator = estimator if parent.estimator is None else parent.estimator
    reasons = _reasons(store.study.study_name, old["fingerprint"], header.fingerprint, old_estimator)
    named = _named(old["fingerprint"]["space"])
    old_space = None if parent.param_distributions is None else parse(parent.param_distributions)
    kept, goals = store.kept(), goals_of(old if reasons else header.encode())
    if goals != goals_of(old):
        kept = [_judged_anew(k, goals, error_score_of(old)) for k in kept]
    models = [
        model_of(k.trial, k.record, None if old_space is None else store.params_of(k, old_space), named) for k in kept
    ]
    check_shared(space, models)
    transfer = Transfer(old_estimator, estimator, space, "code" in old["fingerprint"]["space"], named)
    name = store.study.study_name
    mark = {"study": name, "id": old.get("id")}
    carried, dropped = ([], []) if reasons else _sorted_out(transfer, kept, models)
    if carried:
        warn_of_versions(name, old, header)
    report = ForkReport(
        name,
        tuple(Carried(k.trial.number, _readable(kept_params(model, point))) for k, model, point in carried),
        tuple(
            Filled(k.trial.number, _readable(filled))
            for k, model, point in carried
            if (filled := transfer.filled(model, point))
        ),
        tuple(dropped),
        () if carried else tuple(_best(transfer, kept, models, goals)),
        tuple(_probed(space, carried, goals)) if probes else (),
        tuple(reasons),
    )
    return Plan(report, carried, mark)


def _opened(parent: Parent) -> Store:
    """Open a parent, whatever its name is now."""
    storage = open_storage(parent.storage, to_read=True)
    named = existing(storage, parent.study_name)
    if parent.identity is None or (named is not None and _is_itself(named, parent)):
        return named or open_existing(storage, parent.study_name, "fork_of")
    return open_existing(storage, name_of(storage, parent.identity) or parent.study_name, "fork_of")


def _reasons(name: str, old: Mapping[str, Any], new: Mapping[str, Any], old_estimator: Any) -> list[str]:
    """Return why scores of a parent mean nothing here, a line each; none if they mean the same."""
    described = describe_estimator(old_estimator)
    was = {part: old[part] for part in MEASURED} | {"estimator": old["estimator"]}
    # What the parent searched is not in its fingerprint.
    described = described | {TRAINING: new["estimator"].get(TRAINING)}
    given = {part: new[part] for part in MEASURED} | {"estimator": {n: described.get(n) for n in old["estimator"]}}
    found = list(differences(was, given))
    code = changed_code(was, given)
    kind = old["estimator"]["class"]
    others = [one for one in (new["estimator"]["class"], described["class"]) if one != kind]
    if others:
        found += differences(kind, others[0], "estimator")
    if code or others:
        what = f"other code of {', '.join(code)}" if code else "another kind of estimator"
        advice = (
            "Give changed code a name of its own, and the parent's best points are tried with it."
            if code
            else "Fork it with the estimator that it searched, or start a new search."
        )
        raise StudyMismatchError(
            f"fork_of: the study {name!r} was measured with {what}, so it says nothing about this search:\n"
            + "\n".join(f"  - {line}" for line in found)
            + f"\n{advice}",
            found,
        )
    return found


def _named(space: Mapping[str, Any]) -> set[str]:
    """Return the parameters of a described space whose choices have names of their own."""
    inner = [_named(part) for part in space.values() if isinstance(part, Mapping)]
    return set().union(*inner, (name for name, text in space.items() if str(text).startswith("one of the names [")))


def _sorted_out(
    transfer: Transfer, kept: Sequence[Kept], models: Sequence[Model]
) -> tuple[list[tuple[Kept, Model, Candidate]], list[Dropped]]:
    carried, dropped = [], []
    for k, model in zip(kept, models, strict=True):
        try:
            carried.append((k, model, transfer.carried(model)))
        except Misfit as misfit:
            dropped.append(Dropped(k.trial.number, *_readable({misfit.parameter: misfit.value}).popitem()))
    return carried, dropped


def _judged_anew(kept: Kept, goals: Sequence[Goal], error_score: float) -> Kept:
    """Return a trial as it would have ended with these goals: every metric is recorded, whatever was pursued."""
    scored = next((fold.test for fold in kept.record.run if fold.test), {})
    verdict = judge(kept.record, named_by(goals, scored), error_score)
    attrs = {name: attr for name, attr in kept.trial.user_attrs.items() if name != FAILURE}
    attrs |= {} if verdict.failure is None else {FAILURE: verdict.failure}
    attrs[RECORD] = _record.encode(kept.record, verdict.values)
    trial = finished(kept.trial.number, verdict.values, kept.trial.params, kept.trial.distributions, attrs)
    trial.datetime_start, trial.datetime_complete = kept.trial.datetime_start, kept.trial.datetime_complete
    return Kept(trial, kept.record)


def _best(
    transfer: Transfer, kept: Sequence[Kept], models: Sequence[Model], goals: Sequence[Goal]
) -> Iterator[Retried]:
    """Yield the best points that lie in the new space, best first, each once."""
    seen: set[str] = set()
    for place in _best_first(kept, goals):
        k = kept[place]
        try:
            candidate = transfer.nearest(models[place])
        except Misfit:
            continue
        if candidate.key not in seen and len(seen) < FIRST:
            seen.add(candidate.key)
            yield Retried(k.trial.number, _readable(candidate.kept), candidate.point)


def _probed(
    space: AnySpace, carried: Sequence[tuple[Kept, Model, Candidate]], goals: Sequence[Goal]
) -> Iterator[Probed]:
    """Yield points in the part of the new space that the parent could not reach."""
    in_order = _best_first([k for k, _, _ in carried], goals)
    if in_order:
        best, _, candidate = carried[in_order[0]]
        points = [carried[place][2].point for place in in_order]
        tried = [point for point in points if point.keys() == candidate.point.keys()]
        found = beyond(candidate.point, candidate.distributions, best.trial.distributions, tried)
        for point in itertools.islice(found, FIRST):
            with contextlib.suppress(KeyError, ValueError):  # with a new choice, a function may ask for more
                kept = space.candidate(point).kept
                changed = {name: value for name, value in kept.items() if value != candidate.kept.get(name)}
                yield Probed(_readable(changed), point)


def _readable(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as people and JSON know them: numbers and texts, and the tokens of other objects."""
    values = {name: plain(value) if isinstance(value, str) else value for name, value in params.items()}
    return {n: v if v is None or isinstance(v, str | int | float) else params[n] for n, v in values.items()}


def _best_first(kept: Sequence[Kept], goals: Sequence[Goal]) -> list[int]:
    """Return the places of the trials that have not failed: front by front, in each by the first goal."""
    places = [place for place, k in enumerate(kept) if k.trial.values is not None]
    values = np.array([kept[place].trial.values for place in places]).reshape(-1, len(goals))
    losses = values[:, 0] if goals[0].is_time else -values[:, 0]
    return [places[i] for i in np.lexsort([losses, fronts(values, goals)])]


def fork(
    parent: Parent, storage: BaseStorage, study_name: str, header: Header, estimator: Any, space: AnySpace, *,
    probes: bool,
) -> tuple[Store, ForkReport]:  # fmt: skip
    """Open the study of a fork, made and filled if it is not there, and return it and what came over.

    Raises
    ------
    StorageError, StudyMismatchError, InvalidRequestError
        If it cannot be made of this parent, before anything is written.
    """
    there = existing(storage, study_name)
    if there is not None and (report := report_of(there)) is not None and not _is_itself(there, parent):
        check_same(study_name, there.header(), header)
        _warn_of_another_parent(there, report, parent, header, estimator, space)
        return there, report
    if there is not None:
        check_is_fork(there, parent)
    plan = plan_of(parent, header, estimator, space, probes=probes)
    store, is_new = create_or_continue(storage, study_name, header)
    return store, carry_over(store, plan, is_new=is_new)


def _warn_of_another_parent(
    store: Store, report: ForkReport, parent: Parent, header: Header, estimator: Any, space: AnySpace
) -> None:
    """Tell where a fork that goes on has taken over something else than it would from the parent that is given.

    A script that is run again may well have made its parent again, with the same trials. Whatever came over was
    measured on the same, and a fork needs no parent any more.
    """
    try:
        if _is_of(_mark_of(store), parent):
            return
        other = plan_of(parent, header, estimator, space, probes=False).report
    except OptunaSearchError:
        return
    if other.carried != report.carried:
        warnings.warn(
            f"study_name={store.study.study_name!r} goes on with the {len(report.carried)} trials that came over from "
            f"{report.parent!r}; nothing comes over from {other.parent!r}. For that, give the fork another study_name.",
            OptunaSearchWarning,
            stacklevel=2,
        )


# --- into the study -------------------------------------------------------------------------------------------------


def check_whole(store: Store) -> None:
    """Refuse to go on with a fork that was interrupted before everything had come over.

    Raises
    ------
    StudyMismatchError
        If it was.
    """
    mark = _mark_of(store)
    if mark and "report" not in mark:
        raise StudyMismatchError(
            f"study_name={store.study.study_name!r} is a fork of {mark.get('study')!r} that was interrupted before "
            "every trial had come over. Run the fork again, which goes on with that, or delete this study.",
            (f"fork_of: the study is a fork of {mark.get('study')!r}",),
        )


def report_of(store: Store) -> ForkReport | None:
    """Return what came over into a study, if that is finished."""
    mark = _mark_of(store)
    return ForkReport.decode(mark.get("study"), mark["report"]) if "report" in mark else None


def check_is_fork(store: Store, parent: Parent) -> None:
    """Refuse to carry trials into a study that is no fork of this parent.

    Raises
    ------
    StudyMismatchError
        If it is none.
    """
    mark, name = _mark_of(store), store.study.study_name
    if _is_itself(store, parent):
        what = "the parent itself"
    elif not mark and store.trials():
        what = "no fork"
    elif mark and not _is_of(mark, parent):
        what = f"a fork of {mark.get('study')!r}"
    else:
        return
    raise StudyMismatchError(
        f"study_name={name!r} exists already and is {what}, so nothing can come over from "
        f"{parent.study_name!r} into it. Give the fork a study_name of its own.",
        (f"fork_of: the study is {what}",),
    )


def _is_itself(store: Store, parent: Parent) -> bool:
    return parent.identity is not None and store.study_identity == parent.identity


def _is_of(mark: Mapping[str, Any], parent: Parent) -> bool:
    """Whether the parent that a mark names is this one, whatever its name is now."""
    if parent.identity is not None:
        return bool(mark.get("id") == parent.identity)
    if mark.get("study") == parent.study_name:
        return True
    return bool(mark.get("id") == _opened(parent).study_identity)


def carry_over(store: Store, plan: Plan, *, is_new: bool) -> ForkReport:
    """Write what comes over into the study of a fork, unless another process does, and return what came.

    Parameters
    ----------
    is_new : bool
        Whether this process made the study, so that nobody else can be at it.
    """
    if not is_new and (report := _wait_for_another(store)) is not None:
        return report
    claim = _owner.claim()
    _write_mark(store, {**plan.mark, WRITER: claim})
    if not is_new:
        time.sleep(SETTLE_SECONDS)
        if _mark_of(store).get(WRITER) != claim:  # two took over, and the other one was later
            return carry_over(store, plan, is_new=False)
    try:
        _write_trials(store, plan)
    except BaseException:
        with contextlib.suppress(Exception):
            _write_mark(store, plan.mark)  # nobody is at it any more, although this process lives
        raise
    _write_mark(store, {**plan.mark, "report": plan.report.encode()})
    return plan.report


def _write_trials(store: Store, plan: Plan) -> None:
    """Write the trials that come over, but for those that are there."""
    there = {_record.origin_of(trial) for trial in store.trials()}
    for kept, model, candidate in plan.carried:
        trial = _carried_trial(kept, kept_params(model, candidate), candidate, plan.mark)
        if _record.origin_of(trial) not in there:
            store.add(trial)


def _wait_for_another(store: Store) -> ForkReport | None:
    """Wait as long as another process carries trials over; None if that one is gone, or never was."""
    patience = Patience()
    first_word_by = time.monotonic() + FIRST_WORD_SECONDS
    while (report := report_of(store)) is None:
        if not _mark_of(store) and time.monotonic() < first_word_by:  # whoever made the study is about to
            time.sleep(POLL_SECONDS)
            continue
        state = _mark_of(store).get(WRITER), len(store.trials())
        if patience.is_over(state[0], state):
            return None
        time.sleep(POLL_SECONDS)
    return report


def _carried_trial(kept: Kept, params: dict[str, Any], candidate: Candidate, parent: Mapping[str, Any]) -> FrozenTrial:
    old = kept.trial
    # One that the parent had from its own parent was measured there.
    origin = old.user_attrs.get(ORIGIN) or _record.origin(parent["study"], parent["id"], old.number)
    record = _record.encode(replace(kept.record, params=params), old.values)
    failure = {FAILURE: old.user_attrs[FAILURE]} if FAILURE in old.user_attrs else {}
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=old.state,
        value=None,
        values=old.values,
        datetime_start=old.datetime_start,
        datetime_complete=old.datetime_complete,
        params=dict(candidate.point),
        distributions=candidate.distributions,
        user_attrs={**failure, RECORD: record, ORIGIN: origin},
        system_attrs={},
        intermediate_values=dict(old.intermediate_values),
    )


def _mark_of(store: Store) -> Mapping[str, Any]:
    mark = persistently(store.storage, lambda: store.storage.get_study_user_attrs(store.study_id)).get(FORK)
    return mark if isinstance(mark, Mapping) else {}


def _write_mark(store: Store, mark: Mapping[str, Any]) -> None:
    persistently(store.storage, lambda: store.storage.set_study_user_attr(store.study_id, FORK, dict(mark)))
