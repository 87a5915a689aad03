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
        start = 0
        while start < width:
            label, inner = labels[row, start], inside[row, start]
            end = start + 1
            while end < width and labels[row, end] == label and inside[row, end] == inner:
                end += 1
            if label > 0 and inner == label:
                line, run = sums[place[label]], end - start
                line[0] += run
                line[1] += row * run
                line[2] += 0.5 * (start + end - 1) * run
                for channel in range(channels):
                    for column in range(start, end):
                        line[3 + channel] += pixels[channel, row, column]
            start = end
    return sums


@kernel
def _mark_edges(labels: NDArray[np.int32], row: int, edge: NDArray[np.bool_]) -> None:
    """Mark the pixels of an inner row that have another label among their eight neighbours."""
    inner = len(edge) - 2
    centre, marked = labels[row, 1:], edge[1:]
    marked[:inner] = False
    for down in range(-1, 2):
        for right in range(3):
            near = labels[row + down, right:]
            for column in range(inner):
                marked[column] |= near[column] != centre[column]


@kernel
def _others(labels: NDArray[np.int32], row: int, column: int, out: NDArray[np.int64]) -> int:
    """Write the labels of other cells around a pixel into `out[:, 1]`; return how many pixels they have."""
    height, width = labels.shape
    count = 0
    for near_row in range(max(0, row - 1), min(height, row + 2)):
        for near_column in range(max(0, column - 1), min(width, column + 2)):
            other = labels[near_row, near_column]
            if other > 0 and other != labels[row, column]:
                out[count, 1] = other
                count += 1
    return count


@kernel
def _differs(labels: NDArray[np.int32], row: int, column: int) -> bool:
    """Say whether any pixel around one has another label."""
    height, width = labels.shape
    for near_row in range(max(0, row - 1), min(height, row + 2)):
        for near_column in range(max(0, column - 1), min(width, column + 2)):
            if labels[near_row, near_column] != labels[row, column]:
                return True
    return False


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
    pairs = np.empty((64, 2), np.int64)
    count = 0
    edge = np.ones(width, np.bool_)
    for row in range(height):
        edge[:] = True
        if 0 < row < height - 1 and width > 2:
            _mark_edges(labels, row, edge)
        for column in range(width):
            label = labels[row, column]
            if label == 0 or not edge[column]:
                continue
            if count + 8 > len(pairs):
                pairs = np.concatenate((pairs, pairs))
            others = _others(labels, row, column, pairs[count:])
            pairs[count : count + others, 0] = place[label]
            for index in range(count, count + others):
                pairs[index, 1] = place[pairs[index, 1]]
            outline[place[label]] += 1.0 if _differs(labels, row, column) else 0.0
            touching[place[label]] += 1.0 if others > 0 else 0.0
            count += others
    shares = np.zeros(cells, np.float64)
    for cell in range(cells):
        if outline[cell] > 0.0:
            shares[cell] = touching[cell] / outline[cell]
    return shares, pairs[:count].copy()
