"""Sums in lanes: every 64th number has a sum of its own, so that a processor adds several at once.

The order of additions is written down, so the result is the same everywhere, other than with fast-math.
"""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

LANES = 64


@kernel
def add_products(lanes: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    """Add the products of two rows of numbers to lanes.

    Parameters
    ----------
    lanes : ndarray, shape (64,), float64
        Changed.
    one, other : ndarray, shape (n,), float64
        n is a multiple of 64.
    """
    for start in range(0, len(one), LANES):
        a, b = one[start:], other[start:]
        for lane in range(LANES):
            lanes[lane] += a[lane] * b[lane]


@kernel
def total(values: NDArray[np.float64]) -> float:
    """Sum up numbers, shape (n,)."""
    lanes = np.zeros(LANES, np.float64)
    even = len(values) // LANES * LANES
    for start in range(0, even, LANES):
        part = values[start:]
        for lane in range(LANES):
            lanes[lane] += part[lane]
    return in_order(lanes) + in_order(values[even:])


@kernel
def total_from(values: NDArray[np.float64], scale: float, offset: float, least: float) -> float:
    """Sum up the numbers for which (value + offset) scale is at least `least`."""
    lanes = np.zeros(LANES, np.float64)
    even = len(values) // LANES * LANES
    for start in range(0, even, LANES):
        part = values[start:]
        for lane in range(LANES):
            lanes[lane] += part[lane] if (part[lane] + offset) * scale >= least else 0.0
    rest = 0.0
    for value in values[even:]:
        rest += value if (value + offset) * scale >= least else 0.0
    return in_order(lanes) + rest


@kernel
def in_order(values: NDArray[np.float64]) -> float:
    """Sum up a few numbers one after the other."""
    amount = 0.0
    for value in values:
        amount += value
    return amount
