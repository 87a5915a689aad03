"""Outline: curvature and bending energy of the borders of cell and nucleus."""

import numpy as np

from features.cells import Region
from features.jit import Floats, Mask, kernel
from features.kernels.components import large_parts, object_sums
from features.registry import Output, feature

NUMBERS = 6
INWARD = 0.1
"""An inward bend is at least this many times as strong as the disc's outward one."""

SIGMA_UM, SIGMA_PX = 1.0, 3.0
"""Smoothing along the outline, in micrometres or, if unknown, pixels."""

OUTPUTS = {
    "curvature_std": Output("standard deviation of the curvature (times the radius) of the outline"),
    "curvature_min": Output("minimum curvature (times the radius) of the outline"),
    "curvature_max": Output("maximum curvature (times the radius) of the outline"),
    "bending_energy": Output("bending energy (over that of a circle) of the outline"),
    "inward_share": Output("concave share of the outline"),
    "inward_count": Output("number of concave stretches in the outline"),
}


@feature(family="outline", resampled=True, per="shape", regions=("cell", "nucleus"), outputs=OUTPUTS)
def curvature(region: Region) -> Floats:
    """Describe the curvature of a region's outer border, shape (6,).

    Units: none; curvatures are times the radius of the disc of the region's area (1 all along a disc,
    negative where the border bends inwards). The border of the largest 8-connected part is followed along
    the sides of its pixels and smoothed by a Gaussian of 1 µm (3 px where unknown) of such sides; inwards
    counts from a tenth of the disc's curvature. The bending energy is the mean square of the curvature
    times the squared length of the outline over 4 pi². NaN where smoothing shrinks it to a point.

    Source: Young, Walker and Bowie 1974, "An analysis technique for biological shape" (bending energy);
    Mokhtarian and Mackworth 1986 (curvature at a scale).
    """
    cell = region.cell
    # a slanted border has up to sqrt(2) sides per pixel of its length: 1.27 on average
    sigma = cell.in_pixels(SIGMA_UM, SIGMA_PX) * 4 / np.pi
    return bending(smooth_closed(outline(region.mask), sigma), float(np.sqrt(region.count / np.pi)))


@kernel
def outline(mask: Mask) -> Floats:
    """Follow the outer border of the largest 8-connected part along the sides of its pixels.

    Returns row and column of the middles of the sides, shape (n, 2), clockwise: the inside lies to the right.
    """
    labels, found = large_parts(mask, 1.0)
    areas = object_sums(labels, found, np.zeros(mask.shape, np.float32))[:, 0]
    largest = int(np.argmax(areas)) + 1
    width = mask.shape[1]
    start = 0
    while labels[start // width, start % width] != largest:
        start += 1
    row, column, down, right = start // width, start % width, 0, 1
    first_row, first_column = row, column
    points = np.empty((4 * int(areas[largest - 1]), 2), np.float64)
    count = 0
    while True:
        # the side to the left of the pixel (row, column) when going in a direction
        points[count] = row - 0.5 * right, column + 0.5 * down
        count += 1
        ahead_row, ahead_column = row + down, column + right
        left_row, left_column = ahead_row - right, ahead_column + down
        if labels[left_row, left_column] == largest:
            row, column = left_row, left_column
            down, right = -right, down
        elif labels[ahead_row, ahead_column] == largest:
            row, column = ahead_row, ahead_column
        else:
            down, right = right, -down
        if row == first_row and column == first_column and down == 0 and right == 1:
            break
    closed: Floats = points[:count]
    return closed


@kernel
def smooth_closed(points: Floats, sigma: float) -> Floats:
    """Smooth a closed line by a Gaussian over so many of its points."""
    count = len(points)
    reach = min(int(np.ceil(3.0 * sigma)), count)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    out = np.zeros_like(points)
    around = np.concatenate((points[count - reach :], points, points[:reach]))
    for index in range(count):
        for offset in range(2 * reach + 1):
            out[index, 0] += weights[offset] * around[index + offset, 0]
            out[index, 1] += weights[offset] * around[index + offset, 1]
    return out


@kernel
def bending(points: Floats, radius: float) -> Floats:
    """Describe the curvature of a smooth clockwise line, times a radius, in the order of `OUTPUTS`.

    `points` have shape (n, 2). NaN for a line that has shrunk to a point.
    """
    count = len(points)
    curvature, step = np.empty(count, np.float64), np.empty(count, np.float64)
    for index in range(count):
        before, after = points[index - 1], points[(index + 1) % count]
        y, x = 0.5 * (after[0] - before[0]), 0.5 * (after[1] - before[1])
        yy = after[0] + before[0] - 2.0 * points[index, 0]
        xx = after[1] + before[1] - 2.0 * points[index, 1]
        step[index] = np.hypot(y, x)
        if step[index] < 1e-6:
            return np.full(NUMBERS, np.nan)
        curvature[index] = (x * yy - y * xx) / step[index] ** 3
    length = step.sum()
    mean = (curvature * step).sum() / length
    square = (curvature**2 * step).sum() / length
    inward = curvature < -INWARD / radius
    bends = 0
    for index in range(count):
        bends += int(inward[index] and not inward[index - 1])
    out = np.empty(NUMBERS, np.float64)
    out[0] = np.sqrt(max(0.0, square - mean * mean)) * radius
    out[1], out[2] = curvature.min() * radius, curvature.max() * radius
    out[3] = square * (length / (2.0 * np.pi)) ** 2
    out[4] = (step * inward).sum() / length
    out[5] = bends
    return out
