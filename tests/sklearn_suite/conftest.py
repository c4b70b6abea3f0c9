"""What scikit-learn's tests expect of pytest: its fixtures, its marks, and its way with warnings."""

from pathlib import Path

import pytest
from sklearn import conftest as theirs

pytest_generate_tests = theirs.pytest_generate_tests  # the parameter `global_random_seed`
global_dtype = theirs.global_dtype
hide_available_pandas = theirs.hide_available_pandas
pyplot = theirs.pyplot
if hasattr(theirs, "print_changed_only_false"):  # scikit-learn < 1.8
    print_changed_only_false = theirs.print_changed_only_false

HERE = Path(__file__).parent

# Marks of scikit-learn's tests that are no marks of pytest.
THEIR_MARKS = ("iterations", "no_check_spmatrix", "parallel_threads", "thread_unsafe")

# Our settings make every warning an error. scikit-learn's tests are not written for that, and on an old scikit-learn
# NumPy and SciPy warn. What must not happen in them either: that a warning of Optuna reaches the user.
WARNINGS = pytest.mark.filterwarnings("default", r"error:::optuna\.", "error::optuna.exceptions.ExperimentalWarning")


def pytest_configure(config: pytest.Config) -> None:
    for mark in THEIR_MARKS:
        config.addinivalue_line("markers", f"{mark}: a mark of scikit-learn's own tests, without effect here")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.sklearn)
            item.add_marker(WARNINGS, append=False)  # a mark of the test itself comes later and so prevails
