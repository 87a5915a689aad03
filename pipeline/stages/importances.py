"""The stage `importances`: each feature's share of each location's log-odds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.bundle import Model
from models.stack_model import StackModel
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_table
from pipeline.core.names import unknown
from pipeline.core.stage import Progress, Stage, Summary, file_inputs, option_inputs, read_made, table_inputs
from pipeline.core.workspace import Workspace, untrained
from pipeline.data.cell_tables import with_bags
from pipeline.data.dataset import read_features
from pipeline.data.locations import KAGGLE2018, LocationList
from pipeline.data.plates import as_trained
from pipeline.data.tables import all_ids, unsaid
from pipeline.networks.leak_guard import read_given
from pipeline.stages.cluster_models import over_blocks
from pipeline.stages.column_meanings import BY, in_words, key_of, leading
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.trained_models import open_model


class ImportancesSummary(Summary):
    """How many columns of how many locations are explained, from so many pictures."""

    columns: int
    locations: int
    pictures: int


class Importances(Stage[ImportancesOptions, ImportancesSummary]):
    """Write each column's mean absolute share of each location's log-odds in the stack."""

    name = "importances"
    options = ImportancesOptions
    summary = ImportancesSummary

    def inputs(self, options: ImportancesOptions) -> dict[str, str]:
        """Return fingerprints of the model and of the tables it was trained with."""
        work = Workspace(options.work, options.name)
        manifest = work.model / "manifest.json"
        if not manifest.is_file() or not work.folds.is_file():
            raise untrained(work)
        features = {"features": work.features} if work.features.is_file() else {}
        return {
            **file_inputs({"model": manifest, **features}),
            **table_inputs(options.embeddings, options.outputs),
            **option_inputs(options, "pictures"),
        }

    def outputs(self, options: ImportancesOptions) -> tuple[Path, ...]:
        """Return the table of shares, and that of directions."""
        work = Workspace(options.work, options.name)
        return work.importances, work.directions

    def run(self, options: ImportancesOptions, progress: Progress) -> ImportancesSummary:
        """Explain training pictures.

        Raises
        ------
        PipelineError
            If the model's tables are not given.
        """
        work = Workspace(options.work, options.name)
        model = open_model(work.model)
        ids = read_made(work.folds, ["Id"])["Id"].to_numpy()
        some = ids[np.unique(np.linspace(0, len(ids) - 1, min(options.pictures, len(ids))).astype(int))]
        table = model_table(work, model, work.model, options.embeddings, options.outputs).reindex(some)
        with progress.track("Explaining pictures", len(table)) as advance:
            run = over_blocks(work.model, model.stack, StackModel.terms)
            shares, directions = model.stack.effects(table, finished=advance, run=run)
        write_table(work.importances, shares.rename_axis("column").reset_index())
        write_table(work.directions, directions.rename_axis("column").reset_index())
        return ImportancesSummary(columns=len(shares), locations=shares.shape[1], pictures=len(table))


def read_shares(work: Workspace) -> pd.DataFrame:
    """Return the shares that `Importances` wrote: columns of the model x trained locations."""
    return read_made(work.importances).set_index("column")


def read_directions(work: Workspace) -> pd.DataFrame:
    """Return which way columns work, as `models.stack_model.StackModel.effects` has it."""
    return read_made(work.directions).set_index("column")


class Cause(BaseModel):
    """What some columns have in common, and how much of a location's log-odds they decide.

    Attributes
    ----------
    name : str
        What they are summed under.
    share : float
        Mean absolute share of the log-odds, of 1.
    column, words : str
        The column with the largest share, and what it is.
    direction : float or None
        Whether more of that column speaks for (up to 1) or against (down to -1) the location; None of a
        dimension of a network, which means nothing by itself, and where it never changes.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    share: float
    column: str
    words: str
    direction: float | None

    @property
    def says(self) -> str:
        """Say the direction."""
        return said_direction(self.direction)


CLEAR = 0.3
"""Correlation from which on a column is said to speak for or against a location."""


def said_direction(direction: float | None) -> str:
    """Say which way a column works."""
    if direction is None:
        return ""
    if abs(direction) < CLEAR:
        return "works both ways"
    return f"more of it speaks {'for' if direction > 0 else 'against'}"


def causes(
    shares: pd.DataFrame, directions: pd.DataFrame, values: "pd.Series[float]", by: str
) -> list[Cause]:
    """Return what `of_location` gave, with the leading column of each group and which way it works."""
    location = str(values.name)
    first = leading(shares[location], by)
    made = []
    for name, share in values.items():
        column = first[str(name)]
        way = float(directions.loc[column, location])  # type: ignore[arg-type]
        known = None if np.isnan(way) or key_of(column, "feature") != column else way
        words = in_words(str(name)) if by in {"feature", "column"} else in_words(column)
        if known is None and column.startswith("cnn__"):
            words = in_words(key_of(column, "feature"))
        made.append(Cause(name=str(name), share=float(share), column=column, words=words, direction=known))
    return made


def grouped(shares: pd.DataFrame, by: str) -> pd.DataFrame:
    """Sum shares over columns alike in one of `BY`, the largest mean first; refuse anything else."""
    if by not in BY:
        raise PipelineError(unknown("grouping", by, BY))
    keys = [key_of(column, by) for column in shares.index]
    sums = shares.groupby(pd.Index(keys, name=by)).sum()
    return sums.loc[sums.mean(axis=1).sort_values(ascending=False, kind="stable").index]


def of_location(
    shares: pd.DataFrame,
    location: str,
    by: str,
    top: int,
    left_out: Mapping[str, str] | None = None,
    locations: LocationList = KAGGLE2018,
) -> pd.Series:
    """Return the `top` largest shares, as `grouped`, of one location, given by name or class index.

    One that has no model is refused, saying why where `left_out` does.
    """
    name = locations.find(location)
    if name not in shares.columns:
        reason = (left_out or {}).get(name, "train says why")
        raise PipelineError(f"no model for {name} ({reason}); there is one for: {', '.join(shares.columns)}")
    return grouped(shares, by)[name].sort_values(ascending=False, kind="stable").head(top)


def model_table(
    work: Workspace, model: Model, folder: Path, embeddings: Sequence[Path], outputs: Sequence[Path]
) -> pd.DataFrame:
    """Return the model's columns of all pictures of a work folder, as they are predicted from.

    Raises
    ------
    PipelineError
        If a column is neither among the features nor in the given tables.
    """
    given = list(read_given(folder, model, embeddings, outputs).values())
    table = read_features(work) if work.features.is_file() else pd.DataFrame(index=all_ids(given))
    for one in given:
        table = table.join(one)
    table = with_bags(table, model, work)
    missing = [column for column in model.columns if column not in table.columns]
    if missing:
        raise PipelineError(
            f"{folder}: {len(missing)} of its columns are not in {work.features.name} ({missing[0]}, …); "
            "run extract and train again"
        )
    return as_trained(table[model.columns], model, work, unsaid, folder)[0]
