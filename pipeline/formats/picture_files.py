"""One grey plane out of a PNG, TIFF or JPEG, told by content; its header is checked before it is decoded."""

import io
import struct
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import RUN_AGAIN
from pipeline.core.files import MAX_PIXELS, UnreadableError, check_pixels, check_readable, max_pixels
from pipeline.formats.pixel_sizes import Sides
from pipeline.formats.sources import AS_STORED, Reading, Source
from pipeline.formats.tiff import Stored, read_tiff

_DAMAGED = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError, SyntaxError,
    AssertionError, struct.error,
)  # fmt: skip
"""What decoders raise for damaged files: Pillow OSError, imagecodecs RuntimeError, tifffile any."""

_OTHERS = {
    b"PK\3\4": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"RIFF": "a WebP picture",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"ZISRAWFILE": "a CZI file",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
    b"<!doctype html": "a web page (HTML)",
    b"<html": "a web page (HTML)",
    b"<?xml": "an XML document",
}
"""How files begin, in lower case where they are text, that are no pictures or of no type that is read."""

_MOST_SCANS = 200
"""Scans of a JPEG: each of a few bytes goes over the whole picture, and ten are usual."""

_SPLIT = "save each channel as its own grey picture"
_TYPES = "a PNG, TIFF or JPEG"
_OWN = {"red": [0], "green": [1], "blue": [2], "yellow": [0, 1]}
"""Samples of red, green, blue that show a stain in its colour."""
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
"""Chunks of a PNG that decide the pixels; the others may hold packed text of any size."""


def read_plane(
    source: Source, colour: str, reading: Reading = AS_STORED
) -> tuple[NDArray[np.float32], Sides]:
    """Read one grey plane, and the width and height of a pixel where the file states them.

    The plane, shape (height, width), is the stored value over the largest that can be stored. `colour` is
    what the stain looks like where the picture is one of red, green and blue.

    Raises
    ------
    UnreadableError
        If the file is damaged, too large, no picture, or a picture of several stains.
    OSError
        If the system does not let the file be read.
    """
    path = source.path
    if source.selected != (None, None, None) or len(source.files) > 1 or reading != AS_STORED:
        raise UnreadableError("a plane of several, or another range than the file's", _SPLIT)
    check_readable(path)
    if (size := path.stat().st_size) > 8 * max_pixels():
        reason = f"the file has {size:,} bytes, more than any picture of {max_pixels():,} pixels needs"
        raise UnreadableError(reason, f"{RUN_AGAIN} with {MAX_PIXELS} set to allow more, or export it anew")
    content = path.read_bytes()
    name, decode = _type_of(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong is said once, as the problem of the sample
            stored = decode(content)
    except UnreadableError:
        raise
    except _DAMAGED as error:
        reason = f"unreadable or truncated {name}"
        raise UnreadableError(reason, "copy or export the file again") from error
    plane = _grey(stored, colour)
    return np.asarray(plane.astype(np.float64) / stored.top, np.float32), stored.sides


def _type_of(content: bytes) -> tuple[str, Callable[[bytes], Stored]]:
    """Return the name and the decoder of a file's type, whatever its ending."""
    for beginning, found in _TYPES_READ.items():
        if content.startswith(beginning):
            return found
    start = content[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    for beginning, name in _OTHERS.items():
        if start.startswith(beginning) or start.lower().startswith(beginning):
            raise UnreadableError(f"holds {name}, not {_TYPES}", f"save the picture as {_TYPES}")
    what = f"holds nothing like {_TYPES}" if content.strip(b"\0") else "is empty"
    raise UnreadableError(what, "copy or export the file again")


def _read_png(content: bytes) -> Stored:
    import imagecodecs

    chunks, place, kind = [content[:8]], 8, b""
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"acTL":
            raise UnreadableError("the file holds several pictures", "save one grey picture")
        if kind == b"IHDR":
            width, height, bits = struct.unpack_from(">IIB", content, place + 8)
            check_pixels(width, height)
            if bits not in {1, 2, 4, 8, 16}:  # the library would print what it thinks of it
                raise ValueError
        if kind in _KEPT:
            chunks.append(content[place : place + 12 + size])
        place += 12 + size
    values = imagecodecs.png_decode(b"".join(chunks))
    return Stored(values, int(np.iinfo(values.dtype).max))


def _read_jpeg(content: bytes) -> Stored:
    from PIL.JpegImagePlugin import JpegImageFile

    if content.count(b"\xff\xda") > _MOST_SCANS:
        raise UnreadableError(f"the JPEG has more than {_MOST_SCANS} scans", "save the picture again")
    with JpegImageFile(io.BytesIO(content)) as picture:
        check_pixels(picture.width, picture.height)
        if picture.mode not in {"L", "RGB"}:
            raise UnreadableError(f"colours are stored as {picture.mode}", "save the picture as 8-bit grey")
        return Stored(np.asarray(picture), 255)


_TYPES_READ: dict[bytes, tuple[str, Callable[[bytes], Stored]]] = {
    b"\x89PNG\r\n\x1a\n": ("PNG", _read_png),
    b"\xff\xd8\xff": ("JPEG", _read_jpeg),
    b"II*\0": ("TIFF", read_tiff),
    b"MM\0*": ("TIFF", read_tiff),
    b"II+\0": ("TIFF", read_tiff),
    b"MM\0+": ("TIFF", read_tiff),
}


def _grey(stored: Stored, colour: str) -> NDArray[np.generic]:
    """Return the plane of a grey picture, of a grey one saved as colours, or of one in its stain's colour."""
    values = stored.values
    if values.ndim == 2:
        return values
    if values.shape[-1] in {2, 4}:
        if (values[..., -1] != stored.top).any():
            raise UnreadableError("some pixels are transparent", "save each channel as its own grey picture")
        values = values[..., :-1]
    first = values[..., 0]
    if all(np.array_equal(first, values[..., other]) for other in range(1, values.shape[-1])):
        return first
    energy = np.array([np.square(values[..., sample], dtype=np.float64).mean() for sample in range(3)])
    own = _OWN[colour]
    if np.delete(energy, own).max() < _OTHER_COLOURS * energy[own].min():
        return np.asarray(values[..., own].mean(axis=-1, dtype=np.float64))
    if np.ptp(values, axis=-1).max() <= stored.top * _ALIKE:
        return np.asarray(values.mean(axis=-1, dtype=np.float64))
    red, green, blue = (np.sqrt(energy) / stored.top).round(3).tolist()
    reason = f"a picture in colours (red {red}, green {green}, blue {blue}), neither grey nor {colour} alone"
    raise UnreadableError(reason, "save each channel as its own grey picture")


_OTHER_COLOURS = 0.05
"""Share of a stain's own colour's energy that the others may have: what JPEG's compression leaves."""
_ALIKE = 2 / 255
"""Differences of red, green and blue, as shares of the largest value, that are JPEG's rounding."""
