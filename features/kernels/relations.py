"""How channels go together at each scale."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def band_products(
    finer: NDArray[np.float32], coarser: NDArray[np.float32], mask: NDArray[np.bool_], part: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Sum products of channels of the difference of two smoothings, in a part of a mask and in the rest.

    Parameters
    ----------
    finer, coarser : ndarray, shape (channels, height, width), float32
    mask, part : ndarray, shape (height, width), bool
        The part lies in the mask.

    Returns
    -------
    ndarray, shape (2, channels + 1, channels + 1), float64
        For the part and the rest; a last channel of ones gives sums and the number of pixels.
    """
    channels, height, width = finer.shape
    out = np.zeros((2, channels + 1, channels + 1), np.float64)
    values = np.ones(channels + 1, np.float64)
    for row in range(height):
        for column in range(width):
            if not mask[row, column]:
                continue
            for channel in range(channels):
                values[channel] = finer[channel, row, column] - coarser[channel, row, column]
            sums = out[0 if part[row, column] else 1]
            for one in range(channels + 1):
                for other in range(one + 1):
                    sums[one, other] += values[one] * values[other]
    for place in range(2):
        for one in range(channels + 1):
            for other in range(one):
                out[place, other, one] = out[place, one, other]
    return out
