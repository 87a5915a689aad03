"""Segmentation by two Cellpose 3.1 networks: nuclei, and whole cells around them."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.workers import check_device, torch_threads
from pipeline.data.dataset_options import Scale
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.segmentation.fields import network_planes
from pipeline.segmentation.inference import CELL, NUCLEUS, estimate_diameter, find_objects
from pipeline.segmentation.label_images import divide_cells, drop_debris, grow_cells, match
from pipeline.segmentation.network import Weights, find_weights
from pipeline.segmentation.watershed import cytoplasm_signal, foreground

Labels = NDArray[np.int32]

LARGE = 224**2
"""Pixels that the network of nuclei sees, from which on both networks may run at the same time."""

DIM = (0.30, 0.03)
"""Share of the signal on nuclei, and what is added, above which a pixel is of a cell's thin rim.

Against masks of two real fields, average precision at IoU 0.75 is 0.61 where cells do not grow, 0.64 where
they grow to the limit of the watershed, and 0.71 to this one; simulated cells are the same at both.
"""


def make_cellpose(
    nuclei_weights: str = "shipped:nuclei",
    cell_weights: str = "shipped:cells",
    nuclei_diameter: float | None = None,
    cell_diameter: float | None = None,
    pixel_size_um: float | None = None,
    device: str = "cpu",
) -> "CellposeSegmenter":
    """Return a segmenter with its weights found and checked.

    Parameters
    ----------
    nuclei_weights, cell_weights : str
        What `find_weights` takes.
    nuclei_diameter, cell_diameter : float, optional
        Median diameters, in pixels, expected in the pictures; `at` sets those not given.
    pixel_size_um : float, optional
        Side of these pixels in micrometres. A picture that states another one is expected to show its nuclei
        and cells larger or smaller by as much.
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
    return CellposeSegmenter(
        nuclei, cells, nuclei_diameter, cell_diameter, pixel_size_um, check_device(device)
    )


@dataclass(frozen=True)
class CellposeSegmenter:
    """Finds nuclei and cells with a network each, and matches them.

    The networks are loaded on first use and kept per process; the segmenter itself is small and picklable.
    """

    nuclei: Weights
    cells: Weights
    nuclei_diameter: float | None = None
    cell_diameter: float | None = None
    pixel_size_um: float | None = None
    device: str = "cpu"
    name: ClassVar[str] = "cellpose"
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
            "version": 5,
        } | ({} if self.pixel_size_um is None else {"pixel_size_um": self.pixel_size_um})

    def measure_nuclei(
        self, pictures: Sequence[Picture], factors: Sequence[float], expected: float = 0.0
    ) -> float:
        """Return the given diameter of nuclei, else the median of some pictures."""
        planes = [network_planes("nuclei", one) for one in pictures]
        return self.nuclei_diameter or estimate_diameter(
            self.nuclei, planes, self.device, default=0.0, factors=factors, expected=expected
        )

    def measure_cells(self, pictures: Sequence[Picture], factors: Sequence[float], nuclei: float) -> float:
        """Return the given diameter of cells, else the median of some pictures."""
        planes = [network_planes("cells", one) for one in pictures]
        # cells are larger than their nuclei, seldom more than five times
        ladder, usual = (1.5 * nuclei, 2.5 * nuclei, 4.0 * nuclei), 2.5 * nuclei
        return self.cell_diameter or estimate_diameter(
            self.cells, planes, self.device, ladder, usual, factors=factors
        )

    def at(self, scale: Scale) -> Self:
        """Return the segmenter that expects nuclei and cells of this scale."""
        nuclei = scale.nuclei_diameter or NUCLEUS
        return replace(
            self,
            nuclei_diameter=nuclei,
            cell_diameter=scale.cell_diameter or 2.5 * nuclei,
            pixel_size_um=scale.pixel_size_um,
        )

    def segment(self, picture: Picture, threads: int = 1) -> Segmentation:
        """Segment one picture, a large one with both networks at once; empty where no nucleus is found."""
        if threads == 1 or self._seen(picture) < LARGE:
            nuclei = self.nuclei_in(picture)
            return match(self.cells_around(nuclei, picture), nuclei)
        with ThreadPoolExecutor(1) as pool:
            beside = pool.submit(self._found_beside, picture)
            nuclei = self.nuclei_in(picture)
            return match(self._divided(beside.result(), nuclei, picture), nuclei)

    def _found_beside(self, picture: Picture) -> Labels:
        """Find cells in a thread of its own, which torch's limit of threads does not reach."""
        with torch_threads(1):
            return self.find_cells(picture)

    def _seen(self, picture: Picture) -> float:
        """Return how many pixels the network of nuclei sees."""
        scale = self.nuclei.diameter / (self._factor(picture) * (self.nuclei_diameter or NUCLEUS))
        return math.prod(picture.shape) * scale**2

    def nuclei_in(self, picture: Picture) -> Labels:
        """Return the nuclei that the network finds, without debris."""
        diameter = self._factor(picture) * (self.nuclei_diameter or NUCLEUS)
        nuclei = find_objects(self.nuclei, network_planes("nuclei", picture), diameter, self.device)
        return drop_debris(nuclei, picture.pixel_size_um)

    def cells_around(self, nuclei: Labels, picture: Picture) -> Labels:
        """Return the cells that the network finds, divided among nuclei and with their dim rims."""
        if not nuclei.any():
            return np.zeros_like(nuclei)
        return self._divided(self.find_cells(picture), nuclei, picture)

    def _divided(self, cells: Labels, nuclei: Labels, picture: Picture) -> Labels:
        """Divide cells among their nuclei, and let them grow into their rims."""
        if not nuclei.any():
            return np.zeros_like(nuclei)
        signal = cytoplasm_signal(picture)
        divided = divide_cells(cells, nuclei, foreground(signal, nuclei))
        return grow_cells(divided, nuclei, foreground(signal, nuclei, *DIM))

    def find_cells(self, picture: Picture) -> Labels:
        """Return the cells that the network finds, whatever nuclei are in them."""
        diameter = self._factor(picture) * (self.cell_diameter or CELL)
        return find_objects(self.cells, network_planes("cells", picture), diameter, self.device)

    def _factor(self, picture: Picture) -> float:
        """Return how many times as large as expected things are in a picture, by its pixel size."""
        sizes = self.pixel_size_um, picture.pixel_size_um
        return sizes[0] / sizes[1] if sizes[0] and sizes[1] else 1.0
