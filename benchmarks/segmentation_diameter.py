"""How well diameters are estimated, on fields of the training part only, and whether the constants matter.

Run from the project's folder: python benchmarks/segmentation_diameter.py ../shared/real/nuclei_dsb2018
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.segmentation.fields import read_fields, split_fields
from pipeline.segmentation.inference import BEARABLE, LADDER, TOLL, quality, see
from pipeline.segmentation.label_images import median_diameter
from pipeline.segmentation.network import find_weights

EVERY = 11
"""One training field in so many is looked at."""


def main(folder: Path) -> None:
    """Print, for each choice of the constants, how far the estimates are from the true diameters."""
    weights = find_weights("shipped:nuclei")
    fit, _ = split_fields(read_fields("nuclei", folder, folder))
    fields = fit[EVERY // 2 :: EVERY]
    truth = np.array([median_diameter(field.labels) for field in fields])
    looks = [
        [
            (*see(weights, field.network_planes, step), step)
            for step in LADDER
            if step < max(field.labels.shape)
        ]
        for field in fields
    ]
    print(f"{len(fields)} training fields; off by a factor: median, and how many by more than 1.25 and 1.5")
    for bearable in (1.8, 2.0, BEARABLE, 3.0, 4.0):
        for toll in (0.0, 0.5, TOLL, 2.0):
            rated = [max((quality(*look, bearable, toll), look[1]) for look in one) for one in looks]
            found = np.array([diameter if good else np.nan for good, diameter in rated])
            off = np.exp(np.abs(np.log(found / truth)))
            far = [int((~(off <= limit)).sum()) for limit in (1.25, 1.5)]
            ours = "  (used)" if (bearable, toll) == (BEARABLE, TOLL) else ""
            print(f"bearable {bearable}, toll {toll}: {np.nanmedian(off):.3f}, {far[0]}, {far[1]}{ours}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
