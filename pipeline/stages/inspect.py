"""Look at a folder of pictures first: what would be read, and what has to be said in a layout."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import PipelineError, Problem, SampleError
from pipeline.core.files import UnreadableError, write_text
from pipeline.core.names import counted, printable
from pipeline.core.stage import Progress
from pipeline.core.workers import evenly
from pipeline.data.discovery import unsafe_ids
from pipeline.data.inventory import File, Proposal, kinds, pictures_below, propose, take_stock
from pipeline.data.layouts import CHANNELS, COLOURS, UNKNOWN
from pipeline.data.pictures import find_planes, read_picture
from pipeline.data.samples import Sample, samples_of
from pipeline.formats.plane_reader import PlaneReader
from pipeline.formats.sources import Reading, Source
from pipeline.stages.exchange_options import InspectOptions
from pipeline.stages.overlay import RGB, contact_sheet, fit, stretched, write_png

Tiles = list[tuple[str, RGB]]

TILE = 320
"""Largest side of a channel in the contact sheet, in pixels."""

_VALUES = 24
"""Files of which the values are looked at."""


class Inspection(BaseModel):
    """What was found.

    Attributes
    ----------
    kinds : DataFrame
        Files of each kind, with their number, an example, and the range of values of some.
    unreadable : list of str
        Files that cannot be read, with the reason.
    samples : list of Sample
        What would be read now.
    problems : list of Problem
        Samples that would be skipped.
    refused : str
        Why no sample can be read now; empty where some can.
    spare : list of str
        Files that are of no sample.
    layout : Path or None
        The layout that was written, where one is needed.
    paths : list of Path
        All that was written.
    looked_at : int
        Samples that were read in full; of the others, the headers.
    sheetless : str
        Why there is no contact sheet; empty where there is one.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    kinds: pd.DataFrame
    unreadable: list[str]
    samples: list[Sample]
    problems: list[Problem]
    refused: str
    spare: list[str]
    layout: Path | None
    paths: list[Path]
    looked_at: int = 0
    sheetless: str = ""


def inspect(options: InspectOptions, progress: Progress) -> Inspection:
    """Look at all headers and some values, and write what would be read.

    Raises
    ------
    PipelineError
        If there is no picture, or the output would lie among the pictures.
    """
    images, out = options.images, options.out
    if out.resolve().is_relative_to(images.resolve()):
        raise PipelineError(f"{out}: lies among the pictures; give another --out")
    with progress.track("Looking at headers", len(pictures_below(images))) as advance:
        files = take_stock(images, _VALUES, advance)
    samples, problems, refused = _samples(options)
    looked_at = len(evenly(samples, options.shown))
    proposal = None if samples or options.layout or options.channels else propose(files)
    if not samples and not problems and (proposal is None or proposal.files is None):
        _check_folder(images, files)
    tiles, failed = (
        _sample_tiles(samples, options.shown) if samples else _file_tiles(images, files, options.shown)
    )
    if samples and failed:
        problems += failed
        samples = [one for one in samples if one.id not in {problem.sample for problem in failed}]
        refused = "Correct what is named below."
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "files.csv", out / "samples.csv", out / "sheet.png"]
    write_text(paths[0], _files_table(files).to_csv(index=False, lineterminator="\n"))
    write_text(paths[1], _samples_table(samples).to_csv(index=False, lineterminator="\n"))
    layout = out / "layout.toml" if proposal else None
    if layout is not None and proposal is not None:
        _write_layout(layout, proposal.toml(options.projection or UNKNOWN))
        paths.append(layout)
    if tiles:
        columns = max(Counter(name.split("  ")[0] for name, _ in tiles).values())
        write_png(paths[2], contact_sheet(tiles, columns))
    else:
        paths.remove(out / "sheet.png")
    unreadable = [f"{printable(one.path)}: {printable(one.problem)}" for one in files if one.scene is None]
    return Inspection(
        kinds=kinds(files),
        unreadable=unreadable,
        samples=samples,
        problems=problems,
        refused=_refused(proposal, files) if proposal else refused,
        spare=_spare(files, samples, problems),
        layout=layout,
        paths=paths,
        looked_at=looked_at,
        sheetless="" if tiles or not failed else failed[0].told,
    )


def _samples(options: InspectOptions) -> tuple[list[Sample], list[Problem], str]:
    """Return what `extract` would read with the same options, or why it would refuse."""
    try:
        listed, problems = samples_of(options)
    except PipelineError as error:
        return [], [], str(error)
    samples = []
    for sample in listed:
        try:
            find_planes(sample)
            samples.append(sample)
        except SampleError as error:
            problems.append(error.problem)
    return samples, problems, "" if samples else "Correct what is named below."


def _refused(proposal: Proposal, files: Sequence[File]) -> str:
    """Say why nothing is read without a layout, and which Ids would be refused with the proposed one."""
    said = f"{proposal.why} The layout has to say what they show."
    is_whole = proposal.files is None  # of files in folders of the folder, nothing is known then
    paths = [one.path for one in files if one.scene is not None and not (is_whole and "/" in one.path)]
    problems = unsafe_ids(paths, proposal.files)
    if not problems:
        return said
    return f"{said} {counted(len(problems), 'sample')} would be skipped all the same: {problems[0].told}."


def _check_folder(images: Path, files: Sequence[File]) -> None:
    """Refuse a folder that holds another with all pictures, unless their paths are read by a pattern."""
    folders = {one.path.rpartition("/")[0] for one in files}
    if len(folders) == 1 and (only := folders.pop()):
        raise PipelineError(f"{images}: all pictures lie in {images / only}; give that folder")


def _spare(files: Sequence[File], samples: Sequence[Sample], problems: Sequence[Problem]) -> list[str]:
    """Return the files that are of no sample, where there are samples: masks, for example."""
    if not samples:
        return []
    used = {name for sample in samples for name in sample.files} | {one.file for one in problems}
    return [one.path for one in files if one.path not in used and one.scene is not None]


def _write_layout(path: Path, text: str) -> None:
    """Write a layout, never over one that a person edited."""
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise PipelineError(
            f"{path}: is there already, perhaps edited; give it as --layout, or another --out"
        )
    write_text(path, text)


def _files_table(files: Sequence[File]) -> pd.DataFrame:
    rows = [
        {"file": printable(one.path)}
        | one.about
        | {"darkest": one.darkest, "brightest": one.brightest, "problem": printable(one.problem)}
        for one in files
    ]
    return pd.DataFrame(rows)


def _samples_table(samples: Sequence[Sample]) -> pd.DataFrame:
    """Return Id, where each channel lies, and what is known of every sample."""
    rows = []
    for sample in samples:
        sources = dict(zip(CHANNELS, sample.sources, strict=True))
        places = {channel: _place(sample, source) for channel, source in sources.items()}
        size = {"pixel_size_um": sample.pixel_size_um, "group": sample.group}
        rows.append({"Id": sample.id} | places | size | dict(sample.metadata))
    return pd.DataFrame(rows, columns=None if rows else ["Id", *CHANNELS])


def _place(sample: Sample, source: Source | None) -> str:
    if source is None:
        return ""
    path = source.path.relative_to(sample.folder).as_posix()
    return path if source.channel is None else f"{path}#{source.channel}"


def _sample_tiles(samples: Sequence[Sample], most: int) -> tuple[Tiles, list[Problem]]:
    """Return the channels of some samples side by side, each stretched by itself, and what cannot be read."""
    tiles, failed = [], []
    for sample in evenly(samples, most):
        try:
            picture = read_picture(sample)
        except SampleError as error:
            failed.append(error.problem)
            continue
        tiles += [(f"{sample.id}  {one}", _tile(picture.plane(one))) for one in picture.channels]
    return tiles, failed


def _file_tiles(images: Path, files: Sequence[File], most: int) -> tuple[Tiles, list[Problem]]:
    """Return the channels of some files as they are: what is to be named in a layout; see `_sample_tiles`."""
    tiles, failed = [], []
    readable = [one for one in files if one.scene is not None]
    for file in evenly(readable, most):
        for channel in file.channels or (None,):
            place = None if channel is None else file.channels.index(channel)
            source = Source((images / file.path,), place, 0, 0)
            try:
                with PlaneReader(Reading("max", (0, file.brightest or 255))) as reader:
                    plane, _, _ = reader.plane(source, COLOURS["protein"])
            except (UnreadableError, OSError) as error:
                failed.append(Problem("", printable(file.path), *str(error).partition("; ")[::2]))
                continue
            tiles.append((f"{Path(file.path).name}  {channel or ''}", _tile(plane)))
    return tiles, failed


def _tile(plane: NDArray[np.float32]) -> RGB:
    grey = (255 * stretched(plane)).astype(np.uint8)
    return fit(np.repeat(grey[..., None], 3, axis=2), TILE)
