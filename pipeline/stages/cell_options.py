"""Options of answers per cell. Imports nothing heavy."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.stage import Options, Shown

PER_CELL = "For single cells (models of train --cells)"


class PerOptions(Options):
    """Whether pictures are answered, or also their cells."""

    per: Annotated[Literal["picture", "cell"], Shown(panel=PER_CELL)] = Field(
        "picture",
        description="cell: a row for every cell; the pictures' answers are in OUTPUT_pictures.csv, and the "
        "share of each picture's cells by location in OUTPUT_shares.csv.",
    )


class CellTruthOptions(Options):
    """What is known of single cells, to score their answers by."""

    per: Annotated[Literal["picture", "cell"], Shown(panel=PER_CELL)] = Field(
        "picture", description="cell: also score what is answered of every cell; needs --truth."
    )
    truth: Annotated[Path | None, Shown(panel=PER_CELL)] = Field(
        None,
        description="csv table Id,label,Target: what cells show, such as cells.csv of simulate.",
    )
    truth_masks: Annotated[Path | None, Shown(panel=PER_CELL)] = Field(
        None,
        description="Folder of the label images <Id>.tif that --truth numbers cells by; the folder truth "
        "beside the table, or else the cells that extract found.",
    )


class CellColours(Options):
    """Colours of cells by what they show."""

    by: Annotated[Literal["outline", "location"], Shown(panel=PER_CELL)] = Field(
        "outline", description="location: colour every cell by what it shows; needs --answers."
    )
    answers: Annotated[Path | None, Shown(panel=PER_CELL)] = Field(
        None, description="Table of cells that predict --per cell wrote."
    )
