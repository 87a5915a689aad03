"""The options of `report`. Imports nothing heavy."""

from pathlib import Path

from pydantic import Field

from pipeline.data.dataset_options import Training, Work
from pipeline.stages.cluster_options import ClusterUse


class ReportOptions(ClusterUse):
    """What `report` shows, and where it is written."""

    work: Work
    name: Training = ""
    answers: Path | None = Field(
        None, description="Experts' answers to show beside the model, as for baseline: Id,Annotator,Target."
    )
    output: Path | None = Field(
        None, description="Write it here; WORK/report.html (of a named training, in its folder) unless given."
    )
    errors: int = Field(40, ge=0, description="Pictures of the worst errors to show.")
    pictures: int = Field(1000, ge=1, description="Pictures to list with reasons, at most; errors first.")
