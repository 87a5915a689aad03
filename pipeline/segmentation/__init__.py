"""Find cells and nuclei: one protocol, several segmenters by name."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import ClassVar, Protocol, Self

from pipeline.core.errors import PipelineError
from pipeline.core.names import unknown
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.data.samples import Sample

SEGMENTERS = ("watershed", "cellpose")
"""Names of the segmenters."""


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

    def calibrated(self, samples: Sequence[Sample], record: Path) -> Self:
        """Return the segmenter with what it estimates from a data set, once, and keeps in a record (JSON)."""
        ...

    def segment(self, picture: Picture) -> Segmentation:
        """Segment one picture; an empty segmentation where there is nothing to find."""
        ...


def make_segmenter(name: str, **options: str | float | int | None) -> Segmenter:
    """Return one of `SEGMENTERS`, with what its class takes; an option that is None leaves a default.

    Unknown names and options, and weights that are missing, are refused.
    """
    if name not in SEGMENTERS:
        raise PipelineError(unknown("segmenter", name, SEGMENTERS))
    given = {key: value for key, value in options.items() if value is not None}
    maker = _makers()[name]
    known = signature(maker).parameters
    if strange := sorted(given.keys() - known.keys()):
        raise PipelineError(f"segmenter '{name}' has no option '{strange[0]}'; known: {', '.join(known)}")
    return maker(**given)


def _makers() -> dict[str, Callable[..., Segmenter]]:
    """Return what makes each segmenter; imported here, where one is needed."""
    from pipeline.segmentation.cellpose import make_cellpose
    from pipeline.segmentation.watershed import WatershedSegmenter

    return {"watershed": WatershedSegmenter, "cellpose": make_cellpose}
