"""Simulated fields: the same every time, with truth that fits the pixels."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.simulation.field import TILE, contact_sheet, example_protein, scene_of, simulate_picture
from pipeline.simulation.outlines import draw_scene
from pipeline.simulation.placement import CELL_LINES, Divisions, Phase, populate


@pytest.fixture(scope="module")
def fields():
    """One picture of each of eight proteins."""
    return [simulate_picture(3, number, size=384) for number in range(8)]


def test_the_same_arguments_give_the_same_picture():
    first, second = (simulate_picture(5, 2, 1, size=192) for _ in range(2))
    np.testing.assert_array_equal(first.picture.pixels, second.picture.pixels)
    np.testing.assert_array_equal(first.cells, second.cells)


@pytest.mark.parametrize("other", [(6, 2, 1), (5, 3, 1), (5, 2, 0)])
def test_another_seed_protein_or_index_gives_another_picture(other):
    seed, protein, index = other
    first, second = simulate_picture(5, 2, 1, size=192), simulate_picture(seed, protein, index, size=192)
    assert (first.picture.pixels != second.picture.pixels).mean() > 0.2


def test_pictures_are_what_an_8_bit_file_can_hold(fields):
    for field in fields:
        pixels = field.picture.pixels
        assert pixels.dtype == np.float32
        assert pixels.shape == (4, 384, 384)
        grey = pixels * np.float32(255)
        np.testing.assert_allclose(grey, np.rint(grey), atol=1e-4)


def test_every_cell_has_one_nucleus_inside_it(fields):
    for field in fields:
        numbers = np.arange(1, field.cells.max() + 1)
        assert len(numbers) >= 1
        np.testing.assert_array_equal(np.unique(field.nuclei[field.nuclei > 0]), numbers)
        inside = field.nuclei > 0
        np.testing.assert_array_equal(field.cells[inside], field.nuclei[inside])


def test_every_cell_and_nucleus_is_connected(fields):
    for labels in (labels for field in fields for labels in (field.cells, field.nuclei)):
        for number in range(1, labels.max() + 1):
            assert ndimage.label(labels == number)[1] == 1


def test_markers_show_where_the_truth_is(fields):
    for field in fields:
        nucleus, er = field.picture.plane("nucleus"), field.picture.plane("er")
        outside, nuclear = field.cells == 0, field.nuclei > 0
        cytoplasm = ~outside & ~nuclear
        assert nucleus[nuclear].mean() > 5 * nucleus[cytoplasm].mean()
        assert er[cytoplasm].mean() > 2 * er[nuclear].mean()
        assert field.picture.plane("microtubules")[cytoplasm].mean() > 2 * er[outside].mean()


def test_microtubules_are_densest_near_their_centre():
    near, far = [], []
    for seed in range(3):
        scene, field = _scene_and_field(seed)
        plane = field.picture.plane("microtubules")
        distance, free = scene.from_centrosome * scene.pixel_um, scene.cytoplasm > 0
        near.append(plane[free & (distance < 5)].mean())
        far.append(plane[free & (distance > 10)].mean())
    assert np.mean(near) > 1.15 * np.mean(far)


def test_the_reticulum_thins_outwards():
    inner, outer = [], []
    for seed in range(3):
        scene, field = _scene_and_field(seed)
        plane, away = field.picture.plane("er"), scene.nuclear_distance * scene.pixel_um
        free = scene.cytoplasm > 0
        inner.append(plane[free & (away < 2)].mean())
        outer.append(plane[free & (away > 6)].mean())
    assert np.mean(inner) > 1.5 * np.mean(outer)


def _scene_and_field(seed):
    protein = example_protein("Cytosol")
    return scene_of(seed, protein, size=256), simulate_picture(seed, protein, size=256)


@pytest.mark.parametrize("size", [256, 512])
def test_phases_that_are_sought_are_found_in_every_field(size):
    wanted = Phase.METAPHASE, Phase.DAUGHTER
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = populate(CELL_LINES[4], 0.32, size, Divisions(0, 0, 0, wanted), rng)
        inside = ((found.centre > 0) & (found.centre < size)).all(axis=1)
        assert set(wanted) <= set(found.phase[inside])


def test_daughters_are_partners_of_each_other():
    found = populate(CELL_LINES[0], 0.32, 512, Divisions(0, 0.2, 0.3), np.random.default_rng(0))
    pairs = np.flatnonzero(found.partner >= 0)
    assert len(pairs) >= 4
    np.testing.assert_array_equal(found.partner[found.partner[pairs]], pairs)
    np.testing.assert_array_equal(found.phase[found.partner[pairs]], found.phase[pairs])


@pytest.mark.parametrize("line", CELL_LINES, ids=lambda line: line.name)
def test_cell_lines_differ_in_size_as_they_say(line):
    radii = populate(line, 0.32, 512, Divisions(0, 0, 0), np.random.default_rng(1)).nucleus_radius
    assert 2 * radii.mean() * 0.32 == pytest.approx(line.nucleus_um, rel=0.15)


@pytest.mark.parametrize("line", CELL_LINES, ids=lambda line: line.name)
def test_cells_touch_and_leave_gaps(line):
    rng = np.random.default_rng(2)
    cells = draw_scene(line, 0.32, 512, populate(line, 0.32, 512, Divisions(0, 0, 0), rng), rng).cells
    highest, lowest = ndimage.maximum_filter(cells, 3), ndimage.minimum_filter(cells, 3)
    border = highest != lowest
    assert (border & (lowest > 0)).sum() > 0.15 * border.sum()
    assert 0.3 < (cells > 0).mean() < 0.9


def test_a_contact_sheet_has_one_tile_per_location():
    sheet = contact_sheet(("Nucleoplasm", "Golgi apparatus"), seed=1)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == (2 * TILE, 3)
    assert all(half[:TILE, :, 1].max() > 100 for half in np.hsplit(sheet, 2))
