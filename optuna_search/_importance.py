"""How much of the differences between trials each parameter accounts for."""

from __future__ import annotations

import numpy as np

from optuna_search._facts import Facts, Metric, Parameter

#: Fewer trials than this say nothing of what matters.
MIN_TRIALS = 4
#: More trials than this say no more of it, and take longer.
MAX_TRIALS = 2000
#: As many trees as Optuna's evaluator of the same kind has.
N_TREES = 64


def importances_of(facts: Facts, metric: Metric) -> dict[str, float]:
    """Return the share of each parameter that has more than one value, the largest first.

    It is the mean decrease of impurity in a random forest that predicts the mean scores of complete trials. Where a
    trial does not have a parameter, it gets the value that some other trial has: so the forest learns nothing from
    whether it is there, which is to the credit of the parameter that this depends on.

    Returns
    -------
    shares : dict of str to float
        They add up to 1; empty with fewer than `MIN_TRIALS` complete trials.
    """
    from sklearn.ensemble import RandomForestRegressor  # a command that draws nothing begins without it

    trials = facts.scored(metric)
    places = np.linspace(0, len(trials) - 1, min(len(trials), MAX_TRIALS)).round().astype(int)
    trials = [trials[place] for place in places]
    parameters = facts.parameters(trials)
    scores = np.array([trial.mean(metric) for trial in trials])
    if len(trials) < MIN_TRIALS or not parameters or np.ptp(scores) == 0:
        return {}
    columns = [_columns(one) for one in parameters]
    forest = RandomForestRegressor(N_TREES, random_state=0).fit(np.hstack(columns), scores)
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]
    shares = [float(part.sum()) for part in np.split(forest.feature_importances_, ends)]
    found = {one.name: share for one, share in zip(parameters, shares, strict=True)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _columns(parameter: Parameter) -> np.ndarray:
    """Return a parameter as columns of numbers: one for each choice, or one for the order of its numbers.

    A forest splits by order alone, and numbers may be larger than it can hold.
    """
    there = [value for value in parameter.values if value is not None]
    draws = np.random.default_rng(0).integers(len(there), size=len(parameter.values))
    filled = [there[draw] if value is None else value for value, draw in zip(parameter.values, draws, strict=True)]
    if parameter.is_number:
        ranks = {value: rank for rank, value in enumerate(sorted(set(there)))}
        return np.array([[ranks[value]] for value in filled], dtype=float)
    return np.array([[value == choice for choice in parameter.choices] for value in filled], dtype=float)
