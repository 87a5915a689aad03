"""Ridge logistic regression around a prior, one location at a time or pooled over locations.

The penalty pulls weights towards given values instead of 0, which is what stacking needs: where a
location has few positives its weights stay near those of all locations together, and they follow
the data as positives accumulate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

_STEPS = 60
_TOLERANCE = 1e-9
_INTERCEPT_PENALTY = 1e-6  # keeps the intercept finite, and is too small to be seen


@dataclass(frozen=True)
class Linear:
    """A linear function: ``bias + inputs @ weights``.

    Attributes
    ----------
    bias : float
    weights : ndarray, shape (inputs,)
    """

    bias: float
    weights: Floats

    def __call__(self, inputs: Floats) -> Floats:
        """Return the function's values, shape (rows,); inputs have shape (rows, inputs)."""
        return np.asarray(self.bias + inputs @ self.weights, dtype=np.float64)

    def then(self, change: "Linear") -> "Linear":
        """Return the composition of this function and one of a single input."""
        stretch = float(change.weights[0])
        return Linear(change.bias + stretch * self.bias, stretch * self.weights)


def fit_logistic(inputs: Floats, y: NDArray[np.bool_], prior: Floats, penalty: Floats) -> Linear:
    """Fit a logistic regression whose weights are pulled towards `prior`.

    Minimises the sum of log-losses plus ``penalty / 2 * (weights - prior) ** 2``, by Newton's
    method with halved steps; the intercept is free.

    Parameters
    ----------
    inputs : ndarray, shape (rows, inputs)
    y : ndarray of bool, shape (rows,)
    prior, penalty : ndarray, shape (inputs,)
        `penalty` is in rows: 10 weighs as much as about ten informative rows.

    Raises
    ------
    ValueError
        If `y` does not hold both classes.
    """
    if y.all() or not y.any():
        raise ValueError("a logistic regression needs positives and negatives")
    centre = inputs.mean(axis=0)
    design = np.column_stack([inputs - centre, np.ones(len(y))])
    pull = np.append(penalty, _INTERCEPT_PENALTY)
    start = np.append(prior, 0.0)
    anchor = start.copy()
    start[-1] = np.log(y.mean() / (1 - y.mean()))
    solution = _newton(design, y.astype(np.float64), start, anchor, pull)
    weights = solution[:-1]
    return Linear(float(solution[-1] - centre @ weights), weights)


def pooled_weights(inputs: Floats, targets: NDArray[np.bool_], prior: Floats, penalty: float) -> Floats:
    """Fit one set of weights for all locations, each with an intercept of its own.

    Parameters
    ----------
    inputs : ndarray, shape (rows, locations, kinds)
        Each location's own level-0 log-odds, in the same order of kinds.
    targets : ndarray of bool, shape (rows, locations)
        Every location with positives and negatives.
    prior : ndarray, shape (kinds,)
    penalty : float
        As in `fit_logistic`.

    Returns
    -------
    ndarray, shape (kinds,)
    """
    weights = prior.copy()
    bias = np.zeros(targets.shape[1])
    for _ in range(_STEPS):
        step, bias_step = _pooled_step(inputs, targets, weights, bias, prior, penalty)
        # Weights and intercepts move by at most 1 a step, which keeps Newton's method from overshooting.
        scale = min(1.0, 1 / max(np.abs(step).max(), np.abs(bias_step).max(), 1e-300))
        weights = weights - scale * step
        bias = bias - scale * bias_step
        if max(np.abs(step).max(), np.abs(bias_step).max()) < _TOLERANCE:
            break
    return weights


def _pooled_step(
    inputs: Floats, targets: NDArray[np.bool_], weights: Floats, bias: Floats, prior: Floats, penalty: float
) -> tuple[Floats, Floats]:
    """Newton's step; intercepts are eliminated, since each touches its own location only."""
    chance = expit(inputs @ weights + bias)
    error = chance - targets
    curvature = chance * (1 - chance)
    gradient = np.einsum("rlk,rl->k", inputs, error) + penalty * (weights - prior)
    bias_gradient = error.sum(axis=0) + _INTERCEPT_PENALTY * bias
    hessian = np.einsum("rlk,rl,rlm->km", inputs, curvature, inputs, optimize=True)
    hessian += penalty * np.eye(len(weights))
    cross = np.einsum("rlk,rl->lk", inputs, curvature)
    own = curvature.sum(axis=0) + _INTERCEPT_PENALTY
    reduced = hessian - cross.T @ (cross / own[:, None])
    step = np.linalg.solve(reduced, gradient - cross.T @ (bias_gradient / own))
    return step, (bias_gradient - cross @ step) / own


def _newton(design: Floats, y: Floats, start: Floats, anchor: Floats, pull: Floats) -> Floats:
    weights = start
    loss = _loss(design, y, weights, anchor, pull)
    for _ in range(_STEPS):
        chance = expit(design @ weights)
        gradient = design.T @ (chance - y) + pull * (weights - anchor)
        hessian = (design.T * (chance * (1 - chance))) @ design
        hessian[np.diag_indices_from(hessian)] += pull
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while (trial := _loss(design, y, weights - scale * step, anchor, pull)) > loss and scale > 1e-6:
            scale /= 2
        weights = weights - scale * step
        if loss - trial < _TOLERANCE * (1 + abs(loss)):
            break
        loss = trial
    return weights


def _loss(design: Floats, y: Floats, weights: Floats, anchor: Floats, pull: Floats) -> float:
    log_odds = design @ weights
    fit = np.logaddexp(0, log_odds).sum() - y @ log_odds
    return float(fit + 0.5 * pull @ (weights - anchor) ** 2)
