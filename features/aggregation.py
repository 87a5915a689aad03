"""The cells of a picture summarised in one row; a picture without a cell still has one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from features.jit import Floats, Mask
from features.measurement import CHANNELS, columns
from features.naming import STATISTICS, Column
from features.registry import over

BORDER_WEIGHT = 0.5
"""A cell that the border cuts counts half: its shape and its shares are those of a part."""

QUANTILES = {"median": 0.5, "p10": 0.1, "p90": 0.9}

FAR = 2 * 1.4826
"""A cell is far above the others from two robust standard deviations (1.4826 MAD) over their median."""

POPULATION = {
    "cells": "number of cells in the picture",
    "border_share": "share of cells that touch the picture's border",
}
"""What is said of a picture's cells together, as ``picture__population__<name>``."""


def population_columns() -> list[str]:
    """Name what is said of a picture's cells together."""
    return [str(Column("picture", "population", name)) for name in POPULATION]


def picture_columns(families: Sequence[str] | None = None, channels: Sequence[str] = CHANNELS) -> list[str]:
    """Name the columns of `aggregate` and then of `measure_field`, in order."""
    cells = columns(families, channels, of_field=False)
    return [
        *population_columns(),
        *(f"{column}__{statistic}" for column in cells for statistic in STATISTICS),
        *columns(families, channels, of_field=True),
    ]


def aggregate(tables: Mapping[str, pd.DataFrame], *, touches_border: Mask) -> dict[str, dict[str, float]]:
    """Summarise the cells of a picture.

    Parameters
    ----------
    tables : dict of str to DataFrame
        From `measure`: a table per family, one row per cell; may have no row.
    touches_border : ndarray, shape (cells,), bool
        Which cells the picture's border cuts: they weigh half in everything but the maximum.

    Returns
    -------
    dict of str to dict of str to float
        As ``population``, the number of cells and the share at the border; then by family mean, standard
        deviation, median, 10th and 90th percentile, maximum and the share of cells far above the median
        (by more than 2 robust standard deviations) of every column over its finite values; NaN where
        there is none. Quantiles interpolate linearly; with equal weights they are numpy's.

    Raises
    ------
    ValueError
        If `touches_border` has another length than a table.
    """
    touching = np.asarray(touches_border, dtype=bool)
    for cells in tables.values():
        if touching.shape != (len(cells),):
            raise ValueError(f"touches_border has shape {touching.shape}; there are {len(cells)} cells")
    share = float(touching.mean()) if len(touching) else np.nan
    population = dict(zip(population_columns(), (float(len(touching)), share), strict=True))
    weights = np.where(touching, BORDER_WEIGHT, 1.0)
    return {"population": population} | {
        family: _summarised(cells, weights) for family, cells in tables.items()
    }


def _summarised(cells: pd.DataFrame, weights: Floats) -> dict[str, float]:
    """Return every statistic of every column of a table."""
    numbers = _statistics(cells.to_numpy(dtype=np.float64), weights)
    names = [f"{column}__{statistic}" for column in cells.columns for statistic in STATISTICS]
    return dict(zip(names, numbers.T.ravel().tolist(), strict=True))


def _statistics(values: Floats, weights: Floats) -> Floats:
    """Compute `STATISTICS` of every column, shape (statistics, columns)."""
    out = np.full((len(STATISTICS), values.shape[1]), np.nan)
    if len(values) == 0:
        return out
    values = np.where(np.isfinite(values), values, np.nan)
    ascending, weight = _sorted(values, weights)
    total, filled = weight.sum(axis=0), np.nan_to_num(ascending)
    some, mean = total > 0, over((weight * filled).sum(axis=0), total)
    spread = np.sqrt(over((weight * (filled - np.nan_to_num(mean)) ** 2).sum(axis=0), total))
    found = {"mean": mean, "std": spread, "max": np.where(some, _last(filled, weight > 0), np.nan)}
    quantiles = _quantiles(filled, weight, np.array(list(QUANTILES.values())))
    found |= dict(zip(QUANTILES, np.where(some, quantiles, np.nan), strict=True))
    found["beyond"] = _beyond(values, weights, found["median"])
    return np.array([found[name] for name in STATISTICS])


def _sorted(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Sort every column; return it and its weights, 0 for missing values, which come last."""
    order = np.argsort(values, axis=0, kind="stable")
    ascending = np.take_along_axis(values, order, axis=0)
    return ascending, np.where(np.isnan(ascending), 0.0, weights[order])


def _beyond(values: Floats, weights: Floats, median: Floats) -> Floats:
    """Return the weighted share of cells far above the median of every column."""
    above = values - median
    deviations, weight = _sorted(np.abs(above), weights)
    spread = _quantiles(np.nan_to_num(deviations), weight, np.array([0.5]))[0]
    # rounding must not make a cell of many alike an outlier
    far = np.maximum(FAR * spread, 1e-6 * np.abs(median))
    return over((weights[:, None] * (above > far)).sum(axis=0), weight.sum(axis=0))


def _last(ascending: Floats, present: Mask) -> Floats:
    """Return each column's last value that is present."""
    last = np.maximum(present.sum(axis=0) - 1, 0)
    return np.asarray(np.take_along_axis(ascending, last[None], axis=0)[0])


def _quantiles(ascending: Floats, weight: Floats, shares: Floats) -> Floats:
    """Interpolate weighted quantiles of every column, shape (shares, columns).

    The k-th of n values (from 0) with weight w stands at ``k w + (n - 1) (weights before it)``;
    with equal weights that is proportional to k, which is numpy's linear quantile.
    Missing values have weight 0 and come last.
    """
    count = (weight > 0).sum(axis=0)
    before = np.cumsum(weight, axis=0) - weight
    position = np.arange(len(weight))[:, None] * weight + (count - 1) * before
    position = np.where(weight > 0, position, np.inf)
    some = count > 0
    end = np.maximum((count - 1) * weight.sum(axis=0), 0.0)
    out = np.empty((len(shares), ascending.shape[1]))
    for index, share in enumerate(shares):
        target = share * end
        low = np.maximum((position <= target + 1e-12 * end).sum(axis=0) - 1, 0)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        ends = np.array([low, high])
        low_position, high_position = np.take_along_axis(position, ends, axis=0)
        low_value, high_value = np.take_along_axis(ascending, ends, axis=0)
        between = (high > low) & some
        gap = np.where(between, high_position, 1.0) - np.where(between, low_position, 0.0)
        part = np.where(between, (target - np.where(between, low_position, 0.0)) / gap, 0.0)
        out[index] = low_value + part * (high_value - low_value)
    return out
