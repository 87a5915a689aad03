"""Zernike moments of shapes and intensities on the smallest circle around a region."""

from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

DEGREE = 9
ORDERS = tuple((n, m) for n in range(DEGREE + 1) for m in range(n + 1) if (n - m) % 2 == 0)
"""The (n, m) of the 30 moments up to degree 9, in CellProfiler's order."""


def _radial(n: int, m: int) -> dict[int, float]:
    """Return the radial polynomial of a moment over |z|^m, as power of |z|^2 to coefficient."""
    half = (n - m) // 2
    out = {}
    for s in range(half + 1):
        below = factorial(s) * factorial((n + m) // 2 - s) * factorial(half - s)
        out[half - s] = (-1.0) ** s * factorial(n - s) / below
    return out


def _coefficients() -> NDArray[np.complex128]:
    """Expand every Zernike polynomial in powers of y and x, shape (moments, degree + 1, degree + 1)."""
    weights = np.zeros((len(ORDERS), DEGREE + 1, DEGREE + 1), np.complex128)
    for place, (n, m) in enumerate(ORDERS):
        for k, weight in _radial(n, m).items():
            for turned in range(m + 1):
                for squared in range(k + 1):
                    y, x = turned + 2 * squared, m - turned + 2 * (k - squared)
                    weights[place, y, x] += weight * comb(m, turned) * 1j**turned * comb(k, squared)
    return weights


COEFFICIENTS = _coefficients().reshape(len(ORDERS), -1)


@kernel
def scattered_ends(positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """List the pixels that can lie on the smallest circle: the first and last of every row.

    They come scattered, by steps of about the golden ratio of their number, not along the outline: only
    then does the search for the circle take linear time.

    Parameters
    ----------
    positions : ndarray, shape (2, n), int64
        Rows and columns in reading order.

    Returns
    -------
    ndarray, shape (ends, 2), float64
    """
    rows, columns = positions
    ends = np.empty(2 * len(rows), np.int64)
    count = 0
    for index in range(len(rows)):
        if index == 0 or rows[index] != rows[index - 1]:
            ends[count] = index
            count += 1
        if index + 1 == len(rows) or rows[index] != rows[index + 1]:
            ends[count] = index
            count += 1
    stride = max(1, int(0.618034 * count))
    while np.gcd(stride, count) > 1:
        stride += 1
    out = np.empty((count, 2), np.float64)
    at = 0
    for number in range(count):
        out[number] = rows[ends[at]], columns[ends[at]]
        at = (at + stride) % count
    return out


@kernel
def _circle_of_three(points: NDArray[np.float64], a: int, b: int, c: int) -> tuple[float, float, float]:
    """Return centre and squared radius of the circle through three points, infinite if on a line."""
    ax, ay = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    bx, by = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1]
    twice = 2.0 * (ax * by - ay * bx)
    if twice == 0.0:
        return 0.0, 0.0, np.inf
    first, second = ax * ax + ay * ay, bx * bx + by * by
    x, y = (by * first - ay * second) / twice, (ax * second - bx * first) / twice
    return points[a, 0] + x, points[a, 1] + y, x * x + y * y


@kernel
def _outside(points: NDArray[np.float64], index: int, circle: tuple[float, float, float]) -> bool:
    """Say whether a point lies outside a circle, beyond rounding."""
    gap = (points[index, 0] - circle[0]) ** 2 + (points[index, 1] - circle[1]) ** 2
    return bool(gap > circle[2] * (1.0 + 1e-12) + 1e-12)


@kernel
def enclosing_circle(points: NDArray[np.float64]) -> tuple[float, float, float]:
    """Find the smallest circle around points.

    Parameters
    ----------
    points : ndarray, shape (n, 2), float64, n >= 1

    Returns
    -------
    tuple of float
        Row and column of the centre, and the radius.

    Notes
    -----
    Source: Welzl 1991, "Smallest enclosing disks", as three nested loops.
    """
    circle = (points[0, 0], points[0, 1], 0.0)
    for a in range(1, len(points)):
        if not _outside(points, a, circle):
            continue
        circle = (points[a, 0], points[a, 1], 0.0)
        for b in range(a):
            if not _outside(points, b, circle):
                continue
            down, right = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
            middle = (points[a, 0] + 0.5 * down, points[a, 1] + 0.5 * right)
            circle = (middle[0], middle[1], 0.25 * (down * down + right * right))
            for c in range(b):
                if _outside(points, c, circle):
                    circle = _circle_of_three(points, a, b, c)
    return circle[0], circle[1], np.sqrt(circle[2])


@kernel
def _powers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the powers 0 to degree of numbers, shape (degree + 1, n)."""
    out = np.ones((DEGREE + 1, len(values)), np.float64)
    for power in range(1, DEGREE + 1):
        out[power] = out[power - 1] * values
    return out


@kernel
def _add_rows(sums: NDArray[np.float64], lines: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Add four rows of a plane, times each power of their y, to the sums over rows of every column.

    Parameters
    ----------
    sums : ndarray, shape (degree + 1, width), float64
    lines : ndarray, shape (4, width), float64
    y : ndarray, shape (degree + 1, 4), float64
        Powers of the rows' y.
    """
    one, two, three, four = lines[0], lines[1], lines[2], lines[3]
    for power in range(DEGREE + 1):
        target = sums[power]
        a, b, c, d = y[power, 0], y[power, 1], y[power, 2], y[power, 3]
        for column in range(len(one)):
            target[column] += (a * one[column] + b * two[column]) + (c * three[column] + d * four[column])


@kernel
def power_sums(planes: NDArray[np.float32], row: float, column: float, radius: float) -> NDArray[np.float64]:
    """Sum y^q x^p over planes, weighted by their values.

    All Zernike moments are sums of these few. Rows are summed up first, four at a time, for all columns
    alike; then columns.

    Parameters
    ----------
    planes : ndarray, shape (planes, height, width), float32
    row, column, radius : float
        The circle that becomes the unit disc.

    Returns
    -------
    ndarray, shape (planes, degree + 1, degree + 1), float64
        Indexed by q and p; 0 where q + p exceeds the degree.
    """
    count, height, width = planes.shape
    x = _powers((np.arange(width) - column) / radius)
    y = _powers((np.arange(height + 3) - row) / radius)
    out = np.zeros((count, DEGREE + 1, DEGREE + 1), np.float64)
    lines = np.empty((4, width), np.float64)
    sums = np.empty((DEGREE + 1, width), np.float64)
    for number in range(count):
        sums[:] = 0.0
        for top in range(0, height, 4):
            for line in range(4):
                if top + line < height:
                    lines[line] = planes[number, top + line]
                else:
                    lines[line] = 0.0
            _add_rows(sums, lines, y[:, top : top + 4])
        for q in range(DEGREE + 1):
            for p in range(DEGREE + 1 - q):
                out[number, q, p] = (sums[q] * x[p]).sum()
    return out
