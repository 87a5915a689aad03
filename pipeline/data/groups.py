"""Which pictures no fold may split: the groups that are given, and near-duplicates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.workspace import Workspace
from pipeline.data.near_duplicates import duplicate_groups
from pipeline.data.tables import by_id, read_table


@dataclass(frozen=True)
class Grouping:
    """Groups of pictures.

    Attributes
    ----------
    groups : Series of str
    given : bool
        Whether any group was given.
    copies : int
        Pictures that are in a group because they are near-duplicates of another.
    """

    groups: pd.Series
    given: bool
    copies: int


def read_groups(work: Workspace, path: Path | None, ids: pd.Index) -> Grouping:
    """Group pictures by `path` (``Id,group``), or as the samples say.

    Pictures without a group are grouped with their near-duplicates: with one that has a group, if any.
    Groups that were given are never joined.

    Raises
    ------
    PipelineError
        If the table cannot be used.
    """
    table = None if path is None else by_id(path, read_table(path, ("Id", "group")))
    given = (_samples(work, "group") if table is None else table["group"]).reindex(ids).to_numpy(dtype=object)
    cluster = duplicate_groups(_samples(work, "hash").reindex(ids).fillna("").tolist())
    known = np.array([isinstance(group, str) and group != "" for group in given], dtype=bool)
    shared = dict(zip(cluster[known][::-1], given[known][::-1], strict=True))  # the first one's counts
    groups = [
        given[row] if known[row] else shared.get(first, f"picture {ids[first]}")
        for row, first in enumerate(cluster)
    ]
    copied = np.bincount(cluster, minlength=len(ids))[cluster] > 1
    named = pd.Series(groups, index=ids, name="group", dtype=object)
    return Grouping(named, bool(known.any()), int((copied & ~known).sum()))


def _samples(work: Workspace, column: str) -> "pd.Series[str]":
    """Read one column of the samples by Id; no row where there is none."""
    if work.samples.is_file():
        table = pd.read_parquet(work.samples)
        if column in table.columns:
            return table.set_index("Id")[column]
    return pd.Series([], index=pd.Index([], name="Id"), dtype=object)
