"""How large the objects of a picture are: a network is asked at several scales."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation.inference import follow, predict
from pipeline.segmentation.shapes import median_diameter
from pipeline.segmentation.weights import Weights, load_network

Plane = NDArray[np.float32]

BEARABLE = 2.5
"""Objects further than this factor from the expected diameter are pieces, or many objects in one."""

DEFAULT = 40.0
"""Diameter, in pixels, of nuclei in HPA pictures of 512 × 512."""

WINDOW = 208
"""Side, in network pixels, of the middle of a picture that is tried: the ladder's small steps see enough."""

LADDER = (10.0, 20.0, 40.0, 80.0, 160.0)
"""Diameters, in pixels, that are tried; the network bears objects half and twice as large as it expects."""


def estimate_diameter(
    weights: Weights,
    pictures: Sequence[Plane],
    device: str = "cpu",
    ladder: Sequence[float] = LADDER,
    default: float = DEFAULT,
) -> float:
    """Return the median diameter, in pixels, of the objects of some pictures.

    The middle of each picture is predicted at every diameter of the ladder; the step whose objects are
    best (see `_quality`) is measured, and predicted once more at the diameter found. Pictures without
    objects do not count; without any, the default is returned.
    """
    found = [_of_picture(weights, planes, device, ladder) for planes in pictures]
    present = [diameter for diameter in found if diameter]
    return round(float(np.median(present)), 1) if present else default


def _of_picture(weights: Weights, planes: Plane, device: str, ladder: Sequence[float]) -> float:
    steps = [step for step in ladder if step < max(planes.shape[1:])]
    tried = [_quality(weights, planes, step, device) for step in steps]
    quality, diameter = max(tried, default=(0.0, 0.0))
    if not quality:
        return 0.0
    return _quality(weights, planes, diameter, device)[1] or diameter


def _quality(weights: Weights, planes: Plane, diameter: float, device: str) -> tuple[float, float]:
    """Return how well objects are seen at an expected diameter, and the diameter that they have.

    The quality is the mean confidence of their pixels (2 p − 1, 0 outside), less the
    further their diameter is from the expected one: a network pulls nothing together from pieces, and
    sees little in what is much too small.
    """
    scale = weights.diameter / diameter
    prediction = predict(load_network(weights, device), _middle(planes, WINDOW / scale), scale, device)
    labels = follow(prediction, weights.inside)
    measured = median_diameter(labels) / scale
    if not 1 / BEARABLE < measured / diameter < BEARABLE:
        return 0.0, 0.0
    confidence = np.tanh(np.clip(prediction.logits[labels > 0], 0, None) / 2).sum() / labels.size
    return float(confidence / (1 + np.log2(measured / diameter) ** 2)), measured


def _middle(planes: Plane, side: float) -> Plane:
    """Return the middle of a picture, with sides of at most so many pixels."""
    window = []
    for length in planes.shape[1:]:
        keep = min(length, max(1, round(side)))
        window.append(slice((length - keep) // 2, (length - keep) // 2 + keep))
    return planes[:, *window]
