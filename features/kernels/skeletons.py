"""Skeletons: objects thinned to lines, how long these are, and where they end and branch."""

import numpy as np

from features.jit import Floats, Ints32, Mask, kernel
from features.kernels.components import flat_nonzero, pattern, second_moments


def _peels(near: Mask, phase: int) -> bool:
    """Say whether a pixel of these neighbours goes in one of the two phases of thinning."""
    sides, corners, following = near[::2], near[1::2], np.roll(near[::2], -1)
    pieces = int((~sides & (corners | following)).sum())
    fewest = min((sides | corners).sum(), (corners | following).sum())
    if pieces != 1 or not 2 <= fewest <= 3:
        return False
    above, corner, right, below = np.roll(near, -4 * phase)[:4]
    return bool(not ((above or corner or not below) and right))


def _peel_table() -> Mask:
    """Evaluate `_peels` for both phases and all patterns of neighbours, the first one as the lowest bit."""
    patterns = (np.arange(256)[:, None] >> np.arange(8)) & 1 == 1
    return np.array([[_peels(near, phase) for near in patterns] for phase in range(2)])


_PEELS = _peel_table()


@kernel
def thin(bright: Mask) -> Mask:
    """Thin objects to skeletons one pixel wide that keep their ends, branches and holes.

    Source: Guo and Hall 1989, "Parallel thinning with two-subiteration algorithms", as in scikit-image's
    `thin`.
    """
    out = bright.copy()
    flat, width = out.ravel(), out.shape[1]
    pixels = flat_nonzero(bright)
    count = len(pixels)
    marked = np.empty(count, np.bool_)
    changed = True
    while changed:
        changed = False
        for phase in range(2):
            peels = _PEELS[phase]
            for index in range(count):
                marked[index] = peels[pattern(flat, pixels[index], width)]
            kept = 0
            for index in range(count):
                if marked[index]:
                    flat[pixels[index]] = False
                    changed = True
                else:
                    pixels[kept] = pixels[index]
                    kept += 1
            count = kept
    return out


@kernel
def links(labels: Ints32, at: int, width: int) -> tuple[int, float]:
    """Count the links of a skeleton pixel, given by its index in reading order, and add half their lengths.

    A corner neighbour is a link only where no side neighbour joins both.
    """
    count, length = 0, 0.0
    around = pattern(labels, at, width)
    for step in range(0, 8, 2):
        side, corner = around >> step & 1, around >> (step + 1) & 1
        beside = around >> ((step + 2) % 8) & 1
        if side:
            count += 1
            length += 0.5
        elif corner and not beside:
            count += 1
            length += 0.5 * np.sqrt(2.0)
    return count, length


@kernel
def skeleton_sums(labels: Ints32, count: int) -> Floats:
    """Sum up every skeleton: its length, ends and branches, shape (count, 3)."""
    out = np.zeros((count, 3), np.float64)
    flat, width = labels.ravel(), labels.shape[1]
    for at in flat_nonzero(labels):
        joined, length = links(flat, at, width)
        entry = out[flat[at] - 1]
        entry[0] += length
        entry[1] += 1.0 if joined == 1 else 0.0
        entry[2] += 1.0 if joined > 2 else 0.0
    return out


@kernel
def reach(sums: Floats) -> float:
    """Return the length of the straight line of a skeleton's second moments."""
    size, spread = second_moments(sums)
    return float(np.sqrt(max(0.0, 12.0 * (0.5 * (size + spread)))))
