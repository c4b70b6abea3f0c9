"""scikit-learn's tests of delegation, of metadata routing, and those that every estimator must pass."""

from .borrow import borrow_tests, import_on_stand_ins, runs_on_a_stand_in
from .stand_ins import STAND_INS

common = import_on_stand_ins("sklearn.tests.test_common")
delegation = import_on_stand_ins("sklearn.tests.test_metaestimators")
routing = import_on_stand_ins("sklearn.tests.test_metaestimators_metadata_routing")

# These lists are the parameters of their tests; the other meta-estimators in them are not our concern.
delegation.DELEGATING_METAESTIMATORS[:] = [
    data for data in delegation.DELEGATING_METAESTIMATORS if data.name in STAND_INS
]
routing.METAESTIMATORS[:] = [row for row in routing.METAESTIMATORS if row["metaestimator"] in STAND_INS.values()]
routing.METAESTIMATOR_IDS[:] = [row["metaestimator"].__name__ for row in routing.METAESTIMATORS]

for _tests in (borrow_tests(common, runs_on_a_stand_in), borrow_tests(delegation), borrow_tests(routing)):
    assert not _tests.keys() & globals().keys()
    globals().update(_tests)


def test_the_stand_ins_are_in_place():
    assert len(delegation.DELEGATING_METAESTIMATORS) == len(STAND_INS)
    assert len(routing.METAESTIMATORS) == len(STAND_INS)
    assert {type(search) for search in delegation.DATA_VALIDATION_META_ESTIMATORS} == set(STAND_INS.values())
