"""Exact Euclidean distances inside a crop."""

import numpy as np

from features.jit import Floats, Ints, Ints32, Mask, kernel


@kernel
def _vertical(mask: Mask) -> Ints32:
    """Distance along its column from every pixel to the nearest one outside `mask`."""
    height, width = mask.shape
    far = np.int32(height + width)
    out = np.empty((height, width), np.int32)
    for column in range(width):
        out[0, column] = far if mask[0, column] else np.int32(0)
    for row in range(1, height):
        before, here, inside = out[row - 1], out[row], mask[row]
        for column in range(width):
            here[column] = before[column] + np.int32(1) if inside[column] else np.int32(0)
    for row in range(height - 2, -1, -1):
        after, here = out[row + 1], out[row]
        for column in range(width):
            here[column] = min(here[column], after[column] + np.int32(1))
    return out


@kernel
def _nearest_in_row(squares: Ints32, halves: Floats, centre: Ints32, start: Ints32, out: Ints32) -> None:
    """Write the least of (column - other)^2 + squares[other] over all others into `out`, shape (width,).

    `halves` are 1 / (2 n); `centre` and `start` are room for the parabolas of the lower envelope: their
    columns, and from where they are lowest.
    """
    last = 0
    centre[0], start[0] = 0, 0
    for column in range(1, len(squares)):
        height = squares[column]
        while last >= 0:
            here, at = centre[last], start[last]
            if (at - here) * (at - here) + squares[here] <= (at - column) * (at - column) + height:
                break
            last -= 1
        if last < 0:
            last = 0
            centre[0] = column
        else:
            here = centre[last]
            gap = column * column - here * here + height - squares[here]
            begin = 1 + int(np.floor(gap * halves[column - here]))
            if begin < len(squares):
                last += 1
                centre[last], start[last] = column, begin
    end = len(squares)
    for parabola in range(last, -1, -1):
        here, first = centre[parabola], start[parabola]
        for column in range(first, end):
            out[column] = (column - here) * (column - here) + squares[here]
        end = first


@kernel
def distance_inside(mask: Mask) -> Floats:
    """Euclidean distance in pixels from every pixel of `mask` to the nearest one outside it, 0 outside.

    Where nothing lies outside, the distance is infinite; the mask needs no margin.

    Source: Meijster, Roerdink, Hesselink 2000, "A general algorithm for computing distance
    transforms in linear time": columns first, then the lower envelope of parabolas along rows.
    """
    height, width = mask.shape
    far = height + width
    vertical = _vertical(mask)
    out = np.zeros((height, width), np.float64)
    centre, start = np.empty(width, np.int32), np.empty(width, np.int32)
    nearest, squares = np.empty(width, np.int32), np.empty(width, np.int32)
    halves = np.append(0.0, 0.5 / np.arange(1, width + 1))
    for row in range(height):
        lines, target = vertical[row], out[row]
        squares[:] = lines * lines
        if not mask[row].any():
            continue
        _nearest_in_row(squares, halves, centre, start, nearest)
        for column in range(width):
            distance = np.sqrt(float(nearest[column]))
            target[column] = distance if distance < far else np.inf
    return out


@kernel
def distances_to(positions: Ints, centre: Floats | Ints) -> Floats:
    """Return the distances of pixels, shape (2, n), from a point, shape (2,)."""
    out = np.empty(positions.shape[1], np.float64)
    for index in range(len(out)):
        down, right = positions[0, index] - centre[0], positions[1, index] - centre[1]
        out[index] = np.sqrt(float(down * down + right * right))
    return out
