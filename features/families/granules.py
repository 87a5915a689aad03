"""Granules: dots, clumps, rings, rods and discs of the protein that stand out from all around them."""

import numpy as np

from features.cells import Cell, Region
from features.jit import Floats, Floats32, Ints, Mask, kernel
from features.kernels.components import local_maxima
from features.kernels.crops import at
from features.kernels.sums import in_order
from features.planes import smoothed
from features.registry import LENGTH, NONE, SCALED, Output, feature

DIRECTIONS = 16
TURNS = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
CIRCLE = np.column_stack([np.sin(TURNS), np.cos(TURNS)])
HALF_CIRCLE = np.column_stack([np.sin(TURNS / 2), np.cos(TURNS / 2)])
"""Directions all around, and those of lines, which have no ends; row and column, shape (16, 2)."""

DOT, CLUMP = (3.0, 1.5), (8.0, 3.0)
"""Radii, in pixels, of the circle that a dot or a clump is higher than, and of that which tells its width."""

RADII = np.array([2.0, 3.0, 4.0, 5.0, 6.0])
WALL = 3.0
"""Radii of rings, and how far outside of them their surroundings lie, in pixels."""

GAPS = 1
"""A ring may be interrupted in so many directions."""

HALF_ROD, LONGEST_HALF, FLANK = 4, 16, 3.0
"""A rod is bright for so many pixels either way, ends before so many, and is dark so far beside its axis."""

DISC_RADII = np.array([3.0, 4.0, 5.0, 6.0, 7.5])
WITHIN, BEYOND, EDGE = 0.65, 1.45, 0.15
"""Radii of discs in pixels; in units of these, where it and what is around are measured, half its edge."""

UNEVEN = 2
"""In so many directions a disc may be darker, and its surroundings brighter."""

TIMES = {"dot": 5.0, "clump": 5.0, "ring": 3.0, "rod": 3.0, "disc": 3.0}
"""How many times the noise they have to be high."""

BY_NUCLEUS, BY_BORDER = 2.0, 3.0
"""So near, in pixels, to the border of the nucleus or of the cell nothing counts as inside a part."""

STRONG = 0.4
LEAST = 1e-6
"""Noise below this is rounding: intensities lie in [0, 1]."""

WORDS = {
    "protein_dot_count": "number of dots of the protein",
    "protein_dot_share": "share of the protein's local maxima that are dots",
    "protein_dot_contrast": "mean height of the protein's dots over its mean intensity",
    "protein_dot_highest_contrast": "height of the protein's highest dot over its mean intensity",
    "protein_dot_strength": "height of the protein's highest dot over the noise",
    "protein_dot_width": "mean width of the protein's dots (share of their height lost within 1.5 px)",
    "protein_dot_variation": "coefficient of variation of the height of the protein's dots",
    "protein_dot_from_nucleus": "mean distance of the protein's dots to the nucleus",
    "protein_dot_nuclear_share": "share of the protein's dots that lie in the nucleus",
    "protein_dot_from_border": "mean distance of the protein's dots to the cell border",
    "protein_dot_strong_count": "number of the protein's dots at least 0.4 times as high as the highest",
    "protein_clump_count": "number of clumps of the protein",
    "protein_clump_contrast": "height of the protein's highest clump over its mean intensity",
    "protein_clump_strength": "height of the protein's highest clump over the noise",
    "protein_clump_width": "width of the protein's highest clump (share of its height lost within 3 px)",
    "protein_clump_from_nucleus": "distance of the protein's highest clump to the nucleus",
    "protein_ring_count": "number of rings of the protein",
    "protein_ring_contrast": "height of the protein's clearest ring over its mean intensity",
    "protein_ring_strength": "height of the protein's clearest ring over the noise",
    "protein_ring_radius": "radius of the protein's clearest ring",
    "protein_ring_dominance": "contrast of the protein's clearest ring over 1 + the number of rings",
    "protein_rod_count": "number of the protein's local maxima that lie on rods",
    "protein_rod_share": "share of the protein's local maxima that lie on rods",
    "protein_rod_contrast": "height of the protein's clearest rod over its mean intensity",
    "protein_rod_strength": "height of the protein's clearest rod over the noise",
    "protein_rod_length": "length of the protein's clearest rod",
    "protein_rod_dominance": "contrast of the protein's clearest rod over 1 + the number of maxima on rods",
    "protein_disc_count": "number of discs of the protein",
    "protein_disc_contrast": "height of the protein's clearest disc over its mean intensity",
    "protein_disc_strength": "height of the protein's clearest disc over the noise",
    "protein_disc_radius": "radius of the protein's clearest disc",
    "protein_disc_dominance": "contrast of the protein's clearest disc over 1 + the number of discs",
    "protein_disc_variation": "standard deviation within the protein's clearest disc over its mean height",
    "protein_disc_edge": "share of the height of the protein's clearest disc that is lost at its edge",
    "protein_disc_from_nucleus": "distance of the protein's clearest disc to the nucleus",
}

OUTPUTS = {
    name: Output(
        words, LENGTH if name.endswith(("_border", "from_nucleus", "_radius", "_length")) else NONE, SCALED
    )
    for name, words in WORDS.items()
}
IN_CYTOPLASM = {name: output for name, output in OUTPUTS.items() if name != "protein_dot_nuclear_share"}
IN_NUCLEUS = {name: output for name, output in IN_CYTOPLASM.items() if not name.endswith("from_nucleus")}


@feature(
    family="granules",
    resampled=True,
    per="shape",
    regions=("cell",),
    channels=("protein",),
    outputs=OUTPUTS,
    version=2,
)
def granules(region: Region) -> Floats:
    """Describe what of the protein stands out from all that surrounds it, shape (35,).

    Units: lengths are in µm where the pixel size is known, else px; the rest has none. The protein is
    smoothed by 1 px (for clumps, 2 px); its noise is the median absolute difference from itself smoothed by
    4 px. A dot is a local maximum higher than all of a circle of 3 px around it, a clump than all of one of
    8 px, by 5 times the noise: of membranes and fibres no point is, as they go on. A ring, of 2 to 6 px
    radius, lies around a local minimum, and is brighter in 15 of 16 directions than that and than the mean
    3 px outside; a rod is brighter along 4 px either way than 3 px beside it, and ends within 16 px. A disc,
    of 3 to 7.5 px radius, lies around a local maximum of the protein smoothed by 4 px; smoothed by 2 px, it
    is brighter at 0.65 of its radius than at 1.45 of it (the third lowest of 16 directions against the third
    highest). Its edge lies from 0.85 to 1.15 of the radius, and its variation is that within 0.85 of it.
    Rings, rods and discs are so by 3 times the noise. NaN: distances to the nucleus and the share in it
    without one; whatever describes a dot, clump, ring, rod or disc without one, but for contrast,
    strength and dominance, which are 0; everything in a flat cell.

    Source: this project, after Ricci and Perfetti 2007, "Retinal blood vessel segmentation using line
    operators and support vector classification" (here the lowest point of the line counts, so that rows of
    dots are none), and Kimme, Ballard and Sklansky 1975, "Finding circles by an array of accumulators".
    """
    return _described(region, region.mask, OUTPUTS)


@feature(
    family="granules",
    resampled=True,
    per="shape",
    regions=("cytoplasm",),
    channels=("protein",),
    outputs=IN_CYTOPLASM,
)
def granules_of_cytoplasm(region: Region) -> Floats:
    """Describe the `granules` of the cytoplasm by themselves, shape (34,).

    Units: as of `granules`. Only what lies more than 2 px from the nucleus and 3 px from the border of the
    cell counts, and mean intensity and noise are those there: a bright nucleus, an envelope or a membrane
    hides no dot of the cytoplasm. NaN as there, and where nothing lies so deep.

    Source: as of `granules`.
    """
    inner = (region.cell.from_nucleus > BY_NUCLEUS) & (region.cell.depth > BY_BORDER)
    return _described(region, inner, IN_CYTOPLASM)


@feature(
    family="granules",
    resampled=True,
    per="shape",
    regions=("nucleus",),
    channels=("protein",),
    outputs=IN_NUCLEUS,
)
def granules_of_nucleus(region: Region) -> Floats:
    """Describe the `granules` of the nucleus by themselves, shape (31,).

    Units: as of `granules`. Only what lies more than 2 px from its border counts, and mean intensity and
    noise are those there. NaN as there, and where nothing lies so deep.

    Source: as of `granules`.
    """
    return _described(region, region.cell.depth_in_nucleus > BY_NUCLEUS, IN_NUCLEUS)


def _described(region: Region, inner: Mask, outputs: dict[str, Output]) -> Floats:
    """Describe what lies in some of a region's pixels; the outputs are some of `OUTPUTS`."""
    cell, protein = region.cell, region.cell.channels.index("protein")
    there = inner[tuple(region.positions)]
    positions, values = region.positions[:, there], region.values[protein, there]
    if len(values) == 0:
        return np.full(len(outputs), np.nan)
    fine, coarse = (cell.once(smoothed, sigma)[protein] for sigma in (1, 4))
    mean = in_order(values) / len(values)
    noise = float(np.median(np.abs(at(fine, positions) - at(coarse, positions))))
    if noise <= LEAST or mean <= 0:
        return np.full(len(outputs), np.nan)
    inside = {k: _where(some, inner[tuple(some[0].T)]) for k, some in cell.once(_candidates).items()}
    maxima, scale = len(inside["dot"][0]), np.array([mean, noise])
    high = {k: _where(some, some[1][:, 0] > TIMES[k] * noise) for k, some in inside.items()}
    rods = high["rod"][1]
    numbers = [
        _of_dots(region, *high["dot"], maxima, scale),
        _of_clumps(region, *high["clump"], scale),
        _clearest(high["ring"][1], scale),
        _clearest(rods[rods[:, 1] > 0], scale, maxima),
        _clearest(high["disc"][1], scale),
        _of_discs(region, *high["disc"]),
    ]
    return np.concatenate(numbers)[[name in outputs for name in OUTPUTS]]


def _where(candidates: tuple[Ints, Floats], chosen: Mask) -> tuple[Ints, Floats]:
    """Return some of the points, and their numbers."""
    points, numbers = candidates
    return points[chosen], numbers[chosen]


def _candidates(cell: Cell) -> dict[str, tuple[Ints, Floats]]:
    """Return all points of a cell that may be dots, clumps, rings, rods or discs, and their numbers."""
    protein, mask = cell.channels.index("protein"), cell.whole.mask
    fine, middle, coarse = (cell.once(smoothed, sigma)[protein] for sigma in (1, 2, 4))
    tops, heaps = local_maxima(fine, mask, LEAST), local_maxima(middle, mask, LEAST)
    pits, bulges = local_maxima(-fine, mask, -np.inf), local_maxima(coarse, mask, LEAST)
    return {
        "dot": (tops, standing_out(fine, tops, *DOT)),
        "clump": (heaps, standing_out(middle, heaps, *CLUMP)),
        "ring": (pits, encircling(fine, pits)),
        "rod": (tops, elongated(fine, tops)),
        "disc": (bulges, filling(fine, middle, bulges)),
    }


def _of_dots(region: Region, points: Ints, dots: Floats, maxima: int, scale: Floats) -> Floats:
    """Return the first 11 outputs; `dots` are heights and widths, `scale` mean intensity and noise."""
    count, share = len(dots), len(dots) / maxima if maxima else np.nan
    if count == 0:
        return np.array([0, share, np.nan, 0, 0, *[np.nan] * 5, 0])
    heights, top = dots[:, 0], dots[:, 0].max()
    away = region.cell.from_nucleus[tuple(points.T)]
    known = np.isfinite(away).all()
    return np.array(
        [
            count,
            share,
            heights.mean() / scale[0],
            *(top / scale),
            dots[:, 1].mean(),
            heights.std() / heights.mean(),
            away.mean() if known else np.nan,
            (away == 0).mean() if known else np.nan,
            region.cell.depth[tuple(points.T)].mean(),
            (heights >= STRONG * top).sum(),
        ]
    )


def _of_clumps(region: Region, points: Ints, clumps: Floats, scale: Floats) -> Floats:
    """Return number, contrast, strength and width of the highest clump, and its distance to the nucleus."""
    if len(clumps) == 0:
        return np.array([0, 0, 0, np.nan, np.nan])
    (height, width), away = _highest(region, points, clumps)
    return np.array([len(clumps), *(height / scale), width, away])


def _of_discs(region: Region, points: Ints, discs: Floats) -> Floats:
    """Return variation and edge of the clearest disc, and its distance to the nucleus."""
    if len(discs) == 0:
        return np.full(3, np.nan)
    top, away = _highest(region, points, discs)
    return np.array([*top[2:], away])


def _highest(region: Region, points: Ints, numbers: Floats) -> tuple[Floats, float]:
    """Return the numbers of the highest point, and its distance to the nucleus, NaN without one."""
    top = int(numbers[:, 0].argmax())
    away = float(region.cell.from_nucleus[tuple(points[top])])
    return numbers[top], away if away < np.inf else np.nan


def _clearest(found: Floats, scale: Floats, maxima: int | None = None) -> Floats:
    """Return number (and its share), contrast, strength, size and dominance of the clearest one."""
    count = len(found)
    shares = [] if maxima is None else [count / maxima if maxima else np.nan]
    if count == 0:
        return np.array([0, *shares, 0, 0, np.nan, 0])
    top = found[found[:, 0].argmax()]
    return np.array([count, *shares, *(top[0] / scale), top[1], top[0] / scale[0] / (1 + count)])


@kernel
def value_at(plane: Floats32, row: float, column: float) -> float:
    """Interpolate a plane linearly; 0 outside it."""
    top, left = int(np.floor(row)), int(np.floor(column))
    if top < 0 or left < 0 or top + 1 >= plane.shape[0] or left + 1 >= plane.shape[1]:
        return 0.0
    down, right = row - top, column - left
    upper = (1.0 - right) * plane[top, left] + right * plane[top, left + 1]
    lower = (1.0 - right) * plane[top + 1, left] + right * plane[top + 1, left + 1]
    return float((1.0 - down) * upper + down * lower)


@kernel
def circle(plane: Floats32, row: int, column: int, radius: float, out: Floats) -> None:
    """Write the values on a circle, in the order of `CIRCLE`, shape (16,)."""
    for number in range(DIRECTIONS):
        down, right = CIRCLE[number]
        out[number] = value_at(plane, row + radius * down, column + radius * right)


@kernel
def standing_out(plane: Floats32, points: Ints, outer: float, inner: float) -> Floats:
    """Return how far points are above all of a circle, and their relative drop within it, shape (points, 2).

    The drop is that of the mean up to the inner circle over that up to the outer one; 1 for the narrowest.
    """
    out, around = np.zeros((len(points), 2)), np.empty(DIRECTIONS)
    for index in range(len(points)):
        row, column = points[index]
        here = float(plane[row, column])
        circle(plane, row, column, outer, around)
        out[index, 0], drop = here - around.max(), here - around.mean()
        circle(plane, row, column, inner, around)
        out[index, 1] = (here - around.mean()) / drop if drop > 0.0 else np.nan
    return out


@kernel
def encircling(plane: Floats32, points: Ints) -> Floats:
    """Return height and radius of the clearest ring around each point, shape (points, 2); 0 without one."""
    out, around = np.zeros((len(points), 2)), np.empty(DIRECTIONS)
    for index in range(len(points)):
        row, column = points[index]
        for radius in RADII:
            circle(plane, row, column, radius, around)
            lowest = np.sort(around)[GAPS]
            circle(plane, row, column, radius + WALL, around)
            height = lowest - max(float(plane[row, column]), around.mean())
            if height > out[index, 0]:
                out[index, 0], out[index, 1] = height, radius
    return out


@kernel
def elongated(plane: Floats32, points: Ints) -> Floats:
    """Return height and length of the rod that each point lies on, shape (points, 2); length 0 if endless."""
    out = np.zeros((len(points), 2))
    for index in range(len(points)):
        row, column = points[index]
        best = 0
        for number in range(DIRECTIONS):
            height = ridge_height(plane, row, column, HALF_CIRCLE[number])
            if height > out[index, 0]:
                out[index, 0], best = height, number
        if out[index, 0] > 0.0:
            floor = float(plane[row, column]) - max(0.5 * out[index, 0], 0.25 * float(plane[row, column]))
            out[index, 1] = extent(plane, row, column, HALF_CIRCLE[best], floor)
    return out


@kernel
def ridge_height(plane: Floats32, row: int, column: int, along: Floats) -> float:
    """Return how far the lowest point along a line is above the highest beside it."""
    down, right = along
    lowest, beside = np.inf, -np.inf
    for step in range(-HALF_ROD, HALF_ROD + 1):
        lowest = min(lowest, value_at(plane, row + step * down, column + step * right))
    for step in (1 - HALF_ROD, 0, HALF_ROD - 1):
        for side in (-FLANK, FLANK):
            value = value_at(plane, row + step * down + side * right, column + step * right - side * down)
            beside = max(beside, value)
    return lowest - beside


@kernel
def extent(plane: Floats32, row: int, column: int, along: Floats, floor: float) -> float:
    """Return for how long a line stays above a floor, in pixels; 0 where it does so to the limit."""
    down, right = along
    length = 0.0
    for way in (-1, 1):
        reach = HALF_ROD
        while (
            reach < LONGEST_HALF
            and value_at(plane, row + way * reach * down, column + way * reach * right) > floor
        ):
            reach += 1
        if reach == LONGEST_HALF:
            return 0.0
        length += reach
    return length


@kernel
def filling(fine: Floats32, middle: Floats32, points: Ints) -> Floats:
    """Return height, radius, variation and edge of the clearest disc at each point, shape (points, 4)."""
    out, around = np.zeros((len(points), 4)), np.empty(DIRECTIONS)
    for index in range(len(points)):
        row, column = points[index]
        outside = 0.0
        for radius in DISC_RADII:
            circle(middle, row, column, WITHIN * radius, around)
            lowest = np.sort(around)[UNEVEN]
            circle(middle, row, column, BEYOND * radius, around)
            height = lowest - np.sort(around)[DIRECTIONS - 1 - UNEVEN]
            if height > out[index, 0]:
                out[index, 0], out[index, 1], outside = height, radius, around.mean()
        if out[index, 0] > 0.0:
            radius = out[index, 1]
            mean, deviation = spread_within(fine, row, column, (1.0 - EDGE) * radius)
            circle(fine, row, column, (1.0 - EDGE) * radius, around)
            before = around.mean()
            circle(fine, row, column, (1.0 + EDGE) * radius, around)
            known = mean > outside
            out[index, 2] = deviation / (mean - outside) if known else np.nan
            out[index, 3] = (before - around.mean()) / (mean - outside) if known else np.nan
    return out


@kernel
def spread_within(plane: Floats32, row: int, column: int, radius: float) -> tuple[float, float]:
    """Return mean and standard deviation of the pixels within a radius; those outside the plane are 0."""
    total, square, count = 0.0, 0.0, 0
    reach = int(radius)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down * down + right * right <= radius * radius:
                value = value_at(plane, row + down, column + right)
                total += value
                square += value * value
                count += 1
    mean = total / count
    return mean, np.sqrt(max(square / count - mean * mean, 0.0))
