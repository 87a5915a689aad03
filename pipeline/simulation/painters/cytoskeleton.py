"""Painters of the cytoskeleton: microtubules and their centres and ends, actin, intermediate filaments."""

import numpy as np

from pipeline.simulation import markers
from pipeline.simulation.drawing import Plane, as_plane, dots, lines, smooth_noise
from pipeline.simulation.filaments import STEP, Growth, grow, outwards, strands
from pipeline.simulation.scene import Scene


def microtubules(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint microtubules: the filaments of the marker, spindles included, unevenly decorated.

    Proteins that bind along microtubules show the same threads, some stretches more than others.
    """
    decoration = np.clip(1 + 0.35 * smooth_noise(scene.shape, scene.px(1.5), rng), 0.1, None)
    return as_plane(1.2 * markers.filaments(scene) * decoration)


def microtubule_ends(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint microtubule ends: short comets that point outwards, most of them towards the border.

    Proteins such as EB1 ride on growing plus ends and fade behind them over one or two micrometres.
    """
    weight = scene.cytoplasm * (0.2 + np.exp(-scene.edge_distance / scene.px(4)))
    starts = scene.scatter(weight, scene.per_area(0.05), rng)
    headings = outwards(scene, scene.centrosome, starts, 0.35, rng)
    points, age, _ = grow(scene, starts, headings, Growth(1.7, 0.1, 0.2), rng)
    comets = lines(scene.shape, points, STEP, scene.px(0.2), as_plane(3 * np.square(age)))
    return as_plane(comets + 0.05 * scene.cytoplasm)


def centrosome(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint centrosomes: one or two sharp dots beside the nucleus of each cell.

    The two centrioles lie half a micrometre to a few micrometres apart; in division one is at each pole.
    """
    cells = scene.population
    apart = rng.uniform(0.3, 1.2, (len(cells), 1)) / scene.pixel_um
    turn = rng.uniform(0, 2 * np.pi, len(cells))
    partner = scene.centrosome + apart * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    opposite = 2 * cells.centre - scene.centrosome
    second = np.where(cells.condensed[:, None], opposite, partner)
    spots = np.concatenate([scene.centrosome, second]).astype(np.float32)
    plane = dots(scene.shape, spots, scene.px(0.42), rng.uniform(1.6, 2.4, len(spots)).astype(np.float32))
    return as_plane(plane * scene.inside + rng.uniform(0.01, 0.06) * scene.cytoplasm)


def microtubule_organizing_center(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint the microtubule organizing centre: a fuzzy focus beside the nucleus from which fibres fade out.

    The cloud of material around the centrioles is larger than they are, and roots microtubules.
    """
    near = np.exp(-np.square(scene.from_centrosome / scene.px(0.75)) / 2) * scene.inside
    starts = scene.scatter(scene.cytoplasm * near, 22, rng)
    headings = outwards(scene, scene.centrosome, starts, 0.5, rng)
    points, age, _ = grow(scene, starts, headings, Growth(5, 0.2), rng)
    rays = lines(scene.shape, points, STEP, scene.px(0.2), np.square(1 - age))
    return as_plane(near + 0.4 * np.clip(rays, 0, 2) + rng.uniform(0.02, 0.08) * scene.cytoplasm)


def intermediate_filaments(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint intermediate filaments: a dense, wavy basket around the nucleus that frays outwards.

    Vimentin and keratins form curled bundles, unlike the straighter microtubules, and rarely reach
    the border.
    """
    weight = scene.around_nucleus * scene.cytoplasm
    starts = scene.scatter(weight, scene.per_area(0.07), rng)
    headings = outwards(scene, scene.centrosome, starts, 1.2, rng)
    bundles = strands(scene, starts, headings, Growth(9, 0.75), scene.px(0.22), rng)
    return as_plane(np.tanh(bundles) + 0.04 * scene.cytoplasm)


def actin_filaments(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint actin: straight parallel stress fibres along the cell, and a bright cortex with ruffles.

    Stress fibres cross the cell above and below the nucleus; the cortex is actin's densest layer,
    and all that rounded, dividing cells keep.
    """
    number = scene.per_area(rng.uniform(0.04, 0.11)) * ~scene.population.condensed
    starts = scene.scatter(scene.inside * (0.3 + scene.thickness), number, rng)
    headings = scene.at(scene.per_cell(scene.population.axis), starts) + rng.normal(0, 0.1, len(starts))
    headings += np.pi * rng.integers(0, 2, len(starts))
    growth = Growth(scene.pixel_um * 0.9 * float(np.median(scene.population.radius)), 0.06, 0.0)
    fibres = strands(scene, starts, headings.astype(np.float32), growth, scene.px(0.15), rng)
    cortex = scene.inside * np.exp(-scene.edge_distance / scene.px(0.7))
    ruffles = np.clip(0.6 + 0.7 * smooth_noise(scene.shape, scene.px(2), rng), 0, 2)
    return as_plane(np.tanh(0.8 * fibres) + 0.7 * cortex * ruffles + 0.06 * scene.inside * scene.thickness)
