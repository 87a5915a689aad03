"""What each cell of a picture shows, consistent with what is answered of the picture.

Labels are of pictures, and yet say how many cells show a location. Cells of pictures without it do not
show it; those of pictures with it are a mixture of cells that do and of cells that do not. The two are told
apart by the log-odds of the network of single cells: the density of those that show the location is taken to
be that of the others times an exponential of the log-odds (an exponential tilt), and the share of cells that
show it is estimated with it. So a location of all cells is given to all cells of its pictures, and one that
dividing cells show to these.

Source: Qin (1999), Empirical likelihood ratio based confidence intervals for mixture proportions, Annals of
Statistics 27 (mixtures of a known and a tilted density); Elkan & Noto (2008), Learning classifiers from only
positive and unlabeled data, KDD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit, logsumexp

from models.base_learners.cell_network import CellNetwork
from models.hyperparameters import CELLS
from models.stack_model import StackModel

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

_MOST = 4000
"""Cells, at most, of either kind of pictures that a location's numbers are estimated from."""

_CERTAIN, _FARTHEST = 1 - 1e-12, -600.0
"""Largest probability that a cell shows a location, and lowest log-odds: none is exactly 1 or 0."""

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
        How much the cell counts in what the network of single cells says of the picture; sums are 1.
    """

    probability: Floats
    chosen: Labels
    share: Floats


@dataclass(frozen=True)
class ShownByCells:
    """How cells that show a location differ from others, arrays of shape (locations,).

    Attributes
    ----------
    share : ndarray
        Of the cells of a picture with the location, those that show it.
    slope, offset : ndarray
        The log of how much more frequent log-odds z are among them than among cells of pictures without the
        location is ``slope * z + offset``.
    """

    share: Floats
    slope: Floats
    offset: Floats

    @classmethod
    def fit(cls, log_odds: Floats, labels: Labels) -> Self:
        """Estimate from cells.

        Parameters
        ----------
        log_odds : ndarray, shape (cells, locations)
            By networks that saw nothing of the cells' pictures.
        labels : ndarray of bool, shape (cells, locations)
            Of the cells' pictures. Where all or none have a location, all cells are taken to show it.
        """
        found = [_estimated(z[y], z[~y]) for z, y in zip(log_odds.T, labels.T, strict=True)]
        return cls(*np.array(found, np.float64).reshape(-1, 3).T)

    def given(self, log_odds: Floats) -> Floats:
        """Return the probability that cells show a location, given that their picture does; same shape."""
        told = logit(self.share) + self.slope * log_odds + self.offset
        return np.asarray(expit(np.maximum(told, _FARTHEST)))

    def as_card(self, locations: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the numbers of every location, for a model's card."""
        rows = zip(self.share.tolist(), self.slope.tolist(), self.offset.tolist(), strict=True)
        titles = ("share", "slope", "offset")
        return {name: dict(zip(titles, row, strict=True)) for name, row in zip(locations, rows, strict=True)}

    @classmethod
    def of_card(cls, card: Mapping[str, Mapping[str, Any]], locations: Sequence[str]) -> Self:
        """Read what `as_card` returned."""
        return cls(
            *(np.array([card[name][one] for name in locations]) for one in ("share", "slope", "offset"))
        )


def _estimated(with_it: Floats, without: Floats) -> tuple[float, float, float]:
    """Return share, slope and offset by maximum likelihood, given the log-odds of cells of both pictures."""
    if not len(with_it) or not len(without):
        return 1 - 1e-9, 0.0, 0.0
    some, others = (np.sort(z)[:: -(-len(z) // _MOST)] for z in (with_it, without))
    odds = np.log(len(some) / len(others))

    def offset(slope: float) -> float:  # the tilted density has to sum to 1
        return float(np.log(len(others)) - logsumexp(slope * others))

    def loss(at: Floats) -> float:
        slope, share = np.exp(at[0]), expit(at[1])
        ratios = (
            odds + np.logaddexp(np.log1p(-share), np.log(share) + slope * z + offset(slope))
            for z in (some, others)
        )
        told, untold = (np.logaddexp(0, sign * one).mean() for sign, one in zip((-1, 1), ratios, strict=True))
        return float(told + untold / np.exp(odds) + _WEAK * (at @ at))

    best = min((minimize(loss, start, method="Nelder-Mead") for start in _STARTS), key=lambda one: one.fun)
    slope = float(np.exp(best.x[0]))
    return float(expit(best.x[1])), slope, offset(slope)


def cell_network(stack: StackModel) -> CellNetwork | None:
    """Return what a model knows of single cells; None where it was not trained on them."""
    kinds = [kind for _, kind in stack.sources]
    for fitted in stack.learners:
        if kinds[fitted.source] == CELLS and isinstance(fitted.learner, CellNetwork):
            return fitted.learner
    return None


def answers_of_cells(given: Floats, share: Floats, probability: Floats, chosen: Labels) -> CellAnswers:
    """Answer the cells of one picture: those that show it rather than not, and the best one always.

    Some cell shows what the picture does: probabilities are those of cells of which at least one does.

    Parameters
    ----------
    given, share : ndarray, shape (cells, locations)
        The probability that cells show a location if their picture does, and the cells' shares in what the
        network of single cells says of the picture.
    probability, chosen : ndarray, shape (locations,)
        The picture's probabilities, and what is answered of it.
    """
    if not len(given):
        return CellAnswers(given, given.astype(bool), share)
    some_cell = -np.expm1(np.log1p(-np.minimum(given, _CERTAIN)).sum(axis=0))
    given = given / some_cell
    shown = chosen & ((given >= 0.5) | (given == given.max(axis=0)))
    return CellAnswers(given * probability, shown, share)
