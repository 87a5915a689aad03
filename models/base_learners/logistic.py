"""Ridge logistic regression as a member of level 0, beside the boosters.

Where examples are few a linear model is harder to mislead than trees, and it errs in other
places. Columns are standardised with the fit's own mean and spread, cut at three
standard deviations, and missing values count as the mean.
"""

import json
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.hyperparameters import Settings
from models.linear import fit_logistic

Floats = NDArray[np.float64]
Table = NDArray[np.float32]

_CUT = 3.0


@dataclass(frozen=True)
class Ridge:
    """A fitted member; serialised as JSON.

    Attributes
    ----------
    mean, spread : ndarray, shape (columns,)
        Of the columns of the fit.
    centre : ndarray, shape (columns,)
        Mean of the standardised columns: what contributions are measured from.
    weights : ndarray, shape (columns,)
    base : float
        Log-odds where all standardised columns are at their centre.
    """

    mean: Floats
    spread: Floats
    centre: Floats
    weights: Floats
    base: float

    @classmethod
    def grow(cls, X: Table, y: NDArray[np.bool_], settings: Settings, seed: int) -> Self:  # noqa: ARG003 - no chance in it
        """Fit; of the settings only `l2` counts here."""
        known = ~np.isnan(X)
        count = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, X, 0).astype(np.float64)
        mean = filled.sum(axis=0) / count
        spread = np.sqrt((np.where(known, filled - mean, 0) ** 2).sum(axis=0) / count)
        spread[spread < 1e-12 * np.maximum(np.abs(mean), 1)] = np.inf  # constant columns say nothing
        bare = cls(mean, spread, np.zeros(len(mean)), np.zeros(len(mean)), 0.0)
        table = bare.standardised(X)
        centre = table.mean(axis=0)
        weights, base = _solve(table - centre, y, settings.l2)
        return cls(mean, spread, centre, weights, base)

    def standardised(self, X: Table) -> Floats:
        """Return columns in standard deviations from the mean, within ±3; missing ones are 0."""
        return np.nan_to_num(np.clip((X.astype(np.float64) - self.mean) / self.spread, -_CUT, _CUT), nan=0.0)

    def margin(self, X: Table) -> Floats:
        """Return log-odds, shape (rows,)."""
        return np.asarray(self.base + (self.standardised(X) - self.centre) @ self.weights)

    def contributions(self, X: Table) -> Floats:
        """Return each column's weight times its distance from the mean, and the bias."""
        parts = (self.standardised(X) - self.centre) * self.weights
        return np.column_stack([parts, np.full(len(X), self.base)])

    def to_bytes(self) -> bytes:
        """Return the parameters as JSON."""
        parameters = {name: np.asarray(value).tolist() for name, value in asdict(self).items()}
        parameters["spread"] = [None if np.isinf(value) else float(value) for value in self.spread]
        return json.dumps(parameters).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        parameters = json.loads(content)
        base = float(parameters.pop("base"))
        parameters["spread"] = [np.inf if value is None else value for value in parameters["spread"]]
        return cls(
            **{name: np.array(values, dtype=np.float64) for name, values in parameters.items()}, base=base
        )


def _solve(centred: Floats, y: NDArray[np.bool_], penalty: float) -> tuple[Floats, float]:
    """Fit in the space of the rows where they are fewer than the columns; the solution is the same."""
    rows, columns = centred.shape
    if columns <= rows:
        linear = fit_logistic(centred, y, np.zeros(columns), np.full(columns, penalty))
        return linear.weights, linear.bias
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    linear = fit_logistic(left * values, y, np.zeros(len(values)), np.full(len(values), penalty))
    return right.T @ linear.weights, linear.bias
