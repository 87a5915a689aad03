"""Filter energies: differences of Gaussians, steerable derivatives and structure tensor at each scale."""

from itertools import pairwise

import numpy as np

from features.cells import Region
from features.jit import Floats, Floats32, Mask, kernel
from features.kernels.sums import in_order
from features.planes import BANDS, SIGMAS, band, interior, smoothed
from features.registry import Output, feature

DERIVED = (1, 2)

OUTPUTS = {
    **{
        f"band_{band}_{kind}": Output(f"{words} of the difference-of-Gaussians band {scale}")
        for band, scale in BANDS.items()
        for kind, words in (("energy", "share of the variance"), ("skewness", "skewness"))
    },
    **{
        f"{name}_s{sigma}": Output(f"{words} at scale {sigma} px")
        for sigma in DERIVED
        for name, words in (
            ("gradient", "energy of first-order steerable filters (edges) over the variance"),
            ("blob", "energy of the Laplacian (blobs) over the variance"),
            ("line", "energy of second-order steerable filters (lines) over the variance"),
            ("coherence", "coherence of the structure tensor"),
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
    1993 (normalised convolution); Bigün and Granlund 1987 (structure tensor). They replace
    Gabor filters: orders 0 to 2 respond to blobs, edges and lines of any direction.
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


def _derived(planes: Floats32, region: Region, variance: Floats) -> Floats:
    """Return energies of orders 1, 0 and 2 and the coherence, shape (channels, 4)."""
    sums = derivative_numbers(planes, region.cell.once(interior, 1))
    count = np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
    gradient = np.where(np.isfinite(variance[:, 0]) & (sums[:, 1] > 0), sums[:, 1], np.nan)
    coherence = np.hypot(sums[:, 4], sums[:, 5]) / gradient
    return np.column_stack([sums[:, 1:4] / count / variance, coherence])


@kernel
def _derivatives(above: Floats32, here: Floats32, below: Floats32, inside: Mask, out: Floats) -> None:
    """Write central differences of a row's inner pixels, 0 where not `inside`, shape (5, width - 2).

    Down, right, and twice: down, right, mixed.
    """
    middle, up, low, within = here[1:], above[1:], below[1:], inside[1:]
    after, up_after, low_after = here[2:], above[2:], below[2:]
    down, right, dd, rr, dr = out[0], out[1], out[2], out[3], out[4]
    for column in range(len(down)):
        down[column] = 0.5 * (float(low[column]) - up[column]) if within[column] else 0.0
    for column in range(len(down)):
        right[column] = 0.5 * (float(after[column]) - here[column]) if within[column] else 0.0
    for column in range(len(down)):
        twice = float(low[column]) + up[column] - 2.0 * middle[column]
        dd[column] = twice if within[column] else 0.0
    for column in range(len(down)):
        twice = float(after[column]) + here[column] - 2.0 * middle[column]
        rr[column] = twice if within[column] else 0.0
    for column in range(len(down)):
        mixed = float(low_after[column]) + above[column] - below[column] - up_after[column]
        dr[column] = 0.25 * mixed if within[column] else 0.0


@kernel
def derivative_numbers(planes: Floats32, inner: Mask) -> Floats:
    """Sum squared derivatives inside a mask, by how they turn with the picture, shape (channels, 6).

    Derivatives are central differences at the `inner` pixels, whose eight neighbours all lie in the mask.
    Number of pixels; sums of squares of the gradient (order 1), of the Laplacian (order 0) and of
    the deviatoric second derivative (order 2: lines); the difference and the mixed product of the
    gradient's squared components (order 2 of the gradient: a common direction).
    """
    channels, height, width = planes.shape
    out = np.zeros((channels, 6), np.float64)
    out[:, 0] = np.count_nonzero(inner)
    row_of, sums = np.empty((5, width - 2), np.float64), np.empty((5, width - 2), np.float64)
    down, right, dd, rr, dr = row_of[0], row_of[1], row_of[2], row_of[3], row_of[4]
    edges, blobs, lines, across, mixed = sums[0], sums[1], sums[2], sums[3], sums[4]
    for channel in range(channels):
        plane = planes[channel]
        sums[:] = 0.0
        for row in range(1, height - 1):
            _derivatives(plane[row - 1], plane[row], plane[row + 1], inner[row], row_of)
            for column in range(width - 2):
                edges[column] += down[column] * down[column] + right[column] * right[column]
            for column in range(width - 2):
                blobs[column] += (dd[column] + rr[column]) * (dd[column] + rr[column])
            for column in range(width - 2):
                gap = dd[column] - rr[column]
                lines[column] += gap * gap + 4.0 * dr[column] * dr[column]
            for column in range(width - 2):
                across[column] += right[column] * right[column] - down[column] * down[column]
            for column in range(width - 2):
                mixed[column] += 2.0 * right[column] * down[column]
        for number in range(5):
            out[channel, 1 + number] = in_order(sums[number])
    return out
