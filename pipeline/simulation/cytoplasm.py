"""The cytoplasm: the stain of the endoplasmic reticulum, and painters of the cytosol, organelles and dots."""

import numpy as np
from numpy.random import Generator

from pipeline.simulation.drawing import (
    Floats,
    Plane,
    Points,
    as_plane,
    directions,
    dots,
    lines,
    rings,
    smooth_noise,
    speckle,
    web,
)
from pipeline.simulation.filament_growth import Growth, outwards, strands
from pipeline.simulation.scene import Scene


def stain_reticulum(scene: Scene, rng: Generator) -> Plane:
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


def cytosol(scene: Scene, rng: Generator) -> Plane:
    """Paint the cytosol: the whole cytoplasm, brighter where the cell is thick, grainy.

    Soluble proteins fill the cell around the organelles; large complexes stay out of the nucleus,
    small ones also appear weakly in it.
    """
    grain = np.clip(1 + 0.32 * smooth_noise(scene.shape, scene.px(0.3), rng), 0, None)
    clouds = np.clip(1 + 0.18 * smooth_noise(scene.shape, scene.px(3), rng), 0.3, None)
    fill = scene.cytoplasm * (0.25 + 0.6 * scene.thickness + 0.3 * scene.around_nucleus)
    return as_plane(0.65 * fill * grain * clouds + rng.uniform(0.02, 0.15) * scene.envelope)


def endoplasmic_reticulum(scene: Scene, rng: Generator) -> Plane:
    """Paint the endoplasmic reticulum: the membranes of the marker, some parts of them more than others.

    Resident proteins fill the same membranes, but rough sheets and smooth tubules hold them unequally.
    """
    share = np.clip(1 + 0.25 * smooth_noise(scene.shape, scene.px(2), rng), 0.2, None)
    return as_plane(rng.uniform(0.75, 1.0) * membranes(scene) * share)


def golgi_apparatus(scene: Scene, rng: Generator) -> Plane:
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


def mitochondria(scene: Scene, rng: Generator) -> Plane:
    """Paint mitochondria: winding threads and short rods, crowded around the nucleus, absent from it.

    They are 0.5 µm thick and 1 to 10 µm long, move along microtubules and so mostly lie along the cell.
    """
    weight = as_plane(scene.cytoplasm * (0.15 + scene.around_nucleus) * np.clip(scene.thickness, 0.05, 1))
    starts = scene.scatter(weight, scene.per_area(rng.uniform(0.07, 0.14)), rng)
    headings = outwards(scene, scene.centrosome, starts, 0.9, rng)
    growth = Growth(rng.uniform(2.5, 7.0), rng.uniform(0.3, 0.5))
    threads = strands(scene, starts, headings, growth, scene.px(0.22), rng)
    return as_plane(1.4 * np.tanh(threads) + 0.03 * scene.cytoplasm)


def aggresome(scene: Scene, rng: Generator) -> Plane:
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


def _amounts(number: int, spread: float, rng: Generator) -> Floats:
    """Brightness of each dot: mean 1, coefficient of variation `spread`."""
    shape = 1 / spread**2
    return rng.gamma(shape, 1 / shape, number).astype(np.float32)


def _lengths(scene: Scene, low_um: float, high_um: float, number: int, rng: Generator) -> Floats:
    """Draw lengths between two bounds in micrometres and give them in pixels."""
    return (rng.uniform(low_um, high_um, number) / scene.pixel_um).astype(np.float32)


def _haze(scene: Scene, strength: float) -> Plane:
    return as_plane(strength * scene.cytoplasm * (0.3 + 0.7 * scene.thickness))


def peroxisomes(scene: Scene, rng: Generator) -> Plane:
    """Paint peroxisomes: hundreds of tiny dots of one size, spread evenly through the cytoplasm.

    They are 0.1 to 0.5 µm wide, below or at the resolution, and do not gather anywhere.
    """
    weight = scene.cytoplasm * np.clip(scene.thickness, 0.1, 1)
    spots = scene.scatter(weight, scene.per_area(0.22), rng)
    plane = dots(scene.shape, spots, scene.px(0.2), _amounts(len(spots), 0.25, rng))
    return as_plane(1.2 * plane + _haze(scene, 0.04))


def endosomes(scene: Scene, rng: Generator) -> Plane:
    """Paint endosomes: dots of uneven size, some of them rings, from the border inwards.

    Early endosomes form at the plasma membrane and ripen on their way to the centre;
    the larger ones show a dark lumen.
    """
    weight = scene.cytoplasm * (0.25 + np.exp(-scene.edge_distance / scene.px(3.5)))
    spots = scene.scatter(weight, scene.per_area(0.07), rng)
    small = dots(scene.shape, spots, scene.px(0.25), _amounts(len(spots), 0.7, rng))
    large = scene.scatter(weight, scene.per_area(0.02), rng)
    radii = _lengths(scene, 0.5, 0.9, len(large), rng)
    return as_plane(small + 0.9 * rings(scene.shape, large, radii, scene.px(0.2)) + _haze(scene, 0.05))


def lysosomes(scene: Scene, rng: Generator) -> Plane:
    """Paint lysosomes: a few dozen large, uneven, filled dots that crowd on one side of the nucleus.

    Acid compartments of 0.5 to 1.2 µm are carried towards the centrosome.
    """
    crowd = np.exp(-scene.from_centrosome / (scene.per_cell(0.45 * scene.population.nucleus_radius) + 1))
    weight = scene.cytoplasm * (0.02 + crowd)
    plane = np.zeros(scene.shape, np.float32)
    for size, number in ((0.3, 18), (0.45, 12), (0.65, 5)):
        spots = scene.scatter(weight, number, rng)
        plane += dots(scene.shape, spots, scene.px(size), _amounts(len(spots), 0.4, rng))
    return as_plane(np.clip(plane, 0, 2.0) + _haze(scene, 0.03))


def lipid_droplets(scene: Scene, rng: Generator) -> Plane:
    """Paint lipid droplets: grape-like clusters of round droplets whose surface is stained.

    Proteins coat the droplet, so that the larger ones are rings with dark
    centres; cells differ a lot in how many they have.
    """
    weight = scene.cytoplasm * np.clip(scene.thickness, 0.05, 1)
    seeds = scene.scatter(weight, rng.gamma(1.5, 2.5, len(scene.population)), rng)
    each = rng.poisson(6, len(seeds)) + 1
    spread = scene.px(1.6) * rng.standard_normal((each.sum(), 2), dtype=np.float32)
    droplets = np.repeat(seeds, each, axis=0) + spread
    radii = _lengths(scene, 0.35, 1.1, len(droplets), rng)
    coats = rings(scene.shape, droplets, radii, scene.px(0.16)) * scene.cytoplasm
    return as_plane(np.clip(coats, 0, 1.8) + _haze(scene, 0.04))


def cytoplasmic_bodies(scene: Scene, rng: Generator) -> Plane:
    """Paint cytoplasmic bodies: three to fifteen bright round granules per cell over a faint cytosol.

    P-bodies and stress granules are dense droplets of RNA and protein, 0.5 to 1 µm wide and well apart.
    """
    weight = scene.cytoplasm * np.clip(scene.thickness, 0.02, 1)
    spots = scene.scatter(weight, rng.gamma(4, rng.uniform(0.8, 3), len(scene.population)), rng)
    plane = dots(scene.shape, spots, scene.px(0.36), _amounts(len(spots), 0.35, rng))
    return as_plane(1.3 * plane + _haze(scene, rng.uniform(0.05, 0.12)))


def rods_and_rings(scene: Scene, rng: Generator) -> Plane:
    """Paint rods and rings: one to three straight rods (3 to 8 µm) or rings (2 to 4 µm) in some cells.

    Filaments of IMPDH and CTP synthase bundle into these when nucleotides run short.
    """
    affected = rng.random(len(scene.population)) < 0.8
    weight = scene.cytoplasm * np.clip(scene.thickness, 0.01, 1)
    centres = scene.scatter(weight, 1.6 * affected, rng)
    is_rod = rng.random(len(centres)) < 0.65
    rods = _bars(scene, centres[is_rod], _lengths(scene, 3, 8, is_rod.sum(), rng), rng)
    radii = _lengths(scene, 1.0, 1.9, len(centres) - is_rod.sum(), rng)
    loops = rings(scene.shape, centres[~is_rod], radii, scene.px(0.25))
    return as_plane((rods + loops) * scene.inside + _haze(scene, 0.06))


def _bars(scene: Scene, centres: Points, lengths: Floats, rng: Generator) -> Plane:
    """Draw straight bars of given lengths in pixels, at random angles."""
    turn = rng.uniform(0, np.pi, len(centres))
    along = np.linspace(-0.5, 0.5, 28)[None, :, None] * lengths[:, None, None]
    points = centres[:, None] + along * directions(turn)[:, None]
    spacing = np.repeat(lengths / 28, 28)
    return lines(scene.shape, points.reshape(-1, 2).astype(np.float32), spacing, scene.px(0.28))
