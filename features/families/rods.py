"""Rods and rings: what is long, and what is hollow, among the brightest parts of the cell."""

import numpy as np

from features.cells import Region
from features.kernels.bodies import large_parts, middle_level, rod_numbers
from features.planes import levels
from features.registry import GEOMETRY, LENGTH, Floats, Output, feature

THINNED = (GEOMETRY | {"gain", "offset"}) - {"rotation", "flip"}
"""Thinning takes pixels off one side before the other: turning a cell can shift a skeleton by a pixel."""
SIGMA = 1
LEAST_UM, LEAST_PX = 2.0, 6.0
"""Length of the shortest rod, in micrometres or, if unknown, pixels."""
SMALLEST = 4.0

OUTPUTS = {
    "object_count": Output("the number of very bright objects"),
    "area_share": Output("the share of the area in very bright objects"),
    "intensity_share": Output(
        "the share of the intensity in very bright objects", invariances=GEOMETRY | {"gain"}
    ),
    "rod_count": Output("the number of rods", invariances=THINNED),
    "rod_length": Output("the mean length of rods", LENGTH, THINNED),
    "longest_rod": Output("the length of the longest rod", LENGTH, THINNED),
    "rod_straightness": Output("the straightness of rods", invariances=THINNED),
    "ring_count": Output("the number of rings"),
    "ring_diameter": Output("the mean diameter of rings", LENGTH),
}


@feature(family="rods", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS, version=2)
def rods_and_rings(region: Region) -> Floats:
    """Describe long and hollow ones among each channel's brightest objects, shape (channels, 9).

    Units: lengths are in µm where the pixel size is known, else px; the rest has none. Objects are
    8-connected pixels above the middle between median and maximum of the cell (smoothed by 1 px), of at
    least 4. A ring has a hole, its radius is the root mean square distance of its pixels from their
    centre; a rod has none, a skeleton of at least 2 µm (6 px where unknown) and three times its mean
    width. Straightness is the length of the straight line of the skeleton's second moments over the
    skeleton's. NaN: lengths and straightness without a rod, the diameter without a ring, the share of
    intensity where the channel is black.

    Source: Carcamo et al. 2011, "Induction of cytoplasmic rods and rings structures by inhibition of the
    CTP and GTP synthetic pathway in mammalian cells" (what they look like); this project.
    """
    cell = region.cell
    out = np.empty((len(cell.pixels), len(OUTPUTS)))
    least = cell.in_pixels(LEAST_UM, LEAST_PX)
    for channel, plane in enumerate(cell.once(levels, SIGMA, region.name)):
        whole = (region.count, float(region.totals[channel]))
        labels, found = large_parts(plane >= middle_level(plane), SMALLEST)
        out[channel] = rod_numbers(labels, found, cell.pixels[channel], whole, least)
    return out
