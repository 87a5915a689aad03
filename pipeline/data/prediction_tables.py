"""Read other networks' predictions: probabilities, 0 and 1, or label sets, one table per network."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.base_learners.votes import scaled
from pipeline.core.errors import PipelineError
from pipeline.core.names import slug
from pipeline.data.labels import parse_target
from pipeline.data.locations import LOCATIONS
from pipeline.data.tables import embedding_name, read_by_id

OUTPUTS = "outputs"
"""Name of the block that all networks' predictions make together."""

_SETS = ("Target", "Predicted")


def read_outputs(paths: Sequence[Path]) -> pd.DataFrame:
    """Read networks' predictions as one table for base learners; see `read_probabilities`.

    Returns
    -------
    DataFrame of float32
        Log-odds scaled to [0, 1]: 0 and 1 where the network is certain.
    """
    table = read_probabilities(paths)
    return pd.DataFrame(scaled(table.to_numpy()), table.index, table.columns)


def read_probabilities(paths: Sequence[Path]) -> pd.DataFrame:
    """Read networks' predictions as one table, network by network.

    Parameters
    ----------
    paths : sequence of Path
        Each a csv or parquet table with ``Id`` and either one column per location (by name, or all 28 in
        the competition's order) of probabilities or of 0 and 1, or a column ``Target`` or ``Predicted``
        of class indices separated by spaces, which may be empty.

    Returns
    -------
    DataFrame of float32
        Index ``Id``, sorted: every picture that any network predicted. Columns
        ``cnn__<network>__output_<location>``; NaN where a network says nothing.

    Raises
    ------
    PipelineError
        If a table cannot be read, is not one of these, or has the name of another.
    """
    names = [embedding_name(path) for path in paths]
    for number, path in enumerate(paths):
        if names[number] in names[:number]:
            raise PipelineError(f"{path}: another network has the same file name; rename one")
    tables = [
        _read(path).set_axis([output_column(name, location) for location in LOCATIONS], axis=1)
        for name, path in zip(names, paths, strict=True)
    ]
    return pd.concat(tables, axis=1).sort_index().rename_axis("Id").astype(np.float32)


def output_column(network: str, location: str) -> str:
    """Name the column of a network's predictions of a location."""
    return f"cnn__{network}__output_{slug(location)}"


def of_locations(outputs: pd.DataFrame, locations: Iterable[str]) -> pd.DataFrame:
    """Keep the columns of some locations of what `read_outputs` returns."""
    wanted = {slug(location) for location in locations}
    return outputs[[name for name in outputs.columns if name.rpartition("__output_")[2] in wanted]]


def _read(path: Path) -> pd.DataFrame:
    table = read_by_id(path, text=_SETS)
    sets = [name for name in _SETS if name in table.columns]
    values = _unpacked(path, table[sets[0]]) if sets else _numbers(path, table)
    if not np.isnan(values).all() and not (np.nanmin(values) >= 0 and np.nanmax(values) <= 1):
        wrong = values[(values < 0) | (values > 1)][0]
        raise PipelineError(f"{path}: holds {wrong:g}; give probabilities from 0 to 1, or 0 and 1")
    return pd.DataFrame(values, index=table.index, columns=list(LOCATIONS))


def _unpacked(path: Path, sets: "pd.Series[str]") -> NDArray[np.float32]:
    values = np.zeros((len(sets), len(LOCATIONS)), dtype=np.float32)
    for row, text in enumerate(sets.fillna("").astype(str)):
        try:
            values[row, list(parse_target(text)) if text.strip() else []] = 1
        except ValueError as error:
            raise PipelineError(
                f"{path}: {error}; write class indices 0-27 separated by spaces, or nothing"
            ) from error
    return values


def _numbers(path: Path, table: pd.DataFrame) -> NDArray[np.float32]:
    named = {slug(str(column)): column for column in table.columns}
    tokens = [slug(location) for location in LOCATIONS]
    if set(tokens) <= set(named):
        table = table[[named[token] for token in tokens]]
    elif table.shape[1] != len(LOCATIONS):
        raise PipelineError(
            f"{path}: {table.shape[1]} columns beside Id; give one per location, in the competition's order "
            f"or by name, or a column {' or '.join(_SETS)} of class indices"
        )
    try:
        return table.replace("", np.nan).to_numpy(dtype=np.float32)
    except ValueError as error:
        raise PipelineError(f"{path}: {error}; give numbers") from error
