"""Joint histograms of grey levels: dependence of two channels beyond correlation."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def joint_histogram(one: NDArray[np.uint8], other: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Count pairs of levels of two planes, shape (size, size); level 0 is outside and left out."""
    counts = np.zeros((size + 1, size + 1), np.float64)
    height, width = one.shape
    for row in range(height):
        for column in range(width):
            counts[one[row, column], other[row, column]] += 1.0
    return counts[1:, 1:]


@kernel
def entropy_bits(shares: NDArray[np.float64]) -> float:
    """Return the entropy in bits of a distribution."""
    total = 0.0
    for share in shares:
        if share > 0.0:
            total -= share * np.log2(share)
    return total


@kernel
def mutual_information(counts: NDArray[np.float64]) -> float:
    """Return twice the mutual information over the sum of both entropies; NaN where both are 0."""
    shares = counts / counts.sum()
    first, second = entropy_bits(shares.sum(axis=1)), entropy_bits(shares.sum(axis=0))
    if first + second <= 0.0:
        return np.nan
    return 2.0 * (first + second - entropy_bits(shares.ravel())) / (first + second)


@kernel
def kendall(counts: NDArray[np.float64]) -> float:
    """Return Kendall's tau-b of a joint histogram; NaN where either margin has one level only."""
    size = len(counts)
    concordant, discordant = 0.0, 0.0
    below = np.zeros(size)
    for row in range(size):
        left = 0.0
        right = below.sum()
        for column in range(size):
            right -= below[column]
            concordant += counts[row, column] * left
            discordant += counts[row, column] * right
            left += below[column]
        below += counts[row]
    total = counts.sum()
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    pairs = total * (total - 1.0) / 2.0
    tied_rows, tied_columns = (rows * (rows - 1.0)).sum() / 2.0, (columns * (columns - 1.0)).sum() / 2.0
    scale = (pairs - tied_rows) * (pairs - tied_columns)
    return (concordant - discordant) / np.sqrt(scale) if scale > 0.0 else np.nan


@kernel
def dependences(levels: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Measure Kendall's tau-b and the mutual information of every pair of channels.

    Parameters
    ----------
    levels : ndarray, shape (channels, height, width), uint8
        1 to `size`; 0 outside, in all channels alike.
    size : int

    Returns
    -------
    ndarray, shape (pairs, 2), float64
    """
    channels = len(levels)
    out = np.empty((channels * (channels - 1) // 2, 2), np.float64)
    pair = 0
    for first in range(channels):
        for second in range(first + 1, channels):
            counts = joint_histogram(levels[first], levels[second], size)
            out[pair, 0], out[pair, 1] = kendall(counts), mutual_information(counts)
            pair += 1
    return out
