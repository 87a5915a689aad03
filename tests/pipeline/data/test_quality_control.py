"""Pictures that show nothing to answer are told from those that do, in words."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.filters import gaussian

from pipeline.data.layouts import CHANNELS
from pipeline.data.masks import Segmentation
from pipeline.data.quality_control import doubt, has_signal, neighbour_correlation

SIDE = 64
Pixels = NDArray[np.float32]


@pytest.fixture
def found() -> Segmentation:
    cells, nuclei = np.zeros((2, SIDE, SIDE), np.uint16)
    cells[10:50, 10:50], nuclei[20:40, 20:40] = 1, 1
    return Segmentation(cells, nuclei)


@pytest.fixture
def pixels(found: Segmentation) -> Pixels:
    """Return a cell with signal in all channels, blurred, with some noise of the camera."""
    rng = np.random.default_rng(0)
    planes = np.stack([found.cells, found.cells, found.nuclei, found.cells]).astype(float) * 0.4
    planes[1] *= 0.1  # a protein that is hardly there
    blurred = np.stack([gaussian(plane, 2) for plane in planes])
    return np.clip(blurred + rng.normal(0.02, 0.005, planes.shape), 0, 1).astype(np.float32)


def without(pixels: Pixels, channel: str, plane: Pixels | float) -> Pixels:
    changed = pixels.copy()
    changed[CHANNELS.index(channel)] = plane
    return changed


def test_a_dim_picture_with_cells_has_no_doubt(pixels: Pixels, found: Segmentation) -> None:
    assert doubt(pixels, found) == ""
    assert doubt(pixels / 100, found) == ""
    assert doubt(without(pixels, "er", np.nan), found) == ""


@pytest.mark.parametrize("channel", ["protein", "nucleus"])
def test_black_flat_and_noisy_channels_are_told(pixels: Pixels, found: Segmentation, channel: str) -> None:
    for level in (0.0, 0.2):
        assert doubt(without(pixels, channel, level), found).startswith(f"{channel} is black or flat;")
    dead = np.zeros((2 * SIDE, 2 * SIDE), np.float32)
    dead[5, 5] = 1
    larger = pixels.repeat(2, axis=1).repeat(2, axis=2)
    assert "black or flat" in doubt(without(larger, channel, dead), found)
    noise = np.random.default_rng(1).poisson(5, (SIDE, SIDE)).astype(np.float32) / 255
    assert doubt(without(pixels, channel, noise), found).startswith(f"{channel} is noise without a signal;")


def test_a_nucleus_channel_that_shows_no_nuclei_is_told(pixels: Pixels, found: Segmentation) -> None:
    rng = np.random.default_rng(3)
    spots = gaussian((rng.random((SIDE, SIDE)) < 0.01) * (found.cells > 0) * 20.0, 1)
    told = doubt(without(pixels, "nucleus", np.clip(spots, 0, 1)), found)
    assert told.startswith("what was taken for nuclei is stained unevenly, and so is what lies around;")
    everywhere = Segmentation(found.nuclei, found.nuclei)  # no cell around them to compare with
    assert doubt(without(pixels, "nucleus", np.clip(spots, 0, 1)), everywhere) == ""


def test_offset_saturation_small_and_empty_pictures_are_told(pixels: Pixels, found: Segmentation) -> None:
    assert "microtubules is at 5" in doubt(pixels / 16 + 0.5, found)
    assert "(offset); subtract the offset" in doubt(pixels / 16 + 0.5, found)
    assert "of er are at the largest value" in doubt(without(pixels, "er", (pixels[3] < 0.3) * 1.0), found)
    assert doubt(pixels[:, :8, :8]).startswith("8 × 8 pixels are too few")
    nothing = Segmentation(*np.zeros((2, SIDE, SIDE), np.uint16))
    assert doubt(pixels, nothing).startswith("no cell was found;")
    assert doubt(pixels) == ""


def test_neighbours_are_alike_in_what_a_microscope_sees_and_not_in_noise(pixels: Pixels) -> None:
    noise = np.random.default_rng(0).random((200, 200), dtype=np.float32)
    assert abs(neighbour_correlation(noise)) < 0.02
    assert neighbour_correlation(pixels[2]) > 0.9
    assert neighbour_correlation(np.zeros((9, 9), np.float32)) == 1


def test_a_protein_fainter_than_the_noise_of_its_pixels_is_a_signal(pixels: Pixels) -> None:
    larger = pixels[1].repeat(4, axis=0).repeat(4, axis=1)
    noise = np.random.default_rng(2).normal(0, 0.06, larger.shape).astype(np.float32)
    assert neighbour_correlation(larger + noise) < 0.1
    assert has_signal(larger + noise)
    assert not has_signal(noise)


def test_an_uneven_nucleus_is_told_whatever_its_number(pixels: Pixels, found: Segmentation) -> None:
    spots = np.random.default_rng(2).random((SIDE, SIDE)) > 0.97
    nucleus = gaussian((spots & (found.cells > 0)).astype(np.float32), 1).astype(np.float32)
    for number in (1, 7):  # a person's labels have gaps
        numbered = Segmentation(found.cells * number, found.nuclei * number)
        assert doubt(without(pixels, "nucleus", nucleus), numbered).startswith("what was taken for nuclei")
        assert doubt(pixels, numbered) == ""


@pytest.mark.parametrize("channel", ["microtubules", "nucleus", "er"])
def test_one_picture_under_two_names_is_told(pixels: Pixels, found: Segmentation, channel: str) -> None:
    twice = without(pixels, "protein", pixels[CHANNELS.index(channel)])
    assert doubt(twice, found).startswith(f"protein and {channel} are the same picture")
