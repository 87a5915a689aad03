"""Moments and robust spread of the intensities of a region."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


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
        total, low, high = 0.0, np.inf, -np.inf
        for value in values[channel]:
            total += value
            low = min(low, value)
            high = max(high, value)
        mean = total / count
        second, third, fourth = 0.0, 0.0, 0.0
        for value in values[channel]:
            gap = value - mean
            square = gap * gap
            second += square
            third += square * gap
            fourth += square * square
        second, third, fourth = second / count, third / count, fourth / count
        out[channel, 0] = total
        out[channel, 1] = mean if high > low else low
        out[channel, 2] = np.sqrt(second) if high > low else 0.0
        out[channel, 3] = third / second**1.5 if high > low else np.nan
        out[channel, 4] = fourth / second**2 - 3.0 if high > low else np.nan
    return out


@kernel
def median_deviation(ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median absolute deviation from the median of every row of sorted values.

    Deviations grow to both sides of the median, so their middle is found by walking outwards.

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
        right = count // 2
        left = right - 1
        lower, upper = 0.0, 0.0
        for _ in range(count // 2 + 1):
            below = median - row[left] if left >= 0 else np.inf
            above = row[right] - median if right < count else np.inf
            lower, upper = upper, min(below, above)
            if below < above:
                left -= 1
            else:
                right += 1
        out[channel] = upper if count % 2 == 1 else 0.5 * (lower + upper)
    return out


@kernel
def level_entropy(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the entropy in bits of every plane's histogram of grey levels; level 0 is outside.

    Parameters
    ----------
    levels : ndarray, shape (channels, height, width), uint8
        At least one pixel of every plane is not 0.

    Returns
    -------
    ndarray, shape (channels,), float64
    """
    channels, height, width = levels.shape
    out = np.zeros(channels, np.float64)
    for channel in range(channels):
        counts = np.zeros(256, np.int64)
        for row in range(height):
            for column in range(width):
                counts[levels[channel, row, column]] += 1
        total = counts[1:].sum()
        for count in counts[1:]:
            if count > 0:
                out[channel] -= count / total * np.log2(count / total)
    return out
