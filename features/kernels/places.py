"""On which side of a point a channel lies."""

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
    out = np.full((channels, 2), np.nan)
    for channel in range(channels):
        total, down, right = 0.0, 0.0, 0.0
        for index in range(count):
            y, x = positions[0, index] - row, positions[1, index] - column
            length = np.hypot(y, x)
            value = values[channel, index]
            total += value
            if length > 0.0:
                down += value * y / length
                right += value * x / length
        if total > 0.0:
            out[channel, 0], out[channel, 1] = down / total, right / total
    return out
