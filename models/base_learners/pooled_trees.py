"""One set of boosted trees that tells of all locations alike whether a row has them.

How far networks' votes can be trusted is much the same for all locations. A location of few positives,
or of many pictures of few proteins, has too little to learn it from. Here every row and location make
one example, so that rare locations borrow from common ones. Of the location itself the trees know how
frequent it is and how well each network finds it, both pulled towards the mean of all locations.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from models.agreement import Agreement
from models.base_learners.trees import LightGBMTrees
from models.hyperparameters import Settings

Floats = NDArray[np.float64]
Numbers = NDArray[np.float32]

POOLED = Settings(
    trees=200, leaves=31, learning_rate=0.06, l2=5.0, row_share=1.0, column_share=0.5, min_rows=50
)

UNNAMED = 0.2
"""Share of the examples that are learned from where no network says anything; they count that much more."""

PULL = 20.0
"""Answers, and positives, at which a location's own precision and recall count as much as the mean."""

_ROWS = 4096
"""Rows answered at a time."""


@dataclass(frozen=True)
class Votes:
    """What networks say about rows.

    Attributes
    ----------
    outputs : ndarray of float32, shape (rows, networks, locations)
        In [0, 1]; from 0.5 on a network names a location.
    about : ndarray of float32, shape (rows, locations, numbers)
        Numbers of a row and one location.
    rows : ndarray of float32, shape (rows, numbers)
        Numbers of a row.
    """

    outputs: Numbers
    about: Numbers
    rows: Numbers

    @classmethod
    def of(cls, outputs: Numbers, agreement: Agreement) -> "Votes":
        """Put outputs and agreement together."""
        return cls(outputs, np.stack([agreement.commonest, agreement.central], axis=2), agreement.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, wanted: NDArray[np.bool_] | slice) -> "Votes":
        return Votes(self.outputs[wanted], self.about[wanted], self.rows[wanted])

    def tobytes(self) -> bytes:
        """Return the content of all arrays."""
        return b"".join(table.tobytes() for table in (self.outputs, self.about, self.rows))


@dataclass(frozen=True)
class _Trust:
    """How frequent locations are, and how well each network finds them.

    Attributes
    ----------
    log_share : ndarray, shape (locations,)
    precision : ndarray, shape (networks, locations)
    named, unnamed : ndarray, shape (networks, locations)
        What it adds to the log-odds of a location that the network names it, or does not.
    """

    log_share: Floats
    precision: Floats
    named: Floats
    unnamed: Floats

    @classmethod
    def learn(cls, named: NDArray[np.bool_], Y: NDArray[np.bool_]) -> "_Trust":
        positives, negatives = Y.sum(axis=0), (~Y).sum(axis=0)
        hits, answers = (named & Y[:, None]).sum(axis=0), named.sum(axis=0)
        found = hits.sum(axis=1, keepdims=True)
        right = found / np.maximum(answers.sum(axis=1, keepdims=True), 1)
        precision = (hits + PULL * right) / (answers + PULL)
        recall = (hits + PULL * found / max(1, positives.sum())) / (positives + PULL)
        recall = np.clip(recall, 1e-3, 1 - 1e-3)
        alarm = np.clip((answers - hits + 1) / (negatives + 10), 1e-6, 1 - 1e-6)
        share = np.log((positives + 1) / len(Y))
        return cls(share, precision, np.log(recall / alarm), np.log((1 - recall) / (1 - alarm)))


class PooledTrees(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Boosted trees over pairs of a row and a location.

    Parameters
    ----------
    settings : Settings
    seed : int
    """

    def __init__(self, settings: Settings = POOLED, seed: int = 0) -> None:
        self.settings = settings
        self.seed = seed

    def fit(self, X: Votes, Y: NDArray[np.bool_]) -> Self:
        """Grow the trees; `Y` is of bool, shape (rows, locations)."""
        self.trust_ = _Trust.learn(X.outputs >= 0.5, Y)
        share = np.clip(2 * X.outputs.max(axis=1), UNNAMED, 1)
        drawn = np.random.default_rng(self.seed).random(share.shape) < share
        row, location = np.nonzero(drawn)
        counts = (1 / share[row, location]).astype(np.float32)
        table = self._examples(X, row, location)
        self.trees_ = LightGBMTrees.grow(table, Y[row, location], self.settings, self.seed, counts)
        return self

    def decision_function(self, X: Votes) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        locations = X.outputs.shape[2]
        answers = np.empty((len(X), locations))
        for start in range(0, len(X), _ROWS):
            some = X[start : start + _ROWS]
            row, location = np.divmod(np.arange(len(some) * locations), locations)
            margin = self.trees_.margin(self._examples(some, row, location))
            answers[start : start + _ROWS] = margin.reshape(-1, locations)
        return answers

    def _examples(self, X: Votes, row: NDArray[np.intp], location: NDArray[np.intp]) -> Numbers:
        own, trust = X.outputs[row, :, location], self.trust_
        named, means = own >= 0.5, X.outputs.mean(axis=1)
        precision = trust.precision[:, location].T
        evidence = np.where(named, trust.named[:, location].T, trust.unnamed[:, location].T)
        columns = [
            own, means[row, location], X.about[row, location], X.rows[row], means[row],
            trust.log_share[location], evidence.sum(axis=1),
            precision.mean(axis=1), (named * precision).max(axis=1),
        ]  # fmt: skip
        return np.column_stack(columns).astype(np.float32)
