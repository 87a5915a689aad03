"""Colocalization: correlation and overlap of channels, and distances between their bright regions."""

import numpy as np

from features.cells import Region
from features.jit import Bytes, Floats, Floats32, Ints, kernel
from features.kernels.distance import distance_inside
from features.kernels.intensity_correlation import colocalize
from features.kernels.sums import in_order
from features.registry import FIELD_REGIONS, GEOMETRY, LENGTH, SCALED, Output, dimensionless, feature

FRACTION = 0.15
STEPS = 256

OUTPUTS = {
    "pearson": Output("Pearson's correlation coefficient"),
    "slope": Output(
        "slope of the linear regression of {1} on {0} {where}", invariances=GEOMETRY | {"offset"}
    ),
    "spearman": Output("Spearman's rank correlation coefficient"),
    "icq": Output("Li's intensity correlation quotient"),
    **dimensionless(
        SCALED,
        manders_1="Manders' coefficient M1: share of {0}'s intensity where {1} is bright, {where}",
        manders_2="Manders' coefficient M2: share of {1}'s intensity where {0} is bright, {where}",
        costes_1="Manders' coefficient M1 above Costes' automatic thresholds, of {0} with {1} {where}",
        costes_2="Manders' coefficient M2 above Costes' automatic thresholds, of {1} with {0} {where}",
        costes_threshold_1="Costes' automatic threshold of {0}, paired with {1}, over its maximum {where}",
        costes_threshold_2="Costes' automatic threshold of {1}, paired with {0}, over its maximum {where}",
        overlap="Manders' overlap coefficient",
    ),
    "k_1": Output("overlap coefficient k1, of {0} with {1} {where}", invariances=GEOMETRY),
    "k_2": Output("overlap coefficient k2, of {1} with {0} {where}", invariances=GEOMETRY),
    **dimensionless(
        SCALED,
        rank_weighted_1="rank-weighted colocalization coefficient: share of {0}'s intensity where {1} is "
        "bright, {where}",
        rank_weighted_2="rank-weighted colocalization coefficient: share of {1}'s intensity where {0} is "
        "bright, {where}",
    ),
}


@feature(family="colocalization", per="pair", regions=("cell", *FIELD_REGIONS), outputs=OUTPUTS)
def colocalization(region: Region) -> Floats:
    """Measure the colocalization of every pair of channels, shape (pairs, 15).

    Units: none. "Bright" is at least 15 % of the channel's maximum in the region; Manders, overlap,
    k1, k2 and rank-weighted numbers count such pixels, as CellProfiler does. Costes' thresholds go
    down the orthogonal regression line in 1/256 of the first channel's maximum, until the
    correlation below them is not positive; below means that either channel is. NaN: correlations,
    slope, quotient and Costes where a channel is flat; Costes where the line does not rise; the rest
    where a channel is black, and overlap, k1 and k2 where no pixel is bright in both.

    Source: Manders et al. 1993; Costes et al. 2004, "Automatic and quantitative measurement of
    protein-protein colocalization in live cells"; Li et al. 2004 (intensity correlation quotient);
    Singan et al. 2011 (rank-weighted); CellProfiler MeasureColocalization.
    """
    averaged, dense = region.ranks
    return colocalize(region.values, averaged, dense, region.sorted_values, FRACTION, STEPS)


IN_PARTS = ("pearson", "spearman", "manders_1", "manders_2")


@feature(
    family="colocalization",
    per="pair",
    regions=("nucleus", "cytoplasm"),
    outputs={name: OUTPUTS[name] for name in IN_PARTS},
)
def in_parts(region: Region) -> Floats:
    """Measure correlations and Manders' numbers within nucleus and cytoplasm, shape (pairs, 4).

    Units: none; as for the whole cell, with the part's own maxima. A correlation over the whole cell
    mostly says that both channels avoid, or fill, the nucleus; within a part it says more.

    Source: Manders et al. 1993; CellProfiler MeasureColocalization.
    """
    averaged, dense = region.ranks
    numbers = colocalize(region.values, averaged, dense, region.sorted_values, FRACTION, 0)
    return numbers[:, [list(OUTPUTS).index(name) for name in IN_PARTS]]


GRID = 16

BEYOND = {
    "kendall": Output("Kendall's rank correlation tau-b at 16 grey levels"),
    "mutual_information": Output("normalised mutual information at 16 grey levels"),
    "distance_1": Output("mean distance from bright {a} to bright {b} regions", LENGTH),
    "distance_2": Output("mean distance from bright {b} to bright {a} regions", LENGTH),
}


@feature(family="colocalization", per="pair", regions=("cell",), outputs=BEYOND)
def beyond_correlation(region: Region) -> Floats:
    """Measure dependence that need not be linear, and how far apart bright regions are, shape (pairs, 4).

    Units: distances are in µm where the pixel size is known, else px; the rest has none. The grid has
    16 levels between each channel's extremes; the mutual information is over the mean of both
    entropies. Bright is above Otsu's threshold of the cell. Tau and distances are NaN where either
    channel is flat, the information where both are.

    Source: Kendall 1945 (tau-b); Shannon 1948; Lachmanovich et al. 2003, "Co-localization analysis of
    complex formation among membrane proteins by computerized fluorescence microscopy" (distances).
    """
    measured = dependences(region.quantised(GRID), GRID)
    return np.hstack([measured, bright_distances(region.cell.pixels, region.otsu)])


@kernel
def joint_histogram(one: Bytes, other: Bytes, size: int) -> Floats:
    """Count pairs of levels of two planes, shape (size, size); level 0 is outside and left out."""
    counts = np.zeros((size, size), np.float64)
    for row in range(one.shape[0]):
        first, second = one[row], other[row]
        for column in range(len(first)):
            if first[column] > 0:
                counts[first[column] - 1, second[column] - 1] += 1.0
    return counts


@kernel
def _margins(counts: Floats) -> tuple[Floats, Floats, float]:
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
def _entropy_bits(counts: Floats, total: float) -> float:
    """Return the entropy in bits of counts that sum up to `total`."""
    amount = 0.0
    for count in counts:
        if count > 0.0:
            amount -= count / total * np.log2(count / total)
    return amount


@kernel
def mutual_information(counts: Floats) -> float:
    """Return twice the mutual information over the sum of both entropies; NaN where both are 0."""
    rows, columns, total = _margins(counts)
    both = _entropy_bits(rows, total) + _entropy_bits(columns, total)
    if both <= 0.0:
        return np.nan
    return 2.0 * (both - _entropy_bits(counts.ravel(), total)) / both


@kernel
def _pairs(counts: Floats) -> float:
    """Return the number of pairs of equal ones among counts."""
    amount = 0.0
    for count in counts:
        amount += 0.5 * count * (count - 1.0)
    return amount


@kernel
def kendall(counts: Floats) -> float:
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
def dependences(levels: Bytes, size: int) -> Floats:
    """Measure Kendall's tau-b and the mutual information of every pair of channels, shape (pairs, 2).

    `levels`, shape (channels, height, width), are 1 to `size`; 0 outside, in all channels alike.
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


@kernel
def _sum_at(plane: Floats, pixels: Ints) -> float:
    """Sum a plane over pixels given by their index in reading order."""
    flat = plane.ravel()
    total = 0.0
    for pixel in pixels:
        total += flat[pixel]
    return total


@kernel
def bright_distances(pixels: Floats32, thresholds: Floats) -> Floats:
    """Average the distance of one channel's bright pixels to another's, for every pair, shape (pairs, 2).

    From the first to the second and back, in pixels; NaN where either has no pixel above its threshold.
    """
    channels = len(pixels)
    bright = [pixels[channel] > thresholds[channel] for channel in range(channels)]
    indices = [np.flatnonzero(mask) for mask in bright]
    means = np.full((channels, channels), np.nan)
    for target in range(channels):
        if len(indices[target]) == 0:
            continue
        distances = distance_inside(~bright[target])
        for source in range(channels):
            if source != target and len(indices[source]) > 0:
                means[source, target] = _sum_at(distances, indices[source]) / len(indices[source])
    out = np.empty((channels * (channels - 1) // 2, 2), np.float64)
    pair = 0
    for first in range(channels):
        for second in range(first + 1, channels):
            out[pair, 0], out[pair, 1] = means[first, second], means[second, first]
            pair += 1
    return out
