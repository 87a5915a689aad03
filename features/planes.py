"""Planes derived from a cell's channels that several families share; ask for them with `Cell.once`."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell
from features.kernels.filters import band_numbers, smooth
from features.kernels.places import brightest
from features.kernels.topology import levels_of


def smoothed(cell: Cell, sigma: float) -> NDArray[np.float32]:
    """Return the cell's channels averaged over a Gaussian, shape (channels, height, width).

    Only pixels of the cell count; 0 outside it. `sigma` is in pixels; 0 leaves them as they are.
    """
    return cell.pixels if sigma == 0 else smooth(cell.pixels, cell.whole.mask, float(sigma))


def band(cell: Cell, finer: float, coarser: float) -> NDArray[np.float64]:
    """Return sum of squares and skewness of the difference of two smoothings, shape (channels, 2)."""
    return band_numbers(cell.once(smoothed, finer), cell.once(smoothed, coarser), cell.whole.mask)


def brightest_place(cell: Cell, channel: str) -> NDArray[np.int64]:
    """Return row and column of the brightest pixel of a channel smoothed by 2 px: the first one."""
    positions = cell.whole.positions
    plane = cell.once(smoothed, 2)[cell.channels.index(channel)]
    return positions[:, brightest(plane, positions)]


def levels(cell: Cell, sigma: float, region: str) -> NDArray[np.int16]:
    """Return the smoothed channels in 256 levels of their range in a region, shape (channels, *box).

    0 outside the region and in a flat channel.
    """
    part = cell.region(region)
    planes = cell.once(smoothed, sigma)[:, *part.box]
    return levels_of(np.ascontiguousarray(planes), np.ascontiguousarray(part.mask[part.box]))
