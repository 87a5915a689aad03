"""Label images of cells, nuclei and nucleoli, grown from the positions of a population."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from skimage.measure import label as connected

from pipeline.simulation.drawing import Floats, Plane, Points, as_plane, blur, directions, smooth_noise
from pipeline.simulation.placement import CellLine, Phase, Population
from pipeline.simulation.scene import Labels, Scene

ANGLES = 256
"""Steps in which the outline of a cell is described around its nucleus."""

BEND_UM = 1.6
"""Typical displacement in micrometres by which the plane is bent, so that outlines are not star-shaped."""

Window = tuple[slice, slice]
_TURN = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)


def draw_scene(line: CellLine, pixel_um: float, size: int, population: Population, rng: Generator) -> Scene:
    """Draw the outlines of a population as label images.

    Every cell measures the plane in units of its own outline, a star-shaped curve that is bent by a
    slowly varying displacement; a pixel belongs to the cell for which it is least far out. Cells that
    meet therefore share a curved border, and free borders are ruffled.
    """
    nuclei, cells = _claims(line, pixel_um, size, population, rng)
    _bridge(cells, population, pixel_um)
    nuclei = _largest_parts(nuclei, nuclei > 0)
    cells[nuclei > 0] = nuclei[nuclei > 0]
    cells = _largest_parts(cells, nuclei > 0)
    nuclei[cells != nuclei] = 0
    nucleoli = _nucleoli(nuclei, population, line, pixel_um, rng)
    centrosome = _centrosomes(population, rng)
    return Scene(line, pixel_um, population, cells, nuclei, nucleoli, centrosome, int(rng.integers(2**32)))


def _claims(
    line: CellLine, pixel_um: float, size: int, population: Population, rng: Generator
) -> tuple[Labels, Labels]:
    """Let the cells share out the plane: label images of nuclei and cells, parts still unconnected."""
    slow, ruffles = (
        amplitude / pixel_um * np.stack([smooth_noise((size, size), scale / pixel_um, rng) for _ in range(2)])
        for amplitude, scale in ((BEND_UM, 6.0), (line.ruffles_um, 0.8))
    )
    gentle, full = 0.3 * slow, slow + ruffles
    reach = 4 * BEND_UM / pixel_um
    nuclei, cells = np.zeros((size, size), np.int32), np.zeros((size, size), np.int32)
    nuclear_best, cell_best = np.ones((size, size), np.float32), np.ones((size, size), np.float32)
    for row in range(len(population)):
        nucleus = _nucleus_outline(population, row, rng)
        cell = np.maximum(_cell_outline(population, row, line, rng), 1.0)
        window = _window(population.centre[row], max(cell.max(), 1.2 * nucleus.max()) + reach, size)
        if window is None:
            continue
        angle, distance = _polar(population.centre[row], window, gentle)
        out_of_nucleus = distance / nucleus[angle]
        _claim(nuclei, nuclear_best, window, out_of_nucleus, row + 1)
        bend = gentle if population.condensed[row] else full
        angle, distance = _polar(population.centre[row], window, bend)
        # A rim of cytoplasm around the nucleus is the cell's, however close a neighbour comes.
        out_of_cell = np.where(out_of_nucleus < 1.15, out_of_nucleus - 2, distance / cell[angle])
        _claim(cells, cell_best, window, out_of_cell, row + 1)
    return nuclei, cells


def _waves(orders: range, amplitude: float, rng: Generator) -> NDArray[np.float64]:
    """Draw a random periodic function of the angle with the given orders, shape (ANGLES,)."""
    wave = np.zeros(ANGLES)
    for order in orders:
        height = rng.normal(0, amplitude / (order - orders.start + 1))
        wave += height * np.cos(order * _TURN + rng.uniform(0, 2 * np.pi))
    return wave


def _ellipse(axis: float, aspect: float) -> NDArray[np.float64]:
    """Radius around the centre of an ellipse of area π and the given length over width."""
    turned = _TURN - axis
    return np.asarray(1 / np.hypot(np.cos(turned) / np.sqrt(aspect), np.sin(turned) * np.sqrt(aspect)))


def _nucleus_outline(cells: Population, row: int, rng: Generator) -> Floats:
    """Radius of a nucleus (or of its chromosomes) in every direction, in pixels, shape (ANGLES,)."""
    radius, axis = cells.nucleus_radius[row], float(cells.axis[row])
    phase = cells.phase[row]
    if phase == Phase.METAPHASE:
        shape = 0.62 * _ellipse(axis + np.pi / 2, 3.2) * np.exp(_waves(range(2, 7), 0.10, rng))
    elif phase == Phase.ANAPHASE:
        shape = 0.95 * _ellipse(axis + np.pi / 2, 2.2) * np.exp(_waves(range(2, 6), 0.08, rng))
    else:
        aspect = 1 + abs(rng.normal(0.28, 0.16))
        lobed = 0.09 if rng.random() < 0.12 else 0.03
        shape = _ellipse(axis + rng.normal(0, 0.5), aspect) * np.exp(_waves(range(2, 6), lobed, rng))
    return as_plane(radius * shape)


def _cell_outline(cells: Population, row: int, line: CellLine, rng: Generator) -> Floats:
    """Radius of a cell around its nucleus in every direction, in pixels, shape (ANGLES,)."""
    radius, axis = cells.radius[row], float(cells.axis[row])
    if cells.condensed[row]:
        return as_plane(radius * np.exp(_waves(range(2, 8), 0.03, rng)))
    aspect = max(1.0, line.elongation * np.exp(rng.normal(0, 0.2)))
    shape = _ellipse(axis, aspect) * np.exp(_waves(range(1, 7), 0.2, rng))
    for _ in range(rng.poisson(3)):
        # Processes mostly follow the long axis: a polar cell is pulled out at its ends.
        towards = axis + np.pi * rng.integers(2) + rng.normal(0, 1.6 / line.elongation)
        apart = np.abs((_TURN - towards + np.pi) % (2 * np.pi) - np.pi)
        shape += line.spikes * rng.exponential(1.0) * np.exp(-apart / rng.uniform(0.12, 0.35))
    return as_plane(radius * shape)


def _window(centre: Points, radius: float, size: int) -> Window | None:
    """Part of the field within `radius` pixels of a cell's centre."""
    low = np.maximum(np.floor(centre - radius), 0).astype(int)
    high = np.minimum(np.ceil(centre + radius), size).astype(int)
    if (low >= high).any():
        return None
    return slice(low[0], high[0]), slice(low[1], high[1])


def _polar(centre: Points, window: Window, bend: NDArray[np.float32]) -> tuple[NDArray[np.int32], Plane]:
    """Angle index and distance of a window's pixels around a centre, in the plane bent by `bend` pixels."""
    rows = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None]
    columns = np.arange(window[1].start, window[1].stop, dtype=np.float32)[None]
    down, right = rows - centre[0] + bend[0][window], columns - centre[1] + bend[1][window]
    distance, angle = cv2.cartToPolar(right, down)
    index = (angle * np.float32(ANGLES / (2 * np.pi))).astype(np.int32)
    return np.minimum(index, ANGLES - 1), distance


def _claim(labels: Labels, best: Plane, window: Window, distance: Plane, label: int) -> None:
    """Give a cell the pixels of the window that are less far out for it than for any cell so far."""
    closer = distance < best[window]
    labels[window][closer] = label
    best[window][closer] = distance[closer]


def _bridge(labels: Labels, cells: Population, pixel_um: float) -> None:
    """Join daughters by a thin thread of cytoplasm, half of it each one's."""
    thick = max(2, round(1.3 / pixel_um))
    for row in np.flatnonzero((cells.phase == Phase.DAUGHTER) & (cells.partner >= 0)):
        middle = (cells.centre[row] + cells.centre[cells.partner[row]]) / 2
        thread = np.zeros(labels.shape, np.uint8)
        ends = [tuple(round(float(v)) for v in point[::-1]) for point in (cells.centre[row], middle)]
        cv2.line(thread, ends[0], ends[1], 1, thick)
        labels[(thread > 0) & (labels == 0)] = row + 1


def _largest_parts(labels: Labels, nuclear: NDArray[np.bool_]) -> Labels:
    """Keep of every label one connected part: the one with most nuclear pixels, then the largest."""
    parts = connected(labels, connectivity=1, background=0)
    size = parts.max() + 1
    owner = np.zeros(size, np.int64)
    owner[parts.ravel()] = labels.ravel()
    inside = np.bincount(parts[nuclear], minlength=size)
    rank = np.bincount(parts.ravel(), minlength=size) + labels.size * inside
    order = np.lexsort((rank, owner))
    last = np.append(owner[order][1:] != owner[order][:-1], True)
    keep = np.zeros(size, bool)
    keep[order[last]] = True
    keep[0] = False
    return np.asarray(np.where(keep[parts], labels, 0), np.int32)


def _nucleoli(nuclei: Labels, cells: Population, line: CellLine, pixel_um: float, rng: Generator) -> Labels:
    """Draw nucleoli: one to several irregular bodies well inside each nucleus that has an envelope."""
    bodies = np.zeros(nuclei.shape, np.uint8)
    for row in np.flatnonzero(~cells.condensed):
        for _ in range(max(1, rng.poisson(line.nucleoli))):
            radius = cells.nucleus_radius[row] * rng.uniform(0.10, 0.23)
            away = cells.nucleus_radius[row] * 0.5 * np.sqrt(rng.random())
            turn = rng.uniform(0, 2 * np.pi)
            centre = cells.centre[row] + away * np.array([np.sin(turn), np.cos(turn)])
            axes = (max(1, round(radius * rng.uniform(0.8, 1.3))), max(1, round(radius)))
            point = (round(float(centre[1])), round(float(centre[0])))
            cv2.ellipse(bodies, point, axes, rng.uniform(0, 180), 0, 360, 255, -1)
    noise = smooth_noise((nuclei.shape[0], nuclei.shape[1]), 2.0, rng)
    ragged = blur(bodies.astype(np.float32) / 255, 1.5) + 0.16 * noise
    bodies = cv2.morphologyEx((ragged > 0.5).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    margin = 2 * round(1.2 / pixel_um) + 1
    inside = cv2.erode((nuclei > 0).astype(np.uint8), np.ones((margin, margin), np.uint8))
    return np.asarray(np.where((bodies & inside) > 0, nuclei, 0), np.int32)


def _centrosomes(cells: Population, rng: Generator) -> Floats:
    """Place the centrosome just outside the envelope, on a side of its own."""
    turn = rng.uniform(0, 2 * np.pi, len(cells))
    away = cells.nucleus_radius * rng.uniform(1.15, 1.35, len(cells))
    offset = away[:, None] * directions(turn)
    # In division the poles of the spindle lie on the axis; this is one of the two.
    poles = 0.75 * cells.nucleus_radius[:, None] * cells.direction
    return as_plane(cells.centre + np.where(cells.condensed[:, None], poles, offset))
