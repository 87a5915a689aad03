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
def power_sums(
    values: NDArray[np.float64],
    positions: NDArray[np.int64],
    row: float,
    column: float,
    radius: float,
) -> NDArray[np.float64]:
    """Sum y^q x^p over a region, with weight 1 and with each channel's intensity.

    All Zernike moments are sums of these few, and a row's y is a common factor.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64
        In reading order.
    row, column, radius : float
        The circle that becomes the unit disc.

    Returns
    -------
    ndarray, shape (1 + channels, degree + 1, degree + 1), float64
        Indexed by q and p; 0 where q + p exceeds the degree.
    """
    channels, count = values.shape
    sums = np.zeros((1 + channels, DEGREE + 1, DEGREE + 1), np.float64)
    line = np.zeros((1 + channels, DEGREE + 1), np.float64)
    powers = np.empty(DEGREE + 1, np.float64)
    for index in range(count):
        x = (positions[1, index] - column) / radius
        power = 1.0
        for p in range(DEGREE + 1):
            powers[p] = power
            line[0, p] += power
            power *= x
        for channel in range(channels):
            value = values[channel, index]
            for p in range(DEGREE + 1):
                line[1 + channel, p] += value * powers[p]
        if index + 1 == count or positions[0, index + 1] != positions[0, index]:
            y = (positions[0, index] - row) / radius
            power = 1.0
            for q in range(DEGREE + 1):
                sums[:, q, : DEGREE + 1 - q] += power * line[:, : DEGREE + 1 - q]
                power *= y
            line[:] = 0.0
    return sums
