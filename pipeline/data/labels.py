"""Labels, and experts' annotations: tables of class indices or names of locations."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError, Problem
from pipeline.core.names import counted
from pipeline.data.dataset_options import READY_LISTS
from pipeline.data.locations import KAGGLE2018, LocationList, open_list
from pipeline.data.table_files import MISSING
from pipeline.data.tables import Note, listed, read_table, unmatched, unsaid

_TARGETS = ("Target", "Guess")


class Labels(NamedTuple):
    """Known locations of samples, and rows that are of no use.

    Attributes
    ----------
    targets : DataFrame of bool
        Index ``Id``, sorted; a column per location.
    problems : list of Problem
    written : LocationList
        The list that the table is written in.
    lost : dict of str to int
        Labels without a counterpart among the locations, and of how many samples.
    """

    targets: pd.DataFrame
    problems: list[Problem]
    written: LocationList = KAGGLE2018
    lost: Mapping[str, int] = {}


class Target(NamedTuple):
    """What a cell of labels says: positions of locations, and labels that none of them stands for."""

    columns: frozenset[int]
    lost: frozenset[str] = frozenset()


def parse_target(text: str, locations: LocationList, written: LocationList | None = None) -> Target:
    """Parse class indices, or names, separated by spaces (indices only), ``|``, ``;`` or commas.

    Parameters
    ----------
    text : str
        Empty, or ``NaN`` and the like, where there is no location.
    locations : LocationList
        What is told apart.
    written : LocationList, optional
        What the labels are written in, where it is another list.

    Raises
    ------
    ValueError
        If a word is neither a class index nor a name.
    """
    spelt, columns, lost = written or locations, set(), set()
    for word in _words(text, spelt):
        row = spelt.row(word)
        if row is None:
            meant = " or ".join(spelt.near(word))
            is_name = any(map(str.isalpha, word))
            wanted = f"is no name or index of {spelt.name}" if is_name else f"is not one of {spelt.span}"
            raise ValueError(f"label '{word}' {wanted}" + (f"; {meant}?" if meant else ""))
        named = locations.trained_as(row)
        columns |= {locations.columns[name] for name in named or ()}
        lost |= {row.name} if named is None else set()
    return Target(frozenset(columns), frozenset(lost))


def _words(text: str, spelt: LocationList) -> list[str]:
    """Split a cell into labels; names may hold spaces."""
    if text in MISSING:
        return []
    parts = re.split(r"[|;,]", text)
    return [word for part in parts for word in ([part.strip()] if spelt.row(part) else part.split())]


def remedy(written: LocationList) -> str:
    """Say what labels may be."""
    own = "; locations of your own go into a file, --locations FILE" * (written.name in READY_LISTS)
    return f"write names, or class indices {written.span} separated by spaces{own}"


def written_in(cells: Iterable[str], locations: LocationList) -> LocationList:
    """Return the list that names are of: `locations`, or the first that ships and has all of them."""
    rows = list(dict.fromkeys(cells))
    if any(re.search(r"(?<!\w)\d+(?!\w)", text) for text in rows):
        return locations
    if all(locations.row(word) for text in rows for word in _words(text, locations)):
        return locations
    for known in map(open_list, READY_LISTS):
        found = [known.row(word) for text in rows for word in _words(text, known)]
        if all(row is not None and not row.merge_into for row in found):
            return known
    return locations


def read_labels(
    path: Path, locations: LocationList = KAGGLE2018, written: LocationList | None = None, note: Note = unsaid
) -> Labels:
    """Read a label table, ``Id,Target`` or ``ID,Label``; rows that cannot be used become problems.

    Labels of another list become those of `locations` that stand for them; those that have no counterpart
    there are noted.

    Raises
    ------
    PipelineError
        If the file cannot be used at all, or not where a picture has several labels.
    """
    there = set(read_table(path, ("Id",), ("Target", "Label")).columns)
    column = "Label" if "Label" in there and "Target" not in there else "Target"
    table = read_table(path, ("Id", column)).rename(columns={column: "Target"})
    if len(table) > 2 and table["Target"].str.fullmatch(r"\d+,0+").all():
        first = table["Target"].iloc[0]
        raise PipelineError(f"{path}: every label ends in ',0', such as '{first}': write 3 for 3,0")
    spelt = written or written_in(table["Target"], locations)
    if column == "Label" and written is None:
        _check_label(path, table["Target"], spelt)
    repeated = table["Id"].duplicated(keep=False)
    problems = unmatched(table["Id"][repeated], path.name, "duplicate id", "keep one row per Id")
    rows: dict[str, Target] = {}
    wrong = []
    for sample, target in table.loc[~repeated, ["Id", "Target"]].itertuples(index=False):
        wrong += _parsed(path, sample, target, rows, locations, spelt)
    if written is None and len(wrong) >= max(2, len(table) / 100):
        _check_list(path, table["Target"], locations, wrong)
    several = table["Id"][table["Target"].str.contains(r"[^\w.]") & ~repeated]
    if not any(target.columns for target in rows.values()) or (
        len(several) > 1 and not several.isin(rows).any()
    ):
        wrong += _without_counterpart(path, rows, locations)
        first = f"'{wrong[0].sample}': {wrong[0].reason}" if wrong else "none has a label"
        raise PipelineError(f"{path}: {len(wrong)} of {counted(len(table), 'row')}: {first}; {remedy(spelt)}")
    lost = Counter(name for target in rows.values() for name in sorted(target.lost))
    wrong += _without_counterpart(path, rows, locations)
    if spelt != locations:
        note(f"{path.name} is written in {spelt.name}; its labels become those of {locations.name}")
    if lost:
        named = ", ".join(f"{name} ({number:,})" for name, number in lost.most_common())
        note(f"Warning: {path.name}: labels with no counterpart in {locations.name} are left out: {named}")
    if empty := sum(not target.columns for target in rows.values()):
        note(f"{path.name}: {counted(empty, 'picture')} without a label, taken to show none of the locations")
    return Labels(_table(rows, locations), problems + wrong, spelt, dict(lost))


def _check_list(path: Path, cells: pd.Series, locations: LocationList, wrong: list[Problem]) -> None:
    """Refuse labels of another list that ships, whose smaller numbers would be taken for other locations."""
    for known in map(open_list, READY_LISTS):
        if all(known.row(word) for text in dict.fromkeys(cells) for word in _words(text, known)):
            own = "--locations FILE for locations of your own"
            if locations.name not in READY_LISTS:
                own = f"state the numbers of your own in a column index of {locations.name}"
            raise PipelineError(
                f"{path}: {len(wrong)} of {counted(len(cells), 'row')} are not of {locations.name} "
                f"('{wrong[0].sample}': {wrong[0].reason}), but all are of {known.name}; give --labels-as "
                f"{known.name}, or --locations {known.name} to tell its {len(known.names)} apart, or {own}"
            )


def _without_counterpart(path: Path, rows: dict[str, Target], locations: LocationList) -> list[Problem]:
    """Take the rows out of whose labels none is left, and list them."""
    empty = {sample: row.lost for sample, row in rows.items() if row.lost and not row.columns}
    for sample in empty:
        del rows[sample]
    return [
        Problem(
            sample,
            path.name,
            f"no label has a counterpart in {locations.name}: {', '.join(sorted(lost))}",
            "add a row of that name (or *) to the list, merged into none if it is no location",
        )
        for sample, lost in empty.items()
    ]


def _check_label(path: Path, cells: pd.Series, spelt: LocationList) -> None:
    """Refuse numbers of the competition of 2021 where another list that ships would be taken for theirs."""
    if spelt.name in READY_LISTS and spelt.name != "hpa2021" and cells.str.contains(r"(?<!\w)\d").any():
        raise PipelineError(
            f"{path}: no column Target; Label is of the competition of 2021, whose 19 classes are numbered "
            f"otherwise than those of {spelt.name}: give --labels-as hpa2021, or --locations hpa2021 to tell "
            "those 19 apart, or call the column Target if it is not"
        )


def _parsed(
    path: Path,
    sample: str,
    text: str,
    rows: dict[str, Target],
    locations: LocationList,
    written: LocationList,
) -> list[Problem]:
    """Add what a sample's cell says to the rows, or return why not."""
    try:
        rows[sample] = parse_target(text, locations, written)
    except ValueError as error:
        return [Problem(sample, path.name, str(error), remedy(written))]
    return []


def _table(rows: Mapping[str, Target], locations: LocationList) -> pd.DataFrame:
    ids, columns = sorted(rows), np.arange(len(locations.names))
    matrix = [np.isin(columns, list(rows[sample].columns)) for sample in ids]
    return pd.DataFrame(np.stack(matrix), index=pd.Index(ids, name="Id"), columns=list(locations.names))


def read_annotations(
    path: Path,
    known: pd.Index,
    note: Note,
    locations: LocationList = KAGGLE2018,
    written: LocationList | None = None,
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
    spelt = written or written_in(table[column], locations)
    rows: dict[str, dict[str, Target]] = {}
    problems: list[Problem] = []
    for sample, annotator, text in zip(table["Id"], annotators, table[column], strict=True):
        annotated = rows.setdefault(annotator, {})
        if sample not in known:
            problems.append(Problem(sample, path.name, "no label", "add it to the labels, or leave it out"))
        elif sample in annotated:
            problems.append(Problem(sample, path.name, f"answered twice by {annotator}", "keep one row"))
        elif text in MISSING:
            problems.append(Problem(sample, path.name, "no label", remedy(spelt)))
        else:
            problems += _parsed(path, sample, text, annotated, locations, spelt)
    for annotated in rows.values():
        problems += _without_counterpart(path, annotated, locations)
    usable = {name: _table(annotated, locations) for name, annotated in rows.items() if annotated}
    if not usable:
        raise PipelineError(f"{path}: {problems[0].sample}: {problems[0].reason}; {remedy(spelt)}")
    return usable, problems
