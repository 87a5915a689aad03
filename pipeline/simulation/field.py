"""Simulated pictures: a field of a protein's cells, stained and photographed; and a sheet of examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.data.layouts import CHANNELS
from pipeline.data.pictures import Picture
from pipeline.simulation import cytoplasm, cytoskeleton, nuclear
from pipeline.simulation.drawing import Plane, as_plane, blur, smooth_noise, speckle
from pipeline.simulation.expression import Shown, drawn, showing
from pipeline.simulation.outlines import draw_scene
from pipeline.simulation.placement import CELL_LINES, populate
from pipeline.simulation.proteins import DEFAULT_LOCATIONS, Exposure, Protein, divisions_for, lines_for
from pipeline.simulation.proteins import protein as protein_at
from pipeline.simulation.scene import Scene

SMALLEST_NUCLEUS_UM2 = 12.0
"""Area in µm² of a nucleus at the border below which its cell is not part of the truth."""

OUT_OF_FOCUS = 5.0
"""Standard deviation in pixels of the light that comes from above and below the focal plane."""

TILE = 144
"""Side of one example in pixels, about two cells across."""

COLUMNS = 7

_CAPTION = 18

PAINTERS: dict[str, Callable[[Scene, Generator], Plane]] = {
    "Nucleoplasm": nuclear.nucleoplasm,
    "Nuclear membrane": nuclear.nuclear_membrane,
    "Nucleoli": nuclear.nucleoli,
    "Nucleoli fibrillar center": nuclear.fibrillar_center,
    "Nuclear speckles": nuclear.nuclear_speckles,
    "Nuclear bodies": nuclear.nuclear_bodies,
    "Endoplasmic reticulum": cytoplasm.endoplasmic_reticulum,
    "Golgi apparatus": cytoplasm.golgi_apparatus,
    "Peroxisomes": cytoplasm.peroxisomes,
    "Endosomes": cytoplasm.endosomes,
    "Lysosomes": cytoplasm.lysosomes,
    "Intermediate filaments": cytoskeleton.intermediate_filaments,
    "Actin filaments": cytoskeleton.actin_filaments,
    "Focal adhesion sites": cytoskeleton.focal_adhesion_sites,
    "Microtubules": cytoskeleton.microtubules,
    "Microtubule ends": cytoskeleton.microtubule_ends,
    "Cytokinetic bridge": cytoskeleton.cytokinetic_bridge,
    "Mitotic spindle": cytoskeleton.mitotic_spindle,
    "Microtubule organizing center": cytoskeleton.microtubule_organizing_center,
    "Centrosome": cytoskeleton.centrosome,
    "Lipid droplets": cytoplasm.lipid_droplets,
    "Plasma membrane": cytoskeleton.plasma_membrane,
    "Cell junctions": cytoskeleton.cell_junctions,
    "Mitochondria": cytoplasm.mitochondria,
    "Aggresome": cytoplasm.aggresome,
    "Cytosol": cytoplasm.cytosol,
    "Cytoplasmic bodies": cytoplasm.cytoplasmic_bodies,
    "Rods & rings": cytoplasm.rods_and_rings,
}
"""For each of the 28 locations, where a protein that lives there is found in a field of cells.

A painter takes the geometry of a field and a generator and returns one plane in which a bright structure is
about 1. It knows nothing of expression, mixing, blur or noise.
"""


@dataclass(frozen=True)
class SimulatedPicture:
    """A picture, whose values are multiples of 1/255, and what is true of it.

    Label images are numbered from 1 without gaps; a cell and its nucleus have the same number. Every cell has
    one nucleus: cells whose nucleus lies beyond the border are seen but not numbered. The group is the
    protein's name, shared by all its pictures. `of_cells` are the locations that each cell shows, by
    label.
    """

    picture: Picture
    cells: NDArray[np.uint16]
    nuclei: NDArray[np.uint16]
    locations: tuple[str, ...]
    group: str
    of_cells: tuple[tuple[str, ...], ...] = ()


def simulate_picture(
    seed: int,
    protein: int | Protein = 0,
    index: int = 0,
    *,
    size: int = 512,
    locations: tuple[str, ...] = DEFAULT_LOCATIONS,
    variation: float = 0.0,
) -> SimulatedPicture:
    """Simulate one picture of one protein: the same for the same arguments, always.

    The protein is one of the series that the seed and the locations make, or its position there; the index
    says which of its pictures, and the size is the side of the square field in pixels. The variation is the
    share of cells that lack the protein, or one of its locations.
    """
    described = protein if isinstance(protein, Protein) else protein_at(seed, protein, locations)
    scene = scene_of(seed, described, index, size)
    seen = seen_cells(scene)
    expressed = drawn(len(described.locations), seen, variation, _stream(seed, described, index, 3))
    for_stain, for_camera = (_stream(seed, described, index, purpose) for purpose in (1, 2))
    microtubules = cytoskeleton.stain_microtubules(scene, for_stain)
    stained, shown = stain_protein(scene, described, for_stain, expressed)
    planes = (
        microtubules,
        stained,
        nuclear.stain_dna(scene, for_stain),
        cytoplasm.stain_reticulum(scene, for_stain),
    )
    light = illumination(scene.shape, for_camera.uniform(0.1, 0.5), for_camera)
    shots = [
        photograph(plane, light, exposure, for_camera)
        for plane, exposure in zip(planes, described.exposures, strict=True)
    ]
    picture = Picture(np.stack(shots).astype(np.float32) / np.float32(255), described.pixel_um)
    of_cells = tuple(tuple(np.array(described.locations)[cell].tolist()) for cell in shown.T[seen])
    return SimulatedPicture(picture, *truth(scene), described.locations, described.name, of_cells)


def scene_of(seed: int, protein: Protein, index: int = 0, size: int = 512) -> Scene:
    """Draw the cells of one picture as geometry, before any staining."""
    rng = _stream(seed, protein, index, 0)
    population = populate(protein.line, protein.pixel_um, size, protein.divisions, rng)
    return draw_scene(protein.line, protein.pixel_um, size, population, rng)


def _stream(seed: int, protein: Protein, index: int, purpose: int) -> Generator:
    """Start the generator of one purpose in one picture, so that none shifts when another changes."""
    return np.random.default_rng((seed, 2, protein.number, index, purpose))


def stain_protein(
    scene: Scene, protein: Protein, rng: Generator, expressed: Shown | None = None
) -> tuple[Plane, Shown]:
    """Paint a protein at all its locations, with its level in each cell and its unspecific background.

    Also returned is which cells show which of its locations: those that are `expressed` there (all, unless
    given) and have what they are seen at. A cell that does not divide shows no spindle.
    """
    plane, shown = np.zeros(scene.shape, np.float32), []
    for position, (name, share) in enumerate(zip(protein.locations, protein.shares, strict=True)):
        painted = PAINTERS[name](scene, rng)
        if expressed is not None and not expressed[position].all():
            painted = painted * scene.per_cell(expressed[position])
        shown.append(showing(scene, painted))
        plane += np.float32(share) * painted
    level = np.exp(rng.normal(0, protein.variation, len(scene.population)))
    unspecific = np.float32(protein.background) * (scene.inside + blur(scene.inside, 8))
    stained = (plane * scene.per_cell(level) + unspecific) * speckle(scene.shape, protein.speckle, rng)
    return stained, np.stack(shown)


def illumination(shape: tuple[int, int], strength: float, rng: Generator) -> Plane:
    """Draw the light falling on a field: brightest off the centre and uneven, mean about 1."""
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    centre = rng.normal(0, 0.3, 2)
    fall = np.square(rows[:, None] - centre[0]) + np.square(columns[None] - centre[1])
    drift = smooth_noise(shape, shape[0] / 4, rng)
    return as_plane(np.clip(1 + strength * (0.5 - 0.6 * fall + 0.2 * drift), 0.2, None))


def photograph(stain: Plane, light: Plane, exposure: Exposure, rng: Generator) -> NDArray[np.uint8]:
    """Take the picture of one channel; darker than the offset is 0, brighter than the camera can hold 255.

    The stain is dye per pixel, 1 in a bright structure; the light is about 1.
    """
    focused = (1 - exposure.haze) * blur(stain, exposure.sharpness)
    seen = (focused + exposure.haze * blur(stain, OUT_OF_FOCUS)) * light
    photons = np.maximum(seen * exposure.photons, 0)
    # Above a few photons Poisson noise is Gaussian, which is drawn ten times faster.
    noise = rng.standard_normal(stain.shape, dtype=np.float32)
    counted = photons + noise * np.sqrt(photons + 0.3)
    grey = counted * (exposure.gain / exposure.photons) - exposure.offset
    return np.asarray(np.rint(np.clip(grey, 0, 255)), np.uint8)


def truth(scene: Scene) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Give the label images of cells and nuclei (uint16); cells whose nucleus is seen count from 1 on."""
    seen = np.append(False, seen_cells(scene))
    number = np.where(seen, np.cumsum(seen), 0).astype(np.uint16)
    return number[scene.cells], number[scene.nuclei]


def seen_cells(scene: Scene) -> NDArray[np.bool_]:
    """Say of which cells of the population enough of the nucleus is seen, shape (cells,)."""
    area = np.bincount(scene.nuclei.ravel(), minlength=len(scene.population) + 1) * scene.pixel_um**2
    return np.asarray(area[1:] >= SMALLEST_NUCLEUS_UM2)


def contact_sheet(locations: Sequence[str], seed: int) -> NDArray[np.uint8]:
    """Lay out one example per location, seven to a row, the protein alone at that location.

    Colours, shape (height, width, 3), are those of the Human Protein Atlas: microtubules red,
    the protein green, nuclei blue.
    """
    tiles = [_tile(name, number, seed) for number, name in enumerate(locations)]
    width = min(COLUMNS, len(tiles))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % width)
    rows = [np.hstack(tiles[start : start + width]) for start in range(0, len(tiles), width)]
    return np.vstack(rows)


def _tile(name: str, number: int, seed: int) -> NDArray[np.uint8]:
    """Show the part of a picture of one location with most of the protein, with its name below."""
    made = simulate_picture(seed, example_protein(name, number), size=2 * TILE)
    colours = np.stack(
        [made.picture.plane(channel) for channel in ("microtubules", "protein", "nucleus")], axis=2
    )
    colours[..., 0] *= 0.7
    # Where the protein is brightest, but not so near the border that the tile would leave the picture.
    busy = blur(made.picture.plane("protein") ** 3, TILE / 6)[TILE // 2 : -TILE // 2, TILE // 2 : -TILE // 2]
    top, left = np.unravel_index(int(busy.argmax()), busy.shape)
    tile = np.zeros((TILE + _CAPTION, TILE, 3), np.uint8)
    grey = 255 * colours[top : top + TILE, left : left + TILE]
    # Steps of eight grey values cannot be seen here, and halve the size of the file.
    tile[:TILE] = np.clip(8 * np.rint(grey / 8), 0, 255)
    cv2.putText(tile, name, (4, TILE + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.33, (255, 255, 255), 1, cv2.LINE_AA)
    tile[:, -1] = tile[-1] = 60
    return tile


def example_protein(location: str, number: int = 0) -> Protein:
    """Describe a protein that is only at one location, clearly stained and sharply photographed."""
    lines = [line for line in lines_for((location,)) if line in CELL_LINES[:4]]
    sharp = Exposure(gain=105, photons=500, sharpness=0.55, haze=0.1, offset=4)
    protein = Exposure(gain=190, photons=500, sharpness=0.55, haze=0.06, offset=4)
    return Protein(
        number=number,
        locations=(location,),
        shares=(1.0,),
        pictures=1,
        line=lines[number % len(lines)],
        pixel_um=0.32,
        variation=0.15,
        background=0.015,
        speckle=0.25,
        divisions=divisions_for((location,)),
        exposures=tuple(protein if channel == "protein" else sharp for channel in CHANNELS),
    )
