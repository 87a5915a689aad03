"""Zernike moments against their definition."""

from math import factorial

import numpy as np
import pytest
from scenes import Scene, scene

from features.families.zernike import ORDERS, enclosing_circle


def polynomial(n: int, m: int, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Evaluate a Zernike polynomial, term by term."""
    radius, angle = np.hypot(down, right), np.arctan2(down, right)
    total = np.zeros_like(radius)
    for s in range((n - m) // 2 + 1):
        below = factorial(s) * factorial((n + m) // 2 - s) * factorial((n - m) // 2 - s)
        total += (-1) ** s * factorial(n - s) / below * radius ** (n - 2 * s)
    return total * np.exp(1j * m * angle)


@pytest.mark.parametrize("region", ["cell", "nucleus"])
def test_magnitudes_are_sums_of_polynomials_over_the_smallest_circle(region):
    given = scene()
    row = given.measured(families=["zernike"]).loc[7]
    mask = (given.cells if region == "cell" else given.nuclei) == 7
    points = np.argwhere(mask).astype(float)
    *centre, radius = enclosing_circle(points)
    assert np.hypot(*(points - centre).T).max() == pytest.approx(radius)
    down, right = ((points - centre) / radius).T
    values = given.picture[3][mask] / 255
    for n, m in ORDERS:
        terms = polynomial(n, m, down, right)
        shape = abs(terms.sum()) / (np.pi * radius**2)
        assert row[f"{region}__zernike__shape_{n}_{m}"] == pytest.approx(shape, rel=1e-5, abs=1e-7)
        if region == "nucleus" or n == 0:
            continue
        intensity = abs((terms * values).sum()) / values.sum()
        assert row[f"{region}__zernike__intensity_{n}_{m}__er"] == pytest.approx(
            intensity, rel=1e-5, abs=1e-7
        )


@pytest.mark.parametrize("seed", range(20))
def test_no_circle_through_two_or_three_points_is_smaller(seed):
    points = np.random.default_rng(seed).integers(0, 12, (9, 2)).astype(float)
    *centre, radius = enclosing_circle(points)
    distances = np.hypot(*(points - centre).T)
    assert distances.max() == pytest.approx(radius)
    directions = np.random.default_rng(seed).normal(size=(200, 2)) * 1e-3
    moved = np.linalg.norm(points - (np.array(centre) + directions)[:, None], axis=2).max(axis=1)
    assert (moved >= radius - 1e-9).all()


def test_a_single_pixel_has_no_zernike_moments():
    cells = np.zeros((60, 96), np.int32)
    cells[4, 5] = 1
    assert Scene(scene().picture, cells, cells).measured(families=["zernike"]).isna().all(axis=None)
