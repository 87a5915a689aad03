"""Zernike moments: coarse shape, and coarse distribution of intensity, on the enclosing disc."""

from math import comb, factorial

import numpy as np
from numpy.typing import NDArray

from features.cells import Cell, Region
from features.jit import Floats, Floats32, Ints, kernel
from features.registry import SCALED, Output, feature, over

DEGREE = 9
ORDERS = tuple((n, m) for n in range(DEGREE + 1) for m in range(n + 1) if (n - m) % 2 == 0)
"""The (n, m) of the 30 moments up to degree 9, in CellProfiler's order."""

REGIONS = ("cell", "nucleus")


@feature(
    family="zernike",
    per="shape",
    regions=REGIONS,
    outputs={
        f"shape_{n}_{m}": Output(f"magnitude of the Zernike moment ({n}, {m}) of the shape")
        for n, m in ORDERS
    },
)
def of_shape(region: Region) -> Floats:
    """Compute the magnitudes of the shape's Zernike moments up to degree 9, shape (30,).

    Units: none. The unit disc is the smallest circle around the pixels' centres; sums are over all of
    the region's pixels, divided by the disc's area in pixels. NaN for a single pixel.

    Source: Zernike 1934; Teague 1980; CellProfiler MeasureObjectSizeShape (AreaShape_Zernike), which
    may lose pixels on the circle to rounding: here none is lost.
    """
    magnitudes, radius = region.cell.once(_magnitudes, region.name)
    return magnitudes[0] / (np.pi * radius**2) if radius > 0 else np.full(len(ORDERS), np.nan)


@feature(
    family="zernike",
    per="channel",
    regions=("cell",),
    outputs={
        f"intensity_{n}_{m}": Output(
            f"magnitude of the Zernike moment ({n}, {m}) of the intensity", invariances=SCALED
        )
        for n, m in ORDERS[1:]
    },
)
def of_intensity(region: Region) -> Floats:
    """Compute the magnitudes of each channel's Zernike moments up to degree 9, shape (channels, 29).

    Units: none; moments of the intensity over its sum, so (0, 0) is 1 and left out. The disc is that of the
    shape. NaN for a single pixel and where the channel is black. Phases are left out: they say how
    the cell lies.

    Source: Boland and Murphy 2001 (SLF, Zernike features); CellProfiler
    MeasureObjectIntensityDistribution (Zernikes), there over the number of pixels instead of the intensity.
    """
    magnitudes, radius = region.cell.once(_magnitudes, region.name)
    return over(magnitudes[1:, 1:], region.moments[:, :1] if radius > 0 else np.zeros((1, 1)))


def _magnitudes(cell: Cell, name: str) -> tuple[Floats, float]:
    """Return the magnitudes for the shape and, of the cell, its channels, and the circle's radius.

    The magnitudes have shape (1 + channels, 30), or (1, 30).
    """
    region = cell.region(name)
    planes = region.mask[None, *region.box].astype(np.float32)
    if region is cell.whole:
        planes = np.concatenate([planes, cell.pixels[:, *region.box]])
    row, column, radius = enclosing_circle(scattered_ends(region.positions))
    top, left = region.box[0].start, region.box[1].start
    sums = power_sums(planes, row - top, column - left, max(radius, 1.0))
    moments = sums.reshape(len(sums), -1) @ COEFFICIENTS.T
    return np.abs(moments), radius


def _radial(n: int, m: int) -> dict[int, float]:
    """Return the radial polynomial of a moment over |z|^m, as power of |z|^2 to coefficient."""
    half = (n - m) // 2
    out = {}
    for s in range(half + 1):
        below = factorial(s) * factorial((n + m) // 2 - s) * factorial(half - s)
        out[half - s] = (-1.0) ** s * factorial(n - s) / below
    return out


def _coefficients() -> NDArray[np.complex128]:
    """Expand every Zernike polynomial in powers of y and x, shape (moments, degree + 1, degree + 1)."""
    weights = np.zeros((len(ORDERS), DEGREE + 1, DEGREE + 1), np.complex128)
    for index, (n, m) in enumerate(ORDERS):
        for k, weight in _radial(n, m).items():
            for turned in range(m + 1):
                for squared in range(k + 1):
                    y, x = turned + 2 * squared, m - turned + 2 * (k - squared)
                    weights[index, y, x] += weight * comb(m, turned) * 1j**turned * comb(k, squared)
    return weights


COEFFICIENTS = _coefficients().reshape(len(ORDERS), -1)


@kernel
def scattered_ends(positions: Ints) -> Floats:
    """List the pixels that can lie on the smallest circle, the first and last of every row, shape (ends, 2).

    They come scattered, by steps of about the golden ratio of their number, not along the outline: only
    then does the search for the circle take linear time.
    """
    rows, columns = positions
    ends = np.empty(2 * len(rows), np.int64)
    count = 0
    for index in range(len(rows)):
        if index == 0 or rows[index] != rows[index - 1]:
            ends[count] = index
            count += 1
        if index + 1 == len(rows) or rows[index] != rows[index + 1]:
            ends[count] = index
            count += 1
    stride = max(1, int(0.618034 * count))
    while np.gcd(stride, count) > 1:
        stride += 1
    out = np.empty((count, 2), np.float64)
    at = 0
    for number in range(count):
        out[number] = rows[ends[at]], columns[ends[at]]
        at = (at + stride) % count
    return out


@kernel
def _circle_of_three(points: Floats, a: int, b: int, c: int) -> tuple[float, float, float]:
    """Return centre and squared radius of the circle through three points, infinite if on a line."""
    ax, ay = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    bx, by = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1]
    twice = 2.0 * (ax * by - ay * bx)
    if twice == 0.0:
        return 0.0, 0.0, np.inf
    first, second = ax * ax + ay * ay, bx * bx + by * by
    x, y = (by * first - ay * second) / twice, (ax * second - bx * first) / twice
    return points[a, 0] + x, points[a, 1] + y, x * x + y * y


@kernel
def _outside(points: Floats, index: int, circle: tuple[float, float, float]) -> bool:
    """Say whether a point lies outside a circle, beyond rounding."""
    gap = (points[index, 0] - circle[0]) ** 2 + (points[index, 1] - circle[1]) ** 2
    return bool(gap > circle[2] * (1.0 + 1e-12) + 1e-12)


@kernel
def enclosing_circle(points: Floats) -> tuple[float, float, float]:
    """Find the smallest circle around points, shape (n, 2), n >= 1: row and column of its centre, and radius.

    Source: Welzl 1991, "Smallest enclosing disks", as three nested loops.
    """
    circle = (points[0, 0], points[0, 1], 0.0)
    for a in range(1, len(points)):
        if not _outside(points, a, circle):
            continue
        circle = (points[a, 0], points[a, 1], 0.0)
        for b in range(a):
            if not _outside(points, b, circle):
                continue
            down, right = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
            middle = (points[a, 0] + 0.5 * down, points[a, 1] + 0.5 * right)
            circle = (middle[0], middle[1], 0.25 * (down * down + right * right))
            for c in range(b):
                if _outside(points, c, circle):
                    circle = _circle_of_three(points, a, b, c)
    return circle[0], circle[1], np.sqrt(circle[2])


@kernel
def _powers(values: Floats) -> Floats:
    """Return the powers 0 to degree of numbers, shape (degree + 1, n)."""
    out = np.ones((DEGREE + 1, len(values)), np.float64)
    for power in range(1, DEGREE + 1):
        out[power] = out[power - 1] * values
    return out


@kernel
def _add_rows(sums: Floats, lines: Floats, y: Floats) -> None:
    """Add four rows of a plane, times each power of their y, to the sums over rows of every column.

    `sums` and `y` have a row per power, `lines` and the columns of `y` are four.
    """
    one, two, three, four = lines[0], lines[1], lines[2], lines[3]
    for power in range(DEGREE + 1):
        target = sums[power]
        a, b, c, d = y[power, 0], y[power, 1], y[power, 2], y[power, 3]
        for column in range(len(one)):
            target[column] += (a * one[column] + b * two[column]) + (c * three[column] + d * four[column])


@kernel
def power_sums(planes: Floats32, row: float, column: float, radius: float) -> Floats:
    """Sum y^q x^p over planes, weighted by their values, shape (planes, degree + 1, degree + 1).

    All Zernike moments are sums of these few. `row`, `column` and `radius` are of the circle that becomes the
    unit disc; indexed by q and p, 0 where q + p exceeds the degree. Rows are summed up first, four at a time,
    for all columns alike; then columns.
    """
    count, height, width = planes.shape
    x = _powers((np.arange(width) - column) / radius)
    y = _powers((np.arange(height + 3) - row) / radius)
    out = np.zeros((count, DEGREE + 1, DEGREE + 1), np.float64)
    lines = np.empty((4, width), np.float64)
    sums = np.empty((DEGREE + 1, width), np.float64)
    for number in range(count):
        sums[:] = 0.0
        for top in range(0, height, 4):
            for line in range(4):
                if top + line < height:
                    lines[line] = planes[number, top + line]
                else:
                    lines[line] = 0.0
            _add_rows(sums, lines, y[:, top : top + 4])
        for q in range(DEGREE + 1):
            for p in range(DEGREE + 1 - q):
                out[number, q, p] = (sums[q] * x[p]).sum()
    return out
