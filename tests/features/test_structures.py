"""Lines, edges, outlines, bodies, rods and rings that were drawn are measured as they were drawn."""

import numpy as np
import pytest
from scenes import Scene, scene
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import euler_number, label
from skimage.morphology import thin as thinned

from features.families.filaments import ridges
from features.families.nucleoli import otsu_level
from features.families.outline import bending, outline, smooth_closed
from features.families.rods import euler_numbers, middle_level
from features.families.topology import euler_curve
from features.kernels.skeletons import thin
from features.planes import LEVELS, levels_of

SHAPE = (80, 120)


def disc(shape, centre, radius):
    """Return a disc of pixels."""
    down, right = np.indices(shape) - np.array(centre)[:, None, None]
    return np.hypot(down, right) <= radius


def drawn(plane, nucleus=None, families=("filaments", "edges", "rods", "places", "nucleoli"), **options):
    """Measure one plane, as every channel, in a large cell; return a look-up of its numbers."""
    cells = np.zeros(SHAPE, np.int32)
    cells[2:78, 2:118] = 1
    nuclei = np.zeros(SHAPE, np.int32) if nucleus is None else nucleus.astype(np.int32)
    planes = plane if plane.ndim == 3 else np.array([plane] * 4)
    row = Scene(planes.astype(np.float32), cells, nuclei).measured(families=families, **options).iloc[0]
    return lambda name: row[name]


def test_one_straight_line_is_one_filament_of_its_length_with_two_ends():
    plane = np.full(SHAPE, 0.1)
    plane[40, 30:80] = 0.9
    found = drawn(ndimage.gaussian_filter(plane, 1))
    assert found("cell__filaments__count__protein") == 1
    assert found("cell__filaments__mean_length__protein") == pytest.approx(49, abs=3)
    assert found("cell__filaments__ends__protein") == pytest.approx(2 / 49, rel=0.1)
    assert found("cell__filaments__branches__protein") == 0
    assert found("cell__filaments__straightness__protein") == pytest.approx(1, abs=0.03)
    assert found("cell__filaments__common_direction__protein") > 0.95
    micrometres = drawn(ndimage.gaussian_filter(plane, 1), pixel_size_um=0.32)
    assert micrometres("cell__filaments__longest__protein") == pytest.approx(49 * 0.32, abs=1)


def test_a_cross_has_branches_and_no_common_direction():
    plane = np.full(SHAPE, 0.1)
    plane[40, 30:80], plane[15:66, 55] = 0.9, 0.9
    found = drawn(ndimage.gaussian_filter(plane, 1))
    assert found("cell__filaments__branches__protein") > 0
    assert found("cell__filaments__common_direction__protein") < 0.1


def test_lines_point_at_the_nucleus_or_run_around_it():
    nucleus = disc(SHAPE, (40, 60), 8)
    rays, circle = np.full(SHAPE, 0.1), np.full(SHAPE, 0.1)
    rays[40, 75:110], rays[40, 10:45] = 0.9, 0.9
    circle[disc(SHAPE, (40, 60), 25) & ~disc(SHAPE, (40, 60), 24)] = 0.9
    for plane, sign in ((rays, 1), (circle, -1)):
        found = drawn(ndimage.gaussian_filter(plane, 1), nucleus)
        assert found("cell__filaments__radial_direction__protein") * sign > 0.9


def test_lines_of_two_channels_are_parallel_across_or_neither():
    across, along = np.full(SHAPE, 0.1), np.full(SHAPE, 0.1)
    across[:, 10:110:8], along[10:70:8] = 0.9, 0.9
    slanted = np.where((np.indices(SHAPE).sum(axis=0) % 11) == 0, 0.9, 0.1)
    planes = [ndimage.gaussian_filter(one, 1) for one in (across, across, along, slanted)]
    found = drawn(np.array(planes))
    name = "cell__filaments__alignment__{}".format
    assert found(name("microtubules__protein")) == pytest.approx(1, abs=1e-6)
    assert found(name("protein__nucleus")) < -0.8
    assert abs(found(name("nucleus__er"))) < 0.2


@pytest.mark.parametrize("seed", range(4))
def test_skeletons_are_those_of_scikit_image(seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(70, 90)), 2)
    bright = np.pad(noise > 0.05, 1)
    ours = thin(bright)
    np.testing.assert_array_equal(ours, thinned(bright))
    assert euler_number(ours, 2) == euler_number(bright, 2)
    assert label(ours, connectivity=2).max() == label(bright, connectivity=2).max()


def test_ridges_are_the_hessians_eigenvalues():
    plane = ndimage.gaussian_filter(np.random.default_rng(0).random((20, 24)), 1).astype(np.float32)
    found = ridges(plane[None], np.ones(plane.shape, bool))[0].astype(float)
    p = plane.astype(float)
    dd = p[2:, 1:-1] + p[:-2, 1:-1] - 2 * p[1:-1, 1:-1]
    rr = p[1:-1, 2:] + p[1:-1, :-2] - 2 * p[1:-1, 1:-1]
    dr = (p[2:, 2:] + p[:-2, :-2] - p[2:, :-2] - p[:-2, 2:]) / 4
    values, vectors = np.linalg.eigh(np.moveaxis(np.array([[dd, dr], [dr, rr]]), (0, 1), (2, 3)))
    strength = np.maximum(0, -values[..., 0] - np.abs(values[..., 1])) * (values.sum(axis=-1) < 0)
    inner = np.s_[1:-1, 1:-1]
    np.testing.assert_allclose(np.hypot(*found)[inner], strength, atol=1e-6)
    along = vectors[..., 1]
    doubled = along[..., 1] ** 2 - along[..., 0] ** 2
    np.testing.assert_allclose(found[0][inner], strength * doubled, atol=1e-6)


def test_a_square_has_edges_in_four_equal_directions_and_a_step_in_one():
    square, step = np.full(SHAPE, 0.1), np.full(SHAPE, 0.1)
    square[20:60, 40:80], step[:, 60:] = 0.9, 0.9
    found, single = drawn(square), drawn(step)
    name = "cell__edges__{}__protein".format
    assert found(name("direction_peak")) == pytest.approx(0.25, abs=0.04)
    assert found(name("direction_imbalance")) == pytest.approx(0, abs=0.01)
    assert found(name("common_direction")) < 0.01
    assert single(name("direction_entropy")) == pytest.approx(0, abs=1e-6)
    assert single(name("direction_imbalance")) == pytest.approx(1)
    # both pixels beside a step between two columns change equally
    assert single(name("pixel_share")) == pytest.approx(2 / 114, rel=0.05)


def test_a_discs_outline_bends_like_a_circle_and_an_ellipses_as_the_formula_says():
    mask = disc((120, 120), (60, 60), 45)
    numbers = bending(smooth_closed(outline(mask), 6.0), np.sqrt(mask.sum() / np.pi))
    assert numbers[0] < 0.15
    assert numbers[1:4] == pytest.approx([1, 1, 1], abs=0.25)
    assert numbers[4:].tolist() == [0, 0]
    down, right = np.indices((120, 160)) - np.array([60, 80])[:, None, None]
    long, short = 70, 35
    numbers = bending(
        smooth_closed(outline((right / long) ** 2 + (down / short) ** 2 <= 1), 6.0), np.sqrt(long * short)
    )
    radius = np.sqrt(long * short)
    assert numbers[2] == pytest.approx(long / short**2 * radius, rel=0.1)
    assert numbers[1] == pytest.approx(short / long**2 * radius, abs=0.2)


def test_an_outline_goes_once_around_the_largest_part_and_leaves_holes_out():
    mask = np.zeros((12, 14), bool)
    mask[2:7, 2:9], mask[4, 4], mask[10, 11] = True, False, True
    points = outline(mask)
    assert len(points) == 2 * (5 + 7)
    area = 0.5 * np.abs(
        np.dot(points[:, 1], np.roll(points[:, 0], -1)) - np.dot(points[:, 0], np.roll(points[:, 1], -1))
    )
    assert area == pytest.approx(35 - 0.5)


def test_two_lobes_make_two_inward_bends():
    mask = disc((90, 140), (45, 45), 30) | disc((90, 140), (45, 95), 30)
    assert bending(smooth_closed(outline(mask), 4.0), 40.0)[5] == 2


def test_euler_numbers_at_every_level_are_those_of_scikit_image():
    plane = ndimage.gaussian_filter(np.random.default_rng(1).random((40, 50)), 1.5).astype(np.float32)
    mask = np.zeros(plane.shape, bool)
    mask[1:-1, 1:-1] = disc((38, 48), (18, 24), 20)
    levels = levels_of(plane[None], mask)[0]
    counts, euler = euler_curve(levels)
    for level in range(1, LEVELS + 1, 15):
        assert counts[level] == (levels >= level).sum()
        assert euler[level] == euler_number(levels >= level, connectivity=2)


def test_the_level_between_dark_and_bright_is_otsus():
    levels = np.random.default_rng(0).choice(
        np.array([20, 25, 30, 180, 200], np.int16), (30, 30), p=[0.3, 0.3, 0.2, 0.1, 0.1]
    )
    assert otsu_level(levels) - 1 == threshold_otsu(levels.astype(np.uint8))
    assert otsu_level(np.full((3, 3), 7, np.int16)) == LEVELS + 1
    assert middle_level(np.array([[0, 1, 1, 3]], np.int16)) == (1 + LEVELS + 1) // 2


def test_holes_are_counted_object_by_object():
    bright = np.pad(ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(50, 60)), 2) > 0, 1)
    labels = label(bright, connectivity=2).astype(np.int32)
    theirs = [euler_number(labels == one, 2) for one in range(1, labels.max() + 1)]
    assert euler_numbers(labels, labels.max()).tolist() == theirs
    assert min(theirs) < 0


def test_a_rod_and_a_ring_are_told_apart_and_measured():
    plane = np.full(SHAPE, 0.1)
    plane[20:23, 20:60] = 0.9
    plane[disc(SHAPE, (50, 90), 12) & ~disc(SHAPE, (50, 90), 9)] = 0.9
    plane[disc(SHAPE, (60, 30), 4)] = 0.9
    found = drawn(plane)
    name = "cell__rods__{}__protein".format
    assert found(name("object_count")) == 3
    assert (found(name("rod_count")), found(name("ring_count"))) == (1, 1)
    assert found(name("longest_rod")) == pytest.approx(40, abs=5)
    assert found(name("rod_straightness")) == pytest.approx(1, abs=0.05)
    assert found(name("ring_diameter")) == pytest.approx(21, abs=1)


def test_nucleoli_are_found_as_bright_bodies_and_as_bodies_poor_in_dna():
    nucleus = disc(SHAPE, (40, 60), 24)
    bodies = disc(SHAPE, (34, 52), 5) | disc(SHAPE, (46, 70), 4)
    rims = bodies & ~ndimage.binary_erosion(bodies, iterations=3)
    protein = 0.1 + 0.4 * bodies + 0.3 * rims
    dna = 0.8 * nucleus - 0.5 * bodies
    found = drawn(np.array([protein, protein, np.clip(dna, 0, 1), protein]), nucleus)
    name = "nucleus__nucleoli__{}".format
    assert found(name("count__protein")) == found(name("dna_poor_count")) == 2
    area = bodies.sum() / nucleus.sum()
    assert found(name("area_share__protein")) == pytest.approx(area, rel=0.25)
    assert found(name("dna_poor_area_share")) == pytest.approx(area, rel=0.25)
    assert found(name("contrast__protein")) > 0.5
    assert found(name("dna_poor_contrast")) > 0.5
    assert found(name("rim_contrast__protein")) > 0.05
    assert found(name("spacing__protein")) == pytest.approx(np.hypot(12, 18) / 24, rel=0.05)


def test_a_protein_on_one_side_of_the_nucleus_is_said_to_be_there():
    nucleus = disc(SHAPE, (40, 60), 10)
    left, right, around = (np.full(SHAPE, 0.0) for _ in range(3))
    left[36:45, 30:40], right[36:45, 80:90], around[:] = 1, 1, 1
    found = drawn(np.array([left, right, around, left]), nucleus)
    name = "cell__places__{}".format
    assert found(name("one_sidedness__protein")) > 0.98
    assert found(name("one_sidedness__nucleus")) < 0.05
    assert found(name("same_side__microtubules__protein")) < -0.99
    assert found(name("same_side__microtubules__er")) == pytest.approx(1)
    assert found(name("mass_from_nucleus__protein")) == pytest.approx(24.5, abs=0.1)
    assert found(name("brightest_from_microtubule_centre")) == pytest.approx(50, abs=6)
    assert found(name("mean_from_microtubule_centre")) > 1


def test_channels_are_related_as_linear_regression_says():
    given = scene()
    mask = given.cells == 7
    values = [plane[mask] / 255 for plane in given.picture]
    row = given.measured(families=["relations"]).loc[7]
    design = np.column_stack([np.ones(mask.sum()), values[0], values[2], values[3]])
    left = values[1] - design @ np.linalg.lstsq(design, values[1], rcond=None)[0]
    explained = 1 - left.var() / values[1].var()
    assert row["cell__relations__explained__protein"] == pytest.approx(explained, rel=1e-3)
    others = design[:, [0, 1, 2]]
    rests = [one - others @ np.linalg.lstsq(others, one, rcond=None)[0] for one in (values[1], values[3])]
    partial = np.corrcoef(*rests)[0, 1]
    assert row["cell__relations__partial__protein__er"] == pytest.approx(partial, rel=1e-3)


def test_daughters_face_each_other_across_a_bridge():
    cells, nuclei = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    cells[10:70, 5:40], cells[10:70, 40:75], cells[10:70, 80:115] = 1, 2, 3
    nuclei[25:55, 22:30], nuclei[25:55, 50:58], nuclei[20:60, 85:110] = 1, 2, 3
    dna = np.where(nuclei == 3, 0.2, np.where(nuclei > 0, 0.9, 0.0))
    protein = np.full(SHAPE, 0.1)
    protein[39:42, 30:50] = 0.9
    table = Scene(np.array([protein, protein, dna, protein], np.float32), cells, nuclei).measured(
        families=["division"]
    )
    row = table.loc[1]
    name = "cell__division__{}".format
    assert row[name("mutual")] == 1
    assert row[name("parallel")] == pytest.approx(1)
    assert row[name("facing")] == pytest.approx(1)
    assert row[name("gap")] == pytest.approx(28 / (2 * np.sqrt(240 / np.pi)), rel=1e-5)
    assert row[name("dna_content")] == pytest.approx(1)
    assert table.loc[3, name("condensation")] < 0.1 < row[name("condensation")]
    assert row[name("dna_likeness")] == pytest.approx(1)
    assert row[name("bridge_peak__protein")] > 3
    assert row[name("bridge_contrast__protein")] > 0.7
    assert table.loc[3, name("mutual")] == 0
