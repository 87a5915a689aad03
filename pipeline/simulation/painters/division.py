"""Painters of structures that only dividing cells have; the other cells of the field show little."""

import numpy as np

from pipeline.simulation import markers
from pipeline.simulation.drawing import Plane, as_plane, smooth_noise
from pipeline.simulation.scene import Scene


def mitotic_spindle(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint the mitotic spindle: fibres between the poles of dividing cells, and weak nuclei elsewhere.

    Spindle proteins are made for division and rest in the nucleus or cytosol in between.
    """
    grain = np.clip(1 + 0.3 * smooth_noise(scene.shape, scene.px(0.3), rng), 0, None)
    resting = rng.uniform(0.04, 0.14) * scene.envelope + 0.06 * scene.cytoplasm
    return as_plane(markers.spindles(scene, rng) + resting * grain)


def cytokinetic_bridge(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint the cytokinetic bridge: a short bright bar between two daughters, and weak cells elsewhere.

    Proteins of the midbody hold the bridge until it is cut.
    """
    grain = np.clip(1 + 0.3 * smooth_noise(scene.shape, scene.px(0.3), rng), 0, None)
    resting = rng.uniform(0.03, 0.1) * scene.envelope + 0.06 * scene.cytoplasm
    return as_plane(1.2 * markers.bridges(scene) + resting * grain)
