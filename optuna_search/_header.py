"""What a study remembers of itself: what its scores were measured on, and whether that is what is measured now."""

from __future__ import annotations

import math
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.study import StudyDirection

from optuna_search import _record
from optuna_search._fingerprint import differences
from optuna_search._goals import Goal, directions, goals_in
from optuna_search._record import RECORD, SCHEMA
from optuna_search._tokens import plain
from optuna_search.exceptions import StorageError, StudyMismatchError, VersionWarning


@dataclass(frozen=True)
class Header:
    """What is kept of a study: what its scores were measured on."""

    fingerprint: Mapping[str, Any]
    versions: Mapping[str, str]
    estimator: str
    #: Samples in the training and the test part of each fold: a test of differences needs their ratio.
    fold_sizes: Sequence[tuple[int, int]] = ()
    #: What a study is known by whatever its name: forks refer to it.
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    def encode(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "schema": SCHEMA,
            "id": self.identity,
            "estimator": self.estimator,
            "fold_sizes": [list(sizes) for sizes in self.fold_sizes],
            "fingerprint": dict(self.fingerprint),
            "versions": dict(self.versions),
        }


def header_of(study_name: str, user_attrs: Mapping[str, Any], there: Sequence[StudyDirection]) -> dict[str, Any]:
    """Return the record of a study from its attributes.

    Raises
    ------
    StorageError
        If the study is none of ours, was written by a newer version, or is damaged.
    """
    if RECORD not in user_attrs:
        raise StorageError(
            f"study_name={study_name!r} is a study that optuna_search did not make, so nothing is known of what its "
            "values were measured on. Choose another study_name."
        )
    _record.check_study(user_attrs[RECORD], f"study {study_name!r}")
    check_directions(study_name, there, user_attrs[RECORD])
    return dict(user_attrs[RECORD])


def goals_of(record: Mapping[str, Any]) -> tuple[Goal, ...]:
    """Return what a study pursues, from its record."""
    return goals_in(record["fingerprint"]["objective"])


def error_score_of(record: Mapping[str, Any]) -> float:
    """Return what stands for the score of a failed fit in a study; where it is "raise", none ever does."""
    error_score = plain(record["fingerprint"]["error_score"])
    return math.nan if error_score == "raise" else float(error_score)


def check_directions(study_name: str, there: Sequence[StudyDirection], record: Mapping[str, Any]) -> None:
    """Refuse a study that goes another way than its record says.

    Raises
    ------
    StorageError
        With the way that it goes.
    """
    if list(there) != (meant := directions(goals_of(record))):
        raise StorageError(
            f"study_name={study_name!r} is a study that goes another way ({_ways(there)} instead of {_ways(meant)}); "
            "scores are maximised, and times minimised. Choose another study_name."
        )


def _ways(found: Sequence[StudyDirection]) -> str:
    return ", ".join(direction.name.lower() for direction in found) or "none"


def check_same(study_name: str, old: Mapping[str, Any], new: Header, *, is_measured: bool = True) -> None:
    """Refuse to mix scores that were measured on different things; warn of other versions.

    Parameters
    ----------
    is_measured : bool
        Whether the study has any trial that came to its end or is on its way.

    Raises
    ------
    StudyMismatchError
        With every difference.
    """
    found = list(differences(old["fingerprint"], new.fingerprint))
    if found:
        lines = "\n".join(f"  - {line}" for line in found)
        deletion = f"studies.delete_study({study_name!r}, storage)"
        raise StudyMismatchError(
            f"study_name={study_name!r} was measured on something else, and scores are never mixed:\n{lines}\n"
            + _advice(found)
            + ("" if is_measured else f" Or delete this one, which holds no score: {deletion}."),
            found,
        )
    warn_of_versions(study_name, old, new)


def warn_of_versions(study_name: str, old: Mapping[str, Any], new: Header) -> None:
    """Tell where the trials of a study were measured with other versions than those of today."""
    changed = list(differences(old.get("versions", {}), dict(new.versions)))
    if changed:
        warnings.warn(
            f"Earlier trials of study_name={study_name!r} were measured with other versions, which may change "
            f"scores a little: {'; '.join(changed)}.",
            VersionWarning,
            stacklevel=2,
        )


def _advice(found: list[str]) -> str:
    parts = {line.partition(":")[0].partition(".")[0] for line in found}
    advice = "Give another study_name to start a new study."
    if parts == {"splits"}:
        return f"{advice} If the splitter shuffles, give it a random_state, so that every run makes the same folds."
    if parts == {"space"}:
        return f"{advice} To go on in another space with what is known, fork the study: search.fork(new_space)."
    if parts == {"objective"}:
        return f"{advice} To keep every score, fork the study: search.fork({{}}, objectives=...)."
    if parts & {"X", "y", "metadata"}:
        return (
            f"{advice} A name with {{data}} in it, as in study_name='svc-{{data}}', names a study for each data set. "
            "If the data are split at random before, give that a random_state, so that every run has the same."
        )
    return advice
