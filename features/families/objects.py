"""Objects: bright objects and spots, their number, size and position in the cell."""

import numpy as np

from features.cells import Region
from features.jit import Floats, Floats32, Mask, kernel
from features.kernels.components import (
    components,
    elongation,
    euler_number,
    local_maxima,
    mean_spacing,
    object_sums,
)
from features.kernels.distance import distances_to
from features.kernels.sums import centre_of_mass, in_order
from features.planes import band, brightest_position, smoothed
from features.registry import AREA, LENGTH, PER_AREA, SCALED, Output, feature

BODY = 9
"""Numbers in a row of `bright_objects`."""

SPOT_NUMBERS = 9
STRONG = 2.0
"""A spot is so many times as high as the spread of the difference."""

LEAST = 1e-6
"""A difference below this is rounding: intensities lie in [0, 1]."""

BODIES = {
    "count": Output("number of bright objects"),
    "area_share": Output("share of the area in bright objects"),
    "intensity_share": Output("share of {0}'s intensity in its bright objects {where}", invariances=SCALED),
    "mean_area": Output("mean area of bright objects", AREA),
    "std_area": Output("standard deviation of the area of bright objects", AREA),
    "largest_share": Output("share of the area of bright objects in the largest one"),
    "largest_elongation": Output("eccentricity of the largest bright object"),
    "contrast": Output("mean intensity of bright objects over that of the background", invariances=SCALED),
    "euler_number": Output("Euler number (objects minus holes) of bright objects"),
}


@feature(
    family="objects", resampled=True, per="channel", regions=("cell", "nucleus"), outputs=BODIES, version=2
)
def bodies(region: Region) -> Floats:
    """Describe each channel's bright objects: in the nucleus, nucleolus-like ones, shape (channels, 9).

    Units: areas are in µm² where the pixel size is known, else px²; the rest has none. Objects are
    8-connected pixels above Otsu's threshold of the region's intensities. A flat region has none,
    and all but their count and Euler number is NaN; the contrast is NaN where the rest is black.

    Source: Boland and Murphy 2001 (SLF1.1 to 1.8: number, Euler number and sizes of fluorescent objects);
    rods and rings show as elongated objects and as holes.
    """
    return bright_objects(region.cell.pixels, region.mask, region.otsu, region.totals, region.count)


SPOTS = {
    "spot_count": Output("number of spots"),
    "spot_density": Output("density of spots (number per area)", PER_AREA),
    "spot_strength": Output(
        "mean height of spots over the standard deviation of the difference of Gaussians"
    ),
    "spot_spacing": Output("mean nearest-neighbour distance of spots", LENGTH),
    "spot_from_nucleus": Output("mean distance of {0}'s spots to the nucleus", LENGTH),
    "spot_from_border": Output("mean distance of {0}'s spots to the cell border", LENGTH),
    "spot_nuclear_share": Output("share of {0}'s spots that lie in the nucleus"),
    "brightest_from_nucleus": Output("distance of {0}'s strongest spot to the nucleus", LENGTH),
    "brightest_from_border": Output("distance of {0}'s strongest spot to the cell border", LENGTH),
}


@feature(family="objects", resampled=True, per="channel", regions=("cell",), outputs=SPOTS, version=2)
def spots(region: Region) -> Floats:
    """Describe each channel's spots, shape (channels, 9).

    Units: lengths are in µm where the pixel size is known, else px (densities per µm² or px²); the
    rest has none. A spot is a local maximum of the difference of Gaussians of 1 and 2 px, more than 2 of
    its standard deviations high. Everything but count and density is NaN without spots, the
    spacing with one; distances to the nucleus and the share in it without a nucleus.

    Source: Lindeberg 1998, "Feature detection with automatic scale selection" (differences of
    Gaussians), at one scale.
    """
    cell = region.cell
    planes = (cell.once(smoothed, 1), cell.once(smoothed, 2))
    spreads = np.sqrt(cell.once(band, 1, 2)[:, 0] / region.count)
    return spot_numbers(planes, region.mask, spreads, cell.depth, cell.from_nucleus)


CENTRE = {
    "microtubule_centre_from_nucleus": Output(
        "distance of the microtubule organising centre to the nucleus", LENGTH
    ),
    "protein_from_microtubule_centre": Output(
        "distance of the protein's centre of mass to the microtubule organising centre", LENGTH, SCALED
    ),
    "protein_near_microtubule_centre": Output(
        "mean intensity of the protein within 2 µm of the microtubule organising centre, over the cell's",
        invariances=SCALED,
    ),
}

NEAR_UM, NEAR_PX = 2.0, 6.0


@feature(
    family="objects",
    resampled=True,
    per="shape",
    regions=("cell",),
    channels=("microtubules", "protein"),
    outputs=CENTRE,
    version=2,
)
def microtubule_centre(region: Region) -> Floats:
    """Measure where the protein lies from the microtubule organising centre, shape (3,).

    Units: lengths are in µm where the pixel size is known, else px; "near" is within 2 µm (6 px where
    unknown); the ratio has none. The centre is taken to be the brightest pixel of the microtubules smoothed
    by 2 px. NaN where microtubules are flat, the protein is black or, for the first, the cell has no
    nucleus.

    Source: Newberg and Murphy 2008 (distances to reference structures); Li et al. 2012, "Estimating
    microtubule distributions from 2D immunofluorescence microscopy images" (brightest smoothed pixel).
    """
    cell = region.cell
    tubules, protein = (cell.channels.index(name) for name in ("microtubules", "protein"))
    total = region.totals[protein]
    if region.moments[tubules, 2] == 0:
        return np.full(3, np.nan)
    centre = cell.once(brightest_position, "microtubules")
    away = cell.from_nucleus[tuple(centre)] if cell.region("nucleus").count else np.nan
    if total <= 0:
        return np.array([away, np.nan, np.nan])
    values = region.values[protein : protein + 1]
    mass = centre_of_mass(values, region.positions)[0]
    near = values[0, distances_to(region.positions, centre) <= cell.in_pixels(NEAR_UM, NEAR_PX)]
    return np.array([away, np.hypot(*(mass - centre)), in_order(near) / len(near) * region.count / total])


@kernel
def bright_objects(pixels: Floats32, mask: Mask, thresholds: Floats, totals: Floats, inside: int) -> Floats:
    """Find each channel's connected pixels above a threshold and describe them, in the order of `BODIES`.

    The mask has `inside` pixels, at least one. NaN where there is nothing to describe.
    """
    height, width = mask.shape
    out = np.full((len(pixels), BODY), np.nan)
    bright = np.empty((height, width), np.bool_)
    for channel in range(len(pixels)):
        for row in range(height):
            here, within, above = pixels[channel, row], mask[row], bright[row]
            for column in range(width):
                above[column] = within[column] & (here[column] > thresholds[channel])
        labels, count = components(bright)
        numbers, total = out[channel], totals[channel]
        numbers[0], numbers[8] = count, euler_number(bright)
        if count == 0:
            continue
        sums = object_sums(labels, count, pixels[channel])
        areas = sums[:, 0]
        area, amount = areas.sum(), sums[:, 6].sum()
        largest = int(np.argmax(areas))
        numbers[1], numbers[2] = area / inside, amount / total if total > 0.0 else np.nan
        numbers[3] = area / count
        numbers[4] = np.sqrt(max(0.0, (areas * areas).sum() / count - (area / count) ** 2))
        numbers[5], numbers[6] = areas[largest] / area, elongation(sums[largest])
        if inside > area and total > amount:
            numbers[7] = (amount / area) / ((total - amount) / (inside - area))
    return out


@kernel
def spot_numbers(
    planes: tuple[Floats32, Floats32], mask: Mask, spreads: Floats, depth: Floats, away: Floats
) -> Floats:
    """Describe each channel's spots, in the order of `SPOTS`.

    Spots are maxima of the difference of a finer and a coarser smoothing, the `planes`, that are `STRONG`
    times as high as its root mean square, `spreads`. `depth` and `away` are distances to the border and to
    the nucleus; the latter is infinite without a nucleus.
    """
    finer, coarser = planes
    channels = len(finer)
    out = np.full((channels, SPOT_NUMBERS), np.nan)
    inside = np.count_nonzero(mask)
    for channel in range(channels):
        band = finer[channel] - coarser[channel]
        points = local_maxima(band, mask, max(STRONG * spreads[channel], LEAST))
        count = len(points)
        numbers = out[channel]
        numbers[0], numbers[1] = count, count / inside
        if count == 0:
            continue
        top, height, far, deep, within = 0, 0.0, 0.0, 0.0, 0
        for index in range(count):
            row, column = points[index]
            height += band[row, column]
            far += away[row, column]
            deep += depth[row, column]
            within += 1 if away[row, column] == 0.0 else 0
            if band[row, column] > band[points[top, 0], points[top, 1]]:
                top = index
        numbers[2], numbers[3] = height / count / spreads[channel], mean_spacing(points)
        numbers[5], numbers[8] = deep / count, depth[points[top, 0], points[top, 1]]
        if far < np.inf:
            numbers[4], numbers[6] = far / count, within / count
            numbers[7] = away[points[top, 0], points[top, 1]]
    return out
