"""Read label tables: ``Id,Target`` with class indices separated by spaces."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError, Problem
from pipeline.data.locations import LOCATIONS
from pipeline.data.tables import read_table


@dataclass(frozen=True)
class Labels:
    """Known locations of samples.

    Attributes
    ----------
    targets : DataFrame of bool
        One row per sample (index ``Id``, sorted), one column per location in the order of `LOCATIONS`.
    problems : list of Problem
        Rows that could not be used.
    """

    targets: pd.DataFrame
    problems: list[Problem]


def parse_target(text: str) -> frozenset[int]:
    """Parse class indices separated by spaces.

    Raises
    ------
    ValueError
        If the text is empty, not made of whole numbers, or names a class outside 0-27.
    """
    words = text.split()
    if not words:
        raise ValueError("no label")
    wrong = [word for word in words if not word.isdecimal() or int(word) >= len(LOCATIONS)]
    if wrong:
        raise ValueError(f"label '{wrong[0]}' is not one of 0-{len(LOCATIONS) - 1}")
    return frozenset(int(word) for word in words)


def read_labels(path: Path) -> Labels:
    """Read a label table; rows that cannot be used become problems.

    Parameters
    ----------
    path : Path
        csv with the columns ``Id`` and ``Target``.

    Raises
    ------
    PipelineError
        If the file cannot be used at all.
    """
    table = read_table(path, ("Id", "Target"))
    problems = []
    rows: dict[str, frozenset[int]] = {}
    repeated = set(table["Id"][table["Id"].duplicated()])
    for sample, target in zip(table["Id"], table["Target"], strict=True):
        if sample in repeated:
            problems.append(Problem(sample, path.name, "duplicate id", "keep one row per Id"))
            continue
        try:
            rows[sample] = parse_target(target)
        except ValueError as error:
            remedy = "write class indices 0-27 separated by spaces"
            problems.append(Problem(sample, path.name, str(error), remedy))
    if not rows:
        raise PipelineError(f"{path}: no usable row; write Id and class indices 0-27 separated by spaces")
    return Labels(_to_table(rows), problems)


def _to_table(rows: dict[str, frozenset[int]]) -> pd.DataFrame:
    ids = sorted(rows)
    matrix = np.zeros((len(ids), len(LOCATIONS)), dtype=bool)
    for position, sample in enumerate(ids):
        matrix[position, list(rows[sample])] = True
    return pd.DataFrame(matrix, index=pd.Index(ids, name="Id"), columns=list(LOCATIONS))
