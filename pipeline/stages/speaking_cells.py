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
        SpeakingCell(label=int(taken[one]), share=float(share[one]), **centre_of(cells, int(taken[one])))
        for one in best
    ]


def centre_of(cells: NDArray[Any] | None, label: int) -> dict[str, float | None]:
    """Return the centre of a cell in pixels, nothing where it is not seen."""
    rows, columns = (np.zeros(0), np.zeros(0)) if cells is None else np.nonzero(cells == label)
    if not len(rows):
        return {"x": None, "y": None}
    return {"x": round(float(columns.mean()), 1), "y": round(float(rows.mean()), 1)}
