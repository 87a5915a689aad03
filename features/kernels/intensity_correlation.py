"""Colocalization from pixel intensities: Pearson, Spearman, Li, Manders, Costes, of every pair of channels.

Pixels are taken in chunks that stay in the processor's cache while all pairs are summed up.
"""

import numpy as np

from features.jit import Floats, Ints, Ints32, kernel
from features.kernels.sums import PARTIALS, add_products, in_order, total, total_from

FLAT = 1e-12
"""Relative rounding below which a correlation counts as zero."""

NEAR = 1e-6
"""Share of a step by which an intensity may miss a threshold through rounding."""

NUMBERS = 15

PEARSON, SLOPE, SPEARMAN, QUOTIENT, MANDERS_1, MANDERS_2, COSTES_1, COSTES_2 = range(8)
COSTES_THRESHOLD_1, COSTES_THRESHOLD_2, OVERLAP, K_1, K_2, WEIGHTED_1, WEIGHTED_2 = range(8, NUMBERS)

CHUNK = 256
DEVIATION, RANK, BRIGHT, IS_BRIGHT, SQUARE, NUMBER = range(6)
"""What is kept of a chunk's pixels: intensity and rank less their means; the intensity where it is bright, 1
where it is, its square; and the dense rank."""

SUMS = 9

PRODUCT, RANK_PRODUCT, BOTH_1, BOTH_2, SQUARES_1, SQUARES_2, BRIGHT_PRODUCT, BY_RANK_1, BY_RANK_2 = range(
    SUMS
)
"""What is summed up of a pair: products of deviations; and, where both are bright, each intensity, each
square, their product, and each intensity weighted by how alike the ranks are."""


@kernel
def _load(chunk: Floats, values: Floats, dense: Ints32, mean: float, low: float) -> None:
    """Prepare all but the ranks of up to 256 pixels of a channel, shape (6, 256); 0 beyond the last."""
    count = len(values)
    chunk[:, count:] = 0.0
    deviation, number, bright = chunk[DEVIATION], chunk[NUMBER], chunk[BRIGHT]
    for index in range(count):
        deviation[index] = values[index] - mean
    for index in range(count):
        bright[index] = values[index] if values[index] >= low else 0.0
    for index in range(count):
        number[index] = dense[index]
    is_bright, square = chunk[IS_BRIGHT], chunk[SQUARE]
    for index in range(count):
        is_bright[index] = 1.0 if values[index] >= low else 0.0
    for index in range(count):
        square[index] = bright[index] * bright[index]


@kernel
def _add_pair(partials: Floats, one: Floats, two: Floats, per_rank: float, room: Floats) -> int:
    """Add a chunk's sums of a pair, shape (9, 64); return how many pixels deviate alike."""
    add_products(partials[PRODUCT], one[DEVIATION], two[DEVIATION])
    add_products(partials[RANK_PRODUCT], one[RANK], two[RANK])
    add_products(partials[BOTH_1], one[BRIGHT], two[IS_BRIGHT])
    add_products(partials[BOTH_2], two[BRIGHT], one[IS_BRIGHT])
    add_products(partials[SQUARES_1], one[SQUARE], two[IS_BRIGHT])
    add_products(partials[SQUARES_2], two[SQUARE], one[IS_BRIGHT])
    add_products(partials[BRIGHT_PRODUCT], one[BRIGHT], two[BRIGHT])
    number, other = one[NUMBER], two[NUMBER]
    first, second = one[IS_BRIGHT], two[IS_BRIGHT]
    for index in range(CHUNK):
        room[index] = (1.0 - abs(number[index] - other[index]) * per_rank) * first[index] * second[index]
    add_products(partials[BY_RANK_1], one[BRIGHT], room)
    add_products(partials[BY_RANK_2], two[BRIGHT], room)
    a, b, alike = one[DEVIATION], two[DEVIATION], 0
    for index in range(CHUNK):
        alike += 1 if a[index] * b[index] > 0.0 else 0
    return alike


@kernel
def _means_and_ranks(values: Floats, dense: Ints32) -> tuple[Floats, Ints]:
    """Return every channel's mean intensity and highest dense rank, shape (channels,) each."""
    channels, count = values.shape
    means, highest = np.empty(channels, np.float64), np.zeros(channels, np.int64)
    for channel in range(channels):
        means[channel] = total(values[channel]) / count
        for number in dense[channel]:
            highest[channel] = max(highest[channel], number)
    return means, highest


@kernel
def _of_partials(partials: Floats) -> Floats:
    """Sum up partial sums, shape (rows, sums, 64), to shape (rows, sums)."""
    rows, sums, _ = partials.shape
    out = np.empty((rows, sums), np.float64)
    for row in range(rows):
        for number in range(sums):
            out[row, number] = in_order(partials[row, number])
    return out


@kernel
def _sums(values: Floats, averaged: Floats, dense: Ints32, lows: Floats) -> tuple[Floats, Floats, Ints]:
    """Sum up what the numbers of all channels and pairs are made of; from `lows` on, intensity is bright.

    Returns of each channel the sums of squares of deviations of intensities and of ranks, and of intensity
    that is bright, shape (channels, 3); the nine sums of each pair; and how many of its pixels deviate alike.
    """
    channels, count = values.shape
    pairs = channels * (channels - 1) // 2
    partials, alike = np.zeros((pairs, SUMS, PARTIALS), np.float64), np.zeros(pairs, np.int64)
    own_partials = np.zeros((channels, 3, PARTIALS), np.float64)
    chunk, room = np.empty((channels, 6, CHUNK), np.float64), np.empty(CHUNK, np.float64)
    means, highest = _means_and_ranks(values, dense)
    for start in range(0, count, CHUNK):
        end = min(start + CHUNK, count)
        for one in range(channels):
            here = chunk[one]
            _load(here, values[one, start:end], dense[one, start:end], means[one], lows[one])
            for index in range(start, end):
                here[RANK, index - start] = averaged[one, index] - 0.5 * (count - 1)
            add_products(own_partials[one, 0], here[DEVIATION], here[DEVIATION])
            add_products(own_partials[one, 1], here[RANK], here[RANK])
            add_products(own_partials[one, 2], here[BRIGHT], here[IS_BRIGHT])
        pair = 0
        for one in range(channels):
            for two in range(one + 1, channels):
                per_rank = 1.0 / (max(highest[one], highest[two]) + 1)
                alike[pair] += _add_pair(partials[pair], chunk[one], chunk[two], per_rank, room)
                pair += 1
    return _of_partials(own_partials), _of_partials(partials), alike


@kernel
def _costes_numbers(
    out: Floats, x: Floats, y: Floats, moments: tuple[float, ...], highest: tuple[float, float], steps: int
) -> None:
    """Fill in Costes' thresholds and Manders' numbers above them, for channels that correlate."""
    xx, yy, xy = moments
    slope = (yy - xx + np.sqrt((yy - xx) ** 2 + 4.0 * xy * xy)) / (2.0 * xy)
    offset = total(y) / len(y) - slope * (total(x) / len(x))
    step = highest[0] / steps
    number, both_x, both_y = costes(x, y, (slope, offset), step, steps + 1)
    least = number - NEAR
    all_x = total_from(x, 1.0 / step, 0.0, least)
    all_y = total_from(y, 1.0 / (slope * step), -offset, least)
    if all_x > 0.0:
        out[COSTES_1] = both_x / all_x
    if all_y > 0.0:
        out[COSTES_2] = both_y / all_y
    out[COSTES_THRESHOLD_1] = number * step / highest[0]
    out[COSTES_THRESHOLD_2] = (offset + slope * number * step) / highest[1]


@kernel
def _bright_numbers(out: Floats, sums: Floats, all_x: float, all_y: float) -> None:
    """Fill in what counts pixels above fixed thresholds: Manders, overlap, rank-weighted."""
    out[MANDERS_1], out[MANDERS_2] = sums[BOTH_1] / all_x, sums[BOTH_2] / all_y
    out[WEIGHTED_1], out[WEIGHTED_2] = sums[BY_RANK_1] / all_x, sums[BY_RANK_2] / all_y
    xx, yy, xy = sums[SQUARES_1], sums[SQUARES_2], sums[BRIGHT_PRODUCT]
    if xx > 0.0 and yy > 0.0:
        out[OVERLAP], out[K_1], out[K_2] = xy / np.sqrt(xx * yy), xy / xx, xy / yy


@kernel
def colocalize(
    values: Floats, averaged: Floats, dense: Ints32, ascending: Floats, fraction: float, steps: int
) -> Floats:
    """Measure every pair of channels, shape (pairs, 15), in the order of `itertools.combinations`.

    Ranks have shape (channels, n), with ties `averaged` and `dense`. The fixed threshold is a `fraction` of
    the channel's maximum; Costes' method tries so many `steps` up to the first channel's, 0 leaves it out.
    """
    channels, count = values.shape
    out = np.full((channels * (channels - 1) // 2, NUMBERS), np.nan)
    highest, lows = np.empty(channels, np.float64), np.empty(channels, np.float64)
    for one in range(channels):
        highest[one] = ascending[one, count - 1]
        lows[one] = fraction * highest[one] if highest[one] > 0.0 else np.inf
    own, shared, alike = _sums(values, averaged, dense, lows)
    pair = -1
    for one in range(channels):
        for two in range(one + 1, channels):
            pair += 1
            row, sums = out[pair], shared[pair]
            if highest[one] > 0.0 and highest[two] > 0.0:
                _bright_numbers(row, sums, own[one, 2], own[two, 2])
            if ascending[one, 0] == highest[one] or ascending[two, 0] == highest[two]:
                continue
            moments = (own[one, 0], own[two, 0], sums[PRODUCT])
            r = max(-1.0, min(1.0, moments[2] / np.sqrt(moments[0] * moments[1])))
            row[PEARSON] = r if abs(r) > FLAT else 0.0
            spearman = sums[RANK_PRODUCT] / np.sqrt(own[one, 1] * own[two, 1])
            row[SPEARMAN] = max(-1.0, min(1.0, spearman))
            row[SLOPE] = moments[2] / moments[0]
            row[QUOTIENT] = alike[pair] / count - 0.5
            if steps > 0 and row[PEARSON] > 0.0:
                tops = (highest[one], highest[two])
                _costes_numbers(row, values[one], values[two], moments, tops, steps)
    return out


@kernel
def costes(
    x: Floats, y: Floats, line: tuple[float, float], step: float, steps: int
) -> tuple[int, float, float]:
    """Find Costes' thresholds by going down a rising line y = offset + slope x in steps.

    A pixel lies below a pair of thresholds if either channel does. Every pixel is sorted into the
    first step of thresholds that it lies below; sums over steps then give the correlation below each
    of them, from one pass over the pixels.

    `line` is slope and offset of the orthogonal regression line, `step` the distance between tried thresholds
    of x, `steps` the number of the first one that lies above its maximum. Returns the number of the largest
    tried threshold below which the correlation is not positive, 0 where there is none, and the sums of x and
    y over the pixels that lie above both thresholds.
    """
    slope, offset = line
    sums = np.zeros((steps + 1, 4), np.float64)
    bins = np.empty(CHUNK, np.int32)
    per_step, y_to_x = 1.0 / step, 1.0 / slope
    for start in range(0, len(x), CHUNK):
        one, other = x[start : start + CHUNK], y[start : start + CHUNK]
        for index in range(len(one)):
            lowest = min(one[index], (other[index] - offset) * y_to_x)
            threshold = np.floor(lowest * per_step + NEAR) + 1.0
            bins[index] = np.int32(max(0.0, min(float(steps), threshold)))
        for index in range(len(one)):
            entry = sums[bins[index]]
            entry[0] += 1.0
            entry[1] += one[index]
            entry[2] += other[index]
            entry[3] += one[index] * other[index]
    below = sums.copy()
    for number in range(1, steps + 1):
        below[number] += below[number - 1]
    found = steps
    while found > 0:
        n, a, b, ab = below[found]
        if n < 2.0 or ab * n - a * b <= FLAT * n * abs(ab):
            break
        found -= 1
    return found, in_order(sums[found + 1 :, 1]), in_order(sums[found + 1 :, 2])
