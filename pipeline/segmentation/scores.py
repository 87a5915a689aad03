"""How well label images agree with the truth."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation.fields import Field

THRESHOLDS = (0.5, 0.75)
"""Intersections over unions at which objects count as found."""

Labels = NDArray[np.int32]


def average_precision(truth: Labels, found: Labels) -> NDArray[np.float64]:
    """Return Cellpose's average precision, TP / (TP + FP + FN), at each of `THRESHOLDS`.

    1 where neither holds an object.
    """
    import fastremap
    from cellpose import metrics

    ours, theirs = (fastremap.renumber(labels.astype(np.int32))[0] for labels in (truth, found))
    if not ours.any() and not theirs.any():
        return np.ones(len(THRESHOLDS))
    return np.asarray(metrics.average_precision(ours, theirs, list(THRESHOLDS))[0], np.float64)


def score_fields(fields: Iterable[Field], find: Callable[[Field], Labels]) -> dict[str, float]:
    """Return the mean average precision over fields, keyed ``ap50`` and ``ap75``."""
    mean = np.mean([average_precision(field.labels, find(field)) for field in fields], axis=0)
    names = (f"ap{round(100 * threshold)}" for threshold in THRESHOLDS)
    return {name: round(float(value), 4) for name, value in zip(names, mean, strict=True)}
