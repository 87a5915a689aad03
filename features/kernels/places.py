"""Where channels lie, seen from a point."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def pull(
    values: NDArray[np.float64], positions: NDArray[np.int64], row: float, column: float
) -> NDArray[np.float64]:
    """Average the directions from a point to every pixel, weighted by intensity.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64
    row, column : float
        The point.

    Returns
    -------
    ndarray, shape (channels, 2), float64
        Of unit vectors, so at most 1 long; NaN where a channel is black.
    """
    channels, count = values.shape
    down, right = np.empty(count, np.float64), np.empty(count, np.float64)
    for index in range(count):
        y, x = positions[0, index] - row, positions[1, index] - column
        length = np.sqrt(y * y + x * x)
        down[index] = y / length if length > 0.0 else 0.0
        right[index] = x / length if length > 0.0 else 0.0
    out = np.full((channels, 2), np.nan)
    for channel in range(channels):
        total, vertical, horizontal = 0.0, 0.0, 0.0
        for index in range(count):
            value = values[channel, index]
            total += value
            vertical += value * down[index]
            horizontal += value * right[index]
        if total > 0.0:
            out[channel, 0], out[channel, 1] = vertical / total, horizontal / total
    return out


@kernel
def brightest(plane: NDArray[np.float32], positions: NDArray[np.int64]) -> int:
    """Return which of some pixels, shape (2, n), is the brightest of a plane: the first one."""
    best = 0
    for index in range(1, positions.shape[1]):
        value = plane[positions[0, index], positions[1, index]]
        if value > plane[positions[0, best], positions[1, best]]:
            best = index
    return best


@kernel
def mean_distances(
    values: NDArray[np.float64], positions: NDArray[np.int64], centre: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the mean distance of pixels from one of them, plain and weighted by intensity.

    Parameters
    ----------
    values : ndarray, shape (n,), float64
        Intensities, of which one is more than 0.
    positions : ndarray, shape (2, n), int64
    centre : ndarray, shape (2,), int64
    """
    total, far, weighted = 0.0, 0.0, 0.0
    for index in range(len(values)):
        distance = _distance(positions, index, centre)
        total += values[index]
        far += distance
        weighted += distance * values[index]
    return far / len(values), weighted / total


@kernel
def mean_within(
    near: float, values: NDArray[np.float64], positions: NDArray[np.int64], centre: NDArray[np.int64]
) -> float:
    """Return the mean intensity of pixels not farther than `near` from one; else as `mean_distances`."""
    count, amount = 0, 0.0
    for index in range(len(values)):
        if _distance(positions, index, centre) <= near:
            count += 1
            amount += values[index]
    return amount / count


@kernel
def _distance(positions: NDArray[np.int64], index: int, centre: NDArray[np.int64]) -> float:
    down, right = positions[0, index] - centre[0], positions[1, index] - centre[1]
    return float(np.sqrt(float(down * down + right * right)))
