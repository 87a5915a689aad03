"""Bright objects and spots inside a mask."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def otsu(ascending: NDArray[np.float64]) -> float:
    """Find the value that splits sorted values into two classes of largest variance between them.

    Parameters
    ----------
    ascending : ndarray, shape (n,), float64

    Returns
    -------
    float
        The largest value of the lower class; infinite where all values are equal.

    Notes
    -----
    Source: Otsu 1979, on the values themselves instead of a histogram.
    """
    count = len(ascending)
    base = ascending[0]
    total = 0.0
    for value in ascending:
        total += value - base
    best, threshold, below = 0.0, np.inf, 0.0
    for index in range(count - 1):
        below += ascending[index] - base
        if ascending[index + 1] == ascending[index]:
            continue
        lower = index + 1.0
        gap = below / lower - (total - below) / (count - lower)
        between = lower * (count - lower) * gap * gap
        if between > best:
            best, threshold = between, ascending[index]
    return threshold


@kernel
def components(bright: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Label the 8-connected components of a mask that has a margin of one pixel.

    Returns
    -------
    labels : ndarray, shape (height, width), int32
        0 outside.
    count : int
        Number of components.
    """
    height, width = bright.shape
    labels = np.zeros((height, width), np.int32)
    stack = np.empty((np.count_nonzero(bright) + 1, 2), np.int64)
    count = 0
    for row in range(height):
        for column in range(width):
            if not bright[row, column] or labels[row, column] > 0:
                continue
            count += 1
            labels[row, column] = count
            stack[0] = row, column
            waiting = 1
            while waiting > 0:
                waiting -= 1
                y, x = stack[waiting]
                for near_y in range(y - 1, y + 2):
                    for near_x in range(x - 1, x + 2):
                        if bright[near_y, near_x] and labels[near_y, near_x] == 0:
                            labels[near_y, near_x] = count
                            stack[waiting] = near_y, near_x
                            waiting += 1
    return labels, count


OBJECT = 7
"""Sums per object: pixels, rows, columns, squares of rows, of columns, products, intensity."""


@kernel
def object_sums(labels: NDArray[np.int32], count: int, plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum pixels, positions, their products and intensity over every object, shape (count, 7)."""
    sums = np.zeros((count, OBJECT), np.float64)
    height, width = labels.shape
    for row in range(height):
        for column in range(width):
            if labels[row, column] > 0:
                place = sums[labels[row, column] - 1]
                place[0] += 1.0
                place[1] += row
                place[2] += column
                place[3] += row * row
                place[4] += column * column
                place[5] += row * column
                place[6] += plane[row, column]
    return sums


@kernel
def elongation(sums: NDArray[np.float64]) -> float:
    """Return the eccentricity of the ellipse of an object's second moments; NaN for one pixel.

    Parameters
    ----------
    sums : ndarray, shape (7,), float64
        One row of `object_sums`.
    """
    area = sums[0]
    rows = sums[3] / area - (sums[1] / area) ** 2
    columns = sums[4] / area - (sums[2] / area) ** 2
    both = sums[5] / area - sums[1] * sums[2] / area**2
    spread = np.hypot(rows - columns, 2.0 * both)
    long, short = rows + columns + spread, max(rows + columns - spread, 0.0)
    return np.sqrt(1.0 - short / long) if long > 0.0 else np.nan


@kernel
def bright_objects(
    plane: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Find the connected pixels above a threshold and describe them.

    Parameters
    ----------
    plane : ndarray, shape (height, width), float32
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel; not empty.
    threshold : float

    Returns
    -------
    bright : ndarray, shape (height, width), bool
    numbers : ndarray, shape (8,), float64
        Count; share of the region's pixels and of its intensity in objects; mean and standard
        deviation of area; largest object's share of all objects' pixels; its elongation; mean
        brightness of objects over that of the rest. NaN where there is nothing to describe.
    """
    height, width = mask.shape
    bright = np.zeros((height, width), np.bool_)
    inside, total = 0, 0.0
    for row in range(height):
        for column in range(width):
            if mask[row, column]:
                inside += 1
                total += plane[row, column]
                bright[row, column] = plane[row, column] > threshold
    numbers = np.full(8, np.nan)
    labels, count = components(bright)
    numbers[0] = count
    if count == 0:
        return bright, numbers
    sums = object_sums(labels, count, plane)
    areas = sums[:, 0]
    area, amount = areas.sum(), sums[:, 6].sum()
    largest = int(np.argmax(areas))
    numbers[1], numbers[2] = area / inside, amount / total if total > 0.0 else np.nan
    numbers[3] = area / count
    numbers[4] = np.sqrt(max(0.0, (areas * areas).sum() / count - (area / count) ** 2))
    numbers[5], numbers[6] = areas[largest] / area, elongation(sums[largest])
    if inside > area and total > amount:
        numbers[7] = (amount / area) / ((total - amount) / (inside - area))
    return bright, numbers


@kernel
def local_maxima(plane: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float) -> NDArray[np.int64]:
    """Find pixels above a threshold and above all eight neighbours, which all lie in the mask.

    Parameters
    ----------
    plane : ndarray, shape (height, width), float32
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel.

    Returns
    -------
    ndarray, shape (n, 2), int64
        Rows and columns.
    """
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


@kernel
def mean_spacing(points: NDArray[np.int64]) -> float:
    """Return the mean distance from every point to its nearest other one, NaN for less than two."""
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
