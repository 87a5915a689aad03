"""Simulated pictures for networks that are to work on real ones; what is not known is drawn at random.

The cells and painters are the simulator's. Drawn at random is what differs between it and real pictures, by
looking at both: the pixel, the size of structures, how dense and thick the marker's microtubules are,
unspecific stain of every compartment, bleed-through between channels, grain, focus, cells cut out on black as
in illustrations, and JPEG compression (domain randomisation, Tobin et al. 2017, 10.1109/IROS.2017.8202133).
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from varied_painters import OTHER_LOOKS, lamella, microtubules

from pipeline.data.locations import LOCATIONS
from pipeline.simulation import cytoplasm, nuclear
from pipeline.simulation.drawing import Plane, as_plane, blur, dots, smooth_noise, speckle
from pipeline.simulation.field import PAINTERS, illumination, photograph, scene_of
from pipeline.simulation.placement import CellLine
from pipeline.simulation.proteins import ABUNDANCE, Protein, divisions_for, lines_for, protein
from pipeline.simulation.scene import Scene

CLOSE_UP, FIELD = (0.09, 0.26), (0.15, 0.45)
"""Ranges of pixels in micrometres: of illustrations of few cells, and of fields shrunk to 512 pixels."""

VERSION = 2
"""Raise it when the same protein gives another picture."""

ISOLATED = 0.4
"""Share of pictures that show few cells, cut out on black."""

SHOWN, SCREENED = 0.15, 0.5
"""Power to which abundances are raised: illustrations show each location about equally, screens do not."""


@dataclass(frozen=True)
class Varied:
    """A protein, and whether its picture is an illustration: few cells, cut out on black."""

    protein: Protein
    isolated: bool


def varied_protein(seed: int, number: int) -> Varied:
    """Describe a protein of a series, photographed at any scale, in any light."""
    rng = np.random.default_rng((seed, 5, number))
    plain = protein(seed, number, LOCATIONS)
    isolated = bool(rng.random() < ISOLATED)
    locations = _locations(isolated, rng)
    lines = lines_for(locations)
    fewest = (10, 4, 10, 10)
    exposures = tuple(
        replace(
            shot,
            gain=shot.gain * float(np.exp(rng.normal(-0.25, 0.5))),
            photons=float(np.exp(rng.uniform(np.log(least), np.log(600)))),
            sharpness=float(rng.uniform(0.3, 1.1)),
            haze=float(rng.uniform(0.02, 0.35)),
            offset=float(rng.uniform(0, 8) if rng.random() < 0.8 else rng.uniform(8, 25)),
        )
        for shot, least in zip(plain.exposures, fewest, strict=True)
    )
    described = replace(
        plain,
        locations=locations,
        shares=(1.0, *rng.uniform(0.35, 1.0, len(locations) - 1)),
        line=_varied_line(lines[rng.integers(len(lines))], rng),
        divisions=divisions_for(locations),
        pixel_um=float(np.exp(rng.uniform(*np.log(CLOSE_UP if isolated else FIELD)))),
        variation=float(rng.gamma(4, 0.1)),
        background=float(rng.uniform(0.0, 0.05)),
        speckle=float(rng.uniform(0.1, 0.9)),
        exposures=exposures,
    )
    return Varied(described, isolated)


def _locations(isolated: bool, rng: Generator) -> tuple[str, ...]:
    """Draw one to three locations, the strongest first."""
    power = SHOWN if isolated else SCREENED
    wanted = rng.choice((1, 2, 3), p=(0.65, 0.28, 0.07) if isolated else (0.5, 0.39, 0.11))
    share = np.array(ABUNDANCE, float) ** power
    picked = rng.choice(len(LOCATIONS), wanted, replace=False, p=share / share.sum())
    return tuple(LOCATIONS[place] for place in picked)


def _varied_line(line: CellLine, rng: Generator) -> CellLine:
    """Return a line whose cells are longer or rounder, flatter or higher, smoother or with more processes."""
    return replace(
        line,
        reach=line.reach * float(np.exp(rng.normal(0.08, 0.15))),
        elongation=line.elongation * float(np.exp(rng.normal(0.1, 0.25))),
        spikes=line.spikes * float(np.exp(rng.normal(0.1, 0.5))),
        ruffles_um=line.ruffles_um * float(np.exp(rng.normal(-0.2, 0.4))),
        filaments=line.filaments * float(np.exp(rng.normal(0, 0.25))),
    )


def varied_picture(seed: int, varied: Varied, size: int) -> NDArray[np.float32]:
    """Return one picture of a protein, shape (4, size, size), in [0, 1]."""
    described = varied.protein
    rng = np.random.default_rng((seed, 6, described.number))
    scene = scene_of(seed, described, 0, size)
    planes = [_microtubules(scene, rng), _protein(scene, described, rng)]
    planes += [_dna(scene, rng), _reticulum(scene, rng)]
    planes[1] = _antibody(planes, scene, described, rng)
    shown = _isolated(scene, rng) if varied.isolated else None
    light = illumination(scene.shape, rng.uniform(0, 0.4), rng)
    stains = planes if shown is None else [plane * shown for plane in planes]
    shots = [
        photograph(as_plane(stain), light, exposure, rng)
        for stain, exposure in zip(stains, described.exposures, strict=True)
    ]
    if shown is not None:
        shots = [np.where(shown > 0.5, shot, 0).astype(np.uint8) for shot in shots]
    if rng.random() < 0.4:
        shots = [_compressed(shot, int(rng.integers(50, 95))) for shot in shots]
    return np.stack(shots).astype(np.float32) / np.float32(255)


def _resized(scene: Scene, rng: Generator, low: float = -0.2, high: float = 0.6) -> Scene:
    """Return the same cells with structures of another size: above 0, smaller and more of them."""
    return replace(scene, pixel_um=scene.pixel_um * float(np.exp(rng.uniform(low, high))))


def _protein(scene: Scene, described: Protein, rng: Generator) -> Plane:
    """Paint a protein at its locations, structures of any size and contrast."""
    plane = np.zeros(scene.shape, np.float32)
    for name, share in zip(described.locations, described.shares, strict=True):
        looks = (PAINTERS[name], OTHER_LOOKS.get(name, PAINTERS[name]))
        painted = looks[int(rng.random() < 0.6)](_resized(scene, rng), rng)
        if rng.random() < 0.4:
            painted = np.clip(painted, 0, None) ** rng.uniform(0.6, 1.6)
        if rng.random() < 0.3:
            painted = blur(as_plane(painted), scene.px(rng.uniform(0.05, 0.3)))
        plane += np.float32(share) * as_plane(painted)
    silent = rng.random(len(scene.population)) < rng.choice((0, 0, 0.3))
    silent[0] = False
    level = np.exp(rng.normal(0, described.variation, len(scene.population))) * np.where(silent, 0.05, 1)
    return as_plane(plane * scene.per_cell(level))


def _microtubules(scene: Scene, rng: Generator) -> Plane:
    """Stain microtubules, thin or thick, brighter in some cells."""
    plane = microtubules(_resized(scene, rng, -0.3, 0.3), rng)
    thick = blur(plane, scene.px(rng.uniform(0.02, 0.1))) * np.float32(rng.uniform(0.6, 1.5))
    haze = np.float32(rng.uniform(0, 0.12)) * scene.inside * scene.thickness
    level = scene.per_cell(np.exp(rng.normal(0, rng.uniform(0, 0.4), len(scene.population))))
    return as_plane((thick + haze) * level * speckle(scene.shape, rng.uniform(0.05, 0.5), rng))


def _dna(scene: Scene, rng: Generator) -> Plane:
    plane = nuclear.stain_dna(_resized(scene, rng), rng)
    return as_plane(plane + np.float32(rng.uniform(0, 0.06)) * scene.inside)


def _reticulum(scene: Scene, rng: Generator) -> Plane:
    plane = cytoplasm.stain_reticulum(_resized(scene, rng), rng) * lamella(scene, rng)
    return as_plane(plane + np.float32(rng.uniform(0, 0.5)) * scene.envelope)


def _antibody(planes: list[Plane], scene: Scene, described: Protein, rng: Generator) -> Plane:
    """Add what an antibody stains besides its protein, and light of the other channels."""
    plane = planes[1]
    cells = (scene.inside, scene.cytoplasm * scene.thickness, as_plane(scene.envelope))
    for compartment in cells:
        plane = plane + np.float32(rng.exponential(0.06)) * compartment
    spots = scene.scatter(scene.inside, scene.per_area(rng.exponential(0.05)), rng)
    plane = plane + dots(scene.shape, spots, scene.px(0.12), rng.uniform(0.05, 0.35))
    plane = plane + np.float32(described.background) * (scene.inside + blur(scene.inside, 8))
    for channel in (0, 2):
        if rng.random() < 0.25:
            plane = plane + np.float32(rng.uniform(0, 0.15)) * planes[channel]
    clouds = np.clip(1 + rng.uniform(0, 0.25) * smooth_noise(scene.shape, scene.px(4), rng), 0.2, None)
    return as_plane(plane * clouds * speckle(scene.shape, described.speckle, rng))


def _isolated(scene: Scene, rng: Generator) -> Plane:
    """Choose one to four cells and cut them out along a line near their border, as illustrations do."""
    area = np.bincount(scene.cells.ravel(), minlength=len(scene.population) + 1)[1:]
    wanted = min(int(rng.integers(1, 5)), len(area))
    kept = np.zeros(len(area), bool)
    kept[np.argsort(-area * rng.uniform(0.6, 1, len(area)))[:wanted]] = True
    # Partners in division stay together.
    partner = scene.population.partner
    kept[partner[kept & (partner >= 0)]] = True
    reach = 2 * round(scene.px(1.0)) + 1
    return as_plane(cv2.dilate(scene.per_cell(kept), np.ones((reach, reach), np.uint8)))


def _compressed(shot: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    done, content = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)
