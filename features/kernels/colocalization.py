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


FLAT = 1e-12
"""Relative rounding below which a correlation counts as zero."""


@kernel
def centred(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Subtract each row's mean; return that, and each row's sum of squares, exactly 0 where it is flat."""
    rows, count = values.shape
    out = np.empty((rows, count), np.float64)
    squares = np.zeros(rows, np.float64)
    for row in range(rows):
        mean = values[row].sum() / count
        flat = True
        for index in range(count):
            out[row, index] = values[row, index] - mean
            squares[row] += out[row, index] ** 2
            flat = flat and values[row, index] == values[row, 0]
        if flat:
            squares[row] = 0.0
    return out, squares


@kernel
def costes_thresholds(
    x: NDArray[np.float64], y: NDArray[np.float64], slope: float, offset: float, step: float
) -> tuple[float, float]:
    """Find Costes' thresholds by going down a rising line y = offset + slope x in steps.

    A pixel lies below a pair of thresholds if either channel does. Every pixel is sorted into the
    first step of thresholds that it lies below; sums over steps then give the correlation below each
    of them, from one pass over the pixels.

    Parameters
    ----------
    x, y : ndarray, shape (n,), float64
    slope, offset : float
        Of the orthogonal regression line.
    step : float
        Distance between tried thresholds of x, up to the first one above its maximum.

    Returns
    -------
    tuple of float
        Thresholds of x and y: the largest tried ones below which the correlation is not positive.
    """
    steps = int(np.floor(x.max() / step + 1e-6)) + 1
    sums = np.zeros((steps + 1, 6))
    per_step, y_to_x = 1.0 / step, 1.0 / slope
    for index in range(len(x)):
        a, b = x[index], y[index]
        lowest = min(a, (b - offset) * y_to_x)
        place = sums[max(0, min(steps, int(np.floor(lowest * per_step + 1e-6)) + 1))]
        place[0] += 1.0
        place[1] += a
        place[2] += b
        place[3] += a * a
        place[4] += b * b
        place[5] += a * b
    for number in range(1, steps + 1):
        sums[number] += sums[number - 1]
    for number in range(steps, 0, -1):
        n, a, b, aa, bb, ab = sums[number]
        if n < 2.0 or ab * n - a * b <= FLAT * n * np.sqrt(aa * bb):
            return number * step, offset + slope * number * step
    return 0.0, offset


@kernel
def manders(
    x: NDArray[np.float64], y: NDArray[np.float64], low_x: float, low_y: float
) -> tuple[float, float]:
    """Return Manders' M1 and M2: the shares of x and y above their thresholds where both are above."""
    both_x, both_y, all_x, all_y = 0.0, 0.0, 0.0, 0.0
    for index in range(len(x)):
        a = x[index] if x[index] >= low_x else 0.0
        b = y[index] if y[index] >= low_y else 0.0
        all_x += a
        all_y += b
        both_x += a if y[index] >= low_y else 0.0
        both_y += b if x[index] >= low_x else 0.0
    return (both_x / all_x if all_x > 0.0 else np.nan), (both_y / all_y if all_y > 0.0 else np.nan)


@kernel
def _thresholded(
    out: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    rank_x: NDArray[np.int64],
    rank_y: NDArray[np.int64],
    lows: tuple[float, float],
) -> None:
    """Fill in what counts pixels above fixed thresholds: Manders, overlap, rank-weighted.

    The ranks are dense.
    """
    low_x, low_y = lows
    per_rank = 1.0 / (max(rank_x.max(), rank_y.max()) + 1)
    all_x, all_y, both_x, both_y, weighted_x, weighted_y = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    xx, yy, xy = 0.0, 0.0, 0.0
    for index in range(len(x)):
        high_x, high_y = x[index] >= low_x, y[index] >= low_y
        all_x += x[index] if high_x else 0.0
        all_y += y[index] if high_y else 0.0
        both = high_x and high_y
        a, b = (x[index] if both else 0.0), (y[index] if both else 0.0)
        both_x += a
        both_y += b
        weight = 1.0 - abs(rank_x[index] - rank_y[index]) * per_rank
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
def _products(
    x: NDArray[np.float64], y: NDArray[np.float64], rank_x: NDArray[np.float64], rank_y: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Sum the products of centred intensities and ranks; give the share of pixels that deviate alike."""
    product, rank_product, alike = 0.0, 0.0, 0
    for index in range(len(x)):
        both = x[index] * y[index]
        product += both
        rank_product += rank_x[index] * rank_y[index]
        alike += 1 if both > 0.0 else 0
    return product, rank_product, alike / len(x)


@kernel
def _costes(
    out: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    moments: tuple[float, float, float],
    steps: int,
) -> None:
    """Fill in Costes' thresholds and Manders' numbers above them, for channels that correlate."""
    xx, yy, xy = moments
    slope = (yy - xx + np.sqrt((yy - xx) ** 2 + 4.0 * xy * xy)) / (2.0 * xy)
    offset = y.sum() / len(y) - slope * (x.sum() / len(x))
    low_x, low_y = costes_thresholds(x, y, slope, offset, x.max() / steps)
    out[COSTES_1], out[COSTES_2] = manders(x, y, low_x, low_y)
    out[COSTES_THRESHOLD_1], out[COSTES_THRESHOLD_2] = low_x / x.max(), low_y / y.max()


@kernel
def _pair(
    out: NDArray[np.float64],
    sums: tuple[float, float, float],
    ranks: tuple[float, float, float],
    alike: float,
) -> None:
    """Fill in correlations from sums of squares of both channels and of products, and the quotient."""
    xx, yy, xy = sums
    rank_xx, rank_yy, rank_xy = ranks
    r = max(-1.0, min(1.0, xy / np.sqrt(xx * yy)))
    out[PEARSON] = r if abs(r) > FLAT else 0.0
    out[SPEARMAN] = max(-1.0, min(1.0, rank_xy / np.sqrt(rank_xx * rank_yy)))
    out[SLOPE] = xy / xx
    out[QUOTIENT] = alike - 0.5


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
        Number of thresholds tried by Costes' method up to the first channel's maximum; 0 leaves it out.

    Returns
    -------
    ndarray, shape (pairs, 15), float64
        Pairs in the order of `itertools.combinations`.
    """
    channels = len(values)
    out = np.full((channels * (channels - 1) // 2, NUMBERS), np.nan)
    deviations, squares = centred(values)
    rank_deviations, rank_squares = centred(averaged)
    highest = np.array([row.max() for row in values])
    pair = 0
    for one in range(channels):
        for two in range(one + 1, channels):
            x, y, row = values[one], values[two], out[pair]
            pair += 1
            if highest[one] > 0.0 and highest[two] > 0.0:
                lows = (fraction * highest[one], fraction * highest[two])
                _thresholded(row, x, y, dense[one], dense[two], lows)
            if squares[one] <= 0.0 or squares[two] <= 0.0:
                continue
            xy, rank_xy, alike = _products(
                deviations[one], deviations[two], rank_deviations[one], rank_deviations[two]
            )
            sums = (squares[one], squares[two], xy)
            _pair(row, sums, (rank_squares[one], rank_squares[two], rank_xy), alike)
            if steps > 0 and row[PEARSON] > 0.0:
                _costes(row, x, y, sums, steps)
    return out
