"""Painters of dots in the cytoplasm: vesicles, droplets, bodies and rods."""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.drawing import Plane, as_plane, dots, lines, rings
from pipeline.simulation.scene import Scene


def _amounts(number: int, spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Brightness of each dot: mean 1, coefficient of variation `spread`."""
    shape = 1 / spread**2
    return rng.gamma(shape, 1 / shape, number).astype(np.float32)


def _lengths(
    scene: Scene, low_um: float, high_um: float, number: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw lengths between two bounds in micrometres and give them in pixels."""
    return (rng.uniform(low_um, high_um, number) / scene.pixel_um).astype(np.float32)


def _haze(scene: Scene, strength: float) -> Plane:
    return as_plane(strength * scene.cytoplasm * (0.3 + 0.7 * scene.thickness))


def peroxisomes(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint peroxisomes: hundreds of tiny dots of one size, spread evenly through the cytoplasm.

    They are 0.1 to 0.5 µm wide, below or at the resolution, and do not gather anywhere.
    """
    weight = scene.cytoplasm * np.clip(scene.thickness, 0.1, 1)
    spots = scene.scatter(weight, scene.per_area(0.22), rng)
    plane = dots(scene.shape, spots, scene.px(0.2), _amounts(len(spots), 0.25, rng))
    return as_plane(1.2 * plane + _haze(scene, 0.04))


def endosomes(scene: Scene, rng: np.random.Generator) -> Plane:
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


def lysosomes(scene: Scene, rng: np.random.Generator) -> Plane:
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


def lipid_droplets(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint lipid droplets: grape-like clusters of round droplets whose surface is stained.

    Proteins coat the droplet, so that the larger ones are rings with dark
    centres; cells differ a lot in how many they have.
    """
    seeds = scene.scatter(
        scene.cytoplasm * np.clip(scene.thickness, 0.05, 1), rng.gamma(1.5, 2.5, len(scene.population)), rng
    )
    each = rng.poisson(6, len(seeds)) + 1
    spread = scene.px(1.6) * rng.standard_normal((each.sum(), 2), dtype=np.float32)
    droplets = np.repeat(seeds, each, axis=0) + spread
    radii = _lengths(scene, 0.35, 1.1, len(droplets), rng)
    coats = rings(scene.shape, droplets, radii, scene.px(0.16)) * scene.cytoplasm
    return as_plane(np.clip(coats, 0, 1.8) + _haze(scene, 0.04))


def cytoplasmic_bodies(scene: Scene, rng: np.random.Generator) -> Plane:
    """Paint cytoplasmic bodies: three to fifteen bright round granules per cell over a faint cytosol.

    P-bodies and stress granules are dense droplets of RNA and protein, 0.5 to 1 µm wide and well apart.
    """
    weight = scene.cytoplasm * np.clip(scene.thickness, 0.02, 1)
    spots = scene.scatter(weight, rng.gamma(4, rng.uniform(0.8, 3), len(scene.population)), rng)
    plane = dots(scene.shape, spots, scene.px(0.36), _amounts(len(spots), 0.35, rng))
    return as_plane(1.3 * plane + _haze(scene, rng.uniform(0.05, 0.12)))


def rods_and_rings(scene: Scene, rng: np.random.Generator) -> Plane:
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


def _bars(
    scene: Scene, centres: NDArray[np.float32], lengths: NDArray[np.float32], rng: np.random.Generator
) -> Plane:
    """Draw straight bars of given lengths in pixels, at random angles."""
    turn = rng.uniform(0, np.pi, len(centres))
    along = np.linspace(-0.5, 0.5, 28)[None, :, None] * lengths[:, None, None]
    points = centres[:, None] + along * np.stack([np.sin(turn), np.cos(turn)], axis=1)[:, None]
    spacing = np.repeat(lengths / 28, 28)
    return lines(scene.shape, points.reshape(-1, 2).astype(np.float32), spacing, scene.px(0.28))
