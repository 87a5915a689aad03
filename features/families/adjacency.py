"""Threshold adjacency: whether bright pixels come in clumps, lines or alone."""

import numpy as np

from features.cells import Region
from features.kernels.adjacency import COUNTS, adjacency
from features.registry import Floats, Output, feature

RANGES = {
    "middle": "within one standard deviation of the bright pixels' mean",
    "broad": "above the bright pixels' mean less one standard deviation",
    "high": "above the bright pixels' mean",
}
OUTPUTS = {
    f"{name}_{count}": Output(f"the share, among pixels {words}, of those with {count} such neighbours,")
    for name, words in RANGES.items()
    for count in range(COUNTS)
}


@feature(family="adjacency", per="channel", regions=("cell",), outputs=OUTPUTS, resampled=True)
def threshold_adjacency(region: Region) -> Floats:
    """Compute parameter-free threshold adjacency statistics, shape (channels, 27).

    Units: none, shares that sum to 1 per range. Bright pixels are those above Otsu's threshold of the
    region; pixels outside it are in no range. NaN in a flat region, and in a range without pixels.

    Source: Hamilton et al. 2007, "Fast automated cell phenotype image classification"; parameter-free
    as in Coelho et al. 2010. mahotas' `pftas` lists the neighbours of pixels that are *not* in the
    range and in its second half, backwards, these; it knows no mask.
    """
    shares = [
        adjacency(plane, region.mask, ascending, threshold).ravel()
        for plane, ascending, threshold in zip(
            region.cell.pixels, region.sorted_values, region.otsu, strict=True
        )
    ]
    return np.array(shares)
