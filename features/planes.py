"""Planes derived from a cell's channels that several families share; ask for them with `Cell.once`."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell
from features.kernels.filters import smooth
from features.kernels.topology import levels_of


def smoothed(cell: Cell, sigma: float) -> NDArray[np.float32]:
    """Return the cell's channels averaged over a Gaussian, shape (channels, height, width).

    Only pixels of the cell count; 0 outside it. `sigma` is in pixels.
    """
    return smooth(cell.pixels, cell.whole.mask, float(sigma))


def levels(cell: Cell, sigma: float, region: str) -> NDArray[np.int16]:
    """Return the smoothed channels in 256 levels of their range in a region, shape (channels, *box).

    0 outside the region and in a flat channel.
    """
    part = cell.region(region)
    planes = cell.once(smoothed, sigma)[:, *part.box]
    return levels_of(np.ascontiguousarray(planes), np.ascontiguousarray(part.mask[part.box]))
