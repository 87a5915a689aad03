"""Find cells and nuclei: one protocol, several segmenters by name."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.names import unknown
from pipeline.core.workers import evenly
from pipeline.data.dataset_options import Scale
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample

Labels = NDArray[np.int32]

SEGMENTERS = ("watershed", "cellpose")
"""Names of the segmenters."""


class Segmenter(Protocol):
    """Finds cells and nuclei in pictures; picklable, so that worker processes can hold one."""

    name: ClassVar[str]
    """What the segmenter is called on the command line."""
    uses_torch: ClassVar[bool]

    def settings(self) -> Mapping[str, str | float | int | None]:
        """Everything that changes the result (parameters, digests of weights), for fingerprints."""
        ...

    def measure_nuclei(
        self, pictures: Sequence[Picture], factors: Sequence[float], expected: float = 0.0
    ) -> float:
        """Return the median diameter of nuclei in pictures, each times its factor; 0 where none is seen.

        Where `expected` is the diameter to look for first, no other is tried in pictures that show it.
        """
        ...

    def measure_cells(
        self, pictures: Sequence[Picture], factors: Sequence[float], nuclei: float
    ) -> float | None:
        """Return the same of cells, around nuclei of this diameter; None where it does not matter."""
        ...

    def at(self, scale: Scale) -> Self:
        """Return the segmenter for pictures of this scale."""
        ...

    def nuclei_in(self, picture: Picture) -> Labels:
        """Return a label image of the nuclei, without debris."""
        ...

    def cells_around(self, nuclei: Labels, picture: Picture) -> Labels:
        """Return a label image of cells: every nucleus, whoever found it, is in the cell of its number."""
        ...

    def segment(self, picture: Picture, threads: int = 1) -> Segmentation:
        """Segment one picture, by so many threads at most; an empty segmentation where there is nothing."""
        ...


PICTURES = 6
"""Pictures that the scale of a data set is measured in, evenly over it."""

TOLERANCE = 1.5
"""Factor from which nuclei are of quite another size than those of training."""


def some_samples(samples: Sequence[Sample]) -> list[Sample]:
    """Return a few samples, evenly over all in the order of their ids."""
    return evenly(sorted(samples, key=lambda sample: sample.id), PICTURES)


def readable_pictures(samples: Sequence[Sample]) -> list[Picture]:
    """Read the pictures of some samples; unreadable ones, which `extract` lists as problems, do not count."""
    pictures = []
    for sample in samples:
        with suppress(SampleError):
            pictures.append(read_picture(sample))
    return pictures


def measure_scale(
    segmenter: Segmenter, pictures: Sequence[Picture], *, cells: bool, trained: Scale | None = None
) -> Scale:
    """Return how large nuclei, and where asked for cells, are in pictures, in pixels of the median size.

    Nuclei of the size of those of training, if that is given, are looked for first.
    """
    sizes = [one.pixel_size_um for one in pictures if one.pixel_size_um]
    usual = float(np.median(sizes)) if sizes else None
    factors = [one.pixel_size_um / usual if one.pixel_size_um and usual else 1.0 for one in pictures]
    expected = 0.0 if trained is None else _expected(trained, usual)
    nuclei = segmenter.measure_nuclei(pictures, factors, expected)
    around = segmenter.measure_cells(pictures, factors, nuclei) if cells and nuclei else None
    return Scale(nuclei_diameter=nuclei, cell_diameter=around, pixel_size_um=usual)


def fit_scale(here: Scale, trained: Scale) -> tuple[Scale, float | None, str]:
    """Find out how pictures compare with those that a model was trained on.

    Nuclei of about the size of those of training are taken to be of exactly that size, so that pictures of
    one scale are treated alike, with or without a pixel size.

    Returns
    -------
    scale : Scale
        What to expect in these pictures.
    pixel_size_um : float or None
        Of those that state none; None where the model knows no micrometres.
    told : str
        What the user has to know; empty where nothing is amiss.
    """
    known, stated = trained.pixel_size_um, here.pixel_size_um
    expected = _expected(trained, stated)
    ratio = here.nuclei_diameter / expected if here.nuclei_diameter and expected else 1.0
    if 1 / TOLERANCE < ratio < TOLERANCE:
        assumed = known and not stated
        told = f"no pixel size is stated; {known:.4g} µm is assumed, as in training" if assumed else ""
        return trained, stated or known, told
    larger = trained.model_copy(
        update={
            "nuclei_diameter": round(trained.nuclei_diameter * ratio, 1),
            "cell_diameter": trained.cell_diameter and round(trained.cell_diameter * ratio, 1),
        }
    )
    if known and not stated:
        size = known / ratio
        return trained, size, f"no pixel size is stated; {size:.3g} µm is estimated from the nuclei"
    where = (
        f"at the stated pixel size of {stated:.4g} µm" if known else "in pixels, and the model knows no µm"
    )
    remedy = "check pixel_size_um" if known else "state pixel_size_um for the training pictures and these"
    return larger, stated, f"nuclei are {ratio:.2g} times as large as in training {where}; {remedy}"


def _expected(trained: Scale, stated: float | None) -> float:
    """Return the diameter that nuclei of training have in pixels of the stated size."""
    known = trained.pixel_size_um
    return trained.nuclei_diameter * (known / stated if known and stated else 1)


def told_cells(sets: Collection[tuple[str, ...]]) -> list[str]:
    """Say, for sets of recorded channels, in what cells are outlined where a marker of theirs is absent."""
    from pipeline.segmentation.watershed import cytoplasm_channels

    lines = []
    for channels in sorted(sets):
        shown = cytoplasm_channels(channels)
        lacking = [name for name in ("microtubules", "er") if name not in channels]
        if lacking:
            lines.append(f"no {' and no '.join(lacking)}: cells are outlined in {' and '.join(shown)}")
    return lines


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
