"""Morphology: size and shape of the cell, its nucleus and its cytoplasm."""

import numpy as np

from features.cells import CELL_REGIONS, Cell, Region
from features.jit import Floats, Ints, Mask, kernel
from features.kernels.components import euler_number
from features.registry import AREA, GEOMETRY, LENGTH, Output, feature

# Length of a border pixel by the number of its side (2 each) and corner (10 each) neighbours on the
# border: Benkrid and Crookes' table, as in scikit-image.
_STEP = np.zeros(50)
_STEP[[5, 7, 15, 17, 25, 27]] = 1.0
_STEP[[21, 33]] = np.sqrt(2.0)
_STEP[[13, 23]] = (1.0 + np.sqrt(2.0)) / 2.0
TURNED = frozenset({"translation", "gain", "offset", "rotation", "neighbours"})
"""Hu's seventh moment changes its sign in the mirror: all else, not flips, leave it alone."""

SIZE_AND_SHAPE = {
    "area": Output("area", AREA),
    "perimeter": Output("perimeter", LENGTH),
    "major_axis": Output("major axis length (of the ellipse of equal second moments)", LENGTH),
    "minor_axis": Output("minor axis length (of the ellipse of equal second moments)", LENGTH),
    "eccentricity": Output("eccentricity (of the ellipse of equal second moments)"),
    "solidity": Output("solidity (area over that of the convex hull)"),
    "extent": Output("extent (area over that of the bounding box)"),
    "form_factor": Output("form factor (4 pi area / perimeter^2)"),
    "equivalent_diameter": Output("equivalent diameter (of the disc of equal area)", LENGTH),
    "feret_max": Output("maximum Feret diameter", LENGTH),
    "feret_min": Output("minimum Feret diameter", LENGTH),
    "euler_number": Output("Euler number (objects minus holes)"),
    **{
        f"hu_{order}": Output(
            f"Hu moment invariant {order}", invariances=TURNED | (GEOMETRY if order < 7 else TURNED)
        )
        for order in range(1, 8)
    },
}


@feature(family="morphology", per="shape", outputs=SIZE_AND_SHAPE)
def size_and_shape(region: Region) -> Floats:
    """Measure a region's outline and moments, shape (19,).

    Units: lengths in µm and areas in µm² where the pixel size is known, else px and px²; the rest
    has none. The perimeter is that of the border pixels' centres (0 for one pixel, where the form
    factor is NaN); the hull goes through the middles of the pixels' sides, so a pixel has Feret
    diameter 1. A region of one pixel has axes of length 0 and undefined (NaN) eccentricity.

    Source: scikit-image `regionprops` conventions; Hu 1962, "Visual pattern recognition by moment
    invariants"; Feret diameters by rotating the convex hull.
    """
    area = float(region.count)
    length = perimeter(region.mask)
    hull_area, feret_max, feret_min = hull_numbers(convex_hull(region.mask))
    box = np.prod([side.stop - side.start - 2 for side in region.box])
    moments = central_moments(region.positions)
    spread = np.hypot(moments[2, 0] - moments[0, 2], 2 * moments[1, 1])
    long = max((moments[2, 0] + moments[0, 2] + spread) / (2 * area), 0.0)
    short = max((moments[2, 0] + moments[0, 2] - spread) / (2 * area), 0.0)
    return np.array(
        [
            area,
            length,
            4 * np.sqrt(long),
            4 * np.sqrt(short),
            np.sqrt(1 - short / long) if long > 0 else np.nan,
            area / hull_area,
            area / box,
            4 * np.pi * area / length**2 if length > 0 else np.nan,
            np.sqrt(4 * area / np.pi),
            feret_max,
            feret_min,
            euler_number(region.mask),
            *_hu(moments),
        ]
    )


def _hu(moments: Floats) -> Floats:
    """Return Hu's seven invariants of central moments, shape (7,)."""
    order = np.add.outer(np.arange(4), np.arange(4))
    n = moments / moments[0, 0] ** (1 + order / 2)
    a, b = n[3, 0] + n[1, 2], n[2, 1] + n[0, 3]
    c, d = n[3, 0] - 3 * n[1, 2], 3 * n[2, 1] - n[0, 3]
    difference, twice = n[2, 0] - n[0, 2], 2 * n[1, 1]
    return np.array(
        [
            n[2, 0] + n[0, 2],
            difference**2 + twice**2,
            c**2 + d**2,
            a**2 + b**2,
            c * a * (a**2 - 3 * b**2) + d * b * (3 * a**2 - b**2),
            difference * (a**2 - b**2) + 2 * twice * a * b,
            d * a * (a**2 - 3 * b**2) - c * b * (3 * a**2 - b**2),
        ]
    )


NUCLEUS_IN_CELL = {
    "nucleus_share": Output("share of the cell's area that is nucleus"),
    "nucleus_offset": Output("distance between the centroids of the cell and its nucleus", LENGTH),
    "nucleus_eccentric_position": Output(
        "distance between the centroids of the cell and its nucleus over the cell's radius"
    ),
    "nucleus_margin": Output("shortest distance from the nucleus to the cell border", LENGTH),
}


@feature(family="morphology", per="shape", regions=CELL_REGIONS[:1], outputs=NUCLEUS_IN_CELL)
def nucleus_in_cell(region: Region) -> Floats:
    """Measure how large the nucleus is and where in the cell it lies, shape (4,).

    Units: lengths in µm where the pixel size is known, else px; shares have none. All but the share
    are NaN for a cell without nucleus. The radius is that of the disc of the cell's area; the margin
    is the smallest distance of a nucleus pixel to a pixel outside the cell.

    Source: Boland and Murphy 2001, "A neural network classifier capable of recognizing the patterns
    of all major subcellular structures" (features of the DNA's relation to the cell).
    """
    cell: Cell = region.cell
    nucleus = cell.region("nucleus")
    share = nucleus.count / region.count
    if nucleus.count == 0:
        return np.array([share, np.nan, np.nan, np.nan])
    offset = float(np.hypot(*(region.centre - nucleus.centre)))
    radius = np.sqrt(region.count / np.pi)
    return np.array([share, offset, offset / radius, cell.depth[nucleus.mask].min()])


@kernel
def central_moments(positions: Ints) -> Floats:
    """Return the sums of (row - mean)^p (column - mean)^q over positions, shape (4, 4); 0 where p + q > 3."""
    count = positions.shape[1]
    mean_row, mean_column = positions[0].sum() / count, positions[1].sum() / count
    out = np.zeros((4, 4), np.float64)
    for index in range(count):
        down, right = positions[0, index] - mean_row, positions[1, index] - mean_column
        out[2, 0] += down * down
        out[1, 1] += down * right
        out[0, 2] += right * right
        out[3, 0] += down * down * down
        out[2, 1] += down * down * right
        out[1, 2] += down * right * right
        out[0, 3] += right * right * right
    out[0, 0] = count
    return out


@kernel
def border(mask: Mask) -> Mask:
    """Mark the pixels of a mask that have a side neighbour outside it; the mask has a margin of one pixel."""
    height, width = mask.shape
    out = np.zeros((height, width), np.bool_)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            inside = mask[row - 1, column] and mask[row + 1, column]
            inside = inside and mask[row, column - 1] and mask[row, column + 1]
            out[row, column] = mask[row, column] and not inside
    return out


@kernel
def perimeter(mask: Mask) -> float:
    """Measure the length of the border in pixels.

    Source: Benkrid and Crookes 2000, "Design and FPGA implementation of a perimeter estimator".
    """
    edge = border(mask)
    height, width = mask.shape
    length = 0.0
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            if edge[row, column]:
                sides = int(edge[row - 1, column]) + int(edge[row + 1, column])
                sides += int(edge[row, column - 1]) + int(edge[row, column + 1])
                corners = int(edge[row - 1, column - 1]) + int(edge[row - 1, column + 1])
                corners += int(edge[row + 1, column - 1]) + int(edge[row + 1, column + 1])
                length += _STEP[1 + 2 * sides + 10 * corners]
    return length


@kernel
def _turn(points: Ints, a: int, b: int, c: int) -> int:
    """Return twice the signed area of a triangle of points."""
    first = (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1])
    second = (points[b, 1] - points[a, 1]) * (points[c, 0] - points[a, 0])
    return int(first - second)


@kernel
def _side_points(mask: Mask) -> Ints:
    """Doubled coordinates of the middles of the sides of each row's outermost pixels, by row, then column."""
    height, width = mask.shape
    first, last = np.full((2, height), -1, np.int64)
    for row in range(height):
        for column in range(width):
            if mask[row, column]:
                if first[row] < 0:
                    first[row] = column
                last[row] = column
    low = np.full(2 * height + 1, 4 * width, np.int64)
    high = np.full(2 * height + 1, -1, np.int64)
    for row in range(height):
        if first[row] >= 0:
            for line in range(2 * row, 2 * row + 3):
                reach = 1 if line == 2 * row + 1 else 0
                low[line] = min(low[line], 2 * first[row] - reach)
                high[line] = max(high[line], 2 * last[row] + reach)
    points = np.empty((2 * low.size, 2), np.int64)
    count = 0
    for line in range(low.size):
        if high[line] >= 0:
            points[count] = line - 1, low[line]
            points[count + 1] = line - 1, high[line]
            count += 2
    return points[:count]


@kernel
def convex_hull(mask: Mask) -> Ints:
    """Find the convex hull of the pixels' side middles: its corners in order around it, shape (corners, 2).

    In doubled (row, column) coordinates, no three on a line. Source: Andrew 1979, monotone chain. The side
    middles are scikit-image's `offset_coordinates`.
    """
    points = _side_points(mask)
    count = len(points)
    hull = np.empty(2 * count, np.int64)
    size = 0
    for point in range(count):
        while size >= 2 and _turn(points, hull[size - 2], hull[size - 1], point) <= 0:
            size -= 1
        hull[size] = point
        size += 1
    bottom = size + 1
    for point in range(count - 2, -1, -1):
        while size >= bottom and _turn(points, hull[size - 2], hull[size - 1], point) <= 0:
            size -= 1
        hull[size] = point
        size += 1
    corners: Ints = points[hull[: size - 1]]
    return corners


@kernel
def hull_numbers(hull: Ints) -> tuple[int, float, float]:
    """Count the pixel centres in a `convex_hull`, and measure its largest and smallest width in pixels."""
    corners = len(hull)
    largest = 0.0
    smallest = np.inf
    for a in range(corners):
        b = (a + 1) % corners
        edge = np.hypot(float(hull[b, 0] - hull[a, 0]), float(hull[b, 1] - hull[a, 1]))
        reach = 0.0
        for c in range(corners):
            largest = max(largest, np.hypot(float(hull[c, 0] - hull[a, 0]), float(hull[c, 1] - hull[a, 1])))
            reach = max(reach, abs(_turn(hull, a, b, c)) / edge)
        smallest = min(smallest, reach)
    pixels = 0
    for line in range(hull[:, 0].min(), hull[:, 0].max() + 1):
        if line % 2 == 0:
            pixels += _centres_on_line(hull, line)
    return pixels, largest / 2.0, smallest / 2.0


@kernel
def _centres_on_line(hull: Ints, line: int) -> int:
    """Count the even columns between the hull's two crossings with a row of doubled coordinates."""
    corners = len(hull)
    low, high = np.inf, -np.inf
    for a in range(corners):
        b = (a + 1) % corners
        top, bottom = hull[a, 0], hull[b, 0]
        if min(top, bottom) <= line <= max(top, bottom):
            ends = (hull[a, 1], hull[b, 1])
            for end in range(2):
                share = float(end) if top == bottom else (line - top) / (bottom - top)
                crossing = ends[0] + share * (ends[1] - ends[0])
                low = min(low, crossing)
                high = max(high, crossing)
    tolerance = 1e-9
    return int(np.floor((high + tolerance) / 2.0) - np.ceil((low - tolerance) / 2.0)) + 1
