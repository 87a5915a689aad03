"""Nucleoli: nucleolus-like bodies in the nucleus, bright in a channel or poor in DNA."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell, Region
from features.jit import Floats, Floats32, Ints32, Mask, kernel
from features.kernels.components import elongation, large_parts, mean_spacing, object_sums
from features.planes import LEVELS, levels
from features.registry import AREA, SCALED, Output, dimensionless, feature

BODY_NUMBERS = 10
SIGMA = 1
LEAST_UM, LEAST_PX = 0.9, 2.8
"""Side of the square of the smallest body's area, in micrometres or, if unknown, pixels."""

INNER = 2.0
"""What is poor in DNA within so many pixels of the envelope is the envelope's blur."""

OUTPUTS = {
    "count": Output("number of nucleolus-like bodies"),
    "area_share": Output("share of the nuclear area in nucleolus-like bodies of {0}"),
    "intensity_share": Output(
        "share of {0}'s nuclear intensity in its nucleolus-like bodies", invariances=SCALED
    ),
    "mean_area": Output("mean area of nucleolus-like bodies", AREA),
    "largest_share": Output("share of the nuclear area in the largest nucleolus-like body of {0}"),
    "elongation": Output("mean eccentricity of nucleolus-like bodies"),
    **dimensionless(
        SCALED,
        contrast="Michelson contrast of {0} between its nucleolus-like bodies and the rest of the nucleus",
        rim_contrast="Michelson contrast of {0} between rim and core of its nucleolus-like bodies",
    ),
    **dimensionless(
        depth="mean depth of {0}'s nucleolus-like bodies below the nuclear envelope over that of the nucleus",
        spacing="mean nearest-neighbour distance of {0}'s nucleolus-like bodies over the nuclear radius",
    ),
}


@feature(family="nucleoli", resampled=True, per="channel", regions=("nucleus",), outputs=OUTPUTS, version=2)
def bright_bodies(region: Region) -> Floats:
    """Describe the nucleolus-like bodies that are bright in each channel, shape (channels, 10).

    Units: areas are in µm² where the pixel size is known, else px²; the rest has none. Bodies are
    8-connected, above Otsu's threshold of the nucleus (smoothed by 1 px, 256 levels between its
    extremes), and of at least 0.8 µm² (8 px² where unknown). The rim is the second layer of their pixels
    (the first is blurred), the core what lies deeper; contrasts are (a - b) / (a + b) of mean
    intensities. NaN, but for count and share of area, without a body; the spacing with one; contrasts
    where a side has no pixel or both are black.

    Source: Boland and Murphy 2001 (objects); Thul et al. 2017 (nucleoli, their rims and fibrillar centres as
    locations); this project.
    """
    planes = region.cell.once(levels, SIGMA, region.name)
    out = np.empty((len(planes), len(OUTPUTS)))
    for channel, plane in enumerate(planes):
        labels, found = large_parts(plane >= otsu_level(plane), _least(region.cell))
        out[channel] = _described(region, labels, found, channel)
    return out


def _described(region: Region, labels: Ints32, found: int, channel: int) -> Floats:
    """Describe one channel's bodies."""
    cell = region.cell
    planes = (cell.pixels[channel], region.mask, cell.depth_in_nucleus)
    return body_numbers(labels, found, *(np.ascontiguousarray(plane[region.box]) for plane in planes))


IN_DNA_POOR = {
    "dna_poor_count": Output("number of DNA-poor bodies in the nucleus"),
    "dna_poor_area_share": Output("share of the nuclear area in DNA-poor bodies"),
    **dimensionless(
        SCALED,
        dna_poor_contrast="Michelson contrast of the protein between DNA-poor bodies and the rest of the "
        "nucleus",
        dna_poor_rim_contrast="Michelson contrast of the protein between rim and core of DNA-poor bodies",
    ),
}


@feature(
    family="nucleoli",
    resampled=True,
    per="shape",
    regions=("nucleus",),
    channels=("nucleus", "protein"),
    outputs=IN_DNA_POOR,
)
def poor_in_dna(region: Region) -> Floats:
    """Measure the protein in bodies of the nucleus that are poor in DNA, shape (4,).

    Units: none. Nucleoli show as holes in the DNA: 8-connected pixels below Otsu's threshold of the smoothed
    DNA, more than 2 px inside the envelope, of at least 0.8 µm² (8 px² where unknown). NaN as in
    `bright_bodies`.

    Source: Newberg and Murphy 2008 (relation to the DNA); this project.
    """
    cell = region.cell
    dna, protein = (cell.channels.index(name) for name in ("nucleus", "protein"))
    plane = cell.once(levels, SIGMA, region.name)[dna]
    deep = cell.depth_in_nucleus[region.box] > INNER
    labels, found = large_parts((plane > 0) & (plane < otsu_level(plane)) & deep, _least(cell))
    return _described(region, labels, found, protein)[[0, 1, 6, 7]]


def _least(cell: Cell) -> float:
    """Return the area in pixels from which a part is a body."""
    return cell.in_pixels(LEAST_UM, LEAST_PX) ** 2


@kernel
def otsu_level(levels: NDArray[np.int16]) -> int:
    """Return the lowest of the bright levels by Otsu's criterion; 257 where there is one level only."""
    counts = np.zeros(LEVELS + 1, np.float64)
    for level in levels.ravel():
        counts[level] += 1.0
    count, total = 0.0, 0.0
    for level in range(1, LEVELS + 1):
        count += counts[level]
        total += counts[level] * level
    best, chosen, below, lower = 0.0, LEVELS + 1, 0.0, 0.0
    for level in range(1, LEVELS):
        lower += counts[level]
        below += counts[level] * level
        if counts[level] > 0.0 and lower < count:
            gap = below / lower - (total - below) / (count - lower)
            between = lower * (count - lower) * gap * gap
            if between > best:
                best, chosen = between, level + 1
    return chosen


@kernel
def _inside(labels: Ints32) -> Mask:
    """Mark pixels of objects whose four side neighbours belong to the same one."""
    height, width = labels.shape
    out = np.zeros((height, width), np.bool_)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            label = labels[row, column]
            across = labels[row, column - 1] == label and labels[row, column + 1] == label
            down = labels[row - 1, column] == label and labels[row + 1, column] == label
            out[row, column] = label > 0 and across and down
    return out


@kernel
def body_numbers(labels: Ints32, found: int, plane: Floats32, mask: Mask, depth: Floats) -> Floats:
    """Describe `found` bodies inside a mask that is not empty, in the order of `OUTPUTS`.

    `depth` is that of every pixel below the mask's border. The rim is the second layer of the bodies' pixels,
    the core what lies deeper. NaN where there is nothing to describe.
    """
    out = np.full(BODY_NUMBERS, np.nan)
    inside, amount, deep = 0.0, 0.0, 0.0
    body, body_amount, body_deep = 0.0, 0.0, 0.0
    rim, rim_amount, core, core_amount = 0.0, 0.0, 0.0, 0.0
    height, width = mask.shape
    inner = _inside(labels)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            if not mask[row, column]:
                continue
            value = float(plane[row, column])
            inside += 1.0
            amount += value
            deep += depth[row, column]
            label = labels[row, column]
            if label == 0:
                continue
            body += 1.0
            body_amount += value
            body_deep += depth[row, column]
            if not inner[row, column]:
                continue
            across = inner[row, column - 1] and inner[row, column + 1]
            if across and inner[row - 1, column] and inner[row + 1, column]:
                core += 1.0
                core_amount += value
            else:
                rim += 1.0
                rim_amount += value
    out[0], out[1] = found, body / inside
    if found == 0:
        return out
    sums = object_sums(labels, found, plane)
    out[2] = body_amount / amount if amount > 0.0 else np.nan
    out[3], out[4] = body / found, sums[:, 0].max() / inside
    lengths = 0.0
    for one in range(found):
        lengths += elongation(sums[one])
    out[5] = lengths / found
    out[6] = _contrast(body_amount, body, amount - body_amount, inside - body)
    out[7] = _contrast(rim_amount, rim, core_amount, core)
    out[8] = body_deep / body / (deep / inside)
    out[9] = mean_spacing(sums[:, 1:3] / sums[:, :1]) / np.sqrt(inside / np.pi)
    return out


@kernel
def _contrast(one: float, one_count: float, other: float, other_count: float) -> float:
    """Return (a - b) / (a + b) of two means, NaN where one has no pixel or both are black."""
    if one_count <= 0.0 or other_count <= 0.0:
        return np.nan
    a, b = one / one_count, max(0.0, other / other_count)
    return (a - b) / (a + b) if a + b > 0.0 else np.nan
