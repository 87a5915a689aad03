"""The options of the commands that say why: of all pictures and of one. Imports nothing heavy."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.stage import Options, Shown
from pipeline.data.dataset_options import Embeddings, Outputs, Training, Work


class ImportancesOptions(Options):
    """Options of `importances`."""

    work: Work
    name: Training = ""
    location: Annotated[str | None, Shown(argument="LOCATION")] = Field(
        None, description="A location by name or class index; all of them unless given."
    )
    by: Literal["feature", "family", "block", "region", "channel", "statistic"] | None = Field(
        None,
        description="What to sum over; feature for one location, family for all. block: handcrafted "
        "features against each network.",
    )
    top: int = Field(15, ge=1, description="Rows to show.")
    plot: Path | None = Field(None, description="Also draw them into this PNG file.")
    embeddings: Embeddings = ()
    outputs: Outputs = ()
    pictures: int = Field(
        500, ge=1, description="Training pictures to explain, at most; evenly spaced over all of them."
    )
