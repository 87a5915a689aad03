"""Running a Cellpose network on a picture: normalise, rescale, tile, predict, follow the flows."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.workers import autocast
from pipeline.segmentation.augment import normalise
from pipeline.segmentation.dynamics import follow_flows
from pipeline.segmentation.shapes import drop_small

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


@dataclass(frozen=True)
class Prediction:
    """What the network says about a picture, at the network's scale.

    Attributes
    ----------
    flows : ndarray, shape (2, height, width), float32
        Down and right, towards the centre of the object; 5 is a whole step.
    logits : ndarray, shape (height, width), float32
        Log-odds of being inside an object.
    """

    flows: Plane
    logits: Plane


def predict(network: "Module", planes: Plane, scale: float, device: str = "cpu") -> Prediction:
    """Predict flows and insides of one picture.

    Parameters
    ----------
    network : Module
        As `load_network` gives it.
    planes : ndarray, shape (2, height, width), float32
        The objects' plane, and the nuclei or zeros; any range of values.
    scale : float
        Network pixels per picture pixel.
    device : str
        ``cpu``, ``cuda`` or another name that torch knows.
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
    """Turn flows into a label image: pixels that flow to one point are one object.

    Parameters
    ----------
    prediction : Prediction
    threshold : float
        Log-odds above which a pixel is inside.
    """
    inside = prediction.logits > threshold
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    return drop_small(follow_flows(prediction.flows / STEP_FLOW, inside), SMALLEST)
