"""Cells cut out of a picture: their bounding boxes, crops and lists of pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from features.jit import Floats, Floats32, Ints, Ints32, Mask, kernel


def bounding_boxes(labels: Ints32) -> Ints:
    """Find the bounding boxes of the labels that occur, in ascending order, shape (labels, 5).

    Label, top, bottom (exclusive), left, right (exclusive).
    """
    found = find_objects(labels) if labels.any() else []
    boxes = [
        (label, rows.start, rows.stop, columns.start, columns.stop)
        for label, (rows, columns) in ((label, box) for label, box in enumerate(found, 1) if box)
    ]
    return np.array(boxes, np.int64).reshape(-1, 5)


@kernel
def cut_out(pixels: Floats32, cells: Ints32, nuclei: Ints32, box: Ints) -> tuple[Floats32, Mask]:
    """Cut one cell out of a picture by its row of `bounding_boxes`, with a margin of one pixel.

    Returns its pixels, 0 outside the cell, and three masks: the cell; its nucleus, which is what carries its
    label in `nuclei`; the rest of it.
    """
    label, top, bottom, left, right = box
    crop = np.zeros((len(pixels), bottom - top + 2, right - left + 2), np.float32)
    masks = np.zeros((3, bottom - top + 2, right - left + 2), np.bool_)
    for row in range(top, bottom):
        here, inner = cells[row, left:right], nuclei[row, left:right]
        for column in range(right - left):
            inside, nucleus = here[column] == label, inner[column] == label
            masks[0, row - top + 1, column + 1] = inside
            masks[1, row - top + 1, column + 1] = inside and nucleus
            masks[2, row - top + 1, column + 1] = inside and not nucleus
        for channel in range(len(pixels)):
            source, target = pixels[channel, row, left:right], crop[channel, row - top + 1, 1:]
            for column in range(right - left):
                target[column] = source[column] if here[column] == label else np.float32(0)
    return crop, masks


@kernel
def gather(pixels: Floats32, mask: Mask, count: int) -> tuple[Floats, Ints]:
    """List the intensities and the positions of a mask's `count` pixels."""
    channels, height, width = pixels.shape
    values = np.empty((channels, count), np.float64)
    positions = np.empty((2, count), np.int64)
    found = 0
    for row in range(height):
        first = found
        for column in range(width):
            if mask[row, column]:
                positions[0, found] = row
                positions[1, found] = column
                found += 1
        for channel in range(channels):
            line = pixels[channel, row]
            for index in range(first, found):
                values[channel, index] = line[positions[1, index]]
    return values, positions


@kernel
def ranks_of_part(ranks: Ints32, positions: Ints, mask: Mask, count: int) -> Ints32:
    """Pick the ranks of a part of a region: of the `count` pixels of its mask.

    `ranks` and `positions` are those of the whole region.
    """
    channels, whole = ranks.shape
    out = np.empty((channels, count), np.int32)
    found = 0
    for index in range(whole):
        if mask[positions[0, index], positions[1, index]]:
            for channel in range(channels):
                out[channel, found] = ranks[channel, index]
            found += 1
    return out


@kernel
def at(plane: NDArray[Any], positions: Ints) -> Floats:
    """Return a plane's values at positions, shape (n,)."""
    out = np.empty(positions.shape[1], np.float64)
    for index in range(len(out)):
        out[index] = plane[positions[0, index], positions[1, index]]
    return out
