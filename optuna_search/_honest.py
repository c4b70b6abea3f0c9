"""How much too good the best of many is. Pure functions.

The winner of a search owes its place in part to luck in these very folds, so its mean score is too good: the more so
the more candidates there were, and the more their scores vary from fold to fold. What luck is worth can be estimated
without a further fit, by choosing again and again with other luck.

Each time normal noise is added to the means, with the variances and covariances that they have as far as the scores of
the folds tell, and the same noise with the opposite sign to a second copy of the means. The best of the first copy is
chosen, and what it has in the second one counts. With the right factors the two copies are independent, as scores and
those of new data are: this is the *coupled bootstrap* [1]_. Where folds are drawn with replacement, and the best of
those is scored on the others (the fold form of [2]_), the two copies are nearly these, but for two things that can be
set here: how much noise it is, and what variance the means have.

- **How much noise.** With more noise the choice is worse than it was, and the score too low where candidates do differ;
  with less the estimate varies more. `NOISE` times the variance is added for the choice.
- **What variance.** With k independent folds that of a mean would be 1/k of that of the scores. But training parts
  overlap, and the same samples make a candidate look good in several folds by chance. Nadeau and Bengio [3]_ allow
  n_test/n_train for that. How much candidates differ beyond what folds explain, by such luck and by skill together, an
  analysis of variance tells. Up to n_test/n_train it may all be luck and is taken for luck. Beyond that candidates do
  differ: the more they do the less is taken for luck, and at three times as much nothing is. `NOISE` and this rule were
  chosen by simulation; `benchmarks/bench_honest.py` measures what they come to on other data.

Candidates that were pruned have lost by the folds that they have: without them, luck in these folds would pass for
skill in the others. Whether a trial is pruned depends on scores that are known, so those that are missing can be drawn
from how other trials went on, by a regression on the folds before: *multiple imputation* [4]_.

References
----------
.. [1] N. L. Oliveira, J. Lei, R. J. Tibshirani, "Unbiased Risk Estimation in the Normal Means Problem via Coupled
   Bootstrap Techniques", arXiv:2111.09447 (2021).
.. [2] I. Tsamardinos, E. Greasidou, G. Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and
   accurate cross-validation", Machine Learning 107 (2018), 1895-1922.
.. [3] C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003), 239-281.
.. [4] D. B. Rubin, "Multiple Imputation for Nonresponse in Surveys", Wiley (1987).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from optuna_search._uncertainty import fold_scores

#: How much noise is added for the choice, in variances of a mean.
NOISE = 0.5
#: How many candidates must have a fold for others to be drawn from them.
MIN_PEERS = 3
#: How much scores of one that may win can vary, and how far it can be from the best: in spreads of the best quarter.
MAX_SPREAD, MAX_DISTANCE = 5, 25
#: How often missing folds are drawn, and how often noise for each of these; each comes with both signs.
N_FILLED, N_DRAWS = 20, 50


def bias_in(results: Mapping[str, Any], metric: str, ratio: float) -> float:
    """Return how much too high the best mean score of a search is expected to be.

    Parameters
    ----------
    results : dict
        ``cv_results_``.
    metric : str
        What the winner is the best by.
    ratio : float
        Samples in the test part of a fold for each in its training part.
    """
    # Those that were pruned would have come to something, and have no mean.
    may_win = np.isfinite(results[f"mean_test_{metric}"]) | (results["trial_state"] == "PRUNED")
    if "n_resources" in results:  # with a part of the resource it is another model that was scored
        may_win &= results["n_resources"] == results["n_resources"].max()
    return selection_bias(fold_scores(results, f"test_{metric}")[may_win], ratio)


def selection_bias(scores: np.ndarray, ratio: float) -> float:
    """Return how much too high the mean of the best candidate is expected to be.

    Parameters
    ----------
    scores : array of shape (n_candidates, n_folds)
        NaN where a candidate was pruned before.
    ratio : float
        Samples in the test part of a fold for each in its training part.

    Returns
    -------
    bias : float
        From 0; NaN with one fold, or without any candidate that has a score in each.

    Examples
    --------
    >>> selection_bias(np.array([[0.9, 0.7, 0.8], [0.9, 0.7, 0.8]]), ratio=0.5)
    0.0
    >>> luck = np.random.default_rng(0).normal(size=(50, 5))
    >>> bool(0 < selection_bias(luck, ratio=0.25) < luck.mean(axis=1).max() * 1.5)
    True
    """
    scores = _in_order(scores[~np.isinf(scores).any(axis=1)])
    complete = scores[~np.isnan(scores).any(axis=1)]
    if scores.shape[1] < 2 or not len(complete):
        return math.nan
    best, rng = complete.mean(axis=1).max(), np.random.default_rng(0)
    differences = [best - _of_chosen(_filled(scores, rng), ratio, rng) for _ in range(N_FILLED)]
    return max(0.0, float(np.mean(differences)))


def _in_order(scores: np.ndarray) -> np.ndarray:
    """Return scores with the folds that most candidates have first, and all in an order of their own.

    Noise is drawn from one seed: the same scores are to have the same bias in whatever order they come.
    """
    scores = scores[:, np.lexsort((*np.sort(scores, axis=0)[::-1], np.isnan(scores).sum(axis=0)))]
    ordered: np.ndarray = scores[np.lexsort(scores.T[::-1])]
    return ordered


def _of_chosen(scores: np.ndarray, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Return what those that are chosen on one copy of the means have on the other, draw by draw.

    Parameters
    ----------
    scores : array of shape (n_candidates, n_folds)
        Without any that are missing.
    """
    means, rest = _contenders(scores)
    draws = rng.normal(size=(scores.shape[1], N_DRAWS))
    noise = rest * math.sqrt(_variance(means, rest, ratio) / (scores.shape[1] - 1)) @ np.hstack([draws, -draws])
    noise -= noise[means == means.max()].mean(axis=0)  # what is the same for all decides nothing
    chosen = np.argmax(means[:, None] + math.sqrt(NOISE) * noise, axis=0)
    luck: np.ndarray = np.take_along_axis(noise, chosen[None], axis=0)[0]
    return means[chosen] - luck / math.sqrt(NOISE)


def _contenders(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of the candidates that may win, and what is left of their scores without these.

    Noise is normal, and models that fail in some fold are not: far below the best, with scores that vary without
    measure, they would win now and then.
    """
    means = scores.mean(axis=1)
    rest = scores - means[:, None]
    spread = rest.std(axis=1)
    leading = np.argsort(-means, kind="stable")[: max(MIN_PEERS, len(means) // 4)]
    typical = np.median(spread[leading])
    most = MAX_SPREAD * typical
    rest *= np.divide(most, spread, out=np.ones_like(spread), where=spread > most)[:, None]
    near = means >= means.max() - MAX_DISTANCE * typical
    return means[near], rest[near]


def _variance(means: np.ndarray, rest: np.ndarray, ratio: float) -> float:
    """Return the variance of a mean in variances of a score: what folds show, and luck that they may share."""
    n_candidates, n_folds = rest.shape
    of_scores = ((rest - rest.mean(axis=0)) ** 2).sum() / max((n_candidates - 1) * (n_folds - 1), 1)
    if not of_scores:
        return 1 / n_folds
    excess = max(0.0, means.var() * n_candidates / max(n_candidates - 1, 1) / of_scores - 1 / n_folds)
    return 1 / n_folds + max(0.0, min(excess, ratio, (3 * ratio - excess) / 2))


# --- candidates that were pruned --------------------------------------------------------------------------------------


def _filled(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return scores in which those that are missing are drawn; without the candidates for which that cannot be done."""
    filled = scores[~np.isnan(scores[:, 0])]
    for fold in range(1, scores.shape[1]):
        missing = np.isnan(filled[:, fold])
        if missing.any():
            before = filled[:, :fold].mean(axis=1)
            filled[missing, fold] = _drawn(before[~missing], filled[~missing, fold], before[missing], rng)
    return filled[~np.isnan(filled).any(axis=1)]


def _drawn(before: np.ndarray, then: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the scores of others in a fold from the line through the means of the folds before and the scores there."""
    n_peers = len(then)
    if n_peers < MIN_PEERS:
        return np.full(len(others), math.nan)
    spread = before.var()
    slope = np.mean((before - before.mean()) * then) / spread if spread > 0 else 0.0
    rest = then - then.mean() - slope * (before - before.mean())
    luck = rng.choice(rest, len(others)) * math.sqrt(n_peers / (n_peers - 2))
    drawn: np.ndarray = then.mean() + slope * (others - before.mean()) + luck
    return drawn
