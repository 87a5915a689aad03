"""Tables that may be larger than the memory: what is read is what was written, however it lies."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import as_arrow, files_of, write_blocks, write_folder
from pipeline.core.made_tables import batches_of, names_in, read_made_numbers, row_groups_of, rows_in
from pipeline.core.stage import read_made


def blocks(count=3, rows=5, columns=600):
    rng = np.random.default_rng(0)
    for number in range(count):
        values = rng.normal(size=(rows, columns)).astype(np.float32)
        values[1, ::7] = np.nan
        table = pd.DataFrame(values, columns=[f"c{column}" for column in range(columns)])
        table.insert(0, "Id", [f"p{number}_{row}" for row in range(rows)])
        yield as_arrow(table)


def write_two(path, tables):
    write_folder(path, tables, 6)


@pytest.mark.parametrize("write", [write_blocks, write_two])
def test_numbers_are_those_that_were_written_and_rows_lie_together(tmp_path, write):
    path = tmp_path / "table.parquet"
    write(path, blocks())
    expected = pd.read_parquet(path).set_index("Id")
    assert expected.index.tolist() == [f"p{number}_{row}" for number in range(3) for row in range(5)]
    found = read_made_numbers(path, names_in(path)[1:])
    pd.testing.assert_frame_equal(found, expected)
    assert found.to_numpy(np.float32).flags.c_contiguous
    assert rows_in(path) == len(found)
    pd.testing.assert_frame_equal(read_made(path).set_index("Id"), expected)
    assert [len(table) for table in row_groups_of(path, ["Id"])] == [5, 5, 5]
    read = [row for batch in batches_of(path, ["c7"], 4) for row in batch.column("c7").to_pylist()]
    np.testing.assert_array_equal(np.array(read, np.float32), expected["c7"])


def test_a_folder_takes_the_place_of_a_file_and_a_file_that_of_a_folder(tmp_path):
    path = tmp_path / "table.parquet"
    for write in (write_blocks, write_two, write_two, write_blocks):
        write(path, blocks())
        assert len(pd.read_parquet(path)) == 15
        assert [one.name for one in files_of(path)] == (
            ["table.parquet"] if write is write_blocks else ["part-00000.parquet", "part-00001.parquet"]
        )
    assert [one.name for one in tmp_path.iterdir()] == ["table.parquet"]


def test_a_failure_while_writing_a_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "table.parquet"
    write_two(path, blocks(2))

    def cut():
        yield from blocks()
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_two(path, cut())
    assert len(pd.read_parquet(path)) == 10
    assert [one.name for one in tmp_path.iterdir()] == ["table.parquet"]


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
