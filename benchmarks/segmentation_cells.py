"""Cells on simulated fields with true masks, and counts on real ones: networks and watershed.

Run from the project's folder: python benchmarks/segmentation_cells.py ../shared/real/hpa2018/images
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.segmentation import make_segmenter, measure_scale, readable_pictures, some_samples
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.fields import average_precision
from pipeline.simulation.field import simulate_picture

SEED = 990_001
"""No network was trained on fields of this seed."""

FIELDS = 32


def calibrated(pictures):
    """Return the default Cellpose segmenter with diameters estimated from some pictures."""
    segmenter = make_segmenter("cellpose")
    assert isinstance(segmenter, CellposeSegmenter)
    return segmenter.at(measure_scale(segmenter, pictures, cells=True))


def simulated() -> None:
    """Print the average precision of cells and nuclei on simulated fields."""
    fields = [simulate_picture(SEED, protein) for protein in range(FIELDS)]
    segmenters = [make_segmenter("watershed"), calibrated([field.picture for field in fields[::4]])]
    for segmenter in segmenters:
        found = [segmenter.segment(field.picture) for field in fields]
        pairs = list(zip(fields, found, strict=True))
        cells = np.mean([average_precision(a.cells, b.cells) for a, b in pairs], axis=0)
        nuclei = np.mean([average_precision(a.nuclei, b.nuclei) for a, b in pairs], axis=0)
        verdict = "met" if cells[0] >= 0.8 else "MISSED"
        print(
            f"{segmenter.name:10} {FIELDS} simulated fields: cells AP {cells.round(3)} (bar 0.80 at IoU 0.5: "
            f"{verdict}), nuclei AP {nuclei.round(3)}"
        )


def real(folder: Path) -> None:
    """Print how many real pictures have three cells or more."""
    samples, _ = find_samples(folder)
    for segmenter in (make_segmenter("watershed"), calibrated(readable_pictures(some_samples(samples)))):
        counts = np.array([segmenter.segment(read_picture(sample)).count for sample in samples])
        share = float((counts >= 3).mean())
        verdict = "met" if share >= 0.98 else "MISSED"
        print(
            f"{segmenter.name:10} {len(samples)} real pictures: {100 * share:.1f} % with 3 or more cells "
            f"(bar 98 %: {verdict}), median {np.median(counts):.0f} cells"
        )


if __name__ == "__main__":
    simulated()
    if len(sys.argv) > 1:
        real(Path(sys.argv[1]))
