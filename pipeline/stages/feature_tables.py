"""The tables of `extract`: of samples, their quality, cells and features, out of finished parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd
import pyarrow as pa

import features
from pipeline.core.errors import PipelineError
from pipeline.core.files import as_arrow, write_blocks, write_folder, write_table
from pipeline.core.names import counted
from pipeline.core.stage import Progress
from pipeline.core.workspace import Workspace
from pipeline.data.masks import Origin
from pipeline.data.picture_quality import COLUMNS
from pipeline.data.quality_flags import flags
from pipeline.data.samples import Sample
from pipeline.stages.measuring import MASK_DIGITS, family_parts, hash_parts, segmentation_parts

_BLOCKS = {"cells": 256, "pictures": 4096}
"""Samples in a block of a table: what is held in memory while it is written."""
LARGEST_FILE = 2**28
"""Numbers in a file of cells, about: a gigabyte before it is packed. Of more, there are several files."""
_CELL_KEYS = ["Id", "label", "touches_border"]


def write_samples(
    work: Workspace,
    samples: Sequence[Sample],
    found: pd.DataFrame,
    keys: Mapping[str, str],
    masks: Mapping[str, Origin],
    progress: Progress,
) -> None:
    """Write samples.parquet and quality.parquet.

    Parameters
    ----------
    work : Workspace
    samples : sequence of Sample
        Those that were measured.
    found : DataFrame
        Their rows of the segmentation, in the same order.
    keys : mapping of str to str
        Keys of what was measured, by Id.
    masks : mapping of str to Origin
        Where each label image comes from.
    progress : Progress
    """
    table = found[["Id", "pixel_size_um", "height", "width", "cells"]].reset_index(drop=True)
    table["channels"] = [" ".join(sample.channels) for sample in samples]
    table["group"] = pd.array([sample.group for sample in samples], dtype="string")
    table["mask"] = [masks[sample].state for sample in keys]
    table["mask_digest"] = [masks[sample].digest[:MASK_DIGITS] for sample in keys]
    lost = [masks[sample].without for sample in keys]
    table["left_out"] = ["; ".join(f"{why}: {number}" for why, number in one.items()) for one in lost]
    seen = hash_parts(work).read(keys, hash_parts(work).located(keys))
    table["hash"], table["doubt"] = seen["hash"].to_numpy(), seen["doubt"].to_numpy()
    # parts of older versions have no notes
    table["note"] = found.get("note", pd.Series("", found.index)).fillna("").to_numpy()
    noted = table["note"][table["note"] != ""]
    if len(noted):
        what = noted.iloc[0].partition(" (")[0]
        progress.note(f"{counted(len(noted), 'picture')}: {what}; where is in {work.samples.name} (note)")
    metadata = metadata_of(samples)
    write_table(work.samples, with_metadata(metadata, table))
    graded = with_metadata(metadata, pd.concat([table[["Id", "cells"]], seen[COLUMNS]], axis=1))
    write_table(work.quality, graded.assign(flags=flags(graded)))
    lacking = int(table["pixel_size_um"].isna().sum())
    if 0 < lacking < len(table):
        progress.note(
            f"{lacking:,} of {counted(len(table), 'picture')} state no pixel size: lengths are in pixels "
            "there, in µm in the others; state pixel_size_um for all"
        )


def write_measured(
    work: Workspace,
    samples: Sequence[Sample],
    cells: "pd.Series[int]",
    keys: Mapping[str, str],
    families: Sequence[str],
    progress: Progress,
) -> None:
    """Write cells.parquet and features.parquet of families; of many cells, a folder of files by that name.

    Parameters
    ----------
    work, samples, keys, progress
        As for `write_samples`.
    cells : Series of int
        Number of cells of each sample.
    families : sequence of str
    """
    with_cells = {sample.id: keys[sample.id] for sample, count in zip(samples, cells, strict=True) if count}
    metadata, most = metadata_of(samples), LARGEST_FILE // len(features.cell_columns(families))
    with progress.track("Writing tables", len(keys) + len(with_cells)) as advance:
        rows = _join(work, metadata, families, "cells", with_cells, advance)
        if cells.sum() > most:
            write_folder(work.cells, rows, most)
        else:
            write_blocks(work.cells, rows if with_cells else [as_arrow(_no_cells(metadata, families))])
        write_blocks(work.features, _join(work, metadata, families, "pictures", keys, advance))


def metadata_of(samples: Sequence[Sample]) -> pd.DataFrame:
    """Return what is known of samples, index ``Id``; "" where nothing is."""
    known = {sample.id: dict(sample.metadata) for sample in samples}
    names = sorted({name for said in known.values() for name in said})
    columns = {name: [said.get(name, "") for said in known.values()] for name in names}
    return pd.DataFrame(columns, index=list(known), dtype="str")


def with_metadata(metadata: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with what is known of its pictures right after their ids."""
    further = metadata.loc[table["Id"]].set_axis(table.index)
    return pd.concat([table[["Id"]], further, table.drop(columns="Id")], axis=1)


def _no_cells(metadata: pd.DataFrame, families: Sequence[str]) -> pd.DataFrame:
    """Return the table of cells of pictures without any."""
    table = pd.DataFrame(columns=[*_CELL_KEYS, *features.cell_columns(families)], dtype="float32")
    return with_metadata(metadata, table.astype({"Id": str, "label": "int64", "touches_border": bool}))


def _join(
    work: Workspace,
    metadata: pd.DataFrame,
    families: Sequence[str],
    name: str,
    keys: Mapping[str, str],
    advance: Callable[[int], None],
) -> Iterator[pa.Table]:
    """Put the families side by side, a block of samples at a time, in the order of the samples."""
    parts = [family_parts(work, name, family) for family in families]
    order = features.picture_columns(families)
    if name == "pictures":
        parts.append(segmentation_parts(work))
    else:
        order = [*_CELL_KEYS[1:], *features.cell_columns(families)]
    homes, pairs = [part.located(keys) for part in parts], list(keys.items())
    for start in range(0, len(keys), _BLOCKS[name]):
        here = slice(start, start + _BLOCKS[name])
        wanted = dict(pairs[here])
        columns: dict[str, pa.ChunkedArray] = {}
        first = pd.DataFrame()
        for part, home in zip(parts, homes, strict=True):
            rows = part.read(wanted, home[here])
            shared = rows[[column for column in _CELL_KEYS if column in rows]]
            first = shared if first.empty else first
            if not first[list(shared)].equals(shared):
                raise PipelineError(
                    f"{work.parts}: families' rows are of different cells; remove it, and run extract again"
                )
            table = as_arrow(rows)
            columns |= dict(zip(table.column_names, table.columns, strict=True))
        known = as_arrow(with_metadata(metadata, first[["Id"]]))
        names = [*known.column_names, *order]
        yield pa.table([*known.columns, *(columns[column] for column in order)], names=names)
        advance(len(wanted))
