"""Edges inside a mask: where intensity changes most, and in which direction."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.binary_patterns import eroded
from features.kernels.lanes import in_order

BINS = 8
NUMBERS = 7
EQUAL = 1.0001
"""Both sides of a step change alike, up to rounding."""


@kernel
def _gradient(
    plane: NDArray[np.float32],
    inner: NDArray[np.bool_],
    down: NDArray[np.float32],
    right: NDArray[np.float32],
) -> float:
    """Write central differences into `down` and `right`, 0 where not `inner`; sum up their squares."""
    height, width = plane.shape
    squares = np.zeros(width - 2, np.float64)
    for row in range(1, height - 1):
        above, below, within = plane[row - 1, 1:], plane[row + 1, 1:], inner[row, 1:]
        before, after = plane[row], plane[row, 2:]
        vertical, horizontal = down[row, 1:], right[row, 1:]
        for column in range(width - 2):
            change = np.float32(0.5) * (below[column] - above[column])
            vertical[column] = change if within[column] else 0.0
        for column in range(width - 2):
            change = np.float32(0.5) * (after[column] - before[column])
            horizontal[column] = change if within[column] else 0.0
        for column in range(width - 2):
            squares[column] += float(vertical[column]) ** 2 + float(horizontal[column]) ** 2
    return in_order(squares)


@kernel
def _is_crest(
    down: NDArray[np.float32], right: NDArray[np.float32], row: int, column: int, squared: float
) -> bool:
    """Say whether no neighbour along the gradient, of eight, changes more."""
    y, x = down[row, column], right[row, column]
    steep, flat = abs(y) > 0.4142135 * abs(x), abs(x) > 0.4142135 * abs(y)
    step_row = (1 if y > 0 else -1) if steep else 0
    step_column = (1 if x > 0 else -1) if flat else 0
    for side in (-1, 1):
        at_row, at_column = row + side * step_row, column + side * step_column
        if float(down[at_row, at_column]) ** 2 + float(right[at_row, at_column]) ** 2 > squared * EQUAL:
            return False
    return True


@kernel
def edge_numbers(
    planes: NDArray[np.float32],
    pixels: NDArray[np.float32],
    mask: NDArray[np.bool_],
    totals: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Find the crests of each channel's gradient and describe them.

    Parameters
    ----------
    planes : ndarray, shape (channels, height, width), float32
        Smoothed; with a margin of one pixel.
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
    totals : ndarray, shape (channels,), float64
        The intensities of the mask's pixels summed up.

    Returns
    -------
    ndarray, shape (channels, 7), float64
        Share of inner pixels on edges; share of intensity there; mean gradient there over the root
        mean square; then of the histogram of its direction in eight bins: largest share, entropy
        in bits, difference between opposite directions; and how far edges share an orientation.
        NaN without edges, but for the first.
    """
    channels, height, width = planes.shape
    out = np.full((channels, NUMBERS), np.nan)
    inner = eroded(mask, 1)
    down, right = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    count = np.count_nonzero(inner)
    if count == 0:
        return out
    for channel in range(channels):
        squares = _gradient(planes[channel], inner, down, right)
        least = max(squares / count, 1e-12)
        bins = np.zeros(BINS, np.float64)
        edges, amount, strength, along, across = 0.0, 0.0, 0.0, 0.0, 0.0
        for row in range(1, height - 1):
            for column in range(1, width - 1):
                y, x = float(down[row, column]), float(right[row, column])
                squared = y * y + x * x
                if squared <= least or not _is_crest(down, right, row, column, squared):
                    continue
                edges += 1.0
                amount += pixels[channel, row, column]
                strength += np.sqrt(squared)
                along += (x * x - y * y) / squared
                across += 2.0 * x * y / squared
                bins[_bin(y, x)] += 1.0
        out[channel, 0] = edges / count
        if edges > 0.0:
            out[channel, 1] = amount / totals[channel] if totals[channel] > 0.0 else np.nan
            out[channel, 2] = strength / edges / np.sqrt(squares / count)
            out[channel, 3:6] = _histogram(bins / edges)
            out[channel, 6] = np.hypot(along, across) / edges
    return out


@kernel
def _bin(y: float, x: float) -> int:
    """Return the eighth of the circle a direction lies in, centred on axes and diagonals."""
    steep, flat = abs(y) > 0.4142135623730950 * abs(x), abs(x) > 0.4142135623730950 * abs(y)
    if steep and flat:
        return (1 if x > 0.0 else 3) if y > 0.0 else (7 if x > 0.0 else 5)
    if steep:
        return 2 if y > 0.0 else 6
    return 0 if x > 0.0 else 4


@kernel
def _histogram(shares: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the largest share, the entropy in bits, and the difference between opposite bins."""
    entropy, difference = 0.0, 0.0
    for index in range(BINS):
        if shares[index] > 0.0:
            entropy -= shares[index] * np.log2(shares[index])
        difference += 0.5 * abs(shares[index] - shares[(index + BINS // 2) % BINS])
    return shares.max(), entropy, difference
