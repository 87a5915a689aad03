"""Dots, clumps, rings and rods that were drawn are found; membranes and fibres are none."""

import numpy as np
import pytest
from scenes import Scene
from scipy.ndimage import gaussian_filter, zoom

SHAPE = (96, 128)
DOWN, RIGHT = np.indices(SHAPE).astype(float)


def measured(structures, pixel_size_um=None, nucleus=None):
    """Measure structures over a noisy background in one large cell; return a look-up of its numbers."""
    cells = np.zeros(SHAPE, np.int32)
    cells[2:-2, 2:-2] = 1
    nuclei = np.zeros(SHAPE, np.int32) if nucleus is None else nucleus.astype(np.int32)
    noise = gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 0.7)
    plane = 0.2 + 0.01 * noise + structures
    row = Scene(np.array([plane] * 4, np.float32), cells, nuclei).measured(
        families=("granules",), pixel_size_um=pixel_size_um
    )
    return lambda name, of="cell": row.iloc[0][f"{of}__granules__protein_{name}"]


def spots(centres, sigma=1.2, height=0.5):
    """Draw Gaussian spots."""
    squares = [(DOWN - row) ** 2 + (RIGHT - column) ** 2 for row, column in centres]
    return height * sum(np.exp(-one / (2 * sigma**2)) for one in squares)


def line(start, end, sigma=1.0, height=0.5):
    """Draw a straight line."""
    (top, left), step = start, np.subtract(end, start)
    along = ((DOWN - top) * step[0] + (RIGHT - left) * step[1]) / (step**2).sum()
    along = np.clip(along, 0, 1)
    away = np.hypot(DOWN - top - along * step[0], RIGHT - left - along * step[1])
    return height * np.exp(-(away**2) / (2 * sigma**2))


def ring(centre, radius, sigma=1.0, height=0.5):
    """Draw a circle."""
    away = np.hypot(DOWN - centre[0], RIGHT - centre[1])
    return height * np.exp(-((away - radius) ** 2) / (2 * sigma**2))


DOTS = [(20, 20), (20, 60), (48, 40), (70, 90), (75, 30)]


def test_dots_are_counted_and_placed():
    nucleus = np.hypot(DOWN - 48, RIGHT - 40) < 8
    found = measured(spots(DOTS), nucleus=nucleus)
    assert found("dot_count") == found("dot_strong_count") == 5
    assert found("dot_nuclear_share") == pytest.approx(0.2)
    away = [max(0.0, np.hypot(row - 48, column - 40) - 8) for row, column in DOTS]
    assert found("dot_from_nucleus") == pytest.approx(np.mean(away), abs=0.6)
    assert found("dot_variation") < 0.2
    assert found("ring_count") == found("rod_count") == 0
    assert measured(spots(DOTS, sigma=2.0))("dot_width") < found("dot_width")


def test_dots_are_found_beside_membranes_and_fibres_which_are_none():
    membrane = np.maximum(ring((48, 64), 40), line((5, 5), (90, 120)))
    assert measured(membrane)("dot_count") == 0
    beside = spots([(70, 20), (20, 70), (48, 90), (75, 50), (12, 100)])
    assert measured(membrane + beside)("dot_count") == 5


def test_uneven_dots_vary_and_few_of_them_are_strong():
    found = measured(spots(DOTS[:4], height=0.15) + spots(DOTS[4:], height=0.8))
    assert found("dot_count") == 5
    assert found("dot_strong_count") == 1
    assert found("dot_variation") > 0.5
    assert found("dot_highest_contrast") > 2 * found("dot_contrast")


def test_a_clump_is_a_wide_dot():
    nucleus = np.hypot(DOWN - 48, RIGHT - 30) < 10
    found = measured(spots([(48, 60)], sigma=4), nucleus=nucleus)
    assert found("clump_count") == 1
    assert found("clump_from_nucleus") == pytest.approx(20, abs=1.5)
    assert measured(spots([(48, 60)], sigma=2))("clump_width") > found("clump_width")


@pytest.mark.parametrize("radius", [3, 5])
def test_a_ring_is_found_with_its_radius_among_dots(radius):
    found = measured(ring((40, 80), radius) + spots(DOTS))
    assert found("ring_count") == 1
    assert found("ring_radius") == pytest.approx(radius, abs=1)
    assert found("ring_contrast") == pytest.approx(2 * found("ring_dominance"))
    in_um = measured(ring((40, 80), radius), pixel_size_um=0.32)
    assert in_um("ring_radius") == pytest.approx(0.32 * radius, abs=0.33)


def test_half_a_circle_and_a_disc_are_no_rings():
    whole = measured(ring((40, 80), 5))("ring_contrast")
    assert measured(ring((40, 80), 5) * (RIGHT < 80))("ring_contrast") < 0.15 * whole
    assert measured(spots([(40, 80)], sigma=4))("ring_contrast") < 0.15 * whole


def test_a_rod_is_found_with_its_length_and_a_fibre_is_endless():
    rod = measured(line((30, 30), (42, 46)))
    assert rod("rod_count") >= 1
    assert rod("rod_length") == pytest.approx(20, abs=3)
    assert rod("rod_contrast") > 0.5
    fibre = measured(line((5, 10), (90, 110)))
    assert fibre("rod_count") == 0
    assert np.isnan(fibre("rod_length"))


def test_a_disc_is_found_with_its_radius_and_told_from_a_heap_of_dots():
    away = np.hypot(DOWN - 48, RIGHT - 60)
    nucleus = np.hypot(DOWN - 48, RIGHT - 30) < 10
    disc = measured(0.5 / (1 + np.exp(np.clip(2 * (away - 5), -30, 30))), nucleus=nucleus)
    assert disc("disc_count") == 1
    assert disc("disc_radius") == pytest.approx(5, abs=1)
    assert disc("disc_from_nucleus") == pytest.approx(20, abs=2)
    assert disc("disc_contrast") == pytest.approx(2 * disc("disc_dominance"))
    blurred = measured(spots([(48, 60)], sigma=5), nucleus=nucleus)
    assert blurred("disc_edge") < 0.8 * disc("disc_edge")
    turns = np.arange(5) * 2 * np.pi / 5
    heap = measured(spots(list(zip(48 + 4 * np.sin(turns), 60 + 4 * np.cos(turns), strict=True)), sigma=0.8))
    assert heap("disc_variation") > 1.5 * disc("disc_variation")


def test_what_lies_in_the_nucleus_hides_nothing_of_the_cytoplasm():
    nucleus = np.hypot(DOWN - 48, RIGHT - 40) < 14
    inside, outside = [(45, 37), (52, 44)], [(20, 80), (70, 90), (75, 100)]
    found = measured(spots(outside, height=0.1) + spots(inside) + 0.3 * nucleus, nucleus=nucleus)
    assert found("dot_count", "cytoplasm") == 3
    assert found("dot_strong_count", "cytoplasm") == 3 > found("dot_strong_count") - 1
    assert found("dot_count", "nucleus") == found("dot_strong_count", "nucleus") == 2
    assert found("dot_from_nucleus") < found("dot_from_nucleus", "cytoplasm")


def test_envelope_and_membrane_belong_to_neither_part():
    nucleus = np.hypot(DOWN - 48, RIGHT - 40) < 14
    beside = [(48 + row, 40 + column) for row, column in ((13, 0), (0, 15), (-14, 0))] + [(4, 60), (50, 123)]
    found = measured(spots(beside), nucleus=nucleus)
    assert found("dot_count") == 5
    assert found("dot_count", "nucleus") == found("dot_count", "cytoplasm") == 0


def test_without_a_nucleus_the_cytoplasm_is_the_cell_and_the_nucleus_has_no_numbers():
    found = measured(spots(DOTS))
    assert found("dot_count", "cytoplasm") == 5
    assert np.isnan(found("dot_count", "nucleus"))
    assert np.isnan(found("dot_from_nucleus", "cytoplasm"))


def test_noise_alone_has_nothing_that_is_high():
    found = measured(np.zeros(SHAPE))
    assert found("dot_strength") < 10
    assert found("clump_count") <= 1
    assert found("ring_strength") < 6


def test_a_flat_cell_has_no_numbers():
    cells = np.zeros(SHAPE, np.int32)
    cells[2:-2, 2:-2] = 1
    flat = Scene(np.full((4, *SHAPE), 0.3, np.float32), cells, np.zeros(SHAPE, np.int32))
    assert flat.measured(families=("granules",)).isna().all(axis=None)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: np.rot90(image, axes=(-2, -1)),
        lambda image: np.flip(image, -1),
        lambda image: image if image.dtype != np.float32 else image / 2,
    ],
)
def test_turning_mirroring_and_dimming_change_nothing(change):
    rng = np.random.default_rng(1)
    cells = np.zeros(SHAPE, np.int32)
    cells[2:-2, 2:-2] = 1
    nuclei = (np.hypot(DOWN - 48, RIGHT - 40) < 8).astype(np.int32)
    structures = spots(DOTS) + ring((40, 80), 4) + line((60, 50), (72, 66)) + spots([(24, 100)], sigma=4)
    plane = 0.2 + structures + 0.01 * gaussian_filter(rng.normal(size=SHAPE), 0.7)
    scene = Scene(np.array([plane] * 4, np.float32), cells, nuclei)
    before = scene.measured(families=("granules",))
    assert not before.filter(regex="^(cell|cytoplasm)").isna().any(axis=None)
    after = scene.changed(change).measured(families=("granules",))
    np.testing.assert_allclose(after, before, rtol=2e-4)


def test_with_a_known_pixel_size_larger_pictures_of_the_same_have_the_same_numbers():
    cells = np.zeros(SHAPE, np.int32)
    cells[2:-2, 2:-2] = 1
    structures = spots(DOTS) + ring((40, 80), 4) + line((60, 50), (72, 66)) + spots([(24, 100)], sigma=4)
    plane = 0.2 + structures + 0.01 * gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), 1.5)
    found = []
    for factor in (1, 2):
        planes = np.array([zoom(plane, factor, order=1, mode="nearest", grid_mode=True)] * 4, np.float32)
        labels = cells.repeat(factor, axis=0).repeat(factor, axis=1)
        scene = Scene(planes, labels, np.zeros_like(labels))
        found.append(scene.measured(families=("granules",), pixel_size_um=0.32 / factor).iloc[0])
    same = ["dot_strong_count", "ring_count", "ring_radius", "rod_count"]
    for name in same:
        assert found[0][f"cell__granules__protein_{name}"] == found[1][f"cell__granules__protein_{name}"]
    for name in (
        "dot_contrast",
        "clump_contrast",
        "ring_contrast",
        "rod_contrast",
        "rod_length",
        "dot_width",
    ):
        one, other = (row[f"cell__granules__protein_{name}"] for row in found)
        assert other == pytest.approx(one, rel=0.2)
