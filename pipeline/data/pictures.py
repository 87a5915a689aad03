"""Pictures of a sample: the planes of one field of view, those that were recorded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import RUN_AGAIN, Problem, SampleError
from pipeline.core.files import UnreadableError
from pipeline.data.layouts import CHANNELS, COLOURS
from pipeline.data.samples import MAKE_DO, Sample
from pipeline.formats.picture_files import read_plane
from pipeline.formats.pixel_sizes import Sides, agreed_size


@dataclass(frozen=True)
class Picture:
    """The planes of one field of view.

    Attributes
    ----------
    pixels : ndarray, shape (channels, height, width), float32
        Intensities in [0, 1]: the stored value over the largest its file format can hold.
    pixel_size_um : float or None
        Side of a pixel in micrometres; None where unknown.
    channels : tuple of str
        What the planes show, in the order of `CHANNELS`; what was not recorded is not there.
    """

    pixels: NDArray[np.float32]
    pixel_size_um: float | None = None
    channels: tuple[str, ...] = CHANNELS

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def plane(self, channel: str) -> NDArray[np.float32]:
        """Return one recorded channel's plane, shape (height, width)."""
        return np.asarray(self.pixels[self.channels.index(channel)])


def read_picture(sample: Sample) -> Picture:
    """Read the planes of a sample at full depth.

    An 8-bit value is divided by 255, a 16-bit one by 65535, so that the same scene gives the same picture at
    either depth. Uneven illumination that is known is removed. The pixel size is the user's, else the one on
    which OME-TIFF or ImageJ TIFF files agree.

    Raises
    ------
    SampleError
        If a file is missing, unreadable, not grey, of another size than the rest, all planes are flat, or the
        files state no one plausible pixel size.
    """
    channels = sample.channels
    planes, sides = zip(*(_read(sample, channel) for channel in channels), strict=True)
    first = planes[0].shape
    for channel, plane in zip(channels, planes, strict=True):
        if plane.shape != first:
            reason = f"{_size(plane.shape)}, but {COLOURS[channels[0]]} is {_size(first)}"
            raise _error(sample, channel, reason, "export all channels at one size")
    if all(plane.min() == plane.max() for plane in planes):
        raise _error(sample, "protein", "the picture is empty (all channels flat)", "export it again")
    names = [sample.source(channel).path.name for channel in channels]
    try:
        size = agreed_size(sample.pixel_size_um, dict(zip(names, sides, strict=True)))
    except UnreadableError as error:
        raise _error(sample, channels[0], error.reason, error.remedy) from error
    lights = dict(sample.illumination)
    even = [
        lights[name].removed(one) if name in lights else one
        for name, one in zip(channels, planes, strict=True)
    ]
    return Picture(np.stack(even), size, channels)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in reversed(shape))


def _error(sample: Sample, channel: str, reason: str, remedy: str) -> SampleError:
    return SampleError(Problem(sample.id, sample.source(channel).path.name, reason, remedy))


def _read(sample: Sample, channel: str) -> tuple[NDArray[np.float32], Sides]:
    """Read one channel; what is not the file's fault is a passing trouble."""
    try:
        return read_plane(sample.source(channel), COLOURS[channel], sample.reading)
    except FileNotFoundError as error:
        raise _error(sample, channel, f"no {COLOURS[channel]} ({channel}) picture", MAKE_DO) from error
    except UnreadableError as error:
        raise _error(sample, channel, error.reason, error.remedy) from error
    except MemoryError as error:
        raise _error(sample, channel, "too little memory", f"{RUN_AGAIN} with fewer --jobs") from error
    except OSError as error:
        reason = f"cannot be read now ({error.strerror})"
        raise _error(sample, channel, reason, f"{RUN_AGAIN} when it can be read") from error
