"""Compiled loops against slow twins and published values."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.stats import kurtosis, rankdata, skew

from features.families.haralick import NAMES, haralick_of_planes
from features.families.intensity import level_entropy, median_deviation
from features.families.zernike import scattered_ends
from features.kernels.crops import bounding_boxes, ranks_of_part
from features.kernels.distance import distance_inside
from features.kernels.intensity_correlation import costes
from features.kernels.ranks import FEW, distinct, quantise, rank, sort_by_rank
from features.kernels.sums import moments, total, total_from

IBSI = Path(__file__).resolve().parents[3] / "shared" / "design" / "ibsi_reference.json"


@pytest.mark.parametrize("filled", [0.01, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("shape", [(1, 7), (40, 33), (9, 1), (25, 60)])
def test_distances_are_exact(filled, shape):
    mask = np.random.default_rng(0).random(shape) < filled
    mask.flat[3] = False
    np.testing.assert_allclose(distance_inside(mask), distance_transform_edt(mask))


def test_the_distance_to_nothing_is_infinite():
    assert np.isinf(distance_inside(np.ones((4, 5), bool))).all()


def test_bounding_boxes_skip_missing_labels():
    labels = np.zeros((9, 8), np.int32)
    labels[2:5, 3] = 2
    labels[4, 1:7] = 65535
    np.testing.assert_array_equal(bounding_boxes(labels), [[2, 2, 4, 3, 4], [65535, 4, 5, 1, 7]])
    assert len(bounding_boxes(np.zeros((3, 3), np.int32))) == 0


def test_levels_divide_the_range_evenly_and_the_maximum_is_in_the_last():
    steps = np.array([[-7.0, 0.0, 0.25, 0.49, 0.5, 1.0, 9.0]])
    ranks, positions = np.arange(1, 6, dtype=np.int32)[None], np.array([[0] * 5, range(5)])
    np.testing.assert_array_equal(quantise(ranks, steps, positions, (0, 1, 0, 6), 4), [[[1, 2, 2, 3, 4, 0]]])


def intensities(kind: str) -> np.ndarray:
    """Return two channels of few or of many distinct intensities, some below 0, of single precision."""
    generator = np.random.default_rng(7)
    if kind == "few":
        return generator.integers(-3, FEW - 3, (2, 5000)) / 255 // 2**-20 * 2**-20
    many = generator.normal(size=(2, 5000)).astype(np.float32).astype(np.float64)
    many[:, ::7] = many[:, 1::7][:, : many[:, ::7].shape[1]]
    return many


@pytest.mark.parametrize("kind", ["few", "many"])
def test_pixels_are_ranked_and_sorted_with_and_without_many_intensities(kind):
    values = intensities(kind)
    assert (len(np.unique(values[0])) <= FEW) == (kind == "few")
    ranks, steps = distinct(values)
    averaged, dense = rank(ranks, steps.shape[1])
    np.testing.assert_array_equal(sort_by_rank(ranks, steps), np.sort(values, axis=1))
    np.testing.assert_array_equal(averaged, rankdata(values, axis=1) - 1)
    np.testing.assert_array_equal(dense, rankdata(values, method="dense", axis=1) - 1)


@pytest.mark.parametrize("kind", ["few", "many"])
def test_a_part_is_ranked_by_what_is_known_of_the_whole(kind):
    values = intensities(kind)
    positions = np.array(np.unravel_index(np.arange(values.shape[1]), (50, 100)))
    mask = np.random.default_rng(1).random((50, 100)) < 0.2
    part = values[:, mask.ravel()]
    ranks, steps = distinct(values)
    picked = ranks_of_part(ranks, positions, mask, np.count_nonzero(mask))
    averaged, dense = rank(picked, steps.shape[1])
    np.testing.assert_array_equal(sort_by_rank(picked, steps), np.sort(part, axis=1))
    np.testing.assert_array_equal(averaged, rankdata(part, axis=1) - 1)
    np.testing.assert_array_equal(dense, rankdata(part, method="dense", axis=1) - 1)


def test_zero_and_minus_zero_are_one_intensity():
    ranks, steps = distinct(np.array([[0.0, -0.0, 1.0]]))
    np.testing.assert_array_equal(ranks, [[0, 0, 1]])
    np.testing.assert_array_equal(steps, [[0.0, 1.0]])


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
def test_sums_in_lanes_leave_nothing_out(count):
    values = np.random.default_rng(count).normal(size=count)
    assert total(values) == pytest.approx(values.sum())
    assert total_from(values, 2.0, 0.5, 1.0) == pytest.approx(values[values >= 0].sum())


@pytest.mark.parametrize("count", [1, 2, 65, 1000])
def test_moments_are_those_of_scipy(count):
    values = np.random.default_rng(count).gamma(2.0, size=(1, count))
    ours = moments(values)[0]
    assert ours[:3] == pytest.approx([values.sum(), values.mean(), values.std()])
    if count > 1:
        assert ours[3:] == pytest.approx([skew(values[0]), kurtosis(values[0])])


def test_the_entropy_is_that_of_a_histogram():
    values = np.sort(np.random.default_rng(0).gamma(2.0, size=(1, 999)))
    shares = np.histogram(values, 64)[0] / 999
    expected = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    assert level_entropy(values, 64) == pytest.approx(expected)
    assert level_entropy(np.full((1, 5), 0.3), 64) == 0


@pytest.mark.parametrize("side", [1, 2, 9, 40])
def test_scattered_ends_are_the_ends_of_every_row(side):
    mask = np.random.default_rng(side).random((side, side)) < 0.7
    mask[0, 0] = True
    rows = [np.flatnonzero(line) for line in mask]
    ends = {(row, end) for row, line in enumerate(rows) if len(line) for end in (line[0], line[-1])}
    found = [tuple(point) for point in scattered_ends(np.array(np.nonzero(mask)))]
    assert set(found) == ends


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 50, 51])
def test_the_median_deviation_is_found_without_sorting_again(count):
    values = np.sort(np.random.default_rng(count).integers(0, 9, (3, count)).astype(float), axis=1)
    expected = np.median(np.abs(values - np.median(values, axis=1, keepdims=True)), axis=1)
    np.testing.assert_allclose(median_deviation(values), expected)


def slow_costes(x, y, step):
    """Walk down the orthogonal regression line; the plain reading of Costes et al."""
    xx, yy, xy = x.var(), y.var(), np.mean((x - x.mean()) * (y - y.mean()))
    slope = (yy - xx + np.sqrt((yy - xx) ** 2 + 4 * xy**2)) / (2 * xy)
    offset = y.mean() - slope * x.mean()
    for number in range(int(x.max() / step + 1e-6) + 1, 0, -1):
        below = (x < number * step - 1e-9) | (y < offset + slope * number * step - 1e-9)
        a, b = x[below], y[below]
        if len(a) < 2 or np.mean(a * b) - a.mean() * b.mean() <= 1e-12:
            break
    else:
        number = 0
    return (slope, offset), (number * step, offset + slope * number * step)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", [1 / 255, 1 / 64])
def test_costes_thresholds_are_those_of_a_walk_down_the_line(seed, step):
    generator = np.random.default_rng(seed)
    shared = generator.gamma(1.5, 30, 500)
    x = np.clip(shared + generator.normal(0, 15, 500), 0, 255).round() / 255
    y = np.clip(0.6 * shared + generator.normal(20, 12, 500), 0, 255).round() / 255
    (slope, offset), expected = slow_costes(x, y, step)
    number, above_x, above_y = costes(x, y, (slope, offset), step, int(x.max() / step + 1e-6) + 1)
    assert (number * step, offset + slope * number * step) == pytest.approx(expected)
    above = (x >= expected[0] - 1e-9) & (y >= expected[1] - 1e-9)
    assert (above_x, above_y) == pytest.approx((x[above].sum(), y[above].sum()))


def test_haralick_agrees_with_the_standard_phantom():
    if not IBSI.exists():
        pytest.skip("no reference values of the Image Biomarker Standardisation Initiative")
    published = json.loads(IBSI.read_text())
    levels = np.array(published["intensity"]) * np.array(published["mask"])
    ours = haralick_of_planes(levels.astype(np.uint8), np.array([1]), 6)[:, 0, 0].mean(axis=0)
    ours = dict(zip(NAMES, ours, strict=True))
    reference = published["reference"]["glcm"]
    pairs = {
        "energy": "ASM",
        "contrast": "CONTRAST",
        "correlation": "CORRELATION",
        "variance": "JVAR",
        "homogeneity": "IDM",
        "sum_average": "SUMAVERAGE",
        "sum_variance": "SUMVARIANCE",
        "sum_entropy": "SUMENTROPY",
        "entropy": "JE",
        "difference_variance": "DIFVAR",
        "difference_entropy": "DIFENTRO",
        "information_1": "INFOMEAS1",
        "information_2": "INFOMEAS2",
    }
    for name, theirs in pairs.items():
        assert ours[name] == pytest.approx(reference[f"GLCM_{theirs}"], rel=5e-3), name
