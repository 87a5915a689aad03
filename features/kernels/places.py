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
def around(
    values: NDArray[np.float64], positions: NDArray[np.int64], centre: NDArray[np.int64], near: float
) -> tuple[float, float, float]:
    """Describe how pixels lie around one of them.

    Parameters
    ----------
    values : ndarray, shape (n,), float64
        Intensities, of which one is more than 0.
    positions : ndarray, shape (2, n), int64
    centre : ndarray, shape (2,), int64
    near : float

    Returns
    -------
    mean, weighted, close : float
        The mean distance from the centre, the one weighted by intensity, and the mean intensity of the
        pixels that are not farther than `near`.
    """
    count, total, far, weighted, close, amount = len(values), 0.0, 0.0, 0.0, 0, 0.0
    for index in range(count):
        down, right = positions[0, index] - centre[0], positions[1, index] - centre[1]
        distance, value = np.sqrt(float(down * down + right * right)), values[index]
        total += value
        far += distance
        weighted += distance * value
        if distance <= near:
            close += 1
            amount += value
    return far / count, weighted / total, amount / close
