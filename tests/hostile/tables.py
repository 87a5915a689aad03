"""Tables that are none, or cost too much, by kind: each writer makes one file, quickly and small on disk."""

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

GOOD = "Id,a,b\np1,1,2\np2,3,4\n"


def npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def npz(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npz_of_zeros(path: Path) -> None:
    """Write an npz of less than 6 MB whose array unpacks to 1.25 GB."""
    ids = io.BytesIO()
    np.save(ids, np.array(["p1", "p2"]))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("ids.npy", ids.getvalue())
        with archive.open("values.npy", "w", force_zip64=True) as stream:
            stream.write(npy_header((2, 5 * 2**28 // 16)))
            for _ in range(5):
                stream.write(bytes(2**28))


def parquet(path: Path, table: pa.Table, **options: object) -> None:
    pq.write_table(table, path, **options)


def good_parquet() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"Id": ["p1", "p2"], "a": [1.0, 2.0]}).to_parquet(buffer)
    return buffer.getvalue()


def flipped(content: bytes, place: int) -> bytes:
    broken = bytearray(content)
    broken[place] ^= 0xFF
    return bytes(broken)


def many_numbers(path: Path) -> None:
    """Write a parquet of less than 1 MB with 200 million small numbers."""
    zeros = pa.array(np.zeros(2_000_000, np.int8)).dictionary_encode()
    columns = {"Id": pa.array(np.arange(2_000_000) % 7).dictionary_encode()}
    parquet(path, pa.table(columns | {f"c{number}": zeros for number in range(100)}))


def sparse(path: Path, start: bytes, size: int) -> None:
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(size)


def text(content: str | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)


BAD: dict[str, Callable[[Path], object]] = {
    "empty.csv": text(""),
    "blank.csv": text("\n\n\n"),
    "header-only.csv": text("Id,a,b\n"),
    "no-id.csv": text("name,a\np1,1\n"),
    "noise.csv": text(np.random.default_rng(0).bytes(100_000)),
    "zeros.csv": text(bytes(100_000)),
    "packed.csv": text(gzip.compress(GOOD.encode())),
    "workbook.csv": text(b"PK\3\4" + bytes(500)),
    "web-page.csv": text("<!DOCTYPE html><html><body>Sign in</body></html>"),
    "quote-never-closed.csv": text('Id,a\n"p1,1\n' + "p2,2\n" * 100_000),
    "ragged.csv": text("Id,a\np1,1\np2,1,2,3,4\n"),
    "millions-of-columns.csv": text("Id," + ",".join(map(str, range(3_000_000))) + "\np1" + ",1" * 3_000_000),
    "commas.csv": text("," * 20_000_000),
    "one-endless-line.csv": text("Id" + "x" * 30_000_000),
    "endless-number.csv": text("Id,a\np1," + "9" * 5_000_000 + "\n"),
    "twice.csv": text("Id,a,a\np1,1,2\n"),
    "words.csv": text("Id,a\np1,one\n"),
    "infinite.csv": text("Id,a\np1,inf\n"),
    "too-large.csv": text("Id,a\np1,1e300\n"),
    "conflicting.csv": text("Id,a\np1,1\np1,2\n"),
    "other-letters.csv": text("Id,a\nMüller,1\n".encode("latin-1")),
    "pipe.csv": os.mkfifo,
    "device.csv": lambda path: path.symlink_to("/dev/zero"),
    "folder.csv": Path.mkdir,
    "nothing.csv": lambda path: path.symlink_to("nothing"),
    "circle.csv": lambda path: path.symlink_to(path.name),
    "five-gigabytes.csv": lambda path: sparse(path, GOOD.encode(), 5 * 2**30),
    "unknown.xyz": text(GOOD),
    "zeros.npz": npz_of_zeros,
    "claims.npz": lambda path: npz(path, ids=npy_header((2,), "<U2") + bytes(16), a=npy_header((2, 10**12))),
    "negative.npz": lambda path: npz(path, ids=npy_header((2,), "<U2") + bytes(16), a=npy_header((-2, 4))),
    "objects.npz": lambda path: np.savez(path, ids=np.array(["a", {}], object), a=np.zeros(2)),
    "no-ids.npz": lambda path: np.savez(path, a=np.zeros(2)),
    "unequal.npz": lambda path: np.savez(path, ids=np.array(["a", "b"]), a=np.zeros((3, 2))),
    "text.npz": text("no archive"),
    "cut.npz": lambda path: (np.savez(path, ids=np.array(["a"]), a=np.zeros(1)), os.truncate(path, 200)),
    "many-members.npz": lambda path: npz(path, **{f"a{number}": b"" for number in range(20_000)}),
    "other-members.npz": lambda path: npz(path, ids=b"not an array", a=b"\x93NUMPY\x09\x09"),
    "cut.parquet": text(good_parquet()[:-30]),
    "end-alone.parquet": text(b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1"),
    "flipped-page.parquet": text(flipped(good_parquet(), 40)),
    "text.parquet": text(GOOD),
    "nested.parquet": lambda path: parquet(path, pa.table({"Id": ["a"], "v": [[1.0, 2.0]]})),
    "no-id.parquet": lambda path: parquet(path, pa.table({"a": [1.0]})),
    "many-numbers.parquet": many_numbers,
    "samples-without-columns.csv": text("Id,path\na,b\n"),
    "samples-far-away.csv": text("Id,red,green,blue,yellow\na,/etc/passwd,../b.png,c.png,d.png\n"),
    "samples-nul.csv": text("Id,red,green,blue,yellow\na,a\0.png,b.png,c.png,d.png\n"),
    "samples-commas.csv": text("," * 20_000_000),
    "samples-noise.csv": text(zlib.compress(np.random.default_rng(0).bytes(50_000))),
}
