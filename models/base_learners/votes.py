"""Other networks' predictions as learners of all locations see them, with how far the networks agree.

A network that saw the protein in training repeats its locations to the letter, and so do the
others; where networks guess, their sets differ. A learner can therefore trust the same prediction more or
less, if it sees how far the whole sets agree.

A table of predictions has one column per network and location, network by network: log-odds from -6 to 6 as
values from 0 to 1, and those beyond likewise beyond; from 0.5 on a network names a location.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

Table = NDArray[np.float32]

WIDEST, FARTHEST = 6.0, 12.0
"""Log-odds beyond which votes are taken for certain, and those of the probabilities 0 and 1."""


def scaled(probability: Table) -> Table:
    """Return log-odds within ±`FARTHEST` as a table of predictions has them."""
    bound = 1 / (1 + np.exp(FARTHEST))
    log_odds = logit(np.clip(probability.astype(np.float64), bound, 1 - bound))
    return np.asarray((log_odds / WIDEST + 1) / 2, dtype=np.float32)


def log_odds_of(table: Table) -> Table:
    """Return the log-odds that a table of predictions, of any shape, was scaled from."""
    return np.asarray((2 * table - 1) * WIDEST)


def certain(table: Table) -> Table:
    """Return a table of predictions with what lies beyond ±`WIDEST` taken for certain: in [0, 1], or NaN."""
    return np.asarray(np.clip(table, 0, 1))


def filled(table: Table, unknown: Table) -> Table:
    """Return predictions, shape (rows, networks, locations), with no network silent.

    Where one is (NaN), the mean of the others stands in and, where all are, that of other rows, `unknown`,
    shape (locations,).
    """
    values = table.reshape(len(table), -1, len(unknown))
    missing = np.isnan(values)
    if missing.any():
        said = (~missing).sum(axis=1)
        others = np.where(missing, 0, values).sum(axis=1) / np.maximum(said, 1)
        values = np.where(missing, np.where(said > 0, others, unknown)[:, None], values)
    return np.asarray(values, dtype=np.float32)


def means(table: Table, locations: int) -> Table:
    """Return each location's mean over networks and rows, shape (locations,); 0 where all are missing."""
    flat = table.reshape(-1, locations)
    known = ~np.isnan(flat)
    totals = np.where(known, flat, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(totals / np.maximum(known.sum(axis=0), 1), dtype=np.float32)


@dataclass(frozen=True)
class Votes:
    """What networks say about rows: predictions, none missing, shape (rows, networks, locations)."""

    values: Table

    @classmethod
    def of(cls, table: Table, unknown: Table) -> Self:
        """Read a table of predictions; see `filled`."""
        return cls(filled(certain(table), unknown))

    @cached_property
    def named(self) -> NDArray[np.bool_]:
        """Which locations each network names, shape (rows, networks, locations)."""
        return np.asarray(self.values >= 0.5)

    @cached_property
    def mean(self) -> Table:
        """Mean over networks, shape (rows, locations)."""
        return np.asarray(self.values.mean(axis=1))

    @cached_property
    def distance(self) -> NDArray[np.int16]:
        """Locations in which two networks differ, shape (rows, networks, networks)."""
        networks = self.named.shape[1]
        distance = np.zeros((len(self.named), networks, networks), dtype=np.int16)
        for one in range(networks):
            for other in range(one):
                differ = (self.named[:, one] != self.named[:, other]).sum(axis=1)
                distance[:, one, other] = distance[:, other, one] = differ
        return distance

    @cached_property
    def agreement(self) -> Table:
        """How far the sets agree, shape (rows, networks + 4).

        Locations in each network's set; locations named by any network, and by all; the most networks
        with one and the same set; locations in which two networks differ, summed over all pairs.
        """
        sets = [self.named.any(axis=1).sum(axis=1), self.named.all(axis=1).sum(axis=1)]
        same = (self.distance == 0).sum(axis=2).max(axis=1)
        numbers = [self.named.sum(axis=2), *sets, same, self.distance.sum(axis=(1, 2)) // 2]
        return np.asarray(np.column_stack(numbers), dtype=np.float32)

    @cached_property
    def consensus(self) -> Table:
        """Two sets that represent all networks, at each location, shape (rows, locations, 2).

        The most networks with one and the same set if that commonest set holds the location, else 0 (of
        sets equally common, that of the first network); whether the set with the least distance from all
        others holds the location.
        """
        same, rows = (self.distance == 0).sum(axis=2), np.arange(len(self.named))
        commonest = self.named[rows, same.argmax(axis=1)] * same.max(axis=1)[:, None]
        central = self.named[rows, self.distance.sum(axis=2).argmin(axis=1)]
        return np.asarray(np.stack([commonest, central], axis=2), dtype=np.float32)

    def columns(self) -> Table:
        """Return everything side by side, shape (rows, columns)."""
        rows = len(self.values)
        parts = [self.values.reshape(rows, -1), self.mean, self.agreement, self.consensus.reshape(rows, -1)]
        return np.hstack(parts)
