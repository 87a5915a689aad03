"""Ridge logistic regression: a base learner of one location, and what the meta-learner is made of.

The penalty pulls weights towards a prior instead of 0, which is what stacking needs: where a
location has few positives its weights stay near those of all locations together, and they follow
the data as positives accumulate.

As a base learner it complements trees: where examples are few a linear model is harder to mislead, and it
errs elsewhere. Columns are standardised with the fit's own mean and spread, cut at three standard deviations,
and missing values count as the mean.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.hyperparameters import Hyperparameters

Floats = NDArray[np.float64]
Table = NDArray[np.float32]

_STEPS = 60
_TOLERANCE = 1e-9
_CUT = 3.0
INTERCEPT_PENALTY = 1e-6
"""Keeps intercepts finite, and is too small to be seen."""


@dataclass(frozen=True)
class Linear:
    """A linear function, ``bias + inputs @ weights``, of weights of shape (inputs,)."""

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
    """Fit a logistic regression whose weights are shrunk towards `prior`.

    Minimises the sum of log-losses plus ``penalty / 2 * (weights - prior) ** 2``, by Newton's
    method with halved steps; the intercept is free. (Libraries do the same several times as slowly on small
    tables: see decision 66.)

    Inputs have shape (rows, inputs), prior and penalty (inputs,). The penalty is in rows: 10 weighs as much
    as about ten informative rows. ValueError if `y` does not hold both classes.
    """
    if y.all() or not y.any():
        raise ValueError("a logistic regression needs positives and negatives")
    centre = inputs.mean(axis=0)
    design = np.column_stack([inputs - centre, np.ones(len(y))])
    pull = np.append(penalty, INTERCEPT_PENALTY)
    start = np.append(prior, 0.0)
    anchor = start.copy()
    start[-1] = np.log(y.mean() / (1 - y.mean()))
    solution = _newton(design, y.astype(np.float64), start, anchor, pull)
    weights = solution[:-1]
    return Linear(float(solution[-1] - centre @ weights), weights)


def fit_calibration(log_odds: Floats, y: NDArray[np.bool_], penalty: float) -> Linear:
    """Fit Platt scaling, shrunk towards leaving the log-odds as they are.

    Both arrays have shape (rows,); the penalty, in rows, is on the change of the scale and on that of the
    log-odds in the positives' middle. Where `y` does not hold both classes nothing is changed.
    """
    if y.all() or not y.any():
        return Linear(0.0, np.ones(1))
    centre = float(log_odds[y].mean())
    design = np.column_stack([log_odds - centre, np.ones(len(y))])
    unchanged = np.array([1.0, centre])
    scale, shifted = _newton(design, y.astype(np.float64), unchanged, unchanged, np.full(2, penalty))
    return Linear(float(shifted - scale * centre), np.array([scale]))


def pooled_weights(base: Floats, targets: NDArray[Any], prior: Floats, penalty: float) -> Floats:
    """Fit one set of weights, shape (sources,), for all locations, each with an intercept of its own.

    `base`, shape (rows, locations, sources), are each location's own log-odds; `targets` have positives and
    negatives of every location, and may be NaN; prior and penalty are as in `fit_logistic`.
    """
    weights = prior.copy()
    bias = np.zeros(targets.shape[1])
    for _ in range(_STEPS):
        step, bias_step = _pooled_step(base, targets, weights, bias, prior, penalty)
        # Weights and intercepts move by at most 1 a step, which keeps Newton's method from overshooting.
        scale = min(1.0, 1 / max(np.abs(step).max(), np.abs(bias_step).max(), 1e-300))
        weights = weights - scale * step
        bias = bias - scale * bias_step
        if max(np.abs(step).max(), np.abs(bias_step).max()) < _TOLERANCE:
            break
    return weights


def _pooled_step(
    base: Floats, targets: NDArray[Any], weights: Floats, bias: Floats, prior: Floats, penalty: float
) -> tuple[Floats, Floats]:
    """Newton's step; intercepts are eliminated, since each touches its own location only."""
    chance = expit(base @ weights + bias)
    known = ~np.isnan(targets)
    error = np.where(known, chance - targets, 0)
    curvature = np.where(known, chance * (1 - chance), 0)
    gradient = np.einsum("rlk,rl->k", base, error) + penalty * (weights - prior)
    bias_gradient = error.sum(axis=0) + INTERCEPT_PENALTY * bias
    hessian = np.einsum("rlk,rl,rlm->km", base, curvature, base, optimize=True)
    hessian += penalty * np.eye(len(weights))
    cross = np.einsum("rlk,rl->lk", base, curvature)
    own = curvature.sum(axis=0) + INTERCEPT_PENALTY
    reduced = hessian - cross.T @ (cross / own[:, None])
    step = np.linalg.solve(reduced, gradient - cross.T @ (bias_gradient / own))
    return step, (bias_gradient - cross @ step) / own


@dataclass(frozen=True)
class RidgeLogistic:
    """A fitted base learner; serialised as JSON. Its arrays have shape (columns,).

    The spread of constant columns is infinite, so that they say nothing. Contributions are measured from the
    centre, the mean of the standardised columns; the bias is the log-odds there.
    """

    mean: Floats
    spread: Floats
    centre: Floats
    weights: Floats
    bias: float

    @classmethod
    def fit(cls, X: Table, Y: NDArray[np.bool_], hyperparameters: Hyperparameters, seed: int) -> Self:  # noqa: ARG003 - no chance in it
        """Fit; of the hyperparameters only `l2` counts here."""
        known = ~np.isnan(X)
        count = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, X, 0).astype(np.float64)
        mean = filled.sum(axis=0) / count
        spread = np.sqrt((np.where(known, filled - mean, 0) ** 2).sum(axis=0) / count)
        spread[spread < 1e-12 * np.maximum(np.abs(mean), 1)] = np.inf
        bare = cls(mean, spread, np.zeros(len(mean)), np.zeros(len(mean)), 0.0)
        table = bare._standardised(X)
        centre = table.mean(axis=0)
        linear = _fit_ridge(table - centre, Y, hyperparameters.l2)
        return cls(mean, spread, centre, linear.weights, linear.bias)

    def log_odds(self, X: Table) -> Floats:
        """Return log-odds, shape (rows,)."""
        return np.asarray(self.bias + (self._standardised(X) - self.centre) @ self.weights)

    def contributions(self, X: Table) -> Floats:
        """Return each column's weight times its distance from the mean, and the bias."""
        parts = (self._standardised(X) - self.centre) * self.weights
        return np.column_stack([parts, np.full(len(X), self.bias)])

    def to_bytes(self) -> bytes:
        """Return the parameters as JSON."""
        parameters = {name: np.asarray(value).tolist() for name, value in asdict(self).items()}
        parameters["spread"] = [None if np.isinf(value) else float(value) for value in self.spread]
        return json.dumps(parameters).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        parameters = json.loads(content)
        bias = float(parameters.pop("bias"))
        parameters["spread"] = [np.inf if value is None else value for value in parameters["spread"]]
        return cls(
            **{name: np.array(values, dtype=np.float64) for name, values in parameters.items()}, bias=bias
        )

    def _standardised(self, X: Table) -> Floats:
        """Return columns in standard deviations from the mean, within ±3; missing ones are 0."""
        return np.nan_to_num(np.clip((X.astype(np.float64) - self.mean) / self.spread, -_CUT, _CUT), nan=0.0)


def _fit_ridge(centred: Floats, y: NDArray[np.bool_], penalty: float) -> Linear:
    """Fit in the space of the rows where they are fewer than the columns; the solution is the same."""
    rows, columns = centred.shape
    if columns <= rows:
        return fit_logistic(centred, y, np.zeros(columns), np.full(columns, penalty))
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    linear = fit_logistic(left * values, y, np.zeros(len(values)), np.full(len(values), penalty))
    return Linear(linear.bias, right.T @ linear.weights)


def _newton(design: Floats, y: Floats, start: Floats, anchor: Floats, pull: Floats) -> Floats:
    weights, log_odds = start, design @ start
    loss = _loss(log_odds, y, weights - anchor, pull)
    for _ in range(_STEPS):
        chance = expit(log_odds)
        gradient = design.T @ (chance - y) + pull * (weights - anchor)
        weighted = design * np.sqrt(chance * (1 - chance))[:, None]
        hessian = weighted.T @ weighted  # of one array with itself: half the work of any other product
        hessian[np.diag_indices_from(hessian)] += pull
        step = np.linalg.solve(hessian, gradient)
        change, scale = design @ step, 1.0
        while (
            trial := _loss(log_odds - scale * change, y, weights - scale * step - anchor, pull)
        ) > loss and scale > 1e-6:
            scale /= 2
        weights, log_odds = weights - scale * step, log_odds - scale * change
        if loss - trial < _TOLERANCE * (1 + abs(loss)):
            break
        loss = trial
    return weights


def _loss(log_odds: Floats, y: Floats, off: Floats, pull: Floats) -> float:
    """Return the log-loss, and the penalty of weights that are so far off their prior."""
    return float(np.logaddexp(0, log_odds).sum() - y @ log_odds + 0.5 * pull @ off**2)
