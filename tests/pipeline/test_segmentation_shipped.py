import numpy as np
import pytest

from pipeline.picture import Picture
from pipeline.segmentation.card import read_card
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.diameter import with_diameters
from pipeline.segmentation.factory import make_segmenter
from pipeline.segmentation.scores import average_precision
from pipeline.segmentation.weights import SHIPPED, find_weights
from pipeline.simulation.field import simulate_picture


@pytest.fixture(scope="module")
def segmenter():
    made = make_segmenter("cellpose")
    assert isinstance(made, CellposeSegmenter)
    return with_diameters(made, 38.0, 85.0)


@pytest.mark.parametrize("name", ["nuclei", "cells"])
def test_shipped_weights_are_small_match_their_card_and_say_what_they_are(name):
    weights = find_weights(f"shipped:{name}")
    card = read_card(weights.path)
    assert weights.path.stat().st_size <= 15_000_000
    assert weights.path.parent == SHIPPED
    assert card.sha256 == weights.digest
    assert card.objects == name
    assert "CC0" in card.licence
    assert card.scores["ap50"] > 0.8


def test_shipped_networks_find_simulated_cells(segmenter):
    truth = simulate_picture(11, 1, size=384)
    found = segmenter.segment(truth.picture)
    assert average_precision(truth.nuclei, found.nuclei)[0] > 0.75
    assert average_precision(truth.cells, found.cells)[0] > 0.7
    again = segmenter.segment(truth.picture)
    assert np.array_equal(found.cells, again.cells)
    assert np.array_equal(found.nuclei, again.nuclei)


def test_masks_do_not_depend_on_the_number_of_threads(segmenter):
    import torch

    picture = simulate_picture(11, 2, size=256).picture
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(segmenter.segment(picture))
    torch.set_num_threads(before)
    assert found[0].count > 0
    assert np.array_equal(found[0].cells, found[1].cells)
    assert np.array_equal(found[0].nuclei, found[1].nuclei)


def test_objects_of_another_size_than_expected_are_found_at_their_own(segmenter):
    truth = simulate_picture(11, 1, size=256)
    wrong = CellposeSegmenter(segmenter.nuclei, segmenter.cells, 140.0, 300.0)
    found = wrong.segment(truth.picture)
    assert average_precision(truth.nuclei, found.nuclei)[0] > 0.6


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(200, 200), (12, 9)])
def test_black_and_saturated_pictures_have_no_cells(segmenter, value, shape):
    found = segmenter.segment(Picture(np.full((4, *shape), value, np.float32)))
    assert found.count == 0
    assert found.cells.shape == shape
