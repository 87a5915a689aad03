"""The planes of TIFF files: all pages are looked at before anything is decoded, and decoded one by one."""

import io
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_pixels, check_size
from pipeline.formats.contents import COLOURS, SPLIT, Contents, Scene
from pipeline.formats.tiff_headers import MOST_PAGES, Arrangement, Place, arrangements, stated, unknown_pages

if TYPE_CHECKING:
    from tifffile import TiffPage

Plane = NDArray[np.generic]

_MOST_SEGMENTS = 100_000
_BOUNDED = {1, 5, 8, 32773, 32946, 34925, 50000}
"""Compressions that unpack to no more than is asked: none, LZW, deflate, PackBits, LZMA, zstd."""
_NUMBERS = {"u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"}
"""Numbers that can be brightness, as NumPy names their kinds and bytes."""
_GREY = "save the picture as 8- or 16-bit grey"


class Metered(io.BufferedReader):
    """A file of which no more is read than it holds thrice: tags and strips may claim the same bytes."""

    name = ""  # tifffile looks for one, and temporary files have numbers
    _read = 0

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self.size = raw.seek(0, io.SEEK_END)
        raw.seek(0)

    def reset(self) -> None:
        """Count from here on: a page is read, whose strips have been checked."""
        self._read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        content = super().read(size)
        self._count(len(content))
        return content

    def readinto(self, buffer: Any, /) -> int:
        """Read, and count."""
        count = super().readinto(buffer)
        self._count(count)
        return count

    def _count(self, size: int) -> None:
        self._read += size
        if self._read > 3 * self.size + 2**16:
            raise ValueError("its tags claim more than the file holds")


def open_tiff(stream: Metered, name: str) -> Contents:
    """Look at the pages of a TIFF, BigTIFF, OME-TIFF, ImageJ, Micro-Manager or MetaMorph file.

    Pages that say that they are reduced copies or transparency masks do not count, nor do planes that an OME
    header finds in other files than the one of this name.

    Raises
    ------
    UnreadableError
        If there are no pictures, or of a kind that is not read.
    """
    import tifffile

    # the reason of a damaged file is reported once, in problems.csv
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    file = tifffile.TiffFile(stream, is_lsm=False, is_ndpi=False, is_scanimage=False)
    chain = list(islice(_pages(file.pages), MOST_PAGES + 1))
    if len(chain) > MOST_PAGES:
        raise UnreadableError(f"the file holds more than {MOST_PAGES:,} pages", SPLIT)
    full = [page for page, _ in chain if not page.subfiletype & 0b101]
    main = [page for page, depth in chain if depth == 0]
    found = arrangements(main, name)
    if not found:
        main, found = full, [_unarranged(full)]
    check_size(stream.size, max(len(chain), sum(len(one.pages) for one in found)))
    scenes = [_scene(stream, main, one) for one in found]
    return Contents("TIFF", tuple(one.name for one in found), scenes.__getitem__)


def _pages(chain: "Sequence[TiffPage]", depth: int = 0) -> "Iterator[tuple[TiffPage, int]]":
    """Read the directories of a chain, and those that hang on its pages, one by one."""
    for number in range(MOST_PAGES + 1):
        try:
            page = chain[number]
        except IndexError:
            return
        yield page, depth
        if page.subifds and depth == 0:
            yield from _pages(page.pages, depth + 1)


def _unarranged(pages: "list[TiffPage]") -> Arrangement:
    """Return the only page, or several of one size of which no header says what they are."""
    if len({page.shape for page in pages}) != 1:
        sizes = [f"{page.imagewidth}×{page.imagelength}" for page in pages]
        told = f" ({', '.join(sizes[:3])}{', …' * (len(sizes) > 3)})" if sizes else ""
        raise UnreadableError(f"the file holds {len(sizes)} pictures{told}, not one", SPLIT)
    return unknown_pages(len(pages), False, *stated(pages[0]))


def _scene(stream: Metered, pages: "Sequence[TiffPage]", found: Arrangement) -> Scene:
    """Return the planes of a picture, after a look at what its first page says of them all."""
    first = pages[0 if found.is_packed else min(found.pages.values())]
    check_pixels(first.imagewidth, first.imagelength)
    _check_kind(first)
    is_alone = len(found.pages) == 1
    is_colours = first.photometric in {2, 6} or (first.photometric == 3 and is_alone)
    is_colours |= first.samplesperpixel == 2 and first.extrasamples not in {(), (0,)}  # grey, alpha
    kept = lru_cache(maxsize=1)(partial(_decode, stream, pages, found))
    times, channels, depth = found.size
    names = (*found.channels, *("",) * channels)[:channels]
    is_sampled = not is_colours and first.samplesperpixel > 1
    if is_sampled and channels > 1:
        raise UnreadableError(f"{first.samplesperpixel} values per pixel", SPLIT)

    def decode(time: int, channel: int, z: int) -> Plane:
        if is_sampled:
            return np.asarray(kept((time, 0, z))[..., channel])
        return kept((time, 0 if is_colours else channel, z))

    return Scene(
        first.imagelength,
        first.imagewidth,
        np.dtype(first.dtype),
        decode,
        COLOURS if is_colours else ("",) * first.samplesperpixel if is_sampled else names,
        depth,
        times,
        max(found.planes, depth),
        _top(first, found.bits, is_alone),
        found.sides,
        is_colours,
        found.is_unknown and not is_alone,
    )


def _decode(stream: Metered, pages: "Sequence[TiffPage]", found: Arrangement, place: Place) -> Plane:
    """Decode one plane, checked before it is: shape (height, width), or with samples behind."""
    number = found.pages.get(place, -1)
    first = pages[0 if found.is_packed else min(found.pages.values())]
    page = first if found.is_packed else pages[number] if 0 <= number < len(pages) else None
    if page is None:
        raise UnreadableError("planes that its header names are not there", "copy or export the file again")
    if (page.shape, page.dtype) != (first.shape, first.dtype):
        raise UnreadableError("its pages are of several sizes or types", SPLIT)
    stream.reset()
    _check_kind(page)
    _check_segments(page, stream.size)
    values = page.asarray(maxworkers=1) if not found.is_packed else _unpack(stream, page, number)
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    return _turned(_as_brightness(page, values, len(found.pages) == 1), page)


def _unpack(stream: Metered, page: "TiffPage", number: int) -> Plane:
    """Read a plane of those that lie behind the first one, without pages of their own."""
    start = page.dataoffsets[0] + number * page.nbytes
    if page.compression != 1 or not page.is_contiguous or start + page.nbytes > stream.size:
        raise UnreadableError("planes that its header names are not there", "copy or export the file again")
    stream.seek(start)
    kind = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    values = np.frombuffer(stream.read(page.nbytes), kind).reshape(page.shape)
    return values.astype(kind.newbyteorder("="), copy=False)


def _check_kind(page: "TiffPage") -> None:
    """Refuse pages whose numbers are no brightness, or packed in a way that has no bounds."""
    if page.imagedepth > 1:
        raise UnreadableError("the file holds several pictures", SPLIT)
    if page.photometric > 3 and not (page.photometric == 6 and page.compression == 7):
        name = getattr(page.photometric, "name", page.photometric)
        raise UnreadableError(f"colours are stored as {name}", _GREY)
    if page.photometric in {2, 3} and page.samplesperpixel > 4:
        raise UnreadableError(f"{page.samplesperpixel} values per pixel", SPLIT)
    bits = page.bitspersample
    is_known = page.dtype is not None and page.dtype.str[1:] in _NUMBERS | {"b1"}
    if not is_known or not isinstance(bits, int) or (page.photometric != 1 and page.dtype.itemsize > 2):
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


def _top(page: "TiffPage", bits: int | None, is_alone: bool) -> int | None:
    """Return the largest value that can be stored, where the header says it.

    That a value has as many bits as its type says nothing: programs write it of any camera.
    """
    if page.photometric == 3 and is_alone:
        return 65535 if (np.asarray(page.colormap) & 255).any() else 255
    stored = 1 if page.dtype == bool else page.bitspersample
    used = min(bits or stored, stored)
    if page.dtype.kind in "bu" and stored <= 16:
        is_white = page.photometric == 0 and 262 in page.tags
        return 2**used - 1 if used < 16 or is_white else None
    return 2**used - 1 if used < 16 and page.dtype.kind == "i" and bits else None


def _as_brightness(page: "TiffPage", values: Plane, is_alone: bool) -> Plane:
    """Apply the palette, or that 0 is white."""
    if page.dtype == bool:
        values = values.astype(np.uint8)
    if page.photometric == 3 and is_alone:
        palette = np.asarray(page.colormap).T
        if not (palette & 255).any():  # 8 bits that were moved up by 8, not spread over 16
            return np.asarray((palette >> 8).astype(np.uint8)[values])
        return np.asarray(palette[values])
    if page.photometric == 0 and 262 in page.tags:  # 0 is also what a missing tag reads as
        top = _top(page, stated(page)[0], is_alone) or 65535
        return np.subtract(top, values, dtype=values.dtype)
    return values


def _turned(values: Plane, page: "TiffPage") -> Plane:
    """Turn a picture as its header says that it is to be seen."""
    code = page.tags[274].value if 274 in page.tags else 1
    if not isinstance(code, int) or code not in range(1, 9):
        return values
    if code > 4:
        values = values.swapaxes(0, 1)
    if code in {2, 3, 6, 7}:
        values = values[:, ::-1]
    return values[::-1] if code in {3, 4, 7, 8} else values
