"""Small fields of cells, and files that say in a particular way what they hold."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

COLOURS = ("red", "green", "blue", "yellow")
SIDE = 112

Planes = dict[str, NDArray[np.uint8]]


def field(seed: int = 0, side: int = SIDE) -> Planes:
    """Return four planes of four cells with soft borders, each around a nucleus."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices((side, side))
    cell, nucleus = np.zeros((2, side, side))
    for row in (0.27, 0.73):
        for column in (0.27, 0.73):
            middle = side * np.array([row, column]) + generator.normal(0, 1, 2)
            distance = np.hypot(rows - middle[0], columns - middle[1])
            cell = np.maximum(cell, 1 / (1 + np.exp(distance - side / 5)))
            nucleus = np.maximum(nucleus, 1 / (1 + np.exp(2 * distance - side / 5)))
    shares = {
        "red": 80 * cell,
        "green": (30 + 40 * generator.random((side, side))) * cell,
        "blue": 150 * nucleus,
        "yellow": 60 * cell,
    }
    grain = generator.normal(6, 1, (4, side, side))
    return {
        colour: np.clip(share + noise, 0, 255).astype(np.uint8)
        for (colour, share), noise in zip(shares.items(), grain, strict=True)
    }


def write_png(folder: Path, name: str, planes: Mapping[str, NDArray[np.generic]]) -> None:
    """Write the planes as `<name>_<colour>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    for colour, plane in planes.items():
        Image.fromarray(plane).save(folder / f"{name}_{colour}.png")


def write_tiff(
    folder: Path, name: str, planes: Mapping[str, NDArray[np.generic]], ending: str = "tif", **options: object
) -> None:
    """Write the planes as TIFF, with what tifffile can be told about them."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"photometric": "minisblack"} | options
    for colour, plane in planes.items():
        tifffile.imwrite(folder / f"{name}_{colour}.{ending}", plane, **options)


def ome_header(pixels: str, channels: int = 1, data: str = "<TiffData/>", side: int = SIDE) -> bytes:
    """Return an OME header of 8-bit planes with more attributes of its pixels, in the words of the schema."""
    listed = "".join(f'<Channel ID="Channel:0:{k}" SamplesPerPixel="1"/>' for k in range(channels))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{side}" SizeY="{side}" '
        f'SizeC="{channels}" SizeZ="1" SizeT="1" {pixels}>{listed}{data}</Pixels></Image></OME>'
    ).encode()


def write_table(
    path: Path, header: Iterable[object], rows: Iterable[Iterable[object]], separator: str = ","
) -> Path:
    """Write a table in the csv dialect of a spreadsheet and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a csv table as the words that it holds."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
