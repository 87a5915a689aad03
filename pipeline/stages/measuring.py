"""Segment and measure one chunk of samples: what a worker process of `extract` does."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import features
from pipeline.core.errors import RUN_AGAIN, PipelineError, Problem, SampleError
from pipeline.core.files import UnreadableError, read_signed, text_digest, write_signed
from pipeline.core.stage import Progress
from pipeline.core.store import Parts
from pipeline.core.workers import torch_threads
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import Scale
from pipeline.data.groups import HASH_VERSION, perceptual_hash
from pipeline.data.masks import Segmentation, mask_origins, read_matched_mask, write_mask
from pipeline.data.picture_quality import VERSION as QUALITY_VERSION
from pipeline.data.picture_quality import quality
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.quality_control import VERSION as DOUBT_VERSION
from pipeline.data.quality_control import doubt
from pipeline.data.samples import CONTENT_DIGITS, Sample
from pipeline.segmentation import (
    Segmenter,
    fit_scale,
    make_segmenter,
    measure_scale,
    readable_pictures,
    some_samples,
)
from pipeline.stages.given_masks import GivenMasks
from pipeline.stages.options import ExtractOptions

MASK_DIGITS = 16
"""Leading digits of a label image's digest that are in the key of what was measured in it."""


class PixelSizes(NamedTuple):
    """Which pixel sizes count: those stated, and for pictures without one the assumed, in micrometres."""

    stated: bool = True
    assumed: float | None = None

    def of(self, picture: Picture) -> Picture:
        """Return the picture with the pixel size that counts."""
        size = (picture.pixel_size_um if self.stated else None) or self.assumed
        return replace(picture, pixel_size_um=size)

    def keyed(self, pictures: Mapping[str, str]) -> dict[str, str]:
        """Return the digests of pictures, of which those that are measured otherwise than stated differ."""
        if self == PixelSizes():
            return dict(pictures)
        return {
            sample: digest[:CONTENT_DIGITS] + text_digest([digest[CONTENT_DIGITS:], *self])[:CONTENT_DIGITS]
            for sample, digest in pictures.items()
        }


def fitted_segmenter(
    options: ExtractOptions,
    given: GivenMasks | None,
    samples: list[Sample],
    digests: Mapping[str, str],
    progress: Progress,
) -> tuple[Segmenter | None, Scale, PixelSizes, str]:
    """Fit the segmenter to the pictures, or to those of training; say which pixel sizes count, and why.

    Given masks that lack nothing need no segmenter.
    """
    made = segmenter_of(options, given)
    here = _measured_scale(made, given, samples, digests, options, progress)
    fitted = fitted_to(made, here, options.trained)
    if fitted[-1]:
        progress.note(fitted[-1])
    return fitted


def fitted_to(
    made: Segmenter | None, here: Scale, trained: Scale | None
) -> tuple[Segmenter | None, Scale, PixelSizes, str]:
    """Fit a segmenter to pictures of the scale `here`, or to those of training; see `fitted_segmenter`."""
    if trained is None:
        return made and made.at(here), here, PixelSizes(), ""
    scale, assumed, told = fit_scale(here, trained)
    sizes = PixelSizes(assumed=assumed) if trained.pixel_size_um else PixelSizes(stated=False)
    return made and made.at(scale), scale, sizes, told


def segmenter_of(options: ExtractOptions, given: GivenMasks | None) -> Segmenter | None:
    """Return the segmenter that is asked for, not yet fitted; None where given masks lack nothing."""
    if given is not None and not given.needs_segmenter:
        return None
    return make_segmenter(options.segmenter, **options.segmenter_options)


def _measured_scale(
    made: Segmenter | None,
    given: GivenMasks | None,
    samples: list[Sample],
    digests: Mapping[str, str],
    options: ExtractOptions,
    progress: Progress,
) -> Scale:
    """Measure the scale of a data set once; it holds as long as any of its pictures is there."""
    record, is_new = Workspace(options.work).diameters, options.trained is None
    by = ["given masks"] if made is None else [made.name, dict(made.settings())]
    made_by = text_digest([*by, is_new])
    known = read_signed(record)
    if known.get("made_by") != made_by or not {*known["pictures"]} & {*digests.values()}:
        some = some_samples(samples)
        if made is not None and made.uses_torch and None in made.settings().values():
            progress.note("Estimating the diameters of nuclei and cells from some of the pictures")
        if made is not None:
            scale = measure_scale(made, readable_pictures(some), cells=is_new, trained=options.trained)
        elif given is not None:
            scale = given.scale(some)
        pictures = [digests[sample.id] for sample in some]
        known = {"made_by": made_by, "pictures": pictures, "scale": scale.model_dump()}
        write_signed(record, known)
    return Scale.model_validate(known["scale"])


@dataclass(frozen=True)
class Chunk:
    """Samples that lack the same results.

    Attributes
    ----------
    samples : tuple of Sample
    pictures, masks : tuple of str
        Digests of each sample's pictures and of its label image; an empty one where that is to be made.
    made_by : str
        What the segmenter is and does: all that changes a label image.
    families : tuple of str
        Feature families to measure.
    listed, hashed : bool
        Whether the rows of the segmentation, and the perceptual hashes, are there already.
    segmenter : Segmenter or None
    given : GivenMasks or None
    sizes : PixelSizes
    root : Path
        The work folder.
    """

    samples: tuple[Sample, ...]
    pictures: tuple[str, ...]
    masks: tuple[str, ...]
    made_by: str
    families: tuple[str, ...]
    listed: bool
    hashed: bool
    segmenter: Segmenter | None
    given: GivenMasks | None
    sizes: PixelSizes
    root: Path

    def divided(self) -> "list[Chunk]":
        """Return a chunk of each sample, where there are several: one of them may be at fault alone."""
        if len(self.samples) == 1:
            return []
        each = zip(self.samples, self.pictures, self.masks, strict=True)
        return [
            replace(
                self,
                samples=(one,),
                pictures=(key,),
                masks=(mask,),
                given=self.given and self.given.of((one,)),
            )
            for one, key, mask in each
        ]

    def given_up(self) -> list[Problem]:
        """Say of the samples that measuring them kills processes."""
        why = (
            "kills the process that measures it",
            f"{RUN_AGAIN} with more memory for workers, or leave it out",
        )
        return [Problem(one.id, one.paths[0].name, *why) for one in self.samples]


def segmentation_parts(work: Workspace) -> Parts:
    """Parts with one row per sample: its size, number of cells, or why it was skipped."""
    return Parts(work.parts / "segmentation")


def family_parts(work: Workspace, table: str, family: str) -> Parts:
    """Parts of one family: `table` is "cells" or "pictures"."""
    return Parts(work.parts / table / f"{family}-v{features.family_versions()[family]}")


def hash_parts(work: Workspace) -> Parts:
    """Parts with the perceptual hash of every picture, what is wrong with it, and its quality in numbers."""
    return Parts(work.parts / f"hashes-v{HASH_VERSION}-doubts-v{DOUBT_VERSION}-quality-v{QUALITY_VERSION}")


def mask_key(pictures: str, made_by: str) -> str:
    """Return the key that a label image carries: of a sample's pictures and of the segmenter."""
    return text_digest([pictures, made_by])[:24]


def row_key(pictures: str, mask: str) -> str:
    """Return the key of what was measured in pictures and a label image, by their digests.

    What made the label image does not count: rows of one key are of the same cells. Without a label image,
    it is the key of why there is none.
    """
    return f"{pictures}-{mask[:MASK_DIGITS]}"


def refused_masks(pictures: Mapping[str, str], work: Workspace) -> list[Problem]:
    """Return the samples whose edited label images cannot be taken, and must not be made again either.

    What a person edited belongs to the pictures that it was made from: of a sample that was measured with
    others only, it is not taken.
    """
    before: dict[str, set[str]] = defaultdict(set)
    for sample, key in hash_parts(work).index():
        pictures_then, is_keyed, _ = key.partition("-")
        if is_keyed:  # versions before had other keys
            before[sample].add(pictures_then[:CONTENT_DIGITS])
    problems = []
    for sample, origin in mask_origins(work, pictures).items():
        if origin.is_edited:
            others = before[sample] and pictures[sample][:CONTENT_DIGITS] not in before[sample]
            reason = (
                "was edited for other pictures than these" if others else "was edited, and is damaged now"
            )
            if others or not origin.digest:
                file = f"{work.masks.name}/{work.mask(sample).name}"
                problems.append(
                    Problem(sample, file, reason, "replace it, or delete it to have it made again")
                )
    return problems


def measure_chunk(chunk: Chunk) -> list[Problem]:
    """Segment and measure the samples of a chunk and write its parts; return passing troubles.

    The segmentation's part is written last: a sample counts as done only when everything else is there.
    Samples with a passing trouble are in no part, so that they are tried again.
    """
    work = Workspace(chunk.root)
    network = chunk.segmenter is not None and chunk.segmenter.uses_torch and not all(chunk.masks)
    # more threads could change the last bits of sums
    with threadpool_limits(limits=1), torch_threads(1) if network else nullcontext():
        digests = zip(chunk.samples, chunk.pictures, chunk.masks, strict=True)
        found = [_measure(sample, pictures, mask, chunk, work) for sample, pictures, mask in digests]
    rows = [row for row in found if isinstance(row, Measured)]
    usable = [row for row in rows if not row.summary["reason"]]
    if usable:
        for family in chunk.families:
            _write_family(work, family, usable)
        if not chunk.hashed:
            hashes = [row.keyed | {"hash": row.hash, "doubt": row.doubt} | row.quality for row in usable]
            hash_parts(work).write(pd.DataFrame(hashes))
    if rows and not chunk.listed:
        summaries = [row.keyed | row.summary | _counts(row) for row in rows]
        segmentation_parts(work).write(pd.DataFrame(summaries))
    return [row for row in found if isinstance(row, Problem)]


@dataclass(frozen=True)
class Measured:
    """One sample: id and key, its row of the segmentation, by family its cells and the picture's numbers."""

    keyed: dict[str, str]
    summary: dict[str, object]
    cells: dict[str, pd.DataFrame] = field(default_factory=dict)
    touches_border: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    picture: dict[str, dict[str, float]] = field(default_factory=dict)
    hash: str = ""
    doubt: str = ""
    quality: dict[str, np.float32] = field(default_factory=dict)

    def numbers(self) -> dict[str, np.float32]:
        """Return the features of the picture by column; those of channels that were not recorded lack."""
        rows = (one for family, one in self.picture.items() if family != "population")
        found = {name: np.float32(number) for one in rows for name, number in one.items()}
        return found | _counts(self)


def _measure(sample: Sample, pictures: str, mask: str, chunk: Chunk, work: Workspace) -> Measured | Problem:
    """Measure one sample; whatever goes wrong with it alone is its problem, never the run's."""
    try:
        picture = chunk.sizes.of(read_picture(sample))
        found, digest = _segment(sample, picture, mask, mask_key(pictures, chunk.made_by), chunk, work)
        return measure_picture(sample.id, row_key(pictures, digest), picture, found, chunk.families)
    except SampleError as error:
        if error.problem.is_passing:
            return error.problem
        _, *problem = astuple(error.problem)
        keyed = {"Id": sample.id, "key": row_key(pictures, mask)}
        return Measured(keyed, _summary(problem=tuple(problem)))
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
    return Problem(sample.id, sample.paths[0].name, f"cannot be measured ({detail})", remedy)


def measure_picture(
    sample_id: str,
    key: str,
    picture: Picture,
    found: Segmentation,
    families: tuple[str, ...],
    threads: int = 1,
) -> Measured:
    """Measure a picture's cells, so many at the same time, and the picture as a whole, by some families."""
    keyed, pixels, channels = {"Id": sample_id, "key": key}, picture.pixels, picture.channels
    shown: Any = {"channels": channels, "pixel_size_um": picture.pixel_size_um, "families": families}
    found, labels = found.with_small_labels()
    cells = features.measure(pixels, found.cells, found.nuclei, **shown, threads=threads)
    has_nucleus = np.bincount(found.nuclei.ravel(), minlength=len(labels)) > 0
    for table in cells.values():
        if not has_nucleus[table.index].all():
            table.loc[~has_nucleus[table.index], _of_nuclei(tuple(table))] = np.nan
        table.index = pd.Index(labels[table.index], name="label")
    cut = features.touches_border(found.cells)
    numbers = features.aggregate(cells, touches_border=cut)
    whole = features.measure_field(pixels, **shown)
    numbers |= {family: numbers[family] | row for family, row in whole.items()}
    summary = _summary(picture, found.count)
    seen = perceptual_hash(pixels, channels), doubt(pixels, found, channels), quality(picture, found)
    return Measured(keyed, summary, cells, cut, numbers, *seen)


@lru_cache
def _of_nuclei(columns: tuple[str, ...]) -> list[str]:
    """Return the columns that say nothing of a cell whose nucleus is not known, and are not NaN anyway."""
    shares = ("nucleus_share", "cytoplasm_to_periphery")
    known = {name: features.parse(name) for name in columns}
    return [name for name, one in known.items() if one.region == "cytoplasm" or one.output in shares]


def _segment(
    sample: Sample, picture: Picture, mask: str, key: str, chunk: Chunk, work: Workspace
) -> tuple[Segmentation, str]:
    """Read the label image of a digest, or make one with a key; return it and its digest."""
    path = work.mask(sample.id)
    if not mask and chunk.given is not None:
        made, left_out = chunk.given.take(sample.id, picture, chunk.segmenter)
        return made, write_mask(path, made, key, left_out)
    if not mask and chunk.segmenter is not None:
        made = chunk.segmenter.segment(picture)
        return made, write_mask(path, made, key)
    file = f"{work.masks.name}/{path.name}"
    try:
        bare = chunk.given is not None and sample.id in chunk.given.bare
        found, digest = read_matched_mask(path, picture.shape, without_nucleus=bare)
    except UnreadableError as error:
        raise SampleError(Problem(sample.id, file, error.reason, error.remedy)) from error
    if digest != mask:
        raise SampleError(Problem(sample.id, file, "was edited while it was measured", RUN_AGAIN))
    return found, digest


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
        "note": picture.note if picture else "",
        **dict(zip(("file", "reason", "remedy"), problem, strict=True)),
    }


def _counts(row: Measured) -> dict[str, np.float32]:
    """Return what a picture's row says about its cells as a population: it belongs to no family."""
    counts = row.picture.get("population", {})
    return {name: np.float32(counts.get(name, np.nan)) for name in features.picture_columns(())}


def _write_family(work: Workspace, family: str, rows: list[Measured]) -> None:
    """Write a family's numbers; columns of channels that were not recorded are there, and empty."""
    counts = set(features.picture_columns(()))
    names = [name for name in features.picture_columns([family]) if name not in counts]
    pictures = [[row.picture[family].get(name, np.nan) for name in names] for row in rows]
    keyed = pd.DataFrame([row.keyed for row in rows])
    family_parts(work, "pictures", family).write(_beside(keyed, np.array(pictures, np.float32), names))
    lengths = [len(row.cells[family]) for row in rows]
    if any(lengths):
        index = pd.Index(features.cell_columns([family]))
        numbers = [_of_columns(row.cells[family], index) for row in rows]
        cells = keyed.loc[np.repeat(np.arange(len(rows)), lengths)].reset_index(drop=True)
        cells["label"] = np.concatenate([row.cells[family].index for row in rows])
        cells["touches_border"] = np.concatenate([row.touches_border for row in rows])
        family_parts(work, "cells", family).write(_beside(cells, np.concatenate(numbers), list(index)))


def _of_columns(table: pd.DataFrame, columns: pd.Index) -> NDArray[np.float32]:
    own = table if table.columns.equals(columns) else table.reindex(columns=columns)
    return own.to_numpy(np.float32)


def _beside(rows: pd.DataFrame, numbers: NDArray[np.float32], names: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(numbers, columns=pd.Index(names))
    return pd.DataFrame(pd.concat([rows, table], axis=1))
