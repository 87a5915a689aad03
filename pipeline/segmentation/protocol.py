"""What a segmenter is and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.data.picture import Picture


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


class Segmenter(Protocol):
    """Finds cells and nuclei in pictures; picklable, so that worker processes can hold one."""

    uses_torch: ClassVar[bool]

    @property
    def name(self) -> str:
        """Return what the segmenter is called on the command line."""
        ...

    def settings(self) -> Mapping[str, str | float | int | None]:
        """Everything that changes the result (parameters, digests of weights), for fingerprints."""
        ...

    def segment(self, picture: Picture) -> Segmentation:
        """Segment one picture; an empty segmentation where there is nothing to find."""
        ...
