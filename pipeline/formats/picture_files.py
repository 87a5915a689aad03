"""Files of pictures, told by content: what they hold is known from their headers before it is decoded."""

import gzip
import io
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_bytes, check_pixels, check_regular, check_size
from pipeline.core.remote import local
from pipeline.formats.contents import COLOURS, Contents, Scene
from pipeline.formats.ome_zarr import open_zarr
from pipeline.formats.tiff import Metered, open_tiff
from pipeline.formats.tiff_headers import ome_files
from pipeline.formats.vendor_files import VENDORS, open_vendor

_DAMAGED = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError, SyntaxError,
    AssertionError, struct.error, EOFError,
)  # fmt: skip
"""What decoders raise for damaged files: Pillow OSError, imagecodecs RuntimeError, tifffile any."""

_OTHERS = {
    b"PK\3\4": "a zip archive",
    b"%PDF": "a PDF document",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"RIFF": "a WebP picture",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
    b"<!doctype html": "a web page (HTML)",
    b"<html": "a web page (HTML)",
    b"<?xml": "an XML document",
}
"""How files begin, in lower case where they are text, that are no pictures or of no type that is read."""

_MOST_SCANS = 200
"""Scans of a JPEG: each of a few bytes goes over the whole picture, and ten are usual."""

_READ = "a PNG, TIFF or JPEG"
_PNG, _JPEG, _GZIP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x1f\x8b"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
"""Chunks of a PNG that decide the pixels; the others may hold packed text of any size."""


def open_picture(path: Path) -> Contents:
    """Look at what a file, or the folder of an OME-Zarr, holds.

    Raises
    ------
    UnreadableError
        If it is damaged, too large, or no picture.
    OSError
        If the system does not let it be read.
    """
    with ExitStack() as stack:
        contents = _opened(stack.enter_context(local(path)))
        stack.callback(contents.close)
        return replace(contents, close=stack.pop_all().close)


def _opened(path: Path) -> Contents:
    if path.is_dir():
        with damage_told("OME-Zarr"):
            return open_zarr(path)
    check_regular(path)
    with path.open("rb") as stream:
        start = stream.read(4096)
    if start.startswith(_TIFF):
        return _tiff("TIFF", lambda: io.FileIO(path), path.name)
    if start.startswith(_GZIP):
        return _tiff("gzip archive", lambda: _unpacked(path), path.stem)
    for beginning, vendor in VENDORS.items():
        if start.startswith(beginning):
            with damage_told(vendor.kind):
                return open_vendor(path, vendor)
    for beginning, (name, look) in {_PNG: ("PNG", _look_png), _JPEG: ("JPEG", _look_jpeg)}.items():
        if start.startswith(beginning):
            content = _small(path)
            with damage_told(name):
                scene = look(content)
            return Contents(name, ("",), [scene].__getitem__)
    raise _no_picture(path, start)


def states_white(path: Path) -> bool:
    """Say whether the first bytes of a file tell that it is a JPEG, or a PNG of fewer than 16 bits.

    Raises
    ------
    OSError
        If the system does not let it be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(25)
    return start.startswith(_JPEG) or (start.startswith(_PNG) and start[24:] != b"\x10")


@contextmanager
def damage_told(name: str) -> Iterator[None]:
    """Turn whatever decoders raise for a damaged file into its one reason; they print no warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is said once, as the problem of the sample
            yield
    except UnreadableError:
        raise
    except _DAMAGED as error:
        if (
            isinstance(error, OSError)
            and error.errno is not None
            and not isinstance(error, FileNotFoundError)
        ):
            raise
        reason = f"unreadable or truncated {name}"
        raise UnreadableError(reason, "copy or export the file again") from error


def _tiff(kind: str, opened: Callable[[], io.FileIO], name: str) -> Contents:
    """Look at a TIFF, which stays open until its contents are closed."""
    with damage_told(kind), ExitStack() as stack:
        stream = stack.enter_context(Metered(opened()))
        contents = open_tiff(stream, name)
        return replace(contents, close=stack.pop_all().close)


def _small(path: Path) -> bytes:
    """Return the content of a file of one picture."""
    check_size(path.stat().st_size)
    return path.read_bytes()


def _unpacked(path: Path) -> io.FileIO:
    """Unpack a gzip archive of one TIFF into a file that is gone when it is closed."""
    with gzip.open(path) as packed:
        if not packed.peek(4).startswith(_TIFF):
            raise UnreadableError("holds a gzip archive of no TIFF", f"save the picture as {_READ}")
        plain: io.FileIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with its reader
        while block := packed.read(2**20):
            plain.write(block)
            check_bytes(plain.tell(), "unpacked, the file")
    return plain


def _no_picture(path: Path, content: bytes) -> UnreadableError:
    start = content[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    if b"<OME" in content or path.name.endswith(".companion.ome"):
        files = ome_files(path.read_text("utf-8", "replace")[: 2**20])
        named = f" ({', '.join(files[:3])}{', …' * (len(files) > 3)})" if files else ""
        reason = f"holds the header of an OME set, whose planes lie in other files{named}"
        return UnreadableError(reason, "name these files instead")
    for beginning, name in _OTHERS.items():
        if start.startswith(beginning) or start.lower().startswith(beginning):
            return UnreadableError(f"holds {name}, not {_READ}", f"save the picture as {_READ}")
    what = f"holds nothing like {_READ}" if content.strip(b"\0") else "is empty"
    return UnreadableError(what, "copy or export the file again")


def _look_png(content: bytes) -> Scene:
    import imagecodecs

    chunks, place, kind = [content[:8]], 8, b""
    width = height = bits = colour = 0
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"acTL":
            raise UnreadableError("the file holds several pictures", "save one grey picture")
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack_from(">IIBB", content, place + 8)
            check_pixels(width, height)
            if bits not in {1, 2, 4, 8, 16}:  # the library would print what it thinks of it
                raise ValueError
        if kind in _KEPT:
            chunks.append(content[place : place + 12 + size])
        place += 12 + size
    packed = b"".join(chunks)
    return _of_one(width, height, bits, colour != 0, lambda: imagecodecs.png_decode(packed))


def _look_jpeg(content: bytes) -> Scene:
    from PIL.JpegImagePlugin import JpegImageFile

    if content.count(b"\xff\xda") > _MOST_SCANS:
        raise UnreadableError(f"the JPEG has more than {_MOST_SCANS} scans", "save the picture again")

    def decode() -> NDArray[np.generic]:
        with JpegImageFile(io.BytesIO(content)) as picture:
            return np.asarray(picture)

    with JpegImageFile(io.BytesIO(content)) as picture:
        check_pixels(picture.width, picture.height)
        if picture.mode not in {"L", "RGB"}:
            raise UnreadableError(f"colours are stored as {picture.mode}", "save the picture as 8-bit grey")
        return _of_one(picture.width, picture.height, 8, picture.mode == "RGB", decode)


def _of_one(
    width: int, height: int, bits: int, is_colours: bool, decode: Callable[[], NDArray[np.generic]]
) -> Scene:
    """Return the scene of a file that holds one picture, which is decoded once."""
    kept = cache(decode)
    kind = np.dtype(np.uint16 if bits == 16 else np.uint8)
    top = None if bits == 16 else 255
    return Scene(
        height,
        width,
        kind,
        lambda *_: kept(),
        COLOURS if is_colours else ("",),
        top=top,
        is_colours=is_colours,
    )
