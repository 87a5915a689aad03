"""Options of the commands for what other programs write and read. Imports nothing heavy."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.stage import Options, Shown

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
