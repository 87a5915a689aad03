"""Tables that users give: any csv as text; csv, parquet or npz with one row per picture; embeddings."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from features.naming import parse
from pipeline.core.errors import PipelineError
from pipeline.core.files import check_readable
from pipeline.core.names import slug

_KEYS = ("Id", "id", "Ids", "ids")

_MISSING = (
    "", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NaN", "-NaN", "nan", "-nan", "NULL", "null",
    "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
)  # fmt: skip
"""What stands for an unknown number in csv tables, as for `pandas.read_csv`; it may well be an id."""


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a csv table as text, with the named columns; spaces around ids do not count.

    Raises
    ------
    PipelineError
        If the file is missing, is not a csv table, or lacks one of the columns.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; give the path of a csv table with {', '.join(columns)}")
    try:
        check_readable(path)
        table = _read_csv(path)
    except ValueError as error:
        raise PipelineError(
            f"{path}: not a readable csv table ({_reason(error)}); save it as UTF-8 csv"
        ) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        found = ", ".join(table.columns)
        raise PipelineError(f"{path}: no column {', '.join(missing)} (found: {found}); add or rename it")
    return table


def _read_csv(path: Path, text: Sequence[str] | None = None) -> pd.DataFrame:
    """Read ids, and `text` columns (None: all), letter by letter; what other columns lack is NaN."""
    header = pd.read_csv(path, dtype=str, nrows=0, skipinitialspace=True).columns
    numbers = [] if text is None else [name for name in header if name not in (*_KEYS, *text)]
    table = pd.read_csv(
        path,
        dtype={name: str for name in header if name not in numbers},
        keep_default_na=False,
        na_values=dict.fromkeys(numbers, _MISSING),
        skipinitialspace=True,
    )
    return table.assign(**{name: table[name].str.strip() for name in _KEYS if name in table.columns})


def read_by_id(path: Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table with one row per picture.

    Parameters
    ----------
    path : Path
        ``.parquet`` or ``.csv`` with a column ``Id``, or ``.npz`` with ``ids`` and arrays of one or two
        dimensions with as many rows.
    text : sequence of str
        Columns of a csv that are text, whatever they look like, as ids are.

    Returns
    -------
    DataFrame
        Index ``Id`` (text), in the table's order; missing numbers of a csv are NaN.

    Raises
    ------
    PipelineError
        If the file is missing or unreadable, has no ids, or an id twice.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; give a parquet, csv or npz table keyed by Id")
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".parquet": lambda: pd.read_parquet(path),
        ".csv": lambda: _read_csv(path, text),
        ".npz": lambda: _read_npz(path),
    }
    if path.suffix.lower() not in readers:
        raise PipelineError(f"{path}: cannot read '{path.suffix}' files; give a parquet, csv or npz table")
    try:
        check_readable(path)
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


def read_embedding(path: Path) -> pd.DataFrame:
    """Read one table of embeddings: what `read_by_id` reads, numbers only.

    Returns
    -------
    DataFrame of float32
        Index ``Id`` (text, sorted). Columns whose names follow the grammar of features keep them;
        the others become ``cnn__<file>__e0000`` and so on.

    Raises
    ------
    PipelineError
        As `read_by_id` does, and where something is not a number.
    """
    table = read_by_id(path)
    wrong = [column for column in table.columns if not pd.api.types.is_numeric_dtype(table[column])]
    if wrong:
        raise PipelineError(f"{path}: column '{wrong[0]}' does not hold numbers; remove or convert it")
    if table.empty:
        raise PipelineError(f"{path}: holds no numbers; give at least one row and one column beside Id")
    table = table.astype(np.float32).sort_index()
    name = embedding_name(path)
    names = [
        column if _parses(column) else f"cnn__{name}__e{number:04}"
        for number, column in enumerate(map(str, table.columns))
    ]
    return table.set_axis(names, axis=1)


def embedding_name(path: Path) -> str:
    """Return a file's name as a token of column names."""
    return slug(path.stem) or "embedding"


def _parses(column: str) -> bool:
    try:
        parse(column)
    except ValueError:
        return False
    return True
