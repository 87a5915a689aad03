"""Arrays in memory as pictures, read by the rules for files that say nothing of themselves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, Problem, SampleError
from pipeline.core.files import UnreadableError, check_pixels
from pipeline.core.names import unknown
from pipeline.data.layouts import CHANNEL_OF, CHANNELS, Layout
from pipeline.data.pictures import Picture
from pipeline.formats.pixel_sizes import agreed_size
from pipeline.formats.plane_reader import shares
from pipeline.formats.ranges import white
from pipeline.formats.sources import Kind, Reading

_BYTE = 255


def picture_of(
    pixels: NDArray[Any], channels: Sequence[str], pixel_size_um: float | None, layout: Layout, name: str
) -> Picture:
    """Return an array as a picture, as if it were read from TIFF files, one per plane.

    Parameters
    ----------
    pixels : ndarray, shape (channels, height, width)
        Whole numbers or floating-point ones. Of 8 bits, 255 is white; of others, what the layout says, else
        the smallest of 255, 4095 and 65535 (of floating-point numbers, also 1) that holds them all.
    channels : sequence of str
        What the planes show: names of `CHANNELS`, or the colours of the Human Protein Atlas.
    pixel_size_um : float or None
        Side of a pixel in micrometres.
    layout : Layout
        How values are read, and which channels are used.
    name : str
        What the picture is called where something is wrong with it.

    Raises
    ------
    PipelineError
        If it is no array of these channels.
    SampleError
        If its values cannot be used.
    """
    planes = _by_channel(pixels, channels)
    used = {channel: planes[channel] for channel in CHANNELS if channel in planes and channel in layout.used}
    if "protein" not in used:
        raise SampleError(Problem(name, "channels", "no plane of protein", "give the plane of the protein"))
    first = planes[next(iter(used))]
    try:
        check_pixels(first.shape[1], first.shape[0])
        reading, stated = _reading(list(used.values()), layout)
        read = np.stack([shares(plane, plane.dtype, stated, reading) for plane in used.values()])
        size = agreed_size(pixel_size_um, {}) or agreed_size(reading.pixel_size_um, {})
    except UnreadableError as error:
        raise SampleError(Problem(name, "array", error.reason, error.remedy)) from error
    if all(plane.min() == plane.max() for plane in read):
        reason = "the picture is empty (all channels flat)"
        raise SampleError(Problem(name, "array", reason, "take it again"))
    return Picture(read, size, tuple(used))


def _by_channel(pixels: NDArray[Any], channels: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Part an array into planes by channel; refuse what is no such array."""
    array = np.asarray(pixels)
    named = [CHANNEL_OF.get(channel, channel) for channel in channels]
    for channel in named:
        if channel not in CHANNELS:
            raise PipelineError(unknown("channel", channel, [*CHANNELS, *CHANNEL_OF]))
    if len(set(named)) < len(named):
        raise PipelineError(f"channels {', '.join(channels)}: one is named twice; name each plane's own")
    if array.ndim != 3 or len(array) != len(named) or not array.size:
        raise PipelineError(
            f"an array of shape {array.shape} for {len(named)} channels ({', '.join(channels)}); give one "
            "plane per channel, shape (channels, height, width)"
        )
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise PipelineError(f"an array of {array.dtype}; give whole or floating-point numbers")
    return dict(zip(named, array, strict=True))


def _reading(planes: Sequence[NDArray[Any]], layout: Layout) -> tuple[Reading, int | None]:
    """Return how values are read, and which is the largest that the type can hold, where that is white."""
    reading = layout.reading
    dtype = planes[0].dtype
    if dtype == np.uint8:
        return reading, _BYTE
    kind: Kind = "real" if dtype.kind == "f" else "whole"
    top = layout.white.get(kind) or white(kind, [float(plane.max()) for plane in planes])
    return replace(reading, whole=top, real=top) if kind == "real" else replace(reading, whole=top), None
