"""Arrays in, named numbers out: features of cells and pictures. No files, no configuration, no networks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.naming import Column, parse

__all__ = [
    "CHANNELS",
    "Column",
    "aggregate",
    "catalogue",
    "cell_columns",
    "describe",
    "family_versions",
    "measure",
    "measure_field",
    "parse",
    "picture_columns",
    "touches_border",
]

CHANNELS = ("microtubules", "protein", "nucleus", "er")


def measure(
    picture: NDArray[np.generic],
    cell_labels: NDArray[np.integer],
    nucleus_labels: NDArray[np.integer],
    *,
    channels: Sequence[str] = CHANNELS,
    pixel_size_um: float | None = None,
    families: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Measure every cell: one row per label in ascending order (index "label"), float32 columns `cell_columns`."""
    raise NotImplementedError


def measure_field(
    picture: NDArray[np.generic],
    *,
    channels: Sequence[str] = CHANNELS,
    pixel_size_um: float | None = None,
    families: Sequence[str] | None = None,
) -> dict[str, float]:
    """Measure the whole field of view, defined with no cell at all; empty for families without field features."""
    raise NotImplementedError


def touches_border(cell_labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Say of each cell, in ascending order of label, whether the picture's border cuts it."""
    raise NotImplementedError


def aggregate(cells: pd.DataFrame, *, touches_border: NDArray[np.bool_]) -> dict[str, float]:
    """Summarise a picture's cells: statistics per column (NaN without cells) and counts of cells."""
    raise NotImplementedError


def family_versions() -> Mapping[str, int]:
    """Return the version of every family; it changes whenever one of its numbers would."""
    raise NotImplementedError


def cell_columns(families: Sequence[str] | None = None, channels: Sequence[str] = CHANNELS) -> list[str]:
    """Name `measure`'s columns, in order."""
    raise NotImplementedError


def picture_columns(families: Sequence[str] | None = None, channels: Sequence[str] = CHANNELS) -> list[str]:
    """Name the columns of `aggregate` and then of `measure_field`, in order."""
    raise NotImplementedError


def catalogue(families: Sequence[str] | None = None) -> pd.DataFrame:
    """List the features: family, region, output, per, unit, description, source, invariances."""
    raise NotImplementedError


def describe(column: str) -> str:
    """Say in words what a column of cells or pictures holds."""
    raise NotImplementedError
