"""The cytoskeleton and the cell's border: the stain of microtubules, and painters.

Painters of microtubules and their centres and ends, the spindle and the bridge of dividing cells, actin,
intermediate filaments, plasma membrane, junctions and adhesions.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.simulation.drawing import Plane, as_plane, blur, directions, dots, lines, smooth_noise, speckle
from pipeline.simulation.filament_growth import STEP, Growth, grow, outwards, strands
from pipeline.simulation.placement import Phase
from pipeline.simulation.scene import Scene


def stain_microtubules(scene: Scene, rng: Generator) -> Plane:
    """Stain the microtubules, spindles and bridges of a field."""
    return as_plane(filaments(scene) * speckle(scene.shape, 0.3, rng))


def filaments(scene: Scene) -> Plane:
    """Paint where microtubules are: the same each time, as every protein on them shows the same ones.

    Filaments are dense around the centrosome, where many begin, bend around the nucleus and slide
    along the cell's border. Others start in the cytoplasm (from the Golgi, or cut loose) and point outwards.
    In division they make up the spindle, and later the bridge between the daughters.
    """
    rng = np.random.default_rng((scene.seed, 0))
    number = scene.per_area(0.22 * scene.line.filaments) * ~scene.population.condensed
    near = scene.cytoplasm * np.exp(-scene.from_centrosome / scene.px(2.0))
    radial = scene.scatter(near, 0.22 * number, rng)
    loose = scene.scatter(scene.cytoplasm, 0.78 * number, rng)
    starts = np.concatenate([radial, loose])
    headings = outwards(scene, scene.centrosome, starts, 0.6, rng)
    headings[: len(radial)] = rng.uniform(0, 2 * np.pi, len(radial))
    reach = float(np.median(scene.population.radius)) * scene.pixel_um * 1.3
    threads = strands(scene, starts, headings, Growth(reach, 0.15, 0.6), 0.4, rng)
    haze = scene.thickness * scene.cytoplasm
    return as_plane(0.3 * threads + 0.05 * haze + 1.3 * spindles(scene, rng) + 0.8 * bridges(scene))


def spindles(scene: Scene, rng: Generator) -> Plane:
    """Paint the spindle of cells in metaphase and what is left of it between separating chromosomes.

    Fibres run from two poles towards the chromosomes; in anaphase they fill the space between the two sets.
    """
    plane = np.zeros(scene.shape, np.float32)
    cells = scene.population
    along, across = _on_axis(scene)
    for phase in (Phase.METAPHASE, Phase.ANAPHASE):
        if not (cells.phase == phase).any():
            continue
        half = scene.per_cell(cells.nucleus_radius * (0.8 if phase == Phase.METAPHASE else 1.3)) + 1
        u, v = np.abs(along) / half, np.abs(across) / half
        # A spindle is widest at the equator and comes to a point at the poles.
        width = 0.62 * np.sqrt(np.clip(1 - u, 0, 1)) + 0.05
        body = np.exp(-np.square(v / width)) * (u < 1.05)
        poles = np.exp(-(np.square(u - 0.9) + np.square(v)) / 0.02)
        plane += scene.is_phase(phase) * (body + 0.7 * poles).astype(np.float32)
    texture = np.clip(1 + 0.4 * smooth_noise(scene.shape, scene.px(0.3), rng), 0, None)
    return plane * texture


def _on_axis(scene: Scene) -> tuple[Plane, Plane]:
    """Pixels along and across each cell's axis from its centre."""
    rows, columns = scene.offset(scene.population.centre)
    sine, cosine = (scene.per_cell(f(scene.population.axis)) for f in (np.sin, np.cos))
    return rows * sine + columns * cosine, columns * sine - rows * cosine


def bridges(scene: Scene) -> Plane:
    """Paint the microtubule bundle that runs through the bridge between two daughters."""
    canvas = np.zeros(scene.shape, np.uint8)
    cells = scene.population
    for row in np.flatnonzero((cells.phase == Phase.DAUGHTER) & (cells.partner > np.arange(len(cells)))):
        ends = cells.centre[[row, cells.partner[row]]]
        middle, half = ends.mean(axis=0), (ends[1] - ends[0]) * 0.28
        first, last = (tuple(int(v * 16) for v in (middle + sign * half)[::-1]) for sign in (-1, 1))
        cv2.line(canvas, first, last, 255, max(1, round(scene.px(0.9))), cv2.LINE_AA, 4)
    return blur(canvas.astype(np.float32) / 255, 0.8)


def microtubules(scene: Scene, rng: Generator) -> Plane:
    """Paint microtubules: the filaments of the marker, spindles included, unevenly decorated.

    Proteins that bind along microtubules show the same threads, some stretches more than others.
    """
    decoration = np.clip(1 + 0.35 * smooth_noise(scene.shape, scene.px(1.5), rng), 0.1, None)
    return as_plane(1.2 * filaments(scene) * decoration)


def microtubule_ends(scene: Scene, rng: Generator) -> Plane:
    """Paint microtubule ends: short comets that point outwards, most of them towards the border.

    Proteins such as EB1 ride on growing plus ends and fade behind them over one or two micrometres.
    """
    weight = scene.cytoplasm * (0.2 + np.exp(-scene.edge_distance / scene.px(4)))
    starts = scene.scatter(weight, scene.per_area(0.05), rng)
    headings = outwards(scene, scene.centrosome, starts, 0.35, rng)
    points, age, _ = grow(scene, starts, headings, Growth(1.7, 0.1, 0.2), rng)
    comets = lines(scene.shape, points, STEP, scene.px(0.2), as_plane(3 * np.square(age)))
    return as_plane(comets + 0.05 * scene.cytoplasm)


def centrosome(scene: Scene, rng: Generator) -> Plane:
    """Paint centrosomes: one or two sharp dots beside the nucleus of each cell.

    The two centrioles lie half a micrometre to a few micrometres apart; in division one is at each pole.
    """
    cells = scene.population
    apart = rng.uniform(0.3, 1.2, (len(cells), 1)) / scene.pixel_um
    turn = rng.uniform(0, 2 * np.pi, len(cells))
    partner = scene.centrosome + apart * directions(turn)
    opposite = 2 * cells.centre - scene.centrosome
    second = np.where(cells.condensed[:, None], opposite, partner)
    spots = np.concatenate([scene.centrosome, second]).astype(np.float32)
    plane = dots(scene.shape, spots, scene.px(0.42), rng.uniform(1.6, 2.4, len(spots)).astype(np.float32))
    return as_plane(plane * scene.inside + rng.uniform(0.01, 0.06) * scene.cytoplasm)


def microtubule_organizing_center(scene: Scene, rng: Generator) -> Plane:
    """Paint the microtubule organizing centre: a fuzzy focus beside the nucleus from which fibres fade out.

    The cloud of material around the centrioles is larger than they are, and roots microtubules.
    """
    near = np.exp(-np.square(scene.from_centrosome / scene.px(0.75)) / 2) * scene.inside
    starts = scene.scatter(scene.cytoplasm * near, 22, rng)
    headings = outwards(scene, scene.centrosome, starts, 0.5, rng)
    points, age, _ = grow(scene, starts, headings, Growth(5, 0.2), rng)
    rays = lines(scene.shape, points, STEP, scene.px(0.2), np.square(1 - age))
    return as_plane(near + 0.4 * np.clip(rays, 0, 2) + rng.uniform(0.02, 0.08) * scene.cytoplasm)


def intermediate_filaments(scene: Scene, rng: Generator) -> Plane:
    """Paint intermediate filaments: a dense, wavy basket around the nucleus that frays outwards.

    Vimentin and keratins form curled bundles, unlike the straighter microtubules, and rarely reach
    the border.
    """
    weight = scene.around_nucleus * scene.cytoplasm
    starts = scene.scatter(weight, scene.per_area(0.07), rng)
    headings = outwards(scene, scene.centrosome, starts, 1.2, rng)
    bundles = strands(scene, starts, headings, Growth(9, 0.75), scene.px(0.22), rng)
    return as_plane(np.tanh(bundles) + 0.04 * scene.cytoplasm)


def actin_filaments(scene: Scene, rng: Generator) -> Plane:
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


def mitotic_spindle(scene: Scene, rng: Generator) -> Plane:
    """Paint the mitotic spindle: fibres between the poles of dividing cells, and weak nuclei elsewhere.

    Spindle proteins are made for division and rest in the nucleus or cytosol in between.
    """
    resting = _resting(scene, 0.04, 0.14, rng)
    return as_plane(spindles(scene, rng) + resting)


def cytokinetic_bridge(scene: Scene, rng: Generator) -> Plane:
    """Paint the cytokinetic bridge: a short bright bar between two daughters, and weak cells elsewhere.

    Proteins of the midbody hold the bridge until it is cut.
    """
    resting = _resting(scene, 0.03, 0.1, rng)
    return as_plane(1.2 * bridges(scene) + resting)


def _resting(scene: Scene, low: float, high: float, rng: Generator) -> NDArray[np.float64]:
    """Paint cells that do not divide: a protein of division rests in the nucleus or the cytosol."""
    grain = np.clip(1 + 0.3 * smooth_noise(scene.shape, scene.px(0.3), rng), 0, None)
    return np.asarray((rng.uniform(low, high) * scene.envelope + 0.06 * scene.cytoplasm) * grain)


def plasma_membrane(scene: Scene, rng: Generator) -> Plane:
    """Paint the plasma membrane: a line along every border of the cell, a veil over it, and ruffles.

    A section shows the membrane edge-on at the border, brightest where two cells touch,
    and obliquely elsewhere.
    """
    line = scene.inside * np.exp(-np.square((scene.edge_distance - 0.5) / scene.px(0.5)))
    uneven = np.clip(0.85 + 0.35 * smooth_noise(scene.shape, scene.px(2.5), rng), 0.1, None)
    veil = scene.inside * (0.14 + 0.06 * smooth_noise(scene.shape, scene.px(0.5), rng))
    return as_plane(line * uneven + np.clip(veil, 0, None))


def cell_junctions(scene: Scene, rng: Generator) -> Plane:
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


def focal_adhesion_sites(scene: Scene, rng: Generator) -> Plane:
    """Paint focal adhesions: short thick dashes near the border that point to the cell's centre.

    Integrin clusters anchor stress fibres to the glass, 1 to 5 µm long, most of them at the ends of the cell.
    """
    band = np.exp(-np.square((scene.edge_distance - scene.px(1.8)) / scene.px(1.5)))
    starts = scene.scatter(scene.cytoplasm * band, scene.per_area(0.035) + 4, rng)
    headings = outwards(scene, scene.population.centre, starts, 0.3, rng)
    dashes = strands(scene, starts, headings, Growth(2.2, 0.05, 0.1), scene.px(0.32), rng)
    return as_plane(np.tanh(dashes) + 0.07 * scene.inside * (0.3 + 0.7 * scene.thickness))
