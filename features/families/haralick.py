"""Haralick's texture features of the grey-level co-occurrence matrix."""

import numpy as np

from features.cells import Region
from features.jit import Bytes, Floats, Ints, Ints32, kernel
from features.registry import BITS, NONE, Output, feature

HARALICK = 13
DIRECTIONS = 4
_LOGS = np.arange(1024) * np.log2(np.maximum(np.arange(1024), 1))
"""n log2(n) of small counts."""

REGIONS = ("cell", "nucleus", "field")
LEVELS = 32
DISTANCES = (1, 2, 4)

NAMES = {
    "energy": ("angular second moment (energy)", NONE),
    "contrast": ("contrast", NONE),
    "correlation": ("correlation", NONE),
    "variance": ("variance (sum of squares)", NONE),
    "homogeneity": ("inverse difference moment (homogeneity)", NONE),
    "sum_average": ("sum average", NONE),
    "sum_variance": ("sum variance", NONE),
    "sum_entropy": ("sum entropy", BITS),
    "entropy": ("entropy", BITS),
    "difference_variance": ("difference variance", NONE),
    "difference_entropy": ("difference entropy", BITS),
    "information_1": ("first information measure of correlation", NONE),
    "information_2": ("second information measure of correlation", NONE),
}

RANGED = ("contrast", "correlation", "homogeneity", "entropy")
"""The features whose range over directions is kept, at distance 1: how much the texture has a direction."""

MEANS = {
    f"{name}_d{distance}": Output(
        f"{words} of the grey-level co-occurrence matrix at distance {distance} px", unit
    )
    for distance in DISTANCES
    for name, (words, unit) in NAMES.items()
}

RANGES = {
    f"{name}_range": Output(
        f"range over directions of the {words} of the grey-level co-occurrence matrix", unit
    )
    for name, (words, unit) in NAMES.items()
    if name in RANGED
}


@feature(family="haralick", resampled=True, per="channel", regions=REGIONS, outputs=MEANS | RANGES)
def haralick(region: Region) -> Floats:
    """Compute Haralick's features of 32 grey levels at distances of 1, 2 and 4 px, shape (channels, 43).

    Units: entropies are in bits (logarithm to base 2), the rest has none; levels run from 1 to 32
    between the region's own extremes. Only pairs of pixels that both lie in the region count, in both
    orders. Difference variance is that of the absolute difference of levels (IBSI; mahotas'
    ``use_x_minus_y_variance``). Values are means over the four directions where they are defined, and
    for some the range over them at distance 1. NaN without any pair; correlation and information
    measures are NaN in a flat region.

    Source: Haralick, Shanmugam, Dinstein 1973, "Textural features for image classification";
    conventions of mahotas and of the Image Biomarker Standardisation Initiative (GLCM, averaged).
    """
    numbers = haralick_of_planes(region.quantised(LEVELS), np.array(DISTANCES), LEVELS)
    means = numbers[:, :, 0].reshape(len(numbers), len(MEANS))
    ranges = numbers[:, 0, 1][:, [list(NAMES).index(name) for name in RANGED]]
    return np.hstack([means, ranges])


@kernel
def _count_pairs(padded: Bytes, reach: int, step: int, counts: Ints32) -> None:
    """Count pairs of grey levels a step apart, at 0, 45, 90 and 135 degrees up to the axis' sign at once.

    `padded` has a margin of `reach` zeros below and on both sides, `step` is at most `reach`. `counts`, shape
    (4, size + 1, size + 1), are set, the first level the upper pixel's; row 0 is empty.
    """
    counts[:] = 0
    height, width = padded.shape[0] - reach, padded.shape[1] - 2 * reach
    for row in range(height):
        here, below = padded[row, reach:], padded[row + step]
        right = padded[row, reach + step :]
        below_left, below_right = below[reach - step :], below[reach + step :]
        under = below[reach:]
        for column in range(width):
            level = here[column]
            if level > 0:
                counts[0, level, right[column]] += 1
                counts[1, level, below_right[column]] += 1
                counts[2, level, under[column]] += 1
                counts[3, level, below_left[column]] += 1


@kernel
def _entropy(counts: Ints, total: int) -> float:
    """Return the entropy in bits of counts that sum up to `total`."""
    amount = 0.0
    for count in counts:
        if count == total:
            return 0.0
        amount += _LOGS[count] if count < len(_LOGS) else count * np.log2(float(count))
    return float(np.log2(float(total)) - amount / total)


@kernel
def _power_sums(counts: Ints) -> tuple[int, int]:
    """Sum index times count, and squared index times count."""
    first, second = 0, 0
    for index in range(len(counts)):
        first += index * counts[index]
        second += index * index * counts[index]
    return first, second


@kernel
def _haralick_features(counts: Ints32, out: Floats) -> None:
    """Write Haralick's first thirteen features of a co-occurrence matrix made symmetric, in mahotas' order.

    `counts` are those of one direction from `_count_pairs`; row and column 0 do not count. NaN throughout
    without pairs, and for correlation and both information measures where all pairs are of one level.
    """
    size = len(counts)
    marginal = np.zeros(size, np.int64)
    sums = np.zeros(2 * size, np.int64)
    gaps = np.zeros(size, np.int64)
    squares, product, logs = 0, 0, 0.0
    for a in range(1, size):
        for b in range(1, a + 1):
            both = np.int64(counts[a, b]) + counts[b, a]
            if both == 0:
                continue
            times = 1 if a == b else 2
            marginal[a] += both
            if a != b:
                marginal[b] += both
            sums[a + b] += times * both
            gaps[a - b] += times * both
            squares += times * both * both
            product += times * both * a * b
            logs += times * (_LOGS[both] if both < len(_LOGS) else both * np.log2(float(both)))
    total = marginal.sum()
    out[:] = np.nan
    if total == 0:
        return
    first, second = _power_sums(marginal)
    out[0] = squares / (float(total) * total)
    out[3] = (second - first * (first / total)) / total
    _of_sums_and_gaps(out, sums, gaps, total)
    single = _entropy(marginal, total)
    if single == 0.0:
        out[3], out[8] = 0.0, 0.0
        return
    entropy = np.log2(float(total)) - logs / total
    out[8] = entropy
    out[2] = (product - first * (first / total)) / total / out[3]
    out[11] = (entropy - 2.0 * single) / single
    out[12] = np.sqrt(max(0.0, 1.0 - np.exp(-2.0 * (2.0 * single - entropy))))


@kernel
def _of_sums_and_gaps(out: Floats, sums: Ints, gaps: Ints, total: int) -> None:
    """Fill in what depends only on the distributions of sums and of differences of levels."""
    first, second = _power_sums(sums)
    gap_first, gap_second = _power_sums(gaps)
    homogeneity = 0.0
    for gap in range(len(gaps)):
        homogeneity += gaps[gap] / (1.0 + gap * gap)
    out[1], out[4], out[5] = gap_second / total, homogeneity / total, first / total
    out[6], out[7] = max(0.0, second - first * (first / total)) / total, _entropy(sums, total)
    out[9] = max(0.0, gap_second - gap_first * (gap_first / total)) / total
    out[10] = _entropy(gaps, total)


@kernel
def _over_directions(numbers: Floats, out: Floats) -> None:
    """Write the mean and the range over the directions in which a value is defined, shape (2, 13)."""
    for index in range(HARALICK):
        low, high, total, defined = np.inf, -np.inf, 0.0, 0
        for direction in range(DIRECTIONS):
            number = numbers[direction, index]
            if not np.isnan(number):
                total += number
                defined += 1
                low, high = min(low, number), max(high, number)
        if defined > 0:
            out[0, index], out[1, index] = total / defined, high - low


@kernel
def haralick_of_planes(levels: Bytes, distances: Ints, size: int) -> Floats:
    """Average Haralick's features, and take their range, over the directions in which a value is defined.

    `levels`, shape (channels, height, width), are 1 to `size`; 0 outside. Shape (channels, distances, 2, 13).
    """
    channels, height, width = levels.shape
    out = np.full((channels, len(distances), 2, HARALICK), np.nan)
    reach = distances.max()
    padded = np.zeros((height + reach, width + 2 * reach), np.uint8)
    counts = np.empty((DIRECTIONS, size + 1, size + 1), np.int32)
    numbers = np.empty((DIRECTIONS, HARALICK), np.float64)
    for channel in range(channels):
        padded[:height, reach : reach + width] = levels[channel]
        for index in range(len(distances)):
            _count_pairs(padded, reach, distances[index], counts)
            for direction in range(DIRECTIONS):
                _haralick_features(counts[direction], numbers[direction])
            _over_directions(numbers, out[channel, index])
    return out
