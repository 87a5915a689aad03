"""Scale bars that were drawn into pictures in colours: white, wide and low."""

import numpy as np
from numpy.typing import NDArray

_WHITE = 0.86
"""Share of white from which all three colours count as the bar: JPEG's compression leaves that much."""
_FILLED = 0.7
"""Share of its rectangle that a bar fills."""
_BLOCK = 16
"""Pixels on a side of the blocks whose colours JPEG mixes."""
_RING = 16
"""Pixels around a bar whose median replaces it."""


def without_scale_bar(
    values: NDArray[np.generic], top: float, colour: int
) -> tuple[NDArray[np.generic], str]:
    """Return one colour of a picture, shape (height, width, 3), without its scale bar; and where it was.

    A scale bar is a white rectangle at least six times as wide as high, in the upper or lower fifth of the
    picture. It is replaced by the median around it, with the blocks that JPEG's compression mixes it into.
    """
    from scipy.ndimage import find_objects, label

    plane = values[..., colour]
    white = np.minimum(np.minimum(values[..., 0], values[..., 1]), values[..., 2]) >= _WHITE * top
    height, width = white.shape
    white[height // 5 : -(height // 5) or None] = False
    if not white.any():
        return plane, ""
    labels, _ = label(white)
    notes: list[str] = []
    for number, (rows, columns) in enumerate(find_objects(labels), start=1):
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        filled = np.count_nonzero(labels[rows, columns] == number) / (high * wide)
        if wide < max(6 * high, width // 40) or filled < _FILLED or high < 2:
            continue
        plane = plane.copy() if not notes else plane
        _fill(plane, rows, columns)
        notes.append(f"rows {rows.start}–{rows.stop - 1}, columns {columns.start}–{columns.stop - 1}")
    return plane, f"scale bar replaced by the median around it ({'; '.join(notes)})" if notes else ""


def _fill(plane: NDArray[np.generic], rows: slice, columns: slice) -> None:
    """Replace a rectangle, widened to whole blocks, by the median of the pixels around it."""
    top, bottom = rows.start // _BLOCK * _BLOCK, -(-rows.stop // _BLOCK) * _BLOCK
    left, right = columns.start // _BLOCK * _BLOCK, -(-columns.stop // _BLOCK) * _BLOCK
    around = plane[max(0, top - _RING) : bottom + _RING, max(0, left - _RING) : right + _RING]
    ring = np.ones(around.shape, bool)
    ring[
        min(_RING, top) : min(_RING, top) + bottom - top, min(_RING, left) : min(_RING, left) + right - left
    ] = False
    plane[top:bottom, left:right] = np.median(around[ring]).astype(plane.dtype)
