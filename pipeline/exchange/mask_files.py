"""Label images out of a file of masks: TIFF, PNG, NumPy, Cellpose, GeoJSON, regions of interest of ImageJ."""

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected_pieces

from pipeline.core.files import UnreadableError, check_bytes, check_pixels, check_readable
from pipeline.core.names import counted
from pipeline.data.masks import HIGHEST, read_pages, without_gaps
from pipeline.exchange import cellpose_files, polygons

Shows = Literal["cells", "nuclei"]
Values = Literal["labels", "pieces"]
Integers = NDArray[np.integer[Any]]
Layers = dict[str, Integers]
"""Label images by what they show: "cells", "nuclei" or both."""

SMALLEST_PIECE = 12
"""Pieces of fewer pixels are debris where pieces are taken for objects, as in our own segmentation."""
_PIECE = 0.1
"""Share of a label's largest piece from which another one counts as an object of its own."""
_REMEDY = "save labels as grey TIFF or PNG of 16 bits: 0 background, one number for each object"
_AGAIN = "save it again"


def layers_in(path: Path) -> int:
    """Return how many label images a file seems to hold, by a cheap look; 1 where it cannot be told."""
    kind = path.suffix.lower()
    try:
        if kind in (".tif", ".tiff"):
            import tifffile

            logging.getLogger("tifffile").setLevel(logging.CRITICAL)
            with tifffile.TiffFile(path) as file:
                first = file.pages.first.shape
                return len(list(islice(file.pages, 3))) if len(first) == 2 else first[0]
        if kind == ".npy":
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
            return shape[0] if len(shape) == 3 else 1
    except Exception:  # noqa: BLE001 - what is wrong with it is said where it is read
        return 1
    return 2 if kind in (".geojson", ".json") and b'"nucleusGeometry"' in path.read_bytes() else 1


def read_layers(
    path: Path, shows: Shows, shape: tuple[int, int], values: Values | None
) -> tuple[Layers, int]:
    """Read the label images of a file, and how many outlines enclose no pixel.

    Parameters
    ----------
    path : Path
    shows : str
        What it shows where it holds one label image; two are cells and nuclei.
    shape : (int, int)
        Height and width of the picture.
    values : str or None
        "labels": a number is an object. "pieces": each connected piece is one. None: numbers are, and masks
        in which that cannot be are refused.

    Raises
    ------
    UnreadableError
        If it cannot be taken.
    OSError
        If the system does not let it be read.
    """
    check_readable(path)
    if path.suffix.lower() in OUTLINES:
        return _drawn(path, shows, shape)
    with warnings.catch_warnings(action="ignore"):  # what is wrong is said once, as the problem of the sample
        planes = PLANES[path.suffix.lower()](path)
    names = ("cells", "nuclei") if len(planes) == 2 else (shows,)
    if len(planes) > 2 or any(plane.ndim != 2 for plane in planes):
        raise UnreadableError("is neither one plane of labels nor two (cells, nuclei)", _REMEDY)
    return {
        name: _objects(_whole(plane, shape), values) for name, plane in zip(names, planes, strict=True)
    }, 0


def _tiff(path: Path) -> Sequence[NDArray[Any]]:
    try:
        pages, _ = read_pages(path)
    except UnreadableError as error:
        raise UnreadableError(error.reason, _AGAIN) from error
    return list(pages[0]) if len(pages) == 1 and pages[0].ndim == 3 else pages


def _png(path: Path) -> Sequence[NDArray[Any]]:
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            check_pixels(picture.width, picture.height)
            plane = np.asarray(picture)  # of a palette, the numbers of its colours
    except UnreadableError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        if isinstance(error, OSError) and error.errno:
            raise
        raise UnreadableError("is no PNG, or damaged", _AGAIN) from error
    if plane.ndim == 3 and (plane != plane[..., :1]).any():
        raise UnreadableError("is in colours, or transparent", _REMEDY)
    return [plane[..., 0] if plane.ndim == 3 else plane]


def _numpy(path: Path) -> Sequence[NDArray[Any]]:
    content = path.read_bytes()
    try:
        if b"'|O'" in content[:256]:  # a pickle behind the header, which is one line
            return [cellpose_files.read_masks(content[content.index(b"\n", 10) + 1 :])]
        values = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(values, np.lib.npyio.NpzFile):
            check_bytes(sum(one.file_size for one in values.zip.infolist()), "the archive")
            (name,) = values.files  # of one array
            values = values[name]
    except UnreadableError:
        raise
    except Exception as error:  # whatever damaged headers and archives lead to
        raise UnreadableError("is no single array of NumPy, or damaged", _AGAIN) from error
    return list(values) if values.ndim == 3 else [values]


PLANES: dict[str, Callable[[Path], Sequence[NDArray[Any]]]] = {
    ".tif": _tiff,
    ".tiff": _tiff,
    ".png": _png,
    ".npy": _numpy,
    ".npz": _numpy,
}
OUTLINES = (".geojson", ".json", ".roi", ".zip")


def _drawn(path: Path, shows: Shows, shape: tuple[int, int]) -> tuple[Layers, int]:
    outlines = polygons.read_outlines(path)
    layers: Layers = {"cells" if outlines.nuclei else shows: polygons.draw(outlines.objects, shape)}
    if outlines.nuclei:
        layers["nuclei"] = polygons.draw(outlines.nuclei, shape)
    drawn = np.count_nonzero(np.unique(next(iter(layers.values()))))
    return layers, len(outlines.objects) - drawn


def _whole(plane: NDArray[Any], shape: tuple[int, int]) -> Integers:
    """Return whole numbers of the picture's size."""
    if plane.shape != shape:
        sizes = ["×".join(map(str, reversed(size))) for size in (plane.shape, shape)]
        remedy = "give the mask at the size of its picture, enlarged or reduced without interpolation"
        raise UnreadableError(f"is {sizes[0]}, its picture {sizes[1]}", remedy)
    if plane.dtype.kind not in "buif":
        raise UnreadableError(f"its values are {plane.dtype}", _REMEDY)
    low, high = (float(plane.min()), float(plane.max())) if plane.size else (0.0, 0.0)
    if not 0 <= low <= high <= HIGHEST or (plane.dtype.kind == "f" and (plane % 1).any()):
        raise UnreadableError(f"its values, {low:g} to {high:g}, are no labels", _REMEDY)
    return plane.astype(np.uint32)


def _objects(labels: Integers, values: Values | None) -> Integers:
    """Return one number for each object; see `read_layers`."""
    if values == "labels" or not labels.any():
        return labels
    numbers, (small,) = without_gaps(labels)
    pieces = connected_pieces(small, connectivity=1 if values else 2)
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    if values == "pieces":
        if len(numbers) > 2:
            reason = f"holds {len(numbers) - 1} numbers, so it is not binary"
            raise UnreadableError(reason, "leave --masks-hold pieces away: each number is an object")
        return np.where((areas >= SMALLEST_PIECE)[pieces], pieces, 0)
    owner = np.zeros(len(areas), np.int64)
    owner[pieces.ravel()] = small.ravel()
    largest = np.zeros(len(numbers), np.int64)
    np.maximum.at(largest, owner, areas)
    parts = np.bincount(owner[areas >= np.maximum(SMALLEST_PIECE, _PIECE * largest[owner])])
    several = np.count_nonzero(parts[1:] > 1)
    if 2 * several >= len(numbers) - 1:
        known = counted(len(numbers) - 1, "number")
        reason = f"{several} of its {known} lie in several pieces, as in a binary mask"
        remedy = "give each object its own number; or say what numbers are: --masks-hold pieces (or labels)"
        raise UnreadableError(reason, remedy)
    return labels
