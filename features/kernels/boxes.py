"""Where each label lies, from one pass over the label image."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def _extremes(labels: NDArray[np.int32], largest: int) -> NDArray[np.int64]:
    """Return count, top, bottom, left, right of every label from 0 to `largest`; ends are exclusive."""
    boxes = np.zeros((largest + 1, 5), np.int64)
    height, width = labels.shape
    for row in range(height):
        for column in range(width):
            label = labels[row, column]
            if label == 0:
                continue
            box = boxes[label]
            if box[0] == 0:
                box[1] = row
                box[3] = column
                box[4] = column + 1
            box[0] += 1
            box[2] = row + 1
            box[3] = min(box[3], column)
            box[4] = max(box[4], column + 1)
    return boxes


def bounding_boxes(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Find the bounding box of every label.

    Parameters
    ----------
    labels : ndarray, shape (height, width), int32
        0 is background; labels need not be consecutive.

    Returns
    -------
    ndarray, shape (labels, 5)
        Label, top, bottom (exclusive), left, right (exclusive), in ascending order of label.
    """
    boxes = _extremes(labels, int(labels.max(initial=0)))
    present = np.flatnonzero(boxes[:, 0])
    return np.column_stack([present, boxes[present, 1:]])


@kernel
def cut_out(
    pixels: NDArray[np.float32],
    cells: NDArray[np.int32],
    nuclei: NDArray[np.int32],
    box: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Cut one cell out of a picture, with a margin of one pixel.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    cells, nuclei : ndarray, shape (height, width), int32
    box : ndarray, shape (5,), int64
        A row of `bounding_boxes`.

    Returns
    -------
    crop : ndarray, shape (channels, rows, columns), float32
        0 outside the cell.
    masks : ndarray, shape (3, rows, columns), bool
        The cell; its nucleus: what carries its label in `nuclei`; the rest of it.
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
