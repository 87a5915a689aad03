"""Quality of one picture in numbers, which no model sees; what they are worth is judged by `quality_flags`.

What cannot be answered at all is told by `quality_control`.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.data.layouts import CHANNELS
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.formats.illumination import evenness, squares

Plane = NDArray[np.float32]
Numbers = NDArray[np.float64]

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

BRIGHT, NOTHING, MUCH = 1.4, 0.3, 3.0
"""Brightness over that of the median nucleus: of debris; in the other channels, of no cell and of dust."""

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
    if len(areas) and "nucleus" in picture.channels:
        nucleus, inside = picture.plane("nucleus"), found.nuclei > 0
        numbers["QC_debris"] = _debris(nucleus, inside, areas, levels)
        numbers["QC_contrast"] = _contrast(nucleus[inside], nucleus[(found.cells > 0) & ~inside])
    return {name: np.float32(value) for name, value in numbers.items()}


def _nuclei(picture: Picture, found: Segmentation) -> tuple[Numbers, dict[str, Numbers]]:
    """Return the areas of nuclei in pixels, and by channel their mean brightness."""
    inside = found.nuclei > 0
    labels = found.nuclei[inside]
    areas = np.bincount(labels).astype(np.float64)
    seen = areas > 0
    levels = {
        channel: np.bincount(labels, plane[inside], len(areas))[seen] / areas[seen]
        for channel, plane in zip(picture.channels, picture.pixels, strict=True)
    }
    return areas[seen], levels


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


def _debris(
    nucleus: Plane, inside: NDArray[np.bool_], areas: Numbers, levels: Mapping[str, Numbers]
) -> float:
    """Return the area, in nuclei, of bright things that are none, whether they were taken for some or not.

    What was taken for a nucleus is none where it is brighter than most and shows next to nothing of all other
    channels, or far more of all of them.
    """
    typical = float(np.median(levels["nucleus"]))
    others = [one / max(float(np.median(one)), 1e-6) for name, one in levels.items() if name != "nucleus"]
    bright = levels["nucleus"] > BRIGHT * typical
    strange = (np.max(others, axis=0) < NOTHING) | (np.min(others, axis=0) > MUCH) if others else ~bright
    grown = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0  # nuclei with their blur
    beside = (cv2.blur(nucleus, (5, 5)) > BRIGHT * typical) & ~grown
    return float((beside.sum() + areas[bright & strange].sum()) / np.median(areas))


def _contrast(inside: Plane, around: Plane) -> float:
    """Return the power of two by which nuclei are brighter than the rest of their cells."""
    if not len(around):
        return float("nan")
    return float(np.log2(max(float(inside.mean()), 1e-6) / max(float(around.mean()), 1e-6)))
