import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage as ndi

from features import touches_border
from pipeline.segmentation.label_images import (
    divide_cells,
    drop_debris,
    enlarge_labels,
    grow_cells,
    holders,
    largest_pieces,
    match,
    smooth_labels,
)

labels = arrays(np.int32, (9, 11), elements=st.integers(0, 4))


def disc(shape, centre, radius):
    rows, columns = np.indices(shape)
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


@settings(max_examples=200, deadline=None, derandomize=True)
@given(labels, labels)
def test_any_two_label_images_become_cells_with_one_nucleus_each(cells, nuclei):
    found = match(cells, nuclei)
    numbers = np.arange(1, found.count + 1)
    assert found.cells.dtype == found.nuclei.dtype == np.uint16
    assert np.array_equal(np.setdiff1d(found.cells, [0]), numbers)
    assert np.array_equal(np.setdiff1d(found.nuclei, [0]), numbers)
    assert np.array_equal(found.cells[found.nuclei > 0], found.nuclei[found.nuclei > 0])
    for number in numbers:
        assert ndi.label(found.cells == number)[1] == 1
        assert ndi.label(found.nuclei == number)[1] == 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(labels, labels)
def test_divided_cells_hold_all_of_every_nucleus(cells, nuclei):
    divided = divide_cells(cells, nuclei)
    assert np.array_equal(divided[nuclei > 0], nuclei[nuclei > 0])


def test_matching_twice_changes_nothing():
    rng = np.random.default_rng(3)
    cells = ndi.label(ndi.gaussian_filter(rng.normal(size=(80, 80)), 4) > 0)[0]
    nuclei = np.where(ndi.distance_transform_edt(cells > 0) > 4, cells, 0)
    once = match(cells, nuclei)
    twice = match(once.cells, once.nuclei)
    assert once.count > 3
    assert np.array_equal(once.cells, twice.cells)
    assert np.array_equal(once.nuclei, twice.nuclei)


def test_a_cell_with_two_nuclei_is_divided_between_them():
    cells = np.zeros((20, 40), np.int32)
    cells[2:18, 2:38] = 1
    nuclei = np.zeros_like(cells)
    nuclei[disc(cells.shape, (10, 10), 4)] = 1
    nuclei[disc(cells.shape, (10, 30), 4)] = 2
    found = match(divide_cells(cells, nuclei), nuclei)
    assert found.count == 2
    assert found.cells[10, 3] != found.cells[10, 36]
    assert (found.cells > 0).sum() == (cells > 0).sum()


def test_a_nucleus_without_a_cell_gets_a_rim_and_survives():
    nuclei = disc((40, 40), (20, 20), 6).astype(np.int32)
    found = match(divide_cells(np.zeros_like(nuclei), nuclei), nuclei)
    assert found.count == 1
    assert (found.cells > 0).sum() > (nuclei > 0).sum()


def test_a_nucleus_without_a_cell_takes_room_that_no_cell_has():
    nuclei = disc((60, 80), (30, 20), 6).astype(np.int32)
    nuclei[disc((60, 80), (30, 60), 6)] = 2
    cells = np.zeros_like(nuclei)
    cells[:, 40:] = 1
    found = divide_cells(cells, nuclei, np.ones(nuclei.shape, bool))
    assert found[30, 34] == found[11, 20] == 1
    assert found[6, 20] == 0
    assert (found[:, 40:] == 2).all()


def test_a_nucleus_mostly_outside_a_cell_is_not_the_cells():
    cells = np.zeros((10, 20), np.int32)
    cells[:, :10] = 1
    nuclei = np.zeros_like(cells)
    nuclei[4:7, 8:16] = 1
    assert match(cells, nuclei).count == 0


def test_borders_are_flagged_on_all_four_sides():
    cells = np.zeros((9, 9), np.uint16)
    cells[0, 4], cells[8, 4], cells[4, 0], cells[4, 8], cells[4, 4] = 1, 2, 3, 4, 5
    assert touches_border(cells).tolist() == [True, True, True, True, False]
    assert touches_border(np.zeros((3, 3), np.uint16)).shape == (0,)


@pytest.mark.parametrize(
    ("pixel_size", "kept"), [(None, {1, 2, 4}), (0.5, {1, 2, 4}), (1.0, {1, 2, 3, 4}), (0.2, {1, 2})]
)
def test_debris_goes_by_area_in_um_where_known_and_by_the_median_otherwise(pixel_size, kept):
    nuclei = np.zeros((100, 100), np.int32)
    for number, (centre, radius) in enumerate(
        [((20, 20), 15), ((70, 70), 15), ((20, 70), 4), ((70, 20), 6)], 1
    ):
        nuclei[disc(nuclei.shape, centre, radius)] = number
    assert set(np.unique(drop_debris(nuclei, pixel_size))) == {0} | kept


def test_enlarged_masks_keep_their_area_place_and_order():
    small = np.zeros((30, 40), np.int32)
    small[disc(small.shape, (10, 12), 7)] = 2
    small[disc(small.shape, (18, 28), 8)] = 1
    large = enlarge_labels(small, (90, 120))
    for number in (1, 2):
        assert (large == number).sum() == pytest.approx(9 * (small == number).sum(), rel=0.04)
        assert np.allclose(
            np.add(ndi.center_of_mass(large == number), 0.5),
            3 * np.add(ndi.center_of_mass(small == number), 0.5),
            atol=0.3,
        )


def test_smoothing_rounds_a_spike_and_keeps_the_nucleus():
    cell = disc((60, 60), (30, 30), 15).astype(np.int32)
    cell[30, 45:55] = 1
    nucleus = disc((60, 60), (30, 42), 2).astype(np.int32)
    smooth = smooth_labels(cell, 3.0, keep=nucleus)
    assert smooth[30, 52] == 0
    assert smooth[30, 35] == 1
    assert (smooth[nucleus > 0] == 1).all()


def test_seventy_thousand_cells_are_matched_in_memory_that_grows_with_their_number():
    side = 265
    numbers = np.arange(1, side * side + 1, dtype=np.int32).reshape(side, side)
    cells = np.kron(numbers, np.ones((6, 6), np.int32))
    dot = np.zeros((6, 6), np.int32)
    dot[2:4, 2:4] = 1
    tracemalloc.start()
    found = match(cells, cells * np.tile(dot, (side, side)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.cells.dtype == found.nuclei.dtype == np.uint32
    assert found.count == found.cells.max() == side * side
    assert np.array_equal(found.cells, cells)
    assert peak < 0.4e9


def test_of_equally_large_pieces_of_a_label_the_first_stays():
    labels = np.array([[1, 0, 1], [2, 0, 1], [2, 0, 0], [0, 3, 0], [2, 0, 3]], np.int32)
    kept = np.array([[0, 0, 1], [2, 0, 1], [2, 0, 0], [0, 3, 0], [0, 0, 0]], np.int32)
    assert np.array_equal(largest_pieces(labels), kept)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(labels, labels)
def test_a_nucleus_belongs_to_the_cell_that_holds_most_of_it_if_that_is_half(cells, nuclei):
    for nucleus, holder in enumerate(holders(cells, nuclei)):
        shared = np.bincount(cells[nuclei == nucleus], minlength=5)
        best = 1 + int(np.argmax(shared[1:]))
        enough = nucleus > 0 and shared.sum() > 0 and 2 * shared[best] >= shared.sum()
        assert holder == (best if enough else 0)


def test_cells_grow_into_their_room_no_further_than_the_rim():
    nuclei = np.zeros((60, 60), np.int32)
    nuclei[20:40, 20:40] = 1  # of radius 11.3
    cells = np.zeros_like(nuclei)
    cells[15:45, 15:45] = 1
    room = np.zeros(nuclei.shape, bool)
    room[:, :50] = True
    grown = grow_cells(cells, nuclei, room)
    assert (grown[cells > 0] == 1).all()
    assert grown[30].nonzero()[0][[0, -1]].tolist() == [11, 48]  # 4.5 pixels
    assert not grow_cells(cells, nuclei, np.zeros_like(room))[cells == 0].any()


def test_growing_cells_do_not_take_from_each_other():
    nuclei = np.zeros((40, 80), np.int32)
    nuclei[10:30, 10:30], nuclei[10:30, 50:70] = 1, 2
    grown = grow_cells(nuclei.copy(), nuclei, np.ones(nuclei.shape, bool))
    assert set(np.unique(grown)) == {0, 1, 2}
    assert (grown[:, :40] != 2).all()
    assert (grown[:, 40:] != 1).all()
