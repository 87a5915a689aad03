"""The stage `extract`: pictures in; masks, cells.parquet and features.parquet out."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pandas as pd
from pydantic import Field

import features
from pipeline.core.clusters import Losses, on_cluster
from pipeline.core.errors import PipelineError, Problem, read_problems, write_problems
from pipeline.core.files import text_digest
from pipeline.core.names import counted, unknown
from pipeline.core.remote import placed
from pipeline.core.stage import Progress, Record, Stage, Summary, read_made
from pipeline.core.workers import precision, precision_kept, share_out, workers
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import Scale
from pipeline.data.flat_fields import remove_illumination, with_flat_fields
from pipeline.data.groups import HASH_VERSION
from pipeline.data.layouts import CHANNELS
from pipeline.data.masks import Origin, mask_origins
from pipeline.data.picture_quality import VERSION as QUALITY_VERSION
from pipeline.data.quality_control import VERSION as DOUBT_VERSION
from pipeline.data.quality_flags import VERSION as FLAGS_VERSION
from pipeline.data.quality_flags import read_flags
from pipeline.data.samples import Sample, fingerprints, picture_inputs, ranges_of, samples_of, told_channels
from pipeline.formats.illumination import VERSION as FLAT_FIELD_VERSION
from pipeline.segmentation import Segmenter, told_cells
from pipeline.stages.extraction import Extraction
from pipeline.stages.feature_tables import write_measured, write_samples
from pipeline.stages.given_masks import GivenMasks, given_masks
from pipeline.stages.measuring import (
    MASK_DIGITS,
    Chunk,
    PixelSizes,
    family_parts,
    fitted_segmenter,
    hash_parts,
    mask_key,
    refused_masks,
    row_key,
    segmentation_parts,
    segmenter_of,
)
from pipeline.stages.options import ExtractOptions
from pipeline.stages.warming import warm_machine, warmed


class ExtractSummary(Summary):
    """What `extract` found.

    Attributes
    ----------
    pictures, cells, measured : int
        Pictures in the table, cells in them, and pictures that were measured in this run.
    edited : int
        Pictures of which a person edited the label image.
    problems : list of Problem
        Samples that were skipped.
    flagged : dict of str to str
        Pictures that a person should look at, with their flags.
    told : str
        What is to be known about the scale, or the masks, of pictures that are measured for a model.
    given : str
        How many pictures have given masks, and of what; empty where none are given.
    left_out : dict of str to int
        How many objects of given masks are left out, by why.
    doubtful : dict of str to str
        Pictures that `predict` gives no answer for and `train` leaves out, with the reason.
    """

    pictures: int
    cells: int
    measured: int
    edited: int
    problems: list[Problem]
    flagged: dict[str, str]
    told: str = ""
    given: str = ""
    left_out: dict[str, int] = Field(default_factory=dict)
    doubtful: dict[str, str] = Field(default_factory=dict)

    def again(self) -> Self:
        """Return the same, nothing measured."""
        return self.model_copy(update={"fresh": False, "measured": 0})


@dataclass(frozen=True)
class _Plan:
    """Samples, the digests of their pictures, and how they are measured."""

    samples: list[Sample]
    problems: list[Problem]
    segmenter: Segmenter | None
    given: GivenMasks | None
    extraction: Extraction
    sizes: PixelSizes
    told: str
    pictures: dict[str, str]

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(self.extraction.families)

    @property
    def made_by(self) -> str:
        return text_digest([self.extraction.segmenter, self.extraction.settings])

    def masks(self, work: Workspace) -> dict[str, Origin]:
        """Return the label images that count: edited, or made from these pictures by this segmenter."""
        origins = mask_origins(work, [sample.id for sample in self.samples])
        made = "made" if self.given is None else "given"
        for sample, origin in origins.items():
            if origin.key:
                is_of_these = origin.key == mask_key(self.pictures[sample], self.made_by)
                origins[sample] = origin._replace(state=made) if is_of_these else Origin()
        return origins

    def keys(self, masks: Mapping[str, Origin]) -> dict[str, str]:
        """Return the keys of what was measured in these label images."""
        return {sample: row_key(self.pictures[sample], origin.digest) for sample, origin in masks.items()}


class Extract(Stage[ExtractOptions, ExtractSummary]):
    """Segment and measure every sample that has not been yet, then write the tables."""

    name = "extract"
    options = ExtractOptions
    summary = ExtractSummary

    def inputs(self, options: ExtractOptions) -> dict[str, str]:
        """Return fingerprints of the pictures and of how they are measured.

        The scale that is measured follows from the pictures, the segmenter and what was measured before.
        """
        families = _versions(options)
        samples, problems = samples_of(options)
        work = Workspace(options.work)
        given = given_masks(options, options.trained_masks, samples, work)
        segmenter = segmenter_of(options, given)
        made_by = [] if segmenter is None else [segmenter.name, dict(segmenter.settings())]
        origins = mask_origins(work, [sample.id for sample in samples])
        return {
            **picture_inputs(samples, problems, work),
            "edited label images": text_digest(
                {sample: one for sample, one in origins.items() if one.is_edited}
            ),
            "groups of the samples": text_digest(
                {one.id: [one.group, *one.metadata] if one.metadata else one.group for one in samples}
            ),
            "segmenter": text_digest(made_by),
            **({} if given is None else {"given masks": given.digest}),
            "scale of the training": text_digest(options.model_dump()["trained"]),
            "perceptual hash": str(HASH_VERSION),
            "quality control": f"{DOUBT_VERSION}, {QUALITY_VERSION}, {FLAGS_VERSION}",
            **{f"family {family}": str(version) for family, version in families.items()},
            **({"flat-field correction": FLAT_FIELD_VERSION} if options.flat_field else {}),
        }

    def check_replaced(self, options: ExtractOptions, record: Record | None, now: Mapping[str, str]) -> None:
        """Refuse to replace features that a model was trained on by others, or by those of other pictures."""
        if record is None or options.overwrite or not Workspace(options.work).has_model:
            return
        lost = [name for name in record.inputs if name.startswith("family ") and name not in now]
        if not is_of(options.images, record) and record.inputs.get("pictures") != now["pictures"]:
            lost.insert(0, f"the pictures of {record.options['images']}")
        elif record.inputs.get("segmenter") != now["segmenter"] or (
            ("given masks" in record.inputs) != ("given masks" in now)
        ):
            lost.insert(0, "the cells")
        elif record.inputs.get("flat-field correction") != now.get("flat-field correction"):
            lost.insert(0, "their illumination")
        if lost:
            raise PipelineError(
                f"{options.work}: holds a model, and the features it was trained on would lose {lost[0]}; "
                "give another --work, or extract with --overwrite"
            )

    def outputs(self, options: ExtractOptions) -> tuple[Path, ...]:
        """Return the tables, and how they were measured; of label images, see `flaws`."""
        work = Workspace(options.work)
        corrected = (work.flat_field,) if options.flat_field else ()
        return work.features, work.cells, work.samples, work.quality, work.extraction, *corrected

    def flaws(self, options: ExtractOptions) -> list[str]:
        """Say which label image is not the one that was measured, the first; edited ones are inputs."""
        work = Workspace(options.work)
        measured = read_made(work.samples, ["Id", "mask_digest"]).set_index("Id")["mask_digest"]
        for sample, origin in mask_origins(work, measured.index).items():
            if origin.digest[:MASK_DIGITS] != measured[sample] and not origin.is_edited:
                what = "is gone" if origin == Origin() else "is not the one that was measured"
                return [f"{work.masks.name}/{work.mask(sample).name} {what}"]
        return []

    def run(self, options: ExtractOptions, progress: Progress) -> ExtractSummary:
        """Measure what is missing, and write all tables.

        Raises
        ------
        PipelineError
            If no sample is usable.
        """
        work = Workspace(options.work)
        plan = _plan(options, progress)
        masks = {} if plan.given is None else plan.given.masks
        found = [one for one in plan.samples if one.id not in masks or masks[one.id].shows == "nuclei"]
        outlined = told_cells({one.channels for one in found}) if plan.segmenter else []
        for line in (*told_channels(plan.samples), *outlined):
            progress.note(line)
        origins = plan.masks(work)
        damaged = [sample for sample, origin in origins.items() if origin.state == "damaged"]
        if damaged:
            some = f"{counted(len(damaged), 'damaged label image')}, such as {work.mask(damaged[0]).name}"
            progress.note(f"{work.masks}: {some}: made again")
        chunks = _missing(plan, work, origins, options.jobs)
        todo = {one.id for chunk in chunks for one in chunk.samples}
        passing = _measure(plan, chunks, len(todo), options.jobs, progress) if chunks else []
        origins = plan.masks(work) if chunks else origins
        _write_tables(plan, work, origins, passing, progress)
        return _summary(plan, work, origins, todo)


def measure_shard(options: ExtractOptions, shard: str, progress: Progress) -> int:
    """Measure part i/n of the pictures, by their ids; return how many it lacked. Tables are not written."""
    plan, work = _plan(options, progress), Workspace(options.work)
    number, parts = map(int, shard.split("/"))
    own = [one for one in plan.samples if int(text_digest(one.id)[:8], 16) % parts == number - 1]
    plan = replace(plan, samples=own)
    chunks = _missing(plan, work, plan.masks(work), options.jobs)
    count = sum(len(chunk.samples) for chunk in chunks)
    if chunks and options.cluster is None:
        warm_machine(plan.families)  # other parts may be measured on this machine at the same time
    with on_cluster(options.cluster):
        for problem in _measure(plan, chunks, count, options.jobs, progress) if chunks else ():
            progress.note(f"{problem.sample}: {problem.file}: {problem.reason}; {problem.remedy}")
    return count


def is_of(images: Path, record: Record) -> bool:
    """Say whether a record of `extract` is of this folder of pictures."""
    return placed(images) == record.options["images"]


def _versions(options: ExtractOptions) -> dict[str, int]:
    """Return the families that are asked for, with their versions."""
    known = features.family_versions()
    asked = tuple(known) if options.families is None else options.families
    for family in asked:
        if family not in known:
            raise PipelineError(unknown("family", family, known))
    return {family: known[family] for family in asked}


def _measure(plan: _Plan, chunks: list[Chunk], count: int, jobs: int, progress: Progress) -> list[Problem]:
    """Measure chunks in processes, which first share out what has to be compiled; return passing troubles."""
    passing: list[Problem] = []
    families = tuple(dict.fromkeys(family for chunk in chunks for family in chunk.families))
    with workers(min(jobs, len(chunks))) as pool, precision_kept(plan.extraction.precision):
        measure = warmed(pool, families, progress)
        with progress.track("Segmenting and measuring pictures", count) as advance:
            for chunk, problems in pool.map(measure, chunks, Losses(Chunk.divided, Chunk.given_up)):
                passing += problems
                advance(len(chunk.samples))
    return passing


def _plan(options: ExtractOptions, progress: Progress) -> _Plan:
    families = _versions(options)
    samples, problems = samples_of(options)
    work = Workspace(options.work)
    layout = options.layout_in_use
    if ranges := ranges_of(samples, layout, work):
        layout = layout.model_copy(update={"white": ranges.white})
        for line in ranges.told:
            progress.note(line)
    given = given_masks(options, options.trained_masks, samples, work)
    if given is not None:
        lacking = {problem.sample for problem in given.problems}
        samples = [sample for sample in samples if sample.id not in lacking]
        problems = [*problems, *given.problems]
        given.note(progress)
        if options.trained is not None:
            progress.note(given.told(options.segmenter))
    elif any("nucleus" not in sample.channels for sample in samples):
        raise PipelineError(
            f"{options.images}: no picture of nucleus, around which cells are found; add the files, name "
            "their channel in a layout, or give masks made elsewhere as --masks"
        )
    uneven = _flat_fields(options, samples, work, progress)
    samples = with_flat_fields(samples, work)
    pictures = fingerprints(samples, work)
    segmenter, scale, sizes, told = fitted_segmenter(options, given, samples, pictures, progress)
    settings = {} if segmenter is None else dict(segmenter.settings())
    fitted = {name: settings[name] for name in Scale.model_fields if name in settings}
    # where networks run is a matter of this machine, not of how the pictures were measured
    asked = {name: value for name, value in options.segmenter_options.items() if name != "device"}
    extraction = Extraction(
        segmenter="" if segmenter is None else segmenter.name,
        options={} if segmenter is None else asked | fitted,
        settings=settings,
        families=families,
        scale=scale,
        masks=given and given.record,
        flat_field=options.flat_field,
        channels=tuple(name for name in CHANNELS if any(name in one.channels for one in samples)),
        layout=layout,
        precision=precision(options.device or "cpu") if segmenter and segmenter.uses_torch else None,
    )
    others = ""
    if given is not None and options.trained is not None and options.trained_masks is None:
        others = f"masks were given, but the model was trained on cells found by {options.segmenter}"
    told = "; ".join(filter(None, [told, others, uneven]))
    refused = refused_masks(pictures, work)
    samples = [sample for sample in samples if sample.id not in {problem.sample for problem in refused}]
    keyed = sizes.keyed(pictures) if given is None else given.keyed(sizes.keyed(pictures))
    return _Plan(samples, problems + refused, segmenter, given, extraction, sizes, told, keyed)


def _flat_fields(options: ExtractOptions, samples: list[Sample], work: Workspace, progress: Progress) -> str:
    """Estimate the illumination where it is to be removed; say for which plates it cannot be."""
    if not options.flat_field:
        work.flat_field.unlink(missing_ok=True)
        return ""
    new = options.trained is not None or options.trained_masks is not None
    return remove_illumination(samples, work, options.jobs, progress, new=new)


def _missing(plan: _Plan, work: Workspace, masks: Mapping[str, Origin], jobs: int) -> list[Chunk]:
    """Cut what is not done yet into chunks of samples that lack the same results."""
    keys = plan.keys(masks)
    segmented, with_hash = segmentation_parts(work).known(keys), hash_parts(work).known(keys)
    skipped, empty = _skipped({sample: keys[sample] for sample in keys if sample in segmented}, work)
    done = {
        family: family_parts(work, "pictures", family).known(keys)
        & (family_parts(work, "cells", family).known(keys) | empty)
        for family in plan.families
    }
    todo: dict[tuple[bool, bool, bool, tuple[str, ...]], list[Sample]] = defaultdict(list)
    for sample in plan.samples:
        if sample.id in skipped:
            continue
        families = tuple(family for family in plan.families if sample.id not in done[family])
        if families or sample.id not in segmented or sample.id not in with_hash:
            has_mask = masks[sample.id].digest != ""
            todo[has_mask, sample.id in segmented, sample.id in with_hash, families].append(sample)
    return [
        Chunk(
            samples=tuple(chunk),
            pictures=tuple(plan.pictures[sample.id] for sample in chunk),
            masks=tuple(masks[sample.id].digest for sample in chunk),
            made_by=plan.made_by,
            families=families,
            listed=listed,
            hashed=hashed,
            segmenter=plan.segmenter,
            given=plan.given and plan.given.of(chunk),
            sizes=plan.sizes,
            root=work.root,
        )
        for (_, listed, hashed, families), samples in todo.items()
        for chunk in share_out(samples, jobs)
    ]


def _skipped(known: Mapping[str, str], work: Workspace) -> tuple[set[str], set[str]]:
    """Return the samples, id to key, whose pictures could not be read, and those without a cell."""
    if not known:
        return set(), set()
    parts = segmentation_parts(work)
    rows = parts.read(known, parts.located(known))
    bad = rows["reason"] != ""
    return set(rows["Id"][bad]), set(rows["Id"][~bad & (rows["cells"] == 0)])


def _write_tables(
    plan: _Plan, work: Workspace, masks: Mapping[str, Origin], passing: list[Problem], progress: Progress
) -> None:
    parts = segmentation_parts(work)
    waiting = {problem.sample for problem in passing}
    tried = {sample: key for sample, key in plan.keys(masks).items() if sample not in waiting}
    rows = parts.read(tried, parts.located(tried)) if tried else pd.DataFrame({"reason": []})
    bad = rows[rows["reason"] != ""]
    problems = [
        *plan.problems,
        *passing,
        *(Problem(row["Id"], row["file"], row["reason"], row["remedy"]) for row in bad.to_dict("records")),
    ]
    write_problems(work.problems, "extract", problems)
    good = rows[rows["reason"] == ""]
    if good.empty:
        first = problems[0].told if problems else ""
        raise PipelineError(
            f"no picture could be read; see {work.problems} for each one's reason and remedy; the first: "
            f"{first}"
        )
    keys = {sample: tried[sample] for sample in good["Id"]}
    known = {sample.id: sample for sample in plan.samples}
    samples = [known[sample] for sample in keys]
    write_samples(work, samples, good, keys, masks, progress)
    write_measured(work, samples, good["cells"], keys, plan.families, progress)
    plan.extraction.write(work.extraction)


def _summary(plan: _Plan, work: Workspace, masks: Mapping[str, Origin], tried: set[str]) -> ExtractSummary:
    samples = pd.read_parquet(work.samples)
    problems = [problem for stage, problem in read_problems(work.problems) if stage == "extract"]
    left_out: Counter[str] = Counter()
    for origin in masks.values():
        left_out.update(origin.without)
    return ExtractSummary(
        pictures=len(samples),
        cells=int(samples["cells"].sum()),
        measured=len(tried - {one.sample for one in problems}),
        edited=int((samples["mask"] == "edited").sum()),
        problems=problems,
        flagged=read_flags(work),
        told=plan.told,
        given="" if plan.given is None else plan.given.told(plan.extraction.segmenter),
        left_out=dict(sorted(left_out.items())),
        doubtful=samples[samples["doubt"] != ""].set_index("Id")["doubt"].to_dict(),
    )
