"""Columns of tables by name, from csv, parquet and npz files; limits are checked before anything is read."""

import codecs
import csv
import lzma
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError, check_bytes, check_readable

MAX_COLUMNS = 200_000
"""Columns that a table may have."""

KEYS = ("Id", "Ids")
"""What the column of ids is called, in any case."""

MISSING = (
    "", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NaN", "-NaN", "nan", "-nan", "NULL", "null",
    "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
)  # fmt: skip
"""What stands for an unknown number in text, as for `pandas.read_csv`; it may well be an id."""

Values: TypeAlias = Any
"""One column as its file holds it: a ChunkedArray of Arrow, or an array of NumPy."""

_LONGEST = 2**25
"""Characters of a header line that are looked at."""

_UNNAMED = re.compile(r"(unnamed: ?\d+|__index_level_\d+__)?", re.IGNORECASE)
"""Name of a column that programs write without being asked: numbers of the rows, or nothing."""


_NUMBER_BYTES = 16
"""What a number needs while it is read."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"


_DAMAGED = (ValueError, OSError, EOFError, RuntimeError, SyntaxError, zlib.error, lzma.LZMAError)
"""What readers raise for damaged files; zipfile RuntimeError, where it is encrypted or packed otherwise."""


class _Source(NamedTuple):
    """Names of a file's columns, and what reads some of them: those of text, and those of numbers."""

    names: Sequence[str]
    read: Callable[[Sequence[int], Sequence[int]], Mapping[int, Values]]


def load(path: Path, text: Sequence[str], *, numbers: bool) -> tuple[list[str], dict[str, Values]]:
    """Read columns of a table by name.

    Parameters
    ----------
    path : Path
        ``.parquet``, ``.npz``, ``.csv`` or ``.tsv``; without numbers any other ending is taken for csv.
    text : sequence of str
        Columns that are text, whatever they look like: called so in the table in any case.
    numbers : bool
        Whether the others are read as well.

    Returns
    -------
    names : list of str
        Of all columns of the table.
    columns : dict of str to Values
        Those that were read, under the names in `text` or the table's own, in the table's order.

    Raises
    ------
    PipelineError
        If the file is missing, unreadable or too large, or has two columns of one name.
    """
    sources = {".parquet": _parquet, ".npz": _npz, ".csv": _csv, ".tsv": _csv}
    opened = sources.get(path.suffix.lower(), None if numbers else _csv)
    if not path.exists():
        raise PipelineError(f"{path}: no such file; give the path of a table with a column {text[0]}")
    if opened is None:
        raise PipelineError(f"{path}: cannot read '{path.suffix}' files; give a csv, parquet or npz table")
    try:
        check_readable(path)
        source = opened(path, text)
        names = [name.strip() for name in source.names]
        unnamed = [number for number, name in enumerate(names) if _UNNAMED.fullmatch(name)]
        wanted, others = _parted(names, text)
        asked = [*unnamed, *wanted], others if numbers else []
        columns = source.read(*asked) if any(asked) else {}
        columns = {number: _plain(names[number], values) for number, values in columns.items()}
    except UnreadableError as error:
        raise PipelineError(f"{path}: {error}") from error
    except (UnicodeError, LookupError) as error:
        raise PipelineError(f"{path}: not a readable table of UTF-8 text; save it as UTF-8 csv") from error
    except (*_DAMAGED, csv.Error, zipfile.BadZipFile, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0][:200]
        raise PipelineError(f"{path}: not a readable table ({reason}); write it again") from error
    for number in unnamed:
        _check_unnamed(path, number, columns[number])
    order = sorted(columns.keys() - set(unnamed))
    return names, {wanted.get(number, names[number]): columns[number] for number in order}


def _parted(names: Sequence[str], text: Sequence[str]) -> tuple[dict[int, str], list[int]]:
    """Part the named columns into those of text, with the names asked for, and the others."""
    if len(names) > MAX_COLUMNS:
        raise UnreadableError(f"has more than {MAX_COLUMNS:,} columns", "give fewer")
    known = {name.casefold(): name for name in text}
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if not _UNNAMED.fullmatch(name) and first.setdefault(name.casefold(), number) != number:
            raise UnreadableError(f"two columns are called '{name}'", "keep one, or rename it")
    wanted = {number: known[name] for name, number in first.items() if name in known}
    return wanted, [number for number in first.values() if number not in wanted]


def _plain(name: str, values: Values) -> Values:
    """Return a column of numbers or of text, which bytes become; refuse others."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "fiubUM":
        raise UnreadableError(f"column '{name}' holds {values.dtype}", "give numbers, or text")
    is_binary = not isinstance(values, np.ndarray) and pa.types.is_binary(values.type)
    return pc.cast(values, pa.string()) if is_binary else values


def _check_unnamed(path: Path, number: int, values: Values) -> None:
    """Let pass what programs write without being asked: numbers of the rows, or an empty column."""
    filled = [value for value in as_text(values).to_pylist() if value]
    if filled and not (len(filled) == len(values) and all(value.isdecimal() for value in filled)):
        raise PipelineError(
            f"{path}: column {number + 1} has no name but holds '{filled[0]}'; name it or remove it"
        )


def as_text(values: Values) -> Any:
    """Return a column as text without spaces around it; empty where there is nothing."""
    text = pc.fill_null(pc.cast(_chunked(values), pa.string()), "")
    return pc.utf8_trim_whitespace(text)


def as_numbers(values: Values) -> NDArray[np.float64]:
    """Return a column as 64-bit numbers, NaN where they are unknown and infinite where there is none.

    Text may have a decimal comma, unless all that have one might as well have it between thousands.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return np.asarray(values, np.float64)
    array = _chunked(values)
    if pa.types.is_boolean(array.type):
        array = pc.cast(array, pa.uint8())
    elif not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        text = as_text(array)
        text = pc.if_else(pc.is_in(text, value_set=pa.array(MISSING)), None, text)
        commas = pc.drop_null(text.filter(pc.match_substring(text, ",")))
        if not pc.all(pc.match_substring_regex(commas, _THOUSANDS), min_count=1).as_py():
            text = pc.replace_substring_regex(text, r"^([+-]?\d*),(\d+([eE][+-]?\d+)?)$", r"\1.\2")
        array = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, "inf")
    return np.asarray(pc.cast(array, pa.float64(), safe=False).to_numpy(), np.float64)


def _chunked(values: Values) -> Values:
    return pa.chunked_array([pa.array(values)]) if isinstance(values, np.ndarray) else values


def _csv(path: Path, wanted: Sequence[str]) -> _Source:
    with path.open("rb") as content:
        start = content.read(2)
    encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    with path.open(encoding=encoding) as stream:
        lines = [stream.readline(_LONGEST) for _ in range(3)]
    skipped = lines[0].lower().startswith("sep=")  # a line that tells Excel what separates
    header, row = lines[skipped], lines[skipped + 1]
    separator = _separator(header, wanted)
    check_bytes(_NUMBER_BYTES * _count(path, separator), "in memory, the table")
    names, cells = (next(csv.reader([line], delimiter=separator), []) for line in (header, row))
    if not names or "\0" in header:
        raise ValueError("its first line names no columns")
    if len(cells) == len(names) + 1 and not cells[-1].strip():
        names.append("")  # one separator too many at the end of every row
    how = pyarrow.csv.ReadOptions(
        column_names=[str(number) for number in range(len(names))],
        skip_rows=1 + skipped,
        block_size=2**24,
        encoding=encoding.replace("-8-sig", "8"),
    )
    parse = pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True)

    def read(text: Sequence[int], numbers: Sequence[int]) -> Mapping[int, Values]:
        def of(kind: pa.DataType) -> pa.Table:
            types = {str(number): pa.string() for number in text} | {str(number): kind for number in numbers}
            convert = pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=MISSING
            )
            return pyarrow.csv.read_csv(path, how, parse, convert)

        try:
            found = of(pa.float64())
        except pa.ArrowInvalid:  # a decimal comma, or no number: it is looked for cell by cell
            found = of(pa.string())
        return {int(name): found[name] for name in found.column_names}

    return _Source(names, read)


def _separator(header: str, wanted: Sequence[str]) -> str:
    """Return what separates the most of the wanted names, and of these the most names; refuse too many."""
    if max(map(header.count, ",;\t")) >= MAX_COLUMNS or len(header) == _LONGEST:
        raise UnreadableError(f"has more than {MAX_COLUMNS:,} columns", "give fewer")

    def score(separator: str) -> tuple[int, int]:
        names = {name.strip().strip('"').strip().casefold() for name in header.split(separator)}
        return sum(name.casefold() in names for name in wanted), header.count(separator)

    return max(",;\t", key=score)


def _count(path: Path, separator: str) -> int:
    with path.open("rb") as content:
        return sum(chunk.count(separator.encode()) for chunk in iter(lambda: content.read(2**24), b""))


def _parquet(path: Path, _wanted: Sequence[str]) -> _Source:
    file = pq.ParquetFile(path)
    fields, rows = list(file.schema_arrow), file.metadata.num_rows
    nested = next((field.name for field in fields if pa.types.is_nested(field.type)), None)
    if nested is not None:
        raise UnreadableError(f"column '{nested}' holds lists", "give one number per column")
    check_bytes(_NUMBER_BYTES * rows * len(fields), "in memory, the table")

    def read(text: Sequence[int], numbers: Sequence[int]) -> Mapping[int, Values]:
        names = [fields[number].name for number in (*text, *numbers)]
        written = [field.name for field in fields if field.name in names and _is_text(field.type)]
        table = pq.read_table(path, columns=names, read_dictionary=written)
        unpacked = 0
        for chunk in (chunk for name in names for chunk in table[name].chunks):
            if pa.types.is_dictionary(chunk.type) and _is_text(chunk.type.value_type):
                lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
                unpacked += pc.sum(lengths, min_count=0).as_py()
        check_bytes(unpacked, "in memory, the text")
        return {number: table[fields[number].name] for number in (*text, *numbers)}

    return _Source([field.name for field in fields], read)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _npz(path: Path, _wanted: Sequence[str]) -> _Source:
    with zipfile.ZipFile(path) as archive:
        check_bytes(sum(_declared(archive, name) for name in archive.namelist()), "in memory, the table")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: values for name in file if (values := file[name]).ndim}
    key = next((name for name in arrays if name.casefold() in map(str.casefold, KEYS)), None)
    if key is None:
        raise ValueError(f"no array of ids among {', '.join(arrays)}")
    ids = arrays.pop(key)
    if ids.size != len(ids):
        raise UnreadableError(f"{key} has the shape {ids.shape}", "give one id per row")
    columns = {"Id": ids.astype(str).ravel()}
    for name, values in arrays.items():
        if len(values) != len(ids):
            raise UnreadableError(f"{len(ids)} ids but {len(values)} rows of {name}", "write a row per id")
        beginning = f"{name}_" if len(arrays) > 1 else ""
        parts = values.reshape(len(values), -1).T
        columns |= {f"{beginning}{number}": part for number, part in enumerate(parts)}
    each = list(columns.values())
    return _Source(list(columns), lambda text, numbers: {one: each[one] for one in (*text, *numbers)})


def _declared(archive: zipfile.ZipFile, name: str) -> int:
    """Return the bytes that an array of an npz file declares; refuse Python's objects, which can run code."""
    with archive.open(name) as stream:
        reading: Any = np.lib.format
        first = reading.read_magic(stream) == (1, 0)
        shape, _, dtype = (reading.read_array_header_1_0 if first else reading.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise UnreadableError(
            f"the array {name.removesuffix('.npy')} holds Python objects",
            "write text as ids.astype(str), numbers as values.astype('float32')",
        )
    return int(math.prod(shape) * max(_NUMBER_BYTES, dtype.itemsize))
