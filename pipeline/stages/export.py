"""The stage `export`: cells and pictures of a work folder in the files of other programs."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from pydantic import Field, ValidationError

from pipeline.core.errors import PipelineError, Problem, SampleError, write_problems
from pipeline.core.files import replacing, temporary_of, write_text
from pipeline.core.names import slug, unknown
from pipeline.core.stage import (
    Progress,
    Record,
    Stage,
    Summary,
    damaged,
    file_inputs,
    option_inputs,
    read_made,
    read_record,
)
from pipeline.core.workspace import Workspace
from pipeline.data.labels import read_labels
from pipeline.data.locations import open_list
from pipeline.data.masks import mask_origins, read_mask
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample, picture_inputs, samples_of
from pipeline.data.tables import Note, read_column
from pipeline.exchange.anndata_file import write_anndata
from pipeline.exchange.column_names import OF_PICTURES
from pipeline.exchange.napari_folder import write_napari, write_script
from pipeline.exchange.ome_zarr_files import write_ome_zarr
from pipeline.exchange.profile_files import write_cellprofiler, write_cytotable
from pipeline.exchange.profiles import Profiles, open_profiles, read_pictures
from pipeline.stages.exchange_options import ExportOptions
from pipeline.stages.options import ExtractOptions

SUFFIXES = {"anndata": ".h5ad", "cytotable": ".parquet"}
"""Formats of one file, with its ending; the others are folders."""

WITH_PICTURES = ("omezarr", "napari")
"""Formats that hold pictures, and the cells of each."""

IN_PICTURES = ("morphology", "intensity")
"""Families of features that are written with pictures, unless told otherwise."""

MARK, NAMES = "export.json", "columns.csv"
"""Files of every folder: that it is an export, and which of our columns each one is."""


class ExportSummary(Summary):
    """What was written.

    Attributes
    ----------
    rows : int
        Cells or pictures.
    features : int
    left_out : int
        Features without any value, which AnnData's X does not hold.
    pictures : int
        Pictures that were written, where the format holds them.
    problems : list of Problem
        Pictures that could not be read.
    """

    rows: int
    features: int
    left_out: int = 0
    pictures: int = 0
    problems: list[Problem] = Field(default_factory=list)


class Export(Stage[ExportOptions, ExportSummary]):
    """Write what `extract` measured as other programs read it."""

    name = "export"
    options = ExportOptions
    summary = ExportSummary

    def inputs(self, options: ExportOptions) -> dict[str, str]:
        """Return fingerprints of the tables, pictures and options, or refuse options that do not fit."""
        _check(options)
        work = Workspace(options.work)
        if not work.features.is_file():
            raise PipelineError(
                f"{work.features}: no features there; run extract with --work {work.root} first"
            )
        given = (work.cells, work.features, work.samples, options.labels, options.predictions)
        files = {path.name: path for path in given if path is not None}
        if options.format == "anndata" and options.per == "picture":
            files |= {f"embeddings {path.name}": path for path in sorted(work.embeddings.glob("*.parquet"))}
        found = file_inputs(files) | option_inputs(options, "format", "per", "families", "ids", "locations")
        found["option out"] = os.path.relpath(options.out, options.work)
        if options.format in WITH_PICTURES:
            found |= picture_inputs(*_samples(options), work)
        return found

    def outputs(self, options: ExportOptions) -> tuple[Path, ...]:
        """Return the file or folder, and what a file's columns are called here."""
        is_table = options.format == "cytotable"
        return (options.out, _names_beside(options.out)) if is_table else (options.out,)

    def record(self, options: ExportOptions) -> Path:
        """Return one record for each output: several may come from a work folder."""
        return Workspace(options.work).record(f"{self.name}-{slug(options.out.name)}")

    def check_replaced(self, options: ExportOptions, record: Record | None, now: Mapping[str, str]) -> None:
        """Refuse to write over what is no such export, unless told to; never over a folder of others."""
        out, path = options.out, self.record(options)
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        if out.is_dir() and not (out / MARK).is_file():
            raise PipelineError(f"{out}: is there, and no export; give another --out")
        names = [name for name in now if name.startswith("option ")]
        is_same = record is not None and all(record.inputs.get(name) == now[name] for name in names)
        if not options.overwrite and (not is_same or damaged(path, record)):
            raise PipelineError(f"{out}: is there already; give another --out, or --overwrite")

    def run(self, options: ExportOptions, progress: Progress) -> ExportSummary:
        """Write the file or folder.

        Raises
        ------
        PipelineError
            If there is nothing to write, or a package is missing that the format needs.
        """
        work = Workspace(options.work)
        _check_masks(work)
        pictures = read_pictures(work, _given(options, progress.note), progress.note)
        profiles = open_profiles(work, options.per, options.families, pictures)
        if options.format in WITH_PICTURES:
            profiles = profiles if options.families else profiles.only("family", IN_PICTURES)
            return _write_pictures(options, profiles, progress)
        if not profiles.rows:
            raise PipelineError(f"{profiles.path}: holds no {options.per}s; nothing to export")
        return _write_tables(options, profiles, progress)


def _check(options: ExportOptions) -> None:
    """Refuse options that do not fit each other, and outputs among what the work folder holds."""
    suffix = SUFFIXES.get(options.format, "")
    if suffix and options.out.suffix != suffix:
        raise PipelineError(
            f"--out {options.out}: {options.format} is one file; give a name that ends in {suffix}"
        )
    if options.format in WITH_PICTURES and options.per == "picture":
        raise PipelineError(f"--per picture: {options.format} holds cells; leave it out")
    if options.ids and options.format not in WITH_PICTURES:
        raise PipelineError(f"--id: only for {' and '.join(WITH_PICTURES)}; leave it out")
    out, work = options.out.resolve(), options.work.resolve()
    if work.is_relative_to(out) or (out.is_relative_to(work) and not out.is_relative_to(work / "exports")):
        raise PipelineError(
            f"--out {options.out}: lies in the work folder; give one outside, or {work / 'exports'}"
        )


def _check_masks(work: Workspace) -> None:
    """Refuse label images that are not the ones that were measured."""
    measured = read_made(work.samples, ["Id", "mask_digest"]).set_index("Id")["mask_digest"]
    for sample, origin in mask_origins(work, measured.index).items():
        if not origin.digest or not origin.digest.startswith(measured[sample]):
            raise PipelineError(
                f"{work.mask(sample)}: not the label image that was measured; run extract again"
            )


def _given(options: ExportOptions, note: Note) -> list[tuple[Path, pd.DataFrame]]:
    """Return labels and predictions that are given, as columns of text."""
    found = []
    if options.labels is not None:
        targets = read_labels(options.labels, open_list(options.locations), note=note).targets
        names = targets.apply(lambda row: "; ".join(targets.columns[row]), axis=1)
        found.append((options.labels, names.to_frame("Metadata_Labels")))
    if options.predictions is not None:
        columns = {"locations": "Metadata_Predicted", "status": "Metadata_Status"}
        texts = {name: read_column(options.predictions, column) for column, name in columns.items()}
        found.append((options.predictions, pd.DataFrame(texts)))
    return found


def _samples(options: ExportOptions) -> tuple[list[Sample], list[Problem]]:
    """Return the pictures that were extracted, from the folder that is given, or where they were then."""
    if options.images is not None:
        return samples_of(options)
    extracted = read_record(Workspace(options.work).record("extract"))
    if extracted is None:
        raise PipelineError(f"{options.work}: does not say where its pictures are; give them as --images")
    try:
        return samples_of(ExtractOptions.model_validate(extracted.options))
    except ValidationError as error:
        raise PipelineError(
            f"{options.work}: extracted by another version; give the pictures as --images"
        ) from error


def _write_tables(options: ExportOptions, profiles: Profiles, progress: Progress) -> ExportSummary:
    """Write a format of rows and columns."""
    if options.format == "anndata":
        about = {"extraction": profiles.work.extraction.read_text(encoding="utf-8"), "per": options.per}
        with replacing(options.out) as temporary:
            left_out = write_anndata(temporary, profiles, about, progress)
        return ExportSummary(rows=profiles.rows, features=len(profiles.names) - left_out, left_out=left_out)
    with progress.track(f"Writing {options.per}s", profiles.rows) as advance:
        if options.format == "cellprofiler":
            of_pictures = profiles
            if options.per == "cell":
                of_pictures = open_profiles(profiles.work, "picture", options.families, profiles.pictures)
                of_pictures = of_pictures.only("region", OF_PICTURES)
            with _replacing_folder(options, profiles) as folder:
                write_cellprofiler(folder, profiles, of_pictures, advance)
        else:
            with replacing(options.out) as temporary:
                write_cytotable(temporary, profiles, advance)
            write_text(_names_beside(options.out), profiles.names.to_csv(lineterminator="\n"))
    return ExportSummary(rows=profiles.rows, features=len(profiles.names))


def _write_pictures(options: ExportOptions, profiles: Profiles, progress: Progress) -> ExportSummary:
    """Write a format of pictures with their cells; those that cannot be read are listed."""
    samples, lost = _samples(options)
    known = {sample.id: sample for sample in samples if sample.id in profiles.pictures.index}
    for one in options.ids:
        if one not in known:
            raise PipelineError(f"{options.work}: {unknown('picture', one, known)}")
    wanted = options.ids or tuple(known)
    problems = [] if options.ids else [one for one in lost if one.sample in profiles.pictures.index]
    done = rows = 0
    with (
        progress.track("Writing pictures", len(wanted)) as advance,
        _replacing_folder(options, profiles) as folder,
    ):
        for sample in wanted:
            cells = profiles.of_picture(sample)
            try:
                _write_picture(options, folder, profiles.work, known[sample], cells)
                done, rows = done + 1, rows + len(cells)
            except SampleError as error:
                problems.append(error.problem)
            advance(1)
        if not done:
            raise PipelineError(f"{options.work}: none of its pictures can be read; extract says why")
        if options.format == "napari":
            write_script(folder)
    write_problems(profiles.work.problems, "export", problems)
    return ExportSummary(rows=rows, features=len(profiles.names), pictures=done, problems=problems)


def _write_picture(
    options: ExportOptions, folder: Path, work: Workspace, sample: Sample, cells: pd.DataFrame
) -> None:
    picture, mask = read_picture(sample), read_mask(work.mask(sample.id))
    if picture.shape != mask.cells.shape:
        raise PipelineError(f"{work.mask(sample.id)}: not of its picture's size; run extract again")
    if options.format == "omezarr":
        write_ome_zarr(folder / f"{sample.id}.ome.zarr", picture, mask, cells)
    else:
        write_napari(folder / sample.id, picture, mask, cells)


@contextmanager
def _replacing_folder(options: ExportOptions, profiles: Profiles) -> Iterator[Path]:
    """Give a new folder that takes the place of an old export when the block succeeds."""
    temporary = temporary_of(options.out)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        profiles.names.to_csv(temporary / NAMES, lineterminator="\n")
        about = {"format": options.format, "per": options.per}
        write_text(temporary / MARK, json.dumps(about, indent=1))
        if options.out.exists():
            shutil.rmtree(options.out)
        temporary.replace(options.out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _names_beside(out: Path) -> Path:
    return out.with_suffix(f".{NAMES}")
