"""Finished pieces of unfinished work: what a run that was killed does not lose.

`Store` keeps bytes by key. `Parts` keeps rows of tables: a sample is looked up by its id and key in an index
of many small files, of which each is opened for it once; only files that are needed are read whole.
Every piece carries the digest of its content: one that a power cut or a bad copy damaged counts as not there,
and is made again.
"""

import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import RUN_AGAIN, PipelineError
from pipeline.core.files import file_digest, replacing, temporary_of
from pipeline.core.seen import see

_DIGITS = 24
_NAME = re.compile(f"[0-9a-f]{{{_DIGITS}}}")


class Store:
    """Bytes by key, each in a file of its own, complete or not there at all; made on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None where nothing was, or it is damaged."""
        path = self._path(key)
        kept = path.read_bytes() if path.is_file() else b""
        content = kept[hashlib.sha256().digest_size :]
        return content if kept and kept == _signed(key, content) else None

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`, a digest."""
        with replacing(self._path(key), synced=False) as temporary:
            temporary.write_bytes(_signed(key, content))

    def clear(self) -> None:
        """Remove everything: the work is finished."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


def _signed(key: str, content: bytes) -> bytes:
    """Put the digest of a key and its content before the content."""
    return hashlib.sha256(key.encode() + content).digest() + content


class Parts:
    """The finished rows of one table: small parquet files named by the digest of their content.

    A row is valid for one sample under one key (a digest of its pictures and of how they are worked on), so
    a part written for pictures that have changed since, or that are gone, is simply not read.

    All float32 columns of a part lie in one list column, ``values``, their names in the file's metadata:
    parquet spends some hundred bytes on every column of every file, and a part has thousands of columns and
    few rows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, rows: pd.DataFrame) -> None:
        """Write rows with the columns ``Id`` and ``key`` as one part, all or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = temporary_of(self.folder / "part")
        try:
            pq.write_table(_pack(rows), temporary, compression="zstd")
            temporary.replace(self.folder / f"{file_digest(temporary)[:_DIGITS]}.parquet")
        finally:
            temporary.unlink(missing_ok=True)

    def index(self) -> dict[tuple[str, str], Path]:
        """Return which part holds which (Id, key); damaged parts are removed.

        What a part holds is remembered in ``index.json``: it is opened again only where its file has changed.
        """
        paths = (path for path in sorted(self.folder.glob("[!.]*.parquet")) if _NAME.fullmatch(path.stem))
        parts = {path.stem: path for path in paths}
        if not parts:
            return {}
        listed = see(parts, self.folder / "index.json", _listed)
        found: dict[tuple[str, str], Path] = {}
        for name, path in parts.items():
            text = listed[name] if _is_listed(listed[name]) else _listed(path)
            pairs = (line.split("\t") for line in text.splitlines()[1:])
            found.update(((sample, key), path) for sample, key in pairs)
        return found

    def known(self, keys: Mapping[str, str]) -> set[str]:
        """Return those samples, id to key, of which there is a row."""
        index = self.index()
        return {sample for sample, key in keys.items() if (sample, key) in index}

    def located(self, wanted: Mapping[str, str]) -> list[Path]:
        """Return the part of each sample, id to key, in this order.

        Raises
        ------
        PipelineError
            If a sample is in no part.
        """
        index = self.index()
        lost = next((sample for sample, key in wanted.items() if (sample, key) not in index), None)
        if lost is not None:
            raise PipelineError(f"{lost}: its pictures changed while they were measured; run extract again")
        return [index[pair] for pair in wanted.items()]

    def read(self, wanted: Mapping[str, str], where: Sequence[Path]) -> pd.DataFrame:
        """Read the rows of some samples, id to key, in this order, from the parts that `located` returned.

        Raises
        ------
        PipelineError
            If a part was damaged since.
        """
        home = dict(zip(wanted, where, strict=True))
        rows = pd.concat([self._rows(path, wanted, home) for path in dict.fromkeys(where)], ignore_index=True)
        order = pd.Index(list(wanted)).get_indexer(pd.Index(rows["Id"])).argsort(kind="stable")
        return rows.iloc[order].reset_index(drop=True)

    @staticmethod
    def _rows(path: Path, wanted: Mapping[str, str], home: Mapping[str, Path]) -> pd.DataFrame:
        """Read one part's wanted rows; a row that a killed run left in two parts counts in one of them."""
        content = _intact(path)
        if content is None:
            raise PipelineError(f"{path}: damaged; {RUN_AGAIN}: what it held is made again")
        rows = _unpack(pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False))
        pairs = zip(rows["Id"], rows["key"], strict=True)
        return rows[[wanted.get(sample) == key and home[sample] == path for sample, key in pairs]]


def _intact(path: Path) -> bytes | None:
    """Return a part's content; one that is not what its name says is removed."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest().startswith(path.stem):
        return content
    path.unlink()
    return None


def _listed(path: Path) -> str:
    """Return a part's ids and keys, a line each, below a line that tells whether they are as they were."""
    content = _intact(path)
    if content is None:
        return ""
    keys = pq.ParquetFile(pa.BufferReader(content)).read(["Id", "key"], use_threads=False)
    pairs = dict.fromkeys(zip(keys["Id"].to_pylist(), keys["key"].to_pylist(), strict=True))
    return _checked(f"{sample}\t{key}" for sample, key in pairs)


def _checked(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return f"{zlib.crc32(text.encode())}\n{text}"


def _is_listed(text: str) -> bool:
    return not text or text == _checked(text.splitlines()[1:])


def _pack(rows: pd.DataFrame) -> pa.Table:
    """Put the float32 columns of a table into one list column."""
    wide = (rows.dtypes == np.float32).to_numpy()
    names = rows.columns[wide].tolist()
    table = pa.Table.from_pandas(rows.loc[:, ~wide], preserve_index=False)
    if not names:
        return table
    values = pa.array(rows.loc[:, wide].to_numpy().ravel(), pa.float32())
    table = table.append_column("values", pa.FixedSizeListArray.from_arrays(values, len(names)))
    return table.replace_schema_metadata({"names": json.dumps(names)})


def _unpack(table: pa.Table) -> pd.DataFrame:
    """Undo `_pack`."""
    if "values" not in table.column_names:
        return pd.DataFrame(table.to_pandas(use_threads=False))
    names = json.loads(table.schema.metadata[b"names"])
    values = table["values"].combine_chunks().flatten().to_numpy().reshape(-1, len(names))
    rows: pd.DataFrame = table.drop_columns(["values"]).to_pandas(ignore_metadata=True, use_threads=False)
    return pd.concat([rows, pd.DataFrame(values, columns=names)], axis=1)
