"""Segmentation by two Cellpose 3.1 networks: nuclei, and whole cells around them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.torch_runtime import check_device
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.segmentation.fields import network_planes
from pipeline.segmentation.inference import follow, predict
from pipeline.segmentation.matching import divide_cells, match
from pipeline.segmentation.network import Weights, find_weights, load_network
from pipeline.segmentation.scale import estimate_diameter
from pipeline.segmentation.shapes import drop_debris, enlarge_labels, median_diameter
from pipeline.segmentation.watershed import cytoplasm_signal, foreground

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]

NUCLEUS, CELL = 40.0, 100.0
"""Diameters, in pixels, of an HPA picture of 512 × 512: expected where none was given or estimated."""

TOLERANCE = 1.5
"""A picture whose objects differ from the expected diameter by more than this factor is predicted again."""


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
        Median diameters, in pixels, expected in the pictures; see `pipeline.segmentation.diameter` for
        estimating those not given.
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

    @property
    def calibrated(self) -> bool:
        """Whether both diameters are known."""
        return self.nuclei_diameter is not None and self.cell_diameter is not None

    def settings(self) -> Mapping[str, str | float | int | None]:
        """Return digests of the weights, the diameters and the version of the method."""
        return {
            "nuclei": self.nuclei.digest,
            "cells": self.cells.digest,
            "nuclei_diameter": self.nuclei_diameter,
            "cell_diameter": self.cell_diameter,
            "nuclei_inside": self.nuclei.inside,
            "cells_inside": self.cells.inside,
            "version": 4,
        }

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
