"""The nucleus: the stain of DNA, and painters of locations inside the nucleus."""

import numpy as np
from numpy.random import Generator

from pipeline.simulation.drawing import Plane, as_plane, blur, dots, smooth_noise
from pipeline.simulation.scene import Scene


def stain_dna(scene: Scene, rng: Generator) -> Plane:
    """Stain DNA: mottled chromatin with dark nucleoli, denser under the envelope; bright chromosomes."""
    cells = scene.population
    brightness = np.exp(rng.normal(0, 0.22, len(cells)))
    brightness = brightness * np.where(cells.condensed, 1.7, 1.0)
    fine, coarse = (smooth_noise(scene.shape, scene.px(size), rng) for size in (0.3, 0.7))
    mottle = 0.7 * fine + 0.7 * coarse
    contrast = scene.per_cell(rng.uniform(0.12, 0.34, len(cells)))
    chromatin = np.clip(0.75 + contrast * mottle, 0.1, None)
    rim = 0.12 * np.exp(-np.square(scene.nuclear_depth - scene.px(0.5)) / scene.px(0.5) ** 2)
    holes = blur((scene.nucleoli > 0).astype(np.float32), 0.6)
    plane = np.where(scene.envelope, (chromatin + rim) * (1 - 0.7 * holes), 0)
    plane = plane + np.where(scene.chromosomes, 0.9 + 0.15 * mottle, 0)
    return as_plane(plane * scene.per_cell(brightness))


def _released(scene: Scene) -> Plane:
    """In division the envelope is gone, and nuclear proteins fill the cell around the chromosomes."""
    return as_plane(0.35 * scene.dividing * (1 - 0.6 * scene.chromosomes))


def _soft_nucleoli(scene: Scene) -> Plane:
    return blur((scene.nucleoli > 0).astype(np.float32), 0.7)


def nucleoplasm(scene: Scene, rng: Generator) -> Plane:
    """Paint the nucleoplasm: the whole nucleus, finely grained, with the nucleoli left out.

    Most proteins of this class are soluble or spread along chromatin, so that they follow the DNA stain
    loosely; nucleoli hold few of them.
    """
    grain = 0.16 * smooth_noise(scene.shape, scene.px(0.4), rng)
    clumps = rng.uniform(0.02, 0.2) * smooth_noise(scene.shape, scene.px(1.2), rng)
    spared = 1 - rng.uniform(0.35, 0.9) * _soft_nucleoli(scene)
    return as_plane(scene.envelope * np.clip(0.7 + grain + clumps, 0.05, None) * spared + _released(scene))


def nuclear_membrane(scene: Scene, rng: Generator) -> Plane:
    """Paint the nuclear membrane: a thin line around the nucleus, with folds across it.

    Lamins and pore proteins line the envelope; a section also cuts it obliquely, which gives a weak
    veil over the nucleus, and wrinkled nuclei show bright folds.
    """
    width = scene.px(0.35)
    rim = scene.envelope * np.exp(-np.square((scene.nuclear_depth - 1) / width))
    pores = np.clip(1 + 0.2 * smooth_noise(scene.shape, scene.px(0.5), rng), 0.2, None)
    fold = smooth_noise(scene.shape, scene.px(3.5), rng)
    folds = np.exp(-np.square(fold / 0.05)) * (smooth_noise(scene.shape, scene.px(5), rng) > 1.1)
    return as_plane(rim * pores + scene.envelope * (0.16 + 0.5 * folds) + 0.4 * _released(scene))


def nucleoli(scene: Scene, rng: Generator) -> Plane:
    """Paint nucleoli: the one to five dark holes of the DNA stain, filled, and a little nucleoplasm.

    Ribosome assembly proteins fill the whole nucleolus (its granular component) and are
    strongly enriched there.
    """
    texture = np.clip(1 + 0.18 * smooth_noise(scene.shape, scene.px(0.4), rng), 0.2, None)
    around = rng.uniform(0.03, 0.15) * scene.envelope + _released(scene)
    return as_plane(_soft_nucleoli(scene) * texture + around)


def fibrillar_center(scene: Scene, rng: Generator) -> Plane:
    """Paint fibrillar centres: clusters of small dots inside the nucleoli, which are not filled.

    RNA polymerase I and UBF sit where ribosomal DNA is transcribed, several spots per nucleolus.
    """
    core = np.where(scene.nucleoli > 0, 1, 0).astype(np.float32)
    count = scene.per_area(0.8, scene.nucleoli > 0)
    spots = scene.scatter(core, np.maximum(count, 2 * (count > 0)), rng)
    plane = dots(scene.shape, spots, scene.px(0.24), 1.4 * rng.gamma(4, 0.25, len(spots)).astype(np.float32))
    return as_plane(np.clip(plane, 0, 2.5) + rng.uniform(0.02, 0.1) * scene.envelope + 0.5 * _released(scene))


def nuclear_speckles(scene: Scene, rng: Generator) -> Plane:
    """Paint nuclear speckles: twenty to fifty irregular patches per nucleus, between the chromatin.

    Splicing factors gather in interchromatin granule clusters: ragged, uneven in size, joined in places,
    never in nucleoli, over a clear nucleoplasmic background.
    """
    coarse = smooth_noise(scene.shape, scene.px(0.65), rng)
    mixed = coarse + 0.5 * smooth_noise(scene.shape, scene.px(0.35), rng)
    patches = np.clip(2 * (mixed - rng.uniform(0.5, 0.85)), 0, 1.6)
    deep = np.clip(scene.nuclear_depth / scene.px(1.0), 0, 1)
    region = scene.envelope * (1 - _soft_nucleoli(scene))
    return as_plane(region * (deep * patches + rng.uniform(0.08, 0.22)) + _released(scene))


def nuclear_bodies(scene: Scene, rng: Generator) -> Plane:
    """Paint nuclear bodies: two to fifteen round, sharp dots of similar size in each nucleus.

    PML bodies, Cajal bodies and gems are discrete spheres of 0.3 to 1 µm.
    """
    region = as_plane(scene.envelope & (scene.nucleoli == 0) & (scene.nuclear_depth > scene.px(0.6)))
    number = rng.uniform(2.5, 12)
    spots = scene.scatter(region, rng.gamma(6, number / 6, len(scene.population)), rng)
    size = scene.px(rng.uniform(0.32, 0.5))
    plane = dots(scene.shape, spots, size, rng.gamma(8, 1 / 8, len(spots)).astype(np.float32))
    return as_plane(1.7 * plane + rng.uniform(0.03, 0.1) * scene.envelope + 0.5 * _released(scene))
