"""What each cell of a picture shows, consistent with what is answered of the picture.

A cell's log-odds are those of its picture, raised or lowered by how far the network of single cells puts it
from the mean of the picture's cells. A cell is said to show a location where the picture is, and its
probability reaches what the picture's had to; the best cell always.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.base_learners.cell_network import CellNetwork
from models.hyperparameters import CELLS
from models.stacking import StackModel

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

STRENGTH = 0.75
"""How much of a cell's distance from the mean counts: 0.5 ranks cells best, 1 has the best F1."""

_BEYOND = 1e-9


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


def cell_network(stack: StackModel) -> CellNetwork | None:
    """Return what a model knows of single cells; None where it was not trained on them."""
    kinds = [kind for _, kind in stack.sources]
    for fitted in stack.learners:
        if kinds[fitted.source] == CELLS and isinstance(fitted.learner, CellNetwork):
            return fitted.learner
    return None


def answers_of_cells(
    log_odds: Floats, share: Floats, probability: Floats, chosen: Labels, needed: Floats
) -> CellAnswers:
    """Answer the cells of one picture.

    Parameters
    ----------
    log_odds, share : ndarray, shape (cells, locations)
        By the network of single cells: `CellNetwork.of_cells`, mean over its networks, and its shares.
    probability, chosen, needed : ndarray, shape (locations,)
        The picture's probabilities, what is answered of it, and the probabilities from which that is.
    """
    if not len(log_odds):
        return CellAnswers(log_odds, log_odds.astype(bool), share)
    whole = logit(np.clip(probability, _BEYOND, 1 - _BEYOND))
    of_cells = expit(whole + STRENGTH * (log_odds - log_odds.mean(axis=0)))
    shown = chosen & ((of_cells >= needed) | (log_odds == log_odds.max(axis=0)))
    return CellAnswers(of_cells, shown, share)
