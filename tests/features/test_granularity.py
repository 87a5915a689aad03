"""Granularity against scikit-image's erosions and reconstructions."""

import numpy as np
import pytest
from skimage.morphology import disk, erosion, reconstruction

from features.families.granularity import STEPS, granularity, halve


def slow_granularity(plane: np.ndarray) -> list[float]:
    """Open by reconstruction with growing diamonds, as CellProfiler does on a whole field."""
    eroded, before, shares = plane, plane.mean(), []
    for _ in range(STEPS):
        eroded = erosion(eroded, disk(1))
        opened = reconstruction(eroded, plane, footprint=disk(1)).mean()
        shares.append((before - opened) / plane.mean())
        before = opened
    return shares


@pytest.mark.parametrize("seed", range(3))
def test_a_region_that_fills_the_field_has_cellprofilers_spectrum(seed):
    plane = np.random.default_rng(seed).random((31, 26), np.float32)
    padded, mask = np.pad(plane, 1), np.pad(np.ones(plane.shape, bool), 1)
    assert granularity(padded[None], mask, STEPS)[0] == pytest.approx(
        slow_granularity(plane.astype(float)), abs=1e-12
    )


def test_what_is_outside_the_region_is_ignored():
    generator = np.random.default_rng(0)
    plane, mask = np.zeros((20, 20), np.float32), np.zeros((20, 20), bool)
    mask[3:15, 4:17] = True
    plane[mask] = generator.random(mask.sum())
    alone = granularity(np.pad(plane[3:15, 4:17], 1)[None], np.pad(mask[3:15, 4:17], 1), STEPS)
    np.testing.assert_array_equal(granularity(plane[None], mask, STEPS), alone)


def test_grains_show_at_their_size():
    plane = np.full((60, 60), 0.2, np.float32)
    down, right = np.indices(plane.shape)
    for centre in ((15, 15), (40, 20), (30, 45)):
        plane[abs(down - centre[0]) + abs(right - centre[1]) <= 4] = 1.0
    spectrum = granularity(np.pad(plane, 1)[None], np.pad(np.ones(plane.shape, bool), 1), STEPS)[0]
    assert spectrum.argmax() == 4
    assert spectrum.sum() == pytest.approx(1 - 0.2 * plane.size / plane.sum())


def test_halving_averages_only_what_is_inside():
    pixels = np.array([[[1, 3, 5], [9, 9, 9]]], np.float32)
    mask = np.array([[True, True, True], [False, True, False]])
    halved, inside = halve(pixels, mask)
    np.testing.assert_allclose(halved[0, 1, 1:3], [13 / 3, 5])
    assert inside.sum() == 2
