"""Correlation by scale, partial correlation, and variance explained by the other channels."""

from itertools import pairwise

import numpy as np

from features.cells import CELL_REGIONS, Cell, Region
from features.jit import Floats, Floats32, Ints, kernel
from features.kernels.sums import PARTIALS, add_products, in_order
from features.planes import BANDS, SIGMAS, smoothed
from features.registry import Output, feature, pair_indices

FLAT = 1e-12
"""A variance below this is rounding: intensities lie in [0, 1]."""

RIDGE = 1e-6
"""Added to the correlation of a channel with itself, so that repeated channels can be told apart."""

ALL = ("microtubules", "protein", "nucleus", "er")
"""What is said given all other channels is another quantity where one of them is absent: it is left out."""

CORRELATIONS = {
    f"band_{name}": Output(f"Pearson's correlation in the difference-of-Gaussians band {words}")
    for name, words in BANDS.items()
}


@feature(
    family="relations", resampled=True, per="pair", regions=CELL_REGIONS, outputs=CORRELATIONS, version=2
)
def at_each_scale(region: Region) -> Floats:
    """Correlate every pair of channels at three scales, shape (pairs, 3).

    Units: none. Pearson's correlation of differences of Gaussians (of 0 and 1, 1 and 2, 2 and 4 px; smoothing
    counts only pixels of the cell). The correlation of whole intensities mostly says that both
    channels fill the same part of the cell; a band says whether their details meet. NaN where either
    is flat at that scale.

    Source: Lindeberg 1998 (scales); Manders et al. 1992, "Dynamics of three-dimensional replication patterns
    during the S-phase" (correlation); this project.
    """
    found = region.cell.once(_products)
    sums = {"nucleus": found[0], "cytoplasm": found[1], "cell": found.sum(axis=0)}[region.name]
    means = sums / sums[:, -1:, -1:]
    sides = means[:, :-1, -1]
    covariance = means[:, :-1, :-1] - sides[:, :, None] * sides[:, None, :]
    return _correlation(covariance)[:, *pair_indices(len(sides[0]))].T


def _products(cell: Cell) -> Floats:
    """Return sums of products in nucleus and cytoplasm, shape (2, scales, channels + 1, channels + 1)."""
    planes = [cell.once(smoothed, sigma) for sigma in (0, *SIGMAS)]
    positions = [cell.region(name).positions for name in ("nucleus", "cytoplasm")]
    return np.array([[band_products(*pair, some) for pair in pairwise(planes)] for some in positions])


PARTIAL = {"partial": Output("partial correlation of {0} and {1}, given the other channels, {where}")}


@feature(family="relations", per="pair", regions=CELL_REGIONS, channels=ALL, outputs=PARTIAL)
def beyond_the_others(region: Region) -> Floats:
    """Correlate every pair of channels beyond what the others explain, shape (pairs, 1).

    Units: none. The correlation of what is left of both after linear regression on all other channels; with
    two channels it is Pearson's. NaN where either is flat; channels that are flat explain nothing, nor do
    ones that repeat another.

    Source: Whittaker 1990, "Graphical models in applied multivariate statistics" (from the inverse of the
    correlation matrix).
    """
    partial, _ = region.cell.once(_dependence, region.name)
    return partial[pair_indices(len(partial))][:, None]


EXPLAINED = {"explained": Output("share of {0}'s variance explained by the other channels (R²) {where}")}


@feature(family="relations", per="channel", regions=CELL_REGIONS, channels=ALL, outputs=EXPLAINED)
def explained(region: Region) -> Floats:
    """Measure how much of a channel the others explain, shape (channels, 1).

    Units: none, R² of the linear regression of a channel's intensity on all others (0 where there is no
    other). NaN where the channel is flat.

    Source: Whittaker 1990 (from the inverse of the correlation matrix); this project.
    """
    _, shares = region.cell.once(_dependence, region.name)
    return shares[:, None]


def _correlation(covariance: Floats) -> Floats:
    """Return correlations, shape (..., channels, channels), NaN for flat channels."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    spread = np.sqrt(np.where(variance > FLAT, variance, np.nan))
    correlation: Floats = covariance / (spread[..., :, None] * spread[..., None, :])
    return correlation


def _dependence(cell: Cell, name: str) -> tuple[Floats, Floats]:
    """Return partial correlations (channels, channels) and explained shares (channels,) in a region."""
    region = cell.region(name)
    centred = region.values - region.moments[:, 1:2]
    correlation = _correlation(centred @ centred.T / region.count)
    known = np.isfinite(correlation)
    # a flat channel has nothing in common with any other
    precision = np.linalg.inv(np.where(known, correlation, 0.0) + RIDGE * np.eye(len(known)))
    own = precision.diagonal()
    partial = np.where(known, -precision / np.sqrt(own[:, None] * own), np.nan)
    shares = np.where(known.diagonal(), np.maximum(0.0, 1 - 1 / own), np.nan)
    return partial, shares


@kernel
def _differences(finer: Floats32, coarser: Floats32, positions: Ints) -> Floats:
    """List the differences of two smoothings, and a channel of ones; 0 up to a multiple of 64 pixels."""
    channels, _, width = finer.shape
    count = positions.shape[1]
    flat = positions[0] * width + positions[1]
    out = np.zeros((channels + 1, -(-count // PARTIALS) * PARTIALS), np.float64)
    for channel in range(channels):
        one, other, line = finer[channel].ravel(), coarser[channel].ravel(), out[channel]
        for index in range(count):
            line[index] = one[flat[index]] - other[flat[index]]
    out[channels, :count] = 1.0
    return out


@kernel
def band_products(finer: Floats32, coarser: Floats32, positions: Ints) -> Floats:
    """Sum products of channels of the difference of two smoothings, shape (channels + 1, channels + 1).

    A last channel of ones gives sums and the number of pixels.
    """
    values = _differences(finer, coarser, positions)
    out = np.empty((len(values), len(values)), np.float64)
    partials = np.empty(PARTIALS, np.float64)
    for one in range(len(values)):
        for other in range(one + 1):
            partials[:] = 0.0
            add_products(partials, values[one], values[other])
            out[one, other] = out[other, one] = in_order(partials)
    return out
