"""The stage `importances`: how much each feature moves each location's log-odds."""

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features import describe
from features.naming import parse
from models.bundle import Model, load_model
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing
from pipeline.core.progress import Progress
from pipeline.core.stage import changes, read_record, write_record
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_features
from pipeline.data.embedding_tables import read_embedding
from pipeline.data.locations import find_location
from pipeline.data.prediction_tables import read_outputs

BY = ("feature", "family", "block", "region", "channel", "statistic")
"""What importances can be summed over."""

HANDCRAFTED = "handcrafted"
"""Block of all features that are not a network's."""

NOT_MEASURED = "not measured by this version; extract again"


class ImportancesOptions(BaseModel):
    """What `importances` is asked to compute.

    Attributes
    ----------
    work : Path
        Folder of a finished `train`.
    embeddings, outputs : tuple of Path
        The tables that the model was trained with, if any.
    pictures : int
        Training pictures to explain, at most; evenly spaced over all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    work: Path
    embeddings: tuple[Path, ...] = ()
    outputs: tuple[Path, ...] = ()
    pictures: int = Field(default=500, ge=1)


def inputs(options: ImportancesOptions) -> dict[str, str]:
    """Return the fingerprints of what `importances` would read now, by name.

    Raises
    ------
    PipelineError
        If nothing has been trained.
    """
    work = Workspace(options.work)
    manifest = work.model / "manifest.json"
    for path in (manifest, work.folds, work.features, *options.embeddings, *options.outputs):
        if not path.is_file():
            raise PipelineError(f"{path}: missing; run train with --work {work.root} first")
    return {
        "model": file_digest(manifest),
        "features": file_digest(work.features),
        **{f"embeddings {path.name}": file_digest(path) for path in options.embeddings},
        **{f"outputs {path.name}": file_digest(path) for path in options.outputs},
        "option pictures": str(options.pictures),
    }


def importances(options: ImportancesOptions, progress: Progress) -> pd.DataFrame:
    """Return each column's mean absolute share of each location's log-odds in the stack.

    The result is kept in importances.parquet and read from there while the model is the same.

    Returns
    -------
    DataFrame
        Columns of the model x trained locations; each location's shares sum to 1.

    Raises
    ------
    PipelineError
        If nothing has been trained, or the model's tables are not given.
    """
    work = Workspace(options.work)
    now = inputs(options)
    record = read_record(work.record("importances"))
    if record and not changes(record, now) and work.importances.is_file():
        return pd.read_parquet(work.importances).set_index("column")
    model = _open(work)
    table = _table(options, work, model)
    with progress.track("Explaining pictures", len(table)) as advance:
        shares = model.stack.mean_shares(table, finished=advance)
    with replacing(work.importances) as temporary:
        shares.rename_axis("column").reset_index().to_parquet(temporary, index=False)
    write_record(work.record("importances"), "importances", options, now)
    return shares.rename_axis("column")


def grouped(shares: pd.DataFrame, by: str) -> pd.DataFrame:
    """Sum shares over columns that have something in common.

    Parameters
    ----------
    shares : DataFrame, columns of the model x locations
    by : str
        One of `BY`.

    Returns
    -------
    DataFrame
        Largest mean share first.

    Raises
    ------
    PipelineError
        If `by` is unknown.
    """
    if by not in BY:
        raise PipelineError(f"unknown grouping '{by}'; known: {', '.join(BY)}")
    keys = [_key(column, by) for column in shares.index]
    sums = shares.groupby(pd.Index(keys, name=by)).sum()
    return sums.loc[sums.mean(axis=1).sort_values(ascending=False, kind="stable").index]


def of_location(shares: pd.DataFrame, location: str, by: str, top: int) -> pd.Series:
    """Return the `top` largest shares of one location, largest first.

    Raises
    ------
    PipelineError
        If the location has no model, or `by` is unknown.
    """
    name = find_location(location, tuple(shares.columns))
    return grouped(shares, by)[name].sort_values(ascending=False, kind="stable").head(top)


def in_words(column: str) -> str:
    """Say what a column is; a work folder may be older than the features that this version knows."""
    try:
        return describe(column)
    except ValueError:
        return NOT_MEASURED


def _key(column: str, by: str) -> str:
    parts = parse(column)
    keys = {
        "feature": column,
        "family": parts.family,
        "block": parts.family if parts.region == "cnn" else HANDCRAFTED,
        "region": parts.region,
        "channel": " and ".join(parts.channels) or "no channel",
        "statistic": parts.statistic or "no statistic",
    }
    return keys[by]


def _open(work: Workspace) -> Model:
    try:
        return load_model(work.model)
    except ValueError as error:
        raise PipelineError(str(error)) from error


def _table(options: ImportancesOptions, work: Workspace, model: Model) -> pd.DataFrame:
    ids = pd.read_parquet(work.folds, columns=["Id"])["Id"].to_numpy()
    some = ids[np.unique(np.linspace(0, len(ids) - 1, min(options.pictures, len(ids))).astype(int))]
    table = read_features(work).reindex(some)
    for path in options.embeddings:
        table = table.join(read_embedding(path))
    if options.outputs:
        table = table.join(read_outputs(options.outputs))
    missing = [column for column in model.columns if column not in table.columns]
    if missing:
        raise PipelineError(
            f"{work.model}: {len(missing)} of its columns are not in {work.features.name} ({missing[0]}, …); "
            "give the tables it was trained with as --embeddings or --outputs"
        )
    return table[model.columns]
