"""Edges: how much of a channel lies where its intensity changes most, and in how many directions."""

from features.cells import Region
from features.kernels.edges import edge_numbers
from features.planes import smoothed
from features.registry import BITS, GEOMETRY, Floats, Output, feature

SIGMA = 1

OUTPUTS = {
    "pixel_share": Output("the share of pixels on edges"),
    "intensity_share": Output("the share of the intensity on edges", invariances=GEOMETRY | {"gain"}),
    "strength": Output("the mean gradient on edges over the root mean square of all"),
    "direction_peak": Output("the largest share of edges in one of eight directions"),
    "direction_entropy": Output("the entropy of the edges' eight directions", BITS),
    "direction_imbalance": Output("the share of edges without a counterpart in the opposite direction"),
    "common_direction": Output("how far edges run along one line"),
}


@feature(family="edges", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS, version=2)
def edges(region: Region) -> Floats:
    """Describe the edges in each channel, shape (channels, 7).

    Units: the entropy is in bits, the rest has none. An edge is where, after smoothing by 1 px, the
    gradient exceeds its root mean square and is the largest along its own direction. The histogram of
    directions has eight bins centred on axes and diagonals; the common direction is the length of the mean
    of doubled directions (0 none, 1 all edges parallel). NaN where no pixel has all its neighbours in the
    cell and, but for the share of pixels, without edges; what is relative to a black channel.

    Source: Boland and Murphy 2001 (SLF1.9 to 1.13, features of edges: share of pixels and intensity,
    homogeneity of directions); Canny 1986 (largest along the gradient).
    """
    cell = region.cell
    return edge_numbers(cell.once(smoothed, SIGMA), cell.pixels, region.mask, region.totals)
