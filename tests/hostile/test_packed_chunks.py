"""Chunks of OME-Zarr of a few bytes that would take gigabytes: refused before they do."""

import bz2
import gzip
import lzma
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from pipeline.core.files import UnreadableError
from pipeline.formats.packed_chunks import check_unpacked
from pipeline.formats.sources import Source
from tests.pipeline.planes import read_plane

PACKED = {
    "gzip": gzip.compress,
    "gzip of two members": lambda content: 2 * gzip.compress(content[: len(content) // 2 + 1]),
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: bytes(numcodecs.Zstd().encode(content)),
    "blosc": lambda content: bytes(numcodecs.Blosc().encode(content)),
}


@pytest.mark.parametrize("kind", PACKED)
def test_what_unpacks_to_too_much_is_refused(monkeypatch, kind):
    content = PACKED[kind](bytes(300_000))
    check_unpacked(content)
    monkeypatch.setenv("HPA_MAX_BYTES", "299999")
    with pytest.raises(UnreadableError, match=r"a chunk, unpacked, holds 300,00\d bytes, more than 299,999"):
        check_unpacked(content)


def test_what_is_not_packed_or_cut_off_is_left_to_be_read(monkeypatch):
    monkeypatch.setenv("HPA_MAX_BYTES", "299999")
    noise = np.random.default_rng(0).bytes(400_000)
    for content in (b"", noise, *(start + noise for start in (b"\x78\x9c", b"BZh9", b"\xfd7zXZ\0"))):
        check_unpacked(content)
    for pack in PACKED.values():
        check_unpacked(pack(noise[:200_000])[:100])


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_of_a_picture_that_unpacks_to_too_much_is_told(tmp_path: Path, monkeypatch, version):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    packer = numcodecs.GZip() if version == 2 else zarr.codecs.GzipCodec()
    group.create_array("0", data=np.arange(64, dtype=np.uint8).reshape(8, 8), compressors=packer)
    said = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}
    group.attrs.update(said if version == 2 else {"ome": said})
    source = Source((tmp_path / "a.zarr",))
    assert read_plane(source, "green")[0].shape == (8, 8)
    (chunk,) = (one for one in (tmp_path / "a.zarr" / "0").rglob("*0") if one.is_file())
    chunk.write_bytes(gzip.compress(bytes(2_000_000)))
    monkeypatch.setenv("HPA_MAX_BYTES", "1000000")
    with pytest.raises(UnreadableError, match="a chunk, unpacked, holds"):
        read_plane(source, "green")
