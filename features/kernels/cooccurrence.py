"""Grey-level co-occurrence inside a mask, and Haralick's thirteen numbers of it."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.joint import entropy_bits

ANGLES = np.array([[0, 1], [1, 1], [1, 0], [1, -1]])
"""Steps (row, column) of the four directions: 0, 45, 90 and 135 degrees up to the axis' sign."""

HARALICK = 13


@kernel
def cooccurrence(levels: NDArray[np.uint8], down: int, right: int, size: int) -> NDArray[np.int32]:
    """Count symmetric pairs of grey levels a step apart, both inside the mask.

    Parameters
    ----------
    levels : ndarray, shape (height, width), uint8
        1 to `size`; 0 outside.
    down, right : int
        The step in pixels; `down` is not negative.

    Returns
    -------
    ndarray, shape (size + 1, size + 1), int32
        Indexed by level; row and column 0 are empty.
    """
    height, width = levels.shape
    counts = np.zeros((size + 1, size + 1), np.int32)
    start, end = max(0, -right), min(width, width - right)
    for row in range(height - down):
        for column in range(start, end):
            counts[levels[row, column], levels[row + down, column + right]] += 1
    counts[0, :] = 0
    counts[:, 0] = 0
    return counts + counts.T


@kernel
def haralick(counts: NDArray[np.int32]) -> NDArray[np.float64]:
    """Compute Haralick's first thirteen features of a symmetric co-occurrence matrix, shape (13,).

    In the order of mahotas: angular second moment, contrast, correlation, sum of squares, inverse
    difference moment, sum average, sum variance, sum entropy, entropy, difference variance,
    difference entropy, information measures of correlation 1 and 2. NaN throughout without pairs,
    and for correlation and both information measures where all pairs are of one level.
    """
    size = len(counts)
    total = counts.sum()
    out = np.full(HARALICK, np.nan)
    if total == 0:
        return out
    marginal = np.zeros(size)
    sums = np.zeros(2 * size)
    gaps = np.zeros(size)
    second, entropy, product = 0.0, 0.0, 0.0
    for a in range(1, size):
        for b in range(1, a + 1):
            if counts[a, b] == 0:
                continue
            one = counts[a, b] / total
            both = one if a == b else 2.0 * one
            marginal[a] += one
            if a != b:
                marginal[b] += one
            sums[a + b] += both
            gaps[a - b] += both
            second += both * one
            entropy -= both * np.log2(one)
            product += both * a * b
    _summarise(out, marginal, sums, gaps)
    out[0] = second
    out[8] = entropy
    variance, single = out[3], entropy_bits(marginal)
    if single > 0.0:
        out[2] = (product - (0.5 * out[5]) ** 2) / variance
        out[11] = (entropy - 2.0 * single) / single
        out[12] = np.sqrt(max(0.0, 1.0 - np.exp(-2.0 * (2.0 * single - entropy))))
    return out


@kernel
def _summarise(
    out: NDArray[np.float64],
    marginal: NDArray[np.float64],
    sums: NDArray[np.float64],
    gaps: NDArray[np.float64],
) -> None:
    """Fill in what depends only on the distributions of one level, of sums and of differences."""
    mean, square, homogeneity, contrast, gap_mean = 0.0, 0.0, 0.0, 0.0, 0.0
    for level in range(len(marginal)):
        mean += level * marginal[level]
        gap_mean += level * gaps[level]
        contrast += level * level * gaps[level]
        homogeneity += gaps[level] / (1.0 + level * level)
    for level in range(len(marginal)):
        square += (level - mean) ** 2 * marginal[level]
    sum_variance, gap_variance = 0.0, 0.0
    for level in range(len(sums)):
        sum_variance += (level - 2.0 * mean) ** 2 * sums[level]
    for level in range(len(gaps)):
        gap_variance += (level - gap_mean) ** 2 * gaps[level]
    out[1], out[3], out[4], out[5] = contrast, square, homogeneity, 2.0 * mean
    out[6], out[7] = sum_variance, entropy_bits(sums)
    out[9], out[10] = gap_variance, entropy_bits(gaps)


@kernel
def haralick_of_planes(
    levels: NDArray[np.uint8], distances: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Average Haralick's features, and take their range, over the four directions.

    Parameters
    ----------
    levels : ndarray, shape (channels, height, width), uint8
        1 to `size`; 0 outside.
    distances : ndarray, shape (d,), int64
        Steps in pixels.

    Returns
    -------
    ndarray, shape (channels, d, 2, 13), float64
        Mean and range over the directions in which a value is defined.
    """
    channels = len(levels)
    out = np.full((channels, len(distances), 2, HARALICK), np.nan)
    for channel in range(channels):
        for place in range(len(distances)):
            step = distances[place]
            low = np.full(HARALICK, np.inf)
            high = np.full(HARALICK, -np.inf)
            total = np.zeros(HARALICK)
            defined = np.zeros(HARALICK)
            for angle in range(len(ANGLES)):
                down, right = ANGLES[angle, 0] * step, ANGLES[angle, 1] * step
                if down >= levels.shape[1] or abs(right) >= levels.shape[2]:
                    continue
                numbers = haralick(cooccurrence(levels[channel], down, right, size))
                for index in range(HARALICK):
                    if not np.isnan(numbers[index]):
                        total[index] += numbers[index]
                        defined[index] += 1.0
                        low[index] = min(low[index], numbers[index])
                        high[index] = max(high[index], numbers[index])
            for index in range(HARALICK):
                if defined[index] > 0.0:
                    out[channel, place, 0, index] = total[index] / defined[index]
                    out[channel, place, 1, index] = high[index] - low[index]
    return out
