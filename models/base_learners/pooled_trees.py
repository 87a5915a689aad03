"""Boosted trees that tell of all locations alike whether a row has them, from networks' predictions.

How far networks' votes can be trusted is much the same for all locations. A location of few positives,
or of many pictures of few proteins, has too little to learn it from. Here every row and location make
one example, so that rare locations borrow from common ones. Of the location itself the trees know how
frequent it is and how well each network finds it, both shrunk towards the mean of all locations.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.base_learners.label_powerset import ROWS, explained
from models.base_learners.trees import LightGBMTrees
from models.base_learners.votes import Votes, certain, means
from models.hyperparameters import Hyperparameters

Floats = NDArray[np.float64]
Table = NDArray[np.float32]
Labels = NDArray[np.bool_]

UNNAMED = 0.2
"""Share of the examples that are learned from where no network says anything; they count that much more."""

SHRINKAGE = 20.0
"""Predictions, and positives, at which a location's own precision and recall count as much as the mean."""

_EXPLAINED = 256
"""Rows, at most, whose mean log-odds are the bias."""


@dataclass(frozen=True)
class Trust:
    """How frequent locations are, and how well each network finds them, shape (networks, locations).

    `named` and `unnamed` are what it adds to a location's log-odds that the network names it, or does not.
    """

    log_share: Floats
    precision: Floats
    named: Floats
    unnamed: Floats

    @classmethod
    def learn(cls, named: Labels, positive: Labels, negative: Labels) -> Self:
        """Count; `named` has shape (rows, networks, locations), the others (rows, locations)."""
        positives, negatives = positive.sum(axis=0), negative.sum(axis=0)
        hits, alarms = ((named & some[:, None]).sum(axis=0) for some in (positive, negative))
        found, predicted = hits.sum(axis=1, keepdims=True), (hits + alarms).sum(axis=1, keepdims=True)
        precision = (hits + SHRINKAGE * found / np.maximum(predicted, 1)) / (hits + alarms + SHRINKAGE)
        recall = (hits + SHRINKAGE * found / max(1, positives.sum())) / (positives + SHRINKAGE)
        recall = np.clip(recall, 1e-3, 1 - 1e-3)
        alarm = np.clip((alarms + 1) / (negatives + 10), 1e-6, 1 - 1e-6)
        share = np.log((positives + 1) / len(positive))
        return cls(share, precision, np.log(recall / alarm), np.log((1 - recall) / (1 - alarm)))


@dataclass(frozen=True)
class PooledTrees:
    """Boosted trees over pairs of a row and a location; serialised as JSON around LightGBM's text.

    `unknown` and `bias` are those of `LabelPowerset`.
    """

    trees: LightGBMTrees
    trust: Trust
    unknown: Table
    bias: Floats

    @classmethod
    def fit(cls, X: Table, Y: NDArray[Any], hyperparameters: Hyperparameters, seed: int) -> Self:
        """Grow the trees; see `models.base_learners.votes` for the columns of X."""
        positive, negative = Y == 1, Y == 0
        unknown = means(certain(X), Y.shape[1])
        votes = Votes.of(X, unknown)
        trust = Trust.learn(votes.named, positive, negative)
        share = np.clip(2 * votes.values.max(axis=1), UNNAMED, 1)
        drawn = np.random.default_rng(seed).random(share.shape) < share
        row, location = np.nonzero(drawn & (positive | negative))
        counts = (1 / share[row, location]).astype(np.float32)
        table, known = _examples(votes, trust, row, location), positive[row, location]
        trees = LightGBMTrees.fit(table, known, hyperparameters, seed, counts)
        bare = cls(trees, trust, unknown, np.zeros(Y.shape[1]))
        some = X[:: -(-len(X) // _EXPLAINED)]
        return cls(trees, trust, unknown, bare.log_odds(some).mean(axis=0))

    def log_odds(self, X: Table) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        locations = len(self.unknown)
        result = np.empty((len(X), locations))
        for start in range(0, len(X), ROWS):
            votes = Votes.of(X[start : start + ROWS], self.unknown)
            row, location = np.divmod(np.arange(len(votes.values) * locations), locations)
            examples = _examples(votes, self.trust, row, location)
            result[start : start + ROWS] = self.trees.log_odds(examples).reshape(-1, locations)
        return result

    def contributions(self, X: Table) -> Floats:
        """Return, by location, how far the log-odds are from the bias, and the bias."""
        return explained(self.log_odds(X), self.bias)

    def to_bytes(self) -> bytes:
        """Return JSON text."""
        arrays = vars(self.trust) | {"unknown": self.unknown, "bias": self.bias}
        described = {name: values.tolist() for name, values in arrays.items()}
        return json.dumps(described | {"trees": self.trees.to_bytes().decode()}).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        described = json.loads(content)
        trees = LightGBMTrees.from_bytes(described.pop("trees").encode())
        unknown = np.array(described.pop("unknown"), dtype=np.float32)
        bias, *trust = (
            np.array(described[name], dtype=np.float64)
            for name in ("bias", "log_share", "precision", "named", "unnamed")
        )
        return cls(trees, Trust(*trust), unknown, bias)


def _examples(votes: Votes, trust: Trust, row: NDArray[np.intp], location: NDArray[np.intp]) -> Table:
    """Describe pairs of a row and a location, shape (pairs, numbers)."""
    own, named = votes.values[row, :, location], votes.named[row, :, location]
    precision = trust.precision[:, location].T
    evidence = np.where(named, trust.named[:, location].T, trust.unnamed[:, location].T)
    columns = [
        own, votes.mean[row, location], votes.consensus[row, location], votes.agreement[row], votes.mean[row],
        trust.log_share[location], evidence.sum(axis=1),
        precision.mean(axis=1), (named * precision).max(axis=1),
    ]  # fmt: skip
    return np.column_stack(columns).astype(np.float32)
