"""Cells of a picture as one row of a table: a bag, of which only the picture's labels are known.

Learners that learn from cells get, as every base learner, one row per picture: the numbers of its first cell,
of its second, and so on; NaN where there are no more. Of pictures with more cells some are taken, evenly over
their labels, so that they do not depend on chance.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Table = NDArray[np.float32]

PLACES = 24
"""Cells of a picture that are learned from, and that a picture's answer is pooled over, at most."""

KEPT = 400
"""Columns of cells that learners choose from, at most, beside those that are seen alone."""

ALIKE = 0.9
"""Correlation from which one of two columns says what the other does."""

_ROWS = 6000


def kept_columns(cells: pd.DataFrame, alone: Collection[str] = ()) -> list[str]:
    """Choose columns of cells without looking at labels, index ``Id``: what pictures differ in, each once.

    Columns are ordered by the share of their variance that lies between pictures; those that are `ALIKE` one
    before them are left out. Columns that are seen `alone` are all kept, however rare what they find is.
    """
    own, cells = [name for name in cells if name in alone], cells[[n for n in cells if n not in alone]]
    some = cells.iloc[:: -(-len(cells) // _ROWS)]
    whole = some.columns[some.notna().mean() > 0.5]
    ranks = some[whole].rank(pct=True).fillna(0.5)
    ranks = ranks.loc[:, ranks.std() > 0.05]
    between = ranks.groupby(level=0).transform("mean").var() / ranks.var()
    order = between.sort_values(ascending=False, kind="stable").index
    with_protein = [name for name in order if "protein" in name]
    names = [*with_protein, *(name for name in order if "protein" not in name)]
    values = ranks[names].to_numpy(np.float64)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    kept: list[int] = []
    for position in range(len(names)):
        found = values[:, kept].T @ values[:, position] / len(values)
        if not kept or np.abs(found).max() < ALIKE:
            kept.append(position)
        if len(kept) == KEPT:
            break
    return sorted([*own, *(names[position] for position in kept)])


def bag_columns(columns: Sequence[str]) -> list[str]:
    """Name the columns of bags of cells with these columns."""
    return [f"bag_{place:02}__{column}" for place in range(PLACES) for column in columns]


def cell_columns(bags: Sequence[str]) -> list[str]:
    """Return the columns of cells, given those of bags."""
    return [name.partition("__")[2] for name in bags[: len(bags) // PLACES]]


def chosen_cells(number: int) -> NDArray[np.intp]:
    """Return which of so many cells are in a bag, ascending."""
    return np.unique(np.linspace(0, number - 1, min(number, PLACES)).round().astype(np.intp))


def bags_of(cells: pd.DataFrame, columns: Sequence[str], pictures: pd.Index) -> pd.DataFrame:
    """Return the bags of pictures; `cells` has the index ``Id`` and is ordered by label within each."""
    values = np.full((len(pictures), PLACES, len(columns)), np.nan, np.float32)
    of = pictures.get_indexer(cells.index)
    numbers = cells[list(columns)].to_numpy(np.float32)
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(len(pictures) + 1))
    for row, (start, end) in enumerate(pairwise(starts)):
        if end > start:
            some = order[start + chosen_cells(end - start)]
            values[row, : len(some)] = numbers[some]
    return pd.DataFrame(values.reshape(len(pictures), -1), pictures, bag_columns(columns))


def unpacked(bags: Table) -> tuple[Table, NDArray[np.bool_]]:
    """Return cells, shape (rows, places, columns), and which of them there are, shape (rows, places)."""
    cells = bags.reshape(len(bags), PLACES, -1)
    return cells, np.asarray(np.isfinite(cells).any(axis=2))


def scale_of(cells: Table) -> tuple[Table, Table]:
    """Return median and spread of every column of cells, shape (cells, columns)."""
    if (empty := ~np.isfinite(cells).any(axis=0)).any():
        cells = np.where(empty, 0, cells)
    low, middle, high = np.nan_to_num(np.nanpercentile(cells, (16, 50, 84), axis=0))
    spread = np.where(high > low, (high - low) / 2, 1)
    return middle.astype(np.float32), spread.astype(np.float32)


def scaled(cells: Table, middle: Table, spread: Table) -> Table:
    """Return cells in units of the spread, large ones as logarithms; 0 where a number is missing."""
    z = (cells - middle) / spread
    far = np.minimum(np.abs(z), 1 + np.log1p(np.maximum(np.abs(z) - 1, 0)))
    return np.asarray(np.nan_to_num(np.sign(z) * far, posinf=0, neginf=0), np.float32)
