"""Nucleolus-like bodies: round parts of a micrometre and more in the nucleus, bright or poor in DNA."""

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell, Region
from features.kernels.bodies import body_numbers, large_parts, otsu_level
from features.planes import levels
from features.registry import AREA, GEOMETRY, Floats, Output, feature

GAIN = GEOMETRY | {"gain"}
SIGMA = 1
LEAST_UM, LEAST_PX = 0.9, 2.8
"""Side of the square of the smallest body's area, in micrometres or, if unknown, pixels."""
INNER = 2.0
"""What is poor in DNA within so many pixels of the envelope is the envelope's blur."""

OUTPUTS = {
    "count": Output("the number of bright bodies"),
    "area_share": Output("the share of the area in bright bodies"),
    "intensity_share": Output("the share of the intensity in bright bodies", invariances=GAIN),
    "mean_area": Output("the mean area of bright bodies", AREA),
    "largest_share": Output("the largest bright body's share of the area"),
    "elongation": Output("the mean eccentricity of bright bodies"),
    "contrast": Output("the contrast (a - b) / (a + b) of bright bodies and the rest", invariances=GAIN),
    "rim_contrast": Output("the contrast of rim and core of bright bodies", invariances=GAIN),
    "depth": Output("the mean depth below the envelope of bright bodies over that of the nucleus"),
    "spacing": Output("the distance from one bright body to the next over the nucleus' radius"),
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


def _described(region: Region, labels: NDArray[np.int32], found: int, channel: int) -> Floats:
    """Describe one channel's bodies."""
    cell = region.cell
    planes = (cell.pixels[channel], region.mask, cell.depth_in_nucleus)
    return body_numbers(labels, found, *(np.ascontiguousarray(plane[region.box]) for plane in planes))


IN_DNA_POOR = {
    "dna_poor_count": Output("the number of bodies poor in DNA"),
    "dna_poor_area_share": Output("the share of the nucleus in bodies poor in DNA"),
    "dna_poor_contrast": Output(
        "the contrast (a - b) / (a + b) of the protein in bodies poor in DNA and in the rest",
        invariances=GAIN,
    ),
    "dna_poor_rim_contrast": Output(
        "the contrast of the protein in rim and core of bodies poor in DNA", invariances=GAIN
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
