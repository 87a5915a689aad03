"""Cells of a picture coloured by what they show, from the table that `predict --per cell` writes."""

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.names import counted
from pipeline.data.masks import Segmentation
from pipeline.data.tables import read_table
from pipeline.stages.options import OverlayOptions

RGB = NDArray[np.uint8]

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    *((240, 50, 70), (70, 205, 90), (90, 130, 255), (255, 225, 25), (240, 60, 230), (70, 225, 245)),
    *((250, 140, 40), (165, 80, 240), (200, 245, 80), (255, 175, 200), (0, 165, 150), (185, 120, 60)),
)
"""Colours that can be told apart, for the sets of locations that most cells show."""
OTHER = ("other", (255, 255, 255))
"""What is drawn where more sets of locations are shown than there are colours."""
NOTHING = ("no location", (150, 150, 150))
"""What is drawn of cells that show no location."""
UNANSWERED = ("not answered (outlines)", (150, 150, 150))
"""What is drawn, as outlines alone, of cells that the table has no row of."""

_STRENGTH = 0.35


class ColouredCells:
    """Cells in the colours of what they show, which is one colour in all pictures of a table.

    Parameters
    ----------
    table : DataFrame
        Of cells: Id, label, and locations separated by "; ". What is shown together is one colour.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._pictures, self._lacking = 0, dict[str, int]()
        self._said = {str(name): rows for name, rows in table.groupby("Id")}
        counts = table["locations"][table["locations"] != ""].value_counts()
        names = sorted(map(str, counts.index), key=lambda name: (-counts[name], name))
        self.colours: dict[str, Colour] = dict(zip(names, PALETTE, strict=False))

    def draw(self, image: RGB, found: Segmentation, sample: str) -> RGB:
        """Return a copy of an image whose cells are coloured, with a legend of what the colours mean."""
        rows = self._said.get(sample)
        shown = {} if rows is None else dict(zip(rows["label"], rows["locations"], strict=True))
        labels = np.unique(found.cells[found.cells > 0]).tolist()
        meant = {label: self._meaning(shown[label]) for label in labels if label in shown}
        self._pictures += 1
        if len(meant) < len(labels):
            self._lacking[sample] = len(labels) - len(meant)
        legend = {**self.colours, **dict((OTHER, NOTHING))}
        legend = {name: colour for name, colour in legend.items() if name in meant.values()}
        drawn = _filled(image, found, {label: legend[name] for label, name in meant.items()})
        return _with_legend(drawn, legend | dict([UNANSWERED] if len(meant) < len(labels) else []))

    def _meaning(self, locations: str) -> str:
        return NOTHING[0] if not locations else locations if locations in self.colours else OTHER[0]

    @property
    def lacking(self) -> str:
        """Say of how many of the drawn pictures and cells the table has no row; empty if it has all."""
        whole = self._lacking.keys() - self._said.keys()
        cells = sum(number for name, number in self._lacking.items() if name in self._said)
        said = [f"{len(whole):,} of {counted(self._pictures, 'picture')}"] if whole else []
        said += (
            [f"{counted(cells, 'cell')} of the others" if whole else counted(cells, "cell")] if cells else []
        )
        return f"has no rows of {' and '.join(said)}; drawn as outlines" if said else ""


def read_shown(options: OverlayOptions) -> ColouredCells | None:
    """Read what cells show; None where they are not to be coloured.

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
    return ColouredCells(table.astype({"label": np.int64}))


def _filled(image: RGB, found: Segmentation, colours: Mapping[int, Colour]) -> RGB:
    """Colour cells by label, their edges more than what is inside; the others get edges alone."""
    from skimage.segmentation import find_boundaries

    table = np.full((int(found.cells.max(initial=0)) + 1, 3), UNANSWERED[1], np.float32)
    for label, colour in colours.items():
        table[label] = colour
    filled = table[found.cells]
    inside = np.isin(found.cells, list(colours))[..., None]
    drawn = np.where(inside, (1 - _STRENGTH) * image + _STRENGTH * filled, image)
    edges = find_boundaries(found.cells, mode="inner")
    drawn[edges] = filled[edges]
    return drawn.astype(np.uint8)


def _with_legend(drawn: RGB, colours: Mapping[str, Colour]) -> RGB:
    """Write the names in their colours at the bottom left, as many as fit."""
    lines = [*colours.items()][: max(1, len(drawn) // 18)]
    for number, (name, colour) in enumerate(reversed(lines)):
        letter(drawn, name, (6, len(drawn) - 8 - 16 * number), 0.42, colour)
    return drawn


def letter(drawn: RGB, text: str, at: tuple[int, int], size: float, colour: Colour) -> None:
    """Write a text into a picture, with a dark rim.

    The rim is the same text, moved: thicker letters are wider ones, too, with OpenCV 5.
    """
    rim = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    for (x, y), tint in [*((by, (0, 0, 0)) for by in rim), ((0, 0), colour)]:
        place = (at[0] + x, at[1] + y)
        cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, tint, 1, cv2.LINE_AA)
