"""The pixels of a mask one by one, and which of their neighbours belong to it too."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

SHARE = 12
"""A pixel's part of an Euler number is a whole number of twelfths."""


def _euler_shares() -> NDArray[np.int8]:
    """Return a pixel's part of its object's Euler number for all 256 patterns of neighbours, in twelfths.

    Of the four squares of 2 x 2 pixels that a pixel is in, one with a single set pixel counts 1/4, one with
    three -1/4, one with two across a corner -1/2, shared out among its set pixels.
    """
    near = (np.arange(256)[:, None] >> np.arange(8)) & 1 == 1
    sides, corners = near[:, ::2], near[:, 1::2]
    others = np.roll(sides, -1, axis=1)
    alone, bent = ~sides & ~corners & ~others, sides.astype(int) + corners + others == 2
    across = corners & ~sides & ~others
    twelfths: NDArray[np.int64] = 3 * alone.sum(axis=1) - bent.sum(axis=1) - 3 * across.sum(axis=1)
    return twelfths.astype(np.int8)


_EULER_SHARES = _euler_shares()


@kernel
def places_of(plane: NDArray[Any]) -> NDArray[np.int64]:
    """List the pixels that are not 0 by their place in reading order, shape (n,)."""
    flat = plane.ravel()
    places = np.empty(len(flat) + 1, np.int64)
    count = 0
    for at in range(len(flat)):
        places[count] = at
        count += 1 if flat[at] else 0
    return places[:count]


@kernel
def pattern(flat: NDArray[Any], at: int, width: int) -> int:
    """Return which neighbours of a pixel are not 0, a bit each, clockwise from the one above.

    Parameters
    ----------
    flat : ndarray, shape (height * width,)
        Pixels in reading order.
    at : int
        The pixel's place; not along the margin.
    """
    above, below = at - width, at + width
    around = int(flat[above] > 0) | int(flat[above + 1] > 0) << 1 | int(flat[at + 1] > 0) << 2
    around |= int(flat[below + 1] > 0) << 3 | int(flat[below] > 0) << 4 | int(flat[below - 1] > 0) << 5
    return around | int(flat[at - 1] > 0) << 6 | int(flat[above - 1] > 0) << 7


@kernel
def euler_numbers(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Return 1 minus the number of holes of every 8-connected object, shape (count,).

    Parameters
    ----------
    labels : ndarray, shape (height, width), int32
        1 to `count`; 0 along the margin.

    Notes
    -----
    Source: Gray 1971 (bit quads); for few pixels of many objects. `features.kernels.outline.euler_number`
    counts the quads of a whole mask.
    """
    flat, width = labels.ravel(), labels.shape[1]
    shares = np.zeros(count, np.int64)
    for at in places_of(labels):
        shares[flat[at] - 1] += _EULER_SHARES[pattern(flat, at, width)]
    return shares // SHARE
