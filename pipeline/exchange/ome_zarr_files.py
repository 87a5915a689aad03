"""Pictures with their cells as OME-Zarr, version 0.4 (Zarr 2): any viewer of microscope pictures opens them.

Specification: https://ngff.openmicroscopy.org/0.4/
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture

VERSION = "0.4"

SMALLEST, CHUNK = 256, 1024
"""Largest side of the last level of a pyramid, and of a chunk."""

BRIGHTEST = 99.7
"""Percentile of a channel that viewers show at full brightness."""

COLOURS = {"microtubules": "FF0000", "protein": "00FF00", "nucleus": "0000FF", "er": "FFFF00"}
"""The Human Protein Atlas' colours of the channels."""


def write_ome_zarr(path: Path, picture: Picture, segmentation: Segmentation, cells: pd.DataFrame) -> None:
    """Write one picture, and its label images below ``labels``.

    The picture has the axes c, y, x, its pixels are as they were measured (float32 in [0, 1]); every level is
    half as large as the one before. Label images are not interpolated, and carry what is known of each cell
    as properties; a number that is missing there was not measured.

    Parameters
    ----------
    cells : DataFrame
        What is known of the cells; the index is their labels.
    """
    import zarr

    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    size, name = picture.pixel_size_um, path.name.removesuffix(".ome.zarr")
    multiscales = _levels(root, picture.pixels, ("c", "y", "x"), size, name)
    channels = [_shown(picture, channel) for channel in picture.channels]
    root.attrs.update({"multiscales": multiscales, "omero": {"version": VERSION, "channels": channels}})
    labels = root.create_group("labels")
    labels.attrs["labels"] = ["cells", "nuclei"]
    for part, image in (("cells", segmentation.cells), ("nuclei", segmentation.nuclei)):
        group = labels.create_group(part)
        known = cells if part == "cells" else cells.filter(regex="^(Metadata|Nuclei)_")
        properties = [_property(int(label), row) for label, row in known.iterrows()]  # type: ignore[call-overload]
        about: dict[str, Any] = {"version": VERSION, "properties": properties, "source": {"image": "../../"}}
        multiscales = _levels(group, image, ("y", "x"), size, part)
        group.attrs.update({"multiscales": multiscales, "image-label": about})


def _levels(
    group: Any, image: NDArray[Any], axes: tuple[str, ...], size: float | None, name: str
) -> list[dict[str, Any]]:
    """Write a pyramid and return what describes it; labels are taken every other one, pixels averaged."""
    halve = _averaged if "c" in axes else _every_other
    datasets: list[dict[str, Any]] = []
    while True:
        level = len(datasets)
        array = group.create_array(
            str(level),
            shape=image.shape,
            dtype=image.dtype,
            chunks=tuple(
                1 if axis == "c" else min(CHUNK, side) for axis, side in zip(axes, image.shape, strict=True)
            ),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        array[:] = image
        datasets.append(
            {"path": str(level), "coordinateTransformations": _placed(axes, size or 1.0, 2**level)}
        )
        if max(image.shape) <= SMALLEST or min(image.shape[-2:]) < 2:
            break
        image = halve(image)
    unit = {} if size is None else {"unit": "micrometer"}
    described = [
        {"name": axis, "type": "channel"} if axis == "c" else {"name": axis, "type": "space", **unit}
        for axis in axes
    ]
    return [{"version": VERSION, "name": name, "axes": described, "datasets": datasets}]


def _placed(axes: tuple[str, ...], size: float, factor: int) -> list[dict[str, Any]]:
    """Say how large a level's pixels are, and where the middle of its first one is."""
    scale = [1.0 if axis == "c" else size * factor for axis in axes]
    middle = [0.0 if axis == "c" else size * (factor - 1) / 2 for axis in axes]
    moved = [{"type": "translation", "translation": middle}] if factor > 1 else []
    return [{"type": "scale", "scale": scale}, *moved]


def _averaged(image: NDArray[Any]) -> NDArray[Any]:
    """Average squares of four pixels; a last row or column without a partner is left out."""
    height, width = (side // 2 for side in image.shape[1:])
    squares = image[:, : 2 * height, : 2 * width].reshape(len(image), height, 2, width, 2)
    return np.asarray(squares.mean(axis=(2, 4), dtype=np.float64).astype(image.dtype))


def _every_other(image: NDArray[Any]) -> NDArray[Any]:
    height, width = (side // 2 for side in image.shape)
    return image[: 2 * height : 2, : 2 * width : 2]


def _shown(picture: Picture, channel: str) -> dict[str, Any]:
    """Say how viewers show a channel."""
    low, high = (float(value) for value in np.percentile(picture.plane(channel), (1, BRIGHTEST)))
    window = {"min": 0.0, "max": 1.0, "start": low, "end": high if high > low else 1.0}
    return {"label": channel, "color": COLOURS[channel], "active": True, "window": window}


def _property(label: int, row: pd.Series) -> dict[str, Any]:
    """Return what is known of a cell as JSON; what is missing is left out."""
    known = {str(name): value for name, value in row.items() if not pd.isna(value)}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in known.items()}
    return {"label-value": label, **plain}
