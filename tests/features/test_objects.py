"""Objects and spots that were put there are found."""

import numpy as np
import pytest
from scenes import Scene
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from features.families.objects import local_maxima
from features.kernels.components import components, mean_spacing
from features.kernels.ranks import otsu

SHAPE = (60, 96)


def drawn(plane: np.ndarray, **options):
    """Measure the objects of a plane in one large cell with a nucleus on the left."""
    cells, nuclei = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    cells[2:58, 2:94] = 1
    nuclei[20:40, 10:30] = 1
    row = (
        Scene(np.array([plane] * 4, np.float32), cells, nuclei)
        .measured(families=["objects"], **options)
        .iloc[0]
    )
    return lambda name: row[f"cell__objects__{name}"]


def test_objects_are_counted_measured_and_their_holes_seen():
    plane = np.full(SHAPE, 0.1)
    plane[10:14, 40:60] = 0.9
    plane[30:39, 60:69] = 0.9
    plane[33:36, 63:66] = 0.1
    measured = drawn(plane)
    areas = np.array([80, 72])
    assert measured("count__protein") == 2
    assert measured("euler_number__protein") == 1
    assert measured("mean_area__protein") == pytest.approx(76)
    assert measured("std_area__protein") == pytest.approx(4)
    assert measured("largest_share__protein") == pytest.approx(80 / 152)
    assert measured("area_share__protein") == pytest.approx(152 / (56 * 92))
    assert measured("contrast__protein") == pytest.approx(9, rel=1e-5)
    assert measured("largest_elongation__protein") == pytest.approx(np.sqrt(1 - 15 / 399), rel=1e-4)
    assert drawn(plane, pixel_size_um=0.32)("mean_area__protein") == pytest.approx(areas.mean() * 0.32**2)


def test_spots_are_found_where_they_are():
    plane = np.full(SHAPE, 0.1)
    for row, column in ((12, 50), (12, 60), (30, 80), (45, 20)):
        plane[row, column] = 0.9
    plane[30, 80] = 1.0
    measured = drawn(ndimage.gaussian_filter(plane, 1))
    assert measured("spot_count__er") == 4
    assert measured("spot_density__er") == pytest.approx(4 / (56 * 92))
    nearest = [10, 10, np.hypot(18, 20), np.hypot(33, 30)]
    assert measured("spot_spacing__er") == pytest.approx(np.mean(nearest), rel=1e-5)
    assert measured("brightest_from_nucleus__er") == pytest.approx(51)
    assert measured("brightest_from_border__er") == pytest.approx(14)
    assert measured("spot_nuclear_share__er") == 0
    assert measured("spot_from_border__er") == pytest.approx(np.mean([11, 11, 14, 13]))


def test_the_microtubule_centre_is_the_brightest_smooth_spot():
    plane = np.full(SHAPE, 0.2)
    plane[28:33, 48:53] = 1.0
    plane[50, 70] = 1.0
    measured = drawn(plane)
    assert measured("microtubule_centre_from_nucleus") == pytest.approx(50 - 29)
    assert measured("protein_near_microtubule_centre") > 1.5


def test_components_are_those_of_scikit_image():
    bright = np.pad(np.random.default_rng(0).random((40, 50)) < 0.4, 1)
    labels, count = components(bright)
    theirs = label(bright, connectivity=2)
    assert count == theirs.max()
    assert sorted(one.area for one in regionprops(labels)) == sorted(one.area for one in regionprops(theirs))


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_otsus(seed):
    generator = np.random.default_rng(seed)
    values = np.concatenate([generator.integers(10, 60, 300), generator.integers(90, 200, 100)])
    assert otsu(np.sort(values).astype(float)) == threshold_otsu(values.astype(np.uint8).reshape(20, 20))


def test_equal_values_have_no_threshold():
    assert np.isinf(otsu(np.full(9, 0.3)))


def test_maxima_and_spacing_by_hand():
    plane = np.zeros((9, 9), np.float32)
    plane[2, 2], plane[2, 6], plane[6, 2], plane[6, 3] = 3, 2, 5, 5
    mask = np.zeros((9, 9), bool)
    mask[1:8, 1:8] = True
    np.testing.assert_array_equal(local_maxima(plane, mask, 1.0), [[2, 2], [2, 6]])
    assert mean_spacing(np.array([[0, 0], [0, 3], [4, 0]])) == pytest.approx((3 + 3 + 4) / 3)
    assert np.isnan(mean_spacing(np.array([[0, 0]])))
