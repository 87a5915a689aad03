"""Bright objects and spots inside a mask."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.outline import euler_number
from features.kernels.patterns import places_of


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
    width = bright.shape[1]
    labels = np.zeros(bright.shape, np.int32)
    left, flat = bright.copy().ravel(), labels.ravel()
    places = places_of(bright)
    stack = np.empty(len(places) + 1, np.int64)
    count = 0
    for start in places:
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


OBJECT = 7
"""Sums per object: pixels, rows, columns, squares of rows, of columns, products, intensity."""


@kernel
def object_sums(labels: NDArray[np.int32], count: int, plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum pixels, positions, their products and intensity over every object, shape (count, 7)."""
    sums = np.zeros((count, OBJECT), np.float64)
    flat, values, width = labels.ravel(), plane.ravel(), labels.shape[1]
    for at in places_of(labels):
        row, column = at // width, at % width
        place = sums[flat[at] - 1]
        place[0] += 1.0
        place[1] += row
        place[2] += column
        place[3] += row * row
        place[4] += column * column
        place[5] += row * column
        place[6] += values[at]
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


BODY = 9
"""Numbers in a row of `bright_objects`."""


@kernel
def bright_objects(
    pixels: NDArray[np.float32],
    mask: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    totals: NDArray[np.float64],
    inside: int,
) -> NDArray[np.float64]:
    """Find each channel's connected pixels above a threshold and describe them.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel; of `inside` pixels, at least one.
    thresholds, totals : ndarray, shape (channels,), float64
        The thresholds, and the intensities of the mask's pixels summed up.

    Returns
    -------
    ndarray, shape (channels, 9), float64
        Count; share of the region's pixels and of its intensity in objects; mean and standard
        deviation of area; largest object's share of all objects' pixels; its elongation; mean
        brightness of objects over that of the rest; count minus holes. NaN where there is nothing to
        describe.
    """
    height, width = mask.shape
    out = np.full((len(pixels), BODY), np.nan)
    bright = np.empty((height, width), np.bool_)
    for channel in range(len(pixels)):
        for row in range(height):
            here, within, above = pixels[channel, row], mask[row], bright[row]
            for column in range(width):
                above[column] = within[column] & (here[column] > thresholds[channel])
        labels, count = components(bright)
        numbers, total = out[channel], totals[channel]
        numbers[0], numbers[8] = count, euler_number(bright)
        if count == 0:
            continue
        sums = object_sums(labels, count, pixels[channel])
        areas = sums[:, 0]
        area, amount = areas.sum(), sums[:, 6].sum()
        largest = int(np.argmax(areas))
        numbers[1], numbers[2] = area / inside, amount / total if total > 0.0 else np.nan
        numbers[3] = area / count
        numbers[4] = np.sqrt(max(0.0, (areas * areas).sum() / count - (area / count) ** 2))
        numbers[5], numbers[6] = areas[largest] / area, elongation(sums[largest])
        if inside > area and total > amount:
            numbers[7] = (amount / area) / ((total - amount) / (inside - area))
    return out
