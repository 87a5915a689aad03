"""Chunks of OME-Zarr that unpack to far more than they are: noticed before the library takes the memory."""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.files import check_bytes

if TYPE_CHECKING:
    from zarr.storage import LocalStore

_PIECE = 2**22
_ZSTD = b"\x28\xb5\x2f\xfd"
_STREAMS: dict[bytes, Any] = {b"BZh": bz2.BZ2Decompressor, b"\xfd7zXZ": lzma.LZMADecompressor}
_DEFLATED = (b"\x1f\x8b", b"\x78")
_BLOSC_HEADER = 16


def open_store(folder: Path) -> "LocalStore":
    """Open a folder of chunks of which none unpacks to more bytes than a file may have."""
    from zarr.storage import LocalStore

    class Checked(LocalStore):
        async def get(self, *asked: Any, **how: Any) -> Any:
            found = await super().get(*asked, **how)
            if found is not None:
                check_unpacked(found.to_bytes())
            return found

    return Checked(folder, read_only=True)


def check_unpacked(content: bytes) -> None:
    """Refuse what says, or shows when it is unpacked piece by piece, that it becomes too many bytes.

    Raises
    ------
    UnreadableError
        If it is too much. What is damaged, or not packed at all, passes: reading it tells.
    """
    size = 0
    try:
        for piece in _sizes(content):
            size += piece
            check_bytes(size, "a chunk, unpacked,")
    except (zlib.error, lzma.LZMAError, EOFError, OSError):
        return


def _sizes(content: bytes) -> Iterator[int]:
    """Yield sizes that together are that of the unpacked content."""
    if content.startswith(_ZSTD):
        yield _said_by_zstd(content)
    elif content.startswith(_DEFLATED):
        while content:
            stream = zlib.decompressobj(47)  # gzip or zlib
            while content and not stream.eof:
                yield len(stream.decompress(content, _PIECE))
                content = stream.unconsumed_tail
            content = stream.unused_data
    elif start := next((one for one in _STREAMS if content.startswith(one)), b""):
        while content:
            packed = _STREAMS[start]()
            yield len(packed.decompress(content, _PIECE))
            while not (packed.eof or packed.needs_input):
                yield len(packed.decompress(b"", _PIECE))
            content = packed.unused_data if packed.eof else b""
    elif int.from_bytes(content[12:_BLOSC_HEADER], "little") == len(content) >= _BLOSC_HEADER:
        yield int.from_bytes(content[4:8], "little")


def _said_by_zstd(content: bytes) -> int:
    """Return the size that the header of a frame states; 0 where it states none."""
    kind = content[4] if len(content) > 4 else 0
    is_single = kind >> 5 & 1
    start = 5 + (1 - is_single) + (0, 1, 2, 4)[kind & 3]
    length = (is_single, 2, 4, 8)[kind >> 6]
    return int.from_bytes(content[start : start + length], "little") + 256 * (length == 2)
