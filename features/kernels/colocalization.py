"""Colocalization of every pair of channels, from one list of pixels."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

NUMBERS = 15
(
    PEARSON,
    SLOPE,
    SPEARMAN,
    QUOTIENT,
    MANDERS_1,
    MANDERS_2,
    COSTES_1,
    COSTES_2,
    COSTES_THRESHOLD_1,
    COSTES_THRESHOLD_2,
    OVERLAP,
    K_1,
    K_2,
    WEIGHTED_1,
    WEIGHTED_2,
) = range(NUMBERS)


@kernel
def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return Pearson's correlation and the sums of squares of x and y about their means; NaN if either is flat."""
    count = len(x)
    mean_x, mean_y = x.sum() / count, y.sum() / count
    xx, yy, xy = 0.0, 0.0, 0.0
    for index in range(count):
        a, b = x[index] - mean_x, y[index] - mean_y
        xx += a * a
        yy += b * b
        xy += a * b
    flat = x.min() == x.max() or y.min() == y.max()
    if flat:
        return np.nan, xx, yy
    return max(-1.0, min(1.0, xy / np.sqrt(xx * yy))), xx, yy


@kernel
def costes_thresholds(x: NDArray[np.float64], y: NDArray[np.float64], step: float) -> tuple[float, float]:
    """Find Costes' thresholds by going down the orthogonal regression line in steps.

    A pixel lies below a pair of thresholds if either channel does. Every pixel is sorted into the first step of
    thresholds that it lies below; sums over steps then give the correlation below each of them,
    from one pass over the pixels.

    Parameters
    ----------
    x, y : ndarray, shape (n,), float64
    step : float
        Distance between tried thresholds of x.

    Returns
    -------
    tuple of float
        Thresholds of x and y: the largest tried ones below which the correlation is not positive; NaN where
        the regression line does not rise.
    """
    count = len(x)
    r, xx, yy = correlation(x, y)
    if not r > 0.0:
        return np.nan, np.nan
    mean_x, mean_y = x.sum() / count, y.sum() / count
    xy = r * np.sqrt(xx * yy)
    slope = (yy - xx + np.sqrt((yy - xx) ** 2 + 4.0 * xy * xy)) / (2.0 * xy)
    offset = mean_y - slope * mean_x
    steps = int(np.floor(x.max() / step + 1e-6)) + 1
    sums = np.zeros((steps + 1, 6))
    for index in range(count):
        a, b = x[index] - mean_x, y[index] - mean_y
        lowest = min(x[index], (y[index] - offset) / slope)
        bin_ = max(0, min(steps, int(np.floor(lowest / step + 1e-6)) + 1))
        sums[bin_, 0] += 1.0
        sums[bin_, 1] += a
        sums[bin_, 2] += b
        sums[bin_, 3] += a * a
        sums[bin_, 4] += b * b
        sums[bin_, 5] += a * b
    for number in range(1, steps + 1):
        sums[number] += sums[number - 1]
    for number in range(steps, 0, -1):
        n, a, b, aa, bb, ab = sums[number]
        if n < 2.0 or ab * n - a * b <= 1e-12 * np.sqrt(aa * bb) * n:
            return number * step, slope * number * step + offset
    return 0.0, offset


@kernel
def _above(x: NDArray[np.float64], y: NDArray[np.float64], low_x: float, low_y: float) -> tuple[float, float]:
    """Return the shares of x and of y, above their thresholds, that lie where both are above; Manders' M1 and M2."""
    both_x, both_y, all_x, all_y = 0.0, 0.0, 0.0, 0.0
    for index in range(len(x)):
        a, b = x[index], y[index]
        if a >= low_x:
            all_x += a
        if b >= low_y:
            all_y += b
        if a >= low_x and b >= low_y:
            both_x += a
            both_y += b
    return (both_x / all_x if all_x > 0.0 else np.nan), (both_y / all_y if all_y > 0.0 else np.nan)


@kernel
def _quotient(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Li's intensity correlation quotient: share of pixels where both deviate alike, minus 1/2."""
    mean_x, mean_y = x.sum() / len(x), y.sum() / len(y)
    alike = 0
    for index in range(len(x)):
        if (x[index] - mean_x) * (y[index] - mean_y) > 0.0:
            alike += 1
    return alike / len(x) - 0.5


@kernel
def _thresholded(
    out: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    rank_x: NDArray[np.int64],
    rank_y: NDArray[np.int64],
    fraction: float,
) -> None:
    """Fill in what counts pixels above a fixed fraction of both maxima: Manders, overlap, rank-weighted."""
    low_x, low_y = fraction * x.max(), fraction * y.max()
    if x.max() <= 0.0 or y.max() <= 0.0:
        return
    ranks = max(rank_x.max(), rank_y.max()) + 1
    all_x, all_y, both_x, both_y, weighted_x, weighted_y = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    xx, yy, xy = 0.0, 0.0, 0.0
    for index in range(len(x)):
        a, b = x[index], y[index]
        if a >= low_x:
            all_x += a
        if b >= low_y:
            all_y += b
        if a >= low_x and b >= low_y:
            weight = (ranks - abs(rank_x[index] - rank_y[index])) / ranks
            both_x += a
            both_y += b
            weighted_x += a * weight
            weighted_y += b * weight
            xx += a * a
            yy += b * b
            xy += a * b
    out[MANDERS_1], out[MANDERS_2] = both_x / all_x, both_y / all_y
    out[WEIGHTED_1], out[WEIGHTED_2] = weighted_x / all_x, weighted_y / all_y
    if xx > 0.0 and yy > 0.0:
        out[OVERLAP], out[K_1], out[K_2] = xy / np.sqrt(xx * yy), xy / xx, xy / yy


@kernel
def colocalize(
    values: NDArray[np.float64],
    averaged: NDArray[np.float64],
    dense: NDArray[np.int64],
    fraction: float,
    steps: int,
) -> NDArray[np.float64]:
    """Measure every pair of channels.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    averaged, dense : ndarray, shape (channels, n)
        Ranks with ties averaged, and dense.
    fraction : float
        Fixed threshold over the channel's maximum.
    steps : int
        Number of thresholds tried by Costes' method up to the first channel's maximum.

    Returns
    -------
    ndarray, shape (pairs, 15), float64
        Pairs in the order of `itertools.combinations`.
    """
    channels = len(values)
    out = np.full((channels * (channels - 1) // 2, NUMBERS), np.nan)
    pair = 0
    for first in range(channels):
        for second in range(first + 1, channels):
            x, y = values[first], values[second]
            row = out[pair]
            pair += 1
            r, xx, yy = correlation(x, y)
            row[PEARSON] = r
            row[SPEARMAN] = correlation(averaged[first], averaged[second])[0]
            _thresholded(row, x, y, dense[first], dense[second], fraction)
            if np.isnan(r):
                continue
            row[SLOPE] = r * np.sqrt(yy / xx)
            row[QUOTIENT] = _quotient(x, y)
            low_x, low_y = costes_thresholds(x, y, x.max() / steps)
            if not np.isnan(low_x):
                row[COSTES_1], row[COSTES_2] = _above(x, y, low_x, low_y)
                row[COSTES_THRESHOLD_1], row[COSTES_THRESHOLD_2] = low_x / x.max(), low_y / y.max()
    return out
