"""Objects minus holes at every threshold at once."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

LEVELS = 256
FLAT = 1e-6
"""A range below this is rounding: intensities lie in [0, 1]."""


@kernel
def levels_of(planes: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Divide each channel's range inside the mask into 256 levels, numbered from 1.

    0 outside the mask, and everywhere in a flat channel.

    Parameters
    ----------
    planes : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool

    Returns
    -------
    ndarray, shape (channels, height, width), int16
    """
    channels, height, width = planes.shape
    out = np.zeros((channels, height, width), np.int16)
    for channel in range(channels):
        low, high = np.float32(np.inf), np.float32(-np.inf)
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    low = min(low, planes[channel, row, column])
                    high = max(high, planes[channel, row, column])
        if high - low > FLAT:
            scale = LEVELS / (float(high) - low)
            for row in range(height):
                for column in range(width):
                    if mask[row, column]:
                        level = int((float(planes[channel, row, column]) - low) * scale)
                        out[channel, row, column] = min(level, LEVELS - 1) + 1
    return out


@kernel
def euler_curve(levels: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count pixels, and objects minus holes, at and above every level.

    Parameters
    ----------
    levels : ndarray, shape (height, width), int16
        0 to 256; 0 is outside, and all along the margin.

    Returns
    -------
    counts, euler : ndarray, shape (258,), float64
        Of the pixels of at least each level from 1 on, 8-connected.

    Notes
    -----
    Source: the Euler characteristic of closed squares, corners - sides + pixels: each appears with the
    brightest pixel it belongs to. One pass serves all thresholds;
    each of the four has a table of its own, so that no count waits for the one before.
    """
    height, width = levels.shape
    pixels, across, down, corners = np.zeros((4, LEVELS + 2), np.int64)
    for row in range(height - 1):
        here, below = levels[row], levels[row + 1]
        for column in range(width - 1):
            side = max(here[column], here[column + 1])
            corner = max(side, below[column], below[column + 1])
            if corner > 0:  # outside, all four would count at level 0, which nobody asks for
                pixels[here[column]] += 1
                across[side] += 1
                down[max(here[column], below[column])] += 1
                corners[corner] += 1
    counts = pixels.astype(np.float64)
    euler = (pixels - across - down + corners).astype(np.float64)
    for level in range(LEVELS, -1, -1):
        counts[level] += counts[level + 1]
        euler[level] += euler[level + 1]
    return counts, euler


@kernel
def topology(
    levels: NDArray[np.int16], shares: NDArray[np.float64], heights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Describe the brightest pixels of each channel by their number of objects minus holes.

    Parameters
    ----------
    levels : ndarray, shape (channels, height, width), int16
        From `levels_of`, with a margin of one pixel.
    shares : ndarray, shape (a,), float64
        Shares of the area: as many of the brightest pixels are taken.
    heights : ndarray, shape (b,), float64
        Shares of the range: what is brighter is taken.

    Returns
    -------
    ndarray, shape (channels, a + 2 b), float64
        Euler numbers at shares of the area (interpolated between thresholds), Euler numbers at shares
        of the range, shares of the area there. NaN in a flat channel.
    """
    channels, first = len(levels), len(shares)
    out = np.full((channels, first + 2 * len(heights)), np.nan)
    for channel in range(channels):
        counts, euler = euler_curve(levels[channel])
        area = counts[1]
        if area == 0.0:
            continue
        for place in range(first):
            level = LEVELS
            while counts[level] < shares[place] * area:
                level -= 1
            more, less = counts[level], counts[level + 1]
            part = (shares[place] * area - less) / (more - less)
            out[channel, place] = euler[level + 1] + part * (euler[level] - euler[level + 1])
        for place in range(len(heights)):
            level = 1 + int(np.ceil(heights[place] * LEVELS))
            out[channel, first + place] = euler[level]
            out[channel, first + len(heights) + place] = counts[level] / area
    return out
