"""Which channels are bright together."""

import numpy as np

from features.cells import Region
from features.kernels.colocalization import colocalize
from features.kernels.distance import bright_distances
from features.kernels.joint import dependences
from features.registry import FIELD_REGIONS, GAIN, GEOMETRY, LENGTH, Floats, Output, feature

FRACTION = 0.15
STEPS = 256
SCALED = GEOMETRY | GAIN

OUTPUTS = {
    "pearson": Output("Pearson's correlation"),
    "slope": Output(
        "the slope of the regression of the second on the first", invariances=GEOMETRY | {"offset"}
    ),
    "spearman": Output("Spearman's rank correlation"),
    "icq": Output("Li's intensity correlation quotient"),
    "manders_1": Output("Manders' M1 (share of the first where the second is bright)", invariances=SCALED),
    "manders_2": Output("Manders' M2 (share of the second where the first is bright)", invariances=SCALED),
    "costes_1": Output("Manders' M1 with Costes' thresholds", invariances=SCALED),
    "costes_2": Output("Manders' M2 with Costes' thresholds", invariances=SCALED),
    "costes_threshold_1": Output("Costes' threshold of the first over its maximum", invariances=SCALED),
    "costes_threshold_2": Output("Costes' threshold of the second over its maximum", invariances=SCALED),
    "overlap": Output("the overlap coefficient", invariances=SCALED),
    "k_1": Output("the overlap coefficient's part k1", invariances=GEOMETRY),
    "k_2": Output("the overlap coefficient's part k2", invariances=GEOMETRY),
    "rank_weighted_1": Output(
        "the rank-weighted share of the first where the second is bright", invariances=SCALED
    ),
    "rank_weighted_2": Output(
        "the rank-weighted share of the second where the first is bright", invariances=SCALED
    ),
}


@feature(family="colocalization", per="pair", regions=("cell", *FIELD_REGIONS), outputs=OUTPUTS)
def colocalization(region: Region) -> Floats:
    """Measure the colocalization of every pair of channels, shape (pairs, 15).

    Units: none. "Bright" is at least 15 % of the channel's maximum in the region; Manders, overlap,
    k1, k2 and rank-weighted numbers count such pixels, as CellProfiler does. Costes' thresholds go
    down the orthogonal regression line in 1/256 of the first channel's maximum, until the
    correlation below them is not positive; below means that either channel is. NaN: correlations,
    slope, quotient and Costes where a channel is flat; Costes where the line does not rise; the rest
    where a channel is black, and overlap, k1 and k2 where no pixel is bright in both.

    Source: Manders et al. 1993; Costes et al. 2004, "Automatic and quantitative measurement of
    protein-protein colocalization in live cells"; Li et al. 2004 (intensity correlation quotient);
    Singan et al. 2011 (rank-weighted); CellProfiler MeasureColocalization.
    """
    averaged, dense = region.ranks
    return colocalize(region.values, averaged, dense, region.sorted_values, FRACTION, STEPS)


IN_PARTS = ("pearson", "spearman", "manders_1", "manders_2")


@feature(
    family="colocalization",
    per="pair",
    regions=("nucleus", "cytoplasm"),
    outputs={name: OUTPUTS[name] for name in IN_PARTS},
)
def in_parts(region: Region) -> Floats:
    """Measure correlations and Manders' numbers within nucleus and cytoplasm, shape (pairs, 4).

    Units: none; as for the whole cell, with the part's own maxima. A correlation over the whole cell
    mostly says that both channels avoid, or fill, the nucleus; within a part it says more.

    Source: Manders et al. 1993; CellProfiler MeasureColocalization.
    """
    averaged, dense = region.ranks
    numbers = colocalize(region.values, averaged, dense, region.sorted_values, FRACTION, 0)
    return numbers[:, [list(OUTPUTS).index(name) for name in IN_PARTS]]


GRID = 16
BEYOND = {
    "kendall": Output("Kendall's tau on a grid of 16 levels"),
    "mutual_information": Output("the normalised mutual information on a grid of 16 levels"),
    "distance_1": Output("the mean distance from bright regions of the first to those of the second", LENGTH),
    "distance_2": Output("the mean distance from bright regions of the second to those of the first", LENGTH),
}


@feature(family="colocalization", per="pair", regions=("cell",), outputs=BEYOND)
def beyond_correlation(region: Region) -> Floats:
    """Measure dependence that need not be linear, and how far apart bright regions are, shape (pairs, 4).

    Units: distances are in µm where the pixel size is known, else px; the rest has none. The grid has
    16 levels between each channel's extremes; the mutual information is over the mean of both
    entropies. Bright is above Otsu's threshold of the cell. Tau and distances are NaN where either
    channel is flat, the information where both are.

    Source: Kendall 1945 (tau-b); Shannon 1948; Lachmanovich et al. 2003, "Co-localization analysis of
    complex formation among membrane proteins by computerized fluorescence microscopy" (distances).
    """
    measured = dependences(region.quantised(GRID), GRID)
    return np.hstack([measured, bright_distances(region.cell.pixels, region.otsu)])
