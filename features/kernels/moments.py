"""Moments and robust spread of the intensities of a region."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.lanes import LANES, in_order, total


@kernel
def moments(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sum, mean, standard deviation, skewness and excess kurtosis of every row.

    The standard deviation is the population's; skewness and kurtosis are NaN for a flat row.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64, n >= 1

    Returns
    -------
    ndarray, shape (channels, 5), float64
    """
    channels, count = values.shape
    out = np.empty((channels, 5), np.float64)
    for channel in range(channels):
        row = values[channel]
        amount, flat = total(row), True
        mean = amount / count
        for value in row:
            flat = flat and value == row[0]
        if flat:
            out[channel] = amount, row[0], 0.0, np.nan, np.nan
            continue
        second, third, fourth = _powers_of_gaps(row, mean)
        second, third, fourth = second / count, third / count, fourth / count
        out[channel, :3] = amount, mean, np.sqrt(second)
        out[channel, 3:] = third / second**1.5, fourth / second**2 - 3.0
    return out


@kernel
def _powers_of_gaps(row: NDArray[np.float64], mean: float) -> tuple[float, float, float]:
    """Sum the second, third and fourth powers of differences to the mean."""
    lanes = np.zeros((3, LANES), np.float64)
    squares, cubes, fourths = lanes[0], lanes[1], lanes[2]
    for start in range(0, len(row), LANES):
        part = row[start : start + LANES]
        for lane in range(len(part)):
            gap = part[lane] - mean
            square = gap * gap
            squares[lane] += square
            cubes[lane] += square * gap
            fourths[lane] += square * square
    return in_order(squares), in_order(cubes), in_order(fourths)


@kernel
def median_deviation(ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median absolute deviation from the median of every row of sorted values.

    Deviations grow to both sides of the median, so their middle is found by halving: how many of the
    smaller half lie on the left?

    Parameters
    ----------
    ascending : ndarray, shape (channels, n), float64, n >= 1

    Returns
    -------
    ndarray, shape (channels,), float64
    """
    channels, count = ascending.shape
    out = np.empty(channels, np.float64)
    for channel in range(channels):
        row = ascending[channel]
        median = 0.5 * (row[(count - 1) // 2] + row[count // 2])
        middle, smaller = count // 2, count // 2 + 1
        least, most = max(0, smaller - (count - middle)), middle
        while least < most:
            left = (least + most) // 2
            if median - row[middle - 1 - left] < row[middle + smaller - left - 1] - median:
                least = left + 1
            else:
                most = left
        left, right = least, smaller - least
        below = median - row[middle - left] if left > 0 else -1.0
        above = row[middle + right - 1] - median if right > 0 else -1.0
        out[channel] = max(below, above)
        if count % 2 == 0:
            if below > above:
                below = median - row[middle - left + 1] if left > 1 else -1.0
            else:
                above = row[middle + right - 2] - median if right > 1 else -1.0
            out[channel] = 0.5 * (max(below, above) + out[channel])
    return out


@kernel
def level_entropy(ascending: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    """Return the entropy in bits of every row's histogram of equal bins between its extremes.

    Parameters
    ----------
    ascending : ndarray, shape (channels, n), float64, n >= 1
        Sorted.
    levels : int
        Number of bins; the maximum is in the last.

    Returns
    -------
    ndarray, shape (channels,), float64
    """
    channels, count = ascending.shape
    out = np.zeros(channels, np.float64)
    for channel in range(channels):
        row = ascending[channel]
        low, high = row[0], row[count - 1]
        scale = levels / (high - low) if high > low else 0.0
        counts = np.zeros(levels, np.int64)
        for value in row:
            counts[min(int((value - low) * scale), levels - 1)] += 1
        for number in counts:
            if number > 0:
                out[channel] -= number / count * np.log2(number / count)
    return out
