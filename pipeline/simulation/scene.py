"""A field of cells as geometry: label images and the distances that patterns are painted along."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from pipeline.simulation.drawing import Floats, Plane, Points, as_plane, blur
from pipeline.simulation.placement import CellLine, Phase, Population

Labels = NDArray[np.int32]
"""A label image: 0 is background, label i + 1 is row i of the population."""


@dataclass(frozen=True)
class Scene:
    """Where everything is in one field, before any staining; `pixel_um` is a pixel's side in micrometres.

    Label images have the same numbers; the nucleus of a cell in division is its chromosomes. Centrosomes are
    row and column of each cell's microtubule organizing centre, shape (n, 2). The seed is of what belongs to
    the cells and may be stained twice: their filaments and membranes.
    """

    line: CellLine
    pixel_um: float
    population: Population
    cells: Labels
    nuclei: Labels
    nucleoli: Labels
    centrosome: Points
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.cells.shape[0], self.cells.shape[1]

    def px(self, micrometres: float) -> float:
        """Convert a length to pixels."""
        return micrometres / self.pixel_um

    def per_cell(self, values: ArrayLike) -> Plane:
        """Spread one number per cell over the cell's pixels; 0 outside cells."""
        table = np.zeros(len(self.population) + 1, np.float32)
        table[1:] = values
        return table[self.cells]

    @cached_property
    def inside(self) -> Plane:
        """1 in cells, 0 outside."""
        return (self.cells > 0).astype(np.float32)

    @cached_property
    def envelope(self) -> NDArray[np.bool_]:
        """Pixels of nuclei that have an envelope, shape (height, width)."""
        return _pixels_of(~self.population.condensed, self.nuclei)

    @cached_property
    def chromosomes(self) -> NDArray[np.bool_]:
        """Pixels of condensed chromosomes, shape (height, width)."""
        return _pixels_of(self.population.condensed, self.nuclei)

    @cached_property
    def dividing(self) -> NDArray[np.bool_]:
        """Pixels of cells whose nuclear envelope is gone, shape (height, width)."""
        return _pixels_of(self.population.condensed, self.cells)

    @cached_property
    def cytoplasm(self) -> Plane:
        """1 in cells outside their nuclei, 0 elsewhere."""
        return as_plane((self.cells > 0) & (self.nuclei == 0))

    @cached_property
    def nuclear_depth(self) -> Plane:
        """Distance in pixels from the envelope inwards; 0 outside nuclei."""
        return _depth(_interior(self.nuclei))

    @cached_property
    def nuclear_distance(self) -> Plane:
        """Distance in pixels to the nearest nucleus; 0 inside nuclei."""
        return _depth(self.nuclei == 0)

    @cached_property
    def edge_distance(self) -> Plane:
        """Distance in pixels from a cell's border inwards; 0 outside cells."""
        return _depth(_interior(self.cells))

    def offset(self, points: Points) -> tuple[Plane, Plane]:
        """Rows and columns from each pixel's own cell's point, given points of shape (n, 2)."""
        rows = np.arange(self.shape[0], dtype=np.float32)[:, None]
        columns = np.arange(self.shape[1], dtype=np.float32)[None]
        return rows - self.per_cell(points[:, 0]), columns - self.per_cell(points[:, 1])

    def at(self, plane: Plane, points: Points) -> Floats:
        """Values of a plane at the pixels nearest to points of shape (n, 2), shape (n,)."""
        row, column = np.rint(points).astype(np.int64).clip(0, np.array(self.shape) - 1).T
        return as_plane(plane[row, column])

    @cached_property
    def from_centrosome(self) -> Plane:
        """Distance in pixels to the cell's own centrosome."""
        return np.hypot(*self.offset(self.centrosome))

    @cached_property
    def around_nucleus(self) -> Plane:
        """How close to the nucleus a pixel of cytoplasm is: 1 at the envelope, falling outwards."""
        scale = self.per_cell(0.5 * self.population.nucleus_radius) + 1
        return as_plane(self.cytoplasm * np.exp(-self.nuclear_distance / scale))

    @cached_property
    def thickness(self) -> Plane:
        """Height of the cell over the glass, seen as brightness: 1 inside, 0 at the border."""
        rise = self.per_cell(0.35 * self.population.radius) + 1
        return np.tanh(1.5 * self.edge_distance / rise)

    @cached_property
    def push(self) -> NDArray[np.float32]:
        """Force on growing filaments, away from borders and nuclei, shape (height, width, 2)."""
        push = np.zeros((*self.shape, 2), np.float32)
        for distance, reach in ((self.edge_distance, 0.9), (self.nuclear_distance, 1.0)):
            smooth = blur(distance, 1.0)
            near = np.clip(1 - smooth / self.px(reach), 0, 1)
            push[..., 0] += near * cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)
            push[..., 1] += near * cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125)
        return push

    def scatter(self, weight: Plane, per_cell: ArrayLike, rng: Generator) -> Points:
        """Draw points in cells, where `weight` is relative density and `per_cell` the expected number."""
        size = len(self.population) + 1
        mass = np.bincount(self.cells.ravel(), weight.ravel(), size)
        expected = np.zeros(size)
        expected[1:] = per_cell
        factor = np.divide(expected, mass, out=np.zeros(size), where=mass > 0)
        factor[0] = 0
        cumulative = np.cumsum(weight.ravel() * factor[self.cells.ravel()])
        draws = rng.random(rng.poisson(cumulative[-1])) * cumulative[-1]
        index = np.minimum(np.searchsorted(cumulative, draws, side="right"), cumulative.size - 1)
        points = np.stack(np.unravel_index(index, self.shape), axis=1)
        return (points + rng.uniform(-0.5, 0.5, points.shape)).astype(np.float32)

    def per_area(self, density_um2: float, region: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Count per cell what there are `density_um2` of per µm² of the cell (or region)."""
        labels = self.cells if region is None else np.where(region, self.cells, 0)
        area = np.bincount(labels.ravel(), minlength=len(self.population) + 1)[1:]
        return np.asarray(area * self.pixel_um**2 * density_um2)

    def is_phase(self, phase: Phase) -> NDArray[np.bool_]:
        """Pixels of cells in one phase of division, shape (height, width)."""
        return _pixels_of(self.population.phase == phase, self.cells)


def _pixels_of(rows: NDArray[np.bool_], labels: Labels) -> NDArray[np.bool_]:
    """Pixels whose label is that of one of some rows of the population."""
    return np.asarray(np.append(False, rows)[labels])


def _interior(labels: Labels) -> NDArray[np.bool_]:
    """Pixels whose eight neighbours carry the same label; what continues beyond the picture is interior."""
    kernel = np.ones((3, 3), np.uint8)
    values = labels.astype(np.float32)
    return np.asarray((cv2.dilate(values, kernel) == cv2.erode(values, kernel)) & (labels > 0))


def _depth(mask: NDArray[np.bool_]) -> Plane:
    """Distance in pixels to the nearest pixel outside the mask."""
    return as_plane(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5))
