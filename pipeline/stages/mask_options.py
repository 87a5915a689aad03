"""Options of masks that were made elsewhere. Imports nothing heavy."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Shown

GIVEN = "Masks made elsewhere, instead of segmenting"

DISTANCE = re.compile(r"(?P<length>\d+(?:\.\d+)?) ?(?P<unit>um|µm|px)")
"""How far cells reach beyond nuclei: a length with its unit."""


def _lack(given: str) -> str:
    if given not in ("segment", "none") and not DISTANCE.fullmatch(given):
        raise PipelineError(f"--masks-lack {given}: give segment, none, or a distance such as 5um or 20px")
    return given


class MaskOptions(Options):
    """Masks that are taken instead of segmenting."""

    masks: Annotated[Path | None, Shown(panel=GIVEN)] = Field(
        None,
        description="Folder of masks: `<Id>_cells.tif` and `<Id>_nuclei.tif` (or .png, .npy), `<Id>.tif` of "
        "both, Cellpose's `<picture>_cp_masks.png` or `<picture>_seg.npy`, QuPath's `<Id>.geojson`, ImageJ's "
        "`<Id>_RoiSet.zip`; see docs/own-microscope.md.",
    )
    masks_of: Annotated[Literal["cells", "nuclei"], Shown(panel=GIVEN)] = Field(
        "cells", description="What masks show whose names do not say."
    )
    masks_hold: Annotated[Literal["labels", "pieces"] | None, Shown(panel=GIVEN)] = Field(
        None,
        description="labels: each number is an object; pieces: each connected piece is one (binary masks). "
        "Unless given, labels, and what looks binary is refused.",
    )


class MaskUse(MaskOptions):
    """What becomes of masks of cells alone, or of nuclei alone."""

    masks_lack: Annotated[str, AfterValidator(_lack), Shown(panel=GIVEN)] = Field(
        "segment",
        description="Where masks are of cells or of nuclei alone. segment: the segmenter finds nuclei in the "
        "cells, or cells around the nuclei; none: cells have no nucleus, or each nucleus is taken as its "
        "cell; 5um or 20px: nuclei grown by so much are the cells.",
    )


class MaskRecord(BaseModel):
    """What a model remembers of given masks: what they lacked was done how, and what they showed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lack: str
    show: tuple[str, ...]
