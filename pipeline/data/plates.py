"""Features in units of their plate: which pictures are on which plate, and which are the reference."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.bundle import Model
from models.hyperparameters import CELLS
from models.normalisation import within_plates
from models.stacking import MINIMUM_FOLDS
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.names import counted, unknown
from pipeline.core.stage import read_made
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import Normalisation
from pipeline.data.layouts import METADATA
from pipeline.data.prediction_tables import OUTPUTS
from pipeline.data.tables import Note, unmatched


class Normalised(NamedTuple):
    """Rows in units of their plates, which of them are the reference, and the rows that are left out."""

    table: pd.DataFrame
    reference: NDArray[np.bool_]
    problems: list[Problem]


def read_metadata(work: Workspace, columns: Iterable[str]) -> pd.DataFrame:
    """Read what the samples say in some columns, by Id; "" where nothing is.

    Raises
    ------
    PipelineError
        If there is no such column.
    """
    if not work.samples.is_file():
        raise PipelineError(f"{work.samples}: missing; run extract with --work {work.root} first")
    table = read_made(work.samples).set_index("Id")
    known = [name for name in table.columns if name.startswith(METADATA) or name == "group"]
    for name in columns:
        if name not in known:
            raise PipelineError(f"{unknown('column', name, known)}; add it to --samples and extract again")
    return table[list(dict.fromkeys(columns))].fillna("")


def _placed(work: Workspace, how: Normalisation, ids: pd.Index) -> tuple["pd.Series[str]", NDArray[np.bool_]]:
    """Return the plate of every row, given its picture, and whether it is of the reference.

    Raises
    ------
    PipelineError
        If a column or the controls are not among the samples.
    """
    column, _, value = (how.controls or "").partition("=")
    if how.controls and not (column and value):
        raise PipelineError(f"--controls {how.controls}: give COLUMN=VALUE, such as Metadata_Treatment=DMSO")
    known = read_metadata(work, [how.by, *filter(None, [column])]).reindex(ids, fill_value="")
    reference = known[column].eq(value).to_numpy() if column else np.ones(len(ids), bool)
    if not reference.any():
        raise PipelineError(f"--controls: {unknown(column, value, sorted(set(known[column]) - {''}))}")
    return known[how.by], reference


def cells_in_units(cells: pd.DataFrame, work: Workspace, how: Normalisation | None) -> pd.DataFrame:
    """Return robust z-scores of cells, index ``Id``, within plates: by the cells of the reference pictures.

    ``label`` stays. Cells of no plate, or of one with fewer than two of the reference, are left out.
    """
    if how is None:
        return cells
    plates, reference = _placed(work, how, cells.index)
    here = plates.ne("").to_numpy()
    numbers = cells[here].drop(columns="label", errors="ignore")
    names = [name for name in cells.columns if name not in numbers]
    found = within_plates(numbers, plates[here], reference[here], 2)
    kept = here & ~plates.isin(list(found.few)).to_numpy()
    return pd.concat([cells.loc[kept, names], found.table], axis=1)


def normalisation_of(card: Mapping[str, Any]) -> Normalisation | None:
    """Return how a model's columns are brought into units of plates, if they are."""
    how = card.get("normalisation")
    return None if how is None else Normalisation.model_validate(how)


def normalised(
    table: pd.DataFrame, work: Workspace, how: Normalisation, note: Note, model: str = ""
) -> Normalised:
    """Return robust z-scores within plates; pictures of plates with too few of the reference are left out.

    Parameters
    ----------
    table : DataFrame of float
        Features and embeddings of the pictures of `work`, index ``Id``; all that are to be had, labelled or
        not, since a plate's median and spread are taken from them.
    model : str
        What was trained so, for messages.

    Raises
    ------
    PipelineError
        If a column or the controls are not among the samples, or every picture would be left out.
    """
    plates, reference = _placed(work, how, table.index)
    placed = plates.ne("").to_numpy()
    found = within_plates(table[placed], plates[placed], reference[placed], how.minimum)
    what = f"controls ({how.controls})" if how.controls else "pictures"
    remedy = f"give more {what} of it" + ("" if model else ", or lower the minimum")
    problems = unmatched(table.index[~placed], "samples", f"no {how.by}", "fill it in and extract again")
    for plate, count in found.few.items():
        reason = f"{how.by} '{plate}' has {count} {what} to normalise by; {how.minimum} are needed"
        problems += unmatched(table.index[placed & plates.eq(plate).to_numpy()], "samples", reason, remedy)
    if found.table.empty:
        first = f"{problems[0].reason}; {problems[0].remedy}" if problems else "there are no pictures"
        raise PipelineError(f"{work.samples}: no picture can be normalised: {first}")
    _say(found.unknown, plates[found.table.index].nunique(), len(found.table), how, note)
    kept = table.index.isin(found.table.index)
    return Normalised(found.table, reference[kept], problems)


def check_samples(card: Mapping[str, Any], known: Iterable[str], model: Path) -> None:
    """Refuse samples without the columns that a model normalises by, before anything is measured."""
    how = Normalisation.model_validate(card["normalisation"])
    for name in (how.by, (how.controls or "").partition("=")[0]):
        if name and name not in known:
            said = unknown("column", name, known)
            raise PipelineError(f"{model}: normalises by '{name}': {said}; add it to the table for --samples")


def as_trained(
    table: pd.DataFrame, model: Model, work: Workspace, note: Note, folder: Path
) -> tuple[pd.DataFrame, list[Problem]]:
    """Bring a table of a model's columns into units of plates, if it was trained so; see `normalised`.

    New plates are normalised by their own pictures or controls, so that an answer depends on what is given
    together with a picture.
    """
    how = normalisation_of(model.card)
    if how is None:
        return table, []
    as_is = [*model.stack.blocks.get(OUTPUTS, ()), *model.stack.blocks.get(CELLS, ())]  # cells are by now
    found = normalised(table.drop(columns=as_is), work, how, note, str(folder))
    return found.table.join(table[as_is])[list(table.columns)], found.problems


def _say(lost: Mapping[str, int], plates: int, pictures: int, how: Normalisation, note: Note) -> None:
    what = f"controls ({how.controls})" if how.controls else "pictures"
    note(
        f"Normalised by {how.by}: {counted(pictures, 'picture')} of {counted(plates, 'plate')}, each by the "
        f"{what} of its plate"
    )
    if lost:
        note(
            f"{counted(sum(lost.values()), 'value')} in {counted(len(lost), 'column')} became unknown, such "
            f"as in {next(iter(lost))}: the {what} of the plate do not vary there"
        )


def whole_plates(work: Workspace, by: str, groups: pd.Series, note: Note) -> "pd.Series[str]":
    """Return what folds may not split, by the names of plates: plates, joined where they share a group.

    Raises
    ------
    PipelineError
        If a picture is of no plate, or groups leave fewer than three parts.
    """
    plates = read_metadata(work, [by])[by].reindex(groups.index, fill_value="")
    if (absent := plates.index[plates.eq("")]).size:
        raise PipelineError(
            f"--folds-by {by}: {counted(len(absent), 'labelled picture')} without it, such as '{absent[0]}'; "
            "fill it in and extract again"
        )
    codes, names = pd.factorize(plates, sort=True)
    of_group = pd.factorize(groups)[0] + len(names)
    graph = coo_array((np.ones(len(codes), bool), (codes, of_group)), shape=(of_group.max() + 1,) * 2)
    _, part = connected_components(graph, directed=False)
    joined = [" + ".join(names[part[: len(names)] == one]) for one in part[: len(names)]]
    number, said, remedy = len(set(joined)), counted(len(names), "plate"), "give a column of more plates"
    if number < len(names):
        shared = str(plates.groupby(groups).nunique().idxmax())
        both = " and ".join(sorted(set(plates[groups.astype(str).eq(shared)]))[:2])
        said = f"group '{shared}' is on plates {both}, so that {said} make {counted(number, 'fold')}"
        remedy = (
            "to score known proteins on new plates, give the plates as groups (--groups, a table Id,group)"
        )
        note(said)
    if number < MINIMUM_FOLDS:
        raise PipelineError(f"--folds-by {by}: {said}, and {MINIMUM_FOLDS} are needed; {remedy}")
    return pd.Series(joined, dtype=object).iloc[codes].set_axis(groups.index).rename("plate")
