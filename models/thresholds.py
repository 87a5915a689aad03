"""Turn probabilities into predictions: a threshold per location, chosen on out-of-fold probabilities.

A threshold that maximises F1 on a handful of positives is noise. The default rule `half_f1` therefore takes
the threshold that calibrated probabilities imply, half the best F1 that they promise. Probabilities are
calibrated for that on the rows themselves (Platt scaling, shrunk): the more positives, the less a rule
depends on how well they were before.

Source: Lipton, Elkan & Naryanaswamy (2014), Optimal thresholding of classifiers to maximize F1
measure, ECML PKDD.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.base_learners.logistic import fit_calibration
from models.hyperparameters import COMMON, RARE
from models.metrics import count

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

TRUST = 100.0
"""Positives at which the data and the probabilities' promise have the same say in `f1_shrunk`."""

CAP = 0.5
"""Highest threshold of a rare location: half of the best F1 there is, which is what calibration implies."""

_DOUBT = 5.0
"""Penalty in rows that shrinks the calibration towards leaving probabilities as they are."""

_LOWEST = 1e-6
_FLATTEST = 1e-3
"""Scale of log-odds below which the probabilities do not tell rows apart."""


def f1(probability: Floats, truth: Labels) -> float:
    """Return the threshold with the largest F1 on these rows; both of shape (rows,)."""
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    hits = np.cumsum(truth[order])
    score = 2 * hits / (np.arange(1, len(order) + 1) + truth.sum())
    # Rows of equal probability are chosen together, so a cut is possible only where the value falls.
    cut = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True))
    best = cut[np.argmax(score[cut])]
    following = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    return _within((ranked[best] + following) / 2)


def half_f1(probability: Floats, truth: Labels) -> float:
    """Return half the best F1 that the probabilities promise once they are calibrated."""
    log_odds = _log_odds(probability)
    change = fit_calibration(log_odds, truth, _DOUBT)
    if change.weights[0] < _FLATTEST:
        return _within(0.0)  # rows that nothing tells apart: F1 is largest where all are chosen
    ranked = np.sort(expit(change(log_odds[:, None])))[::-1]
    promised = 2 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + ranked.sum())
    return _within(float(expit((logit(promised.max() / 2) - change.bias) / change.weights[0])))


def f1_shrunk(probability: Floats, truth: Labels) -> float:
    """Return `f1` shrunk in log-odds towards `half_f1`: the fewer positives, the closer."""
    trust = truth.sum() / (truth.sum() + TRUST)
    mixed = trust * logit(f1(probability, truth)) + (1 - trust) * logit(half_f1(probability, truth))
    return _within(float(expit(mixed)))


def proportion(probability: Floats, truth: Labels) -> float:
    """Return the threshold that chooses as many rows as are positive."""
    ranked = np.sort(probability)[::-1]
    count = int(truth.sum())
    if count == 0 or count >= len(ranked):
        return _within(1.0 if count == 0 else 0.0)
    return _within((ranked[count - 1] + ranked[count]) / 2)


Rule = Callable[[Floats, Labels], float]
RULES: dict[str, Rule] = {"f1": f1, "f1_shrunk": f1_shrunk, "half_f1": half_f1, "proportion": proportion}


NESTED = "nested"
"""Name of the rule that is itself chosen, by cross-validation within each stratum of locations."""

STRATA = (RARE, COMMON)
"""Numbers of positives that part the strata."""


def choose_rules(probability: Floats, truth: Labels, fold: NDArray[np.int16]) -> list[str]:
    """Choose, for locations of about the same frequency together, the rule with the best mean F1.

    Every fold is decided by thresholds of the other folds' rows. Probability and truth have shape
    (rows, locations); returns the name of a rule for each location.
    """
    scores = np.array([_crossed_f1(probability, truth, fold, rule) for rule in RULES])
    stratum = np.searchsorted(STRATA, truth.sum(axis=0), side="right")
    means = np.stack([scores[:, stratum == number].mean(axis=1) for number in stratum], axis=1)
    names = list(RULES)
    return [names[best] for best in means.argmax(axis=0)]


def _crossed_f1(probability: Floats, truth: Labels, fold: NDArray[np.int16], rule: str) -> Floats:
    chosen = np.zeros_like(truth)
    for number in np.unique(fold):
        rest = fold != number
        chosen[~rest] = probability[~rest] >= fit_thresholds(probability[rest], truth[rest], rule)
    return np.asarray(count(truth, chosen).f1())


def fit_thresholds(probability: Floats, truth: Labels, rule: str) -> Floats:
    """Choose a threshold per location; arrays of shape (rows, locations), result (locations,).

    Whatever the rule, that of a location with few positives is at most `CAP`.
    """
    choose = RULES[rule]
    pairs = zip(probability.T, truth.T, strict=True)
    thresholds = np.array([choose(values, known) for values, known in pairs])
    return np.where(truth.sum(axis=0) < STRATA[0], np.minimum(thresholds, CAP), thresholds)


def decide(probability: Floats, thresholds: Floats, *, always: bool) -> Labels:
    """Choose locations, given probabilities, shape (rows, locations), and a threshold for each location.

    With `always`, the most probable one of a row even below its threshold: every protein is somewhere.
    """
    chosen = probability >= thresholds
    if always and probability.shape[1]:
        chosen[np.arange(len(chosen)), probability.argmax(axis=1)] = True
    return np.asarray(chosen)


def _log_odds(probability: Floats) -> Floats:
    return np.asarray(logit(np.clip(probability, _LOWEST, 1 - _LOWEST)))


def _within(threshold: float) -> float:
    return float(np.clip(threshold, _LOWEST, 1 - _LOWEST))
