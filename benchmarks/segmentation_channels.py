"""Cells found without markers, on simulated fields with true outlines: F1 where half of the union is shared.

Without microtubules and ER: in the protein, or nuclei grown by 1, 2 or 3 median nuclear radii.

Run from the project's folder: python benchmarks/segmentation_channels.py [FIELDS]
"""

import sys
from pathlib import Path

import numpy as np
from skimage.segmentation import expand_labels

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.data.layouts import CHANNELS
from pipeline.data.pictures import Picture
from pipeline.segmentation import make_segmenter, measure_scale
from pipeline.segmentation.fields import average_precision
from pipeline.segmentation.label_images import median_diameter
from pipeline.simulation.field import simulate_picture

SEED = 990_001
"""No network was trained on fields of this seed."""

ABSENT = (), ("er",), ("microtubules",), ("microtubules", "er")


def f1(truth, found):
    """Return F1 at an intersection over union of 0.5: of TP / (TP + FP + FN), that is 2 p / (1 + p)."""
    precision = average_precision(truth, found)[0]
    return 2 * precision / (1 + precision)


def lacking(picture, absent):
    """Return a picture without some channels."""
    left = tuple(name for name in CHANNELS if name not in absent)
    return Picture(np.stack([picture.plane(name) for name in left]), picture.pixel_size_um, left)


def main(number: int) -> None:
    """Print the mean F1 of cells for every set of channels and segmenter."""
    fields = [simulate_picture(SEED, protein) for protein in range(number)]
    for name in ("watershed", "cellpose"):
        for absent in ABSENT:
            pictures = [lacking(field.picture, absent) for field in fields]
            made = make_segmenter(name)
            segmenter = made.at(measure_scale(made, pictures[::4], cells=True))
            found = [segmenter.segment(picture) for picture in pictures]
            score = np.mean([f1(field.cells, one.cells) for field, one in zip(fields, found, strict=True)])
            print(f"{name:10} without {' and '.join(absent) or 'nothing'}: F1 {score:.3f}", flush=True)
        for reach in (1, 2, 3):
            grown = [
                f1(field.cells, expand_labels(one.nuclei, reach * median_diameter(one.nuclei) / 2))
                for field, one in zip(fields, found, strict=True)
            ]
            print(f"{name:10} nuclei grown by {reach} radii: F1 {np.mean(grown):.3f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 32)
