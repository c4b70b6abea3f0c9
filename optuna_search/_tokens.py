"""A short readable text for any Python object: what a storage keeps in its place.

A token never leads back to the object by itself: it is looked up among the choices that the code gives,
so nothing that stands in a storage is ever evaluated or imported.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import enum
import functools
import hashlib
import inspect
import json
import os
import re
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Longer tokens are cut and closed with a hash, so that every storage takes them and a table can show them.
MAX_LENGTH = 1000
#: Arrays up to this many elements are written out, larger ones are hashed.
MAX_ELEMENTS = 20

_RESERVED = {"None", "True", "False", "nan", "inf"}
# A string stands for itself if it cannot be taken for the token of anything else: no brackets, no quotes,
# not a number, not one of the reserved words.
_WORD = re.compile(r"[^\W\d](?:[\w .,/:+\-%=@]*[\w.,/:+\-%=@])?")
_STANDARD_LIBRARY = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Token:
    """The text that stands for an object."""

    text: str
    #: Whether the text says all there is: two objects of one type with one exact text are equal.
    exact: bool = True


def digest(data: bytes | str | memoryview, length: int = 16) -> str:
    """Return the first hexadecimal characters of a hash of the data.

    Parameters
    ----------
    data : bytes, str, or memoryview
        What to hash.
    length : int
        How many characters to return, at most 64.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return hashlib.blake2b(raw, digest_size=32).hexdigest()[:length]


def token(value: Any) -> Token:
    """Return the token of a value.

    Parameters
    ----------
    value : object
        Anything. NumPy scalars count as the Python numbers they hold.
    """
    made = _token(value)
    if len(made.text) <= MAX_LENGTH:
        return made
    return Token(f"{made.text[: MAX_LENGTH - 10]}…#{digest(made.text, 8)}", made.exact)


def plain(text: str) -> Any:
    """Return the value of a token that stands for plain data; the token of any other object stays as it is.

    Parameters
    ----------
    text : str
        A token.

    Examples
    --------
    >>> plain("rbf"), plain("1"), plain("1.0"), plain("'1'"), plain("None"), plain("SVC()")
    ('rbf', 1, 1.0, '1', None, 'SVC()')
    """
    if text in ("nan", "inf", "-inf"):
        return float(text)
    if _is_word(text) or len(text) > MAX_LENGTH:  # a longer one stands in no record of ours
        return text
    try:
        # Literals only: nothing is called or looked up, but for the two numbers that have no literal.
        return ast.literal_eval(_Infinities().visit(ast.parse(text, mode="eval")))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


class _Infinities(ast.NodeTransformer):
    """Puts numbers in the place of the words nan and inf."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(float(node.id)) if node.id in ("nan", "inf") else node


def _is_word(text: str) -> bool:
    return text not in _RESERVED and _WORD.fullmatch(text) is not None


def _token(value: Any) -> Token:
    if isinstance(value, enum.Enum):
        return Token(f"<{type(value).__qualname__}.{value.name}>", exact=False)
    if isinstance(value, np.number | np.bool_ | np.str_) and not isinstance(value, np.timedelta64 | np.longdouble):
        value = value.item()
    if isinstance(value, str):
        return Token(str(value) if _is_word(value) else repr(str(value)))
    if value is None or isinstance(value, bool | int | float | complex | bytes):
        return Token(repr(value))
    if isinstance(value, tuple | list | set | frozenset | dict):
        return _container(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, functools.partial):
        return _call("partial", [value.func, *value.args], value.keywords)
    if isinstance(value, type):
        return Token(f"<class {value.__module__}.{value.__qualname__}>", exact=False)
    if callable(value) and hasattr(value, "__name__"):
        return _function(value)
    if is_estimator(value):
        return _estimator(value)
    return _other(value)


def is_estimator(value: Any) -> bool:
    """Whether something has parameters as scikit-learn's estimators have."""
    return hasattr(value, "get_params") and not isinstance(value, type)


def params_of(value: Any, *, deep: bool = False) -> dict[str, Any]:
    """Return the parameters of an estimator; nothing where they cannot be had."""
    try:
        return dict(value.get_params(deep=deep))
    except (AttributeError, TypeError):  # a get_params of its own kind
        return {}


def _inner(value: Any) -> Token:
    """Return the token of something inside another one: there, strings always wear quotes."""
    return Token(repr(str(value))) if isinstance(value, str) else _token(value)


def _container(value: Any) -> Token:
    if isinstance(value, dict):
        # Dicts with the same items in another order are equal.
        parts = sorted(((_inner(key), _inner(item)) for key, item in value.items()), key=lambda part: part[0].text)
        text = "{" + ", ".join(f"{key.text}: {item.text}" for key, item in parts) + "}"
        return Token(text, all(key.exact and item.exact for key, item in parts))
    items = [_inner(item) for item in value]
    texts = [item.text for item in items]
    if isinstance(value, tuple):
        text = f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
    elif isinstance(value, list):
        text = f"[{', '.join(texts)}]"
    else:  # the order of a set differs from one process to the next
        text = "{" + ", ".join(sorted(texts)) + "}" if texts else "set()"
    return Token(text, all(item.exact for item in items))


def _array(value: np.ndarray) -> Token:
    if value.dtype.hasobject:
        inner = _inner(value.tolist())
        return Token(f"array({inner.text}, dtype=object)", inner.exact)
    if 0 < value.size <= MAX_ELEMENTS:
        return Token(f"array({value.tolist()}, dtype={value.dtype})")
    content = digest(np.ascontiguousarray(value).tobytes(), 8)
    return Token(f"array(shape={value.shape}, dtype={value.dtype}, #{content})")


def _function(value: Any) -> Token:
    name = getattr(value, "__qualname__", value.__name__)
    # Not exact: lambdas share a name, and so do the functions that a loop makes.
    return Token(f"<function {getattr(value, '__module__', None) or ''}.{name}>", exact=False)


def _estimator(value: Any) -> Token:
    return _call(type(value).__qualname__, [], _changed(value, params_of(value)))


def _changed(value: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that differ from the defaults of the constructor."""
    try:
        defaults = inspect.signature(type(value)).parameters
    except (ValueError, TypeError):
        return dict(params)
    return {
        name: given
        for name, given in params.items()
        if name not in defaults
        or not (given is (default := defaults[name].default) or _is_same_text(_inner(given), _inner(default)))
    }


def _is_same_text(one: Token, other: Token) -> bool:
    return one.exact and other.exact and one.text == other.text


def _call(name: str, args: list[Any], keywords: Mapping[str, Any]) -> Token:
    parts = [(_inner(arg), "") for arg in args] + [(_inner(item), f"{key}=") for key, item in keywords.items()]
    text = ", ".join(prefix + part.text for part, prefix in parts)
    return Token(f"{name}({text})", all(part.exact for part, _ in parts))


def _other(value: Any) -> Token:
    if isinstance(value, np.random.RandomState | np.random.Generator):
        state = value.get_state() if isinstance(value, np.random.RandomState) else value.bit_generator.state
        return Token(f"<{type(value).__name__} #{digest(repr(state), 8)}>")
    text = " ".join(repr(value).split())
    if _ADDRESS.search(text):  # where an object lies in memory says nothing about it in the next run
        text = f"<{type(value).__qualname__} object>"
    return Token(text, exact=isinstance(value, range | slice | np.generic))


def code_token(value: Any) -> str:
    """Return the token of a value, and a hash of what it does not tell, where there is something.

    That is the code of the user's functions and the state of objects without a telling text, wherever in the
    value they are. The functions of installed packages are left alone: their versions are kept elsewhere.
    """
    try:
        return _code_token(value, {})
    except RecursionError:  # functions that call each other hundreds of levels deep
        return token(value).text


# What was seen is kept alive by these dicts: the number of an object that is gone may soon be another one's.
def _code_token(value: Any, seen: dict[int, Any]) -> str:
    text = token(value).text
    hidden = list(_hidden(value, seen))
    return f"{text} #{digest(json.dumps(hidden), 8)}" if hidden else text


def _hidden(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Yield what the token of a value does not tell."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, types.FunctionType):
        if not _is_installed(value):
            yield _code_digest(value, seen)
        return
    parts: list[Any] = []
    if isinstance(value, functools.partial):
        parts = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, types.MethodType):
        parts = [value.__func__, value.__self__]
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif is_estimator(value):
        parts = list(params_of(value).values())
    elif not isinstance(value, type | types.ModuleType) and not token(value).exact and hasattr(value, "__dict__"):
        try:
            yield token(np.asarray(value.__array__())).text  # a frame shows only some of its rows
        except Exception:
            parts = [inspect.getattr_static(type(value), "__call__", None), *vars(value).values()]
            yield from (f"{name}={token(part).text}" for name, part in vars(value).items())
    for part in parts:
        yield from _hidden(part, seen)


def _is_installed(function: types.FunctionType) -> bool:
    file = function.__code__.co_filename
    return "site-packages" in file or "dist-packages" in file or file.startswith(_STANDARD_LIBRARY)


def _code_digest(function: Callable[..., Any], seen: dict[int, Any]) -> str:
    """Return a hash of what a function does: its code without comments and layout, and what that works with.

    Where there is no source, for a lambda, which shares its lines with other code, and for a wrapper, the
    compiled code is hashed; that changes with the version of Python.
    """
    compiled = getattr(function, "__code__", None)
    try:
        # The source of a wrapper is said to be that of what it wraps.
        if getattr(function, "__name__", "<lambda>") == "<lambda>" or hasattr(function, "__wrapped__"):
            raise OSError
        code = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError, SyntaxError):
        code = repr((compiled.co_code, compiled.co_names, _constants(compiled))) if compiled else token(function).text
    around = [
        *_closed_over(function),
        getattr(function, "__defaults__", None),
        getattr(function, "__kwdefaults__", None),
    ]
    if compiled is not None:
        around += _globals(compiled, getattr(function, "__globals__", {}))
    return digest(json.dumps([code, [_code_token(part, seen) for part in around]]))


def _closed_over(function: Callable[..., Any]) -> Iterator[Any]:
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a name that has no value yet
            yield cell.cell_contents


def _globals(code: types.CodeType, known: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the global values that code reads, by name: the user's own functions, numbers, texts, and arrays.

    What changes by itself is left out: names that the code assigns to, and objects and containers (a logger, a
    cache, a list of notes). So are texts that name a place, which may be another one in the next run.
    """
    names = _global_names(code, "LOAD_GLOBAL") - _global_names(code, "STORE_GLOBAL")
    return [(name, known[name]) for name in sorted(names) if name in known and _is_setting(known[name])]


def _is_setting(value: Any) -> bool:
    if isinstance(value, types.FunctionType):
        return not _is_installed(value)
    if type(value) is tuple:
        return all(map(_is_setting, value))
    if type(value) is str:
        return os.sep not in value
    return (
        value is None or type(value) in (bool, int, float, complex, bytes, np.ndarray) or isinstance(value, np.number)
    )


def _global_names(code: types.CodeType, operation: str) -> set[str]:
    names = {step.argval for step in dis.get_instructions(code) if step.opname == operation}
    return names.union(*(_global_names(c, operation) for c in code.co_consts if isinstance(c, types.CodeType)))


def _constants(code: types.CodeType) -> list[Any]:
    """Return the constants of a code object; the code of inner functions instead of their addresses."""
    return [[c.co_code, *_constants(c)] if isinstance(c, types.CodeType) else token(c).text for c in code.co_consts]
