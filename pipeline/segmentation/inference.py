"""Running a Cellpose network on a picture at the scale of its objects: tile, predict, follow the flows."""

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.workers import autocast
from pipeline.segmentation.dynamics import follow_flows
from pipeline.segmentation.label_images import drop_small, enlarge_labels, median_diameter
from pipeline.segmentation.network import Weights, load_network

if TYPE_CHECKING:
    from torch.nn import Module

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]

TILE = 320
"""Largest side, in network pixels, that is predicted in one piece.

Cellpose cuts tiles of 224, of which a picture of 512 × 512 with nuclei of 38 pixels (240 network pixels with
its padding) needs four, and pays for most pixels three times.
"""

OVERLAP = 32
"""Network pixels that neighbouring tiles share."""

BATCH = 4
"""Tiles that are predicted at a time: a bound on memory; more were not faster."""

STEP = 8
"""Sides must be multiples of this: the network halves them three times."""

STEP_FLOW = 5.0
"""What the network predicts for a flow of one pixel per step."""

SMALLEST = 9
"""Objects of fewer network pixels are dropped: an eighth of a nucleus at Cellpose's diameter of 17."""

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

CLOSE = 1.2
"""Factor up to which objects are of the size that they were looked for with: no other size is tried."""

LOOKS = 3
"""Looks, each with the size found before, after which objects of no expected size are tried on the ladder."""

TOLERANCE = 1.5
"""A picture whose objects differ from the expected diameter by more than this factor is predicted again."""


class Prediction(NamedTuple):
    """What the network says about a picture, at the network's scale.

    Flows, shape (2, height, width), are down and right, towards the centre of the object; 5 is a whole step.
    Logits, shape (height, width), are log-odds of being inside an object.
    """

    flows: Plane
    logits: Plane


def predict(network: "Module", planes: Plane, scale: float, device: str = "cpu") -> Prediction:
    """Predict flows and insides of one picture.

    Parameters
    ----------
    planes : ndarray, shape (2, height, width), float32
        The objects' plane, and the nuclei or zeros; any range of values.
    scale : float
        Network pixels per picture pixel.
    """
    import torch
    from cellpose.transforms import pad_image_ND

    scaled = rescale(np.stack([normalise(plane) for plane in planes]), scale)
    padded, rows, columns = pad_image_ND(scaled, div=STEP)
    tiles, corners = _tiles(padded)
    batch = torch.from_numpy(tiles).to(device, memory_format=torch.channels_last)
    with torch.inference_mode(), autocast(device):
        output = torch.cat([network(some)[0].float().cpu() for some in torch.split(batch, BATCH)]).numpy()
    whole = _join(output, corners, padded.shape[1:])[:, rows][:, :, columns]
    return Prediction(np.ascontiguousarray(whole[:2]), np.ascontiguousarray(whole[2]))


def rescale(planes: Plane, scale: float) -> Plane:
    """Resize planes; shrinking averages over what becomes one pixel, so that noise falls too."""
    height, width = (max(1, round(side * scale)) for side in planes.shape[1:])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.stack([cv2.resize(plane, (width, height), interpolation=method) for plane in planes])


def _tiles(planes: Plane) -> tuple[Plane, list[tuple[int, int]]]:
    """Cut overlapping tiles of one size, as few and as small as cover the planes."""
    (rows, height), (columns, width) = (_starts(side) for side in planes.shape[1:])
    corners = [(row, column) for row in rows for column in columns]
    return np.stack([planes[:, r : r + height, c : c + width] for r, c in corners]), corners


def _starts(side: int) -> tuple[list[int], int]:
    """Return where tiles begin along one side, and their length; both sides are whole steps."""
    if side <= TILE:
        return [0], side
    count = math.ceil((side - OVERLAP) / (TILE - OVERLAP))
    length = STEP * math.ceil((side + (count - 1) * OVERLAP) / count / STEP)
    return [int(start) for start in np.linspace(0, side - length, count).round()], length


def _join(output: Plane, corners: list[tuple[int, int]], shape: tuple[int, ...]) -> Plane:
    """Average overlapping tiles, the middle of a tile counting more than its rim."""
    if len(corners) == 1:
        return np.asarray(output[0])
    height, width = output.shape[2:]
    weight = np.minimum.outer(_taper(height), _taper(width))
    total = np.zeros((output.shape[1], *shape), np.float32)
    weights = np.zeros(shape, np.float32)
    for tile, (row, column) in zip(output, corners, strict=True):
        window = (slice(row, row + height), slice(column, column + width))
        total[:, *window] += tile * weight
        weights[window] += weight
    return total / weights


def _taper(side: int) -> Plane:
    """Return weights along a side, from almost 0 at its ends to 1 where neighbours end."""
    from_end = np.minimum(np.arange(side), np.arange(side)[::-1]) + 1
    return np.minimum(1.0, from_end / OVERLAP).astype(np.float32)


def follow(prediction: Prediction, threshold: float = 0.0) -> Labels:
    """Turn flows into labels: pixels above a threshold of log-odds that flow to one point are one object."""
    inside = prediction.logits > threshold
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    return drop_small(follow_flows(prediction.flows / STEP_FLOW, inside), SMALLEST)


def normalise(plane: Plane) -> Plane:
    """Scale a plane so that its 1st percentile is 0 and its 99th is 1; a flat plane becomes 0."""
    low, high = np.percentile(plane, (1, 99))
    if high - low <= 1e-6 * max(1.0, abs(float(high))):
        return np.zeros_like(plane, dtype=np.float32)
    return np.asarray((plane - low) / (high - low), np.float32)


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
    _, labels = _seen(weights, planes, scale, device)
    return labels, median_diameter(labels) / scale


class _Last(threading.local):
    """What a thread saw last, and of what: a picture is measured and segmented with one look at it."""

    how: tuple[Weights, float, str] | None = None
    planes: Plane
    seen: tuple[Prediction, Labels]


_LAST = _Last()


def _seen(weights: Weights, planes: Plane, scale: float, device: str) -> tuple[Prediction, Labels]:
    """Return what the network says of planes at a scale, and the objects in it, at the network's scale."""
    how = (weights, scale, device)
    if _LAST.how != how or not np.array_equal(_LAST.planes, planes):
        prediction = predict(load_network(weights, device), planes, scale, device)
        _LAST.seen = prediction, follow(prediction, weights.inside)
        _LAST.how, _LAST.planes = how, planes
    return _LAST.seen


def estimate_diameter(
    weights: Weights,
    pictures: Sequence[Plane],
    device: str = "cpu",
    ladder: Sequence[float] = LADDER,
    default: float = NUCLEUS,
    factors: Sequence[float] | None = None,
    expected: float = 0.0,
) -> float:
    """Return the median diameter, in pixels, of the objects of some pictures.

    Where pictures have pixels of different sizes, `factors` are these sizes over that of the result's.

    The middle of each picture is predicted at every diameter of the ladder; the step whose objects are
    best (see `quality`) is measured, and predicted once more at the diameter found. Pictures without
    objects do not count; without any, the default is returned. Where a diameter is expected, the ladder is
    climbed only for pictures whose objects, looked for with it and then with what was found, are of no size.
    """
    factors = factors or [1.0] * len(pictures)
    found = [
        factor
        * (
            _as_expected(weights, planes, device, expected / factor)
            or _of_picture(weights, planes, device, [step / factor for step in ladder])
        )
        for planes, factor in zip(pictures, factors, strict=True)
    ]
    present = [diameter for diameter in found if diameter]
    return round(float(np.median(present)), 1) if present else default


def _as_expected(weights: Weights, planes: Plane, device: str, expected: float) -> float:
    """Return the diameter of objects that are seen to be about as large as they were looked for with.

    They are looked for with the expected diameter, and then with the one found; 0 where that comes to no end.
    """
    for _ in range(LOOKS):
        if not 0 < expected < max(planes.shape[1:]):
            break
        _, found = see(weights, planes, expected, device)
        if 1 / CLOSE < found / expected < CLOSE:
            return found
        expected = found
    return 0.0


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

    It returns the mean confidence of the pixels (2 p − 1 in objects, 0 outside), and the median diameter of
    the objects in pixels; 0 where there are none.
    """
    scale = weights.diameter / expected
    prediction, labels = _seen(weights, _middle(planes, WINDOW / scale), scale, device)
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
    kept = [(length, min(length, max(1, round(side)))) for length in planes.shape[1:]]
    window = [slice((length - keep) // 2, (length - keep) // 2 + keep) for length, keep in kept]
    return planes[:, *window]
