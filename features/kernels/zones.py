"""Grey-level zones, dependences and neighbourhood differences inside a mask; their and the runs' numbers."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.emphasis import EMPHASIS, emphasis, entries_of
from features.kernels.runs import DIRECTIONS, run_lengths

STEPS = np.array([[0, 1], [1, 1], [1, 0], [1, -1], [0, -1], [-1, -1], [-1, 0], [-1, 1]])
"""The eight neighbours."""


@kernel
def _zone_sizes(levels: NDArray[np.uint8], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the 8-connected zones of equal level; return their sizes, by level, and where each level ends."""
    width = levels.shape[1]
    left = levels.copy().ravel()
    stack = np.empty(left.size, np.int64)
    zone_levels = np.empty(left.size, np.int64)
    zone_sizes = np.empty(left.size, np.int64)
    around = STEPS[:, 0] * width + STEPS[:, 1]
    ends = np.zeros(size + 2, np.int64)
    zones = 0
    for start in range(left.size):
        level = left[start]
        if level == 0:
            continue
        left[start] = 0
        stack[0] = start
        waiting, area = 1, 0
        while waiting > 0:
            waiting -= 1
            at = stack[waiting]
            area += 1
            for step in range(8):
                near = at + around[step]
                if left[near] == level:
                    left[near] = 0
                    stack[waiting] = near
                    waiting += 1
        zone_levels[zones], zone_sizes[zones] = level, area
        ends[level + 1] += 1
        zones += 1
    ends = np.cumsum(ends)
    place = ends.copy()
    by_level = np.empty(zones, np.int64)
    for zone in range(zones):
        by_level[place[zone_levels[zone]]] = zone_sizes[zone]
        place[zone_levels[zone]] += 1
    return by_level, ends


@kernel
def zones(levels: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    """Count 8-connected zones of equal level by level and area.

    Parameters
    ----------
    levels : ndarray, shape (height, width), uint8
        1 to `size`; 0 outside; with a margin of one pixel.

    Returns
    -------
    ndarray, shape (n, 3), int64
        Level, area and count.
    """
    sizes, ends = _zone_sizes(levels, size)
    entries = np.empty((len(sizes), 3), np.int64)
    place = np.full(sizes.max() + 1, -1, np.int64)
    found = 0
    for level in range(1, size + 1):
        first = found
        for zone in range(ends[level], ends[level + 1]):
            area = sizes[zone]
            if place[area] < first:
                place[area] = found
                entries[found] = level, area, 0
                found += 1
            entries[place[area], 2] += 1
    return entries[:found]


@kernel
def neighbourhoods(
    levels: NDArray[np.uint8], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Compare every pixel with its eight neighbours in the mask.

    Parameters
    ----------
    levels : ndarray, shape (height, width), uint8
        1 to `size`; 0 outside; with a margin of one pixel.

    Returns
    -------
    dependences : ndarray, shape (n, 3), int64
        Level, number of neighbours of the same level plus one, and count.
    differences : ndarray, shape (size + 1,), float64
        Per level, the sum of absolute differences to the mean of the neighbours.
    counts : ndarray, shape (size + 1,), float64
        Per level, the number of pixels that have a neighbour.
    """
    height, width = levels.shape
    dependences = np.zeros((size + 1, 10), np.int64)
    differences = np.zeros(size + 1, np.float64)
    counts = np.zeros(size + 1, np.float64)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            level = int(levels[row, column])
            if level == 0:
                continue
            same, inside, total = 1, 0, 0
            for down in range(-1, 2):
                for right in range(-1, 2):
                    near = int(levels[row + down, column + right])
                    total += near
                    inside += 1 if near > 0 else 0
                    same += 1 if near == level else 0
            dependences[level, same - 1] += 1
            if inside > 1:
                counts[level] += 1.0
                differences[level] += abs(level - (total - level) / (inside - 1))
    return entries_of(dependences), differences, counts


@kernel
def tone_differences(differences: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Summarise neighbourhood differences: coarseness, contrast, busyness, complexity, strength.

    Parameters
    ----------
    differences, counts : ndarray, shape (levels + 1,), float64
        From `neighbourhoods`.

    Returns
    -------
    ndarray, shape (5,), float64
        NaN where nothing has a neighbour or, but for complexity and strength's sums, where all levels
        are equal.
    """
    out = np.full(5, np.nan)
    total = counts.sum()
    if total == 0.0:
        return out
    shares = counts / total
    used = 0
    weighted, spread, busy, complexity, strength = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(counts)):
        if shares[i] == 0.0:
            continue
        used += 1
        weighted += shares[i] * differences[i]
        for j in range(len(counts)):
            if shares[j] > 0.0:
                gap = abs(i - j)
                spread += shares[i] * shares[j] * gap * gap
                busy += abs(i * shares[i] - j * shares[j])
                both = shares[i] * differences[i] + shares[j] * differences[j]
                complexity += gap * both / (shares[i] + shares[j])
                strength += (shares[i] + shares[j]) * gap * gap
    out[3] = complexity / total
    if used > 1 and weighted > 0.0:
        out[0] = 1.0 / weighted
        out[1] = spread / (used * (used - 1.0)) * differences.sum() / total
        out[2] = weighted / busy if busy > 0.0 else np.nan
        out[4] = strength / differences.sum()
    return out


@kernel
def matrices_of_planes(levels: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Summarise runs (mean over four directions), zones, dependences and tone differences.

    Parameters
    ----------
    levels : ndarray, shape (channels, height, width), uint8
        1 to `size`; 0 outside; with a margin of one pixel; not empty.

    Returns
    -------
    ndarray, shape (channels, 53), float64
        Thrice 16 numbers of `emphasis`, then 5 of `tone_differences`.
    """
    channels = len(levels)
    out = np.zeros((channels, 3 * EMPHASIS + 5), np.float64)
    for channel in range(channels):
        plane = levels[channel]
        pixels = np.count_nonzero(plane)
        for runs in run_lengths(plane, size):
            out[channel, :EMPHASIS] += emphasis(entries_of(runs), pixels) / DIRECTIONS
        out[channel, EMPHASIS : 2 * EMPHASIS] = emphasis(zones(plane, size), pixels)
        dependences, differences, counts = neighbourhoods(plane, size)
        out[channel, 2 * EMPHASIS : 3 * EMPHASIS] = emphasis(dependences, pixels)
        out[channel, 3 * EMPHASIS :] = tone_differences(differences, counts)
    return out
