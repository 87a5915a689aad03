"""Channels that were not recorded: what does not need them is measured alike, the rest is not there."""

import numpy as np
import pytest
from scenes import CHANNELS, in_one_row, scene

from features import cell_columns, measure, measure_field, parse, picture_columns

SETS = [
    ("microtubules", "protein", "nucleus"),
    ("protein", "nucleus", "er"),
    ("protein", "nucleus"),
    ("protein",),
]


@pytest.mark.parametrize("channels", SETS)
def test_cells_are_measured_as_if_the_absent_channels_had_been_ignored(channels):
    whole, some = scene(), scene().picture[[CHANNELS.index(name) for name in channels]]
    found = measure(some, whole.cells, whole.nuclei, channels=channels)
    columns = [column for table in found.values() for column in table.columns]
    assert columns == cell_columns(channels=channels)
    assert all(set(parse(column).channels) <= {*channels} for column in columns)
    for family, table in whole.by_family().items():
        np.testing.assert_array_equal(found[family], table[found[family].columns])


@pytest.mark.parametrize("channels", SETS)
def test_the_field_is_measured_as_if_the_absent_channels_had_been_ignored(channels):
    picture = scene().picture
    everything = in_one_row(measure_field(picture))
    some = picture[[CHANNELS.index(name) for name in channels]]
    found = in_one_row(measure_field(some, channels=channels))
    assert set(found) <= {*picture_columns()}
    of_field = [name for name in found if parse(name).region == "field"]
    assert of_field
    np.testing.assert_array_equal([found[n] for n in of_field], [everything[n] for n in of_field])
