"""Annotations: what experts say that pictures show, one table of several annotators."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, Problem
from pipeline.data.labels import parse_target
from pipeline.data.locations import LOCATIONS
from pipeline.data.tables import read_table

_TARGETS = ("Target", "Guess")


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
