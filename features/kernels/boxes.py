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
