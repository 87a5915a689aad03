"""Painters of the cell's border: plasma membrane, junctions and adhesions."""

import cv2
import numpy as np

from pipeline.simulation.drawing import Plane, as_plane, blur, smooth_noise
from pipeline.simulation.filaments import Growth, outwards, strands
from pipeline.simulation.scene import Scene


def plasma_membrane(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint the plasma membrane: a line along every border of the cell, a veil over it, and ruffles.

    A section shows the membrane edge-on at the border, brightest where two cells touch,
    and obliquely elsewhere.
    """
    line = scene.inside * np.exp(-np.square((scene.edge_distance - 0.5) / scene.px(0.5)))
    uneven = np.clip(0.85 + 0.35 * smooth_noise(scene.shape, scene.px(2.5), rng), 0.1, None)
    veil = scene.inside * (0.14 + 0.06 * smooth_noise(scene.shape, scene.px(0.5), rng))
    return as_plane(line * uneven + np.clip(veil, 0, None))


def cell_junctions(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint cell junctions: beaded lines only where two cells touch, nothing on free borders.

    Cadherins, tight junction and desmosome proteins need a partner on the neighbouring cell.
    """
    contact = _contacts(scene)
    beads = np.clip(1 + 0.6 * smooth_noise(scene.shape, scene.px(0.5), rng), 0.1, 2)
    inner = rng.uniform(0.05, 0.15) * scene.cytoplasm * (0.3 + 0.7 * scene.thickness)
    return as_plane(np.clip(blur(contact, scene.px(0.3)) * 2, 0, 1.5) * beads + inner)


def _contacts(scene: Scene) -> Plane:
    """1 on pixels of cells whose neighbourhood holds another cell, 0 elsewhere."""
    labels = scene.cells.astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(labels, around)
    lowest = cv2.erode(np.where(labels > 0, labels, labels.max() + 1), around)
    return as_plane((highest != lowest) & (lowest < highest) & (labels > 0))


def focal_adhesion_sites(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint focal adhesions: short thick dashes near the border that point to the cell's centre.

    Integrin clusters anchor stress fibres to the glass, 1 to 5 µm long, most of them at the ends of the cell.
    """
    band = np.exp(-np.square((scene.edge_distance - scene.px(1.8)) / scene.px(1.5)))
    starts = scene.scatter(scene.cytoplasm * band, scene.per_area(0.035) + 4, rng)
    headings = outwards(scene, scene.population.centre, starts, 0.3, rng)
    dashes = strands(scene, starts, headings, Growth(2.2, 0.05, 0.1), scene.px(0.32), rng)
    return as_plane(np.tanh(dashes) + 0.07 * scene.inside * (0.3 + 0.7 * scene.thickness))
