"""Files that are no good pictures, by kind: each writer makes one file, quickly and small on disk."""

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

Writer = Callable[[Path], object]

PLANE = np.random.default_rng(0).integers(0, 250, (24, 32)).astype(np.uint8)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def good_png() -> bytes:
    return imagecodecs.png_encode(PLANE)


def good_jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PLANE).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def good_tiff(**options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, PLANE, **{"photometric": "minisblack", "metadata": None} | options)
    return buffer.getvalue()


def tag(code: int, value: int, kind: int = 4, count: int = 1) -> bytes:
    return struct.pack("<HHII", code, kind, count, value)


def tiff_of(*tags: bytes, following: int = 0, tail: bytes = b"") -> bytes:
    """Return a TIFF of one page with these tags; its strip, 100 bytes of zeros, lies at 8."""
    head = b"II*\0" + struct.pack("<I", 108) + bytes(100)
    return head + struct.pack("<H", len(tags)) + b"".join(tags) + struct.pack("<I", following) + tail


def page(width: int = 10, height: int = 10, bits: int = 8, packing: int = 1, *more: bytes) -> list[bytes]:
    tags = [tag(256, width), tag(257, height), tag(258, bits, 3), tag(259, packing, 3), tag(262, 1, 3)]
    return [*tags, tag(273, 8), tag(277, 1, 3), tag(278, height), tag(279, 100), *more]


def many_pages(number: int) -> bytes:
    """Return a TIFF of so many small pages."""
    body, place = bytearray(b"II*\0" + struct.pack("<I", 108) + bytes(100)), 108
    tags = b"".join(page())
    size = 2 + len(tags) + 4
    for left in range(number, 0, -1):
        place += size
        body += struct.pack("<H", 9) + tags + struct.pack("<I", place if left > 1 else 0)
    return bytes(body)


def packed(name: str, size: int) -> bytes:
    """Return so many zeros, packed."""
    if name == "lzw":
        return bytes(imagecodecs.lzw_encode(bytes(size)))
    return zlib.compress(bytes(size), 9)


def bomb(packing: int, name: str) -> bytes:
    """Return a TIFF of 10 × 10 pixels whose strip unpacks to 200 MB."""
    data = packed(name, 200_000_000)
    tags = page(10, 10, 8, packing)
    tags[5], tags[8] = tag(273, 108 + 2 + 12 * 9 + 4), tag(279, len(data))
    return tiff_of(*tags, tail=data)


def overlapping_strips() -> bytes:
    """Return a TIFF of 4,000 strips that are all the same 4 MB of the file."""
    number, data = 4_000, bytes(4_000_000)
    place = 108 + 2 + 12 * 9 + 4
    tags = page(1_000, number)
    tags[5], tags[7] = tag(273, place, 4, number), tag(278, 1)
    tags[8] = tag(279, place + 4 * number, 4, number)
    offsets = struct.pack("<I", place + 8 * number) * number
    return tiff_of(*tags, tail=offsets + struct.pack("<I", len(data)) * number + data)


def claiming_tags() -> bytes:
    """Return a TIFF of 4,000 descriptions, each the whole 8 MB of the file."""
    tags = [*page(), *(tag(270, 8, 2, 8_000_000) for _ in range(4_000))]
    return tiff_of(*tags, tail=bytes(8_000_000))


def ome(text: str) -> bytes:
    return good_tiff(description=text.encode())


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    + "]><OME>&m;</OME>"
)


def sparse(path: Path, start: bytes, size: int) -> None:
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(size)


def open_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        place = os.getcwd()  # noqa: PTH109 - a socket's path may have 108 letters
        os.chdir(path.parent)
        try:
            one.bind(path.name)
        finally:
            os.chdir(place)


def flipped(content: bytes, *places: int) -> bytes:
    broken = bytearray(content)
    for place in places:
        broken[place] ^= 0xFF
    return bytes(broken)


def bytes_of(content: Callable[[], bytes]) -> Writer:
    return lambda path: path.write_bytes(content())


BAD: dict[str, Writer] = {
    name: bytes_of(content)
    for name, content in {
        "png claims 60000": lambda: png_of(60_000, 60_000, chunk(b"IDAT", packed("zlib", 50_000_000))),
        "png claims 65500 deep": lambda: png_of(65_500, 65_500, chunk(b"IDAT", zlib.compress(b"")), bits=16),
        "png claims 2 to 31": lambda: png_of(2**31 - 1, 2**31 - 1, chunk(b"IDAT", zlib.compress(b""))),
        "png claims no pixels": lambda: png_of(0, 24, chunk(b"IDAT", zlib.compress(b""))),
        "png of one endless row": lambda: png_of(2**31 - 1, 1, chunk(b"IDAT", zlib.compress(bytes(99)))),
        "png without pixels": lambda: png_of(32, 24),
        "png with too few rows": lambda: png_of(32, 24, chunk(b"IDAT", zlib.compress(bytes(33 * 20)))),
        "png with a wrong checksum": lambda: flipped(good_png(), 45),
        "png with a chunk of 4 GB": lambda: SIGNATURE + b"\xff\xff\xff\xffIDAT" + bytes(99),
        "png of 3 bits": lambda: png_of(32, 24, chunk(b"IDAT", zlib.compress(bytes(999))), bits=3),
        "png without its palette": lambda: png_of(
            32, 24, chunk(b"IDAT", zlib.compress(bytes(33 * 24))), colour=3
        ),
        "png that moves": lambda: png_of(32, 24, chunk(b"acTL", bytes(8))),
        "png signature alone": lambda: SIGNATURE,
        "jpeg claims 65500": lambda: good_jpeg().replace(
            struct.pack(">HH", 24, 32), struct.pack(">HH", 65_500, 65_500), 1
        ),
        "jpeg cut": lambda: good_jpeg()[:-150],
        "jpeg without a picture": lambda: b"\xff\xd8\xff\xd9",
        "jpeg claims no pixels": lambda: good_jpeg().replace(struct.pack(">HH", 24, 32), bytes(4), 1),
        "tiff in a circle": lambda: tiff_of(*page(), following=108),
        "tiff of 200000 pages": lambda: many_pages(200_000),
        "tiff of 600 pages": lambda: many_pages(600),
        "tiff claims 60000": lambda: tiff_of(*page(60_000, 60_000)),
        "tiff claims 4 billion wide": lambda: tiff_of(*page(2**32 - 1, 1)),
        "tiff claims 4 billion strips": lambda: tiff_of(*page(10**7, 1)[:-4], tag(273, 8, 4, 2**32 - 1)),
        "tiff of too few strips": lambda: tiff_of(*page(10, 1_000_000)[:-2], tag(278, 1), tag(279, 8)),
        "tiff of tiles of one pixel": lambda: tiff_of(
            *page(3_000, 3_000)[:5], tag(322, 1), tag(323, 1), tag(324, 8, 4, 25), tag(325, 8, 4, 25)
        ),
        "tiff of one huge tile": lambda: tiff_of(
            *page()[:5], tag(322, 60_000), tag(323, 60_000), tag(324, 8), tag(325, 100)
        ),
        "tiff of tiles of no size": lambda: tiff_of(
            *page()[:5], tag(322, 0), tag(323, 0), tag(324, 8), tag(325, 9)
        ),
        "tiff of strips of no rows": lambda: tiff_of(*page()[:-2], tag(278, 0), tag(279, 100)),
        "tiff whose strips are one": overlapping_strips,
        "tiff whose tags are the file": claiming_tags,
        "tiff with a directory of 65535 tags": lambda: b"II*\0\x08\0\0\0\xff\xff" + bytes(70_000),
        "tiff of 65535 samples": lambda: tiff_of(*page()[:6], tag(277, 65_535, 3), *page()[7:]),
        "tiff of 64 bits": lambda: tiff_of(*page(10, 10, 64)),
        "tiff packed in an unknown way": lambda: tiff_of(*page(10, 10, 8, 4_711)),
        "tiff without a strip": lambda: tiff_of(*page()[:5]),
        "tiff with a palette of nothing": lambda: tiff_of(*page()[:4], tag(262, 3, 3), *page()[5:]),
        "tiff that begins after its end": lambda: b"II*\0" + struct.pack("<I", 2**32 - 1),
        "bigtiff that begins after all": lambda: b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63),
        "tiff whose strip lies elsewhere": lambda: tiff_of(*page()[:5], tag(273, 2**31), *page()[6:]),
        "tiff of copies alone": lambda: tiff_of(tag(254, 1), *page()),
        "tiff with a circle below": lambda: tiff_of(*page(), tag(330, 108)),
        "tiff of 100000 pages below": lambda: tiff_of(
            *page(), tag(330, 108 + 6 + 12 * 10, 4, 100_000), tail=struct.pack("<I", 108) * 100_000
        ),
        "tiff cut": lambda: good_tiff(compression="zlib")[:-40],
        "tiff of damaged deflate": lambda: flipped(good_tiff(compression="zlib"), -30, -31, -200),
        "web page": lambda: b"<html>not found</html>",
        "archive": lambda: b"PK\3\4" + bytes(99),
        "packed": lambda: zlib.compress(good_png(), wbits=31),
        "empty": lambda: b"",
        "zeros": lambda: bytes(100_000),
        "noise": lambda: np.random.default_rng(0).bytes(100_000),
    }.items()
} | {
    "five sparse gigabytes": lambda path: sparse(path, good_png(), 5 * 2**30),
    "900 sparse megabytes": lambda path: sparse(path, good_tiff(), 900_000_000),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "link in a circle": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("nothing.png"),
    "link elsewhere": lambda path: path.symlink_to("/etc/hostname"),
    "folder": Path.mkdir,
    "socket": open_socket,
}

FINE: dict[str, Writer] = {
    "png with a packed text of 1 GB": bytes_of(
        lambda: good_png()[:33] + chunk(b"zTXt", b"k\0\0" + packed("zlib", 10**8)) * 10 + good_png()[33:]
    ),
    "tiff whose deflate goes on": bytes_of(lambda: bomb(8, "zlib")),
    "tiff whose lzw goes on": bytes_of(lambda: bomb(5, "lzw")),
    "tiff that laughs a billion times": bytes_of(lambda: ome(LAUGHS)),
    "tiff of deep xml": bytes_of(lambda: ome("<OME>" + "<a>" * 200_000 + "</OME>")),
    "tiff with 20 MB of xml": bytes_of(lambda: ome("<OME>" + "<a/>" * 5_000_000 + "</OME>")),
    "tiff of a million openings": bytes_of(lambda: ome("<OME>" + "<Pixels a='" * 1_000_000 + "</OME>")),
    "tiff of a million lines": bytes_of(lambda: good_tiff(description="ImageJ=1\n" * 1_000_000)),
    "tiff of no resolution": bytes_of(
        lambda: good_tiff(description="ImageJ=1.5\nunit=um\n", resolution=(0, 0))
    ),
}
"""Suspicious, and yet a picture: read, or refused in one line; in little time and memory either way."""
