"""Euler characteristic curves: objects minus holes of the brightest pixels at each threshold."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Region
from features.jit import Floats, kernel
from features.planes import LEVELS, levels
from features.registry import Output, feature

SHARES = (2, 5, 10, 20, 35, 50, 70, 90)
HEIGHTS = (25, 50, 75)
SIGMAS = (1, 2)

EULER = "Euler number (objects minus holes)"
COUNTED = {
    **{f"euler_top_{share:02d}": f"{EULER} of the {share} % brightest pixels" for share in SHARES},
    **{f"euler_above_{height}": f"{EULER} above {height} % of the intensity range" for height in HEIGHTS},
    **{
        f"area_above_{height}": f"share of the area above {height} % of the intensity range"
        for height in HEIGHTS
    },
}
OUTPUTS = {
    f"{name}_s{sigma}": Output(f"{words} of {{0}} {{where}}, smoothed by {sigma} px")
    for sigma in SIGMAS
    for name, words in COUNTED.items()
}


@feature(family="topology", resampled=True, per="channel", regions=("cell", "nucleus"), outputs=OUTPUTS)
def euler_curves(region: Region) -> Floats:
    """Count objects minus holes at eleven thresholds and two scales, shape (channels, 28).

    Units: none. Thresholds are shares of the region's area (the brightest 2 to 90 % of its pixels, whatever
    their intensity) and of its range between the extremes, in 256 steps; objects are 8-connected. Many
    small spots give a large number at small shares, a net of lines a negative one at middle shares, dark
    holes a negative one at large shares. NaN in a flat region.

    Source: Ponomarev et al. 2014, "ANA HEp-2 cells image classification using number, size, shape and
    localization of targeted cell regions"; Euler characteristic curves as in Richardson and Werman 2014.
    """
    shares, heights = np.array(SHARES) / 100, np.array(HEIGHTS) / 100
    planes = (region.cell.once(levels, sigma, region.name) for sigma in SIGMAS)
    return np.hstack([topology(plane, shares, heights) for plane in planes])


@kernel
def euler_curve(levels: NDArray[np.int16]) -> tuple[Floats, Floats]:
    """Count pixels, and objects minus holes, of at least every level from 1 on, shape (258,) each.

    `levels`, shape (height, width), are 0 to 256; 0 is outside, and all along the margin. Objects are
    8-connected. Source: the Euler characteristic of closed squares, corners - sides + pixels: each appears
    with the brightest pixel it belongs to. One pass serves all thresholds; each of the four has a table of
    its own, so that no count waits for the one before.
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
def topology(levels: NDArray[np.int16], shares: Floats, heights: Floats) -> Floats:
    """Describe the brightest pixels of each channel of `levels_of` by their number of objects minus holes.

    Euler numbers at `shares` of the area, shape (a,), interpolated between thresholds, and at `heights`,
    shape (b,), of the range; shares of the area there: shape (channels, a + 2 b). NaN in a flat channel.
    """
    channels, first = len(levels), len(shares)
    out = np.full((channels, first + 2 * len(heights)), np.nan)
    for channel in range(channels):
        counts, euler = euler_curve(levels[channel])
        area = counts[1]
        if area == 0.0:
            continue
        for number in range(first):
            level = LEVELS
            while counts[level] < shares[number] * area:
                level -= 1
            more, less = counts[level], counts[level + 1]
            part = (shares[number] * area - less) / (more - less)
            out[channel, number] = euler[level + 1] + part * (euler[level] - euler[level + 1])
        for number in range(len(heights)):
            level = 1 + int(np.ceil(heights[number] * LEVELS))
            out[channel, first + number] = euler[level]
            out[channel, first + len(heights) + number] = counts[level] / area
    return out
