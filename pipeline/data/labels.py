"""Labels, and experts' annotations: tables of class indices or names of locations."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError, Problem
from pipeline.core.names import counted, near, slug
from pipeline.data.locations import LOCATIONS
from pipeline.data.tables import Note, listed, read_table, unmatched

LABELS_REMEDY = "write class indices 0-27 separated by spaces"
_TARGETS = ("Target", "Guess")
_INDEX = {slug(name): index for index, name in enumerate(LOCATIONS)}


class Labels(NamedTuple):
    """Known locations of samples (index ``Id``, sorted; columns `LOCATIONS`), and rows that are of no use."""

    targets: pd.DataFrame
    problems: list[Problem]


def parse_target(text: str) -> frozenset[int]:
    """Parse class indices, or names of locations, separated by spaces, ``|``, ``;`` or commas.

    Raises
    ------
    ValueError
        If the text is empty, or holds what is neither a class 0-27 nor a location's name.
    """
    labels: set[int] = set()
    for part in re.split(r"[|;,]", text):
        words = [part.strip()] if slug(part) in _INDEX else part.split()
        labels |= {_class(word) for word in words}
    if not labels:
        raise ValueError("no label")
    return frozenset(labels)


def _class(word: str) -> int:
    """Return the class that a word stands for: an index, also as a column of floats has it, or a name."""
    number = re.fullmatch(r"(\d{1,3})(\.0*)?", word)
    index = _INDEX.get(slug(word), -1) if number is None else int(number[1])
    if not 0 <= index < len(LOCATIONS):
        meant = " or ".join(near(word, LOCATIONS))
        raise ValueError(
            f"label '{word}' is not one of 0-{len(LOCATIONS) - 1}" + (f"; {meant}?" if meant else "")
        )
    return index


def read_labels(path: Path) -> Labels:
    """Read a label table, ``Id,Target``; rows that cannot be used become problems.

    Raises
    ------
    PipelineError
        If the file cannot be used at all, or not where a picture has several labels.
    """
    there = set(read_table(path, ("Id",), ("Target", "Label")).columns)
    if "Label" in there and "Target" not in there:
        raise PipelineError(
            f"{path}: no column Target; Label is of the competition of 2021, whose 19 classes are numbered "
            "otherwise than these 28: write the names of locations, or these class indices, as Target"
        )
    table = read_table(path, ("Id", "Target"))
    repeated = table["Id"].duplicated(keep=False)
    problems = unmatched(table["Id"][repeated], path.name, "duplicate id", "keep one row per Id")
    rows: dict[str, frozenset[int]] = {}
    wrong = []
    for sample, target in table.loc[~repeated, ["Id", "Target"]].itertuples(index=False):
        wrong += _parsed(path, sample, target, rows)
    several = table["Id"][table["Target"].str.contains(r"[^\w.]") & ~repeated]
    if not rows or (len(several) > 1 and not several.isin(rows).any()):
        first = f"'{wrong[0].sample}': {wrong[0].reason}" if wrong else "no usable row"
        raise PipelineError(f"{path}: {len(wrong)} of {counted(len(table), 'row')}: {first}; {LABELS_REMEDY}")
    return Labels(_table(rows), problems + wrong)


def _parsed(path: Path, sample: str, text: str, rows: dict[str, frozenset[int]]) -> list[Problem]:
    """Add a sample's class indices to the rows, or return why not."""
    try:
        rows[sample] = parse_target(text)
    except ValueError as error:
        return [Problem(sample, path.name, str(error), LABELS_REMEDY)]
    return []


def _table(rows: Mapping[str, frozenset[int]]) -> pd.DataFrame:
    ids = sorted(rows)
    matrix = [np.isin(np.arange(len(LOCATIONS)), list(rows[sample])) for sample in ids]
    return pd.DataFrame(np.stack(matrix), index=pd.Index(ids, name="Id"), columns=list(LOCATIONS))


def read_annotations(
    path: Path, known: pd.Index, note: Note
) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Read annotations of the `known` pictures: by annotator pictures x locations, and rows of no use.

    Raises
    ------
    PipelineError
        If the table has no column of class indices, or no row can be used.
    """
    table = read_table(path, ("Id",), (*_TARGETS, "Annotator"))
    if set(_TARGETS) <= set(table.columns):
        raise PipelineError(f"{path}: has both Target and Guess; leave only what the annotator says")
    column = next((name for name in _TARGETS if name in table.columns), None)
    if column is None:
        raise PipelineError(f"{path}: no column Target or Guess; add the class indices, separated by spaces")
    number, said = listed(path, table["Id"], known)
    if not number:
        raise PipelineError(f"{path}: {said}; its ids must be those of the labels")
    note(said)
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
        raise PipelineError(f"{path}: {problems[0].sample}: {problems[0].reason}; {LABELS_REMEDY}")
    return usable, problems
