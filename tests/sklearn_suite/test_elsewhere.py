"""Every test of scikit-learn that names GridSearchCV or RandomizedSearchCV, and that no other file here runs."""

from .borrow import (
    LEFT_OUT,
    borrow_tests,
    import_on_stand_ins,
    modules_that_name_a_search,
    names_a_search,
    uses_a_stand_in,
)

RUN_BY_OTHER_FILES = {
    "sklearn.model_selection.tests.test_search",
    "sklearn.tests.test_common",
    "sklearn.tests.test_metaestimators",
    "sklearn.tests.test_metaestimators_metadata_routing",
}
MODULES = [
    import_on_stand_ins(name)
    for name in modules_that_name_a_search()
    if name not in RUN_BY_OTHER_FILES and name not in LEFT_OUT
]


def _renamed(name, module):
    # Two modules may have tests of one name. Fixtures keep theirs, by which they are asked for.
    if not name.startswith("test"):
        return name
    return f"{module.__name__.rpartition('.')[2]}__{name.removeprefix('test_')}"


for _module in MODULES:
    for _name, _value in borrow_tests(_module, names_a_search).items():
        assert _renamed(_name, _module) not in globals(), f"two tests are called {_renamed(_name, _module)}"
        globals()[_renamed(_name, _module)] = _value


def test_the_stand_ins_are_in_place():
    without = [module.__name__ for module in MODULES if not uses_a_stand_in(module)]
    assert without == ["sklearn.tests.test_docstring_parameters"]  # which asks for all estimators, and so gets ours
