"""Imports test modules of the installed scikit-learn so that its two searches are ours in them."""

import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from types import FunctionType, ModuleType
from unittest.mock import patch

import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.utils._test_common.instance_generator import INIT_PARAMS

from .stand_ins import STAND_INS

# Tests of scikit-learn that are not run, each with the reason. A module stands for all of its tests.
LEFT_OUT = {
    "sklearn.tests.test_common::test_estimators": "test_estimator_checks.py runs the same checks, on more searches.",
    "sklearn.utils.tests.test_pprint": "The GridSearchCV in it is a class of its own, made to be printed.",
}

A_SEARCH = re.compile(r"\b(GridSearchCV|RandomizedSearchCV)\b")

# For the tests that build an instance of every estimator there is: how to build ours.
INIT_PARAMS[STAND_INS["GridSearchCV"]] = INIT_PARAMS[GridSearchCV]
INIT_PARAMS[STAND_INS["RandomizedSearchCV"]] = INIT_PARAMS[RandomizedSearchCV]


def import_on_stand_ins(module_name: str) -> ModuleType:
    """Import scikit-learn's test module anew, with our classes under the names of its searches.

    It keeps its real name, so that what it defines can be pickled, also into worker processes.
    """
    pytest.register_assert_rewrite(module_name)
    sys.modules.pop(module_name, None)
    with _stand_ins_everywhere(), warnings.catch_warnings():
        warnings.simplefilter("default")  # an old scikit-learn may use what a new NumPy or SciPy deprecates
        module = importlib.import_module(module_name)
        for test in _tests_in(module).values():
            _bring_its_marks(test, module)
    return module


def _tests_in(module: ModuleType) -> dict[str, FunctionType]:
    functions = inspect.getmembers(module, inspect.isfunction)
    return {name: function for name, function in functions if name.startswith("test")}


def _bring_its_marks(test: FunctionType, module: ModuleType) -> None:
    # The test will leave its module, and would leave the module's marks behind.
    of_module = getattr(module, "pytestmark", [])
    of_module = of_module if isinstance(of_module, list) else [of_module]
    of_test = getattr(test, "pytestmark", [])
    test.pytestmark = [_with_a_list(mark) for mark in of_test] + [mark.mark for mark in of_module]


def _with_a_list(mark: pytest.Mark) -> pytest.Mark:
    # Some parameters come from a generator, which would ask for all estimators when ours are no longer all there are.
    # pytest deprecates it, too, which is an error under our settings.
    if mark.name != "parametrize" or isinstance(mark.args[1], list | tuple):
        return mark
    names, values = mark.args
    return pytest.mark.parametrize(names, list(values), **mark.kwargs).mark


@contextmanager
def _stand_ins_everywhere() -> Iterator[None]:
    # Before the body of the module runs: its decorators and tables hold the classes, not their names.
    with ExitStack() as patches:
        for package in ("sklearn.model_selection", "sklearn.model_selection._search"):
            patches.enter_context(patch.multiple(package, **STAND_INS))
        for place in ("sklearn.utils", "sklearn.utils._test_common.instance_generator"):
            patches.enter_context(patch(f"{place}.all_estimators", _all_stand_ins))
        yield


def _all_stand_ins(type_filter: object = None) -> list[tuple[str, type]]:
    # What `all_estimators` gives, were there no other estimators: theirs need no test from us.
    return list(STAND_INS.items()) if type_filter is None else []


def uses_a_stand_in(module: ModuleType) -> bool:
    """Whether the module has one of our classes under one of scikit-learn's names."""
    return any(getattr(module, name, None) is stand_in for name, stand_in in STAND_INS.items())


def names_a_search(test: FunctionType) -> bool:
    """Whether GridSearchCV or RandomizedSearchCV is in the test's source or decorators."""
    return bool(A_SEARCH.search(inspect.getsource(test)))


def runs_on_a_stand_in(test: FunctionType) -> bool:
    """Whether an instance of one of our classes is among the test's parameters."""
    parameters = chain.from_iterable(mark.args[1] for mark in test.pytestmark if mark.name == "parametrize")
    return any(isinstance(parameter, tuple(STAND_INS.values())) for parameter in parameters)


def borrow_tests(module: ModuleType, wanted: Callable[[FunctionType], bool] = lambda test: True) -> dict[str, object]:
    """Those tests of the module that are wanted and not left out, and the fixtures that they ask for, by name."""
    tests = {
        name: test
        for name, test in _tests_in(module).items()
        if wanted(test) and f"{module.__name__}::{name}" not in LEFT_OUT
    }
    asked_for = {name for test in tests.values() for name in inspect.signature(test).parameters}
    return {name: value for name, value in vars(module).items() if name in asked_for} | tests


def modules_that_name_a_search() -> list[str]:
    """All of scikit-learn's test modules in which GridSearchCV or RandomizedSearchCV occurs."""
    package = Path(sklearn.__file__).parent
    return [
        ".".join(["sklearn", *path.relative_to(package).with_suffix("").parts])
        for path in sorted(package.rglob("test_*.py"))
        if A_SEARCH.search(path.read_text(encoding="utf-8"))
    ]
