"""Options of `explore`. Imports nothing heavy."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.core.stage import Shown
from pipeline.data.dataset_options import Embeddings, LocationOptions, Outputs, Training, Work
from pipeline.stages.serve_options import ListenOptions


class ExploreOptions(ListenOptions, LocationOptions):
    """Options of `explore`; what is not given is as it was in the training."""

    work: Work
    name: Training = ""
    images: Annotated[Path | None, Shown(default="that of extract")] = Field(
        None, description="Folder of the pictures, if it is not where it was."
    )
    labels: Annotated[Path | None, Shown(default="that of train")] = Field(
        None, description="csv table Id,Target of labels to show and to correct; it is never written to."
    )
    experts: Annotated[Path | None, Shown(default="that of train")] = Field(
        None, description="csv table of experts' annotations, as for baseline, to show beside the labels."
    )
    embeddings: Embeddings = ()
    outputs: Outputs = ()
    port: int = Field(8001, ge=0, le=65535, description="Port to listen at; 0 takes a free one.")
