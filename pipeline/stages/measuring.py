"""Segment and measure one chunk of samples: what a worker process of `extract` does."""

from contextlib import nullcontext
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import features
from pipeline.core.errors import SampleError
from pipeline.core.store import Parts
from pipeline.core.workers import torch_threads
from pipeline.core.workspace import Workspace
from pipeline.data.groups import HASH_VERSION, perceptual_hash
from pipeline.data.pictures import Picture, Segmentation, read_mask, read_picture, write_mask
from pipeline.data.samples import Sample
from pipeline.segmentation import Segmenter


@dataclass(frozen=True)
class Chunk:
    """Samples that lack the same results.

    Attributes
    ----------
    samples : tuple of Sample
    keys : tuple of str
        Digest of each sample's pictures and of the segmentation.
    families : tuple of str
        Feature families to measure.
    segmented, hashed : bool
        Whether the masks, and the perceptual hashes, are there already.
    segmenter : Segmenter
    root : Path
        The work folder.
    """

    samples: tuple[Sample, ...]
    keys: tuple[str, ...]
    families: tuple[str, ...]
    segmented: bool
    hashed: bool
    segmenter: Segmenter
    root: Path


def segmentation_parts(work: Workspace) -> Parts:
    """Parts with one row per sample: its size, number of cells, or why it was skipped."""
    return Parts(work.parts / "segmentation")


def family_parts(work: Workspace, table: str, family: str) -> Parts:
    """Parts of one family: `table` is "cells" or "pictures"."""
    return Parts(work.parts / table / f"{family}-v{features.family_versions()[family]}")


def hash_parts(work: Workspace) -> Parts:
    """Parts with the perceptual hash of every picture."""
    return Parts(work.parts / f"hashes-v{HASH_VERSION}")


def measure_chunk(chunk: Chunk) -> int:
    """Segment and measure the samples of a chunk and write its parts; return the number of samples.

    The segmentation's part is written last: a sample counts as done only when everything else is there.
    """
    work = Workspace(chunk.root)
    network = chunk.segmenter.uses_torch and not chunk.segmented
    # more threads could change the last bits of sums
    with threadpool_limits(limits=1), torch_threads(1) if network else nullcontext():
        rows = [_measure(sample, chunk, work) for sample in chunk.samples]
    for family in chunk.families:
        _write_family(work, chunk, family, rows)
    if not chunk.hashed:
        _write_hashes(work, chunk, rows)
    if not chunk.segmented:
        summaries = pd.DataFrame([row.summary | _counts(row) for row in rows])
        summaries.insert(1, "key", chunk.keys)
        segmentation_parts(work).write(summaries)
    return len(chunk.samples)


@dataclass(frozen=True)
class _Measured:
    """One sample: its row of the segmentation, and by family its cells and the picture's numbers."""

    summary: dict[str, object]
    cells: dict[str, pd.DataFrame] = field(default_factory=dict)
    touches_border: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    picture: dict[str, dict[str, float]] = field(default_factory=dict)
    hash: str = ""


def _measure(sample: Sample, chunk: Chunk, work: Workspace) -> _Measured:
    try:
        picture = read_picture(sample)
    except SampleError as error:
        _, *problem = astuple(error.problem)
        return _Measured(_summary(sample, problem=tuple(problem)))
    found = _segment(sample, picture, chunk, work)
    size, families = picture.pixel_size_um, chunk.families
    cells = features.measure(picture.pixels, found.cells, found.nuclei, pixel_size_um=size, families=families)
    cut = features.touches_border(found.cells)
    numbers = features.aggregate(cells, touches_border=cut)
    whole = features.measure_field(picture.pixels, pixel_size_um=size, families=families)
    numbers |= {family: numbers[family] | row for family, row in whole.items()}
    summary = _summary(sample, picture, found.count)
    return _Measured(summary, cells, cut, numbers, perceptual_hash(picture.pixels))


def _segment(sample: Sample, picture: Picture, chunk: Chunk, work: Workspace) -> Segmentation:
    if chunk.segmented:
        return read_mask(work.mask(sample.id))
    found = chunk.segmenter.segment(picture)
    write_mask(work.mask(sample.id), found)
    return found


def _summary(
    sample: Sample,
    picture: Picture | None = None,
    count: int = 0,
    problem: tuple[str, ...] = ("", "", ""),
) -> dict[str, object]:
    height, width = picture.shape if picture else (0, 0)
    size = picture.pixel_size_um if picture else None
    return {
        "Id": sample.id,
        "pixel_size_um": np.nan if size is None else size,
        "height": height,
        "width": width,
        "cells": count,
        **dict(zip(("file", "reason", "remedy"), problem, strict=True)),
    }


def _counts(row: _Measured) -> dict[str, np.float32]:
    """Return what a picture's row says about its cells as a population: it belongs to no family."""
    counts = row.picture.get("population", {})
    return {name: np.float32(counts.get(name, np.nan)) for name in features.picture_columns(())}


def _write_family(work: Workspace, chunk: Chunk, family: str, rows: list[_Measured]) -> None:
    usable = [(row, key) for row, key in zip(rows, chunk.keys, strict=True) if not row.summary["reason"]]
    if not usable:
        return
    cells = pd.concat([_cells_of(row, key, family) for row, key in usable], ignore_index=True)
    if len(cells):
        family_parts(work, "cells", family).write(cells)
    family_parts(work, "pictures", family).write(
        pd.DataFrame([_picture_of(row, key, family) for row, key in usable])
    )


def _write_hashes(work: Workspace, chunk: Chunk, rows: list[_Measured]) -> None:
    pairs = zip(rows, chunk.keys, strict=True)
    hashes = [
        {"Id": row.summary["Id"], "key": key, "hash": row.hash}
        for row, key in pairs
        if not row.summary["reason"]
    ]
    if hashes:
        hash_parts(work).write(pd.DataFrame(hashes))


def _cells_of(row: _Measured, key: str, family: str) -> pd.DataFrame:
    cells = row.cells[family].reset_index(names="label")
    cells.insert(0, "Id", str(row.summary["Id"]))
    cells.insert(1, "key", key)
    cells.insert(3, "touches_border", row.touches_border)
    return cells


def _picture_of(row: _Measured, key: str, family: str) -> dict[str, object]:
    values = {name: np.float32(value) for name, value in row.picture[family].items()}
    return {"Id": row.summary["Id"], "key": key, **values}
