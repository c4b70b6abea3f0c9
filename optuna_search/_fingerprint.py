"""What the scores of a study were measured on, and the difference between two such.

The fingerprint is a small JSON document: what a person can read in the clear (shapes, names, parameters),
large contents as hashes.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import joblib
import numpy as np
import optuna
import sklearn
from scipy import sparse

from optuna_search._compat import made_of
from optuna_search._tables import printable
from optuna_search._tokens import code_token, digest, is_estimator, params_of, token

#: The parts of a fingerprint that describe the data; `{data}` in a study's name stands for them.
DATA = ("X", "y", "metadata")
#: What code has become by being used, and what it was: a scorer that counts its calls is the scorer that it was.
_was: dict[str, str] = {}
#: Up to this many columns of a data frame are listed one by one, so that a difference can name its column.
MAX_COLUMNS = 100
#: Where the types come from whose objects say all there is: dates and times, decimals, and the like.
TELLING = ("datetime", "decimal", "fractions", "uuid", "pandas")
#: What stands beside the parameters of an estimator that is trained in another way than by its `fit`.
TRAINING = "(training)"
#: Parameters of scikit-learn's own estimators, of whatever kind, on which no score depends.
WITHOUT_EFFECT = ("memory", "n_jobs", "verbose")


class DescribedSpace(Protocol):
    """What a fingerprint asks of a space."""

    def describe(self) -> Any:
        """Return what makes it this space and no other, as JSON."""

    def pinned(self) -> set[str]:
        """Return the parameters that every candidate sets: what the estimator has there does not matter."""


def fingerprint(
    *,
    X: Any,
    y: Any,
    metadata: Mapping[str, Any],
    splits: Sequence[tuple[Any, Any]],
    scoring: Any,
    error_score: Any,
    objective: str | Sequence[str],
    estimator: Any,
    space: DescribedSpace,
    training: str | None = None,
) -> dict[str, Any]:
    """Return what makes scores comparable.

    Parameters
    ----------
    X, y : array-like
        The data.
    metadata : mapping of str to object
        Whatever else reaches a fit, a scorer or the splitter: groups, sample weights.
    splits : sequence of (train, test)
        The indices of every fold.
    scoring, error_score : object
        As given to the search.
    objective : str or sequence of str
        The metric that is pursued, or several goals.
    estimator : estimator
        With its fixed parameters.
    space : DescribedSpace
        What is searched.
    training : str or None
        How trials are trained, if not by a `fit` on all samples.

    Returns
    -------
    document : dict
        JSON.
    """
    code = _as_they_were(_describe_code(scoring, estimator, space))
    if training is not None:
        code["estimator"][TRAINING] = training
    return {
        "X": describe_data(X),
        "y": describe_data(y),
        "metadata": {name: describe_data(value) for name, value in sorted(metadata.items()) if value is not None},
        "splits": {"folds": len(splits), "indices": _splits_digest(splits)},
        "error_score": token(error_score if isinstance(error_score, str) else float(error_score)).text,
        "objective": objective,
        **code,
    }


def _describe_code(scoring: Any, estimator: Any, space: DescribedSpace) -> dict[str, Any]:
    return {
        "scoring": describe_scoring(scoring),
        "estimator": describe_estimator(estimator, space.pinned()),
        "space": space.describe(),
    }


def _as_they_were(document: Any) -> Any:
    if isinstance(document, Mapping):
        return {name: _as_they_were(part) for name, part in document.items()}
    return _was.get(document, document) if isinstance(document, str) else document


@contextlib.contextmanager
def in_use(scoring: Any, estimator: Any, space: DescribedSpace) -> Iterator[None]:
    """Note what code becomes while it is used: what changes by that is no setting, and makes no other study of it.

    A scorer may count its calls, and the function of a space may keep a list. What the user changes before or
    after makes it another one, as ever. Only states are at issue here, which have no text but a hash.
    """
    before = dict(_leaves(_as_they_were(_describe_code(scoring, estimator, space))))
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # whatever the search came to is more than this
            for name, now in _leaves(_describe_code(scoring, estimator, space)):
                if name in before and (head := _head(now)) is not None and _head(before[name]) == head:
                    _was[now] = before[name]


def _leaves(document: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(document, Mapping):
        for key, part in document.items():
            yield from _leaves(part, f"{name}.{key}")
    else:
        yield name, str(document)


def data_digest(document: Mapping[str, Any]) -> str:
    """Return eight characters that stand for the data of a fingerprint."""
    return digest(json.dumps([document[part] for part in DATA], sort_keys=True), 8)


def versions(estimator: Any) -> dict[str, str]:
    """Return the versions that the scores of an estimator may depend on."""
    found = {"python": platform.python_version(), "scikit-learn": sklearn.__version__, "optuna": optuna.__version__}
    parts = [estimator, *(value for value in params_of(estimator, deep=True).values() if is_estimator(value))]
    for package in sorted({type(part).__module__.partition(".")[0] for part in parts} - {"sklearn", "optuna"}):
        version = getattr(sys.modules.get(package), "__version__", None)
        if isinstance(version, str):
            found[package] = version
    return found


def differences(
    old: Any, new: Any, name: str = "", whose: tuple[str, str] = ("the study has", "given is")
) -> Iterator[str]:
    """Yield a line for every leaf in which two documents differ.

    Parameters
    ----------
    old, new : object
        JSON.
    name : str
        What the documents are.
    whose : tuple of str
        How a line begins to tell of the one and of the other.

    Examples
    --------
    >>> list(differences({"y": {"shape": [3]}}, {"y": {"shape": [4]}}))
    ['y.shape: the study has [3], given is [4]']
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if name == "estimator" and old.get("class") != new.get("class"):
            old, new = {"class": old.get("class")}, {"class": new.get("class")}  # it has other parameters, of course
        for key in [*old, *(key for key in new if key not in old)]:
            inner = _short(f"{name}.{key}" if name else str(key))
            yield from differences(old.get(key), new.get(key), inner, whose)
    elif old != new:
        yield f"{name}: {whose[0]} {_short(old)}, {whose[1]} {_short(new)}"


def changed_code(old: Any, new: Any) -> list[str]:
    """Return the names of the leaves in which the same name stands for other code.

    Examples
    --------
    >>> changed_code({"scoring": "<function f> #12"}, {"scoring": "<function f> #34"})
    ['scoring']
    """
    now = dict(_leaves(new))
    return [
        name.removeprefix(".")
        for name, text in _leaves(old)
        if now.get(name, text) != text and _head(text) is not None and _head(text) == _head(now[name])
    ]


def _head(text: str) -> str | None:
    """Return what stands before the hash of code; None where there is none."""
    head, hashed, _ = text.rpartition(" #")
    return head if hashed else None


def describe_data(data: Any) -> Any:
    """Return shape, types, names and a hash of the values of anything that holds data.

    Equal values give equal descriptions, whatever their memory layout.
    """
    if data is None or isinstance(data, str | int | float | bool):
        return token(data).text
    if sparse.issparse(data):
        return _describe_sparse(data)
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        return _describe_columns([(str(n), data.iloc[:, i]) for i, n in enumerate(data.columns)], len(data))
    if hasattr(data, "get_column"):
        return _describe_columns([(n, data.get_column(n)) for n in data.columns], len(data))
    try:
        array = _objects(data) if _is_text(data) else np.asarray(data)
    except ValueError:  # ragged
        array = _objects(data)
    except (TypeError, RuntimeError):  # on another device
        return {"type": type(data).__qualname__, "values": joblib.hash(data)}
    dtype = "text" if array.dtype.kind in "OU" and _is_text(array.ravel()) else str(array.dtype)
    return {"shape": list(array.shape), "dtype": dtype, "values": _array_digest(array)}


def _is_text(data: Any) -> bool:
    """Whether data are a sequence of texts; as an array of NumPy's own kind each would be as wide as the longest."""
    if not isinstance(data, list | tuple | np.ndarray) or len(data) == 0:
        return False
    return all(isinstance(one, str | bytes) for one in data)


def _objects(data: Any) -> np.ndarray:
    array = np.empty(len(data), dtype=object)
    for place, part in enumerate(data):
        array[place] = part
    return array


def describe_scoring(scoring: Any) -> Any:
    """Return the metrics by name; a function of the user comes with a hash of its code."""
    if isinstance(scoring, Mapping):
        return {str(name): describe_scoring(one) for name, one in scoring.items()}
    if isinstance(scoring, list | tuple | set):
        return {str(name): str(name) for name in sorted(scoring)}
    if scoring is None:
        return "the estimator's own score"
    parts = made_of(scoring)
    return code_token(scoring) if parts is None else {name: code_token(part) for name, part in parts.items()}


def describe_estimator(estimator: Any, pinned: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    """Return the class and the parameters of an estimator, without those that every candidate sets."""
    described = {"class": _class_name(estimator)}
    params = params_of(estimator, deep=True)
    for name, value in sorted(params.items()):
        # A step that is replaced takes its own parameters with it.
        if name in pinned or any(name.startswith(f"{step}__") for step in pinned):
            continue
        prefix, _, last = name.rpartition("__")
        if last in WITHOUT_EFFECT and _is_of_scikit_learn(params.get(prefix, estimator)):
            continue
        described[name] = _describe_param(value, prefix + "__" if prefix else "", set(params))
    return described


def _is_of_scikit_learn(estimator: Any) -> bool:
    return type(estimator).__module__.partition(".")[0] == "sklearn"


def _describe_param(value: Any, prefix: str, listed: set[str]) -> str:
    """Return the class of a nested estimator, the names of a list of steps, and of anything else the token.

    Parameters
    ----------
    prefix : str
        What stands before the names of the parameters of the same estimator.
    listed : set of str
        The parameters that are described on their own: what a step holds is one of them.
    """
    if is_estimator(value):
        return _class_name(value)
    if not isinstance(value, list | tuple):
        return code_token(value)
    if len(value) > 1 and isinstance(value[0], str) and prefix + value[0] in listed:
        value = (value[0], *value[2:])
        if len(value) == 1:
            return value[0]
    elif not any(isinstance(part, list | tuple) or is_estimator(part) for part in value):
        return code_token(value)
    return f"[{', '.join(_describe_param(part, prefix, listed) for part in value)}]"


def _class_name(value: Any) -> str:
    # Private modules in between are where the class is written, not where it is imported from, and may change.
    public = [part for part in type(value).__module__.split(".") if not part.startswith("_") or part == "__main__"]
    return ".".join([*public, type(value).__qualname__])


def short_name(estimator: Any) -> str:
    """Return the class name of an estimator, for a Pipeline that of its last step."""
    while hasattr(estimator, "steps") and estimator.steps and hasattr(estimator.steps[-1][1], "fit"):
        estimator = estimator.steps[-1][1]
    return type(estimator).__name__


def _describe_sparse(data: Any) -> dict[str, Any]:
    rows = sparse.csr_array(data, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    parts = (rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64))
    values = digest("".join(_array_digest(part) for part in parts))
    return {"shape": list(data.shape), "dtype": f"sparse {data.dtype}", "values": values}


def _describe_columns(columns: Sequence[tuple[str, Any]], n_rows: int) -> dict[str, Any]:
    names = [name for name, _ in columns]
    described = [f"{column.dtype} {_array_digest(np.asarray(column), 8)}" for _, column in columns]
    listed = len(set(names)) == len(names) <= MAX_COLUMNS
    return {
        "shape": [n_rows, len(columns)],
        "columns": dict(zip(names, described, strict=True)) if listed else digest(json.dumps([names, described])),
        "order": digest(json.dumps(names), 8),
    }


def _array_digest(array: np.ndarray, length: int = 16) -> str:
    if array.dtype.hasobject or array.dtype.kind == "U":
        return digest(json.dumps([_text_of(one) for one in array.ravel().tolist()]), length)
    return digest(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, length)


def _text_of(value: Any) -> str:
    """Return a text that is the same for the same value only."""
    if isinstance(value, str):
        return f"'{value}"  # nothing else begins with a quote
    if type(value).__module__.partition(".")[0] in TELLING and not hasattr(value, "__array__"):
        return repr(value)
    made = token(value)
    if made.exact:
        return f"{type(value).__name__} {made.text}"
    try:
        return str(joblib.hash(value))
    except Exception:  # it cannot be pickled
        return code_token(value)


def _splits_digest(splits: Sequence[tuple[Any, Any]]) -> str:
    parts = [np.asarray(part) for fold in splits for part in fold]
    indices = [np.flatnonzero(part) if part.dtype == bool else part.astype(np.int64) for part in parts]
    return digest("".join(map(_array_digest, indices)))


def _short(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    return printable(text if len(text) <= 120 else f"{text[:117]}...")
