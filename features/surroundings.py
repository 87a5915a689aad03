"""What lies around a cell: the field's other cells, tabulated once for all of them."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from features.kernels.division import label_axes, profile
from features.kernels.neighbours import contacts, label_sums

Floats = NDArray[np.float64]
SAMPLES = 11
"""Points on the middle third of the line between two nuclei."""


class Surroundings:
    """All cells of a field, compared; computed only if a feature asks for it.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    cells, nuclei : ndarray, shape (height, width), int32
        The field's label images.
    labels : ndarray, shape (cells,), int64
        The labels that occur, ascending: the order of rows of every table here.
    """

    def __init__(
        self,
        pixels: NDArray[np.float32],
        cells: NDArray[np.int32],
        nuclei: NDArray[np.int32],
        labels: NDArray[np.int64],
    ) -> None:
        self.pixels = pixels
        self._cells = cells
        self._nuclei = nuclei
        self._labels = labels

    def row(self, label: int) -> int:
        """Return a cell's row in the tables."""
        return int(np.searchsorted(self._labels, label))

    @cached_property
    def _place(self) -> NDArray[np.int64]:
        place = np.zeros(int(self._labels[-1]) + 1, np.int64)
        place[self._labels] = np.arange(len(self._labels))
        return place

    @cached_property
    def _nucleus_sums(self) -> Floats:
        return label_sums(self.pixels, self._cells, self._nuclei, self._place)

    @cached_property
    def cell_means(self) -> Floats:
        """Mean intensity of every cell, shape (cells, channels)."""
        sums = label_sums(self.pixels, self._cells, self._cells, self._place)
        means: Floats = sums[:, 3:] / sums[:, :1]
        return means

    @cached_property
    def nucleus_areas(self) -> Floats:
        """Pixels of every nucleus, shape (cells,); NaN without one."""
        return np.where(self._nucleus_sums[:, 0] > 0, self._nucleus_sums[:, 0], np.nan)

    @cached_property
    def nucleus_means(self) -> Floats:
        """Mean intensity of every nucleus, shape (cells, channels); NaN without one."""
        means: Floats = self._nucleus_sums[:, 3:] / self.nucleus_areas[:, None]
        return means

    @cached_property
    def nucleus_centres(self) -> Floats:
        """Row and column of the centre of every nucleus, shape (cells, 2); NaN without one."""
        centres: Floats = self._nucleus_sums[:, 1:3] / self.nucleus_areas[:, None]
        return centres

    @cached_property
    def typical(self) -> tuple[Floats, Floats, Floats]:
        """Medians over cells of `cell_means`, `nucleus_means` and `nucleus_areas`; NaN where none is defined.

        Shapes (channels,), (channels,) and (1,).
        """
        return (
            _median(self.cell_means),
            _median(self.nucleus_means),
            _median(self.nucleus_areas[:, None]),
        )

    @cached_property
    def nucleus_axes(self) -> Floats:
        """Cosine and sine of the doubled angle of every nucleus' long axis, (cells, 2); NaN if round."""
        return label_axes(self._cells, self._nuclei, self._place, self.nucleus_centres)

    @cached_property
    def touching(self) -> tuple[Floats, NDArray[np.int64]]:
        """Share of each cell's outline that touches others, and how many they are, shape (cells,) each."""
        shares, pairs = contacts(self._cells, self._place)
        count = len(self._labels)
        distinct = np.unique(pairs[:, 0] * count + pairs[:, 1])
        return shares, np.bincount(distinct // count, minlength=count)

    @cached_property
    def nearest(self) -> tuple[Floats, NDArray[np.int64]]:
        """Distance in pixels to the nearest other nucleus (NaN without) and its row, shape (cells,) each."""
        distances = np.full(len(self._labels), np.nan)
        rows = np.arange(len(self._labels))
        known = np.flatnonzero(np.isfinite(self.nucleus_areas))
        if len(known) > 1:
            centres = self.nucleus_centres[known]
            found, other = KDTree(centres).query(centres, k=2)
            # two nuclei with one centre may find each other before themselves
            place = np.where(other[:, 1] == np.arange(len(known)), 0, 1)[:, None]
            distances[known] = np.take_along_axis(found, place, axis=1)[:, 0]
            rows[known] = known[np.take_along_axis(other, place, axis=1)[:, 0]]
        return distances, rows

    @cached_property
    def bridges(self) -> Floats:
        """Mean intensity halfway to the nearest nucleus, shape (cells, channels); NaN without one."""
        distances, rows = self.nearest
        out = np.full(self.cell_means.shape, np.nan)
        known = np.flatnonzero(np.isfinite(distances))
        for row in known:
            start, end = self.nucleus_centres[row], self.nucleus_centres[rows[row]]
            line = profile(self.pixels, (start[0], start[1]), (end[0], end[1]), 0.0, SAMPLES)
            out[row] = line.mean(axis=1)
        return out


def _median(table: Floats) -> Floats:
    """Return each column's median over the cells where it is defined, NaN where it is nowhere."""
    known = table[np.isfinite(table).all(axis=1)]
    return np.median(known, axis=0) if len(known) else np.full(table.shape[1], np.nan)
