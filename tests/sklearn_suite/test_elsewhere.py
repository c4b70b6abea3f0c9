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


def _tests_elsewhere():
    for module_name in modules_that_name_a_search():
        if module_name in RUN_BY_OTHER_FILES or module_name in LEFT_OUT:
            continue
        module = import_on_stand_ins(module_name)
        if uses_a_stand_in(module):  # else the name occurs in a comment, or belongs to a class of its own
            for name, value in borrow_tests(module, names_a_search).items():
                yield _renamed(name, module_name), value


def _renamed(name, module_name):
    # Two modules may have tests of one name. Fixtures keep theirs, by which they are asked for.
    if not name.startswith("test"):
        return name
    return f"{module_name.rpartition('.')[2]}__{name.removeprefix('test_')}"


for _name, _value in _tests_elsewhere():
    assert _name not in globals(), f"two tests are called {_name}"
    globals()[_name] = _value
