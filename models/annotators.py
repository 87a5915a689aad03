"""Several annotators: majority vote, agreement per location, and their scores as a model's.

An annotation is a table of bool, pictures x locations; annotators may have seen different pictures.
"""

from collections.abc import Mapping
from functools import reduce

import krippendorff
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import Counts, count, resampled_counts

Floats = NDArray[np.float64]


def majority_vote(annotations: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return what more than half of a picture's annotators say; of two, what both say."""
    return _share(annotations) > 0.5


def unanimous(annotations: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return, for every picture and location, whether all annotators who saw the picture say the same."""
    return _share(annotations).isin((0, 1))


def _share(annotations: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pooled(annotations).astype(np.float64).groupby(level=0, sort=True).mean()


def pooled(annotations: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return all annotations as if one annotator had given them; pictures occur as often as seen."""
    return pd.concat(list(annotations.values()))


def agreement(raters: Mapping[str, pd.DataFrame]) -> "pd.Series[float]":
    """Return Krippendorff's alpha per location: 1 is perfect, 0 what chance gives.

    NaN where there is one rater, no picture seen twice, or nobody differs because nobody names the
    location. Source: Krippendorff (2004), Content Analysis: an introduction to its methodology.
    """
    tables = list(raters.values())
    ids = reduce(pd.Index.union, [table.index for table in tables])
    seen = np.stack([table.reindex(ids).to_numpy(dtype=np.float64, na_value=np.nan) for table in tables])
    alphas = [_alpha(seen[:, :, k]) for k in range(seen.shape[2])]
    return pd.Series(alphas, index=tables[0].columns, name="alpha")


def compared(
    truth: pd.DataFrame,
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    groups: "pd.Series[str]",
    *,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, Floats]:
    """Return how much higher one annotation scores in macro-F1 than another, and bootstrap values of it.

    All three tables are pictures x locations in the same order. Locations that occur neither in the
    truth nor in either annotation are skipped. Groups of pictures are drawn with replacement, the same ones
    for both.
    """
    known, tables = truth.to_numpy(), (ours.to_numpy(), theirs.to_numpy())
    whole = [count(known, table) for table in tables]
    drawn = [resampled_counts(known, table, groups, draws=draws, seed=seed) for table in tables]
    return float(_higher(*whole)), _higher(*drawn)


def _higher(one: Counts, other: Counts) -> Floats:
    """Return how much higher one macro-F1 is than another, over the locations that occur on either side."""
    occur = [counts.hit + counts.false + counts.missed > 0 for counts in (one, other)]
    return np.asarray(
        (one.f1() - other.f1()).sum(axis=-1) / np.maximum((occur[0] | occur[1]).sum(axis=-1), 1)
    )


def _alpha(annotations: Floats) -> float:
    """Return alpha of one location; annotations have shape (raters, pictures), NaN where not seen."""
    seen = ~np.isnan(annotations)
    twice = seen.sum(axis=0) > 1
    values = annotations[:, twice][seen[:, twice]]
    if len(np.unique(values)) < 2:
        return float("nan")
    return float(krippendorff.alpha(reliability_data=annotations, level_of_measurement="nominal"))
