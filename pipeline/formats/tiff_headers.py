"""What the pages of a TIFF are: as OME, Micro-Manager, ImageJ, MetaMorph or tifffile say in their headers."""

import html
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from pipeline.core.files import UnreadableError
from pipeline.formats.pixel_sizes import Sides, micrometres

if TYPE_CHECKING:
    from tifffile import TiffPage

MOST_PAGES = 10_000
"""Pages, or planes, of one file."""

Place = tuple[int, int, int]
"""Time point, channel and depth of a plane, each from 0."""

_TAGS = re.compile(r"<(?:\w+:)?(OME|Image|Pixels|Channel|TiffData|UUID)\b([^<>]*)>(?:([^<>]*)</)?")
_ATTRIBUTES = re.compile(r"([\w:]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_POSITION = re.compile(r"^(?:[czt]:\d+/\d+[\s;,-]*)+", re.IGNORECASE)
"""How ImageJ begins the label of a plane: "c:1/4 z:2/5 - DAPI"."""
_MICRO_MANAGER, _IMAGEJ = 51123, 50839
"""Tags with JSON of Micro-Manager, and with the labels of ImageJ."""


@dataclass
class Arrangement:
    """One picture of a file: which page shows which plane.

    Attributes
    ----------
    pages : dict of Place to int
        Numbers of pages, or of planes that lie one behind the other where `is_packed`.
    name : str
    channels : tuple of str
        Names, "" of those without one.
    planes : int
        Planes of the z-stack in all files of a set.
    bits : int or None
        Bits that are used of each value.
    sides : Sides
    is_packed : bool
        Whether the first page is followed by all planes, without pages of their own.
    is_unknown : bool
        Whether nothing says what the pages are; they are listed as channels.
    """

    pages: dict[Place, int]
    name: str = ""
    channels: tuple[str, ...] = ("",)
    planes: int = 1
    bits: int | None = None
    sides: Sides = (None, None)
    is_packed: bool = False
    is_unknown: bool = False

    @property
    def size(self) -> Place:
        """Time points, channels and planes of the z-stack."""
        times, channels, depths = (1 + max(axis) for axis in zip(*self.pages, strict=True))
        return times, channels, depths


def arrangements(pages: "Sequence[TiffPage]", name: str) -> list[Arrangement]:
    """Return what the pages of a file's main chain show; nothing where no header says it.

    Parameters
    ----------
    pages : sequence of TiffPage
    name : str
        The file's own name, by which an OME header that describes a set of files knows it.
    """
    found = _of_ome(pages, name)
    if not found:
        found = _of_micro_manager(pages)
    if not found:
        one = _of_imagej(pages) or _of_shape(pages) or _of_metamorph(pages)
        found = [one] if one else []
    return found


def stated(page: "TiffPage") -> tuple[int | None, Sides]:
    """Return the bits that are used of each value, and the sides of a pixel, as far as a page says them."""
    size = [str(page.imagewidth), str(page.imagelength)]
    pixels = [
        one.pixels
        for one in _ome_images(page.description)
        if [one.pixels.get("SizeX"), one.pixels.get("SizeY")] in (size, [None] * 2)
    ]  # a header of other sizes came along when the picture was enlarged or reduced
    bits, sides = _same([_bits(one) for one in pixels]), _same([_sides(one) for one in pixels])
    manager = _micro_manager(page)
    side = micrometres(manager.get("PixelSizeUm"))
    depth = manager.get("BitDepth")
    bits = bits or (depth if isinstance(depth, int) and depth > 0 else None)
    for known in (sides, _imagej_sides(page), (side, side), _metaseries_sides(page)):
        if known and any(known):
            return bits, known
    return bits, (None, None)


def _same(found: list[Any]) -> Any:
    """Return what is stated everywhere alike, if anything is."""
    return found[0] if found and all(one == found[0] for one in found) else None


# ---- OME


@dataclass
class _Image:
    """An element Image of an OME header: attributes, and the attributes of what lies in it."""

    attributes: dict[str, str]
    pixels: dict[str, str] = field(default_factory=dict)
    channels: list[dict[str, str]] = field(default_factory=list)
    data: list[tuple[dict[str, str], str, str]] = field(default_factory=list)
    """Of every TiffData its attributes, and the name and identity of the file that it lies in."""


def _ome_images(text: str) -> list[_Image]:
    """Return the pictures of an OME header, however long or broken the rest is; () where it is none."""
    images: list[_Image] = []
    for name, attributes, content in _elements(text):
        if name == "Image" or (name == "Pixels" and (not images or images[-1].pixels)):
            images.append(_Image(attributes if name == "Image" else {}))
        if name == "Pixels":
            images[-1].pixels = attributes
        elif images and name == "Channel":
            images[-1].channels.append(attributes)
        elif images and name == "TiffData":
            images[-1].data.append((attributes, "", ""))
        elif images and name == "UUID" and images[-1].data:
            images[-1].data[-1] = images[-1].data[-1][0], attributes.get("FileName", ""), content.strip()
    return images


def _elements(text: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """Find elements in their order, each with its attributes and the text behind it, without a parser."""
    if not text.rstrip().endswith("OME>"):
        return
    for found in _TAGS.finditer(text):
        pairs = _ATTRIBUTES.findall(found[2])
        yield found[1], {name: html.unescape(one or other) for name, one, other in pairs}, found[3] or ""


def ome_files(text: str) -> list[str]:
    """Return the names of the files that the header of an OME set names, each once."""
    names = (name for one in _ome_images(text) for _, name, _ in one.data)
    return list(dict.fromkeys(filter(None, names)))


def _of_ome(pages: "Sequence[TiffPage]", name: str) -> list[Arrangement]:
    text = pages[0].description if pages else ""
    identity = next((one.get("UUID", "") for kind, one, _ in _elements(text) if kind == "OME"), "")
    found, start = [], 0
    for number, image in enumerate(_ome_images(text)):
        blocks = [
            block
            for block, file, key in image.data
            if not (file or key) or file.rsplit("/")[-1] == name or (key and key == identity)
        ]
        places = _ome_places(image, blocks or ([] if image.data else [{"IFD": str(start)}]), len(pages))
        start += len(places)
        if not places:
            continue
        shape = pages[next(iter(places.values()))]
        stated_size = (image.pixels.get("SizeX"), image.pixels.get("SizeY"))
        if stated_size not in ((str(shape.imagewidth), str(shape.imagelength)), (None, None)):
            return []
        names = [one.get("Name", "") for one in image.channels]
        kept, channels = _without_gaps(places)
        found.append(
            Arrangement(
                kept,
                image.attributes.get("Name") or image.attributes.get("ID") or str(number),
                tuple(names[channel] if channel < len(names) else "" for channel in channels),
                _count(image.pixels, "SizeZ"),
                _bits(image.pixels),
                _sides(image.pixels),
            )
        )
    shown = [page for one in found for page in one.pages.values()]
    return found if len({*shown}) == len(shown) else []  # one page is not two planes


def _ome_places(image: _Image, blocks: list[dict[str, str]], most: int) -> dict[Place, int]:
    """Return the page of every plane, as the blocks of an OME header list them; at most so many pages."""
    sizes = {"Z": _count(image.pixels, "SizeZ"), "T": _count(image.pixels, "SizeT")}
    sizes["C"] = len(image.channels) or _count(image.pixels, "SizeC")
    order = image.pixels.get("DimensionOrder", "XYCZT")[2:]
    if sorted(order) != ["C", "T", "Z"]:
        order = "CZT"
    places: dict[Place, int] = {}
    for block in blocks:
        page = _number(block.get("IFD"), 0)
        whole = sizes["C"] * sizes["Z"] * sizes["T"]
        count = _number(block.get("PlaneCount"), 1 if "IFD" in block and "FirstC" in block else whole)
        if "IFD" in block and "PlaneCount" not in block and len(blocks) > 1:
            count = 1
        plane = 0
        for axis in reversed(order):
            plane = plane * sizes[axis] + _number(block.get(f"First{axis}"), 0)
        for step in range(min(count, most - page, whole - plane)):
            at, rest = {}, plane + step
            for axis in order:
                rest, at[axis] = divmod(rest, sizes[axis])
            places[at["T"], at["C"], at["Z"]] = page + step
    return places


def _without_gaps(places: dict[Place, int]) -> tuple[dict[Place, int], list[int]]:
    """Return places numbered from 0 as far as the file has them, and the numbers of its channels."""
    axes = [sorted({place[axis] for place in places}) for axis in range(3)]
    ranks = [{value: rank for rank, value in enumerate(values)} for values in axes]
    kept = {(ranks[0][t], ranks[1][c], ranks[2][z]): page for (t, c, z), page in places.items()}
    return kept, axes[1]


def _number(text: str | None, default: int) -> int:
    return int(text[:18]) if text and text.isdecimal() else default


def _count(stated: Mapping[str, str], name: str) -> int:
    return max(1, _number(stated.get(name), 1))


def _bits(pixels: Mapping[str, str]) -> int | None:
    return _number(pixels.get("SignificantBits"), 0) or None


def _sides(pixels: Mapping[str, str]) -> Sides:
    x, y = (
        micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "XY"
    )
    return x, y


# ---- Micro-Manager


def _micro_manager(page: "TiffPage") -> Mapping[str, Any]:
    """Return what Micro-Manager says of a page."""
    value = page.tags[_MICRO_MANAGER].value if _MICRO_MANAGER in page.tags else {}
    return value if isinstance(value, dict) else {}


def _of_micro_manager(pages: "Sequence[TiffPage]") -> list[Arrangement]:
    """Return one picture for each position of the stage."""
    said = [_micro_manager(page) for page in pages]
    names = ("PositionIndex", "FrameIndex", "ChannelIndex", "SliceIndex")
    found = [tuple(one.get(name, 0) for name in names) for one in said]
    known = all("ChannelIndex" in one for one in said) and len(pages) > 1
    if not known or any(not isinstance(index, int) for place in found for index in place):
        return []
    labels = {one["ChannelIndex"]: str(one.get("Channel") or one.get("ChannelName") or "") for one in said}
    bits, sides = stated(pages[0])
    positions: defaultdict[int, dict[Place, int]] = defaultdict(dict)
    for page, (position, *place) in enumerate(found):
        positions[position][place[0], place[1], place[2]] = page
    arranged = []
    for position in sorted(positions):
        places, channels = _without_gaps(positions[position])
        shown = tuple(labels[channel] for channel in channels)
        one = Arrangement(places, f"{position}" * (len(positions) > 1), shown, 1, bits, sides)
        one.planes = one.size[2]
        arranged.append(one)
    return arranged


# ---- ImageJ


def _imagej(page: "TiffPage") -> dict[str, str]:
    """Return the lines of the header that ImageJ writes."""
    if not page.description.startswith("ImageJ="):
        return {}
    return dict(line.split("=", 1) for line in page.description.splitlines() if "=" in line)


def _of_imagej(pages: "Sequence[TiffPage]") -> Arrangement | None:
    lines = _imagej(pages[0]) if pages else {}
    count = _count(lines, "images")
    if count == 1 or len(pages) not in (1, count):
        return None
    _check_count(count)
    sizes = [_count(lines, axis) for axis in ("frames", "slices", "channels")]
    bits, sides = stated(pages[0])
    is_packed = len(pages) == 1
    if sizes[0] * sizes[1] * sizes[2] != count:
        return unknown_pages(count, is_packed, bits, sides)
    order = product(*(range(size) for size in sizes))
    places = {(time, channel, z): plane for plane, (time, z, channel) in enumerate(order)}
    return Arrangement(places, "", _imagej_names(pages[0], sizes[2]), sizes[1], bits, sides, is_packed)


def _imagej_names(page: "TiffPage", channels: int) -> tuple[str, ...]:
    """Return the labels of the first planes, one of each channel, where they differ."""
    value = page.tags[_IMAGEJ].value if _IMAGEJ in page.tags else {}
    labels = value.get("Labels", []) if isinstance(value, dict) else []
    names = [_POSITION.sub("", str(label)).strip() for label in labels[:channels]]
    return tuple(names) if len({*names}) == channels else ("",) * channels


def _imagej_sides(page: "TiffPage") -> Sides:
    """Return the size of a pixel that ImageJ states: a resolution, and its unit in the description."""
    lines = _imagej(page)
    if not lines:
        return None, None
    unit = lines.get("unit", "")
    return _resolved(page, 282, unit), _resolved(page, 283, lines.get("yunit", unit))


def _resolved(page: "TiffPage", code: int, unit: str) -> float | None:
    pixels, length = page.tags[code].value if code in page.tags else (0, 1)
    return micrometres(length / pixels, unit) if pixels else None


# ---- MetaMorph and tifffile


def _metaseries_sides(page: "TiffPage") -> Sides:
    """Return the size of a pixel in the header of MetaMorph, which ImageXpress writes too."""
    found = dict(
        re.findall(
            r'<prop id="(spatial-calibration-[a-z]+)"[^<>]{0,80}\bvalue="([^"<>]{0,40})"', page.description
        )
    )
    if found.get("spatial-calibration-state", "on") == "off":
        return None, None
    unit = found.get("spatial-calibration-units", "")
    x, y = (micrometres(found.get(f"spatial-calibration-{axis}"), unit) for axis in "xy")
    return x, y


def _of_metamorph(pages: "Sequence[TiffPage]") -> Arrangement | None:
    if len(pages) != 1 or not pages[0].is_stk or pages[0].tags["UIC2tag"].count < 2:
        return None
    _check_count(pages[0].tags["UIC2tag"].count)
    return unknown_pages(pages[0].tags["UIC2tag"].count, True, *stated(pages[0]))


def _of_shape(pages: "Sequence[TiffPage]") -> Arrangement | None:
    """Return what tifffile writes: a shape, and perhaps the letters of its axes."""
    said = re.match(
        r'\{"shape": \[([\d, ]+)\](?:.{0,200}"axes": "([A-Z]+)")?', pages[0].description if pages else ""
    )
    if not said:
        return None
    shape = [int(side) for side in said[1].split(",")]
    outer, count = shape[: -pages[0].ndim], math.prod(shape[: -pages[0].ndim])
    if count < 2 or len(pages) not in (1, count):
        return None
    _check_count(count)
    is_packed, (bits, sides) = len(pages) == 1, stated(pages[0])
    axes = (said[2] or "")[: len(outer)]
    if len(axes) < len(outer) or len({*axes}) < len(axes) or {*axes} - {*"TCZ"}:
        return unknown_pages(count, is_packed, bits, sides)
    places: dict[Place, int] = {}
    for number, at in enumerate(product(*map(range, outer))):
        where = dict(zip(axes, at, strict=True))
        places[where.get("T", 0), where.get("C", 0), where.get("Z", 0)] = number
    one = Arrangement(places, bits=bits, sides=sides, is_packed=is_packed)
    _, channels, one.planes = one.size
    one.channels = ("",) * channels
    return one


def _check_count(planes: int) -> None:
    if planes > MOST_PAGES:
        raise UnreadableError(f"the file holds more than {MOST_PAGES:,} pages", "split it")


def unknown_pages(count: int, is_packed: bool, bits: int | None, sides: Sides) -> Arrangement:
    """Return pages of which nothing says what they are, as channels."""
    places = {(0, channel, 0): channel for channel in range(count)}
    return Arrangement(places, "", ("",) * count, 1, bits, sides, is_packed, is_unknown=True)
