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
def _straight(
    bits: NDArray[np.int32], here: NDArray[np.float32], sample: NDArray[np.float32], bit: int
) -> None:
    """Set a bit where a sample that lies on a pixel is at least as bright."""
    for column in range(len(bits)):
        bits[column] |= bit if sample[column] >= here[column] else 0


@kernel
def _diagonal(
    bits: NDArray[np.int32],
    here: NDArray[np.float32],
    around: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    part: float,
    bit: int,
) -> None:
    """Set a bit where a sample between four pixels is at least as bright.

    Differences to the centre are interpolated, not values: flat and symmetric neighbourhoods give
    the same answer under any gain, offset, turn or mirror.
    """
    near, one, other, far = around
    rest = 1.0 - part
    for column in range(len(bits)):
        centre = float(here[column])
        sides = (float(one[column]) - centre) + (float(other[column]) - centre)
        sample = rest * (rest * (float(near[column]) - centre) + part * sides)
        sample += part * part * (float(far[column]) - centre)
        bits[column] |= bit if sample >= TIE else 0


@kernel
def _row_bits(plane: NDArray[np.float32], row: int, radius: int, bits: NDArray[np.int32]) -> None:
    """Write which of eight samples are at least as bright for the inner pixels of a row.

    Diagonal samples lie `whole` and a `part` of a pixel away in both directions.
    """
    width = len(bits)
    away = radius * np.sqrt(0.5)
    whole = int(np.floor(away))
    here = plane[row, radius : radius + width]
    bits[:] = 0
    down, right = 0, 1
    for quarter in range(4):
        next_down, next_right = -right, down
        start = radius + radius * right
        _straight(bits, here, plane[row + radius * down, start : start + width], 1 << (2 * quarter))
        top, left = row + whole * (down + next_down), radius + whole * (right + next_right)
        around = (
            plane[top, left : left + width],
            plane[top + down, left + right : left + right + width],
            plane[top + next_down, left + next_right : left + next_right + width],
            plane[top + down + next_down, left + right + next_right : left + right + next_right + width],
        )
        _diagonal(bits, here, around, away - whole, 2 << (2 * quarter))
        down, right = next_down, next_right


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
    if width <= 2 * radius:
        return codes
    inner = eroded(mask, radius)
    bits = np.empty(width - 2 * radius, np.int32)
    for channel in range(channels):
        for row in range(radius, height - radius):
            _row_bits(pixels[channel], row, radius, bits)
            inside, target = inner[row, radius:], codes[channel, row, radius:]
            for column in range(len(bits)):
                if inside[column]:
                    target[column] = _CODES[bits[column]]
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
