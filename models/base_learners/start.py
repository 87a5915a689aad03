"""A network's own log-odds as a base learner: it learns nothing, so that rows cannot mislead it.

The meta-learner weighs it, shifts it and adds other learners' log-odds: with few rows, a location's answer
stays near the network's own.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.base_learners.label_powerset import explained

Floats = NDArray[np.float64]
Table = NDArray[np.float32]


@dataclass(frozen=True)
class Start:
    """Log-odds as given; `bias`, shape (locations,), is their mean, and stands in where a row has none."""

    bias: Floats

    @classmethod
    def fit(cls, X: Table, Y: NDArray[Any], hyperparameters: object, seed: int) -> Self:  # noqa: ARG003
        """Note the mean of the log-odds X, shape (rows, locations)."""
        known = X[~np.isnan(X).any(axis=1)]
        return cls(known.mean(axis=0, dtype=np.float64) if len(known) else np.zeros(X.shape[1]))

    def log_odds(self, X: Table) -> Floats:
        """Return the log-odds X, shape (rows, locations)."""
        return np.where(np.isnan(X), self.bias, X.astype(np.float64))

    def contributions(self, X: Table) -> Floats:
        """Return, by location, how far the log-odds are from the bias, and the bias."""
        return explained(self.log_odds(X), self.bias)

    def to_bytes(self) -> bytes:
        """Return JSON text."""
        return json.dumps({"bias": self.bias.tolist()}).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        return cls(np.array(json.loads(content)["bias"], np.float64))
