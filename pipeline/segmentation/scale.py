"""The scale at which a network sees a picture's objects: expected, estimated, and corrected."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation.inference import follow, predict
from pipeline.segmentation.network import Weights, load_network
from pipeline.segmentation.shapes import enlarge_labels, median_diameter

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]

BEARABLE = 2.5
"""Objects further than this factor from the expected diameter are pieces, or many objects in one."""

TOLL = 1.0
"""Weight of the squared octaves between the objects' diameter and the expected one, against confidence.

On fields of the training part neither constant decides: from 1.8 to 4.0, and from 0 to 2.0, the estimates are
as good (`benchmarks/segmentation_diameter.py`).
"""

NUCLEUS, CELL = 40.0, 100.0
"""Diameters, in pixels, of an HPA picture of 512 × 512: expected where none was given or estimated."""

WINDOW = 208
"""Side, in network pixels, of the middle of a picture that is tried: the ladder's small steps see enough."""

LADDER = (10.0, 20.0, 40.0, 80.0, 160.0)
"""Diameters, in pixels, that are tried; the network bears objects half and twice as large as it expects."""

TOLERANCE = 1.5
"""A picture whose objects differ from the expected diameter by more than this factor is predicted again."""


def find_objects(weights: Weights, planes: Plane, diameter: float, device: str) -> Labels:
    """Return a label image, at the pictures' scale, of what a network finds.

    The picture is predicted with objects at the network's diameter; where those found are of quite
    another size than expected, or none is found, once more at the size that they have.
    """
    if not np.ptp(planes[0]):
        return np.zeros(planes.shape[1:], np.int32)
    labels, found = _at_diameter(weights, planes, diameter, device)
    if not found:
        found = estimate_diameter(weights, [planes], device, default=diameter)
    if not 1 / TOLERANCE < found / diameter < TOLERANCE:
        labels, _ = _at_diameter(weights, planes, found, device)
    return enlarge_labels(labels, (planes.shape[1], planes.shape[2]))


def _at_diameter(weights: Weights, planes: Plane, diameter: float, device: str) -> tuple[Labels, float]:
    """Return labels at the network's scale, and their median diameter in pixels of the picture."""
    scale = weights.diameter / diameter
    labels = follow(predict(load_network(weights, device), planes, scale, device), weights.inside)
    return labels, median_diameter(labels) / scale


def estimate_diameter(
    weights: Weights,
    pictures: Sequence[Plane],
    device: str = "cpu",
    ladder: Sequence[float] = LADDER,
    default: float = NUCLEUS,
) -> float:
    """Return the median diameter, in pixels, of the objects of some pictures.

    The middle of each picture is predicted at every diameter of the ladder; the step whose objects are
    best (see `quality`) is measured, and predicted once more at the diameter found. Pictures without
    objects do not count; without any, the default is returned.
    """
    found = [_of_picture(weights, planes, device, ladder) for planes in pictures]
    present = [diameter for diameter in found if diameter]
    return round(float(np.median(present)), 1) if present else default


def _of_picture(weights: Weights, planes: Plane, device: str, ladder: Sequence[float]) -> float:
    steps = [step for step in ladder if step < max(planes.shape[1:])]
    looks = [(see(weights, planes, step, device), step) for step in steps]
    rated = [(quality(*look, step), look[1]) for look, step in looks]
    best, diameter = max(rated, default=(0.0, 0.0))
    if not best:
        return 0.0
    _, again = see(weights, planes, diameter, device)
    return again if 1 / BEARABLE < again / diameter < BEARABLE else diameter


def see(weights: Weights, planes: Plane, expected: float, device: str = "cpu") -> tuple[float, float]:
    """Look for objects of an expected diameter in the middle of a picture.

    Returns
    -------
    tuple of float
        Mean confidence of the pixels (2 p − 1 in objects, 0 outside), and the median diameter of the objects,
        in pixels; 0 where there are none.
    """
    scale = weights.diameter / expected
    prediction = predict(load_network(weights, device), _middle(planes, WINDOW / scale), scale, device)
    labels = follow(prediction, weights.inside)
    confidence = np.tanh(np.clip(prediction.logits[labels > 0], 0, None) / 2).sum() / labels.size
    return float(confidence), median_diameter(labels) / scale


def quality(
    confidence: float, measured: float, expected: float, bearable: float = BEARABLE, toll: float = TOLL
) -> float:
    """Return how well objects are seen at an expected diameter; 0 where their own is another.

    Confidence is worth less the further the objects' diameter is from the expected one: a network pulls
    nothing together from pieces, and sees little in what is much too small.
    """
    if not 1 / bearable < measured / expected < bearable:
        return 0.0
    return confidence / (1 + toll * float(np.log2(measured / expected)) ** 2)


def _middle(planes: Plane, side: float) -> Plane:
    """Return the middle of a picture, with sides of at most so many pixels."""
    window = []
    for length in planes.shape[1:]:
        keep = min(length, max(1, round(side)))
        window.append(slice((length - keep) // 2, (length - keep) // 2 + keep))
    return planes[:, *window]
