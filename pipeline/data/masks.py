"""Label images of cells and nuclei; on disk a TIFF of two uint16 pages, which any viewer opens."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing


@dataclass(frozen=True)
class Segmentation:
    """Cells and nuclei of one picture, matched: the same number is the same cell.

    Attributes
    ----------
    cells, nuclei : ndarray, shape (height, width), uint16
        Label images, 0 is background; labels run from 1 to the number of cells without gaps.
        Every cell holds exactly one nucleus with the cell's own label.
    """

    cells: NDArray[np.uint16]
    nuclei: NDArray[np.uint16]

    @property
    def count(self) -> int:
        """Number of cells."""
        return int(self.cells.max(initial=0))


def write_mask(path: Path, segmentation: Segmentation) -> None:
    """Write a segmentation as a TIFF: page 1 cells, page 2 nuclei, the same number is the same cell."""
    import tifffile

    pages = np.stack([segmentation.cells, segmentation.nuclei])
    with replacing(path) as temporary, tifffile.TiffWriter(temporary) as file:
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
    if len(pages) != 2 or any(page.dtype != np.uint16 or page.shape != pages[0].shape for page in pages):
        raise PipelineError(f"{path}: not two uint16 pages of one size (cells, nuclei); run extract again")
    return Segmentation(*pages)
