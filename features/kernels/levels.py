"""Grey levels of the pixels of a region."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def quantise(pixels: NDArray[np.float32], mask: NDArray[np.bool_], levels: int) -> NDArray[np.uint8]:
    """Divide each channel's range inside `mask` into `levels` equal bins, numbered from 1; 0 outside.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
    levels : int
        At most 255.

    Returns
    -------
    ndarray, shape (channels, height, width), uint8
    """
    channels, height, width = pixels.shape
    out = np.zeros((channels, height, width), np.uint8)
    for channel in range(channels):
        low, high = np.inf, -np.inf
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    low = min(low, float(pixels[channel, row, column]))
                    high = max(high, float(pixels[channel, row, column]))
        scale = levels / (high - low) if high > low else 0.0
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    level = int((float(pixels[channel, row, column]) - low) * scale)
                    out[channel, row, column] = min(level, levels - 1) + 1
    return out
