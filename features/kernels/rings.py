"""Intensity in rings and wedges around a centre."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

WEDGES = 8


@kernel
def ring_sums(
    values: NDArray[np.float64],
    positions: NDArray[np.int64],
    rings: NDArray[np.int64],
    count: int,
    centre_row: float,
    centre_column: float,
) -> NDArray[np.float64]:
    """Sum pixels and intensities over rings and 45-degree wedges.

    Parameters
    ----------
    values : ndarray, shape (channels, n), float64
    positions : ndarray, shape (2, n), int64
    rings : ndarray, shape (n,), int64
        The ring of every pixel, from 0; negative for none.
    count : int
        Number of rings.
    centre_row, centre_column : float
        Where the wedges meet.

    Returns
    -------
    ndarray, shape (1 + channels, count, 8), float64
        Number of pixels, then the sum of each channel.
    """
    channels, pixels = values.shape
    sums = np.zeros((1 + channels, count, WEDGES), np.float64)
    for pixel in range(pixels):
        ring = rings[pixel]
        if ring < 0:
            continue
        down = positions[0, pixel] - centre_row
        right = positions[1, pixel] - centre_column
        wedge = (4 if down > 0.0 else 0) + (2 if right > 0.0 else 0) + (1 if abs(down) > abs(right) else 0)
        sums[0, ring, wedge] += 1.0
        for channel in range(channels):
            sums[1 + channel, ring, wedge] += values[channel, pixel]
    return sums


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
