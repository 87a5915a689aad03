"""How pictures were measured: written by `extract`, kept in a model, repeated by `predict`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

import features
from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.segmentation.factory import make_segmenter
from pipeline.segmentation.protocol import Segmenter

SegmenterOption = str | float | int | None


class Extraction(BaseModel):
    """What has to be the same for two pictures' features to be comparable.

    Attributes
    ----------
    segmenter : str
        Name of the segmenter.
    options : dict
        What the user asked of it, such as the paths of weights.
    settings : dict
        Everything about it that changes a result, such as the digests of those weights.
    families : dict of str to int
        Version of every feature family.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segmenter: str
    options: dict[str, SegmenterOption]
    settings: dict[str, SegmenterOption]
    families: dict[str, int]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1))

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
