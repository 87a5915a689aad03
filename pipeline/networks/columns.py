"""Names and numbers of a picture's embedding, from one picture or from crops of its cells."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.names import slug
from pipeline.data.pictures import Picture
from pipeline.networks.card import Embedder
from pipeline.networks.onnx import Answer
from pipeline.networks.preprocessing import prepare

Numbers = NDArray[np.float32]

TOP = 3
"""Cells whose mean stands for a picture's strongest answers."""

MARGIN = 1.1
"""Side of a cell's crop relative to the longer side of its bounding box."""


def base_columns(embedder: Embedder, width: int) -> list[str]:
    """Name one answer of the network: ``cnn__<name>__e0000`` … and ``cnn__<name>__logit_<location>``."""
    name = embedder.name
    embedding = [f"cnn__{name}__e{place:04}" for place in range(width)] if embedder.keep == "all" else []
    return embedding + [f"cnn__{name}__logit_{slug(location)}" for location in embedder.outputs]


def embedding_row(
    picture: Picture, embedder: Embedder, answer: Answer, cells: NDArray[np.integer[Any]] | None
) -> pd.Series:
    """Return one picture's numbers by column.

    Parameters
    ----------
    picture : Picture
    embedder : Embedder
    answer : callable
        The network.
    cells : ndarray, shape (height, width), optional
        Label image of cells, for an embedder per cell.

    Returns
    -------
    Series of float32
        Per cell: the mean, the maximum and the mean of the three largest over cells; NaN without cells.
    """
    if embedder.per == "picture":
        return _named(embedder, *_answers([picture.pixels], embedder, answer), ("",))
    assert cells is not None  # noqa: S101 - narrows the type; the caller reads masks for embedders per cell
    crops = cell_crops(picture.pixels, cells)
    if not crops:
        width = _answers([picture.pixels], embedder, answer)[1]
        nothing = np.full((1, len(base_columns(embedder, width))), np.nan, np.float32)
        return _named(embedder, np.repeat(nothing, 3, axis=0), width, ("__mean", "__max", "_top3"))
    values, width = _answers(crops, embedder, answer)
    return _named(embedder, summarised(values), width, ("__mean", "__max", "_top3"))


def _answers(pictures: list[Numbers], embedder: Embedder, answer: Answer) -> tuple[Numbers, int]:
    """Answer pictures one by one: the bits of an answer must not depend on which others share its batch."""
    rows, width = [], 0
    for pixels in pictures:
        embedding, logits = answer(prepare(pixels, embedder.preprocessing)[None])
        width = embedding.shape[1]
        kept = [embedding] if embedder.keep == "all" else []
        rows.append(np.concatenate([*kept, *([] if logits is None else [logits])], axis=1)[0])
    return np.stack(rows), width


def summarised(values: Numbers) -> Numbers:
    """Summarise cells, shape (cells, numbers), by mean, maximum and mean of the `TOP` largest."""
    top = np.sort(values, axis=0)[-TOP:].mean(axis=0)
    return np.stack([values.mean(axis=0), values.max(axis=0), top])


def _named(embedder: Embedder, values: Numbers, width: int, endings: tuple[str, ...]) -> pd.Series:
    names = [f"{name}{ending}" for ending in endings for name in base_columns(embedder, width)]
    return pd.Series(values.ravel().astype(np.float32), index=names)


def cell_crops(pixels: Numbers, cells: NDArray[np.integer[Any]]) -> list[Numbers]:
    """Cut a square around every cell, black beyond the picture; neighbours stay in it.

    Parameters
    ----------
    pixels : ndarray, shape (4, height, width)
    cells : ndarray, shape (height, width)
        Label image, 0 is background.
    """
    from scipy.ndimage import find_objects

    crops = []
    for box in find_objects(cells):
        if box is None:
            continue
        sides = [axis.stop - axis.start for axis in box]
        half = max(1, round(max(sides) * MARGIN / 2))
        centre = [(axis.start + axis.stop) // 2 for axis in box]
        edge = ((0, 0), (half, half), (half, half))
        around = np.pad(pixels, edge) if _beyond(centre, half, cells) else None
        top, left = centre if around is not None else (centre[0] - half, centre[1] - half)
        planes = pixels if around is None else around
        crops.append(planes[:, top : top + 2 * half, left : left + 2 * half])
    return crops


def _beyond(centre: list[int], half: int, cells: NDArray[np.integer[Any]]) -> bool:
    return any(place < half or place + half > size for place, size in zip(centre, cells.shape, strict=True))
