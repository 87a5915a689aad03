"""Granularity: how much of a channel is in grains of each size."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell, Region
from features.kernels.opening import granularity, halve
from features.registry import GAIN, Floats, Output, feature

STEPS = 8

OUTPUTS = {
    f"coarser_{2 * step:02d}": Output(
        f"the share of the intensity that is not in grains of radius up to {2 * step} px",
        invariances=GAIN | {"translation", "neighbours"},
    )
    for step in range(1, STEPS + 1)
}


@feature(
    family="granularity",
    resampled=True,
    per="channel",
    regions=("cell", "nucleus"),
    outputs=OUTPUTS,
    version=2,
)
def granularity_spectrum(region: Region) -> Floats:
    """Measure what openings by reconstruction leave at half resolution, shape (channels, 8).

    Units: none, shares of the region's total intensity. Step k is what an opening of radius k (diamonds, in
    blocks of 2 x 2 px) leaves: the size distribution. Its differences are the granular spectrum, in which the
    few grains of a single cell jump from one step to the next. NaN where the channel is black. Turning or
    mirroring a cell can shift the blocks by a pixel.

    Source: Ravkin and Temov 1988, "Bit representation techniques and image processing"; CellProfiler
    MeasureGranularity, with these differences: each region by itself, what lies outside it is ignored
    (there, a cell's value depends on its neighbours and its position); half, not quarter, resolution;
    no background is subtracted; shares instead of percentages, and sums of the spectrum from its coarse end.
    """
    planes, inside = region.cell.once(_halved, region.name)
    left: Floats = 1 - np.cumsum(granularity(planes, inside, STEPS), axis=1)
    return left


def _halved(cell: Cell, region: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the region's box at half resolution."""
    part = cell.region(region)
    return halve(np.ascontiguousarray(cell.pixels[:, *part.box]), np.ascontiguousarray(part.mask[part.box]))
