"""What lies between two nuclei, and how nuclei lie."""

import numpy as np
from numpy.typing import NDArray

from features.jit import kernel


@kernel
def profile(
    pixels: NDArray[np.float32],
    start: tuple[float, float],
    end: tuple[float, float],
    aside: float,
    samples: int,
) -> NDArray[np.float64]:
    """Sample every channel along the middle third of a line, or of one beside it.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    start, end : tuple of float
        Row and column.
    aside : float
        Distance in pixels of the sampled line from that of `start` and `end`.
    samples : int

    Returns
    -------
    ndarray, shape (channels, samples), float64
        Interpolated linearly; at the picture's border the outermost pixels go on.
    """
    channels, height, width = pixels.shape
    out = np.empty((channels, samples), np.float64)
    down, right = end[0] - start[0], end[1] - start[1]
    length = max(np.hypot(down, right), 1e-9)
    for sample in range(samples):
        along = (1.0 + sample / (samples - 1.0)) / 3.0
        row = min(max(start[0] + along * down - aside * right / length, 0.0), height - 1.0)
        column = min(max(start[1] + along * right + aside * down / length, 0.0), width - 1.0)
        top, left = min(int(row), max(height - 2, 0)), min(int(column), max(width - 2, 0))
        bottom, next_column = min(top + 1, height - 1), min(left + 1, width - 1)
        y, x = row - top, column - left
        for channel in range(channels):
            plane = pixels[channel]
            upper = (1.0 - x) * plane[top, left] + x * plane[top, next_column]
            lower = (1.0 - x) * plane[bottom, left] + x * plane[bottom, next_column]
            out[channel, sample] = (1.0 - y) * upper + y * lower
    return out


@kernel
def label_axes(
    labels: NDArray[np.int32],
    inside: NDArray[np.int32],
    place: NDArray[np.int64],
    centres: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the direction of every label's long axis where both label images agree.

    Parameters
    ----------
    labels, inside : ndarray, shape (height, width), int32
        A pixel counts if both hold the same label.
    place : ndarray, shape (largest label + 1,), int64
        Row of the result for every label.
    centres : ndarray, shape (cells, 2), float64

    Returns
    -------
    ndarray, shape (cells, 2), float64
        Cosine and sine of the doubled angle from the column axis to the axis; NaN for round ones.
    """
    moments = np.zeros((len(centres), 2), np.float64)
    size = np.zeros(len(centres), np.float64)
    height, width = labels.shape
    for row in range(height):
        for column in range(width):
            label = labels[row, column]
            if label > 0 and inside[row, column] == label:
                at = place[label]
                down, right = row - centres[at, 0], column - centres[at, 1]
                moments[at, 0] += right * right - down * down
                moments[at, 1] += 2.0 * right * down
                size[at] += right * right + down * down
    for at in range(len(centres)):
        length = np.hypot(moments[at, 0], moments[at, 1])
        if length > 1e-6 * size[at]:
            moments[at] /= length
        else:
            moments[at] = np.nan
    return moments
