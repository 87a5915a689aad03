"""OME-Zarr folders (0.4 and 0.5; zarr 2 and 3): pictures, the fields of plates, and series."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import UnreadableError, check_pixels, max_pixels
from pipeline.formats.contents import Contents, Scene
from pipeline.formats.packed_chunks import open_store
from pipeline.formats.pixel_sizes import micrometres

if TYPE_CHECKING:
    import zarr

_CODECS = {
    "bytes", "transpose", "crc32c", "sharding_indexed", "blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma",
    "shuffle", "delta",
}  # fmt: skip
"""Ways to store a chunk that are read: none of them runs what is stored."""
_INSIDE = re.compile(r"[\w][\w .+=-]*(?:/[\w][\w .+=-]*){0,3}")
_BLOCKS = 4
"""Planes of `max_pixels` that a chunk may hold."""


def open_zarr(folder: Path) -> Contents:
    """Look at an OME-Zarr: a picture, a plate (its fields are scenes, such as ``A/1/0``), or a series.

    Raises
    ------
    UnreadableError
        If it holds no pictures of these kinds, or leads out of its folder.
    """
    import zarr

    for path in folder.rglob("*"):
        if path.is_symlink():
            name = path.relative_to(folder).as_posix()
            raise UnreadableError(f"holds a symbolic link ('{name}')", "copy the file there")
    root = zarr.open_group(open_store(folder), mode="r")
    said = _ome(root)
    if "plate" in said:
        paths = [
            f"{well}/{_path(image)}"
            for well in (_path(one) for one in said["plate"]["wells"])
            for image in _ome(_group(root, well))["well"]["images"]
        ]
    elif "multiscales" in said:
        paths = [""]
    else:
        paths = sorted((name for name in root.group_keys() if name.isdecimal()), key=int)
    if not paths:
        raise UnreadableError("holds no OME-Zarr (no multiscales, plate or series)", "export it as OME-Zarr")
    return Contents("OME-Zarr", tuple(paths), lambda number: _scene(_group(root, paths[number])))


def _ome(group: "zarr.Group") -> Mapping[str, Any]:
    """Return what OME-Zarr says of a group: below ``ome`` since version 0.5."""
    attributes = group.attrs.asdict()
    said = attributes.get("ome", attributes)
    return said if isinstance(said, Mapping) else {}


def _path(said: Mapping[str, Any]) -> str:
    path = str(said["path"])
    if not _INSIDE.fullmatch(path):
        raise UnreadableError(f"path '{path[:80]}' leaves its folder", "export it again")
    return path


def _group(root: "zarr.Group", path: str) -> "zarr.Group":
    import zarr

    found = root[path] if path else root
    if not isinstance(found, zarr.Group):
        raise UnreadableError(f"'{path}' is no group", "export it as OME-Zarr")
    return found


def _scene(group: "zarr.Group") -> Scene:
    """Return the picture of a group at its full size."""
    import zarr

    said = _ome(group)
    if "multiscales" not in said:
        raise UnreadableError("holds no OME-Zarr (no multiscales)", "export it as OME-Zarr")
    scales = said["multiscales"][0]
    level = scales["datasets"][0]
    array = group[_path(level)]
    if not isinstance(array, zarr.Array):
        raise UnreadableError("its full size is no array", "export it as OME-Zarr")
    axes = [one if isinstance(one, Mapping) else {"name": one} for one in scales.get("axes", "tczyx")]
    names = [str(one["name"]).lower() for one in axes]
    sizes = dict(zip(names, array.shape, strict=True))
    if names[-2:] != ["y", "x"] or {*names} - {*"tczyx"} or len({*names}) < len(names):
        raise UnreadableError(f"its axes are {', '.join(names)}", "export it with the axes t, c, z, y, x")
    _check(array, sizes)
    labels = said.get("omero", {}).get("channels", [])
    channels = sizes.get("c", 1)
    shown = [str(one.get("label") or "") if isinstance(one, Mapping) else "" for one in labels]
    depth = sizes.get("z", 1)
    steps = [math.prod(pair) for pair in zip(_scale(level, axes), _scale(scales, axes), strict=True)]
    x, y = (micrometres(steps[-k], str(axes[-k].get("unit") or "")) for k in (1, 2))
    return Scene(
        sizes["y"],
        sizes["x"],
        array.dtype,
        _Blocks(array, names).plane,
        tuple((*shown, *("",) * channels)[:channels]),
        depth,
        sizes.get("t", 1),
        depth,
        255 if array.dtype == np.uint8 else None,
        (x, y),
    )


def _scale(said: Mapping[str, Any], axes: list[Mapping[str, Any]]) -> list[float]:
    """Return the product of the scales of a list of transformations, for each axis."""
    found = [1.0] * len(axes)
    for one in said.get("coordinateTransformations", []):
        if one.get("type") == "scale" and "scale" in one:
            found = [size * float(step) for size, step in zip(found, one["scale"], strict=True)]
    return found


def _check(array: "zarr.Array[Any]", sizes: Mapping[str, int]) -> None:
    """Refuse arrays that hold no brightness, too large planes or chunks, and codecs that are not known."""
    check_pixels(sizes["x"], sizes["y"])
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8 or array.dtype.str[1:] in {"u8", "i8"}:
        raise UnreadableError(f"pixels are {array.dtype}", "save the picture as 8- or 16-bit grey")
    if math.prod(array.chunks) > _BLOCKS * max_pixels():
        raise UnreadableError(f"its chunks are of {array.chunks} pixels", "export it with smaller chunks")
    unknown = sorted(
        {name.removeprefix("numcodecs.") for name in _codecs(array.metadata.to_dict())} - _CODECS
    )
    if unknown:
        raise UnreadableError(f"compressed by {unknown[0]}", "export it with blosc, zstd or gzip")


def _codecs(said: object) -> list[str]:
    """Return the names of all codecs of an array's header (zarr 2: filters, compressor; 3: codecs)."""
    if isinstance(said, Mapping):
        listed = [said.get(key) for key in ("codecs", "index_codecs", "filters", "compressor")]
        own = [said[key] for key in ("id", "name") if isinstance(said.get(key), str)]
        within = _codecs(said["configuration"]) if isinstance(said.get("configuration"), Mapping) else []
        return own + within + [name for one in listed if one for name in _codecs(one)]
    if isinstance(said, list | tuple):
        return [name for one in said for name in _codecs(one)]
    return []


class _Blocks:
    """Planes of an array; the block of chunks that holds the last one is kept, as others may lie in it."""

    def __init__(self, array: "zarr.Array[Any]", names: list[str]) -> None:
        self._array, self._names = array, names
        self._key: tuple[slice, ...] = ()
        self._block: NDArray[np.generic] = np.zeros(0)
        steps = dict(zip(names, array.chunks, strict=True))
        size = math.prod(array.shape[-2:]) * math.prod(steps.get(axis, 1) for axis in "cz")
        self._steps = steps if size <= _BLOCKS * max_pixels() else {}

    def plane(self, time: int, channel: int, z: int) -> NDArray[np.generic]:
        """Return a plane, shape (height, width)."""
        place = {"t": time, "c": channel, "z": z}
        key, within = [], []
        for axis in self._names[:-2]:
            step = self._steps.get(axis, 1) if axis != "t" else 1
            start = place[axis] // step * step
            key.append(slice(start, start + step))
            within.append(place[axis] - start)
        if tuple(key) != self._key or not self._block.size:
            self._block = np.asarray(self._array[(*key, slice(None), slice(None))])
            self._key = tuple(key)
        return np.asarray(self._block[tuple(within)])
