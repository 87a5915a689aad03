"""The stage `extract`: pictures in; masks, cells.parquet and features.parquet out."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

import features
from pipeline.core.errors import PipelineError
from pipeline.core.files import remove_leftovers, text_digest, write_blocks, write_table
from pipeline.core.problems import Problem, read_problems, write_problems
from pipeline.core.progress import Progress
from pipeline.core.stage import changes, read_record, write_record
from pipeline.core.workers import blocks_of, share_out, workers
from pipeline.core.workspace import Workspace
from pipeline.data.near_duplicates import HASH_VERSION
from pipeline.data.samples import Sample, find_samples
from pipeline.segmentation.diameter import calibrate
from pipeline.segmentation.factory import make_segmenter
from pipeline.segmentation.protocol import Segmenter
from pipeline.stages.extraction import Extraction, SegmenterOption
from pipeline.stages.jit_warm_up import rehearse
from pipeline.stages.measuring import Chunk, family_parts, hash_parts, measure_chunk, segmentation_parts

_BLOCKS = {"cells": 256, "pictures": 4096}
"""Samples in a block of a table: what is held in memory while it is written."""
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
    segmenter: str = "cellpose"
    segmenter_options: dict[str, SegmenterOption] = Field(default_factory=dict)
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
    extraction: Extraction
    keys: dict[str, str]

    def inputs(self) -> dict[str, str]:
        groups = {sample.id: sample.group for sample in self.samples}
        return {
            "pictures": text_digest([[s.id, s.fingerprint()] for s in self.samples]),
            "groups of the samples": text_digest(groups),
            "segmenter": text_digest([self.extraction.segmenter, self.extraction.settings]),
            "perceptual hash": str(HASH_VERSION),
            **{f"family {family}": str(version) for family, version in self.extraction.families.items()},
        }

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(self.extraction.families)


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
        _measure(chunks, count, options.jobs, progress)
    _write_tables(plan, work, progress)
    remove_leftovers(work.root)  # now, since a process of a run that was killed may live a moment longer
    write_record(work.record("extract"), "extract", options, now)
    return _summary(work, measured=count)


def _measure(chunks: list[Chunk], count: int, jobs: int, progress: Progress) -> None:
    """Measure chunks in processes, which first share out what has to be compiled."""
    families = tuple(dict.fromkeys(family for chunk in chunks for family in chunk.families))
    with workers(min(jobs, len(chunks))) as pool:
        if pool.shared:
            with progress.track("Loading or compiling feature loops", len(families)) as advance:
                for _ in pool.map(rehearse, families):
                    advance(1)
        with progress.track("Segmenting and measuring pictures", count) as advance:
            for chunk, _ in pool.map(measure_chunk, chunks):
                advance(len(chunk.samples))


def _plan(options: ExtractOptions) -> _Plan:
    samples, problems = find_samples(options.images, options.samples)
    made = make_segmenter(options.segmenter, **options.segmenter_options)
    segmenter = calibrate(made, samples, Workspace(options.work).diameters)
    known = features.family_versions()
    families = tuple(known) if options.families is None else options.families
    unknown = [family for family in families if family not in known]
    if unknown:
        raise PipelineError(f"unknown family '{unknown[0]}'; known: {', '.join(known)}")
    settings = dict(segmenter.settings())
    estimated = {name: settings[name] for name in ("nuclei_diameter", "cell_diameter") if name in settings}
    # where networks run is a matter of this machine, not of how the pictures were measured
    asked = {name: value for name, value in options.segmenter_options.items() if name != "device"}
    extraction = Extraction(
        segmenter=segmenter.name,
        options=asked | estimated,
        settings=settings,
        families={family: known[family] for family in families},
    )
    made_by = [extraction.segmenter, extraction.settings]
    keys = {sample.id: text_digest([sample.fingerprint(), made_by])[:24] for sample in samples}
    return _Plan(samples, problems, segmenter, extraction, keys)


def _missing(plan: _Plan, work: Workspace, jobs: int) -> list[Chunk]:
    """Cut what is not done yet into chunks of samples that lack the same results."""
    segmented = segmentation_parts(work).index()
    skipped = _skipped(plan, work, segmented)
    hashed = hash_parts(work).index()
    done = {family: family_parts(work, "pictures", family).index() for family in plan.families}
    todo: dict[tuple[bool, bool, tuple[str, ...]], list[Sample]] = defaultdict(list)
    for sample in plan.samples:
        pair = (sample.id, plan.keys[sample.id])
        if pair in skipped:
            continue
        has_mask = pair in segmented and work.mask(sample.id).exists()
        families = tuple(family for family in plan.families if not has_mask or pair not in done[family])
        if families or not has_mask or pair not in hashed:
            todo[has_mask, pair in hashed, families].append(sample)
    return [
        Chunk(
            samples=tuple(chunk),
            keys=tuple(plan.keys[sample.id] for sample in chunk),
            families=families,
            segmented=has_mask,
            hashed=has_hash,
            segmenter=plan.segmenter,
            root=work.root,
        )
        for (has_mask, has_hash, families), samples in todo.items()
        for chunk in share_out(samples, jobs)
    ]


def _skipped(plan: _Plan, work: Workspace, index: Mapping[tuple[str, str], Path]) -> set[tuple[str, str]]:
    """Return the samples whose pictures, unchanged since, could not be read."""
    known = {sample: key for sample, key in plan.keys.items() if (sample, key) in index}
    if not known:
        return set()
    rows = segmentation_parts(work).read(known, index)
    bad = rows[rows["reason"] != ""]
    return set(zip(bad["Id"], bad["key"], strict=True))


def _write_tables(plan: _Plan, work: Workspace, progress: Progress) -> None:
    rows = segmentation_parts(work).read(plan.keys, segmentation_parts(work).index())
    bad = rows[rows["reason"] != ""]
    problems = plan.problems + [
        Problem(row["Id"], row["file"], row["reason"], row["remedy"]) for row in bad.to_dict("records")
    ]
    write_problems(work.problems, "extract", problems)
    good = rows[rows["reason"] == ""]
    if good.empty:
        raise PipelineError(f"no picture could be read; see {work.problems} for each one's reason and remedy")
    groups = {sample.id: sample.group for sample in plan.samples}
    table = good[["Id", "pixel_size_um", "height", "width", "cells"]].copy()
    table["group"] = table["Id"].map(groups).astype("string")
    keys = {sample: plan.keys[sample] for sample in good["Id"]}
    table["hash"] = hash_parts(work).read(keys, hash_parts(work).index())["hash"].to_numpy()
    write_table(work.samples, table)
    with_cells = {sample: keys[sample] for sample in good["Id"][good["cells"] > 0]}
    with progress.track("Writing tables", len(keys) + len(with_cells)) as advance:
        cells = _join(plan, work, "cells", with_cells, advance)
        write_blocks(work.cells, cells if with_cells else [_no_cells(plan)])
        write_blocks(work.features, _join(plan, work, "pictures", keys, advance))
    plan.extraction.write(work.extraction)


def _no_cells(plan: _Plan) -> pd.DataFrame:
    """Return the table of cells of pictures without any."""
    table = pd.DataFrame(columns=[*_CELL_KEYS, *features.cell_columns(plan.families)], dtype="float32")
    return table.astype({"Id": str, "label": "int64", "touches_border": bool})


def _join(
    plan: _Plan, work: Workspace, name: str, keys: Mapping[str, str], advance: Callable[[int], None]
) -> Iterator[pd.DataFrame]:
    """Put the families side by side, a block of samples at a time, in the order of the samples."""
    parts = [family_parts(work, name, family) for family in plan.families]
    order = ["Id", *features.picture_columns(plan.families)]
    if name == "pictures":
        parts.append(segmentation_parts(work))
    else:
        order = [*_CELL_KEYS, *features.cell_columns(plan.families)]
    indices = [part.index() for part in parts]
    for block in blocks_of(list(keys), _BLOCKS[name]):
        wanted = {sample: keys[sample] for sample in block}
        tables = [part.read(wanted, index) for part, index in zip(parts, indices, strict=True)]
        rows = pd.concat(tables, axis=1)
        yield rows.loc[:, ~rows.columns.duplicated()][order]
        advance(len(block))


def _summary(work: Workspace, measured: int) -> ExtractSummary:
    samples = pd.read_parquet(work.samples)
    return ExtractSummary(
        pictures=len(samples),
        cells=int(samples["cells"].sum()),
        measured=measured,
        problems=[problem for stage, problem in read_problems(work.problems) if stage == "extract"],
    )
