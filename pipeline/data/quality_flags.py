"""Which pictures of a data set a person should look at: flags, by fixed limits and beside the other pictures.

Flags are warnings: models see neither them nor the numbers behind them. The limits lie where few of the
pictures that were tried are flagged; docs/benchmarks.md says how few, and how many bad ones are found.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.stage import read_made
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS, PLATE

Floats = NDArray[np.float64]
Up = NDArray[np.bool_]

VERSION = 1
"""Raise it when the same numbers are judged otherwise than before."""

ENOUGH = 16
"""Pictures from which on they are compared with each other."""

FAR = 4.0
"""Standard deviations (of the median absolute deviation) from the median of the data set."""

FOCUS_LOSS, BLURRED = 0.7, -1.9
"""Loss of fine structures beside the median, as a logarithm; and what is left in blurred nuclei."""

SATURATED = 0.05
"""Share of pixels at the largest value."""

EMPTY, FEW, SPARSE = 0.05, 3, 0.2
"""Share of the field that cells cover; and of fewer cells, the share at which they are no close-up."""

SPREAD = 5
"""Cells from which on their places in the field are chance: fewer may be put into its centre."""

DARK_CORNERS = 0.4
"""Brightness of the corners over the centre: the median of the channels."""

SHARED_CORNERS, SHARED_SIDE = 0.5, 0.45
"""The same of one channel, and of one side over the other: medians of the pictures of a plate."""

DEBRIS = 0.2
"""Area of bright things that are no nuclei, in nuclei."""

FACTOR, CONTRAST = 1.5, 1.0
"""Powers of two: by which a channel beside the others, or the contrast of nuclei, is not as in most pictures;
and by which nuclei are brighter than the rest of their cells, at least."""

OF_PLATE = "uneven illumination of the plate"
"""Flag of all pictures of a plate that share an illumination."""

_MARKERS = ("nucleus", "microtubules", "er")
"""Channels that show the same structures in all pictures, so that their focus can be compared."""


_OF_PICTURES = ("QC_foreground", "cells", "QC_debris", "QC_contrast")


def flags(table: pd.DataFrame) -> "pd.Series[str]":
    """Return what is to be said of every picture, "" of most.

    Parameters
    ----------
    table : DataFrame
        One row per picture: ``cells``, the numbers of `picture_quality`, and ``Metadata_Plate`` where there
        are plates.
    """
    said: list[list[str]] = [[] for _ in table.index]
    for name, found in _found(table):
        for row in np.flatnonzero(found.any(axis=1)):
            where = ", ".join(channel for channel, up in zip(CHANNELS, found[row], strict=False) if up)
            said[row].append(name if found.shape[1] == 1 else f"{name} ({where})")
    return pd.Series(["; ".join(one) for one in said], index=table.index, dtype="str")


def read_flags(work: Workspace) -> dict[str, str]:
    """Return what is to be said of the pictures of a work folder that are flagged, by Id."""
    table = read_made(work.quality, ["Id", "flags"])
    flagged = table[table["flags"] != ""]
    return dict(zip(flagged["Id"], flagged["flags"], strict=True))


def plates_of(table: pd.DataFrame) -> "pd.Series[str]":
    """Return the plate of every picture, "" where none is named."""
    if PLATE not in table:
        return pd.Series("", index=table.index, dtype="str")
    return table[PLATE].astype("str")


def _found(table: pd.DataFrame) -> Iterator[tuple[str, Up]]:
    """Yield the name of every flag, and where it is up: one column per channel, or one of the picture."""
    nucleus = CHANNELS.index("nucleus")
    focus, saturation, balance = (_of(table, name) for name in ("focus", "saturation", "balance"))
    share, cells, debris, contrast = (_column(table, name) for name in _OF_PICTURES)
    focus[:, [channel not in _MARKERS for channel in CHANNELS]] = np.nan
    blurred = (_away(focus) < -FAR) & (focus - _median(focus) < -FOCUS_LOSS)
    blurred[:, nucleus] |= focus[:, nucleus] < BLURRED
    yield "out of focus", blurred
    yield "saturated", saturation >= SATURATED
    few = (share < EMPTY) | ((cells < FEW) & (share < SPARSE))
    yield "nearly empty", few
    spread = cells >= SPREAD
    corners, tilt = (np.where(spread, _of(table, name), np.nan) for name in ("corners", "tilt"))
    own = (_median(corners, axis=1) < DARK_CORNERS) & ~few
    plates = plates_of(table)
    shared = (_shared(corners, plates) < SHARED_CORNERS) | (_shared(tilt, plates) < SHARED_SIDE)
    yield "uneven illumination", own & ~shared.any(axis=1, keepdims=True)
    yield OF_PLATE, shared
    yield "debris", debris >= DEBRIS
    far = (np.abs(_away(balance)) > FAR) & (np.abs(balance - _median(balance)) > FACTOR)
    weak = (_away(contrast) < -FAR) & (contrast - _median(contrast) < -FACTOR) | (contrast < CONTRAST)
    far[:, nucleus] |= weak[:, 0]
    yield "unusual channel balance", far


def _of(table: pd.DataFrame, name: str) -> Floats:
    """Return a number of all channels, shape (pictures, channels)."""
    return np.column_stack([_column(table, f"QC_{name}_{channel}") for channel in CHANNELS])


def _column(table: pd.DataFrame, name: str) -> Floats:
    """Return a column, shape (pictures, 1)."""
    return table[name].to_numpy(np.float64)[:, None]


def _shared(values: Floats, plates: "pd.Series[str]") -> Floats:
    """Return the median of each picture's plate; NaN of plates with few pictures."""
    if len(values) < ENOUGH:
        return np.full(values.shape, np.nan)
    grouped = pd.DataFrame(values).groupby(plates.to_numpy())
    shared = grouped.transform("median").where(grouped.transform("count") >= ENOUGH)
    return np.asarray(shared)


def _away(values: Floats) -> Floats:
    """Return how far values are from their median, in robust standard deviations; NaN in small data sets."""
    away = values - _median(values)
    spread = 1.4826 * _median(np.abs(away))
    told = (spread > 0) & (np.isfinite(values).sum(axis=0) >= ENOUGH)
    far: Floats = away / np.where(told, spread, np.nan)
    return far


def _median(values: Floats, axis: int = 0) -> Floats:
    """Return medians of what is known, with the axis kept; NaN where nothing is."""
    some = np.isfinite(values).any(axis=axis, keepdims=True)
    return np.where(some, np.nanmedian(np.where(some, values, 0), axis=axis, keepdims=True), np.nan)
