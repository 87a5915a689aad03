"""Outline: how the borders of cell and nucleus bend."""

import numpy as np

from features.cells import Region
from features.kernels.contours import bending, outline, smooth_closed
from features.registry import Floats, Output, feature

SIGMA_UM, SIGMA_PX = 1.0, 3.0
"""Smoothing along the outline, in micrometres or, if unknown, pixels."""

OUTPUTS = {
    "curvature_std": Output("the standard deviation of the outline's curvature, times the radius,"),
    "curvature_min": Output("the smallest curvature of the outline, times the radius,"),
    "curvature_max": Output("the largest curvature of the outline, times the radius,"),
    "bending_energy": Output("the bending energy of the outline over a circle's"),
    "inward_share": Output("the share of the outline that bends inwards"),
    "inward_count": Output("the number of inward bends of the outline"),
}


@feature(family="outline", resampled=True, per="shape", regions=("cell", "nucleus"), outputs=OUTPUTS)
def curvature(region: Region) -> Floats:
    """Describe the curvature of a region's outer border, shape (6,).

    Units: none; curvatures are times the radius of the disc of the region's area (1 all along a disc,
    negative where the border bends inwards). The border of the largest 8-connected part is followed along
    the sides of its pixels and smoothed by a Gaussian of 1 µm (3 px where unknown) of such sides; inwards
    counts from a tenth of the disc's curvature. The bending energy is the mean square of the curvature
    times the squared length of the outline over 4 pi². NaN where smoothing shrinks it to a point.

    Source: Young, Walker and Bowie 1974, "An analysis technique for biological shape" (bending energy);
    Mokhtarian and Mackworth 1986 (curvature at a scale).
    """
    cell = region.cell
    # a slanted border has up to sqrt(2) sides per pixel of its length: 1.27 on average
    sigma = cell.in_pixels(SIGMA_UM, SIGMA_PX) * 4 / np.pi
    return bending(smooth_closed(outline(region.mask), sigma), float(np.sqrt(region.count / np.pi)))
