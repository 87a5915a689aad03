"""Masks that `extract` was given: which samples have them, what they lack, how they become label images."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError, Problem, SampleError
from pipeline.core.files import text_digest
from pipeline.core.names import counted
from pipeline.core.stage import Progress
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import Scale
from pipeline.data.masks import Segmentation, mask_origins
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import CONTENT_DIGITS, Sample
from pipeline.exchange.foreign_masks import BOTH, GivenMask, find_masks, read_given
from pipeline.exchange.mask_files import Layers, Values
from pipeline.segmentation import Segmenter
from pipeline.segmentation.completion import cells_found, cells_grown, nuclei_found, paired
from pipeline.segmentation.label_images import median_diameter
from pipeline.stages.mask_options import DISTANCE, MaskRecord, MaskUse

VERSION = 1
"""Raise it when the same masks become other label images than before."""
NO_PIXEL = "outlines without a pixel"


@dataclass(frozen=True)
class GivenMasks:
    """The masks of samples, and how they are taken.

    Attributes
    ----------
    folder : Path
    samples : int
        How many there are, with masks or without.
    masks : mapping of str to GivenMask
        By Id.
    values, lack : str
        What numbers are, and what becomes of masks of cells or nuclei alone; as in `MaskUse`.
    bare : frozenset of str
        Samples of which the cells are measured without nuclei.
    problems : tuple of Problem
        Samples without masks, or with masks that cannot be taken.
    strangers : tuple of str
        Files that are of no sample.
    """

    folder: Path
    samples: int
    masks: Mapping[str, GivenMask]
    values: Values | None
    lack: str
    bare: frozenset[str]
    problems: tuple[Problem, ...] = ()
    strangers: tuple[str, ...] = ()

    @property
    def record(self) -> MaskRecord:
        """What a model remembers."""
        return MaskRecord(lack=self.lack, show=tuple(sorted({one.shows for one in self.masks.values()})))

    @property
    def needs_segmenter(self) -> bool:
        """Whether the segmenter has to find what the masks lack."""
        lacking = {sample for sample, one in self.masks.items() if one.shows != BOTH}
        return self.lack == "segment" and bool(lacking - self.bare)

    def keyed(self, pictures: Mapping[str, str]) -> dict[str, str]:
        """Return digests of pictures that differ wherever the masks, or how they are taken, differ."""
        rules = [VERSION, self.values, self.lack]
        return {
            sample: digest[:CONTENT_DIGITS]
            + text_digest([digest[CONTENT_DIGITS:], self.masks[sample].digest, *rules])[:CONTENT_DIGITS]
            if sample in self.masks
            else digest
            for sample, digest in pictures.items()
        }

    @property
    def digest(self) -> str:
        """Of all masks and how they are taken."""
        left_out = [(one.sample, one.file, one.reason) for one in self.problems]
        return text_digest(
            [VERSION, self.values, self.lack, {k: v.digest for k, v in self.masks.items()}, left_out]
        )

    def note(self, progress: Progress) -> None:
        """Say which files are of no sample."""
        if self.strangers:
            first = ", ".join(self.strangers[:3]) + (", …" if len(self.strangers) > 3 else "")
            progress.note(f"{self.folder}: {counted(len(self.strangers), 'file')} of no sample: {first}")

    def of(self, samples: Iterable[Sample]) -> "GivenMasks":
        """Return those of some samples: what a worker needs."""
        kept = {sample.id: self.masks[sample.id] for sample in samples if sample.id in self.masks}
        return replace(self, masks=kept, bare=self.bare & kept.keys(), problems=(), strangers=())

    def told(self, segmenter: str) -> str:
        """Say how many pictures have masks, of what, and what becomes of those that lack something."""
        bare = sum(one.shows == "cells" for sample, one in self.masks.items() if sample in self.bare)
        shows = Counter(one.shows for one in self.masks.values())
        kinds = {
            "of cells and nuclei": shows[BOTH],
            "of cells alone, which have no nucleus": bare,
            f"of cells alone, nuclei found by {segmenter}": shows["cells"] - bare,
            f"of nuclei alone, {_cells_of(self.lack, segmenter)}": shows["nuclei"],
        }
        listed = "; ".join(f"{number:,} {what}" for what, number in kinds.items() if number)
        pictures = counted(self.samples, "picture")
        return f"Masks in {self.folder} for {len(self.masks):,} of {pictures}: {listed}"

    def take(self, sample: str, picture: Picture, segmenter: Segmenter | None) -> tuple[Segmentation, str]:
        """Return the label image of a sample, and what of its masks is not in it (as in `Origin`).

        Raises
        ------
        SampleError
            If a mask cannot be taken.
        """
        layers, empty = read_given(sample, self.masks[sample], picture.shape, self.values)
        found, left_out = self._completed(sample, layers, picture, segmenter)
        if empty:
            left_out[NO_PIXEL] = empty
        return found, "+".join(f"{why.replace(' ', '_')}={left_out[why]}" for why in sorted(left_out))

    def _completed(
        self, sample: str, layers: Layers, picture: Picture, segmenter: Segmenter | None
    ) -> tuple[Segmentation, Counter[str]]:
        if len(layers) == 2:
            return paired(layers["cells"], layers["nuclei"], keep_all=sample in self.bare)
        ((shown, labels),) = layers.items()
        if shown == "cells" and sample in self.bare:
            return Segmentation(labels, np.zeros_like(labels)), Counter()
        if self.lack == "none":
            return Segmentation(labels, labels), Counter()
        if self.lack == "segment":
            if segmenter is None:
                raise ValueError("a segmenter is needed for what the masks lack")
            if shown == "cells":
                return nuclei_found(labels, picture, segmenter)
            return cells_found(labels, picture, segmenter), Counter()
        length, unit = DISTANCE.fullmatch(self.lack).group("length", "unit")  # type: ignore[union-attr]  # checked
        if unit != "px" and picture.pixel_size_um is None:
            file = self.masks[sample].files[0].path.name
            reason = f"nuclei are to be grown by {self.lack}, and the picture states no pixel size"
            raise SampleError(
                Problem(sample, file, reason, "give --masks-lack in px, or state pixel_size_um")
            )
        scale = 1.0 if unit == "px" or picture.pixel_size_um is None else picture.pixel_size_um
        return cells_grown(labels, float(length) / scale), Counter()

    def scale(self, samples: Iterable[Sample]) -> Scale:
        """Return how large the nuclei of some samples are, in pixels of the median size."""
        seen: list[tuple[float, float | None]] = []
        for sample in samples:
            with suppress(SampleError):
                picture = read_picture(sample)
                nuclei = self.take(sample.id, picture, None)[0].with_small_labels()[0].nuclei
                seen.append((median_diameter(nuclei), picture.pixel_size_um))
        sizes = [size for _, size in seen if size]
        usual = float(np.median(sizes)) if sizes else None
        diameters = [one * (size / usual if size and usual else 1.0) for one, size in seen if one]
        diameter = round(float(np.median(diameters)), 1) if diameters else 0.0
        return Scale(nuclei_diameter=diameter, cell_diameter=None, pixel_size_um=usual)


def _cells_of(lack: str, segmenter: str) -> str:
    """Say what the cells of nuclei are."""
    known = {"none": "each taken as its cell", "segment": f"cells found by {segmenter}"}
    return known.get(lack, f"grown by {lack} to cells")


def given_masks(
    options: MaskUse, trained: MaskRecord | None, samples: Sequence[Sample], work: Workspace
) -> GivenMasks | None:
    """Find the masks that are given; None where none are.

    Raises
    ------
    PipelineError
        If the folder holds no mask of any sample, or what they lack cannot be done.
    """
    if options.masks is None:
        options.refuse_without("--masks", *MaskUse.model_fields)
        return None
    found = find_masks(options.masks, samples, options.masks_of, work)
    problems, masks = list(found.problems), dict(found.masks)
    edited = {
        sample for sample, one in mask_origins(work, [one.id for one in samples]).items() if one.is_edited
    }
    known = {problem.sample for problem in problems}
    for sample in samples:
        one = masks.get(sample.id)
        if one is None and sample.id not in edited | known:
            remedy = f"add one, such as {sample.id}_cells.tif, or leave the sample out"
            problems.append(
                Problem(sample.id, f"{sample.id}_cells.tif", f"no mask in {options.masks}", remedy)
            )
        elif one is not None and trained is not None and one.shows not in trained.show:
            reason = f"shows {one.shows}; the model was trained on masks of {' or '.join(trained.show)}"
            problems.append(Problem(sample.id, one.files[0].path.name, reason, "give masks of the same kind"))
    masks = {sample: one for sample, one in masks.items() if sample not in {one.sample for one in problems}}
    alone = {one.id for one in samples if one.id in masks and masks[one.id].shows == "cells"}
    bare = {one.id for one in samples if options.masks_lack == "none" or "nucleus" not in one.channels}
    if DISTANCE.fullmatch(options.masks_lack) and (strange := sorted(alone - bare)):
        file = masks[strange[0]].files[0].path.name
        raise PipelineError(
            f"--masks-lack {options.masks_lack}: {file} shows cells alone; give "
            "segment (nuclei are found in them), none, or say that it shows nuclei: --masks-of nuclei"
        )
    return GivenMasks(
        options.masks,
        len(samples),
        masks,
        options.masks_hold,
        options.masks_lack,
        frozenset(bare),
        tuple(problems),
        tuple(found.strangers),
    )
