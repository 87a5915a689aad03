"""Options that many commands share, and those that say what a data set is made of. Imports nothing heavy."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Shown
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import FileChannel, GivenLayout, Layout, parse_channels, with_given
from pipeline.formats.sources import Projection

LEARNED = "Label filters: which labels are trained on; all are scored"
"""Panel of the options that leave doubtful labels out of the training."""

HpaLevel = Literal["Enhanced", "Supported", "Approved", "Uncertain"]
LEVELS: tuple[str, ...] = get_args(HpaLevel)
"""HPA's levels of reliability, the best first."""

LISTS = "Which locations are told apart"

Images = Annotated[
    Path, Field(description="Folder of pictures: `<Id>_{red,green,blue,yellow}.png` (or .tif, .tiff, .jpg).")
]
Samples = Annotated[
    Path | None,
    Field(
        description="Table for any other naming: Id, one path per channel (microtubules, protein, "
        "nucleus, er), and optionally pixel_size_um and group."
    ),
]
PictureLayout = Annotated[
    GivenLayout,
    Field(
        description="TOML file that says which channel of the files shows what, and how values are read; "
        "see docs/own-microscope.md."
    ),
    Shown(text=True),
]
Work = Annotated[Path, Field(description="Folder of everything that is computed.")]
Labels = Annotated[
    Path, Field(description="csv table Id,Target: names of locations, or class indices separated by spaces.")
]
READY_LISTS = ("kaggle2018", "hpa2021", "subcell")
"""Lists of locations that ship with the project."""


def _placed(name: str) -> str:
    """Say from wherever one looks where a file lies; a list that ships has a name."""
    known = name.casefold()
    return known if known in READY_LISTS else os.path.abspath(name)  # noqa: PTH100 - links are kept as given


Locations = Annotated[
    str,
    AfterValidator(_placed),
    Shown(panel=LISTS),
    Field(
        description="Locations to tell apart: kaggle2018 (28), hpa2021 (19), subcell (31), or a csv or TOML "
        "file of your own: name, and optionally index, go_id, parent, merge_into."
    ),
]
LabelsAs = Annotated[
    str | None,
    AfterValidator(lambda name: name and _placed(name)),
    Shown(panel=LISTS),
    Field(
        description="List that the labels are written in, where it is not --locations; found from the names "
        "unless given."
    ),
]
Embeddings = Annotated[
    tuple[Path, ...],
    Field(
        description="Table of embeddings the model was trained with; repeatable. Those of the training "
        "unless given."
    ),
]
Outputs = Annotated[
    tuple[Path, ...],
    Field(description="Another network's predictions the model was trained with; repeatable."),
]
_NO_CSV = {
    *(".xlsx", ".xls", ".xlsm", ".ods", ".parquet", ".feather", ".json", ".jsonl", ".tsv", ".npz", ".npy"),
    *(".h5", ".h5ad", ".pkl", ".html", ".pdf", ".png", ".zip", ".gz"),
}


def _as_csv(path: Path) -> Path:
    """Refuse a name that says that a file is something else than csv."""
    if path.suffix.lower() in _NO_CSV:
        raise PipelineError(
            f"{path}: is written as csv, which {path.suffix} is not; call it {path.with_suffix('.csv').name} "
            "(spreadsheets open that)"
        )
    return path


CsvFile = Annotated[Path, AfterValidator(_as_csv)]
Overwrite = Annotated[bool, Field(description="Replace what the work folder holds of other options.")]
Training = Annotated[
    str,
    Field(
        pattern="^([a-z0-9]+(_[a-z0-9]+)*)?$",
        description="Name, in lower-case letters, digits and _, of one of several trainings in the work "
        "folder, in WORK/models/NAME.",
    ),
]
Device = Annotated[Literal["cpu", "cuda"], Field(description="Where networks run.")]
Jobs = Annotated[
    int, Field(ge=1, description="Processes; results do not depend on it."), Shown(default="all processors")
]
PROCESSORS = os.cpu_count() or 1


class Scale(BaseModel):
    """How large nuclei and cells are in the pictures of a data set.

    Attributes
    ----------
    nuclei_diameter, cell_diameter : float or None
        Median diameters in pixels; 0 where no nucleus was seen, None where cells need no diameter.
    pixel_size_um : float or None
        Side of these pixels in micrometres; None where it is not known, and a pixel is any picture's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nuclei_diameter: float
    cell_diameter: float | None
    pixel_size_um: float | None


class Normalisation(BaseModel):
    """How features are brought into units of their plate; a model remembers it.

    Attributes
    ----------
    by : str
        Column of the samples whose values are the plates.
    method : "robust-z" or "sphering"
        Robust z-scores per plate; and sphering by the correlations of reference pictures of all plates.
    controls : str or None
        COLUMN=VALUE: pictures that are the reference; all of a plate, unless given.
    minimum : int
        Reference pictures that a plate needs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    method: Literal["robust-z", "sphering"] = "robust-z"
    controls: str | None = None
    minimum: int = 6


PLATES = "Plates and other batches"
"""Panel of the options that know of plates."""

Method = Annotated[
    Literal["robust-z", "sphering"],
    Field(
        description="robust-z: distance from the median of the plate in robust standard deviations; "
        "sphering: then also without the correlations of the reference pictures of all plates (ZCA)."
    ),
]
Controls = Annotated[
    str | None,
    Field(
        description="COLUMN=VALUE, such as Metadata_Treatment=DMSO: the pictures that medians and spreads "
        "are taken from; all of a plate unless given."
    ),
]
Minimum = Annotated[
    int,
    Field(ge=2, description="Pictures (or controls) that a plate needs; pictures of others are left out."),
]


class LocationOptions(Options):
    """What is told apart, and what labels are written in."""

    locations: Locations = READY_LISTS[0]
    labels_as: LabelsAs = None


class PictureOptions(Options):
    """Which pictures a command looks at, and how they are read."""

    images: Path | None = Field(None, description="Folder of pictures.")
    samples: Samples = None
    layout: PictureLayout = None
    channels: Annotated[
        Mapping[str, FileChannel], BeforeValidator(parse_channels), Shown(flag="--channel")
    ] = Field(
        default_factory=dict,
        description="CHANNEL=NAME, such as protein=GFP or nucleus=0: what files call a channel, by name or "
        "index; repeatable.",
    )
    projection: Projection | None = Field(None, description="What becomes of z-stacks; recorded.")
    pixel_size: float | None = Field(
        None, gt=0, description="Micrometres per pixel of pictures that state none."
    )

    @property
    def layout_in_use(self) -> Layout:
        """The layout, with what is given beside it."""
        return with_given(
            self.layout,
            channels={**(self.layout.channels if self.layout else {}), **self.channels},
            projection=self.projection,
            pixel_size_um=self.pixel_size,
        )


class FoldOptions(LocationOptions):
    """Which pictures share a fold: what `train` and `train-cnn` have to be given alike."""

    labels: Labels
    work: Work
    groups: Path | None = Field(
        None,
        description="csv table Id,group: pictures of one antibody (protein, plate) that no fold may "
        "split. Unless given: the groups of the samples. Pictures without one are grouped "
        "with their copies.",
    )
    folds: int = Field(5, ge=3, description="Folds; fewer are made where groups are too few.")
    folds_by: Annotated[str | None, Shown(panel=PLATES)] = Field(
        None,
        description="Column of the samples, such as Metadata_Plate: every plate is one fold, and scores are "
        "of plates that were never seen; more than 12 plates are dealt to --folds folds.",
    )
    seed: int = Field(0, ge=0, description="The same seed gives the same model, bit for bit.")


class DatasetOptions(FoldOptions):
    """What a stack is trained on, and which labels it learns from."""

    embeddings: tuple[Path, ...] = Field(
        (), description="Table of embeddings (parquet, csv or npz keyed by Id); repeatable."
    )
    outputs: tuple[Path, ...] = Field(
        (),
        description="Another network's predictions (csv or parquet): Id and a probability, or 0 and 1, "
        "per location, or Id,Target with class indices; repeatable, one table per network.",
    )
    start: Literal["shipped"] | None = Field(
        None,
        description="shipped: start at what the shipped network says of these pictures, so that few labels "
        "(from ten pictures on) are enough; it answers locations that the labels lack.",
    )
    fast: bool = Field(
        False,
        description="Learn from the embeddings alone: no cells are found in new pictures, which are answered "
        "several times as fast. What that costs in macro-F1 is said. Give a --name.",
    )
    cells: bool = Field(
        False,
        description="Also learn from single cells, with the pictures' labels as weak labels: a better model "
        "of what few cells show, and answers per cell (predict --per cell).",
    )
    random_split: bool = Field(
        False, description="Also cross-validate in folds that ignore groups, to show how optimistic that is."
    )
    normalise_by: Annotated[str | None, Shown(panel=PLATES)] = Field(
        None,
        description="Column of the samples, such as Metadata_Plate: features and embeddings count in units "
        "of their plate, of new pictures too.",
    )
    normalise_method: Annotated[Method, Shown(panel=PLATES)] = "robust-z"
    controls: Annotated[Controls, Shown(panel=PLATES)] = None
    normalise_minimum: Annotated[Minimum, Shown(panel=PLATES)] = 6
    accept_leak: bool = Field(
        False,
        description="Stack embeddings although their networks saw these pictures in training; marks scores.",
    )
    select_agreement: Annotated[Path | None, Shown(panel=LEARNED)] = Field(
        None, description="csv of annotations, as for baseline: train only on labels experts agree on."
    )
    agree_with: Annotated[Literal["label", "annotators"], Shown(panel=LEARNED)] = Field(
        "label", description="Whether experts have to agree with the label, or with each other."
    )
    select_reliability: Annotated[Path | None, Shown(panel=LEARNED)] = Field(
        None, description="HPA's subcellular_location.tsv: train only on labels it supports; needs --genes."
    )
    reliability: Annotated[HpaLevel, Shown(panel=LEARNED)] = Field(
        "Approved", description="The lowest level that counts as support."
    )
    genes: Annotated[Path | None, Shown(panel=LEARNED)] = Field(
        None, description="csv table Id,Gene: Ensembl ids or names of genes."
    )
    select_confident: Annotated[bool, Shown(panel=LEARNED)] = Field(
        False, description="Leave out suspected label errors, found by confident learning (cleanlab)."
    )
    select_unflagged: Annotated[bool, Shown(panel=LEARNED)] = Field(
        False, description="Leave out pictures that extract flagged (quality.parquet says why)."
    )

    @property
    def normalisation(self) -> Normalisation | None:
        """How features are normalised, if they are."""
        if self.normalise_by is None:
            return None
        how = {"method": self.normalise_method, "controls": self.controls, "minimum": self.normalise_minimum}
        return Normalisation(by=self.normalise_by, **how)

    @property
    def embedded(self) -> tuple[Path, ...]:
        """Tables of embeddings, and last the table of log-odds to start at."""
        start = () if self.start is None else (Workspace(self.work).embedding(self.start),)
        return (*self.embeddings, *start)

    @property
    def tables(self) -> dict[str, Path]:
        """Tables that are read beside the features and groups, by what they are."""
        named = {
            f"labels {self.labels.name}": self.labels,
            **{f"embeddings {path.name}": path for path in self.embeddings},
            **{f"outputs {path.name}": path for path in self.outputs},
            "expert annotations": self.select_agreement,
            "flags of pictures": Workspace(self.work).quality if self.select_unflagged else None,
            "reliability of genes": self.select_reliability,
            "genes of pictures": self.genes,
        }
        return {name: path for name, path in named.items() if path is not None}
