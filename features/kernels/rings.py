"""Intensity in rings and wedges around a centre."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

WEDGES = 8


@kernel
def at(plane: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a plane's values at a region's positions, shape (n,)."""
    out = np.empty(positions.shape[1], np.float64)
    for index in range(len(out)):
        out[index] = plane[positions[0, index], positions[1, index]]
    return out


@kernel
def ring_sums(
    values: NDArray[np.float64],
    positions: NDArray[np.int64],
    relative: NDArray[np.float64],
    rings: int,
    centre: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sum pixels and intensities over rings and 45-degree wedges.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64
    relative : ndarray, shape (n,), float64
        A relative distance in (0, 1], which rings divide evenly.
    rings : int
        Number of rings.
    centre : ndarray, shape (2,), float64
        Where the wedges meet.

    Returns
    -------
    ndarray, shape (1 + channels, rings, 8), float64
        Number of pixels, then the sum of each channel.
    """
    channels, pixels = values.shape
    sums = np.zeros((rings * WEDGES, 1 + channels), np.float64)
    for pixel in range(pixels):
        ring = int(np.ceil(relative[pixel] * rings)) - 1
        down, right = positions[0, pixel] - centre[0], positions[1, pixel] - centre[1]
        wedge = (4 if down > 0.0 else 0) + (2 if right > 0.0 else 0) + (1 if abs(down) > abs(right) else 0)
        place = sums[ring * WEDGES + wedge]
        place[0] += 1.0
        for channel in range(channels):
            place[1 + channel] += values[channel, pixel]
    return np.ascontiguousarray(sums.T).reshape((1 + channels, rings, WEDGES))


@kernel
def ring_numbers(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn sums over rings and wedges into shares, relative means and variation over wedges.

    Parameters
    ----------
    sums : ndarray, shape (1 + channels, rings, wedges), float64
        From `ring_sums`.

    Returns
    -------
    ndarray, shape (channels, 3, rings), float64
        Share of the intensity in the ring; mean in the ring over mean in all rings; coefficient of
        variation of the wedges' means. NaN where a ring has no pixel or the channel is black.
    """
    channels, rings, wedges = sums.shape[0] - 1, sums.shape[1], sums.shape[2]
    out = np.full((channels, 3, rings), np.nan)
    pixels = sums[0].sum()
    for channel in range(channels):
        total = sums[1 + channel].sum()
        for ring in range(rings):
            inside = sums[0, ring].sum()
            amount = sums[1 + channel, ring].sum()
            if inside == 0.0 or total <= 0.0:
                continue
            out[channel, 0, ring] = amount / total
            out[channel, 1, ring] = (amount / inside) / (total / pixels)
            if amount <= 0.0:
                continue
            mean, square, used = 0.0, 0.0, 0
            for wedge in range(wedges):
                if sums[0, ring, wedge] > 0.0:
                    mean += sums[1 + channel, ring, wedge] / sums[0, ring, wedge]
                    used += 1
            mean /= used
            for wedge in range(wedges):
                if sums[0, ring, wedge] > 0.0:
                    square += (sums[1 + channel, ring, wedge] / sums[0, ring, wedge] - mean) ** 2
            out[channel, 2, ring] = np.sqrt(square / used) / mean
    return out
