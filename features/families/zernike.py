"""Zernike moments: coarse shape, and coarse arrangement of intensity, on a disc around the region."""

import numpy as np

from features.cells import Cell, Region
from features.kernels.zernike import COEFFICIENTS, ORDERS, enclosing_circle, power_sums, scattered_ends
from features.registry import GAIN, GEOMETRY, Floats, Output, feature

REGIONS = ("cell", "nucleus")


@feature(
    family="zernike",
    per="shape",
    regions=REGIONS,
    outputs={f"shape_{n}_{m}": Output(f"the Zernike magnitude ({n}, {m}) of the shape") for n, m in ORDERS},
)
def of_shape(region: Region) -> Floats:
    """Compute the magnitudes of the shape's Zernike moments up to degree 9, shape (30,).

    Units: none. The unit disc is the smallest circle around the pixels' centres; sums are over all of
    the region's pixels, divided by the disc's area in pixels. NaN for a single pixel.

    Source: Zernike 1934; Teague 1980; CellProfiler MeasureObjectSizeShape (AreaShape_Zernike), which
    may lose pixels on the circle to rounding: here none is lost.
    """
    magnitudes, radius = region.cell.once(_magnitudes, region.name)
    return magnitudes[0] / (np.pi * radius**2) if radius > 0 else np.full(len(ORDERS), np.nan)


@feature(
    family="zernike",
    per="channel",
    regions=("cell",),
    outputs={
        f"intensity_{n}_{m}": Output(
            f"the Zernike magnitude ({n}, {m}) of the arrangement", invariances=GEOMETRY | GAIN
        )
        for n, m in ORDERS[1:]
    },
)
def of_intensity(region: Region) -> Floats:
    """Compute the magnitudes of each channel's Zernike moments up to degree 9, shape (channels, 29).

    Units: none; moments of the intensity over its sum, so (0, 0) is 1 and left out. The disc is that of the
    shape. NaN for a single pixel and where the channel is black. Phases are left out: they say how
    the cell lies.

    Source: Boland and Murphy 2001 (SLF, Zernike features); CellProfiler
    MeasureObjectIntensityDistribution (Zernikes), there over the number of pixels instead of the intensity.
    """
    magnitudes, radius = region.cell.once(_magnitudes, region.name)
    total = region.moments[:, :1]
    defined = (total > 0) & (radius > 0)
    moments = magnitudes[1:, 1:]
    return np.divide(moments, total, out=np.full_like(moments, np.nan), where=defined)


def _magnitudes(cell: Cell, name: str) -> tuple[Floats, float]:
    """Return the magnitudes for the shape and, of the cell, its channels, and the circle's radius.

    The magnitudes have shape (1 + channels, 30), or (1, 30).
    """
    region = cell.region(name)
    planes = region.mask[None, *region.box].astype(np.float32)
    if region is cell.whole:
        planes = np.concatenate([planes, cell.pixels[:, *region.box]])
    row, column, radius = enclosing_circle(scattered_ends(region.positions))
    top, left = region.box[0].start, region.box[1].start
    sums = power_sums(planes, row - top, column - left, max(radius, 1.0))
    moments = sums.reshape(len(sums), -1) @ COEFFICIENTS.T
    return np.abs(moments), radius
