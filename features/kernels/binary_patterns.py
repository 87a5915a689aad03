"""Rotation-invariant uniform local binary patterns inside a mask."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel

POINTS = 8
CODES = POINTS + 2
OUTSIDE = 255


@kernel
def _taps(radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Give the pixels, relative to the centre, and weights that make up each sample, shape (8, 4) each."""
    downs = np.zeros((POINTS, 4), np.int64)
    rights = np.zeros((POINTS, 4), np.int64)
    weights = np.zeros((POINTS, 4), np.float64)
    for point in range(POINTS):
        down = np.round(-radius * np.sin(2.0 * np.pi * point / POINTS), 9)
        right = np.round(radius * np.cos(2.0 * np.pi * point / POINTS), 9)
        top, left = int(np.floor(down)), int(np.floor(right))
        used = 0
        for below in range(2):
            for beside in range(2):
                weight = abs(1 - below - (down - top)) * abs(1 - beside - (right - left))
                if weight > 0.0:
                    downs[point, used] = top + below
                    rights[point, used] = left + beside
                    weights[point, used] = weight
                    used += 1
    return downs, rights, weights


@kernel
def _code(
    plane: NDArray[np.float32],
    row: int,
    column: int,
    downs: NDArray[np.int64],
    rights: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> int:
    """Code one pixel by its eight samples: at least as bright as the pixel, or not.

    Differences to the centre are interpolated, not values, and rounding is forgiven: flat and
    symmetric neighbourhoods give the same answer under any gain, offset, turn or mirror.
    """
    centre = float(plane[row, column])
    bits, ones = 0, 0
    for point in range(POINTS):
        total, size = 0.0, 0.0
        for tap in range(4):
            weight = weights[point, tap]
            if weight == 0.0:
                break
            part = weight * (float(plane[row + downs[point, tap], column + rights[point, tap]]) - centre)
            total += part
            size += abs(part)
        if total >= -1e-9 * size:
            bits |= 1 << point
            ones += 1
    changes = bits ^ ((bits >> 1) | ((bits & 1) << (POINTS - 1)))
    count = 0
    while changes:
        changes &= changes - 1
        count += 1
    return ones if count <= 2 else POINTS + 1


@kernel
def _eroded(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
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
    downs, rights, weights = _taps(radius)
    inner = _eroded(mask, radius)
    for channel in range(channels):
        plane = pixels[channel]
        for row in range(height):
            for column in range(width):
                if inner[row, column]:
                    codes[channel, row, column] = _code(plane, row, column, downs, rights, weights)
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
