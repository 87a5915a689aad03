"""Thumbnails of the pictures that a page shows, each drawn once; and why some, or all, are not shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Progress
from pipeline.core.workspace import Workspace
from pipeline.pages.templating import data_uri
from pipeline.pages.thumbnails import pictures_of, thumbnail
from pipeline.stages.coloured_cells import ColouredCells

SIDE, LARGE = 224, 336
"""Largest side of a thumbnail in pixels, and of one with colours and their legend."""


@dataclass(frozen=True)
class Gallery:
    """Thumbnails as addresses that hold them, by Id; why single ones are missing; why there are none.

    `coloured` are those whose cells are coloured by what they show.
    """

    pictures: dict[str, str]
    missing: dict[str, str]
    without: str
    coloured: dict[str, str]


def draw(
    work: Workspace, wanted: Iterable[str], cells: Mapping[str, pd.DataFrame], progress: Progress
) -> Gallery:
    """Draw the pictures that are wanted; those that cannot be read, or are gone, are told.

    Some are drawn once more, with colours for what their cells show: tables of label and locations, by Id.
    """
    ids = list(dict.fromkeys(wanted))
    try:
        known = pictures_of(work)
    except PipelineError as error:
        return Gallery({}, {}, str(error), {})
    pictures, missing, coloured = {}, {}, {}
    shown = ColouredCells(pd.concat(cells, names=["Id"]).reset_index("Id")) if cells else None
    with progress.track("Drawing pictures", len(ids)) as advance:
        for one in ids:
            advance(1)
            if one not in known:
                missing[one] = "not among the pictures that extract measured"
                continue
            try:
                pictures[one] = data_uri(thumbnail(known[one], work, SIDE), "image/webp")
                if one in cells:
                    coloured[one] = data_uri(thumbnail(known[one], work, LARGE, shown=shown), "image/webp")
            except PipelineError as error:
                missing[one] = str(error)
    return Gallery(pictures, missing, "", coloured)
