"""Segment and measure one chunk of samples: what a worker process of `extract` does."""

from contextlib import nullcontext
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import features
from pipeline.core.errors import RUN_AGAIN, PipelineError, Problem, SampleError
from pipeline.core.store import Parts
from pipeline.core.workers import torch_threads
from pipeline.core.workspace import Workspace
from pipeline.data.groups import HASH_VERSION, perceptual_hash
from pipeline.data.pictures import Picture, Segmentation, read_mask, read_picture, write_mask
from pipeline.data.quality_control import VERSION as DOUBT_VERSION
from pipeline.data.quality_control import doubt
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
    """Parts with the perceptual hash of every picture, and what is wrong with it."""
    return Parts(work.parts / f"hashes-v{HASH_VERSION}-doubts-v{DOUBT_VERSION}")


def measure_chunk(chunk: Chunk) -> list[Problem]:
    """Segment and measure the samples of a chunk and write its parts; return passing troubles.

    The segmentation's part is written last: a sample counts as done only when everything else is there.
    Samples with a passing trouble are in no part, so that they are tried again.
    """
    work = Workspace(chunk.root)
    network = chunk.segmenter.uses_torch and not chunk.segmented
    # more threads could change the last bits of sums
    with threadpool_limits(limits=1), torch_threads(1) if network else nullcontext():
        keyed = zip(chunk.samples, chunk.keys, strict=True)
        found = [_measure(sample, key, chunk, work) for sample, key in keyed]
    rows = [row for row in found if isinstance(row, _Measured)]
    usable = [row for row in rows if not row.summary["reason"]]
    if usable:
        for family in chunk.families:
            _write_family(work, family, usable)
        if not chunk.hashed:
            hashes = [row.keyed | {"hash": row.hash, "doubt": row.doubt} for row in usable]
            hash_parts(work).write(pd.DataFrame(hashes))
    if rows and not chunk.segmented:
        summaries = [row.keyed | row.summary | _counts(row) for row in rows]
        segmentation_parts(work).write(pd.DataFrame(summaries))
    return [row for row in found if isinstance(row, Problem)]


@dataclass(frozen=True)
class _Measured:
    """One sample: id and key, its row of the segmentation, by family its cells and the picture's numbers."""

    keyed: dict[str, str]
    summary: dict[str, object]
    cells: dict[str, pd.DataFrame] = field(default_factory=dict)
    touches_border: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    picture: dict[str, dict[str, float]] = field(default_factory=dict)
    hash: str = ""
    doubt: str = ""


def _measure(sample: Sample, key: str, chunk: Chunk, work: Workspace) -> _Measured | Problem:
    """Measure one sample; whatever goes wrong with it alone is its problem, never the run's."""
    keyed = {"Id": sample.id, "key": key}
    try:
        return _measure_picture(keyed, sample, read_picture(sample), chunk, work)
    except SampleError as error:
        if error.problem.is_passing:
            return error.problem
        _, *problem = astuple(error.problem)
        return _Measured(keyed, _summary(problem=tuple(problem)))
    except (PipelineError, OSError):
        raise  # not of this sample alone: weights, a full disk
    except Exception as error:
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise  # Ctrl-C in compiled code
        # one picture never ends the run
        return _unexpected(sample, error)


def _unexpected(sample: Sample, error: Exception) -> Problem:
    detail = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
    remedy = f"{RUN_AGAIN}; if it stays, leave the sample out and report this with its pictures"
    if isinstance(error, MemoryError):
        remedy = f"{RUN_AGAIN} with fewer --jobs or more memory"
    return Problem(sample.id, sample.path("nucleus").name, f"cannot be measured ({detail})", remedy)


def _measure_picture(
    keyed: dict[str, str], sample: Sample, picture: Picture, chunk: Chunk, work: Workspace
) -> _Measured:
    found = _segment(sample, picture, chunk, work)
    size, families = picture.pixel_size_um, chunk.families
    cells = features.measure(picture.pixels, found.cells, found.nuclei, pixel_size_um=size, families=families)
    cut = features.touches_border(found.cells)
    numbers = features.aggregate(cells, touches_border=cut)
    whole = features.measure_field(picture.pixels, pixel_size_um=size, families=families)
    numbers |= {family: numbers[family] | row for family, row in whole.items()}
    summary = _summary(picture, found.count)
    seen = perceptual_hash(picture.pixels), doubt(picture.pixels, found)
    return _Measured(keyed, summary, cells, cut, numbers, *seen)


def _segment(sample: Sample, picture: Picture, chunk: Chunk, work: Workspace) -> Segmentation:
    if chunk.segmented:
        return read_mask(work.mask(sample.id))
    found = chunk.segmenter.segment(picture)
    write_mask(work.mask(sample.id), found)
    return found


def _summary(
    picture: Picture | None = None, count: int = 0, problem: tuple[str, ...] = ("", "", "")
) -> dict[str, object]:
    height, width = picture.shape if picture else (0, 0)
    size = picture.pixel_size_um if picture else None
    return {
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


def _write_family(work: Workspace, family: str, rows: list[_Measured]) -> None:
    cells = pd.concat([_cells_of(row, family) for row in rows], ignore_index=True)
    if len(cells):
        family_parts(work, "cells", family).write(cells)
    family_parts(work, "pictures", family).write(pd.DataFrame([_picture_of(row, family) for row in rows]))


def _cells_of(row: _Measured, family: str) -> pd.DataFrame:
    cells = row.cells[family].reset_index(names="label")
    cells.insert(0, "Id", row.keyed["Id"])
    cells.insert(1, "key", row.keyed["key"])
    cells.insert(3, "touches_border", row.touches_border)
    return cells


def _picture_of(row: _Measured, family: str) -> dict[str, object]:
    return row.keyed | {name: np.float32(value) for name, value in row.picture[family].items()}
