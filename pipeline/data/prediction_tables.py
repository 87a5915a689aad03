"""Read what other networks answered: probabilities, 0 and 1, or label sets, one table per network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from models.outputs import output_columns
from pipeline.core.errors import PipelineError
from pipeline.core.names import slug
from pipeline.data.embedding_tables import embedding_name
from pipeline.data.labels import parse_target, read_table
from pipeline.data.locations import LOCATIONS

OUTPUTS = "outputs"
"""Name of the block that all networks' answers make together."""

_SETS = ("Target", "Predicted")


@dataclass(frozen=True)
class Networks:
    """What networks answered about pictures.

    Attributes
    ----------
    names : list of str
    ids : Index of str
        Sorted; every picture that any network answered.
    answers : ndarray of float32, shape (pictures, networks, locations)
        Probabilities, or 0 and 1; NaN where a network did not answer.
    """

    names: list[str]
    ids: pd.Index
    answers: NDArray[np.float32]


def read_networks(paths: Sequence[Path]) -> Networks:
    """Read one table of answers per network.

    Parameters
    ----------
    paths : sequence of Path
        Each a csv or parquet table with ``Id`` and either one column per location (by name, or all 28 in
        the competition's order) of probabilities or of 0 and 1, or a column ``Target`` or ``Predicted``
        of class indices separated by spaces, which may be empty.

    Raises
    ------
    PipelineError
        If a table cannot be read, is not one of these, or has the name of another.
    """
    tables = [_read(path) for path in paths]
    names = [embedding_name(path) for path in paths]
    if len(set(names)) < len(names):
        twice = next(path for place, path in enumerate(paths) if names[place] in names[:place])
        raise PipelineError(f"{twice}: another network has the same file name; rename one")
    known = np.unique(np.concatenate([table.index.to_numpy(dtype=str) for table in tables]))
    ids = pd.Index(known, name="Id")
    answers = np.stack([table.reindex(ids).to_numpy(dtype=np.float32) for table in tables], axis=1)
    return Networks(names, ids, answers)


def read_outputs(paths: Sequence[Path]) -> pd.DataFrame:
    """Read networks' answers as one table of columns for boosters.

    Parameters
    ----------
    paths : sequence of Path
        See `read_networks`, also for errors.

    Returns
    -------
    DataFrame of float32
        Index ``Id``, sorted: every network's answers as log-odds scaled to [0, 1], and their means. Pictures
        that a network did not answer have missing values.
    """
    networks = read_networks(paths)
    columns = output_columns(networks.answers, networks.names, list(LOCATIONS))
    places = [slug(location) for location in LOCATIONS]
    each = [f"cnn__{name}__output_{place}" for name in networks.names for place in places]
    means = [f"cnn__{OUTPUTS}__mean_{place}" for place in places]
    return columns.set_axis([*each, *means], axis=1).set_axis(networks.ids)


def _read(path: Path) -> pd.DataFrame:
    table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    if "Id" not in table.columns:
        raise PipelineError(f"{path}: no column Id; add the ids of the pictures")
    ids = table.pop("Id").astype(str)
    if ids.duplicated().any():
        raise PipelineError(f"{path}: Id '{ids[ids.duplicated()].iloc[0]}' occurs twice; keep one row per Id")
    sets = [name for name in _SETS if name in table.columns]
    values = _unpacked(path, table[sets[0]]) if sets else _numbers(path, table)
    if not np.isnan(values).all() and not (np.nanmin(values) >= 0 and np.nanmax(values) <= 1):
        wrong = values[(values < 0) | (values > 1)][0]
        raise PipelineError(f"{path}: holds {wrong:g}; give probabilities from 0 to 1, or 0 and 1")
    return pd.DataFrame(values, index=pd.Index(ids, name="Id"), columns=list(LOCATIONS))


def _read_csv(path: Path) -> pd.DataFrame:
    return read_table(path, ("Id",))


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path).reset_index(drop=True)
    except (ValueError, OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise PipelineError(f"{path}: not a readable table ({reason}); give csv or parquet") from error


def _unpacked(path: Path, sets: "pd.Series[str]") -> NDArray[np.float32]:
    values = np.zeros((len(sets), len(LOCATIONS)), dtype=np.float32)
    for row, text in enumerate(sets.astype(str)):
        try:
            values[row, list(parse_target(text)) if text.strip() else []] = 1
        except ValueError as error:
            raise PipelineError(
                f"{path}: {error}; write class indices 0-27 separated by spaces, or nothing"
            ) from error
    return values


def _numbers(path: Path, table: pd.DataFrame) -> NDArray[np.float32]:
    named = {slug(str(column)): column for column in table.columns}
    places = [slug(location) for location in LOCATIONS]
    if set(places) <= set(named):
        table = table[[named[place] for place in places]]
    elif table.shape[1] != len(LOCATIONS):
        raise PipelineError(
            f"{path}: {table.shape[1]} columns beside Id; give one per location, in the competition's order "
            f"or by name, or a column {' or '.join(_SETS)} of class indices"
        )
    try:
        return table.replace("", np.nan).to_numpy(dtype=np.float32)
    except ValueError as error:
        raise PipelineError(f"{path}: {error}; give numbers") from error
