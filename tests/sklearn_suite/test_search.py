"""scikit-learn's `sklearn/model_selection/tests/test_search.py`, whole."""

import pytest

from .borrow import borrow_tests, import_on_stand_ins
from .stand_ins import STAND_INS, with_nothing_added

theirs = import_on_stand_ins("sklearn.model_selection.tests.test_search")
globals().update(borrow_tests(theirs))

# They require that there is no column or attribute that they do not know, so ours are taken off first.
WITH_NOTHING_ADDED = {"test_custom_run_search", "test_grid_search_cv_results", "test_random_search_cv_results"}


@pytest.fixture(autouse=True)
def _nothing_added(request, monkeypatch):
    if request.node.originalname in WITH_NOTHING_ADDED:
        for name, stand_in in STAND_INS.items():
            monkeypatch.setattr(theirs, name, with_nothing_added(stand_in))


def test_the_stand_ins_are_in_place():
    assert {name: getattr(theirs, name) for name in STAND_INS} == STAND_INS
    assert set(dir(theirs)) >= WITH_NOTHING_ADDED
