"""The microscope: blur, uneven light, shot noise, read noise and 8-bit grey values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.drawing import Plane, as_plane, blur, smooth_noise

OUT_OF_FOCUS = 5.0
"""Standard deviation in pixels of the light that comes from above and below the focal plane."""


@dataclass(frozen=True)
class Exposure:
    """How one channel of one protein's pictures is taken.

    Attributes
    ----------
    gain : float
        Grey value (of 255) of a structure of brightness 1.
    photons : float
        Photons that such a structure gives: fewer make a grainier picture.
    sharpness : float
        Standard deviation in pixels of the focused point spread function.
    haze : float
        Share of the light that comes from out of focus.
    offset : float
        Grey value that is subtracted as background.
    """

    gain: float
    photons: float
    sharpness: float
    haze: float
    offset: float


def illumination(shape: tuple[int, int], strength: float, rng: np.random.Generator) -> Plane:
    """Draw the light falling on a field: brightest off the centre and uneven, mean about 1."""
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    centre = rng.normal(0, 0.3, 2)
    fall = np.square(rows[:, None] - centre[0]) + np.square(columns[None] - centre[1])
    drift = smooth_noise(shape, shape[0] / 4, rng)
    return as_plane(np.clip(1 + strength * (0.5 - 0.6 * fall + 0.2 * drift), 0.2, None))


def photograph(stain: Plane, light: Plane, exposure: Exposure, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the picture of one channel.

    Parameters
    ----------
    stain : ndarray, shape (height, width), float32
        Dye per pixel; 1 is a bright structure.
    light : ndarray, shape (height, width), float32
        Illumination, about 1.
    exposure : Exposure
        Gain, noise and focus.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    ndarray, shape (height, width), uint8
        Grey values; what is darker than the offset is 0, brighter than the camera can hold 255.
    """
    focused = (1 - exposure.haze) * blur(stain, exposure.sharpness)
    seen = (focused + exposure.haze * blur(stain, OUT_OF_FOCUS)) * light
    photons = np.maximum(seen * exposure.photons, 0)
    # Above a few photons Poisson noise is Gaussian, which is drawn ten times faster.
    noise = rng.standard_normal(stain.shape, dtype=np.float32)
    counted = photons + noise * np.sqrt(photons + 0.3)
    grey = counted * (exposure.gain / exposure.photons) - exposure.offset
    picture: NDArray[np.uint8] = np.rint(np.clip(grey, 0, 255)).astype(np.uint8)
    return picture
