"""Which columns a fit keeps: those that alone separate two classes best.

Most of thousands of picture features say nothing about a given location, and the time of a fit is
linear in them.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_RANKED = 1024
"""Columns whose ranks are held at a time; the last ones, fewer than that, go with those before them."""


def centred_ranks(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace each column by its ranks, scaled to [-0.5, 0.5]; NaN becomes 0, the middle.

    Equal values share the mean of their ranks.
    """
    ranks = np.zeros(X.shape[::-1], dtype=np.float32)
    for row, values in zip(ranks, np.ascontiguousarray(X.T), strict=True):
        order = np.argsort(values)  # NaN last
        known = len(order) - np.count_nonzero(np.isnan(values))
        order = order[:known]
        starts = np.flatnonzero(np.diff(values[order], prepend=np.float32(np.nan)) != 0)
        ends = np.append(starts[1:], known)[: len(starts)]
        middle = (starts + ends - known) / 2 / max(known - 1, 1)
        row[order] = np.repeat(middle, ends - starts)
    return np.ascontiguousarray(ranks.T)


def columns_by_separation(
    X: NDArray[np.float32], weights: Sequence[NDArray[np.float32]]
) -> list[NDArray[np.int32]]:
    """Order columns by how much their mean rank differs between two classes (the area under the ROC curve).

    Parameters
    ----------
    X : ndarray, shape (rows, columns)
        Ranks are those of `centred_ranks` among all rows: they use no labels, so that they serve every split.
        A block of columns is ranked at a time, once for all weights: ranks of all would be as large as X.
    weights : sequence of ndarray, shape (locations, rows) each
        Those of `class_weights`, stacked; rows outside both classes are allowed.

    Returns
    -------
    list of ndarray, shape (locations, columns) each
        The columns, the best first, for each of the weights.
    """
    found: list[list[NDArray[np.float32]]] = [[] for _ in weights]
    for start, end in pairwise(_cuts(X.shape[1])):
        ranks = centred_ranks(X[:, start:end])
        for parts, some in zip(found, weights, strict=True):
            parts.append(some @ ranks)
    each = (np.concatenate(parts, axis=1) for parts in found)
    return [np.argsort(-np.abs(one), axis=1, kind="stable").astype(np.int32) for one in each]


def _cuts(columns: int) -> list[int]:
    """Return where blocks of columns begin, and the last ends."""
    return [*range(0, max(columns - _RANKED, 0) + 1, _RANKED), columns]


def class_weights(positive: NDArray[np.bool_], used: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Weigh rows for `columns_by_separation`: positives against negatives among the `used` rows."""
    used = np.ones(len(positive), dtype=bool) if used is None else used
    here, there = positive & used, ~positive & used
    weights = here / max(here.sum(), 1) - there / max(there.sum(), 1)
    return np.asarray(weights, dtype=np.float32)
