"""Exact Euclidean distances inside a crop."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def _vertical(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Distance along its column from every pixel to the nearest one outside `mask`."""
    height, width = mask.shape
    far = np.int32(height + width)
    out = np.empty((height, width), np.int32)
    for column in range(width):
        out[0, column] = far if mask[0, column] else np.int32(0)
    for row in range(1, height):
        before, here, inside = out[row - 1], out[row], mask[row]
        for column in range(width):
            here[column] = before[column] + np.int32(1) if inside[column] else np.int32(0)
    for row in range(height - 2, -1, -1):
        after, here = out[row + 1], out[row]
        for column in range(width):
            here[column] = min(here[column], after[column] + np.int32(1))
    return out


@kernel
def _nearest_in_row(
    squares: NDArray[np.int32],
    halves: NDArray[np.float64],
    centre: NDArray[np.int32],
    start: NDArray[np.int32],
    out: NDArray[np.int32],
) -> None:
    """Write the least of (column - other)^2 + squares[other] over all others into `out`.

    Parameters
    ----------
    squares : ndarray, shape (width,), int32
    halves : ndarray, shape (width,), float64
        1 / (2 n).
    centre, start : ndarray, shape (width,), int32
        Room for the parabolas of the lower envelope: their columns, and from where they are lowest.
    out : ndarray, shape (width,), int32
    """
    last = 0
    centre[0], start[0] = 0, 0
    for column in range(1, len(squares)):
        height = squares[column]
        while last >= 0:
            here, at = centre[last], start[last]
            if (at - here) * (at - here) + squares[here] <= (at - column) * (at - column) + height:
                break
            last -= 1
        if last < 0:
            last = 0
            centre[0] = column
        else:
            here = centre[last]
            gap = column * column - here * here + height - squares[here]
            begin = 1 + int(np.floor(gap * halves[column - here]))
            if begin < len(squares):
                last += 1
                centre[last], start[last] = column, begin
    end = len(squares)
    for parabola in range(last, -1, -1):
        here, first = centre[parabola], start[parabola]
        for column in range(first, end):
            out[column] = (column - here) * (column - here) + squares[here]
        end = first


@kernel
def distance_inside(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Euclidean distance from every pixel of `mask` to the nearest pixel outside it, 0 outside.

    Where nothing lies outside, the distance is infinite.

    Parameters
    ----------
    mask : ndarray, shape (height, width), bool

    Returns
    -------
    ndarray, shape (height, width), float64
        In pixels.

    Notes
    -----
    Source: Meijster, Roerdink, Hesselink 2000, "A general algorithm for computing distance
    transforms in linear time": columns first, then the lower envelope of parabolas along rows.
    """
    height, width = mask.shape
    far = height + width
    vertical = _vertical(mask)
    out = np.zeros((height, width), np.float64)
    centre, start = np.empty(width, np.int32), np.empty(width, np.int32)
    nearest, squares = np.empty(width, np.int32), np.empty(width, np.int32)
    halves = np.append(0.0, 0.5 / np.arange(1, width + 1))
    for row in range(height):
        lines, target = vertical[row], out[row]
        squares[:] = lines * lines
        if not mask[row].any():
            continue
        _nearest_in_row(squares, halves, centre, start, nearest)
        for column in range(width):
            distance = np.sqrt(float(nearest[column]))
            target[column] = distance if distance < far else np.inf
    return out


@kernel
def _sum_at(plane: NDArray[np.float64], places: NDArray[np.int64]) -> float:
    """Sum a plane over pixels given by their place in reading order."""
    flat = plane.ravel()
    total = 0.0
    for place in places:
        total += flat[place]
    return total


@kernel
def bright_distances(pixels: NDArray[np.float32], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average, for every pair of channels, the distance of one's bright pixels to the other's.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    thresholds : ndarray, shape (channels,), float64
        Bright is above; infinite for a channel without bright pixels.

    Returns
    -------
    ndarray, shape (pairs, 2), float64
        From the first to the second and back, in pixels; NaN where either has no bright pixel.
    """
    channels = len(pixels)
    bright = [pixels[channel] > thresholds[channel] for channel in range(channels)]
    places = [np.flatnonzero(mask) for mask in bright]
    means = np.full((channels, channels), np.nan)
    for target in range(channels):
        if len(places[target]) == 0:
            continue
        distances = distance_inside(~bright[target])
        for source in range(channels):
            if source != target and len(places[source]) > 0:
                means[source, target] = _sum_at(distances, places[source]) / len(places[source])
    out = np.empty((channels * (channels - 1) // 2, 2), np.float64)
    pair = 0
    for first in range(channels):
        for second in range(first + 1, channels):
            out[pair, 0], out[pair, 1] = means[first, second], means[second, first]
            pair += 1
    return out
