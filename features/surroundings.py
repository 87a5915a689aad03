"""What lies around a cell: the field's other cells, tabulated once for all of them."""

from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

from features.jit import Floats, Floats32, Ints, Ints32, Mask, kernel

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

    def __init__(self, pixels: Floats32, cells: Ints32, nuclei: Ints32, labels: Ints) -> None:
        self.pixels = pixels
        self._cells = cells
        self._nuclei = nuclei
        self._labels = labels

    def row(self, label: int) -> int:
        """Return a cell's row in the tables."""
        return int(np.searchsorted(self._labels, label))

    @cached_property
    def _place(self) -> Ints:
        row_of = np.zeros(int(self._labels[-1]) + 1, np.int64)
        row_of[self._labels] = np.arange(len(self._labels))
        return row_of

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
        return (_median(self.cell_means), _median(self.nucleus_means), _median(self.nucleus_areas[:, None]))

    @cached_property
    def nucleus_axes(self) -> Floats:
        """Cosine and sine of the doubled angle of every nucleus' long axis, (cells, 2); NaN if round."""
        return label_axes(self._cells, self._nuclei, self._place, self.nucleus_centres)

    @cached_property
    def touching(self) -> tuple[Floats, Ints]:
        """Share of each cell's outline that touches others, and how many they are, shape (cells,) each."""
        shares, pairs = contacts(np.pad(self._cells, 1, mode="edge"), self._place)
        count = len(self._labels)
        distinct = np.unique(pairs[:, 0] * count + pairs[:, 1])
        return shares, np.bincount(distinct // count, minlength=count)

    @cached_property
    def nearest(self) -> tuple[Floats, Ints]:
        """Distance in pixels to the nearest other nucleus (NaN without) and its row, shape (cells,) each."""
        distances = np.full(len(self._labels), np.nan)
        rows = np.arange(len(self._labels))
        known = np.flatnonzero(np.isfinite(self.nucleus_areas))
        if len(known) > 1:
            centres = self.nucleus_centres[known]
            found, other = KDTree(centres).query(centres, k=2)
            # two nuclei with one centre may find each other before themselves
            nearest = np.where(other[:, 1] == np.arange(len(known)), 0, 1)[:, None]
            distances[known] = np.take_along_axis(found, nearest, axis=1)[:, 0]
            rows[known] = known[np.take_along_axis(other, nearest, axis=1)[:, 0]]
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


@kernel
def label_sums(pixels: Floats32, labels: Ints32, inside: Ints32, row_of: Ints) -> Floats:
    """Sum pixels, positions and intensities of every label, where both label images agree.

    `row_of`, shape (largest label + 1,), is every label's row in the result, shape (cells, 3 + channels):
    number of pixels, sum of rows, of columns, and of each channel.
    """
    channels, height, width = pixels.shape
    sums = np.zeros((row_of.max() + 1, 3 + channels), np.float64)
    for row in range(height):
        start = 0
        while start < width:
            label, inner = labels[row, start], inside[row, start]
            end = start + 1
            while end < width and labels[row, end] == label and inside[row, end] == inner:
                end += 1
            if label > 0 and inner == label:
                line, run = sums[row_of[label]], end - start
                line[0] += run
                line[1] += row * run
                line[2] += 0.5 * (start + end - 1) * run
                for channel in range(channels):
                    for column in range(start, end):
                        line[3 + channel] += pixels[channel, row, column]
            start = end
    return sums


@kernel
def _mark_edges(labels: Ints32, row: int, edge: Mask) -> None:
    """Mark the pixels of an inner row that have another label among their eight neighbours."""
    inner = len(edge) - 2
    centre, marked = labels[row, 1:], edge[1:]
    marked[:inner] = False
    for down in range(-1, 2):
        for right in range(3):
            near = labels[row + down, right:]
            for column in range(inner):
                marked[column] |= near[column] != centre[column]


@kernel
def contacts(labels: Ints32, row_of: Ints) -> tuple[Floats, Ints]:
    """Find where cells touch: pixels of different cells that share a side or a corner.

    `labels` have a margin that repeats the picture's outermost pixels. Returns the share of the pixels of
    each cell's outline inside the picture that touch another cell, shape (cells,), and rows of cells that
    touch, once per touching pixel, shape (n, 2).
    """
    height, width = labels.shape
    outline, touching = np.zeros((2, row_of.max() + 1), np.float64)
    pairs = np.empty((64, 2), np.int64)
    count = 0
    edge = np.zeros(width, np.bool_)
    for row in range(1, height - 1):
        _mark_edges(labels, row, edge)
        for column in range(1, width - 1):
            label = labels[row, column]
            if label == 0 or not edge[column]:
                continue
            if count + 8 > len(pairs):
                pairs = np.concatenate((pairs, pairs))
            before = count
            for near in labels[row - 1 : row + 2, column - 1 : column + 2].flat:
                if near > 0 and near != label:
                    pairs[count] = row_of[label], row_of[near]
                    count += 1
            outline[row_of[label]] += 1.0
            touching[row_of[label]] += 1.0 if count > before else 0.0
    shares = np.where(outline > 0.0, touching / np.maximum(outline, 1.0), 0.0)
    return shares, pairs[:count].copy()


@kernel
def profile(
    pixels: Floats32, start: tuple[float, float], end: tuple[float, float], aside: float, samples: int
) -> Floats:
    """Sample channels along the middle third of a line, or of one beside it, shape (channels, samples).

    `start` and `end` are row and column, `aside` is the distance of the sampled line in pixels. Interpolated
    linearly; at the picture's border the outermost pixels go on.
    """
    channels, height, width = pixels.shape
    out = np.empty((channels, samples), np.float64)
    down, right = end[0] - start[0], end[1] - start[1]
    length = max(np.hypot(down, right), 1e-9)
    for sample in range(samples):
        along = (1.0 + sample / (samples - 1.0)) / 3.0
        row = min(max(start[0] + along * down - aside * right / length, 0.0), height - 1.0)
        column = min(max(start[1] + along * right + aside * down / length, 0.0), width - 1.0)
        top, left = min(int(row), max(height - 2, 0)), min(int(column), max(width - 2, 0))
        bottom, next_column = min(top + 1, height - 1), min(left + 1, width - 1)
        y, x = row - top, column - left
        for channel in range(channels):
            plane = pixels[channel]
            upper = (1.0 - x) * plane[top, left] + x * plane[top, next_column]
            lower = (1.0 - x) * plane[bottom, left] + x * plane[bottom, next_column]
            out[channel, sample] = (1.0 - y) * upper + y * lower
    return out


@kernel
def label_axes(labels: Ints32, inside: Ints32, row_of: Ints, centres: Floats) -> Floats:
    """Return the direction of every label's long axis where both label images agree, shape (cells, 2).

    Cosine and sine of the doubled angle from the column axis to the axis; NaN for round ones.
    """
    moments = np.zeros((len(centres), 2), np.float64)
    size = np.zeros(len(centres), np.float64)
    height, width = labels.shape
    for row in range(height):
        for column in range(width):
            label = labels[row, column]
            if label > 0 and inside[row, column] == label:
                at = row_of[label]
                down, right = row - centres[at, 0], column - centres[at, 1]
                moments[at, 0] += right * right - down * down
                moments[at, 1] += 2.0 * right * down
                size[at] += right * right + down * down
    for at in range(len(centres)):
        length = np.hypot(moments[at, 0], moments[at, 1])
        if length > 1e-6 * size[at]:
            moments[at] /= length
        else:
            moments[at] = np.nan
    return moments
