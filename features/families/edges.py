"""Edges: how much of a channel lies on them, how strong they are, and in which directions they run."""

import numpy as np

from features.cells import Region
from features.jit import Floats, Floats32, Mask, kernel
from features.kernels.sums import in_order
from features.planes import interior, smoothed
from features.registry import BITS, SCALED, Output, feature

BINS = 8
NUMBERS = 7
EQUAL = 1.0001
"""Both sides of a step change alike, up to rounding."""

SIGMA = 1

OUTPUTS = {
    "pixel_share": Output("share of the cell's pixels on edges of {0}"),
    "intensity_share": Output("share of {0}'s intensity on its edges", invariances=SCALED),
    "strength": Output("mean gradient magnitude on edges of {0} over its root mean square in the cell"),
    "direction_peak": Output("peak of the histogram of edge directions"),
    "direction_entropy": Output("entropy of the histogram of edge directions", BITS),
    "direction_imbalance": Output(
        "edge direction difference (share of edges without a counterpart in the opposite direction)"
    ),
    "common_direction": Output("coherence of edge orientations (0 none, 1 all parallel)"),
}


@feature(family="edges", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS, version=2)
def edges(region: Region) -> Floats:
    """Describe the edges in each channel, shape (channels, 7).

    Units: the entropy is in bits, the rest has none. An edge is where, after smoothing by 1 px, the
    gradient exceeds its root mean square and is the largest along its own direction. The histogram of
    directions has eight bins centred on axes and diagonals; the common direction is the length of the mean
    of doubled directions (0 none, 1 all edges parallel). NaN where no pixel has all its neighbours in the
    cell and, but for the share of pixels, without edges; what is relative to a black channel.

    Source: Boland and Murphy 2001 (SLF1.9 to 1.13, features of edges: share of pixels and intensity,
    homogeneity of directions); Canny 1986 (largest along the gradient).
    """
    cell = region.cell
    return edge_numbers(cell.once(smoothed, SIGMA), cell.pixels, cell.once(interior, 1), region.totals)


@kernel
def _gradient(plane: Floats32, inner: Mask, down: Floats32, right: Floats32) -> float:
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
def _is_crest(down: Floats32, right: Floats32, row: int, column: int, squared: float) -> bool:
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
def edge_numbers(planes: Floats32, pixels: Floats32, inner: Mask, totals: Floats) -> Floats:
    """Find the crests of each channel's gradient and describe them, in the order of `OUTPUTS`.

    `planes` are smoothed; `inner` marks pixels whose neighbours all lie in the mask. Strength is the mean
    gradient on edges over the root mean square. NaN without edges, but for the first.
    """
    channels, height, width = planes.shape
    out = np.full((channels, NUMBERS), np.nan)
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
def _histogram(shares: Floats) -> tuple[float, float, float]:
    """Return the largest share, the entropy in bits, and the difference between opposite bins."""
    entropy, difference = 0.0, 0.0
    for index in range(BINS):
        if shares[index] > 0.0:
            entropy -= shares[index] * np.log2(shares[index])
        difference += 0.5 * abs(shares[index] - shares[(index + BINS // 2) % BINS])
    return shares.max(), entropy, difference
