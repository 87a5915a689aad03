"""Labels, and experts' annotations: tables of class indices separated by spaces."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError, Problem
from pipeline.data.locations import LOCATIONS
from pipeline.data.tables import read_table

_TARGETS = ("Target", "Guess")


class Labels(NamedTuple):
    """Known locations of samples (index ``Id``, sorted; columns `LOCATIONS`), and rows that are of no use."""

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
    """Read a label table, csv of ``Id,Target``; rows that cannot be used become problems.

    Raises
    ------
    PipelineError
        If the file cannot be used at all.
    """
    table = read_table(path, ("Id", "Target"))
    problems: list[Problem] = []
    rows: dict[str, frozenset[int]] = {}
    repeated = set(table["Id"][table["Id"].duplicated()])
    for sample, target in zip(table["Id"], table["Target"], strict=True):
        if sample in repeated:
            problems.append(Problem(sample, path.name, "duplicate id", "keep one row per Id"))
            continue
        problems += _parsed(path, sample, target, rows)
    if not rows:
        raise PipelineError(f"{path}: no usable row; write Id and class indices 0-27 separated by spaces")
    return Labels(_table(rows), problems)


def _parsed(path: Path, sample: str, text: str, rows: dict[str, frozenset[int]]) -> list[Problem]:
    """Add a sample's class indices to the rows, or return why not."""
    try:
        rows[sample] = parse_target(text)
    except ValueError as error:
        return [Problem(sample, path.name, str(error), "write class indices 0-27 separated by spaces")]
    return []


def _table(rows: Mapping[str, frozenset[int]]) -> pd.DataFrame:
    ids = sorted(rows)
    matrix = [np.isin(np.arange(len(LOCATIONS)), list(rows[sample])) for sample in ids]
    return pd.DataFrame(np.stack(matrix), index=pd.Index(ids, name="Id"), columns=list(LOCATIONS))


def read_annotations(path: Path, known: pd.Index) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Read annotations of the `known` pictures: by annotator pictures x locations, and rows of no use.

    Raises
    ------
    PipelineError
        If the table has no column of class indices, or no row can be used.
    """
    table = read_table(path, ("Id",))
    column = next((name for name in _TARGETS if name in table.columns), None)
    if column is None:
        raise PipelineError(f"{path}: no column Target or Guess; add the class indices, separated by spaces")
    annotators = table["Annotator"] if "Annotator" in table.columns else pd.Series("experts", table.index)
    rows: dict[str, dict[str, frozenset[int]]] = {}
    problems: list[Problem] = []
    for sample, annotator, text in zip(table["Id"], annotators, table[column], strict=True):
        annotated = rows.setdefault(annotator, {})
        if sample not in known:
            problems.append(Problem(sample, path.name, "no label", "add it to the labels, or leave it out"))
        elif sample in annotated:
            problems.append(Problem(sample, path.name, f"answered twice by {annotator}", "keep one row"))
        else:
            problems += _parsed(path, sample, text, annotated)
    usable = {name: _table(annotated) for name, annotated in rows.items() if annotated}
    if not usable:
        raise PipelineError(
            f"{path}: no answer about a labelled picture; its ids must be those of the labels"
        )
    return usable, problems
