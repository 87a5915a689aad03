"""Finished chunks: what is read back, and what a killed run leaves behind."""

import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_blocks
from pipeline.core.store import Parts


def rows(**values):
    return pd.DataFrame({"Id": list(values), "key": "k", "value": list(values.values())})


def test_rows_come_back_in_the_order_asked_for_from_several_parts(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1, c=3))
    parts.write(rows(b=2))
    found = parts.read({"c": "k", "a": "k", "b": "k"}, parts.index())
    assert found["Id"].tolist() == ["c", "a", "b"]
    assert found["value"].tolist() == [3, 1, 2]


def test_a_sample_left_in_two_parts_by_a_killed_run_counts_once(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1, b=2))
    parts.write(rows(b=2, c=3))
    found = parts.read(dict.fromkeys("abc", "k"), parts.index())
    assert found["Id"].tolist() == ["a", "b", "c"]


def test_rows_of_another_key_are_not_read(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1))
    with pytest.raises(PipelineError, match="a: its pictures changed"):
        parts.read({"a": "other"}, parts.index())


def test_half_a_part_is_never_seen(tmp_path):
    parts = Parts(tmp_path)
    parts.write(rows(a=1))
    (tmp_path / ".b.parquet.77.tmp").write_bytes(b"half")
    assert set(parts.index()) == {("a", "k")}


def test_a_failure_while_writing_leaves_the_old_table(tmp_path):
    path = tmp_path / "table.parquet"
    write_blocks(path, [rows(a=1)])

    def blocks():
        yield rows(a=2)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_blocks(path, blocks())
    assert pd.read_parquet(path)["value"].tolist() == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]
