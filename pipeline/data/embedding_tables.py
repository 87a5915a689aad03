"""Read tables of embeddings, or of any other numbers per picture, keyed by Id."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.naming import parse
from pipeline.core.errors import PipelineError
from pipeline.core.names import slug
from pipeline.data.tables import read_by_id


def read_embedding(path: Path) -> pd.DataFrame:
    """Read one table of embeddings.

    Parameters
    ----------
    path : Path
        What `read_by_id` reads: numbers per picture.

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
    table = read_by_id(path)
    wrong = [column for column in table.columns if not pd.api.types.is_numeric_dtype(table[column])]
    if wrong:
        raise PipelineError(f"{path}: column '{wrong[0]}' does not hold numbers; remove or convert it")
    if table.empty:
        raise PipelineError(f"{path}: holds no numbers; give at least one row and one column beside Id")
    table = table.astype(np.float32).sort_index()
    table.columns = pd.Index(_column_names(path, [str(column) for column in table.columns]))
    return table


def embedding_name(path: Path) -> str:
    """Return a file's name as a token of column names."""
    return slug(path.stem) or "embedding"


def _column_names(path: Path, columns: list[str]) -> list[str]:
    name = embedding_name(path)
    return [
        column if _parses(column) else f"cnn__{name}__e{number:04}" for number, column in enumerate(columns)
    ]


def _parses(column: str) -> bool:
    try:
        parse(column)
    except ValueError:
        return False
    return True
