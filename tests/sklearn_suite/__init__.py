"""scikit-learn's own tests for its searches, with OptunaSearchCV where they say GridSearchCV and RandomizedSearchCV.

They are those of the installed release, as its wheel ships them: a new release is tested by installing it and running
`pytest -m sklearn`.

- `test_search.py`: the whole of scikit-learn's `test_search.py`.
- `test_estimator_checks.py`: every check of `check_estimator`, on a search over each kind of estimator. A check may
  fail only where GridSearchCV fails it too.
- `test_meta_estimators.py`: delegation, metadata routing and the common tests of all estimators.
- `test_elsewhere.py`: every other test of scikit-learn that names one of its two searches.
- `test_callbacks.py`: what scikit-learn's callbacks are told, compared with what GridSearchCV tells them.

`stand_ins.py` has the two classes that stand in, `borrow.py` imports scikit-learn's modules on them and has the table
of the tests that are left out.
"""
