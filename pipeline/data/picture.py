"""A picture in memory: what every stage passes on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("microtubules", "protein", "nucleus", "er")
"""Channels in the order of a picture's planes, named by what they show."""

COLOURS = {"microtubules": "red", "protein": "green", "nucleus": "blue", "er": "yellow"}
"""The Human Protein Atlas' colour, and file ending, of each channel."""


@dataclass(frozen=True)
class Picture:
    """The four planes of one field of view.

    Attributes
    ----------
    pixels : ndarray, shape (4, height, width), float32
        Intensities in [0, 1]: the stored value over the largest its file format can hold.
        Planes are in the order of `CHANNELS`.
    pixel_size_um : float or None
        Side of a pixel in micrometres; None where unknown.
    """

    pixels: NDArray[np.float32]
    pixel_size_um: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def plane(self, channel: str) -> NDArray[np.float32]:
        """Return one channel's plane, shape (height, width)."""
        plane: NDArray[np.float32] = self.pixels[CHANNELS.index(channel)]
        return plane
