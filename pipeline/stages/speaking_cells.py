"""The cells of a picture that speak for a location, and where they lie."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.bags import chosen_cells, unpacked
from models.bundle import Model
from models.cell_answers import cell_network
from models.hyperparameters import CELLS
from pipeline.data.masks import centres_of

SHOWN = 5
"""Cells that are named."""


class SpeakingCell(BaseModel):
    """A cell, its share in what the network of single cells says of the picture, and its centre in pixels."""

    model_config = ConfigDict(frozen=True)

    label: int
    share: float
    x: float | None
    y: float | None


def speaking_cells(
    model: Model, row: pd.DataFrame, location: str, labels: NDArray[Any], cells: NDArray[Any] | None
) -> list[SpeakingCell]:
    """Return the cells that count most, the first most; none where a model knows nothing of single cells.

    Parameters
    ----------
    row : DataFrame
        One row, the model's columns.
    labels : ndarray
        All cells of the picture, as they were measured.
    cells : ndarray, shape (height, width), or None
        Their label image.
    """
    network = cell_network(model.stack)
    if network is None or not len(labels):
        return []
    bag, there = unpacked(row[list(model.stack.blocks[CELLS])].to_numpy(np.float32))
    of_cells = network.of_cells(bag[0][there[0]])
    share = network.shares(of_cells)[:, model.locations.index(location)]
    taken = labels[chosen_cells(len(labels))]
    best = np.argsort(-share, kind="stable")[:SHOWN]
    return [
        SpeakingCell(label=int(label), share=float(part), **where)
        for label, part, where in zip(taken[best], share[best], places_of(cells, taken[best]), strict=True)
    ]


def places_of(cells: NDArray[Any] | None, labels: NDArray[Any]) -> list[dict[str, float | None]]:
    """Return the centres of cells in pixels, nothing for those that are not seen."""
    centres = np.full((len(labels), 2), np.nan) if cells is None else centres_of(cells, labels)
    rounded = [[None if np.isnan(one) else round(one, 1) for one in centre] for centre in centres.tolist()]
    return [{"x": x, "y": y} for x, y in rounded]
