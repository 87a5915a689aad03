"""Tables keyed by picture, by name: of text, of numbers, embeddings; and how many pictures they know."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.naming import parse
from pipeline.core.errors import PipelineError, Problem
from pipeline.core.names import counted, near, slug
from pipeline.core.weights import card_path
from pipeline.data.table_files import KEYS, Values, as_numbers, as_text, load

_DECORATION = re.compile(r"^.*[/\\]|(_(red|green|blue|yellow))?(\.(png|tiff?|jpe?g))?$", re.IGNORECASE)
"""What an id has that is the name of a file: a folder, a channel, an ending."""

Note = Callable[[str], None]
"""Called with a line that the user should read."""


def unsaid(_: str) -> None:
    """Take a note where nobody reads."""


def read_table(
    path: Path, columns: Sequence[str], optional: Sequence[str] = (), *, others: bool = False
) -> pd.DataFrame:
    """Read named columns of a table as text without spaces around it; identical rows count once.

    Parameters
    ----------
    path : Path
        csv, separated by commas, semicolons or tabs, in UTF-8 or UTF-16; or parquet or npz.
    columns, optional : sequence of str
        Columns that have to be there, and that may; the table has them in any case and order.
    others : bool
        Whether to read all other columns that have a name too.

    Raises
    ------
    PipelineError
        If the file cannot be read, lacks one of the columns or has one twice.
    """
    asked = (*columns, *optional)
    found, table = load(path, asked, numbers=False)
    if others:
        known = {name.casefold() for name in asked}
        rest = [name for name in found if name.casefold() not in known]
        _, table = load(path, (*asked, *rest), numbers=False)
    missing = [name for name in columns if name not in table]
    if missing:
        raise PipelineError(
            f"{path}: no column {', '.join(missing)} (found: {', '.join(found)[:300]}); add or rename it"
        )
    read = pd.DataFrame({name: as_text(values).to_pylist() for name, values in table.items()}, dtype=object)
    broken = read[read.map(lambda text: "\n" in text).any(axis=1)]
    if len(broken):
        start = next(text for text in broken.iloc[0] if "\n" in text).partition("\n")[0]
        raise PipelineError(
            f"{path}: a cell goes on in the next line after '{start}'; close its quotation mark"
        )
    return read[(read != "").any(axis=1)].drop_duplicates(ignore_index=True)


def read_column(path: Path, column: str) -> "pd.Series[str]":
    """Read one column of text by ``Id``; see `read_table`.

    Raises
    ------
    PipelineError
        As `read_table` does, and where an id has two values.
    """
    return _once(path, read_table(path, ("Id", column)).set_index("Id"))[column]


def read_numbers(path: Path, *, unknown: bool = False) -> pd.DataFrame:
    """Read a table of numbers with one row per picture; identical rows count once.

    Parameters
    ----------
    path : Path
        As for `read_table`; an npz file holds ``ids`` and arrays of one or two dimensions with as many rows.
    unknown : bool
        Whether numbers may be missing, and are NaN then.

    Returns
    -------
    DataFrame of float32
        Index ``Id`` (text, sorted), columns by the table's names; those of a single array are numbered.

    Raises
    ------
    PipelineError
        If the file cannot be read, has no ids, an id or a column twice, or a cell without a 32-bit number.
    """
    found, table = load(path, KEYS, numbers=True)
    key = next((name for name in KEYS if name in table), None)
    if key is None:
        raise PipelineError(
            f"{path}: no column Id (found: {', '.join(found)[:300]}); add the ids of the pictures"
        )
    ids = as_text(table.pop(key)).to_pylist()
    names = [name for name, cells in table.items() if not _is_index(name, cells)]
    values = np.empty((len(ids), len(names)), np.float32)
    with np.errstate(over="ignore"):
        for column, name in enumerate(names):
            values[:, column] = as_numbers(table[name])
    wrong = np.argwhere(np.isinf(values) if unknown else ~np.isfinite(values))
    if len(wrong):
        row, column = map(int, wrong[0])
        cell = as_text(table[names[column]])[row].as_py()
        given = f"'{cell}', which is no number of 32 bits," if cell else "no number"
        raise PipelineError(
            f"{path}: Id '{ids[row]}' has {given} in column '{names[column]}'; "
            "fill it in or leave out the row"
        )
    table.clear()  # of 64-bit numbers
    read = pd.DataFrame(values, pd.Index(ids, name="Id", dtype=str), names, copy=False)
    if read.index.has_duplicates:
        read = read[~read.reset_index().duplicated().to_numpy()]
    return _once(path, read).sort_index()


def _once(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the same id in two rows and rows without one, or refuse it."""
    if "" in table.index:
        raise PipelineError(f"{path}: a row has no Id; fill it in or leave out the row")
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise PipelineError(f"{path}: Id '{twice[0]}' occurs twice with other values; keep one row per Id")
    return table


def _is_index(name: str, cells: Values) -> bool:
    """Say whether a column is the numbers of rows, or of some, that pandas writes when an index is reset."""
    if name.casefold() not in ("index", "level_0"):
        return False
    numbers = as_numbers(cells)
    is_whole = bool((numbers == np.round(numbers)).all() and (numbers >= 0).all())
    return is_whole and len(np.unique(numbers)) == len(numbers)


def match(path: Path, ids: Iterable[str], pictures: pd.Index, note: Note) -> pd.Index:
    """Say how many of the pictures a table has, and return those that it lacks.

    Raises
    ------
    PipelineError
        If it has none of them; the message quotes an id of each side.
    """
    theirs = pd.Index(ids)
    absent, strange = pictures.difference(theirs), theirs.difference(pictures)
    found = f"{len(pictures) - len(absent):,} of {counted(len(pictures), 'picture')} found in {path.name}"
    if absent.empty:
        note(found)
    elif len(absent) < len(pictures):
        note(f"Warning: {found}; {compared(strange, absent)}")
    else:
        raise PipelineError(
            f"{path}: none of its {counted(theirs.nunique(), 'id')} is among the "
            f"{counted(len(pictures), 'picture')}: {compared(strange, absent)}; their ids must be the same"
        )
    return absent


def all_ids(tables: Iterable[pd.DataFrame]) -> pd.Index:
    """Return the ids that any of some tables has, sorted."""
    ids: pd.Index = pd.Index(sorted({sample for one in tables for sample in one.index}), name="Id")
    return ids


def listed(path: Path, ids: Iterable[str], pictures: pd.Index) -> tuple[int, str]:
    """Return how many ids of a list are pictures, and say so, with an id of each side if none is."""
    theirs = pd.Index(ids).unique()
    number = len(theirs.intersection(pictures))
    said = (
        f"{number:,} of the {counted(len(theirs), 'id')} in {path.name} are among "
        f"the {counted(len(pictures), 'picture')}"
    )
    return number, said if number or theirs.empty else f"{said}: {compared(theirs, pictures)}"


def compared(theirs: Iterable[str], ours: Iterable[str]) -> str:
    """Quote an id of a table beside one of a picture, of two that are alike if there are any."""
    bare = {_bare(one): str(one) for one in reversed(list(ours))}
    listed = [str(one) for one in theirs]
    if not listed:
        return f"no row for {next(reversed(bare.values()))!r}"
    for one in listed:
        if _bare(one) in bare:
            return f"it has {one!r}, where the picture is {bare[_bare(one)]!r}"
    return f"it has {listed[0]!r}, a picture is {next(reversed(bare.values()))!r}"


def are_alike(theirs: Iterable[str], ours: Iterable[str]) -> bool:
    """Say whether any ids differ but by a folder, a channel, an ending or their case."""
    return not {_bare(one) for one in theirs}.isdisjoint({_bare(one) for one in ours})


def _bare(one: object) -> str:
    return _DECORATION.sub("", str(one)).casefold()


def unmatched(ids: Iterable[object], file: str, reason: str, remedy: str) -> list[Problem]:
    """Return a problem for each of the ids, once."""
    return [Problem(str(one), file, reason, remedy) for one in dict.fromkeys(ids)]


def read_embedding(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read one table of embeddings, its columns called as in a model; see `embedding_columns`.

    A table with a card, which this program wrote, may hold NaN: where a picture has no cells.

    Raises
    ------
    PipelineError
        As `read_numbers` does, and where nothing is in it.
    """
    table = read_numbers(path, unknown=card_path(path).is_file())
    if table.empty:
        raise PipelineError(f"{path}: holds no numbers; give at least one row and one column beside Id")
    columns = embedding_columns(path, table.columns)
    return renamed(path, table, columns), columns


def embedding_columns(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Return what the columns of a table of embeddings are called in a model, and in the table.

    Names that follow the grammar of features stay; the others, in the order of the names and not of the
    table, become ``cnn__<file>__e0000`` and so on.
    """
    kept = {name: name for name in names if _parses(name)}
    others = sorted((name for name in names if name not in kept), key=_natural)
    numbered = {f"cnn__{embedding_name(path)}__e{number:04}": name for number, name in enumerate(others)}
    both = numbered.keys() & kept.keys()
    if both:
        raise PipelineError(f"{path}: '{min(both)}' would be the name of two columns; rename it")
    return numbered | kept


def renamed(path: Path, table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns that a model knows, under its names.

    Parameters
    ----------
    columns : mapping of str to str
        What a column is called in the model, to what it is called in the table, in any case.

    Raises
    ------
    PipelineError
        If the table lacks a column, or has another one; the message names them.
    """
    known = {name.casefold(): column for column, name in columns.items()}
    found = {name.casefold(): name for name in table.columns}
    missing = [name for name in columns.values() if name.casefold() not in found]
    surplus = [name for folded, name in found.items() if folded not in known]
    if missing or surplus:
        some = [f"'{name}' is missing{_meant(name, surplus)}" for name in missing[:5]]
        some += [f"'{name}' is unknown" for name in surplus[:5]]
        raise PipelineError(f"{path}: other columns than in training: {', '.join(some)}; rename or add them")
    return table[[found[name] for name in known]].set_axis(list(known.values()), axis=1)


def _meant(name: str, surplus: Iterable[str]) -> str:
    alike = near(name, surplus)
    return f" (is it '{alike[0]}'?)" if alike else ""


def _natural(name: str) -> tuple[Any, ...]:
    """Sort numbers in names by their value: e2 before e10."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", name.casefold())
        if part
    )


def embedding_name(path: Path) -> str:
    """Return a file's name as a token of column names."""
    return slug(path.stem) or "embedding"


def _parses(column: str) -> bool:
    try:
        parse(column)
    except ValueError:
        return False
    return True
