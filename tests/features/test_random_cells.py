"""Random label images: whatever a segmentation may give, the columns are the declared ones."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scenes import in_one_row, side_by_side

from features import aggregate, cell_columns, measure, measure_field, picture_columns, touches_border
from features.kernels.crops import bounding_boxes

MANY = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))


@st.composite
def label_images(draw, shape):
    """Draw rectangles over one another (touching, nested, cut by the border), then holes and stray pixels."""
    labels = np.zeros(shape, np.int32)
    for _ in range(draw(st.integers(0, 6))):
        top, left = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        height, width = draw(st.integers(1, shape[0])), draw(st.integers(1, shape[1]))
        labels[top : top + height, left : left + width] = draw(st.integers(0, 65535))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        labels[at] = draw(st.integers(0, 65535))
    return labels


@st.composite
def scenes(draw):
    """Draw a picture of few or many grey levels, with label images that need not fit each other."""
    shape = draw(shapes)
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    top = draw(st.sampled_from([0, 1, 255]))
    picture = draw(arrays.arrays(kind, (4, *shape), elements=st.integers(0, top)))
    cells = draw(label_images(shape))
    nuclei = cells if draw(st.booleans()) else draw(label_images(shape))
    return picture, cells, np.where(draw(st.booleans()), nuclei, 0)


def check(picture, cells, nuclei, size=None) -> None:
    """Measure and aggregate; columns are the declared ones, numbers finite or NaN."""
    before = picture.copy(), cells.copy(), nuclei.copy()
    tables = measure(picture, cells, nuclei, pixel_size_um=size)
    table = side_by_side(tables)
    assert list(table.columns) == cell_columns()
    assert list(table.index) == sorted(set(cells.ravel().tolist()) - {0})
    assert not np.isinf(table.to_numpy()).any()
    row = in_one_row(aggregate(tables, touches_border=touches_border(cells)))
    row |= in_one_row(measure_field(picture, pixel_size_um=size))
    assert list(row) == picture_columns()
    assert not np.isinf(list(row.values())).any()
    for array, copy in zip((picture, cells, nuclei), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@MANY
@given(scenes())
def test_any_scene_gives_the_declared_columns_and_no_error(drawn):
    check(*drawn)


@MANY
@given(scenes(), st.sampled_from([0.08, 0.2, 0.5]))
def test_any_scene_of_known_scale_gives_the_declared_columns_and_no_error(drawn, size):
    check(*drawn, size)


def test_as_many_cells_as_16_bits_can_number_are_found():
    cells = np.arange(1, 65536, dtype=np.uint16).reshape(255, 257)
    np.testing.assert_array_equal(bounding_boxes(cells.astype(np.int32))[:, 0], np.arange(1, 65536))
    assert touches_border(cells).sum() == 2 * 255 + 2 * 255


def test_labels_may_be_any_16_bit_numbers():
    cells = np.arange(65535, 65535 - 7 * 9, -1, dtype=np.uint16).reshape(7, 9)
    picture = np.random.default_rng(0).random((4, 7, 9)).astype(np.float32)
    table = side_by_side(measure(picture, cells, cells, families=["intensity", "neighbours"]))
    np.testing.assert_array_equal(table["cell__intensity__mean__protein"], picture[1].ravel()[::-1])
    assert table["cell__neighbours__count"].max() == 8
