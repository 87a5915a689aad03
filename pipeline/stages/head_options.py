"""Options of which model of a training answers, and of another training to compare it with."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.core.stage import Options

Head = Literal["stack", "two-locations", "binary"]
"""The models of one training that answer by themselves."""


class HeadOptions(Options):
    """Which model of a training answers."""

    head: Head = Field(
        "stack",
        description="Which model answers: the stack; two-locations: Nucleoplasm and Cytosol by their own; "
        "binary: every location by its own.",
    )


class AgainstOptions(Options):
    """Another training to compare with."""

    against: Path | None = Field(
        None,
        description="Another training on the same pictures (its work folder, WORK/models/NAME, or its "
        "model): its F1 beside this one's, with paired intervals; --plot draws the differences.",
    )
