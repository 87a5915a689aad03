"""Tables that users give: any csv as text, and csv, parquet or npz with one row per picture."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import PipelineError

_KEYS = ("Id", "id", "Ids", "ids")


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a csv table as text, with the named columns.

    Raises
    ------
    PipelineError
        If the file is missing, is not a csv table, or lacks one of the columns.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; give the path of a csv table with {', '.join(columns)}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"{path}: not a readable csv table ({_reason(error)}); save it as UTF-8 csv"
        ) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        found = ", ".join(table.columns)
        raise PipelineError(f"{path}: no column {', '.join(missing)} (found: {found}); add or rename it")
    return table


def read_by_id(path: Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table with one row per picture.

    Parameters
    ----------
    path : Path
        ``.parquet`` or ``.csv`` with a column ``Id``, or ``.npz`` with ``ids`` and arrays of one or two
        dimensions with as many rows.
    text : sequence of str
        Columns of a csv that are text, whatever they look like.

    Returns
    -------
    DataFrame
        Index ``Id`` (text), in the table's order.

    Raises
    ------
    PipelineError
        If the file is missing or unreadable, has no ids, or an id twice.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; give a parquet, csv or npz table keyed by Id")
    as_text = dict.fromkeys((*_KEYS, *text), str)
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".parquet": lambda: pd.read_parquet(path),
        ".csv": lambda: pd.read_csv(path, dtype=as_text, skipinitialspace=True),
        ".npz": lambda: _read_npz(path),
    }
    if path.suffix.lower() not in readers:
        raise PipelineError(f"{path}: cannot read '{path.suffix}' files; give a parquet, csv or npz table")
    try:
        table = readers[path.suffix.lower()]()
    except (ValueError, OSError, KeyError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise PipelineError(f"{path}: not a readable table ({_reason(error)}); write it again") from error
    if table.index.name in _KEYS:
        table = table.reset_index()
    key = next((name for name in _KEYS if name in table.columns), None)
    if key is None:
        raise PipelineError(f"{path}: no column Id; add the ids of the pictures")
    return by_id(path, table.rename(columns={key: "Id"}))


def by_id(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that was read from `path` with its column ``Id`` as the index.

    Raises
    ------
    PipelineError
        If an id occurs twice.
    """
    ids = table["Id"].astype(str)
    if ids.duplicated().any():
        raise PipelineError(f"{path}: Id '{ids[ids.duplicated()].iloc[0]}' occurs twice; keep one row per Id")
    return table.drop(columns="Id").set_axis(pd.Index(ids, name="Id"))


def _read_npz(path: Path) -> pd.DataFrame:
    with np.load(path, allow_pickle=False) as arrays:
        key = next((name for name in _KEYS if name in arrays), None)
        if key is None:
            raise ValueError(f"no array of ids among {', '.join(arrays)}")
        columns = {"Id": pd.Series(arrays[key].astype(str))}
        for name in arrays:
            if name != key:
                values = arrays[name].reshape(len(arrays[name]), -1)
                columns |= {f"{name}_{column}": pd.Series(part) for column, part in enumerate(values.T)}
    return pd.DataFrame(columns)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0]
