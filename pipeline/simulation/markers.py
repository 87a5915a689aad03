"""The three marker channels: microtubules, nucleus (DNA) and endoplasmic reticulum."""

import cv2
import numpy as np

from pipeline.simulation.drawing import Plane, as_plane, blur, smooth_noise, speckle, web
from pipeline.simulation.filaments import Growth, outwards, strands
from pipeline.simulation.placement import Phase
from pipeline.simulation.scene import Scene


def microtubules(scene: Scene, rng: np.random.Generator) -> Plane:
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


def spindles(scene: Scene, rng: np.random.Generator) -> Plane:
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


def dna(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint DNA: mottled chromatin with dark nucleoli, denser under the envelope; bright chromosomes."""
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


def reticulum(scene: Scene, rng: np.random.Generator) -> Plane:
    """Stain the endoplasmic reticulum of a field."""
    return as_plane(membranes(scene) * speckle(scene.shape, 0.5, rng))


def membranes(scene: Scene) -> Plane:
    """Paint where the endoplasmic reticulum is: the same each time, as all its proteins share it.

    Sheets around the nucleus open into a net and thin out. It is continuous with the nuclear
    envelope, and keeps out of nuclei and, in division, of the spindle.
    """
    rng = np.random.default_rng((scene.seed, 1))
    mesh = 0.3 + 0.7 * web(scene.shape, scene.px(1.2), 0.7, rng)
    sheets = np.clip(0.85 + 0.25 * smooth_noise(scene.shape, scene.px(0.6), rng), 0, None)
    close = scene.around_nucleus
    patches = np.clip(1 + 0.25 * smooth_noise(scene.shape, scene.px(4), rng), 0.3, None)
    density = 0.15 + 0.55 * scene.thickness + 0.6 * close
    plane = scene.cytoplasm * density * patches * (close * sheets + (1 - close) * mesh)
    envelope = scene.envelope * np.exp(-np.square(scene.nuclear_depth / scene.px(0.4)))
    # The spindle pushes the membranes to the cell's border.
    cleared = 1 - 0.75 * scene.dividing * np.clip(2 * scene.around_nucleus, 0, 1)
    return as_plane(plane * cleared + 0.4 * envelope + 0.06 * scene.envelope)
