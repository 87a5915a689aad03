"""What a work folder knows of its cells or of its pictures, for other programs; read a block at a time."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from features.naming import parse
from pipeline.core.errors import PipelineError
from pipeline.core.made_tables import batches_of, names_in, rows_in
from pipeline.core.names import unknown
from pipeline.core.stage import read_made
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import METADATA, PLATE, WELL
from pipeline.data.masks import centres_of, read_mask
from pipeline.data.tables import Note, match
from pipeline.exchange.column_names import COMPARTMENTS, is_feature, name_table

Per = Literal["cell", "picture"]

NUMBERS_AT_ONCE = 2**22
"""Numbers that are in memory at a time, of whatever a table holds."""

_OWN = tuple(
    f"{METADATA}{name}"
    for name in ("Id", "ImageNumber", "ObjectNumber", "TouchesBorder", "Labels", "Predicted", "Status")
)
"""Names that exports give to what they know themselves."""

_OF_FILES = ("cells", "mask", "mask_digest", "hash", "note")
"""Columns of samples that say nothing to other programs."""


class Block(NamedTuple):
    """Some rows: what they are of, where the cells lie, and their features.

    Attributes
    ----------
    keys : DataFrame
        ``Metadata_*``, also ``Metadata_ImageNumber`` and, of cells, ``Metadata_ObjectNumber``.
    places : DataFrame of float64
        Of cells, ``<Cells, Nuclei, Cytoplasm>_Location_Center_<X, Y>`` in pixels from the middle of the first
        one; NaN where a cell has no such part.
    features : DataFrame of float32
    """

    keys: pd.DataFrame
    places: pd.DataFrame
    features: pd.DataFrame


@dataclass(frozen=True)
class Profiles:
    """The cells or the pictures of a work folder.

    Attributes
    ----------
    pictures : DataFrame
        Index ``Id``; what is known of the pictures, as ``Metadata_*``.
    names : DataFrame
        What the columns are called; see `name_table`.
    """

    work: Workspace
    per: Per
    pictures: pd.DataFrame
    names: pd.DataFrame

    @property
    def path(self) -> Path:
        """The table of the rows."""
        return self.work.cells if self.per == "cell" else self.work.features

    @property
    def rows(self) -> int:
        """Number of cells or pictures."""
        return rows_in(self.path)

    def only(self, part: str, values: Sequence[str]) -> Self:
        """Return those features whose names have one of some values in one part; see `name_table`."""
        return replace(self, names=self.names[self.names[part].isin(values)])

    def blocks(self) -> Iterator[Block]:
        """Read the rows in their order, as many at a time as keep the memory flat."""
        columns = [*self._keys, *self.names["column"]]
        centres = lru_cache(1)(partial(_centres, self.work))  # a block may end within a picture
        for batch in batches_of(self.path, columns, max(1, NUMBERS_AT_ONCE // len(columns))):
            yield self._block(batch.to_pandas(), centres)

    def of_picture(self, sample: str) -> pd.DataFrame:
        """Read all that is known of the cells of one picture; the index is their labels."""
        columns = [*self._keys, *self.names["column"]]
        rows = pq.read_table(self.path, columns=columns, filters=[("Id", "=", sample)]).to_pandas()
        block = self._block(rows, partial(_centres, self.work))
        return pd.concat(block, axis=1).set_index("Metadata_ObjectNumber")

    def _block(self, rows: pd.DataFrame, centres: Callable[[str], pd.DataFrame]) -> Block:
        values = rows[self.names["column"]].set_axis(self.names.index, axis=1).astype(np.float32)
        keys = self.pictures.loc[rows["Id"]].reset_index(names="Metadata_Id")
        places = [pd.DataFrame(index=keys.index[:0])]
        if self.per == "cell":
            keys["Metadata_ObjectNumber"] = rows["label"]
            keys["Metadata_TouchesBorder"] = rows["touches_border"]
            cells = rows.groupby("Id", sort=False)["label"]
            places += [centres(str(sample)).reindex(labels) for sample, labels in cells]
        return Block(keys, pd.concat(places, ignore_index=True), values)

    def columns(self) -> Iterator[pd.DataFrame]:
        """Read the features some columns at a time, all rows of them."""
        most = max(1, 4 * NUMBERS_AT_ONCE // max(1, self.rows))
        for start in range(0, len(self.names), most):
            part = self.names.iloc[start : start + most]
            yield read_made(self.path, list(part["column"])).set_axis(part.index, axis=1)

    @property
    def _keys(self) -> list[str]:
        return ["Id", "label", "touches_border"] if self.per == "cell" else ["Id"]


def _centres(work: Workspace, sample: str) -> pd.DataFrame:
    """Return the centres of the cells of a picture, of their nuclei and their cytoplasms, by label."""
    mask = read_mask(work.mask(sample))
    outside = np.where(mask.nuclei > 0, 0, mask.cells)
    parts = zip(COMPARTMENTS.values(), (mask.cells, mask.nuclei, outside), strict=True)
    known = np.unique(mask.cells)
    return pd.DataFrame(
        {
            f"{name}_Location_Center_{axis}": values
            for name, labels in parts
            for axis, values in zip("XY", centres_of(labels, known).T, strict=True)
        },
        index=known,
    )


def open_profiles(work: Workspace, per: Per, families: Sequence[str], pictures: pd.DataFrame) -> Profiles:
    """Look at what a work folder holds of some families of features, of all where none is named.

    Raises
    ------
    PipelineError
        If a family was not measured.
    """
    path = work.cells if per == "cell" else work.features
    columns = [name for name in names_in(path) if is_feature(name)]
    if families:
        measured = dict.fromkeys(parse(name).family for name in columns)
        for family in families:
            if family not in measured:
                raise PipelineError(f"{path}: {unknown('family', family, measured)}")
        columns = [name for name in columns if parse(name).family in families]
    return Profiles(work, per, pictures, name_table(columns))


def read_pictures(work: Workspace, given: Sequence[tuple[Path, pd.DataFrame]], note: Note) -> pd.DataFrame:
    """Read what is known of the pictures: columns ``Metadata_*`` by ``Id``.

    Pictures without a plate are of the plate ``unknown``, and those without a well are each a well of their
    own, which is said.

    Parameters
    ----------
    work : Workspace
    given : sequence of (Path, DataFrame)
        Further columns of text by ``Id``, with the files that they are of.
    note : callable

    Raises
    ------
    PipelineError
        If a file knows none of the pictures.
    """
    table = read_made(work.samples).set_index("Id").sort_index()
    table = table.drop(columns=[name for name in _OF_FILES if name in table])
    names = {str(name): _metadata(str(name), set(table.columns)) for name in table}
    table = table.rename(columns=names)
    for name, new in names.items():
        if name.startswith(METADATA) and not _is_same(name, new):
            note(f"{work.samples}: its {name} is called {new}: that name has a meaning of its own here")
    for path, texts in given:
        match(path, texts.index, table.index, note)
        table = table.join(texts.astype("str"))
    numbers = pd.Series(range(1, len(table) + 1), table.index)
    rest = table.drop(columns=[PLATE, WELL], errors="ignore")
    said = [name for name in (PLATE, WELL) if name not in table]
    if said:
        note(
            f"{work.samples} has no {' and no '.join(said)}: the plate is 'unknown' then, and each picture "
            "a well of its own, by its Id; give the columns in samples.csv, and extract again"
        )
    plate = table.get(PLATE, pd.Series("unknown", table.index))
    well = table.get(WELL, table.index.to_series())
    return pd.concat(
        [plate.rename(PLATE), well.rename(WELL), rest, numbers.rename("Metadata_ImageNumber")], axis=1
    )


def _metadata(name: str, known: Container[str]) -> str:
    """Return the name of what is known of a picture; plate and well as other programs look for them."""
    if not name.startswith(METADATA):
        return f"{METADATA}{name}"
    if name in _OWN or name.removeprefix(METADATA) in known:
        return f"{name}_of_samples"
    return next((one for one in (PLATE, WELL) if _is_same(one, name)), name)


def _is_same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
