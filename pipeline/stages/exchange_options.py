"""Options of the commands for what other programs write and read. Imports nothing heavy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Shown
from pipeline.data.dataset_options import READY_LISTS, Locations, PictureOptions, Work
from pipeline.data.layouts import CHANNELS
from pipeline.stages.options import Words

WHICH = "Which pictures of the Human Protein Atlas (hpa); several kinds narrow the choice"
WHERE = "Where from"


class DownloadOptions(Options):
    """Options of `download`."""

    source: Annotated[Literal["hpa", "kaggle-2018"], Shown(argument="SOURCE")] = Field(
        description="hpa: pictures of the Human Protein Atlas, with labels from its table of locations; "
        "kaggle-2018: the training set of the Kaggle competition, through your `kaggle` login."
    )
    out: Path = Field(description="Folder to write; run again, it goes on where it was.")
    gene: Annotated[tuple[str, ...], Shown(panel=WHICH)] = Field(
        (), description="Name or Ensembl id of a gene; repeatable."
    )
    antibody: Annotated[tuple[str, ...], Shown(panel=WHICH)] = Field(
        (), description="Antibody, such as HPA004109; repeatable."
    )
    cell_line: Annotated[tuple[str, ...], Shown(panel=WHICH)] = Field(
        (), description="Cell line, such as 'U-2 OS'; repeatable."
    )
    location: Annotated[tuple[str, ...], Shown(panel=WHICH)] = Field(
        (), description="Location as HPA calls it, such as Nucleoli: all pictures of its genes; repeatable."
    )
    everything: Annotated[bool, Shown(flag="--all", panel=WHICH)] = Field(
        False, description="All of them: some 80,000 pictures in four colours."
    )
    most: Annotated[int | None, Shown(panel=WHICH)] = Field(
        None, ge=1, description="At most so many pictures, the first by id."
    )
    dry_run: bool = Field(
        False, description="Say how many pictures and about how many bytes; fetch only the lists."
    )
    pause: Annotated[float, Shown(panel=WHERE)] = Field(
        0.5, ge=0, description="Seconds between two requests; the server is a public one."
    )
    site: Annotated[str, Shown(panel=WHERE)] = Field(
        "https://www.proteinatlas.org",
        pattern="^https?://[^ ]+$",
        description="Where HPA's tables are, or a mirror of them.",
    )
    pictures: Annotated[str, Shown(panel=WHERE)] = Field(
        "https://images.proteinatlas.org",
        pattern="^https?://[^ ]+$",
        description="Where HPA's pictures are, or a mirror of them.",
    )


def _channels(given: object) -> object:
    """Read ``CHANNEL=NAME`` texts into a mapping; a channel may have several names."""
    if not isinstance(given, list | tuple):
        return given
    found: dict[str, list[str]] = {}
    for text in given:
        channel, _, name = str(text).partition("=")
        if channel not in CHANNELS or not name:
            raise PipelineError(f"--channel {text}: give CHANNEL=NAME; channels: {', '.join(CHANNELS)}")
        found.setdefault(channel, []).append(name)
    return found


class ImportOptions(Options):
    """Options of `import`."""

    kind: Annotated[
        Literal["cellprofiler", "subcell", "cellmaps", "kaggle-2018", "kaggle-2021"], Shown(argument="KIND")
    ] = Field(
        description="cellprofiler: a csv for LoadData, or Image.csv; subcell: path_list.csv of "
        "SubCellPortable; cellmaps: its folder of red/, green/, blue/, yellow/; kaggle-2018, kaggle-2021: a "
        "folder of pictures with train.csv."
    )
    source: Annotated[Path, Shown(argument="FROM")] = Field(description="The table, or the folder.")
    out: Path = Field(description="Folder to write samples.csv and labels.csv into.")
    root: Annotated[Path | None, Shown(default="where FROM is")] = Field(
        None, description="Folder that holds all pictures; no path may leave it."
    )
    was: str = Field(
        "", description="What the table calls --root, if it was made on another machine: 'D:\\plates\\7'."
    )
    channel: Annotated[Mapping[str, list[str]], BeforeValidator(_channels)] = Field(
        default_factory=dict,
        description="CHANNEL=NAME: which image of CellProfiler shows microtubules, protein, nucleus or er; "
        "repeatable. Each of several proteins becomes a sample.",
    )
    id: tuple[str, ...] = Field(
        (),
        description="Column that makes up the ids of CellProfiler's rows, repeatable; plate, well and site, "
        "or else the names of files, unless given.",
    )
    group: str | None = Field(
        None, description="Column whose values become groups, which no fold splits: an antibody, a plate."
    )
    labels: Annotated[Path | None, Shown(default="FROM/train.csv")] = Field(
        None, description="Labels of a competition, with class indices."
    )


class ExportOptions(PictureOptions):
    """Options of `export`."""

    format: Annotated[
        Literal["anndata", "cellprofiler", "cytotable", "omezarr", "napari"], Shown(argument="FORMAT")
    ] = Field(description="What to write.")
    work: Work
    out: Path = Field(description="anndata and cytotable: the file to write; the others: the folder.")
    per: Literal["cell", "picture"] = Field(
        "cell", description="What a row is; of pictures, features are those of their cells summarised."
    )
    families: Words = Field(
        (),
        description="Feature families to export, separated by commas; all unless given, and for omezarr and "
        "napari morphology and intensity.",
    )
    labels: Path | None = Field(None, description="csv table Id,Target: adds the column Metadata_Labels.")
    locations: Locations = READY_LISTS[0]
    predictions: Path | None = Field(
        None, description="Table that `predict` wrote: adds Metadata_Predicted and Metadata_Status."
    )
    ids: Annotated[tuple[str, ...], Shown(flag="--id")] = Field(
        (), description="omezarr and napari: the picture to export; repeat it for more. All unless given."
    )
    overwrite: bool = Field(False, description="Replace what is there and is not this export.")


class InspectOptions(PictureOptions):
    """Options of `inspect`."""

    images: Path = Field(description="Folder of your pictures, as they are; nothing is written there.")
    out: Path = Field(
        Path("inspected"), description="Folder to write: layout.toml, files.csv, samples.csv and sheet.png."
    )
    shown: int = Field(4, ge=1, le=20, description="Samples in the contact sheet.")
