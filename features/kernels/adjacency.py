"""Threshold adjacency statistics inside a mask."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.lanes import in_order, total

COUNTS = 9


@kernel
def adjacency(
    plane: NDArray[np.float32], mask: NDArray[np.bool_], ascending: NDArray[np.float64], threshold: float
) -> NDArray[np.float64]:
    """Count the neighbours that pixels in three ranges of intensity have in the same range.

    With m and s the mean and standard deviation of the pixels above the threshold, the ranges are
    m - s to m + s, above m - s, and above m.

    Parameters
    ----------
    plane : ndarray, shape (height, width), float32
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel.
    ascending : ndarray, shape (n,), float64
        The sorted intensities inside the mask.
    threshold : float

    Returns
    -------
    ndarray, shape (3, 9), float64
        Shares of the range's pixels with 0 to 8 neighbours in it; NaN for a range without pixels.
    """
    first = len(ascending)
    while first > 0 and ascending[first - 1] > threshold:
        first -= 1
    bright = ascending[first:]
    if len(bright) == 0:
        return np.full((3, COUNTS), np.nan)
    mean = total(bright) / len(bright)
    square = 0.0
    for value in bright:
        square += (value - mean) ** 2
    return _neighbours(_ranges(plane, mask, mean, np.sqrt(square / len(bright))))


@kernel
def _ranges(
    plane: NDArray[np.float32], mask: NDArray[np.bool_], mean: float, spread: float
) -> NDArray[np.uint32]:
    """Write which ranges a pixel is in, each in a byte of its own."""
    height, width = plane.shape
    out = np.zeros((height, width), np.uint32)
    for row in range(height):
        for column in range(width):
            value = plane[row, column]
            if mask[row, column] and value > mean - spread:
                middle = np.uint32(1 if value < mean + spread else 0)
                high = np.uint32(65536 if value > mean else 0)
                out[row, column] = middle + np.uint32(256) + high
    return out


@kernel
def _neighbours(ranges: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Turn ranges into shares of pixels by number of neighbours, shape (3, 9)."""
    height, width = ranges.shape
    counts = np.zeros((3, COUNTS), np.float64)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            here = ranges[row, column]
            if here == 0:
                continue
            around = ranges[row - 1, column - 1] + ranges[row - 1, column] + ranges[row - 1, column + 1]
            around += ranges[row, column - 1] + ranges[row, column + 1]
            around += ranges[row + 1, column - 1] + ranges[row + 1, column] + ranges[row + 1, column + 1]
            for place in range(3):
                if (here >> np.uint32(8 * place)) & np.uint32(1):
                    counts[place, (around >> np.uint32(8 * place)) & np.uint32(255)] += 1.0
    shares = np.full((3, COUNTS), np.nan)
    for place in range(3):
        pixels = in_order(counts[place])
        for number in range(COUNTS):
            if pixels > 0.0:
                shares[place, number] = counts[place, number] / pixels
    return shares
