"""Labels, and experts' annotations: tables of class indices separated by spaces."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.problems import Problem
from pipeline.data.locations import LOCATIONS
from pipeline.data.tables import read_table

_TARGETS = ("Target", "Guess")


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


def read_annotations(path: Path, known: pd.Index) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Read annotations of the `known` pictures.

    Returns
    -------
    dict
        Annotator to a table of bool, pictures x locations.
    list of Problem
        Rows that could not be used.

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
    rows: dict[str, dict[str, NDArray[np.bool_]]] = {}
    problems = []
    for sample, annotator, text in zip(table["Id"], annotators, table[column], strict=True):
        annotated = rows.setdefault(str(annotator), {})
        problem = _problem(path, sample, annotator, text, known, annotated)
        if problem is None:
            annotated[sample] = np.isin(np.arange(len(LOCATIONS)), list(parse_target(text)))
        else:
            problems.append(problem)
    usable = {name: _table(annotated) for name, annotated in rows.items() if annotated}
    if not usable:
        raise PipelineError(
            f"{path}: no answer about a labelled picture; its ids must be those of the labels"
        )
    return usable, problems


def _problem(
    path: Path, sample: str, annotator: str, text: str, known: pd.Index, annotated: Mapping[str, object]
) -> Problem | None:
    if sample not in known:
        return Problem(sample, path.name, "no label", "add it to the labels, or leave it out")
    if sample in annotated:
        return Problem(sample, path.name, f"answered twice by {annotator}", "keep one row")
    try:
        parse_target(text)
    except ValueError as error:
        return Problem(sample, path.name, str(error), "write class indices 0-27 separated by spaces")
    return None


def _table(annotated: Mapping[str, NDArray[np.bool_]]) -> pd.DataFrame:
    index = pd.Index(sorted(annotated), name="Id")
    return pd.DataFrame(
        np.stack([annotated[sample] for sample in index]), index=index, columns=list(LOCATIONS)
    )
