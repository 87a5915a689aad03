"""The pixels of a region as lists: where they are, how bright, in which order."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def gather(
    pixels: NDArray[np.float32], mask: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """List the pixels of a mask in reading order.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
    count : int
        Number of pixels in the mask, n.

    Returns
    -------
    values : ndarray, shape (channels, n), float32
    positions : ndarray, shape (2, n), int64
        Row and column.
    """
    channels, height, width = pixels.shape
    values = np.empty((channels, count), np.float32)
    positions = np.empty((2, count), np.int64)
    found = 0
    for row in range(height):
        for column in range(width):
            if mask[row, column]:
                positions[0, found] = row
                positions[1, found] = column
                found += 1
    for channel in range(channels):
        for index in range(count):
            values[channel, index] = pixels[channel, positions[0, index], positions[1, index]]
    return values, positions


@kernel
def order_of_part(
    order: NDArray[np.int64], positions: NDArray[np.int64], mask: NDArray[np.bool_], count: int
) -> NDArray[np.int64]:
    """Sort a part of a region's pixels by what is known of the whole.

    Parameters
    ----------
    order : ndarray, shape (channels, whole), int64
        Indices that sort the whole region's pixels.
    positions : ndarray, shape (2, whole), int64
    mask : ndarray, shape (height, width), bool
        The part.
    count : int
        Number of its pixels, n.

    Returns
    -------
    ndarray, shape (channels, n), int64
        Indices that sort the part's pixels.
    """
    channels, whole = order.shape
    place = np.full(whole, -1, np.int64)
    found = 0
    for index in range(whole):
        if mask[positions[0, index], positions[1, index]]:
            place[index] = found
            found += 1
    out = np.empty((channels, count), np.int64)
    for channel in range(channels):
        found = 0
        for index in range(whole):
            at = place[order[channel, index]]
            if at >= 0:
                out[channel, found] = at
                found += 1
    return out


@kernel
def rank(
    values: NDArray[np.float64], order: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Sort and rank every row.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    order : ndarray, shape (channels, n), int64
        Indices that sort each row.

    Returns
    -------
    ascending : ndarray, shape (channels, n), float64
    averaged : ndarray, shape (channels, n), float64
        Ranks from 0, ties averaged.
    dense : ndarray, shape (channels, n), int64
        Ranks from 0, equal values share one and the next is one more.
    """
    channels, count = values.shape
    ascending = np.empty((channels, count), np.float64)
    averaged = np.empty((channels, count), np.float64)
    dense = np.empty((channels, count), np.int64)
    for channel in range(channels):
        for index in range(count):
            ascending[channel, index] = values[channel, order[channel, index]]
        start, number = 0, 0
        while start < count:
            end = start + 1
            while end < count and ascending[channel, end] == ascending[channel, start]:
                end += 1
            for position in range(start, end):
                averaged[channel, order[channel, position]] = 0.5 * (start + end - 1)
                dense[channel, order[channel, position]] = number
            start = end
            number += 1
    return ascending, averaged, dense
