"""Rods and rings: elongated and ring-shaped objects among the brightest parts of the cell."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Region
from features.jit import Floats, Floats32, Ints, Ints32, kernel
from features.kernels.components import large_parts, object_sums
from features.kernels.skeletons import reach, skeleton_sums, thin
from features.planes import LEVELS, levels
from features.registry import LENGTH, SCALED, THINNED, Output, feature

ROD_NUMBERS = 9
SLENDER = 3.0
"""A rod is at least this many times as long as wide."""

SIGMA = 1
LEAST_UM, LEAST_PX = 2.0, 6.0
"""Length of the shortest rod, in micrometres or, if unknown, pixels."""

SMALLEST = 4.0

OUTPUTS = {
    "object_count": Output("number of very bright objects"),
    "area_share": Output("share of the area in very bright objects"),
    "intensity_share": Output("share of {0}'s intensity in very bright objects", invariances=SCALED),
    "rod_count": Output("number of rods", invariances=THINNED),
    "rod_length": Output("mean length of rods", LENGTH, THINNED),
    "longest_rod": Output("length of the longest rod", LENGTH, THINNED),
    "rod_straightness": Output("mean straightness of rods", invariances=THINNED),
    "ring_count": Output("number of rings"),
    "ring_diameter": Output("mean diameter of rings", LENGTH),
}


@feature(family="rods", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS, version=2)
def rods_and_rings(region: Region) -> Floats:
    """Describe long and hollow ones among each channel's brightest objects, shape (channels, 9).

    Units: lengths are in µm where the pixel size is known, else px; the rest has none. Objects are
    8-connected pixels above the middle between median and maximum of the cell (smoothed by 1 px), of at
    least 4. A ring has a hole, its radius is the root mean square distance of its pixels from their
    centre; a rod has none, a skeleton of at least 2 µm (6 px where unknown) and three times its mean
    width. Straightness is the length of the straight line of the skeleton's second moments over the
    skeleton's. NaN: lengths and straightness without a rod, the diameter without a ring, the share of
    intensity where the channel is black.

    Source: Carcamo et al. 2011, "Induction of cytoplasmic rods and rings structures by inhibition of the
    CTP and GTP synthetic pathway in mammalian cells" (what they look like); this project.
    """
    cell = region.cell
    out = np.empty((len(cell.pixels), len(OUTPUTS)))
    least = cell.in_pixels(LEAST_UM, LEAST_PX)
    for channel, plane in enumerate(cell.once(levels, SIGMA, region.name)):
        whole = (region.count, float(region.totals[channel]))
        labels, found = large_parts(plane >= middle_level(plane), SMALLEST)
        out[channel] = rod_numbers(labels, found, cell.pixels[channel], whole, least)
    return out


@kernel
def middle_level(levels: NDArray[np.int16]) -> int:
    """Return the level halfway between the median and the largest; 257 where there is none."""
    counts = np.zeros(LEVELS + 1, np.int64)
    for level in levels.ravel():
        counts[level] += 1
    counts[0] = 0
    half = counts.sum() / 2.0
    if half == 0.0:
        return LEVELS + 1
    median, reached = 0, 0.0
    while reached < half:
        median += 1
        reached += counts[median]
    return (median + LEVELS + 1) // 2


@kernel
def rod_numbers(
    labels: Ints32, found: int, plane: Floats32, whole: tuple[int, float], least: float
) -> Floats:
    """Describe what is long, and what is hollow, among `found` objects, in the order of `OUTPUTS`.

    `whole` are the pixels of the region and the sum of their intensities, `least` is the length in pixels
    from which a slender object is a rod. NaN where there is nothing to describe.
    """
    out = np.full(ROD_NUMBERS, np.nan)
    sums = object_sums(labels, found, plane)
    euler = euler_numbers(labels, found)
    thinned = np.where(thin(labels > 0), labels, 0).astype(np.int32)
    graph = skeleton_sums(thinned, found)
    traces = object_sums(thinned, found, plane)
    rods, length_of_rods, longest, straight, rings, diameters = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for one in range(found):
        # half a pixel at either end is beyond the last centre
        length = graph[one, 0] + 1.0
        if euler[one] < 1:
            rings += 1.0
            diameters += 2.0 * np.sqrt(_spread(sums[one]))
        elif length >= least and length >= SLENDER * sums[one, 0] / length:
            rods += 1.0
            length_of_rods += length
            longest = max(longest, length)
            straight += min(1.0, reach(traces[one]) / length)
    inside, total = whole
    out[0], out[1], out[3], out[7] = found, sums[:, 0].sum() / inside, rods, rings
    out[2] = sums[:, 6].sum() / total if total > 0.0 else np.nan
    if rods > 0.0:
        out[4], out[5], out[6] = length_of_rods / rods, longest, straight / rods
    if rings > 0.0:
        out[8] = diameters / rings
    return out


@kernel
def _spread(sums: Floats) -> float:
    """Return the mean squared distance of an object's pixels from its centre."""
    area = sums[0]
    return float((sums[3] + sums[4]) / area - (sums[1] / area) ** 2 - (sums[2] / area) ** 2)


@kernel
def euler_numbers(labels: Ints32, count: int) -> Ints:
    """Return 1 minus the number of holes of every 8-connected object, shape (count,).

    Source: Gray 1971 (bit quads). All set pixels of a square of 2 x 2 belong to one object.
    """
    quads = np.zeros(count + 1, np.int64)
    for row in range(len(labels) - 1):
        upper, lower = labels[row], labels[row + 1]
        for column in range(len(upper) - 1):
            a, b, c, d = upper[column], upper[column + 1], lower[column], lower[column + 1]
            filled = int(a > 0) + int(b > 0) + int(c > 0) + int(d > 0)
            crossed = (filled == 2) & (a == d)
            quads[max(a, b, c, d)] += int(filled == 1) - int(filled == 3) - 2 * int(crossed)
    return quads[1:] // 4
