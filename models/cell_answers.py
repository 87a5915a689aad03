"""What each cell of a picture shows, consistent with what is answered of the picture.

Labels are of pictures, and yet say how many cells show a location. Cells of pictures without it do not
show it; those of pictures with it are a mixture of cells that do and of cells that do not. The two are told
apart by the log-odds of the networks of single cells: the density of those that show the location is taken to
be that of the others times an exponential of the log-odds (an exponential tilt), and the share of cells that
show it is estimated with it, and how much each network counts. So a location of all cells is given to all
cells of its pictures, and one that dividing cells show to these.

Source: Qin (1999), Empirical likelihood ratio based confidence intervals for mixture proportions, Annals of
Statistics 27 (mixtures of a known and a tilted density); Elkan & Noto (2008), Learning classifiers from only
positive and unlabeled data, KDD.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit, logsumexp

from models.base_learners.cell_network import CellNetwork
from models.stacking import StackModel

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

_MOST = 4000
"""Cells, at most, of either kind of pictures that a location's numbers are estimated from."""

_WEAK = 1e-3
"""Weight of the penalty that keeps estimates finite."""

_STARTS = ((0.0, 3.0), (0.0, 0.0), (0.0, -2.0))
"""Logarithm of the slope, and log-odds of the share, that the estimation starts from."""


@dataclass(frozen=True)
class CellAnswers:
    """Of every cell and location, arrays of shape (cells, locations).

    Attributes
    ----------
    probability : ndarray
        That the cell shows it.
    chosen : ndarray of bool
    share : ndarray
        How much the cell counts in what the networks of single cells say of the picture; sums are 1.
    """

    probability: Floats
    chosen: Labels
    share: Floats


@dataclass(frozen=True)
class ShownByCells:
    """How cells that show a location differ from others.

    Attributes
    ----------
    share : ndarray, shape (locations,)
        Of the cells of a picture with the location, those that show it.
    slope, offset : ndarray, shape (locations, networks) and (locations,)
        The log of how much more frequent log-odds z are among them than among cells of pictures without the
        location is ``slope @ z + offset``.
    """

    share: Floats
    slope: Floats
    offset: Floats

    @classmethod
    def fit(cls, log_odds: Floats, labels: Labels) -> Self:
        """Estimate from cells.

        Parameters
        ----------
        log_odds : ndarray, shape (cells, locations, networks)
            By networks that saw nothing of the cells' pictures.
        labels : ndarray of bool, shape (cells, locations)
            Of the cells' pictures. Where all or none have a location, all cells are taken to show it.
        """
        pairs = zip(np.moveaxis(log_odds, 1, 0), labels.T, strict=True)
        share, slope, offset = zip(*(_estimated(z[y], z[~y]) for z, y in pairs), strict=True)
        return cls(np.array(share), np.array(slope), np.array(offset))

    def given(self, log_odds: Floats) -> Floats:
        """Return the probability that cells show a location, given that their picture does.

        Shape (cells, locations), given that of `fit`.
        """
        tilt = (self.slope * log_odds).sum(axis=2) + self.offset
        return np.asarray(expit(logit(self.share) + tilt))

    def as_card(self, locations: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the numbers of every location, for a model's card."""
        rows = zip(self.share.tolist(), self.slope.tolist(), self.offset.tolist(), strict=True)
        titles = ("share", "slope", "offset")
        return {name: dict(zip(titles, row, strict=True)) for name, row in zip(locations, rows, strict=True)}

    @classmethod
    def of_card(cls, card: Mapping[str, Mapping[str, Any]], locations: Sequence[str]) -> Self:
        """Read what `as_card` returned."""
        share, slope, offset = (
            np.array([card[name][one] for name in locations]) for one in ("share", "slope", "offset")
        )
        return cls(share, slope.reshape(len(share), -1), offset)  # one number before model format 6


def _estimated(with_it: Floats, without: Floats) -> tuple[float, Floats, float]:
    """Return share, slopes and offset by maximum likelihood, given the log-odds of cells of both pictures."""
    networks = with_it.shape[1]
    if not len(with_it) or not len(without):
        return 1 - 1e-9, np.zeros(networks), 0.0
    some, others = (
        z[np.argsort(z.sum(axis=1), kind="stable")][:: -(-len(z) // _MOST)] for z in (with_it, without)
    )
    odds = np.log(len(some) / len(others))

    def offset(slope: Floats) -> float:  # the tilted density has to sum to 1
        return float(np.log(len(others)) - logsumexp(others @ slope))

    def loss(at: Floats) -> float:
        slope, share = np.exp(at[1:]), expit(at[0])
        ratios = (
            odds + np.logaddexp(np.log1p(-share), np.log(share) + z @ slope + offset(slope))
            for z in (some, others)
        )
        told, untold = (np.logaddexp(0, sign * one).mean() for sign, one in zip((-1, 1), ratios, strict=True))
        return float(told + untold / np.exp(odds) + _WEAK * (at @ at))

    starts = [(share, *[slope - np.log(networks)] * networks) for slope, share in _STARTS]
    best = min((minimize(loss, start, method="Nelder-Mead") for start in starts), key=lambda one: one.fun)
    slopes = np.exp(best.x[1:])
    return float(expit(best.x[0])), slopes, offset(slopes)


class CellNetworks(tuple[CellNetwork, ...]):
    """The networks of single cells of a model, one after the other; empty without."""

    __slots__ = ()

    @classmethod
    def among(cls, learners: Iterable[object]) -> Self:
        """Return those of base learners that look at cells."""
        return cls(one for one in learners if isinstance(one, CellNetwork))

    def log_odds(self, cells: NDArray[np.float32]) -> Floats:
        """Return what each says of cells, shape (cells, locations, networks), given all their columns."""
        return np.stack([one.of_cells(cells).mean(axis=0) for one in self], axis=2)

    def shares(self, cells: NDArray[np.float32]) -> Floats:
        """Return how much each cell counts in what they say of the picture, shape (cells, locations)."""
        return np.asarray(np.mean([one.shares(one.of_cells(cells)) for one in self], axis=0))


def cell_networks(stack: StackModel) -> CellNetworks:
    """Return what a model knows of single cells."""
    return CellNetworks.among(one.learner for one in stack.learners)


def answers_of_cells(given: Floats, share: Floats, probability: Floats, chosen: Labels) -> CellAnswers:
    """Answer the cells of one picture: those that show it rather than not, and the best one always.

    Parameters
    ----------
    given, share : ndarray, shape (cells, locations)
        The probability that cells show a location if their picture does, and the cells' shares in what the
        networks of single cells say of the picture.
    probability, chosen : ndarray, shape (locations,)
        The picture's probabilities, and what is answered of it.
    """
    if not len(given):
        return CellAnswers(given, given.astype(bool), share)
    shown = chosen & ((given >= 0.5) | (given == given.max(axis=0)))
    return CellAnswers(given * probability, shown, share)
