"""Pictures as points: which are alike, and a map of them by their first two principal components."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from pipeline.core.workspace import Workspace
from pipeline.data.tables import Note
from pipeline.explorer.picture_index import Floats, PictureIndex
from pipeline.networks.leak_guard import card_of, read_named

SIDE = 1000
"""Of the map: places are whole numbers from 0 to it."""

_TRIM = 0.5
"""Percentile at either end beyond which pictures are drawn on the rim of the map."""


@dataclass(frozen=True)
class PictureSpace:
    """Pictures in the space of an embedding.

    Attributes
    ----------
    name : str
        What the space is, in words.
    directions : ndarray of float32, shape (pictures, columns)
        Standardised columns, every row of length 1; 0 where a picture has no row.
    places : ndarray of int, shape (pictures, 2)
        On the map.
    shares : tuple of float
        Of the variance, that the two axes of the map have.
    """

    name: str
    directions: Floats
    places: NDArray[np.int64]
    shares: tuple[float, float]

    def nearest(self, row: int, groups: NDArray[np.object_], most: int) -> list[tuple[int, float]]:
        """Return the pictures of other groups that are most alike, with the cosine between them."""
        cosine = self.directions @ self.directions[row]
        same = (groups == groups[row]) & (groups[row] != "")
        same[row] = True
        cosine[same | ~self.directions.any(axis=1)] = -2
        best = np.argsort(-cosine, kind="stable")[:most]
        return [(int(one), float(cosine[one])) for one in best if cosine[one] > -2]


def space_of(index: PictureIndex, tables: Iterable[Path], work: Workspace, note: Note) -> PictureSpace | None:
    """Return the space of the first embedding whose rows compare, else that of the answers, if any.

    Parameters
    ----------
    tables : iterable of Path
        Embeddings of the training; those of the work folder are looked at after them.
    """
    for path in dict.fromkeys([*tables, *sorted(work.embeddings.glob("*.parquet"))]):
        card = card_of(path) if path.is_file() else None
        if path.is_file() and (card is None or card.aligned):
            table = read_named(path)
            rows = table.reindex(index.ids)
            if rows.notna().all(axis=1).sum() > 2:
                note(f"Map and pictures alike: by the embedding {path.stem}")
                return placed(f"the embedding {path.stem}", rows)
    known = np.isfinite(index.probability).any(axis=0)
    if not known.any():
        note("No map: no embedding and no answers; run embed or train to have one")
        return None
    odds = logit(np.clip(index.probability[:, known], 1e-6, 1 - 1e-6))
    note("Map and pictures alike: by the log-odds of the locations, as there is no embedding")
    return placed("the log-odds of the locations", pd.DataFrame(odds, index.ids))


def placed(name: str, rows: pd.DataFrame) -> PictureSpace:
    """Standardise columns and find the two directions in which pictures differ most (PCA).

    Rows with a number that is not known are left out of it and lie in the middle.
    """
    values = np.array(rows, np.float32)
    known = np.isfinite(values).all(axis=1)
    mean, spread = values[known].mean(axis=0), values[known].std(axis=0)
    values -= mean
    values /= np.where(spread > 0, spread, 1)
    values[~known] = 0
    variance, axes = np.linalg.eigh(values.T.astype(np.float64) @ values.astype(np.float64))
    two = axes[:, [-1, -2]] if axes.shape[1] > 1 else np.repeat(axes, 2, axis=1)
    two = two * np.sign(two[np.abs(two).argmax(axis=0), range(2)])
    shares = variance[[-1, -2]] if len(variance) > 1 else variance.repeat(2)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return PictureSpace(
        name,
        values / np.where(length > 0, length, 1),
        _on_map(values @ two, known),
        (float(shares[0] / variance.sum()), float(shares[1] / variance.sum())),
    )


def _on_map(scores: NDArray[np.floating[Any]], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return places from 0 to `SIDE`, upwards positive."""
    low, high = np.percentile(scores[known], (_TRIM, 100 - _TRIM), axis=0)
    shares = np.clip((scores - low) / np.where(high > low, high - low, 1), 0, 1)
    return np.asarray((0.02 + 0.96 * shares) * SIDE).round().astype(np.int64)
