"""Filters against scipy, and on pictures whose answer is known."""

import numpy as np
import pytest
from scenes import Scene, scene
from scipy.ndimage import gaussian_filter

from features.planes import smooth


def on(plane: np.ndarray):
    """Measure the filters of a plane in one large cell."""
    cells = np.zeros(plane.shape, np.int32)
    cells[4:-4, 4:-4] = 1
    pixels = np.array([plane] * 4, np.float32)
    row = Scene(pixels, cells, cells).measured(families=["filters"]).iloc[0]
    return {name.split("__")[2]: row[name] for name in row.index if name.endswith("__protein")}


def test_smoothing_is_that_of_scipy_normalised_by_the_mask():
    given = scene()
    mask = given.cells == 7
    pixels = np.where(mask, given.picture / 255, 0).astype(np.float32)
    ours = smooth(pixels, mask, 2.0)
    for plane, result in zip(pixels, ours, strict=True):
        total = gaussian_filter(plane.astype(float), 2, truncate=3, mode="constant")
        weight = gaussian_filter(mask.astype(float), 2, truncate=3, mode="constant")
        np.testing.assert_allclose(result[mask], total[mask] / weight[mask], rtol=1e-5)
        assert (result[~mask] == 0).all()


def test_stripes_are_coherent_and_noise_is_not():
    down, right = np.indices((50, 60))
    stripes = on(0.5 + 0.4 * np.sin((down + 2 * right) / 3))
    noise = on(np.random.default_rng(0).random((50, 60)))
    assert stripes["coherence_s1"] > 0.95
    assert noise["coherence_s1"] < 0.15
    assert stripes["line_s1"] > 0.5 * stripes["blob_s1"]
    assert noise["band_fine_energy"] > 0.5 > stripes["band_fine_energy"]


def test_the_skewness_of_a_band_tells_bright_spots_from_dark_ones():
    plane = np.full((50, 60), 0.5)
    plane[10::12, 10::12] = 1.0
    bright, dark = on(plane), on(1 - plane)
    assert bright["band_1_2_skewness"] > 2
    assert dark["band_1_2_skewness"] == pytest.approx(-bright["band_1_2_skewness"], rel=1e-3)


def test_blobs_have_more_energy_of_order_0_and_lines_of_order_2():
    down, right = np.indices((50, 60))
    blobs = on(np.exp(-((down % 12 - 6) ** 2 + (right % 12 - 6) ** 2) / 4))
    lines = on(np.exp(-((down % 12 - 6) ** 2) / 4))
    assert blobs["line_s1"] / blobs["blob_s1"] < lines["line_s1"] / lines["blob_s1"]
    assert lines["line_s1"] == pytest.approx(lines["blob_s1"], rel=0.01)
