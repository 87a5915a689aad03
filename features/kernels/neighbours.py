"""Sums over all cells of a field, and which cells touch, each from one pass over the label image."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def label_sums(
    pixels: NDArray[np.float32],
    labels: NDArray[np.int32],
    inside: NDArray[np.int32],
    place: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Sum pixels, positions and intensities of every label, where both label images agree.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    labels, inside : ndarray, shape (height, width), int32
        A pixel counts if both hold the same label.
    place : ndarray, shape (largest label + 1,), int64
        Row of the result for every label; rows run from 0 without gaps.

    Returns
    -------
    ndarray, shape (cells, 3 + channels), float64
        Number of pixels, sum of rows, of columns, and of each channel.
    """
    channels, height, width = pixels.shape
    sums = np.zeros((place.max() + 1, 3 + channels), np.float64)
    for row in range(height):
        for column in range(width):
            label = labels[row, column]
            if label > 0 and inside[row, column] == label:
                line = sums[place[label]]
                line[0] += 1.0
                line[1] += row
                line[2] += column
                for channel in range(channels):
                    line[3 + channel] += pixels[channel, row, column]
    return sums


@kernel
def contacts(
    labels: NDArray[np.int32], place: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find where cells touch: pixels of different cells that share a side or a corner.

    Parameters
    ----------
    labels : ndarray, shape (height, width), int32
    place : ndarray, shape (largest label + 1,), int64

    Returns
    -------
    shares : ndarray, shape (cells,), float64
        Share of the pixels of a cell's outline inside the picture that touch another cell.
    pairs : ndarray, shape (n, 2), int64
        Rows of cells that touch, once per touching pixel.
    """
    height, width = labels.shape
    cells = place.max() + 1
    outline = np.zeros(cells, np.float64)
    touching = np.zeros(cells, np.float64)
    pairs = np.empty((8 * height * width, 2), np.int32)
    found = 0
    for row in range(height):
        for column in range(width):
            label = labels[row, column]
            if label == 0:
                continue
            edge, touched = False, False
            for near_row in range(max(0, row - 1), min(height, row + 2)):
                for near_column in range(max(0, column - 1), min(width, column + 2)):
                    other = labels[near_row, near_column]
                    if other == label:
                        continue
                    edge = True
                    if other > 0:
                        touched = True
                        pairs[found] = place[label], place[other]
                        found += 1
            outline[place[label]] += 1.0 if edge else 0.0
            touching[place[label]] += 1.0 if touched else 0.0
    shares = np.zeros(cells, np.float64)
    for cell in range(cells):
        if outline[cell] > 0.0:
            shares[cell] = touching[cell] / outline[cell]
    return shares, pairs[:found].astype(np.int64)
