"""Annotated fields: reading them, a fixed test part by field type, and how well masks agree with them."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.files import UnreadableError
from pipeline.data.masks import read_mask
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample, find_samples
from pipeline.formats.plane_reader import PlaneReader, read_stored
from pipeline.formats.sources import Source
from pipeline.segmentation.label_images import median_diameter
from pipeline.segmentation.watershed import cytoplasm_channels

TEST_EVERY = 5
"""One field in so many of each type is kept for testing: 20 %."""

BRIGHT = 64
"""99th percentile, of 255, that separates dim fields from bright ones."""

THRESHOLDS = (0.5, 0.75)
"""Intersections over unions at which objects count as found."""

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Field:
    """One annotated field, named by its files without their endings; a value of `labels` is one object.

    Planes, shape (2 or 3, height, width), show what is seen of the objects, in one plane (nuclei) or those of
    `cytoplasm_channels` (cells), and last the nuclei, zeros where the objects are the nuclei.
    """

    name: str
    planes: NDArray[np.float32]
    labels: NDArray[np.int32]

    @property
    def network_planes(self) -> NDArray[np.float32]:
        """What the network sees before normalisation, shape (2, height, width)."""
        return np.stack([self.planes[:-1].mean(axis=0), self.planes[-1]])


def read_fields(objects: str, images: Path, labels: Path) -> list[Field]:
    """Read annotated fields of ``nuclei`` or ``cells``; refuse what is missing, unreadable or of other sizes.

    Either ``<name>_image.png`` in one folder and ``<name>_label.png`` in another (or the same): one grey
    plane of nuclei each. Or pictures of four channels, as for `extract`, and ``<Id>.tif`` with two pages
    (cells, nuclei), as `extract` and `simulate` write them; fields without one are left out.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise PipelineError(f"{folder}: no such folder; it must hold the annotated fields")
    paths = sorted(images.glob("*_image.*"))
    if paths and objects != "nuclei":
        raise PipelineError(f"{images}: one plane per field shows nuclei only; {objects} need four channels")
    if paths:
        return [_read_pair(path, labels) for path in paths]
    samples, _ = find_samples(images)
    labelled = [sample for sample in samples if (labels / f"{sample.id}.tif").is_file()]
    if not labelled:
        raise PipelineError(f"{labels}: no label images; name them <Id>.tif like the pictures of {images}")
    return [_read_sample(objects, sample, labels / f"{sample.id}.tif") for sample in labelled]


def _read_sample(objects: str, sample: Sample, path: Path) -> Field:
    try:
        picture = read_picture(sample)
    except SampleError as error:
        raise PipelineError(str(error)) from error
    if "nucleus" not in picture.channels:
        raise PipelineError(f"{sample.paths[0]}: no picture of nucleus beside it; add it for training")
    masks, _ = read_mask(path).with_small_labels()
    if objects == "cells":
        shown = *cytoplasm_channels(picture.channels), "nucleus"
        planes = np.stack([picture.plane(channel) for channel in shown])
        return _checked(Field(sample.id, planes, masks.cells.astype(np.int32)), path)
    return _checked(Field(sample.id, network_planes(objects, picture), masks.nuclei.astype(np.int32)), path)


def _read_pair(path: Path, labels: Path) -> Field:
    name = path.stem.removesuffix("_image")
    label_path = labels / f"{name}_label{path.suffix}"
    if not label_path.is_file():
        raise PipelineError(f"{label_path}: missing; every {path.name} needs its label image")
    with _refused(path), PlaneReader() as reader:
        image = reader.plane(Source((path,)), "blue").values
    with _refused(label_path):
        label = read_stored(label_path)
    planes = np.stack([255 * image, np.zeros_like(image)])
    return _checked(Field(name, planes, label.astype(np.int32)), label_path)


def _checked(field: Field, path: Path) -> Field:
    if field.planes.shape[1:] != field.labels.shape:
        raise PipelineError(f"{path}: size {field.labels.shape}, its picture's is {field.planes.shape[1:]}")
    return field


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Name a file that cannot be read."""
    try:
        yield
    except UnreadableError as error:
        raise PipelineError(f"{path}: {error.reason}; {error.remedy}, or remove the file") from error
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror}); replace or remove it") from error


def network_planes(objects: str, picture: Picture) -> NDArray[np.float32]:
    """Return what a network sees of a picture, shape (2, height, width), before normalisation.

    For nuclei the nucleus plane and zeros; for cells the mean of what shows the cytoplasm
    (`cytoplasm_channels`), and the nucleus.
    """
    nucleus = picture.plane("nucleus")
    if objects == "nuclei":
        return np.stack([nucleus, np.zeros_like(nucleus)])
    planes = [picture.plane(channel) for channel in cytoplasm_channels(picture.channels)]
    return np.stack([sum(planes) / np.float32(len(planes)), nucleus])


def field_type(field: Field) -> tuple[int, int, int, bool]:
    """Return what a field looks like: its size, octave of the median object diameter, and brightness."""
    octave = int(np.log2(max(1.0, median_diameter(field.labels))))
    height, width = field.labels.shape
    return height, width, octave, bool(np.percentile(field.planes[0], 99) >= BRIGHT)


def split_fields(fields: Iterable[Field]) -> tuple[list[Field], list[Field]]:
    """Split fields into training and test parts, the same on every machine.

    Fields are grouped by `field_type`; in every group, in the order of the sha256 of their names,
    every fifth goes to the test part. No chance and no library decides.
    """
    groups: defaultdict[tuple[int, int, int, bool], list[Field]] = defaultdict(list)
    for field in fields:
        groups[field_type(field)].append(field)
    ordered = [
        field
        for key in sorted(groups)
        for field in sorted(groups[key], key=lambda one: hashlib.sha256(one.name.encode()).hexdigest())
    ]
    test = ordered[TEST_EVERY // 2 :: TEST_EVERY]
    kept = {field.name for field in test}
    return [field for field in ordered if field.name not in kept], test


def average_precision(truth: Labels, found: Labels) -> NDArray[np.float64]:
    """Return Cellpose's average precision, TP / (TP + FP + FN), at each of `THRESHOLDS`.

    1 where neither holds an object.
    """
    import fastremap
    from cellpose import metrics

    ours, theirs = (fastremap.renumber(labels.astype(np.int32))[0] for labels in (truth, found))
    if not ours.any() and not theirs.any():
        return np.ones(len(THRESHOLDS))
    return np.asarray(metrics.average_precision(ours, theirs, list(THRESHOLDS))[0], np.float64)


def score_fields(fields: Iterable[Field], find: Callable[[Field], Labels]) -> dict[str, float]:
    """Return the mean average precision over fields, keyed ``ap50`` and ``ap75``."""
    mean = np.mean([average_precision(field.labels, find(field)) for field in fields], axis=0)
    names = (f"ap{round(100 * threshold)}" for threshold in THRESHOLDS)
    return {name: round(float(value), 4) for name, value in zip(names, mean, strict=True)}
