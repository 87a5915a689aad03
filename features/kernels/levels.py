"""Grey levels of the pixels of a region."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def quantise(
    places: NDArray[np.int32],
    steps: NDArray[np.float64],
    positions: NDArray[np.int64],
    box: tuple[int, int, int, int],
    levels: int,
) -> NDArray[np.uint8]:
    """Divide each channel's range into `levels` equal bins, numbered from 1; 0 outside the region.

    Parameters
    ----------
    places : ndarray, shape (channels, n), int32
        Ranks of the region's pixels among `steps`.
    steps : ndarray, shape (channels, distinct), float64
        Intensities in ascending order, of this region or of one that holds it.
    positions : ndarray, shape (2, n), int64
        Rows and columns.
    box : tuple of int
        Top, bottom, left and right of the result.
    levels : int
        At most 255.

    Returns
    -------
    ndarray, shape (channels, height, width), uint8
    """
    channels, count = places.shape
    top, bottom, left, right = box
    out = np.zeros((channels, bottom - top, right - left), np.uint8)
    level = np.empty(steps.shape[1], np.uint8)
    for channel in range(channels):
        first, last = places[channel].min(), places[channel].max()
        low, high = steps[channel, first], steps[channel, last]
        scale = levels / (high - low) if high > low else 0.0
        for place in range(first, last + 1):
            level[place] = min(int((steps[channel, place] - low) * scale), levels - 1) + 1
        plane = out[channel]
        for index in range(count):
            plane[positions[0, index] - top, positions[1, index] - left] = level[places[channel, index]]
    return out
