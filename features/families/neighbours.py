"""Neighbourhood: contact, crowding, and how a cell differs from the other cells of its field."""

import numpy as np

from features.cells import Region
from features.jit import Floats
from features.registry import LENGTH, OF_NEIGHBOURS, OVER_NEIGHBOURS, Output, dimensionless, feature, over

CONTACT = {
    "touching_share": Output(
        "share of the cell's outline that touches other cells", invariances=OF_NEIGHBOURS
    ),
    "count": Output("number of touching neighbours of the cell", invariances=OF_NEIGHBOURS),
    "nearest_nucleus": Output(
        "distance from the nucleus to the nearest other one, between centroids", LENGTH, OF_NEIGHBOURS
    ),
    "nearest_area_ratio": Output(
        "ratio of the smaller to the larger area of the nucleus and the nearest other one",
        invariances=OF_NEIGHBOURS,
    ),
    "nucleus_area_relative": Output("area of the nucleus over the field's median", invariances=OF_NEIGHBOURS),
}


@feature(family="neighbours", per="shape", regions=("cell",), outputs=CONTACT)
def contact(region: Region) -> Floats:
    """Measure contact with other cells and the likeness to the nearest one, shape (5,).

    Units: the distance is in µm where the pixel size is known, else px; the rest has none. Cells
    touch where their pixels share a side or a corner; the outline is what has other pixels of the
    picture around it. NaN, but for contact, without a nucleus; what compares with the nearest one
    also without another nucleus.

    Source: CellProfiler MeasureObjectNeighbors; a near nucleus of like size is a daughter's sign.
    """
    field, row = region.cell.surroundings, region.cell.row
    shares, counts = field.touching
    distances, rows = field.nearest
    areas = field.nucleus_areas
    pair = areas[[row, rows[row]]]
    ratio = pair.min() / pair.max() if np.isfinite(distances[row]) else np.nan
    relative = areas[row] / field.typical[2][0]
    return np.array([shares[row], counts[row], distances[row], ratio, relative])


LIKENESS = dimensionless(
    OVER_NEIGHBOURS,
    cell_relative="mean intensity of {0} in the cell over the median of the field's cells",
    nucleus_relative="mean intensity of {0} in the nucleus over the median of the field's nuclei",
    nearest_ratio="ratio of the smaller to the larger mean intensity of {0} in the nucleus and the nearest "
    "other one",
    bridge="mean intensity of {0} halfway to the nearest nucleus over the mean of both cells",
)


@feature(family="neighbours", per="channel", regions=("cell",), outputs=LIKENESS)
def likeness(region: Region) -> Floats:
    """Compare a cell's intensities with the field's and the nearest cell's, shape (channels, 4).

    Units: none. The spread of the first over a picture's cells is the cell-to-cell variation that
    the Human Protein Atlas annotates; a small nucleus with bright DNA stands out as mitotic; like
    nuclei with a bridge between them are daughters. Halfway is the middle third of the line between
    the nuclei's centres. NaN where a nucleus or another one is missing, or the channel is black.

    Source: Thul et al. 2017, "A subcellular map of the human proteome" (single-cell
    variation); this project.
    """
    field, row = region.cell.surroundings, region.cell.row
    distances, rows = field.nearest
    both = field.nucleus_means[[row, rows[row]]]
    alike = over(both.min(axis=0), both.max(axis=0))
    if np.isnan(distances[row]):
        alike = np.full_like(alike, np.nan)
    means = field.cell_means[[row, rows[row]]].mean(axis=0)
    return np.column_stack(
        [
            over(field.cell_means[row], field.typical[0]),
            over(field.nucleus_means[row], field.typical[1]),
            alike,
            over(field.bridges[row], means),
        ]
    )
