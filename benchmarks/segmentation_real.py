"""What the network for cells does on real pictures, for which there is no truth.

For each picture: the share of nuclei to which the network itself gives a cell, before the matching rule gives
the others one; and the share of the microtubules' and ER's foreground that lies in its cells. On some: the
agreement (average precision at IoU 0.5 and 0.75) of the final cells with those of the same picture mirrored,
shrunk and blurred.

Run from the project's folder:
python benchmarks/segmentation_real.py ../shared/real/hpa2018/images [weights for cells]
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import find_samples
from pipeline.segmentation import make_segmenter, measure_scale, readable_pictures, some_samples
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.fields import average_precision
from pipeline.segmentation.label_images import holders
from pipeline.segmentation.watershed import cytoplasm_signal, foreground

EVERY = 4
"""One picture in so many is also changed and segmented again."""

SMALLER = 0.8
BLUR = 1.0


def changed(segmenter, picture):
    """Yield, by name, the cells found in changed copies of a picture, brought back to its own frame."""
    mirrored = segmenter.segment(Picture(np.ascontiguousarray(picture.pixels[:, :, ::-1])))
    yield "mirrored", mirrored.cells[:, ::-1]
    side = round(picture.shape[1] * SMALLER), round(picture.shape[0] * SMALLER)
    small = np.stack([cv2.resize(plane, side, interpolation=cv2.INTER_AREA) for plane in picture.pixels])
    diameters = segmenter.nuclei_diameter * SMALLER, segmenter.cell_diameter * SMALLER
    smaller = replace(segmenter, nuclei_diameter=diameters[0], cell_diameter=diameters[1])
    cells = smaller.segment(Picture(small)).cells
    yield f"shrunk to {SMALLER}", cv2.resize(cells, picture.shape[::-1], interpolation=cv2.INTER_NEAREST)
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), BLUR) for plane in picture.pixels])
    yield f"blurred by {BLUR:g} pixel", segmenter.segment(Picture(blurred)).cells


def given_and_covered(segmenter, picture):
    """Return the share of nuclei with a cell of the network, and of the foreground in its cells."""
    nuclei, cells = segmenter.nuclei_in(picture), segmenter.find_cells(picture)
    present = np.unique(nuclei[nuclei > 0])
    signal = cytoplasm_signal(picture)
    inside = foreground(signal, nuclei)
    return (holders(cells, nuclei)[present] > 0).mean(), (cells[inside] > 0).mean()


def main(folder: Path, weights: str) -> None:
    """Print the shares over all pictures, the worst pictures, and the agreements."""
    samples, _ = find_samples(folder)
    bare = make_segmenter("cellpose", cell_weights=weights)
    assert isinstance(bare, CellposeSegmenter)
    segmenter = bare.at(measure_scale(bare, readable_pictures(some_samples(samples)), cells=True))
    print(f"{weights}: diameters {segmenter.nuclei_diameter} and {segmenter.cell_diameter} pixels")
    pictures = [read_picture(sample) for sample in samples]
    shares = np.array([given_and_covered(segmenter, picture) for picture in pictures])
    for column, name in enumerate(("nuclei with a cell of the network's own", "foreground in its cells")):
        values = shares[:, column]
        low = ", ".join(f"{samples[k].id[:8]} {values[k]:.2f}" for k in np.argsort(values)[:6])
        few = int((values < 0.8).sum())
        print(f"{name}: mean {values.mean():.3f}, below 0.8 in {few}; worst {low}", flush=True)
    agreement: dict[str, list] = {}
    for picture in pictures[::EVERY]:
        plain = segmenter.segment(picture).cells
        for name, cells in changed(segmenter, picture):
            agreement.setdefault(name, []).append(average_precision(plain, cells))
    for name, scores in agreement.items():
        print(f"{len(scores)} pictures {name}: agreement {np.mean(scores, axis=0).round(3)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "shipped:cells")
