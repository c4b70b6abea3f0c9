"""A token is a readable text that stands for an object: one text for one object, in every process."""

import copy
import enum
import functools
import json
import math
import os

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from processes import in_another_process
from sklearn.base import BaseEstimator
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from optuna_search._tokens import MAX_LENGTH, code_token, plain, token

quick = settings(deadline=None, database=None, max_examples=200)

# Words that are, or begin like, the tokens of something else.
SUSPICIOUS = [
    "", " ", "None", "True", "False", "nan", "-nan", "inf", "-inf", "Infinity", "NaN", "1", "1.0", "-1", "1e3", "1j",
    "0x10", "1_000", "'1'", '"1"', "b'1'", "[]", "[1]", "()", "{}", "set()", "SVC()", "<class int>", "a b", " a", "a ",
    "a\n", "a#1", "a #2", "…", "array([1])", "...", "lambda", "é", "名", "\0", "\ud800", "٣", "²", "a" * 300,
]  # fmt: skip

numbers = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
atoms = st.one_of(
    st.none(),
    numbers,
    st.complex_numbers(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(SUSPICIOUS),
    st.binary(max_size=8),
)
keys = st.one_of(st.none(), numbers, st.text(max_size=5), st.tuples(st.integers()))
plain_data = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(tuple),
            st.dictionaries(keys, inner, max_size=3),
            st.sets(st.one_of(st.integers(), st.text(max_size=3)), max_size=4),
        ),
        max_leaves=8,
    ),
)


def same(one, other):
    """Whether two plain values are equal in type and in every part; the order of a dict does not count."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            any(same(key, known) and same(one[key], other[known]) for known in other) for key in one
        )
    if isinstance(one, float):
        return repr(one) == repr(other)
    return one == other


# --- plain data -------------------------------------------------------------------------------------------------------


@quick
@given(plain_data)
def test_plain_data_comes_back_from_its_token(value):
    text = token(value).text
    assume(len(text) < MAX_LENGTH)
    assert same(plain(text), value)


@pytest.mark.parametrize(
    "value",
    [[math.inf], (1.0, math.inf), (-math.inf, 0), {"a": math.nan}, [[math.nan]], {"bounds": (0.1, math.inf)}],
    ids=repr,
)
def test_plain_data_with_numbers_that_are_not_finite_comes_back_from_its_token(value):
    assert same(plain(token(value).text), value)


@quick
@given(plain_data, plain_data)
def test_different_data_have_different_tokens(one, other):
    assert (token(one).text != token(other).text) or same(one, other)


@quick
@given(plain_data)
def test_a_copy_has_the_same_token(value):
    assert token(copy.deepcopy(value)) == token(value)


@quick
@given(plain_data)
def test_the_token_of_something_else_is_no_token_of_a_string(value):
    assume(not isinstance(value, str))
    text = token(value).text
    assert token(text).text != text
    assert token([text]).text != token([value]).text


@quick
@given(st.text(max_size=400) | st.sampled_from(SUSPICIOUS) | plain_data)
def test_a_token_is_a_short_printable_line(value):
    text = token(value).text
    assert 0 < len(text) <= MAX_LENGTH
    assert text.isprintable()
    assert text == text.strip()


@quick
@given(st.text(min_size=300, max_size=400), st.integers(0, 299))
def test_long_texts_that_differ_in_one_place_have_different_tokens(text, place):
    changed = text[:place] + ("b" if text[place] == "a" else "a") + text[place + 1 :]
    assert token(changed).text != token(text).text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (1, "1"),
        (1.0, "1.0"),
        ("1", "'1'"),
        ("None", "'None'"),
        ("nan", "'nan'"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("rbf", "rbf"),
        ("neg_log_loss", "neg_log_loss"),
        ("l1 + l2", "l1 + l2"),
        ("", "''"),
        (b"raw", "b'raw'"),
        ((1, 2), "(1, 2)"),
        ((1,), "(1,)"),
        ([1, "a"], "[1, 'a']"),
        ({"balanced": None}, "{'balanced': None}"),
        (range(3), "range(0, 3)"),
        (np.array([1.0, 2.5]), "array([1.0, 2.5], dtype=float64)"),
        (math.sqrt, "<function math.sqrt>"),
        (SVC, "<class sklearn.svm._classes.SVC>"),
        (SVC(), "SVC()"),
        (SVC(C=2.0, kernel="linear"), "SVC(C=2.0, kernel='linear')"),
        ("passthrough", "passthrough"),
    ],
    ids=str,
)
def test_a_token_reads_like_the_code(value, text):
    assert token(value).text == text
    # Functions and classes are known by name, and a name is not all there is to them.
    assert token(value).exact or text.startswith(("<function", "<class"))


# --- NumPy ------------------------------------------------------------------------------------------------------------


@quick
@given(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.text(max_size=5))
def test_a_numpy_scalar_counts_as_the_python_value_it_holds(whole, number, flag, text):
    assume(not text.endswith("\0"))  # NumPy's strings end before
    assert token(np.int64(whole)) == token(whole)
    assert token(np.float64(number)) == token(number)
    assert token(np.bool_(flag)) == token(flag)
    assert token(np.str_(text)) == token(text)


@pytest.mark.parametrize("moment", [np.datetime64(5, "ns"), np.timedelta64(5, "ns")], ids=repr)
def test_a_moment_of_numpy_is_no_number(moment):
    assert token(moment).text != token(5).text


ARRAYS = [
    np.array([1, 2, 3]),
    np.array([1, 2, 4]),
    np.array([1.0, 2.0, 3.0]),
    np.array([1.0, 2.0, 3.0], dtype=np.float32),
    np.array([[1, 2, 3]]),
    np.array([[1], [2], [3]]),
    np.array([1.0, np.nan, np.inf]),
    np.array(["1", "2", "3"]),
    np.array(["1", 2, None], dtype=object),
    np.array([1, 2, None], dtype=object),
    np.array([b"1"]),
    np.array(1),
    np.zeros(100),
    np.zeros((10, 10)),
    np.zeros((20, 5)),
    np.zeros(100, dtype=int),
    np.eye(10),
    np.zeros((0, 3)),
    np.zeros((0, 4)),
    [1, 2, 3],
    (1, 2, 3),
]


def test_arrays_of_other_values_shapes_or_types_have_other_tokens():
    texts = [token(array).text for array in ARRAYS]
    assert len(set(texts)) == len(texts), texts


def test_the_memory_layout_of_an_array_does_not_matter():
    array = np.arange(60.0).reshape(6, 10)
    assert token(np.asfortranarray(array)) == token(array)
    assert token(np.repeat(array, 2, axis=0)[::2]) == token(array)
    assert token(array[:2, :3]) == token(array[:2, :3].copy())


def test_generators_of_random_numbers_are_told_apart_by_their_state():
    for make in (np.random.RandomState, np.random.default_rng):
        assert token(make(0)) == token(make(0))
        assert token(make(0)) != token(make(1))


# --- functions, classes, estimators -----------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    SMALL = 1


class Word(enum.StrEnum):
    RED = "Colour.RED"


class Plain(str, enum.Enum):  # noqa: UP042 - the kind whose str is the name
    RED = "crimson"


class Opaque:
    pass


class Multiplier:
    def __init__(self, factor):
        self.factor = factor

    def times(self, x):
        return self.factor * x

    def __repr__(self):
        return "Multiplier"


class Calls(BaseEstimator):
    def __init__(self, function=lambda x: x, flag=True, values=(1, 2)):
        self.function = function
        self.flag = flag
        self.values = values


def double(x):
    return 2 * x


def make_function(factor):
    def function(x):
        return factor * x

    return function


DIFFERENT = [
    Colour.RED,
    Colour.BLUE,
    Colour,
    Size.SMALL,
    1,
    True,
    double,
    make_function,
    functools.partial(double),
    functools.partial(double, 1),
    functools.partial(double, x=1),
    functools.partial(double, x="1"),
    functools.partial(pow, 2),
    math.sqrt,
    np.sqrt,
    len,
    str.upper,
    "upper",
    SVC,
    SVC(),
    "SVC()",
    SVC(C=2.0),
    SVC(C=2),
    SVC(C=1),
    SVC(gamma="1"),
    SVC(gamma=1),
    SVC(class_weight={0: 1}),
    SVC(class_weight={0: True}),
    LogisticRegression(),
    StandardScaler(),
    StandardScaler(with_mean=False),
    MinMaxScaler(feature_range=(0, 2)),
    MinMaxScaler(feature_range=[0, 2]),
    Pipeline([("a", StandardScaler()), ("b", SVC())]),
    Pipeline([("a", StandardScaler()), ("b", SVC(C=3.0))]),
    Pipeline([("a", StandardScaler()), ("c", SVC())]),
    Pipeline([("a", "passthrough"), ("b", SVC())]),
    Calls(flag=False),
    Calls(values=[1, 2]),
    Calls(function=double),
    FunctionTransformer(double),
    RBF(),
    RBF(2.0),
    RBF() + WhiteKernel(),
    WhiteKernel() + RBF(),
]


def test_objects_that_differ_have_tokens_that_differ():
    texts = [token(value).text for value in DIFFERENT]
    assert len(set(texts)) == len(texts), sorted(text for text in texts if texts.count(text) > 1)


@pytest.mark.parametrize("value", DIFFERENT, ids=lambda value: token(value).text)
def test_an_equal_object_has_the_same_token(value):
    assert token(copy.deepcopy(value)) == token(value)


def test_parameters_that_are_the_defaults_are_not_written():
    assert token(SVC(C=1.0, kernel="rbf")).text == "SVC()"
    assert token(Pipeline([("svc", SVC())], memory=None)).text == "Pipeline(steps=[('svc', SVC())])"


def test_a_word_of_an_enumeration_is_told_from_other_words():
    assert token(Plain.RED).text not in (token("Plain.RED").text, token(Plain).text)
    assert token(Word.RED).text != token(Colour.RED).text


@pytest.mark.parametrize(
    "value",
    [scipy.sparse.eye(3, format="csr"), np.eye(3, dtype=object), FunctionTransformer(lambda x: x), Opaque(), object()],
    ids=lambda value: type(value).__name__,
)
def test_the_token_of_any_object_is_a_short_printable_line(value):
    text = token(value).text
    assert 0 < len(text) <= MAX_LENGTH
    assert text.isprintable()
    assert "0x" not in text


def test_a_token_that_leaves_something_out_knows_it():
    for value in (lambda x: x, make_function(1), Opaque(), functools.partial(lambda x: x), [lambda x: x]):
        assert not token(value).exact
    assert not token(FunctionTransformer(lambda x: x)).exact
    assert not token(Pipeline([("a", FunctionTransformer(lambda x: x))])).exact
    assert not token({"a": (make_function(1),)}).exact


# --- other processes --------------------------------------------------------------------------------------------------


def among_words(word):
    return word in {"one", "two", "three", "four", "five"}


def battery():
    """Tokens of all sorts of values, most of all of those whose order or address differs between processes."""
    words = {"one", "two", "three", "four", "five", "six"}
    values = [
        words,
        frozenset(words),
        {word: {word} for word in sorted(words)},
        [words, (words,)],
        Opaque(),
        lambda x: x,
        make_function(3),
        Multiplier(2),
        functools.partial(double, words),
        SVC(class_weight={1: 2.0}),
        object(),
        np.random.RandomState(3),
        np.arange(100),
        "é" * 300,
        *DIFFERENT,
    ]
    return [token(value).text for value in values] + [
        code_token(among_words),
        code_token(lambda word: word in {"one", "two", "three"}),
        code_token(make_function(3)),
    ]


def test_tokens_are_the_same_in_every_process():
    code = "import json, test_tokens; print(json.dumps(test_tokens.battery()))"
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    assert json.loads(in_another_process(code, PYTHONHASHSEED=seed)) == battery()


# --- the code of functions --------------------------------------------------------------------------------------------


def test_functions_that_do_other_things_have_other_digests():
    digests = [code_token(f) for f in (lambda x: x, lambda x: x + 1, lambda x: x + 2, lambda x, y=1: x)]
    digests += [code_token(f) for f in (double, among_words, make_function(1), make_function(2))]
    assert len({digest.rpartition(" #")[2] for digest in digests}) == len(digests)


def test_the_digest_of_a_function_does_not_depend_on_comments_and_layout(tmp_path, monkeypatch):
    versions = {
        "first": "def f(x):\n    return x + 1\n",
        "second": "# a remark\n\ndef f(x):  # another\n    # and one more\n    return (x\n        + 1)\n",
        "third": "def f(x):\n    return x + 2\n",
    }
    monkeypatch.syspath_prepend(str(tmp_path))
    digests = {}
    for name, source in versions.items():
        (tmp_path / f"a_module_of_the_user_{name}.py").write_text(source)
        digests[name] = code_token(__import__(f"a_module_of_the_user_{name}").f).rpartition(" #")[2]
    assert digests["first"] == digests["second"] != digests["third"]
