"""Joint histograms of grey levels: dependence of two channels beyond correlation."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.lanes import in_order


@kernel
def joint_histogram(one: NDArray[np.uint8], other: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Count pairs of levels of two planes, shape (size, size); level 0 is outside and left out."""
    counts = np.zeros((size, size), np.float64)
    for row in range(one.shape[0]):
        first, second = one[row], other[row]
        for column in range(len(first)):
            if first[column] > 0:
                counts[first[column] - 1, second[column] - 1] += 1.0
    return counts


@kernel
def _margins(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Sum a joint histogram over columns, over rows, and over both."""
    size = len(counts)
    rows, columns, total = np.zeros(size), np.zeros(size), 0.0
    for row in range(size):
        for column in range(size):
            rows[row] += counts[row, column]
            columns[column] += counts[row, column]
        total += rows[row]
    return rows, columns, total


@kernel
def _entropy_bits(counts: NDArray[np.float64], total: float) -> float:
    """Return the entropy in bits of counts that sum up to `total`."""
    amount = 0.0
    for count in counts:
        if count > 0.0:
            amount -= count / total * np.log2(count / total)
    return amount


@kernel
def mutual_information(counts: NDArray[np.float64]) -> float:
    """Return twice the mutual information over the sum of both entropies; NaN where both are 0."""
    rows, columns, total = _margins(counts)
    both = _entropy_bits(rows, total) + _entropy_bits(columns, total)
    if both <= 0.0:
        return np.nan
    return 2.0 * (both - _entropy_bits(counts.ravel(), total)) / both


@kernel
def _pairs(counts: NDArray[np.float64]) -> float:
    """Return the number of pairs of equal ones among counts."""
    amount = 0.0
    for count in counts:
        amount += 0.5 * count * (count - 1.0)
    return amount


@kernel
def kendall(counts: NDArray[np.float64]) -> float:
    """Return Kendall's tau-b of a joint histogram; NaN where either margin has one level only."""
    size = len(counts)
    concordant, discordant = 0.0, 0.0
    below = np.zeros(size)
    for row in range(size):
        left, right = 0.0, in_order(below)
        for column in range(size):
            right -= below[column]
            concordant += counts[row, column] * left
            discordant += counts[row, column] * right
            left += below[column]
        for column in range(size):
            below[column] += counts[row, column]
    rows, columns, total = _margins(counts)
    pairs = 0.5 * total * (total - 1.0)
    scale = (pairs - _pairs(rows)) * (pairs - _pairs(columns))
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
