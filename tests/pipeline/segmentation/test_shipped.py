import threading
from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.weights import SHIPPED
from pipeline.data.dataset_options import Scale
from pipeline.data.layouts import CHANNELS
from pipeline.data.pictures import Picture
from pipeline.segmentation import cellpose, make_segmenter
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.fields import average_precision
from pipeline.segmentation.network import find_weights, read_segmenter_card
from pipeline.simulation.field import scene_of, simulate_picture
from pipeline.simulation.placement import Divisions
from pipeline.simulation.proteins import protein


@pytest.fixture(scope="module")
def segmenter():
    made = make_segmenter("cellpose")
    assert isinstance(made, CellposeSegmenter)
    return made.at(Scale(nuclei_diameter=38.0, cell_diameter=85.0, pixel_size_um=None))


@pytest.mark.parametrize("name", ["nuclei", "cells"])
def test_shipped_weights_are_small_match_their_card_and_say_what_they_are(name):
    weights = find_weights(f"shipped:{name}")
    card = read_segmenter_card(weights.path)
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


def test_both_networks_at_once_find_the_same(segmenter, monkeypatch):
    picture = simulate_picture(11, 2, size=256).picture
    alone = segmenter.segment(picture)
    beside = []
    find = CellposeSegmenter.find_cells
    here = threading.get_ident()
    monkeypatch.setattr(cellpose, "LARGE", 1)
    monkeypatch.setattr(
        CellposeSegmenter,
        "find_cells",
        lambda self, one: beside.append(threading.get_ident() != here) or find(self, one),
    )
    together = segmenter.segment(picture, threads=2)
    assert beside == [True]
    assert np.array_equal(alone.cells, together.cells)
    assert np.array_equal(alone.nuclei, together.nuclei)
    assert segmenter.segment(Picture(np.zeros((4, 64, 64), np.float32)), threads=2).count == 0


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


def test_cells_in_division_survive(segmenter):
    found, seen = 0, 0
    for index in range(3):
        described = protein(21, 0, ("Mitotic spindle", "Cytosol"))
        described = replace(described, divisions=Divisions(metaphase=0.3, anaphase=0.15))
        scene = scene_of(21, described, index, 320)
        segmentation = segmenter.segment(simulate_picture(21, described, index, size=320).picture)
        for number in 1 + np.flatnonzero(scene.population.condensed):
            chromosomes = scene.nuclei == number
            if chromosomes.sum() < 40 or chromosomes[[0, -1]].any() or chromosomes[:, [0, -1]].any():
                continue
            inside = np.bincount(segmentation.nuclei[chromosomes])
            best = int(inside[1:].argmax()) + 1 if inside.size > 1 else 0
            nucleus = segmentation.nuclei == best
            seen += 1
            found += bool(best and (chromosomes & nucleus).sum() > 0.5 * (chromosomes | nucleus).sum())
            assert not best or (segmentation.cells == best).sum() > nucleus.sum()
    assert seen >= 8
    assert found >= 0.8 * seen


def test_microtubules_or_er_alone_show_the_cells(segmenter):
    truth = simulate_picture(11, 1, size=256)
    for missing in ("microtubules", "er"):
        pixels = truth.picture.pixels.copy()
        pixels[CHANNELS.index(missing)] = 0
        found = segmenter.segment(Picture(pixels))
        assert average_precision(truth.cells, found.cells)[0] > 0.6
