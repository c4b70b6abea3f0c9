"""The samplers by name, and the one that is taken when none is named."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna import samplers
from optuna.samplers import BaseSampler
from sklearn.utils import check_random_state

from optuna_search._compat import no_experimental_warnings, quiet_optuna

#: Samplers that need a package that does not come with this one.
NEEDS = {"gp": ("torch", "gp"), "cmaes": ("cmaes", "cmaes")}

_MAKERS: Mapping[str, Callable[[int | None, bool], BaseSampler]] = {
    # Where parameters depend on others, each group of parameters that occur together is modelled on its own.
    "tpe": lambda seed, conditional: samplers.TPESampler(seed=seed, multivariate=True, group=conditional),
    "random": lambda seed, _: samplers.RandomSampler(seed=seed),
    # Without scrambling the seed would not matter, and every search would begin in the same corner.
    "qmc": lambda seed, _: samplers.QMCSampler(seed=seed, scramble=True),
    "cmaes": lambda seed, _: samplers.CmaEsSampler(seed=seed),
    "gp": lambda seed, _: samplers.GPSampler(seed=seed, deterministic_objective=False),
    "nsgaii": lambda seed, _: samplers.NSGAIISampler(seed=seed),
    "nsgaiii": lambda seed, _: samplers.NSGAIIISampler(seed=seed),
    "brute-force": lambda seed, _: samplers.BruteForceSampler(seed=seed),
}

#: Every name; "grid" is an order of trials and needs no sampler of Optuna's.
NAMES = (*_MAKERS, "grid")


#: Those that read all trials at each draw and keep nothing of their own in between.
_FORGETFUL = (None, "tpe", "gp")


def forgets(sampler: Any) -> bool:
    """Whether a sampler may be given a part of the trials only; an Optuna sampler gets all that it was made for."""
    return not isinstance(sampler, BaseSampler) and sampler in _FORGETFUL


def missing_package(name: str) -> str | None:
    """Return the complaint about a sampler whose package is not installed."""
    package, extra = NEEDS.get(name, (None, None))
    if package is None or importlib.util.find_spec(package) is not None:
        return None
    return f"sampler={name!r} needs {package}, which is not installed: pip install 'optuna-search[{extra}]'."


def make(sampler: Any, seed: int | None, *, conditional: bool, continued: bool) -> BaseSampler:
    """Return the sampler of a search.

    Parameters
    ----------
    sampler : None, str, or optuna.samplers.BaseSampler
        None is "tpe". An Optuna sampler is copied, so that the one given never changes.
    seed : int or None
        For a sampler by name.
    conditional : bool
        Whether some parameters occur only beside certain others.
    continued : bool
        Whether the study has trials already. A sampler given with a seed of its own would then draw the
        same numbers as in the first part, and is reseeded.
    """
    with no_experimental_warnings(), quiet_optuna():
        if isinstance(sampler, BaseSampler):
            made = copy.deepcopy(sampler)
            if continued:
                made.reseed_rng()
            return made
        return _MAKERS[sampler or "tpe"](seed, conditional)


def seed_of(random_state: Any) -> int | None:
    """Return a seed from what scikit-learn calls a random state; None stays None."""
    if random_state is None:
        return None
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def seed_for(random_state: int | None, n_earlier: int) -> int | None:
    """Return the seed for the part of a search that begins after so many trials: another one for each part."""
    if random_state is None or n_earlier == 0:
        return random_state
    return int(np.random.SeedSequence([random_state, n_earlier]).generate_state(1)[0])


def check(sampler: Any) -> str | None:
    """Return the complaint about what was given as a sampler, or None."""
    if sampler is None or isinstance(sampler, BaseSampler):
        return None
    if isinstance(sampler, str) and sampler in NAMES:
        return missing_package(sampler)
    hint = " Give an instance, not the class." if isinstance(sampler, type) else ""
    return f"sampler={sampler!r} must be one of {', '.join(map(repr, NAMES))}, an Optuna sampler, or None.{hint}"
