"""Pictures for training: cropped, turned, scaled, brightened, blurred, made noisy; all from one seed."""

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


BLURRED, BLUR = 0.3, 1.2
"""Share of views that are out of focus, and by how many pixels at most (standard deviation)."""

NOISY, NOISE = 0.3, 0.05
"""Share of views with more noise, and its standard deviation at most."""


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
    return _worsened(_brightened(view, rng), rng)


def _brightened(view: Bytes, rng: np.random.Generator) -> Plane:
    """Change each plane's brightness and contrast, by a table of the 256 values that there are."""
    gain = np.exp(rng.normal(0, GAIN, (len(view), 1)))
    gamma = np.exp(rng.normal(0, GAMMA, (len(view), 1)))
    table = np.minimum(gain * (np.arange(256) / 255) ** gamma, 1).astype(np.float32)
    return np.stack([row[plane] for row, plane in zip(table, view, strict=True)])


def _worsened(view: Plane, rng: np.random.Generator) -> Plane:
    """Put some views out of focus, and some into noise."""
    import cv2

    if rng.random() < BLURRED:
        width = rng.uniform(0.3, BLUR)
        view = np.stack([cv2.GaussianBlur(plane, (0, 0), width) for plane in view])
    if rng.random() < NOISY:
        noise = rng.standard_normal(view.shape, dtype=np.float32)
        view = np.clip(view + np.float32(rng.uniform(0, NOISE)) * noise, 0, 1)
    return view


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
