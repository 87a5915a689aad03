"""One simulated picture: a field of a protein's cells, stained and photographed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.pictures import Picture
from pipeline.simulation import markers
from pipeline.simulation.drawing import Plane, blur, speckle
from pipeline.simulation.optics import illumination, photograph
from pipeline.simulation.outlines import draw_scene
from pipeline.simulation.painters import PAINTERS
from pipeline.simulation.placement import populate
from pipeline.simulation.proteins import DEFAULT_LOCATIONS, Protein
from pipeline.simulation.proteins import protein as protein_at
from pipeline.simulation.scene import Scene

SMALLEST_NUCLEUS_UM2 = 12.0
"""Area in µm² of a nucleus at the border below which its cell is not part of the truth."""


@dataclass(frozen=True)
class SimulatedPicture:
    """A picture and what is true of it.

    Attributes
    ----------
    picture : Picture
        The four channels; values are multiples of 1/255.
    cells, nuclei : ndarray, shape (height, width), uint16
        True label images, numbered from 1 without gaps; a cell and its nucleus have the same number.
        Every cell has one nucleus: cells whose nucleus lies beyond the border are seen but not numbered.
    locations : tuple of str
        Where the protein is.
    group : str
        The protein's name, shared by all its pictures.
    """

    picture: Picture
    cells: NDArray[np.uint16]
    nuclei: NDArray[np.uint16]
    locations: tuple[str, ...]
    group: str


def simulate_picture(
    seed: int,
    protein: int | Protein = 0,
    index: int = 0,
    *,
    size: int = 512,
    locations: tuple[str, ...] = DEFAULT_LOCATIONS,
) -> SimulatedPicture:
    """Simulate one picture of one protein.

    Parameters
    ----------
    seed : int
        Seed of the whole series of proteins.
    protein : int or Protein
        Position of a protein in the series, or the protein itself.
    index : int
        Which of the protein's pictures.
    size : int
        Side of the square field in pixels.
    locations : tuple of str
        Locations that occur in the series.

    Returns
    -------
    SimulatedPicture
        The same for the same arguments, always.
    """
    described = protein if isinstance(protein, Protein) else protein_at(seed, protein, locations)
    scene = scene_of(seed, described, index, size)
    for_stain, for_camera = (_stream(seed, described, index, purpose) for purpose in (1, 2))
    planes = (
        markers.microtubules(scene, for_stain),
        stain_protein(scene, described, for_stain),
        markers.dna(scene, for_stain),
        markers.reticulum(scene, for_stain),
    )
    light = illumination(scene.shape, for_camera.uniform(0.1, 0.5), for_camera)
    shots = [
        photograph(plane, light, exposure, for_camera)
        for plane, exposure in zip(planes, described.exposures, strict=True)
    ]
    picture = Picture(np.stack(shots).astype(np.float32) / np.float32(255), described.pixel_um)
    return SimulatedPicture(picture, *truth(scene), described.locations, described.name)


def scene_of(seed: int, protein: Protein, index: int = 0, size: int = 512) -> Scene:
    """Draw the cells of one picture as geometry, before any staining."""
    rng = _stream(seed, protein, index, 0)
    population = populate(protein.line, protein.pixel_um, size, protein.divisions, rng)
    return draw_scene(protein.line, protein.pixel_um, size, population, rng)


def _stream(seed: int, protein: Protein, index: int, purpose: int) -> np.random.Generator:
    """Start the generator of one purpose in one picture, so that none shifts when another changes."""
    return np.random.default_rng((seed, 2, protein.number, index, purpose))


def stain_protein(scene: Scene, protein: Protein, rng: np.random.Generator) -> Plane:
    """Paint a protein at all its locations, with its level in each cell and its unspecific background."""
    plane = np.zeros(scene.shape, np.float32)
    for name, share in zip(protein.locations, protein.shares, strict=True):
        plane += np.float32(share) * PAINTERS[name](scene, rng)
    level = np.exp(rng.normal(0, protein.variation, len(scene.population)))
    unspecific = np.float32(protein.background) * (scene.inside + blur(scene.inside, 8))
    return (plane * scene.per_cell(level) + unspecific) * speckle(scene.shape, protein.speckle, rng)


def truth(scene: Scene) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Give the label images of cells and nuclei (uint16); cells whose nucleus is seen count from 1 on."""
    area = np.bincount(scene.nuclei.ravel(), minlength=len(scene.population) + 1) * scene.pixel_um**2
    seen = area >= SMALLEST_NUCLEUS_UM2
    seen[0] = False
    number = np.where(seen, np.cumsum(seen), 0).astype(np.uint16)
    return number[scene.cells], number[scene.nuclei]
