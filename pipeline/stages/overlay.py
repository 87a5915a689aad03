"""Outlines of cells and nuclei drawn on the composite of a picture: for looking."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.files import replacing
from pipeline.core.names import unknown
from pipeline.core.stage import Progress
from pipeline.core.workspace import Workspace
from pipeline.data.flat_fields import even_samples
from pipeline.data.masks import Segmentation, read_mask
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.quality_flags import read_flags
from pipeline.data.samples import Sample
from pipeline.stages.coloured_cells import ColouredCells, letter, read_shown
from pipeline.stages.options import OverlayOptions

RGB = NDArray[np.uint8]

CELL_COLOUR = (255, 255, 255)
NUCLEUS_COLOUR = (255, 225, 0)

GAP = 4
"""Pixels between the pictures of a contact sheet."""

BRIGHTEST = 99.7
"""Percentile of a channel that is drawn at full brightness."""


def composite(picture: Picture, er: bool = False) -> RGB:
    """Return a picture in the Human Protein Atlas' colours, shape (height, width, 3), uint8.

    Red microtubules, green protein, blue nucleus and, if asked for, yellow endoplasmic reticulum, as far as
    they were recorded; each channel is stretched by itself.
    """
    dark = np.zeros(picture.shape, np.float32)
    planes = [
        stretched(picture.plane(channel)) if channel in picture.channels else dark
        for channel in ("microtubules", "protein", "nucleus")
    ]
    colours = np.stack(planes, axis=-1)
    if er and "er" in picture.channels:
        colours[..., :2] += 0.6 * stretched(picture.plane("er"))[..., None]
    return (255 * np.clip(colours, 0, 1)).astype(np.uint8)


def stretched(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a plane between its darkest and brightest percentiles, in [0, 1]; black where it is flat."""
    low, high = np.percentile(plane, (1, BRIGHTEST))
    if high <= low:
        return np.zeros_like(plane)
    return np.asarray(np.clip((plane - low) / (high - low), 0, 1), dtype=np.float32)


def draw_outlines(image: RGB, segmentation: Segmentation) -> RGB:
    """Draw the outlines of cells (white) and nuclei (yellow) into a copy of an image.

    Outlines lie inside what they surround, so that neighbours' outlines stay apart.
    """
    from skimage.segmentation import find_boundaries

    drawn = image.copy()
    drawn[find_boundaries(segmentation.cells, mode="inner")] = CELL_COLOUR
    drawn[find_boundaries(segmentation.nuclei, mode="inner")] = NUCLEUS_COLOUR
    return drawn


def overlay(options: OverlayOptions, progress: Progress) -> list[Path]:
    """Write pictures with the outlines of cells and nuclei; return their paths.

    Refuses where there is no label image to draw, or an id is unknown or was not segmented.
    """
    work = Workspace(options.work)
    shown, samples = read_shown(options), _chosen(options, work)
    paths, tiles = [], []
    with progress.track("Drawing outlines", len(samples)) as advance:
        for sample in samples:
            drawn = _draw(sample, work, options.er, shown)
            if options.sheet is not None:
                tiles.append((sample.id, fit(drawn, options.tile)))
            else:
                paths.append(work.overlays / f"{sample.id}.png")
                write_png(paths[-1], drawn)
            advance(1)
    if options.sheet is not None:
        write_png(options.sheet, contact_sheet(tiles, options.columns))
    if shown is not None and shown.lacking:
        progress.note(f"{options.answers}: {shown.lacking}")
    return paths if options.sheet is None else [options.sheet]


def _chosen(options: OverlayOptions, work: Workspace) -> list[Sample]:
    found, _ = even_samples(options, work)
    known = {sample.id: sample for sample in found}
    for name in options.ids:
        if name not in known:
            raise PipelineError(f"{options.images}: {unknown('sample', name, known)}")
    unsegmented = [name for name in options.ids if not work.mask(name).is_file()]
    if unsegmented:
        raise PipelineError(f"{work.mask(unsegmented[0])}: missing; run extract on {options.images} first")
    chosen = options.ids or tuple(name for name in known if work.mask(name).is_file())
    if not chosen:
        raise PipelineError(f"{work.masks}: holds no label image of {options.images}; run extract first")
    if options.flagged:
        flagged = read_flags(work)
        chosen = tuple(name for name in chosen if name in flagged)
        if not chosen:
            raise PipelineError(f"{work.quality}: none of these samples is flagged; leave out --flagged")
    return [known[name] for name in chosen]


def _draw(sample: Sample, work: Workspace, er: bool, shown: ColouredCells | None) -> RGB:
    segmentation = read_mask(work.mask(sample.id))
    try:
        picture = read_picture(sample)
    except SampleError as error:
        raise PipelineError(str(error)) from error
    if picture.shape != segmentation.cells.shape:
        raise PipelineError(f"{work.mask(sample.id)}: not of its picture's size; run extract again")
    if shown is None:
        return draw_outlines(composite(picture, er), segmentation)
    return shown.draw(composite(picture, er), segmentation, sample.id)


def contact_sheet(pictures: Sequence[tuple[str, RGB]], columns: int) -> RGB:
    """Return named pictures side by side, row by row; smaller ones on black.

    Parameters
    ----------
    pictures : sequence of (name, ndarray of shape (height, width, 3))
    columns : int
        Pictures in a row.
    """
    height = max(picture.shape[0] for _, picture in pictures)
    width = max(picture.shape[1] for _, picture in pictures)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), np.uint8)
    for index, (name, picture) in enumerate(pictures):
        top, left = (index // columns) * (height + GAP), (index % columns) * (width + GAP)
        window = sheet[top : top + picture.shape[0], left : left + picture.shape[1]]
        window[:] = picture
        letter(window, name, (4, 14), min(0.5, picture.shape[1] / 1000), (255, 255, 255))
    return sheet


def fit(picture: RGB, side: int) -> RGB:
    """Shrink a picture to a largest side; never enlarge it."""
    factor = side / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def write_png(path: Path, picture: RGB) -> None:
    """Write a picture as PNG."""
    import imagecodecs

    with replacing(path) as temporary:
        temporary.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(picture)))
