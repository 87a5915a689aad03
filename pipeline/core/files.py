"""Files: digests of their content, and writing them so that a kill leaves the old one or the new one."""

import functools
import hashlib
import itertools
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


MAX_BYTES = "HPA_MAX_BYTES"
"""Environment variable: the bytes that one file may hold, packed or not; 1 GiB unless set."""


MAX_PIXELS = "HPA_MAX_PIXELS"
"""Environment variable: the pixels that a plane may have; 17 million unless set (2 GB of memory)."""


_TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d+)-(\d+)\.tmp$")
"""Machine, process and its begin, as `temporary_of` names them."""

_ABANDONED = 24 * 3600.0
"""Seconds without a change after which a temporary file of another machine is nobody's."""

_SLACK = 60.0
"""Seconds by which the begin of a process may seem to move: it is told from the clock, which may be set."""


class UnreadableError(ValueError):
    """A file is not one to read: why, and the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason, self.remedy = reason, remedy


def check_readable(path: Path) -> None:
    """Refuse what is no regular file, and too large a file.

    Raises
    ------
    UnreadableError
        If it must not be read.
    OSError
        If it is not there, or the system does not let one look.
    """
    check_regular(path)
    check_bytes(path.stat().st_size)


def check_regular(path: Path) -> None:
    """Refuse what is no regular file, such as a pipe or a device, which may block for ever.

    Raises
    ------
    UnreadableError
        If it must not be read.
    OSError
        If it is not there, or the system does not let one look.
    """
    if "\0" in str(path):
        raise UnreadableError("the path holds a NUL character", "give the path of a file")
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError("is not a regular file", "give the path of a file")


def check_bytes(size: int, what: str = "the file") -> None:
    """Refuse what holds, or says that it will hold once unpacked, more bytes than `MAX_BYTES` allows.

    Raises
    ------
    UnreadableError
        If it must not be read.
    """
    limit = limit_of(MAX_BYTES, 2**30)
    if size > limit:
        raise UnreadableError(
            f"{what} holds {size:,} bytes, more than {limit:,}", f"split it, or set {MAX_BYTES} to allow more"
        )


def check_pixels(width: int, height: int) -> None:
    """Refuse a picture, or a part of one, of more pixels than `MAX_PIXELS` allows, before it is decoded.

    Raises
    ------
    UnreadableError
        If it must not be decoded.
    """
    if not width * height:
        raise UnreadableError("the picture has no pixels", "export it again")
    if width * height > max_pixels():
        raise UnreadableError(
            f"the picture has {width:,}×{height:,} pixels, more than {max_pixels():,}",
            f"run again with {MAX_PIXELS} set to allow more (100 bytes each), or cut it into fields",
        )


def check_size(size: int, planes: int = 1) -> None:
    """Refuse a file of more bytes than so many planes of `max_pixels` need.

    Raises
    ------
    UnreadableError
        If it must not be read.
    """
    if size > 8 * planes * max_pixels():
        most = f"{planes:,} × {max_pixels():,}" if planes > 1 else f"{max_pixels():,}"
        raise UnreadableError(
            f"the file has {size:,} bytes, more than any picture of {most} pixels needs",
            f"run again with {MAX_PIXELS} set to allow more, or export it anew",
        )


def max_pixels() -> int:
    """Return how many pixels a plane may have."""
    return limit_of(MAX_PIXELS, 17_000_000)


def limit_of(variable: str, default: int) -> int:
    """Return the number that an environment variable holds, or the default."""
    given = os.environ.get(variable, "")
    return int(given) if given.isdecimal() else default


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's content as hexadecimal digits; read once while it does not change."""
    found = path.stat()
    return _digest(path.resolve(), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.cache
def _digest(path: Path, *_state: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """Return the sha256 of a file, or of a folder's files by name; those that are hidden do not count."""
    if not path.is_dir():
        return file_digest(path)
    names = {file.relative_to(path).as_posix(): file for file in path.rglob("[!.]*") if file.is_file()}
    return text_digest({name: file_digest(file) for name, file in names.items()})


def tree_digest(folder: Path) -> str:
    """Return the sha256 of all files below a folder, hidden ones too, by their paths in it."""
    names = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return text_digest({name: file_digest(file) for name, file in names.items()})


def text_digest(value: object) -> str:
    """Return the sha256 of a value's JSON form (keys sorted) as hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def replacing(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`, of a file or a folder, moved over it when the block succeeds.

    A reader sees the old one or the new one, never half of it; a kill leaves the old one (or no folder).

    Parameters
    ----------
    path : Path
    synced : bool
        Whether the file is on the disk before it takes the place of the old one, so that a power cut leaves
        one of the two as well. Not needed where a damaged file is noticed and made again in no time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_of(path)
    try:
        yield temporary
        if synced:
            for one in (*temporary.rglob("*"), temporary):
                sync(one)
        if path.is_dir():  # nothing takes the place of a folder at once
            shutil.rmtree(path)
        elif temporary.is_dir():
            path.unlink(missing_ok=True)
        temporary.replace(path)
        if synced:
            sync(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    number = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def temporary_of(path: Path) -> Path:
    """Name what is written in place of a file or folder until it is complete, by who writes it."""
    process = os.getpid()
    return path.with_name(f".{path.name}.{machine()}-{process}-{_started(process)}.tmp")


@functools.cache
def machine() -> str:
    """Return what tells this machine, or container, from others that may see the same disk.

    Names repeat (a thousand containers called "worker"); a boot of a kernel and a space of process numbers do
    not.
    """
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    kernel = boot.read_text() if boot.is_file() else uuid.getnode()
    return text_digest([platform.node(), kernel, space.is_symlink() and str(space.readlink())])[:8]


@functools.lru_cache(4)
def _started(process: int) -> int:
    """Return when a process began, in seconds: its number may be given to another one later."""
    import psutil

    return round(psutil.Process(process).create_time())


def write_text(path: Path, text: str) -> None:
    """Write a text file, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_signed(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON with their digest; see `read_signed`."""
    write_text(path, json.dumps({**values, "sha256": text_digest(values)}, indent=1))


def read_signed(path: Path) -> dict[str, Any]:
    """Read what `write_signed` wrote; nothing where there is nothing, or it is damaged."""
    try:
        values: dict[str, Any] = dict(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return {}
    return values if values.pop("sha256", "") == text_digest(values) else {}


def write_table(path: Path, rows: "pd.DataFrame") -> None:
    """Write a parquet file, all or nothing."""
    write_blocks(path, [as_arrow(rows)])


def write_blocks(path: Path, blocks: "Iterable[pa.Table]") -> None:
    """Write a parquet file block by block, so that memory stays flat; all or nothing."""
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for table in blocks:
                # measurements hardly repeat: a dictionary of them is only slower
                writer = writer or pq.ParquetWriter(
                    temporary, table.schema, compression="zstd", use_dictionary=["Id"]
                )
                writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()


def write_folder(path: Path, blocks: "Iterable[pa.Table]", most: int) -> None:
    """Write a table as a folder of parquet files of at least so many rows, but the last; all or nothing."""
    waiting = iter(blocks)
    with replacing(path) as folder:
        folder.mkdir(parents=True)
        for number in itertools.count():
            if (first := next(waiting, None)) is None:
                return
            write_blocks(folder / f"part-{number:05}.parquet", _until(most, first, waiting))


def _until(most: int, first: "pa.Table", rest: "Iterator[pa.Table]") -> "Iterator[pa.Table]":
    """Yield blocks until there are so many rows."""
    rows = first.num_rows
    yield first
    while rows < most and (block := next(rest, None)) is not None:
        rows += block.num_rows
        yield block


def files_of(path: Path) -> list[Path]:
    """Return the files of a table, in the order of its rows: itself, or what a folder of that name holds."""
    return sorted(path.glob("[!.]*.parquet")) if path.is_dir() else [path]


def as_arrow(block: "pd.DataFrame") -> "pa.Table":
    """Return a table without its index, NaN as null.

    What pandas would write of every column beside it doubles the file of a few rows of thousands of columns,
    and takes longer than all else.
    """
    import numpy as np
    import pyarrow as pa

    numbers = block.select_dtypes(np.float32)
    by_name = dict(zip(numbers.columns, np.asfortranarray(numbers.to_numpy()).T, strict=True))
    names = list(block.columns)
    columns = [by_name[name] if name in by_name else block[name] for name in names]
    return pa.table([pa.array(column, from_pandas=True) for column in columns], names=names)


def remove_leftovers(found: Iterable[Path]) -> None:
    """Remove what `replacing` and `temporary_of` named for runs that were killed.

    Nobody knows here whether a process of another machine runs: what one wrote is removed once it has not
    changed for `_ABANDONED` seconds, by the clock of the disk (those of machines differ).
    """
    for path in list(found):
        named = _TEMPORARY.search(path.name)
        if named is None:
            continue  # not ours
        owner, process, started = named.groups()
        ours = owner == machine()
        if _runs(int(process), int(started)) if ours else not _abandoned(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    """Return whether nothing in a file or folder was written for long, by the clock that stamps it."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
        return all(now - one.stat().st_mtime > _ABANDONED for one in (path, *path.rglob("*")))
    except FileNotFoundError:
        return False  # it has been finished


def _runs(process: int, started: int) -> bool:
    """Return whether the process runs that a temporary file names.

    A killed process whose parent never asks for its exit status stays listed as a zombie (in many
    containers, for ever).
    """
    import psutil

    try:
        found = psutil.Process(process)
        return abs(found.create_time() - started) < _SLACK and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
