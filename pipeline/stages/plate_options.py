"""Options of the commands that know of plates and conditions. Imports nothing heavy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Shown
from pipeline.data.dataset_options import Controls, Method, Minimum, Normalisation, Training, Work

TESTING = "How conditions are compared"


class NormaliseOptions(Options):
    """Options of `normalise`."""

    work: Work
    by: str = Field(description="Column of the samples whose values are plates, such as Metadata_Plate.")
    method: Method = "robust-z"
    controls: Controls = None
    minimum: Minimum = 6

    @property
    def normalisation(self) -> Normalisation:
        """How features are normalised."""
        return Normalisation(**self.model_dump(exclude={"work"}))


def _work_of(data: Mapping[str, Any]) -> Path:
    if data.get("predictions") is None:
        raise PipelineError("--work is missing; give the folder of a training, or a table as --predictions")
    return Path(f"{data['predictions']}.work")


class CompareOptions(Options):
    """Options of `compare`."""

    by: str = Field(description="Column of conditions, such as Metadata_Treatment.")
    predictions: Path | None = Field(
        None, description="Table that predict wrote; the out-of-fold predictions of --work unless given."
    )
    work: Annotated[Work, Shown(default="PREDICTIONS.work")] = Field(default_factory=_work_of)
    output: Annotated[Path, Shown(default="WORK/changes.csv")] = Field(
        default_factory=lambda data: data["work"] / "changes.csv",
        description="The csv file to write; its figure lies beside it as png.",
    )
    wells: str = Field("Metadata_Well", description="Column of wells: the unit that is counted.")
    name: Training = ""
    control: str | None = Field(
        None, description="The condition that others are compared with; needed where there are more than two."
    )
    proteins: str = Field(
        "group",
        description="Column that says which protein (antibody) a picture shows; 'all': all show the same.",
    )
    plates: Annotated[str, Shown(default="Metadata_Plate, if there is one")] = Field(
        "",
        description="Column of plates, within which conditions are compared; 'none': plates do not count, "
        "and wells of one name are one well.",
    )
    test: Annotated[Literal["welch", "permutation"], Shown(panel=TESTING)] = Field(
        "welch",
        description="welch: t-test of means of wells; permutation: exchanges of wells, which assumes less "
        "but needs six or more wells a condition.",
    )
    minimum: Annotated[int, Shown(panel=TESTING)] = Field(
        3, ge=2, description="Wells of each condition that a protein needs."
    )
    least: Annotated[float, Shown(panel=TESTING)] = Field(
        0.05, ge=0, le=1, description="Mean probability over all wells from which a location is tested."
    )
    rate: Annotated[float, Shown(panel=TESTING)] = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of false discoveries among the changes named (Benjamini-Hochberg).",
    )
    seed: Annotated[int, Shown(panel=TESTING)] = Field(
        0, ge=0, description="Seed of the exchanges of wells that are drawn where there are too many."
    )
