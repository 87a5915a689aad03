"""Pictures of a sample, four planes of one field of view, and label images of what they show."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import RUN_AGAIN, PipelineError, Problem, SampleError
from pipeline.core.files import UnreadableError, replacing
from pipeline.data.picture_files import read_plane
from pipeline.data.pixel_sizes import Sides, agreed_size
from pipeline.data.samples import CHANNELS, COLOURS, MAKE_DO, Sample


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


def read_picture(sample: Sample) -> Picture:
    """Read the four planes of a sample at full depth.

    An 8-bit value is divided by 255, a 16-bit one by 65535, so that the same scene gives the same picture at
    either depth. The pixel size is the user's, else the one on which OME-TIFF or ImageJ TIFF files agree.

    Raises
    ------
    SampleError
        If a file is missing, unreadable, not grey, of another size than the rest, all planes are flat, or the
        files state no one plausible pixel size.
    """
    planes, sides = zip(*(_read(sample, channel) for channel in CHANNELS), strict=True)
    first = planes[0].shape
    for channel, plane in zip(CHANNELS, planes, strict=True):
        if plane.shape != first:
            reason = f"{_size(plane.shape)}, but {COLOURS[CHANNELS[0]]} is {_size(first)}"
            raise _error(sample, channel, reason, "export all channels at one size")
    if all(plane.min() == plane.max() for plane in planes):
        raise _error(sample, "protein", "the picture is empty (all channels flat)", "export it again")
    names = [path.name for path in sample.paths]
    try:
        size = agreed_size(sample.pixel_size_um, dict(zip(names, sides, strict=True)))
    except UnreadableError as error:
        raise _error(sample, CHANNELS[0], error.reason, error.remedy) from error
    return Picture(np.stack(planes), size)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in reversed(shape))


def _error(sample: Sample, channel: str, reason: str, remedy: str) -> SampleError:
    return SampleError(Problem(sample.id, sample.path(channel).name, reason, remedy))


def _read(sample: Sample, channel: str) -> tuple[NDArray[np.float32], Sides]:
    """Read one channel; what is not the file's fault is a passing trouble."""
    try:
        return read_plane(sample.path(channel), COLOURS[channel])
    except FileNotFoundError as error:
        raise _error(sample, channel, f"no {COLOURS[channel]} ({channel}) picture", MAKE_DO) from error
    except UnreadableError as error:
        raise _error(sample, channel, error.reason, error.remedy) from error
    except MemoryError as error:
        raise _error(sample, channel, "too little memory", f"{RUN_AGAIN} with fewer --jobs") from error
    except OSError as error:
        reason = f"cannot be read now ({error.strerror})"
        raise _error(sample, channel, reason, f"{RUN_AGAIN} when it can be read") from error


@dataclass(frozen=True)
class Segmentation:
    """Cells and nuclei of one picture, matched: the same number is the same cell.

    Attributes
    ----------
    cells, nuclei : ndarray, shape (height, width), uint16, or uint32 beyond 65,535 cells
        Label images, 0 is background; labels run from 1 to the number of cells without gaps, unless a
        person has edited them. Every cell holds exactly one nucleus with the cell's own label.
    """

    cells: NDArray[np.integer[Any]]
    nuclei: NDArray[np.integer[Any]]

    @property
    def count(self) -> int:
        """Number of cells."""
        return np.count_nonzero(np.bincount(self.cells.ravel())[1:])


def smallest_type(largest: int) -> "type[np.uint16] | type[np.uint32]":
    """Return the type of label images up to a label: every program reads 16 bits."""
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32


def write_mask(path: Path, segmentation: Segmentation) -> None:
    """Write a segmentation as a TIFF: page 1 cells, page 2 nuclei, the same number is the same cell."""
    import tifffile

    pages = np.stack([segmentation.cells, segmentation.nuclei])
    with replacing(path, synced=False) as temporary, tifffile.TiffWriter(temporary) as file:
        for page, name in zip(pages, ("cells", "nuclei"), strict=True):
            file.write(page, compression="zlib", photometric="minisblack", description=name, metadata=None)


def read_mask(path: Path) -> Segmentation:
    """Read what `write_mask` wrote.

    Raises
    ------
    PipelineError
        Where the file is missing, damaged or not of two uint16 pages.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            pages = [page.asarray() for page in file.pages]
    except (OSError, ValueError, RuntimeError, tifffile.TiffFileError) as error:
        raise PipelineError(f"{path}: label image cannot be read ({error}); run extract again") from error
    if len(pages) != 2 or any(
        page.dtype not in (np.uint16, np.uint32) or page.shape != pages[0].shape for page in pages
    ):
        raise PipelineError(f"{path}: not two uint16 pages of one size (cells, nuclei); run extract again")
    return Segmentation(*pages)
