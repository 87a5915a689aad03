"""Intensity: level, distribution, centre of mass, and shares by compartment of each channel."""

import numpy as np

from features.cells import CELL_REGIONS, Region
from features.jit import Floats, Ints, Mask, kernel
from features.kernels.sums import centre_of_mass
from features.registry import (
    ALL_REGIONS,
    BITS,
    GEOMETRY,
    INTENSITY,
    LENGTH,
    RINGS,
    SCALED,
    Output,
    dimensionless,
    feature,
    michelson,
    over,
)

OFFSET = GEOMETRY | {"offset"}
QUANTILES = (5, 25, 50, 75, 95)
ENTROPY_LEVELS = 64

DISTRIBUTION = {
    "integrated": Output("integrated intensity", INTENSITY, GEOMETRY),
    "mean": Output("mean intensity", INTENSITY, GEOMETRY),
    "std": Output("standard deviation of the intensity", INTENSITY, OFFSET),
    "skewness": Output("skewness of the intensity"),
    "kurtosis": Output("excess kurtosis of the intensity"),
    "minimum": Output("minimum intensity", INTENSITY, GEOMETRY),
    "maximum": Output("maximum intensity", INTENSITY, GEOMETRY),
    **{
        f"quantile_{share:02d}": Output(f"{share}th percentile of the intensity", INTENSITY, GEOMETRY)
        for share in QUANTILES
    },
    "mad": Output("median absolute deviation of the intensity", INTENSITY, OFFSET),
    "variation": Output("coefficient of variation of the intensity", invariances=SCALED),
    "entropy": Output("entropy of the histogram of 64 grey levels", BITS),
}


@feature(family="intensity", per="channel", regions=ALL_REGIONS, outputs=DISTRIBUTION)
def distribution(region: Region) -> Floats:
    """Describe the distribution of intensities, shape (channels, 15).

    Units: intensities are shares of the largest value the file format can hold; entropy is in bits,
    of the histogram of 64 levels between the region's own extremes; skewness, kurtosis (excess) and
    coefficient of variation (standard deviation over mean) have none. Skewness and kurtosis are NaN
    for a flat region, the coefficient of variation for a black one. The standard deviation is the
    population's, quantiles interpolate linearly.

    Source: first-order statistics of the Image Biomarker Standardisation Initiative (IBSI, Zwanenburg
    et al. 2020); CellProfiler MeasureObjectIntensity for the names.
    """
    total, mean, spread, skewness, kurtosis = region.moments.T
    ascending = region.sorted_values
    quantiles = _quantiles(ascending, np.array(QUANTILES) / 100)
    extremes, deviation = ascending[:, [0, -1]], median_deviation(ascending)
    entropy = level_entropy(ascending, ENTROPY_LEVELS)
    moments = (total, mean, spread, skewness, kurtosis)
    return np.column_stack([*moments, extremes, quantiles, deviation, over(spread, mean), entropy])


def _quantiles(ascending: Floats, shares: Floats) -> Floats:
    """Interpolate quantiles of sorted rows linearly, shape (channels, shares)."""
    position = shares * (ascending.shape[1] - 1)
    below = np.floor(position).astype(np.intp)
    above = np.ceil(position).astype(np.intp)
    part = position - below
    quantiles: Floats = ascending[:, below] * (1 - part) + ascending[:, above] * part
    return quantiles


PLACEMENT = {
    "edge_mean": Output("mean intensity of the edge pixels", INTENSITY, GEOMETRY),
    "edge_std": Output("standard deviation of the intensity of the edge pixels", INTENSITY, OFFSET),
    "edge_ratio": Output("mean intensity of the edge pixels over that of all pixels", invariances=SCALED),
    "mass_displacement": Output(
        "mass displacement (distance between centroid and centre of mass)", LENGTH, SCALED
    ),
    "relative_displacement": Output("mass displacement over the region's radius", invariances=SCALED),
}


@feature(family="intensity", per="channel", regions=("cell", "nucleus"), outputs=PLACEMENT)
def placement(region: Region) -> Floats:
    """Measure intensity on the border and the displacement of its centre of mass, shape (channels, 5).

    Units: intensities are shares of the format's largest value; the displacement is in µm where the
    pixel size is known, else px; ratios have none. The border is the region's pixels with a side
    neighbour outside it; the radius is that of the disc of the region's area. Ratios and
    displacements are NaN where the channel is black.

    Source: CellProfiler MeasureObjectIntensity (Carpenter et al. 2006).
    """
    edge_mean, edge_std = on_border(region.values, region.positions, region.mask).T
    mean = region.moments[:, 1]
    gap = centre_of_mass(region.values, region.positions) - region.centre
    displacement = np.hypot(gap[:, 0], gap[:, 1])
    radius = np.sqrt(region.count / np.pi)
    return np.column_stack([edge_mean, edge_std, over(edge_mean, mean), displacement, displacement / radius])


SHARES = {
    **dimensionless(
        SCALED,
        nucleus_share="share of {0}'s intensity that lies in the nucleus",
        nucleus_enrichment="enrichment of {0} in the nucleus: its share of the intensity over its share of "
        "the area",
        nucleus_contrast="Michelson contrast of {0}'s mean intensity between nucleus and cytoplasm",
    ),
    "nucleus_difference": Output(
        "mean intensity of {0} in the nucleus minus that in the cytoplasm", INTENSITY, OFFSET
    ),
}


@feature(family="intensity", per="channel", regions=CELL_REGIONS[:1], outputs=SHARES)
def nuclear_share(region: Region) -> Floats:
    """Compare each channel's intensity in nucleus and cytoplasm, shape (channels, 4).

    Units: the difference is a share of the format's largest value; the others have none. NaN where
    the cell has no nucleus or the channel is black, and, for what needs the cytoplasm, where there is none.

    Source: Newberg and Murphy 2008, "A framework for the automated analysis of subcellular patterns in
    human protein atlas images" (protein overlapping with the nucleus).
    """
    nucleus = region.cell.region("nucleus")
    cytoplasm = region.cell.region("cytoplasm")
    total = np.where(region.totals > 0, region.totals, np.nan)
    share = _mean(nucleus) * nucleus.count / total
    inner, outer = _mean(nucleus), _mean(cytoplasm)
    area = max(nucleus.count, 1) / region.count
    return np.column_stack([share, share / area, michelson(inner, outer), inner - outer])


def _mean(region: Region) -> Floats:
    """Return each channel's mean, NaN in an empty region."""
    if region.count == 0:
        return np.full(len(region.cell.pixels), np.nan)
    return region.moments[:, 1]


IN_RINGS = {name: DISTRIBUTION[name] for name in ("mean", "std", "quantile_95")}


@feature(family="intensity", per="channel", regions=RINGS, outputs=IN_RINGS)
def in_rings(region: Region) -> Floats:
    """Describe the intensity around the nucleus and inside the border, shape (channels, 3).

    Units: shares of the largest value the file format can hold. The rings are the parts of the
    cytoplasm within 2 µm (6 px where unknown) of the nucleus, or of the outside of the cell.

    Source: Loc-CAT (Human Protein Atlas), intensities by compartment.
    """
    upper = _quantiles(region.sorted_values, np.array([0.95]))
    return np.hstack([region.moments[:, 1:3], upper])


COMPARTMENTS = ("nucleus", "perinuclear", "cytoplasm", "periphery")
WORDS = {"perinuclear": "perinuclear ring", "periphery": "peripheral ring"}

RING_SHARES = {
    **{
        f"{ring}_share": Output(f"share of {{0}}'s intensity that lies in the {words}", invariances=SCALED)
        for ring, words in WORDS.items()
    },
    **{
        f"{one}_to_{other}": Output(
            f"Michelson contrast of {{0}}'s mean intensity between {WORDS.get(one, one)} and "
            f"{WORDS.get(other, other)}",
            invariances=SCALED,
        )
        for index, one in enumerate(COMPARTMENTS)
        for other in COMPARTMENTS[index + 1 :]
        if (one, other) != ("nucleus", "cytoplasm")
    },
}


@feature(family="intensity", per="channel", regions=CELL_REGIONS[:1], outputs=RING_SHARES)
def ring_shares(region: Region) -> Floats:
    """Compare each channel's intensity in nucleus, cytoplasm and two rings, shape (channels, 7).

    Units: none. The rings are the parts of the cytoplasm within 2 µm (6 px where unknown) of
    the nucleus and of the outside of the cell. NaN where a compartment has no pixel or both are black.

    Source: Newberg and Murphy 2008; Loc-CAT (Human Protein Atlas), shares of the protein by compartment.
    """
    parts = {name: region.cell.region(name) for name in COMPARTMENTS}
    means = {name: _mean(part) for name, part in parts.items()}
    total = region.totals
    out = [means[ring] * parts[ring].count / np.where(total > 0, total, np.nan) for ring in WORDS]
    for name in list(RING_SHARES)[len(WORDS) :]:
        one, other = name.split("_to_")
        out.append(michelson(means[one], means[other]))
    return np.column_stack(out)


@kernel
def median_deviation(ascending: Floats) -> Floats:
    """Return the median absolute deviation from the median of every row of sorted values, shape (channels,).

    Deviations grow to both sides of the median, so their middle is found by halving: how many of the
    smaller half lie on the left?
    """
    channels, count = ascending.shape
    out = np.empty(channels, np.float64)
    for channel in range(channels):
        row = ascending[channel]
        median = 0.5 * (row[(count - 1) // 2] + row[count // 2])
        middle, smaller = count // 2, count // 2 + 1
        least, most = max(0, smaller - (count - middle)), middle
        while least < most:
            left = (least + most) // 2
            if median - row[middle - 1 - left] < row[middle + smaller - left - 1] - median:
                least = left + 1
            else:
                most = left
        left, right = least, smaller - least
        below = median - row[middle - left] if left > 0 else -1.0
        above = row[middle + right - 1] - median if right > 0 else -1.0
        out[channel] = max(below, above)
        if count % 2 == 0:
            if below > above:
                below = median - row[middle - left + 1] if left > 1 else -1.0
            else:
                above = row[middle + right - 2] - median if right > 1 else -1.0
            out[channel] = 0.5 * (max(below, above) + out[channel])
    return out


@kernel
def level_entropy(ascending: Floats, levels: int) -> Floats:
    """Return the entropy in bits of every row's histogram of equal bins between its extremes.

    The maximum is in the last bin.
    """
    channels, count = ascending.shape
    out = np.zeros(channels, np.float64)
    for channel in range(channels):
        row = ascending[channel]
        low, high = row[0], row[count - 1]
        scale = levels / (high - low) if high > low else 0.0
        counts = np.zeros(levels, np.int64)
        for value in row:
            counts[min(int((value - low) * scale), levels - 1)] += 1
        for number in counts:
            if number > 0:
                out[channel] -= number / count * np.log2(number / count)
    return out


@kernel
def on_border(values: Floats, positions: Ints, mask: Mask) -> Floats:
    """Return mean and standard deviation of channels over pixels beside the outside, shape (channels, 2)."""
    outer = np.empty(values.shape[1], np.int64)
    count = 0
    for index in range(values.shape[1]):
        row, column = positions[0, index], positions[1, index]
        inside = mask[row - 1, column] and mask[row + 1, column]
        if not (inside and mask[row, column - 1] and mask[row, column + 1]):
            outer[count] = index
            count += 1
    out = np.empty((len(values), 2), np.float64)
    for channel in range(len(values)):
        amount, square = 0.0, 0.0
        for index in outer[:count]:
            amount += values[channel, index]
        mean = amount / count
        for index in outer[:count]:
            square += (values[channel, index] - mean) ** 2
        out[channel] = mean, np.sqrt(square / count)
    return out
