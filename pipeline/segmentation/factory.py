"""Segmenters by name."""

from collections.abc import Callable
from inspect import signature

from pipeline.core.errors import PipelineError
from pipeline.segmentation.protocol import Segmenter

SEGMENTERS = ("watershed", "cellpose")
"""Names of the segmenters."""


def make_segmenter(name: str, **options: str | float | int | None) -> Segmenter:
    """Return a segmenter by its name.

    Parameters
    ----------
    name : str
        One of `SEGMENTERS`.
    **options
        What the segmenter's class takes; None leaves a default.

    Raises
    ------
    PipelineError
        Where the name or an option is unknown, or weights are missing.
    """
    if name not in SEGMENTERS:
        raise PipelineError(f"unknown segmenter '{name}'; known: {', '.join(SEGMENTERS)}")
    given = {key: value for key, value in options.items() if value is not None}
    maker = _makers()[name]
    known = signature(maker).parameters
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise PipelineError(f"segmenter '{name}' has no option '{unknown[0]}'; known: {', '.join(known)}")
    return maker(**given)


def _makers() -> dict[str, Callable[..., Segmenter]]:
    """Return what makes each segmenter; imported here, where one is needed."""
    from pipeline.segmentation.cellpose import make_cellpose
    from pipeline.segmentation.watershed import WatershedSegmenter

    return {"watershed": WatershedSegmenter, "cellpose": make_cellpose}
