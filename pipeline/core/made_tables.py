"""Tables that a stage made, which may be larger than the memory: a file, or a folder of files in order.

A folder of parquet files is one table to pandas, polars, DuckDB and Dask, too.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import PipelineError
from pipeline.core.files import files_of
from pipeline.core.stage import read_made

_COLUMNS = 2048
"""Columns of a wide table that are read at a time, where they are taken into another form."""


def names_in(path: Path) -> list[str]:
    """Return the names of a table's columns."""
    with _told_if_damaged(path):
        return list(pq.read_schema(files_of(path)[0]).names)


def rows_in(path: Path) -> int:
    """Return the number of a table's rows."""
    with _told_if_damaged(path):
        return sum(int(pq.read_metadata(file).num_rows) for file in files_of(path))


def batches_of(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Read columns of a table, so many rows at a time, in their order."""
    with _told_if_damaged(path):
        for one in files_of(path):
            with pq.ParquetFile(one, pre_buffer=False) as file:
                yield from file.iter_batches(rows, columns=list(columns))


def row_groups_of(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read columns of a table, as many rows at a time as were written together."""
    with _told_if_damaged(path):
        for one in files_of(path):
            with pq.ParquetFile(one, pre_buffer=False) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, list(columns))


def read_made_numbers(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read columns of numbers as float32, index ``Id``.

    Numbers of a row lie together in memory, as learners take them, and little more is held meanwhile.

    Raises
    ------
    PipelineError
        If the table is damaged.
    """
    index = pd.Index(read_made(path, ["Id"])["Id"])
    values = np.empty((len(index), len(columns)), np.float32)
    for first in range(0, len(columns), _COLUMNS):
        some, start = columns[first : first + _COLUMNS], 0
        for table in row_groups_of(path, some):
            end = start + table.num_rows
            part = np.stack([table[name].to_numpy() for name in some])
            values[start:end, first : first + len(some)] = part.T
            start = end
    return pd.DataFrame(values, index, list(columns), copy=False)


@contextmanager
def _told_if_damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise PipelineError(f"{path}: damaged; remove it, and run the command again that made it") from error
