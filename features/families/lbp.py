"""Local binary patterns: micro-patterns of brightness around each pixel."""

import numpy as np

from features.cells import Cell, Region
from features.jit import Bytes, Floats, Floats32, Ints32, Mask, kernel
from features.planes import interior
from features.registry import Output, feature

POINTS = 8
CODES = POINTS + 2
OUTSIDE = 255
STRETCH = 1024
"""So many pixels are coded at a time, across rows: they stay in the processor's cache for eight samples."""

TIE = -1e-12
"""Rounding that is forgiven when a sample is as bright as the pixel: intensities lie in [0, 1]."""

RADII = (1, 2)


KINDS = {f"bright_{code}": f"is uniform with {code} of 8 neighbours bright" for code in range(POINTS + 1)}
OUTPUTS = {
    f"r{radius}_{kind}": Output(
        f"share of pixels {{where}} whose local binary pattern of {{0}} at radius {radius} px {words}"
    )
    for radius in RADII
    for kind, words in (KINDS | {"mixed": "is not uniform"}).items()
}


@feature(family="lbp", resampled=True, per="channel", regions=("cell", "nucleus", "field"), outputs=OUTPUTS)
def local_binary_patterns(region: Region) -> Floats:
    """Compute histograms of rotation-invariant uniform local binary patterns, shape (channels, 20).

    Units: none, shares of the region's pixels whose neighbourhood lies in the cell; they sum to 1 per radius.
    NaN where no pixel has its whole neighbourhood (a square of half-width 1 or 2 px) in the cell.

    Source: Ojala, Pietikäinen, Mäenpää 2002, "Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns" (8 points, riu2), bilinear samples as in scikit-image's
    ``method="uniform"``; masks as nobody else has them.
    """
    return np.hstack([code_shares(region.cell.once(_codes, radius), region.mask) for radius in RADII])


def _codes(cell: Cell, radius: int) -> Bytes:
    """Return the pattern of every pixel of the cell, shared by its regions."""
    return pattern_codes(cell.pixels, cell.once(interior, radius), radius)


def _code_table() -> Bytes:
    """Give the code of every pattern of eight bits: its ones if it changes at most twice around, else 9."""
    bits = (np.arange(256)[:, None] >> np.arange(POINTS)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), POINTS + 1).astype(np.uint8)


_CODES = _code_table()


@kernel
def _straight(bits: Ints32, here: Floats32, sample: Floats32, bit: int) -> None:
    """Set a bit where a sample that lies on a pixel is at least as bright."""
    for column in range(len(bits)):
        bits[column] |= bit if sample[column] >= here[column] else 0


@kernel
def _diagonal(
    bits: Ints32, here: Floats32, around: tuple[Floats32, Floats32, Floats32, Floats32], part: float, bit: int
) -> None:
    """Set a bit where a sample between four pixels is at least as bright.

    Differences to the centre are interpolated, not values: flat and symmetric neighbourhoods are coded alike
    under any gain, offset, turn or mirror.
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
def _bits(flat: Floats32, first: int, width: int, radius: int, bits: Ints32) -> None:
    """Write which of eight samples are at least as bright for a stretch of pixels in reading order.

    Diagonal samples lie `whole` and a `part` of a pixel away in both directions.
    """
    count = len(bits)
    away = radius * np.sqrt(0.5)
    whole = int(np.floor(away))
    here = flat[first : first + count]
    bits[:] = 0
    step, turned = 1, width
    for quarter in range(4):
        start = first + radius * step
        _straight(bits, here, flat[start : start + count], 1 << (2 * quarter))
        start = first + whole * (step + turned)
        around = (
            flat[start : start + count],
            flat[start + step : start + step + count],
            flat[start + turned : start + turned + count],
            flat[start + step + turned : start + step + turned + count],
        )
        _diagonal(bits, here, around, away - whole, 2 << (2 * quarter))
        step, turned = turned, -step


@kernel
def pattern_codes(pixels: Floats32, inner: Mask, radius: int) -> Bytes:
    """Code the circle of eight samples around each pixel by the number of brighter ones, 9 if not uniform.

    Shape (channels, height, width); 255 where not `inner`: where the square of half-width `radius` is not
    wholly in the mask.
    """
    channels, height, width = pixels.shape
    codes = np.full((channels, height, width), OUTSIDE, np.uint8)
    if width <= 2 * radius:
        return codes
    within = inner.ravel()
    margin = radius * (width + 1)
    room = np.empty(STRETCH, np.int32)
    for channel in range(channels):
        flat, coded = pixels[channel].ravel(), codes[channel].ravel()
        for first in range(margin, len(flat) - margin, STRETCH):
            bits = room[: min(STRETCH, len(flat) - margin - first)]
            _bits(flat, first, width, radius, bits)
            inside, target = within[first:], coded[first:]
            for index in range(len(bits)):
                if inside[index]:
                    target[index] = _CODES[bits[index]]
    return codes


@kernel
def code_shares(codes: Bytes, mask: Mask) -> Floats:
    """Return the share of every code among a region's coded pixels, shape (channels, 10); NaN without any."""
    channels, height, width = codes.shape
    shares = np.full((channels, CODES), np.nan)
    for channel in range(channels):
        counts = np.zeros((2, CODES), np.int64)  # two tables: neighbours do not wait for each other's count
        for row in range(height):
            for column in range(width):
                if mask[row, column] and codes[channel, row, column] != OUTSIDE:
                    counts[column & 1, codes[channel, row, column]] += 1
        number = counts.sum()
        if number > 0:
            shares[channel] = (counts[0] + counts[1]) / number
    return shares
