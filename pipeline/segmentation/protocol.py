"""What a segmenter is."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture


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
