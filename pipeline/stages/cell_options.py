"""Options of answers per cell. Imports nothing heavy."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.stage import Options, Shown

PER_CELL = "For single cells (models of train --cells)"


ANSWERED = "Answers of cells, or of groups of pictures"


class PerOptions(Options):
    """Whether pictures are answered, or also their cells or groups."""

    per: Annotated[Literal["picture", "cell", "group"], Shown(panel=ANSWERED)] = Field(
        "picture",
        description="The pictures' answers are then in OUTPUT_pictures.csv. cell: a row for every cell "
        "(models of train --cells), and the share of each picture's cells by location in OUTPUT_shares.csv; "
        "group: a row for every group, by the mean probability of its pictures.",
    )
    groups: Annotated[Path | None, Shown(panel=ANSWERED)] = Field(
        None,
        description="csv table Id,group: which pictures show the same protein, antibody or well. Unless "
        "given: the groups of the samples.",
    )


class CellTruthOptions(Options):
    """What is known of single cells, to score their answers by."""

    per: Annotated[Literal["picture", "cell"], Shown(panel=PER_CELL)] = Field(
        "picture", description="cell: also score what is answered of every cell; needs --truth."
    )
    truth: Annotated[Path | None, Shown(panel=PER_CELL)] = Field(
        None, description="csv table Id,label,Target: what cells show, such as cells.csv of simulate."
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
