"""Read other networks' predictions: probabilities, 0 and 1, or label sets, one table per network."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from models.base_learners.votes import scaled
from pipeline.core.errors import PipelineError
from pipeline.core.names import near, slug
from pipeline.data.labels import parse_target, remedy
from pipeline.data.locations import KAGGLE2018, LocationList
from pipeline.data.table_files import load
from pipeline.data.tables import embedding_name, read_column, read_numbers

OUTPUTS = "outputs"
"""Name of the block that all networks' predictions make together."""

_SETS = ("Target", "Predicted")


def read_outputs(paths: Sequence[Path], locations: LocationList = KAGGLE2018) -> pd.DataFrame:
    """Read networks' predictions as one table for base learners; see `read_probabilities`.

    Returns
    -------
    DataFrame of float32
        Scaled log-odds: see `models.base_learners.votes`.
    """
    table = read_probabilities(paths, locations)
    return pd.DataFrame(scaled(table.to_numpy()), table.index, table.columns)


def read_probabilities(paths: Sequence[Path], locations: LocationList = KAGGLE2018) -> pd.DataFrame:
    """Read networks' predictions as one table, network by network.

    Parameters
    ----------
    paths : sequence of Path
        Each a table with ``Id`` and either one column per location (by name or class index) of
        probabilities or of 0 and 1, or a column ``Target`` or ``Predicted`` of label sets, which may be
        empty. Whole rows or columns of probabilities may be empty: the network says nothing there.
    locations : LocationList
        What the networks tell apart.

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
        _read(path, locations).set_axis(
            [output_column(name, location) for location in locations.names], axis=1
        )
        for name, path in zip(names, paths, strict=True)
    ]
    return pd.concat(tables, axis=1).sort_index().rename_axis("Id").astype(np.float32)


def output_column(network: str, location: str) -> str:
    """Name the column of a network's predictions of a location."""
    return f"cnn__{network}__output_{slug(location)}"


def log_odds_column(network: str, location: str) -> str:
    """Name the column of a network's log-odds of a location."""
    return f"cnn__{network}__logit_{slug(location)}"


def of_locations(outputs: pd.DataFrame, locations: Iterable[str]) -> pd.DataFrame:
    """Keep the columns of some locations of what `read_outputs` returns."""
    wanted = {slug(location) for location in locations}
    return outputs[[name for name in outputs.columns if name.rpartition("__output_")[2] in wanted]]


def output_networks(columns: Iterable[str]) -> set[str]:
    """Return the networks whose predictions are among a model's columns."""
    return {name.split("__")[1] for name in columns if re.match(r"cnn__\w+?__output_", name)}


def of_network(outputs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Keep the columns of the network whose predictions a file holds, of what `read_outputs` returns."""
    return outputs.filter(regex=f"^cnn__{embedding_name(path)}__output_")


def _read(path: Path, locations: LocationList) -> pd.DataFrame:
    names, found = load(path, _SETS, numbers=False)
    known = {*map(slug, locations.names), *map(str, locations.indices.values())}
    others = {slug(name) for name in names} & known
    if len(found) > 1 or (found and others):
        both = f"{' and '.join(found)}{' and columns of locations' if others else ''}"
        raise PipelineError(f"{path}: holds {both}; leave only what the network predicted")
    values = _unpacked(path, next(iter(found)), locations) if found else _by_location(path, locations)
    wrong = np.argwhere(((values < 0) | (values > 1)).to_numpy())
    if len(wrong):
        row, column = wrong[0]
        raise PipelineError(
            f"{path}: Id '{values.index[row]}' has {values.iloc[row, column]:g} for "
            f"{values.columns[column]}; give probabilities from 0 to 1, or 0 and 1"
        )
    return values


def _unpacked(path: Path, column: str, locations: LocationList) -> pd.DataFrame:
    """Read sets of labels, which may be empty."""
    table = read_column(path, column)
    values = np.zeros((len(table), len(locations.names)), dtype=np.float32)
    for row, (sample, text) in enumerate(table.items()):
        try:
            values[row, list(parse_target(text, locations).columns)] = 1
        except ValueError as error:
            raise PipelineError(
                f"{path}: Id '{sample}': {error}; leave it empty, or {remedy(locations)}"
            ) from error
    return pd.DataFrame(values, index=table.index, columns=list(locations.names))


def _by_location(path: Path, locations: LocationList) -> pd.DataFrame:
    """Read numbers in columns of locations, by name or by class index."""
    table = read_numbers(path, unknown=True)
    found = {slug(name): name for name in table.columns}
    by_name = {slug(name): name for name in locations.names}
    by_index = {str(number): name for name, number in locations.indices.items()}
    tokens = min(by_name, by_index, key=lambda known: len(found.keys() - known.keys()))
    unknown = [name for token, name in found.items() if token not in tokens]
    missing = [name for token, name in tokens.items() if token not in found]
    if len(found) < table.shape[1]:
        raise PipelineError(f"{path}: two columns are of one location ({', '.join(table.columns)}); keep one")
    if unknown:
        alike = near(unknown[0], locations.names) or (missing if len(missing) == 1 else [])
        meant = " or ".join(alike) or f"a column {' or '.join(_SETS)} of label sets"
        remedy = f"did you mean {meant}?" if missing else "leave that column out."
        raise PipelineError(
            f"{path}: '{unknown[0]}' is no location nor a class index; {remedy} "
            f"Outputs of locations that {locations.name} lacks can be given as --embeddings"
        )
    if missing:
        raise PipelineError(
            f"{path}: no column of {', '.join(missing[:5])}; give one per location, {len(tokens)} in all"
        )
    unsaid = table.isna()
    lone = np.argwhere((unsaid & ~unsaid.all() & ~unsaid.all(axis=1).to_numpy()[:, None]).to_numpy())
    if len(lone):
        row, column = lone[0]
        raise PipelineError(
            f"{path}: Id '{table.index[row]}' has no number in column '{table.columns[column]}'; fill it in, "
            "or leave out the row"
        )
    return table[[found[token] for token in tokens]].set_axis(list(locations.names), axis=1)
