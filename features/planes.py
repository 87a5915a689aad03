"""Planes derived from a cell's channels that several families share; ask for them with `Cell.once`."""

import cv2
import numpy as np
from numpy.typing import NDArray

from features.cells import Cell
from features.jit import Floats, Floats32, Ints, Mask, kernel
from features.kernels.crops import at
from features.kernels.sums import in_order

STRETCH = 2048
"""So many pixels are added up at a time, across rows: they stay in the processor's cache for all weights."""

SIGMAS = (1, 2, 4)
BANDS = {"fine": "below 1 px", "1_2": "between 1 and 2 px", "2_4": "between 2 and 4 px"}
"""Bands of differences of Gaussians: what lies between 0 and the first of the scales, and so on."""

LEVELS = 256
FLAT = 1e-6
"""A range below this is rounding: intensities lie in [0, 1]."""


def interior(cell: Cell, radius: int) -> Mask:
    """Mark the pixels of a cell whose square of half-width `radius` lies in it."""
    square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    mask = cell.whole.mask.view(np.uint8)
    eroded: Mask = cv2.erode(mask, square, borderType=cv2.BORDER_CONSTANT, borderValue=0).view(np.bool_)
    return eroded


def smoothed(cell: Cell, sigma: float) -> Floats32:
    """Return the cell's channels averaged over a Gaussian, shape (channels, height, width).

    Only pixels of the cell count; 0 outside it. `sigma` is in pixels; 0 leaves them as they are.
    """
    return cell.pixels if sigma == 0 else smooth(cell.pixels, cell.whole.mask, float(sigma))


def band(cell: Cell, finer: float, coarser: float) -> Floats:
    """Return sum of squares and skewness of the difference of two smoothings, shape (channels, 2)."""
    return band_numbers(cell.once(smoothed, finer), cell.once(smoothed, coarser), cell.whole.mask)


def brightest_position(cell: Cell, channel: str) -> Ints:
    """Return row and column of the brightest pixel of a channel smoothed by 2 px: the first one."""
    positions = cell.whole.positions
    plane = cell.once(smoothed, 2)[cell.channels.index(channel)]
    return positions[:, at(plane, positions).argmax()]


def levels(cell: Cell, sigma: float, region: str) -> NDArray[np.int16]:
    """Return the smoothed channels in 256 levels of their range in a region, shape (channels, *box).

    0 outside the region and in a flat channel.
    """
    part = cell.region(region)
    planes = cell.once(smoothed, sigma)[:, *part.box]
    return levels_of(np.ascontiguousarray(planes), np.ascontiguousarray(part.mask[part.box]))


@kernel
def _weights(sigma: float) -> Floats32:
    """Return one side of a Gaussian, from its middle outwards, cut at three standard deviations."""
    reach = int(np.ceil(3.0 * sigma))
    out = np.empty(reach + 1, np.float32)
    for index in range(reach + 1):
        out[index] = np.exp(-0.5 * (index / sigma) ** 2)
    return out


@kernel
def smooth_plane(plane: Floats32, sigma: float) -> Floats32:
    """Convolve a plane with an unnormalised Gaussian of `sigma` pixels; what lies outside it counts as 0."""
    height, width = plane.shape
    weights = _weights(sigma)
    reach = len(weights) - 1
    stride = width + reach  # what is beyond the end of a row is also beyond the start of the next
    padded = np.zeros((height + 2 * reach, stride), np.float32)
    padded[reach : reach + height, :width] = plane
    down, out = np.zeros(height * stride + 2 * reach, np.float32), np.empty((height, stride), np.float32)
    _convolve(padded.ravel(), weights, stride, down[reach : len(down) - reach])
    _convolve(down, weights, 1, out.ravel())
    return out[:, :width].copy()


@kernel
def _convolve(flat: Floats32, weights: Floats32, step: int, out: Floats32) -> None:
    """Add up what lies 0, 1, 2, ... steps before and after every pixel of `out`, each with its weight.

    `flat` has the pixels in reading order with `reach` steps before and after them: `out` has shape (n,),
    `flat` (n + 2 reach step,), `weights` (reach + 1,). A step is 1 along rows, a row's length along columns.
    """
    margin = (len(weights) - 1) * step
    for start in range(0, len(out), STRETCH):
        some = out[start : start + STRETCH]
        here = flat[margin + start :]
        weight = weights[0]
        for index in range(len(some)):
            some[index] = weight * here[index]
        for number in range(1, len(weights)):
            weight = weights[number]
            before, after = flat[margin + start - number * step :], flat[margin + start + number * step :]
            for index in range(len(some)):
                some[index] += weight * (before[index] + after[index])


@kernel
def smooth(pixels: Floats32, mask: Mask, sigma: float) -> Floats32:
    """Average every channel over a Gaussian of `sigma` pixels, counting only pixels of the mask.

    Pixels are 0 outside the mask, before and after.
    """
    inside = mask.astype(np.float32)
    weight = smooth_plane(inside, sigma)
    out = np.empty_like(pixels)
    for channel in range(len(pixels)):
        total = smooth_plane(pixels[channel], sigma)
        for row in range(mask.shape[0]):
            here, around, within, final = total[row], weight[row], mask[row], out[channel, row]
            for column in range(mask.shape[1]):
                average = here[column] / around[column]
                final[column] = average if within[column] else 0.0
    return out


@kernel
def band_numbers(finer: Floats32, coarser: Floats32, mask: Mask) -> Floats:
    """Describe the difference of two smoothings inside a mask, shape (channels, 2).

    Returns its sum of squares, and its skewness (NaN where it is flat).
    """
    channels, height, width = finer.shape
    out = np.full((channels, 2), np.nan)
    count = np.count_nonzero(mask)
    sums, gaps = np.empty((3, width), np.float64), np.empty(width, np.float64)
    for channel in range(channels):
        sums[:] = 0.0
        totals, squares, cubes = sums[0], sums[1], sums[2]
        for row in range(height):
            one, other = finer[channel, row], coarser[channel, row]
            for column in range(width):
                totals[column] += one[column] - other[column]
        mean = in_order(totals) / count
        for row in range(height):
            one, other, inside = finer[channel, row], coarser[channel, row], mask[row]
            for column in range(width):
                gaps[column] = one[column] - other[column] - mean if inside[column] else 0.0
            for column in range(width):
                squares[column] += gaps[column] * gaps[column]
            for column in range(width):
                cubes[column] += gaps[column] * gaps[column] * gaps[column]
        second = in_order(squares)
        out[channel, 0] = second
        if second > 1e-12 * count:
            out[channel, 1] = in_order(cubes) / count / (second / count) ** 1.5
    return out


@kernel
def levels_of(planes: Floats32, mask: Mask) -> NDArray[np.int16]:
    """Divide each channel's range inside the mask into 256 levels, numbered from 1.

    0 outside the mask, and everywhere in a flat channel.
    """
    channels, height, width = planes.shape
    out = np.zeros((channels, height, width), np.int16)
    for channel in range(channels):
        low, high = np.float32(np.inf), np.float32(-np.inf)
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    low = min(low, planes[channel, row, column])
                    high = max(high, planes[channel, row, column])
        if high - low > FLAT:
            scale = LEVELS / (float(high) - low)
            for row in range(height):
                for column in range(width):
                    if mask[row, column]:
                        level = int((float(planes[channel, row, column]) - low) * scale)
                        out[channel, row, column] = min(level, LEVELS - 1) + 1
    return out
