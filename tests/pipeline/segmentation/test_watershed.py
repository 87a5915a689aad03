import pickle

import cv2
import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.data.pictures import Picture
from pipeline.segmentation import make_segmenter


def scene(light=1.0, radius=14.0, noise=0.01, seed=0):
    """Nine round cells on a grid, two of them touching; channels as in HPA, uneven light across."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((240, 240))
    planes = np.zeros((4, 240, 240), np.float32)
    centres = [(40 + 80 * i, 40 + 80 * j) for i in range(3) for j in range(3)]
    centres[1] = (40, 40 + 2 * radius + 1)
    for row, column in centres:
        away = np.hypot(rows - row, columns - column)
        planes[2][away < radius] = 0.5
        body = np.exp(-((away / (2.0 * radius)) ** 2))
        planes[0] = np.maximum(planes[0], 0.6 * body)
        planes[3] = np.maximum(planes[3], 0.5 * body)
    shade = (0.35 + 0.65 * columns / 239).astype(np.float32)
    planes = np.stack([cv2.GaussianBlur(plane * shade, (0, 0), 1.0) for plane in planes])
    noisy = light * planes + rng.normal(0, noise * light, planes.shape) + 0.02
    return Picture(np.clip(noisy, 0, 1).astype(np.float32)), centres


@pytest.mark.parametrize("light", [1.0, 0.3, 0.1])
def test_every_nucleus_is_found_whatever_the_light(light):
    picture, centres = scene(light)
    found = make_segmenter("watershed").segment(picture)
    assert found.count == len(centres)
    assert len({int(found.nuclei[int(r), int(c)]) for r, c in centres} - {0}) == len(centres)
    areas = np.bincount(found.nuclei.ravel())[1:]
    assert np.allclose(areas, np.pi * 14**2, rtol=0.2)


def test_cells_are_larger_than_nuclei_and_meet_between_them():
    picture, _ = scene()
    found = make_segmenter("watershed").segment(picture)
    assert (np.bincount(found.cells.ravel())[1:] > 1.8 * np.bincount(found.nuclei.ravel())[1:]).all()
    left, right = found.cells[40, 45], found.cells[40, 64]
    assert left != right
    assert min(left, right) > 0


def test_a_bright_mitotic_nucleus_neither_hides_the_others_nor_swells():
    picture, centres = scene(light=0.3)
    pixels = picture.pixels.copy()
    rows, columns = np.indices(pixels.shape[1:])
    plate = (np.abs(rows - 120) < 4) & (np.abs(columns - 120) < 12)
    pixels[2][np.hypot(rows - 120, columns - 120) < 16] = 0.02
    pixels[2] += cv2.GaussianBlur(plate.astype(np.float32), (0, 0), 1.5)
    found = make_segmenter("watershed").segment(Picture(np.clip(pixels, 0, 1)))
    assert found.count == len(centres)
    assert 0.6 * plate.sum() < (found.nuclei == found.nuclei[120, 120]).sum() < 1.8 * plate.sum()


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (3, 200), (7, 5)])
def test_flat_pictures_have_no_cells(value, shape):
    found = make_segmenter("watershed").segment(Picture(np.full((4, *shape), value, np.float32)))
    assert found.count == 0
    assert found.cells.shape == found.nuclei.shape == shape


@pytest.mark.parametrize("size", [64, 128, 512])
@pytest.mark.parametrize(("level", "noise"), [(0.1, 0.02), (0.5, 0.1), (0.004, 0.004), (0.0, 0.002)])
def test_noise_alone_has_no_cells(size, level, noise):
    camera = np.random.default_rng(0).normal(level, noise, (4, size, size))
    quantised = np.clip((255 * camera).round() / 255, 0, 1).astype(np.float32)
    assert make_segmenter("watershed").segment(Picture(quantised)).count == 0


def test_a_dark_nucleolus_at_the_rim_leaves_no_notch():
    picture, _ = scene()
    pixels = picture.pixels.copy()
    rows, columns = np.indices(pixels.shape[1:])
    whole = make_segmenter("watershed").segment(picture).nuclei
    pixels[2][np.hypot(rows - 120, columns - 129) < 5] *= 0.3
    notched = make_segmenter("watershed").segment(Picture(pixels)).nuclei
    before, after = (nuclei == nuclei[120, 116] for nuclei in (whole, notched))
    assert after[120, 128]
    assert (before & after).sum() / (before | after).sum() > 0.9


def test_a_picture_without_cytoplasm_keeps_its_nuclei():
    picture, centres = scene()
    pixels = picture.pixels.copy()
    pixels[[0, 3]] = 0
    assert make_segmenter("watershed").segment(Picture(pixels)).count == len(centres)


def test_the_same_picture_gives_the_same_masks_also_after_pickling():
    picture, _ = scene(noise=0.05)
    segmenter = make_segmenter("watershed")
    first = segmenter.segment(picture)
    again = pickle.loads(pickle.dumps(segmenter)).segment(picture)  # noqa: S301 - made here
    assert np.array_equal(first.cells, again.cells)
    assert np.array_equal(first.nuclei, again.nuclei)


def test_the_picture_is_not_changed():
    picture, _ = scene()
    before = picture.pixels.copy()
    make_segmenter("watershed").segment(picture)
    assert np.array_equal(picture.pixels, before)


def test_settings_tell_parameters_apart():
    default, other = make_segmenter("watershed"), make_segmenter("watershed", reach=3.0)
    assert default.settings() != other.settings()
    assert make_segmenter("watershed", reach=None).settings() == default.settings()


def test_unknown_names_and_options_list_the_known_ones():
    with pytest.raises(PipelineError, match="unknown segmenter 'unet'; known: watershed, cellpose"):
        make_segmenter("unet")
    with pytest.raises(PipelineError, match="'watershed' has no option 'diameter'; known: smoothing"):
        make_segmenter("watershed", diameter=3)


def test_real_pictures_have_cells(real):
    from pipeline.data.pictures import read_picture
    from pipeline.data.samples import find_samples

    samples, _ = find_samples(real / "hpa2018" / "images")
    counts = [make_segmenter("watershed").segment(read_picture(sample)).count for sample in samples[:8]]
    assert min(counts) >= 3


def test_simulated_touching_cells_are_parted():
    from cellpose.metrics import average_precision

    from pipeline.simulation.field import simulate_picture

    segmenter = make_segmenter("watershed")
    scores = []
    for protein in range(4):
        truth = simulate_picture(11, protein, size=384)
        found = segmenter.segment(truth.picture)
        pairs = ((truth.cells, found.cells), (truth.nuclei, found.nuclei))
        scores.append([average_precision(a.astype(int), b.astype(int), [0.5])[0][0] for a, b in pairs])
    cells, nuclei = np.mean(scores, axis=0)
    assert cells > 0.7
    assert nuclei > 0.85
