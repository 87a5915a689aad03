"""Which columns a fit keeps: those that alone separate two classes best.

Most of thousands of picture features say nothing about a given location, and the time of a fit is
linear in them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def centred_ranks(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace each column by its ranks, scaled to [-0.5, 0.5]; NaN becomes 0, the middle."""
    ranks = np.empty(X.shape, dtype=np.float32)
    for column in range(X.shape[1]):
        ranked = rankdata(X[:, column], nan_policy="omit")
        count = np.count_nonzero(~np.isnan(ranked))
        ranks[:, column] = np.nan_to_num((ranked - (count + 1) / 2) / max(count - 1, 1), nan=0.0)
    return ranks


def columns_by_separation(ranks: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.int32]:
    """Order columns by how much their mean rank differs between two classes (the area under the ROC curve).

    `ranks`, shape (rows, columns), are those of `centred_ranks`; rows outside both classes are allowed, so
    that one table serves every split. `weights`, shape (locations, rows), are those of `class_weights`.
    Returns the columns, the best first, shape (locations, columns).
    """
    return np.argsort(-np.abs(weights @ ranks), axis=1, kind="stable").astype(np.int32)


def class_weights(positive: NDArray[np.bool_], used: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Weigh rows for `columns_by_separation`: positives against negatives among the `used` rows."""
    used = np.ones(len(positive), dtype=bool) if used is None else used
    here, there = positive & used, ~positive & used
    weights = here / max(here.sum(), 1) - there / max(there.sum(), 1)
    return np.asarray(weights, dtype=np.float32)
