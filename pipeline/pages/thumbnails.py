"""Small pictures for pages: channels in the colours of `overlay`, with outlines of cells and nuclei."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import imagecodecs
import numpy as np

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.workspace import Workspace
from pipeline.data.flat_fields import even_samples
from pipeline.data.masks import Segmentation, read_mask
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample
from pipeline.stages.coloured_cells import ColouredCells
from pipeline.stages.overlay import RGB, composite, draw_outlines, fit
from pipeline.stages.status import recorded_pictures

QUALITY = 70
"""Of WebP: outlines stay clear."""


def pictures_of(work: Workspace, images: Path | None = None) -> Mapping[str, Sample]:
    """Return the pictures of a work folder by Id, read as `extract` (else `embed`) read them.

    Those of another folder, where `images` is given: they were moved.

    Raises
    ------
    PipelineError
        If the folder of pictures, the record of them, or the table of samples is gone.
    """
    options = recorded_pictures(work)
    if options is None:
        raise PipelineError(f"{work.root}: neither extract nor embed has left a record of its pictures there")
    if images is not None:
        options = options.model_copy(update={"images": images})
    return {sample.id: sample for sample in even_samples(options, work)[0]}


def thumbnail(
    sample: Sample,
    work: Workspace,
    side: int,
    *,
    outlines: bool = True,
    channels: Sequence[str] | None = None,
    shown: ColouredCells | None = None,
) -> bytes:
    """Return a picture as WebP, shrunk to a largest side, with outlines where it was segmented.

    Parameters
    ----------
    sample : Sample
    work : Workspace
        Where the label image lies.
    side : int
        Largest side in pixels; smaller pictures keep their size.
    outlines : bool
        Whether to draw cells (white) and nuclei (yellow).
    channels : sequence of str, optional
        Show these alone; microtubules, protein and nucleus unless given.
    shown : ColouredCells, optional
        What cells show: colours them in place of the outlines.

    Raises
    ------
    PipelineError
        If the picture cannot be read, or is not of the size of its label image.
    """
    try:
        picture = read_picture(sample)
    except SampleError as error:
        raise PipelineError(str(error)) from error
    drawn = fit(_coloured(picture, channels), side)
    mask = work.mask(sample.id)
    if outlines and mask.is_file():
        found = read_mask(mask)
        if found.cells.shape != picture.shape:
            raise PipelineError(f"{mask}: not of its picture's size; run extract again")
        small = _shrunk(found, drawn)
        drawn = draw_outlines(drawn, small) if shown is None else shown.draw(drawn, small, sample.id)
    return bytes(
        imagecodecs.webp_encode(np.ascontiguousarray(drawn), level=QUALITY, lossless=False, method=6)
    )


def _coloured(picture: Picture, channels: Sequence[str] | None) -> RGB:
    """Return the composite of some channels, as far as they were recorded."""
    if channels is None:
        return composite(picture)
    kept = [index for index, name in enumerate(picture.channels) if name in channels]
    some = replace(
        picture, pixels=picture.pixels[kept], channels=tuple(picture.channels[index] for index in kept)
    )
    return composite(some, er="er" in channels)


def _shrunk(found: Segmentation, drawn: RGB) -> Segmentation:
    """Return label images of the size of a drawing, so that outlines stay one pixel wide."""
    size = (drawn.shape[1], drawn.shape[0])
    cells, nuclei = (
        cv2.resize(labels.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
        for labels in (found.cells, found.nuclei)
    )
    return Segmentation(cells=cells, nuclei=nuclei)
