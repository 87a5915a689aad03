"""Size and shape of the cell, its nucleus and its cytoplasm."""

import numpy as np

from features.cells import Cell, Region
from features.kernels.geometry import central_moments
from features.kernels.outline import convex_hull, euler_number, hull_numbers, perimeter
from features.registry import AREA, CELL_REGIONS, GEOMETRY, LENGTH, Floats, Output, feature

TURNED = frozenset({"translation", "gain", "offset", "rotation", "neighbours"})
"""Hu's seventh moment changes its sign in the mirror: all else, not flips, leave it alone."""

SIZE_AND_SHAPE = {
    "area": Output("the area", AREA),
    "perimeter": Output("the perimeter", LENGTH),
    "major_axis": Output("the long axis of the ellipse of equal second moments", LENGTH),
    "minor_axis": Output("the short axis of the ellipse of equal second moments", LENGTH),
    "eccentricity": Output("the eccentricity of the ellipse of equal second moments"),
    "solidity": Output("the share of the convex hull that is filled"),
    "extent": Output("the share of the bounding box that is filled"),
    "form_factor": Output("the form factor, 4 pi area / perimeter^2"),
    "equivalent_diameter": Output("the diameter of the disc of equal area", LENGTH),
    "feret_max": Output("the largest Feret diameter", LENGTH),
    "feret_min": Output("the smallest Feret diameter", LENGTH),
    "euler_number": Output("the Euler number (objects minus holes)"),
    **{
        f"hu_{order}": Output(
            f"Hu's invariant moment {order}", invariances=TURNED | (GEOMETRY if order < 7 else TURNED)
        )
        for order in range(1, 8)
    },
}


@feature(family="morphology", per="shape", outputs=SIZE_AND_SHAPE)
def size_and_shape(region: Region) -> Floats:
    """Measure a region's outline and moments, shape (19,).

    Units: lengths in µm and areas in µm² where the pixel size is known, else px and px²; the rest
    has none. The perimeter is that of the border pixels' centres (0 for one pixel, where the form
    factor is NaN); the hull goes through the middles of the pixels' sides, so a pixel has Feret
    diameter 1. A region of one pixel has axes of length 0 and undefined (NaN) eccentricity.

    Source: scikit-image `regionprops` conventions; Hu 1962, "Visual pattern recognition by moment
    invariants"; Feret diameters by rotating the convex hull.
    """
    area = float(region.count)
    length = perimeter(region.mask)
    hull_area, feret_max, feret_min = hull_numbers(convex_hull(region.mask))
    box = np.prod([side.stop - side.start - 2 for side in region.box])
    moments = central_moments(region.positions)
    spread = np.hypot(moments[2, 0] - moments[0, 2], 2 * moments[1, 1])
    long = max((moments[2, 0] + moments[0, 2] + spread) / (2 * area), 0.0)
    short = max((moments[2, 0] + moments[0, 2] - spread) / (2 * area), 0.0)
    return np.array(
        [
            area,
            length,
            4 * np.sqrt(long),
            4 * np.sqrt(short),
            np.sqrt(1 - short / long) if long > 0 else np.nan,
            area / hull_area,
            area / box,
            4 * np.pi * area / length**2 if length > 0 else np.nan,
            np.sqrt(4 * area / np.pi),
            feret_max,
            feret_min,
            euler_number(region.mask),
            *_hu(moments),
        ]
    )


def _hu(moments: Floats) -> Floats:
    """Return Hu's seven invariants of central moments, shape (7,)."""
    order = np.add.outer(np.arange(4), np.arange(4))
    n = moments / moments[0, 0] ** (1 + order / 2)
    a, b = n[3, 0] + n[1, 2], n[2, 1] + n[0, 3]
    c, d = n[3, 0] - 3 * n[1, 2], 3 * n[2, 1] - n[0, 3]
    difference, twice = n[2, 0] - n[0, 2], 2 * n[1, 1]
    return np.array(
        [
            n[2, 0] + n[0, 2],
            difference**2 + twice**2,
            c**2 + d**2,
            a**2 + b**2,
            c * a * (a**2 - 3 * b**2) + d * b * (3 * a**2 - b**2),
            difference * (a**2 - b**2) + 2 * twice * a * b,
            d * a * (a**2 - 3 * b**2) - c * b * (3 * a**2 - b**2),
        ]
    )


NUCLEUS_IN_CELL = {
    "nucleus_share": Output("the share of the cell's area that is nucleus"),
    "nucleus_offset": Output("the distance between the centres of the cell and its nucleus", LENGTH),
    "nucleus_eccentric_position": Output(
        "the distance of the centres of cell and nucleus over the cell's radius"
    ),
    "nucleus_margin": Output("the shortest way from the nucleus to the cell's border", LENGTH),
}


@feature(family="morphology", per="shape", regions=CELL_REGIONS[:1], outputs=NUCLEUS_IN_CELL)
def nucleus_in_cell(region: Region) -> Floats:
    """Measure how large the nucleus is and where in the cell it lies, shape (4,).

    Units: lengths in µm where the pixel size is known, else px; shares have none. All but the share
    are NaN for a cell without nucleus. The radius is that of the disc of the cell's area; the margin
    is the smallest distance of a nucleus pixel to a pixel outside the cell.

    Source: Boland and Murphy 2001, "A neural network classifier capable of recognizing the patterns
    of all major subcellular structures" (features of the DNA's relation to the cell).
    """
    cell: Cell = region.cell
    nucleus = cell.region("nucleus")
    share = nucleus.count / region.count
    if nucleus.count == 0:
        return np.array([share, np.nan, np.nan, np.nan])
    offset = float(np.hypot(*(region.centre - nucleus.centre)))
    radius = np.sqrt(region.count / np.pi)
    return np.array([share, offset, offset / radius, cell.depth[nucleus.mask].min()])
