"""The pixels of a mask one by one, their neighbours, and the connected objects they make."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.jit import Floats, Floats32, Ints, Ints32, Mask, kernel

OBJECT = 7
"""Sums per object: pixels, rows, columns, squares of rows, of columns, products, intensity."""


@kernel
def flat_nonzero(plane: NDArray[Any]) -> Ints:
    """List the pixels that are not 0 by their index in reading order, shape (n,)."""
    flat = plane.ravel()
    pixels = np.empty(len(flat) + 1, np.int64)
    count = 0
    for at in range(len(flat)):
        pixels[count] = at
        count += 1 if flat[at] else 0
    return pixels[:count]


@kernel
def pattern(flat: NDArray[Any], at: int, width: int) -> int:
    """Return which neighbours of a pixel are not 0, a bit each, clockwise from the one above.

    `flat` are pixels in reading order, of which `at` is one; not along the margin.
    """
    above, below = at - width, at + width
    around = int(flat[above] > 0) | int(flat[above + 1] > 0) << 1 | int(flat[at + 1] > 0) << 2
    around |= int(flat[below + 1] > 0) << 3 | int(flat[below] > 0) << 4 | int(flat[below - 1] > 0) << 5
    return around | int(flat[at - 1] > 0) << 6 | int(flat[above - 1] > 0) << 7


@kernel
def components(bright: Mask) -> tuple[Ints32, int]:
    """Label the 8-connected components of a mask from 1 on, 0 outside; return also their number."""
    width = bright.shape[1]
    labels = np.zeros(bright.shape, np.int32)
    left, flat = bright.copy().ravel(), labels.ravel()
    pixels = flat_nonzero(bright)
    stack = np.empty(len(pixels) + 1, np.int64)
    count = 0
    for start in pixels:
        if not left[start]:
            continue
        count += 1
        left[start] = False
        stack[0] = start
        waiting = 1
        while waiting > 0:
            waiting -= 1
            at = stack[waiting]
            flat[at] = count
            for row in (at - width, at, at + width):
                for near in (row - 1, row, row + 1):
                    if left[near]:
                        left[near] = False
                        stack[waiting] = near
                        waiting += 1
    return labels, count


@kernel
def object_sums(labels: Ints32, count: int, plane: Floats32) -> Floats:
    """Sum pixels, positions, their products and intensity over every object, shape (count, 7)."""
    sums = np.zeros((count, OBJECT), np.float64)
    flat, values, width = labels.ravel(), plane.ravel(), labels.shape[1]
    for at in flat_nonzero(labels):
        row, column = at // width, at % width
        entry = sums[flat[at] - 1]
        entry[0] += 1.0
        entry[1] += row
        entry[2] += column
        entry[3] += row * row
        entry[4] += column * column
        entry[5] += row * column
        entry[6] += values[at]
    return sums


@kernel
def second_moments(sums: Floats) -> tuple[float, float]:
    """Return sum and difference of the variances along both axes of an object, from its `object_sums`."""
    area = sums[0]
    rows = sums[3] / area - (sums[1] / area) ** 2
    columns = sums[4] / area - (sums[2] / area) ** 2
    both = sums[5] / area - sums[1] * sums[2] / area**2
    return rows + columns, np.hypot(rows - columns, 2.0 * both)


@kernel
def elongation(sums: Floats) -> float:
    """Return the eccentricity of the ellipse of an object's second moments; NaN for one pixel."""
    size, spread = second_moments(sums)
    long, short = size + spread, max(size - spread, 0.0)
    return np.sqrt(1.0 - short / long) if long > 0.0 else np.nan


@kernel
def large_parts(bright: Mask, least: float) -> tuple[Ints32, int]:
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
def euler_number(mask: Mask) -> int:
    """Count 8-connected objects minus holes; the mask has a margin of one pixel.

    Source: Gray 1971, "Local properties of binary images in two dimensions" (bit quads).
    """
    quads = 0
    for row in range(len(mask) - 1):
        upper, lower = mask[row], mask[row + 1]
        for column in range(len(upper) - 1):
            a, b, c, d = upper[column], upper[column + 1], lower[column], lower[column + 1]
            filled = int(a) + int(b) + int(c) + int(d)
            crossed = (filled == 2) & (a == d)
            quads += int(filled == 1) - int(filled == 3) - 2 * int(crossed)
    return quads // 4


@kernel
def mean_spacing(points: NDArray[Any]) -> float:
    """Return the mean distance from points, shape (n, 2), to the nearest other one, NaN for less than two."""
    count = len(points)
    if count < 2:
        return np.nan
    total = 0.0
    for one in range(count):
        nearest = np.inf
        for other in range(count):
            if other != one:
                down, right = points[one, 0] - points[other, 0], points[one, 1] - points[other, 1]
                nearest = min(nearest, float(down * down + right * right))
        total += np.sqrt(nearest)
    return total / count


@kernel
def local_maxima(plane: Floats32, mask: Mask, threshold: float) -> Ints:
    """List pixels above a threshold and above all eight neighbours, which lie in the mask, shape (n, 2)."""
    height, width = plane.shape
    found = np.empty((height * width // 4 + 1, 2), np.int64)
    count = 0
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            value = plane[row, column]
            if not mask[row, column] or value <= threshold:
                continue
            highest = True
            for near_row in range(row - 1, row + 2):
                for near_column in range(column - 1, column + 2):
                    if near_row == row and near_column == column:
                        continue
                    inside = mask[near_row, near_column]
                    highest = highest and inside and plane[near_row, near_column] < value
            if highest:
                found[count] = row, column
                count += 1
    return found[:count]
