"""Rotation-invariant uniform local binary patterns inside a mask."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

POINTS = 8
CODES = POINTS + 2
OUTSIDE = 255


TIE = -1e-12
"""Rounding that is forgiven when a sample is as bright as the pixel: intensities lie in [0, 1]."""


def _code_table() -> NDArray[np.uint8]:
    """Give the code of every pattern of eight bits: its ones if it changes at most twice around, else 9."""
    bits = (np.arange(256)[:, None] >> np.arange(POINTS)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), POINTS + 1).astype(np.uint8)


_CODES = _code_table()


@kernel
def _code(plane: NDArray[np.float32], at: int, width: int, radius: int, whole: int, part: float) -> int:
    """Code one pixel of a flattened plane: which of eight samples are at least as bright.

    Differences to the centre are interpolated, not values: flat and symmetric neighbourhoods give
    the same answer under any gain, offset, turn or mirror. Diagonal samples lie `whole` and a
    `part` of a pixel away in both directions.
    """
    centre = float(plane[at])
    bits = 0
    step_down, step_right = 0, 1
    for quarter in range(4):
        next_down, next_right = -step_right, step_down
        straight = step_down * width + step_right
        if float(plane[at + radius * straight]) - centre >= 0.0:
            bits |= 1 << (2 * quarter)
        turned = next_down * width + next_right
        corner = at + whole * (straight + turned)
        a = float(plane[corner]) - centre
        b = float(plane[corner + straight]) - centre
        c = float(plane[corner + turned]) - centre
        d = float(plane[corner + straight + turned]) - centre
        sample = (1.0 - part) * ((1.0 - part) * a + part * (b + c)) + part * part * d
        if sample >= TIE:
            bits |= 2 << (2 * quarter)
        step_down, step_right = next_down, next_right
    return int(_CODES[bits])


@kernel
def eroded(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Mark pixels whose square of half-width `radius` lies in the mask."""
    height, width = mask.shape
    run = np.zeros((height, width), np.int64)
    out = np.zeros((height, width), np.bool_)
    side = 2 * radius + 1
    for row in range(height):
        streak = 0
        for column in range(width):
            streak = streak + 1 if mask[row, column] else 0
            run[row, column] = run[row - 1, column] if row > 0 else 0
            run[row, column] = run[row, column] + 1 if streak >= side else 0
            if run[row, column] >= side:
                out[row - radius, column - radius] = True
    return out


@kernel
def pattern_codes(pixels: NDArray[np.float32], mask: NDArray[np.bool_], radius: int) -> NDArray[np.uint8]:
    """Code the circle of eight samples around each pixel by the number of brighter ones, 9 if not uniform.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
    radius : int
        Of the circle, in pixels.

    Returns
    -------
    ndarray, shape (channels, height, width), uint8
        0 to 9; 255 where the square of half-width `radius` is not wholly in the mask.
    """
    channels, height, width = pixels.shape
    codes = np.full((channels, height, width), OUTSIDE, np.uint8)
    away = radius * np.sqrt(0.5)
    whole = int(np.floor(away))
    inner = eroded(mask, radius)
    for channel in range(channels):
        plane = pixels[channel].ravel()
        for row in range(height):
            for column in range(width):
                if inner[row, column]:
                    at = row * width + column
                    codes[channel, row, column] = _code(plane, at, width, radius, whole, away - whole)
    return codes


@kernel
def code_shares(codes: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of every code among a region's coded pixels, shape (channels, 10); NaN without any."""
    channels, height, width = codes.shape
    shares = np.zeros((channels, CODES), np.float64)
    for channel in range(channels):
        total = 0
        for row in range(height):
            for column in range(width):
                if mask[row, column] and codes[channel, row, column] != OUTSIDE:
                    shares[channel, codes[channel, row, column]] += 1.0
                    total += 1
        for code in range(CODES):
            shares[channel, code] = shares[channel, code] / total if total > 0 else np.nan
    return shares
