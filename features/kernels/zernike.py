"""Zernike moments of shapes and intensities on the smallest circle around a region."""

from math import factorial

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

DEGREE = 9
ORDERS = tuple((n, m) for n in range(DEGREE + 1) for m in range(n + 1) if (n - m) % 2 == 0)
"""The (n, m) of the 30 moments up to degree 9, in CellProfiler's order."""

BASIS = tuple((m, k) for m in range(DEGREE + 1) for k in range((DEGREE - m) // 2 + 1))
"""The (m, k) of the products z^m |z|^(2k) that all moments are sums of."""


def _coefficients() -> NDArray[np.float64]:
    """Return the weights of the basis in each moment, shape (moments, basis)."""
    weights = np.zeros((len(ORDERS), len(BASIS)))
    for place, (n, m) in enumerate(ORDERS):
        half = (n - m) // 2
        for s in range(half + 1):
            below = factorial(s) * factorial((n + m) // 2 - s) * factorial(half - s)
            weights[place, BASIS.index((m, half - s))] = (-1) ** s * factorial(n - s) / below
    return weights


COEFFICIENTS = _coefficients()


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
def zernike_sums(
    values: NDArray[np.float64],
    positions: NDArray[np.int64],
    row: float,
    column: float,
    radius: float,
) -> NDArray[np.float64]:
    """Sum every basis function over a region, with weight 1 and with each channel's intensity.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64
    row, column, radius : float
        The circle that becomes the unit disc.

    Returns
    -------
    ndarray, shape (1 + channels, 2, basis), float64
        Real and imaginary parts.
    """
    channels, count = values.shape
    size = len(COEFFICIENTS[0])
    sums = np.zeros((1 + channels, 2 * size), np.float64)
    powers = np.empty(2 * size, np.float64)
    for index in range(count):
        y = (positions[0, index] - row) / radius
        x = (positions[1, index] - column) / radius
        square = x * x + y * y
        real, imaginary = 1.0, 0.0
        place = 0
        for order in range(DEGREE + 1):
            across, along = real, imaginary
            for _ in range((DEGREE - order) // 2 + 1):
                powers[place] = across
                powers[size + place] = along
                across *= square
                along *= square
                place += 1
            real, imaginary = real * x - imaginary * y, real * y + imaginary * x
        for number in range(2 * size):
            sums[0, number] += powers[number]
        for channel in range(channels):
            value = values[channel, index]
            for number in range(2 * size):
                sums[1 + channel, number] += value * powers[number]
    return sums.reshape(1 + channels, 2, size)
