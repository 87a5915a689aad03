"""Openings by reconstruction inside a mask: what of a picture is finer than a size.

Floats that are not negative are in the order of their bits, so all comparing is done on integers.
"""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

BEYOND = np.int32(0x7FFFFFFF)


@kernel
def halve(
    pixels: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Average the masked pixels of every block of 2 x 2, and mask the blocks that have any.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool

    Returns
    -------
    halved : ndarray, shape (channels, rows, columns), float32
        With a margin of one block, 0 outside the mask.
    inside : ndarray, shape (rows, columns), bool
    """
    channels, height, width = pixels.shape
    rows, columns = (height + 1) // 2 + 2, (width + 1) // 2 + 2
    halved = np.zeros((channels, rows, columns), np.float32)
    inside = np.zeros((rows, columns), np.bool_)
    sums = np.empty((channels, columns), np.float64)
    count = np.empty(columns, np.int64)
    for block in range((height + 1) // 2):
        sums[:], count[:] = 0.0, 0
        for row in range(2 * block, min(2 * block + 2, height)):
            for column in range(width):
                if mask[row, column]:
                    place = (column >> 1) + 1
                    count[place] += 1
                    for channel in range(channels):
                        sums[channel, place] += pixels[channel, row, column]
        for place in range(columns):
            if count[place] > 0:
                inside[block + 1, place] = True
                for channel in range(channels):
                    halved[channel, block + 1, place] = sums[channel, place] / count[place]
    return halved, inside


@kernel
def erode(plane: NDArray[np.int32], outside: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Write the minimum of every pixel and its side neighbours into `out`.

    `plane`, `outside` and `out` are `BEYOND` outside the mask, so that nothing there counts; `outside` is
    0 in it.
    """
    height, width = plane.shape
    for row in range(1, height - 1):
        above, here, below = plane[row - 1, 1:], plane[row], plane[row + 1, 1:]
        left, middle, right = here[: width - 2], here[1:], here[2:]
        limit, target = outside[row, 1:], out[row, 1:]
        for column in range(width - 2):
            lowest = min(middle[column], left[column], right[column], above[column], below[column])
            target[column] = lowest | limit[column]


@kernel
def _sweep_down(seed: NDArray[np.int32], ceiling: NDArray[np.int32]) -> None:
    """Let every pixel of `seed` grow from the one above and the one to its left."""
    height, width = seed.shape
    for row in range(1, height - 1):
        above, here, limit = seed[row - 1], seed[row], ceiling[row]
        for column in range(width):
            here[column] = min(max(here[column], above[column]), limit[column])
        reach = np.int32(0)
        for column in range(width):
            reach = max(here[column], min(reach, limit[column]))
            here[column] = reach


@kernel
def _sweep_up(seed: NDArray[np.int32], ceiling: NDArray[np.int32], waiting: NDArray[np.int64]) -> int:
    """Do as `_sweep_down` the other way; list pixels that could still raise one they came after."""
    height, width = seed.shape
    rising = np.empty(width, np.bool_)
    count = 0
    for row in range(height - 2, 0, -1):
        below, here, limit = seed[row + 1], seed[row], ceiling[row]
        for column in range(width):
            here[column] = min(max(here[column], below[column]), limit[column])
        reach = np.int32(0)
        for column in range(width - 1, -1, -1):
            reach = max(here[column], min(reach, limit[column]))
            here[column] = reach
        right, right_limit, below_limit = here[1:], limit[1:], ceiling[row + 1]
        for column in range(width - 1):
            value = here[column]
            aside = min(value, right_limit[column]) > right[column]
            rising[column] = aside | (min(value, below_limit[column]) > below[column])
        for column in range(width - 1):
            if rising[column]:
                waiting[count] = row * width + column
                count += 1
    return count


@kernel
def reconstruct(
    seed: NDArray[np.int32],
    ceiling: NDArray[np.int32],
    waiting: NDArray[np.int64],
    listed: NDArray[np.bool_],
) -> None:
    """Let `seed` grow under `ceiling` from side neighbour to side neighbour until nothing changes.

    Both are not negative, 0 outside the mask and on the margin. `waiting` and `listed`, as long as there
    are pixels, are room to work in; `listed` is and stays False. Source: Vincent 1993, "Morphological
    grayscale reconstruction in image analysis": a sweep each way, then only the pixels that can still
    raise a neighbour.
    """
    width = seed.shape[1]
    _sweep_down(seed, ceiling)
    count = _sweep_up(seed, ceiling, waiting)
    flat, limit = seed.ravel(), ceiling.ravel()
    for index in range(count):
        listed[waiting[index]] = True
    while count > 0:
        count -= 1
        at = waiting[count]
        listed[at] = False
        for step in (-width, -1, 1, width):
            near = at + step
            value = min(flat[at], limit[near])
            if value > flat[near]:
                flat[near] = value
                if not listed[near]:
                    waiting[count] = near
                    listed[near] = True
                    count += 1


@kernel
def _total(plane: NDArray[np.float32]) -> float:
    """Sum a plane in double precision, column by column."""
    columns = np.zeros(plane.shape[1], np.float64)
    for row in range(len(plane)):
        line = plane[row]
        for column in range(len(columns)):
            columns[column] += line[column]
    total = 0.0
    for amount in columns:
        total += amount
    return total


@kernel
def granularity(planes: NDArray[np.float32], mask: NDArray[np.bool_], steps: int) -> NDArray[np.float64]:
    """Measure how much of each channel's mean every further opening takes away.

    Parameters
    ----------
    planes : ndarray, shape (channels, height, width), float32
        Not negative, 0 outside the mask.
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel; not empty.
    steps : int
        Largest radius, in pixels of `planes`.

    Returns
    -------
    ndarray, shape (channels, steps), float64
        Share of the mean that opening by reconstruction with radius k takes beyond radius k - 1; NaN
        where the channel is black.
    """
    out = np.full((len(planes), steps), np.nan)
    outside = np.where(mask, np.int32(0), BEYOND)
    waiting = np.empty(mask.size, np.int64)
    listed = np.zeros(mask.size, np.bool_)
    eroded, further = np.empty_like(outside), np.empty_like(outside)
    opened, seed = np.empty_like(planes[0]), np.empty_like(planes[0])
    further[:] = BEYOND
    for channel in range(len(planes)):
        before = total = _total(planes[channel])
        if total <= 0.0:
            continue
        opened[:] = planes[channel]
        eroded[:] = opened.view(np.int32) | outside
        for step in range(steps):
            erode(eroded, outside, further)
            eroded, further = further, eroded
            grown = seed.view(np.int32)
            grown[:] = eroded & ~outside
            reconstruct(grown, opened.view(np.int32), waiting, listed)
            opened, seed = seed, opened
            now = _total(opened)
            out[channel, step] = max(0.0, before - now) / total
            before = now
    return out
