"""Cell division: mitotic nuclei, pairs of daughter cells, and cytokinetic bridges between them."""

import numpy as np

from features.cells import Region
from features.jit import Floats
from features.registry import OF_NEIGHBOURS, OVER_NEIGHBOURS, dimensionless, feature, michelson, over
from features.surroundings import SAMPLES, profile

PAIR = dimensionless(
    OF_NEIGHBOURS,
    mutual="whether the nucleus and the nearest other one are mutual nearest neighbours (1) or not (0)",
    gap="distance between the centroids of the nucleus and the nearest other one over the sum of their radii",
    parallel="alignment of the long axes of the nucleus and the nearest one: parallel (1) to perpendicular "
    "(-1)",
    facing="long axes of the nucleus and the nearest one: side by side (1), as daughters', to in line (-1)",
)


@feature(family="division", per="shape", regions=("cell",), outputs=PAIR)
def daughters(region: Region) -> Floats:
    """Say whether a nucleus and the nearest one lie like those of daughter cells, shape (4,).

    Units: none. Daughters are each other's nearest, close, and their long axes parallel and across the line
    between them (plates of anaphase and telophase): cosines of doubled angles between the axes, and
    minus their mean to the line. NaN without a nucleus or another one, and for round ones.

    Source: this project; shapes of late mitosis as annotated by the Human Protein Atlas (cytokinetic bridge,
    mitotic spindle).
    """
    field, row = region.cell.surroundings, region.cell.row
    distances, rows = field.nearest
    other = rows[row]
    if np.isnan(distances[row]):
        return np.full(4, np.nan)
    mutual = float(rows[other] == row)
    radii = np.sqrt(field.nucleus_areas[[row, other]] / np.pi)
    one, two = field.nucleus_axes[[row, other]]
    down, right = field.nucleus_centres[other] - field.nucleus_centres[row]
    squared = down**2 + right**2
    line = np.array([right**2 - down**2, 2 * right * down]) / squared if squared > 0 else np.full(2, np.nan)
    return np.array([mutual, distances[row] / radii.sum(), one @ two, -(one + two) @ line / 2])


DNA = dimensionless(
    OVER_NEIGHBOURS,
    dna_content="integrated DNA intensity of the nucleus over the field's median",
    condensation="chromatin condensation: mean DNA intensity over nuclear area, both over the field's median",
    dna_likeness="ratio of the smaller to the larger integrated DNA intensity of the nucleus and the nearest "
    "one",
)


@feature(family="division", per="shape", regions=("cell",), channels=("nucleus",), outputs=DNA)
def mitosis(region: Region) -> Floats:
    """Measure how much DNA a nucleus holds and how condensed it is among the field's, shape (3,).

    Units: none. Twice the field's content and strongly condensed is mitotic; half of it in two like
    neighbours, daughters. NaN without a nucleus, where it or most of the
    field's are black, and the likeness without another nucleus.

    Source: this project; Held et al. 2010, "CellCognition" (mitotic nuclei: small, bright, smooth).
    """
    cell = region.cell
    field, row = cell.surroundings, cell.row
    dna = cell.channels.index("nucleus")
    areas, means = field.nucleus_areas, field.nucleus_means[:, dna]
    total = areas * means
    table = np.array([total, means, areas])
    usual = np.median(table[:, np.isfinite(areas)], axis=1) if total[row] > 0 else np.zeros(3)
    if not usual.all():
        return np.full(3, np.nan)
    content, mean, area = table[:, row] / usual
    distances, rows = field.nearest
    both = total[[row, rows[row]]]
    likeness = both.min() / both.max() if np.isfinite(distances[row]) else np.nan
    return np.array([content, mean / area, likeness])


BRIDGE = dimensionless(
    OVER_NEIGHBOURS,
    bridge_peak="peak intensity of {0} halfway to the nearest nucleus over the mean of both cells",
    bridge_contrast="Michelson contrast of {0} between the line to the nearest nucleus and its flanks",
)

FLANK_UM, FLANK_PX = 2.0, 6.0


@feature(family="division", per="channel", regions=("cell",), outputs=BRIDGE)
def bridge(region: Region) -> Floats:
    """Look for something narrow between a nucleus and the nearest one, shape (channels, 2).

    Units: none. Intensities along the middle third of the line between the nuclei's centres, and on lines 2
    µm (6 px where unknown) to both sides: a bridge is brighter than its flanks, its midbody a peak. NaN
    without a nucleus or another one, and where the channel is black.

    Source: this project; cytokinetic bridge and midbody as annotated by the Human Protein Atlas.
    """
    cell = region.cell
    field, row = cell.surroundings, cell.row
    distances, rows = field.nearest
    if np.isnan(distances[row]):
        return np.full((len(cell.pixels), 2), np.nan)
    other = rows[row]
    start, end = ((float(y), float(x)) for y, x in field.nucleus_centres[[row, other]])
    aside = cell.in_pixels(FLANK_UM, FLANK_PX)
    line, left, right = (
        profile(field.pixels, start, end, offset, SAMPLES) for offset in (0.0, -aside, aside)
    )
    means = field.cell_means[[row, other]].mean(axis=0)
    flanks = (left.mean(axis=1) + right.mean(axis=1)) / 2
    return np.column_stack([over(line.max(axis=1), means), michelson(line.mean(axis=1), flanks)])
