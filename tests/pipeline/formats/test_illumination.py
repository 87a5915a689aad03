"""Illumination that pictures share: found where it is, not where it is not, and removed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.formats.illumination import SIDE, Illumination, evenness, shared_illumination

Plane = NDArray[np.float32]

PLACES = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
VIGNETTE = 1 - 0.6 * (PLACES[:, None] ** 2 + PLACES**2) / 2
SLOPE = np.broadcast_to(np.linspace(1, 0.4, SIDE), (SIDE, SIDE))


def cells(number: int, seed: int = 0) -> list[Plane]:
    """Return pictures of round cells of different brightness on a dim ground, at random places."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pictures = []
    for _ in range(number):
        plane = rng.uniform(0, 0.01, (SIDE, SIDE))
        for _ in range(12):
            row, column = rng.uniform(-4, SIDE + 4, 2)
            plane[np.hypot(rows - row, columns - column) < rng.uniform(5, 9)] = rng.uniform(0.2, 0.5)
        pictures.append(plane.astype(np.float32))
    return pictures


def away(found: Illumination, true: Plane) -> float:
    """Return the standard deviation of what is left of an illumination after its removal."""
    return float(np.std(np.log(true / found.surface((SIDE, SIDE)))))


@pytest.mark.parametrize("true", [VIGNETTE, SLOPE], ids=["corners", "one side"])
@pytest.mark.parametrize(("number", "left"), [(20, 0.07), (100, 0.03)])
def test_the_illumination_that_pictures_share_is_found(true: Plane, number: int, left: float) -> None:
    found = shared_illumination([one * true for one in cells(number)], dark=0.0)
    before = float(np.std(np.log(true)))
    assert before > 0.15
    assert away(found, true) < left


def test_an_offset_of_the_camera_does_not_hide_the_illumination() -> None:
    pictures = [one * VIGNETTE + 0.1 for one in cells(100)]
    assert away(shared_illumination(pictures, dark=0.1), VIGNETTE) < 0.03


@pytest.mark.parametrize("number", [16, 100])
def test_even_pictures_stay_as_they_are(number: int) -> None:
    surfaces = [shared_illumination(cells(number, seed), 0.0).surface((SIDE, SIDE)) for seed in range(5)]
    assert np.std(np.log(surfaces)) < 0.02


def test_too_few_pictures_say_nothing() -> None:
    dim = [one * VIGNETTE for one in cells(7)]
    assert shared_illumination(dim, 0.0) == Illumination(0.0)
    assert shared_illumination([np.zeros((SIDE, SIDE), np.float32)] * 40, 0.0) == Illumination(0.0)


def test_the_removal_gives_back_what_was_there() -> None:
    illumination = Illumination(0.1, (0.1, -0.05, -0.2, 0.02, -0.1))
    scene = np.random.default_rng(0).uniform(0, 0.5, (90, 120)).astype(np.float32)
    seen = scene * illumination.surface(scene.shape) + np.float32(0.1)
    np.testing.assert_allclose(illumination.removed(seen), scene + 0.1, atol=1e-6)
    assert illumination.surface(scene.shape).mean() == pytest.approx(1, abs=1e-6)


def test_what_is_black_or_saturated_stays_so_and_no_illumination_changes_nothing() -> None:
    strong = Illumination(0.0, (0.0, 0.0, -0.4, 0.0, -0.4))
    plane = np.zeros((40, 40), np.float32)
    plane[::2] = 1
    np.testing.assert_array_equal(strong.removed(plane), plane)
    dim = np.full((40, 40), 0.4, np.float32)
    assert Illumination(0.2).removed(dim) is dim


def test_one_picture_tells_dark_corners_from_a_dark_side() -> None:
    even, round_, aslant = (
        np.median([evenness(one * light) for one in cells(30)], axis=0) for light in (1, VIGNETTE, SLOPE)
    )
    assert round_[0] == pytest.approx(0.4 * even[0], abs=0.1)
    assert round_[1] == pytest.approx(even[1], abs=0.1)
    assert aslant[0] == pytest.approx(even[0], abs=0.15)
    assert aslant[1] == pytest.approx(0.4, abs=0.15)
