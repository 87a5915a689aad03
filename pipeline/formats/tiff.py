"""The one picture in a TIFF file: all its pages are looked at before anything is decoded."""

import html
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_pixels
from pipeline.formats.pixel_sizes import Sides, micrometres

if TYPE_CHECKING:
    from tifffile import TiffPage

_MOST_PAGES = 500
_MOST_SEGMENTS = 100_000
_BOUNDED = {1, 5, 8, 32773, 32946, 34925, 50000}
"""Compressions that unpack to no more than is asked: none, LZW, deflate, PackBits, LZMA, zstd."""
_GREY = "save the picture as 8- or 16-bit grey"
_SPLIT = "save each channel as its own grey picture"


class Stored(NamedTuple):
    """Whole numbers as a file stores them, the largest that it can hold, and the sides of a pixel in µm.

    Shape (height, width) or (height, width, samples): grey and alpha, or red, green, blue and perhaps alpha.
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
    with tifffile.TiffFile(_Metered(content), is_lsm=False, is_ndpi=False, is_scanimage=False) as file:
        page = _only_page(list(islice(_pages(file.pages), _MOST_PAGES + 1)))
        _check_kind(page)
        _check_segments(page, len(content))
        values = page.asarray(maxworkers=1)
        if page.planarconfig == 2 and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
        return _as_brightness(page, values)


class _Metered(io.BytesIO):
    """A file of which no more is read than it holds thrice: tags and strips may claim the same bytes."""

    _read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        content = super().read(size)
        self._read += len(content)
        if self._read > 3 * self.getbuffer().nbytes + 2**16:
            raise ValueError("its tags claim more than the file holds")
        return content


def _pages(chain: "Sequence[TiffPage]", depth: int = 0) -> "Iterator[TiffPage]":
    """Read the directories of a chain, and those that hang on its pages, one by one."""
    for number in range(_MOST_PAGES + 1):
        try:
            page = chain[number]
        except IndexError:
            return
        yield page
        if page.subifds and depth == 0:
            yield from _pages(page.pages, depth + 1)


def _only_page(pages: "list[TiffPage]") -> "TiffPage":
    """Return the one page that is neither a reduced copy nor a mask, if it is not too large."""
    if len(pages) > _MOST_PAGES:
        raise UnreadableError(f"the file holds more than {_MOST_PAGES} pages", _SPLIT)
    full = [page for page in pages if not page.subfiletype & 0b101]
    if len(full) != 1:
        sizes = [f"{page.imagewidth}×{page.imagelength}" for page in full]
        told = f" ({', '.join(sizes[:3])}{', …' * (len(sizes) > 3)})" if sizes else ""
        raise UnreadableError(f"the file holds {len(sizes)} pictures{told}, not one", _SPLIT)
    check_pixels(full[0].imagewidth, full[0].imagelength)
    return full[0]


def _check_kind(page: "TiffPage") -> None:
    """Refuse pages that hold more than one plane, or numbers that are no brightness."""
    shaped = re.match(r'\{"shape": (\[[\d, ]+\])', page.description)
    planes = np.prod(json.loads(shaped[1]), dtype=float) / np.prod(page.shape) if shaped else 1.0
    frames = re.match(r"ImageJ=", page.description) and re.search(r"\nimages=(\d+)", page.description)
    if frames:
        planes = int(frames[1])
    if page.is_stk:  # MetaMorph counts its planes by the values of a tag
        planes = page.tags["UIC2tag"].count
    if planes > 1 or page.imagedepth > 1:
        raise UnreadableError("the file holds several pictures", _SPLIT)
    samples, is_grey = page.samplesperpixel, page.photometric < 2
    if samples > 4 or (samples > 1 and is_grey and (samples > 2 or 0 in page.extrasamples)):
        raise UnreadableError(f"{samples} values per pixel", _SPLIT)
    if page.photometric > 3:
        name = getattr(page.photometric, "name", page.photometric)
        raise UnreadableError(f"colours are stored as {name}", _GREY)
    bits = page.bitspersample
    if page.dtype is None or page.sampleformat != 1 or not isinstance(bits, int) or bits > 16:
        raise UnreadableError(f"pixels are {page.dtype or f'of {bits} bits'}", _GREY)
    if page.compression not in _BOUNDED:
        reason = f"compressed by {getattr(page.compression, 'name', page.compression)}"
        raise UnreadableError(reason, "save the picture uncompressed, or with LZW or deflate")


def _check_segments(page: "TiffPage", size: int) -> None:
    """Refuse strips and tiles that are not all there, or larger than a picture may be."""
    if page.is_tiled:
        check_pixels(page.tilewidth, page.tilelength)
    if len(page.databytecounts) > _MOST_SEGMENTS:
        reason = f"the picture is cut into more than {_MOST_SEGMENTS:,} strips or tiles"
        raise UnreadableError(reason, "save the picture again")
    counts, ends = page.databytecounts, np.add(page.dataoffsets, page.databytecounts, dtype=float)
    if len(counts) != np.prod(page.chunked) or min(counts) < 1 or sum(counts) > size or ends.max() > size:
        raise UnreadableError(
            "strips or tiles are missing or claim too much", "copy or export the file again"
        )


def _as_brightness(page: "TiffPage", values: NDArray[np.generic]) -> Stored:
    """Apply what the header says about the numbers: the palette, their bits, or that 0 is white."""
    whole = values.astype(np.uint8 if page.bitspersample <= 8 else np.uint16, copy=False)
    size = [str(page.imagewidth), str(page.imagelength)]
    pixels = [
        one
        for one in _ome_pixels(page.description)
        if [one.get("SizeX"), one.get("SizeY")] in (size, [None] * 2)
    ]  # a header of other sizes came along when the picture was enlarged or reduced
    sides = _same([(_side(one, "X"), _side(one, "Y")) for one in pixels]) or _imagej_sides(page)
    if page.photometric == 3:
        palette = np.asarray(page.colormap).T
        if not (palette & 255).any():  # 8 bits that were moved up by 8, not spread over 16
            return Stored((palette >> 8).astype(np.uint8)[whole], 255, sides)
        return Stored(palette[whole], 65535, sides)
    bits = _same([int(text) for one in pixels if (text := one.get("SignificantBits", "")).isdecimal()])
    top = 2 ** min(bits or page.bitspersample, page.bitspersample) - 1
    if whole.max(initial=0) > top:
        reason = f"holds the value {whole.max()}, but its header says that {top} is the largest"
        raise UnreadableError(reason, "export it again")
    is_white = page.photometric == 0 and 262 in page.tags  # 0 is also what a missing tag reads as
    return Stored(np.subtract(top, whole, dtype=whole.dtype) if is_white else whole, top, sides)


def _same(found: list[Any]) -> Any:
    """Return what is stated everywhere alike, if anything is."""
    return found[0] if found and all(one == found[0] for one in found) else None


def _ome_pixels(text: str) -> list[dict[str, str]]:
    """Return the attributes of every element Pixels of an OME header, however long or broken the rest is."""
    found = re.findall(r"Pixels\s[^<>]*>", text) if text.rstrip().endswith("OME>") else []
    pairs = [re.findall(r"(\w+)\s*=\s*([\"'])(.*?)\2", element) for element in found]
    return [{name: html.unescape(value) for name, _, value in attributes} for attributes in pairs]


def _side(pixels: Mapping[str, str], axis: str) -> float | None:
    return micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))


def _imagej_sides(page: "TiffPage") -> Sides:
    """Return the size of a pixel that ImageJ states: a resolution, and its unit in the description."""
    if not page.description.startswith("ImageJ="):
        return None, None
    stated = dict(line.split("=", 1) for line in page.description.splitlines() if "=" in line)
    unit: str = stated.get("unit", "")
    return _resolved(page, 282, unit), _resolved(page, 283, stated.get("yunit", unit))


def _resolved(page: "TiffPage", code: int, unit: str) -> float | None:
    pixels, length = page.tags[code].value if code in page.tags else (0, 1)
    return micrometres(length / pixels, unit) if pixels else None
