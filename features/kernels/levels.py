"""Grey levels and ranks of the pixels of a region."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def quantise(pixels: NDArray[np.float32], mask: NDArray[np.bool_], levels: int) -> NDArray[np.uint8]:
    """Divide each channel's range inside `mask` into `levels` equal bins, numbered from 1; 0 outside.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
    levels : int
        At most 255.

    Returns
    -------
    ndarray, shape (channels, height, width), uint8
    """
    channels, height, width = pixels.shape
    out = np.zeros((channels, height, width), np.uint8)
    for channel in range(channels):
        low, high = np.inf, -np.inf
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    low = min(low, float(pixels[channel, row, column]))
                    high = max(high, float(pixels[channel, row, column]))
        scale = levels / (high - low) if high > low else 0.0
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    level = int((float(pixels[channel, row, column]) - low) * scale)
                    out[channel, row, column] = min(level, levels - 1) + 1
    return out


@kernel
def dense_ranks(
    values: NDArray[np.float64], order: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rank every row: ties averaged, and dense (equal values share a rank, the next one is one more).

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    order : ndarray, shape (channels, n), int64
        Indices that sort each row.

    Returns
    -------
    averaged : ndarray, shape (channels, n), float64
    dense : ndarray, shape (channels, n), int64
        Both from 0.
    """
    channels, count = values.shape
    averaged = np.empty((channels, count), np.float64)
    dense = np.empty((channels, count), np.int64)
    for channel in range(channels):
        start, rank = 0, 0
        while start < count:
            value = values[channel, order[channel, start]]
            end = start
            while end < count and values[channel, order[channel, end]] == value:
                end += 1
            for position in range(start, end):
                averaged[channel, order[channel, position]] = 0.5 * (start + end - 1)
                dense[channel, order[channel, position]] = rank
            start = end
            rank += 1
    return averaged, dense
