"""The options of the commands that say why: of all pictures and of one. Imports nothing heavy."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.stage import Options, Shown
from pipeline.data.dataset_options import Embeddings, Outputs, PictureOptions, Training, Work


class ImportancesOptions(Options):
    """Options of `importances`."""

    work: Work
    name: Training = ""
    location: Annotated[str | None, Shown(argument="LOCATION")] = Field(
        None, description="A location by name or class index; all of them unless given."
    )
    by: (
        Literal["meaning", "feature", "column", "family", "block", "region", "channel", "statistic"] | None
    ) = Field(
        None,
        description="What to sum over; meaning for one location (what, of which channel, where, in which "
        "cells; a network is one), family for all. block: handcrafted features against each network.",
    )
    detail: Annotated[bool, Shown(flag="--detail")] = Field(
        False, description="Show single columns, every dimension of a network among them: --by column."
    )
    top: int = Field(15, ge=1, description="Rows to show.")
    plot: Path | None = Field(None, description="Also draw them into this PNG file.")
    embeddings: Embeddings = ()
    outputs: Outputs = ()
    pictures: int = Field(
        500, ge=1, description="Training pictures to explain, at most; evenly spaced over all of them."
    )


class ExplainOptions(PictureOptions):
    """Options of `explain`."""

    work: Work
    id: str = Field(description="The picture to explain: its Id in features.parquet of --work.")
    location: str | None = Field(
        None, description="A location by name or class index; the most probable one unless given."
    )
    name: Training = ""
    model: Path | None = Field(
        None,
        description="Folder of the model, if it is not that of --work: for pictures that predict measured.",
    )
    top: int = Field(12, ge=1, description="Parts to show; the others are added up.")
    alike: int = Field(3, ge=1, description="Training pictures to show that are most like it.")
    output: Path | None = Field(None, description="Also write everything into this JSON file.")
    plot: Path | None = Field(
        None, description="Also draw it into this PNG, with the picture and its cells if --images is given."
    )
    embeddings: Embeddings = ()
    outputs: Outputs = ()
