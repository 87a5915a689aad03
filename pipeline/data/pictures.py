"""Pictures of a sample (PNG, TIFF, OME-TIFF, JPEG; 8 or 16 bit grey)."""

import io
import logging
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import RUN_AGAIN, Problem, SampleError
from pipeline.data.samples import CHANNELS, COLOURS, Sample

_TO_UM = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "inch": 25_400.0}


_BROKEN = (
    OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError,
    struct.error,
)  # fmt: skip
"""What decoders raise for damaged files: Pillow OSError, imagecodecs RuntimeError, tifffile any."""


@dataclass(frozen=True)
class Picture:
    """The four planes of one field of view.

    Attributes
    ----------
    pixels : ndarray, shape (4, height, width), float32
        Intensities in [0, 1]: the stored value over the largest its file format can hold.
        Planes are in the order of `CHANNELS`.
    pixel_size_um : float or None
        Side of a pixel in micrometres; None where unknown.
    """

    pixels: NDArray[np.float32]
    pixel_size_um: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def plane(self, channel: str) -> NDArray[np.float32]:
        """Return one channel's plane, shape (height, width)."""
        return np.asarray(self.pixels[CHANNELS.index(channel)])


class _UnusableError(Exception):
    """A file holds no usable plane: why, and the remedy."""


def read_picture(sample: Sample) -> Picture:
    """Read the four planes of a sample at full depth.

    An 8-bit value is divided by 255, a 16-bit one by 65535, so that the same scene gives the same picture at
    either depth. The pixel size is the user's, else the one an OME-TIFF or ImageJ TIFF states, else None.

    Raises
    ------
    SampleError
        If a file is missing, unreadable, not grey, of another size than the rest, or all planes are flat.
    """
    planes, sizes = zip(*(_read(sample, channel) for channel in CHANNELS), strict=True)
    first = planes[0].shape
    for channel, plane in zip(CHANNELS, planes, strict=True):
        if plane.shape != first:
            reason = f"{_size(plane.shape)}, but {COLOURS[CHANNELS[0]]} is {_size(first)}"
            raise _error(sample, channel, reason, "export all channels at one size")
    if all(plane.min() == plane.max() for plane in planes):
        raise _error(sample, "protein", "the picture is empty (all channels flat)", "export it again")
    known = [size for size in (sample.pixel_size_um, *sizes) if size]
    return Picture(np.stack(planes), known[0] if known else None)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in reversed(shape))


def _error(sample: Sample, channel: str, reason: str, remedy: str) -> SampleError:
    return SampleError(Problem(sample.id, sample.path(channel).name, reason, remedy))


def _read(sample: Sample, channel: str) -> tuple[NDArray[np.float32], float | None]:
    path = sample.path(channel)
    if not path.is_file():
        reason = f"no {COLOURS[channel]} ({channel}) picture"
        raise _error(sample, channel, reason, "add the file or leave the sample out")
    try:
        plane, pixel_size = _READERS[path.suffix.lower()](path)
        return _scale(plane), pixel_size
    except _UnusableError as cause:
        raise _error(sample, channel, *cause.args) from cause
    except MemoryError as cause:
        raise _error(sample, channel, "too little memory", f"{RUN_AGAIN} with fewer --jobs") from cause
    except _BROKEN as cause:
        if isinstance(cause, OSError) and cause.errno:
            reason = f"cannot be read now ({cause.strerror})"
            raise _error(sample, channel, reason, f"{RUN_AGAIN} when it can be read") from cause
        detail = str(cause).partition("\n")[0] or type(cause).__name__
        reason = f"unreadable or truncated ({detail})"
        raise _error(sample, channel, reason, "copy or export the file again") from cause


def _scale(plane: NDArray[np.generic]) -> NDArray[np.float32]:
    if plane.ndim != 2:
        reason = f"not one grey plane but an array of shape {plane.shape}"
        raise _UnusableError(reason, "save each channel as its own grey picture")
    if plane.dtype not in (np.uint8, np.uint16):
        raise _UnusableError(f"pixels are {plane.dtype}", "save the picture as 8- or 16-bit grey")
    if plane.size == 0:
        raise _UnusableError("the picture has no pixels", "export it again")
    top = 255 if plane.dtype == np.uint8 else 65535
    return np.asarray(plane.astype(np.float64) / top, np.float32)


def _read_png(path: Path) -> tuple[NDArray[np.generic], None]:
    import imagecodecs

    return imagecodecs.png_decode(path.read_bytes()), None


def _read_jpeg(path: Path) -> tuple[NDArray[np.generic], None]:
    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes()), formats=("JPEG",)) as picture:
        return np.asarray(picture), None


def _read_tiff(path: Path) -> tuple[NDArray[np.generic], float | None]:
    import tifffile

    # the reason of a damaged file is reported once, in problems.csv
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(path) as file:
        plane = file.series[0].asarray() if file.series else np.empty((0, 0), np.uint8)
        return np.squeeze(plane), _tiff_pixel_size(file.ome_metadata, file.imagej_metadata, file.pages)


def _ome_pixel_size(header: str) -> float | None:
    try:
        pixels = ET.fromstring(header).find("{*}Image/{*}Pixels")  # noqa: S314 - expat limits entities
    except ET.ParseError:
        return None  # the picture is fine, only its description is not: as good as none
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return None
    factor = _TO_UM.get(pixels.get("PhysicalSizeXUnit", "µm"))
    return float(pixels.attrib["PhysicalSizeX"]) * factor if factor else None


def _tiff_pixel_size(ome: str | None, imagej: dict[str, object] | None, pages: object) -> float | None:
    if ome:
        return _ome_pixel_size(ome)
    unit = str((imagej or {}).get("unit", "")).replace("\\u00B5", "µ")
    if unit in _TO_UM:
        tag = pages[0].tags.get("XResolution")  # type: ignore[index]
        if tag is not None and tag.value[0]:
            return float(tag.value[1] / tag.value[0] * _TO_UM[unit])
    return None


_READERS: dict[str, Callable[[Path], tuple[NDArray[np.generic], float | None]]] = {
    ".png": _read_png,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".jpg": _read_jpeg,
    ".jpeg": _read_jpeg,
}
