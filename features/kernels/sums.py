"""Partial sums: every 64th number has a sum of its own, so that a processor adds several at once.

The order of additions is written down, so the result is the same everywhere, other than with fast-math.
"""

import numpy as np

from features.jit import Floats, Ints, kernel

PARTIALS = 64


@kernel
def add_products(partials: Floats, one: Floats, other: Floats) -> None:
    """Add the products of two rows of numbers, a multiple of 64, to partial sums, shape (64,)."""
    for start in range(0, len(one), PARTIALS):
        a, b = one[start:], other[start:]
        for at in range(PARTIALS):
            partials[at] += a[at] * b[at]


@kernel
def total(values: Floats) -> float:
    """Sum up numbers, shape (n,)."""
    partials = np.zeros(PARTIALS, np.float64)
    even = len(values) // PARTIALS * PARTIALS
    for start in range(0, even, PARTIALS):
        part = values[start:]
        for at in range(PARTIALS):
            partials[at] += part[at]
    return in_order(partials) + in_order(values[even:])


@kernel
def total_from(values: Floats, scale: float, offset: float, least: float) -> float:
    """Sum up the numbers for which (value + offset) scale is at least `least`."""
    partials = np.zeros(PARTIALS, np.float64)
    even = len(values) // PARTIALS * PARTIALS
    for start in range(0, even, PARTIALS):
        part = values[start:]
        for at in range(PARTIALS):
            partials[at] += part[at] if (part[at] + offset) * scale >= least else 0.0
    rest = 0.0
    for value in values[even:]:
        rest += value if (value + offset) * scale >= least else 0.0
    return in_order(partials) + rest


@kernel
def in_order(values: Floats) -> float:
    """Sum up a few numbers one after the other."""
    amount = 0.0
    for value in values:
        amount += value
    return amount


@kernel
def moments(values: Floats) -> Floats:
    """Return sum, mean, standard deviation, skewness and excess kurtosis of every row, shape (channels, 5).

    The standard deviation is the population's; skewness and kurtosis are NaN for a flat row.
    """
    channels, count = values.shape
    out = np.empty((channels, 5), np.float64)
    for channel in range(channels):
        row = values[channel]
        amount, flat = total(row), True
        mean = amount / count
        for value in row:
            flat = flat and value == row[0]
        if flat:
            out[channel] = amount, row[0], 0.0, np.nan, np.nan
            continue
        second, third, fourth = _powers_of_gaps(row, mean)
        second, third, fourth = second / count, third / count, fourth / count
        out[channel, :3] = amount, mean, np.sqrt(second)
        out[channel, 3:] = third / second**1.5, fourth / second**2 - 3.0
    return out


@kernel
def _powers_of_gaps(row: Floats, mean: float) -> tuple[float, float, float]:
    """Sum the second, third and fourth powers of differences to the mean."""
    partials = np.zeros((3, PARTIALS), np.float64)
    squares, cubes, fourths = partials[0], partials[1], partials[2]
    for start in range(0, len(row), PARTIALS):
        part = row[start : start + PARTIALS]
        for at in range(len(part)):
            gap = part[at] - mean
            square = gap * gap
            squares[at] += square
            cubes[at] += square * gap
            fourths[at] += square * square
    return in_order(squares), in_order(cubes), in_order(fourths)


@kernel
def centre_of_mass(values: Floats, positions: Floats | Ints) -> Floats:
    """Return the intensity-weighted mean position of every channel, shape (channels, 2); NaN if black."""
    channels, count = values.shape
    out = np.full((channels, 2), np.nan)
    for channel in range(channels):
        total, down, right = 0.0, 0.0, 0.0
        for index in range(count):
            value = values[channel, index]
            total += value
            down += value * positions[0, index]
            right += value * positions[1, index]
        if total > 0.0:
            out[channel, 0] = down / total
            out[channel, 1] = right / total
    return out
