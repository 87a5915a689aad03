"""Why pictures got their answers: reasons, pictures alike, and pictures at both ends of a feature."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from models.bundle import Model
from models.cross_fitting import Table
from models.stack_model import StackModel
from pipeline.core.stage import check_intact, read_made
from pipeline.core.workspace import Workspace
from pipeline.stages.cell_scores import said_of_cells
from pipeline.stages.cluster_models import over_blocks
from pipeline.stages.comparisons import OutOfFold
from pipeline.stages.explain import Part, most_alike, parts_of
from pipeline.stages.importances import Cause

REASONS = 4
"""Parts of an answer that are told."""

DECIDING = 100
"""Features by which pictures are alike, at most: the largest parts of the answer."""

ALIKE = 3
"""Pictures alike that are shown."""

ENDS = 3
"""Pictures that are shown at either end of a feature."""


@dataclass(frozen=True)
class Reason:
    """What the model says of one location for one picture, and its largest parts.

    `rest` is what all other parts add and `bias` where it starts, so that everything sums to `log_odds`;
    `deciding` are the features of the largest parts, networks aside.
    """

    location: str
    log_odds: float
    parts: tuple[Part, ...]
    rest: float
    bias: float
    deciding: tuple[str, ...]

    @property
    def probability(self) -> float:
        """The probability that belongs to the log-odds."""
        return float(expit(self.log_odds))


Reasons = dict[str, dict[str, Reason]]


def reasons(
    folder: Path,
    model: Model,
    table: pd.DataFrame,
    asked: Mapping[str, Sequence[str]],
    finished: Callable[[int], None],
) -> Reasons:
    """Explain pictures by the model that was trained on all of them.

    Parameters
    ----------
    folder : Path
        Where the model lies.
    table : DataFrame
        The model's columns; has all pictures that are asked for.
    asked : mapping
        Id to the locations to explain.
    finished : callable
        Told how many pictures were just explained.
    """
    rows = table.loc[list(asked)]
    blocks = [
        (tables, {one: asked[one] for one in rows.index[some]})
        for some, tables in model.stack.in_blocks(rows)
    ]
    made: Reasons = {}
    for some in over_blocks(folder, model.stack, _reasons)(blocks):
        made |= some
        finished(len(some))
    return made


def _reasons(stack: StackModel, block: tuple[list[Table], dict[str, Sequence[str]]]) -> Reasons:
    """Explain the pictures of one block."""
    tables, asked = block
    names, parts = tuple(stack.contributors), stack.split(tables)
    return {
        one: {location: _reason(location, names, parts[location][position]) for location in locations}
        for position, (one, locations) in enumerate(asked.items())
    }


def _reason(location: str, names: tuple[str, ...], contributions: NDArray[np.float64]) -> Reason:
    bias, log_odds = float(contributions[-1]), float(contributions.sum())
    parts = parts_of(names, contributions[:-1], DECIDING)
    told = tuple(parts[:REASONS])
    rest = log_odds - bias - sum(part.contribution for part in told)
    deciding = tuple(part.column for part in parts if part.region != "cnn")
    return Reason(location, log_odds, told, rest, bias, deciding)


def out_of_fold(
    work: Workspace, predicted: OutOfFold, asked: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, list[tuple[str, float]]]]:
    """Return what base learners that never saw a picture said of it: by Id and location, block and log-odds.

    Log-odds are means over the kinds of base learners of a block; empty where they were not kept.
    """
    if not work.base_log_odds.is_file():
        return {}
    check_intact(work.base_log_odds)
    with np.load(work.base_log_odds, allow_pickle=False) as kept:
        outer, blocks = kept["outer"], [str(name) for name in kept["blocks"]]
    ids, names = list(read_made(work.folds, ["Id"])["Id"]), list(predicted.truth.columns)
    row_of, column_of = {one: row for row, one in enumerate(ids)}, {one: k for k, one in enumerate(names)}
    sources = {name: [k for k, block in enumerate(blocks) if block == name] for name in dict.fromkeys(blocks)}
    return {
        one: {
            location: [
                (name, float(outer[row_of[one], column_of[location], some].mean()))
                for name, some in sources.items()
            ]
            for location in locations
        }
        for one, locations in asked.items()
    }


def cells_of(work: Workspace, predicted: OutOfFold, ids: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Return what the cells of pictures show, by networks that never saw them: label, locations.

    None of a training without single cells.
    """
    if not work.cells_out_of_fold.is_file():
        return {}
    names = np.array(predicted.truth.columns)
    return {
        one: pd.DataFrame({"label": labels, "locations": ["; ".join(names[row]) for row in said.chosen]})
        for one, labels, _, said in said_of_cells(work, predicted, ids)
    }


def alike(table: pd.DataFrame, groups: "pd.Series[str]", one: str, reason: Reason) -> list[tuple[str, float]]:
    """Return the pictures of other groups that are most alike in what decides, with their similarity."""
    if not reason.deciding:
        return []
    columns = list(reason.deciding)
    known = table.loc[groups.index.intersection(table.index).difference([one]), columns]
    here = pd.Series(table.loc[[one], columns].iloc[0])
    best = most_alike(known, here, groups, groups.get(one), ALIKE)
    return [(str(other), float(value)) for other, value in best.items()]


@dataclass(frozen=True)
class Ends:
    """Pictures with the least and the most of the first feature that decides a location."""

    cause: Cause
    least: list[tuple[str, float]]
    most: list[tuple[str, float]]


def ends(table: pd.DataFrame, causes: Iterable[Cause], groups: "pd.Series[str]") -> Ends | None:
    """Return pictures, of different groups, at both ends of the first cause that has a direction."""
    for cause in causes:
        if cause.direction is None or cause.column not in table:
            continue
        values = table[cause.column].dropna().sort_values(kind="stable")
        some = values[~groups.reindex(values.index).duplicated().to_numpy()]
        other = values[::-1][~groups.reindex(values.index[::-1]).duplicated().to_numpy()]
        if len(some) < 2 * ENDS:
            continue
        return Ends(cause, _listed(some.head(ENDS)), _listed(other.head(ENDS)))
    return None


def _listed(values: "pd.Series[float]") -> list[tuple[str, float]]:
    return [(str(one), float(value)) for one, value in values.items()]
