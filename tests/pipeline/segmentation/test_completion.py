"""Given masks made into pairs of a cell and its nucleus."""

import numpy as np
import pytest

from pipeline.data.pictures import Picture
from pipeline.segmentation.completion import cells_found, cells_grown, nuclei_found, paired
from pipeline.segmentation.label_images import match
from pipeline.segmentation.watershed import WatershedSegmenter

HUGE = 4_000_000_000


def image(*squares, shape=(20, 40)):
    """Draw squares (label, top, left, side)."""
    labels = np.zeros(shape, np.uint32)
    for label, top, left, side in squares:
        labels[top : top + side, left : left + side] = label
    return labels


CELLS = image((HUGE, 1, 1, 9), (7, 1, 12, 9), (3, 1, 23, 9))


def test_cells_keep_their_labels_and_get_the_nucleus_that_lies_in_them():
    nuclei = image((5, 3, 3, 3), (9, 3, 14, 3), (1, 3, 25, 3))
    found, left_out = paired(CELLS, nuclei, keep_all=False)
    assert np.array_equal(found.cells, CELLS)
    assert np.array_equal(found.nuclei > 0, nuclei > 0)
    assert [found.nuclei[3, column] for column in (3, 14, 25)] == [HUGE, 7, 3]
    assert found.count == 3
    assert left_out == {}


def test_what_has_no_partner_is_left_out_and_counted():
    nuclei = image((1, 3, 3, 3), (2, 7, 7, 2), (3, 9, 12, 4), (4, 14, 30, 4))
    found, left_out = paired(CELLS, nuclei, keep_all=False)
    assert left_out == {
        "nuclei in no cell": 2,  # one beside all cells, one with less than half of it inside
        "further nuclei of a cell": 1,
        "cells without a nucleus": 2,
    }
    assert np.unique(found.cells).tolist() == np.unique(found.nuclei).tolist() == [0, HUGE]
    everything, left_out = paired(CELLS, nuclei, keep_all=True)
    assert np.array_equal(everything.cells, CELLS)
    assert np.array_equal(everything.nuclei, found.nuclei)
    assert "cells without a nucleus" not in left_out


def test_nuclei_are_cut_to_their_cell():
    found, _ = paired(CELLS, image((1, 8, 3, 3)), keep_all=False)
    assert (found.nuclei > 0).sum() == 6


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_those_that_our_own_matching_makes(seed):
    """Of objects in one piece, the same pixels belong together."""
    random = np.random.default_rng(seed)
    cells = image(*((k + 1, 10 * (k // 4), 10 * (k % 4), random.integers(6, 10)) for k in range(8)))
    squares = [(k + 1, *random.integers(0, (16, 36)), random.integers(2, 5)) for k in range(8)]
    nuclei = image(*squares)
    ours, (given, _) = match(cells, nuclei), paired(cells, nuclei, keep_all=False)
    one_piece = [
        np.array_equal(ours.nuclei > 0, given.nuclei > 0),
        np.array_equal(ours.cells > 0, given.cells > 0),
    ]
    assert one_piece == [True, True]
    assert len(np.unique(ours.cells)) == len(np.unique(given.cells))


def test_empty_masks_are_no_error():
    nothing = np.zeros((20, 40), np.uint32)
    found, left_out = paired(nothing, nothing, keep_all=False)
    assert (found.count, left_out) == (0, {})
    assert cells_grown(nothing, 3).count == 0


def test_nuclei_grow_by_a_distance_until_they_meet():
    nuclei = image((HUGE, 8, 4, 4), (2, 8, 10, 4))
    found = cells_grown(nuclei, 3)
    assert found.cells.dtype == found.nuclei.dtype == np.uint32
    assert np.array_equal(found.nuclei, nuclei)
    assert found.cells[5, 5] == found.cells[9, 8] == HUGE
    assert found.cells[4, 5] == found.cells[9, 0] == 0
    assert found.cells[9, 9] == 2
    assert cells_grown(nuclei, 1.5).cells[7, 3] == HUGE  # a corner is 1.4 away


def seen(nuclei):
    """Make a picture whose channels show what lies around nuclei, and these."""
    away = np.clip(nuclei.astype(float), 0, 1)
    around = np.clip(sum(np.roll(away, (dy, dx), (0, 1)) for dy in range(-6, 7) for dx in range(-6, 7)), 0, 1)
    return Picture(np.stack([0.6 * around, 0.3 * around, away, 0.6 * around]).astype(np.float32))


def test_the_segmenter_finds_cells_around_given_nuclei_and_nuclei_in_given_cells():
    nuclei = image((HUGE, 20, 20, 14), (9, 20, 60, 14), shape=(60, 100))
    picture = seen(nuclei)
    found = cells_found(nuclei, picture, WatershedSegmenter())
    assert np.array_equal(found.nuclei, nuclei)
    assert np.unique(found.cells).tolist() == [0, 9, HUGE]
    assert ((found.cells == 9).sum(), (found.cells == HUGE).sum()) > (250, 250)
    cells = image((1, 14, 14, 26), (2, 14, 54, 26), (HUGE, 0, 86, 12), shape=(60, 100))
    within, left_out = nuclei_found(cells, picture, WatershedSegmenter())
    assert np.unique(within.nuclei).tolist() == np.unique(within.cells).tolist() == [0, 1, 2]
    overlap = (within.nuclei > 0) & (nuclei > 0)
    assert overlap.sum() > 0.8 * (nuclei > 0).sum()
    assert left_out == {"cells without a nucleus": 1}
