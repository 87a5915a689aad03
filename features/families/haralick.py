"""Haralick's texture: how grey levels of neighbouring pixels go together."""

import numpy as np

from features.cells import Region
from features.kernels.cooccurrence import haralick_of_planes
from features.registry import BITS, NONE, Floats, Output, feature

REGIONS = ("cell", "nucleus", "field")
LEVELS = 32
DISTANCES = (1, 2, 4)

NAMES = {
    "energy": ("angular second moment", NONE),
    "contrast": ("contrast", NONE),
    "correlation": ("correlation", NONE),
    "variance": ("sum of squares (variance)", NONE),
    "homogeneity": ("inverse difference moment", NONE),
    "sum_average": ("sum average", NONE),
    "sum_variance": ("sum variance", NONE),
    "sum_entropy": ("sum entropy", BITS),
    "entropy": ("entropy", BITS),
    "difference_variance": ("difference variance", NONE),
    "difference_entropy": ("difference entropy", BITS),
    "information_1": ("first information measure of correlation", NONE),
    "information_2": ("second information measure of correlation", NONE),
}
RANGED = ("contrast", "correlation", "homogeneity", "entropy")
"""The features whose range over directions is kept, at distance 1: how much the texture has a direction."""

MEANS = {
    f"{name}_d{distance}": Output(f"Haralick's {words} at distance {distance} px", unit)
    for distance in DISTANCES
    for name, (words, unit) in NAMES.items()
}
RANGES = {
    f"{name}_range": Output(f"the range over four directions of Haralick's {NAMES[name][0]}", NAMES[name][1])
    for name in RANGED
}


@feature(family="haralick", resampled=True, per="channel", regions=REGIONS, outputs=MEANS | RANGES)
def haralick(region: Region) -> Floats:
    """Compute Haralick's features of 32 grey levels at distances of 1, 2 and 4 px, shape (channels, 43).

    Units: entropies are in bits (logarithm to base 2), the rest has none; levels run from 1 to 32
    between the region's own extremes. Only pairs of pixels that both lie in the region count, in both
    orders. Difference variance is that of the absolute difference of levels (IBSI; mahotas'
    ``use_x_minus_y_variance``). Values are means over the four directions where they are defined, and
    for some the range over them at distance 1. NaN without any pair; correlation and information
    measures are NaN in a flat region.

    Source: Haralick, Shanmugam, Dinstein 1973, "Textural features for image classification";
    conventions of mahotas and of the Image Biomarker Standardisation Initiative (GLCM, averaged).
    """
    numbers = haralick_of_planes(region.quantised(LEVELS), np.array(DISTANCES), LEVELS)
    means = numbers[:, :, 0].reshape(len(numbers), len(MEANS))
    ranges = numbers[:, 0, 1][:, [list(NAMES).index(name) for name in RANGED]]
    return np.hstack([means, ranges])
