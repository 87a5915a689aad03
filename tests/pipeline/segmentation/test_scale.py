import json

import numpy as np
import pytest
from scipy import ndimage as ndi

from pipeline.core.errors import PipelineError
from pipeline.data.pictures import Picture
from pipeline.data.samples import Sample
from pipeline.segmentation import cellpose, inference, make_segmenter
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


@pytest.fixture
def segmenter():
    return CellposeSegmenter(Weights(None, "a", 17.0), Weights(None, "b", 30.0))


def test_diameters_are_estimated_once_recorded_and_reused(tmp_path, monkeypatch, segmenter):
    calls = []
    monkeypatch.setattr(cellpose, "some_pictures", lambda samples: calls.append(samples) or [])
    monkeypatch.setattr(CellposeSegmenter, "estimate_diameters", lambda *_: (41.0, 93.0))
    record = tmp_path / "diameters.json"
    first = segmenter.calibrated([], record)
    second = segmenter.calibrated([], record)
    assert first == second
    assert (first.nuclei_diameter, first.cell_diameter) == (41.0, 93.0)
    assert json.loads(record.read_text())["nuclei_diameter"] == 41.0
    assert len(calls) == 1
    CellposeSegmenter(Weights(None, "other", 17.0), Weights(None, "b", 30.0)).calibrated([], record)
    assert len(calls) == 2


def test_given_diameters_and_other_segmenters_are_left_alone(tmp_path, segmenter):
    given = segmenter.with_diameters(50.0, 100.0)
    assert given.calibrated([], tmp_path / "record") is given
    watershed = make_segmenter("watershed")
    assert watershed.calibrated([], tmp_path / "record") is watershed
    assert not (tmp_path / "record").exists()
    half = CellposeSegmenter(segmenter.nuclei, segmenter.cells, nuclei_diameter=20.0)
    assert half.with_diameters(50.0, 100.0).nuclei_diameter == 20.0


def test_a_few_pictures_evenly_over_the_samples_are_read(monkeypatch):
    seen = []
    picture = Picture(np.zeros((4, 2, 2), np.float32))
    monkeypatch.setattr(cellpose, "read_picture", lambda sample: seen.append(sample.id) or picture)
    samples = [Sample(f"s{number:03}", ()) for number in range(100)]
    assert len(cellpose.some_pictures(samples[::-1])) == cellpose.PICTURES
    assert seen[0] == "s000"
    assert seen[-1] == "s099"
    with pytest.raises(PipelineError, match="no readable picture"):
        cellpose.some_pictures([])
