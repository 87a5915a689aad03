"""Painters of the cytosol and of the large organelles."""

import numpy as np

from pipeline.simulation import markers
from pipeline.simulation.drawing import Plane, as_plane, dots, smooth_noise
from pipeline.simulation.filaments import Growth, outwards, strands
from pipeline.simulation.scene import Scene


def cytosol(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint the cytosol: the whole cytoplasm, brighter where the cell is thick, grainy.

    Soluble proteins fill the cell around the organelles; large complexes stay out of the nucleus,
    small ones also appear weakly in it.
    """
    grain = np.clip(1 + 0.32 * smooth_noise(scene.shape, scene.px(0.3), rng), 0, None)
    clouds = np.clip(1 + 0.18 * smooth_noise(scene.shape, scene.px(3), rng), 0.3, None)
    fill = scene.cytoplasm * (0.25 + 0.6 * scene.thickness + 0.3 * scene.around_nucleus)
    return as_plane(0.65 * fill * grain * clouds + rng.uniform(0.02, 0.15) * scene.envelope)


def endoplasmic_reticulum(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint the endoplasmic reticulum: the membranes of the marker, some parts of them more than others.

    Resident proteins fill the same membranes, but rough sheets and smooth tubules hold them unequally.
    """
    share = np.clip(1 + 0.25 * smooth_noise(scene.shape, scene.px(2), rng), 0.2, None)
    return as_plane(rng.uniform(0.75, 1.0) * markers.membranes(scene) * share)


def golgi_apparatus(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint the Golgi: a ribbon of short, bright, curled cisternae on one side of the nucleus.

    It sits around the centrosome, hugs the envelope and breaks up in division.
    """
    spread = scene.px(rng.uniform(2.0, 3.2))
    close = np.exp(-np.square(scene.from_centrosome / spread) / 2)
    hug = np.exp(-scene.nuclear_distance / scene.px(3.5))
    weight = scene.cytoplasm * np.where(scene.dividing, 1, close * hug + 1e-5)
    starts = scene.scatter(weight, np.where(scene.population.condensed, 25, rng.uniform(14, 24)), rng)
    headings = rng.uniform(0, 2 * np.pi, len(starts)).astype(np.float32)
    ribbons = strands(scene, starts, headings, Growth(2.4, 0.9), scene.px(0.3), rng)
    vesicles = scene.scatter(scene.around_nucleus, 4, rng)
    return as_plane(
        1.6 * np.tanh(ribbons) + dots(scene.shape, vesicles, scene.px(0.3), 0.3) + 0.03 * scene.cytoplasm
    )


def mitochondria(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint mitochondria: winding threads and short rods, crowded around the nucleus, absent from it.

    They are 0.5 µm thick and 1 to 10 µm long, move along microtubules and so mostly lie along the cell.
    """
    weight = as_plane(scene.cytoplasm * (0.15 + scene.around_nucleus) * np.clip(scene.thickness, 0.05, 1))
    starts = scene.scatter(weight, scene.per_area(rng.uniform(0.07, 0.14)), rng)
    headings = outwards(scene, scene.centrosome, starts, 0.9, rng)
    growth = Growth(rng.uniform(2.5, 7.0), rng.uniform(0.3, 0.5))
    threads = strands(scene, starts, headings, growth, scene.px(0.22), rng)
    return as_plane(1.4 * np.tanh(threads) + 0.03 * scene.cytoplasm)


def aggresome(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint aggresomes: one large, compact, bright clump beside the nucleus of many cells.

    Misfolded protein is carried along microtubules to the centrosome and piles up there, a few micrometres
    wide; what has not been collected yet is spread thinly through the cytosol.
    """
    number = len(scene.population)
    radius = rng.uniform(1.0, 2.4, number) / scene.pixel_um * (rng.random(number) < 0.75)
    reach = scene.per_cell(radius) + 0.01
    ragged = 1 + 0.15 * smooth_noise(scene.shape, scene.px(0.7), rng)
    clump = 1 / (1 + np.exp(np.clip(5 * (scene.from_centrosome * ragged / reach - 1), -30, 30)))
    texture = np.clip(1 + 0.15 * smooth_noise(scene.shape, scene.px(0.4), rng), 0, None)
    return as_plane(scene.cytoplasm * (clump * texture + 0.1 * (0.3 + 0.7 * scene.thickness)))
