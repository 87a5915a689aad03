"""Quality of one picture in numbers, which no model sees; what they are worth is judged by `quality_flags`.

What cannot be answered at all is told by `quality_control`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.data.layouts import CHANNELS
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.formats.illumination import evenness, squares

Plane = NDArray[np.float32]

VERSION = 1
"""Raise it when the same picture gives other numbers than before."""

OF_CHANNELS = ("focus", "saturation", "corners", "tilt", "balance")
OF_PICTURES = ("foreground", "debris", "contrast")
COLUMNS = [f"QC_{name}_{channel}" for name in OF_CHANNELS for channel in CHANNELS] + [
    f"QC_{name}" for name in OF_PICTURES
]
"""Columns of the numbers; data/README.md says what they mean."""

NUCLEUS = 40
"""Pixels across a nucleus from which finer pixels say nothing more of the focus."""

BRIGHT = 1.5
"""Brightness over that of the median nucleus from which something beside the nuclei is debris."""

_FINE, _COARSE = (1.0, 2.0), (4.0, 8.0)
"""Widths in pixels of the two Gaussians whose difference shows structures: fine ones, and coarse ones."""


def quality(picture: Picture, found: Segmentation) -> dict[str, np.float32]:
    """Return the numbers of one picture, by `COLUMNS`; NaN where a channel or a cell is lacking."""
    numbers = dict.fromkeys(COLUMNS, float("nan"))
    areas, levels = _nuclei(picture, found)
    shrinkage = min(1.0, NUCLEUS / np.sqrt(4 / np.pi * np.median(areas))) if len(areas) else 1.0
    means = {channel: float(picture.plane(channel).mean()) for channel in picture.channels}
    for channel in picture.channels:
        plane = picture.plane(channel)
        others = [mean for name, mean in means.items() if name != channel and mean > 0]
        numbers[f"QC_focus_{channel}"] = _focus(plane, shrinkage)
        numbers[f"QC_saturation_{channel}"] = float((plane >= 1).mean())
        numbers[f"QC_corners_{channel}"], numbers[f"QC_tilt_{channel}"] = evenness(squares(plane))
        if others and means[channel] > 0:
            numbers[f"QC_balance_{channel}"] = float(np.log2(means[channel]) - np.log2(others).mean())
    numbers["QC_foreground"] = float((found.cells > 0).mean())
    if len(levels) and "nucleus" in picture.channels:
        around, inside = (found.cells > 0) & (found.nuclei == 0), found.nuclei > 0
        nucleus, level = picture.plane("nucleus"), float(np.median(levels))
        numbers["QC_debris"] = _debris(nucleus, inside, BRIGHT * level) / float(np.median(areas))
        if around.any():
            numbers["QC_contrast"] = float(
                np.log2(nucleus[inside].mean() / max(nucleus[around].mean(), 1e-6))
            )
    return {name: np.float32(value) for name, value in numbers.items()}


def _nuclei(picture: Picture, found: Segmentation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the areas of nuclei in pixels, and their mean brightness where it was recorded."""
    inside = found.nuclei > 0
    labels = found.nuclei[inside]
    areas = np.bincount(labels).astype(np.float64)
    seen = areas > 0
    if "nucleus" not in picture.channels:
        return areas[seen], np.zeros(0)
    sums = np.bincount(labels, picture.plane("nucleus")[inside], len(areas))
    return areas[seen], sums[seen] / areas[seen]


def _focus(plane: Plane, shrinkage: float) -> float:
    """Return the logarithm of the variance of fine structures over that of coarse ones."""
    if shrinkage < 1:
        plane = np.asarray(
            cv2.resize(plane, None, fx=shrinkage, fy=shrinkage, interpolation=cv2.INTER_AREA), np.float32
        )
    fine, coarse = (
        float(np.var(cv2.GaussianBlur(plane, (0, 0), low) - cv2.GaussianBlur(plane, (0, 0), high)))
        for low, high in (_FINE, _COARSE)
    )
    return float(np.log(fine / coarse)) if fine > 0 and coarse > 0 else float("nan")


def _debris(nucleus: Plane, inside: NDArray[np.bool_], level: float) -> float:
    """Return the pixels beside nuclei that are brighter than `level`, but for the blur of nuclei."""
    grown = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    return float(((cv2.blur(nucleus, (5, 5)) > level) & ~grown).sum())
