"""Bodies inside a mask: connected parts of a few micrometres, their rims, holes and skeletons."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.filaments import reach, skeleton_sums
from features.kernels.geometry import mean_spacing
from features.kernels.objects import components, elongation, object_sums
from features.kernels.patterns import euler_numbers
from features.kernels.ridges import thin
from features.kernels.topology import LEVELS

BODY_NUMBERS = 10
ROD_NUMBERS = 9
SLENDER = 3.0
"""A rod is at least this many times as long as wide."""


@kernel
def otsu_level(levels: NDArray[np.int16]) -> int:
    """Return the lowest of the bright levels by Otsu's criterion; 257 where there is one level only."""
    counts = np.zeros(LEVELS + 1, np.float64)
    for level in levels.ravel():
        counts[level] += 1.0
    count, total = 0.0, 0.0
    for level in range(1, LEVELS + 1):
        count += counts[level]
        total += counts[level] * level
    best, chosen, below, lower = 0.0, LEVELS + 1, 0.0, 0.0
    for level in range(1, LEVELS):
        lower += counts[level]
        below += counts[level] * level
        if counts[level] > 0.0 and lower < count:
            gap = below / lower - (total - below) / (count - lower)
            between = lower * (count - lower) * gap * gap
            if between > best:
                best, chosen = between, level + 1
    return chosen


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
def large_parts(bright: NDArray[np.bool_], least: float) -> tuple[NDArray[np.int32], int]:
    """Label the 8-connected parts of at least so many pixels, numbered from 1."""
    labels, count = components(bright)
    areas = np.zeros(count + 1, np.int64)
    for label in labels.ravel():
        areas[label] += 1
    number = np.zeros(count + 1, np.int32)
    kept = 0
    for label in range(1, count + 1):
        if areas[label] >= least:
            kept += 1
            number[label] = kept
    height, width = labels.shape
    for row in range(height):
        for column in range(width):
            labels[row, column] = number[labels[row, column]]
    return labels, kept


@kernel
def _inside(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Mark pixels of objects whose four side neighbours belong to the same one."""
    height, width = labels.shape
    out = np.zeros((height, width), np.bool_)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            label = labels[row, column]
            across = labels[row, column - 1] == label and labels[row, column + 1] == label
            down = labels[row - 1, column] == label and labels[row + 1, column] == label
            out[row, column] = label > 0 and across and down
    return out


@kernel
def body_numbers(
    labels: NDArray[np.int32],
    found: int,
    plane: NDArray[np.float32],
    mask: NDArray[np.bool_],
    depth: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Describe bodies inside a mask.

    Parameters
    ----------
    labels : ndarray, shape (height, width), int32
        The bodies, from 1 to `found`.
    plane : ndarray, shape (height, width), float32
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel; not empty.
    depth : ndarray, shape (height, width), float64
        Of every pixel of the mask below its border.

    Returns
    -------
    ndarray, shape (10,), float64
        Number; share of the mask's pixels and of its intensity; mean area, largest body's share of the
        mask, mean elongation; contrasts (a - b) / (a + b) of mean intensity of bodies and the rest, and
        of rim and core (the second layer of their pixels and the rest: the first is blurred); mean depth
        over that of the mask; distance from one to the next in shares of the mask's radius. NaN where
        there is nothing to describe.
    """
    out = np.full(BODY_NUMBERS, np.nan)
    inside, amount, deep = 0.0, 0.0, 0.0
    body, body_amount, body_deep = 0.0, 0.0, 0.0
    rim, rim_amount, core, core_amount = 0.0, 0.0, 0.0, 0.0
    height, width = mask.shape
    inner = _inside(labels)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            if not mask[row, column]:
                continue
            value = float(plane[row, column])
            inside += 1.0
            amount += value
            deep += depth[row, column]
            label = labels[row, column]
            if label == 0:
                continue
            body += 1.0
            body_amount += value
            body_deep += depth[row, column]
            if not inner[row, column]:
                continue
            across = inner[row, column - 1] and inner[row, column + 1]
            if across and inner[row - 1, column] and inner[row + 1, column]:
                core += 1.0
                core_amount += value
            else:
                rim += 1.0
                rim_amount += value
    out[0], out[1] = found, body / inside
    if found == 0:
        return out
    sums = object_sums(labels, found, plane)
    out[2] = body_amount / amount if amount > 0.0 else np.nan
    out[3], out[4] = body / found, sums[:, 0].max() / inside
    lengths = 0.0
    for one in range(found):
        lengths += elongation(sums[one])
    out[5] = lengths / found
    out[6] = _contrast(body_amount, body, amount - body_amount, inside - body)
    out[7] = _contrast(rim_amount, rim, core_amount, core)
    out[8] = body_deep / body / (deep / inside)
    out[9] = mean_spacing(sums[:, 1:3] / sums[:, :1]) / np.sqrt(inside / np.pi)
    return out


@kernel
def _contrast(one: float, one_count: float, other: float, other_count: float) -> float:
    """Return (a - b) / (a + b) of two means, NaN where one has no pixel or both are black."""
    if one_count <= 0.0 or other_count <= 0.0:
        return np.nan
    a, b = one / one_count, max(0.0, other / other_count)
    return (a - b) / (a + b) if a + b > 0.0 else np.nan


@kernel
def rod_numbers(
    labels: NDArray[np.int32], found: int, plane: NDArray[np.float32], whole: tuple[int, float], least: float
) -> NDArray[np.float64]:
    """Describe what is long, and what is hollow, among objects.

    Parameters
    ----------
    labels : ndarray, shape (height, width), int32
        8-connected objects, from 1 to `found`; 0 along the margin.
    plane : ndarray, shape (height, width), float32
    whole : tuple of int and float
        Pixels of the region, and their intensities summed up.
    least : float
        Length in pixels from which a slender object is a rod.

    Returns
    -------
    ndarray, shape (9,), float64
        Number of objects, their share of the region and of its intensity; number, mean and largest length
        and straightness of rods; number and mean diameter of rings. NaN where there is nothing to describe.
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
def _spread(sums: NDArray[np.float64]) -> float:
    """Return the mean squared distance of an object's pixels from its centre."""
    area = sums[0]
    return float((sums[3] + sums[4]) / area - (sums[1] / area) ** 2 - (sums[2] / area) ** 2)
