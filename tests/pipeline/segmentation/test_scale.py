from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage as ndi

from pipeline.data.dataset_options import Scale
from pipeline.data.pictures import Picture
from pipeline.data.samples import Sample
from pipeline.segmentation import (
    PICTURES,
    cellpose,
    fit_scale,
    inference,
    make_segmenter,
    measure_scale,
    some_samples,
)
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.inference import NUCLEUS, Prediction, estimate_diameter
from pipeline.segmentation.network import Weights
from pipeline.segmentation.training import flow_target

WEIGHTS = Weights(path=None, digest="d", diameter=17.0)


@pytest.fixture
def oracle(monkeypatch):
    """Stand in for a network that sees what the plane says, within 2.5 times its diameter."""

    def predict(_network, planes, zoom, _device):
        truth = ndi.zoom(planes[0].astype(np.int32), zoom, order=0)
        areas = np.bincount(truth.ravel())
        diameters = 2 * np.sqrt(areas / np.pi)
        seen = (diameters < 17 * 2.5) & (diameters > 17 / 2.5)
        seen[0] = False
        truth = np.where(seen[truth], truth, 0)
        target = flow_target(truth)
        return Prediction(5 * target[:2], 8 * target[2] - 4)

    monkeypatch.setattr(inference, "predict", predict)
    monkeypatch.setattr(inference, "load_network", lambda *_: None)


def discs(diameter, count=4):
    side = int(1.6 * diameter) * count
    rows, columns = np.indices((side, side))
    labels = np.zeros((side, side), np.int32)
    for number, (i, j) in enumerate(np.ndindex(count, count), start=1):
        centre = (np.array([i, j]) + 0.5) * side / count
        labels[np.hypot(rows - centre[0], columns - centre[1]) < diameter / 2] = number
    return np.stack([labels, np.zeros_like(labels)]).astype(np.float32)


@pytest.mark.usefixtures("oracle")
@pytest.mark.parametrize("diameter", [9, 14, 30, 55, 100])
def test_the_diameter_of_objects_is_found_over_a_tenfold_range(diameter):
    assert estimate_diameter(WEIGHTS, [discs(diameter)]) == pytest.approx(diameter, rel=0.08)


@pytest.mark.usefixtures("oracle")
def test_pictures_without_objects_do_not_count():
    empty = np.zeros((2, 60, 60), np.float32)
    assert estimate_diameter(WEIGHTS, [empty, discs(30), empty]) == pytest.approx(30, rel=0.08)
    assert estimate_diameter(WEIGHTS, [empty]) == NUCLEUS


@pytest.mark.usefixtures("oracle")
@pytest.mark.parametrize(("diameter", "looks"), [(30, 1), (33, 1), (60, 2), (12, 2)])
def test_objects_are_looked_for_as_expected_and_then_as_they_were_found(monkeypatch, diameter, looks):
    seen = []
    see = inference.see
    monkeypatch.setattr(inference, "see", lambda *given: seen.append(given) or see(*given))
    found = estimate_diameter(WEIGHTS, [discs(diameter)], expected=30.0)
    assert found == pytest.approx(diameter, rel=0.08)
    assert len(seen) == looks


def test_nuclei_of_training_are_expected_in_pixels_of_the_pictures():
    sees = Sees()
    trained = Scale(nuclei_diameter=40.0, cell_diameter=None, pixel_size_um=0.1)
    measure_scale(sees, [seen(20, 0.2)], cells=False, trained=trained)
    assert sees.expected == 20.0
    measure_scale(sees, [seen(20)], cells=False, trained=trained)
    assert sees.expected == 40.0


@pytest.fixture
def segmenter():
    return CellposeSegmenter(Weights(None, "a", 17.0), Weights(None, "b", 30.0))


class Sees:
    """A segmenter that sees nuclei of the brightness of the first pixel, in pixels."""

    def measure_nuclei(self, pictures, factors, expected=0.0):
        self.expected = expected
        sizes = [float(one.pixels[2, 0, 0]) * f for one, f in zip(pictures, factors, strict=True)]
        return float(np.median(sizes)) if sizes else 0.0

    def measure_cells(self, pictures, factors, nuclei):  # noqa: ARG002 - the protocol's names
        return 3 * nuclei


def seen(diameter, pixel_size_um=None):
    return Picture(np.full((4, 2, 2), diameter, np.float32), pixel_size_um)


def test_the_scale_of_a_data_set_is_in_pixels_of_its_median_size():
    plain = measure_scale(Sees(), [seen(30), seen(40), seen(50)], cells=True)
    assert (plain.nuclei_diameter, plain.cell_diameter, plain.pixel_size_um) == (40, 120, None)
    mixed = [seen(40, 0.1), seen(80, 0.05), seen(42, 0.1)]
    assert measure_scale(Sees(), mixed, cells=False).nuclei_diameter == 40
    assert measure_scale(Sees(), mixed, cells=False).pixel_size_um == 0.1
    assert measure_scale(Sees(), [], cells=True).nuclei_diameter == 0


def test_a_segmenter_expects_what_the_pixel_size_of_each_picture_says(monkeypatch, segmenter):
    expected = []

    def find(_weights, planes, diameter, _device):
        expected.append(round(diameter, 6))
        return np.ones(planes.shape[1:], np.int32)

    monkeypatch.setattr(cellpose, "find_objects", find)
    fitted = segmenter.at(Scale(nuclei_diameter=40.0, cell_diameter=90.0, pixel_size_um=0.1))
    for size in (None, 0.1, 0.025):
        fitted.segment(Picture(np.zeros((4, 300, 300), np.float32), size))
    assert expected == [40, 90, 40, 90, 160, 360]
    assert fitted.settings()["pixel_size_um"] == 0.1
    assert "pixel_size_um" not in segmenter.at(TRAINED[False]).settings()


TRAINED = {False: Scale(nuclei_diameter=40, cell_diameter=90, pixel_size_um=None)}
TRAINED[True] = TRAINED[False].model_copy(update={"pixel_size_um": 0.1})


@pytest.mark.parametrize(
    ("known", "here", "stated", "nuclei", "assumed", "told"),
    [
        (False, 44, None, 40, None, ""),
        (False, 44, 0.1, 40, 0.1, ""),
        (False, 0, None, 40, None, ""),
        (False, 160, None, 160, None, "4 times as large as in training in pixels"),
        (True, 44, 0.1, 40, 0.1, ""),
        (True, 176, 0.025, 40, 0.025, ""),
        (True, 44, None, 40, 0.1, "no pixel size is stated; 0.1 µm is assumed, as in training"),
        (True, 160, None, 40, 0.025, "no pixel size is stated; 0.025 µm is estimated"),
        (
            True,
            160,
            0.1,
            160,
            0.1,
            "4 times as large as in training at the stated pixel size of 0.1 µm;",
        ),
        (True, 10, 0.1, 10, 0.1, "0.25 times as large"),
    ],
)
def test_pictures_are_compared_with_those_of_training(known, here, stated, nuclei, assumed, told):
    found = Scale(nuclei_diameter=here, cell_diameter=None, pixel_size_um=stated)
    scale, size, said = fit_scale(found, TRAINED[known])
    assert (scale.nuclei_diameter, size) == (nuclei, assumed)
    assert scale.cell_diameter == 90 * nuclei / 40
    assert scale.pixel_size_um == (0.1 if known else None)
    assert told in said
    assert bool(told) == bool(said)


def test_given_diameters_stay_and_the_watershed_needs_none(segmenter):
    given = replace(segmenter, nuclei_diameter=50.0, cell_diameter=100.0)
    assert measure_scale(given, [], cells=True).cell_diameter == 100.0
    watershed = make_segmenter("watershed")
    assert watershed.at(TRAINED[True]) is watershed


def test_a_few_pictures_evenly_over_the_samples_are_read():
    samples = [Sample(f"s{number:03}", ()) for number in range(100)]
    chosen = [sample.id for sample in some_samples(samples[::-1])]
    assert (len(chosen), chosen[0], chosen[-1]) == (PICTURES, "s000", "s099")
    assert some_samples([]) == []
