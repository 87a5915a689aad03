"""Copies of a picture are found, however they were changed; different pictures never are."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.data.groups import duplicate_groups, perceptual_hash
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from tests.pipeline.workfolder import simulate

Pixels = NDArray[np.float32]


def compressed(pixels: Pixels) -> Pixels:
    planes = [
        imagecodecs.jpeg_decode(imagecodecs.jpeg_encode((plane * 255).astype(np.uint8), level=30))
        for plane in pixels
    ]
    return (np.stack(planes) / 255).astype(np.float32)


def moved(pixels: Pixels) -> Pixels:
    """Move by a thirty-second of the side down and half of that to the right; the edge is repeated."""
    height, width = pixels.shape[1:]
    step = height // 32
    return np.pad(pixels, ((0, 0), (step, 0), (step // 2, 0)), mode="edge")[:, :height, :width]


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "compressed": compressed,
    "brighter": lambda pixels: np.minimum(pixels * 1.5, 1),
    "darker": lambda pixels: np.round(pixels * 153).astype(np.float32) / 255,
    "smaller": lambda pixels: np.stack(
        [cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in pixels]
    ),
    "moved": moved,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Pixels]:
    folder = tmp_path_factory.mktemp("copies")
    simulate(folder, 16, 3, size=256)
    samples, _ = find_samples(folder / "images", folder / "samples.csv")
    return [read_picture(sample).pixels for sample in samples]


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_and_nothing_else_is(pictures: list[Pixels], change: str) -> None:
    hashes = [perceptual_hash(pixels) for pixels in pictures]
    copies = [perceptual_hash(CHANGES[change](pixels)) for pixels in pictures]
    expected = [*range(len(pictures)), *range(len(pictures))]
    assert duplicate_groups([*hashes, *copies]).tolist() == expected


@pytest.mark.parametrize("change", CHANGES)
def test_copies_of_real_pictures_are_found_and_no_two_real_pictures_are_copies(
    real: Path, change: str
) -> None:
    samples, _ = find_samples(real / "hpa2018" / "images")
    hashes = [perceptual_hash(read_picture(sample).pixels) for sample in samples]
    copied = samples[::7]
    copies = [perceptual_hash(CHANGES[change](read_picture(sample).pixels)) for sample in copied]
    assert duplicate_groups([*hashes, *copies]).tolist() == [*range(len(samples)), *range(0, len(samples), 7)]


def test_copies_of_copies_are_one_group() -> None:
    rng = np.random.default_rng(0)
    bits = rng.random(512) < 0.5
    near, far = bits.copy(), bits.copy()
    near[:70] ^= True
    far[:140] ^= True  # too far from the first, near enough to the second
    hashes = [np.packbits(some).tobytes().hex() for some in (rng.random(512) < 0.5, bits, far, near)]
    assert duplicate_groups(hashes[:3]).tolist() == [0, 1, 2]
    assert duplicate_groups(hashes).tolist() == [0, 1, 1, 1]


def test_flat_channels_make_no_copies(pictures: list[Pixels]) -> None:
    flat = [np.where(np.arange(4)[:, None, None] < 3, np.float32(0), pixels) for pixels in pictures]
    hashes = [perceptual_hash(pixels) for pixels in flat]
    assert hashes[0].startswith("0" * 96)
    assert duplicate_groups(hashes).tolist() == list(range(len(flat)))
    nothing = [perceptual_hash(np.zeros((4, 64, 64), dtype=np.float32))] * 2
    assert duplicate_groups(nothing).tolist() == [0, 1]


def test_pictures_without_a_hash_are_alone() -> None:
    assert duplicate_groups(["", "", ""]).tolist() == [0, 1, 2]
    assert duplicate_groups([]).tolist() == []


def test_thirty_thousand_pictures_take_seconds() -> None:
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(64).hex() for _ in range(31_072)]
    start = time.process_time()
    assert len(np.unique(duplicate_groups(hashes))) == 31_072
    assert time.process_time() - start < 60
