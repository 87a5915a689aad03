"""Moments of a set of pixels, and spacing of points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def central_moments(positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the central moments of pixel positions up to order 3.

    Parameters
    ----------
    positions : ndarray, shape (2, n), int64
        Row and column.

    Returns
    -------
    ndarray, shape (4, 4), float64
        ``[p, q]`` is the sum of (row - mean)^p (column - mean)^q; 0 where p + q > 3.
    """
    count = positions.shape[1]
    mean_row, mean_column = positions[0].sum() / count, positions[1].sum() / count
    out = np.zeros((4, 4), np.float64)
    for index in range(count):
        down, right = positions[0, index] - mean_row, positions[1, index] - mean_column
        out[2, 0] += down * down
        out[1, 1] += down * right
        out[0, 2] += right * right
        out[3, 0] += down * down * down
        out[2, 1] += down * down * right
        out[1, 2] += down * right * right
        out[0, 3] += right * right * right
    out[0, 0] = count
    return out


@kernel
def centre_of_mass(values: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the intensity-weighted mean row and column of every channel, NaN where it is black.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64

    Returns
    -------
    ndarray, shape (channels, 2), float64
    """
    channels, count = values.shape
    out = np.full((channels, 2), np.nan)
    for channel in range(channels):
        total, down, right = 0.0, 0.0, 0.0
        for index in range(count):
            value = values[channel, index]
            total += value
            down += value * positions[0, index]
            right += value * positions[1, index]
        if total > 0.0:
            out[channel, 0] = down / total
            out[channel, 1] = right / total
    return out


@kernel
def mean_spacing(points: NDArray[Any]) -> float:
    """Return the mean distance from every point to its nearest other one, NaN for less than two.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
    """
    count = len(points)
    if count < 2:
        return np.nan
    total = 0.0
    for one in range(count):
        nearest = np.inf
        for other in range(count):
            if other != one:
                down, right = points[one, 0] - points[other, 0], points[one, 1] - points[other, 1]
                nearest = min(nearest, float(down * down + right * right))
        total += np.sqrt(nearest)
    return total / count
