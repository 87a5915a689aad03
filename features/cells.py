"""A picture and its label images cut into cells, with everything that families share computed once."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar
from weakref import ref

import numpy as np
from skimage.filters import threshold_otsu

from features.inputs import Field
from features.jit import Bytes, Floats, Floats32, Ints, Ints32, Mask
from features.kernels.crops import bounding_boxes, cut_out, gather, ranks_of_part
from features.kernels.distance import distance_inside
from features.kernels.ranks import distinct, otsu, quantise, rank, sort_by_rank
from features.kernels.sums import moments
from features.surroundings import Surroundings

Derived = TypeVar("Derived")

CELL_REGIONS = ("cell", "nucleus", "cytoplasm")
RING_UM, RING_PX = 2.0, 6.0
"""Width of the rings around the nucleus and inside the border, in micrometres or, if unknown, pixels."""


class Cell:
    """One cell with all its channels, cut out of the picture with a margin of one pixel.

    Parameters
    ----------
    label : int
        Its number in the label image.
    pixels : ndarray, shape (channels, height, width), float32
        The crop, 0 outside the cell: a result cannot depend on anything around it.
    masks : dict of str to ndarray, shape (height, width), bool
        The regions; the first one holds all others.
    channels : tuple of str
        Names of the planes.
    pixel_size_um : float or None
        Side of a pixel in micrometres.
    surroundings : Surroundings or None
        The other cells of its field; None for a field as a whole.
    """

    def __init__(
        self,
        label: int,
        pixels: Floats32,
        masks: dict[str, Mask],
        channels: tuple[str, ...],
        pixel_size_um: float | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.label = label
        self.pixels = pixels
        self.channels = channels
        self.pixel_size_um = pixel_size_um
        self._surroundings = surroundings
        self._regions = {name: Region(self, name, mask) for name, mask in masks.items()}
        self.whole = next(iter(self._regions.values()))
        self._derived: dict[tuple[Any, ...], Any] = {}

    def once(self, derive: Callable[..., Derived], *settings: float | str) -> Derived:
        """Return ``derive(cell, *settings)``, computed at the first request and shared by all families."""
        key = (derive, *settings)
        if key not in self._derived:
            self._derived[key] = derive(self, *settings)
        derived: Derived = self._derived[key]
        return derived

    def region(self, name: str) -> "Region":
        """Return a region by name; rings are cut at the first request."""
        if name not in self._regions:
            distance = {"perinuclear": self.from_nucleus, "periphery": self.depth}[name]
            near = self.region("cytoplasm").mask & (distance <= self.in_pixels(RING_UM, RING_PX))
            self._regions[name] = Region(self, name, near)
        return self._regions[name]

    @property
    def surroundings(self) -> Surroundings:
        """The cells of its field, compared; ValueError if this is a whole field."""
        if self._surroundings is None:
            raise ValueError("a whole field has no surroundings")
        return self._surroundings

    @cached_property
    def row(self) -> int:
        """Its row in the tables of its surroundings."""
        return self.surroundings.row(self.label)

    def in_pixels(self, micrometres: float, pixels: float) -> float:
        """Return a length in pixels: given in micrometres, or in pixels where their size is unknown."""
        return pixels if self.pixel_size_um is None else micrometres / self.pixel_size_um

    @cached_property
    def depth(self) -> Floats:
        """Distance of every pixel of the cell to the nearest pixel outside it, in pixels."""
        return distance_inside(self.whole.mask)

    @cached_property
    def from_nucleus(self) -> Floats:
        """Distance of every pixel to the nearest pixel of the nucleus, in pixels; 0 inside it."""
        return distance_inside(~self.region("nucleus").mask)

    @cached_property
    def depth_in_nucleus(self) -> Floats:
        """Distance of every pixel of the nucleus to the nearest pixel outside it, in pixels."""
        return distance_inside(self.region("nucleus").mask)


class Region:
    """The pixels of one region of a cell, in all channels; n is their number.

    It knows its cell weakly: a cell that is done with frees all its arrays at once, instead of when
    the garbage collector comes round, so that memory stays flat.

    Attributes
    ----------
    name : str
        ``cell``, ``nucleus``, ``cytoplasm``, ….
    mask : ndarray, shape (height, width), bool
        Its pixels in the crop; the crop's outermost pixels never belong to it.
    """

    def __init__(self, cell: Cell, name: str, mask: Mask) -> None:
        self._cell = ref(cell)
        self.name = name
        self.mask = mask

    @property
    def cell(self) -> Cell:
        """The cell it is part of; ReferenceError if nobody holds it any more."""
        cell = self._cell()
        if cell is None:
            raise ReferenceError(f"the cell of this {self.name} is gone; keep it while its regions are used")
        return cell

    @cached_property
    def count(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def _pixels(self) -> tuple[Floats, Ints]:
        return gather(self.cell.pixels, self.mask, self.count)

    @property
    def positions(self) -> Ints:
        """Row and column of every pixel in the crop, in reading order, shape (2, n)."""
        return self._pixels[1]

    @property
    def values(self) -> Floats:
        """Intensities, shape (channels, n), in the order of `positions`."""
        return self._pixels[0]

    @cached_property
    def _ranks_in_cell(self) -> tuple[Ints32, Floats]:
        """Ranks of the pixels among the distinct intensities of the whole cell, and those intensities."""
        whole = self.cell.whole
        if self is whole:
            return distinct(self.values)
        ranks, steps = whole._ranks_in_cell
        return ranks_of_part(ranks, whole.positions, self.mask, self.count), steps

    @cached_property
    def sorted_values(self) -> Floats:
        """Intensities in ascending order, shape (channels, n)."""
        return sort_by_rank(*self._ranks_in_cell)

    @cached_property
    def otsu(self) -> Floats:
        """Otsu's threshold of every channel, infinite where it is flat, shape (channels,)."""
        return np.array([otsu(ascending) for ascending in self.sorted_values])

    @cached_property
    def ranks(self) -> tuple[Floats, Ints32]:
        """Ranks of `values` from 0, shape (channels, n) twice: ties averaged, and dense (ties share one)."""
        ranks, steps = self._ranks_in_cell
        return rank(ranks, steps.shape[1])

    @cached_property
    def centre(self) -> Floats:
        """Mean row and column, shape (2,)."""
        centre: Floats = self.positions.sum(axis=1) / self.count
        return centre

    @cached_property
    def moments(self) -> Floats:
        """Sum, mean, standard deviation, skewness, excess kurtosis of intensities, shape (channels, 5)."""
        return moments(self.values)

    @cached_property
    def totals(self) -> Floats:
        """Sum of intensities, shape (channels,), contiguous as loops want it."""
        return np.ascontiguousarray(self.moments[:, 0])

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the crop that hold the region and a margin of one pixel."""
        rows, columns = self.positions
        return (
            slice(int(rows.min()) - 1, int(rows.max()) + 2),
            slice(int(columns.min()) - 1, int(columns.max()) + 2),
        )

    @cached_property
    def _quantised(self) -> dict[int, Bytes]:
        return {}

    def quantised(self, levels: int) -> Bytes:
        """Return grey levels 1 to `levels` between the region's extremes, shape (channels, *box).

        0 outside the region; a flat region has level 1 throughout. Fixed bin number of the Image
        Biomarker Standardisation Initiative: ``floor(levels (x - min) / (max - min)) + 1``, the
        maximum in the last bin.
        """
        if levels not in self._quantised:
            ranks, steps = self._ranks_in_cell
            rows, columns = self.box
            box = (rows.start, rows.stop, columns.start, columns.stop)
            self._quantised[levels] = quantise(ranks, steps, self.positions, box, levels)
        return self._quantised[levels]


def cut(field: Field) -> Iterator[Cell]:
    """Yield the cells of a picture in ascending order of label.

    The nucleus of a cell is what carries the cell's label in `field.nuclei` inside the cell; its
    cytoplasm is the rest of the cell.
    """
    boxes = bounding_boxes(field.cells)
    surroundings = Surroundings(field.pixels, field.cells, field.nuclei, boxes[:, 0])
    for box in boxes:
        crop, masks = cut_out(field.pixels, field.cells, field.nuclei, box)
        named = dict(zip(CELL_REGIONS, masks, strict=True))
        yield Cell(int(box[0]), crop, named, field.channels, field.pixel_size_um, surroundings)


def field_of(field: Field) -> Cell:
    """Return the whole picture, halved, as one cell with the regions ``field`` and ``foreground``.

    Halving (means of 2 x 2 pixels; an odd last row or column is left out) quarters the work and
    takes out pixel noise. The foreground is what lies above Otsu's threshold of the sum of all
    channels, each over its own mean.
    """
    pixels = field.pixels
    height, width = pixels.shape[1] // 2 * 2, pixels.shape[2] // 2 * 2
    if min(height, width) == 0:
        halved = pixels
    else:
        even = pixels[:, :height, :width]
        halved = (
            even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
        ) / np.float32(4)
    means = halved.mean(axis=(1, 2), dtype=np.float64, keepdims=True)
    total = (halved / np.where(means > 0, means, 1)).sum(axis=0)
    masks = {
        "field": np.pad(np.ones(total.shape, dtype=bool), 1),
        "foreground": np.pad(total > threshold_otsu(total), 1),
    }
    size = None if field.pixel_size_um is None else 2 * field.pixel_size_um
    return Cell(0, np.pad(halved, ((0, 0), (1, 1), (1, 1))), masks, field.channels, size)
