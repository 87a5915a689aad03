"""A cell among others."""

import numpy as np
import pytest
from scenes import Scene

SHAPE = (60, 90)


def three_cells() -> Scene:
    """Return two cells that touch and one apart, each with a square nucleus."""
    cells, nuclei = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    cells[10:30, 10:30], cells[10:30, 30:50], cells[35:55, 65:85] = 4, 9, 2
    nuclei[15:25, 15:25], nuclei[15:25, 35:45], nuclei[40:48, 70:80] = 4, 9, 2
    picture = np.full((4, *SHAPE), 0.2, np.float32)
    picture[1][cells == 9] = 0.6
    picture[2][nuclei == 4] = 0.8
    picture[2][nuclei == 9] = 0.4
    picture[3, 18:22, 20:40] = 1.0
    return Scene(picture, cells, nuclei)


@pytest.fixture(scope="module")
def table():
    return (
        three_cells()
        .measured(families=["neighbours"], pixel_size_um=0.5)
        .rename(columns=lambda name: name[18:])
    )


def test_contact_is_the_share_of_the_outline_beside_another_cell(table):
    outline = 4 * 20 - 4
    assert table["touching_share"].tolist() == pytest.approx([0, 20 / outline, 20 / outline])
    assert table["count"].tolist() == [0, 1, 1]


def test_the_nearest_nucleus_is_found_and_compared(table):
    assert table["nearest_nucleus"][[4, 9]].tolist() == pytest.approx([10, 10])
    assert table["nearest_area_ratio"].tolist() == pytest.approx([0.8, 1, 1])
    assert table["nearest_ratio__nucleus"].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert table["nucleus_area_relative"].tolist() == pytest.approx([0.8, 1, 1])


def test_cells_are_compared_with_the_median_of_the_field(table):
    assert table["cell_relative__protein"].tolist() == pytest.approx([1, 1, 3])
    assert table["nucleus_relative__nucleus"].tolist() == pytest.approx([0.5, 2, 1])


def test_a_bridge_between_nuclei_is_bright(table):
    cells = three_cells()
    mean = np.mean([cells.picture[3][cells.cells == label].mean() for label in (4, 9)])
    assert table["bridge__er"][[4, 9]].tolist() == pytest.approx([1 / mean] * 2, rel=1e-5)
    assert table["bridge__microtubules"].tolist() == pytest.approx([1, 1, 1])


def test_a_cell_alone_is_compared_with_itself_only():
    given = three_cells()
    only = np.where(given.cells == 2, 2, 0)
    row = Scene(given.picture, only, given.nuclei).measured(families=["neighbours"]).iloc[0]
    assert row["cell__neighbours__cell_relative__protein"] == 1
    assert row["cell__neighbours__touching_share"] == 0
    assert np.isnan(row["cell__neighbours__nearest_nucleus"])
    assert np.isnan(row["cell__neighbours__bridge__er"])


def test_nuclei_with_one_centre_are_each_others_nearest():
    cells = np.zeros(SHAPE, np.int32)
    cells[10:40, 10:40] = 1
    cells[15:35, 15:35] = 2
    row = Scene(three_cells().picture, cells, cells).measured(families=["neighbours"])
    assert row["cell__neighbours__nearest_nucleus"].tolist() == [0, 0]
    assert row["cell__neighbours__nearest_area_ratio"].tolist() == pytest.approx([0.8, 0.8])
