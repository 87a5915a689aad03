"""Cellpose's flows: from label images, for training; and followed to label images, for segmenting.

The rules, and the results, are Cellpose's (Stringer et al., Nature Methods 18, 2021; `cellpose.dynamics`).
The loops here are compiled once per machine and are several times faster; decision 64 has the measurements.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage as ndi

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]

STEPS = 200
"""Steps that a pixel follows the flows."""

SEED_PIXELS = 10
"""A point where more pixels than this end is the seed of an object, if no point near it has more."""

REACH = 5
"""Pixels around a seed that belong to it where at least 3 pixels end."""

WORST_FLOW_ERROR = 0.4
"""Objects whose own flows differ from the predicted ones by more than this, squared, are dropped."""


def flows_of(labels: Labels) -> Plane:
    """Return the flows of a label image: unit vectors (down, right), shape (2, height, width).

    They are the gradient of heat that has diffused inside each object from the pixel nearest its centre.
    """
    flows = np.zeros((2, *labels.shape), np.float32)
    for number, box in enumerate(ndi.find_objects(labels), start=1):
        if box is not None:
            inside = labels[box] == number
            flows[:, *box][:, inside] = _diffuse(np.pad(inside, 1))[:, inside]
    return flows


def follow_flows(flows: Plane, inside: NDArray[np.bool_]) -> Labels:
    """Group the pixels inside objects by where the flows (as in `flows_of`) carry them.

    Pixels that end near no seed, and objects with inconsistent flows, are background.
    """
    rows, columns = np.nonzero(inside)
    steps = np.ascontiguousarray(np.moveaxis(flows * inside, 0, -1), np.float32)
    ends = _follow(steps, rows, columns, STEPS)
    counts = np.zeros(inside.shape, np.int32)
    np.add.at(counts, (ends[0], ends[1]), 1)
    peak = (counts == ndi.maximum_filter(counts, 5, mode="constant")) & (counts > SEED_PIXELS)
    seeds = np.argwhere(peak)[np.argsort(counts[peak], kind="stable")]
    labels = np.zeros(inside.shape, np.int32)
    labels[rows, columns] = _extend(counts, seeds)[ends[0], ends[1]]
    return _consistent(labels, flows)


def _extend(counts: Labels, seeds: NDArray[np.intp]) -> Labels:
    """Give each seed the points connected to it within `REACH` where pixels end; later seeds win."""
    crowded = np.pad(counts >= 3, REACH)
    labels = np.zeros(crowded.shape, np.int32)
    seed = np.zeros((2 * REACH + 1, 2 * REACH + 1), bool)
    seed[REACH, REACH] = True
    for number, (row, column) in enumerate(seeds, start=1):
        window = np.s_[row : row + len(seed), column : column + len(seed)]
        labels[window][ndi.binary_dilation(seed, np.ones((3, 3)), REACH, crowded[window])] = number
    return labels[REACH:-REACH, REACH:-REACH]


def _consistent(labels: Labels, flows: Plane) -> Labels:
    """Drop objects whose own flows differ from the predicted ones."""
    squared = ((flows_of(labels) - flows) ** 2).sum(axis=0).ravel()
    areas = np.bincount(labels.ravel())
    errors = np.bincount(labels.ravel(), squared) / np.maximum(1, areas)
    return np.where((errors <= WORST_FLOW_ERROR)[labels], labels, 0).astype(np.int32)


@njit(cache=True, nogil=True)
def _diffuse(inside):  # type: ignore[no-untyped-def] # compiled for its arguments
    """Return the flows of one mask that has a rim of one empty pixel, without that rim."""
    height, width = inside.shape
    rows, columns = np.nonzero(inside)
    centre = ((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin()
    heat = np.zeros((height, width))
    fresh = np.empty(rows.size)
    for _ in range(2 * (height + width)):
        heat[rows[centre], columns[centre]] += 1
        for k in range(rows.size):
            y, x = rows[k], columns[k]
            total = heat[y, x] + heat[y - 1, x] + heat[y + 1, x] + heat[y, x - 1] + heat[y, x + 1]
            total += heat[y - 1, x - 1] + heat[y - 1, x + 1] + heat[y + 1, x - 1] + heat[y + 1, x + 1]
            fresh[k] = total / 9
        for k in range(rows.size):
            heat[rows[k], columns[k]] = fresh[k]
    flows = np.zeros((2, height - 2, width - 2))
    for k in range(rows.size):
        y, x = rows[k], columns[k]
        dy, dx = heat[y + 1, x] - heat[y - 1, x], heat[y, x + 1] - heat[y, x - 1]
        length = np.sqrt(dy * dy + dx * dx) + 1e-60
        flows[0, y - 1, x - 1], flows[1, y - 1, x - 1] = dy / length, dx / length
    return flows


@njit(cache=True, nogil=True)
def _follow(flows, rows, columns, steps):  # type: ignore[no-untyped-def] # compiled for its arguments
    """Return where pixels end, shape (2, pixels), after Euler steps along bilinearly interpolated flows.

    Flows have the shape (height, width, 2): both parts of one lie side by side in memory. A pixel that comes
    back to where it was one or two steps before (most do within 50) would do so again and again.
    """
    height, width = flows.shape[:2]
    last_row, last_column = np.float32(height - 1), np.float32(width - 1)
    ends = np.empty((2, rows.size), np.int64)
    for pixel in range(rows.size):
        y, x = np.float32(rows[pixel]), np.float32(columns[pixel])
        before_y, before_x = np.float32(-1), np.float32(-1)
        for step in range(steps):
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            fy, fx = y - np.float32(top), x - np.float32(left)
            a, b, c, d = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
            dy = a * flows[top, left, 0] + b * flows[top, right, 0]
            dy += c * flows[bottom, left, 0] + d * flows[bottom, right, 0]
            dx = a * flows[top, left, 1] + b * flows[top, right, 1]
            dx += c * flows[bottom, left, 1] + d * flows[bottom, right, 1]
            next_y = min(max(y + dy, np.float32(0)), last_row)
            next_x = min(max(x + dx, np.float32(0)), last_column)
            if next_y == y and next_x == x:
                break
            returned = next_y == before_y and next_x == before_x
            if returned and (steps - step) % 2 == 0:  # it ends at this one of the two points
                break
            before_y, before_x, y, x = y, x, next_y, next_x
            if returned:
                break
        ends[0, pixel], ends[1, pixel] = int(y), int(x)
    return ends
