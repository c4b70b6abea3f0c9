"""The classes that stand in for GridSearchCV and RandomizedSearchCV."""

from inspect import signature
from typing import ClassVar

import numpy as np

from optuna_search import OptunaSearchCV


class RandomOptunaSearchCV(OptunaSearchCV):
    # Called as RandomizedSearchCV is called. A class with a signature of its own, not a function: the tests clone it,
    # set its parameters and ask for its name.

    __doc__ = OptunaSearchCV.__doc__  # they read the attributes in it

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
    ):
        self.n_iter = n_iter
        super().__init__(
            estimator,
            param_distributions,
            n_trials=n_iter,
            sampler="random",
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )

    def fit(self, X, y=None, **params):
        self.n_trials = self.n_iter  # which set_params may have changed
        return super().fit(X, y, **params)

    # Our own constraints, without the parameters that it has not. A wrong n_iter is called a wrong n_trials.
    _parameter_constraints: ClassVar = {
        name: OptunaSearchCV._parameter_constraints.get(name, "no_validation")
        for name in list(signature(__init__).parameters)[1:]
    }


STAND_INS = {"GridSearchCV": OptunaSearchCV, "RandomizedSearchCV": RandomOptunaSearchCV}

# What OptunaSearchCV documents beyond GridSearchCV, and nothing else.
ADDED_COLUMNS = {"trial_number", "trial_state"}
ADDED_ATTRIBUTES = {
    "best_score_corrected_",
    "best_trial_",
    "fork_report_",
    "n_trials_",
    "pareto_front_",
    "study_",
    "top_n_",
}


def with_nothing_added(search_class):
    """Take off what OptunaSearchCV adds, for a test that compares all columns or all attributes there are."""

    class Bare(search_class):
        def fit(self, X, y=None, **params):
            super().fit(X, y, **params)
            self.cv_results_ = {key: value for key, value in self.cv_results_.items() if key not in ADDED_COLUMNS}
            return self

        def __dir__(self):
            # Not from super(), which asks for each attribute first: those of ours need the columns of ours.
            known = set(object.__dir__(self)) - ADDED_ATTRIBUTES
            return [name for name in known if hasattr(self, name)]

    return Bare
