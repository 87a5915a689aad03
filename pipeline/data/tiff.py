"""The one picture in a TIFF file: all its pages are looked at before anything is decoded."""

import io
import json
import logging
import re
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_pixels
from pipeline.data.pixel_sizes import Sides, micrometres

if TYPE_CHECKING:
    from tifffile import TiffPage

_MOST_PAGES = 1_000
_LONGEST_DESCRIPTION = 2**23
_PLANES_OF_METAMORPH = 33629
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Field types of whole numbers, as `struct` names them."""
_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes of one value of each field type."""
_BOUNDED = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32946: "deflate",
    32773: "PackBits",
    34925: "LZMA",
    50000: "zstd",
}
"""Compressions whose decoders write no more than they are told to."""
_PICTURES = {7: "JPEG", 33003: "JPEG2000", 33005: "JPEG2000", 34712: "JPEG2000"}
"""Compressions whose strips and tiles are pictures with a size of their own."""
_SPLIT = ("the file holds several pictures", "save each channel as its own grey picture")


@dataclass(frozen=True)
class Stored:
    """Values of a picture as a file stores them.

    Attributes
    ----------
    values : ndarray, shape (height, width) or (height, width, samples), uint8 or uint16
        Samples are grey and alpha, or red, green, blue and perhaps alpha.
    top : int
        The largest value that can be stored.
    sides : tuple of float or None
        Width and height of a pixel in micrometres.
    """

    values: NDArray[np.generic]
    top: int
    sides: Sides = (None, None)


def read_tiff(content: bytes) -> Stored:
    """Read the picture of a TIFF, OME-TIFF, ImageJ TIFF or BigTIFF, from the content of the file.

    Pages that say that they are reduced copies or transparency masks do not count, nor do pages that an OME
    header finds in other files. The header's orientation is not applied.

    Raises
    ------
    UnreadableError
        If there are several pictures or none, or one of a kind that is not read.
    """
    import tifffile

    # the reason of a damaged file is reported once, in problems.csv
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    pages = [page for page in _pages(content) if not page.is_aside]
    if len(pages) != 1:
        sizes = ", ".join(f"{page.width}×{page.height}" for page in pages[:3])
        more = ", …" if len(pages) > 3 else ""
        reason = (
            f"the file holds {len(pages)} pictures ({sizes}{more})" if pages else "the file has no picture"
        )
        raise UnreadableError(reason, _SPLIT[1] if pages else "export it again")
    check_pixels(pages[0].width, pages[0].height)
    with tifffile.TiffFile(io.BytesIO(_beginning_with(content, pages[0].offset))) as file:
        page = file.pages.first
        text = page.description[:_LONGEST_DESCRIPTION]
        _check_kind(page, text)
        _check_segments(page, content)
        values = page.asarray(maxworkers=1)
        if page.planarconfig == 2 and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
        bits = _significant_bits(text, page.bitspersample)
        sides = _ome_sides(text) if text.rstrip().endswith("OME>") else _imagej_sides(page, text)
        return _as_brightness(page, values, 2**bits - 1, sides)


@dataclass(frozen=True)
class _Page:
    """A page of a file: where its directory lies, its size, and whether it is a copy or a mask of another."""

    offset: int
    width: int
    height: int
    is_aside: bool


def _pages(content: bytes) -> Iterator[_Page]:
    """Follow the chain of directories, and what hangs on them, by a few bytes each."""
    order = {b"II": "<", b"MM": ">"}[content[:2]]
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    count_as, entry_as, link_as = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    waiting = [struct.unpack_from(order + link_as, content, 8 if big else 4)[0]]
    seen: set[int] = set()
    while waiting:
        offset = waiting.pop()
        if offset in seen:
            raise ValueError("its chain of pages leads back to itself")
        if len(seen) == _MOST_PAGES:
            raise UnreadableError(f"the file holds more than {_MOST_PAGES:,} pages", _SPLIT[1])
        seen.add(offset)
        count = struct.unpack_from(order + count_as, content, offset)[0]
        start = offset + struct.calcsize(order + count_as)
        end = start + count * struct.calcsize(order + entry_as)
        tags = _tags(content, order, list(struct.iter_unpack(order + entry_as, content[start:end])))
        following = struct.unpack_from(order + link_as, content, end)[0]
        waiting += [place for place in (following, *tags.get(330, ())) if place]
        width, height, kind, old_kind = (tags.get(code, (0,))[0] for code in (256, 257, 254, 255))
        yield _Page(offset, width, height, is_aside=bool(kind & 0b101) or old_kind == 2)


def _tags(
    content: bytes, order: str, entries: list[tuple[int, int, int, bytes]]
) -> dict[int, tuple[int, ...]]:
    """Return the whole numbers in short tags, once all tags together take no more bytes than the file has."""
    tags = {}
    if sum(_BYTES.get(kind, 1) * count for _, kind, count, _ in entries) > len(content):
        raise ValueError("its tags claim more bytes than the file has")
    for code, kind, count, value in entries:
        if code in {254, 255, 256, 257, 330} and kind in _INTEGERS and count <= _MOST_PAGES:
            form = f"{order}{count}{_INTEGERS[kind]}"
            if struct.calcsize(form) <= len(value):
                tags[code] = struct.unpack_from(form, value)
            else:
                place = struct.unpack(f"{order}{'Q' if len(value) == 8 else 'I'}", value)[0]
                tags[code] = struct.unpack_from(form, content, place)
    return tags


def _beginning_with(content: bytes, offset: int) -> bytes:
    """Return a file whose first page is the one at `offset`."""
    order = "<" if content[:2] == b"II" else ">"
    place, link = (8, "Q") if 43 in content[2:4] else (4, "I")
    return content[:place] + struct.pack(order + link, offset) + content[2 * place :]


def _check_kind(page: "TiffPage", text: str) -> None:
    """Refuse pages that hold more than one plane, or numbers that are no brightness."""
    shaped = re.match(r'\{"shape": (\[[\d, ]+\])', text)
    frames = re.search(r"^images=(\d+)$", text, re.MULTILINE) if text.startswith("ImageJ=") else None
    planes = page.tags[_PLANES_OF_METAMORPH].count if _PLANES_OF_METAMORPH in page.tags else 1
    if page.imagedepth > 1 or planes > 1 or (frames and int(frames[1]) > 1):
        raise UnreadableError(*_SPLIT)
    if shaped and np.prod(json.loads(shaped[1]), dtype=float) > np.prod(page.shape, dtype=float):
        raise UnreadableError(*_SPLIT)
    if page.samplesperpixel > 1 and (
        page.samplesperpixel > 4 or (page.photometric < 2 and 0 in page.extrasamples)
    ):
        raise UnreadableError(f"{page.samplesperpixel} values per pixel", _SPLIT[1])
    if page.samplesperpixel == 3 and page.photometric not in {2, 6}:
        raise UnreadableError("3 values per pixel", _SPLIT[1])
    is_whole = isinstance(page.bitspersample, int) and page.bitspersample <= 16 and page.sampleformat == 1
    if not is_whole or page.dtype is None:
        kind = page.dtype or f"of {page.bitspersample} bits"
        raise UnreadableError(f"pixels are {kind}", "save the picture as 8- or 16-bit grey")
    if page.photometric not in {0, 1, 2, 3, 6}:
        name = getattr(page.photometric, "name", page.photometric)
        raise UnreadableError(f"colours are stored as {name}", "save the picture as 8- or 16-bit grey")


def _check_segments(page: "TiffPage", content: bytes) -> None:
    """Refuse strips and tiles that are not all there, or that are larger once decoded than they should be."""
    if page.compression not in _BOUNDED | _PICTURES:
        name = getattr(page.compression, "name", page.compression)
        raise UnreadableError(
            f"compressed by {name}", "save the picture uncompressed, or with LZW or deflate"
        )
    height, width = (
        (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    )
    check_pixels(width, height)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if len(places) != np.prod(page.chunked) or any(count < 1 for _, count in places):
        raise ValueError("strips or tiles are missing")
    ends = [offset + count for offset, count in places]
    if max(ends) > len(content) or sum(page.databytecounts) > len(content):
        raise ValueError("strips or tiles end behind the end of the file")
    if page.compression in _PICTURES:
        from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
        from PIL.JpegImagePlugin import JpegImageFile

        reader = JpegImageFile if page.compression == 7 else Jpeg2KImageFile
        for offset, count in places:
            segment = reader(io.BytesIO(content[offset : offset + count]))
            if segment.width > width or segment.height > height:
                raise ValueError("a strip or tile is larger than the file says")


def _as_brightness(page: "TiffPage", values: NDArray[np.generic], top: int, sides: Sides) -> Stored:
    """Apply what the header says about the numbers: the palette, or that 0 is white."""
    whole = values.astype(np.uint8 if page.bitspersample <= 8 else np.uint16, copy=False)
    if page.photometric == 3:
        palette = np.asarray(page.colormap).T
        if not (palette & 255).any():  # 8 bits that were moved up by 8, not spread over 16
            return Stored((palette >> 8).astype(np.uint8)[whole], 255, sides)
        return Stored(palette[whole], 65535, sides)
    if whole.max() > top:
        reason = f"holds the value {whole.max()}, but its header says that {top} is the largest"
        raise UnreadableError(reason, "export it again")
    return Stored(whole if page.photometric else np.subtract(top, whole, dtype=whole.dtype), top, sides)


def _ome_pixels(text: str) -> list[ET.Element]:
    try:
        return ET.fromstring(text).findall("{*}Image/{*}Pixels")  # noqa: S314 - expat limits entities
    except ET.ParseError:
        return []  # the picture is fine, only its description is not: as good as none


def _ome_sides(text: str) -> Sides:
    """Return the size of a pixel that an OME header states; none where it states several."""
    found = {(_ome_side(pixels, "X"), _ome_side(pixels, "Y")) for pixels in _ome_pixels(text)}
    return found.pop() if len(found) == 1 else (None, None)


def _ome_side(pixels: ET.Element, axis: str) -> float | None:
    return micrometres(pixels.get(f"PhysicalSize{axis}", ""), pixels.get(f"PhysicalSize{axis}Unit", "µm"))


def _significant_bits(text: str, stored: int) -> int:
    """Return how many bits an OME header says that a camera used, else how many are stored."""
    stated = (
        {pixels.get("SignificantBits", "") for pixels in _ome_pixels(text)}
        if "SignificantBits" in text
        else set()
    )
    bits = stated.pop() if len(stated) == 1 else ""
    return int(bits) if bits.isdecimal() and 0 < int(bits) < stored else stored


def _imagej_sides(page: "TiffPage", text: str) -> Sides:
    """Return the size of a pixel that ImageJ states: a resolution, and its unit in the description."""
    if not text.startswith("ImageJ="):
        return None, None
    stated = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    unit = stated.get("unit", "")
    return _resolved(page, 282, unit), _resolved(page, 283, stated.get("yunit", unit))


def _resolved(page: "TiffPage", code: int, unit: str) -> float | None:
    pixels, length = page.tags[code].value if code in page.tags else (0, 1)
    return micrometres(length / pixels, unit) if pixels else None
