"""How pictures were measured: what a model remembers of its training pictures, and repeats on new ones."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

import features
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.core.workers import Precision
from pipeline.data.dataset_options import Scale
from pipeline.data.layouts import CHANNELS, Layout
from pipeline.segmentation import Segmenter, make_segmenter
from pipeline.stages.mask_options import MaskRecord
from pipeline.stages.options import SegmenterOption


class Extraction(BaseModel):
    """What has to be the same for two pictures' features to be comparable.

    Attributes
    ----------
    segmenter : str
        Name of the segmenter; empty where given masks need none.
    options : dict
        What the user asked of it, such as the paths of weights.
    settings : dict
        Everything about it that changes a result, such as the digests of those weights.
    families : dict of str to int
        Version of every feature family.
    scale : Scale or None
        How large nuclei and cells were expected; None in models of older versions.
    masks : MaskRecord or None
        Of masks that were given.
    flat_field : bool
        Whether uneven illumination was removed.
    channels : tuple of str
        Those that pictures show; columns of the others are empty.
    layout : Layout
        What the user said of the files.
    precision : str or None
        What networks that found cells multiplied in the last run; None where there were none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segmenter: str
    options: dict[str, SegmenterOption]
    settings: dict[str, SegmenterOption]
    families: dict[str, int]
    scale: Scale | None = None
    masks: MaskRecord | None = None
    flat_field: bool = False
    channels: tuple[str, ...] = CHANNELS
    layout: Layout = Layout()
    precision: Precision | None = None

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, self.model_dump_json(indent=1))

    def check_families(self) -> None:
        """Refuse families that this program computes differently.

        Raises
        ------
        PipelineError
            Naming the family and both versions.
        """
        now = features.family_versions()
        for family, version in self.families.items():
            if now.get(family) != version:
                today = f"version {now[family]}" if family in now else "no such family"
                raise PipelineError(
                    f"the model was trained on family {family} version {version}, this program computes "
                    f"{today}; extract and train again"
                )

    def segmenting(self, options: dict[str, SegmenterOption]) -> dict[str, SegmenterOption]:
        """Return the options of the segmenter for other pictures, whose scale it is to be fitted to."""
        fitted = () if self.scale is None else Scale.model_fields
        return {name: value for name, value in (self.options | options).items() if name not in fitted}

    def layout_in_place(self, given: Layout) -> Layout:
        """Return the layout of training, but for what is given."""
        return given.in_place_of(self.layout)

    def fitting_layout(self, given: Layout) -> Layout:
        """Return how other pictures are read so that they compare: as in training, but for what is given.

        Channels that training did not have are not used.

        Raises
        ------
        PipelineError
            If z-stacks are to become another kind of picture than in training.
        """
        trained, here = self.layout, self.layout_in_place(given)
        if trained.projection not in (None, here.projection):
            raise PipelineError(
                f"the model was trained on z-stacks of projection '{trained.projection}', the layout says "
                f"'{here.projection}'; write projection = \"{trained.projection}\", or train again"
            )
        unused = [name for name in CHANNELS if name not in {*self.channels, *here.absent}]
        return here.model_copy(update={"absent": (*here.absent, *unused)})

    def repeat_segmenter(self, options: dict[str, SegmenterOption]) -> Segmenter:
        """Return the same segmenter, with some options (where weights lie now) replaced.

        Raises
        ------
        PipelineError
            If the segmenter would find other cells than it did in training.
        """
        segmenter = make_segmenter(self.segmenter, **self.options | options)
        if dict(segmenter.settings()) != self.settings:
            raise PipelineError(
                f"the model was trained on cells found by {self.segmenter} with {self.settings}, "
                f"not {dict(segmenter.settings())}; give the same weights, or train again"
            )
        return segmenter
