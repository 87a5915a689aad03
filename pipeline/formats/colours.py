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
    plane = values[..., colour]
    bars = _scale_bars(values, top)
    for number, (rows, columns) in enumerate(bars):
        plane = plane if number else plane.copy()
        _fill(plane, rows, columns)
    places = [f"rows {one.start}–{one.stop - 1}, columns {two.start}–{two.stop - 1}" for one, two in bars]
    return plane, f"scale bar replaced by the median around it ({'; '.join(places)})" if bars else ""


def has_scale_bar(values: NDArray[np.generic], top: float) -> bool:
    """Say whether a picture in colours has a scale bar at the lower right, as HPA's dictionary draws it."""
    height, width = values.shape[:2]
    return any(
        rows.start > 0.9 * height and columns.start > width / 2 for rows, columns in _scale_bars(values, top)
    )


def _scale_bars(values: NDArray[np.generic], top: float) -> list[tuple[slice, slice]]:
    """Return the rows and columns of white rectangles, wide and low, in the upper or lower fifth."""
    from scipy.ndimage import find_objects, label

    white = np.minimum(np.minimum(values[..., 0], values[..., 1]), values[..., 2]) >= _WHITE * top
    height, width = white.shape
    white[height // 5 : -(height // 5) or None] = False
    if not white.any():
        return []
    labels, _ = label(white)
    bars = []
    for number, (rows, columns) in enumerate(find_objects(labels), start=1):
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        filled = np.count_nonzero(labels[rows, columns] == number) / (high * wide)
        if wide >= max(6 * high, width // 40) and filled >= _FILLED and high >= 2:
            bars.append((rows, columns))
    return bars


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
