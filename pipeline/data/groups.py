"""Which pictures no fold may split: the groups that are given, and near-duplicates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.workspace import Workspace
from pipeline.data.labels import read_table
from pipeline.data.near_duplicates import duplicate_groups


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
    given = (_samples(work, "group") if path is None else _table(path)).reindex(ids).to_numpy(dtype=object)
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


def _table(path: Path) -> "pd.Series[str]":
    table = read_table(path, ("Id", "group"))
    repeated = table["Id"][table["Id"].duplicated()]
    if len(repeated):
        raise PipelineError(f"{path}: Id '{repeated.iloc[0]}' occurs twice; keep one row per Id")
    return table.set_index("Id")["group"]


def _samples(work: Workspace, column: str) -> "pd.Series[str]":
    """Read one column of the samples by Id; no row where there is none."""
    if work.samples.is_file():
        table = pd.read_parquet(work.samples)
        if column in table.columns:
            return table.set_index("Id")[column]
    return pd.Series([], index=pd.Index([], name="Id"), dtype=object)
