"""Border, perimeter, Euler number and convex hull of a mask."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

# Length of a border pixel by the number of its side (2 each) and corner (10 each) neighbours on the
# border: Benkrid and Crookes' table, as in scikit-image.
_STEP = np.zeros(50)
_STEP[[5, 7, 15, 17, 25, 27]] = 1.0
_STEP[[21, 33]] = np.sqrt(2.0)
_STEP[[13, 23]] = (1.0 + np.sqrt(2.0)) / 2.0


@kernel
def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the pixels of a mask that have a side neighbour outside it; the mask has a margin of one pixel."""
    height, width = mask.shape
    out = np.zeros((height, width), np.bool_)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            inside = mask[row - 1, column] and mask[row + 1, column]
            inside = inside and mask[row, column - 1] and mask[row, column + 1]
            out[row, column] = mask[row, column] and not inside
    return out


@kernel
def on_border(
    values: NDArray[np.float64], positions: NDArray[np.int64], mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return mean and standard deviation of every channel over the pixels with a side neighbour outside.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64
    mask : ndarray, shape (height, width), bool
        The pixels at `positions`, with a margin of one pixel.

    Returns
    -------
    ndarray, shape (channels, 2), float64
    """
    outer = np.empty(values.shape[1], np.int64)
    count = 0
    for index in range(values.shape[1]):
        row, column = positions[0, index], positions[1, index]
        inside = mask[row - 1, column] and mask[row + 1, column]
        if not (inside and mask[row, column - 1] and mask[row, column + 1]):
            outer[count] = index
            count += 1
    out = np.empty((len(values), 2), np.float64)
    for channel in range(len(values)):
        amount, square = 0.0, 0.0
        for index in outer[:count]:
            amount += values[channel, index]
        mean = amount / count
        for index in outer[:count]:
            square += (values[channel, index] - mean) ** 2
        out[channel] = mean, np.sqrt(square / count)
    return out


@kernel
def perimeter(mask: NDArray[np.bool_]) -> float:
    """Measure the length of the border in pixels.

    Source: Benkrid and Crookes 2000, "Design and FPGA implementation of a perimeter estimator".
    """
    edge = border(mask)
    height, width = mask.shape
    length = 0.0
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            if edge[row, column]:
                sides = int(edge[row - 1, column]) + int(edge[row + 1, column])
                sides += int(edge[row, column - 1]) + int(edge[row, column + 1])
                corners = int(edge[row - 1, column - 1]) + int(edge[row - 1, column + 1])
                corners += int(edge[row + 1, column - 1]) + int(edge[row + 1, column + 1])
                length += _STEP[1 + 2 * sides + 10 * corners]
    return length


@kernel
def euler_number(mask: NDArray[np.bool_]) -> int:
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
def _turn(points: NDArray[np.int64], a: int, b: int, c: int) -> int:
    """Return twice the signed area of a triangle of points."""
    first = (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1])
    second = (points[b, 1] - points[a, 1]) * (points[c, 0] - points[a, 0])
    return int(first - second)


@kernel
def _side_points(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Doubled coordinates of the middles of the sides of each row's outermost pixels, by row, then column."""
    height, width = mask.shape
    first = np.full(height, -1, np.int64)
    last = np.full(height, -1, np.int64)
    for row in range(height):
        for column in range(width):
            if mask[row, column]:
                if first[row] < 0:
                    first[row] = column
                last[row] = column
    low = np.full(2 * height + 1, 4 * width, np.int64)
    high = np.full(2 * height + 1, -1, np.int64)
    for row in range(height):
        if first[row] >= 0:
            for line in range(2 * row, 2 * row + 3):
                reach = 1 if line == 2 * row + 1 else 0
                low[line] = min(low[line], 2 * first[row] - reach)
                high[line] = max(high[line], 2 * last[row] + reach)
    points = np.empty((2 * low.size, 2), np.int64)
    count = 0
    for line in range(low.size):
        if high[line] >= 0:
            points[count] = line - 1, low[line]
            points[count + 1] = line - 1, high[line]
            count += 2
    return points[:count]


@kernel
def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the convex hull of the pixels' side middles, in doubled (row, column) coordinates.

    Parameters
    ----------
    mask : ndarray, shape (height, width), bool
        Not empty.

    Returns
    -------
    ndarray, shape (corners, 2), int64
        Corners in order around the hull, no three on a line.

    Notes
    -----
    Source: Andrew 1979, monotone chain. The side middles are scikit-image's `offset_coordinates`.
    """
    points = _side_points(mask)
    count = len(points)
    hull = np.empty(2 * count, np.int64)
    size = 0
    for point in range(count):
        while size >= 2 and _turn(points, hull[size - 2], hull[size - 1], point) <= 0:
            size -= 1
        hull[size] = point
        size += 1
    bottom = size + 1
    for point in range(count - 2, -1, -1):
        while size >= bottom and _turn(points, hull[size - 2], hull[size - 1], point) <= 0:
            size -= 1
        hull[size] = point
        size += 1
    corners: NDArray[np.int64] = points[hull[: size - 1]]
    return corners


@kernel
def hull_numbers(hull: NDArray[np.int64]) -> tuple[int, float, float]:
    """Count the pixel centres in a hull, and measure its largest and smallest width in pixels.

    Parameters
    ----------
    hull : ndarray, shape (corners, 2), int64
        From `convex_hull`.
    """
    corners = len(hull)
    largest = 0.0
    smallest = np.inf
    for a in range(corners):
        b = (a + 1) % corners
        edge = np.hypot(float(hull[b, 0] - hull[a, 0]), float(hull[b, 1] - hull[a, 1]))
        reach = 0.0
        for c in range(corners):
            largest = max(largest, np.hypot(float(hull[c, 0] - hull[a, 0]), float(hull[c, 1] - hull[a, 1])))
            reach = max(reach, abs(_turn(hull, a, b, c)) / edge)
        smallest = min(smallest, reach)
    pixels = 0
    for line in range(hull[:, 0].min(), hull[:, 0].max() + 1):
        if line % 2 == 0:
            pixels += _centres_on_line(hull, line)
    return pixels, largest / 2.0, smallest / 2.0


@kernel
def _centres_on_line(hull: NDArray[np.int64], line: int) -> int:
    """Count the even columns between the hull's two crossings with a row of doubled coordinates."""
    corners = len(hull)
    low, high = np.inf, -np.inf
    for a in range(corners):
        b = (a + 1) % corners
        top, bottom = hull[a, 0], hull[b, 0]
        if min(top, bottom) <= line <= max(top, bottom):
            ends = (hull[a, 1], hull[b, 1])
            for end in range(2):
                share = float(end) if top == bottom else (line - top) / (bottom - top)
                crossing = ends[0] + share * (ends[1] - ends[0])
                low = min(low, crossing)
                high = max(high, crossing)
    tolerance = 1e-9
    return int(np.floor((high + tolerance) / 2.0) - np.ceil((low - tolerance) / 2.0)) + 1
