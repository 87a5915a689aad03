"""What the columns of a model mean: in words, and what is alike."""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features import describe
from features.catalogue import CHANNEL_WORDS, FAMILY_WORDS, REGION_WORDS
from features.naming import parse
from models.hyperparameters import CELLS as BAGS
from models.hyperparameters import CELLS_GRANULES, START

if TYPE_CHECKING:
    import pandas as pd

BY = ("meaning", "feature", "column", "family", "block", "region", "channel", "statistic")
"""What importances can be summed over. Meaning: what, of which channel, where, in which cells."""

HANDCRAFTED = "handcrafted"
"""Block of all features that are not a network's."""

_EMBEDDED = re.compile(r"cnn__\w+?__e\d+(_|$)")
NETWORK = "network (all channels)"
"""Channels of a column that a network made."""

_NO_CHANNEL = "no channel"

_LOOKED_AT = {
    f"cnn__{BAGS}__{BAGS}": "single cells",
    f"cnn__{BAGS}__{CELLS_GRANULES}": "granules of single cells alone",
}
"""What the learners of single cells contribute as, and look at."""

NOT_MEASURED = "not measured by this version; extract again"


CELLS = {
    "typical cell": ("mean", "median", "p10", "p90"),
    "differences between cells": ("std",),
    "the most extreme cells": ("max", "beyond"),
}
"""Statistics over cells that say alike things, by what they are about."""
_CELLS_OF = {statistic: cells for cells, statistics in CELLS.items() for statistic in statistics}


@dataclass(frozen=True, order=True)
class Meaning:
    """What columns have in common that say nearly the same: one cause, however many columns show it.

    Attributes
    ----------
    family, region, channel : str
        As `key_of`; all columns of a network have one meaning.
    cells : str
        One of `CELLS`; "" for what is measured once per picture.
    """

    family: str
    region: str
    channel: str
    cells: str

    @property
    def title(self) -> str:
        """Say it: "Intensity of protein in the nucleus, typical cell"."""
        if self.region == "cnn" and self.family == BAGS:
            return "Single cells, by their own networks"
        if self.region == "cnn":
            return f"Network {self.family}"
        what = FAMILY_WORDS.get(self.family, self.family.replace("_", " "))
        names = [CHANNEL_WORDS.get(name, name) for name in self.channel.split(" and ")]
        of = "" if self.channel == _NO_CHANNEL else f" of {' and '.join(names)}"
        where = REGION_WORDS.get(self.region, "").replace(" at half resolution", "")
        said = f"{what}{of} {where if of else where.replace('in ', 'of ', 1)}".strip()
        return said[0].upper() + said[1:] + (f", {self.cells}" if self.cells else "")


def meaning_of(column: str) -> Meaning:
    """Return what a column means."""
    parts = parse(column)
    cells = "" if parts.region == "cnn" else _CELLS_OF.get(parts.statistic or "", "")
    return Meaning(parts.family, parts.region, key_of(column, "channel"), cells)


@lru_cache(maxsize=2)
def grouped_by_meaning(columns: tuple[str, ...]) -> tuple[list[Meaning], NDArray[np.intp]]:
    """Return all meanings that columns have, in order, and the position of every column's one."""
    of = [meaning_of(column) for column in columns]
    known = sorted(set(of))
    position = {meaning: index for index, meaning in enumerate(known)}
    return known, np.array([position[meaning] for meaning in of], np.intp)


def leading(shares: "pd.Series[float]", by: str) -> dict[str, str]:
    """Return of each group of columns the one with the largest share: what it is most about."""
    keys = [key_of(str(column), by) for column in shares.index]
    found = shares.groupby(keys, sort=False).idxmax()
    return {str(key): str(column) for key, column in found.items()}


@cache
def in_words(column: str) -> str:
    """Say what a column is; a work folder may be older than the features that this version knows."""
    region, _, network = column.partition("__")
    if region == "cnn" and "__" not in network:
        return f"the embedding of the network {network}, all its numbers"
    if column in _LOOKED_AT:
        return f"what a network says that looks at {_LOOKED_AT[column]}, pooled over the picture's cells"
    if column.endswith(f"__{START}"):
        return f"what the network {network.removesuffix(f'__{START}')} says of it"
    try:
        return describe(column)
    except ValueError:
        return NOT_MEASURED


@cache
def key_of(column: str, by: str) -> str:
    """Return what a column is summed under in one of `BY`."""
    parts = parse(column)
    without = NETWORK if parts.region == "cnn" else _NO_CHANNEL
    if by == "meaning":
        return meaning_of(column).title
    keys = {
        # the numbers of an embedding mean nothing one by one; log-odds of a location do
        "column": column,
        "feature": f"cnn__{parts.family}" if _EMBEDDED.match(column) else column,
        "family": parts.family,
        "block": parts.family if parts.region == "cnn" else HANDCRAFTED,
        "region": parts.region,
        "channel": " and ".join(parts.channels) or without,
        "statistic": parts.statistic or "no statistic",
    }
    return keys[by]
