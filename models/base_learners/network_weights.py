"""The networks' own log-odds, weighted alike for all locations: few numbers, which few rows can tell.

Learners that see how far networks agree need rows to learn it from. With few of them, or with one network,
nothing is better than what the networks say themselves.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.base_learners.label_powerset import explained
from models.base_learners.logistic import pooled_weights
from models.base_learners.votes import filled, log_odds_of, means
from models.hyperparameters import Hyperparameters

Floats = NDArray[np.float64]
Table = NDArray[np.float32]


@dataclass(frozen=True)
class NetworkWeights:
    """A weight of each network, shape (networks,); serialised as JSON.

    `unknown` is that of `models.base_learners.votes.filled`, `bias` the mean log-odds; shape (locations,).
    """

    weights: Floats
    unknown: Table
    bias: Floats

    @classmethod
    def fit(cls, X: Table, Y: NDArray[Any], hyperparameters: Hyperparameters, seed: int) -> Self:  # noqa: ARG003
        """Fit the weights, shrunk towards equal ones; see `models.base_learners.votes` for X."""
        unknown = means(X, Y.shape[1])
        values = _by_location(X, unknown)
        networks = values.shape[2]
        told = (Y == 1).any(axis=0) & (Y == 0).any(axis=0)
        weights = np.full(networks, 1 / networks)
        if told.any():
            targets = Y[:, told].astype(np.float64)
            weights = pooled_weights(values[:, told], targets, weights, hyperparameters.l2)
        return cls(weights, unknown, (values @ weights).mean(axis=0))

    def log_odds(self, X: Table) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        return np.asarray(_by_location(X, self.unknown) @ self.weights)

    def contributions(self, X: Table) -> Floats:
        """Return, by location, how far the log-odds are from the bias, and the bias."""
        return explained(self.log_odds(X), self.bias)

    def to_bytes(self) -> bytes:
        """Return JSON text."""
        return json.dumps({name: values.tolist() for name, values in vars(self).items()}).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        described = json.loads(content)
        weights, bias = (np.array(described[name], np.float64) for name in ("weights", "bias"))
        return cls(weights, np.array(described["unknown"], np.float32), bias)


def _by_location(X: Table, unknown: Table) -> Floats:
    """Return networks' log-odds, shape (rows, locations, networks)."""
    return log_odds_of(filled(X, unknown)).astype(np.float64).swapaxes(1, 2)
