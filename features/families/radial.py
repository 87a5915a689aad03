"""Where between nucleus and border, and in which direction, a channel is bright."""

import numpy as np

from features.cells import Cell, Region
from features.kernels.rings import at, ring_numbers, ring_sums
from features.registry import CELL_REGIONS, GAIN, GEOMETRY, Floats, Output, feature

CELL = CELL_REGIONS[:1]
KINDS = {
    "share": "the share of total intensity in",
    "relative": "the mean intensity, over that of all rings, in",
    "variation": "the coefficient of variation over eight wedges of the intensity in",
}


def _outputs(direction: str, rings: int, words: str) -> dict[str, Output]:
    return {
        f"{direction}_{ring}_{kind}": Output(
            f"{text} ring {ring} of {rings} {words}", invariances=GEOMETRY | GAIN
        )
        for kind, text in KINDS.items()
        for ring in range(1, rings + 1)
    }


OUTWARD, INWARD, NUCLEAR = 4, 4, 3


@feature(
    family="radial",
    per="channel",
    regions=CELL,
    outputs=_outputs("outward", OUTWARD, "from the nucleus outward to the border"),
)
def outward(region: Region) -> Floats:
    """Measure the radial distribution in the cytoplasm, shape (channels, 12).

    Units: none. Rings divide u = a / (a + b) evenly, a the distance of a pixel to the nucleus and b to the
    outside of the cell; wedges of 45 degrees meet in the nucleus' centre. NaN without nucleus or
    cytoplasm, in rings without pixels, and where the channel is black.

    Source: after CellProfiler MeasureObjectIntensityDistribution (FracAtD, MeanFrac, RadialCV), with
    Euclidean distances and rings that start at the nucleus, as its users ask for.
    """
    cell = region.cell
    nucleus, cytoplasm = cell.region("nucleus"), cell.region("cytoplasm")
    if nucleus.count == 0 or cytoplasm.count == 0:
        return np.full((len(cell.pixels), 3 * OUTWARD), np.nan)
    away = at(cell.from_nucleus, cytoplasm.positions)
    relative = away / (away + at(cell.depth, cytoplasm.positions))
    return _distribution(cytoplasm, nucleus, relative, OUTWARD)


@feature(
    family="radial",
    per="channel",
    regions=CELL,
    outputs=_outputs("inward", INWARD, "from the border inward to the deepest point"),
)
def inward(region: Region) -> Floats:
    """Measure the radial distribution by depth below the cell's border, shape (channels, 12).

    Units: none. Rings divide evenly the depth of a pixel, its distance to the outside of the cell, over the
    largest depth; wedges of 45 degrees meet in the cell's centre. NaN in rings without
    pixels and where the channel is black.

    Source: after CellProfiler MeasureObjectIntensityDistribution, with Euclidean distances.
    """
    depth = at(region.cell.depth, region.positions)
    return _distribution(region, region, depth / depth.max(), INWARD)


@feature(
    family="radial",
    per="channel",
    regions=CELL,
    outputs=_outputs("nuclear", NUCLEAR, "from the nucleus' envelope to its deepest point"),
)
def nuclear(region: Region) -> Floats:
    """Measure the radial distribution inside the nucleus, shape (channels, 9).

    Units: none. Rings divide evenly the distance of a pixel to the outside of the nucleus over the
    largest one; wedges of 45 degrees meet in the nucleus' centre. NaN without nucleus, in rings
    without pixels, and where the channel is black.

    Source: after CellProfiler MeasureObjectIntensityDistribution, with Euclidean distances.
    """
    cell: Cell = region.cell
    nucleus = cell.region("nucleus")
    if nucleus.count == 0:
        return np.full((len(cell.pixels), 3 * NUCLEAR), np.nan)
    depth = at(cell.depth_in_nucleus, nucleus.positions)
    return _distribution(nucleus, nucleus, depth / depth.max(), NUCLEAR)


def _distribution(region: Region, centre: Region, relative: Floats, rings: int) -> Floats:
    """Describe the channels over rings of a relative distance in (0, 1], shape (channels, 3 rings)."""
    sums = ring_sums(region.values, region.positions, relative, rings, centre.centre)
    numbers: Floats = ring_numbers(sums).reshape(len(region.cell.pixels), 3 * rings)
    return numbers
