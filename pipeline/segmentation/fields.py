"""Annotated fields for training a segmenter: reading them, and a fixed test part by field type."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.segmentation.shapes import median_diameter

TEST_EVERY = 5
"""One field in so many of each type is kept for testing: 20 %."""

BRIGHT = 64
"""99th percentile, of 255, that separates dim fields from bright ones."""


@dataclass(frozen=True)
class Field:
    """One annotated field.

    Attributes
    ----------
    name : str
        What the files are called, without their endings.
    planes : ndarray, shape (channels, height, width), float32
        What the network sees before normalisation.
    labels : ndarray, shape (height, width), int32
        0 is background; every other value is one object.
    """

    name: str
    planes: NDArray[np.float32]
    labels: NDArray[np.int32]


def read_fields(images: Path, labels: Path) -> list[Field]:
    """Read ``<name>_image.png`` from one folder and ``<name>_label.png`` from another (or the same).

    Raises
    ------
    PipelineError
        Where a folder is missing or holds no fields, a label image is missing, or sizes differ.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise PipelineError(f"{folder}: no such folder; it must hold the annotated fields")
    paths = sorted(images.glob("*_image.*"))
    if not paths:
        raise PipelineError(f"{images}: no files <name>_image.png; annotated fields are named like this")
    return [_read_field(path, labels) for path in paths]


def _read_field(path: Path, labels: Path) -> Field:
    name = path.stem.removesuffix("_image")
    label_path = labels / f"{name}_label{path.suffix}"
    if not label_path.is_file():
        raise PipelineError(f"{label_path}: missing; every {path.name} needs its label image")
    image = _read_array(path)
    label = _read_array(label_path).astype(np.int32)
    planes = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    if planes.shape[1:] != label.shape:
        raise PipelineError(f"{label_path}: size {label.shape} differs from its image's {planes.shape[1:]}")
    return Field(name, planes.astype(np.float32), label)


def _read_array(path: Path) -> NDArray[np.generic]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except (UnidentifiedImageError, OSError) as error:
        raise PipelineError(f"{path}: cannot be read ({error}); replace or remove the file") from error


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
