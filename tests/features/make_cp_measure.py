"""Record what cp_measure gives for the usual scene: ``python tests/features/make_cp_measure.py``, by hand.

cp_measure needs centrosome, which refuses the pillow that this project is pinned to; so it is installed
into an environment of its own (``pip install cp_measure==0.3.0 pandas numba scikit-image``), which runs
this script with PYTHONPATH=. from the project's root. The tests read its answers in `cp_measure.json`.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from cp_measure.bulk import get_core_measurements, get_correlation_measurements
from scenes import scene

CELL, LEVELS, DISTANCES = 7, 32, (1, 2, 4)
RECORDED = Path(__file__).parent / "cp_measure.json"


def levels(plane: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return our 32 grey levels of a region as a picture that cp_measure takes as 256 levels: itself."""
    low, high = float(plane[mask].min()), float(plane[mask].max())
    level = np.minimum((plane.astype(float) - low) * (LEVELS / (high - low)), LEVELS - 1).astype(int) + 1
    return np.where(mask, level, 0) / 255


def answers() -> dict[str, dict[str, float]]:
    """Measure the second cell and its nucleus: protein alone, protein with ER."""
    given = scene()
    core, pairs = get_core_measurements(), get_correlation_measurements()
    protein, er = (given.picture[channel].astype(np.float32) / np.float32(255) for channel in (1, 3))
    out = {}
    for region, image in (("cell", given.cells), ("nucleus", given.nuclei)):
        mask = image == CELL
        labels = mask.astype(np.int32)
        for name in ("intensity", "sizeshape", "feret", "zernike", "radial_zernikes", "radial_distribution"):
            out[f"{region} {name}"] = core[name](labels, protein.astype(np.float64))
        for distance in DISTANCES:
            texture = core["texture"](labels, levels(protein, mask), scale=distance)
            out[f"{region} texture {distance}"] = texture
        for name, function in pairs.items():
            options = {"fast_costes": "Accurate", "scale_max": 255} if name == "costes" else {}
            planes = (protein.astype(np.float64), er.astype(np.float64))
            out[f"{region} {name}"] = function(*planes, labels, **options)
    return {
        part: {key: float(f"{np.ravel(value)[0]:.9g}") for key, value in table.items()}
        for part, table in out.items()
    }


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({"version": version("cp_measure"), **answers()}, indent=0) + "\n")
