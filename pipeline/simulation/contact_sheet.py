"""One picture that shows an example of every location side by side."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.data.samples import CHANNELS
from pipeline.simulation.drawing import blur
from pipeline.simulation.field import simulate_picture
from pipeline.simulation.lines import CELL_LINES
from pipeline.simulation.optics import Exposure
from pipeline.simulation.proteins import Protein, divisions_for, lines_for

TILE = 144
"""Side of one example in pixels, about two cells across."""

COLUMNS = 7

_CAPTION = 18


def contact_sheet(locations: Sequence[str], seed: int) -> NDArray[np.uint8]:
    """Lay out one example per location, the protein alone at that location.

    Parameters
    ----------
    locations : sequence of str
        What to show, in order, seven to a row.
    seed : int
        Another seed shows other cells.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
        Colours of the Human Protein Atlas: microtubules red, the protein green, nuclei blue.
    """
    tiles = [_tile(name, number, seed) for number, name in enumerate(locations)]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % min(COLUMNS, len(tiles)))
    width = min(COLUMNS, len(tiles))
    rows = [np.hstack(tiles[start : start + width]) for start in range(0, len(tiles), width)]
    return np.vstack(rows)


def _tile(name: str, number: int, seed: int) -> NDArray[np.uint8]:
    """Show the liveliest part of a picture of one location, with its name below."""
    made = simulate_picture(seed, example_protein(name, number), size=2 * TILE)
    colours = np.stack(
        [made.picture.plane(channel) for channel in ("microtubules", "protein", "nucleus")], axis=2
    )
    colours[..., 0] *= 0.7
    # Where the protein is brightest, but not so near the border that the tile would leave the picture.
    busy = blur(made.picture.plane("protein") ** 3, TILE / 6)[TILE // 2 : -TILE // 2, TILE // 2 : -TILE // 2]
    top, left = np.unravel_index(int(busy.argmax()), busy.shape)
    tile = np.zeros((TILE + _CAPTION, TILE, 3), np.uint8)
    grey = 255 * colours[top : top + TILE, left : left + TILE]
    # Steps of eight grey values cannot be seen here, and halve the size of the file.
    tile[:TILE] = np.clip(8 * np.rint(grey / 8), 0, 255)
    cv2.putText(tile, name, (4, TILE + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.33, (255, 255, 255), 1, cv2.LINE_AA)
    tile[:, -1] = tile[-1] = 60
    return tile


def example_protein(location: str, number: int = 0) -> Protein:
    """Describe a protein that is only at one location, clearly stained and sharply photographed."""
    lines = [line for line in lines_for((location,)) if line in CELL_LINES[:4]]
    sharp = Exposure(gain=105, photons=500, sharpness=0.55, haze=0.1, offset=4)
    protein = Exposure(gain=190, photons=500, sharpness=0.55, haze=0.06, offset=4)
    return Protein(
        number=number,
        locations=(location,),
        shares=(1.0,),
        pictures=1,
        line=lines[number % len(lines)],
        pixel_um=0.32,
        variation=0.15,
        background=0.015,
        speckle=0.25,
        divisions=divisions_for((location,)),
        exposures=tuple(protein if channel == "protein" else sharp for channel in CHANNELS),
    )
