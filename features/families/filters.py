"""Energies of filters: at which scale, and along which kind of structure, a channel varies."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.cells import Region
from features.kernels.filters import derivative_numbers
from features.planes import band, smoothed
from features.registry import Floats, Output, feature

SIGMAS = (1, 2, 4)
BANDS = {"fine": "below 1 px", "1_2": "between 1 and 2 px", "2_4": "between 2 and 4 px"}
DERIVED = (1, 2)

OUTPUTS = {
    **{
        f"band_{band}_{kind}": Output(f"the {words} of the band {scale} (difference of Gaussians)")
        for band, scale in BANDS.items()
        for kind, words in (("energy", "share of the variance"), ("skewness", "skewness"))
    },
    **{
        f"{name}_s{sigma}": Output(f"the {words} at scale {sigma} px")
        for sigma in DERIVED
        for name, words in (
            ("gradient", "steerable energy of edges (gradient) over the variance"),
            ("blob", "steerable energy of blobs (Laplacian) over the variance"),
            ("line", "steerable energy of lines (second derivative of order 2) over the variance"),
            ("coherence", "coherence of the structure tensor of the whole cell"),
        )
    },
}


@feature(family="filters", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS)
def filter_energies(region: Region) -> Floats:
    """Measure energies of differences of Gaussians and steerable derivatives, shape (channels, 14).

    Units: none. Smoothing counts only pixels of the cell (normalised convolution), derivatives are
    central differences where all eight neighbours lie in it, as mean squares over the variance of
    the intensity. The coherence is 0 without a common direction and 1 for parallel stripes. NaN in a
    flat cell, the skewness in a flat band, and derivatives where no pixel has all its neighbours.

    Source: Freeman and Adelson 1991, "The design and use of steerable filters"; Knutsson and Westin
    1993 (normalised convolution); Bigün and Granlund 1987 (structure tensor). They take the place of
    Gabor filters: orders 0 to 2 answer to blobs, edges and lines of any direction.
    """
    cell = region.cell
    variance = region.moments[:, 2] ** 2
    variance = np.where(variance > 0, variance, np.nan)[:, None]
    out = []
    for scales in pairwise((0, *SIGMAS)):
        energy, skewness = cell.once(band, *scales).T
        out += [energy[:, None] / region.count / variance, skewness[:, None]]
    out += [_derived(cell.once(smoothed, sigma), region, variance) for sigma in DERIVED]
    return np.hstack(out)


def _derived(planes: NDArray[np.float32], region: Region, variance: Floats) -> Floats:
    """Return energies of orders 1, 0 and 2 and the coherence, shape (channels, 4)."""
    sums = derivative_numbers(planes, region.mask)
    count = np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
    gradient = np.where(np.isfinite(variance[:, 0]) & (sums[:, 1] > 0), sums[:, 1], np.nan)
    coherence = np.hypot(sums[:, 4], sums[:, 5]) / gradient
    return np.column_stack([sums[:, 1:4] / count / variance, coherence])
