"""What becomes of a search whose storage has failed: what is known stays, and what was not written comes later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from optuna_search import _owner, _record
from optuna_search._compat import storage_id
from optuna_search._record import ABANDONED, CLAIM, FAILURE, RECORD
from optuna_search._spill import spilled
from optuna_search._store import Store


def rescued(store: Store) -> Store:
    """Return a study in memory with everything that is known of one whose storage is not there."""
    memory = InMemoryStorage()
    study_id = memory.create_new_study([StudyDirection.MAXIMIZE], store.study_name)
    memory.set_study_user_attr(study_id, RECORD, store.study_record)
    found, known = Store(memory, store.study_name), store.known
    for number in range(max(known, default=-1) + 1):
        found.add(known.get(number) or create_trial(state=TrialState.FAIL, user_attrs={FAILURE: ABANDONED}))
    found.ours = dict(store.ours)
    return found


def take_in_spilled(store: Store) -> None:
    """Write to a study what an earlier search could not write to it."""
    if store.study_identity is None or isinstance(store.storage, InMemoryStorage):
        return
    for path, end in spilled(store.storage, store.study_identity):
        trials, number, attrs = store.trials(), end.get("trial"), end.get("attrs")
        if isinstance(number, int) and 0 <= number < len(trials) and isinstance(attrs, Mapping):
            record = _record.decode(attrs.get(RECORD), str(path))  # what is damaged is not to get into the study
            _record.check_alike({number: record}, store.header())
            written = {name: attrs[name] for name in (FAILURE, RECORD) if name in attrs}
            _take_in(store, trials, trials[number], written)
            with contextlib.suppress(OSError):
                path.unlink()


def _take_in(store: Store, trials: Sequence[FrozenTrial], trial: FrozenTrial, attrs: dict[str, Any]) -> None:
    """Give a trial the end that its search could not write; one that was given up gets it as a new trial."""
    value = _record.value_in(attrs.get(RECORD))
    if trial.state == TrialState.RUNNING:
        if _owner.is_dead(trial.user_attrs.get(CLAIM)):
            store.end(storage_id(trial), value, attrs)
    elif not any(_record.counts(other) and other.params == trial.params for other in trials):
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        again = create_trial(state=state, value=value, params=trial.params, distributions=trial.distributions)
        again.user_attrs = attrs
        store.add(again)


@contextlib.contextmanager
def refit_told_apart() -> Iterator[None]:
    """Say of whatever ends a refit that the search itself is done."""
    try:
        yield
    except BaseException as error:
        error.add_note(
            "The search finished, the refit failed: cv_results_, best_params_, best_score_ and top_n_ are there. With "
            "storage and study_name, fitting again only refits."
        )
        raise
