"""How large objects are in a data set: estimated once from a few pictures, recorded, reused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.images import read_picture
from pipeline.picture import Picture
from pipeline.problems import SampleError
from pipeline.records import replacing
from pipeline.samples import Sample
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.fields import network_planes
from pipeline.segmentation.inference import follow, predict
from pipeline.segmentation.protocol import Segmenter
from pipeline.segmentation.shapes import median_diameter
from pipeline.segmentation.weights import Weights, load_network

Plane = NDArray[np.float32]

PICTURES = 8
"""Pictures that are looked at, evenly over the data set."""

LADDER = (10.0, 20.0, 40.0, 80.0, 160.0)
"""Diameters, in pixels, that are tried; the network bears objects half and twice as large as it expects."""


def calibrate(segmenter: Segmenter, samples: Sequence[Sample], record: Path) -> Segmenter:
    """Give a segmenter the diameters of a data set, estimated on first use and recorded.

    Parameters
    ----------
    segmenter : Segmenter
        Returned as it is where it needs no diameter or has them.
    samples : sequence of Sample
    record : Path
        Where the diameters are kept (JSON). A record made with other weights is replaced.
    """
    if not isinstance(segmenter, CellposeSegmenter) or segmenter.calibrated:
        return segmenter
    made_by = {"nuclei": segmenter.nuclei.digest, "cells": segmenter.cells.digest}
    known = json.loads(record.read_text()) if record.is_file() else {}
    if known.get("weights") != made_by:
        found = estimate_both(segmenter, some_pictures(samples))
        known = {"weights": made_by, "nuclei_diameter": found[0], "cell_diameter": found[1]}
        with replacing(record) as temporary:
            temporary.write_text(json.dumps(known, indent=1))
    return with_diameters(segmenter, known["nuclei_diameter"], known["cell_diameter"])


def with_diameters(segmenter: CellposeSegmenter, nuclei: float, cells: float) -> CellposeSegmenter:
    """Return a segmenter with diameters where it was given none."""
    return replace(
        segmenter,
        nuclei_diameter=segmenter.nuclei_diameter or nuclei,
        cell_diameter=segmenter.cell_diameter or cells,
    )


def estimate_both(segmenter: CellposeSegmenter, pictures: Sequence[Picture]) -> tuple[float, float]:
    """Return the median diameters, in pixels, of the nuclei and the cells of some pictures."""
    planes = {name: [network_planes(name, one) for one in pictures] for name in ("nuclei", "cells")}
    return (
        estimate_diameter(segmenter.nuclei, planes["nuclei"], segmenter.device),
        estimate_diameter(segmenter.cells, planes["cells"], segmenter.device),
    )


def estimate_diameter(weights: Weights, pictures: Sequence[Plane], device: str = "cpu") -> float:
    """Return the median diameter, in pixels, of the objects of some pictures.

    Each picture is predicted at every diameter of `LADDER`; the step whose objects are best (see
    `_quality`) is measured, and predicted once more at the diameter found. Pictures without objects do
    not count; without any, the middle of the ladder is returned.
    """
    found = [_of_picture(weights, planes, device) for planes in pictures]
    present = [diameter for diameter in found if diameter]
    return round(float(np.median(present)), 1) if present else LADDER[len(LADDER) // 2]


def _of_picture(weights: Weights, planes: Plane, device: str) -> float:
    steps = [step for step in LADDER if step < max(planes.shape[1:])]
    tried = [_quality(weights, planes, step, device) for step in steps]
    quality, diameter = max(tried, default=(0.0, 0.0))
    if not quality:
        return 0.0
    return _quality(weights, planes, diameter, device)[1] or diameter


def _quality(weights: Weights, planes: Plane, diameter: float, device: str) -> tuple[float, float]:
    """Return how well objects are seen at an expected diameter, and the diameter that they have.

    The quality is the summed confidence of their pixels (2 p − 1, at the picture's scale), less the
    further their diameter is from the expected one: a network pulls nothing together from pieces, and
    sees little in what is much too small.
    """
    scale = weights.diameter / diameter
    prediction = predict(load_network(weights), planes, scale, device)
    labels = follow(prediction)
    measured = median_diameter(labels) / scale
    if not measured:
        return 0.0, 0.0
    confidence = np.tanh(np.clip(prediction.logits[labels > 0], 0, None) / 2).sum() / scale**2
    return float(confidence / (1 + np.log2(measured / diameter) ** 2)), measured


def some_pictures(samples: Sequence[Sample]) -> list[Picture]:
    """Read pictures evenly over the samples, in the order of their ids; unreadable ones do not count."""
    ordered = sorted(samples, key=lambda sample: sample.id)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(PICTURES, len(ordered))).round().astype(int))
    pictures = []
    for place in places:
        try:
            pictures.append(read_picture(ordered[place]))
        except SampleError:  # extract lists it among the problems
            continue
    if not pictures:
        raise PipelineError("no readable picture to estimate diameters from; give nuclei and cell diameters")
    return pictures
