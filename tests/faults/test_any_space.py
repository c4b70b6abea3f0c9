"""Any space comes back from a storage as it was, whatever it is written like; any other one is refused."""

import contextlib
import math

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from invariants import N_SPLITS, X, Y, examples, opener
from optuna.storages import InMemoryStorage
from sklearn.base import BaseEstimator
from spaces import RECIPES, other_recipes, typed

from optuna_search import OptunaSearchCV, studies
from optuna_search.exceptions import InvalidRequestError, StudyMismatchError

pytestmark = pytest.mark.slow


class Anything(BaseEstimator):
    """Takes any parameters, and scores another number each time."""

    n_fits = 0

    def __init__(self, **params):
        self.params = params

    def get_params(self, deep=True):
        return dict(self.params)

    def set_params(self, **params):
        self.params = self.params | params
        return self

    def fit(self, X, y=None):
        Anything.n_fits += 1
        return self

    def score(self, X, y=None):
        return math.sin(Anything.n_fits)


def searched(space, storage, n_trials=4):
    """A finished search, and how many fits it took."""
    before = Anything.n_fits
    search = OptunaSearchCV(
        Anything(), space, n_trials=n_trials, cv=N_SPLITS, refit=False, random_state=0, storage=storage, study_name="s"
    )
    return search.fit(X, Y), Anything.n_fits - before


@contextlib.contextmanager
def what_cannot_be_told_apart_rejected():
    """Leave out the spaces that are refused because a name of a choice reads like another choice."""
    try:
        yield
    except InvalidRequestError as error:
        if "cannot be told apart" not in str(error):
            raise
        reject()


@pytest.mark.parametrize(("kind", "n"), [("memory", 100), ("db", 20), ("journal", 20)])
def test_any_space_comes_back_from_a_storage(kind, n, tmp_path):
    @examples(n)
    @given(RECIPES, st.randoms(use_true_random=False))
    def check(recipe, rng):
        opened = opener(kind, tmp_path)
        with what_cannot_be_told_apart_rejected():
            first, n_fits = searched(recipe.made(), opened())
        found = typed(first.cv_results_["params"])
        assert n_fits > 0

        again, n_fits = searched(recipe.made(rng), opened())
        assert n_fits == 0
        assert typed(again.cv_results_["params"]) == found
        assert typed(again.best_params_) == typed(first.best_params_)
        assert again.best_score_ == first.best_score_

        further, n_fits = searched(recipe.made(rng), opened(), 6)
        params = further.cv_results_["params"]
        assert typed(params[: first.n_trials_]) == found
        # Two names may stand for one value; what is written twice is fitted once.
        new = [typed(one) for one in params[first.n_trials_ :]]
        assert N_SPLITS * len({*new} - {*found[1]}) <= n_fits <= N_SPLITS * len(new)

        kept = OptunaSearchCV.from_study("s", opened(), Anything(), recipe.made(rng))
        assert typed(kept.cv_results_["params"]) == typed(params)
        study = studies.load_study("s", opened())
        assert study.best_value == further.best_score_
        bare = OptunaSearchCV.from_study("s", opened(), Anything())
        for tokens, values in zip(bare.cv_results_["params"], params, strict=True):
            assert tokens.keys() == values.keys()

    check()


@examples(300)
@given(st.data())
def test_any_other_space_is_refused(data):
    recipe = data.draw(RECIPES)
    other = data.draw(other_recipes(recipe))
    assume(other.key != recipe.key)
    storage = InMemoryStorage()
    with what_cannot_be_told_apart_rejected():
        searched(recipe.made(), storage, 1)
        before = Anything.n_fits
        with pytest.raises(StudyMismatchError, match=r"space"):
            searched(other.made(), storage, 1)
    assert Anything.n_fits == before
