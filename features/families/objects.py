"""Things in a channel: bright bodies and spots, and where in the cell they lie."""

import cv2
import numpy as np

from features.cells import Cell, Region
from features.jit import Floats, Floats32, Ints, Mask, kernel
from features.kernels.components import components, elongation, euler_number, mean_spacing, object_sums
from features.kernels.distance import distance_to
from features.kernels.sums import centre_of_mass, in_order
from features.planes import band, brightest_place, interior, smoothed
from features.registry import AREA, GEOMETRY, LENGTH, PER_AREA, Output, feature

NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
BODY = 9
"""Numbers in a row of `bright_objects`."""

STRONG = 2.0
"""A spot is so many times as high as the spread of the difference."""

LEAST = 1e-6
"""A difference below this is rounding: intensities lie in [0, 1]."""

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
    bands = cell.once(smoothed, 1) - cell.once(smoothed, 2)
    spreads = np.sqrt(cell.once(band, 1, 2)[:, 0] / region.count)
    out = np.empty((len(bands), len(SPOTS)))
    for channel, (plane, spread) in enumerate(zip(bands, spreads, strict=True)):
        points = local_maxima(plane, cell.once(interior, 1), np.maximum(STRONG * spread, LEAST))
        out[channel] = spot_numbers(plane, points, spread, cell)
    return out


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


@kernel
def bright_objects(pixels: Floats32, mask: Mask, thresholds: Floats, totals: Floats, inside: int) -> Floats:
    """Find each channel's connected pixels above a threshold and describe them.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width), float32
    mask : ndarray, shape (height, width), bool
        With a margin of one pixel; of `inside` pixels, at least one.
    thresholds, totals : ndarray, shape (channels,), float64
        The thresholds, and the intensities of the mask's pixels summed up.

    Returns
    -------
    ndarray, shape (channels, 9), float64
        Count; share of the region's pixels and of its intensity in objects; mean and standard
        deviation of area; largest object's share of all objects' pixels; its elongation; mean
        brightness of objects over that of the rest; count minus holes. NaN where there is nothing to
        describe.
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


def local_maxima(plane: Floats32, inner: Mask, threshold: float) -> Ints:
    """Find pixels above a threshold and above all eight neighbours, which all lie in the mask.

    Parameters
    ----------
    plane : ndarray, shape (height, width), float32
    inner : ndarray, shape (height, width), bool
        Pixels whose neighbours all lie in the mask.

    Returns
    -------
    ndarray, shape (n, 2), int64
        Rows and columns.
    """
    return np.argwhere((plane > cv2.dilate(plane, NEIGHBOURS)) & (plane > threshold) & inner)


def spot_numbers(band: Floats32, points: Ints, spread: float, cell: Cell) -> Floats:
    """Describe one channel's spots.

    Parameters
    ----------
    band : ndarray, shape (height, width), float32
        The difference of two smoothings.
    points : ndarray, shape (n, 2), int64
        Its local maxima.
    spread : float
        Its root mean square.

    Returns
    -------
    ndarray, shape (9,), float64
        In the order of `SPOTS`; NaN without spots, but for the first two, and without a nucleus.
    """
    count = len(points)
    out = np.full(len(SPOTS), np.nan)
    out[:2] = count, count / cell.whole.count
    if count == 0:
        return out
    at = tuple(points.T)
    height, away, depth = band[at].astype(np.float64), cell.from_nucleus[at], cell.depth[at]
    top = height.argmax()
    out[2:4] = in_order(height) / count / spread, mean_spacing(points)
    out[5], out[8] = in_order(depth) / count, depth[top]
    if cell.region("nucleus").count:
        out[[4, 6, 7]] = in_order(away) / count, np.count_nonzero(away == 0) / count, away[top]
    return out


@kernel
def mean_within(near: float, values: Floats, positions: Ints, centre: Ints) -> float:
    """Return the mean intensity of pixels not farther than `near` from one; else as `mean_distances`."""
    count, amount = 0, 0.0
    for index in range(len(values)):
        if distance_to(positions, index, centre) <= near:
            count += 1
            amount += values[index]
    return amount / count
