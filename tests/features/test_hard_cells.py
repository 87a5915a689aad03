"""Cells that nothing should stumble over."""

import numpy as np
import pandas as pd
import pytest
from scenes import Scene, in_one_row, scene, side_by_side

from features import cell_columns, measure, measure_field
from features.measurement import touches_border


def with_cells(cells, nuclei=None) -> Scene:
    """Put other label images under the picture of the usual scene."""
    cells = np.asarray(cells, np.int32)
    return Scene(
        scene().picture, cells, np.zeros_like(cells) if nuclei is None else np.asarray(nuclei, np.int32)
    )


def empty() -> np.ndarray:
    """Return a label image without labels."""
    return np.zeros((60, 96), np.int32)


def one_pixel():
    cells = empty()
    cells[20, 30] = 1
    return with_cells(cells, cells)


def at_the_border():
    cells = np.roll(scene().cells, -15, axis=1)
    return with_cells(cells, np.roll(scene().nuclei, -15, axis=1))


def with_a_hole():
    cells = scene().cells.copy()
    cells[25:29, 18:22] = 0
    return with_cells(cells, scene().nuclei)


def in_two_pieces():
    cells = scene().cells.copy()
    cells[:, 24:27] = 0
    return with_cells(np.where(cells > 0, 1, 0), scene().nuclei > 0)


def lines():
    cells = empty()
    cells[10, 5:40] = 1
    cells[20:50, 60] = 2
    cells[np.arange(30, 50), np.arange(10, 30)] = 3
    return with_cells(cells)


def all_nucleus():
    return with_cells(scene().cells, scene().cells)


HARD = [one_pixel, at_the_border, with_a_hole, in_two_pieces, lines, all_nucleus]


@pytest.mark.parametrize("make", HARD, ids=lambda make: make.__name__)
def test_hard_cells_give_numbers_or_nan_and_nothing_else(make):
    table = make().measured()
    assert list(table.columns) == cell_columns()
    assert len(table) == len(np.unique(make().cells)) - 1
    assert not np.isinf(table.to_numpy()).any()
    assert np.isfinite(table["cell__morphology__area"]).all()


def test_a_picture_without_cells_gives_an_empty_table():
    table = with_cells(empty()).measured()
    assert table.shape == (0, len(cell_columns()))


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_cells_have_no_texture_and_no_correlation_but_an_intensity(value):
    flat = Scene(np.full((4, 60, 96), value, np.uint8), scene().cells, scene().nuclei).measured()
    assert not np.isinf(flat.to_numpy()).any()
    np.testing.assert_allclose(flat["cell__intensity__mean__protein"], value / 255, rtol=1e-6)
    np.testing.assert_array_equal(flat["cell__intensity__std__protein"], 0)
    assert flat["cell__intensity__skewness__protein"].isna().all()
    assert flat["cell__haralick__correlation_d1__protein"].isna().all()
    assert flat["cell__colocalization__pearson__protein__er"].isna().all()
    np.testing.assert_array_equal(flat["cell__haralick__entropy_d1__protein"], 0)
    np.testing.assert_array_equal(flat["cell__lbp__r1_bright_8__protein"], 1)


def test_a_cell_without_nucleus_has_no_nuclear_numbers_but_all_others():
    table = with_cells(scene().cells).measured()
    assert table.filter(regex="^nucleus__").isna().all(axis=None)
    assert table["cell__morphology__nucleus_offset"].isna().all()
    assert np.isfinite(table["cell__intensity__mean__protein"]).all()
    np.testing.assert_array_equal(
        table["cytoplasm__intensity__mean__protein"], table["cell__intensity__mean__protein"]
    )


def test_one_mask_and_one_channel_are_enough():
    given = scene()
    protein = given.picture[1:2]
    only_cells = side_by_side(measure(protein, given.cells, channels=("protein",)))
    only_nuclei = side_by_side(measure(protein, None, given.nuclei, channels=("protein",)))
    whole = given.measured()
    shared = [column for column in only_cells if column in whole]
    assert len(shared) == len(only_cells.columns) > 400
    assert list(only_nuclei.columns) == list(only_cells.columns) == cell_columns(channels=("protein",))
    unbound = [column for column in shared if column.startswith("cell__haralick__")]
    pd.testing.assert_frame_equal(only_cells[unbound], whole[unbound], check_exact=True)
    assert only_cells.filter(regex="^nucleus__").isna().all(axis=None)
    assert only_nuclei["cell__morphology__area"].tolist() == whole["nucleus__morphology__area"].tolist()
    assert only_nuclei.filter(regex="^cytoplasm__").isna().all(axis=None)
    assert np.isfinite(only_nuclei["cell__topology__euler_top_10_s1__protein"]).all()


def test_what_a_nucleus_has_outside_its_cell_is_ignored():
    given = scene()
    wider = given.nuclei.copy()
    wider[given.cells == 0] = 3
    pd.testing.assert_frame_equal(
        given.measured(), Scene(given.picture, given.cells, wider).measured(), check_exact=True
    )


def test_a_picture_of_one_pixel_or_of_none_bright_still_has_field_features():
    one = in_one_row(measure_field(np.full((4, 1, 1), 7, np.uint8)))
    dark = in_one_row(measure_field(np.zeros((4, 30, 31), np.uint8)))
    assert one.keys() == dark.keys()
    assert dark["field__intensity__mean__protein"] == 0
    assert np.isnan(dark["foreground__intensity__mean__protein"])


def test_touching_the_border_is_said_per_cell():
    cells = empty()
    cells[0, 4] = 5
    cells[20:22, 95] = 2
    cells[30, 30] = 9
    np.testing.assert_array_equal(touches_border(cells), [True, True, False])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ("red", "green")}, "expected \\(2, height, width\\)"),
        ({"channels": ("a", "b", "c", "mean")}, "name of a statistic"),
        ({"channels": ("a", "b", "c", "a")}, "channels occur twice"),
        ({"channels": ("a", "b", "c", "D-1")}, "channel 'D-1' must match"),
        ({"families": ["texture"]}, "unknown feature family 'texture'; known: adjacency, colocalization, "),
        ({"pixel_size_um": 0.0}, "pixel size 0.0"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        scene().measured(**options)


def test_wrong_arrays_are_refused_in_one_line():
    given = scene()
    with pytest.raises(ValueError, match="cell labels have shape \\(59, 96\\); the picture has \\(60, 96\\)"):
        measure(given.picture, given.cells[1:], given.nuclei)
    with pytest.raises(ValueError, match="nucleus labels are of type float64"):
        measure(given.picture, given.cells, given.nuclei.astype(float))
    with pytest.raises(ValueError, match="cell labels run from -1"):
        measure(given.picture, given.cells - 1, given.nuclei)
    with pytest.raises(ValueError, match="not finite"):
        measure(np.full(given.picture.shape, np.nan), given.cells, given.nuclei)
    with pytest.raises(ValueError, match="picture is of type bool"):
        measure(given.picture > 0, given.cells, given.nuclei)
    with pytest.raises(ValueError, match="neither cells nor nuclei are given; measure_field"):
        measure(given.picture, None)
