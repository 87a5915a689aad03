"""The options of every command: the only list of them, their choices and help texts.

The command line, the Python call and the record of a stage come from the same model, so an option is added in
one place. Imports nothing heavy: `run.py --help` reads this module.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Shown
from pipeline.core.weights import SHIPPED
from pipeline.data.dataset_options import (
    PROCESSORS,
    CsvFile,
    DatasetOptions,
    Device,
    FoldOptions,
    Images,
    Jobs,
    Labels,
    LocationOptions,
    Overwrite,
    PictureLayout,
    PictureOptions,
    Samples,
    Scale,
    Training,
    Work,
)
from pipeline.networks.architectures import CnnHyperparameters
from pipeline.stages.cell_options import CellColours, CellTruthOptions, PerOptions
from pipeline.stages.cluster_options import ClusterUse, ShardUse
from pipeline.stages.head_options import AgainstOptions, HeadOptions
from pipeline.stages.mask_options import MaskOptions, MaskRecord, MaskUse

SegmenterOption = str | float | int | None

TUNING = "How base learners are tuned and combined"
NETWORK = "Where the network and its weights are"
SEGMENTING = "For cellpose"
DRAWING = "To draw them"


def _words(given: object) -> object:
    """Split a text at its commas."""
    return tuple(word.strip() for word in given.split(",")) if isinstance(given, str) else given


def parse_weights(given: object) -> object:
    """Read ``NAME=FILE`` texts into a mapping.

    Raises
    ------
    PipelineError
        If a text has no name or no file.
    """
    if not isinstance(given, list | tuple):
        return given
    pairs = [str(text).partition("=") for text in given]
    for text, (name, _, file) in zip(given, pairs, strict=True):
        if not name or not file:
            raise PipelineError(f"--weights {text}: give NAME=FILE, such as densenet=/data/densenet.pth")
    return {name: Path(file) for name, _, file in pairs}


Words = Annotated[tuple[str, ...], BeforeValidator(_words), Shown(text=True)]


class DemoOptions(Options):
    """Options of `demo`."""

    folder: Path = Field(Path("demo"), description="Folder for everything the demo makes.")
    pictures: int = Field(90, ge=60, description="Simulated pictures to train on.")
    seed: int = Field(1, ge=0, description="The same seed gives the same pictures and model.")


class SimulateOptions(Options):
    """Options of `simulate`."""

    out: Annotated[Path, Shown(argument="OUT")] = Field(
        description="Folder to write; grown if it holds the same simulation."
    )
    pictures: int = Field(60, ge=1, description="How many pictures of four channels.")
    seed: int = Field(1, ge=0, description="Another seed gives other proteins and cells.")
    size: int = Field(512, ge=128, description="Side of the square pictures in pixels.")
    locations: Words = Field(
        ("default",), description="default (14 locations), all (28), or names separated by commas."
    )
    crowding: float = Field(
        1.0, ge=1, le=5, description="Up to so many times as many cells in a field; 3 fills many fields."
    )
    variation: float = Field(
        0.0, ge=0, lt=1, description="Share of cells that lack the protein, or one of its locations."
    )
    contact_sheet: Path | None = Field(
        None, description="Also draw one example per location, side by side, into this PNG."
    )
    jobs: Jobs = PROCESSORS


class SegmenterOptions(Options):
    """How cells and nuclei are found, as far as it depends on where weights lie and networks run."""

    nuclei_weights: Annotated[str | None, Shown(panel=SEGMENTING)] = Field(
        None,
        description="A file of weights of nuclei, or an official name in cellpose's cache; those that "
        "come with the project, or (predict) those of training, unless given.",
    )
    cell_weights: Annotated[str | None, Shown(panel=SEGMENTING)] = Field(
        None, description="The same, of whole cells."
    )
    device: Annotated[Literal["cpu", "cuda"] | None, Shown(panel=SEGMENTING)] = Field(
        None, description="Where the network runs; cpu unless given."
    )

    @property
    def segmenter_options(self) -> dict[str, SegmenterOption]:
        """Options of the segmenter beside its name; only what was given."""
        names = ("nuclei_weights", "cell_weights", "nuclei_diameter", "cell_diameter", "device")
        given = {name: getattr(self, name, None) for name in names}
        return {name: value for name, value in given.items() if value is not None}


class ExtractOptions(PictureOptions, SegmenterOptions, MaskUse, ShardUse):
    """Options of `extract`."""

    images: Images
    work: Work
    segmenter: str = Field(
        "cellpose",
        description="cellpose (its weights come with the project), or watershed, without a network.",
    )
    families: Annotated[tuple[str, ...] | None, BeforeValidator(_words), Shown(text=True)] = Field(
        None, description="Feature families to measure, separated by commas; all unless given."
    )
    nuclei_diameter: Annotated[float | None, Shown(panel=SEGMENTING)] = Field(
        None,
        ge=1,
        description="Diameter of nuclei in pixels, of the median pixel size; estimated once unless given.",
    )
    cell_diameter: Annotated[float | None, Shown(panel=SEGMENTING)] = Field(
        None, ge=1, description="The same, of whole cells."
    )
    flat_field: Annotated[bool, Shown(flag="--flat-field")] = Field(
        False,
        description="Remove uneven illumination, estimated for each channel from the pictures of each "
        "Metadata_Plate, 16 or more; models do the same to new plates.",
    )
    trained: Annotated[Scale | None, Shown(hidden=True)] = Field(
        None, description="Scale of a model's training pictures, like which these are measured."
    )
    trained_masks: Annotated[MaskRecord | None, Shown(hidden=True)] = Field(
        None, description="What was given as masks of a model's training pictures."
    )
    strict: Annotated[bool, Shown(flag="--strict/--no-strict")] = Field(
        False, description="Exit with status 1 if any sample was skipped."
    )
    overwrite: Overwrite = False
    jobs: Jobs = PROCESSORS


class EmbedOptions(PictureOptions, ClusterUse):
    """Options of `embed`: one of `table`, `onnx`, `checkpoint` and the shipped network."""

    work: Work
    images: Path | None = Field(
        None, description="Folder of pictures, as for extract; not needed with --table."
    )
    network: Annotated[str | None, Shown(panel=NETWORK)] = Field(
        None,
        description="builtin: the small network that comes with the project, trained on simulated "
        "pictures. Or the architecture of --checkpoint: bestfitting-densenet121, "
        "bestfitting-densenet121-large, densenet121, resnet18, resnet34 or resnet50; not "
        "needed where a card (.json) lies beside it.",
    )
    checkpoint: Annotated[Path | None, Shown(panel=NETWORK)] = Field(
        None, description="File of torch weights (a state_dict) of --network; no code in it is run."
    )
    onnx: Annotated[Path | None, Shown(panel=NETWORK)] = Field(
        None,
        description="ONNX network, with a TOML of the same name beside it: channels, side, mean, std, and "
        "the names of its outputs as embedding and outputs.",
    )
    table: Annotated[Path | None, Shown(panel=NETWORK)] = Field(
        None, description="Ready table of embeddings keyed by Id (parquet, csv or npz); checked and imported."
    )
    name: str | None = Field(
        None, description="Name of the table and its columns; that of the network or file unless given."
    )
    trained_on: str | None = Field(
        None,
        description="csv with the ids of the pictures the network was trained on, or none if it saw none "
        "of yours; unknown unless given. train uses it to refuse leaks.",
    )
    per: Literal["picture", "cell"] = Field(
        "picture", description="cell: crops of the cells that extract found; mean, maximum and top 3."
    )
    side: int | None = Field(
        None, ge=32, description="Side in pixels of a checkpoint's input; its network's own unless given."
    )
    device: Device = "cpu"
    jobs: Jobs = PROCESSORS


class TrainOptions(DatasetOptions, ClusterUse):
    """Options of `train`; what the choices mean is said in `models`."""

    boosters: Annotated[tuple[Literal["lightgbm", "xgboost", "linear"], ...], Shown(panel=TUNING)] = Field(
        ("lightgbm", "xgboost", "linear"),
        description="Base learners on every block but --outputs, one per location; repeatable.",
    )
    rule: Annotated[Literal["f1", "f1_shrunk", "half_f1", "proportion", "nested"], Shown(panel=TUNING)] = (
        Field(
            "half_f1",
            description="How thresholds are chosen; half_f1: half of the best F1 that calibrated "
            "probabilities promise; nested: by cross-validation per stratum.",
        )
    )
    always: Annotated[Literal["yes", "no"], Shown(panel=TUNING)] = Field(
        "no",
        description="Whether every picture gets its most probable location, however improbable, or none "
        "where no probability reaches its threshold.",
    )
    risk: Annotated[float | None, Shown(panel=TUNING)] = Field(
        None,
        gt=0,
        lt=1,
        description="Of the locations that predict names, at most this share is wrong (0.1: one in ten); "
        "pictures without a name that sure are not_sure. Calibrated on out-of-fold predictions.",
    )
    trials: Annotated[int, Shown(panel=TUNING)] = Field(
        8,
        ge=0,
        description="Hyperparameter sets to try per base learner, block and stratum of locations, beside the "
        "defaults; those worse than the median are pruned. `optuna-dashboard "
        "sqlite:///WORK/tuning.db` shows them.",
    )
    tune_by: Annotated[Literal["log_loss", "average_precision"], Shown(panel=TUNING)] = Field(
        "log_loss", description="Out-of-fold metric by which hyperparameters are chosen."
    )
    timeout: Annotated[float | None, Shown(panel=TUNING)] = Field(
        None, gt=0, description="Seconds for tuning; the model then depends on the machine's speed."
    )
    channel_dropout: Annotated[bool, Shown(panel=TUNING)] = Field(
        False, description="Also learn from rows without er, microtubules, both: for pictures that lack them."
    )
    name: Training = ""
    overwrite: Overwrite = False
    jobs: Jobs = PROCESSORS

    @property
    def settings(self) -> dict[str, object]:
        """Everything that changes the model and is not a path."""
        paths = {"work", "labels", "groups", "embeddings", "outputs", "genes", "jobs", "name", "overwrite"}
        paths |= LocationOptions.model_fields.keys() | ClusterUse.model_fields.keys()
        unsaid = {name for name in ("start", "fast", "cells") if not getattr(self, name)}
        return self.model_dump(exclude=paths | unsaid | {"select_agreement", "select_reliability"})


class EvaluateOptions(CellTruthOptions, AgainstOptions):
    """Options of `evaluate`."""

    work: Work
    name: Training = ""
    draws: int = Field(1000, ge=100, description="Bootstrap samples of groups for the intervals.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")
    kaggle_score: float | None = Field(
        None, ge=0, le=1, description="Private score of your Kaggle submission, to be shown beside."
    )
    ablation: bool = Field(
        False,
        description="Also score the stack with one part left out or replaced: block, meta-learner, rule.",
    )
    plot: Path | None = Field(None, description="Also draw F1 of every location into this PNG file.")


class PredictOptions(PictureOptions, SegmenterOptions, MaskOptions, PerOptions, HeadOptions, ClusterUse):
    """Options of `predict`."""

    output: CsvFile = Field(description="The csv file to write.")
    model: Annotated[Path, Shown(default="the shipped network")] = Field(
        SHIPPED, description="Folder of a trained model, such as WORK/model."
    )
    images: Path | None = Field(
        None, description="Folder of pictures, as for extract; a model of --outputs alone needs none."
    )
    risk: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Another share of wrong names than the model was trained for: one of those that its "
        "training calibrated, which evaluate shows.",
    )
    format: Literal["csv", "kaggle", "kaggle2021"] = Field(
        "csv",
        description="csv: names and probabilities; kaggle: Id,Predicted with class indices, the most "
        "probable location where the model is not sure; kaggle2021: classes and run-length masks per cell.",
    )
    work: Annotated[Path, Shown(default="OUTPUT.work")] = Field(
        default_factory=lambda data: data["output"].with_name(data["output"].name + ".work"),
        description="Folder for masks and features of these pictures.",
    )
    embeddings: tuple[Path, ...] = Field(
        (),
        description="Ready table of embeddings the model was trained with; repeatable. Embeddings made by "
        "`embed` or `train-cnn` are computed and need none.",
    )
    outputs: tuple[Path, ...] = Field(
        (), description="Another network's predictions for these pictures, as given to train; repeatable."
    )
    weights: Annotated[Mapping[str, Path], BeforeValidator(parse_weights)] = Field(
        default_factory=dict,
        description="NAME=FILE: where an embedding's weights lie now, if not where they did in training; "
        "repeatable.",
    )
    jobs: Jobs = PROCESSORS


class BaselineOptions(LocationOptions):
    """Options of `baseline`."""

    labels: Path = Field(description="csv table Id,Target: the truth.")
    answers: Path = Field(description="csv table Id,Annotator,Target, or Id,Guess of one annotator.")
    work: Path | None = Field(
        None, description="Folder of a trained model to compare with on the same pictures."
    )
    name: Training = ""
    draws: int = Field(1000, ge=100, description="Bootstrap samples of the model's groups of pictures.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")


class FeaturesOptions(Options):
    """Options of `features`."""

    family: str | None = Field(None, description="Only this family, one line per output.")
    column: str | None = Field(None, description="Explain this one column in words.")
    markdown: bool = Field(False, description="Print a Markdown table.")


class NearestOptions(PictureOptions, LocationOptions):
    """Options of `nearest`."""

    id: str = Field(description="The picture to look up.")
    embeddings: Path = Field(
        description="Table of embeddings of the labelled pictures, by one network: of `embed`, or of "
        "`train-cnn` the one that ends in _whole."
    )
    labels: Labels
    query: Path | None = Field(
        None, description="Table with the picture, if it is not in --embeddings; by the same network."
    )
    work: Path | None = Field(
        None, description="Work folder of the labelled pictures: leaves out those of the picture's group."
    )
    top: int = Field(5, ge=1, description="How many pictures to show.")
    same_group: bool = Field(False, description="Also show pictures of the picture's own group.")
    sheet: Annotated[Path | None, Shown(panel=DRAWING)] = Field(
        None, description="Also draw the picture and those found into this PNG; needs --images."
    )
    images: Annotated[Path | None, Shown(panel=DRAWING)] = Field(
        None, description="Folder of the labelled pictures."
    )
    samples: Annotated[Samples, Shown(panel=DRAWING)] = None
    layout: Annotated[PictureLayout, Shown(panel=DRAWING, text=True)] = None
    query_images: Annotated[Path | None, Shown(panel=DRAWING)] = Field(
        None, description="Folder of the picture, if it is not in --images."
    )


class OverlayOptions(PictureOptions, CellColours):
    """What to draw, and where to."""

    images: Images
    work: Work
    ids: Annotated[tuple[str, ...], Shown(flag="--id")] = Field(
        (), description="Sample to draw; repeat it for more. All unless given."
    )
    flagged: Annotated[bool, Shown(flag="--flagged")] = Field(
        False, description="Draw only the samples that extract flagged: quality.parquet says why."
    )
    sheet: Path | None = Field(
        None, description="Write one contact sheet here (.png), not a picture per sample."
    )
    columns: int = Field(4, ge=1, description="Samples in a row of the contact sheet.")
    tile: int = Field(512, ge=32, description="Side of a sample in the contact sheet, in pixels.")
    er: bool = Field(False, description="Add the endoplasmic reticulum, in yellow.")


class StatusOptions(Options):
    """What `status` looks at."""

    work: Work


class TrainCnnOptions(CnnHyperparameters, PictureOptions, FoldOptions, ClusterUse):
    """Options of `train-cnn`; labels, groups, folds and seed as for `train`."""

    images: Images
    name: str = Field("cnn", description="Name of the table of embeddings, its columns and its networks.")
    device: Device = "cpu"
    jobs: Jobs = Field(PROCESSORS, description="Threads; their number can change the last bits of weights.")

    @property
    def hyperparameters(self) -> CnnHyperparameters:
        """What decides the weights of each network."""
        chosen = self.model_dump(include=set(CnnHyperparameters.model_fields))
        return CnnHyperparameters.model_validate(chosen)


class TrainSegmenterOptions(Options):
    """Options of `train-segmenter`."""

    objects: Annotated[Literal["nuclei", "cells"], Shown(argument="nuclei|cells")] = Field(
        description="What to find."
    )
    images: Path = Field(description="Folder of <name>_image.png, or of pictures of four channels.")
    labels: Path = Field(
        description="Folder of <name>_label.png, or of <Id>.tif (page 1 cells, page 2 nuclei)."
    )
    output: Path = Field(description="File of weights to write (.safetensors); its card too.")
    start: Annotated[str | None, Shown(flag="--from")] = Field(
        None,
        description="Weights to fine-tune: a file, shipped:nuclei, shipped:cells, or nuclei, cyto2 or "
        "cyto3 in Cellpose's cache.",
    )
    steps: int = Field(2000, ge=1, description="Training steps: 200 to fine-tune, 2000 from scratch.")
    batch: int = Field(8, ge=1, description="Batch size: tiles per step. Time is steps × tiles.")
    side: int = Field(112, ge=32, description="Side of a tile in pixels.")
    seed: int = Field(0, ge=0, description="Another seed samples other tiles.")
    data: str = Field("not stated", description="What the fields are, for the card.")
    licence: str = Field("not stated", description="Licence of the fields, for the card.")
    threads: int | None = Field(None, ge=1, description="Processor threads; all unless given.")

    @property
    def command(self) -> str:
        """Say for the card how the weights were made."""
        origin = f" --from {self.start}" if self.start else ""
        numbers = f"--steps {self.steps} --batch {self.batch} --seed {self.seed}"
        return f"train-segmenter {self.objects}{origin} {numbers}"
