"""Segmentation by two Cellpose 3.1 networks: nuclei, and whole cells around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.files import read_signed, write_signed
from pipeline.core.workers import check_device
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample
from pipeline.segmentation.fields import network_planes
from pipeline.segmentation.inference import CELL, NUCLEUS, estimate_diameter, find_objects
from pipeline.segmentation.label_images import divide_cells, drop_debris, match
from pipeline.segmentation.network import Weights, find_weights
from pipeline.segmentation.watershed import cytoplasm_signal, foreground

Labels = NDArray[np.int32]

PICTURES = 6
"""Pictures that diameters of a data set are estimated from, evenly over it."""


def make_cellpose(
    nuclei_weights: str = "shipped:nuclei",
    cell_weights: str = "shipped:cells",
    nuclei_diameter: float | None = None,
    cell_diameter: float | None = None,
    device: str = "cpu",
) -> "CellposeSegmenter":
    """Return a segmenter with its weights found and checked.

    Parameters
    ----------
    nuclei_weights, cell_weights : str
        What `find_weights` takes.
    nuclei_diameter, cell_diameter : float, optional
        Median diameters, in pixels, expected in the pictures; `calibrated` estimates those not given.
    device : str
        Where the networks run: ``cpu``, ``cuda`` or ``cuda:1``.

    Raises
    ------
    PipelineError
        Where weights are missing or damaged, a diameter is not positive, or the device is not there.
    """
    for name, value in (("nuclei_diameter", nuclei_diameter), ("cell_diameter", cell_diameter)):
        if value is not None and not value > 1:
            raise PipelineError(f"{name} {value}: give the median diameter in pixels, above 1")
    nuclei, cells = find_weights(nuclei_weights), find_weights(cell_weights)
    return CellposeSegmenter(nuclei, cells, nuclei_diameter, cell_diameter, check_device(device))


@dataclass(frozen=True)
class CellposeSegmenter:
    """Finds nuclei and cells with a network each, and matches them.

    The networks are loaded on first use and kept per process; the segmenter itself is small and picklable.
    """

    nuclei: Weights
    cells: Weights
    nuclei_diameter: float | None = None
    cell_diameter: float | None = None
    device: str = "cpu"
    name: str = "cellpose"
    uses_torch: ClassVar[bool] = True

    def settings(self) -> Mapping[str, str | float | int | None]:
        """Return what decides the result, and the version of the method."""
        return {
            "nuclei": self.nuclei.digest,
            "cells": self.cells.digest,
            "nuclei_diameter": self.nuclei_diameter,
            "cell_diameter": self.cell_diameter,
            "nuclei_inside": self.nuclei.inside,
            "cells_inside": self.cells.inside,
            "version": 4,
        }

    def calibrated(self, samples: Sequence[Sample], record: Path) -> Self:
        """Return the segmenter with the diameters of a data set, estimated on first use and recorded.

        Given diameters stay. A record made with other weights is replaced.
        """
        if self.nuclei_diameter is not None and self.cell_diameter is not None:
            return self
        made_by = {"nuclei": self.nuclei.digest, "cells": self.cells.digest}
        known = read_signed(record)
        if known.get("weights") != made_by:
            found = self.estimate_diameters(some_pictures(samples))
            known = {"weights": made_by, "nuclei_diameter": found[0], "cell_diameter": found[1]}
            write_signed(record, known)
        return self.with_diameters(known["nuclei_diameter"], known["cell_diameter"])

    def with_diameters(self, nuclei: float, cells: float) -> Self:
        """Return the segmenter with diameters, in pixels, where it was given none."""
        given = self.nuclei_diameter or nuclei, self.cell_diameter or cells
        return replace(self, nuclei_diameter=given[0], cell_diameter=given[1])

    def estimate_diameters(self, pictures: Sequence[Picture]) -> tuple[float, float]:
        """Return the median diameters, in pixels, of the nuclei and the cells of some pictures."""
        planes = {name: [network_planes(name, one) for one in pictures] for name in ("nuclei", "cells")}
        nuclei = estimate_diameter(self.nuclei, planes["nuclei"], self.device)
        # cells are larger than their nuclei, seldom more than five times
        ladder = (1.5 * nuclei, 2.5 * nuclei, 4.0 * nuclei)
        return nuclei, estimate_diameter(self.cells, planes["cells"], self.device, ladder, 2.5 * nuclei)

    def segment(self, picture: Picture) -> Segmentation:
        """Segment one picture; empty where no nucleus is found."""
        nuclei, cells = self.find(picture)
        if not nuclei.any():
            return match(nuclei, nuclei)
        signal = cytoplasm_signal(picture.plane("microtubules"), picture.plane("er"))
        return match(divide_cells(cells, nuclei, foreground(signal, nuclei)), nuclei)

    def find(self, picture: Picture) -> tuple[Labels, Labels]:
        """Return label images of nuclei without debris, and of cells, as the networks see them: unmatched."""
        nuclei = find_objects(
            self.nuclei, network_planes("nuclei", picture), self.nuclei_diameter or NUCLEUS, self.device
        )
        nuclei = drop_debris(nuclei, picture.pixel_size_um)
        if not nuclei.any():
            return nuclei, np.zeros_like(nuclei)
        cells = find_objects(
            self.cells, network_planes("cells", picture), self.cell_diameter or CELL, self.device
        )
        return nuclei, cells


def some_pictures(samples: Sequence[Sample]) -> list[Picture]:
    """Read pictures evenly over the samples, in the order of their ids; unreadable ones do not count."""
    ordered = sorted(samples, key=lambda sample: sample.id)
    positions = np.unique(np.linspace(0, len(ordered) - 1, min(PICTURES, len(ordered))).round().astype(int))
    pictures, errors = [], []
    for position in positions:
        try:
            pictures.append(read_picture(ordered[position]))
        except SampleError as error:  # extract lists it among the problems
            errors.append(error)
    if not pictures:
        why = f"; the first: {errors[0]}" if errors else ""
        raise PipelineError(f"no readable picture to estimate diameters from{why}")
    return pictures
