"""Smoothing, derivatives and structure inside a mask, by separable loops."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.binary_patterns import eroded
from features.kernels.lanes import in_order

STRETCH = 2048
"""So many pixels are added up at a time, across rows: they stay in the processor's cache for all weights."""


@kernel
def _weights(sigma: float) -> NDArray[np.float32]:
    """Return one side of a Gaussian, from its middle outwards, cut at three standard deviations."""
    reach = int(np.ceil(3.0 * sigma))
    out = np.empty(reach + 1, np.float32)
    for index in range(reach + 1):
        out[index] = np.exp(-0.5 * (index / sigma) ** 2)
    return out


@kernel
def smooth_plane(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Convolve a plane with an unnormalised Gaussian; what lies outside it counts as 0.

    Parameters
    ----------
    plane : ndarray, shape (height, width), float32
    sigma : float
        Standard deviation in pixels.

    Returns
    -------
    ndarray, shape (height, width), float32
    """
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
def _convolve(
    flat: NDArray[np.float32], weights: NDArray[np.float32], step: int, out: NDArray[np.float32]
) -> None:
    """Add up what lies 0, 1, 2, ... steps before and after every pixel, each with its weight.

    Parameters
    ----------
    flat : ndarray, shape (n + 2 reach step,), float32
        The pixels of `out` in reading order, with `reach` steps before and after them.
    weights : ndarray, shape (reach + 1,), float32
    step : int
        1 along rows, the length of a row along columns.
    out : ndarray, shape (n,), float32
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
def smooth(pixels: NDArray[np.float32], mask: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """Average every channel over a Gaussian neighbourhood, counting only pixels of the mask.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
        0 outside the mask.
    mask : ndarray, shape (height, width), bool
    sigma : float
        Standard deviation in pixels.

    Returns
    -------
    ndarray, shape (channels, height, width), float32
        0 outside the mask.
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
def band_numbers(
    finer: NDArray[np.float32], coarser: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
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
def _derivatives(
    above: NDArray[np.float32],
    here: NDArray[np.float32],
    below: NDArray[np.float32],
    inside: NDArray[np.bool_],
    out: NDArray[np.float64],
) -> None:
    """Write central differences of the inner pixels of a row, 0 where `inside` is False.

    Parameters
    ----------
    above, here, below : ndarray, shape (width,), float32
    inside : ndarray, shape (width,), bool
    out : ndarray, shape (5, width - 2), float64
        Down, right, and twice: down, right, mixed.
    """
    middle, up, low, within = here[1:], above[1:], below[1:], inside[1:]
    after, up_after, low_after = here[2:], above[2:], below[2:]
    down, right, dd, rr, dr = out[0], out[1], out[2], out[3], out[4]
    for column in range(len(down)):
        down[column] = 0.5 * (float(low[column]) - up[column]) if within[column] else 0.0
    for column in range(len(down)):
        right[column] = 0.5 * (float(after[column]) - here[column]) if within[column] else 0.0
    for column in range(len(down)):
        twice = float(low[column]) + up[column] - 2.0 * middle[column]
        dd[column] = twice if within[column] else 0.0
    for column in range(len(down)):
        twice = float(after[column]) + here[column] - 2.0 * middle[column]
        rr[column] = twice if within[column] else 0.0
    for column in range(len(down)):
        mixed = float(low_after[column]) + above[column] - below[column] - up_after[column]
        dr[column] = 0.25 * mixed if within[column] else 0.0


@kernel
def derivative_numbers(planes: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum squared derivatives inside a mask, by how they turn with the picture.

    Derivatives are central differences at pixels whose eight neighbours all lie in the mask.

    Parameters
    ----------
    planes : ndarray, shape (channels, height, width), float32
        Smoothed; with a margin of one pixel.
    mask : ndarray, shape (height, width), bool

    Returns
    -------
    ndarray, shape (channels, 6), float64
        Number of pixels; sums of squares of the gradient (order 1), of the Laplacian (order 0) and of
        the deviatoric second derivative (order 2: lines); the difference and the mixed product of the
        gradient's squared components (order 2 of the gradient: a common direction).
    """
    channels, height, width = planes.shape
    out = np.zeros((channels, 6), np.float64)
    inner = eroded(mask, 1)
    out[:, 0] = np.count_nonzero(inner)
    row_of, sums = np.empty((5, width - 2), np.float64), np.empty((5, width - 2), np.float64)
    down, right, dd, rr, dr = row_of[0], row_of[1], row_of[2], row_of[3], row_of[4]
    edges, blobs, lines, across, mixed = sums[0], sums[1], sums[2], sums[3], sums[4]
    for channel in range(channels):
        plane = planes[channel]
        sums[:] = 0.0
        for row in range(1, height - 1):
            _derivatives(plane[row - 1], plane[row], plane[row + 1], inner[row], row_of)
            for column in range(width - 2):
                edges[column] += down[column] * down[column] + right[column] * right[column]
            for column in range(width - 2):
                blobs[column] += (dd[column] + rr[column]) * (dd[column] + rr[column])
            for column in range(width - 2):
                gap = dd[column] - rr[column]
                lines[column] += gap * gap + 4.0 * dr[column] * dr[column]
            for column in range(width - 2):
                across[column] += right[column] * right[column] - down[column] * down[column]
            for column in range(width - 2):
                mixed[column] += 2.0 * right[column] * down[column]
        for number in range(5):
            out[channel, 1 + number] = in_order(sums[number])
    return out
