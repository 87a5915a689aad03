"""The cells of one picture for a page: outlines to point at, and taking out what is no cell."""

import shutil
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.stage import alone
from pipeline.core.workspace import Workspace
from pipeline.data.masks import Segmentation, read_mask, without_gaps, write_mask

SMOOTH = 1.0
"""Pixels by which drawn outlines may differ from the label image."""


class CellShape(NamedTuple):
    """A cell's label and the outlines of it and of its nucleus as SVG paths, in pixels of the picture."""

    label: int
    cell: str
    nucleus: str


def shapes_of(mask: Path) -> tuple[list[CellShape], tuple[int, int]]:
    """Return the outlines of the cells of a label image, and its height and width."""
    found = read_mask(mask)
    numbers, (cells, nuclei) = without_gaps(found.cells, found.nuclei)
    outlines, inner = _outlines(cells), _outlines(nuclei)
    shapes = [CellShape(int(numbers[place]), path, inner.get(place, "")) for place, path in outlines.items()]
    return shapes, (cells.shape[0], cells.shape[1])


def _outlines(labels: NDArray[np.int32]) -> dict[int, str]:
    """Return the longest outline of every label as an SVG path."""
    made = {}
    for place, where in enumerate(find_objects(labels), start=1):
        if where is None:
            continue
        piece = (labels[where] == place).astype(np.uint8)
        rings, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        ring = cv2.approxPolyDP(max(rings, key=len), SMOOTH, closed=True)[:, 0]
        top, left = where[0].start, where[1].start
        made[place] = "M" + " ".join(f"{x + left},{y + top}" for x, y in ring.tolist()) + "Z"
    return made


def take_out(work: Workspace, sample: str, labels: set[int]) -> None:
    """Remove cells from a picture's label image; what it was before is kept among the corrections.

    `extract` measures a picture again whose label image was edited, here or in another program.

    Raises
    ------
    PipelineError
        If it has no such cell, or another command runs in the work folder.
    """
    path = work.mask(sample)
    found = read_mask(path)
    if missing := labels - set(np.unique(found.cells).tolist()) or labels & {0}:
        raise PipelineError(f"{sample}: no cell {min(missing)}; look at the picture again")
    gone = list(labels)
    with alone(work.record("").parent, "explore"):
        kept = _before(work, sample)
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with replacing(kept) as temporary:
                shutil.copyfile(path, temporary)
        left = (np.where(np.isin(page, gone), 0, page) for page in (found.cells, found.nuclei))
        write_mask(path, Segmentation(*left))


def put_back(work: Workspace, sample: str) -> None:
    """Give a picture the label image it had before cells were taken out; nothing where none were."""
    kept = _before(work, sample)
    if kept.is_file():
        with alone(work.record("").parent, "explore"), replacing(work.mask(sample)) as temporary:
            shutil.copyfile(kept, temporary)
        kept.unlink()


def is_edited_here(work: Workspace, sample: str) -> bool:
    """Say whether cells were taken out of a picture."""
    return _before(work, sample).is_file()


def _before(work: Workspace, sample: str) -> Path:
    return work.corrections / "masks" / f"{sample}.tif"
