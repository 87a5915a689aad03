"""Pictures of a sample: the planes of one field of view, those that were recorded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import RUN_AGAIN, Problem, SampleError
from pipeline.core.files import UnreadableError
from pipeline.data.layouts import CHANNELS, COLOURS
from pipeline.data.samples import Sample, make_do
from pipeline.formats.illumination import Illumination
from pipeline.formats.pixel_sizes import agreed_size
from pipeline.formats.plane_reader import Plane, PlaneReader


@dataclass(frozen=True)
class Picture:
    """The planes of one field of view.

    Attributes
    ----------
    pixels : ndarray, shape (channels, height, width), float32
        Intensities in [0, 1]: the stored value over the one that is white (see `Reading`).
    pixel_size_um : float or None
        Side of a pixel in micrometres; None where unknown.
    channels : tuple of str
        What the planes show, in the order of `CHANNELS`; what was not recorded is not there.
    note : str
        What was done to the planes beside reading them: where a scale bar was removed, for example.
    """

    pixels: NDArray[np.float32]
    pixel_size_um: float | None = None
    channels: tuple[str, ...] = CHANNELS
    note: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def plane(self, channel: str) -> NDArray[np.float32]:
        """Return one recorded channel's plane, shape (height, width)."""
        return np.asarray(self.pixels[self.channels.index(channel)])


def read_picture(sample: Sample) -> Picture:
    """Read the planes of a sample at full depth.

    An 8-bit value is divided by 255, one of 12 bits by 4095 and so on, so that the same scene gives the same
    picture at any depth. The pixel size is the user's, else the one on which the headers of its files agree,
    else the one that the user states for pictures without one.

    Raises
    ------
    SampleError
        If a file is missing, unreadable, not grey, of another size than the rest, all planes are flat, or the
        files state no one plausible pixel size.
    """
    channels = sample.channels
    with PlaneReader(sample.reading) as reader:
        for channel in channels:
            with _problems(sample, channel):
                reader.weigh(sample.source(channel))
        planes = {channel: _read(reader, sample, channel) for channel in channels}
    _check_sizes(sample, {channel: plane.values.shape for channel, plane in planes.items()})
    if all(plane.values.min() == plane.values.max() for plane in planes.values()):
        raise _error(sample, "protein", "the picture is empty (all channels flat)", "export it again")
    sides = {sample.source(channel).path.name: plane.sides for channel, plane in planes.items()}
    try:
        size = agreed_size(sample.pixel_size_um, sides) or agreed_size(sample.reading.pixel_size_um, {})
    except UnreadableError as error:
        raise _error(sample, channels[0], error.reason, error.remedy) from error
    notes = dict.fromkeys(plane.note for plane in planes.values() if plane.note)
    lights = dict(sample.illumination)
    pixels = np.stack([_even(plane.values, lights.get(channel)) for channel, plane in planes.items()])
    return Picture(pixels, size, channels, "; ".join(notes))


def find_planes(sample: Sample) -> None:
    """Find the planes of a sample by the headers of its files alone, as `read_picture` would.

    Raises
    ------
    SampleError
        If a file is missing or unreadable, does not hold the channel that is named, or has another size.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    with PlaneReader(sample.reading) as reader:
        for channel in sample.channels:
            with _problems(sample, channel):
                shapes[channel] = reader.find(sample.source(channel))
    if len({tuple(sorted(shape)) for shape in shapes.values()}) > 1:  # a header may say to turn a picture
        _check_sizes(sample, shapes)


def _check_sizes(sample: Sample, shapes: Mapping[str, tuple[int, ...]]) -> None:
    first = shapes[sample.channels[0]]
    for channel, shape in shapes.items():
        if shape != first:
            reason = f"{_size(shape)}, but {COLOURS[sample.channels[0]]} is {_size(first)}"
            raise _error(sample, channel, reason, "export all channels at one size")


def _even(plane: NDArray[np.float32], light: Illumination | None) -> NDArray[np.float32]:
    return plane if light is None else light.removed(plane)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in reversed(shape))


def _error(sample: Sample, channel: str, reason: str, remedy: str) -> SampleError:
    return SampleError(Problem(sample.id, sample.source(channel).path.name, reason, remedy))


def _read(reader: PlaneReader, sample: Sample, channel: str) -> Plane:
    with _problems(sample, channel):
        return reader.plane(sample.source(channel), COLOURS[channel])


@contextmanager
def _problems(sample: Sample, channel: str) -> Iterator[None]:
    """Name the file of a channel that cannot be read; what is not its fault is a passing trouble."""
    try:
        yield
    except FileNotFoundError as error:
        raise _error(
            sample, channel, f"no {COLOURS[channel]} ({channel}) picture", make_do([channel])
        ) from error
    except UnreadableError as error:
        raise _error(sample, channel, error.reason, error.remedy) from error
    except MemoryError as error:
        raise _error(sample, channel, "too little memory", f"{RUN_AGAIN} with fewer --jobs") from error
    except OSError as error:
        reason = f"cannot be read now ({error.strerror})"
        raise _error(sample, channel, reason, f"{RUN_AGAIN} when it can be read") from error
