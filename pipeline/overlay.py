"""Outlines of cells and nuclei drawn on the composite of a picture: for looking."""

import numpy as np
from numpy.typing import NDArray

from pipeline.picture import Picture
from pipeline.segmentation.protocol import Segmentation

RGB = NDArray[np.uint8]

CELL_COLOUR = (255, 255, 255)
NUCLEUS_COLOUR = (255, 225, 0)

BRIGHTEST = 99.7
"""Percentile of a channel that is drawn at full brightness."""


def composite(picture: Picture, er: bool = False) -> RGB:
    """Return a picture's channels in the Human Protein Atlas' colours.

    Parameters
    ----------
    picture : Picture
    er : bool
        Whether to add the endoplasmic reticulum, in yellow.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
        Red microtubules, green protein, blue nucleus; each channel stretched by itself.
    """
    planes = [_stretch(picture.plane(channel)) for channel in ("microtubules", "protein", "nucleus")]
    colours = np.stack(planes, axis=-1)
    if er:
        colours[..., :2] += 0.6 * _stretch(picture.plane("er"))[..., None]
    return (255 * np.clip(colours, 0, 1)).astype(np.uint8)


def _stretch(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(plane, (1, BRIGHTEST))
    if high <= low:
        return np.zeros_like(plane)
    return np.asarray(np.clip((plane - low) / (high - low), 0, 1), dtype=np.float32)


def draw_outlines(image: RGB, segmentation: Segmentation) -> RGB:
    """Draw the outlines of cells (white) and nuclei (yellow) into a copy of an image.

    Outlines lie inside what they surround, so that neighbours' outlines stay apart.
    """
    from skimage.segmentation import find_boundaries

    drawn = image.copy()
    drawn[find_boundaries(segmentation.cells, mode="inner")] = CELL_COLOUR
    drawn[find_boundaries(segmentation.nuclei, mode="inner")] = NUCLEUS_COLOUR
    return drawn
