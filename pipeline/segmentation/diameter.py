"""Diameters of a data set: estimated once from a few pictures, recorded, reused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.problems import SampleError
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.fields import network_planes
from pipeline.segmentation.protocol import Segmenter
from pipeline.segmentation.scale import estimate_diameter

PICTURES = 6
"""Pictures that are looked at, evenly over the data set."""


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
    nuclei = estimate_diameter(segmenter.nuclei, planes["nuclei"], segmenter.device)
    # cells are larger than their nuclei, seldom more than five times
    ladder = (1.5 * nuclei, 2.5 * nuclei, 4.0 * nuclei)
    return nuclei, estimate_diameter(segmenter.cells, planes["cells"], segmenter.device, ladder, 2.5 * nuclei)


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
