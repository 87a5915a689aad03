"""Compiled loops against slow twins and published values."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from features.families.haralick import NAMES
from features.kernels.boxes import bounding_boxes
from features.kernels.colocalization import costes_thresholds
from features.kernels.cooccurrence import haralick_of_planes
from features.kernels.distance import distance_inside
from features.kernels.levels import quantise
from features.kernels.moments import median_deviation

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
    pixels = np.array([[[0.0, 0.25, 0.49, 0.5, 1.0, 9.0]]], np.float32)
    mask = np.array([[True, True, True, True, True, False]])
    np.testing.assert_array_equal(quantise(pixels, mask, 4), [[[1, 2, 2, 3, 4, 0]]])


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
    line, expected = slow_costes(x, y, step)
    assert costes_thresholds(x, y, *line, step) == pytest.approx(expected)


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
