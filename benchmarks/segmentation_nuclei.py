"""Nuclei on the fields kept for testing: the shipped network against the watershed, and the bars.

Run from the project's folder: python benchmarks/segmentation_nuclei.py ../shared/real/nuclei_dsb2018
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.segmentation.fields import average_precision, field_type, read_fields, split_fields
from pipeline.segmentation.inference import estimate_diameter, find_objects
from pipeline.segmentation.label_images import median_diameter
from pipeline.segmentation.network import find_weights
from pipeline.segmentation.watershed import WatershedSegmenter

BARS = (0.85, 0.65)


def main(folder: Path, name: str) -> None:
    """Print the average precision of each method, by field type and over all test fields."""
    weights = find_weights(name)
    _, test = split_fields(read_fields("nuclei", folder, folder))
    watershed = WatershedSegmenter()
    methods = {
        "watershed": lambda field: watershed.find_nuclei(field.planes[0] / 255),
        "network, diameter estimated": lambda field: find_objects(
            weights, field.network_planes, estimate_diameter(weights, [field.network_planes]), "cpu"
        ),
        "network, diameter of the truth": lambda field: find_objects(
            weights, field.network_planes, median_diameter(field.labels), "cpu"
        ),
    }
    scores = {
        method: np.array([average_precision(field.labels, find(field)) for field in test])
        for method, find in methods.items()
    }
    types = np.array([str(field_type(field)) for field in test])
    print(f"{len(test)} test fields; mean AP at IoU 0.5 and 0.75")
    for kind in [*sorted(set(types)), "all"]:
        chosen = (types == kind) | (kind == "all")
        told = "  ".join(f"{table[chosen].mean(axis=0).round(3)}" for table in scores.values())
        print(f"{kind:32} n={chosen.sum():3}  {told}")
    print("columns:", ", ".join(scores))
    ours = scores["network, diameter estimated"].mean(axis=0)
    base = scores["watershed"].mean(axis=0)
    for value, bar, other, at in zip(ours, BARS, base, ("0.5", "0.75"), strict=True):
        verdict = "met" if value >= bar and value > other else "MISSED"
        print(f"AP@{at}: {value:.3f} (bar {bar}, watershed {other:.3f}): {verdict}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "shipped:nuclei")
