"""The stage `import`: lists of samples of other programs become ``samples.csv`` and ``labels.csv``."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.core.errors import PipelineError, Problem, write_problems
from pipeline.core.files import replacing, text_digest
from pipeline.core.names import SAFE_IDS, counted, is_safe_id, unknown
from pipeline.core.stage import Progress, Stage, Summary, option_inputs
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS, METADATA
from pipeline.data.locations import open_list
from pipeline.data.table_fields import inside
from pipeline.exchange import sample_lists
from pipeline.exchange.sample_lists import Listed
from pipeline.stages.exchange_options import ImportOptions

_LISTS = {"kaggle-2018": "kaggle2018", "kaggle-2021": "hpa2021"}


class ImportSummary(Summary):
    """What was found and written.

    Attributes
    ----------
    rows, samples, labelled : int
        Samples of the list, those whose pictures are there, and those with labels.
    root : Path
        The folder of pictures.
    notes : list of str
        How the list was read.
    """

    rows: int
    samples: int
    labelled: int
    root: Path
    notes: list[str]
    problems: list[Problem]


class ImportSamples(Stage[ImportOptions, ImportSummary]):
    """Write the samples of another program's list whose pictures are there."""

    name = "import"
    options = ImportOptions
    summary = ImportSummary

    def inputs(self, options: ImportOptions) -> dict[str, str]:
        """Return what the list says, of which pictures are there or not."""
        read = {
            path.resolve()
            for path in (options.source, options.source / "samples.csv", options.labels)
            if path
        }
        for name in ("samples.csv", "labels.csv"):
            if (options.out / name).resolve() in read:
                raise PipelineError(
                    f"{options.out / name}: is read, and would be replaced; give another --out"
                )
        listed, good, problems = _checked(options)
        labels = "" if listed.labels is None else listed.labels.to_csv()
        found = text_digest([good.to_csv(), labels, problems])
        return {"samples": found, **option_inputs(options, "kind", "root")}

    def outputs(self, options: ImportOptions) -> tuple[Path, ...]:
        """Return the table of samples."""
        return (options.out / "samples.csv",)

    def record(self, options: ImportOptions) -> Path:
        """Return the record, which the folder keeps."""
        return options.out / "record.json"

    def run(self, options: ImportOptions, progress: Progress) -> ImportSummary:  # noqa: ARG002 - it takes no time
        """Write the tables."""
        listed, good, problems = _checked(options)
        write_problems(Workspace(options.out).problems, self.name, problems)
        if good.empty:
            one = problems[0]
            raise PipelineError(
                f"{options.source}: none of {counted(len(listed.table), 'sample')} can be used; the first: "
                f"{one.sample}: {one.file}: {one.reason}; {one.remedy}"
            )
        labels = listed.labels if listed.labels is not None else pd.DataFrame({"Id": []})
        labels = labels[labels["Id"].isin(good["Id"])]
        tables = {"samples.csv": good, **({"labels.csv": labels} if len(labels) else {})}
        for name, table in tables.items():
            with replacing(options.out / name) as temporary:
                table.to_csv(temporary, index=False, lineterminator="\n")
        return ImportSummary(
            rows=len(listed.table),
            samples=len(good),
            labelled=len(labels),
            root=_root(options),
            notes=listed.notes,
            problems=problems,
        )


def _root(options: ImportOptions) -> Path:
    return options.root or (options.source if options.source.is_dir() else options.source.parent)


def _read(options: ImportOptions) -> Listed:
    if options.kind == "cellprofiler":
        return sample_lists.read_cellprofiler(options.source, options.channel, options.id)
    if options.kind == "subcell":
        return sample_lists.read_subcell(options.source)
    if not options.source.is_dir():
        raise PipelineError(
            f"{options.source}: no such folder; give the folder of pictures of {options.kind}"
        )
    if options.kind == "cellmaps":
        return sample_lists.read_cellmaps(options.source)
    labels = options.labels or options.source / "train.csv"
    if not labels.is_file():
        raise PipelineError(f"{labels}: no such file; give the competition's train.csv as --labels")
    return sample_lists.read_kaggle(options.source, labels, open_list(_LISTS[options.kind]))


def _checked(options: ImportOptions) -> tuple[Listed, pd.DataFrame, list[Problem]]:
    """Return the list, the rows of samples that can be used, and what is wrong with the others."""
    if not _root(options).is_dir():
        raise PipelineError(
            f"{_root(options)}: no such folder; give the folder that holds all pictures as --root"
        )
    listed = _read(options)
    ids = listed.table["Id"]
    twice = set(ids[ids.duplicated(keep=False)])
    good, problems = [], []
    for row in listed.table.to_dict("records"):
        texts = {str(name): str(value) for name, value in row.items()}
        try:
            good.append(texts | _placed(texts, options, twice))
        except ValueError as error:
            reason, _, remedy = str(error).partition("; ")
            problems.append(Problem(texts["Id"], options.source.name, reason, remedy))
    table = pd.DataFrame(good, columns=listed.table.columns, dtype=object)
    return listed, _grouped(table, options), problems


def _placed(row: Mapping[str, str], options: ImportOptions, twice: set[str]) -> dict[str, str]:
    """Return the paths of a sample's pictures below the root.

    Raises
    ------
    ValueError
        If one leaves it or is not there, or the id cannot be used.
    """
    if row["Id"] in twice:
        raise ValueError("duplicate id; keep one row per Id, or name other columns as --id")
    if not is_safe_id(row["Id"]):
        raise ValueError(
            f"the Id cannot be used: Ids are {SAFE_IDS}; give it another, or name columns as --id"
        )
    if not row["protein"]:
        raise ValueError("the list has no picture of the protein; fill it in, or leave out the row")
    root, old = _root(options), options.was.replace("\\", "/").rstrip("/") + "/"
    placed = {}
    for channel in CHANNELS:
        text = row[channel].replace("\\", "/")
        plane = "".join(re.findall(r"#\d+$", text))
        given = text.removesuffix(plane)
        if not given:
            continue
        below = given.removeprefix(old) if options.was else given
        if "://" in below:
            raise ValueError(
                f"'{given}' is on the net; fetch it, and give --root and what that is there as --was"
            )
        path = inside(root, below)
        if not path.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"'{given}' is a link that leaves {root}; copy the file there")
        if not path.is_file():
            raise ValueError(f"'{given}' is not in {root}; add the file, or give another --root or --was")
        placed[channel] = path.relative_to(root).as_posix() + plane
    return placed


def _grouped(table: pd.DataFrame, options: ImportOptions) -> pd.DataFrame:
    """Add the column of groups that is asked for; for cellmaps, the antibody."""
    columns = [str(name) for name in table]
    further = {name.removeprefix(METADATA).casefold(): name for name in columns if name.startswith(METADATA)}
    default = "antibody" if options.kind == "cellmaps" and "antibody" in further else ""
    asked = (options.group or default).removeprefix(METADATA)
    if asked and asked.casefold() not in further:
        raise PipelineError(f"--group: {unknown('column', asked, further.values())}")
    return table.assign(group=table[further[asked.casefold()]]) if asked else table
