"""Location: a channel's distance from nucleus, border and centrosome, and its polarity."""

import numpy as np

from features.cells import Cell, Region
from features.jit import Floats
from features.kernels.distance import distances_to
from features.kernels.sums import centre_of_mass, in_order
from features.planes import brightest_position
from features.registry import LENGTH, SCALED, Output, dimensionless, feature, pair_indices

OUTPUTS = {
    "mass_from_nucleus": Output(
        "distance between {0}'s centre of mass and the centroid of the nucleus", LENGTH, SCALED
    ),
    "mass_from_border": Output("depth of {0}'s centre of mass below the cell border", LENGTH, SCALED),
    "one_sidedness": Output(
        "polarity of {0} in the cytoplasm: all around the nucleus (0) to on one side (1)", invariances=SCALED
    ),
}


@feature(family="places", per="channel", regions=("cell",), outputs=OUTPUTS, version=2)
def sides(region: Region) -> Floats:
    """Measure where each channel's mass lies relative to nucleus and border, shape (channels, 3).

    Units: lengths are in µm where the pixel size is known, else px. One-sidedness is the length
    of the mean unit vector from the nucleus' centre to the cytoplasm's pixels, weighted by intensity: 0 all
    around, 1 in one direction (Golgi, centrosome). The depth is that of the nearest pixel, 0 outside
    the cell. NaN where the channel is black and, but for the depth, without nucleus or cytoplasm.

    Source: Boland and Murphy 2001 (SLF, distances to the DNA's centre of fluorescence); this project.
    """
    cell = region.cell
    mass = centre_of_mass(region.values, region.positions)
    depth = np.full(len(mass), np.nan)
    known = np.isfinite(mass[:, 0])
    at = np.rint(mass[known]).astype(np.int64)
    depth[known] = cell.depth[at[:, 0], at[:, 1]]
    away = np.full(len(mass), np.nan)
    if cell.region("nucleus").count:
        away = np.hypot(*(mass - cell.region("nucleus").centre).T)
    return np.column_stack([away, depth, np.hypot(*cell.once(_pull).T)])


TOGETHER = dimensionless(
    SCALED,
    same_side="cosine between the polarities of {0} and {1}: same side of the nucleus (1) to opposite sides "
    "(-1)",
)


@feature(family="places", per="pair", regions=("cell",), outputs=TOGETHER, version=2)
def same_side(region: Region) -> Floats:
    """Compare on which side of the nucleus two channels lie, shape (pairs, 1).

    Units: none, the cosine of the angle between the mean directions of `sides`. NaN without nucleus or
    cytoplasm, and where either channel is black or lies evenly all around.

    Source: this project.
    """
    vectors = region.cell.once(_pull)
    length = np.hypot(*vectors.T)
    unit = vectors / np.where(length > 1e-9, length, np.nan)[:, None]
    first, second = pair_indices(len(vectors))
    cosines: Floats = (unit[first] * unit[second]).sum(axis=1)[:, None]
    return cosines


def _pull(cell: Cell) -> Floats:
    """Return the mean direction of every channel's cytoplasm from the nucleus, shape (channels, 2)."""
    nucleus, cytoplasm = cell.region("nucleus"), cell.region("cytoplasm")
    if nucleus.count == 0 or cytoplasm.count == 0:
        return np.full((len(cell.pixels), 2), np.nan)
    gaps = cytoplasm.positions - nucleus.centre[:, None]
    lengths = distances_to(cytoplasm.positions, nucleus.centre)
    units = np.divide(gaps, lengths, out=np.zeros_like(gaps), where=lengths > 0)
    return centre_of_mass(cytoplasm.values, units)


FROM_CENTRE = {
    "brightest_from_microtubule_centre": Output(
        "distance of the protein's brightest point to the microtubule organising centre", LENGTH
    ),
    "mean_from_microtubule_centre": Output(
        "mean distance of the protein to the microtubule organising centre over that of the cell's pixels",
        invariances=SCALED,
    ),
}


@feature(
    family="places",
    resampled=True,
    per="shape",
    regions=("cell",),
    channels=("microtubules", "protein"),
    outputs=FROM_CENTRE,
    version=2,
)
def from_microtubule_centre(region: Region) -> Floats:
    """Measure how far the protein lies from the microtubule organising centre, shape (2,).

    Units: the first is in µm where the pixel size is known, else px. The centre is taken to be the brightest
    pixel of the microtubules smoothed by 2 px; the protein's brightest position is found alike. NaN where
    microtubules are flat or the protein is black (for the first, flat).

    Source: Newberg and Murphy 2008 (distances to reference structures); Li et al. 2012 (brightest smoothed
    pixel).
    """
    tubules, protein = (region.cell.channels.index(name) for name in ("microtubules", "protein"))
    if region.moments[tubules, 2] == 0 or region.totals[protein] <= 0:
        return np.full(2, np.nan)
    centre, brightest = (region.cell.once(brightest_position, name) for name in ("microtubules", "protein"))
    distances, values = distances_to(region.positions, centre), region.values[protein]
    mean, weighted = in_order(distances) / region.count, in_order(distances * values) / in_order(values)
    apart = np.hypot(*(brightest - centre)) if region.moments[protein, 2] > 0 else np.nan
    return np.array([apart, weighted / mean if mean > 0 else np.nan])
