"""The options of `report`. Imports nothing heavy."""

from pathlib import Path

from pydantic import Field

from pipeline.core.stage import Options
from pipeline.data.dataset_options import Training, Work


class ReportOptions(Options):
    """What `report` shows, and where it is written."""

    work: Work
    name: Training = ""
    output: Path | None = Field(
        None, description="Write it here; WORK/report.html (of a named training, in its folder) unless given."
    )
