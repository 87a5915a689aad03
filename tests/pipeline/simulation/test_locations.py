"""Each of the 28 painters puts the protein where its location says."""

import numpy as np
import pytest

from pipeline.data.locations import LOCATIONS
from pipeline.simulation.field import PAINTERS, example_protein, scene_of
from pipeline.simulation.placement import CONDENSED, Phase

NUCLEAR = (
    "Nucleoplasm",
    "Nuclear membrane",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nuclear speckles",
    "Nuclear bodies",
)
ANYWHERE = ("Actin filaments", "Plasma membrane", "Cytokinetic bridge", "Mitotic spindle")
CYTOPLASMIC = tuple(name for name in LOCATIONS if name not in NUCLEAR + ANYWHERE)
DOTTED = ("Peroxisomes", "Endosomes", "Lysosomes", "Lipid droplets", "Cytoplasmic bodies", "Nuclear bodies")


@pytest.fixture(scope="module")
def painted():
    """Scene and plane of every location, painted in a field of undivided cells that touch."""
    planes = {}
    for number, name in enumerate(LOCATIONS):
        scene = scene_of(number, example_protein(name), size=320)
        planes[name] = scene, PAINTERS[name](scene, np.random.default_rng(number))
    return planes


def _share(plane, region):
    """Fraction of the protein in a region."""
    return plane[region].sum() / plane.sum()


def _resting(scene):
    return (scene.cells > 0) & ~scene.dividing


def test_every_location_has_a_painter():
    assert tuple(PAINTERS) == LOCATIONS


@pytest.mark.parametrize("name", LOCATIONS)
def test_a_painter_stains_cells_only_and_brightly_enough(painted, name):
    scene, plane = painted[name]
    assert plane.dtype == np.float32
    assert plane.min() >= -1e-3
    assert _share(plane, scene.cells > 0) > 0.85
    assert 0.5 < plane.max() < 12


@pytest.mark.parametrize("name", NUCLEAR)
def test_nuclear_proteins_are_in_the_nucleus(painted, name):
    scene, plane = painted[name]
    resting = np.where(_resting(scene), plane, 0)
    assert _share(resting, scene.nuclei > 0) > 0.9


@pytest.mark.parametrize("name", CYTOPLASMIC)
def test_cytoplasmic_proteins_are_not_in_the_nucleus(painted, name):
    scene, plane = painted[name]
    resting = np.where(_resting(scene), plane, 0)
    of_area = _share(_resting(scene).astype(float), scene.envelope)
    assert _share(resting, scene.envelope) < 0.1 + 0.25 * of_area


def test_the_nuclear_membrane_is_the_rim(painted):
    scene, plane = painted["Nuclear membrane"]
    rim = scene.envelope & (scene.nuclear_depth <= 3)
    assert plane[rim].mean() > 2.5 * plane[scene.envelope & ~rim].mean()


def test_nucleoplasm_spares_the_nucleoli_that_nucleoli_fill(painted):
    for name, factor in (("Nucleoplasm", 0.9), ("Nucleoli", 4.0)):
        scene, plane = painted[name]
        nucleoplasm = plane[scene.envelope & (scene.nucleoli == 0)].mean()
        ratio = plane[scene.nucleoli > 0].mean() / nucleoplasm
        assert (ratio < factor) if factor < 1 else (ratio > factor)


def test_fibrillar_centres_are_dots_where_nucleoli_are_filled(painted):
    spread = {}
    for name in ("Nucleoli", "Nucleoli fibrillar center"):
        scene, plane = painted[name]
        inside = plane[scene.nucleoli > 0]
        spread[name] = inside.std() / inside.mean()
    assert spread["Nucleoli fibrillar center"] > 1.5 * spread["Nucleoli"]


@pytest.mark.parametrize("name", DOTTED)
def test_dotted_patterns_fill_little_of_their_region(painted, name):
    scene, plane = painted[name]
    region = scene.envelope if name == "Nuclear bodies" else scene.cytoplasm > 0
    assert (plane[region] > 0.4 * np.quantile(plane[region], 0.995)).mean() < 0.2


@pytest.mark.parametrize(
    "name", ["Centrosome", "Microtubule organizing center", "Golgi apparatus", "Aggresome", "Lysosomes"]
)
def test_central_structures_gather_at_the_centrosome(painted, name):
    scene, plane = painted[name]
    free = _resting(scene) & (scene.nuclei == 0)
    distance = scene.from_centrosome * scene.pixel_um
    assert plane[free & (distance < 2.5)].mean() > 2 * plane[free & (distance > 8)].mean()


@pytest.mark.parametrize("name", ["Plasma membrane", "Focal adhesion sites", "Endosomes", "Microtubule ends"])
def test_peripheral_structures_gather_at_the_border(painted, name):
    scene, plane = painted[name]
    free = _resting(scene) & (scene.nuclei == 0)
    depth = scene.edge_distance * scene.pixel_um
    assert plane[free & (depth < 3)].mean() > 1.2 * plane[free & (depth > 5)].mean()


def test_junctions_are_only_where_cells_touch_and_membranes_everywhere(painted):
    contrast = {}
    for name in ("Cell junctions", "Plasma membrane"):
        scene, plane = painted[name]
        border = (scene.edge_distance > 0) & (scene.edge_distance < 2.5)
        labels = np.pad(scene.cells, 4, mode="edge")
        shifts = [labels[r : r + 320, c : c + 320] for r in (0, 4, 8) for c in (0, 4, 8)]
        free = border & (np.min(shifts, axis=0) == 0) & (np.max(shifts, axis=0) == scene.cells)
        contact = border & (np.min(shifts, axis=0) > 0) & (np.min(shifts, axis=0) != np.max(shifts, axis=0))
        contrast[name] = plane[contact].mean() / plane[free].mean()
    assert contrast["Cell junctions"] > 4
    assert contrast["Plasma membrane"] < 2


@pytest.mark.parametrize("name", ["Mitotic spindle", "Cytokinetic bridge"])
def test_structures_of_division_are_in_dividing_cells(painted, name):
    scene, plane = painted[name]
    bright = plane > 0.5 * plane.max()
    phases = scene.population.phase[scene.cells[bright & (scene.cells > 0)] - 1]
    wanted = CONDENSED if name == "Mitotic spindle" else (Phase.DAUGHTER,)
    assert np.isin(phases, wanted).mean() > 0.9
