"""One picture in every dress gives the same numbers; what is no such picture says what it is."""

import gzip
import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.core.files import MAX_PIXELS, UnreadableError
from pipeline.formats.sources import Source
from tests.pipeline.planes import read_plane

PLANE = np.random.default_rng(0).integers(0, 200, (24, 32)).astype(np.uint8)
PLANE[4:20, 6:26] += 50
EXPECTED = (PLANE / 255).astype(np.float32)
ZERO = np.zeros_like(PLANE)
DEEP = PLANE.astype(np.uint16) * 257


def plane_of(path: Path, colour: str = "green") -> np.ndarray:
    return read_plane(Source((path,)), colour)[0]


def tiff(path: Path, values: np.ndarray = PLANE, **options) -> None:
    tifffile.imwrite(path, values, **{"photometric": "minisblack", "metadata": None} | options)


def png(path: Path, values: np.ndarray) -> None:
    path.write_bytes(imagecodecs.png_encode(values))


def with_pages(path: Path, *pages: tuple[np.ndarray, dict]) -> None:
    with tifffile.TiffWriter(path) as file:
        for values, options in pages:
            file.write(values, **{"photometric": "minisblack", "metadata": None} | options)


def ramp(step: int) -> np.ndarray:
    return np.tile(np.arange(256, dtype=np.uint16) * step, (3, 1))


OTHER_FILES = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels DimensionOrder="XYCZT" '
    'Type="uint8" SizeX="32" SizeY="24" SizeC="4" SizeZ="1" SizeT="1"><TiffData FirstC="1" IFD="0">'
    '<UUID FileName="elsewhere.ome.tif">urn:uuid:0</UUID></TiffData></Pixels></Image></OME>'
)

SAME = {
    "grey PNG": lambda path: png(path, PLANE),
    "16-bit PNG": lambda path: png(path, DEEP),
    "grey PNG of red, green and blue": lambda path: png(path, np.stack([PLANE] * 3, -1)),
    "16-bit PNG of red, green and blue": lambda path: png(path, np.stack([DEEP] * 3, -1)),
    "grey PNG with opaque alpha": lambda path: png(path, np.stack([PLANE, ZERO + 255], -1)),
    "PNG with opaque alpha": lambda path: png(path, np.stack([PLANE] * 3 + [ZERO + 255], -1)),
    "PNG with a grey palette": lambda path: Image.fromarray(PLANE).convert("P").save(path, "PNG"),
    "PNG in the stain's colour": lambda path: png(path, np.stack([ZERO, PLANE, ZERO], -1)),
    "plain TIFF": tiff,
    "big-endian TIFF": lambda path: tiff(path, DEEP, byteorder=">"),
    "BigTIFF": lambda path: tiff(path, bigtiff=True),
    "white is 0": lambda path: tiff(path, 255 - PLANE, photometric="miniswhite"),
    "white is 0, 16 bits, LZW": lambda path: tiff(
        path, 65535 - DEEP, photometric="miniswhite", compression="lzw", predictor=True
    ),
    "tiles": lambda path: tiff(path, tile=(16, 16), compression="zlib"),
    "strips": lambda path: tiff(path, rowsperstrip=5, compression="packbits"),
    "grey palette": lambda path: tiff(path, photometric="palette", colormap=ramp(257)),
    "grey palette moved up by 8 bits": lambda path: tiff(path, photometric="palette", colormap=ramp(256)),
    "palette of the stain's colour": lambda path: tiff(
        path, photometric="palette", colormap=ramp(257) * np.array([[0], [1], [0]], np.uint16)
    ),
    "RGB": lambda path: tiff(path, np.stack([PLANE] * 3, -1), photometric="rgb"),
    "RGB in planes": lambda path: tiff(
        path, np.stack([ZERO, PLANE, ZERO]), photometric="rgb", planarconfig=2
    ),
    "a page of a set": lambda path: tiff(path, description=OTHER_FILES),
    "reduced copies": lambda path: with_pages(
        path, (PLANE[::4, ::4], {"subfiletype": 1}), (PLANE, {}), (PLANE[::2, ::2], {"subfiletype": 1})
    ),
    "reduced copies below a page": lambda path: with_pages(
        path, (PLANE, {"subifds": 1}), (PLANE[::2, ::2], {"subfiletype": 1})
    ),
    "a thumbnail above the picture": lambda path: with_pages(
        path, (PLANE[::2, ::2], {"subifds": 1, "subfiletype": 1}), (PLANE, {})
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_one_picture_in_any_dress_has_the_same_numbers(tmp_path, kind):
    for ending in (".png", ".tif", ".jpg"):  # the content counts, not the ending
        SAME[kind](tmp_path / f"a{ending}")
        np.testing.assert_array_equal(plane_of(tmp_path / f"a{ending}"), EXPECTED)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits_spans_the_whole_range(tmp_path, bits):
    top = 2**bits - 1
    values = np.arange(32, dtype=np.uint8).reshape(4, 8) % (top + 1)
    rows = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:].reshape(4, -1), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 8, 4, bits, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    np.testing.assert_array_equal(plane_of(tmp_path / "a.png"), (values / top).astype(np.float32))


@pytest.mark.parametrize("bits", [1, 4, 10, 12, 14])
def test_tiff_values_are_shares_of_the_bits_that_the_file_states(tmp_path, bits):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) % 2**bits
    if bits == 1:
        tiff(tmp_path / "a.tif", values.astype(bool))
    else:
        tiff(tmp_path / "a.tif", values.astype(np.uint8 if bits < 8 else np.uint16), bitspersample=bits)
    np.testing.assert_array_equal(plane_of(tmp_path / "a.tif"), (values / (2**bits - 1)).astype(np.float32))


@pytest.mark.parametrize(("stated", "top"), [("", 65535), ("12", 4095), ("16", 65535), ("?", 65535)])
def test_a_camera_of_12_bits_counts_only_where_the_header_says_so(tmp_path, stated, top):
    text = OTHER_FILES.replace("<Pixels", f'<Pixels SignificantBits="{stated}"')
    values = PLANE.astype(np.uint16) * 16
    tiff(tmp_path / "a.tif", values, description=text)
    np.testing.assert_array_equal(plane_of(tmp_path / "a.tif"), (values / top).astype(np.float32))
    tiff(tmp_path / "a.tif", values + 4000, description=text)
    if top == 4095:
        with pytest.raises(UnreadableError, match="holds the value 7984, but its header says that 4095"):
            plane_of(tmp_path / "a.tif")


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("bright", [1.0, 0.04])
@pytest.mark.parametrize("colour", ["red", "green", "blue", "yellow"])
def test_a_jpeg_in_the_colour_of_its_stain_gives_that_colour(tmp_path, colour, bright, quality):
    plane = (PLANE * bright).astype(np.uint8)
    shown = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}[colour]
    picture = np.repeat(np.repeat(plane[..., None] * np.array(shown, np.uint8), 8, 0), 8, 1)
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=quality)
    decoded = np.asarray(Image.open(tmp_path / "a.jpg")) / 255
    own = decoded[..., np.array(shown, bool)].mean(-1)
    np.testing.assert_allclose(plane_of(tmp_path / "a.jpg", colour), own, atol=1e-6)


def many_scans(path):
    """Write a progressive JPEG whose last scan is there again and again."""
    Image.new("L", (64, 64)).save(path, "JPEG", progressive=True)
    content = path.read_bytes()
    last = content[content.rfind(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + 200 * last + b"\xff\xd9")


REFUSED = {
    "is empty": lambda path: path.write_bytes(b""),
    "is empty ": lambda path: path.write_bytes(b"\0" * 5000),
    "holds a web page (HTML), not a PNG, TIFF or JPEG": lambda path: path.write_text("\n <!DOCTYPE html><p>"),
    "holds a zip archive": lambda path: path.write_bytes(b"PK\3\4" + b"x" * 50),
    "unreadable or truncated gzip archive": lambda path: path.write_bytes(b"\x1f\x8b" + b"x" * 50),
    "holds a gzip archive of no TIFF": lambda path: path.write_bytes(gzip.compress(b"a picture")),
    "holds a PDF document": lambda path: path.write_bytes(b"%PDF-1.4"),
    "holds a pointer of Git LFS": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"),
    "holds nothing like a PNG, TIFF or JPEG": lambda path: path.write_text("not a picture"),
    "unreadable or truncated PNG": lambda path: path.write_bytes(imagecodecs.png_encode(PLANE)[:-50]),
    "unreadable or truncated TIFF": lambda path: path.write_bytes(b"II*\0\x08"),
    "unreadable or truncated JPEG": lambda path: path.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF"),
    "neither grey nor green alone": lambda path: png(path, np.stack([PLANE, PLANE[::-1], ZERO], -1)),
    "(red 0.545, green 0.0, blue 0.0)": lambda path: png(path, np.stack([PLANE, ZERO, ZERO], -1)),
    "some pixels are transparent": lambda path: png(path, np.stack([PLANE, PLANE], -1)),
    "in colours": lambda path: tiff(
        path, photometric="palette", colormap=np.random.default_rng(0).integers(0, 65535, (3, 256), np.uint16)
    ),
    "holds 2 pictures (8×6, 32×24), not one": lambda path: with_pages(
        path, (PLANE[::4, ::4], {}), (PLANE, {})
    ),
    "holds 4 pictures (0, 1, 2, 3)": lambda path: tiff(path, np.stack([PLANE] * 4)),
    "holds 0 pictures": lambda path: with_pages(path, (PLANE, {"subfiletype": 1})),
    "holds 5 pictures (0, 1, 2, 3, 4)": lambda path: tiff(
        path, np.stack([PLANE] * 5), metadata={}, truncate=True
    ),
    "holds 4 channels (0, 1, 2, 3)": lambda path: tiff(
        path, np.stack([PLANE] * 4, -1), planarconfig="contig"
    ),
    "holds 3 channels (0, 1, 2)": lambda path: tiff(path, np.stack([PLANE] * 3, -1), planarconfig="contig"),
    "floating-point values whose range is not known": lambda path: tiff(path, EXPECTED),
    "holds the value -1": lambda path: tiff(path, PLANE.astype(np.int16) - 1 - PLANE.min()),
    "holds the value 65536, but at most 65535": lambda path: tiff(
        path, PLANE.astype(np.uint32) - PLANE.max() + 65536
    ),
    "pixels are complex64": lambda path: tiff(path, PLANE.astype(np.complex64)),
    "colours are stored as SEPARATED": lambda path: tiff(
        path, np.stack([PLANE] * 4, -1), photometric="separated"
    ),
    "compressed by JPEG": lambda path: tiff(path, compression="jpeg"),
    "the JPEG has more than 200 scans": many_scans,
    "cut into more than 100,000 strips": lambda path: tifffile.imwrite(
        path, np.zeros((100_001, 1), np.uint8), rowsperstrip=1, metadata=None, photometric="minisblack"
    ),
    "colours are stored as CMYK": lambda path: Image.new("CMYK", (9, 9)).save(path, "JPEG"),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_one_grey_picture_says_what_it_is(tmp_path, reason):
    path = tmp_path / "a_green.png"
    REFUSED[reason](path)
    with pytest.raises(UnreadableError) as caught:
        plane_of(path)
    assert reason.strip() in caught.value.reason
    assert caught.value.remedy
    assert not any(part in caught.value.reason for part in ("<", "0x", "\n"))


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "lzw", "tile": (16, 16)}])
def test_a_tiff_cut_short_is_never_filled_up_with_zeros(tmp_path, options):
    tiff(tmp_path / "a.tif", **options)
    content = (tmp_path / "a.tif").read_bytes()
    for size in range(0, len(content) - 1, 7):
        (tmp_path / "a.tif").write_bytes(content[:size])
        with pytest.raises(UnreadableError):
            plane_of(tmp_path / "a.tif")


def test_the_limit_of_pixels_is_stated_and_can_be_raised(tmp_path, monkeypatch):
    buffer = io.BytesIO()
    Image.fromarray(PLANE).save(buffer, "JPEG")
    for name, write in {"a.png": lambda path: png(path, PLANE), "a.tif": tiff}.items():
        write(tmp_path / name)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    for name in ("a.png", "a.tif", "a.jpg"):
        monkeypatch.setenv(MAX_PIXELS, "767")
        with pytest.raises(UnreadableError, match=r"32×24 pixels, more than 767; .*set to allow more"):
            plane_of(tmp_path / name)
        monkeypatch.setenv(MAX_PIXELS, "768")
        assert plane_of(tmp_path / name).shape == (24, 32)
