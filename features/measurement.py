"""Run the registered features over the cells of a picture, and over the whole field."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import features.families  # noqa: F401 - fills the registry
from features.cells import Cell, cut, field_of
from features.inputs import Field, Labels, as_labels, check_field
from features.jit import Floats, Mask
from features.kernels.crops import bounding_boxes
from features.naming import check_channels
from features.registry import FIELD_REGIONS, REGISTRY, Feature

CHANNELS = ("microtubules", "protein", "nucleus", "er")
"""The channels of Human Protein Atlas pictures, named by what they show."""


@dataclass(frozen=True)
class Task:
    """One feature in one region, and where its numbers go in its family's rows."""

    feature: Feature
    region: str
    columns: slice
    scales: Floats


def selected(families: Sequence[str] | None) -> list[Feature]:
    """Return the registered features of some families, of all if None; ValueError for an unknown family."""
    known = list(dict.fromkeys(feature.family for feature in REGISTRY))
    unknown = sorted(set(families or ()) - set(known))
    if unknown:
        raise ValueError(f"unknown feature family {unknown[0]!r}; known: {', '.join(known)}")
    return [feature for feature in REGISTRY if families is None or feature.family in families]


def columns_by_family(
    families: Sequence[str] | None, channels: Sequence[str], *, of_field: bool
) -> dict[str, list[str]]:
    """Name the columns of cells or of the field, family by family, in order."""
    named = tuple(check_channels(tuple(channels)))
    columns: dict[str, list[str]] = {}
    for feature in selected(families):
        names = columns.setdefault(feature.family, [])
        for region in feature.regions:
            if (region in FIELD_REGIONS) == of_field:
                names += _names(feature, region, named)
    return columns


def columns(families: Sequence[str] | None, channels: Sequence[str], *, of_field: bool) -> list[str]:
    """Name the columns of cells or of the field, in order."""
    return list(chain.from_iterable(columns_by_family(families, channels, of_field=of_field).values()))


@lru_cache(maxsize=1024)
def _names(feature: Feature, region: str, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Write the names of a feature's columns: the same for every picture."""
    return tuple(str(column) for column in feature.columns(region, channels))


def cell_columns(families: Sequence[str] | None = None, channels: Sequence[str] = CHANNELS) -> list[str]:
    """Name the columns of `measure`'s tables, in order."""
    return columns(families, channels, of_field=False)


def _plan(families: Sequence[str] | None, own: Field, *, of_field: bool) -> list[tuple[Field, list[Task]]]:
    """List what is to be computed of the field at its own scale and, where that is another, the common one.

    A field as a whole is measured at half the resolution.
    """
    features, ends = selected(families), Counter[str]()
    common = own.at_common_scale() if any(feature.resampled for feature in features) else own
    views: list[tuple[Field, list[Task]]] = [(own, [])]
    views += [(common, [])] if common is not own else []
    for feature in features:
        view, tasks = views[-1 if feature.resampled else 0]
        size = (view.pixel_size_um or 1.0) * (2 if of_field else 1)
        width = feature.width(own.channels)
        scales = np.tile(feature.scales(size), width // len(feature.outputs))
        for region in feature.regions:
            if (region in FIELD_REGIONS) == of_field and width:
                start = ends[feature.family]
                tasks.append(Task(feature, region, slice(start, start + width), scales))
                ends[feature.family] += width
    return [(view, tasks) for view, tasks in views if tasks]


def _fill(numbers: Mapping[str, Floats], row: int, cell: Cell, tasks: Iterable[Task]) -> None:
    """Compute one cell's numbers; what is not filled in (regions without a pixel) stays as it is."""
    for task in tasks:
        region = cell.region(task.region)
        if region.count == 0:
            continue
        try:
            found = np.ravel(task.feature.function(region)) * task.scales
        except Exception as error:
            error.add_note(f"in family {task.feature.family!r}, {task.region} of cell {cell.label}")
            raise
        numbers[task.feature.family][row, task.columns] = found


def _each(cells: Iterable[Cell], work: Callable[[Cell], None], threads: int) -> None:
    """Do the work of every cell, some at the same time: loops hold no lock of the interpreter."""
    if threads == 1:
        for cell in cells:
            work(cell)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, cell) for cell in cells]:
            done.result()


def measure(
    picture: NDArray[np.generic],
    cell_labels: Labels | None,
    nucleus_labels: Labels | None = None,
    *,
    channels: Sequence[str] = CHANNELS,
    pixel_size_um: float | None = None,
    families: Sequence[str] | None = None,
    threads: int = 1,
) -> dict[str, pd.DataFrame]:
    """Measure every cell of a picture.

    Parameters
    ----------
    picture : ndarray, shape (channels, height, width)
        Integers (divided by the largest value of their type) or floats (taken as they are,
        meant to be in [0, 1]). It is not changed.
    cell_labels, nucleus_labels : ndarray, shape (height, width), integers, or None
        0 is background; a cell and its nucleus carry the same number. What a nucleus has outside
        its cell is ignored; a cell may lack a nucleus. With one mask only, the other is None: no cell
        has a nucleus then, or each cell is taken to be its nucleus and has no cytoplasm.
    channels : sequence of str
        Names of the planes, in order; features of a channel that is missing are left out.
    pixel_size_um : float, optional
        Side of a pixel in micrometres. With it, lengths are in micrometres and textures and spots are
        measured at a common scale (`features.inputs.COMMON_UM`); without it, all is in pixels.
    families : sequence of str, optional
        What to compute; everything by default. A family's numbers do not depend on the others.
    threads : int
        Cells that are measured at the same time; the numbers are the same.

    Returns
    -------
    dict of str to DataFrame
        A table per family: one row per cell in ascending order of label (index "label"), float32; side
        by side they have the columns `cell_columns`. Undefined is NaN.

    Raises
    ------
    ValueError
        If shapes, types, channels, pixel size or families are not as described.
    """
    cells = nucleus_labels if cell_labels is None else cell_labels
    if cells is None:
        raise ValueError("neither cells nor nuclei are given; measure_field measures pictures without masks")
    own = check_field(picture, cells, nucleus_labels, tuple(channels), pixel_size_um)
    wanted = columns_by_family(families, own.channels, of_field=False)
    labels = bounding_boxes(own.cells)[:, 0]
    row_of = {label: row for row, label in enumerate(labels.tolist())}
    numbers = {family: np.full((len(labels), len(names)), np.nan) for family, names in wanted.items()}

    def fill(tasks: list[Task], cell: Cell) -> None:
        _fill(numbers, row_of[cell.label], cell, tasks)

    for view, tasks in _plan(families, own, of_field=False):
        _each(cut(view), partial(fill, tasks), threads)
    index = pd.Index(labels, name="label", dtype=np.int64)
    return {
        family: pd.DataFrame(rows.astype(np.float32), index=index, columns=wanted[family])
        for family, rows in numbers.items()
    }


def measure_field(
    picture: NDArray[np.generic],
    *,
    channels: Sequence[str] = CHANNELS,
    pixel_size_um: float | None = None,
    families: Sequence[str] | None = None,
) -> dict[str, dict[str, float]]:
    """Measure the whole field of view, and its bright foreground; defined with no cell at all.

    Parameters
    ----------
    picture, channels, pixel_size_um, families
        As for `measure`.

    Returns
    -------
    dict of str to dict of str to float
        By family, the columns of regions ``field`` and ``foreground``; without families that have none.
        The picture is halved first (means of 2 x 2 pixels).

    Raises
    ------
    ValueError
        As for `measure`.
    """
    own = check_field(picture, None, None, tuple(channels), pixel_size_um)
    named = columns_by_family(families, own.channels, of_field=True)
    wanted = {family: names for family, names in named.items() if names}
    if not wanted:
        return {}
    numbers = {family: np.full((1, len(names)), np.nan) for family, names in wanted.items()}
    for view, tasks in _plan(families, own, of_field=True):
        _fill(numbers, 0, field_of(view), tasks)
    return {
        family: dict(zip(wanted[family], rows[0].tolist(), strict=True)) for family, rows in numbers.items()
    }


def touches_border(cell_labels: Labels) -> Mask:
    """Say of each cell, in ascending order of label, whether it touches the picture's border.

    Parameters
    ----------
    cell_labels : ndarray, shape (height, width), integers

    Returns
    -------
    ndarray, shape (cells,), bool
    """
    labels = as_labels(cell_labels, cell_labels.shape, "cell")
    height, width = labels.shape
    boxes = bounding_boxes(labels)
    ends = boxes[:, 1:] == np.array([0, height, 0, width])
    touching: Mask = ends.any(axis=1)
    return touching
