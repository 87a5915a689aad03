"""How channels go together at each scale."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.lanes import LANES, add_products, in_order


@kernel
def _differences(
    finer: NDArray[np.float32], coarser: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float64]:
    """List the differences of two smoothings, and a channel of ones; 0 up to a multiple of 64 pixels."""
    channels, _, width = finer.shape
    count = positions.shape[1]
    places = positions[0] * width + positions[1]
    out = np.zeros((channels + 1, -(-count // LANES) * LANES), np.float64)
    for channel in range(channels):
        one, other, line = finer[channel].ravel(), coarser[channel].ravel(), out[channel]
        for index in range(count):
            line[index] = one[places[index]] - other[places[index]]
    out[channels, :count] = 1.0
    return out


@kernel
def band_products(
    finer: NDArray[np.float32], coarser: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum products of channels of the difference of two smoothings.

    Parameters
    ----------
    finer, coarser : ndarray, shape (channels, height, width), float32
    positions : ndarray, shape (2, n), int64
        Row and column of the pixels that count.

    Returns
    -------
    ndarray, shape (channels + 1, channels + 1), float64
        A last channel of ones gives sums and the number of pixels.
    """
    values = _differences(finer, coarser, positions)
    out = np.empty((len(values), len(values)), np.float64)
    lanes = np.empty(LANES, np.float64)
    for one in range(len(values)):
        for other in range(one + 1):
            lanes[:] = 0.0
            add_products(lanes, values[one], values[other])
            out[one, other] = out[other, one] = in_order(lanes)
    return out
