"""The tables of `extract`: of samples, their quality, cells and features, out of finished parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

import features
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_blocks, write_table
from pipeline.core.names import counted
from pipeline.core.stage import Progress
from pipeline.core.workers import blocks_of
from pipeline.core.workspace import Workspace
from pipeline.data.masks import Origin
from pipeline.data.picture_quality import COLUMNS
from pipeline.data.quality_flags import flags
from pipeline.data.samples import Sample
from pipeline.stages.measuring import MASK_DIGITS, family_parts, hash_parts, segmentation_parts

_BLOCKS = {"cells": 256, "pictures": 4096}
"""Samples in a block of a table: what is held in memory while it is written."""
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
    seen = hash_parts(work).read(keys, hash_parts(work).index())
    table["hash"], table["doubt"] = seen["hash"].to_numpy(), seen["doubt"].to_numpy()
    # parts of older versions have no notes
    table["note"] = found.get("note", pd.Series("", found.index)).fillna("").to_numpy()
    noted = table["note"][table["note"] != ""]
    if len(noted):
        what = noted.iloc[0].partition(" (")[0]
        progress.note(f"{counted(len(noted), 'picture')}: {what}; where is in {work.samples.name} (note)")
    write_table(work.samples, with_metadata(samples, table))
    graded = with_metadata(samples, pd.concat([table[["Id", "cells"]], seen[COLUMNS]], axis=1))
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
    """Write cells.parquet and features.parquet of families.

    Parameters
    ----------
    work, samples, keys, progress
        As for `write_samples`.
    cells : Series of int
        Number of cells of each sample.
    families : sequence of str
    """
    with_cells = {sample.id: keys[sample.id] for sample, count in zip(samples, cells, strict=True) if count}
    with progress.track("Writing tables", len(keys) + len(with_cells)) as advance:
        rows = _join(work, samples, families, "cells", with_cells, advance)
        write_blocks(work.cells, rows if with_cells else [_no_cells(samples, families)])
        write_blocks(work.features, _join(work, samples, families, "pictures", keys, advance))


def with_metadata(samples: Sequence[Sample], table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with what is known of its pictures, right after their ids; "" where nothing is."""
    known = {sample.id: dict(sample.metadata) for sample in samples}
    names = sorted({name for said in known.values() for name in said})
    columns = {name: [known[sample].get(name, "") for sample in table["Id"]] for name in names}
    further = pd.DataFrame(columns, index=table.index, dtype="str")
    return pd.concat([table[["Id"]], further, table.drop(columns="Id")], axis=1)


def _no_cells(samples: Sequence[Sample], families: Sequence[str]) -> pd.DataFrame:
    """Return the table of cells of pictures without any."""
    table = pd.DataFrame(columns=[*_CELL_KEYS, *features.cell_columns(families)], dtype="float32")
    return with_metadata(samples, table.astype({"Id": str, "label": "int64", "touches_border": bool}))


def _join(
    work: Workspace,
    samples: Sequence[Sample],
    families: Sequence[str],
    name: str,
    keys: Mapping[str, str],
    advance: Callable[[int], None],
) -> Iterator[pd.DataFrame]:
    """Put the families side by side, a block of samples at a time, in the order of the samples."""
    parts = [family_parts(work, name, family) for family in families]
    order = ["Id", *features.picture_columns(families)]
    if name == "pictures":
        parts.append(segmentation_parts(work))
    else:
        order = [*_CELL_KEYS, *features.cell_columns(families)]
    indices = [part.index() for part in parts]
    for block in blocks_of(list(keys), _BLOCKS[name]):
        wanted = {sample: keys[sample] for sample in block}
        tables = [part.read(wanted, index) for part, index in zip(parts, indices, strict=True)]
        rows = pd.concat(tables, axis=1)
        shared = [column for column in _CELL_KEYS if column in tables[0]]
        if any(not table[shared].equals(tables[0][shared]) for table in tables):
            raise PipelineError(
                f"{work.parts}: families' rows are of different cells; remove it, and run extract again"
            )
        yield with_metadata(samples, rows.loc[:, ~rows.columns.duplicated()][order])
        advance(len(block))
