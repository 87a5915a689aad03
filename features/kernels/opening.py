"""Openings by reconstruction inside a mask: what of a picture is finer than a size."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def halve(
    pixels: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Average the masked pixels of every block of 2 x 2, and mask the blocks that have any.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool

    Returns
    -------
    halved : ndarray, shape (channels, rows, columns), float64
        With a margin of one block, 0 outside the mask.
    inside : ndarray, shape (rows, columns), bool
    """
    channels, height, width = pixels.shape
    rows, columns = (height + 1) // 2 + 2, (width + 1) // 2 + 2
    halved = np.zeros((channels, rows, columns), np.float64)
    count = np.zeros((rows, columns), np.float64)
    for row in range(height):
        for column in range(width):
            if mask[row, column]:
                count[row // 2 + 1, column // 2 + 1] += 1.0
                for channel in range(channels):
                    halved[channel, row // 2 + 1, column // 2 + 1] += pixels[channel, row, column]
    for channel in range(channels):
        for row in range(rows):
            for column in range(columns):
                if count[row, column] > 0.0:
                    halved[channel, row, column] /= count[row, column]
    return halved, count > 0.0


@kernel
def erode(plane: NDArray[np.float64], mask: NDArray[np.bool_], out: NDArray[np.float64]) -> None:
    """Write the minimum of every pixel of the mask and its side neighbours into `out`.

    `plane` and `out` are infinite outside the mask, so that nothing there counts.
    """
    height, width = plane.shape
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            lowest = min(plane[row, column], plane[row, column - 1])
            lowest = min(lowest, plane[row, column + 1])
            lowest = min(lowest, plane[row - 1, column])
            lowest = min(lowest, plane[row + 1, column])
            out[row, column] = lowest if mask[row, column] else np.inf


@kernel
def reconstruct(seed: NDArray[np.float64], ceiling: NDArray[np.float64]) -> None:
    """Let `seed` grow under `ceiling` from side neighbour to side neighbour until nothing changes.

    Both are not negative, 0 outside the mask and on the margin. Source: Vincent 1993, "Morphological
    grayscale reconstruction in image analysis": a sweep each way, then only the pixels that can still
    raise a neighbour.
    """
    height, width = seed.shape
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            # what does not wait for the pixel before comes first
            reach = max(seed[row, column], seed[row - 1, column])
            reach = max(reach, seed[row, column - 1])
            seed[row, column] = min(reach, ceiling[row, column])
    flat, limit = seed.ravel(), ceiling.ravel()
    waiting = np.empty(flat.size, np.int64)
    listed = np.zeros(flat.size, np.bool_)
    count = 0
    for row in range(height - 2, 0, -1):
        for column in range(width - 2, 0, -1):
            at = row * width + column
            right, below = at + 1, at + width
            value = max(flat[at], flat[below])
            value = min(max(value, flat[right]), limit[at])
            flat[at] = value
            if min(value, limit[right]) > flat[right] or min(value, limit[below]) > flat[below]:
                waiting[count] = at
                listed[at] = True
                count += 1
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
def granularity(planes: NDArray[np.float64], mask: NDArray[np.bool_], steps: int) -> NDArray[np.float64]:
    """Measure how much of each channel's mean every further opening takes away.

    Parameters
    ----------
    planes : ndarray, shape (channels, height, width), float64
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
    channels = len(planes)
    out = np.full((channels, steps), np.nan)
    for channel in range(channels):
        total = planes[channel].sum()
        if total <= 0.0:
            continue
        eroded = np.where(mask, planes[channel], np.inf)
        further = np.full_like(eroded, np.inf)
        opened = planes[channel].copy()
        before = total
        for step in range(steps):
            erode(eroded, mask, further)
            eroded, further = further, eroded
            seed = np.where(mask, eroded, 0.0)
            reconstruct(seed, opened)
            opened = seed
            now = opened.sum()
            out[channel, step] = max(0.0, before - now) / total
            before = now
    return out
