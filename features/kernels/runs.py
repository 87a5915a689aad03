"""Grey-level run lengths inside a mask, in four directions at once."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

DIRECTIONS = 4


@kernel
def _follow(
    before: NDArray[np.int32], above: NDArray[np.uint8], here: NDArray[np.uint8], out: NDArray[np.int32]
) -> None:
    """Write how manieth of its run every pixel of a row is, 0 outside; `before` holds the row above's."""
    for column in range(len(out)):
        position = before[column] + 1 if above[column] == here[column] else 1
        out[column] = position if here[column] > 0 else 0


@kernel
def _positions(
    levels: NDArray[np.uint8], row: int, before: NDArray[np.int32], out: NDArray[np.int32]
) -> None:
    """Write how manieth of its run every pixel of a row is in each direction, shape (4, width), 0 outside."""
    above, here = levels[row - 1], levels[row]
    last = here.size - 1
    _follow(before[1], above, here[1:], out[1, 1:])
    _follow(before[2], above, here, out[2])
    _follow(before[3, 1:], above[1:], here, out[3, :last])
    along, position = out[0], 0
    for column in range(1, last):
        position = position + 1 if here[column] == here[column - 1] else 1
        along[column] = position if here[column] > 0 else 0


@kernel
def _falls(counts: NDArray[np.int32], longest: int) -> NDArray[np.int64]:
    """Return by what counts fall from each position to the next, up to the longest run's last."""
    directions, levels, _ = counts.shape
    falls = np.zeros((directions, levels, longest + 1), np.int64)
    for direction in range(directions):
        for level in range(levels):
            there, out = counts[direction, level], falls[direction, level]
            for position in range(1, longest):
                out[position] = there[position] - there[position + 1]
            out[longest] = there[longest]
    return falls


@kernel
def run_lengths(levels: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    """Count runs of equal levels at 0, 45, 90 and 135 degrees up to the axis' sign.

    Parameters
    ----------
    levels : ndarray, shape (height, width), uint8
        1 to `size`; 0 outside; with a margin of one pixel.

    Returns
    -------
    ndarray, shape (4, size + 1, longest + 1), int64
        Runs by direction, level and length; row and column 0 are empty.

    Notes
    -----
    Pixels are counted by how manieth of their run they are. Every run of n pixels has an n-th one, so what
    the count falls by from n to n + 1 is the number of runs of length n.
    """
    height, width = levels.shape
    room = np.uint32(max(height, width) + 1)
    counts = np.zeros((DIRECTIONS, (size + 1) * room), np.int32)
    one, two, three, four = counts
    positions = np.zeros((2, DIRECTIONS, width), np.int32)
    longest = 1
    for row in range(1, height - 1):
        now, here = positions[row % 2], levels[row]
        _positions(levels, row, positions[(row - 1) % 2], now)
        for position in now.ravel():
            longest = max(longest, position)
        along, falling, down, rising = now
        for column in range(1, width - 1):
            if here[column] > 0:
                start = np.uint32(here[column]) * room
                one[start + np.uint32(along[column])] += 1
                two[start + np.uint32(falling[column])] += 1
                three[start + np.uint32(down[column])] += 1
                four[start + np.uint32(rising[column])] += 1
    return _falls(counts.reshape(DIRECTIONS, size + 1, room), longest)
