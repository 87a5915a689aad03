"""Exact Euclidean distances inside a crop."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def _vertical(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Distance along its column from every pixel to the nearest one outside `mask`."""
    height, width = mask.shape
    far = height + width
    out = np.empty((height, width), np.int64)
    for column in range(width):
        out[0, column] = far if mask[0, column] else 0
        for row in range(1, height):
            out[row, column] = out[row - 1, column] + 1 if mask[row, column] else 0
    for row in range(height - 2, -1, -1):
        for column in range(width):
            out[row, column] = min(out[row, column], out[row + 1, column] + 1)
    return out


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
    centre = np.empty(width, np.int64)
    start = np.empty(width, np.int64)
    for row in range(height):
        lines = vertical[row]
        last = 0
        centre[0] = 0
        start[0] = 0
        for column in range(1, width):
            while last >= 0:
                here, at = centre[last], start[last]
                if (at - here) ** 2 + lines[here] ** 2 <= (at - column) ** 2 + lines[column] ** 2:
                    break
                last -= 1
            if last < 0:
                last = 0
                centre[0] = column
            else:
                here = centre[last]
                gap = column * column - here * here + lines[column] ** 2 - lines[here] ** 2
                begin = 1 + int(np.floor(gap / (2.0 * (column - here))))
                if begin < width:
                    last += 1
                    centre[last] = column
                    start[last] = begin
        for column in range(width - 1, -1, -1):
            here = centre[last]
            squared = (column - here) ** 2 + lines[here] ** 2
            out[row, column] = np.inf if lines[here] >= far else np.sqrt(squared)
            if column == start[last]:
                last -= 1
    return out


@kernel
def _sum_over(values: NDArray[np.float64], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum a plane over each of several masks, shape (masks,)."""
    sums = np.zeros(len(masks), np.float64)
    for number in range(len(masks)):
        for row in range(values.shape[0]):
            for column in range(values.shape[1]):
                if masks[number, row, column]:
                    sums[number] += values[row, column]
    return sums


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
    bright = np.empty(pixels.shape, np.bool_)
    counts = np.empty(channels, np.float64)
    sums = np.zeros((channels, channels), np.float64)
    for channel in range(channels):
        bright[channel] = pixels[channel] > thresholds[channel]
        counts[channel] = np.count_nonzero(bright[channel])
    for target in range(channels):
        if counts[target] > 0.0:
            sums[:, target] = _sum_over(distance_inside(~bright[target]), bright)
    out = np.full((channels * (channels - 1) // 2, 2), np.nan)
    pair = 0
    for first in range(channels):
        for second in range(first + 1, channels):
            if counts[first] > 0.0 and counts[second] > 0.0:
                out[pair, 0] = sums[first, second] / counts[first]
                out[pair, 1] = sums[second, first] / counts[second]
            pair += 1
    return out
