"""Run the registered features over the cells of a picture, and over the whole field."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import features.families  # noqa: F401 - fills the registry
from features.cells import Cell, cut, field_of
from features.kernels.boxes import bounding_boxes
from features.naming import check_channels
from features.registry import FIELD_REGIONS, REGISTRY, Feature, Floats

Labels = NDArray[np.integer[Any]]

CHANNELS = ("microtubules", "protein", "nucleus", "er")
"""The channels of Human Protein Atlas pictures, named by what they show."""


@dataclass(frozen=True)
class Task:
    """One feature in one region, and where its numbers go in a row."""

    feature: Feature
    region: str
    place: slice
    scales: Floats


def selected(families: Sequence[str] | None) -> list[Feature]:
    """Return the registered features of some families, of all if None.

    Raises
    ------
    ValueError
        If a family is unknown, with the list of known ones.
    """
    known = list(dict.fromkeys(feature.family for feature in REGISTRY))
    unknown = sorted(set(families or ()) - set(known))
    if unknown:
        raise ValueError(f"unknown feature family {unknown[0]!r}; known: {', '.join(known)}")
    return [feature for feature in REGISTRY if families is None or feature.family in families]


def columns(families: Sequence[str] | None, channels: Sequence[str], *, of_field: bool) -> list[str]:
    """Name the columns of cells or of the field, in order."""
    named = tuple(check_channels(tuple(channels)))
    return [
        str(column)
        for feature in selected(families)
        for region in feature.regions
        if (region in FIELD_REGIONS) == of_field
        for column in feature.columns(region, named)
    ]


def cell_columns(families: Sequence[str] | None = None, channels: Sequence[str] = CHANNELS) -> list[str]:
    """Name `measure`'s columns, in order."""
    return columns(families, channels, of_field=False)


def _plan(
    families: Sequence[str] | None, channels: Sequence[str], size: float, *, of_field: bool
) -> tuple[list[Task], int]:
    """List what is to be computed, and the length of a row."""
    tasks, start = [], 0
    for feature in selected(families):
        for region in feature.regions:
            width = len(feature.columns(region, channels))
            if (region in FIELD_REGIONS) == of_field and width:
                scales = np.tile(feature.scales(size), width // len(feature.outputs))
                tasks.append(Task(feature, region, slice(start, start + width), scales))
                start += width
    return tasks, start


def _row(cell: Cell, tasks: Iterable[Task], width: int) -> Floats:
    """Compute one cell's numbers; NaN in regions without a pixel."""
    row = np.full(width, np.nan)
    for task in tasks:
        region = cell.region(task.region)
        if region.count == 0:
            continue
        try:
            row[task.place] = np.ravel(task.feature.function(region)) * task.scales
        except Exception as error:
            error.add_note(f"in family {task.feature.family!r}, {task.region} of cell {cell.label}")
            raise
    return row


def _as_float(picture: NDArray[np.generic], channels: Sequence[str]) -> NDArray[np.float32]:
    """Return intensities in [0, 1]: integers over the largest value of their type, floats as they are."""
    if picture.ndim != 3 or len(picture) != len(channels):
        raise ValueError(
            f"picture has shape {picture.shape}; expected ({len(channels)}, height, width) for "
            f"channels {', '.join(channels)}"
        )
    if np.issubdtype(picture.dtype, np.integer):
        scaled: NDArray[np.float32] = picture.astype(np.float32) / np.float32(
            np.iinfo(str(picture.dtype)).max
        )
        return scaled
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(f"picture is of type {picture.dtype}; expected integers or floats")
    pixels = np.ascontiguousarray(picture, dtype=np.float32)
    if not np.isfinite(pixels).all():
        raise ValueError("picture holds values that are not finite; replace them first")
    return pixels


def _as_labels(labels: Labels, shape: tuple[int, ...], what: str) -> NDArray[np.int32]:
    """Return a label image as int32 after checking it."""
    if labels.shape != shape:
        raise ValueError(f"{what} labels have shape {labels.shape}; the picture has {shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{what} labels are of type {labels.dtype}; expected integers")
    if labels.size and (labels.min() < 0 or labels.max() > np.iinfo(np.int32).max):
        raise ValueError(f"{what} labels run from {labels.min()} to {labels.max()}; expected 0 to 2147483647")
    return np.ascontiguousarray(labels, dtype=np.int32)


def _check_pixel_size(pixel_size_um: float | None) -> None:
    if pixel_size_um is not None and not 0 < pixel_size_um < np.inf:
        raise ValueError(f"pixel size {pixel_size_um} µm; expected a positive number, or None where unknown")


def measure(
    picture: NDArray[np.generic],
    cell_labels: Labels,
    nucleus_labels: Labels,
    *,
    channels: Sequence[str] = CHANNELS,
    pixel_size_um: float | None = None,
    families: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Measure every cell of a picture.

    Parameters
    ----------
    picture : ndarray, shape (channels, height, width)
        Integers (divided by the largest value of their type) or floats (taken as they are,
        meant to be in [0, 1]). It is not changed.
    cell_labels, nucleus_labels : ndarray, shape (height, width), integers
        0 is background; a cell and its nucleus carry the same number. What a nucleus has outside
        its cell is ignored; a cell may lack a nucleus.
    channels : sequence of str
        Names of the planes, in order; features of a channel that is missing are left out.
    pixel_size_um : float, optional
        Side of a pixel in micrometres; without it lengths are in pixels.
    families : sequence of str, optional
        What to compute; everything by default. A family's numbers do not depend on the others.

    Returns
    -------
    DataFrame
        One row per cell in ascending order of label (index "label"), columns `cell_columns`,
        float32. Undefined is NaN.

    Raises
    ------
    ValueError
        If shapes, types, channels, pixel size or families are not as described.
    """
    names = check_channels(tuple(channels))
    pixels = _as_float(picture, names)
    cells = _as_labels(cell_labels, pixels.shape[1:], "cell")
    nuclei = _as_labels(nucleus_labels, pixels.shape[1:], "nucleus")
    _check_pixel_size(pixel_size_um)
    tasks, width = _plan(families, names, pixel_size_um or 1.0, of_field=False)
    labels, rows = [], []
    for cell in cut(pixels, cells, nuclei, names, pixel_size_um):
        labels.append(cell.label)
        rows.append(_row(cell, tasks, width).astype(np.float32))
    return pd.DataFrame(
        np.array(rows, dtype=np.float32).reshape(len(rows), width),
        index=pd.Index(labels, name="label", dtype=np.int64),
        columns=columns(families, names, of_field=False),
    )


def measure_field(
    picture: NDArray[np.generic],
    *,
    channels: Sequence[str] = CHANNELS,
    pixel_size_um: float | None = None,
    families: Sequence[str] | None = None,
) -> dict[str, float]:
    """Measure the whole field of view, and its bright foreground; defined with no cell at all.

    Parameters
    ----------
    picture, channels, pixel_size_um, families
        As for `measure`.

    Returns
    -------
    dict of str to float
        The columns of regions ``field`` and ``foreground``; empty where no family has any. The
        picture is halved first (means of 2 x 2 pixels).

    Raises
    ------
    ValueError
        As for `measure`.
    """
    names = check_channels(tuple(channels))
    pixels = _as_float(picture, names)
    _check_pixel_size(pixel_size_um)
    tasks, width = _plan(families, names, 2 * (pixel_size_um or 1.0), of_field=True)
    if not tasks:
        return {}
    row = _row(field_of(pixels, names, pixel_size_um), tasks, width)
    return dict(zip(columns(families, names, of_field=True), row.tolist(), strict=True))


def touches_border(cell_labels: Labels) -> NDArray[np.bool_]:
    """Say of each cell, in ascending order of label, whether it touches the picture's border.

    Parameters
    ----------
    cell_labels : ndarray, shape (height, width), integers

    Returns
    -------
    ndarray, shape (cells,), bool
    """
    labels = _as_labels(cell_labels, cell_labels.shape, "cell")
    height, width = labels.shape
    boxes = bounding_boxes(labels)
    ends = boxes[:, 1:] == np.array([0, height, 0, width])
    touching: NDArray[np.bool_] = ends.any(axis=1)
    return touching
