"""Several studies side by side: the best of each on the metric that they share, and whether the bests differ."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optuna_search._fingerprint import differences
from optuna_search._given import complaint_about, store_given
from optuna_search._hints import did_you_mean
from optuna_search._kept import Kept
from optuna_search._reading import Setup, labels_of, setup_of
from optuna_search._results import is_multimetric
from optuna_search._storage import in_plain_words
from optuna_search._tables import NAME_WIDTH, html_table, pandas, shortened, text_table
from optuna_search._uncertainty import corrected_t_test, fold_ratio, standard_error
from optuna_search.exceptions import InvalidRequestError, NoResultError, StudyMismatchError

#: What two studies must have in common for the scores of a fold to be a pair.
PAIRED = ("X", "y", "metadata", "splits")
#: The column of estimators gets no wider than this in a terminal.
MAX_WIDTH = 40


@dataclass(frozen=True)
class Entry:
    """The best trial of one of the studies that are compared.

    Attributes
    ----------
    study : str
        The name of the study.
    estimator : str
        What was searched.
    trial_number : int
        The number of its best trial by the metric.
    score : float
        The mean of its fold scores.
    standard_error : float
        The standard error of that mean (``ddof=1``); NaN with one fold.
    fold_scores : tuple of float
        One for each fold.
    n_trials : int
        How many trials it is the best of.
    """

    study: str
    estimator: str
    trial_number: int
    score: float
    standard_error: float
    fold_scores: tuple[float, ...]
    n_trials: int


@dataclass(frozen=True)
class Pair:
    """Two studies, and the difference between their best trials.

    Attributes
    ----------
    one, other : str
        The names of the studies; `one` is the better.
    differences : tuple of float
        For each fold, the score of `one` minus that of `other`.
    mean_difference : float
        Their mean.
    t : float
        The statistic of the corrected resampled t-test; NaN with one fold.
    p : float
        The two-sided p value; NaN with one fold.
    """

    one: str
    other: str
    differences: tuple[float, ...]
    mean_difference: float
    t: float
    p: float


@dataclass(frozen=True, repr=False)
class Comparison(Sequence[Entry]):
    """What `compare` found: a sequence of entries, best first, that shows itself as tables.

    Attributes
    ----------
    metric : str
        What the studies are compared on.
    entries : tuple of Entry
        One for each study, best first, with ``study``, ``estimator``, ``trial_number``, ``score``, ``standard_error``,
        ``fold_scores`` and ``n_trials``.
    pairs : tuple of Pair
        Every two of them, with ``one`` (the better), ``other``, ``differences`` (by fold), ``mean_difference``, and
        ``t`` and ``p`` of the test.
    note : str
        How to read the p values.
    """

    metric: str
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    note: str

    def __getitem__(self, index: Any) -> Any:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def _entries_table(self) -> tuple[list[str], list[list[str]]]:
        header = ["study", "estimator", "trial", self.metric, "std error", "trials"]
        return header, [
            [e.study, e.estimator, str(e.trial_number), f"{e.score:.4f}", f"{e.standard_error:.4f}", str(e.n_trials)]
            for e in self.entries
        ]

    def _pairs_table(self) -> tuple[list[str], list[list[str]]]:
        header = ["better", "worse", "difference", "t", "p", "by fold"]
        return header, [
            [p.one, p.other, f"{p.mean_difference:.4f}", f"{p.t:.3g}", f"{p.p:.3g}", _signed(p.differences)]
            for p in self.pairs
        ]

    def __repr__(self) -> str:
        tables = [
            text_table(header, [[_cell(name, cell) for name, cell in zip(header, row, strict=True)] for row in rows])
            for header, rows in (self._entries_table(), self._pairs_table())
        ]
        return "\n\n".join([*tables, self.note])

    def _repr_html_(self) -> str:
        return (
            html_table(*self._entries_table()) + html_table(*self._pairs_table()) + f"<p>{html.escape(self.note)}</p>"
        )

    def to_frame(self, *, pairs: bool = False) -> Any:
        """Return a pandas data frame with one row for each study, or for each pair of them.

        Parameters
        ----------
        pairs : bool, default=False
            Which of the two.

        Returns
        -------
        frame : pandas.DataFrame
            Fold by fold as well: the columns ``split0``, ``split1``, ... hold the scores, or the differences.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        folds = "differences" if pairs else "fold_scores"

        def row(one: Entry | Pair) -> dict[str, Any]:
            fields = dict(vars(one))
            by_fold = fields.pop(folds)
            return fields | {f"split{i}": number for i, number in enumerate(by_fold)}

        return pandas().DataFrame([row(one) for one in (self.pairs if pairs else self.entries)])


def _cell(name: str, text: str) -> str:
    return shortened(text, MAX_WIDTH if name == "estimator" else NAME_WIDTH)


def _signed(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:+.4f}" for number in numbers)


# --- the studies ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Metric:
    """A metric of a study."""

    #: Its name in the records.
    key: str
    #: What people call it.
    label: str
    #: What makes it this metric and no other.
    identity: Any


@dataclass(frozen=True)
class _Study:
    """One of the studies, read."""

    name: str
    header: Mapping[str, Any]
    kept: Sequence[Kept]

    @property
    def setup(self) -> Setup:
        return setup_of(self.header)

    @property
    def pursued(self) -> str:
        return self.setup.metric(self.kept)

    @property
    def metrics(self) -> list[_Metric]:
        """Its metrics."""
        scoring = self.header["fingerprint"]["scoring"]
        several = is_multimetric([k.record for k in self.kept])

        def identity(key: str) -> Any:
            if not several:
                return scoring
            return scoring.get(key) if isinstance(scoring, Mapping) else [scoring, key]

        return [_Metric(key, label, identity(key)) for key, label in labels_of(self.header, self.kept).items()]


def compare(*searches_or_names: Any, storage: Any = None, metric: str | None = None) -> Comparison:
    """Compare the best trials of several studies that were measured on the same data and folds.

    Whether two of them differ is asked of the differences fold by fold by the corrected resampled t-test of
    Nadeau and Bengio [1]_: training sets of different folds overlap, so fold scores are not independent, and
    the variance of their mean is ``1/k + n_test/n_train`` times that of a difference, not ``1/k`` times. The p
    values are for one pair each; whoever looks at many pairs corrects them for that.

    Parameters
    ----------
    *searches_or_names : OptunaSearchCV, optuna.Study, or str
        At least two: fitted searches or their studies, which may be in memory, or names of studies in `storage`.
    storage : str, Path, or optuna.storages.BaseStorage, default=None
        Where the studies are that are given by name.
    metric : str, default=None
        What to compare, and so what "best" means. None: the one metric that all of them have; if they have
        several in common, the one that all of them pursue. A metric is the same if its scorer is; the own score
        of an estimator (``scoring=None``) counts as one metric, whatever the estimator.

    Returns
    -------
    comparison : Comparison
        A sequence with an entry for each study, best first, and with ``pairs``; it shows itself as tables.

    Raises
    ------
    InvalidRequestError
        If there are fewer than two studies, or one twice, or no metric to compare them on.
    StudyMismatchError
        If they were measured on different data or folds.
    NoResultError
        If one of them has no trial with a score in every fold.
    StorageError
        If there is no such study.

    Notes
    -----
    The sizes of the folds are kept with each study. Where no study knows them, those of an equal k-fold are
    taken, ``n_test/n_train = 1/(k - 1)``, and the note of the comparison says so.

    References
    ----------
    .. [1] Claude Nadeau, Yoshua Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003), 239-281.

    Examples
    --------
    >>> from optuna_search import OptunaSearchCV, studies
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> svc = OptunaSearchCV(SVC(), {"C": [0.1, 1, 10]}).fit(X, y)
    >>> stump = OptunaSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1]}).fit(X, y)
    >>> found = studies.compare(stump, svc)
    >>> [(entry.estimator, round(entry.score, 3)) for entry in found]
    [('SVC()', 0.98), ('DecisionTreeClassifier(random_state=0)', 0.667)]
    >>> found.pairs[0].p < 0.001
    True
    """
    if metric is not None and not isinstance(metric, str):
        raise InvalidRequestError(f"metric={metric!r} must be the name of a metric, or None.")
    studies = _read(searches_or_names, storage)
    _refuse_other_measurements(studies)
    for study in studies:
        if not any(fold.test for k in study.kept for fold in k.record.run):
            raise NoResultError(f"study_name={study.name!r} has nothing to compare: no trial of it has a score.")
    chosen = _choose(studies, metric)
    entries = sorted(
        (_best(study, m) for study, m in zip(studies, chosen, strict=True)), key=lambda e: e.score, reverse=True
    )
    n_folds = len(entries[0].fold_scores)
    sizes = next((sizes for study in studies if (sizes := study.header.get("fold_sizes"))), None)
    ratio = fold_ratio(sizes, n_folds)
    pairs = [_pair(one, other, ratio) for one, other in itertools.combinations(entries, 2)]
    return Comparison(chosen[0].label, tuple(entries), tuple(pairs), _note(n_folds, ratio, known=sizes is not None))


def _read(given: Sequence[Any], storage: Any) -> list[_Study]:
    """Open and read every study.

    Raises
    ------
    InvalidRequestError
        If there are not two different ones, or something is none.
    """
    complaints = [complaint for one in given if (complaint := complaint_about(one, storage))]
    if len(given) < 2:
        complaints.insert(0, f"compare() needs at least two studies; {len(given)} given.")
    if complaints:
        raise InvalidRequestError(complaints)
    studies: dict[Any, _Study] = {}
    for one in given:
        place = storage if isinstance(one, str) else None
        with in_plain_words(place):
            store = store_given(one, place)
            study = _Study(store.study_name, store.header(), store.kept())
        if (key := (study.name, study.header.get("id"))) in studies:
            raise InvalidRequestError(f"study {study.name!r} is given twice; it does not differ from itself.")
        studies[key] = study
    return list(studies.values())


def _refuse_other_measurements(studies: Sequence[_Study]) -> None:
    """Refuse studies whose fold scores are no pairs.

    Raises
    ------
    StudyMismatchError
        With every difference from the first of them.
    """
    first, *others = studies
    found: list[str] = []
    for other in others:
        old, new = ({part: study.header["fingerprint"].get(part) for part in PAIRED} for study in (first, other))
        found += differences(old, new, whose=(f"{first.name!r} has", f"{other.name!r} has"))
    if found:
        lines = "\n".join(f"  - {line}" for line in found)
        raise StudyMismatchError(
            "These studies were measured on different data or folds, so their scores cannot be compared:\n"
            f"{lines}\nFit both searches on the same X and y with the same cv; if that shuffles, with a random_state.",
            found,
        )


# --- the metric -------------------------------------------------------------------------------------------------------


def _choose(studies: Sequence[_Study], wanted: str | None) -> Sequence[_Metric]:
    """Return the metric to compare, for each study as it has it.

    Raises
    ------
    InvalidRequestError
        If it is not clear which, with what each study has.
    """
    shared = _shared([study.metrics for study in studies])
    if wanted is not None:
        named = [row for row in shared if any(wanted in (m.label, m.key) for m in row)]
        if named:
            return named[0]
        hint = did_you_mean(str(wanted), [row[0].label for row in shared]) if shared else "They share none."
        raise InvalidRequestError(f"metric={wanted!r} is no metric that these studies share. {hint} {_all(studies)}")
    if len(shared) > 1:
        pursued = [row for row in shared if all(m.key == s.pursued for m, s in zip(row, studies, strict=True))]
        shared = pursued or shared
    if len(shared) == 1:
        return shared[0]
    labels = ", ".join(row[0].label for row in shared)
    what = f"share several metrics ({labels}); say which, with metric=." if shared else "share no metric."
    raise InvalidRequestError(f"These studies {what} {_all(studies)}")


def _shared(metrics: Sequence[Sequence[_Metric]]) -> list[Sequence[_Metric]]:
    """Return each metric that all have, as a row of what each calls it."""
    first, *others = metrics
    rows = [[metric, *(_same(metric, theirs) for theirs in others)] for metric in first]
    return [[m for m in row if m is not None] for row in rows if None not in row]


def _same(metric: _Metric, theirs: Sequence[_Metric]) -> _Metric | None:
    """Return a metric as another study has it; under its own name, if that has it twice."""
    equal = [m for m in theirs if m.identity == metric.identity]
    return next((m for m in equal if m.label == metric.label), equal[0] if equal else None)


def _all(studies: Sequence[_Study]) -> str:
    return " ".join(f"{study.name!r} has {', '.join(map(_described, study.metrics))}." for study in studies)


def _described(metric: _Metric) -> str:
    if metric.identity == metric.label:
        return metric.label
    identity = metric.identity
    return f"{metric.label} ({identity.get('function') if isinstance(identity, Mapping) else identity})"


# --- the bests, and how they differ -----------------------------------------------------------------------------------


def _best(study: _Study, metric: _Metric) -> Entry:
    """Return the best of a study; of equals, the first.

    Raises
    ------
    NoResultError
        If nothing in it has a score in every fold.
    """
    scored = [(k, scores) for k in study.kept if (scores := _fold_scores(k, metric.key, study.setup.error_score))]
    if not scored:
        raise NoResultError(
            f"study_name={study.name!r} has nothing to compare: no trial of it has a score by {metric.label!r} in "
            "every fold."
        )
    best, scores = max(scored, key=lambda pair: float(np.mean(pair[1])))
    with np.errstate(invalid="ignore"):  # minus infinity is a score
        error = float(standard_error(np.std(scores), len(scores)))
    return Entry(
        study.name, str(study.header["estimator"]), best.trial.number, float(np.mean(scores)), error,
        tuple(scores), len(study.kept),
    )  # fmt: skip


def _fold_scores(kept: Kept, key: str, error_score: float) -> list[float]:
    """Return the scores of a trial by fold; none if it did not see all of them, or may not win."""
    record = kept.record
    scores = [fold.test.get(key, error_score) for fold in record.run]
    whole = kept.trial.state.name != "PRUNED" and len(scores) == len(record.folds)
    return [] if not whole or any(math.isnan(score) or score == math.inf for score in scores) else scores


def _pair(one: Entry, other: Entry, ratio: float) -> Pair:
    with np.errstate(invalid="ignore"):  # minus infinity is a score
        folds = np.subtract(one.fold_scores, other.fold_scores)
    t, p = corrected_t_test(folds, ratio)
    return Pair(one.study, other.study, tuple(folds.tolist()), float(np.mean(folds)), float(t), float(p))


def _note(n_folds: int, ratio: float, *, known: bool) -> str:
    if n_folds < 2:
        return "One fold: no test is possible."
    source = "" if known else " of an equal k-fold, as no study knows the sizes of its folds"
    return (
        f"t and p: corrected resampled t-test (Nadeau & Bengio 2003) over {n_folds} folds with {ratio:.3g} test "
        f"samples per training sample{source}."
    )
