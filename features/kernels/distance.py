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
