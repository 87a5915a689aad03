"""Topology: into how many pieces, with how many holes, the brightest parts fall at each threshold."""

import numpy as np

from features.cells import Region
from features.kernels.topology import topology
from features.planes import levels
from features.registry import Floats, Output, feature

SHARES = (2, 5, 10, 20, 35, 50, 70, 90)
HEIGHTS = (25, 50, 75)
SIGMAS = (1, 2)

OUTPUTS = {
    f"{name}_s{sigma}": Output(f"{words} (smoothed by {sigma} px)")
    for sigma in SIGMAS
    for name, words in {
        **{
            f"euler_top_{share:02d}": f"the number of objects minus holes of the {share} % brightest pixels"
            for share in SHARES
        },
        **{
            f"euler_above_{height}": f"the number of objects minus holes above {height} % of the range"
            for height in HEIGHTS
        },
        **{
            f"area_above_{height}": f"the share of pixels above {height} % of the range" for height in HEIGHTS
        },
    }.items()
}


@feature(family="topology", resampled=True, per="channel", regions=("cell", "nucleus"), outputs=OUTPUTS)
def euler_curves(region: Region) -> Floats:
    """Count objects minus holes at eleven thresholds and two scales, shape (channels, 28).

    Units: none. Thresholds are shares of the region's area (the brightest 2 to 90 % of its pixels, whatever
    their intensity) and of its range between the extremes, in 256 steps; objects are 8-connected. Many
    small spots give a large number at small shares, a net of lines a negative one at middle shares, dark
    holes a negative one at large shares. NaN in a flat region.

    Source: Ponomarev et al. 2014, "ANA HEp-2 cells image classification using number, size, shape and
    localization of targeted cell regions"; Euler characteristic curves as in Richardson and Werman 2014.
    """
    shares, heights = np.array(SHARES) / 100, np.array(HEIGHTS) / 100
    planes = (region.cell.once(levels, sigma, region.name) for sigma in SIGMAS)
    return np.hstack([topology(plane, shares, heights) for plane in planes])
