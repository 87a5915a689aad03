"""Cell lines, and how their cells lie in a field: where, which way they point and which of them divide."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.simulation.drawing import directions


@dataclass(frozen=True)
class CellLine:
    """The look of one line of cultured cells, imitating one of the Human Protein Atlas.

    Attributes
    ----------
    nucleus_um : float
        Mean diameter of a nucleus in micrometres.
    reach : float
        Radius of a cell over the radius of its nucleus, where it has room to spread.
    elongation : float
        Length over width of a cell; cells of elongated lines lie parallel to their neighbours.
    spikes : float
        How far processes stick out of the outline, relative to its radius.
    ruffles_um : float
        How rough the outline is.
    cells : float
        Mean number of cells in a square of 164 µm (a 512-pixel picture at 0.32 µm).
    cohesion : float
        Probability that a cell settles beside another rather than anywhere.
    nucleoli : float
        Mean number of nucleoli.
    filaments : float
        Density of microtubules relative to the average line.
    """

    name: str
    nucleus_um: float
    reach: float
    elongation: float
    spikes: float
    ruffles_um: float
    cells: float
    cohesion: float
    nucleoli: float
    filaments: float


CELL_LINES = (
    CellLine("U-2 OS", 18.5, 2.50, 1.50, 0.30, 0.5, 10, 0.35, 3.5, 1.0),
    CellLine("A-431", 16.5, 2.00, 1.20, 0.12, 0.5, 18, 0.75, 2.5, 0.8),
    CellLine("U-251 MG", 17.0, 2.30, 2.20, 0.50, 0.4, 11, 0.35, 3.0, 1.2),
    CellLine("HeLa", 16.5, 2.15, 1.65, 0.35, 0.6, 14, 0.5, 3.0, 1.0),
    CellLine("HEK 293", 14.0, 1.85, 1.40, 0.25, 0.6, 24, 0.75, 2.0, 0.7),
    CellLine("MCF7", 16.0, 1.95, 1.15, 0.10, 0.5, 17, 0.85, 2.0, 0.8),
    CellLine("SH-SY5Y", 13.5, 2.00, 2.00, 0.90, 0.4, 16, 0.4, 2.5, 0.9),
    CellLine("BJ", 17.5, 2.70, 2.70, 0.35, 0.3, 7, 0.3, 3.0, 1.3),
)
"""Lines from large and flat to small and crowded, from round to long."""


class Phase(IntEnum):
    """What a cell is doing; a pair of `ANAPHASE` or `DAUGHTER` cells came from one cell."""

    INTERPHASE = 0
    METAPHASE = 1
    ANAPHASE = 2
    DAUGHTER = 3


CONDENSED = (Phase.METAPHASE, Phase.ANAPHASE)
"""Phases in which chromosomes are condensed and the nuclear envelope and nucleoli are gone."""


@dataclass(frozen=True)
class Divisions:
    """Shares of a field's cells that are caught in metaphase, in anaphase and as daughters with a bridge.

    Of the phases that are sought every field shows one at least: whoever took the picture looked for it.
    """

    metaphase: float = 0.015
    anaphase: float = 0.008
    daughters: float = 0.012
    sought: tuple[Phase, ...] = ()

    @property
    def odds(self) -> tuple[float, float, float, float]:
        """Probabilities in the order of `Phase`."""
        rest = 1 - self.metaphase - self.anaphase - self.daughters
        return rest, self.metaphase, self.anaphase, self.daughters


@dataclass(frozen=True)
class Population:
    """The cells of a field as columns; row i is the cell of label i + 1.

    Centres are row and column of the nucleus', shape (n, 2), and may lie outside the picture; radii are means
    of nucleus and cell, all in pixels. Axes are directions of the long axis, of dividing cells from pole to
    pole, in radians (0: along a row of pixels). Partners are rows of sister cells, or -1.
    """

    centre: NDArray[np.float32]
    axis: NDArray[np.float32]
    nucleus_radius: NDArray[np.float32]
    radius: NDArray[np.float32]
    phase: NDArray[np.int64]
    partner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.axis)

    @property
    def direction(self) -> NDArray[np.float32]:
        """Unit vectors (row, column) along the axes, shape (n, 2)."""
        return directions(self.axis)

    @property
    def condensed(self) -> NDArray[np.bool_]:
        """Whether the chromosomes of each cell are condensed, shape (n,)."""
        return np.isin(self.phase, CONDENSED)


def populate(line: CellLine, pixel_um: float, size: int, divisions: Divisions, rng: Generator) -> Population:
    """Settle the cells of a square field of `size` pixels, some of them beyond its border."""
    nucleus = line.nucleus_um / 2 / pixel_um
    margin = 0.8 * nucleus * line.reach
    side = size + 2 * margin
    mean = line.cells * (side * pixel_um / 164) ** 2
    count = max(3, int(rng.normal(mean, 0.25 * mean)))
    nucleus_radius = nucleus * np.exp(rng.normal(0, 0.12, count))
    # The first cell lies well inside: no picture is empty.
    first = side / 2 + size * rng.uniform(-0.3, 0.3, (1, 2))
    centres, radii = _settle(first, nucleus_radius, side, line, rng)
    count = len(centres)
    tilt = rng.uniform(0, np.pi) + rng.normal(0, 1.2 / line.elongation, count)
    phase = rng.choice(len(Phase), count, p=divisions.odds)
    inside = (np.abs(centres - side / 2) < 0.35 * size).all(axis=1)
    for sought in divisions.sought:
        if not (phase[inside] == sought).any():
            phase[_loneliest(centres, inside & (phase == Phase.INTERPHASE))] = sought
    single = Population(
        centre=(centres - margin).astype(np.float32),
        axis=tilt.astype(np.float32),
        nucleus_radius=radii.astype(np.float32),
        radius=(radii * line.reach * np.exp(rng.normal(0, 0.12, count))).astype(np.float32),
        phase=phase,
        partner=np.full(count, -1),
    )
    return _divide(single, rng)


def _settle(
    first: NDArray[np.float64], radii: NDArray[np.float64], side: float, line: CellLine, rng: Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place discs one after the other so that none overlap; those that find no room are left out."""
    centres, kept = first, [radii[0]]
    for radius in radii[1:]:
        candidates = rng.uniform(0, side, (24, 2))
        gaps = np.linalg.norm(candidates[:, None] - centres, axis=2) - (np.array(kept) + radius)
        clearance = gaps.min(axis=1)
        free = np.flatnonzero(clearance > 0.25 * radius)
        if not len(free):
            continue
        beside = rng.random() < line.cohesion
        wanted = radius * (line.cohesion * line.reach / 2 if beside else 3.5)
        best = free[np.argmin(np.abs(clearance[free] - wanted))]
        centres, kept = np.vstack([centres, candidates[best]]), [*kept, radius]
    return centres, np.array(kept)


def _loneliest(centres: NDArray[np.float64], candidates: NDArray[np.bool_]) -> int:
    """Find the candidate with most room around it."""
    apart = np.linalg.norm(centres[:, None] - centres, axis=2) + np.diag(np.full(len(centres), np.inf))
    return int(np.where(candidates, apart.min(axis=1), -1).argmax())


def _divide(cells: Population, rng: Generator) -> Population:
    """Round up cells in metaphase and split those in anaphase or telophase into two."""
    columns = {name: list(values) for name, values in vars(cells).items()}
    for row in range(len(cells)):
        radius, phase = cells.nucleus_radius[row], cells.phase[row]
        if phase == Phase.METAPHASE:
            columns["radius"][row] = 1.3 * radius
        if phase not in (Phase.ANAPHASE, Phase.DAUGHTER):
            continue
        half = radius * (0.85 if phase == Phase.ANAPHASE else rng.uniform(1.1, 1.6))
        axis = _roomiest(cells, row, half)
        if axis is None:
            columns["phase"][row] = Phase.INTERPHASE
            continue
        step = half * np.array([np.sin(axis), np.cos(axis)])
        shrink = 0.62 if phase == Phase.ANAPHASE else 0.75
        columns["axis"][row] = axis
        columns["nucleus_radius"][row] = shrink * radius
        columns["radius"][row] = radius * 1.05 if phase == Phase.ANAPHASE else 0.6 * cells.radius[row]
        columns["partner"][row] = len(columns["axis"])
        for name in columns:
            columns[name].append(columns[name][row])
        columns["partner"][-1] = row
        columns["centre"][row] = cells.centre[row] - step
        columns["centre"][-1] = cells.centre[row] + step
    return Population(*(np.array(columns[name], dtype=getattr(cells, name).dtype) for name in vars(cells)))


def _roomiest(cells: Population, row: int, half: float) -> float | None:
    """Find the axis along which two daughters keep clear of the other cells; None where none does."""
    axes = np.linspace(0, np.pi, 8, endpoint=False)
    steps = half * directions(axes)
    others = np.arange(len(cells)) != row
    if not others.any():
        return float(axes[0])
    clearance = np.full(len(axes), np.inf)
    for ends in (cells.centre[row] + steps, cells.centre[row] - steps):
        gaps = np.linalg.norm(ends[:, None] - cells.centre[others], axis=2) - cells.nucleus_radius[others]
        clearance = np.minimum(clearance, gaps.min(axis=1))
    best = int(clearance.argmax())
    return float(axes[best]) if clearance[best] > 0.8 * cells.nucleus_radius[row] else None
