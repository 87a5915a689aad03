"""Tables of cells and pictures as CellProfiler's ExportToSpreadsheet and CytoTable write them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.core.stage import Advance
from pipeline.exchange.column_names import COMPARTMENTS
from pipeline.exchange.profiles import Block, Profiles

Append = Callable[[pd.DataFrame], None]


def write_cytotable(path: Path, profiles: Profiles, advance: Advance) -> None:
    """Write one parquet file as CytoTable joins CellProfiler's tables: ``Metadata_*``, then the features."""
    with _appending(path, _parquet) as append:
        for block in profiles.blocks():
            append(pd.concat([_joined_keys(block, profiles), block.places, block.features], axis=1))
            advance(len(block.keys))


def _joined_keys(block: Block, profiles: Profiles) -> pd.DataFrame:
    """Return what rows are of; a cell, its nucleus and its cytoplasm have one number."""
    if profiles.per == "picture":
        return block.keys
    number = block.keys["Metadata_ObjectNumber"]
    related = ("Cells_Parent_Nuclei", "Cytoplasm_Parent_Cells", "Cytoplasm_Parent_Nuclei")
    return block.keys.assign(**{f"Metadata_{name}": number for name in related})


def write_cellprofiler(folder: Path, profiles: Profiles, pictures: Profiles, advance: Advance) -> None:
    """Write ``Image.csv`` and, of cells, ``Cells.csv, Nuclei.csv, Cytoplasm.csv``.

    Parameters
    ----------
    profiles : Profiles
        Cells, or pictures.
    pictures : Profiles
        Features of whole pictures and, unless cells are written, those of their cells summarised.
    """
    with _appending(folder / "Image.csv", pyarrow.csv.CSVWriter) as append:
        for block in pictures.blocks():
            append(_image_rows(block, pictures))
    if profiles.per == "picture":
        return
    with ExitStack() as files:
        tables = {
            name: files.enter_context(_appending(folder / f"{name}.csv", pyarrow.csv.CSVWriter))
            for name in COMPARTMENTS.values()
        }
        for block in profiles.blocks():
            for name, append in tables.items():
                append(_object_rows(name, block))
            advance(len(block.keys))


def _image_rows(block: Block, pictures: Profiles) -> pd.DataFrame:
    """Return rows of ``Image.csv``, where names do not begin with ``Image_``."""
    keys = block.keys.rename(columns={"Metadata_ImageNumber": "ImageNumber"})
    keys["FileName_Masks"] = keys["Metadata_Id"] + ".tif"
    keys["PathName_Masks"] = str(pictures.work.masks.absolute())
    rest = keys.columns.drop("ImageNumber")
    features = block.features.rename(columns=lambda name: name.removeprefix("Image_"))
    return pd.concat([keys[["ImageNumber", *rest]], features], axis=1)


def _object_rows(name: str, block: Block) -> pd.DataFrame:
    """Return rows of one table of objects; what a cell does not have is there without numbers."""
    prefix = f"{name}_"
    number = block.keys["Metadata_ObjectNumber"]
    keys = {"ImageNumber": block.keys["Metadata_ImageNumber"], "ObjectNumber": number}
    keys["Number_Object_Number"] = number
    parents = {"Cells": ("Nuclei",), "Nuclei": (), "Cytoplasm": ("Cells", "Nuclei")}
    keys |= {f"Parent_{parent}": number for parent in parents[name]}
    measured = [
        table.loc[:, table.columns.str.startswith(prefix)].rename(
            columns=lambda column: column.removeprefix(prefix)
        )
        for table in (block.places, block.features)
    ]
    return pd.concat([pd.DataFrame(keys), *measured], axis=1)


@contextmanager
def _appending(path: Path, open_file: Callable[[Path, pa.Schema], Any]) -> Iterator[Append]:
    """Give what writes one block of rows after another into a file."""
    with ExitStack() as stack:
        opened: list[tuple[pa.Schema, Any]] = []

        def append(rows: pd.DataFrame) -> None:
            if not opened:
                schema = pa.Schema.from_pandas(rows, preserve_index=False).remove_metadata()
                opened.append((schema, stack.enter_context(open_file(path, schema))))
            schema, writer = opened[0]
            writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))

        yield append


def _parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    keys = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=keys)
