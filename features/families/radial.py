"""Radial distribution: where between nucleus and cell border, or within the nucleus, a channel lies."""

import numpy as np

from features.cells import CELL_REGIONS, Cell, Region
from features.jit import Floats, Ints, kernel
from features.kernels.crops import at
from features.registry import SCALED, Output, feature

WEDGES = 8
CELL = CELL_REGIONS[:1]

KINDS = {
    "share": "share of {{0}}'s {part}intensity that lies in {ring}",
    "relative": "mean intensity of {{0}} in {ring}, over that of all rings",
    "variation": "coefficient of variation over eight sectors of {{0}}'s intensity in {ring}",
}


def _outputs(direction: str, part: str, rings: int, words: str) -> dict[str, Output]:
    return {
        f"{direction}_{ring}_{kind}": Output(
            text.format(part=part, ring=f"ring {ring} of {rings} {words}"), invariances=SCALED
        )
        for kind, text in KINDS.items()
        for ring in range(1, rings + 1)
    }


OUTWARD, INWARD, NUCLEAR = 4, 4, 3


@feature(
    family="radial",
    per="channel",
    regions=CELL,
    outputs=_outputs("outward", "cytoplasmic ", OUTWARD, "from the nucleus outward to the cell border"),
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
    outputs=_outputs("inward", "", INWARD, "from the cell border inward"),
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
    outputs=_outputs("nuclear", "nuclear ", NUCLEAR, "from the nuclear envelope inward"),
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


@kernel
def ring_sums(values: Floats, positions: Ints, relative: Floats, rings: int, centre: Floats) -> Floats:
    """Sum pixels and intensities over rings and 45-degree wedges, shape (1 + channels, rings, 8).

    Rings divide `relative`, shape (n,), a distance in (0, 1], evenly; wedges meet in `centre`. The first of
    the sums is the number of pixels.
    """
    channels, pixels = values.shape
    sums = np.zeros((rings * WEDGES, 1 + channels), np.float64)
    for pixel in range(pixels):
        ring = int(np.ceil(relative[pixel] * rings)) - 1
        down, right = positions[0, pixel] - centre[0], positions[1, pixel] - centre[1]
        wedge = (4 if down > 0.0 else 0) + (2 if right > 0.0 else 0) + (1 if abs(down) > abs(right) else 0)
        entry = sums[ring * WEDGES + wedge]
        entry[0] += 1.0
        for channel in range(channels):
            entry[1 + channel] += values[channel, pixel]
    return np.ascontiguousarray(sums.T).reshape((1 + channels, rings, WEDGES))


@kernel
def ring_numbers(sums: Floats) -> Floats:
    """Turn `ring_sums` into shares, relative means and variation over wedges, shape (channels, 3, rings).

    Share of the intensity in the ring; mean in the ring over mean in all rings; coefficient of variation of
    the wedges' means. NaN where a ring has no pixel or the channel is black.
    """
    channels, rings, wedges = sums.shape[0] - 1, sums.shape[1], sums.shape[2]
    out = np.full((channels, 3, rings), np.nan)
    pixels = sums[0].sum()
    for channel in range(channels):
        total = sums[1 + channel].sum()
        for ring in range(rings):
            inside = sums[0, ring].sum()
            amount = sums[1 + channel, ring].sum()
            if inside == 0.0 or total <= 0.0:
                continue
            out[channel, 0, ring] = amount / total
            out[channel, 1, ring] = (amount / inside) / (total / pixels)
            if amount <= 0.0:
                continue
            mean, square, used = 0.0, 0.0, 0
            for wedge in range(wedges):
                if sums[0, ring, wedge] > 0.0:
                    mean += sums[1 + channel, ring, wedge] / sums[0, ring, wedge]
                    used += 1
            mean /= used
            for wedge in range(wedges):
                if sums[0, ring, wedge] > 0.0:
                    square += (sums[1 + channel, ring, wedge] / sums[0, ring, wedge] - mean) ** 2
            out[channel, 2, ring] = np.sqrt(square / used) / mean
    return out
