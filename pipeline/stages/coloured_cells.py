"""Cells of a picture coloured by what they show, from the table that `predict --per cell` writes."""

import colorsys

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.data.masks import Segmentation
from pipeline.data.tables import read_table
from pipeline.stages.options import OverlayOptions

RGB = NDArray[np.uint8]

NOTHING = (150, 150, 150)
"""Colour of cells that show no location."""

_STRENGTH = 0.35


def read_shown(options: OverlayOptions) -> pd.DataFrame | None:
    """Read what cells show: Id, label, locations; None where they are not to be coloured.

    Raises
    ------
    PipelineError
        If there is no table of cells to colour them by, or a label is no number.
    """
    if (options.by == "location") != (options.answers is not None):
        raise PipelineError(
            "--by location colours cells by --answers, a table that predict --per cell wrote; give both"
        )
    if options.answers is None:
        return None
    table = read_table(options.answers, ("Id", "label", "locations"))
    wrong = table[~table["label"].str.fullmatch(r"\d{1,9}")]
    if len(wrong):
        raise PipelineError(
            f"{options.answers}: label '{wrong['label'].iloc[0]}' is no number of a cell; give a table that "
            "predict --per cell wrote"
        )
    return table.astype({"label": np.int64})


def colour_cells(image: RGB, found: Segmentation, shown: pd.DataFrame) -> RGB:
    """Return a copy of an image whose cells are coloured, with a legend of what the colours mean.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3)
    found : Segmentation
    shown : DataFrame
        Of this picture's cells: label, and locations separated by "; ". What is shown together is one colour.
    """
    from skimage.segmentation import find_boundaries

    said = [text for text in shown["locations"] if text]
    names = sorted(set(said), key=lambda text: (-said.count(text), text))
    colours = {name: _colour(number, len(names)) for number, name in enumerate(names)}
    table = np.zeros((int(found.cells.max(initial=0)) + 1, 3), np.float32)
    table[1:] = NOTHING
    for label, text in zip(shown["label"], shown["locations"], strict=True):
        if text and label < len(table):
            table[label] = colours[text]
    filled = table[found.cells]
    inside = (found.cells > 0)[..., None]
    drawn = np.where(inside, (1 - _STRENGTH) * image + _STRENGTH * filled, image)
    edges = find_boundaries(found.cells, mode="inner")
    drawn[edges] = filled[edges]
    return _with_legend(drawn.astype(np.uint8), colours)


def _colour(number: int, of: int) -> tuple[int, ...]:
    """Return one of so many colours that can be told apart."""
    light = colorsys.hls_to_rgb(number / max(1, of), 0.62, 0.95)
    return tuple(round(255 * value) for value in light)


def _with_legend(drawn: RGB, colours: dict[str, tuple[int, ...]]) -> RGB:
    """Write the names in their colours at the bottom left, as many as fit."""
    lines = [*colours.items(), ("no location", NOTHING)][: max(1, len(drawn) // 18)]
    for number, (name, colour) in enumerate(reversed(lines)):
        at = (6, len(drawn) - 8 - 16 * number)
        for tint, thickness in (((0, 0, 0), 3), (colour, 1)):
            cv2.putText(drawn, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, tint, thickness, cv2.LINE_AA)
    return drawn
