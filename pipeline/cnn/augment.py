"""Pictures for training: turned, mirrored, scaled, brightened and cropped at random, all from one seed."""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Plane = NDArray[np.float32]

ZOOM = (0.8, 1.25)
"""Range of sizes relative to the crop."""

GAIN = 0.25
"""Spread of each plane's brightness (standard deviation of its logarithm)."""

GAMMA = 0.2
"""The same for the power that intensities are raised to."""


def augmented(pixels: Bytes, crop: int, rng: np.random.Generator) -> Plane:
    """Return a random view of a picture.

    Parameters
    ----------
    pixels : ndarray, shape (channels, side, side), uint8
    crop : int
        Side of the view in pixels, at most that of the picture.
    rng : Generator

    Returns
    -------
    ndarray, shape (channels, crop, crop), float32
        In [0, 1].
    """
    side = pixels.shape[1]
    size = min(side, round(crop / rng.uniform(*ZOOM)))
    top, left = rng.integers(0, side - size + 1, 2)
    view = _resized(pixels[:, top : top + size, left : left + size], crop)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    view = np.rot90(view, int(rng.integers(4)), axes=(1, 2))
    channels = len(pixels)
    gain = np.exp(rng.normal(0, GAIN, channels)).astype(np.float32)[:, None, None]
    gamma = np.exp(rng.normal(0, GAMMA, channels)).astype(np.float32)[:, None, None]
    bright: Plane = np.minimum(gain * (view.astype(np.float32) / np.float32(255)) ** gamma, np.float32(1))
    return bright


def _resized(pixels: Bytes, side: int) -> Bytes:
    import cv2

    if pixels.shape[1] == side:
        return pixels
    how = cv2.INTER_AREA if pixels.shape[1] > side else cv2.INTER_LINEAR
    return np.stack(
        [cv2.resize(np.ascontiguousarray(plane), (side, side), interpolation=how) for plane in pixels]
    )


def plain(pixels: Bytes) -> Plane:
    """Return pictures as they are, in [0, 1]."""
    whole: Plane = pixels.astype(np.float32) / np.float32(255)
    return whole
