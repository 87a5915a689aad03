"""Read tables of embeddings, or of any other numbers per picture, keyed by Id."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from features.naming import parse
from pipeline.core.errors import PipelineError

_KEYS = ("Id", "id", "Ids", "ids")


def read_embedding(path: Path) -> pd.DataFrame:
    """Read one table of embeddings.

    Parameters
    ----------
    path : Path
        ``.parquet`` or ``.csv`` with a column ``Id`` and numbers, or ``.npz`` with ``ids`` and
        arrays of one or two dimensions with as many rows.

    Returns
    -------
    DataFrame of float32
        Index ``Id`` (text, sorted). Columns whose names follow the grammar of features keep them;
        the others become ``cnn__<file>__e0000`` and so on.

    Raises
    ------
    PipelineError
        If the file is missing or unreadable, has no ids, an id twice, or something that is not a number.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; give a parquet, csv or npz table keyed by Id")
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": pd.read_parquet,
        ".csv": _read_csv,
        ".npz": _read_npz,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise PipelineError(f"{path}: cannot read '{path.suffix}' files; give a parquet, csv or npz table")
    try:
        table = reader(path)
    except (ValueError, OSError, KeyError, UnicodeDecodeError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise PipelineError(f"{path}: not a readable table ({reason}); write it again") from error
    return _checked(path, table)


def embedding_name(path: Path) -> str:
    """Return a file's name as a token of column names."""
    token = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    return token or "embedding"


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=dict.fromkeys(_KEYS, str), skipinitialspace=True)


def _read_npz(path: Path) -> pd.DataFrame:
    with np.load(path, allow_pickle=False) as arrays:
        key = next((name for name in _KEYS if name in arrays), None)
        if key is None:
            raise ValueError(f"no array of ids among {', '.join(arrays)}")
        ids = arrays[key]
        parts = {"Id": pd.Series(ids.astype(str))}
        for name in arrays:
            if name == key:
                continue
            values = arrays[name].reshape(len(arrays[name]), -1)
            parts |= {f"{name}_{column}": pd.Series(values[:, column]) for column in range(values.shape[1])}
    return pd.DataFrame(parts)


def _checked(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    if table.index.name in _KEYS:
        table = table.reset_index()
    key = next((name for name in _KEYS if name in table.columns), None)
    if key is None:
        raise PipelineError(f"{path}: no column Id; add the ids of the pictures")
    ids = table.pop(key).astype(str)
    if ids.duplicated().any():
        raise PipelineError(f"{path}: Id '{ids[ids.duplicated()].iloc[0]}' occurs twice; keep one row per Id")
    wrong = [column for column in table.columns if not pd.api.types.is_numeric_dtype(table[column])]
    if wrong:
        raise PipelineError(f"{path}: column '{wrong[0]}' does not hold numbers; remove or convert it")
    if table.empty:
        raise PipelineError(f"{path}: holds no numbers; give at least one row and one column beside Id")
    table = table.astype(np.float32).set_axis(pd.Index(ids, name="Id")).sort_index()
    table.columns = pd.Index(_column_names(path, [str(column) for column in table.columns]))
    return table


def _column_names(path: Path, columns: list[str]) -> list[str]:
    name = embedding_name(path)
    return [
        column if _parses(column) else f"cnn__{name}__e{place:04}" for place, column in enumerate(columns)
    ]


def _parses(column: str) -> bool:
    try:
        parse(column)
    except ValueError:
        return False
    return True
