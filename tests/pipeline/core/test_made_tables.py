"""Tables that may be larger than the memory: what is read is what was written, however it lies."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_blocks
from pipeline.core.made_tables import names_in, read_made_numbers, rows_in


def blocks(count=3, rows=5, columns=600):
    rng = np.random.default_rng(0)
    for number in range(count):
        values = rng.normal(size=(rows, columns)).astype(np.float32)
        values[1, ::7] = np.nan
        table = pd.DataFrame(values, columns=[f"c{column}" for column in range(columns)])
        table.insert(0, "Id", [f"p{number}_{row}" for row in range(rows)])
        yield table


def test_numbers_are_those_that_were_written_and_rows_lie_together(tmp_path):
    path = tmp_path / "table.parquet"
    write_blocks(path, blocks())
    expected = pd.concat(blocks()).set_index("Id")
    found = read_made_numbers(path, names_in(path)[1:])
    pd.testing.assert_frame_equal(found, expected)
    assert found.to_numpy(np.float32).flags.c_contiguous
    assert rows_in(path) == len(found)


def test_columns_come_in_the_order_asked_for(tmp_path):
    path = tmp_path / "table.parquet"
    write_blocks(path, blocks(columns=20))
    assert list(read_made_numbers(path, ["c7", "c2", "c11"])) == ["c7", "c2", "c11"]


def test_a_damaged_table_is_named(tmp_path):
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1 no table PAR1")
    for read in (names_in, rows_in, lambda damaged: read_made_numbers(damaged, [])):
        with pytest.raises(PipelineError, match=r"table\.parquet: damaged"):
            read(path)
