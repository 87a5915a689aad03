"""Haralick's texture: how grey levels of neighbouring pixels go together."""

import numpy as np

from features.cells import Region
from features.kernels.cooccurrence import HARALICK, haralick_of_planes
from features.registry import ALL_REGIONS, BITS, NONE, Floats, Output, feature

LEVELS = 64
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
OUTPUTS = {
    f"{name}_d{distance}_{kind}": Output(
        f"the {kind} over four directions of Haralick's {words} at distance {distance} px", unit
    )
    for distance in DISTANCES
    for kind in ("mean", "range")
    for name, (words, unit) in NAMES.items()
}


@feature(family="haralick", per="channel", regions=ALL_REGIONS, outputs=OUTPUTS)
def haralick(region: Region) -> Floats:
    """Compute Haralick's features of 64 grey levels at distances of 1, 2 and 4 px, shape (channels, 78).

    Units: entropies are in bits (logarithm to base 2), the rest has none; levels run from 1 to 64 between
    the region's own extremes. Only pairs of pixels that both lie in the region count, in both
    orders. Difference variance is that of the absolute difference of levels (IBSI; mahotas'
    ``use_x_minus_y_variance``). NaN without any pair; correlation and information measures are NaN in a
    flat region. Mean and range are over the directions where a value is defined.

    Source: Haralick, Shanmugam, Dinstein 1973, "Textural features for image classification"; conventions of
    mahotas and of the Image Biomarker Standardisation Initiative (GLCM, merged by averaging).
    """
    numbers = haralick_of_planes(region.quantised(LEVELS), np.array(DISTANCES), LEVELS)
    averaged: Floats = numbers.reshape(len(numbers), 2 * HARALICK * len(DISTANCES))
    return averaged
