"""Filaments: skeletons of bright lines, their length, straightness, branching and orientation."""

import numpy as np

from features.cells import Cell, Region
from features.jit import Floats, Floats32, Ints32, Mask, kernel
from features.kernels.components import components, flat_nonzero, object_sums
from features.kernels.skeletons import reach, skeleton_sums, thin
from features.kernels.sums import in_order
from features.planes import interior, smoothed
from features.registry import LENGTH, PER_LENGTH, SCALED, THINNED, Output, dimensionless, feature

SHORTEST = 4.0
"""A skeleton shorter than this, in pixels, is no filament."""

NUMBERS = 11
SIGMA = 1

OUTPUTS = {
    "density": Output("length density of filaments (length per area)", PER_LENGTH, THINNED),
    "count": Output("number of filaments", invariances=THINNED),
    "mean_length": Output("mean length of filaments", LENGTH, THINNED),
    "longest": Output("length of the longest filament", LENGTH, THINNED),
    "ends": Output("number of filament ends per filament length", PER_LENGTH, THINNED),
    "branches": Output("number of filament branch points per filament length", PER_LENGTH, THINNED),
    **dimensionless(
        THINNED - {"offset"},
        intensity_share="share of {0}'s intensity on its filaments",
        contrast="mean intensity of {0} on its filaments over that of the cell",
    ),
    "contrast": Output(
        "mean intensity of {0} on its filaments over that of the cell", invariances=THINNED - {"offset"}
    ),
    **dimensionless(
        THINNED,
        straightness="mean straightness of filaments",
        common_direction="coherence of filament orientations (0 none, 1 all parallel)",
        radial_direction="radial orientation, towards the nucleus (1) to around it (-1), of filaments",
    ),
}


@feature(family="filaments", resampled=True, per="channel", regions=("cell",), outputs=OUTPUTS, version=2)
def filaments(region: Region) -> Floats:
    """Describe the skeletons of each channel's bright lines, shape (channels, 11).

    Units: lengths are in µm where the pixel size is known, else px (densities per µm or px); the rest has
    none. A line is where, after smoothing by 1 px, the curvature of the intensity across it less that along
    it exceeds its root mean square over the cell; lines are thinned, and skeletons of 4 px and more are
    filaments. Straightness is the length of the straight line of equal second moments over the filament's,
    averaged by length; directions are means of cosines of doubled angles over a skeleton's pixels. Without
    filaments all but density and number are NaN; so is what is relative to a black channel and the radial
    direction without a nucleus.

    Source: Boland and Murphy 2001 (SLF7, features of objects' skeletons); Guo and Hall 1989 (thinning);
    Frangi et al. 1998, "Multiscale vessel enhancement filtering" (lines by the Hessian's eigenvalues).
    """
    cell = region.cell
    nucleus = cell.region("nucleus")
    has_nucleus = nucleus.count > 0
    row, column = nucleus.centre if has_nucleus else (0.0, 0.0)
    numbers = filament_numbers(
        cell.pixels, cell.once(_ridges), region.totals, region.count, (float(row), float(column))
    )
    if not has_nucleus:
        numbers[:, -1] = np.nan
    return numbers


ALIGNED = dimensionless(
    SCALED,
    alignment="alignment of the filaments of {0} and {1}: parallel (1) to perpendicular (-1)",
)


@feature(family="filaments", resampled=True, per="pair", regions=("cell",), outputs=ALIGNED, version=2)
def parallel(region: Region) -> Floats:
    """Compare the directions of the lines of every pair of channels, shape (pairs, 1).

    Units: none. The mean cosine of twice the angle between the lines of both channels, weighted by the
    strengths of both, over all pixels that lie on one of each; with microtubules it says whether a
    protein runs along them. NaN where there is no such pixel.

    Source: Newberg and Murphy 2008 (relation to reference channels); this project.
    """
    return alignment(region.cell.once(_ridges))[:, None]


def _ridges(cell: Cell) -> Floats32:
    """Return strength and direction of lines, shape (channels, 2, height, width)."""
    return ridges(cell.once(smoothed, SIGMA), cell.once(interior, 1))


@kernel
def ridges(planes: Floats32, inner: Mask) -> Floats32:
    """Measure how much every pixel lies on a bright line, and along which direction.

    `planes` are smoothed; `inner` marks pixels whose neighbours all lie in the mask. Returns components along
    the column axis and between both axes of the doubled direction, shape (channels, 2, height, width), as
    long as the line is strong: the curvature across it less the curvature along it, in either sign. 0 on dark
    lines, on round spots, and where a neighbour lies outside the mask.
    """
    channels, height, width = planes.shape
    out = np.zeros((channels, 2, height, width), np.float32)
    for channel in range(channels):
        plane = planes[channel]
        for row in range(1, height - 1):
            for column in range(1, width - 1):
                if not inner[row, column]:
                    continue
                twice = 2.0 * plane[row, column]
                dd = float(plane[row + 1, column]) + plane[row - 1, column] - twice
                rr = float(plane[row, column + 1]) + plane[row, column - 1] - twice
                middle = 0.5 * (dd + rr)
                if middle >= 0.0:
                    continue
                dr = float(plane[row + 1, column + 1]) + plane[row - 1, column - 1]
                dr = 0.25 * (dr - plane[row + 1, column - 1] - plane[row - 1, column + 1])
                half = 0.5 * (rr - dd)
                spread = np.sqrt(half * half + dr * dr)
                if spread > 0.0:
                    strength = min(2.0 * spread, -2.0 * middle) / spread
                    out[channel, 0, row, column] = strength * half
                    out[channel, 1, row, column] = strength * dr
    return out


@kernel
def lines(ridge: Floats32, count: int) -> Mask:
    """Mark pixels whose ridge, shape (2, height, width), exceeds the root mean square over `count` pixels."""
    _, height, width = ridge.shape
    strength = np.empty((height, width), np.float64)
    squares = np.zeros(width, np.float64)
    for row in range(height):
        x, y, here = ridge[0, row], ridge[1, row], strength[row]
        for column in range(width):
            here[column] = float(x[column]) ** 2 + float(y[column]) ** 2
            squares[column] += here[column]
    return strength > max(in_order(squares) / count, 1e-12)


@kernel
def _directions(ridge: Floats32, labels: Ints32, centre: tuple[float, float]) -> tuple[float, float]:
    """Return how far skeleton pixels share one direction, and how far they point at a centre."""
    width = labels.shape[1]
    along, across, weight, towards = 0.0, 0.0, 0.0, 0.0
    for at in flat_nonzero(labels):
        row, column = at // width, at % width
        x, y = float(ridge[0, row, column]), float(ridge[1, row, column])
        strength = np.hypot(x, y)
        down, right = row - centre[0], column - centre[1]
        squared = down * down + right * right
        if strength > 0.0 and squared > 0.0:
            along += x / strength
            across += y / strength
            weight += 1.0
            pointing = x * (right * right - down * down) + y * 2.0 * right * down
            towards += pointing / strength / squared
    if weight == 0.0:
        return np.nan, np.nan
    return np.hypot(along, across) / weight, towards / weight


@kernel
def filament_numbers(
    pixels: Floats32, ridge: Floats32, totals: Floats, count: int, centre: tuple[float, float]
) -> Floats:
    """Describe the filaments of every channel, in the order of `OUTPUTS`.

    `ridge` is that of `ridges`, `count` the number of the cell's pixels, `centre` row and column of what
    filaments may point at. NaN without filaments, but for total length per pixel and number.
    """
    channels = len(pixels)
    out = np.full((channels, NUMBERS), np.nan)
    for channel in range(channels):
        labels, found = components(thin(lines(ridge[channel], count)))
        graph = skeleton_sums(labels, found)
        sums = object_sums(labels, found, pixels[channel])
        total, ends, branches, straight, area, amount = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        longest, number = 0.0, 0
        for one in range(found):
            length = graph[one, 0]
            if length < SHORTEST:
                continue
            number += 1
            total += length
            longest = max(longest, length)
            ends += graph[one, 1]
            branches += graph[one, 2]
            straight += min(length, reach(sums[one]))
            area += sums[one, 0]
            amount += sums[one, 6]
        out[channel, 0], out[channel, 1] = total / count, number
        if number == 0:
            continue
        out[channel, 2], out[channel, 3] = total / number, longest
        out[channel, 4], out[channel, 5] = ends / total, branches / total
        if totals[channel] > 0.0:
            out[channel, 6] = amount / totals[channel]
            out[channel, 7] = amount / area / (totals[channel] / count)
        out[channel, 8] = straight / total
        flat = labels.ravel()
        for at in flat_nonzero(labels):
            if graph[flat[at] - 1, 0] < SHORTEST:
                flat[at] = 0
        out[channel, 9], out[channel, 10] = _directions(ridge[channel], labels, centre)
    return out


@kernel
def alignment(ridge: Floats32) -> Floats:
    """Measure how parallel the lines of every pair of channels run, weighted by the strengths of both.

    `ridge` is that of `ridges`. Mean cosine of twice the angle between them, shape (pairs,); NaN where no
    pixel lies on lines of both.
    """
    channels, _, height, width = ridge.shape
    strength = np.sqrt(ridge[:, 0] ** 2 + ridge[:, 1] ** 2)
    out = np.full(channels * (channels - 1) // 2, np.nan)
    pair = 0
    for first in range(channels):
        for second in range(first + 1, channels):
            products, weights = np.zeros((2, width), np.float64)
            for row in range(height):
                ax, ay, a = ridge[first, 0, row], ridge[first, 1, row], strength[first, row]
                bx, by, b = ridge[second, 0, row], ridge[second, 1, row], strength[second, row]
                for column in range(width):
                    products[column] += ax[column] * bx[column] + ay[column] * by[column]
                for column in range(width):
                    weights[column] += a[column] * b[column]
            weight = in_order(weights)
            if weight > 0.0:
                out[pair] = in_order(products) / weight
            pair += 1
    return out
