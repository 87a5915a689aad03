"""Runs, zones and neighbourhoods of equal grey level: how coarse, busy and patchy a texture is."""

from features.cells import Region
from features.kernels.zones import matrices_of_planes
from features.registry import BITS, NONE, Floats, Output, feature

LEVELS = 32

EMPHASES = {
    "small": ("emphasis of short {}", NONE),
    "large": ("emphasis of long {}", NONE),
    "low": ("emphasis of dark {}", NONE),
    "high": ("emphasis of bright {}", NONE),
    "small_low": ("emphasis of short dark {}", NONE),
    "small_high": ("emphasis of short bright {}", NONE),
    "large_low": ("emphasis of long dark {}", NONE),
    "large_high": ("emphasis of long bright {}", NONE),
    "level_nonuniformity": ("non-uniformity of the levels of {}", NONE),
    "level_nonuniformity_normalised": ("normalised non-uniformity of the levels of {}", NONE),
    "size_nonuniformity": ("non-uniformity of the sizes of {}", NONE),
    "size_nonuniformity_normalised": ("normalised non-uniformity of the sizes of {}", NONE),
    "percentage": ("number per pixel of {}", NONE),
    "level_variance": ("variance of the levels of {}", NONE),
    "size_variance": ("variance of the sizes of {}", NONE),
    "entropy": ("entropy of {}", BITS),
}
MATRICES = {
    "run": "runs of equal grey level",
    "zone": "zones of equal grey level",
    "dependence": "neighbourhoods of equal grey level",
}
TONES = ("coarseness", "contrast", "busyness", "complexity", "strength")

AREA_BOUND = {"level_nonuniformity", "size_nonuniformity"}
"""Left out: they grow with the region, and their normalised twins say the rest."""

HISTOGRAM_BOUND = {"low", "high", "level_nonuniformity_normalised", "percentage", "level_variance"}
"""Left out of dependences, where they only repeat the histogram (every pixel has one dependence)."""


def _kept(matrix: str, name: str) -> bool:
    return name not in AREA_BOUND and (matrix != "dependence" or name not in HISTOGRAM_BOUND)


ALL = [(matrix, name) for matrix in MATRICES for name in EMPHASES] + [("tone", name) for name in TONES]
KEPT = [place for place, (matrix, name) in enumerate(ALL) if _kept(matrix, name)]


def _output(matrix: str, name: str) -> Output:
    if matrix == "tone":
        return Output(f"the {name} of differences to the neighbourhood")
    words, unit = EMPHASES[name]
    return Output(f"the {words.format(MATRICES[matrix])}", unit)


OUTPUTS = {f"{matrix}_{name}": _output(matrix, name) for matrix, name in (ALL[place] for place in KEPT)}


@feature(family="zones", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS)
def zone_matrices(region: Region) -> Floats:
    """Summarise run, zone, dependence and neighbourhood-difference matrices, shape (channels, 42).

    Units: entropies are in bits, the rest has none; 32 levels between the region's own extremes.
    Runs are averaged over four directions, zones are 8-connected, dependences are of distance 1 and
    equal level. The five tone differences are NaN where no pixel has a neighbour, and all but
    complexity in a flat region.

    Source: Image Biomarker Standardisation Initiative (Zwanenburg et al. 2020), two-dimensional:
    GLRLM (Galloway 1975), GLSZM (Thibault 2014), NGLDM (Sun and Wee 1983), NGTDM (Amadasun and King
    1989).
    """
    numbers: Floats = matrices_of_planes(region.quantised(LEVELS), LEVELS)[:, KEPT]
    return numbers
