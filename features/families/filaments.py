"""Filaments: bright lines, how long, straight and branched they are, and along what they run."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell, Region
from features.kernels.filaments import alignment, filament_numbers
from features.kernels.ridges import ridges
from features.planes import smoothed
from features.registry import GEOMETRY, LENGTH, PER_LENGTH, Floats, Output, feature

TURNED = GEOMETRY - {"rotation", "flip"}
"""Thinning takes pixels off one side before the other: turning a cell can shift a skeleton by a pixel."""
SCALED = TURNED | {"gain"}
SHIFTED = TURNED | {"gain", "offset"}
SIGMA = 1

OUTPUTS = {
    "density": Output("the length of filaments per area", PER_LENGTH, SHIFTED),
    "count": Output("the number of filaments", invariances=SHIFTED),
    "mean_length": Output("the mean length of filaments", LENGTH, SHIFTED),
    "longest": Output("the length of the longest filament", LENGTH, SHIFTED),
    "ends": Output("the number of filaments' ends per length", PER_LENGTH, SHIFTED),
    "branches": Output("the number of filaments' branches per length", PER_LENGTH, SHIFTED),
    "intensity_share": Output("the share of the intensity on filaments", invariances=SCALED),
    "contrast": Output("the mean intensity on filaments over that of the whole", invariances=SCALED),
    "straightness": Output("the straightness of filaments", invariances=SHIFTED),
    "common_direction": Output("how far filaments share one direction", invariances=SHIFTED),
    "radial_direction": Output(
        "whether filaments point at the nucleus (1) or run around it (-1)", invariances=SHIFTED
    ),
}


@feature(family="filaments", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS, version=2)
def filaments(region: Region) -> Floats:
    """Describe the skeletons of each channel's bright lines, shape (channels, 11).

    Units: lengths are in µm where the pixel size is known, else px (densities per µm or px); the rest has
    none. A line is where, after smoothing by 1 px, the curvature of the intensity across it less that along
    it exceeds its root mean square over the cell; lines are thinned, and skeletons of 4 px and more are
    filaments. Straightness is the length of the straight line of equal second moments over the filament's,
    averaged by length; directions are means of cosines of doubled angles over a skeleton's pixels. Without
    filaments all but density and number are NaN; so is what is relative to a black channel and the radial
    direction without a nucleus.

    Source: Boland and Murphy 2001 (SLF7, features of objects' skeletons); Guo and Hall 1989 (thinning);
    Frangi et al. 1998, "Multiscale vessel enhancement filtering" (lines by the Hessian's eigenvalues).
    """
    cell = region.cell
    nucleus = cell.region("nucleus")
    has_nucleus = nucleus.count > 0
    row, column = nucleus.centre if has_nucleus else (0.0, 0.0)
    numbers = filament_numbers(
        cell.pixels, cell.once(_ridges), region.totals, region.count, (float(row), float(column))
    )
    if not has_nucleus:
        numbers[:, -1] = np.nan
    return numbers


ALIGNED = {
    # an offset costs bits of what is smoothed in 32: it shows in the fifth digit
    "alignment": Output(
        "whether lines run parallel (1) or across each other (-1)", invariances=GEOMETRY | {"gain"}
    )
}


@feature(family="filaments", resampled=True, per="pair", regions=("cell",), outputs=ALIGNED, version=2)
def parallel(region: Region) -> Floats:
    """Compare the directions of the lines of every pair of channels, shape (pairs, 1).

    Units: none. The mean cosine of twice the angle between the lines of both channels, weighted by the
    strengths of both, over all pixels that lie on one of each; with microtubules it says whether a
    protein runs along them. NaN where there is no such pixel.

    Source: Newberg and Murphy 2008 (relation to reference channels); this project.
    """
    return alignment(region.cell.once(_ridges))[:, None]


def _ridges(cell: Cell) -> NDArray[np.float32]:
    """Return strength and direction of lines, shape (channels, 2, height, width)."""
    return ridges(cell.once(smoothed, SIGMA), cell.whole.mask)
