"""Filaments: skeletons of bright lines, described."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.lanes import in_order
from features.kernels.objects import components, object_sums
from features.kernels.patterns import places_of
from features.kernels.ridges import links, thin

SHORTEST = 4.0
"""A skeleton shorter than this, in pixels, is no filament."""
NUMBERS = 11


@kernel
def lines(ridge: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Mark pixels whose ridge is stronger than the root mean square over a mask of `count` pixels.

    Parameters
    ----------
    ridge : ndarray, shape (2, height, width), float32
        One channel of `features.kernels.ridges.ridges`.
    """
    _, height, width = ridge.shape
    strength = np.empty((height, width), np.float64)
    squares = np.zeros(width, np.float64)
    for row in range(height):
        x, y, here = ridge[0, row], ridge[1, row], strength[row]
        for column in range(width):
            here[column] = float(x[column]) ** 2 + float(y[column]) ** 2
            squares[column] += here[column]
    return strength > max(in_order(squares) / count, 1e-12)


@kernel
def skeleton_sums(labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Sum up every skeleton: its length, ends and branches, shape (count, 3)."""
    out = np.zeros((count, 3), np.float64)
    flat, width = labels.ravel(), labels.shape[1]
    for at in places_of(labels):
        joined, length = links(flat, at, width)
        place = out[flat[at] - 1]
        place[0] += length
        place[1] += 1.0 if joined == 1 else 0.0
        place[2] += 1.0 if joined > 2 else 0.0
    return out


@kernel
def reach(sums: NDArray[np.float64]) -> float:
    """Return the length of the straight line of a skeleton's second moments."""
    area = sums[0]
    rows = sums[3] / area - (sums[1] / area) ** 2
    columns = sums[4] / area - (sums[2] / area) ** 2
    both = sums[5] / area - sums[1] * sums[2] / area**2
    longest = 0.5 * (rows + columns + np.hypot(rows - columns, 2.0 * both))
    return float(np.sqrt(max(0.0, 12.0 * longest)))


@kernel
def _directions(
    ridge: NDArray[np.float32], labels: NDArray[np.int32], centre: tuple[float, float]
) -> tuple[float, float]:
    """Return how far skeleton pixels share one direction, and how far they point at a centre."""
    width = labels.shape[1]
    along, across, weight, towards = 0.0, 0.0, 0.0, 0.0
    for at in places_of(labels):
        row, column = at // width, at % width
        x, y = float(ridge[0, row, column]), float(ridge[1, row, column])
        strength = np.hypot(x, y)
        down, right = row - centre[0], column - centre[1]
        squared = down * down + right * right
        if strength > 0.0 and squared > 0.0:
            along += x / strength
            across += y / strength
            weight += 1.0
            pointing = x * (right * right - down * down) + y * 2.0 * right * down
            towards += pointing / strength / squared
    if weight == 0.0:
        return np.nan, np.nan
    return np.hypot(along, across) / weight, towards / weight


@kernel
def filament_numbers(
    pixels: NDArray[np.float32],
    ridge: NDArray[np.float32],
    totals: NDArray[np.float64],
    count: int,
    centre: tuple[float, float],
) -> NDArray[np.float64]:
    """Describe the filaments of every channel.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    ridge : ndarray, shape (channels, 2, height, width), float32
        With a margin of one pixel.
    totals : ndarray, shape (channels,), float64
        The intensities of the cell's pixels summed up.
    count : int
        Number of the cell's pixels.
    centre : tuple of float
        Row and column of what they may point at.

    Returns
    -------
    ndarray, shape (channels, 11), float64
        Total length per pixel, number, mean and largest length, ends and branches per length, share of
        the intensity and relative brightness on skeletons, straightness, common direction, radial
        direction. NaN without filaments, but for the first two.
    """
    channels = len(pixels)
    out = np.full((channels, NUMBERS), np.nan)
    for channel in range(channels):
        labels, found = components(thin(lines(ridge[channel], count)))
        graph = skeleton_sums(labels, found)
        sums = object_sums(labels, found, pixels[channel])
        total, ends, branches, straight, area, amount = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        longest, number = 0.0, 0
        for one in range(found):
            length = graph[one, 0]
            if length < SHORTEST:
                continue
            number += 1
            total += length
            longest = max(longest, length)
            ends += graph[one, 1]
            branches += graph[one, 2]
            straight += min(length, reach(sums[one]))
            area += sums[one, 0]
            amount += sums[one, 6]
        out[channel, 0], out[channel, 1] = total / count, number
        if number == 0:
            continue
        out[channel, 2], out[channel, 3] = total / number, longest
        out[channel, 4], out[channel, 5] = ends / total, branches / total
        if totals[channel] > 0.0:
            out[channel, 6] = amount / totals[channel]
            out[channel, 7] = amount / area / (totals[channel] / count)
        out[channel, 8] = straight / total
        flat = labels.ravel()
        for at in places_of(labels):
            if graph[flat[at] - 1, 0] < SHORTEST:
                flat[at] = 0
        out[channel, 9], out[channel, 10] = _directions(ridge[channel], labels, centre)
    return out


@kernel
def alignment(ridge: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure how parallel the lines of every pair of channels run, weighted by the strengths of both.

    Parameters
    ----------
    ridge : ndarray, shape (channels, 2, height, width), float32

    Returns
    -------
    ndarray, shape (pairs,), float64
        Mean cosine of twice the angle between them; NaN where no pixel lies on lines of both.
    """
    channels, _, height, width = ridge.shape
    strength = np.sqrt(ridge[:, 0] ** 2 + ridge[:, 1] ** 2)
    out = np.full(channels * (channels - 1) // 2, np.nan)
    products, weights = np.empty(width, np.float64), np.empty(width, np.float64)
    pair = 0
    for first in range(channels):
        for second in range(first + 1, channels):
            products[:], weights[:] = 0.0, 0.0
            for row in range(height):
                ax, ay, a = ridge[first, 0, row], ridge[first, 1, row], strength[first, row]
                bx, by, b = ridge[second, 0, row], ridge[second, 1, row], strength[second, row]
                for column in range(width):
                    products[column] += ax[column] * bx[column] + ay[column] * by[column]
                for column in range(width):
                    weights[column] += a[column] * b[column]
            weight = in_order(weights)
            if weight > 0.0:
                out[pair] = in_order(products) / weight
            pair += 1
    return out
