"""The stage `extract`: pictures in; masks, cells.parquet and features.parquet out."""

import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

import features
from pipeline.errors import PipelineError
from pipeline.layout import Workspace
from pipeline.measuring import Chunk, family_parts, measure_chunk, segmentation_parts
from pipeline.parts import Parts, blocks_of, write_blocks, write_table
from pipeline.problems import Problem, write_problems
from pipeline.progress import Progress
from pipeline.records import changes, read_record, replacing, text_digest, write_record
from pipeline.samples import Sample, find_samples
from pipeline.segmentation import Segmenter
from pipeline.segmentation.factory import make_segmenter
from pipeline.workers import map_chunks

_CHUNK = 16
_BLOCK = 256
_CELL_KEYS = ["Id", "label", "touches_border"]


class ExtractOptions(BaseModel):
    """What `extract` is asked to do.

    Attributes
    ----------
    images : Path
        Folder of pictures.
    samples : Path, optional
        Table of samples, for other names than the Kaggle competition's.
    work : Path
        Folder of everything that is computed.
    segmenter : str
        Name of the segmenter, with its `segmenter_options`.
    families : tuple of str, optional
        Feature families to measure; None for all.
    jobs : int
        Number of processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Path
    work: Path
    samples: Path | None = None
    segmenter: str = "watershed"
    segmenter_options: dict[str, str | float | int | None] = Field(default_factory=dict)
    families: tuple[str, ...] | None = None
    jobs: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)


@dataclass(frozen=True)
class ExtractSummary:
    """What `extract` found.

    Attributes
    ----------
    pictures, cells, measured : int
        Pictures in the table, cells in them, and pictures that had to be measured in this run.
    problems : list of Problem
        Samples that were skipped.
    """

    pictures: int
    cells: int
    measured: int
    problems: list[Problem]


@dataclass(frozen=True)
class _Plan:
    """Samples and the keys under which their results are valid."""

    samples: list[Sample]
    problems: list[Problem]
    segmenter: Segmenter
    segmenter_options: dict[str, str | float | int | None]
    families: tuple[str, ...]
    keys: dict[str, str]

    def inputs(self) -> dict[str, str]:
        versions = features.family_versions()
        groups = {sample.id: sample.group for sample in self.samples}
        return {
            "pictures": text_digest([[s.id, s.fingerprint()] for s in self.samples]),
            "groups of the samples": text_digest(groups),
            "segmenter": text_digest([self.segmenter.name, dict(self.segmenter.settings())]),
            **{f"family {family}": str(versions[family]) for family in self.families},
        }


def inputs(options: ExtractOptions) -> dict[str, str]:
    """Return the fingerprints of what `extract` would read now, by name."""
    return _plan(options).inputs()


def extract(options: ExtractOptions, progress: Progress) -> ExtractSummary:
    """Segment and measure every sample that has not been yet, then write the tables.

    Parameters
    ----------
    options : ExtractOptions
    progress : Progress

    Raises
    ------
    PipelineError
        If the samples cannot be found, a family or segmenter is unknown, or no sample is usable.
    """
    work = Workspace(options.work)
    plan = _plan(options)
    now = plan.inputs()
    record = read_record(work.record("extract"))
    if record and not changes(record, now) and work.features.exists() and work.cells.exists():
        return _summary(work, measured=0)
    chunks = _missing(plan, work, options.jobs)
    count = sum(len(chunk.samples) for chunk in chunks)
    if chunks:
        with progress.track("Segmenting and measuring pictures", count) as advance:
            for chunk, _ in map_chunks(measure_chunk, chunks, options.jobs):
                advance(len(chunk.samples))
    _write_tables(plan, work, progress)
    write_record(work.record("extract"), "extract", options, now)
    return _summary(work, measured=count)


def _plan(options: ExtractOptions) -> _Plan:
    samples, problems = find_samples(options.images, options.samples)
    segmenter = make_segmenter(options.segmenter, **options.segmenter_options)
    known = features.family_versions()
    families = tuple(known) if options.families is None else options.families
    unknown = [family for family in families if family not in known]
    if unknown:
        raise PipelineError(f"unknown family '{unknown[0]}'; known: {', '.join(known)}")
    settings = [segmenter.name, dict(segmenter.settings())]
    keys = {sample.id: text_digest([sample.fingerprint(), settings])[:24] for sample in samples}
    return _Plan(samples, problems, segmenter, options.segmenter_options, families, keys)


def _missing(plan: _Plan, work: Workspace, jobs: int) -> list[Chunk]:
    """Cut what is not done yet into chunks of samples that lack the same results."""
    segmented = segmentation_parts(work).index()
    skipped = _skipped(plan, work, segmented)
    done = {
        family: family_parts(work, "pictures", family).index().keys() & _pairs(plan)
        for family in plan.families
    }
    todo: dict[tuple[bool, tuple[str, ...]], list[Sample]] = defaultdict(list)
    for sample in plan.samples:
        pair = (sample.id, plan.keys[sample.id])
        if pair in skipped:
            continue
        has_mask = pair in segmented and work.mask(sample.id).exists()
        families = tuple(family for family in plan.families if not has_mask or pair not in done[family])
        if families or not has_mask:
            todo[has_mask, families].append(sample)
    return [
        Chunk(
            samples=tuple(chunk),
            keys=tuple(plan.keys[sample.id] for sample in chunk),
            families=families,
            segmented=has_mask,
            segmenter=plan.segmenter,
            root=work.root,
        )
        for (has_mask, families), samples in todo.items()
        for chunk in _cut(samples, jobs)
    ]


def _cut(samples: list[Sample], jobs: int) -> Iterator[list[Sample]]:
    size = max(1, min(_CHUNK, math.ceil(len(samples) / (4 * jobs))))
    return (samples[start : start + size] for start in range(0, len(samples), size))


def _pairs(plan: _Plan) -> set[tuple[str, str]]:
    return set(plan.keys.items())


def _skipped(plan: _Plan, work: Workspace, index: Mapping[tuple[str, str], Path]) -> set[tuple[str, str]]:
    """Return the samples whose pictures, unchanged since, could not be read."""
    if not index.keys() & _pairs(plan):
        return set()
    rows = segmentation_parts(work).read(plan.keys, index)
    bad = rows[rows["reason"] != ""]
    return set(zip(bad["Id"], bad["key"], strict=True))


def _write_tables(plan: _Plan, work: Workspace, progress: Progress) -> None:
    rows = segmentation_parts(work).read(plan.keys, segmentation_parts(work).index())
    bad = rows[rows["reason"] != ""]
    problems = plan.problems + [
        Problem(row["Id"], row["file"], row["reason"], row["remedy"]) for row in bad.to_dict("records")
    ]
    write_problems(work.problems, problems)
    good = rows[rows["reason"] == ""]
    if good.empty:
        raise PipelineError(f"no picture could be read; see {work.problems} for each one's reason and remedy")
    groups = {sample.id: sample.group for sample in plan.samples}
    table = good[["Id", "pixel_size_um", "height", "width", "cells"]].copy()
    table["group"] = table["Id"].map(groups).astype("string")
    write_table(work.samples, table)
    keys = {sample: plan.keys[sample] for sample in good["Id"]}
    with_cells = {sample: keys[sample] for sample in good["Id"][good["cells"] > 0]}
    pictures = _join(plan, keys, lambda family: family_parts(work, "pictures", family), ["Id"])
    cells = _join(plan, with_cells, lambda family: family_parts(work, "cells", family), _CELL_KEYS)
    with progress.track("Writing tables", math.ceil(len(keys) / _BLOCK)) as advance:
        write_blocks(work.cells, cells if with_cells else [_no_cells(plan)])
        write_blocks(work.features, _counted(pictures, advance))
    description = {
        "segmenter": plan.segmenter.name,
        "options": plan.segmenter_options,
        "settings": dict(plan.segmenter.settings()),
        "families": {family: features.family_versions()[family] for family in plan.families},
    }
    with replacing(work.extraction) as temporary:
        temporary.write_text(json.dumps(description, indent=1))


def _no_cells(plan: _Plan) -> pd.DataFrame:
    """Return the table of cells of pictures without any."""
    table = pd.DataFrame(columns=[*_CELL_KEYS, *features.cell_columns(plan.families)], dtype="float32")
    return table.astype({"Id": str, "label": "int64", "touches_border": bool})


def _counted(blocks: Iterator[pd.DataFrame], advance: Callable[[int], None]) -> Iterator[pd.DataFrame]:
    for block in blocks:
        yield block
        advance(1)


def _join(
    plan: _Plan, keys: Mapping[str, str], parts: Callable[[str], Parts], shared: list[str]
) -> Iterator[pd.DataFrame]:
    """Put the families side by side, a block of samples at a time, in the order of the samples."""
    indices = {family: parts(family).index() for family in plan.families}
    for block in blocks_of(list(keys), _BLOCK):
        wanted = {sample: keys[sample] for sample in block}
        tables = [parts(family).read(wanted, indices[family]) for family in plan.families]
        rest = [table.drop(columns=[*shared, "key"]) for table in tables]
        yield pd.concat([tables[0][shared], *rest], axis=1)


def _summary(work: Workspace, measured: int) -> ExtractSummary:
    samples = pd.read_parquet(work.samples)
    problems = pd.read_csv(work.problems, dtype=str, keep_default_na=False)
    return ExtractSummary(
        pictures=len(samples),
        cells=int(samples["cells"].sum()),
        measured=measured,
        problems=[Problem(*row) for row in problems.itertuples(index=False)],
    )
