"""Bright lines inside a mask: how strong, in which direction, and their skeletons."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.binary_patterns import eroded
from features.kernels.patterns import pattern, places_of


def _peels(near: NDArray[np.bool_], phase: int) -> bool:
    """Say whether a pixel of these neighbours goes in one of the two phases of thinning."""
    sides, corners, following = near[::2], near[1::2], np.roll(near[::2], -1)
    pieces = int((~sides & (corners | following)).sum())
    fewest = min((sides | corners).sum(), (corners | following).sum())
    if pieces != 1 or not 2 <= fewest <= 3:
        return False
    above, corner, right, below = np.roll(near, -4 * phase)[:4]
    return bool(not ((above or corner or not below) and right))


def _peel_table() -> NDArray[np.bool_]:
    """Answer `_peels` for both phases and all patterns of neighbours, the first one as the lowest bit."""
    patterns = (np.arange(256)[:, None] >> np.arange(8)) & 1 == 1
    return np.array([[_peels(near, phase) for near in patterns] for phase in range(2)])


_PEELS = _peel_table()


@kernel
def ridges(planes: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure how much every pixel lies on a bright line, and along which direction.

    Parameters
    ----------
    planes : ndarray, shape (channels, height, width), float32
        Smoothed; with a margin of one pixel.
    mask : ndarray, shape (height, width), bool

    Returns
    -------
    ndarray, shape (channels, 2, height, width), float32
        Components along the column axis and between both axes of the doubled direction, as long as the
        line is strong: the curvature across it less the curvature along it, in either sign. 0 on dark
        lines, on round spots, and where a neighbour lies outside the mask.
    """
    channels, height, width = planes.shape
    out = np.zeros((channels, 2, height, width), np.float32)
    inner = eroded(mask, 1)
    for channel in range(channels):
        plane = planes[channel]
        for row in range(1, height - 1):
            for column in range(1, width - 1):
                if not inner[row, column]:
                    continue
                twice = 2.0 * plane[row, column]
                dd = float(plane[row + 1, column]) + plane[row - 1, column] - twice
                rr = float(plane[row, column + 1]) + plane[row, column - 1] - twice
                middle = 0.5 * (dd + rr)
                if middle >= 0.0:
                    continue
                dr = float(plane[row + 1, column + 1]) + plane[row - 1, column - 1]
                dr = 0.25 * (dr - plane[row + 1, column - 1] - plane[row - 1, column + 1])
                half = 0.5 * (rr - dd)
                spread = np.sqrt(half * half + dr * dr)
                if spread > 0.0:
                    strength = min(2.0 * spread, -2.0 * middle) / spread
                    out[channel, 0, row, column] = strength * half
                    out[channel, 1, row, column] = strength * dr
    return out


@kernel
def thin(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin objects to skeletons one pixel wide that keep their ends, branches and holes.

    Parameters
    ----------
    bright : ndarray, shape (height, width), bool
        With a margin of one pixel.

    Returns
    -------
    ndarray, shape (height, width), bool

    Notes
    -----
    Source: Guo and Hall 1989, "Parallel thinning with two-subiteration algorithms", as in scikit-image's
    `thin`.
    """
    out = bright.copy()
    flat, width = out.ravel(), out.shape[1]
    pixels = places_of(bright)
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
def links(labels: NDArray[np.int32], at: int, width: int) -> tuple[int, float]:
    """Count a skeleton pixel's links, and add half their lengths.

    A corner neighbour is a link only where no side neighbour joins both.

    Parameters
    ----------
    labels : ndarray, shape (height * width,), int32
        0 beside skeletons.
    at : int
        The pixel's place in reading order.
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
