"""Spots: local maxima of a difference of smoothings, and where in the cell they lie."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.geometry import mean_spacing

SPOT_NUMBERS = 9
STRONG = 2.0
"""A spot is so many times as high as the spread of the difference."""
LEAST = 1e-6
"""A difference below this is rounding: intensities lie in [0, 1]."""


@kernel
def local_maxima(plane: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float) -> NDArray[np.int64]:
    """Find pixels above a threshold and above all eight neighbours, which all lie in the mask.

    Parameters
    ----------
    plane : ndarray, shape (height, width), float32
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel.

    Returns
    -------
    ndarray, shape (n, 2), int64
        Rows and columns.
    """
    height, width = plane.shape
    found = np.empty((height * width // 4 + 1, 2), np.int64)
    count = 0
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            value = plane[row, column]
            if not mask[row, column] or value <= threshold:
                continue
            highest = True
            for near_row in range(row - 1, row + 2):
                for near_column in range(column - 1, column + 2):
                    if near_row == row and near_column == column:
                        continue
                    inside = mask[near_row, near_column]
                    highest = highest and inside and plane[near_row, near_column] < value
            if highest:
                found[count] = row, column
                count += 1
    return found[:count]


@kernel
def spot_numbers(
    planes: tuple[NDArray[np.float32], NDArray[np.float32]],
    mask: NDArray[np.bool_],
    spreads: NDArray[np.float64],
    depth: NDArray[np.float64],
    away: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Describe each channel's spots.

    Parameters
    ----------
    planes : tuple of ndarray, shape (channels, height, width), float32
        A finer and a coarser smoothing; spots are maxima of their difference.
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel.
    spreads : ndarray, shape (channels,), float64
        The difference's root mean square; spots are `STRONG` times as high.
    depth, away : ndarray, shape (height, width), float64
        Distances to the border and to the nucleus; the latter is infinite without a nucleus.

    Returns
    -------
    ndarray, shape (channels, 9), float64
        Number; number per pixel; mean height over spread; mean distance to the next spot, to the nucleus, to
        the border; share in the nucleus; distances of the highest to nucleus and border. NaN without spots,
        but for the first two, and without a nucleus.
    """
    finer, coarser = planes
    channels = len(finer)
    out = np.full((channels, SPOT_NUMBERS), np.nan)
    inside = np.count_nonzero(mask)
    for channel in range(channels):
        band = finer[channel] - coarser[channel]
        points = local_maxima(band, mask, max(STRONG * spreads[channel], LEAST))
        count = len(points)
        numbers = out[channel]
        numbers[0], numbers[1] = count, count / inside
        if count == 0:
            continue
        top, height, far, deep, within = 0, 0.0, 0.0, 0.0, 0
        for index in range(count):
            row, column = points[index]
            height += band[row, column]
            far += away[row, column]
            deep += depth[row, column]
            within += 1 if away[row, column] == 0.0 else 0
            if band[row, column] > band[points[top, 0], points[top, 1]]:
                top = index
        numbers[2], numbers[3] = height / count / spreads[channel], mean_spacing(points)
        numbers[5], numbers[8] = deep / count, depth[points[top, 0], points[top, 1]]
        if far < np.inf:
            numbers[4], numbers[6] = far / count, within / count
            numbers[7] = away[points[top, 0], points[top, 1]]
    return out
