"""Things in a channel: bright bodies and spots, and where in the cell they lie."""

import numpy as np

from features.cells import Region
from features.kernels.geometry import centre_of_mass
from features.kernels.objects import bright_objects
from features.kernels.places import mean_within
from features.kernels.spots import spot_numbers
from features.planes import band, brightest_place, smoothed
from features.registry import AREA, GEOMETRY, LENGTH, PER_AREA, Floats, Output, feature

GAIN = GEOMETRY | {"gain"}

BODIES = {
    "count": Output("the number of bright objects"),
    "area_share": Output("the share of the area in bright objects"),
    "intensity_share": Output("the share of the intensity in bright objects", invariances=GAIN),
    "mean_area": Output("the mean area of bright objects", AREA),
    "std_area": Output("the standard deviation of the area of bright objects", AREA),
    "largest_share": Output("the largest bright object's share of the area of all"),
    "largest_elongation": Output("the eccentricity of the largest bright object"),
    "contrast": Output("the mean intensity of bright objects over that of the rest", invariances=GAIN),
    "euler_number": Output("the number of bright objects minus their holes"),
}


@feature(
    family="objects",
    resampled=True,
    per="channel",
    regions=("cell", "nucleus"),
    outputs=BODIES,
    version=2,
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
    "spot_count": Output("the number of spots"),
    "spot_density": Output("the number of spots per area", PER_AREA),
    "spot_strength": Output("the mean height of spots over the spread of the spot filter"),
    "spot_spacing": Output("the mean distance from a spot to the next", LENGTH),
    "spot_from_nucleus": Output("the mean distance from spots to the nucleus", LENGTH),
    "spot_from_border": Output("the mean distance from spots to the border", LENGTH),
    "spot_nuclear_share": Output("the share of spots in the nucleus"),
    "brightest_from_nucleus": Output("the distance from the strongest spot to the nucleus", LENGTH),
    "brightest_from_border": Output("the distance from the strongest spot to the border", LENGTH),
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
        "the distance from the brightest microtubules to the nucleus", LENGTH
    ),
    "protein_from_microtubule_centre": Output(
        "the distance from the protein's centre of mass to the brightest microtubules", LENGTH, GAIN
    ),
    "protein_near_microtubule_centre": Output(
        "the mean intensity of the protein within 2 µm of the brightest microtubules over that of the whole",
        invariances=GAIN,
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
    centre = cell.once(brightest_place, "microtubules")
    away = cell.from_nucleus[tuple(centre)] if cell.region("nucleus").count else np.nan
    if total <= 0:
        return np.array([away, np.nan, np.nan])
    values = region.values[protein : protein + 1]
    mass = centre_of_mass(values, region.positions)[0]
    near = mean_within(cell.in_pixels(NEAR_UM, NEAR_PX), values[0], region.positions, centre)
    return np.array([away, np.hypot(*(mass - centre)), near * region.count / total])
