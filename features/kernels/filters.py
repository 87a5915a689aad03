"""Smoothing, derivatives and structure inside a mask, by separable loops."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel
from features.kernels.binary_patterns import eroded


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
    padded = np.zeros((height + 2 * reach, width), np.float32)
    padded[reach : reach + height] = plane
    out = np.empty((height, width), np.float32)
    down = np.zeros(width + 2 * reach, np.float32)
    for row in range(height):
        line = down[reach : reach + width]
        here = padded[row + reach]
        for column in range(width):
            line[column] = weights[0] * here[column]
        for offset in range(1, reach + 1):
            above, below = padded[row + reach - offset], padded[row + reach + offset]
            for column in range(width):
                line[column] += weights[offset] * (above[column] + below[column])
        final = out[row]
        for column in range(width):
            final[column] = weights[0] * line[column]
        for offset in range(1, reach + 1):
            left, right = down[reach - offset :], down[reach + offset :]
            for column in range(width):
                final[column] += weights[offset] * (left[column] + right[column])
    return out


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
    out = np.zeros_like(pixels)
    for channel in range(len(pixels)):
        total = smooth_plane(pixels[channel], sigma)
        for row in range(mask.shape[0]):
            for column in range(mask.shape[1]):
                if mask[row, column]:
                    out[channel, row, column] = total[row, column] / weight[row, column]
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
    for channel in range(channels):
        total, second, third = 0.0, 0.0, 0.0
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    total += finer[channel, row, column] - coarser[channel, row, column]
        mean = total / count
        for row in range(height):
            for column in range(width):
                if mask[row, column]:
                    gap = finer[channel, row, column] - coarser[channel, row, column] - mean
                    second += gap * gap
                    third += gap * gap * gap
        out[channel, 0] = second
        if second > 1e-12 * count:
            out[channel, 1] = third / count / (second / count) ** 1.5
    return out


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
    for channel in range(channels):
        plane = planes[channel]
        edges, blobs, lines, across, mixed, count = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for row in range(1, height - 1):
            for column in range(1, width - 1):
                if not inner[row, column]:
                    continue
                count += 1.0
                down = 0.5 * (float(plane[row + 1, column]) - plane[row - 1, column])
                right = 0.5 * (float(plane[row, column + 1]) - plane[row, column - 1])
                twice = 2.0 * plane[row, column]
                dd = float(plane[row + 1, column]) + plane[row - 1, column] - twice
                rr = float(plane[row, column + 1]) + plane[row, column - 1] - twice
                dr = float(plane[row + 1, column + 1]) + plane[row - 1, column - 1]
                dr = 0.25 * (dr - plane[row + 1, column - 1] - plane[row - 1, column + 1])
                edges += down * down + right * right
                blobs += (dd + rr) * (dd + rr)
                lines += (dd - rr) * (dd - rr) + 4.0 * dr * dr
                across += right * right - down * down
                mixed += 2.0 * right * down
        out[channel] = count, edges, blobs, lines, across, mixed
    return out
