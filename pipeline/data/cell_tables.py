"""The table of cells as what a model learns from: the cells of every picture in one row."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

import features
from models.bags import bags_of, cell_columns, kept_columns
from models.bundle import Model
from models.hyperparameters import CELLS, GRANULES, IN_CYTOPLASM
from pipeline.core.errors import PipelineError
from pipeline.core.made_tables import names_in, row_groups_of, rows_in
from pipeline.core.stage import check_intact, read_made
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import Normalisation
from pipeline.data.plates import cells_in_units, normalisation_of

MEASURED = 5000
"""Cells, about, by which columns are chosen."""


def read_cells(work: Workspace, columns: Sequence[str], how: Normalisation | None = None) -> pd.DataFrame:
    """Read columns of all cells, index ``Id``, with ``label``, ordered as they were measured.

    In units of their plates where that is said; see `cells_in_units`.

    Raises
    ------
    PipelineError
        If there is no table of cells, or a column is not in it.
    """
    if not work.cells.exists():
        raise PipelineError(f"{work.cells}: no table of cells; run extract with --work {work.root} again")
    known = set(names_in(work.cells))
    if missing := [name for name in columns if name not in known]:
        raise PipelineError(
            f"{work.cells}: {len(missing)} columns of the model are not there ({missing[0]}); extract and "
            "train again"
        )
    return cells_in_units(read_made(work.cells, ["Id", "label", *columns]).set_index("Id"), work, how)


def seen_alone(columns: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns, of pictures or of cells, that learners of their own see, by what they are.

    Granules by themselves find more of what is rare (decision 93), and those of the cytoplasm find it beside
    whatever else a protein shows (decision 94). Cells without nuclei have no cytoplasm: give no such columns.
    """
    granules = [name for name in columns if features.parse(name).family == "granules"]
    own = (name for name in granules if features.parse(name).region == "cytoplasm")
    return {GRANULES: tuple(granules), IN_CYTOPLASM: tuple(own)}


def training_bags(work: Workspace, pictures: pd.Index, how: Normalisation | None) -> pd.DataFrame:
    """Return the bags of pictures, of columns that are chosen by their cells.

    Raises
    ------
    PipelineError
        If there is no table of cells, or it holds none.
    """
    some = cells_in_units(_some_cells(work), work, how)
    if some.empty:
        raise PipelineError(f"{work.cells}: holds no cells; leave --cells away")
    alone = seen_alone(some.columns[some.notna().any()])
    own = alone[IN_CYTOPLASM] or alone[GRANULES]
    columns = kept_columns(some.drop(columns=[*{*alone[GRANULES]}.difference(own)]), own)
    return bags_of(read_cells(work, columns, how), columns, pictures)


def _some_cells(work: Workspace) -> pd.DataFrame:
    """Return all columns of some cells, evenly over the table, which may be larger than the memory."""
    read_cells(work, ())
    check_intact(work.cells)
    known, step = {*names_in(work.cells)}, max(1, rows_in(work.cells) // MEASURED)
    names = ["Id", *(name for name in features.cell_columns() if name in known)]
    parts = [group.to_pandas().iloc[::step] for group in row_groups_of(work.cells, names)]
    return pd.concat(parts, ignore_index=True).set_index("Id") if parts else pd.DataFrame()


def with_bags(table: pd.DataFrame, model: Model, work: Workspace) -> pd.DataFrame:
    """Return a table of pictures with the bags that a model needs."""
    if CELLS not in model.stack.blocks:
        return table
    columns = cell_columns(model.stack.blocks[CELLS])
    cells = read_cells(work, columns, normalisation_of(model.card))
    return table.join(bags_of(cells, columns, table.index))


def missing_marks(bags: pd.DataFrame, channels: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Say which columns of bags are missing where only some channels were recorded."""
    left = {*features.cell_columns(None, channels)}
    return np.array([name.partition("__")[2] not in left for name in bags.columns])
