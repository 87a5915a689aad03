"""Other looks of the locations that the simulator's painters do not have, as real pictures show them.

A painter takes the geometry of a field and a generator and returns one plane in which a bright structure is
about 1, as those of `pipeline.simulation.field.PAINTERS`; what nobody knows is drawn at random.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from pipeline.simulation import cytoplasm, cytoskeleton, nuclear
from pipeline.simulation.drawing import Plane, as_plane, blur, directions, dots, lines, rings, smooth_noise
from pipeline.simulation.filament_growth import Growth, outwards, strands
from pipeline.simulation.placement import Phase
from pipeline.simulation.scene import Scene


def over_nuclei(scene: Scene) -> Scene:
    """Return the same cells without nuclei, for what passes above and below them."""
    nuclei = np.zeros_like(scene.nuclei)
    nuclei[0, 0] = 1  # distances to nuclei stay defined
    return replace(scene, nuclei=nuclei)


def lamella(scene: Scene, rng: Generator) -> Plane:
    """Return how much of a stain a cell's height lets be seen: cells thin out towards their border."""
    width = scene.px(float(np.exp(rng.uniform(np.log(0.6), np.log(6)))))
    return as_plane(1 - rng.uniform(0.1, 0.95) * np.exp(-scene.edge_distance / width))


def _body(scene: Scene, low: float, high: float, rng: Generator) -> Plane:
    """Paint a faint even cell, nucleus included."""
    grain = np.clip(1 + 0.3 * smooth_noise(scene.shape, scene.px(0.3), rng), 0, None)
    inner = 1 - rng.uniform(0, 1) * scene.envelope
    return as_plane(rng.uniform(low, high) * scene.inside * (0.3 + 0.7 * scene.thickness) * grain * inner)


def _spots(
    scene: Scene, weight: Plane, per_cell: object, size_um: float, uneven: float, rng: Generator
) -> Plane:
    """Paint round dots of one size whose brightness has the coefficient of variation `uneven`."""
    spots = scene.scatter(weight, per_cell, rng)  # type: ignore[arg-type]
    shape = 1 / uneven**2
    return dots(
        scene.shape, spots, scene.px(size_um), rng.gamma(shape, 1 / shape, len(spots)).astype(np.float32)
    )


def microtubules(scene: Scene, rng: Generator) -> Plane:
    """Paint microtubules from sparse to dense, which pass over the nucleus too."""
    seen = over_nuclei(scene) if rng.random() < 0.7 else scene
    dense = float(np.exp(rng.uniform(np.log(0.2), np.log(0.9))))
    seen = replace(seen, line=replace(scene.line, filaments=scene.line.filaments * dense))
    above = 1 - rng.uniform(0, 0.8) * scene.envelope
    return as_plane(2 * cytoskeleton.filaments(seen) * above * lamella(scene, rng))


def intermediate_filaments(scene: Scene, rng: Generator) -> Plane:
    """Paint a net of thin curled filaments through the whole cytoplasm, densest beside the nucleus."""
    weight = as_plane(scene.cytoplasm * (rng.uniform(0.1, 1) + scene.around_nucleus))
    starts = scene.scatter(weight, scene.per_area(rng.uniform(0.08, 0.3)), rng)
    headings = outwards(scene, scene.centrosome, starts, 1.5, rng)
    growth = Growth(rng.uniform(4, 9), rng.uniform(0.4, 0.9), rng.uniform(0.2, 1))
    net = strands(scene, starts, headings, growth, scene.px(rng.uniform(0.08, 0.2)), rng)
    return as_plane(np.tanh(net * rng.uniform(0.3, 1)) + _body(scene, 0, 0.08, rng))


def actin_filaments(scene: Scene, rng: Generator) -> Plane:
    """Paint bundles of actin, long or as short rods, in parallel, over the nucleus too."""
    starts = scene.scatter(scene.inside, scene.per_area(rng.uniform(0.02, 0.12)), rng)
    headings = scene.at(scene.per_cell(scene.population.axis), starts)
    headings = headings + rng.normal(0, rng.uniform(0.05, 0.5), len(starts))
    growth = Growth(float(np.exp(rng.uniform(np.log(1.5), np.log(20)))), 0.05, 0.0)
    fibres = strands(
        scene, starts, headings.astype(np.float32), growth, scene.px(rng.uniform(0.1, 0.35)), rng
    )
    rim = scene.inside * np.exp(-scene.edge_distance / scene.px(0.6))
    ruffles = np.clip(smooth_noise(scene.shape, scene.px(2), rng), 0, 2)
    return as_plane(np.tanh(fibres) + rng.uniform(0, 0.6) * rim * ruffles + _body(scene, 0, 0.12, rng))


def focal_adhesion_sites(scene: Scene, rng: Generator) -> Plane:
    """Paint adhesions along the border and under the whole cell, short and sharp."""
    band = np.exp(-scene.edge_distance / scene.px(rng.uniform(1, 4))) + rng.uniform(0, 0.25)
    starts = scene.scatter(as_plane(scene.inside * band), scene.per_area(rng.uniform(0.02, 0.06)) + 4, rng)
    headings = outwards(scene, scene.population.centre, starts, 0.35, rng)
    growth = Growth(rng.uniform(0.8, 2.5), 0.05, 0)
    dashes = strands(scene, starts, headings, growth, scene.px(rng.uniform(0.15, 0.35)), rng)
    return as_plane(np.tanh(1.5 * dashes) + _body(scene, 0, 0.1, rng))


def cytokinetic_bridge(scene: Scene, rng: Generator) -> Plane:
    """Paint bundles that fan out from the middle between two daughters, and weak nuclei elsewhere."""
    cells = scene.population
    plane = _body(scene, 0, 0.1, rng) + rng.uniform(0, 0.3) * scene.envelope
    pairs = np.flatnonzero((cells.phase == Phase.DAUGHTER) & (cells.partner > np.arange(len(cells))))
    for row in pairs:
        ends = cells.centre[[row, cells.partner[row]]]
        middle, turn = ends.mean(axis=0), np.arctan2(*(ends[1] - ends[0]))
        amount = int(rng.integers(6, 30))
        angles = turn + np.pi * rng.integers(0, 2, amount) + rng.normal(0, rng.uniform(0.05, 0.35), amount)
        length = scene.px(rng.uniform(2, 6)) * rng.uniform(0.3, 1, amount)
        along = np.linspace(0, 1, 30)[None, :, None] * length[:, None, None]
        root = middle + rng.normal(0, scene.px(0.3), (amount, 1, 2))
        points = (root + along * directions(angles)[:, None]).reshape(-1, 2).astype(np.float32)
        fan = lines(scene.shape, points, np.repeat(length / 30, 30).astype(np.float32), scene.px(0.15))
        plane = plane + np.tanh(fan) * rng.uniform(0.8, 1.6)
    return as_plane(plane)


def centrosome(scene: Scene, rng: Generator) -> Plane:
    """Paint one or two small dots close together, over a grainy faint cell."""
    apart = rng.uniform(0, 0.9) / scene.pixel_um
    second = scene.centrosome + apart * directions(rng.uniform(0, 2 * np.pi, len(scene.population)))
    spots = np.concatenate([scene.centrosome, second]).astype(np.float32)
    plane = dots(scene.shape, spots, scene.px(rng.uniform(0.18, 0.4)), 1.6)
    return as_plane(plane * scene.inside + _body(scene, 0, 0.25, rng))


def microtubule_organizing_center(scene: Scene, rng: Generator) -> Plane:
    """Paint a patch of small dots around the centrosome."""
    near = np.exp(-np.square(scene.from_centrosome / scene.px(rng.uniform(0.5, 1.5))) / 2) * scene.inside
    return as_plane(
        _spots(scene, as_plane(near), rng.uniform(5, 25), 0.2, 0.5, rng) + _body(scene, 0, 0.15, rng)
    )


def plasma_membrane(scene: Scene, rng: Generator) -> Plane:
    """Paint a thin uneven line with spikes at the border and a veil over the cell, brighter in the middle."""
    line = scene.inside * np.exp(-scene.edge_distance / scene.px(rng.uniform(0.15, 0.6)))
    uneven = np.clip(0.8 + rng.uniform(0.2, 0.8) * smooth_noise(scene.shape, scene.px(1.5), rng), 0, None)
    grain = np.clip(1 + 0.4 * smooth_noise(scene.shape, scene.px(0.25), rng), 0, None)
    veil = rng.uniform(0.05, 0.5) * scene.inside * grain * (1 - rng.uniform(0, 0.7) * scene.envelope)
    return as_plane(line * uneven + veil + rng.uniform(0, 0.4) * veil * scene.around_nucleus)


def cell_junctions(scene: Scene, rng: Generator) -> Plane:
    """Paint rows of separate dots where two cells touch."""
    shown = cytoskeleton.cell_junctions(scene, rng)
    rows = np.clip(smooth_noise(scene.shape, scene.px(rng.uniform(0.25, 0.6)), rng), 0, None)
    gaps = smooth_noise(scene.shape, scene.px(4), rng) > rng.uniform(-2, 0)
    return as_plane(np.where(shown > 0.2, shown, 0) * rows * gaps + _body(scene, 0.02, 0.2, rng))


def peroxisomes(scene: Scene, rng: Generator) -> Plane:
    """Paint tiny dots of one size, many or few, over the whole cell."""
    weight = scene.cytoplasm * np.clip(scene.thickness, 0.1, 1) + rng.uniform(0, 0.3) * scene.envelope
    amount = scene.per_area(rng.uniform(0.08, 0.35))
    plane = _spots(scene, as_plane(weight), amount, rng.uniform(0.12, 0.25), rng.uniform(0.2, 0.5), rng)
    return as_plane(1.2 * plane + _body(scene, 0, 0.12, rng))


def endosomes(scene: Scene, rng: Generator) -> Plane:
    """Paint dots of very uneven brightness, sharp and unclustered, a few over the nucleus."""
    weight = scene.cytoplasm + rng.uniform(0, 0.5) * scene.envelope
    weight = as_plane(weight * np.exp(rng.uniform(0, 0.7) * smooth_noise(scene.shape, scene.px(4), rng)))
    small = _spots(scene, weight, scene.per_area(rng.uniform(0.05, 0.2)), rng.uniform(0.13, 0.28), 0.9, rng)
    return as_plane(1.2 * np.clip(small, 0, 2) + _body(scene, 0, 0.12, rng))


def lysosomes(scene: Scene, rng: Generator) -> Plane:
    """Paint dots of several sizes, spread more or less widely around the nucleus."""
    reach = scene.per_cell(rng.uniform(0.4, 1.5) * scene.population.nucleus_radius) + 1
    weight = as_plane(scene.cytoplasm * (0.05 + np.exp(-scene.from_centrosome / reach)))
    sizes = zip(rng.uniform(0.15, 0.6, 3), rng.uniform(5, 30, 3), strict=True)
    plane = sum(_spots(scene, weight, amount, size, 0.6, rng) for size, amount in sizes)
    return as_plane(np.clip(plane, 0, 2) + _body(scene, 0, 0.08, rng))


def lipid_droplets(scene: Scene, rng: Generator) -> Plane:
    """Paint a few separate rings and small dots."""
    weight = as_plane(scene.cytoplasm * np.clip(scene.thickness, 0.05, 1))
    centres = scene.scatter(weight, rng.gamma(2, rng.uniform(1, 6), len(scene.population)), rng)
    radii = scene.px(1) * rng.uniform(0.25, 0.9, len(centres)).astype(np.float32)
    coats = rings(scene.shape, centres, radii.astype(np.float32), scene.px(0.14))
    specks = _spots(scene, weight, scene.per_area(rng.uniform(0, 0.05)), 0.15, 0.6, rng)
    return as_plane(np.clip(coats + specks, 0, 2) + _body(scene, 0, 0.15, rng))


def cytoplasmic_bodies(scene: Scene, rng: Generator) -> Plane:
    """Paint a few to two dozen small sharp granules per cell."""
    amount = rng.gamma(4, rng.uniform(0.8, 5), len(scene.population))
    plane = _spots(scene, scene.cytoplasm, amount, rng.uniform(0.15, 0.38), 0.35, rng)
    return as_plane(1.4 * plane + _body(scene, 0.02, 0.2, rng))


def aggresome(scene: Scene, rng: Generator) -> Plane:
    """Paint one to three round bodies beside the nucleus, some of them hollow."""
    near = as_plane(scene.cytoplasm * np.exp(-scene.nuclear_distance / scene.px(rng.uniform(0.8, 3))))
    centres = scene.scatter(near, rng.uniform(0.8, 2.2), rng)
    radii = (scene.px(1) * rng.uniform(0.4, 1.3, len(centres))).astype(np.float32)
    hollow = rng.random(len(centres)) < 0.3
    bodies = rings(scene.shape, centres[hollow], 0.8 * radii[hollow], scene.px(0.25))
    for centre, radius in zip(centres[~hollow], radii[~hollow], strict=True):
        bodies = bodies + dots(scene.shape, centre[None], 0.6 * float(radius), 1.3)
    return as_plane(np.clip(bodies, 0, 1.2) + _body(scene, 0.03, 0.2, rng))


def rods_and_rings(scene: Scene, rng: Generator) -> Plane:
    """Paint several rods per cell, slightly bent, and small rings."""
    weight = as_plane(scene.cytoplasm + 0.1 * scene.envelope)
    amount = rng.gamma(2, rng.uniform(0.5, 4), len(scene.population))
    starts = scene.scatter(weight, amount, rng)
    headings = rng.uniform(0, 2 * np.pi, len(starts)).astype(np.float32)
    growth = Growth(rng.uniform(1.5, 6), rng.uniform(0.02, 0.25), 0)
    rods = strands(scene, starts, headings, growth, scene.px(rng.uniform(0.15, 0.3)), rng)
    centres = scene.scatter(weight, 0.4 * amount, rng)
    radii = (scene.px(1) * rng.uniform(0.5, 1.6, len(centres))).astype(np.float32)
    loops = rings(scene.shape, centres, radii, scene.px(0.2))
    return as_plane(np.clip(1.3 * (rods + loops), 0, 1.5) + _body(scene, 0, 0.15, rng))


def mitochondria(scene: Scene, rng: Generator) -> Plane:
    """Paint threads that crowd on one side of the nucleus, thin out quickly and run over each other."""
    side = np.exp(-scene.from_centrosome / (scene.px(rng.uniform(3, 12)) + 1)) + rng.uniform(0, 0.3)
    weight = as_plane(scene.cytoplasm * (0.05 + scene.around_nucleus) * side)
    starts = scene.scatter(weight, scene.per_area(rng.uniform(0.06, 0.2)), rng)
    headings = outwards(scene, scene.centrosome, starts, 1.2, rng)
    growth = Growth(rng.uniform(0.8, 5.0), rng.uniform(0.2, 0.8))
    threads = strands(scene, starts, headings, growth, scene.px(rng.uniform(0.15, 0.3)), rng)
    return as_plane(1.3 * np.tanh(threads) + _body(scene, 0, 0.12, rng))


def golgi_apparatus(scene: Scene, rng: Generator) -> Plane:
    """Paint separate small stacks and vesicles on one side of the nucleus."""
    close = np.exp(-np.square(scene.from_centrosome / scene.px(rng.uniform(2, 5))) / 2)
    weight = as_plane((scene.cytoplasm + rng.uniform(0, 0.6) * scene.envelope) * close)
    starts = scene.scatter(weight, rng.uniform(8, 30), rng)
    headings = rng.uniform(0, 2 * np.pi, len(starts)).astype(np.float32)
    growth = Growth(rng.uniform(0.5, 2), 0.9, 0)
    stacks = strands(scene, starts, headings, growth, scene.px(rng.uniform(0.2, 0.4)), rng)
    vesicles = _spots(scene, weight, rng.uniform(5, 30), 0.2, 0.6, rng)
    return as_plane(1.5 * np.tanh(stacks) + rng.uniform(0.2, 0.8) * vesicles + _body(scene, 0, 0.12, rng))


def endoplasmic_reticulum(scene: Scene, rng: Generator) -> Plane:
    """Paint the membranes with a nucleus that is nearly as bright, as wide-field pictures show them."""
    veil = rng.uniform(0.1, 0.6) * scene.envelope * (1 - 0.4 * (scene.nucleoli > 0))
    return as_plane(cytoplasm.membranes(scene) * rng.uniform(0.7, 1.2) * lamella(scene, rng) + veil)


def cytosol(scene: Scene, rng: Generator) -> Plane:
    """Paint an even, grainy cytosol with vacuoles left out, and some of the protein in the nucleus."""
    grain = np.exp(rng.uniform(0.1, 0.6) * smooth_noise(scene.shape, scene.px(0.2), rng))
    holes = smooth_noise(scene.shape, scene.px(rng.uniform(0.3, 0.8)), rng) > rng.uniform(1.3, 3.5)
    inner = rng.uniform(0, 0.5) * scene.envelope * (1 - 0.3 * (scene.nucleoli > 0))
    flat = scene.cytoplasm * (rng.uniform(0.2, 0.8) + 0.4 * scene.thickness) * ~holes
    return as_plane(0.6 * (flat * lamella(scene, rng) + inner) * grain)


def nucleoplasm(scene: Scene, rng: Generator) -> Plane:
    """Paint nuclei evenly, with nucleoli that may not be spared, over a visible cytosol."""
    grain = np.exp(rng.uniform(0.05, 0.5) * smooth_noise(scene.shape, scene.px(0.2), rng))
    spared = 1 - rng.uniform(0, 0.9) * blur((scene.nucleoli > 0).astype(np.float32), 0.7)
    return as_plane(0.7 * scene.envelope * spared * grain + _body(scene, 0, 0.25, rng))


def nucleoli(scene: Scene, rng: Generator) -> Plane:
    """Paint nucleoli whose border is brighter than their inside, over a visible nucleoplasm."""
    body = (scene.nucleoli > 0).astype(np.float32)
    inner = blur(body, max(1.0, scene.px(0.4)))
    shell = body * (1 - rng.uniform(0.3, 1) * np.clip(1.6 * inner - 0.6, 0, 1))
    texture = np.clip(1 + 0.2 * smooth_noise(scene.shape, scene.px(0.3), rng), 0.2, None)
    return as_plane(
        blur(as_plane(shell), 0.6) * texture
        + rng.uniform(0.03, 0.35) * scene.envelope
        + _body(scene, 0, 0.08, rng)
    )


def nuclear_bodies(scene: Scene, rng: Generator) -> Plane:
    """Paint one to a few bodies per nucleus, over a visible nucleoplasm."""
    region = as_plane(scene.envelope & (scene.nucleoli == 0) & (scene.nuclear_depth > scene.px(0.5)))
    plane = _spots(scene, region, rng.uniform(1, 6), rng.uniform(0.2, 0.5), 0.3, rng)
    return as_plane(1.6 * plane + rng.uniform(0.03, 0.35) * scene.envelope + _body(scene, 0, 0.15, rng))


def nuclear_membrane(scene: Scene, rng: Generator) -> Plane:
    """Paint a thin rim around nuclei that are stained inside as well."""
    rim = scene.envelope * np.exp(-scene.nuclear_depth / scene.px(rng.uniform(0.2, 0.5)))
    return as_plane(
        rim + rng.uniform(0.1, 0.5) * nuclear.nucleoplasm(scene, rng) + _body(scene, 0, 0.15, rng)
    )


OTHER_LOOKS: dict[str, Callable[[Scene, Generator], Plane]] = {
    "Nucleoplasm": nucleoplasm,
    "Nuclear membrane": nuclear_membrane,
    "Nucleoli": nucleoli,
    "Nuclear bodies": nuclear_bodies,
    "Endoplasmic reticulum": endoplasmic_reticulum,
    "Golgi apparatus": golgi_apparatus,
    "Peroxisomes": peroxisomes,
    "Endosomes": endosomes,
    "Lysosomes": lysosomes,
    "Intermediate filaments": intermediate_filaments,
    "Actin filaments": actin_filaments,
    "Focal adhesion sites": focal_adhesion_sites,
    "Microtubules": microtubules,
    "Cytokinetic bridge": cytokinetic_bridge,
    "Microtubule organizing center": microtubule_organizing_center,
    "Centrosome": centrosome,
    "Lipid droplets": lipid_droplets,
    "Plasma membrane": plasma_membrane,
    "Cell junctions": cell_junctions,
    "Mitochondria": mitochondria,
    "Aggresome": aggresome,
    "Cytosol": cytosol,
    "Cytoplasmic bodies": cytoplasmic_bodies,
    "Rods & rings": rods_and_rings,
}
"""A second look of most of the 28 locations."""
