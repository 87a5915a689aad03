"""What a picture goes through before a network sees it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.data.samples import CHANNELS

BRIGHTEST = 99.8
"""Percentile of a plane that becomes 1 where each picture is scaled by itself."""

DARKEST = 0.03
"""Planes whose brightest pixels are below this stay dark: what they show is noise."""


class Preprocessing(BaseModel):
    """How a picture becomes a network's input; two embeddings compare only under the same one.

    Attributes
    ----------
    channels : tuple of str
        The network's planes, in its order.
    side : int
        Side in pixels of the square that every picture is brought to.
    scale : str
        "full": intensities as stored, in [0, 1]; "picture": each plane divided by its brightest pixels.
    mean, std : tuple of float
        Subtracted from, and divided out of, each plane afterwards.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[str, ...] = CHANNELS
    side: int = Field(ge=32)
    scale: Literal["full", "picture"] = "full"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)


def prepare(pixels: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return a network's input.

    Parameters
    ----------
    pixels : ndarray, shape (4, height, width), float32
        A picture or a crop of one, in [0, 1].
    preprocessing : Preprocessing

    Returns
    -------
    ndarray, shape (channels, side, side), float32
    """
    planes = squared(pixels, preprocessing.side)
    if preprocessing.scale == "picture":
        planes = scaled(planes)
    order = [CHANNELS.index(channel) for channel in preprocessing.channels]
    mean = np.array(preprocessing.mean, np.float32)[:, None, None]
    std = np.array(preprocessing.std, np.float32)[:, None, None]
    ready: NDArray[np.float32] = (planes[order] - mean) / std
    return ready


def squared(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Pad a picture with black to a square and resize it: shrinking averages, growing interpolates."""
    import cv2

    height, width = pixels.shape[1:]
    longer = max(height, width)
    if (height, width) == (side, side):
        return pixels
    if height != width:
        pixels = np.pad(pixels, ((0, 0), (0, longer - height), (0, longer - width)))
    how = cv2.INTER_AREA if longer > side else cv2.INTER_LINEAR
    return np.stack([cv2.resize(plane, (side, side), interpolation=how) for plane in pixels])


def scaled(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each plane by its brightest pixels, so that exposure matters less; values stay in [0, 1]."""
    flat = planes.reshape(len(planes), -1)
    place = int(flat.shape[1] * BRIGHTEST / 100)
    top = np.partition(flat, place, axis=1)[:, place]
    bright: NDArray[np.float32] = np.maximum(top, np.float32(DARKEST))[:, None, None]
    return np.minimum(planes / bright, np.float32(1))
